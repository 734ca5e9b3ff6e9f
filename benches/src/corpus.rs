//! Real record shapes with fresh values.

use std::collections::HashSet;
use std::path::Path;

/// Records as lines of JSON.
pub struct Corpus {
    pub lines: Vec<String>,
    pub addresses: usize,
    pub identities: usize,
}

/// A small fixed generator (PCG): the same records every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = ((self.0 >> 18) ^ self.0) >> 27;
        mixed % sides
    }
}

const FILES: [&str; 5] = ["ct_invictus", "ct_otrf", "ct_stratus", "ct_stratus_suzaku", "ct_traildiscover"];
/// Different addresses and identities: more than a large estate has in a day.
const ADDRESSES: u64 = 240_000;
/// See [`ADDRESSES`].
const IDENTITIES: u64 = 60_000;

impl Corpus {
    pub fn load(folder: &Path, count: usize) -> Corpus {
        let mut shapes = Vec::new();
        for file in FILES {
            for line in vigie_tests::ndjson(&folder.join(format!("cloudtrail/{file}.ndjson.zst"))).unwrap() {
                shapes.push(line["event"].to_string());
            }
        }
        let mut dice = Dice::new(1187);
        let (mut addresses, mut identities) = (HashSet::new(), HashSet::new());
        let mut lines = Vec::with_capacity(count);
        for number in 0..count {
            let address = if number < ADDRESSES as usize { number as u64 } else { dice.roll(ADDRESSES) };
            let identity = if number < IDENTITIES as usize { number as u64 } else { dice.roll(IDENTITIES) };
            addresses.insert(address);
            identities.insert(identity);
            let shape = &shapes[number % shapes.len()];
            let id = format!("{:08x}-{:04x}-4000-8000-{number:012x}", dice.roll(1 << 32), dice.roll(1 << 16));
            let seconds = number as u64 * 86_400 / count as u64;
            let time = format!("2026-11-12T{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60);
            let ip = format!("{}.{}.{}.{}", 11 + address % 100, address / 100 % 250, address / 25_000 % 250, 1 + address % 7);
            let line = replace(shape, "\"eventID\":\"", &id);
            let line = replace(&line, "\"eventTime\":\"", &time);
            let line = replace(&line, "\"sourceIPAddress\":\"", &ip);
            lines.push(extend(&line, "\"arn\":\"", &format!("-{identity}")));
        }
        Corpus { lines, addresses: addresses.len(), identities: identities.len() }
    }

    pub fn bytes(&self) -> usize {
        self.lines.iter().map(String::len).sum()
    }
}

/// Replaces the text behind the first `key` up to its quote.
fn replace(line: &str, key: &str, value: &str) -> String {
    let Some((head, rest)) = line.split_once(key) else {
        return line.to_owned();
    };
    let (_, tail) = rest.split_once('"').unwrap();
    format!("{head}{key}{value}\"{tail}")
}

/// Adds to the end of the text behind the first `key`.
fn extend(line: &str, key: &str, more: &str) -> String {
    let Some((head, rest)) = line.split_once(key) else {
        return line.to_owned();
    };
    let (value, tail) = rest.split_once('"').unwrap();
    format!("{head}{key}{value}{more}\"{tail}")
}
