//! What leaves the lake: answers as Parquet files, and events of any span in the order of their time.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use vigie_model::{Millis, QueryError, Question, Rows};

use crate::lake::Lake;
use crate::query::Wanted;
use crate::table::sentence;
use crate::write::{DAY_MS, GROUP_ROWS};

/// How long an export may run: what it holds in memory and on disk is limited, its length is not.
pub const EXPORT_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes of a group of rows that are held until it is written.
const GROUP_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Lake {
    /// Writes the answer to a question to a Parquet file, which is replaced when it is there: how many
    /// rows, and the version of the table. Columns have the types of the answer: instants are
    /// microseconds, UTC; ids of events are their 16 bytes. The file has its name once it is whole.
    ///
    /// # Errors
    /// When the question is wrong, asks for too much, or has a column that Parquet has no type for; and
    /// when the file cannot be written.
    pub fn export_parquet(&self, question: &Question, file: &Path) -> Result<(u64, u64), QueryError> {
        let failed = |error: io::Error| QueryError::Failed(format!("`{}`: {error}", file.display()));
        self.is_own(question)?;
        let mut found = self.begin(&Wanted::Answer(question))?;
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let beside = file.with_file_name(name);
        let properties = WriterProperties::builder()
            .set_created_by(format!("vigie {}", env!("CARGO_PKG_VERSION")))
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let target = File::create(&beside).map_err(failed)?;
        let mut count = 0;
        let written = || -> Result<(), QueryError> {
            let no_type = |error: ParquetError| {
                QueryError::Question(format!("the answer cannot be written as Parquet: {}; cast that column", sentence(error)))
            };
            let writing = |error: ParquetError| QueryError::Failed(format!("`{}`: {}", file.display(), sentence(error)));
            let mut writer = ArrowWriter::try_new(target, found.stream.schema(), Some(properties)).map_err(no_type)?;
            while let Some(batch) = found.batch()? {
                count += batch.num_rows() as u64;
                writer.write(&batch).map_err(writing)?;
                if writer.in_progress_size() > GROUP_BYTES_MAX {
                    writer.flush().map_err(writing)?;
                }
            }
            writer.into_inner().map_err(writing)?.sync_all().map_err(failed)
        };
        let done = written().and_then(|()| std::fs::rename(&beside, file).map_err(failed));
        if done.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        done.map(|()| (count, found.version()))
    }

    /// The days that may have events of a span, oldest first: each from an instant on and before another.
    pub fn days(&self, since: Option<Millis>, until: Option<Millis>) -> Vec<(Millis, Millis)> {
        let days: BTreeSet<i32> = self.current().files.iter().map(|file| file.day).collect();
        let clip = |day: i32| {
            let begin = i64::from(day).saturating_mul(DAY_MS);
            let from = since.map_or(begin, |since| since.max(begin));
            let end = begin.saturating_add(DAY_MS);
            (from, until.map_or(end, |until| until.min(end)))
        };
        days.into_iter().map(clip).filter(|(from, end)| from < end).collect()
    }

    /// The events of a span that match a filter, oldest first, with the columns `time`, `event_id`,
    /// `log`, `reason`, `raw`, `raw_binary`, `enrichment`. What does not fit into memory is sorted on disk: ask for one
    /// of [`Lake::days`] at a time.
    ///
    /// # Errors
    /// When the filter is wrong, or the span has more than may be sorted.
    pub fn export(&self, filter: &str, since: Option<Millis>, until: Option<Millis>) -> Result<Box<dyn Rows>, QueryError> {
        Ok(Box::new(self.begin(&Wanted::Oldest(filter, (since, until)))?))
    }
}
