//! A structural index of JSON text: where the braces, brackets, commas and quotes outside of
//! strings stand. Sixty-four bytes a step, after Langdale and Lemire, "Parsing gigabytes of JSON
//! per second" (VLDB Journal 28, 2019); colons are left out, since a key is always followed by one.

/// Which bytes of a block of 64 are what, one bit a byte.
#[derive(Clone, Copy)]
struct Masks {
    quote: u64,
    backslash: u64,
    operator: u64,
    /// Bytes that are not ASCII.
    high: u64,
}

impl Masks {
    /// These masks in the low half, others above.
    #[inline(always)]
    fn and(self, above: Masks) -> Masks {
        Masks {
            quote: self.quote | above.quote << 32,
            backslash: self.backslash | above.backslash << 32,
            operator: self.operator | above.operator << 32,
            high: self.high | above.high << 32,
        }
    }
}

/// Where the index stands between two blocks.
#[derive(Default)]
struct Carry {
    escaped: u64,
    in_string: u64,
}

/// What one pass over a text found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Whether the text ends inside a string.
    pub(crate) open_string: bool,
    /// Whether there is a backslash anywhere.
    pub(crate) has_escape: bool,
    /// Whether every byte is ASCII.
    pub(crate) is_ascii: bool,
}

impl Summary {
    /// The text that the pass went over, as far as it is UTF-8; else where it stops to be.
    pub(crate) fn text<'r>(&self, bytes: &'r [u8]) -> Result<&'r str, usize> {
        if self.is_ascii {
            debug_assert!(bytes.is_ascii());
            // SAFETY: every byte is ASCII, as the pass over these bytes found.
            #[expect(unsafe_code, reason = "a second look at every byte costs as much as finding a field")]
            return Ok(unsafe { std::str::from_utf8_unchecked(bytes) });
        }
        simdutf8::basic::from_utf8(bytes).or_else(|_| std::str::from_utf8(bytes).map_err(|error| error.valid_up_to()))
    }
}

/// Appends the positions of structural bytes of `text` to `tokens`.
pub(crate) fn build(text: &[u8], tokens: &mut Vec<u32>) -> Summary {
    #[cfg(target_arch = "x86_64")]
    if let Some(build) = x86::best() {
        // SAFETY: `best` gives only what this processor can run.
        #[expect(unsafe_code, reason = "the one call of what the processor was checked for")]
        return unsafe { build(text, tokens) };
    }
    build_portable(text, tokens)
}

fn build_portable(text: &[u8], tokens: &mut Vec<u32>) -> Summary {
    build_with(text, tokens, classify_portable, |rest| classify_portable(&padded(rest)), prefix_xor, push)
}

/// Less than a block, filled up with space.
#[inline(always)]
fn padded(rest: &[u8]) -> [u8; 64] {
    let mut block = [b' '; 64];
    for (slot, byte) in block.iter_mut().zip(rest) {
        *slot = *byte;
    }
    block
}

/// The pass itself: `classify` says what the bytes of one block are, `classify_rest` those behind the
/// last block, `prefix_xor` where strings are between quotes, and `push` adds the positions of set
/// bits to a base.
#[inline(always)]
fn build_with(
    text: &[u8],
    tokens: &mut Vec<u32>,
    classify: impl Fn(&[u8; 64]) -> Masks,
    classify_rest: impl Fn(&[u8]) -> Masks,
    prefix_xor: impl Fn(u64) -> u64,
    push: impl Fn(u64, u32, &mut Vec<u32>),
) -> Summary {
    let mut carry = Carry::default();
    let (mut any_backslash, mut any_high) = (0, 0);
    let (blocks, rest) = text.as_chunks::<64>();
    let mut base = 0u32;
    let mut take = |masks: Masks| {
        any_backslash |= masks.backslash;
        any_high |= masks.high;
        push(structural(masks, &mut carry, &prefix_xor), base, tokens);
        base = base.wrapping_add(64);
    };
    for block in blocks {
        take(classify(block));
    }
    if !rest.is_empty() {
        take(classify_rest(rest));
    }
    Summary { open_string: carry.in_string != 0, has_escape: any_backslash != 0, is_ascii: any_high == 0 }
}

