//! `vigie spool`: what waits on disk of a stopped service, what of it is damaged, and damage put aside.

use std::io;
use std::process::ExitCode;

use serde_json::{Value, json};
use vigie_lake::table_files;
use vigie_model::Tenant;
use vigie_pipeline::{Damage, Position, SegmentCheck, check_spool, position_alone, push_lane, repair_spool};

use crate::arguments::{SpoolCommand, SpoolFormat, SpoolOptions};
use crate::error::{Error, FOUND};
use crate::output::line;
use crate::service::data::DataFolder;

pub(crate) fn run(command: &SpoolCommand) -> Result<ExitCode, Error> {
    let (SpoolCommand::Check(options) | SpoolCommand::Repair(options)) = command;
    let data = DataFolder::new(&options.data);
    if !data.root.is_dir() {
        return Err(Error::Usage(format!("`{}` is no folder: name the data folder with --data", data.root.display())));
    }
    let _locked = data.lock()?;
    let tenant = Tenant::default();
    let from = begin(&data, &tenant)?;
    let folder = data.spool(&tenant);
    let failed = |error: io::Error| Error::Failed(format!("the spool in `{}`: {error}", folder.display()));
    match command {
        SpoolCommand::Check(_) => {
            let segments = check_spool(&folder, from).map_err(failed)?;
            check(&segments, from, options)
        }
        SpoolCommand::Repair(_) => repair(&repair_spool(&folder, from).map_err(failed)?, options),
    }
}

/// Where a service that starts now begins to read: what is before it is in the table.
fn begin(data: &DataFolder, tenant: &Tenant) -> Result<Position, Error> {
    let lane = push_lane(tenant);
    let batch = table_files(&data.lake(), tenant, &lane).map_err(Error::Failed)?.and_then(|table| table.mark).unwrap_or(0);
    Ok(position_alone(&data.journal(), &lane, batch).map_err(Error::Failed)?.unwrap_or_default())
}

fn bytes_of(damage: &Damage) -> u64 {
    damage.until.saturating_sub(damage.from)
}

fn check(segments: &[SegmentCheck], from: Position, options: &SpoolOptions) -> Result<ExitCode, Error> {
    let damages = || segments.iter().flat_map(|segment| segment.damages.iter().map(move |damage| (segment, damage)));
    let entries: u64 = segments.iter().map(|segment| segment.entries).sum();
    let bytes: u64 = segments.iter().map(|segment| segment.entry_bytes).sum();
    let lost: u64 = damages().map(|(_, damage)| bytes_of(damage)).sum();
    match options.format {
        SpoolFormat::Json => {
            let range = |damage: &Damage| json!({ "from": damage.from, "until": damage.until });
            let segment = |segment: &SegmentCheck| {
                json!({
                    "file": segment.file.display().to_string(),
                    "bytes": segment.bytes,
                    "entries": segment.entries,
                    "entry_bytes": segment.entry_bytes,
                    "damages": segment.damages.iter().map(range).collect::<Vec<Value>>(),
                })
            };
            line(format_args!(
                "{}",
                json!({
                    "position": from,
                    "segments": segments.iter().map(segment).collect::<Vec<Value>>(),
                    "entries": entries,
                    "entry_bytes": bytes,
                    "damaged_bytes": lost,
                })
            ))?;
        }
        SpoolFormat::Text => {
            line(format_args!("{entries} deliveries wait in {} segments, {bytes} bytes", segments.len()))?;
            for (segment, damage) in damages() {
                let (file, length) = (segment.file.display(), bytes_of(damage));
                line(format_args!("`{file}`: {length} bytes from {} on cannot be read", damage.from))?;
            }
            if lost > 0 {
                line(format_args!("the service starts over this and takes in all else; `vigie spool repair` puts it aside"))?;
            }
        }
    }
    Ok(if lost > 0 { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

fn repair(repaired: &[vigie_pipeline::Repaired], options: &SpoolOptions) -> Result<ExitCode, Error> {
    match options.format {
        SpoolFormat::Json => {
            let done = |done: &vigie_pipeline::Repaired| {
                json!({
                    "file": done.file.display().to_string(),
                    "from": done.damage.from,
                    "until": done.damage.until,
                    "kept": done.kept.display().to_string(),
                    "is_filled": done.is_filled,
                })
            };
            line(format_args!("{}", json!({ "repaired": repaired.iter().map(done).collect::<Vec<Value>>() })))?;
        }
        SpoolFormat::Text => {
            for done in repaired {
                let (file, kept, length) = (done.file.display(), done.kept.display(), bytes_of(&done.damage));
                let rest = if done.is_filled { "" } else { "; too short for a filler, the service passes over it" };
                line(format_args!("`{file}`: {length} bytes from {} on are kept in `{kept}`{rest}", done.damage.from))?;
            }
            line(format_args!("{} damaged parts were put aside; nothing was deleted", repaired.len()))?;
        }
    }
    let is_whole = repaired.iter().all(|done| done.is_filled);
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}
