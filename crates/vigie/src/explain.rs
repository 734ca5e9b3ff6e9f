//! `vigie hunt --explain`: one event, the record it came from, and what the rules say of it.

use std::process::ExitCode;

use vigie_pipeline::Explained;
use vigie_report::Words as _;

use crate::error::Error;
use crate::hunt::Setup;
use crate::output::line;
use crate::words::ContentWords;

/// Prints what is known of an event.
pub(crate) fn print(event: &str, setup: &Setup, found: &[Explained], words: &ContentWords) -> Result<ExitCode, Error> {
    let Some(first) = found.first() else {
        return Err(Error::Failed(format!("no event has the id `{event}`; ids stand in the output of -o ndjson")));
    };
    let count = found.len().to_string();
    let mut lines =
        vec![words.label("explain.head", &[("event", event), ("log", &first.log), ("file", &first.file), ("count", &count)])];
    let of = |rule: u32| setup.rules.facts().get(rule as usize);
    for (rule, silenced, evidence) in &first.matches {
        let Some(facts) = of(*rule) else {
            continue;
        };
        let note = match silenced.and_then(of) {
            Some(filter) => words.label("explain.silenced", &[("filter", words.language.title(filter))]),
            None if !setup.rules.reports(*rule) => words.label("explain.base", &[]),
            None => String::new(),
        };
        let severity = words.severity(facts.severity.word()).to_lowercase();
        lines.push(format!("\n{} ({severity}{note})", words.language.title(facts)));
        lines.extend(evidence.iter().map(|field| format!("  {} = {}", field.field, field.value.escape_debug())));
    }
    if first.matches.is_empty() {
        lines.push(format!("\n{}", words.label("explain.none", &[])));
    }
    lines.push(format!("\n{}\n{}", words.label("explain.record", &[]), pretty(&first.record)));
    if let Some(document) = &first.document {
        lines.push(format!("\nOCSF\n{}", pretty(document)));
    }
    line(format_args!("{}", lines.join("\n")))?;
    Ok(ExitCode::SUCCESS)
}

/// JSON over several lines; text that is none as it is, its control characters escaped.
fn pretty(json: &str) -> String {
    let parsed = serde_json::from_str::<serde_json::Value>(json);
    parsed.and_then(|value| serde_json::to_string_pretty(&value)).unwrap_or_else(|_| json.escape_debug().to_string())
}
