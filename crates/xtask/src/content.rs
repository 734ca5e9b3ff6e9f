//! House rules on content: every file is one that something reads.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Report;

/// What is read, as `folder/.../ending` patterns: first part, and ending.
const READ: [(&str, &[&str]); 9] = [
    ("rules", &[".yml", ".md"]),
    ("attack", &["attack.toml", "techniques.tsv", "moved.tsv"]),
    (
        "vendors",
        &[
            "vendor.toml",
            "log.toml",
            "mapping.toml",
            "operations.tsv",
            "exports.toml",
            "lines.toml",
            "taxonomy.toml",
            "digest.toml",
            "findings.tsv",
            "page.md",
            ".json",
            ".csv",
            ".log",
        ],
    ),
    ("verbs", &["verbs.toml"]),
    ("text", &["en.toml", "fr.toml"]),
    ("schema", &["columns.toml", "generic.toml", "ocsf-1.8.0-classes.tsv"]),
    ("demo", &[".json", "world.toml", "intrusion.toml", "twins.toml"]),
    ("enrichments", &["enrichment.toml", ".csv", ".json"]),
    ("playbooks", &[".toml"]),
];

/// Checks that no content file is dead, and that a rule and its page come together.
pub(crate) fn check(root: &Path, report: &mut Report) {
    let content = root.join("content");
    let mut waiting: Vec<PathBuf> = vec![content.clone()];
    while let Some(path) = waiting.pop() {
        if let Ok(entries) = fs::read_dir(&path) {
            waiting.extend(entries.flatten().map(|entry| entry.path()));
            continue;
        }
        let name = path.strip_prefix(&content).map(|name| name.to_string_lossy().replace('\\', "/")).unwrap_or_default();
        let folder = name.split('/').next().unwrap_or_default();
        let is_read = READ.iter().any(|(known, endings)| *known == folder && endings.iter().any(|ending| name.ends_with(ending)));
        if !is_read {
            report.say(format!("content/{name}: nothing reads it"));
        }
        let twin = match path.extension().and_then(|ending| ending.to_str()) {
            Some("yml") => path.with_extension("md"),
            // `NAME.PROVIDER.md` holds the samples of one provider, beside `NAME.yml` too.
            Some("md") if folder == "rules" => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                path.with_file_name(format!("{}.yml", name.split('.').next().unwrap_or_default()))
            }
            _ => continue,
        };
        if folder == "rules" && !twin.exists() {
            report.say(format!("content/{name}: has no twin; a rule is a .yml and a .md of one name"));
        }
    }
}
