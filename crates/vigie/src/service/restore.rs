//! `vigie restore`: a new data folder out of a backup, every file compared with the manifest on its way.
//!
//! The folder is locked meanwhile, and a file says that it is unfinished until the last flush: no
//! service starts on half of a backup.

use std::fs::File;
use std::io;
use std::process::ExitCode;

use vigie_pipeline::write_position;

use crate::arguments::RestoreOptions;
use crate::error::Error;
use crate::output::line;
use crate::service::backup::make_empty;
use crate::service::data::DataFolder;
use crate::service::manifest::{Copier, Manifest};

pub(crate) fn run(options: &RestoreOptions) -> Result<ExitCode, Error> {
    let manifest = Manifest::read(&options.folder)?;
    make_empty(&options.data)?;
    let target = DataFolder::new(&options.data);
    let _locked = target.lock()?;
    let unfinished = target.unfinished();
    let failed = |error: io::Error| Error::Failed(format!("`{}`: {error}", target.root.display()));
    File::create_new(&unfinished).and_then(|file| file.sync_all()).map_err(failed)?;
    let mut copier = Copier::new(&options.folder, &target.root);
    for entry in &manifest.files {
        let copied = copier.copy(&entry.path).map_err(|error| Error::Failed(format!("`{}`: {error}", entry.path)))?;
        if copied != *entry {
            return Err(Error::Failed(format!(
                "`{}` of the backup is not what was written: `vigie backup {} --verify` names all that is damaged",
                entry.path,
                options.folder.display()
            )));
        }
    }
    if let Some(position) = manifest.position {
        let journal = target.journal();
        copier.make_folders(&journal).map_err(failed)?;
        write_position(&journal, &manifest.lane, manifest.batch, position).map_err(Error::Failed)?;
    }
    copier.finish().map_err(failed)?;
    std::fs::remove_file(&unfinished).map_err(failed)?;
    File::open(&target.root).and_then(|folder| folder.sync_all()).map_err(failed)?;
    let folder = target.root.display();
    line(format_args!(
        "{} events of {} are in `{folder}`, and what the spool held beside them; `vigie up --data {folder}` goes on",
        manifest.events, manifest.made_at
    ))?;
    Ok(ExitCode::SUCCESS)
}
