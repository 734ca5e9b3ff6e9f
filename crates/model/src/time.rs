//! Instants as milliseconds since 1970-01-01 UTC, and RFC 3339 text.

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;

/// The last instant of the year 9999: an event that says to be later, or before 1970, has no time.
pub const MILLIS_MAX: Millis = 253_402_300_799_999;

/// An instant from a number of seconds, milliseconds, microseconds or nanoseconds since 1970, told apart
/// by size.
pub fn millis_of(number: i64) -> Millis {
    match number.unsigned_abs() {
        0..100_000_000_000 => number.saturating_mul(1000),
        100_000_000_000..100_000_000_000_000 => number,
        100_000_000_000_000..100_000_000_000_000_000 => number / 1000,
        100_000_000_000_000_000..NANOSECONDS_MAX => number / 1_000_000,
        // The largest number is how machines say "never": as milliseconds it is no time.
        _ => number,
    }
}

/// Nanoseconds from which on a number is no instant: the year 2255.
const NANOSECONDS_MAX: u64 = 9_000_000_000_000_000_000;

/// An instant from the text of such a number, whose seconds may have a fraction. None for other text.
pub fn parse_epoch(text: &str) -> Option<Millis> {
    if text.contains(['e', 'E']) {
        // An exponent: few write times so, and none to the millisecond.
        let number = text.parse::<f64>().ok().filter(|number| number.abs() < 1e18)?;
        return Some(if number.abs() < 1e11 { (number * 1000.0).round() as i64 } else { millis_of(number as i64) });
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number = whole.parse::<i64>().ok().filter(|_| fraction.bytes().all(|byte| byte.is_ascii_digit()))?;
    // Nobody writes minus nothing for a time.
    if number == 0 && whole.starts_with('-') {
        return None;
    }
    let is_seconds = number.unsigned_abs() < 100_000_000_000;
    let millis = fraction.bytes().chain([b'0'; 3]).take(3).fold(0i64, |sum, byte| sum * 10 + i64::from(byte - b'0'));
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    Some(millis_of(number) + if is_seconds { sign * millis } else { 0 })
}

/// Digits before the point of a number that says a time of this century in seconds, milliseconds,
/// microseconds or nanoseconds since 1970. Other texts of digits are dates or counts.
const EPOCH_DIGITS: [usize; 4] = [10, 13, 16, 19];

/// Reads an instant as records write it in texts: RFC 3339, or a number since 1970.
pub fn parse_time(text: &str) -> Option<Millis> {
    parse_rfc3339(text).or_else(|| {
        let whole = text.split('.').next().unwrap_or_default();
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        (is_number && EPOCH_DIGITS.contains(&whole.len())).then(|| parse_epoch(text)).flatten()
    })
}

/// Reads an RFC 3339 instant (`2026-11-12T01:52:07Z`, a fraction and an offset allowed).
/// None when the text is something else; years 0 to 9999.
pub fn parse_rfc3339(text: &str) -> Option<Millis> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        bytes.get(from..to)?.iter().try_fold(0i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, byte)| bytes.get(at) != Some(&byte)) {
        return None;
    }
    if !matches!(bytes.get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let in_range = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    if !in_range || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, rest) = fraction_ms(bytes.get(19..)?)?;
    let offset = offset_minutes(rest)?;
    let seconds = days_from_epoch(year, month, day) * 86_400 + hour * 3600 + (minute - offset) * 60 + second;
    Some(seconds * 1000 + fraction)
}

/// Reads an instant as people write it: RFC 3339, a date, or a date and a minute, UTC.
pub fn parse_instant(text: &str) -> Option<Millis> {
    parse_rfc3339(text).or_else(|| parse_rfc3339(&format!("{text}T00:00:00Z"))).or_else(|| parse_rfc3339(&format!("{text}:00Z")))
}

/// Reads an instant, or how long before `now` it was: `30s`, `15m`, `24h`, `7d`, `2w`.
pub fn parse_moment(text: &str, now: Millis) -> Option<Millis> {
    const UNITS: [(char, i64); 5] = [('s', 1_000), ('m', 60_000), ('h', 3_600_000), ('d', 86_400_000), ('w', 604_800_000)];
    let text = text.trim();
    let ago = || {
        UNITS.iter().find_map(|&(unit, millis)| {
            let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
            now.checked_sub(i64::from(count).checked_mul(millis)?)
        })
    };
    parse_instant(text).or_else(ago)
}

