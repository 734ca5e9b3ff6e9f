//! What each protocol promises, through the router and through sockets, with ports that are fakes.

mod asked;
mod called;
mod fakes;

use std::collections::BTreeSet;
use std::io::Write;
use std::net;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tonic::codec::CompressionEncoding;
use vigie_model::{LogType, Receipt, Refusal, Rejected, Tenant};

use crate::{Listeners, openapi, router, serve};
use fakes::{ports, request, send};

const PUSH: (&str, &str) = ("authorization", "Bearer push");
const ASK: (&str, &str) = ("authorization", "Bearer ask");

/// A request, its headers and body; log, source and body of each delivery; the answer.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    Vec<u8>,
    &'static [(Option<&'static str>, &'static str, &'static str)],
    Value,
);

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A request of one log record whose body is `text`.
fn logs(text: &str) -> ExportLogsServiceRequest {
    let body = Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) });
    let log_records = vec![LogRecord { body, ..LogRecord::default() }];
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] }
}

#[tokio::test]
async fn each_protocol_delivers_the_records_as_they_came() {
    let one: &[u8] = b"{\"n\": 1.0}";
    let hec = b"{\"event\":{\"n\": 1.0},\"sourcetype\":\"aws/cloudtrail\"}{\"event\":\"{\\\"n\\\": 2}\"} {\"event\":\"hi\",\"host\":\"h\"}";
    let otlp_json =
        b"{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"body\":{\"stringValue\":\"{\\\"n\\\": 1.0}\"}}]}]}]}";
    let cases: [Case; 6] = [
        (
            "POST /api/v1/ingest/aws/cloudtrail",
            &[PUSH],
            one.to_vec(),
            &[(Some("aws/cloudtrail"), "http/aws/cloudtrail", "{\"n\": 1.0}")],
            json!({ "accepted": 1, "rejected": 0, "rejects": [] }),
        ),
        (
            "POST /api/v1/ingest",
            &[PUSH, ("content-encoding", "gzip")],
            gzip(one),
            &[(None, "http", "{\"n\": 1.0}")],
            json!({ "accepted": 1, "rejected": 0, "rejects": [] }),
        ),
        (
            "POST /services/collector/event",
            &[("authorization", "Splunk push"), ("x-splunk-request-channel", "c")],
            hec.to_vec(),
            &[
                (Some("aws/cloudtrail"), "hec", "{\"n\": 1.0}\n"),
                (None, "hec", "{\"n\": 2}\n{\"host\":\"h\",\"message\":\"hi\"}\n"),
            ],
            json!({ "text": "Success", "code": 0, "ackId": 0 }),
        ),
        (
            "POST /services/collector/raw?host=h",
            &[("authorization", "Basic eDpwdXNo")],
            b"one\n\ntwo\n".to_vec(),
            &[(None, "hec", "{\"host\":\"h\",\"message\":\"one\"}\n{\"host\":\"h\",\"message\":\"two\"}\n")],
            json!({ "text": "Success", "code": 0 }),
        ),
        (
            "PUT /logs/_bulk",
            &[("authorization", "ApiKey eDpwdXNo")],
            b"{\"create\":{\"_id\":\"a\"}}\n{\"n\": 1.0}\n".to_vec(),
            &[(None, "bulk", "{\"n\": 1.0}\n")],
            json!({ "took": 0, "errors": false, "items":
                [{ "create": { "_index": "logs", "_id": "a", "_version": 1, "result": "created", "status": 201 } }] }),
        ),
        (
            "POST /v1/logs",
            &[PUSH, ("content-type", "application/json")],
            otlp_json.to_vec(),
            &[(None, "otlp", "{\"n\": 1.0}\n")],
            json!({}),
        ),
    ];
    for (line, headers, body, expected, answer) in cases {
        let (ports, mut deliveries) = ports(None);
        let (status, seen, text) = send(&router(ports), request(line, headers, body)).await;
        assert_eq!(status, 200, "{line}: {text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), answer, "{line}");
        assert_eq!(seen.get("x-content-type-options").unwrap(), "nosniff");
        for (log, source, body) in expected {
            let delivery = deliveries.try_recv().unwrap();
            let found = (delivery.log, delivery.source.as_str(), std::str::from_utf8(&delivery.body).unwrap());
            assert_eq!(found, (log.map(|log| LogType(log.to_owned())), *source, *body), "{line}");
            assert_eq!(delivery.tenant, Tenant("blue".to_owned()));
        }
        assert!(deliveries.try_recv().is_err());
    }
}

#[tokio::test]
async fn logs_come_as_protocol_buffers_too() {
    let (ports, mut deliveries) = ports(Some(Ok(Receipt { accepted: 0, rejected: 1, rejects: Vec::new() })));
    let headers = [PUSH, ("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
    let body = gzip(&logs("{\"n\": 1.0}").encode_to_vec());
    let (status, seen, text) = send(&router(ports), request("POST /v1/logs", &headers, body)).await;
    assert_eq!((status.as_u16(), text.as_bytes()), (200, [10, 2, 8, 1].as_slice()));
    assert_eq!(seen.get("content-type").unwrap(), "application/x-protobuf");
    assert_eq!(deliveries.try_recv().unwrap().body, b"{\"n\": 1.0}\n");
}

#[tokio::test]
async fn nobody_enters_without_the_right_token() {
    let cases = [
        ("POST /api/v1/ingest", None, 401, "token"),
        ("POST /api/v1/ingest", Some("Bearer wrong"), 401, "token"),
        ("POST /api/v1/ingest", Some("Bearer ask"), 403, "scope"),
        ("POST /api/v1/search", Some("Bearer push"), 403, "scope"),
        ("GET /api/v1/openapi.json", None, 401, "token"),
        ("POST /api/v1/jobs", Some("Bearer push"), 403, "scope"),
        ("GET /api/v1/jobs/1", None, 401, "token"),
        ("DELETE /api/v1/jobs/1", Some("Bearer push"), 403, "scope"),
        ("GET /api/v1/tail", Some("Bearer push"), 403, "scope"),
        ("GET /api/v1/entity/address/192.0.2.7", Some("Bearer push"), 403, "scope"),
        ("GET /api/v1/saved", Some("Bearer push"), 403, "scope"),
        ("GET /api/v1/saved/a", None, 401, "token"),
        ("PUT /api/v1/saved/a", Some("Bearer push"), 403, "scope"),
        ("DELETE /api/v1/saved/a", None, 401, "token"),
        ("GET /metrics", Some("Bearer push"), 403, "scope"),
        ("POST /services/collector", None, 401, "\"code\":2"),
        ("POST /services/collector", Some("Splunk wrong"), 403, "\"code\":4"),
        ("POST /services/collector?token=push", Some("Splunk push"), 400, "not accepted"),
        ("GET /services/collector/health", None, 401, "\"code\":2"),
        ("POST /_bulk", Some("ApiKey eDp4"), 401, "security_exception"),
        ("GET /", None, 401, "security_exception"),
        ("POST /v1/logs", None, 401, "token"),
        ("GET /health/live", None, 200, "live"),
        ("GET /health/ready", None, 200, "it is well"),
        ("GET /nowhere", None, 404, "/problems/path"),
    ];
    let (ports, mut deliveries) = ports(None);
    let router = router(ports);
    for (line, authorization, status, words) in cases {
        let headers: Vec<(&str, &str)> = authorization.map(|value| ("authorization", value)).into_iter().collect();
        let (found, _, text) = send(&router, request(line, &headers, "{\"event\":1}")).await;
        assert_eq!(found, status, "{line}: {text}");
        assert!(text.contains(words), "{line}: {text}");
    }
    assert!(deliveries.try_recv().is_err());
    for _ in 0..10 {
        send(&router, request("POST /api/v1/ingest", &[("authorization", "Bearer wrong")], "")).await;
    }
    let (status, _, _) = send(&router, request("POST /api/v1/ingest", &[("authorization", "Bearer wrong")], "")).await;
    assert_eq!(status, 429);
    let (status, _, _) = send(&router, request("POST /api/v1/ingest", &[PUSH], "{}")).await;
    assert_eq!(status, 200, "a right token passes however many wrong ones came");
}

/// A request, a header, a body, what intake says, and the status and `retry-after` of the answer.
type Refused = (&'static str, (&'static str, &'static str), Vec<u8>, Option<Refusal>, u16, Option<&'static str>);

#[tokio::test]
async fn bad_bodies_and_refusals_say_why() {
    let bomb = gzip(&vec![b' '; 20 * 1024 * 1024]);
    let busy = Refusal::Busy { retry_after_seconds: 9 };
    let gone = Refusal::Unavailable("the disk is full".to_owned());
    let unknown = Refusal::UnknownLog("a/b".to_owned());
    let (gzipped, ingest) = (("content-encoding", "gzip"), "POST /api/v1/ingest");
    let cases: Vec<Refused> = vec![
        (ingest, gzipped, b"no gzip".to_vec(), None, 400, None),
        (ingest, gzipped, bomb, None, 413, None),
        (ingest, ("content-encoding", "br"), Vec::new(), None, 415, None),
        ("POST /api/v1/ingest/a/b%20c", PUSH, b"{}".to_vec(), None, 404, None),
        ("POST /api/v1/ingest/a/b", PUSH, b"{}".to_vec(), Some(unknown), 404, None),
        (ingest, PUSH, b"{}".to_vec(), Some(busy.clone()), 429, Some("9")),
        (ingest, PUSH, b"{}".to_vec(), Some(gone.clone()), 503, Some("5")),
        ("POST /services/collector", PUSH, b"{\"event\":{}}".to_vec(), Some(busy.clone()), 503, Some("9")),
        ("POST /_bulk", PUSH, b"{\"index\":{}}\n{}\n".to_vec(), Some(busy), 429, Some("9")),
        ("POST /_bulk", PUSH, b"nothing\n".to_vec(), None, 400, None),
        ("POST /v1/logs", PUSH, b"nothing".to_vec(), None, 400, None),
        ("POST /v1/logs", PUSH, logs("a").encode_to_vec(), Some(gone), 503, Some("5")),
    ];
    for (line, header, body, refusal, expected, retry) in cases {
        let (ports, _deliveries) = ports(refusal.map(Err));
        let headers = if header == PUSH { vec![PUSH] } else { vec![PUSH, header] };
        let (status, seen, text) = send(&router(ports), request(line, &headers, body)).await;
        assert_eq!(status, expected, "{line}: {text}");
        assert_eq!(seen.get("retry-after").map(|value| value.to_str().unwrap()), retry, "{line}");
        if line.contains("/api/") {
            let problem: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(problem["trace_id"], seen.get("x-trace-id").unwrap().to_str().unwrap());
            assert_eq!(seen.get("content-type").unwrap(), "application/problem+json");
        }
    }
}

#[tokio::test]
async fn the_event_collector_answers_in_its_codes() {
    let cases = [
        ("POST /services/collector", "", json!({ "text": "No data", "code": 5 })),
        ("POST /services/collector/raw", " \n", json!({ "text": "No data", "code": 5 })),
        (
            "POST /services/collector",
            "{\"event\":{}} {\"event\":",
            json!({ "text": "Invalid data format", "code": 6, "invalid-event-number": 1 }),
        ),
        (
            "POST /services/collector",
            "{\"time\":1}",
            json!({ "text": "Event field is required", "code": 12, "invalid-event-number": 0 }),
        ),
        ("POST /services/collector/ack", "{\"acks\":[0,7]}", json!({ "acks": { "0": true, "7": true } })),
        ("GET /services/collector/health", "", json!({ "text": "HEC is healthy", "code": 17 })),
    ];
    for (line, body, expected) in cases {
        let (ports, _deliveries) = ports(None);
        let (_, _, text) = send(&router(ports), request(line, &[PUSH], body)).await;
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected, "{line} {body}");
    }
}

#[tokio::test]
async fn bulk_marks_the_items_that_are_in_quarantine() {
    let rejects = vec![Rejected { index: 1, reason: "no time".to_owned() }];
    let (ports, _deliveries) = ports(Some(Ok(Receipt { accepted: 1, rejected: 1, rejects })));
    let body = "{\"index\":{}}\n{\"n\":1}\n{\"index\":{}}\n{\"n\":2}\n";
    let (status, headers, text) = send(&router(ports), request("POST /_bulk", &[PUSH], body)).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status.as_u16(), &answer["errors"]), (200, &json!(true)));
    assert_eq!(headers.get("x-elastic-product").unwrap(), "Elasticsearch");
    assert_eq!((&answer["items"][0]["index"]["status"], &answer["items"][1]["index"]["status"]), (&json!(201), &json!(400)));
    assert_eq!(answer["items"][1]["index"]["error"]["reason"], "no time");
}

