//! A disk that loses what was not flushed: a file system in memory, mounted for a program under test,
//! that records every change, refuses what it is told to refuse, and says what a power cut leaves.
//!
//! What is durable follows from the recording alone: the bytes of a file up to its last flush, the names
//! of a folder up to the last flush of that folder ([`Names::Strict`]; a file that was flushed has no
//! name yet). [`Recording::survivor`] makes the files and folders after a cut behind any change.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

mod mount;
mod survive;
mod tree;

pub use mount::{FaultDisk, Faults};
pub use survive::{Loss, Names, Recording, Survival};
pub use tree::{Change, Kind, Node, ROOT, Tree};
