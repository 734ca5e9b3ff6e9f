//! The pages of a group of rows: what their headers say is added up before one is decoded.
//!
//! A page decodes to as many bytes as its header says, or not at all; so the sums bound what a file of a stranger can
//! make of the memory. What no header bounds is not read: texts as differences from the one before, and compressions
//! that few use.

use std::io::Read;

use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use vigie_model::BytesAt;
use vigie_model::limits::{INFLATE_RATIO_CHECK_BYTES, INFLATE_RATIO_MAX};

use super::thrift::{INTEGER, STRUCTURE, Thrift};
use super::{BATCH_ROWS, unharmed};

/// Bytes of a page, decompressed.
const PAGE_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Bytes of a page of the values that others refer to.
const DICTIONARY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Values of a page.
const PAGE_VALUES_MAX: u64 = 64 * 1024 * 1024;
/// Pages of a file.
const PAGES_MAX: u64 = 4_000_000;
/// Bytes of pages that are needed at once.
const BATCH_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Values inside lists and maps of a group of rows: all of them may stand in one row.
const LISTED_VALUES_MAX: u64 = 32 * 1024 * 1024;
/// Bytes of a header, with the statistics in it.
const HEADER_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes that most headers fit in.
const HEADER_BYTES: u64 = 512;
/// How much gzip makes of a byte at most.
const GZIP_RATIO: u64 = 1032;
/// Texts as differences, by the number of the encoding: each is copied whole, however little was stored of it.
const DELTA_BYTE_ARRAY: i32 = 7;
/// Kinds of pages.
const DATA: i32 = 0;
const INDEX: i32 = 1;
const DICTIONARY: i32 = 2;
const DATA_V2: i32 = 3;

/// What the header of a page says.
#[derive(Debug, Default, Clone, Copy)]
struct Header {
    kind: i32,
    bytes: u64,
    stored_bytes: u64,
    values: u64,
    encoding: i32,
    /// Bytes before the values that are not compressed.
    level_bytes: u64,
}

/// What is known of a file so far.
#[derive(Debug)]
pub(super) struct Sums {
    stored_left: u64,
    bytes_left: u64,
    pages_left: u64,
}

impl Sums {
    pub(super) fn new(length: u64) -> Sums {
        let bytes_left = length.saturating_mul(INFLATE_RATIO_MAX).max(INFLATE_RATIO_CHECK_BYTES);
        Sums { stored_left: length, bytes_left, pages_left: PAGES_MAX }
    }

    /// Says whether a group of rows may be decoded.
    pub(super) fn check(&mut self, file: &dyn BytesAt, group: &RowGroupMetaData) -> Result<(), String> {
        let (mut batch_bytes, mut listed) = (0, 0);
        for column in group.columns() {
            let is_listed = column.column_descr().max_rep_level() > 0;
            let mut window = Window::default();
            self.column(file, column, &mut |header| {
                listed += if is_listed && header.kind != DICTIONARY { header.values } else { 0 };
                window.add(header, is_listed);
            })?;
            batch_bytes += window.most;
        }
        if batch_bytes > BATCH_BYTES_MAX {
            return Err(format!("has pages of which more than {BATCH_BYTES_MAX} bytes are needed at once"));
        }
        if listed > LISTED_VALUES_MAX {
            return Err(format!("has more than {LISTED_VALUES_MAX} values in lists of one group of rows"));
        }
        Ok(())
    }

    /// Goes through the pages of a column in a group of rows.
    fn column(&mut self, file: &dyn BytesAt, column: &ColumnChunkMetaData, each: &mut dyn FnMut(&Header)) -> Result<(), String> {
        let is_gzip = match column.compression() {
            Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) | Compression::LZ4_RAW => false,
            Compression::GZIP(_) => true,
            other => {
                let name = other.to_string();
                let name = name.split('(').next().unwrap_or_default();
                return Err(format!("is compressed by {name}, which is not read"));
            }
        };
        let (mut at, stored) = unharmed(|| Ok(column.byte_range()))?;
        let end = at.checked_add(stored).filter(|end| *end <= file.length());
        let end = end.ok_or_else(|| "is broken: a column stands behind the end".to_owned())?;
        // Columns that lie over each other would be read again and again.
        let twice = || "is broken: its columns are longer than the file".to_owned();
        self.stored_left = self.stored_left.checked_sub(stored).ok_or_else(twice)?;
        while at < end {
            let (header, header_bytes) = header(file, at, end)?;
            at += header_bytes;
            if header.stored_bytes > end - at {
                return Err("is broken: a page stands behind the end".to_owned());
            }
            self.page(&header)?;
            if is_gzip && header.stored_bytes > PAGE_BYTES_MAX / GZIP_RATIO {
                inflates(file, at, &header)?;
            }
            if header.kind != INDEX {
                each(&header);
            }
            at += header.stored_bytes;
        }
        Ok(())
    }

    fn page(&mut self, header: &Header) -> Result<(), String> {
        let bytes_max = if header.kind == DICTIONARY { DICTIONARY_BYTES_MAX } else { PAGE_BYTES_MAX };
        if header.bytes > bytes_max {
            let what = if header.kind == DICTIONARY { "dictionary" } else { "page" };
            return Err(format!("has a {what} of more than {bytes_max} bytes"));
        }
        let is_crowded = header.kind == DICTIONARY && header.values > header.bytes;
        if header.values > PAGE_VALUES_MAX || is_crowded {
            return Err("has a page that says more values than it can hold".to_owned());
        }
        if header.encoding == DELTA_BYTE_ARRAY {
            return Err("has texts as differences (DELTA_BYTE_ARRAY), which are not read: write it as Parquet 1".to_owned());
        }
        let much = || format!("expands more than {INFLATE_RATIO_MAX} times: this is no log, nothing more is read");
        self.bytes_left = self.bytes_left.checked_sub(header.bytes).ok_or_else(much)?;
        let many = || format!("has more than {PAGES_MAX} pages");
        self.pages_left = self.pages_left.checked_sub(1).ok_or_else(many)?;
        Ok(())
    }
}

