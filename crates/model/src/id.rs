//! Ids that are derived from content, so that the same event has the same id by any path.

use std::fmt;
use std::io::Write as _;

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
        let mut text = [0; NAME_BYTES];
        let mut rest = text.as_mut_slice();
        let fits = parts.iter().all(|part| {
            let length = (part.len() as u64).to_le_bytes();
            rest.write_all(&length).and_then(|()| rest.write_all(part)).is_ok()
        });
        let free = rest.len();
        let hash = if fits {
            blake3::hash(text.get(..NAME_BYTES - free).unwrap_or_default())
        } else {
            hash_parts(parts.iter().copied())
        };
        hash.as_bytes().first_chunk().map_or(0, |head| u64::from_be_bytes(*head))
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
    let parts = [tenant.0.as_bytes(), rule.as_bytes()];
    hash_parts(parts.into_iter().chain(about.iter().copied())).to_hex().chars().take(32).collect()
}

/// Names up to so many bytes are hashed in one piece: much cheaper, and the same hash.
const NAME_BYTES: usize = 256;

/// Hash of parts, each behind its length.
fn hash_parts<'p>(parts: impl Iterator<Item = &'p [u8]>) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_short_names_hash_alike() {
        for length in [0, 1, 100, 231, 232, 240, 241, 1000] {
            let long = vec![b'x'; length];
            let parts: [&[u8]; 2] = [b"main", &long];
            let whole = hash_parts(parts.into_iter());
            assert_eq!(EventId::name_hash(&parts).to_be_bytes(), whole.as_bytes()[..8], "{length}");
        }
    }
}
