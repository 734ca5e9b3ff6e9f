//! Fuzz target: see `vigie_fuzz::digest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vigie_fuzz::digest(bytes));
