//! Fuzz target: see `vigie_fuzz::walk`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vigie_fuzz::walk(bytes));