#[inline(always)]
fn structural(masks: Masks, carry: &mut Carry, prefix_xor: &impl Fn(u64) -> u64) -> u64 {
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
    let mut masks = Masks { quote: 0, backslash: 0, operator: 0, high: 0 };
    for (at, &byte) in block.iter().enumerate() {
        let bit = 1u64 << at;
        match byte {
            b'"' => masks.quote |= bit,
            b'\\' => masks.backslash |= bit,
            b'{' | b'}' | b'[' | b']' | b',' => masks.operator |= bit,
            0x80.. => masks.high |= bit,
            _ => {}
        }
    }
    masks
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector intrinsics; compared with the portable pass by a test")]
mod x86 {
    use super::{Masks, Summary, build_with, padded};
    use std::arch::x86_64::*;

    type Build = unsafe fn(&[u8], &mut Vec<u32>) -> Summary;

    /// The fastest pass that this processor can run.
    pub(super) fn best() -> Option<Build> {
        all().into_iter().flatten().next()
    }

    /// Every pass that this processor can run, fastest first.
    pub(super) fn all() -> [Option<Build>; 2] {
        let has_avx2 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("pclmulqdq");
        let has_avx512 = has_avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi2");
        [has_avx512.then_some(build_avx512 as Build), has_avx2.then_some(build_avx2 as Build)]
    }

    /// How far ahead of the block at hand memory is asked for: records stand one behind the other.
    const PREFETCH_BYTES: usize = 2048;

    /// Room that one block may need.
    const TOKENS_PER_BLOCK_MAX: usize = 64;

    #[target_feature(enable = "avx2,bmi1,popcnt,pclmulqdq")]
    fn build_avx2(text: &[u8], tokens: &mut Vec<u32>) -> Summary {
        build_with(
            text,
            tokens,
            |block| classify_avx2(block),
            |rest| classify_avx2(&padded(rest)),
            |bits| prefix_xor(bits),
            |bits, base, tokens| push_avx2(bits, base, tokens),
        )
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn classify_avx2(block: &[u8; 64]) -> Masks {
        _mm_prefetch::<_MM_HINT_T0>(block.as_ptr().wrapping_add(PREFETCH_BYTES).cast());
        // SAFETY: both loads lie inside the block of 64 bytes; loadu asks for no alignment.
        let (low, high) =
            unsafe { (_mm256_loadu_si256(block.as_ptr().cast()), _mm256_loadu_si256(block.as_ptr().add(32).cast())) };
        half(low).and(half(high))
    }

    /// The masks of 32 bytes, in the low halves.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn half(bytes: __m256i) -> Masks {
        let equals = |what: u8, bytes: __m256i| _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(what.cast_signed()));
        let bits = |mask: __m256i| u64::from(_mm256_movemask_epi8(mask).cast_unsigned());
        // `[` and `{`, `]` and `}` differ by one bit only.
        let folded = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
        let braces = _mm256_or_si256(equals(b'{', folded), equals(b'}', folded));
        let operator = _mm256_or_si256(braces, equals(b',', bytes));
        Masks {
            quote: bits(equals(b'"', bytes)),
            backslash: bits(equals(b'\\', bytes)),
            operator: bits(operator),
            high: bits(bytes),
        }
    }

    /// In every bit, whether an odd number of bits up to it are set: a product without carries by all ones.
    #[inline]
    #[target_feature(enable = "pclmulqdq")]
    fn prefix_xor(bits: u64) -> u64 {
        let product = _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, bits.cast_signed()), _mm_set1_epi8(-1));
        _mm_cvtsi128_si64(product).cast_unsigned()
    }

    /// Eight positions at a time, the last of them in vain: cheaper than a branch for each.
    #[inline]
    #[target_feature(enable = "bmi1,popcnt")]
    fn push_avx2(mut bits: u64, base: u32, tokens: &mut Vec<u32>) {
        let count = bits.count_ones() as usize;
        tokens.reserve(TOKENS_PER_BLOCK_MAX);
        let length = tokens.len();
        let mut written = 0;
        while written < count {
            for step in 0..8 {
                // SAFETY: `written` is a multiple of 8 below `count` <= 64, so at most 64 places
                // behind `length` are written, and as many are reserved.
                unsafe { tokens.as_mut_ptr().add(length + written + step).write(base.wrapping_add(bits.trailing_zeros())) };
                bits &= bits.wrapping_sub(1);
            }
            written += 8;
        }
        // SAFETY: `count` places behind `length` are written.
        unsafe { tokens.set_len(length + count) };
    }

    #[target_feature(enable = "avx2,bmi1,popcnt,pclmulqdq,avx512f,avx512bw,avx512vbmi2")]
    fn build_avx512(text: &[u8], tokens: &mut Vec<u32>) -> Summary {
        build_with(
            text,
            tokens,
            |block| {
                _mm_prefetch::<_MM_HINT_T0>(block.as_ptr().wrapping_add(PREFETCH_BYTES).cast());
                // SAFETY: the load lies inside the block of 64 bytes; loadu asks for no alignment.
                classify_avx512(unsafe { _mm512_loadu_si512(block.as_ptr().cast()) })
            },
            |rest| {
                let wanted = !(u64::MAX << (rest.len() as u32 % 64));
                // SAFETY: only bytes of `rest`, less than 64, are loaded; the others stay spaces.
                classify_avx512(unsafe { _mm512_mask_loadu_epi8(_mm512_set1_epi8(0x20), wanted, rest.as_ptr().cast()) })
            },
            |bits| prefix_xor(bits),
            |bits, base, tokens| push_avx512(bits, base, tokens),
        )
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn classify_avx512(bytes: __m512i) -> Masks {
        let equals = |what: u8, bytes: __m512i| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(what.cast_signed()));
        let folded = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
        Masks {
            quote: equals(b'"', bytes),
            backslash: equals(b'\\', bytes),
            operator: equals(b'{', folded) | equals(b'}', folded) | equals(b',', bytes),
            high: _mm512_movepi8_mask(bytes),
        }
    }

    /// Presses the numbers of set bits together, sixteen at a time.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
    fn push_avx512(bits: u64, base: u32, tokens: &mut Vec<u32>) {
        const NUMBERS: [u8; 64] = {
            let mut numbers = [0; 64];
            let (mut rest, mut next) = (numbers.as_mut_slice(), 0);
            while let Some((first, others)) = rest.split_first_mut() {
                (*first, rest) = (next, others);
                next += 1;
            }
            numbers
        };
        let count = bits.count_ones() as usize;
        tokens.reserve(TOKENS_PER_BLOCK_MAX);
        let length = tokens.len();
        // SAFETY: `NUMBERS` has 64 bytes.
        let mut pressed = _mm512_maskz_compress_epi8(bits, unsafe { _mm512_loadu_si512(NUMBERS.as_ptr().cast()) });
        let base = _mm512_set1_epi32(base.cast_signed());
        let mut written = 0;
        while written < count {
            let positions = _mm512_add_epi32(base, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(pressed)));
            // SAFETY: `written` is a multiple of 16 below `count` <= 64, so at most 64 places
            // behind `length` are written, and as many are reserved.
            unsafe { _mm512_storeu_si512(tokens.as_mut_ptr().add(length + written).cast(), positions) };
            pressed = _mm512_alignr_epi64::<2>(_mm512_setzero_si512(), pressed);
            written += 16;
        }
        // SAFETY: `count` places behind `length` are written.
        unsafe { tokens.set_len(length + count) };
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
            let mut portable = Vec::new();
            let summary = build_portable(&text, &mut portable);
            prop_assert_eq!(&portable, &by_definition(&text));
            prop_assert_eq!(summary.is_ascii, text.is_ascii());
            #[cfg(target_arch = "x86_64")]
            for build in x86::all().into_iter().flatten() {
                let mut tokens = Vec::new();
                // SAFETY: `all` gives only what this processor can run.
                #[expect(unsafe_code, reason = "calls what the processor was checked for")]
                let other = unsafe { build(&text, &mut tokens) };
                prop_assert_eq!(&tokens, &portable);
                prop_assert_eq!(other, summary);
            }
        }
    }
}
