//! The rules of one lane: those on its records, and those on OCSF events, which all lanes share.

use std::sync::Arc;

use vigie_model::{Event, Evidence};
use vigie_record::{PathSet, View};

use crate::engine::{Engine, EngineScratch, Hit};

/// The rules that apply to one log type.
#[derive(Debug)]
pub struct Partition {
    /// Rules on the native record, compiled for the log type.
    own: Engine,
    /// Rules on OCSF events, compiled once for all log types that become events.
    shared: Option<Arc<Engine>>,
}

/// A rule that matched one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Index of the rule in the rule set.
    pub rule: u32,
    /// The filter that silences it, by its index in the rule set.
    pub silenced_by: Option<u32>,
    /// Its place in the partition; for [`Partition::evidence`] and [`Partition::extracts`].
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Own(u32),
    Shared(u32),
}

/// What one worker keeps between records: answers by epoch, and memoised values.
#[derive(Debug, Default)]
pub struct Scratch {
    own: EngineScratch,
    shared: EngineScratch,
    hits: Vec<Hit>,
}

impl Partition {
    pub(crate) fn new(own: Engine, shared: Option<Arc<Engine>>) -> Partition {
        Partition { own, shared }
    }

    fn engines(&self) -> impl Iterator<Item = &Engine> {
        std::iter::once(&self.own).chain(self.shared.as_deref())
    }

    /// Paths of the native record that the rules read.
    pub fn native_paths(&self) -> &PathSet {
        self.own.native_paths()
    }

    /// OCSF paths that the rules read.
    pub fn ocsf_paths(&self) -> &PathSet {
        self.shared.as_deref().unwrap_or(&self.own).ocsf_paths()
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.engines().map(Engine::len).sum()
    }

    /// Whether no rule applies to the log type.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rules of the partition and the OCSF paths each of them reads.
    pub fn ocsf_reads(&self) -> Vec<(u32, Vec<&str>)> {
        let mut reads: Vec<(u32, Vec<&str>)> = self.engines().flat_map(Engine::ocsf_reads).collect();
        reads.sort_by_key(|(rule, _)| *rule);
        reads
    }

    /// Finds every rule that one event matches. `native` is the record through this partition's
    /// [`Partition::native_paths`], `event` has its [`Partition::ocsf_paths`] in its first slots.
    pub fn observe(&self, native: &View<'_, '_>, event: &Event<'_>, scratch: &mut Scratch, matches: &mut Vec<Match>) {
        let Scratch { own, shared, hits } = scratch;
        let found = |hit: &Hit, place: Place| Match { rule: hit.rule, silenced_by: hit.silenced_by, place };
        if !self.own.is_empty() {
            hits.clear();
            self.own.observe(native, event, own, hits);
            matches.extend(hits.iter().map(|hit| found(hit, Place::Own(hit.member))));
        }
        if let Some(engine) = &self.shared {
            hits.clear();
            engine.observe(native, event, shared, hits);
            matches.extend(hits.iter().map(|hit| found(hit, Place::Shared(hit.member))));
        }
    }

    /// The fields that made a rule match, with their values. Ask right after [`Partition::observe`].
    pub fn evidence(&self, found: &Match, native: &View<'_, '_>, event: &Event<'_>, scratch: &mut Scratch) -> Vec<Evidence> {
        match (found.place, &self.shared) {
            (Place::Own(member), _) => self.own.evidence(member, native, event, &mut scratch.own),
            (Place::Shared(member), Some(engine)) => engine.evidence(member, native, event, &mut scratch.shared),
            (Place::Shared(_), None) => Vec::new(),
        }
    }

    /// The values that correlations need of a match, in the order that the rule set asked for.
    pub fn extracts(&self, found: &Match, native: &View<'_, '_>, event: &Event<'_>) -> Vec<Option<String>> {
        match (found.place, &self.shared) {
            (Place::Own(member), _) => self.own.extracts(member, native, event),
            (Place::Shared(member), Some(engine)) => engine.extracts(member, native, event),
            (Place::Shared(_), None) => Vec::new(),
        }
    }
}
