//! Fuzz target: see `vigie_fuzz::mapping`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vigie_fuzz::mapping(bytes));
