//! A backup that is made while records come in holds each acknowledged one, and a service that starts
//! on it stores none twice, with an id or without.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use vigie_tests::service::{Service, ask, deliver, record};
use vigie_tests::vigie;

const RECORDS_A_BATCH: u64 = 10;
const BACKUPS: usize = 6;
/// More than lie between two checkpoints of the table's log.
const COMMITS: u64 = 55;

/// A record that nothing names: stored as often as it is taken in.
fn nameless(number: u64) -> String {
    format!(r#"{{"kind":"nameless","n":{number}}}"#)
}

/// Sends batches until it is over; notes the records of each that was acknowledged.
fn load(address: SocketAddr, token: &str, acknowledged: &Mutex<Vec<String>>, is_over: &AtomicBool) {
    let mut first = 0;
    while !is_over.load(Ordering::Relaxed) {
        let numbers = first..first + RECORDS_A_BATCH;
        let records: Vec<String> = numbers.flat_map(|number| [record(number), nameless(number)]).collect();
        let (status, answer) = deliver(address, token, "/api/v1/ingest", records.join("\n").as_bytes()).unwrap();
        assert_eq!((status, answer["rejected"].as_u64()), (200, Some(0)), "{answer}");
        acknowledged.lock().unwrap().extend(records);
        first += RECORDS_A_BATCH;
    }
}

/// Ends the load, also when a check fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How often each record is stored.
fn stored(data: &str) -> BTreeMap<String, u64> {
    let ran = vigie(&["sql", "select raw, count(*) as n from events group by raw", "--data", data, "-o", "ndjson"]).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.err);
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        (row["raw"].as_str().unwrap().to_owned(), row["n"].as_u64().unwrap())
    };
    ran.out.lines().map(row).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_backup_under_load_holds_every_acknowledged_record_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("vigie.toml"), "[commit]\nwait_seconds = 0.3\n[upkeep]\nseconds = 0.2\n").unwrap();
    let service = Service::start(&data, &[]).unwrap();
    let token = service.token.clone().unwrap();
    let acknowledged = Mutex::new(Vec::new());
    let is_over = AtomicBool::new(false);
    let mut before = Vec::new();
    std::thread::scope(|scope| {
        let over = Over(&is_over);
        let loading = scope.spawn(|| load(service.address, &token, &acknowledged, &is_over));
        for number in 0..BACKUPS {
            // Each backup begins with more in the table than the one before.
            let least = before.last().map_or(0, |known: &Vec<String>| known.len()) + 100;
            while acknowledged.lock().unwrap().len() < least {
                assert!(!loading.is_finished(), "the load ended early");
                std::thread::yield_now();
            }
            before.push(acknowledged.lock().unwrap().clone());
            let backup = folder.path().join(format!("backup-{number}"));
            let ran = vigie(&["backup", text(&backup), "--data", text(&data)]).unwrap();
            assert_eq!(ran.code, 0, "{}", ran.err);
            assert!(ran.err.contains(&format!("process id {}", service.process())), "{}", ran.err);
        }
        drop(over);
        loading.join().unwrap();
    });
    assert!(service.stop());
    let mut waited = 0;
    for (number, before) in before.iter().enumerate() {
        let (backup, restored) = (folder.path().join(format!("backup-{number}")), folder.path().join(format!("new-{number}")));
        let ran = vigie(&["backup", text(&backup), "--verify"]).unwrap();
        assert_eq!(ran.code, 0, "{} {}", ran.out, ran.err);
        let ran = vigie(&["restore", text(&backup), "--data", text(&restored)]).unwrap();
        assert_eq!(ran.code, 0, "{}", ran.err);
        let in_table: u64 = stored(text(&restored)).values().sum();
        let service = Service::start(&restored, &[]).unwrap();
        assert_eq!(service.token, None, "the tokens came along");
        assert!(ask(service.address, &token, "select 1").is_ok(), "and the old one works");
        assert!(service.stop());
        let stored = stored(text(&restored));
        assert!(stored.values().all(|count| *count == 1), "backup {number} stores a record twice");
        let lost = before.iter().filter(|record| !stored.contains_key(*record)).count();
        assert_eq!(lost, 0, "backup {number} lost acknowledged records");
        waited += stored.values().sum::<u64>() - in_table;
    }
    assert!(waited > 0, "no backup held anything in its spool: the test shows nothing");
    println!("{BACKUPS} backups under load, {waited} records of them out of the spool: none lost, none twice");
}

