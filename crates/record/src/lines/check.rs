//! What a cell looks like: cheap tests that tell one kind of line from another, and times rewritten.

use super::form::FieldCheck;

/// Longest whole number that is written as a number.
const INTEGER_DIGITS_MAX: usize = 18;
/// A time of the Common Log Format: digits, letters, and a sign.
const COMMON_TIME: &[u8; 26] = b"99/AAA/9999:99:99:99 +9999";
const MONTHS: [&[u8; 3]; 12] = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

impl FieldCheck {
    /// Whether a cell looks so.
    pub(crate) fn passes(&self, cell: &[u8]) -> bool {
        match self {
            FieldCheck::Integer => has_only(cell, |byte| byte.is_ascii_digit() || byte == b'-'),
            FieldCheck::Decimal => is_decimal(cell),
            FieldCheck::Hex => has_only(cell, |byte| byte.is_ascii_hexdigit()),
            FieldCheck::Ip => is_ip(cell),
            FieldCheck::Time => is_time(cell),
            FieldCheck::CommonTime => is_common_time(cell),
            FieldCheck::OneOf(texts) => texts.iter().any(|text| text.as_bytes() == cell),
            FieldCheck::Prefix(texts) => texts.iter().any(|text| cell.starts_with(text.as_bytes())),
        }
    }

    /// Whether a cell that begins with this byte can look so.
    pub(crate) fn may_begin(&self, byte: u8) -> bool {
        let begins = |texts: &[String]| texts.iter().any(|text| text.bytes().next().is_none_or(|first| first == byte));
        match self {
            FieldCheck::Integer => byte.is_ascii_digit() || byte == b'-',
            FieldCheck::Decimal => byte.is_ascii_digit() || matches!(byte, b'-' | b'.'),
            FieldCheck::Hex => byte.is_ascii_hexdigit(),
            FieldCheck::Ip => byte.is_ascii_hexdigit() || byte == b':',
            FieldCheck::Time | FieldCheck::CommonTime => byte.is_ascii_digit(),
            FieldCheck::OneOf(texts) | FieldCheck::Prefix(texts) => begins(texts),
        }
    }
}

fn has_only(cell: &[u8], fits: impl Fn(u8) -> bool) -> bool {
    !cell.is_empty() && cell.iter().all(|&byte| fits(byte))
}

