//! Cuts one stream of bytes into records, whatever the file that carries them looks like.
//!
//! Lines of JSON, concatenated or pretty-printed JSON values, one array, or an envelope such as
//! `{"Records":[...]}` whose array is cut while it streams: limits are per record, never per file.

use std::ops::Range;

use crate::json::{Extent, closing_quote, container_extent, skip_space, value_end};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Bytes looked at before a file is called foreign: so far lines that are no JSON may stand first.
const FOREIGN_BYTES: usize = 64 * 1024;

/// How the bytes of one file are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Not known yet: nothing but white space so far.
    Unknown,
    /// One JSON value a line.
    Lines,
    /// JSON values one after the other, over several lines.
    Values,
    /// The members of an array, in an envelope or alone.
    Array,
    /// Rows under a header, which an export recognises.
    Table,
    /// Lines of text, of which a description fits some.
    Text,
    /// Text that is not JSON.
    Foreign,
}

/// One piece of a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// A record: its place in the buffer.
    Record(Range<usize>),
    /// The head of a record longer than the limit; its rest is passed over.
    Oversize(Range<usize>),
    /// Bytes that belong to no record, with the reason as the end of "the text ...".
    Reject(Range<usize>, &'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a top-level value.
    Start,
    /// Between two lines.
    Line,
    /// Between two members of an array; whether an envelope's object must be closed after it.
    Member { enveloped: bool },
    /// Behind an envelope's array, before its object is closed.
    Tail(Scan),
    /// Inside an oversize value that is passed over, to come back to a state.
    Skip(Scan, After),
    /// Inside an oversize line.
    SkipLine,
    /// Text that is not JSON: nothing more is cut.
    Foreign,
}

/// The state to come back to after an oversize value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Start,
    Member { enveloped: bool },
}

/// A resumable look for the end of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// Feeds bytes; gives the offset behind the closing bracket once the depth is back at zero.
    fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, &byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// What one step of cutting decided.
enum Step {
    /// Go on at this offset.
    Go(usize),
    /// The buffer ends before the next piece does: keep it from this offset.
    Wait(usize),
}

/// Cuts a stream of buffers into records. Feed it buffers with [`Cutter::cut`]; what it did not
/// consume must stand at the head of the next buffer.
#[derive(Debug)]
pub struct Cutter {
    envelope_keys: Vec<String>,
    record_bytes_max: usize,
    state: State,
    shape: Shape,
    /// `,{"firstKey"` of the first member of the array: where the next record begins after a broken one.
    next_member: Vec<u8>,
}

impl Cutter {
    /// A cutter for one file. An object whose key is one of `envelope_keys` and holds an array of
    /// objects, or of lists, is an envelope; a record longer than `record_bytes_max` is cut to its head.
    pub fn new(envelope_keys: Vec<String>, record_bytes_max: usize) -> Cutter {
        Cutter { envelope_keys, record_bytes_max, state: State::Start, shape: Shape::Unknown, next_member: Vec::new() }
    }

