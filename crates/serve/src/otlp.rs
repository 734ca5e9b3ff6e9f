//! Logs of OpenTelemetry over HTTP and gRPC.
//!
//! Follows the OpenTelemetry Protocol specification 1.x for logs: `ExportLogsServiceRequest` as
//! Protocol Buffers or JSON, answered by `ExportLogsServiceResponse`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{MethodRouter, any_service};
use data_encoding::{BASE64, HEXLOWER};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;
use serde_json::{Map, Value, json};
use tonic::Status;
use vigie_model::limits::DELIVERY_BYTES_MAX;
use vigie_model::{Delivery, Receipt, Refusal, Tenant};

use crate::auth::{Need, authorise};
use crate::decode::read_body;
use crate::grpc::{denied, enter, refused};
use crate::hec::is_object;
use crate::ingest::deliver;
use crate::otlp_json;
use crate::problem::Problem;
use crate::service::{Inner, Shared};

/// The path of the one method over gRPC.
pub(crate) const GRPC_PATH: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
/// The content type of Protocol Buffers.
const PROTOBUF: &str = "application/x-protobuf";

/// A value as JSON.
fn value(any: &AnyValue) -> Value {
    match &any.value {
        None => Value::Null,
        Some(Any::StringValue(text)) => Value::from(text.as_str()),
        Some(Any::BoolValue(value)) => Value::from(*value),
        Some(Any::IntValue(value)) => Value::from(*value),
        Some(Any::DoubleValue(value)) => Value::from(*value),
        Some(Any::ArrayValue(list)) => list.values.iter().map(value).collect(),
        Some(Any::KvlistValue(list)) => object(&list.values),
        Some(Any::BytesValue(bytes)) => Value::from(BASE64.encode(bytes)),
        // An index into a table that requests of logs do not carry.
        Some(Any::StringValueStrindex(index)) => Value::from(*index),
    }
}

fn object(pairs: &[KeyValue]) -> Value {
    Value::Object(pairs.iter().map(|pair| (pair.key.clone(), pair.value.as_ref().map_or(Value::Null, value))).collect())
}

fn scope_json(scope: &InstrumentationScope) -> Value {
    json!({ "name": scope.name, "version": scope.version, "attributes": object(&scope.attributes) })
}

/// The record of a log record: a body that is a JSON object as it came, or as a list of pairs; any
/// other within a `message`.
fn record(log: &LogRecord, resource: &Value, scope: &Value) -> String {
    let body = log.body.as_ref();
    match body.and_then(|body| body.value.as_ref()) {
        Some(Any::StringValue(text)) if is_object(text) => return text.clone(),
        Some(Any::KvlistValue(list)) => return object(&list.values).to_string(),
        _ => {}
    }
    let time = if log.time_unix_nano == 0 { log.observed_time_unix_nano } else { log.time_unix_nano };
    let severity = if log.severity_text.is_empty() { log.severity_number.to_string() } else { log.severity_text.clone() };
    let mut record = Map::new();
    let mut add = |name: &str, value: Value| drop(record.insert(name.to_owned(), value));
    add("time_unix_nano", Value::from(time.to_string()));
    add("severity", Value::from(severity));
    add("message", body.map_or(Value::Null, value));
    add("attributes", object(&log.attributes));
    add("resource", resource.clone());
    add("scope", scope.clone());
    let texts = [
        ("event_name", log.event_name.clone()),
        ("trace_id", HEXLOWER.encode(&log.trace_id)),
        ("span_id", HEXLOWER.encode(&log.span_id)),
    ];
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        add(name, Value::from(text));
    }
    Value::Object(record).to_string()
}

/// All records of a request, one a line.
fn body(request: &ExportLogsServiceRequest) -> Vec<u8> {
    let mut body = Vec::new();
    for of_resource in &request.resource_logs {
        let resource = of_resource.resource.as_ref().map_or_else(|| json!({}), |resource| object(&resource.attributes));
        for of_scope in &of_resource.scope_logs {
            let scope = of_scope.scope.as_ref().map_or_else(|| json!({}), scope_json);
            for log in &of_scope.log_records {
                body.extend_from_slice(record(log, &resource, &scope).as_bytes());
                body.push(b'\n');
            }
        }
    }
    body
}

