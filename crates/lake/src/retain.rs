//! Retention: events past their time go, with a line in a journal that says what went.
//!
//! What is past its time is said by the clock alone, and a clock can be wrong by years. A clock that is
//! far ahead of what the table saw last is therefore not believed at once: see [`Seen`].
//!
//! What a file holds is counted once a process, or not even that: see [`Ages`] and [`Tally`].

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use hashbrown::{HashMap, HashSet};
use vigie_model::Millis;

use crate::lake::Lake;
use crate::table::{DataFile, Purpose, Version, sentence};
use crate::tally::{Kinds, Tally};
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

/// How long events are kept, in days. An event whose log type and class both have an entry is kept for
/// the longer of the two: an event that stays too long can still be purged, one that is gone cannot
/// come back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// For every event whose log type and class both have no entry.
    pub days: u32,
    /// By log type.
    pub by_log: BTreeMap<String, u32>,
    /// By OCSF class; 0 is that of events without a mapping, and of records in quarantine.
    pub by_class: BTreeMap<u32, u32>,
}

impl Retention {
    fn days_of(&self, log: &str, class: i64) -> u32 {
        let by_log = self.by_log.get(log).copied();
        let by_class = u32::try_from(class).ok().and_then(|class| self.by_class.get(&class).copied());
        // No entry is less than any.
        by_log.max(by_class).unwrap_or(self.days)
    }

    /// What no event is kept for less than, whatever its log type and class: the longer of two entries
    /// is not less than the least of all.
    fn least(&self) -> u32 {
        self.by_log.values().chain(self.by_class.values()).copied().fold(self.days, u32::min)
    }

    /// The age up to which all of these events are kept.
    fn whole_days(&self, tally: &Tally) -> u32 {
        tally.each().map(|(log, class, _)| self.days_of(log, class)).min().unwrap_or(u32::MAX)
    }
}

/// The age up to which all of a file is kept, of each file that was looked into. A data file never
/// changes, so one in which nothing is past its time is not read again before something is.
#[derive(Debug, Default)]
pub(crate) struct Ages {
    /// What the ages follow from.
    retention: Retention,
    /// In days, by the path of the file.
    whole_days: HashMap<String, u32>,
}

impl Ages {
    /// Forgets what no longer holds: all by another retention, and files that the version does not name.
    fn renew(&mut self, retention: &Retention, version: &Version) {
        if self.retention != *retention {
            *self = Ages { retention: retention.clone(), whole_days: HashMap::new() };
        }
        let named: HashSet<&str> = version.files.iter().map(|file| file.path.as_str()).collect();
        self.whole_days.retain(|path, _| named.contains(path.as_str()));
    }

