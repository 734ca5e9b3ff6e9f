//! What takes long: `make soak` sets VIGIE_SOAK, and these tests run at full size.

use std::fs;

use vigie_tests::vigie;

use crate::shapes::{gzip, record};

/// Whether tests run at full size.
pub fn is_soak() -> bool {
    std::env::var_os("VIGIE_SOAK").is_some_and(|value| !value.is_empty() && value != "0")
}

/// The counts of a hunt's last line: events, and records not read.
fn counts(err: &str) -> (u64, u64) {
    let words: Vec<&str> = err.split_whitespace().collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap_or_else(|_| panic!("no count in: {err}"));
    (number(0), number(4))
}

/// A gz cut anywhere keeps every whole record before the cut, loses at most the one that it cuts, and
/// the run says that it is partial.
#[test]
fn a_gz_cut_anywhere_keeps_what_was_whole() {
    let cuts = if is_soak() { 2_000 } else { 30 };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.json.gz");
    let lines: String = (0..500).map(|number| format!("{}\n", record(number))).collect();
    let whole = gzip(lines.as_bytes());
    // Behind the header of the gz, which is ten bytes; without one it is another kind of file.
    let mut places: Vec<usize> = (0..cuts).map(|number| 10 + number * (whole.len() - 10) / cuts).collect();
    places.push(whole.len() - 1);
    let (mut most, mut halves) = (0, 0);
    for place in places {
        fs::write(&path, &whole[..place]).unwrap();
        let ran = vigie(&["hunt", path.to_str().unwrap(), "-o", "csv"]).unwrap();
        assert_eq!(ran.code, 4, "cut at {place}: {}", ran.err);
        let (events, not_read) = counts(&ran.err);
        assert!(events >= most && events <= 500, "cut at {place}: {events} events after {most}");
        assert!(not_read <= 1, "cut at {place}: {}", ran.err);
        most = events;
        halves += not_read;
    }
    assert_eq!(most, 500, "the last cut takes the checksum only");
    println!("{} cuts of {} bytes of gz: up to {most} events, {halves} records cut in two", cuts + 1, whole.len());
}
