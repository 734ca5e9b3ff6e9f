//! Poison: whatever a file holds, each record is an event or a counted reject, and its neighbours are found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::{Value, json};
use vigie_detect::{RuleSet, RuleSource};
use vigie_model::{ByteStream, MemorySource, ObjectInfo, Source};
use vigie_normalise::Mapping;
use vigie_pipeline::{Hunt, Lanes, Outcome, Progress, RejectReason};
use vigie_tests::vigie;

use crate::shapes::gzip;

/// The time of every record, as it stands in its text.
const TIME: &str = "\"2026-11-12T02:09:00Z\"";
/// A text in every record that poison takes the place of.
const SPOT: &str = "spot";
/// Finds every record of [`record`].
const RULE: &str = "title: Stop\nname: stop\nid: 5b0c1c52-1f0e-4a0f-9d8e-0c8f2a3b4c5d\nlogsource: {product: aws, service: cloudtrail}\ndetection: {s: {eventName: StopLogging}, condition: s}\nlevel: high\n";

/// What must become of the poisoned record itself.
#[derive(Clone, Copy)]
enum Fate {
    Event,
    Reject,
    /// It may be read or rejected, but not lost.
    Either,
}

/// What the outcome says of the whole file.
#[derive(Debug, PartialEq)]
enum End {
    Whole,
    Foreign,
    Broken,
}

/// One file, and what must become of it.
struct Case {
    name: String,
    bytes: Vec<u8>,
    /// Records in it: each an event or a reject.
    records: u64,
    events: RangeInclusive<u64>,
    end: End,
    /// Ids of valid records.
    good: Vec<String>,
    /// Whether the binary also reads it alone.
    is_alone: bool,
}

/// The poison corpus: made here, stored nowhere.
#[derive(Default)]
struct Corpus {
    cases: Vec<Case>,
    made: u32,
}

impl Corpus {
    /// Three valid records, each with an id of its own.
    fn three(&mut self) -> [String; 3] {
        [0; 3].map(|_| {
            self.made += 1;
            record(self.made)
        })
    }

    fn push(&mut self, name: &str, bytes: Vec<u8>, fate: Fate, good: [&str; 2]) {
        let events = match fate {
            Fate::Event => 3..=3,
            Fate::Reject => 2..=2,
            Fate::Either => 2..=3,
        };
        let good = good.map(id_of).to_vec();
        self.cases.push(Case { name: name.to_owned(), bytes, records: 3, events, end: End::Whole, good, is_alone: false });
    }

    /// A poisoned line between two valid ones; `poison` gets a valid record.
    fn line(&mut self, name: &str, fate: Fate, poison: impl FnOnce(&str) -> Vec<u8>) {
        let [before, middle, after] = self.three();
        let bytes = lines(&[before.as_bytes(), &poison(&middle), after.as_bytes()]);
        self.push(&format!("a line: {name}"), bytes, fate, [&before, &after]);
    }

    /// A poisoned member of an envelope between two valid ones; `poison` gets a valid record.
    fn member(&mut self, name: &str, fate: Fate, poison: impl FnOnce(&str) -> Vec<u8>) {
        let [before, middle, after] = self.three();
        let bytes = envelope(&[before.as_bytes(), &poison(&middle), after.as_bytes()]);
        self.push(&format!("a member: {name}"), bytes, fate, [&before, &after]);
    }

    /// A whole file, made of three valid records: how many records and events, and which of the
    /// three must be found.
    fn file(&mut self, name: &str, counts: (u64, u64), end: End, found: &[usize], make: impl FnOnce(&[String; 3]) -> Vec<u8>) {
        let three = self.three();
        let good = found.iter().map(|&at| id_of(&three[at])).collect();
        let (records, events) = (counts.0, counts.1..=counts.1);
        let bytes = make(&three);
        self.cases.push(Case { name: format!("a file: {name}"), bytes, records, events, end, good, is_alone: true });
    }
}

