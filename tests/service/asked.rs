//! Questions that outlive a request, on a running service: jobs, pages, tails, pivots, saved searches.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vigie_tests::service::{Service, ask, deliver, record, request};
use vigie_tests::vigie;

/// Records that are sent first.
const RECORDS: u64 = 100;

struct Client {
    service: Service,
    token: String,
}

impl Client {
    fn send(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("authorization", bearer.as_str())];
        let (status, text) = request(self.service.address, method, path, &headers, body.as_bytes()).unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    fn deliver(&self, numbers: impl Iterator<Item = u64>) {
        let body: String = numbers.map(|number| record(number) + "\n").collect();
        assert_eq!(deliver(self.service.address, &self.token, "/api/v1/ingest", body.as_bytes()).unwrap().0, 200);
    }

    /// Waits until so many events can be found.
    fn until(&self, wanted: u64) {
        let begun = Instant::now();
        loop {
            let rows = ask(self.service.address, &self.token, "select count(*) from events").unwrap();
            if rows[0][0].as_u64() == Some(wanted) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{rows:?}");
        }
    }
}

fn client(data: &std::path::Path) -> Client {
    let service = Service::start(data, &["--commit-seconds", "0.1"]).unwrap();
    let token = service.token.clone().unwrap();
    let client = Client { service, token };
    client.deliver(0..RECORDS);
    client.until(RECORDS);
    client
}

#[test]
fn pages_skip_and_repeat_nothing_while_events_come_in() {
    let folder = tempfile::tempdir().unwrap();
    let client = client(folder.path());
    let mut body = json!({ "limit": 30 });
    let (mut ids, mut count) = (BTreeSet::new(), 0);
    loop {
        let (status, page) = client.send("POST", "/api/v1/search", &body.to_string());
        assert_eq!(status, 200, "{page}");
        let columns = page["columns"].as_array().unwrap();
        let at = columns.iter().position(|column| column == "event_id").unwrap();
        let rows = page["rows"].as_array().unwrap();
        ids.extend(rows.iter().map(|row| row[at].as_str().unwrap().to_owned()));
        count += rows.len() as u64;
        if count == 30 {
            // Newer than all that were asked for: they belong to no later page.
            client.deliver(RECORDS..RECORDS + 50);
            client.until(RECORDS + 50);
        }
        match page["next"].as_str() {
            Some(next) => body = json!({ "cursor": next }),
            None => break,
        }
    }
    assert_eq!((ids.len() as u64, count), (RECORDS, RECORDS));
}

#[test]
fn a_job_ends_by_itself_or_when_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let client = client(folder.path());
    let (status, begun) = client.send("POST", "/api/v1/jobs", "{\"kind\":\"search\",\"filter\":\"user:team-7\"}");
    assert_eq!(status, 202, "{begun}");
    let path = format!("/api/v1/jobs/{}", begun["id"].as_str().unwrap());
    let job = loop {
        let (_, job) = client.send("GET", &path, "");
        if job["state"] != "running" {
            break job;
        }
    };
    assert_eq!((&job["state"], &job["rows_kept"], &job["is_complete"]), (&json!("done"), &json!(1), &json!(true)), "{job}");
    // A query that counts for as long as it may.
    let sql = "with recursive t as (select 1 as n union all select n + 1 from t) select max(n) from t";
    let (_, begun) = client.send("POST", "/api/v1/jobs", &json!({ "kind": "sql", "sql": sql }).to_string());
    let path = format!("/api/v1/jobs/{}", begun["id"].as_str().unwrap());
    while client.send("GET", &path, "").1["version"].is_null() {}
    assert_eq!(client.send("DELETE", &path, "").0, 204);
    assert_eq!(client.send("GET", &path, "").1["state"], "cancelled");
    assert!(client.service.stop(), "nothing is left that keeps it from stopping");
}

#[test]
fn a_tail_shows_what_comes_in_and_says_when_the_service_stops() {
    let folder = tempfile::tempdir().unwrap();
    let client = client(folder.path());
    let mut stream = TcpStream::connect(client.service.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head =
        format!("GET /api/v1/tail?filter=user:team-101 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\r\n", client.token);
    stream.write_all(head.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert_eq!(lines.find(|line| line.starts_with(':')).as_deref(), Some(": begun"));
    client.deliver(RECORDS..RECORDS + 2);
    let data = lines.find(|line| line.starts_with("data: ")).unwrap();
    let event: Value = serde_json::from_str(data.trim_start_matches("data: ")).unwrap();
    assert_eq!(event["actor_user_name"], "team-101", "{event}");
    let stopped = std::thread::spawn(move || client.service.stop());
    assert!(lines.any(|line| line.contains("the service stops")));
    assert!(stopped.join().unwrap());
}

#[test]
fn pivots_and_saved_searches_work_beside_the_service_too() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let client = client(folder.path());
    let (status, found) = client.send("GET", "/api/v1/entity/principal/team-7", "");
    assert_eq!((status, &found["events"], &found["operations"][0]["value"]), (200, &json!(1), &json!("GetObject")), "{found}");
    let ran = vigie(&["pivot", "principal", "team-7", "--data", data]).unwrap();
    assert!(ran.out.starts_with("principal team-7\n1 event, from 2026-11-20T00:00:07Z"), "{} {}", ran.out, ran.err);
    assert!(ran.out.lines().all(|line| line.chars().count() <= 100), "{}", ran.out);

    let searched = vigie(&["search", "user:team-7", "--save", "seven", "--data", data]).unwrap();
    assert!(searched.code == 0 && searched.out.lines().count() == 1, "{} {}", searched.out, searched.err);
    assert_eq!(vigie(&["search", "--saved", "seven", "--data", data]).unwrap().out, searched.out);
    assert_eq!(client.send("GET", "/api/v1/saved/seven", "").1["filter"], "user:team-7");
    let ran = vigie(&["search", "(", "--save", "broken", "--data", data]).unwrap();
    assert_eq!(ran.code, 2, "{}", ran.err);
    let ran = vigie(&["search", "--saved", "broken", "--data", data]).unwrap();
    assert!(ran.code == 2 && ran.err.contains("there are: seven"), "{}", ran.err);
}
