//! Listeners: the interface for programs, push intake, health and metrics.
//!
//! Secret of this crate: protocols, that is HTTP, gRPC, syslog, how each frames records, asks for a
//! token and says no. It never knows SQL, DataFusion, what a rule or a mapping is, or how anything is
//! stored: deliveries, questions and tokens go through the ports of `vigie-model`.

mod auth;
mod bulk;
mod decode;
mod hec;
mod ingest;
mod metrics;
mod openapi;
mod otlp;
mod otlp_json;
mod problem;
mod query;
mod service;
mod syslog;
mod syslog_message;

#[cfg(test)]
mod tests;

pub use openapi::openapi;
pub use query::json_line;
pub use service::{Health, HealthReport, Listeners, Ports, TlsFiles, router, serve};
