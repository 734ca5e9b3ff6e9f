//! The position journal: for each batch of a lane how far it reaches, on disk before the batch is
//! committed.
//!
//! The table's own mark is the only truth: records above it are thrown away at start, the one equal to
//! it says where the lane goes on (design D5).

//!
//! The database is open by one process alone. What it says is therefore written a second time, as plain
//! text in [`beside`], for a backup that runs next to the service. Nobody who writes reads that text.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use crate::spool::{Position, sync_names};

const POSITIONS: TableDefinition<'_, (&str, i64), &[u8]> = TableDefinition::new("positions");
const FORMATS: TableDefinition<'_, &str, u32> = TableDefinition::new("formats");
/// The number of the shape of records.
pub(crate) const FORMAT: u32 = 1;
/// First line of the text beside the database; its number is the format.
const BESIDE_HEAD: &str = "vigie positions 1";
/// Bytes of that text: some lanes with [`BATCHES_KEPT`] batches each.
const BESIDE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Batches of a lane that stay behind its newest one.
const BATCHES_KEPT: i64 = 16;

/// What the journal says of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reach {
    /// Everything of the lane before this position is in the batch or before it.
    pub(crate) position: Position,
    /// Hash of the rules that saw the batch; 0 for none.
    pub(crate) rules: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Journal {
    database: Database,
    beside: PathBuf,
}

fn sentence(error: impl std::fmt::Display) -> String {
    format!("the position journal: {error}")
}

/// Where the positions stand as text: `NUMBER SEGMENT OFFSET LANE` a line.
fn beside(file: &Path) -> PathBuf {
    file.with_extension("txt")
}

/// How far a batch reaches, as the process that has the journal open wrote it beside it. None when it
/// did not, or when the batch is too old.
pub(crate) fn read_beside(file: &Path, lane: &str, number: i64) -> Result<Option<Position>, String> {
    let path = beside(file);
    let size = match path.metadata() {
        Ok(data) => data.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(sentence(error)),
    };
    if size > BESIDE_BYTES_MAX {
        return Err(sentence(format!("`{}` is longer than it can be", path.display())));
    }
    let text = std::fs::read_to_string(&path).map_err(sentence)?;
    let Some(lines) = text.strip_prefix(BESIDE_HEAD) else {
        return Ok(None);
    };
    let position = |line: &str| {
        let mut parts = line.splitn(4, ' ');
        let is_number = parts.next()?.parse::<i64>() == Ok(number);
        let position = Position { segment: parts.next()?.parse().ok()?, offset: parts.next()?.parse().ok()? };
        (is_number && parts.next()? == lane).then_some(position)
    };
    Ok(lines.lines().find_map(position))
}

/// Makes the tables of a new database, and says when an older one is of a format that is not known here.
fn prepare(database: &Database) -> Result<(), String> {
    let write = database.begin_write().map_err(sentence)?;
    {
        let mut formats = write.open_table(FORMATS).map_err(sentence)?;
        let format = formats.get("positions").map_err(sentence)?.map(|number| number.value());
        match format {
            Some(number) if number > FORMAT => {
                return Err(format!("the position journal has format {number}: use a newer vigie"));
            }
            Some(_) => {}
            None => {
                formats.insert("positions", FORMAT).map_err(sentence)?;
            }
        }
        write.open_table(POSITIONS).map_err(sentence)?;
    }
    write.commit().map_err(sentence)
}

