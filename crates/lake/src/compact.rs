//! Fewer, larger files with the same events, in one commit that changes no answer.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::{Field, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::EmptyRecordBatchStream;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::sorts::streaming_merge::StreamingMergeBuilder;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use vigie_model::Millis;

use crate::lake::Lake;
use crate::schema::{CLASS, EVENT_ID};
use crate::table::{DataFile, Purpose, sentence};
use crate::write::{DAY_MS, FileWriter, WrittenFile};

/// Files of one size of a day that are merged together.
const TIER_FILES: usize = 8;
/// Files merged at once: each holds a page of records and a batch of rows in memory.
const MERGE_FILES_MAX: usize = 32;
/// Rows of each file held in memory while files are merged.
const MERGE_ROWS: usize = 1024;
/// Rows of the smallest size of files; each next one is [`TIER_FILES`] times as large.
const TIER_ROWS: u64 = 4096;

/// Rows of the largest file that is made: what a merge holds in memory grows with its rows.
const FILE_ROWS_MAX: u64 = 1024 * 1024;

/// What a compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Files that are gone.
    pub files_before: u64,
    /// Files that hold their events.
    pub files_after: u64,
}

fn tier(file: &DataFile) -> u32 {
    (file.rows.max(TIER_ROWS) / TIER_ROWS).ilog(TIER_FILES as u64)
}

/// The same files in groups that are merged at once: none holds too many files or becomes too large.
fn groups(files: Vec<DataFile>) -> Vec<Vec<DataFile>> {
    let mut groups: Vec<Vec<DataFile>> = Vec::new();
    let mut rows = 0;
    for file in files {
        rows += file.rows;
        match groups.last_mut() {
            Some(group) if rows <= FILE_ROWS_MAX && group.len() < MERGE_FILES_MAX => group.push(file),
            _ => {
                rows = file.rows;
                groups.push(vec![file]);
            }
        }
    }
    groups.retain(|group| group.len() > 1);
    groups
}

/// Files to merge: those of one size and day when there are enough, and all of a day that is over.
fn due(files: &[DataFile], today: i32) -> Vec<Vec<DataFile>> {
    let mut due = Vec::new();
    for day in files.chunk_by(|left, right| left.day == right.day) {
        let is_over = day.first().is_some_and(|file| file.day < today - 1);
        if is_over && day.len() > 1 {
            due.push(day.to_vec());
            continue;
        }
        let most = day.iter().map(tier).max().unwrap_or(0);
        let same = |size: u32| day.iter().filter(move |file| tier(file) == size).cloned().collect::<Vec<_>>();
        due.extend((0..=most).map(same).filter(|files| files.len() >= TIER_FILES));
    }
    due
}

impl Lake {
    /// Merges files where there are enough of one size.
    ///
    /// # Errors
    /// A sentence; every event is still there.
    pub fn compact(&self, now: Millis) -> Result<Compacted, String> {
        let today = i32::try_from(now.div_euclid(DAY_MS)).unwrap_or(0);
        self.merge(due(&self.current().files, today))
    }

    /// Merges the files of every day into one, or into as few as the largest file allows.
    ///
    /// # Errors
    /// A sentence; every event is still there.
    pub fn compact_all(&self) -> Result<Compacted, String> {
        let version = self.current();
        let days = version.files.chunk_by(|left, right| left.day == right.day);
        self.merge(days.filter(|day| day.len() > 1).map(<[DataFile]>::to_vec).collect())
    }

    fn merge(&self, due: Vec<Vec<DataFile>>) -> Result<Compacted, String> {
        let mut done = Compacted::default();
        for files in due.into_iter().flat_map(groups) {
            let written = self.runtime.block_on(self.rewrite(&files, &|batch| Ok(batch)))?;
            self.replace(Purpose::Compact, written.as_slice(), &files)?;
            done.files_before += files.len() as u64;
            done.files_after += 1;
        }
        Ok(done)
    }

