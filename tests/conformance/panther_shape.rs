//! Panther keeps events in a shape of its own: keys in lower case or renamed, lists of parameters as objects,
//! members that every record has left out of its tests. This gives them back what their provider writes.

use serde_json::{Map, Value, json};

/// An instant for events whose test has none.
const TIME: &str = "2024-01-01T00:00:00Z";
/// The same in seconds.
const TIME_SECONDS: i64 = 1_704_067_200;

/// Panther's name for the log of a test: as the event says, as its shape says, or as its rule says first.
pub fn log_of(rule: &Value, event: &Value) -> String {
    if event["protoPayload"].is_object() {
        return "GCP.AuditLog".to_owned();
    }
    // A cluster of Azure: its record stands in a text.
    if event["properties"]["log"].is_string() {
        return "Amazon.EKS.Audit".to_owned();
    }
    let said = event["p_log_type"].as_str().filter(|name| name.contains('.'));
    said.or(rule["LogTypes"][0].as_str()).unwrap_or_default().to_owned()
}

/// The event as its provider writes it; `number` tells events without an id apart.
pub fn restored(log: &str, event: &Value, number: usize) -> Value {
    let Value::Object(members) = event else {
        return event.clone();
    };
    let own = members.iter().filter(|(key, _)| !key.starts_with("p_"));
    let mut event: Map<String, Value> = own.map(|(key, value)| (key.clone(), value.clone())).collect();
    let id = json!(format!("event-{number}"));
    match log {
        "GSuite.ActivityEvent" => return activity(&event, number),
        "Okta.SystemLog" => {
            let names = [
                ("authenticationcontext", "authenticationContext"),
                ("debugcontext", "debugContext"),
                ("displaymessage", "displayMessage"),
                ("eventtype", "eventType"),
                ("legacyeventtype", "legacyEventType"),
                ("securitycontext", "securityContext"),
            ];
            rename(&mut event, &names);
            fill(&mut event, &[("uuid", id), ("published", json!(TIME)), ("version", json!("0"))]);
        }
        "GitHub.Audit" => {
            rename(&mut event, &[("at_sign_timestamp", "@timestamp")]);
            for key in ["@timestamp", "created_at"] {
                let millis = event.get(key).and_then(Value::as_str).and_then(millis_of);
                event.extend(millis.map(|millis| (key.to_owned(), json!(millis))));
            }
            fill(&mut event, &[("_document_id", id), ("@timestamp", json!(TIME_SECONDS * 1000))]);
        }
        "Slack.AuditLogs" => {
            let millis = event.get("date_create").and_then(Value::as_str).and_then(millis_of);
            event.extend(millis.map(|millis| ("date_create".to_owned(), json!(millis / 1000))));
            fill(&mut event, &[("id", id), ("date_create", json!(TIME_SECONDS))]);
        }
        "Azure.Audit" => {
            let time = event.get("time").cloned().unwrap_or(json!(TIME));
            let is_sign_in =
                event.get("category").and_then(Value::as_str).is_some_and(|category| category.ends_with("SignInLogs"));
            if let Some(Value::Object(properties)) = event.get_mut("properties") {
                fill(properties, &[("id", id)]);
                if is_sign_in {
                    fill(properties, &[("createdDateTime", time), ("appId", json!("0")), ("isInteractive", json!(true))]);
                } else {
                    fill(properties, &[("activityDateTime", time)]);
                }
            }
        }
        "Azure.MonitorActivity" => {
            fill(&mut event, &[("eventDataId", id.clone()), ("correlationId", id), ("time", json!(TIME))]);
        }
        "Amazon.EKS.Audit" => match event.get_mut("properties") {
            Some(Value::Object(properties)) if properties.contains_key("log") => {
                let text = properties.get("log").and_then(Value::as_str).unwrap_or_default();
                if let Ok(Value::Object(mut inner)) = serde_json::from_str(text) {
                    cluster(&mut inner, &id);
                    properties.insert("log".to_owned(), json!(Value::Object(inner).to_string()));
                }
                fill(&mut event, &[("time", json!(TIME))]);
            }
            _ => cluster(&mut event, &id),
        },
        "GCP.AuditLog" => {
            rename(&mut event, &[("insertid", "insertId"), ("logname", "logName")]);
            let log = json!("projects/p/logs/cloudaudit.googleapis.com%2Factivity");
            fill(&mut event, &[("insertId", id), ("timestamp", json!(TIME)), ("logName", log)]);
        }
        "AWS.CloudTrail" => {
            let region = json!("us-east-1");
            let members = [("eventID", id), ("eventTime", json!(TIME)), ("eventVersion", json!("1.08")), ("awsRegion", region)];
            fill(&mut event, &members);
        }
        "Osquery.Differential" => {
            let members = [
                ("hostIdentifier", json!("host")),
                ("calendarTime", json!("Mon Jan  1 00:00:00 2024 UTC")),
                ("unixTime", json!(TIME_SECONDS)),
            ];
            fill(&mut event, &members);
        }
        "AWS.GuardDuty" | "AWS.SecurityFindingFormat" => {
            fill(&mut event, &[("updatedAt", json!(TIME)), ("createdAt", json!(TIME))])
        }
        _ => fill(&mut event, &[("timestamp", json!(TIME))]),
    }
    Value::Object(event)
}

