//! How fast the records of each log type become events, against those of CloudTrail in turn.
//!
//! Records are the samples of the content, as one line each: read, shaped for the promoted columns, and
//! cut out of their line where the log is text. Wrapped samples and exports are left out: what they cost more is
//! paid before they are of a log.

use std::path::{Path, PathBuf};

use vigie_model::Event;
use vigie_model::limits::RECORD_BYTES_MAX;
use vigie_normalise::{Mapping, Programme};
use vigie_record::{Cut, LineSet, MadeLines, PathSet, Row, Walk};

use crate::rows::{columns, cpu, pair};

/// Records of one pass.
const RECORDS: usize = 20_000;
/// The log type that others are compared with.
const PEER: &str = "aws/cloudtrail";
/// Words in the names of log types of flows and names asked for.
const SMALL: [&str; 5] = ["flow", "dns", "route53", "zeek/conn", "nsg"];
/// Of the rate at which a parser alone reads CloudTrail, what small records reach.
const SMALL_SHARE: f64 = 0.4;

/// One log type ready to be measured.
struct Log {
    mapping: Mapping,
    programme: Programme,
    walk: Walk,
    /// Lines of JSON, or lines of text with their header.
    records: Vec<Vec<u8>>,
    /// Texts of lines, with as many lines as there are records in a pass.
    text: Option<Vec<u8>>,
}

impl Log {
    fn load(folder: &Path) -> Option<Log> {
        let mapping = Mapping::parse(&|name| std::fs::read_to_string(folder.join(name)).ok()).ok()?;
        let mut wanted = columns();
        let programme = mapping.programme(&mut wanted);
        let walk = Walk::compile(&[programme.paths(), &PathSet::new()]);
        let mut log = Log { mapping, programme, walk, records: Vec::new(), text: None };
        let mut samples: Vec<PathBuf> =
            std::fs::read_dir(folder.join("samples")).ok()?.flatten().map(|entry| entry.path()).collect();
        samples.sort();
        for sample in &samples {
            let bytes = std::fs::read(sample).ok()?;
            if sample.extension().is_some_and(|ending| ending == "json") {
                let compact = vigie_record::compact(bytes.trim_ascii()).into_owned().into_bytes();
                let (mut row, mut event) = (Row::new(), Event::default());
                let is_record =
                    log.walk.read(&compact, &mut row).is_ok() && log.programme.shape(&log.walk.view(&row, 0), &mut event);
                if is_record {
                    log.records.push(compact);
                }
            } else if sample.extension().is_some_and(|ending| ending == "log") && log.records.is_empty() {
                log.text = log.text.take().or_else(|| log.repeated(&bytes));
            }
        }
        (log.text.is_some() || !log.records.is_empty()).then_some(log)
    }

    /// A sample of lines with its last line as often as there are records in a pass.
    fn repeated(&self, sample: &[u8]) -> Option<Vec<u8>> {
        let text = sample.trim_ascii();
        let last = text.rsplit(|byte| *byte == b'\n').next()?;
        let mut whole = text.get(..text.len() - last.len())?.to_vec();
        for _ in 0..RECORDS {
            whole.extend_from_slice(last);
            whole.push(b'\n');
        }
        Some(whole)
    }

    /// Maps one pass; gives how many events it was.
    fn run(&self) -> usize {
        let (mut event, mut count) = (Event::default(), 0);
        if let Some(text) = &self.text {
            let set = LineSet::new(&[(0, &self.mapping.lines)]);
            let Some(mut cutter) = set.cutter(text, None, RECORD_BYTES_MAX) else {
                return 0;
            };
            // As a file is read: a mebibyte at a time.
            let (mut at, mut cuts, mut made) = (0, Vec::new(), MadeLines::default());
            while at < text.len() {
                let end = (at + vigie_model::limits::READ_BYTES).min(text.len());
                cuts.clear();
                made.clear();
                at += cutter.cut(&text[at..end], end == text.len(), &mut cuts, &mut made).max(1);
                let (mut row, mut line_event) = (Row::new(), Event::default());
                for number in (0..cuts.len()).filter(|number| matches!(cuts[*number], Cut::Record(_))) {
                    if let Some(line) = made.get(number) {
                        count += usize::from(self.one(line.record, &mut row, &mut line_event));
                    }
                }
            }
            return count;
        }
        let mut row = Row::new();
        for record in self.records.iter().cycle().take(RECORDS) {
            count += usize::from(self.one(record, &mut row, &mut event));
        }
        count
    }

