//! Data files: sorted rows to Parquet with the needle file beside it, both on disk before they are named.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanBuilder, Int64Builder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray, TimestampMicrosecondBuilder,
};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use vigie_model::{Column, ColumnKind, ColumnValues, EventBatch, TextColumn};

use crate::needle::{BLOCK_ROWS, NeedleBuilder};
use crate::schema::{CLASS, EVENT_ID, FORMAT, RAW, RAW_BINARY, TIME};
use crate::token;

/// Rows of a group of a file: a multiple of [`BLOCK_ROWS`].
pub(crate) const GROUP_ROWS: usize = 128 * 1024;
/// Bytes of a page of records before compression.
const RAW_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Level of compression of files that are merged soon, and of those that stay.
const ZSTD_LEVEL_FRESH: i32 = 1;
const ZSTD_LEVEL: i32 = 3;
/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// A data file that is on disk and not yet named by the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrittenFile {
    /// Its path within the table's folder.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    /// Days since 1970-01-01.
    pub(crate) day: i32,
    /// Microseconds.
    pub(crate) time_min: i64,
    pub(crate) time_max: i64,
    /// The needle file, within the table's folder.
    pub(crate) needle: String,
    /// Bytes of the needle file.
    pub(crate) needle_bytes: u64,
}

/// Where the needle file of a data file lies.
pub(crate) fn needle_path(data: &str) -> String {
    let name = data.rsplit('/').next().unwrap_or(data);
    format!("_vigie/needle/{}.needle", name.trim_end_matches(".parquet"))
}

/// The folder of a day.
pub(crate) fn day_folder(day: i32) -> String {
    let text = vigie_model::format_utc(i64::from(day) * DAY_MS);
    format!("day={}", text.get(..10).unwrap_or("1970-01-01"))
}

