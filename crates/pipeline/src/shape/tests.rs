//! Deliveries become rows, and no byte of what cannot be read is lost.

use std::collections::BTreeMap;

use vigie_detect::RuleSet;
use vigie_model::ColumnKind;
use vigie_normalise::{Declaration, Enrichments, Mapping, TableFile};

use super::*;
use crate::GenericPaths;

const NOW: Millis = 1_800_000_000_000;
const OVERSIZE: &str = "is longer than the limit for one record";

fn shaper() -> Shaper {
    let (rules, _) = RuleSet::parse(&[], BTreeMap::new());
    let lanes = Lanes::shaping(&[], &rules, &GenericPaths::default(), &[]);
    Shaper::new(Tenant::default(), lanes, Vec::new())
}

fn shape(body: &[u8]) -> (EventBatch, Receipt) {
    let delivery =
        Delivery { tenant: Tenant::default(), log: None, source: "test".to_owned(), number: None, body: body.to_vec() };
    shaper().shape(delivery, 7, NOW).unwrap()
}

fn raw(batch: &EventBatch, row: usize) -> &[u8] {
    batch.raw.get(row).or_else(|| batch.raw_binary.get(row)).unwrap()
}

fn reason(batch: &EventBatch, row: usize) -> Option<String> {
    batch.reasons.get(row).map(|reason| String::from_utf8(reason.to_vec()).unwrap())
}

/// Shapes a body of which this text goes into quarantine, in parts, between so many events; gives the rows.
#[track_caller]
fn check(body: &[u8], text: &[u8], words: &str, parts: usize, events: u64) -> EventBatch {
    let (batch, receipt) = shape(body);
    assert_eq!((receipt.accepted, receipt.rejected), (events, parts as u64));
    assert_eq!(batch.len() as u64, events + parts as u64);
    let rows: Vec<usize> = (0..batch.len()).filter(|row| reason(&batch, *row).is_some()).collect();
    for (number, row) in rows.iter().enumerate() {
        assert!(raw(&batch, *row).len() <= RECORD_BYTES_MAX);
        let part = if parts == 1 { String::new() } else { format!(" (part {} of {parts})", number + 1) };
        assert_eq!(reason(&batch, *row).unwrap(), format!("{words}{part}"));
    }
    let named = if parts == 1 { words.to_owned() } else { format!("{words}; it is kept in {parts} parts") };
    assert_eq!(receipt.rejects, [Rejected { index: rows[0] as u64, reason: named }]);
    assert!(rows.iter().flat_map(|row| raw(&batch, *row)).eq(text), "bytes are lost, or out of order");
    let mut ids = batch.ids.clone();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), batch.len());
    assert_eq!(shape(body).0, batch, "the same delivery gives the same rows");
    batch
}

#[test]
fn text_is_cut_at_line_ends_and_between_characters() {
    let cases: [(&str, &[&str]); 8] = [
        ("", &[""]),
        ("12345678", &["12345678"]),
        ("123456789", &["12345678", "9"]),
        ("1\n3456789", &["1\n", "3456789"]),
        ("1\n3\n56789\n", &["1\n3\n", "56789\n"]),
        ("1234567\n\n", &["1234567\n", "\n"]),
        ("1234567\u{e9}9", &["1234567", "\u{e9}9"]),
        ("12345\u{1f600}\u{1f600}", &["12345", "\u{1f600}\u{1f600}"]),
    ];
    for (text, expected) in cases {
        let found: Vec<&[u8]> = pieces(text.as_bytes(), 8).collect();
        assert_eq!(found, expected.iter().map(|piece| piece.as_bytes()).collect::<Vec<_>>(), "{text:?}");
    }
    let broken = [0x80; 20];
    assert_eq!(pieces(&broken, 8).map(<[u8]>::len).collect::<Vec<_>>(), [8, 8, 4]);
}

