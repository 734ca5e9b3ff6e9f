//! One tenant's events: commits, and the version that queries read.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use hashbrown::HashMap;
use tokio::runtime::Runtime;
use vigie_model::{Column, Committed, Documents, EventBatch, LaneMark, Store, Tenant};

use crate::ids::Known;
use crate::query::{Engine, QUERY_TIME_MAX};
use crate::retain::Ages;
use crate::schema::{TABLE_COLUMNS_MAX, check_list, delta_fields, file_schema, missing_fields, stored_schema};
use crate::table::{Purpose, Table, Version};
use crate::write::{FileWriter, WrittenFile, by_day, record_batch};

/// Rows handed to a file at a time: what is built of them stays in the cache until it is written.
pub(crate) const WRITE_ROWS: usize = 1024;

/// The lake of one tenant.
pub struct Lake {
    pub(crate) tenant: Tenant,
    pub(crate) root: PathBuf,
    pub(crate) columns: Vec<Column>,
    pub(crate) schema: SchemaRef,
    /// The schema of files that are written from other files: it has the table's other columns too.
    pub(crate) stored: SchemaRef,
    pub(crate) documents: Arc<dyn Documents>,
    pub(crate) engine: Engine,
    /// Whether queries ask the needle index.
    pub(crate) is_indexed: bool,
    /// How long a query may run.
    pub(crate) query_time: Duration,
    pub(crate) runtime: Runtime,
    writer: Mutex<Option<Writer>>,
    /// The table of a lake that only reads.
    reader: Mutex<Option<Table>>,
    current: RwLock<Arc<Version>>,
    /// When this process looked at the clock last.
    looked: Mutex<Option<Instant>>,
    /// What is known of when files have something to purge.
    ages: Mutex<Ages>,
}

/// What only the one writer has.
pub(crate) struct Writer {
    table: Table,
    known: Known,
    marks: HashMap<String, i64>,
}

/// Where the table of a tenant lies within the lake's folder.
pub fn table_folder(lake: &Path, tenant: &Tenant) -> PathBuf {
    lake.join(&tenant.0).join("events")
}

impl Lake {
    /// Opens a tenant's table to read and write; it is made when it is missing. Columns that it lacks are
    /// added to it: older events have no values in them until a rebuild. What it has beside these columns
    /// stays.
    ///
    /// # Errors
    /// A sentence that says what cannot be used, and why.
    pub fn open(lake: &Path, tenant: &Tenant, columns: Vec<Column>, documents: Arc<dyn Documents>) -> Result<Lake, String> {
        let mut made = Lake::new(lake, tenant, columns, documents)?;
        let (table, stored) = made.runtime.block_on(made.table_to_write())?;
        made.stored = stored;
        // The table's folder, the tenant's, the lake's, and the one that the lake lies in: what is flushed in
        // a folder whose own name is not on disk is gone after a power cut.
        let flushed = made.root.ancestors().take(4).try_for_each(|folder| std::fs::File::open(folder)?.sync_all());
        flushed.map_err(|error| format!("`{}`: {error}", made.root.display()))?;
        made.set_current(table.version());
        *made.writer() = Some(Writer { table, known: Known::default(), marks: HashMap::new() });
        Ok(made)
    }

    /// The table with all columns of the list, and the schema of files that are written from its files.
    async fn table_to_write(&self) -> Result<(Table, SchemaRef), String> {
        let wanted = delta_fields(&self.schema);
        let Some(mut table) = Table::open(&self.root).await? else {
            return Ok((Table::create(&self.root, wanted).await?, Arc::clone(&self.schema)));
        };
        let there = table.fields();
        let stored = stored_schema(&self.schema, &there).map_err(|why| self.refused(&why))?;
        let missing = missing_fields(&there, &wanted).map_err(|why| self.refused(&why))?;
        if missing.is_empty() {
            return Ok((table, stored));
        }
        let (have, more) = (there.len(), missing.len());
        if have + more > TABLE_COLUMNS_MAX {
            return Err(self.refused(&format!(
                "the table has {have} columns and would get {more} more, and it may have {TABLE_COLUMNS_MAX}: name fewer new ones"
            )));
        }
        table.add_fields(missing).await?;
        Ok((table, stored))
    }

