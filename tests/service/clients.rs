//! Clients that others wrote deliver to the service, and every event is counted.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use vigie_tests::service::{Service, ask};

use crate::python;

const EVENTS: u64 = 10_000;

fn counted(service: &Service, token: &str, condition: &str) -> u64 {
    let begun = Instant::now();
    loop {
        let rows = ask(service.address, token, &format!("select count(*) from events where {condition}")).unwrap();
        let count = rows[0][0].as_u64().unwrap();
        if count >= EVENTS || begun.elapsed() > Duration::from_secs(60) {
            return count;
        }
    }
}

#[test]
fn done_lake_7_clients_deliver_every_event() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = format!("[listen]\nsyslog_tcp = \"127.0.0.1:{port}\"\n[commit]\nwait_seconds = 0.2\n");
    std::fs::write(data.join("vigie.toml"), settings).unwrap();
    let service = Service::start(&data, &[]).unwrap();
    let token = service.token.clone().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("service/clients.py");
    let mut total = 0;
    for client in ["curl", "bulk", "hec", "otlp-http", "otlp-grpc", "syslog"] {
        let mut run = Command::new(python());
        run.arg(&script).args([client, &service.address.to_string(), &token, &port.to_string()]).arg(folder.path());
        let mut run = run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let condition = match client {
            "syslog" => "raw like '%client=syslog%'".to_owned(),
            client => format!("raw like '% of {client}\"%'"),
        };
        // The daemon of syslog forwards in its own time: it is told to end when all have come.
        let count = if client == "syslog" { counted(&service, &token, &condition) } else { 0 };
        drop(run.stdin.take());
        let ran = run.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{client}: {said}");
        let count = count.max(counted(&service, &token, &condition));
        assert_eq!(count, EVENTS, "{client}: {said}");
        total += count;
    }
    println!("6 clients delivered {total} events, all counted");
}
