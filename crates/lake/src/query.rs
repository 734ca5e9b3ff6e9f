//! Questions: SQL and the filter bar over one version of the table, within limits.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::{
    CatalogProvider as _, CatalogProviderList as _, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::dataframe::DataFrame;
use datafusion::execution::context::SessionContext;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{FunctionRegistry as _, SessionStateBuilder};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::functions_aggregate::expr_fn::{count, max, min};
use datafusion::logical_expr::{Expr, cast};
use datafusion::prelude::{SQLOptions, SessionConfig, col, lit};
use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;
use vigie_model::{Ask, Canceller, Cell, Millis, QueryEngine, QueryError, Question, RowPlace, Rows};

use crate::lake::Lake;
use crate::schema::{ENRICHMENT, EVENT_ID, INGESTED, LOG, RAW, RAW_BINARY, REASON, TIME};
use crate::{bar, newest, ocsf, scan, truncate};

/// Bytes that all queries may hold together; what sorts and groups need more goes to disk.
const QUERY_BYTES_MAX: usize = 384 * 1024 * 1024;
/// Bytes of file footers kept.
const FOOTER_BYTES_MAX: usize = 192 * 1024 * 1024;
/// Bytes that queries may put on disk.
const SPILL_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// How long a query may run, unless the settings say otherwise.
pub(crate) const QUERY_TIME_MAX: Duration = Duration::from_secs(300);
/// Rows that are given at a time.
const ROWS_GIVEN_MAX: usize = 512;
/// Bytes of a statement.
const STATEMENT_BYTES_MAX: usize = 64 * 1024;
/// Nesting of a statement.
const STATEMENT_DEPTH_MAX: usize = 40;
/// Functions that make as much as they are told, which no limit on memory sees: not there.
const GROWING_FUNCTIONS: [&str; 9] =
    ["repeat", "lpad", "rpad", "space", "array_repeat", "list_repeat", "array_resize", "list_resize", "range"];
/// Where the one table of a session stands.
const CATALOG: &str = "vigie";
const SCHEMA: &str = "lake";
/// Columns of the rows of an export, in order.
const EXPORTED: [&str; 7] = [TIME, EVENT_ID, LOG, REASON, RAW, RAW_BINARY, ENRICHMENT];
/// Steps of a histogram.
const STEPS_MAX: usize = 400;

/// What all queries of a lake share.
pub(crate) struct Engine {
    state: SessionState,
}

impl Engine {
    pub(crate) fn new() -> Result<Engine, String> {
        let runtime: Arc<RuntimeEnv> = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(QUERY_BYTES_MAX)))
            .with_metadata_cache_limit(FOOTER_BYTES_MAX)
            .with_max_temp_directory_size(SPILL_BYTES_MAX)
            .build_arc()
            .map_err(crate::table::sentence)?;
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let config = SessionConfig::new()
            .with_target_partitions(threads)
            .with_information_schema(true)
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .set_usize("datafusion.sql_parser.recursion_limit", STATEMENT_DEPTH_MAX);
        let mut state = SessionStateBuilder::new_with_default_features()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_table_functions(Default::default())
            .build();
        for name in GROWING_FUNCTIONS {
            state.deregister_udf(name).map_err(crate::table::sentence)?;
        }
        state.register_udf(Arc::new(truncate::function())).map_err(crate::table::sentence)?;
        Ok(Engine { state })
    }

    /// Memory, caches and disk of all queries.
    pub(crate) fn runtime(&self) -> Arc<RuntimeEnv> {
        Arc::clone(self.state.runtime_env())
    }
}

/// Where the words of an error come from.
fn said(error: DataFusionError) -> QueryError {
    let text = crate::table::sentence(error.strip_backtrace());
    let text = text.strip_prefix("Error during planning: ").map_or(text.clone(), str::to_owned);
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => QueryError::Limit(format!(
            "the query needs more than {} MiB of memory; ask for fewer columns or a shorter time: {text}",
            QUERY_BYTES_MAX / (1024 * 1024)
        )),
        DataFusionError::SQL(..) | DataFusionError::Plan(_) | DataFusionError::SchemaError(..) => QueryError::Question(text),
        DataFusionError::NotImplemented(_) => QueryError::Question(text),
        _ => QueryError::Failed(text),
    }
}

