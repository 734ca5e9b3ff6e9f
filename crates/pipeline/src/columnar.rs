//! Admission of files whose records stand in columns: the file is kept until it is here as a whole, then its rows
//! become batches.
//!
//! The place of such a record is the number of its row, from 0: it has no bytes of its own in the file.

use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use tempfile::SpooledTempFile;
use vigie_model::limits::{
    COLUMNAR_FILE_BYTES_MAX, COLUMNAR_MEMORY_BYTES_MAX, INFLATE_RATIO_CHECK_BYTES, INFLATE_RATIO_MAX, READ_BYTES,
    RECORD_BYTES_MAX,
};
use vigie_model::{BytesAt, ColumnarReader};
use vigie_record::{Cut, Shape};

use crate::admit::{Admitted, Batch};
use crate::proof::hex;

/// A whole file: in memory while it is short, else in a temporary file without a name.
struct Kept {
    file: Mutex<SpooledTempFile>,
    bytes: u64,
}

impl BytesAt for Kept {
    fn length(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), String> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(buffer));
        read.map_err(|error| error.to_string())
    }
}

/// Keeps a file whose first bytes were read already. An error ends it.
fn keep(
    head: &[u8],
    reader: &mut dyn Read,
    hasher: &mut Option<Sha256>,
    admitted: &mut Admitted,
) -> io::Result<Option<SpooledTempFile>> {
    let mut file = tempfile::spooled_tempfile(COLUMNAR_MEMORY_BYTES_MAX);
    file.write_all(head)?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                admitted.error = Some(error.to_string());
                return Ok(None);
            }
        };
        if read == 0 {
            return Ok(Some(file));
        }
        let bytes = buffer.get(..read).unwrap_or_default();
        admitted.bytes += read as u64;
        if admitted.bytes > COLUMNAR_FILE_BYTES_MAX {
            admitted.error = Some(format!("is longer than {COLUMNAR_FILE_BYTES_MAX} bytes"));
            return Ok(None);
        }
        if let Some(hasher) = hasher {
            hasher.update(bytes);
        }
        file.write_all(bytes)?;
    }
}

/// Rows on their way into a batch.
struct Rows<'e> {
    file: usize,
    batch: Batch,
    row: u64,
    made_bytes: u64,
    made_bytes_max: u64,
    emit: &'e mut dyn FnMut(Batch) -> Batch,
}

impl Rows<'_> {
    fn take(&mut self, record: &[u8]) -> Result<(), String> {
        self.made_bytes += record.len() as u64 + 1;
        if self.made_bytes > self.made_bytes_max {
            return Err(format!("expands more than {INFLATE_RATIO_MAX} times: this is no log, nothing more is read"));
        }
        let start = self.batch.bytes.len();
        self.batch.bytes.extend_from_slice(record.get(..RECORD_BYTES_MAX).unwrap_or(record));
        let place = start..self.batch.bytes.len();
        self.batch.cuts.push(if record.len() > RECORD_BYTES_MAX { Cut::Oversize(place) } else { Cut::Record(place) });
        self.batch.places.push(self.row);
        self.row += 1;
        if self.batch.bytes.len() >= READ_BYTES {
            self.send();
        }
        Ok(())
    }

    fn send(&mut self) {
        if self.batch.cuts.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        (batch.file, batch.read) = (self.file, batch.bytes.len());
        let mut used = (self.emit)(batch);
        used.bytes.clear();
        used.cuts.clear();
        used.places.clear();
        used.made.clear();
        used.offset = 0;
        self.batch = used;
    }
}

