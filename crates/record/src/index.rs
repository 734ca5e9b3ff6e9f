//! A structural index of JSON text: where the braces, brackets, commas and quotes outside of
//! strings stand. Sixty-four bytes a step, after Langdale and Lemire, "Parsing gigabytes of JSON
//! per second" (VLDB Journal 28, 2019); colons are left out, since a key is always followed by one.

/// Which bytes of a block of 64 are what, one bit a byte.
#[derive(Clone, Copy)]
struct Masks {
    quote: u64,
    backslash: u64,
    operator: u64,
}

/// Where the index stands between two blocks.
#[derive(Default)]
struct Carry {
    escaped: u64,
    in_string: u64,
}

/// What one pass over a text found.
pub(crate) struct Summary {
    /// Whether the text ends inside a string.
    pub(crate) open_string: bool,
    /// Whether there is a backslash anywhere.
    pub(crate) has_escape: bool,
}

/// Appends the positions of structural bytes of `text` to `tokens`.
pub(crate) fn build(text: &[u8], tokens: &mut Vec<u32>) -> Summary {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return x86::build(text, tokens);
    }
    build_with(text, tokens, classify_portable)
}

/// The pass itself; `classify` says what the bytes of one block are.
#[inline(always)]
fn build_with(text: &[u8], tokens: &mut Vec<u32>, classify: impl Fn(&[u8; 64]) -> Masks) -> Summary {
    let mut carry = Carry::default();
    let mut any_backslash = 0;
    let (blocks, rest) = text.as_chunks::<64>();
    tokens.reserve(text.len() / 6 + 64);
    let mut base = 0u32;
    for block in blocks {
        let masks = classify(block);
        any_backslash |= masks.backslash;
        push(structural(masks, &mut carry), base, tokens);
        base = base.wrapping_add(64);
    }
    if !rest.is_empty() {
        let mut last = [b' '; 64];
        for (slot, byte) in last.iter_mut().zip(rest) {
            *slot = *byte;
        }
        let masks = classify(&last);
        any_backslash |= masks.backslash;
        push(structural(masks, &mut carry), base, tokens);
    }
    Summary { open_string: carry.in_string != 0, has_escape: any_backslash != 0 }
}

#[inline(always)]
fn structural(masks: Masks, carry: &mut Carry) -> u64 {
    let quotes = masks.quote & !escaped(masks.backslash, &mut carry.escaped);
    let in_string = prefix_xor(quotes) ^ carry.in_string;
    carry.in_string = 0u64.wrapping_sub(in_string >> 63);
    (masks.operator & !in_string) | quotes
}

/// Which bytes stand behind an odd run of backslashes.
#[inline(always)]
fn escaped(backslash: u64, carry: &mut u64) -> u64 {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    if backslash == 0 {
        return std::mem::take(carry);
    }
    let backslash = backslash & !*carry;
    let follows = (backslash << 1) | *carry;
    let odd_starts = backslash & !EVEN & !follows;
    let (even_runs, overflow) = odd_starts.overflowing_add(backslash);
    *carry = u64::from(overflow);
    (EVEN ^ (even_runs << 1)) & follows
}

#[inline(always)]
fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[inline(always)]
fn push(mut bits: u64, base: u32, tokens: &mut Vec<u32>) {
    while bits != 0 {
        tokens.push(base.wrapping_add(bits.trailing_zeros()));
        bits &= bits - 1;
    }
}

fn classify_portable(block: &[u8; 64]) -> Masks {
    let mut masks = Masks { quote: 0, backslash: 0, operator: 0 };
    for (at, &byte) in block.iter().enumerate() {
        let bit = 1u64 << at;
        match byte {
            b'"' => masks.quote |= bit,
            b'\\' => masks.backslash |= bit,
            b'{' | b'}' | b'[' | b']' | b',' => masks.operator |= bit,
            _ => {}
        }
    }
    masks
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector intrinsics; compared with the portable classifier by a test")]
mod x86 {
    use super::{Masks, Summary, build_with};
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
    };

    pub(super) fn build(text: &[u8], tokens: &mut Vec<u32>) -> Summary {
        // SAFETY: the caller checked that this processor has AVX2.
        unsafe { build_avx2(text, tokens) }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn build_avx2(text: &[u8], tokens: &mut Vec<u32>) -> Summary {
        build_with(text, tokens, |block| {
            // SAFETY: both loads lie inside the block of 64 bytes; loadu asks for no alignment.
            unsafe {
                let low = half(_mm256_loadu_si256(block.as_ptr().cast::<__m256i>()));
                let high = half(_mm256_loadu_si256(block.as_ptr().add(32).cast::<__m256i>()));
                Masks { quote: low.0 | (high.0 << 32), backslash: low.1 | (high.1 << 32), operator: low.2 | (high.2 << 32) }
            }
        })
    }

    /// Quote, backslash and operator bits of 32 bytes.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn half(bytes: __m256i) -> (u64, u64, u64) {
        let equals = |what: u8, bytes: __m256i| _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(what.cast_signed()));
        let bits = |mask: __m256i| u64::from(_mm256_movemask_epi8(mask).cast_unsigned());
        // `[` and `{`, `]` and `}` differ by one bit only.
        let folded = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
        let braces = _mm256_or_si256(equals(b'{', folded), equals(b'}', folded));
        let operator = _mm256_or_si256(braces, equals(b',', bytes));
        (bits(equals(b'"', bytes)), bits(equals(b'\\', bytes)), bits(operator))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The index by the definition: a quote toggles unless escaped, operators count outside.
    fn by_definition(text: &[u8]) -> Vec<u32> {
        let (mut tokens, mut in_string, mut escape) = (Vec::new(), false, false);
        for (at, &byte) in text.iter().enumerate() {
            let now_escaped = std::mem::take(&mut escape);
            match byte {
                b'\\' if !now_escaped => escape = true,
                b'"' if !now_escaped => {
                    in_string = !in_string;
                    tokens.push(at as u32);
                }
                b'{' | b'}' | b'[' | b']' | b',' if !in_string => tokens.push(at as u32),
                _ => {}
            }
        }
        tokens
    }

    proptest! {
        #[test]
        fn every_classifier_agrees_with_the_definition(text in proptest::collection::vec(
            prop_oneof![Just(b'"'), Just(b'\\'), Just(b'{'), Just(b','), Just(b']'), Just(b'a'), any::<u8>()], 0..300)) {
            let (mut fast, mut portable) = (Vec::new(), Vec::new());
            build(&text, &mut fast);
            build_with(&text, &mut portable, classify_portable);
            prop_assert_eq!(&fast, &portable);
            prop_assert_eq!(fast, by_definition(&text));
        }
    }
}
