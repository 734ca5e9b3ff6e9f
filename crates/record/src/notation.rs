//! Nested values of a table's cell, written as JSON: JSON itself, or the notation of SQL engines.
//!
//! Presto, Trino and Athena print a row or a map as `{name=value, ...}` and an array as
//! `[value, ...]`, without quotes. The text does not always say where a value ends; here it ends
//! before `, name=`, or at the first bracket that closes. What cannot be read so stays one text.
//! Source: Trino documentation, "Data types", and the results of such queries.

use std::collections::BTreeMap;

use crate::json::{cell, checked_end, each_item, each_member, write_text};
use crate::value::Value;
use crate::walk::depth_max;

/// Deepest nesting of the notation; JSON inside it counts by itself.
const DEPTH_MAX: usize = 16;
/// Longest name of a member.
const NAME_BYTES_MAX: usize = 128;

/// Writes a cell; `spelling` gives the record's spelling of a member's name where the table has another.
pub(crate) fn write_nested(cell: &[u8], spelling: &BTreeMap<String, String>, out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(cell.trim_ascii());
    let notation = Notation { text: text.as_bytes(), spelling };
    let start = out.len();
    if checked_end(notation.text, 0, depth_max()) == Some(text.len()) {
        notation.json(notation.text, out);
    } else if notation.container(0, DEPTH_MAX, out) != Some(text.len()) {
        out.truncate(start);
        write_text(notation.text, out);
    }
}

struct Notation<'a> {
    text: &'a [u8],
    spelling: &'a BTreeMap<String, String>,
}

impl Notation<'_> {
    fn name(&self, name: &str, out: &mut Vec<u8>) {
        write_text(self.spelling.get(name).map_or(name, String::as_str).as_bytes(), out);
        out.push(b':');
    }

    /// Well-formed JSON: as it is, or with its members spelt otherwise.
    fn json(&self, raw: &[u8], out: &mut Vec<u8>) {
        if self.spelling.is_empty() {
            return out.extend_from_slice(raw);
        }
        match cell(raw).value() {
            value @ (Value::List(_) | Value::Object(_)) => self.json_value(value, out),
            _ => out.extend_from_slice(raw),
        }
    }

    fn json_value(&self, value: Value<'_>, out: &mut Vec<u8>) {
        match value {
            Value::Object(object) => {
                out.push(b'{');
                each_member(object, &mut |name, member| {
                    separate(b'{', out);
                    self.name(&name, out);
                    self.json_value(member, out);
                });
                out.push(b'}');
            }
            Value::List(list) => {
                out.push(b'[');
                each_item(list, &mut |item| {
                    separate(b'[', out);
                    self.json_value(item, out);
                });
                out.push(b']');
            }
            Value::Text(text) => write_text(text.as_bytes(), out),
            scalar => out.extend_from_slice(scalar.text().as_deref().unwrap_or("null").as_bytes()),
        }
    }

    /// Writes the row, map or array that opens at `at`, and gives its end. Members that are null or
    /// empty are left out.
    fn container(&self, mut at: usize, depth: usize, out: &mut Vec<u8>) -> Option<usize> {
        let depth = depth.checked_sub(1)?;
        let (open, close) = match *self.text.get(at)? {
            b'{' => (b'{', b'}'),
            b'[' => (b'[', b']'),
            _ => return None,
        };
        out.push(open);
        at += 1;
        if *self.text.get(at)? == close {
            out.push(close);
            return Some(at + 1);
        }
        loop {
            let before = out.len();
            separate(open, out);
            if open == b'{' {
                let name_end = self.name_end(at)?;
                self.name(std::str::from_utf8(self.text.get(at..name_end)?).ok()?, out);
                at = name_end + 1;
            }
            let end = self.value(at, close, depth, out)?;
            if matches!(self.text.get(at..end)?, b"" | b"null") {
                out.truncate(before);
            }
            at = end;
            match *self.text.get(at)? {
                found if found == close => {
                    out.push(close);
                    return Some(at + 1);
                }
                b',' if self.text.get(at + 1) == Some(&b' ') => at += 2,
                _ => return None,
            }
        }
    }

    /// Writes the value at `at` of a container that ends with `close`, and gives its end.
    fn value(&self, at: usize, close: u8, depth: usize, out: &mut Vec<u8>) -> Option<usize> {
        if !matches!(self.text.get(at)?, b'{' | b'[') {
            let end = self.scalar_end(at, close)?;
            write_text(self.text.get(at..end)?, out);
            return Some(end);
        }
        match checked_end(self.text, at, depth_max()) {
            Some(end) => {
                self.json(self.text.get(at..end)?, out);
                Some(end)
            }
            None => self.container(at, depth, out),
        }
    }

    fn scalar_end(&self, mut at: usize, close: u8) -> Option<usize> {
        loop {
            let byte = *self.text.get(at)?;
            let is_comma = byte == b',' && self.text.get(at + 1) == Some(&b' ');
            if byte == close || (is_comma && (close == b']' || self.name_end(at + 2).is_some())) {
                return Some(at);
            }
            at += 1;
        }
    }

    /// The index of the `=` behind the name that starts at `at`.
    fn name_end(&self, at: usize) -> Option<usize> {
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.:/$@".contains(byte);
        let length = self.text.get(at..)?.iter().take(NAME_BYTES_MAX).take_while(|&byte| is_name(byte)).count();
        (length > 0 && self.text.get(at + length) == Some(&b'=')).then_some(at + length)
    }
}

/// Writes the comma before a member, unless it is the first behind `open`.
pub(crate) fn separate(open: u8, out: &mut Vec<u8>) {
    if out.last() != Some(&open) {
        out.push(b',');
    }
}

#[cfg(test)]
mod tests {
    use super::write_nested;
    use std::collections::BTreeMap;

    #[track_caller]
    fn check(cell: &str, expected: &str) {
        let spelling = BTreeMap::from([("username".to_owned(), "userName".to_owned())]);
        let mut out = Vec::new();
        write_nested(cell.as_bytes(), &spelling, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{cell}");
    }

    #[test]
    fn nested_cells_become_json() {
        check(
            "{type=IAMUser, username=dana, accesskeyid=, invokedby=null, session={mfa=false, at=2026-11-12 02:09:00.000}}",
            r#"{"type":"IAMUser","userName":"dana","session":{"mfa":"false","at":"2026-11-12 02:09:00.000"}}"#,
        );
        check("[{arn=a:b, type=c}, {arn=d}]", r#"[{"arn":"a:b","type":"c"},{"arn":"d"}]"#);
        check("{a=one, two, b=k=v, c={}}", r#"{"a":"one, two","b":"k=v","c":{}}"#);
        check(r#"{policy={"username": "x, y=z"}, names=[p, q]}"#, r#"{"policy":{"userName":"x, y=z"},"names":["p","q"]}"#);
        check(r#" {"username": "dana", "n": [1, true, null]} "#, r#"{"userName":"dana","n":[1,true,null]}"#);
        check("false", "false");
        check("[]", "[]");
    }

    #[test]
    fn what_cannot_be_read_stays_a_text() {
        check("{a=1", r#""{a=1""#);
        check("{a=1} and more", r#""{a=1} and more""#);
        check("{\"a\":1]", r#""{\"a\":1]""#);
        check("{\"a\":1},\"b\":{}", r#""{\"a\":1},\"b\":{}""#);
        check("plain", r#""plain""#);
        check(&format!("{}{}", "{a=".repeat(99), "}".repeat(99)), &format!("\"{}{}\"", "{a=".repeat(99), "}".repeat(99)));
    }
}
