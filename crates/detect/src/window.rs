//! One group of one correlation: a sliding window over its events, and the runs of windows that fire.
//!
//! Sigma specification 2.1.0, correlation rules: windows are not tied to fixed boundaries. A window
//! ends at each event and reaches back one timespan, both ends included; events of one instant count
//! together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use vigie_model::limits::RELATED_EVENTS_MAX;
use vigie_model::{EventRef, Millis};

use crate::predicate::Order;

/// What a window must show.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Measure {
    /// How many events.
    EventCount,
    /// How many different values.
    ValueCount,
    /// Sum, average, or a percentile (0 to 100) of numbers.
    Sum,
    /// See `Sum`.
    Average,
    /// See `Sum`.
    Percentile(f64),
    /// How many different rules matched.
    Rules,
    /// All rules matched, in their order.
    Ordered,
    /// A condition over which rules matched.
    Which(Which),
}

/// A condition over the rules that matched in a window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Which {
    Member(usize),
    Not(Box<Which>),
    All(Vec<Which>),
    Any(Vec<Which>),
}

/// A comparison of a correlation's condition: `gte: 10`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bound {
    pub(crate) order: Order,
    pub(crate) is_negated: bool,
    pub(crate) number: f64,
}

impl Bound {
    fn holds(self, measured: f64) -> bool {
        self.order.holds(measured, self.number) != self.is_negated
    }
}

/// What a group's windows are judged by.
#[derive(Debug, Clone)]
pub(crate) struct Criterion {
    pub(crate) measure: Measure,
    pub(crate) bounds: Vec<Bound>,
    pub(crate) timespan_ms: i64,
    pub(crate) members: usize,
}

/// One event of a group, or an alert of an inner correlation.
#[derive(Debug, Clone)]
struct Entry {
    occurred: Millis,
    member: usize,
    value: Option<Box<str>>,
    event: Arc<EventRef>,
    /// For an alert of an inner correlation, the events that it tells anew.
    inner: Option<Arc<[Arc<EventRef>]>>,
    sequence: u64,
}

impl Entry {
    /// The events it stands for.
    fn events(&self) -> &[Arc<EventRef>] {
        self.inner.as_deref().unwrap_or(std::slice::from_ref(&self.event))
    }
}

/// What an entry is about: an event, or an inner correlation's alert with the events that it tells.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) event: Arc<EventRef>,
    pub(crate) keepsake: Arc<[u8]>,
    pub(crate) inner: Option<Arc<[Arc<EventRef>]>>,
}

/// A maximal run of overlapping windows that fire.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// Events of the run, earliest first, up to a limit.
    pub(crate) events: Vec<Arc<EventRef>>,
    pub(crate) count: u64,
    /// The event at which it first fired.
    pub(crate) fired_at: Arc<EventRef>,
    pub(crate) keepsake: Arc<[u8]>,
    pub(crate) last: Millis,
    next_sequence: u64,
    seen: BTreeSet<u64>,
}

/// The window of one group.
#[derive(Debug, Default)]
pub(crate) struct Window {
    entries: VecDeque<Entry>,
    counts: Counts,
    sequence: u64,
    /// The keepsake of the event added last, until the window is judged.
    keepsake: Option<Arc<[u8]>>,
    run: Option<Box<Run>>,
}

/// What is kept up to date as entries come and go.
#[derive(Debug, Default)]
struct Counts {
    values: BTreeMap<Box<str>, u64>,
    numbers: BTreeMap<u64, (f64, u64)>,
    members: Vec<u64>,
}

