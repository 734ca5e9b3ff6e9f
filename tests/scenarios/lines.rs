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
    let action = if number.is_multiple_of(2) { "REJECT" } else { "ACCEPT" };
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
        let action = if number.is_multiple_of(2) { "REJECT" } else { "ACCEPT" };
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

/// A sign-in that failed, as Windows writes it in XML.
fn sign_in(number: u32) -> String {
    format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
         <Provider Name='Microsoft-Windows-Security-Auditing'/><EventID>4625</EventID><Keywords>0x8010000000000000</Keywords>\
         <TimeCreated SystemTime='2026-11-12T01:53:41.2280190Z'/><EventRecordID>{number}</EventRecordID><Channel>Security</Channel>\
         <Computer>web-3.example.com</Computer></System><EventData><Data Name='TargetUserName'>backup &amp; restore</Data>\
         <Data Name='LogonType'>3</Data><Data Name='IpAddress'>203.0.113.41</Data></EventData></Event>"
    )
}

const SIGN_IN_RULE: &str = "title: Refused sign-in to a machine
id: 0f8d5c1e-6a37-4b90-8e2d-c41b7f90a35d
logsource: {product: ocsf, category: authentication}
detection: {refused: {status_id: 2, user.name: backup & restore}, condition: refused}
level: medium
";

#[test]
fn events_as_xml_are_counted_in_every_shape() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let events =
        |numbers: std::ops::Range<u32>, between: &str| numbers.map(|number| sign_in(number) + between).collect::<String>();
    write("lines.xml", &events(0..10, "\n"));
    write("viewer.xml", &format!("\u{feff}<?xml version=\"1.0\"?>\r\n<Events>{}</Events>", events(10..20, "")));
    write("indented.xml", &format!("<Events>\n{}</Events>\n", events(20..30, "\r\n").replace("><", ">\r\n  <")));
    let inside: String = (30..40).map(|number| json!({ "message": sign_in(number) }).to_string() + "\n").collect();
    write("shipped.json", &inside);
    let rules = tempfile::tempdir().unwrap();
    fs::write(rules.path().join("rule.yml"), SIGN_IN_RULE).unwrap();
    let ran =
        vigie(&["hunt", folder.path().to_str().unwrap(), "--no-builtin", "--rules", rules.path().to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("40 findings in 40 events"), "{}", ran.out);
}

#[test]
fn a_broken_element_costs_itself_and_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.xml");
    let (first, second) = (sign_in(1), sign_in(2));
    let cut = first.split("<EventData>").next().unwrap();
    fs::write(&path, format!("{first}\n{cut}\n{second}\n")).unwrap();
    let ran = vigie(&["hunt", path.to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 4, "{}", ran.out);
    assert!(ran.out.contains("in 2 events"), "{}", ran.out);
    let said = format!("at byte {}: the record is an element that is not closed", first.len() + 1);
    assert!(ran.out.contains(&said), "{}", ran.out);
}

#[test]
fn flows_inside_other_records_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let member =
        |number: u32| json!({ "eventId": number.to_string(), "timestamp": 1_794_448_390_000_u64, "message": flow(number) });
    write("filtered.json", &json!({ "events": (0..10).map(member).collect::<Vec<_>>(), "searchedLogStreams": [] }).to_string());
    let body = |number: u32| json!({ "timeUnixNano": "1794448390000000000", "severityNumber": 9, "body": { "stringValue": flow(number) } });
    let scope = json!({ "logRecords": (10..20).map(body).collect::<Vec<_>>() });
    write("otlp.json", &json!({ "resourceLogs": [{ "scopeLogs": [scope] }] }).to_string());
    let record: serde_json::Value =
        serde_json::from_str(include_str!("../../content/vendors/aws/logs/cloudtrail/samples/management_create_key.json"))
            .unwrap();
    write("tail.log", &format!("2026-11-12T01:53:10.000Z {record}\n2026-11-12T01:53:11 stream {{\"other\":1}}\n"));
    let rules = tempfile::tempdir().unwrap();
    fs::write(rules.path().join("rule.yml"), RULE).unwrap();
    let ran =
        vigie(&["hunt", folder.path().to_str().unwrap(), "--no-builtin", "--rules", rules.path().to_str().unwrap()]).unwrap();
    assert!(ran.out.contains("10 findings in 21 events"), "{}", ran.out);
}

#[test]
fn each_flow_of_a_list_is_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let tuple = |number: u32| {
        let decision = if number.is_multiple_of(2) { "D,B,,,," } else { "A,E,12,4210,10,38112" };
        format!("{},203.0.113.77,10.20.0.7,{},22,T,I,{decision}", 1_794_452_400 + number, 50_000 + number)
    };
    let group = |rule: &str, numbers: std::ops::Range<u32>| {
        let tuples: Vec<String> = numbers.map(tuple).collect();
        json!({ "rule": rule, "flows": [{ "mac": "000D3A1B2C3D", "flowTuples": tuples }] })
    };
    let record = json!({
        "time": "2026-11-12T03:01:00.2510334Z", "category": "NetworkSecurityGroupFlowEvent",
        "properties": { "Version": 2, "flows": [group("first", 0..20), group("second", 20..40)] },
    });
    fs::write(folder.path().join("PT1H.json"), json!({ "records": [record] }).to_string()).unwrap();
    let rules = tempfile::tempdir().unwrap();
    fs::write(rules.path().join("rule.yml"), RULE).unwrap();
    let ran =
        vigie(&["hunt", folder.path().to_str().unwrap(), "--no-builtin", "--rules", rules.path().to_str().unwrap()]).unwrap();
    assert!(ran.out.contains("20 findings in 40 events"), "{}", ran.out);
}
