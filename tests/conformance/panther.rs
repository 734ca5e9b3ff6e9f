//! Rules of another project, judged by their own tests: where ours claim to find the same act, they fire on
//! what that project expects to be found, and stay quiet on what it expects to be left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use vigie_detect::RuleSet;
use vigie_model::MemorySource;
use vigie_pipeline::{Hunt, Lanes, Progress};
use vigie_tests::{ndjson, oracle};

use crate::corpora::mappings;
use crate::harness::{builtin_rules, content, stem};
use crate::panther_shape;

/// Log types whose rules count.
const LOGS: [&str; 19] = [
    "AWS.CloudTrail",
    "AWS.S3ServerAccess",
    "AWS.VPCFlow",
    "AWS.GuardDuty",
    "AWS.SecurityFindingFormat",
    "AWS.WAFWebACL",
    "AWS.ALB",
    "AWS.VPCDns",
    "Amazon.EKS.Audit",
    "Azure.MonitorActivity",
    "Azure.Audit",
    "GCP.AuditLog",
    "GCP.HTTPLoadBalancer",
    "GSuite.ActivityEvent",
    "Okta.SystemLog",
    "GitHub.Audit",
    "GitHub.Webhook",
    "Slack.AuditLogs",
    "Microsoft365.Audit.SharePoint",
];
const CLAIMED_MIN: usize = 120;
const FOUND_PERCENT: f64 = 95.0;
const QUIET_PERCENT: f64 = 98.0;

/// The lines of every table in the folder whose name ends so, without their headers.
fn table(ending: &str) -> Vec<[String; 3]> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/panther");
    let mut rows = Vec::new();
    for file in vigie_tests::files(&folder, ".tsv") {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with("_differences.tsv") != (ending == "_differences.tsv") {
            continue;
        }
        for line in std::fs::read_to_string(&file).unwrap().lines().skip(1) {
            let columns: Vec<&str> = line.split('\t').collect();
            let [first, second, third] = columns[..] else { panic!("{name}: three columns: {line}") };
            rows.push([first, second, third].map(str::to_owned));
        }
    }
    rows
}

/// The file names of the rules that fire on one event.
fn fired(event: &Value, lanes: &Lanes, rules: &RuleSet) -> BTreeSet<String> {
    let source = MemorySource::new("event.json", event.to_string().into_bytes());
    let progress = Progress::default();
    let mut fired = BTreeSet::new();
    Hunt::new(&source, lanes, rules, &progress)
        .run(&mut |finding, _| {
            fired.insert(stem(&rules.facts()[finding.rule as usize].place));
        })
        .unwrap();
    fired
}

#[test]
fn done_clouds_5_rules_find_what_others_find() {
    oracle("clouds-panther", |corpus| {
        let (rules, claims) = (builtin_rules(), table(".tsv"));
        let lanes = Lanes::mapped(&mappings(&[]), &rules);
        let stems: BTreeSet<String> = rules.facts().iter().map(|facts| stem(&facts.place)).collect();
        let theirs: BTreeMap<String, Value> = ndjson(&corpus.join("panther-tests/panther-tests.ndjson.zst"))
            .unwrap()
            .into_iter()
            .filter(|rule| rule["AnalysisType"] == "rule")
            .filter(|rule| rule["LogTypes"].as_array().into_iter().flatten().any(|log| LOGS.iter().any(|name| log == name)))
            .map(|rule| (rule["RuleID"].as_str().unwrap().to_owned(), rule))
            .collect();
        let explained: BTreeMap<(String, String), String> =
            table("_differences.tsv").into_iter().map(|[rule, test, why]| ((rule, test), why)).collect();
        let (mut positive, mut found, mut negative, mut quiet) = (0, 0, 0, 0);
        let (mut number, mut unwritten) = (0, 0);
        let (mut claimed, mut different, mut unexplained) = (BTreeSet::new(), Vec::new(), Vec::new());
        for [name, ours, _] in &claims {
            let ours: BTreeSet<&str> = ours.split(',').map(str::trim).collect();
            for stem in &ours {
                assert!(stems.contains(*stem), "{name}: {stem} is no rule of {}", content().display());
            }
            let rule = theirs.get(name).unwrap_or_else(|| panic!("{name} is no rule of these log types"));
            assert!(claimed.insert(name.clone()), "{name} is claimed twice");
            // Tests whose look-ups were replaced depend on what the replacement says.
            let tests = rule["Tests"].as_array().into_iter().flatten().filter(|test| test["Mocks"].is_null());
            let logs: Vec<&str> = rule["LogTypes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            for test in tests {
                let log = panther_shape::log_type(&logs, &test["Log"]);
                number += 1;
                let Some(record) = panther_shape::restored(&log, &test["Log"], number) else {
                    unwritten += 1;
                    continue;
                };
                let is_expected = test["ExpectedResult"] == true;
                let is_fired = fired(&record, &lanes, &rules).iter().any(|stem| ours.contains(stem.as_str()));
                *(if is_expected { &mut positive } else { &mut negative }) += 1;
                if is_fired == is_expected {
                    *(if is_expected { &mut found } else { &mut quiet }) += 1;
                    continue;
                }
                let test = test["Name"].as_str().unwrap_or_default().to_owned();
                let what = if is_expected { "is not found" } else { "is found" };
                match explained.get(&(name.clone(), test.clone())) {
                    Some(why) => different.push(format!("{name}, {test}: {what}: {why}")),
                    None => unexplained.push(format!("{name}, {test}: {what}")),
                }
            }
        }
        let percent = |part: usize, whole: usize| part as f64 * 100.0 / whole.max(1) as f64;
        println!(
            "{} of {} rules are claimed; found {found} of {positive} ({:.1} %), quiet on {quiet} of {negative} ({:.1} %); {unwritten} tests have what no vendor writes",
            claimed.len(),
            theirs.len(),
            percent(found, positive),
            percent(quiet, negative)
        );
        println!("explained: {different:#?}");
        let unclaimed: Vec<&String> = theirs.keys().filter(|name| !claimed.contains(*name)).collect();
        println!("not claimed: {unclaimed:?}");
        assert!(unexplained.is_empty(), "not explained: {unexplained:#?}");
        assert!(claimed.len() >= CLAIMED_MIN, "{} rules are claimed", claimed.len());
        assert!(percent(found, positive) >= FOUND_PERCENT && percent(quiet, negative) >= QUIET_PERCENT);
    });
}
