//! Turns the text of a record into literal bytes and typed holes, once, so that writing is copying.
//!
//! A hole is `{{name}}`. A name is first looked up among the values of its writer (which may hold
//! holes themselves), then among the holes every record has, then among the resources of the account.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Error;

/// How deep a value may refer to other values.
const DEPTH_MAX: u32 = 8;

/// A hole whose value is made for each record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hole {
    Time,
    TimeMillis,
    TimeWords,
    Expiry,
    Day,
    SessionStart,
    SessionKey,
    Address,
    Agent,
    Region,
    EventId,
    RequestId,
    SharedId,
    Code,
    Hex,
    Number,
    Bytes,
}

impl Hole {
    fn named(name: &str) -> Option<Self> {
        let hole = match name {
            "time" => Self::Time,
            "time_ms" => Self::TimeMillis,
            "time_words" => Self::TimeWords,
            "expiry" => Self::Expiry,
            "day" => Self::Day,
            "session_start" => Self::SessionStart,
            "session_key" => Self::SessionKey,
            "address" => Self::Address,
            "user_agent" => Self::Agent,
            "region" => Self::Region,
            "event_id" => Self::EventId,
            "request_id" => Self::RequestId,
            "shared_id" => Self::SharedId,
            "code" => Self::Code,
            "hex" => Self::Hex,
            "number" => Self::Number,
            "bytes" => Self::Bytes,
            _ => return None,
        };
        Some(hole)
    }
}

/// A list of values, shared by every form that uses it.
pub(crate) type Column = Arc<Vec<Vec<u8>>>;

/// One piece of a compiled record.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// Bytes copied as they are.
    Text(Box<[u8]>),
    /// A value made for the record.
    Hole(Hole),
    /// A value of the resource that the record picked for this slot.
    Cell { slot: usize, column: Column },
}

/// A record compiled for one writer.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    /// The pieces in order.
    pub(crate) parts: Vec<Part>,
    /// How many resources each slot chooses from.
    pub(crate) slots: Vec<usize>,
    /// The region it belongs to, whatever the region of its session.
    pub(crate) region: Option<usize>,
    /// The feed that delivers it.
    pub(crate) feed: usize,
}

/// The resources of one account: groups of columns whose rows belong together.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    columns: BTreeMap<String, (usize, Column)>,
    rows: Vec<usize>,
}

impl Tables {
    /// Resources from the world file; the columns of a group must be equally long and not empty.
    pub(crate) fn new(groups: &BTreeMap<String, BTreeMap<String, Vec<String>>>) -> Result<Self, Error> {
        let mut tables = Self::default();
        for (group, columns) in groups {
            let rows = columns.values().map(Vec::len).max().unwrap_or(0);
            for (name, values) in columns {
                if values.len() != rows || rows == 0 {
                    return Err(Error::new(format!(
                        "the column `{name}` of the resources `{group}` has {} values instead of {rows}",
                        values.len()
                    )));
                }
                let bytes: Vec<Vec<u8>> = values.iter().map(|v| v.clone().into_bytes()).collect();
                let cell = (tables.rows.len(), Arc::new(bytes));
                if tables.columns.insert(name.clone(), cell).is_some() {
                    return Err(Error::new(format!("the resource column `{name}` is declared twice in one account")));
                }
            }
            tables.rows.push(rows);
        }
        Ok(tables)
    }
}

/// Compiles the text of a record for one writer; `values` come before everything else.
///
/// A record that has a hole named in `regions` belongs to that region.
pub(crate) fn compile(
    name: &str,
    text: &str,
    values: &BTreeMap<String, String>,
    tables: &Tables,
    regions: &BTreeMap<String, usize>,
    feed: usize,
) -> Result<Form, Error> {
    let mut compiler = Compiler {
        name,
        values,
        tables,
        regions,
        pending: Vec::new(),
        parts: Vec::new(),
        groups: Vec::new(),
        slots: Vec::new(),
        region: None,
    };
    compiler.text(text.trim_end(), DEPTH_MAX)?;
    compiler.settle();
    Ok(Form { parts: compiler.parts, slots: compiler.slots, region: compiler.region, feed })
}

struct Compiler<'a> {
    name: &'a str,
    values: &'a BTreeMap<String, String>,
    tables: &'a Tables,
    regions: &'a BTreeMap<String, usize>,
    pending: Vec<u8>,
    parts: Vec<Part>,
    groups: Vec<usize>,
    slots: Vec<usize>,
    region: Option<usize>,
}

impl<'a> Compiler<'a> {
    fn text(&mut self, text: &str, depth: u32) -> Result<(), Error> {
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            self.pending.extend_from_slice(before.as_bytes());
            let Some((name, tail)) = after.split_once("}}") else {
                return Err(Error::new(format!("a hole of the template `{}` is not closed", self.name)));
            };
            self.hole(name.trim(), depth)?;
            rest = tail;
        }
        self.pending.extend_from_slice(rest.as_bytes());
        Ok(())
    }

    fn hole(&mut self, name: &str, depth: u32) -> Result<(), Error> {
        if let Some(region) = self.regions.get(name) {
            self.region = Some(*region);
        }
        let values: &'a BTreeMap<String, String> = self.values;
        if let Some(value) = values.get(name) {
            if depth == 0 {
                return Err(Error::new(format!("the value `{name}` of the template `{}` refers to itself", self.name)));
            }
            return self.text(value, depth - 1);
        }
        if let Some(hole) = Hole::named(name) {
            self.settle();
            self.parts.push(Part::Hole(hole));
            return Ok(());
        }
        self.cell(name)
    }

    fn cell(&mut self, name: &str) -> Result<(), Error> {
        let tables: &'a Tables = self.tables;
        let Some((group, column)) = tables.columns.get(name) else {
            return Err(Error::new(format!("nothing gives a value to the hole `{name}` of the template `{}`", self.name)));
        };
        let slot = match self.groups.iter().position(|known| known == group) {
            Some(slot) => slot,
            None => {
                self.groups.push(*group);
                self.slots.push(tables.rows.get(*group).copied().unwrap_or(0));
                self.groups.len() - 1
            }
        };
        self.settle();
        self.parts.push(Part::Cell { slot, column: Arc::clone(column) });
        Ok(())
    }

    fn settle(&mut self) {
        if !self.pending.is_empty() {
            let text = std::mem::take(&mut self.pending);
            self.parts.push(Part::Text(text.into_boxed_slice()));
        }
    }
}

/// Fills the holes of a short pattern, such as an object's name, from a list of values.
pub(crate) fn fill(pattern: &str, values: &[(&str, &str)]) -> Result<String, Error> {
    let mut filled = String::with_capacity(pattern.len().saturating_mul(2));
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((name, tail)) = after.split_once("}}") else {
            return Err(Error::new(format!("a hole of the pattern `{pattern}` is not closed")));
        };
        let Some((_, value)) = values.iter().find(|(known, _)| *known == name) else {
            return Err(Error::new(format!("the pattern `{pattern}` has an unknown hole `{name}`")));
        };
        filled.push_str(value);
        rest = tail;
    }
    filled.push_str(rest);
    Ok(filled)
}
