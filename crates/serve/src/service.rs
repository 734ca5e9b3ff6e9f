//! The service: ports in, one router and the syslog listeners out, and a stop that loses nothing.

use std::net;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::Serialize;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::limit::GlobalConcurrencyLimitLayer;
use utoipa::ToSchema;
use vigie_model::{Intake, Millis, QueryEngine, SavedSearches, Tenant, Tokens};

use crate::auth::{FailedLogins, Need, authorise};
use crate::decode::{Room, bodies};
use crate::jobs::Jobs;
use crate::metrics::{self, Metrics};
use crate::problem::Problem;
use crate::tail::Tails;
use crate::{bulk, entity, hec, ingest, jobs, openapi, otlp, query, saved, syslog, tail};

/// Requests that are worked on at once; others wait.
pub(crate) const REQUESTS_MAX: usize = 64;
/// Queries that run at once; others wait.
pub(crate) const QUERIES_MAX: usize = 8;
/// Seconds that requests get to end after a stop.
pub(crate) const DRAIN_SECONDS_MAX: u64 = 10;

/// How the service is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HealthReport {
    /// Whether clients may come.
    pub is_ready: bool,
    /// Each part: its name, whether it is well, and a sentence.
    pub parts: Vec<(String, bool, String)>,
    /// Figures for the metrics: name, help, value.
    pub figures: Vec<(String, String, f64)>,
}

/// Says how the service is.
pub trait Health: Send + Sync {
    /// The report of now; returns at once.
    fn health(&self) -> HealthReport;
}

/// What the listeners ask of the other parts.
pub struct Ports {
    /// Takes deliveries in.
    pub intake: Arc<dyn Intake>,
    /// Answers questions.
    pub engine: Arc<dyn QueryEngine>,
    /// Knows tokens.
    pub tokens: Arc<dyn Tokens>,
    /// Keeps searches that have a name.
    pub saved: Arc<dyn SavedSearches>,
    /// Random bytes, new at each start: what cursors are signed with and ids of jobs are made from.
    pub secret: [u8; 32],
    /// What time it is.
    pub clock: fn() -> Millis,
    /// How the service is.
    pub health: Arc<dyn Health>,
}

/// Files of a listener that speaks TLS, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain of certificates, its own first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Sockets that are bound already, so that a port in use is an error before the service begins.
pub struct Listeners {
    /// HTTP of either version, and gRPC.
    pub http: net::TcpListener,
    /// Syslog over UDP.
    pub syslog_udp: Option<net::UdpSocket>,
    /// Syslog over TCP.
    pub syslog_tcp: Option<net::TcpListener>,
    /// Syslog over TLS.
    pub syslog_tls: Option<(net::TcpListener, TlsFiles)>,
    /// Whose messages syslog brings, since it knows no tokens.
    pub syslog_tenant: Tenant,
}

/// What all handlers share.
pub(crate) struct Inner {
    pub(crate) ports: Ports,
    pub(crate) metrics: Metrics,
    pub(crate) failed_logins: FailedLogins,
    pub(crate) queries: Arc<Semaphore>,
    pub(crate) jobs: Jobs,
    pub(crate) tails: Tails,
    /// True from the moment at which the service is told to stop.
    pub(crate) stop: watch::Sender<bool>,
    /// Room for the bodies of deliveries.
    pub(crate) bodies: Arc<Semaphore>,
    /// The next number of an acknowledgement or of a document without an id.
    pub(crate) numbers: AtomicU64,
}

/// See [`Inner`].
pub(crate) type Shared = Arc<Inner>;

/// What all handlers of a service share, new.
pub(crate) fn share(ports: Ports) -> Shared {
    Arc::new(Inner {
        ports,
        metrics: Metrics::new(),
        failed_logins: FailedLogins::default(),
        queries: Arc::new(Semaphore::new(QUERIES_MAX)),
        jobs: Jobs::new(),
        tails: Tails::default(),
        stop: watch::channel(false).0,
        bodies: bodies(),
        numbers: AtomicU64::new(0),
    })
}

/// All of HTTP as a router, without a listener.
pub fn router(ports: Ports) -> Router {
    routes(share(ports))
}

/// The router of what all handlers share.
pub(crate) fn routes(shared: Shared) -> Router {
    let work = Router::new()
        .route("/api/v1/ingest", post(ingest::unnamed))
        .route("/api/v1/ingest/{vendor}/{log}", post(ingest::named))
        .route("/api/v1/search", post(query::search))
        .route("/api/v1/sql", post(query::sql))
        .route("/api/v1/histogram", post(query::histogram))
        .route("/api/v1/facet", post(query::facet))
        .route("/api/v1/jobs", post(jobs::create))
        .route("/api/v1/jobs/{id}", get(jobs::look).delete(jobs::delete))
        .route("/api/v1/tail", get(tail::tail))
        // A value may have slashes in it, as names of resources do.
        .route("/api/v1/entity/{kind}/{*value}", get(entity::entity))
        .route("/api/v1/saved", get(saved::list))
        .route("/api/v1/saved/{name}", get(saved::find).put(saved::save).delete(saved::forget))
        .route("/services/collector", post(hec::event))
        .route("/services/collector/event", post(hec::event))
        .route("/services/collector/event/1.0", post(hec::event))
        .route("/services/collector/raw", post(hec::raw))
        .route("/services/collector/raw/1.0", post(hec::raw))
        .route("/services/collector/ack", post(hec::ack))
        .route("/_bulk", post(bulk::bulk).put(bulk::bulk))
        .route("/{index}/_bulk", post(bulk::bulk_of_index).put(bulk::bulk_of_index))
        .route("/v1/logs", post(otlp::http))
        .route(otlp::GRPC_PATH, otlp::grpc(Arc::clone(&shared)))
        .layer(from_fn_with_state(Arc::clone(&shared), give_room))
        .layer(GlobalConcurrencyLimitLayer::new(REQUESTS_MAX));
    work.route("/", get(bulk::about))
        .route("/_license", get(bulk::license))
        .route("/_cluster/health", get(bulk::cluster_health))
        .route("/services/collector/health", get(hec::health))
        .route("/services/collector/health/1.0", get(hec::health))
        .route("/api/v1/openapi.json", get(openapi::get))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(figures))
        .fallback(nothing)
        .layer(from_fn_with_state(Arc::clone(&shared), observe))
        .with_state(shared)
}

