//! Claims of rules: the providers that a rule says it holds for, and the samples beside it that prove it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use vigie_detect::{RuleError, RuleSet, RuleSource, RuleState};
use vigie_model::{LogType, MemorySource, RuleFacts};
use vigie_normalise::{Enrichments, Mapping};
use vigie_pipeline::{Hunt, Lanes, Progress, RejectReason};

use crate::content::{Content, is_yaml, read_tree};
use crate::error::Error;
use crate::sample::{Sample, samples};

/// Memory for sorting while a sample is tried: samples are small.
const SPILL_BYTES: usize = 4 * 1024 * 1024;
/// A YAML file with one of these is meant for us; other YAML may lie in the folder.
const RULE_KEYS: [&str; 3] = ["title:", "logsource:", "correlation:"];

/// Whether a file holds rules.
pub(crate) fn is_rule(place: &str, text: &str) -> bool {
    is_yaml(place) && RULE_KEYS.iter().any(|key| text.contains(key))
}

/// The path of a rule file without its ending: what its pages begin with.
pub(crate) fn stem(place: &str) -> &str {
    place.strip_suffix(".yml").or_else(|| place.strip_suffix(".yaml")).unwrap_or(place)
}

/// The rules of the content with their pages, and those in files and folders that the user named.
pub(crate) fn rule_files(content: &Content, paths: &[PathBuf]) -> Result<BTreeMap<String, String>, Error> {
    let is_ours = |(path, _): &(&String, &String)| path.starts_with("rules/");
    let mut files: BTreeMap<String, String> =
        content.files.iter().filter(is_ours).map(|(path, text)| (path.clone(), text.clone())).collect();
    for path in paths {
        if path.is_dir() {
            let folder = path.display();
            files.extend(read_tree(path)?.into_iter().map(|(name, text)| (format!("{folder}/{name}"), text)));
        } else {
            files.extend(with_pages(path)?);
        }
    }
    Ok(files)
}

/// One rule file and the pages beside it.
fn with_pages(path: &Path) -> Result<BTreeMap<String, String>, Error> {
    let failed = |error: std::io::Error| Error::Failed(format!("`{}`: {error}", path.display()));
    let place = path.display().to_string();
    let mut files = BTreeMap::from([(place.clone(), std::fs::read_to_string(path).map_err(failed)?)]);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = format!("{}.", stem(&place).rsplit('/').next().unwrap_or_default());
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if let Some(ending) = name.strip_prefix(&prefix).filter(|ending| ending.ends_with("md")) {
            files.insert(format!("{}.{ending}", stem(&place)), std::fs::read_to_string(folder.join(&name)).map_err(failed)?);
        }
    }
    Ok(files)
}

/// A sample of a rule, tried on the rules of its file.
pub(crate) struct Trial {
    /// Page, line and title.
    pub(crate) name: String,
    /// Whether it must fire.
    pub(crate) fires: bool,
    /// Whether it is silent for the sake of one field; of a correlation every silent sample is near.
    pub(crate) is_near_miss: bool,
    /// Whose records it holds.
    pub(crate) providers: BTreeSet<String>,
    /// Their log types.
    pub(crate) logs: BTreeSet<String>,
    /// Whether it was not tried, since no log type of its provider is here.
    pub(crate) is_absent: bool,
    /// What is wrong with it.
    pub(crate) result: Result<(), String>,
}

/// The rules of one file, alone, and how they do on the samples of their pages.
pub(crate) struct Proof {
    /// The rules.
    pub(crate) set: RuleSet,
    /// What cannot run.
    pub(crate) errors: Vec<RuleError>,
    /// Whether there are rules that samples can be tried on: no mistake, and not only filters.
    pub(crate) is_tried: bool,
    /// OCSF paths that the rules read and no mapping gives; not looked at without a page.
    pub(crate) blind: Vec<String>,
    /// Providers that the rules claim.
    pub(crate) claims: BTreeSet<String>,
    /// Pages whose samples cannot be read, and why.
    pub(crate) faults: Vec<(String, String)>,
    /// The samples.
    pub(crate) trials: Vec<Trial>,
}

