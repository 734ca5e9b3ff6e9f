//! Writes a record member by member at the end of a buffer.

use crate::json::write_text;

/// A record in the making.
pub(crate) struct Writer<'o> {
    out: &'o mut Vec<u8>,
    /// Where it begins: each member is written behind a comma, and the first comma becomes the brace.
    start: usize,
}

impl<'o> Writer<'o> {
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Writer<'o> {
        Writer { start: out.len(), out }
    }

    /// Begins a member whose value is to be written behind it.
    pub(crate) fn member(&mut self, key: &[u8]) -> &mut Vec<u8> {
        self.out.push(b',');
        write_text(key, self.out);
        self.out.push(b':');
        self.out
    }

    pub(crate) fn member_text(&mut self, key: &[u8], text: &[u8]) {
        write_text(text, self.member(key));
    }

    pub(crate) fn text(&mut self, key: &str, text: &[u8]) {
        self.member_text(key.as_bytes(), text);
    }

    /// The same for what may be missing.
    pub(crate) fn maybe(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text.as_bytes());
        }
    }

    pub(crate) fn number(&mut self, key: &str, number: u64) {
        let digits = number.to_string();
        self.member(key.as_bytes()).extend_from_slice(digits.as_bytes());
    }

    /// Ends the record, or leaves the buffer as it was; gives which.
    pub(crate) fn finish(self, is_read: bool) -> bool {
        if is_read {
            close(self.out, self.start);
        } else {
            self.out.truncate(self.start);
        }
        is_read
    }
}

/// Makes an object of members that stand behind `start`, each behind a comma.
pub(crate) fn close(out: &mut Vec<u8>, start: usize) {
    match out.get_mut(start) {
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}
