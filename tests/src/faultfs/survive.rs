//! What a power cut leaves: everything that was flushed, and of the rest what chance and the file
//! system's promises allow.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Change, Kind, ROOT, Tree};
use crate::chance::Chance;

/// Bytes that a disk writes as a whole.
const SECTOR_BYTES: u64 = 512;
/// Bytes that the system writes in any order.
const PAGE_BYTES: u64 = 4096;

/// What happens to changes that were not flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// None is kept.
    Dropped,
    /// Of each file the first ones are kept, and the last of those ends at a multiple of 512 bytes; of
    /// the names the first ones.
    Torn,
    /// Each name, each length and each page of 4 KiB is kept or lost on its own; some pages are torn.
    Reordered,
}

/// When a name in a folder is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// When its folder was flushed, as POSIX says and nothing more.
    Strict,
    /// When anything was flushed later, and never before an older one, as the journals of ext4 and XFS do.
    Journal,
}

/// How a cut is survived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survival {
    /// What is lost.
    pub loss: Loss,
    /// Which names are durable.
    pub names: Names,
}

impl Survival {
    /// One of the six.
    pub fn any(chance: &mut Chance) -> Survival {
        let loss = [Loss::Dropped, Loss::Torn, Loss::Reordered][chance.place(3)];
        let names = [Names::Strict, Names::Journal][chance.place(2)];
        Survival { loss, names }
    }
}

/// A disk as it was, and what was done to it since.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Everything here is durable.
    pub base: Tree,
    /// What was done, in order.
    pub changes: Vec<Change>,
}

/// What is left of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Whole,
    Gone,
    /// Of a write: ranges of the file.
    Parts(Vec<(u64, u64)>),
}

impl Recording {
    /// The recording up to the first `length` changes.
    pub fn first(&self, length: usize) -> Recording {
        Recording { base: self.base.clone(), changes: self.changes[..length].to_vec() }
    }

    /// What is left when the power goes behind the first `length` changes.
    pub fn survivor(&self, length: usize, how: Survival, chance: &mut Chance) -> Tree {
        let changes = &self.changes[..length];
        let mut fates = durable(changes, how.names);
        let mut lengths = BTreeMap::new();
        match how.loss {
            Loss::Dropped => {}
            Loss::Torn => tear_files(changes, &mut fates, chance),
            Loss::Reordered => lengths = scatter_files(changes, &self.shrinks(length), &mut fates, chance),
        }
        if how.loss == Loss::Torn || (how.loss == Loss::Reordered && how.names == Names::Journal) {
            keep_first_names(changes, &mut fates, chance);
        } else if how.loss == Loss::Reordered {
            for (change, fate) in changes.iter().zip(&mut fates) {
                if is_name(change) && *fate == Fate::Gone && chance.next(2) == 0 {
                    *fate = Fate::Whole;
                }
            }
        }
        let mut tree = self.base.clone();
        for (change, fate) in changes.iter().zip(&fates) {
            match (change, fate) {
                (_, Fate::Whole) => tree.apply(change),
                (Change::Write { node, at, bytes }, Fate::Parts(parts)) => {
                    for (from, until) in parts {
                        let place = |offset: &u64| usize::try_from(offset - at).unwrap_or(0);
                        tree.write(*node, *from, &bytes[place(from)..place(until)]);
                    }
                }
                _ => {}
            }
        }
        for (node, length) in lengths {
            if tree.file(node).is_some_and(|file| (file.len() as u64) < length) {
                tree.apply(&Change::Resize { node, length });
            }
        }
        tree
    }

