//! `vigie lake` and `vigie config`: what looks after the data folder without a service.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use vigie_lake::Lake;
use vigie_model::Tenant;

use crate::arguments::{ConfigCommand, LakeCommand};
use crate::content::Content;
use crate::error::Error;
use crate::output::line;
use crate::service::config::{Config, Given};
use crate::service::data::{DataFolder, Locked, columns, now};
use crate::service::documents::MappedDocuments;

pub(crate) fn run(command: &LakeCommand) -> Result<ExitCode, Error> {
    match command {
        LakeCommand::Status { data } => {
            let size = DataFolder::new(data).read_lake(&Content::embedded(), &Tenant::default())?.size();
            line(format_args!("version {}: {} events in {} files, {} bytes", size.version, size.events, size.files, size.bytes))?;
        }
        LakeCommand::Compact { data } => {
            let (_locked, lake) = write(data)?;
            let done = lake.compact_all().map_err(Error::Failed)?;
            line(format_args!("{} files became {}", done.files_before, done.files_after))?;
        }
        LakeCommand::Rebuild { data, content } => rebuild(data, content.as_deref())?,
        LakeCommand::Export(options) => return super::export::run(options),
        LakeCommand::Purge { data, config, content } => {
            let content = Content::load(content.as_deref())?;
            let config = Config::load(config.as_deref(), data, &Given::default(), &content)?;
            let (_locked, lake) = write_with(data, &content)?;
            let purged = lake.purge(&config.retention, now()).map_err(Error::Failed)?;
            line(format_args!(
                "{purged} events are past their time and gone; purge.ndjson in the lake's folder says which days"
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads every record again, by the mappings of now.
fn rebuild(data: &Path, content: Option<&Path>) -> Result<(), Error> {
    let content = Content::load(content)?;
    let (_locked, lake) = write_with(data, &content)?;
    let shaper = super::reload::shaper(&content, &Tenant::default())?;
    let mut other_ids = 0;
    let rebuilt = lake.rebuild(&mut |stored| {
        let (made, told) = shaper.reshape(stored);
        other_ids += told.other_ids;
        made
    });
    let rebuilt = rebuilt.map_err(Error::Failed)?;
    line(format_args!(
        "{} events of {} days were read again from their records, each with its id",
        rebuilt.events, rebuilt.days
    ))?;
    if other_ids > 0 {
        line(format_args!("{other_ids} of them would have another id by the mappings of now; they keep the one they have"))?;
    }
    let unlisted = lake.unlisted_columns();
    if !unlisted.is_empty() {
        line(format_args!(
            "this content does not name the columns `{}` of the table, so they have no values now: `vigie lake rebuild --content \
             DIR` with the content that names them fills them",
            unlisted.join("`, `")
        ))?;
    }
    Ok(())
}

/// The lake of the default tenant, to write, with no service on the folder.
fn write(data: &Path) -> Result<(Locked, Lake), Error> {
    write_with(data, &Content::embedded())
}

fn write_with(data: &Path, content: &Content) -> Result<(Locked, Lake), Error> {
    let folder = DataFolder::new(data);
    let locked = folder.lock()?;
    let documents = Arc::new(MappedDocuments::new(content)?);
    let lake = Lake::open(&folder.lake(), &Tenant::default(), columns(content)?, documents).map_err(Error::Failed)?;
    Ok((locked, lake))
}

pub(crate) fn config(command: &ConfigCommand) -> Result<ExitCode, Error> {
    let ConfigCommand::Show { data, config, content } = command;
    let content = Content::load(content.as_deref())?;
    for (name, value, origin) in Config::load(config.as_deref(), data, &Given::default(), &content)?.shown {
        line(format_args!("{name} = {value}  ({origin})"))?;
    }
    Ok(ExitCode::SUCCESS)
}
