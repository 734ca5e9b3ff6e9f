//! Field paths, interned once and named by a small number afterwards.

use std::sync::Arc;

use hashbrown::HashMap;

/// The number of one path inside its [`PathSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub u32);

impl SlotId {
    /// The slot as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An ordered set of dotted field paths, such as `userIdentity.arn`.
///
/// A path names keys of nested objects and goes through arrays: `a.b` finds `b` in every member of
/// an array `a`. A record whose top-level key is literally `a.b` matches too, and so does the rest of a path
/// as one key of an object at any depth: flattened exports and nested records read the same.
#[derive(Debug, Clone, Default)]
pub struct PathSet {
    /// Shared with the copies of the set, of which every log type has some.
    paths: Vec<Arc<str>>,
    slots: HashMap<Arc<str>, SlotId>,
}

impl PathSet {
    /// An empty set.
    pub fn new() -> PathSet {
        PathSet::default()
    }

    /// Adds a path, or finds the slot it already has.
    pub fn intern(&mut self, path: &str) -> SlotId {
        if let Some(&slot) = self.slots.get(path) {
            return slot;
        }
        let slot = SlotId(u32::try_from(self.paths.len()).unwrap_or(u32::MAX));
        let path: Arc<str> = Arc::from(path);
        self.paths.push(Arc::clone(&path));
        self.slots.insert(path, slot);
        slot
    }

    /// The slot of a path, if it is in the set.
    pub fn slot(&self, path: &str) -> Option<SlotId> {
        self.slots.get(path).copied()
    }

    /// The path of a slot.
    pub fn path(&self, slot: SlotId) -> Option<&str> {
        self.paths.get(slot.index()).map(AsRef::as_ref)
    }

    /// All paths in slot order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(AsRef::as_ref)
    }

    /// The same slots, of which only some have a path: the others have no value in any record.
    pub fn masked(&self, is_kept: impl Fn(SlotId) -> bool) -> PathSet {
        let empty: Arc<str> = Arc::from("");
        let mut masked = PathSet::new();
        for (number, path) in self.paths.iter().enumerate() {
            let slot = SlotId(u32::try_from(number).unwrap_or(u32::MAX));
            if is_kept(slot) {
                masked.slots.insert(Arc::clone(path), slot);
            }
            masked.paths.push(Arc::clone(if is_kept(slot) { path } else { &empty }));
        }
        masked
    }

    /// How many paths there are.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Whether there is no path.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}
