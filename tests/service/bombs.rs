//! T12: bodies that explode, and names that want to be paths (guarantees.md, section 8; G17, G18).

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vigie_tests::archives::{gzip, gzip_bomb, tar, tar_link, zip, zstd_bomb};
use vigie_tests::ledger::batch;
use vigie_tests::service::{Service, ask, deliver, exchange, record};
use vigie_tests::trace::{FILE_CALLS, changes, is_known};
use vigie_tests::{binary, vigie};

const MEBIBYTE: u64 = 1024 * 1024;
/// Memory that bombs may take beyond honest records.
const GROWTH_BYTES_MAX: u64 = 16 * MEBIBYTE;
/// Rounds of honest records until the peak of memory stays.
const WARM_ROUNDS_MAX: usize = 12;
/// How long threads may work for one hostile body; half of it is the tracer's.
const PROCESSOR_TIME_MAX: Duration = Duration::from_secs(2);

/// Texts that want to be paths.
fn paths() -> Vec<String> {
    let mut list: Vec<String> = [
        "../../hostile-x",
        "/tmp/hostile-x",
        "C:\\hostile-x",
        "..\\..\\hostile-x",
        "hostile\0x",
        "%2e%2e%2fhostile-x",
        "..%2f..%2fhostile-x",
        "file:///tmp/hostile-x",
        "~/hostile-x",
        "day=2026-11-20/../../hostile-x",
        "_delta_log/00000000000000000000.json",
        "../../vigie.pid",
        "main/../../../hostile-x",
        "hostile-x\n../../hostile-y",
        ".",
        "..",
    ]
    .map(str::to_owned)
    .to_vec();
    list.push("../".repeat(400) + "tmp/hostile-x");
    list
}

/// A text as a part of an address.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// Puts a text in the place of every text of a value but those that say what it is.
fn poison(value: &mut Value, text: &str) {
    match value {
        Value::String(old) => *old = text.to_owned(),
        Value::Array(list) => list.iter_mut().for_each(|value| poison(value, text)),
        Value::Object(members) => {
            let members = members.iter_mut().filter(|(name, _)| !matches!(name.as_str(), "eventTime" | "eventVersion"));
            members.for_each(|(_, value)| poison(value, text));
        }
        _ => {}
    }
}

/// A delivery over HTTP: what it is, the path, its encoding, its body.
struct Delivery {
    name: String,
    path: String,
    encoding: &'static str,
    body: Vec<u8>,
}

fn to(path: &str, name: &str, encoding: &'static str, body: impl Into<Vec<u8>>) -> Delivery {
    Delivery { name: name.to_owned(), path: path.to_owned(), encoding, body: body.into() }
}

fn bombs() -> Vec<Delivery> {
    let big = gzip_bomb(1024).unwrap();
    let ratio = 1024 * MEBIBYTE / big.len() as u64;
    assert!((1000..1100).contains(&ratio), "a bomb of {ratio}:1");
    let nested = gzip(&gzip(&big).unwrap()).unwrap();
    let empty = gzip(b"").unwrap().repeat(10_000);
    let many = gzip_bomb(15).unwrap().repeat(70);
    let mut list = Vec::new();
    for path in ["/api/v1/ingest", "/services/collector/event", "/services/collector/raw", "/_bulk", "/v1/logs"] {
        list.push(to(path, "1 GiB in a gzip", "gzip", big.clone()));
        list.push(to(path, "1 GiB in many gzip members", "gzip", many.clone()));
        list.push(to(path, "1 GiB in a zstd frame", "zstd", zstd_bomb(1024, 20)));
        list.push(to(path, "a window of 2 GiB", "zstd", zstd_bomb(1, 31)));
    }
    list.push(to("/api/v1/ingest", "a gzip in a gzip", "gzip", nested));
    list.push(to("/api/v1/ingest", "10,000 empty gzip members", "gzip", empty.clone()));
    list.push(to(
        "/api/v1/ingest",
        "10,000 empty gzip members and a record",
        "gzip",
        [empty, gzip(b"{\"n\":1}").unwrap()].concat(),
    ));
    list.push(to("/api/v1/ingest", "a bomb that is not announced", "identity", big.clone()));
    list.push(to("/api/v1/ingest", "a gzip that is cut", "gzip", big.get(..1000).unwrap().to_vec()));
    list.push(to("/api/v1/ingest", "an encoding of two", "gzip, gzip", big));
    list
}

