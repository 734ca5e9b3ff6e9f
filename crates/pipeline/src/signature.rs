//! Signatures of digests, and the public keys that they are verified with.
//!
//! RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2); what is signed is in guarantees, section 9.
//! Pure: texts and keys in, a verdict out. Keys are believed: who gives the list of keys decides.

use std::collections::{BTreeMap, BTreeSet};

use cryptography::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde::Deserialize;
use vigie_record::{PathSet, Row, SlotId, Value, Walk};

/// Public keys kept; a list that would exceed it is left out.
const KEYS_MAX: usize = 10_000;
/// Lists of keys that are named.
const KEY_LISTS_NAMED_MAX: usize = 100;

/// Where the signature of a digest is found.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureFormat {
    /// The signature stands in a file with the digest's name and this end.
    pub ends: String,
    /// Where such a file may hold it.
    pub paths: Vec<String>,
    /// What to run to get such a file.
    pub command: String,
}

/// How a list of public keys is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFormat {
    /// Part of the name of a file that is such a list.
    pub name_holds: String,
    /// Where it holds keys: base64 of DER, an `RSAPublicKey` of PKCS #1.
    pub value: String,
    /// Where it holds their fingerprints.
    pub fingerprint: String,
    /// What to run to get such a file.
    pub command: String,
}

/// What a signature is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// It is right.
    Verified,
    /// It is wrong.
    Wrong,
    /// Nobody gave the key.
    KeyMissing,
}

/// The public keys of a tree.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    by_fingerprint: BTreeMap<String, BTreeSet<Vec<u8>>>,
    /// The files that they came from.
    pub(crate) lists: BTreeSet<String>,
}

impl Keys {
    /// Verifies a signature, in hex, of a text. Lists that give one fingerprint to several keys
    /// contradict each other: then the signature must be right by each of them.
    pub(crate) fn check(&self, fingerprint: &str, text: &str, signature: &str) -> Check {
        let Some(keys) = self.by_fingerprint.get(&fingerprint.to_ascii_lowercase()) else {
            return Check::KeyMissing;
        };
        let Ok(signature) = HEXLOWER_PERMISSIVE.decode(signature.as_bytes()) else {
            return Check::Wrong;
        };
        let is_right = |key: &Vec<u8>| {
            let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.as_slice());
            key.verify(text.as_bytes(), &signature).is_ok()
        };
        if keys.iter().all(is_right) { Check::Verified } else { Check::Wrong }
    }
}

/// Reads files of signatures and lists of keys.
pub(crate) struct SignatureReader {
    walk: Walk,
    signatures: Vec<SlotId>,
    value: SlotId,
    fingerprint: SlotId,
}

impl SignatureReader {
    pub(crate) fn new(signatures: &SignatureFormat, keys: &KeyFormat) -> SignatureReader {
        let mut paths = PathSet::new();
        let signatures = signatures.paths.iter().map(|path| paths.intern(path)).collect();
        let (value, fingerprint) = (paths.intern(&keys.value), paths.intern(&keys.fingerprint));
        SignatureReader { walk: Walk::compile(&[&paths]), signatures, value, fingerprint }
    }

    /// The signature in a file, if the file holds one.
    pub(crate) fn signature(&self, bytes: &[u8]) -> Option<String> {
        let mut row = Row::new();
        self.walk.read(bytes.trim_ascii(), &mut row).ok()?;
        self.signatures.iter().find_map(|slot| match row.get(*slot) {
            Value::Text(text) => Some(text.into_owned()),
            _ => None,
        })
    }

