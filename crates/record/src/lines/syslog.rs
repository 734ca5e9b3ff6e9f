//! Lines of syslog as records: what the header says, and the rest as `message`.

use std::borrow::Cow;
use std::ops::Range;

use super::write::Writer;
use crate::syslog::SyslogMessage;

/// Writes the record of a line, unless its message is a JSON object, whose place is given then; none for
/// a line that has no header of syslog.
pub(crate) fn read(line: &[u8], out: &mut Vec<u8>) -> Option<Option<Range<usize>>> {
    let text = String::from_utf8_lossy(line);
    let message = SyslogMessage::of_line(&text)?;
    // A text that had to be mended has other places than its line.
    if let Some(object) = message.object().filter(|_| matches!(text, Cow::Borrowed(_))) {
        let end = text.trim_end().len();
        return Some(Some(end - object.len()..end));
    }
    let mut writer = Writer::new(out);
    if let Some(priority) = message.priority {
        writer.number("priority", priority);
        writer.number("facility", priority / 8);
        writer.number("severity", priority % 8);
    }
    writer.maybe("timestamp", message.timestamp);
    writer.maybe("host", message.host);
    writer.maybe("app", message.app);
    writer.maybe("procid", message.procid);
    writer.maybe("msgid", message.msgid);
    if !message.elements.is_empty() {
        let mut elements = Writer::new(writer.member(b"structured_data"));
        for (id, values) in &message.elements {
            let mut element = Writer::new(elements.member(id.as_bytes()));
            for (name, value) in values {
                element.text(name, value.as_bytes());
            }
            element.finish(true);
        }
        elements.finish(true);
    }
    writer.text("message", message.message.as_bytes());
    writer.finish(true);
    Some(None)
}
