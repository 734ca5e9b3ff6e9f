//! Content that changes under a running service: used from the next delivery on, or refused with a sentence.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use vigie_tests::service::{Service, ask, deliver, record, request};
use vigie_tests::vigie;

const MAPPING: &str = "vendors/aws/logs/cloudtrail/mapping.toml";
const COLUMNS: &str = "schema/columns.toml";

fn built_in(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../content").join(path)).unwrap()
}

fn write(content: &Path, path: &str, text: &str) {
    let path = content.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// What the health says of the content: whether it is well, and the sentence.
fn content(service: &Service, token: &str) -> (bool, String) {
    let bearer = format!("Bearer {token}");
    let (_, text) = request(service.address, "GET", "/health/ready", &[("authorization", &bearer)], b"").unwrap();
    let body: Value = serde_json::from_str(&text).unwrap();
    let part = body["parts"].as_array().unwrap().iter().find(|part| part["name"] == "content").expect(&text);
    (part["is_well"].as_bool().unwrap(), part["sentence"].as_str().unwrap().to_owned())
}

/// Has SIGHUP sent, and asks until the health says something else of the content.
fn reload(data: &Path, service: &Service, token: &str) -> (bool, String) {
    let before = content(service, token);
    let ran = vigie(&["content", "reload", "--data", data.to_str().unwrap()]).unwrap();
    assert!(ran.code == 0 && ran.out.contains(service.process()), "{} {}", ran.out, ran.err);
    let begun = Instant::now();
    loop {
        let now = content(service, token);
        if now != before || begun.elapsed() > Duration::from_secs(30) {
            assert_ne!(now, before, "nothing was loaded");
            return now;
        }
    }
}

fn mapping_and_agent(service: &Service, token: &str, number: u64) -> (String, String) {
    assert_eq!(deliver(service.address, token, "/api/v1/ingest", record(number).as_bytes()).unwrap().0, 200);
    let sql =
        format!("select mapping, user_agent, ocsf('http_request.user_agent') from events where raw like '%\"file-{number}\"%'");
    let begun = Instant::now();
    loop {
        let rows = ask(service.address, token, &sql).unwrap();
        if let Some(row) = rows.first() {
            assert_eq!(row[1], row[2], "a column and a path by one mapping");
            return (row[0].as_str().unwrap().to_owned(), row[1].as_str().unwrap_or_default().to_owned());
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the event is not stored");
    }
}

#[test]
fn content_is_loaded_again_when_it_is_right_and_stays_when_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (data, over) = (folder.path().join("data"), folder.path().join("content"));
    write(&over, MAPPING, &built_in(MAPPING));
    let service = Service::start(&data, &["--commit-seconds", "0.05", "--content", over.to_str().unwrap()]).unwrap();
    let token = service.token.clone().unwrap();
    let (is_well, first) = content(&service, &token);
    assert!(is_well && first.contains(", loaded 2"), "{first}");
    assert_eq!(mapping_and_agent(&service, &token, 1), ("1".to_owned(), "aws-cli/2.15".to_owned()));

    let changed = built_in(MAPPING)
        .replace("version = \"1\"", "version = \"1-ours\"")
        .replace("\"text(userAgent)\"", "\"text(eventName)\"");
    write(&over, MAPPING, &changed);
    let (is_well, second) = reload(&data, &service, &token);
    assert!(is_well && second.split(',').next() != first.split(',').next(), "{second}");
    assert_eq!(mapping_and_agent(&service, &token, 2), ("1-ours".to_owned(), "GetObject".to_owned()));

    write(&over, MAPPING, "format = 1\nno mapping\n");
    let (is_well, wrong) = reload(&data, &service, &token);
    assert!(!is_well && wrong.starts_with(&second) && wrong.contains("mapping"), "{wrong}");
    assert_eq!(mapping_and_agent(&service, &token, 3).0, "1-ours", "the content before stays");

    write(&over, MAPPING, &changed);
    let columns = built_in(COLUMNS).replace("{ name = \"user_agent\", ", "{ name = \"agent\", ");
    write(&over, COLUMNS, &columns);
    let (is_well, refused) = reload(&data, &service, &token);
    assert!(!is_well && refused.contains("restart the service"), "{refused}");
    assert_eq!(mapping_and_agent(&service, &token, 4).0, "1-ours");

    std::fs::remove_file(over.join(COLUMNS)).unwrap();
    let (is_well, again) = reload(&data, &service, &token);
    assert!(is_well && again.split(',').next() == second.split(',').next(), "{again}");
    assert!(service.stop(), "a reload is no reason to end");
    let ran = vigie(&["content", "reload", "--data", data.to_str().unwrap()]).unwrap();
    assert!(ran.code == 2 && ran.err.contains("no service runs"), "{}", ran.err);
}
