//! What was sent against what is stored: each event by its name, and none twice.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use serde_json::Value;

use crate::service::record;
use crate::vigie;

/// Records that were sent, and those that were acknowledged.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Numbers of records whose delivery was answered with 200.
    pub acknowledged: BTreeSet<u64>,
    /// Numbers of records whose delivery was not answered: they may be stored or not.
    pub unanswered: Vec<u64>,
}

/// Records of these numbers, one a line.
pub fn batch(numbers: impl IntoIterator<Item = u64>) -> String {
    numbers.into_iter().map(|number| record(number) + "\n").collect()
}

/// The name that the record of a number has.
pub fn name(number: u64) -> String {
    format!("e{number:07x}-0000-4000-8000-{number:012x}")
}

/// Ids of the stored events by their names, read without a service. Events without a name are left out.
///
/// # Errors
/// An event is stored twice, or the folder cannot be read.
pub fn ids(data: &Path) -> io::Result<BTreeMap<String, String>> {
    let sql = "select metadata_uid, event_id from events where metadata_uid is not null";
    let ran = vigie(&["sql", sql, "--data", &data.to_string_lossy(), "-o", "ndjson"])?;
    if ran.code != 0 {
        return Err(io::Error::other(ran.err));
    }
    let mut ids = BTreeMap::new();
    for line in ran.out.lines() {
        let row: Value = serde_json::from_str(line).map_err(io::Error::other)?;
        let text = |column: &str| row.get(column).and_then(Value::as_str).unwrap_or_default().to_owned();
        if ids.insert(text("metadata_uid"), text("event_id")).is_some() {
            return Err(io::Error::other(format!("an event is stored twice: {line}")));
        }
    }
    Ok(ids)
}
