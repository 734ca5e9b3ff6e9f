//! Events of Panther's tests as their vendors write them. Panther spells members its own way when it stores
//! a log, and its tests leave out what their rule does not ask for. Here the vendor's spelling comes back,
//! and what every record of the vendor has (an id, a time, a version) stands in again where it is missing.
//! Nothing that a rule asks for is added.

use serde_json::{Map, Value, json};

type Members = Map<String, Value>;

/// Where a stand-in time begins: 1 January 2024, and a minute later for each event.
const BEGIN_SECONDS: usize = 1_704_067_200;

/// Of the log types that a test's rule is for, the one whose event it is: Panther's own word, else the shape.
pub fn log_type(of: &[&str], event: &Value) -> String {
    let said = event["p_log_type"].as_str().unwrap_or_default();
    let is_vendors = !said.is_empty() && !said.starts_with("Custom.");
    let shape = if event["protoPayload"].is_object() || event["protopayload"].is_object() {
        "GCP.AuditLog"
    } else if event["operationName"].is_string() && event["category"].is_string() && !event["tenantId"].is_string() {
        "Azure.MonitorActivity"
    } else if event["sourceIPs"].is_array() || event["objectRef"].is_object() {
        "Amazon.EKS.Audit"
    } else {
        ""
    };
    let first = of.first().copied().unwrap_or_default();
    let log = if is_vendors { said } else { of.iter().copied().find(|log| *log == shape).unwrap_or(first) };
    log.to_owned()
}

/// An event as its vendor writes it; none where the vendor writes no such record.
pub fn restored(log: &str, event: &Value, number: usize) -> Option<Value> {
    let mut record = plain(event);
    let own: Members = record.as_object()?.iter().filter(|(key, _)| !key.starts_with("p_")).map(pair).collect();
    // What is left of a test that only looks at what Panther added is no record.
    if own.is_empty() {
        return None;
    }
    record = Value::Object(own);
    match log {
        "AWS.CloudTrail" => cloudtrail(record, number),
        "AWS.S3ServerAccess" => Some(s3_access(record, number)),
        "AWS.VPCFlow" => Some(vpc_flow(record, number)),
        "AWS.WAFWebACL" => Some(waf(record)),
        // The tests have the two ends of a connection and no class: OCSF has no such event.
        "OCSF.NetworkActivity" => None,
        "Amazon.EKS.Audit" => Some(kubernetes(record, number)),
        "Azure.MonitorActivity" => Some(azure_monitor(record, number)),
        "Azure.Audit" => Some(entra(record, number)),
        "GCP.AuditLog" => gcp_audit(record, number),
        "GCP.HTTPLoadBalancer" => Some(with(respelled(record, &GCP), [("timestamp", json!(time(number)))])),
        "GSuite.ActivityEvent" => Some(workspace(&record, number)),
        "GitHub.Audit" => Some(github(record, number)),
        "Okta.SystemLog" => okta(record, number),
        "Osquery.Differential" => Some(osquery(record, number)),
        "Slack.AuditLogs" => Some(slack(record, number)),
        _ => Some(record),
    }
}

fn pair((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

/// `@type` and the like, which Panther's stores cannot hold.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                (key.strip_prefix("at_sign_").map_or_else(|| key.clone(), |rest| format!("@{rest}")), plain(value))
            };
            Value::Object(members.iter().map(member).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        other => other.clone(),
    }
}

/// The vendor's spelling of members that stand in lower case.
fn respelled(record: Value, names: &[&str]) -> Value {
    let Value::Object(members) = record else { return record };
    let name = |key: String| names.iter().find(|name| name.to_lowercase() == key).map_or(key, |name| (*name).to_owned());
    Value::Object(members.into_iter().map(|(key, value)| (name(key), value)).collect())
}

/// A record with members where it has none.
fn with<const COUNT: usize>(mut record: Value, members: [(&str, Value); COUNT]) -> Value {
    if let Some(record) = record.as_object_mut() {
        for (key, value) in members {
            if record.get(key).is_none_or(Value::is_null) {
                record.insert(key.to_owned(), value);
            }
        }
    }
    record
}

/// A time of its own for each event.
fn time(number: usize) -> String {
    let minutes = number % 40_000;
    format!("2024-01-{:02}T{:02}:{:02}:00Z", 1 + minutes / 1440, minutes / 60 % 24, minutes % 60)
}

/// Without a time that somebody blacked out.
fn undated(mut record: Value, key: &str) -> Value {
    if record[key].as_str().is_some_and(|text| !text.starts_with(|first: char| first.is_ascii_digit())) {
        record[key] = Value::Null;
    }
    record
}

fn seconds(number: usize) -> usize {
    BEGIN_SECONDS + number % 40_000 * 60
}

