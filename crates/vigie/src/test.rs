//! `vigie test`: every self-test of a content folder, ours and the user's alike.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use vigie_detect::{RuleSet, RuleSource, RuleState};
use vigie_model::MemorySource;
use vigie_model::limits::RECORD_BYTES_MAX;
use vigie_normalise::Mapping;
use vigie_pipeline::{Hunt, Lanes, Progress};
use vigie_record::{Cut, LineSet, Made, MadeLines, TableCutter};

use crate::arguments::TestOptions;
use crate::content::{Content, is_yaml, read_tree};
use crate::error::{Error, FOUND};
use crate::output::line;
use crate::sample::{Sample, samples};

/// Memory for sorting in a test: samples are small.
const SPILL_BYTES: usize = 4 * 1024 * 1024;
/// A YAML file with one of these is meant for us; other YAML may lie in the folder.
const RULE_KEYS: [&str; 3] = ["title:", "logsource:", "correlation:"];

/// What the tests found.
#[derive(Default)]
struct Tally {
    passed: Vec<String>,
    failures: Vec<String>,
    /// Filters: compiled, and tried on no sample.
    filters: Vec<String>,
}

impl Tally {
    fn check(&mut self, name: String, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed.push(name),
            Err(why) => self.failures.push(format!("FAIL {name}: {why}")),
        }
    }
}

