//! Lines of a stream, in bodies to be delivered: what a pipe brings, as soon as it brings it.

use std::io::{ErrorKind, Read};

use vigie_model::limits::DELIVERY_BYTES_MAX;

/// Bytes of a body of several lines. A longer line is a body of its own, up to [`DELIVERY_BYTES_MAX`];
/// what is longer still comes in pieces.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Reads lines, and hands over those that are whole before it waits for more. No byte is lost or changed:
/// all bodies together are the stream.
pub struct Lines<R> {
    input: R,
    /// What one read fills.
    buffer: Vec<u8>,
    /// What was read and is not handed over yet.
    kept: Vec<u8>,
    /// Bytes at its head that hold no end of a line.
    searched: usize,
    has_ended: bool,
    failure: Option<String>,
    body_bytes_max: usize,
    piece_bytes_max: usize,
}

impl<R: Read> Lines<R> {
    /// The lines of a stream.
    pub fn new(input: R) -> Lines<R> {
        Lines::with_limits(input, BODY_BYTES_MAX, DELIVERY_BYTES_MAX)
    }

    fn with_limits(input: R, body_bytes_max: usize, piece_bytes_max: usize) -> Lines<R> {
        let buffer = vec![0; body_bytes_max];
        Lines { input, buffer, kept: Vec::new(), searched: 0, has_ended: false, failure: None, body_bytes_max, piece_bytes_max }
    }

    /// The next body, never empty: lines that are whole, a piece of one that is too long, or at the end of
    /// the stream what follows its last line end. Waits for the stream; none at its end.
    ///
    /// # Errors
    /// A sentence that says why nothing more can be read. What was read before was handed over.
    pub fn next_body(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            if let Some(end) = self.body_end() {
                return Ok(Some(self.hand_over(end)));
            }
            if self.has_ended {
                return self.failure.take().map_or(Ok(None), Err);
            }
            self.read();
        }
    }

    /// Where the next body ends; none when more must be read first.
    fn body_end(&mut self) -> Option<usize> {
        let within = self.kept.len().min(self.body_bytes_max);
        let fresh = self.kept.get(self.searched.min(within)..within).unwrap_or_default();
        if let Some(last) = fresh.iter().rposition(|byte| *byte == b'\n') {
            let end = self.searched + last + 1;
            return Some(together(self.kept.get(..end).unwrap_or_default()));
        }
        let from = self.searched.max(within);
        let fresh = self.kept.get(from..).unwrap_or_default();
        if let Some(first) = fresh.iter().position(|byte| *byte == b'\n') {
            return Some(from + first + 1);
        }
        self.searched = self.kept.len();
        let is_last = self.has_ended && !self.kept.is_empty();
        (is_last || self.kept.len() >= self.piece_bytes_max).then_some(self.kept.len())
    }

    fn hand_over(&mut self, end: usize) -> Vec<u8> {
        self.searched = 0;
        let rest = self.kept.split_off(end.min(self.kept.len()));
        std::mem::replace(&mut self.kept, rest)
    }

    /// Reads once: a stream that has nothing more right now gives less than it is asked for.
    fn read(&mut self) {
        let is_long = self.kept.len() >= self.body_bytes_max;
        let limit = if is_long { self.piece_bytes_max } else { self.body_bytes_max };
        let asked = self.buffer.len().min(limit.saturating_sub(self.kept.len()));
        match self.input.read(self.buffer.get_mut(..asked).unwrap_or_default()) {
            Ok(0) => self.has_ended = true,
            Ok(read) => self.keep(read),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => (self.has_ended, self.failure) = (true, Some(error.to_string())),
        }
    }

    /// Keeps the head of the buffer. Room is made twice as large each time, and never for more than a piece.
    fn keep(&mut self, read: usize) {
        let fresh = self.buffer.get(..read).unwrap_or_default();
        let needed = self.kept.len() + fresh.len();
        if needed > self.kept.capacity() {
            let wanted = (self.kept.capacity() * 2).min(self.piece_bytes_max).max(needed);
            self.kept.reserve_exact(wanted - self.kept.len());
        }
        self.kept.extend_from_slice(fresh);
    }
}

/// How much of some whole lines goes into one body. Its first line decides how a body is read, and one that
/// opens what it does not close would take the others with it: lines before the first object stand alone.
fn together(lines: &[u8]) -> usize {
    let (mut length, mut is_odd) = (0, false);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        if is_object(line) {
            return if is_odd { length } else { lines.len() };
        }
        is_odd |= !line.trim_ascii().is_empty();
        length += line.len();
    }
    lines.len()
}

