//! Tokens: what the needle index knows of a record.
//!
//! A token is a maximal run of `[A-Za-z0-9._-]` of at least [`TOKEN_BYTES_MIN`] bytes, its ASCII case
//! folded. A filter may exclude a block only by tokens that the wanted text contains whole (design
//! D7): a first or last run of the text counts only when a byte that is no part of a token bounds it
//! inside the text.

/// Shorter runs are not indexed.
pub(crate) const TOKEN_BYTES_MIN: usize = 3;
/// A longer run is indexed by its head and length: values such as policies in base64 stay cheap.
const TOKEN_BYTES_HASHED: usize = 64;

/// Whether a byte is part of tokens.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let is_digit = byte.wrapping_sub(b'0') < 10;
    // No short ways: compilers then look at many bytes at once.
    is_letter | is_digit | (byte == b'.') | (byte == b'_') | (byte == b'-')
}

/// Bytes that are looked at together.
const CHUNK: usize = 64;

/// One bit a byte, the first lowest: whether it is part of tokens.
fn mask(bytes: &[u8; CHUNK]) -> u64 {
    let flags = bytes.map(|byte| u8::from(is_token_byte(byte)));
    let gathered = |eight: &[u8; 8]| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    flags.as_chunks::<8>().0.iter().rev().fold(0, |mask, eight| mask << 8 | gathered(eight))
}

/// Calls `visit` with the hash of every token of a text.
pub(crate) fn each_token(text: &[u8], visit: &mut impl FnMut(u64)) {
    let (chunks, rest) = text.as_chunks::<CHUNK>();
    // Behind the text stands what is in no token, so that every run ends.
    let mut last = [0; CHUNK];
    last.iter_mut().zip(rest).for_each(|(space, byte)| *space = *byte);
    let mut begun: Option<usize> = None;
    for (number, chunk) in chunks.iter().chain([&last]).enumerate() {
        let mask = mask(chunk);
        let mut edges = mask ^ (mask << 1 | u64::from(begun.is_some()));
        while edges != 0 {
            let at = number * CHUNK + edges.trailing_zeros() as usize;
            edges &= edges - 1;
            match begun.take() {
                None => begun = Some(at),
                Some(start) if at - start >= TOKEN_BYTES_MIN => visit(hash(text.get(start..at).unwrap_or_default())),
                Some(_) => {}
            }
        }
    }
}

/// Hashes of the tokens that every text containing `part` has: runs bounded inside it. `is_begun` and
/// `is_ended` say that the text begins, or ends, at the edge of a word wherever it is found.
pub(crate) fn whole_tokens(part: &[u8], is_begun: bool, is_ended: bool) -> Vec<u64> {
    let head = part.iter().position(|byte| !is_token_byte(*byte));
    let tail = part.iter().rposition(|byte| !is_token_byte(*byte));
    let start = if is_begun { 0 } else { head.unwrap_or(part.len()) };
    let end = if is_ended { part.len() } else { tail.unwrap_or(0) };
    let mut tokens = Vec::new();
    each_token(part.get(start..end).unwrap_or_default(), &mut |token| tokens.push(token));
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
const MULTIPLIER: u64 = 0xD6E8_FEB8_6659_FD93;
const CASE_BITS: u64 = 0x2020_2020_2020_2020;

/// Hash of a token, whatever its case. Bit 5 is set in every byte: it folds letters, leaves digits,
/// `-` and `.` apart from them, and makes only `_` equal to a byte that is in no token.
pub(crate) fn hash(token: &[u8]) -> u64 {
    let head = token.get(..TOKEN_BYTES_HASHED).unwrap_or(token);
    fold(SEED ^ token.len() as u64, head)
}

/// What begins the hashes of the values of a column.
pub(crate) fn seed(column: &str) -> u64 {
    fold(!SEED, column.as_bytes())
}

/// Hash of a whole value of a column, whatever its ASCII case; apart from all tokens. Other bytes that
/// differ in bit 5 only are taken for one another: a block is then read for nothing, and none is missed.
pub(crate) fn hash_value(seed: u64, value: &[u8]) -> u64 {
    fold(seed ^ value.len() as u64, value)
}

/// Takes bytes into a hash, eight at a time; the last eight overlap those before.
fn fold(mut state: u64, bytes: &[u8]) -> u64 {
    let mut take = |word: u64| state = mix(state ^ (word | CASE_BITS));
    if let Some(last) = bytes.last_chunk::<8>() {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| take(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            take(u64::from_le_bytes(*last));
        }
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        take(u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)));
    } else {
        take(bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    }
    mix(state)
}

