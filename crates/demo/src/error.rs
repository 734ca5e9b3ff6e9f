//! What can go wrong while demo logs are made, told as one sentence for the reader.

use std::fmt;

/// One sentence that says what stopped the work: lowercase, no full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    message: String,
}

impl Error {
    /// An error with this sentence; a sink uses it to say why it could not take an object.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
