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

/// Where the sum stands inside nested containers.
struct Walker {
    /// For each open container, the hash of the path down to it, and for an array the next index.
    open: Vec<(u64, Option<u64>)>,
    /// Hash of the path to the value that comes next.
    key: u64,
}

impl Walker {
    fn enter(&mut self, is_array: bool) {
        self.open.push((self.key, is_array.then_some(0)));
        self.item();
    }

    fn leave(&mut self) {
        if let Some((key, _)) = self.open.pop() {
            self.key = key;
        }
    }

    /// The path of the next member of an array.
    fn item(&mut self) {
        if let Some((path, Some(index))) = self.open.last_mut() {
            *index += 1;
            self.key = fold(*path, *index);
        }
    }

    fn name(&mut self, name: &[u8]) {
        self.key = bytes(self.open.last().map_or(0, |(path, _)| *path), name);
    }
}

/// Sums the hashes of all values, each seeded with the keys and indices above it; `tokens` is the
/// structural index of `record`.
pub(crate) fn canonical(record: &[u8], tokens: &[u32]) -> u64 {
    let mut sum = 0u64;
    let mut walker = Walker { open: Vec::with_capacity(16), key: 0 };
    let mut at = 0usize;
    let offset = |token: usize| tokens.get(token).map_or(record.len(), |&at| at as usize);
    let slice = |from: usize, to: usize| record.get(from..to).unwrap_or_default();
    while at < tokens.len() {
        let place = offset(at);
        let byte = record.get(place).copied().unwrap_or(0);
        match byte {
            b'{' | b'[' => {
                sum = sum.wrapping_add(fold(walker.key, u64::from(byte)));
                walker.enter(byte == b'[');
                sum = sum.wrapping_add(scalar_after(record, place, offset(at + 1), walker.key));
            }
            b'}' | b']' => walker.leave(),
            b'"' => {
                let inner = slice(place + 1, offset(at + 1));
                let after = crate::json::skip_space(record, offset(at + 1) + 1);
                if record.get(after) == Some(&b':') {
                    walker.name(inner);
                    sum = sum.wrapping_add(scalar_after(record, after, offset(at + 2), walker.key));
                } else {
                    sum = sum.wrapping_add(bytes(walker.key ^ 1, inner));
                }
                at += 1;
            }
            _ => {
                walker.item();
                sum = sum.wrapping_add(scalar_after(record, place, offset(at + 1), walker.key));
            }
        }
        at += 1;
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
            r#"{"a":1,"b":{"c":"x","d":[true,1]},"e":null}"#,
            r#"{"a":1,"b":{"c":"x","d":[1,true]},"e":null,"f":{}}"#,
        ] {
            assert_ne!(one, hash(other), "{other}");
        }
        assert_ne!(hash(r#"{"a":"x","b":"y"}"#), hash(r#"{"a":"y","b":"x"}"#));
    }
}
