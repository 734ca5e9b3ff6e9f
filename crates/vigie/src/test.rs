//! `vigie test`: every self-test of a content folder, ours and the user's alike.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use vigie_detect::{RuleSet, RuleSource, RuleState};
use vigie_model::{LogType, MemorySource};
use vigie_normalise::{Enrichments, Mapping};

use crate::arguments::TestOptions;
use crate::attack::Attack;
use crate::claims::{Bench, Proof, is_rule, stem};
use crate::content::{Content, read_tree};
use crate::error::{Error, FOUND};
use crate::logs::survey;
use crate::output::line;

/// What the tests found.
#[derive(Default)]
struct Tally {
    passed: Vec<String>,
    failures: Vec<String>,
    /// Filters: compiled, and tried on no sample.
    filters: Vec<String>,
    /// Providers without a log type here, and how many rule files claim them.
    absent: BTreeMap<String, usize>,
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
            let content = Content::proven()?;
            let rules = content.files.clone();
            (content, rules)
        }
        Some(path) => tree(path)?,
    };
    let mut tally = Tally::default();
    let mappings = content.mappings()?;
    let attack = Attack::read(&content)?;
    test_rules(&content, &mappings, attack.as_ref(), &rules, &mut tally);
    test_mappings(&content, &mappings, &mut tally)?;
    test_enrichments(&content, &mut tally);
    test_words(&content, &mappings, &mut tally)?;
    crate::native::verify(&content, &mut |name, result| tally.check(name, result))?;
    for name in tally.passed.iter().filter(|_| options.verbose) {
        line(format_args!("ok   {name}"))?;
    }
    for filter in &tally.filters {
        line(format_args!("filter {filter}: compiled; filters have no samples"))?;
    }
    for failure in &tally.failures {
        line(format_args!("{failure}"))?;
    }
    for (provider, files) in &tally.absent {
        line(format_args!("absent {provider}: no log type of it is here; {files} rules claim it and were not tried on it"))?;
    }
    line(format_args!("{} passed, {} failed", tally.passed.len(), tally.failures.len()))?;
    Ok(if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// A content folder, whole or laid over ours, or a folder of rules to test against ours.
fn tree(path: &Path) -> Result<(Content, BTreeMap<String, String>), Error> {
    let files = read_tree(path)?;
    let folders = ["vendors/", "rules/", "text/", "enrichments/"];
    let is_content = files.keys().any(|name| folders.iter().any(|folder| name.starts_with(folder)));
    let content = if is_content { Content::tree(Some(path))? } else { Content::proven()? };
    Ok((content, files))
}

/// Every rule file, alone, on the samples of its pages.
fn test_rules(
    content: &Content,
    mappings: &[Mapping],
    attack: Option<&Attack>,
    files: &BTreeMap<String, String>,
    tally: &mut Tally,
) {
    let source = |(place, text): (&String, &String)| RuleSource { place: place.clone(), text: text.clone() };
    let is_rule = |(place, text): &(&String, &String)| is_rule(place, text);
    let mut sources = content.rules();
    sources.retain(|rule| !files.contains_key(&rule.place));
    sources.extend(files.iter().filter(is_rule).map(source));
    let (all, _) = RuleSet::parse(&sources, content.classes());
    let bench = Bench::new(content, mappings, files);
    for (place, text) in files.iter().filter(is_rule) {
        let proof = bench.prove(place, text);
        let compiled = proof.errors.first().map_or(Ok(()), |error| Err(error.to_string()));
        tally.check(format!("{place} compiles"), compiled);
        test_filters(&all, place, tally);
        if !proof.is_tried {
            continue;
        }
        if let Some(attack) = attack {
            test_techniques(attack, place, &proof.set, tally);
        }
        let page = format!("{}.md", stem(place));
        if !files.contains_key(&page) {
            tally.check(format!("{place} has a page"), Err(format!("write {page} with samples")));
            continue;
        }
        tally.check(
            format!("{place} reads fields that a mapping gives"),
            // What only an absent provider gives is nobody's fault.
            if proof.blind.is_empty() || proof.has_absent(&bench) { Ok(()) } else { Err(proof.blind.join(", ")) },
        );
        match proof.faults.first() {
            Some((page, why)) => tally.check(page.clone(), Err(why.clone())),
            None => test_samples(&page, &bench, &proof, tally),
        }
    }
}

/// Techniques that rules name must be some that ATT&CK has, or once had under another id.
fn test_techniques(attack: &Attack, place: &str, set: &RuleSet, tally: &mut Tally) {
    let named = set.facts().iter().flat_map(|facts| &facts.techniques);
    let unknown: BTreeSet<&str> = named.filter(|id| attack.current(id).is_none()).map(String::as_str).collect();
    let list: Vec<&str> = unknown.into_iter().collect();
    tally.check(
        format!("{place} names techniques of ATT&CK {}", attack.release.version),
        if list.is_empty() { Ok(()) } else { Err(format!("{} is none", list.join(", "))) },
    );
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

fn test_samples(page: &str, bench: &Bench<'_>, proof: &Proof, tally: &mut Tally) {
    let has = |fires: bool| proof.trials.iter().any(|trial| trial.fires == fires);
    tally.check(
        format!("{page} shows both sides"),
        if has(true) && has(false) { Ok(()) } else { Err("give a sample that fires and one that stays silent".to_owned()) },
    );
    let near = proof.trials.iter().any(|trial| trial.is_near_miss);
    let is_correlation = proof.set.facts().iter().any(|facts| facts.is_correlation);
    if !is_correlation {
        tally.check(
            format!("{page} has a near miss"),
            if near { Ok(()) } else { Err("give a silent patch that changes one field".to_owned()) },
        );
    }
    for trial in proof.trials.iter().filter(|trial| !trial.is_absent) {
        tally.check(trial.name.clone(), trial.result.clone());
    }
    for provider in &proof.claims {
        if !bench.sources.contains(provider) {
            *tally.absent.entry(provider.clone()).or_default() += 1;
            continue;
        }
        let (fires, near_misses) = proof.counts(provider);
        let ending = format!("{provider}.md");
        let own = page.strip_suffix("md").map(|stem| format!("{stem}{ending}")).unwrap_or(ending);
        tally.check(
            format!("{page} proves the claim on {provider}"),
            if fires > 0 && near_misses > 0 {
                Ok(())
            } else {
                Err(format!(
                    "{fires} of its samples fire and {near_misses} near misses stay silent; give one of each, here or in {own}"
                ))
            },
        );
    }
}

/// Every sample of a log is of that log, and maps to its expected document, or documents.
fn test_mappings(content: &Content, mappings: &[Mapping], tally: &mut Tally) -> Result<(), Error> {
    let folder = |mapping: &Mapping| format!("vendors/{}/logs/{}/", mapping.log.product(), mapping.log.service());
    let is_sample = |path: &str| path.starts_with("vendors/") && path.contains("/samples/");
    let samples = content.files.iter().filter(|(path, _)| is_sample(path));
    let source = MemorySource::of(samples.map(|(path, text)| (path.clone(), Arc::from(text.as_bytes()))));
    let found: Mutex<BTreeMap<String, Vec<(LogType, String)>>> = Mutex::default();
    let take = |path: &str, log: &LogType, document: &str| {
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        found.entry(path.to_owned()).or_default().push((log.clone(), document.to_owned()));
        Ok(())
    };
    let outcome = survey(content, &source, None, Some(&take))?;
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    for mapping in mappings {
        let folder = folder(mapping);
        let prefix = format!("{folder}samples/");
        let samples: Vec<&String> = content
            .files
            .range(prefix.clone()..)
            .take_while(|(path, _)| path.starts_with(&prefix))
            .map(|(path, _)| path)
            .collect();
        tally.check(
            format!("{folder} has samples"),
            if samples.is_empty() { Err("add samples/*.json and expected/*.json".to_owned()) } else { Ok(()) },
        );
        for path in samples {
            let expected = path.replace("/samples/", "/expected/").replace(".csv", ".json").replace(".log", ".json");
            let expected = content.files.get(&expected).ok_or_else(|| format!("has no file {expected}"));
            let documents = found.get(path).map(Vec::as_slice).unwrap_or_default();
            let lost = || {
                let why = outcome.reject_samples.iter().find(|reject| reject.file == **path);
                why.map_or("holds no record".to_owned(), |reject| reject.detail.clone())
            };
            let result = if documents.is_empty() { Err(lost()) } else { Ok(()) };
            let result = result.and(expected).and_then(|expected| is_expected(&mapping.log, expected, documents));
            tally.check(path.clone(), result);
        }
    }
    Ok(())
}

/// Every sample of an enrichment becomes its expected document, by the rows of its fixture, and nothing of it
/// changes but what the enrichment says that it gives.
fn test_enrichments(content: &Content, tally: &mut Tally) {
    for (name, tested) in crate::enrichments::tested(content) {
        let folder = format!("enrichments/{name}/");
        let (declaration, enrichments) = match tested {
            Ok(tested) => tested,
            Err(error) => {
                tally.check(folder, Err(error.to_string()));
                continue;
            }
        };
        let prefix = format!("{folder}samples/");
        let (mut changed, mut same) = (0usize, 0usize);
        for (path, text) in content.files.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix)) {
            let expected = content.files.get(&path.replace("/samples/", "/expected/"));
            let result = enriched(&enrichments, &declaration.paths(), text, expected);
            match result {
                Ok(true) => changed += 1,
                Ok(false) => same += 1,
                Err(_) => {}
            }
            tally.check(path.clone(), result.map(|_| ()));
        }
        tally.check(
            format!("{folder} has samples"),
            if changed > 0 && same > 0 {
                Ok(())
            } else {
                Err("give samples/*.json with expected/*.json: one that changes, and one that stays as it is".to_owned())
            },
        );
    }
}

