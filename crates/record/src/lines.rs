//! Cuts lines of text that is no JSON, and makes a record of each line that a description fits; elements of
//! XML, too, which stand where lines do.
//!
//! Which description a line is read by depends on the line and the header before it alone, never on the
//! other lines: so a line that was kept can be read again. The first that fits is taken, those of cells
//! before those of formats, and the loosest formats last.

mod cells;
mod check;
mod event_format;
mod form;
mod key_value;
mod markup;
mod syslog;
mod write;
mod xml;

use std::ops::Range;

use memchr::{memchr, memmem};

use crate::cut::Cut;
use crate::path::{PathSet, SlotId};
use crate::row::Row;
use crate::value::Value;
use crate::walk::Walk;
use cells::{Cells, Layout, Scratch};
pub use form::{
    CellLine, FieldCheck, FieldKind, FieldParts, JoinedField, LineField, LineForm, LineForms, LineHeader, LineReader, Quote,
    XmlField, XmlForm, XmlValue,
};
use markup::{Extent, Head, Markup};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Bytes of a text in which a line must be known, else it is none of ours.
const HEAD_BYTES: usize = 64 * 1024;
/// The reason of a line that no description fits.
pub const UNKNOWN_LINE: &str = "is a line of no known log type";
/// The reason of an element that has no end.
const OPEN_ELEMENT: &str = "is an element that is not closed";
/// The reason of an element that no description fits, or that is broken.
const UNKNOWN_ELEMENT: &str = "is an element that cannot be read";

/// The rank of descriptions that a line fits by chance.
const RANK_MAX: u8 = 4;
/// Up to this rank a line that fits a description is what it says.
const RANK_SURE: u8 = 2;

/// The descriptions of the lines of several logs. Each log has a number, its owner.
#[derive(Debug, Default)]
pub struct LineSet {
    descriptions: Vec<Description>,
    /// By the first byte of a line: the descriptions that can fit, in the order in which they are tried.
    by_byte: Vec<Vec<usize>>,
    /// Whether lines may begin with `#` that are no records.
    has_comments: bool,
    inside: Option<Inside>,
    /// The tags of elements that are records.
    markup: Markup,
    /// The descriptions of elements, each with the number of its tag.
    elements: Vec<(usize, usize)>,
}

/// Where a text inside a JSON object may be a line, and of which owner.
#[derive(Debug)]
struct Inside {
    walk: Walk,
    keys: Vec<(SlotId, usize)>,
    paths: PathSet,
}

/// One kind of line of one owner.
#[derive(Debug)]
struct Description {
    owner: usize,
    begins: Vec<String>,
    holds: Vec<memmem::Finder<'static>>,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Cells(Box<Cells>),
    Common,
    Extended,
    KeyValue,
    Syslog,
    Xml(Box<XmlForm>),
}

/// What a line is.
enum Read {
    /// A record was made of it, by a description.
    Made(usize),
    /// It holds a record as it is.
    Object(Range<usize>),
    /// A header that is known.
    Header,
    /// A comment, or the header of other lines.
    Pass,
    Unknown,
}

/// A line that stands alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OneLine {
    /// A record was made of it.
    Made {
        /// The owner of the description that fits.
        owner: usize,
        /// The record as JSON.
        record: Vec<u8>,
    },
    /// It holds a JSON object, which is a record of its own.
    Object(Range<usize>),
}

/// Records made of lines.
#[derive(Debug, Default)]
pub struct MadeLines {
    /// The records as JSON, one behind the other.
    bytes: Vec<u8>,
    /// For each cut what was made of it.
    made: Vec<Option<Made>>,
}

#[derive(Debug, Clone, Copy)]
struct Made {
    owner: usize,
    start: usize,
    end: usize,
    is_whole: bool,
}

/// The record that was made of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeLine<'m> {
    /// The owner of the description that fits.
    pub owner: usize,
    /// The record as JSON.
    pub record: &'m [u8],
    /// Whether the line alone says all of it. Else its header does: the line is nothing without it.
    pub is_whole: bool,
}

impl MadeLines {
    /// What was made of a cut; none where the cut is a record itself, or none at all.
    pub fn get(&self, number: usize) -> Option<MadeLine<'_>> {
        let Made { owner, start, end, is_whole } = (*self.made.get(number)?)?;
        Some(MadeLine { owner, record: self.bytes.get(start..end)?, is_whole })
    }

    /// Forgets all, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.made.clear();
    }
}

