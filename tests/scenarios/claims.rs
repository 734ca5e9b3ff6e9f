//! Claims of rules on providers, the matrix that shows them, coverage of ATT&CK, and what providers see themselves.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vigie_tests::{Ran, binary, vigie};

use crate::shapes::record;

/// A rule that one sample fires and a patch of one field silences.
const RULE: &str = "title: Stop seen\nid: 0d6a1c1e-3333-4a0f-9d8e-0c8f2a3b4c5d\ntags: [attack.t1562.008]\n\
    logsource: {product: ocsf}\ndetection: {s: {verb: log.trail.disable, status_id: 1}, condition: s}\nlevel: high\n";

fn content() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../content")
}

/// Copies a folder, but for one inside it.
fn copy_without(from: &Path, to: &Path, left_out: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copy = to.join(path.file_name().unwrap());
        if path == left_out {
            continue;
        }
        if path.is_dir() {
            copy_without(&path, &copy, left_out);
        } else {
            fs::copy(&path, &copy).unwrap();
        }
    }
}

fn json(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out))
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// A sample that fires, and a near miss of it.
fn samples(number: u32) -> String {
    format!(
        "```json fires \"it stops\"\n{}\n```\n```patch silent \"it starts\"\n{{\"eventName\": \"StartLogging\"}}\n```\n",
        record(number)
    )
}

/// Writes a rule that claims some providers, with its pages, and runs `vigie test` on it.
fn test(claims: &str, pages: &[(&str, String)]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("stop_seen.yml"), format!("{RULE}{claims}")).unwrap();
    for (name, text) in pages {
        fs::write(folder.path().join(name), text).unwrap();
    }
    vigie(&["test", folder.path().to_str().unwrap()]).unwrap()
}

#[track_caller]
fn fails(claims: &str, pages: &[(&str, String)], why: &str) {
    let ran = test(claims, pages);
    assert!(ran.code == 3 && ran.out.contains(why), "{why}: {}", ran.out);
}

/// Each claim of a rule is a pair with a provider that samples prove, in the page or in one for the provider.
#[test]
fn a_claim_is_proven_by_samples_of_its_provider() {
    let claims = "vigie: {providers: [aws]}\n";
    for pages in [
        vec![("stop_seen.md", samples(1))],
        vec![("stop_seen.md", "# Stop seen\n".to_owned()), ("stop_seen.aws.md", samples(1))],
        vec![("stop_seen.md", samples(1)), ("stop_seen.aws.md", samples(2))],
    ] {
        let ran = test(claims, &pages);
        assert!(ran.code == 0 && ran.out.contains(" 0 failed") && !ran.out.contains("absent"), "{}", ran.out);
    }
    let only_fires = format!("```json fires \"it stops\"\n{}\n```\n", record(1));
    fails(claims, &[("stop_seen.md", only_fires)], "give one of each, here or in stop_seen.aws.md");
    let foreign = "```json fires \"of nobody\"\n{\"kind\": \"of nobody\"}\n```\n".to_owned();
    fails(claims, &[("stop_seen.md", samples(1)), ("stop_seen.aws.md", foreign)], "0 of its 1 records are events");
    let silent = samples(1).replace("patch silent", "patch fires");
    fails(claims, &[("stop_seen.md", silent)], "stays silent but must fire");
    let tags = "tags: [attack.t9999]\n";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("other.yml"), RULE.replace("tags: [attack.t1562.008]\n", tags)).unwrap();
    fs::write(folder.path().join("other.md"), samples(1)).unwrap();
    let ran = vigie(&["test", folder.path().to_str().unwrap()]).unwrap();
    assert!(ran.out.contains("names techniques of ATT&CK 19: T9999 is none"), "{}", ran.out);
}

