//! Sentences: what an event did, in English or French, from templates keyed on the verb.

use std::collections::BTreeMap;

use serde::Deserialize;
use vigie_model::EventFacts;

use crate::ContentError;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextFile {
    #[serde(rename = "format")]
    _format: u32,
    refused: String,
    verb: BTreeMap<String, String>,
    verb_untargeted: BTreeMap<String, String>,
    tactic: BTreeMap<String, String>,
    severity: BTreeMap<String, String>,
    label: BTreeMap<String, String>,
    /// Sentences of verbs whose other party is known.
    #[serde(default)]
    verb_peer: BTreeMap<String, String>,
    /// Why something could not be read, by the English end of the sentence; one part may be `{value}`.
    #[serde(default)]
    reason: BTreeMap<String, String>,
}

/// The texts of one language.
#[derive(Debug, Clone)]
pub struct Texts(TextFile);

impl Texts {
    /// Reads `content/text/<language>.toml`.
    ///
    /// # Errors
    /// The file is no TOML, or lacks a table.
    pub fn parse(name: &str, text: &str) -> Result<Texts, ContentError> {
        toml::from_str(text).map(Texts).map_err(|error| ContentError::new(name, error.to_string()))
    }

    /// What an event did, without time and place. `actor` and `target` are names already chosen for
    /// readers.
    pub fn sentence(&self, facts: &EventFacts, actor: &str, target: &str) -> String {
        let template = match target.is_empty() {
            false if !facts.peer.is_empty() && self.0.verb_peer.contains_key(&facts.verb) => self.0.verb_peer.get(&facts.verb),
            true => self.0.verb_untargeted.get(&facts.verb).or_else(|| self.0.verb.get(&facts.verb)),
            false => self.0.verb.get(&facts.verb),
        };
        let template = template.map_or("{actor}: {operation}", String::as_str);
        let sentence = fill(
            template,
            &[
                ("actor", actor),
                ("target", target),
                ("peer", &facts.peer),
                ("operation", &facts.operation),
                ("service", &facts.service),
                ("account", &facts.account),
                ("region", &facts.region),
            ],
        );
        if facts.error.is_empty() {
            return sentence;
        }
        fill(&self.0.refused, &[("sentence", &sentence), ("error", &facts.error)])
    }

    /// A label of the report, its placeholders filled; an unknown key shows itself.
    pub fn label(&self, key: &str, values: &[(&str, &str)]) -> String {
        fill(self.0.label.get(key).map_or(key, String::as_str), values)
    }

    /// Why something could not be read, given the end of an English sentence; what has no text stays
    /// English.
    pub fn reason(&self, english: &str) -> String {
        if let Some(text) = self.0.reason.get(english) {
            return text.clone();
        }
        let fits = |(key, text): (&String, &String)| {
            let (before, after) = key.split_once("{value}")?;
            let value = english.strip_prefix(before)?.strip_suffix(after)?;
            Some((key.len(), fill(text, &[("value", value)])))
        };
        // The longest text that fits says most.
        self.0.reason.iter().filter_map(fits).max().map_or_else(|| english.to_owned(), |(_, text)| text)
    }

    /// The name of an ATT&CK tactic.
    pub fn tactic<'t>(&'t self, tactic: &'t str) -> &'t str {
        self.0.tactic.get(tactic).map_or(tactic, String::as_str)
    }

    /// The word for a severity.
    pub fn severity<'t>(&'t self, word: &'t str) -> &'t str {
        self.0.severity.get(word).map_or(word, String::as_str)
    }

    /// The verbs that have a sentence.
    pub fn verbs(&self) -> impl Iterator<Item = &str> {
        self.0.verb.keys().map(String::as_str)
    }
}

/// Replaces each `{name}`; what stands in a value is never read as a placeholder.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        match values.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => out.push_str(value),
            None => {
                out.push('{');
                out.push_str(name);
                out.push('}');
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}