/// Counts every answer, forbids browsers to guess what it is, and lets forgotten jobs go.
async fn observe(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let path = matched.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    shared.jobs.sweep((shared.ports.clock)());
    let mut response = next.run(request).await;
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    shared.metrics.answered(&path, response.status().as_u16());
    response
}

/// Gives a request its room for a body, until it has its answer.
async fn give_room(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let room = Room::new(&shared.bodies);
    request.extensions_mut().insert(room.clone());
    let response = next.run(request).await;
    drop(room);
    response
}

async fn nothing() -> Problem {
    Problem::new("path", "No such path", StatusCode::NOT_FOUND, "there is nothing here: `/api/v1/openapi.json` names the paths")
}

/// Says that the program runs.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "health",
    responses((status = 200, description = "The program runs", body = String, content_type = "text/plain")),
)]
pub(crate) async fn live() -> &'static str {
    "live\n"
}

/// How the service is, part by part.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ready)]
pub(crate) struct ReadyBody {
    /// Whether clients may come.
    is_ready: bool,
    /// The parts.
    parts: Vec<PartBody>,
}

/// How a part of the service is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Part)]
pub(crate) struct PartBody {
    /// Its name.
    name: String,
    /// Whether it is well.
    is_well: bool,
    /// A sentence.
    sentence: String,
}

/// Says whether clients may come.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "health",
    responses(
        (status = 200, description = "Clients may come", body = ReadyBody),
        (status = 503, description = "Clients must wait", body = ReadyBody),
    ),
)]
pub(crate) async fn ready(State(shared): State<Shared>) -> Response {
    let report = shared.ports.health.health();
    let parts = report.parts.into_iter().map(|(name, is_well, sentence)| PartBody { name, is_well, sentence }).collect();
    let status = if report.is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ReadyBody { is_ready: report.is_ready, parts })).into_response()
}

/// Gives the metrics.
async fn figures(State(shared): State<Shared>, headers: HeaderMap) -> Result<Response, Problem> {
    authorise(&shared, &headers, Need::Search)?;
    let text = shared.metrics.text(&shared.ports.health.health());
    let text = text.map_err(|_| Problem::failed("the metrics cannot be written"))?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

fn tcp(listener: net::TcpListener) -> Result<TcpListener, String> {
    listener
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(listener))
        .map_err(|error| format!("cannot listen: {error}"))
}

fn udp(socket: net::UdpSocket) -> Result<UdpSocket, String> {
    socket.set_nonblocking(true).and_then(|()| UdpSocket::from_std(socket)).map_err(|error| format!("cannot listen: {error}"))
}

/// Serves until `stop`. Then no connection is accepted, and requests in flight get 10 s to end.
///
/// # Errors
/// A sentence, when a listener cannot be used or the certificate and its key cannot be read.
pub async fn serve(listeners: Listeners, ports: Ports, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), String> {
    let shared = share(ports);
    let tenant = listeners.syslog_tenant;
    let quitting = shared.stop.subscribe();
    let http = tcp(listeners.http)?;
    let mut tasks = JoinSet::new();
    if let Some(socket) = listeners.syslog_udp {
        tasks.spawn(syslog::udp(Arc::clone(&shared), tenant.clone(), udp(socket)?, quitting.clone()));
    }
    if let Some(listener) = listeners.syslog_tcp {
        tasks.spawn(syslog::tcp(Arc::clone(&shared), tenant.clone(), tcp(listener)?, None, quitting.clone()));
    }
    if let Some((listener, files)) = listeners.syslog_tls {
        let acceptor = syslog::acceptor(&files)?;
        tasks.spawn(syslog::tcp(Arc::clone(&shared), tenant, tcp(listener)?, Some(acceptor), quitting.clone()));
    }
    let mut quitting = quitting;
    let server = axum::serve(http, routes(Arc::clone(&shared))).with_graceful_shutdown(async move {
        // An error is that nobody is left to say stop, which is a stop too.
        let _ = quitting.changed().await;
    });
    let mut server = tokio::spawn(server.into_future());
    tokio::select! {
        () = stop => {}
        _ = &mut server => return Err("the listener of HTTP ended by itself; start the service again".to_owned()),
    }
    shared.stop.send_replace(true);
    shared.jobs.cancel_all((shared.ports.clock)());
    let drained = tokio::time::timeout(Duration::from_secs(DRAIN_SECONDS_MAX), async {
        let _ = (&mut server).await;
        while tasks.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        server.abort();
        tasks.abort_all();
    }
    Ok(())
}
