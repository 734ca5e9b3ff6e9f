//! Attacks that Stratus Red Team made on real accounts: each technique is found by a rule about it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use vigie_model::Severity;
use vigie_tests::{ndjson, oracle};

use crate::harness::{builtin_lanes, builtin_rules, content, hunt, labelled, stem};

/// How many techniques one rule may serve.
const TECHNIQUES_A_RULE_MAX: usize = 3;

/// Technique to rules, as the table says.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let rows = include_str!("stratus.tsv").lines().skip(1);
    let row = |line: &str| {
        let (technique, rules) = line.split_once('\t').unwrap();
        (technique.to_owned(), rules.split(',').map(str::to_owned).collect())
    };
    rows.map(row).collect()
}

/// The page of a rule.
fn page(rule: &str) -> String {
    let domains = std::fs::read_dir(content().join("rules")).unwrap().map(|entry| entry.unwrap().path());
    let path = domains.map(|domain| domain.join(format!("{rule}.md"))).find(|path| path.is_file());
    std::fs::read_to_string(path.unwrap_or_else(|| panic!("{rule} has a page"))).unwrap()
}

/// How many values a patch changes.
fn leaves(patch: &Value) -> usize {
    match patch {
        Value::Object(members) => members.values().map(leaves).sum(),
        _ => 1,
    }
}

#[test]
fn done_hunt_3_stratus() {
    oracle("stratus", |corpus| {
        let path = corpus.join("cloudtrail/ct_stratus.ndjson.zst");
        let labels: BTreeMap<String, String> = ndjson(&path)
            .unwrap()
            .iter()
            .map(|line| (line["event"]["eventID"].as_str().unwrap().to_owned(), line["_label"].as_str().unwrap().to_owned()))
            .collect();
        let set = builtin_rules();
        let (findings, _) = hunt(&set, &builtin_lanes(&set), &labelled(&path));
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for finding in &findings {
            let facts = &set.facts()[finding.rule as usize];
            if facts.severity < Severity::Medium {
                continue;
            }
            for uid in &finding.related {
                found.entry(labels[uid].clone()).or_default().insert(stem(&facts.place));
            }
        }
        let table = table();
        let techniques: BTreeSet<&String> = labels.values().collect();
        assert_eq!(techniques.len(), 35);
        assert_eq!(table.keys().collect::<BTreeSet<_>>(), techniques);
        let mut serves: BTreeMap<&String, usize> = BTreeMap::new();
        for (technique, rules) in &table {
            let hits = found.get(technique).cloned().unwrap_or_default();
            assert!(rules.is_subset(&hits), "{technique}: the table names {rules:?}, found are {hits:?}");
            assert!(!rules.is_empty(), "{technique} has no rule");
            rules.iter().for_each(|rule| *serves.entry(rule).or_default() += 1);
        }
        for rule in serves.keys() {
            let page = page(rule);
            let patches = page.split("```patch silent").skip(1).filter_map(|rest| rest.split_once('\n')?.1.split_once("```"));
            let patches = patches.map(|(patch, _)| serde_json::from_str::<Value>(patch).unwrap());
            // That the rule is silent on it, `vigie test` shows.
            assert!(patches.map(|patch| leaves(&patch)).any(|count| count == 1), "{rule} has no near miss in one field");
        }
        let broad: Vec<_> = serves.iter().filter(|(_, count)| **count > TECHNIQUES_A_RULE_MAX).collect();
        assert!(broad.is_empty(), "{broad:?} serve more than {TECHNIQUES_A_RULE_MAX} techniques");
        println!(
            "{} of {} techniques are found, by {} rules with a near miss in one field",
            table.len(),
            techniques.len(),
            serves.len()
        );
    });
}

/// What is found in the mixed set is committed, each finding with a verdict and a reason.
#[test]
fn done_hunt_3_mixed_set() {
    oracle("invictus", |corpus| {
        let set = builtin_rules();
        let (findings, _) = hunt(&set, &builtin_lanes(&set), &labelled(&corpus.join("cloudtrail/ct_invictus.ndjson.zst")));
        let mut found: BTreeSet<String> = BTreeSet::new();
        for finding in &findings {
            let facts = &set.facts()[finding.rule as usize];
            if facts.severity >= Severity::Medium {
                found.insert(format!("{}\t{}\t{}", stem(&facts.place), finding.event.uid, finding.event.operation));
            }
        }
        let judged = include_str!("invictus.tsv").lines().skip(1);
        let judged: BTreeMap<String, &str> = judged
            .map(|line| {
                let columns: Vec<&str> = line.split('\t').collect();
                assert!(
                    ["true", "benign", "false"].contains(&columns[3]) && !columns[4].is_empty(),
                    "{line} has a verdict and a reason"
                );
                (columns[..3].join("\t"), columns[3])
            })
            .collect();
        let judged_keys: BTreeSet<String> = judged.keys().cloned().collect();
        let new: Vec<_> = found.difference(&judged_keys).collect();
        let gone: Vec<_> = judged_keys.difference(&found).collect();
        assert!(new.is_empty() && gone.is_empty(), "not judged: {new:#?}; gone: {gone:#?}");
        let right = judged.values().filter(|verdict| **verdict == "true").count();
        println!("{} findings of at least medium in 2,900 records, {right} true", found.len());
    });
}
