//! The lake against other engines: durable ingest, size, memory, and how soon an event is found.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use vigie_detect::{RuleSet, RuleSource};
use vigie_lake::Lake;
use vigie_model::{Ask, Cell, Delivery, Intake as _, LogType, Millis, QueryEngine as _, Question, Store as _, Tenant};
use vigie_pipeline::{Cadence, GenericPaths, IntakeParts, Lanes, PushIntake, Shaper};
use vigie_tests::reissue::Shapes;
use vigie_tests::{NoDocuments, columns};

use crate::rows::{cloudtrail, process};

/// Bytes of a delivery.
const DELIVERY_BYTES: usize = 1 << 20;
/// Deliveries on their way at once, as a few clients would have them.
const DELIVERIES_WAITING: usize = 8;
/// Events a second of the row that measures how soon an event is found.
const STEADY_EVENTS: u64 = 5_000;
/// How long that row runs, in seconds.
const STEADY_SECONDS: u64 = 90;

fn content(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../content").join(name)
}

/// The rules of the content.
fn rules() -> RuleSet {
    let mut sources = Vec::new();
    let mut waiting = vec![content("rules")];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|end| end == "yml") {
            sources.push(RuleSource { place: path.display().to_string(), text: std::fs::read_to_string(&path).unwrap() });
        }
    }
    let table = std::fs::read_to_string(content("schema/ocsf-1.8.0-classes.tsv")).unwrap();
    let class = |line: &str| {
        let (number, rest) = line.split_once('\t')?;
        Some((rest.split('\t').next()?.to_owned(), number.parse().ok()?))
    };
    let (set, errors) = RuleSet::parse(&sources, table.lines().filter_map(class).collect());
    assert!(errors.is_empty(), "{}", errors[0]);
    set
}

/// A shaper as the service has it.
pub fn shaper(rules: &RuleSet) -> Shaper {
    let columns = columns().unwrap();
    let lanes = Lanes::shaping(&[cloudtrail()], rules, &GenericPaths::default(), &columns);
    Shaper::new(Tenant::default(), lanes, columns)
}

/// Opens the lake of a folder to write.
pub fn open(folder: &Path) -> Lake {
    Lake::open(&folder.join("lake"), &Tenant::default(), columns().unwrap(), Arc::new(NoDocuments)).unwrap()
}

/// A delivery of lines.
pub fn delivery(body: Vec<u8>) -> Delivery {
    Delivery {
        tenant: Tenant::default(),
        log: Some(LogType("aws/cloudtrail".to_owned())),
        source: "http/aws/cloudtrail".to_owned(),
        number: None,
        body,
    }
}

/// The rows of an answer.
pub fn ask(lake: &Lake, sql: &str) -> Vec<Vec<Cell>> {
    let question = Question::new(Tenant::default(), Ask::Sql(sql.to_owned()));
    let mut rows = lake.ask(&question).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut all = Vec::new();
    while let Some(more) = rows.next().unwrap() {
        all.extend(more);
    }
    all
}

/// The Python that `scripts/setup bench` makes.
pub fn python() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/vigie-target"), PathBuf::from);
    target.join("python/bin/python")
}

/// Runs the peers' script; gives what it printed as JSON.
pub fn peers(arguments: &[&str]) -> serde_json::Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/peers.py");
    let done = Command::new(python()).arg(script).args(arguments).output().unwrap();
    let out = String::from_utf8_lossy(&done.stdout);
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("{arguments:?}: {out}{}", String::from_utf8_lossy(&done.stderr)))
}

/// CPU seconds of the threads of this process by name.
fn threads() -> BTreeMap<String, f64> {
    let ticks = 100.0;
    let mut seconds = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let spent: f64 = fields.get(11..13).unwrap_or_default().iter().filter_map(|field| field.parse::<f64>().ok()).sum();
        *seconds.entry(name.trim().to_owned()).or_default() += spent / ticks;
    }
    seconds
}

/// Megabytes that this process held at most.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}

/// Bytes of the files below a folder whose names end so.
fn bytes(folder: &Path, end: &str) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let data = entry.metadata().unwrap();
        if data.is_dir() {
            sum += bytes(&entry.path(), end);
        } else if entry.file_name().to_string_lossy().ends_with(end) {
            sum += data.len();
        }
    }
    sum
}

fn now() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_millis() as Millis
}

fn intake(folder: &Path, lake: &Arc<Lake>, rules: &RuleSet) -> PushIntake {
    let parts = IntakeParts {
        shaper: shaper(rules),
        store: Arc::clone(lake) as _,
        spool: folder.join("spool"),
        journal: folder.join("positions.redb"),
        cadence: Cadence::default(),
        clock: now,
        free_bytes: |_| None,
    };
    PushIntake::start(parts).unwrap()
}

