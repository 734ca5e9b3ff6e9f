//! A list of promoted columns that changes under a table: every row stays, and every question finds what it
//! should, with the index and without it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use vigie_lake::Lake;
use vigie_model::{
    Ask, Cell, Column, ColumnKind, ColumnValues, EventBatch, EventId, LaneMark, QueryEngine as _, Question, Store as _, Tenant,
    parse_rfc3339,
};
use vigie_tests::service::{Service, deliver, record};
use vigie_tests::{NoDocuments, columns, vigie};

use crate::readers::{Reader, ours};

const COLUMNS: &str = "schema/columns.toml";
/// Columns that the older list lacks.
const ADDED: [&str; 2] = ["actor_session_is_mfa", "src_endpoint_ip"];
/// A column that the older list has alone.
const DROPPED: &str = "note";
/// Events that were stored by the older list.
const OLDER: u64 = 3000;

/// The list of columns of an older vigie: it lacks two, has another, and names of users are no entities.
fn older() -> Vec<Column> {
    let mut older: Vec<Column> = columns().unwrap().into_iter().filter(|column| !ADDED.contains(&column.name.as_str())).collect();
    older.iter_mut().filter(|column| column.name == "actor_user_name").for_each(|column| column.index = None);
    let (name, path) = (DROPPED.to_owned(), "vigie:note".to_owned());
    older.push(Column { name, path, kind: ColumnKind::Text, index: Some("bloom".to_owned()), since: 1 });
    older
}

/// The id of the event of [`record`] with this number.
fn id(number: u64) -> EventId {
    let midnight = u64::try_from(parse_rfc3339("2026-11-20T00:00:00Z").unwrap()).unwrap();
    EventId(u128::from(midnight + number * 1000) << 80 | u128::from(number))
}

/// Columns as a mapping would make them from the records of a batch.
fn shape(columns: &[Column], batch: &mut EventBatch) {
    batch.columns = columns.iter().map(|column| ColumnValues::new(column.kind)).collect();
    for (row, id) in batch.ids.iter().enumerate() {
        let record: Value = serde_json::from_slice(batch.raw.get(row).unwrap()).unwrap();
        for (column, values) in columns.iter().zip(&mut batch.columns) {
            let path = match column.name.as_str() {
                "actor_user_name" => "/userIdentity/userName",
                "src_endpoint_ip" => "/sourceIPAddress",
                "api_operation" => "/eventName",
                "metadata_uid" => "/eventID",
                DROPPED => "/requestID",
                _ => "/nothing",
            };
            match values {
                ColumnValues::Integer(values) => values.push(match column.name.as_str() {
                    "time" => Some(id.occurred()),
                    "class_uid" => Some(6003),
                    _ => None,
                }),
                ColumnValues::Boolean(values) => values.push(Some(id.0.is_multiple_of(2))),
                ColumnValues::Text(values) => values.push(record.pointer(path).and_then(Value::as_str).map(str::as_bytes)),
            }
        }
    }
}

fn events(columns: &[Column], numbers: Range<u64>) -> EventBatch {
    let mut batch = EventBatch::new(columns);
    for number in numbers {
        batch.ids.push(id(number));
        batch.delivered.push(None);
        batch.ingested.push(id(number).occurred());
        batch.is_named.push(true);
        batch.logs.push(Some("aws/cloudtrail".as_bytes()));
        batch.sources.push(Some("test".as_bytes()));
        batch.mappings.push(Some("1".as_bytes()));
        batch.enrichments.push(None);
        batch.reasons.push(None);
        batch.raw.push(Some(record(number).as_bytes()));
        batch.raw_binary.push(None);
    }
    shape(columns, &mut batch);
    batch
}

fn write(folder: &Path, columns: &[Column]) -> Lake {
    Lake::open(folder, &Tenant::default(), columns.to_vec(), Arc::new(NoDocuments)).unwrap()
}

fn read(folder: &Path, columns: &[Column]) -> Lake {
    Lake::read(folder, &Tenant::default(), columns.to_vec(), Arc::new(NoDocuments)).unwrap()
}

/// Commits events; how many were stored, and how many were there.
fn commit(lake: &Lake, columns: &[Column], numbers: Range<u64>, batch: i64) -> (u64, u64) {
    let mark = LaneMark { lane: "main/push/0".to_owned(), number: batch };
    let done = lake.commit(&[events(columns, numbers)], &mark).unwrap();
    (done.stored, done.duplicates)
}