/// A name that no other file has: the time, the process, and a count.
fn new_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("{now:020x}-{:x}-{:x}.parquet", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Writes one data file of rows that come sorted.
pub(crate) struct FileWriter {
    root: PathBuf,
    path: String,
    day: i32,
    writer: ArrowWriter<File>,
    needle: NeedleBuilder,
    /// Entity columns, and what begins the hashes of their values.
    entities: Vec<(String, u64)>,
    rows: u64,
    time: (i64, i64),
}

impl FileWriter {
    /// Begins a file of one day in the folder of a table.
    pub(crate) fn new(root: &Path, day: i32, schema: &SchemaRef, columns: &[Column]) -> io::Result<FileWriter> {
        FileWriter::with_level(root, day, schema, columns, ZSTD_LEVEL)
    }

    /// The same for new events, which are written again when files are merged: quickly.
    pub(crate) fn fresh(root: &Path, day: i32, schema: &SchemaRef, columns: &[Column]) -> io::Result<FileWriter> {
        FileWriter::with_level(root, day, schema, columns, ZSTD_LEVEL_FRESH)
    }

    fn with_level(root: &Path, day: i32, schema: &SchemaRef, columns: &[Column], level: i32) -> io::Result<FileWriter> {
        let folder = day_folder(day);
        std::fs::create_dir_all(root.join(&folder))?;
        std::fs::create_dir_all(root.join("_vigie/needle"))?;
        let path = format!("{folder}/{}", new_name());
        let file = File::create_new(root.join(&path))?;
        let writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties(schema, level))).map_err(io::Error::other)?;
        let entities: Vec<(String, u64)> = columns
            .iter()
            .filter(|column| column.index.is_some() && column.kind == ColumnKind::Text)
            .map(|column| (column.name.clone(), token::seed(&column.name)))
            .collect();
        let needle = NeedleBuilder::new(entities.iter().map(|(_, seed)| *seed).collect());
        let time = (i64::MAX, i64::MIN);
        Ok(FileWriter { root: root.to_owned(), path, day, writer, needle, entities, rows: 0, time })
    }

    /// Adds rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        self.index(batch);
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(io::Error::other)
    }

    fn index(&mut self, batch: &RecordBatch) {
        let column = |name: &str| batch.column_by_name(name);
        let texts = |name: &str| column(name).and_then(|array| array.as_string_opt::<i32>());
        let bytes = |name: &str| column(name).and_then(|array| array.as_binary_opt::<i32>());
        let (raw, raw_binary, ids) = (texts(RAW), bytes(RAW_BINARY), bytes(EVENT_ID));
        let mut entities: Vec<_> = self.entities.iter().filter_map(|(name, seed)| Some((*seed, texts(name)?, None))).collect();
        for row in 0..batch.num_rows() {
            let needle = &mut self.needle;
            if needle.is_block_empty() {
                entities.iter_mut().for_each(|(_, _, before)| *before = None);
            }
            if let Some(text) = raw.filter(|raw| raw.is_valid(row)) {
                token::each_token(text.value(row).as_bytes(), &mut |key| needle.key(key));
            }
            if let Some(text) = raw_binary.filter(|raw| raw.is_valid(row)) {
                token::each_token(text.value(row), &mut |key| needle.key(key));
            }
            for (seed, array, before) in &mut entities {
                let value = array.value(row).as_bytes();
                // Rows that lie together often have the same value, and the block has it once.
                if array.is_valid(row) && *before != Some(value) {
                    *before = Some(value);
                    needle.key(token::hash_value(*seed, value));
                    // Most of them are tokens of the record too, and cost nothing then.
                    token::each_token(value, &mut |key| needle.key(key));
                }
            }
            let id = ids.map(|ids| ids.value(row)).and_then(|id| id.first_chunk()).map_or(0, |id| u128::from_be_bytes(*id));
            needle.row(id);
        }
        if let Some(times) = column(TIME).and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>()) {
            self.time.0 = self.time.0.min(arrow::compute::min(times).unwrap_or(i64::MAX));
            self.time.1 = self.time.1.max(arrow::compute::max(times).unwrap_or(i64::MIN));
        }
    }

    /// Ends the file: it and its needle file are on disk when this returns.
    pub(crate) fn finish(mut self) -> io::Result<WrittenFile> {
        let metadata = self.writer.finish().map_err(io::Error::other)?;
        let file = self.writer.inner();
        fail::fail_point!("lake.file", |_| Err(io::Error::other("a fail point")));
        file.sync_all()?;
        let bytes = file.metadata()?.len();
        debug_assert_eq!(u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0), self.rows);
        let needle = needle_path(&self.path);
        let index = self.needle.finish();
        let mut file = File::create(self.root.join(&needle))?;
        file.write_all(&index)?;
        fail::fail_point!("lake.needle", |_| Err(io::Error::other("a fail point")));
        file.sync_all()?;
        sync_folder(&self.root.join(&self.path))?;
        sync_folder(&self.root.join(&needle))?;
        fail::fail_point!("lake.written", |_| Err(io::Error::other("a fail point")));
        Ok(WrittenFile {
            path: self.path,
            bytes,
            rows: self.rows,
            day: self.day,
            time_min: self.time.0,
            time_max: self.time.1,
            needle,
            needle_bytes: index.len() as u64,
        })
    }
}