    /// Whether something in a file of this age may be past its time.
    fn is_due(&self, path: &str, age: u32) -> bool {
        self.whole_days.get(path).is_none_or(|days| age > *days)
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
    /// Removes events past their time: how many. A file is rewritten once events of a log type and class
    /// in it are past theirs; what goes stands in the journal before it goes.
    ///
    /// # Errors
    /// A sentence; what was not purged is still there.
    pub fn purge(&self, retention: &Retention, now: Millis) -> Result<u64, String> {
        self.look_at_clock(now).map_err(|error| format!("`{}`: {error}", self.root.join(CLOCK).display()))?.believe(now)?;
        let today = now.div_euclid(DAY_MS);
        let (version, least) = (self.current(), retention.least());
        let mut ages = self.ages();
        ages.renew(retention, &version);
        let mut purged = 0;
        for file in &version.files {
            let age = u32::try_from(today - i64::from(file.day)).unwrap_or(0);
            if age > least && ages.is_due(&file.path, age) {
                purged += self.purge_file(file, age, now, &mut ages)?;
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

    fn purge_file(&self, file: &DataFile, age: u32, now: Millis, ages: &mut Ages) -> Result<u64, String> {
        let failed = |error: io::Error| format!("`{}`: {error}", file.path);
        let retention = &ages.retention;
        let is_past = |log: &str, class: i64| age > retention.days_of(log, class);
        let (past, kept) = Tally::of(&self.root.join(&file.path)).map_err(failed)?.split(is_past);
        let whole_days = retention.whole_days(&kept);
        if past.is_empty() {
            ages.whole_days.insert(file.path.clone(), whole_days);
            return Ok(0);
        }
        let mut written = Vec::new();
        if !kept.is_empty() {
            let keep = |batch: RecordBatch| {
                let kinds = Kinds::of(&batch);
                let is_kept = |row: usize| {
                    let (log, class) = kinds.at(row);
                    !is_past(log, class)
                };
                let mask: BooleanArray = (0..batch.num_rows()).map(|row| Some(is_kept(row))).collect();
                filter_record_batch(&batch, &mask).map_err(sentence)
            };
            written = self.runtime.block_on(self.rewrite(std::slice::from_ref(file), &keep))?;
        }
        let (wanted, rows) = (kept.events(), written.iter().map(|file| file.rows).sum::<u64>());
        if wanted != rows {
            return Err(format!(
                "`{}`: {wanted} events would be kept, and {rows} were written; nothing of it was purged",
                file.path
            ));
        }
        let day = day_folder(file.day).trim_start_matches("day=").to_owned();
        let entry = serde_json::json!({
            "at": vigie_model::format_utc(now), "day": day, "file": file.path,
            "events": past.by_log(), "by_class": past.by_class(),
        });
        write_down(&self.root.join(JOURNAL), &entry.to_string()).map_err(failed)?;
        fail::fail_point!("purge.noted", |_| Err("a fail point".to_owned()));
        self.replace(Purpose::Purge, &written, std::slice::from_ref(file))?;
        ages.whole_days.extend(written.into_iter().map(|file| (file.path, whole_days)));
        Ok(past.events())
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
    use std::sync::Arc;

    use vigie_model::{Column, ColumnKind, ColumnValues, Documents, EventBatch, EventId, LaneMark, Store as _, Tenant};

    use super::*;
    use crate::schema::{CLASS, TIME};

    const NOW: Millis = 1_790_000_000_000;

    fn retention(days: u32, by_log: &[(&str, u32)], by_class: &[(u32, u32)]) -> Retention {
        let by_log = by_log.iter().map(|(log, days)| ((*log).to_owned(), *days)).collect();
        Retention { days, by_log, by_class: by_class.iter().copied().collect() }
    }

    #[test]
    fn the_longest_of_log_type_and_class_holds() {
        let both = retention(365, &[("a/b", 30), ("c/d", 400), ("e/f", 0)], &[(6003, 90), (3002, 10), (0, 7)]);
        for (log, class, days) in [
            ("a/b", 6003, 90),
            ("a/b", 3002, 30),
            ("a/b", 4001, 30),
            ("c/d", 6003, 400),
            ("e/f", 3002, 10),
            ("e/f", 4001, 0),
            ("g/h", 6003, 90),
            ("g/h", 3002, 10),
            ("g/h", 4001, 365),
            ("", 0, 7),
            ("", 4001, 365),
            // No class has such a number.
            ("g/h", -3002, 365),
            ("g/h", (1 << 32) + 3002, 365),
        ] {
            assert_eq!(both.days_of(log, class), days, "{log} {class}");
            assert!(both.least() <= days, "{log} {class}");
        }
        for (retention, least) in [
            (retention(365, &[], &[]), 365),
            (retention(5, &[("a/b", 30)], &[(6003, 90)]), 5),
            (retention(365, &[("a/b", 30)], &[(6003, 90)]), 30),
            (retention(365, &[("a/b", 90)], &[(6003, 30)]), 30),
        ] {
            assert_eq!(retention.least(), least, "{retention:?}");
        }
    }

    struct NoDocuments;

    impl Documents for NoDocuments {
        fn document(&self, _: &str, _: &[u8], _: &str) -> Option<String> {
            None
        }
    }

    /// A lake with one file of events ten days old, of these log types and classes.
    fn lake(folder: &Path, events: &[(&str, i64)]) -> Lake {
        let column = |name: &str, kind| Column { name: name.to_owned(), path: name.to_owned(), kind, index: None, since: 1 };
        let columns = vec![column(TIME, ColumnKind::TimeMs), column(CLASS, ColumnKind::Integer)];
        let lake = Lake::open(folder, &Tenant::default(), columns, Arc::new(NoDocuments)).unwrap();
        let mut batch = EventBatch::new(&lake.columns);
        for (number, (log, class)) in (1..).zip(events) {
            let at = NOW - 10 * DAY_MS;
            batch.ids.push(EventId::new(at, EventId::name_hash(&[&[number]]), 0));
            batch.is_named.push(true);
            batch.delivered.push(None);
            batch.ingested.push(at);
            batch.logs.push(Some(log.as_bytes()));
            batch.raw.push(Some(b"{}"));
            for texts in
                [&mut batch.sources, &mut batch.mappings, &mut batch.enrichments, &mut batch.reasons, &mut batch.raw_binary]
            {
                texts.push(None);
            }
            for (values, value) in batch.columns.iter_mut().zip([at, *class]) {
                if let ColumnValues::Integer(values) = values {
                    values.push(Some(value));
                }
            }
        }
        lake.commit(&[batch], &LaneMark { lane: "test".to_owned(), number: 1 }).unwrap();
        let clock = serde_json::json!({ "format": CLOCK_FORMAT, "at": NOW, "doubted_ms": null });
        std::fs::write(lake.root.join(CLOCK), clock.to_string()).unwrap();
        lake
    }

    /// The one data file of a lake.
    fn only_file(lake: &Lake) -> std::path::PathBuf {
        let files = &lake.current().files;
        assert_eq!(files.len(), 1);
        lake.root.join(&files[0].path)
    }

    #[test]
    fn a_file_with_nothing_past_its_time_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let lake = lake(folder.path(), &[("a/b", 6003), ("a/b", 3002), ("c/d", 3002), ("c/d", 6003)]);
        // One class is over after a day, and none of its events is here.
        let long = retention(30, &[], &[(4001, 1)]);
        assert_eq!(lake.purge(&long, NOW), Ok(0));
        let (file, aside) = (only_file(&lake), folder.path().join("aside"));
        std::fs::rename(&file, &aside).unwrap();
        assert_eq!(lake.purge(&long, NOW), Ok(0), "it is not even opened");
        let other = retention(30, &[("c/d", 2)], &[(6003, 5), (3002, 20)]);
        let why = lake.purge(&other, NOW).unwrap_err();
        assert!(why.contains("parquet"), "by another retention it is: {why}");
        std::fs::rename(&aside, &file).unwrap();

        assert_eq!(lake.purge(&other, NOW), Ok(2));
        let journal = std::fs::read_to_string(lake.root.join(JOURNAL)).unwrap();
        let line: serde_json::Value = serde_json::from_str(&journal).unwrap();
        assert_eq!(line["events"], serde_json::json!({ "a/b": 1, "c/d": 1 }), "{line}");
        assert_eq!(line["by_class"], serde_json::json!({ "6003": 2 }), "{line}");
        assert_eq!(lake.size().events, 2);
        let rewritten = only_file(&lake);
        assert_ne!(rewritten, file);
        std::fs::rename(&rewritten, &aside).unwrap();
        assert_eq!(lake.purge(&other, NOW), Ok(0), "what was rewritten is known");
        std::fs::rename(&aside, &rewritten).unwrap();

        // By then all of it is past its time, and nothing is written in its place.
        assert_eq!(lake.purge(&retention(9, &[], &[]), NOW), Ok(2));
        assert_eq!((lake.size().events, lake.size().files), (0, 0));
    }

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
