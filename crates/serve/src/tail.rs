//! The live tail: events that match a filter, as server-sent events
//! (https://html.spec.whatwg.org/multipage/server-sent-events.html), a moment after their commit.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::MissedTickBehavior;
use vigie_model::{Cell, Tenant};

use crate::answers::{QueryProblems, TokenProblems};
use crate::auth::{Need, authorise};
use crate::follow::{Follow, News};
use crate::problem::Problem;
use crate::query::{address_query, blocking, broken, json_line};
use crate::service::Shared;

/// Tails that a tenant may have open.
const TAILS_PER_TENANT_MAX: usize = 8;
/// Milliseconds between two looks at the version of the table.
const STEP_MS: u64 = 250;
/// Steps without an event after which a comment shows that the tail is alive: 15 s.
const HEARTBEAT_STEPS: u32 = 60;
/// Bytes of a message, but for its last row.
const MESSAGE_BYTES: usize = 128 * 1024;
/// Messages that wait for a slow client.
const MESSAGES_WAITING_MAX: usize = 4;
/// Seconds that a client may keep a message waiting.
const SLOW_SECONDS_MAX: u64 = 10;
/// Seconds after which a client comes again when there are too many tails.
const TAILS_RETRY_SECONDS: u64 = 60;

/// What stands behind the question mark.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TailQuery {
    #[serde(default)]
    filter: String,
}

/// How many tails each tenant has open.
#[derive(Debug, Default)]
pub(crate) struct Tails(Mutex<HashMap<Tenant, usize>>);

impl Tails {
    fn open(&self) -> MutexGuard<'_, HashMap<Tenant, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open tail; dropping it makes room for another.
struct Seat {
    shared: Shared,
    tenant: Tenant,
}

impl Seat {
    fn take(shared: &Shared, tenant: &Tenant) -> Result<Seat, Problem> {
        let mut open = shared.tails.open();
        let count = open.entry(tenant.clone()).or_default();
        if *count >= TAILS_PER_TENANT_MAX {
            let detail = format!("there are {TAILS_PER_TENANT_MAX} tails open, which is the most; close one first");
            return Err(Problem::new("wait", "Too many tails", StatusCode::TOO_MANY_REQUESTS, detail).after(TAILS_RETRY_SECONDS));
        }
        *count += 1;
        Ok(Seat { shared: Arc::clone(shared), tenant: tenant.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.shared.tails.open();
        let left = open.get(&self.tenant).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            open.remove(&self.tenant);
        } else {
            open.insert(self.tenant.clone(), left);
        }
    }
}

/// Why a tail ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Nobody listens any more.
    Gone,
    /// The client does not take what it is sent.
    Slow,
    /// The service stops.
    Stop,
    /// The query failed.
    Failed(Problem),
}

impl End {
    /// The last event of a tail.
    fn event(self) -> String {
        let detail = match self {
            End::Gone => "nobody listens".to_owned(),
            End::Slow => {
                format!("the client did not read for {SLOW_SECONDS_MAX} s and was cut; narrow the filter, or read faster")
            }
            End::Stop => "the service stops; begin again when it is back".to_owned(),
            End::Failed(problem) => problem.detail,
        };
        event("end", &serde_json::json!({ "detail": detail }))
    }
}

fn event(name: &str, data: &serde_json::Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

/// Where a tail's messages wait for its client.
struct Outbox {
    sender: Sender<String>,
    /// What the client is told after everything that waits.
    last: Arc<Mutex<Option<String>>>,
    /// How long a message may wait.
    patience: Duration,
}

impl Outbox {
    async fn offer(&self, message: String) -> Result<(), End> {
        match tokio::time::timeout(self.patience, self.sender.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Slow),
        }
    }

    fn end(self, end: End) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(end.event());
    }
}

/// The news as messages, each a number of events.
fn messages(news: &News) -> Vec<String> {
    let id_at = news.columns.iter().position(|column| column == "event_id");
    let mut messages = Vec::new();
    let mut message = String::new();
    for row in &news.rows {
        if let Some(Cell::Text(id)) = id_at.and_then(|at| row.get(at)) {
            message.push_str(&format!("id: {id}\n"));
        }
        message.push_str("data: ");
        message.push_str(&json_line(&news.columns, row.clone()));
        message.push('\n');
        if message.len() >= MESSAGE_BYTES {
            messages.push(std::mem::take(&mut message));
        }
    }
    if news.is_lossy {
        let detail = "more events came at once than a tail gives, and some are left out; narrow the filter, or search";
        message.push_str(&event("gap", &serde_json::json!({ "detail": detail })));
    }
    if !message.is_empty() {
        messages.push(message);
    }
    messages
}

/// Looks for news where it may block. Waits while too many queries run.
async fn look(shared: &Shared, mut follow: Follow) -> Result<(Follow, News), Problem> {
    let permit = Arc::clone(&shared.queries).acquire_owned().await.map_err(|_| broken())?;
    let engine = Arc::clone(&shared.ports.engine);
    let found = blocking(move || {
        let news = follow.look(engine.as_ref());
        drop(permit);
        news.map(|news| (follow, news))
    });
    found.await?.map_err(Problem::from)
}

