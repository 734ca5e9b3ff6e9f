//! What the header of a syslog message says: RFC 5424, RFC 3164, or as much of it as there is.

use std::borrow::Cow;

use crate::json::checked_end;
use crate::walk::depth_max;

/// The largest priority: facility 23, severity 7.
const PRIORITY_MAX: u64 = 191;
/// Bytes of the name of a program in the older format.
const TAG_BYTES_MAX: usize = 64;
/// What some senders put before a message that is a JSON object.
const JSON_COOKIE: &str = "@cee:";
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Elements of structured data: the id of each, with its names and values.
pub type SyslogElements<'t> = Vec<(&'t str, Vec<(&'t str, Cow<'t, str>)>)>;

/// One message, as far as it can be read. What cannot be stands whole in `message`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyslogMessage<'t> {
    /// Eight times the facility, and the severity.
    pub priority: Option<u64>,
    /// When it was written, in the sender's words; in the older format mostly without a year.
    pub timestamp: Option<&'t str>,
    /// The machine.
    pub host: Option<&'t str>,
    /// The program.
    pub app: Option<&'t str>,
    /// Its process.
    pub procid: Option<&'t str>,
    /// The kind of message.
    pub msgid: Option<&'t str>,
    /// Structured data.
    pub elements: SyslogElements<'t>,
    /// The rest.
    pub message: &'t str,
}

impl<'t> SyslogMessage<'t> {
    /// Reads a message as it comes over the network. Without a priority it is a message alone.
    pub fn parse(text: &'t str) -> SyslogMessage<'t> {
        let Some((priority, rest)) = priority(text) else {
            return SyslogMessage { message: text.trim_start_matches('\u{feff}'), ..SyslogMessage::default() };
        };
        let mut message = new_header(rest).unwrap_or_else(|| old_header(rest));
        message.priority = Some(priority);
        message.message = message.message.trim_start_matches('\u{feff}');
        message
    }

    /// Reads a line of a file: a message as it comes, or one whose priority was left out. None when it
    /// names neither a priority nor a time and a program.
    pub fn of_line(text: &'t str) -> Option<SyslogMessage<'t>> {
        let message = SyslogMessage::parse(text);
        if message.priority.is_some() {
            return Some(message);
        }
        Some(old_header(text)).filter(|message| message.timestamp.is_some() && message.host.is_some() && message.app.is_some())
    }

    /// Reads what stands before a message of another format: a header, or a word that is the machine.
    pub(crate) fn of_header(text: &'t str) -> Option<SyslogMessage<'t>> {
        let message = SyslogMessage::parse(text);
        let mut message = if message.priority.is_some() { message } else { old_header(text) };
        let rest = message.message.trim();
        if !rest.is_empty() && message.host.is_none() {
            (message.host, message.message) = (Some(rest), "");
        }
        Some(message).filter(|message| message.message.trim().is_empty() && message.host.is_none_or(|host| !host.contains(' ')))
    }

    /// The JSON object that a message is, by its brackets; none for other text.
    pub fn object(&self) -> Option<&'t str> {
        let object = self.message.trim();
        let object = object.strip_prefix(JSON_COOKIE).unwrap_or(object).trim_start();
        let bytes = object.as_bytes();
        (bytes.first() == Some(&b'{') && checked_end(bytes, 0, depth_max()) == Some(bytes.len())).then_some(object)
    }
}

/// The number in `<34>` and what follows.
fn priority(text: &str) -> Option<(u64, &str)> {
    let (digits, rest) = text.strip_prefix('<')?.split_once('>')?;
    let is_number = (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let priority = digits.parse::<u64>().ok().filter(|priority| is_number && *priority <= PRIORITY_MAX)?;
    Some((priority, rest))
}

/// Reads a header of RFC 5424 behind its priority; none when it is no such header.
fn new_header(text: &str) -> Option<SyslogMessage<'_>> {
    let mut rest = text.strip_prefix("1 ")?;
    let mut next = || {
        let (value, behind) = rest.split_once(' ')?;
        rest = behind;
        Some(Some(value).filter(|value| *value != "-"))
    };
    let (timestamp, host, app, procid, msgid) = (next()?, next()?, next()?, next()?, next()?);
    let (elements, message) = structured(rest)?;
    Some(SyslogMessage { priority: None, timestamp, host, app, procid, msgid, elements, message })
}

/// Reads `-` or `[id name="value" ...]...`; gives it and the message behind it.
fn structured(text: &str) -> Option<(SyslogElements<'_>, &str)> {
    let mut elements = Vec::new();
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    let is_nil = rest.len() < text.len();
    while !is_nil && let Some(element) = rest.strip_prefix('[') {
        let (id, values, behind) = element_of(element)?;
        elements.push((id, values));
        rest = behind;
    }
    if !is_nil && elements.is_empty() {
        return None;
    }
    match rest.strip_prefix(' ') {
        Some(message) => Some((elements, message)),
        None => rest.is_empty().then_some((elements, "")),
    }
}

/// What stands in an element: its id, its names and values, what follows it.
type Element<'t> = (&'t str, Vec<(&'t str, Cow<'t, str>)>, &'t str);

/// Reads the inside of an element up to its bracket.
fn element_of(text: &str) -> Option<Element<'_>> {
    let end = text.find([' ', ']'])?;
    let (id, mut rest) = text.split_at_checked(end)?;
    let mut values = Vec::new();
    loop {
        if let Some(behind) = rest.strip_prefix(']') {
            return Some((id, values, behind));
        }
        let (name, quoted) = rest.trim_start_matches(' ').split_once("=\"")?;
        let (value, behind) = quoted_text(quoted)?;
        values.push((name, value));
        rest = behind;
    }
}

/// Reads up to the closing quote; a backslash stands before a quote, a backslash or a bracket.
fn quoted_text(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    let (head, mut rest) = text.split_at_checked(end)?;
    if let Some(behind) = rest.strip_prefix('"') {
        return Some((Cow::Borrowed(head), behind));
    }
    let mut value = head.to_owned();
    loop {
        let mut letters = rest.chars();
        match letters.next()? {
            '"' => return Some((Cow::Owned(value), letters.as_str())),
            '\\' => match letters.next()? {
                letter @ ('"' | '\\' | ']') => value.push(letter),
                letter => value.extend(['\\', letter]),
            },
            letter => value.push(letter),
        }
        rest = letters.as_str();
    }
}

/// Reads what there is of a header of RFC 3164 behind its priority.
fn old_header(text: &str) -> SyslogMessage<'_> {
    let mut found = SyslogMessage { message: text, ..SyslogMessage::default() };
    if let Some((time, behind)) = old_time(text) {
        (found.timestamp, found.message) = (Some(time), behind);
        if let Some((host, behind)) = behind.split_once(' ')
            && !host.is_empty()
            && !host.contains(['[', ']'])
            && !host.ends_with(':')
        {
            (found.host, found.message) = (Some(host), behind);
        }
    }
    let Some((tag, behind)) = found.message.split_once(':') else {
        return found;
    };
    let (app, process) = match tag.strip_suffix(']').and_then(|tag| tag.split_once('[')) {
        Some((app, process)) => (app, Some(process)),
        None => (tag, None),
    };
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    if !app.is_empty() && tag.len() <= TAG_BYTES_MAX && is_name(app) {
        (found.app, found.procid) = (Some(app), process);
        found.message = behind.strip_prefix(' ').unwrap_or(behind);
    }
    found
}

