//! What questions that outlive a request promise: jobs, pages, tails, pivots, saved searches.

use axum::Router;
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::fakes::{ports, request, send};
use super::{ASK, PUSH};
use crate::router;

const RED: (&str, &str) = ("authorization", "Bearer red");

/// Asks, and checks the status and the words of the answer.
#[track_caller]
fn says(found: &(u16, Value), status: u16, words: &str) {
    assert!(found.0 == status && found.1.to_string().contains(words), "{status} {words}: {found:?}");
}

/// The status and the answer of a request; null where the answer is empty.
async fn get(router: &Router, line: &str, who: (&str, &str), body: &str) -> (u16, Value) {
    let (status, _, text) = send(router, request(line, &[who], body.to_owned())).await;
    (status.as_u16(), serde_json::from_str(&text).unwrap_or_default())
}

/// A job's answer once it has so many rows or has ended.
async fn until(router: &Router, id: &str, rows: u64) -> Value {
    loop {
        let (status, job) = get(router, &format!("GET /api/v1/jobs/{id}"), ASK, "").await;
        assert_eq!(status, 200, "{job}");
        if job["state"] != "running" || job["rows_kept"].as_u64() >= Some(rows) {
            return job;
        }
        tokio::task::yield_now().await;
    }
}

async fn begin(router: &Router, body: &str) -> String {
    let (status, begun) = get(router, "POST /api/v1/jobs", ASK, body).await;
    assert_eq!(status, 202, "{begun}");
    begun["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_job_is_looked_at_until_it_ends() {
    let (ports, _deliveries) = ports(None);
    let router = router(ports);
    let id = begin(&router, "{\"kind\":\"sql\",\"sql\":\"right\"}").await;
    let job = until(&router, &id, u64::MAX).await;
    let row = json!(["9223372036854775807", "1970-01-01T00:00:01.000Z"]);
    assert_eq!((&job["state"], &job["is_complete"], &job["version"]), (&json!("done"), &json!(true), &json!(7)), "{job}");
    assert_eq!((&job["columns"], &job["rows"], &job["next"]), (&json!(["z", "a"]), &json!([row, row]), &Value::Null));
    for (body, status) in [("wrong", 400), ("breaks", 422)] {
        let id = begin(&router, &format!("{{\"kind\":\"sql\",\"sql\":\"{body}\"}}")).await;
        let job = until(&router, &id, u64::MAX).await;
        assert_eq!((&job["state"], &job["error"]["status"]), (&json!("failed"), &json!(status)), "{job}");
    }
    let id = begin(&router, "{\"kind\":\"search\",\"filter\":\"pages\",\"limit\":2}").await;
    assert_eq!(until(&router, &id, u64::MAX).await["rows_kept"], 2);
    for body in
        ["{\"kind\":\"sql\"}", "{\"kind\":\"sql\",\"sql\":\"x\",\"limit\":1}", "{\"kind\":\"search\",\"sql\":\"x\"}", "{}"]
    {
        says(&get(&router, "POST /api/v1/jobs", ASK, body).await, 400, "/problems/request");
    }
}

#[tokio::test]
async fn a_cancelled_job_lets_go_of_its_query_and_keeps_what_it_has() {
    let (ports, _deliveries) = ports(None);
    let router = router(ports);
    let id = begin(&router, "{\"kind\":\"sql\",\"sql\":\"waits\"}").await;
    let job = until(&router, &id, 2).await;
    assert_eq!((&job["state"], &job["rows_kept"]), (&json!("running"), &json!(2)), "{job}");
    // Its place goes on while it runs, and nobody else's cursor fits.
    let cursor = job["next"].as_str().unwrap();
    let line = format!("GET /api/v1/jobs/{id}?cursor={cursor}");
    let (_, rest) = get(&router, &line, ASK, "").await;
    assert!(rest["rows"].as_array().unwrap().is_empty() && rest["next"].is_string(), "{rest}");
    says(&get(&router, &format!("{line}x"), ASK, "").await, 400, "/problems/cursor");
    says(&get(&router, &format!("GET /api/v1/jobs/{id}?page=2"), ASK, "").await, 400, "cursor");
    let line = format!("DELETE /api/v1/jobs/{id}");
    assert_eq!(get(&router, &line, ASK, "").await.0, 204);
    let (_, job) = get(&router, &format!("GET /api/v1/jobs/{id}"), ASK, "").await;
    assert_eq!((&job["state"], &job["rows_kept"], &job["is_complete"]), (&json!("cancelled"), &json!(2), &json!(false)));
    assert_eq!(get(&router, &line, ASK, "").await.0, 204, "what has ended is forgotten");
    says(&get(&router, &line, ASK, "").await, 404, "/problems/job");
}

#[tokio::test]
async fn a_job_of_another_tenant_is_as_unknown_as_none() {
    let (ports, _deliveries) = ports(None);
    let router = router(ports);
    let id = begin(&router, "{\"kind\":\"sql\",\"sql\":\"right\"}").await;
    for method in ["GET", "DELETE"] {
        let (status, mut foreign) = get(&router, &format!("{method} /api/v1/jobs/{id}"), RED, "").await;
        let (_, mut none) = get(&router, &format!("{method} /api/v1/jobs/0"), RED, "").await;
        for answer in [&mut foreign, &mut none] {
            answer["trace_id"] = Value::Null;
        }
        assert_eq!((status, foreign), (404, none));
    }
    assert_eq!(until(&router, &id, u64::MAX).await["state"], "done");
}

#[tokio::test]
async fn pages_of_a_search_hold_each_event_once() {
    let (ports, _deliveries) = ports(None);
    let router = router(ports);
    let mut body = json!({ "filter": "pages", "limit": 2 });
    let mut pages = Vec::new();
    loop {
        let (status, page) = get(&router, "POST /api/v1/search", ASK, &body.to_string()).await;
        assert_eq!(status, 200, "{page}");
        let seconds = page["rows"].as_array().unwrap().iter().map(|row| row[0].as_str().unwrap().to_owned());
        pages.push(seconds.map(|time| time.get(18..19).unwrap().to_owned()).collect::<Vec<_>>().concat());
        match page["next"].as_str() {
            Some(next) => body = json!({ "cursor": next }),
            None => break,
        }
    }
    assert_eq!(pages, ["54", "32", "1"]);
    let cursor = body["cursor"].as_str().unwrap().to_owned();
    says(&get(&router, "POST /api/v1/search", RED, &body.to_string()).await, 400, "another question");
    let more = json!({ "cursor": cursor, "limit": 3 }).to_string();
    says(&get(&router, "POST /api/v1/search", ASK, &more).await, 400, "no other field");
    let changed = json!({ "cursor": cursor + "A" }).to_string();
    says(&get(&router, "POST /api/v1/search", ASK, &changed).await, 400, "/problems/cursor");
}

#[tokio::test]
async fn the_last_line_says_how_an_answer_ended_and_what_comes_next() {
    let (ports, _deliveries) = ports(None);
    let router = router(ports);
    let headers = [ASK, ("accept", "application/x-ndjson")];
    for (limit, expected) in [(2, vec!["54", "32", "1"]), (5, vec!["54321", ""])] {
        let mut body = json!({ "filter": "pages", "limit": limit });
        let mut pages = Vec::new();
        loop {
            let (status, _, text) = send(&router, request("POST /api/v1/search", &headers, body.to_string())).await;
            assert_eq!(status, 200, "{text}");
            let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let (end, rows) = lines[1..].split_last().unwrap();
            let end = end["end"].as_object().unwrap();
            assert_eq!((&end["rows"], &end["version"]), (&json!(rows.len()), &json!(7)), "{text}");
            assert!(rows.iter().flat_map(|row| row.as_object().unwrap().values()).all(|value| !value.is_object()), "{text}");
            let seconds = rows.iter().map(|row| row["time"].as_str().unwrap().get(18..19).unwrap());
            pages.push(seconds.collect::<String>());
            match end.get("next") {
                Some(next) => body = json!({ "cursor": next }),
                None => break,
            }
        }
        assert_eq!(pages, expected);
    }
}

#[tokio::test]
async fn a_tail_begins_with_a_right_filter_and_ends_with_its_client() {
    let (ports, _deliveries) = ports(None);
    let router = router(ports);
    says(&get(&router, "GET /api/v1/tail?filter=(", ASK, "").await, 400, "not closed");
    says(&get(&router, "GET /api/v1/tail?filters=x", ASK, "").await, 400, "filter");
    let mut open = Vec::new();
    for _ in 0..8 {
        let answer = router.clone().oneshot(request("GET /api/v1/tail?filter=pages", &[ASK], "")).await.unwrap();
        let kind = answer.headers().get("content-type").unwrap().to_str().unwrap().to_owned();
        assert_eq!((answer.status().as_u16(), kind.as_str()), (200, "text/event-stream"));
        open.push(answer.into_body().into_data_stream());
    }
    says(&get(&router, "GET /api/v1/tail?filter=pages", ASK, "").await, 429, "8 tails");
    let mut stream = open.pop().unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().to_vec(), b": begun\n\n".to_vec());
    let text = String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
    let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.trim_start_matches('0')).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5"], "oldest first");
    assert!(text.contains("data: {\"time\":\"1970-01-01T00:00:01.000Z\","), "{text}");
    drop(stream);
    // Its place is free a moment later.
    while get(&router, "GET /api/v1/tail?filter=(", ASK, "").await.0 == 429 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_pivot_says_what_is_known_of_an_entity() {
    let (ports, _deliveries) = ports(None);
    let router = router(ports);
    let (status, found) = get(&router, "GET /api/v1/entity/address/192.0.2.7?since=24h", ASK, "").await;
    assert_eq!((status, &found["events"]), (200, &json!(5)), "{found}");
    assert_eq!((&found["first"], &found["last"]), (&json!("1970-01-01T00:00:01Z"), &json!("1970-01-01T00:00:05Z")));
    assert_eq!(found["logs"], json!([{ "value": "log", "events": 4 }, { "value": null, "events": 1 }]));
    assert_eq!((&found["operations"][0]["value"], found["rows"].as_array().unwrap().len()), (&json!("api_operation"), 5));
    says(&get(&router, "GET /api/v1/entity/resource/a/b%2F192.0.2.7", ASK, "").await, 200, "a/b/192.0.2.7");
    says(&get(&router, "GET /api/v1/entity/planet/x", ASK, "").await, 400, "`planet`");
    says(&get(&router, "GET /api/v1/entity/address/x?since=soon", ASK, "").await, 400, "`soon`");
}

