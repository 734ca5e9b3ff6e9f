//! Retention: events past their time go, with a line in a journal that says what went.
//!
//! What is past its time is said by the clock alone, and a clock can be wrong by years. A clock that is
//! far ahead of what the table saw last is therefore not believed at once: see [`Seen`].

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// The clock as the table saw it last: one JSON object.
const CLOCK: &str = "_vigie/clock.json";
/// The number of the shape of [`CLOCK`].
const CLOCK_FORMAT: i64 = 1;
/// How far the clock may be ahead of what the table saw last, in milliseconds: two days.
const LEAP_MS_MAX: i64 = 2 * DAY_MS;
/// How long a service runs by a clock that is further ahead before it is believed, in milliseconds: a week
/// in which somebody can see it and set it right.
const DOUBT_MS: i64 = 7 * DAY_MS;

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

/// The clock as the table saw it last, and how long it has been in doubt. While it is in doubt nothing
/// is purged: to keep events a week too long is better than to lose them to a wrong clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// The last time that was believed.
    at: Millis,
    /// Milliseconds that services ran since the clock is in doubt; none while it is believed.
    doubted_ms: Option<i64>,
}

impl Seen {
    /// What is seen at `now` by a process that ran `ran_ms` since it looked last. A clock that goes back
    /// is believed: it purges less.
    fn look(self, now: Millis, ran_ms: i64) -> Seen {
        let doubted_ms = self.doubted_ms.map_or(0, |before| before.saturating_add(ran_ms));
        if now.saturating_sub(self.at) <= LEAP_MS_MAX || doubted_ms >= DOUBT_MS {
            return Seen { at: now, doubted_ms: None };
        }
        Seen { at: self.at, doubted_ms: Some(doubted_ms) }
    }

    /// Says why nothing may be purged.
    fn believe(self, now: Millis) -> Result<(), String> {
        let Some(doubted_ms) = self.doubted_ms else {
            return Ok(());
        };
        let (ahead, left) = (now.saturating_sub(self.at) / DAY_MS, (DOUBT_MS - doubted_ms).max(0) / (60 * 60 * 1000));
        let last = vigie_model::format_utc(self.at);
        Err(format!(
            "the clock is {ahead} days ahead of {last}, when the table saw it last, so nothing is purged: set it right, or let the service run for {left} more hours by it"
        ))
    }
}

impl Lake {
    /// Removes events past their time: how many. Each day's files are rewritten once a log type in them
    /// ends; what goes stands in the journal before it goes.
    ///
    /// # Errors
    /// A sentence; what was not purged is still there.
    pub fn purge(&self, retention: &Retention, now: Millis) -> Result<u64, String> {
        self.look_at_clock(now).map_err(|error| format!("`{}`: {error}", self.root.join(CLOCK).display()))?.believe(now)?;
        let today = now.div_euclid(DAY_MS);
        let version = self.current();
        let mut purged = 0;
        for file in &version.files {
            let age = u32::try_from(today - i64::from(file.day)).unwrap_or(0);
            if age > retention.least() {
                purged += self.purge_file(file, age, retention, now)?;
            }
        }
        self.vacuum(now).map_err(|error| format!("`{}`: {error}", self.root.display()))?;
        Ok(purged)
    }

    /// Looks at the clock, and remembers what was seen.
    fn look_at_clock(&self, now: Millis) -> io::Result<Seen> {
        let ran_ms = self.ran_since_last_look();
        let path = self.root.join(CLOCK);
        // A table that never saw a clock has the times of its files.
        let before = read_clock(&path).or_else(|| self.newest_file()).unwrap_or(Seen { at: now, doubted_ms: None });
        let seen = before.look(now, ran_ms);
        let text = serde_json::json!({ "format": CLOCK_FORMAT, "at": seen.at, "doubted_ms": seen.doubted_ms }).to_string();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        Ok(seen)
    }

    /// When the newest data file was written.
    fn newest_file(&self) -> Option<Seen> {
        let written = |file: &DataFile| {
            let modified = self.root.join(&file.path).metadata().ok()?.modified().ok()?;
            Millis::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
        };
        let at = self.current().files.iter().filter_map(written).max()?;
        Some(Seen { at, doubted_ms: None })
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
    /// crash left before its commit. No commit runs meanwhile: by a clock that leaps, its new files would
    /// be old before it names them.
    fn vacuum(&self, now: Millis) -> io::Result<()> {
        let _no_commit = self.writer();
        let version = self.current();
        let named: HashSet<&str> = version.files.iter().map(|file| file.path.as_str()).collect();
        let now: SystemTime = UNIX_EPOCH + Duration::from_millis(u64::try_from(now).unwrap_or(0));
        let is_old = |path: &Path| -> io::Result<bool> {
            let changed = path.metadata()?.modified()?;
            Ok(now.duration_since(changed).is_ok_and(|age| age > GRACE))
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

/// What the file of the clock says; none when there is no such file, or none that can be read.
fn read_clock(path: &Path) -> Option<Seen> {
    let value: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let number = |name: &str| value.get(name).and_then(serde_json::Value::as_i64);
    let at = number("at").filter(|_| number("format") == Some(CLOCK_FORMAT))?;
    Some(Seen { at, doubted_ms: number("doubted_ms") })
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_790_000_000_000;

    #[test]
    fn a_clock_that_leaps_ahead_is_believed_after_a_week_of_running() {
        let known = Seen { at: NOW, doubted_ms: None };
        let hour = DAY_MS / 24;
        assert_eq!(known.look(NOW + 2 * DAY_MS, hour), Seen { at: NOW + 2 * DAY_MS, doubted_ms: None });
        assert_eq!(known.look(NOW - 365 * DAY_MS, hour), Seen { at: NOW - 365 * DAY_MS, doubted_ms: None });
        let far = NOW + 3650 * DAY_MS;
        // What ran before it leapt says nothing.
        let mut seen = known.look(far, 30 * DAY_MS);
        assert_eq!(seen, Seen { at: NOW, doubted_ms: Some(0) });
        let why = seen.believe(far).unwrap_err();
        assert!(why.contains("3650 days ahead") && why.contains("168 more hours"), "{why}");
        for hours in 1..7 * 24 {
            seen = seen.look(far + hours * hour, hour);
            assert!(seen.believe(far).is_err(), "{hours}");
        }
        seen = seen.look(far + 7 * DAY_MS, hour);
        assert_eq!(seen, Seen { at: far + 7 * DAY_MS, doubted_ms: None });
        assert_eq!(seen.believe(far + 7 * DAY_MS), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_right_is_believed_at_once() {
        let seen = Seen { at: NOW, doubted_ms: None }.look(NOW + 3650 * DAY_MS, 0).look(NOW + DAY_MS, 0);
        assert_eq!(seen, Seen { at: NOW + DAY_MS, doubted_ms: None });
    }

    #[test]
    fn a_file_of_the_clock_that_cannot_be_read_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock.json");
        assert_eq!(read_clock(&path), None);
        for (text, expected) in [
            ("{\"format\":1,\"at\":7,\"doubted_ms\":null}", Some(Seen { at: 7, doubted_ms: None })),
            ("{\"format\":1,\"at\":7,\"doubted_ms\":9}", Some(Seen { at: 7, doubted_ms: Some(9) })),
            ("{\"format\":2,\"at\":7}", None),
            ("{\"format\":1", None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_clock(&path), expected, "{text}");
        }
    }
}
