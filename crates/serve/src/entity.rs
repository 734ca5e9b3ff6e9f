//! Pivots: everything about one principal, address, resource, session or account on one page.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Json, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use vigie_model::{Ask, Cell, Millis, QueryEngine, QueryError, Question, Tenant, format_utc};

use crate::answers::{QueryProblems, TokenProblems};
use crate::auth::{Need, authorise};
use crate::problem::Problem;
use crate::query::{address_query, blocking, broken, json, span};
use crate::service::Shared;

/// Newest events of a pivot.
const NEWEST_ROWS_MAX: usize = 100;
/// Log types and operations that a pivot counts, the most frequent first.
const COUNTS_MAX: usize = 50;
/// Bytes of the name of an entity.
const VALUE_BYTES_MAX: usize = 2048;

/// What an entity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntityKind {
    /// Who acted: a name or an id.
    Principal,
    /// Where a request came from.
    Address,
    /// What was acted on.
    Resource,
    /// A session, or the credential behind it.
    Session,
    /// An account of a cloud.
    Account,
}

impl EntityKind {
    /// Every kind.
    pub const ALL: [EntityKind; 5] =
        [EntityKind::Principal, EntityKind::Address, EntityKind::Resource, EntityKind::Session, EntityKind::Account];

    /// Reads the name of a kind, such as `principal`.
    pub fn parse(text: &str) -> Option<EntityKind> {
        EntityKind::ALL.into_iter().find(|kind| kind.to_string() == text)
    }

    /// The columns in which such an entity stands.
    fn columns(self) -> &'static [&'static str] {
        match self {
            EntityKind::Principal => &["actor_user_name", "actor_user_uid", "actor_user_uid_alt"],
            EntityKind::Address => &["src_endpoint_ip"],
            EntityKind::Resource => &["resource_uid", "target"],
            EntityKind::Session => &["actor_session_uid", "actor_credential_uid"],
            EntityKind::Account => &["cloud_account_uid", "actor_user_account_uid"],
        }
    }
}

impl fmt::Display for EntityKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            EntityKind::Principal => "principal",
            EntityKind::Address => "address",
            EntityKind::Resource => "resource",
            EntityKind::Session => "session",
            EntityKind::Account => "account",
        })
    }
}

/// What is known of an entity.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pivot {
    /// How many events name it.
    pub events: u64,
    /// When the first of them was.
    pub first: Option<Millis>,
    /// When the last of them was.
    pub last: Option<Millis>,
    /// Its most frequent log types, with the number of events; none for events without one.
    pub logs: Vec<(Option<String>, u64)>,
    /// Its most frequent operations, with the number of events; none for events without one.
    pub operations: Vec<(Option<String>, u64)>,
    /// Names of the columns of `rows`.
    pub columns: Vec<String>,
    /// Its newest events, at most 100, newest first.
    pub rows: Vec<Vec<Cell>>,
    /// The version of the table that was read.
    pub version: u64,
}

/// The filter of the bar that finds an entity.
fn filter(kind: EntityKind, value: &str) -> String {
    let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
    let tests: Vec<String> = kind.columns().iter().map(|column| format!("{column}:\"{quoted}\"")).collect();
    tests.join(" or ")
}

/// What is asked for a pivot: first and last, log types, operations, newest events.
fn questions(
    tenant: &Tenant,
    kind: EntityKind,
    value: &str,
    (since, until): (Option<Millis>, Option<Millis>),
) -> Result<[Question; 4], QueryError> {
    if value.trim().is_empty() || value.len() > VALUE_BYTES_MAX {
        return Err(QueryError::Question(format!("the name of an entity has 1 to {VALUE_BYTES_MAX} bytes")));
    }
    let filter = filter(kind, value);
    let facet = |column: &str| Ask::Facet { filter: filter.clone(), column: column.to_owned(), limit: COUNTS_MAX };
    let asks = [
        Ask::Extent { filter: filter.clone() },
        facet("log"),
        facet("api_operation"),
        Ask::Search { filter: filter.clone(), limit: NEWEST_ROWS_MAX },
    ];
    Ok(asks.map(|ask| Question { since, until, ..Question::new(tenant.clone(), ask) }))
}

/// The columns, the version and the rows of an answer.
type Whole = (Vec<String>, u64, Vec<Vec<Cell>>);

/// All rows of an answer that has few.
fn all(engine: &dyn QueryEngine, question: &Question) -> Result<Whole, QueryError> {
    let mut rows = engine.ask(question)?;
    let mut all = Vec::new();
    while let Some(batch) = rows.next()? {
        all.extend(batch);
    }
    Ok((rows.columns().to_vec(), rows.version(), all))
}

fn count(cell: Option<&Cell>) -> u64 {
    match cell {
        Some(Cell::Integer(count)) => u64::try_from(*count).unwrap_or(0),
        _ => 0,
    }
}

/// The counts that a facet gives: a value and a number in each row.
fn counts(engine: &dyn QueryEngine, question: &Question) -> Result<Vec<(Option<String>, u64)>, QueryError> {
    let (_, _, rows) = all(engine, question)?;
    let value = |row: &[Cell]| match row.first() {
        Some(Cell::Text(text)) => Some(text.clone()),
        _ => None,
    };
    Ok(rows.iter().map(|row| (value(row), count(row.get(1)))).collect())
}

