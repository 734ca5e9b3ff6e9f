//! Lines of cells between separators: cut, checked, and written as a record in one pass.

use memchr::{memchr, memchr_iter, memchr2, memrchr};

use super::check::{is_integer, write_common_time};
use super::form::{CellLine, FieldCheck, FieldKind, FieldParts, LineField, LineHeader, Quote};
use super::write::close;
use crate::json::write_text;

/// Most cells of a line.
const CELLS_MAX: usize = 1024;
/// What cells without a field are called.
const MORE: &str = "more";

/// Memory that is used again for every line.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    spans: Vec<Span>,
    text: Vec<u8>,
}

/// Where a cell stands in its line, without its quotes or brackets.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// With its quotes or brackets.
    begin: usize,
    start: usize,
    end: usize,
    is_quoted: bool,
    /// Whether it holds quotes that are written in another way.
    is_escaped: bool,
}

impl Span {
    fn of<'l>(&self, line: &'l [u8]) -> &'l [u8] {
        line.get(self.start..self.end).unwrap_or_default()
    }
}

/// How cells are written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Style {
    separator: u8,
    quote: Quote,
    has_brackets: bool,
    absent: Vec<String>,
}

/// One kind of line, compiled.
#[derive(Debug)]
pub(crate) struct Cells {
    style: Style,
    line: CellLine,
    /// The cells of a line without a header.
    layout: Option<Layout>,
}

/// The cells of a line, in order.
#[derive(Debug)]
pub(crate) struct Layout {
    cells: Vec<Cell>,
    cells_min: usize,
    cells_max: usize,
    joined: Option<Joint>,
}

#[derive(Debug, PartialEq, Eq)]
struct Cell {
    /// A comma, the key, a colon.
    key: Vec<u8>,
    kind: FieldKind,
    check: Option<FieldCheck>,
    parts: Option<Parts>,
}

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    separator: u8,
    cells: Vec<Cell>,
    rest: usize,
}

/// A member made of two cells.
#[derive(Debug, PartialEq, Eq)]
struct Joint {
    key: Vec<u8>,
    first: usize,
    second: usize,
    between: String,
}

impl Style {
    fn is_absent(&self, cell: &[u8]) -> bool {
        self.absent.iter().any(|absent| absent.as_bytes() == cell)
    }

    /// Whether no cell of a line stands in quotes or brackets.
    fn is_bare(&self, line: &[u8]) -> bool {
        (self.quote == Quote::None || memchr(b'"', line).is_none()) && (!self.has_brackets || memchr(b'[', line).is_none())
    }

    /// The cell at `at`, and where what follows it begins. None when a quote is never closed.
    fn cell(&self, line: &[u8], at: usize) -> Option<(Span, usize)> {
        let rest = line.get(at..)?;
        if rest.first() == Some(&b'"') && self.quote != Quote::None {
            return self.quoted(line, at + 1);
        }
        let bare = |start: usize, end: usize| Span { begin: at, start, end, is_quoted: false, is_escaped: false };
        if rest.first() == Some(&b'[')
            && self.has_brackets
            && let Some(end) = memchr(b']', rest).map(|length| at + length)
            && line.get(end + 1).is_none_or(|next| *next == self.separator)
        {
            return Some((bare(at + 1, end), end + 1));
        }
        let end = memchr(self.separator, rest).map_or(line.len(), |length| at + length);
        Some((bare(at, end), end))
    }

    fn quoted(&self, line: &[u8], start: usize) -> Option<(Span, usize)> {
        let (mut at, mut is_escaped) = (start, false);
        loop {
            let rest = line.get(at..)?;
            at += match self.quote {
                Quote::Backslash => memchr2(b'"', b'\\', rest)?,
                _ => memchr(b'"', rest)?,
            };
            let next = line.get(at + 1).copied();
            let goes_on = match self.quote {
                Quote::Backslash => line.get(at) == Some(&b'\\'),
                Quote::Doubled => next == Some(b'"'),
                Quote::Plain | Quote::None => next.is_some_and(|next| next != self.separator),
            };
            if !goes_on {
                return Some((Span { begin: start - 1, start, end: at, is_quoted: true, is_escaped }, at + 1));
            }
            // In plain quotes a quote that closes nothing stands for itself.
            is_escaped |= self.quote != Quote::Plain;
            at += if self.quote == Quote::Plain { 1 } else { 2 };
        }
    }

