//! Records to OCSF: mappings that are data, compiled to programs over one walk.
//!
//! Secret of this crate: how a mapping file becomes a program. It never knows where bytes came
//! from, a rule, or a vendor's field name: those stand in `content/vendors`.
//!
//! [`Mapping::parse`] reads the files of one log type; [`Mapping::programme`] fixes which OCSF
//! paths are wanted; [`Programme::shape`] turns a row into an event; [`Programme::document`] writes
//! the whole OCSF event.

mod document;
mod error;
mod exports;
mod expression;
mod files;
mod function;
mod operations;
mod programme;
mod text;

pub use error::ContentError;
pub use files::{Identity, LogSource, Mapping, Mark, Wrapper};
pub use programme::Programme;
pub use text::Texts;
