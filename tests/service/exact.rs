//! A search finds exactly what a full scan finds, whatever the index excludes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use vigie_lake::Lake;
use vigie_model::{Ask, Cell, QueryEngine as _, Question, RowPlace, Tenant};
use vigie_tests::chance::Chance;
use vigie_tests::service::{Service, deliver};
use vigie_tests::{NoDocuments, columns, vigie};

/// Questions before compaction, and again after it.
const QUESTIONS: usize = 5000;
/// Of so many questions one is asked without the index too.
const UNINDEXED_STEP: usize = 25;
/// Microseconds of an hour.
const HOUR_US: i64 = 3_600_000_000;

fn open(data: &Path) -> Lake {
    Lake::read(&data.join("lake"), &Tenant::default(), columns().unwrap(), Arc::new(NoDocuments)).unwrap()
}

fn rows(lake: &Lake, ask: Ask) -> Vec<Vec<Cell>> {
    answer(lake, &Question::new(Tenant::default(), ask)).1
}

fn answer(lake: &Lake, question: &Question) -> (Vec<String>, Vec<Vec<Cell>>) {
    let mut answer = lake.ask(question).unwrap_or_else(|error| panic!("{question:?}: {error}"));
    let mut all = Vec::new();
    while let Some(more) = answer.next().unwrap() {
        all.extend(more);
    }
    (answer.columns().to_vec(), all)
}

/// Where each row of a search stands.
fn places(lake: &Lake, question: &Question) -> Vec<RowPlace> {
    let (columns, rows) = answer(lake, question);
    let at = |name: &str| columns.iter().position(|column| column == name).unwrap();
    let (time, id) = (at("time"), at("event_id"));
    let place = |row: &Vec<Cell>| match &row[time] {
        Cell::Time(time_us) => RowPlace { time_us: *time_us, event_id: text(&row[id]) },
        other => panic!("{other:?}"),
    };
    rows.iter().map(place).collect()
}

/// Pages of a search one behind the other are the whole search, and its extent fits.
fn check_pages(lake: &Lake, filter: &str) {
    let search = |limit| Question::new(Tenant::default(), Ask::Search { filter: filter.to_owned(), limit });
    let whole = places(lake, &search(1_000_000));
    let mut paged: Vec<RowPlace> = Vec::new();
    loop {
        let page = places(lake, &Question { before: paged.last().cloned(), ..search(97) });
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert!(whole == paged, "{filter}: {} rows, {} by pages", whole.len(), paged.len());
    let extent = rows(lake, Ask::Extent { filter: filter.to_owned() });
    let end = |place: Option<&RowPlace>| place.map_or(Cell::Null, |place| Cell::Time(place.time_us));
    let count = Cell::Integer(i64::try_from(whole.len()).unwrap());
    assert_eq!(extent, [vec![end(whole.last()), end(whole.first()), count]], "{filter}");
}

/// Events by hour, as SQL counts them, are the events counted one by one.
fn check_hours(lake: &Lake) {
    let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
    for row in rows(lake, Ask::Sql("select time from events".to_owned())) {
        match row[0] {
            Cell::Time(time) => *counts.entry(time - time.rem_euclid(HOUR_US)).or_default() += 1,
            _ => panic!("{row:?}"),
        }
    }
    let wanted: Vec<Vec<Cell>> = counts.into_iter().map(|(hour, count)| vec![Cell::Time(hour), Cell::Integer(count)]).collect();
    assert!(wanted.len() > 1, "{wanted:?}");
    let sql = "select date_trunc('hour', time) as hour, count(*) as events from events group by hour order by hour";
    assert_eq!(rows(lake, Ask::Sql(sql.to_owned())), wanted);
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        _ => String::new(),
    }
}

/// The demo's logs in a data folder, by two services, one after the other: each day is in a commit of both.
fn fill(folder: &Path, data: &Path) {
    let logs = folder.join("logs");
    let ran = vigie(&["demo", "--write", logs.to_str().unwrap(), "--events", "3000"]).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.err);
    let mut bodies = Vec::new();
    let mut waiting = vec![logs];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.to_string_lossy().ends_with(".json.gz") && !path.to_string_lossy().contains("Digest") {
            let mut plain = Vec::new();
            let read = flate2::read::MultiGzDecoder::new(std::fs::File::open(&path).unwrap()).read_to_end(&mut plain);
            if read.is_ok() {
                bodies.push(plain);
            }
        }
    }
    let mut token = None;
    for first in [0, 1] {
        let service = Service::start(data, &["--commit-seconds", "0.3"]).unwrap();
        let token = token.get_or_insert_with(|| service.token.clone().unwrap());
        for body in bodies.iter().skip(first).step_by(2) {
            assert_eq!(deliver(service.address, token, "/api/v1/ingest", body).unwrap().0, 200);
        }
        assert!(service.stop());
    }
}

