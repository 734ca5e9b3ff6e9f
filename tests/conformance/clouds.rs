//! Log types of all vendors, judged by records, schema and operations that others wrote down.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vigie_tests::oracle;

use crate::corpora::{Expected, Mapped, Sample, map, samples};
use crate::harness::content;
use crate::schema::Schemas;

/// How many in a hundred of the records of log types of ours are recognised as what they are.
const RECOGNISED_PERCENT: f64 = 99.5;
/// How many in a hundred of the distinct operations that change something have a verb of their own.
const VERBS_PERCENT: f64 = 95.0;
/// The same of what the provider's own description lists for the services that are used most.
const MODEL_VERBS_PERCENT: f64 = 60.0;
/// Services that are used most.
const SERVICES: usize = 30;
/// The beginnings of names of operations that only read.
const READS: [&str; 10] = ["Get", "List", "Describe", "Head", "BatchGet", "Lookup", "Search", "Query", "Scan", "Select"];

/// Whether a document was an event of OCSF before, and says that it is not all that the schema wants.
fn is_lenient(document: &Value) -> bool {
    let enrichments = document["enrichments"].as_array().into_iter().flatten();
    enrichments.into_iter().any(|entry| entry["name"] == "vigie.ocsf" && entry["value"] == "lenient")
}

/// What the schema holds against an event as it came, before we touched it. Of one that only we can read,
/// since its JSON is not quite JSON, everything.
fn own_errors(schemas: &mut Schemas, document: &Value) -> Vec<String> {
    let raw = document["raw_data"].as_str().and_then(|raw| serde_json::from_str::<Value>(raw).ok());
    let Some(mut raw) = raw.filter(|raw| raw["metadata"].is_object()) else {
        return schemas.errors(document);
    };
    for path in ["/metadata/profiles", "/class_uid"] {
        if let (Some(value), Some((parent, key))) = (document.pointer(path), path.rsplit_once('/')) {
            raw.pointer_mut(parent).unwrap()[key] = value.clone();
        }
    }
    schemas.errors(&raw)
}

/// Every event that a record of the corpora becomes is valid: its class and the profiles it declares.
#[test]
fn done_clouds_1_events_of_all_corpora_are_valid() {
    oracle("clouds-valid", |corpus| {
        let (samples, mut schemas) = (samples(corpus), Schemas::load(corpus));
        let Mapped { documents, .. } = map(&samples);
        let (mut wrong, mut lenient): (BTreeMap<String, (usize, String)>, usize) = Default::default();
        let mut by_log: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, documents) in &documents {
            for (log, document) in documents {
                if is_lenient(document) {
                    lenient += 1;
                    continue;
                }
                *by_log.entry(&log.0).or_default() += 1;
                // An event that came as OCSF is passed on as it is: only what is wrong since is ours.
                let before = if log.0 == "ocsf/event" { own_errors(&mut schemas, document) } else { Vec::new() };
                for error in schemas.errors(document).into_iter().filter(|error| !before.contains(error)) {
                    let text: String = format!("{log} {} {error}", document["class_uid"]).chars().take(240).collect();
                    wrong.entry(text).or_insert_with(|| (0, name.clone())).0 += 1;
                }
            }
        }
        assert!(wrong.is_empty(), "{} kinds of errors: {wrong:#?}", wrong.len());
        let count: usize = by_log.values().sum();
        println!(
            "{count} events of {} log types are valid; {lenient} were OCSF before and say that they are lenient",
            by_log.len()
        );
    });
}

/// The samples of the content too, whatever corpora hold.
#[test]
fn done_clouds_1_expected_documents_are_valid() {
    oracle("clouds-expected", |corpus| {
        let mut schemas = Schemas::load(corpus);
        let (mut wrong, mut count) = (Vec::new(), 0);
        for file in vigie_tests::files(&content().join("vendors"), "/expected/") {
            let document: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            let documents = document.as_array().cloned().unwrap_or_else(|| vec![document.clone()]);
            for document in documents.iter().filter(|document| !is_lenient(document)) {
                count += 1;
                let errors = schemas.errors(document);
                if !errors.is_empty() {
                    wrong.push(format!("{}: {}", file.display(), errors.join("; ")));
                }
            }
        }
        assert!(count > 100, "{count} documents");
        assert!(wrong.is_empty(), "{} of {count} documents: {wrong:#?}", wrong.len());
        println!("{count} expected documents are valid");
    });
}

