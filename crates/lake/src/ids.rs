//! Which events are there already (design D9a): an exact memory of the newest ids, and behind it the
//! id filters of the files of a day; what a filter may hold is looked up in the file.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;

use arrow::array::{Array, AsArray};
use hashbrown::{HashMap, HashSet};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use vigie_model::{EventBatch, EventId};

use crate::needle::Needle;
use crate::schema::EVENT_ID;
use crate::table::{DataFile, Version};
use crate::write::needle_path;

/// Ids kept exactly. Duplicates of a source come soon after one another.
const RECENT_IDS_MAX: usize = 2_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Known {
    recent: HashSet<u128>,
    order: VecDeque<u128>,
    /// Needle files by the path of their data file; none for a file that has none.
    needles: HashMap<String, Option<Needle>>,
}

impl Known {
    /// For each row whether it is new. Rows that nothing names are.
    pub(crate) fn fresh(&mut self, root: &Path, version: &Version, batches: &[EventBatch]) -> io::Result<Vec<bool>> {
        let files: HashSet<&str> = version.files.iter().map(|file| file.path.as_str()).collect();
        self.needles.retain(|path, _| files.contains(path.as_str()));
        let count = batches.iter().map(EventBatch::len).sum();
        let mut seen = HashSet::with_capacity(count);
        let mut fresh = Vec::with_capacity(count);
        let mut doubtful: HashMap<&str, Vec<usize>> = HashMap::new();
        let all: Vec<(EventId, bool)> =
            batches.iter().flat_map(|batch| batch.ids.iter().copied().zip(batch.is_named.iter().copied())).collect();
        for (row, (id, is_named)) in all.iter().enumerate() {
            let is_known = *is_named && (!seen.insert(id.0) || self.recent.contains(&id.0));
            fresh.push(!is_known);
            if !*is_named || is_known {
                continue;
            }
            let micros = id.occurred().saturating_mul(1000);
            let of_the_time = |file: &&DataFile| (file.time_min..=file.time_max).contains(&micros);
            for file in version.files.iter().filter(of_the_time) {
                let needle = self.needles.entry(file.path.clone()).or_insert_with(|| {
                    let mut needle = Needle::open(&root.join(needle_path(&file.path))).ok()?;
                    needle.load_ids().ok()?;
                    Some(needle)
                });
                // A file without a filter is looked into.
                if needle.as_ref().is_none_or(|needle| needle.may_hold_id(id.0).unwrap_or(true)) {
                    doubtful.entry(&file.path).or_default().push(row);
                }
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

    /// Remembers ids that were committed.
    pub(crate) fn remember(&mut self, ids: impl Iterator<Item = u128>) {
        for id in ids {
            if self.recent.insert(id) {
                self.order.push_back(id);
            }
        }
        while self.order.len() > RECENT_IDS_MAX {
            if let Some(id) = self.order.pop_front() {
                self.recent.remove(&id);
            }
        }
    }
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
