//! Fuzz target: see `vigie_fuzz::hunt`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vigie_fuzz::hunt(bytes));
