//! A hash of what a record says, whatever the order of its keys and the space between its tokens.

/// One multiply-and-fold step (the core of wyhash); stable for ever, since ids depend on it.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a ^ 0xA076_1D64_78BD_642F) * u128::from(b ^ 0xE703_7ED1_A0B4_28DB);
    let [low, high] = [wide & u128::from(u64::MAX), wide >> 64];
    u64::try_from(low ^ high).unwrap_or(0)
}

/// A stable hash of a text, for tables and for counting; not for proofs.
pub fn text(text: &[u8]) -> u64 {
    bytes(0, text)
}

/// Hash of bytes under a seed.
pub(crate) fn bytes(seed: u64, text: &[u8]) -> u64 {
    let (words, rest) = text.as_chunks::<8>();
    let mut state = seed ^ (text.len() as u64);
    for word in words {
        state = fold(state, u64::from_le_bytes(*word));
    }
    let tail = rest.iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
    fold(state, tail)
}

/// Sums the hashes of all scalars, each seeded with the keys above it; `tokens` is the structural
/// index of `record`.
pub(crate) fn canonical(record: &[u8], tokens: &[u32]) -> u64 {
    let mut sum = 0u64;
    // Hash of the path of keys down to each open container.
    let mut paths = [0u64; crate::depth_max() + 1];
    let (mut depth, mut key, mut at) = (0usize, 0u64, 0usize);
    let offset = |token: usize| tokens.get(token).map_or(record.len(), |&at| at as usize);
    let slice = |from: usize, to: usize| record.get(from..to).unwrap_or_default();
    while at < tokens.len() {
        let place = offset(at);
        match record.get(place) {
            Some(b'{' | b'[') => {
                depth = (depth + 1).min(crate::depth_max());
                if let Some(path) = paths.get_mut(depth) {
                    *path = key;
                }
                sum = sum.wrapping_add(scalar_after(record, place, offset(at + 1), key));
                at += 1;
            }
            Some(b'}' | b']') => {
                depth = depth.saturating_sub(1);
                key = paths.get(depth).copied().unwrap_or(0);
                at += 1;
            }
            Some(b'"') => {
                let inner = slice(place + 1, offset(at + 1));
                let after = crate::json::skip_space(record, offset(at + 1) + 1);
                if record.get(after) == Some(&b':') {
                    key = bytes(paths.get(depth).copied().unwrap_or(0), inner);
                    sum = sum.wrapping_add(scalar_after(record, after, offset(at + 2), key));
                } else {
                    sum = sum.wrapping_add(bytes(key ^ 1, inner));
                }
                at += 2;
            }
            _ => {
                sum = sum.wrapping_add(scalar_after(record, place, offset(at + 1), key));
                at += 1;
            }
        }
    }
    sum
}

/// Hash of the number, boolean or null that stands alone between two structural bytes, or zero.
fn scalar_after(record: &[u8], from: usize, to: usize, key: u64) -> u64 {
    let text = record.get(from + 1..to).unwrap_or_default().trim_ascii();
    if text.is_empty() { 0 } else { bytes(key ^ 2, text) }
}

#[cfg(test)]
mod tests {
    use crate::{PathSet, Row, Walk};

    fn hash(record: &str) -> u64 {
        let walk = Walk::compile(&[&PathSet::new()]);
        let mut row = Row::new();
        walk.read(record.as_bytes(), &mut row).unwrap();
        row.canonical_hash()
    }

    #[test]
    fn order_and_space_do_not_matter_values_and_places_do() {
        let one = hash(r#"{"a":1,"b":{"c":"x","d":[1,true]},"e":null}"#);
        assert_eq!(one, hash("{ \"e\" : null, \"b\" : {\"d\": [1, true], \"c\":\"x\"},\n\"a\":1 }"));
        for other in [
            r#"{"a":2,"b":{"c":"x","d":[1,true]},"e":null}"#,
            r#"{"a":"1","b":{"c":"x","d":[1,true]},"e":null}"#,
            r#"{"a":1,"b":{"d":"x","c":[1,true]},"e":null}"#,
            r#"{"a":1,"c":{"c":"x","d":[1,true]},"e":null}"#,
            r#"{"a":1,"b":{"c":"x","d":[1,true]}}"#,
        ] {
            assert_ne!(one, hash(other), "{other}");
        }
        assert_ne!(hash(r#"{"a":"x","b":"y"}"#), hash(r#"{"a":"y","b":"x"}"#));
    }
}
