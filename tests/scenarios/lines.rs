//! Logs that are lines of text, as people have them.

use std::fs;

use serde_json::json;
use vigie_tests::vigie;

use crate::shapes::gzip;

const HEADER: &str =
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";
const RULE: &str = "title: Refused sign-in over the network
id: 5b0a3f61-7d2e-4c8b-9f14-a6e0d9c2b753
logsource: {product: ocsf, category: network_activity}
detection: {refused: {action_id: 2, dst_endpoint.port: 22}, condition: refused}
level: medium
";

/// A flow in the default format; one with an even number is refused.
fn flow(number: u32) -> String {
    let action = if number % 2 == 0 { "REJECT" } else { "ACCEPT" };
    let port = 40_000 + number;
    format!("2 417203958816 eni-0a4c2f19d83be7751 203.0.113.77 10.20.4.17 {port} 22 6 3 180 1794448327 1794448386 {action} OK")
}

fn flows(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| flow(number) + "\n").collect()
}

#[test]
fn flows_are_counted_in_every_shape() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let other = |number: u32| {
        let action = if number % 2 == 0 { "REJECT" } else { "ACCEPT" };
        format!("1794448327 1794448386 {action} 203.0.113.77 10.20.4.17 22\n")
    };
    let member = |number: u32| json!({ "id": number.to_string(), "timestamp": 1_794_448_390_000_u64, "message": flow(number) });
    write("plain.log", flows(0..10).as_bytes());
    write("plain.log.gz", &gzip(flows(10..20).as_bytes()));
    write("headed.log.gz", &gzip(format!("{HEADER}\n{}", flows(20..30)).as_bytes()));
    let custom: String = (30..40).map(other).collect();
    write("custom.log", format!("start end action srcaddr dstaddr dstport\r\n{}", custom.replace('\n', "\r\n")).as_bytes());
    let exported: String = (40..50).map(|number| format!("2026-11-12T01:53:10.000Z {}\n", flow(number))).collect();
    write("exported.log", exported.as_bytes());
    let subscribed =
        json!({ "messageType": "DATA_MESSAGE", "owner": "417203958816", "logEvents": (50..60).map(member).collect::<Vec<_>>() });
    write("subscribed.json", subscribed.to_string().as_bytes());
    let rules = tempfile::tempdir().unwrap();
    fs::write(rules.path().join("rule.yml"), RULE).unwrap();
    let ran =
        vigie(&["hunt", folder.path().to_str().unwrap(), "--no-builtin", "--rules", rules.path().to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("30 findings in 60 events"), "{}", ran.out);
}

#[test]
fn one_bad_line_costs_itself_and_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flows.log");
    let before = flows(0..50);
    fs::write(&path, format!("{before}2 cut here\n{}", flows(50..99))).unwrap();
    let ran = vigie(&["hunt", path.to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 4, "{}", ran.out);
    assert!(ran.out.contains("in 99 events"), "{}", ran.out);
    let said = format!("at byte {}: the record is a line of no known log type", before.len());
    assert!(ran.out.contains(&said), "{}", ran.out);
}

#[test]
fn text_without_a_line_that_is_known_stays_foreign() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("story.txt"), "Once upon a time,\na line was written.\n").unwrap();
    let ran = vigie(&["hunt", folder.path().to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(ran.out.contains("no events") && ran.out.contains("plain text"), "{}", ran.out);
}

#[test]
fn an_event_is_explained_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    fs::write(&path, include_str!("../../content/vendors/aws/logs/s3_access/samples/read_object.log")).unwrap();
    let ran = vigie(&["hunt", path.to_str().unwrap(), "--explain", "3E57427F3EXAMPLE"]).unwrap();
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    for said in ["aws/s3_access", "[12/Nov/2026:01:52:07 +0000] 203.0.113.77", "\"class_uid\": 6005", "payments%20Q3.csv"] {
        assert!(ran.out.contains(said), "{said}: {}", ran.out);
    }
}
