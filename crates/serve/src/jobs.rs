//! Query jobs: questions that take longer than a client waits, asked once and looked at until they end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use vigie_model::{Ask, Canceller, Cell, Millis, Question, Rows, Tenant};

use crate::answers::{BodyProblems, NameProblem, RequestProblem, TokenProblems};
use crate::auth::{Need, authorise};
use crate::cursor;
use crate::problem::{Problem, ProblemBody};
use crate::query::{address_query, broken, json, receive, span};
use crate::service::{Inner, Shared};

/// Jobs that a tenant may have, running or ended.
const JOBS_PER_TENANT_MAX: usize = 8;
/// Jobs of all tenants together.
const JOBS_MAX: usize = 16;
/// Jobs that run at once; others wait, so that half of the queries are left to clients that wait.
const JOBS_RUNNING_MAX: usize = 4;
/// Rows that a job keeps.
const JOB_ROWS_MAX: usize = 100_000;
/// Bytes of rows that a job keeps.
const JOB_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a job stays that nobody looks at, in milliseconds.
const JOB_IDLE_MS_MAX: Millis = 15 * 60 * 1000;
/// Rows of a page.
const JOB_PAGE_ROWS: usize = 1000;
/// Seconds after which a client comes again when there are too many jobs.
const JOBS_RETRY_SECONDS: u64 = 60;

/// What a job asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JobKind {
    /// A statement of SQL that reads.
    Sql,
    /// The filter bar: newest events first.
    Search,
}

/// A question to work on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobRequest {
    /// What is asked.
    kind: JobKind,
    /// The statement, for `sql`.
    sql: Option<String>,
    /// The filter, for `search`; every event when it is not said.
    filter: Option<String>,
    /// For `search`, from here on: RFC 3339, or how long ago, such as `24h`.
    since: Option<String>,
    /// For `search`, before here: RFC 3339, or how long ago, such as `15m`.
    until: Option<String>,
    /// For `search`, rows at most; as many as a job keeps when it is not said.
    limit: Option<usize>,
}

