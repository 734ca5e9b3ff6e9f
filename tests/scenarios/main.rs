//! Logs in, stories out: the built binary as a person uses it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod chains;
mod claims;
mod collection;
mod columns;
mod command;
mod demo;
mod enrichment;
mod french;
mod fuzz;
mod lines;
mod logs;
mod markup;
mod order;
mod payloads;
mod poison;
mod shapes;
mod signature;
mod soak;
