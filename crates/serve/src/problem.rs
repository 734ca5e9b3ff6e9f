//! Errors of the interface for programs as problem details (RFC 9457).

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use vigie_model::{QueryError, Refusal};

use crate::auth::Denied;
use crate::decode::{BodyError, ROOM_RETRY_SECONDS};

/// Seconds after which a client comes again when the disk does not take its delivery.
pub(crate) const UNAVAILABLE_RETRY_SECONDS: u64 = 5;

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The last part of its type, such as `question`.
    kind: &'static str,
    /// The same for people.
    title: &'static str,
    pub(crate) status: StatusCode,
    /// A sentence that says what to do.
    pub(crate) detail: String,
    pub(crate) retry_after_seconds: Option<u64>,
}

/// A problem as it is written (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// The kind of problem, as a path.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of problem for people.
    title: String,
    /// The status of the answer.
    status: u16,
    /// A sentence that says what to do.
    detail: String,
    /// Sixteen hexadecimal digits by which the answer is found again; also in the header `x-trace-id`.
    trace_id: String,
}

impl Problem {
    /// A problem that nothing is waited for.
    pub(crate) fn new(kind: &'static str, title: &'static str, status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem { kind, title, status, detail: detail.into(), retry_after_seconds: None }
    }

    /// A request that cannot be read.
    pub(crate) fn request(detail: impl Into<String>) -> Problem {
        Problem::new("request", "The request cannot be read", StatusCode::BAD_REQUEST, detail)
    }

    /// Something failed inside.
    pub(crate) fn failed(detail: impl Into<String>) -> Problem {
        Problem::new("failed", "Something failed", StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// The same, with the seconds after which a client comes again.
    pub(crate) fn after(mut self, seconds: u64) -> Problem {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The problem as it is written, with a new number.
    pub(crate) fn body(&self) -> ProblemBody {
        ProblemBody {
            kind: format!("/problems/{}", self.kind),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            trace_id: trace_id(),
        }
    }
}

/// A new number: a keyed hash of a counter, so that it does not say how many there were.
fn trace_id() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    format!("{:016x}", KEYS.hash_one(COUNTER.fetch_add(1, Ordering::Relaxed)))
}

/// Adds the header that says when to come again.
pub(crate) fn with_retry(mut response: Response, seconds: Option<u64>) -> Response {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.body();
        let text = serde_json::to_string(&body).unwrap_or_default();
        let mut response = (self.status, [(CONTENT_TYPE, "application/problem+json")], text).into_response();
        if let Ok(value) = HeaderValue::from_str(&body.trace_id) {
            response.headers_mut().insert("x-trace-id", value);
        }
        with_retry(response, self.retry_after_seconds)
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Problem {
        let detail = denied.sentence();
        match denied {
            Denied::Missing | Denied::Wrong => Problem::new("token", "No valid token", StatusCode::UNAUTHORIZED, detail),
            Denied::Unknown => {
                Problem::new("unavailable", "Tokens cannot be checked now", StatusCode::SERVICE_UNAVAILABLE, detail).after(5)
            }
            Denied::TooMany => Problem::new("wait", "Too many requests", StatusCode::TOO_MANY_REQUESTS, detail).after(1),
            Denied::Scope(_) => Problem::new("scope", "The token may not do this", StatusCode::FORBIDDEN, detail),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let detail = refusal.to_string();
        match refusal {
            Refusal::Busy { retry_after_seconds } => {
                Problem::new("wait", "Too many requests", StatusCode::TOO_MANY_REQUESTS, detail).after(retry_after_seconds)
            }
            Refusal::Unavailable(_) => {
                Problem::new("unavailable", "Nothing can be stored now", StatusCode::SERVICE_UNAVAILABLE, detail)
                    .after(UNAVAILABLE_RETRY_SECONDS)
            }
            Refusal::UnknownLog(_) => Problem::new("log", "No such log type", StatusCode::NOT_FOUND, detail),
            Refusal::TooLarge { .. } => Problem::new("large", "The delivery is too large", StatusCode::PAYLOAD_TOO_LARGE, detail),
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Problem {
        let detail = error.sentence();
        match error {
            BodyError::TooLarge { .. } => {
                Problem::new("large", "The delivery is too large", StatusCode::PAYLOAD_TOO_LARGE, detail)
            }
            BodyError::NoRoom => {
                Problem::new("wait", "Too many requests", StatusCode::TOO_MANY_REQUESTS, detail).after(ROOM_RETRY_SECONDS)
            }
            BodyError::TooSlow => Problem::new("slow", "The request was too slow", StatusCode::REQUEST_TIMEOUT, detail),
            BodyError::Unknown(_) => {
                Problem::new("encoding", "The encoding is not known", StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
            }
            BodyError::Bad(_) => Problem::request(detail),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Problem {
        match error {
            QueryError::Question(why) => Problem::new("question", "The question is wrong", StatusCode::BAD_REQUEST, why),
            QueryError::Limit(why) => Problem::new("limit", "The answer is too large", StatusCode::UNPROCESSABLE_ENTITY, why),
            QueryError::Failed(why) => Problem::failed(why),
        }
    }
}