#[test]
fn a_body_that_is_no_json_is_kept_in_rows_of_a_record_each() {
    let line = b"10:00:00;alice;console;succeeded\n";
    check(line, line, "is no JSON", 1, 0);
    let lines = line.repeat(3 * RECORD_BYTES_MAX / line.len());
    let batch = check(&lines, &lines, "is no JSON", 3, 0);
    assert!((0..3).all(|row| raw(&batch, row).ends_with(b"succeeded\n")));
    let long = format!("x{}", "\u{e9}".repeat(RECORD_BYTES_MAX));
    let batch = check(long.as_bytes(), long.as_bytes(), "is no JSON", 3, 0);
    assert!((0..3).all(|row| batch.raw.get(row).is_some()), "a character is cut in two");
    check(&vec![0xFF; 2 * RECORD_BYTES_MAX], &vec![0xFF; 2 * RECORD_BYTES_MAX], "is no JSON", 2, 0);
}

#[test]
fn a_record_that_is_too_long_is_kept_in_parts() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(2 * RECORD_BYTES_MAX));
    let bodies = [
        format!("{{\"b\":2}}\n{long}\n{{\"c\":3}}\n"),
        format!("[{{\"b\":2}}, {long} , {{\"c\":3}}]"),
        format!("[{{\"b\":2}},{{\"c\":3}},{long}]\n"),
        format!("{{\n\"b\":2}}{{\"c\":3}}{long}"),
        format!("{long}\n{{\"b\":2}}\n{{\"c\":3}}\n"),
    ];
    for body in bodies {
        check(body.as_bytes(), long.as_bytes(), OVERSIZE, 3, 2);
    }
    // What stands behind it has the number of its record, not of its row.
    let (_, receipt) = shape(format!("{{\"b\":2}}\n{long}\nno record\n").as_bytes());
    assert_eq!((receipt.rejected, receipt.rejects.iter().map(|reject| reject.index).collect::<Vec<_>>()), (4, vec![1, 2]));
    // On a line of its own it is what it is, JSON or not.
    let line = "no record, ".repeat(RECORD_BYTES_MAX / 8);
    let body = format!("{{\"b\":2}}\n{line}\n{{\"c\":3}}\n");
    check(body.as_bytes(), line.trim_end().as_bytes(), OVERSIZE, 2, 2);
    let open = format!("{{\"a\":\"{}", "x".repeat(RECORD_BYTES_MAX));
    check(open.as_bytes(), open.as_bytes(), "is not JSON", 2, 0);
}

#[test]
fn a_row_that_is_read_again_stays_one_row() {
    let shaper = shaper();
    let (mut stored, _) = shape(b"no record\n");
    let text = vec![b'x'; 2 * RECORD_BYTES_MAX];
    stored.raw = TextColumn::default();
    stored.raw.push(Some(&text));
    let (made, told) = shaper.reshape(&stored);
    assert_eq!((made.ids, made.raw, made.reasons, told.events), (stored.ids, stored.raw, stored.reasons, 1));
}

/// A log of lines: version, address, time and action, with and without a header.
fn flows() -> Shaper {
    flows_with(&Enrichments::default())
}

