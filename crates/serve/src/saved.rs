//! Saved searches over HTTP: filters that a tenant gave a name.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vigie_model::{Ask, Question, SaveError, SavedSearch, format_utc};

use crate::answers::{BodyProblems, NameProblem, QueryProblems, TokenProblems};
use crate::auth::{Need, authorise};
use crate::problem::{Problem, UNAVAILABLE_RETRY_SECONDS};
use crate::query::{blocking, receive};
use crate::service::Shared;

/// A filter to save.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaveRequest {
    /// The filter, as a search takes it.
    filter: String,
}

/// A filter with a name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SavedSearch)]
pub(crate) struct SavedBody {
    /// Its name.
    name: String,
    /// The filter.
    filter: String,
    /// When it was saved, RFC 3339.
    created: String,
}

/// All saved searches.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SavedSearches)]
pub(crate) struct SavedListBody {
    /// By name.
    searches: Vec<SavedBody>,
}

impl From<SavedSearch> for SavedBody {
    fn from(search: SavedSearch) -> SavedBody {
        SavedBody { name: search.name, filter: search.filter, created: format_utc(search.created) }
    }
}

fn unavailable(why: String) -> Problem {
    let problem = Problem::new("unavailable", "Saved searches cannot be used now", StatusCode::SERVICE_UNAVAILABLE, why);
    problem.after(UNAVAILABLE_RETRY_SECONDS)
}

fn unknown(name: &str) -> Problem {
    let detail = format!("there is no saved search `{name}`: `GET /api/v1/saved` names them");
    Problem::new("saved", "No such saved search", StatusCode::NOT_FOUND, detail)
}

/// Names all saved searches.
#[utoipa::path(
    get,
    operation_id = "list_saved",
    path = "/api/v1/saved",
    tag = "saved",
    responses(
        (status = 200, description = "All saved searches, by name", body = SavedListBody),
        TokenProblems,
    ),
    security(("token" = [])),
)]
pub(crate) async fn list(State(shared): State<Shared>, headers: HeaderMap) -> Result<Response, Problem> {
    let token = authorise(&shared, &headers, Need::Search)?;
    let port = Arc::clone(&shared.ports.saved);
    let found = blocking(move || port.searches(&token.tenant)).await?.map_err(unavailable)?;
    Ok(Json(SavedListBody { searches: found.into_iter().map(SavedBody::from).collect() }).into_response())
}

/// Gives a saved search.
#[utoipa::path(
    get,
    operation_id = "get_saved",
    path = "/api/v1/saved/{name}",
    tag = "saved",
    params(("name" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The saved search", body = SavedBody),
        TokenProblems,
        NameProblem,
    ),
    security(("token" = [])),
)]
pub(crate) async fn find(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let token = authorise(&shared, &headers, Need::Search)?;
    let (port, wanted) = (Arc::clone(&shared.ports.saved), name.clone());
    let found = blocking(move || port.search(&token.tenant, &wanted)).await?.map_err(unavailable)?;
    let found = found.ok_or_else(|| unknown(&name))?;
    Ok(Json(SavedBody::from(found)).into_response())
}

/// Saves a search; one of the same name is replaced. A filter that cannot be read is not saved.
#[utoipa::path(
    put,
    operation_id = "put_saved",
    path = "/api/v1/saved/{name}",
    tag = "saved",
    params(("name" = String, Path, description = "Its name: 1 to 128 printable characters")),
    request_body(content = SaveRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "It is saved", body = SavedBody),
        TokenProblems,
        BodyProblems,
        QueryProblems,
    ),
    security(("token" = [])),
)]
pub(crate) async fn save(State(shared): State<Shared>, Path(name): Path<String>, request: Request) -> Result<Response, Problem> {
    let (_, tenant, SaveRequest { filter }) = receive::<SaveRequest>(&shared, request).await?;
    let search = SavedSearch { name, filter, created: (shared.ports.clock)() };
    let inner = Arc::clone(&shared);
    let saved = blocking(move || {
        // Planning says whether the filter can be read; no row is read.
        let ask = Ask::Search { filter: search.filter.clone(), limit: 1 };
        inner.ports.engine.ask(&Question::new(tenant.clone(), ask)).map(drop)?;
        inner.ports.saved.save(&tenant, &search).map_err(|error| match error {
            SaveError::Refused(why) => Problem::request(why),
            SaveError::Failed(why) => unavailable(why),
        })?;
        Ok::<SavedSearch, Problem>(search)
    });
    Ok(Json(SavedBody::from(saved.await??)).into_response())
}

/// Forgets a saved search.
#[utoipa::path(
    delete,
    operation_id = "delete_saved",
    path = "/api/v1/saved/{name}",
    tag = "saved",
    params(("name" = String, Path, description = "Its name")),
    responses(
        (status = 204, description = "It is forgotten"),
        TokenProblems,
        NameProblem,
    ),
    security(("token" = [])),
)]
pub(crate) async fn forget(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let token = authorise(&shared, &headers, Need::Search)?;
    let (port, wanted) = (Arc::clone(&shared.ports.saved), name.clone());
    let is_gone = blocking(move || port.forget(&token.tenant, &wanted)).await?.map_err(unavailable)?;
    if is_gone { Ok(StatusCode::NO_CONTENT) } else { Err(unknown(&name)) }
}
