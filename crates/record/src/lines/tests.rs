//! Lines become records, and no byte of them is lost, whatever their cells hold and wherever a buffer ends.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn field(name: &str) -> LineField {
    LineField { name: name.into(), path: name.into(), kind: FieldKind::Text, check: None, parts: None }
}

fn cells(separator: u8, quote: Quote, fields: Vec<LineField>) -> CellLine {
    CellLine {
        separator,
        quote,
        has_brackets: false,
        absent: vec!["-".into()],
        header: None,
        cells_min: fields.len(),
        cells_max: fields.len(),
        fields,
        joined: None,
    }
}

fn form(reader: LineReader) -> LineForm {
    LineForm { reader, begins: Vec::new(), holds: Vec::new() }
}

fn of_cells(line: CellLine) -> LineForm {
    form(LineReader::Cells(Box::new(line)))
}

/// Owner 0: a flow of six cells, with or without a header. Owner 1: a request with brackets, quotes and
/// parts. Owner 2: a table of tabs under a header that begins with a mark. Owner 3: pairs, and syslog.
fn logs() -> Vec<LineForms> {
    let checked = |name: &str, check: FieldCheck| LineField { check: Some(check), ..field(name) };
    let integer = |name: &str| LineField { kind: FieldKind::Integer, ..checked(name, FieldCheck::Integer) };
    let renamed = |name: &str, path: &str| LineField { path: path.into(), ..field(name) };
    let flow = [integer("version"), field("account"), checked("from", FieldCheck::Ip), integer("port"), integer("start")];
    let flow = || flow.iter().cloned().chain([checked("action", FieldCheck::OneOf(vec!["ACCEPT".into(), "REJECT".into()]))]);
    let header = |prefix: &str, names: &[&str]| {
        Some(LineHeader { prefix: prefix.into(), any_of: vec![names.iter().map(|name| (*name).to_owned()).collect()] })
    };
    let named = CellLine { header: header("", &["from", "start"]), ..cells(b' ', Quote::None, flow().collect()) };
    let parts = |names: &[&str], rest: usize, separator: u8| {
        Some(FieldParts { separator, fields: names.iter().map(|name| field(name)).collect(), rest })
    };
    let request = vec![
        checked("owner", FieldCheck::Hex),
        LineField { kind: FieldKind::CommonTime, ..checked("time", FieldCheck::CommonTime) },
        LineField { parts: parts(&["ip", "port"], 0, b':'), ..field("client") },
        LineField { parts: parts(&["method", "url", "protocol"], 1, b' '), ..field("request") },
        LineField { kind: FieldKind::Percent, ..field("agent") },
    ];
    let request = CellLine { has_brackets: true, cells_max: 8, ..cells(b' ', Quote::Plain, request) };
    let web = CellLine {
        header: header("#Fields:", &["date", "c-ip"]),
        joined: Some(JoinedField { path: "at".into(), first: "date".into(), second: "time".into(), between: "T".into() }),
        ..cells(b'\t', Quote::None, vec![renamed("cs(Agent)", "agent"), integer("sc-status")])
    };
    let inside =
        |forms: Vec<LineForm>, inside: &[&str]| LineForms { forms, inside: inside.iter().map(|key| (*key).to_owned()).collect() };
    vec![
        inside(vec![of_cells(cells(b' ', Quote::None, flow().collect())), of_cells(named)], &["message"]),
        inside(vec![of_cells(request)], &[]),
        inside(vec![of_cells(web)], &[]),
        inside(vec![form(LineReader::Syslog), form(LineReader::KeyValue), form(LineReader::Cef)], &[]),
    ]
}

fn set(logs: &[LineForms]) -> LineSet {
    LineSet::new(&logs.iter().enumerate().collect::<Vec<_>>())
}

