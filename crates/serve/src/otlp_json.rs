//! The JSON form of OpenTelemetry's logs, read into the messages of its Protocol Buffers.
//!
//! Follows "JSON Protobuf Encoding" of the OpenTelemetry Protocol specification: names in camel case,
//! 64-bit numbers as text or number, ids in hexadecimal digits. Unknown names are passed over.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::Value;

/// Reads a request; an error is a sentence.
pub(crate) fn request(bytes: &[u8]) -> Result<ExportLogsServiceRequest, String> {
    let body: Value = serde_json::from_slice(bytes).map_err(|error| format!("the body is no JSON: {error}"))?;
    if !body.is_object() {
        return Err("the body is no `ExportLogsServiceRequest`: it is no JSON object".to_owned());
    }
    Ok(ExportLogsServiceRequest { resource_logs: list(&body, "resourceLogs", of_resource) })
}

/// Items of a list under a name; none when there is no list.
fn list<T>(value: &Value, name: &str, read: fn(&Value) -> T) -> Vec<T> {
    value.get(name).and_then(Value::as_array).map(|items| items.iter().map(read).collect()).unwrap_or_default()
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A number that may be written as text.
fn number<T: std::str::FromStr>(value: &Value) -> Option<T> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

fn nanos(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(number).unwrap_or_default()
}

fn hex(value: &Value, name: &str) -> Vec<u8> {
    HEXLOWER_PERMISSIVE.decode(text(value, name).as_bytes()).unwrap_or_default()
}

fn of_resource(value: &Value) -> ResourceLogs {
    let resource =
        value.get("resource").map(|resource| Resource { attributes: list(resource, "attributes", pair), ..Resource::default() });
    ResourceLogs { resource, scope_logs: list(value, "scopeLogs", of_scope), ..ResourceLogs::default() }
}

fn of_scope(value: &Value) -> ScopeLogs {
    let scope = value.get("scope").map(|scope| InstrumentationScope {
        name: text(scope, "name"),
        version: text(scope, "version"),
        attributes: list(scope, "attributes", pair),
        ..InstrumentationScope::default()
    });
    ScopeLogs { scope, log_records: list(value, "logRecords", log), ..ScopeLogs::default() }
}

fn log(value: &Value) -> LogRecord {
    LogRecord {
        time_unix_nano: nanos(value, "timeUnixNano"),
        observed_time_unix_nano: nanos(value, "observedTimeUnixNano"),
        severity_number: value.get("severityNumber").and_then(number).unwrap_or_default(),
        severity_text: text(value, "severityText"),
        body: value.get("body").map(any),
        attributes: list(value, "attributes", pair),
        trace_id: hex(value, "traceId"),
        span_id: hex(value, "spanId"),
        event_name: text(value, "eventName"),
        ..LogRecord::default()
    }
}

fn pair(value: &Value) -> KeyValue {
    KeyValue { key: text(value, "key"), value: value.get("value").map(any), ..KeyValue::default() }
}

fn any(value: &Value) -> AnyValue {
    let read = |name: &str| value.get(name);
    let value = None
        .or_else(|| read("stringValue")?.as_str().map(|text| Any::StringValue(text.to_owned())))
        .or_else(|| read("boolValue")?.as_bool().map(Any::BoolValue))
        .or_else(|| number(read("intValue")?).map(Any::IntValue))
        .or_else(|| number(read("doubleValue")?).map(Any::DoubleValue))
        .or_else(|| Some(Any::ArrayValue(ArrayValue { values: list(read("arrayValue")?, "values", any) })))
        .or_else(|| Some(Any::KvlistValue(KeyValueList { values: list(read("kvlistValue")?, "values", pair) })))
        .or_else(|| BASE64.decode(read("bytesValue")?.as_str()?.as_bytes()).ok().map(Any::BytesValue));
    AnyValue { value }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let json = br#"{"resourceLogs":[{"resource":{"attributes":[{"key":"host","value":{"stringValue":"h"}}]},
            "scopeLogs":[{"scope":{"name":"s"},"logRecords":[{"timeUnixNano":"1700000000000000000","severityNumber":9,
            "traceId":"0aFF","unknown":1,"body":{"kvlistValue":{"values":[{"key":"n","value":{"intValue":"5"}},
            {"key":"l","value":{"arrayValue":{"values":[{"doubleValue":0.5},{"boolValue":true},{"bytesValue":"AQI="}]}}}]}}}]}]}]}"#;
        let string = |text: &str| Some(AnyValue { value: Some(Any::StringValue(text.to_owned())) });
        let item = |value| AnyValue { value: Some(value) };
        let key = |key: &str, value| KeyValue { key: key.to_owned(), value, ..KeyValue::default() };
        let items = vec![item(Any::DoubleValue(0.5)), item(Any::BoolValue(true)), item(Any::BytesValue(vec![1, 2]))];
        let pairs =
            vec![key("n", Some(item(Any::IntValue(5)))), key("l", Some(item(Any::ArrayValue(ArrayValue { values: items }))))];
        let record = LogRecord {
            time_unix_nano: 1_700_000_000_000_000_000,
            severity_number: 9,
            trace_id: vec![0x0a, 0xff],
            body: Some(item(Any::KvlistValue(KeyValueList { values: pairs }))),
            ..LogRecord::default()
        };
        let scope = InstrumentationScope { name: "s".to_owned(), ..InstrumentationScope::default() };
        let expected = ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(Resource { attributes: vec![key("host", string("h"))], ..Resource::default() }),
                scope_logs: vec![ScopeLogs { scope: Some(scope), log_records: vec![record], ..ScopeLogs::default() }],
                ..ResourceLogs::default()
            }],
        };
        assert_eq!(request(json).as_ref(), Ok(&expected));
        assert_eq!(ExportLogsServiceRequest::decode(expected.encode_to_vec().as_slice()), Ok(expected));
        assert!(request(b"[]").is_err() && request(b"{").is_err());
    }
}
