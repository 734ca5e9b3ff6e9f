//! Which events are there already (design D9a): an exact memory of the newest ids, and behind it the
//! id filters of the files of a day; what a filter may hold is looked up in the file.

use std::fs::File;
use std::io;
use std::path::Path;

use arrow::array::{Array, AsArray};
use hashbrown::{HashMap, HashSet};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use vigie_model::{EventBatch, EventId};

use crate::needle::{IdFilter, Needle};
use crate::schema::EVENT_ID;
use crate::table::{DataFile, Version};
use crate::write::needle_path;

/// Ids of one age that are kept exactly, and there are two ages: duplicates of a source come soon after
/// one another.
const RECENT_IDS_MAX: usize = 450_000;
/// Bytes of filters that stay in memory, and what one takes beside its own.
const FILTER_BYTES_MAX: usize = 64 * 1024 * 1024;
const FILTER_BYTES_MORE: usize = 512;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Known {
    recent: HashSet<u128>,
    /// The age before.
    older: HashSet<u128>,
    /// Filters by the path of their data file; none for a file that has none.
    filters: HashMap<String, Option<IdFilter>>,
    /// Bytes of all of them.
    filter_bytes: usize,
}

impl Known {
    /// For each row whether it is new. Rows that nothing names are.
    pub(crate) fn fresh(&mut self, root: &Path, version: &Version, batches: &[EventBatch]) -> io::Result<Vec<bool>> {
        let files: HashSet<&str> = version.files.iter().map(|file| file.path.as_str()).collect();
        self.filters.retain(|path, _| files.contains(path.as_str()));
        self.filter_bytes = self.filters.values().map(filter_bytes).sum();
        let count = batches.iter().map(EventBatch::len).sum();
        let mut seen = HashSet::with_capacity(count);
        let all: Vec<(EventId, bool)> =
            batches.iter().flat_map(|batch| batch.ids.iter().copied().zip(batch.is_named.iter().copied())).collect();
        let mut is_new = |(id, is_named): &(EventId, bool)| {
            !*is_named || (seen.insert(id.0) && !self.recent.contains(&id.0) && !self.older.contains(&id.0))
        };
        let mut fresh: Vec<bool> = all.iter().map(&mut is_new).collect();
        let micros = |id: EventId| id.occurred().saturating_mul(1000);
        let asked: Vec<(usize, EventId)> = all
            .iter()
            .zip(&fresh)
            .enumerate()
            .filter(|(_, ((_, is_named), is_fresh))| *is_named && **is_fresh)
            .map(|(row, ((id, _), _))| (row, *id))
            .collect();
        let (first, last) =
            asked.iter().fold((i64::MAX, i64::MIN), |(first, last), (_, id)| (first.min(micros(*id)), last.max(micros(*id))));
        let mut doubtful: Vec<(&str, Vec<usize>)> = Vec::new();
        // Most files are of other times than the batch.
        for file in version.files.iter().filter(|file| file.time_min <= last && first <= file.time_max) {
            // A file without a filter is looked into.
            let filter = self.filter(root, file);
            let may_hold = |id: EventId| {
                (file.time_min..=file.time_max).contains(&micros(id)) && filter.is_none_or(|filter| filter.may_hold(id.0))
            };
            let rows: Vec<usize> = asked.iter().filter(|(_, id)| may_hold(*id)).map(|(row, _)| *row).collect();
            if !rows.is_empty() {
                doubtful.push((&file.path, rows));
            }
        }
        for (path, rows) in doubtful {
            let wanted: HashSet<u128> = rows.iter().filter_map(|row| all.get(*row)).map(|(id, _)| id.0).collect();
            let found = look_up(&root.join(path), &wanted)?;
            for row in rows {
                if let (Some((id, _)), Some(is_fresh)) = (all.get(row), fresh.get_mut(row)) {
                    *is_fresh &= !found.contains(&id.0);
                }
            }
        }
        Ok(fresh)
    }

    fn filter(&mut self, root: &Path, file: &DataFile) -> Option<&IdFilter> {
        if !self.filters.contains_key(&file.path) {
            let filter = Needle::open(&root.join(needle_path(&file.path))).and_then(|needle| needle.ids()).ok();
            self.filter_bytes += filter_bytes(&filter);
            if self.filter_bytes > FILTER_BYTES_MAX {
                self.filters.clear();
                self.filter_bytes = filter_bytes(&filter);
            }
            self.filters.insert(file.path.clone(), filter);
        }
        self.filters.get(&file.path)?.as_ref()
    }

    /// Remembers ids that were committed.
    pub(crate) fn remember(&mut self, ids: impl Iterator<Item = u128>) {
        for id in ids {
            if self.recent.len() >= RECENT_IDS_MAX {
                std::mem::swap(&mut self.recent, &mut self.older);
                self.recent.clear();
            }
            self.recent.insert(id);
        }
    }
}

fn filter_bytes(filter: &Option<IdFilter>) -> usize {
    filter.as_ref().map_or(0, IdFilter::held_bytes) + FILTER_BYTES_MORE
}

/// Which of the wanted ids a file has.
fn look_up(path: &Path, wanted: &HashSet<u128>) -> io::Result<HashSet<u128>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?).map_err(io::Error::other)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), [EVENT_ID]);
    let reader = builder.with_projection(mask).with_batch_size(8192).build().map_err(io::Error::other)?;
    let mut found = HashSet::new();
    for batch in reader {
        let batch = batch.map_err(io::Error::other)?;
        let Some(ids) = batch.column_by_name(EVENT_ID).and_then(|array| array.as_binary_opt::<i32>()) else {
            continue;
        };
        let ids = (0..ids.len()).filter_map(|row| ids.value(row).first_chunk()).map(|id| u128::from_be_bytes(*id));
        found.extend(ids.filter(|id| wanted.contains(id)));
    }
    Ok(found)
}
