//! Arrival order cannot matter: shuffled files, spilled memory, the same bytes out.

use std::fs;
use std::io::Write;
use std::path::Path;

use vigie_tests::vigie;

use crate::demo::write_demo;
use crate::soak::is_soak;

/// A fixed shuffle: the same seed gives the same order.
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for at in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(at, (seed >> 33) as usize % (at + 1));
    }
}

/// Every record of a folder's files, one a line.
fn records(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        if path.extension().is_some_and(|ending| ending == "ndjson") {
            lines.extend(fs::read_to_string(&path).unwrap().lines().map(str::to_owned));
            continue;
        }
        let mut text = String::new();
        if path.extension().is_some_and(|ending| ending == "gz") {
            let file = fs::File::open(&path).unwrap();
            std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(file), &mut text).unwrap();
        } else {
            text = fs::read_to_string(&path).unwrap();
        }
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let records = value["Records"].as_array().or_else(|| value["value"].as_array());
        lines.extend(records.into_iter().flatten().map(ToString::to_string));
    }
    lines.sort();
    lines
}

#[test]
fn done_hunt_5_shuffles_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    write_demo(&logs, if is_soak() { 1_000_000 } else { 30_000 }, false);
    let mut lines = records(&logs);
    fs::remove_dir_all(&logs).unwrap();
    let file = folder.path().join("shuffled.json");
    let mut first: Option<(String, String)> = None;
    for seed in 0..10u64 {
        shuffle(&mut lines, seed);
        let mut out = std::io::BufWriter::new(fs::File::create(&file).unwrap());
        lines.iter().for_each(|line| writeln!(out, "{line}").unwrap());
        out.flush().unwrap();
        let path = file.to_str().unwrap();
        let threads = (1 + seed % 3).to_string();
        let found = vigie(&["hunt", path, "-o", "ndjson", "--spill-kib", "256", "--threads", &threads]).unwrap();
        let story = vigie(&["hunt", path, "--spill-kib", "256", "--threads", &threads]).unwrap();
        assert_eq!(found.code, 3, "{}", found.err);
        assert!(found.err.contains("bytes in temporary files"), "spilling was forced: {}", found.err);
        match &first {
            None => first = Some((found.out, story.out)),
            Some((findings, text)) => {
                assert_eq!(*findings, found.out, "seed {seed}");
                assert_eq!(*text, story.out, "seed {seed}");
            }
        }
    }
    let (findings, _) = first.unwrap();
    println!("{} findings, byte for byte the same in 10 orders of {} records", findings.lines().count(), lines.len());
}

/// A tree holds many events twice, delivered at different times: whichever worker reads which copy,
/// the page says the same, to the time of delivery.
#[test]
fn threads_change_no_byte_of_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    write_demo(&logs, 20_000, false);
    let page = |threads: &str| vigie(&["hunt", logs.to_str().unwrap(), "-o", "html", "--threads", threads]).unwrap().out;
    let first = page("1");
    for threads in ["2", "3", "4", "2", "3", "4"] {
        assert!(first == page(threads), "{threads} threads tell another story");
    }
}