/// An instant in microseconds as a value.
fn instant(micros: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
}

/// The condition that an event stands behind a row of a search.
fn behind(place: &RowPlace) -> Result<Expr, QueryError> {
    let text = &place.event_id;
    let id = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32);
    let id = id.ok_or_else(|| QueryError::Question(format!("`{text}` is no id of an event: 32 hexadecimal digits")))?;
    let id = lit(ScalarValue::BinaryView(Some(id.to_be_bytes().to_vec())));
    let is_same_instant = col(TIME).eq(instant(place.time_us));
    Ok(col(TIME).lt(instant(place.time_us)).or(is_same_instant.and(col(EVENT_ID).lt(id))))
}

impl Lake {
    /// A session over one version of this tenant's table and nothing else.
    fn session(&self) -> Result<(SessionContext, u64), QueryError> {
        let version = self.current();
        let number = version.number;
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(SCHEMA, Arc::new(MemorySchemaProvider::new())).map_err(said)?;
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
        let builder = SessionStateBuilder::new_from_existing(self.engine.state.clone());
        let context = SessionContext::new_with_state(builder.with_catalog_list(Arc::new(catalogs)).build());
        let table = scan::EventsTable::new(&self.root, version, &self.columns, &self.schema, self.is_indexed);
        context.register_table("events", Arc::new(table)).map_err(said)?;
        context.register_udf(ocsf::function(Arc::clone(&self.documents)));
        Ok((context, number))
    }

    /// The plan of a statement that only reads.
    async fn statement(&self, context: &SessionContext, sql: &str) -> Result<DataFrame, QueryError> {
        if sql.len() > STATEMENT_BYTES_MAX {
            return Err(QueryError::Question(format!("a statement has at most {STATEMENT_BYTES_MAX} bytes")));
        }
        let state = context.state();
        let mut statement = state.sql_to_statement(sql, &state.config_options().sql_parser.dialect).map_err(said)?;
        ocsf::name_columns(&mut statement);
        let plan = state.statement_to_plan(statement).await.map_err(said)?;
        let reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reads.verify_plan(&plan).map_err(|_| {
            QueryError::Question("only statements that read are allowed: SELECT, WITH, EXPLAIN, DESCRIBE, SHOW".to_owned())
        })?;
        context.execute_logical_plan(plan).await.map_err(said)
    }

    /// The events of a question's spans that match a filter.
    async fn matching(&self, context: &SessionContext, filter: &str, question: &Question) -> Result<DataFrame, QueryError> {
        let mut events = context.table("events").await.map_err(said)?;
        if let Some(since) = question.since {
            events = events.filter(col(TIME).gt_eq(instant(since.saturating_mul(1000)))).map_err(said)?;
        }
        if let Some(until) = question.until {
            events = events.filter(col(TIME).lt(instant(until.saturating_mul(1000)))).map_err(said)?;
        }
        if let Some(arrived) = question.arrived {
            events = events.filter(col(INGESTED).gt_eq(instant(arrived.saturating_mul(1000)))).map_err(said)?;
        }
        match bar::expression(filter, &self.columns, &self.documents)? {
            Some(condition) => events.filter(condition).map_err(said),
            None => Ok(events),
        }
    }