/// Sorts floating numbers as integers do: an order-preserving key of an `f64`.
fn order_key(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

impl Window {
    /// Adds an event. Events come in the order of time; call [`Window::settle`] after the last
    /// event of an instant.
    pub(crate) fn add(&mut self, criterion: &Criterion, occurred: Millis, member: usize, value: Option<String>, about: About) {
        let About { event, keepsake, inner } = about;
        if !matches!(criterion.measure, Measure::Rules | Measure::Ordered | Measure::Which(_)) {
            let same = |entry: &&Entry| entry.occurred == occurred && entry.event.id == event.id;
            let instant = self.entries.iter().rev().take_while(|entry| entry.occurred == occurred);
            if instant.filter(same).count() > 0 {
                return;
            }
        }
        let entry = Entry { occurred, member, value: value.map(Into::into), event, inner, sequence: self.sequence };
        self.sequence += 1;
        self.counts.change(criterion, &entry, true);
        self.entries.push_back(entry);
        self.keepsake = Some(keepsake);
    }

    /// Judges the window that ends now: when it fires, what an outer correlation sees of it, the
    /// events that this window is the first of its run to tell.
    pub(crate) fn settle(&mut self, criterion: &Criterion, now: Millis) -> Option<About> {
        self.forget_before(criterion, now.saturating_sub(criterion.timespan_ms));
        let keepsake = self.keepsake.take()?;
        if !self.fires(criterion) {
            return None;
        }
        let event = self.entries.back().map(|entry| Arc::clone(&entry.event))?;
        let told = self.extend_run(criterion, now, &event, &keepsake);
        let inner = if told.is_empty() { vec![Arc::clone(&event)] } else { told };
        Some(About { event, keepsake, inner: Some(inner.into()) })
    }

    /// Lets events go that are older than an instant; gives how many.
    pub(crate) fn forget_before(&mut self, criterion: &Criterion, oldest: Millis) -> usize {
        let before = self.entries.len();
        while let Some(first) = self.entries.pop_front_if(|entry| entry.occurred < oldest) {
            self.counts.change(criterion, &first, false);
        }
        before - self.entries.len()
    }

    /// How many events it remembers, in its window and its run.
    pub(crate) fn size(&self) -> usize {
        self.entries.len() + self.run.as_ref().map_or(0, |run| run.events.len())
    }

    /// Names no more than some events of an open run; the others stay counted.
    pub(crate) fn shorten_run(&mut self, events_max: usize) {
        if let Some(run) = &mut self.run {
            run.events.truncate(events_max);
            run.events.shrink_to_fit();
        }
    }

    /// The entries that make the window fire: for an order the first of each rule behind those of
    /// the rule before it, else all from a number on.
    fn telling(&self, criterion: &Criterion, from: u64) -> Box<dyn Iterator<Item = &Entry> + '_> {
        match criterion.measure {
            Measure::Ordered => Box::new(self.order(criterion.members).1.into_iter()),
            _ => {
                let first = self.entries.partition_point(|entry| entry.sequence < from);
                Box::new(self.entries.range(first..))
            }
        }
    }

    fn fires(&self, criterion: &Criterion) -> bool {
        let measured = match &criterion.measure {
            Measure::EventCount => self.entries.len() as f64,
            Measure::ValueCount => self.counts.values.len() as f64,
            Measure::Sum => self.counts.sum(),
            Measure::Average => match self.counts.numbers.values().map(|(_, count)| count).sum::<u64>() {
                0 => return false,
                count => self.counts.sum() / count as f64,
            },
            Measure::Percentile(percent) => match self.counts.percentile(*percent) {
                Some(number) => number,
                None => return false,
            },
            Measure::Rules => self.counts.members.iter().filter(|count| **count > 0).count() as f64,
            Measure::Ordered => self.order(criterion.members).0 as f64,
            Measure::Which(which) => return self.counts.shows(which),
        };
        !self.entries.is_empty() && criterion.bounds.iter().all(|bound| bound.holds(measured))
    }

    /// How many of the rules matched one after the other, in their order, and the first events that
    /// did; events of one instant stand in any order.
    fn order(&self, members: usize) -> (usize, Vec<&Entry>) {
        let (mut reached, mut first) = (0, Vec::new());
        let mut entries = self.entries.iter().peekable();
        while let Some(now) = entries.peek().map(|entry| entry.occurred) {
            let mut instant = Vec::new();
            while let Some(entry) = entries.next_if(|entry| entry.occurred == now) {
                instant.push(entry);
            }
            while reached < members && instant.iter().any(|entry| entry.member == reached) {
                first.extend(instant.iter().filter(|entry| entry.member == reached));
                reached += 1;
            }
        }
        (reached, first)
    }

    /// Makes the window part of the run; gives the events that are new in it.
    fn extend_run(
        &mut self,
        criterion: &Criterion,
        now: Millis,
        last: &Arc<EventRef>,
        keepsake: &Arc<[u8]>,
    ) -> Vec<Arc<EventRef>> {
        let mut run = self.run.take().unwrap_or_else(|| {
            Box::new(Run {
                events: Vec::new(),
                count: 0,
                fired_at: Arc::clone(last),
                keepsake: Arc::clone(keepsake),
                last: now,
                next_sequence: 0,
                seen: BTreeSet::new(),
            })
        });
        run.last = now;
        let mut told = Vec::new();
        for entry in self.telling(criterion, run.next_sequence) {
            // An order may come back to an earlier event; other windows only move on.
            let is_new = match criterion.measure {
                Measure::Ordered => run.seen.insert(entry.sequence),
                _ => entry.sequence >= run.next_sequence,
            };
            if is_new {
                run.count += entry.events().len() as u64;
                let room = RELATED_EVENTS_MAX.saturating_sub(run.events.len() + told.len());
                told.extend(entry.events().iter().take(room).cloned());
                run.next_sequence = entry.sequence + 1;
            }
        }
        run.events.extend(told.iter().cloned());
        self.run = Some(run);
        told
    }

    /// The run that no later window can overlap, if time has come so far.
    pub(crate) fn close(&mut self, criterion: &Criterion, now: Option<Millis>) -> Option<Run> {
        let is_over = |run: &mut Box<Run>| now.is_none_or(|now| run.last < now.saturating_sub(criterion.timespan_ms));
        self.run.take_if(is_over).map(|run| *run)
    }

    /// The time after which nothing here matters any more.
    pub(crate) fn horizon(&self, criterion: &Criterion) -> Millis {
        self.entries.back().map_or(Millis::MIN, |entry| entry.occurred.saturating_add(criterion.timespan_ms))
    }
}

