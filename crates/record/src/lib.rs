//! Bytes to records to values: cuts records out of files and reads wanted paths in one walk.
//!
//! Secret of this crate: how JSON and tables of text are scanned. It never knows OCSF, Sigma, a vendor, or IO.
//!
//! A [`PathSet`] interns field paths, [`Walk::compile`] turns several sets into one trie, and
//! [`Walk::read`] fills a [`Row`] with the raw slices found there. Values are decoded on demand.
//! An [`Export`] says which columns of a table are which paths; [`TableCutter`] makes records of rows.

mod csv;
mod cut;
mod hash;
mod index;
mod inside;
mod json;
mod notation;
mod path;
mod row;
mod table;
mod value;
mod walk;

pub use csv::{Made, TableCutter};
pub use cut::{Cut, Cutter, Shape};
pub use hash::text as hash_text;
pub use inside::{held, inside, made};
pub use json::{compact, each_item, each_leaf, each_member, unescape, value_end};
pub use path::{PathSet, SlotId};
pub use row::{Row, View};
pub use table::{CellKind, Column, Export, Table};
pub use value::{Fields, Value};
pub use walk::{AFTER_END, Reject, Walk, depth_max};
