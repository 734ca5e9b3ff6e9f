//! The outside world: transports that records come by. For now files, folders and standard input.
//!
//! Secret of this crate: how bytes are reached. It never knows OCSF, a rule or a case.

mod folder;

pub use folder::Folder;