/// What became of a text in buffers of `step` bytes: of each cut its kind and owner, its text, its record.
fn cut_all(set: &LineSet, text: &[u8], step: usize, only: Option<usize>) -> Option<Vec<(String, String, Value)>> {
    let mut cutter = set.cutter(text, only, 200)?;
    let (mut buffer, mut found, mut fed) = (Vec::new(), Vec::new(), 0);
    loop {
        let next = (fed + step).min(text.len());
        buffer.extend_from_slice(&text[fed..next]);
        fed = next;
        let (mut cuts, mut made) = (Vec::new(), MadeLines::default());
        let used = cutter.cut(&buffer, fed == text.len(), &mut cuts, &mut made);
        for (number, cut) in cuts.iter().enumerate() {
            let (kind, range) = match (cut, made.get(number)) {
                (Cut::Record(range), Some(line)) => (format!("{}{}", line.owner, if line.is_whole { "" } else { "h" }), range),
                (Cut::Record(range), None) => ("object".into(), range),
                (Cut::Oversize(range), _) => ("oversize".into(), range),
                (Cut::Reject(range, reason), _) => {
                    assert_eq!(*reason, UNKNOWN_LINE);
                    ("reject".into(), range)
                }
            };
            let line = String::from_utf8_lossy(&buffer[range.clone()]).into_owned();
            let record = made.get(number).map_or(Value::Null, |line| serde_json::from_slice(line.record).unwrap());
            found.push((kind, line, record));
        }
        buffer.drain(..used);
        if fed == text.len() {
            assert!(buffer.is_empty(), "{buffer:?} is left");
            return Some(found);
        }
    }
}

#[track_caller]
fn check(text: &str, expected: &[(&str, &str, Value)]) {
    let logs = logs();
    let set = set(&logs);
    for step in [text.len().max(1), 1, 3, 64] {
        let found = cut_all(&set, text.as_bytes(), step, None).unwrap_or_default();
        let found: Vec<(&str, &str, Value)> =
            found.iter().map(|(kind, line, record)| (kind.as_str(), line.as_str(), record.clone())).collect();
        assert_eq!(found, expected, "in buffers of {step} bytes");
    }
}

fn flow_record() -> Value {
    json!({"version": 2, "account": "417203958816", "from": "203.0.113.7", "port": 22, "start": 1_794_448_327, "action": "ACCEPT"})
}

const FLOW: &str = "2 417203958816 203.0.113.7 22 1794448327 ACCEPT";
const REQUEST: &str = "79a5 [12/Nov/2026:01:52:07 +0000] 203.0.113.7:443 \"GET /a b HTTP/1.1\" \"a%20b \"c\"d\"";

#[test]
fn lines_of_cells_become_records() {
    let nothing = "2 417203958816 - - 1794448327 -";
    check(
        &format!("\u{feff}{FLOW}\r\n\n{nothing}\n3 x 203.0.113.7 022 1 REJECT"),
        &[
            ("0", FLOW, flow_record()),
            ("0", nothing, json!({"version": 2, "account": "417203958816", "start": 1_794_448_327})),
            (
                "0",
                "3 x 203.0.113.7 022 1 REJECT",
                json!({"version": 3, "account": "x", "from": "203.0.113.7", "port": "022", "start": 1, "action": "REJECT"}),
            ),
        ],
    );
    let request = json!({"owner": "79a5", "time": "2026-11-12T01:52:07+00:00", "ip": "203.0.113.7", "port": "443",
        "method": "GET", "url": "/a b", "protocol": "HTTP/1.1", "agent": "a b \"c\"d"});
    let odd = "79a5 [soon] [2001:db8::7]:443 \"-\" - one \"two\" [three]";
    let known = odd.replace("soon", "02/Jan/2026:01:52:07 -0500");
    check(
        &format!("{REQUEST}\n{odd}\n{known}\n"),
        &[
            ("1", REQUEST, request),
            ("reject", odd, Value::Null),
            (
                "1",
                known.as_str(),
                json!({"owner": "79a5", "time": "2026-01-02T01:52:07-05:00", "ip": "2001:db8::7", "port": "443",
                    "more": "one \"two\" [three]"}),
            ),
        ],
    );
}

#[test]
fn a_line_that_is_cut_or_has_other_cells_is_a_reject() {
    let lines = [
        "2 417203958816 203.0.113.7 22 1794448327",
        "2 417203958816 203.0.113.7 22 1794448327 ACCEPT more",
        "2  417203958816 203.0.113.7 22 1794448327 ACCEPT",
        "2 417203958816 example.com 22 1794448327 ACCEPT",
        "2 417203958816 203.0.113.7 22 1794448327 DENY",
        "79a5 [12/Nov/2026:01:52:07 +0000] 203.0.113.7:443 \"GET /a b HTTP/1.1\" \"a",
        "79a5 [12/Nov/2026:01:52:07 +0000 203.0.113.7:443 \"GET / HTTP/1.1\" \"a\"",
    ];
    for line in lines {
        check(&format!("{FLOW}\n{line}\n"), &[("0", FLOW, flow_record()), ("reject", line, Value::Null)]);
        check(line, &[]);
    }
    let long = format!("{FLOW}{}", "x".repeat(200));
    check(
        &format!("{FLOW}\n{long}\n{FLOW}\n"),
        &[("0", FLOW, flow_record()), ("oversize", long.get(..200).unwrap(), Value::Null), ("0", FLOW, flow_record())],
    );
}

