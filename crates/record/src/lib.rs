//! Bytes to records to values: cuts records out of files and reads wanted paths in one walk.
//!
//! Secret of this crate: how JSON, tables, lines of text and XML are scanned. It never knows OCSF, Sigma, a vendor, or IO.
//!
//! A [`PathSet`] interns field paths, [`Walk::compile`] turns several sets into one trie, and
//! [`Walk::read`] fills a [`Row`] with the raw slices found there. Values are decoded on demand.
//! An [`Export`] says which columns of a table are which paths; [`TableCutter`] makes records of rows.
//! [`LineForms`] say how lines of text are read; a [`LineSet`] makes records of them.

mod around;
mod csv;
mod cut;
mod hash;
mod index;
mod inside;
mod json;
mod lines;
mod notation;
mod path;
mod row;
mod syslog;
mod table;
mod value;
mod walk;

pub use around::{TextLists, with_members};
pub use csv::{Cells, Made, TableCutter, each_row};
pub use cut::{Cut, Cutter, Shape};
pub use hash::text as hash_text;
pub use inside::{NamedObjects, held, inside, made, paired};
pub use json::{compact, each_item, each_leaf, each_member, unescape, value_end};
pub use lines::{
    CellLine, FieldCheck, FieldKind, FieldParts, JoinedField, LineCutter, LineField, LineForm, LineForms, LineHeader, LineReader,
    LineSet, MadeLine, MadeLines, OneLine, Quote, UNKNOWN_LINE, XmlField, XmlForm, XmlValue,
};
pub use path::{PathSet, SlotId};
pub use row::{Row, View};
pub use syslog::{SyslogElements, SyslogMessage};
pub use table::{CellKind, Column, Export, Table};
pub use value::{Fields, Value};
pub use walk::{AFTER_END, Reject, Walk, depth_max};
