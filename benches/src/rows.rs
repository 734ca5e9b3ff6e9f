//! The rows of the budget.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rsigma_eval::event::JsonEvent;
use vigie_detect::{LogName, LogQuery, Match, RuleSet, RuleSource, Scratch};
use vigie_model::{Event, MemorySource};
use vigie_normalise::Mapping;
use vigie_pipeline::{Hunt, Lanes, Progress};
use vigie_record::{PathSet, Row, Walk};

use crate::corpus::Corpus;
use crate::mapping::by_hand;
use crate::rules::{dense, sigma};

/// Passes of each side, in turn; the median counts.
const PASSES: usize = 3;
/// Passes of ours alone, for profilers.
const PROFILE_PASSES: usize = 20;

/// CPU time of this thread.
pub fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Median CPU seconds of two pieces of work, run in turn.
pub fn pair(mut peer: impl FnMut(), mut ours: impl FnMut()) -> (f64, f64) {
    let (mut theirs, mut mine) = (Vec::new(), Vec::new());
    for _ in 0..PASSES {
        let start = cpu();
        peer();
        let middle = cpu();
        ours();
        theirs.push((middle - start).as_secs_f64());
        mine.push((cpu() - middle).as_secs_f64());
    }
    (median(theirs), median(mine))
}

/// The middle of some figures.
pub fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn print(name: &str, records: usize, (peer, ours): (f64, f64), budget: &str) {
    let rate = |seconds: f64| records as f64 / seconds;
    println!("{name:<58} {:>12.0} {:>12.0} {:>6.2}x {budget:>7}", rate(peer), rate(ours), peer / ours);
}

/// Runs every row, or those whose name holds a text.
pub fn run(folder: &Path, corpus: &Corpus, only: Option<&str>) {
    let wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    let sets = [
        ("match 57 rules/cloud/aws", sigma(folder, "rules/cloud/aws"), "5x"),
        ("match 225 rules/cloud", sigma(folder, "rules/cloud"), "6x"),
        ("match 3,141 rules", sigma(folder, "rules/"), "7x"),
        ("match 3,000 dense rules", dense(3000), "20x"),
    ];
    for (name, rules, budget) in &sets {
        if wanted(name) {
            print(
                &format!("{name} ({}), peer rsigma-eval", rules.len()),
                corpus.lines.len(),
                against_rsigma(corpus, rules),
                budget,
            );
        }
    }
    for (name, rules) in [("profile 57", &sets[0].1), ("profile 3,141", &sets[2].1)] {
        if only == Some(name) {
            let set = parse(rules);
            let lane = Matching::new(&set);
            println!(
                "{name}: {} findings in {} passes",
                (0..PROFILE_PASSES).map(|_| lane.run(&corpus.lines)).sum::<usize>(),
                PROFILE_PASSES
            );
        }
    }
    if only == Some("profile mapping") {
        (0..PROFILE_PASSES).for_each(|_| _ = mapping(corpus));
    }
    if only == Some("profile hunt") {
        let set = parse(&sets[2].1);
        let (lanes, source) = (Lanes::mapped(&[cloudtrail()], &set), memory(corpus));
        println!("{} findings", (0..PROFILE_PASSES).map(|_| hunt(&source, &lanes, &set, 1)).sum::<u64>());
    }
    if wanted("floor") {
        let set = parse(&sets[0].1);
        let lane = Matching::new(&set);
        print(
            "floor: the walk alone, peer with matching",
            corpus.lines.len(),
            pair(|| _ = lane.run(&corpus.lines), || lane.walk_only(&corpus.lines)),
            "",
        );
    }
    if wanted("end to end") {
        print("end to end, 3,141 rules, peer sonic-rs Value", corpus.lines.len(), end_to_end(corpus, &sets[2].1), "0.35x");
    }
    if wanted("mapping") {
        print("mapping interpreter, peer by hand", corpus.lines.len(), mapping(corpus), "0.6x");
    }
    if wanted("cores") {
        let (one, two) = cores(corpus, &sets[2].1);
        print("2 cores, peer 1 core (wall)", corpus.lines.len(), (one, two), "1.8x");
    }
    if wanted("bomb") {
        println!("{:<58} {:>31.3} s {:>7}", "gzip bomb of 1 GiB: refused after", bomb(), "1 s");
    }
    if wanted("ten times") {
        let sets = [dense(300), dense(3000)].map(|rules| parse(&rules));
        let [small, large] = [&sets[0], &sets[1]].map(Matching::new);
        let seconds =
            pair(|| _ = std::hint::black_box(small.run(&corpus.lines)), || _ = std::hint::black_box(large.run(&corpus.lines)));
        println!("{:<58} {:>33.2}x {:>7}", "ten times the rules of one log: time against", seconds.1 / seconds.0, "1.4x");
    }
}

