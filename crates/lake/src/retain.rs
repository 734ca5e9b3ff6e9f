//! Retention: events past their time go, with a line in a journal that says what went.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use hashbrown::HashSet;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use vigie_model::Millis;

use crate::lake::Lake;
use crate::schema::LOG;
use crate::table::{DataFile, Purpose, sentence};
use crate::write::{DAY_MS, day_folder, needle_path};

/// How long a file that no version names stays, for queries and readers of the version before.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);
/// The journal of what was purged, one JSON object a line.
pub(crate) const JOURNAL: &str = "_vigie/purge.ndjson";

/// How long events are kept, in days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// For every log type that has no entry of its own.
    pub days: u32,
    /// By log type.
    pub by_log: BTreeMap<String, u32>,
}

impl Retention {
    fn days_of(&self, log: &str) -> u32 {
        self.by_log.get(log).copied().unwrap_or(self.days)
    }

    fn least(&self) -> u32 {
        self.by_log.values().copied().fold(self.days, u32::min)
    }
}

impl Lake {
    /// Removes events past their time: how many. Each day's files are rewritten once a log type in them
    /// ends; what goes stands in the journal before it goes.
    ///
    /// # Errors
    /// A sentence; what was not purged is still there.
    pub fn purge(&self, retention: &Retention, now: Millis) -> Result<u64, String> {
        let today = now.div_euclid(DAY_MS);
        let version = self.current();
        let mut purged = 0;
        for file in &version.files {
            let age = u32::try_from(today - i64::from(file.day)).unwrap_or(0);
            if age > retention.least() {
                purged += self.purge_file(file, age, retention, now)?;
            }
        }
        self.vacuum().map_err(|error| format!("`{}`: {error}", self.root.display()))?;
        Ok(purged)
    }

    fn purge_file(&self, file: &DataFile, age: u32, retention: &Retention, now: Millis) -> Result<u64, String> {
        let failed = |error: io::Error| format!("`{}`: {error}", file.path);
        let counts = logs_of(&self.root.join(&file.path)).map_err(failed)?;
        let ended: BTreeMap<String, u64> =
            counts.iter().filter(|(log, _)| age > retention.days_of(log)).map(|(log, count)| (log.clone(), *count)).collect();
        if ended.is_empty() {
            return Ok(0);
        }
        let written = if ended.len() == counts.len() {
            Vec::new()
        } else {
            let keep = |batch: arrow::array::RecordBatch| {
                let logs = batch.column_by_name(LOG).and_then(|array| array.as_string_opt::<i32>());
                let kept: BooleanArray = match logs {
                    Some(logs) => (0..logs.len()).map(|row| Some(!ended.contains_key(log_at(logs, row)))).collect(),
                    None => vec![true; batch.num_rows()].into(),
                };
                filter_record_batch(&batch, &kept).map_err(sentence)
            };
            self.runtime.block_on(self.rewrite(std::slice::from_ref(file), &keep))?
        };
        let day = day_folder(file.day).trim_start_matches("day=").to_owned();
        let entry = serde_json::json!({
            "at": vigie_model::format_utc(now), "day": day, "file": file.path, "events": ended,
        });
        write_down(&self.root.join(JOURNAL), &entry.to_string()).map_err(failed)?;
        fail::fail_point!("purge.noted", |_| Err("a fail point".to_owned()));
        self.replace(Purpose::Purge, &written, std::slice::from_ref(file))?;
        Ok(ended.values().sum())
    }

    /// Deletes files that no version has named for a day: what merges and purges leave, and what a
    /// crash left before its commit.
    fn vacuum(&self) -> io::Result<()> {
        let version = self.current();
        let named: HashSet<&str> = version.files.iter().map(|file| file.path.as_str()).collect();
        let is_old = |path: &Path| -> io::Result<bool> {
            let changed = path.metadata()?.modified()?;
            Ok(SystemTime::now().duration_since(changed).is_ok_and(|age| age > GRACE))
        };
        for folder in std::fs::read_dir(&self.root)? {
            let folder = folder?;
            let name = folder.file_name().to_string_lossy().into_owned();
            if !name.starts_with("day=") {
                continue;
            }
            for file in std::fs::read_dir(folder.path())? {
                let path = file?.path();
                let within = format!("{name}/{}", path.file_name().unwrap_or_default().to_string_lossy());
                if !named.contains(within.as_str()) && is_old(&path)? {
                    std::fs::remove_file(&path)?;
                    // A needle file without its data file is never asked.
                    let _ = std::fs::remove_file(self.root.join(needle_path(&within)));
                }
            }
        }
        Ok(())
    }
}

fn log_at(logs: &arrow::array::StringArray, row: usize) -> &str {
    if logs.is_valid(row) { logs.value(row) } else { "" }
}

/// How many rows of each log type a file has.
fn logs_of(path: &Path) -> io::Result<BTreeMap<String, u64>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?).map_err(io::Error::other)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), [LOG]);
    let mut counts = BTreeMap::new();
    for batch in builder.with_projection(mask).with_batch_size(8192).build().map_err(io::Error::other)? {
        let batch = batch.map_err(io::Error::other)?;
        let Some(logs) = batch.column_by_name(LOG).and_then(|array| array.as_string_opt::<i32>()) else {
            continue;
        };
        for row in 0..logs.len() {
            let log = log_at(logs, row);
            match counts.get_mut(log) {
                Some(count) => *count += 1,
                None => drop(counts.insert(log.to_owned(), 1u64)),
            }
        }
    }
    Ok(counts)
}

fn write_down(journal: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = journal.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(journal)?;
    writeln!(file, "{line}")?;
    file.sync_all()?;
    crate::write::sync_folder(journal)
}