/// Bodies that hold names of files, through every door of HTTP.
fn climbers() -> Vec<Delivery> {
    let mut list = Vec::new();
    for text in paths() {
        let (part, name) = (encoded(&text), format!("{:.40}", text.escape_debug()));
        let mut cloudtrail: Value = serde_json::from_str(&record(1)).unwrap();
        poison(&mut cloudtrail, &text);
        let mut other =
            json!({ "time": "2026-11-20T00:00:00Z", "id": text, "tenant": text, "vendor": text, "log": text, "day": text });
        other.as_object_mut().unwrap().insert(text.clone(), json!({ text.clone(): [text.clone()] }));
        let event =
            json!({ "event": other, "host": text, "source": text, "sourcetype": text, "index": text, "fields": { "a": text } });
        let line = json!({ "event": text, "host": text, "source": text, "sourcetype": text, "index": text });
        let action = json!({ "index": { "_index": text, "_id": text, "routing": text, "pipeline": text } });
        let value = json!({ "stringValue": text });
        let pairs = json!([{ "key": text, "value": value }]);
        let logs = json!({ "resourceLogs": [{ "resource": { "attributes": pairs }, "scopeLogs": [{
            "scope": { "name": text, "version": text, "attributes": pairs },
            "logRecords": [{ "timeUnixNano": "1795132800000000000", "eventName": text, "body": value, "attributes": pairs }],
        }] }] });
        let bulk = format!("{action}\n{other}\n");
        list.push(to("/api/v1/ingest/aws/cloudtrail", &name, "identity", cloudtrail.to_string()));
        list.push(to("/api/v1/ingest", &name, "identity", format!("{other}\n{text}\n")));
        list.push(to("/services/collector/event", &name, "identity", format!("{event}\n{line}")));
        let query = format!("/services/collector/raw?host={part}&source={part}&sourcetype={part}&index={part}&channel={part}");
        list.push(to(&query, &name, "identity", text.clone()));
        list.push(to("/_bulk", &name, "identity", bulk.clone()));
        list.push(to(&format!("/{part}/_bulk"), &name, "identity", bulk));
        list.push(to("/v1/logs", &name, "json", logs.to_string()));
        list.push(to(&format!("/api/v1/ingest/{part}/{part}"), &name, "identity", "{}"));
        list.push(to(&format!("/api/v1/ingest/aws/{part}"), &name, "identity", "{}"));
        for archive in [tar(&text, b"{}"), zip(&text, b"{}"), tar_link("link", &text, b"{}")] {
            list.push(to("/api/v1/ingest", &format!("an archive with {name}"), "identity", archive.clone()));
            list.push(to("/api/v1/ingest", &format!("a gzip of an archive with {name}"), "gzip", gzip(&archive).unwrap()));
        }
    }
    for path in [
        "/../../hostile-x/_bulk",
        "/api/v1/ingest/../../hostile-x",
        "/api/v1/ingest/aws/..%2f..%2fhostile-x",
        "//tmp/hostile-x/_bulk",
    ] {
        list.push(to(path, "an address", "identity", "{\"index\":{}}\n{\"n\":1}\n"));
    }
    list
}

/// Sends hostile deliveries, and good records between them; gives how many were refused, and the longest
/// that threads worked for one.
struct Sender<'s> {
    service: &'s Service,
    token: &'s str,
    good: u64,
    refused: u32,
    processor_time_max: Duration,
}