#[test]
fn a_header_names_the_cells_behind_it() {
    // Lines that say all by themselves stay lines.
    let same = "version account from port start action";
    check(&format!("{same}\n{FLOW}\n{same}\n{FLOW}\n"), &[("0", FLOW, flow_record()), ("0", FLOW, flow_record())]);
    check(same, &[]);
    let mixed = json!({"start": 7, "from": "203.0.113.7", "new-name": "x"});
    check(
        &format!("start from new-name\n7 203.0.113.7 x\n7 203.0.113.7\n{FLOW}\nfrom start\n203.0.113.7 8\n"),
        &[
            ("0h", "7 203.0.113.7 x", mixed),
            ("reject", "7 203.0.113.7", Value::Null),
            ("0", FLOW, flow_record()),
            ("0h", "203.0.113.7 8", json!({"from": "203.0.113.7", "start": 8})),
        ],
    );
    let web = "2026-11-12\t01:52:07\t203.0.113.7\tMozilla \"x\\y\"\t200";
    let record = json!({"date": "2026-11-12", "time": "01:52:07", "c-ip": "203.0.113.7", "agent": "Mozilla \"x\\y\"",
        "sc-status": 200, "at": "2026-11-12T01:52:07"});
    check(
        &format!("#Version: 1.0\n#Fields: date time c-ip cs(Agent) sc-status\n{web}\n#Fields: s-name\nx\n"),
        &[("2h", web, record), ("reject", "x", Value::Null)],
    );
    check("#Version: 1.0\n#Fields: s-name\nx\n", &[]);
}

#[test]
fn formats_are_tried_behind_cells_and_the_loosest_last() {
    let syslog = "<34>1 2026-11-12T01:52:07Z gate app - - [a b=\"c\\\"d\"] hello";
    let object = "{\"a\":1}";
    check(
        &format!("{FLOW}\na=1 b=2 c=3\n<134>a=1 b=2 c=3\n{syslog}\n<34>Nov  2 01:52:07 gate app: @cee: {object} \n{object}\nx\n"),
        &[
            ("0", FLOW, flow_record()),
            ("3", "a=1 b=2 c=3", json!({"a": 1, "b": 2, "c": 3})),
            ("3", "<134>a=1 b=2 c=3", json!({"a": 1, "b": 2, "c": 3})),
            (
                "3",
                syslog,
                json!({"priority": 34, "facility": 4, "severity": 2, "timestamp": "2026-11-12T01:52:07Z", "host": "gate",
                    "app": "app", "structured_data": {"a": {"b": "c\"d"}}, "message": "hello"}),
            ),
            ("object", object, Value::Null),
            ("object", object, Value::Null),
            ("reject", "x", Value::Null),
        ],
    );
}

#[test]
fn an_object_behind_a_time_is_a_record() {
    let object = "{\"a\":\"} {\"}";
    let behind = ("object", object, Value::Null);
    let times = ["2026-11-12T01:53:10.000Z", "2026-11-12 01:53:10", "2026-11-12T01:53:10+00:00 stream/[$LATEST]1"];
    let text: String = times.iter().map(|time| format!("{time} {object} \n")).collect();
    check(&text, &[behind.clone(), behind.clone(), behind]);
    for other in ["2026-11-12T01:53:10Z one two {}", "2026-11-12T01:53:10Z {\"a\"", "x026-11-12T01:53:10Z {}", "2026-11-12Tx {}"]
    {
        check(&format!("{FLOW}\n{other}"), &[("0", FLOW, flow_record()), ("reject", other, Value::Null)]);
    }
}

