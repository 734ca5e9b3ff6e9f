//! `enrichment.toml`: what an enrichment reads, the files of its tables, and what it gives.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry as Place;
use serde::Deserialize;
use vigie_model::{EventId, Millis};

use super::mmdb::Mmdb;
use super::ranges::{Network, Ranges};
use super::rows::{Faults, Reading, Row};
use super::table::{Cell, Cells, Keys, Matching, Table, Window, Windows};
use super::{CELL_BYTES_MAX, DATA, Enrichment, Give, GiveKind, MMDB_BYTES_MAX, TABLE_BYTES_MAX, TABLE_ROWS_MAX, Target};
use crate::ContentError;
use crate::files::FORMAT;

/// Files of tables that one enrichment may name.
const FILES_MAX: usize = 64;

/// The kind of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// A database of networks.
    Mmdb,
    /// Networks in rows.
    Ranges,
    /// Keys in rows.
    Table,
    /// Spans of time in rows.
    Windows,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclarationFile {
    format: u32,
    title: String,
    kind: Kind,
    #[serde(default)]
    reads: Vec<String>,
    #[serde(default, rename = "match")]
    matching: Matching,
    /// The `type` of its entries.
    #[serde(default, rename = "type")]
    category: Option<String>,
    table: Vec<TableSection>,
    gives: BTreeMap<String, GiveSection>,
}

/// One file of rows, and how it is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableSection {
    pub(super) file: String,
    /// The column by which rows are found.
    #[serde(default)]
    key: Option<String>,
    /// Where a file of JSON has the list of rows; empty when it is the list.
    #[serde(default)]
    pub(super) rows: String,
    #[serde(default = "from")]
    pub(super) from: String,
    #[serde(default = "until")]
    pub(super) until: String,
    /// What columns are called in this file, where that is another name.
    #[serde(default)]
    pub(super) columns: BTreeMap<String, String>,
    /// Values that every row has.
    #[serde(default)]
    pub(super) fixed: BTreeMap<String, String>,
    #[serde(default)]
    repeats: Repeats,
}

fn from() -> String {
    "from".to_owned()
}

fn until() -> String {
    "until".to_owned()
}

impl TableSection {
    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

/// What two rows of one key are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Repeats {
    #[default]
    Error,
    /// One row, whose texts are those of both.
    Join,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum GiveSection {
    Column(String),
    Typed {
        column: String,
        #[serde(rename = "type")]
        kind: GiveKind,
    },
}

/// An enrichment without its tables.
#[derive(Debug)]
pub struct Declaration {
    name: String,
    title: String,
    kind: Kind,
    reads: Vec<String>,
    matching: Matching,
    category: String,
    sections: Vec<TableSection>,
    gives: Vec<Give>,
    text: String,
}

/// The bytes of one file of a declaration.
#[derive(Debug)]
pub struct TableFile {
    /// Its name, as the declaration has it.
    pub name: String,
    /// Where it lies, for people.
    pub place: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// An enrichment with its tables, and the rows that are not in them.
#[derive(Debug)]
pub struct Filled {
    /// The enrichment.
    pub enrichment: Enrichment,
    /// Why rows were left out: the first of them.
    pub faults: Vec<ContentError>,
    /// How many rows were left out.
    pub left_out: u64,
}

impl Declaration {
    /// Reads a declaration. `name` is that of its folder, `place` the file for people.
    ///
    /// # Errors
    /// The first mistake.
    pub fn parse(name: &str, place: &str, text: &str) -> Result<Declaration, ContentError> {
        let wrong = |what: String| ContentError::new(place, what);
        let file: DeclarationFile = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if file.format != FORMAT {
            return Err(wrong(format!("has format {}; this version reads format {FORMAT}", file.format)));
        }
        let is_timed = file.kind == Kind::Windows;
        if file.reads.is_empty() && !is_timed {
            return Err(wrong("reads nothing: write the paths of OCSF that it looks up under `reads`".to_owned()));
        }
        if is_timed && file.reads.len() > 1 {
            return Err(wrong("reads several paths: windows have one key at most".to_owned()));
        }
        if file.table.is_empty() || file.table.len() > FILES_MAX {
            return Err(wrong(format!("names {} files of tables: one to {FILES_MAX} may be", file.table.len())));
        }
        for section in &file.table {
            let is_mmdb = section.file.ends_with(".mmdb");
            if is_mmdb != (file.kind == Kind::Mmdb) {
                return Err(wrong(format!(
                    "`{}` is of another kind: files of kind `mmdb` end in .mmdb, others do not",
                    section.file
                )));
            }
            if section.file.contains(['/', '\\']) {
                return Err(wrong(format!(
                    "`{}` is a path: write the name of a file, which lies beside the tables",
                    section.file
                )));
            }
            if section.key.is_none() && matches!(file.kind, Kind::Ranges | Kind::Table) {
                return Err(wrong(format!("`{}` has no `key`: write the column by which its rows are found", section.file)));
            }
        }
        if file.kind == Kind::Mmdb && file.table.len() > 1 {
            return Err(wrong("names several databases: make an enrichment of each".to_owned()));
        }
        let gives: Result<Vec<Give>, String> = file.gives.into_iter().map(|(to, section)| give(&to, section)).collect();
        let gives = gives.map_err(wrong)?;
        if gives.is_empty() {
            return Err(wrong("gives nothing: write a path of OCSF and a column under `[gives]`".to_owned()));
        }
        Ok(Declaration {
            name: name.to_owned(),
            title: file.title,
            kind: file.kind,
            reads: file.reads,
            matching: file.matching,
            category: file.category.unwrap_or_else(|| name.to_owned()),
            sections: file.table,
            gives,
            text: text.to_owned(),
        })
    }

