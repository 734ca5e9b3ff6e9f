//! `vigie coverage`: which techniques of ATT&CK are seen, and where a rule or its data is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use vigie_connect::Folder;
use vigie_detect::{RuleSet, RuleSource};
use vigie_normalise::Mapping;
use vigie_pipeline::{Hunt, Lanes, Progress};

use crate::arguments::{CoverageFormat, CoverageOptions};
use crate::attack::Attack;
use crate::claims::{Bench, is_rule, rule_files};
use crate::content::Content;
use crate::error::Error;
use crate::output::{line, note};

/// Rules named in the comment of a technique.
const COMMENT_RULES_MAX: usize = 20;

/// How well a technique is seen, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sight {
    Seen,
    NoData,
    NoRule,
}

impl Sight {
    const ALL: [Sight; 3] = [Sight::Seen, Sight::NoData, Sight::NoRule];

    fn word(self) -> &'static str {
        match self {
            Sight::Seen => "rule and data",
            Sight::NoData => "rule, no data",
            Sight::NoRule => "no rule",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Sight::Seen => "Rule and data",
            Sight::NoData => "Rule, no data",
            Sight::NoRule => "No rule",
        }
    }

    /// Colours that stay apart in grey and for the colour-blind.
    fn colour(self) -> &'static str {
        match self {
            Sight::Seen => "#2c7fb8",
            Sight::NoData => "#fec44f",
            Sight::NoRule => "#f0f0f0",
        }
    }
}

/// A rule that reports: what it looks for, and where it can.
pub(crate) struct Watcher {
    pub(crate) id: String,
    title: String,
    techniques: Vec<String>,
    /// Providers that it is about.
    providers: BTreeSet<String>,
    /// Log types that it was seen to fire on or, without samples, could.
    logs: BTreeSet<String>,
}

/// One technique: the rules that look for it, and the data that some of them have.
struct Entry<'w> {
    rules: Vec<&'w Watcher>,
    data: BTreeSet<&'w str>,
}

impl Entry<'_> {
    fn sight(&self) -> Sight {
        match (self.rules.is_empty(), self.data.is_empty()) {
            (true, _) => Sight::NoRule,
            (false, true) => Sight::NoData,
            (false, false) => Sight::Seen,
        }
    }
}

/// Runs the command.
pub(crate) fn run(options: &CoverageOptions) -> Result<ExitCode, Error> {
    let content = Content::tree(options.content.as_deref())?;
    let attack = attack(&content)?;
    let mappings = content.mappings()?;
    let sources = mappings.iter().map(|mapping| mapping.log.product());
    let watchers = of_providers(watchers(&content, &mappings, &options.rules)?, &options.provider, sources)?;
    let data = data(options, &content, &mappings)?;
    let entries = entries(&attack, &watchers, &data);
    match options.format {
        CoverageFormat::Text => text(&attack, &entries, options, &data)?,
        CoverageFormat::Json => print(&Value::from_iter(entries.iter().map(|(id, entry)| {
            let rules: Vec<&str> = entry.rules.iter().map(|rule| rule.id.as_str()).collect();
            let tactics = attack.techniques.get(*id).map(|technique| technique.tactics.as_slice()).unwrap_or_default();
            json!({
                "technique": id, "name": attack.name(id), "tactics": tactics,
                "state": entry.sight().word(), "rules": rules, "data": entry.data,
            })
        })))?,
        CoverageFormat::Navigator => print(&layer(&attack, &entries, &options.provider))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The techniques of the content.
pub(crate) fn attack(content: &Content) -> Result<Attack, Error> {
    let missing = || Error::Failed("attack/attack.toml is missing from the content".to_owned());
    Attack::read(content)?.ok_or_else(missing)
}

/// Prints one JSON document.
pub(crate) fn print(value: &Value) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::Failed(error.to_string()))?;
    line(format_args!("{text}"))
}