    /// The last of the first `length` changes, as one reads them.
    pub fn tell(&self, length: usize, last: usize) -> Vec<String> {
        let mut names: BTreeMap<u64, String> = BTreeMap::from([(ROOT, String::new())]);
        let mut name_all = vec![ROOT];
        while let Some(folder) = name_all.pop() {
            for (name, node) in self.base.names(folder).into_iter().flatten() {
                names.insert(*node, format!("{}/{name}", names.get(&folder).map_or("", String::as_str)));
                name_all.push(*node);
            }
        }
        let mut lines = Vec::new();
        for change in &self.changes[..length] {
            let of = |names: &BTreeMap<u64, String>, node: &u64| names.get(node).cloned().unwrap_or_default();
            let within = |names: &BTreeMap<u64, String>, folder: &u64, name: &String| format!("{}/{name}", of(names, folder));
            lines.push(match change {
                Change::Make { .. } => continue,
                Change::Write { node, at, bytes } => format!("write {} at {at}, {} bytes", of(&names, node), bytes.len()),
                Change::Resize { node, length } => format!("resize {} to {length}", of(&names, node)),
                Change::Enter { folder, name, node } => {
                    let path = within(&names, folder, name);
                    match names.insert(*node, path.clone()) {
                        Some(before) => format!("link {before} as {path}"),
                        None => format!("create {path}"),
                    }
                }
                Change::Leave { folder, name } => format!("remove {}", within(&names, folder, name)),
                Change::Move { from, to, node } => {
                    let path = within(&names, &to.0, &to.1);
                    names.insert(*node, path.clone());
                    format!("rename {} to {path}", within(&names, &from.0, &from.1))
                }
                Change::Flush { node } => format!("flush {}", of(&names, node)),
                Change::Refuse { node } => format!("failed flush {}", of(&names, node)),
                Change::Note(number) => format!("answer {number}"),
            });
        }
        lines.split_off(lines.len().saturating_sub(last))
    }

    /// Which changes make a file shorter.
    fn shrinks(&self, length: usize) -> BTreeSet<usize> {
        let of_base = self.base.nodes.iter().filter_map(|(node, what)| match &what.kind {
            Kind::File(bytes) => Some((*node, bytes.len() as u64)),
            Kind::Folder(_) => None,
        });
        let mut lengths: BTreeMap<u64, u64> = of_base.collect();
        let mut shrinks = BTreeSet::new();
        for (place, change) in self.changes[..length].iter().enumerate() {
            match change {
                Change::Write { node, at, bytes } => {
                    let known = lengths.entry(*node).or_default();
                    *known = (*known).max(at + bytes.len() as u64);
                }
                Change::Resize { node, length } if lengths.insert(*node, *length).is_some_and(|before| *length < before) => {
                    shrinks.insert(place);
                }
                _ => {}
            }
        }
        shrinks
    }

    /// The answers that clients knew of behind the first `length` changes.
    pub fn notes(&self, length: usize) -> BTreeSet<u64> {
        let note = |change: &Change| if let Change::Note(number) = change { Some(*number) } else { None };
        self.changes[..length].iter().filter_map(note).collect()
    }
}

fn is_name(change: &Change) -> bool {
    matches!(change, Change::Enter { .. } | Change::Leave { .. } | Change::Move { .. })
}

/// What was flushed is whole, the rest is gone so far.
fn durable(changes: &[Change], names: Names) -> Vec<Fate> {
    let mut flushed = BTreeSet::new();
    let mut is_any_flushed = false;
    let mut fates = vec![Fate::Gone; changes.len()];
    for (change, fate) in changes.iter().zip(&mut fates).rev() {
        let is_kept = match change {
            Change::Flush { node } => {
                flushed.insert(*node);
                is_any_flushed = true;
                false
            }
            Change::Refuse { node } => {
                flushed.remove(node);
                false
            }
            Change::Note(_) => false,
            Change::Make { .. } => true,
            Change::Write { node, .. } | Change::Resize { node, .. } => flushed.contains(node),
            _ if names == Names::Journal => is_any_flushed,
            Change::Enter { folder, .. } | Change::Leave { folder, .. } => flushed.contains(folder),
            Change::Move { from, to, .. } => flushed.contains(&from.0) || flushed.contains(&to.0),
        };
        if is_kept {
            *fate = Fate::Whole;
        }
    }
    fates
}