impl Journal {
    pub(crate) fn open(file: &Path) -> Result<Journal, String> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(sentence)?;
        }
        // The library writes a new database in several steps, and one that ended between them is none: it is
        // made under another name, and has its own once it is on disk.
        if !file.exists() {
            let new = file.with_extension("new");
            match std::fs::remove_file(&new) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(sentence(error)),
                _ => {}
            }
            prepare(&Database::create(&new).map_err(sentence)?)?;
            std::fs::File::open(&new).and_then(|made| made.sync_all()).map_err(sentence)?;
            std::fs::rename(&new, file).map_err(sentence)?;
        }
        // The library flushes the file, not its name.
        if let Some(folder) = file.parent() {
            sync_names(folder, 2).map_err(sentence)?;
        }
        let database = Database::create(file).map_err(sentence)?;
        prepare(&database)?;
        Ok(Journal { database, beside: beside(file) })
    }

    /// Writes the text beside the database. When it cannot be written it is taken away: a backup then
    /// says that it is missing, and never reads an old one.
    fn show(&self) {
        if self.try_show().is_err() {
            let _ = std::fs::remove_file(&self.beside);
        }
    }

    fn try_show(&self) -> Result<(), String> {
        let read = self.database.begin_read().map_err(sentence)?;
        let positions = read.open_table(POSITIONS).map_err(sentence)?;
        let mut text = format!("{BESIDE_HEAD}\n");
        for entry in positions.iter().map_err(sentence)? {
            let (key, bytes) = entry.map_err(sentence)?;
            let (lane, number) = key.value();
            if let Ok(Reach { position, .. }) = postcard::from_bytes::<Reach>(bytes.value()) {
                let _ = writeln!(text, "{number} {} {} {lane}", position.segment, position.offset);
            }
        }
        let new = self.beside.with_extension("new");
        std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &self.beside)).map_err(sentence)
    }

    /// Writes how far a batch reaches, flushed, and forgets batches long committed.
    pub(crate) fn put(&self, lane: &str, number: i64, reach: Reach) -> Result<(), String> {
        let bytes = postcard::to_stdvec(&reach).map_err(sentence)?;
        let write = self.database.begin_write().map_err(sentence)?;
        {
            let mut positions = write.open_table(POSITIONS).map_err(sentence)?;
            positions.insert((lane, number), bytes.as_slice()).map_err(sentence)?;
            let old = (lane, i64::MIN)..(lane, number - BATCHES_KEPT);
            positions.retain_in(old, |_, _| false).map_err(sentence)?;
        }
        fail::fail_point!("journal.write", |_| Err("a fail point".to_owned()));
        write.commit().map_err(sentence)?;
        fail::fail_point!("journal.written", |_| Err("a fail point".to_owned()));
        self.show();
        Ok(())
    }

    /// How far a batch reaches.
    pub(crate) fn get(&self, lane: &str, number: i64) -> Result<Option<Reach>, String> {
        let read = self.database.begin_read().map_err(sentence)?;
        let positions = read.open_table(POSITIONS).map_err(sentence)?;
        let found = positions.get((lane, number)).map_err(sentence)?;
        Ok(found.and_then(|bytes| postcard::from_bytes(bytes.value()).ok()))
    }

    /// Throws away what was written of batches that were never committed.
    pub(crate) fn forget_above(&self, lane: &str, number: i64) -> Result<(), String> {
        let write = self.database.begin_write().map_err(sentence)?;
        {
            let mut positions = write.open_table(POSITIONS).map_err(sentence)?;
            positions.retain_in((lane, number + 1)..=(lane, i64::MAX), |_, _| false).map_err(sentence)?;
        }
        write.commit().map_err(sentence)?;
        self.show();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_of_a_batch_survives_and_uncommitted_ones_are_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("journal/positions.redb");
        let reach = |offset| Reach { position: Position { segment: 1, offset }, rules: 0 };
        {
            let journal = Journal::open(&file).unwrap();
            for number in 1..=40 {
                journal.put("main/push", number, reach(number as u64)).unwrap();
            }
        }
        let journal = Journal::open(&file).unwrap();
        assert_eq!(journal.get("main/push", 40).unwrap(), Some(reach(40)));
        assert_eq!(read_beside(&file, "main/push", 40).unwrap(), Some(reach(40).position), "beside an open journal");
        journal.forget_above("main/push", 39).unwrap();
        assert_eq!(read_beside(&file, "main/push", 40).unwrap(), None);
        assert_eq!(read_beside(&file, "main/push", 39).unwrap(), Some(reach(39).position));
        assert_eq!(read_beside(&file, "main", 39).unwrap(), None);
        assert_eq!(journal.get("main/push", 40).unwrap(), None);
        assert_eq!(journal.get("main/push", 39).unwrap(), Some(reach(39)));
        assert_eq!(journal.get("main/push", 1).unwrap(), None);
        assert_eq!(journal.get("other", 39).unwrap(), None);
    }
}