#[tokio::test]
async fn questions_are_answered_whole_or_line_by_line() {
    let (ports, _deliveries) = ports(None);
    let router = router(ports);
    let ndjson = ("accept", "application/x-ndjson");
    let row = "{\"z\":\"9223372036854775807\",\"a\":\"1970-01-01T00:00:01.000Z\"}\n";
    let (_, _, text) = send(&router, request("POST /api/v1/sql", &[ASK], "{\"sql\":\"right\"}")).await;
    let row_json = json!(["9223372036854775807", "1970-01-01T00:00:01.000Z"]);
    let expected = json!({ "columns": ["z", "a"], "version": 7, "rows": [row_json, row_json], "is_complete": true });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    let (_, _, text) = send(&router, request("POST /api/v1/sql", &[ASK, ndjson], "{\"sql\":\"right\"}")).await;
    let end = "{\"end\":{\"rows\":2,\"version\":7}}\n";
    assert_eq!(text, format!("{{\"columns\":[\"z\",\"a\"],\"version\":7}}\n{row}{row}{end}"));
    let (status, _, text) = send(&router, request("POST /api/v1/sql", &[ASK, ndjson], "{\"sql\":\"breaks\"}")).await;
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((status.as_u16(), text.lines().count(), &last["error"]["status"]), (200, 4, &json!(422)));
    let failures = [
        ("POST /api/v1/sql", "{\"sql\":\"wrong\"}", 400, "no"),
        ("POST /api/v1/sql", "{\"sql\":\"breaks\"}", 422, "too many"),
        ("POST /api/v1/sql", "{\"statement\":1}", 400, "statement"),
        ("POST /api/v1/search", "{\"since\":\"soon\"}", 400, "`soon`"),
        (
            "POST /api/v1/search",
            "{\"filter\":\"x\",\"since\":\"1h\",\"limit\":3}",
            500,
            "Search { filter: \\\"x\\\", limit: 3 } Some(1799996400000) None",
        ),
        ("POST /api/v1/histogram", "{}", 500, "Histogram { filter: \\\"\\\", steps: 60 }"),
        ("POST /api/v1/facet", "{\"column\":\"c\"}", 500, "column: \\\"c\\\", limit: 10"),
    ];
    for (line, body, status, words) in failures {
        let (found, _, text) = send(&router, request(line, &[ASK], body)).await;
        assert_eq!(found, status, "{line}: {text}");
        assert!(text.contains(words), "{line}: {text}");
    }
}

