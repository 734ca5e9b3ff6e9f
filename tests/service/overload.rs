//! T10: more than the service can take, and clients that never read (guarantees.md, section 8; G16, G6).

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vigie_tests::ledger::{Ledger, batch, ids, name};
use vigie_tests::service::{Service, ask, deliver, exchange, request};
use vigie_tests::vigie;

const LIMIT_BYTES: u64 = 1024 * 1024 * 1024;
/// Clients with small deliveries, and with large ones.
const SMALL_CLIENTS: usize = 32;
const LARGE_CLIENTS: usize = 12;
const SMALL_RECORDS: u64 = 200;
const LARGE_RECORDS: u64 = 16_000;
/// More events than this are counted, and not read one by one.
const READ_EVENTS_MAX: u64 = 1_000_000;
/// So many names at once fit into the memory of one question that counts different ones.
const NAMES_COUNTED: u64 = 250_000;
const INGEST: &str = "/api/v1/ingest/aws/cloudtrail";

/// A group of processes with a limit on memory, of either version of the kernel's interface.
struct MemoryGroup {
    folder: PathBuf,
    is_second: bool,
}

impl MemoryGroup {
    fn new(bytes: u64) -> MemoryGroup {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let mounted = |is_wanted: &dyn Fn(&[&str]) -> bool| {
            let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
            lines.find(|fields| fields.len() > 3 && is_wanted(fields)).map(|fields| PathBuf::from(fields[1]))
        };
        let first = mounted(&|fields| fields[2] == "cgroup" && fields[3].split(',').any(|option| option == "memory"));
        let second = mounted(&|fields| fields[2] == "cgroup2");
        let help = "this test makes a control group with a limit on memory: run it as root, where cgroups are mounted (`make test` mounts them)";
        let (root, is_second) = first.map(|root| (root, false)).or(second.map(|root| (root, true))).expect(help);
        if is_second {
            // It may be on already, or the folder below says that it is not.
            let _ = std::fs::write(root.join("cgroup.subtree_control"), "+memory");
        }
        let folder = root.join(format!("vigie-overload-{}", std::process::id()));
        std::fs::create_dir(&folder).expect(help);
        let group = MemoryGroup { folder, is_second };
        let names =
            if is_second { ["memory.max", "memory.swap.max"] } else { ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"] };
        std::fs::write(group.folder.join(names[0]), bytes.to_string()).expect(help);
        // Where swap is not counted there is no such file.
        let _ = std::fs::write(group.folder.join(names[1]), if is_second { "0".to_owned() } else { bytes.to_string() });
        group
    }

    /// Starts a service whose first and last breath is within the group.
    fn start(&self, data: &Path) -> Service {
        let enter = format!("echo $$ > '{}/cgroup.procs' && exec \"$0\" \"$@\"", self.folder.display());
        Service::start_under(&["sh", "-c", &enter], data, &[]).unwrap()
    }

    fn text(&self, first: &str, second: &str) -> String {
        std::fs::read_to_string(self.folder.join(if self.is_second { second } else { first })).unwrap()
    }

    /// Processes that the kernel killed for want of memory.
    fn kills(&self) -> u64 {
        let text = self.text("memory.oom_control", "memory.events");
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")).expect("the kernel counts kills").trim().parse().unwrap()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.folder);
    }
}

/// What one client saw.
#[derive(Default)]
struct Seen {
    ledger: Ledger,
    refused: u64,
    /// Deliveries that were refused to the end: nothing of them may be stored.
    given_up: Vec<u64>,
}

/// Delivers until it is over, and again what is refused. Without waiting as long as it is told to: this
/// client is rude.
fn push(address: SocketAddr, token: &str, next: &AtomicU64, count: u64, is_over: &AtomicBool, never: &Receiver<()>) -> Seen {
    let mut seen = Seen::default();
    let bearer = format!("Bearer {token}");
    while !is_over.load(Ordering::Relaxed) {
        let first = next.fetch_add(count, Ordering::Relaxed);
        let body = batch(first..first + count);
        loop {
            match exchange(address, "POST", INGEST, &[("authorization", &bearer)], body.as_bytes()) {
                Ok(answer) if answer.status == 200 => {
                    let receipt: Value = serde_json::from_str(&answer.body).unwrap();
                    assert_eq!(receipt["accepted"].as_u64(), Some(count), "{receipt}");
                    seen.ledger.acknowledged.extend(first..first + count);
                    break;
                }
                Ok(answer) => {
                    let head = answer.head.to_ascii_lowercase();
                    let after = head.lines().find_map(|line| line.strip_prefix("retry-after: "));
                    let seconds: u64 = after.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(0);
                    assert!(matches!(answer.status, 429 | 503), "{} {}", answer.status, answer.body);
                    assert!((1..=60).contains(&seconds), "{} without a time to come again: {head}", answer.status);
                    seen.refused += 1;
                }
                Err(_) => {
                    seen.ledger.unanswered.extend(first..first + count);
                    break;
                }
            }
            if is_over.load(Ordering::Relaxed) {
                seen.given_up.extend(first..first + count);
                break;
            }
            let _ = never.recv_timeout(Duration::from_millis(100));
        }
    }
    seen
}

/// How long answers of the health took until it is over.
fn watch(address: SocketAddr, is_over: &AtomicBool, never: &Receiver<()>) -> Vec<Duration> {
    let mut times = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let (status, text) = request(address, "GET", "/health/ready", &[], b"").unwrap();
        times.push(begun.elapsed());
        assert!(matches!(status, 200 | 503), "{status} {text}");
        let _ = never.recv_timeout(Duration::from_millis(50));
    }
    times
}