/// The same, with tables.
fn flows_with(enrichments: &Enrichments) -> Shaper {
    let file = |name: &str| {
        let text = match name {
            "log.toml" => {
                "format = 1\nid = \"test/flow\"\ntitle = \"Flows\"\n[logsource]\n[recognise]\n\
                 any_of = [[\"version\", \"from\"], [\"start\", \"from\"], [\"groups.rule\"]]\n[identity]\ntime = \"start\"\n\
                 [[wrapper]]\npath = \"groups.flows.texts\"\nis_lines = true\n[wrapper.keep]\nid = \"id\"\nrule = \"groups.rule\"\n\
                 [[wrapper]]\npath = \"event\"\nkeep = { tenant = \"tenant\", version = \"version\" }\n\
                 [[wrapper]]\npath = \"data\"\nis_base64 = true\n\
                 [[wrapper]]\npath = \"body.text\"\nis_text = true\n"
            }
            "mapping.toml" => {
                "format = 1\nversion = \"1\"\nocsf = \"1.8.0\"\nprofiles = []\n\
                 [operations]\ntable = \"operations.tsv\"\nkey = [\"action\", \"action\"]\n\
                 [operations.default]\nclass_uid = 4001\nverb = \"network.connection.open\"\nactivity = []\nother = 6\n\
                 [fields]\n\"time\" = \"time_ms(start)\"\n\"src_endpoint.ip\" = \"ip(from)\"\n\
                 [principal]\ncredential = \"''\"\nuid = \"''\"\nname = \"''\"\nperson = \"''\"\n"
            }
            "operations.tsv" => "service\toperation\tverb\tclass_uid\tactivity_id\ttarget\tpeer\n",
            "lines.toml" => {
                "format = 1\ninside = [\"message\"]\n\
                 [[line]]\ntitle = \"Flow\"\nseparator = \"space\"\nabsent = [\"-\"]\n\
                 fields = [\"version\", \"from\", \"start\", \"action\"]\nintegers = [\"version\", \"start\"]\n\
                 [line.checks]\nversion = \"integer\"\nfrom = \"ip\"\naction = [\"ACCEPT\", \"REJECT\"]\n\
                 [[line]]\ntitle = \"Flow under a header\"\nseparator = \"space\"\nabsent = [\"-\"]\n\
                 integers = [\"version\", \"start\"]\n[line.header]\nany_of = [[\"from\", \"start\"]]\n\
                 [line.checks]\nfrom = \"ip\"\n"
            }
            _ => return None,
        };
        Some(text.to_owned())
    };
    let column = |name: &str, path: &str, kind: ColumnKind| Column {
        name: name.to_owned(),
        path: path.to_owned(),
        kind,
        index: None,
        since: 1,
    };
    let columns = vec![
        column("time", "time", ColumnKind::TimeMs),
        column("class_uid", "class_uid", ColumnKind::Integer),
        column("activity_id", "activity_id", ColumnKind::Integer),
        column("src_endpoint_ip", "src_endpoint.ip", ColumnKind::Text),
        column("src_endpoint_as_number", "src_endpoint.autonomous_system.number", ColumnKind::Integer),
    ];
    let (rules, _) = RuleSet::parse(&[], BTreeMap::new());
    let mappings = [Mapping::parse(&file).unwrap()];
    let lanes = Lanes::shaping_with(&mappings, &rules, &GenericPaths::default(), &columns, enrichments);
    Shaper::new(Tenant::default(), lanes, columns)
}

/// Shapes lines, and reads the rows again: log type and text of each, and its reason in quarantine.
#[track_caller]
fn check_lines(body: &[u8], log: Option<&str>, expected: &[(&str, &str, &str)]) -> EventBatch {
    let shaper = flows();
    let delivery = || Delivery {
        tenant: Tenant::default(),
        log: log.map(|log| LogType(log.to_owned())),
        source: "test".to_owned(),
        number: None,
        body: body.to_vec(),
    };
    let (batch, receipt) = shaper.shape(delivery(), 7, NOW).unwrap();
    assert_eq!(shaper.shape(delivery(), 7, NOW).unwrap().0, batch, "the same delivery gives the same rows");
    let text = |column: &TextColumn, row: usize| String::from_utf8_lossy(column.get(row).unwrap_or_default()).into_owned();
    let rows: Vec<(String, String, String)> = (0..batch.len())
        .map(|row| {
            let raw = String::from_utf8_lossy(raw(&batch, row)).into_owned();
            (text(&batch.logs, row), raw, text(&batch.reasons, row))
        })
        .collect();
    let rows: Vec<(&str, &str, &str)> = rows.iter().map(|(log, raw, why)| (log.as_str(), raw.as_str(), why.as_str())).collect();
    assert_eq!(rows, expected);
    let kept = expected.iter().filter(|(_, _, why)| why.is_empty()).count();
    assert_eq!((receipt.accepted, receipt.rejected), (kept as u64, (expected.len() - kept) as u64));
    let mut ids = batch.ids.clone();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), batch.len(), "a place names each of them");
    let (made, told) = shaper.reshape(&batch);
    assert_eq!((&made.ids, &made.raw, &made.raw_binary), (&batch.ids, &batch.raw, &batch.raw_binary));
    assert_eq!((&made.logs, &made.reasons, &made.mappings), (&batch.logs, &batch.reasons, &batch.mappings));
    assert_eq!(made.columns, batch.columns, "a row that is read again is the same row");
    assert_eq!((told.events, told.other_ids), (batch.len() as u64, 0));
    batch
}

