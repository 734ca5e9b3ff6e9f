//! The port of tokens: what a client of the service shows, and what it may do.

use std::fmt;

use crate::{Millis, Tenant};

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// To send events.
    Ingest,
    /// To read events.
    Search,
    /// Everything.
    Admin,
}

impl Scope {
    /// Reads `ingest`, `search` or `admin`.
    pub fn parse(text: &str) -> Option<Scope> {
        [Scope::Ingest, Scope::Search, Scope::Admin].into_iter().find(|scope| scope.to_string() == text)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Scope::Ingest => "ingest",
            Scope::Search => "search",
            Scope::Admin => "admin",
        })
    }
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its id: what `vigie token revoke` takes.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whose events it reaches.
    pub tenant: Tenant,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created: Millis,
    /// When it ends.
    pub expires: Option<Millis>,
    /// When it was last shown, to the minute.
    pub last_used: Option<Millis>,
}

impl TokenInfo {
    /// Whether it allows something.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|held| *held == scope || *held == Scope::Admin)
    }
}

/// Keeps tokens.
pub trait Tokens: Send + Sync {
    /// The token with this secret, unless it ended.
    ///
    /// # Errors
    /// A sentence, when the state cannot be read: whether the token is good is not known.
    fn check(&self, secret: &str, now: Millis) -> Result<Option<TokenInfo>, String>;

    /// Makes a token. Its secret is given once and kept nowhere.
    ///
    /// # Errors
    /// A sentence, when the name cannot be used or the state cannot be written.
    fn create(
        &self,
        name: &str,
        tenant: &Tenant,
        scopes: &[Scope],
        now: Millis,
        expires: Option<Millis>,
    ) -> Result<(TokenInfo, String), String>;

    /// All tokens, oldest first.
    ///
    /// # Errors
    /// A sentence, when the state cannot be read.
    fn list(&self) -> Result<Vec<TokenInfo>, String>;

    /// Ends a token. False when there is none with this id.
    ///
    /// # Errors
    /// A sentence, when the state cannot be written.
    fn revoke(&self, id: &str) -> Result<bool, String>;
}
