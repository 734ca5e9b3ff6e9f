//! Raw records and the events that the authors of OCSF made of them: ours agree, or the difference is explained.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use vigie_tests::{oracle, untar};

use crate::corpora::{Mapped, Sample, map};

/// What must agree: class, activity, actor, operation, source address, account, region, status, time.
const MEANING: [&str; 10] = [
    "class_uid",
    "activity_id",
    "actor.user.name",
    "actor.user.uid",
    "api.operation",
    "src_endpoint.ip",
    "cloud.account.uid",
    "cloud.region",
    "status_id",
    "time",
];
/// Pairs of log types of ours that the corpus has, at least.
const PAIRS_MIN: usize = 40;

/// The first value at a path that says something; lists are gone through.
fn first<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    match (value, path) {
        (Value::Array(items), _) => items.iter().find_map(|item| first(item, path)),
        (value, []) => Some(value).filter(|value| !value.is_null() && value.as_str() != Some("")),
        (value, [key, rest @ ..]) => first(value.get(*key)?, rest),
    }
}

/// The file that an expected event was made of.
fn raw_of<'f>(path: &str, files: &'f BTreeMap<String, String>) -> Option<&'f String> {
    let (folder, name) = path.rsplit_once('/')?;
    let (stem, _) = path.rsplit_once('.')?;
    let (own, raw) = (name.replace("OCSF_", "").replace("ocsf_", ""), name.replace("OCSF_", "").replace(".json", ".raw"));
    let candidates = [
        format!("{stem}.raw"),
        format!("{folder}/{own}"),
        format!("{folder}/generic_{raw}"),
        format!("{folder}/{raw}"),
        format!("{folder}/route53.raw"),
    ];
    candidates.iter().filter(|candidate| *candidate != path).find_map(|candidate| files.get(candidate))
}

#[test]
fn done_clouds_2_ocsf_examples_agree() {
    oracle("clouds-examples", |corpus| {
        let files = untar(&corpus.join("ocsf-examples/ocsf-examples.tar.zst")).unwrap();
        let is_expected = |path: &str| {
            let name = path.rsplit('/').next().unwrap_or_default();
            path.starts_with("mappings/") && (name.ends_with(".ocsf") || name.starts_with("OCSF_") || name == "ocsf_eks.json")
        };
        let (mut samples, mut expected, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        for (path, text) in files.iter().filter(|(path, _)| is_expected(path)) {
            let (Ok(event), Some(raw)) = (serde_json::from_str::<Value>(text), raw_of(path, &files)) else {
                left_out.push(path.as_str());
                continue;
            };
            let name = path.trim_start_matches("mappings/").to_owned();
            samples.push(Sample { place: Default::default(), name: name.clone(), bytes: raw.clone().into_bytes() });
            expected.push((name, event));
        }
        let Mapped { documents, .. } = map(&samples);
        let rows = include_str!("ocsf_examples_differences.tsv").lines().skip(1);
        let explained: BTreeSet<(&str, &str)> = rows
            .map(|line| {
                let columns: Vec<&str> = line.split('\t').collect();
                let [pair, field, _, _, why] = columns[..] else { panic!("five columns: {line}") };
                assert!(!why.is_empty(), "{line}");
                (pair, field)
            })
            .collect();
        let (mut pairs, mut agree, mut differ) = (0, 0, 0);
        let mut unexplained = Vec::new();
        for (name, event) in &expected {
            let Some(ours) = documents.get(name) else {
                left_out.push(name);
                continue;
            };
            let mut theirs: Vec<&Value> = event.as_array().map_or_else(|| vec![event], |events| events.iter().collect());
            theirs.sort_by_key(|event| event["time"].as_i64());
            let mut ours: Vec<&Value> = ours.iter().map(|(_, document)| document).collect();
            ours.sort_by_key(|event| event["time"].as_i64());
            pairs += 1;
            for (theirs, ours) in theirs.iter().zip(&ours) {
                for field in MEANING {
                    let path: Vec<&str> = field.split('.').collect();
                    match (first(theirs, &path), first(ours, &path)) {
                        (None, _) => {}
                        (Some(theirs), Some(ours)) if theirs == ours => agree += 1,
                        _ if explained.contains(&(name.as_str(), field)) => differ += 1,
                        (Some(theirs), ours) => unexplained.push(format!("{name} {field}: ours {ours:?}, theirs {theirs:?}")),
                    }
                }
            }
        }
        println!("{pairs} pairs: {agree} values agree, {differ} differ and are explained; no log type here: {left_out:?}");
        assert!(unexplained.is_empty(), "{unexplained:#?}");
        assert!(pairs >= PAIRS_MIN, "{pairs} pairs");
    });
}
