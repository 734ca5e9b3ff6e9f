//! What one worker does with a batch: read, recognise, shape, match, and keep what matters.

use std::io;

use hashbrown::HashSet;
use vigie_detect::{Match, RuleSet, Scratch};
use vigie_estate::{LinkKey, keys_behind, keys_of};
use vigie_model::limits::{EVIDENCE_FIELDS_MAX, SPILL_BYTES, WANTED_PRINCIPALS_MAX};
use vigie_model::{Event, EventFacts, EventId, Evidence, Link, Millis, NameSpace, Tenant};
use vigie_normalise::Enriching;
use vigie_record::{AFTER_END, Cut, OneLine, Row};

use crate::admit::Batch;
use crate::find::{Finder, Found, INSIDE_MAX, Line};
use crate::hunt::Documents;
use crate::kinship::{Pairs, number_of};
use crate::lane::{Lane, Lanes, PROGRAMME, RULES};
use crate::outcome::{Explained, Outcome, Reject, RejectReason};
use crate::pack::{Reader, Texts, Writer};
use crate::proof::instant_in;
use crate::spill::Sorter;

/// A match that becomes a finding.
#[derive(Debug, Clone)]
pub(crate) struct Reported {
    pub(crate) rule: u32,
    pub(crate) silenced_by: Option<u32>,
    pub(crate) evidence: Vec<Evidence>,
}

/// A match that feeds correlations.
#[derive(Debug)]
pub(crate) struct Fed {
    pub(crate) rule: u32,
    pub(crate) silenced_by: Option<u32>,
    pub(crate) values: Vec<Option<String>>,
}

impl Reported {
    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        write_head(writer, self.rule, self.silenced_by);
        writer.number(self.evidence.len() as u64);
        for field in &self.evidence {
            writer.text(&field.field);
            writer.text(&field.value);
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Reported> {
        let (rule, silenced_by) = read_head(reader)?;
        let count = reader.number()?;
        let mut field = || Some(Evidence { field: reader.owned()?, value: reader.owned()? });
        Some(Reported { rule, silenced_by, evidence: (0..count).map(|_| field()).collect::<Option<_>>()? })
    }
}

impl Fed {
    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        write_head(writer, self.rule, self.silenced_by);
        writer.number(self.values.len() as u64);
        for value in &self.values {
            writer.number(u64::from(value.is_some()));
            value.iter().for_each(|value| writer.text(value));
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Fed> {
        let (rule, silenced_by) = read_head(reader)?;
        let count = reader.number()?;
        let mut value = || match reader.number()? {
            0 => Some(None),
            _ => reader.owned().map(Some),
        };
        Some(Fed { rule, silenced_by, values: (0..count).map(|_| value()).collect::<Option<_>>()? })
    }
}

/// What every match begins with: its rule, and the filter that silences it.
fn write_head(writer: &mut Writer<'_>, rule: u32, silenced_by: Option<u32>) {
    writer.number(u64::from(rule));
    writer.maybe(silenced_by.map(u64::from));
}

fn read_head(reader: &mut Reader<'_>) -> Option<(u32, Option<u32>)> {
    let rule = u32::try_from(reader.number()?).ok()?;
    Some((rule, reader.maybe()?.and_then(|filter| u32::try_from(filter).ok())))
}

/// What every worker shares and none changes.
pub(crate) struct Shared<'a> {
    pub(crate) lanes: &'a Lanes,
    /// Tells the lanes' records apart.
    pub(crate) finder: Finder,
    pub(crate) rules: &'a RuleSet,
    pub(crate) tenant: &'a Tenant,
    pub(crate) since: Option<Millis>,
    pub(crate) until: Option<Millis>,
    pub(crate) explain: Option<&'a str>,
    pub(crate) has_gaps: bool,
    pub(crate) documents: Option<&'a Documents<'a>>,
    /// For each rule, whether a correlation needs its matches.
    pub(crate) feeds: Vec<bool>,
}

/// One worker's own memory.
pub(crate) struct Worker<'a> {
    shared: &'a Shared<'a>,
    /// Its place among the workers.
    number: u64,
    pub(crate) sorted: Sorted,
    pub(crate) outcome: Outcome,
    scratches: Vec<Scratch>,
    matches: Vec<Match>,
    reported: Vec<Reported>,
    fed: Vec<Fed>,
    /// By lane.
    names: Vec<NameSpace>,
    /// Events by lane.
    counts: Vec<u64>,
    pairs: Pairs,
}

