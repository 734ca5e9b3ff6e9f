//! How fast the files of each log type become events, against those of CloudTrail in turn.
//!
//! A file is what its vendor writes: an envelope where the log has one, else lines of JSON or of text. It is cut
//! into records, which are read and shaped for the promoted columns. Records are the samples of the content;
//! wrapped samples and exports are left out: what they cost more is paid before they are of a log.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use vigie_model::Event;
use vigie_model::limits::{READ_BYTES, RECORD_BYTES_MAX};
use vigie_normalise::{Mapping, Programme};
use vigie_record::{Cut, Cutter, LineSet, MadeLines, PathSet, Row, Walk};

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
    /// A file of as many records as a pass has.
    file: Vec<u8>,
    is_text: bool,
    /// Its samples that are one record each, as one line of JSON.
    records: Vec<Vec<u8>>,
    /// Where lines of text are made, used again as the pipeline does.
    made: Cell<MadeLines>,
}

impl Log {
    fn load(folder: &Path) -> Option<Log> {
        let mapping = Mapping::parse(&|name| std::fs::read_to_string(folder.join(name)).ok()).ok()?;
        let mut wanted = columns();
        let programme = mapping.programme(&mut wanted);
        let walk = Walk::compile(&[programme.paths(), &PathSet::new()]);
        let mut samples: Vec<PathBuf> =
            std::fs::read_dir(folder.join("samples")).ok()?.flatten().map(|entry| entry.path()).collect();
        samples.sort();
        let (mut records, mut text) = (Vec::new(), None);
        for sample in &samples {
            let bytes = std::fs::read(sample).ok()?;
            if sample.extension().is_some_and(|ending| ending == "json") {
                let compact = vigie_record::compact(bytes.trim_ascii()).into_owned().into_bytes();
                let (mut row, mut event) = (Row::new(), Event::default());
                if walk.read(&compact, &mut row).is_ok() && programme.shape(&walk.view(&row, 0), &mut event) {
                    records.push(compact);
                }
            } else if sample.extension().is_some_and(|ending| ending == "log") && text.is_none() {
                text = repeated(&bytes);
            }
        }
        let is_text = text.is_some();
        let file = text.or_else(|| (!records.is_empty()).then(|| file_of(&records, &mapping.envelope_keys)))?;
        Some(Log { mapping, programme, walk, file, is_text, records, made: Cell::default() })
    }

    /// Maps one pass, a mebibyte at a time as a file is read; gives how many events it was.
    fn run(&self) -> usize {
        let set = LineSet::new(&[(0, &self.mapping.lines)]);
        let mut lines = if self.is_text { set.cutter(&self.file, None, RECORD_BYTES_MAX) } else { None };
        let mut json = Cutter::new(self.mapping.envelope_keys.clone(), RECORD_BYTES_MAX);
        let (mut at, mut count, mut cuts, mut made) = (0, 0, Vec::new(), self.made.take());
        while at < self.file.len() {
            let end = (at + READ_BYTES).min(self.file.len());
            let (buffer, is_end) = (&self.file[at..end], end == self.file.len());
            cuts.clear();
            made.clear();
            at += match &mut lines {
                Some(lines) => lines.cut(buffer, is_end, &mut cuts, &mut made).max(1),
                None => json.cut(buffer, is_end, &mut cuts).max(1),
            };
            let (mut row, mut event) = (Row::new(), Event::default());
            for (number, cut) in cuts.iter().enumerate() {
                let Cut::Record(range) = cut else { continue };
                let record = made.get(number).map_or(&buffer[range.clone()], |line| line.record);
                count += usize::from(self.one(record, &mut row, &mut event));
            }
        }
        self.made.replace(made);
        count
    }

    fn one<'r>(&'r self, record: &'r [u8], row: &mut Row<'r>, event: &mut Event<'r>) -> bool {
        let is_event = self.walk.read(record, row).is_ok() && self.programme.shape(&self.walk.view(row, 0), event);
        std::hint::black_box(&event);
        is_event
    }
}

/// A sample of lines with its last line as often as there are records in a pass.
fn repeated(sample: &[u8]) -> Option<Vec<u8>> {
    let text = sample.trim_ascii();
    let last = text.rsplit(|byte| *byte == b'\n').next()?;
    let mut whole = text.get(..text.len() - last.len())?.to_vec();
    for _ in 0..RECORDS {
        whole.extend_from_slice(last);
        whole.push(b'\n');
    }
    Some(whole)
}

/// Records in turn, as a file of their log.
fn file_of(records: &[Vec<u8>], envelope_keys: &[String]) -> Vec<u8> {
    let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).cycle().take(RECORDS).collect();
    match envelope_keys.first() {
        Some(key) => [format!("{{\"{key}\":[").as_bytes(), &records.join(&b","[..]), b"]}"].concat(),
        None => records.join(&b"\n"[..]),
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
        let (bytes, peer_bytes) = (log.file.len() as f64, peer.file.len() as f64);
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
