//! What the spool of a stopped service holds, and damage in it put aside.
//!
//! A service starts over damage by itself: it passes to the next whole entry and says what it could not
//! read. [`check_spool`] says the same without a service. [`repair_spool`] copies each damaged range to a
//! file of its own and writes a filler in its place: nothing is deleted, nothing moves, and the positions
//! of the journal stay what they are. A repair that is cut short is begun again: the first copy is kept.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::keep::segment_number;
use crate::spool::{Damage, ENTRY_HEAD_BYTES, Position, SEGMENT_MAGIC, filler, read_in, scan_segment};

/// Bytes of one filler; a longer range gets several.
const FILLER_BYTES_MAX: u64 = 1024 * 1024;

/// One segment of a spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentCheck {
    /// Its number.
    pub number: u64,
    /// Where it lies.
    pub file: PathBuf,
    /// Bytes of the file.
    pub bytes: u64,
    /// Deliveries that wait in it.
    pub entries: u64,
    /// Bytes of these.
    pub entry_bytes: u64,
    /// What cannot be read of it.
    pub damages: Vec<Damage>,
}

/// A damaged range that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// The range.
    pub damage: Damage,
    /// The segment it was in.
    pub file: PathBuf,
    /// Where its bytes are kept.
    pub kept: PathBuf,
    /// Whether a filler stands in its place. A range of less than 12 bytes has no room for one: it stays,
    /// and the service passes over it.
    pub is_filled: bool,
}

/// Reads the segments of a spool that no service has open, from a position on. Makes and changes nothing.
///
/// # Errors
/// When the folder or a segment cannot be read.
pub fn check_spool(folder: &Path, from: Position) -> io::Result<Vec<SegmentCheck>> {
    let mut numbers = Vec::new();
    let names = match std::fs::read_dir(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    for entry in names {
        numbers.extend(segment_number(&entry?.file_name().to_string_lossy()));
    }
    numbers.retain(|number| *number >= from.segment);
    numbers.sort_unstable();
    let check = |number: u64| check_segment(folder, number, if number == from.segment { from.offset } else { 0 });
    numbers.into_iter().map(check).collect()
}

fn check_segment(folder: &Path, number: u64, start: u64) -> io::Result<SegmentCheck> {
    let file = folder.join(format!("{number:020}.spool"));
    let bytes = file.metadata()?.len();
    let mut spans = Vec::new();
    let mut damages = scan_segment(&file, number, start, &mut |span| spans.push(span))?;
    let (mut entries, mut entry_bytes) = (0, 0);
    for span in spans {
        match read_in(folder, span) {
            Ok(_) => {
                entries += 1;
                entry_bytes += span.end.offset.saturating_sub(span.start);
            }
            // Whole by its sum, and yet no delivery.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                damages.push(Damage { segment: number, from: span.start, until: span.end.offset });
            }
            Err(error) => return Err(error),
        }
    }
    damages.sort_by_key(|damage| damage.from);
    Ok(SegmentCheck { number, file, bytes, entries, entry_bytes, damages })
}

/// Puts the damaged ranges of a spool aside that no service has open, from a position on.
///
/// # Errors
/// When a segment cannot be read, a range not be kept, or a filler not be written. What was not kept was
/// not changed.
pub fn repair_spool(folder: &Path, from: Position) -> io::Result<Vec<Repaired>> {
    let mut repaired = Vec::new();
    for segment in check_spool(folder, from)? {
        for damage in segment.damages {
            let name = format!("{:020}.{}-{}.damaged", damage.segment, damage.from, damage.until);
            let kept = folder.join(name);
            keep(&segment.file, &damage, &kept)?;
            let is_filled = fill(&segment.file, &damage)?;
            repaired.push(Repaired { damage, file: segment.file.clone(), kept, is_filled });
        }
    }
    Ok(repaired)
}

/// Copies a range to a file of its own, flushed with its name, unless it is there.
fn keep(segment: &Path, damage: &Damage, kept: &Path) -> io::Result<()> {
    if kept.exists() {
        return Ok(());
    }
    let mut source = File::open(segment)?;
    source.seek(SeekFrom::Start(damage.from))?;
    let beside = kept.with_extension("new");
    let mut target = File::create(&beside)?;
    io::copy(&mut source.take(damage.until.saturating_sub(damage.from)), &mut target)?;
    target.sync_all()?;
    std::fs::rename(&beside, kept)?;
    match kept.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Writes fillers over a range: false when it has no room for one.
fn fill(segment: &Path, damage: &Damage) -> io::Result<bool> {
    let mut file = OpenOptions::new().write(true).open(segment)?;
    let least = ENTRY_HEAD_BYTES as u64;
    let mut at = damage.from;
    if at == 0 {
        file.write_all(SEGMENT_MAGIC)?;
        at = SEGMENT_MAGIC.len() as u64;
    }
    let mut is_filled = true;
    file.seek(SeekFrom::Start(at))?;
    while at < damage.until {
        let left = damage.until - at;
        // What is left behind a filler has room for another one.
        let length = if left <= FILLER_BYTES_MAX + least { left } else { FILLER_BYTES_MAX };
        if length < least {
            is_filled = false;
            break;
        }
        let bytes = filler(usize::try_from(length).unwrap_or(0)).map_err(io::Error::other)?;
        file.write_all(&bytes)?;
        at += length;
    }
    file.sync_all()?;
    Ok(is_filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::write;

    #[test]
    fn every_damaged_byte_is_kept_aside_and_the_rest_stays_where_it_was() {
        let texts: Vec<String> = (0..6).map(|number| format!("record {number}").repeat(5)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &texts);
        let path = folder.path().join(format!("{:020}.spool", 1));
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            std::fs::write(&path, &bytes).unwrap();
            let before = check_spool(folder.path(), Position::default()).unwrap();
            let repaired = repair_spool(folder.path(), Position::default()).unwrap();
            let after = check_spool(folder.path(), Position::default()).unwrap();
            assert_eq!(before[0].entries, after[0].entries, "{at}: what was whole is whole");
            assert!(before[0].entries >= 5, "{at}");
            assert_eq!(before[0].damages.len(), repaired.len(), "{at}");
            for done in &repaired {
                let range = done.damage.from as usize..done.damage.until as usize;
                assert_eq!(std::fs::read(&done.kept).unwrap(), bytes[range], "{at}");
                assert!(done.is_filled, "{at}: {done:?}");
                std::fs::remove_file(&done.kept).unwrap();
            }
            assert!(after[0].damages.is_empty(), "{at}: nothing is damaged any more");
            assert_eq!(after[0].bytes, whole.len() as u64, "{at}: nothing moved");
        }
    }

    #[test]
    fn what_a_commit_holds_is_not_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let ends = write(folder.path(), &["a", "b"]);
        let path = folder.path().join(format!("{:020}.spool", 1));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[ends[0].offset as usize - 1] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(check_spool(folder.path(), Position::default()).unwrap()[0].damages.len(), 1);
        let check = check_spool(folder.path(), ends[0]).unwrap();
        assert_eq!((check[0].entries, check[0].damages.len()), (1, 0));
        assert!(check_spool(&folder.path().join("none"), ends[0]).unwrap().is_empty());
    }
}