    /// Adds the keys of a list, and says whether the file is one.
    pub(crate) fn add_keys(&self, name: &str, bytes: &[u8], keys: &mut Keys) -> bool {
        let mut row = Row::new();
        if self.walk.read(bytes.trim_ascii(), &mut row).is_err() {
            return false;
        }
        let all = |slot: SlotId| {
            let mut values = Vec::new();
            row.each_raw(slot, &mut |value| values.extend(value.text().map(std::borrow::Cow::into_owned)));
            values
        };
        let (values, fingerprints) = (all(self.value), all(self.fingerprint));
        let decoded: Vec<Vec<u8>> = values.iter().filter_map(|value| BASE64.decode(value.as_bytes()).ok()).collect();
        let is_list = !decoded.is_empty() && decoded.len() == values.len() && values.len() == fingerprints.len();
        let known: usize = keys.by_fingerprint.values().map(BTreeSet::len).sum();
        if !is_list || known + decoded.len() > KEYS_MAX {
            return false;
        }
        for (fingerprint, key) in fingerprints.into_iter().zip(decoded) {
            keys.by_fingerprint.entry(fingerprint.to_ascii_lowercase()).or_default().insert(key);
        }
        if keys.lists.len() < KEY_LISTS_NAMED_MAX {
            keys.lists.insert(name.to_owned());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use cryptography::rand::SystemRandom;
    use cryptography::rsa::{KeyPair, KeySize};
    use cryptography::signature::{KeyPair as _, RSA_PKCS1_SHA256};

    use super::*;

    fn reader() -> SignatureReader {
        let signatures = SignatureFormat {
            ends: ".metadata.json".to_owned(),
            paths: vec!["Metadata.signature".to_owned(), "signature".to_owned()],
            command: String::new(),
        };
        let keys = KeyFormat {
            name_holds: "public-keys".to_owned(),
            value: "Keys.Value".to_owned(),
            fingerprint: "Keys.Fingerprint".to_owned(),
            command: String::new(),
        };
        SignatureReader::new(&signatures, &keys)
    }

    fn list(key: &KeyPair) -> String {
        format!("{{\"Keys\": [{{\"Value\": \"{}\", \"Fingerprint\": \"0A1b\"}}]}}\n", BASE64.encode(key.public_key().as_ref()))
    }

    #[test]
    fn a_signature_is_right_for_its_text_and_key_only() {
        let (key, other) = (KeyPair::generate(KeySize::Rsa2048).unwrap(), KeyPair::generate(KeySize::Rsa2048).unwrap());
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"a text", &mut signature).unwrap();
        let signature = HEXLOWER_PERMISSIVE.encode(&signature);

        let mut keys = Keys::default();
        assert_eq!(keys.check("0a1b", "a text", &signature), Check::KeyMissing);
        assert!(reader().add_keys("one", list(&key).as_bytes(), &mut keys));
        assert_eq!(keys.check("0a1B", "a text", &signature), Check::Verified);
        assert_eq!(keys.check("0a1b", "a test", &signature), Check::Wrong);
        assert_eq!(keys.check("0a1b", "a text", "no hex"), Check::Wrong);
        // A second list that gives the fingerprint to another key is a contradiction.
        assert!(reader().add_keys("two", list(&other).as_bytes(), &mut keys));
        assert_eq!(keys.check("0a1b", "a text", &signature), Check::Wrong);
    }

    #[test]
    fn what_is_no_signature_and_no_list_is_not_taken_for_one() {
        let found = |text: &str| reader().signature(text.as_bytes());
        assert_eq!(found("{\"ETag\": \"\\\"1\\\"\", \"Metadata\": {\"signature\": \"ab\"}}\n").as_deref(), Some("ab"));
        assert_eq!(found("{\"signature\": \"cd\"}").as_deref(), Some("cd"));
        assert_eq!(found("{\"Metadata\": {}}"), None);
        assert_eq!(found("no json"), None);
        let mut keys = Keys::default();
        for text in ["{}", "{\"Keys\": []}", "{\"Keys\": [{\"Value\": \"AQ==\"}]}", "no json"] {
            assert!(!reader().add_keys("list", text.as_bytes(), &mut keys), "{text}");
        }
    }
}