/// A record that the rule finds.
fn record(number: u32) -> String {
    json!({
        "eventVersion": "1.11",
        "userIdentity": { "type": "IAMUser", "accountId": "417203958816", "userName": "ci-deploy-bot",
            "arn": "arn:aws:iam::417203958816:user/ci-deploy-bot", "accessKeyId": "AKIAWDR4LMZP3TBNK7QX" },
        "eventTime": TIME.trim_matches('"'), "eventSource": "cloudtrail.amazonaws.com", "eventName": "StopLogging",
        "awsRegion": "eu-west-3", "sourceIPAddress": "203.0.113.77", "userAgent": "aws-cli/2.17.32",
        "requestParameters": { "name": SPOT }, "eventID": format!("10000000-0000-4000-8000-{number:012}"),
        "recipientAccountId": "417203958816"
    })
    .to_string()
}

fn id_of(record: &str) -> String {
    let value: Value = serde_json::from_str(record).unwrap();
    value["eventID"].as_str().unwrap().to_owned()
}

/// A record with a part of its text replaced.
fn with(record: &str, part: &str, bytes: &[u8]) -> Vec<u8> {
    let (head, tail) = record.split_once(part).unwrap();
    [head.as_bytes(), bytes, tail.as_bytes()].concat()
}

/// A record with one more member of its request.
fn adding(record: &str, value: &str) -> Vec<u8> {
    let request = "\"requestParameters\":{";
    with(record, request, format!("{request}\"more\":{value},").as_bytes())
}

