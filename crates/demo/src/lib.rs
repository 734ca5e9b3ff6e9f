//! Makes a day of believable cloud logs with planted truth: who attacked, when, and what looks alike.
//!
//! Secret of this crate: how the demo world behaves. It never knows what Vigie makes of its records,
//! reads no file and no clock, and names no vendor: records, folders, people and services are the
//! content of `content/demo/`, given as a map from path to text.
//!
//! [`Templates::parse`] compiles that content once. [`generate`] then gives away the objects of a
//! window, [`records`] its bare records. The same content and options give the same bytes.

mod archetype;
mod chance;
mod compile;
mod content;
mod delivery;
mod digest;
mod error;
mod library;
mod moment;
mod noise;
mod pen;
mod rota;
mod schedule;
mod story;
mod stream;
#[cfg(test)]
mod tests;
mod truth;
mod weighted;
mod world;

pub use error::Error;
pub use truth::{Gap, Planted, Truth, Twin};
pub use world::Templates;

use crate::delivery::Delivery;
use crate::schedule::Schedule;

/// 2026-11-11T08:00:00Z: with 24 hours, the window holds the whole story of the demo.
pub const START_MS: i64 = 1_794_384_000_000;

/// What to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Records that happen in the window, those of the stories included.
    pub events: u64,
    /// Seed of all random numbers.
    pub seed: u64,
    /// First instant of the window, in milliseconds since 1970 UTC.
    pub start: i64,
    /// Length of the window.
    pub hours: u32,
    /// Plant the intrusion; its benign twins are there in any case.
    pub intrusion: bool,
    /// Records of 100 that are delivered twice.
    pub duplicates_percent: u32,
}

impl Default for Options {
    /// 10,000 records of the demo's day, with the intrusion.
    fn default() -> Self {
        Self { events: 10_000, seed: 1, start: START_MS, hours: 24, intrusion: true, duplicates_percent: 3 }
    }
}

/// A produced object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Path under the output folder, with `/` between folders.
    pub path: String,
    /// Content, compressed where the provider compresses.
    pub bytes: Vec<u8>,
}

/// Makes the objects of a window, gives each to `sink`, and returns what really happened.
///
/// The truth is the last object, `truth.json`. With a `signer`, which returns the hexadecimal
/// signature of the text given to it, each digest is followed by a file
/// `<digest path>.metadata.json` with its signature. Objects are given away as soon as they are
/// complete, not sorted by delivery, so memory stays bounded for any number of records.
pub fn generate(
    templates: &Templates,
    options: &Options,
    signer: Option<&dyn Fn(&str) -> String>,
    sink: &mut dyn FnMut(Object) -> Result<(), Error>,
) -> Result<Truth, Error> {
    let schedule = Schedule::new(templates, options)?;
    let silences = schedule.silences.clone();
    let mut delivery = Delivery::new(templates, options, silences, signer, &mut *sink);
    let outcome = stream::run(templates, options, &schedule, &mut |record| delivery.take(record))?;
    let tally = delivery.finish()?;
    let truth = truth::tell(templates, options, &schedule, &outcome, tally)?;
    let bytes = serde_json::to_vec_pretty(&truth).map_err(|cause| Error::new(format!("cannot write the truth: {cause}")))?;
    sink(Object { path: "truth.json".to_owned(), bytes })?;
    Ok(truth)
}

/// Gives every record of a window to `each`, as raw bytes, in order of occurrence.
///
/// Returns how many there were: `options.events`, less those of a feed that the intrusion stopped.
/// Nothing is delivered twice or late here.
pub fn records(templates: &Templates, options: &Options, each: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<u64, Error> {
    let schedule = Schedule::new(templates, options)?;
    let outcome = stream::run(templates, options, &schedule, &mut |record| each(record.bytes))?;
    Ok(outcome.written)
}
