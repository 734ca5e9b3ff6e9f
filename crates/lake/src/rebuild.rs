//! Rebuilding: the columns of stored events made anew from their records, which stay as they are.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use futures::StreamExt;
use vigie_model::{EventBatch, EventId, TextColumn};

use crate::lake::Lake;
use crate::schema::{DELIVERED, ENRICHMENT, EVENT_ID, INGESTED, LOG, MAPPING, RAW, RAW_BINARY, REASON, SOURCE};
use crate::table::{DataFile, Purpose, sentence};
use crate::write::{FileWriter, GROUP_ROWS, WrittenFile, by_day, record_batch};

/// Bytes of records that are held until they are written.
const HELD_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What a rebuild did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Events that were written anew.
    pub events: u64,
    /// Days.
    pub days: u64,
}

impl Lake {
    /// Writes every event anew, a day a commit. `reshape` gets events with all that is not made from
    /// their records, and gives the same rows, in the same order and with the same ids, with their
    /// columns. Those of [`Lake::unlisted_columns`] have no values afterwards.
    ///
    /// # Errors
    /// A sentence; days before it are rebuilt, the others are as they were.
    pub fn rebuild(&self, reshape: &mut dyn FnMut(&EventBatch) -> EventBatch) -> Result<Rebuilt, String> {
        let mut done = Rebuilt::default();
        for day in self.current().files.chunk_by(|left, right| left.day == right.day) {
            let written = self.runtime.block_on(self.rebuild_day(day, reshape))?;
            let (before, after): (u64, u64) =
                (day.iter().map(|file| file.rows).sum(), written.iter().map(|file| file.rows).sum());
            if before != after {
                return Err(format!("a day of {before} events would become {after}; nothing of it was changed"));
            }
            self.replace(Purpose::Rebuild, &written, day)?;
            done.events += after;
            done.days += 1;
        }
        Ok(done)
    }

    async fn rebuild_day(
        &self,
        files: &[DataFile],
        reshape: &mut dyn FnMut(&EventBatch) -> EventBatch,
    ) -> Result<Vec<WrittenFile>, String> {
        let mut rows = self.sorted(files).map_err(sentence)?;
        let mut held = EventBatch::new(&self.columns);
        let mut written = Vec::new();
        while let Some(batch) = rows.next().await {
            let stored = events(&batch.map_err(sentence)?);
            let made = reshape(&stored);
            if made.ids != stored.ids {
                return Err("rebuilding would change the ids of events; nothing of this day was changed".to_owned());
            }
            held.append(&made);
            if held.len() >= GROUP_ROWS || held.held_bytes() >= HELD_BYTES_MAX {
                written.extend(self.write_held(&held)?);
                held = EventBatch::new(&self.columns);
            }
        }
        written.extend(self.write_held(&held)?);
        Ok(written)
    }

    fn write_held(&self, held: &EventBatch) -> Result<Vec<WrittenFile>, String> {
        let failed = |error: std::io::Error| format!("`{}`: {error}", self.root.display());
        let mut written = Vec::new();
        for (day, rows) in by_day(std::slice::from_ref(held), &self.columns, |_| true) {
            let mut file = FileWriter::new(&self.root, day, &self.schema, &self.columns).map_err(failed)?;
            for rows in rows.chunks(crate::lake::WRITE_ROWS) {
                file.write(&record_batch(std::slice::from_ref(held), &self.columns, rows, &self.schema).map_err(failed)?)
                    .map_err(failed)?;
            }
            written.push(file.finish().map_err(failed)?);
        }
        Ok(written)
    }
}

/// Stored rows without their promoted columns.
fn events(batch: &RecordBatch) -> EventBatch {
    let count = batch.num_rows();
    let text = |name: &str| {
        let array = batch.column_by_name(name).and_then(|array| array.as_string_opt::<i32>());
        let mut column = TextColumn::default();
        for row in 0..count {
            column.push(array.filter(|array| array.is_valid(row)).map(|array| array.value(row).as_bytes()));
        }
        column
    };
    let bytes = |name: &str| batch.column_by_name(name).and_then(|array| array.as_binary_opt::<i32>());
    let instant = |name: &str, row: usize| {
        let array = batch.column_by_name(name).and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>())?;
        array.is_valid(row).then(|| array.value(row).div_euclid(1000))
    };
    let (ids, binary) = (bytes(EVENT_ID), bytes(RAW_BINARY));
    let id = |row: usize| ids.and_then(|ids| ids.value(row).first_chunk()).map_or(0, |id| u128::from_be_bytes(*id));
    let mut raw_binary = TextColumn::default();
    for row in 0..count {
        raw_binary.push(binary.filter(|array| array.is_valid(row)).map(|array| array.value(row)));
    }
    EventBatch {
        ids: (0..count).map(|row| EventId(id(row))).collect(),
        delivered: (0..count).map(|row| instant(DELIVERED, row)).collect(),
        ingested: (0..count).map(|row| instant(INGESTED, row).unwrap_or(0)).collect(),
        logs: text(LOG),
        sources: text(SOURCE),
        mappings: text(MAPPING),
        enrichments: text(ENRICHMENT),
        reasons: text(REASON),
        columns: Vec::new(),
        raw: text(RAW),
        raw_binary,
        is_named: vec![false; count],
    }
}
