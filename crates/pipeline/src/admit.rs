//! Admission: the plain bytes of one file become batches of whole records.

use std::io::Read;
use std::ops::Range;

use sha2::{Digest as _, Sha256};
use vigie_model::limits::{READ_BYTES, RECORD_BYTES_MAX};
use vigie_record::{Cut, Cutter, Made, Shape, TableCutter};

use crate::lane::Lanes;
use crate::proof::hex;

/// A buffer and the pieces it was cut into.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The file, by its index in the run's list of names.
    pub(crate) file: usize,
    /// Where the buffer starts in the plain bytes of the file.
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    /// How many of the bytes were read from the file for this batch.
    pub(crate) read: usize,
    pub(crate) cuts: Vec<Cut>,
    /// Where each cut stands in the file, when the buffer holds records made of rows and not the
    /// file's own bytes.
    pub(crate) places: Vec<u64>,
}

impl Batch {
    pub(crate) fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// Where a cut stands in the file.
    pub(crate) fn place(&self, number: usize, range: &Range<usize>) -> u64 {
        self.places.get(number).copied().unwrap_or(self.offset + range.start as u64)
    }
}

/// How the reading of one file ended.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) shape: Shape,
    pub(crate) bytes: u64,
    /// The first bytes of a file that is no JSON.
    pub(crate) head: Vec<u8>,
    /// SHA-256 of the plain bytes, when it was asked for.
    pub(crate) hash: Option<String>,
    /// Why reading stopped early.
    pub(crate) error: Option<String>,
}

const HEAD_BYTES: usize = 4096;

/// Reads one file to its end, giving each batch to `emit`, which gives back a buffer to use again.
pub(crate) fn read_file(
    file: usize,
    reader: &mut dyn Read,
    lanes: &Lanes,
    is_hashed: bool,
    emit: &mut dyn FnMut(Batch) -> Batch,
) -> Admitted {
    let mut cutter = Cutter::new(lanes.envelope_keys.clone(), RECORD_BYTES_MAX);
    let mut table: Option<TableCutter<'_>> = None;
    let mut batch = Batch { file, ..Batch::default() };
    let mut admitted = Admitted { shape: Shape::Unknown, bytes: 0, head: Vec::new(), hash: None, error: None };
    let mut hasher = is_hashed.then(Sha256::new);
    let mut filled = 0;
    let mut cut_short = None;
    loop {
        let (read, end) = fill(reader, &mut batch.bytes, filled, &mut admitted);
        if let Some(hasher) = &mut hasher {
            hasher.update(batch.bytes.get(filled..filled + read).unwrap_or_default());
        }
        filled += read;
        batch.read = read;
        admitted.bytes += read as u64;
        let plain = batch.bytes.get(..filled).unwrap_or_default();
        if admitted.head.is_empty() {
            admitted.head = plain.get(..HEAD_BYTES.min(filled)).unwrap_or_default().to_vec();
        }
        let mut used = cutter.cut(plain, end, &mut batch.cuts);
        admitted.shape = cutter.shape();
        if end && admitted.error.is_none() && table.is_none() && cutter.is_open() {
            cut_short = Some("ends before its array is closed".to_owned());
        }
        if admitted.shape == Shape::Foreign {
            table = table.or_else(|| TableCutter::begin(plain, &lanes.exports, RECORD_BYTES_MAX));
        }
        if let Some(table) = &mut table {
            admitted.shape = Shape::Table;
            let mut made = Made::default();
            used = table.cut(plain, end, &mut made);
            if !made.cuts.is_empty() {
                let places = made.places.iter().map(|&place| batch.offset + place as u64).collect();
                emit(Batch { file, offset: batch.offset, bytes: made.bytes, read, cuts: made.cuts, places });
            }
        }
        let next_offset = batch.offset + used as u64;
        let rest = plain.get(used..).unwrap_or_default().to_vec();
        let is_foreign = admitted.shape == Shape::Foreign;
        if !batch.cuts.is_empty() && !is_foreign {
            batch = emit(batch);
        }
        batch.cuts.clear();
        batch.places.clear();
        if end || is_foreign {
            admitted.hash = hasher.filter(|_| admitted.error.is_none()).map(|hasher| hex(&hasher.finalize()));
            admitted.error = admitted.error.or(cut_short);
            return admitted;
        }
        batch.file = file;
        batch.offset = next_offset;
        // A used buffer keeps its length: only what is read again is written again.
        if batch.bytes.len() < rest.len() {
            batch.bytes.resize(rest.len(), 0);
        }
        if let Some(head) = batch.bytes.get_mut(..rest.len()) {
            head.copy_from_slice(&rest);
        }
        filled = rest.len();
    }
}

/// Reads until the buffer has [`READ_BYTES`] more or the file ends; an error ends the file.
fn fill(reader: &mut dyn Read, bytes: &mut Vec<u8>, from: usize, admitted: &mut Admitted) -> (usize, bool) {
    if bytes.len() < from + READ_BYTES {
        bytes.resize(from + READ_BYTES, 0);
    }
    let mut read = 0;
    while let Some(space) = bytes.get_mut(from + read..from + READ_BYTES).filter(|space| !space.is_empty()) {
        match reader.read(space) {
            Ok(0) => return (read, true),
            Ok(more) => read += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                admitted.error = Some(error.to_string());
                return (read, true);
            }
        }
    }
    (read, false)
}

/// A guess at what a file that is no JSON holds, for people.
pub(crate) fn guess(head: &[u8]) -> &'static str {
    let text =
        std::str::from_utf8(head).or_else(|error| std::str::from_utf8(head.get(..error.valid_up_to()).unwrap_or_default()));
    match head {
        [] => "nothing",
        [b'P', b'A', b'R', b'1', ..] => "Parquet",
        [b'E', b'l', b'f', b'F', b'i', b'l', b'e', ..] => "a Windows event log (EVTX)",
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => "UTF-16 text",
        [b'%', b'P', b'D', b'F', ..] => "PDF",
        [b'<', ..] => "XML or HTML",
        _ if head.contains(&0) => "binary data",
        _ => match text {
            Ok(text) if text.lines().next().is_some_and(|line| line.matches(',').count() >= 3) => "CSV",
            Ok(text) if text.lines().next().is_some_and(|line| line.matches('=').count() >= 3) => "key=value text",
            Ok(_) => "plain text",
            Err(_) => "binary data",
        },
    }
}