const CLOUDTRAIL: [&str; 19] = [
    "apiVersion",
    "awsRegion",
    "errorCode",
    "errorMessage",
    "eventCategory",
    "eventID",
    "eventName",
    "eventSource",
    "eventTime",
    "eventType",
    "eventVersion",
    "managementEvent",
    "readOnly",
    "recipientAccountId",
    "requestID",
    "requestParameters",
    "responseElements",
    "userAgent",
    "userIdentity",
];

fn cloudtrail(record: Value, number: usize) -> Option<Value> {
    let mut record = undated(respelled(record, &CLOUDTRAIL), "eventTime");
    // A call is told by its name and its service: without both it is none. Tests that leave out the service
    // say that the rule must live without it; no record of CloudTrail does.
    if !record["eventName"].is_string() || !record["eventSource"].is_string() {
        return None;
    }
    for resource in record["resources"].as_array_mut().into_iter().flatten() {
        *resource = respelled(resource.take(), &["ARN", "ARNPrefix", "accountId"]);
    }
    Some(with(
        record,
        [
            ("eventVersion", json!("1.08")),
            ("eventTime", json!(time(number))),
            ("awsRegion", json!("us-east-1")),
            ("eventID", json!(format!("00000000-0000-4000-8000-{number:012}"))),
        ],
    ))
}

/// Names that Panther gives the cells of a line, and the ones that we do.
const S3: [(&str, &str); 19] = [
    ("authenticationtype", "authentication_type"),
    ("bucketowner", "bucket_owner"),
    ("bytessent", "bytes_sent"),
    ("ciphersuite", "cipher_suite"),
    ("errorcode", "error_code"),
    ("hostheader", "host_header"),
    ("hostid", "host_id"),
    ("httpstatus", "http_status"),
    ("objectsize", "object_size"),
    ("remoteip", "remote_ip"),
    ("requestid", "request_id"),
    ("requesturi", "request"),
    ("signatureversion", "signature_version"),
    ("tlsversion", "tls_version"),
    ("tlsVersion", "tls_version"),
    ("totaltime", "total_time"),
    ("turnaroundtime", "turn_around_time"),
    ("useragent", "user_agent"),
    ("versionid", "version_id"),
];

/// A line of text in the vendor's log: the record that our description of lines makes of it.
fn s3_access(record: Value, number: usize) -> Value {
    with(
        renamed(record, &S3),
        [
            ("bucket_owner", json!("00112233445566778899aabbccddeeff")),
            ("time", json!(time(number))),
            ("request_id", json!(format!("{number:016X}"))),
            ("operation", json!("REST.GET.OBJECT")),
        ],
    )
}

fn renamed(record: Value, names: &[(&str, &str)]) -> Value {
    let Value::Object(members) = record else { return record };
    let name = |key: String| names.iter().find(|(theirs, _)| *theirs == key).map_or(key, |(_, ours)| (*ours).to_owned());
    Value::Object(members.into_iter().map(|(key, value)| (name(key), value)).collect())
}

/// The same of flow logs, whose fields people choose.
fn vpc_flow(record: Value, number: usize) -> Value {
    let names = [
        ("dstAddr", "dstaddr"),
        ("srcAddr", "srcaddr"),
        ("dstPort", "dstport"),
        ("srcPort", "srcport"),
        ("instanceId", "instance_id"),
    ];
    with(
        renamed(record, &names),
        [
            ("version", json!(2)),
            ("interface_id", json!("eni-00000000000000000")),
            ("start", json!(seconds(number))),
            ("end", json!(seconds(number) + 59)),
            ("log_status", json!("OK")),
        ],
    )
}

/// Every request has a method and a target.
fn waf(mut record: Value) -> Value {
    record["httpRequest"] = with(record["httpRequest"].take(), [("httpMethod", json!("GET")), ("uri", json!("/"))]);
    record
}

fn kubernetes(record: Value, number: usize) -> Value {
    with(
        record,
        [
            ("apiVersion", json!("audit.k8s.io/v1")),
            ("kind", json!("Event")),
            ("auditID", json!(format!("00000000-0000-4000-8000-{number:012}"))),
            ("stage", json!("ResponseComplete")),
            ("requestURI", json!("/")),
            ("requestReceivedTimestamp", json!(time(number))),
            ("stageTimestamp", json!(time(number))),
        ],
    )
}

/// The activity log, and the audit log of a cluster as text inside a record of its diagnostics.
fn azure_monitor(mut record: Value, number: usize) -> Value {
    if let Some(text) = record["properties"]["log"].as_str()
        && let Ok(event) = serde_json::from_str(text)
    {
        record["properties"]["log"] = json!(kubernetes(event, number).to_string());
    }
    with(
        record,
        [
            ("time", json!(time(number))),
            ("resourceId", json!("/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000")),
            ("correlationId", json!(format!("00000000-0000-4000-8000-{number:012}"))),
        ],
    )
}

