//! The port of saved searches: filters that people gave a name.

use std::fmt;

use crate::{Millis, Tenant};

/// A filter with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedSearch {
    /// What people call it: 1 to 128 printable characters.
    pub name: String,
    /// The filter, as the filter bar takes it.
    pub filter: String,
    /// When it was saved.
    pub created: Millis,
}

/// Why a search was not saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaveError {
    /// It cannot be saved so: a sentence that says what to do.
    Refused(String),
    /// The state cannot be written: a sentence.
    Failed(String),
}

impl fmt::Display for SaveError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (SaveError::Refused(why) | SaveError::Failed(why)) = self;
        out.write_str(why)
    }
}

/// Keeps searches, each tenant's apart.
pub trait SavedSearches: Send + Sync {
    /// All searches of a tenant, by name.
    ///
    /// # Errors
    /// A sentence, when the state cannot be read.
    fn searches(&self, tenant: &Tenant) -> Result<Vec<SavedSearch>, String>;

    /// The search of this name; none when there is none.
    ///
    /// # Errors
    /// A sentence, when the state cannot be read.
    fn search(&self, tenant: &Tenant, name: &str) -> Result<Option<SavedSearch>, String>;

    /// Keeps a search; one of the same name is replaced.
    ///
    /// # Errors
    /// When its name or length cannot be used, there are too many, or the state cannot be written.
    fn save(&self, tenant: &Tenant, search: &SavedSearch) -> Result<(), SaveError>;

    /// Forgets a search. False when there is none of this name.
    ///
    /// # Errors
    /// A sentence, when the state cannot be written.
    fn forget(&self, tenant: &Tenant, name: &str) -> Result<bool, String>;
}