/// A job that has begun.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobBegun)]
pub(crate) struct JobBegunBody {
    /// Its id.
    id: String,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JobState {
    /// It waits for its turn or works.
    Running,
    /// It has ended.
    Done,
    /// It could not go on.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

/// A job, and a page of its rows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(crate) struct JobBody {
    /// Its id.
    id: String,
    /// How far it is.
    state: JobState,
    /// Milliseconds from its beginning to its end, or to now.
    elapsed_ms: i64,
    /// The version of the table that is read; none before it has its turn.
    version: Option<u64>,
    /// Rows that are kept so far.
    rows_kept: usize,
    /// Bytes of them, about.
    bytes_kept: usize,
    /// True when it is done and every row of the answer is kept.
    is_complete: bool,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ProblemBody>,
    /// Names of the columns.
    columns: Vec<String>,
    /// Rows of this page. Times are RFC 3339; whole numbers beyond 2^53 are text.
    rows: Vec<Vec<Value>>,
    /// The cursor of the next page; none behind the last one. While the job runs there is always one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What stands behind the question mark.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LookQuery {
    cursor: Option<String>,
}

/// What a job has done.
struct Progress {
    state: JobState,
    columns: Vec<String>,
    version: Option<u64>,
    rows: Vec<Vec<Cell>>,
    bytes: usize,
    is_complete: bool,
    problem: Option<Problem>,
    began: Millis,
    ended: Option<Millis>,
    /// When somebody last looked at it.
    looked: Millis,
    canceller: Option<Canceller>,
}

/// One question that is worked on.
pub(crate) struct Job {
    tenant: Tenant,
    progress: Mutex<Progress>,
}

impl Job {
    fn new(tenant: &Tenant, now: Millis) -> Job {
        let progress = Progress {
            state: JobState::Running,
            columns: Vec::new(),
            version: None,
            rows: Vec::new(),
            bytes: 0,
            is_complete: false,
            problem: None,
            began: now,
            ended: None,
            looked: now,
            canceller: None,
        };
        Job { tenant: tenant.clone(), progress: Mutex::new(progress) }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_running(&self) -> bool {
        self.progress().state == JobState::Running
    }

    fn is_idle(&self, now: Millis) -> bool {
        now.saturating_sub(self.progress().looked) > JOB_IDLE_MS_MAX
    }

    /// Ends it as it turned out: whether all rows are kept, or why it could not go on.
    fn end(&self, outcome: Result<bool, Problem>, now: Millis) {
        let mut progress = self.progress();
        progress.canceller = None;
        if progress.state != JobState::Running {
            return;
        }
        progress.ended = Some(now);
        match outcome {
            Ok(is_complete) => {
                progress.state = JobState::Done;
                progress.is_complete = is_complete;
            }
            Err(problem) => {
                progress.state = JobState::Failed;
                progress.problem = Some(problem);
            }
        }
    }

    /// Ends it before it is done. False when it has ended already.
    fn cancel(&self, now: Millis) -> bool {
        let canceller = {
            let mut progress = self.progress();
            if progress.state != JobState::Running {
                return false;
            }
            progress.state = JobState::Cancelled;
            progress.ended = Some(now);
            progress.canceller.take()
        };
        if let Some(cancel) = canceller {
            cancel();
        }
        true
    }
}

/// All jobs by their ids.
struct Table {
    jobs: HashMap<String, Arc<Job>>,
    /// How many there ever were.
    count: u64,
}

/// The jobs of a service.
pub(crate) struct Jobs {
    table: Mutex<Table>,
    running: Arc<Semaphore>,
}

impl Jobs {
    pub(crate) fn new() -> Jobs {
        let table = Mutex::new(Table { jobs: HashMap::new(), count: 0 });
        Jobs { table, running: Arc::new(Semaphore::new(JOBS_RUNNING_MAX)) }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of jobs that nobody has looked at for long.
    pub(crate) fn sweep(&self, now: Millis) {
        self.table().jobs.retain(|_, job| {
            let is_idle = job.is_idle(now);
            if is_idle {
                job.cancel(now);
            }
            !is_idle
        });
    }

    /// Ends all that run.
    pub(crate) fn cancel_all(&self, now: Millis) {
        for job in self.table().jobs.values() {
            job.cancel(now);
        }
    }

    /// A new job with an id that cannot be guessed: a hash of its number under the service's key.
    fn add(&self, key: &[u8; 32], tenant: &Tenant, now: Millis) -> Result<(String, Arc<Job>), Problem> {
        let mut table = self.table();
        let own = table.jobs.values().filter(|job| job.tenant == *tenant).count();
        if own >= JOBS_PER_TENANT_MAX || table.jobs.len() >= JOBS_MAX {
            let detail = format!(
                "there are too many jobs: {JOBS_PER_TENANT_MAX} for a tenant, {JOBS_MAX} in all; delete those that are read"
            );
            return Err(Problem::new("wait", "Too many jobs", StatusCode::TOO_MANY_REQUESTS, detail).after(JOBS_RETRY_SECONDS));
        }
        table.count += 1;
        let hash = blake3::keyed_hash(key, &[b"job\0".as_slice(), table.count.to_le_bytes().as_slice()].concat());
        let id = HEXLOWER.encode(hash.as_bytes().get(..16).unwrap_or_default());
        let job = Arc::new(Job::new(tenant, now));
        table.jobs.insert(id.clone(), Arc::clone(&job));
        Ok((id, job))
    }

    /// A tenant's job; another tenant's is as unknown as none.
    fn find(&self, id: &str, tenant: &Tenant) -> Result<Arc<Job>, Problem> {
        let job = self.table().jobs.get(id).filter(|job| job.tenant == *tenant).cloned();
        let detail = "there is no such job: nobody looked at it for long, it was deleted, or it never was; ask anew";
        job.ok_or_else(|| Problem::new("job", "No such job", StatusCode::NOT_FOUND, detail))
    }

    fn remove(&self, id: &str) {
        self.table().jobs.remove(id);
    }
}

impl JobRequest {
    fn question(self, shared: &Inner, tenant: Tenant) -> Result<Question, Problem> {
        match self.kind {
            JobKind::Sql => {
                let has_more = self.filter.is_some() || self.since.is_some() || self.until.is_some() || self.limit.is_some();
                match self.sql {
                    Some(sql) if !has_more => Ok(Question::new(tenant, Ask::Sql(sql))),
                    _ => Err(Problem::request("a job of the kind `sql` has the field `sql` and no other")),
                }
            }
            JobKind::Search if self.sql.is_some() => {
                Err(Problem::request("a job of the kind `search` has no field `sql`; write `filter`"))
            }
            JobKind::Search => {
                let (since, until) = span(shared, self.since.as_deref(), self.until.as_deref())?;
                let limit = self.limit.unwrap_or(JOB_ROWS_MAX).min(JOB_ROWS_MAX);
                let ask = Ask::Search { filter: self.filter.unwrap_or_default(), limit };
                Ok(Question { since, until, ..Question::new(tenant, ask) })
            }
        }
    }
}

/// About how many bytes a row takes.
fn row_bytes(row: &[Cell]) -> usize {
    let text = |cell: &Cell| if let Cell::Text(text) = cell { text.len() } else { 0 };
    size_of_val(row) + row.iter().map(text).sum::<usize>()
}

/// Works on a job where it may block. Dropping the rows ends the query.
fn run(shared: &Inner, job: &Job, question: &Question) {
    let outcome = match shared.ports.engine.ask(question) {
        Ok(rows) => fill(shared, job, rows),
        Err(error) => Err(error.into()),
    };
    job.end(outcome, (shared.ports.clock)());
}

/// Keeps rows until there are no more, there are enough, or nobody wants them; whether all are kept.
fn fill(shared: &Inner, job: &Job, mut rows: Box<dyn Rows>) -> Result<bool, Problem> {
    {
        let mut progress = job.progress();
        progress.columns = rows.columns().to_vec();
        progress.version = Some(rows.version());
        // From here on a cancellation is heard while the next rows are waited for.
        progress.canceller = rows.canceller();
    }
    while job.is_running()
        && let Some(batch) = rows.next()?
    {
        if job.is_idle((shared.ports.clock)()) {
            job.cancel((shared.ports.clock)());
        }
        let mut progress = job.progress();
        for row in batch {
            let bytes = row_bytes(&row);
            if progress.rows.len() >= JOB_ROWS_MAX || progress.bytes + bytes > JOB_BYTES_MAX {
                return Ok(false);
            }
            progress.bytes += bytes;
            progress.rows.push(row);
        }
    }
    Ok(true)
}

/// Waits for the job's turn, then has it done by a thread that may block.
async fn work(shared: Shared, job: Arc<Job>, question: Question) {
    let turn = Arc::clone(&shared.jobs.running).acquire_owned().await;
    let query = Arc::clone(&shared.queries).acquire_owned().await;
    let (inner, worked_on) = (Arc::clone(&shared), Arc::clone(&job));
    let done = tokio::task::spawn_blocking(move || {
        // What begins after the stop would keep it waiting.
        if worked_on.is_running() && !*inner.stop.borrow() {
            run(&inner, &worked_on, &question);
        }
    });
    if done.await.is_err() {
        job.end(Err(broken()), (shared.ports.clock)());
    }
    drop((turn, query));
}

/// Begins a query that goes on while nobody waits for it.
///
/// A tenant has 8 jobs at most. A job keeps 100,000 rows or 16 MiB, and goes when nobody looks at it for
/// 15 minutes.
#[utoipa::path(
    post,
    operation_id = "create_job",
    path = "/api/v1/jobs",
    tag = "jobs",
    request_body(content = JobRequest, content_type = "application/json"),
    responses(
        (status = 202, description = "It has begun", body = JobBegunBody),
        TokenProblems,
        BodyProblems,
    ),
    security(("token" = [])),
)]
pub(crate) async fn create(State(shared): State<Shared>, request: Request) -> Result<Response, Problem> {
    let (_, tenant, ask) = receive::<JobRequest>(&shared, request).await?;
    let question = ask.question(&shared, tenant)?;
    let (id, job) = shared.jobs.add(&shared.ports.secret, &question.tenant, (shared.ports.clock)())?;
    tokio::spawn(work(Arc::clone(&shared), job, question));
    Ok((StatusCode::ACCEPTED, Json(JobBegunBody { id })).into_response())
}

/// Says how far a job is, and gives a page of its rows.
#[utoipa::path(
    get,
    operation_id = "get_job",
    path = "/api/v1/jobs/{id}",
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job"),
        ("cursor" = Option<String>, Query, description = "Where the page begins: `next` of another page"),
    ),
    responses(
        (status = 200, description = "The job and a page of its rows", body = JobBody),
        TokenProblems,
        RequestProblem,
        NameProblem,
    ),
    security(("token" = [])),
)]
pub(crate) async fn look(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let token = authorise(&shared, &headers, Need::Search)?;
    let LookQuery { cursor } = address_query(&uri)?;
    let (now, key) = ((shared.ports.clock)(), &shared.ports.secret);
    let job = shared.jobs.find(&id, &token.tenant)?;
    let kind = format!("job/{id}");
    let from = cursor.map(|cursor| cursor::open::<usize>(key, &cursor, &token.tenant, &kind, now)).transpose()?.unwrap_or(0);
    let mut progress = job.progress();
    progress.looked = now;
    let page = progress.rows.get(from..).unwrap_or_default().iter().take(JOB_PAGE_ROWS);
    let rows: Vec<Vec<Value>> = page.map(|row| row.iter().cloned().map(json).collect()).collect();
    let place = from + rows.len();
    let has_next = progress.state == JobState::Running || place < progress.rows.len();
    let next = has_next.then(|| cursor::seal(key, &token.tenant, &kind, &place, now)).transpose()?;
    let body = JobBody {
        id,
        state: progress.state,
        elapsed_ms: progress.ended.unwrap_or(now).saturating_sub(progress.began),
        version: progress.version,
        rows_kept: progress.rows.len(),
        bytes_kept: progress.bytes,
        is_complete: progress.is_complete,
        error: progress.problem.as_ref().map(Problem::body),
        columns: progress.columns.clone(),
        rows,
        next,
    };
    drop(progress);
    Ok(Json(body).into_response())
}

