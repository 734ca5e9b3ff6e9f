//! How many events of each log type and class a data file holds: what retention decides by.
//!
//! A group of rows whose statistics name one log type and one class is counted without being read: rows
//! are sorted by class, so most groups of a large file with one log type are such. Of the others only
//! these two columns are read.
//!
//! Statistics: `Statistics` of Parquet (github.com/apache/parquet-format, parquet.thrift).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::schema::{CLASS, LOG};

/// Rows that are read at once.
const READ_ROWS: usize = 8192;

/// Numbers of events by log type, then by class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally(BTreeMap<String, BTreeMap<i64, u64>>);

impl Tally {
    /// Counts the events of a data file.
    pub(crate) fn of(path: &Path) -> io::Result<Tally> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?).map_err(io::Error::other)?;
        let mut tally = Tally::default();
        let mut mixed = Vec::new();
        for (number, group) in builder.metadata().row_groups().iter().enumerate() {
            match only_kind(group) {
                Some((log, class)) => tally.add(log, class, u64::try_from(group.num_rows()).unwrap_or(0)),
                None => mixed.push(number),
            }
        }
        if mixed.is_empty() {
            return Ok(tally);
        }
        let mask = ProjectionMask::columns(builder.parquet_schema(), [LOG, CLASS]);
        let builder = builder.with_projection(mask).with_row_groups(mixed).with_batch_size(READ_ROWS);
        for batch in builder.build().map_err(io::Error::other)? {
            let batch = batch.map_err(io::Error::other)?;
            let kinds = Kinds::of(&batch);
            for row in 0..batch.num_rows() {
                let (log, class) = kinds.at(row);
                tally.add(log, class, 1);
            }
        }
        Ok(tally)
    }

    /// Counts so many more events of a log type and class.
    pub(crate) fn add(&mut self, log: &str, class: i64, events: u64) {
        let classes = match self.0.get_mut(log) {
            Some(classes) => classes,
            None => self.0.entry(log.to_owned()).or_default(),
        };
        *classes.entry(class).or_default() += events;
    }

    /// Each log type and class with its number of events.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&str, i64, u64)> {
        self.0.iter().flat_map(|(log, classes)| classes.iter().map(move |(class, events)| (log.as_str(), *class, *events)))
    }

    /// The log types and classes that a test holds for, and the others.
    pub(crate) fn split(&self, holds: impl Fn(&str, i64) -> bool) -> (Tally, Tally) {
        let (mut held, mut others) = (Tally::default(), Tally::default());
        for (log, class, events) in self.each() {
            let part = if holds(log, class) { &mut held } else { &mut others };
            part.add(log, class, events);
        }
        (held, others)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of all events.
    pub(crate) fn events(&self) -> u64 {
        self.each().map(|(_, _, events)| events).sum()
    }

    /// Numbers of events by log type.
    pub(crate) fn by_log(&self) -> BTreeMap<&str, u64> {
        self.0.iter().map(|(log, classes)| (log.as_str(), classes.values().sum::<u64>())).collect()
    }

    /// Numbers of events by class.
    pub(crate) fn by_class(&self) -> BTreeMap<i64, u64> {
        let mut numbers: BTreeMap<i64, u64> = BTreeMap::new();
        for (_, class, events) in self.each() {
            *numbers.entry(class).or_default() += events;
        }
        numbers
    }
}

/// The log type and class of each row of a batch: a row without a log type has the empty one, a row
/// without a class has 0.
pub(crate) struct Kinds<'b> {
    logs: Option<&'b StringArray>,
    classes: Option<&'b Int64Array>,
}

