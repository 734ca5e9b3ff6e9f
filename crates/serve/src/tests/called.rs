//! What calls over gRPC promise: their messages have a place among the bodies of all, and a no says why and
//! when to come again.

use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use data_encoding::BASE64_NOPAD;
use prost::Message;
use vigie_model::{Receipt, Refusal};

use super::fakes::{holding, ports, request, send};
use super::{ASK, PUSH, gzip, logs};
use crate::otlp::GRPC_PATH;
use crate::router;
use crate::service::{routes, share};

type Header = (&'static str, &'static str);

const GZIP: Header = ("grpc-encoding", "gzip");

/// A message behind its head.
fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [[flag].as_slice(), length.as_slice(), message].concat()
}

/// The seconds of the delay that a status carries. They stand last: `value` of the detail, `retry_delay`, `seconds`.
fn delay(headers: &HeaderMap) -> Option<u8> {
    let details = BASE64_NOPAD.decode(headers.get("grpc-status-details-bin")?.as_bytes()).unwrap();
    let kind = b"type.googleapis.com/google.rpc.RetryInfo";
    assert!(details.windows(kind.len()).any(|bytes| bytes == kind), "{details:?}");
    match details.as_slice() {
        [.., 0x12, 4, 0x0a, 2, 0x08, seconds] => Some(*seconds),
        _ => panic!("{details:?}"),
    }
}

/// The number of the status of a call, the seconds after which it comes again, and the headers.
async fn call(router: Router, headers: Vec<Header>, body: Vec<u8>) -> (String, Option<u8>, HeaderMap) {
    let headers = [vec![("content-type", "application/grpc")], headers].concat();
    let (status, seen, text) = send(&router, request(&format!("POST {GRPC_PATH}"), &headers, body)).await;
    assert_eq!(status, 200, "{text}");
    // That of a call which is answered stands behind its message.
    let code = seen.get("grpc-status").map_or("0", |code| code.to_str().unwrap()).to_owned();
    (code, delay(&seen), seen)
}

#[tokio::test]
async fn messages_have_their_place_among_all_bodies_until_they_are_answered() {
    let (ports, mut held) = holding();
    let shared = share(ports);
    let router = routes(Arc::clone(&shared));
    let all = shared.bodies.available_permits();
    let message = logs(&"x".repeat(1024 * 1024)).encode_to_vec();
    let plain = (vec![PUSH], framed(0, &message));
    let packed = (vec![PUSH, GZIP], framed(1, &gzip(&message)));
    for (headers, body) in [plain.clone(), packed.clone()] {
        let first = tokio::spawn(call(router.clone(), headers, body));
        let (delivery, answer) = held.recv().await.unwrap();
        assert!(delivery.body.len() > 1024 * 1024);
        let left = shared.bodies.available_permits();
        assert!(all - left > 1024, "{left} of {all} KiB are left");
        let others = Arc::clone(&shared.bodies).try_acquire_many_owned(u32::try_from(left - 8).unwrap()).unwrap();
        // What is packed would fit, and what it inflates to does not.
        for (headers, body) in [plain.clone(), packed.clone()] {
            let (code, seconds, _) = call(router.clone(), headers, body).await;
            assert_eq!((code.as_str(), seconds), ("14", Some(2)));
        }
        let (status, _, _) = send(&router, request("POST /api/v1/ingest", &[PUSH], vec![b' '; 16 * 1024])).await;
        assert_eq!(status, 429, "it is one room");
        assert_eq!(shared.bodies.available_permits(), 8, "what has no room takes none");
        drop(others);
        answer(Ok(Receipt { accepted: 1, ..Receipt::default() }));
        assert_eq!(first.await.unwrap().0, "0");
        assert_eq!(shared.bodies.available_permits(), all);
    }
}

/// Headers, a body, what intake says, and the status and the delay of the answer.
type Case = (Vec<Header>, Vec<u8>, Option<Refusal>, &'static str, Option<u8>);

#[tokio::test]
async fn a_status_says_why_and_when_to_come_again() {
    let message = logs("{\"n\": 1.0}").encode_to_vec();
    let whole = framed(0, &message);
    let two = [whole.clone(), whole.clone()].concat();
    let cut = whole.split_last().unwrap().1.to_vec();
    let zstd = framed(1, &zstd::stream::encode_all(message.as_slice(), 1).unwrap());
    let bomb = framed(1, &gzip(&vec![b' '; 20 * 1024 * 1024]));
    let gone = Refusal::Unavailable("the disk is full".to_owned());
    let cases: Vec<Case> = vec![
        (vec![], whole.clone(), None, "16", None),
        (vec![("authorization", "Bearer wrong")], whole.clone(), None, "16", None),
        (vec![ASK], whole.clone(), None, "7", None),
        (vec![PUSH], vec![], None, "3", None),
        (vec![PUSH], cut, None, "3", None),
        (vec![PUSH], two, None, "3", None),
        (vec![PUSH], framed(2, &message), None, "3", None),
        (vec![PUSH], framed(1, &gzip(&message)), None, "3", None),
        (vec![PUSH, GZIP], framed(1, b"no gzip"), None, "3", None),
        (vec![PUSH, ("grpc-encoding", "br")], framed(1, &message), None, "12", None),
        (vec![PUSH, GZIP], bomb, None, "8", None),
        (vec![PUSH], whole.clone(), Some(Refusal::Busy { retry_after_seconds: 9 }), "14", Some(9)),
        (vec![PUSH], whole.clone(), Some(gone), "14", Some(5)),
        (vec![PUSH], whole.clone(), Some(Refusal::TooLarge { bytes_max: 1 }), "8", None),
        (vec![PUSH, GZIP], whole.clone(), None, "0", None),
        (vec![PUSH, GZIP], framed(1, &gzip(&message)), None, "0", None),
        (vec![PUSH, ("grpc-encoding", "zstd")], zstd, None, "0", None),
    ];
    for (number, (headers, body, refusal, code, seconds)) in cases.into_iter().enumerate() {
        let (ports, mut deliveries) = ports(refusal.clone().map(Err));
        let (found, found_seconds, seen) = call(router(ports), headers, body).await;
        assert_eq!((found.as_str(), found_seconds), (code, seconds), "case {number}: {seen:?}");
        assert_eq!(seen.contains_key("grpc-accept-encoding"), code == "12", "case {number}");
        let is_delivered = code == "0" || refusal.is_some();
        assert_eq!(deliveries.try_recv().is_ok_and(|delivery| delivery.body == b"{\"n\": 1.0}\n"), is_delivered, "case {number}");
    }
    let (ports, _deliveries) = ports(None);
    let router = router(ports);
    for number in 0..11 {
        let (code, seconds, _) = call(router.clone(), vec![("authorization", "Bearer wrong")], whole.clone()).await;
        let expected = if number < 10 { ("16", None) } else { ("14", Some(1)) };
        assert_eq!((code.as_str(), seconds), expected);
    }
}
