//! The port through which records come in: named streams of bytes.

use std::sync::Arc;

/// One object of a source: a file, a blob, standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name as people know it: a path relative to what they named.
    pub name: String,
    /// Its size in bytes, where it is known.
    pub bytes: Option<u64>,
    /// When it was changed last, in milliseconds since 1970, where the source knows.
    pub modified: Option<crate::Millis>,
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

/// Objects in memory: samples, tests, benchmarks.
#[derive(Debug, Clone)]
pub struct MemorySource {
    objects: Vec<ObjectInfo>,
    bytes: Vec<Arc<[u8]>>,
}

impl MemorySource {
    /// A source of one object with these bytes.
    pub fn new(name: &str, bytes: impl Into<Arc<[u8]>>) -> MemorySource {
        MemorySource::of([(name.to_owned(), bytes.into())])
    }

    /// A source of several objects: their names and bytes.
    pub fn of(objects: impl IntoIterator<Item = (String, Arc<[u8]>)>) -> MemorySource {
        let info =
            |(name, bytes): (String, Arc<[u8]>)| (ObjectInfo { name, bytes: Some(bytes.len() as u64), modified: None }, bytes);
        let (objects, bytes) = objects.into_iter().map(info).unzip();
        MemorySource { objects, bytes }
    }
}

impl Source for MemorySource {
    fn objects(&self) -> &[ObjectInfo] {
        &self.objects
    }

    fn open(&self, object: usize) -> Result<Box<dyn ByteStream>, String> {
        let bytes = self.bytes.get(object).ok_or("is no object of this source")?;
        Ok(Box::new(MemoryStream { bytes: Arc::clone(bytes), at: 0 }))
    }
}

struct MemoryStream {
    bytes: Arc<[u8]>,
    at: usize,
}

impl ByteStream for MemoryStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        for (space, bytes) in buffer.get_mut(..length).into_iter().zip(rest.get(..length)) {
            space.copy_from_slice(bytes);
        }
        self.at += length;
        Ok(length)
    }
}
