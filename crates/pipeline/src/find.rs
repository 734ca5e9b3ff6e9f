//! Of which log type a record is, in one walk over all that log types are told apart by.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};
use vigie_normalise::{Mark, Wrapper};
use vigie_record::{OneLine, PathSet, Row, SlotId, TextLists, Value, Walk, each_item, with_members};

use crate::lane::{Lane, Lanes};

/// How deep records may stand inside others: a finding in an event in a notification in a queue's message.
pub(crate) const INSIDE_MAX: usize = 4;

/// Knows what tells lanes apart.
#[derive(Debug)]
pub(crate) struct Finder {
    walk: Walk,
    /// By lane.
    marks: Vec<Marks>,
    /// For each export the columns by which its header is recognised.
    rows: Vec<Vec<SlotId>>,
    /// Where a text may be a line, with the lanes of such lines.
    lines: Vec<(SlotId, Vec<usize>)>,
    is_thorough: bool,
}

/// What a record of a log has, where a walk puts it: all marks of one group.
#[derive(Debug)]
pub(crate) struct Groups(Vec<Vec<(SlotId, Mark)>>);

impl Groups {
    /// Groups of marks, whose paths become wanted ones.
    pub(crate) fn place(groups: &[Vec<Mark>], paths: &mut PathSet) -> Groups {
        let mut placed = |mark: &Mark| (paths.intern(&mark.path), mark.clone());
        Groups(groups.iter().map(|group| group.iter().map(&mut placed).collect()).collect())
    }

    /// What every record has.
    pub(crate) fn any() -> Groups {
        Groups(vec![Vec::new()])
    }

    /// Whether a record has them; `value` gives what it has at a slot.
    pub(crate) fn hold<'r>(&self, value: impl Fn(SlotId) -> Value<'r>) -> bool {
        self.0.iter().any(|group| group.iter().all(|(slot, mark)| mark.holds(&value(*slot))))
    }
}

#[derive(Debug)]
struct Marks {
    /// A record is of the lane when it has these.
    groups: Groups,
    /// Where a record of the lane stands inside another.
    wrappers: Vec<Inner>,
    /// Lists whose members are records together with what stands around the list.
    splits: Vec<SlotId>,
    /// Lists of texts that are lines of the lane, each a record, and where they are said to stand.
    lines: Vec<(SlotId, TextLists)>,
    /// Whether records are of other lanes first.
    is_last: bool,
}

/// Where a record stands inside another.
#[derive(Debug)]
struct Inner {
    slot: SlotId,
    form: Form,
    /// What is laid into it of the record around.
    keep: Vec<(String, SlotId)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// An object, or a list of objects.
    Value,
    /// The same as JSON in a text.
    Text,
    /// The same as JSON in a text, in base64.
    Base64,
}

/// What a record was found to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A record of the lane of this number.
    Lane(usize),
    /// Something that holds other records.
    Inside(Vec<Vec<u8>>),
    /// A row of an export, which stands for this record.
    Row(Vec<u8>),
    /// Something that holds a line of a lane.
    Line(Line),
    /// Nothing that is known here.
    Nothing,
}

/// A line that stands inside a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The number of its lane.
    pub(crate) owner: usize,
    /// The record that was made of it.
    pub(crate) made: Vec<u8>,
    /// The line, where the record around it is of another log and says more than this one.
    pub(crate) text: Option<Vec<u8>>,
}

/// What is asked about a record.
#[derive(Clone, Copy)]
struct Asked<'l> {
    lanes: &'l Lanes,
    /// The lane that it is of, where that is told.
    only: Option<usize>,
    /// How many records it stands in.
    depth: usize,
    /// Whether one of them is of a lane already: then only what is told at a glance is looked for.
    is_quick: bool,
}

