//! What of a record no field of its mapping reads.

use std::borrow::Cow;

use vigie_record::{PathSet, Value, View, each_item, each_member};

use crate::expression::Read;
use crate::function::is_named;

/// What fields read of one record.
#[derive(Debug, Default)]
pub(crate) struct Consumed {
    paths: Vec<String>,
    /// Members of lists: the path of the list, a key, and the value of that key.
    picked: Vec<(String, String, String)>,
}

/// A part of a record that nothing reads.
#[derive(Debug)]
pub(crate) enum Unread<'r> {
    /// All that stands at a path.
    Value(Value<'r>),
    /// Some members of the list there.
    Items(Vec<Value<'r>>),
}

impl Consumed {
    /// What stands at one path.
    pub(crate) fn of(path: &str) -> Consumed {
        Consumed { paths: vec![path.to_owned()], picked: Vec::new() }
    }

    /// Notes what an expression read of a record.
    pub(crate) fn add(&mut self, read: Read<'_>, paths: &PathSet, row: &View<'_, '_>) {
        let (Read::Whole(slot) | Read::Inside(slot, _) | Read::Picked(slot, ..)) = read;
        let Some(path) = paths.path(slot) else {
            return;
        };
        match (read, row.get(slot)) {
            (Read::Inside(_, inner), Value::Object(_)) => self.paths.push(format!("{path}.{inner}")),
            (Read::Picked(_, key, wanted), Value::List(_)) => {
                self.picked.push((path.to_owned(), key.to_owned(), wanted.to_owned()));
            }
            // Nothing is picked from what is no list.
            (Read::Picked(..), Value::Object(_)) => {}
            // Of a text that holds JSON the record shows no part.
            _ => self.paths.push(path.to_owned()),
        }
    }

    fn has(&self, path: &str) -> bool {
        self.paths.iter().any(|known| known == path)
    }

    fn has_below(&self, path: &str) -> bool {
        let is_below = |known: &str| known.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        self.paths.iter().any(|known| is_below(known)) || self.picked.iter().any(|(known, ..)| is_below(known))
    }

    /// Whether an item of the list at a path is one that was picked.
    fn has_picked(&self, path: &str, item: &Value<'_>) -> bool {
        let Value::Object(object) = item else {
            return false;
        };
        self.picked.iter().any(|(list, key, wanted)| list == path && is_named(object, key, wanted))
    }
}

/// Calls `visit` with the keys and the value of every part of an object that was not read: as high up
/// as nothing of it was.
pub(crate) fn each_unread<'r>(object: &'r [u8], consumed: &Consumed, visit: &mut dyn FnMut(&[Cow<'r, str>], Unread<'r>)) {
    below(object, "", &mut Vec::new(), consumed, visit);
}

fn below<'r>(
    object: &'r [u8],
    prefix: &str,
    keys: &mut Vec<Cow<'r, str>>,
    consumed: &Consumed,
    visit: &mut dyn FnMut(&[Cow<'r, str>], Unread<'r>),
) {
    each_member(object, &mut |key, value| {
        let path = if prefix.is_empty() { key.to_string() } else { format!("{prefix}.{key}") };
        if consumed.has(&path) {
            return;
        }
        keys.push(key);
        match value {
            Value::Object(inner) if consumed.has_below(&path) => below(inner, &path, keys, consumed, visit),
            Value::List(list) if consumed.picked.iter().any(|(known, ..)| *known == path) => {
                let mut items = Vec::new();
                each_item(list, &mut |item| {
                    if !consumed.has_picked(&path, &item) {
                        items.push(item);
                    }
                });
                if !items.is_empty() {
                    visit(keys.as_slice(), Unread::Items(items));
                }
            }
            Value::Absent | Value::Null => {}
            value => visit(keys.as_slice(), Unread::Value(value)),
        }
        keys.pop();
    });
}