/// The pages of a column that the rows of a batch can reach, one behind the other.
#[derive(Debug, Default)]
struct Window {
    pages: std::collections::VecDeque<(u64, u64)>,
    bytes: u64,
    values: u64,
    dictionary: u64,
    most: u64,
}

impl Window {
    fn add(&mut self, header: &Header, is_listed: bool) {
        if header.kind == DICTIONARY {
            self.dictionary = header.bytes;
        } else {
            // All but the first and the last page have to fit into the rows of a batch. Nobody knows how many of the
            // pages of a list one row takes.
            let last = self.pages.back().map_or(0, |(values, _)| *values);
            self.values += if self.pages.len() > 1 { last } else { 0 };
            self.bytes += header.bytes;
            if is_listed {
                self.most = self.most.max(self.bytes + self.dictionary);
                return;
            }
            self.pages.push_back((header.values, header.bytes));
            while self.pages.len() > 2 && self.values >= BATCH_ROWS as u64 {
                let first = self.pages.pop_front();
                self.bytes -= first.map_or(0, |(_, bytes)| bytes);
                let next = self.pages.front().map_or(0, |(values, _)| *values);
                self.values -= next;
            }
        }
        self.most = self.most.max(self.bytes + self.dictionary);
    }
}

/// The header of a page and how long it is.
fn header(file: &dyn BytesAt, at: u64, end: u64) -> Result<(Header, u64), String> {
    for bytes_max in [HEADER_BYTES, HEADER_BYTES_MAX] {
        let count = bytes_max.min(end - at);
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(0)];
        file.read_at(at, &mut bytes)?;
        let mut thrift = Thrift::new(&bytes);
        if let Some(header) = parse(&mut thrift) {
            return Ok((header, count - thrift.left() as u64));
        }
    }
    Err("is broken: the header of a page cannot be read".to_owned())
}

fn parse(thrift: &mut Thrift<'_>) -> Option<Header> {
    let (mut kind, mut bytes, mut stored_bytes) = (None, None, None);
    // By the kind of page: values, encoding, bytes of levels.
    let (mut data, mut dictionary, mut data_v2) = (None, None, None);
    thrift.structure(&mut |thrift, number, wire| {
        match (number, wire) {
            (1, INTEGER) => kind = Some(thrift.integer()?),
            (2, INTEGER) => bytes = Some(u64::try_from(thrift.integer()?).ok()?),
            (3, INTEGER) => stored_bytes = Some(u64::try_from(thrift.integer()?).ok()?),
            (5, STRUCTURE) => data = Some(values(thrift, 2)?),
            (7, STRUCTURE) => dictionary = Some(values(thrift, 2)?),
            (8, STRUCTURE) => data_v2 = Some(values(thrift, 4)?),
            (1..=3 | 5 | 7 | 8, _) => return None,
            _ => return Some(false),
        }
        Some(true)
    })?;
    let kind = kind?;
    let (values, encoding, level_bytes) = match kind {
        DATA => data?,
        INDEX => (0, 0, 0),
        DICTIONARY => dictionary?,
        DATA_V2 => data_v2?,
        _ => return None,
    };
    Some(Header { kind, bytes: bytes?, stored_bytes: stored_bytes?, values, encoding, level_bytes })
}

/// How many values a page has, how they are encoded, and the bytes before them. The field of the encoding tells the
/// second version of pages apart: it says how long its levels are.
fn values(thrift: &mut Thrift<'_>, encoding_field: i16) -> Option<(u64, i32, u64)> {
    let (mut values, mut encoding, mut level_bytes) = (None, None, 0);
    let is_second = encoding_field == 4;
    thrift.structure(&mut |thrift, number, wire| {
        match (number, wire) {
            (1, INTEGER) => values = Some(u64::try_from(thrift.integer()?).ok()?),
            (number, INTEGER) if number == encoding_field => encoding = Some(thrift.integer()?),
            (5 | 6, INTEGER) if is_second => level_bytes += u64::try_from(thrift.integer()?).ok()?,
            (1, _) => return None,
            (number, _) if number == encoding_field => return None,
            _ => return Some(false),
        }
        Some(true)
    })?;
    Some((values?, encoding?, level_bytes))
}

/// Whether a page of gzip ends where its header says: the decoder would find out too late.
fn inflates(file: &dyn BytesAt, at: u64, header: &Header) -> Result<(), String> {
    let count = header.stored_bytes.saturating_sub(header.level_bytes);
    let mut stored = vec![0; usize::try_from(count).unwrap_or(0)];
    file.read_at(at + header.level_bytes.min(header.stored_bytes), &mut stored)?;
    let plain = flate2::read::MultiGzDecoder::new(stored.as_slice());
    let made = std::io::copy(&mut plain.take(header.bytes + 1), &mut std::io::sink());
    if made.is_ok_and(|made| made > header.bytes) {
        return Err("has a page that says fewer bytes than it holds".to_owned());
    }
    Ok(())
}
