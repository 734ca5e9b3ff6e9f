//! `vigie pivot`: what is known of one entity, as a page of text.

use std::process::ExitCode;

use vigie_model::{Tenant, format_utc};
use vigie_report::printable;
use vigie_serve::{EntityKind, Pivot, pivot};

use crate::arguments::{PivotKind, PivotOptions};
use crate::content::Content;
use crate::error::Error;
use crate::output::line;
use crate::service::ask::bound;
use crate::service::data::DataFolder;
use crate::service::rows::{failed, texts};

/// Characters of a line.
const LINE_CHARACTERS_MAX: usize = 100;
/// What is shown of an event, and in how many characters: 100 with two between them.
const SHOWN: [(&str, &str, usize); 4] =
    [("time", "time", 24), ("operation", "api_operation", 26), ("who", "actor_user_name", 20), ("from", "src_endpoint_ip", 24)];

pub(crate) fn run(options: &PivotOptions) -> Result<ExitCode, Error> {
    let span = (bound(options.since.as_deref())?, bound(options.until.as_deref())?);
    let content = Content::load(options.content.as_deref())?;
    let tenant = Tenant(options.tenant.clone());
    let lake = DataFolder::new(&options.data).read_lake(&content, &tenant)?;
    let kind = kind_of(options.kind);
    let found = pivot(&lake, &tenant, kind, &options.value, span).map_err(failed)?;
    for text in page(kind, &options.value, &found) {
        line(format_args!("{text}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn kind_of(kind: PivotKind) -> EntityKind {
    match kind {
        PivotKind::Principal => EntityKind::Principal,
        PivotKind::Address => EntityKind::Address,
        PivotKind::Resource => EntityKind::Resource,
        PivotKind::Session => EntityKind::Session,
        PivotKind::Account => EntityKind::Account,
    }
}

/// A text of so many characters at most.
fn cut(text: &str, characters_max: usize) -> String {
    if text.chars().count() <= characters_max {
        return text.to_owned();
    }
    text.chars().take(characters_max.saturating_sub(1)).chain(['\u{2026}']).collect()
}

/// The lines of a pivot.
fn page(kind: EntityKind, value: &str, found: &Pivot) -> Vec<String> {
    let mut lines = vec![cut(&format!("{kind} {}", printable(value)), LINE_CHARACTERS_MAX)];
    let (Some(first), Some(last)) = (found.first, found.last) else {
        lines.push("no event names it; try another kind, a longer time, or `vigie search` for a part of it".to_owned());
        return lines;
    };
    let (count, events) = (found.events, if found.events == 1 { "event" } else { "events" });
    lines.push(format!("{count} {events}, from {} to {}", format_utc(first), format_utc(last)));
    for (title, counts) in [("log", &found.logs), ("operation", &found.operations)] {
        lines.push(String::new());
        lines.push(format!("{:>12}  {title}", "events"));
        for (value, count) in counts {
            let value = printable(value.as_deref().unwrap_or("-"));
            lines.push(cut(&format!("{count:>12}  {value}"), LINE_CHARACTERS_MAX));
        }
    }
    lines.push(String::new());
    let row = |cells: Vec<String>| {
        let padded = cells.iter().zip(SHOWN).map(|(cell, (_, _, width))| format!("{:width$}", cut(cell, width)));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.push(row(SHOWN.iter().map(|(title, _, _)| (*title).to_owned()).collect()));
    lines.extend(found.rows.iter().map(|cells| row(texts(&found.columns, cells, SHOWN.iter().map(|(_, column, _)| *column)))));
    lines
}

#[cfg(test)]
mod tests {
    use vigie_model::Cell;

    use super::*;

    #[test]
    fn a_page_fits_a_terminal_whatever_stands_in_it() {
        let long = "\u{1b}[2J".to_owned() + &"x".repeat(500);
        let found = Pivot {
            events: 2,
            first: Some(0),
            last: Some(1500),
            logs: vec![(Some(long.clone()), 1), (None, 1)],
            operations: vec![(Some("Read".to_owned()), 2)],
            columns: ["time", "api_operation", "actor_user_name", "src_endpoint_ip"].map(str::to_owned).to_vec(),
            rows: vec![vec![Cell::Time(1_500_000), Cell::Text(long.clone()), Cell::Null, Cell::Text(long.clone())]],
            version: 7,
        };
        let lines = page(EntityKind::Principal, &long, &found);
        let text = lines.join("\n");
        assert!(lines.iter().all(|line| line.chars().count() <= LINE_CHARACTERS_MAX), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("2 events, from 1970-01-01T00:00:00Z to 1970-01-01T00:00:01.500Z\n"), "{text}");
        assert!(text.contains("\n           2  Read\n") && text.contains("\n           1  -\n"), "{text}");
    }

    #[test]
    fn what_nobody_named_says_where_to_look() {
        let lines = page(EntityKind::Address, "192.0.2.7", &Pivot::default());
        assert_eq!(lines.first().map(String::as_str), Some("address 192.0.2.7"));
        assert!(lines.len() == 2 && lines.iter().any(|line| line.contains("vigie search")));
    }
}
