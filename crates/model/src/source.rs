//! The port through which records come in: named streams of bytes.

/// One object of a source: a file, a blob, standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name as people know it: a path relative to what they named.
    pub name: String,
    /// Its size in bytes, where it is known.
    pub bytes: Option<u64>,
}

/// A stream of bytes.
pub trait ByteStream: Send {
    /// Fills the head of `buffer` and says how many bytes; 0 at the end.
    ///
    /// # Errors
    /// A sentence that says why nothing more can be read.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, String>;
}

/// A place that records come from.
pub trait Source: Sync {
    /// The objects, in an order that does not change.
    fn objects(&self) -> &[ObjectInfo];

    /// Opens one of them.
    ///
    /// # Errors
    /// A sentence that says why it cannot be opened.
    fn open(&self, object: usize) -> Result<Box<dyn ByteStream>, String>;
}
