//! Answers that say no, as the OpenAPI document describes them: each once, and operations refer to it.
//!
//! A handler names the groups that fit what it does; what an answer means is changed here only.

use std::collections::BTreeMap;

use utoipa::openapi::{Content, Header, Object, Ref, RefOr, Response, ResponseBuilder, Type};
use utoipa::{IntoResponses, ToSchema};

use crate::problem::ProblemBody;

/// Answers by their statuses, or by their names.
type Answers = BTreeMap<String, RefOr<Response>>;

/// One answer.
struct Answer {
    /// What the document calls it.
    name: &'static str,
    status: u16,
    meaning: &'static str,
}

/// All of them. One status has one meaning, whatever the operation; `detail` says which case it is.
const ANSWERS: [Answer; 11] = [
    Answer { name: "BadRequest", status: 400, meaning: "The request cannot be read, or asks for what cannot be" },
    Answer { name: "NoToken", status: 401, meaning: "No valid token" },
    Answer { name: "NotAllowed", status: 403, meaning: "The token may not do this: it was made without the scope" },
    Answer { name: "Unknown", status: 404, meaning: "There is nothing of this name" },
    Answer { name: "TooSlow", status: 408, meaning: "The body did not come in time" },
    Answer { name: "TooLarge", status: 413, meaning: "The body is too large; send it in parts" },
    Answer { name: "UnknownEncoding", status: 415, meaning: "The content encoding is not known" },
    Answer { name: "AnswerTooLarge", status: 422, meaning: "The answer is too large, or took too long" },
    Answer { name: "ComeAgain", status: 429, meaning: "Too much at once; nothing of it was kept, send it again later" },
    Answer { name: "Failed", status: 500, meaning: "Something failed" },
    Answer { name: "Unavailable", status: 503, meaning: "It cannot be stored or looked up now; nothing of it was kept" },
];

/// Statuses of answers that say when to come again.
const LATER: [u16; 2] = [429, 503];

impl Answer {
    fn response(&self) -> Response {
        let content = Content::new(Some(Ref::from_schema_name(ProblemBody::name())));
        let mut trace = Header::new(Object::with_type(Type::String));
        trace.description = Some("`trace_id` of the problem".to_owned());
        let mut response = ResponseBuilder::new()
            .description(self.meaning)
            .content("application/problem+json", content)
            .header("x-trace-id", trace);
        if LATER.contains(&self.status) {
            let mut retry = Header::new(Object::with_type(Type::Integer));
            retry.description = Some("Seconds to wait".to_owned());
            response = response.header("retry-after", retry);
        }
        response.build()
    }
}

/// All answers by their names, for the components of the document.
pub(crate) fn all() -> Answers {
    ANSWERS.iter().map(|answer| (answer.name.to_owned(), RefOr::T(answer.response()))).collect()
}

/// References to the answers with these statuses.
fn named(statuses: &[u16]) -> Answers {
    let wanted = ANSWERS.iter().filter(|answer| statuses.contains(&answer.status));
    wanted.map(|answer| (answer.status.to_string(), Ref::from_response_name(answer.name).into())).collect()
}

/// Of whatever needs a token and looks into what is stored.
pub(crate) struct TokenProblems;

impl IntoResponses for TokenProblems {
    fn responses() -> Answers {
        named(&[401, 403, 429, 503])
    }
}

/// Of whatever reads a body.
pub(crate) struct BodyProblems;

impl IntoResponses for BodyProblems {
    fn responses() -> Answers {
        named(&[400, 408, 413, 415])
    }
}

/// Of whatever asks the lake.
pub(crate) struct QueryProblems;

impl IntoResponses for QueryProblems {
    fn responses() -> Answers {
        named(&[400, 422, 500])
    }
}

/// Of whatever reads what stands behind the question mark, and asks nothing.
pub(crate) struct RequestProblem;

impl IntoResponses for RequestProblem {
    fn responses() -> Answers {
        named(&[400])
    }
}

/// Of whatever has a name in its address.
pub(crate) struct NameProblem;

impl IntoResponses for NameProblem {
    fn responses() -> Answers {
        named(&[404])
    }
}