/// Runs the command.
pub(crate) fn run(options: &TestOptions) -> Result<ExitCode, Error> {
    let (content, rules) = match &options.path {
        None => {
            let content = Content::embedded();
            let rules = content.files.clone();
            (content, rules)
        }
        Some(path) => tree(path)?,
    };
    let mut tally = Tally::default();
    let mappings = content.mappings()?;
    test_rules(&content, &mappings, &rules, &mut tally);
    test_mappings(&content, &mappings, &mut tally);
    test_words(&content, &mappings, &mut tally)?;
    for name in tally.passed.iter().filter(|_| options.verbose) {
        line(format_args!("ok   {name}"))?;
    }
    for filter in &tally.filters {
        line(format_args!("filter {filter}: compiled; filters have no samples"))?;
    }
    for failure in &tally.failures {
        line(format_args!("{failure}"))?;
    }
    line(format_args!("{} passed, {} failed", tally.passed.len(), tally.failures.len()))?;
    Ok(if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// A content folder laid over ours, or a folder of rules to test against ours.
fn tree(path: &Path) -> Result<(Content, BTreeMap<String, String>), Error> {
    let files = read_tree(path)?;
    let is_content =
        files.keys().any(|name| name.starts_with("vendors/") || name.starts_with("rules/") || name.starts_with("text/"));
    let content = if is_content { Content::load(Some(path))? } else { Content::embedded() };
    Ok((content, files))
}

/// Every rule file, alone, on the samples of its page.
fn test_rules(content: &Content, mappings: &[Mapping], files: &BTreeMap<String, String>, tally: &mut Tally) {
    let is_rule = |(place, text): &(&String, &String)| is_yaml(place) && RULE_KEYS.iter().any(|key| text.contains(*key));
    let source = |(place, text): (&String, &String)| RuleSource { place: place.clone(), text: text.clone() };
    let mut sources = content.rules();
    sources.retain(|rule| !files.contains_key(&rule.place));
    sources.extend(files.iter().filter(is_rule).map(source));
    let (all, _) = RuleSet::parse(&sources, content.classes());
    for (place, text) in files.iter().filter(is_rule) {
        let source = source((place, text));
        let (set, errors) = RuleSet::parse(&[source], content.classes());
        let compiled = errors.first().map_or(Ok(()), |error| Err(error.to_string()));
        let is_broken = compiled.is_err();
        tally.check(format!("{place} compiles"), compiled);
        let is_filter = |number: usize| set.state(u32::try_from(number).unwrap_or(u32::MAX)) == Some(&RuleState::Filter);
        test_filters(&all, place, tally);
        if is_broken || (0..set.facts().len()).all(is_filter) {
            continue;
        }
        let lanes = Lanes::mapped(mappings, &set);
        let blind: Vec<String> = lanes.blind_rules().into_iter().map(|(_, path)| path).collect();
        tally.check(
            format!("{place} reads fields that a mapping gives"),
            if blind.is_empty() { Ok(()) } else { Err(blind.join(", ")) },
        );
        let page = place.replace(".yaml", ".yml").replace(".yml", ".md");
        match files.get(&page).map(|page| samples(page)) {
            None => tally.check(format!("{place} has a page"), Err(format!("write {page} with samples"))),
            Some(Err(why)) => tally.check(page, Err(why)),
            Some(Ok(samples)) => test_samples(&page, &set, &lanes, &samples, tally),
        }
    }
}

/// The filters of a file: what they name must exist, among our rules or those beside them.
fn test_filters(all: &RuleSet, place: &str, tally: &mut Tally) {
    for (number, facts) in (0u32..).zip(all.facts()).filter(|(_, facts)| facts.place == place) {
        if all.state(number) != Some(&RuleState::Filter) {
            continue;
        }
        let lost = all.lost_targets(number).join(", ");
        tally.filters.push(format!("{place}, {}", facts.title));
        tally.check(
            format!("{place} filters rules that exist"),
            if lost.is_empty() { Ok(()) } else { Err(format!("no rule has the name or id {lost}; `vigie rule list` gives ids")) },
        );
    }
}

fn test_samples(page: &str, set: &RuleSet, lanes: &Lanes, samples: &[Sample], tally: &mut Tally) {
    let has = |fires: bool| samples.iter().any(|sample| sample.fires == fires);
    tally.check(
        format!("{page} shows both sides"),
        if has(true) && has(false) { Ok(()) } else { Err("give a sample that fires and one that stays silent".to_owned()) },
    );
    let near = samples.iter().any(|sample| !sample.fires && sample.changed_fields == Some(1));
    let is_correlation = set.facts().iter().any(|facts| facts.is_correlation);
    if !is_correlation {
        tally.check(
            format!("{page} has a near miss"),
            if near { Ok(()) } else { Err("give a silent patch that changes one field".to_owned()) },
        );
    }
    for sample in samples {
        let name = format!("{page}:{} {}", sample.line, sample.title);
        tally.check(name, test_sample(set, lanes, sample));
    }
}

fn test_sample(set: &RuleSet, lanes: &Lanes, sample: &Sample) -> Result<(), String> {
    let lines: Vec<String> = sample.records.iter().map(ToString::to_string).collect();
    let source = MemorySource::new("sample", lines.join("\n").into_bytes());
    let progress = Progress::default();
    let hunt = Hunt { spill_bytes: SPILL_BYTES, ..Hunt::new(&source, lanes, set, &progress) };
    let mut findings = 0usize;
    let outcome = hunt.run(&mut |_, _| findings += 1).map_err(|error| error.to_string())?;
    if outcome.events as usize != sample.records.len() {
        return Err(format!(
            "{} of its {} records are events; {:?}",
            outcome.events,
            sample.records.len(),
            outcome.reject_samples
        ));
    }
    match (sample.fires, findings) {
        (true, 0) => Err("stays silent but must fire".to_owned()),
        (false, 1..) => Err("fires but must stay silent".to_owned()),
        _ => Ok(()),
    }
}

/// Every sample of a log maps to its expected document.
fn test_mappings(content: &Content, mappings: &[Mapping], tally: &mut Tally) {
    for mapping in mappings {
        let mut wanted = vigie_record::PathSet::new();
        let programme = mapping.programme(&mut wanted);
        let walk = vigie_record::Walk::compile(&[programme.paths()]);
        let folder = format!("vendors/{}/logs/{}/", mapping.log.product(), mapping.log.service());
        let prefix = format!("{folder}samples/");
        let samples: Vec<(&String, &String)> =
            content.files.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix)).collect();
        tally.check(
            format!("{folder} has samples"),
            if samples.is_empty() { Err("add samples/*.json and expected/*.json".to_owned()) } else { Ok(()) },
        );
        for (path, text) in samples {
            let expected = path.replace("/samples/", "/expected/").replace(".csv", ".json").replace(".log", ".json");
            let expected = content.files.get(&expected);
            let result = sample_record(mapping, path, text).and_then(|record| {
                let mut row = vigie_record::Row::new();
                walk.read(&record, &mut row).map_err(|reject| reject.to_string())?;
                let document = programme.document(&walk.view(&row, 0));
                let found: serde_json::Value = serde_json::from_str(&document).map_err(|error| error.to_string())?;
                let wanted = expected.ok_or("has no file under expected/")?;
                let wanted: serde_json::Value = serde_json::from_str(wanted).map_err(|error| error.to_string())?;
                difference(&wanted, &found, "").map_or(Ok(()), Err)
            });
            tally.check(path.clone(), result);
        }
    }
}