#[tokio::test]
async fn saved_searches_are_their_tenants_own() {
    let (ports, _deliveries) = ports(None);
    let router = router(ports);
    let pages = "{\"filter\":\"pages\"}";
    says(&get(&router, "PUT /api/v1/saved/my%20pages", ASK, pages).await, 200, "2027-01-15T08:00:00Z");
    says(&get(&router, "GET /api/v1/saved/my%20pages", ASK, "").await, 200, "\"filter\":\"pages\"");
    says(&get(&router, "GET /api/v1/saved", ASK, "").await, 200, "my pages");
    says(&get(&router, "GET /api/v1/saved", RED, "").await, 200, "{\"searches\":[]}");
    says(&get(&router, "GET /api/v1/saved/my%20pages", RED, "").await, 404, "/problems/saved");
    says(&get(&router, "DELETE /api/v1/saved/my%20pages", RED, "").await, 404, "/problems/saved");
    says(&get(&router, "PUT /api/v1/saved/a", ASK, "{\"filter\":\"(\"}").await, 400, "not closed");
    says(&get(&router, "PUT /api/v1/saved/refused", ASK, pages).await, 400, "not this name");
    says(&get(&router, "PUT /api/v1/saved/failed", ASK, pages).await, 503, "the disk is full");
    says(&get(&router, "PUT /api/v1/saved/a", PUSH, pages).await, 403, "scope");
    assert_eq!(get(&router, "DELETE /api/v1/saved/my%20pages", ASK, "").await.0, 204);
    says(&get(&router, "GET /api/v1/saved/my%20pages", ASK, "").await, 404, "/problems/saved");
}
