//! Real record shapes of the outside corpus with fresh values: as many records as a test or a
//! benchmark wants, the same every time.

use std::io;
use std::path::Path;

/// A small fixed generator (PCG): the same numbers every run.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// A generator that begins with a seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = ((self.0 >> 18) ^ self.0) >> 27;
        mixed % sides
    }
}

const FILES: [&str; 5] = ["ct_invictus", "ct_otrf", "ct_stratus", "ct_stratus_suzaku", "ct_traildiscover"];
/// Different addresses and identities: more than a large estate has in a day.
pub const ADDRESSES: u64 = 240_000;
/// 2026-11-01T00:00:00Z, in seconds since 1970-01-01.
const FIRST_SECOND: i64 = 1_793_491_200;
/// See [`ADDRESSES`].
pub const IDENTITIES: u64 = 60_000;

/// The record shapes of the corpus.
#[derive(Debug)]
pub struct Shapes(Vec<String>);

impl Shapes {
    /// Reads every record of the corpus.
    ///
    /// # Errors
    /// A file of the corpus is missing or broken.
    pub fn load(folder: &Path) -> io::Result<Shapes> {
        let mut shapes = Vec::new();
        for file in FILES {
            let text = crate::unpack(&folder.join(format!("cloudtrail/{file}.ndjson.zst")))?;
            for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                let value: serde_json::Value = serde_json::from_slice(line).map_err(io::Error::other)?;
                shapes.push(value.get("event").map(ToString::to_string).unwrap_or_default());
            }
        }
        Ok(Shapes(shapes))
    }

    /// Record `number` of `count`: times go evenly through `days` days; addresses and identities
    /// are all used before one repeats.
    pub fn record(&self, number: u64, count: u64, days: u64) -> String {
        let mut dice = Dice::new(number ^ 1187);
        let address = if number < ADDRESSES { number } else { dice.roll(ADDRESSES) };
        let identity = if number < IDENTITIES { number } else { dice.roll(IDENTITIES) };
        let shape = self.0.get(number as usize % self.0.len().max(1)).map(String::as_str).unwrap_or_default();
        let id = format!("{:08x}-{:04x}-4000-8000-{number:012x}", dice.roll(1 << 32), dice.roll(1 << 16));
        let second = (u128::from(number) * u128::from(days) * 86_400 / u128::from(count.max(1))) as u64;
        let time = vigie_model::format_utc((FIRST_SECOND + second as i64) * 1000);
        let ip = format!("{}.{}.{}.{}", 11 + address % 100, address / 100 % 250, address / 25_000 % 250, 1 + address % 7);
        let line = replace(shape, "\"eventID\":\"", &id);
        let line = replace(&line, "\"eventTime\":\"", &time);
        let line = replace(&line, "\"sourceIPAddress\":\"", &ip);
        extend(&line, "\"arn\":\"", &format!("-{identity}"))
    }
}

/// Replaces the text behind the first `key` up to its quote.
fn replace(line: &str, key: &str, value: &str) -> String {
    match line.split_once(key).and_then(|(head, rest)| Some((head, rest.split_once('"')?.1))) {
        Some((head, tail)) => format!("{head}{key}{value}\"{tail}"),
        None => line.to_owned(),
    }
}

/// Adds to the end of the text behind the first `key`.
fn extend(line: &str, key: &str, more: &str) -> String {
    match line.split_once(key).and_then(|(head, rest)| Some((head, rest.split_once('"')?))) {
        Some((head, (value, tail))) => format!("{head}{key}{value}{more}\"{tail}"),
        None => line.to_owned(),
    }
}
