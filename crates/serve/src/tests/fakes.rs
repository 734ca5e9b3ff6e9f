//! Ports that remember what they were given and answer what they are told.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tower::ServiceExt;
use vigie_model::{
    Answer, Ask, Canceller, Cell, Delivery, Intake, Millis, QueryEngine, QueryError, Question, Receipt, Refusal, Rows, SaveError,
    SavedSearch, SavedSearches, Scope, Tenant, TokenInfo, Tokens,
};

use crate::{Health, HealthReport, Ports};

/// What time it is.
pub(crate) const NOW: Millis = 1_800_000_000_000;

struct FakeIntake {
    seen: UnboundedSender<Delivery>,
    outcome: Option<Result<Receipt, Refusal>>,
}

impl Intake for FakeIntake {
    fn deliver(&self, delivery: Delivery, answer: Answer) {
        let lines = delivery.body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count() as u64;
        let _ = self.seen.send(delivery);
        answer(self.outcome.clone().unwrap_or(Ok(Receipt { accepted: lines, ..Receipt::default() })));
    }
}

/// Gives its answers away.
struct HoldingIntake(UnboundedSender<(Delivery, Answer)>);

impl Intake for HoldingIntake {
    fn deliver(&self, delivery: Delivery, answer: Answer) {
        let _ = self.0.send((delivery, answer));
    }
}

struct FakeTokens;

fn token(tenant: &str, scopes: Vec<Scope>) -> Option<TokenInfo> {
    let tenant = Tenant(tenant.to_owned());
    Some(TokenInfo { id: "1".to_owned(), name: "t".to_owned(), tenant, scopes, created: 0, expires: None, last_used: None })
}

impl Tokens for FakeTokens {
    fn check(&self, secret: &str, _now: Millis) -> Result<Option<TokenInfo>, String> {
        Ok(match secret {
            "push" => token("blue", vec![Scope::Ingest]),
            "ask" => token("blue", vec![Scope::Search]),
            "red" => token("red", vec![Scope::Search]),
            _ => None,
        })
    }

    fn create(
        &self,
        _name: &str,
        _tenant: &Tenant,
        _scopes: &[Scope],
        _now: Millis,
        _expires: Option<Millis>,
    ) -> Result<(TokenInfo, String), String> {
        Err("not here".to_owned())
    }

    fn list(&self) -> Result<Vec<TokenInfo>, String> {
        Ok(Vec::new())
    }

    fn revoke(&self, _id: &str) -> Result<bool, String> {
        Ok(false)
    }
}

/// Batches of rows; then, as it is told, an error, or nothing until somebody cancels it.
struct FakeRows {
    columns: Vec<String>,
    batches: VecDeque<Vec<Vec<Cell>>>,
    is_broken: bool,
    wait: Option<(Receiver<()>, std::sync::mpsc::Sender<()>)>,
}

impl FakeRows {
    fn new(columns: &[&str], batches: impl IntoIterator<Item = Vec<Vec<Cell>>>) -> FakeRows {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        FakeRows { columns, batches: batches.into_iter().collect(), is_broken: false, wait: None }
    }
}

impl Rows for FakeRows {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn version(&self) -> u64 {
        7
    }

    fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>, QueryError> {
        match (self.batches.pop_front(), &self.wait) {
            (Some(batch), _) => Ok(Some(batch)),
            (None, Some((cancelled, _))) => {
                let _ = cancelled.recv();
                Err(QueryError::Limit("cancelled".to_owned()))
            }
            (None, None) if self.is_broken => Err(QueryError::Limit("too many".to_owned())),
            (None, None) => Ok(None),
        }
    }

    fn canceller(&self) -> Option<Canceller> {
        let (_, sender) = self.wait.as_ref()?;
        let sender = sender.clone();
        Some(Arc::new(move || {
            let _ = sender.send(());
        }))
    }
}

/// Five events, one a second, of which a search for `pages` finds those behind its place.
fn page(question: &Question, limit: usize) -> FakeRows {
    let id = |number: i64| format!("{number:032x}");
    let is_behind = |number: &i64| {
        question.before.as_ref().is_none_or(|place| (number * 1_000_000, id(*number)) < (place.time_us, place.event_id.clone()))
    };
    let row = |number: i64| vec![Cell::Time(number * 1_000_000), Cell::Text(id(number)), Cell::Time(NOW * 1000)];
    let rows: Vec<Vec<Cell>> = (1..=5).rev().filter(is_behind).take(limit).map(row).collect();
    FakeRows::new(&["time", "event_id", "ingested"], Some(rows).filter(|rows| !rows.is_empty()))
}

struct FakeEngine;