/// Whether an enrichment changes a document, and no more of it than these paths.
fn enriched(enrichments: &Enrichments, paths: &[String], text: &str, expected: Option<&String>) -> Result<bool, String> {
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).map_err(|error| error.to_string());
    let mut found = parse(&enrichments.document(text.trim()).ok_or("is no object of JSON")?)?;
    // The version is a hash of the tables, of which the fixture is none.
    let entries = found.get_mut("enrichments").and_then(serde_json::Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        if let Some(data) = entry.get_mut("data").and_then(serde_json::Value::as_object_mut) {
            data.remove("version");
        }
    }
    let wanted = parse(expected.ok_or("has no file under expected/")?)?;
    if let Some(why) = difference(&wanted, &found, "") {
        return Err(why);
    }
    let sample = parse(text)?;
    let (before, after) = (leaves(&sample), leaves(&found));
    let differs = |path: &&String| before.get(*path) != after.get(*path);
    let other =
        before.keys().chain(after.keys()).filter(differs).find(|path| !path.starts_with("enrichments.") && !paths.contains(path));
    match other {
        Some(path) => Err(format!("`{path}` changes, and the enrichment does not say that it gives it")),
        None => Ok(sample != found),
    }
}

/// The scalars of a document by their paths, which go through lists.
fn leaves(value: &serde_json::Value) -> BTreeMap<String, Vec<String>> {
    let mut leaves: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut waiting = vec![(String::new(), value)];
    while let Some((path, value)) = waiting.pop() {
        match value {
            serde_json::Value::Object(members) => waiting.extend(
                members.iter().map(|(key, member)| (if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, member)),
            ),
            serde_json::Value::Array(items) => waiting.extend(items.iter().map(|item| (path.clone(), item))),
            scalar => leaves.entry(path).or_default().push(scalar.to_string()),
        }
    }
    leaves
}

