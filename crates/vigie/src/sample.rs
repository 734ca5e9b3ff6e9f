//! Samples inside a rule's page: fenced records that must fire, or must stay silent.

use serde_json::Value;

/// One sample of a rule's page.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Whether the rule must fire.
    pub(crate) fires: bool,
    /// What it shows, in the author's words.
    pub(crate) title: String,
    /// Its records, as JSON.
    pub(crate) records: Vec<Value>,
    /// For a patch: how many fields it changes.
    pub(crate) changed_fields: Option<usize>,
    /// Line of the page at which it begins.
    pub(crate) line: usize,
}

/// Reads the samples of a page.
///
/// A fence's info string is kind (`json`, `ndjson`, `patch`), verdict (`fires`, `silent`) and a
/// quoted title; a patch is an RFC 7396 merge patch of the records of the last fence that is none.
pub(crate) fn samples(page: &str) -> Result<Vec<Sample>, String> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut whole: Vec<Value> = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```").map(str::trim).filter(|info| !info.is_empty()) else {
            continue;
        };
        let mut body = String::new();
        for (_, line) in lines.by_ref().take_while(|(_, line)| !line.starts_with("```")) {
            body.push_str(line);
            body.push('\n');
        }
        let mut words = info.splitn(3, ' ');
        let (kind, verdict) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let fires = match verdict {
            "fires" => true,
            "silent" => false,
            _ => continue,
        };
        let at = |error: String| format!("line {}: {error}", number + 1);
        let (records, changed_fields) = match kind {
            "json" => (vec![parse(&body).map_err(at)?], None),
            "ndjson" => {
                (body.lines().filter(|line| !line.trim().is_empty()).map(parse).collect::<Result<_, _>>().map_err(at)?, None)
            }
            "patch" => {
                let patch = parse(&body).map_err(at)?;
                let mut records = whole.clone();
                records.iter_mut().for_each(|record| merge(record, &patch));
                (records, Some(leaves(&patch)))
            }
            other => return Err(at(format!("`{other}` is no kind of sample; write json, ndjson or patch"))),
        };
        if changed_fields.is_none() {
            whole.clone_from(&records);
        }
        let title = words.next().unwrap_or_default().trim_matches('"').to_owned();
        samples.push(Sample { fires, title, records, changed_fields, line: number + 1 });
    }
    Ok(samples)
}

fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(members) = target else {
        return;
    };
    for (key, change) in changes {
        if change.is_null() {
            members.remove(key);
        } else {
            merge(members.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

/// How many fields a patch changes: its scalars and arrays.
fn leaves(patch: &Value) -> usize {
    match patch {
        Value::Object(members) => members.values().map(leaves).sum(),
        _ => 1,
    }
}
