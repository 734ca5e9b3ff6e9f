//! All records of a window in order of time: the noise, and the stories woven into it.

use crate::Options;
use crate::chance::Chance;
use crate::error::Error;
use crate::noise::{Noise, Place};
use crate::pen::{Pen, Scene};
use crate::schedule::{Call, Schedule};
use crate::world::Templates;

/// The stream of random numbers of the sessions.
const SESSIONS: u64 = 0;
/// The stream of random numbers of the records.
const RECORDS: u64 = 1;
/// The stream of random numbers of the records of stories.
const STORIES: u64 = 3;

/// A record as its provider wrote it.
pub(crate) struct Record<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) place: Place,
}

/// What came out.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Records given away.
    pub(crate) written: u64,
    /// Records that nobody wrote because their feed was silent.
    pub(crate) removed: u64,
    /// Ids of the records of each planned step.
    pub(crate) event_ids: Vec<Vec<String>>,
}

/// Gives every record of the window to `each`, in order of time.
pub(crate) fn run(
    templates: &Templates,
    options: &Options,
    schedule: &Schedule<'_>,
    each: &mut dyn FnMut(&Record<'_>) -> Result<(), Error>,
) -> Result<Outcome, Error> {
    let planned = u64::try_from(schedule.calls.len()).unwrap_or(u64::MAX);
    let wanted = options.events.saturating_sub(planned);
    let sessions = Chance::new(options.seed, SESSIONS);
    let mut noise = Noise::new(templates, sessions, options.start, options.hours, wanted)?;
    let mut pen = Pen::new(Chance::new(options.seed, RECORDS));
    let mut story_pen = Pen::new(Chance::new(options.seed, STORIES));
    let mut outcome = Outcome { event_ids: vec![Vec::new(); schedule.planned.len()], ..Outcome::default() };
    let mut calls = schedule.calls.iter().peekable();
    loop {
        let next = noise.next_time()?;
        let is_story = match (calls.peek(), next) {
            (Some(call), Some(time)) => call.time <= time,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let (bytes, place) = if is_story {
            let Some(call) = calls.next() else { break };
            let place = tell(templates, call, &mut story_pen)?;
            if let Some(ids) = outcome.event_ids.get_mut(call.planned) {
                ids.push(story_pen.event_id());
            }
            (story_pen.record(), place)
        } else {
            let Some(place) = noise.write(&mut pen)? else {
                break;
            };
            (pen.record(), place)
        };
        if schedule.is_silent(place.feed, place.time) {
            outcome.removed += 1;
        } else {
            each(&Record { bytes, place })?;
            outcome.written += 1;
        }
    }
    Ok(outcome)
}

/// Writes one record of a story; its address, agent and keys are fixed in its form.
fn tell(templates: &Templates, call: &Call<'_>, pen: &mut Pen) -> Result<Place, Error> {
    let region = templates.regions.get(call.line.region).ok_or_else(|| Error::new("a step is in an unknown region"))?;
    let scene = Scene { time: call.time, session_start: &call.session_start, session_key: b"", address: b"", agent: b"", region };
    pen.write(&call.line.form, &scene)?;
    Ok(Place { time: call.time, feed: call.line.form.feed, account: call.line.account, region: call.line.region })
}
