//! T8: clocks that are wrong or jump (guarantees.md, section 8): nothing is lost, stored twice or purged by them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use vigie_tests::chance::Chance;
use vigie_tests::ledger::{batch, ids, name};
use vigie_tests::service::{Service, ask, deliver, request};
use vigie_tests::vigie;

const DAY_SECONDS: i64 = 24 * 60 * 60;
const RECORDS_A_BATCH: u64 = 50;
/// Records without anything that names them: each is an event of its own, whatever the clock says.
const NAMELESS_A_BATCH: u64 = 3;

/// A clock that the test sets while the service runs.
struct Clock {
    file: PathBuf,
    library: String,
}

impl Clock {
    fn new(folder: &Path) -> Clock {
        let clock = Clock { file: folder.join("clock"), library: library() };
        clock.set("+0");
        clock
    }

    /// Sets it: `+3600` is ahead by so many seconds, `@2026-11-01 01:30:00` runs on from there.
    fn set(&self, to: &str) {
        // In one step: a clock that is read while it is written would be no clock.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{to}\n")).unwrap();
        std::fs::rename(&new, &self.file).unwrap();
    }

    /// Starts a service by this clock. How long it waits is measured by the true one.
    fn start(&self, data: &Path) -> Service {
        let preload = format!("LD_PRELOAD={}", self.library);
        let file = format!("FAKETIME_TIMESTAMP_FILE={}", self.file.display());
        // Times of files come from the kernel, whose clock is not the one that is set here.
        let settings = ["FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1", "TZ=Europe/Paris"];
        let mut prefix = vec!["env", &preload, &file];
        prefix.extend(settings);
        let before = looked(data);
        let service = Service::start_under(&prefix, data, &[]).unwrap();
        let begun = Instant::now();
        while looked(data) == before {
            assert!(begun.elapsed() < Duration::from_secs(30), "upkeep does not look at the clock");
        }
        service
    }
}

/// When upkeep looked at the clock last: it purges right after.
fn looked(data: &Path) -> Option<SystemTime> {
    data.join("lake/main/events/_vigie/clock.json").metadata().ok()?.modified().ok()
}

/// Where Debian and others put the library of faketime for programs with threads.
fn library() -> String {
    let mut folders = vec![PathBuf::from("/usr/lib/faketime"), PathBuf::from("/usr/local/lib/faketime")];
    let lib = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders.extend(lib.map(|entry| entry.path().join("faketime")));
    let found = folders.iter().map(|folder| folder.join("libfaketimeMT.so.1")).find(|path| path.is_file());
    found.expect("this test sets clocks with faketime: `make test` installs it").to_str().unwrap().to_owned()
}

/// What was sent in all, by the number of the next record.
#[derive(Default)]
struct Sent {
    records: u64,
    nameless: u64,
}

impl Sent {
    /// Sends new records, some that were sent before, and some without a name.
    fn send(&mut self, service: &Service, token: &str, chance: &mut Chance) {
        let again = (0..10).map(|_| chance.next(self.records.max(1))).filter(|number| *number < self.records);
        let numbers: Vec<u64> = (self.records..self.records + RECORDS_A_BATCH).chain(again).collect();
        let path = "/api/v1/ingest/aws/cloudtrail";
        let (status, answer) = deliver(service.address, token, path, batch(numbers.iter().copied()).as_bytes()).unwrap();
        assert_eq!((status, answer["accepted"].as_u64()), (200, Some(numbers.len() as u64)), "{answer}");
        self.records += RECORDS_A_BATCH;
        let nameless = "{\"time\":\"2026-11-20T00:00:00Z\",\"message\":\"nothing names this\"}\n";
        for _ in 0..NAMELESS_A_BATCH {
            let (status, answer) = deliver(service.address, token, "/api/v1/ingest", nameless.as_bytes()).unwrap();
            assert_eq!((status, answer["accepted"].as_u64()), (200, Some(1)), "{answer}");
            self.nameless += 1;
        }
    }

