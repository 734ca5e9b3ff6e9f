//! The port through which events are asked for: a question in, rows out.

use std::fmt;
use std::sync::Arc;

use crate::{Millis, Tenant};

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text, such as an id of an event in hexadecimal digits.
    Text(String),
    /// An instant in microseconds since 1970-01-01T00:00:00Z.
    Time(i64),
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A statement of SQL that reads.
    Sql(String),
    /// The filter bar: newest events first.
    Search {
        /// The filter; empty for every event.
        filter: String,
        /// Rows to give at most.
        limit: usize,
    },
    /// How many events match, by equal steps of time, with the most frequent values of some columns:
    /// the same filter and span as a search give the counts of its rows.
    Histogram {
        /// The filter; empty for every event.
        filter: String,
        /// Steps of time at most.
        steps: usize,
    },
    /// The most frequent values of one column among the events that match.
    Facet {
        /// The filter; empty for every event.
        filter: String,
        /// The column.
        column: String,
        /// Values at most.
        limit: usize,
    },
    /// When the first and the last of the events that match were, and how many there are: one row of
    /// `first`, `last` and `events`.
    Extent {
        /// The filter; empty for every event.
        filter: String,
    },
}

/// Where a row of a search stands: newest first, and among events of one instant by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPlace {
    /// When the event was, in microseconds since 1970-01-01T00:00:00Z.
    pub time_us: i64,
    /// Its id, 32 hexadecimal digits.
    pub event_id: String,
}

/// A question about one tenant's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whose events.
    pub tenant: Tenant,
    /// What is asked.
    pub ask: Ask,
    /// Only events from this instant on.
    pub since: Option<Millis>,
    /// Only events before this instant.
    pub until: Option<Millis>,
    /// Only events that were taken in from this instant on, whenever they were; SQL passes over it.
    pub arrived: Option<Millis>,
    /// Only events that stand behind this row, newest first; for a search only.
    pub before: Option<RowPlace>,
}

impl Question {
    /// A question about all events of a tenant.
    pub fn new(tenant: Tenant, ask: Ask) -> Question {
        Question { tenant, ask, since: None, until: None, arrived: None, before: None }
    }
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryError {
    /// The question is wrong: a sentence that says what to write instead.
    Question(String),
    /// The answer would pass a limit: a sentence that names it.
    Limit(String),
    /// Something failed inside: a sentence.
    Failed(String),
}

impl fmt::Display for QueryError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (QueryError::Question(why) | QueryError::Limit(why) | QueryError::Failed(why)) = self;
        out.write_str(why)
    }
}

/// Ends a query from another thread: what waits for its next rows gets an error then.
pub type Canceller = Arc<dyn Fn() + Send + Sync>;

/// Rows as they come. Dropping it ends the query.
pub trait Rows: Send {
    /// Names of the columns.
    fn columns(&self) -> &[String];

    /// The version of the table that is read.
    fn version(&self) -> u64;

    /// The next rows, at least one; none at the end.
    ///
    /// # Errors
    /// When the query cannot go on; what came before is part of the answer.
    fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>, QueryError>;

    /// What ends the query while [`Rows::next`] waits; none where only dropping ends it.
    fn canceller(&self) -> Option<Canceller> {
        None
    }
}

/// Answers questions.
pub trait QueryEngine: Send + Sync {
    /// Begins a query. Blocks for as long as planning takes, not for the rows.
    ///
    /// # Errors
    /// When the question is wrong or asks for too much.
    fn ask(&self, question: &Question) -> Result<Box<dyn Rows>, QueryError>;

    /// The version of the table that a question would read now: another number means that something
    /// was committed. Returns at once.
    fn version(&self) -> u64;
}
