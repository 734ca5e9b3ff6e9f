//! Small JSON helpers for slices that a walk has already bounded.

use std::borrow::Cow;

use crate::row::Cell;
use crate::value::Value;

/// Unescapes the inside of a JSON string (RFC 8259, section 7); lone surrogates become U+FFFD.
pub fn unescape(inner: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', inner.as_bytes()) else {
        return Cow::Borrowed(inner);
    };
    let (head, tail) = inner.split_at(first);
    let mut out = String::with_capacity(inner.len());
    out.push_str(head);
    let mut chars = tail.chars();
    while let Some(next) = chars.next() {
        if next != '\\' {
            out.push(next);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('u') => out.push(unicode_escape(&mut chars)),
            Some(other) => out.push(other),
            None => {}
        }
    }
    Cow::Owned(out)
}

/// Reads the four hex digits after `\u`, and the second half of a surrogate pair.
fn unicode_escape(chars: &mut std::str::Chars<'_>) -> char {
    let Some(unit) = four_hex(chars) else {
        return char::REPLACEMENT_CHARACTER;
    };
    if !(0xD800..0xDC00).contains(&unit) {
        return char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    let mut ahead = chars.clone();
    if ahead.next() != Some('\\') || ahead.next() != Some('u') {
        return char::REPLACEMENT_CHARACTER;
    }
    match four_hex(&mut ahead) {
        Some(low) if (0xDC00..0xE000).contains(&low) => {
            *chars = ahead;
            let code = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        _ => char::REPLACEMENT_CHARACTER,
    }
}

fn four_hex(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    let mut code = 0;
    for _ in 0..4 {
        code = code * 16 + chars.next()?.to_digit(16)?;
    }
    Some(code)
}

/// The value that raw JSON text is.
pub(crate) fn cell(raw: &[u8]) -> Cell<'_> {
    Cell::of(std::str::from_utf8(raw).unwrap_or("\u{fffd}"))
}

/// JSON text without the white space between its tokens.
pub fn compact(bytes: &[u8]) -> Cow<'_, str> {
    if !bytes.iter().any(u8::is_ascii_whitespace) {
        return String::from_utf8_lossy(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut in_string = false;
    let mut escaped = false;
    for &byte in bytes {
        if in_string {
            out.push(byte);
            if escaped {
                escaped = false;
            } else if byte == b'\\' {
                escaped = true;
            } else if byte == b'"' {
                in_string = false;
            }
        } else if !byte.is_ascii_whitespace() {
            in_string = byte == b'"';
            out.push(byte);
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// The end of the JSON value that starts at `start`: the index after its last byte.
pub fn value_end(bytes: &[u8], start: usize) -> usize {
    match bytes.get(start) {
        Some(b'"') => string_end(bytes, start),
        Some(b'{' | b'[') => container_end(bytes, start),
        _ => {
            let rest = bytes.get(start..).unwrap_or_default();
            let stop = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
            start + rest.iter().position(stop).unwrap_or(rest.len())
        }
    }
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    closing_quote(bytes, start).map_or(bytes.len(), |at| at + 1)
}

/// The index of the quote that closes the string opened at `start`.
pub(crate) fn closing_quote(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

fn container_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0usize;
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// How far a container reaches that opens in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// To the index after its closing bracket.
    Closed(usize),
    /// Further than the buffer.
    Open,
    /// Up to a byte that cannot stand there: a bracket that closes nothing, a container where a key
    /// must be, text behind a string.
    Broken(usize),
}

/// How far the container at `start` reaches; what a broken one swallows is thereby little.
pub(crate) fn container_extent(bytes: &[u8], start: usize) -> Extent {
    // One bit for each open container, the innermost lowest: whether it is an object. Those deeper
    // than the bits reach are not told apart; no record is.
    let (mut kinds, mut depth) = (0u64, 0u32);
    let (mut at, mut before) = (start, b':');
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let Some(quote) = closing_quote(bytes, at) else {
                    return Extent::Open;
                };
                at = skip_space(bytes, quote + 1);
                before = b'"';
                match bytes.get(at) {
                    None | Some(b',' | b':' | b'}' | b']') => continue,
                    Some(_) => return Extent::Broken(at),
                }
            }
            b'{' | b'[' => {
                let fits = if kinds & 1 == 1 { before == b':' } else { matches!(before, b':' | b',' | b'[') };
                if !fits {
                    return Extent::Broken(at);
                }
                if depth < u64::BITS {
                    kinds = kinds << 1 | u64::from(byte == b'{');
                }
                (depth, before) = (depth + 1, byte);
            }
            b'}' | b']' => {
                if depth <= u64::BITS {
                    if (byte == b'}') != (kinds & 1 == 1) {
                        return Extent::Broken(at);
                    }
                    kinds >>= 1;
                }
                (depth, before) = (depth.saturating_sub(1), byte);
                if depth == 0 {
                    return Extent::Closed(at + 1);
                }
            }
            b',' | b':' => before = byte,
            _ => {}
        }
        at += 1;
    }
    Extent::Open
}

/// The end of the JSON value (RFC 8259) that starts at `start`, if it is well formed and opens no
/// more than `depth` levels: what may stand inside a record that we write ourselves.
pub(crate) fn checked_end(bytes: &[u8], start: usize, depth: usize) -> Option<usize> {
    match bytes.get(start)? {
        b'"' => closing_quote(bytes, start).map(|at| at + 1),
        b'{' => checked_container(bytes, start, b'}', depth),
        b'[' => checked_container(bytes, start, b']', depth),
        _ => {
            let end = value_end(bytes, start);
            let scalar = bytes.get(start..end)?;
            let is_number = scalar.iter().any(u8::is_ascii_digit)
                && scalar.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
            (is_number || matches!(scalar, b"true" | b"false" | b"null")).then_some(end)
        }
    }
}

fn checked_container(bytes: &[u8], start: usize, close: u8, depth: usize) -> Option<usize> {
    let depth = depth.checked_sub(1)?;
    let mut at = skip_space(bytes, start + 1);
    if *bytes.get(at)? == close {
        return Some(at + 1);
    }
    loop {
        if close == b'}' {
            if *bytes.get(at)? != b'"' {
                return None;
            }
            at = skip_space(bytes, closing_quote(bytes, at)? + 1);
            if *bytes.get(at)? != b':' {
                return None;
            }
            at = skip_space(bytes, at + 1);
        }
        at = skip_space(bytes, checked_end(bytes, at, depth)?);
        match *bytes.get(at)? {
            b',' => at = skip_space(bytes, at + 1),
            found if found == close => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Writes a text as a JSON string; what is no UTF-8 becomes U+FFFD.
pub(crate) fn write_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    if is_plain(text) {
        out.extend_from_slice(text);
    } else if let Ok(text) = simdutf8::basic::from_utf8(text) {
        write_escaped(text.as_bytes(), out);
    } else {
        write_escaped(String::from_utf8_lossy(text).as_bytes(), out);
    }
    out.push(b'"');
}

/// Whether a text is ASCII that can stand in a JSON string as it is.
fn is_plain(text: &[u8]) -> bool {
    // No early end, so that many bytes are looked at together.
    text.iter().fold(true, |is_plain, &byte| is_plain & (b' '..0x80).contains(&byte) & (byte != b'"') & (byte != b'\\'))
}

fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    let is_special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    while let Some((head, byte, tail)) =
        rest.iter().position(is_special).and_then(|at| Some((rest.get(..at)?, *rest.get(at)?, rest.get(at + 1..)?)))
    {
        out.extend_from_slice(head);
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.extend_from_slice(&[b'\\', byte]),
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
}

#[inline]
pub(crate) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    // White space is rare where machines write: one look tells.
    if bytes.get(at).is_some_and(|&byte| byte > b' ') {
        return at;
    }
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// The items of a JSON array (given with its brackets), not decoded.
#[derive(Debug, Clone)]
pub(crate) struct Items<'r> {
    list: &'r [u8],
    at: usize,
}

pub(crate) fn items(list: &[u8]) -> Items<'_> {
    Items { list, at: skip_space(list, 1) }
}

impl<'r> Iterator for Items<'r> {
    type Item = &'r [u8];

    fn next(&mut self) -> Option<&'r [u8]> {
        if matches!(self.list.get(self.at), None | Some(b']')) {
            return None;
        }
        let end = value_end(self.list, self.at);
        let raw = self.list.get(self.at..end);
        self.at = behind_comma(self.list, end);
        raw
    }
}

/// Where the next item or member begins; behind the end when there is no comma.
fn behind_comma(bytes: &[u8], end: usize) -> usize {
    let at = skip_space(bytes, end);
    if bytes.get(at) == Some(&b',') { skip_space(bytes, at + 1) } else { bytes.len() }
}

/// The members of a JSON object (given with its braces), not decoded: the key without its quotes.
pub(crate) struct Members<'r> {
    object: &'r [u8],
    at: usize,
}

