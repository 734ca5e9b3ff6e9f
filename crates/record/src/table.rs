//! Tables that sources export: which columns make a record, and the record that a row stands for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::json::{checked_end, each_item, each_member, write_text};
use crate::notation::{separate, write_nested};
use crate::value::Value;
use crate::walk::depth_max;

/// What the cells of a column hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellKind {
    /// Text.
    Text,
    /// JSON or row notation, with the record's spelling of members that the table spells otherwise.
    Nested(BTreeMap<String, String>),
}

/// One column of an export, and where its cells stand in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name in the header; case does not matter.
    pub name: String,
    /// Dotted path in the record.
    pub path: String,
    /// What its cells hold.
    pub kind: CellKind,
}

/// A table whose rows are records of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Columns by which a header is recognised.
    pub required: Vec<String>,
    /// The column whose cells hold the whole record as JSON.
    pub whole: Option<String>,
    /// Columns that are read; others are passed over.
    pub columns: Vec<Column>,
}

/// An export under one header, ready to read rows.
#[derive(Debug)]
pub struct Table<'e> {
    whole: Option<usize>,
    columns: Vec<Placed<'e>>,
}

/// A column that the header has: the number of its cell, and its path.
#[derive(Debug)]
struct Placed<'e> {
    cell: usize,
    path: Vec<&'e str>,
    kind: &'e CellKind,
}

impl Export {
    /// The table under a header, if the header is one of this export.
    pub fn table(&self, header: &[&str]) -> Option<Table<'_>> {
        let place = |name: &str| header.iter().position(|found| found.trim().eq_ignore_ascii_case(name));
        if self.required.is_empty() || self.required.iter().any(|name| place(name).is_none()) {
            return None;
        }
        let mut columns = Vec::new();
        for column in &self.columns {
            if let Some(cell) = place(&column.name) {
                columns.push(Placed { cell, path: column.path.split('.').collect(), kind: &column.kind });
            }
        }
        // Members of one object stand together, behind the column that holds the object whole.
        columns.sort_by(|left, right| left.path.cmp(&right.path));
        Some(Table { whole: self.whole.as_deref().and_then(place), columns })
    }

    /// The record that a row in JSON stands for: an object of cells, or a list of such objects.
    pub fn record_of(&self, row: &[u8]) -> Option<Vec<u8>> {
        let row = row.trim_ascii();
        if checked_end(row, 0, depth_max()) != Some(row.len()) {
            return None;
        }
        let (mut names, mut cells) = (Vec::new(), Vec::new());
        let mut note = |name: Cow<'_, str>, value: Value<'_>| {
            names.push(name.into_owned());
            cells.push(match value {
                Value::List(raw) | Value::Object(raw) => raw.to_vec(),
                scalar => scalar.text().unwrap_or_default().into_owned().into_bytes(),
            });
        };
        match crate::json::cell(row).value() {
            Value::Object(object) => each_member(object, &mut note),
            Value::List(list) => each_item(list, &mut |item| {
                if let Value::Object(object) = item {
                    each_member(object, &mut note);
                }
            }),
            _ => return None,
        }
        let header: Vec<&str> = names.iter().map(String::as_str).collect();
        let cells: Vec<&[u8]> = cells.iter().map(Vec::as_slice).collect();
        let mut record = Vec::new();
        self.table(&header)?.write(&cells, &mut record);
        Some(record)
    }
}

