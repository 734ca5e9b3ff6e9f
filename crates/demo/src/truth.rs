//! What really happened in a generated window, so that recall and noise can be scored.

use serde::Serialize;

use crate::Options;
use crate::delivery::Tally;
use crate::error::Error;
use crate::moment::{self, HOUR};
use crate::schedule::Schedule;
use crate::stream::Outcome;
use crate::world::Templates;

/// The version of the shape of `truth.json`.
const FORMAT: u32 = 1;

/// The truth of one generated window; also written as `truth.json`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Truth {
    /// Version of this shape.
    pub format: u32,
    /// Seed of the random numbers.
    pub seed: u64,
    /// First instant of the window, ISO 8601.
    pub start: String,
    /// First instant after the window, ISO 8601.
    pub end: String,
    /// Distinct records that can be found in the delivered objects.
    pub events: u64,
    /// Records that nobody wrote because their feed was stopped.
    pub removed: u64,
    /// Records delivered a second time, byte for byte, in another object.
    pub duplicates: u64,
    /// Records delivered later than an hour after they happened.
    pub late: u64,
    /// Delivered objects that hold records.
    pub objects: u64,
    /// Delivered digests.
    pub digests: u64,
    /// The person behind the whole intrusion: one, whatever the cloud.
    pub person: String,
    /// The clouds that the intrusion crosses, in the order in which it does.
    pub clouds: Vec<String>,
    /// Steps of the intrusion, in order of time.
    pub planted: Vec<Planted>,
    /// Benign records that look like steps of the intrusion.
    pub twins: Vec<Twin>,
    /// Feeds that delivered nothing for a while.
    pub silences: Vec<Gap>,
    /// Digests that were not written because their feed was stopped.
    pub missing_digests: Vec<String>,
    /// Objects that no digest lists because their feed was stopped in the hour of their delivery.
    pub objects_without_digest: Vec<String>,
    /// Steps and twins that lie outside the window.
    pub skipped: Vec<String>,
}

/// One step of the intrusion.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Planted {
    /// Name of the step.
    pub step: String,
    /// When its first record happened, ISO 8601.
    pub time: String,
    /// Whose records it left.
    pub cloud: String,
    /// Key, user or resource the step is about.
    pub entity: String,
    /// ATT&CK technique, empty when the step is not an attacker's.
    pub technique: String,
    /// Ids of its records.
    pub event_ids: Vec<String>,
    /// Rules that should speak.
    pub rules_expected: Vec<String>,
    /// What it means.
    pub note: String,
}

/// One benign record that looks like a step of the intrusion.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Twin {
    /// Id of the record.
    pub event_id: String,
    /// When it happened, ISO 8601; for a step of several records, when the first did.
    pub time: String,
    /// Key, user or resource it is about.
    pub entity: String,
    /// Why it is benign.
    pub why: String,
}

/// A feed that delivered nothing for a while.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Gap {
    /// Name of the feed.
    pub feed: String,
    /// When it stopped, ISO 8601.
    pub from: String,
    /// When it began again, ISO 8601.
    pub to: String,
}

/// Tells what happened.
pub(crate) fn tell(
    templates: &Templates,
    options: &Options,
    schedule: &Schedule<'_>,
    outcome: &Outcome,
    tally: Tally,
) -> Result<Truth, Error> {
    let mut truth = Truth {
        format: FORMAT,
        seed: options.seed,
        start: moment::iso(options.start)?,
        end: moment::iso(options.start + i64::from(options.hours) * HOUR)?,
        events: outcome.written,
        removed: outcome.removed,
        duplicates: tally.duplicates,
        late: tally.late,
        objects: tally.objects,
        digests: tally.digests,
        missing_digests: tally.missing_digests,
        objects_without_digest: tally.objects_without_digest,
        skipped: schedule.skipped.clone(),
        ..Truth::default()
    };
    for (step, event_ids) in schedule.planned.iter().zip(&outcome.event_ids) {
        let act = step.act;
        let time = moment::iso(step.time)?;
        if step.is_twin {
            truth.twins.extend(event_ids.iter().map(|event_id| Twin {
                event_id: event_id.clone(),
                time: time.clone(),
                entity: act.entity.clone(),
                why: act.note.clone(),
            }));
        } else {
            let feed = act.lines.first().and_then(|line| templates.feeds.get(line.form.feed));
            let cloud = feed.map(|feed| feed.cloud.clone()).unwrap_or_default();
            if !act.technique.is_empty() && !truth.clouds.contains(&cloud) {
                truth.clouds.push(cloud.clone());
            }
            truth.person.clone_from(&templates.intrusion.person);
            truth.planted.push(Planted {
                step: act.name.clone(),
                time,
                cloud,
                entity: act.entity.clone(),
                technique: act.technique.clone(),
                event_ids: event_ids.clone(),
                rules_expected: act.rules_expected.clone(),
                note: act.note.clone(),
            });
        }
    }
    for silence in &schedule.silences {
        let feed = templates.feeds.get(silence.feed);
        truth.silences.push(Gap {
            feed: feed.map(|feed| feed.name.clone()).unwrap_or_default(),
            from: moment::iso(silence.from)?,
            to: moment::iso(silence.to)?,
        });
    }
    Ok(truth)
}
