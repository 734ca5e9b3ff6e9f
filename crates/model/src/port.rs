//! Ports: what the service asks of its parts, so that none knows who answers.

use std::fmt;

use crate::{EventBatch, LogType, Tenant};

/// Bytes that a client pushed, as the listener took them in.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Whose it is; from the authenticated channel, never from the bytes.
    pub tenant: Tenant,
    /// The log type that the client named; none lets every record find its own.
    pub log: Option<LogType>,
    /// The listener and what the client calls itself, such as `http/aws/cloudtrail`.
    pub source: String,
    /// The delivery's own number, where the sender gives it: the same number always brings the same
    /// records. None lets the intake number it.
    pub number: Option<u64>,
    /// Records: JSON values with white space between them, or an envelope or array of them.
    pub body: Vec<u8>,
}

/// A record that was kept raw in quarantine, since it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Which record of the delivery, from 0.
    pub index: u64,
    /// Why, as a sentence.
    pub reason: String,
}

/// What became of a delivery. All of it is on disk, rejected records too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Records that will be events.
    pub accepted: u64,
    /// Rows in quarantine: records that cannot be read, or parts of one that is too long for a row.
    pub rejected: u64,
    /// The first of these records, each once, at most [`crate::limits::REJECTS_NAMED_MAX`].
    pub rejects: Vec<Rejected>,
}

/// Why a delivery was not taken. Nothing of it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// More waits than is allowed: come again after this many seconds.
    Busy {
        /// Seconds to wait.
        retry_after_seconds: u64,
    },
    /// The disk does not take it now: a sentence that says what to do.
    Unavailable(String),
    /// The client named a log type that is not known here.
    UnknownLog(String),
    /// The delivery is longer than this many bytes.
    TooLarge {
        /// The limit in bytes.
        bytes_max: usize,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Busy { retry_after_seconds } => {
                write!(out, "too much waits to be stored; send it again in {retry_after_seconds} s")
            }
            Refusal::Unavailable(why) => out.write_str(why),
            Refusal::UnknownLog(log) => {
                write!(out, "`{log}` is no log type of this service; `vigie rule list` and the guide name them")
            }
            Refusal::TooLarge { bytes_max } => write!(out, "the delivery is longer than {bytes_max} bytes; send it in parts"),
        }
    }
}

/// Called once with what became of a delivery.
pub type Answer = Box<dyn FnOnce(Result<Receipt, Refusal>) + Send>;

/// Takes deliveries in.
pub trait Intake: Send + Sync {
    /// Reads, stores durably, then answers; returns at once. The answer comes from another thread.
    fn deliver(&self, delivery: Delivery, answer: Answer);
}

/// How far a lane has come: the number of its last batch in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneMark {
    /// The lane: tenant, source, partition.
    pub lane: String,
    /// The number of the batch, from 1.
    pub number: i64,
}

/// What a commit did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// The table's version that holds it.
    pub version: u64,
    /// Events stored.
    pub stored: u64,
    /// Events that were there already.
    pub duplicates: u64,
}

/// Where events are kept.
pub trait Store: Send + Sync {
    /// Keeps the events and the mark, all or nothing. The batches are one: they were made for the same
    /// columns, and come in parts so that nobody copies them together.
    ///
    /// # Errors
    /// A sentence that says why not; nothing was kept, or it is not known: read [`Store::mark`] again.
    fn commit(&self, batches: &[EventBatch], mark: &LaneMark) -> Result<Committed, String>;

    /// The number of a lane's last batch that is kept; none when the lane has none.
    ///
    /// # Errors
    /// A sentence, when it cannot be read: then nothing is known, and nothing may be concluded.
    fn mark(&self, lane: &str) -> Result<Option<i64>, String>;
}

/// Reads values out of records at OCSF paths, by the mapping of their log type.
pub trait Documents: Send + Sync {
    /// The whole OCSF event of a record as JSON; none when the log type has no mapping or the record
    /// cannot be read. `enrichment` is what was found when the event was taken in, as
    /// [`EventBatch::enrichments`] has it; empty for nothing.
    fn document(&self, log: &str, raw: &[u8], enrichment: &str) -> Option<String>;
}
