//! The service as its clients know it: nothing acknowledged is lost, nothing is stored twice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod asked;
mod backup;
mod bombs;
mod clients;
mod clock;
mod collection;
mod crash;
mod doctor;
mod enrichment;
mod exact;
mod export;
mod faults;
mod first;
mod hostile;
mod overload;
mod points;
mod power;
mod readers;
mod rebuild;
mod reload;
mod retention;
mod schema;
mod spool;
mod stdin;

/// The Python that `make test` set up.
fn python() -> std::path::PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let beside = test.ancestors().nth(3).map(|target| target.join("python/bin/python")).filter(|path| path.is_file());
    beside.unwrap_or_else(|| "python3".into())
}
