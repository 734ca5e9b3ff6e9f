//! Sigma: SigmaHQ's rules, their own samples, and hits and correlations that pySigma computed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value};
use vigie_tests::{ndjson, oracle, untar};

use crate::harness::{hunt, labelled, native_lanes, pairs, rules};

fn sigma_files(corpus: &Path) -> BTreeMap<String, String> {
    untar(&corpus.join("sigma-rules/sigma-rules.tar.zst")).unwrap()
}

fn is_rule(path: &str) -> bool {
    path.trim_start_matches("./").starts_with("rules/") && path.ends_with(".yml")
}

/// Every rule under rules/ compiles, or stands in the table of refused rules with pySigma's own words.
#[test]
fn done_hunt_2a_rules_compile() {
    oracle("sigma-rules", |corpus| {
        let refused = include_str!("sigma_refused.tsv");
        let refused: BTreeSet<&str> = refused.lines().skip(1).filter_map(|line| line.split('\t').next()).collect();
        let files: BTreeMap<_, _> = sigma_files(corpus).into_iter().filter(|(path, _)| is_rule(path)).collect();
        let sources: Vec<_> =
            files.iter().map(|(place, text)| vigie_detect::RuleSource { place: place.clone(), text: text.clone() }).collect();
        let (set, errors) = vigie_detect::RuleSet::parse(&sources, BTreeMap::new());
        let unexpected: Vec<String> =
            errors.iter().filter(|error| !refused.contains(error.place.as_str())).map(ToString::to_string).collect();
        assert!(unexpected.is_empty(), "{unexpected:#?}");
        assert_eq!(files.len(), 3141);
        assert_eq!(set.facts().len() + refused.len(), 3141);
        println!("{} of {} rules compile, {} refused", set.facts().len(), files.len(), refused.len());
    });
}

/// The sample of each rule of SigmaHQ's regression data matches its rule.
#[test]
fn done_hunt_2b_regression_samples() {
    oracle("sigma-regression", |corpus| {
        let by_id: BTreeMap<String, String> = sigma_files(corpus)
            .into_iter()
            .filter(|(path, _)| path.ends_with(".yml"))
            .filter_map(|(_, text)| Some((id_of(&text)?, text)))
            .collect();
        let samples = untar(&corpus.join("sigma-rules/sigma-regression.tar.zst")).unwrap();
        let (mut tested, mut failed) = (0, Vec::new());
        for (path, text) in samples.iter().filter(|(path, _)| path.ends_with(".json")) {
            let id = path.rsplit('/').next().unwrap().trim_end_matches(".json");
            let rule = by_id.get(id).unwrap_or_else(|| panic!("no rule has the id {id}"));
            let records: Vec<Value> =
                serde_json::Deserializer::from_str(text).into_iter().map(|value| flatten(value.unwrap())).collect();
            let set = rules([(path.clone(), rule.clone())]);
            let source = set.logsource(0).unwrap();
            let log = format!("{}/{}", source.0.unwrap_or("any"), source.2.or(source.1).unwrap_or("any"));
            let (findings, _) = hunt(&set, &native_lanes(&log, &set, "TimeCreated"), &records);
            tested += 1;
            if findings.is_empty() {
                failed.push(path.clone());
            }
        }
        assert!(failed.is_empty(), "{} of {tested} fail: {failed:#?}", failed.len());
        assert_eq!(tested, 202);
        println!("{tested} of {tested} samples match their rule");
    });
}

fn id_of(rule: &str) -> Option<String> {
    rule.lines().find_map(|line| line.strip_prefix("id:")).map(|id| id.trim().to_owned())
}

/// A Windows event as Sigma's taxonomy names its fields: this is the harness's work, not Vigie's.
fn flatten(event: Value) -> Value {
    let mut out = Map::new();
    let event = &event["Event"];
    if let Value::Object(system) = &event["System"] {
        for (key, value) in system {
            match value {
                Value::Object(inner) => {
                    for (name, value) in inner.get("#attributes").and_then(Value::as_object).into_iter().flatten() {
                        out.insert(format!("{key}_{name}"), value.clone());
                    }
                    out.extend(inner.get("#text").map(|text| (key.clone(), text.clone())));
                }
                value => {
                    out.insert(key.clone(), value.clone());
                }
            }
        }
    }
    for part in ["EventData", "UserData"] {
        members(&event[part], &mut out);
    }
    Value::Object(out)
}

fn members(value: &Value, out: &mut Map<String, Value>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        if value.is_object() {
            members(value, out);
        } else if key != "xmlns" {
            // Sigma's taxonomy writes the names without their spaces.
            out.insert(key.replace(' ', ""), value.clone());
        }
    }
}

