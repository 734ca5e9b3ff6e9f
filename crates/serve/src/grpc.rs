//! Calls over gRPC: their message in the room of all bodies before it is in memory, and how they are told no.
//!
//! Follows "gRPC over HTTP2" for messages, `google/rpc/status.proto` and `google/rpc/error_details.proto` for
//! details of a status, and "OTLP/gRPC Throttling" of the OpenTelemetry Protocol specification 1.x for which
//! status is sent again. A limit on one message, as tonic has it, bounds nothing when there are many, and it
//! inflates without a look at the ratio: so a message is read and inflated here, as every other body.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use prost::Message;
use tonic::{Code, Status};
use vigie_model::Refusal;
use vigie_model::limits::DELIVERY_BYTES_MAX;

use crate::auth::{Denied, Need, authorise};
use crate::decode::{BodyError, ROOM_RETRY_SECONDS, Room, inflate_aside, read_as_it_is};
use crate::problem::UNAVAILABLE_RETRY_SECONDS;
use crate::service::Shared;

/// Bytes before a message: whether it is compressed, and its length.
const HEAD_BYTES: usize = 5;
/// The header that says how messages are compressed.
const ENCODING: &str = "grpc-encoding";
/// The header that says how messages may be compressed, and what it says.
const ENCODINGS: (&str, &str) = ("grpc-accept-encoding", "identity,gzip,zstd");
/// Seconds after which a client comes again that brought too many wrong tokens.
const LOGIN_RETRY_SECONDS: u64 = 1;
/// What the type of [`RetryInfo`] is called.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Details {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`, in whole seconds.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// Not now. `UNAVAILABLE` is the one status that every client sends again, after the delay that it carries.
fn later(sentence: impl Into<String>, seconds: u64) -> Status {
    let message = sentence.into();
    let retry_delay = Some(Delay { seconds: i64::try_from(seconds).unwrap_or(i64::MAX) });
    let any = Any { type_url: RETRY_INFO.to_owned(), value: RetryInfo { retry_delay }.encode_to_vec() };
    let details = Details { code: Code::Unavailable as i32, message: message.clone(), details: vec![any] };
    Status::with_details(Code::Unavailable, message, Bytes::from(details.encode_to_vec()))
}

/// Why a client is not let in.
pub(crate) fn denied(denied: Denied) -> Status {
    let sentence = denied.sentence();
    match denied {
        Denied::Missing | Denied::Wrong => Status::unauthenticated(sentence),
        Denied::TooMany => later(sentence, LOGIN_RETRY_SECONDS),
        Denied::Unknown => later(sentence, UNAVAILABLE_RETRY_SECONDS),
        Denied::Scope(_) => Status::permission_denied(sentence),
    }
}

/// Why a delivery is not taken.
pub(crate) fn refused(refusal: Refusal) -> Status {
    let sentence = refusal.to_string();
    match refusal {
        Refusal::Busy { retry_after_seconds } => later(sentence, retry_after_seconds),
        Refusal::Unavailable(_) => later(sentence, UNAVAILABLE_RETRY_SECONDS),
        Refusal::UnknownLog(_) => Status::not_found(sentence),
        // Without a delay it is not sent again.
        Refusal::TooLarge { .. } => Status::resource_exhausted(sentence),
    }
}

/// Why a message is not read.
fn unread(error: &BodyError) -> Status {
    let sentence = error.sentence();
    match error {
        BodyError::NoRoom => later(sentence, ROOM_RETRY_SECONDS),
        BodyError::TooLarge { .. } => Status::resource_exhausted(sentence),
        BodyError::TooSlow => Status::deadline_exceeded(sentence),
        BodyError::Unknown(_) => Status::unimplemented(sentence),
        BodyError::Bad(_) => Status::invalid_argument(sentence),
    }
}

/// Reads the one message of a call. What is given on is the same message, whole and not compressed.
async fn message(headers: &HeaderMap, room: Option<&Room>, body: Body) -> Result<Body, BodyError> {
    let bad = |why: &str| Err(BodyError::Bad(why.to_owned()));
    let mut framed = read_as_it_is(room, body, DELIVERY_BYTES_MAX).await?;
    let Some((head, rest)) = framed.split_first_chunk::<HEAD_BYTES>() else {
        return bad("the call brings no message");
    };
    let [flag, length @ ..] = *head;
    if u32::try_from(rest.len()) != Ok(u32::from_be_bytes(length)) {
        return bad("the call does not bring one whole message; send each in a call of its own");
    }
    match flag {
        0 => return Ok(Body::from(framed)),
        1 => {}
        _ => return bad("the message is neither plain nor compressed: its flag is not 0 or 1"),
    }
    let Some(encoding) = headers.get(ENCODING).map(|name| String::from_utf8_lossy(name.as_bytes()).to_ascii_lowercase()) else {
        return bad("the message is compressed, and `grpc-encoding` does not say how");
    };
    framed.drain(..HEAD_BYTES);
    let message = inflate_aside(encoding, framed, DELIVERY_BYTES_MAX, room).await?;
    let length = u32::try_from(message.len()).map_err(|_| BodyError::TooLarge { bytes_max: DELIVERY_BYTES_MAX })?;
    let head = [[0].as_slice(), length.to_be_bytes().as_slice()].concat();
    // Two parts: a message is not copied to stand behind its head.
    let parts = [head, message].map(|part| Ok::<Bytes, Infallible>(Bytes::from(part)));
    Ok(Body::from_stream(futures::stream::iter(parts)))
}

/// Lets a call in, with its message. Who has no token is sent away before the message is read.
pub(crate) async fn enter(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    if let Err(why) = authorise(&shared, &parts.headers, Need::Ingest) {
        return denied(why).into_http();
    }
    let message = message(&parts.headers, parts.extensions.get(), body).await;
    match message {
        Ok(body) => {
            parts.headers.remove(ENCODING);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(error) => {
            let mut response = unread(&error).into_http::<Body>();
            if matches!(error, BodyError::Unknown(_)) {
                let (name, value) = ENCODINGS;
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            response
        }
    }
}