    /// Writes the rows of files of one day, in order, as one file; none when no row is left. It has all
    /// columns, whichever of them its rows had.
    pub(crate) async fn rewrite(
        &self,
        files: &[DataFile],
        keep: &(dyn Fn(RecordBatch) -> Result<RecordBatch, String> + Sync),
    ) -> Result<Vec<WrittenFile>, String> {
        let Some(day) = files.first().map(|file| file.day) else {
            return Ok(Vec::new());
        };
        let failed = |error: std::io::Error| format!("`{}`: {error}", self.root.display());
        let mut rows = self.sorted(files).map_err(sentence)?;
        let mut file: Option<FileWriter> = None;
        while let Some(batch) = rows.next().await {
            let batch = keep(batch.map_err(sentence)?)?;
            if batch.num_rows() == 0 {
                continue;
            }
            let writer = match &mut file {
                Some(writer) => writer,
                None => file.insert(FileWriter::new(&self.root, day, &self.stored, &self.columns).map_err(failed)?),
            };
            writer.write(&batch).map_err(failed)?;
        }
        let written = file.map(FileWriter::finish).transpose().map_err(failed)?;
        Ok(written.into_iter().collect())
    }

    /// The rows of files, each sorted, as one sorted stream that holds a page and a batch of each. Files are
    /// read page by page: what reads for queries fetches whole groups of rows, which is too much for many
    /// files at once. A column that a file lacks has no values.
    pub(crate) fn sorted(&self, files: &[DataFile]) -> Result<SendableRecordBatchStream, DataFusionError> {
        let rows = |file: &DataFile| -> Result<SendableRecordBatchStream, DataFusionError> {
            let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(self.root.join(&file.path))?)?;
            let reader = builder.with_batch_size(MERGE_ROWS).build()?;
            let schema = Arc::clone(&self.stored);
            let fitted = reader.map(move |batch| fit(&batch?, &schema).map_err(DataFusionError::from));
            Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.stored), futures::stream::iter(fitted))))
        };
        let mut streams = files.iter().map(rows).collect::<Result<Vec<_>, _>>()?;
        if streams.len() < 2 {
            return Ok(streams.pop().unwrap_or_else(|| Box::pin(EmptyRecordBatchStream::new(Arc::clone(&self.stored)))));
        }
        let ascending = |name: &str| -> Result<PhysicalSortExpr, DataFusionError> {
            Ok(PhysicalSortExpr::new_default(col(name, &self.stored)?))
        };
        let order = LexOrdering::new([ascending(CLASS)?, ascending(EVENT_ID)?]);
        let order = order.ok_or_else(|| DataFusionError::Internal("an order of two columns is an order".to_owned()))?;
        StreamingMergeBuilder::new()
            .with_streams(streams)
            .with_schema(Arc::clone(&self.stored))
            .with_expressions(&order)
            .with_metrics(BaselineMetrics::new(&ExecutionPlanMetricsSet::new(), 0))
            .with_batch_size(MERGE_ROWS)
            .with_reservation(MemoryConsumer::new("merge").register(&self.engine.runtime().memory_pool))
            .build()
    }
}

/// The columns of a schema out of rows, by name.
fn fit(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |field: &Arc<Field>| {
        let found = batch.column_by_name(field.name()).map(Arc::clone);
        found.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
    };
    RecordBatch::try_new(Arc::clone(schema), schema.fields().iter().map(column).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(day: i32, rows: u64) -> DataFile {
        DataFile { path: String::new(), bytes: 1, rows, day, time_min: 0, time_max: 0 }
    }

    #[test]
    fn files_of_one_size_wait_until_there_are_enough() {
        let sizes = |files: &[DataFile]| due(files, 100).iter().map(Vec::len).collect::<Vec<_>>();
        assert!(sizes(&vec![file(100, 10); 7]).is_empty());
        assert_eq!(sizes(&vec![file(100, 10); 8]), [8]);
        assert_eq!(sizes(&[vec![file(100, 10); 7], vec![file(100, 1_000_000); 8]].concat()), [8]);
        assert_eq!(sizes(&[file(98, 1_000_000), file(98, 5), file(99, 5), file(99, 5)]), [2]);
    }

    #[test]
    fn no_merge_becomes_too_large() {
        let sizes = |files: Vec<DataFile>| groups(files).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(vec![file(1, 300_000); 8]), [3, 3, 2]);
        assert_eq!(sizes(vec![file(1, 10); 66]), [32, 32, 2]);
        assert!(sizes(vec![file(1, 600_000); 8]).is_empty());
        assert_eq!(sizes([vec![file(1, 2_000_000)], vec![file(1, 10); 2]].concat()), [2]);
    }
}
