//! The values one walk found in one record, by slot.

use std::borrow::Cow;

use crate::SlotId;
use crate::hash::Open;
use crate::json::{each_item, unescape};
use crate::value::{Fields, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    Absent,
    Null,
    Bool,
    Number,
    Text,
    Escaped,
    List,
    Object,
}

/// One value as the record wrote it: its kind and its text (a string without its quotes).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cell<'r> {
    kind: Kind,
    /// Whether the slot has more values than this one.
    has_more: bool,
    text: &'r str,
}

impl<'r> Cell<'r> {
    /// Reads the kind of a value from its JSON text.
    pub(crate) fn of(raw: &'r str) -> Cell<'r> {
        let kind = match raw.as_bytes().first() {
            Some(b'"') => return Cell::text(raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default()),
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::List,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        };
        Cell { kind, has_more: false, text: raw }
    }

    /// A string, from the text between its quotes.
    pub(crate) fn text(inner: &'r str) -> Cell<'r> {
        let kind = if memchr::memchr(b'\\', inner.as_bytes()).is_some() { Kind::Escaped } else { Kind::Text };
        Cell { kind, has_more: false, text: inner }
    }

    /// A string without escapes, from the text between its quotes.
    pub(crate) fn plain(inner: &'r str) -> Cell<'r> {
        Cell { kind: Kind::Text, has_more: false, text: inner }
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.kind == Kind::Absent
    }

    /// A scalar as text, numbers and booleans as the record writes them; none for an empty text.
    #[inline]
    pub(crate) fn scalar_text(&self) -> Option<Cow<'r, str>> {
        match self.kind {
            Kind::Text | Kind::Number | Kind::Bool if !self.text.is_empty() => Some(Cow::Borrowed(self.text)),
            Kind::Escaped => Some(unescape(self.text)),
            _ => None,
        }
    }

    pub(crate) fn value(&self) -> Value<'r> {
        match self.kind {
            Kind::Absent => Value::Absent,
            Kind::Null => Value::Null,
            Kind::Bool => Value::Bool(self.text.starts_with('t')),
            Kind::Number => match self.text.parse::<i64>() {
                Ok(number) if number != 0 || self.text == "0" => Value::Int(number),
                _ => Value::Number(self.text),
            },
            Kind::Text => Value::Text(Cow::Borrowed(self.text)),
            Kind::Escaped => Value::Text(unescape(self.text)),
            Kind::List => Value::List(self.text.as_bytes()),
            Kind::Object => Value::Object(self.text.as_bytes()),
        }
    }
}

/// What a walk found in one record. Reuse one row for many records of one buffer.
#[derive(Debug, Default)]
pub struct Row<'r> {
    pub(crate) cells: Vec<Cell<'r>>,
    /// Second and later values of slots that have several, in record order.
    pub(crate) more: Vec<(SlotId, Cell<'r>)>,
    pub(crate) touched: Vec<SlotId>,
    pub(crate) record: &'r [u8],
    pub(crate) duplicate_key: bool,
    /// Scratch of the walk: the structural index, and when each edge was last taken.
    pub(crate) tokens: Vec<u32>,
    pub(crate) seen: Vec<u32>,
    pub(crate) visit: u32,
    /// Scratch of the hash.
    pub(crate) open: Open,
}

impl<'r> Row<'r> {
    /// An empty row.
    pub fn new() -> Row<'r> {
        Row::default()
    }

    /// The record this row was read from.
    pub fn record(&self) -> &'r [u8] {
        self.record
    }

    /// Whether an object on a wanted path named one key twice: a way to show different values to
    /// different readers. All of the values are kept.
    pub fn has_duplicate_key(&self) -> bool {
        self.duplicate_key
    }

    /// A hash of what the record says: equal whatever the order of keys and the white space.
    pub fn canonical_hash(&mut self) -> u64 {
        crate::hash::canonical(self.record, &self.tokens, &mut self.open)
    }

    pub(crate) fn reset(&mut self, slots: usize, record: &'r [u8]) {
        if self.cells.len() < slots {
            self.cells.resize(slots, Cell::default());
        }
        for slot in self.touched.drain(..) {
            if let Some(cell) = self.cells.get_mut(slot.index()) {
                *cell = Cell::default();
            }
        }
        self.more.clear();
        self.record = record;
        self.duplicate_key = false;
    }

    pub(crate) fn put(&mut self, slot: SlotId, found: Cell<'r>) {
        match self.cells.get_mut(slot.index()) {
            Some(cell) if cell.is_absent() => {
                *cell = found;
                self.touched.push(slot);
            }
            Some(cell) => {
                cell.has_more = true;
                self.more.push((slot, found));
            }
            None => {}
        }
    }

    /// The text between the quotes of an unescaped string, or the raw text of any other scalar:
    /// a cheap key for caches. None for absent values and for slots with several values.
    pub fn plain(&self, slot: SlotId) -> Option<&'r str> {
        let cell = self.cells.get(slot.index())?;
        (cell.kind == Kind::Text && !cell.has_more).then_some(cell.text)
    }

    /// The first value at a slot, borrowed from the record rather than from the row.
    pub fn get(&self, slot: SlotId) -> Value<'r> {
        self.cells.get(slot.index()).map_or(Value::Absent, Cell::value)
    }

    /// Calls `visit` with every value of a slot as the record wrote it; arrays stay whole.
    pub fn each_raw(&self, slot: SlotId, visit: &mut dyn FnMut(Value<'r>)) {
        let Some(cell) = self.cells.get(slot.index()).filter(|cell| !cell.is_absent()) else {
            return;
        };
        visit(cell.value());
        if !cell.has_more {
            return;
        }
        for (_, cell) in self.more.iter().filter(|(other, _)| *other == slot) {
            visit(cell.value());
        }
    }
}