/// Writes the name of a file down: its folder, and the folder of that.
pub(crate) fn sync_folder(file: &Path) -> io::Result<()> {
    for folder in file.ancestors().skip(1).take(2) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn properties(schema: &SchemaRef, level: i32) -> WriterProperties {
    let raw = ColumnPath::from(RAW);
    let position = |name: &str| schema.index_of(name).ok().and_then(|at| i32::try_from(at).ok()).unwrap_or(0);
    let sorted = |name: &str| SortingColumn { column_idx: position(name), descending: false, nulls_first: false };
    WriterProperties::builder()
        .set_created_by(format!("vigie {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(vec![KeyValue::new("vigie.format".to_owned(), FORMAT.to_string())]))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(BLOCK_ROWS)
        .set_write_batch_size(BLOCK_ROWS)
        .set_column_index_truncate_length(Some(32))
        .set_statistics_truncate_length(Some(32))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_statistics_enabled(ColumnPath::from(TIME), EnabledStatistics::Page)
        .set_column_statistics_enabled(ColumnPath::from(CLASS), EnabledStatistics::Page)
        .set_column_statistics_enabled(ColumnPath::from(EVENT_ID), EnabledStatistics::None)
        .set_column_dictionary_enabled(ColumnPath::from(EVENT_ID), false)
        .set_column_dictionary_enabled(ColumnPath::from(TIME), false)
        .set_column_encoding(ColumnPath::from(TIME), Encoding::DELTA_BINARY_PACKED)
        .set_column_statistics_enabled(raw.clone(), EnabledStatistics::None)
        .set_column_dictionary_enabled(raw.clone(), false)
        .set_column_data_page_size_limit(raw, RAW_PAGE_BYTES)
        .set_sorting_columns(Some(vec![sorted(CLASS), sorted(TIME)]))
        .build()
}

/// A row among batches: which batch, and which of its rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    batch: usize,
    row: usize,
}

/// All rows of batches, one batch after the other.
pub(crate) fn places(batches: &[EventBatch]) -> impl Iterator<Item = Place> {
    batches.iter().enumerate().flat_map(|(batch, rows)| (0..rows.len()).map(move |row| Place { batch, row }))
}

/// Rows of batches by day, sorted by class, time and id. `is_kept` is asked with the number of a row
/// among all.
pub(crate) fn by_day(batches: &[EventBatch], columns: &[Column], is_kept: impl Fn(usize) -> bool) -> BTreeMap<i32, Vec<Place>> {
    let id = |place: &Place| batches.get(place.batch).and_then(|batch| batch.ids.get(place.row));
    let mut days: BTreeMap<i32, Vec<Place>> = BTreeMap::new();
    for (_, place) in places(batches).enumerate().filter(|(number, _)| is_kept(*number)) {
        let occurred = id(&place).map_or(0, |id| id.occurred());
        days.entry(i32::try_from(occurred.div_euclid(DAY_MS)).unwrap_or(0)).or_default().push(place);
    }
    let class = columns.iter().position(|column| column.name == CLASS);
    let class_of = |place: &Place| match class.and_then(|at| batches.get(place.batch)?.columns.get(at)) {
        Some(ColumnValues::Integer(values)) => values.get(place.row).unwrap_or(0),
        _ => 0,
    };
    for rows in days.values_mut() {
        rows.sort_by_cached_key(|place| (class_of(place), id(place).map_or(0, |id| id.0)));
    }
    days
}

/// Rows of batches in the order of `rows`, as Arrow has them.
pub(crate) fn record_batch(
    batches: &[EventBatch],
    columns: &[Column],
    rows: &[Place],
    schema: &SchemaRef,
) -> io::Result<RecordBatch> {
    let of = Chosen { batches, rows };
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    let mut ids = BinaryBuilder::with_capacity(rows.len(), rows.len() * 16);
    of.each(|batch, row| ids.append_option(batch.ids.get(row).map(|id| id.0.to_be_bytes())));
    arrays.push(Arc::new(ids.finish()));
    for (number, column) in columns.iter().enumerate() {
        arrays.push(of.promoted(column.kind, number));
    }
    arrays.push(of.texts(|batch| Some(&batch.logs)));
    arrays.push(of.texts(|batch| Some(&batch.sources)));
    arrays.push(of.texts(|batch| Some(&batch.mappings)));
    arrays.push(of.texts(|batch| Some(&batch.enrichments)));
    arrays.push(of.texts(|batch| Some(&batch.reasons)));
    arrays.push(of.instants(|batch, row| batch.delivered.get(row).copied().flatten()));
    arrays.push(of.instants(|batch, row| batch.ingested.get(row).copied()));
    arrays.push(of.texts(|batch| Some(&batch.raw)));
    let mut binary = BinaryBuilder::new();
    of.each(|batch, row| binary.append_option(batch.raw_binary.get(row)));
    arrays.push(Arc::new(binary.finish()));
    RecordBatch::try_new(Arc::clone(schema), arrays).map_err(io::Error::other)
}

/// Rows chosen among batches.
struct Chosen<'b> {
    batches: &'b [EventBatch],
    rows: &'b [Place],
}

impl<'b> Chosen<'b> {
    fn each(&self, mut visit: impl FnMut(&'b EventBatch, usize)) {
        for place in self.rows {
            if let Some(batch) = self.batches.get(place.batch) {
                visit(batch, place.row);
            }
        }
    }

    fn promoted(&self, kind: ColumnKind, number: usize) -> ArrayRef {
        let values = |batch: &'b EventBatch| batch.columns.get(number);
        let integer = |batch, row: usize| match values(batch) {
            Some(ColumnValues::Integer(values)) => values.get(row),
            _ => None,
        };
        match kind {
            ColumnKind::Text => self.texts(|batch| match values(batch) {
                Some(ColumnValues::Text(column)) => Some(column),
                _ => None,
            }),
            ColumnKind::TimeMs => self.instants(integer),
            ColumnKind::Integer => {
                let mut builder = Int64Builder::with_capacity(self.rows.len());
                self.each(|batch, row| builder.append_option(integer(batch, row)));
                Arc::new(builder.finish())
            }
            ColumnKind::Boolean => {
                let mut builder = BooleanBuilder::with_capacity(self.rows.len());
                self.each(|batch, row| {
                    builder.append_option(match values(batch) {
                        Some(ColumnValues::Boolean(values)) => values.get(row),
                        _ => None,
                    });
                });
                Arc::new(builder.finish())
            }
        }
    }

    fn instants(&self, millis: impl Fn(&'b EventBatch, usize) -> Option<i64>) -> ArrayRef {
        let mut builder = TimestampMicrosecondBuilder::with_capacity(self.rows.len()).with_timezone("UTC");
        self.each(|batch, row| builder.append_option(millis(batch, row).map(|at| at.saturating_mul(1000))));
        let array: TimestampMicrosecondArray = builder.finish();
        Arc::new(array)
    }

    fn texts(&self, column: impl Fn(&'b EventBatch) -> Option<&'b TextColumn>) -> ArrayRef {
        let text = |batch, row| column(batch).and_then(|column| column.get(row));
        let mut length = 0;
        self.each(|batch, row| length += text(batch, row).map_or(0, <[u8]>::len));
        let mut bytes = Vec::with_capacity(length);
        let mut lengths = Vec::with_capacity(self.rows.len());
        let mut valid = NullBufferBuilder::new(self.rows.len());
        self.each(|batch, row| {
            let text = text(batch, row);
            bytes.extend_from_slice(text.unwrap_or_default());
            lengths.push(text.map_or(0, <[u8]>::len));
            valid.append(text.is_some());
        });
        // One look at all bytes is much faster than one at each text.
        let whole = StringArray::try_new(OffsetBuffer::from_lengths(lengths), Buffer::from_vec(bytes), valid.finish());
        whole.map_or_else(|_| self.texts_repaired(text), |array| Arc::new(array))
    }

    /// Texts of which one is no UTF-8: records that are none stand in a column of their own, so this is
    /// for columns only.
    fn texts_repaired(&self, text: impl Fn(&'b EventBatch, usize) -> Option<&'b [u8]>) -> ArrayRef {
        let mut builder = StringBuilder::new();
        self.each(|batch, row| builder.append_option(text(batch, row).map(String::from_utf8_lossy)));
        Arc::new(builder.finish())
    }
}
