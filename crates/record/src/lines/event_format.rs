//! The Common Event Format and the Log Event Extended Format: a head between bars, and pairs behind it.
//!
//! Sources: Micro Focus, "Common Event Format", version 25; IBM, "Log Event Extended Format", version 2.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memmem, memrchr};

use super::check::{is_integer, named_time};
use super::write::Writer;
use crate::syslog::SyslogMessage;

/// Bytes in which the head of the format must begin.
const BEFORE_BYTES_MAX: usize = 512;
/// Longest key of a pair.
const KEY_BYTES_MAX: usize = 128;
/// Keys of times.
const TIMES: [&[u8]; 5] = [b"rt", b"start", b"end", b"art", b"devTime"];

/// Writes the record of a line of the Common Event Format; false when it is none.
pub(crate) fn common(line: &[u8], out: &mut Vec<u8>) -> bool {
    let mut writer = Writer::new(out);
    let is_read = write_common(line, &mut writer).is_some();
    writer.finish(is_read)
}

/// Writes the record of a line of the Log Event Extended Format; false when it is none.
pub(crate) fn extended(line: &[u8], out: &mut Vec<u8>) -> bool {
    let mut writer = Writer::new(out);
    let is_read = write_extended(line, &mut writer).is_some();
    writer.finish(is_read)
}

fn write_common(line: &[u8], writer: &mut Writer<'_>) -> Option<()> {
    const KEYS: [&str; 6] = ["deviceVendor", "deviceProduct", "deviceVersion", "deviceEventClassId", "name", "severity"];
    let (before, rest) = around(line, b"CEF:")?;
    write_header(before, writer)?;
    let (version, mut rest) = bar(rest)?;
    if !is_integer(version) {
        return None;
    }
    writer.text("cefVersion", version);
    for key in KEYS {
        let (value, behind) = match bar(rest) {
            // Where there are no pairs, the last bar may be left out.
            None if key == "severity" => (rest, Default::default()),
            found => found?,
        };
        writer.text(key, &unescaped(value.trim_ascii()));
        rest = behind;
    }
    common_pairs(rest, writer);
    Some(())
}

fn write_extended(line: &[u8], writer: &mut Writer<'_>) -> Option<()> {
    const KEYS: [&str; 4] = ["vendor", "product", "version", "eventId"];
    let (before, rest) = around(line, b"LEEF:")?;
    write_header(before, writer)?;
    let (version, mut rest) = plain_bar(rest)?;
    let is_second = version.starts_with(b"2");
    if !is_second && !version.starts_with(b"1") {
        return None;
    }
    writer.text("leefVersion", version);
    for key in KEYS {
        let (value, behind) = plain_bar(rest)?;
        writer.text(key, value.trim_ascii());
        rest = behind;
    }
    let mut delimiter = b'\t';
    if is_second
        && let Some((named, behind)) = plain_bar(rest)
        && let Some(byte) = delimiter_of(named)
    {
        (delimiter, rest) = (byte, behind);
    }
    for pair in rest.split(|byte| *byte == delimiter) {
        if let Some(at) = memchr(b'=', pair) {
            let (key, value) = pair.split_at_checked(at)?;
            write_value(key.trim_ascii(), value.get(1..).unwrap_or_default(), writer);
        }
    }
    Some(())
}

/// What stands before and behind the mark that a format begins with.
fn around<'l>(line: &'l [u8], mark: &[u8]) -> Option<(&'l [u8], &'l [u8])> {
    let head = line.get(..BEFORE_BYTES_MAX).unwrap_or(line);
    let at = memmem::find(head, mark)?;
    Some((line.get(..at)?, line.get(at + mark.len()..)?))
}

/// Writes what a header of syslog says; none when something else stands there.
fn write_header(before: &[u8], writer: &mut Writer<'_>) -> Option<()> {
    let text = std::str::from_utf8(before).ok()?;
    let header = SyslogMessage::of_header(text)?;
    if let Some(priority) = header.priority {
        writer.number("syslog.priority", priority);
    }
    writer.maybe("syslog.timestamp", header.timestamp);
    writer.maybe("syslog.host", header.host);
    writer.maybe("syslog.app", header.app);
    Some(())
}

/// The text up to the next bar that no backslash stands before, and what follows.
fn bar(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        at += memchr2(b'|', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'|') {
            return Some((text.get(..at)?, text.get(at + 1..)?));
        }
        at += 2;
    }
}

/// The same for a head in which nothing is escaped.
fn plain_bar(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr(b'|', text)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The byte that `^` or `x5E` or `0x5E` stands for; a tab for nothing.
fn delimiter_of(named: &[u8]) -> Option<u8> {
    let hex = named.strip_prefix(b"0x").or_else(|| named.strip_prefix(b"x"));
    match (named, hex) {
        ([], _) => Some(b'\t'),
        ([byte], _) => Some(*byte),
        (_, Some(digits)) if digits.len() <= 2 => u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok(),
        _ => None,
    }
}

/// Writes pairs between spaces, whose values hold spaces too: a value ends before the next key.
fn common_pairs(text: &[u8], writer: &mut Writer<'_>) {
    let mut key = None;
    // Where the value of `key` begins, and where the next sign of equality is looked for.
    let (mut start, mut at) = (0, 0);
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'=', b'\\', rest)) {
        at += found;
        if text.get(at) == Some(&b'\\') {
            at += 2;
            continue;
        }
        let before = text.get(start..at).unwrap_or_default();
        let begin = memrchr(b' ', before).map_or(0, |space| space + 1);
        let name = before.get(begin..).unwrap_or_default();
        at += 1;
        // The first key begins the pairs; each other one follows a value and a space.
        if is_key(name) && (begin > 0 || key.is_none()) {
            if key.is_none() {
                // What stands before the first key is no pair, and yet it was said.
                write_value(b"more", before.get(..begin).unwrap_or_default().trim_ascii(), writer);
            }
            if let Some(key) = key {
                write_value(key, &unescaped(before.get(..begin).unwrap_or_default().trim_ascii_end()), writer);
            }
            (key, start) = (Some(name), at);
        }
    }
    if let Some(key) = key {
        write_value(key, &unescaped(text.get(start..).unwrap_or_default().trim_ascii_end()), writer);
    }
}

