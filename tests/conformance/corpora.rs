//! Every record of the corpora, with the log type that its corpus says it is of.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use vigie_detect::RuleSet;
use vigie_model::{LogType, MemorySource};
use vigie_normalise::Mapping;
use vigie_pipeline::{Hunt, Lanes, Outcome, Progress};
use vigie_tests::{ndjson, untar};

use crate::harness::{content, labelled};
use crate::panther_shape;

/// One text of a corpus that holds a record, or several.
pub struct Sample {
    /// Corpus, and what it calls the log.
    pub place: (String, String),
    /// A name of its own.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// What texts became: by the name of each, log types and documents.
pub struct Mapped {
    pub documents: BTreeMap<String, Vec<(LogType, Value)>>,
    pub outcome: Outcome,
}

/// Every text of the corpora.
pub fn samples(corpus: &Path) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut add = |corpus: &str, theirs: &str, bytes: Vec<u8>| {
        let name = format!("{corpus}/{theirs}/{}", samples.len());
        samples.push(Sample { place: (corpus.to_owned(), theirs.to_owned()), name, bytes });
    };
    for file in ["ct_invictus", "ct_otrf", "ct_stratus", "ct_stratus_suzaku", "ct_traildiscover"] {
        for mut record in labelled(&corpus.join(format!("cloudtrail/{file}.ndjson.zst"))) {
            record.as_object_mut().unwrap().retain(|key, _| !key.starts_with('_'));
            add("cloudtrail", file, record.to_string().into_bytes());
        }
    }
    for record in ndjson(&corpus.join("o365-unified-audit/o365.ndjson.zst")).unwrap() {
        let mut record = if record["event"].is_object() { record["event"].clone() } else { record };
        record.as_object_mut().unwrap().retain(|key, _| !key.starts_with('_'));
        add("o365-unified-audit", "o365", record.to_string().into_bytes());
    }
    let mut number = 0;
    for rule in ndjson(&corpus.join("panther-tests/panther-tests.ndjson.zst")).unwrap() {
        if rule["AnalysisType"] != "rule" {
            continue;
        }
        let logs: Vec<&str> = rule["LogTypes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for test in rule["Tests"].as_array().into_iter().flatten() {
            let log = panther_shape::log_type(&logs, &test["Log"]);
            number += 1;
            if let Some(record) = panther_shape::restored(&log, &test["Log"], number) {
                add("panther-tests", &log, record.to_string().into_bytes());
            }
        }
    }
    for line in ndjson(&corpus.join("splunk-example-logs/splunk-example-logs.ndjson.zst")).unwrap() {
        let text = match &line["example_log"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let theirs =
            format!("{} {}", line["sourcetype"].as_str().unwrap_or_default(), line["source"].as_str().unwrap_or_default());
        add("splunk-example-logs", &theirs, text.into_bytes());
    }
    for (folder, file) in [
        ("provider-findings", "c7n-findings.tar.zst"),
        ("ocsf-examples", "ocsf-examples.tar.zst"),
        ("chronicle-udm-pairs", "chronicle-udm-pairs.tar.zst"),
    ] {
        for (path, text) in untar(&corpus.join(folder).join(file)).unwrap() {
            let ending = path.rsplit('.').next().unwrap_or_default().to_owned();
            add(folder, &format!("{ending} {path}"), text.into_bytes());
        }
    }
    samples
}

/// One row of `corpus_logs.tsv`: which texts, and of which log types their records are.
pub struct Expected {
    corpus: String,
    /// The beginning of what the corpus calls the log.
    begins: String,
    /// Log types, any of them; none where the texts are of no log type of ours, or no logs.
    pub logs: Vec<String>,
}

impl Expected {
    pub fn load() -> Vec<Expected> {
        let rows = include_str!("corpus_logs.tsv").lines().skip(1);
        let row = |line: &str| {
            let [corpus, begins, logs, _] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("four columns: {line}") };
            let logs = if logs == "-" { Vec::new() } else { logs.split('|').map(str::to_owned).collect() };
            Expected { corpus: corpus.to_owned(), begins: begins.to_owned(), logs }
        };
        rows.map(row).collect()
    }

    /// The row of a text: the one that says most of its name.
    pub fn of<'e>(rows: &'e [Expected], sample: &Sample) -> Option<&'e Expected> {
        let (corpus, theirs) = &sample.place;
        rows.iter().filter(|row| row.corpus == *corpus && theirs.starts_with(&row.begins)).max_by_key(|row| row.begins.len())
    }
}

/// The mappings of the content, whole or without some vendors.
pub fn mappings(without: &[&str]) -> Vec<Mapping> {
    let text = |path: &Path| std::fs::read_to_string(path).ok();
    let classes = text(&content().join("schema/ocsf-1.8.0-classes.tsv")).unwrap();
    let classes: Vec<u32> = classes.lines().filter_map(|line| line.split('\t').next()?.parse().ok()).collect();
    let vendors = content().join("vendors");
    let inside = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        paths
    };
    let mut mappings = Vec::new();
    for vendor in inside(&vendors).iter().filter(|path| !without.iter().any(|name| path.ends_with(name))) {
        for folder in inside(&vendor.join("logs")).iter().filter(|folder| folder.join("log.toml").is_file()) {
            let place = |name: &str| match name.split_once('/') {
                Some((product, rest)) => vendors.join(product).join("logs").join(rest),
                None => folder.join(name),
            };
            let mut mapping = Mapping::parse(&|name| text(&place(name))).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
            mapping.know_classes(classes.iter().copied());
            mappings.push(mapping);
        }
    }
    mappings
}

/// Maps texts, each by itself, as a hunt would.
pub fn map(samples: &[Sample]) -> Mapped {
    let (rules, _) = RuleSet::parse(&[], BTreeMap::new());
    let lanes = Lanes::mapped(&mappings(&[]), &rules);
    let source = MemorySource::of(samples.iter().map(|sample| (sample.name.clone(), Arc::from(sample.bytes.as_slice()))));
    let documents: Mutex<BTreeMap<String, Vec<(LogType, Value)>>> = Mutex::default();
    let take = |name: &str, log: &LogType, document: &str| {
        let document = serde_json::from_str(document).unwrap_or_else(|error| panic!("{name}: {error}: {document}"));
        documents.lock().unwrap().entry(name.to_owned()).or_default().push((log.clone(), document));
        Ok(())
    };
    let progress = Progress::default();
    let hunt = Hunt { threads: 2, documents: Some(&take), has_gaps: true, ..Hunt::new(&source, &lanes, &rules, &progress) };
    let outcome = hunt.run(&mut |_, _| {}).unwrap();
    Mapped { documents: documents.into_inner().unwrap(), outcome }
}