/// By file the places of changes of its content that were not flushed.
fn pending_files(changes: &[Change], fates: &[Fate]) -> BTreeMap<u64, Vec<usize>> {
    let mut files: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (place, (change, fate)) in changes.iter().zip(fates).enumerate() {
        if let Change::Write { node, .. } | Change::Resize { node, .. } = change
            && *fate == Fate::Gone
        {
            files.entry(*node).or_default().push(place);
        }
    }
    files
}

/// Keeps the first changes of a file; the last of them is torn.
fn keep_first(changes: &[Change], places: &[usize], fates: &mut [Fate], chance: &mut Chance) {
    let kept = chance.place(places.len() + 1);
    for place in &places[..kept] {
        fates[*place] = Fate::Whole;
    }
    if let Some(last) = kept.checked_sub(1).and_then(|last| places.get(last))
        && let Change::Write { at, bytes, .. } = &changes[*last]
    {
        fates[*last] = Fate::Parts(torn(*at, at + bytes.len() as u64, chance).into_iter().collect());
    }
}

/// The first sectors of a range of a file.
fn torn(from: u64, until: u64, chance: &mut Chance) -> Option<(u64, u64)> {
    let sectors = until.div_ceil(SECTOR_BYTES) - from / SECTOR_BYTES;
    let end = (from / SECTOR_BYTES + chance.next(sectors + 1)) * SECTOR_BYTES;
    (end > from).then_some((from, end.min(until)))
}

fn tear_files(changes: &[Change], fates: &mut [Fate], chance: &mut Chance) {
    for places in pending_files(changes, fates).into_values() {
        keep_first(changes, &places, fates, chance);
    }
}

/// Each page of a file is as it was after one of its writes, or as it was flushed. Gives the lengths that
/// some files have although their last pages were never written: those are zero.
fn scatter_files(changes: &[Change], shrinks: &BTreeSet<usize>, fates: &mut [Fate], chance: &mut Chance) -> BTreeMap<u64, u64> {
    let mut lengths = BTreeMap::new();
    for (node, places) in pending_files(changes, fates) {
        let mut pages: BTreeMap<u64, Vec<(usize, u64, u64)>> = BTreeMap::new();
        // The order of writes around a cut decides what is there: it is kept.
        if places.iter().any(|place| shrinks.contains(place)) {
            keep_first(changes, &places, fates, chance);
            continue;
        }
        let mut longest = 0;
        for place in &places {
            match &changes[*place] {
                Change::Write { at, bytes, .. } => {
                    let until = at + bytes.len() as u64;
                    longest = longest.max(until);
                    for page in at / PAGE_BYTES..until.div_ceil(PAGE_BYTES) {
                        let piece = (*place, (*at).max(page * PAGE_BYTES), until.min((page + 1) * PAGE_BYTES));
                        pages.entry(page).or_default().push(piece);
                    }
                }
                Change::Resize { length, .. } => longest = longest.max(*length),
                _ => {}
            }
        }
        let mut parts: BTreeMap<usize, Vec<(u64, u64)>> = BTreeMap::new();
        for pieces in pages.values() {
            let kept = chance.place(pieces.len() + 1);
            for (order, (place, from, until)) in pieces[..kept].iter().enumerate() {
                let is_torn = order + 1 == kept && chance.next(4) == 0;
                let part = if is_torn { torn(*from, *until, chance) } else { Some((*from, *until)) };
                parts.entry(*place).or_default().extend(part);
            }
        }
        for (place, parts) in parts {
            fates[place] = Fate::Parts(parts);
        }
        for place in places.iter().filter(|place| matches!(changes[**place], Change::Resize { .. })) {
            if chance.next(2) == 0 {
                fates[*place] = Fate::Whole;
            }
        }
        if chance.next(2) == 0 {
            lengths.insert(node, longest);
        }
    }
    lengths
}

fn keep_first_names(changes: &[Change], fates: &mut [Fate], chance: &mut Chance) {
    let is_pending = |place: &usize| is_name(&changes[*place]) && fates[*place] == Fate::Gone;
    let places: Vec<usize> = (0..changes.len()).filter(is_pending).collect();
    for place in &places[..chance.place(places.len() + 1)] {
        fates[*place] = Fate::Whole;
    }
}
