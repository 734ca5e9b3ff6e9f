//! Links between identities: what an event proves about who stands behind a credential.

use serde::{Deserialize, Serialize};

use crate::Millis;

/// How a credential came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkKind {
    /// A session opened by somebody else's credential: a role assumed, a token federated.
    Assumed,
    /// A long-lived credential made by somebody.
    Created,
    /// The record of an act names who acts through its actor: an impersonation, a delegation. It holds
    /// for that instant only.
    Acted,
    /// Two names of one identity: a token and its owner, an account and the e-mail address that the
    /// provider verified. It holds before and after the record that proves it.
    Same,
}

/// How sure a link is that is followed to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sureness {
    /// The id of one credential stands in both records.
    Credential,
    /// One identity or claim stands in both: a role session by its name, the subject of a token.
    Subject,
    /// Both providers name the same verified e-mail address.
    Email,
}

/// Somebody or something that acts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Principal {
    /// The credential, when one was used.
    pub credential: String,
    /// The full id of the identity.
    pub uid: String,
    /// Among whose ids it is one: a product, or the issuer of a claim. Equal ids of two spaces are two
    /// identities.
    pub space: String,
    /// Its short name.
    pub name: String,
    /// The person who acts, where the record names one: a single sign-on session, a source identity.
    pub person: String,
}

/// One proven link: `child` was issued to, or made by, `parent`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Link {
    /// When it happened.
    pub occurred: Millis,
    /// The event that proves it: the provider's id.
    pub event_uid: String,
    /// The log that the event stands in.
    pub log: String,
    /// How.
    pub kind: LinkKind,
    /// What was issued.
    pub child: Principal,
    /// Who issued it.
    pub parent: Principal,
}