#[test]
fn a_backup_of_a_stopped_service_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup, restored) = (folder.path().join("data"), folder.path().join("backup"), folder.path().join("new"));
    let service = Service::start(&data, &["--commit-seconds", "0.01"]).unwrap();
    let token = service.token.clone().unwrap();
    let send = |address, number| {
        let body = [record(number), nameless(number)].join("\n");
        assert_eq!(deliver(address, &token, "/api/v1/ingest", body.as_bytes()).unwrap().0, 200);
    };
    // A commit for each, so that the log gets a checkpoint.
    for number in 0..COMMITS {
        send(service.address, number);
        let begun = Instant::now();
        while ask(service.address, &token, "select count(*) from events").unwrap()[0][0].as_u64() != Some(2 * number + 2) {
            assert!(begun.elapsed() < Duration::from_secs(30), "record {number} is not stored");
        }
    }
    (COMMITS..COMMITS + 5).for_each(|number| send(service.address, number));
    service.kill();
    let ran = vigie(&["backup", text(&backup), "--data", text(&data)]).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.err);
    let manifest = std::fs::read_to_string(backup.join("manifest.json")).unwrap();
    assert!(manifest.contains(".checkpoint.parquet") && !manifest.contains("_last_checkpoint"), "{manifest}");
    assert_eq!(vigie(&["restore", text(&backup), "--data", text(&restored)]).unwrap().code, 0);
    let service = Service::start(&restored, &["--commit-seconds", "0.05"]).unwrap();
    (COMMITS + 5..COMMITS + 10).for_each(|number| send(service.address, number));
    assert!(service.stop());
    let stored = stored(text(&restored));
    let sent = 2 * (COMMITS + 10);
    assert_eq!((stored.len() as u64, stored.values().sum::<u64>()), (sent, sent));
}

#[test]
fn damage_is_named_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup, restored) = (folder.path().join("data"), folder.path().join("backup"), folder.path().join("new"));
    let service = Service::start(&data, &["--commit-seconds", "0.05"]).unwrap();
    let token = service.token.clone().unwrap();
    assert_eq!(deliver(service.address, &token, "/api/v1/ingest", record(1).as_bytes()).unwrap().0, 200);
    assert!(service.stop());
    assert_eq!(vigie(&["backup", text(&backup), "--data", text(&data)]).unwrap().code, 0);
    let ran = vigie(&["backup", text(&backup), "--data", text(&data)]).unwrap();
    assert!(ran.code == 2 && ran.err.contains("nothing is overwritten"), "{}", ran.err);
    let ran = vigie(&["restore", text(&backup), "--data", text(&data)]).unwrap();
    assert!(ran.code == 2 && ran.err.contains("nothing is overwritten"), "{}", ran.err);

    let state = backup.join("state/state.sqlite");
    let mut bytes = std::fs::read(&state).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&state, bytes).unwrap();
    let ran = vigie(&["backup", text(&backup), "--verify"]).unwrap();
    assert!(ran.code == 1 && ran.out.contains("state/state.sqlite"), "{} {}", ran.out, ran.err);
    let ran = vigie(&["restore", text(&backup), "--data", text(&restored)]).unwrap();
    assert!(ran.code == 1 && ran.err.contains("--verify"), "{}", ran.err);
    let refused = Service::start(&restored, &[]).map(drop).unwrap_err().to_string();
    assert!(refused.contains("did not end"), "{refused}");

    std::fs::remove_file(backup.join("manifest.json")).unwrap();
    let ran = vigie(&["backup", text(&backup), "--verify"]).unwrap();
    assert!(ran.code == 2 && ran.err.contains("no whole backup"), "{}", ran.err);
}
