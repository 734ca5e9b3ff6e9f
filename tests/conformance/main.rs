//! Outside oracles: rules, records and answers that nobody of this project wrote. They judge; they
//! are skipped, and say so, where the corpus is not present.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

/// The allocator of the binary: memory is measured here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod clouds;
mod corpora;
mod enrichment;
mod harness;
mod memory;
mod ocsf;
mod panther;
mod panther_shape;
mod schema;
mod sigma;
mod stratus;