/// Whether a line is one object by its brackets (RFC 8259): what it opens it closes, at its end.
fn is_object(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    if !line.starts_with(b"{") || !line.ends_with(b"}") {
        return false;
    }
    let (mut depth, mut is_in_text, mut is_escaped) = (0usize, false, false);
    for (at, &byte) in line.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_in_text => is_escaped = true,
            b'"' => is_in_text = !is_in_text,
            b'{' | b'[' if !is_in_text => depth += 1,
            b'}' | b']' if !is_in_text => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1 == line.len();
                }
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// A pipe that gives its bytes in reads of these sizes, over and over.
    struct Pipe<'p> {
        rest: &'p [u8],
        sizes: &'p [usize],
        reads: usize,
    }

    impl Read for Pipe<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            assert!(!buffer.is_empty(), "a read of nothing looks like the end");
            let size = self.sizes[self.reads % self.sizes.len()].min(buffer.len()).min(self.rest.len());
            self.reads += 1;
            let (given, rest) = self.rest.split_at(size);
            buffer[..size].copy_from_slice(given);
            self.rest = rest;
            Ok(size)
        }
    }

    /// The bodies of a text that comes in reads of these sizes.
    fn bodies(text: &str, sizes: &[usize], body_bytes_max: usize, piece_bytes_max: usize) -> Vec<String> {
        let pipe = Pipe { rest: text.as_bytes(), sizes, reads: 0 };
        let mut lines = Lines::with_limits(pipe, body_bytes_max, piece_bytes_max);
        let mut bodies = Vec::new();
        loop {
            let (has_lines, reads) = (lines.kept.contains(&b'\n'), lines.input.reads);
            let Some(body) = lines.next_body().unwrap() else {
                return bodies;
            };
            assert!(!has_lines || lines.input.reads == reads, "whole lines waited for a read: {text:?} {sizes:?}");
            assert!(lines.kept.len() <= piece_bytes_max, "{text:?} {sizes:?}");
            bodies.push(String::from_utf8(body).unwrap());
        }
    }

    fn check(text: &str, sizes: &[usize], wanted: &[&str]) {
        assert_eq!(bodies(text, sizes, 16, 40), wanted, "{text:?} {sizes:?}");
    }

    #[test]
    fn whole_lines_come_before_the_pipe_is_waited_for() {
        check("", &[64], &[]);
        check("{}\n{}\n", &[64], &["{}\n{}\n"]);
        check("{}\n{}\n", &[4, 2], &["{}\n", "{}\n"]);
        check("{}\n{\"a\"", &[64], &["{}\n", "{\"a\""]);
        check("{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n", &[64], &["{\"a\":1}\n{\"a\":2}\n", "{\"a\":3}\n"]);
    }

    #[test]
    fn a_long_line_is_a_body_of_its_own_or_comes_in_pieces() {
        let long = format!("{{{}}}\n", "x".repeat(28));
        check(&format!("{{}}\n{long}{{}}\n"), &[64], &["{}\n", &long, "{}\n"]);
        let (piece, end) = ("x".repeat(40), format!("{}\n", "x".repeat(20)));
        check(&format!("{piece}{piece}{end}{{}}\n"), &[64], &[&piece, &piece, &end, "{}\n"]);
        check(&format!("{piece}{piece}"), &[7], &[&piece, &piece]);
    }

    #[test]
    fn a_line_that_is_no_object_begins_no_body_of_objects() {
        let check = |text: &str, wanted: &[&str]| assert_eq!(bodies(text, &[64], 64, 128), wanted, "{text:?}");
        check("{\"a\":\n{}\n{\"b\":\n{}\n", &["{\"a\":\n", "{}\n{\"b\":\n{}\n"]);
        check("[INFO] on\nstarted\n{\"b\":\"}\\\"\"}\n", &["[INFO] on\nstarted\n", "{\"b\":\"}\\\"\"}\n"]);
        check("{\"a\":{}\n{}\n", &["{\"a\":{}\n", "{}\n"]);
        check("{\"a\":\"}\n{}\n", &["{\"a\":\"}\n", "{}\n"]);
        check("{} {}\n{}\n", &["{} {}\n", "{}\n"]);
        check("\r\n {\"a\":[{}]} \r\n{}\n", &["\r\n {\"a\":[{}]} \r\n{}\n"]);
    }

    #[test]
    fn no_byte_is_lost_whatever_the_sizes_of_reads() {
        let long = format!("{{\"a\":\"{}\"}}\n{{}}\n\n", "y".repeat(90));
        let texts =
            ["\n", "{\"a\":1}\n\n{\"b\":\n{}\n{}\r\nno\nno\n{\"c\":[2]}\n", "{}\n{}", "no end and no line", long.as_str()];
        for text in texts {
            for (first, second) in (1..10).flat_map(|first| [1, 3, 64].map(|second| (first, second))) {
                for (body_max, piece_max) in [1, 2, 7, 16, 64].into_iter().flat_map(|max| [(max, max), (max, 3 * max + 1)]) {
                    let bodies = bodies(text, &[first, second], body_max, piece_max);
                    assert_eq!(bodies.concat(), text, "{first} {second} {body_max} {piece_max}");
                    for (number, body) in bodies.iter().enumerate() {
                        let is_one = body.find('\n').is_none_or(|at| at + 1 == body.len());
                        assert!(!body.is_empty() && body.len() <= if is_one { piece_max } else { body_max }, "{body:?}");
                        let is_last = number + 1 == bodies.len();
                        assert!(body.ends_with('\n') || body.len() == piece_max || is_last, "{body:?} of {text:?}");
                        let mut lines = body.lines().filter(|line| !line.trim().is_empty());
                        let begins = lines.next().is_some_and(|line| is_object(line.as_bytes()));
                        assert!(begins || !lines.any(|line| is_object(line.as_bytes())), "{body:?} of {text:?}");
                    }
                }
            }
        }
    }

    /// Gives what it holds, last first.
    struct Steps(Vec<io::Result<&'static str>>);

    impl Read for Steps {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let given = self.0.pop().unwrap_or(Ok(""))?.as_bytes();
            buffer[..given.len()].copy_from_slice(given);
            Ok(given.len())
        }
    }

    #[test]
    fn what_was_read_before_an_error_comes_before_it() {
        let steps = vec![Err(io::Error::other("gone")), Ok("{}\n{"), Err(ErrorKind::Interrupted.into()), Ok("{}\n")];
        let mut lines = Lines::new(Steps(steps));
        for wanted in ["{}\n", "{}\n", "{"] {
            assert_eq!(lines.next_body(), Ok(Some(wanted.as_bytes().to_vec())));
        }
        assert_eq!(lines.next_body(), Err("gone".to_owned()));
        assert_eq!(lines.next_body(), Ok(None));
    }
}
