//! An error, a panic or the end of the process at every fail point of the service: nothing is lost,
//! nothing is stored twice, and the next start needs nobody.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use vigie_tests::ledger::{ids, name};
use vigie_tests::service::{Service, ask, deliver, record, request};

/// Deliveries of a round: enough commits for files to be merged.
const DELIVERIES: u64 = 10;
/// Records of a delivery.
const RECORDS: u64 = 20;
/// How long a round waits for a commit.
const COMMIT_TIME_MAX: Duration = Duration::from_secs(20);

/// The names of all fail points in the code.
fn points() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut waiting = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let after = text.split("fail_point!(\"").skip(1).filter_map(|rest| rest.split_once('"'));
            names.extend(after.map(|(point, _)| point.to_owned()));
        }
    }
    names
}

/// Whether the service still takes events in.
fn is_ready(service: &Service) -> bool {
    request(service.address, "GET", "/health/ready", &[], b"").is_ok_and(|(status, _)| status == 200)
}

/// Sends records one delivery after the other, each until it is taken in and committed; what was
/// acknowledged goes into `acknowledged`. Ends early when the service ended or takes in no more.
fn round(service: &Service, token: &str, next: &mut u64, acknowledged: &mut Vec<u64>) {
    let old = format!(r#"{{"id":"old-{next}","time":"2020-01-01T00:00:00Z"}}"#);
    let _ = deliver(service.address, token, "/api/v1/ingest/generic/json", old.as_bytes());
    for _ in 0..DELIVERIES {
        let numbers: Vec<u64> = (*next..*next + RECORDS).collect();
        *next += RECORDS;
        let body: String = numbers.iter().map(|number| record(*number) + "\n").collect();
        let begun = Instant::now();
        loop {
            match deliver(service.address, token, "/api/v1/ingest/aws/cloudtrail", body.as_bytes()) {
                Ok((200, _)) => break,
                Ok(_) if is_ready(service) && begun.elapsed() < COMMIT_TIME_MAX => {}
                _ => return,
            }
        }
        acknowledged.extend(&numbers);
        let last = name(*numbers.last().unwrap());
        let sql = format!("select count(*) from events where metadata_uid = '{last}'");
        loop {
            match ask(service.address, token, &sql) {
                Ok(rows) if rows[0][0] == 1 => break,
                Ok(_) if is_ready(service) || begun.elapsed() < Duration::from_secs(2) => {}
                _ => return,
            }
            assert!(begun.elapsed() < COMMIT_TIME_MAX, "records {numbers:?} are not committed");
        }
    }
}

#[test]
fn done_lake_2_t2_every_fail_point_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let settings = "[commit]\nwait_seconds = 0.05\n[upkeep]\nseconds = 0.1\n[retention.by]\n\"generic/json\" = 1\n";
    std::fs::write(data.join("vigie.toml"), settings).unwrap();
    let points = points();
    let seen_file = folder.path().join("seen");
    let seen_by = format!("VIGIE_POINTS_SEEN={}", seen_file.display());
    let start = |asked: &str| Service::start_under(&["env", asked, &seen_by], &data, &[]);
    let (mut next, mut acknowledged) = (0, Vec::new());

    // Twice without failing: the second start purges what the first took in.
    let noted: String = points.iter().map(|point| format!("{point}=note;")).collect();
    let noted = format!("VIGIE_POINTS={noted}");
    let service = start(&noted).unwrap();
    let token = service.token.clone().unwrap();
    round(&service, &token, &mut next, &mut acknowledged);
    assert!(service.stop());
    let service = start(&noted).unwrap();
    round(&service, &token, &mut next, &mut acknowledged);
    assert!(service.stop());
    let seen: BTreeSet<String> = std::fs::read_to_string(&seen_file).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(seen, points, "every fail point is reached");

    for point in &points {
        for action in ["error", "panic", "abort"] {
            // A point that is reached while the service starts may keep it from starting.
            if let Ok(service) = start(&format!("VIGIE_POINTS={point}={action}")) {
                round(&service, &token, &mut next, &mut acknowledged);
                service.kill();
            }
        }
    }
    let service = Service::start(&data, &[]).unwrap();
    assert!(service.stop());
    let stored = ids(&data).unwrap();
    let lost: Vec<u64> = acknowledged.iter().copied().filter(|number| !stored.contains_key(&name(*number))).collect();
    assert!(lost.is_empty(), "acknowledged events are missing: {lost:?}");
    println!(
        "{} points, an error, a panic and an end at each: {} events acknowledged, 0 lost, none twice",
        points.len(),
        acknowledged.len()
    );
}
