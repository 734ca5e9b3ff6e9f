//! What is recognised in records, told as OCSF path and record path.

use super::*;
use crate::Mapping;
use vigie_record::{PathSet, Row, Walk};

const AUDIT: [&str; 3] = [
    r#"{"id":"ev-000001","created_at":"2026-11-12T01:52:07Z","action":"user.created","actor":{"id":"u-1","email":"lea@example.com"},"ip":"203.0.113.7","target":{"name":"ops"},"result":"success","user_agent":"curl/8","org_id":"o-77","level":"info"}"#,
    r#"{"id":"ev-000002","created_at":"2026-11-12T01:53:07Z","action":"document.viewed","actor":{"id":"u-2","email":"max@example.com"},"ip":"198.51.100.9","target":{"name":"plan"},"result":"failed","user_agent":"app/2","org_id":"o-77","level":"warning"}"#,
    r#"{"id":"ev-000003","created_at":"2026-11-12T01:54:07Z","action":"session.login","actor":{"id":"u-1","email":"lea@example.com"},"ip":"203.0.113.7","result":"success","user_agent":"curl/8","org_id":"o-77","level":"info"}"#,
];

fn proposal(records: &[&str]) -> Result<Proposal, String> {
    let records: Vec<&[u8]> = records.iter().map(|record| record.as_bytes()).collect();
    propose(&LogType("acme/audit".to_owned()), &records, Some("entries"))
}

/// The path that is recognised for an OCSF path, `-` for none.
#[track_caller]
fn check(records: &[&str], to: &str, expected: &str) {
    let proposal = proposal(records).unwrap();
    let found = proposal.recognised.iter().find(|(known, _)| known == to).map_or("-", |(_, path)| path.as_str());
    assert_eq!(found, expected, "{to}: {:?}", proposal.recognised);
}

#[test]
fn fields_are_told_by_name_and_value() {
    for (to, path) in [
        ("time", "created_at"),
        ("metadata.uid", "id"),
        ("api.operation", "action"),
        ("actor.user.name", "actor.email"),
        ("actor.user.uid", "actor.id"),
        ("src_endpoint.ip", "ip"),
        ("status_id", "result"),
        ("cloud.account.uid", "org_id"),
        ("http_request.user_agent", "user_agent"),
        ("severity_id", "level"),
        ("target", "target.name"),
    ] {
        check(&AUDIT, to, path);
    }
    // The shape of values tells what names do not.
    let odd = [r#"{"t0":1794448327,"zz":"192.0.2.1","server":"192.0.2.9","user":{"id":"77"}}"#];
    check(&odd, "time", "t0");
    check(&odd, "src_endpoint.ip", "zz");
    check(&odd, "metadata.uid", "-");
    check(&odd, "actor.user.uid", "user.id");
    // Words that are no outcome are none, and a cut-off field is no operation.
    let plain = [r#"{"time":"2026-11-12T01:52:07Z","result":"42 rows","type":"true"}"#];
    check(&plain, "status_id", "-");
    check(&plain, "api.operation", "-");
}

#[test]
fn without_a_time_nothing_is_proposed() {
    assert!(proposal(&[r#"{"id":"a","time":"yesterday"}"#]).unwrap_err().contains("no field looks like a time"));
    assert!(proposal(&[]).unwrap_err().contains("no record"));
}

#[test]
fn what_is_proposed_maps_its_records() {
    let proposal = proposal(&AUDIT).unwrap();
    assert_eq!((proposal.samples.as_slice(), proposal.missing.len()), ([0, 1, 2].as_slice(), 0));
    let mapping = Mapping::parse(&|name| proposal.files.get(name).cloned()).unwrap();
    assert_eq!(mapping.envelope_keys, ["entries"]);
    let programme = mapping.programme(&mut PathSet::new());
    let walk = Walk::compile(&[programme.paths()]);
    let mut found = Vec::new();
    for record in AUDIT {
        let mut row = Row::new();
        walk.read(record.as_bytes(), &mut row).unwrap();
        let document: serde_json::Value = serde_json::from_str(&programme.document(&walk.view(&row, 0))).unwrap();
        let verb = document["enrichments"][0]["value"].as_str().unwrap().to_owned();
        found.push((document["class_uid"].as_u64().unwrap(), verb, document["status_id"].as_u64().unwrap()));
    }
    let expected = [(6003, "cloud.resource.create", 1), (6003, "cloud.api.call", 2), (3002, "identity.login.portal", 1)];
    assert_eq!(found, expected.map(|(class, verb, status)| (class, verb.to_owned(), status)));
}

/// Names that would break an expression or a table are passed over.
#[test]
fn hostile_names_stay_out_of_the_files() {
    let hostile = [r#"{"time":"2026-11-12T01:52:07Z","user(name":"x","a,b":"y","12":"z","action":"de\tlete","user":"o'hara"}"#];
    let proposal = proposal(&hostile).unwrap();
    assert!(Mapping::parse(&|name| proposal.files.get(name).cloned()).is_ok(), "{:?}", proposal.files);
}