/// Ends a job that runs; its rows stay until it is deleted again. Forgets one that has ended.
#[utoipa::path(
    delete,
    operation_id = "delete_job",
    path = "/api/v1/jobs/{id}",
    tag = "jobs",
    params(("id" = String, Path, description = "The job")),
    responses(
        (status = 204, description = "It is ended or forgotten"),
        TokenProblems,
        NameProblem,
    ),
    security(("token" = [])),
)]
pub(crate) async fn delete(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let token = authorise(&shared, &headers, Need::Search)?;
    let job = shared.jobs.find(&id, &token.tenant)?;
    if !job.cancel((shared.ports.clock)()) {
        shared.jobs.remove(&id);
    }
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(jobs: &Jobs, tenant: &str, now: Millis) -> Result<String, StatusCode> {
        jobs.add(&[7; 32], &Tenant(tenant.to_owned()), now).map(|(id, _)| id).map_err(|problem| problem.status)
    }

    #[test]
    fn jobs_have_limits_for_each_tenant_and_for_all() {
        let jobs = Jobs::new();
        let ids: Vec<String> = (0..8).map(|_| add(&jobs, "blue", 0).unwrap()).collect();
        assert!(ids.iter().all(|id| id.len() == 32 && ids.iter().filter(|other| *other == id).count() == 1));
        assert_eq!(add(&jobs, "blue", 0), Err(StatusCode::TOO_MANY_REQUESTS));
        for _ in 0..8 {
            add(&jobs, "red", 0).unwrap();
        }
        assert_eq!(add(&jobs, "green", 0), Err(StatusCode::TOO_MANY_REQUESTS));
        jobs.remove(&ids[0]);
        assert!(add(&jobs, "green", 0).is_ok());
    }

    #[test]
    fn a_job_goes_when_nobody_looks_at_it() {
        let jobs = Jobs::new();
        let blue = Tenant("blue".to_owned());
        let id = add(&jobs, "blue", 0).unwrap();
        jobs.sweep(JOB_IDLE_MS_MAX);
        let job = jobs.find(&id, &blue).unwrap();
        jobs.sweep(JOB_IDLE_MS_MAX + 1);
        assert!(jobs.find(&id, &blue).is_err() && !job.is_running(), "what ran is cancelled too");
    }

    #[test]
    fn what_has_ended_stays_as_it_is() {
        let job = Job::new(&Tenant::default(), 0);
        assert!(job.cancel(5) && !job.cancel(6));
        job.end(Ok(true), 7);
        let progress = job.progress();
        assert_eq!((progress.state, progress.ended, progress.is_complete), (JobState::Cancelled, Some(5), false));
    }
}
