//! `vigie logs`, and events that are OCSF already.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use vigie_tests::{Ran, vigie};

use crate::shapes::record;

fn lines(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

fn write(path: &Path, text: &str) -> String {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}{}", ran.out, ran.err))
}

/// What `vigie logs gaps -o json` says of one log type.
fn gaps_of(log: &str, arguments: &[&str]) -> Value {
    let ran = vigie(&[["logs", "gaps", "-o", "json"].as_slice(), arguments].concat()).unwrap();
    let told = json(&ran);
    let logs = told["logs"].as_array().unwrap();
    logs.iter().find(|told| told["log"] == log).unwrap_or_else(|| panic!("no {log} in {told}")).clone()
}

#[test]
fn log_types_are_listed_with_their_classes_and_commands() {
    let text = vigie(&["logs", "list"]).unwrap();
    assert_eq!(text.code, 0, "{}", text.err);
    for said in [
        "aws/cloudtrail",
        "Amazon Web Services, for example: aws s3 sync",
        "3002 authentication",
        "any class, as the record says",
    ] {
        assert!(text.out.contains(said), "{said}: {}", text.out);
    }
    assert_eq!(text.out.matches("aws s3 sync").count(), 1, "{}", text.out);
    let told = json(&vigie(&["logs", "list", "-o", "json"]).unwrap());
    let of = |log: &str| told["logs"].as_array().unwrap().iter().find(|row| row["log"] == log).unwrap().clone();
    assert!(of("aws/cloudtrail")["classes"].as_array().unwrap().contains(&json!(6003)));
    assert_eq!(of("ocsf/event")["any_class"], json!(true));
}

#[test]
fn gaps_name_paths_and_operations_that_nothing_reads() {
    let folder = tempfile::tempdir().unwrap();
    let mut records: Vec<Value> = (0..3).map(record).collect();
    for (number, record) in records.iter_mut().enumerate() {
        record["novelty"] = json!({ "deep": [{ "kind": format!("kind-{number}") }], "gone": null });
    }
    records[1]["eventName"] = json!("ProvisionGadget");
    records[2]["eventName"] = json!("DescribeGadget");
    let mut text = lines(&records);
    text.push_str("{\"nobody\":\"knows this\"}\n");
    let logs = write(&folder.path().join("logs.json"), &text);
    let told = gaps_of("aws/cloudtrail", &[&logs]);
    assert_eq!(told["records"], json!(3));
    let path = told["paths"].as_array().unwrap().iter().find(|row| row["path"] == "novelty.deep.kind").unwrap();
    assert_eq!((&path["count"], &path["example"]), (&json!(3), &json!("kind-0")));
    assert_eq!(
        told["operations"],
        json!([{ "service": "cloudtrail.amazonaws.com", "operation": "ProvisionGadget", "count": 1 }])
    );
    assert!(told["values_unmapped"].as_u64().unwrap() < told["values"].as_u64().unwrap());
    let ran = vigie(&["logs", "gaps", &logs, "--top", "1"]).unwrap();
    assert_eq!(ran.code, 4, "a record that nobody knows: {}", ran.out);
    for said in ["aws/cloudtrail: 3 records", "more paths", "ProvisionGadget", "1 records are of no known log type"] {
        assert!(ran.out.contains(said), "{said}: {}", ran.out);
    }
    assert_eq!(vigie(&["logs", "gaps", &logs, "--log", "no/log"]).unwrap().code, 2);
}

/// A file of a product that nobody mapped yet.
fn foreign() -> String {
    let rows: Vec<Value> = (0..4)
        .map(|number| {
            json!({
                "event_id": format!("e-{number:06}"), "created_at": format!("2026-11-12T01:52:{number:02}Z"),
                "action": if number % 2 == 0 { "member.added" } else { "project.viewed" },
                "actor": { "id": "u-1", "email": "lea@example.com" }, "ip_address": "203.0.113.7", "result": "success",
                "plan": { "seats": number },
            })
        })
        .collect();
    json!({ "next": null, "entries": rows }).to_string()
}

#[test]
fn a_log_type_is_begun_from_records_and_its_test_passes() {
    let folder = tempfile::tempdir().unwrap();
    let from = write(&folder.path().join("from.json"), &foreign());
    let target = folder.path().join("acme");
    let content = target.to_str().unwrap();
    let new = |id: &str, from: &str| vigie(&["logs", "new", "--from", from, "--id", id, "--write", content]).unwrap();
    let made = new("acme/audit", &from);
    assert_eq!(made.code, 0, "{}{}", made.out, made.err);
    for said in ["from 4 records, of which 4 become events", "actor.user.name              actor.email", "vigie test"] {
        assert!(made.out.contains(said), "{said}: {}", made.out);
    }
    let tested = vigie(&["test", content]).unwrap();
    assert_eq!(tested.code, 0, "{}", tested.out);
    let told = gaps_of("acme/audit", &[&from, "--content", content]);
    assert_eq!((&told["records"], &told["paths"][0]["path"]), (&json!(4), &json!("plan.seats")));
    // It never writes over anything.
    let before = fs::read(target.join("vendors/acme/logs/audit/mapping.toml")).unwrap();
    assert_eq!(new("acme/audit", &from).code, 2);
    assert_eq!(fs::read(target.join("vendors/acme/logs/audit/mapping.toml")).unwrap(), before);
    fs::remove_dir_all(&target).unwrap();
    for (id, code, said) in [("aws/cloudtrail", 2, "log type already"), ("../x", 2, "no log type"), ("Acme/x", 2, "lower case")] {
        let refused = new(id, &from);
        assert!(refused.code == code && refused.err.contains(said), "{id}: {} {}", refused.code, refused.err);
    }
    let known = write(&folder.path().join("known.json"), &lines(&[record(0)]));
    let refused = new("acme/trail", &known);
    assert!(refused.code == 1 && refused.err.contains("aws/cloudtrail already"), "{}", refused.err);
    let timeless = write(&folder.path().join("timeless.json"), "{\"a\":\"b\"}\n");
    assert!(new("acme/x", &timeless).err.contains("no field looks like a time"));
    assert!(!target.exists(), "what is refused writes nothing");
}