/// Gives members that are missing or null.
fn fill(event: &mut Map<String, Value>, members: &[(&str, Value)]) {
    for (key, value) in members {
        if event.get(*key).is_none_or(Value::is_null) {
            event.insert((*key).to_owned(), value.clone());
        }
    }
}

fn rename(event: &mut Map<String, Value>, names: &[(&str, &str)]) {
    for (from, to) in names {
        let value = event.remove(*from);
        event.extend(value.map(|value| ((*to).to_owned(), value)));
    }
}

fn cluster(event: &mut Map<String, Value>, id: &Value) {
    let members = [
        ("kind", json!("Event")),
        ("apiVersion", json!("audit.k8s.io/v1")),
        ("auditID", id.clone()),
        ("stage", json!("ResponseComplete")),
        ("requestURI", json!("/")),
        ("requestReceivedTimestamp", json!(TIME)),
        ("stageTimestamp", json!(TIME)),
    ];
    fill(event, &members);
}

/// Milliseconds of a text of a date and a time.
fn millis_of(text: &str) -> Option<i64> {
    let text = text.get(..19)?.replace(' ', "T");
    vigie_model::parse_rfc3339(&format!("{text}Z"))
}

/// An activity of Workspace, whose parameters Panther makes an object of.
fn activity(event: &Map<String, Value>, number: usize) -> Value {
    let mut whole = event.clone();
    let [name, kind, parameters] = ["name", "type", "parameters"].map(|key| whole.remove(key).unwrap_or(Value::Null));
    let parameters: Vec<Value> =
        parameters.as_object().into_iter().flatten().map(|(name, value)| parameter(name, value)).collect();
    let mut id = whole.get("id").and_then(Value::as_object).cloned().unwrap_or_default();
    let time = id.get("time").and_then(Value::as_str).unwrap_or(TIME).replace(' ', "T");
    let time = if time.ends_with('Z') { time } else { format!("{time}Z") };
    id.insert("time".to_owned(), json!(time));
    let qualifier = json!(number.to_string());
    fill(&mut id, &[("uniqueQualifier", qualifier), ("customerId", json!("C0")), ("applicationName", json!("admin"))]);
    whole.insert("id".to_owned(), Value::Object(id));
    whole.insert("events".to_owned(), json!([{ "type": kind, "name": name, "parameters": parameters }]));
    fill(&mut whole, &[("kind", json!("admin#reports#activity")), ("actor", json!({ "email": "a@example.com" }))]);
    Value::Object(whole)
}

fn parameter(name: &str, value: &Value) -> Value {
    let of = |members: &Map<String, Value>| json!({ "parameter": members.iter().map(|(name, value)| parameter(name, value)).collect::<Vec<_>>() });
    match value {
        Value::Bool(_) => json!({ "name": name, "boolValue": value }),
        Value::Number(_) => json!({ "name": name, "intValue": value.to_string() }),
        Value::Array(items) if items.first().is_some_and(Value::is_object) => {
            let messages: Vec<Value> = items.iter().filter_map(Value::as_object).map(of).collect();
            json!({ "name": name, "multiMessageValue": messages })
        }
        Value::Array(_) => json!({ "name": name, "multiValue": value }),
        Value::Object(members) => json!({ "name": name, "messageValue": of(members) }),
        _ => json!({ "name": name, "value": value }),
    }
}