/// A claim on a provider that is not here fails nothing, and is said; one that samples belie fails.
#[test]
fn a_claim_on_an_absent_provider_is_shown() {
    let ran = test("vigie: {providers: [aws, elsewhere]}\n", &[("stop_seen.md", samples(1))]);
    assert!(ran.code == 0 && ran.out.contains("absent elsewhere: no log type of it is here; 1 rules claim it"), "{}", ran.out);
    let unread = "```json fires \"of elsewhere\"\n{\"any\": \"thing\"}\n```\n".to_owned();
    let pages = [("stop_seen.md", samples(1)), ("stop_seen.elsewhere.md", unread)];
    let ran = test("vigie: {providers: [aws, elsewhere]}\n", &pages);
    assert!(ran.code == 0 && ran.out.contains("absent elsewhere"), "{}", ran.out);
    fails(
        "vigie: {providers: [elsewhere]}\n",
        &[("stop_seen.md", samples(1))],
        "holds records of aws, which the rule does not claim",
    );
    fails("vigie: {providers: aws}\n", &[("stop_seen.md", samples(1))], "`providers` is no list of names");
}

/// Every rule of the content claims a provider, and each claim is proven.
#[test]
fn the_matrix_has_no_hole() {
    let matrix = json(&vigie(&["rule", "matrix", "-o", "json"]).unwrap());
    let rows = matrix.as_array().unwrap();
    assert!(rows.len() >= 100, "{} rules", rows.len());
    for row in rows {
        assert_eq!(keys(row), BTreeSet::from(["providers", "rule"]));
        let providers = row["providers"].as_object().unwrap();
        assert!(!providers.is_empty(), "{row} claims nothing");
        for cell in providers.values() {
            assert_eq!(keys(cell), BTreeSet::from(["near_miss", "positive", "source"]), "{row}");
            let is_proven = cell["positive"].as_u64() > Some(0) && cell["near_miss"].as_u64() > Some(0);
            assert!(is_proven || cell["source"] == false, "a hole: {row}");
        }
    }
    let trail = rows.iter().find(|row| row["rule"] == "b047e61a-fe64-4355-9674-dcdefd1bc4bb").unwrap();
    assert_eq!(trail["providers"]["aws"], serde_json::json!({ "positive": 2, "near_miss": 2, "source": true }));
    let table = vigie(&["rule", "matrix"]).unwrap().out;
    assert!(table.lines().next().unwrap().starts_with("rule ") && table.contains(" aws"), "{table}");
    assert!(table.lines().any(|line| line.starts_with("trail_stopped ") && line.contains("2/2")), "{table}");
    assert!(table.contains("; 0 holes, "), "{table}");
    let page = vigie(&["rule", "matrix", "-o", "markdown"]).unwrap().out;
    assert!(page.starts_with("| rule |") && page.contains(" aws |"), "{page}");
    let trail = "| [Audit trail stopped](content/rules/logging/trail_stopped.md) |";
    assert!(page.lines().any(|line| line.starts_with(trail) && line.contains(" 2/2 |")), "{page}");
}

/// A claim without samples is a hole that one sees.
#[test]
fn a_hole_is_visible() {
    let folder = tempfile::tempdir().unwrap();
    let rule = folder.path().join("stop_seen.yml");
    fs::write(&rule, format!("{RULE}vigie: {{providers: [aws, elsewhere]}}\n")).unwrap();
    fs::write(folder.path().join("stop_seen.md"), "# Stop seen\n").unwrap();
    for path in [rule.to_str().unwrap(), folder.path().to_str().unwrap()] {
        let table = vigie(&["rule", "matrix", "--rules", path]).unwrap().out;
        let row = table.lines().find(|line| line.starts_with("stop_seen ")).unwrap();
        assert!(row.contains("0/0 hole") && row.contains("absent"), "{row}");
        assert!(table.contains("; 1 holes, 1 on providers without a log type here"), "{table}");
    }
    fs::write(folder.path().join("stop_seen.aws.md"), samples(1)).unwrap();
    for path in [rule.to_str().unwrap(), folder.path().to_str().unwrap()] {
        let table = vigie(&["rule", "matrix", "--rules", path]).unwrap().out;
        assert!(table.lines().any(|line| line.starts_with("stop_seen ") && line.contains("1/1")), "{table}");
    }
}