/// The time below which 95 of 100 are.
fn most(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[(times.len() * 95 / 100).min(times.len() - 1)]
}

fn settings(data: &Path, more: &str) {
    std::fs::create_dir(data).unwrap();
    std::fs::write(data.join("vigie.toml"), format!("{more}[commit]\nwait_seconds = 0.1\n[upkeep]\nseconds = 1\n")).unwrap();
}

/// What all clients saw, and how long the health took.
fn overload(service: &Service, token: &str, time: Duration) -> (Seen, Vec<Duration>) {
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let address = service.address;
    let mut all = Seen::default();
    let times = std::thread::scope(|scope| {
        let client = |count: u64| {
            let (next, is_over) = (&next, &is_over);
            scope.spawn(move || {
                // A wait that nothing ends early.
                let (_sender, never) = channel::<()>();
                push(address, token, next, count, is_over, &never)
            })
        };
        let clients: Vec<_> =
            (0..SMALL_CLIENTS).map(|_| client(SMALL_RECORDS)).chain((0..LARGE_CLIENTS).map(|_| client(LARGE_RECORDS))).collect();
        let watching = scope.spawn(|| {
            let (_sender, never) = channel::<()>();
            watch(address, &is_over, &never)
        });
        let (_sender, never) = channel::<()>();
        let _ = never.recv_timeout(time);
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            let seen = client.join().unwrap();
            all.ledger.acknowledged.extend(seen.ledger.acknowledged);
            all.ledger.unanswered.extend(seen.ledger.unanswered);
            all.given_up.extend(seen.given_up);
            all.refused += seen.refused;
        }
        watching.join().unwrap()
    });
    (all, times)
}

