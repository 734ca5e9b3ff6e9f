//! The nouns of Vigie: ids, times, events, findings, links between identities, and limits.
//!
//! Secret of this crate: how ids are derived from content. It never knows IO, an async runtime, the
//! wall clock, Arrow, SQL, HTTP or a vendor.

mod column;
mod columnar;
mod event;
mod finding;
mod id;
mod ledger;
mod link;
mod port;
mod query;
mod saved;
mod source;
mod time;
mod tokens;

pub mod limits;

pub use column::{Column, ColumnKind, ColumnValues, EventBatch, TextColumn, ValueColumn};
pub use columnar::{BytesAt, ColumnarReader, TakeRecord};
pub use event::{Event, EventFacts, EventRef};
pub use finding::{Evidence, Finding, Reference, RuleFacts, Severity};
pub use id::{EventId, LogType, NameSpace, Tenant, finding_uid};
pub use ledger::{Collected, Ledger};
pub use link::{Link, LinkKind, Principal, Sureness};
pub use port::{Answer, Committed, Delivery, Documents, Intake, LaneMark, Receipt, Refusal, Rejected, Store};
pub use query::{Ask, Canceller, Cell, QueryEngine, QueryError, Question, RowPlace, Rows};
pub use saved::{SaveError, SavedSearch, SavedSearches};
pub use source::{ByteStream, MemorySource, ObjectInfo, Source};
pub use time::{MILLIS_MAX, Millis, format_utc, millis_of, parse_epoch, parse_instant, parse_moment, parse_rfc3339, parse_time};
pub use tokens::{Scope, TokenInfo, Tokens};
// Read by listeners and in files alike; listeners know no other way of reading records.
pub use vigie_record::SyslogMessage;