/// Sends what is new until the tail ends.
async fn feed(shared: &Shared, follow: Follow, news: News, outbox: &Outbox) -> Result<(), End> {
    let (mut follow, mut news) = (follow, news);
    let mut version = news.version;
    let mut stopping = shared.stop.subscribe();
    let mut steps = tokio::time::interval(Duration::from_millis(STEP_MS));
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent_steps = 0;
    outbox.offer(": begun\n\n".to_owned()).await?;
    loop {
        let sent = messages(&news);
        silent_steps = if sent.is_empty() { silent_steps + 1 } else { 0 };
        for message in sent {
            outbox.offer(message).await?;
        }
        if silent_steps >= HEARTBEAT_STEPS {
            silent_steps = 0;
            outbox.offer(": nothing new\n\n".to_owned()).await?;
        }
        if *stopping.borrow() {
            return Err(End::Stop);
        }
        if !news.has_more {
            tokio::select! {
                _ = steps.tick() => {}
                _ = stopping.changed() => return Err(End::Stop),
                () = outbox.sender.closed() => return Err(End::Gone),
            }
        }
        if news.has_more || shared.ports.engine.version() != version {
            (follow, news) = look(shared, follow).await.map_err(End::Failed)?;
            version = news.version;
        } else {
            news = News::default();
        }
    }
}

/// Everything that waits in an outbox, then its last event.
fn stream(receiver: Receiver<String>, last: Arc<Mutex<Option<String>>>) -> Body {
    Body::from_stream(futures::stream::unfold((receiver, last), |(mut receiver, last)| async move {
        let message = match receiver.recv().await {
            Some(message) => Some(message),
            None => last.lock().unwrap_or_else(PoisonError::into_inner).take(),
        };
        message.map(|message| (Ok::<Bytes, Infallible>(Bytes::from(message)), (receiver, last)))
    }))
}

/// Sends events that match a filter as they are stored, as server-sent events.
///
/// The data of each is one row as a JSON object. A comment shows every 15 s that the tail is alive. An event
/// named `gap` says that some were left out; one named `end` is the last and says why.
#[utoipa::path(
    get,
    path = "/api/v1/tail",
    tag = "query",
    params(("filter" = Option<String>, Query, description = "The filter; every event when it is not said")),
    responses(
        (status = 200, description = "Events until the client goes", body = String, content_type = "text/event-stream"),
        TokenProblems,
        QueryProblems,
    ),
    security(("token" = [])),
)]
pub(crate) async fn tail(State(shared): State<Shared>, headers: HeaderMap, uri: Uri) -> Result<Response, Problem> {
    let token = authorise(&shared, &headers, Need::Search)?;
    let TailQuery { filter } = address_query(&uri)?;
    let seat = Seat::take(&shared, &token.tenant)?;
    let follow = Follow::new(token.tenant, filter, (shared.ports.clock)());
    // The first look says whether the filter is right, while the answer still has a status.
    let (follow, news) = look(&shared, follow).await?;
    let (sender, receiver) = channel(MESSAGES_WAITING_MAX);
    let last = Arc::new(Mutex::new(None));
    let outbox = Outbox { sender, last: Arc::clone(&last), patience: Duration::from_secs(SLOW_SECONDS_MAX) };
    tokio::spawn(async move {
        let ended = feed(&shared, follow, news, &outbox).await;
        if let Err(end) = ended {
            outbox.end(end);
        }
        drop(seat);
    });
    let head = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
    Ok((head, stream(receiver, last)).into_response())
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    #[tokio::test]
    async fn a_slow_client_is_cut_and_told_so() {
        let (sender, receiver) = channel(2);
        let last = Arc::new(Mutex::new(None));
        let outbox = Outbox { sender, last: Arc::clone(&last), patience: Duration::ZERO };
        assert_eq!(outbox.offer("data: 1\n\n".to_owned()).await, Ok(()));
        assert_eq!(outbox.offer("data: 2\n\n".to_owned()).await, Ok(()));
        let end = outbox.offer("data: 3\n\n".to_owned()).await.unwrap_err();
        assert_eq!(end, End::Slow);
        outbox.end(end);
        let bytes = to_bytes(stream(receiver, last), usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(text.starts_with("data: 1\n\ndata: 2\n\nevent: end\ndata: {\"detail\":\"the client did not read"), "{text}");
    }

    #[test]
    fn a_row_is_one_event_whatever_stands_in_it() {
        let columns = vec!["event_id".to_owned(), "raw".to_owned()];
        let row = |id: &str| vec![Cell::Text(id.to_owned()), Cell::Text("a\n\nevent: end".to_owned())];
        let mut news = News { columns, rows: vec![row("1"), row("2")], ..News::default() };
        let one = |id: &str| format!("id: {id}\ndata: {{\"event_id\":\"{id}\",\"raw\":\"a\\n\\nevent: end\"}}\n\n");
        assert_eq!(messages(&news), [one("1") + &one("2")]);
        news.rows.clear();
        assert!(messages(&news).is_empty());
        news.is_lossy = true;
        assert!(messages(&news)[0].starts_with("event: gap\n"));
    }
}
