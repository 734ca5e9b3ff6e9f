//! Seeded randomness: the same seed and stream always give the same numbers, ids and picks.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// Letters and digits of generated ids.
const CAPITALS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Letters and digits of generated object names.
const MIXED: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789Kq";

/// A source of seeded numbers.
#[derive(Debug)]
pub(crate) struct Chance {
    numbers: ChaCha8Rng,
}

impl Chance {
    /// The numbers of one stream of a seed; streams of one seed do not touch each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut numbers = ChaCha8Rng::seed_from_u64(seed);
        numbers.set_stream(stream);
        Self { numbers }
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.numbers.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number from `low` to `high`, both possible; `low` when the range is empty.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high.saturating_sub(low)).unwrap_or(0);
        let step = self.below(width.saturating_add(1));
        low.saturating_add(i64::try_from(step).unwrap_or(0))
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < u64::from(percent)
    }

    /// An index into a list of this length; 0 when it is empty.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        let bound = u64::try_from(length).unwrap_or(0);
        usize::try_from(self.below(bound)).unwrap_or(0)
    }

    /// 128 random bits.
    pub(crate) fn wide(&mut self) -> u128 {
        let high = u128::from(self.numbers.next_u64());
        let low = u128::from(self.numbers.next_u64());
        (high << 64) | low
    }

    /// The text of a random UUID, version 4.
    pub(crate) fn uuid(&mut self) -> [u8; 36] {
        let version = 0x4000_u128 << 64;
        let variant = 0x8000_0000_0000_0000_u128;
        let kept = !((0xf000_u128 << 64) | 0xc000_0000_0000_0000_u128);
        let mut bits = (self.wide() & kept) | version | variant;
        let mut text = [b'-'; 36];
        for (place, byte) in text.iter_mut().enumerate() {
            if !matches!(place, 8 | 13 | 18 | 23) {
                *byte = hex_digit(bits >> 124);
                bits <<= 4;
            }
        }
        text
    }

    /// One capital letter or digit.
    pub(crate) fn capital(&mut self) -> u8 {
        capital(u128::from(self.numbers.next_u64()))
    }

    /// A word of 16 letters and digits, for object names.
    pub(crate) fn word(&mut self) -> String {
        let mut bits = self.wide();
        let mut word = String::with_capacity(16);
        for _ in 0..16 {
            let place = usize::try_from(bits & 63).unwrap_or(0);
            word.push(char::from(MIXED.get(place).copied().unwrap_or(b'x')));
            bits >>= 6;
        }
        word
    }
}

/// The hexadecimal digit of the lowest four bits.
pub(crate) fn hex_digit(bits: u128) -> u8 {
    let value = u8::try_from(bits & 15).unwrap_or(0);
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

/// The capital letter or digit of the lowest five bits.
pub(crate) fn capital(bits: u128) -> u8 {
    let place = usize::try_from(bits & 31).unwrap_or(0);
    CAPITALS.get(place).copied().unwrap_or(b'A')
}