/// A record with its members changed.
fn edited(record: &str, edit: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Vec<u8> {
    let mut value: Value = serde_json::from_str(record).unwrap();
    edit(value.as_object_mut().unwrap());
    value.to_string().into_bytes()
}

fn lines(records: &[&[u8]]) -> Vec<u8> {
    records.iter().flat_map(|record| [*record, &b"\n"[..]].concat()).collect()
}

fn envelope(records: &[&[u8]]) -> Vec<u8> {
    [&b"{\"Records\":["[..], records.join(&b","[..]).as_slice(), &b"]}"[..]].concat()
}

/// The three records of a file, one a line.
fn text(three: &[String; 3]) -> Vec<u8> {
    lines(&[three[0].as_bytes(), three[1].as_bytes(), three[2].as_bytes()])
}

fn utf_16(text: &[u8], to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    std::str::from_utf8(text).unwrap().encode_utf16().flat_map(to_bytes).collect()
}

/// Bytes inside a string, or of a whole line.
fn texts(corpus: &mut Corpus) {
    let strings: [(&str, Fate, &[u8]); 15] = [
        ("invalid UTF-8", Fate::Reject, b"\xFF\xFE\x80"),
        ("overlong UTF-8", Fate::Reject, b"\xC0\xAF\xE0\x80\xAF"),
        ("a surrogate as UTF-8", Fate::Reject, b"\xED\xA0\x80"),
        ("a code point above Unicode", Fate::Reject, b"\xF4\x90\x80\x80"),
        ("a NUL byte", Fate::Event, b"tr\0ail"),
        ("an escaped NUL", Fate::Event, b"tr\\u0000ail"),
        ("bidi controls", Fate::Event, "\u{202E}\u{2066}gpj.exe\u{200F}".as_bytes()),
        ("ANSI escapes", Fate::Event, b"\x1B[2J\x1B]0;title\x07"),
        ("a lone high surrogate", Fate::Event, b"\\ud800"),
        ("a lone low surrogate", Fate::Event, b"\\udc00"),
        ("surrogates in the wrong order", Fate::Event, b"\\udc00\\ud800"),
        ("an escape with two digits", Fate::Either, b"\\u12"),
        ("an escape that JSON does not know", Fate::Either, b"\\q"),
        ("a quote without its escape", Fate::Reject, b"\""),
        ("an escape of the closing quote", Fate::Reject, b"\\"),
    ];
    for (name, fate, bytes) in strings {
        corpus.line(name, fate, |record| with(record, SPOT, bytes));
    }
    let whole: [(&str, &[u8]); 12] = [
        ("no UTF-8 at all", b"\xFF\xFE\x80"),
        ("NUL bytes alone", b"\0\0\0"),
        ("an empty object", b"{}"),
        ("an empty array", b"[]"),
        ("null", b"null"),
        ("a number", b"42"),
        ("a string", b"\"text\""),
        ("a sentence", b"2026-11-12 02:09 the trail was stopped"),
        ("a sentence with JSON inside", b"stopped {\"eventName\":\"StopLogging\"} today"),
        ("an open brace", b"{"),
        ("a closing bracket", b"]}"),
        ("10,000 arrays and nothing else", &[b'['; 10_000]),
    ];
    for (name, bytes) in whole {
        corpus.line(name, Fate::Reject, |_| bytes.to_vec());
    }
    corpus.line("UTF-16 among UTF-8", Fate::Reject, |record| utf_16(record.as_bytes(), u16::to_le_bytes));
    corpus.line("a byte order mark inside the file", Fate::Either, |record| [&b"\xEF\xBB\xBF"[..], record.as_bytes()].concat());
    corpus.line("cut behind a value", Fate::Reject, |record| record.split_once(",\"eventTime\"").unwrap().0.into());
    corpus.line("cut inside a string", Fate::Reject, |record| record.split_once("-bot").unwrap().0.into());
    corpus.line("text behind the record", Fate::Reject, |record| format!("{record} and more").into_bytes());
}

/// Depth, breadth, and numbers of any size.
fn values(corpus: &mut Corpus) {
    for (name, open, close) in [("objects", "{\"a\":", "}"), ("arrays", "[", "]")] {
        for (depth, fate) in [(62, Fate::Event), (63, Fate::Reject), (10_000, Fate::Reject)] {
            let value = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            corpus.line(&format!("{depth} {name} inside each other"), fate, |record| adding(record, &value));
            corpus.member(&format!("{depth} {name} inside each other"), fate, |record| adding(record, &value));
        }
        let value = open.repeat(10_000);
        corpus.line(&format!("10,000 {name} never closed"), Fate::Reject, |record| adding(record, &value));
    }
    let keys = |head: &str| (0..100_000).map(|key| format!("\"{head}{key:x}\":1")).collect::<Vec<_>>().join(",");
    let (small, large) = (format!("{{{}}}", keys("")), format!("{{{}}}", keys("member-")));
    corpus.line("100,000 keys", Fate::Event, |record| adding(record, &small));
    corpus.line("100,000 keys in more than a mebibyte", Fate::Reject, |record| adding(record, &large));
    corpus.line("a key twice", Fate::Event, |record| adding(record, "1,\"more\":2"));
    corpus.line("another operation under the same key", Fate::Event, |record| {
        with(record, "\"eventName\":", b"\"eventName\":\"GetUser\",\"eventName\":")
    });
    let power = format!("1{}", "0".repeat(400));
    let numbers: [&str; 8] = ["9223372036854775808", "18446744073709551616", &power, "1e400", "-1e400", "1e-400", "-0", "-0.0"];
    for number in numbers {
        corpus.line(&format!("the number {number:.24}"), Fate::Event, |record| adding(record, number));
    }
    // No JSON: to take it is lenient and to reject it strict; to lose it would be wrong.
    for number in ["NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "0x10", "--", "undefined", "TRUE", "'text'"] {
        corpus.line(&format!("the number {number}"), Fate::Either, |record| adding(record, number));
    }
}

/// Times at the edges, times that are none, and records without what names or places them.
fn fields(corpus: &mut Corpus) {
    let power = format!("1{}", "0".repeat(400));
    let times: [(&str, Fate); 31] = [
        ("\"0000-01-01T00:00:00Z\"", Fate::Reject),
        ("\"9999-12-31T23:59:59Z\"", Fate::Event),
        ("\"1969-12-31T23:59:59Z\"", Fate::Reject),
        ("\"2026-06-30T23:59:60Z\"", Fate::Event),
        ("\"2024-02-29T00:00:00Z\"", Fate::Event),
        ("\"2025-02-29T00:00:00Z\"", Fate::Reject),
        ("\"2026-02-30T00:00:00Z\"", Fate::Reject),
        ("\"0000-00-00T00:00:00Z\"", Fate::Reject),
        ("\"2026-13-01T00:00:00Z\"", Fate::Reject),
        ("\"2026-01-01T25:00:00Z\"", Fate::Reject),
        ("\"-0001-01-01T00:00:00Z\"", Fate::Reject),
        ("\"+10000-01-01T00:00:00Z\"", Fate::Reject),
        ("\"yesterday\"", Fate::Reject),
        ("\"\"", Fate::Reject),
        ("null", Fate::Reject),
        ("{}", Fate::Reject),
        ("[]", Fate::Reject),
        ("true", Fate::Reject),
        ("NaN", Fate::Reject),
        ("1e400", Fate::Reject),
        (&power, Fate::Reject),
        ("1794449340000", Fate::Event),
        ("1794449340", Fate::Event),
        ("0", Fate::Event),
        ("-0", Fate::Reject),
        ("-1", Fate::Reject),
        ("1794449340.5", Fate::Event),
        ("9223372036854775807", Fate::Reject),
        ("-9223372036854775808", Fate::Reject),
        ("9223372036854775808", Fate::Reject),
        ("18446744073709551616", Fate::Reject),
    ];
    for (time, fate) in times {
        corpus.line(&format!("the time {time:.28}"), fate, |record| with(record, TIME, time.as_bytes()));
    }
    corpus.line("no time", Fate::Reject, |record| edited(record, |members| _ = members.remove("eventTime")));
    corpus.line("no id", Fate::Event, |record| edited(record, |members| _ = members.remove("eventID")));
    for id in [json!(null), json!(7), json!(""), json!({}), json!(["a"])] {
        corpus.line(&format!("the id {id}"), Fate::Event, |record| {
            edited(record, |members| _ = members.insert("eventID".to_owned(), id))
        });
    }
    let nulls = |members: &mut serde_json::Map<String, Value>| members.values_mut().for_each(|value| *value = Value::Null);
    corpus.line("nulls everywhere", Fate::Reject, |record| edited(record, nulls));
    corpus.line("nulls everywhere but in the time", Fate::Event, |record| {
        edited(record, |members| {
            let time = members["eventTime"].clone();
            nulls(members);
            members.insert("eventTime".to_owned(), time);
        })
    });
    corpus.line("values of other types", Fate::Event, |record| {
        edited(record, |members| {
            members.values_mut().filter(|value| value.is_object()).for_each(|value| *value = json!([["text"], {}, null]));
            members.insert("eventName".to_owned(), json!({ "name": [1, 2] }));
            members.insert("awsRegion".to_owned(), json!(1.5));
        })
    });
}

/// What stands between the members of an array.
fn members(corpus: &mut Corpus) {
    let whole: [(&str, &[u8]); 9] = [
        ("null", b"null"),
        ("true", b"true"),
        ("a number", b"42"),
        ("a string", b"\"text\""),
        ("a sentence", b"some text"),
        ("nothing", b""),
        ("an empty object", b"{}"),
        ("an array", b"[1,2]"),
        ("bytes", b"\xFF\xFE\x80"),
    ];
    for (name, bytes) in whole {
        corpus.member(name, Fate::Reject, |_| bytes.to_vec());
    }
    corpus.member("invalid UTF-8", Fate::Reject, |record| with(record, SPOT, b"\xFF\xFE\x80"));
    corpus.member("a NUL byte", Fate::Event, |record| with(record, SPOT, b"\0"));
    corpus.member("a quote without its escape", Fate::Reject, |record| with(record, SPOT, b"\""));
    corpus.member("cut inside a string", Fate::Reject, |record| record.split_once("-bot").unwrap().0.into());
    corpus.member("cut between two values", Fate::Reject, |record| record.split_once(",\"eventTime\"").unwrap().0.into());
    corpus.member("without its last brace", Fate::Reject, |record| record.strip_suffix('}').unwrap().into());
    corpus.member("no time", Fate::Reject, |record| edited(record, |members| _ = members.remove("eventTime")));
    corpus.member("more than a mebibyte", Fate::Reject, |record| with(record, SPOT, "x".repeat(2 << 20).as_bytes()));
}

/// Whole files of plain text.
fn files(corpus: &mut Corpus) {
    corpus.file("empty", (0, 0), End::Foreign, &[], |_| Vec::new());
    corpus.file("empty lines", (0, 0), End::Whole, &[], |_| b"\n\n\r\n \t\n".to_vec());
    corpus.file("an empty object", (1, 0), End::Whole, &[], |_| b"{}".to_vec());
    corpus.file("an empty array", (0, 0), End::Whole, &[], |_| b"[]".to_vec());
    corpus.file("an empty envelope", (0, 0), End::Whole, &[], |_| envelope(&[]));
    corpus.file("an envelope of null", (1, 0), End::Whole, &[], |_| b"{\"Records\":null}".to_vec());
    corpus.file("a byte order mark", (3, 3), End::Whole, &[0, 1, 2], |three| {
        [&b"\xEF\xBB\xBF"[..], text(three).as_slice()].concat()
    });
    corpus.file("CR LF", (3, 3), End::Whole, &[0, 1, 2], |three| three.join("\r\n").into_bytes());
    corpus.file("CR", (3, 3), End::Whole, &[0, 1, 2], |three| three.join("\r").into_bytes());
    corpus.file("empty lines between", (3, 3), End::Whole, &[0, 1, 2], |three| {
        format!("\n\n{}", three.join("\n\r\n \t\n\n")).into_bytes()
    });
    corpus.file("text between values", (3, 2), End::Whole, &[0, 1], |three| {
        let pretty = |record: &String| serde_json::to_string_pretty(&serde_json::from_str::<Value>(record).unwrap()).unwrap();
        format!("{}\nsome text\n{}\n", pretty(&three[0]), pretty(&three[1])).into_bytes()
    });
    corpus.file("text between envelopes", (3, 2), End::Whole, &[0, 1], |three| {
        lines(&[&envelope(&[three[0].as_bytes()]), b"some text", &envelope(&[three[1].as_bytes()])])
    });
    corpus.file("text behind an envelope", (3, 2), End::Whole, &[0, 1], |three| {
        [envelope(&[three[0].as_bytes(), three[1].as_bytes()]), b"some text".to_vec()].concat()
    });
    corpus.file("the same record without an id twice", (3, 3), End::Whole, &[0], |three| {
        let nameless = edited(&three[1], |members| _ = members.remove("eventID"));
        lines(&[three[0].as_bytes(), &nameless, &nameless])
    });
    corpus.file("cut inside its last record", (3, 2), End::Whole, &[0, 1], |three| {
        let mut bytes = text(three);
        bytes.truncate(bytes.len() - 100);
        bytes
    });
    corpus.file("text before the first record", (4, 3), End::Whole, &[0, 1, 2], |three| {
        [&b"some text\n"[..], text(three).as_slice()].concat()
    });
    corpus.file("two records on one line", (3, 3), End::Whole, &[0, 1, 2], |three| {
        format!("{}\n{}{}\n", three[0], three[1], three[2]).into_bytes()
    });
    corpus.file("an envelope that is not closed", (2, 2), End::Broken, &[0, 1], |three| {
        format!("{{\"Records\":[{},{},", three[0], three[1]).into_bytes()
    });
    corpus.file("an array that is not closed", (2, 2), End::Broken, &[0, 1], |three| {
        format!("[{},{}", three[0], three[1]).into_bytes()
    });
    corpus.file("a bracket too many", (4, 3), End::Whole, &[0, 1, 2], |three| {
        format!("{{\"Records\":[{}],{},{}]}}", three[0], three[1], three[2]).into_bytes()
    });
    corpus.file("a first member that is cut", (3, 2), End::Whole, &[1, 2], |three| {
        let cut = three[0].split_once("-bot").unwrap().0;
        envelope(&[cut.as_bytes(), three[1].as_bytes(), three[2].as_bytes()])
    });
    corpus.file("a first value that is cut", (3, 2), End::Whole, &[1, 2], |three| {
        let pretty = |record: &String| serde_json::to_string_pretty(&serde_json::from_str::<Value>(record).unwrap()).unwrap();
        let whole = pretty(&three[0]);
        let cut = whole.split_once("\"userName\"").unwrap().0;
        format!("{cut}\n{}\n{}\n", pretty(&three[1]), pretty(&three[2])).into_bytes()
    });
    corpus.file("UTF-16 LE", (0, 0), End::Foreign, &[], |three| {
        [vec![0xFF, 0xFE], utf_16(&text(three), u16::to_le_bytes)].concat()
    });
    corpus.file("UTF-16 BE", (0, 0), End::Foreign, &[], |three| {
        [vec![0xFE, 0xFF], utf_16(&text(three), u16::to_be_bytes)].concat()
    });
    corpus.file("UTF-16 BE without a mark", (0, 0), End::Foreign, &[], |three| utf_16(&text(three), u16::to_be_bytes));
    corpus.file("UTF-16 LE without a mark", (0, 0), End::Foreign, &[], |three| utf_16(&text(three), u16::to_le_bytes));
    corpus.file("CSV with an open quote", (0, 0), End::Foreign, &[], |_| b"eventName,eventTime,a,b\nStopLogging,\"".to_vec());
}

/// Compressed files.
fn compressed(corpus: &mut Corpus) {
    let parts = |three: &[String; 3]| three.iter().flat_map(|record| gzip(&lines(&[record.as_bytes()]))).collect::<Vec<u8>>();
    corpus.file("gzip members", (3, 3), End::Whole, &[0, 1, 2], parts);
    corpus
        .file("gzip members and garbage", (3, 3), End::Broken, &[0, 1, 2], |three| [parts(three), b"garbage".to_vec()].concat());
    corpus.file("gzip members and zeros", (3, 3), End::Broken, &[0, 1, 2], |three| [parts(three), vec![0; 512]].concat());
    corpus.file("gzip with a wrong checksum", (3, 3), End::Broken, &[0, 1, 2], |three| {
        let mut bytes = gzip(&text(three));
        let at = bytes.len() - 8;
        bytes[at] ^= 0xFF;
        bytes
    });
    corpus.file("gzip of gzip", (3, 3), End::Whole, &[0, 1, 2], |three| gzip(&gzip(&text(three))));
    corpus.file("gzip of nothing", (0, 0), End::Foreign, &[], |_| gzip(b""));
    corpus.file("a gzip header alone", (0, 0), End::Broken, &[], |three| gzip(&text(three))[..10].to_vec());
    corpus.file("two bytes of gzip", (0, 0), End::Broken, &[], |three| gzip(&text(three))[..2].to_vec());
}

/// One lane with one rule, as the binary sets them up.
struct Hunter {
    rules: RuleSet,
    lanes: Lanes,
}

impl Hunter {
    fn new() -> Hunter {
        let (rules, errors) =
            RuleSet::parse(&[RuleSource { place: "stop.yml".to_owned(), text: RULE.to_owned() }], BTreeMap::new());
        assert!(errors.is_empty(), "{errors:?}");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../content/vendors/aws/logs/cloudtrail");
        let mapping = Mapping::parse(&|name| fs::read_to_string(folder.join(name)).ok()).unwrap();
        let lanes = Lanes::mapped(&[mapping], &rules);
        Hunter { rules, lanes }
    }

    /// What a hunt saw, and the ids of the events that it found; the counts add up.
    fn hunt(&self, source: &dyn Source) -> (Outcome, BTreeSet<String>) {
        let progress = Progress::default();
        let mut found = BTreeSet::new();
        let hunt = Hunt::new(source, &self.lanes, &self.rules, &progress);
        let outcome = hunt.run(&mut |finding, _| _ = found.insert(finding.event.uid.clone())).unwrap();
        let accounted = outcome.events + outcome.duplicates + outcome.rejected() + outcome.out_of_time;
        assert_eq!(outcome.records, accounted, "{}: one in is one out", source.objects()[0].name);
        (outcome, found)
    }

    fn check(&self, case: &Case) {
        let (outcome, found) = self.hunt(&MemorySource::new(&case.name, case.bytes.clone()));
        let name = &case.name;
        assert_eq!(outcome.records, case.records, "{name}: {:?}", outcome.reject_samples);
        assert!(case.events.contains(&outcome.events), "{name}: {} events, {:?}", outcome.events, outcome.reject_samples);
        let end = match (outcome.foreign_files.as_slice(), outcome.broken_files.as_slice()) {
            ([], []) => End::Whole,
            (_, []) => End::Foreign,
            _ => End::Broken,
        };
        assert_eq!(end, case.end, "{name}: {:?} {:?}", outcome.foreign_files, outcome.broken_files);
        for id in &case.good {
            assert!(found.contains(id), "{name}: {id} is a valid neighbour and was not found");
        }
    }
}

/// The number before a word of the line that a run ends with.
fn count(line: &str, word: &str) -> u64 {
    line.split_once(word).unwrap().0.split_whitespace().last().unwrap().parse().unwrap()
}

/// The corpus as one folder through the binary: every valid record is found, and the counts agree.
fn one_folder(cases: &[Case]) {
    let folder = tempfile::tempdir().unwrap();
    for (number, case) in cases.iter().enumerate() {
        fs::write(folder.path().join(format!("{number:03}.json")), &case.bytes).unwrap();
    }
    let path = folder.path().to_str().unwrap();
    let ran = vigie(&["hunt", path, "-o", "ndjson"]).unwrap();
    assert_eq!(ran.code, 4, "{}", ran.err);
    let (events, unread) = (count(&ran.err, " events"), count(&ran.err, " records not read"));
    assert_eq!(events + unread, cases.iter().map(|case| case.records).sum::<u64>(), "{}", ran.err);
    let least: u64 = cases.iter().map(|case| case.events.start()).sum();
    let most: u64 = cases.iter().map(|case| case.events.end()).sum();
    assert!((least..=most).contains(&events), "{}", ran.err);
    let mut found = BTreeSet::new();
    for line in ran.out.lines() {
        let finding: Value = serde_json::from_str(line).unwrap();
        let related = finding["finding_info"]["related_events"].as_array().unwrap();
        found.extend(related.iter().filter_map(|event| Some(event["uid"].as_str()?.to_owned())));
    }
    for case in cases {
        assert!(case.good.iter().all(|id| found.contains(id)), "{}: a valid neighbour was not found", case.name);
    }
    let ran = vigie(&["hunt", path]).unwrap();
    assert_eq!(ran.code, 4, "{}", ran.err);
    let is_mark = |c: char| ('\u{200B}'..='\u{200F}').contains(&c) || ('\u{202A}'..='\u{202E}').contains(&c);
    let hidden = ran.out.chars().find(|c| (c.is_control() && *c != '\n') || is_mark(*c) || *c == '\u{2066}');
    assert_eq!(hidden, None, "nothing of a record drives the terminal");
}

/// A file alone through the binary: its exit code says whether all was read.
fn one_file(folder: &Path, case: &Case) {
    let path = folder.join("logs.json");
    fs::write(&path, &case.bytes).unwrap();
    let ran = vigie(&["hunt", path.to_str().unwrap(), "-o", "ndjson"]).unwrap();
    let events = *case.events.start();
    let expected = match () {
        () if events < case.records || case.end == End::Broken => 4,
        () if events > 0 => 3,
        () => 0,
    };
    assert_eq!(ran.code, expected, "{}: {}", case.name, ran.err);
}

#[test]
fn done_hunt_5_poison_corpus() {
    let mut corpus = Corpus::default();
    for group in [texts, values, fields, members, files, compressed] {
        group(&mut corpus);
    }
    let hunter = Hunter::new();
    corpus.cases.iter().for_each(|case| hunter.check(case));
    one_folder(&corpus.cases);
    let folder = tempfile::tempdir().unwrap();
    corpus.cases.iter().filter(|case| case.is_alone).for_each(|case| one_file(folder.path(), case));
    println!("{} poisoned files, {} valid records made for them", corpus.cases.len(), corpus.made);
}

/// A file that is made while it is read, so that no buffer of ours holds it whole.
struct Made {
    info: [ObjectInfo; 1],
    head: String,
    filler_bytes: u64,
    tail: String,
}

impl Made {
    fn new(name: &str, head: String, filler_bytes: u64, tail: String) -> Made {
        Made { info: [ObjectInfo { name: name.to_owned(), bytes: None, modified: None }], head, filler_bytes, tail }
    }
}

impl Source for Made {
    fn objects(&self) -> &[ObjectInfo] {
        &self.info
    }

    fn open(&self, _: usize) -> Result<Box<dyn ByteStream>, String> {
        let head = io::Cursor::new(self.head.clone().into_bytes());
        let tail = io::Cursor::new(self.tail.clone().into_bytes());
        Ok(Box::new(Stream(head.chain(io::repeat(b'x').take(self.filler_bytes)).chain(tail))))
    }
}

struct Stream<R>(R);

impl<R: Read + Send> ByteStream for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        self.0.read(buffer).map_err(|error| error.to_string())
    }
}

