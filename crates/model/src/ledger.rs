//! The port of the collection ledger: which objects of a source were taken in, and what of them.

use std::collections::BTreeMap;

use crate::{Millis, Tenant};

/// One file that was taken in: an object of a source, or one inside an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// The source, by its name.
    pub source: String,
    /// The object, by its name within the source.
    pub object: String,
    /// The file: the object itself, or its place inside it.
    pub file: String,
    /// Changes when the object changes.
    pub version: String,
    /// SHA-256 of its plain bytes, in hex; none for what holds no records.
    pub hash: Option<String>,
    /// Records that became events.
    pub records: u64,
    /// Records in quarantine.
    pub rejected: u64,
    /// The newest instant that its name says.
    pub newest: Option<Millis>,
    /// The whole content of a file that proves others.
    pub content: Option<Vec<u8>>,
    /// Why it could not be read, or not to its end: the end of a sentence about it.
    pub failure: Option<String>,
    /// When it was taken in.
    pub taken: Millis,
}

/// Remembers what was collected, each tenant's apart.
pub trait Ledger: Send + Sync {
    /// The version of each object of a source that was taken in, by the object's name.
    ///
    /// # Errors
    /// A sentence, when the state cannot be read.
    fn versions(&self, tenant: &Tenant, source: &str) -> Result<BTreeMap<String, String>, String>;

    /// Writes down one object with all of its files, in place of what was known of it.
    ///
    /// # Errors
    /// A sentence, when the state cannot be written.
    fn note(&self, tenant: &Tenant, files: &[Collected]) -> Result<(), String>;

    /// The sources of a tenant, by name.
    ///
    /// # Errors
    /// A sentence, when the state cannot be read.
    fn sources(&self, tenant: &Tenant) -> Result<Vec<String>, String>;

    /// Everything that was taken in from a source.
    ///
    /// # Errors
    /// A sentence, when the state cannot be read.
    fn files(&self, tenant: &Tenant, source: &str) -> Result<Vec<Collected>, String>;
}
