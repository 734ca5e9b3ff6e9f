//! The demo: a planted intrusion, hunted by a newcomer, in text, in HTML and in French.

use std::path::Path;

use vigie_tests::vigie;

/// Writes the demo's logs into a folder.
pub fn write_demo(folder: &Path, events: u32, quiet: bool) {
    let events = events.to_string();
    let mut arguments = vec!["demo", "--write", folder.to_str().unwrap(), "--events", &events];
    if quiet {
        arguments.push("--quiet-day");
    }
    let ran = vigie(&arguments).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.err);
}

/// What every form of the story must say: identities, address, stages with first times, the foreign
/// account, what was blind.
const FACTS: [&str; 16] = [
    "maelle.kerdoncuff",
    "ci-deploy-bot",
    "svc-backup",
    "support-01",
    "203.0.113.77",
    "839120447715",
    "01:52",
    "01:55",
    "02:06",
    "02:09",
    "02:14",
    "02:24",
    "02:31",
    "02:38",
    "trail-ci-data",
    "04:47",
];

#[track_caller]
fn check(text: &str, more: &[&str]) {
    for fact in FACTS.iter().chain(more) {
        assert!(text.contains(fact), "the story does not say {fact}:\n{text}");
    }
}

#[test]
fn done_hunt_1_demo_story() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    write_demo(&logs, 50_000, false);
    let path = logs.to_str().unwrap();
    let story = vigie(&["hunt", path]).unwrap();
    assert_eq!(story.code, 3, "{}", story.err);
    check(&story.out, &["One story to read", "PlatformAdmin", "Exfiltration", "What we cannot say", "Next"]);
    let order: Vec<usize> = ["01:52", "02:06", "02:09", "02:14", "02:24", "02:38"]
        .iter()
        .map(|time| story.out.find(&format!(" {time}  ")).unwrap_or_else(|| panic!("no step at {time}")))
        .collect();
    assert!(order.is_sorted(), "the steps stand in the order of time");
    assert_eq!(story.out.matches("  vigie hunt ").count(), 3, "three next commands");
    assert!(story.out.lines().count() <= 60 && story.out.lines().all(|line| line.chars().count() <= 100));
    let french = vigie(&["hunt", path, "--lang", "fr"]).unwrap();
    check(&french.out, &["Une histoire", "Exfiltration", "Ce que nous ne pouvons pas dire", "Ensuite"]);
    let page = vigie(&["hunt", path, "-o", "html"]).unwrap();
    check(&page.out, &["<!doctype html>", "Exfiltration", "What we cannot say", "Content-Security-Policy"]);
    let page = vigie(&["hunt", path, "-o", "html", "--lang", "fr"]).unwrap();
    check(&page.out, &["lang=\"fr\"", "Exfiltration", "Ce que nous ne pouvons pas dire"]);
}

/// Every planted step is found by the rules that the truth names, and findings carry the events' ids.
#[test]
fn planted_truth_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    write_demo(&logs, 20_000, false);
    let found = vigie(&["hunt", logs.to_str().unwrap(), "-o", "ndjson"]).unwrap();
    let truth: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("logs.truth.json")).unwrap()).unwrap();
    let rules = vigie(&["rule", "list"]).unwrap().out;
    let mut expected = 0;
    for planted in truth["planted"].as_array().unwrap() {
        for rule in planted["rules_expected"].as_array().unwrap() {
            let name = rule.as_str().unwrap();
            let explained = vigie(&["rule", "explain", name]).unwrap();
            let id = explained.out.lines().find_map(|line| line.strip_prefix("id ")).unwrap_or_else(|| panic!("no rule {name}"));
            assert!(rules.contains(id));
            assert!(found.out.contains(id), "{name} finds {planted}");
            expected += 1;
        }
    }
    assert!(expected >= 10, "{expected} rules expected");
}

/// A normal day: hardly a finding that wakes somebody, and none that repeats without end.
#[test]
fn done_hunt_3_normal_day() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    write_demo(&logs, 200_000, true);
    let path = logs.to_str().unwrap();
    let found = vigie(&["hunt", path, "-o", "ndjson"]).unwrap();
    let mut by_rule = std::collections::BTreeMap::new();
    let (mut serious, mut events) = (0, 0);
    for line in found.out.lines() {
        let finding: serde_json::Value = serde_json::from_str(line).unwrap();
        *by_rule.entry(finding["finding_info"]["title"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        serious += usize::from(finding["severity_id"].as_u64().unwrap() >= 3);
        events += 1;
    }
    assert!(serious <= 20, "{serious} findings of at least medium: {by_rule:?}");
    let noisy: Vec<_> = by_rule.iter().filter(|(_, count)| **count > 1000).collect();
    assert!(noisy.is_empty(), "{noisy:?}");
    println!("{events} findings in 200,000 normal events, {serious} of at least medium: {by_rule:?}");
}
