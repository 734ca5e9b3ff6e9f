//! The HTTP event collector of Splunk: objects with an `event` each, or raw lines.
//!
//! The answers, codes and acknowledgements follow "Format events for HTTP Event Collector" and
//! "Possible error codes" of Splunk's documentation. An acknowledgement is always true: the answer
//! comes when all is on disk.

use std::sync::atomic::Ordering;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use vigie_model::limits::DELIVERY_BYTES_MAX;
use vigie_model::{Delivery, LogType, Refusal, Tenant, TokenInfo};

use crate::auth::{Denied, Need, authorise};
use crate::decode::{BodyError, read_body};
use crate::ingest::deliver;
use crate::problem::{Problem, with_retry};
use crate::service::{Inner, Shared};

/// Log types that one request may name; the events of more find their own.
const LOGS_MAX: usize = 64;
/// Bytes of a question for acknowledgements.
const ACK_BYTES_MAX: usize = 1024 * 1024;

/// An event with what is said about it.
#[derive(Debug, Deserialize)]
struct Event<'body> {
    #[serde(borrow)]
    event: Option<&'body RawValue>,
    time: Option<Value>,
    host: Option<Value>,
    source: Option<Value>,
    sourcetype: Option<Value>,
    index: Option<Value>,
}

/// What the query of the address says about raw lines.
#[derive(Debug, Default, Deserialize)]
struct Said {
    token: Option<String>,
    channel: Option<String>,
    host: Option<String>,
    source: Option<String>,
    sourcetype: Option<String>,
    index: Option<String>,
}

/// A question for acknowledgements.
#[derive(Debug, Deserialize)]
struct Acks {
    acks: Vec<u64>,
}

/// Events of a request by their log type, each as its own line.
#[derive(Debug, Default)]
struct Bodies(Vec<(Option<LogType>, Vec<u8>)>);

impl Bodies {
    fn add(&mut self, sourcetype: Option<&str>, record: &str) {
        let log = sourcetype.and_then(LogType::parse);
        let log = log.filter(|log| self.0.len() < LOGS_MAX || self.0.iter().any(|(known, _)| known.as_ref() == Some(log)));
        let line = [record.as_bytes(), b"\n"].concat();
        match self.0.iter_mut().find(|(known, _)| *known == log) {
            Some((_, body)) => body.extend_from_slice(&line),
            None => self.0.push((log, line)),
        }
    }
}

/// Why a request is answered by no.
struct No {
    status: StatusCode,
    code: u32,
    text: String,
    event_number: Option<usize>,
    retry_after_seconds: Option<u64>,
}

fn no(status: StatusCode, code: u32, text: impl Into<String>) -> No {
    No { status, code, text: text.into(), event_number: None, retry_after_seconds: None }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        let mut body = json!({ "text": self.text, "code": self.code });
        if let (Some(number), Some(body)) = (self.event_number, body.as_object_mut()) {
            body.insert("invalid-event-number".to_owned(), number.into());
        }
        with_retry((self.status, Json(body)).into_response(), self.retry_after_seconds)
    }
}

impl From<Denied> for No {
    fn from(denied: Denied) -> No {
        match denied {
            Denied::Missing => no(StatusCode::UNAUTHORIZED, 2, "Token is required"),
            Denied::Wrong => no(StatusCode::FORBIDDEN, 4, "Invalid token"),
            Denied::Unknown => no(StatusCode::SERVICE_UNAVAILABLE, 9, denied.sentence()),
            Denied::TooMany => no(StatusCode::TOO_MANY_REQUESTS, 9, denied.sentence()),
            Denied::Scope(_) => no(StatusCode::FORBIDDEN, 1, denied.sentence()),
        }
    }
}

impl From<BodyError> for No {
    fn from(error: BodyError) -> No {
        refused(Problem::from(error))
    }
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> No {
        refused(Problem::from(refusal))
    }
}

/// What is to be sent again later is "server is busy", whatever the reason.
fn refused(problem: Problem) -> No {
    let (status, code) = match problem.retry_after_seconds {
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, 9),
        None => (problem.status, 6),
    };
    No { retry_after_seconds: problem.retry_after_seconds, ..no(status, code, problem.detail) }
}

/// Whether a text is one JSON object.
pub(crate) fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The record of an event: an object as it came; anything else within a `message`.
fn record(event: &Event<'_>, raw: &str) -> String {
    if raw.starts_with('{') {
        return raw.to_owned();
    }
    let message = serde_json::from_str(raw).unwrap_or_else(|_| Value::from(raw));
    if let Some(text) = message.as_str()
        && is_object(text)
    {
        return text.to_owned();
    }
    let about = [
        ("message", Some(&message)),
        ("time", event.time.as_ref()),
        ("host", event.host.as_ref()),
        ("source", event.source.as_ref()),
        ("sourcetype", event.sourcetype.as_ref()),
        ("index", event.index.as_ref()),
    ];
    let known = about.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.clone())));
    Value::Object(known.collect::<Map<String, Value>>()).to_string()
}

/// Splits a body into events. What comes before a bad one is kept, as Splunk does.
fn events(body: &[u8]) -> (Bodies, Option<No>) {
    let mut bodies = Bodies::default();
    for (number, event) in serde_json::Deserializer::from_slice(body).into_iter::<Event<'_>>().enumerate() {
        let bad = |code, text: &str| No { event_number: Some(number), ..no(StatusCode::BAD_REQUEST, code, text) };
        let Ok(event) = event else {
            return (bodies, Some(bad(6, "Invalid data format")));
        };
        let raw = match event.event.map(RawValue::get) {
            None => return (bodies, Some(bad(12, "Event field is required"))),
            Some("\"\"") => return (bodies, Some(bad(13, "Event field cannot be blank"))),
            Some(raw) => raw,
        };
        bodies.add(event.sourcetype.as_ref().and_then(Value::as_str), &record(&event, raw));
    }
    let is_empty = bodies.0.is_empty();
    (bodies, is_empty.then(|| no(StatusCode::BAD_REQUEST, 5, "No data")))
}