    /// Whether an array or an envelope that has begun is not closed yet: at the end of a file, that
    /// it was cut.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Member { .. } | State::Tail(_) | State::Skip(..))
    }

    /// The layout seen so far.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Cuts what is whole in `buffer` and gives how many bytes were consumed. With `end`, nothing
    /// follows and an open value becomes a reject.
    pub fn cut(&mut self, buffer: &[u8], end: bool, cuts: &mut Vec<Cut>) -> usize {
        let mut at = 0;
        loop {
            let step = match self.state {
                State::Start => self.start(buffer, at, end, cuts),
                State::Line => self.line(buffer, at, end, cuts),
                State::Member { enveloped } => self.member(buffer, at, end, enveloped, cuts),
                State::Tail(scan) => self.pass(buffer, at, scan, None),
                State::Skip(scan, after) => self.pass(buffer, at, scan, Some(after)),
                State::SkipLine => self.skip_line(buffer, at),
                State::Foreign => Step::Wait(buffer.len()),
            };
            match step {
                Step::Go(next) if next < buffer.len() => at = next,
                Step::Go(next) => return next,
                Step::Wait(next) if end && next < buffer.len() => {
                    let reason = match self.state {
                        State::Start if self.shape == Shape::Unknown => "is not JSON",
                        _ => "ends inside a record",
                    };
                    cuts.push(Cut::Reject(next..buffer.len(), reason));
                    return buffer.len();
                }
                Step::Wait(next) => return next,
            }
        }
    }

    fn start(&mut self, buffer: &[u8], at: usize, end: bool, cuts: &mut Vec<Cut>) -> Step {
        let at = skip_space(buffer, at);
        let rest = buffer.get(at..).unwrap_or_default();
        if rest.starts_with(BYTE_ORDER_MARK) {
            return Step::Go(at + BYTE_ORDER_MARK.len());
        }
        if !rest.is_empty() && !end && BYTE_ORDER_MARK.starts_with(rest) {
            return Step::Wait(at);
        }
        match buffer.get(at) {
            None => Step::Go(at),
            Some(b'[') => {
                self.shape = Shape::Array;
                self.state = State::Member { enveloped: false };
                Step::Go(at + 1)
            }
            Some(b'{') => self.object(buffer, at, end, cuts),
            Some(_) if self.shape == Shape::Unknown => match rest.get(..FOREIGN_BYTES) {
                None if !end => Step::Wait(at),
                head if has_json_line(head.unwrap_or(rest)) => self.stray(buffer, at, end, cuts),
                _ => {
                    self.shape = Shape::Foreign;
                    self.state = State::Foreign;
                    Step::Go(at)
                }
            },
            Some(_) => self.stray(buffer, at, end, cuts),
        }
    }

    /// Text between values: rejected up to the next line or object.
    fn stray(&mut self, buffer: &[u8], at: usize, end: bool, cuts: &mut Vec<Cut>) -> Step {
        let rest = buffer.get(at..).unwrap_or_default();
        match memchr::memchr2(b'\n', b'{', rest.get(1..).unwrap_or_default()) {
            Some(found) => {
                cuts.push(Cut::Reject(at..at + 1 + found, "is not JSON"));
                Step::Go(at + 1 + found)
            }
            None if end || rest.len() > self.record_bytes_max => {
                cuts.push(Cut::Reject(at..buffer.len(), "is not JSON"));
                Step::Go(buffer.len())
            }
            None => Step::Wait(at),
        }
    }

    /// A top-level object: an envelope, a line, or a value.
    fn object(&mut self, buffer: &[u8], at: usize, end: bool, cuts: &mut Vec<Cut>) -> Step {
        if let Some(array) = self.envelope(buffer, at) {
            self.shape = Shape::Array;
            self.state = State::Member { enveloped: true };
            return Step::Go(array + 1);
        }
        let stop = match container_extent(buffer, at) {
            Extent::Closed(stop) => stop,
            Extent::Open => return self.open_value(buffer, at, end, After::Start, cuts),
            // The next value begins a line, as a rule.
            Extent::Broken(bad) => return self.broken(buffer, at, bad, end, (b"\n{", 1), cuts),
        };
        if stop - at > self.record_bytes_max {
            cuts.push(Cut::Oversize(at..at + self.record_bytes_max));
            return Step::Go(stop);
        }
        if self.shape == Shape::Unknown {
            let whole = buffer.get(at..stop).unwrap_or_default();
            let after = buffer.get(stop..).unwrap_or_default();
            let line_ends = after.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r')).is_none_or(|&byte| byte == b'\n');
            let one_line = memchr::memchr(b'\n', whole).is_none();
            if one_line && after.trim_ascii().is_empty() && !after.contains(&b'\n') && !end {
                return Step::Wait(at);
            }
            if one_line && line_ends {
                self.shape = Shape::Lines;
                self.state = State::Line;
                return Step::Go(at);
            }
            self.shape = Shape::Values;
        }
        cuts.push(Cut::Record(at..stop));
        Step::Go(stop)
    }

    /// A value broken at `bad`: rejected up to where the next one begins, told by a pattern and how
    /// much of it still belongs to what is rejected; without it, up to the byte that broke it.
    fn broken(&self, buffer: &[u8], at: usize, bad: usize, end: bool, next: (&[u8], usize), cuts: &mut Vec<Cut>) -> Step {
        let window = buffer.get(at + 1..).unwrap_or_default();
        let is_whole = end || window.len() > self.record_bytes_max;
        let window = window.get(..self.record_bytes_max).unwrap_or(window);
        let (pattern, kept) = next;
        let found = if pattern.is_empty() { None } else { memchr::memmem::find(window, pattern) };
        let stop = match found {
            Some(found) => at + 1 + found + kept,
            None if is_whole => bad.max(at + 1),
            None => return Step::Wait(at),
        };
        cuts.push(Cut::Reject(at..stop, "is not closed"));
        Step::Go(stop)
    }

    /// A value whose end is not in the buffer.
    fn open_value(&mut self, buffer: &[u8], at: usize, end: bool, after: After, cuts: &mut Vec<Cut>) -> Step {
        if end || buffer.len() - at <= self.record_bytes_max {
            return Step::Wait(at);
        }
        cuts.push(Cut::Oversize(at..at + self.record_bytes_max));
        self.state = State::Skip(Scan::default(), after);
        Step::Go(at)
    }

    /// The offset of the `[` of an envelope that opens at `at`.
    fn envelope(&self, buffer: &[u8], at: usize) -> Option<usize> {
        let mut at = skip_space(buffer, at + 1);
        while buffer.get(at) == Some(&b'"') {
            let key_end = value_end(buffer, at);
            let key = buffer.get(at + 1..key_end.saturating_sub(1))?;
            at = skip_space(buffer, key_end);
            if buffer.get(at) != Some(&b':') {
                return None;
            }
            at = skip_space(buffer, at + 1);
            if buffer.get(at) == Some(&b'[') && self.envelope_keys.iter().any(|known| known.as_bytes() == key) {
                // Without its first member nothing is decided: an array of numbers makes no envelope.
                let first = buffer.get(skip_space(buffer, at + 1)).copied();
                return matches!(first, Some(b'{' | b'[' | b']')).then_some(at);
            }
            at = skip_space(buffer, value_end(buffer, at));
            if buffer.get(at) != Some(&b',') {
                return None;
            }
            at = skip_space(buffer, at + 1);
        }
        None
    }

    fn line(&mut self, buffer: &[u8], at: usize, end: bool, cuts: &mut Vec<Cut>) -> Step {
        let rest = buffer.get(at..).unwrap_or_default();
        let (stop, next) = match memchr::memchr(b'\n', rest) {
            Some(found) => (at + found, at + found + 1),
            None if end => (buffer.len(), buffer.len()),
            None if rest.len() > self.record_bytes_max => {
                cuts.push(Cut::Oversize(at..at + self.record_bytes_max));
                self.state = State::SkipLine;
                return Step::Go(at);
            }
            None => return Step::Wait(at),
        };
        let mut start = skip_space(buffer, at).min(stop);
        // A mark in the middle: somebody joined files.
        if buffer.get(start..stop).is_some_and(|line| line.starts_with(BYTE_ORDER_MARK)) {
            start += BYTE_ORDER_MARK.len();
        }
        let length = buffer.get(start..stop).unwrap_or_default().trim_ascii_end().len();
        if length > self.record_bytes_max {
            cuts.push(Cut::Oversize(start..start + self.record_bytes_max));
        } else if length > 0 {
            cuts.push(Cut::Record(start..start + length));
        }
        Step::Go(next)
    }

    fn skip_line(&mut self, buffer: &[u8], at: usize) -> Step {
        match memchr::memchr(b'\n', buffer.get(at..).unwrap_or_default()) {
            Some(found) => {
                self.state = State::Line;
                Step::Go(at + found + 1)
            }
            None => Step::Go(buffer.len()),
        }
    }

    fn member(&mut self, buffer: &[u8], at: usize, end: bool, enveloped: bool, cuts: &mut Vec<Cut>) -> Step {
        let begin = skip_space(buffer, at);
        let at = if buffer.get(begin) == Some(&b',') { skip_space(buffer, begin + 1) } else { begin };
        match buffer.get(at) {
            // A comma goes together with what follows it, so that a second comma is not taken for it.
            None if !end && at - begin <= self.record_bytes_max => Step::Wait(begin),
            None => Step::Go(at),
            Some(b']') => {
                let comma = skip_space(buffer, at + 1);
                let next = if buffer.get(comma) == Some(&b',') { skip_space(buffer, comma + 1) } else { comma };
                match buffer.get(next) {
                    None if !end && next - begin <= self.record_bytes_max => return Step::Wait(begin),
                    // Members go on behind it: it closes nothing.
                    Some(b'{') if next > comma => {
                        cuts.push(Cut::Reject(at..at + 1, "closes an array that goes on"));
                        return Step::Go(at + 1);
                    }
                    _ => {}
                }
                // The envelope's own object is still open: depth one.
                self.state = if enveloped { State::Tail(Scan { depth: 1, ..Scan::default() }) } else { State::Start };
                Step::Go(at + 1)
            }
            Some(b'{' | b'[') => {
                self.learn_member(buffer, at);
                match container_extent(buffer, at) {
                    Extent::Closed(stop) if stop - at > self.record_bytes_max => {
                        cuts.push(Cut::Oversize(at..at + self.record_bytes_max));
                        Step::Go(stop)
                    }
                    Extent::Closed(stop) => {
                        cuts.push(Cut::Record(at..stop));
                        Step::Go(stop)
                    }
                    Extent::Broken(bad) => self.broken(buffer, at, bad, end, (&self.next_member, 0), cuts),
                    Extent::Open => match self.next_member_after(buffer, at, end) {
                        Some(found) => {
                            cuts.push(Cut::Reject(at..found, "is not closed"));
                            Step::Go(found)
                        }
                        None => self.open_value(buffer, at, end, After::Member { enveloped }, cuts),
                    },
                }
            }
            Some(_) => match self.stray_member(buffer, at, end, cuts) {
                Step::Wait(_) => Step::Wait(begin),
                step => step,
            },
        }
    }

    /// Remembers how members of this array begin.
    fn learn_member(&mut self, buffer: &[u8], at: usize) {
        let key = skip_space(buffer, at + 1);
        if self.next_member.is_empty()
            && buffer.get(key) == Some(&b'"')
            && let Some(quote) = closing_quote(buffer, key)
        {
            self.next_member = b",{".to_vec();
            self.next_member.extend_from_slice(buffer.get(key..=quote).unwrap_or_default());
        }
    }

    /// Where the next member begins behind one that is never closed: that one alone is lost.
    fn next_member_after(&self, buffer: &[u8], at: usize, end: bool) -> Option<usize> {
        let is_hopeless = end || buffer.len() - at > self.record_bytes_max;
        if !is_hopeless || self.next_member.is_empty() {
            return None;
        }
        memchr::memmem::find(buffer.get(at + 1..)?, &self.next_member).map(|found| at + 1 + found)
    }

    /// A member that is no object: rejected up to the next comma, bracket or object.
    fn stray_member(&mut self, buffer: &[u8], at: usize, end: bool, cuts: &mut Vec<Cut>) -> Step {
        let rest = buffer.get(at..).unwrap_or_default();
        let length = if rest.first() == Some(&b'"') {
            value_end(rest, 0)
        } else {
            rest.iter().position(|byte| matches!(byte, b',' | b']' | b'{' | b'}')).unwrap_or(rest.len()).max(1)
        };
        if length == rest.len() && !end && rest.len() <= self.record_bytes_max {
            return Step::Wait(at);
        }
        cuts.push(Cut::Reject(at..at + length, "has something other than an object in its array"));
        Step::Go(at + length)
    }

    /// Passes over the rest of a container without keeping it.
    fn pass(&mut self, buffer: &[u8], at: usize, mut scan: Scan, after: Option<After>) -> Step {
        let found = scan.feed(buffer.get(at..).unwrap_or_default());
        self.state = match (found, after) {
            (None, None) => State::Tail(scan),
            (None, Some(after)) => State::Skip(scan, after),
            (Some(_), None | Some(After::Start)) => State::Start,
            (Some(_), Some(After::Member { enveloped })) => State::Member { enveloped },
        };
        Step::Go(found.map_or(buffer.len(), |length| at + length))
    }
}

/// Whether some line behind the first is a JSON object: then the first is only a line that is not.
fn has_json_line(head: &[u8]) -> bool {
    let mut lines = memchr::memmem::find_iter(head, b"\n{\"").map(|at| head.get(at + 1..).unwrap_or_default());
    lines.any(|rest| {
        let line = rest.get(..memchr::memchr(b'\n', rest).unwrap_or(rest.len())).unwrap_or_default();
        line.trim_ascii_end().ends_with(b"}")
    })
}

#[cfg(test)]
mod tests;