    /// What a cell with written quotes says.
    fn unescape(&self, cell: &[u8], text: &mut Vec<u8>) {
        text.clear();
        let mark = if self.quote == Quote::Doubled { b'"' } else { b'\\' };
        let mut rest = cell;
        while let Some(at) = memchr(mark, rest) {
            let (head, tail) = rest.split_at(at);
            text.extend_from_slice(head);
            // Behind a backslash only quotes and backslashes are written in another way.
            let skipped = match tail {
                [_, b'"' | b'\\', ..] => 1,
                _ => 0,
            };
            text.extend(tail.get(skipped));
            rest = tail.get(skipped + 1..).unwrap_or_default();
        }
        text.extend_from_slice(rest);
    }
}

impl Cells {
    /// Compiles what is said about a kind of line.
    pub(crate) fn new(line: &CellLine) -> Cells {
        let style =
            Style { separator: line.separator, quote: line.quote, has_brackets: line.has_brackets, absent: line.absent.clone() };
        let layout = line.header.is_none().then(|| {
            let names: Vec<&str> = line.fields.iter().map(|field| field.name.as_str()).collect();
            Layout::new(line, &names, line.cells_min, line.cells_max)
        });
        Cells { style, line: line.clone(), layout }
    }

    /// Writes the record of a line without a header at the end of `out`; false when it is no such line.
    pub(crate) fn read(&self, line: &[u8], scratch: &mut Scratch, out: &mut Vec<u8>) -> bool {
        self.layout.as_ref().is_some_and(|layout| self.read_as(layout, line, scratch, out))
    }

    /// The same for a line behind a header.
    pub(crate) fn read_as(&self, layout: &Layout, line: &[u8], scratch: &mut Scratch, out: &mut Vec<u8>) -> bool {
        let is_read = layout.split(&self.style, line, &mut scratch.spans);
        if is_read {
            layout.write(&self.style, line, scratch, out);
        }
        is_read
    }

    /// Whether a line that begins with this byte can be of this kind.
    pub(crate) fn may_begin(&self, byte: u8) -> bool {
        let Some(layout) = &self.layout else {
            return false;
        };
        let is_wrapped = (byte == b'"' && self.style.quote != Quote::None) || (byte == b'[' && self.style.has_brackets);
        let is_absent = self.style.absent.iter().any(|absent| absent.bytes().next().unwrap_or(self.style.separator) == byte);
        let check = layout.cells.first().and_then(|cell| cell.check.as_ref());
        is_wrapped || is_absent || check.is_none_or(|check| check.may_begin(byte))
    }

    /// What the header of such lines begins with, where that tells it from other lines.
    pub(crate) fn header_prefix(&self) -> Option<&str> {
        self.line.header.as_ref().map(|header| header.prefix.as_str()).filter(|prefix| !prefix.is_empty())
    }

    /// The cells of the lines behind a header; none when the line is no header of this kind.
    pub(crate) fn header(&self, line: &[u8]) -> Option<Layout> {
        let LineHeader { prefix, any_of } = self.line.header.as_ref()?;
        let rest = std::str::from_utf8(line.strip_prefix(prefix.as_bytes())?).ok()?;
        let names: Vec<&str> = if prefix.is_empty() { self.names(rest)? } else { rest.split_ascii_whitespace().collect() };
        let has_all = |group: &Vec<String>| group.iter().all(|name| names.contains(&name.as_str()));
        let fits = (1..=CELLS_MAX).contains(&names.len()) && any_of.iter().any(has_all);
        fits.then(|| Layout::new(&self.line, &names, names.len(), names.len()))
    }

    fn names<'l>(&self, line: &'l str) -> Option<Vec<&'l str>> {
        let (mut names, mut at) = (Vec::new(), 0);
        loop {
            let (span, next) = self.style.cell(line.as_bytes(), at)?;
            names.push(line.get(span.start..span.end)?);
            match line.as_bytes().get(next) {
                None => return Some(names),
                Some(&byte) if byte == self.style.separator && names.len() < CELLS_MAX => at = next + 1,
                Some(_) => return None,
            }
        }
    }

    /// Whether lines of a layout read in the style of `other` give the same records without a header.
    pub(crate) fn is_read_alike(&self, other: &Cells, layout: &Layout) -> bool {
        let Some(own) = &self.layout else {
            return false;
        };
        let alike = |(own, other): (&Cell, &Cell)| (&own.key, own.kind, &own.parts) == (&other.key, other.kind, &other.parts);
        let count = layout.cells.len();
        self.style == other.style
            && own.joined == layout.joined
            && (own.cells_min..=own.cells_max).contains(&count)
            && own.cells.len() >= count
            && own.cells.iter().zip(&layout.cells).all(alike)
    }
}

