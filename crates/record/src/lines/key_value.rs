//! Lines of pairs, `key=value key="a value"`: as programs and audit trails write them.

use memchr::memchr;

use super::check::is_integer;
use super::write::Writer;

/// Fewest pairs of a line: less may stand in any sentence.
const PAIRS_MIN: usize = 3;
/// Longest key.
const KEY_BYTES_MAX: usize = 128;

/// Writes the record of a line that is nothing but pairs, behind the priority of syslog or alone; false
/// when it is another line.
pub(crate) fn read(line: &[u8], out: &mut Vec<u8>) -> bool {
    let mut writer = Writer::new(out);
    let is_read = pairs(without_priority(line), &mut writer).is_some_and(|count| count >= PAIRS_MIN);
    writer.finish(is_read)
}

/// Writes all pairs and gives their number; none when something else stands between them.
fn pairs(line: &[u8], writer: &mut Writer<'_>) -> Option<usize> {
    let mut rest = line;
    let mut count = 0;
    loop {
        let between = rest.iter().take_while(|byte| is_between(**byte)).count();
        rest = rest.get(between..)?;
        if rest.is_empty() {
            return Some(count);
        }
        let (key, value) = rest.split_at_checked(memchr(b'=', rest)?)?;
        if !is_key(key) {
            return None;
        }
        rest = write_value(key, value.get(1..)?, writer)?;
        count += 1;
    }
}

/// Writes the pair whose value begins `text`; gives what follows it.
fn write_value<'l>(key: &[u8], text: &'l [u8], writer: &mut Writer<'_>) -> Option<&'l [u8]> {
    match text.first() {
        Some(b'"') => {
            let (value, behind) = quoted(text.get(1..)?)?;
            writer.member_text(key, &value);
            Some(behind)
        }
        Some(b'\'') => {
            let inner = text.get(1..)?;
            let (value, behind) = inner.split_at_checked(memchr(b'\'', inner)?)?;
            writer.member_text(key, value);
            behind.get(1..)
        }
        _ => {
            let end = text.iter().position(|byte| is_between(*byte)).unwrap_or(text.len());
            let (value, behind) = text.split_at_checked(end)?;
            // Between pairs there may be a comma and a space.
            let value = value.strip_suffix(b",").filter(|_| !behind.is_empty()).unwrap_or(value);
            if is_integer(value) {
                writer.member(key).extend_from_slice(value);
            } else {
                writer.member_text(key, value);
            }
            Some(behind)
        }
    }
}

/// Reads up to the closing quote: what it says, and what follows.
fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest)?;
        let (head, tail) = rest.split_at_checked(at)?;
        value.extend_from_slice(head);
        match tail {
            [b'"', behind @ ..] => return Some((value, behind)),
            [_, escaped @ (b'"' | b'\\'), behind @ ..] => {
                value.push(*escaped);
                rest = behind;
            }
            [first, behind @ ..] => {
                value.push(*first);
                rest = behind;
            }
            [] => return None,
        }
    }
}

/// Spaces, tabs, and the mark that audit trails put before what they add.
fn is_between(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x1D)
}

fn is_key(key: &[u8]) -> bool {
    let is_first = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'@');
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-@/".contains(byte);
    key.len() <= KEY_BYTES_MAX && key.first().is_some_and(is_first) && key.iter().all(is_letter)
}

/// The line behind `<134>`.
fn without_priority(line: &[u8]) -> &[u8] {
    let digits = line.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
    match (line.first(), line.get(digits + 1)) {
        (Some(b'<'), Some(b'>')) if (1..=3).contains(&digits) => line.get(digits + 2..).unwrap_or_default(),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    #[track_caller]
    fn check(line: &str, expected: Option<Value>) {
        let mut out = b"before".to_vec();
        let is_read = super::read(line.as_bytes(), &mut out);
        let record = out.strip_prefix(b"before").unwrap();
        assert_eq!(is_read, !record.is_empty(), "{line}");
        assert_eq!(is_read.then(|| serde_json::from_slice(record).unwrap()), expected, "{line}");
    }

    #[test]
    fn pairs_become_a_record() {
        check(
            "<134>time=2026-11-12T01:52:07Z level=warn msg=\"a \\\"b\\\" \\n c\" status=404 took=0.5s, n=007",
            Some(json!({"time": "2026-11-12T01:52:07Z", "level": "warn", "msg": "a \"b\" \\n c", "status": 404, "took": "0.5s",
                "n": "007"})),
        );
        check(
            "type=SYSCALL msg=audit(1794448327.123:7): pid=1 exe=\"/bin/su\" more='op=a res=b'\u{1d}UID=\"root\"",
            Some(json!({"type": "SYSCALL", "msg": "audit(1794448327.123:7):", "pid": 1, "exe": "/bin/su", "more": "op=a res=b",
                "UID": "root"})),
        );
        check("a= b= c=", Some(json!({"a": "", "b": "", "c": ""})));
    }

    #[test]
    fn other_lines_are_not_taken() {
        for line in
            ["", "a=1 b=2", "a=1 b=2 c", "so a=1 b=2 c=3", "a=1 b=2 c=\"3", "1=a 2=b 3=c", "a=1 b=2 c='3", "x?y=1 b=2 c=3"]
        {
            check(line, None);
        }
    }
}
