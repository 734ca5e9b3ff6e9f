//! What the service must remember beside events: tokens and saved searches today; alerts and cases later.
//!
//! Secret of this crate: how state is stored. It never knows HTTP, Arrow, a vendor, or what a rule
//! means. Callers are threads, with or without a runtime of their own: the database lives in one thread.

mod database;
mod ledger;
mod random;
mod saved;
mod tokens;

pub use database::{FORMAT, State};
pub use random::random_key;
