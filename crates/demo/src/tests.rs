//! Proves on the shipped content that the demo is deterministic, whole, and tells the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::{Object, Options, Templates, Truth, digest, generate, records};

/// The shipped files of `content/demo/`, by path.
fn content() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../content/demo");
    let mut files = BTreeMap::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                files.insert(path.to_string_lossy().into_owned(), text);
            }
        }
    }
    files
}

fn templates() -> Templates {
    match Templates::parse(&content()) {
        Ok(templates) => templates,
        Err(cause) => panic!("{cause}"),
    }
}

fn make(options: &Options, signer: Option<&dyn Fn(&str) -> String>) -> (Vec<Object>, Truth) {
    let mut objects = Vec::new();
    let truth = generate(&templates(), options, signer, &mut |object| {
        objects.push(object);
        Ok(())
    });
    (objects, truth.unwrap())
}

fn raw(options: &Options) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    let count = records(&templates(), options, &mut |bytes| {
        events.push(serde_json::from_slice(bytes).unwrap());
        Ok(())
    });
    assert_eq!(count.unwrap(), events.len() as u64);
    events
}

fn unpack(object: &Object) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(object.bytes.as_slice());
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

fn is_digest(object: &Object) -> bool {
    object.path.contains("-Digest/") && object.path.ends_with(".json.gz")
}

/// Whether it is a log that digests may prove.
fn is_trail(object: &Object) -> bool {
    object.path.ends_with(".json.gz") && !is_digest(object)
}

fn is_log(object: &Object) -> bool {
    is_trail(object) || object.path.starts_with("github/") || object.path.starts_with("entra/")
}

/// The records of a log, whatever stands around them.
fn records_of(object: &Object) -> Vec<Value> {
    if object.path.ends_with(".ndjson") {
        let lines = object.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        return lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    }
    let (bytes, key) = if is_trail(object) { (unpack(object), "Records") } else { (object.bytes.clone(), "value") };
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    value[key].as_array().unwrap().clone()
}

/// The id of a record: each provider has a name of its own for it.
fn id(event: &Value) -> &str {
    ["eventID", "_document_id", "id"].into_iter().map(|key| text(event, key)).find(|id| !id.is_empty()).unwrap_or_default()
}

/// Those of the cloud that has trails.
fn trail_events(events: Vec<Value>) -> Vec<Value> {
    events.into_iter().filter(|event| !event["eventVersion"].is_null()).collect()
}

fn text<'v>(event: &'v Value, key: &str) -> &'v str {
    event[key].as_str().unwrap_or_default()
}

fn region(event: &Value) -> &str {
    let mut fields = event.as_object().unwrap().iter();
    let field = fields.find(|(name, _)| name.ends_with("Region"));
    field.and_then(|(_, value)| value.as_str()).unwrap_or_default()
}

#[test]
fn same_options_same_bytes() {
    let options = Options { events: 3_000, ..Options::default() };
    let (first, _) = make(&options, None);
    let (second, _) = make(&options, None);
    assert!(first == second);
    let other = Options { seed: 2, ..options };
    assert!(first != make(&other, None).0);
}

#[test]
fn records_are_json_in_order_and_as_many_as_asked() {
    let options = Options { intrusion: false, ..Options::default() };
    let events = raw(&options);
    assert_eq!(events.len(), 10_000);
    let ids: BTreeSet<&str> = events.iter().map(id).collect();
    assert_eq!(ids.len(), 10_000);
    assert!(events.iter().all(|event| !event.to_string().contains("{{")));
    for key in ["createdDateTime", "activityDateTime", "@timestamp"] {
        assert!(events.iter().any(|event| !event[key].is_null()), "no record has {key}");
    }
    let events = trail_events(events);
    assert!(events.len() >= 9_000, "{} records of trails", events.len());
    let times: Vec<&str> = events.iter().map(|e| text(e, "eventTime")).collect();
    assert!(times.is_sorted());
    assert!(times[0] >= "2026-11-11T08:00:00Z");
    assert!(times[times.len() - 1] < "2026-11-12T08:00:00Z");
    for event in &events {
        assert_eq!(text(event, "eventVersion"), "1.11");
        assert_ne!(text(&event["userIdentity"], "type"), "Root");
    }
}

#[test]
fn the_mix_is_believable() {
    let options = Options { events: 20_000, intrusion: false, ..Options::default() };
    let events = trail_events(raw(&options));
    let data = events.iter().filter(|e| e["eventCategory"] == "Data");
    let share = data.count() * 100 / events.len();
    assert!((28..=42).contains(&share), "data events: {share} %");
    let refused = events.iter().filter(|e| !e["errorCode"].is_null());
    let per_mille = refused.count() * 1_000 / events.len();
    assert!((10..=35).contains(&per_mille), "refused: {per_mille} per mille");
    for category in ["Management", "Data", "Insight", "NetworkActivity"] {
        assert!(events.iter().any(|e| e["eventCategory"] == category));
    }
    assert!(events.iter().any(|e| text(e, "eventType").ends_with("ServiceEvent")));
}

