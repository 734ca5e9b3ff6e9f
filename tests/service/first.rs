//! The thinnest path: records in, an answer out, after a restart too.

use serde_json::json;
use vigie_tests::service::{Service, ask, deliver, record, request};
use vigie_tests::vigie;

#[test]
fn records_are_counted_after_a_kill_and_without_a_service() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let service = Service::start(&data, &["--commit-seconds", "0.1"]).unwrap();
    let token = service.token.clone().unwrap();
    let body: String = (0..100).map(|number| record(number) + "\n").collect();
    let (status, answer) = deliver(service.address, &token, "/api/v1/ingest/aws/cloudtrail", body.as_bytes()).unwrap();
    assert_eq!((status, answer["accepted"].as_u64(), answer["rejected"].as_u64()), (200, Some(100), Some(0)), "{answer}");
    service.kill();

    let service = Service::start(&data, &["--commit-seconds", "0.1"]).unwrap();
    assert_eq!(service.token, None, "only the first start shows a token");
    let (status, _) = deliver(service.address, &token, "/api/v1/ingest/aws/cloudtrail", body.as_bytes()).unwrap();
    assert_eq!(status, 200, "the same records again");
    let second = Service::start(&data, &[]).map(drop).unwrap_err().to_string();
    assert!(second.contains(&format!("process id {}", service.process())), "{second}");
    assert!(service.stop());

    let ran =
        vigie(&["sql", "select count(*) as n, count(distinct metadata_uid) as d from events", "--data", data.to_str().unwrap()])
            .unwrap();
    assert_eq!(ran.out, "{\"n\":100,\"d\":100}\n", "{}", ran.err);
    let ran = vigie(&["search", "user:team-7 \"file-7\"", "--data", data.to_str().unwrap()]).unwrap();
    let row: serde_json::Value = serde_json::from_str(ran.out.trim()).expect(&ran.err);
    assert_eq!(row["raw"], json!(record(7)), "byte for byte");
    assert_eq!((row["api_operation"].as_str(), row["class_uid"].as_i64()), (Some("GetObject"), Some(6003)), "{row}");
}

#[test]
fn bad_records_cost_themselves_and_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &["--commit-seconds", "0.1"]).unwrap();
    let token = service.token.clone().unwrap();
    let body =
        [record(1), "{\"broken\": ".to_owned(), "not json".to_owned(), record(2), "{\"eventTime\":1}".to_owned()].join("\n");
    let (status, answer) = deliver(service.address, &token, "/api/v1/ingest/aws/cloudtrail", body.as_bytes()).unwrap();
    assert_eq!((status, answer["accepted"].as_u64(), answer["rejected"].as_u64()), (200, Some(2), Some(3)), "{answer}");
    let reasons: Vec<&str> =
        answer["rejects"].as_array().unwrap().iter().filter_map(|reject| reject["reason"].as_str()).collect();
    assert!(reasons.contains(&"is no record of aws/cloudtrail"), "{reasons:?}");
    let (status, answer) = deliver(service.address, &token, "/api/v1/ingest/no/such", body.as_bytes()).unwrap();
    assert!(status == 404 && answer.to_string().contains("no/such"), "{status} {answer}");
    let (status, _) = request(service.address, "POST", "/api/v1/ingest", &[("authorization", "Bearer wrong")], b"{}").unwrap();
    assert_eq!(status, 401);
    let rows = until(
        || ask(service.address, &token, "select raw, reason from events where reason is not null order by raw").unwrap(),
        3,
    );
    assert_eq!(rows[0][0].as_str(), Some("not json"), "{rows:?}");
}

/// Asks again until there are so many rows: a commit is a moment away.
fn until<T>(ask: impl Fn() -> Vec<T>, wanted: usize) -> Vec<T> {
    let begun = std::time::Instant::now();
    loop {
        let rows = ask();
        if rows.len() >= wanted || begun.elapsed().as_secs() > 30 {
            assert_eq!(rows.len(), wanted);
            return rows;
        }
    }
}

#[test]
fn a_token_of_another_tenant_reaches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let service = Service::start(folder.path(), &["--commit-seconds", "0.1"]).unwrap();
    let own = service.token.clone().unwrap();
    let made = vigie(&["token", "create", "other", "--scope", "admin", "--tenant", "other", "--data", data]).unwrap();
    let other = made.out.trim().to_owned();
    assert_eq!(deliver(service.address, &own, "/api/v1/ingest", record(1).as_bytes()).unwrap().0, 200);
    let (status, answer) = deliver(service.address, &other, "/api/v1/ingest", record(2).as_bytes()).unwrap();
    assert!(status == 503 && answer.to_string().contains("tenant `other`"), "{status} {answer}");
    assert!(ask(service.address, &other, "select * from events").is_err());
    until(|| ask(service.address, &own, "select raw from events").unwrap(), 1);
    let list = vigie(&["token", "list", "--data", data]).unwrap();
    assert!(!list.out.contains("vg_") && list.out.contains("other"), "{}", list.out);
}
