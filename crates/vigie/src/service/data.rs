//! The data folder: one process writes it, any number read it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use vigie_lake::Lake;
use vigie_model::{Column, Millis, Tenant};

use crate::content::Content;
use crate::error::Error;
use crate::service::documents::MappedDocuments;

/// Where everything of one service lies (design D14).
#[derive(Debug, Clone)]
pub(crate) struct DataFolder {
    pub(crate) root: PathBuf,
}

/// A data folder that this process alone writes, as long as it is kept.
#[derive(Debug)]
pub(crate) struct Locked {
    _file: File,
}

impl DataFolder {
    pub(crate) fn new(root: &Path) -> DataFolder {
        DataFolder { root: root.to_owned() }
    }

    pub(crate) fn lake(&self) -> PathBuf {
        self.root.join("lake")
    }

    pub(crate) fn spool(&self, tenant: &Tenant) -> PathBuf {
        self.root.join("spool").join(&tenant.0)
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.root.join("journal").join("positions.redb")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The file that stands in a folder while it is restored into, and stays when that did not end.
    pub(crate) fn unfinished(&self) -> PathBuf {
        self.root.join("restore.unfinished")
    }

    /// Makes the folder and keeps other processes from writing it.
    pub(crate) fn lock(&self) -> Result<Locked, Error> {
        let folder = self.root.display();
        let locked = self.try_lock()?;
        if self.unfinished().exists() {
            return Err(Error::Failed(format!(
                "a restore into `{folder}` did not end: delete the folder, then `vigie restore BACKUP --data {folder}` again"
            )));
        }
        locked.map_err(|pid| {
            Error::Failed(format!(
                "`{folder}` is in use by the vigie with process id {pid}; stop that one, or give this one another folder with \
                 --data"
            ))
        })
    }

    /// Makes the folder and keeps other processes from writing it; else gives the id of the process
    /// that does.
    pub(crate) fn try_lock(&self) -> Result<Result<Locked, String>, Error> {
        let failed = |error: std::io::Error| Error::Failed(format!("`{}`: {error}", self.root.display()));
        std::fs::create_dir_all(&self.root).map_err(failed)?;
        // The folder's name is on disk before anything in it is promised. Where the folder that it lies in
        // cannot be opened, somebody else made it.
        let whole = std::path::absolute(&self.root).map_err(failed)?;
        if let Some(above) = whole.parent().and_then(|above| File::open(above).ok()) {
            above.sync_all().map_err(failed)?;
        }
        let path = self.root.join("vigie.pid");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                return Ok(Err(pid.trim().to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(Ok(Locked { _file: file }))
    }

    /// The lake of a tenant, to read beside a running service.
    pub(crate) fn read_lake(&self, content: &Content, tenant: &Tenant) -> Result<Lake, Error> {
        if !self.lake().is_dir() {
            let folder = self.root.display();
            return Err(Error::Failed(format!(
                "`{folder}` holds no lake yet: start `vigie up --data {folder}` and send it events"
            )));
        }
        let documents = Arc::new(MappedDocuments::new(content)?);
        Lake::read(&self.lake(), tenant, columns(content)?, documents).map_err(Error::Failed)
    }
}

#[derive(serde::Deserialize)]
struct ColumnsFile {
    columns: Vec<Column>,
}

/// The promoted columns of the content.
pub(crate) fn columns(content: &Content) -> Result<Vec<Column>, Error> {
    let name = "schema/columns.toml";
    let text = content.files.get(name).map(String::as_str).unwrap_or_default();
    let file: ColumnsFile = toml::from_str(text).map_err(|error| Error::Failed(format!("{name}: {error}")))?;
    Ok(file.columns)
}

/// The time now, in milliseconds.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(0)
}

/// Bytes that are free on the disk of a folder.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
