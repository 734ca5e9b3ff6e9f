//! The newest events first: days are asked from the newest on, until there are enough rows.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};

use crate::table::Version;
use crate::write::DAY_MS;

/// Days of the first part; each part has so many times the days of the one before.
const DAYS_FIRST: usize = 4;
const DAYS_FACTOR: usize = 4;

/// Spans of time in microseconds, newest first, each up to the one before it, that hold every event.
pub(crate) fn parts(version: &Version) -> Vec<(i64, i64)> {
    let days: BTreeSet<i32> = version.files.iter().map(|file| file.day).collect();
    let newest: Vec<i32> = days.into_iter().rev().collect();
    let (mut parts, mut until, mut rest, mut size) = (Vec::new(), i64::MAX, newest.as_slice(), DAYS_FIRST);
    while rest.len() > size {
        let (part, older) = rest.split_at(size);
        let first = part.last().copied().unwrap_or_default();
        let from = i64::from(first) * DAY_MS * 1000;
        parts.push((from, until));
        (until, rest, size) = (from, older, size.saturating_mul(DAYS_FACTOR));
    }
    parts.push((i64::MIN, until));
    parts
}

/// The first rows of queries, one query after the other: a later one begins when those before it gave
/// fewer.
pub(crate) fn first(queries: Vec<DataFrame>, limit: usize) -> Result<SendableRecordBatchStream, DataFusionError> {
    let schema = queries.first().map(|query| Arc::clone(query.schema().inner()));
    let schema = schema.ok_or_else(|| DataFusionError::Internal("a search has no part".to_owned()))?;
    let state = (VecDeque::from(queries), None::<SendableRecordBatchStream>, limit);
    let rows = stream::try_unfold(state, |(mut queries, mut running, rest)| async move {
        if rest == 0 {
            return Ok(None);
        }
        loop {
            let Some(stream) = &mut running else {
                let Some(query) = queries.pop_front() else {
                    return Ok(None);
                };
                running = Some(query.execute_stream().await?);
                continue;
            };
            match stream.next().await.transpose()? {
                Some(batch) => {
                    let batch = batch.slice(0, batch.num_rows().min(rest));
                    let rest = rest - batch.num_rows();
                    return Ok(Some((batch, (queries, running, rest))));
                }
                None => running = None,
            }
        }
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::DataFile;

    #[test]
    fn parts_follow_one_another_and_grow() {
        let file = |day: i32| DataFile { path: String::new(), bytes: 1, rows: 1, day, time_min: 0, time_max: 0 };
        let of = |days: &[i32]| parts(&Version { number: 0, files: days.iter().map(|day| file(*day)).collect() });
        let day = DAY_MS * 1000;
        assert_eq!(of(&[]), [(i64::MIN, i64::MAX)]);
        assert_eq!(of(&[1, 1, 2, 9]), [(i64::MIN, i64::MAX)]);
        let year = of(&(0..365).collect::<Vec<_>>());
        assert_eq!(
            year,
            [(361 * day, i64::MAX), (345 * day, 361 * day), (281 * day, 345 * day), (25 * day, 281 * day), (i64::MIN, 25 * day)]
        );
    }
}
