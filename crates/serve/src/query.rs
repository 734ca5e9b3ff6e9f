//! Questions over HTTP: rows as one JSON document, or one a line while they come.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Json, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use utoipa::ToSchema;
use vigie_model::{Ask, Cell, Millis, QueryError, Question, RowPlace, Tenant, format_utc, parse_moment};

use crate::answers::{BodyProblems, QueryProblems, TokenProblems};
use crate::auth::{Need, authorise};
use crate::cursor;
use crate::decode::read_body;
use crate::problem::Problem;
use crate::service::{Inner, Shared};

/// Rows of an answer that is one document; a longer one is asked for line by line.
pub(crate) const QUERY_ROWS_MAX: usize = 10_000;
/// Bytes of a question.
const QUESTION_BYTES_MAX: usize = 1024 * 1024;
/// Batches of rows that wait for a slow client.
const BATCHES_WAITING_MAX: usize = 4;
/// Seconds in which a client must take the next rows: one that never reads would keep its place among the
/// queries, and what the query holds, for as long as it likes.
const READER_SECONDS_MAX: u64 = 30;
/// Rows of a search that does not say how many.
const SEARCH_ROWS_DEFAULT: usize = 100;
/// Steps of a histogram that does not say how many.
const HISTOGRAM_STEPS_DEFAULT: usize = 60;
/// Values of a facet that does not say how many.
const FACET_VALUES_DEFAULT: usize = 10;
/// The largest whole number that every reader of JSON keeps exact.
const EXACT_INTEGER_MAX: u64 = 1 << 53;
/// The content type of rows line by line.
const NDJSON: &str = "application/x-ndjson";
/// What cursors of searches are called.
const SEARCH_CURSOR: &str = "search";

/// The filter bar: newest events first.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    /// The filter; empty for every event.
    #[serde(default)]
    filter: String,
    /// From here on: RFC 3339, or how long ago, such as `24h`.
    since: Option<String>,
    /// Before here: RFC 3339, or how long ago, such as `15m`.
    until: Option<String>,
    /// Rows at most; 100 when it is not said.
    limit: Option<usize>,
    /// `next` of an answer, for the page behind it; it carries its question, so it stands alone.
    cursor: Option<String>,
}

/// A search and the last row that a client has of it: what a cursor carries.
#[derive(Debug, Serialize, Deserialize)]
struct SearchPage {
    filter: String,
    since: Option<Millis>,
    until: Option<Millis>,
    limit: usize,
    time_us: i64,
    event_id: String,
}

/// A statement that reads.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Statement {
    /// The statement, in SQL.
    sql: String,
}

/// How many events match, by steps of time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Histogram {
    /// The filter; empty for every event.
    #[serde(default)]
    filter: String,
    /// From here on: RFC 3339, or how long ago, such as `24h`.
    since: Option<String>,
    /// Before here: RFC 3339, or how long ago, such as `15m`.
    until: Option<String>,
    /// Steps at most; 60 when it is not said.
    steps: Option<usize>,
}

/// The most frequent values of a column.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Facet {
    /// The filter; empty for every event.
    #[serde(default)]
    filter: String,
    /// The column.
    column: String,
    /// From here on: RFC 3339, or how long ago, such as `24h`.
    since: Option<String>,
    /// Before here: RFC 3339, or how long ago, such as `15m`.
    until: Option<String>,
    /// Values at most; 10 when it is not said.
    limit: Option<usize>,
}

