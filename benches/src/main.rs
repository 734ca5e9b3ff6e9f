//! `make bench`: the rows of the performance budget, each a ratio against a peer in one run.
//!
//! Thread CPU time of one core, median of several passes, peer and ours in turn. Records are those of
//! the outside corpus re-issued with fresh ids, times, addresses and identities, so that values do
//! not repeat more than in a large estate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark fails by panicking"
)]

mod corpus;
mod lake;
mod logs;
mod mapping;
mod queries;
mod rows;
mod rules;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("logs") {
        return logs::run(std::env::args().nth(2).as_deref());
    }
    let Some(folder) = vigie_tests::corpus() else {
        println!("bench: skipped: corpus not found");
        return;
    };
    let number = |at: usize, default: u64| std::env::args().nth(at).and_then(|count| count.parse().ok()).unwrap_or(default);
    match std::env::args().nth(1).as_deref() {
        Some("ingest") => return lake::durable(&folder, number(2, 10_000_000)),
        Some("size") => return lake::size(&folder, number(2, 10_000_000)),
        Some("arrival") => return lake::arrival(&folder),
        Some("queries") => return queries::nine_queries(&folder, number(2, 2_000_000)),
        Some("first-row") => return queries::first_row(&folder),
        _ => {}
    }
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(200_000);
    let corpus = corpus::Corpus::load(&folder, count);
    println!(
        "{} records, {} bytes each, {} addresses, {} identities",
        count,
        corpus.bytes() / count,
        vigie_tests::reissue::ADDRESSES.min(count as u64),
        vigie_tests::reissue::IDENTITIES.min(count as u64)
    );
    println!("{:<58} {:>12} {:>12} {:>7} {:>7}", "row", "peer /s", "ours /s", "ratio", "budget");
    let only = std::env::args().nth(2);
    rows::run(&folder, &corpus, only.as_deref());
}
