//! Fuzz target: see `vigie_fuzz::rule`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vigie_fuzz::rule(bytes));
