//! Moves batches: objects in, records cut, shaped and matched on all cores, findings out in the order
//! of event time.
//!
//! Secret of this crate: bounds, parallelism and order. It never knows which lake, store, vendor or
//! desk stands behind a port.

mod admit;
mod care;
mod columnar;
mod conclude;
mod find;
mod gather;
mod hunt;
mod inflate;
mod intake;
mod journal;
mod keep;
mod kinship;
mod lane;
mod outcome;
mod pack;
mod proof;
mod shape;
mod signature;
mod spill;
mod spool;
mod watch;
mod work;

pub use care::{Repaired, SegmentCheck, check_spool, repair_spool};
pub use hunt::{Documents, Hunt, Progress};
pub use intake::{Cadence, IntakeParts, IntakeState, PushIntake};
pub use keep::{JOURNAL_FORMAT, SPOOL_FORMAT, position_alone, position_beside, push_lane, segment_number, write_position};
pub use lane::{GenericPaths, Lane, Lanes};
pub use outcome::{Activity, Explained, Outcome, Reject, RejectReason};
pub use proof::{ChainCounts, ChainName, DigestFormat, DigestPaths, Flaw, Proof};
pub use shape::{Reshaped, Shaper, delivery_number};
pub use signature::{KeyFormat, SignatureFormat};
pub use spool::{Damage, Position};
pub use watch::{Looked, Watch, prove};
