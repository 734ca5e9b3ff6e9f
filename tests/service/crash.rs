//! T1: a service that is killed at random instants under load (guarantees.md, section 8).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vigie_tests::chance::Chance;
use vigie_tests::ledger::{Ledger, batch, ids, name};
use vigie_tests::service::{Service, ask, deliver};

const RECORDS_A_BATCH: u64 = 20;

/// Sends batches until the service is gone; one record in ten was sent before.
fn load(address: SocketAddr, token: &str, next: &AtomicU64, chance: &mut Chance, ledger: &mut Ledger) {
    loop {
        let first = next.fetch_add(RECORDS_A_BATCH, Ordering::Relaxed);
        let mut numbers: Vec<u64> = (first..first + RECORDS_A_BATCH).collect();
        for number in &mut numbers {
            if chance.next(10) == 0 && *number > 1000 {
                *number = chance.next(*number);
            }
        }
        if let Some(again) = ledger.unanswered.pop() {
            numbers.push(again);
        }
        let body = batch(numbers.iter().copied());
        match deliver(address, token, "/api/v1/ingest/aws/cloudtrail", body.as_bytes()) {
            Ok((200, answer)) => {
                assert_eq!(answer["accepted"].as_u64(), Some(numbers.len() as u64), "{answer}");
                ledger.acknowledged.extend(numbers);
            }
            Ok((429 | 503, _)) => {}
            Ok((status, answer)) => panic!("{status}: {answer}"),
            Err(_) => {
                ledger.unanswered.extend(numbers);
                return;
            }
        }
    }
}

/// Counts events until the service is gone: a count never falls, and never passes what was sent.
fn watch(address: SocketAddr, token: &str, next: &AtomicU64, least: &AtomicU64, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        let Ok(rows) = ask(address, token, "select count(*), count(distinct metadata_uid) from events") else {
            return;
        };
        let (count, distinct) = (rows[0][0].as_u64().unwrap(), rows[0][1].as_u64().unwrap());
        assert_eq!(count, distinct, "a count that sees an event twice");
        assert!(count <= next.load(Ordering::Relaxed), "more events than were sent");
        assert!(count >= least.fetch_max(count, Ordering::Relaxed), "a count that fell");
    }
}

#[test]
fn done_lake_2_t1_no_acknowledged_event_is_lost() {
    let kills = if std::env::var_os("VIGIE_SOAK").is_some() { 1000 } else { 300 };
    let seed = std::env::var("VIGIE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5EED_1234);
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("vigie.toml"), "[commit]\nwait_seconds = 0.05\n[upkeep]\nseconds = 0.1\n").unwrap();
    let mut chance = Chance(seed);
    let (next, least) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut ledger = Ledger::default();
    let mut token = None;
    let begun = Instant::now();
    // A wait that nothing ends early.
    let (_sender, never) = std::sync::mpsc::channel::<()>();
    for _ in 0..kills {
        let service = Service::start(&data, &[]).unwrap();
        let shown = token.get_or_insert_with(|| service.token.clone().unwrap()).clone();
        let address = service.address;
        let is_over = AtomicBool::new(false);
        let wait = Duration::from_millis(5 + chance.next(495));
        std::thread::scope(|scope| {
            let loading = scope.spawn(|| load(address, &shown, &next, &mut chance, &mut ledger));
            let watching = scope.spawn(|| watch(address, &shown, &next, &least, &is_over));
            let _ = never.recv_timeout(wait);
            is_over.store(true, Ordering::Relaxed);
            service.kill();
            loading.join().unwrap();
            watching.join().unwrap();
        });
    }
    let service = Service::start(&data, &[]).unwrap();
    assert!(service.stop(), "it stops well after {kills} kills");
    let stored = ids(&data).unwrap();
    let lost = ledger.acknowledged.iter().filter(|number| !stored.contains_key(&name(**number))).count();
    assert_eq!(lost, 0, "acknowledged events are missing");

    // The same records once, into an empty folder, have the same ids.
    let calm = folder.path().join("calm");
    let service = Service::start(&calm, &[]).unwrap();
    let shown = service.token.clone().unwrap();
    let sent: Vec<u64> = (0..next.load(Ordering::Relaxed)).filter(|number| stored.contains_key(&name(*number))).collect();
    for numbers in sent.chunks(5000) {
        let body = batch(numbers.iter().copied());
        assert_eq!(deliver(service.address, &shown, "/api/v1/ingest/aws/cloudtrail", body.as_bytes()).unwrap().0, 200);
    }
    assert!(service.stop());
    assert!(ids(&calm).unwrap() == stored, "ids differ");
    println!(
        "{kills} kills in {} s: {} events acknowledged, {lost} lost, {} stored, none twice, ids as without kills",
        begun.elapsed().as_secs(),
        ledger.acknowledged.len(),
        stored.len(),
    );
}