/// By its letters alone: what is close to an address is one here.
fn is_ip(cell: &[u8]) -> bool {
    let dots = || cell.iter().filter(|byte| **byte == b'.').count();
    let is_dotted = || cell.len() <= 15 && dots() == 3 && has_only(cell, |byte| byte.is_ascii_digit() || byte == b'.');
    let is_colons = || (2..=45).contains(&cell.len()) && cell.contains(&b':');
    is_dotted() || (is_colons() && has_only(cell, |byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')))
}

/// `2026-11-12`, with or without more behind `T` or a space.
fn is_time(cell: &[u8]) -> bool {
    let (date, rest) = cell.split_at_checked(10).unwrap_or((&[], &[]));
    let is_date = !date.is_empty()
        && date.iter().enumerate().all(|(at, byte)| if matches!(at, 4 | 7) { *byte == b'-' } else { byte.is_ascii_digit() });
    is_date && matches!(rest.first(), None | Some(b'T' | b't' | b' '))
}

/// Whether a text is a whole number as JSON writes it.
pub(crate) fn is_integer(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', ..] => digits.len() <= INTEGER_DIGITS_MAX && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// The number of a month by its English letters, in two digits.
fn month(letters: Option<&[u8]>) -> Option<[u8; 2]> {
    let number = (1u8..).zip(MONTHS).find(|(_, name)| letters == Some(name.as_slice()))?.0;
    Some([b'0' + number / 10, b'0' + number % 10])
}

/// Whether a text is a time of the Common Log Format.
fn is_common_time(text: &[u8]) -> bool {
    let fits = |(byte, wanted): (&u8, &u8)| match wanted {
        b'9' => byte.is_ascii_digit(),
        b'A' => byte.is_ascii_alphabetic(),
        b'+' => matches!(byte, b'+' | b'-'),
        _ => byte == wanted,
    };
    text.len() == COMMON_TIME.len() && text.iter().zip(COMMON_TIME).all(fits) && month(text.get(3..6)).is_some()
}

/// Writes `12/Nov/2026:01:52:07 +0000` by RFC 3339; false, and nothing written, for other text.
pub(crate) fn write_common_time(text: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(month) = month(text.get(3..6)).filter(|_| is_common_time(text)) else {
        return false;
    };
    let part = |from: usize, until: usize| text.get(from..until).unwrap_or_default();
    for part in [part(7, 11), b"-", &month, b"-", part(0, 2), b"T", part(12, 20), part(21, 24), b":", part(24, 26)] {
        out.extend_from_slice(part);
    }
    true
}

/// `Nov 12 2026 01:52:07.123 UTC`, as event formats write times, by RFC 3339. A zone that is no offset
/// and not that of Greenwich is not known here.
pub(crate) fn named_time(text: &str) -> Option<String> {
    let mut words = text.split_ascii_whitespace();
    let (name, day, year, clock) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let zone = match words.next() {
        None | Some("UTC" | "GMT" | "Z") => "Z",
        Some(offset) if offset.starts_with(['+', '-']) => offset,
        Some(_) => return None,
    };
    let month = month(Some(name.as_bytes()))?;
    let is_number = |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_day = is_number(day, 1) || is_number(day, 2);
    (words.next().is_none() && is_day && is_number(year, 4) && clock.len() >= 8)
        .then(|| format!("{year}-{}-{day:0>2}T{clock}{zone}", String::from_utf8_lossy(&month)))
}

/// Digits with at most one point, behind a sign or none.
fn is_decimal(cell: &[u8]) -> bool {
    let digits = cell.strip_prefix(b"-").unwrap_or(cell);
    let points = digits.iter().filter(|byte| **byte == b'.').count();
    points <= 1 && has_only(digits, |byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_by_the_internet_s_rule() {
        let common = |text: &str| {
            let mut out = Vec::new();
            write_common_time(text.as_bytes(), &mut out).then(|| String::from_utf8(out).unwrap())
        };
        assert_eq!(common("12/Nov/2026:01:52:07 +0130").as_deref(), Some("2026-11-12T01:52:07+01:30"));
        assert_eq!(common("02/Jan/2026:01:52:07 -0500").as_deref(), Some("2026-01-02T01:52:07-05:00"));
        for other in ["12/Nov/2026:01:52:07", "12/Nox/2026:01:52:07 +0000", "1a/Nov/2026:01:52:07 +0000", ""] {
            assert_eq!(common(other), None, "{other}");
        }
        assert_eq!(named_time("Nov 2 2026 01:52:07").as_deref(), Some("2026-11-02T01:52:07Z"));
        assert_eq!(named_time("Nov 12 2026 01:52:07.123 +0100").as_deref(), Some("2026-11-12T01:52:07.123+0100"));
        assert_eq!(named_time("Nov 12 2026 01:52:07 GMT").as_deref(), Some("2026-11-12T01:52:07Z"));
        for other in ["Nov 12 01:52:07", "Nov 12 2026 01:52:07 CET", "November 12 2026 01:52:07", "12 Nov 2026 01:52:07"] {
            assert_eq!(named_time(other), None, "{other}");
        }
    }

    #[test]
    fn cells_are_told_by_what_they_look_like() {
        let one_of = FieldCheck::OneOf(vec!["http".into(), "https".into()]);
        let prefix = FieldCheck::Prefix(vec!["eni-".into()]);
        let cases: [(&FieldCheck, &str, bool); 20] = [
            (&FieldCheck::Integer, "-12", true),
            (&FieldCheck::Integer, "1.2", false),
            (&FieldCheck::Integer, "", false),
            (&FieldCheck::Decimal, "0.001", true),
            (&FieldCheck::Decimal, "0.001s", false),
            (&FieldCheck::Decimal, "-1", true),
            (&FieldCheck::Decimal, "203.0.113.77", false),
            (&FieldCheck::Hex, "79a59dF0", true),
            (&FieldCheck::Hex, "79a59dG0", false),
            (&FieldCheck::Ip, "203.0.113.7", true),
            (&FieldCheck::Ip, "2001:db8::7", true),
            (&FieldCheck::Ip, "example.com", false),
            (&FieldCheck::Ip, "abcd", false),
            (&FieldCheck::Time, "2026-11-12", true),
            (&FieldCheck::Time, "2026-11-12T01:52:07Z", true),
            (&FieldCheck::Time, "2026/11/12 01:52:07", false),
            (&FieldCheck::CommonTime, "12/Nov/2026:01:52:07 +0000", true),
            (&one_of, "https", true),
            (&one_of, "http2", false),
            (&prefix, "eni-1", true),
        ];
        for (check, cell, expected) in cases {
            assert_eq!(check.passes(cell.as_bytes()), expected, "{check:?} {cell}");
            if expected {
                assert!(check.may_begin(cell.as_bytes()[0]), "{check:?} {cell}");
            }
        }
        for (text, expected) in [
            ("0", true),
            ("-0", false),
            ("-7", true),
            ("007", false),
            ("", false),
            ("1234567890123456789", false),
            ("1e3", false),
        ] {
            assert_eq!(is_integer(text.as_bytes()), expected, "{text}");
        }
    }
}
