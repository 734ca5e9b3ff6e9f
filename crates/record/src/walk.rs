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

/// The reason of a record whose text goes on behind its closing bracket.
pub const AFTER_END: &str = "has text after its end";

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

/// A place in the trie; its edges are found by one open-addressed part of `Walk::places`.
#[derive(Debug, Default)]
struct Node {
    start: u32,
    /// Size of the part less one; none without children.
    mask: Option<u32>,
}

/// One key below a node; most keys are told apart by their ends alone.
#[derive(Debug, Clone)]
struct Edge {
    ends: Ends,
    key: Box<[u8]>,
    target: Target,
}

/// Where an edge leads: what is wanted of the value, and the node of what is wanted below it.
#[derive(Debug, Clone, Copy)]
struct Target {
    slot: Option<SlotId>,
    node: u32,
    /// Whether anything is wanted below it.
    has_children: bool,
}

/// The first and the last eight bytes of a key, and the second eight of a long one; of a key shorter
/// than eight all bytes, and nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Ends {
    head: u64,
    middle: u64,
    tail: u64,
}

impl Ends {
    fn of(key: &[u8]) -> Ends {
        let chunk = |at: usize| key.get(at..).and_then(|rest| rest.first_chunk()).map(|bytes| u64::from_le_bytes(*bytes));
        match chunk(0) {
            Some(head) => Ends {
                head,
                middle: chunk(8).unwrap_or_default(),
                tail: key.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)),
            },
            None => Ends { head: key.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)), middle: 0, tail: 0 },
        }
    }

    /// The same, where up to seven bytes behind a short key may be read.
    #[inline]
    fn within(text: &[u8], start: usize, end: usize) -> Ends {
        let chunk = |at: usize| text.get(at..).and_then(|rest| rest.first_chunk()).map(|bytes| u64::from_le_bytes(*bytes));
        let length = end.saturating_sub(start);
        match chunk(start) {
            Some(head) if length < 8 => Ends { head: head & ((1 << (8 * length)) - 1), middle: 0, tail: 0 },
            Some(head) => {
                let middle = if length < 16 { 0 } else { chunk(start + 8).unwrap_or_default() };
                Ends { head, middle, tail: chunk(end - 8).unwrap_or_default() }
            }
            None => Ends::of(text.get(start..end).unwrap_or_default()),
        }
    }

    #[inline]
    fn hash(self, length: usize) -> u32 {
        let mixed = (self.head ^ self.tail.rotate_left(29) ^ length as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 32) as u32
    }
}

/// Longest key that its ends and its length tell apart from every other.
const ENDS_BYTES: usize = 24;

const NONE: u32 = u32::MAX;

