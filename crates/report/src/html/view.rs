//! What every part of the page needs: the story, the reader's words, the zone, and how things are named.

use std::collections::BTreeSet;

use vigie_model::{Millis, RuleFacts, Severity, format_utc};

use crate::html::page::Html;
use crate::story::{Line, Story, Thread, name_of, principal_of, short};
use crate::text::{ActivityOf, middle, number, title_of};
use crate::words::{Words, Zone};

/// Numbered steps of a story; with more, each rule is told once.
const STEPS_MAX: usize = 40;

/// A story and how to tell it.
pub(crate) struct View<'a> {
    pub(crate) story: &'a Story,
    pub(crate) words: &'a dyn Words,
    pub(crate) zone: &'a Zone,
    pub(crate) activity: &'a ActivityOf<'a>,
}

impl<'a> View<'a> {
    /// A label with its values.
    pub(crate) fn label(&self, key: &str, values: &[(&str, &str)]) -> String {
        self.words.label(key, values).trim().to_owned()
    }

    /// A label without values.
    pub(crate) fn word(&self, key: &str) -> String {
        self.label(key, &[])
    }

    /// A label of one count.
    pub(crate) fn counted(&self, key: &str, count: u64) -> String {
        self.label(key, &[("count", &self.number(count))])
    }

    /// A number in groups of three digits.
    pub(crate) fn number(&self, count: u64) -> String {
        number(count, self.words)
    }

    /// `2026-11-12 01:52:07`
    pub(crate) fn instant(&self, at: Millis) -> String {
        format!("{} {}", self.zone.day(at), self.zone.second(at))
    }

    /// Writes a `time` element.
    pub(crate) fn time(&self, page: &mut Html, at: Millis, shown: &str) {
        page.element("time", &[("datetime", &format_utc(at))], shown);
    }

    /// A length of time, to two units.
    pub(crate) fn duration(&self, millis: Millis) -> String {
        let seconds = millis.max(0) / 1000;
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
        let (key, large, small) = match () {
            () if days > 0 => ("html.duration.days", days, hours),
            () if hours > 0 => ("html.duration.hours", hours, minutes),
            () if minutes > 0 => ("html.duration.minutes", minutes, seconds % 60),
            () => ("html.duration.seconds", seconds, 0),
        };
        self.label(key, &[("large", &large.to_string()), ("small", &small.to_string())])
    }

    /// The rule of a line.
    pub(crate) fn rule(&self, line: &Line) -> Option<&'a RuleFacts> {
        self.story.rules.get(line.rule as usize)
    }

    /// The title of a rule in the reader's language.
    pub(crate) fn title<'r>(&self, rule: &'r RuleFacts) -> &'r str {
        title_of(rule, self.words)
    }

    /// What a rule says to do first; may be empty.
    pub(crate) fn response<'r>(&self, rule: &'r RuleFacts) -> &'r str {
        self.words.language().response(rule)
    }

    /// What a line says; a correlation is told by its title, as in the text story.
    pub(crate) fn sentence(&self, line: &Line) -> String {
        let actor = short(&name_of(&principal_of(&line.event))).to_owned();
        let target = middle(short(&line.event.target));
        match self.rule(line) {
            Some(rule) if rule.is_correlation => self.title(rule).to_owned(),
            _ => self.words.sentence(&line.event, &actor, &target),
        }
    }

    /// The sentence of a line, and how often.
    pub(crate) fn repeated(&self, line: &Line) -> String {
        let sentence = self.sentence(line);
        if line.findings < 2 {
            return sentence;
        }
        format!("{sentence} {}", self.counted("html.times", line.findings))
    }

    /// A severity as shape, word and colour.
    pub(crate) fn severity(&self, page: &mut Html, severity: Severity) {
        page.raw(match severity {
            Severity::Critical => {
                "<span class=\"sev critical\"><svg class=\"glyph\" aria-hidden=\"true\"><use href=\"#g-critical\"/></svg>"
            }
            Severity::High => "<span class=\"sev high\"><svg class=\"glyph\" aria-hidden=\"true\"><use href=\"#g-high\"/></svg>",
            Severity::Medium => {
                "<span class=\"sev medium\"><svg class=\"glyph\" aria-hidden=\"true\"><use href=\"#g-medium\"/></svg>"
            }
            Severity::Low => "<span class=\"sev low\"><svg class=\"glyph\" aria-hidden=\"true\"><use href=\"#g-low\"/></svg>",
            Severity::Informational => {
                "<span class=\"sev info\"><svg class=\"glyph\" aria-hidden=\"true\"><use href=\"#g-info\"/></svg>"
            }
        });
        page.text(&self.words.severity(severity.word()));
        page.close("span");
    }
}

/// The lines told as numbered steps, in the order of the thread; the same everywhere on the page.
pub(crate) fn steps_of(thread: &Thread) -> Vec<&Line> {
    let mut steps: Vec<&Line> = thread.lines.iter().filter(|line| line.severity >= Severity::Medium).collect();
    if steps.len() > STEPS_MAX {
        let mut seen = BTreeSet::new();
        steps.retain(|line| seen.insert(line.rule));
        steps.truncate(STEPS_MAX);
    }
    steps
}

/// The number of a line among the steps, from 1.
pub(crate) fn step_number(steps: &[&Line], line: &Line) -> Option<usize> {
    steps.iter().position(|step| std::ptr::eq(*step, line)).map(|index| index + 1)
}