fn is_key(name: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-[]".contains(byte);
    !name.is_empty() && name.len() <= KEY_BYTES_MAX && name.iter().all(is_letter)
}

/// Writes a pair that has a value. Times are written so that they can be read.
fn write_value(key: &[u8], value: &[u8], writer: &mut Writer<'_>) {
    if key.is_empty() || value.is_empty() {
        return;
    }
    if TIMES.contains(&key) {
        if is_integer(value) {
            return writer.member(key).extend_from_slice(value);
        }
        if let Some(time) = std::str::from_utf8(value).ok().and_then(named_time) {
            return writer.member_text(key, time.as_bytes());
        }
    }
    writer.member_text(key, value);
}

/// What a text with backslashes says.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(&escaped @ (b'\\' | b'=' | b'|')) => out.push(escaped),
            Some(&other) => out.extend_from_slice(&[b'\\', other]),
            None => out.push(b'\\'),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(read: fn(&[u8], &mut Vec<u8>) -> bool, line: &str, expected: Option<Value>) {
        let mut out = b"before".to_vec();
        let is_read = read(line.as_bytes(), &mut out);
        let record = out.strip_prefix(b"before").unwrap();
        assert_eq!(is_read, !record.is_empty(), "{line}");
        assert_eq!(is_read.then(|| serde_json::from_slice(record).unwrap()), expected, "{line}");
    }

    #[test]
    fn the_common_format_is_read() {
        check(
            common,
            "<134>Nov 12 01:52:07 gate CEF:0|Example|Wall \\| One|2.1|100|Denied \\\\ now|7|src=203.0.113.7 spt=1232 \
             msg=no way in, a\\=b and url=http://h/?q=1&r=2 rt=1794448327123 end=Nov 12 2026 01:52:08 empty= cs1Label=Rule  cs1=a b ",
            Some(json!({"syslog.priority": 134, "syslog.timestamp": "Nov 12 01:52:07", "syslog.host": "gate", "cefVersion": "0",
                "deviceVendor": "Example", "deviceProduct": "Wall | One", "deviceVersion": "2.1", "deviceEventClassId": "100",
                "name": "Denied \\ now", "severity": "7", "src": "203.0.113.7", "spt": "1232", "msg": "no way in, a=b and",
                "url": "http://h/?q=1&r=2", "rt": 1_794_448_327_123_u64, "end": "2026-11-12T01:52:08Z", "cs1Label": "Rule",
                "cs1": "a b"})),
        );
        let bare = json!({"cefVersion": "1", "deviceVendor": "V", "deviceProduct": "P", "deviceVersion": "1",
            "deviceEventClassId": "2", "name": "N", "severity": "Low"});
        check(common, "CEF:1|V|P|1|2|N|Low", Some(bare.clone()));
        check(common, "CEF:1|V|P|1|2|N|Low|", Some(bare));
        for other in ["", "CEF:", "CEF:0|V|P|1", "CEF:x|V|P|1|2|N|Low|", "we send CEF:0|V|P|1|2|N|Low|", "LEEF:1.0|a|b|c|d|"] {
            check(common, other, None);
        }
    }

    #[test]
    fn the_extended_format_is_read() {
        check(
            extended,
            "Nov 12 01:52:07 gate LEEF:1.0|Example|Wall|2.1|100|src=203.0.113.7\tmsg=a b = c\tdevTime=Nov 12 2026 01:52:07\tx\tno=",
            Some(json!({"syslog.timestamp": "Nov 12 01:52:07", "syslog.host": "gate", "leefVersion": "1.0", "vendor": "Example",
                "product": "Wall", "version": "2.1", "eventId": "100", "src": "203.0.113.7", "msg": "a b = c",
                "devTime": "2026-11-12T01:52:07Z"})),
        );
        let second =
            json!({"leefVersion": "2.0", "vendor": "V", "product": "P", "version": "1", "eventId": "7", "a": "1", "b": "2"});
        for delimiter in ["^|a=1^b=2", "x5E|a=1^b=2", "0x5e|a=1^b=2", "|a=1\tb=2", "x09|a=1\tb=2", "a=1\tb=2"] {
            check(extended, &format!("LEEF:2.0|V|P|1|7|{delimiter}"), Some(second.clone()));
        }
        for other in ["", "LEEF:3|a|b|c|d|", "LEEF:1.0|a|b", "CEF:0|V|P|1|2|N|Low|"] {
            check(extended, other, None);
        }
    }
}
