//! The outside world: transports that records come by. For now files, folders, standard input and pipes.
//!
//! Secret of this crate: how bytes are reached. It never knows OCSF, a rule or a case.

mod folder;
mod lines;

pub use folder::Folder;
pub use lines::Lines;
