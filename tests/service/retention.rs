//! Events go when their log type and their class both say so: what goes is written down, the rest stays as it was.

use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};
use vigie_tests::service::{Service, deliver, record};
use vigie_tests::vigie;

/// Events of the log type's own class, of sign-ins, and of no class.
const CALLS: u64 = 60;
const LOGINS: u64 = 20;
const PLAIN: u64 = 5;
/// How old the day of the events is.
const DAYS: u64 = 10;

/// The day of the events, as `2026-11-20`.
fn day() -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let then = i64::try_from(now).unwrap() - i64::try_from(DAYS).unwrap() * 86_400_000;
    vigie_model::format_utc(then)[..10].to_owned()
}

fn call(number: u64, day: &str) -> String {
    record(number).replace("2026-11-20", day)
}

fn login(number: u64, day: &str) -> String {
    call(number, day).replace("s3.amazonaws.com", "signin.amazonaws.com").replace("GetObject", "ConsoleLogin")
}

fn run(data: &Path, arguments: &[&str]) -> String {
    let mut all = arguments.to_vec();
    all.extend(["--data", data.to_str().unwrap()]);
    let ran = vigie(&all).unwrap();
    assert_eq!(ran.code, 0, "{arguments:?}: {} {}", ran.out, ran.err);
    ran.out
}

/// Every event: its class, id and record.
fn events(data: &Path) -> Vec<Value> {
    let sql = "select class_uid, event_id, log, raw from events order by event_id";
    run(data, &["sql", sql, "-o", "ndjson"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Purges by these settings; how many events are gone.
fn purge(data: &Path, settings: &str) -> u64 {
    std::fs::write(data.join("vigie.toml"), settings).unwrap();
    let said = run(data, &["lake", "purge"]);
    said.split_whitespace().next().unwrap().parse::<u64>().unwrap_or_else(|error| panic!("{said}: {error}"))
}

/// What the journal says was purged from the day, without when and from which file.
fn journal(data: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(data.join("lake/main/events/_vigie/purge.ndjson")).unwrap_or_default();
    let line = |line: &str| {
        let mut entry: Value = serde_json::from_str(line).unwrap();
        let members = entry.as_object_mut().unwrap();
        assert!(members.remove("at").is_some() && members.remove("file").is_some(), "{line}");
        entry
    };
    text.lines().map(line).collect()
}

#[test]
fn an_event_goes_by_the_longer_of_its_log_type_and_its_class() {
    let folder = tempfile::tempdir().unwrap();
    let (data, day) = (folder.path().join("data"), day());
    let service = Service::start(&data, &["--commit-seconds", "0.2"]).unwrap();
    let token = service.token.clone().unwrap();
    let calls = (0..CALLS).map(|number| call(number, &day));
    let logins = (CALLS..CALLS + LOGINS).map(|number| login(number, &day));
    let mapped: String = calls.chain(logins).map(|record| record + "\n").collect();
    let plain: String = (0..PLAIN).map(|number| format!("{{\"id\":\"p{number}\",\"time\":\"{day}T08:00:00Z\"}}\n")).collect();
    for (log, body) in [("aws/cloudtrail", mapped), ("generic/json", plain)] {
        assert_eq!(deliver(service.address, &token, &format!("/api/v1/ingest/{log}"), body.as_bytes()).unwrap().0, 200);
    }
    assert!(service.stop());
    run(&data, &["lake", "compact"]);
    let status = run(&data, &["lake", "status"]);
    assert!(status.contains(" 85 events in 1 files"), "all classes lie in one file: {status}");
    let before = events(&data);
    let of = |class: u64| before.iter().filter(|event| event["class_uid"] == class).count() as u64;
    assert_eq!((of(6003), of(3002), of(0)), (CALLS, LOGINS, PLAIN));

    // The longer time wins on either side, so nothing goes, and nothing is written.
    let version = status.split(':').next().unwrap().to_owned();
    for settings in [
        "[retention.by]\n\"aws/cloudtrail\" = 5\n[retention.by_class]\n6003 = 30\nauthentication = 30\n",
        "[retention.by]\n\"aws/cloudtrail\" = 30\n[retention.by_class]\napi_activity = 5\n3002 = 5\n",
    ] {
        assert_eq!(purge(&data, settings), 0, "{settings}");
    }
    assert!(run(&data, &["lake", "status"]).starts_with(&format!("{version}:")), "{version} stays");
    assert!(journal(&data).is_empty());

    // Sign-ins have an entry that is longer than their log type's, other calls have none.
    let settings = "[retention.by]\n\"aws/cloudtrail\" = 5\n[retention.by_class]\nauthentication = 30\n";
    assert_eq!(purge(&data, settings), CALLS);
    let calls_gone = json!({ "day": day, "events": { "aws/cloudtrail": CALLS }, "by_class": { "6003": CALLS } });
    assert_eq!(journal(&data), std::slice::from_ref(&calls_gone));
    let kept: Vec<Value> = before.iter().filter(|event| event["class_uid"] != 6003).cloned().collect();
    assert!(events(&data) == kept, "the other events are what they were, by the same ids");
    let status = run(&data, &["lake", "status"]);
    assert_eq!(purge(&data, settings), 0);
    assert_eq!(run(&data, &["lake", "status"]), status, "a second purge writes nothing");

    // A class alone has a say over every log type.
    assert_eq!(purge(&data, "[retention.by_class]\nauthentication = 5\nbase_event = 7\n"), LOGINS + PLAIN);
    let rest_gone = json!({
        "day": day,
        "events": { "aws/cloudtrail": LOGINS, "generic/json": PLAIN },
        "by_class": { "3002": LOGINS, "0": PLAIN },
    });
    assert_eq!(journal(&data), [calls_gone, rest_gone]);
    assert!(events(&data).is_empty());
    println!(
        "of one file {CALLS} events went by their log type, {LOGINS} and {PLAIN} by their class, each with a line that says so"
    );
}
