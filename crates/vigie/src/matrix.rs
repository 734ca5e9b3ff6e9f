//! `vigie rule matrix`: rules by providers, and how many samples prove each pair.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use serde::Serialize;

use crate::arguments::{MatrixFormat, MatrixOptions};
use crate::claims::{Bench, is_rule, rule_files, stem};
use crate::content::Content;
use crate::error::Error;
use crate::output::{line, note};

/// What a rule has for one provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Cell {
    /// Samples that fire.
    positive: usize,
    /// Near misses that stay silent.
    near_miss: usize,
    /// Whether the content has a log type of the provider.
    source: bool,
}

impl Cell {
    fn is_hole(self) -> bool {
        self.source && (self.positive == 0 || self.near_miss == 0)
    }

    /// The cell in a few characters.
    fn text(self) -> String {
        let counts = format!("{}/{}", self.positive, self.near_miss);
        match (self.source, self.is_hole()) {
            (false, _) => "absent".to_owned(),
            (true, true) => format!("{counts} hole"),
            (true, false) => counts,
        }
    }
}

/// One rule that reports.
#[derive(Debug, Serialize)]
struct Row {
    rule: String,
    providers: BTreeMap<String, Cell>,
    #[serde(skip)]
    name: String,
    #[serde(skip)]
    title: String,
    #[serde(skip)]
    page: String,
}

/// Runs the command.
pub(crate) fn run(options: &MatrixOptions) -> Result<ExitCode, Error> {
    let content = Content::tree(options.content.as_deref())?;
    let files = rule_files(&content, &options.rules)?;
    let mappings = content.mappings()?;
    let rows = rows(&Bench::new(&content, &mappings, &files), &files);
    match options.format {
        MatrixFormat::Table => table(&rows)?,
        MatrixFormat::Markdown => markdown(&rows)?,
        MatrixFormat::Json => {
            let text = serde_json::to_string_pretty(&rows).map_err(|error| Error::Failed(error.to_string()))?;
            line(format_args!("{text}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(bench: &Bench<'_>, files: &BTreeMap<String, String>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (place, text) in files.iter().filter(|(place, text)| is_rule(place, text)) {
        let proof = bench.prove(place, text);
        for error in &proof.errors {
            note(format_args!("{error}"));
        }
        let providers: BTreeMap<String, Cell> = proof
            .providers()
            .into_iter()
            .map(|name| {
                let (positive, near_miss) = proof.counts(&name);
                let source = bench.sources.contains(&name);
                (name, Cell { positive, near_miss, source })
            })
            .collect();
        let name = stem(place).rsplit('/').next().unwrap_or_default();
        rows.extend(proof.reporting().map(|facts| Row {
            rule: facts.id.clone(),
            providers: providers.clone(),
            name: name.to_owned(),
            title: facts.title.clone(),
            page: format!("{}.md", stem(place)),
        }));
    }
    rows
}

/// The providers that some rule is about: the columns.
fn columns(rows: &[Row]) -> Vec<&String> {
    let names: BTreeSet<&String> = rows.iter().flat_map(|row| row.providers.keys()).collect();
    names.into_iter().collect()
}

fn shown(row: &Row, provider: &str) -> String {
    row.providers.get(provider).map_or_else(|| "-".to_owned(), |cell| cell.text())
}

fn widest(widths: impl Iterator<Item = usize>) -> usize {
    widths.max().unwrap_or_default()
}

fn table(rows: &[Row]) -> Result<(), Error> {
    let columns = columns(rows);
    let first = widest(rows.iter().map(|row| row.name.len()));
    let width = |name: &str| widest(rows.iter().map(|row| shown(row, name).len())).max(name.len());
    let widths: Vec<usize> = columns.iter().map(|name| width(name)).collect();
    let mut head = format!("{:first$}", "rule");
    for (name, &width) in columns.iter().zip(&widths) {
        head.push_str(&format!("  {name:width$}"));
    }
    line(format_args!("{}", head.trim_end()))?;
    for row in rows {
        let mut text = format!("{:first$}", row.name);
        for (name, &width) in columns.iter().zip(&widths) {
            text.push_str(&format!("  {:width$}", shown(row, name)));
        }
        line(format_args!("{}", text.trim_end()))?;
    }
    let cells = || rows.iter().flat_map(|row| row.providers.values());
    line(format_args!(
        "{} rules, {} claims; {} holes, {} on providers without a log type here",
        rows.len(),
        cells().count(),
        cells().filter(|cell| cell.is_hole()).count(),
        cells().filter(|cell| !cell.source).count()
    ))?;
    line(format_args!("samples that fire / near misses that stay silent; - not claimed"))
}

fn markdown(rows: &[Row]) -> Result<(), Error> {
    let columns = columns(rows);
    let names: String = columns.iter().map(|name| format!(" {name} |")).collect();
    line(format_args!("| rule |{names}\n|---|{}", "---|".repeat(columns.len())))?;
    for row in rows {
        let cell =
            |name: &&String| row.providers.get(*name).map_or_else(|| " |".to_owned(), |cell| format!(" {} |", cell.text()));
        let cells: String = columns.iter().map(cell).collect();
        let page = if row.page.starts_with("rules/") { format!("content/{}", row.page) } else { row.page.clone() };
        line(format_args!("| [{}]({page}) |{cells}", row.title.replace('|', "\\|")))?;
    }
    Ok(())
}
