//! One walk over a record: a trie of wanted paths against a structural index of its text.

use std::borrow::Cow;
use std::fmt;

use crate::index;
use crate::json::{skip_space, unescape};
use crate::path::{PathSet, SlotId};
use crate::row::{Cell, Row, View};

/// Deepest nesting that a record may have.
pub const fn depth_max() -> usize {
    64
}

/// Why a record cannot be read, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// What is wrong, as the end of the sentence "the record ...".
    pub reason: &'static str,
    /// Byte offset inside the record.
    pub at: usize,
}

impl fmt::Display for Reject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the record {} at byte {}", self.reason, self.at)
    }
}

impl std::error::Error for Reject {}

#[derive(Debug, Default)]
struct Node {
    slot: Option<SlotId>,
    /// Open-addressed table of edges: index into `Walk::edges`, or `NONE`.
    table: Vec<u32>,
}

#[derive(Debug)]
struct Edge {
    key: Box<[u8]>,
    node: u32,
}

const NONE: u32 = u32::MAX;

/// A compiled set of wanted paths.
#[derive(Debug)]
pub struct Walk {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    slots: usize,
    views: Vec<Vec<SlotId>>,
}

/// The trie while it is built: children by key.
#[derive(Default)]
struct Draft {
    slot: Option<SlotId>,
    children: Vec<(Box<[u8]>, usize)>,
}

impl Walk {
    /// One trie over the paths of several sets; [`Walk::view`] translates slot numbers back.
    pub fn compile(sets: &[&PathSet]) -> Walk {
        let mut all = PathSet::new();
        let mut views = Vec::with_capacity(sets.len());
        for set in sets {
            views.push(set.iter().map(|path| all.intern(path)).collect());
        }
        let mut drafts = vec![Draft::default()];
        for (number, path) in all.iter().enumerate() {
            let slot = SlotId(u32::try_from(number).unwrap_or(u32::MAX));
            for head_end in path.match_indices('.').map(|(at, _)| at).chain([path.len()]) {
                let (head, tail) = path.split_at(head_end);
                let mut at = child(&mut drafts, 0, head);
                for part in tail.split('.').skip(1) {
                    at = child(&mut drafts, at, part);
                }
                if let Some(draft) = drafts.get_mut(at) {
                    draft.slot = Some(slot);
                }
            }
        }
        let mut walk = Walk { nodes: Vec::new(), edges: Vec::new(), slots: all.len(), views };
        walk.freeze(&drafts);
        walk
    }

    fn freeze(&mut self, drafts: &[Draft]) {
        for draft in drafts {
            let size = if draft.children.is_empty() { 0 } else { (draft.children.len() * 4).next_power_of_two() };
            let mut table = vec![NONE; size];
            for (key, node) in &draft.children {
                let edge = u32::try_from(self.edges.len()).unwrap_or(NONE);
                self.edges.push(Edge { key: key.clone(), node: u32::try_from(*node).unwrap_or(NONE) });
                let mut at = key_hash(key) & (size - 1);
                while table.get(at).is_some_and(|&taken| taken != NONE) {
                    at = (at + 1) & (size - 1);
                }
                if let Some(place) = table.get_mut(at) {
                    *place = edge;
                }
            }
            self.nodes.push(Node { slot: draft.slot, table });
        }
    }