/// The record of a sample: the file itself, the one row of an export under its header, or the one line of
/// a text.
fn sample_record(mapping: &Mapping, path: &str, text: &str) -> Result<Vec<u8>, String> {
    if path.ends_with(".log") {
        return sample_line(mapping, text);
    }
    if !path.ends_with(".csv") {
        return Ok(text.trim().as_bytes().to_vec());
    }
    let mut made = Made::default();
    let mut cutter = TableCutter::begin(text.as_bytes(), &mapping.exports, RECORD_BYTES_MAX)
        .ok_or("begins with the header of no export in exports.toml")?;
    cutter.cut(text.as_bytes(), true, &mut made);
    match made.cuts.as_slice() {
        [Cut::Record(_)] => Ok(made.bytes),
        _ => Err("must hold a header and one whole row".to_owned()),
    }
}

fn sample_line(mapping: &Mapping, text: &str) -> Result<Vec<u8>, String> {
    let set = LineSet::new(&[(0, &mapping.lines)]);
    let (mut cuts, mut made) = (Vec::new(), MadeLines::default());
    let mut cutter = set.cutter(text.as_bytes(), None, RECORD_BYTES_MAX).ok_or("holds no line that lines.toml describes")?;
    cutter.cut(text.as_bytes(), true, &mut cuts, &mut made);
    match (cuts.as_slice(), made.get(0)) {
        ([Cut::Record(_)], Some(line)) => Ok(line.record.to_vec()),
        _ => Err("must hold one line, behind the header where there is one".to_owned()),
    }
}

/// The first place where two documents differ.
fn difference(wanted: &serde_json::Value, found: &serde_json::Value, place: &str) -> Option<String> {
    use serde_json::Value::Object;
    if let (Object(left), Object(right)) = (wanted, found) {
        let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        let null = serde_json::Value::Null;
        return keys.into_iter().filter(|key| *key != "raw_data").find_map(|key| {
            difference(left.get(key).unwrap_or(&null), right.get(key).unwrap_or(&null), &format!("{place}.{key}"))
        });
    }
    (wanted != found).then(|| format!("{}: expected {wanted}, found {found}", place.trim_start_matches('.')))
}

/// Every verb that a mapping gives stands in the table and has a sentence in each language.
fn test_words(content: &Content, mappings: &[Mapping], tally: &mut Tally) -> Result<(), Error> {
    let table = content.files.get("verbs/verbs.toml").map(String::as_str).unwrap_or_default();
    let table: toml::Table = table.parse().map_err(|error| Error::Failed(format!("verbs/verbs.toml: {error}")))?;
    let rows = table.get("verb").and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let known: BTreeSet<&str> = rows.iter().filter_map(|row| row.get("name")?.as_str()).collect();
    for language in ["en", "fr"] {
        let texts = content.texts(language)?;
        let told: BTreeSet<&str> = texts.verbs().collect();
        let silent: Vec<&str> = known.difference(&told).copied().collect();
        tally.check(
            format!("text/{language}.toml has a sentence for every verb"),
            if silent.is_empty() { Ok(()) } else { Err(silent.join(", ")) },
        );
    }
    for mapping in mappings {
        let unknown: BTreeSet<&str> = mapping.verbs().filter(|verb| !known.contains(verb)).collect();
        let list: Vec<&str> = unknown.into_iter().collect();
        tally.check(
            format!("{} uses verbs of verbs/verbs.toml", mapping.log),
            if list.is_empty() { Ok(()) } else { Err(list.join(", ")) },
        );
    }
    Ok(())
}
