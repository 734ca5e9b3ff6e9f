//! OCSF 1.8.0: every CloudTrail record of the corpora becomes a valid event of the right class.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use vigie_record::{PathSet, Row, Walk};
use vigie_tests::oracle;

use crate::harness::{cloudtrail, labelled};
use crate::schema::Schemas;

const FILES: [&str; 5] = ["ct_invictus", "ct_otrf", "ct_stratus", "ct_stratus_suzaku", "ct_traildiscover"];

/// Every record of the corpora with its document.
fn documents(corpus: &Path) -> Vec<(Value, Value)> {
    let mapping = cloudtrail();
    let mut wanted = PathSet::new();
    let programme = mapping.programme(&mut wanted);
    let walk = Walk::compile(&[programme.paths()]);
    let mut documents = Vec::new();
    for file in FILES {
        for mut record in labelled(&corpus.join(format!("cloudtrail/{file}.ndjson.zst"))) {
            record.as_object_mut().unwrap().retain(|key, _| !key.starts_with('_'));
            let text = record.to_string();
            let mut row = Row::new();
            walk.read(text.as_bytes(), &mut row).unwrap();
            let document = programme.document(&walk.view(&row, 0));
            documents.push((record, serde_json::from_str(&document).unwrap()));
        }
    }
    documents
}

#[test]
fn done_hunt_4_events_are_valid_ocsf() {
    oracle("ocsf-schema", |corpus| {
        let mut schemas = Schemas::load(corpus);
        let mut wrong: BTreeMap<String, usize> = BTreeMap::new();
        let mut classes: BTreeMap<u64, usize> = BTreeMap::new();
        let documents = documents(corpus);
        for (record, document) in &documents {
            let class = document["class_uid"].as_u64().unwrap();
            *classes.entry(class).or_default() += 1;
            for error in schemas.errors(document) {
                let text = format!("{class} {} {error}", record["eventName"]);
                *wrong.entry(text.chars().take(300).collect()).or_default() += 1;
            }
        }
        assert!(wrong.is_empty(), "{} kinds of errors: {wrong:#?}", wrong.len());
        let golden: String = classes.iter().map(|(class, count)| format!("{class}\t{count}\n")).collect();
        assert_eq!(golden, include_str!("cloudtrail_classes.tsv").split_once('\n').unwrap().1);
        assert!(!classes.contains_key(&0), "a record fell to Base Event");
        println!("{} of {} records are valid events of {} classes", documents.len(), documents.len(), classes.len());
    });
}

/// What stands at a dotted path; arrays are gone through.
fn at<'v>(value: &'v Value, path: &[&str], out: &mut Vec<&'v Value>) {
    match (value, path) {
        (Value::Null, _) => {}
        (Value::Array(items), [_, ..]) => items.iter().for_each(|item| at(item, path, out)),
        (value, []) => out.push(value),
        (value, [key, rest @ ..]) => at(&value[*key], rest, out),
    }
}

/// The table of paths holds on every record that has the path.
#[test]
fn done_hunt_4_path_table() {
    oracle("cloudtrail-paths", |corpus| {
        let rows: Vec<Vec<&str>> =
            include_str!("cloudtrail_paths.tsv").lines().skip(1).map(|line| line.split('\t').collect()).collect();
        assert!(rows.len() >= 60, "{} rows", rows.len());
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let documents = documents(corpus);
        for (record, document) in &documents {
            for row in &rows {
                let [from, to, classes, how] = row.as_slice() else { panic!("{row:?} has four columns") };
                let class = document["class_uid"].to_string();
                if *classes != "all" && !classes.split(',').any(|wanted| wanted == class) {
                    continue;
                }
                let (mut wanted, mut found) = (Vec::new(), Vec::new());
                at(record, &from.split('.').collect::<Vec<_>>(), &mut wanted);
                at(document, &to.split('.').collect::<Vec<_>>(), &mut found);
                let wanted: Vec<String> = wanted.into_iter().filter_map(|value| expected(value, how)).collect();
                if wanted.is_empty() {
                    continue;
                }
                let found: Vec<String> = found.into_iter().map(plain).collect();
                assert_eq!(found, wanted, "{from} -> {to} in {} {}", record["eventName"], record["eventID"]);
                *seen.entry(from).or_default() += 1;
            }
        }
        let unseen: Vec<_> = rows.iter().filter(|row| !seen.contains_key(row[0])).map(|row| row[0]).collect();
        println!("{} paths hold on {} records; no record has {unseen:?}", rows.len(), documents.len());
    });
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a value of a record must become.
fn expected(value: &Value, how: &str) -> Option<String> {
    let text = plain(value);
    Some(match how {
        "same" if text.is_empty() => return None,
        "same" => text,
        "time" => vigie_model::parse_rfc3339(&text)?.to_string(),
        "bool" => match text.to_lowercase().as_str() {
            "true" | "yes" => "true".to_owned(),
            "false" | "no" => "false".to_owned(),
            _ => return None,
        },
        "ip" if text.contains('.') && text.chars().all(|c| c.is_ascii_digit() || c == '.') => {
            let octets: Vec<String> = text.split('.').map(|octet| octet.parse::<u8>().unwrap().to_string()).collect();
            octets.join(".")
        }
        "domain" if text.chars().any(|c| c.is_ascii_alphabetic()) && !text.contains(':') => text,
        "failure" => "2".to_owned(),
        _ => return None,
    })
}

/// What the examples of the OCSF project and our documents must agree on, where the example says it.
const MEANING: [&str; 17] = [
    "class_uid",
    "activity_id",
    "time",
    "api.operation",
    "api.service.name",
    "actor.user.uid",
    "actor.user.name",
    "actor.user.account.uid",
    "actor.user.credential_uid",
    "actor.session.issuer",
    "actor.session.is_mfa",
    "src_endpoint.ip",
    "cloud.region",
    "cloud.provider",
    "user.name",
    "metadata.uid",
    "http_request.user_agent",
];

/// The CloudTrail examples of version 1.1 mean what our documents say.
#[test]
fn done_hunt_4_ocsf_examples() {
    oracle("ocsf-examples", |corpus| {
        let files = vigie_tests::untar(&corpus.join("ocsf-examples/ocsf-examples.tar.zst")).unwrap();
        let mapping = cloudtrail();
        let mut wanted = PathSet::new();
        let programme = mapping.programme(&mut wanted);
        let walk = Walk::compile(&[programme.paths()]);
        let (mut pairs, mut compared) = (0, 0);
        for (path, text) in files.iter().filter(|(path, _)| path.contains("AWS/v1.1.0/CloudTrail/") && path.ends_with(".ocsf")) {
            let raw: Value = serde_json::from_str(&files[&path.replace(".ocsf", ".raw")]).unwrap();
            let example: Value = serde_json::from_str(text).unwrap();
            let raw = raw.to_string();
            let mut row = Row::new();
            walk.read(raw.as_bytes(), &mut row).unwrap();
            let document: Value = serde_json::from_str(&programme.document(&walk.view(&row, 0))).unwrap();
            pairs += 1;
            for place in MEANING {
                let parts: Vec<&str> = place.split('.').collect();
                let (mut theirs, mut ours) = (Vec::new(), Vec::new());
                at(&example, &parts, &mut theirs);
                at(&document, &parts, &mut ours);
                if !theirs.is_empty() {
                    compared += 1;
                    assert_eq!(ours, theirs, "{place} in {path}");
                }
            }
        }
        assert_eq!(pairs, 3);
        println!("{compared} values of {pairs} examples agree");
    });
}
