//! Writes instants the ways records and object names want them: ISO 8601, words, folders, stamps.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::error::Error;

/// One second, in milliseconds.
pub(crate) const SECOND: i64 = 1_000;
/// One minute, in milliseconds.
pub(crate) const MINUTE: i64 = 60 * SECOND;
/// One hour, in milliseconds.
pub(crate) const HOUR: i64 = 60 * MINUTE;
/// One day, in milliseconds.
const DAY: i64 = 24 * HOUR;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The calendar date and time in UTC.
fn civil(ms: i64) -> Result<DateTime, Error> {
    let moment = Timestamp::from_millisecond(ms).map_err(|_| Error::new(format!("the instant {ms} is outside the calendar")))?;
    Ok(TimeZone::UTC.to_datetime(moment))
}

/// `2026-11-12T02:06:31Z`.
pub(crate) fn iso(ms: i64) -> Result<String, Error> {
    let at = civil(ms)?;
    Ok(format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", at.year(), at.month(), at.day(), at.hour(), at.minute(), at.second()))
}

/// `Nov 12, 2026, 2:06:31 AM`.
pub(crate) fn words(ms: i64) -> Result<String, Error> {
    let at = civil(ms)?;
    let month = usize::try_from(at.month().saturating_sub(1)).unwrap_or(0);
    let name = MONTHS.get(month).copied().unwrap_or("Jan");
    let half = if at.hour() < 12 { "AM" } else { "PM" };
    let hour = match at.hour() % 12 {
        0 => 12,
        other => other,
    };
    Ok(format!("{} {}, {}, {}:{:02}:{:02} {}", name, at.day(), at.year(), hour, at.minute(), at.second(), half))
}

/// `2026/11/12`, the folders of a day.
pub(crate) fn day_folders(ms: i64) -> Result<String, Error> {
    let at = civil(ms)?;
    Ok(format!("{:04}/{:02}/{:02}", at.year(), at.month(), at.day()))
}

/// `20261112T0206Z`, the stamp of a delivered object.
pub(crate) fn minute_stamp(ms: i64) -> Result<String, Error> {
    let at = civil(ms)?;
    Ok(format!("{:04}{:02}{:02}T{:02}{:02}Z", at.year(), at.month(), at.day(), at.hour(), at.minute()))
}

/// `20261112T020631Z`, the stamp of a digest.
pub(crate) fn second_stamp(ms: i64) -> Result<String, Error> {
    let at = civil(ms)?;
    Ok(format!("{:04}{:02}{:02}T{:02}{:02}{:02}Z", at.year(), at.month(), at.day(), at.hour(), at.minute(), at.second()))
}

/// The hour of the day in UTC, 0 to 23.
pub(crate) fn hour_of_day(ms: i64) -> u32 {
    u32::try_from(ms.rem_euclid(DAY) / HOUR).unwrap_or(0)
}

/// True on Saturday and Sunday in UTC.
pub(crate) fn is_weekend(ms: i64) -> bool {
    // Day 0, 1970-01-01, was a Thursday: 4 counted from Sunday.
    let weekday = (ms.div_euclid(DAY) + 4).rem_euclid(7);
    weekday == 0 || weekday == 6
}

/// The text of the last second asked for, so that records of one second share it.
#[derive(Debug)]
pub(crate) struct Clock {
    second: Option<i64>,
    text: String,
}

impl Clock {
    /// A clock that was not asked yet.
    pub(crate) fn new() -> Self {
        Self { second: None, text: String::new() }
    }

    /// The ISO 8601 text of this instant.
    pub(crate) fn iso(&mut self, ms: i64) -> Result<&str, Error> {
        let second = ms.div_euclid(SECOND);
        if self.second != Some(second) {
            self.text = iso(ms)?;
            self.second = Some(second);
        }
        Ok(self.text.as_str())
    }
}