/// The numbers of the events that an answer has.
fn numbers(lake: &Lake, ask: &Ask) -> BTreeSet<u64> {
    let question = Question::new(Tenant::default(), ask.clone());
    let mut answer = lake.ask(&question).unwrap_or_else(|error| panic!("{ask:?}: {error}"));
    let at = answer.columns().iter().position(|column| column == "event_id").unwrap();
    let mut found = BTreeSet::new();
    while let Some(rows) = answer.next().unwrap() {
        for row in rows {
            let Cell::Text(text) = &row[at] else { panic!("{:?}", row[at]) };
            let id = u128::from_str_radix(text, 16).unwrap();
            assert!(found.insert(u64::try_from(id % (1 << 80)).unwrap()), "{ask:?} gives {text} twice");
        }
    }
    found
}

/// A row as the test knows it.
#[derive(Debug, Clone, Copy)]
struct Row {
    number: u64,
    /// Whether the columns that were added have values.
    is_filled: bool,
    /// Whether the column that only the older list has does.
    is_noted: bool,
}

impl Row {
    fn address(self) -> Option<u64> {
        self.is_filled.then_some(self.number % 200 + 1)
    }

    fn user(self) -> u64 {
        self.number % 613
    }
}

/// A condition in SQL or in the filter bar's language, and the same in Rust.
type Case = (&'static str, fn(Row) -> bool);
/// Which numbers of events there are.
type IsOf = fn(u64) -> bool;

/// Conditions of SQL, and which rows they are true of, by the newer list of columns.
const CONDITIONS: &[Case] = &[
    ("true", |_| true),
    ("src_endpoint_ip = '192.0.2.7'", |row| row.address() == Some(7)),
    ("src_endpoint_ip <> '192.0.2.7'", |row| row.address().is_some_and(|address| address != 7)),
    ("src_endpoint_ip in ('192.0.2.7', '192.0.2.9')", |row| matches!(row.address(), Some(7 | 9))),
    ("src_endpoint_ip like '192.0.2.1_'", |row| row.address().is_some_and(|address| (10..20).contains(&address))),
    ("src_endpoint_ip is null", |row| row.address().is_none()),
    ("coalesce(src_endpoint_ip, 'none') = 'none'", |row| row.address().is_none()),
    ("src_endpoint_ip = '192.0.2.7' or actor_user_name = 'team-3'", |row| row.address() == Some(7) || row.user() == 3),
    ("src_endpoint_ip = '192.0.2.4' and actor_user_name = 'team-3'", |row| row.address() == Some(4) && row.user() == 3),
    ("actor_user_name = 'team-3'", |row| row.user() == 3),
    ("actor_user_name like 'team-3'", |row| row.user() == 3),
    ("actor_user_name = 'nobody'", |_| false),
    ("actor_session_is_mfa", |row| row.is_filled && row.number.is_multiple_of(2)),
    ("not actor_session_is_mfa", |row| row.is_filled && !row.number.is_multiple_of(2)),
];

/// Filters of the bar, and which rows they are true of.
const FILTERS: &[Case] = &[
    ("ip:192.0.2.7", |row| row.address() == Some(7)),
    ("not ip:192.0.2.7", |row| row.address() != Some(7)),
    ("ip:192.0.2.1?", |row| row.address().is_some_and(|address| (10..20).contains(&address))),
    ("ip:192.0.2.0/28", |row| row.address().is_some_and(|address| address < 16)),
    ("ip:*", |row| row.address().is_some()),
    ("GetObject ip:192.0.2.7", |row| row.address() == Some(7)),
    ("user:TEAM-3", |row| row.user() == 3),
    ("user:team-3 or ip:192.0.2.7", |row| row.user() == 3 || row.address() == Some(7)),
    ("user:team-3 -ip:192.0.2.4", |row| row.user() == 3 && row.address() != Some(4)),
    ("\"192.0.2.7\"", |row| row.number % 200 == 6),
];

/// The same by the older list.
const OLDER_CONDITIONS: &[Case] = &[
    ("true", |_| true),
    ("actor_user_name = 'team-3'", |row| row.user() == 3),
    ("note = 'R0000000007'", |row| row.is_noted && row.number == 7),
    ("note is not null", |row| row.is_noted),
    ("note is null and actor_user_name = 'team-3'", |row| !row.is_noted && row.user() == 3),
];

/// Every question finds its rows, with the index and without it.
fn check(folder: &Path, rows: &[Row], what: &str) {
    let sql = |text: &str| Ask::Sql(format!("select event_id from events where {text}"));
    let bar = |text: &str| Ask::Search { filter: text.to_owned(), limit: 1_000_000 };
    let newer = CONDITIONS.iter().map(|(text, is_match)| (sql(text), *is_match));
    let newer: Vec<_> = newer.chain(FILTERS.iter().map(|(text, is_match)| (bar(text), *is_match))).collect();
    let older_asked: Vec<_> = OLDER_CONDITIONS.iter().map(|(text, is_match)| (sql(text), *is_match)).collect();
    for (list, questions) in [(columns().unwrap(), newer), (older(), older_asked)] {
        let (lake, plain) = (read(folder, &list), read(folder, &list).without_index());
        for (ask, is_match) in questions {
            let wanted: BTreeSet<u64> = rows.iter().filter(|row| is_match(**row)).map(|row| row.number).collect();
            assert!(numbers(&lake, &ask) == wanted, "{what}: {ask:?}");
            assert!(numbers(&plain, &ask) == wanted, "{what}: {ask:?} without the index");
        }
    }
    let hidden = Question::new(Tenant::default(), sql("src_endpoint_ip is null"));
    assert!(read(folder, &older()).ask(&hidden).is_err(), "{what}: a reader sees its own columns");
}

#[test]
fn done_lake_schema_evolution_keeps_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let (old, new) = (older(), columns().unwrap());
    let rows = |count: u64, is_filled: fn(u64) -> bool, is_noted: fn(u64) -> bool| {
        let row = |number| Row { number, is_filled: is_filled(number), is_noted: is_noted(number) };
        (0..count).map(row).collect::<Vec<Row>>()
    };
    let (is_older, is_newer): (IsOf, IsOf) = (|number| number < OLDER, |number| number >= OLDER);

    let writer = write(&lake, &old);
    assert_eq!(commit(&writer, &old, 0..OLDER / 2, 1), (OLDER / 2, 0));
    assert_eq!(commit(&writer, &old, OLDER / 2..OLDER, 2), (OLDER / 2, 0));
    drop(writer);
    check(&lake, &rows(OLDER, is_newer, is_older), "readers of both lists on the older table");

    let before = read(&lake, &new).size();
    let writer = write(&lake, &new);
    assert_eq!(writer.size().version, before.version + 1, "one commit adds the columns");
    assert_eq!(writer.unlisted_columns(), [DROPPED]);
    check(&lake, &rows(OLDER, is_newer, is_older), "columns without values");
    assert_eq!(commit(&writer, &new, OLDER..4500, 3), (1500, 0));
    assert_eq!(commit(&writer, &new, 4500..6000, 4), (1500, 0));
    assert_eq!(commit(&writer, &new, 0..OLDER / 2, 5), (0, OLDER / 2), "older events are known");
    let now = writer.size();
    drop(writer);
    assert_eq!(write(&lake, &new).size(), now, "the next start changes nothing");
    check(&lake, &rows(6000, is_newer, is_older), "older and newer files");

    // By a list that lacks the new columns: what the merged file's index does not know excludes nothing.
    let writer = write(&lake, &old);
    assert_eq!(writer.unlisted_columns(), ADDED);
    let merged = writer.compact_all().unwrap();
    assert_eq!((merged.files_before, merged.files_after), (4, 1));
    drop(writer);
    check(&lake, &rows(6000, is_newer, is_older), "merged by the older list");

    let writer = write(&lake, &new);
    assert_eq!(commit(&writer, &new, 6000..6100, 6), (100, 0));
    assert_eq!(writer.compact_all().unwrap().files_before, 2);
    check(&lake, &rows(6100, is_newer, is_older), "merged by the newer list");

    let rebuilt = writer.rebuild(&mut |stored| {
        let mut made = stored.clone();
        shape(&new, &mut made);
        made
    });
    assert_eq!(rebuilt.map(|done| done.events), Ok(6100));
    check(&lake, &rows(6100, |_| true, |_| false), "rebuilt");
    println!("6100 events by two lists of columns: the same rows with and without the index, in all files");
}

