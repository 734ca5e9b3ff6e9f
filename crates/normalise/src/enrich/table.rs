//! The tables of enrichments, ready to be asked: networks, keys, windows of time, databases of networks.

use std::borrow::Cow;
use std::net::IpAddr;

use hashbrown::HashMap;
use serde::Deserialize;
use vigie_model::Millis;
use vigie_record::Value;

use super::mmdb::Mmdb;
use super::ranges::Ranges;

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Text(Box<str>),
    Integer(i64),
    Flag(bool),
}

/// A row: a cell for each thing that the enrichment gives.
pub(super) type Cells = [Option<Cell>];

impl Cell {
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Cell::Text(text) => Value::Text(Cow::Borrowed(text)),
            Cell::Integer(number) => Value::Int(*number),
            Cell::Flag(flag) => Value::Bool(*flag),
        }
    }

    pub(super) fn into_value(self) -> Value<'static> {
        match self {
            Cell::Text(text) => Value::Text(Cow::Owned(text.into_string())),
            Cell::Integer(number) => Value::Int(number),
            Cell::Flag(flag) => Value::Bool(flag),
        }
    }

    /// As JSON writes it.
    pub(super) fn json(&self) -> String {
        match self {
            Cell::Text(text) => crate::document::quote(text),
            Cell::Integer(number) => number.to_string(),
            Cell::Flag(flag) => flag.to_string(),
        }
    }
}

/// How a text is compared with keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Matching {
    #[default]
    Exact,
    IgnoreCase,
    /// The longest key that the text begins with.
    Prefix,
    /// The longest key that the text ends with.
    Suffix,
}

/// Rows by key.
#[derive(Debug)]
pub(super) struct Keys {
    rows: Vec<Box<Cells>>,
    by_key: HashMap<Box<str>, u32>,
    matching: Matching,
    /// Lengths of keys, longest first.
    lengths: Vec<usize>,
}

impl Keys {
    pub(super) fn new(rows: Vec<Box<Cells>>, by_key: HashMap<Box<str>, u32>, matching: Matching) -> Keys {
        let mut lengths: Vec<usize> = match matching {
            Matching::Prefix | Matching::Suffix => by_key.keys().map(|key| key.len()).collect(),
            Matching::Exact | Matching::IgnoreCase => Vec::new(),
        };
        lengths.sort_unstable_by(|left, right| right.cmp(left));
        lengths.dedup();
        Keys { rows, by_key, matching, lengths }
    }

    fn find(&self, text: &str) -> Option<&Cells> {
        let number = match self.matching {
            Matching::Exact => self.by_key.get(text),
            Matching::IgnoreCase => self.by_key.get(text.to_lowercase().as_str()),
            Matching::Prefix => self.lengths.iter().find_map(|length| self.by_key.get(text.get(..*length)?)),
            Matching::Suffix => {
                let from = |length: &usize| text.len().checked_sub(*length);
                self.lengths.iter().find_map(|length| self.by_key.get(text.get(from(length)?..)?))
            }
        }?;
        self.rows.get(*number as usize).map(AsRef::as_ref)
    }
}

/// A span of time, its end apart, with its row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) from: Millis,
    pub(super) until: Millis,
    pub(super) row: u32,
}

/// Windows in the order in which they begin, each with the latest end up to it.
#[derive(Debug, Default)]
struct Line(Vec<(Window, Millis)>);

impl Line {
    fn new(mut windows: Vec<Window>) -> Line {
        windows.sort_by_key(|window| (window.from, window.until));
        let mut latest = Millis::MIN;
        let with_end = |window: Window| {
            latest = latest.max(window.until);
            (window, latest)
        };
        Line(windows.into_iter().map(with_end).collect())
    }

    /// The window around an instant that began last.
    fn find(&self, at: Millis) -> Option<u32> {
        let begun = self.0.get(..self.0.partition_point(|(window, _)| window.from <= at))?;
        let open = begun.iter().rev().take_while(|(_, latest)| *latest > at);
        open.map(|(window, _)| window).find(|window| window.until > at).map(|window| window.row)
    }
}

/// Windows of time: for all events, and for those with a key.
#[derive(Debug)]
pub(super) struct Windows {
    rows: Vec<Box<Cells>>,
    by_key: HashMap<Box<str>, Line>,
    all: Line,
}

impl Windows {
    /// Windows by key; those for all events have an empty one.
    pub(super) fn new(rows: Vec<Box<Cells>>, mut by_key: HashMap<Box<str>, Vec<Window>>) -> Windows {
        let all = Line::new(by_key.remove("").unwrap_or_default());
        let by_key = by_key.into_iter().map(|(key, windows)| (key, Line::new(windows))).collect();
        Windows { rows, by_key, all }
    }

    fn find(&self, key: Option<&str>, at: Millis) -> Option<&Cells> {
        let own = key.and_then(|key| self.by_key.get(key)).and_then(|line| line.find(at));
        let row = own.or_else(|| self.all.find(at))?;
        self.rows.get(row as usize).map(AsRef::as_ref)
    }
}

/// What an enrichment looks values up in.
#[derive(Debug)]
pub(super) enum Table {
    Ranges(Ranges),
    Keys(Keys),
    Windows(Windows),
    Mmdb(Box<Mmdb>),
}

impl Table {
    /// Whether the time of an event is what is looked up.
    pub(super) fn is_timed(&self) -> bool {
        matches!(self, Table::Windows(_))
    }

    /// The row for a value of an event of this instant.
    pub(super) fn find(&self, key: Option<&str>, at: Millis) -> Option<Cow<'_, Cells>> {
        match self {
            Table::Ranges(ranges) => ranges.find(address(key?)?).map(Cow::Borrowed),
            Table::Keys(keys) => keys.find(key?).map(Cow::Borrowed),
            Table::Windows(windows) => windows.find(key, at).map(Cow::Borrowed),
            Table::Mmdb(database) => database.find(address(key?)?).map(Cow::Owned),
        }
    }
}

/// The address that a text is; one of IPv4 inside one of IPv6 (RFC 4291, section 2.5.5.2) is itself.
fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}
