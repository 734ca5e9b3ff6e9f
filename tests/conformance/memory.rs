//! Memory and temporary space of a hunt do not grow with its input.

use std::fs;
use std::sync::Arc;

use vigie_detect::RuleSource;
use vigie_model::{ByteStream, ObjectInfo, Source};
use vigie_pipeline::{Hunt, Progress};
use vigie_tests::oracle;
use vigie_tests::reissue::Shapes;

use crate::harness::{builtin_lanes, builtin_rules_and};

/// Objects that the records are spread over.
const OBJECTS: u64 = 40;
/// Records for each day of events.
const RECORDS_PER_DAY: u64 = 1_000_000;
/// A prime, to visit every record once in an order that looks like none.
const STRIDE: u64 = 2_654_435_761;

/// Records made while they are read, in shuffled order.
struct Shuffled {
    shapes: Arc<Shapes>,
    count: u64,
    objects: Vec<ObjectInfo>,
}

struct Stream {
    shapes: Arc<Shapes>,
    count: u64,
    /// The next record of the object, and the end of the object.
    next: u64,
    end: u64,
    line: Vec<u8>,
    at: usize,
}

impl Source for Shuffled {
    fn objects(&self) -> &[ObjectInfo] {
        &self.objects
    }

    fn open(&self, object: usize) -> Result<Box<dyn ByteStream>, String> {
        let place = |object: u64| object * self.count / OBJECTS;
        let (next, end) = (place(object as u64), place(object as u64 + 1));
        Ok(Box::new(Stream { shapes: Arc::clone(&self.shapes), count: self.count, next, end, line: Vec::new(), at: 0 }))
    }
}

impl ByteStream for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        if self.at == self.line.len() {
            if self.next == self.end {
                return Ok(0);
            }
            let number = (u128::from(self.next) * u128::from(STRIDE) % u128::from(self.count)) as u64;
            self.line = self.shapes.record(number, self.count, self.count.div_ceil(RECORDS_PER_DAY)).into_bytes();
            self.line.push(b'\n');
            (self.at, self.next) = (0, self.next + 1);
        }
        let rest = &self.line[self.at..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }
}

/// The most memory that this process has held since the last call, in bytes.
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    fs::write("/proc/self/clear_refs", "5").unwrap();
    kib * 1024
}

#[test]
fn done_hunt_7_memory() {
    oracle("memory", |corpus| {
        let is_soak = std::env::var_os("VIGIE_SOAK").is_some_and(|value| !value.is_empty() && value != "0");
        let counts: &[u64] = if is_soak { &[1_000_000, 10_000_000] } else { &[1_000_000] };
        let mut sources = Vec::new();
        for file in ["correlation-aws.yml", "correlation-m365.yml"] {
            let text = fs::read_to_string(corpus.join("sigma-expected").join(file)).unwrap();
            sources.push(RuleSource { place: file.to_owned(), text });
        }
        let rules = builtin_rules_and(sources);
        let lanes = builtin_lanes(&rules);
        let shapes = Arc::new(Shapes::load(corpus).unwrap());
        for &count in counts {
            let objects =
                (0..OBJECTS).map(|number| ObjectInfo { name: format!("{number}.json"), bytes: None, modified: None }).collect();
            let source = Shuffled { shapes: Arc::clone(&shapes), count, objects };
            let progress = Progress::default();
            let hunt = Hunt { threads: 2, ..Hunt::new(&source, &lanes, &rules, &progress) };
            peak_bytes();
            let mut correlated = 0u64;
            let outcome = hunt.run(&mut |finding, _| correlated += u64::from(finding.events > 1)).unwrap();
            let peak = peak_bytes();
            assert_eq!(outcome.events, count);
            assert!(correlated > 0, "correlations found something");
            println!(
                "{count} records, {} MB: {} findings, {correlated} of several events; {} MB of memory, {} MB of temporary files",
                outcome.bytes / 1_000_000,
                outcome.findings(),
                peak / 1_000_000,
                outcome.spilled_bytes / 1_000_000,
            );
            println!("forgotten by correlations: {}, links left out: {}", outcome.events_forgotten, outcome.links_left_out);
            assert!(peak <= 300_000_000, "{peak} bytes of memory");
            assert!(outcome.spilled_bytes <= outcome.bytes / 10, "{} bytes of temporary files", outcome.spilled_bytes);
        }
    });
}
