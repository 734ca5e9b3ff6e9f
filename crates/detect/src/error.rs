//! What is wrong with a rule: file, line, and what to write instead.

use std::fmt;

/// A mistake in a rule, or a reason why it cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// The file as it was given.
    pub place: String,
    /// Line in the file, counted from 1; 0 when it cannot be told.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to write instead; may be empty.
    pub fix: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.place, self.line.max(1), self.what)?;
        if !self.fix.is_empty() {
            write!(out, "; {}", self.fix)?;
        }
        Ok(())
    }
}

impl std::error::Error for RuleError {}

/// A mistake before its place is known: what, fix, and the text in the file to point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) what: String,
    pub(crate) fix: String,
    pub(crate) near: String,
}

impl Mistake {
    pub(crate) fn new(what: impl Into<String>, fix: impl Into<String>, near: impl Into<String>) -> Mistake {
        Mistake { what: what.into(), fix: fix.into(), near: near.into() }
    }

    /// Finds the line that the mistake points at.
    pub(crate) fn at(self, place: &str, text: &str) -> RuleError {
        let near = |line: &str| !self.near.is_empty() && line.contains(&self.near);
        let line = text.lines().position(near).map_or(0, |at| at + 1);
        RuleError { place: place.to_owned(), line, what: self.what, fix: self.fix }
    }
}
