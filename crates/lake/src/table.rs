//! The table's log: which data files make a version, and how far each lane has come.
//!
//! Format: Delta Lake protocol 1 / 2 (github.com/delta-io/delta/blob/master/PROTOCOL.md), so that any
//! engine which reads Delta reads the lake while no Vigie runs.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use deltalake_core::DeltaTableBuilder;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Add, LogicalFileView, MetadataExt as _, Remove, StructField, StructType, Transaction};
use deltalake_core::logstore::LogStoreRef;
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use url::Url;
use vigie_model::LaneMark;

use crate::durable::DurableFolder;
use crate::schema::{DAY, FORMAT};
use crate::write::{WrittenFile, day_folder};

/// Settings of new tables. Never `delta.setTransactionRetentionDuration`: the numbers of lanes would
/// be forgotten, and what they guard against would happen.
const SETTINGS: [(&str, &str); 4] = [
    ("delta.checkpointInterval", "50"),
    ("delta.logRetentionDuration", "interval 1 days"),
    ("delta.deletedFileRetentionDuration", "interval 1 days"),
    ("delta.enableExpiredLogCleanup", "true"),
];

/// One data file of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataFile {
    /// Its path within the table's folder.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    /// Days since 1970-01-01.
    pub(crate) day: i32,
    /// Microseconds; of the whole day when nothing more is known.
    pub(crate) time_min: i64,
    pub(crate) time_max: i64,
}

/// The files of one version of the table.
#[derive(Debug, Default)]
pub(crate) struct Version {
    pub(crate) number: u64,
    /// By day, then path.
    pub(crate) files: Vec<DataFile>,
}

/// The table of one tenant.
#[derive(Debug)]
pub(crate) struct Table {
    log_store: LogStoreRef,
    state: DeltaTableState,
}

/// What a commit says it was, to readers of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// New events.
    Keep,
    /// The same events in fewer files.
    Compact,
    /// Events past their time are gone.
    Purge,
    /// The same events with columns made anew.
    Rebuild,
}

fn log_store(root: &Path) -> Result<LogStoreRef, String> {
    let url = Url::from_directory_path(root).map_err(|()| format!("`{}` is no absolute path", root.display()))?;
    let builder = DeltaTableBuilder::from_url(url.clone()).map_err(sentence)?;
    builder.with_storage_backend(Arc::new(DurableFolder::new()), url).build_storage().map_err(sentence)
}

/// What the library says, as one line.
pub(crate) fn sentence(error: impl std::fmt::Display) -> String {
    error.to_string().lines().collect::<Vec<_>>().join(" ")
}

impl Table {
    /// Opens the table in a folder; none when there is no table.
    pub(crate) async fn open(root: &Path) -> Result<Option<Table>, String> {
        if !root.join("_delta_log").is_dir() {
            return Ok(None);
        }
        let log_store = log_store(root)?;
        if !log_store.is_delta_table_location().await.map_err(sentence)? {
            return Ok(None);
        }
        let state = DeltaTableState::try_new(log_store.as_ref(), None).await.map_err(sentence)?;
        let format =
            state.metadata().configuration().get("vigie.format").and_then(|number| number.parse().ok()).unwrap_or(FORMAT);
        if format > FORMAT {
            return Err(format!(
                "`{}` has format {format}, and this vigie knows up to {FORMAT}: use a newer vigie",
                root.display()
            ));
        }
        Ok(Some(Table { log_store, state }))
    }

    /// Makes the table in a folder.
    pub(crate) async fn create(root: &Path, fields: Vec<StructField>) -> Result<Table, String> {
        std::fs::create_dir_all(root).map_err(|error| format!("`{}`: {error}", root.display()))?;
        let log_store = log_store(root)?;
        let format = FORMAT.to_string();
        let settings = SETTINGS.iter().copied().chain([("vigie.format", format.as_str())]);
        CreateBuilder::new()
            .with_log_store(Arc::clone(&log_store))
            .with_columns(fields)
            .with_partition_columns([DAY])
            .with_raise_if_key_not_exists(false)
            .with_configuration(settings.map(|(key, value)| (key, Some(value))))
            .await
            .map_err(sentence)?;
        let state = DeltaTableState::try_new(log_store.as_ref(), None).await.map_err(sentence)?;
        Ok(Table { log_store, state })
    }

    /// Reads what others wrote since.
    pub(crate) async fn refresh(&mut self) -> Result<(), String> {
        self.state.update(&self.log_store, None).await.map_err(sentence)
    }

    /// The number of the last batch of a lane.
    pub(crate) async fn mark(&self, lane: &str) -> Result<Option<i64>, String> {
        self.state.transaction_version(self.log_store.as_ref(), lane).await.map_err(sentence)
    }

    /// The number of the version that was read last.
    pub(crate) fn number(&self) -> u64 {
        self.state.version()
    }

    /// The files of the version that was read last.
    pub(crate) fn version(&self) -> Version {
        let mut files: Vec<DataFile> = self.state.log_data().iter().map(|view| data_file(&view)).collect();
        files.sort_by(|left, right| (left.day, &left.path).cmp(&(right.day, &right.path)));
        Version { number: self.state.version(), files }
    }