    /// Reads one record: every wanted path of it lands in `row`.
    ///
    /// # Errors
    /// A record that is no UTF-8, no JSON object, not closed, or deeper than [`depth_max`].
    pub fn read<'r>(&self, record: &'r [u8], row: &mut Row<'r>) -> Result<(), Reject> {
        let mut tokens = std::mem::take(&mut row.tokens);
        tokens.clear();
        let summary = index::build(record, &mut tokens);
        let result = self.read_indexed(record, &tokens, &summary, row);
        row.tokens = tokens;
        result
    }

    fn read_indexed<'r>(
        &self,
        record: &'r [u8],
        tokens: &[u32],
        summary: &index::Summary,
        row: &mut Row<'r>,
    ) -> Result<(), Reject> {
        row.reset(self.slots, record);
        row.seen.resize(self.edges.len().max(row.seen.len()), 0);
        if simdutf8::basic::from_utf8(record).is_err()
            && let Err(error) = std::str::from_utf8(record)
        {
            return Err(Reject { reason: "is not UTF-8", at: error.valid_up_to() });
        }
        if summary.open_string {
            return Err(Reject { reason: "ends inside a string", at: record.len() });
        }
        let start = skip_space(record, 0);
        if record.get(start) != Some(&b'{') {
            return Err(Reject { reason: "is not a JSON object", at: start });
        }
        let mut reader = Reader { walk: self, record, tokens, escapes: summary.has_escape, row };
        let next = reader.object(0, 0, 1)?;
        match tokens.get(next) {
            None if skip_space(record, reader.end_of(next)) == record.len() => Ok(()),
            _ => Err(Reject { reason: "has text after its end", at: reader.end_of(next) }),
        }
    }

    /// A row through the slot numbers of set `set` (in the order given to [`Walk::compile`]).
    pub fn view<'a, 'r>(&'a self, row: &'a Row<'r>, set: usize) -> View<'a, 'r> {
        View { row, slots: self.views.get(set).map(Vec::as_slice).unwrap_or_default(), is_last: false }
    }

    #[inline]
    fn edge(&self, node: u32, key: &[u8]) -> Option<(u32, u32)> {
        let table = &self.nodes.get(node as usize)?.table;
        let mask = table.len().checked_sub(1)?;
        let mut at = key_hash(key) & mask;
        loop {
            let number = *table.get(at)?;
            let edge = self.edges.get(number as usize)?;
            if *edge.key == *key {
                return Some((number, edge.node));
            }
            at = (at + 1) & mask;
        }
    }
}

fn child(drafts: &mut Vec<Draft>, at: usize, key: &str) -> usize {
    let known = drafts.get(at).and_then(|draft| draft.children.iter().find(|(known, _)| **known == *key.as_bytes()));
    if let Some((_, node)) = known {
        return *node;
    }
    let node = drafts.len();
    drafts.push(Draft::default());
    if let Some(draft) = drafts.get_mut(at) {
        draft.children.push((key.as_bytes().into(), node));
    }
    node
}

/// Cheap hash of a key: its length, first, middle and last bytes.
#[inline]
fn key_hash(key: &[u8]) -> usize {
    let byte = |at: usize| key.get(at).copied().map_or(0, usize::from);
    let length = key.len();
    let mixed = length
        .wrapping_mul(0x9E37)
        .wrapping_add(byte(0).wrapping_mul(0x85EB))
        .wrapping_add(byte(length / 2).wrapping_mul(0xC2B3))
        .wrapping_add(byte(length.wrapping_sub(2)).wrapping_mul(0x27D5))
        .wrapping_add(byte(length.wrapping_sub(1)).wrapping_mul(0x1657));
    mixed ^ (mixed >> 7)
}

struct Reader<'a, 'r> {
    walk: &'a Walk,
    record: &'r [u8],
    tokens: &'a [u32],
    escapes: bool,
    row: &'a mut Row<'r>,
}

