//! A delivery becomes rows: every record an event or a row in quarantine, none dropped.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use vigie_detect::{Match, Scratch};
use vigie_model::limits::{RECORD_BYTES_MAX, REJECTS_NAMED_MAX};
use vigie_model::{
    Column, ColumnValues, Delivery, Event, EventBatch, EventId, LogType, Millis, NameSpace, Receipt, Refusal, Rejected, Tenant,
    TextColumn,
};
use vigie_normalise::Enricher;
use vigie_record::{
    AFTER_END, Cut, Cutter, Fields, MadeLine, MadeLines, OneLine, Row, Shape, SlotId, UNKNOWN_LINE, Value, value_end,
};

use crate::find::{Finder, Found, INSIDE_MAX, Line};
use crate::lane::{Lanes, PROGRAMME, RULES};

/// The bit of a delivery's number that says that the number names its records: what comes again under
/// it was there before.
const NAMED_DELIVERY: u64 = 1 << 63;

/// The number of a delivery that these parts name. Under it the same records come each time: those that
/// were taken in before are not stored again.
pub fn delivery_number(parts: &[&[u8]]) -> u64 {
    EventId::name_hash(parts) | NAMED_DELIVERY
}

/// Turns deliveries into rows. Shared by all threads that take deliveries in.
#[derive(Debug)]
pub struct Shaper {
    tenant: Tenant,
    lanes: Lanes,
    columns: Vec<Column>,
    /// By lane.
    names: Vec<NameSpace>,
    /// For each lane where its events have the promoted columns.
    slots: Vec<Vec<Option<SlotId>>>,
    /// The lane of JSON objects that no mapping knows.
    generic: usize,
    /// Tells the records of the other lanes apart.
    finder: Finder,
    time: Option<usize>,
    class: Option<usize>,
    /// What rules of the lanes found. The service's lanes have none yet.
    matches: AtomicU64,
}

/// What reshaping found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reshaped {
    /// Events that were read again.
    pub events: u64,
    /// Events that would have another id by the mapping of now. They keep the one they have.
    pub other_ids: u64,
}

/// Where a record of a delivery stands: what names a record without an id.
#[derive(Debug, Clone, Copy)]
struct Place {
    delivery: u64,
    index: u64,
}

/// What one record is.
enum Fate {
    Kept,
    Rejected(String),
    Foreign,
    /// Another value begins here on the same line.
    Glued(usize),
}

/// What rules work with.
#[derive(Default)]
struct Observed {
    scratch: Scratch,
    matches: Vec<Match>,
}

/// Rows in the making.
struct Taking<'d> {
    /// Without its body.
    delivery: &'d Delivery,
    /// What records stand in.
    body: &'d [u8],
    number: u64,
    now: Millis,
    batch: EventBatch,
    /// Records so far. One that is kept in parts is several rows, and one record to its client.
    records: u64,
    receipt: Receipt,
    observed: Observed,
    /// What was found when the event was taken in, where it is made anew.
    stored: Option<&'d str>,
    /// What is found for the record at hand: see [`EventBatch::enrichments`].
    told: String,
}

impl Shaper {
    /// A shaper for lanes whose last one reads any JSON object.
    pub fn new(tenant: Tenant, lanes: Lanes, columns: Vec<Column>) -> Shaper {
        let names = lanes.lanes.iter().map(|lane| NameSpace::new(&tenant, &lane.log)).collect();
        let path = |column: &Column| column.path.trim_start_matches("vigie:").to_owned();
        let slots = lanes.lanes.iter().map(|lane| columns.iter().map(|column| lane.slot(&path(column))).collect()).collect();
        let position = |name: &str| columns.iter().position(|column| column.name == name);
        let (time, class) = (position("time"), position("class_uid"));
        let generic = lanes.lanes.len().saturating_sub(1);
        let finder = Finder::new(lanes.lanes.get(..generic).unwrap_or_default(), &lanes, false);
        Shaper { tenant, lanes, columns, names, slots, generic, finder, time, class, matches: AtomicU64::new(0) }
    }

    /// The promoted columns of its rows.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// How often the rules of its lanes matched.
    pub fn matches(&self) -> u64 {
        self.matches.load(Ordering::Relaxed)
    }

    /// Whether it reads a log type.
    pub fn knows(&self, log: &LogType) -> bool {
        self.lanes.lanes.iter().any(|lane| lane.log == *log)
    }