impl<'b> Kinds<'b> {
    pub(crate) fn of(batch: &'b RecordBatch) -> Kinds<'b> {
        Kinds {
            logs: batch.column_by_name(LOG).and_then(|array| array.as_string_opt::<i32>()),
            classes: batch.column_by_name(CLASS).and_then(|array| array.as_primitive_opt::<Int64Type>()),
        }
    }

    pub(crate) fn at(&self, row: usize) -> (&'b str, i64) {
        let log = self.logs.filter(|logs| logs.is_valid(row)).map_or("", |logs| logs.value(row));
        let class = self.classes.filter(|classes| classes.is_valid(row)).map_or(0, |classes| classes.value(row));
        (log, class)
    }
}

/// The log type and class of all rows of a group, when its statistics say that there are no others.
fn only_kind(group: &RowGroupMetaData) -> Option<(&str, i64)> {
    let rows = u64::try_from(group.num_rows()).ok()?;
    let column = |name: &str| group.columns().iter().find(|column| column.column_path().string() == name);
    let (logs, classes) = (column(LOG)?.statistics()?, column(CLASS)?.statistics()?);
    // A column of another type is read, as [`Kinds`] reads it.
    if !matches!((logs, classes), (Statistics::ByteArray(_), Statistics::Int64(_))) {
        return None;
    }
    let log = match only_value(logs, rows)? {
        Some(bytes) => std::str::from_utf8(bytes).ok()?,
        None => "",
    };
    let class = match only_value(classes, rows)? {
        Some(bytes) => i64::from_le_bytes(*bytes.first_chunk()?),
        None => 0,
    };
    Some((log, class))
}

/// The one value of a column in so many rows, or that no row has one; none when there may be several.
/// Long texts are cut to bounds, the lower one down and the upper one up, so bounds that are equal are
/// the value itself.
fn only_value(statistics: &Statistics, rows: u64) -> Option<Option<&[u8]>> {
    let nulls = statistics.null_count_opt()?;
    if nulls == rows {
        return Some(None);
    }
    let (least, most) = (statistics.min_bytes_opt()?, statistics.max_bytes_opt()?);
    (nulls == 0 && least == most).then_some(Some(least))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::ArrayRef;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;
    use parquet::file::reader::{FileReader as _, SerializedFileReader};

    use super::*;

    /// Rows of a group of the files of these tests.
    const GROUP_ROWS: usize = 4;
    const LONG: &str = "vendor/log-with-a-name-of-more-than-32-bytes-";

    type Row<'r> = (Option<&'r str>, Option<i64>);

    fn write(path: &Path, rows: &[Row<'_>]) {
        let logs: StringArray = rows.iter().map(|(log, _)| *log).collect();
        let classes: Int64Array = rows.iter().map(|(_, class)| *class).collect();
        let batch = RecordBatch::try_from_iter_with_nullable([
            (CLASS, Arc::new(classes) as ArrayRef, true),
            (LOG, Arc::new(logs) as ArrayRef, true),
        ])
        .unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_statistics_truncate_length(Some(32))
            .build();
        let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    /// Writes zeros over the columns of a file; what stands behind them stays.
    fn blank(path: &Path) {
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let mut bytes = std::fs::read(path).unwrap();
        for group in reader.metadata().row_groups() {
            for column in group.columns() {
                let (start, length) = column.byte_range();
                let (start, length) = (usize::try_from(start).unwrap(), usize::try_from(length).unwrap());
                bytes[start..start + length].fill(0);
            }
        }
        std::fs::write(path, bytes).unwrap();
    }

    /// Counts rows with the statistics and one by one; whether the file had to be read.
    fn check(rows: &[Row<'_>]) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        write(&path, rows);
        let mut expected = Tally::default();
        for (log, class) in rows {
            expected.add(log.unwrap_or_default(), class.unwrap_or(0), 1);
        }
        assert_eq!(Tally::of(&path).unwrap(), expected, "{rows:?}");
        assert_eq!(expected.events(), rows.len() as u64);
        blank(&path);
        match Tally::of(&path) {
            Ok(tally) => {
                assert_eq!(tally, expected, "{rows:?}");
                false
            }
            Err(_) => true,
        }
    }

    #[test]
    fn a_group_of_one_log_type_and_class_is_counted_unread() {
        let one: Row<'_> = (Some("a/b"), Some(6003));
        let (other_log, other_class): (Row<'_>, Row<'_>) = ((Some("a/c"), Some(6003)), (Some("a/b"), Some(6004)));
        let long = |end: &str| format!("{LONG}{end}");
        let (long_one, long_other) = (long("one"), long("other"));
        for (rows, is_read) in [
            (vec![one; 4], false),
            (vec![one; 9], false),
            (vec![(None, None); 5], false),
            (vec![(None, Some(0)); 4], false),
            ([vec![one; 4], vec![other_class; 4], vec![(None, Some(0)); 4]].concat(), false),
            ([vec![one; 3], vec![other_class]].concat(), true),
            ([vec![one; 3], vec![other_log]].concat(), true),
            ([vec![one; 8], vec![other_log, one]].concat(), true),
            (vec![one, (None, Some(6003))], true),
            (vec![one, (Some("a/b"), None)], true),
            (vec![(Some(long_one.as_str()), Some(1)), (Some(long_other.as_str()), Some(1))], true),
        ] {
            assert_eq!(check(&rows), is_read, "{rows:?}");
        }
        // A text that is cut has two bounds that differ.
        assert!(check(&[(Some(long_one.as_str()), Some(1)); 4]));
    }
}