    /// The name: that of its folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The files of its tables. Those that are there are read, all of them.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().map(|section| section.file.as_str())
    }

    /// Bytes that one of its files may have.
    pub fn bytes_max(&self) -> u64 {
        if self.kind == Kind::Mmdb { MMDB_BYTES_MAX } else { TABLE_BYTES_MAX }
    }

    /// The paths of an event that it may change, apart from `enrichments`.
    pub fn paths(&self) -> Vec<String> {
        let reads = if self.reads.is_empty() { vec![String::new()] } else { self.reads.clone() };
        let homes = self.gives.iter().filter(|give| !matches!(give.to, Target::Data(_)));
        homes.flat_map(|give| reads.iter().map(|read| give.to.key(read))).collect()
    }

    /// Fills it with its tables.
    ///
    /// # Errors
    /// Why no table can be made of the files.
    pub fn fill(&self, files: Vec<TableFile>) -> Result<Filled, ContentError> {
        self.fill_as(&self.sections, self.kind, files)
    }

    /// Fills it with the rows of a test, a table in CSV with the columns of the declaration. One that stands
    /// for a database of networks has them in a column `network`.
    ///
    /// # Errors
    /// Why no table can be made of the file.
    pub fn fill_fixture(&self, file: TableFile) -> Result<Filled, ContentError> {
        let key = self
            .sections
            .first()
            .and_then(|section| section.key.clone())
            .or_else(|| (self.kind == Kind::Mmdb).then(|| "network".to_owned()));
        let section = TableSection {
            file: file.name.clone(),
            key,
            rows: String::new(),
            from: from(),
            until: until(),
            columns: BTreeMap::new(),
            fixed: BTreeMap::new(),
            repeats: Repeats::Error,
        };
        let kind = if self.kind == Kind::Mmdb { Kind::Ranges } else { self.kind };
        self.fill_as(&[section], kind, vec![file])
    }