/// What one worker keeps for the pass in the order of time.
pub(crate) struct Sorted {
    /// Every event, with who acted.
    pub(crate) ids: Sorter,
    /// Events with matches that become findings: facts and [`Reported`], packed.
    pub(crate) hits: Sorter,
    /// Events with matches that feed correlations: facts and [`Fed`], packed.
    pub(crate) feeds: Sorter,
    /// Links, by what they issued.
    pub(crate) links: Sorter,
    /// What leads behind who acts in events with matches: [`number_of`].
    pub(crate) wanted: HashSet<u64>,
    /// Texts of what is packed.
    pub(crate) texts: Texts,
}

impl Sorted {
    fn new(bytes_max: usize) -> Sorted {
        Sorted {
            ids: Sorter::new(bytes_max / 16 * 5),
            hits: Sorter::new(bytes_max / 16 * 4),
            feeds: Sorter::new(bytes_max / 16 * 6),
            links: Sorter::new(bytes_max / 16),
            wanted: HashSet::new(),
            texts: Texts::default(),
        }
    }
}

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
struct Place<'p> {
    file: &'p str,
    offset: u64,
    /// When the file was delivered, where its name says so.
    delivered: Option<Millis>,
    /// The line of text that the record was made of, where the line alone says all of it: then it was known
    /// as one of its lane already.
    line: Option<&'p [u8]>,
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
    /// Several values stand on one line; the first ends here.
    Glued(usize),
}

/// What is used again for every record of a batch.
struct BatchReader<'r> {
    /// The lane that the last record was of.
    hint: usize,
    /// A row for each lane.
    rows: Vec<Row<'r>>,
    /// The row in which lanes are told apart.
    found: Row<'r>,
    event: Event<'r>,
}

