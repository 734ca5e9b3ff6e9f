//! A hash of what a record says, whatever the order of its keys and the space between its tokens.

/// One multiply-and-fold step (the core of wyhash); stable for ever, since ids depend on it.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a ^ 0xA076_1D64_78BD_642F) * u128::from(b ^ 0xE703_7ED1_A0B4_28DB);
    wide as u64 ^ (wide >> 64) as u64
}

/// A stable hash of a text, for tables and for counting; not for proofs.
pub fn text(text: &[u8]) -> u64 {
    bytes(0, text)
}

/// Hash of bytes under a seed: sixteen at a time, the last ones read again where they do not fill up.
#[inline]
pub(crate) fn bytes(seed: u64, text: &[u8]) -> u64 {
    let mut state = seed ^ (text.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let (pairs, rest) = text.as_chunks::<16>();
    for pair in pairs {
        let [low, high] = halves(pair);
        state = fold(state ^ low, high);
    }
    let word = |bytes: Option<&[u8; 8]>| bytes.map(|bytes| u64::from_le_bytes(*bytes));
    let half = |bytes: Option<&[u8; 4]>| bytes.map(|bytes| u64::from(u32::from_le_bytes(*bytes)));
    let ends =
        word(rest.first_chunk()).zip(word(rest.last_chunk())).or_else(|| half(rest.first_chunk()).zip(half(rest.last_chunk())));
    match (ends, rest) {
        (Some((first, last)), _) => fold(state ^ first, last),
        (None, [first, .., last]) => {
            fold(state ^ u64::from(*first), u64::from(*last) << 8 | u64::from(rest.get(1).copied().unwrap_or(0)))
        }
        (None, [only]) => fold(state ^ u64::from(*only), 0),
        (None, []) => fold(state, 1),
    }
}

#[inline]
fn halves(pair: &[u8; 16]) -> [u64; 2] {
    let (words, _) = pair.as_chunks::<8>();
    match words {
        [low, high] => [u64::from_le_bytes(*low), u64::from_le_bytes(*high)],
        _ => [0; 2],
    }
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
        // The place behind which a value without quotes and brackets may stand, up to the next token.
        let mut before = place;
        match byte {
            b'{' | b'[' => {
                sum = sum.wrapping_add(fold(walker.key, u64::from(byte)));
                walker.enter(byte == b'[');
            }
            b'}' | b']' => {
                walker.leave();
                at += 1;
                continue;
            }
            b'"' => {
                let end = offset(at + 1);
                let inner = slice(place + 1, end);
                let after = crate::json::skip_space(record, end + 1);
                at += 1;
                if record.get(after) != Some(&b':') {
                    sum = sum.wrapping_add(bytes(walker.key ^ 1, inner));
                    at += 1;
                    continue;
                }
                walker.name(inner);
                before = after;
            }
            _ => walker.item(),
        }
        at += 1;
        sum = sum.wrapping_add(scalar_between(record, before + 1, offset(at), walker.key));
    }
    sum
}

/// Hash of the number, boolean or null that stands alone between two structural bytes, or zero.
#[inline]
fn scalar_between(record: &[u8], from: usize, to: usize, key: u64) -> u64 {
    // Most often a quote or a bracket follows at once.
    let text = record.get(from..to).unwrap_or_default().trim_ascii();
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
    fn every_byte_of_a_text_counts() {
        let mut seen = std::collections::HashSet::new();
        for length in 0..70 {
            let plain = vec![b'a'; length];
            assert!(seen.insert(super::text(&plain)), "{length}");
            for at in 0..length {
                let mut other = plain.clone();
                other[at] = b'b';
                assert!(seen.insert(super::text(&other)), "{length} {at}");
            }
        }
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
