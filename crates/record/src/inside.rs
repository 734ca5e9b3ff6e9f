//! What stands inside JSON that one value is: an object or a list of a record, or a text that holds one.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::json::{Items, cell, checked_end, each_item, each_member, items, members, unescape, write_text};
use crate::value::Value;
use crate::walk::depth_max;

/// The JSON of the object or the list that a text holds; none for other text (RFC 8259).
pub fn held(text: &str) -> Option<&[u8]> {
    let json = text.trim_ascii().as_bytes();
    let is_container = matches!(json.first(), Some(b'{' | b'['));
    (is_container && checked_end(json, 0, depth_max()) == Some(json.len())).then_some(json)
}

/// The first value at a dotted path inside an object or a list, given as JSON. The path goes through
/// lists, and a key may hold dots itself. Null is no value.
pub fn inside<'t>(json: &'t [u8], path: &str) -> Option<Value<'t>> {
    below(json, path, depth_max())
}

fn below<'t>(json: &'t [u8], path: &str, depth: usize) -> Option<Value<'t>> {
    let depth = depth.checked_sub(1)?;
    match json.first()? {
        b'{' => members(json).find_map(|(key, raw)| member(key, raw, path, depth)),
        b'[' => items(json).filter(|item| matches!(item.first(), Some(b'{' | b'['))).find_map(|item| below(item, path, depth)),
        _ => None,
    }
}

fn member<'t>(key: &[u8], raw: &'t [u8], path: &str, depth: usize) -> Option<Value<'t>> {
    let rest = if key.contains(&b'\\') {
        path.strip_prefix(&*unescape(std::str::from_utf8(key).ok()?))?
    } else if path.as_bytes().starts_with(key) {
        path.get(key.len()..)?
    } else {
        return None;
    };
    if rest.is_empty() {
        return Some(cell(raw).value()).filter(|value| !value.is_none());
    }
    match raw.first() {
        Some(b'{' | b'[') => below(raw, rest.strip_prefix('.')?, depth),
        _ => None,
    }
}

/// The objects of a list that were looked through for texts at one key, as far as that was needed.
#[derive(Debug, Clone)]
pub struct NamedObjects<'r> {
    rest: Items<'r>,
    known: Vec<(Cow<'r, str>, &'r [u8])>,
}

