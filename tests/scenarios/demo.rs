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
const FACTS: [&str; 19] = [
    "maelle.kerdoncuff@armorique-energie.example",
    "maelle-k",
    "ci-deploy-bot",
    "svc-backup",
    "support-01",
    "203.0.113.77",
    "839120447715",
    "01:35",
    "01:37",
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
    check(&story.out, &["One story to read", "platform-deploy", "Exfiltration", "What we cannot say", "Next"]);
    let order: Vec<usize> = ["01:35", "01:37", "01:38", "01:52", "02:06", "02:09", "02:14", "02:24", "02:38", "02:45"]
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

/// A token stolen at GitHub, a role in AWS, an application in Entra: one story, one human, and a proof in each
/// of the three.
#[test]
fn done_clouds_8_one_human_on_three_clouds() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    write_demo(&logs, 20_000, false);
    let path = logs.to_str().unwrap();
    let truth: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("logs.truth.json")).unwrap()).unwrap();
    let person = truth["person"].as_str().unwrap();
    assert_eq!(truth["clouds"], serde_json::json!(["github", "aws", "entra"]));
    let planted = truth["planted"].as_array().unwrap();
    let event = |step: &str, cloud: &str| {
        let step = planted.iter().find(|planted| planted["step"] == step).unwrap_or_else(|| panic!("no step {step}"));
        assert_eq!(step["cloud"], cloud);
        step["event_ids"][0].as_str().unwrap().to_owned()
    };
    let proofs = [event("starts_run", "github"), event("takes_deploy_role", "aws"), event("signs_in_as_application", "entra")];
    for (language, one) in [("en", "One story to read"), ("fr", "Une histoire \u{e0} lire")] {
        for format in ["text", "html"] {
            let story = vigie(&["hunt", path, "--lang", language, "-o", format]).unwrap().out;
            assert!(story.contains(one), "{language} {format}: one story: {story}");
            assert!(story.contains(person), "{language} {format} does not name {person}: {story}");
            for proof in &proofs {
                assert!(story.contains(proof.as_str()), "{language} {format} does not name the proof {proof}: {story}");
            }
        }
    }

    // Whatever rule speaks about the intrusion, on whatever cloud, the chain of its actor ends at the person.
    let mine: std::collections::BTreeSet<&str> =
        planted.iter().flat_map(|step| step["event_ids"].as_array().unwrap()).filter_map(serde_json::Value::as_str).collect();
    let found = vigie(&["hunt", path, "-o", "ndjson", "--min-level", "medium"]).unwrap().out;
    let mut clouds = std::collections::BTreeSet::new();
    for line in found.lines() {
        let finding: serde_json::Value = serde_json::from_str(line).unwrap();
        let events = finding["finding_info"]["related_events"].as_array().unwrap();
        if !events.iter().any(|event| mine.contains(event["uid"].as_str().unwrap())) {
            continue;
        }
        let chain = finding["unmapped"]["actor_chain"].as_array().unwrap();
        let last = chain.last().unwrap_or_else(|| panic!("nobody stands behind {line}"));
        assert_eq!(last["by"]["person"], person, "{line}");
        clouds.insert(finding["metadata"]["log_name"].as_str().unwrap().to_owned());
        let is_proven = |step: &serde_json::Value| {
            ["proof", "log", "sure"].iter().all(|key| step[*key].as_str().is_some_and(|text| !text.is_empty()))
        };
        assert!(chain.iter().all(is_proven), "{line}");
    }
    assert_eq!(clouds.into_iter().collect::<Vec<_>>(), ["aws/cloudtrail", "entra/audit", "github/audit"]);
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