impl Counts {
    fn change(&mut self, criterion: &Criterion, entry: &Entry, is_added: bool) {
        match criterion.measure {
            Measure::ValueCount => {
                if let Some(value) = &entry.value {
                    let count = self.values.entry(value.clone()).or_default();
                    *count = if is_added { *count + 1 } else { count.saturating_sub(1) };
                    if *count == 0 {
                        self.values.remove(value);
                    }
                }
            }
            Measure::Sum | Measure::Average | Measure::Percentile(_) => {
                if let Some(number) = entry.value.as_ref().and_then(|value| value.trim().parse::<f64>().ok()) {
                    let key = order_key(number);
                    let count = self.numbers.entry(key).or_insert((number, 0));
                    count.1 = if is_added { count.1 + 1 } else { count.1.saturating_sub(1) };
                    if count.1 == 0 {
                        self.numbers.remove(&key);
                    }
                }
            }
            Measure::EventCount | Measure::Rules | Measure::Ordered | Measure::Which(_) => {
                if self.members.len() < criterion.members {
                    self.members.resize(criterion.members, 0);
                }
                if let Some(count) = self.members.get_mut(entry.member) {
                    *count = if is_added { *count + 1 } else { count.saturating_sub(1) };
                }
            }
        }
    }

    /// Summed from the distinct numbers in their order, so that it never depends on history.
    fn sum(&self) -> f64 {
        self.numbers.values().map(|(number, count)| number * *count as f64).sum()
    }

    /// The smallest number that at least so many percent of the numbers do not exceed (nearest rank).
    fn percentile(&self, percent: f64) -> Option<f64> {
        let total: u64 = self.numbers.values().map(|(_, count)| count).sum();
        let rank = (percent / 100.0 * total as f64).ceil().max(1.0);
        let mut seen = 0u64;
        self.numbers.values().find_map(|(number, count)| {
            seen += count;
            (seen as f64 >= rank).then_some(*number)
        })
    }

    fn shows(&self, which: &Which) -> bool {
        match which {
            Which::Member(member) => self.members.get(*member).is_some_and(|count| *count > 0),
            Which::Not(inner) => !self.shows(inner),
            Which::All(parts) => parts.iter().all(|part| self.shows(part)),
            Which::Any(parts) => parts.iter().any(|part| self.shows(part)),
        }
    }
}
