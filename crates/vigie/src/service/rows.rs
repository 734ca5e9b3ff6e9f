//! Rows of an answer on a terminal, in a file, for a program.

use std::io::Write;

use serde_json::{Map, Value, json};
use vigie_model::{Cell, QueryError, Rows, format_utc};

use crate::arguments::RowFormat;
use crate::error::Error;

/// Characters of one cell of a table.
const CELL_CHARACTERS_MAX: usize = 60;
/// Rows whose widths decide a table's columns: the others follow them.
const TABLE_ROWS_MAX: usize = 500;

/// How many rows were written.
pub(crate) fn write(rows: &mut dyn Rows, format: RowFormat, out: &mut dyn Write) -> Result<u64, Error> {
    let columns = rows.columns().to_vec();
    match format {
        RowFormat::Table => table(rows, &columns, out),
        RowFormat::Csv => {
            let line = |cells: Vec<String>| cells.join(",");
            writeln!(out, "{}", line(columns.iter().map(|name| csv(name)).collect()))?;
            each(rows, &mut |row| Ok(writeln!(out, "{}", line(row.iter().map(|cell| csv(&text(cell))).collect()))?))
        }
        RowFormat::Ndjson => each(rows, &mut |row| {
            let object: Map<String, Value> = columns.iter().cloned().zip(row.iter().map(value)).collect();
            Ok(writeln!(out, "{}", Value::Object(object))?)
        }),
        RowFormat::Md => {
            writeln!(out, "| {} |", columns.join(" | "))?;
            writeln!(out, "|{}", "---|".repeat(columns.len()))?;
            each(rows, &mut |row| {
                let cells: Vec<String> = row.iter().map(|cell| plain(&text(cell)).replace('|', "\\|")).collect();
                Ok(writeln!(out, "| {} |", cells.join(" | "))?)
            })
        }
    }
}

/// What an error of a query is to the command line.
pub(crate) fn failed(error: QueryError) -> Error {
    match error {
        QueryError::Question(why) => Error::Usage(why),
        QueryError::Limit(why) | QueryError::Failed(why) => Error::Failed(why),
    }
}

fn each(rows: &mut dyn Rows, write: &mut dyn FnMut(&[Cell]) -> Result<(), Error>) -> Result<u64, Error> {
    let mut count = 0;
    while let Some(batch) = rows.next().map_err(failed)? {
        for row in &batch {
            write(row)?;
            count += 1;
        }
    }
    Ok(count)
}

fn table(rows: &mut dyn Rows, columns: &[String], out: &mut dyn Write) -> Result<u64, Error> {
    let mut head: Vec<Vec<String>> = Vec::new();
    let mut count = 0;
    let mut is_ended = false;
    while head.len() < TABLE_ROWS_MAX && !is_ended {
        match rows.next().map_err(failed)? {
            Some(batch) => head.extend(batch.iter().map(|row| row.iter().map(short).collect())),
            None => is_ended = true,
        }
    }
    let mut widths: Vec<usize> = columns.iter().map(|name| name.chars().count()).collect();
    for row in &head {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    writeln!(out, "{}", line(columns))?;
    writeln!(out, "{}", widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("  "))?;
    for row in &head {
        writeln!(out, "{}", line(row))?;
        count += 1;
    }
    if !is_ended {
        count += each(rows, &mut |row| Ok(writeln!(out, "{}", line(&row.iter().map(short).collect::<Vec<_>>()))?))?;
    }
    Ok(count)
}

/// The text of a value.
fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Boolean(flag) => flag.to_string(),
        Cell::Integer(number) => number.to_string(),
        Cell::Float(number) => number.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Time(micros) => format_utc(micros.div_euclid(1000)),
    }
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Boolean(flag) => json!(flag),
        Cell::Integer(number) => json!(number),
        Cell::Float(number) => json!(number),
        Cell::Text(text) => json!(text),
        Cell::Time(_) => json!(text(cell)),
    }
}

/// Text without what would command a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{FFFD}' } else { character }).collect()
}

fn short(cell: &Cell) -> String {
    let text = plain(&text(cell));
    match text.char_indices().nth(CELL_CHARACTERS_MAX) {
        Some((at, _)) => format!("{}\u{2026}", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// A cell for a spreadsheet: quoted, and never a formula.
fn csv(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}