impl<'r> NamedObjects<'r> {
    /// Those of a list, given as JSON; none of what is no list.
    pub fn new(list: &'r [u8]) -> NamedObjects<'r> {
        NamedObjects { rest: items(if list.first() == Some(&b'[') { list } else { b"[]" }), known: Vec::new() }
    }

    /// The first value that `find` has for an object whose text at the key is a wanted one. The key is the same
    /// in every call.
    pub fn find<T>(&mut self, key: &str, is_wanted: impl Fn(&str) -> bool, find: impl Fn(&'r [u8]) -> Option<T>) -> Option<T> {
        let found = self.known.iter().filter(|(name, _)| is_wanted(name)).find_map(|(_, object)| find(object));
        if found.is_some() {
            return found;
        }
        for object in self.rest.by_ref().filter(|item| item.first() == Some(&b'{')) {
            let Some(name) = inside(object, key).and_then(scalar_text) else {
                continue;
            };
            let found = if is_wanted(&name) { find(object) } else { None };
            self.known.push((name, object));
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

fn scalar_text(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Value::Text(text) => Some(text),
        Value::Object(_) => None,
        value => value.text().map(|text| Cow::Owned(text.into_owned())),
    }
}

/// The same value held by itself, for one that stands in a text which is given up. What such a text
/// writes loosely is written anew, so that the value can stand in a document.
pub fn made(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Absent | Value::Null => Value::Absent,
        Value::Bool(flag) => Value::Bool(flag),
        Value::Int(number) => Value::Int(number),
        Value::Text(text) => Value::Text(text.into_owned().into()),
        Value::Number(text) if !is_number(text) => Value::Text(text.to_owned().into()),
        Value::Json(json) => Value::Json(json),
        value => {
            let mut out = Vec::new();
            write(&value, &mut out);
            Value::Json(out.into())
        }
    }
}

/// The objects of a list as the members of one: each by the text that it has at one key, with the first of
/// some others that it has. Of those of one name the first; none when there is no member at all.
pub fn paired(list: &[u8], name: &str, values: &[&str]) -> Option<Value<'static>> {
    let (mut out, mut known, mut before) = (Vec::new(), BTreeSet::new(), b'{');
    each_item(list, &mut |item| {
        let Value::Object(object) = item else {
            return;
        };
        let (Some(name), Some(value)) = (inside(object, name), values.iter().find_map(|value| inside(object, value))) else {
            return;
        };
        if let Some(name) = name.text().filter(|name| !name.is_empty())
            && known.insert(name.to_string())
        {
            out.push(std::mem::replace(&mut before, b','));
            write_text(name.as_bytes(), &mut out);
            out.push(b':');
            write(&value, &mut out);
        }
    });
    out.push(b'}');
    (before == b',').then(|| Value::Json(out.into()))
}

/// Writes a value as JSON. No deeper than what [`held`] lets in.
pub(crate) fn write(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Absent | Value::Null => out.extend_from_slice(b"null"),
        Value::Text(text) => write_text(text.as_bytes(), out),
        Value::Number(text) if !is_number(text) => write_text(text.as_bytes(), out),
        Value::Bool(_) | Value::Int(_) | Value::Number(_) => {
            out.extend_from_slice(value.text().unwrap_or_default().as_bytes());
        }
        Value::Json(json) => out.extend_from_slice(json),
        Value::List(list) => {
            let mut before = b'[';
            each_item(list, &mut |item| {
                out.push(std::mem::replace(&mut before, b','));
                write(&item, out);
            });
            close(before, b'[', b']', out);
        }
        Value::Object(object) => {
            let mut before = b'{';
            each_member(object, &mut |key, member| {
                out.push(std::mem::replace(&mut before, b','));
                write_text(key.as_bytes(), out);
                out.push(b':');
                write(&member, out);
            });
            close(before, b'{', b'}', out);
        }
    }
}

/// Closes a container; one without members was not opened yet.
fn close(before: u8, open: u8, end: u8, out: &mut Vec<u8>) {
    if before == open {
        out.push(open);
    }
    out.push(end);
}

/// Whether a text is a number of JSON (RFC 8259, section 6).
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(head, tail)| (head, Some(tail)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(head, tail)| (head, Some(tail)));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = is_digits(whole) && (whole == "0" || !whole.starts_with('0'));
    let is_exponent = exponent.is_none_or(|text| is_digits(text.strip_prefix(['+', '-']).unwrap_or(text)));
    is_whole && fraction.is_none_or(is_digits) && is_exponent
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands at a path of the JSON that a text holds, as JSON; `-` where nothing does.
    #[track_caller]
    fn check(text: &str, path: &str, expected: &str) {
        let found = held(text).and_then(|json| inside(json, path)).map_or(Value::Absent, made);
        let mut out = Vec::new();
        write(&found, &mut out);
        let shown = if found == Value::Absent { "-".to_owned() } else { String::from_utf8(out).unwrap() };
        assert_eq!(shown, expected, "{path} of {text}");
    }

    #[test]
    fn a_text_that_holds_json_is_looked_into() {
        let text = r#" { "a" : { "b.c" : 7, "d": [ {"e": null}, {"e": "x\u00e9\n"}, 3 ] }, "f": 1.50, "g": [], "h": {} } "#;
        for (path, expected) in [
            ("a.b.c", "7"),
            ("a.d.e", "\"x\u{e9}\\n\""),
            ("a.d", "[{\"e\":null},{\"e\":\"x\u{e9}\\n\"},3]"),
            ("f", "1.50"),
            ("g", "[]"),
            ("h", "{}"),
            ("a.d.e.x", "-"),
            ("a.b", "-"),
            ("", "-"),
            ("z", "-"),
        ] {
            check(text, path, expected);
        }
        check("[[{\"a\":true}]]", "a", "true");
        check("{\"a\":1,\"a\":2}", "a", "1");
    }

    #[test]
    fn what_is_written_loosely_is_written_anew() {
        check("{\"a\":[1-2, 1.2.3, -0.5e+3, 1., .5]}", "a", "[\"1-2\",\"1.2.3\",-0.5e+3,\"1.\",\".5\"]");
        check("{\"a\":1-2}", "a", "\"1-2\"");
        check("{\"a\":[\"\u{1}\\x\"]}", "a", "[\"\\u0001x\"]");
    }

    #[test]
    fn other_text_holds_nothing() {
        for text in ["", "12", "true", "\"a\"", "{", "{\"a\":1} x", "{\"a\":}", "[1,]", "hello {}"] {
            assert_eq!(held(text), None, "{text}");
        }
        let deep = format!("{}{}", "[".repeat(depth_max() + 1), "]".repeat(depth_max() + 1));
        assert_eq!(held(&deep), None);
    }
}