    /// Waits until all of it is stored, and no more.
    fn wait(&self, service: &Service, token: &str, when: &str) {
        let sql = "select count(metadata_uid), count(*) from events";
        let begun = Instant::now();
        loop {
            let rows = ask(service.address, token, sql).unwrap();
            let (named, all) = (rows[0][0].as_u64().unwrap(), rows[0][1].as_u64().unwrap());
            if (named, all) == (self.records, self.records + self.nameless) {
                return;
            }
            assert!(named <= self.records && all <= self.records + self.nameless, "{when}: {named} of {all} are too many");
            let sent = (self.records, self.nameless);
            assert!(begun.elapsed() < Duration::from_secs(30), "{when}: {named} named of {all} events, sent {sent:?}");
        }
    }
}

/// Clocks to set one after the other, each with its name.
fn jumps(soak: bool, chance: &mut Chance) -> Vec<(String, String)> {
    let named = |(name, to): (&str, &str)| (name.to_owned(), to.to_owned());
    let mut jumps: Vec<(String, String)> = [
        ("a year back", "-31536000"),
        ("right again", "+0"),
        ("ten years ahead", "+315360000"),
        ("right again", "+0"),
        ("the last leap second", "@2016-12-31 23:59:59"),
        ("a second after it", "@2017-01-01 00:00:00"),
        ("before an hour that is not there", "@2027-03-28 01:59:59"),
        ("after an hour that is not there", "@2027-03-28 03:00:00"),
        ("before an hour that comes twice", "@2026-10-25 02:59:59"),
        ("the same hour again", "@2026-10-25 02:00:00"),
        ("the same hour a third time", "@2026-10-25 02:00:00"),
        ("before 1970 ends", "@1970-01-02 00:00:00"),
        ("the end of 32 bits", "@2038-01-19 03:14:07"),
        ("right at last", "+0"),
    ]
    .map(named)
    .to_vec();
    for number in 0..if soak { 100 } else { 0 } {
        let seconds = i64::try_from(chance.next(20 * 365 * 86_400)).unwrap() - 10 * 365 * DAY_SECONDS;
        jumps.push((format!("jump {number}"), format!("{seconds:+}")));
    }
    jumps.push(("right at the end".to_owned(), "+0".to_owned()));
    jumps
}

