//! What one worker does with a batch: read, recognise, shape, match, and keep what matters.

use std::io;

use serde::{Deserialize, Serialize};
use vigie_detect::{Match, RuleSet, Scratch};
use vigie_model::limits::SPILL_BYTES;
use vigie_model::{Event, EventFacts, EventId, Evidence, Link, Millis, Tenant};
use vigie_record::{Cut, Row, Value};

use crate::admit::Batch;
use crate::lane::{Lane, Lanes, OWN, PROGRAMME, RULES};
use crate::outcome::{Explained, Outcome, Reject, RejectReason};
use crate::proof::instant_in;
use crate::spill::Sorter;

/// A match as it is spilled: what becomes a finding, or feeds a correlation.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HitRecord {
    pub(crate) rule: u32,
    pub(crate) silenced_by: Option<u32>,
    pub(crate) facts: EventFacts,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) values: Vec<Option<String>>,
}

/// What every worker shares and none changes.
pub(crate) struct Shared<'a> {
    pub(crate) lanes: &'a Lanes,
    pub(crate) rules: &'a RuleSet,
    pub(crate) tenant: &'a Tenant,
    pub(crate) since: Option<Millis>,
    pub(crate) until: Option<Millis>,
    pub(crate) explain: Option<&'a str>,
    /// For each rule, whether a correlation needs its matches.
    pub(crate) feeds: Vec<bool>,
}

/// One worker's own memory.
pub(crate) struct Worker<'a> {
    shared: &'a Shared<'a>,
    pub(crate) ids: Sorter,
    pub(crate) hits: Sorter,
    pub(crate) links: Vec<Link>,
    pub(crate) outcome: Outcome,
    scratches: Vec<Scratch>,
    matches: Vec<Match>,
}

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
struct Place<'p> {
    file: &'p str,
    offset: u64,
    /// When the file was delivered, where its name says so.
    delivered: Option<Millis>,
}

impl Place<'_> {
    /// A hash of the place: what names a record that has no id.
    fn hash(&self) -> u64 {
        EventId::name_hash(&[self.file.as_bytes(), &self.offset.to_le_bytes()])
    }
}

/// What becomes of one record.
enum Fate {
    Kept,
    Rejected(RejectReason, String),
    /// Not of this lane's log.
    Foreign,
}