/// What no field reads has its reason in the mapping, for every record of the corpora and every sample.
#[test]
fn done_clouds_1_unmapped_paths_have_a_reason() {
    oracle("clouds-unmapped", |corpus| {
        let mut samples = samples(corpus);
        samples.extend(vigie_tests::files(&content().join("vendors"), "/samples/").into_iter().map(|file| Sample {
            place: ("content".to_owned(), "samples".to_owned()),
            bytes: std::fs::read(&file).unwrap(),
            name: file.display().to_string(),
        }));
        let Mapped { outcome, .. } = map(&samples);
        let (mut without, mut paths) = (Vec::new(), 0);
        for (log, gaps) in &outcome.gaps {
            assert_eq!(gaps.values_unnamed, 0, "{log}");
            paths += gaps.paths.len();
            without.extend(
                gaps.paths
                    .iter()
                    .filter(|(_, gap)| gap.reason.is_none())
                    .map(|(path, gap)| format!("{log} {path}: {}", gap.example)),
            );
        }
        assert!(without.is_empty(), "{} of {paths} paths have no reason: {without:#?}", without.len());
        println!("{paths} unmapped paths of {} log types have their reason in the mapping", outcome.gaps.len());
    });
}

/// Records are of the log type that their corpus says, exactly; what is of none is listed.
#[test]
fn done_clouds_3_records_are_recognised() {
    oracle("clouds-recognised", |corpus| {
        let (samples, rows) = (samples(corpus), Expected::load());
        let Mapped { documents, .. } = map(&samples);
        let unsaid: BTreeSet<&(String, String)> =
            samples.iter().filter(|sample| Expected::of(&rows, sample).is_none()).map(|sample| &sample.place).collect();
        assert!(unsaid.is_empty(), "corpus_logs.tsv does not say what these are: {unsaid:#?}");
        let (mut wanted, mut right, mut others) = (0, 0, 0);
        let mut wrong: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for sample in &samples {
            let logs = &Expected::of(&rows, sample).unwrap().logs;
            let found: BTreeSet<&str> =
                documents.get(&sample.name).into_iter().flatten().map(|(log, _)| log.0.as_str()).collect();
            if logs.is_empty() {
                others += 1;
                continue;
            }
            wanted += 1;
            if !found.is_empty() && found.iter().all(|log| logs.iter().any(|wanted| wanted == log)) {
                right += 1;
            } else {
                let found = if found.is_empty() { guess(&sample.bytes) } else { format!("{found:?}") };
                let text = format!("{} {}: wants {logs:?}, is {found}", sample.place.0, sample.place.1);
                wrong.entry(text).or_insert_with(|| (0, sample.name.clone())).0 += 1;
            }
        }
        let percent = f64::from(right) * 100.0 / f64::from(wanted);
        println!(
            "{right} of {wanted} texts are recognised as what they are ({percent:.2} %); {others} are of no log type of ours"
        );
        println!("the rest: {wrong:#?}");
        assert!(percent >= RECOGNISED_PERCENT, "{percent:.2} %: {wrong:#?}");
    });
}

/// A guess at the format of a text, for people.
fn guess(bytes: &[u8]) -> String {
    match bytes.trim_ascii().first() {
        Some(b'{') => "an unknown JSON object".to_owned(),
        Some(b'[') => "an unknown JSON list".to_owned(),
        Some(b'<') => "XML, or a syslog message".to_owned(),
        Some(_) => "unknown text".to_owned(),
        None => "nothing".to_owned(),
    }
}