pub(crate) fn members(object: &[u8]) -> Members<'_> {
    Members { object, at: skip_space(object, 1) }
}

impl<'r> Iterator for Members<'r> {
    type Item = (&'r [u8], &'r [u8]);

    fn next(&mut self) -> Option<(&'r [u8], &'r [u8])> {
        let object = self.object;
        if object.get(self.at) != Some(&b'"') {
            return None;
        }
        let key_end = value_end(object, self.at);
        let key = object.get(self.at + 1..key_end.saturating_sub(1))?;
        let colon = skip_space(object, key_end);
        if object.get(colon) != Some(&b':') {
            return None;
        }
        let begin = skip_space(object, colon + 1);
        let end = value_end(object, begin);
        let raw = object.get(begin..end)?;
        self.at = behind_comma(object, end);
        Some((key, raw))
    }
}

/// Calls `visit` with each item of a JSON array (given with its brackets).
pub fn each_item<'r>(list: &'r [u8], visit: &mut dyn FnMut(Value<'r>)) {
    items(list).for_each(|raw| visit(cell(raw).value()));
}

/// Calls `visit` with key and value of each member of a JSON object (given with its braces).
pub fn each_member<'r>(object: &'r [u8], visit: &mut dyn FnMut(Cow<'r, str>, Value<'r>)) {
    for (key, raw) in members(object) {
        if let Ok(key) = std::str::from_utf8(key) {
            visit(unescape(key), cell(raw).value());
        }
    }
}

/// Calls `visit` with every scalar of a JSON text, at any depth up to [`crate::depth_max`].
/// `visit` returns whether to go on.
pub fn each_leaf<'r>(bytes: &'r [u8], visit: &mut dyn FnMut(Value<'r>) -> bool) {
    let mut going = true;
    leaves(cell(bytes).value(), 0, &mut going, visit);
}

fn leaves<'r>(value: Value<'r>, depth: usize, going: &mut bool, visit: &mut dyn FnMut(Value<'r>) -> bool) {
    if !*going || depth > crate::depth_max() {
        return;
    }
    match value {
        Value::Object(bytes) => each_member(bytes, &mut |_, member| leaves(member, depth + 1, going, visit)),
        Value::List(bytes) => each_item(bytes, &mut |item| leaves(item, depth + 1, going, visit)),
        scalar => *going = visit(scalar),
    }
}
