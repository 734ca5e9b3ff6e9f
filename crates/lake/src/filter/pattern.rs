//! Patterns of the filter bar: fixed texts, `*` and `?`. ASCII case is ignored, other bytes compare
//! exactly.

use crate::token::is_token_byte;

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Piece {
    Text(String),
    /// Any bytes, also none.
    Any,
    /// One character.
    One,
}

/// A pattern. Over a record, one that does not begin with [`Piece::Any`] begins at the edge of a word,
/// and one that does not end with it ends there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pattern {
    pub(crate) pieces: Vec<Piece>,
}

/// Bytes that a pattern passes over within a record: up to the end of a JSON text.
const END: u8 = b'"';

impl Pattern {
    /// A pattern of these pieces; several `*` in a row are one.
    pub(crate) fn of(mut pieces: Vec<Piece>) -> Pattern {
        pieces.dedup_by(|next, before| *next == Piece::Any && *before == Piece::Any);
        Pattern { pieces }
    }

    /// The text, when it is one fixed text.
    pub(crate) fn fixed(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether a whole text is as the pattern.
    pub(crate) fn matches(&self, text: &str) -> bool {
        end_of(&self.pieces, text.as_bytes(), 0, None, &|end| end == text.len()).is_some()
    }

    /// Whether the pattern stands anywhere in a record.
    pub(crate) fn found_in(&self, record: &[u8]) -> bool {
        let (pieces, is_begun) = match self.pieces.as_slice() {
            [Piece::Any, rest @ ..] => (rest, false),
            pieces => (pieces, true),
        };
        let (pieces, is_ended) = match pieces {
            [rest @ .., Piece::Any] => (rest, false),
            pieces => (pieces, true),
        };
        let at_edge = |at: usize| {
            let before = at.checked_sub(1).and_then(|before| record.get(before)).copied();
            let after = record.get(at).copied();
            !(before.is_some_and(is_token_byte) && after.is_some_and(is_token_byte))
        };
        let mut from = 0;
        while let Some(start) = next_start(pieces, record, from) {
            let fits = !is_begun || at_edge(start);
            if fits && end_of(pieces, record, start, Some(END), &|end| !is_ended || at_edge(end)).is_some() {
                return true;
            }
            from = start + 1;
        }
        false
    }
}

/// Where the first piece stands next.
fn next_start(pieces: &[Piece], record: &[u8], from: usize) -> Option<usize> {
    match pieces.first() {
        Some(Piece::Text(text)) => find(record, text.as_bytes(), from),
        _ => (from <= record.len()).then_some(from),
    }
}

/// Where a text stands next, its ASCII case ignored.
pub(crate) fn find(record: &[u8], text: &[u8], from: usize) -> Option<usize> {
    let Some((&first, _)) = text.split_first() else {
        return (from <= record.len()).then_some(from);
    };
    let last = record.len().checked_sub(text.len())?;
    let mut at = from;
    while at <= last {
        let rest = record.get(at..=last)?;
        let skip = memchr::memchr2(first.to_ascii_lowercase(), first.to_ascii_uppercase(), rest)?;
        at += skip;
        if record.get(at..at + text.len()).is_some_and(|found| found.eq_ignore_ascii_case(text)) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Where the pieces end when they begin at `start` and `is_end` agrees: the first `*` that fails is
/// tried further on, earlier ones never again, so that the time stays bounded.
fn end_of(pieces: &[Piece], text: &[u8], start: usize, stop: Option<u8>, is_end: &dyn Fn(usize) -> bool) -> Option<usize> {
    let (mut piece, mut at) = (0, start);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pieces.get(piece) {
            None if is_end(at) => return Some(at),
            None => None,
            Some(Piece::Any) => {
                retry = Some((piece + 1, at));
                piece += 1;
                continue;
            }
            Some(Piece::One) => text.get(at).filter(|byte| Some(**byte) != stop).map(|_| {
                // One character: the bytes that continue it in UTF-8 belong to it.
                let more = text.get(at + 1..).unwrap_or_default().iter().take_while(|byte| **byte & 0xC0 == 0x80).count();
                at + 1 + more
            }),
            Some(Piece::Text(wanted)) => text
                .get(at..at + wanted.len())
                .filter(|found| found.eq_ignore_ascii_case(wanted.as_bytes()))
                .map(|_| at + wanted.len()),
        };
        if let Some(next) = step {
            (piece, at) = (piece + 1, next);
            continue;
        }
        // One byte more for the last `*`.
        let (after, from) = retry?;
        text.get(from).filter(|byte| Some(**byte) != stop)?;
        retry = Some((after, from + 1));
        (piece, at) = (after, from + 1);
    }
}
