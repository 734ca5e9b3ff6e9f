//! Parquet that others wrote: rows become records, a few at a time, under limits that hold before a page is decoded.
//! Format: <https://github.com/apache/parquet-format>.

mod checked;
mod footer;
mod json;
mod pages;
#[cfg(test)]
mod tests;
mod thrift;

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array as _, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowGroups};
use parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels, parquet_to_arrow_schema};
use parquet::column::page::{PageIterator, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use vigie_model::{BytesAt, ColumnarReader, TakeRecord};

use self::checked::CheckedPages;
use crate::table::sentence;

/// Rows that are decoded together.
const BATCH_ROWS: usize = 256;

/// Reads Parquet as records.
#[derive(Debug, Clone, Copy, Default)]
pub struct ParquetRecords;

impl ColumnarReader for ParquetRecords {
    fn is_known(&self, head: &[u8]) -> bool {
        head.starts_with(footer::MAGIC)
    }

    fn read(&self, file: Arc<dyn BytesAt>, take: &mut TakeRecord<'_>) -> Result<(), String> {
        let metadata = Arc::new(footer::read(&*file)?);
        let levels = levels(&metadata)?;
        let mut sums = pages::Sums::new(file.length());
        let (mut row, mut record) = (0u64, Vec::new());
        for number in 0..metadata.num_row_groups() {
            let group = Group { file: File(Arc::clone(&file)), metadata: Arc::clone(&metadata), number };
            sums.check(&*file, group.row_group()?)?;
            let promised = row + group.num_rows() as u64;
            let broken = |why: String, row: u64| format!("breaks off after {row} rows: {why}");
            let mut reader = unharmed(|| {
                ParquetRecordBatchReader::try_new_with_row_groups(&levels, &group, BATCH_ROWS, None).map_err(sentence)
            })
            .map_err(|why| broken(why, row))?;
            while let Some(batch) = unharmed(|| reader.next().transpose().map_err(sentence)).map_err(|why| broken(why, row))? {
                let columns = StructArray::from(batch);
                for place in 0..columns.len() {
                    record.clear();
                    let write = || {
                        json::object(&columns, place, &mut record);
                        Ok(())
                    };
                    unharmed(write).map_err(|why| broken(why, row))?;
                    take(&record)?;
                    row += 1;
                }
            }
            if row != promised {
                return Err(broken(format!("its footer says {promised}"), row));
            }
        }
        Ok(())
    }
}

/// The decoder trusts some numbers more than it should, and panics when they are wrong: that is an answer too.
fn unharmed<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("it is broken".to_owned()))
}

/// How the columns are decoded. Texts are views of the page that they stand in: a value that many rows refer to is
/// in memory once.
fn levels(metadata: &ParquetMetaData) -> Result<FieldLevels, String> {
    let schema = metadata.file_metadata().schema_descr();
    if schema.num_columns() == 0 {
        return Err("is Parquet without columns".to_owned());
    }
    let read = || -> ParquetResult<FieldLevels> {
        let plain = parquet_to_arrow_schema(schema, None)?;
        let viewed: Fields = plain.fields().iter().map(viewed).collect();
        parquet_to_arrow_field_levels(schema, ProjectionMask::all(), Some(&viewed))
    };
    unharmed(|| read().map_err(sentence)).map_err(|why| format!("has columns that cannot be read: {why}"))
}

fn viewed(field: &FieldRef) -> FieldRef {
    let kind = match field.data_type() {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(viewed).collect()),
        DataType::List(member) => DataType::List(viewed(member)),
        DataType::Map(entries, is_sorted) => DataType::Map(viewed(entries), *is_sorted),
        other => other.clone(),
    };
    Arc::new(Field::clone(field).with_data_type(kind))
}

/// A file as the decoder wants it.
#[derive(Clone)]
struct File(Arc<dyn BytesAt>);

/// What is left of a file from a place on.
struct Rest {
    file: Arc<dyn BytesAt>,
    at: u64,
}

impl Length for File {
    fn len(&self) -> u64 {
        self.0.length()
    }
}

impl ChunkReader for File {
    type T = io::BufReader<Rest>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(io::BufReader::with_capacity(1024, Rest { file: Arc::clone(&self.0), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        // What is longer than the file is no length to take memory for.
        if start.checked_add(length as u64).is_none_or(|end| end > self.0.length()) {
            return Err(ParquetError::EOF("it ends early".to_owned()));
        }
        let mut bytes = vec![0; length];
        self.0.read_at(start, &mut bytes).map_err(ParquetError::General)?;
        Ok(bytes.into())
    }
}

impl Read for Rest {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.file.length().saturating_sub(self.at)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let space = buffer.get_mut(..count).unwrap_or_default();
        self.file.read_at(self.at, space).map_err(io::Error::other)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// One group of rows of a file.
struct Group {
    file: File,
    metadata: Arc<ParquetMetaData>,
    number: usize,
}

impl Group {
    fn row_group(&self) -> Result<&RowGroupMetaData, String> {
        self.metadata.row_groups().get(self.number).ok_or_else(|| "is broken: a group of rows is missing".to_owned())
    }
}

impl RowGroups for Group {
    fn num_rows(&self) -> usize {
        self.row_group().ok().and_then(|group| usize::try_from(group.num_rows()).ok()).unwrap_or(0)
    }

    fn column_chunks(&self, column: usize) -> ParquetResult<Box<dyn PageIterator>> {
        let group = self.row_group().map_err(ParquetError::General)?;
        let missing = || ParquetError::General("a column is missing".to_owned());
        let chunk = group.columns().get(column).ok_or_else(missing)?;
        let pages = SerializedPageReader::new(Arc::new(self.file.clone()), chunk, self.num_rows(), None)?;
        let pages: Box<dyn PageReader> = Box::new(CheckedPages::new(pages, chunk.column_descr()));
        Ok(Box::new(Chunk(Some(Ok(pages)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.row_group().ok().into_iter())
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// The pages of a column in one group of rows.
struct Chunk(Option<ParquetResult<Box<dyn PageReader>>>);

impl Iterator for Chunk {
    type Item = ParquetResult<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take()
    }
}

impl PageIterator for Chunk {}
