//! Standard input of the service: every line is taken in once, whatever is refused, and it ends alone.

use std::io::Write as _;
use std::path::Path;
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use serde_json::Value;
use vigie_tests::service::{Service, ask, deliver, record, request};
use vigie_tests::vigie;

/// How long something may take to be seen.
const SEEN_TIME_MAX: Duration = Duration::from_secs(60);

/// Asks again until it is so: a delivery or a commit is a moment away.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < SEEN_TIME_MAX, "{what}: not after a minute");
    }
}

fn count(service: &Service, token: &str, clause: &str) -> u64 {
    let rows = ask(service.address, token, &format!("select count(*) from events {clause}")).unwrap();
    rows[0][0].as_u64().unwrap()
}

fn until_count(service: &Service, token: &str, wanted: u64) {
    until(&format!("{wanted} events"), || count(service, token, "") >= wanted);
    assert_eq!(count(service, token, ""), wanted);
}

/// A figure of `/metrics`; none when it is not there.
fn figure(service: &Service, token: &str, name: &str) -> Option<f64> {
    let bearer = format!("Bearer {token}");
    let (status, text) = request(service.address, "GET", "/metrics", &[("authorization", &bearer)], b"").unwrap();
    assert_eq!(status, 200, "{text}");
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// What the health says of standard input: whether it is well, and the sentence.
fn health(service: &Service) -> (bool, String) {
    let (_, text) = request(service.address, "GET", "/health/ready", &[], b"").unwrap();
    let body: Value = serde_json::from_str(&text).unwrap();
    let part = body["parts"].as_array().unwrap().iter().find(|part| part["name"] == "stdin").expect(&text);
    (part["is_well"].as_bool().unwrap(), part["sentence"].as_str().unwrap().to_owned())
}

fn write(pipe: &mut ChildStdin, text: &str) {
    pipe.write_all(text.as_bytes()).unwrap();
    pipe.flush().unwrap();
}

/// The count after another start, without standard input.
fn check_restart(data: &Path, token: &str, wanted: u64) {
    let service = Service::start(data, &["--commit-seconds", "0.05"]).unwrap();
    until_count(&service, token, wanted);
    assert_eq!(figure(&service, token, "vigie_stdin_records"), None, "it was not asked for");
    assert!(service.stop());
}

#[test]
fn lines_of_a_pipe_are_taken_in_and_the_service_outlives_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (service, mut pipe) = Service::start_fed(&[], &data, &["--stdin", "aws/cloudtrail", "--commit-seconds", "0.05"]).unwrap();
    let token = service.token.clone().unwrap();
    // One of the lines opens what it does not close.
    for number in 0..100 {
        let line = if number == 50 { "{\"broken\": ".to_owned() } else { record(number) };
        write(&mut pipe, &format!("{line}\n"));
    }
    let last = record(100);
    let (head, tail) = last.split_at(200);
    write(&mut pipe, head);
    until_count(&service, &token, 100);
    assert_eq!(count(&service, &token, "where reason is null and source = 'stdin'"), 99);
    assert_eq!(count(&service, &token, "where reason is not null and raw like '{\"broken\":%'"), 1);
    write(&mut pipe, tail);
    drop(pipe);
    until_count(&service, &token, 101);
    until("it says that it has ended", || service.said().contains("standard input has ended"));
    let told = "has ended: 100 records taken in, 1 rejected";
    assert!(
        service.said().lines().any(|line| line == format!("standard input {told}; the service goes on")),
        "{}",
        service.said()
    );
    assert_eq!(health(&service), (true, told.to_owned()));
    let figures = ["vigie_stdin_records", "vigie_stdin_rejected"].map(|name| figure(&service, &token, name));
    assert_eq!(figures, [Some(100.0), Some(1.0)]);

    let (status, answer) = deliver(service.address, &token, "/api/v1/ingest/aws/cloudtrail", record(200).as_bytes()).unwrap();
    assert_eq!(status, 200, "{answer}");
    until_count(&service, &token, 102);
    assert!(service.stop());
    check_restart(&data, &token, 102);
}

#[test]
fn a_pipe_that_stays_open_holds_up_no_stop() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (service, mut pipe) = Service::start_fed(&[], &data, &["--stdin", "any"]).unwrap();
    let token = service.token.clone().unwrap();
    let lines: String = (0..1000).map(|number| record(number) + "\n").collect();
    write(&mut pipe, &lines);
    write(&mut pipe, "{\"half\": ");
    until("all lines are on disk", || figure(&service, &token, "vigie_stdin_records") == Some(1000.0));
    assert!(service.stop(), "it stops while it waits for the pipe");
    drop(pipe);
    check_restart(&data, &token, 1000);
}

/// A flush fails behind a delivery that is on disk nevertheless: it comes again, and the next start finds
/// it twice. The lines have nothing that names them, and equal ones are events of their own.
#[test]
fn what_is_refused_comes_again_and_is_stored_once() {
    for point in ["spool.write", "spool.flush", "spool.flushed"] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let points = format!("VIGIE_POINTS={point}=error");
        let (service, mut pipe) =
            Service::start_fed(&["env", &points], &data, &["--stdin", "any", "--commit-seconds", "60"]).unwrap();
        let token = service.token.clone().unwrap();
        for number in 1..5 {
            write(&mut pipe, "{\"time\":\"2026-11-20T08:00:00Z\",\"equal\":true}\n");
            until(point, || figure(&service, &token, "vigie_stdin_records") == Some(f64::from(number)));
        }
        assert!(service.said().contains("standard input waits: the disk refuses to write the spool"), "{}", service.said());
        assert_eq!(health(&service), (true, "is read: 4 records taken in, 0 rejected".to_owned()), "{point}");
        service.kill();
        check_restart(&data, &token, 4);
    }
}

#[test]
fn a_line_over_the_limit_costs_itself() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (service, mut pipe) = Service::start_fed(&[], &data, &["--stdin", "aws/cloudtrail", "--commit-seconds", "0.05"]).unwrap();
    let token = service.token.clone().unwrap();
    let long = format!("{{\"eventTime\":\"{}\"}}", "x".repeat(3 * 1024 * 1024));
    write(&mut pipe, &format!("{}\n{long}\n{}\n", record(1), record(2)));
    // Two events, and the long line in rows of a mebibyte at most.
    until_count(&service, &token, 6);
    assert_eq!(count(&service, &token, "where reason like 'is longer than the limit for one record (part % of 4)'"), 4);
    assert!(service.stop());
}

#[test]
fn an_unknown_log_type_is_said_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let ran = vigie(&["up", "--stdin", "no/such", "--data", data.to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 2, "{}", ran.err);
    for word in ["`no/such`", "aws/cloudtrail", "generic/json", "any"] {
        assert!(ran.err.contains(word), "{word}: {}", ran.err);
    }
    assert!(!data.exists(), "nothing was made");
}
