//! The everyday of the demo world: sessions of people and services, record after record in time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::chance::Chance;
use crate::error::Error;
use crate::moment::{self, HOUR};
use crate::pen::{Pen, Scene};
use crate::rota::Rota;
use crate::world::Templates;

/// Characters of a session's key.
const SESSION_KEY_LENGTH: usize = 20;

/// Where a record goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) time: i64,
    pub(crate) feed: usize,
    pub(crate) account: usize,
    pub(crate) region: usize,
}

/// A session with its next record.
#[derive(Debug)]
struct Session {
    time: i64,
    order: u64,
    actor: usize,
    archetype: usize,
    state: usize,
    region: usize,
    address: usize,
    agent: usize,
    left: u64,
    start: String,
    key: [u8; SESSION_KEY_LENGTH],
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Session {}

impl PartialOrd for Session {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Session {
    /// The earliest is the greatest, because the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.time, other.order).cmp(&(self.time, self.order))
    }
}

/// All sessions of a window, begun and to come.
#[derive(Debug)]
pub(crate) struct Noise<'t> {
    templates: &'t Templates,
    chance: Chance,
    rota: Rota,
    open: BinaryHeap<Session>,
    end: i64,
    wanted: u64,
    promised: u64,
    begun: u64,
    /// When the next session begins, as long as records are not promised to a session.
    next_begin: i64,
}

impl<'t> Noise<'t> {
    /// Sessions that write exactly `wanted` records between `start` and `hours` later.
    pub(crate) fn new(templates: &'t Templates, chance: Chance, start: i64, hours: u32, wanted: u64) -> Result<Self, Error> {
        let rota = Rota::new(templates, start, hours)?;
        let next_begin = rota.begins(0, wanted);
        Ok(Self {
            templates,
            chance,
            rota,
            open: BinaryHeap::new(),
            end: start + i64::from(hours) * HOUR,
            wanted,
            promised: 0,
            begun: 0,
            next_begin,
        })
    }

    /// The time of the next record, or nothing when all are written.
    pub(crate) fn next_time(&mut self) -> Result<Option<i64>, Error> {
        while self.promised < self.wanted {
            if let Some(first) = self.open.peek()
                && first.time <= self.next_begin
            {
                break;
            }
            self.begin(self.next_begin)?;
            self.next_begin = self.rota.begins(self.promised, self.wanted);
        }
        Ok(self.open.peek().map(|session| session.time))
    }

    /// Writes the next record.
    pub(crate) fn write(&mut self, pen: &mut Pen) -> Result<Option<Place>, Error> {
        let Some(mut session) = self.open.pop() else {
            return Ok(None);
        };
        let templates = self.templates;
        let (Some(actor), Some(way)) = (templates.actors.get(session.actor), templates.archetypes.get(session.archetype)) else {
            return Err(lost());
        };
        let state = way.states.get(session.state).ok_or_else(lost)?;
        let operation = state.operations.pick(&mut self.chance).ok_or_else(lost)?;
        let form = actor.forms.get(operation).ok_or_else(lost)?;
        let region = form.region.unwrap_or(session.region);
        let scene = Scene {
            time: session.time,
            session_start: &session.start,
            session_key: &session.key,
            address: some_bytes(&actor.addresses, session.address)?,
            agent: some_bytes(&way.agents, session.agent)?,
            region: templates.regions.get(region).ok_or_else(lost)?.as_str(),
        };
        pen.write(form, &scene)?;
        let place = Place { time: session.time, feed: form.feed, account: actor.account, region };
        if session.left > 1 {
            session.left -= 1;
            if let Some(next) = state.next.pick(&mut self.chance) {
                session.state = next;
            }
            session.time += self.pause(way.pause_ms, session.time, session.left);
            self.open.push(session);
        }
        Ok(Some(place))
    }

    /// Time to the next record, shortened so that the session ends inside the window.
    fn pause(&mut self, bounds: (i64, i64), now: i64, left: u64) -> i64 {
        let share = i64::try_from(left.saturating_add(1)).unwrap_or(i64::MAX);
        let longest = (self.end - now).max(0) / share;
        self.chance.between(bounds.0, bounds.1).min(longest)
    }

    fn begin(&mut self, at: i64) -> Result<(), Error> {
        let templates = self.templates;
        let who = self.rota.somebody(at, &mut self.chance).ok_or_else(lost)?;
        let principal = templates.principals.get(who).ok_or_else(lost)?;
        let place = self.chance.index(principal.actors.len());
        let actor_place = principal.actors.get(place).copied().ok_or_else(lost)?;
        let actor = templates.actors.get(actor_place).ok_or_else(lost)?;
        let way = templates.archetypes.get(actor.archetype).ok_or_else(lost)?;
        let region = templates.region_weights.pick(&mut self.chance);
        let region = region.ok_or_else(lost)?;
        let length = self.chance.between(way.length.0.max(1), way.length.1);
        let length = u64::try_from(length).unwrap_or(1);
        let length = length.min(self.wanted - self.promised);
        let mut key = [b'A'; SESSION_KEY_LENGTH];
        let prefix = &templates.session_key_prefix;
        for (place, byte) in key.iter_mut().enumerate() {
            *byte = match prefix.get(place) {
                Some(letter) => *letter,
                None => self.chance.capital(),
            };
        }
        self.open.push(Session {
            time: at,
            order: self.begun,
            actor: actor_place,
            archetype: actor.archetype,
            state: way.entry,
            region,
            address: self.chance.index(actor.addresses.len()),
            agent: self.chance.index(way.agents.len()),
            left: length,
            start: moment::iso(at)?,
            key,
        });
        self.promised += length;
        self.begun += 1;
        Ok(())
    }
}

fn some_bytes(list: &[Vec<u8>], place: usize) -> Result<&[u8], Error> {
    list.get(place).map(Vec::as_slice).ok_or_else(lost)
}

fn lost() -> Error {
    Error::new("the demo world refers to something it does not hold")
}