    /// Why this table cannot be used, with its folder.
    fn refused(&self, why: &str) -> String {
        format!("`{}`: {why}", self.root.display())
    }

    /// Opens a tenant's table to read, beside whoever writes it. A missing table has no events. Columns
    /// that the table lacks have no values; those that it has beside these are not seen.
    ///
    /// # Errors
    /// A sentence that says what cannot be used, and why.
    pub fn read(lake: &Path, tenant: &Tenant, columns: Vec<Column>, documents: Arc<dyn Documents>) -> Result<Lake, String> {
        let made = Lake::new(lake, tenant, columns, documents)?;
        made.refresh()?;
        Ok(made)
    }

    /// Reads what somebody else committed since, in a lake that is open to read; the version that
    /// questions read from now on.
    ///
    /// # Errors
    /// A sentence, when the table cannot be read; questions go on with the version they had.
    pub fn refresh(&self) -> Result<u64, String> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        match reader.as_mut() {
            Some(table) => self.runtime.block_on(table.refresh())?,
            None => *reader = self.runtime.block_on(Table::open(&self.root))?,
        }
        if let Some(table) = reader.as_ref()
            && (table.number() != self.current().number || table.number() == 0)
        {
            missing_fields(&table.fields(), &delta_fields(&self.schema)).map_err(|why| self.refused(&why))?;
            self.set_current(table.version());
        }
        Ok(self.current().number)
    }

    fn new(lake: &Path, tenant: &Tenant, columns: Vec<Column>, documents: Arc<dyn Documents>) -> Result<Lake, String> {
        let lake = std::path::absolute(lake).map_err(|error| format!("`{}`: {error}", lake.display()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("lake").enable_all().build();
        let runtime = runtime.map_err(|error| format!("no threads for the lake: {error}"))?;
        check_list(&columns)?;
        let schema = file_schema(&columns);
        let stored = Arc::clone(&schema);
        let root = table_folder(&lake, tenant);
        let engine = Engine::new()?;
        let (writer, reader, current) = (Mutex::new(None), Mutex::new(None), RwLock::default());
        let (is_indexed, query_time) = (true, QUERY_TIME_MAX);
        let (tenant, looked, ages) = (tenant.clone(), Mutex::new(None), Mutex::default());
        Ok(Lake {
            tenant,
            root,
            columns,
            schema,
            stored,
            documents,
            engine,
            is_indexed,
            query_time,
            runtime,
            writer,
            reader,
            current,
            looked,
            ages,
        })
    }

    /// The same lake, whose queries read every row: what the needle index is compared with.
    pub fn without_index(mut self) -> Lake {
        self.is_indexed = false;
        self
    }

    /// The same lake, whose queries may run this long.
    pub fn with_query_time(mut self, limit: Duration) -> Lake {
        self.query_time = limit;
        self
    }

    /// Who has this commits alone.
    pub(crate) fn writer(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who has this purges alone.
    pub(crate) fn ages(&self) -> MutexGuard<'_, Ages> {
        self.ages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds that this process ran since it asked this last, whatever the clock says; 0 at first.
    pub(crate) fn ran_since_last_look(&self) -> i64 {
        let last = self.looked.lock().unwrap_or_else(PoisonError::into_inner).replace(Instant::now());
        last.map_or(0, |last| i64::try_from(last.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// The version that new queries read.
    pub(crate) fn current(&self) -> Arc<Version> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_current(&self, version: Version) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(version);
    }

    /// Columns of a table that is open to write which the list does not name: new events have no values in
    /// them, a merge keeps those that are there, and a rebuild does not.
    pub fn unlisted_columns(&self) -> Vec<String> {
        self.stored.fields().iter().skip(self.schema.fields().len()).map(|field| field.name().clone()).collect()
    }

    /// What the table holds now.
    pub fn size(&self) -> LakeSize {
        let version = self.current();
        LakeSize {
            version: version.number,
            files: version.files.len() as u64,
            events: version.files.iter().map(|file| file.rows).sum(),
            bytes: version.files.iter().map(|file| file.bytes).sum(),
        }
    }

    fn write_days(&self, batches: &[EventBatch], fresh: &[bool]) -> std::io::Result<Vec<WrittenFile>> {
        let mut written = Vec::new();
        for (day, rows) in by_day(batches, &self.columns, |row| fresh.get(row).copied().unwrap_or(true)) {
            let mut file = FileWriter::fresh(&self.root, day, &self.schema, &self.columns)?;
            for rows in rows.chunks(WRITE_ROWS) {
                file.write(&record_batch(batches, &self.columns, rows, &self.schema)?)?;
            }
            written.push(file.finish()?);
        }
        Ok(written)
    }

    /// Runs a change of files that keeps every event, or that purges some, as one commit.
    pub(crate) fn replace(
        &self,
        purpose: Purpose,
        written: &[WrittenFile],
        gone: &[crate::table::DataFile],
    ) -> Result<u64, String> {
        let mut writer = self.writer();
        let writer = writer.as_mut().ok_or("this lake is open for reading only")?;
        fail::fail_point!("lake.replace", |_| Err("a fail point".to_owned()));
        let version = self.runtime.block_on(writer.table.commit(purpose, written, gone, None))?;
        fail::fail_point!("lake.replaced", |_| Err("a fail point".to_owned()));
        for file in gone {
            // The age of a file that is gone counts from here: queries may still read it. When the time
            // cannot be written, it is deleted a little early or late.
            if let Ok(file) = std::fs::File::options().append(true).open(self.root.join(&file.path)) {
                let _ = file.set_modified(std::time::SystemTime::now());
            }
        }
        self.set_current(writer.table.version());
        Ok(version)
    }
}

/// What a table holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LakeSize {
    /// The version of the table.
    pub version: u64,
    /// Data files.
    pub files: u64,
    /// Events.
    pub events: u64,
    /// Bytes of data files.
    pub bytes: u64,
}

impl Store for Lake {
    fn commit(&self, batches: &[EventBatch], mark: &LaneMark) -> Result<Committed, String> {
        let mut writer = self.writer();
        let writer = writer.as_mut().ok_or("this lake is open for reading only")?;
        let last = match writer.marks.get(&mark.lane) {
            Some(number) => Some(*number),
            None => self.runtime.block_on(writer.table.mark(&mark.lane))?,
        };
        if last.is_some_and(|last| mark.number <= last) {
            return Err(format!("batch {} of `{}` is in the table already", mark.number, mark.lane));
        }
        let version = self.current();
        let failed = |error: std::io::Error| format!("`{}`: {error}", self.root.display());
        let fresh = writer.known.fresh(&self.root, &version, batches).map_err(failed)?;
        let written = self.write_days(batches, &fresh).map_err(failed)?;
        fail::fail_point!("lake.commit", |_| Err("a fail point".to_owned()));
        let number = self.runtime.block_on(writer.table.commit(Purpose::Keep, &written, &[], Some(mark)))?;
        fail::fail_point!("lake.committed", |_| Err("a fail point".to_owned()));
        writer.marks.insert(mark.lane.clone(), mark.number);
        let rows = || batches.iter().flat_map(|batch| batch.ids.iter().zip(&batch.is_named));
        let kept = || rows().zip(&fresh).filter(|(_, is_fresh)| **is_fresh);
        writer.known.remember(kept().filter(|((_, is_named), _)| **is_named).map(|((id, _), _)| id.0));
        self.set_current(writer.table.version());
        let stored = kept().count() as u64;
        Ok(Committed { version: number, stored, duplicates: fresh.len() as u64 - stored })
    }

    fn mark(&self, lane: &str) -> Result<Option<i64>, String> {
        let mut writer = self.writer();
        let writer = writer.as_mut().ok_or("this lake is open for reading only")?;
        let mark = self.runtime.block_on(async {
            writer.table.refresh().await?;
            writer.table.mark(lane).await
        })?;
        // What is seen is not always on disk: a process that was killed, or a flush that failed, may have left
        // the newest entry's name in memory only. What follows from the mark frees the spool.
        let flushed = crate::write::sync_folder(&self.root.join("_delta_log/newest"));
        flushed.map_err(|error| format!("`{}`: {error}", self.root.display()))?;
        if let Some(mark) = mark {
            writer.marks.insert(lane.to_owned(), mark);
        }
        self.set_current(writer.table.version());
        Ok(mark)
    }
}
