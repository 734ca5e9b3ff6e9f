//! Records to OCSF: mappings that are data, compiled to programs over one walk.
//!
//! Secret of this crate: how a mapping file becomes a program. It never knows where bytes came
//! from, a rule, or a vendor's field name: those stand in `content/vendors`.
//!
//! [`Mapping::parse`] reads the files of one log type; [`Mapping::programme`] fixes which OCSF
//! paths are wanted; [`Programme::shape`] turns a row into an event; [`Programme::document`] writes
//! the whole OCSF event, [`Programme::note_gaps`] tells what it leaves unmapped, and [`propose`] begins
//! a mapping from records. [`Enrichments`] add what tables of the user say.

mod document;
mod enrich;
mod error;
mod exports;
mod expression;
mod files;
mod function;
mod gaps;
mod lines;
mod operations;
mod passthrough;
mod programme;
mod propose;
mod text;
mod unread;

pub use enrich::{
    Declaration, Enricher, Enriching, Enrichment, Enrichments, Filled, MMDB_BYTES_MAX, TABLE_BYTES_MAX, TABLE_ROWS_MAX,
    TableFile, Wants,
};
pub use error::ContentError;
pub use files::{Identity, LogSource, Mapping, Mark, Wrapper};
pub use gaps::{Gap, Gaps};
pub use programme::Programme;
pub use propose::{Proposal, propose};
pub use text::Texts;

#[cfg(test)]
mod tests;
