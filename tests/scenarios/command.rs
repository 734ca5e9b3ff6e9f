//! The command line: closed outputs, folders of content, and what `vigie test` looks at.

use std::fs;
use std::io::pipe;
use std::path::Path;
use std::process::{Command, Stdio};

use vigie_tests::{binary, vigie};

use crate::shapes::record;

const RULE: &str = "title: Stop seen\nname: stop_seen\nid: 0d6a1c1e-2222-4a0f-9d8e-0c8f2a3b4c5d\nlogsource: {product: aws, service: cloudtrail}\ndetection: {s: {eventName: StopLogging}, condition: s}\nlevel: high\n";

fn write_logs(folder: &Path) -> String {
    let logs = folder.join("logs.json");
    fs::write(&logs, (0..5).map(|number| format!("{}\n", record(number))).collect::<String>()).unwrap();
    logs.to_str().unwrap().to_owned()
}

/// A reader that has seen enough, such as `head`, ends a command without a word.
#[test]
fn a_closed_output_is_a_quiet_end() {
    let folder = tempfile::tempdir().unwrap();
    let logs = write_logs(folder.path());
    let commands: [&[&str]; 13] = [
        &[],
        &["help"],
        &["logs", "list"],
        &["logs", "gaps", logs.as_str()],
        &["rule", "list"],
        &["rule", "explain", "trail_stopped"],
        &["rule", "matrix"],
        &["coverage"],
        &["native"],
        &["test", "--verbose"],
        &["hunt", logs.as_str()],
        &["hunt", logs.as_str(), "-o", "ndjson"],
        &["hunt", logs.as_str(), "--explain", "10000000-0000-4000-8000-000000000001"],
    ];
    for arguments in commands {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let ran = Command::new(binary()).args(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let err = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.code() == Some(0), "{arguments:?}: {:?} {err}", ran.status);
        assert!(!err.contains("panicked") && !err.contains("ipe"), "{arguments:?}: {err}");
    }
}

/// With standard error closed too, there is nobody left to tell.
#[test]
fn closed_outputs_end_a_failing_command() {
    for arguments in [["hunt", "no-such-folder"], ["rule", "list"]] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let both = writer.try_clone().unwrap();
        let status = Command::new(binary()).args(arguments).stdout(writer).stderr(both).status().unwrap();
        assert!(matches!(status.code(), Some(0..=2)), "{arguments:?}: {status:?}");
    }
}

/// `--no-builtin` leaves out what the binary brings, not what the user's content folder brings.
#[test]
fn no_builtin_keeps_the_rules_of_a_content_folder() {
    let folder = tempfile::tempdir().unwrap();
    let logs = write_logs(folder.path());
    let content = folder.path().join("content");
    fs::create_dir_all(content.join("rules/mine")).unwrap();
    fs::write(content.join("rules/mine/stop_seen.yml"), RULE).unwrap();
    let titles = |more: &[&str]| {
        let arguments =
            [["hunt", logs.as_str(), "-o", "ndjson", "--content", content.to_str().unwrap()].as_slice(), more].concat();
        let ran = vigie(&arguments).unwrap();
        let title = |line: &str| {
            let finding: serde_json::Value = serde_json::from_str(line).unwrap();
            finding["finding_info"]["title"].as_str().unwrap().to_owned()
        };
        ran.out.lines().map(title).collect::<std::collections::BTreeSet<String>>()
    };
    let all = titles(&[]);
    assert!(all.contains("Stop seen") && all.contains("Audit trail stopped"), "{all:?}");
    assert_eq!(titles(&["--no-builtin"]).into_iter().collect::<Vec<_>>(), ["Stop seen"]);
}

/// A filter beside rules is compiled, named, and must name rules that exist.
#[test]
fn filters_are_tested_with_the_rules_they_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_trail.yml");
    let test = |rules: &str, field: &str| {
        let filter = format!(
            "title: Known trail\nlogsource: {{product: aws, service: cloudtrail}}\nfilter:\n  rules: {rules}\n  selection: {{{field}: trail-1}}\n  condition: not selection\n"
        );
        fs::write(&path, filter).unwrap();
        vigie(&["test", folder.path().to_str().unwrap()]).unwrap()
    };
    let listed = vigie(&["rule", "list"]).unwrap().out;
    let id =
        listed.lines().find(|line| line.contains("Audit trail stopped")).and_then(|line| line.split_whitespace().nth(2)).unwrap();
    let sound = test(&format!("[{id}]"), "requestParameters.name");
    assert_eq!(sound.code, 0, "{}", sound.out);
    assert!(sound.out.contains("filter known_trail.yml, Known trail: compiled"), "{}", sound.out);
    let lost = test("[no_such_rule]", "requestParameters.name");
    assert_eq!(lost.code, 3, "{}", lost.out);
    assert!(lost.out.contains("no rule has the name or id no_such_rule"), "{}", lost.out);
    let broken = test("any", "requestParameters.name|nonsense");
    assert_eq!(broken.code, 3, "{}", broken.out);
    assert!(broken.out.contains("FAIL known_trail.yml compiles"), "{}", broken.out);
}

/// A folder without logs names a command for every provider.
#[test]
fn an_empty_folder_says_how_to_get_logs_of_each_provider() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("note.txt"), "nothing here\n").unwrap();
    let out = vigie(&["hunt", folder.path().to_str().unwrap()]).unwrap().out;
    for said in ["aws s3 sync", "gcloud logging read", "az monitor activity-log list", "Search-UnifiedAuditLog", "/api/v1/logs"] {
        assert!(out.contains(said), "{said}: {out}");
    }
}