    async fn plan(&self, context: &SessionContext, question: &Question) -> Result<DataFrame, QueryError> {
        let span = (question.since, question.until);
        match &question.ask {
            Ask::Sql(sql) => self.statement(context, sql).await,
            Ask::Search { filter, limit } => {
                let events = self.matching(context, filter, question).await?;
                newest_of(events, question, *limit, (i64::MIN, i64::MAX))
            }
            Ask::Histogram { filter, steps } => {
                let events = self.matching(context, filter, question).await?;
                let step = self.step(span, (*steps).clamp(1, STEPS_MAX));
                let micros = cast(col(TIME), DataType::Int64);
                let begin = cast((micros / lit(step)) * lit(step), crate::schema::instant());
                let groups = vec![begin.alias(TIME)];
                let counted = events.aggregate(groups, vec![count(lit(1)).alias("events")]).map_err(said)?;
                counted.sort(vec![col(TIME).sort(true, false)]).map_err(said)
            }
            Ask::Facet { filter, column, limit } => {
                let is_known = *column == LOG || self.columns.iter().any(|known| known.name == *column);
                if !is_known {
                    return Err(QueryError::Question(format!("`{column}` is no column; DESCRIBE events lists them")));
                }
                let events = self.matching(context, filter, question).await?;
                let groups: Vec<Expr> = vec![col(column).alias("value")];
                let counted = events.aggregate(groups, vec![count(lit(1)).alias("events")]).map_err(said)?;
                let most = vec![col("events").sort(false, false), col("value").sort(true, false)];
                counted.sort(most).and_then(|rows| rows.limit(0, Some(*limit))).map_err(said)
            }
            Ask::Extent { filter } => {
                let events = self.matching(context, filter, question).await?;
                let ends = vec![min(col(TIME)).alias("first"), max(col(TIME)).alias("last"), count(lit(1)).alias("events")];
                events.aggregate(Vec::new(), ends).map_err(said)
            }
        }
    }

    /// The events of a span that match a filter, oldest first: what an export writes.
    async fn oldest(
        &self,
        context: &SessionContext,
        filter: &str,
        span: (Option<Millis>, Option<Millis>),
    ) -> Result<DataFrame, QueryError> {
        let question = Question { since: span.0, until: span.1, ..Question::new(self.tenant.clone(), Ask::Sql(String::new())) };
        let events = self.matching(context, filter, &question).await?.select_columns(&EXPORTED).map_err(said)?;
        events.sort(vec![col(TIME).sort(true, false), col(EVENT_ID).sort(true, false)]).map_err(said)
    }

    /// Microseconds of a step: a round length that makes at most so many steps of a span.
    fn step(&self, span: (Option<Millis>, Option<Millis>), steps: usize) -> i64 {
        const SECONDS: [i64; 14] = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 604_800];
        let version = self.current();
        let first = version.files.iter().map(|file| file.time_min).min().unwrap_or(0);
        let last = version.files.iter().map(|file| file.time_max).max().unwrap_or(0);
        let from = span.0.map_or(first, |since| since.saturating_mul(1000).max(first));
        let until = span.1.map_or(last, |until| until.saturating_mul(1000).min(last));
        let least = until.saturating_sub(from).max(1) / i64::try_from(steps).unwrap_or(1) / 1_000_000;
        let seconds = SECONDS.into_iter().find(|seconds| *seconds > least).unwrap_or(least.saturating_add(1));
        seconds.saturating_mul(1_000_000)
    }
}

impl QueryEngine for Lake {
    fn ask(&self, question: &Question) -> Result<Box<dyn Rows>, QueryError> {
        self.is_own(question)?;
        Ok(Box::new(self.begin(&Wanted::Answer(question))?))
    }

    fn version(&self) -> u64 {
        self.current().number
    }
}

