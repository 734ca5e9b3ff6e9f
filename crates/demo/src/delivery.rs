//! Packs records into objects the way a provider delivers them: in batches, minutes late, some twice.
//!
//! Each feed, account and region has three open buffers: the usual one, one for records that come
//! late, and one for records delivered again. Only these buffers, and the names and hashes of the
//! objects of the current hour, are kept in memory.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::chance::Chance;
use crate::compile::fill;
use crate::content::EnvelopeFile;
use crate::digest::{self, Chain, Entry, Lane, Notary};
use crate::error::Error;
use crate::moment::{self, HOUR, MINUTE};
use crate::noise::Place;
use crate::schedule::Silence;
use crate::stream::Record;
use crate::world::Templates;
use crate::{Object, Options};

/// Most records of one object.
const RECORDS_MAX: u64 = 500;
/// How long a late buffer stays open.
const OPEN_LATE: i64 = 30 * MINUTE;
/// Delivery after a usual buffer is closed: with the usual time it was open, 5 to 15 minutes in all.
const DELAY: (i64, i64) = (5 * MINUTE, 10 * MINUTE);
/// Delivery after a late buffer is closed.
const DELAY_LATE: (i64, i64) = (60 * MINUTE, 90 * MINUTE);
/// Records that come later than an hour.
const LATE_PERCENT: u32 = 2;
/// The stream of random numbers of deliveries.
const STREAM: u64 = 4;

/// Where produced objects go.
pub(crate) type Sink<'s> = &'s mut (dyn FnMut(Object) -> Result<(), Error> + 's);

/// Counts of what was delivered.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) objects: u64,
    pub(crate) digests: u64,
    pub(crate) duplicates: u64,
    pub(crate) late: u64,
    /// Digests that were not written because their feed was stopped.
    pub(crate) missing_digests: Vec<String>,
    /// Objects that no digest lists for the same reason.
    pub(crate) objects_without_digest: Vec<String>,
}

/// Why a buffer is kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Usual,
    Late,
    Again,
}

const KINDS: [Kind; 3] = [Kind::Usual, Kind::Late, Kind::Again];

/// Records waiting for their object.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    count: u64,
    oldest: i64,
    newest: i64,
}

/// One feed in one account and region.
#[derive(Debug)]
struct Desk {
    lane: Lane,
    usual: Buffer,
    late: Buffer,
    again: Buffer,
    chain: Chain,
}

impl Desk {
    fn buffer(&mut self, kind: Kind) -> &mut Buffer {
        match kind {
            Kind::Usual => &mut self.usual,
            Kind::Late => &mut self.late,
            Kind::Again => &mut self.again,
        }
    }
}

/// The open objects of all feeds.
pub(crate) struct Delivery<'t, 's> {
    templates: &'t Templates,
    notary: Notary<'t>,
    sink: Sink<'s>,
    chance: Chance,
    duplicates_percent: u32,
    desks: Vec<Desk>,
    next_due: i64,
    next_hour: i64,
    last_delivered: i64,
    tally: Tally,
}

impl<'t, 's> Delivery<'t, 's> {
    /// An empty delivery that gives its objects to `sink`.
    pub(crate) fn new(
        templates: &'t Templates,
        options: &Options,
        silences: Vec<Silence>,
        signer: Option<&'t dyn Fn(&str) -> String>,
        sink: Sink<'s>,
    ) -> Self {
        let mut desks = Vec::new();
        for feed in 0..templates.feeds.len() {
            for account in 0..templates.accounts.len() {
                for region in 0..templates.regions.len() {
                    let lane = Lane { feed, account, region };
                    desks.push(Desk {
                        lane,
                        usual: Buffer::default(),
                        late: Buffer::default(),
                        again: Buffer::default(),
                        chain: Chain::default(),
                    });
                }
            }
        }
        Self {
            templates,
            notary: Notary { templates, silences, signer },
            sink,
            chance: Chance::new(options.seed, STREAM),
            duplicates_percent: options.duplicates_percent.min(100),
            desks,
            next_due: i64::MAX,
            next_hour: (options.start.div_euclid(HOUR) + 1) * HOUR,
            last_delivered: options.start,
            tally: Tally::default(),
        }
    }

    /// Takes the next record in order of time.
    pub(crate) fn take(&mut self, record: &Record<'_>) -> Result<(), Error> {
        let place = record.place;
        if place.time >= self.next_due {
            self.close_due(place.time)?;
        }
        if place.time >= self.next_hour {
            self.close_hours(place.time)?;
        }
        let late = self.chance.percent(LATE_PERCENT);
        let kind = if late { Kind::Late } else { Kind::Usual };
        self.tally.late += u64::from(late);
        self.put(record, kind)?;
        if self.chance.percent(self.duplicates_percent) {
            self.tally.duplicates += 1;
            self.put(record, Kind::Again)?;
        }
        Ok(())
    }

    /// Delivers what is still open and closes the last digests.
    pub(crate) fn finish(mut self) -> Result<Tally, Error> {
        self.close_due(i64::MAX)?;
        let last_hour = self.last_delivered.div_euclid(HOUR) + 1;
        self.close_hours(last_hour * HOUR)?;
        Ok(self.tally)
    }

