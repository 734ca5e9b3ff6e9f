//! What a copy of a service's folder needs to know of spool and journal: how far a lane came, and
//! which files are segments.

use std::path::Path;

use vigie_model::Tenant;

use crate::journal::{self, Journal, Reach};
use crate::spool::Position;

/// The number of the format of the spool's segments.
pub const SPOOL_FORMAT: u32 = 1;
/// The number of the format of the position journal.
pub const JOURNAL_FORMAT: u32 = journal::FORMAT;

/// The lane of the deliveries that are pushed for a tenant.
pub fn push_lane(tenant: &Tenant) -> String {
    format!("{}/push/0", tenant.0)
}

/// The number of a segment, by the name of its file; none for other files.
pub fn segment_number(name: &str) -> Option<u64> {
    name.strip_suffix(".spool").and_then(|number| number.parse().ok())
}

/// How far batch `number` of a lane reaches, read beside the process that has the journal open. None
/// when that process did not write it down, or the batch is not among the newest.
///
/// # Errors
/// A sentence, when it cannot be read.
pub fn position_beside(journal: &Path, lane: &str, number: i64) -> Result<Option<Position>, String> {
    journal::read_beside(journal, lane, number)
}

/// The same, out of the journal itself, which nobody else has open. A journal that is missing is not made.
///
/// # Errors
/// A sentence, when it cannot be read or another process has it open.
pub fn position_alone(journal: &Path, lane: &str, number: i64) -> Result<Option<Position>, String> {
    if !journal.exists() {
        return Ok(None);
    }
    Ok(Journal::open(journal)?.get(lane, number)?.map(|reach| reach.position))
}

/// Writes down, flushed, how far batch `number` of a lane reaches, in a journal that is made when it is
/// missing: a service that starts on it goes on behind that position.
///
/// # Errors
/// A sentence, when it cannot be written.
pub fn write_position(journal: &Path, lane: &str, number: i64, position: Position) -> Result<(), String> {
    Journal::open(journal)?.put(lane, number, Reach { position, rules: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_alone_and_beside() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("journal/positions.redb");
        let lane = push_lane(&Tenant::default());
        assert_eq!(position_alone(&file, &lane, 3), Ok(None));
        assert!(!file.exists(), "asking makes nothing");
        let position = Position { segment: 4, offset: 99 };
        write_position(&file, &lane, 3, position).unwrap();
        assert_eq!(position_alone(&file, &lane, 3), Ok(Some(position)));
        assert_eq!(position_beside(&file, &lane, 3), Ok(Some(position)));
        assert_eq!(position_beside(&file, &lane, 2), Ok(None));
        assert_eq!((segment_number("00000000000000000012.spool"), segment_number("12.damaged")), (Some(12), None));
    }
}