/// Every rule that reports.
pub(crate) fn watchers(content: &Content, mappings: &[Mapping], paths: &[PathBuf]) -> Result<Vec<Watcher>, Error> {
    let files = rule_files(content, paths)?;
    let bench = Bench::new(content, mappings, &files);
    let rules: Vec<(&String, &String)> = files.iter().filter(|(place, text)| is_rule(place, text)).collect();
    let source = |(place, text): &(&String, &String)| RuleSource { place: (*place).clone(), text: (*text).clone() };
    let sources: Vec<RuleSource> = rules.iter().map(source).collect();
    let (all, errors) = RuleSet::parse(&sources, content.classes());
    for error in &errors {
        note(format_args!("{error}"));
    }
    let served = Lanes::mapped(mappings, &all).served();
    let logs_here: BTreeSet<String> = mappings.iter().map(|mapping| mapping.log.0.clone()).collect();
    let mut proofs = BTreeMap::new();
    let mut watchers = Vec::new();
    for (number, facts) in (0u32..).zip(all.facts()).filter(|(number, _)| all.reports(*number)) {
        let proof = proofs
            .entry(&facts.place)
            .or_insert_with(|| bench.prove(&facts.place, files.get(&facts.place).map(String::as_str).unwrap_or_default()));
        let mut logs = proof.logs();
        if logs.is_empty() {
            // Without a sample that fires, what could be: a correlation on any log, a rule where it runs.
            let could = if facts.is_correlation { Some(&logs_here) } else { served.get(&number) };
            logs = could.cloned().unwrap_or_default();
            logs.retain(|log| proof.claims.is_empty() || proof.claims.contains(product(log)));
        }
        let mut about = proof.providers();
        if proof.claims.is_empty() {
            about.extend(logs.iter().map(|log| product(log).to_owned()));
        }
        let (id, title, techniques) = (facts.id.clone(), facts.title.clone(), facts.techniques.clone());
        watchers.push(Watcher { id, title, techniques, providers: about, logs });
    }
    Ok(watchers)
}

/// Those about some providers, on the logs of these; all when none is named. `others` are providers
/// that a person may name too.
pub(crate) fn of_providers<'n>(
    mut watchers: Vec<Watcher>,
    providers: &[String],
    others: impl Iterator<Item = &'n str>,
) -> Result<Vec<Watcher>, Error> {
    if providers.is_empty() {
        return Ok(watchers);
    }
    let mut known: BTreeSet<String> = watchers.iter().flat_map(|watcher| watcher.providers.iter().cloned()).collect();
    known.extend(others.map(str::to_owned));
    if let Some(name) = providers.iter().find(|name| !known.contains(*name)) {
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        return Err(Error::Usage(format!("`{name}` is no provider; those known here are {}", names.join(", "))));
    }
    watchers.retain(|watcher| providers.iter().any(|name| watcher.providers.contains(name)));
    for watcher in &mut watchers {
        watcher.logs.retain(|log| providers.iter().any(|name| name == product(log)));
    }
    Ok(watchers)
}

/// The provider of a log type.
fn product(log: &str) -> &str {
    log.split_once('/').map_or(log, |(product, _)| product)
}

/// The rules that look for each technique, those of its sub-techniques among them.
pub(crate) fn by_technique<'a>(attack: &'a Attack, watchers: &'a [Watcher]) -> BTreeMap<&'a str, Vec<&'a Watcher>> {
    let mut found: BTreeMap<&str, Vec<&Watcher>> = BTreeMap::new();
    for watcher in watchers {
        for id in attack.lineage(&watcher.techniques) {
            found.entry(id).or_default().push(watcher);
        }
    }
    found
}

/// Techniques of clouds and applications, and all others that some rule looks for.
fn entries<'a>(attack: &'a Attack, watchers: &'a [Watcher], data: &BTreeSet<String>) -> BTreeMap<&'a str, Entry<'a>> {
    let mut found = by_technique(attack, watchers);
    for (id, _) in attack.techniques.iter().filter(|(_, technique)| technique.is_cloud) {
        found.entry(id).or_default();
    }
    let entry = |rules: Vec<&'a Watcher>| {
        let logs = rules.iter().flat_map(|rule| rule.logs.iter()).filter(|log| data.contains(*log));
        let data = logs.map(String::as_str).collect();
        Entry { rules, data }
    };
    found.into_iter().map(|(id, rules)| (id, entry(rules))).collect()
}

/// The log types that there is data of: those found in folders, those named, else all of the content.
fn data(options: &CoverageOptions, content: &Content, mappings: &[Mapping]) -> Result<BTreeSet<String>, Error> {
    let here: BTreeSet<String> = mappings.iter().map(|mapping| mapping.log.0.clone()).collect();
    if options.data.is_empty() && options.source.is_empty() {
        return Ok(here);
    }
    let mut found = BTreeSet::new();
    for name in &options.source {
        let named: Vec<&String> = here.iter().filter(|log| *log == name || product(log) == name).collect();
        if named.is_empty() {
            let list: Vec<&str> = here.iter().map(String::as_str).collect();
            return Err(Error::Usage(format!("`{name}` is no log type with a mapping; write one of {}", list.join(", "))));
        }
        found.extend(named.into_iter().cloned());
    }
    for path in &options.data {
        found.extend(logs_in(path, content, mappings)?);
    }
    Ok(found)
}