fn open_lists<'r>(value: Value<'r>, visit: &mut dyn FnMut(Value<'_>)) {
    match value {
        Value::List(bytes) => each_item(bytes, &mut |item| open_lists(item, visit)),
        other => visit(other),
    }
}

impl Fields for Row<'_> {
    fn value(&self, slot: SlotId) -> Value<'_> {
        self.get(slot)
    }

    fn each_value(&self, slot: SlotId, visit: &mut dyn FnMut(Value<'_>)) {
        self.each_raw(slot, &mut |value| open_lists(value, visit));
    }

    fn whole(&self) -> Option<&[u8]> {
        Some(self.record)
    }
}

/// A row seen through the slot numbers of one of the walk's path sets.
#[derive(Clone, Copy)]
pub struct View<'a, 'r> {
    pub(crate) row: &'a Row<'r>,
    pub(crate) slots: &'a [SlotId],
    pub(crate) is_last: bool,
}

impl<'a, 'r> View<'a, 'r> {
    fn slot(&self, slot: SlotId) -> SlotId {
        self.slots.get(slot.index()).copied().unwrap_or(SlotId(u32::MAX))
    }

    /// The same view by the other reading: where a slot has several values, the last is the one.
    /// Parsers differ in which of two equal keys they take, so both readings deserve a look.
    pub fn last(self) -> View<'a, 'r> {
        View { is_last: true, ..self }
    }

    /// Whether the last of several values is the one.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// The value at a slot, borrowed from the record: the first, or by [`View::last`] the last.
    pub fn get(&self, slot: SlotId) -> Value<'r> {
        self.cell(slot).map_or(Value::Absent, Cell::value)
    }

    /// The scalar at a slot as text, as the record writes it; none when it is absent, null, empty, a
    /// list or an object.
    #[inline]
    pub fn text(&self, slot: SlotId) -> Option<Cow<'r, str>> {
        self.cell(slot).and_then(Cell::scalar_text)
    }

    #[inline]
    fn cell(&self, slot: SlotId) -> Option<&Cell<'r>> {
        let slot = self.slot(slot);
        if self.is_last
            && let Some((_, cell)) = self.row.more.iter().rev().find(|(other, _)| *other == slot)
        {
            return Some(cell);
        }
        self.row.cells.get(slot.index())
    }

    /// Whether the record has several values at the slot.
    pub fn has_more(&self, slot: SlotId) -> bool {
        self.row.cells.get(self.slot(slot).index()).is_some_and(|cell| cell.has_more)
    }

    /// See [`Row::plain`].
    pub fn plain(&self, slot: SlotId) -> Option<&'r str> {
        self.row.plain(self.slot(slot))
    }

    /// Whether the record has nothing at the slot.
    pub fn is_absent(&self, slot: SlotId) -> bool {
        self.row.cells.get(self.slot(slot).index()).is_none_or(Cell::is_absent)
    }

    /// See [`Row::each_raw`].
    pub fn each_raw(&self, slot: SlotId, visit: &mut dyn FnMut(Value<'r>)) {
        self.row.each_raw(self.slot(slot), visit);
    }

    /// The record under the view.
    pub fn record(&self) -> &'r [u8] {
        self.row.record
    }
}

impl Fields for View<'_, '_> {
    fn value(&self, slot: SlotId) -> Value<'_> {
        self.get(slot)
    }

    fn each_value(&self, slot: SlotId, visit: &mut dyn FnMut(Value<'_>)) {
        self.row.each_value(self.slot(slot), visit);
    }

    fn whole(&self) -> Option<&[u8]> {
        Some(self.row.record)
    }
}