/// What a query gives.
pub(crate) enum Wanted<'q> {
    /// The answer to a question.
    Answer(&'q Question),
    /// Events that match a filter, from an instant on and before another, oldest first.
    Oldest(&'q str, (Option<Millis>, Option<Millis>)),
}

impl Lake {
    /// Refuses a question about another tenant's events.
    pub(crate) fn is_own(&self, question: &Question) -> Result<(), QueryError> {
        match question.tenant == self.tenant {
            true => Ok(()),
            false => Err(QueryError::Question(format!("the events of tenant `{}` are not kept here", question.tenant.0))),
        }
    }

    /// Begins a query.
    pub(crate) fn begin(&self, wanted: &Wanted<'_>) -> Result<Found, QueryError> {
        let deadline = Instant::now() + self.query_time;
        let (context, version) = self.session()?;
        let asked = async {
            if let Wanted::Answer(question @ Question { ask: Ask::Search { filter, limit }, .. }) = wanted {
                let events = self.matching(&context, filter, question).await?;
                let parts = newest::parts(&self.current()).into_iter();
                let queries: Result<Vec<DataFrame>, QueryError> =
                    parts.map(|part| newest_of(events.clone(), question, *limit, part)).collect();
                let stream = newest::first(queries?, *limit).map_err(said)?;
                return Ok((stream.schema().fields().iter().map(|field| field.name().clone()).collect(), stream));
            }
            let plan = match wanted {
                Wanted::Answer(question) => self.plan(&context, question).await?,
                Wanted::Oldest(filter, span) => self.oldest(&context, filter, *span).await?,
            };
            let columns = plan.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
            let stream = plan.execute_stream().await.map_err(said)?;
            Ok((columns, stream))
        };
        let asked = async { tokio::time::timeout_at(deadline, asked).await.unwrap_or_else(|_| Err(too_long(self.query_time))) };
        let (columns, stream) = self.runtime.block_on(asked)?;
        let (handle, limit) = (self.runtime.handle().clone(), self.query_time);
        let cancelled = Arc::new(Notify::new());
        Ok(Found { columns, version, stream, rest: None, handle, deadline, limit, cancelled })
    }
}

/// The newest of some events within a part of time in microseconds, the end not in it.
fn newest_of(events: DataFrame, question: &Question, limit: usize, part: (i64, i64)) -> Result<DataFrame, QueryError> {
    let mut events = events;
    if part.0 > i64::MIN {
        events = events.filter(col(TIME).gt_eq(instant(part.0))).map_err(said)?;
    }
    if part.1 < i64::MAX {
        events = events.filter(col(TIME).lt(instant(part.1))).map_err(said)?;
    }
    if let Some(place) = &question.before {
        // The first of the two says enough to leave out files; the second is exact.
        events = events.filter(col(TIME).lt_eq(instant(place.time_us))).map_err(said)?;
        events = events.filter(behind(place)?).map_err(said)?;
    }
    let newest = vec![col(TIME).sort(false, false), col(EVENT_ID).sort(false, false)];
    events.sort(newest).and_then(|events| events.limit(0, Some(limit))).map_err(said)
}

/// Rows as the engine gives them.
pub(crate) struct Found {
    columns: Vec<String>,
    version: u64,
    pub(crate) stream: SendableRecordBatchStream,
    /// Rows of the engine's last batch that were not given yet.
    rest: Option<RecordBatch>,
    handle: Handle,
    deadline: Instant,
    limit: Duration,
    /// Told when the query is to end; remembers it for the next wait.
    cancelled: Arc<Notify>,
}

impl Found {
    /// The first rows of a batch; the others are kept for the next time. As values of their own rows take
    /// several times as much memory as in a batch, and what waits for a slow reader is not counted by the
    /// engine.
    fn first(&mut self, batch: RecordBatch) -> Result<Option<Vec<Vec<Cell>>>, QueryError> {
        let count = batch.num_rows().min(ROWS_GIVEN_MAX);
        self.rest = (count < batch.num_rows()).then(|| batch.slice(count, batch.num_rows() - count));
        cells(&batch.slice(0, count)).map(Some)
    }
}

fn too_long(limit: Duration) -> QueryError {
    QueryError::Limit(format!("the query ran for {} s; ask for a shorter time or fewer rows", limit.as_secs()))
}

impl Rows for Found {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>, QueryError> {
        match self.rest.take() {
            Some(batch) => self.first(batch),
            None => match self.batch()? {
                Some(batch) => self.first(batch),
                None => Ok(None),
            },
        }
    }

    fn canceller(&self) -> Option<Canceller> {
        let cancelled = Arc::clone(&self.cancelled);
        Some(Arc::new(move || cancelled.notify_one()))
    }
}

impl Found {
    /// The next rows as the engine has them, at least one; none at the end.
    pub(crate) fn batch(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        let stream = &mut self.stream;
        let (deadline, cancelled) = (self.deadline, &self.cancelled);
        loop {
            let next = self.handle.block_on(async {
                tokio::select! {
                    biased;
                    () = cancelled.notified() => None,
                    next = tokio::time::timeout_at(deadline, stream.next()) => Some(next),
                }
            });
            let Some(next) = next else {
                return Err(QueryError::Limit("the query was cancelled; ask it again".to_owned()));
            };
            match next {
                Err(_) => return Err(too_long(self.limit)),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(said(error)),
                Ok(Some(Ok(batch))) if batch.num_rows() == 0 => {}
                Ok(Some(Ok(batch))) => return Ok(Some(batch)),
            }
        }
    }
}

/// The same rows with only these columns, in this order; names that are no column are passed over.
pub fn choose<'n>(rows: Box<dyn Rows>, names: impl IntoIterator<Item = &'n str>) -> Box<dyn Rows> {
    let place = |name: &'n str| rows.columns().iter().position(|column| column == name);
    let places: Vec<usize> = names.into_iter().filter_map(place).collect();
    let columns = places.iter().filter_map(|place| rows.columns().get(*place).cloned()).collect();
    Box::new(Chosen { rows, places, columns })
}