impl Sender<'_> {
    fn send(&mut self, delivery: &Delivery) {
        let bearer = format!("Bearer {}", self.token);
        let (kind, encoding) = match delivery.encoding {
            "json" => ("application/json", "identity"),
            encoding => ("application/x-ndjson", encoding),
        };
        let headers = [("authorization", bearer.as_str()), ("content-encoding", encoding), ("content-type", kind)];
        let before = self.service.processor_time().unwrap();
        let what = format!("{} to {:.60}", delivery.name, delivery.path);
        let answer = exchange(self.service.address, "POST", &delivery.path, &headers, &delivery.body);
        let answer = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
        let took = self.service.processor_time().unwrap() - before;
        assert!(answer.status == 200 || (400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.body);
        assert!(answer.status == 200 || !answer.body.trim().is_empty(), "{what}: {} without a sentence", answer.status);
        assert!(took <= PROCESSOR_TIME_MAX, "{what}: {took:?}");
        self.refused += u32::from(answer.status != 200);
        self.processor_time_max = self.processor_time_max.max(took);
        self.good();
    }

    /// A good record is still taken.
    fn good(&mut self) {
        let body = record(self.good);
        let (status, answer) =
            deliver(self.service.address, self.token, "/api/v1/ingest/aws/cloudtrail", body.as_bytes()).unwrap();
        assert_eq!((status, answer["accepted"].as_u64()), (200, Some(1)), "{answer}");
        self.good += 1;
    }

    /// Waits until this many good records are stored.
    fn wait(&self) {
        let sql = "select count(*) from events where metadata_uid like 'e%-0000-4000-8000-%'";
        let begun = Instant::now();
        loop {
            let count = ask(self.service.address, self.token, sql).unwrap()[0][0].as_u64().unwrap();
            if count == self.good {
                return;
            }
            assert!(count < self.good && begun.elapsed() < Duration::from_secs(60), "{count} of {} good records", self.good);
        }
    }
}

/// Messages of syslog whose parts want to be paths: RFC 5424 and RFC 3164, one a line.
fn syslog(port: u16) -> usize {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let texts: Vec<String> = paths().iter().map(|text| text.replace(['\n', ' '], "_")).collect();
    for text in &texts {
        let structured = text.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]");
        let new = format!("<13>1 2026-11-20T00:00:00Z {text} {text} {text} {text} [{text}@1 a=\"{structured}\"] {text}\n");
        let old = format!("<13>Nov 20 00:00:00 {text} {text}[{text}]: {text}\n");
        stream.write_all(new.as_bytes()).unwrap();
        stream.write_all(old.as_bytes()).unwrap();
    }
    texts.len() * 2
}

/// Tokens whose names and tenants want to be paths: a name is a text, and a tenant without a lake stores
/// nothing.
fn tokens(service: &Service, data: &str) {
    for text in paths().iter().filter(|text| !text.contains('\0')) {
        let made = vigie(&["token", "create", text, "--scope", "admin", "--tenant", text, "--data", data]).unwrap();
        if made.code != 0 {
            assert!(made.err.contains("a token's name"), "{text}: {}", made.err);
            continue;
        }
        let secret = made.out.trim();
        let (status, answer) = deliver(service.address, secret, "/api/v1/ingest", b"{\"n\":1}").unwrap();
        assert!(status == 503 && answer.to_string().contains("has no lake"), "{text}: {status} {answer}");
        assert!(ask(service.address, secret, "select * from events").is_err(), "{text}");
    }
}

/// Every path that was made, renamed, linked or removed lies in the data folder and has a name of the
/// service; a file without a name may lie in the folder for temporary files.
fn check_trace(trace: &str, data: &Path) -> usize {
    let temporary = std::env::temp_dir();
    let all = changes(trace);
    for change in &all {
        let path = Path::new(&change.path);
        let is_well = match path.strip_prefix(data) {
            Ok(within) => is_known(&within.to_string_lossy()),
            Err(_) => change.is_nameless && path == temporary,
        };
        assert!(is_well, "{}", change.line);
    }
    assert!(all.len() > 50, "the trace holds what the service writes: {}", all.len());
    all.len()
}

