//! Findings to a story that people read, and to formats that programs read.
//!
//! Secret of this crate: how much a reader can take in. It never knows where findings came from, SQL
//! or HTTP.

mod csv;
mod escape;
mod html;
mod ocsf;
mod story;
mod text;
mod words;

pub use csv::{csv_header, csv_line};
pub use escape::{cell, printable};
pub use html::html;
pub use ocsf::detection_finding;
pub use story::{Blind, Facts, Line, Story, StoryBuilder, Thread};
pub use text::text;
pub use words::{Language, Words, Zone};