    /// How it cuts and reads records.
    pub fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// Whose records it shapes.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The rows of a delivery, whose body they take over: records stand in it. `number` is the delivery's
    /// own: it names records that have no id, so it must be kept with the bytes. The same delivery and
    /// number give the same rows.
    ///
    /// # Errors
    /// When the client names a log type that nothing here reads.
    pub fn shape(&self, mut delivery: Delivery, number: u64, now: Millis) -> Result<(EventBatch, Receipt), Refusal> {
        let forced = match &delivery.log {
            None => None,
            Some(log) => {
                let known = self.lanes.lanes.iter().position(|lane| lane.log == *log);
                Some(known.ok_or_else(|| Refusal::UnknownLog(log.0.clone()))?)
            }
        };
        let body = std::mem::take(&mut delivery.body);
        let batch = EventBatch::new(&self.columns);
        let (receipt, observed) = (Receipt::default(), Observed::default());
        let (stored, told) = (None, String::new());
        let mut taking =
            Taking { delivery: &delivery, body: &body, number, now, batch, records: 0, receipt, observed, stored, told };
        let mut cutter = Cutter::new(self.lanes.envelope_keys.clone(), RECORD_BYTES_MAX);
        let (mut cuts, mut made) = (Vec::new(), MadeLines::default());
        let mut used = cutter.cut(&body, true, &mut cuts);
        let mut shape = cutter.shape();
        if shape == Shape::Foreign {
            cuts.clear();
            match self.lanes.lines.cutter(&body, forced, RECORD_BYTES_MAX) {
                Some(mut lines) => (used, shape) = (lines.cut(&body, true, &mut cuts, &mut made), Shape::Text),
                None => taking.quarantine(self, &body, "is no JSON"),
            }
        }
        let mut reader = Reader::new(self, forced);
        for (at, cut) in cuts.iter().enumerate() {
            let slice = |range: &Range<usize>| body.get(range.clone()).unwrap_or_default();
            match cut {
                Cut::Record(range) => match made.get(at) {
                    Some(made) => self.line(made, slice(range), &mut reader, &mut taking),
                    None => self.records(slice(range), &mut reader, &mut taking),
                },
                Cut::Oversize(head) => {
                    let next = cuts.get(at + 1).map_or(used, start);
                    let record = whole(slice(&(head.start..next)), shape);
                    taking.quarantine(self, record, "is longer than the limit for one record");
                }
                Cut::Reject(range, reason) => taking.quarantine(self, slice(range), reason),
            }
        }
        let rest = body.get(used..).unwrap_or_default().trim_ascii();
        if shape != Shape::Foreign && (cutter.is_open() || !rest.is_empty()) {
            taking.quarantine(self, rest, "ends before its array is closed");
        }
        let Taking { mut batch, receipt, .. } = taking;
        batch.raw.adopt(body);
        Ok((batch, receipt))
    }

    /// The same events with their columns made anew from their records, which keep their ids and what was
    /// found when they were taken in: see [`Reshaped`]. A record in quarantine that can be read now becomes an event.
    pub fn reshape(&self, stored: &EventBatch) -> (EventBatch, Reshaped) {
        let mut made = EventBatch::new(&self.columns);
        let mut told = Reshaped::default();
        for (row, &id) in stored.ids.iter().enumerate() {
            let text = |column: &TextColumn| column.get(row).map(|text| String::from_utf8_lossy(text).into_owned());
            let record = stored.raw.get(row).or_else(|| stored.raw_binary.get(row)).unwrap_or_default();
            let log = text(&stored.logs).map(LogType).filter(|log| self.knows(log));
            let now = stored.ingested.get(row).copied().unwrap_or_default();
            let forced = log.as_ref().and_then(|log| self.lanes.lanes.iter().position(|lane| lane.log == *log));
            let delivery = Delivery {
                tenant: self.tenant.clone(),
                log,
                source: text(&stored.sources).unwrap_or_default(),
                number: None,
                body: Vec::new(),
            };
            let enrichment = text(&stored.enrichments).unwrap_or_default();
            let new = || Taking {
                delivery: &delivery,
                body: &[],
                number: 0,
                now,
                batch: EventBatch::new(&self.columns),
                records: 0,
                receipt: Receipt::default(),
                observed: Observed::default(),
                stored: Some(&enrichment),
                told: String::new(),
            };
            let mut taking = new();
            self.records(record, &mut Reader::new(self, forced), &mut taking);
            // What still cannot be read keeps the reason that it has: then it stood among others.
            let is_rejected = taking.batch.len() != 1 || taking.receipt.rejected > 0;
            if is_rejected {
                let now = taking.receipt.rejects.first().map(|reject| reject.reason.clone());
                let reason = text(&stored.reasons).or(now).unwrap_or_else(|| "is more than one record".to_owned());
                taking = new();
                // One row stays one row, since it has one id.
                taking.quarantine_row(self, record, &reason);
            }
            let differs = taking.batch.ids.first().is_some_and(|made| *made != id);
            told.events += 1;
            told.other_ids += u64::from(differs && taking.batch.is_named.first() == Some(&true));
            taking.keep_identity(self, id, stored.delivered.get(row).copied().flatten());
            made.append(&taking.batch);
        }
        (made, told)
    }