impl Finder {
    /// A finder of these lanes, which are the first of `all`. Where it is thorough, it looks for rows of exports
    /// in each record that is of no lane, however their columns are spelt.
    pub(crate) fn new(lanes: &[Lane], all: &Lanes, is_thorough: bool) -> Finder {
        let mut paths = PathSet::new();
        let marks = lanes.iter().map(|lane| Marks::new(lane, &mut paths)).collect();
        let rows = all.exports.iter().filter(|export| !export.required.is_empty());
        let rows = rows.map(|export| export.required.iter().map(|name| paths.intern(name)).collect()).collect();
        let mut lines: Vec<(SlotId, Vec<usize>)> = Vec::new();
        for (key, owner) in all.lines.inside_keys() {
            let slot = paths.intern(key);
            match lines.iter_mut().find(|(known, _)| *known == slot) {
                Some((_, owners)) => owners.push(owner),
                None => lines.push((slot, vec![owner])),
            }
        }
        Finder { walk: Walk::compile(&[&paths]), marks, rows, lines, is_thorough }
    }

    /// The first lane that a record is of, else what stands inside it by the first lane that says so, else what
    /// it is as a row or holds as a line; then the lanes that come last. Of one lane alone where it is told which.
    /// What cannot be read is nothing: lanes say why.
    pub(crate) fn find<'r>(&self, record: &'r [u8], only: Option<usize>, row: &mut Row<'r>, lanes: &Lanes) -> Found {
        self.find_at(record, Asked { lanes, only, depth: 0, is_quick: false }, row)
    }

    fn find_at<'r>(&self, record: &'r [u8], asked: Asked<'_>, row: &mut Row<'r>) -> Found {
        if self.walk.read(record, row).is_err() {
            return Found::Nothing;
        }
        let lane = self.asked(asked).find(|(_, marks)| marks.groups.hold(|slot| row.get(slot)));
        if let Some((number, marks)) = lane {
            if let Some(several) = marks.several(record, number, row, asked.lanes) {
                return Found::Inside(several);
            }
            if !marks.is_last || asked.only.is_some() {
                return Found::Lane(number);
            }
        }
        let asked = Asked { is_quick: asked.is_quick || lane.is_some(), ..asked };
        let mut unknown = None;
        // Deeper down nothing is looked for, and a lane is known already.
        let is_deep = asked.depth + 1 >= INSIDE_MAX;
        let wrappers = self.asked(asked).filter(|_| !is_deep || lane.is_none()).flat_map(|(_, marks)| &marks.wrappers);
        for wrapper in wrappers {
            // Lists in a record of a lane are mostly its own.
            if lane.is_some() && matches!(row.get(wrapper.slot), Value::List(_)) {
                continue;
            }
            let Some(records) = wrapper.inside(row) else {
                if let Some(line) = wrapper.line(row, asked) {
                    return Found::Line(line);
                }
                continue;
            };
            if is_deep || records.iter().any(|record| self.is_known(record, asked)) {
                return Found::Inside(self.kept(records, wrapper.slot, asked, row));
            }
            unknown = unknown.or(Some(records));
        }
        if (self.is_thorough && !asked.is_quick || self.is_like_row(row))
            && let Some(made) = asked.lanes.exports.iter().find_map(|export| export.record_of(record))
        {
            return Found::Row(made);
        }
        if asked.is_quick {
            return match self.line_inside(row, asked) {
                Some((owner, made)) => Found::Line(Line { owner, made, text: None }),
                None => lane.map_or(Found::Nothing, |(number, _)| Found::Lane(number)),
            };
        }
        match asked.lanes.lines.one(record, asked.only) {
            Some(OneLine::Made { owner, record: made }) => Found::Line(Line { owner, made, text: None }),
            _ => unknown.map_or(Found::Nothing, Found::Inside),
        }
    }

    /// The lanes that are asked, with their numbers.
    fn asked(&self, asked: Asked<'_>) -> impl Iterator<Item = (usize, &Marks)> {
        self.marks.iter().enumerate().filter(move |(number, _)| asked.only.is_none_or(|only| only == *number))
    }

    /// Whether a record inside another is of a lane, or holds one that is.
    fn is_known(&self, record: &[u8], asked: Asked<'_>) -> bool {
        let asked = Asked { depth: asked.depth + 1, ..asked };
        match self.find_at(record, asked, &mut Row::new()) {
            Found::Lane(_) | Found::Row(_) | Found::Line(_) => true,
            Found::Inside(records) => records.iter().any(|record| self.is_known(record, asked)),
            Found::Nothing => false,
        }
    }

    /// Records that stood at a place inside another, each with what its lane keeps of that.
    fn kept(&self, records: Vec<Vec<u8>>, slot: SlotId, asked: Asked<'_>, row: &Row<'_>) -> Vec<Vec<u8>> {
        let keeps = |marks: &Marks| marks.wrappers.iter().any(|wrapper| wrapper.slot == slot && !wrapper.keep.is_empty());
        if !self.marks.iter().any(keeps) {
            return records;
        }
        let asked = Asked { depth: asked.depth + 1, ..asked };
        let whole = |record: Vec<u8>| {
            let Found::Lane(number) = self.find_at(&record, asked, &mut Row::new()) else {
                return record;
            };
            let wrappers = self.marks.get(number).map(|marks| marks.wrappers.as_slice()).unwrap_or_default();
            match wrappers.iter().find(|wrapper| wrapper.slot == slot && !wrapper.keep.is_empty()) {
                Some(wrapper) => {
                    let kept: Vec<(&str, Value<'_>)> =
                        wrapper.keep.iter().map(|(name, slot)| (name.as_str(), row.get(*slot))).collect();
                    with_members(&record, &kept)
                }
                None => record,
            }
        };
        records.into_iter().map(whole).collect()
    }

    /// Whether a record has all columns by which the header of an export is recognised.
    fn is_like_row(&self, row: &Row<'_>) -> bool {
        self.rows.iter().any(|columns| columns.iter().all(|slot| !row.get(*slot).is_none()))
    }

    /// The record of a line that stands inside a record, where it is surely one.
    fn line_inside(&self, row: &Row<'_>, asked: Asked<'_>) -> Option<(usize, Vec<u8>)> {
        self.lines.iter().find_map(|(slot, owners)| match row.get(*slot) {
            Value::Text(text) => {
                let found = asked.lanes.lines.surely(text.as_bytes(), asked.only);
                found.filter(|(owner, _)| owners.contains(owner))
            }
            _ => None,
        })
    }
}