impl Description {
    fn new(owner: usize, form: &LineForm) -> Description {
        let reader = match &form.reader {
            LineReader::Cells(line) => Reader::Cells(Box::new(Cells::new(line))),
            LineReader::Cef => Reader::Common,
            LineReader::Leef => Reader::Extended,
            LineReader::KeyValue => Reader::KeyValue,
            LineReader::Syslog => Reader::Syslog,
            LineReader::Xml(form) => Reader::Xml(form.clone()),
        };
        let holds = form.holds.iter().map(|text| memmem::Finder::new(text).into_owned()).collect();
        Description { owner, begins: form.begins.clone(), holds, reader }
    }

    /// What is tried first: the lower, the more a line must look like it.
    fn rank(&self) -> u8 {
        match self.reader {
            Reader::Cells(_) => 0,
            _ if !self.holds.is_empty() || !self.begins.is_empty() => 1,
            Reader::Common | Reader::Extended | Reader::Xml(_) => 2,
            Reader::KeyValue => 3,
            Reader::Syslog => 4,
        }
    }

    fn may_begin(&self, byte: u8) -> bool {
        let begins =
            self.begins.is_empty() || self.begins.iter().any(|text| text.bytes().next().is_none_or(|first| first == byte));
        begins
            && match &self.reader {
                Reader::Cells(cells) => cells.may_begin(byte),
                // An element is no line.
                Reader::Xml(_) => false,
                _ => true,
            }
    }

    /// Whether the line has the texts that it must have.
    fn fits(&self, line: &[u8]) -> bool {
        (self.begins.is_empty() || self.begins.iter().any(|text| line.starts_with(text.as_bytes())))
            && (self.holds.is_empty() || self.holds.iter().any(|text| text.find(line).is_some()))
    }

    /// Writes the record of a line at the end of `out`, unless the line holds it; none when it does not fit.
    fn read(&self, line: &[u8], scratch: &mut Scratch, out: &mut Vec<u8>) -> Option<Option<Range<usize>>> {
        if !self.fits(line) {
            return None;
        }
        let is_made = match &self.reader {
            Reader::Cells(cells) => cells.read(line, scratch, out),
            Reader::Common => event_format::common(line, out),
            Reader::Extended => event_format::extended(line, out),
            Reader::KeyValue => key_value::read(line, out),
            Reader::Syslog => return syslog::read(line, out),
            Reader::Xml(form) => xml::read(form, line, out),
        };
        is_made.then_some(None)
    }

    fn cells(&self) -> Option<&Cells> {
        match &self.reader {
            Reader::Cells(cells) => Some(cells),
            _ => None,
        }
    }
}

impl LineSet {
    /// The descriptions of logs, each log with its owner's number.
    pub fn new(logs: &[(usize, &LineForms)]) -> LineSet {
        let forms = logs.iter().flat_map(|(owner, log)| log.forms.iter().map(move |form| Description::new(*owner, form)));
        let mut descriptions: Vec<Description> = forms.collect();
        descriptions.sort_by_key(Description::rank);
        let candidates = |byte: u8| -> Vec<usize> {
            let fits = |(number, description): (usize, &Description)| description.may_begin(byte).then_some(number);
            descriptions.iter().enumerate().filter_map(fits).collect()
        };
        let by_byte = (0..=u8::MAX).map(candidates).collect();
        let has_comments = descriptions
            .iter()
            .filter_map(Description::cells)
            .any(|cells| cells.header_prefix().is_some_and(|prefix| prefix.starts_with('#')));
        let mut paths = PathSet::new();
        let mut keys = Vec::new();
        for (owner, log) in logs {
            keys.extend(log.inside.iter().map(|key| (paths.intern(key), *owner)));
        }
        let inside = (!keys.is_empty()).then(|| Inside { walk: Walk::compile(&[&paths]), keys, paths });
        let (mut markup, mut elements) = (Markup::default(), Vec::new());
        for (number, description) in descriptions.iter().enumerate() {
            if let Reader::Xml(form) = &description.reader {
                elements.push((number, markup.add(form)));
            }
        }
        LineSet { descriptions, by_byte, has_comments, inside, markup, elements }
    }

