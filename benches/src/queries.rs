//! Nine questions of an analyst, asked of the lake and of other engines on the same files.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use vigie_lake::Lake;
use vigie_model::Cell;
use vigie_tests::service::Service;

use crate::lake::{ask, fill, peers};
use crate::rows::{median, process};

/// Times that each question is asked after the first; the median counts.
const PASSES: usize = 5;

/// How a row begins.
const ROW_BEGINS: &[u8] = b"{\"event_id\"";

/// A question: its name, and how it is asked.
type Query = (&'static str, String);

/// The nine. `{events}` is the table; the words of the dialect stand in `peers.py`.
fn nine(lake: &Lake) -> Vec<Query> {
    let one = |sql: &str| match &ask(lake, sql)[0][0] {
        Cell::Text(text) => text.clone(),
        other => panic!("{other:?} is no text"),
    };
    let address = one(
        "select src_endpoint_ip from events where src_endpoint_ip like '11.%' group by 1 having count(*) between 1 and 14 order by count(*) desc, 1 limit 1",
    );
    let arn = one(
        "select actor_user_uid from events where actor_user_uid like 'arn:%' group by 1 having count(*) between 1 and 40 order by count(*) desc, 1 limit 1",
    );
    let whole = arn.rsplit(':').next().unwrap_or_default().replace('\'', "''");
    let user = one(
        "select actor_user_name from events where actor_user_name is not null group by 1 order by count(*) desc, 1 limit 1 offset 8",
    );
    let column = "time, api_operation, src_endpoint_ip, target, status_code";
    vec![
        ("needle address", format!("select {column} from {{events}} where src_endpoint_ip = '{address}'")),
        ("ARN substring", format!("select {column} from {{events}} where actor_user_uid like '%:{whole}'")),
        ("top-N", "select api_operation, count(*) as events from {events} group by api_operation order by events desc limit 10".to_owned()),
        (
            "count by hour and severity",
            "select {hour} as hour, severity_id, count(*) as events from {events} group by hour, severity_id order by hour, severity_id".to_owned(),
        ),
        (
            "distinct addresses by user",
            "select actor_user_name, count(distinct src_endpoint_ip) as addresses from {events} group by actor_user_name order by addresses desc limit 20".to_owned(),
        ),
        (
            "inventory join",
            "select i.actor_user_type, count(*) as events from {events} e join (select cloud_account_uid, actor_user_type, count(*) as seen from {events} where cloud_region = 'us-east-1' group by cloud_account_uid, actor_user_type) i on e.cloud_account_uid = i.cloud_account_uid where e.status_id = 2 group by i.actor_user_type order by events desc".to_owned(),
        ),
        ("timeline of a principal", format!("select {column}, raw from {{events}} where actor_user_name = '{user}' order by time")),
        ("raw substring, 7 days", format!("select count(*) as events from {{events}} where raw like '%:{whole}\"%' and time >= {{at}} and time < {{until}}")),
        ("raw substring, 90 days", format!("select count(*) as events from {{events}} where raw like '%:{whole}\"%'")),
    ]
}

fn ours(query: &str) -> String {
    let instant = |text: &str| format!("timestamp '{text}T00:00:00Z'");
    query
        .replace("{events}", "events")
        .replace("{hour}", "date_trunc('hour', time)")
        .replace("{at}", &instant("2026-12-01"))
        .replace("{until}", &instant("2026-12-08"))
}

/// Median CPU seconds of the whole process, and the number of rows.
fn measure(lake: &Lake, query: &str) -> (f64, usize) {
    let sql = ours(query);
    let mut rows = ask(lake, &sql).len();
    let mut seconds = Vec::new();
    for _ in 0..PASSES {
        let start = process();
        rows = ask(lake, &sql).len();
        seconds.push((process() - start).as_secs_f64());
    }
    (median(seconds), rows)
}

/// The nine against DuckDB and ClickHouse on the same files, and on their own tables.
pub fn nine_queries(corpus: &Path, count: u64) {
    let folder = tempfile::tempdir_in(std::env::var_os("VIGIE_BENCH_DIR").unwrap_or_else(|| "/var/tmp".into())).unwrap();
    let (lake, _) = fill(corpus, folder.path(), count, 90);
    let queries = nine(&lake);
    let asked: serde_json::Map<String, serde_json::Value> =
        queries.iter().map(|(name, sql)| ((*name).to_owned(), sql.clone().into())).collect();
    let file = folder.path().join("queries.json");
    std::fs::write(&file, serde_json::Value::from(asked).to_string()).unwrap();
    let table = folder.path().join("lake/main/events");
    let theirs = peers(&["queries", table.to_str().unwrap(), file.to_str().unwrap()]);
    println!(
        "{:<28} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7}",
        "CPU-s", "rows", "ours", "DuckDB", "Click", "DuckDB n", "MergeT", "ratio"
    );
    let mut product = 0.0;
    for (name, sql) in &queries {
        let (seconds, rows) = measure(&lake, sql);
        let of = |engine: &str| theirs[engine][*name]["seconds"].as_f64().unwrap_or(f64::NAN);
        for engine in ["duckdb", "clickhouse"] {
            assert_eq!(theirs[engine][*name]["rows"].as_u64(), Some(rows as u64), "{name} in {engine}");
        }
        let ratio = seconds / of("duckdb").min(of("clickhouse"));
        product += ratio.ln();
        println!(
            "{name:<28} {rows:>8} {seconds:>8.4} {:>8.4} {:>8.4} {:>8.4} {:>8.4} {ratio:>6.2}x",
            of("duckdb"),
            of("clickhouse"),
            of("duckdb_native"),
            of("mergetree")
        );
    }
    println!("{:<28} {:>60.2}x  (budget 1.0x)", "geometric mean", (product / queries.len() as f64).exp());
}

/// The time to the first row over a year of daily files.
pub fn first_row(corpus: &Path) {
    let folder = tempfile::tempdir_in(std::env::var_os("VIGIE_BENCH_DIR").unwrap_or_else(|| "/var/tmp".into())).unwrap();
    let data = folder.path();
    drop(fill(corpus, data, 365 * 3000, 365));
    let service = Service::start(data, &[]).unwrap();
    let bearer = format!("Bearer {}", service.token.clone().unwrap());
    for filter in ["", "operation:ConsoleLogin", "ip:11.*", "\"sts.amazonaws.com\""] {
        let body = serde_json::json!({ "filter": filter, "limit": 100 }).to_string();
        let mut warm = Vec::new();
        for _ in 0..=PASSES {
            warm.push(until_first_row(service.address, &bearer, &body));
        }
        let mut cold = Vec::new();
        for _ in 0..PASSES {
            cold.push(command(data, filter));
        }
        println!(
            "first row on 365 day files, `{filter}`: service {:.0} ms (budget 100; first time {:.0}), command {:.0} ms (budget 400)",
            median(warm.split_off(1)) * 1000.0,
            warm[0] * 1000.0,
            median(cold) * 1000.0
        );
    }
    assert!(service.stop());
}

/// Seconds until the first row of an answer has come; the rest is read too.
fn until_first_row(address: SocketAddr, bearer: &str, body: &str) -> f64 {
    let start = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/search HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: {bearer}\r\n\
         content-type: application/json\r\naccept: application/x-ndjson\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let (mut answer, mut buffer, mut first) = (Vec::new(), [0; 8192], None);
    loop {
        let read = stream.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..read]);
        // The line before the rows names the columns.
        if first.is_none() && answer.windows(ROW_BEGINS.len()).any(|bytes| bytes == ROW_BEGINS) {
            first = Some(start.elapsed().as_secs_f64());
        }
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    first.unwrap()
}

fn command(data: &Path, filter: &str) -> f64 {
    let start = Instant::now();
    let binary: PathBuf = vigie_tests::binary();
    let mut child = Command::new(binary)
        .args(["search", filter, "--limit", "100", "--data", data.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut first = [0];
    let mut out = child.stdout.take().unwrap();
    assert_eq!(out.read(&mut first).unwrap(), 1);
    let taken = start.elapsed().as_secs_f64();
    let _ = out.read_to_end(&mut Vec::new());
    child.wait().unwrap();
    taken
}
