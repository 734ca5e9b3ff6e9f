//! Ways of working: when a kind of principal is active, and the chain of states of its sessions.

use std::collections::BTreeMap;

use crate::content::{ArchetypeFile, StateFile};
use crate::error::Error;
use crate::weighted::Weighted;

/// A way of working.
#[derive(Debug)]
pub(crate) struct Archetype {
    pub(crate) name: String,
    /// Fewest and most records of a session.
    pub(crate) length: (i64, i64),
    /// Shortest and longest pause between two records, in milliseconds.
    pub(crate) pause_ms: (i64, i64),
    pub(crate) agents: Vec<Vec<u8>>,
    pub(crate) entry: usize,
    pub(crate) states: Vec<State>,
    /// Template names; an actor holds one compiled form for each, in this order.
    pub(crate) operations: Vec<String>,
    hours: (u32, u32),
    off_hours_percent: u64,
    weekend_percent: u64,
    weight: u64,
}

/// A state of a session.
#[derive(Debug)]
pub(crate) struct State {
    /// Places in the archetype's operations.
    pub(crate) operations: Weighted,
    /// Places in the archetype's states; empty means stay.
    pub(crate) next: Weighted,
}

impl Archetype {
    /// An archetype of the world file, with states and operations numbered.
    pub(crate) fn new(file: &ArchetypeFile) -> Result<Self, Error> {
        let places: BTreeMap<&str, usize> = file.states.keys().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
        let Some(entry) = places.get(file.entry.as_str()).copied() else {
            return Err(unknown_state(&file.name, &file.entry));
        };
        if file.agents.is_empty() {
            return Err(Error::new(format!("the archetype `{}` has no user agent", file.name)));
        }
        let mut operations: Vec<String> = Vec::new();
        let mut states = Vec::with_capacity(file.states.len());
        for state in file.states.values() {
            states.push(State::new(&file.name, state, &places, &mut operations)?);
        }
        Ok(Self {
            name: file.name.clone(),
            length: file.length,
            pause_ms: file.pause_ms,
            agents: file.agents.iter().map(|a| a.clone().into_bytes()).collect(),
            entry,
            states,
            operations,
            hours: file.hours,
            off_hours_percent: file.off_hours_percent,
            weekend_percent: file.weekend_percent,
            weight: file.weight,
        })
    }

    /// How active this way of working is in one hour of a day.
    pub(crate) fn activity(&self, hour: u32, is_weekend: bool) -> u64 {
        let (first, last) = self.hours;
        let at_work = if first < last { first <= hour && hour < last } else { hour >= first || hour < last };
        let share = if at_work { 100 } else { self.off_hours_percent };
        let weekend = if is_weekend { self.weekend_percent } else { 100 };
        self.weight * share * weekend
    }
}

impl State {
    fn new(
        archetype: &str,
        file: &StateFile,
        places: &BTreeMap<&str, usize>,
        operations: &mut Vec<String>,
    ) -> Result<Self, Error> {
        let mut chosen = Weighted::default();
        for (name, weight) in &file.operations {
            let place = match operations.iter().position(|known| known == name) {
                Some(place) => place,
                None => {
                    operations.push(name.clone());
                    operations.len() - 1
                }
            };
            chosen.add(place, *weight);
        }
        if chosen.total() == 0 {
            return Err(Error::new(format!("a state of the archetype `{archetype}` has no operation")));
        }
        let mut next = Weighted::default();
        for (name, weight) in &file.next {
            let Some(place) = places.get(name.as_str()) else {
                return Err(unknown_state(archetype, name));
            };
            next.add(*place, *weight);
        }
        Ok(Self { operations: chosen, next })
    }
}

fn unknown_state(archetype: &str, state: &str) -> Error {
    Error::new(format!("the archetype `{archetype}` has no state `{state}`"))
}