    /// A cutter of a text that begins so: when one of its first lines is known, or a header, by the
    /// descriptions of all owners or of one. A line longer than `record_bytes_max`, or whose record is, is
    /// passed over.
    pub fn cutter(&self, head: &[u8], only: Option<usize>, record_bytes_max: usize) -> Option<LineCutter<'_>> {
        if self.descriptions.is_empty() {
            return None;
        }
        let new = || LineCutter {
            set: self,
            only,
            headed: None,
            scratch: Scratch::default(),
            record_bytes_max,
            is_first: true,
            skipping: Skipping::Nothing,
        };
        let (mut probe, mut out) = (new(), Vec::new());
        let is_known = |line: &[u8]| {
            out.clear();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            !line.trim_ascii().is_empty()
                && match probe.read(line, &mut out) {
                    Read::Made(_) | Read::Header => true,
                    // An object alone would be no text.
                    Read::Object(object) => object.start > 0,
                    Read::Pass | Read::Unknown => false,
                }
        };
        let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
        let text = text.get(..HEAD_BYTES).unwrap_or(text);
        let is_ours = self.has_element(text, only) || text.split(|byte| *byte == b'\n').any(is_known);
        is_ours.then(new)
    }

    /// What a text is that stands alone: a line, or a JSON object with a line inside. By the descriptions
    /// of all owners or of one. None when no description fits it.
    pub fn one(&self, text: &[u8], only: Option<usize>) -> Option<OneLine> {
        let line = text.strip_suffix(b"\r\n").or_else(|| text.strip_suffix(b"\n")).unwrap_or(text);
        if !self.elements.is_empty()
            && let Some(made) = self.one_element(text, only)
        {
            return Some(made);
        }
        if self.descriptions.is_empty() || memchr(b'\n', line).is_some() {
            return None;
        }
        if line.first() == Some(&b'{') {
            return self.inside(line, only);
        }
        if let Some(start) = object_behind_time(line) {
            return Some(OneLine::Object(start..line.trim_ascii_end().len()));
        }
        let mut record = Vec::new();
        match self.described(line, only, RANK_MAX, &mut Scratch::default(), &mut record)? {
            (number, None) => Some(OneLine::Made { owner: self.descriptions.get(number)?.owner, record }),
            (_, Some(object)) => Some(OneLine::Object(object)),
        }
    }

    /// Keys of a JSON object whose text may be a line, each with the owner of such lines.
    pub fn inside_keys(&self) -> impl Iterator<Item = (&str, usize)> {
        let keys = self.inside.iter().flat_map(|inside| inside.keys.iter().map(move |key| (inside, key)));
        keys.filter_map(|(inside, (slot, owner))| Some((inside.paths.iter().nth(slot.index())?, *owner)))
    }

    /// What a text is that stands alone, as [`LineSet::one`], where no other text looks like it: not by pairs
    /// or headers that any text may have.
    pub fn surely(&self, text: &[u8], only: Option<usize>) -> Option<(usize, Vec<u8>)> {
        if let Some(OneLine::Made { owner, record }) = self.one_element(text, only) {
            return Some((owner, record));
        }
        let line = text.trim_ascii_end();
        let mut record = Vec::new();
        let (number, object) = self.described(line, only, RANK_SURE, &mut Scratch::default(), &mut record)?;
        let owner = self.descriptions.get(number)?.owner;
        (object.is_none() && memchr(b'\n', line).is_none()).then_some((owner, record))
    }

    /// The record of a line that stands as text inside a JSON object.
    fn inside(&self, object: &[u8], only: Option<usize>) -> Option<OneLine> {
        let Inside { walk, keys, .. } = self.inside.as_ref()?;
        let mut row = Row::new();
        walk.read(object, &mut row).ok()?;
        let is_asked = |owner: usize| only.is_none_or(|only| only == owner);
        keys.iter().filter(|(_, owner)| is_asked(*owner)).find_map(|(slot, owner)| match row.get(*slot) {
            Value::Text(text) if !text.starts_with('{') => {
                self.one(text.as_bytes(), Some(*owner)).filter(|found| matches!(found, OneLine::Made { .. }))
            }
            _ => None,
        })
    }

    /// The record of a text that is one element, with what may stand around it.
    fn one_element(&self, text: &[u8], only: Option<usize>) -> Option<OneLine> {
        let mut rest = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii();
        let mut made = None;
        while !rest.is_empty() {
            let length = match self.markup.head(rest, true) {
                Head::Pass(length) => length,
                Head::Element(tag) if made.is_none() => match self.markup.extent(tag, rest) {
                    Extent::Closed(length) => {
                        let mut record = Vec::new();
                        let number = self.element(tag, rest.get(..length)?, only, &mut record)?;
                        made = Some(OneLine::Made { owner: self.descriptions.get(number)?.owner, record });
                        length
                    }
                    Extent::Broken(_) | Extent::Open => return None,
                },
                _ => return None,
            };
            rest = rest.get(length..)?.trim_ascii_start();
        }
        made
    }

    /// The first description that fits an element, whose record stands at the end of `out`.
    fn element(&self, tag: usize, element: &[u8], only: Option<usize>, out: &mut Vec<u8>) -> Option<usize> {
        let mut of_tag = self.elements.iter().filter(|(_, known)| *known == tag).map(|(number, _)| *number);
        let mut scratch = Scratch::default();
        of_tag.find(|number| {
            let asked = |known: &&Description| only.is_none_or(|only| only == known.owner);
            let description = self.descriptions.get(*number).filter(asked);
            description.is_some_and(|known| known.read(element, &mut scratch, out).is_some())
        })
    }

    /// Whether an element that is known stands in the head of a text, where it may be cut.
    fn has_element(&self, text: &[u8], only: Option<usize>) -> bool {
        if self.elements.is_empty() {
            return false;
        }
        let (mut at, mut out) = (0, Vec::new());
        while let Some(found) = memchr(b'<', text.get(at..).unwrap_or_default()) {
            let (before, rest) = text.split_at_checked(at + found).unwrap_or((text, &[]));
            at += found + 1;
            let Head::Element(tag) = self.markup.head(rest, true) else {
                continue;
            };
            // In the middle of a line it is a part of that line.
            let line = before.trim_ascii_end();
            if !line.is_empty() && line.last() != Some(&b'>') && !before.get(line.len()..).unwrap_or_default().contains(&b'\n') {
                continue;
            }
            let is_known = match self.markup.extent(tag, rest) {
                Extent::Closed(length) => {
                    out.clear();
                    at += length - 1;
                    self.element(tag, rest.get(..length).unwrap_or_default(), only, &mut out).is_some()
                }
                Extent::Broken(_) => false,
                Extent::Open => self.elements.iter().any(|(number, known)| {
                    let description = self.descriptions.get(*number).filter(|_| *known == tag);
                    description.is_some_and(|known| only.is_none_or(|only| only == known.owner) && known.fits(rest))
                }),
            };
            if is_known {
                return true;
            }
        }
        false
    }

    /// The first description that fits a line, with the object that the line holds where it holds one;
    /// else the record stands at the end of `out`.
    fn described(
        &self,
        line: &[u8],
        only: Option<usize>,
        rank_max: u8,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Option<(usize, Option<Range<usize>>)> {
        let candidates = self.by_byte.get(usize::from(*line.first()?))?;
        candidates.iter().find_map(|number| {
            let description = self.descriptions.get(*number)?;
            if description.rank() > rank_max || only.is_some_and(|only| only != description.owner) {
                return None;
            }
            description.read(line, scratch, out).map(|object| (*number, object))
        })
    }

    /// The cells of the lines behind a header, and the description that knows it.
    fn header(&self, line: &[u8], only: Option<usize>) -> Option<(usize, Layout)> {
        self.descriptions.iter().enumerate().find_map(|(number, description)| {
            if only.is_some_and(|only| only != description.owner) {
                return None;
            }
            Some((number, description.cells()?.header(line)?))
        })
    }

    /// Whether lines behind a header are read alike by a description without one.
    fn is_read_alone(&self, number: usize, layout: &Layout) -> bool {
        let Some((owner, cells)) = self.descriptions.get(number).and_then(|known| Some((known.owner, known.cells()?))) else {
            return false;
        };
        let of_owner = self.descriptions.iter().filter(|description| description.owner == owner);
        of_owner.filter_map(Description::cells).any(|other| other.is_read_alike(cells, layout))
    }
}

