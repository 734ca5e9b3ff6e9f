//! What leaves the lake is what the lake says: Parquet that others read, OCSF as `ocsf()` reads it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::Command;

use serde_json::Value;
use vigie_tests::service::{Service, deliver, record};
use vigie_tests::vigie;

use crate::python;

/// DuckDB, not Vigie, reads the file: rows, distinct ids of 16 bytes, bytes of records, the first instant.
const READ: &str = "import duckdb, sys, json; print(json.dumps([str(cell) for cell in duckdb.sql(\
    f\"select count(*), count(distinct event_id), min(octet_length(event_id)), sum(length(raw)), \
    epoch_ms(min(time)) from read_parquet('{sys.argv[1]}')\").fetchone()]))";

#[test]
fn exports_say_what_the_lake_says() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let service = Service::start(&data, &["--commit-seconds", "0.05"]).unwrap();
    let token = service.token.clone().unwrap();
    let mut lines: Vec<String> = (0..500).map(record).collect();
    lines.push("{\"kind\":\"no mapping\"}".to_owned());
    lines.push("no record".to_owned());
    assert_eq!(deliver(service.address, &token, "/api/v1/ingest", lines.join("\n").as_bytes()).unwrap().0, 200);
    assert!(service.stop());
    let data = data.to_str().unwrap();

    let file = at("events.parquet");
    let ran = vigie(&["sql", "select * from events", "--data", data, "-o", "parquet", "--out", &file]).unwrap();
    assert!(ran.code == 0 && ran.err.starts_with("502 rows"), "{}", ran.err);
    let read = Command::new(python()).args(["-c", READ, &file]).output().unwrap();
    let cells: Vec<String> =
        serde_json::from_slice(&read.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&read.stderr)));
    let sql = "select sum(length(raw)) as bytes, min(time) as first from events";
    let ours: Value = serde_json::from_str(&vigie(&["sql", sql, "--data", data]).unwrap().out).unwrap();
    assert_eq!(cells[..3], ["502", "502", "16"]);
    assert_eq!(cells[3], ours["bytes"].to_string());
    assert_eq!(cells[4], "1795132800000", "2026-11-20: {ours}");
}

#[test]
fn an_export_as_ocsf_is_what_ocsf_paths_say() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let service = Service::start(&data, &["--commit-seconds", "0.05"]).unwrap();
    let token = service.token.clone().unwrap();
    let mut lines: Vec<String> = (0..300).map(record).collect();
    lines.push("{\"kind\":\"no mapping\"}".to_owned());
    lines.push("no record".to_owned());
    assert_eq!(deliver(service.address, &token, "/api/v1/ingest", lines.join("\n").as_bytes()).unwrap().0, 200);
    let data = data.to_str().unwrap().to_owned();
    assert!(service.stop());

    let (plain, packed) = (at("events.ndjson"), at("events.ndjson.gz"));
    let ran = vigie(&["lake", "export", "--data", &data, "--out", &plain]).unwrap();
    assert!(ran.code == 0 && ran.err.starts_with("302 events") && ran.err.contains("; 2 of them"), "{}", ran.err);
    assert_eq!(vigie(&["lake", "export", "--data", &data, "--out", &packed]).unwrap().code, 0);
    let text = std::fs::read_to_string(&plain).unwrap();
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(&packed).unwrap()).read_to_string(&mut unpacked).unwrap();
    assert_eq!(text, unpacked);

    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let times: Vec<i64> = events.iter().map(|event| event["time"].as_i64().unwrap()).collect();
    assert!(times.is_sorted(), "oldest first");
    let by_raw: BTreeMap<&str, &Value> = events.iter().map(|event| (event["raw_data"].as_str().unwrap(), event)).collect();
    let sql = "select raw, ocsf('api.operation') as o, ocsf('actor.user.name') as u, ocsf('metadata.uid') as i from events";
    let ran = vigie(&["sql", sql, "--data", &data]).unwrap();
    let mut compared = 0;
    for line in ran.out.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let event = by_raw[row["raw"].as_str().unwrap()];
        if row["o"].is_null() {
            assert_eq!(event["class_uid"].as_i64(), Some(0), "{event}");
            continue;
        }
        for (path, name) in [("/api/operation", "o"), ("/actor/user/name", "u"), ("/metadata/uid", "i")] {
            assert_eq!(event.pointer(path), row.get(name), "{path}: {line}");
        }
        compared += 1;
    }
    assert_eq!(compared, 300);
    let reject = by_raw["no record"];
    assert!(reject["status_detail"].as_str().is_some_and(|reason| reason.contains("JSON")), "{reject}");

    let one = at("one.ndjson");
    let filter = ["--filter", "\"file-7\"", "--until", "2026-11-21"];
    let ran = vigie(&[&["lake", "export", "--data", data.as_str(), "--out", one.as_str()][..], &filter].concat()).unwrap();
    assert!(ran.code == 0 && ran.err.starts_with("1 events"), "{}", ran.err);
    let wrong = at("wrong.ndjson");
    let ran = vigie(&["lake", "export", "--data", &data, "--out", &wrong, "--filter", "(user:"]).unwrap();
    assert!(ran.code == 2 && !std::path::Path::new(&wrong).exists(), "{} {}", ran.code, ran.err);
    let ran = vigie(&["search", "", "--data", &data, "-o", "parquet"]).unwrap();
    assert!(ran.code == 2 && ran.err.contains("--out"), "{}", ran.err);
}
