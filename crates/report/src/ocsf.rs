//! A finding as one OCSF 1.8.0 Detection Finding (class 2004). Nothing in it depends on the clock.

use serde_json::{Map, Value, json};
use vigie_estate::Chain;
use vigie_model::{EventFacts, Finding, RuleFacts};

/// OCSF version of what is written.
const OCSF_VERSION: &str = "1.8.0";
/// `activity_id` of a new finding.
const ACTIVITY_CREATE: u32 = 1;
const CLASS_UID: u32 = 2004;

/// The document of a finding, as one line of JSON.
pub fn detection_finding(finding: &Finding, rule: &RuleFacts, chain: &Chain, tenant: &str, version: &str) -> String {
    let event = &finding.event;
    let mut root = Map::new();
    let mut put = |key: &str, value: Value| {
        root.insert(key.to_owned(), value);
    };
    put("class_uid", json!(CLASS_UID));
    put("class_name", json!("Detection Finding"));
    put("category_uid", json!(2));
    put("category_name", json!("Findings"));
    put("activity_id", json!(ACTIVITY_CREATE));
    put("activity_name", json!("Create"));
    put("type_uid", json!(CLASS_UID * 100 + ACTIVITY_CREATE));
    put("type_name", json!("Detection Finding: Create"));
    put("severity_id", json!(rule.severity as u32));
    put("severity", json!(rule.severity.caption()));
    put("status_id", json!(1));
    put("status", json!("New"));
    put("time", json!(finding.first));
    put("start_time", json!(finding.first));
    put("end_time", json!(finding.last));
    put("count", json!(finding.events));
    put("message", json!(rule.title));
    put("metadata", metadata(finding, tenant, version));
    put("finding_info", finding_info(finding, rule));
    let evidences = evidences(finding, event);
    if !evidences.is_empty() {
        put("evidences", Value::Array(evidences));
    }
    let resources = resources(event);
    if !resources.is_empty() {
        put("resources", Value::Array(resources));
    }
    if let Some(cloud) = cloud(event) {
        put("cloud", cloud);
    }
    if !rule.response.is_empty() {
        put("remediation", json!({ "desc": rule.response }));
    }
    put("unmapped", unmapped(finding, chain));
    Value::Object(root).to_string()
}

fn metadata(finding: &Finding, tenant: &str, version: &str) -> Value {
    let mut metadata = json!({
        "version": OCSF_VERSION,
        "uid": finding.uid,
        "tenant_uid": tenant,
        "product": { "name": "Vigie", "vendor_name": "Vigie", "version": version },
    });
    if cloud(&finding.event).is_some() {
        insert(&mut metadata, "profiles", json!(["cloud"]));
    }
    if !finding.event.log.is_empty() {
        insert(&mut metadata, "log_name", json!(finding.event.log));
    }
    metadata
}

fn insert(value: &mut Value, key: &str, inner: Value) {
    if let Value::Object(map) = value {
        map.insert(key.to_owned(), inner);
    }
}

fn finding_info(finding: &Finding, rule: &RuleFacts) -> Value {
    let related: Vec<Value> = finding.related.iter().map(|uid| json!({ "uid": uid })).collect();
    let analytic_type = if rule.is_correlation { (2, "Behavioral") } else { (1, "Rule") };
    let mut info = json!({
        "uid": finding.uid,
        "title": rule.title,
        "analytic": { "uid": rule.id, "name": rule.title, "type_id": analytic_type.0, "type": analytic_type.1 },
        "first_seen_time": finding.first,
        "last_seen_time": finding.last,
        "related_events": related,
        "related_events_count": finding.events,
    });
    let attacks = attacks(rule);
    if !attacks.is_empty() {
        insert(&mut info, "attacks", Value::Array(attacks));
    }
    info
}

fn attacks(rule: &RuleFacts) -> Vec<Value> {
    let attack = |technique: &String| match technique.split_once('.') {
        Some((parent, _)) => json!({ "version": "18.1", "technique": { "uid": parent }, "sub_technique": { "uid": technique } }),
        None => json!({ "version": "18.1", "technique": { "uid": technique } }),
    };
    rule.techniques.iter().map(attack).collect()
}

fn evidences(finding: &Finding, event: &EventFacts) -> Vec<Value> {
    let mut data = Map::new();
    for field in finding.evidence.iter().chain(&finding.group) {
        data.insert(field.field.clone(), json!(field.value));
    }
    let mut evidence = json!({});
    if !data.is_empty() {
        insert(&mut evidence, "data", Value::Object(data));
    }
    if let Some(actor) = actor(event) {
        insert(&mut evidence, "actor", actor);
    }
    if !event.operation.is_empty() {
        insert(&mut evidence, "api", json!({ "operation": event.operation, "service": { "name": event.service } }));
    }
    if !event.address.is_empty() {
        let key = if event.address.parse::<std::net::IpAddr>().is_ok() { "ip" } else { "domain" };
        insert(&mut evidence, "src_endpoint", json!({ key: event.address }));
    }
    if !event.user_agent.is_empty() {
        insert(&mut evidence, "http_request", json!({ "user_agent": event.user_agent }));
    }
    if evidence.as_object().is_some_and(Map::is_empty) { Vec::new() } else { vec![evidence] }
}

fn actor(event: &EventFacts) -> Option<Value> {
    let mut user = Map::new();
    for (key, value) in
        [("name", &event.actor), ("uid", &event.actor_uid), ("type", &event.actor_type), ("credential_uid", &event.credential)]
    {
        if !value.is_empty() {
            user.insert(key.to_owned(), json!(value));
        }
    }
    let mut actor = Map::new();
    if !user.is_empty() {
        actor.insert("user".to_owned(), Value::Object(user));
    }
    if !event.invoked_by.is_empty() {
        actor.insert("invoked_by".to_owned(), json!(event.invoked_by));
    }
    (!actor.is_empty()).then_some(Value::Object(actor))
}

fn resources(event: &EventFacts) -> Vec<Value> {
    let named = event.resources.iter().map(|uid| json!({ "uid": uid }));
    let target = (!event.target.is_empty() && !event.resources.contains(&event.target)).then(|| json!({ "name": event.target }));
    named.chain(target).collect()
}

fn cloud(event: &EventFacts) -> Option<Value> {
    let provider = event.log.split('/').next().filter(|product| !product.is_empty() && !event.account.is_empty())?;
    let mut cloud = json!({ "provider": provider.to_uppercase(), "account": { "uid": event.account } });
    if !event.region.is_empty() {
        insert(&mut cloud, "region", json!(event.region));
    }
    Some(cloud)
}

/// What OCSF has no place for: the chain of identities with its proofs, and the verb.
fn unmapped(finding: &Finding, chain: &Chain) -> Value {
    let steps: Vec<Value> = chain
        .steps
        .iter()
        .map(|step| {
            json!({
                "kind": step.kind,
                "sure": step.sure,
                "by": step.by,
                "time": step.occurred,
                "log": step.log,
                "proof": step.event_uid,
            })
        })
        .collect();
    json!({ "verb": finding.event.verb, "actor_chain": steps })
}