/// One run of the whole intake over a file of lines.
struct Run {
    seconds: f64,
    wall: f64,
    by_thread: BTreeMap<String, f64>,
}

fn ingest(file: &Path, folder: &Path, rules: &RuleSet) -> Run {
    let lake = Arc::new(open(folder));
    let intake = intake(folder, &lake, rules);
    let (start, before, begun) = (process(), threads(), Instant::now());
    let mut lines = BufReader::with_capacity(DELIVERY_BYTES, File::open(file).unwrap());
    let (sender, answers) = channel();
    let (mut waiting, mut body) = (0, Vec::with_capacity(DELIVERY_BYTES + 65_536));
    loop {
        let is_over = lines.read_until(b'\n', &mut body).unwrap() == 0;
        if body.len() >= DELIVERY_BYTES || (is_over && !body.is_empty()) {
            let sender = sender.clone();
            let body = std::mem::replace(&mut body, Vec::with_capacity(DELIVERY_BYTES + 65_536));
            intake.deliver(delivery(body), Box::new(move |answer| sender.send(answer.unwrap().rejected).unwrap()));
            waiting += 1;
        }
        while waiting > if is_over { 0 } else { DELIVERIES_WAITING } {
            assert_eq!(answers.recv().unwrap(), 0, "every record is read");
            waiting -= 1;
        }
        if is_over {
            break;
        }
    }
    intake.hurry();
    while intake.state().waiting > 0 {
        std::thread::yield_now();
    }
    let (seconds, wall) = ((process() - start).as_secs_f64(), begun.elapsed().as_secs_f64());
    let of_run = |(name, spent): (String, f64)| (spent - before.get(&name).copied().unwrap_or(0.0), name);
    let by_thread = threads().into_iter().map(of_run).map(|(spent, name)| (name, (spent * 100.0).round() / 100.0)).collect();
    Run { seconds, wall, by_thread }
}

/// Durable ingest against DuckDB: CPU seconds of the whole process.
pub fn durable(corpus: &Path, count: u64) {
    let folder = tempfile::tempdir_in(std::env::var_os("VIGIE_BENCH_DIR").unwrap_or_else(|| "/var/tmp".into())).unwrap();
    let file = folder.path().join("events.ndjson");
    let shapes = Shapes::load(corpus).unwrap();
    let mut out = BufWriter::new(File::create(&file).unwrap());
    (0..count).for_each(|number| writeln!(out, "{}", shapes.record(number, count, 1)).unwrap());
    out.flush().unwrap();
    drop((out, shapes));
    let raw = std::fs::metadata(&file).unwrap().len();
    let peer = peers(&["load", file.to_str().unwrap(), folder.path().join("peer.parquet").to_str().unwrap()]);
    let seconds = |key: &str| peer[key].as_f64().unwrap();
    let none = RuleSet::parse(&[], BTreeMap::new()).0;
    let plain = ingest(&file, &folder.path().join("plain"), &none);
    let table = folder.path().join("plain/lake/main/events");
    let (data, index) = (bytes(&table, ".parquet"), bytes(&table, ".needle"));
    let row = |name: &str, run: &Run| {
        let rate = |seconds: f64| count as f64 / seconds;
        println!(
            "{name:<58} {:>12.0} {:>12.0} {:>6.2}x",
            rate(seconds("json")),
            rate(run.seconds),
            seconds("json") / run.seconds
        );
        println!("    wall {:.1} s for {:.1} CPU-s; by thread: {:?}", run.wall, run.seconds, run.by_thread);
    };
    row("durable ingest, peer DuckDB read_json to Parquet", &plain);
    println!("    DuckDB with the same columns and the record as text: {:.0} events/s", count as f64 / seconds("columns"));
    println!("    bytes: raw {raw}, DuckDB {}, ours {data} + index {index}", peer["bytes"]);
    let start = process();
    let lake = open(&folder.path().join("plain"));
    let merged = lake.compact_all().unwrap();
    let spent = (process() - start).as_secs_f64();
    println!("    compaction: {merged:?} in {spent:.1} CPU-s, {:.0} events/s", count as f64 / spent);
    drop(lake);
    let observed = ingest(&file, &folder.path().join("rules"), &rules());
    row("the same with our rules observed", &observed);
    println!("{:<58} {:>31.1} MB {:>7}", "peak memory of ingest and compaction", peak(), "1000 MB");
}