/// The theme of a rule: the folder of its page in a row of the matrix.
fn theme(row: &str) -> Option<&str> {
    row.split_once("(content/rules/")?.1.split_once('/').map(|(theme, _)| theme)
}

/// For each theme how many rules are proven on each provider, as the README shows it.
fn by_theme(matrix: &str) -> Vec<String> {
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<String>>();
    let mut lines = matrix.lines();
    let providers = cells(lines.next().unwrap());
    let mut themes: std::collections::BTreeMap<&str, Vec<usize>> = std::collections::BTreeMap::new();
    for row in lines.skip(1) {
        let counts = themes.entry(theme(row).unwrap()).or_insert_with(|| vec![0; providers.len()]);
        // Titles may hold the mark that parts cells: the cells of providers are the last.
        let cells = cells(&row.replace("\\|", ""));
        counts[0] += 1;
        for (count, cell) in counts.iter_mut().zip(&cells).skip(1) {
            *count += usize::from(!cell.is_empty());
        }
    }
    let number = |count: &usize| if *count == 0 { " ".to_owned() } else { format!(" {count} ") };
    let row = |(theme, counts): (&&str, &Vec<usize>)| {
        format!("| {theme} |{}|", counts.iter().map(number).collect::<Vec<_>>().join("|"))
    };
    themes.iter().map(row).collect()
}

/// Use cases written once, each proven on the providers that it claims; the README and the matrix beside it show
/// them, and a hole would be a difference.
#[test]
fn done_clouds_4_rules_and_pairs() {
    let root = content().join("..");
    let rows = json(&vigie(&["rule", "matrix", "-o", "json"]).unwrap());
    let proven = |cell: &&Value| cell["positive"].as_u64() > Some(0) && cell["near_miss"].as_u64() > Some(0);
    let rows = rows.as_array().unwrap();
    let cells: Vec<&Value> = rows.iter().flat_map(|row| row["providers"].as_object().unwrap().values()).collect();
    let pairs = cells.iter().copied().filter(|cell| proven(cell)).count();
    assert_eq!(pairs, cells.len(), "every claim is proven");
    let correlations = vigie_tests::files(&content().join("rules"), ".yml")
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .filter(|text| text.contains("\ncorrelation:") && text.contains("providers: ["))
        .count();
    assert!(rows.len() >= 80 && pairs >= 250 && correlations >= 25, "{} rules, {pairs} pairs, {correlations}", rows.len());
    let matrix = vigie(&["rule", "matrix", "-o", "markdown"]).unwrap().out;
    let shown = fs::read_to_string(root.join("MATRIX.md")).unwrap();
    assert!(shown == matrix, "write MATRIX.md anew: vigie rule matrix -o markdown > MATRIX.md");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    for line in by_theme(&matrix) {
        assert!(readme.contains(&line), "the README does not show: {line}");
    }
    println!("{} rules, {pairs} pairs of a rule and a provider, {correlations} files of correlations", rows.len());
}

