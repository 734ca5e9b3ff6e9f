//! Figures of the service in the text format of OpenMetrics.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use vigie_model::{Receipt, Refusal};

use crate::service::HealthReport;

/// The content type of the text.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels<const N: usize> = [(&'static str, String); N];

/// Counters of the listeners.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    records: Family<Labels<1>, Counter>,
    rejected: Counter,
    bytes: Counter,
    refused: Family<Labels<1>, Counter>,
    requests: Family<Labels<2>, Counter>,
    udp_dropped: Counter,
}

impl Metrics {
    /// Counters at nought.
    pub(crate) fn new() -> Metrics {
        let mut registry = Registry::default();
        let records = Family::<Labels<1>, Counter>::default();
        let refused = Family::<Labels<1>, Counter>::default();
        let requests = Family::<Labels<2>, Counter>::default();
        let (rejected, bytes, udp_dropped) = (Counter::default(), Counter::default(), Counter::default());
        registry.register("vigie_ingest_records", "Records taken in", records.clone());
        registry.register("vigie_ingest_rejected", "Records in quarantine or not taken", rejected.clone());
        registry.register("vigie_ingest_bytes", "Bytes of deliveries taken in, after decompression", bytes.clone());
        registry.register("vigie_ingest_refused", "Deliveries that were not taken", refused.clone());
        registry.register("vigie_http_requests", "Requests answered", requests.clone());
        registry.register("vigie_syslog_udp_dropped", "Messages over UDP that were not taken", udp_dropped.clone());
        Metrics { registry, records, rejected, bytes, refused, requests, udp_dropped }
    }

    /// Counts a delivery that was taken, or not.
    pub(crate) fn delivered(&self, endpoint: &str, bytes: usize, outcome: &Result<Receipt, Refusal>) {
        match outcome {
            Ok(receipt) => {
                self.records.get_or_create(&[("endpoint", endpoint.to_owned())]).inc_by(receipt.accepted);
                self.rejected.inc_by(receipt.rejected);
                self.bytes.inc_by(bytes as u64);
            }
            Err(refusal) => {
                let reason = match refusal {
                    Refusal::Busy { .. } => "busy",
                    Refusal::Unavailable(_) => "unavailable",
                    Refusal::UnknownLog(_) => "unknown_log",
                    Refusal::TooLarge { .. } => "too_large",
                };
                self.refused.get_or_create(&[("reason", reason.to_owned())]).inc();
            }
        }
    }

    /// Counts records that a listener did not pass on, since they are no JSON objects.
    pub(crate) fn unreadable(&self, records: u64) {
        self.rejected.inc_by(records);
    }

    /// Counts messages over UDP that are lost.
    pub(crate) fn udp_dropped(&self, messages: u64) {
        self.udp_dropped.inc_by(messages);
    }

    /// Counts an answer by the path as it is routed, never as it was written by the client.
    pub(crate) fn answered(&self, path: &str, status: u16) {
        self.requests.get_or_create(&[("path", path.to_owned()), ("status", status.to_string())]).inc();
    }

    /// The counters and the figures of a health report as text.
    pub(crate) fn text(&self, report: &HealthReport) -> Result<String, std::fmt::Error> {
        let mut figures = Registry::default();
        for (name, help, value) in &report.figures {
            let gauge = Gauge::<f64, AtomicU64>::default();
            gauge.set(*value);
            figures.register(name.clone(), help.trim_end_matches('.'), gauge);
        }
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &figures)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}
