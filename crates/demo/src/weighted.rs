//! Picks one of several things, some more often than others.

use crate::chance::Chance;

/// Things with weights, as running sums.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weighted {
    upper: Vec<u64>,
    items: Vec<usize>,
}

impl Weighted {
    /// Adds a thing; without weight it is never picked and not kept.
    pub(crate) fn add(&mut self, item: usize, weight: u64) {
        if weight > 0 {
            self.upper.push(self.total().saturating_add(weight));
            self.items.push(item);
        }
    }

    /// The sum of all weights.
    pub(crate) fn total(&self) -> u64 {
        self.upper.last().copied().unwrap_or(0)
    }

    /// One of the things, or nothing when there is none.
    pub(crate) fn pick(&self, chance: &mut Chance) -> Option<usize> {
        let mark = chance.below(self.total());
        let place = self.upper.partition_point(|upper| *upper <= mark);
        self.items.get(place).copied()
    }
}