#[tokio::test]
async fn the_document_and_the_metrics_name_what_there_is() {
    let (ports, _deliveries) = ports(None);
    let router = router(ports);
    let (_, _, text) = send(&router, request("GET /api/v1/openapi.json", &[ASK], "")).await;
    assert_eq!(text, openapi());
    let document: Value = serde_json::from_str(&text).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document["paths"].as_object().unwrap().len(), 14);
    send(&router, request("POST /api/v1/ingest", &[PUSH], "{}\n{}\n")).await;
    let (_, _, text) = send(&router, request("GET /metrics", &[ASK], "")).await;
    let lines = [
        "vigie_ingest_records_total{endpoint=\"ingest\"} 2",
        "vigie_ingest_bytes_total 6",
        "vigie_http_requests_total{path=\"/api/v1/ingest\",status=\"200\"} 1",
        "vigie_lag_seconds 1.5",
    ];
    for line in lines {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test]
async fn each_problem_is_described_once_and_operations_refer_to_it() {
    let (ports, _deliveries) = ports(None);
    let router = router(ports);
    let document: Value = serde_json::from_str(&openapi()).unwrap();
    let described = document["components"]["responses"].as_object().unwrap();
    let mut seen = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let line = format!("{} {}", method.to_uppercase(), path.replace(['{', '}'], ""));
            let answers = operation["responses"].as_object().unwrap();
            let needs_token = operation.get("security").is_some();
            for (status, answer) in answers.iter().filter(|(status, _)| needs_token && status.as_str() >= "400") {
                let name = answer["$ref"].as_str().and_then(|to| to.strip_prefix("#/components/responses/"));
                let name = name.unwrap_or_else(|| panic!("{line} describes {status} itself"));
                let problem = &described[name]["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(problem, "#/components/schemas/Problem", "{name}");
                let is_later = matches!(status.as_str(), "429" | "503");
                assert_eq!(described[name]["headers"]["retry-after"].is_object(), is_later, "{name}");
                seen.insert(name);
            }
            let (status, _, text) = send(&router, request(&line, &[], "")).await;
            assert!(answers.contains_key(status.as_str()), "{line}: {status} {text}");
            assert_eq!(status == 401, needs_token, "{line}");
        }
    }
    assert!(document["components"]["schemas"]["Problem"].is_object());
    assert!(described.keys().map(String::as_str).eq(seen), "an answer is described that nothing gives");
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_bring_syslog_and_calls_until_the_stop() {
    let (ports, mut deliveries) = ports(None);
    let http = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let datagrams = net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (at_http, at_stream, at_datagrams) =
        (http.local_addr().unwrap(), stream.local_addr().unwrap(), datagrams.local_addr().unwrap());
    let listeners = Listeners {
        http,
        syslog_udp: Some(datagrams),
        syslog_tcp: Some(stream),
        syslog_tls: None,
        syslog_tenant: Tenant("red".to_owned()),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let service = tokio::spawn(serve(listeners, ports, async move { drop(stopped.await) }));

    let mut client = LogsServiceClient::connect(format!("http://{at_http}")).await.unwrap();
    let mut call = tonic::Request::new(logs("{\"n\": 1.0}"));
    assert_eq!(client.export(tonic::Request::new(logs("a"))).await.unwrap_err().code(), tonic::Code::Unauthenticated);
    call.metadata_mut().insert("authorization", "Bearer push".parse().unwrap());
    client.export(call).await.unwrap();
    let delivery = deliveries.recv().await.unwrap();
    assert_eq!((delivery.source.as_str(), delivery.body.as_slice()), ("otlp", b"{\"n\": 1.0}\n".as_slice()));
    let mut client = client.send_compressed(CompressionEncoding::Gzip);
    let mut call = tonic::Request::new(logs("{\"n\": 2.0}"));
    call.metadata_mut().insert("authorization", "Bearer push".parse().unwrap());
    client.export(call).await.unwrap();
    assert_eq!(deliveries.recv().await.unwrap().body, b"{\"n\": 2.0}\n");
    drop(client);

    let mut stream = tokio::net::TcpStream::connect(at_stream).await.unwrap();
    stream.write_all(b"<1>{\"n\": 1}\n13 <1>{\"n\": 2.0}").await.unwrap();
    stream.shutdown().await.unwrap();
    let (expected, mut bodies) = (b"{\"n\": 1}\n{\"n\": 2.0}\n", Vec::new());
    while bodies.len() < expected.len() {
        let delivery = deliveries.recv().await.unwrap();
        assert_eq!((delivery.source.as_str(), delivery.tenant), ("syslog/tcp", Tenant("red".to_owned())));
        bodies.extend(delivery.body);
    }
    assert_eq!(bodies, expected);
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);

    let sender = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    sender.send_to(b"<1>{\"n\": 3}", at_datagrams).await.unwrap();
    let delivery = deliveries.recv().await.unwrap();
    assert_eq!((delivery.source.as_str(), delivery.body.as_slice()), ("syslog/udp", b"{\"n\": 3}\n".as_slice()));

    stop.send(()).unwrap();
    service.await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(at_http).await.is_err());
}