    fn fill_as(&self, sections: &[TableSection], kind: Kind, files: Vec<TableFile>) -> Result<Filled, ContentError> {
        let hashes: Vec<[u8; 8]> = files.iter().map(|file| EventId::name_hash(&[file.bytes.as_slice()]).to_be_bytes()).collect();
        let parts = [self.text.as_bytes()].into_iter().chain(hashes.iter().map(<[u8; 8]>::as_slice));
        let version = format!("{:016x}", EventId::name_hash(&parts.collect::<Vec<&[u8]>>()));
        let mut faults = Faults::default();
        let (table, rows, built) = match kind {
            Kind::Mmdb => self.database(files)?,
            kind => {
                let (table, rows) = self.table(sections, kind, &files, &mut faults)?;
                (table, rows, None)
            }
        };
        let enrichment = Enrichment {
            name: self.name.clone(),
            title: self.title.clone(),
            version,
            category: self.category.clone(),
            reads: self.reads.clone(),
            gives: self.gives.clone(),
            table,
            rows,
            built,
        };
        Ok(Filled { enrichment, faults: faults.named, left_out: faults.count })
    }

    fn database(&self, mut files: Vec<TableFile>) -> Result<(Table, u64, Option<Millis>), ContentError> {
        let file = files.pop().ok_or_else(|| ContentError::new(&self.name, "has no database"))?;
        let database = Mmdb::new(file.bytes, &self.gives).map_err(|why| ContentError::new(&file.place, why))?;
        let (nodes, built) = database.size();
        let built = i64::try_from(built).ok().and_then(|seconds| seconds.checked_mul(1000));
        Ok((Table::Mmdb(Box::new(database)), nodes, built))
    }

    fn table(
        &self,
        sections: &[TableSection],
        kind: Kind,
        files: &[TableFile],
        faults: &mut Faults,
    ) -> Result<(Table, u64), ContentError> {
        let mut gathered = Gathered::default();
        let is_timed = kind == Kind::Windows;
        for (number, file) in files.iter().enumerate() {
            // A file may hold several lists, each with its section.
            for section in sections.iter().filter(|section| section.file == file.name) {
                let reading = Reading { section, gives: &self.gives, is_timed, place: &file.place };
                // A key that cannot be read costs its row, and is told when all rows are read.
                let mut strange = Vec::new();
                reading.read(&file.bytes, faults, &mut |row| {
                    let line = row.line;
                    for key in self.keys(kind, row) {
                        match key {
                            Ok((key, cells)) => gathered.add(key, cells, (number, line), section.repeats, files)?,
                            Err(why) => strange.push((line, why)),
                        }
                    }
                    Ok(())
                })?;
                let unit = if file.name.ends_with(".json") { "item" } else { "line" };
                strange.iter().for_each(|(line, why)| faults.add(&file.place, unit, *line, why));
            }
        }
        if let (true, Some(first)) = (gathered.rows.is_empty(), faults.named.first()) {
            let what = format!("no row can be read; the first: {}", first.what.replace("; this row is left out", ""));
            return Err(ContentError::new(&first.file, what));
        }
        let count = gathered.rows.len() as u64;
        Ok((gathered.table(kind, self.matching), count))
    }

    /// What a row is found by, each with its cells.
    fn keys(&self, kind: Kind, row: Row) -> Vec<Result<(Key, Box<Cells>), String>> {
        let Row { keys, cells, window, .. } = row;
        let fold = self.matching == Matching::IgnoreCase;
        let key = |text: String| match (kind, window) {
            (Kind::Ranges, _) => Network::parse(&text).map(Key::Network),
            (Kind::Windows, Some((from, until))) => {
                let is_all = self.reads.is_empty() || text == "*";
                Ok(Key::Window(if is_all { "".into() } else { text.into() }, from, until))
            }
            _ if fold => Ok(Key::Text(text.to_lowercase().into())),
            _ => Ok(Key::Text(text.into())),
        };
        keys.into_iter().map(|text| key(text).map(|key| (key, cells.clone()))).collect()
    }
}

fn give(to: &str, section: GiveSection) -> Result<Give, String> {
    let (column, kind) = match section {
        GiveSection::Column(column) => (column, GiveKind::Text),
        GiveSection::Typed { column, kind } => (column, kind),
    };
    let is_path = |path: &str| !path.is_empty() && path.split('.').all(|part| !part.is_empty());
    let to = match (to.strip_prefix(DATA), to.strip_prefix('.')) {
        (Some(name), _) if !name.is_empty() && !name.contains('.') && name != "version" => Target::Data(name.to_owned()),
        (None, Some(rest)) if is_path(rest) => Target::Beside(rest.to_owned()),
        (None, None) if to.contains('.') && is_path(to) && !to.starts_with("enrichments.") => Target::Path(to.to_owned()),
        _ => {
            return Err(format!(
                "`{to}` can be given by no table: write a path of OCSF, one that begins with a dot and stands beside what was \
                 read, or `{DATA}` and a name"
            ));
        }
    };
    Ok(Give { to, column, kind })
}

/// What a row is found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Network(Network),
    Text(Box<str>),
    Window(Box<str>, Millis, Millis),
}