/// Asks for everything about an entity; a span leaves out the events before its first instant and those
/// from its second on. Blocks for as long as the queries take.
///
/// # Errors
/// When the value is no name, or a query cannot be answered.
pub fn pivot(
    engine: &dyn QueryEngine,
    tenant: &Tenant,
    kind: EntityKind,
    value: &str,
    span: (Option<Millis>, Option<Millis>),
) -> Result<Pivot, QueryError> {
    let [extent, logs, operations, newest] = questions(tenant, kind, value, span)?;
    let (_, _, ends) = all(engine, &extent)?;
    let ends = ends.into_iter().next().unwrap_or_default();
    let instant = |at: usize| match ends.get(at) {
        Some(Cell::Time(micros)) => Some(micros.div_euclid(1000)),
        _ => None,
    };
    let (logs, operations) = (counts(engine, &logs)?, counts(engine, &operations)?);
    let (columns, version, rows) = all(engine, &newest)?;
    Ok(Pivot { events: count(ends.get(2)), first: instant(0), last: instant(1), logs, operations, columns, rows, version })
}

/// A value and how many events have it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Count)]
pub(crate) struct CountBody {
    /// The value; none for events without one.
    value: Option<String>,
    /// How many events.
    events: u64,
}

/// What is known of an entity.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Entity)]
pub(crate) struct EntityBody {
    /// What it is.
    kind: String,
    /// Its name.
    value: String,
    /// How many events name it.
    events: u64,
    /// When the first of them was, RFC 3339.
    first: Option<String>,
    /// When the last of them was, RFC 3339.
    last: Option<String>,
    /// Its most frequent log types.
    logs: Vec<CountBody>,
    /// Its most frequent operations.
    operations: Vec<CountBody>,
    /// Names of the columns.
    columns: Vec<String>,
    /// Its newest events, at most 100. Times are RFC 3339; whole numbers beyond 2^53 are text.
    rows: Vec<Vec<Value>>,
    /// The version of the table that was read.
    version: u64,
}

/// What stands behind the question mark.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntityQuery {
    since: Option<String>,
    until: Option<String>,
}

/// Says what is known of an entity: first and last, counts, newest events.
///
/// A principal is a name or an id of who acted; a session may be named by its credential.
#[utoipa::path(
    get,
    path = "/api/v1/entity/{kind}/{value}",
    tag = "query",
    params(
        ("kind" = String, Path, description = "principal, address, resource, session or account"),
        ("value" = String, Path, description = "Its name; slashes may stand as they are"),
        ("since" = Option<String>, Query, description = "From here on: RFC 3339, or how long ago, such as `24h`"),
        ("until" = Option<String>, Query, description = "Before here: RFC 3339, or how long ago, such as `15m`"),
    ),
    responses(
        (status = 200, description = "What is known", body = EntityBody),
        TokenProblems,
        QueryProblems,
    ),
    security(("token" = [])),
)]
pub(crate) async fn entity(
    State(shared): State<Shared>,
    Path((kind, value)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let token = authorise(&shared, &headers, Need::Search)?;
    let EntityQuery { since, until } = address_query(&uri)?;
    let span = span(&shared, since.as_deref(), until.as_deref())?;
    let unknown = || Problem::request(format!("`{kind}` is no entity: write principal, address, resource, session or account"));
    let kind = EntityKind::parse(&kind).ok_or_else(unknown)?;
    let permit = Arc::clone(&shared.queries).acquire_owned().await.map_err(|_| broken())?;
    let (engine, name) = (Arc::clone(&shared.ports.engine), value.clone());
    let found = blocking(move || {
        let found = pivot(engine.as_ref(), &token.tenant, kind, &name, span);
        drop(permit);
        found
    });
    let found = found.await??;
    let counts = |counts: Vec<(Option<String>, u64)>| -> Vec<CountBody> {
        counts.into_iter().map(|(value, events)| CountBody { value, events }).collect()
    };
    let body = EntityBody {
        kind: kind.to_string(),
        value,
        events: found.events,
        first: found.first.map(format_utc),
        last: found.last.map(format_utc),
        logs: counts(found.logs),
        operations: counts(found.operations),
        columns: found.columns,
        rows: found.rows.into_iter().map(|row| row.into_iter().map(json).collect()).collect(),
        version: found.version,
    };
    Ok(Json(body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: &str, value: &str, expected: &str) {
        let kind = EntityKind::parse(kind).unwrap();
        let questions = questions(&Tenant::default(), kind, value, (Some(1), Some(2))).unwrap();
        for question in &questions {
            let (Ask::Extent { filter } | Ask::Facet { filter, .. } | Ask::Search { filter, .. }) = &question.ask else {
                panic!("{question:?}");
            };
            assert_eq!((filter.as_str(), question.since, question.until), (expected, Some(1), Some(2)));
        }
    }

    #[test]
    fn an_entity_is_looked_for_wherever_it_may_stand_and_taken_literally() {
        check("principal", "alice", "actor_user_name:\"alice\" or actor_user_uid:\"alice\" or actor_user_uid_alt:\"alice\"");
        check("address", "192.0.2.0/24", "src_endpoint_ip:\"192.0.2.0/24\"");
        check("resource", "a*\" or *:\\", "resource_uid:\"a*\\\" or *:\\\\\" or target:\"a*\\\" or *:\\\\\"");
        check("session", "s", "actor_session_uid:\"s\" or actor_credential_uid:\"s\"");
        check("account", "1", "cloud_account_uid:\"1\" or actor_user_account_uid:\"1\"");
        assert_eq!(EntityKind::parse("planet"), None);
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        for value in ["", " ", &"x".repeat(VALUE_BYTES_MAX + 1)] {
            assert!(questions(&Tenant::default(), EntityKind::Address, value, (None, None)).is_err());
        }
    }
}
