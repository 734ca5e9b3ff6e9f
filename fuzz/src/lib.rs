//! What must hold for any bytes: each function is the body of one fuzz target.
//!
//! `tests/scenarios/fuzz.rs` compiles this file too and calls the same functions with seeds, since a
//! nightly compiler is not everywhere. A panic is the finding.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

use serde_json::Value as Json;
use vigie_detect::{RuleSet, RuleSource};
use vigie_model::MemorySource;
use vigie_normalise::Mapping;
use vigie_pipeline::{DigestFormat, Flaw, Hunt, Lanes, Outcome, Progress};
use vigie_record::{Cut, Cutter, LineForms, LineSet, MadeLines, OneLine, PathSet, Row, Shape, Value, Walk};

/// The files of one log of lines.
macro_rules! log_of_lines {
    ($folder:literal) => {
        [
            include_str!(concat!("../../content/vendors/", $folder, "/log.toml")),
            include_str!(concat!("../../content/vendors/", $folder, "/mapping.toml")),
            include_str!(concat!("../../content/vendors/", $folder, "/operations.tsv")),
            include_str!(concat!("../../content/vendors/", $folder, "/lines.toml")),
        ]
    };
}

const LOG: &str = include_str!("../../content/vendors/aws/logs/cloudtrail/log.toml");
const MAPPING: &str = include_str!("../../content/vendors/aws/logs/cloudtrail/mapping.toml");
const OPERATIONS: &str = include_str!("../../content/vendors/aws/logs/cloudtrail/operations.tsv");
const DIGEST: &str = include_str!("../../content/vendors/aws/logs/cloudtrail/digest.toml");
/// A record that the mapping reads.
pub const RECORD: &str = include_str!("../../content/vendors/aws/logs/cloudtrail/samples/management_create_key.json");
/// Two rules that match much, one on records and one on events.
pub const RULES: &str = "title: A letter
id: 7c0e6b0a-0000-4000-8000-000000000001
logsource: {product: aws, service: cloudtrail}
detection: {letter: {eventName|contains: e}, condition: letter}
level: low
---
title: A verb
id: 7c0e6b0a-0000-4000-8000-000000000002
logsource: {product: ocsf}
detection: {verb: {verb|startswith: i}, condition: verb}
level: medium
";
/// Logs of lines of text: `log.toml`, `mapping.toml`, `operations.tsv` and `lines.toml` of each.
const LINES: [[&str; 4]; 6] = [
    log_of_lines!("aws/logs/vpc_flow"),
    log_of_lines!("aws/logs/s3_access"),
    log_of_lines!("aws/logs/cloudfront"),
    log_of_lines!("generic/logs/cef"),
    log_of_lines!("generic/logs/keyvalue"),
    log_of_lines!("windows/logs/event"),
];
/// Lines of these logs, a header, and elements of XML.
pub const TEXT: &str = concat!(
    include_str!("../../content/vendors/aws/logs/vpc_flow/samples/default_header.log"),
    include_str!("../../content/vendors/aws/logs/vpc_flow/samples/custom_refused.log"),
    include_str!("../../content/vendors/aws/logs/s3_access/samples/read_object.log"),
    include_str!("../../content/vendors/aws/logs/cloudfront/samples/second_version.log"),
    include_str!("../../content/vendors/generic/logs/cef/samples/wall.log"),
    include_str!("../../content/vendors/generic/logs/keyvalue/samples/service.log"),
    include_str!("../../content/vendors/windows/logs/event/samples/xml_log_cleared.log"),
    include_str!("../../content/vendors/windows/logs/event/samples/xml_sign_in_failed.log"),
);
/// More than any input: nothing is oversize.
const UNLIMITED_BYTES: usize = 1 << 30;

/// The paths that the walk is asked for.
const PATHS: [&str; 5] = ["a", "a.b", "a.b.c", "b", "userIdentity.arn"];