impl Proof {
    /// Whether the rule claims a provider without a log type here.
    pub(crate) fn has_absent(&self, bench: &Bench<'_>) -> bool {
        self.claims.iter().any(|provider| !bench.sources.contains(provider))
    }

    /// The rules that report findings of their own.
    pub(crate) fn reporting(&self) -> impl Iterator<Item = &RuleFacts> {
        (0u32..).zip(self.set.facts()).filter(|(number, _)| self.set.reports(*number)).map(|(_, facts)| facts)
    }

    /// The providers that the rules are about: those they claim, else those of their samples.
    pub(crate) fn providers(&self) -> BTreeSet<String> {
        if !self.claims.is_empty() {
            return self.claims.clone();
        }
        self.trials.iter().flat_map(|trial| trial.providers.iter().cloned()).collect()
    }

    /// How many samples of a provider fire as they must, and how many near misses stay silent. Where
    /// no log type of the provider is here, the samples that are written.
    pub(crate) fn counts(&self, provider: &str) -> (usize, usize) {
        let of = |trial: &&Trial| trial.providers.contains(provider) && trial.result.is_ok();
        let fires = self.trials.iter().filter(of).filter(|trial| trial.fires).count();
        (fires, self.trials.iter().filter(of).filter(|trial| trial.is_near_miss).count())
    }

    /// The log types in which the rules were seen to fire.
    pub(crate) fn logs(&self) -> BTreeSet<String> {
        let fires = |trial: &&Trial| trial.fires && trial.result.is_ok();
        self.trials.iter().filter(fires).flat_map(|trial| trial.logs.iter().cloned()).collect()
    }
}

/// What rules are tried with: the log types, and the files that hold rules and pages.
pub(crate) struct Bench<'a> {
    classes: BTreeMap<String, u32>,
    mappings: &'a [Mapping],
    files: &'a BTreeMap<String, String>,
    /// With the rows that they are tested with.
    enrichments: Enrichments,
    /// Providers with a log type here.
    pub(crate) sources: BTreeSet<String>,
}

/// What a sample gave.
struct Ran {
    logs: BTreeSet<String>,
    findings: usize,
    /// Why not all of its records are events.
    lacking: Option<String>,
    /// Whether that is only because nobody knows them.
    is_foreign: bool,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(content: &Content, mappings: &'a [Mapping], files: &'a BTreeMap<String, String>) -> Bench<'a> {
        let sources = mappings.iter().map(|mapping| mapping.log.product().to_owned()).collect();
        // A mistake in one is said by its own test.
        let enrichments = crate::enrichments::fixtures(content).unwrap_or_default();
        Bench { classes: content.classes(), mappings, files, enrichments, sources }
    }

    /// Tries the rules of one file on every sample beside it.
    pub(crate) fn prove(&self, place: &str, text: &str) -> Proof {
        let source = RuleSource { place: place.to_owned(), text: text.to_owned() };
        let (set, errors) = RuleSet::parse(&[source], self.classes.clone());
        let numbers = 0..u32::try_from(set.facts().len()).unwrap_or(u32::MAX);
        let claims = numbers.clone().flat_map(|number| set.providers(number)).cloned().collect();
        let is_filter = |number: u32| set.state(number) == Some(&RuleState::Filter);
        let is_tried = errors.is_empty() && !numbers.clone().all(is_filter);
        let mut proof = Proof { set, errors, is_tried, blind: Vec::new(), claims, faults: Vec::new(), trials: Vec::new() };
        let pages = self.pages(place);
        if !is_tried || pages.is_empty() {
            return proof;
        }
        let lanes = Lanes::enriched(self.mappings, &proof.set, &self.enrichments);
        proof.blind = lanes.blind_rules(&proof.set).into_iter().map(|(_, path)| path).collect();
        for (page, text, provider) in pages {
            match samples(text) {
                Err(why) => proof.faults.push((page.clone(), why)),
                Ok(samples) => {
                    let tried = samples.iter().map(|sample| self.attempt(&proof, &lanes, page, provider, sample));
                    let tried: Vec<Trial> = tried.collect();
                    proof.trials.extend(tried);
                }
            }
        }
        proof
    }

    /// The pages of a rule file: `NAME.md`, and `NAME.PROVIDER.md` for the samples of one provider.
    fn pages(&self, place: &str) -> Vec<(&'a String, &'a String, Option<&'a str>)> {
        let prefix = format!("{}.", stem(place));
        let provider = |page: &'a String| match page.strip_prefix(&prefix)? {
            "md" => Some(None),
            ending => ending.strip_suffix(".md").filter(|name| !name.contains(['.', '/'])).map(Some),
        };
        let files = self.files.range(prefix.clone()..).take_while(|(page, _)| page.starts_with(&prefix));
        files.filter_map(|(page, text)| Some((page, text, provider(page)?))).collect()
    }

    fn attempt(&self, proof: &Proof, lanes: &Lanes, page: &str, provider: Option<&str>, sample: &Sample) -> Trial {
        let is_correlation = proof.set.facts().iter().any(|facts| facts.is_correlation);
        let mut trial = Trial {
            name: format!("{page}:{} {}", sample.line, sample.title),
            fires: sample.fires,
            is_near_miss: !sample.fires && (is_correlation || sample.changed_fields == Some(1)),
            providers: provider.map(str::to_owned).into_iter().collect(),
            logs: BTreeSet::new(),
            is_absent: provider.is_some_and(|name| !self.sources.contains(name)),
            result: Ok(()),
        };
        if trial.is_absent {
            return trial;
        }
        let ran = match run(&proof.set, lanes, sample) {
            Ok(ran) => ran,
            Err(why) => {
                trial.result = Err(why);
                return trial;
            }
        };
        // A provider may be taken out of the content: records that nobody knows any more are its own.
        let absent: BTreeSet<String> = proof.claims.difference(&self.sources).cloned().collect();
        if ran.is_foreign && provider.is_none() && !absent.is_empty() {
            return Trial { providers: absent, is_absent: true, ..trial };
        }
        let found: BTreeSet<String> = ran.logs.iter().map(|log| LogType(log.clone()).product().to_owned()).collect();
        trial.result = judge(&found, provider, &proof.claims, &ran, sample.fires);
        trial.providers.extend(found);
        trial.logs = ran.logs;
        trial
    }
}