/// Reads a file whose first bytes are in `head`, giving each batch to `emit`, which gives back a buffer to use again.
pub(crate) fn read_columns(
    columnar: &dyn ColumnarReader,
    reader: &mut dyn Read,
    head: Batch,
    mut hasher: Option<Sha256>,
    mut admitted: Admitted,
    emit: &mut dyn FnMut(Batch) -> Batch,
) -> Admitted {
    admitted.shape = Shape::Table;
    if admitted.error.is_some() {
        return admitted;
    }
    let kept = match keep(&head.bytes, reader, &mut hasher, &mut admitted) {
        Ok(Some(kept)) => kept,
        Ok(None) => return admitted,
        Err(error) => {
            admitted.error = Some(format!("cannot be kept in a temporary file: {error}"));
            return admitted;
        }
    };
    admitted.hash = hasher.map(|hasher| hex(&hasher.finalize()));
    let made_bytes_max = admitted.bytes.saturating_mul(INFLATE_RATIO_MAX).max(INFLATE_RATIO_CHECK_BYTES);
    let mut rows = Rows { file: head.file, batch: Batch::default(), row: 0, made_bytes: 0, made_bytes_max, emit };
    let whole = Arc::new(Kept { file: Mutex::new(kept), bytes: admitted.bytes });
    admitted.error = columnar.read(whole, &mut |record| rows.take(record)).err();
    rows.send();
    admitted
}

#[cfg(test)]
mod tests {
    use vigie_model::TakeRecord;

    use super::*;
    use crate::admit::{Knowledge, read_file};
    use crate::lane::Lanes;

    /// Each byte behind the head is the length of a row; 0 breaks the file off.
    struct Lengths;

    impl ColumnarReader for Lengths {
        fn is_known(&self, head: &[u8]) -> bool {
            head.starts_with(b"COLS")
        }

        fn read(&self, file: Arc<dyn BytesAt>, take: &mut TakeRecord<'_>) -> Result<(), String> {
            for at in 4..file.length() {
                let mut length = [0];
                file.read_at(at, &mut length)?;
                match length[0] {
                    0 => return Err("breaks off".to_owned()),
                    b'!' => take(&vec![b' '; RECORD_BYTES_MAX + 1])?,
                    length => take(&vec![length; usize::from(length)])?,
                }
            }
            Ok(())
        }
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &[&str], error: Option<&str>) {
        let (rules, _) = vigie_detect::RuleSet::parse(&[], std::collections::BTreeMap::new());
        let lanes = Lanes::mapped(&[], &rules);
        let known = Knowledge { lanes: &lanes, columnar: Some(&Lengths) };
        let mut found = Vec::new();
        let mut stream = bytes;
        let admitted = read_file(7, &mut stream, known, true, &mut |batch| {
            assert!(batch.file == 7 && batch.read == batch.bytes.len() && batch.bytes.len() <= 3 * READ_BYTES);
            for (number, cut) in batch.cuts.iter().enumerate() {
                let (mark, range) = match cut {
                    Cut::Record(range) => ("", range),
                    Cut::Oversize(range) | Cut::Reject(range, _) => ("~", range),
                };
                found.push(format!("{mark}{}@{}", batch.slice(range).len(), batch.place(number, range)));
            }
            batch
        });
        assert_eq!(found, expected);
        assert_eq!(admitted.error.as_deref(), error);
        assert_eq!((admitted.shape, admitted.bytes), (Shape::Table, bytes.len() as u64));
        assert_eq!(admitted.hash, Some(hex(&Sha256::digest(bytes))));
    }

    #[test]
    fn rows_of_columns_become_batches_in_their_order() {
        check(b"COLS", &[], None);
        check(b"COLS\x05\x06", &["5@0", "6@1"], None);
        check(b"COLS\x05\x00\x06", &["5@0"], Some("breaks off"));
        check(b"COLS\x05!\x06", &["5@0", &format!("~{RECORD_BYTES_MAX}@1"), "6@2"], None);
        let all: Vec<String> = (0..3000).map(|row| format!("200@{row}")).collect();
        let bytes = [&b"COLS"[..], &[200; 3000]].concat();
        check(&bytes, &all.iter().map(String::as_str).collect::<Vec<_>>(), None);
    }

    #[test]
    fn a_short_file_that_would_fill_the_disk_ends() {
        let rows = INFLATE_RATIO_CHECK_BYTES as usize / RECORD_BYTES_MAX - 1;
        let expected: Vec<String> = (0..rows).map(|row| format!("~{RECORD_BYTES_MAX}@{row}")).collect();
        let bytes = [&b"COLS"[..], &[b'!'; 40]].concat();
        let why = format!("expands more than {INFLATE_RATIO_MAX} times: this is no log, nothing more is read");
        check(&bytes, &expected.iter().map(String::as_str).collect::<Vec<_>>(), Some(&why));
    }
}