impl<'a> Worker<'a> {
    /// A worker that keeps its share of the memory for spilling.
    pub(crate) fn new(shared: &'a Shared<'a>, spill_bytes: usize) -> Worker<'a> {
        let spill_bytes = spill_bytes.min(SPILL_BYTES);
        Worker {
            shared,
            ids: Sorter::new(spill_bytes / 4),
            hits: Sorter::new(spill_bytes / 4 * 3),
            links: Vec::new(),
            outcome: Outcome::default(),
            scratches: shared.lanes.lanes.iter().map(|_| Scratch::default()).collect(),
            matches: Vec::new(),
        }
    }

    /// Reads every record of a batch; `file` is the name of its file.
    pub(crate) fn batch(&mut self, batch: &Batch, file: &str) -> io::Result<()> {
        let mut hint = self.shared.lanes.forced.unwrap_or(0);
        let mut rows: Vec<Row<'_>> = self.shared.lanes.lanes.iter().map(|_| Row::new()).collect();
        let mut event = Event::default();
        let delivered = instant_in(file);
        for (number, cut) in batch.cuts.iter().enumerate() {
            let (range, fate) = match cut {
                Cut::Record(range) => {
                    self.outcome.records += 1;
                    (
                        range,
                        self.record(
                            batch.slice(range),
                            Place { file, offset: batch.place(number, range), delivered },
                            &mut hint,
                            &mut rows,
                            &mut event,
                        )?,
                    )
                }
                Cut::Oversize(range) => {
                    self.outcome.records += 1;
                    (range, Fate::Rejected(RejectReason::Oversize, "is longer than the limit for one record".to_owned()))
                }
                Cut::Reject(range, reason) => {
                    self.outcome.records += 1;
                    (range, Fate::Rejected(RejectReason::Malformed, (*reason).to_owned()))
                }
            };
            let reject = match fate {
                Fate::Kept => continue,
                Fate::Rejected(reason, detail) => (reason, detail),
                Fate::Foreign => (RejectReason::Unrecognised, "is of no known log type".to_owned()),
            };
            let offset = batch.place(number, range);
            self.outcome.reject(Reject { file: file.to_owned(), offset, reason: reject.0, detail: reject.1 });
        }
        Ok(())
    }

    /// Tries the lane that the last record was of, then the others, then records inside this one, then
    /// rows of exports. A list is never a record: it can only be a row.
    fn record<'r>(
        &mut self,
        record: &'r [u8],
        place: Place<'_>,
        hint: &mut usize,
        rows: &mut [Row<'r>],
        event: &mut Event<'r>,
    ) -> io::Result<Fate>
    where
        'a: 'r,
    {
        let lanes = &self.shared.lanes.lanes;
        if record.first() == Some(&b'[')
            && let Some(made) = self.exported(record)
        {
            return self.inner_record(&made, place);
        }
        let order = [*hint].into_iter().chain((0..lanes.len()).filter(|number| number != hint));
        for number in order {
            let (Some(lane), Some(row)) = (lanes.get(number), rows.get_mut(number)) else {
                continue;
            };
            match self.lane_record(number, lane, record, place, row, event)? {
                Fate::Foreign if self.shared.lanes.forced.is_none() => {}
                Fate::Foreign => return Ok(Fate::Foreign),
                fate => {
                    *hint = number;
                    return Ok(fate);
                }
            }
        }
        for (lane, row) in lanes.iter().zip(rows.iter()) {
            if let Some(inner) = wrapped(lane, row) {
                return self.inner_record(&inner, place);
            }
        }
        match self.exported(record) {
            Some(made) => self.inner_record(&made, place),
            None => Ok(Fate::Foreign),
        }
    }

    /// The record that a row of an export in JSON stands for.
    fn exported(&self, row: &[u8]) -> Option<Vec<u8>> {
        self.shared.lanes.exports.iter().find_map(|export| export.record_of(row))
    }

    /// A record that stood inside another one, or was made of a row.
    fn inner_record(&mut self, inner: &[u8], place: Place<'_>) -> io::Result<Fate> {
        for (number, lane) in self.shared.lanes.lanes.iter().enumerate() {
            let (mut row, mut event) = (Row::new(), Event::default());
            match self.lane_record(number, lane, inner, place, &mut row, &mut event)? {
                Fate::Foreign => {}
                fate => return Ok(fate),
            }
        }
        Ok(Fate::Foreign)
    }

    fn lane_record<'r>(
        &mut self,
        number: usize,
        lane: &'r Lane,
        record: &'r [u8],
        place: Place<'_>,
        row: &mut Row<'r>,
        event: &mut Event<'r>,
    ) -> io::Result<Fate> {
        if let Err(reject) = lane.walk.read(record, row) {
            return Ok(Fate::Rejected(RejectReason::Malformed, format!("{} at byte {}", reject.reason, reject.at)));
        }
        if !lane.recognises(row) {
            return Ok(Fate::Foreign);
        }
        let value_hash = row.canonical_hash();
        let id = match &lane.programme {
            Some(programme) => {
                let view = lane.walk.view(row, PROGRAMME);
                if !programme.shape(&view, event) {
                    return Ok(Fate::Rejected(RejectReason::Timeless, "has no readable time".to_owned()));
                }
                programme.identify(self.shared.tenant, &view, event.occurred, value_hash, || place.hash())
            }
            None => {
                event.reset(0);
                event.occurred = lane.generic_time(row);
                let name = match lane.generic_id(row) {
                    Some(id) => EventId::name_hash(&[self.shared.tenant.0.as_bytes(), lane.log.0.as_bytes(), id.as_bytes()]),
                    // Equal lines without ids are often real repeats: their place tells them apart.
                    None => place.hash(),
                };
                EventId::new(event.occurred, name, value_hash)
            }
        };
        let is_in_time = self.shared.since.is_none_or(|since| event.occurred >= since)
            && self.shared.until.is_none_or(|until| event.occurred < until);
        if !is_in_time {
            self.outcome.out_of_time += 1;
            return Ok(Fate::Kept);
        }
        self.keep(lane, id, row, event)?;
        self.judge(number, lane, id, place, row, event)?;
        if row.has_duplicate_key()
            && let Some(programme) = &lane.programme
        {
            // The other reading of a record that names a key twice; rules found already do not count again.
            let mut other = Event::default();
            if programme.shape(&lane.walk.view(row, PROGRAMME).last(), &mut other) {
                other.occurred = event.occurred;
                self.judge(number, lane, id, place, row, &other)?;
            }
        }
        Ok(Fate::Kept)
    }

    /// Counts an event.
    fn keep<'r>(&mut self, lane: &'r Lane, id: EventId, row: &Row<'r>, event: &Event<'r>) -> io::Result<()> {
        self.outcome.duplicate_keys += u64::from(row.has_duplicate_key());
        match self.outcome.by_log.get_mut(&lane.log.0) {
            Some(count) => *count += 1,
            None => _ = self.outcome.by_log.insert(lane.log.0.clone(), 1),
        }
        self.outcome.note(event.occurred);
        let (actor, is_refused) = match &lane.programme {
            Some(programme) => {
                self.links.extend(programme.link(&lane.walk.view(row, PROGRAMME), event));
                self.outcome.note_account(programme.account(event));
                programme.actor(event)
            }
            None => (0, false),
        };
        let mut payload = [0u8; 9];
        if let Some((head, tail)) = payload.split_first_mut() {
            *head = u8::from(is_refused);
            tail.copy_from_slice(&actor.to_le_bytes());
        }
        self.ids.push(id.0, &payload)
    }

    /// Asks the rules about an event.
    fn judge<'r>(
        &mut self,
        number: usize,
        lane: &'r Lane,
        id: EventId,
        place: Place<'_>,
        row: &Row<'r>,
        event: &Event<'r>,
    ) -> io::Result<()> {
        let Some(scratch) = self.scratches.get_mut(number) else {
            return Ok(());
        };
        let native = lane.walk.view(row, RULES);
        let mut matches = std::mem::take(&mut self.matches);
        lane.partition.observe(&native, event, scratch, &mut matches);
        if let Some(wanted) = self.shared.explain {
            let facts = facts_of(lane, id, row, event);
            if facts.uid == wanted || id.to_string() == wanted {
                let explained = explain(lane, row, event, scratch, &matches, place.file);
                self.outcome.explained.push(explained);
            }
        }
        for found in matches.drain(..) {
            let is_fed = self.shared.feeds.get(found.rule as usize).copied().unwrap_or(false);
            if !is_fed && !self.shared.rules.reports(found.rule) {
                continue;
            }
            let facts = EventFacts { delivered: place.delivered, ..facts_of(lane, id, row, event) };
            let hit = HitRecord {
                rule: found.rule,
                silenced_by: found.silenced_by,
                facts,
                evidence: if self.shared.rules.reports(found.rule) {
                    lane.partition.evidence(&found, &native, event, scratch)
                } else {
                    Vec::new()
                },
                values: if is_fed { lane.partition.extracts(&found, &native, event) } else { Vec::new() },
            };
            let mut bytes = found.rule.to_be_bytes().to_vec();
            bytes.extend(postcard::to_stdvec(&hit).map_err(io::Error::other)?);
            self.hits.push(id.0, &bytes)?;
        }
        self.matches = matches;
        Ok(())
    }
}