/// The acknowledged events are stored, each once, and nothing that was refused.
fn check(data: &Path, seen: &Seen) -> u64 {
    let acknowledged = seen.ledger.acknowledged.len() as u64;
    if acknowledged > READ_EVENTS_MAX {
        let numbers = |what: &str, filter: &str| -> Vec<u64> {
            let sql = format!("select {what} from events {filter}");
            let ran = vigie(&["sql", &sql, "--data", data.to_str().unwrap(), "-o", "csv"]).unwrap();
            let row = ran.out.lines().nth(1).expect(&ran.err);
            row.split(',').map(|number| number.parse().unwrap()).collect()
        };
        assert_eq!(numbers("count(*)", ""), [acknowledged], "there is nothing else");
        let most = seen.ledger.acknowledged.last().copied().unwrap_or(0);
        for first in (0..=most).step_by(NAMES_COUNTED as usize) {
            let (from, until) = (name(first), name(first + NAMES_COUNTED));
            let wanted = seen.ledger.acknowledged.range(first..first + NAMES_COUNTED).count() as u64;
            let filter = format!("where metadata_uid >= '{from}' and metadata_uid < '{until}'");
            let found = numbers("count(*), count(distinct metadata_uid)", &filter);
            assert_eq!(found, [wanted, wanted], "acknowledged events are stored once, from {first} on");
        }
        return acknowledged;
    }
    let stored = ids(data).unwrap();
    let lost = seen.ledger.acknowledged.iter().filter(|number| !stored.contains_key(&name(**number))).count();
    assert_eq!(lost, 0, "acknowledged events are missing");
    let kept = seen.given_up.iter().filter(|number| stored.contains_key(&name(**number))).count();
    assert_eq!(kept, 0, "events of refused deliveries are stored");
    assert_eq!(stored.len() as u64, acknowledged, "there is more than was sent");
    acknowledged
}

#[test]
fn done_lake_2_t10_overload_is_refused_not_dropped() {
    let seconds = if std::env::var_os("VIGIE_SOAK").is_some() { 600 } else { 5 };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    settings(&data, "");
    let group = MemoryGroup::new(LIMIT_BYTES);
    let service = group.start(&data);
    let token = service.token.clone().unwrap();
    let (mut seen, times) = overload(&service, &token, Duration::from_secs(seconds));
    assert_eq!(group.kills(), 0, "the kernel killed it for want of memory");
    // What was not answered may be stored or not: sent again, it is stored once.
    let unanswered = std::mem::take(&mut seen.ledger.unanswered);
    for numbers in unanswered.chunks(1000) {
        let body = batch(numbers.iter().copied());
        assert_eq!(deliver(service.address, &token, INGEST, body.as_bytes()).unwrap().0, 200);
        seen.ledger.acknowledged.extend(numbers);
    }
    let peak = service.memory_peak_bytes().unwrap();
    assert!(service.stop(), "it stops well after an overload");
    assert_eq!(group.kills(), 0, "the kernel killed it for want of memory while it stopped");
    // Pages of the binary that other processes read too are in this peak, and not in what the group may have:
    // the kernel holds the limit, and what goes beyond is a kill.
    assert!(peak <= LIMIT_BYTES + 128 * 1024 * 1024, "{peak} bytes");
    let stored = check(&data, &seen);
    let (answers, health) = (times.len(), most(times));
    assert!(health <= Duration::from_secs(1), "95 of 100 answers of the health within {health:?}");
    assert!(seen.refused > 0, "nothing was refused: this was no overload");
    println!(
        "{} clients for {seconds} s in 1 GiB: {stored} events acknowledged and stored once, {} deliveries refused with a time to come again, {} events unanswered at first, peak {} MiB, 95 of {answers} in 100 answers of the health within {health:?}",
        SMALL_CLIENTS + LARGE_CLIENTS,
        seen.refused,
        unanswered.len(),
        peak / (1024 * 1024),
    );
}

/// How long deliveries and questions of one client take, each apart.
fn measure(service: &Service, token: &str, next: &mut u64, rounds: usize) -> [Duration; 2] {
    let (mut deliveries, mut questions) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let body = batch(*next..*next + 20);
        *next += 20;
        let begun = Instant::now();
        assert_eq!(deliver(service.address, token, INGEST, body.as_bytes()).unwrap().0, 200);
        deliveries.push(begun.elapsed());
        let begun = Instant::now();
        ask(service.address, token, "select count(*) from events where actor_user_name = 'team-7'").unwrap();
        questions.push(begun.elapsed());
    }
    [most(deliveries), most(questions)]
}

/// A client that asks for everything and reads nothing of it.
fn never_read(address: SocketAddr, token: &str, path: &str, question: &Value) -> TcpStream {
    let body = question.to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\naccept: application/x-ndjson\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // It has its place among the queries once the answer begins.
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut begin = [0; 12];
    while stream.peek(&mut begin).unwrap() < begin.len() {}
    assert_eq!(&begin, b"HTTP/1.1 200", "{path}");
    stream
}

