//! Enrichment: what tables of the user say about the addresses, principals and resources of an event.
//!
//! A [`Declaration`] is a file `enrichment.toml`; with the bytes of its tables it becomes an [`Enrichment`].
//! [`Enrichments`] are those of a run. An [`Enricher`] fills the slots of events for the paths that somebody
//! wants, and [`Enriching`] says by what a document is enriched. Nothing here reads a file.

mod declare;
mod enricher;
mod entry;
mod mmdb;
mod ranges;
mod rows;
mod table;

use std::sync::Arc;

use vigie_model::Millis;
use vigie_record::PathSet;

use crate::document::{Map, Node};
pub use declare::{Declaration, Filled, TableFile};
pub use enricher::Enricher;
use entry::Entry;
use table::{Cells, Table};

/// Bytes of one table of rows.
pub const TABLE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of one database of networks.
pub const MMDB_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Rows of the tables of one enrichment.
pub const TABLE_ROWS_MAX: usize = 1_000_000;
/// Bytes of one cell, and of one key.
const CELL_BYTES_MAX: usize = vigie_model::limits::EVIDENCE_VALUE_BYTES_MAX;
/// What is found for one event: more is left out.
const HITS_MAX: usize = 64;

/// A declaration with its tables.
#[derive(Debug)]
pub struct Enrichment {
    name: String,
    title: String,
    /// A hash of the declaration and of its tables.
    version: String,
    category: String,
    reads: Vec<String>,
    gives: Vec<Give>,
    table: Table,
    rows: u64,
    built: Option<Millis>,
}

/// One thing that an enrichment gives.
#[derive(Debug, Clone)]
struct Give {
    to: Target,
    /// The column that it comes from; `a|b` is the first of these that has a value.
    column: String,
    kind: GiveKind,
}

/// Where what is given stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    /// Beside what was read.
    Beside(String),
    /// At a path of the event.
    Path(String),
    /// In the data of an entry of `enrichments` alone.
    Data(String),
}

/// The type of what is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum GiveKind {
    #[default]
    Text,
    Integer,
    Boolean,
}

/// The prefix of what stands in the data of entries, as rules read it.
const DATA: &str = "enrichments.data.";

impl Target {
    /// What it is under in the data of an entry, when `read` was looked up: a path has a dot, a name has none.
    fn key(&self, read: &str) -> String {
        match self {
            Target::Beside(rest) => match read.rsplit_once('.') {
                Some((above, _)) => format!("{above}.{rest}"),
                None => rest.clone(),
            },
            Target::Path(path) => path.clone(),
            Target::Data(name) => name.clone(),
        }
    }
}

/// The path at which rules and columns read what stands under a key of an entry's data.
fn path_of(key: &str) -> String {
    if key.contains('.') { key.to_owned() } else { format!("{DATA}{key}") }
}

impl Enrichment {
    /// Its name: that of its folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its title, for people.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What its declaration and tables are, as a hash.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Rows of its tables; of a database of networks the nodes of its tree.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// When its table was made, where the table itself says so.
    pub fn built(&self) -> Option<Millis> {
        self.built
    }

    /// Every path that it may give a value.
    fn paths(&self) -> impl Iterator<Item = String> {
        let reads = if self.reads.is_empty() { vec![String::new()] } else { self.reads.clone() };
        reads.into_iter().flat_map(move |read| self.gives.iter().map(move |give| path_of(&give.to.key(&read))))
    }

    /// What is looked up: each path that it reads, or, of a table by time alone, nothing.
    fn lookups(&self) -> impl Iterator<Item = Option<&String>> {
        let is_timed = self.reads.is_empty();
        is_timed.then_some(None).into_iter().chain(self.reads.iter().map(Some))
    }

    /// What it says of one value, as it stands in a document.
    fn entry(&self, read: Option<&str>, key: &str, cells: &Cells, at: Millis) -> Entry {
        let is_timed = self.table.is_timed();
        let target = |give: &Give| give.to.key(read.unwrap_or_default());
        let values = self.gives.iter().zip(cells).filter_map(|(give, cell)| Some((target(give), cell.as_ref()?.json())));
        Entry {
            name: if is_timed { "time".to_owned() } else { read.unwrap_or_default().to_owned() },
            value: if is_timed { vigie_model::format_utc(at) } else { key.to_owned() },
            category: self.category.clone(),
            provider: self.name.clone(),
            version: self.version.clone(),
            data: values.collect(),
        }
    }
}

/// The enrichments of a run, in the order of their names.
#[derive(Debug, Clone, Default)]
pub struct Enrichments(Vec<Arc<Enrichment>>);

/// For what an [`Enricher`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// For the paths that are wanted: an enrichment that gives none of them costs nothing.
    Wanted,
    /// For all that the tables say.
    All,
}

impl Enrichments {
    /// These.
    pub fn new(mut all: Vec<Enrichment>) -> Enrichments {
        all.sort_by(|left, right| left.name.cmp(&right.name));
        Enrichments(all.into_iter().map(Arc::new).collect())
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Enrichment> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds to wanted paths those that must be read to give them.
    pub fn add_reads(&self, wanted: &mut PathSet, wants: Wants) {
        for enrichment in self.iter() {
            if wants == Wants::All || enrichment.paths().any(|path| wanted.slot(&path).is_some()) {
                enrichment.reads.iter().for_each(|read| {
                    wanted.intern(read);
                });
            }
        }
    }

    /// Enriches a document of OCSF; none when it is no object.
    pub fn document(&self, json: &str) -> Option<String> {
        let object = vigie_record::held(json).filter(|json| json.first() == Some(&b'{'))?;
        let mut root = crate::passthrough::tree(object);
        Enriching::Tables(self).apply(&mut root);
        Some(crate::document::write(&Node::Map(root)))
    }

    /// What the tables say of a document.
    fn entries(&self, root: &Map) -> Vec<Entry> {
        let at = entry::time_of(root);
        let mut entries = Vec::new();
        for enrichment in self.iter() {
            for read in enrichment.lookups() {
                let mut ask = |key: Option<&str>| {
                    if entries.len() < HITS_MAX
                        && let Some(cells) = enrichment.table.find(key, at)
                    {
                        entries.push(enrichment.entry(read.map(String::as_str), key.unwrap_or_default(), &cells, at));
                    }
                };
                let keys = read.map(|read| entry::texts_at(root, read)).unwrap_or_default();
                if keys.is_empty() && enrichment.table.is_timed() {
                    ask(None);
                }
                keys.iter().for_each(|key| ask(Some(key.as_str())));
            }
        }
        entries
    }
}

/// By what a document is enriched.
#[derive(Debug, Clone, Copy)]
pub enum Enriching<'e> {
    /// By nothing.
    Nothing,
    /// By these tables.
    Tables(&'e Enrichments),
    /// By what was found when the event was taken in: see [`Enricher::enrich_and_tell`].
    Stored(&'e str),
}

impl Enriching<'_> {
    /// Enriches a document.
    pub(crate) fn apply(self, root: &mut Map) {
        let entries = match self {
            Enriching::Nothing => return,
            Enriching::Tables(enrichments) => enrichments.entries(root),
            Enriching::Stored(stored) => entry::parse(stored),
        };
        entries.iter().for_each(|entry| entry.apply(root));
    }
}

#[cfg(test)]
mod tests;