impl QueryEngine for FakeEngine {
    fn ask(&self, question: &Question) -> Result<Box<dyn Rows>, QueryError> {
        let row = vec![Cell::Integer(i64::MAX), Cell::Time(1_000_000)];
        let found = match &question.ask {
            Ask::Sql(text) if text == "wrong" => return Err(QueryError::Question("no".to_owned())),
            Ask::Sql(text) => {
                let is_broken = text == "breaks";
                let wait = (text == "waits").then(channel).map(|(sender, receiver)| (receiver, sender));
                FakeRows { is_broken, wait, ..FakeRows::new(&["z", "a"], [vec![row.clone()], vec![row]]) }
            }
            Ask::Search { filter, .. } if filter == "(" => return Err(QueryError::Question("not closed".to_owned())),
            Ask::Search { filter, limit } if filter == "pages" || filter.contains("192.0.2.7") => page(question, *limit),
            Ask::Facet { filter, column, .. } if filter.contains("192.0.2.7") => {
                let counts = vec![vec![Cell::Text(column.clone()), Cell::Integer(4)], vec![Cell::Null, Cell::Integer(1)]];
                FakeRows::new(&["value", "events"], [counts])
            }
            Ask::Extent { .. } => {
                let ends = vec![Cell::Time(1_000_000), Cell::Time(5_000_000), Cell::Integer(5)];
                FakeRows::new(&["first", "last", "events"], [vec![ends]])
            }
            ask => return Err(QueryError::Failed(format!("{ask:?} {:?} {:?}", question.since, question.until))),
        };
        Ok(Box::new(found))
    }

    fn version(&self) -> u64 {
        7
    }
}

#[derive(Default)]
struct FakeSaved(Mutex<Vec<(Tenant, SavedSearch)>>);

impl SavedSearches for FakeSaved {
    fn searches(&self, tenant: &Tenant) -> Result<Vec<SavedSearch>, String> {
        let saved = self.0.lock().unwrap();
        Ok(saved.iter().filter(|(owner, _)| owner == tenant).map(|(_, search)| search.clone()).collect())
    }

    fn search(&self, tenant: &Tenant, name: &str) -> Result<Option<SavedSearch>, String> {
        Ok(self.searches(tenant)?.into_iter().find(|search| search.name == name))
    }

    fn save(&self, tenant: &Tenant, search: &SavedSearch) -> Result<(), SaveError> {
        match search.name.as_str() {
            "refused" => Err(SaveError::Refused("not this name".to_owned())),
            "failed" => Err(SaveError::Failed("the disk is full".to_owned())),
            _ => {
                self.0.lock().unwrap().push((tenant.clone(), search.clone()));
                Ok(())
            }
        }
    }

    fn forget(&self, tenant: &Tenant, name: &str) -> Result<bool, String> {
        let mut saved = self.0.lock().unwrap();
        let count = saved.len();
        saved.retain(|(owner, search)| owner != tenant || search.name != name);
        Ok(saved.len() < count)
    }
}

struct FakeHealth;

impl Health for FakeHealth {
    fn health(&self) -> HealthReport {
        let figures = vec![("vigie_lag_seconds".to_owned(), "How far behind".to_owned(), 1.5)];
        HealthReport { is_ready: true, parts: vec![("lake".to_owned(), true, "it is well".to_owned())], figures }
    }
}

/// Ports whose intake answers with `outcome`, or takes everything.
pub(crate) fn ports(outcome: Option<Result<Receipt, Refusal>>) -> (Ports, UnboundedReceiver<Delivery>) {
    let (seen, deliveries) = unbounded_channel();
    let ports = Ports {
        intake: Arc::new(FakeIntake { seen, outcome }),
        engine: Arc::new(FakeEngine),
        tokens: Arc::new(FakeTokens),
        saved: Arc::new(FakeSaved::default()),
        secret: [7; 32],
        clock: || NOW,
        health: Arc::new(FakeHealth),
    };
    (ports, deliveries)
}

/// Ports whose intake answers when the test does.
pub(crate) fn holding() -> (Ports, UnboundedReceiver<(Delivery, Answer)>) {
    let (seen, held) = unbounded_channel();
    (Ports { intake: Arc::new(HoldingIntake(seen)), ..ports(None).0 }, held)
}

/// A request of `METHOD /path` with headers as pairs.
pub(crate) fn request(line: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let (method, path) = line.split_once(' ').unwrap();
    let begun = Request::builder().method(method).uri(path);
    headers.iter().fold(begun, |request, (name, value)| request.header(*name, *value)).body(body.into()).unwrap()
}

/// Sends a request to a router.
pub(crate) async fn send(router: &Router, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}
