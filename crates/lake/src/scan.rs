//! The table as the query engine sees it: the files of one version, without those that a filter on
//! time, a bloom or the needle index excludes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DFSchema, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetRowSelection};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use vigie_model::Column;

use crate::needle::{BLOCK_ROWS, Needle, Want};
use crate::prune::{Span, span_of, want_of};
use crate::schema::{DAY, TIME};
use crate::table::{DataFile, Version};
use crate::write::needle_path;

/// Where files are read: the one object store of every session.
pub(crate) const STORE: &str = "file:///";

/// The files of one version of a tenant's table.
#[derive(Debug)]
pub(crate) struct EventsTable {
    root: PathBuf,
    version: Arc<Version>,
    columns: Arc<[Column]>,
    table_schema: TableSchema,
    /// Whether the needle index is asked: always, but in tests that prove it changes no answer.
    is_indexed: bool,
}

/// The schema of queries: texts as views, so that no text is copied to be compared.
fn query_schema(schema: &Schema) -> SchemaRef {
    let kind = |kind: &DataType| match kind {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        other => other.clone(),
    };
    let fields = schema.fields().iter().map(|field| Field::new(field.name(), kind(field.data_type()), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

impl EventsTable {
    pub(crate) fn new(
        root: &Path,
        version: Arc<Version>,
        columns: &[Column],
        file_schema: &Schema,
        is_indexed: bool,
    ) -> EventsTable {
        let day = Arc::new(Field::new(DAY, DataType::Date32, false));
        let table_schema = TableSchema::builder(query_schema(file_schema)).with_table_partition_cols(vec![day]).build();
        EventsTable { root: root.to_owned(), version, columns: columns.into(), table_schema, is_indexed }
    }

    /// The rows of a file that may match: none when no row may, a selection when not all may.
    fn selection(&self, file: &DataFile, want: &Want) -> Option<Option<RowSelection>> {
        if *want == Want::Anything || !self.is_indexed {
            return Some(None);
        }
        let needle = Needle::open(&self.root.join(needle_path(&file.path)));
        // A file without a filter is scanned, never skipped.
        let Some((blocks, rows)) = needle.and_then(|needle| Ok((needle.blocks(want)?, needle.rows))).ok() else {
            return Some(None);
        };
        if rows as u64 != file.rows {
            return Some(None);
        }
        if !blocks.contains(&true) {
            return None;
        }
        if blocks.iter().all(|holds| *holds) {
            return Some(None);
        }
        let block_rows = |block: usize| BLOCK_ROWS.min(rows.saturating_sub(block * BLOCK_ROWS));
        let selectors = blocks.iter().enumerate().map(|(block, holds)| match holds {
            true => RowSelector::select(block_rows(block)),
            false => RowSelector::skip(block_rows(block)),
        });
        Some(Some(RowSelection::from(selectors.collect::<Vec<_>>())))
    }

    fn partitioned(&self, file: &DataFile, selection: Option<RowSelection>) -> PartitionedFile {
        let path = self.root.join(&file.path);
        let path = path.to_string_lossy();
        let mut made = PartitionedFile::new(path.trim_start_matches('/'), file.bytes);
        made.partition_values = vec![ScalarValue::Date32(Some(file.day))];
        match selection {
            // The numbers of rows and bounds hold for the whole file only.
            Some(selection) => made = made.with_extension(ParquetRowSelection::new(selection)),
            None => made = made.with_statistics(Arc::new(self.statistics(file))),
        }
        made
    }

    fn statistics(&self, file: &DataFile) -> Statistics {
        let schema = self.table_schema.file_schema();
        let mut statistics = Statistics::new_unknown(schema);
        statistics.num_rows = Precision::Exact(usize::try_from(file.rows).unwrap_or(usize::MAX));
        if let Ok(at) = schema.index_of(TIME)
            && let Some(column) = statistics.column_statistics.get_mut(at)
        {
            let instant = |micros| Precision::Exact(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
            *column = ColumnStatistics {
                min_value: instant(file.time_min),
                max_value: instant(file.time_max),
                null_count: Precision::Exact(0),
                ..ColumnStatistics::default()
            };
        }
        statistics
    }

    /// The files that may hold matching rows, newest first, in so many groups of like size.
    fn groups(&self, span: Span, want: &Want, count: usize) -> Vec<FileGroup> {
        let mut groups = vec![(0u64, Vec::new()); count.max(1)];
        for file in self.version.files.iter().rev().filter(|file| span.touches(file)) {
            let Some(selection) = self.selection(file, want) else {
                continue;
            };
            let bytes = match &selection {
                Some(selection) => file.bytes / file.rows.max(1) * selection.row_count() as u64,
                None => file.bytes,
            };
            if let Some(group) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
                group.0 += bytes;
                group.1.push(self.partitioned(file, selection));
            }
        }
        groups.into_iter().map(|(_, files)| files).filter(|files| !files.is_empty()).map(FileGroup::new).collect()
    }
}

#[async_trait]
impl TableProvider for EventsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.table_schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let span = span_of(filters);
        let want = Want::all(filters.iter().map(|filter| want_of(filter, &self.columns)).collect());
        let groups = self.groups(span, &want, state.config().target_partitions());
        if groups.is_empty() {
            let schema = self.schema();
            let schema = match projection {
                Some(projection) => Arc::new(schema.project(projection)?),
                None => schema,
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let url = ObjectStoreUrl::parse(STORE)?;
        let store = state.runtime_env().object_store(&url)?;
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let mut source = ParquetSource::new(self.table_schema.clone())
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_parquet_file_reader_factory(Arc::new(CachedParquetFileReaderFactory::new(store, cache)))
            .with_pushdown_filters(true)
            .with_reorder_filters(true)
            .with_enable_page_index(true);
        if let Some(filter) = conjunction(filters.to_vec()) {
            let schema = DFSchema::try_from(self.schema())?;
            source = source.with_predicate(state.create_physical_expr(filter, &schema)?);
        }
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit.filter(|_| filters.is_empty()))
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
