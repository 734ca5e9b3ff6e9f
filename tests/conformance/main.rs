//! Outside oracles: rules, records and answers that nobody of this project wrote. They judge; they
//! are skipped, and say so, where the corpus is not present.

mod harness;
mod sigma;
