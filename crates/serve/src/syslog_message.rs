//! Syslog messages: out of a stream (RFC 6587), and into JSON (RFC 5424, RFC 3164, or anything).

use serde_json::{Map, Value};
use vigie_model::SyslogMessage;
use vigie_model::limits::RECORD_BYTES_MAX;

use crate::hec::is_object;

/// Digits of the length before a counted message.
const COUNT_DIGITS_MAX: usize = 9;

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
    let message = SyslogMessage::parse(text.trim_end_matches(['\n', '\r', '\0']));
    if let Some(object) = message.object().filter(|object| is_object(object)) {
        return object.to_owned();
    }
    let mut fields = Map::new();
    if let Some(priority) = message.priority {
        fields.insert("priority".to_owned(), priority.into());
        fields.insert("facility".to_owned(), (priority / 8).into());
        fields.insert("severity".to_owned(), (priority % 8).into());
    }
    let said = [
        ("timestamp", message.timestamp),
        ("host", message.host),
        ("app", message.app),
        ("procid", message.procid),
        ("msgid", message.msgid),
        ("message", Some(message.message)),
        ("transport", Some(transport)),
    ];
    fields.extend(said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?)))));
    if !message.elements.is_empty() {
        let element = |values: &[(&str, std::borrow::Cow<'_, str>)]| -> Value {
            Value::Object(values.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_ref()))).collect())
        };
        let elements = message.elements.iter().map(|(id, values)| ((*id).to_owned(), element(values))).collect();
        fields.insert("structured_data".to_owned(), Value::Object(elements));
    }
    if is_cut {
        fields.insert("truncated".to_owned(), true.into());
    }
    Value::Object(fields).to_string()
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