async fn take(shared: &Inner, tenant: Tenant, request: ExportLogsServiceRequest) -> Result<ExportLogsServiceResponse, Refusal> {
    let body = body(&request);
    drop(request);
    if body.len() > DELIVERY_BYTES_MAX {
        return Err(Refusal::TooLarge { bytes_max: DELIVERY_BYTES_MAX });
    }
    let receipt = deliver(shared, "otlp", Delivery { tenant, log: None, source: "otlp".to_owned(), number: None, body }).await?;
    Ok(ExportLogsServiceResponse { partial_success: partial(receipt) })
}

fn partial(receipt: Receipt) -> Option<ExportLogsPartialSuccess> {
    let error_message = receipt.rejects.into_iter().next().map(|reject| reject.reason).unwrap_or_default();
    let rejected_log_records = i64::try_from(receipt.rejected).unwrap_or(i64::MAX);
    (rejected_log_records > 0).then_some(ExportLogsPartialSuccess { rejected_log_records, error_message })
}

/// Takes logs in over HTTP.
pub(crate) async fn http(State(shared): State<Shared>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let token = authorise(&shared, &parts.headers, Need::Ingest)?;
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_json = kind.starts_with("application/json");
    let bytes = read_body(&parts.headers, parts.extensions.get(), body, DELIVERY_BYTES_MAX).await?;
    let logs = if is_json {
        otlp_json::request(&bytes).map_err(Problem::request)?
    } else {
        ExportLogsServiceRequest::decode(bytes.as_slice())
            .map_err(|error| Problem::request(format!("the body is no `ExportLogsServiceRequest`: {error}")))?
    };
    drop(bytes);
    let response = take(&shared, token.tenant, logs).await?;
    if is_json {
        let text = match response.partial_success {
            None => json!({}),
            Some(partial) => json!({ "partialSuccess": {
                "rejectedLogRecords": partial.rejected_log_records.to_string(),
                "errorMessage": partial.error_message,
            }}),
        };
        return Ok(Json(text).into_response());
    }
    Ok(([(CONTENT_TYPE, PROTOBUF)], response.encode_to_vec()).into_response())
}

/// The service over gRPC.
pub(crate) struct Logs(Shared);

/// Takes logs in over gRPC.
pub(crate) fn grpc(shared: Shared) -> MethodRouter<Shared> {
    let server = LogsServiceServer::new(Logs(Arc::clone(&shared))).max_decoding_message_size(DELIVERY_BYTES_MAX);
    any_service(server).layer(from_fn_with_state(shared, enter))
}

#[tonic::async_trait]
impl LogsService for Logs {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        let token = authorise(&self.0, request.metadata().as_ref(), Need::Ingest).map_err(denied)?;
        let response = take(&self.0, token.tenant, request.into_inner()).await.map_err(refused)?;
        Ok(tonic::Response::new(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(body: Any) -> LogRecord {
        LogRecord {
            time_unix_nano: 7,
            severity_text: "WARN".to_owned(),
            body: Some(AnyValue { value: Some(body) }),
            ..LogRecord::default()
        }
    }

    #[test]
    fn objects_stay_and_other_bodies_become_messages() {
        let pair =
            KeyValue { key: "a".to_owned(), value: Some(AnyValue { value: Some(Any::IntValue(1)) }), ..KeyValue::default() };
        let list = Any::KvlistValue(opentelemetry_proto::tonic::common::v1::KeyValueList { values: vec![pair] });
        let (resource, scope) = (json!({ "r": 1 }), json!({}));
        let cases = [
            (Any::StringValue("{\"b\": 1.0}".to_owned()), "{\"b\": 1.0}"),
            (list, "{\"a\":1}"),
            (
                Any::StringValue("plain".to_owned()),
                "{\"attributes\":{},\"message\":\"plain\",\"resource\":{\"r\":1},\"scope\":{},\"severity\":\"WARN\",\"time_unix_nano\":\"7\"}",
            ),
        ];
        for (body, expected) in cases {
            let made: Value = serde_json::from_str(&record(&log(body), &resource, &scope)).unwrap();
            assert_eq!(made, serde_json::from_str::<Value>(expected).unwrap());
        }
        assert_eq!(record(&log(Any::StringValue("{\"b\": 1.0}".to_owned())), &resource, &scope), "{\"b\": 1.0}");
    }
}