/// Seconds until a gzip file of one gibibyte of white space is refused.
fn bomb() -> f64 {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"[").unwrap();
    let nothing = vec![b' '; 1 << 20];
    (0..1024).for_each(|_| encoder.write_all(&nothing).unwrap());
    let source = MemorySource::new("bomb.json.gz", encoder.finish().unwrap());
    let set = parse(&[]);
    let (lanes, progress) = (Lanes::mapped(&[cloudtrail()], &set), Progress::default());
    let start = std::time::Instant::now();
    let outcome = Hunt::new(&source, &lanes, &set, &progress).run(&mut |_, _| {}).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(outcome.broken_files.len(), 1, "the bomb is named");
    seconds
}

fn parse(rules: &[(String, String)]) -> RuleSet {
    let sources: Vec<RuleSource> =
        rules.iter().map(|(place, text)| RuleSource { place: place.clone(), text: text.clone() }).collect();
    let (set, errors) = RuleSet::parse(&sources, BTreeMap::new());
    assert!(errors.is_empty(), "{}", errors[0]);
    set
}

fn against_rsigma(corpus: &Corpus, rules: &[(String, String)]) -> (f64, f64) {
    let mut engine = rsigma_eval::Engine::new();
    engine.set_include_event(false);
    // All at once: its index is built anew with every call.
    let mut all = rsigma_parser::SigmaCollection::new();
    for (_, text) in rules {
        all.rules.extend(rsigma_parser::parse_sigma_yaml(text).unwrap().rules);
    }
    engine.add_collection(&all).unwrap();
    let source =
        rsigma_parser::LogSource { product: Some("aws".into()), service: Some("cloudtrail".into()), ..Default::default() };
    let mut theirs = 0usize;
    let peer = || {
        theirs = 0;
        for line in &corpus.lines {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            theirs += engine.evaluate_with_logsource(&JsonEvent::borrow(&value), &source).len();
        }
    };
    let set = parse(rules);
    let lane = Matching::new(&set);
    let mut found = 0;
    let seconds = pair(peer, || found = lane.run(&corpus.lines));
    assert_eq!(found, theirs, "both engines find the same");
    seconds
}

/// Parse, match, and findings with their evidence: nothing else.
struct Matching {
    partition: vigie_detect::Partition,
    walk: Walk,
}

impl Matching {
    fn new(set: &RuleSet) -> Matching {
        let name = LogName { product: Some("aws".into()), service: Some("cloudtrail".into()), category: None };
        let query = LogQuery { names: vec![name], has_events: false };
        let partition = set.partition(&query, &BTreeMap::new());
        let walk = Walk::compile(&[partition.native_paths()]);
        Matching { partition, walk }
    }

    fn walk_only(&self, lines: &[String]) {
        let mut row = Row::new();
        for line in lines {
            self.walk.read(line.as_bytes(), &mut row).unwrap();
            std::hint::black_box(&row);
        }
    }