/// One record by the walk and by `serde_json`.
///
/// What `serde_json` reads the walk must read, with the same values, up to its depth. Not the other
/// way round: the walk checks the structure of a record and what stands at wanted paths, not every
/// byte between them; then it must only not lose its footing.
pub fn walk(record: &[u8]) {
    let mut paths = PathSet::new();
    let slots = PATHS.map(|path| paths.intern(path));
    let walk = Walk::compile(&[&paths]);
    let mut row = Row::new();
    let read = walk.read(record, &mut row);
    let json = serde_json::from_slice::<Json>(record).ok().filter(Json::is_object);
    match (read, json) {
        (Err(reject), Some(_)) => assert!(nesting(record) > vigie_record::depth_max(), "{reject}"),
        (Err(_), None) => {}
        (Ok(()), None) => {
            let text = std::str::from_utf8(record).expect("a record is UTF-8").trim_ascii();
            assert!(text.starts_with('{') && text.ends_with('}'));
            row.canonical_hash();
            vigie_record::compact(record);
            vigie_record::each_leaf(record, &mut |_| true);
        }
        (Ok(()), Some(json)) => {
            if !row.has_duplicate_key() {
                for (path, slot) in PATHS.iter().zip(slots) {
                    let mut ours = Vec::new();
                    row.each_raw(slot, &mut |value| ours.push(shown(&value)));
                    ours.sort();
                    assert_eq!(ours, by_serde(&json, path), "{path}");
                }
            }
            same_hash(record, &json, row.canonical_hash());
        }
    }
}

/// The deepest nesting of brackets outside of strings.
fn nesting(record: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in record {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Absent => "absent".to_owned(),
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number_shown(*number as f64),
        Value::Number(text) => text.parse::<f64>().map_or_else(|_| format!("no number: {text}"), number_shown),
        Value::Text(text) => format!("text {text}"),
        Value::List(_) => "list".to_owned(),
        Value::Object(_) => "object".to_owned(),
        Value::Json(_) => "made, which no record holds".to_owned(),
    }
}

/// Two parsers may differ in the last bit, and in the sign of zero.
fn number_shown(number: f64) -> String {
    format!("{:.6e}", number + 0.0)
}

/// The values at a path, whose head may be one flat key of the record.
fn by_serde(json: &Json, path: &str) -> Vec<String> {
    let parts: Vec<&str> = path.split('.').collect();
    let mut found = Vec::new();
    for head in 1..=parts.len() {
        let (key, rest) = parts.split_at(head);
        if let Some(value) = json.get(key.join(".")) {
            collect(value, rest, &mut found);
        }
    }
    found.sort();
    found
}