/// Rows as one document.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Answer)]
pub(crate) struct AnswerBody {
    /// Names of the columns.
    columns: Vec<String>,
    /// The version of the table that was read.
    version: u64,
    /// Rows of values in the order of the columns. Times are RFC 3339; whole numbers beyond 2^53 are text.
    rows: Vec<Vec<Value>>,
    /// False when there are more rows than fit: ask line by line then.
    is_complete: bool,
    /// The cursor of a search's next page; none when these rows are the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The last line of an answer that went out whole.
#[derive(Debug, Serialize)]
struct EndBody {
    rows: usize,
    version: u64,
    /// See [`AnswerBody`].
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What comes out of a query.
enum Part {
    Head { columns: Vec<String>, version: u64 },
    Rows(Vec<Vec<Cell>>),
    End,
}

type Parts = Receiver<Result<Part, QueryError>>;

/// Reads an instant, or how long ago it was.
fn instant(text: &str, now: Millis) -> Result<Millis, Problem> {
    parse_moment(text, now).ok_or_else(|| {
        Problem::request(format!("`{text}` is no instant: write `2026-11-12T01:52:07Z`, or how long ago, such as `24h` or `7d`"))
    })
}

/// The instants that bound a question.
pub(crate) fn span(
    shared: &Inner,
    since: Option<&str>,
    until: Option<&str>,
) -> Result<(Option<Millis>, Option<Millis>), Problem> {
    let now = (shared.ports.clock)();
    let bound = |text: Option<&str>| text.filter(|text| !text.trim().is_empty()).map(|text| instant(text, now)).transpose();
    Ok((bound(since)?, bound(until)?))
}

/// A value as JSON.
pub(crate) fn json(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Boolean(value) => Value::Bool(value),
        Cell::Integer(value) if value.unsigned_abs() > EXACT_INTEGER_MAX => Value::String(value.to_string()),
        Cell::Integer(value) => Value::from(value),
        Cell::Float(value) => Value::from(value),
        Cell::Text(value) => Value::String(value),
        Cell::Time(micros) => {
            let millis = micros.div_euclid(1000);
            let text = format_utc(millis);
            Value::String(if millis.rem_euclid(1000) == 0 { text.replace('Z', ".000Z") } else { text })
        }
    }
}

/// A row as one line of JSON with its end, its columns in their order. Times are RFC 3339 with
/// milliseconds; whole numbers beyond 2^53 are text.
pub fn json_line(columns: &[String], row: Vec<Cell>) -> String {
    let mut line = String::from("{");
    for (column, cell) in columns.iter().zip(row) {
        if line.len() > 1 {
            line.push(',');
        }
        line.push_str(&Value::from(column.as_str()).to_string());
        line.push(':');
        line.push_str(&json(cell).to_string());
    }
    line.push_str("}\n");
    line
}

/// Reads rows until there are no more or nobody wants them; dropping them ends the query. Called from a
/// thread of the runtime that may block.
fn read(shared: &Inner, question: &Question, sender: &Sender<Result<Part, QueryError>>) {
    let mut rows = match shared.ports.engine.ask(question) {
        Ok(rows) => rows,
        Err(error) => return drop(sender.blocking_send(Err(error))),
    };
    let mut part = Ok(Part::Head { columns: rows.columns().to_vec(), version: rows.version() });
    loop {
        let is_last = !matches!(part, Ok(Part::Head { .. } | Part::Rows(_)));
        let given = Handle::current().block_on(sender.send_timeout(part, Duration::from_secs(READER_SECONDS_MAX)));
        if given.is_err() || is_last {
            return;
        }
        part = rows.next().map(|batch| batch.map_or(Part::End, Part::Rows));
    }
}

/// Begins a query. Waits while too many others run.
async fn begin(shared: &Shared, question: Question) -> Result<Parts, Problem> {
    let permit = Arc::clone(&shared.queries).acquire_owned().await.map_err(|_| broken())?;
    let (sender, parts) = channel(BATCHES_WAITING_MAX);
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || {
        read(&shared, &question, &sender);
        drop(permit);
    });
    Ok(parts)
}

/// A query ended in a way that it should not.
pub(crate) fn broken() -> Problem {
    Problem::failed("the query broke off; ask again, and look into the log of the service when it stays so")
}

