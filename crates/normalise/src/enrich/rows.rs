//! Rows of tables as people keep them: CSV, YAML, and lists inside JSON. What cannot be read costs its row.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::{Error, Visitor};
use vigie_model::{Millis, parse_instant};
use vigie_record::{Value, each_item};

use super::declare::TableSection;
use super::table::Cell;
use super::{CELL_BYTES_MAX, Give};
use crate::ContentError;

/// Rows with mistakes that are named; the others are counted.
const FAULTS_NAMED_MAX: usize = 20;
/// Bytes of one row.
const ROW_BYTES_MAX: usize = 64 * 1024;

/// One row that could be read.
#[derive(Debug)]
pub(super) struct Row {
    /// The line that it begins on; of JSON its number in the list.
    pub(super) line: usize,
    /// What it is found by: several in JSON, where a row has a list of them.
    pub(super) keys: Vec<String>,
    pub(super) cells: Box<[Option<Cell>]>,
    /// When it holds, in a table of windows.
    pub(super) window: Option<(Millis, Millis)>,
}

/// Rows that could not be read.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) named: Vec<ContentError>,
    pub(super) count: u64,
}

impl Faults {
    pub(super) fn add(&mut self, place: &str, unit: &str, line: usize, why: &str) {
        self.count += 1;
        if self.named.len() < FAULTS_NAMED_MAX {
            self.named.push(ContentError::new(place, format!("{unit} {line}: {why}; this row is left out")));
        }
    }
}

/// What is read, and by what.
pub(super) struct Reading<'r> {
    pub(super) section: &'r TableSection,
    pub(super) gives: &'r [Give],
    /// Whether rows hold from an instant until another.
    pub(super) is_timed: bool,
    /// The name of the file, for people.
    pub(super) place: &'r str,
}

/// Takes a row; an error ends the reading.
type Take<'t> = dyn FnMut(Row) -> Result<(), ContentError> + 't;

/// The values of a column in a row.
type Column<'c> = dyn Fn(&str) -> Vec<String> + 'c;

