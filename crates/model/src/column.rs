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

/// Where a row that has no text stands.
const ABSENT: (u32, u32) = (u32::MAX, u32::MAX);

/// Texts of rows, as ranges of one buffer: a text that repeats itself is held once, and rows behind the
/// last text cost nothing. A column holds less than 4 GiB of texts; batches are far smaller.
#[derive(Debug, Clone, Default)]
pub struct TextColumn {
    bytes: Vec<u8>,
    /// Where the text of each row begins and ends in `bytes`, up to the last row that has one.
    spans: Vec<(u32, u32)>,
    rows: usize,
}

impl TextColumn {
    /// Adds a row.
    pub fn push(&mut self, text: Option<&[u8]>) {
        let Some(text) = text else {
            self.rows += 1;
            return;
        };
        let last = self.spans.last().copied().filter(|span| self.slice(*span) == Some(text));
        let span = last.unwrap_or_else(|| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(text);
            span(start, self.bytes.len())
        });
        self.add(span);
    }

    /// Adds a row whose text stands in a buffer that [`TextColumn::adopt`] is given later; a text that
    /// does not stand there is copied.
    pub fn push_within(&mut self, buffer: &[u8], text: &[u8]) {
        let at = (text.as_ptr() as usize).wrapping_sub(buffer.as_ptr() as usize);
        if buffer.get(at..).is_some_and(|rest| rest.len() >= text.len()) {
            self.add(span(at, at + text.len()));
        } else {
            let start = buffer.len() + self.bytes.len();
            self.bytes.extend_from_slice(text);
            self.add(span(start, start + text.len()));
        }
    }

    /// Takes over the buffer that all rows were pushed within.
    pub fn adopt(&mut self, mut buffer: Vec<u8>) {
        buffer.append(&mut self.bytes);
        self.bytes = buffer;
    }

    fn add(&mut self, span: (u32, u32)) {
        self.spans.resize(self.rows, ABSENT);
        self.spans.push(span);
        self.rows += 1;
    }

    /// Adds the rows of another column behind its own.
    pub fn append(&mut self, other: &TextColumn) {
        if !other.spans.is_empty() {
            let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
            self.bytes.extend_from_slice(&other.bytes);
            self.spans.resize(self.rows, ABSENT);
            let moved = |&(from, until): &(u32, u32)| (from.saturating_add(start), until.saturating_add(start));
            self.spans.extend(other.spans.iter().map(moved));
        }
        self.rows += other.rows;
    }

    /// The text of a row.
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        self.slice(*self.spans.get(row)?)
    }

    /// All texts' bytes, or the adopted buffer with what was copied behind it.
    pub fn buffer(&self) -> &[u8] {
        &self.bytes
    }

    fn slice(&self, (from, until): (u32, u32)) -> Option<&[u8]> {
        self.bytes.get(usize::try_from(from).ok()?..usize::try_from(until).ok()?)
    }

    fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<(u32, u32)>()
    }
}

/// Whatever ranges hold them.
impl PartialEq for TextColumn {
    fn eq(&self, other: &TextColumn) -> bool {
        self.rows == other.rows && (0..self.rows).all(|row| self.get(row) == other.get(row))
    }
}

impl Eq for TextColumn {}

fn span(from: usize, until: usize) -> (u32, u32) {
    // Out of range it holds nothing: no buffer comes near.
    u32::try_from(from).ok().zip(u32::try_from(until).ok()).unwrap_or(ABSENT)
}

/// Numbers or flags of rows; rows behind the last value cost nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueColumn<T> {
    /// Up to the last row that has a value.
    values: Vec<Option<T>>,
    rows: usize,
}

impl<T> Default for ValueColumn<T> {
    fn default() -> ValueColumn<T> {
        ValueColumn { values: Vec::new(), rows: 0 }
    }
}

impl<T: Copy> ValueColumn<T> {
    /// Adds a row.
    pub fn push(&mut self, value: Option<T>) {
        if value.is_some() {
            self.values.resize(self.rows, None);
            self.values.push(value);
        }
        self.rows += 1;
    }

    /// Adds the rows of another column behind its own.
    pub fn append(&mut self, other: &ValueColumn<T>) {
        if !other.values.is_empty() {
            self.values.resize(self.rows, None);
            self.values.extend_from_slice(&other.values);
        }
        self.rows += other.rows;
    }

    /// The value of a row.
    pub fn get(&self, row: usize) -> Option<T> {
        self.values.get(row).copied().flatten()
    }

    fn held_bytes(&self) -> usize {
        self.values.capacity() * size_of::<Option<T>>()
    }
}