/// Answers a question in the form that the client accepts.
async fn answer(shared: &Shared, headers: &HeaderMap, question: Question) -> Result<Response, Problem> {
    let mut parts = begin(shared, question.clone()).await?;
    let (columns, version) = match parts.recv().await {
        Some(Ok(Part::Head { columns, version })) => (columns, version),
        Some(Err(error)) => return Err(error.into()),
        _ => return Err(broken()),
    };
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains(NDJSON) {
        let shared = Arc::clone(shared);
        return Ok(lines(Lines { shared, question, parts, columns, version, rows: 0, last: None }));
    }
    let mut rows = Vec::new();
    let mut last = None;
    let is_complete = loop {
        match parts.recv().await {
            Some(Ok(Part::Rows(batch))) => {
                let free = QUERY_ROWS_MAX.saturating_sub(rows.len());
                let is_over = batch.len() > free;
                last = batch.iter().take(free).next_back().map(|row| place_of(&columns, row)).or(last);
                rows.extend(batch.into_iter().take(free).map(|row| row.into_iter().map(json).collect::<Vec<Value>>()));
                if is_over {
                    break false;
                }
            }
            Some(Ok(_)) => break true,
            Some(Err(error)) => return Err(error.into()),
            None => return Err(broken()),
        }
    };
    let next = next_page(shared, &question, last.flatten(), rows.len(), is_complete)?;
    Ok(Json(AnswerBody { columns, version, rows, is_complete, next }).into_response())
}

/// Where a row of a search stands; none for rows of another kind.
fn place_of(columns: &[String], row: &[Cell]) -> Option<RowPlace> {
    let cell = |name: &str| columns.iter().position(|column| column == name).and_then(|at| row.get(at));
    match (cell("time"), cell("event_id")) {
        (Some(Cell::Time(time_us)), Some(Cell::Text(id))) => Some(RowPlace { time_us: *time_us, event_id: id.clone() }),
        _ => None,
    }
}

/// The cursor behind the last row of a search, when there may be more.
fn next_page(
    shared: &Inner,
    question: &Question,
    last: Option<RowPlace>,
    count: usize,
    is_complete: bool,
) -> Result<Option<String>, Problem> {
    let (Ask::Search { filter, limit }, Some(RowPlace { time_us, event_id })) = (&question.ask, last) else {
        return Ok(None);
    };
    if is_complete && count < *limit {
        return Ok(None);
    }
    let (since, until) = (question.since, question.until);
    let page = SearchPage { filter: filter.clone(), since, until, limit: *limit, time_us, event_id };
    let now = (shared.ports.clock)();
    cursor::seal(&shared.ports.secret, &question.tenant, SEARCH_CURSOR, &page, now).map(Some)
}

/// What a search asks: from the beginning, or the page behind a cursor.
fn search_question(shared: &Inner, tenant: Tenant, search: Search) -> Result<Question, Problem> {
    let Search { filter, since, until, limit, cursor } = search;
    let Some(cursor) = cursor else {
        let (since, until) = span(shared, since.as_deref(), until.as_deref())?;
        let ask = Ask::Search { filter, limit: limit.unwrap_or(SEARCH_ROWS_DEFAULT) };
        return Ok(Question { since, until, ..Question::new(tenant, ask) });
    };
    if !filter.is_empty() || since.is_some() || until.is_some() || limit.is_some() {
        return Err(Problem::request("a cursor carries its whole question: send `cursor` and no other field"));
    }
    let now = (shared.ports.clock)();
    let page: SearchPage = cursor::open(&shared.ports.secret, &cursor, &tenant, SEARCH_CURSOR, now)?;
    let ask = Ask::Search { filter: page.filter, limit: page.limit };
    let before = Some(RowPlace { time_us: page.time_us, event_id: page.event_id });
    Ok(Question { since: page.since, until: page.until, before, ..Question::new(tenant, ask) })
}

/// An answer that goes out line by line.
struct Lines {
    shared: Shared,
    question: Question,
    parts: Parts,
    columns: Vec<String>,
    version: u64,
    /// Rows that went out.
    rows: usize,
    /// Where the last of them stands.
    last: Option<RowPlace>,
}

