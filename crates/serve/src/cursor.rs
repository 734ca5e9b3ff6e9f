//! Cursors: where the next page begins, signed, so that nobody but this service makes one.
//!
//! A cursor is Base64 (RFC 4648, for addresses) of a keyed BLAKE3 hash and of the JSON that it signs.
//! The key is new at each start, so a cursor ends with the service that made it.

use axum::http::StatusCode;
use data_encoding::BASE64URL_NOPAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use vigie_model::{Millis, Tenant};

use crate::problem::Problem;

/// How long a cursor holds, in milliseconds.
pub(crate) const CURSOR_LIFE_MS: Millis = 3_600_000;
/// Bytes of a cursor.
const CURSOR_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 32;
/// What stands before the JSON when it is signed: the key signs nothing else in the same words.
const SIGNED_HEAD: &[u8] = b"cursor\0";

/// What a cursor says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims<P> {
    /// Whose pages.
    tenant: String,
    /// Pages of what.
    kind: String,
    /// When it ends.
    until: Millis,
    /// Where the next page begins.
    place: P,
}

fn sign(key: &[u8; 32], claims: &[u8]) -> blake3::Hash {
    blake3::keyed_hash(key, &[SIGNED_HEAD, claims].concat())
}

fn wrong(detail: &str) -> Problem {
    Problem::new("cursor", "The cursor is not valid", StatusCode::BAD_REQUEST, detail)
}

/// Makes the cursor of a place in a tenant's pages of one kind.
pub(crate) fn seal<P: Serialize>(key: &[u8; 32], tenant: &Tenant, kind: &str, place: &P, now: Millis) -> Result<String, Problem> {
    let until = now.saturating_add(CURSOR_LIFE_MS);
    let claims = Claims { tenant: tenant.0.clone(), kind: kind.to_owned(), until, place };
    let claims = serde_json::to_vec(&claims).map_err(|_| Problem::failed("the cursor of the next page cannot be written"))?;
    let signature = sign(key, &claims);
    Ok(BASE64URL_NOPAD.encode(&[signature.as_bytes().as_slice(), claims.as_slice()].concat()))
}

/// Reads the place out of a cursor of this tenant and kind.
pub(crate) fn open<P: DeserializeOwned>(
    key: &[u8; 32],
    text: &str,
    tenant: &Tenant,
    kind: &str,
    now: Millis,
) -> Result<P, Problem> {
    let foreign = || wrong("the cursor is not one of this service since its last start; ask again from the beginning");
    if text.len() > CURSOR_BYTES_MAX {
        return Err(foreign());
    }
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| foreign())?;
    let (signature, claims) = bytes.split_first_chunk::<SIGNATURE_BYTES>().ok_or_else(foreign)?;
    // Hashes compare in constant time.
    if blake3::Hash::from_bytes(*signature) != sign(key, claims) {
        return Err(foreign());
    }
    let claims: Claims<serde_json::Value> = serde_json::from_slice(claims).map_err(|_| foreign())?;
    if claims.tenant != tenant.0 || claims.kind != kind {
        return Err(wrong("the cursor belongs to another question; send it where it came from"));
    }
    if now >= claims.until {
        return Err(wrong("the cursor is too old; ask again from the beginning"));
    }
    serde_json::from_value(claims.place).map_err(|_| foreign())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn read(text: &str, tenant: &str, kind: &str, now: Millis) -> Result<u64, String> {
        open::<u64>(&KEY, text, &Tenant(tenant.to_owned()), kind, now).map_err(|problem| problem.detail)
    }

    #[test]
    fn a_cursor_holds_for_its_tenant_its_question_and_its_time() {
        let cursor = seal(&KEY, &Tenant("blue".to_owned()), "search", &42u64, 1000).unwrap();
        assert_eq!(read(&cursor, "blue", "search", 1000), Ok(42));
        assert_eq!(read(&cursor, "blue", "search", 1000 + CURSOR_LIFE_MS - 1), Ok(42));
        let refused = [
            ("red", "search", 1000, "another question"),
            ("blue", "job/1", 1000, "another question"),
            ("blue", "search", 1000 + CURSOR_LIFE_MS, "too old"),
        ];
        for (tenant, kind, now, words) in refused {
            assert!(read(&cursor, tenant, kind, now).unwrap_err().contains(words), "{tenant} {kind} {now}");
        }
        let other_key = seal(&[8; 32], &Tenant("blue".to_owned()), "search", &42u64, 1000).unwrap();
        assert!(read(&other_key, "blue", "search", 1000).is_err());
    }

    #[test]
    fn no_byte_of_a_cursor_can_be_changed() {
        let cursor = seal(&KEY, &Tenant("blue".to_owned()), "search", &42u64, 1000).unwrap();
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(read(&BASE64URL_NOPAD.encode(&changed), "blue", "search", 1000).is_err(), "byte {at}");
        }
        for text in ["", "x", "???", cursor.get(..cursor.len() - 1).unwrap(), &"A".repeat(300_000)] {
            assert!(read(text, "blue", "search", 1000).is_err());
        }
    }
}