impl Table<'_> {
    /// Writes the record of one row as JSON. Cells that are empty or say `null` are left out.
    pub(crate) fn write(&self, cells: &[&[u8]], out: &mut Vec<u8>) {
        let cell = |number: usize| cells.get(number).copied().unwrap_or_default().trim_ascii();
        let whole = self.whole.map(cell).unwrap_or_default();
        if whole.first() == Some(&b'{') && checked_end(whole, 0, depth_max()) == Some(whole.len()) {
            return out.extend_from_slice(whole);
        }
        out.push(b'{');
        let mut open: Vec<&str> = Vec::new();
        let mut taken: Option<&[&str]> = None;
        for column in &self.columns {
            let text = cell(column.cell);
            let is_taken = taken.is_some_and(|taken| column.path.starts_with(taken));
            let Some((name, parents)) = column.path.split_last() else {
                continue;
            };
            if matches!(text, b"" | b"null") || is_taken {
                continue;
            }
            taken = Some(column.path.as_slice());
            let shared = open.iter().zip(parents).take_while(|(left, right)| left == right).count();
            out.extend(open.drain(shared..).map(|_| b'}'));
            for parent in parents.iter().skip(shared) {
                separate(b'{', out);
                write_text(parent.as_bytes(), out);
                out.extend_from_slice(b":{");
                open.push(parent);
            }
            separate(b'{', out);
            write_text(name.as_bytes(), out);
            out.push(b':');
            match column.kind {
                CellKind::Text => write_text(text, out),
                CellKind::Nested(spelling) => write_nested(text, spelling, out),
            }
        }
        out.extend(open.iter().map(|_| b'}'));
        out.push(b'}');
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{CellKind, Column, Export};
    use std::collections::BTreeMap;

    /// An export with a text, a nested object, members of that object, and a whole record.
    pub(crate) fn export() -> Export {
        let column = |name: &str, path: &str, kind: CellKind| Column { name: name.into(), path: path.into(), kind };
        let spelling = BTreeMap::from([("username".to_owned(), "userName".to_owned())]);
        Export {
            required: vec!["Event name".into()],
            whole: Some("json".into()),
            columns: vec![
                column("Event name", "name", CellKind::Text),
                column("Read-only", "readOnly", CellKind::Nested(BTreeMap::new())),
                column("User name", "user.userName", CellKind::Text),
                column("Key", "user.session.key", CellKind::Text),
                column("user", "user", CellKind::Nested(spelling)),
            ],
        }
    }

    #[track_caller]
    fn check(header: &[&str], cells: &[&str], expected: &str) {
        let export = export();
        let cells: Vec<&[u8]> = cells.iter().map(|cell| cell.as_bytes()).collect();
        let mut out = Vec::new();
        export.table(header).unwrap().write(&cells, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_row_becomes_its_record() {
        let header = ["User name", "event NAME", "Read-only", "Key", "other"];
        check(
            &header,
            &["da\"na\n", "Stop", "false", "K1", "x"],
            r#"{"name":"Stop","readOnly":false,"user":{"session":{"key":"K1"},"userName":"da\"na"}}"#,
        );
        check(&header, &["dana", "Stop", "", "null"], r#"{"name":"Stop","user":{"userName":"dana"}}"#);
        check(
            &["Event name", "user", "User name"],
            &["Stop", "{type=A, username=dana}", "x"],
            r#"{"name":"Stop","user":{"type":"A","userName":"dana"}}"#,
        );
        check(&["Event name", "json"], &["Stop", r#" {"whole": 1} "#], r#"{"whole": 1}"#);
        check(&["Event name", "json"], &["Stop", r#"{"whole": 1"#], r#"{"name":"Stop"}"#);
        assert!(export().table(&["Event names"]).is_none());
    }

    #[test]
    fn rows_in_json_are_read_alike() {
        let record = |row: &str| export().record_of(row.as_bytes()).map(|record| String::from_utf8(record).unwrap());
        let expected = Some(r#"{"name":"Stop","readOnly":true,"user":{"userName":"dana"}}"#.to_owned());
        assert_eq!(record(r#"{"event name":"Stop","read-only":true,"user":{"username":"dana"},"x":null}"#), expected);
        assert_eq!(record(r#"[{"Event name":"Stop"},{"Read-only":"true"},{"user":"{username=dana}"}]"#), expected);
        assert_eq!(record(r#"{"name":"Stop"}"#), None);
        assert_eq!(record(r#"{"event name":"Stop""#), None);
        assert_eq!(record("7"), None);
    }
}
