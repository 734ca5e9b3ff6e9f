//! Syslog messages: out of a stream (RFC 6587), and into JSON (RFC 5424, RFC 3164, or anything).

use serde_json::{Map, Value};
use vigie_model::limits::RECORD_BYTES_MAX;
use vigie_model::parse_rfc3339;

use crate::hec::is_object;

/// Digits of the length before a counted message.
const COUNT_DIGITS_MAX: usize = 9;
/// The largest priority: facility 23, severity 7.
const PRIORITY_MAX: u64 = 191;
/// Bytes of the name of a program in the older format.
const TAG_BYTES_MAX: usize = 64;
/// What some senders put before a message that is a JSON object.
const JSON_COOKIE: &str = "@cee:";

/// A message out of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its bytes, at most [`RECORD_BYTES_MAX`].
    pub(crate) bytes: Vec<u8>,
    /// Whether it was longer, or broke off.
    pub(crate) is_cut: bool,
}

/// Where in a message the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before it, or within the digits of its length.
    Start,
    /// Behind the digits and a space: `<` makes them a length.
    Counted,
    /// Within a counted message; so many bytes are missing.
    Within(usize),
    /// Within a message that ends with its line.
    Line,
}

/// Splits a stream into messages, counted or by lines, told apart message by message.
#[derive(Debug)]
pub(crate) struct Framer {
    state: State,
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Framer {
    /// At the beginning of a stream.
    pub(crate) fn new() -> Framer {
        Framer { state: State::Start, bytes: Vec::new(), is_cut: false }
    }

    /// Takes what came; whole messages go to `out`.
    pub(crate) fn push(&mut self, mut rest: &[u8], out: &mut Vec<Frame>) {
        while let Some((&byte, behind)) = rest.split_first() {
            match self.state {
                State::Start if self.bytes.is_empty() && matches!(byte, b'\n' | b'\r' | b' ' | 0) => rest = behind,
                State::Start if byte.is_ascii_digit() && self.bytes.len() < COUNT_DIGITS_MAX => {
                    self.bytes.push(byte);
                    rest = behind;
                }
                State::Start if byte == b' ' => {
                    self.state = State::Counted;
                    rest = behind;
                }
                State::Start => self.state = State::Line,
                State::Counted => self.begin_counted(byte),
                State::Within(missing) => {
                    let (head, tail) = rest.split_at(missing.min(rest.len()));
                    self.keep(head);
                    self.state = State::Within(missing - head.len());
                    if head.len() == missing {
                        self.end(out);
                    }
                    rest = tail;
                }
                State::Line => {
                    let length = rest.iter().position(|&byte| byte == b'\n');
                    let (head, tail) = rest.split_at(length.unwrap_or(rest.len()));
                    self.keep(head);
                    if length.is_some() {
                        self.end(out);
                    }
                    rest = tail;
                }
            }
        }
    }

    /// The digits were a length when a priority follows; else they begin a line.
    fn begin_counted(&mut self, byte: u8) {
        let length = std::str::from_utf8(&self.bytes).ok().and_then(|digits| digits.parse::<usize>().ok());
        self.state = match length {
            Some(length) if byte == b'<' && length > 0 => {
                self.bytes.clear();
                State::Within(length)
            }
            _ => {
                self.bytes.push(b' ');
                State::Line
            }
        };
    }

    fn keep(&mut self, bytes: &[u8]) {
        let free = RECORD_BYTES_MAX.saturating_sub(self.bytes.len());
        self.is_cut |= bytes.len() > free;
        self.bytes.extend_from_slice(bytes.get(..free.min(bytes.len())).unwrap_or_default());
    }

    fn end(&mut self, out: &mut Vec<Frame>) {
        self.state = State::Start;
        let frame = Frame { bytes: std::mem::take(&mut self.bytes), is_cut: std::mem::take(&mut self.is_cut) };
        if !frame.bytes.trim_ascii().is_empty() {
            out.push(frame);
        }
    }

    /// The stream is over: what is left is a message too.
    pub(crate) fn finish(&mut self, out: &mut Vec<Frame>) {
        self.is_cut |= matches!(self.state, State::Within(_));
        self.end(out);
    }
}

/// The record of a message: the JSON object that it carries as it came, or what its header says and
/// the rest as `message`. Never fails: what cannot be read stands whole in `message`.
pub(crate) fn record(bytes: &[u8], transport: &str, is_cut: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\n', '\r', '\0']);
    let mut fields = Map::new();
    let message = match priority(text) {
        Some((priority, rest)) => {
            fields.insert("priority".to_owned(), priority.into());
            fields.insert("facility".to_owned(), (priority / 8).into());
            fields.insert("severity".to_owned(), (priority % 8).into());
            new_header(rest, &mut fields).unwrap_or_else(|| old_header(rest, &mut fields))
        }
        None => text,
    };
    let message = message.trim_start_matches('\u{feff}');
    let object = message.trim();
    let object = object.strip_prefix(JSON_COOKIE).unwrap_or(object).trim_start();
    if is_object(object) {
        return object.to_owned();
    }
    fields.insert("message".to_owned(), message.into());
    fields.insert("transport".to_owned(), transport.into());
    if is_cut {
        fields.insert("truncated".to_owned(), true.into());
    }
    Value::Object(fields).to_string()
}

/// The number in `<34>` and what follows.
fn priority(text: &str) -> Option<(u64, &str)> {
    let (digits, rest) = text.strip_prefix('<')?.split_once('>')?;
    let is_number = (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let priority = digits.parse::<u64>().ok().filter(|priority| is_number && *priority <= PRIORITY_MAX)?;
    Some((priority, rest))
}

/// Reads a header of RFC 5424 behind its priority; gives the message, or none when it is no such header.
fn new_header<'text>(text: &'text str, fields: &mut Map<String, Value>) -> Option<&'text str> {
    let mut rest = text.strip_prefix("1 ")?;
    let mut found = Vec::new();
    for name in ["timestamp", "host", "app", "procid", "msgid"] {
        let (value, behind) = rest.split_once(' ')?;
        found.push((name, value));
        rest = behind;
    }
    let (data, message) = structured(rest)?;
    let known = found.into_iter().filter(|(_, value)| *value != "-");
    fields.extend(known.map(|(name, value)| (name.to_owned(), Value::from(value))));
    if !data.is_empty() {
        fields.insert("structured_data".to_owned(), Value::Object(data));
    }
    Some(message)
}

