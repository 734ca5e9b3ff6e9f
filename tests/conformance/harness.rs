//! Runs rules on records in memory, through the same pipeline as the binary.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use vigie_detect::{RuleSet, RuleSource};
use vigie_model::{Finding, LogType, MemorySource};
use vigie_normalise::Mapping;
use vigie_pipeline::{GenericPaths, Hunt, Lanes, Outcome, Progress};

/// Rules from files: place and text. None may fail to compile.
pub fn rules(files: impl IntoIterator<Item = (String, String)>) -> RuleSet {
    let sources: Vec<RuleSource> = files.into_iter().map(|(place, text)| RuleSource { place, text }).collect();
    let (set, errors) = RuleSet::parse(&sources, BTreeMap::new());
    assert!(errors.is_empty(), "{}", errors[0]);
    set
}

/// A lane that matches records as they are, with `_uid` as their id.
pub fn native_lanes(log: &str, set: &RuleSet, time: &str) -> Lanes {
    let generic = GenericPaths { time: vec![time.to_owned()], id: vec!["_uid".to_owned()], taxonomies: taxonomies() };
    let mut lanes = Lanes::mapped(&[], set);
    lanes.force(&LogType::parse(log).unwrap(), set, &generic);
    lanes
}

/// The taxonomies of the content, by log type.
fn taxonomies() -> BTreeMap<String, BTreeMap<String, String>> {
    let file: toml::Table = include_str!("../../content/vendors/gcp/logs/audit/taxonomy.toml").parse().unwrap();
    let fields = file["fields"].as_table().unwrap().iter();
    let fields = fields.map(|(name, path)| (name.clone(), path.as_str().unwrap().to_owned())).collect();
    BTreeMap::from([(file["log"].as_str().unwrap().to_owned(), fields)])
}

/// Every finding of rules on records.
pub fn hunt(set: &RuleSet, lanes: &Lanes, records: &[Value]) -> (Vec<Finding>, Outcome) {
    let lines: Vec<String> = records.iter().map(ToString::to_string).collect();
    let source = MemorySource::new("memory", lines.join("\n").into_bytes());
    let progress = Progress::default();
    let hunt = Hunt { threads: 2, spill_bytes: 8 << 20, ..Hunt::new(&source, lanes, set, &progress) };
    let mut findings = Vec::new();
    let outcome = hunt.run(&mut |finding, _| findings.push(finding.clone())).unwrap();
    (findings, outcome)
}

/// Records of a corpus file, each with its `_uid` inside.
pub fn labelled(path: &Path) -> Vec<Value> {
    let mut records = Vec::new();
    for mut line in vigie_tests::ndjson(path).unwrap() {
        let uid = line["_uid"].take();
        let mut event = if line["event"].is_object() { line["event"].take() } else { line.clone() };
        let own = event["Id"].clone();
        event["_uid"] = if uid.is_null() { own } else { uid };
        if let Some(rule) = line["_label"]["rule"].as_str() {
            event["_label"] = rule.into();
        }
        records.push(event);
    }
    records
}

/// `(rule id, event uid)` of simple findings.
pub fn pairs(set: &RuleSet, findings: &[Finding]) -> BTreeSet<(String, String)> {
    let pair = |finding: &Finding| (set.facts()[finding.rule as usize].id.clone(), finding.event.uid.clone());
    findings.iter().map(pair).collect()
}

/// The folder of the project's own content.
pub fn content() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../content")
}

/// The CloudTrail mapping of the content.
pub fn cloudtrail() -> Mapping {
    let folder = content().join("vendors/aws/logs/cloudtrail");
    Mapping::parse(&|name| std::fs::read_to_string(folder.join(name)).ok()).unwrap()
}

/// The rules of the content.
pub fn builtin_rules() -> RuleSet {
    builtin_rules_and(Vec::new())
}

/// The rules of the content, and others.
pub fn builtin_rules_and(mut sources: Vec<RuleSource>) -> RuleSet {
    for domain in std::fs::read_dir(content().join("rules")).unwrap() {
        for file in std::fs::read_dir(domain.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "yml") {
                let text = std::fs::read_to_string(&path).unwrap();
                sources.push(RuleSource { place: path.display().to_string(), text });
            }
        }
    }
    let classes = std::fs::read_to_string(content().join("schema/ocsf-1.8.0-classes.tsv")).unwrap();
    let row = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        Some((columns[1].to_owned(), columns[0].parse().ok()?))
    };
    let (set, errors) = RuleSet::parse(&sources, classes.lines().filter_map(row).collect());
    assert!(errors.is_empty(), "{errors:?}");
    set
}

/// The lane of CloudTrail with rules.
pub fn builtin_lanes(set: &RuleSet) -> Lanes {
    Lanes::mapped(&[cloudtrail()], set)
}

/// The file name of a rule without its ending.
pub fn stem(place: &str) -> String {
    place.rsplit('/').next().unwrap().trim_end_matches(".yml").to_owned()
}