/// One event as the full scan sees it.
struct Event {
    id: String,
    raw: String,
    folded: String,
    user: String,
    address: String,
    operation: String,
    resource: String,
    /// Columns without a value.
    empty: Vec<&'static str>,
}

impl Event {
    fn has(&self, column: &str) -> bool {
        !self.empty.contains(&column)
    }
}

fn scan(lake: &Lake) -> Vec<Event> {
    let sql = "select event_id, raw, actor_user_name, src_endpoint_ip, api_operation, resource_uid from events order by event_id";
    let event = |row: &Vec<Cell>| Event {
        id: text(&row[0]),
        raw: text(&row[1]),
        folded: text(&row[1]).to_ascii_lowercase(),
        user: text(&row[2]),
        address: text(&row[3]),
        operation: text(&row[4]),
        resource: text(&row[5]),
        empty: [("src_endpoint_ip", 3), ("resource_uid", 5)]
            .into_iter()
            .filter(|(_, at)| row[*at] == Cell::Null)
            .map(|(name, _)| name)
            .collect(),
    };
    rows(lake, Ask::Sql(sql.to_owned())).iter().map(event).collect()
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

/// Whether a word stands whole in a text: tried at every place.
fn has_word(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    let inside = |at: usize| at > 0 && at < text.len() && is_word_byte(text[at - 1]) && is_word_byte(text[at]);
    (0..=text.len().saturating_sub(word.len())).any(|at| text[at..].starts_with(word) && !inside(at) && !inside(at + word.len()))
}

/// A question: how it is written, and what a full scan says of an event.
type Check = (Ask, String, Box<dyn Fn(&Event) -> bool>);

fn facet(filter: String) -> Ask {
    Ask::Facet { filter, column: "metadata_uid".to_owned(), limit: 1_000_000 }
}

fn piece(event: &Event, chance: &mut Chance, length: usize) -> String {
    let bytes = event.raw.as_bytes();
    let start = chance.place(bytes.len().saturating_sub(length));
    String::from_utf8_lossy(&bytes[start..(start + length).min(bytes.len())]).into_owned()
}

/// Asks for a part of an entity's value, at its end, at its beginning or inside.
fn entity(event: &Event, length: usize, chance: &mut Chance) -> Check {
    let value = if length.is_multiple_of(2) { &event.resource } else { &event.address };
    let (from, until) = (chance.place(value.len().max(1)), chance.place(value.len() + 1));
    let part = value.get(from.min(until)..from.max(until)).unwrap_or_default().to_owned();
    let place = if length.is_multiple_of(2) { "resource_uid" } else { "src_endpoint_ip" };
    let pattern = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_").replace('\'', "''");
    let (head, tail) = (["%", ""][chance.place(2)], ["%", ""][chance.place(2)]);
    let sql = format!("select metadata_uid, 1 from events where {place} like '{head}{pattern}{tail}'");
    let (is_begun, is_ended, wanted) = (head.is_empty(), tail.is_empty(), part.clone());
    let check = move |event: &Event| {
        let value = if place == "resource_uid" { &event.resource } else { &event.address };
        let is_there = match (is_begun, is_ended) {
            (true, true) => *value == wanted,
            (true, false) => value.starts_with(&wanted),
            (false, true) => value.ends_with(&wanted),
            (false, false) => value.contains(&wanted),
        };
        event.has(place) && is_there
    };
    (Ask::Sql(sql), part, Box::new(check))
}

fn question(events: &[Event], chance: &mut Chance) -> Check {
    let event = &events[chance.place(events.len())];
    let length = 3 + chance.place(30);
    let part = piece(event, chance, length);
    let quoted = part.replace('\\', "\\\\").replace('"', "\\\"");
    let tokens: Vec<&str> =
        event.raw.split(|c: char| !c.is_ascii() || !is_word_byte(c as u8)).filter(|token| token.len() > 2).collect();
    let token = tokens[chance.place(tokens.len())].to_owned();
    let mut flip = |text: String| if chance.place(4) == 0 { text.to_ascii_uppercase() } else { text };
    match length % 9 {
        0 => {
            let pattern = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_").replace('\'', "''");
            let sql = format!("select metadata_uid, 1 from events where raw like '%{pattern}%'");
            (Ask::Sql(sql), part.clone(), Box::new(move |event| event.raw.contains(&part)))
        }
        1 => {
            let part: String = part.chars().filter(|c| !c.is_whitespace() && !"()*?\\\"".contains(*c)).collect();
            let part = if part.is_empty() { "team".to_owned() } else { part };
            let folded = part.to_ascii_lowercase();
            (facet(flip(format!("*{part}*"))), part, Box::new(move |event| event.folded.contains(&folded)))
        }
        2 => {
            let word = part.to_ascii_lowercase();
            (facet(flip(format!("\"{quoted}\""))), part, Box::new(move |event| has_word(&event.folded, &word)))
        }
        3 => {
            let word = token.to_ascii_lowercase();
            (facet(flip(format!("\"{token}\""))), token, Box::new(move |event| has_word(&event.folded, &word)))
        }
        4 => {
            // A token cut short: found as a part, not as a word.
            let cut = token.get(1..).unwrap_or_default().to_owned();
            let folded = cut.to_ascii_lowercase();
            (facet(format!("*{cut}*")), cut, Box::new(move |event| event.folded.contains(&folded)))
        }
        6 | 7 => entity(event, length, chance),
        5 => {
            let (user, address) = (event.user.clone(), event.address.clone());
            let filter = format!("user:\"{user}\" or ip:\"{address}\"");
            let same = |left: &str, right: &str| !left.is_empty() && left.eq_ignore_ascii_case(right);
            (facet(filter), user.clone(), Box::new(move |event| same(&event.user, &user) || same(&event.address, &address)))
        }
        _ => {
            let (operation, word) = (event.operation.clone(), token.to_ascii_lowercase());
            let filter = format!("operation:\"{operation}\" and not \"{token}\"");
            let check = move |event: &Event| event.operation.eq_ignore_ascii_case(&operation) && !has_word(&event.folded, &word);
            (facet(filter), token, Box::new(check))
        }
    }
}

fn found(lake: &Lake, ask: Ask) -> BTreeSet<String> {
    rows(lake, ask).iter().map(|row| text(&row[0])).collect()
}

fn compare(data: &Path, chance: &mut Chance) -> (usize, usize) {
    let (lake, plain) = (open(data), open(data).without_index());
    let events = scan(&lake);
    let uid =
        |event: &Event| serde_json::from_str::<serde_json::Value>(&event.raw).unwrap()["eventID"].as_str().unwrap().to_owned();
    let uids: Vec<String> = events.iter().map(uid).collect();
    let mut hits = 0;
    for number in 0..QUESTIONS {
        let (ask, what, is_hit) = question(&events, chance);
        let wanted: BTreeSet<String> =
            events.iter().zip(&uids).filter(|(event, _)| is_hit(event)).map(|(_, uid)| uid.clone()).collect();
        hits += wanted.len();
        assert!(found(&lake, ask.clone()) == wanted, "{ask:?} for {what:?} finds other events than a full scan");
        if number % UNINDEXED_STEP == 0 {
            assert!(found(&plain, ask.clone()) == wanted, "{ask:?} without the index");
        }
    }
    (events.len(), hits)
}

#[test]
fn done_lake_5_search_equals_a_full_scan() {
    let seed = std::env::var("VIGIE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0xE4AC_7001);
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fill(folder.path(), &data);
    let mut chance = Chance(seed);
    let files = open(&data).size().files;
    let (events, hits) = compare(&data, &mut chance);
    for filter in ["", "operation:GetObject", "user:nobody-of-this-name"] {
        check_pages(&open(&data), filter);
    }
    check_hours(&open(&data));
    let before: Vec<String> = scan(&open(&data)).into_iter().map(|event| event.id).collect();
    let ran = vigie(&["lake", "compact", "--data", data.to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.err);
    let compacted = open(&data).size().files;
    assert!(compacted < files, "{files} files became {compacted}");
    let after: Vec<String> = scan(&open(&data)).into_iter().map(|event| event.id).collect();
    assert!(before == after, "compaction changes no id");
    let (_, more) = compare(&data, &mut chance);
    println!(
        "{} questions over {events} events in {files} and then {compacted} files: the same {} hits as a full scan",
        2 * QUESTIONS,
        hits + more
    );
}

#[test]
fn a_far_time_has_its_hour_and_its_day() {
    let folder = tempfile::tempdir().unwrap();
    let far = 100_000_000_000_000_000;
    let sql = format!(
        "select date_trunc('hour', t), datetrunc('day', t) from \
         (select arrow_cast(n, 'Timestamp(Microsecond, Some(\"UTC\"))') as t from (values (-1), ({far}), (null)) as v (n)) \
         order by t"
    );
    let begins = |time: i64| [HOUR_US, 24 * HOUR_US].map(|length| Cell::Time(time - time.rem_euclid(length))).to_vec();
    let wanted = [begins(-1), begins(far), vec![Cell::Null, Cell::Null]];
    assert_eq!(rows(&open(folder.path()), Ask::Sql(sql)), wanted);
}
