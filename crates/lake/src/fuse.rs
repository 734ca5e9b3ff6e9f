//! Binary fuse filters: a set of 64-bit keys in about nine bits each, of which one stranger in 256
//! (or in 65,536 with sixteen bits) is taken for a member, and no member is ever missed.
//!
//! Source: Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters", 2022. Our own
//! since filters are asked where they lie on disk, three bytes each, without being read whole.

/// How a fingerprint is stored.
pub(crate) trait Fingerprint: Copy + Default + PartialEq + std::ops::BitXor<Output = Self> {
    /// From a mixed key.
    fn of(hash: u64) -> Self;
    /// Its bytes, least first.
    fn write(self, out: &mut Vec<u8>);
}

impl Fingerprint for u8 {
    fn of(hash: u64) -> u8 {
        (hash ^ (hash >> 32)) as u8
    }

    fn write(self, out: &mut Vec<u8>) {
        out.push(self);
    }
}

impl Fingerprint for u16 {
    fn of(hash: u64) -> u16 {
        (hash ^ (hash >> 32)) as u16
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

/// Where the fingerprints of a filter's keys lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Shape {
    pub(crate) seed: u64,
    /// A power of two.
    pub(crate) segment_length: u32,
    /// Segments that a key may begin in.
    pub(crate) segment_count: u32,
}

impl Shape {
    fn of(keys: usize, seed: u64) -> Shape {
        let keys = keys.max(2) as f64;
        let exponent = (keys.ln() / 3.33f64.ln() + 2.25).floor().clamp(2.0, 18.0);
        let segment_length = 1u32 << exponent as u32;
        let factor = (0.875 + 0.25 * 1_000_000f64.ln() / keys.ln()).max(1.125);
        let capacity = (keys * factor).round() as u64;
        let segments = capacity.div_ceil(u64::from(segment_length)).max(3);
        Shape { seed, segment_length, segment_count: u32::try_from(segments - 2).unwrap_or(u32::MAX) }
    }

    /// Fingerprints that the filter holds.
    pub(crate) fn len(self) -> usize {
        (self.segment_count as usize + 2) * self.segment_length as usize
    }

    /// The mixed key, and the three places whose fingerprints combine to its own.
    pub(crate) fn places(self, key: u64) -> (u64, [usize; 3]) {
        let hash = mix(key.wrapping_add(self.seed));
        let span = u64::from(self.segment_count) * u64::from(self.segment_length);
        let first = ((u128::from(hash) * u128::from(span)) >> 64) as u32;
        let mask = self.segment_length.wrapping_sub(1);
        let second = first.wrapping_add(self.segment_length) ^ ((hash >> 18) as u32 & mask);
        let third = first.wrapping_add(self.segment_length.wrapping_mul(2)) ^ (hash as u32 & mask);
        (hash, [first as usize, second as usize, third as usize])
    }
}

/// Whether a filter may hold a key; `read` gives the fingerprint at a place.
pub(crate) fn may_hold<F: Fingerprint>(shape: Shape, key: u64, read: impl Fn(usize) -> F) -> bool {
    let (hash, [first, second, third]) = shape.places(key);
    F::of(hash) == read(first) ^ read(second) ^ read(third)
}

/// Seeds tried; each fails with a chance well below one in ten.
const SEEDS_MAX: u64 = 64;

/// Builds the filter of distinct keys: its shape and its fingerprints. None when no seed of
/// [`SEEDS_MAX`] fits, which happens to no set of distinct keys in practice; the caller then goes
/// without a filter, which excludes nothing.
pub(crate) fn build<F: Fingerprint>(keys: &[u64]) -> Option<(Shape, Vec<F>)> {
    (0..SEEDS_MAX).find_map(|attempt| {
        let shape = Shape::of(keys.len(), mix(attempt.wrapping_add(0x5EED)));
        assign(shape, keys).map(|fingerprints| (shape, fingerprints))
    })
}

/// Peels keys off until none is left, then gives each its place in the opposite order.
fn assign<F: Fingerprint>(shape: Shape, keys: &[u64]) -> Option<Vec<F>> {
    // For each place how many keys use it, and the exclusive or of them.
    let mut uses = vec![(0u32, 0u64); shape.len()];
    for &key in keys {
        for place in shape.places(key).1 {
            let (count, sum) = uses.get_mut(place)?;
            *count += 1;
            *sum ^= key;
        }
    }
    let mut single: Vec<usize> = (0..uses.len()).filter(|place| uses.get(*place).is_some_and(|(count, _)| *count == 1)).collect();
    let mut order: Vec<(u64, usize)> = Vec::with_capacity(keys.len());
    while let Some(place) = single.pop() {
        let &(count, key) = uses.get(place)?;
        if count != 1 {
            continue;
        }
        order.push((key, place));
        for other in shape.places(key).1 {
            let (count, sum) = uses.get_mut(other)?;
            *count -= 1;
            *sum ^= key;
            if *count == 1 {
                single.push(other);
            }
        }
    }
    if order.len() != keys.len() {
        return None;
    }
    let mut fingerprints = vec![F::default(); shape.len()];
    for &(key, place) in order.iter().rev() {
        let (hash, places) = shape.places(key);
        let others = places.into_iter().filter(|other| *other != place);
        let sum = others.filter_map(|other| fingerprints.get(other)).fold(F::of(hash), |sum, other| sum ^ *other);
        *fingerprints.get_mut(place)? = sum;
    }
    Some(fingerprints)
}

/// The finaliser of MurmurHash3.
fn mix(mut key: u64) -> u64 {
    key = (key ^ (key >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    key = (key ^ (key >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    key ^ (key >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_never_missed_and_strangers_are_rare() {
        for count in [0usize, 1, 2, 3, 10, 100, 1_000, 50_000] {
            let keys: Vec<u64> = (0..count as u64).map(|number| mix(number ^ 77)).collect();
            let (shape, bytes) = build::<u8>(&keys).expect("distinct keys");
            let holds = |key| may_hold(shape, key, |place| bytes.get(place).copied().unwrap_or_default());
            assert!(keys.iter().all(|key| holds(*key)), "{count}");
            let strangers = (0..100_000u64).filter(|number| holds(mix(number ^ 0xABCD_0000_0000))).count();
            assert!(count == 0 || strangers < 800, "{strangers} of 100000 with {count} keys");
        }
    }

    #[test]
    fn large_sets_take_nine_bits_a_key() {
        let keys: Vec<u64> = (0..200_000u64).map(mix).collect();
        let (shape, _) = build::<u16>(&keys).expect("distinct keys");
        assert!(shape.len() < 200_000 * 118 / 100, "{}", shape.len());
    }
}