impl Lines {
    /// The next lines, and whether they are the last.
    async fn more(&mut self) -> (String, bool) {
        let problem = match self.parts.recv().await {
            Some(Ok(Part::Rows(batch))) => {
                self.rows += batch.len();
                if let Some(row) = batch.last() {
                    self.last = place_of(&self.columns, row);
                }
                return (batch.into_iter().map(|row| json_line(&self.columns, row)).collect(), false);
            }
            Some(Ok(_)) => match next_page(&self.shared, &self.question, self.last.take(), self.rows, true) {
                Ok(next) => {
                    let end = EndBody { rows: self.rows, version: self.version, next };
                    return (format!("{}\n", serde_json::json!({ "end": end })), true);
                }
                Err(problem) => problem,
            },
            Some(Err(error)) => Problem::from(error),
            None => broken(),
        };
        (format!("{}\n", serde_json::json!({ "error": problem.body() })), true)
    }
}

/// Rows line by line as they come. The last line says how it ended, so that a client knows an answer that
/// broke off from one that is whole. No row looks like it: its value is an object, and values of rows are none.
fn lines(answer: Lines) -> Response {
    let head = format!("{}\n", serde_json::json!({ "columns": answer.columns, "version": answer.version }));
    let begun = futures::stream::once(async move { Ok::<Bytes, Infallible>(Bytes::from(head)) });
    let rest = futures::stream::unfold(Some(answer), |answer| async move {
        let mut answer = answer?;
        let (text, is_last) = answer.more().await;
        Some((Ok(Bytes::from(text)), (!is_last).then_some(answer)))
    });
    let body = Body::from_stream(futures::StreamExt::chain(begun, rest));
    ([(CONTENT_TYPE, NDJSON)], body).into_response()
}

/// Runs work that blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| broken())
}

/// Reads what stands behind the question mark of an address.
pub(crate) fn address_query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let wrong = |why: String| Problem::request(format!("what stands behind `?` is not readable: {why}"));
    Query::try_from_uri(uri).map(|Query(ask)| ask).map_err(|error| wrong(error.body_text()))
}

/// Lets the client in, and reads what it asks.
pub(crate) async fn receive<T: DeserializeOwned>(shared: &Inner, request: Request) -> Result<(HeaderMap, Tenant, T), Problem> {
    let (parts, body) = request.into_parts();
    let token = authorise(shared, &parts.headers, Need::Search)?;
    let body = read_body(&parts.headers, None, body, QUESTION_BYTES_MAX).await?;
    let ask =
        serde_json::from_slice(&body).map_err(|error| Problem::request(format!("the question is not readable: {error}")))?;
    Ok((parts.headers, token.tenant, ask))
}

/// Searches events, newest first.
///
/// When there may be more, `next` is the cursor of the page behind these rows: it skips and repeats no
/// event, whatever comes in meanwhile. It holds for an hour, until the service starts again.
/// With `Accept: application/x-ndjson` the first line names the columns, each other is a row, and the last
/// is `{"end": {"rows": 100, "version": 7, "next": "..."}}`, where `next` is the same cursor, or `{"error": ...}`
/// with the problem. No value of a row is an object, so neither is ever taken for a row.
#[utoipa::path(
    post,
    path = "/api/v1/search",
    tag = "query",
    request_body(content = Search, content_type = "application/json"),
    responses(
        (status = 200, description = "Rows", content((AnswerBody = "application/json"), (String = "application/x-ndjson"))),
        TokenProblems,
        BodyProblems,
        QueryProblems,
    ),
    security(("token" = [])),
)]
pub(crate) async fn search(State(shared): State<Shared>, request: Request) -> Result<Response, Problem> {
    let (headers, tenant, search) = receive::<Search>(&shared, request).await?;
    let question = search_question(&shared, tenant, search)?;
    answer(&shared, &headers, question).await
}

/// Answers a statement of SQL that reads.
///
/// With `Accept: application/x-ndjson` the first line names the columns, each other is a row, and the last
/// is `{"end": {"rows": 100, "version": 7}}`, or `{"error": ...}` with the problem. No value of a row is an
/// object, so neither is ever taken for a row.
#[utoipa::path(
    post,
    path = "/api/v1/sql",
    tag = "query",
    request_body(content = Statement, content_type = "application/json"),
    responses(
        (status = 200, description = "Rows", content((AnswerBody = "application/json"), (String = "application/x-ndjson"))),
        TokenProblems,
        BodyProblems,
        QueryProblems,
    ),
    security(("token" = [])),
)]
pub(crate) async fn sql(State(shared): State<Shared>, request: Request) -> Result<Response, Problem> {
    let (headers, tenant, Statement { sql }) = receive::<Statement>(&shared, request).await?;
    answer(&shared, &headers, Question::new(tenant, Ask::Sql(sql))).await
}

