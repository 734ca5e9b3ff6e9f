//! The bulk interface of Elasticsearch: an action line and a source line for each record.
//!
//! The shapes follow "Bulk API" of Elasticsearch's documentation. Sources are delivered as they came,
//! and every event gets its id from its content: an `_id` is given back and otherwise unused.

use std::sync::atomic::Ordering;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use vigie_model::limits::DELIVERY_BYTES_MAX;
use vigie_model::{Delivery, Receipt};

use crate::auth::{Denied, Need, authorise};
use crate::decode::read_body;
use crate::hec::is_object;
use crate::ingest::deliver;
use crate::problem::{Problem, with_retry};
use crate::service::{Inner, Shared};

/// The index of a record that names none.
const INDEX_DEFAULT: &str = "vigie";
/// The header and value by which clients know that they speak with what they expect.
const PRODUCT: (&str, &str) = ("x-elastic-product", "Elasticsearch");

/// What an action line says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct About {
    #[serde(rename = "_index")]
    index: Option<String>,
    #[serde(rename = "_id")]
    id: Option<String>,
}

/// One action as it is answered.
#[derive(Debug)]
struct Item {
    action: &'static str,
    index: String,
    id: Option<String>,
    /// Why it is refused: the type of error and a sentence.
    error: Option<(&'static str, String)>,
}

/// A request taken apart.
#[derive(Debug, Default)]
struct Actions {
    items: Vec<Item>,
    /// Sources that are delivered, one a line.
    body: Vec<u8>,
    /// Which item each delivered source belongs to.
    delivered: Vec<usize>,
}

/// Takes a body apart, or says which line is no action.
fn actions(body: &[u8], index: Option<&str>) -> Result<Actions, String> {
    let mut actions = Actions::default();
    let mut lines = body.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).enumerate().filter(|(_, line)| !line.is_empty());
    while let Some((number, line)) = lines.next() {
        let wrong =
            || format!("Malformed action/metadata line [{}], expected one of [create, delete, index, update]", number + 1);
        let action: Map<String, Value> = serde_json::from_slice(line).map_err(|_| wrong())?;
        let (verb, about) = action.into_iter().next().ok_or_else(wrong)?;
        let verb = ["create", "index", "delete", "update"].into_iter().find(|known| *known == verb).ok_or_else(wrong)?;
        let about: About = serde_json::from_value(about).map_err(|_| wrong())?;
        let source = if verb == "delete" { None } else { lines.next().map(|(_, line)| line) };
        let error = match (verb, source.map(std::str::from_utf8)) {
            ("delete" | "update", _) => {
                Some(("illegal_argument_exception", format!("`{verb}` is not possible: records are kept as they came")))
            }
            (_, Some(Ok(source))) if is_object(source) => {
                actions.delivered.push(actions.items.len());
                actions.body.extend_from_slice(source.as_bytes());
                actions.body.push(b'\n');
                None
            }
            (_, Some(_)) => Some(("document_parsing_exception", "the source is no JSON object on one line".to_owned())),
            (_, None) => Some(("illegal_argument_exception", "the source is missing".to_owned())),
        };
        let index = about.index.or_else(|| index.map(str::to_owned)).unwrap_or_else(|| INDEX_DEFAULT.to_owned());
        actions.items.push(Item { action: verb, index, id: about.id, error });
    }
    Ok(actions)
}

/// Marks the items that the receipt names. It names at most
/// [`vigie_model::limits::REJECTS_NAMED_MAX`]: of more, the others stand as created although they are
/// in quarantine, and only `errors` says so. A source that is an envelope is several records, so that
/// the numbers of those behind it are of records, not of items.
fn mark(actions: &mut Actions, receipt: &Receipt) {
    for reject in &receipt.rejects {
        let at = usize::try_from(reject.index).ok().and_then(|at| actions.delivered.get(at));
        if let Some(item) = at.and_then(|&at| actions.items.get_mut(at)) {
            item.error = Some(("document_parsing_exception", reject.reason.clone()));
        }
    }
}

fn item_json(shared: &Inner, item: Item) -> Value {
    let id = item.id.unwrap_or_else(|| format!("{:016x}", shared.numbers.fetch_add(1, Ordering::Relaxed)));
    let outcome = match item.error {
        None => json!({ "_index": item.index, "_id": id, "_version": 1, "result": "created", "status": 201 }),
        Some((kind, reason)) => {
            json!({ "_index": item.index, "_id": id, "status": 400, "error": { "type": kind, "reason": reason } })
        }
    };
    Value::Object(Map::from_iter([(item.action.to_owned(), outcome)]))
}

fn answer(status: StatusCode, body: Value) -> Response {
    (status, [PRODUCT], Json(body)).into_response()
}

