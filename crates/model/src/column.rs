//! Events as a struct of arrays: what a batch carries from the pipeline to the lake.

use serde::Deserialize;

use crate::{EventId, Millis};

/// The type of a promoted column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// UTF-8 text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// True or false.
    Boolean,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    TimeMs,
}

/// A promoted column, as `content/schema/columns.toml` names it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Column {
    /// Its name in SQL and in files.
    pub name: String,
    /// The OCSF path it holds, or `vigie:` and a word for what no OCSF path says.
    pub path: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ColumnKind,
    /// `bloom` for columns whose values name an entity.
    #[serde(default)]
    pub index: Option<String>,
    /// The number of the format that added it.
    pub since: u32,
}

/// Texts one behind another; `None` where a row has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextColumn {
    /// All texts, one behind another.
    pub bytes: Vec<u8>,
    /// Where each text ends in `bytes`.
    pub ends: Vec<usize>,
    /// Whether each row has a text.
    pub valid: Vec<bool>,
}

impl TextColumn {
    /// Adds a row.
    pub fn push(&mut self, text: Option<&[u8]>) {
        self.bytes.extend_from_slice(text.unwrap_or_default());
        self.ends.push(self.bytes.len());
        self.valid.push(text.is_some());
    }

    /// Adds the rows of another column behind its own.
    pub fn append(&mut self, other: &TextColumn) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| start + end));
        self.valid.extend_from_slice(&other.valid);
    }

    /// The text of a row.
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        let start = row.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        let text = self.bytes.get(start..*self.ends.get(row)?)?;
        self.valid.get(row).copied().unwrap_or(false).then_some(text)
    }
}

/// The values of one promoted column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnValues {
    /// Of a [`ColumnKind::Text`] column.
    Text(TextColumn),
    /// Of an [`ColumnKind::Integer`] or [`ColumnKind::TimeMs`] column.
    Integer(Vec<Option<i64>>),
    /// Of a [`ColumnKind::Boolean`] column.
    Boolean(Vec<Option<bool>>),
}

impl ColumnValues {
    /// No values yet.
    pub fn new(kind: ColumnKind) -> ColumnValues {
        match kind {
            ColumnKind::Text => ColumnValues::Text(TextColumn::default()),
            ColumnKind::Integer | ColumnKind::TimeMs => ColumnValues::Integer(Vec::new()),
            ColumnKind::Boolean => ColumnValues::Boolean(Vec::new()),
        }
    }

    /// Adds a row without a value.
    pub fn push_none(&mut self) {
        match self {
            ColumnValues::Text(column) => column.push(None),
            ColumnValues::Integer(values) => values.push(None),
            ColumnValues::Boolean(values) => values.push(None),
        }
    }
}

/// Events of one commit. All members have one entry a row; `columns` follow the list that the batch
/// was made for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventBatch {
    /// Ids.
    pub ids: Vec<EventId>,
    /// When each was delivered to where Vigie took it from, where that is known.
    pub delivered: Vec<Option<Millis>>,
    /// When Vigie took each in.
    pub ingested: Vec<Millis>,
    /// The log type of each.
    pub logs: TextColumn,
    /// The source that each came by.
    pub sources: TextColumn,
    /// The version of the mapping that made each; none for quarantined records.
    pub mappings: TextColumn,
    /// Why a record is in quarantine (its `class_uid` is 0), else none.
    pub reasons: TextColumn,
    /// Promoted columns.
    pub columns: Vec<ColumnValues>,
    /// Records, byte for byte. One that is no UTF-8 stands in `raw_binary` instead.
    pub raw: TextColumn,
    /// Records that are no UTF-8.
    pub raw_binary: TextColumn,
    /// Whether an equal event is a duplicate: false for records that nothing names.
    pub is_named: Vec<bool>,
}

impl EventBatch {
    /// An empty batch for these columns.
    pub fn new(columns: &[Column]) -> EventBatch {
        EventBatch { columns: columns.iter().map(|column| ColumnValues::new(column.kind)).collect(), ..EventBatch::default() }
    }

    /// Adds the rows of another batch behind its own; both were made for the same columns.
    pub fn append(&mut self, other: &EventBatch) {
        self.ids.extend_from_slice(&other.ids);
        self.delivered.extend_from_slice(&other.delivered);
        self.ingested.extend_from_slice(&other.ingested);
        self.is_named.extend_from_slice(&other.is_named);
        let texts = [
            (&mut self.logs, &other.logs),
            (&mut self.sources, &other.sources),
            (&mut self.mappings, &other.mappings),
            (&mut self.reasons, &other.reasons),
            (&mut self.raw, &other.raw),
            (&mut self.raw_binary, &other.raw_binary),
        ];
        texts.into_iter().for_each(|(to, from)| to.append(from));
        for (to, from) in self.columns.iter_mut().zip(&other.columns) {
            match (to, from) {
                (ColumnValues::Text(to), ColumnValues::Text(from)) => to.append(from),
                (ColumnValues::Integer(to), ColumnValues::Integer(from)) => to.extend_from_slice(from),
                (ColumnValues::Boolean(to), ColumnValues::Boolean(from)) => to.extend_from_slice(from),
                (to, _) => (0..other.len()).for_each(|_| to.push_none()),
            }
        }
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Bytes of its records.
    pub fn raw_bytes(&self) -> usize {
        self.raw.bytes.len() + self.raw_binary.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_absent_and_empty_apart() {
        let mut column = TextColumn::default();
        for text in [Some("a".as_bytes()), None, Some(b""), Some(b"bc")] {
            column.push(text);
        }
        assert_eq!(column.get(0), Some(b"a".as_slice()));
        assert_eq!(column.get(1), None);
        assert_eq!(column.get(2), Some(b"".as_slice()));
        assert_eq!(column.get(3), Some(b"bc".as_slice()));
        assert_eq!(column.get(4), None);
    }
}