    fn one<'r>(&'r self, record: &'r [u8], row: &mut Row<'r>, event: &mut Event<'r>) -> bool {
        let is_event = self.walk.read(record, row).is_ok() && self.programme.shape(&self.walk.view(row, 0), event);
        std::hint::black_box(&event);
        is_event
    }

    /// Bytes of one pass, as the log is written.
    fn bytes(&self) -> usize {
        match &self.text {
            Some(text) => text.len(),
            None => self.records.iter().cycle().take(RECORDS).map(|record| record.len() + 1).sum(),
        }
    }
}

/// Every folder of a log type.
fn folders() -> Vec<PathBuf> {
    let vendors = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../content/vendors");
    let inside = |folder: &Path| -> Vec<PathBuf> {
        let mut inner: Vec<PathBuf> =
            std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        inner.sort();
        inner
    };
    inside(&vendors).iter().flat_map(|vendor| inside(&vendor.join("logs"))).collect()
}

/// Measures every log type, or those whose name holds a text; fails when one is slower than the peer both by event
/// and by byte, or when small records are slower than their share of a parser's rate.
pub fn run(only: Option<&str>) {
    let logs: Vec<Log> = folders().iter().filter_map(|folder| Log::load(folder)).collect();
    let peer = logs.iter().find(|log| log.mapping.log.0 == PEER).expect("the content has CloudTrail");
    let parse = || {
        for record in peer.records.iter().cycle().take(RECORDS) {
            std::hint::black_box(sonic_rs::from_slice::<sonic_rs::Value>(record).unwrap());
        }
    };
    println!(
        "{:<30} {:>7} {:>9} {:>9} {:>8} {:>8}  {:>10}",
        "log type", "bytes", "ns/event", "ns/byte", "by event", "by byte", "by parser"
    );
    let mut slow = Vec::new();
    for log in logs.iter().filter(|log| only.is_none_or(|only| log.mapping.log.0.contains(only))) {
        let count = log.run();
        if count == 0 {
            println!("{:<30} no sample of it is a record by itself", log.mapping.log.0);
            continue;
        }
        let (theirs, ours) = pair(|| _ = std::hint::black_box(peer.run()), || _ = std::hint::black_box(log.run()));
        let (bytes, peer_bytes) = (log.bytes() as f64, peer.bytes() as f64);
        let by_event = (ours / count as f64) / (theirs / RECORDS as f64);
        let by_byte = (ours / bytes) / (theirs / peer_bytes);
        let is_small = SMALL.iter().any(|word| log.mapping.log.0.contains(word));
        let share = is_small.then(|| {
            let begun = cpu();
            parse();
            let parsing = (cpu() - begun).as_secs_f64();
            (parsing / RECORDS as f64) / (ours / count as f64)
        });
        let is_slow = (by_event > 1.0 && by_byte > 1.0) || share.is_some_and(|share| share < SMALL_SHARE);
        println!(
            "{:<30} {:>7.0} {:>9.0} {:>9.2} {by_event:>7.2}x {by_byte:>7.2}x  {:>10}{}",
            log.mapping.log.0,
            bytes / count as f64,
            ours * 1e9 / count as f64,
            ours * 1e9 / bytes,
            share.map_or(String::new(), |share| format!("{share:.2}x")),
            if is_slow { "  SLOW" } else { "" },
        );
        if is_slow && log.mapping.log.0 != PEER {
            slow.push(log.mapping.log.0.clone());
        }
    }
    assert!(slow.is_empty(), "slower than they may be: {}", slow.join(", "));
    println!("{} log types, none slower than {PEER} both by event and by byte", logs.len());
}