/// Reads `-` or `[id name="value" ...]...`; gives it and the message behind it.
fn structured(text: &str) -> Option<(Map<String, Value>, &str)> {
    let mut elements = Map::new();
    let mut rest = match text.strip_prefix('-') {
        Some(rest) => rest,
        None => text,
    };
    let is_nil = rest.len() < text.len();
    while !is_nil && let Some(element) = rest.strip_prefix('[') {
        let (id, values, behind) = element_of(element)?;
        elements.insert(id, Value::Object(values));
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

/// Reads the inside of an element up to its bracket: its id, its values, what follows.
fn element_of(text: &str) -> Option<(String, Map<String, Value>, &str)> {
    let end = text.find([' ', ']'])?;
    let (id, mut rest) = text.split_at_checked(end)?;
    let mut values = Map::new();
    loop {
        if let Some(behind) = rest.strip_prefix(']') {
            return Some((id.to_owned(), values, behind));
        }
        let (name, quoted) = rest.trim_start_matches(' ').split_once("=\"")?;
        let (value, behind) = quoted_text(quoted)?;
        values.insert(name.to_owned(), value.into());
        rest = behind;
    }
}

/// Reads up to the closing quote; a backslash stands before a quote, a backslash or a bracket.
fn quoted_text(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.chars();
    loop {
        match letters.next()? {
            '"' => return Some((value, letters.as_str())),
            '\\' => match letters.next()? {
                letter @ ('"' | '\\' | ']') => value.push(letter),
                letter => value.extend(['\\', letter]),
            },
            letter => value.push(letter),
        }
    }
}

/// Reads what there is of a header of RFC 3164 behind its priority; gives the message.
fn old_header<'text>(text: &'text str, fields: &mut Map<String, Value>) -> &'text str {
    let mut rest = text;
    if let Some((time, behind)) = old_time(text) {
        fields.insert("timestamp".to_owned(), time.into());
        rest = behind;
        if let Some((host, behind)) = rest.split_once(' ')
            && !host.is_empty()
            && !host.contains(['[', ']'])
            && !host.ends_with(':')
        {
            fields.insert("host".to_owned(), host.into());
            rest = behind;
        }
    }
    let Some((tag, behind)) = rest.split_once(':') else {
        return rest;
    };
    let (app, process) = match tag.strip_suffix(']').and_then(|tag| tag.split_once('[')) {
        Some((app, process)) => (app, Some(process)),
        None => (tag, None),
    };
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    if app.is_empty() || tag.len() > TAG_BYTES_MAX || !is_name(app) {
        return rest;
    }
    fields.insert("app".to_owned(), app.into());
    if let Some(process) = process {
        fields.insert("procid".to_owned(), process.into());
    }
    behind.strip_prefix(' ').unwrap_or(behind)
}