/// Runs the rules on the records of a sample.
fn run(set: &RuleSet, lanes: &Lanes, sample: &Sample) -> Result<Ran, String> {
    let lines: Vec<String> = sample.records.iter().map(ToString::to_string).collect();
    let source = MemorySource::new("sample", lines.join("\n").into_bytes());
    let progress = Progress::default();
    let hunt = Hunt { spill_bytes: SPILL_BYTES, ..Hunt::new(&source, lanes, set, &progress) };
    let mut findings = 0usize;
    let outcome = hunt.run(&mut |_, _| findings += 1).map_err(|error| error.to_string())?;
    let wanted = sample.records.len();
    let is_whole = outcome.events as usize == wanted;
    let lacking = format!("{} of its {wanted} records are events; {:?}", outcome.events, outcome.reject_samples);
    Ok(Ran {
        logs: outcome.by_log.keys().cloned().collect(),
        findings,
        lacking: (!is_whole).then_some(lacking),
        is_foreign: !outcome.rejects.is_empty() && outcome.rejects.keys().all(|why| *why == RejectReason::Unrecognised),
    })
}

/// Whether a sample is what its place and its verdict say.
fn judge(
    found: &BTreeSet<String>,
    provider: Option<&str>,
    claims: &BTreeSet<String>,
    ran: &Ran,
    fires: bool,
) -> Result<(), String> {
    if let Some(why) = &ran.lacking {
        return Err(why.clone());
    }
    if let Some(other) = found.iter().find(|name| provider.is_some_and(|provider| provider != name.as_str())) {
        return Err(format!("holds records of {other}; this page is for another provider"));
    }
    if let Some(other) = found.iter().find(|name| !claims.is_empty() && !claims.contains(*name)) {
        return Err(format!("holds records of {other}, which the rule does not claim; add it to `vigie: providers`"));
    }
    match (fires, ran.findings) {
        (true, 0) => Err("stays silent but must fire".to_owned()),
        (false, 1..) => Err("fires but must stay silent".to_owned()),
        _ => Ok(()),
    }
}
