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

/// Where the ids of a provider are unique: a tenant's records of one log type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameSpace([u8; 8]);

impl NameSpace {
    /// The name space of a log type.
    pub fn new(tenant: &Tenant, log: &LogType) -> NameSpace {
        NameSpace(EventId::name_hash(&[tenant.0.as_bytes(), log.0.as_bytes()]).to_be_bytes())
    }

    /// Hash of a name: the provider's id, and the scope in which that is unique.
    pub fn hash(&self, id: &[u8], scope: &[u8]) -> u64 {
        EventId::name_hash(&[&self.0, id, scope])
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

    /// Hash of the parts that name something: of an event its [`NameSpace`], the provider's id, and
    /// the scope of that id.
    pub fn name_hash(parts: &[&[u8]]) -> u64 {
        let mut text = [0; NAME_BYTES];
        let mut rest = text.as_mut_slice();
        let fits = parts.iter().all(|part| {
            let (length, width) = leb128(part.len());
            let length = length.get(..width).unwrap_or_default();
            rest.write_all(length).and_then(|()| rest.write_all(part)).is_ok()
        });
        let free = rest.len();
        let hash = if fits {
            blake3::hash(text.get(..NAME_BYTES - free).unwrap_or_default())
        } else {
            hash_parts(parts.iter().copied())
        };
        hash.as_bytes().first_chunk().map_or(0, |head| u64::from_be_bytes(*head))
    }

    /// When it happened, in milliseconds.
    pub fn occurred(self) -> Millis {
        Millis::try_from(self.0 >> 80).unwrap_or(0)
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
        let (length, width) = leb128(part.len());
        hasher.update(length.get(..width).unwrap_or_default());
        hasher.update(part);
    }
    hasher.finalize()
}

/// A length in seven bits a byte, lowest first, and how many bytes that takes: names of the usual
/// size fit one block of the hash.
fn leb128(length: usize) -> ([u8; 10], usize) {
    let (mut bytes, mut rest, mut width) = ([0; 10], length, 0);
    for byte in &mut bytes {
        let more = rest > 0x7F;
        *byte = (rest & 0x7F) as u8 | if more { 0x80 } else { 0 };
        (rest, width) = (rest >> 7, width + 1);
        if !more {
            break;
        }
    }
    (bytes, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_short_names_hash_alike() {
        for length in [0, 1, 100, 127, 128, 231, 248, 249, 250, 251, 256, 1000, 20_000] {
            let long = vec![b'x'; length];
            let parts: [&[u8]; 2] = [b"main", &long];
            let whole = hash_parts(parts.into_iter());
            assert_eq!(EventId::name_hash(&parts).to_be_bytes(), whole.as_bytes()[..8], "{length}");
        }
    }
}