#[test]
fn objects_hold_what_the_truth_says() {
    let (objects, truth) = make(&Options::default(), None);
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    let mut again = 0;
    let mut logs = 0;
    for object in objects.iter().filter(|object| is_log(object)) {
        logs += 1;
        let list = records_of(object);
        assert!((1..=500).contains(&list.len()));
        for event in &list {
            if is_trail(object) {
                let account = text(event, "recipientAccountId");
                assert!(object.path.contains(&format!("/{account}/")));
                assert!(object.path.contains(&format!("/{}/", region(event))));
            }
            match ids.insert(id(event).to_owned(), event.to_string()) {
                Some(before) => {
                    assert_eq!(before, event.to_string());
                    again += 1;
                }
                None => continue,
            }
        }
    }
    assert_eq!(logs, truth.objects);
    assert_eq!(again, truth.duplicates);
    assert_eq!(ids.len() as u64, truth.events);
    assert_eq!(truth.events + truth.removed, 10_000);
    assert!(truth.skipped.is_empty());
    for planted in &truth.planted {
        assert!(!planted.event_ids.is_empty());
        assert!(planted.event_ids.iter().all(|id| ids.contains_key(id)));
    }
    assert_eq!(truth.person, "maelle.kerdoncuff@armorique-energie.example");
    assert_eq!(truth.clouds, ["github", "aws", "entra"]);
    assert!(truth.planted.iter().all(|planted| truth.clouds.contains(&planted.cloud)));
    assert!(truth.twins.iter().all(|twin| ids.contains_key(&twin.event_id)));
    assert_eq!(objects.last().unwrap().path, "truth.json");
}

#[test]
fn a_stopped_trail_leaves_a_positive_hole() {
    let (objects, truth) = make(&Options::default(), None);
    let gap = &truth.silences[0];
    assert!(truth.removed > 0);
    for object in objects.iter().filter(|object| is_trail(object)) {
        let value: Value = serde_json::from_slice(&unpack(object)).unwrap();
        for event in value["Records"].as_array().unwrap() {
            let time = text(event, "eventTime");
            let stopped = gap.from.as_str() < time && time < gap.to.as_str();
            let data = event["eventCategory"] == "Data";
            let account = text(event, "recipientAccountId");
            assert!(!(stopped && data && account == "417203958816"));
        }
    }
    let written: BTreeSet<&str> = objects.iter().map(|o| o.path.as_str()).collect();
    // Three hours, three regions.
    assert_eq!(truth.missing_digests.len(), 9);
    let mut missing = truth.missing_digests.iter();
    assert!(missing.all(|path| !written.contains(path.as_str())));
}

#[test]
fn digests_prove_every_object_and_form_chains() {
    let sign = |text: &str| digest::sha256(text.as_bytes());
    let (objects, truth) = make(&Options::default(), Some(&sign));
    let by_path: BTreeMap<&str, &Object> = objects.iter().map(|o| (o.path.as_str(), o)).collect();
    let mut listed: BTreeSet<String> = BTreeSet::new();
    let mut starts = 0;
    let mut digests = 0;
    for object in objects.iter().filter(|object| is_digest(object)) {
        digests += 1;
        let bytes = unpack(object);
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(text(&value, "digestS3Object"), object.path);
        for file in value["logFiles"].as_array().unwrap() {
            let log = by_path[text(file, "s3Object")];
            assert_eq!(digest::sha256(&unpack(log)), text(file, "hashValue"));
            assert!(listed.insert(log.path.clone()));
        }
        if value["previousDigestS3Object"].is_null() {
            assert!(value["previousDigestSignature"].is_null());
            starts += 1;
        } else {
            let before = by_path[text(&value, "previousDigestS3Object")];
            let hash = digest::sha256(&unpack(before));
            assert_eq!(hash, text(&value, "previousDigestHashValue"));
        }
        let previous = value["previousDigestSignature"].as_str().unwrap_or("null");
        let signed = format!(
            "{}\n{}/{}\n{}\n{previous}",
            text(&value, "digestEndTime"),
            text(&value, "digestS3Bucket"),
            object.path,
            digest::sha256(&bytes)
        );
        let sidecar = by_path[format!("{}.metadata.json", object.path).as_str()];
        let sidecar: Value = serde_json::from_slice(&sidecar.bytes).unwrap();
        assert_eq!(text(&sidecar, "signature"), sign(&signed));
    }
    assert_eq!(digests, truth.digests);
    // 18 chains, of which three begin again after the stop.
    assert_eq!(starts, 21);
    for object in objects.iter().filter(|o| is_trail(o) && !o.path.contains("-Insight/")) {
        let unlisted = truth.objects_without_digest.contains(&object.path);
        assert_ne!(unlisted, listed.contains(&object.path));
    }
}

#[test]
fn the_chain_of_identities_holds() {
    let events = raw(&Options::default());
    let made: Vec<&Value> = events.iter().filter(|e| e["eventName"] == "CreateAccessKey" && e["errorCode"].is_null()).collect();
    for event in &events {
        let key = text(&event["userIdentity"], "accessKeyId");
        let is_stolen = text(event, "sourceIPAddress") == "203.0.113.77";
        if is_stolen && key.starts_with("AKIA") {
            let maker = made.iter().find(|m| {
                m["responseElements"]["accessKey"]["accessKeyId"] == key && text(m, "eventTime") < text(event, "eventTime")
            });
            assert!(maker.is_some(), "nobody made {key}");
        }
    }
    let stolen =
        events.iter().filter(|e| e["sourceIPAddress"] == "203.0.113.77" && text(e, "eventTime") < "2026-11-12T02:06:00Z");
    let stolen: Vec<&Value> = stolen.collect();
    let refused = stolen.iter().filter(|e| e["errorCode"] == "AccessDenied");
    let refused = refused.count();
    assert!(stolen.iter().all(|event| !event["eventVersion"].is_null()));
    assert!(stolen.len() >= 60 && refused * 3 >= 55 && refused * 3 <= 75);
}