    /// Reads the record that was made of a line, by the lane that knows such lines. The line is what is
    /// kept, unless it says nothing without its header.
    fn line<'r>(&'r self, made: MadeLine<'r>, line: &[u8], reader: &mut Reader<'r>, taking: &mut Taking<'_>) {
        let raw = if made.is_whole { line } else { made.record };
        let Reader { rows, event, .. } = reader;
        let fate = match rows.get_mut(made.owner) {
            Some(row) => self.lane_record(made.owner, made.record, raw, row, event, taking),
            None => Fate::Foreign,
        };
        self.settle(fate, raw, UNKNOWN_LINE, taking);
    }

    /// Reads text that is no JSON, alone or among records that are; false when it is no line that is known.
    fn stray_line<'r>(&'r self, text: &'r [u8], reader: &mut Reader<'r>, taking: &mut Taking<'_>) -> bool {
        match self.lanes.lines.one(text, reader.forced) {
            Some(OneLine::Made { owner, record }) => {
                let fate = self.made_record(owner, &record, text, taking);
                self.settle(fate, text, UNKNOWN_LINE, taking);
            }
            Some(OneLine::Object(range)) => self.records(text.get(range).unwrap_or_default(), reader, taking),
            None => return false,
        }
        true
    }

    /// Keeps what cannot be read, with the reason; `foreign` is that of a record of no lane.
    fn settle(&self, fate: Fate, record: &[u8], foreign: &str, taking: &mut Taking<'_>) {
        match fate {
            Fate::Kept => {}
            Fate::Rejected(reason) => taking.quarantine(self, record, &reason),
            Fate::Glued(at) => taking.quarantine(self, record, &format!("{AFTER_END} at byte {at}")),
            Fate::Foreign => taking.quarantine(self, record, foreign),
        }
    }

    /// Reads a record, or several that stand on one line.
    fn records<'r>(&'r self, mut text: &'r [u8], reader: &mut Reader<'r>, taking: &mut Taking<'_>) {
        if text.first() != Some(&b'{') && self.stray_line(text, reader, taking) {
            return;
        }
        while !text.is_empty() {
            let mut rest: &[u8] = &[];
            let mut fate = self.record(text, reader, taking);
            let mut record = text;
            if let Fate::Glued(length) = fate {
                (record, rest) = text.split_at_checked(length).unwrap_or((text, &[]));
                fate = self.record(record, reader, taking);
            }
            match (fate, reader.forced.and_then(|lane| self.lanes.lanes.get(lane))) {
                (Fate::Foreign, Some(lane)) => taking.quarantine(self, record, &format!("is no record of {}", lane.log)),
                (fate, _) => self.settle(fate, record, "is no JSON object", taking),
            }
            text = rest;
        }
    }

    /// Tries the lane of the record before, then the others, then records inside this one; an object
    /// that no mapping knows is an event without a class.
    fn record<'r>(&'r self, record: &'r [u8], reader: &mut Reader<'r>, taking: &mut Taking<'_>) -> Fate {
        let Reader { hint, forced, rows, found, event } = reader;
        // The lane of the record before is no hint where others come before it.
        let lane = self.lanes.lanes.get(*hint).filter(|_| *hint != self.generic);
        let is_hint = lane.is_some_and(|lane| lane.is_hint(forced.is_some()));
        if let Some(row) = rows.get_mut(*hint).filter(|_| is_hint) {
            match self.lane_record(*hint, record, record, row, event, taking) {
                Fate::Foreign => {}
                fate => return fate,
            }
        }
        match self.finder.find(record, *forced, found, &self.lanes) {
            Found::Lane(number) => {
                *hint = number;
                if let Some(row) = rows.get_mut(number) {
                    return self.lane_record(number, record, record, row, event, taking);
                }
            }
            Found::Inside(inner) => return self.inner(&inner, *forced, taking, 1),
            Found::Row(made) => return self.inner(&[made], *forced, taking, 1),
            Found::Line(line) => return self.made_of_line(&line, record, taking),
            Found::Nothing => {}
        }
        if record.first() != Some(&b'{') {
            return Fate::Foreign;
        }
        let is_free = forced.is_none_or(|forced| forced == self.generic);
        match rows.get_mut(self.generic).filter(|_| is_free) {
            Some(row) => self.lane_record(self.generic, record, record, row, event, taking),
            None => Fate::Foreign,
        }
    }

    /// Records that stood inside one. Those that are of no lane are of the one that reads any object; it says
    /// too why one cannot be read.
    fn inner(&self, records: &[Vec<u8>], forced: Option<usize>, taking: &mut Taking<'_>, depth: usize) -> Fate {
        let one = |record: &Vec<u8>, taking: &mut Taking<'_>| {
            let number = match self.finder.find(record, forced, &mut Row::new(), &self.lanes) {
                Found::Lane(number) => number,
                Found::Inside(records) if depth < INSIDE_MAX => return self.inner(&records, forced, taking, depth + 1),
                Found::Row(made) if depth < INSIDE_MAX => return self.inner(&[made], forced, taking, depth + 1),
                Found::Line(line) => return self.made_of_line(&line, record, taking),
                Found::Inside(_) | Found::Row(_) | Found::Nothing => forced.unwrap_or(self.generic),
            };
            self.made_record(number, record, record, taking)
        };
        if let [record] = records {
            return one(record, taking);
        }
        for record in records {
            match one(record, taking) {
                Fate::Kept => {}
                Fate::Rejected(reason) => taking.quarantine(self, record, &reason),
                Fate::Glued(_) | Fate::Foreign => taking.quarantine(self, record, "is of another log type"),
            }
        }
        Fate::Kept
    }

    /// A record of a line inside another, which is kept where it can be read alone no other way.
    fn made_of_line(&self, line: &Line, record: &[u8], taking: &mut Taking<'_>) -> Fate {
        self.made_record(line.owner, &line.made, line.text.as_deref().unwrap_or(record), taking)
    }

    /// A record whose lane is known, and whose bytes are not the body's.
    fn made_record(&self, number: usize, record: &[u8], raw: &[u8], taking: &mut Taking<'_>) -> Fate {
        self.lane_record(number, record, raw, &mut Row::new(), &mut Event::default(), taking)
    }

    /// `raw` is what is kept of the record: its own bytes, or the line that it was made of. A line was known
    /// as one of the lane already.
    fn lane_record<'r>(
        &'r self,
        number: usize,
        record: &'r [u8],
        raw: &[u8],
        row: &mut Row<'r>,
        event: &mut Event<'r>,
        taking: &mut Taking<'_>,
    ) -> Fate {
        let (Some(lane), Some(names)) = (self.lanes.lanes.get(number), self.names.get(number)) else {
            return Fate::Foreign;
        };
        if let Err(reject) = lane.walk.read(record, row) {
            let is_glued = reject.reason == AFTER_END;
            if is_glued && record.get(reject.at..).is_some_and(|rest| rest.trim_ascii().starts_with(b"{")) {
                return Fate::Glued(reject.at);
            }
            return Fate::Rejected(format!("{} at byte {}", reject.reason, reject.at));
        }
        if std::ptr::eq(record, raw) && !lane.recognises(row) {
            return Fate::Foreign;
        }
        let value_hash = row.canonical_hash();
        let place = Place { delivery: taking.number, index: taking.batch.len() as u64 };
        let (id, is_named) = match &lane.programme {
            Some(programme) => {
                let view = lane.walk.view(row, PROGRAMME);
                let has_time = programme.shape(&view, event);
                if !has_time && !programme.is_time_optional() {
                    return Fate::Rejected("has no readable time".to_owned());
                }
                if !has_time {
                    programme.shape_at(&view, event, taking.now);
                }
                let is_placed = taking.number & NAMED_DELIVERY != 0 && has_time;
                let is_named = programme.is_named(&view) || is_placed;
                (programme.identify(*names, &view, event.occurred, value_hash, || place.hash()), is_named)
            }
            None => {
                event.reset(0);
                let time = lane.generic_time(row);
                event.occurred = if time == 0 { taking.now } else { time };
                let name = lane.generic_id(row).map(|id| names.hash(id.as_bytes(), &[]));
                // Without a time of its own its id would be another one the next time.
                let is_placed = taking.number & NAMED_DELIVERY != 0 && time != 0;
                let is_named = name.is_some() || is_placed;
                (EventId::new(event.occurred, name.unwrap_or_else(|| place.hash()), value_hash), is_named)
            }
        };
        taking.enrich(&lane.enricher, event);
        if lane.has_rules() {
            let Observed { scratch, matches } = &mut taking.observed;
            lane.partition.observe(&lane.walk.view(row, RULES), event, scratch, matches);
            self.matches.fetch_add(matches.drain(..).count() as u64, Ordering::Relaxed);
        }
        let mapping = lane.programme.as_ref().map(|programme| programme.version());
        taking.keep(self, number, id, is_named, mapping, raw, event);
        Fate::Kept
    }
}

