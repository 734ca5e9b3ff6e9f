//! Listeners: the interface for programs, push intake, health and metrics.
//!
//! Secret of this crate: protocols, that is HTTP, gRPC, syslog, how each frames records, asks for a
//! token and says no. It never knows SQL, DataFusion, what a rule or a mapping is, or how anything is
//! stored: deliveries, questions and tokens go through the ports of `vigie-model`.

mod answers;
mod auth;
mod bulk;
mod cursor;
mod decode;
mod entity;
mod follow;
mod grpc;
mod hec;
mod ingest;
mod jobs;
mod metrics;
mod openapi;
mod otlp;
mod otlp_json;
mod problem;
mod query;
mod saved;
mod service;
mod syslog;
mod syslog_message;
mod tail;

#[cfg(test)]
mod tests;

pub use entity::{EntityKind, Pivot, pivot};
pub use follow::{Follow, News};
pub use openapi::openapi;
pub use query::json_line;
pub use service::{Health, HealthReport, Listeners, Ports, TlsFiles, router, serve};
