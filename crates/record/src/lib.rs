//! Bytes to records to values: cuts records out of files and reads wanted paths in one walk.
//!
//! Secret of this crate: how JSON text is scanned. It never knows OCSF, Sigma, a vendor, or IO.
//!
//! A [`PathSet`] interns field paths, [`Walk::compile`] turns several sets into one trie, and
//! [`Walk::read`] fills a [`Row`] with the raw slices found there. Values are decoded on demand.

mod cut;
mod hash;
mod index;
mod json;
mod path;
mod row;
mod value;
mod walk;

pub use cut::{Cut, Cutter, Shape};
pub use hash::text as hash_text;
pub use json::{compact, each_item, each_leaf, each_member, unescape};
pub use path::{PathSet, SlotId};
pub use row::{Row, View};
pub use value::{Fields, Value};
pub use walk::{Reject, Walk, depth_max};
