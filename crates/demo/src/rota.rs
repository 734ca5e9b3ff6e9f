//! Who is at work in each hour of the window, and when the sessions of the day begin.

use crate::chance::Chance;
use crate::error::Error;
use crate::moment::{self, HOUR};
use crate::weighted::Weighted;
use crate::world::Templates;

/// The weight of the busiest principal.
const ZIPF_SCALE: f64 = 1_000_000.0;
/// How fast the weight falls with the rank.
const ZIPF_EXPONENT: f64 = 1.1;
/// Hours of the longest window, so that the table stays small.
const HOURS_MAX: u32 = 24 * 366;

/// The hours of the window with their share of the sessions.
#[derive(Debug)]
pub(crate) struct Rota {
    start: i64,
    /// Running sums of the hours' weights.
    upper: Vec<u64>,
    /// For each hour, the principals by weight.
    people: Vec<Weighted>,
}

impl Rota {
    /// The rota of a window of `hours` from `start`.
    pub(crate) fn new(templates: &Templates, start: i64, hours: u32) -> Result<Self, Error> {
        if hours == 0 || hours > HOURS_MAX {
            return Err(Error::new(format!("a window has 1 to {HOURS_MAX} hours, not {hours}")));
        }
        let mut rota = Self { start, upper: Vec::new(), people: Vec::new() };
        let mut total: u64 = 0;
        for hour in 0..i64::from(hours) {
            let at = start + hour * HOUR;
            let people = at_work(templates, moment::hour_of_day(at), moment::is_weekend(at));
            total = total.saturating_add(people.total() / 1_000);
            rota.upper.push(total);
            rota.people.push(people);
        }
        if total == 0 {
            return Err(Error::new("nobody is at work in the whole window"));
        }
        Ok(rota)
    }

    /// When the session begins that follows `done` of `wanted` records.
    pub(crate) fn begins(&self, done: u64, wanted: u64) -> i64 {
        let total = u128::from(self.upper.last().copied().unwrap_or(0));
        let mark = u128::from(done) * total / u128::from(wanted.max(1));
        let hour = self.upper.partition_point(|upper| u128::from(*upper) <= mark).min(self.upper.len().saturating_sub(1));
        let upper = u128::from(self.upper.get(hour).copied().unwrap_or(0));
        let lower = match hour.checked_sub(1) {
            Some(before) => u128::from(self.upper.get(before).copied().unwrap_or(0)),
            None => 0,
        };
        let width = upper.saturating_sub(lower).max(1);
        let inside = u128::try_from(HOUR).unwrap_or(0) * mark.saturating_sub(lower) / width;
        let whole = i64::try_from(hour).unwrap_or(0) * HOUR;
        self.start + whole + i64::try_from(inside).unwrap_or(0).min(HOUR - 1)
    }

    /// Somebody who works at this time.
    pub(crate) fn somebody(&self, at: i64, chance: &mut Chance) -> Option<usize> {
        let hour = usize::try_from((at - self.start).div_euclid(HOUR)).unwrap_or(0);
        self.people.get(hour).and_then(|people| people.pick(chance))
    }
}

fn at_work(templates: &Templates, hour: u32, is_weekend: bool) -> Weighted {
    let mut people = Weighted::default();
    for (place, principal) in templates.principals.iter().enumerate() {
        let rank = u32::try_from(place + 1).unwrap_or(u32::MAX);
        let way = templates.archetypes.get(principal.archetype);
        let activity = way.map_or(0, |way| way.activity(hour, is_weekend));
        people.add(place, zipf(rank).saturating_mul(activity) / 10_000);
    }
    people
}

/// The weight of a rank under Zipf's law, rounded so that every machine agrees.
fn zipf(rank: u32) -> u64 {
    let weight = ZIPF_SCALE / f64::from(rank.max(1)).powf(ZIPF_EXPONENT);
    weight.round() as u64
}