struct Chosen {
    rows: Box<dyn Rows>,
    places: Vec<usize>,
    columns: Vec<String>,
}

impl Rows for Chosen {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn version(&self) -> u64 {
        self.rows.version()
    }

    fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>, QueryError> {
        let Some(batch) = self.rows.next()? else {
            return Ok(None);
        };
        let chosen = |row: Vec<Cell>| self.places.iter().map(|place| row.get(*place).cloned().unwrap_or(Cell::Null)).collect();
        Ok(Some(batch.into_iter().map(chosen).collect()))
    }

    fn canceller(&self) -> Option<Canceller> {
        self.rows.canceller()
    }
}

/// The rows of a batch as plain values.
fn cells(batch: &RecordBatch) -> Result<Vec<Vec<Cell>>, QueryError> {
    let mut rows: Vec<Vec<Cell>> = (0..batch.num_rows()).map(|_| Vec::with_capacity(batch.num_columns())).collect();
    for column in batch.columns() {
        let cell = reader(column)?;
        for (number, row) in rows.iter_mut().enumerate() {
            row.push(if column.is_null(number) { Cell::Null } else { cell(number) });
        }
    }
    Ok(rows)
}

type CellReader<'a> = Box<dyn Fn(usize) -> Cell + 'a>;

fn reader(column: &ArrayRef) -> Result<CellReader<'_>, QueryError> {
    Ok(match column.data_type() {
        DataType::Utf8View => {
            let array = column.as_string_view();
            Box::new(|row| Cell::Text(array.value(row).to_owned()))
        }
        DataType::Utf8 => {
            let array = column.as_string::<i32>();
            Box::new(|row| Cell::Text(array.value(row).to_owned()))
        }
        DataType::BinaryView => {
            let array = column.as_binary_view();
            Box::new(|row| Cell::Text(hex(array.value(row))))
        }
        DataType::Boolean => {
            let array = column.as_boolean();
            Box::new(|row| Cell::Boolean(array.value(row)))
        }
        DataType::Int64 => {
            let array = column.as_primitive::<Int64Type>();
            Box::new(|row| Cell::Integer(array.value(row)))
        }
        DataType::Int32 => {
            let array = column.as_primitive::<Int32Type>();
            Box::new(|row| Cell::Integer(array.value(row).into()))
        }
        DataType::UInt64 => {
            let array = column.as_primitive::<UInt64Type>();
            Box::new(|row| {
                i64::try_from(array.value(row)).map_or_else(|_| Cell::Text(array.value(row).to_string()), Cell::Integer)
            })
        }
        DataType::Float64 => {
            let array = column.as_primitive::<Float64Type>();
            Box::new(|row| Cell::Float(array.value(row)))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let array = column.as_primitive::<TimestampMicrosecondType>();
            Box::new(|row| Cell::Time(array.value(row)))
        }
        _ => {
            const OPTIONS: FormatOptions<'_> = FormatOptions::new();
            let formatter = ArrayFormatter::try_new(column.as_ref(), &OPTIONS)
                .map_err(|error| QueryError::Failed(crate::table::sentence(error)))?;
            Box::new(move |row| Cell::Text(formatter.value(row).to_string()))
        }
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