/// Distinct operations that change something have a verb of their own.
#[test]
fn done_clouds_6_operations_of_the_corpora_have_verbs() {
    oracle("clouds-verbs", |corpus| {
        let samples: Vec<Sample> = samples(corpus);
        let Mapped { outcome, .. } = map(&samples);
        let (mut named, mut unnamed) = (0, 0);
        let mut missing = Vec::new();
        // What sensors, findings and events of others are called is no operation.
        let has_operations =
            |log: &str| !["ocsf/", "zeek/", "aws/securityhub", "aws/health"].iter().any(|own| log.starts_with(own));
        for (log, gaps) in outcome.gaps.iter().filter(|(log, _)| has_operations(log)) {
            named += gaps.operations_named.len();
            unnamed += gaps.operations.len();
            missing.extend(gaps.operations.keys().map(|(service, operation)| format!("{log} {service} {operation}")));
        }
        let percent = named as f64 * 100.0 / (named + unnamed) as f64;
        println!(
            "{named} of {} distinct operations that change something have a verb ({percent:.1} %); without: {missing:#?}",
            named + unnamed
        );
        assert!(named > 300 && percent >= VERBS_PERCENT, "{percent:.1} %: {missing:#?}");
    });
}

/// Rows of the table of operations, by service.
fn rows() -> BTreeMap<String, BTreeSet<String>> {
    let table = std::fs::read_to_string(content().join("vendors/aws/logs/cloudtrail/operations.tsv")).unwrap();
    let mut rows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in table.lines().skip(1) {
        let mut columns = line.split('\t');
        let (service, operation) = (columns.next().unwrap(), columns.next().unwrap());
        rows.entry(service.to_owned()).or_default().insert(operation.to_owned());
    }
    rows
}

/// Where the provider's descriptions of its services lie, when a Python has them.
fn models() -> Option<PathBuf> {
    let ran = Command::new("python3").args(["-c", "import botocore; print(botocore.__path__[0])"]).output().ok()?;
    let path = PathBuf::from(String::from_utf8(ran.stdout).ok()?.trim()).join("data");
    path.is_dir().then_some(path)
}

/// The operations that the newest description of each service lists, by the names that events may give the service.
fn modelled(models: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for service in std::fs::read_dir(models).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        let mut versions: Vec<PathBuf> = std::fs::read_dir(service.path()).unwrap().flatten().map(|entry| entry.path()).collect();
        versions.sort();
        let Some(file) = versions.last().map(|version| version.join("service-2.json.gz")).filter(|file| file.is_file()) else {
            continue;
        };
        let mut text = String::new();
        flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
        let model: Value = serde_json::from_str(&text).unwrap();
        let operations: BTreeSet<String> =
            model["operations"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        let metadata = &model["metadata"];
        let names = [&metadata["endpointPrefix"], &metadata["signingName"]].into_iter().filter_map(Value::as_str);
        for name in names.map(str::to_owned).chain([service.file_name().to_string_lossy().into_owned()]) {
            found.entry(name).or_default().extend(operations.iter().cloned());
        }
    }
    found
}

/// Of the services that the records use most, what the provider lists has verbs.
#[test]
fn done_clouds_6_listed_operations_have_verbs() {
    oracle("clouds-models", |corpus| {
        let Some(folder) = models() else {
            println!("the provider's models are not here (botocore): not counted");
            return;
        };
        let mut used: BTreeMap<String, usize> = BTreeMap::new();
        for sample in samples(corpus).iter().filter(|sample| sample.place.0 == "cloudtrail") {
            let record: Value = serde_json::from_slice(&sample.bytes).unwrap();
            *used.entry(record["eventSource"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        let (rows, models) = (rows(), modelled(&folder));
        let mut used: Vec<(usize, String)> = used.into_iter().map(|(name, count)| (count, name)).collect();
        used.sort_by(|a, b| b.cmp(a));
        let (mut listed, mut with_verb, mut services) = (0, 0, 0);
        for (_, source) in &used {
            let name = source.trim_end_matches(".amazonaws.com");
            let Some(operations) = models.get(name) else {
                continue;
            };
            if services == SERVICES {
                break;
            }
            services += 1;
            let changing: Vec<&String> =
                operations.iter().filter(|operation| !READS.iter().any(|word| operation.starts_with(word))).collect();
            let known =
                changing.iter().filter(|operation| rows.get(source).is_some_and(|rows| rows.contains(**operation))).count();
            println!("{source}: {known} of {}", changing.len());
            listed += changing.len();
            with_verb += known;
        }
        let percent = with_verb as f64 * 100.0 / listed as f64;
        println!("{with_verb} of {listed} operations of {services} services have a verb ({percent:.1} %)");
        assert!(services == SERVICES && percent >= MODEL_VERBS_PERCENT, "{services} services, {percent:.1} %");
    });
}
