//! Finds the elements of XML that are records in a text: where one begins, and how far it reaches.

use memchr::memchr_iter;

use super::form::XmlForm;

/// Bytes of a tag that says nothing.
const TAG_BYTES_MAX: usize = 4096;
/// Bytes behind which a `<` begins no tag of ours: what is kept of a buffer while an element is passed over.
const TAIL_BYTES: usize = 256;
/// The head of a document.
const DECLARATION: &[u8] = b"<?xml";

/// The tags that are looked for.
#[derive(Debug, Default)]
pub(super) struct Markup {
    /// `<Name` of each element that is a record.
    elements: Vec<Vec<u8>>,
    /// Beginnings of tags that say nothing.
    passed: Vec<Vec<u8>>,
}

/// What stands at the beginning of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// An element that is a record, by its number.
    Element(usize),
    /// A tag of so many bytes that says nothing.
    Pass(usize),
    /// None of these.
    Line,
    /// What can still become one.
    Short,
}

/// How far an element reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// To the byte behind its end.
    Closed(usize),
    /// Not to its end: at this byte another one begins.
    Broken(usize),
    /// Further than the text.
    Open,
}

impl Markup {
    /// Knows the elements of a form, whose number it gives.
    pub(super) fn add(&mut self, form: &XmlForm) -> usize {
        if self.passed.is_empty() {
            self.passed.push(DECLARATION.to_vec());
        }
        let around = form.around.iter().flat_map(|name| [format!("<{name}"), format!("</{name}")]);
        self.passed.extend(around.map(String::into_bytes));
        let tag = format!("<{}", form.element).into_bytes();
        match self.elements.iter().position(|known| *known == tag) {
            Some(number) => number,
            None => {
                self.elements.push(tag);
                self.elements.len() - 1
            }
        }
    }

    /// What a text begins with; with `end`, nothing follows.
    pub(super) fn head(&self, text: &[u8], end: bool) -> Head {
        if self.elements.is_empty() || text.first() != Some(&b'<') {
            return Head::Line;
        }
        let mut is_short = false;
        for (number, tag) in self.elements.iter().enumerate() {
            match begins(text, tag) {
                Some(true) => return Head::Element(number),
                Some(false) => {}
                None => is_short = true,
            }
        }
        for tag in &self.passed {
            match begins(text, tag) {
                Some(true) => {
                    return match text.iter().take(TAG_BYTES_MAX).position(|byte| *byte == b'>') {
                        Some(last) => Head::Pass(last + 1),
                        None if text.len() < TAG_BYTES_MAX && !end => Head::Short,
                        None => Head::Line,
                    };
                }
                Some(false) => {}
                None => is_short = true,
            }
        }
        if is_short && !end { Head::Short } else { Head::Line }
    }

    /// How far the element reaches that a text begins with.
    pub(super) fn extent(&self, number: usize, text: &[u8]) -> Extent {
        self.next(number, text, 1)
    }

    /// Where an element ends in whose middle a text begins, or the next one begins; else how much of the text
    /// is none of that.
    pub(super) fn behind(&self, number: usize, text: &[u8]) -> Result<usize, usize> {
        match self.next(number, text, 0) {
            Extent::Closed(at) | Extent::Broken(at) => Ok(at),
            Extent::Open => {
                let last = memchr::memrchr(b'<', text).filter(|at| text.len() - at < TAIL_BYTES);
                Err(last.unwrap_or(text.len()))
            }
        }
    }

    fn next(&self, number: usize, text: &[u8], from: usize) -> Extent {
        let tag = self.elements.get(number).map(Vec::as_slice).unwrap_or_default();
        let name = tag.get(1..).unwrap_or_default();
        for at in memchr_iter(b'<', text.get(from..).unwrap_or_default()).map(|at| at + from) {
            let rest = text.get(at..).unwrap_or_default();
            match rest.strip_prefix(b"</").and_then(|rest| rest.strip_prefix(name)) {
                Some(behind) => {
                    let space = behind.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                    if behind.get(space) == Some(&b'>') {
                        return Extent::Closed(text.len() - behind.len() + space + 1);
                    }
                }
                None if begins(rest, tag) == Some(true) => return Extent::Broken(at),
                None => {}
            }
        }
        Extent::Open
    }
}

/// Whether a text begins with a tag of this name; none when the text is too short to tell.
fn begins(text: &[u8], tag: &[u8]) -> Option<bool> {
    match text.strip_prefix(tag).map(<[u8]>::first) {
        Some(Some(byte)) => Some(byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/' | b'?')),
        Some(None) => None,
        None if tag.starts_with(text) => None,
        None => Some(false),
    }
}
