//! Fuzz target: see `vigie_fuzz::cut`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vigie_fuzz::cut(bytes));
