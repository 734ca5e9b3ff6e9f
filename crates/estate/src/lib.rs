//! What existed when. For now: who stood behind a credential at an instant.
//!
//! Secret of this crate: how facts about time become answers. It never knows who collected the
//! facts, how they are stored, or how a plan is executed.

mod chain;

pub use chain::{Chain, Chains, LinkKey, Step, keys_behind, keys_of};
