//! The manifest of a backup: what it holds, each file with its bytes and BLAKE3, and where a service
//! that starts on it goes on.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use vigie_pipeline::{JOURNAL_FORMAT, Position, SPOOL_FORMAT};

use crate::error::Error;

/// Its name within the folder of a backup. Written last: a folder without it is no backup.
pub(crate) const NAME: &str = "manifest.json";
/// The number of the shape of manifests.
const FORMAT: u32 = 1;
/// Bytes of a manifest: some hundred thousand files.
const MANIFEST_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes read and hashed at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

/// See the module.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The number of this shape.
    pub(crate) format: u32,
    /// When the backup began, RFC 3339, UTC: what was acknowledged before is in it.
    pub(crate) made_at: String,
    /// The version of the program that made it.
    pub(crate) vigie: String,
    /// The numbers of the shapes of its parts.
    pub(crate) formats: Formats,
    /// Whose table it is.
    pub(crate) tenant: String,
    /// The version of the table; none when there is no table.
    pub(crate) table_version: Option<u64>,
    /// Events of that version; what the spool holds comes on top.
    pub(crate) events: u64,
    /// The lane of pushed deliveries.
    pub(crate) lane: String,
    /// The number of its last batch in the table.
    pub(crate) batch: i64,
    /// How far that batch reaches in the spool; none when nothing says so, as for batch 0.
    pub(crate) position: Option<Position>,
    /// Every file of the backup, in order of path.
    pub(crate) files: Vec<FileEntry>,
}

/// Numbers of shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Formats {
    pub(crate) table: u32,
    pub(crate) spool: u32,
    pub(crate) journal: u32,
    pub(crate) state: i64,
}

impl Formats {
    /// Those that this program writes.
    pub(crate) const OURS: Formats =
        Formats { table: vigie_lake::TABLE_FORMAT, spool: SPOOL_FORMAT, journal: JOURNAL_FORMAT, state: vigie_state::FORMAT };
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    /// Its path within the folder, with `/` between names.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// In hexadecimal digits.
    pub(crate) blake3: String,
}

impl Manifest {
    /// A manifest of this program's formats without files.
    pub(crate) fn new(made_at: String, tenant: String, lane: String) -> Manifest {
        Manifest {
            format: FORMAT,
            made_at,
            vigie: env!("CARGO_PKG_VERSION").to_owned(),
            formats: Formats::OURS,
            tenant,
            table_version: None,
            events: 0,
            lane,
            batch: 0,
            position: None,
            files: Vec::new(),
        }
    }

    /// Reads the manifest of a backup, and refuses what a newer vigie wrote.
    pub(crate) fn read(folder: &Path) -> Result<Manifest, Error> {
        let path = folder.join(NAME);
        let place = path.display();
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Error::Usage(format!(
                "`{}` is no whole backup: it has no {NAME}, which is written last; make it again",
                folder.display()
            )),
            _ => Error::Failed(format!("`{place}`: {error}")),
        };
        let mut text = String::new();
        let file = File::open(&path).map_err(failed)?;
        file.take(MANIFEST_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        let manifest: Manifest =
            serde_json::from_str(&text).map_err(|error| Error::Failed(format!("`{place}` cannot be read: {error}")))?;
        let (theirs, ours) = (manifest.formats, Formats::OURS);
        let is_newer = manifest.format > FORMAT
            || theirs.table > ours.table
            || theirs.spool > ours.spool
            || theirs.journal > ours.journal
            || theirs.state > ours.state;
        if is_newer {
            return Err(Error::Failed(format!("`{place}` was written by vigie {}: use a vigie as new as that", manifest.vigie)));
        }
        Ok(manifest)
    }

    /// Writes it, flushed: the folder is a backup from then on.
    pub(crate) fn write(&mut self, folder: &Path) -> io::Result<()> {
        self.files.sort_by(|left, right| left.path.cmp(&right.path));
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let beside = folder.join(format!("{NAME}.new"));
        let mut file = File::create_new(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&beside, folder.join(NAME))?;
        File::open(folder)?.sync_all()
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// A path of a manifest as a path below a folder: none when it would lead out of it.
pub(crate) fn inside(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let is_inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    (is_inside && path.components().next().is_some()).then(|| path.to_owned())
}

/// What a file is now. Bytes behind `bytes_max` are left out.
pub(crate) fn look(path: &str, reader: impl Read, bytes_max: u64, out: &mut dyn Write) -> io::Result<FileEntry> {
    let mut reader = reader.take(bytes_max);
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut bytes = 0;
    loop {
        let read = reader.read(&mut chunk)?;
        let Some(part) = chunk.get(..read).filter(|part| !part.is_empty()) else {
            return Ok(FileEntry { path: path.to_owned(), bytes, blake3: hasher.finalize().to_hex().to_string() });
        };
        hasher.update(part);
        out.write_all(part)?;
        bytes += part.len() as u64;
    }
}

/// Copies files from one folder to another, each flushed, and keeps what it wrote.
#[derive(Debug)]
pub(crate) struct Copier {
    from: PathBuf,
    to: PathBuf,
    /// Folders that have new names in them, to be flushed at the end.
    folders: BTreeSet<PathBuf>,
}

impl Copier {
    pub(crate) fn new(from: &Path, to: &Path) -> Copier {
        Copier { from: from.to_owned(), to: to.to_owned(), folders: BTreeSet::new() }
    }

    /// Copies a file that may grow meanwhile, as long as it is now. It must not be there yet.
    pub(crate) fn copy(&mut self, path: &str) -> io::Result<FileEntry> {
        let inside = inside(path).ok_or_else(|| io::Error::other(format!("`{path}` leads out of the folder")))?;
        let source = File::open(self.from.join(&inside))?;
        let data = source.metadata()?;
        let target = self.to.join(&inside);
        self.make_folders(&target)?;
        let mut file = OpenOptions::new().write(true).create_new(true).open(&target)?;
        file.set_permissions(data.permissions())?;
        let entry = look(path, source, data.len(), &mut file)?;
        file.sync_all()?;
        Ok(entry)
    }

    /// Makes the folders that a file lies in, and remembers to flush them.
    pub(crate) fn make_folders(&mut self, target: &Path) -> io::Result<()> {
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let below = target.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.to));
        self.folders.extend(below.map(Path::to_owned));
        Ok(())
    }

    /// Flushes the names of all files that were copied.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.folders.iter().try_for_each(|folder| File::open(folder)?.sync_all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_of_a_manifest_leads_out_of_the_folder() {
        assert_eq!(inside("lake/main/x.parquet"), Some(PathBuf::from("lake/main/x.parquet")));
        for path in ["", "/etc/passwd", "../x", "lake/../../x", "./x"] {
            assert_eq!(inside(path), None, "{path}");
        }
    }

    #[test]
    fn a_copy_says_what_it_holds_and_overwrites_nothing() {
        let (from, to) = (tempfile_dir("from"), tempfile_dir("to"));
        std::fs::create_dir_all(from.join("a")).unwrap();
        std::fs::write(from.join("a/b"), "text").unwrap();
        let mut copier = Copier::new(&from, &to);
        let entry = copier.copy("a/b").unwrap();
        assert_eq!((entry.bytes, entry.blake3.as_str()), (4, blake3::hash(b"text").to_hex().as_str()));
        assert_eq!(std::fs::read(to.join("a/b")).unwrap(), b"text");
        assert_eq!(copier.copy("a/b").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        copier.finish().unwrap();
        std::fs::remove_dir_all(from).unwrap();
        std::fs::remove_dir_all(to).unwrap();
    }

    fn tempfile_dir(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("vigie-manifest-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }
}
