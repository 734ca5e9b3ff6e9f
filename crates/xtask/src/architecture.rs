//! Compares the dependency table of ARCHITECTURE.md with the manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::Report;

/// Heavy or dangerous dependencies and the one crate that may name each.
const HOMES: [(&str, &str); 14] = [
    ("datafusion", "vigie-lake"),
    ("arrow", "vigie-lake"),
    ("parquet", "vigie-lake"),
    ("deltalake-core", "vigie-lake"),
    ("sqlx", "vigie-state"),
    ("axum", "vigie-serve"),
    ("tonic", "vigie-serve"),
    ("redb", "vigie-pipeline"),
    ("reqwest", "vigie-connect"),
    ("clap", "vigie"),
    ("rsigma-parser", "vigie-detect"),
    ("zip", "vigie-pipeline"),
    ("aws-lc-rs", "vigie-pipeline"),
    ("maxminddb", "vigie-normalise"),
];
/// Depth of the longest path of dependencies from the binary, in edges.
const DEPTH_MAX: usize = 5;

/// What each crate may know, by the table.
fn table(root: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    let begins = |line: &&str| line.replace(' ', "").starts_with("|crate|mayknow|mustneverknow|");
    let rows = text.lines().skip_while(|line| !begins(line)).skip(2).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', ""));
        let (name, knows) = (cells.next()?, cells.next()?);
        let knows = knows.split(',').map(str::trim).filter(|name| !["-", "\u{2013}", ""].contains(name));
        Some((name, knows.map(str::to_owned).collect()))
    };
    rows.filter_map(row).collect()
}

/// Checks the table, the homes of heavy dependencies, and the depth.
pub(crate) fn check(root: &Path, report: &mut Report) {
    let table = table(root);
    if table.is_empty() {
        report.say("ARCHITECTURE.md: has no table `crate | may know | must never know`");
        return;
    }
    let metadata = Command::new("cargo").args(["metadata", "--format-version=1", "--no-deps"]).current_dir(root).output();
    let metadata: Value = match metadata
        .map_err(|error| error.to_string())
        .and_then(|out| serde_json::from_slice(&out.stdout).map_err(|error| error.to_string()))
    {
        Ok(metadata) => metadata,
        Err(error) => {
            report.say(format!("cargo metadata: {error}"));
            return;
        }
    };
    let mut edges: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in metadata.pointer("/packages").and_then(Value::as_array).into_iter().flatten() {
        let name = package.pointer("/name").and_then(Value::as_str).unwrap_or_default();
        let dependencies = package.pointer("/dependencies").and_then(Value::as_array).into_iter().flatten();
        let normal = dependencies.filter(|dependency| dependency.pointer("/kind").is_none_or(Value::is_null));
        let names: Vec<String> =
            normal.filter_map(|dependency| dependency.pointer("/name")?.as_str()).map(str::to_owned).collect();
        check_crate(name, &names, &table, report);
        edges.insert(name.to_owned(), names);
    }
    let depth = depth("vigie", &edges);
    if depth > DEPTH_MAX {
        report.say(format!("the longest path of dependencies from vigie has {depth} edges; {DEPTH_MAX} are allowed"));
    }
}

fn check_crate(name: &str, dependencies: &[String], table: &BTreeMap<String, BTreeSet<String>>, report: &mut Report) {
    let is_ours = !["xtask", "vigie-tests", "vigie-benches"].contains(&name);
    let short = name.trim_start_matches("vigie-");
    for dependency in dependencies {
        if let Some((_, home)) = HOMES.iter().find(|(heavy, _)| heavy == dependency)
            && *home != name
            && is_ours
        {
            report.say(format!("{name}: names {dependency}, whose only home is {home}"));
        }
        let Some(other) = dependency.strip_prefix("vigie-").filter(|_| is_ours) else {
            continue;
        };
        match table.get(short) {
            None => report.say(format!("ARCHITECTURE.md: has no row for {short}")),
            Some(knows) if knows.contains("all") || knows.contains(other) => {}
            Some(_) => report.say(format!("{name}: may not know {other}; the table of ARCHITECTURE.md says what it may know")),
        }
    }
}

fn depth(name: &str, edges: &BTreeMap<String, Vec<String>>) -> usize {
    let inner = edges.get(name).into_iter().flatten().filter(|dependency| dependency.starts_with("vigie-"));
    inner.map(|dependency| 1 + depth(dependency, edges)).max().unwrap_or(0)
}