    fn put(&mut self, record: &Record<'_>, kind: Kind) -> Result<(), Error> {
        let Place { time, feed, account, region } = record.place;
        let accounts = self.templates.accounts.len();
        let regions = self.templates.regions.len();
        let place = (feed * accounts + account) * regions + region;
        let open = open(self.templates, feed);
        let between = envelope(self.templates, feed).between.as_bytes();
        let Some(desk) = self.desks.get_mut(place) else {
            return Err(Error::new("a record belongs to no feed"));
        };
        let buffer = desk.buffer(kind);
        if buffer.count == 0 {
            buffer.oldest = time;
            self.next_due = self.next_due.min(due(time, kind, open));
        } else {
            buffer.bytes.extend_from_slice(between);
        }
        buffer.bytes.extend_from_slice(record.bytes);
        buffer.newest = time;
        buffer.count += 1;
        if buffer.count >= RECORDS_MAX {
            self.close(place, kind, time)?;
        }
        Ok(())
    }

    /// Closes the buffers that have been open long enough.
    fn close_due(&mut self, now: i64) -> Result<(), Error> {
        let mut next = i64::MAX;
        for place in 0..self.desks.len() {
            for kind in KINDS {
                let Some(desk) = self.desks.get_mut(place) else {
                    continue;
                };
                let open = open(self.templates, desk.lane.feed);
                let buffer = desk.buffer(kind);
                if buffer.count == 0 {
                    continue;
                }
                let due = due(buffer.oldest, kind, open);
                if due <= now {
                    self.close(place, kind, due)?;
                } else {
                    next = next.min(due);
                }
            }
        }
        self.next_due = next;
        Ok(())
    }

    /// Makes an object of a buffer that was closed at `at`.
    fn close(&mut self, place: usize, kind: Kind, at: i64) -> Result<(), Error> {
        let Some(desk) = self.desks.get_mut(place) else {
            return Ok(());
        };
        let lane = desk.lane;
        let buffer = std::mem::take(desk.buffer(kind));
        let (low, high) = if kind == Kind::Late { DELAY_LATE } else { DELAY };
        let delivered = at.saturating_add(self.chance.between(low, high));
        let word = self.chance.word();
        let path = log_path(self.templates, lane, delivered, &word)?;
        let envelope = envelope(self.templates, lane.feed);
        let mut text = Vec::with_capacity(buffer.bytes.len() + 32);
        text.extend_from_slice(envelope.open.as_bytes());
        text.extend_from_slice(&buffer.bytes);
        text.extend_from_slice(envelope.close.as_bytes());
        let entry =
            Entry { path: path.clone(), hash: digest::sha256(&text), oldest: buffer.oldest, newest: buffer.newest, delivered };
        desk.chain.pending.push(entry);
        self.last_delivered = self.last_delivered.max(delivered);
        self.tally.objects += 1;
        let is_packed = self.templates.feeds.get(lane.feed).is_none_or(|feed| feed.is_packed);
        (self.sink)(Object { path, bytes: if is_packed { gzip(&text)? } else { text } })
    }

    /// Writes the digests of the hours that ended.
    fn close_hours(&mut self, now: i64) -> Result<(), Error> {
        while self.next_hour <= now {
            let end = self.next_hour;
            for desk in &mut self.desks {
                let closed = self.notary.close(&mut desk.chain, desk.lane, end)?;
                self.tally.objects_without_digest.extend(closed.objects_without_digest);
                self.tally.missing_digests.extend(closed.missing);
                if let Some(written) = closed.written {
                    self.tally.digests += 1;
                    (self.sink)(Object { path: written.path, bytes: gzip(written.text.as_bytes())? })?;
                }
                if let Some((path, text)) = closed.metadata {
                    (self.sink)(Object { path, bytes: text.into_bytes() })?;
                }
            }
            self.next_hour += HOUR;
        }
        Ok(())
    }
}

fn due(oldest: i64, kind: Kind, open: i64) -> i64 {
    oldest.saturating_add(if kind == Kind::Late { OPEN_LATE.max(open) } else { open })
}

/// How long a usual buffer of a feed stays open.
fn open(templates: &Templates, feed: usize) -> i64 {
    templates.feeds.get(feed).map_or(0, |feed| feed.open_minutes * MINUTE)
}

fn envelope(templates: &Templates, feed: usize) -> &EnvelopeFile {
    templates.feeds.get(feed).and_then(|feed| feed.envelope.as_ref()).unwrap_or(&templates.envelope)
}

fn log_path(templates: &Templates, lane: Lane, delivered: i64, word: &str) -> Result<String, Error> {
    let names = digest::names(templates, lane)?;
    let day = moment::day_folders(delivered)?;
    let stamp = moment::minute_stamp(delivered)?;
    let values =
        [("account", names.account), ("region", names.region), ("day", day.as_str()), ("stamp", stamp.as_str()), ("word", word)];
    fill(&names.feed.log_path, &values)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).map_err(|cause| packing(&cause))?;
    encoder.finish().map_err(|cause| packing(&cause))
}

fn packing(cause: &std::io::Error) -> Error {
    Error::new(format!("cannot compress an object: {cause}"))
}