/// The folder of a vendor is all that names it: without it everything else is as green as before.
#[test]
fn a_vendor_can_be_taken_out() {
    let whole = vigie(&["test", content().to_str().unwrap()]).unwrap();
    assert!(whole.code == 0 && whole.out.contains(" 0 failed"), "{}", whole.out);
    for name in ["aws", "entra", "gcp", "github", "okta", "windows"] {
        let folder = tempfile::tempdir().unwrap();
        copy_without(&content(), folder.path(), &content().join("vendors").join(name));
        let rest = vigie(&["test", folder.path().to_str().unwrap()]).unwrap();
        assert!(rest.code == 0 && rest.out.contains(" 0 failed"), "without {name}: {}", rest.out);
    }
    let folder = tempfile::tempdir().unwrap();
    copy_without(&content(), folder.path(), &content().join("vendors/aws"));
    let path = folder.path().to_str().unwrap();
    assert!(vigie(&["test", path]).unwrap().out.contains("absent aws: no log type of it is here"));
    let matrix = json(&vigie(&["rule", "matrix", "--content", path, "-o", "json"]).unwrap());
    let cells: Vec<&Value> = matrix.as_array().unwrap().iter().filter_map(|row| row["providers"].get("aws")).collect();
    assert!(cells.len() >= 100 && cells.iter().all(|cell| cell["source"] == false), "{cells:?}");
    let coverage = json(&vigie(&["coverage", "--content", path, "--provider", "aws", "-o", "json"]).unwrap());
    assert!(coverage.as_array().unwrap().iter().all(|row| row["state"] != "rule and data"), "{coverage}");
}

/// The states of techniques.
fn states(arguments: &[&str]) -> BTreeSet<(String, String)> {
    let list = json(&vigie(&[["coverage", "-o", "json"].as_slice(), arguments].concat()).unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(|row| (text(&row["technique"]), text(&row["state"]))).collect()
}

#[track_caller]
fn check(arguments: &[&str], techniques: &[&str], state: &str) {
    let states = states(arguments);
    for technique in techniques {
        assert!(states.contains(&((*technique).to_owned(), state.to_owned())), "{arguments:?} {technique}: {states:?}");
    }
}

/// A technique has no rule, a rule and no data, or both; data is what is in the content, or what one names.
#[test]
fn coverage_tells_a_missing_rule_from_missing_data() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, none) = (folder.path().join("logs"), folder.path().join("none"));
    fs::create_dir_all(&logs).unwrap();
    fs::create_dir_all(&none).unwrap();
    fs::write(logs.join("one.json"), format!("{}\n", record(1))).unwrap();
    fs::write(none.join("note.txt"), "nothing here\n").unwrap();
    let (logs, none) = (logs.to_str().unwrap(), none.to_str().unwrap());
    // T1562.008 is what rules write; its place is T1685.002 now, and T1685 is above it.
    let techniques = ["T1685.002", "T1685", "T1537", "T1078.004"];
    check(&[], &techniques, "rule and data");
    check(&["--provider", "aws"], &techniques, "rule and data");
    check(&["--data", logs], &techniques, "rule and data");
    check(&["--source", "aws/cloudtrail"], &techniques, "rule and data");
    check(&["--data", none, "--source", "aws"], &techniques, "rule and data");
    check(&["--data", none], &techniques, "rule, no data");
    check(&[], &["T1213.004"], "no rule");
    let text = vigie(&["coverage", "--data", none]).unwrap().out;
    for said in ["ATT&CK 19: ", "data: none", "Rule and data (0)", "Rule, no data (", "No rule ("] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(text.contains("  T1685.002  Disable or Modify Tools: Disable or Modify Cloud Log  "), "{text}");
    for wrong in [["--provider", "nobody"], ["--source", "aws/nothing"]] {
        let ran = vigie(&[["coverage"].as_slice(), wrong.as_slice()].concat()).unwrap();
        assert!(ran.code == 2 && ran.err.contains("aws"), "{wrong:?}: {}", ran.err);
    }
}

