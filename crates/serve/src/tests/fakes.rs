//! Ports that remember what they were given and answer what they are told.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tower::ServiceExt;
use vigie_model::{
    Answer, Ask, Cell, Delivery, Intake, Millis, QueryEngine, QueryError, Question, Receipt, Refusal, Rows, Scope, Tenant,
    TokenInfo, Tokens,
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

/// Two batches of one row; then an error when the statement is `breaks`.
struct FakeRows {
    columns: Vec<String>,
    left: usize,
    is_broken: bool,
}

impl Rows for FakeRows {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn version(&self) -> u64 {
        7
    }

    fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>, QueryError> {
        if self.left == 0 {
            return if self.is_broken { Err(QueryError::Limit("too many".to_owned())) } else { Ok(None) };
        }
        self.left -= 1;
        Ok(Some(vec![vec![Cell::Integer(i64::MAX), Cell::Time(1_000_000)]]))
    }
}

struct FakeEngine;

impl QueryEngine for FakeEngine {
    fn ask(&self, question: &Question) -> Result<Box<dyn Rows>, QueryError> {
        let is_broken = match &question.ask {
            Ask::Sql(text) if text == "wrong" => return Err(QueryError::Question("no".to_owned())),
            Ask::Sql(text) => text == "breaks",
            ask => return Err(QueryError::Failed(format!("{ask:?} {:?} {:?}", question.since, question.until))),
        };
        Ok(Box::new(FakeRows { columns: vec!["z".to_owned(), "a".to_owned()], left: 2, is_broken }))
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
        clock: || NOW,
        health: Arc::new(FakeHealth),
    };
    (ports, deliveries)
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