fn least(first: [Duration; 2], second: [Duration; 2]) -> [Duration; 2] {
    [first[0].min(second[0]), first[1].min(second[1])]
}

/// Clients that ask and never read, and clients that connect and send nothing, or not all of it.
fn do_nothing(service: &Service, token: &str, syslog: u16) -> (Vec<TcpStream>, Vec<TcpStream>) {
    let everything = json!({ "filter": "", "limit": 1_000_000 });
    let readers = (0..4).map(|_| never_read(service.address, token, "/api/v1/search", &everything)).collect();
    let senders = (0..200).map(|number| {
        let syslog = SocketAddr::from(([127, 0, 0, 1], syslog));
        let mut stream = TcpStream::connect(if number % 2 == 0 { service.address } else { syslog }).unwrap();
        let begun: &[u8] = if number % 4 < 2 { b"" } else { b"POST /api/v1/ingest HTTP/1.1\r\nhost: x\r\n" };
        stream.write_all(begun).unwrap();
        stream
    });
    (readers, senders.collect())
}

#[test]
fn done_lake_2_t10_clients_that_do_nothing_slow_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    settings(&data, &format!("[listen]\nsyslog_tcp = \"127.0.0.1:{port}\"\n"));
    let service = Service::start(&data, &[]).unwrap();
    let token = service.token.clone().unwrap();
    let mut next = 0;
    while next < 60_000 {
        let body = batch(next..next + 5000);
        assert_eq!(deliver(service.address, &token, INGEST, body.as_bytes()).unwrap().0, 200);
        next += 5000;
    }
    let begun = Instant::now();
    while ask(service.address, &token, "select count(*) from events").unwrap()[0][0].as_u64() != Some(next) {
        assert!(begun.elapsed() < Duration::from_secs(60), "events are missing");
    }
    let rounds = if std::env::var_os("VIGIE_SOAK").is_some() { 500 } else { 50 };
    // The first rounds warm what is cold.
    measure(&service, &token, &mut next, rounds);
    let (mut quiet, mut disturbed) = ([Duration::MAX; 2], [Duration::MAX; 2]);
    let (mut silent, mut idle) = (0, 0);
    // The best of each, by turns: what else this machine does is no client's doing.
    for _ in 0..4 {
        quiet = least(quiet, measure(&service, &token, &mut next, rounds));
        let (readers, senders) = do_nothing(&service, &token, port);
        // What they asked for is work like any other, until it waits for them to read.
        measure(&service, &token, &mut next, rounds);
        disturbed = least(disturbed, measure(&service, &token, &mut next, rounds));
        (silent, idle) = (readers.len(), senders.len());
    }
    let rise = |number: usize| disturbed[number].as_secs_f64() / quiet[number].as_secs_f64() * 100.0 - 100.0;
    for (number, what) in ["deliveries", "questions"].into_iter().enumerate() {
        // A quarter, and what one flush of a busy disk takes.
        let most = quiet[number] * 5 / 4 + Duration::from_millis(10);
        assert!(disturbed[number] <= most, "{what}: 95 of 100 within {:?}, before within {:?}", disturbed[number], quiet[number]);
    }
    // As many of them as queries may run at once: they lose their places, since they do not read.
    let every_row = json!({ "sql": "select * from events" });
    let others: Vec<TcpStream> = (0..8).map(|_| never_read(service.address, &token, "/api/v1/sql", &every_row)).collect();
    let begun = Instant::now();
    assert!(ask(service.address, &token, "select 1").is_ok());
    let waited = begun.elapsed();
    println!(
        "{} clients that never read and {} that never send: deliveries {:?} before, {:?} with them ({:+.1} %); questions {:?} before, {:?} with them ({:+.1} %); with all places taken by such clients a question waited {waited:?}",
        silent,
        idle,
        quiet[0],
        disturbed[0],
        rise(0),
        quiet[1],
        disturbed[1],
        rise(1),
    );
    drop(others);
    assert!(service.stop());
}