    fn run(&self, lines: &[String]) -> usize {
        let (mut row, event, mut scratch, mut matches) = (Row::new(), Event::default(), Scratch::default(), Vec::<Match>::new());
        let mut found = 0;
        for line in lines {
            self.walk.read(line.as_bytes(), &mut row).unwrap();
            let view = self.walk.view(&row, 0);
            self.partition.observe(&view, &event, &mut scratch, &mut matches);
            for hit in matches.drain(..) {
                std::hint::black_box(self.partition.evidence(&hit, &view, &event, &mut scratch));
                found += 1;
            }
        }
        found
    }
}

/// The corpus as one object.
fn memory(corpus: &Corpus) -> MemorySource {
    MemorySource::new("memory", corpus.lines.join("\n").into_bytes())
}

/// The mapping of the log type that the corpus has.
pub fn cloudtrail() -> Mapping {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../content/vendors/aws/logs/cloudtrail");
    Mapping::parse(&|name| std::fs::read_to_string(folder.join(name)).ok()).unwrap()
}

fn hunt(source: &MemorySource, lanes: &Lanes, rules: &RuleSet, threads: usize) -> u64 {
    let progress = Progress::default();
    let hunt = Hunt { threads, ..Hunt::new(source, lanes, rules, &progress) };
    let mut findings = 0;
    hunt.run(&mut |_, _| findings += 1).unwrap();
    findings
}

/// The whole hunt, duplicates, chains and promoted columns included, against building a `Value`.
fn end_to_end(corpus: &Corpus, rules: &[(String, String)]) -> (f64, f64) {
    let set = parse(rules);
    let lanes = Lanes::mapped(&[cloudtrail()], &set);
    let source = memory(corpus);
    let peer = || {
        for line in &corpus.lines {
            std::hint::black_box(sonic_rs::from_str::<sonic_rs::Value>(line).unwrap());
        }
    };
    // The hunt works in a thread of its own: process time, since nothing else runs.
    let mut mine = Vec::new();
    let mut theirs = Vec::new();
    for _ in 0..PASSES {
        let start = cpu();
        peer();
        theirs.push((cpu() - start).as_secs_f64());
        let start = process();
        std::hint::black_box(hunt(&source, &lanes, &set, 1));
        mine.push((process() - start).as_secs_f64());
    }
    (median(theirs), median(mine))
}

/// CPU time of the whole process.
pub fn process() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn cores(corpus: &Corpus, rules: &[(String, String)]) -> (f64, f64) {
    let set = parse(rules);
    let lanes = Lanes::mapped(&[cloudtrail()], &set);
    let source = memory(corpus);
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..PASSES {
        for (threads, seconds) in [(1, &mut one), (2, &mut two)] {
            let start = std::time::Instant::now();
            std::hint::black_box(hunt(&source, &lanes, &set, threads));
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    (median(one), median(two))
}

/// The OCSF paths of the promoted columns.
pub fn columns() -> PathSet {
    let columns =
        std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../content/schema/columns.toml")).unwrap();
    let columns: toml::Table = columns.parse().unwrap();
    let mut wanted = PathSet::new();
    for column in columns["columns"].as_array().unwrap() {
        let path = column["path"].as_str().unwrap();
        wanted.intern(path.trim_start_matches("vigie:"));
    }
    wanted
}

fn mapping(corpus: &Corpus) -> (f64, f64) {
    let mut wanted = columns();
    let programme = cloudtrail().programme(&mut wanted);
    let walk = Walk::compile(&[programme.paths()]);
    pair(
        || _ = std::hint::black_box(by_hand(&corpus.lines)),
        || {
            let (mut row, mut event, mut count) = (Row::new(), Event::default(), 0);
            for line in &corpus.lines {
                if walk.read(line.as_bytes(), &mut row).is_ok() {
                    count += usize::from(programme.shape(&walk.view(&row, 0), &mut event));
                    std::hint::black_box(&event);
                }
            }
            std::hint::black_box(count);
        },
    )
}