/// A record of 100 MB is passed over while it streams: as a line, as the first line, as a member.
#[test]
fn done_hunt_5_a_record_of_100_mb_costs_itself() {
    let hunter = Hunter::new();
    let [before, poison, after] = [1, 2, 3].map(record);
    let (start, rest) = poison.split_once(SPOT).unwrap();
    let shapes = [
        ("a line", format!("{before}\n{start}"), format!("{rest}\n{after}\n")),
        ("the first line", start.to_owned(), format!("{rest}\n{before}\n{after}\n")),
        ("a member", format!("{{\"Records\":[{before},{start}"), format!("{rest},{after}]}}")),
    ];
    for (name, head, tail) in shapes {
        let (outcome, found) = hunter.hunt(&Made::new(name, head, 100_000_000, tail));
        assert!(outcome.bytes > 100_000_000, "{name}: read to its end");
        assert_eq!((outcome.records, outcome.events), (3, 2), "{name}");
        assert_eq!(outcome.rejects, BTreeMap::from([(RejectReason::Oversize, 1)]), "{name}");
        assert!(found.contains(&id_of(&before)) && found.contains(&id_of(&after)), "{name}");
    }
}

/// A quoted field that grows over many buffers: 64 MB here stand for 1 GB, since nothing is read
/// once the file is known to be no JSON.
#[test]
fn done_hunt_5_a_csv_field_without_end_is_not_followed() {
    let head = "eventVersion,eventName,eventTime,note\n1.11,StopLogging,2026-11-12T02:09:00Z,\"".to_owned();
    let (outcome, found) = Hunter::new().hunt(&Made::new("table.csv", head, 64_000_000, "\"\n".to_owned()));
    assert_eq!(outcome.foreign_files, [("table.csv".to_owned(), "CSV".to_owned())]);
    assert!(outcome.bytes <= 2 << 20, "{} bytes read", outcome.bytes);
    assert_eq!((outcome.records, found.len()), (0, 0));
}

/// Half a gzip gives its whole records; what is cut is one reject, and the file is named.
#[test]
fn done_hunt_5_half_a_gzip_is_counted() {
    let text: String = (0..2000).map(|number| record(number) + "\n").collect();
    let mut bytes = gzip(text.as_bytes());
    bytes.truncate(bytes.len() / 2);
    let (outcome, found) = Hunter::new().hunt(&MemorySource::new("half.json.gz", bytes));
    assert!((1..2000).contains(&outcome.events), "{} events", outcome.events);
    assert!(outcome.rejected() <= 1, "{:?}", outcome.reject_samples);
    assert_eq!(found.len() as u64, outcome.events);
    assert_eq!(outcome.broken_files.len(), 1, "{:?}", outcome.broken_files);
}