const ENTRA: [&str; 10] = [
    "callerIpAddress",
    "correlationId",
    "durationMs",
    "operationName",
    "operationVersion",
    "resourceId",
    "resultDescription",
    "resultSignature",
    "resultType",
    "tenantId",
];

/// A sign-in says when it was, beside the time of the record.
fn entra(record: Value, number: usize) -> Value {
    let mut record = with(respelled(record, &ENTRA), [("time", json!(time(number)))]);
    if record["category"].as_str().is_some_and(|category| category.ends_with("SignInLogs")) {
        let (created, id) = (record["time"].clone(), json!(format!("sign-in-{number}")));
        // Tests leave out the application, and that a person was there.
        let members = [("createdDateTime", created), ("appId", json!("0")), ("isInteractive", json!(true)), ("id", id)];
        record["properties"] = with(record["properties"].take(), members);
    }
    record
}

const GCP: [&str; 8] =
    ["httpRequest", "insertId", "jsonPayload", "logName", "protoPayload", "receiveTimestamp", "sourceLocation", "spanId"];

fn gcp_audit(record: Value, number: usize) -> Option<Value> {
    let record = respelled(record, &GCP);
    // Every audit log has a payload with a method. Tests with neither, or with the method beside the payload,
    // say that the rule must live without.
    if !record["protoPayload"]["methodName"].is_string() {
        return None;
    }
    Some(with(
        record,
        [
            ("insertId", json!(format!("{number:x}"))),
            ("logName", json!("projects/example/logs/cloudaudit.googleapis.com%2Factivity")),
            ("timestamp", json!(time(number))),
        ],
    ))
}

/// Panther cuts an activity into its events and lays parameters side by side: a list again.
fn workspace(record: &Value, number: usize) -> Value {
    let mut activity = record.clone();
    let members = activity.as_object_mut().unwrap();
    let mut event: Members = ["type", "name"].iter().filter_map(|key| Some(((*key).to_owned(), members.remove(*key)?))).collect();
    let parameters = members.remove("parameters").unwrap_or_default();
    let parameters = parameters.as_object().into_iter().flatten();
    event.insert("parameters".to_owned(), parameters.map(|(name, value)| parameter(name, value)).collect());
    let id = [
        ("time", json!(time(number))),
        ("uniqueQualifier", json!(number.to_string())),
        ("applicationName", json!("admin")),
        ("customerId", json!("C00000000")),
    ];
    activity["id"] = with(activity["id"].take(), id);
    activity["events"] = json!([event]);
    with(activity, [("kind", json!("admin#reports#activity"))])
}

fn parameter(name: &str, value: &Value) -> Value {
    let nested = |value: &Value| -> Vec<Value> {
        value.as_object().into_iter().flatten().map(|(name, value)| parameter(name, value)).collect()
    };
    match value {
        Value::Bool(flag) => json!({"name": name, "boolValue": flag}),
        Value::Number(number) if number.is_i64() => json!({"name": name, "intValue": number.to_string()}),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let items: Vec<Value> = items.iter().map(|item| json!({"parameter": nested(item)})).collect();
            json!({"name": name, "multiMessageValue": items})
        }
        Value::Array(items) => json!({"name": name, "multiValue": items}),
        Value::Object(_) => json!({"name": name, "messageValue": {"parameter": nested(value)}}),
        other => json!({"name": name, "value": other}),
    }
}

fn github(record: Value, number: usize) -> Value {
    with(record, [("_document_id", json!(format!("document{number}"))), ("@timestamp", json!(seconds(number) * 1000))])
}

const OKTA: [&str; 6] =
    ["authenticationContext", "debugContext", "displayMessage", "eventType", "legacyEventType", "securityContext"];

fn okta(record: Value, number: usize) -> Option<Value> {
    let record = undated(respelled(record, &OKTA), "published");
    // Every event names who acted.
    if !record["actor"].is_object() {
        return None;
    }
    Some(with(
        record,
        [
            ("uuid", json!(format!("00000000-0000-4000-8000-{number:012}"))),
            ("published", json!(time(number))),
            ("displayMessage", json!("")),
        ],
    ))
}

fn osquery(record: Value, number: usize) -> Value {
    with(record, [("hostIdentifier", json!("host")), ("unixTime", json!(seconds(number)))])
}

/// Every entry says what was acted upon.
fn slack(record: Value, number: usize) -> Value {
    with(
        record,
        [
            ("id", json!(format!("00000000-0000-4000-8000-{number:012}"))),
            ("date_create", json!(seconds(number))),
            ("entity", json!({"type": "workspace"})),
        ],
    )
}
