//! `vigie backup`: a copy of a data folder that a service may write meanwhile, consistent to the record.
//!
//! A record that was acknowledged before the backup began is in the spool, or in a commit of the table;
//! the spool frees a segment only after the commit that holds its records. So the spool is copied
//! first, and a version of the table is chosen after that: what left the spool before it could be
//! copied had been committed by then, and is in that version. The other order would lose what is
//! committed and freed between the two.
//!
//! The copied spool may hold records that the version holds too. Named records would be known again by
//! their id; those that nothing names would be stored twice. The version says the number of the lane's
//! last batch, and the position journal how far that batch reaches in the spool, since it is written
//! before the commit. The journal's database is open by the running service alone, so the service
//! writes the positions of its newest batches beside it as text, before the commit too. The manifest
//! keeps the position; a restore writes it to a new journal, and the service that starts there reads on
//! behind it. When the copied spool ends before the position, all of it is in the table, and the service
//! begins with a segment of a higher number.
//!
//! Data files of the version are copied last: they stay for a day after a newer version leaves them out.
//! State is copied by the database itself, as one transaction.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use vigie_lake::{TableFiles, table_files, table_folder};
use vigie_model::{Tenant, format_utc};
use vigie_pipeline::{Position, position_alone, position_beside, push_lane, segment_number};
use vigie_state::State;

use crate::arguments::BackupOptions;
use crate::error::Error;
use crate::output::{line, note};
use crate::service::data::{DataFolder, now};
use crate::service::manifest::{Copier, FileEntry, Manifest, inside, look};

/// How often a version is chosen anew, when the log was cleaned while it was copied.
const TRIES: usize = 5;
/// Damaged files that are named; the others are counted.
const NAMED_MAX: usize = 20;
/// What the database of the state is called in its folder.
const STATE_FILE: &str = "state/state.sqlite";

