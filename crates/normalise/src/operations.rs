//! The table of operations: class, activity, verb and target of each operation of a log.

use std::borrow::Cow;

use hashbrown::HashMap;
use serde::Deserialize;
use vigie_record::{PathSet, SlotId, Value, View};

use crate::ContentError;
use crate::expression::{Expression, parse};
use crate::function::evaluate;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Section {
    pub(crate) table: String,
    key: Vec<String>,
    default: Default,
    #[serde(default, rename = "override")]
    overriding: Vec<Override>,
    /// Whether the case of services and operations says nothing.
    #[serde(default, rename = "case_ignored")]
    is_case_ignored: bool,
    /// Where the record says its own class and activity.
    #[serde(default)]
    pub(crate) class: Option<String>,
    #[serde(default)]
    pub(crate) activity: Option<String>,
    #[serde(default)]
    pub(crate) verbs: Vec<Foreign>,
}

impl Section {
    fn folded<'n>(&self, name: &'n str) -> Cow<'n, str> {
        if self.is_case_ignored { Cow::Owned(name.to_lowercase()) } else { Cow::Borrowed(name) }
    }
}

/// Another log whose operations this one may hold: its table gives their verbs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Foreign {
    log: String,
    key: Vec<String>,
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
    pub(crate) target: Option<Expression>,
    /// Where it names the other party: who something was shared with.
    pub(crate) peer: Option<Expression>,
    /// What it is when the record lacks what its class requires.
    pub(crate) otherwise: Option<Box<Operation>>,
}

/// Rows by service and operation.
type Rows<T> = HashMap<Box<str>, HashMap<Box<str>, T>>;

/// The compiled table.
#[derive(Debug, Clone)]
pub(crate) struct Operations {
    service: Expression,
    operation: Expression,
    rows: Rows<Operation>,
    /// The default row of each activity that leading words give, by word; the last is "other".
    words: Vec<(String, Operation)>,
    other: Operation,
    overriding: Vec<(SlotId, String, Operation)>,
    is_case_ignored: bool,
    /// Verbs of the operations of other logs, with the paths that name those.
    foreign: Vec<(Expression, Expression, Rows<Box<str>>)>,
}

/// What an operation is called in a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named<'r> {
    pub(crate) service: Cow<'r, str>,
    pub(crate) operation: Cow<'r, str>,
    /// Whether no table has a row for it.
    pub(crate) is_default: bool,
    /// Whether its leading word says that it only reads.
    pub(crate) is_read: bool,
}

const HEADER: &str = "service\toperation\tverb\tclass_uid\tactivity_id\ttarget\tpeer";
const ACTIVITY_OTHER: u32 = 99;
const ACTIVITY_READ: u32 = 2;

