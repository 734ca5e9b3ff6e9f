//! Mistakes in content files, said so that their author can mend them.

use std::fmt;

/// A mistake in a content file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentError {
    /// The file inside the content folder.
    pub file: String,
    /// What is wrong and what to write instead.
    pub what: String,
}

impl ContentError {
    pub(crate) fn new(file: &str, what: impl Into<String>) -> ContentError {
        ContentError { file: file.to_owned(), what: what.into() }
    }
}

impl fmt::Display for ContentError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.file, self.what)
    }
}

impl std::error::Error for ContentError {}