/// Rows have what tables said when they were taken in, also when they are made anew without them.
#[test]
fn what_tables_said_stays_with_a_row() {
    let declaration = "format = 1\ntitle = \"T\"\nkind = \"ranges\"\nreads = [\"src_endpoint.ip\"]\n[[table]]\nfile = \"t.csv\"\n\
        key = \"network\"\n[gives]\n\".autonomous_system.number\" = { column = \"asn\", type = \"integer\" }\n";
    let declaration = Declaration::parse("networks", "t", declaration).unwrap();
    let bytes = b"network,asn\n203.0.113.0/24,64500\n".to_vec();
    let table = TableFile { name: "t.csv".to_owned(), place: "t.csv".to_owned(), bytes };
    let enrichments = Enrichments::new(vec![declaration.fill(vec![table]).unwrap().enrichment]);
    let body = format!("{FLOW}\n{}\n", FLOW.replace("203.0.113.7", "192.0.2.7"));
    let delivery =
        Delivery { tenant: Tenant::default(), log: None, source: "test".to_owned(), number: None, body: body.into_bytes() };
    let (batch, _) = flows_with(&enrichments).shape(delivery, 7, NOW).unwrap();
    let numbers = |batch: &EventBatch| match &batch.columns[4] {
        ColumnValues::Integer(values) => (0..batch.len()).map(|row| values.get(row)).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(numbers(&batch), [Some(64500), None]);
    let told = String::from_utf8_lossy(batch.enrichments.get(0).unwrap()).into_owned();
    assert!(told.starts_with("[{\"name\":\"src_endpoint.ip\",\"value\":\"203.0.113.7\",\"type\":\"networks\""), "{told}");
    assert!(batch.enrichments.get(1).is_none());
    let (made, _) = flows().reshape(&batch);
    assert_eq!((&made.enrichments, numbers(&made)), (&batch.enrichments, numbers(&batch)));
}

const FLOW: &str = "2 203.0.113.7 1794448327 ACCEPT";
const UNKNOWN: &str = "is a line of no known log type";

#[test]
fn lines_are_kept_as_they_came_and_can_be_read_again() {
    let flow = ("test/flow", FLOW, "");
    let batch = check_lines(
        format!("{FLOW}\r\n\n{FLOW}\n2 203.0.113.7 1 DROP\n{FLOW}").as_bytes(),
        None,
        &[flow, flow, ("", "2 203.0.113.7 1 DROP", UNKNOWN), flow],
    );
    let ColumnValues::Integer(classes) = &batch.columns[1] else { panic!("a column of numbers") };
    assert_eq!((classes.get(0), classes.get(2), classes.get(3)), (Some(4001), Some(0), Some(4001)));
    assert_eq!(batch.ids[0].occurred(), 1_794_448_327_000);
    let timeless = "2 203.0.113.7 - ACCEPT";
    check_lines(timeless.as_bytes(), None, &[("", timeless, "has no readable time")]);
    check_lines(b"2 203.0.113.7 1794448327 ACCEPT\n\xFF\xFE\n", None, &[flow, ("", "\u{fffd}\u{fffd}", UNKNOWN)]);
    check_lines(b"no line that is known\nnor this\n", None, &[("", "no line that is known\nnor this\n", "is no JSON")]);
}

#[test]
fn a_line_that_says_nothing_without_its_header_is_kept_as_its_record() {
    let same = "version from start action";
    check_lines(format!("{same}\n{FLOW}\n").as_bytes(), None, &[("test/flow", FLOW, "")]);
    let record = "{\"start\":1794448327,\"from\":\"203.0.113.7\",\"more-of-it\":\"x\"}";
    check_lines(b"start from more-of-it\n1794448327 203.0.113.7 x\n", None, &[("test/flow", record, "")]);
}

#[test]
fn lines_among_objects_and_inside_them_are_read() {
    let inside = format!("{{\"message\":\"{FLOW}\",\"host\":\"gate\"}}");
    let other = "{\"message\":\"hello\"}";
    check_lines(
        format!("{other}\n{FLOW}\n{inside}\n").as_bytes(),
        None,
        &[("generic/json", other, ""), ("test/flow", FLOW, ""), ("test/flow", &inside, "")],
    );
}

#[test]
fn texts_in_lists_are_lines_with_what_stands_around_them() {
    let record = format!(
        "{{\"id\":7,\"groups\":[{{\"flows\":[{{\"texts\":[\"{FLOW}\",\"odd\"]}}],\"rule\":\"r1\"}},{{\"rule\":\"r2\",\"flows\":{{\"texts\":[\"{FLOW}\"]}}}}]}}"
    );
    let made = |rule: &str| {
        format!(
            "{{\"id\":7,\"rule\":\"{rule}\",\"version\":2,\"from\":\"203.0.113.7\",\"start\":1794448327,\"action\":\"ACCEPT\"}}"
        )
    };
    let (first, second) = (made("r1"), made("r2"));
    let odd = "{\"text\":\"odd\"}";
    let rows = [("test/flow", first.as_str(), ""), ("generic/json", odd, ""), ("test/flow", second.as_str(), "")];
    check_lines(record.as_bytes(), None, &rows);
    let none = "{\"id\":7,\"start\":1794448327,\"groups\":[{\"rule\":\"r1\",\"flows\":[]}]}";
    check_lines(none.as_bytes(), None, &[("test/flow", none, "")]);
}

#[test]
fn what_stands_inside_is_a_record_a_line_or_a_text_of_either() {
    let inner = "{\"version\":2,\"from\":\"203.0.113.7\",\"start\":1794448327}";
    let kept = format!("{{\"tenant\":\"t\",{}", inner.strip_prefix('{').unwrap());
    let wrapped = format!("{{\"tenant\":\"t\",\"version\":9,\"event\":{inner}}}");
    check_lines(wrapped.as_bytes(), None, &[("test/flow", &kept, "")]);
    // In base64, of either alphabet, with and without its end.
    let encoded = "eyJ2ZXJzaW9uIjoyLCJmcm9tIjoiMjAzLjAuMTEzLjciLCJzdGFydCI6MTc5NDQ0ODMyN30=";
    for data in [encoded, encoded.trim_end_matches('=')] {
        check_lines(format!("{{\"data\":\"{data}\"}}").as_bytes(), None, &[("test/flow", inner, "")]);
    }
    check_lines(format!("{{\"body\":{{\"text\":\"{FLOW}\"}},\"x\":1}}").as_bytes(), None, &[("test/flow", FLOW, "")]);
    let (line, other) = (format!("{{\"message\":\"{FLOW}\",\"n\":1}}"), "{\"message\":\"hello\"}");
    let list = format!("{{\"event\":[{line},{other}]}}");
    check_lines(list.as_bytes(), None, &[("test/flow", &line, ""), ("generic/json", other, "")]);
    let text = "{\"body\":{\"text\":\"a story\"}}";
    check_lines(text.as_bytes(), None, &[("generic/json", text, "")]);
}

#[test]
fn an_object_behind_a_time_is_the_record() {
    let record = "{\"version\":2,\"from\":\"203.0.113.7\",\"start\":1794448327}";
    let rows = [("test/flow", record, ""), ("test/flow", record, "")];
    check_lines(format!("2026-11-12T01:53:10.000Z {record}\n2026-11-12T01:53:10 stream/1 {record}\n").as_bytes(), None, &rows);
}

#[test]
fn a_named_log_type_reads_its_own_lines_alone() {
    check_lines(FLOW.as_bytes(), Some("test/flow"), &[("test/flow", FLOW, "")]);
    check_lines(FLOW.as_bytes(), Some("generic/json"), &[("generic/json", FLOW, "is no JSON")]);
}