/// Splits `.123456` off the head of `rest`: its milliseconds, and what follows.
fn fraction_ms(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = rest.strip_prefix(b".") else {
        return Some((0, rest));
    };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let (digits, tail) = digits.split_at(length);
    let value = digits.iter().chain([b'0'; 3].iter()).take(3).fold(0i64, |sum, byte| sum * 10 + i64::from(byte - b'0'));
    Some((value, tail))
}

fn offset_minutes(rest: &[u8]) -> Option<i64> {
    match rest {
        [] | [b'Z' | b'z'] | [b' ', b'U', b'T', b'C'] => Some(0),
        // Whole hours, as databases write them.
        [sign @ (b'+' | b'-'), ten @ b'0'..=b'9', one @ b'0'..=b'9'] => {
            let minutes = (i64::from(ten - b'0') * 10 + i64::from(one - b'0')) * 60;
            Some(if *sign == b'-' { -minutes } else { minutes })
        }
        [sign @ (b'+' | b'-'), digits @ ..] => {
            let digits: Vec<i64> = digits.iter().filter(|&&byte| byte != b':').map(|&byte| i64::from(byte) - 48).collect();
            match digits.as_slice() {
                [a, b, c, d] if digits.iter().all(|digit| (0..=9).contains(digit)) => {
                    let minutes = (a * 10 + b) * 60 + c * 10 + d;
                    Some(if *sign == b'-' { -minutes } else { minutes })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a Gregorian date (Hinnant, "chrono-compatible low-level date algorithms").
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// An instant as RFC 3339 UTC with milliseconds only when there are any.
pub fn format_utc(at: Millis) -> String {
    let (days, in_day) = (at.div_euclid(86_400_000), at.rem_euclid(86_400_000));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second, millis) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60, in_day % 1000);
    let fraction = if millis == 0 { String::new() } else { format!(".{millis:03}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(parse_rfc3339(text).map(format_utc).as_deref(), expected, "{text}");
    }

    #[test]
    fn instants_read_and_write() {
        check("2026-11-12T01:52:07Z", Some("2026-11-12T01:52:07Z"));
        check("2026-11-12T01:52:07.1234567Z", Some("2026-11-12T01:52:07.123Z"));
        check("2026-11-12T01:52:07+01:30", Some("2026-11-12T00:22:07Z"));
        check("2026-11-12 01:52:07", Some("2026-11-12T01:52:07Z"));
        check("0000-02-29T00:00:00Z", Some("0000-02-29T00:00:00Z"));
        check("9999-12-31T23:59:60Z", Some("10000-01-01T00:00:00Z"));
        check("2025-02-29T00:00:00Z", None);
        check("2026-11-12T01:52:07.Z", None);
        check("2026-11-12", None);
        check("12/11/2026 01:52:07Z", None);
        check("2026-11-12 01:52:07.5 UTC", Some("2026-11-12T01:52:07.500Z"));
        check("2026-11-12 01:52:07+02", Some("2026-11-11T23:52:07Z"));
        check("2026-11-12 01:52:07+2", None);
        check("2026-11-12 01:52:07 CET", None);
    }

    #[test]
    fn numbers_since_1970_are_told_apart_by_their_size() {
        for (text, expected) in [
            ("1794448327", Some("2026-11-12T01:52:07Z")),
            ("1794448327.1239", Some("2026-11-12T01:52:07.123Z")),
            ("1794448327123", Some("2026-11-12T01:52:07.123Z")),
            ("1794448327123456", Some("2026-11-12T01:52:07.123Z")),
            ("1794448327123456789", Some("2026-11-12T01:52:07.123Z")),
            ("1794448327123.9", Some("2026-11-12T01:52:07.123Z")),
            ("2026-11-12 01:52:07", Some("2026-11-12T01:52:07Z")),
            ("20261112", None),
            ("20261112015207", None),
            ("1794448327.1.2", None),
            ("1794448327x", None),
            ("17944483277", None),
            ("", None),
        ] {
            assert_eq!(parse_time(text).map(format_utc).as_deref(), expected, "{text}");
        }
        for (text, expected) in
            [("1.794448327123E9", Some(1_794_448_327_123)), ("2E9", Some(2_000_000_000_000)), ("-1.5", Some(-1500)), ("x", None)]
        {
            assert_eq!(parse_epoch(text), expected, "{text}");
        }
    }
}
