//! The table of operations: class, activity, verb and target of each operation of a log.

use hashbrown::HashMap;
use serde::Deserialize;
use vigie_record::{PathSet, SlotId, Value, View};

use crate::ContentError;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Section {
    pub(crate) table: String,
    key: Vec<String>,
    default: Default,
    #[serde(rename = "override")]
    overriding: Option<Override>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Default {
    class_uid: u32,
    verb: String,
    activity: Vec<(String, u32)>,
    /// The activity where no leading word gives one.
    #[serde(default = "other_activity")]
    other: u32,
}

fn other_activity() -> u32 {
    ACTIVITY_OTHER
}

impl Default {
    /// Gives a row of another class what it is when the record lacks what that class requires.
    fn with_fallback(&self, operation: &str, mut row: Operation) -> Operation {
        if row.class_uid != self.class_uid {
            let by_word = self.activity.iter().find(|(word, _)| operation.starts_with(word.as_str()));
            let activity_id = by_word.map_or(self.other, |(_, activity)| *activity);
            let fallback = Operation { class_uid: self.class_uid, activity_id, ..row.clone() };
            row.otherwise = Some(Box::new(fallback));
        }
        row
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Override {
    path: String,
    value: String,
    class_uid: u32,
    activity_id: u32,
    verb: String,
}

/// What an operation is: one row of the table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Operation {
    pub(crate) verb: String,
    pub(crate) class_uid: u32,
    pub(crate) activity_id: u32,
    /// Where the record names what was acted upon.
    pub(crate) target: Option<SlotId>,
    /// Where it names the other party: who something was shared with.
    pub(crate) peer: Option<SlotId>,
    /// What it is when the record lacks what its class requires.
    pub(crate) otherwise: Option<Box<Operation>>,
}

/// The compiled table.
#[derive(Debug, Clone)]
pub(crate) struct Operations {
    service: SlotId,
    operation: SlotId,
    rows: HashMap<Box<str>, HashMap<Box<str>, Operation>>,
    /// The default row of each activity that leading words give, by word; the last is "other".
    words: Vec<(String, Operation)>,
    other: Operation,
    overriding: Option<(SlotId, String, Operation)>,
}

const HEADER: &str = "service\toperation\tverb\tclass_uid\tactivity_id\ttarget\tpeer";
const ACTIVITY_OTHER: u32 = 99;

impl Operations {
    pub(crate) fn parse(section: &Section, table: &str, paths: &mut PathSet) -> Result<Operations, ContentError> {
        let [service, operation] = section.key.as_slice() else {
            return Err(ContentError::new("mapping.toml", "`operations.key` must name two paths: service and operation"));
        };
        let (service, operation) = (paths.intern(service), paths.intern(operation));
        let mut rows: HashMap<Box<str>, HashMap<Box<str>, Operation>> = HashMap::new();
        let mut lines = table.lines();
        if lines.next() != Some(HEADER) {
            return Err(ContentError::new(&section.table, format!("must begin with the line `{HEADER}`")));
        }
        for (number, line) in lines.enumerate() {
            let (service, operation, row) = parse_row(line, paths).ok_or_else(|| {
                ContentError::new(
                    &section.table,
                    format!("line {}: wants seven columns with whole numbers in 4 and 5", number + 2),
                )
            })?;
            let row = section.default.with_fallback(operation, row);
            let known = rows.entry(service.into()).or_default().insert(operation.into(), row);
            if known.is_some() {
                return Err(ContentError::new(
                    &section.table,
                    format!("line {}: {service} {operation} stands twice", number + 2),
                ));
            }
        }
        let default = |activity_id| Operation {
            verb: section.default.verb.clone(),
            class_uid: section.default.class_uid,
            activity_id,
            target: None,
            peer: None,
            otherwise: None,
        };
        let words = section.default.activity.iter().map(|(word, activity)| (word.clone(), default(*activity))).collect();
        let overriding = section.overriding.as_ref().map(|row| {
            let operation = Operation {
                verb: row.verb.clone(),
                class_uid: row.class_uid,
                activity_id: row.activity_id,
                target: None,
                peer: None,
                otherwise: None,
            };
            (paths.intern(&row.path), row.value.clone(), operation)
        });
        Ok(Operations { service, operation, rows, words, other: default(section.default.other), overriding })
    }

    /// The row for a record; always one.
    pub(crate) fn of(&self, row: &View<'_, '_>) -> &Operation {
        if let Some((slot, wanted, operation)) = &self.overriding
            && matches!(row.get(*slot), Value::Text(text) if text == *wanted)
        {
            return operation;
        }
        let (service, operation) = (row.get(self.service), row.get(self.operation));
        let (Value::Text(service), Value::Text(operation)) = (service, operation) else {
            return &self.other;
        };
        let known = self.rows.get(&*service).and_then(|rows| rows.get(&*operation));
        known.unwrap_or_else(|| {
            let by_word = self.words.iter().find(|(word, _)| operation.starts_with(word.as_str()));
            by_word.map_or(&self.other, |(_, row)| row)
        })
    }

    /// Every verb that the table can give.
    pub(crate) fn verbs(&self) -> impl Iterator<Item = &str> {
        let rows = self.rows.values().flat_map(HashMap::values).map(|row| row.verb.as_str());
        rows.chain([self.other.verb.as_str()]).chain(self.overriding.iter().map(|(_, _, row)| row.verb.as_str()))
    }
}

fn parse_row<'l>(line: &'l str, paths: &mut PathSet) -> Option<(&'l str, &'l str, Operation)> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [service, operation, verb, class, activity, target, peer] = columns.as_slice() else {
        return None;
    };
    let row = Operation {
        verb: (*verb).to_owned(),
        class_uid: class.parse().ok()?,
        activity_id: activity.parse().ok()?,
        target: (!target.is_empty()).then(|| paths.intern(target)),
        peer: (!peer.is_empty()).then(|| paths.intern(peer)),
        otherwise: None,
    };
    Some((service, operation, row))
}