/// A problem in the words of this protocol.
fn failure(problem: Problem) -> Response {
    let kind = match problem.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "security_exception",
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "es_rejected_execution_exception",
        _ => "illegal_argument_exception",
    };
    let cause = json!({ "type": kind, "reason": problem.detail });
    let body = json!({
        "error": { "root_cause": [cause], "type": kind, "reason": problem.detail },
        "status": problem.status.as_u16(),
    });
    with_retry(answer(problem.status, body), problem.retry_after_seconds)
}

async fn take(shared: &Inner, request: Request, index: Option<&str>) -> Result<Response, Problem> {
    let begun = (shared.ports.clock)();
    let (parts, body) = request.into_parts();
    let token = authorise(shared, &parts.headers, Need::Ingest)?;
    let body = read_body(&parts.headers, parts.extensions.get(), body, DELIVERY_BYTES_MAX).await?;
    let mut actions = actions(&body, index).map_err(Problem::request)?;
    drop(body);
    let body = std::mem::take(&mut actions.body);
    let delivery = Delivery { tenant: token.tenant, log: None, source: "bulk".to_owned(), number: None, body };
    let receipt = deliver(shared, "bulk", delivery).await?;
    shared.metrics.unreadable(actions.items.iter().filter(|item| item.error.is_some()).count() as u64);
    mark(&mut actions, &receipt);
    let has_errors = receipt.rejected > 0 || actions.items.iter().any(|item| item.error.is_some());
    let items: Vec<Value> = actions.items.into_iter().map(|item| item_json(shared, item)).collect();
    let took = (shared.ports.clock)().saturating_sub(begun).max(0);
    Ok(answer(StatusCode::OK, json!({ "took": took, "errors": has_errors, "items": items })))
}

/// Takes records in.
pub(crate) async fn bulk(State(shared): State<Shared>, request: Request) -> Response {
    take(&shared, request, None).await.unwrap_or_else(failure)
}

/// Takes records in under an index that the address names.
pub(crate) async fn bulk_of_index(State(shared): State<Shared>, Path(index): Path<String>, request: Request) -> Response {
    take(&shared, request, Some(&index)).await.unwrap_or_else(failure)
}

fn known(shared: &Inner, headers: &HeaderMap, body: Value) -> Response {
    let checked: Result<_, Denied> = authorise(shared, headers, Need::Any);
    match checked {
        Ok(_) => answer(StatusCode::OK, body),
        Err(denied) => failure(denied.into()),
    }
}

/// Says what this is, as clients ask before they send.
pub(crate) async fn about(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let body = json!({
        "name": "vigie",
        "cluster_name": "vigie",
        "version": { "number": "8.15.0", "build_flavor": "default" },
        "tagline": "You Know, for Search",
    });
    known(&shared, &headers, body)
}

/// Says that nothing has to be paid.
pub(crate) async fn license(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    known(&shared, &headers, json!({ "license": { "status": "active", "type": "basic", "mode": "basic" } }))
}

/// Says how the service is, as far as clients of this protocol ask.
pub(crate) async fn cluster_health(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let status = if shared.ports.health.health().is_ready { "green" } else { "red" };
    let body = json!({ "cluster_name": "vigie", "status": status, "timed_out": false, "number_of_nodes": 1 });
    known(&shared, &headers, body)
}

#[cfg(test)]
mod tests {
    use vigie_model::Rejected;

    use super::*;

    #[test]
    fn sources_keep_their_bytes_and_errors_their_item() {
        let body = br#"{"index":{"_index":"a","_id":"1"}}
{"n": 1.0}
{"delete":{"_id":"2"}}
{"create":{}}
{"broken":
{"update":{"_id":"3"}}
{"doc":{}}

{"create":{}}
{"n": 2}
"#;
        let mut actions = actions(body, Some("b")).unwrap();
        assert_eq!(actions.body, b"{\"n\": 1.0}\n{\"n\": 2}\n");
        let rejects = vec![Rejected { index: 1, reason: "no".to_owned() }];
        mark(&mut actions, &Receipt { accepted: 1, rejected: 1, rejects });
        let seen: Vec<(&str, &str, Option<&str>)> = actions
            .items
            .iter()
            .map(|item| (item.action, item.index.as_str(), item.error.as_ref().map(|error| error.0)))
            .collect();
        let (bad, never) = (Some("document_parsing_exception"), Some("illegal_argument_exception"));
        let expected =
            [("index", "a", None), ("delete", "b", never), ("create", "b", bad), ("update", "b", never), ("create", "b", bad)];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_line_that_is_no_action_is_named() {
        for body in ["{\"n\":1}\n", "nothing\n", "{}\n", "{\"index\":7}\n"] {
            assert!(actions(body.as_bytes(), None).unwrap_err().contains("[1]"), "{body}");
        }
    }
}
