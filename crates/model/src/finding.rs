//! A finding: one rule saying something about events.

use serde::{Deserialize, Serialize};

use crate::{EventFacts, Millis};

/// How bad a finding is; the numbers are OCSF's `severity_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing, nothing to do.
    Informational = 1,
    /// Unusual; look when there is time.
    Low = 2,
    /// An analyst must look.
    Medium = 3,
    /// An analyst must look soon.
    High = 4,
    /// Drop everything.
    Critical = 5,
}

impl Severity {
    /// All of them, mildest first.
    pub const ALL: [Severity; 5] = [Severity::Informational, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

    /// The word used in rules, on the command line and in texts.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Informational => "informational",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// OCSF's caption.
    pub fn caption(self) -> &'static str {
        match self {
            Severity::Informational => "Informational",
            Severity::Low => "Low",
            Severity::Medium => "Medium",
            Severity::High => "High",
            Severity::Critical => "Critical",
        }
    }

    /// Reads [`Severity::word`].
    pub fn parse(word: &str) -> Option<Severity> {
        Severity::ALL.into_iter().find(|severity| severity.word() == word)
    }
}

/// One field that made a rule match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The field as the rule names it.
    pub field: String,
    /// The value found there, cut to a limit.
    pub value: String,
}

/// An ATT&CK technique or tactic that a rule names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// `T1098.001`, or empty for a bare tactic.
    pub technique: String,
    /// `initial-access` and so on, or empty.
    pub tactic: String,
}

/// What a report needs of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleFacts {
    /// The rule's id; its name or title where it has none.
    pub id: String,
    /// English title.
    pub title: String,
    /// French title, or the English one.
    pub title_fr: String,
    /// How bad it is.
    pub severity: Severity,
    /// Techniques, in the order of the rule's tags.
    pub techniques: Vec<String>,
    /// Tactics, in the order of the rule's tags.
    pub tactics: Vec<String>,
    /// Who wrote it.
    pub author: String,
    /// What to do first, in one English sentence; may be empty.
    pub response: String,
    /// The same in French, or the English one.
    pub response_fr: String,
    /// Whether it correlates several events.
    pub is_correlation: bool,
    /// Where it stands: a path inside the content, or the user's file.
    pub place: String,
}

/// One finding. Nothing in it depends on the wall clock or on the order of arrival.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Derived from tenant, rule and what the finding is about.
    pub uid: String,
    /// Index of the rule in the rule set's list of facts.
    pub rule: u32,
    /// When the earliest and the latest event of it happened.
    pub first: Millis,
    /// See `first`.
    pub last: Millis,
    /// The event of a simple finding; of a correlation the event that made it fire.
    pub event: EventFacts,
    /// Provider ids of all events, earliest first.
    pub related: Vec<String>,
    /// How many events there are, when more than `related` holds.
    pub events: u64,
    /// Fields that made it match.
    pub evidence: Vec<Evidence>,
    /// Group key of a correlation: field and value.
    pub group: Vec<Evidence>,
}