/// Bytes of the lake after compaction, and whole queries over it within the memory.
pub fn size(corpus: &Path, count: u64) {
    let folder = tempfile::tempdir_in(std::env::var_os("VIGIE_BENCH_DIR").unwrap_or_else(|| "/var/tmp".into())).unwrap();
    let (lake, raw) = fill(corpus, folder.path(), count, 90);
    let table = folder.path().join("lake/main/events");
    let (data, index) = (bytes(&table, ".parquet"), bytes(&table, ".needle"));
    let share = (data + index) as f64 / raw as f64 * 100.0;
    println!("{:<58} {share:>31.1} % {:>7}", format!("{count} events, one file a day: bytes of raw"), "22 %");
    println!("    raw {raw}, Parquet {data}, index {index}, peak memory {:.0} MB", peak());
    drop(lake);
}

/// A lake with one file a day, each day one commit; the bytes of its records.
pub fn fill(corpus: &Path, folder: &Path, count: u64, days: u64) -> (Lake, u64) {
    let lake = open(folder);
    let shaper = shaper(&RuleSet::parse(&[], BTreeMap::new()).0);
    let shapes = Shapes::load(corpus).unwrap();
    let mut raw = 0;
    for day in 0..days {
        let numbers = (count * day).div_ceil(days)..(count * (day + 1)).div_ceil(days);
        let body: Vec<u8> = numbers.flat_map(|number| (shapes.record(number, count, days) + "\n").into_bytes()).collect();
        raw += body.len() as u64;
        let (batch, receipt) = shaper.shape(delivery(body), day, now()).unwrap();
        assert_eq!(receipt.rejected, 0);
        lake.commit(&[batch], &vigie_model::LaneMark { lane: "main/push/0".to_owned(), number: day as i64 + 1 }).unwrap();
    }
    // A few shapes of the corpus keep a time of their own.
    assert!(lake.size().files >= days, "one file a day");
    (lake, raw)
}

/// How soon an accepted event is found, at a steady rate, compaction included.
pub fn arrival(corpus: &Path) {
    let folder = tempfile::tempdir_in(std::env::var_os("VIGIE_BENCH_DIR").unwrap_or_else(|| "/var/tmp".into())).unwrap();
    let lake = Arc::new(open(folder.path()));
    let none = RuleSet::parse(&[], BTreeMap::new()).0;
    let intake = intake(folder.path(), &lake, &none);
    let shapes = Shapes::load(corpus).unwrap();
    let (count, each) = (STEADY_EVENTS * STEADY_SECONDS, STEADY_EVENTS / 20);
    let (sender, accepted) = channel::<(u64, Instant)>();
    let (stop, stopped) = channel::<()>();
    let delays = std::thread::scope(|scope| {
        let keeper = Arc::clone(&lake);
        scope.spawn(move || {
            while stopped.recv_timeout(Duration::from_secs(15)) == Err(RecvTimeoutError::Timeout) {
                keeper.compact(now()).unwrap();
            }
        });
        let watcher = Arc::clone(&lake);
        let watching = scope.spawn(move || {
            let (mut delays, mut waiting, mut seen) = (Vec::new(), std::collections::VecDeque::new(), 0);
            while seen < count {
                waiting.extend(accepted.try_iter());
                let found = ask(&watcher, "select count(*) from events");
                let Cell::Integer(found) = found[0][0] else { panic!("a count") };
                seen = found as u64;
                while let Some((_, at)) = waiting.front().filter(|(until, _)| *until <= seen) {
                    delays.push(at.elapsed().as_secs_f64());
                    waiting.pop_front();
                }
                std::thread::park_timeout(Duration::from_millis(50));
            }
            delays
        });
        let begun = Instant::now();
        for number in 0..count / each {
            let numbers = number * each..(number + 1) * each;
            let body = numbers.flat_map(|number| (shapes.record(number, count, 1) + "\n").into_bytes()).collect();
            let sender = sender.clone();
            let until = (number + 1) * each;
            intake.deliver(
                delivery(body),
                Box::new(move |answer| {
                    assert_eq!(answer.unwrap().rejected, 0);
                    sender.send((until, Instant::now())).unwrap();
                }),
            );
            let next = begun + Duration::from_millis(50) * (number as u32 + 1);
            while let Some(rest) = next.checked_duration_since(Instant::now()) {
                std::thread::park_timeout(rest);
            }
        }
        let delays = watching.join().unwrap();
        drop(stop);
        delays
    });
    let mut delays = delays;
    delays.sort_by(f64::total_cmp);
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize];
    println!("{:<58} {:>31.2} s {:>7}", format!("{STEADY_EVENTS} events/s: p95 from accepted to found"), at(0.95), "10 s");
    println!("    median {:.2} s, most {:.2} s, {} deliveries, peak memory {:.0} MB", at(0.5), at(1.0), delays.len(), peak());
}