/// The layer is what Navigator 5 opens: format 4.5, ids of one release, each once.
#[test]
fn coverage_is_a_navigator_layer() {
    let layer = json(&vigie(&["coverage", "--provider", "aws", "-o", "navigator"]).unwrap());
    assert_eq!(layer["versions"], serde_json::json!({ "attack": "19", "navigator": "5.3.2", "layer": "4.5" }));
    assert_eq!(layer["domain"], "enterprise-attack");
    assert!(layer["name"].as_str().unwrap().contains("aws"));
    let is_id = |id: &str| {
        let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
        let rest = id.strip_prefix('T').unwrap_or_default();
        rest.split_once('.').map_or(digits(rest, 4), |(above, below)| digits(above, 4) && digits(below, 3))
    };
    let techniques = layer["techniques"].as_array().unwrap();
    let ids: BTreeSet<&str> = techniques.iter().map(|entry| entry["techniqueID"].as_str().unwrap()).collect();
    assert!(ids.len() == techniques.len() && ids.iter().all(|id| is_id(id)), "{ids:?}");
    assert!(!ids.contains("T1562.008"), "an id of an older release");
    let legend: BTreeSet<&str> =
        layer["legendItems"].as_array().unwrap().iter().map(|item| item["color"].as_str().unwrap()).collect();
    assert_eq!(legend.len(), 3);
    for entry in techniques {
        assert!(
            legend.contains(entry["color"].as_str().unwrap()) && entry["score"].is_u64() && entry["enabled"] == true,
            "{entry}"
        );
    }
    let log = techniques.iter().find(|entry| entry["techniqueID"] == "T1685.002").unwrap();
    assert!(log["score"].as_u64() > Some(3) && log["comment"].as_str().unwrap().contains("Audit trail stopped"), "{log}");
}

/// What a provider sees by itself stands beside what our rules look for.
#[test]
fn native_detection_is_compared_with_ours() {
    let list = json(&vigie(&["native", "--provider", "aws", "-o", "json"]).unwrap());
    let rows = list.as_array().unwrap();
    let covered = |technique: &str| rows.iter().find(|row| row["technique"] == technique).unwrap();
    assert_eq!(covered("T1078.004")["covered"], "native and ours");
    assert_eq!(covered("T1055.009")["covered"], "native only");
    assert_eq!(covered("T1213.004")["covered"], "nobody");
    let root = covered("T1078.004")["native"].as_array().unwrap();
    let root = root.iter().find(|finding| finding["type"] == "Policy:IAMUser/RootCredentialUsage").unwrap();
    assert_eq!(root["service"], "GuardDuty");
    assert!(["needs", "delay", "price", "words"].iter().all(|key| !root[key].as_str().unwrap().is_empty()), "{root}");
    let text = vigie(&["native"]).unwrap().out;
    for said in ["aws GuardDuty", "Native and ours (", "Native only (", "Ours only (", "Nobody ("] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

/// A new rule comes with a page for the samples of each provider that it will claim, and names the others.
#[test]
fn a_new_rule_proposes_pages_for_providers() {
    let folder = tempfile::tempdir().unwrap();
    let new = |arguments: &[&str]| {
        let arguments = [["rule", "new"].as_slice(), arguments].concat();
        let ran = Command::new(binary()).args(arguments).current_dir(folder.path()).output().unwrap();
        (ran.status.code(), String::from_utf8_lossy(&ran.stdout).into_owned())
    };
    let (code, out) = new(&["first"]);
    assert!(code == Some(0) && out.contains("wrote first.yml, first.md;") && out.contains("first.aws.md"), "{out}");
    let (code, out) = new(&["second", "--provider", "aws", "--provider", "elsewhere"]);
    assert!(code == Some(0) && out.contains("wrote second.yml, second.md, second.aws.md, second.elsewhere.md;"), "{out}");
    let rule = fs::read_to_string(folder.path().join("second.yml")).unwrap();
    assert!(rule.contains("vigie:\n    providers: [aws, elsewhere]\n"), "{rule}");
    assert!(fs::read_to_string(folder.path().join("second.aws.md")).unwrap().contains("```json fires"));
    let lint = vigie(&["rule", "lint", folder.path().to_str().unwrap()]).unwrap();
    assert!(lint.code == 0 && lint.out.contains("2 rules in 2 files: 0 errors"), "{}", lint.out);
    assert_eq!(new(&["second"]).0, Some(2), "what is there stays");
    assert_eq!(new(&["third", "--provider", "../up"]).0, Some(2));
}