impl<T: Copy> FromIterator<Option<T>> for ValueColumn<T> {
    fn from_iter<I: IntoIterator<Item = Option<T>>>(values: I) -> ValueColumn<T> {
        let mut column = ValueColumn::default();
        values.into_iter().for_each(|value| column.push(value));
        column
    }
}

/// The values of one promoted column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnValues {
    /// Of a [`ColumnKind::Text`] column.
    Text(TextColumn),
    /// Of an [`ColumnKind::Integer`] or [`ColumnKind::TimeMs`] column.
    Integer(ValueColumn<i64>),
    /// Of a [`ColumnKind::Boolean`] column.
    Boolean(ValueColumn<bool>),
}

impl ColumnValues {
    /// No values yet.
    pub fn new(kind: ColumnKind) -> ColumnValues {
        match kind {
            ColumnKind::Text => ColumnValues::Text(TextColumn::default()),
            ColumnKind::Integer | ColumnKind::TimeMs => ColumnValues::Integer(ValueColumn::default()),
            ColumnKind::Boolean => ColumnValues::Boolean(ValueColumn::default()),
        }
    }

    /// Adds a row without a value.
    pub fn push_none(&mut self) {
        match self {
            ColumnValues::Text(column) => column.push(None),
            ColumnValues::Integer(column) => column.push(None),
            ColumnValues::Boolean(column) => column.push(None),
        }
    }

    fn held_bytes(&self) -> usize {
        match self {
            ColumnValues::Text(column) => column.held_bytes(),
            ColumnValues::Integer(column) => column.held_bytes(),
            ColumnValues::Boolean(column) => column.held_bytes(),
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
    /// What tables said of each when it was taken in: entries of `enrichments` as a list of JSON, each with the
    /// version of its enrichment.
    pub enrichments: TextColumn,
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
            (&mut self.enrichments, &other.enrichments),
            (&mut self.reasons, &other.reasons),
            (&mut self.raw, &other.raw),
            (&mut self.raw_binary, &other.raw_binary),
        ];
        texts.into_iter().for_each(|(to, from)| to.append(from));
        for (to, from) in self.columns.iter_mut().zip(&other.columns) {
            match (to, from) {
                (ColumnValues::Text(to), ColumnValues::Text(from)) => to.append(from),
                (ColumnValues::Integer(to), ColumnValues::Integer(from)) => to.append(from),
                (ColumnValues::Boolean(to), ColumnValues::Boolean(from)) => to.append(from),
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

    /// Bytes that it holds in memory.
    pub fn held_bytes(&self) -> usize {
        let texts = [&self.logs, &self.sources, &self.mappings, &self.enrichments, &self.reasons, &self.raw, &self.raw_binary];
        let own = self.ids.capacity() * size_of::<EventId>()
            + self.delivered.capacity() * size_of::<Option<Millis>>()
            + self.ingested.capacity() * size_of::<Millis>()
            + self.is_named.capacity();
        let columns: usize = self.columns.iter().map(ColumnValues::held_bytes).sum();
        own + columns + texts.into_iter().map(TextColumn::held_bytes).sum::<usize>()
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

    #[test]
    fn columns_behind_one_another_keep_every_row() {
        let of = |texts: &[Option<&str>]| {
            let mut column = TextColumn::default();
            texts.iter().for_each(|text| column.push(text.map(str::as_bytes)));
            column
        };
        let parts: [&[Option<&str>]; 5] =
            [&[None, None], &[Some("a"), Some("a"), None], &[], &[None], &[Some(""), Some("b"), Some("a")]];
        let mut column = TextColumn::default();
        parts.iter().for_each(|part| column.append(&of(part)));
        assert_eq!(column, of(&parts.concat()));
        let numbers = |texts: &[Option<&str>]| texts.iter().map(|text| text.map(str::len)).collect::<ValueColumn<usize>>();
        let mut column = ValueColumn::default();
        parts.iter().for_each(|part| column.append(&numbers(part)));
        assert_eq!(column, numbers(&parts.concat()));
        assert_eq!(column.get(2), Some(1));
    }

    #[test]
    fn records_are_ranges_of_the_body_they_came_in() {
        let body = b"{1}\n{22}\n".to_vec();
        let mut column = TextColumn::default();
        column.push_within(&body, &body[4..8]);
        column.push(None);
        column.push_within(&body, b"{made}");
        column.push_within(&body, &body[..3]);
        column.adopt(body);
        let texts: Vec<_> = (0..5).map(|row| column.get(row)).collect();
        assert_eq!(texts, [Some(b"{22}".as_slice()), None, Some(b"{made}"), Some(b"{1}"), None]);
        assert!(column.buffer().starts_with(b"{1}\n{22}\n"));
    }
}
