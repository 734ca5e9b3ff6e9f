//! Rows of an answer on a terminal, in a file, for a program.

use std::io::Write;

use vigie_model::{Cell, QueryError, Rows, format_utc};
use vigie_report::printable;

use crate::arguments::RowFormat;
use crate::error::Error;

/// Characters of one cell of a table.
const CELL_CHARACTERS_MAX: usize = 60;
/// Width of a table on a terminal, where its columns can be made to fit.
const TABLE_CHARACTERS: usize = 100;
/// A column is not made narrower than this.
const COLUMN_CHARACTERS_MIN: usize = 10;
/// Rows whose widths decide a table's columns: the others follow them.
const TABLE_ROWS_MAX: usize = 500;

/// What is said when Parquet would go to a terminal.
pub(crate) const PARQUET_NEEDS_FILE: &str = "Parquet is no text: name a file with --out FILE";

/// How many rows were written.
pub(crate) fn write(rows: &mut dyn Rows, format: RowFormat, out: &mut dyn Write) -> Result<u64, Error> {
    let columns = rows.columns().to_vec();
    match format {
        RowFormat::Table => table(rows, &columns, out),
        RowFormat::Csv => {
            let line = |cells: Vec<String>| cells.join(",");
            writeln!(out, "{}", line(columns.iter().map(|name| vigie_report::cell(name)).collect()))?;
            each(rows, &mut |row| Ok(writeln!(out, "{}", line(row.iter().map(csv).collect()))?))
        }
        RowFormat::Ndjson => each(rows, &mut |row| Ok(out.write_all(vigie_serve::json_line(&columns, row.to_vec()).as_bytes())?)),
        RowFormat::Parquet => Err(Error::Usage(PARQUET_NEEDS_FILE.to_owned())),
        RowFormat::Md => {
            writeln!(out, "| {} |", columns.join(" | "))?;
            writeln!(out, "|{}", "---|".repeat(columns.len()))?;
            each(rows, &mut |row| {
                let cells: Vec<String> = row.iter().map(|cell| printable(&text(cell)).replace('|', "\\|")).collect();
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

/// The named cells of a row as short texts that are harmless on a terminal; `-` where there is none.
pub(crate) fn texts<'n>(columns: &[String], row: &[Cell], names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    let cell = |name: &str| columns.iter().position(|column| column == name).and_then(|at| row.get(at)).map(short);
    names.into_iter().map(|name| cell(name).filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned())).collect()
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
    let (mut head, mut first): (Vec<Vec<String>>, Vec<Cell>) = (Vec::new(), Vec::new());
    let mut count = 0;
    let mut is_ended = false;
    while head.len() < TABLE_ROWS_MAX && !is_ended {
        match rows.next().map_err(failed)? {
            Some(batch) => {
                if let (true, Some(row)) = (first.is_empty(), batch.first()) {
                    first.clone_from(row);
                }
                head.extend(batch.iter().map(|row| row.iter().map(short).collect()));
            }
            None => is_ended = true,
        }
    }
    let mut widths: Vec<usize> = columns.iter().map(|name| name.chars().count()).collect();
    for row in &head {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let is_time: Vec<bool> =
        (0..widths.len()).map(|at| first.get(at).is_some_and(|cell| matches!(cell, Cell::Time(_)))).collect();
    narrow(&mut widths, &is_time);
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{:width$}", cut(cell, *width)));
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

/// Makes the widest columns narrower until a table fits; instants stay whole.
fn narrow(widths: &mut [usize], is_time: &[bool]) {
    let between = 2 * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + between > TABLE_CHARACTERS {
        let widest = widths.iter_mut().zip(is_time).filter(|(_, is_time)| !**is_time).map(|(width, _)| width).max();
        match widest.filter(|width| **width > COLUMN_CHARACTERS_MIN) {
            Some(width) => *width -= 1,
            None => return,
        }
    }
}

/// The head of a text, with a sign that there is more.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['\u{2026}']).collect()
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

fn short(cell: &Cell) -> String {
    let text = printable(&text(cell));
    match text.char_indices().nth(CELL_CHARACTERS_MAX) {
        Some((at, _)) => format!("{}\u{2026}", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// A value for a spreadsheet: numbers as they are, texts quoted and never a formula.
fn csv(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => vigie_report::cell(text),
        other => text(other),
    }
}