/// Counts events that match a filter, by equal steps of time.
///
/// With `Accept: application/x-ndjson` the answer comes line by line, as that of a statement.
#[utoipa::path(
    post,
    path = "/api/v1/histogram",
    tag = "query",
    request_body(content = Histogram, content_type = "application/json"),
    responses(
        (status = 200, description = "Rows", content((AnswerBody = "application/json"), (String = "application/x-ndjson"))),
        TokenProblems,
        BodyProblems,
        QueryProblems,
    ),
    security(("token" = [])),
)]
pub(crate) async fn histogram(State(shared): State<Shared>, request: Request) -> Result<Response, Problem> {
    let (headers, tenant, ask) = receive::<Histogram>(&shared, request).await?;
    let (since, until) = span(&shared, ask.since.as_deref(), ask.until.as_deref())?;
    let ask = Ask::Histogram { filter: ask.filter, steps: ask.steps.unwrap_or(HISTOGRAM_STEPS_DEFAULT) };
    answer(&shared, &headers, Question { since, until, ..Question::new(tenant, ask) }).await
}

/// Counts the most frequent values of one column among events that match a filter.
///
/// With `Accept: application/x-ndjson` the answer comes line by line, as that of a statement.
#[utoipa::path(
    post,
    path = "/api/v1/facet",
    tag = "query",
    request_body(content = Facet, content_type = "application/json"),
    responses(
        (status = 200, description = "Rows", content((AnswerBody = "application/json"), (String = "application/x-ndjson"))),
        TokenProblems,
        BodyProblems,
        QueryProblems,
    ),
    security(("token" = [])),
)]
pub(crate) async fn facet(State(shared): State<Shared>, request: Request) -> Result<Response, Problem> {
    let (headers, tenant, ask) = receive::<Facet>(&shared, request).await?;
    let (since, until) = span(&shared, ask.since.as_deref(), ask.until.as_deref())?;
    let limit = ask.limit.unwrap_or(FACET_VALUES_DEFAULT);
    let ask = Ask::Facet { filter: ask.filter, column: ask.column, limit };
    answer(&shared, &headers, Question { since, until, ..Question::new(tenant, ask) }).await
}

#[cfg(test)]
mod tests {
    use vigie_model::parse_rfc3339;

    use super::*;

    #[test]
    fn instants_are_absolute_or_ago() {
        let now = parse_rfc3339("2026-11-12T00:00:00Z").unwrap();
        let cases = [
            ("2026-11-01T00:00:00Z", Some("2026-11-01T00:00:00Z")),
            ("24h", Some("2026-11-11T00:00:00Z")),
            ("7d", Some("2026-11-05T00:00:00Z")),
            (" 15m", Some("2026-11-11T23:45:00Z")),
            ("-1h", None),
            ("yesterday", None),
            ("h", None),
        ];
        for (text, expected) in cases {
            assert_eq!(instant(text, now).ok().map(format_utc).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn values_keep_what_readers_of_json_would_lose() {
        let cases = [
            (Cell::Null, "null"),
            (Cell::Boolean(true), "true"),
            (Cell::Integer(9_007_199_254_740_992), "9007199254740992"),
            (Cell::Integer(-9_007_199_254_740_993), "\"-9007199254740993\""),
            (Cell::Float(0.5), "0.5"),
            (Cell::Float(f64::NAN), "null"),
            (Cell::Text("a\"b".to_owned()), "\"a\\\"b\""),
            (Cell::Time(1_500_000), "\"1970-01-01T00:00:01.500Z\""),
            (Cell::Time(-1), "\"1969-12-31T23:59:59.999Z\""),
            (Cell::Time(0), "\"1970-01-01T00:00:00.000Z\""),
        ];
        for (cell, expected) in cases {
            assert_eq!(json(cell).to_string(), expected);
        }
    }
}
