//! A first mapping for a log that has none, proposed from a few of its records: fields are recognised by
//! their names and by the shape of their values. A person reads it against the vendor's reference.

mod roles;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use vigie_model::LogType;
use vigie_record::Value;

use crate::gaps::each_leaf;
use roles::{Role, Roles};

/// Records that are looked at; more say little more.
const RECORDS_MAX: usize = 1000;
/// Paths that are looked at.
const FIELDS_MAX: usize = 4096;
/// Different values kept of each.
const VALUES_MAX: usize = 64;
/// Bytes of such a value.
const VALUE_BYTES_MAX: usize = 256;
/// Samples that are kept, of different operations.
const SAMPLES_MAX: usize = 3;

/// What one path holds in the records.
#[derive(Debug, Default)]
struct Field {
    path: String,
    /// Records that have it.
    records: usize,
    values: BTreeSet<String>,
    /// Whether a value was too long to be kept, or there were too many.
    has_more: bool,
    /// The last record that had it.
    last: usize,
}

/// The files of a log type, and what they were made from.
#[derive(Debug)]
pub struct Proposal {
    /// Files of the log's folder by name: `log.toml`, `mapping.toml`, `operations.tsv`.
    pub files: BTreeMap<String, String>,
    /// What was recognised: the OCSF path, and the path in the records.
    pub recognised: Vec<(String, String)>,
    /// What nothing was found for, though events should have it.
    pub missing: Vec<String>,
    /// Records to keep as samples, by their places.
    pub samples: Vec<usize>,
}

/// Proposes a log type for records that are JSON objects. `envelope` is the key whose array held them.
///
/// # Errors
/// A sentence, when no field looks like a time, or no record is there.
pub fn propose(log: &LogType, records: &[&[u8]], envelope: Option<&str>) -> Result<Proposal, String> {
    let records = records.get(..RECORDS_MAX.min(records.len())).unwrap_or_default();
    if records.is_empty() {
        return Err("there is no record to look at".to_owned());
    }
    let fields = fields(records);
    let roles = Roles::find(&fields, records.len());
    let Some(time) = roles.path(Role::Time) else {
        return Err("no field looks like a time, and without one nothing orders events; give records that name when".to_owned());
    };
    let group = group(&fields, &roles, records.len(), time);
    let operations: Vec<&String> = roles.field(Role::Operation).into_iter().flat_map(|field| &field.values).collect();
    let writer = write::Writer { log, records: records.len(), roles: &roles, operations: &operations };
    let files = [
        ("log.toml", writer.log_file(&group, envelope)),
        ("mapping.toml", writer.mapping_file()),
        ("operations.tsv", writer.operations_file()),
    ];
    Ok(Proposal {
        files: files.into_iter().map(|(name, text)| (name.to_owned(), text)).collect(),
        recognised: roles.list().map(|(role, field)| (role.to().to_owned(), field.path.clone())).collect(),
        missing: roles.missing().map(|role| role.to().to_owned()).collect(),
        samples: samples(records, roles.path(Role::Operation)),
    })
}

/// What each path holds, in the order of first appearance.
fn fields(records: &[&[u8]]) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (number, record) in records.iter().enumerate() {
        each_leaf(&mut String::new(), &Value::Object(record), &mut |path, text| {
            if !is_writable(path) {
                return;
            }
            let place = match places.get(path) {
                Some(place) => *place,
                None if fields.len() < FIELDS_MAX => {
                    fields.push(Field { path: path.to_owned(), last: usize::MAX, ..Field::default() });
                    places.insert(path.to_owned(), fields.len() - 1);
                    fields.len() - 1
                }
                None => return,
            };
            let Some(field) = fields.get_mut(place) else {
                return;
            };
            field.records += usize::from(field.last != number);
            field.last = number;
            if text.len() <= VALUE_BYTES_MAX && field.values.len() < VALUES_MAX {
                field.values.insert(text.to_owned());
            } else {
                field.has_more |= !field.values.contains(text);
            }
        });
    }
    fields
}

/// Whether a path can stand in an expression.
fn is_writable(path: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-@$:/".contains(c);
    path.chars().all(fits) && path.parse::<i64>().is_err() && path.split('.').all(|key| !key.is_empty())
}

/// Paths that every record has and that together tell them from others: when, what, who, and the two with
/// the longest names.
fn group(fields: &[Field], roles: &Roles<'_>, records: usize, time: &str) -> Vec<String> {
    let is_everywhere = |path: &str| fields.iter().any(|field| field.path == path && field.records == records);
    let mut group: Vec<String> = vec![time.to_owned()];
    for role in [Role::Operation, Role::Id, Role::UserName] {
        if let Some(path) = roles.path(role).filter(|path| is_everywhere(path)) {
            group.push(path.to_owned());
        }
    }
    let mut others: Vec<&str> = fields.iter().filter(|field| field.records == records).map(|field| field.path.as_str()).collect();
    others.sort_by_key(|path| (std::cmp::Reverse(path.len().min(40)), *path));
    for path in others.into_iter().filter(|path| !group.iter().any(|known| known == path)).take(2).collect::<Vec<_>>() {
        group.push(path.to_owned());
    }
    group
}

/// The first record of each of some operations.
fn samples(records: &[&[u8]], operation: Option<&str>) -> Vec<usize> {
    let mut seen: Vec<String> = Vec::new();
    let mut samples = Vec::new();
    for (number, record) in records.iter().enumerate() {
        let named = operation.and_then(|path| vigie_record::inside(record, path));
        let name = named.and_then(|value| value.text().map(std::borrow::Cow::into_owned)).unwrap_or_default();
        if samples.len() < SAMPLES_MAX && !seen.contains(&name) {
            seen.push(name);
            samples.push(number);
        }
    }
    samples
}

#[cfg(test)]
mod tests;