impl Layout {
    fn new(line: &CellLine, names: &[&str], cells_min: usize, cells_max: usize) -> Layout {
        let cell = |name: &&str| match line.fields.iter().find(|field| field.name == **name) {
            Some(field) => Cell::new(field),
            None => Cell { key: key(name), kind: FieldKind::Text, check: None, parts: None },
        };
        let place = |wanted: &str| names.iter().position(|name| *name == wanted);
        let joined = line.joined.as_ref().and_then(|joined| {
            let (first, second) = (place(&joined.first)?, place(&joined.second)?);
            Some(Joint { key: key(&joined.path), first, second, between: joined.between.clone() })
        });
        Layout { cells: names.iter().map(cell).collect(), cells_min, cells_max: cells_max.min(CELLS_MAX), joined }
    }

    /// Finds the cells of a line; false when they are too few or too many, or one does not look as it must.
    fn split(&self, style: &Style, line: &[u8], spans: &mut Vec<Span>) -> bool {
        spans.clear();
        if style.is_bare(line) {
            return self.split_bare(style, line, spans);
        }
        let mut at = 0;
        loop {
            let Some((span, next)) = style.cell(line, at) else {
                return false;
            };
            if !self.fits(style, spans.len(), span.of(line)) {
                return false;
            }
            spans.push(span);
            match line.get(next) {
                None => return spans.len() >= self.cells_min,
                Some(&byte) if byte == style.separator && spans.len() < self.cells_max => at = next + 1,
                Some(_) => return false,
            }
        }
    }

    /// The same for a line in which every separator ends a cell.
    fn split_bare(&self, style: &Style, line: &[u8], spans: &mut Vec<Span>) -> bool {
        let mut start = 0;
        for end in memchr_iter(style.separator, line).chain([line.len()]) {
            if spans.len() >= self.cells_max || !self.fits(style, spans.len(), line.get(start..end).unwrap_or_default()) {
                return false;
            }
            spans.push(Span { begin: start, start, end, is_quoted: false, is_escaped: false });
            start = end + 1;
        }
        spans.len() >= self.cells_min
    }

    /// Whether a cell looks as the one at this place must.
    fn fits(&self, style: &Style, place: usize, text: &[u8]) -> bool {
        let check = self.cells.get(place).and_then(|cell| cell.check.as_ref());
        check.is_none_or(|check| check.passes(text) || style.is_absent(text))
    }

    fn write(&self, style: &Style, line: &[u8], scratch: &mut Scratch, out: &mut Vec<u8>) {
        let Scratch { spans, text } = scratch;
        let quoted = spans.iter().filter(|span| span.is_quoted).count();
        // A separator within quotes or brackets is text, and a tab is none that JSON takes.
        let is_bare = style.separator >= b' ' || (quoted == 0 && !style.has_brackets);
        let is_plain = is_bare && is_plain(line, style.separator) && memchr_iter(b'"', line).count() == 2 * quoted;
        let start = out.len();
        for (span, cell) in spans.iter().zip(&self.cells) {
            let raw = span.of(line);
            if raw.is_empty() || style.is_absent(raw) {
                continue;
            }
            if span.is_escaped {
                style.unescape(raw, text);
                cell.write(style, text, false, out);
            } else {
                cell.write(style, raw, is_plain, out);
            }
        }
        if let Some(joint) = &self.joined {
            joint.write(style, line, spans, text, out);
        }
        if let Some(span) = spans.get(self.cells.len()) {
            out.extend_from_slice(&key(MORE));
            write_text(line.get(span.begin..).unwrap_or_default(), out);
        }
        close(out, start);
    }
}

impl Cell {
    fn new(field: &LineField) -> Cell {
        let parts = field.parts.as_ref().map(|FieldParts { separator, fields, rest }| Parts {
            separator: *separator,
            cells: fields.iter().map(Cell::new).collect(),
            rest: *rest,
        });
        Cell { key: key(&field.path), kind: field.kind, check: field.check.clone(), parts }
    }