fn seed() -> u64 {
    let seed = std::env::var("VIGIE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5EED_0008);
    println!("seed {seed}");
    seed
}

fn folder_with_settings(data: &Path) {
    std::fs::create_dir(data).unwrap();
    std::fs::write(data.join("vigie.toml"), "[commit]\nwait_seconds = 0.05\n[upkeep]\nseconds = 0.1\n").unwrap();
}

/// Ids of the same records by a clock that nobody sets.
fn calm(data: &Path, records: u64) -> BTreeMap<String, String> {
    let service = Service::start(data, &[]).unwrap();
    let token = service.token.clone().unwrap();
    for first in (0..records).step_by(5000) {
        let body = batch(first..records.min(first + 5000));
        assert_eq!(deliver(service.address, &token, "/api/v1/ingest/aws/cloudtrail", body.as_bytes()).unwrap().0, 200);
    }
    assert!(service.stop());
    ids(data).unwrap()
}

#[test]
fn done_lake_2_t8_clock_jumps_lose_nothing() {
    let soak = std::env::var_os("VIGIE_SOAK").is_some();
    let mut chance = Chance(seed());
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    folder_with_settings(&data);
    let clock = Clock::new(folder.path());
    let mut service = clock.start(&data);
    let token = service.token.clone().unwrap();
    let mut sent = Sent::default();
    let jumps = jumps(soak, &mut chance);
    let (mut starts, mut kills) = (1, 0);
    for (number, (when, to)) in jumps.iter().enumerate() {
        // Some of it waits for its commit while the clock jumps.
        sent.send(&service, &token, &mut chance);
        clock.set(to);
        sent.send(&service, &token, &mut chance);
        sent.wait(&service, &token, when);
        if number % 2 == 1 {
            continue;
        }
        // Started by this clock, and killed by it: the first thing that upkeep does is to purge.
        sent.send(&service, &token, &mut chance);
        if number % 4 == 0 {
            service.kill();
            kills += 1;
        } else {
            assert!(service.stop(), "{when}");
        }
        service = clock.start(&data);
        starts += 1;
        sent.send(&service, &token, &mut chance);
        sent.wait(&service, &token, when);
    }
    assert!(service.stop());
    let stored = ids(&data).unwrap();
    assert_eq!(stored.len() as u64, sent.records);
    assert!((0..sent.records).all(|number| stored.contains_key(&name(number))), "events are missing");
    assert!(calm(&folder.path().join("calm"), sent.records) == stored, "ids differ from those by a steady clock");
    assert!(!data.join("lake/main/events/_vigie/purge.ndjson").exists(), "a wrong clock purged events");
    println!(
        "{} jumps of the clock, {starts} starts, {kills} kills: {} named and {} nameless events stored once, none purged, ids as by a steady clock",
        jumps.len(),
        sent.records,
        sent.nameless
    );
}

/// A clock that is ten years ahead purges nothing and says so; one that is right purges what is past its time.
#[test]
fn done_lake_2_t8_a_clock_ahead_purges_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    folder_with_settings(&data);
    let clock = Clock::new(folder.path());
    let service = clock.start(&data);
    let token = service.token.clone().unwrap();
    // By the steady clock, one event is past its time and one is not.
    let year = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap() - 400 * DAY_SECONDS;
    let old = format!("{{\"time\":{year},\"message\":\"old\"}}\n");
    for body in [old, batch(0..100)] {
        assert_eq!(deliver(service.address, &token, "/api/v1/ingest", body.as_bytes()).unwrap().0, 200);
    }
    let count = |service: &Service, wanted: u64| {
        let begun = Instant::now();
        loop {
            let rows = ask(service.address, &token, "select count(*) from events").unwrap();
            let count = rows[0][0].as_u64().unwrap();
            if count == wanted || begun.elapsed() > Duration::from_secs(30) {
                return count;
            }
        }
    };
    assert_eq!(count(&service, 101), 101);
    assert!(service.stop());
    clock.set(&format!("{:+}", 3650 * DAY_SECONDS));
    let service = clock.start(&data);
    let said = until_unwell(&service);
    assert!(said.contains("nothing is purged") && said.contains("days ahead"), "{said}");
    assert_eq!(count(&service, 101), 101, "nothing is gone");
    assert!(service.stop());
    clock.set("+0");
    let service = clock.start(&data);
    assert_eq!(count(&service, 100), 100, "by the right clock the old event goes, and it alone");
    assert!(service.stop());
    println!("ten years ahead: nothing purged, and the health said: {said}");
}

/// What the health says of upkeep, once that is not well.
fn until_unwell(service: &Service) -> String {
    let begun = Instant::now();
    loop {
        let (_, text) = request(service.address, "GET", "/health/ready", &[], b"").unwrap();
        let health: Value = serde_json::from_str(&text).unwrap();
        let parts = health["parts"].as_array().unwrap();
        let unwell = parts.iter().find(|part| part["name"] == "upkeep" && part["is_well"] == false);
        if let Some(part) = unwell {
            return part["sentence"].as_str().unwrap().to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "a clock ten years ahead is said nowhere: {text}");
    }
}

/// A token that ended stays so when the clock is set back, in the same process and in the next.
#[test]
fn done_lake_2_t8_a_clock_set_back_revives_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    folder_with_settings(&data);
    let clock = Clock::new(folder.path());
    let service = clock.start(&data);
    let token = service.token.clone().unwrap();
    let make = ["token", "create", "short", "--scope", "ingest", "--days", "1", "--data", data.to_str().unwrap()];
    let short = vigie(&make).unwrap().out.trim().to_owned();
    let status = |service: &Service, token: &str| deliver(service.address, token, "/api/v1/ingest", b"{\"n\":1}").unwrap().0;
    assert_eq!(status(&service, &short), 200);
    clock.set(&format!("{:+}", 2 * DAY_SECONDS));
    assert_eq!(status(&service, &short), 401, "it has ended");
    clock.set("+0");
    assert_eq!((status(&service, &short), status(&service, &token)), (401, 200), "set back while the service runs");
    assert!(service.stop());
    let service = clock.start(&data);
    assert_eq!((status(&service, &short), status(&service, &token)), (401, 200), "set back, and started again");
    assert!(service.stop());
    println!("a token that ended was refused by a clock set back, in the same process and in the next");
}