const KEY_RULE: &str = "title: A key was made\nid: 0d6a1c1e-3333-4a0f-9d8e-0c8f2a3b4c5d\nlogsource: {product: ocsf}\ndetection:\n  s: {verb: identity.credential.create, status_id: 1, api.request.data.userName: ci-deploy-bot, class_uid: 6003}\n  condition: s\nlevel: high\n";

/// A rule for every cloud finds an event that came as OCSF, by its verb and inside of JSON in a text.
#[test]
fn rules_of_every_cloud_read_events_that_are_ocsf() {
    let folder = tempfile::tempdir().unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../content/vendors/ocsf/logs/event/samples");
    let rule = write(&folder.path().join("key.yml"), KEY_RULE);
    // The sample tells of no operation of another log: its documents hold without that log.
    let sample = fs::read_to_string(samples.join("api_activity.json")).unwrap();
    let sample = sample.replace("ShareReport", "CreateAccessKey").replace("reports.example.com", "iam.amazonaws.com");
    let made = write(&folder.path().join("made.json"), &sample);
    let paths = [made.as_str(), samples.to_str().unwrap()];
    let options = ["--no-builtin", "--rules", rule.as_str(), "-o", "ndjson"];
    let ran = vigie(&[["hunt"].as_slice(), &paths, &options].concat()).unwrap();
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    let findings: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(findings.len(), 1, "{}", ran.out);
    assert_eq!(findings[0]["finding_info"]["related_events"][0]["uid"], json!("5e0c7c1a-8d41-4f0b-9a52-3f7d1f6b2c90"));
    // What a hunt writes is OCSF, and is read as such.
    let written = write(&folder.path().join("findings.ndjson"), &ran.out);
    assert_eq!(gaps_of("ocsf/event", &[&written])["records"], json!(1));
}

/// A log type that takes what no other does yields to one with a narrower mark, in any order of records.
#[test]
fn the_last_log_type_takes_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let content = folder.path().join("content/vendors/zzz/logs/scanner");
    let log = "format = 1\nid = \"zzz/scanner\"\ntitle = \"Scanner\"\n[logsource]\n[recognise]\nany_of = [[\"class_uid\", \"scanner_mark\"]]\n[identity]\nid = \"metadata.uid\"\ntime = \"time\"\n";
    let mapping = "format = 1\nversion = \"1\"\nocsf = \"1.8.0\"\nprofiles = []\n[operations]\ntable = \"operations.tsv\"\nkey = [\"class_uid\", \"activity_id\"]\n[operations.default]\nclass_uid = 2004\nverb = \"provider.finding\"\nactivity = []\n[fields]\n[principal]\ncredential = \"''\"\nuid = \"''\"\nname = \"''\"\nperson = \"''\"\n";
    write(&content.join("log.toml"), log);
    write(&content.join("mapping.toml"), mapping);
    write(&content.join("operations.tsv"), "service\toperation\tverb\tclass_uid\tactivity_id\ttarget\tpeer\n");
    let content = folder.path().join("content");
    let event = |number: u32, is_scanner: bool| {
        let mut event = json!({ "class_uid": 2004, "category_uid": 2, "activity_id": 1, "type_uid": 200_401, "severity_id": 1,
            "time": 1_794_448_327_000_u64 + u64::from(number), "metadata": { "version": "1.3.0", "uid": format!("f-{number}") } });
        if is_scanner {
            event["scanner_mark"] = json!(1);
        }
        event
    };
    let marks = [true, false, false, true, true, false];
    let mut events: Vec<Value> = (0u32..).zip(marks).map(|(number, mark)| event(number, mark)).collect();
    for _ in 0..2 {
        let logs = write(&folder.path().join("logs.json"), &(lines(&events) + "{\"broken\": \n" + &lines(&[event(9, false)])));
        for (log, records) in [("zzz/scanner", 3), ("ocsf/event", 4)] {
            let told = gaps_of(log, &[&logs, "--content", content.to_str().unwrap()]);
            assert_eq!(told["records"], json!(records), "{log}");
        }
        let ran = vigie(&["hunt", &logs, "--content", content.to_str().unwrap()]).unwrap();
        assert!(ran.out.contains("1 records are malformed"), "{}", ran.out);
        events.reverse();
    }
}
