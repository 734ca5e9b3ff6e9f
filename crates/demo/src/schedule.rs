//! Puts the steps of the stories on the clock: the instant of each record, and who is silent when.

use std::collections::BTreeMap;

use crate::Options;
use crate::chance::Chance;
use crate::error::Error;
use crate::moment::{self, HOUR, MINUTE};
use crate::story::{Act, Line, Story};
use crate::world::Templates;

/// How long before its first record a session began, when no step of the story opened it.
const SESSION_AGE: i64 = 20 * MINUTE;
/// The stream of random numbers that moves the steps.
const STREAM: u64 = 2;

/// One record of a story at its instant.
#[derive(Debug)]
pub(crate) struct Call<'t> {
    pub(crate) time: i64,
    /// Place of the step in `Schedule::planned`.
    pub(crate) planned: usize,
    pub(crate) line: &'t Line,
    pub(crate) session_start: String,
}

/// One step at its instant.
#[derive(Debug)]
pub(crate) struct Planned<'t> {
    pub(crate) act: &'t Act,
    pub(crate) time: i64,
    pub(crate) is_twin: bool,
}

/// A feed that delivers nothing from `from` until `to`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Silence {
    pub(crate) feed: usize,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// The stories of a window.
#[derive(Debug, Default)]
pub(crate) struct Schedule<'t> {
    /// In order of time.
    pub(crate) calls: Vec<Call<'t>>,
    pub(crate) planned: Vec<Planned<'t>>,
    pub(crate) silences: Vec<Silence>,
    /// Steps outside the window.
    pub(crate) skipped: Vec<String>,
}

impl<'t> Schedule<'t> {
    /// The intrusion, when wanted, and the twins.
    pub(crate) fn new(templates: &'t Templates, options: &Options) -> Result<Self, Error> {
        let mut schedule = Self::default();
        let mut chance = Chance::new(options.seed, STREAM);
        let window = Window { start: options.start, end: options.start + i64::from(options.hours) * HOUR };
        schedule.tell(&templates.twins, true, &window, &mut chance)?;
        if options.intrusion {
            schedule.tell(&templates.intrusion, false, &window, &mut chance)?;
        }
        schedule.calls.sort_by_key(|call| call.time);
        Ok(schedule)
    }

    /// True when the feed delivers nothing that happened at this time.
    pub(crate) fn is_silent(&self, feed: usize, time: i64) -> bool {
        let mut silences = self.silences.iter();
        silences.any(|silence| silence.feed == feed && silence.from <= time && time < silence.to)
    }

    fn tell(&mut self, story: &'t Story, is_twin: bool, window: &Window, chance: &mut Chance) -> Result<(), Error> {
        let mut times: BTreeMap<&str, i64> = BTreeMap::new();
        for act in &story.acts {
            let other = act.same_time_as.as_deref();
            let time = match other.and_then(|name| times.get(name).copied()) {
                Some(time) => time,
                None => window.start + act.offset_ms + chance.between(0, story.jitter_ms),
            };
            times.insert(act.name.as_str(), time);
        }
        for act in &story.acts {
            let time = times.get(act.name.as_str()).copied().unwrap_or(0);
            if time < window.start || time + act.spread_ms >= window.end {
                self.skipped.push(act.name.clone());
                continue;
            }
            let opened = act.session_from.as_deref();
            let opened = opened.and_then(|name| times.get(name).copied());
            let session = opened.unwrap_or(time - SESSION_AGE);
            self.plan(act, time, session, is_twin, chance)?;
        }
        for rule in &story.silences {
            let from = times.get(rule.from.as_str()).copied();
            let to = times.get(rule.to.as_str()).copied();
            if let (Some(from), Some(to)) = (from, to)
                && window.start <= from
                && from < window.end
            {
                self.silences.push(Silence { feed: rule.feed, from, to });
            }
        }
        Ok(())
    }

    fn plan(&mut self, act: &'t Act, time: i64, session: i64, is_twin: bool, chance: &mut Chance) -> Result<(), Error> {
        let planned = self.planned.len();
        self.planned.push(Planned { act, time, is_twin });
        let count = i64::try_from(act.lines.len()).unwrap_or(1).max(1);
        let step = act.spread_ms / count;
        let mut at = time;
        for line in &act.lines {
            self.calls.push(Call { time: at + chance.between(0, step / 2), planned, line, session_start: moment::iso(session)? });
            at += step;
        }
        Ok(())
    }
}

/// The first instant and the first instant after the window.
struct Window {
    start: i64,
    end: i64,
}
