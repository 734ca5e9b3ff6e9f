//! What another folder needs to hold one version of a table: entries of the log, data files, and what
//! stands beside them. Whoever copies reads while a service writes.
//!
//! Entries of the log and data files are never changed once they have their name. A data file stays for
//! a day after the last version that names it; an entry of the log goes once a checkpoint is newer and
//! it is a day old. So a copy is made of what one version names, and opened again to see that it is that
//! version: if the log was cleaned in between, the list is made anew. The log's `_last_checkpoint` is a
//! hint that may point past the version, and readers do without it: it is left out.

use std::io;
use std::path::Path;

use vigie_model::Tenant;

use crate::lake::table_folder;
use crate::retain::JOURNAL;
use crate::schema::FORMAT;
use crate::table::Table;
use crate::write::needle_path;

/// The number of the shape of tables.
pub const TABLE_FORMAT: u32 = FORMAT;
/// The folder of the log within a table's folder.
const LOG_FOLDER: &str = "_delta_log";

/// The files of one version of a table, by their paths within its folder, which [`table_folder`] names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableFiles {
    /// The version.
    pub version: u64,
    /// Its events.
    pub events: u64,
    /// The number of the last batch of the lane that was asked for; none when it has none.
    pub mark: Option<i64>,
    /// Entries of the log up to the version.
    pub log: Vec<String>,
    /// Data files.
    pub data: Vec<String>,
    /// Needle files, and the journal of purges: each may be missing, and nothing is lost by that.
    pub beside: Vec<String>,
}

/// The files of the newest version of a tenant's table; none when there is no table. The lake may be
/// written meanwhile.
///
/// # Errors
/// A sentence, when the table cannot be read: asking again may help while a service cleans its log.
pub fn table_files(lake: &Path, tenant: &Tenant, lane: &str) -> Result<Option<TableFiles>, String> {
    let failed = |error: io::Error| format!("`{}`: {error}", lake.display());
    let root = table_folder(&std::path::absolute(lake).map_err(failed)?, tenant);
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("lake").enable_all().build().map_err(failed)?;
    let found = runtime.block_on(async {
        match Table::open(&root).await? {
            Some(table) => {
                let mark = table.mark(lane).await?;
                Ok::<_, String>(Some((table.version(), mark)))
            }
            None => Ok(None),
        }
    })?;
    let Some((version, mark)) = found else {
        return Ok(None);
    };
    let data: Vec<String> = version.files.iter().map(|file| file.path.clone()).collect();
    let needles = data.iter().map(|path| needle_path(path));
    Ok(Some(TableFiles {
        version: version.number,
        events: version.files.iter().map(|file| file.rows).sum(),
        mark,
        log: log_entries(&root, version.number).map_err(failed)?,
        beside: needles.chain([JOURNAL.to_owned()]).collect(),
        data,
    }))
}

/// Commits and checkpoints of a log up to a version, in order.
fn log_entries(root: &Path, last: u64) -> io::Result<Vec<String>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(root.join(LOG_FOLDER))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if version_of(&name).is_some_and(|version| version <= last) {
            entries.push(format!("{LOG_FOLDER}/{name}"));
        }
    }
    entries.sort();
    Ok(entries)
}

/// The version of a commit or checkpoint of the log, by the name of its file; none for what is half
/// written, and for what no reader needs.
fn version_of(name: &str) -> Option<u64> {
    let (number, rest) = name.split_at_checked(20)?;
    let is_entry = rest == ".json" || (rest.starts_with(".checkpoint") && rest.ends_with(".parquet"));
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    if is_entry && is_number { number.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_entries_of_the_log_are_named() {
        for (name, version) in [
            ("00000000000000000007.json", Some(7)),
            ("00000000000000000050.checkpoint.parquet", Some(50)),
            ("00000000000000000050.checkpoint.0000000001.0000000002.parquet", Some(50)),
            ("00000000000000000050.checkpoint.parquet#1", None),
            (".00000000000000000007.json.12.1.tmp", None),
            ("00000000000000000007.crc", None),
            ("_last_checkpoint", None),
            ("7.json", None),
        ] {
            assert_eq!(version_of(name), version, "{name}");
        }
    }
}