impl<'a> Worker<'a> {
    /// A worker that keeps its share of the memory for spilling.
    pub(crate) fn new(shared: &'a Shared<'a>, number: usize, spill_bytes: usize) -> Worker<'a> {
        let spill_bytes = spill_bytes.min(SPILL_BYTES);
        Worker {
            shared,
            number: number as u64,
            sorted: Sorted::new(spill_bytes),
            outcome: Outcome::default(),
            scratches: shared.lanes.lanes.iter().map(|_| Scratch::default()).collect(),
            matches: Vec::new(),
            reported: Vec::new(),
            fed: Vec::new(),
            names: shared.lanes.lanes.iter().map(|lane| NameSpace::new(shared.tenant, &lane.log)).collect(),
            counts: vec![0; shared.lanes.lanes.len()],
            pairs: Pairs::default(),
        }
    }

    /// Brings what it kept into order, in its own thread.
    pub(crate) fn settle(&mut self) {
        let Sorted { ids, hits, feeds, .. } = &mut self.sorted;
        [ids, hits, feeds].into_iter().for_each(Sorter::sort);
    }

    /// What the worker saw, and what it kept.
    pub(crate) fn finish(mut self) -> (Outcome, Sorted) {
        let counted = self.shared.lanes.lanes.iter().zip(&self.counts).filter(|(_, count)| **count > 0);
        self.outcome.by_log = counted.map(|(lane, count)| (lane.log.0.clone(), *count)).collect();
        (self.outcome, self.sorted)
    }

    /// Reads every record of a batch; `file` is the name of its file.
    pub(crate) fn batch(&mut self, batch: &Batch, file: &str) -> io::Result<()> {
        let mut reader = BatchReader {
            hint: self.shared.lanes.forced.unwrap_or(0),
            rows: self.shared.lanes.lanes.iter().map(|_| Row::new()).collect(),
            found: Row::new(),
            event: Event::default(),
        };
        let delivered = instant_in(file);
        for (number, cut) in batch.cuts.iter().enumerate() {
            let place = |range| Place { file, offset: batch.place(number, range), delivered, line: None };
            match cut {
                Cut::Record(range) => match batch.made(number) {
                    Some(made) => {
                        let line = Some(batch.slice(range)).filter(|_| made.is_whole);
                        let place = Place { line, ..place(range) };
                        self.line(made.owner, made.record, place, &mut reader)?;
                    }
                    None => self.records(batch.slice(range), place(range), &mut reader)?,
                },
                Cut::Oversize(range) => {
                    self.outcome.records += 1;
                    self.reject(place(range), RejectReason::Oversize, "is longer than the limit for one record".to_owned());
                }
                Cut::Reject(range, reason) => {
                    self.outcome.records += 1;
                    self.reject(place(range), RejectReason::Malformed, (*reason).to_owned());
                }
            }
        }
        Ok(())
    }

    fn reject(&mut self, place: Place<'_>, reason: RejectReason, detail: String) {
        self.outcome.reject(Reject { file: place.file.to_owned(), offset: place.offset, reason, detail });
    }

    /// Reads the record that was made of a line, by the lane that knows such lines.
    fn line<'r>(&mut self, number: usize, record: &'r [u8], place: Place<'_>, reader: &mut BatchReader<'r>) -> io::Result<()>
    where
        'a: 'r,
    {
        self.outcome.records += 1;
        let BatchReader { rows, event, .. } = reader;
        let fate = match (self.shared.lanes.lanes.get(number), rows.get_mut(number)) {
            (Some(lane), Some(row)) => self.lane_record(number, lane, record, place, row, event)?,
            _ => Fate::Foreign,
        };
        self.note(fate, place);
        Ok(())
    }

    /// Text that is no JSON, among records that are: false when it is no line that is known.
    fn stray_line<'r>(&mut self, text: &'r [u8], place: Place<'_>, reader: &mut BatchReader<'r>) -> io::Result<bool>
    where
        'a: 'r,
    {
        let lanes = self.shared.lanes;
        let (owner, record) = match lanes.lines.one(text, lanes.forced) {
            Some(OneLine::Made { owner, record }) => (owner, record),
            Some(OneLine::Object(range)) => {
                let start = range.start as u64;
                let object = text.get(range).unwrap_or_default();
                self.records(object, Place { offset: place.offset + start, ..place }, reader)?;
                return Ok(true);
            }
            None => return Ok(false),
        };
        self.outcome.records += 1;
        let fate = self.made_record(owner, &record, Place { line: Some(text), ..place })?;
        self.note(fate, place);
        Ok(true)
    }

    /// Counts what was not kept.
    fn note(&mut self, fate: Fate, place: Place<'_>) {
        match fate {
            Fate::Kept => {}
            Fate::Rejected(reason, detail) => self.reject(place, reason, detail),
            Fate::Glued(at) => self.reject(place, RejectReason::Malformed, format!("{AFTER_END} at byte {at}")),
            Fate::Foreign => self.reject(place, RejectReason::Unrecognised, "is of no known log type".to_owned()),
        }
    }

    /// Reads a record, or several that stand on one line.
    fn records<'r>(&mut self, mut text: &'r [u8], mut place: Place<'_>, reader: &mut BatchReader<'r>) -> io::Result<()>
    where
        'a: 'r,
    {
        if !matches!(text.first(), Some(b'{' | b'[')) && self.stray_line(text, place, reader)? {
            return Ok(());
        }
        loop {
            self.outcome.records += 1;
            let mut rest: &[u8] = &[];
            let mut fate = self.record(text, place, reader)?;
            if let Fate::Glued(length) = fate {
                let (first, others) = text.split_at_checked(length).unwrap_or((text, &[]));
                rest = others;
                fate = self.record(first, place, reader)?;
            }
            self.note(fate, place);
            if rest.is_empty() {
                return Ok(());
            }
            place.offset += (text.len() - rest.len()) as u64;
            text = rest;
        }
    }

    /// Tries the lane that the last record was of, then the others, then records inside this one, then
    /// rows of exports, then lines inside this one. A list is never a record: it can only be a row. The lane
    /// that the last record was of is no hint where others come before it.
    fn record<'r>(&mut self, record: &'r [u8], place: Place<'_>, reader: &mut BatchReader<'r>) -> io::Result<Fate>
    where
        'a: 'r,
    {
        let lanes = &self.shared.lanes.lanes;
        if record.first() == Some(&b'[')
            && let Some(made) = self.exported(record)
        {
            return self.inner_record(&made, place, 1);
        }
        let BatchReader { hint, rows, found, event } = reader;
        let is_hint = lanes.get(*hint).is_some_and(|lane| lane.is_hint(self.shared.lanes.forced.is_some()));
        if is_hint && let (Some(lane), Some(row)) = (lanes.get(*hint), rows.get_mut(*hint)) {
            match self.lane_record(*hint, lane, record, place, row, event)? {
                Fate::Foreign => {}
                fate => return Ok(fate),
            }
        }
        match self.shared.finder.find(record, self.shared.lanes.forced, found, self.shared.lanes) {
            Found::Lane(number) => {
                *hint = number;
                if let (Some(lane), Some(row)) = (lanes.get(number), rows.get_mut(number)) {
                    return self.lane_record(number, lane, record, place, row, event);
                }
            }
            Found::Inside(inner) => return self.inner_records(&inner, place, 1),
            Found::Row(made) => return self.inner_record(&made, place, 1),
            Found::Line(line) => return self.made_of_line(&line, record, place),
            // What cannot be read is no lane's: one says why.
            Found::Nothing if !is_hint => {
                if let (Some(lane), Some(row)) = (lanes.get(*hint), rows.get_mut(*hint)) {
                    match self.lane_record(*hint, lane, record, place, row, event)? {
                        Fate::Foreign => {}
                        fate => return Ok(fate),
                    }
                }
            }
            Found::Nothing => {}
        }
        Ok(Fate::Foreign)
    }

    /// The record that a row of an export in JSON stands for.
    fn exported(&self, row: &[u8]) -> Option<Vec<u8>> {
        self.shared.lanes.exports.iter().find_map(|export| export.record_of(row))
    }

    /// Records that stood inside one: each is its own, and the one around them is none.
    fn inner_records(&mut self, records: &[Vec<u8>], place: Place<'_>, depth: usize) -> io::Result<Fate> {
        if let [record] = records {
            return self.inner_record(record, place, depth);
        }
        self.outcome.records += records.len().saturating_sub(1) as u64;
        for (number, record) in (0u64..).zip(records) {
            // Members without an id are told apart by their number.
            let place = Place { offset: place.offset + number, ..place };
            match self.inner_record(record, place, depth)? {
                Fate::Kept => {}
                Fate::Rejected(reason, detail) => self.reject(place, reason, detail),
                Fate::Glued(_) | Fate::Foreign => {
                    self.reject(place, RejectReason::Unrecognised, "is of no known log type".to_owned());
                }
            }
        }
        Ok(Fate::Kept)
    }

    /// A record that stood inside another one, or was made of a row.
    fn inner_record(&mut self, inner: &[u8], place: Place<'_>, depth: usize) -> io::Result<Fate> {
        // What cannot be read is no lane's: the first one says why.
        let lanes = self.shared.lanes;
        let number = match self.shared.finder.find(inner, lanes.forced, &mut Row::new(), lanes) {
            Found::Lane(number) => number,
            Found::Inside(records) if depth < INSIDE_MAX => return self.inner_records(&records, place, depth + 1),
            Found::Row(made) if depth < INSIDE_MAX => return self.inner_record(&made, place, depth + 1),
            Found::Line(line) => return self.made_of_line(&line, inner, place),
            Found::Inside(_) | Found::Row(_) | Found::Nothing => lanes.forced.unwrap_or(0),
        };
        self.made_record(number, inner, place)
    }

    /// A record of a line inside another.
    fn made_of_line(&mut self, line: &Line, record: &[u8], place: Place<'_>) -> io::Result<Fate> {
        let place = Place { line: Some(line.text.as_deref().unwrap_or(record)), ..place };
        self.made_record(line.owner, &line.made, place)
    }

    /// A record whose lane is known, and whose bytes are not the batch's.
    fn made_record(&mut self, number: usize, record: &[u8], place: Place<'_>) -> io::Result<Fate> {
        match self.shared.lanes.lanes.get(number) {
            Some(lane) => self.lane_record(number, lane, record, place, &mut Row::new(), &mut Event::default()),
            None => Ok(Fate::Foreign),
        }
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
            if reject.reason == AFTER_END && record.get(reject.at..).is_some_and(|rest| rest.trim_ascii().starts_with(b"{")) {
                return Ok(Fate::Glued(reject.at));
            }
            return Ok(Fate::Rejected(RejectReason::Malformed, format!("{} at byte {}", reject.reason, reject.at)));
        }
        if place.line.is_none() && !lane.recognises(row) {
            return Ok(Fate::Foreign);
        }
        let value_hash = row.canonical_hash();
        let names = self.names.get(number).copied().unwrap_or_else(|| NameSpace::new(self.shared.tenant, &lane.log));
        let id = match &lane.programme {
            Some(programme) => {
                let view = lane.walk.view(row, PROGRAMME);
                if !programme.shape(&view, event) {
                    return Ok(Fate::Rejected(RejectReason::Timeless, "has no readable time".to_owned()));
                }
                if self.shared.has_gaps {
                    programme.note_gaps(&view, self.outcome.gaps.entry(lane.log.0.clone()).or_default());
                }
                programme.identify(names, &view, event.occurred, value_hash, || place.hash())
            }
            None => {
                event.reset(0);
                event.occurred = lane.generic_time(row);
                let name = match lane.generic_id(row) {
                    Some(id) => names.hash(id.as_bytes(), &[]),
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
        lane.enricher.enrich(event);
        self.keep(number, lane, id, row, event)?;
        if let Some(told) = self.shared.documents
            && let Some(document) = document_of(lane, row, place)
        {
            told(place.file, &lane.log, &document)?;
        }
        self.judge(number, lane, row, event);
        if row.has_duplicate_key()
            && let Some(programme) = &lane.programme
        {
            // The other reading of a record that names a key twice.
            let mut other = Event::default();
            if programme.shape(&lane.walk.view(row, PROGRAMME).last(), &mut other) {
                other.occurred = event.occurred;
                lane.enricher.enrich(&mut other);
                self.judge(number, lane, row, &other);
            }
        }
        self.file(lane, id, place, row, event)?;
        Ok(Fate::Kept)
    }

    /// Counts an event.
    fn keep<'r>(&mut self, number: usize, lane: &'r Lane, id: EventId, row: &Row<'r>, event: &Event<'r>) -> io::Result<()> {
        self.outcome.duplicate_keys += u64::from(row.has_duplicate_key());
        if let Some(count) = self.counts.get_mut(number) {
            *count += 1;
        }
        self.outcome.note(event.occurred);
        let (actor, is_refused) = match &lane.programme {
            Some(programme) => {
                for link in programme.links(&lane.walk.view(row, PROGRAMME), event) {
                    self.link(&link)?;
                }
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
        self.sorted.ids.push(id.0, &payload)
    }

    /// Keeps a link under what it issued.
    fn link(&mut self, link: &Link) -> io::Result<()> {
        if self.pairs.is_news(link) {
            for key in keys_of(link) {
                self.sorted.links.push_value(u128::from(number_of(key)), &[], link)?;
            }
        }
        Ok(())
    }

    /// Asks the rules about one reading of an event; a rule that matched another reading counts once.
    fn judge<'r>(&mut self, number: usize, lane: &'r Lane, row: &Row<'r>, event: &Event<'r>) {
        let Some(scratch) = self.scratches.get_mut(number) else {
            return;
        };
        let native = lane.walk.view(row, RULES);
        let mut matches = std::mem::take(&mut self.matches);
        lane.partition.observe(&native, event, scratch, &mut matches);
        for found in matches.drain(..) {
            let (rule, silenced_by) = (found.rule, found.silenced_by);
            if self.reported.iter().any(|hit| hit.rule == rule) || self.fed.iter().any(|hit| hit.rule == rule) {
                continue;
            }
            if self.shared.feeds.get(rule as usize).copied().unwrap_or(false) {
                self.fed.push(Fed { rule, silenced_by, values: lane.partition.extracts(&found, &native, event) });
            }
            if self.shared.rules.reports(rule) || self.shared.explain.is_some() {
                let evidence = lane.partition.evidence(&found, &native, event, scratch);
                self.reported.push(Reported { rule, silenced_by, evidence });
            }
        }
        self.matches = matches;
    }

    /// Keeps what the rules said of an event.
    fn file<'r>(&mut self, lane: &'r Lane, id: EventId, place: Place<'_>, row: &Row<'r>, event: &Event<'r>) -> io::Result<()> {
        if let Some(wanted) = self.shared.explain {
            let facts = facts_of(lane, id, row, event);
            if facts.uid == wanted || id.to_string() == wanted {
                self.outcome.explained.push(explain(lane, row, &self.reported, place));
            }
            self.reported.retain(|hit| self.shared.rules.reports(hit.rule));
        }
        if self.reported.is_empty() && self.fed.is_empty() {
            return Ok(());
        }
        self.reported.sort_by_key(|hit| hit.rule);
        self.fed.sort_by_key(|hit| hit.rule);
        let facts = EventFacts { delivered: place.delivered, ..facts_of(lane, id, row, event) };
        let Sorted { hits, feeds, wanted, texts, .. } = &mut self.sorted;
        if wanted.len() < WANTED_PRINCIPALS_MAX {
            let who = lane.principal(&facts);
            let keys = keys_behind(&who, facts.occurred).filter(|key| lane.has_acts() || !matches!(key, LinkKey::Act(..)));
            wanted.extend(keys.map(number_of));
        }
        if !self.fed.is_empty() {
            feeds.push_with(id.0, |out| {
                let mut writer = Writer::new(texts, self.number, place.delivered, out);
                writer.facts(&facts);
                self.fed.drain(..).for_each(|hit| hit.write(&mut writer));
            })?;
        }
        if !self.reported.is_empty() {
            let about = lane.about.about(event);
            self.reported.iter_mut().for_each(|hit| add_evidence(&mut hit.evidence, &about));
            hits.push_with(id.0, |out| {
                let mut writer = Writer::new(texts, self.number, place.delivered, out);
                writer.facts(&facts);
                self.reported.drain(..).for_each(|hit| hit.write(&mut writer));
            })?;
        }
        Ok(())
    }
}

