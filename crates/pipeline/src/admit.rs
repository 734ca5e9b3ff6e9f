//! Admission: the plain bytes of one file become batches of whole records.

use std::io::Read;
use std::ops::Range;

use sha2::{Digest as _, Sha256};
use vigie_model::ColumnarReader;
use vigie_model::limits::{READ_BYTES, RECORD_BYTES_MAX};
use vigie_record::{Cut, Cutter, LineCutter, Made, MadeLine, MadeLines, Shape, TableCutter};

use crate::columnar::read_columns;
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
    /// What was made of each cut, when the cuts are lines of text.
    pub(crate) made: MadeLines,
}

impl Batch {
    pub(crate) fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// The record that was made of a cut, where the cut is a line of text.
    pub(crate) fn made(&self, number: usize) -> Option<MadeLine<'_>> {
        self.made.get(number)
    }

    /// What a cut is by itself: its bytes, or the record made of a line that says nothing without its header.
    pub(crate) fn alone(&self, number: usize, range: &Range<usize>) -> &[u8] {
        self.made(number).filter(|line| !line.is_whole).map_or_else(|| self.slice(range), |line| line.record)
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

/// What cuts the records out of one file: as JSON until it is known to be none, then as a table or as
/// lines of text.
struct Cutters<'l> {
    lanes: &'l Lanes,
    json: Cutter,
    table: Option<TableCutter<'l>>,
    lines: Option<LineCutter<'l>>,
}

impl<'l> Cutters<'l> {
    fn new(lanes: &'l Lanes) -> Cutters<'l> {
        Cutters { lanes, json: Cutter::new(lanes.envelope_keys.clone(), RECORD_BYTES_MAX), table: None, lines: None }
    }

    /// Cuts the head of a batch's buffer and gives how many bytes were consumed. Records of a table have
    /// memory of their own, and go to `rows`.
    fn cut(&mut self, batch: &mut Batch, filled: usize, end: bool, rows: &mut dyn FnMut(Made)) -> usize {
        let Batch { bytes, cuts, made, .. } = batch;
        let plain = bytes.get(..filled).unwrap_or_default();
        let used = self.json.cut(plain, end, cuts);
        if self.json.shape() != Shape::Foreign {
            return used;
        }
        let lanes = self.lanes;
        if self.table.is_none() && self.lines.is_none() {
            self.table = TableCutter::begin(plain, &lanes.exports, RECORD_BYTES_MAX);
        }
        if self.table.is_none() && self.lines.is_none() {
            self.lines = lanes.lines.cutter(plain, lanes.forced, RECORD_BYTES_MAX);
        }
        if let Some(table) = &mut self.table {
            let mut of_rows = Made::default();
            let used = table.cut(plain, end, &mut of_rows);
            rows(of_rows);
            return used;
        }
        self.lines.as_mut().map_or(used, |lines| lines.cut(plain, end, cuts, made))
    }

    fn shape(&self) -> Shape {
        match self.json.shape() {
            Shape::Foreign if self.table.is_some() => Shape::Table,
            Shape::Foreign if self.lines.is_some() => Shape::Text,
            shape => shape,
        }
    }
}

/// What is known of files before one is read.
#[derive(Clone, Copy)]
pub(crate) struct Knowledge<'k> {
    pub(crate) lanes: &'k Lanes,
    /// What reads files whose records stand in columns, where this build has it.
    pub(crate) columnar: Option<&'k dyn ColumnarReader>,
}

/// Reads one file to its end, giving each batch to `emit`, which gives back a buffer to use again.
pub(crate) fn read_file(
    file: usize,
    reader: &mut dyn Read,
    known: Knowledge<'_>,
    is_hashed: bool,
    emit: &mut dyn FnMut(Batch) -> Batch,
) -> Admitted {
    let mut cutters = Cutters::new(known.lanes);
    let mut batch = Batch { file, ..Batch::default() };
    let mut admitted = Admitted { shape: Shape::Unknown, bytes: 0, head: Vec::new(), hash: None, error: None };
    let mut hasher = is_hashed.then(Sha256::new);
    let mut filled = 0;
    loop {
        let (read, end) = fill(reader, &mut batch.bytes, filled, &mut admitted);
        if let Some(hasher) = &mut hasher {
            hasher.update(batch.bytes.get(filled..filled + read).unwrap_or_default());
        }
        filled += read;
        batch.read = read;
        admitted.bytes += read as u64;
        if admitted.head.is_empty() {
            admitted.head = batch.bytes.get(..HEAD_BYTES.min(filled)).unwrap_or_default().to_vec();
            if let Some(columnar) = known.columnar.filter(|columnar| columnar.is_known(&admitted.head)) {
                batch.bytes.truncate(filled);
                return read_columns(columnar, reader, batch, hasher, admitted, emit);
            }
        }
        let offset = batch.offset;
        let used = cutters.cut(&mut batch, filled, end, &mut |made| {
            if !made.cuts.is_empty() {
                let places = made.places.iter().map(|&place| offset + place as u64).collect();
                emit(Batch { file, offset, bytes: made.bytes, read, cuts: made.cuts, places, made: MadeLines::default() });
            }
        });
        admitted.shape = cutters.shape();
        let next_offset = offset + used as u64;
        let rest = batch.bytes.get(used..filled).unwrap_or_default().to_vec();
        let is_foreign = admitted.shape == Shape::Foreign;
        if !batch.cuts.is_empty() && !is_foreign {
            batch = emit(batch);
        }
        batch.cuts.clear();
        batch.places.clear();
        batch.made.clear();
        if end || is_foreign {
            admitted.hash = hasher.filter(|_| admitted.error.is_none()).map(|hasher| hex(&hasher.finalize()));
            let is_cut_short = end && cutters.json.is_open();
            admitted.error = admitted.error.or(is_cut_short.then(|| "ends before its array is closed".to_owned()));
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
        [b'P', b'A', b'R', b'1', ..] => "Parquet, which the full build of vigie reads: `cargo build --features full`",
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