#[test]
fn a_column_of_another_type_is_refused_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let new = columns().unwrap();
    let writer = write(&lake, &new);
    assert_eq!(commit(&writer, &new, 0..10, 1), (10, 0));
    let before = writer.size();
    drop(writer);
    let changed = |change: fn(&mut Column)| {
        let mut changed = new.clone();
        changed.iter_mut().filter(|column| column.name == "severity_id").for_each(change);
        changed
    };
    for (list, parts) in [
        (changed(|column| column.kind = ColumnKind::Text), ["`severity_id`", "`integer`", "`text`", "`vigie lake rebuild`"]),
        (changed(|column| column.name = "Severity_id".to_owned()), ["`Severity_id`", "`severity_id`", "case", "write"]),
        (changed(|column| column.name = "raw".to_owned()), ["`raw`", "two columns", COLUMNS, "another name"]),
    ] {
        let opened = Lake::open(&lake, &Tenant::default(), list.clone(), Arc::new(NoDocuments));
        let read = Lake::read(&lake, &Tenant::default(), list, Arc::new(NoDocuments));
        for why in [opened.err().unwrap(), read.err().unwrap()] {
            assert!(parts.iter().all(|part| why.contains(part)), "{why}");
        }
    }
    assert_eq!(write(&lake, &new).size(), before);
}

