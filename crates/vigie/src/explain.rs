//! `vigie hunt --explain`: one event, the record it came from, and what the rules say of it.

use std::process::ExitCode;

use vigie_pipeline::Explained;

use crate::error::Error;
use crate::hunt::Setup;

/// Prints what is known of an event.
pub(crate) fn print(event: &str, setup: &Setup, found: &[Explained]) -> Result<ExitCode, Error> {
    let Some(first) = found.first() else {
        return Err(Error::Failed(format!("no event has the id `{event}`; ids stand in the output of -o ndjson")));
    };
    println!("event {event}, {}, from {} (found {} times)", first.log, first.file, found.len());
    let title = |rule: u32| setup.rules.facts().get(rule as usize);
    for (rule, silenced, evidence) in &first.matches {
        let Some(facts) = title(*rule) else {
            continue;
        };
        let note = match silenced.and_then(title) {
            Some(filter) => format!(", silenced by {}", filter.title),
            None if !setup.rules.reports(*rule) => ", for correlations only".to_owned(),
            None => String::new(),
        };
        println!("\n{} ({}{note})", facts.title, facts.severity.word());
        for field in evidence {
            println!("  {} = {}", field.field, field.value.escape_debug());
        }
    }
    if first.matches.is_empty() {
        println!("\nno rule matches it");
    }
    println!("\nrecord\n{}", pretty(&first.record));
    if let Some(document) = &first.document {
        println!("\nOCSF\n{}", pretty(document));
    }
    Ok(ExitCode::SUCCESS)
}

/// JSON over several lines; text that is none as it is, its control characters escaped.
fn pretty(json: &str) -> String {
    let parsed = serde_json::from_str::<serde_json::Value>(json);
    parsed.and_then(|value| serde_json::to_string_pretty(&value)).unwrap_or_else(|_| json.escape_debug().to_string())
}
