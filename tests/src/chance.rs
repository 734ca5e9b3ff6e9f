//! A generator of our own, so that a failure can be run again by its seed (xorshift64).

/// Numbers that look random and follow from the seed, which is not 0.
pub struct Chance(pub u64);

impl Chance {
    /// A number below `below`; 0 when that is 0.
    pub fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below.max(1)
    }

    /// A place in a list of this length.
    pub fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.next(length as u64)).unwrap_or(0)
    }
}
