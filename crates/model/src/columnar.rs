//! The port for files that keep a table column by column: bytes at any place go in, records come out.

use std::sync::Arc;

/// Bytes that can be read at any place.
pub trait BytesAt: Send + Sync {
    /// How many there are.
    fn length(&self) -> u64;

    /// Fills the buffer with the bytes from a place on.
    ///
    /// # Errors
    /// A sentence, when they cannot be read or there are fewer.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), String>;
}

/// Takes a record as JSON. One of more than [`crate::limits::RECORD_BYTES_MAX`] bytes is the head of a row that is
/// too long. An error ends the reading.
pub type TakeRecord<'t> = dyn FnMut(&[u8]) -> Result<(), String> + 't;

/// Reads files whose records stand in columns.
pub trait ColumnarReader: Send + Sync {
    /// Whether a file that begins so is one of those.
    fn is_known(&self, head: &[u8]) -> bool;

    /// Gives each row as a record: a JSON object without what is null, in the order of the file.
    ///
    /// # Errors
    /// The end of a sentence that begins with the file's name: why no more of it can be read. What `take` was given
    /// before stands.
    fn read(&self, file: Arc<dyn BytesAt>, take: &mut TakeRecord<'_>) -> Result<(), String>;
}
