//! A hash of what a record says, whatever the order of its keys and the space between its tokens.

use crate::json::skip_space;

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

/// Hash of bytes under a seed: sixteen at a time, the last ones read again where they do not fill
/// up, so that few branches depend on the length.
#[inline]
fn bytes(seed: u64, text: &[u8]) -> u64 {
    let mut state = seed ^ (text.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    if let (Some(last), Some((_, most))) = (text.last_chunk(), text.split_last()) {
        for pair in most.as_chunks().0 {
            let [low, high] = halves(pair);
            state = fold(state ^ low, high);
        }
        let [low, high] = halves(last);
        return fold(state ^ low, high);
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return fold(state ^ u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return fold(state ^ u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)));
    }
    let byte = |at: usize| text.get(at).map_or(0, |&byte| u64::from(byte));
    fold(state ^ byte(0), byte(1) << 8 | byte(2))
}

#[inline]
fn halves(pair: &[u8; 16]) -> [u64; 2] {
    let (words, _) = pair.as_chunks::<8>();
    match words {
        [low, high] => [u64::from_le_bytes(*low), u64::from_le_bytes(*high)],
        _ => [0; 2],
    }
}

/// Sums the hashes of all values, each seeded with the keys and indices above it; `tokens` is the
/// structural index of `record`.
pub(crate) fn canonical(record: &[u8], tokens: &[u32], open: &mut Open) -> u64 {
    open.clear();
    let mut sum = Summer { record, tokens, open, key: 0, sum: 0 };
    let mut at = 0;
    while at < tokens.len() {
        at = sum.step(at);
    }
    sum.sum
}

/// For each open container, the hash of the path down to it, and for an array the next index.
pub(crate) type Open = Vec<(u64, Option<u64>)>;

struct Summer<'r> {
    record: &'r [u8],
    tokens: &'r [u32],
    open: &'r mut Open,
    /// Hash of the path to the value that comes next.
    key: u64,
    sum: u64,
}

impl Summer<'_> {
    #[inline]
    fn offset(&self, token: usize) -> usize {
        self.tokens.get(token).map_or(self.record.len(), |&at| at as usize)
    }

    #[inline]
    fn add(&mut self, kind: u64, from: usize, to: usize) {
        let text = self.record.get(from..to).unwrap_or_default();
        self.sum = self.sum.wrapping_add(bytes(self.key ^ kind, text));
    }

    /// Takes what begins at a token; gives the token after it.
    #[inline]
    fn step(&mut self, at: usize) -> usize {
        let place = self.offset(at);
        match self.record.get(place).copied().unwrap_or(0) {
            open @ (b'{' | b'[') => {
                self.sum = self.sum.wrapping_add(fold(self.key, u64::from(open)));
                self.open.push((self.key, (open == b'[').then_some(0)));
                if open == b'[' {
                    self.item(at, place);
                }
                at + 1
            }
            b'}' | b']' => {
                if let Some((key, _)) = self.open.pop() {
                    self.key = key;
                }
                at + 1
            }
            b'"' => match self.open.last() {
                Some(&(path, None)) => self.member(at, place, path),
                _ => {
                    self.add(TEXT, place + 1, self.offset(at + 1));
                    at + 2
                }
            },
            _ => {
                self.item(at, place);
                at + 1
            }
        }
    }

    /// A key of an object whose path is `path`, and its value when that is no container.
    #[inline]
    fn member(&mut self, at: usize, place: usize, path: u64) -> usize {
        let end = self.offset(at + 1);
        self.key = bytes(path, self.record.get(place + 1..end).unwrap_or_default());
        let colon = skip_space(self.record, end + 1);
        let value = skip_space(self.record, colon + 1);
        match self.record.get(value) {
            Some(b'"') => {
                self.add(TEXT, value + 1, self.offset(at + 3));
                at + 4
            }
            Some(b'{' | b'[') => at + 2,
            _ => {
                self.scalar(value, self.offset(at + 2));
                at + 2
            }
        }
    }

    /// The next member of an array behind the token at `place`, and its value when that stands alone.
    #[inline]
    fn item(&mut self, at: usize, place: usize) {
        let Some((path, Some(index))) = self.open.last_mut() else {
            return;
        };
        *index += 1;
        self.key = fold(*path, *index);
        let value = skip_space(self.record, place + 1);
        if !matches!(self.record.get(value), Some(b'"' | b'{' | b'[' | b']')) {
            self.scalar(value, self.offset(at + 1));
        }
    }

    /// A number, a boolean or null.
    fn scalar(&mut self, from: usize, to: usize) {
        let length = self.record.get(from..to).unwrap_or_default().trim_ascii_end().len();
        self.add(SCALAR, from, from + length);
    }
}

/// Tells texts from the scalars that are written alike.
const TEXT: u64 = 1;
const SCALAR: u64 = 2;

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