/// The log types of the records in a folder: logs, or the data folder of a service.
fn logs_in(path: &Path, content: &Content, mappings: &[Mapping]) -> Result<BTreeSet<String>, Error> {
    #[cfg(feature = "full")]
    {
        if path.join("lake").is_dir() {
            return crate::service::kept::logs(path, content);
        }
    }
    let folder = Folder::find(&[path.display().to_string()]).map_err(Error::Usage)?;
    let (rules, _) = RuleSet::parse(&[], content.classes());
    let lanes = Lanes::mapped(mappings, &rules);
    let progress = Progress::default();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let hunt = Hunt { threads, columnar: crate::columnar::reader(), ..Hunt::new(&folder, &lanes, &rules, &progress) };
    let outcome = hunt.run(&mut |_, _| {})?;
    Ok(outcome.by_log.into_keys().collect())
}

fn text(
    attack: &Attack,
    entries: &BTreeMap<&str, Entry<'_>>,
    options: &CoverageOptions,
    data: &BTreeSet<String>,
) -> Result<(), Error> {
    let of = |sight: Sight| entries.iter().filter(move |(_, entry)| entry.sight() == sight);
    let counts: Vec<String> = Sight::ALL.iter().map(|sight| format!("{} {}", of(*sight).count(), sight.word())).collect();
    let provider = if options.provider.is_empty() { String::new() } else { format!(" for {}", options.provider.join(", ")) };
    line(format_args!("ATT&CK {}{provider}: {} techniques; {}", attack.release.version, entries.len(), counts.join("; ")))?;
    let logs: Vec<&str> = data.iter().map(String::as_str).collect();
    line(format_args!("data: {}", if logs.is_empty() { "none".to_owned() } else { logs.join(", ") }))?;
    for sight in Sight::ALL {
        line(format_args!("\n{} ({})", sight.title(), of(sight).count()))?;
        for (id, entry) in of(sight) {
            let count = entry.rules.len();
            let rules = if count == 1 { "1 rule".to_owned() } else { format!("{count} rules") };
            let more = match sight {
                Sight::Seen => format!("  {rules}, {}", Vec::from_iter(entry.data.iter().copied()).join(", ")),
                Sight::NoData => {
                    let about: BTreeSet<&str> =
                        entry.rules.iter().flat_map(|rule| rule.providers.iter().map(String::as_str)).collect();
                    format!("  {rules} for {}", Vec::from_iter(about).join(", "))
                }
                Sight::NoRule => {
                    format!("  {}", attack.techniques.get(*id).map(|known| known.tactics.join(", ")).unwrap_or_default())
                }
            };
            line(format_args!("  {id:<9}  {}{more}", attack.name(id)))?;
        }
    }
    Ok(())
}

/// A layer for the ATT&CK Navigator.
fn layer(attack: &Attack, entries: &BTreeMap<&str, Entry<'_>>, providers: &[String]) -> Value {
    let technique = |(id, entry): (&&str, &Entry<'_>)| {
        let titles: Vec<&str> = entry.rules.iter().map(|rule| rule.title.as_str()).take(COMMENT_RULES_MAX).collect();
        let mut comment = titles.join("\n");
        if entry.rules.len() > COMMENT_RULES_MAX {
            comment.push_str(&format!("\nand {} more", entry.rules.len() - COMMENT_RULES_MAX));
        }
        let data = Vec::from_iter(entry.data.iter().copied()).join(", ");
        json!({
            "techniqueID": id,
            "score": entry.rules.len(),
            "color": entry.sight().colour(),
            "comment": comment,
            "enabled": true,
            "metadata": [
                { "name": "state", "value": entry.sight().word() },
                { "name": "data", "value": if data.is_empty() { "none" } else { data.as_str() } },
            ],
            "links": [],
            "showSubtechniques": false,
        })
    };
    let release = &attack.release;
    let about = if providers.is_empty() { "all providers".to_owned() } else { providers.join(", ") };
    let legend = Sight::ALL.map(|sight| json!({ "label": sight.word(), "color": sight.colour() }));
    let most = entries.values().map(|entry| entry.rules.len()).max().unwrap_or_default();
    json!({
        "name": format!("Vigie: {about}"),
        "versions": { "attack": release.version, "navigator": release.navigator, "layer": release.layer },
        "domain": release.domain,
        "description": "Techniques with a rule and data, with a rule and no data, and without a rule.",
        "sorting": 0,
        "layout": {
            "layout": "side", "aggregateFunction": "average", "showID": true, "showName": true,
            "showAggregateScores": false, "countUnscored": false, "expandedSubtechniques": "none",
        },
        "hideDisabled": false,
        "techniques": entries.iter().map(technique).collect::<Vec<Value>>(),
        "gradient": { "colors": [Sight::NoRule.colour(), Sight::Seen.colour()], "minValue": 0, "maxValue": most.max(1) },
        "legendItems": legend,
        "metadata": [{ "name": "providers", "value": about }],
        "links": [],
        "showTacticRowBackground": false,
        "tacticRowBackground": "#dddddd",
        "selectTechniquesAcrossTactics": true,
        "selectSubtechniquesWithParent": false,
        "selectVisibleTechniques": false,
    })
}