fn count(data: &Path) -> Vec<i128> {
    ours(data, "select count(*), count(user_agent), count(src_endpoint_ip), sum(length(raw)) from events")
}

fn rebuild(data: &Path, more: &[&str]) -> String {
    let ran = vigie(&[&["lake", "rebuild", "--data", data.to_str().unwrap()][..], more].concat()).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out
}

#[test]
fn a_newer_list_goes_on_with_an_older_table_and_a_rebuild_fills_it() {
    let folder = tempfile::tempdir().unwrap();
    let (data, content) = (folder.path().join("data"), folder.path().join("content"));
    let list = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../content").join(COLUMNS)).unwrap();
    let is_kept = |line: &&str| !line.contains("\"user_agent\"") && !line.contains("\"src_endpoint_ip\"");
    let fewer: String = list.lines().filter(is_kept).map(|line| line.to_owned() + "\n").collect();
    std::fs::create_dir_all(content.join(COLUMNS).parent().unwrap()).unwrap();
    std::fs::write(content.join(COLUMNS), fewer).unwrap();
    let content = content.to_str().unwrap();
    let body = |numbers: Range<u64>| numbers.map(|number| record(number) + "\n").collect::<String>();

    let service = Service::start(&data, &["--commit-seconds", "0.05", "--content", content]).unwrap();
    let token = service.token.clone().unwrap();
    assert_eq!(deliver(service.address, &token, "/api/v1/ingest", body(0..300).as_bytes()).unwrap().0, 200);
    assert!(service.stop());
    let service = Service::start(&data, &["--commit-seconds", "0.05"]).unwrap();
    assert_eq!(deliver(service.address, &token, "/api/v1/ingest", body(200..500).as_bytes()).unwrap().0, 200);
    assert!(service.stop());

    let counts = count(&data);
    assert_eq!(counts[..3], [500, 200, 200], "older events have no values in new columns");
    let of_one = "select count(*) from events where src_endpoint_ip = '192.0.2.7'";
    assert_eq!(ours(&data, of_one), [1], "406 alone: 6 and 206 are older");
    for engine in ["duckdb", "clickhouse"] {
        let mut reader = Reader::new(engine, &data.join("lake/main/events"));
        let sql = "select count(*), count(user_agent), count(src_endpoint_ip), sum(length(raw)) from events";
        assert_eq!(reader.ask(sql), counts, "{engine}");
        assert_eq!(reader.ask(of_one), [1], "{engine}");
        reader.end();
    }
    let ids = "select event_id from events order by event_id";
    let rows = |sql: &str| vigie(&["sql", sql, "--data", data.to_str().unwrap(), "-o", "csv"]).unwrap().out;
    let before = rows(ids);
    assert_eq!(before.lines().count(), 501);

    let said = rebuild(&data, &[]);
    assert!(said.starts_with("500 events") && !said.contains("does not name"), "{said}");
    assert_eq!(count(&data)[..3], [500, 500, 500], "older events have values too");
    assert_eq!(ours(&data, of_one), [3]);
    assert!(rows(ids) == before, "ids stay");

    let said = rebuild(&data, &["--content", content]);
    assert!(said.contains("`src_endpoint_ip`, `user_agent`") && said.contains("--content DIR"), "{said}");
    assert_eq!(count(&data)[..3], [500, 0, 0], "a rebuild makes what its content names");
    rebuild(&data, &[]);
    assert_eq!(count(&data)[1..3], [500, 500]);
    let (backup, restored) = (folder.path().join("backup"), folder.path().join("restored"));
    for arguments in [
        ["backup", backup.to_str().unwrap(), "--data", data.to_str().unwrap()],
        ["restore", backup.to_str().unwrap(), "--data", restored.to_str().unwrap()],
    ] {
        let ran = vigie(&arguments).unwrap();
        assert_eq!(ran.code, 0, "{}", ran.err);
    }
    assert_eq!(count(&restored), count(&data), "a restored table has the columns");
}