/// A compiled set of wanted paths.
#[derive(Debug)]
pub struct Walk {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    /// Indices of edges by the hash of their keys, or `NONE`: small, so that most keys, which nobody
    /// wants, are told from it alone.
    places: Vec<u32>,
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
            let slot = |path: &str| if path.is_empty() { SlotId(u32::MAX) } else { all.intern(path) };
            views.push(set.iter().map(slot).collect());
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
            // The rest of a path as one key, in an object at any depth.
            let mut above = 0;
            let mut rest = path;
            while let Some((key, tail)) = rest.split_once('.').filter(|(_, tail)| tail.contains('.')) {
                above = child(&mut drafts, above, key);
                let at = child(&mut drafts, above, tail);
                if let Some(draft) = drafts.get_mut(at) {
                    draft.slot = Some(slot);
                }
                rest = tail;
            }
        }
        let mut walk = Walk { nodes: Vec::new(), edges: Vec::new(), places: Vec::new(), slots: all.len(), views };
        walk.freeze(&drafts);
        walk
    }

    fn freeze(&mut self, drafts: &[Draft]) {
        let number = |length: usize| u32::try_from(length).unwrap_or(NONE);
        for draft in drafts {
            let size = if draft.children.is_empty() { 0 } else { (draft.children.len() * 4).next_power_of_two() };
            let start = self.places.len();
            self.places.resize(start + size, NONE);
            let mask = number(size).checked_sub(1);
            for (key, node) in &draft.children {
                let ends = Ends::of(key);
                let mut at = ends.hash(key.len());
                let places = self.places.get_mut(start..).unwrap_or_default();
                while let Some(place) = places.get_mut((at & mask.unwrap_or(0)) as usize) {
                    if *place == NONE {
                        *place = number(self.edges.len());
                        break;
                    }
                    at = at.wrapping_add(1);
                }
                let below = drafts.get(*node);
                let target = Target {
                    slot: below.and_then(|draft| draft.slot),
                    node: number(*node),
                    has_children: below.is_some_and(|draft| !draft.children.is_empty()),
                };
                self.edges.push(Edge { ends, key: key.clone(), target });
            }
            self.nodes.push(Node { start: number(start), mask });
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
        let text = summary.text(record).map_err(|at| Reject { reason: "is not UTF-8", at })?;
        if summary.open_string {
            return Err(Reject { reason: "ends inside a string", at: record.len() });
        }
        let start = skip_space(record, 0);
        if record.get(start) != Some(&b'{') {
            return Err(Reject { reason: "is not a JSON object", at: start });
        }
        let mut reader = Reader { walk: self, record, text, tokens, escapes: summary.has_escape, row };
        let next = reader.object(0, 0, 1)?;
        match tokens.get(next) {
            None if skip_space(record, reader.end_of(next)) == record.len() => Ok(()),
            _ => Err(Reject { reason: AFTER_END, at: reader.end_of(next) }),
        }
    }

    /// A row through the slot numbers of set `set` (in the order given to [`Walk::compile`]).
    pub fn view<'a, 'r>(&'a self, row: &'a Row<'r>, set: usize) -> View<'a, 'r> {
        View { row, slots: self.views.get(set).map(Vec::as_slice).unwrap_or_default(), is_last: false }
    }

    /// Number and target of the edge with a key, whose ends are known.
    #[inline(always)]
    fn edge(&self, node: u32, key: &[u8], ends: Ends) -> Option<(u32, Target)> {
        let node = self.nodes.get(node as usize)?;
        let mask = node.mask?;
        let mut at = ends.hash(key.len());
        loop {
            let number = *self.places.get((node.start + (at & mask)) as usize)?;
            // A free place leads to no edge.
            let edge = self.edges.get(number as usize)?;
            if edge.ends == ends && edge.key.len() == key.len() && (key.len() <= ENDS_BYTES || *edge.key == *key) {
                return Some((number, edge.target));
            }
            at = at.wrapping_add(1);
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

struct Reader<'a, 'r> {
    walk: &'a Walk,
    record: &'r [u8],
    /// The same, known to be UTF-8.
    text: &'r str,
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

    fn slice(&self, from: usize, to: usize) -> &'r str {
        self.text.get(from..to).unwrap_or_default()
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
                    let key = self.slice(at + 1, key_end).as_bytes();
                    let colon = skip_space(self.record, key_end + 1);
                    if self.byte(colon) != b':' {
                        return Err(Reject { reason: "has a key without a value", at: colon });
                    }
                    let start = skip_space(self.record, colon + 1);
                    token = match self.edge(node, key, Ends::within(self.record, at + 1, key_end)) {
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

    #[inline]
    fn edge(&self, node: u32, key: &[u8], ends: Ends) -> Option<(u32, Target)> {
        let found = self.walk.edge(node, key, ends);
        if found.is_some() || !self.escapes || !key.contains(&b'\\') { found } else { self.escaped_edge(node, key) }
    }

    #[cold]
    fn escaped_edge(&self, node: u32, key: &[u8]) -> Option<(u32, Target)> {
        match unescape(std::str::from_utf8(key).ok()?) {
            Cow::Owned(key) => self.walk.edge(node, key.as_bytes(), Ends::of(key.as_bytes())),
            Cow::Borrowed(_) => None,
        }
    }

    /// A string, from the text between its quotes; without a backslash in the record none is escaped.
    #[inline]
    fn text(&self, inner: &'r str) -> Cell<'r> {
        if self.escapes { Cell::text(inner) } else { Cell::plain(inner) }
    }

    fn note_visit(&mut self, edge: u32, visit: u32) {
        if let Some(seen) = self.row.seen.get_mut(edge as usize) {
            self.row.duplicate_key |= *seen == visit;
            *seen = visit;
        }
    }

    /// Reads the value that starts at byte `start`, whose first token is `token`.
    fn value(&mut self, token: usize, start: usize, target: Target, depth: usize) -> Result<usize, Reject> {
        let Target { slot, node, has_children } = target;
        match self.byte(start) {
            b'"' => {
                if let Some(slot) = slot {
                    let inner = self.slice(start + 1, self.at(token + 1));
                    self.row.put(slot, self.text(inner));
                }
                Ok(token + 2)
            }
            open @ (b'{' | b'[') => {
                if depth >= depth_max() {
                    return Err(Reject { reason: "is nested too deeply", at: start });
                }
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