pub(crate) fn run(options: &BackupOptions) -> Result<ExitCode, Error> {
    if options.verify {
        return verify(&options.folder);
    }
    let manifest = make(&options.folder, &DataFolder::new(&options.data))?;
    let version = manifest.table_version.map_or_else(|| "no table yet".to_owned(), |version| format!("version {version}"));
    line(format_args!(
        "{version}: {} events, {} files, {} bytes in `{}`; `vigie restore` makes a data folder of it",
        manifest.events,
        manifest.files.len(),
        manifest.bytes(),
        options.folder.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// A folder that is made, and must be empty.
pub(crate) fn make_empty(folder: &Path) -> Result<(), Error> {
    let failed = |error: io::Error| Error::Failed(format!("`{}`: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    match std::fs::read_dir(folder).map_err(failed)?.next() {
        None => Ok(()),
        Some(_) => {
            Err(Error::Usage(format!("`{}` is not empty, and nothing is overwritten: name a new folder", folder.display())))
        }
    }
}

fn make(folder: &Path, source: &DataFolder) -> Result<Manifest, Error> {
    if !source.root.is_dir() {
        return Err(Error::Usage(format!("`{}` is no folder: name the data folder with --data", source.root.display())));
    }
    make_empty(folder)?;
    // Kept to the end: nobody starts a service on what is copied while none runs.
    let locked = source.try_lock()?;
    if let Err(pid) = &locked {
        note(format_args!("the vigie with process id {pid} goes on meanwhile"));
    }
    let tenant = Tenant::default();
    let mut manifest = Manifest::new(format_utc(now()), tenant.0.clone(), push_lane(&tenant));
    let mut backup = Backup { source, folder, tenant, copier: Copier::new(&source.root, folder), is_stopped: locked.is_ok() };
    let spooled = backup.spool()?;
    let table = backup.table(&mut manifest)?;
    manifest.files.extend(backup.still_waiting(spooled, manifest.position)?);
    if let Some(table) = &table {
        backup.data(table, &mut manifest)?;
    }
    backup.state(&mut manifest)?;
    let failed = |error: io::Error| Error::Failed(format!("`{}`: {error}", folder.display()));
    backup.copier.finish().map_err(failed)?;
    manifest.write(folder).map_err(failed)?;
    Ok(manifest)
}

/// A backup in the making.
struct Backup<'s> {
    source: &'s DataFolder,
    folder: &'s Path,
    tenant: Tenant,
    copier: Copier,
    /// Whether this process alone has the data folder.
    is_stopped: bool,
}

impl Backup<'_> {
    /// Copies a file of the data folder; none when it is not there.
    fn copy(&mut self, path: &str) -> Result<Option<FileEntry>, Error> {
        match self.copier.copy(path) {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Failed(format!("`{path}` cannot be copied: {error}"))),
        }
    }

    /// The segments of the spool, and what was put aside of it. A segment that is gone before it can be
    /// opened was committed.
    fn spool(&mut self) -> Result<Vec<FileEntry>, Error> {
        let folder = self.source.spool(&self.tenant);
        let failed = |error: io::Error| Error::Failed(format!("`{}`: {error}", folder.display()));
        let names = match std::fs::read_dir(&folder) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut entries = Vec::new();
        for name in names {
            let name = name.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if segment_number(&name).is_some() || name.ends_with(".damaged") {
                entries.extend(self.copy(&format!("spool/{}/{name}", self.tenant.0))?);
            }
        }
        Ok(entries)
    }

    /// Chooses a version of the table, and copies its log. Says in the manifest how far it came.
    fn table(&mut self, manifest: &mut Manifest) -> Result<Option<TableFiles>, Error> {
        let within = table_folder(Path::new("lake"), &self.tenant);
        let mut last = String::new();
        for _ in 0..TRIES {
            match self.try_table(manifest, &within.to_string_lossy()) {
                Ok(table) => return Ok(table),
                Err(why) => last = why,
            }
            // The next version is chosen into an empty folder.
            let copied = self.folder.join(&within);
            if let Err(error) = std::fs::remove_dir_all(&copied)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(Error::Failed(format!("`{}`: {error}", copied.display())));
            }
        }
        Err(Error::Failed(format!("no version of the table could be copied: {last}; try again, or stop the service first")))
    }

    fn try_table(&mut self, manifest: &mut Manifest, within: &str) -> Result<Option<TableFiles>, String> {
        let lane = manifest.lane.clone();
        let Some(table) = table_files(&self.source.lake(), &self.tenant, &lane)? else {
            return Ok(None);
        };
        let batch = table.mark.unwrap_or(0);
        let journal = self.source.journal();
        let position = match (batch, self.is_stopped) {
            (0, _) => None,
            (_, true) => position_alone(&journal, &lane, batch)?,
            (_, false) => Some(position_beside(&journal, &lane, batch)?.ok_or_else(|| {
                format!("the running service does not say how far batch {batch} of `{lane}` reaches; restart it with this vigie")
            })?),
        };
        let mut entries = Vec::with_capacity(table.log.len());
        for path in &table.log {
            let path = format!("{within}/{path}");
            entries.push(self.copier.copy(&path).map_err(|error| format!("`{path}` cannot be copied: {error}"))?);
        }
        let copied = table_files(&self.folder.join("lake"), &self.tenant, &lane)?.unwrap_or_default();
        if copied != table {
            return Err(format!("the log was cleaned while version {} was copied", table.version));
        }
        manifest.table_version = Some(table.version);
        manifest.events = table.events;
        manifest.batch = batch;
        manifest.position = position;
        manifest.files.append(&mut entries);
        Ok(Some(table))
    }

    /// Takes away the copies of segments that the version holds whole; gives the others.
    fn still_waiting(&self, spooled: Vec<FileEntry>, position: Option<Position>) -> Result<Vec<FileEntry>, Error> {
        let first = position.map_or(0, |position| position.segment);
        let is_stored = |entry: &FileEntry| {
            let name = entry.path.rsplit('/').next().unwrap_or_default();
            segment_number(name).is_some_and(|number| number < first)
        };
        let (stored, waiting): (Vec<FileEntry>, Vec<FileEntry>) = spooled.into_iter().partition(is_stored);
        for entry in stored {
            let path = self.folder.join(&entry.path);
            std::fs::remove_file(&path).map_err(|error| Error::Failed(format!("`{}`: {error}", path.display())))?;
        }
        Ok(waiting)
    }

    fn data(&mut self, table: &TableFiles, manifest: &mut Manifest) -> Result<(), Error> {
        let within = table_folder(Path::new("lake"), &self.tenant);
        let within = within.to_string_lossy();
        for path in &table.data {
            let copied = self.copy(&format!("{within}/{path}"))?;
            manifest.files.push(copied.ok_or_else(|| {
                Error::Failed(format!("`{within}/{path}` is gone: the backup took more than a day; make it to a faster place"))
            })?);
        }
        for path in &table.beside {
            manifest.files.extend(self.copy(&format!("{within}/{path}"))?);
        }
        Ok(())
    }

    /// The state and the settings.
    fn state(&mut self, manifest: &mut Manifest) -> Result<(), Error> {
        if self.source.root.join(STATE_FILE).is_file() {
            let target = self.folder.join(STATE_FILE);
            let failed = |error: io::Error| Error::Failed(format!("`{}`: {error}", target.display()));
            self.copier.make_folders(&target).map_err(failed)?;
            State::open(&self.source.state()).and_then(|state| state.backup_to(&target)).map_err(Error::Failed)?;
            std::fs::set_permissions(&target, Permissions::from_mode(0o600)).map_err(failed)?;
            let file = File::open(&target).map_err(failed)?;
            file.sync_all().map_err(failed)?;
            manifest.files.push(look(STATE_FILE, file, u64::MAX, &mut io::sink()).map_err(failed)?);
        }
        manifest.files.extend(self.copy("vigie.toml")?);
        Ok(())
    }
}

/// Compares every file of a backup with its manifest.
fn verify(folder: &Path) -> Result<ExitCode, Error> {
    let manifest = Manifest::read(folder)?;
    let mut damaged = 0;
    for entry in &manifest.files {
        let why = match inside(&entry.path).map(|path| File::open(folder.join(path))) {
            None => "leads out of the folder".to_owned(),
            Some(Err(error)) => error.to_string(),
            Some(Ok(file)) => match look(&entry.path, file, u64::MAX, &mut io::sink()) {
                Ok(found) if found == *entry => continue,
                Ok(found) if found.bytes != entry.bytes => format!("has {} bytes instead of {}", found.bytes, entry.bytes),
                Ok(_) => "has other bytes than were written".to_owned(),
                Err(error) => error.to_string(),
            },
        };
        damaged += 1;
        if damaged <= NAMED_MAX {
            line(format_args!("`{}`: {why}", entry.path))?;
        }
    }
    if damaged > 0 {
        let folder = folder.display();
        return Err(Error::Failed(format!("{damaged} files of the backup in `{folder}` are damaged: restore from another one")));
    }
    line(format_args!("{} files, {} bytes: as written at {}", manifest.files.len(), manifest.bytes(), manifest.made_at))?;
    Ok(ExitCode::SUCCESS)
}