impl Operations {
    /// Reads the tables; `read` gives the text of a file.
    pub(crate) fn parse(
        section: &Section,
        read: &dyn Fn(&str) -> Result<String, ContentError>,
        paths: &mut PathSet,
    ) -> Result<Operations, ContentError> {
        let (service, operation) = keys("operations.key", &section.key, paths)?;
        let mut rows: Rows<Operation> = HashMap::new();
        let table = read(&section.table)?;
        each_row(&section.table, &table, &mut |number, line| {
            let (service, operation, row) = parse_row(line, paths).map_err(|what| unreadable(&section.table, number, &what))?;
            let row = section.default.with_fallback(operation, row);
            let [service, operation] = [service, operation].map(|name| section.folded(name));
            let known = rows.entry((*service).into()).or_default().insert((*operation).into(), row);
            let twice = || ContentError::new(&section.table, format!("line {number}: {service} {operation} stands twice"));
            known.map_or(Ok(()), |_| Err(twice()))
        })?;
        let foreign = section.verbs.iter().map(|foreign| foreign_verbs(foreign, read, paths)).collect::<Result<Vec<_>, _>>()?;
        let default = |activity_id| Operation {
            verb: section.default.verb.clone(),
            class_uid: section.default.class_uid,
            activity_id,
            target: None,
            peer: None,
            otherwise: None,
        };
        let words = section.default.activity.iter().map(|(word, activity)| (word.clone(), default(*activity))).collect();
        let overriding = section.overriding.iter().map(|row| {
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
        let overriding = overriding.collect();
        let (other, is_case_ignored) = (default(section.default.other), section.is_case_ignored);
        Ok(Operations { service, operation, rows, words, other, overriding, is_case_ignored, foreign })
    }

    /// The row for a record; always one.
    pub(crate) fn of(&self, row: &View<'_, '_>) -> &Operation {
        for (slot, wanted, operation) in &self.overriding {
            if matches!(row.get(*slot), Value::Text(text) if text == *wanted) {
                return operation;
            }
        }
        let (Expression::Path(service), Expression::Path(operation)) = (&self.service, &self.operation) else {
            return self.of_expressions(row);
        };
        let (Value::Text(service), Value::Text(operation)) = (row.get(*service), row.get(*operation)) else {
            return self.of_expressions(row);
        };
        self.of_names(&service, &operation)
    }

    fn of_names(&self, service: &str, operation: &str) -> &Operation {
        self.known(service, operation).unwrap_or_else(|| self.by_word(operation).unwrap_or(&self.other))
    }

    fn known(&self, service: &str, operation: &str) -> Option<&Operation> {
        if self.is_case_ignored {
            self.rows.get(service.to_lowercase().as_str())?.get(operation.to_lowercase().as_str())
        } else {
            self.rows.get(service)?.get(operation)
        }
    }

    /// The row where an expression or a number names the service or the operation.
    #[inline(never)]
    fn of_expressions(&self, row: &View<'_, '_>) -> &Operation {
        match (name(&self.service, row), name(&self.operation, row)) {
            (Some(service), Some(operation)) => self.of_names(&service, &operation),
            _ => &self.other,
        }
    }

    fn by_word(&self, operation: &str) -> Option<&Operation> {
        self.words.iter().find(|(word, _)| operation.starts_with(word.as_str())).map(|(_, row)| row)
    }

    /// The verb that the table of another log gives.
    pub(crate) fn foreign_verb(&self, row: &View<'_, '_>) -> Option<&str> {
        self.foreign.iter().find_map(|(service, operation, verbs)| {
            let (service, operation) = (name(service, row)?, name(operation, row)?);
            verbs.get(&*service)?.get(&*operation).map(|verb| &**verb)
        })
    }

    /// How a record names its operation, and what the table makes of the name. None where it names none.
    pub(crate) fn named<'r>(&'r self, row: &View<'_, 'r>) -> Option<Named<'r>> {
        let (service, operation) = (name(&self.service, row)?, name(&self.operation, row)?);
        let is_overridden = self.overriding.iter().any(|(slot, wanted, _)| row.text(*slot).as_deref() == Some(wanted.as_str()));
        let is_known = self.known(&service, &operation).is_some();
        let is_foreign = self.foreign_verb(row).is_some();
        let is_read = self.by_word(&operation).is_some_and(|row| row.activity_id == ACTIVITY_READ);
        Some(Named { service, operation, is_default: !(is_overridden || is_known || is_foreign), is_read })
    }

    /// Calls `visit` with every slot that what an operation is comes from.
    pub(crate) fn each_slot(&self, visit: &mut dyn FnMut(SlotId)) {
        let foreign = self.foreign.iter().flat_map(|(service, operation, _)| [service, operation]);
        [&self.service, &self.operation].into_iter().chain(foreign).for_each(|key| key.each_slot(visit));
        self.overriding.iter().for_each(|(slot, ..)| visit(*slot));
        let rows = self.rows.values().flat_map(HashMap::values).chain(self.words.iter().map(|(_, row)| row));
        for row in rows.chain([&self.other]).chain(self.overriding.iter().map(|(_, _, row)| row)) {
            let fallback = row.otherwise.as_deref();
            for named in [Some(row), fallback].into_iter().flatten().flat_map(|row| [&row.target, &row.peer]) {
                named.iter().for_each(|expression| expression.each_slot(visit));
            }
        }
    }

