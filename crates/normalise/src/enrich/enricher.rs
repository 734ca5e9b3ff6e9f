//! Fills the slots of events with what tables give.

use std::borrow::Cow;
use std::sync::Arc;

use vigie_model::Event;
use vigie_record::{Fields, PathSet, SlotId, Value, each_item, made};

use super::entry::{self, Entry};
use super::table::{Cell, Cells};
use super::{Enrichment, Enrichments, HITS_MAX, Wants, path_of};

/// What is looked up in every event of a log, compiled for the paths that are wanted.
#[derive(Debug, Default)]
pub struct Enricher {
    steps: Vec<Step>,
    wanted: PathSet,
}

/// One lookup.
#[derive(Debug)]
struct Step {
    of: Arc<Enrichment>,
    /// The path that is read; none for a table by time alone.
    read: Option<(String, SlotId)>,
    /// Where what is given stands, in the order of the enrichment: its path, and its slot where it is wanted.
    gives: Vec<(String, Option<SlotId>)>,
}

/// What one lookup found in one event.
struct Hit<'e> {
    step: &'e Step,
    number: usize,
    key: String,
    cells: Cow<'e, Cells>,
}

impl Enrichments {
    /// Compiles the lookups for wanted paths, of which the mapping never gives some: what reads only those is
    /// left out.
    pub fn enricher(&self, wanted: &PathSet, never: &[&str], wants: Wants) -> Enricher {
        let mut steps = Vec::new();
        for of in &self.0 {
            for read in of.lookups() {
                let slot =
                    read.and_then(|read| Some((read.clone(), wanted.slot(read).filter(|_| !never.contains(&read.as_str()))?)));
                let path = read.map(String::as_str).unwrap_or_default();
                let place = |give: &super::Give| {
                    let path = path_of(&give.to.key(path));
                    let slot = wanted.slot(&path);
                    (path, slot)
                };
                let gives: Vec<(String, Option<SlotId>)> = of.gives.iter().map(place).collect();
                let is_wanted = wants == Wants::All || gives.iter().any(|(_, slot)| slot.is_some());
                if is_wanted && (slot.is_some() || of.table.is_timed()) {
                    steps.push(Step { of: Arc::clone(of), read: slot, gives });
                }
            }
        }
        Enricher { steps, wanted: wanted.clone() }
    }
}

impl Enricher {
    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether it may give a path.
    pub fn gives(&self, path: &str) -> bool {
        self.steps.iter().any(|step| step.gives.iter().any(|(given, _)| given == path))
    }

    /// Fills the slots of an event. What the record says itself stays.
    pub fn enrich<'e>(&'e self, event: &mut Event<'e>) {
        if !self.steps.is_empty() {
            let hits = self.hits(event);
            fill(hits, event);
        }
    }

    /// The same, and writes what was found as a list of entries of `enrichments`; nothing when nothing was.
    pub fn enrich_and_tell<'e>(&'e self, event: &mut Event<'e>, told: &mut String) {
        told.clear();
        let hits = self.hits(event);
        let mut before = '[';
        for hit in &hits {
            told.push(before);
            told.push_str(&hit.entry(event).json());
            before = ',';
        }
        if !hits.is_empty() {
            told.push(']');
        }
        fill(hits, event);
    }

    /// Fills the slots of an event with what was found when it was taken in.
    pub fn restore(&self, event: &mut Event<'_>, stored: &str) {
        let mut filled = Vec::new();
        let entries = entry::parse(stored);
        for entry in &entries {
            let is_same = |other: &Entry| other.provider == entry.provider && other.name == entry.name;
            let number = entries.iter().position(is_same).unwrap_or_default();
            for (key, json) in &entry.data {
                let Some(slot) = self.wanted.slot(&path_of(key)) else {
                    continue;
                };
                let mut value = Value::Absent;
                each_item(format!("[{json}]").as_bytes(), &mut |item| value = made(item));
                put(event, slot, value, (number, !key.contains('.')), &mut filled);
            }
        }
    }

    /// What it says of an event at paths of OCSF: path and value.
    pub fn about(&self, event: &Event<'_>) -> Vec<(String, String)> {
        let mut told = Vec::new();
        for hit in self.hits(event) {
            let gives = hit.step.gives.iter().zip(&hit.step.of.gives).zip(hit.cells.iter());
            for (((path, _), give), cell) in gives {
                let value = cell.as_ref().and_then(|cell| cell.value().text().map(Cow::into_owned));
                if let (Some(value), false) = (value, matches!(give.to, super::Target::Data(_))) {
                    told.push((path.clone(), value));
                }
            }
        }
        told
    }

    fn hits(&self, event: &Event<'_>) -> Vec<Hit<'_>> {
        let mut hits = Vec::new();
        for (number, step) in self.steps.iter().enumerate() {
            let mut ask = |key: Option<&str>| {
                if hits.len() < HITS_MAX
                    && let Some(cells) = step.of.table.find(key, event.occurred)
                {
                    hits.push(Hit { step, number, key: key.unwrap_or_default().to_owned(), cells });
                }
            };
            let mut has_value = false;
            if let Some((_, slot)) = &step.read {
                match event.plain(*slot) {
                    Some(text) => {
                        has_value = true;
                        ask(Some(text));
                    }
                    None => event.each_value(*slot, &mut |value| {
                        if let Some(text) = value.text().filter(|text| !text.is_empty()) {
                            has_value = true;
                            ask(Some(&*text));
                        }
                    }),
                }
            }
            if !has_value && step.of.table.is_timed() {
                ask(None);
            }
        }
        hits
    }
}

impl Hit<'_> {
    fn entry(&self, event: &Event<'_>) -> Entry {
        let read = self.step.read.as_ref().map(|(path, _)| path.as_str());
        self.step.of.entry(read, &self.key, &self.cells, event.occurred)
    }
}

fn fill<'e>(hits: Vec<Hit<'e>>, event: &mut Event<'e>) {
    let mut filled = Vec::new();
    for Hit { step, number, cells, .. } in hits {
        for (at, ((_, slot), give)) in step.gives.iter().zip(&step.of.gives).enumerate() {
            let value = match &cells {
                Cow::Borrowed(cells) => cells.get(at).and_then(Option::as_ref).map(Cell::value),
                Cow::Owned(cells) => cells.get(at).cloned().flatten().map(Cell::into_value),
            };
            if let (Some(slot), Some(value)) = (slot, value) {
                put(event, *slot, value, (number, matches!(give.to, super::Target::Data(_))), &mut filled);
            }
        }
    }
}

/// Puts a value into a slot: where nothing stands, or beside what the same lookup put there. Data of entries
/// stands beside all data.
fn put<'e>(
    event: &mut Event<'e>,
    slot: SlotId,
    value: Value<'e>,
    (number, is_data): (usize, bool),
    filled: &mut Vec<(usize, SlotId)>,
) {
    let Some(place) = event.values.get_mut(slot.index()) else {
        return;
    };
    if place.as_ref().is_none_or(Value::is_none) {
        *place = Some(value);
        filled.push((number, slot));
    } else if is_data || filled.contains(&(number, slot)) {
        event.more.push((slot, value));
    }
}
