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

#[expect(clippy::indexing_slicing, reason = "evaluated when it is compiled")]
const IS_TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let c = byte as u8;
        table[byte] = c.is_ascii_alphanumeric() || c == b'.' || c == b'_' || c == b'-';
        byte += 1;
    }
    table
};

/// Whether a byte is part of tokens.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    IS_TOKEN.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Calls `visit` with the hash of every token of a text.
pub(crate) fn each_token(text: &[u8], visit: &mut impl FnMut(u64)) {
    let mut start = 0;
    while let Some(rest) = text.get(start..) {
        let Some(skip) = rest.iter().position(|byte| is_token_byte(*byte)) else {
            return;
        };
        let run = rest.get(skip..).unwrap_or_default();
        let length = run.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(run.len());
        if length >= TOKEN_BYTES_MIN {
            visit(hash(run.get(..length).unwrap_or_default()));
        }
        start += skip + length;
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
    let mut state = SEED ^ token.len() as u64;
    let (words, rest) = head.as_chunks::<8>();
    for word in words {
        state = mix(state ^ (u64::from_le_bytes(*word) | CASE_BITS));
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        for (space, byte) in last.iter_mut().zip(rest) {
            *space = *byte;
        }
        state = mix(state ^ (u64::from_le_bytes(last) | CASE_BITS));
    }
    mix(state)
}

/// Hash of a whole value of a column, whatever its ASCII case; apart from all tokens.
pub(crate) fn hash_value(column: &str, value: &[u8]) -> u64 {
    let mut state = SEED ^ 0xFF;
    for bytes in [column.as_bytes(), b"\0", value] {
        for byte in bytes {
            state = (state ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(MULTIPLIER);
            state ^= state >> 29;
        }
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