    /// The columns of the version that was read last, the day's too.
    pub(crate) fn fields(&self) -> Vec<StructField> {
        self.state.schema().fields().cloned().collect()
    }

    /// Adds columns behind those that are there, in one commit that changes no file: rows of the files
    /// that are there have no values in them.
    pub(crate) async fn add_fields(&mut self, fields: Vec<StructField>) -> Result<(), String> {
        let all = self.fields().into_iter().chain(fields.iter().cloned());
        let schema = StructType::try_new(all).map_err(sentence)?;
        let metadata = self.state.metadata().clone().with_schema(&schema).map_err(sentence)?;
        let operation = DeltaOperation::AddColumn { fields };
        self.write(vec![Action::Metadata(metadata)], CommitProperties::default(), operation).await?;
        Ok(())
    }

    /// Names new files, and no longer names old ones, in one commit with a lane's mark.
    pub(crate) async fn commit(
        &mut self,
        purpose: Purpose,
        written: &[WrittenFile],
        gone: &[DataFile],
        mark: Option<&LaneMark>,
    ) -> Result<u64, String> {
        let is_change = purpose != Purpose::Compact;
        let adds = written.iter().map(|file| Action::Add(add(file, is_change)));
        let removes = gone.iter().map(|file| Action::Remove(remove(file, is_change)));
        let actions: Vec<Action> = removes.chain(adds).collect();
        let mut properties = CommitProperties::default();
        if let Some(mark) = mark {
            properties = properties.with_application_transaction(Transaction::new(&mark.lane, mark.number));
        }
        let operation = match purpose {
            Purpose::Keep | Purpose::Rebuild => {
                DeltaOperation::Write { mode: SaveMode::Append, partition_by: Some(vec![DAY.to_owned()]), predicate: None }
            }
            Purpose::Compact => DeltaOperation::Optimize { predicate: None, target_size: 0 },
            Purpose::Purge => DeltaOperation::Delete { predicate: None },
        };
        self.write(actions, properties, operation).await
    }

    /// Writes the next entry of the log.
    async fn write(
        &mut self,
        actions: Vec<Action>,
        properties: CommitProperties,
        operation: DeltaOperation,
    ) -> Result<u64, String> {
        let commit = CommitBuilder::from(properties.with_max_retries(3)).with_actions(actions);
        let done = commit.build(Some(&self.state), Arc::clone(&self.log_store), operation).await.map_err(sentence)?;
        self.state = done.snapshot;
        Ok(done.version)
    }
}

fn add(file: &WrittenFile, is_change: bool) -> Add {
    let millis = |micros: i64| vigie_model::format_utc(micros.div_euclid(1000));
    let stats = serde_json::json!({
        "numRecords": file.rows,
        "minValues": { "time": millis(file.time_min) },
        "maxValues": { "time": millis(file.time_max) },
    });
    let day = day_folder(file.day).trim_start_matches("day=").to_owned();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
    Add {
        path: file.path.clone(),
        partition_values: HashMap::from([(DAY.to_owned(), Some(day))]),
        size: i64::try_from(file.bytes).unwrap_or(i64::MAX),
        modification_time: i64::try_from(now).unwrap_or(0),
        data_change: is_change,
        stats: Some(stats.to_string()),
        tags: Some(HashMap::from([("vigie.needle".to_owned(), Some(file.needle.clone()))])),
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    }
}

fn remove(file: &DataFile, is_change: bool) -> Remove {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
    let day = day_folder(file.day).trim_start_matches("day=").to_owned();
    Remove {
        path: file.path.clone(),
        data_change: is_change,
        deletion_timestamp: Some(i64::try_from(now).unwrap_or(0)),
        extended_file_metadata: Some(true),
        partition_values: Some(HashMap::from([(DAY.to_owned(), Some(day))])),
        size: Some(i64::try_from(file.bytes).unwrap_or(i64::MAX)),
        ..Remove::default()
    }
}

fn data_file(view: &LogicalFileView) -> DataFile {
    let stats: serde_json::Value = view.stats().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let days = view.partition_values_map();
    let day = days.get(DAY).and_then(|day| day.as_deref());
    let day_ms = day.and_then(|day| vigie_model::parse_rfc3339(&format!("{day}T00:00:00Z"))).unwrap_or(0);
    let bound = |side: &str, otherwise: i64| {
        let text = stats.pointer(side).and_then(serde_json::Value::as_str);
        text.and_then(vigie_model::parse_rfc3339).unwrap_or(otherwise).saturating_mul(1000)
    };
    DataFile {
        path: view.path().into_owned(),
        bytes: u64::try_from(view.size()).unwrap_or(0),
        rows: stats.get("numRecords").and_then(serde_json::Value::as_u64).unwrap_or(0),
        day: i32::try_from(day_ms.div_euclid(crate::write::DAY_MS)).unwrap_or(0),
        time_min: bound("/minValues/time", day_ms),
        time_max: bound("/maxValues/time", day_ms + crate::write::DAY_MS - 1),
    }
}