    /// Writes a cell; a plain one can stand in a JSON text as it is.
    fn write(&self, style: &Style, text: &[u8], is_plain: bool, out: &mut Vec<u8>) {
        if let Some(parts) = &self.parts {
            return parts.write(style, text, is_plain, out);
        }
        out.extend_from_slice(&self.key);
        match self.kind {
            FieldKind::Integer if is_integer(text) => return out.extend_from_slice(text),
            FieldKind::CommonTime => {
                let place = out.len();
                out.push(b'"');
                if write_common_time(text, out) {
                    return out.push(b'"');
                }
                out.truncate(place);
            }
            FieldKind::Percent if memchr(b'%', text).is_some() => return write_text(&decoded(text), out),
            _ => {}
        }
        if is_plain {
            out.push(b'"');
            out.extend_from_slice(text);
            out.push(b'"');
        } else {
            write_text(text, out);
        }
    }
}

impl Parts {
    /// Writes each part of a cell. One with too few of them is the part that may hold separators.
    fn write(&self, style: &Style, text: &[u8], is_plain: bool, out: &mut Vec<u8>) {
        let separators = self.cells.len().saturating_sub(1);
        let has_all = memchr_iter(self.separator, text).take(separators).count() == separators;
        let mut rest = text;
        if has_all {
            for cell in self.cells.iter().take(self.rest) {
                let at = memchr(self.separator, rest).unwrap_or(rest.len());
                write_part(cell, style, rest.get(..at).unwrap_or_default(), is_plain, out);
                rest = rest.get(at + 1..).unwrap_or_default();
            }
            for cell in self.cells.iter().skip(self.rest + 1).rev() {
                let at = memrchr(self.separator, rest);
                write_part(cell, style, at.and_then(|at| rest.get(at + 1..)).unwrap_or_default(), is_plain, out);
                rest = at.and_then(|at| rest.get(..at)).unwrap_or(rest);
            }
        }
        if let Some(cell) = self.cells.get(self.rest) {
            write_part(cell, style, rest, is_plain, out);
        }
    }
}

fn write_part(cell: &Cell, style: &Style, text: &[u8], is_plain: bool, out: &mut Vec<u8>) {
    let inner = text.strip_prefix(b"[").and_then(|text| text.strip_suffix(b"]")).unwrap_or(text);
    if !inner.is_empty() && !style.is_absent(inner) {
        cell.write(style, inner, is_plain, out);
    }
}

impl Joint {
    fn write(&self, style: &Style, line: &[u8], spans: &[Span], text: &mut Vec<u8>, out: &mut Vec<u8>) {
        let cell = |place: usize| {
            let cell = spans.get(place).map(|span| span.of(line))?;
            Some(cell).filter(|cell| !cell.is_empty() && !style.is_absent(cell))
        };
        if let (Some(first), Some(second)) = (cell(self.first), cell(self.second)) {
            text.clear();
            for part in [first, self.between.as_bytes(), second] {
                text.extend_from_slice(part);
            }
            out.extend_from_slice(&self.key);
            write_text(text, out);
        }
    }
}

/// A comma, a key and its colon.
fn key(path: &str) -> Vec<u8> {
    let mut key = vec![b','];
    write_text(path.as_bytes(), &mut key);
    key.push(b':');
    key
}

/// Whether every byte of a line but its separators and quotes can stand in a JSON text as it is.
fn is_plain(line: &[u8], separator: u8) -> bool {
    // No early end, so that many bytes are looked at together.
    let (is_plain, highest) = line.iter().fold((true, 0u8), |(is_plain, highest), &byte| {
        (is_plain & (((byte >= b' ') & (byte != b'\\')) | (byte == separator)), highest | byte)
    });
    is_plain && (highest < 0x80 || simdutf8::basic::from_utf8(line).is_ok())
}

/// A text in which `%2F` stands for a byte, as RFC 3986 has it; what stands for none stays as it is.
fn decoded(text: &[u8]) -> Vec<u8> {
    let digit =
        |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match (digit(text.get(at + 1)), digit(text.get(at + 2))) {
            (Some(high), Some(low)) if byte == b'%' => {
                out.push(high << 4 | low);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}
