//! Damage in the spool of a stopped service: named with file and place, put aside, never in the way.

use serde_json::Value;
use vigie_tests::service::{Service, deliver, record};
use vigie_tests::vigie;

#[test]
fn damage_is_named_put_aside_and_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    // Nothing is committed before the kill: all of it waits in the spool.
    let service = Service::start(folder.path(), &["--commit-seconds", "60"]).unwrap();
    let token = service.token.clone().unwrap();
    for number in 0..10 {
        let (status, _) = deliver(service.address, &token, "/api/v1/ingest", record(number).as_bytes()).unwrap();
        assert_eq!(status, 200);
    }
    let ran = vigie(&["spool", "check", "--data", data]).unwrap();
    assert!(ran.code == 1 && ran.err.contains("is in use by"), "{}", ran.err);
    service.kill();
    let ran = vigie(&["spool", "check", "--data", data]).unwrap();
    assert!(ran.code == 0 && ran.out.starts_with("10 deliveries wait in 1 segments"), "{} {}", ran.out, ran.err);

    let segment = folder.path().join("spool/main/00000000000000000001.spool");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let ran = vigie(&["spool", "check", "--data", data, "-o", "json"]).unwrap();
    let found: Value = serde_json::from_str(&ran.out).expect(&ran.err);
    assert_eq!((ran.code, found["entries"].as_u64()), (3, Some(9)), "{found}");
    let damage = &found["segments"][0]["damages"][0];
    let (from, until) = (damage["from"].as_u64().unwrap() as usize, damage["until"].as_u64().unwrap() as usize);
    assert!((from..until).contains(&middle), "{found}");
    assert_eq!(found["damaged_bytes"].as_u64(), Some((until - from) as u64));

    let ran = vigie(&["spool", "repair", "--data", data, "-o", "json"]).unwrap();
    let done: Value = serde_json::from_str(&ran.out).expect(&ran.err);
    assert_eq!(ran.code, 0, "{done}");
    let kept = std::fs::read(done["repaired"][0]["kept"].as_str().unwrap()).unwrap();
    assert!(kept == bytes[from..until], "the damaged bytes are kept");
    let ran = vigie(&["spool", "check", "--data", data]).unwrap();
    assert!(ran.code == 0 && ran.out.starts_with("9 deliveries"), "{} {}", ran.out, ran.err);

    let service = Service::start(folder.path(), &[]).unwrap();
    assert!(service.stop());
    let ran = vigie(&["sql", "select count(*) as n from events", "--data", data]).unwrap();
    assert_eq!(ran.out, "{\"n\":9}\n", "{}", ran.err);
}