fn collect(value: &Json, path: &[&str], found: &mut Vec<String>) {
    match (value, path) {
        (value, []) => found.push(match value {
            Json::Null => "null".to_owned(),
            Json::Bool(flag) => flag.to_string(),
            Json::Number(number) => number_shown(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => format!("text {text}"),
            Json::Array(_) => "list".to_owned(),
            Json::Object(_) => "object".to_owned(),
        }),
        (Json::Array(items), _) => items.iter().for_each(|item| collect(item, path, found)),
        (Json::Object(members), [key, rest @ ..]) => {
            if let Some(inner) = members.get(*key) {
                collect(inner, rest, found);
            }
        }
        _ => {}
    }
}

/// The hash is that of the record with its keys in another order, where both write values alike.
fn same_hash(record: &[u8], json: &Json, hash: u64) {
    let other = json.to_string();
    let letters = |text: &str| {
        let mut letters = text.as_bytes().to_vec();
        letters.sort_unstable();
        letters
    };
    let is_alike = !record.contains(&b'\\') && has_whole_numbers(json);
    if is_alike && letters(&vigie_record::compact(record)) == letters(&other) {
        let walk = Walk::compile(&[&PathSet::new()]);
        let mut row = Row::new();
        walk.read(other.as_bytes(), &mut row).expect("it was read in another order of keys");
        assert_eq!(hash, row.canonical_hash());
    }
}

fn has_whole_numbers(json: &Json) -> bool {
    match json {
        Json::Number(number) => number.is_i64() || number.is_u64(),
        Json::Array(items) => items.iter().all(has_whole_numbers),
        Json::Object(members) => members.values().all(has_whole_numbers),
        _ => true,
    }
}

/// A text in buffers of any size is cut as it is in one; the first byte gives the size.
pub fn cut(bytes: &[u8]) {
    let Some((size, text)) = bytes.split_first() else {
        return;
    };
    let whole = cuts(text, text.len().max(1), UNLIMITED_BYTES);
    for step in [1, 2, 1 + usize::from(*size)] {
        assert_eq!(cuts(text, step, UNLIMITED_BYTES), whole, "in buffers of {step} bytes");
    }
    // With a limit, pieces depend on buffers, but they stand inside the text.
    cuts(text, 1 + usize::from(*size), 16);
}

/// The pieces of a text that comes in buffers of `step` bytes: kind and place.
fn cuts(text: &[u8], step: usize, record_bytes_max: usize) -> (Vec<(char, Range<usize>)>, Shape) {
    let mut cutter = Cutter::new(vec!["Records".to_owned(), "R".to_owned()], record_bytes_max);
    let (mut from, mut to, mut found) = (0, 0, Vec::new());
    while to < text.len() {
        to = (to + step).min(text.len());
        let mut cuts = Vec::new();
        let used = cutter.cut(&text[from..to], to == text.len(), &mut cuts);
        for cut in cuts {
            let (kind, range) = match cut {
                Cut::Record(range) => ('r', range),
                Cut::Oversize(range) => ('o', range),
                Cut::Reject(range, _) => ('x', range),
            };
            let place = from + range.start..from + range.end;
            assert!(place.start <= place.end && place.end <= to, "{kind} {place:?}");
            found.push((kind, place));
        }
        assert!(used <= to - from);
        from += used;
    }
    (found, cutter.shape())
}

/// Any text as lines: where a buffer ends decides nothing, every record is JSON, and a line that says all by
/// itself gives the same record when it stands alone. The first byte gives the size of buffers.
pub fn lines(bytes: &[u8]) {
    static SET: OnceLock<LineSet> = OnceLock::new();
    let set = SET.get_or_init(|| {
        let forms = LINES.iter().map(|[log, mapping, operations, lines]| {
            let file = |name: &str| match name {
                "log.toml" => Some((*log).to_owned()),
                "mapping.toml" => Some((*mapping).to_owned()),
                "operations.tsv" => Some((*operations).to_owned()),
                "lines.toml" => Some((*lines).to_owned()),
                _ => None,
            };
            Mapping::parse(&file).expect("the mappings of the content are sound").lines
        });
        let forms: Vec<LineForms> = forms.collect();
        LineSet::new(&forms.iter().enumerate().collect::<Vec<_>>())
    });
    let Some((size, text)) = bytes.split_first() else {
        return;
    };
    let whole = made(set, text, text.len().max(1));
    for step in [1, 1 + usize::from(*size)] {
        assert_eq!(made(set, text, step), whole, "in buffers of {step} bytes");
    }
}

/// Where a cut stands, and the log and the record that were made of it.
type MadeCut = (Range<usize>, Option<(usize, Vec<u8>)>);

/// What became of the lines of a text in buffers of `step` bytes: place, owner and record of each.
fn made(set: &LineSet, text: &[u8], step: usize) -> Vec<MadeCut> {
    let Some(mut cutter) = set.cutter(text, None, UNLIMITED_BYTES) else {
        return Vec::new();
    };
    let (mut from, mut to, mut found) = (0, 0, Vec::new());
    while to < text.len() {
        to = (to + step).min(text.len());
        let (mut cuts, mut made) = (Vec::new(), MadeLines::default());
        let used = cutter.cut(&text[from..to], to == text.len(), &mut cuts, &mut made);
        for (number, cut) in cuts.iter().enumerate() {
            let (Cut::Record(range) | Cut::Oversize(range) | Cut::Reject(range, _)) = cut;
            let place = from + range.start..from + range.end;
            let line = &text[place.clone()];
            let record = made.get(number).map(|made| {
                serde_json::from_slice::<Json>(made.record).expect("a record is JSON");
                if made.is_whole {
                    let alone = OneLine::Made { owner: made.owner, record: made.record.to_vec() };
                    assert_eq!(set.one(line, Some(made.owner)), Some(alone));
                }
                (made.owner, made.record.to_vec())
            });
            found.push((place, record));
        }
        assert!(used <= to - from);
        from += used;
    }
    found
}

/// Any text as a file of rules, and what it compiles to on a record.
pub fn rule(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let rules = rules(text);
    hunted("record.json", RECORD.as_bytes(), &rules, &lanes(&rules), None);
}

fn rules(text: &str) -> RuleSet {
    let source = RuleSource { place: "rules.yml".to_owned(), text: text.to_owned() };
    RuleSet::parse(&[source], BTreeMap::from([("api_activity".to_owned(), 6003)])).0
}

fn lanes(rules: &RuleSet) -> Lanes {
    static READ: OnceLock<Mapping> = OnceLock::new();
    let mapping = READ.get_or_init(|| parsed("", "").expect("the mapping of the content is sound"));
    Lanes::mapped(std::slice::from_ref(mapping), rules)
}

/// The mapping of the content with one of its files replaced.
fn parsed(file: &str, text: &str) -> Option<Mapping> {
    let read = |name: &str| match name {
        _ if name == file => Some(text.to_owned()),
        "log.toml" => Some(LOG.to_owned()),
        "mapping.toml" => Some(MAPPING.to_owned()),
        "operations.tsv" => Some(OPERATIONS.to_owned()),
        _ => None,
    };
    Mapping::parse(&read).ok()
}

/// Any text as each file of a log type, and as the expression of a field.
pub fn mapping(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    for file in ["log.toml", "mapping.toml", "operations.tsv"] {
        if let Some(mapping) = parsed(file, text) {
            document(&mapping);
        }
    }
    // The escapes of a JSON string are those of a TOML string.
    let field = format!("[fields]\nfuzzed = {}\n", Json::from(text));
    if let Some(mapping) = parsed("mapping.toml", &MAPPING.replacen("[fields]\n", &field, 1)) {
        let text = document(&mapping);
        serde_json::from_str::<Json>(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    }
}

fn document(mapping: &Mapping) -> String {
    let programme = mapping.programme(&mut PathSet::new());
    let walk = Walk::compile(&[programme.paths()]);
    let mut row = Row::new();
    walk.read(RECORD.trim_ascii().as_bytes(), &mut row).expect("the sample is a record");
    programme.document(&walk.view(&row, 0))
}

/// Any bytes as a digest: it proves something, or it is refused.
pub fn digest(bytes: &[u8]) {
    let format: DigestFormat = toml::from_str(DIGEST).expect("the digest format of the content is sound");
    let name = format!("417203958816{}eu-west-3_main_eu-west-3_20261112T000000Z.json", format.name_holds);
    let rules = rules("");
    let outcome = hunted(&name, bytes, &rules, &lanes(&rules), Some(&format));
    let proof = outcome.proof.expect("a digest is judged");
    assert!(proof.digests == 1 || proof.flaws.iter().any(|flaw| matches!(flaw, Flaw::DigestInvalid(..))));
}

/// Any bytes as a file, through the whole pipeline.
pub fn hunt(bytes: &[u8]) {
    static SET_UP: OnceLock<(RuleSet, Lanes)> = OnceLock::new();
    let (rules, lanes) = SET_UP.get_or_init(|| {
        let rules = rules(RULES);
        let lanes = lanes(&rules);
        (rules, lanes)
    });
    hunted("records", bytes, rules, lanes, None);
}

/// Hunts one file; whatever it holds, the counts add up.
fn hunted(name: &str, bytes: &[u8], rules: &RuleSet, lanes: &Lanes, digests: Option<&DigestFormat>) -> Outcome {
    let source = MemorySource::new(name, bytes);
    let progress = Progress::default();
    let mut findings = 0;
    let hunt = Hunt { digests, ..Hunt::new(&source, lanes, rules, &progress) };
    let outcome = hunt.run(&mut |_, _| findings += 1).expect("nothing is written to disk");
    let told = outcome.events + outcome.duplicates + outcome.out_of_time + outcome.rejected();
    assert_eq!(outcome.records, told, "every record is told");
    assert_eq!(outcome.by_log.values().sum::<u64>(), outcome.events + outcome.duplicates);
    assert_eq!(outcome.findings(), findings);
    outcome
}
