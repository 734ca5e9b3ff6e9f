//! The interface for programs as an OpenAPI 3.1 document, from the handlers themselves.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;
use utoipa::openapi::Components;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use crate::answers;
use crate::auth::{Need, authorise};
use crate::problem::{Problem, ProblemBody};
use crate::service::Shared;

#[derive(OpenApi)]
#[openapi(
    info(title = "Vigie", description = "Push intake, questions and health. Other protocols stand in the guide."),
    paths(
        crate::ingest::named,
        crate::ingest::unnamed,
        crate::query::search,
        crate::query::sql,
        crate::query::histogram,
        crate::query::facet,
        crate::jobs::create,
        crate::jobs::look,
        crate::jobs::delete,
        crate::tail::tail,
        crate::entity::entity,
        crate::saved::list,
        crate::saved::find,
        crate::saved::save,
        crate::saved::forget,
        crate::service::live,
        crate::service::ready,
    ),
    components(schemas(ProblemBody))
)]
struct Document;

/// The document as indented JSON with a line end, the same for the same program.
pub fn openapi() -> String {
    let mut document = Document::openapi();
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = document.components.get_or_insert_with(Components::new);
    components.responses.extend(answers::all());
    components.add_security_scheme("token", scheme);
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// Gives the document.
pub(crate) async fn get(State(shared): State<Shared>, headers: axum::http::HeaderMap) -> Result<Response, Problem> {
    authorise(&shared, &headers, Need::Any)?;
    Ok(([(CONTENT_TYPE, "application/json")], openapi()).into_response())
}

#[cfg(test)]
mod tests {
    /// To renew the file: `curl` it from `/api/v1/openapi.json` of a service that was just built.
    #[test]
    fn the_committed_description_is_the_one_of_the_code() {
        assert!(super::openapi() == include_str!("../../../docs/openapi.json"), "docs/openapi.json differs from the code");
    }
}