/// Splits a body into raw lines; a body of nothing but JSON objects or arrays stays as it is.
fn raw_lines(body: Vec<u8>, said: &Said) -> (Bodies, Option<No>) {
    let mut bodies = Bodies::default();
    let sourcetype = said.sourcetype.as_deref();
    let begins_as_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
    if begins_as_json && serde_json::Deserializer::from_slice(&body).into_iter::<IgnoredAny>().all(|value| value.is_ok()) {
        return (Bodies(vec![(sourcetype.and_then(LogType::parse), body)]), None);
    }
    let text = String::from_utf8_lossy(&body);
    let about = Event {
        event: None,
        time: None,
        host: said.host.clone().map(Value::from),
        source: said.source.clone().map(Value::from),
        sourcetype: said.sourcetype.clone().map(Value::from),
        index: said.index.clone().map(Value::from),
    };
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        bodies.add(sourcetype, &record(&about, &Value::from(line).to_string()));
    }
    let is_empty = bodies.0.is_empty();
    (bodies, is_empty.then(|| no(StatusCode::BAD_REQUEST, 5, "No data")))
}

fn said(uri: &Uri) -> Said {
    Query::<Said>::try_from_uri(uri).map(|Query(said)| said).unwrap_or_default()
}

/// Lets a client in. A token in the address would stand in the logs of every proxy on its way.
fn enter(shared: &Inner, headers: &HeaderMap, said: &Said) -> Result<TokenInfo, No> {
    if said.token.is_some() {
        return Err(no(
            StatusCode::BAD_REQUEST,
            16,
            "a token in the address is not accepted: send it in the header `Authorization: Splunk TOKEN`",
        ));
    }
    Ok(authorise(shared, headers, Need::Ingest)?)
}

/// Delivers every body; a log type that is not known here lets its events find their own.
async fn deliver_all(shared: &Inner, tenant: &Tenant, bodies: Bodies) -> Result<(), No> {
    for (log, body) in bodies.0 {
        let to =
            |log: Option<LogType>, body| Delivery { tenant: tenant.clone(), log, source: "hec".to_owned(), number: None, body };
        let outcome = match log {
            None => deliver(shared, "hec", to(None, body)).await,
            log => match deliver(shared, "hec", to(log, body.clone())).await {
                Err(Refusal::UnknownLog(_)) => deliver(shared, "hec", to(None, body)).await,
                outcome => outcome,
            },
        };
        outcome?;
    }
    Ok(())
}

async fn take(shared: &Inner, request: Request, is_raw: bool) -> Result<Response, No> {
    let (parts, body) = request.into_parts();
    let said = said(&parts.uri);
    let token = enter(shared, &parts.headers, &said)?;
    let body = read_body(&parts.headers, parts.extensions.get(), body, DELIVERY_BYTES_MAX).await?;
    let (bodies, bad) = if is_raw { raw_lines(body, &said) } else { events(&body) };
    deliver_all(shared, &token.tenant, bodies).await?;
    if let Some(bad) = bad {
        return Err(bad);
    }
    let has_channel = said.channel.is_some() || parts.headers.contains_key("x-splunk-request-channel");
    let mut answer = json!({ "text": "Success", "code": 0 });
    if has_channel && let Some(answer) = answer.as_object_mut() {
        answer.insert("ackId".to_owned(), shared.numbers.fetch_add(1, Ordering::Relaxed).into());
    }
    Ok(Json(answer).into_response())
}

/// Takes events in.
pub(crate) async fn event(State(shared): State<Shared>, request: Request) -> Response {
    take(&shared, request, false).await.into_response()
}

/// Takes raw lines in.
pub(crate) async fn raw(State(shared): State<Shared>, request: Request) -> Response {
    take(&shared, request, true).await.into_response()
}

/// Says that whatever was answered is on disk.
pub(crate) async fn ack(State(shared): State<Shared>, request: Request) -> Response {
    let acknowledge = async {
        let (parts, body) = request.into_parts();
        enter(&shared, &parts.headers, &said(&parts.uri))?;
        let body = read_body(&parts.headers, None, body, ACK_BYTES_MAX).await?;
        let asked: Acks = serde_json::from_slice(&body).map_err(|_| no(StatusCode::BAD_REQUEST, 6, "Invalid data format"))?;
        let acks: Map<String, Value> = asked.acks.into_iter().map(|number| (number.to_string(), Value::Bool(true))).collect();
        Ok::<Response, No>(Json(json!({ "acks": acks })).into_response())
    };
    acknowledge.await.into_response()
}

/// Says whether events may come.
pub(crate) async fn health(State(shared): State<Shared>, headers: HeaderMap, uri: Uri) -> Response {
    if let Err(no) = enter(&shared, &headers, &said(&uri)) {
        return no.into_response();
    }
    if shared.ports.health.health().is_ready {
        return Json(json!({ "text": "HEC is healthy", "code": 17 })).into_response();
    }
    no(StatusCode::SERVICE_UNAVAILABLE, 18, "HEC is unhealthy, queues are full").into_response()
}
