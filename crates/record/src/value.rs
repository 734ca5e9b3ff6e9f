//! What stands at a path of a record, decoded no further than the reader asks.

use std::borrow::Cow;

use crate::SlotId;

/// The value at one path of one record.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'r> {
    /// The path does not exist in the record.
    Absent,
    /// A JSON null.
    Null,
    /// A JSON boolean.
    Bool(bool),
    /// A whole number that fits 64 bits.
    Int(i64),
    /// Any other number, as its text.
    Number(&'r str),
    /// A string, unescaped.
    Text(Cow<'r, str>),
    /// An array: its JSON text with the brackets.
    List(&'r [u8]),
    /// An object: its JSON text with the braces.
    Object(&'r [u8]),
    /// An array, an object or a number as JSON that stands in no record, since it was made of a text
    /// in one: well formed, without white space.
    Json(Box<[u8]>),
}

impl<'r> Value<'r> {
    /// Whether the path is absent or null.
    pub fn is_none(&self) -> bool {
        matches!(self, Value::Absent | Value::Null)
    }

    /// The text by which a scalar is compared: strings as they are, numbers and booleans as JSON
    /// writes them, objects as compact JSON. Absent, null and arrays have none.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Value::Absent | Value::Null | Value::List(_) => return None,
            Value::Bool(true) => Cow::Borrowed("true"),
            Value::Bool(false) => Cow::Borrowed("false"),
            Value::Int(number) => Cow::Owned(number.to_string()),
            Value::Number(text) => Cow::Borrowed(text),
            Value::Text(text) => Cow::Borrowed(text.as_ref()),
            Value::Object(bytes) => crate::compact(bytes),
            Value::Json(bytes) if bytes.first() == Some(&b'[') => return None,
            Value::Json(bytes) => String::from_utf8_lossy(bytes),
        })
    }

    /// The value as a floating number, for comparisons; numeric text counts.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Number(text) => text.parse().ok(),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Json(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
            _ => None,
        }
    }
}

/// Anything that has values in slots: a native record, or an event.
pub trait Fields {
    /// The first value at a slot.
    fn value(&self, slot: SlotId) -> Value<'_>;

    /// Calls `visit` with every value at a slot; arrays are opened, so no `List` is passed.
    /// Nothing is called for an absent path.
    fn each_value(&self, slot: SlotId, visit: &mut dyn FnMut(Value<'_>));

    /// The whole record or event as JSON text, where there is one: the full-text view.
    fn whole(&self) -> Option<&[u8]> {
        None
    }
}