impl Marks {
    fn new(lane: &Lane, paths: &mut PathSet) -> Marks {
        let groups = Groups::place(&lane.marks.groups, paths);
        let mut marks = Marks { groups, wrappers: Vec::new(), splits: Vec::new(), lines: Vec::new(), is_last: lane.is_last };
        for wrapper in &lane.marks.wrappers {
            let slot = paths.intern(&wrapper.path);
            match wrapper {
                Wrapper { is_split: true, .. } => marks.splits.push(slot),
                // Content is checked when it is read.
                Wrapper { is_lines: true, .. } => marks.lines.extend(wrapper.text_lists().ok().map(|lists| (slot, lists))),
                Wrapper { keep, is_text, is_base64, .. } => {
                    let keep = keep.iter().map(|(name, path)| (name.clone(), paths.intern(path))).collect();
                    let form = match (is_text, is_base64) {
                        (_, true) => Form::Base64,
                        (true, false) => Form::Text,
                        (false, false) => Form::Value,
                    };
                    marks.wrappers.push(Inner { slot, form, keep });
                }
            }
        }
        marks
    }

    /// The records that one of the lane stands for, where it is said to be several.
    fn several(&self, record: &[u8], number: usize, row: &Row<'_>, lanes: &Lanes) -> Option<Vec<Vec<u8>>> {
        let of_lines = |(slot, lists): &(SlotId, TextLists)| {
            let has_lists = !row.get(*slot).is_none();
            has_lists.then(|| lines_of(record, lists, number, lanes)).flatten()
        };
        let split = self.splits.iter().find_map(|slot| split(record, &row.get(*slot)));
        split.or_else(|| self.lines.iter().find_map(of_lines))
    }
}