/// The log of each dataset of the expected hits, and where its rules stand.
const DATASETS: [(&str, &str, &str); 10] = [
    ("ct_invictus", "aws/cloudtrail", "cloudtrail/ct_invictus.ndjson.zst"),
    ("ct_otrf", "aws/cloudtrail", "cloudtrail/ct_otrf.ndjson.zst"),
    ("ct_stratus", "aws/cloudtrail", "cloudtrail/ct_stratus.ndjson.zst"),
    ("ct_stratus_suzaku", "aws/cloudtrail", "cloudtrail/ct_stratus_suzaku.ndjson.zst"),
    ("ct_traildiscover", "aws/cloudtrail", "cloudtrail/ct_traildiscover.ndjson.zst"),
    ("panther_AWS_CloudTrail", "aws/cloudtrail", ""),
    ("panther_Amazon_EKS_Audit", "kubernetes/audit", ""),
    ("panther_GCP_AuditLog", "gcp/gcp.audit", ""),
    ("panther_GitHub_Audit", "github/audit", ""),
    ("panther_Okta_SystemLog", "okta/okta", ""),
];

/// The same (rule, event) pairs as pySigma on SQLite, nothing less, and nothing more than the table
/// of differences that we mean.
#[test]
fn done_hunt_2c_expected_hits() {
    oracle("sigma-expected", |corpus| {
        let files: Vec<_> = sigma_files(corpus).into_iter().filter(|(path, _)| is_rule(path)).collect();
        let set = rules(files);
        let expected = ndjson(&corpus.join("sigma-expected/expected-hits.ndjson.zst")).unwrap();
        let panther = labelled(&corpus.join("sigma-expected/panther-events.ndjson.zst"));
        let meant = include_str!("sigma_more.tsv").lines().skip(1).map(|line| {
            let mut columns = line.split('\t').map(str::to_owned);
            (columns.next().unwrap(), columns.next().unwrap())
        });
        let meant: BTreeSet<(String, String)> = meant.collect();
        let (mut total, mut differences) = (0, BTreeSet::new());
        for (dataset, log, file) in DATASETS {
            let wanted: BTreeSet<(String, String)> = expected
                .iter()
                .filter(|hit| hit["dataset"] == dataset)
                .map(|hit| (hit["rule_id"].as_str().unwrap().to_owned(), hit["event_uid"].as_str().unwrap().to_owned()))
                .collect();
            // The Panther events of all products stand in one file: only those of this log are read.
            let records = if file.is_empty() {
                panther.iter().filter(|event| log_of(event) == log).cloned().collect()
            } else {
                labelled(&corpus.join(file))
            };
            let (findings, _) = hunt(&set, &native_lanes(log, &set, "eventTime"), &records);
            let found = pairs(&set, &findings);
            let missing: Vec<_> = wanted.difference(&found).collect();
            let more: BTreeSet<_> = found.difference(&wanted).cloned().collect();
            let unmeant: Vec<_> = more.difference(&meant).collect();
            assert!(missing.is_empty() && unmeant.is_empty(), "{dataset}: missing {missing:#?}, more {unmeant:#?}");
            total += wanted.len();
            differences.extend(more);
        }
        assert_eq!(total, expected.len());
        assert_eq!(differences, meant);
        println!("{total} of {} hits, {} more that are meant", expected.len(), meant.len());
    });
}

/// The log type of a Panther test event: what it says itself, else by the rule it tests.
fn log_of(event: &Value) -> &'static str {
    let label = event["_label"].as_str().unwrap_or_default();
    match event["p_log_type"].as_str().unwrap_or(label).split('.').next().unwrap_or_default() {
        "AWS" if event["p_log_type"].as_str().is_none_or(|log| log == "AWS.CloudTrail") => "aws/cloudtrail",
        "Amazon" | "Kubernetes" => "kubernetes/audit",
        "GCP" => "gcp/gcp.audit",
        "GitHub" | "Github" => "github/audit",
        "Okta" => "okta/okta",
        _ => "unknown/unknown",
    }
}