/// Where a JSON object begins behind a time, and one word more where there is one: what shows a log by its lines
/// writes the time of each, and the stream that it came by.
fn object_behind_time(line: &[u8]) -> Option<usize> {
    let &[y, _, _, _, b'-', _, _, b'-', _, _, b'T' | b't' | b' ', ..] = line else {
        return None;
    };
    if !y.is_ascii_digit() || line.trim_ascii_end().last() != Some(&b'}') {
        return None;
    }
    // The clock, the stream.
    let mut at = 11;
    for _ in 0..2 {
        at += memchr(b' ', line.get(at..)?)?;
        at += line.get(at..)?.iter().take_while(|byte| **byte == b' ').count();
        if line.get(at) == Some(&b'{') {
            let mut day_and_hour = line.get(..13)?.iter();
            return day_and_hour.all(|byte| byte.is_ascii_digit() || b"-Tt ".contains(byte)).then_some(at);
        }
    }
    None
}

/// Cuts lines of a text. Feed it buffers as [`crate::Cutter`] is fed: what it did not consume must stand
/// at the head of the next one.
#[derive(Debug)]
pub struct LineCutter<'s> {
    set: &'s LineSet,
    only: Option<usize>,
    /// The description whose header stands before the line, and the cells that it names.
    headed: Option<(usize, Layout)>,
    scratch: Scratch,
    record_bytes_max: usize,
    is_first: bool,
    skipping: Skipping,
}

