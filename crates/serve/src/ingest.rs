//! Push intake over HTTP: a body of records under the name of its log type.

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;
use tokio::sync::oneshot;
use utoipa::ToSchema;
use vigie_model::limits::DELIVERY_BYTES_MAX;
use vigie_model::{Delivery, LogType, Receipt, Refusal, Rejected};

use crate::answers::{BodyProblems, NameProblem, TokenProblems};
use crate::auth::{Need, authorise};
use crate::decode::read_body;
use crate::problem::Problem;
use crate::service::{Inner, Shared};

/// What became of a delivery.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Receipt)]
pub(crate) struct ReceiptBody {
    /// Records that will be events.
    accepted: u64,
    /// Rows that were kept in quarantine: one for each record that cannot be read, or one for each MiB of it.
    rejected: u64,
    /// The first of these records; the others are counted only.
    rejects: Vec<RejectBody>,
}

/// A record in quarantine.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reject)]
pub(crate) struct RejectBody {
    /// Which record of the delivery, from 0.
    index: u64,
    /// Why, as a sentence.
    reason: String,
}

impl From<Receipt> for ReceiptBody {
    fn from(receipt: Receipt) -> ReceiptBody {
        let rejects = receipt.rejects.into_iter().map(|Rejected { index, reason }| RejectBody { index, reason }).collect();
        ReceiptBody { accepted: receipt.accepted, rejected: receipt.rejected, rejects }
    }
}

/// Hands a delivery over and waits for what becomes of it. A blank one is not worth the disk.
pub(crate) async fn deliver(shared: &Inner, endpoint: &str, delivery: Delivery) -> Result<Receipt, Refusal> {
    if delivery.body.trim_ascii().is_empty() {
        return Ok(Receipt::default());
    }
    let bytes = delivery.body.len();
    let (sender, receiver) = oneshot::channel();
    shared.ports.intake.deliver(delivery, Box::new(move |outcome| drop(sender.send(outcome))));
    let outcome = receiver.await.unwrap_or_else(|_| {
        Err(Refusal::Unavailable("the delivery was given up before it was stored; send it again".to_owned()))
    });
    shared.metrics.delivered(endpoint, bytes, &outcome);
    outcome
}

async fn take(shared: &Inner, request: Request, log: Option<LogType>) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let token = authorise(shared, &parts.headers, Need::Ingest)?;
    let body = read_body(&parts.headers, parts.extensions.get(), body, DELIVERY_BYTES_MAX).await?;
    let source = log.as_ref().map_or_else(|| "http".to_owned(), |log| format!("http/{log}"));
    let receipt = deliver(shared, "ingest", Delivery { tenant: token.tenant, log, source, number: None, body }).await?;
    Ok(Json(ReceiptBody::from(receipt)).into_response())
}

/// Takes records of one log type in.
///
/// The body is JSON: records one after the other, an array, or an envelope of the provider; or it is
/// lines of text, where the log is written so. The answer comes when all of it is on disk. A record that
/// cannot be read is kept in quarantine and counted.
#[utoipa::path(
    post,
    operation_id = "ingest_log",
    path = "/api/v1/ingest/{vendor}/{log}",
    tag = "ingest",
    params(
        ("vendor" = String, Path, description = "The product, as the guide names it"),
        ("log" = String, Path, description = "Its log, as the guide names it"),
    ),
    request_body(content = String, description = "Records; may be compressed by gzip or zstd", content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "All of it is on disk", body = ReceiptBody),
        TokenProblems,
        BodyProblems,
        NameProblem,
    ),
    security(("token" = [])),
)]
pub(crate) async fn named(
    State(shared): State<Shared>,
    Path((vendor, log)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let name = format!("{vendor}/{log}");
    let Some(log) = LogType::parse(&name) else {
        authorise(&shared, request.headers(), Need::Ingest)?;
        return Err(Refusal::UnknownLog(name).into());
    };
    take(&shared, request, Some(log)).await
}

/// Takes records of any log types in; each finds its own.
#[utoipa::path(
    post,
    operation_id = "ingest",
    path = "/api/v1/ingest",
    tag = "ingest",
    request_body(content = String, description = "Records; may be compressed by gzip or zstd", content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "All of it is on disk", body = ReceiptBody),
        TokenProblems,
        BodyProblems,
    ),
    security(("token" = [])),
)]
pub(crate) async fn unnamed(State(shared): State<Shared>, request: Request) -> Result<Response, Problem> {
    take(&shared, request, None).await
}
