//! Records and events to findings: all rules of a lane evaluated together, in one pass.
//!
//! Secret of this crate: how thousands of Sigma rules become one table of predicates with guards.
//! It never knows a vendor, a mapping, storage, alerts, the wall clock or the network.
//!
//! [`RuleSet::parse`] reads rules, [`RuleSet::partition`] compiles those that apply to one log type,
//! [`Partition::observe`] finds the rules an event matches, and [`Correlator`] turns matches in the
//! order of event time into findings of correlations.

mod compile;
mod correlation;
mod error;
mod item;
mod matcher;
mod partition;
mod predicate;
mod ruleset;
mod window;

pub use correlation::{Correlator, Firing, Hit};
pub use error::RuleError;
pub use partition::{Match, Partition, Scratch};
pub use ruleset::{LogName, LogQuery, RuleSet, RuleSource, RuleState};