#[test]
fn done_lake_2_t12_bombs_and_paths_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data: PathBuf = folder.path().canonicalize().unwrap().join("data");
    std::fs::create_dir(&data).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // No merges meanwhile: what they take is honest records' doing, and may come after the bombs.
    let settings =
        format!("[listen]\nsyslog_tcp = \"127.0.0.1:{port}\"\n[commit]\nwait_seconds = 0.2\n[upkeep]\nseconds = 3600\n");
    std::fs::write(data.join("vigie.toml"), settings).unwrap();
    let trace = folder.path().join("trace");
    let tracer = ["strace", "-f", "-qq", "--seccomp-bpf", "-s", "4096", "-e", FILE_CALLS, "-o", trace.to_str().unwrap()];
    let service = Service::start_under(&tracer, &data, &[]).expect("this test needs strace: `make test` installs it");
    let token = service.token.clone().unwrap();
    let mut sender = Sender { service: &service, token: &token, good: 0, refused: 0, processor_time_max: Duration::ZERO };
    // What the largest honest work leaves behind is no bomb's doing: it goes on until the peak stays.
    let mut warm = 0;
    for _ in 0..WARM_ROUNDS_MAX {
        let body = gzip(batch(sender.good..sender.good + 20_000).as_bytes()).unwrap();
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-encoding", "gzip")];
        let answer = exchange(service.address, "POST", "/api/v1/ingest/aws/cloudtrail", &headers, &body).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        sender.good += 20_000;
        sender.wait();
        let before = std::mem::replace(&mut warm, service.memory_peak_bytes().unwrap());
        if warm - before < MEBIBYTE {
            break;
        }
    }
    let (bombs, climbers) = (bombs(), climbers());
    for bomb in &bombs {
        sender.send(bomb);
        sender.wait();
    }
    let grown = service.memory_peak_bytes().unwrap().saturating_sub(warm);
    assert!(grown <= GROWTH_BYTES_MAX, "bombs took {grown} bytes more than honest records");
    let bombs_refused = sender.refused;
    climbers.iter().for_each(|climber| sender.send(climber));
    let messages = syslog(port);
    tokens(&service, data.to_str().unwrap());
    let begun = Instant::now();
    let sql = "select count(*) from events where source = 'syslog/tcp'";
    while ask(service.address, &token, sql).unwrap()[0][0].as_u64().unwrap() < messages as u64 {
        assert!(begun.elapsed() < Duration::from_secs(60), "messages of syslog are missing");
    }
    sender.wait();
    let (good, refused, longest) = (sender.good, sender.refused, sender.processor_time_max);
    assert!(service.stop(), "it is alive and stops well");
    let changes = check_trace(&std::fs::read_to_string(&trace).unwrap(), &data);
    println!(
        "{} bombs, {bombs_refused} refused, {} KiB more memory than {} MiB; {} hostile names, {} refused; at most {longest:?} for one; {good} good records counted; {changes} changes of files, all in the data folder",
        bombs.len(),
        grown / 1024,
        warm / MEBIBYTE,
        climbers.len() + messages,
        refused - bombs_refused,
    );
}

/// The same through a hunt, which opens archives: members are streams, never files (G18).
#[test]
fn done_lake_2_t12_a_hunt_writes_no_name_of_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    for (number, text) in paths().iter().enumerate() {
        let mut value: Value = serde_json::from_str(&record(number as u64)).unwrap();
        poison(&mut value, text);
        let line = value.to_string();
        let whole = record(number as u64);
        let archives = [("tar", tar(text, whole.as_bytes())), ("zip", zip(text, whole.as_bytes()))];
        for (kind, archive) in archives {
            std::fs::write(logs.join(format!("{number}.{kind}.gz")), gzip(&archive).unwrap()).unwrap();
            std::fs::write(logs.join(format!("{number}.{kind}")), archive).unwrap();
        }
        std::fs::write(logs.join(format!("{number}.link.tar")), tar_link("link", text, whole.as_bytes())).unwrap();
        std::fs::write(logs.join(format!("{number}.json")), line).unwrap();
    }
    for (name, bytes) in [("window.zst", zstd_bomb(1, 31)), ("bomb.zst", zstd_bomb(1024, 20))] {
        std::fs::write(logs.join(name), bytes).unwrap();
    }
    let trace = folder.path().join("trace");
    let begun = Instant::now();
    let ran = Command::new("strace")
        .args(["-f", "-qq", "--seccomp-bpf", "-s", "4096", "-e", FILE_CALLS, "-o"])
        .arg(&trace)
        .arg(binary())
        .args(["hunt", "-o", "ndjson"])
        .arg(&logs)
        .output()
        .expect("this test needs strace: `make test` installs it");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(4), "the bombs are named: {said}");
    let temporary = std::env::temp_dir();
    let trace = std::fs::read_to_string(&trace).unwrap();
    for change in changes(&trace) {
        assert!(change.is_nameless && Path::new(&change.path) == temporary, "{}", change.line);
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    println!("{} hostile names in archives and records: no file made, in {:?}", paths().len() * 6, begun.elapsed());
}