/// Reads `Nov 12 01:52:07 ` or an RFC 3339 instant; gives it and what follows.
fn old_time(text: &str) -> Option<(&str, &str)> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    if let Some((time, behind)) = text.split_once(' ')
        && parse_rfc3339(time).is_some()
    {
        return Some((time, behind));
    }
    let (time, behind) = text.split_at_checked(15)?;
    let is_clock = time.bytes().skip(3).all(|byte| byte.is_ascii_digit() || b" :".contains(&byte));
    let is_month = MONTHS.iter().any(|month| time.starts_with(month));
    (is_clock && is_month).then_some((time, behind.strip_prefix(' ')?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn streams_split_into_messages_wherever_they_are_cut() {
        let cases: [(&str, &[(&str, bool)]); 7] = [
            ("<1>a\n<2>b\r\n\n<3>c", &[("<1>a", false), ("<2>b\r", false), ("<3>c", false)]),
            ("5 <1>a\n5 <2>bc", &[("<1>a\n", false), ("<2>bc", false)]),
            ("4 <1>a4 <2>b<3>c\n", &[("<1>a", false), ("<2>b", false), ("<3>c", false)]),
            ("2026 is a year\n", &[("2026 is a year", false)]),
            ("12345678901 <1>a\n", &[("12345678901 <1>a", false)]),
            ("9 <1>a", &[("<1>a", true)]),
            ("0 <1>a\n", &[("0 <1>a", false)]),
        ];
        for (stream, expected) in cases {
            for step in [1, 3, stream.len()] {
                let (mut framer, mut frames) = (Framer::new(), Vec::new());
                stream.as_bytes().chunks(step).for_each(|part| framer.push(part, &mut frames));
                framer.finish(&mut frames);
                let found: Vec<(&str, bool)> =
                    frames.iter().map(|frame| (std::str::from_utf8(&frame.bytes).unwrap(), frame.is_cut)).collect();
                assert_eq!(found, expected, "{stream:?} by {step}");
            }
        }
    }

    #[test]
    fn long_messages_are_cut_and_the_next_is_whole() {
        let long = "x".repeat(RECORD_BYTES_MAX + 1);
        for stream in [format!("{long}\n<2>b\n"), format!("{} <{long}<2>b\n", long.len() + 1)] {
            let (mut framer, mut frames) = (Framer::new(), Vec::new());
            framer.push(stream.as_bytes(), &mut frames);
            let found: Vec<(usize, bool)> = frames.iter().map(|frame| (frame.bytes.len(), frame.is_cut)).collect();
            assert_eq!(found, [(RECORD_BYTES_MAX, true), (4, false)]);
        }
    }

    #[test]
    fn messages_become_records() {
        let cases = [
            (
                "<165>1 2026-11-12T01:52:07.003Z gate app 12 ID7 [a@1 k=\"v\\\"w\" l=\"\"][b] \u{feff}hello",
                json!({"priority": 165, "facility": 20, "severity": 5, "timestamp": "2026-11-12T01:52:07.003Z", "host": "gate",
                    "app": "app", "procid": "12", "msgid": "ID7", "structured_data": {"a@1": {"k": "v\"w", "l": ""}, "b": {}},
                    "message": "hello", "transport": "tcp"}),
            ),
            (
                "<34>1 - gate su - - -",
                json!({"priority": 34, "facility": 4, "severity": 2, "host": "gate", "app": "su", "message": "", "transport": "tcp"}),
            ),
            (
                "<34>Nov  2 01:52:07 gate su[7]: no: never\n",
                json!({"priority": 34, "facility": 4, "severity": 2, "timestamp": "Nov  2 01:52:07", "host": "gate", "app": "su",
                    "procid": "7", "message": "no: never", "transport": "tcp"}),
            ),
            (
                "<34>2026-11-12T01:52:07Z gate what is this",
                json!({"priority": 34, "facility": 4, "severity": 2, "timestamp": "2026-11-12T01:52:07Z", "host": "gate",
                    "message": "what is this", "transport": "tcp"}),
            ),
            (
                "<34>1 - gate su - - [broken",
                json!({"priority": 34, "facility": 4, "severity": 2, "message": "1 - gate su - - [broken", "transport": "tcp"}),
            ),
            ("<999>odd", json!({"message": "<999>odd", "transport": "tcp"})),
        ];
        for (text, expected) in cases {
            assert_eq!(serde_json::from_str::<Value>(&record(text.as_bytes(), "tcp", false)).unwrap(), expected, "{text}");
        }
        for head in ["", "<34>1 - gate su - - - ", "<34>Nov  2 01:52:07 gate su: ", "<34>Nov  2 01:52:07 gate su: @cee: "] {
            assert_eq!(record(format!("{head}{{\"a\": 1.0}}\n").as_bytes(), "udp", false), "{\"a\": 1.0}");
        }
        assert_eq!(record(b"a\xff", "udp", true), "{\"message\":\"a\u{fffd}\",\"transport\":\"udp\",\"truncated\":true}");
    }
}