impl Key {
    fn name(&self) -> String {
        match self {
            Key::Network(_) => "the same network".to_owned(),
            Key::Text(text) => format!("`{text}`"),
            Key::Window(text, ..) if text.is_empty() => "the same window".to_owned(),
            Key::Window(text, ..) => format!("the same window of `{text}`"),
        }
    }
}

/// Rows while they are gathered, each once.
#[derive(Debug, Default)]
struct Gathered {
    rows: Vec<Box<Cells>>,
    /// The file and the line of each.
    places: Vec<(usize, usize)>,
    by_key: HashMap<Key, u32>,
}

impl Gathered {
    fn add(
        &mut self,
        key: Key,
        cells: Box<Cells>,
        (file, line): (usize, usize),
        repeats: Repeats,
        files: &[TableFile],
    ) -> Result<(), ContentError> {
        let place = |file: usize| files.get(file).map_or("", |file| file.place.as_str());
        if self.rows.len() >= TABLE_ROWS_MAX {
            return Err(ContentError::new(place(file), format!("has more than {TABLE_ROWS_MAX} rows: take some out")));
        }
        let number = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        match self.by_key.entry(key) {
            Place::Vacant(free) => {
                free.insert(number);
                self.rows.push(cells);
                self.places.push((file, line));
            }
            Place::Occupied(known) if repeats == Repeats::Join => {
                if let Some(row) = self.rows.get_mut(*known.get() as usize) {
                    row.iter_mut().zip(cells).for_each(|(old, new)| join(old, new));
                }
            }
            Place::Occupied(known) => {
                let (other, before) = self.places.get(*known.get() as usize).copied().unwrap_or_default();
                let beside = if other == file { String::new() } else { format!(" of {}", place(other)) };
                let what = known.key().name();
                return Err(ContentError::new(
                    place(file),
                    format!("line {line}: {what} stands on line {before}{beside} already: keep one of the two rows"),
                ));
            }
        }
        Ok(())
    }

    fn table(self, kind: Kind, matching: Matching) -> Table {
        let Gathered { rows, by_key, .. } = self;
        let (mut networks, mut texts) = (Vec::new(), HashMap::new());
        let mut windows: HashMap<Box<str>, Vec<Window>> = HashMap::new();
        for (key, row) in by_key {
            match key {
                Key::Network(network) => networks.push((network, row)),
                Key::Text(text) => {
                    texts.insert(text, row);
                }
                Key::Window(text, from, until) => windows.entry(text).or_default().push(Window { from, until, row }),
            }
        }
        match kind {
            Kind::Ranges | Kind::Mmdb => Table::Ranges(Ranges::new(rows, networks)),
            Kind::Table => Table::Keys(Keys::new(rows, texts, matching)),
            Kind::Windows => Table::Windows(Windows::new(rows, windows)),
        }
    }
}

/// Adds a text to another that does not hold it yet.
fn join(old: &mut Option<Cell>, new: Option<Cell>) {
    if old.is_none() {
        *old = new;
    } else if let (Some(Cell::Text(text)), Some(Cell::Text(more))) = (old, new)
        && text.split(", ").all(|part| part != &*more)
        && text.len() + more.len() + 2 <= CELL_BYTES_MAX
    {
        *text = format!("{text}, {more}").into();
    }
}