/// Whether documents are of a log, and those that are expected: one, or a list of several.
fn is_expected(log: &LogType, expected: &str, documents: &[(LogType, String)]) -> Result<(), String> {
    if let Some((other, _)) = documents.iter().find(|(found, _)| found != log) {
        return Err(format!("is taken for a record of {other}"));
    }
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).map_err(|error| error.to_string());
    let mut found = documents.iter().map(|(_, document)| read(document)).collect::<Result<Vec<_>, _>>()?;
    let found = if found.len() == 1 { found.remove(0) } else { serde_json::Value::Array(found) };
    difference(&read(expected)?, &found, "").map_or(Ok(()), Err)
}

/// The first place where two documents differ.
fn difference(wanted: &serde_json::Value, found: &serde_json::Value, place: &str) -> Option<String> {
    use serde_json::Value::{Array, Object};
    if let (Object(left), Object(right)) = (wanted, found) {
        let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        let null = serde_json::Value::Null;
        return keys.into_iter().filter(|key| *key != "raw_data").find_map(|key| {
            difference(left.get(key).unwrap_or(&null), right.get(key).unwrap_or(&null), &format!("{place}.{key}"))
        });
    }
    if let (Array(left), Array(right)) = (wanted, found)
        && left.len() == right.len()
    {
        let pairs = left.iter().zip(right).enumerate();
        return pairs.filter_map(|(at, (left, right))| difference(left, right, &format!("{place}.{at}"))).next();
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
