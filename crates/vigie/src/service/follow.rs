//! `vigie search --follow`: events as they are stored, until somebody stops it or reads no more.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use vigie_model::{Millis, Tenant};
use vigie_serve::{Follow, News, json_line};

use crate::arguments::{AskOptions, RowFormat};
use crate::content::Content;
use crate::error::Error;
use crate::output::note;
use crate::service::ask::{SHOWN, format_of, output};
use crate::service::data::DataFolder;
use crate::service::rows::{failed, texts};

/// How often the lake is looked at.
const STEP: Duration = Duration::from_secs(1);

/// Writes events that are taken in from an instant on. Ends with an error only; a closed pipe is one.
pub(crate) fn run(options: &AskOptions, filter: String, from: Millis) -> Result<ExitCode, Error> {
    let (is_terminal, format) = format_of(options);
    if !matches!(format, RowFormat::Table | RowFormat::Ndjson) {
        return Err(Error::Usage("--follow writes lines: use --format table or ndjson".to_owned()));
    }
    let content = Content::load(options.content.as_deref())?;
    let tenant = Tenant(options.tenant.clone());
    let lake = DataFolder::new(&options.data).read_lake(&content, &tenant)?;
    let mut out = output(options)?;
    let mut follow = Follow::new(tenant, filter, from);
    let mut version = None;
    if is_terminal {
        note(format_args!("waiting for events; Ctrl-C ends it"));
    }
    loop {
        let current = lake.refresh().map_err(Error::Failed)?;
        if version != Some(current) {
            version = Some(current);
            loop {
                let news = follow.look(&lake).map_err(failed)?;
                show(&news, format, &mut *out)?;
                if !news.has_more {
                    break;
                }
            }
        }
        std::thread::sleep(STEP);
    }
}

/// Writes what is new, and has it reach its reader.
fn show(news: &News, format: RowFormat, out: &mut dyn Write) -> Result<(), Error> {
    for row in &news.rows {
        match format {
            RowFormat::Table => writeln!(out, "{}", texts(&news.columns, row, SHOWN.split(", ")).join("  "))?,
            _ => out.write_all(json_line(&news.columns, row.clone()).as_bytes())?,
        }
    }
    out.flush()?;
    if news.is_lossy {
        note(format_args!("vigie: more events came at once than can be followed; some are left out: narrow the filter"));
    }
    Ok(())
}