    /// Every class that a row gives.
    pub(crate) fn classes(&self) -> impl Iterator<Item = u32> {
        let rows = self.rows.values().flat_map(HashMap::values).map(|row| row.class_uid);
        rows.chain([self.other.class_uid]).chain(self.overriding.iter().map(|(_, _, row)| row.class_uid))
    }

    /// Every verb that the table can give.
    pub(crate) fn verbs(&self) -> impl Iterator<Item = &str> {
        let rows = self.rows.values().flat_map(HashMap::values).map(|row| row.verb.as_str());
        rows.chain([self.other.verb.as_str()]).chain(self.overriding.iter().map(|(_, _, row)| row.verb.as_str()))
    }
}

/// Calls `visit` with the number and the text of each row of a table.
fn each_row<'t>(
    file: &str,
    table: &'t str,
    visit: &mut dyn FnMut(usize, &'t str) -> Result<(), ContentError>,
) -> Result<(), ContentError> {
    let mut lines = table.lines();
    if lines.next() != Some(HEADER) {
        return Err(ContentError::new(file, format!("must begin with the line `{HEADER}`")));
    }
    lines.enumerate().try_for_each(|(number, line)| visit(number + 2, line))
}

fn unreadable(file: &str, number: usize, what: &str) -> ContentError {
    ContentError::new(file, format!("line {number}: {what}"))
}

/// The two expressions that name an operation: its service and itself.
fn keys(place: &str, texts: &[String], paths: &mut PathSet) -> Result<(Expression, Expression), ContentError> {
    let wrong = |what: &str| ContentError::new("mapping.toml", format!("`{place}` {what}"));
    let [service, operation] = texts else {
        return Err(wrong("must give two expressions: service and operation"));
    };
    let mut part = |text: &String| parse(text, paths).map_err(|what| wrong(&format!("has {text}: {what}")));
    Ok((part(service)?, part(operation)?))
}

/// What an expression of a key gives, as text.
fn name<'r>(key: &'r Expression, row: &View<'_, 'r>) -> Option<Cow<'r, str>> {
    match key {
        Expression::Path(slot) => row.text(*slot),
        key => match evaluate(key, row) {
            Value::Text(text) => Some(text),
            value => value.text().map(|text| Cow::Owned(text.into_owned())),
        },
    }
}

/// The verbs of the operations of another log.
fn foreign_verbs(
    foreign: &Foreign,
    read: &dyn Fn(&str) -> Result<String, ContentError>,
    paths: &mut PathSet,
) -> Result<(Expression, Expression, Rows<Box<str>>), ContentError> {
    let (of_service, of_operation) = keys("operations.verbs.key", &foreign.key, paths)?;
    let file = format!("{}/operations.tsv", foreign.log);
    let mut verbs: Rows<Box<str>> = HashMap::new();
    // Where the other log is not here, its operations have no verbs.
    let Ok(table) = read(&file) else {
        return Ok((of_service, of_operation, verbs));
    };
    each_row(&file, &table, &mut |number, line| {
        // The paths of that log's records are not of these.
        let parsed = parse_row(line, &mut PathSet::new());
        let (service, operation, row) = parsed.map_err(|what| unreadable(&file, number, &what))?;
        verbs.entry(service.into()).or_default().insert(operation.into(), row.verb.into());
        Ok(())
    })?;
    Ok((of_service, of_operation, verbs))
}

fn parse_row<'l>(line: &'l str, paths: &mut PathSet) -> Result<(&'l str, &'l str, Operation), String> {
    let columns: Vec<&str> = line.split('\t').collect();
    let wrong = || "wants seven columns with whole numbers in 4 and 5".to_owned();
    let [service, operation, verb, class, activity, target, peer] = columns.as_slice() else {
        return Err(wrong());
    };
    let mut named = |text: &str| if text.is_empty() { Ok(None) } else { parse(text, paths).map(Some) };
    let row = Operation {
        verb: (*verb).to_owned(),
        class_uid: class.parse().map_err(|_| wrong())?,
        activity_id: activity.parse().map_err(|_| wrong())?,
        target: named(target)?,
        peer: named(peer)?,
        otherwise: None,
    };
    Ok((service, operation, row))
}