/// Adds what tables say of an event to what made a rule match it.
fn add_evidence(evidence: &mut Vec<Evidence>, about: &[(String, String)]) {
    for (field, value) in about {
        let is_new = evidence.iter().all(|known| known.field != *field || known.value != *value);
        if is_new && evidence.len() < EVIDENCE_FIELDS_MAX {
            evidence.push(Evidence { field: field.clone(), value: value.clone() });
        }
    }
}

/// The whole event of a record, with what tables say of it; none of a log without a mapping.
fn document_of(lane: &Lane, row: &Row<'_>, place: Place<'_>) -> Option<String> {
    let raw = place.line.unwrap_or_else(|| row.record());
    let programme = lane.programme.as_ref()?;
    Some(programme.enriched_document(&lane.walk.view(row, PROGRAMME), raw, Enriching::Tables(&lane.enrichments)))
}

fn facts_of(lane: &Lane, id: EventId, row: &Row<'_>, event: &Event<'_>) -> EventFacts {
    match &lane.programme {
        Some(programme) => programme.facts(id, event),
        None => native_facts(lane, id, row, event),
    }
}

fn explain(lane: &Lane, row: &Row<'_>, hits: &[Reported], place: Place<'_>) -> Explained {
    let raw = place.line.unwrap_or_else(|| row.record());
    Explained {
        file: place.file.to_owned(),
        log: lane.log.0.clone(),
        record: String::from_utf8_lossy(raw).into_owned(),
        document: document_of(lane, row, place),
        matches: hits.iter().map(|hit| (hit.rule, hit.silenced_by, hit.evidence.clone())).collect(),
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