impl Place {
    fn hash(self) -> u64 {
        EventId::name_hash(&[b"delivery", &self.delivery.to_le_bytes(), &self.index.to_le_bytes()])
    }
}

/// What is used again for every record of a delivery.
struct Reader<'r> {
    hint: usize,
    forced: Option<usize>,
    rows: Vec<Row<'r>>,
    /// The row in which lanes are told apart.
    found: Row<'r>,
    event: Event<'r>,
}

impl Reader<'_> {
    fn new(shaper: &Shaper, forced: Option<usize>) -> Self {
        let rows = shaper.lanes.lanes.iter().map(|_| Row::new()).collect();
        Reader { hint: forced.unwrap_or(0), forced, rows, found: Row::new(), event: Event::default() }
    }
}

impl Taking<'_> {
    /// Gives the one row the id that it has, with its time, and when it was delivered.
    fn keep_identity(&mut self, shaper: &Shaper, id: EventId, delivered: Option<Millis>) {
        self.batch.ids.iter_mut().for_each(|kept| *kept = id);
        self.batch.delivered.iter_mut().for_each(|kept| *kept = delivered);
        if let Some(ColumnValues::Integer(times)) = shaper.time.and_then(|time| self.batch.columns.get_mut(time)) {
            *times = [Some(id.occurred())].into_iter().collect();
        }
    }

    /// Adds to an event what tables say of it; to one that is made anew what they said then.
    fn enrich<'r>(&mut self, enricher: &'r Enricher, event: &mut Event<'r>) {
        match self.stored {
            None => enricher.enrich_and_tell(event, &mut self.told),
            Some(stored) => {
                enricher.restore(event, stored);
                self.told.clear();
                self.told.push_str(stored);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one row has so many parts, and this is the only place that writes one")]
    fn keep(
        &mut self,
        shaper: &Shaper,
        lane: usize,
        id: EventId,
        is_named: bool,
        mapping: Option<&str>,
        record: &[u8],
        event: &Event<'_>,
    ) {
        let slots = shaper.slots.get(lane).map(Vec::as_slice).unwrap_or_default();
        for (number, values) in self.batch.columns.iter_mut().enumerate() {
            let slot = slots.get(number).copied().flatten();
            if Some(number) == shaper.time {
                push_integer(values, Some(event.occurred));
            } else if let Some(slot) = slot.filter(|_| mapping.is_some()) {
                push(values, &event.value(slot));
            } else if Some(number) == shaper.class {
                push_integer(values, Some(0));
            } else {
                values.push_none();
            }
        }
        let log = shaper.lanes.lanes.get(lane).map(|lane| lane.log.0.as_str()).unwrap_or_default();
        self.row(id, is_named, log, mapping, None, record);
        self.records += 1;
        self.receipt.accepted += 1;
    }

    /// Rows for text that cannot be read, with the reason: every byte of it in one of them, and none longer
    /// than a record may be. Where there are several, each says which part it is, and the receipt names one.
    fn quarantine(&mut self, shaper: &Shaper, text: &[u8], reason: &str) {
        let parts: Vec<&[u8]> = pieces(text, RECORD_BYTES_MAX).collect();
        let mut named = reason.to_owned();
        if parts.len() > 1 {
            for (number, part) in parts.iter().enumerate() {
                self.quarantine_row(shaper, part, &format!("{reason} (part {} of {})", number + 1, parts.len()));
            }
            named.push_str(&format!("; it is kept in {} parts", parts.len()));
        } else {
            self.quarantine_row(shaper, text, reason);
        }
        self.receipt.rejected += parts.len() as u64;
        if self.receipt.rejects.len() < REJECTS_NAMED_MAX {
            self.receipt.rejects.push(Rejected { index: self.records, reason: named });
        }
        self.records += 1;
    }

    /// A row for what cannot be read: as it came, with the reason.
    fn quarantine_row(&mut self, shaper: &Shaper, record: &[u8], reason: &str) {
        let place = Place { delivery: self.number, index: self.batch.len() as u64 };
        for (number, values) in self.batch.columns.iter_mut().enumerate() {
            match () {
                () if Some(number) == shaper.time => push_integer(values, Some(self.now)),
                () if Some(number) == shaper.class => push_integer(values, Some(0)),
                () => values.push_none(),
            }
        }
        let log = self.delivery.log.as_ref().map(|log| log.0.clone()).unwrap_or_default();
        self.row(EventId::new(self.now, place.hash(), 0), false, &log, None, Some(reason), record);
    }

    fn row(&mut self, id: EventId, is_named: bool, log: &str, mapping: Option<&str>, reason: Option<&str>, record: &[u8]) {
        let batch = &mut self.batch;
        batch.ids.push(id);
        batch.is_named.push(is_named);
        batch.delivered.push(None);
        batch.ingested.push(self.now);
        batch.logs.push(Some(log.as_bytes()).filter(|log| !log.is_empty()));
        batch.sources.push(Some(self.delivery.source.as_bytes()));
        batch.mappings.push(mapping.map(str::as_bytes));
        batch.enrichments.push(Some(self.told.as_bytes()).filter(|told| !told.is_empty()));
        self.told.clear();
        batch.reasons.push(reason.map(str::as_bytes));
        let is_text = std::str::from_utf8(record).is_ok();
        if is_text {
            batch.raw.push_within(self.body, record);
        } else {
            batch.raw.push(None);
        }
        batch.raw_binary.push(Some(record).filter(|_| !is_text));
    }
}

/// Where a cut begins.
fn start(cut: &Cut) -> usize {
    let (Cut::Record(range) | Cut::Oversize(range) | Cut::Reject(range, _)) = cut;
    range.start
}

/// The whole of a record of which a cut names the head: `text` begins with it and ends where the next cut begins.
fn whole(text: &[u8], shape: Shape) -> &[u8] {
    // A line is a record with all that stands on it; elsewhere commas and brackets stand between records.
    let length = if matches!(shape, Shape::Lines | Shape::Text) { text.len() } else { value_end(text, 0) };
    text.get(..length).unwrap_or(text).trim_ascii_end()
}

/// Cuts text into pieces of at most `bytes_max` bytes: behind the last line end in reach, else between two
/// characters. No text is one empty piece.
fn pieces(text: &[u8], bytes_max: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let reach = text.get(..bytes_max).filter(|reach| reach.len() < text.len());
        let length = match reach {
            None => text.len(),
            Some(reach) => memchr::memrchr(b'\n', reach).map_or_else(|| character_start(text, bytes_max), |at| at + 1),
        };
        let (piece, behind) = text.split_at_checked(length).unwrap_or((text, &[]));
        rest = Some(behind).filter(|behind| !behind.is_empty());
        Some(piece)
    })
}

/// The last place up to `at` where a character of UTF-8 begins; `at` itself when none is near.
fn character_start(text: &[u8], at: usize) -> usize {
    let begins = |at: &usize| text.get(*at).is_some_and(|byte| byte & 0xC0 != 0x80);
    (at.saturating_sub(3).max(1)..=at).rev().find(begins).unwrap_or(at)
}

fn push_integer(values: &mut ColumnValues, value: Option<i64>) {
    if let ColumnValues::Integer(values) = values {
        values.push(value);
    }
}

fn push(values: &mut ColumnValues, value: &Value<'_>) {
    match values {
        ColumnValues::Text(column) => column.push(value.text().as_deref().map(str::as_bytes)),
        ColumnValues::Integer(values) => values.push(match value {
            Value::Int(number) => Some(*number),
            other => other.text().and_then(|text| text.parse().ok()),
        }),
        ColumnValues::Boolean(values) => values.push(match value {
            Value::Bool(flag) => Some(*flag),
            other => other.text().and_then(|text| text.parse().ok()),
        }),
    }
}

#[cfg(test)]
mod tests;
