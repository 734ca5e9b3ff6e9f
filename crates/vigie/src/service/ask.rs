//! `vigie sql` and `vigie search`: the lake of a data folder, with or without a running service.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use vigie_model::{Ask, Millis, QueryEngine as _, Question, Tenant, parse_moment};

use crate::arguments::{AskOptions, RowFormat, SearchOptions, SqlOptions};
use crate::content::Content;
use crate::error::Error;
use crate::output::note;
use crate::service::data::{DataFolder, now};
use crate::service::rows::{PARQUET_NEEDS_FILE, failed, write};
use crate::service::{follow, saved};

/// Columns that a search shows in a table; files and programs get all of them.
pub(crate) const SHOWN: &str = "time, api_operation, actor_user_name, src_endpoint_ip, target, status_code";

pub(crate) fn sql(options: &SqlOptions) -> Result<ExitCode, Error> {
    match &options.statement {
        Some(statement) => ask(&options.common, Ask::Sql(statement.clone()), (None, None)),
        None => shell(&options.common),
    }
}

pub(crate) fn search(options: &SearchOptions) -> Result<ExitCode, Error> {
    let span = (bound(options.since.as_deref())?, bound(options.until.as_deref())?);
    let filter = match &options.saved {
        Some(name) => saved::filter(&options.common, name)?,
        None => options.filter.clone(),
    };
    if options.follow {
        return follow::run(&options.common, filter, span.0.unwrap_or_else(now));
    }
    let ask_for = match &options.by {
        Some(column) => Ask::Facet { filter: filter.clone(), column: column.clone(), limit: options.limit },
        None if options.count => Ask::Histogram { filter: filter.clone(), steps: 24 },
        None => Ask::Search { filter: filter.clone(), limit: options.limit },
    };
    let code = ask(&options.common, ask_for, span)?;
    if let Some(name) = &options.save {
        // Only a filter that could be asked is worth a name.
        saved::save(&options.common, name, filter)?;
    }
    Ok(code)
}

/// One end of a span of time, as it was written.
pub(crate) fn bound(text: Option<&str>) -> Result<Option<Millis>, Error> {
    text.map(|text| instant(text, now())).transpose()
}

/// An instant: RFC 3339, a date, or a length of time before now such as `24h`.
pub(crate) fn instant(text: &str, now: Millis) -> Result<Millis, Error> {
    let wrong = || Error::Usage(format!("`{text}` is no time: write 2026-01-31, 2026-01-31T08:00:00Z, 15m, 24h or 7d"));
    parse_moment(text, now).ok_or_else(wrong)
}

fn ask(options: &AskOptions, what: Ask, span: (Option<Millis>, Option<Millis>)) -> Result<ExitCode, Error> {
    let content = Content::load(options.content.as_deref())?;
    let tenant = Tenant(options.tenant.clone());
    let mut lake = DataFolder::new(&options.data).read_lake(&content, &tenant)?;
    if options.format == Some(RowFormat::Parquet) {
        lake = lake.with_query_time(vigie_lake::EXPORT_TIME_MAX);
    }
    let question = Question { since: span.0, until: span.1, ..Question::new(tenant, what) };
    answer(&lake, &question, options)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether a terminal shows the rows, and the format of them.
pub(crate) fn format_of(options: &AskOptions) -> (bool, RowFormat) {
    let is_terminal = options.out.is_none() && io::stdout().is_terminal();
    (is_terminal, options.format.unwrap_or(if is_terminal { RowFormat::Table } else { RowFormat::Ndjson }))
}

/// Where rows go.
pub(crate) fn output(options: &AskOptions) -> Result<Box<dyn Write>, Error> {
    Ok(match &options.out {
        Some(path) => {
            Box::new(BufWriter::new(File::create(path).map_err(|error| Error::Failed(format!("`{}`: {error}", path.display())))?))
        }
        None => Box::new(BufWriter::new(io::stdout().lock())),
    })
}

fn answer(lake: &vigie_lake::Lake, question: &Question, options: &AskOptions) -> Result<(), Error> {
    let started = Instant::now();
    let (is_terminal, format) = format_of(options);
    if format == RowFormat::Parquet {
        let file = options.out.as_deref().ok_or_else(|| Error::Usage(PARQUET_NEEDS_FILE.to_owned()))?;
        let (count, version) = lake.export_parquet(question, file).map_err(failed)?;
        note(format_args!("{count} rows at version {version} in `{}`", file.display()));
        return Ok(());
    }
    let mut rows = lake.ask(question).map_err(failed)?;
    if format == RowFormat::Table && matches!(question.ask, Ask::Search { .. }) {
        rows = vigie_lake::choose(rows, SHOWN.split(", "));
    }
    let version = rows.version();
    let mut out = output(options)?;
    let count = write(&mut *rows, format, &mut out)?;
    out.flush()?;
    drop(out);
    if is_terminal {
        let taken = started.elapsed().as_secs_f64();
        note(format_args!("{count} {} at version {version}, {taken:.3} s", if count == 1 { "row" } else { "rows" }));
    }
    Ok(())
}

/// Statements one after the other, each ended by a semicolon.
fn shell(options: &AskOptions) -> Result<ExitCode, Error> {
    let content = Content::load(options.content.as_deref())?;
    let tenant = Tenant(options.tenant.clone());
    let data = DataFolder::new(&options.data);
    drop(data.read_lake(&content, &tenant)?);
    let failed = |error: rustyline::error::ReadlineError| Error::Failed(error.to_string());
    let mut editor = rustyline::DefaultEditor::new().map_err(failed)?;
    note(format_args!("SQL over `events`, each statement ended by ; (DESCRIBE events; lists the columns; Ctrl-D ends)"));
    let mut statement = String::new();
    loop {
        match editor.readline(if statement.is_empty() { "vigie> " } else { "   ... " }) {
            Ok(line) => {
                statement.push_str(&line);
                statement.push('\n');
            }
            Err(rustyline::error::ReadlineError::Interrupted) => {
                statement.clear();
                continue;
            }
            Err(rustyline::error::ReadlineError::Eof) => return Ok(ExitCode::SUCCESS),
            Err(error) => return Err(failed(error)),
        }
        if !statement.trim_end().ends_with(';') {
            continue;
        }
        let text = std::mem::take(&mut statement);
        let text = text.trim().trim_end_matches(';').to_owned();
        let _ = editor.add_history_entry(&text);
        // The newest version each time: events may come in while somebody types.
        let lake = data.read_lake(&content, &tenant)?;
        let question = Question::new(tenant.clone(), Ask::Sql(text));
        match answer(&lake, &question, options) {
            Err(Error::Closed) => return Ok(ExitCode::SUCCESS),
            Err(error) => note(format_args!("vigie: {error}")),
            Ok(()) => {}
        }
    }
}