impl<'r> Reader<'_, 'r> {
    #[inline]
    fn at(&self, token: usize) -> usize {
        self.tokens.get(token).map_or(self.record.len(), |&at| at as usize)
    }

    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.record.get(at).copied().unwrap_or(0)
    }

    /// The offset behind the last token before `token`.
    fn end_of(&self, token: usize) -> usize {
        token.checked_sub(1).map_or(0, |last| self.at(last) + 1)
    }

    fn slice(&self, from: usize, to: usize) -> &'r [u8] {
        self.record.get(from..to).unwrap_or_default()
    }

    /// Reads the object whose `{` is `token`; gives the token after its `}`.
    fn object(&mut self, mut token: usize, node: u32, depth: usize) -> Result<usize, Reject> {
        self.row.visit = self.row.visit.wrapping_add(1);
        let visit = self.row.visit;
        token += 1;
        loop {
            let at = self.at(token);
            match self.byte(at) {
                b'}' => return Ok(token + 1),
                b',' => token += 1,
                b'"' => {
                    let key_end = self.at(token + 1);
                    let key = self.slice(at + 1, key_end);
                    let colon = skip_space(self.record, key_end + 1);
                    if self.byte(colon) != b':' {
                        return Err(Reject { reason: "has a key without a value", at: colon });
                    }
                    let start = skip_space(self.record, colon + 1);
                    token = match self.edge(node, key) {
                        Some((edge, next)) => {
                            self.note_visit(edge, visit);
                            self.value(token + 2, start, next, depth)?
                        }
                        None => self.skip(token + 2, start, depth)?,
                    };
                }
                _ => return Err(Reject { reason: "has an object that is not closed", at }),
            }
        }
    }

    fn edge(&self, node: u32, key: &[u8]) -> Option<(u32, u32)> {
        let found = self.walk.edge(node, key);
        if found.is_some() || !self.escapes || !key.contains(&b'\\') {
            return found;
        }
        match unescape(std::str::from_utf8(key).ok()?) {
            Cow::Owned(key) => self.walk.edge(node, key.as_bytes()),
            Cow::Borrowed(_) => None,
        }
    }

    fn note_visit(&mut self, edge: u32, visit: u32) {
        if let Some(seen) = self.row.seen.get_mut(edge as usize) {
            self.row.duplicate_key |= *seen == visit;
            *seen = visit;
        }
    }

    /// Reads the value that starts at byte `start`, whose first token is `token`.
    fn value(&mut self, token: usize, start: usize, node: u32, depth: usize) -> Result<usize, Reject> {
        let slot = self.walk.nodes.get(node as usize).and_then(|node| node.slot);
        match self.byte(start) {
            b'"' => {
                if let Some(slot) = slot {
                    let inner = self.slice(start + 1, self.at(token + 1));
                    self.row.put(slot, Cell::text(inner));
                }
                Ok(token + 2)
            }
            open @ (b'{' | b'[') => {
                if depth >= depth_max() {
                    return Err(Reject { reason: "is nested too deeply", at: start });
                }
                let has_children = self.walk.nodes.get(node as usize).is_some_and(|node| !node.table.is_empty());
                let next = match (has_children, open) {
                    (false, _) => self.skip(token, start, depth)?,
                    (true, b'{') => self.object(token, node, depth + 1)?,
                    (true, _) => self.array(token, node, depth + 1)?,
                };
                if let Some(slot) = slot {
                    let raw = self.slice(start, self.end_of(next));
                    self.row.put(slot, Cell::of(raw));
                }
                Ok(next)
            }
            _ => {
                let raw = self.slice(start, self.at(token)).trim_ascii_end();
                if raw.is_empty() {
                    return Err(Reject { reason: "has a key without a value", at: start });
                }
                if let Some(slot) = slot {
                    self.row.put(slot, Cell::of(raw));
                }
                Ok(token)
            }
        }
    }

    /// Looks for the wanted paths in each object of an array.
    fn array(&mut self, mut token: usize, node: u32, depth: usize) -> Result<usize, Reject> {
        token += 1;
        loop {
            let at = self.at(token);
            match self.byte(at) {
                b']' => return Ok(token + 1),
                b',' => token += 1,
                b'"' => token += 2,
                b'{' | b'[' if depth >= depth_max() => {
                    return Err(Reject { reason: "is nested too deeply", at });
                }
                b'{' => token = self.object(token, node, depth + 1)?,
                b'[' => token = self.array(token, node, depth + 1)?,
                _ => return Err(Reject { reason: "has an array that is not closed", at }),
            }
        }
    }

    /// Passes over a value.
    fn skip(&self, token: usize, start: usize, depth: usize) -> Result<usize, Reject> {
        match self.byte(start) {
            b'"' => Ok(token + 2),
            b'{' | b'[' => self.skip_container(token, depth),
            _ if start >= self.at(token) => Err(Reject { reason: "has a key without a value", at: start }),
            _ => Ok(token),
        }
    }

    fn skip_container(&self, mut token: usize, depth: usize) -> Result<usize, Reject> {
        let mut open = 0usize;
        loop {
            let at = self.at(token);
            match self.byte(at) {
                b'{' | b'[' => {
                    open += 1;
                    if depth + open > depth_max() {
                        return Err(Reject { reason: "is nested too deeply", at });
                    }
                }
                b'}' | b']' => open -= 1,
                b'"' => token += 1,
                b',' => {}
                _ => return Err(Reject { reason: "has a container that is not closed", at }),
            }
            token += 1;
            if open == 0 {
                return Ok(token);
            }
        }
    }
}

#[cfg(test)]
mod tests;
