//! The report's words, from the content's texts.

use vigie_model::EventFacts;
use vigie_normalise::Texts;
use vigie_report::{Language, Words, Zone};

use crate::arguments::Lang;
use crate::error::Error;

/// Texts of one language behind the report's port.
pub(crate) struct ContentWords {
    pub(crate) texts: Texts,
    pub(crate) language: Language,
}

impl Words for ContentWords {
    fn sentence(&self, facts: &EventFacts, actor: &str, target: &str) -> String {
        self.texts.sentence(facts, actor, target)
    }

    fn tactic(&self, tactic: &str) -> String {
        self.texts.tactic(tactic).to_owned()
    }

    fn severity(&self, word: &str) -> String {
        self.texts.severity(word).to_owned()
    }

    fn label(&self, key: &str, values: &[(&str, &str)]) -> String {
        self.texts.label(key, values)
    }

    fn reason(&self, english: &str) -> String {
        self.texts.reason(english)
    }

    fn language(&self) -> Language {
        self.language
    }
}

impl Lang {
    /// The language of a report.
    pub(crate) fn language(self) -> Language {
        match self {
            Lang::En => Language::English,
            Lang::Fr => Language::French,
        }
    }

    /// Its two letters.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Fr => "fr",
        }
    }
}

/// A zone by its name, with its offsets over a span of years around the events.
pub(crate) fn zone(name: &str, span: Option<(i64, i64)>) -> Result<Zone, Error> {
    if name == "UTC" {
        return Ok(Zone::utc());
    }
    let zone = jiff::tz::TimeZone::get(name)
        .map_err(|_| Error::Usage(format!("`{name}` is no time zone; write a name such as Europe/Paris")))?;
    let (from, to) = span.unwrap_or((0, 0));
    let instant = |at: i64| jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let minutes = |at: jiff::Timestamp| i64::from(zone.to_offset(at).seconds()) / 60;
    let mut offsets = vec![(i64::MIN, minutes(instant(from)))];
    for change in zone.following(instant(from)).take_while(|change| change.timestamp().as_millisecond() <= to) {
        offsets.push((change.timestamp().as_millisecond(), minutes(change.timestamp())));
    }
    Ok(Zone { name: name.to_owned(), offsets })
}