#[test]
fn a_line_alone_is_what_it_was_among_others() {
    let logs = logs();
    let set = set(&logs);
    let one = |text: &str, only: Option<usize>| match set.one(text.as_bytes(), only) {
        Some(OneLine::Made { owner, record }) => Some((owner, serde_json::from_slice::<Value>(&record).unwrap())),
        Some(OneLine::Object(range)) => Some((9, Value::from(text.get(range).unwrap()))),
        None => None,
    };
    assert_eq!(one(&format!("{FLOW}\r\n"), None), Some((0, flow_record())));
    assert_eq!(one(FLOW, Some(0)), Some((0, flow_record())));
    assert_eq!(one(FLOW, Some(1)), None);
    assert_eq!(one(&format!("{FLOW}\n{FLOW}"), None), None);
    let object = json!({"id": "x", "message": format!("{FLOW}\n"), "log": REQUEST}).to_string();
    assert_eq!(one(&object, None), Some((0, flow_record())));
    assert_eq!(one(&object, Some(1)), None, "only some keys hold lines");
    assert_eq!(one("<34>1 - gate app - - - {\"a\":1}", None), Some((9, Value::from("{\"a\":1}"))));
    assert_eq!(one("", None), None);
    assert!(set.cutter(FLOW.as_bytes(), Some(1), 200).is_none());
    assert!(LineSet::default().cutter(FLOW.as_bytes(), None, 200).is_none());
}

#[test]
fn text_that_is_no_utf_8_is_mended_in_the_record_alone() {
    let logs = logs();
    let line = b"2 a\xFFb 203.0.113.7 22 1794448327 ACCEPT";
    let found = cut_all(&set(&logs), line, line.len(), None).unwrap();
    assert_eq!(found[0].2["account"], "a\u{fffd}b");
}

/// How a cell is written between quotes.
fn written(cell: &str, quote: Quote, separator: char) -> String {
    let inner = match quote {
        Quote::None => return cell.chars().filter(|letter| *letter != separator).collect(),
        // What would close it is no text of such a format.
        Quote::Plain => cell.replace('"', "'"),
        Quote::Doubled => cell.replace('"', "\"\""),
        Quote::Backslash => cell.replace('\\', "\\\\").replace('"', "\\\""),
    };
    format!("\"{inner}\"")
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9]{1,8}", "[ -~\t\u{e9}\u{1F600}\u{1}]{1,12}", Just("-".to_owned()), Just(String::new())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_byte_of_a_cell_is_lost_or_moved(
        texts in prop::collection::vec(cell(), 1..8),
        quote in prop::sample::select(vec![Quote::None, Quote::Plain, Quote::Doubled, Quote::Backslash]),
        separator in prop::sample::select(vec![' ', '\t', ',', ';', '|']),
    ) {
        let names: Vec<String> = (0..texts.len()).map(|number| format!("f{number}")).collect();
        let line = cells(separator as u8, quote, names.iter().map(|name| field(name)).collect());
        let logs = [LineForms { forms: vec![of_cells(line)], inside: Vec::new() }];
        let written: Vec<String> = texts.iter().map(|text| written(text, quote, separator)).collect();
        let line = written.join(&separator.to_string());
        prop_assume!(!line.trim_ascii().is_empty() && !line.starts_with('{'));
        let mut expected = Map::new();
        for (name, text) in names.iter().zip(&texts) {
            let said = match quote {
                Quote::None => text.chars().filter(|letter| *letter != separator).collect(),
                Quote::Plain => text.replace('"', "'"),
                _ => text.clone(),
            };
            if !matches!(said.as_str(), "" | "-") {
                expected.insert(name.clone(), said.into());
            }
        }
        let one = set(&logs).one(line.as_bytes(), None);
        let Some(OneLine::Made { record, .. }) = one else {
            return Err(TestCaseError::fail(format!("{line:?} is not read")));
        };
        prop_assert_eq!(serde_json::from_slice::<Value>(&record).unwrap(), Value::Object(expected), "{:?}", line);
    }

    #[test]
    fn any_bytes_are_cut_into_lines_that_are_told(text in prop::collection::vec(any::<u8>(), 0..300), step in 1usize..40) {
        let logs = logs();
        let set = set(&logs);
        let text = [FLOW.as_bytes(), b"\n", &text].concat();
        let whole = cut_all(&set, &text, text.len(), None).unwrap();
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
        let told = whole.len() + text.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"#")).count();
        prop_assert!(whole.len() <= lines && told >= lines, "{} of {} lines", whole.len(), lines);
        prop_assert_eq!(cut_all(&set, &text, step, None).unwrap(), whole);
    }
}