/// What is passed over, since it is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skipping {
    Nothing,
    Line,
    /// An element of this tag.
    Element(usize),
}

/// What one step of cutting decided.
enum Step {
    /// Go on at this offset.
    Go(usize),
    /// The buffer ends before the next piece does: keep it from this offset.
    Wait(usize),
    /// A line stands here.
    Line,
}

impl LineCutter<'_> {
    /// Cuts the whole lines in `buffer`, makes records of them, and gives how many bytes were consumed.
    /// With `end`, nothing follows. Each cut is a line, or the object that a line holds; `cuts` and `made`
    /// must be empty or come from the same calls.
    pub fn cut(&mut self, buffer: &[u8], end: bool, cuts: &mut Vec<Cut>, made: &mut MadeLines) -> usize {
        let mut at = 0;
        if self.is_first {
            if !end && buffer.len() < BYTE_ORDER_MARK.len() {
                return 0;
            }
            at = if buffer.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
            self.is_first = false;
        }
        loop {
            if !self.set.elements.is_empty() {
                match self.markup(buffer, at, end, cuts, made) {
                    Step::Go(next) => {
                        at = next;
                        continue;
                    }
                    Step::Wait(next) => return next,
                    Step::Line => {}
                }
            }
            let rest = buffer.get(at..).unwrap_or_default();
            let length = match memchr(b'\n', rest) {
                Some(length) => length,
                None if rest.is_empty() => return at,
                None if self.skipping == Skipping::Line => return buffer.len(),
                None if end => rest.len(),
                None if rest.len() > self.record_bytes_max => {
                    self.skipping = Skipping::Line;
                    cuts.push(Cut::Oversize(at..at + self.record_bytes_max));
                    made.made.push(None);
                    return buffer.len();
                }
                None => return at,
            };
            let line = rest.get(..length).unwrap_or_default();
            if std::mem::replace(&mut self.skipping, Skipping::Nothing) == Skipping::Nothing {
                self.line(line.strip_suffix(b"\r").unwrap_or(line), at, cuts, made);
            }
            at = buffer.len().min(at + length + 1);
        }
    }

    /// Cuts an element or a tag that says nothing, where one stands at `at` behind white space.
    fn markup(&mut self, buffer: &[u8], at: usize, end: bool, cuts: &mut Vec<Cut>, made: &mut MadeLines) -> Step {
        let text = buffer.get(at..).unwrap_or_default();
        match self.skipping {
            Skipping::Nothing => {}
            Skipping::Line => return Step::Line,
            Skipping::Element(tag) => {
                return match self.set.markup.behind(tag, text) {
                    Ok(length) => {
                        self.skipping = Skipping::Nothing;
                        Step::Go(at + length)
                    }
                    Err(_) if end => Step::Wait(buffer.len()),
                    Err(length) => Step::Wait(at + length),
                };
            }
        }
        // White space, then the tag: most lines begin with neither.
        let begin = at + text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let text = buffer.get(begin..).unwrap_or_default();
        let tag = match self.set.markup.head(text, end) {
            Head::Line => return Step::Line,
            Head::Short => return Step::Wait(at),
            Head::Pass(length) => return Step::Go(begin + length),
            Head::Element(tag) => tag,
        };
        let (stop, reason) = match self.set.markup.extent(tag, text) {
            Extent::Closed(length) => (begin + length, UNKNOWN_ELEMENT),
            Extent::Broken(length) => (begin + length, OPEN_ELEMENT),
            Extent::Open if text.len() > self.record_bytes_max => {
                cuts.push(Cut::Oversize(begin..begin + self.record_bytes_max));
                made.made.push(None);
                self.skipping = Skipping::Element(tag);
                return Step::Go(begin + 1);
            }
            Extent::Open if !end => return Step::Wait(at),
            Extent::Open => (buffer.len(), OPEN_ELEMENT),
        };
        let element = buffer.get(begin..stop).unwrap_or_default().trim_ascii_end();
        let (start, whole) = (made.bytes.len(), begin..begin + element.len());
        let number = Some(reason).filter(|reason| *reason == UNKNOWN_ELEMENT && element.len() <= self.record_bytes_max);
        let number = number.and_then(|_| self.set.element(tag, element, self.only, &mut made.bytes));
        let (cut, record) = match number.and_then(|number| self.set.descriptions.get(number)) {
            _ if element.len() > self.record_bytes_max => (Cut::Oversize(begin..begin + self.record_bytes_max), None),
            None => (Cut::Reject(whole, reason), None),
            Some(_) if made.bytes.len() - start > self.record_bytes_max => (Cut::Oversize(whole), None),
            Some(known) => (Cut::Record(whole), Some(Made { owner: known.owner, start, end: made.bytes.len(), is_whole: true })),
        };
        if record.is_none() {
            made.bytes.truncate(start);
        }
        cuts.push(cut);
        made.made.push(record);
        Step::Go(stop)
    }

    fn line(&mut self, line: &[u8], at: usize, cuts: &mut Vec<Cut>, made: &mut MadeLines) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let (start, whole) = (made.bytes.len(), at..at + line.len());
        let (cut, record) = if line.len() > self.record_bytes_max {
            (Cut::Oversize(at..at + self.record_bytes_max), None)
        } else {
            match self.read(line, &mut made.bytes) {
                Read::Header | Read::Pass => return,
                Read::Object(object) => (Cut::Record(at + object.start..at + object.end), None),
                Read::Unknown => (Cut::Reject(whole, UNKNOWN_LINE), None),
                Read::Made(_) if made.bytes.len() - start > self.record_bytes_max => (Cut::Oversize(whole), None),
                Read::Made(number) => {
                    let owner = self.set.descriptions.get(number).map_or(usize::MAX, |description| description.owner);
                    let is_whole = self.headed.as_ref().is_none_or(|(headed, _)| *headed != number);
                    (Cut::Record(whole), Some(Made { owner, start, end: made.bytes.len(), is_whole }))
                }
            }
        };
        if record.is_none() {
            made.bytes.truncate(start);
        }
        cuts.push(cut);
        made.made.push(record);
    }

    /// Reads a line; the record that is made of it stands at the end of `out`.
    fn read(&mut self, line: &[u8], out: &mut Vec<u8>) -> Read {
        if line.first() == Some(&b'{') {
            return Read::Object(0..line.len());
        }
        if let Some(start) = object_behind_time(line) {
            return Read::Object(start..line.trim_ascii_end().len());
        }
        if let Some((number, layout)) = &self.headed
            && let Some(cells) = self.set.descriptions.get(*number).and_then(Description::cells)
            && cells.read_as(layout, line, &mut self.scratch, out)
        {
            return Read::Made(*number);
        }
        match self.set.described(line, self.only, RANK_MAX, &mut self.scratch, out) {
            Some((number, None)) => return Read::Made(number),
            Some((_, Some(object))) => return Read::Object(object),
            None => {}
        }
        let is_comment = self.set.has_comments && line.first() == Some(&b'#');
        match self.set.header(line, self.only) {
            Some((number, layout)) => {
                // Where the lines say all by themselves, their header is passed over.
                let is_needed = !self.set.is_read_alone(number, &layout);
                self.headed = Some((number, layout)).filter(|_| is_needed);
                Read::Header
            }
            None if is_comment => {
                let is_header = |cells: &Cells| cells.header_prefix().is_some_and(|prefix| line.starts_with(prefix.as_bytes()));
                if self.set.descriptions.iter().filter_map(Description::cells).any(is_header) {
                    // The names of other lines: those behind it are none of ours.
                    self.headed = None;
                }
                Read::Pass
            }
            None => Read::Unknown,
        }
    }
}

#[cfg(test)]
mod tests;