impl Inner {
    /// The records that stand here.
    fn inside(&self, row: &Row<'_>) -> Option<Vec<Vec<u8>>> {
        match (self.form, row.get(self.slot)) {
            (Form::Text, Value::Text(text)) => held_in(text.as_bytes()),
            (Form::Base64, Value::Text(text)) => held_in(&decoded(&text)?),
            (Form::Value, value) => held(&value),
            _ => None,
        }
    }

    /// The record of a line that a text here is, where it is surely one.
    fn line(&self, row: &Row<'_>, asked: Asked<'_>) -> Option<Line> {
        let text = match (self.form, row.get(self.slot)) {
            (Form::Text, Value::Text(text)) => text.into_owned().into_bytes(),
            (Form::Base64, Value::Text(text)) => decoded(&text)?,
            _ => return None,
        };
        let (owner, made) = asked.lanes.lines.surely(&text, asked.only)?;
        Some(Line { owner, made, text: Some(text) })
    }
}

/// Bytes of records that are made of the lines of one record.
const LINES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Where a text stands that is no line of its log.
const TEXT: &str = "text";

/// The records of the lines in the lists of a record: none when there are no lines, or when they take too much.
fn lines_of(record: &[u8], lists: &TextLists, owner: usize, lanes: &Lanes) -> Option<Vec<Vec<u8>>> {
    let (mut records, mut bytes) = (Vec::new(), 0usize);
    lists.each(record, &mut |text, kept| {
        let made = match lanes.lines.one(text.as_bytes(), Some(owner)) {
            Some(OneLine::Made { record, .. }) => with_members(&record, kept),
            // It is told as a record of no log, with its text.
            _ => with_members(b"{}", &[(TEXT, Value::Text(text.into()))]),
        };
        bytes = bytes.saturating_add(made.len());
        records.push(made);
        bytes <= LINES_BYTES_MAX
    });
    Some(records).filter(|records| !records.is_empty() && bytes <= LINES_BYTES_MAX)
}

/// The bytes that a text in base64 stands for, of either alphabet.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_ascii().trim_end_matches('=').as_bytes();
    BASE64_NOPAD.decode(text).or_else(|_| BASE64URL_NOPAD.decode(text)).ok()
}

/// The records that JSON in a text holds.
fn held_in(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    match text.trim_ascii() {
        object @ [b'{', ..] => held(&Value::Object(object)),
        list @ [b'[', ..] => held(&Value::List(list)),
        _ => None,
    }
}

/// The key under which a member of a list that was split says which one it was.
const POSITION: &str = "_position";

/// The records that a list in a record stands for: for each object of the list the record with that object
/// in the place of the list.
fn split(record: &[u8], value: &Value<'_>) -> Option<Vec<Vec<u8>>> {
    let Value::List(list) = value else {
        return None;
    };
    let start = (list.as_ptr() as usize).checked_sub(record.as_ptr() as usize)?;
    let (before, after) = (record.get(..start)?, record.get(start + list.len()..)?);
    let mut records = Vec::new();
    each_item(list, &mut |item| {
        if let Value::Object(object) = item {
            let members = object.get(1..).unwrap_or_default();
            let comma = if members.trim_ascii_start().first() == Some(&b'}') { "" } else { "," };
            let position = format!("{{\"{POSITION}\":{}{comma}", records.len());
            records.push([before, position.as_bytes(), members, after].concat());
        }
    });
    Some(records).filter(|records| !records.is_empty())
}

/// The records that a value holds: itself, or the objects of a list. A text that is neither holds none.
fn held(value: &Value<'_>) -> Option<Vec<Vec<u8>>> {
    match value {
        Value::Object(bytes) => Some(vec![bytes.to_vec()]),
        Value::List(bytes) => {
            let mut records = Vec::new();
            each_item(bytes, &mut |item| {
                if let Value::Object(bytes) = item {
                    records.push(bytes.to_vec());
                }
            });
            Some(records).filter(|records| !records.is_empty())
        }
        _ => None,
    }
}