impl Reading<'_> {
    /// Reads every row of a file, by the ending of its name.
    ///
    /// # Errors
    /// When the whole file is wrong, or `take` says so.
    pub(super) fn read(&self, bytes: &[u8], faults: &mut Faults, take: &mut Take<'_>) -> Result<(), ContentError> {
        let text = std::str::from_utf8(bytes).map_err(|_| self.wrong("is no UTF-8 text: save it as UTF-8"))?;
        match self.section.file.rsplit_once('.').map(|(_, ending)| ending) {
            Some("csv" | "tsv") => self.csv(text, faults, take),
            Some("yaml" | "yml") => self.yaml(text, faults, take),
            Some("json") => self.json(text, faults, take),
            _ => Err(self.wrong("ends in none of .csv, .tsv, .yaml, .yml, .json, .mmdb")),
        }
    }

    fn wrong(&self, what: impl Into<String>) -> ContentError {
        ContentError::new(self.place, what)
    }

    /// The name that a column of the declaration has in this file; `a|b` is the first of these with a value.
    fn own<'n>(&'n self, column: &'n str) -> &'n str {
        self.section.columns.get(column).map_or(column, String::as_str)
    }

    /// The values of a column of the declaration in a row.
    fn values(&self, column: &str, get: &Column<'_>) -> Vec<String> {
        let values = |name: &str| get(name).into_iter().filter(|text| !text.is_empty()).collect::<Vec<String>>();
        self.own(column).split('|').map(values).find(|values| !values.is_empty()).unwrap_or_default()
    }

    fn csv(&self, text: &str, faults: &mut Faults, take: &mut Take<'_>) -> Result<(), ContentError> {
        let mut header: Option<Vec<String>> = None;
        let mut done = Ok(());
        vigie_record::each_row(text.as_bytes(), ROW_BYTES_MAX, &mut |line, row| {
            let Some(names) = &header else {
                let names: Vec<String> = row.unwrap_or_default().iter().map(|name| (*name).to_owned()).collect();
                done = self.check_columns(&|column| names.iter().any(|name| name == column), &names.join("`, `"));
                header = Some(names);
                return done.is_ok();
            };
            let row = row.map_err(str::to_owned).and_then(|cells| {
                if cells.len() != names.len() {
                    return Err(format!("has {} cells, and the header {}", cells.len(), names.len()));
                }
                let cell = |column: &str| names.iter().position(|name| name == column).and_then(|at| cells.get(at).copied());
                self.row(line, &|column| cell(column).map(str::to_owned).into_iter().collect())
            });
            match row {
                Ok(row) => done = take(row),
                Err(why) => faults.add(self.place, "line", line, &why),
            }
            done.is_ok()
        });
        if header.is_none() {
            return Err(self.wrong("is empty: write a header with the names of the columns, then the rows"));
        }
        done
    }

    /// Each item of the list at column 0 is read by itself, so that a mistake costs its item.
    fn yaml(&self, text: &str, faults: &mut Faults, take: &mut Take<'_>) -> Result<(), ContentError> {
        let mut seen = BTreeSet::new();
        for (line, item) in self.items(text)? {
            let parsed = match item.len() > ROW_BYTES_MAX {
                true => Err("is longer than the limit for one row".to_owned()),
                false => yaml_serde::from_str::<Vec<BTreeMap<String, Plain>>>(&item).map_err(|error| error.to_string()),
            };
            let row = parsed.and_then(|mut list| {
                let members = list.pop().unwrap_or_default();
                seen.extend(members.keys().cloned());
                self.row(line, &|column| members.get(column).and_then(|plain| plain.0.clone()).into_iter().collect())
            });
            match row {
                Ok(row) => take(row)?,
                Err(why) => faults.add(self.place, "line", line, &why),
            }
        }
        if seen.is_empty() {
            return Ok(());
        }
        let there: Vec<&str> = seen.iter().map(String::as_str).collect();
        self.check_columns(&|column| seen.contains(column), &there.join("`, `"))
    }

    /// The items of the list that a text of YAML is, each with its line.
    fn items(&self, text: &str) -> Result<Vec<(usize, String)>, ContentError> {
        let mut items: Vec<(usize, String)> = Vec::new();
        for (line, row) in (1..).zip(text.lines()) {
            if row.trim_start().starts_with('#') || row.trim().is_empty() || row.starts_with("---") {
                continue;
            }
            if row == "-" || row.starts_with("- ") {
                items.push((line, format!("{row}\n")));
            } else if let Some((_, item)) = items.last_mut().filter(|_| row.starts_with(' ')) {
                item.push_str(row);
                item.push('\n');
            } else {
                return Err(self.wrong(format!("line {line}: is no item of a list: write `- column: value`")));
            }
        }
        Ok(items)
    }

    fn json(&self, text: &str, faults: &mut Faults, take: &mut Take<'_>) -> Result<(), ContentError> {
        let whole = vigie_record::held(text).ok_or_else(|| self.wrong("is no JSON: download it again"))?;
        let list = match self.section.rows.as_str() {
            "" if whole.first() == Some(&b'[') => whole,
            path => match vigie_record::inside(whole, path) {
                Some(Value::List(list)) => list,
                _ => return Err(self.wrong(format!("has no list at `{path}`: is it the right file?"))),
            },
        };
        let (mut number, mut done) = (0usize, Ok(()));
        each_item(list, &mut |item| {
            number += 1;
            if done.is_err() {
                return;
            }
            let row = match item {
                Value::Object(object) => self.row(number, &|column| values_at(object, column)),
                _ => Err("is no object".to_owned()),
            };
            match row {
                Ok(row) => done = take(row),
                Err(why) => faults.add(self.place, "item", number, &why),
            }
        });
        done
    }

    /// A table lacks what it is found by, or all that it should give.
    fn check_columns(&self, has: &dyn Fn(&str) -> bool, there: &str) -> Result<(), ContentError> {
        let is_there = |column: &str| self.own(column).split('|').any(has);
        let lacks = |column: &str| {
            Err(self.wrong(format!("has no column `{column}`, by which its rows are found; its columns are `{there}`")))
        };
        let times = [self.section.from.as_str(), self.section.until.as_str()];
        let needed = times.into_iter().filter(|_| self.is_timed).chain(self.section.key());
        for column in needed {
            // Windows for all events need no key.
            let is_key_of_times = self.is_timed && self.section.key() == Some(column);
            if !is_there(column) && !is_key_of_times {
                return lacks(self.own(column));
            }
        }
        let given =
            |give: &Give| give.column.split('|').any(|column| self.section.fixed.contains_key(column) || is_there(column));
        if self.gives.iter().any(given) {
            return Ok(());
        }
        let wanted: Vec<&str> = self.gives.iter().map(|give| give.column.as_str()).collect();
        Err(self.wrong(format!("has none of the columns `{}`; its columns are `{there}`", wanted.join("`, `"))))
    }

    /// A row, by the values of its columns.
    fn row(&self, line: usize, get: &Column<'_>) -> Result<Row, String> {
        let one = |column: &str| self.values(column, get).into_iter().next();
        let mut keys: Vec<String> = self.section.key().map(|key| self.values(key, get)).unwrap_or_default();
        if let Some(long) = keys.iter().find(|key| key.len() > CELL_BYTES_MAX) {
            return Err(format!("its key has {} bytes, and may have {CELL_BYTES_MAX}", long.len()));
        }
        let instant = |column: &str| {
            let text = one(column).unwrap_or_default();
            let wrong = || format!("its `{column}` is `{text}`: write a time as 2026-11-12T01:52:00Z");
            parse_instant(&text).ok_or_else(wrong)
        };
        let window = match self.is_timed {
            true => Some((instant(&self.section.from)?, instant(&self.section.until)?)),
            false if keys.is_empty() => {
                return Err(format!("has nothing in `{}`", self.own(self.section.key().unwrap_or_default())));
            }
            false => None,
        };
        if window.is_some_and(|(from, until)| from >= until) {
            return Err("ends before it begins".to_owned());
        }
        if keys.is_empty() {
            keys.push(String::new());
        }
        let cells: Result<Vec<Option<Cell>>, String> = self.gives.iter().map(|give| self.cell(give, &one)).collect();
        Ok(Row { line, keys, cells: cells?.into_boxed_slice(), window })
    }

    fn cell(&self, give: &Give, one: &dyn Fn(&str) -> Option<String>) -> Result<Option<Cell>, String> {
        let value = |column: &str| self.section.fixed.get(column).cloned().or_else(|| one(column));
        let Some(text) = give.column.split('|').find_map(value) else {
            return Ok(None);
        };
        if text.len() > CELL_BYTES_MAX {
            return Err(format!("its `{}` has {} bytes, and may have {CELL_BYTES_MAX}", give.column, text.len()));
        }
        let wrong = || format!("its `{}` is `{text}`, which is no value of its type", give.column);
        Cell::Text(text.as_str().into()).of(give.kind).map(Some).ok_or_else(wrong)
    }
}

/// The scalars at a path of an object, as texts; lists are opened.
fn values_at(json: &[u8], path: &str) -> Vec<String> {
    let mut values = Vec::new();
    super::entry::raw_texts(json, path, &mut values);
    values
}

/// A scalar of YAML as a text; null is none.
struct Plain(Option<String>);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Plain, D::Error> {
        struct Scalars;
        impl Visitor<'_> for Scalars {
            type Value = Plain;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a text, a number, true or false")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Plain, E> {
                Ok(Plain(Some(text.trim().to_owned())))
            }

            fn visit_bool<E: Error>(self, flag: bool) -> Result<Plain, E> {
                Ok(Plain(Some(flag.to_string())))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Plain, E> {
                Ok(Plain(Some(number.to_string())))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Plain, E> {
                Ok(Plain(Some(number.to_string())))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Plain, E> {
                Ok(Plain(Some(number.to_string())))
            }

            fn visit_unit<E: Error>(self) -> Result<Plain, E> {
                Ok(Plain(None))
            }
        }
        from.deserialize_any(Scalars)
    }
}
