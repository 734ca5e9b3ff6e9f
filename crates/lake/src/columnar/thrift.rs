//! Thrift's compact protocol, as far as footers and headers of pages are looked at before somebody else decodes them.
//!
//! Stricter than the decoder: fields ascend, and lists are no longer than what is left of the bytes. Where the two
//! could read different things, this one reads nothing.
//! Format: <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.

/// The kind of a number of 32 bits, of a text, a list and a structure.
pub(super) const INTEGER: u8 = 5;
pub(super) const LIST: u8 = 9;
pub(super) const STRUCTURE: u8 = 12;

/// How deep values stand inside each other.
const DEPTH_MAX: usize = 32;
/// Members of a list.
const MEMBERS_MAX: usize = 100_000;

/// What is left of some bytes. Every function gives none when they are no such thing, or end.
pub(super) struct Thrift<'b> {
    rest: &'b [u8],
}

impl<'b> Thrift<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Thrift<'b> {
        Thrift { rest: bytes }
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn pass(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }

    /// A number of at most 63 bits in groups of seven, the lowest first: Parquet's own encodings write it so too.
    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A number of at most 32 bits.
    pub(super) fn integer(&mut self) -> Option<i32> {
        let value = self.varint()?;
        let half = i64::try_from(value >> 1).ok()?;
        i32::try_from(if value & 1 == 0 { half } else { -half - 1 }).ok()
    }

    /// The head of a list: the kind of its members and their number.
    pub(super) fn list(&mut self) -> Option<(u8, usize)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { usize::try_from(self.varint()?).ok()? } else { usize::from(head >> 4) };
        (count <= self.left() && count <= MEMBERS_MAX).then_some((head & 15, count))
    }

    /// Reads a structure. `each` gets the number and the kind of a field; false when it is to be passed over.
    pub(super) fn structure(&mut self, each: &mut dyn FnMut(&mut Thrift<'b>, i16, u8) -> Option<bool>) -> Option<()> {
        self.structure_at(0, each)
    }

    fn structure_at(&mut self, depth: usize, each: &mut dyn FnMut(&mut Thrift<'b>, i16, u8) -> Option<bool>) -> Option<()> {
        let mut before = 0;
        loop {
            let head = self.byte()?;
            let kind = head & 15;
            if kind == 0 {
                return Some(());
            }
            let number = match head >> 4 {
                0 => i16::try_from(self.integer()?).ok()?,
                step => i16::checked_add(before, i16::from(step))?,
            };
            if number <= before {
                return None;
            }
            before = number;
            if !each(self, number, kind)? {
                self.pass_value(kind, depth + 1)?;
            }
        }
    }

    /// Passes over a value that nobody wants.
    pub(super) fn pass_value(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match kind {
            // The kinds of true and of false: a field of such a kind has no bytes.
            1 | 2 => Some(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.pass(8),
            8 => {
                let count = self.varint()?;
                self.pass(usize::try_from(count).ok()?)
            }
            LIST | 10 => {
                let (kind, count) = self.list()?;
                // Members that are true or false have a byte each, which not every reader knows.
                if count > 0 && matches!(kind, 1 | 2) {
                    return None;
                }
                (0..count).try_for_each(|_| self.pass_value(kind, depth + 1))
            }
            STRUCTURE => self.structure_at(depth, &mut |_, _, _| Some(false)),
            13 => self.pass(16),
            // Neither footers nor pages have maps.
            _ => None,
        }
    }
}
