//! The words of a report come through a port: sentences, names and labels in the reader's language.

use vigie_model::{EventFacts, Millis, RuleFacts, format_utc};

/// A language of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// French.
    French,
}

impl Language {
    /// The title of a rule.
    pub fn title(self, rule: &RuleFacts) -> &str {
        match self {
            Language::English => &rule.title,
            Language::French => &rule.title_fr,
        }
    }

    /// What a rule says to do first; may be empty.
    pub fn response(self, rule: &RuleFacts) -> &str {
        match self {
            Language::English => &rule.response,
            Language::French => &rule.response_fr,
        }
    }

    /// A number in groups of three digits.
    pub fn number(self, count: u64) -> String {
        let digits = count.to_string();
        let separator = if self == Language::French { '\u{202F}' } else { ',' };
        let mut out = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                out.push(separator);
            }
            out.push(digit);
        }
        out
    }
}

/// Where a report gets its words from.
pub trait Words {
    /// What an event did; `actor` and `target` are names already chosen for readers.
    fn sentence(&self, facts: &EventFacts, actor: &str, target: &str) -> String;
    /// The name of an ATT&CK tactic.
    fn tactic(&self, tactic: &str) -> String;
    /// The word for a severity.
    fn severity(&self, word: &str) -> String;
    /// A label by its key, with `{name}` replaced by the values given.
    fn label(&self, key: &str, values: &[(&str, &str)]) -> String;
    /// Why something could not be read, given the end of an English sentence ("is not UTF-8").
    fn reason(&self, english: &str) -> String;
    /// The language.
    fn language(&self) -> Language;
}

/// The zone in which times are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name, as shown.
    pub name: String,
    /// Minutes to add to UTC, by the instant from which they hold; sorted, never empty for a zone
    /// other than UTC.
    pub offsets: Vec<(Millis, i64)>,
}

impl Zone {
    /// UTC.
    pub fn utc() -> Zone {
        Zone { name: "UTC".to_owned(), offsets: Vec::new() }
    }

    fn local(&self, at: Millis) -> String {
        let after = self.offsets.partition_point(|(from, _)| *from <= at);
        let offset = after.checked_sub(1).and_then(|index| self.offsets.get(index)).map_or(0, |(_, minutes)| *minutes);
        format_utc(at.saturating_add(offset * 60_000))
    }

    /// `2026-11-12 01:52`
    pub fn minute(&self, at: Millis) -> String {
        self.local(at).get(..16).unwrap_or_default().replace('T', " ")
    }

    /// `01:52`
    pub fn clock(&self, at: Millis) -> String {
        self.local(at).get(11..16).unwrap_or_default().to_owned()
    }

    /// `2026-11-12`
    pub fn day(&self, at: Millis) -> String {
        self.local(at).get(..10).unwrap_or_default().to_owned()
    }

    /// `01:52:07`
    pub fn second(&self, at: Millis) -> String {
        self.local(at).get(11..19).unwrap_or_default().to_owned()
    }
}