fn mix(state: u64) -> u64 {
    let product = u128::from(state).wrapping_mul(u128::from(MULTIPLIER));
    (product as u64) ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<u64> {
        let mut found = Vec::new();
        each_token(text.as_bytes(), &mut |token| found.push(token));
        found
    }

    #[test]
    fn tokens_are_maximal_runs_of_three_or_more() {
        let cases: [(&str, &[&str]); 5] = [
            (r#"{"a":"bc","def":"G-h.i_j"}"#, &["def", "g-h.i_j"]),
            ("192.0.2.1 ab", &["192.0.2.1"]),
            ("", &[]),
            ("x/yy/zzz", &["zzz"]),
            ("caf\u{e9}teria", &["caf", "teria"]),
        ];
        for (text, wanted) in cases {
            assert_eq!(tokens(text), wanted.iter().map(|token| hash(token.as_bytes())).collect::<Vec<_>>(), "{text}");
        }
    }

    #[test]
    fn tokens_are_found_wherever_chunks_end() {
        let naive = |text: &[u8]| {
            let runs = text.split(|byte| !is_token_byte(*byte)).filter(|run| run.len() >= TOKEN_BYTES_MIN);
            runs.map(hash).collect::<Vec<_>>()
        };
        let text: Vec<u8> = (0..4000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for from in 0..130 {
            for length in [0, 1, 63, 64, 65, 127, 128, 129, 1000, 3000] {
                let mut found = Vec::new();
                let part = &text[from..from + length];
                each_token(part, &mut |token| found.push(token));
                assert_eq!(found, naive(part), "{from} {length}");
            }
        }
        assert_eq!(tokens(&"a".repeat(64)), [hash("A".repeat(64).as_bytes())]);
        assert_eq!(tokens(&"a".repeat(200)).len(), 1);
    }

    #[test]
    fn hashes_ignore_case_and_see_every_byte() {
        for length in 3..80usize {
            let token: String = (0..length).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
            assert_eq!(hash(token.as_bytes()), hash(token.to_ascii_uppercase().as_bytes()));
            for at in 0..length.min(TOKEN_BYTES_HASHED) {
                let mut other = token.clone().into_bytes();
                other[at] = b'0';
                assert_ne!(hash(token.as_bytes()), hash(&other), "{length} {at}");
                assert_ne!(hash_value(seed("a"), token.as_bytes()), hash_value(seed("a"), &other));
            }
            assert_ne!(hash_value(seed("a"), token.as_bytes()), hash_value(seed("b"), token.as_bytes()));
        }
    }

    #[test]
    fn only_runs_bounded_inside_the_part_count() {
        let cases: [(&str, &[&str]); 6] = [
            ("stratus-red-team", &[]),
            ("\"stratus\"", &["stratus"]),
            ("role/admin", &[]),
            ("a:role/admin:b", &["role", "admin"]),
            (":role/adm", &["role"]),
            ("", &[]),
        ];
        for (part, wanted) in cases {
            let mut wanted: Vec<u64> = wanted.iter().map(|token| hash(token.as_bytes())).collect();
            wanted.sort_unstable();
            assert_eq!(whole_tokens(part.as_bytes(), false, false), wanted, "{part}");
        }
        assert_eq!(whole_tokens(b"admin", true, true), [hash(b"ADMIN")]);
    }
}