/// Reads `Nov 12 01:52:07 ` or an RFC 3339 instant; gives it and what follows.
fn old_time(text: &str) -> Option<(&str, &str)> {
    if let Some((time, behind)) = text.split_once(' ')
        && is_instant(time.as_bytes())
    {
        return Some((time, behind));
    }
    let (time, behind) = text.split_at_checked(15)?;
    let is_clock = time.bytes().skip(3).all(|byte| byte.is_ascii_digit() || b" :".contains(&byte));
    let is_month = MONTHS.iter().any(|month| time.starts_with(month));
    (is_clock && is_month).then_some((time, behind.strip_prefix(' ')?))
}

/// Whether a text looks like `2026-11-12T01:52:07`, with whatever fraction and offset.
fn is_instant(text: &[u8]) -> bool {
    const LETTERS: &[u8; 19] = b"9999-99-99T99:99:99";
    let fits = |(byte, wanted): (&u8, &u8)| if *wanted == b'9' { byte.is_ascii_digit() } else { byte == wanted };
    let is_rest = |byte: &u8| byte.is_ascii_digit() || b".:+-Zz".contains(byte);
    text.get(..19).is_some_and(|head| head.iter().zip(LETTERS).all(fits)) && text.iter().skip(19).all(is_rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_files_are_told_from_other_text() {
        let line = SyslogMessage::of_line("Nov  2 01:52:07 gate sshd[7]: Accepted publickey for dana").unwrap();
        assert_eq!(
            (line.timestamp, line.host, line.app, line.procid),
            (Some("Nov  2 01:52:07"), Some("gate"), Some("sshd"), Some("7"))
        );
        let line = SyslogMessage::of_line("2026-11-02T01:52:07.123+01:00 gate su: (to root) dana").unwrap();
        assert_eq!((line.timestamp, line.message), (Some("2026-11-02T01:52:07.123+01:00"), "(to root) dana"));
        let line = SyslogMessage::of_line("<34>anything at all").unwrap();
        assert_eq!((line.priority, line.message), (Some(34), "anything at all"));
        for other in ["", "note: nothing", "Nov  2 01:52:07 gate was opened", "2026-11-12 02:09 the trail was stopped", "<999>x"]
        {
            assert_eq!(SyslogMessage::of_line(other), None, "{other}");
        }
    }

    #[test]
    fn what_stands_before_another_format_is_a_header_alone() {
        let header = |text| SyslogMessage::of_header(text).map(|header| header.host.unwrap_or_default());
        assert_eq!(header(""), Some(""));
        assert_eq!(header("Nov 12 01:52:07 gate "), Some("gate"));
        assert_eq!(header("<134>Nov 12 01:52:07 gate "), Some("gate"));
        assert_eq!(header("<134>1 2026-11-12T01:52:07Z gate app - - - "), Some("gate"));
        assert_eq!(header("<134>gate "), Some("gate"));
        assert_eq!(header("see also "), None);
    }

    #[test]
    fn an_object_is_told_by_its_brackets() {
        let object = |text| SyslogMessage::parse(text).object();
        assert_eq!(object("<34>Nov  2 01:52:07 gate su: @cee: {\"a\": 1.0} "), Some("{\"a\": 1.0}"));
        assert_eq!(object("{\"a\":1}"), Some("{\"a\":1}"));
        assert_eq!(object("<34>{\"a\":1} and more"), None);
        assert_eq!(object("<34>[1]"), None);
    }
}