fn facts_of(lane: &Lane, id: EventId, row: &Row<'_>, event: &Event<'_>) -> EventFacts {
    match &lane.programme {
        Some(programme) => programme.facts(id, event),
        None => native_facts(lane, id, row, event),
    }
}

fn explain(lane: &Lane, row: &Row<'_>, event: &Event<'_>, scratch: &mut Scratch, matches: &[Match], file: &str) -> Explained {
    let native = lane.walk.view(row, RULES);
    let evidence = |found: &Match| (found.rule, found.silenced_by, lane.partition.evidence(found, &native, event, scratch));
    Explained {
        file: file.to_owned(),
        log: lane.log.0.clone(),
        record: String::from_utf8_lossy(row.record()).into_owned(),
        document: lane.programme.as_ref().map(|programme| programme.document(&lane.walk.view(row, PROGRAMME))),
        matches: matches.iter().map(evidence).collect(),
    }
}

fn native_facts(lane: &Lane, id: EventId, row: &Row<'_>, event: &Event<'_>) -> EventFacts {
    EventFacts {
        id: id.0,
        uid: lane.generic_id(row).unwrap_or_else(|| id.to_string()),
        occurred: event.occurred,
        log: lane.log.0.clone(),
        ..EventFacts::default()
    }
}

/// The record that stands inside a row's record, by the wrappers of a lane.
fn wrapped(lane: &Lane, row: &Row<'_>) -> Option<Vec<u8>> {
    let own = lane.walk.view(row, OWN);
    lane.wrappers.iter().find_map(|(slot, is_text)| match own.get(*slot) {
        Value::Text(text) if *is_text => Some(text.into_owned().into_bytes()),
        Value::Object(bytes) if !is_text => Some(bytes.to_vec()),
        _ => None,
    })
}