/// The same (correlation, group, events) as pySigma's correlations on SQLite.
#[test]
fn done_hunt_2c_expected_correlations() {
    oracle("sigma-correlations", |corpus| {
        let mut correlations = BTreeSet::new();
        for (file, expected, log, dataset, time) in [
            (
                "correlation-aws.yml",
                "expected-corr-invictus.ndjson.zst",
                "aws/cloudtrail",
                "cloudtrail/ct_invictus.ndjson.zst",
                "eventTime",
            ),
            (
                "correlation-m365.yml",
                "expected-corr-o365.ndjson.zst",
                "m365/audit",
                "o365-unified-audit/o365.ndjson.zst",
                "CreationTime",
            ),
        ] {
            let text = std::fs::read_to_string(corpus.join("sigma-expected").join(file)).unwrap();
            // A correlation that another one builds on reports nothing of its own (`generate`): the
            // oracle computed each alone, so the nested ones are left out once.
            let flat: Vec<&str> = text.split("\n---\n").filter(|document| !document.contains("(nested)")).collect();
            let flat = flat.join("\n---\n");
            let records = labelled(&corpus.join(dataset));
            let mut found: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
            for text in [text, flat] {
                let set = rules([(file.to_owned(), text)]);
                let (findings, _) = hunt(&set, &native_lanes(log, &set, time), &records);
                let is_correlation = |finding: &vigie_model::Finding| set.facts()[finding.rule as usize].is_correlation;
                for finding in findings.into_iter().filter(is_correlation) {
                    let group: Vec<String> = finding.group.iter().map(|field| field.value.to_lowercase()).collect();
                    let key = (set.facts()[finding.rule as usize].id.clone(), group.join(" "));
                    found.entry(key).or_default().extend(finding.related);
                }
                correlations.extend(set.facts().iter().filter(|facts| facts.is_correlation).map(|facts| facts.id.clone()));
            }
            let mut wanted = BTreeMap::new();
            for line in ndjson(&corpus.join("sigma-expected").join(expected)).unwrap() {
                let group: Vec<String> =
                    line["group"].as_object().unwrap().values().map(|value| value.as_str().unwrap().to_lowercase()).collect();
                let events: BTreeSet<String> =
                    line["event_uids"].as_array().unwrap().iter().map(|uid| uid.as_str().unwrap().to_owned()).collect();
                wanted.insert((line["correlation_id"].as_str().unwrap().to_owned(), group.join(" ")), events);
            }
            for (key, events) in &wanted {
                let ours = found.get(key).cloned().unwrap_or_default();
                let missing: Vec<_> = events.difference(&ours).collect();
                let more: Vec<_> = ours.difference(events).collect();
                assert!(missing.is_empty() && more.is_empty(), "{key:?}: missing {missing:?}, more {more:?}");
            }
            let unexpected: Vec<_> = found.keys().filter(|key| !wanted.contains_key(*key)).collect();
            assert!(unexpected.is_empty(), "{unexpected:?}");
        }
        assert_eq!(correlations.len(), 13);
        println!("{} correlations give the same groups and events", correlations.len());
    });
}

/// How many records the two engines are compared on.
const DIFFERENTIAL_RECORDS: usize = 100_000;

/// Two engines, one answer: the same count for every rule as `rsigma-eval`, but for the table of
/// differences, each with the clause of the specification.
#[test]
fn done_hunt_2d_differential() {
    oracle("rsigma-eval", |corpus| {
        let files: BTreeMap<String, String> = sigma_files(corpus).into_iter().filter(|(path, _)| is_rule(path)).collect();
        let mut engine = rsigma_eval::Engine::new();
        // The rival gets the rules that its routing would let through: with all of them it takes minutes.
        for text in files.values() {
            let collection = rsigma_parser::parse_sigma_yaml(text).unwrap();
            if collection.rules.iter().all(|rule| rule.logsource.product.as_deref().is_none_or(|product| product == "aws")) {
                engine.add_collection(&collection).unwrap();
            }
        }
        let source =
            rsigma_parser::LogSource { product: Some("aws".into()), service: Some("cloudtrail".into()), ..Default::default() };
        let originals: Vec<Value> =
            DATASETS.iter().filter(|set| !set.2.is_empty()).flat_map(|set| labelled(&corpus.join(set.2))).collect();
        let records: Vec<Value> =
            (0..DIFFERENTIAL_RECORDS).map(|number| reissue(&originals[number % originals.len()], number)).collect();
        let mut theirs: BTreeMap<String, usize> = BTreeMap::new();
        for record in &records {
            for found in engine.evaluate_with_logsource(&rsigma_eval::event::JsonEvent::borrow(record), &source) {
                *theirs.entry(found.header.rule_id.clone().unwrap()).or_default() += 1;
            }
        }
        let set = rules(files);
        let (findings, outcome) = hunt(&set, &native_lanes("aws/cloudtrail", &set, "eventTime"), &records);
        assert_eq!(outcome.events as usize, DIFFERENTIAL_RECORDS);
        let mut ours: BTreeMap<String, usize> = BTreeMap::new();
        for finding in &findings {
            *ours.entry(set.facts()[finding.rule as usize].id.clone()).or_default() += 1;
        }
        let meant: BTreeMap<&str, &str> =
            include_str!("sigma_differences.tsv").lines().skip(1).filter_map(|line| line.split_once('\t')).collect();
        let all: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
        let different: Vec<String> = all
            .iter()
            .filter(|rule| theirs.get(**rule) != ours.get(**rule) && !meant.contains_key(rule.as_str()))
            .map(|rule| format!("{rule}: theirs {:?}, ours {:?}", theirs.get(*rule), ours.get(*rule)))
            .collect();
        assert!(different.is_empty(), "{different:#?}");
        println!("{} rules match {} times in {DIFFERENTIAL_RECORDS} records in both engines", all.len(), findings.len());
    });
}

/// A corpus record as a new event: its own id, address and session.
fn reissue(original: &Value, number: usize) -> Value {
    let mut record = original.clone();
    record["_uid"] = format!("{number:016x}").into();
    record["eventID"] = format!("{number:08x}-0000-4000-8000-000000000000").into();
    if number.is_multiple_of(3) {
        record["sourceIPAddress"] =
            format!("{}.{}.{}.{}", 11 + number % 200, number % 251, number / 251 % 251, 1 + number % 17).into();
    }
    record
}
