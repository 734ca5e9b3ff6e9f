//! Ids that are derived from content, so that the same event has the same id by any path.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Millis;

/// The shape of a record, `product/service`, such as a folder under `content/vendors`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogType(pub String);

impl LogType {
    /// Reads `product/service`.
    pub fn parse(text: &str) -> Option<LogType> {
        let (product, service) = text.split_once('/')?;
        let fits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        (fits(product) && fits(service)).then(|| LogType(text.to_owned()))
    }

    /// The part before the slash.
    pub fn product(&self) -> &str {
        self.0.split_once('/').map_or(self.0.as_str(), |(product, _)| product)
    }

    /// The part after the slash.
    pub fn service(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, service)| service)
    }
}

impl fmt::Display for LogType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Whose data it is; part of every id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tenant(pub String);

impl Default for Tenant {
    fn default() -> Tenant {
        Tenant("main".to_owned())
    }
}

/// The id of an event: 48 bits of its time in milliseconds, 56 bits of a hash of what names it,
/// 24 bits of a hash of its value.
///
/// The same event by another path has the same id; the same name with other bytes differs in the
/// last 24 bits only; ids sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub u128);

impl EventId {
    /// Derives the id. `name` is a hash of the source's identity key ([`EventId::name_hash`]),
    /// `value` a hash of the canonical record.
    pub fn new(occurred: Millis, name: u64, value: u64) -> EventId {
        let time = u128::from(u64::try_from(occurred.max(0)).unwrap_or(0) & 0xFFFF_FFFF_FFFF);
        let name = u128::from(name >> 8);
        let value = u128::from(value >> 40);
        EventId(time << 80 | name << 24 | value)
    }

    /// Hash of the parts that name an event: tenant, log type, the provider's id and its scope.
    pub fn name_hash(parts: &[&[u8]]) -> u64 {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut head = [0; 8];
        hasher.finalize_xof().fill(&mut head);
        u64::from_be_bytes(head)
    }

    /// The part shared by all values of one named event.
    pub fn name(self) -> u128 {
        self.0 >> 24
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

/// The uid of a finding: a hash of tenant, rule and what it is about (an event's id; for a
/// correlation its group key and the id of the earliest event of the run).
pub fn finding_uid(tenant: &Tenant, rule: &str, about: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [tenant.0.as_bytes(), rule.as_bytes()].iter().chain(about) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}
