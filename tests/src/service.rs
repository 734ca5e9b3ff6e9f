//! A running service as a test sees it: started on a folder, asked over HTTP, killed.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::binary;

/// How long a request may take.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);
/// Bytes of what a service says that are kept.
const SAID_BYTES_MAX: usize = 1024 * 1024;

/// A `vigie up` on a folder; dropping it kills it.
pub struct Service {
    child: Child,
    /// The service's own process, where another program started it.
    pid: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The token that the first start showed; none later.
    pub token: Option<String>,
    said: Arc<Mutex<String>>,
}

impl Service {
    /// Starts it and waits until it listens.
    pub fn start(data: &Path, arguments: &[&str]) -> io::Result<Service> {
        Service::start_under(&[], data, arguments)
    }

    /// Starts it under another program, such as one that makes system calls fail.
    pub fn start_under(prefix: &[&str], data: &Path, arguments: &[&str]) -> io::Result<Service> {
        Service::begin(prefix, data, arguments, Stdio::null())
    }

    /// Starts it under another program with a pipe for its standard input; gives the end to write to.
    pub fn start_fed(prefix: &[&str], data: &Path, arguments: &[&str]) -> io::Result<(Service, ChildStdin)> {
        let mut service = Service::begin(prefix, data, arguments, Stdio::piped())?;
        let pipe = service.child.stdin.take().ok_or_else(|| io::Error::other("no standard input"))?;
        Ok((service, pipe))
    }

    fn begin(prefix: &[&str], data: &Path, arguments: &[&str], input: Stdio) -> io::Result<Service> {
        let mut command = match prefix {
            [] => Command::new(binary()),
            [program, rest @ ..] => {
                let mut command = Command::new(program);
                command.args(rest).arg(binary());
                command
            }
        };
        let mut child = command
            .args(["up", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(arguments)
            .stdin(input)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().ok_or_else(|| io::Error::other("no standard error"))?;
        let mut lines = BufReader::new(stderr);
        let (mut address, mut token, mut said) = (None, None, String::new());
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 {
            said.push_str(&line);
            if let Some(rest) = line.strip_prefix("vigie ").and_then(|rest| rest.split_once("on http://")).map(|(_, rest)| rest) {
                address = rest.split_once(',').and_then(|(address, _)| address.parse().ok());
            }
            if let Some((_, secret)) = line.split_once("token (shown this once): ") {
                token = Some(secret.trim().to_owned());
            }
            if line.starts_with("ready") {
                break;
            }
            line.clear();
        }
        let Some(address) = address else {
            // Nobody writes to its standard error any more: it is about to be gone.
            let _ = child.wait();
            return Err(io::Error::other(format!("the service did not start: {said}")));
        };
        let said = Arc::default();
        listen(lines, &said);
        let pid = std::fs::read_to_string(data.join("vigie.pid"))?;
        Ok(Service { child, pid, address, token, said })
    }

    /// Ends it at once, as a power cut would end the process.
    pub fn kill(self) {
        drop(self);
    }

    /// Asks it to stop, and waits until it did. True when it ended well.
    pub fn stop(mut self) -> bool {
        let _ = Command::new("kill").args(["-TERM", &self.pid]).status();
        self.child.wait().is_ok_and(|status| status.success())
    }

    /// What it said on standard error since it was ready, as far as it came.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The id of its process.
    pub fn process(&self) -> &str {
        &self.pid
    }

    /// The most memory that it had so far, in bytes.
    ///
    /// # Errors
    /// It is gone.
    pub fn memory_peak_bytes(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let kib: u64 = peak.trim().trim_end_matches("kB").trim().parse().map_err(io::Error::other)?;
        Ok(kib * 1024)
    }

    /// The time that its threads ran so far.
    ///
    /// # Errors
    /// It is gone.
    pub fn processor_time(&self) -> io::Result<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // The name of the program, in brackets, may hold anything.
        let rest = text.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let ticks: u64 = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // A program that it runs under ends behind it: waiting for that one is waiting for both.
            let killed = Command::new("kill").args(["-KILL", &self.pid]).stderr(Stdio::null()).status();
            if !killed.is_ok_and(|status| status.success()) {
                let _ = self.child.kill();
            }
        }
        let _ = self.child.wait();
    }
}

/// Reads what a service says away, so that it never waits for a reader, and keeps it.
fn listen(mut lines: BufReader<ChildStderr>, said: &Arc<Mutex<String>>) {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() < SAID_BYTES_MAX {
                said.push_str(&String::from_utf8_lossy(&line));
            }
            line.clear();
        }
    });
}

/// What a request was answered with.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its header as it came.
    pub head: String,
    /// Its body.
    pub body: String,
}

/// Sends one request; gives the status and the body.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<(u16, String)> {
    exchange(address, method, path, headers, body).map(|answer| (answer.status, answer.body))
}

/// Sends one request; gives all of the answer.
pub fn exchange(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, REQUEST_TIME_MAX)?;
    stream.set_read_timeout(Some(REQUEST_TIME_MAX))?;
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { unchunk(body) } else { body.to_owned() };
    Ok(Answer { status, head: head.to_owned(), body })
}

fn unchunk(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        text.push_str(rest.get(..size).unwrap_or_default());
        body = rest.get(size + 2..).unwrap_or_default();
    }
    text
}

/// Sends records; gives the status and the answer.
pub fn deliver(address: SocketAddr, token: &str, path: &str, body: &[u8]) -> io::Result<(u16, Value)> {
    let bearer = format!("Bearer {token}");
    let (status, text) = request(address, "POST", path, &[("authorization", &bearer)], body)?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// Asks a statement of SQL; gives the rows.
pub fn ask(address: SocketAddr, token: &str, sql: &str) -> io::Result<Vec<Vec<Value>>> {
    let bearer = format!("Bearer {token}");
    let body = serde_json::json!({ "sql": sql }).to_string();
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let (status, text) = request(address, "POST", "/api/v1/sql", &headers, body.as_bytes())?;
    let answer: Value = serde_json::from_str(&text).map_err(io::Error::other)?;
    match answer.get("rows").and_then(Value::as_array) {
        Some(rows) if status == 200 => Ok(rows.iter().filter_map(|row| row.as_array().cloned()).collect()),
        _ => Err(io::Error::other(format!("{status}: {text}"))),
    }
}

/// A record of our own with this number: no two have the same id.
pub fn record(number: u64) -> String {
    let user = number % 613;
    let (minute, second) = (number / 60 % 60, number % 60);
    let hour = number / 3600 % 24;
    format!(
        concat!(
            r#"{{"eventVersion":"1.11","userIdentity":{{"type":"IAMUser","principalId":"AIDAEXAMPLE{user}","#,
            r#""arn":"arn:aws:iam::111122223333:user/team-{user}","accountId":"111122223333","userName":"team-{user}"}},"#,
            r#""eventTime":"2026-11-20T{hour:02}:{minute:02}:{second:02}Z","eventSource":"s3.amazonaws.com","#,
            r#""eventName":"GetObject","awsRegion":"eu-west-3","sourceIPAddress":"192.0.2.{address}","#,
            r#""userAgent":"aws-cli/2.15","requestParameters":{{"bucketName":"reports","key":"file-{number}"}},"#,
            r#""responseElements":null,"requestID":"R{number:010}","eventID":"e{number:07x}-0000-4000-8000-{number:012x}","#,
            r#""readOnly":true,"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"111122223333"}}"#,
        ),
        user = user,
        hour = hour,
        minute = minute,
        second = second,
        address = number % 200 + 1,
        number = number,
    )
}
