//! Of which log type a record is, in one walk over all that log types are told apart by.

use vigie_normalise::{Mark, Wrapper};
use vigie_record::{PathSet, Row, SlotId, Value, Walk, each_item};

use crate::lane::Lane;

/// How deep records may stand inside others: a finding in an event in a notification in a queue's message.
pub(crate) const INSIDE_MAX: usize = 4;

/// Knows what tells lanes apart.
#[derive(Debug)]
pub(crate) struct Finder {
    walk: Walk,
    /// By lane.
    marks: Vec<Marks>,
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
    /// Where a record of the lane stands inside another, and whether as text.
    wrappers: Vec<(SlotId, bool)>,
    /// Lists whose members are records together with what stands around the list.
    splits: Vec<SlotId>,
}

/// What a record was found to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A record of the lane of this number.
    Lane(usize),
    /// Something that holds other records.
    Inside(Vec<Vec<u8>>),
    /// Nothing that is known here.
    Nothing,
}

impl Finder {
    /// A finder of these lanes.
    pub(crate) fn new(lanes: &[Lane]) -> Finder {
        let mut paths = PathSet::new();
        let mut marks = Vec::with_capacity(lanes.len());
        for lane in lanes {
            let groups = Groups::place(&lane.marks.groups, &mut paths);
            let (split, whole): (Vec<&Wrapper>, Vec<_>) = lane.marks.wrappers.iter().partition(|wrapper| wrapper.is_split);
            let wrappers = whole.iter().map(|wrapper| (paths.intern(&wrapper.path), wrapper.is_text)).collect();
            let splits = split.iter().map(|wrapper| paths.intern(&wrapper.path)).collect();
            marks.push(Marks { groups, wrappers, splits });
        }
        Finder { walk: Walk::compile(&[&paths]), marks }
    }

    /// The first lane that a record is of, else what stands inside it by the first lane that says so.
    /// Of one lane alone where it is told which. What cannot be read is nothing: lanes say why.
    pub(crate) fn find<'r>(&self, record: &'r [u8], only: Option<usize>, row: &mut Row<'r>) -> Found {
        self.find_at(record, only, row, 0)
    }

    fn find_at<'r>(&self, record: &'r [u8], only: Option<usize>, row: &mut Row<'r>, depth: usize) -> Found {
        if self.walk.read(record, row).is_err() {
            return Found::Nothing;
        }
        let asked = || self.marks.iter().enumerate().filter(|(number, _)| only.is_none_or(|only| only == *number));
        if let Some((number, marks)) = asked().find(|(_, marks)| marks.groups.hold(|slot| row.get(slot))) {
            let several = marks.splits.iter().find_map(|slot| split(record, &row.get(*slot)));
            return several.map_or(Found::Lane(number), Found::Inside);
        }
        let inside = |(slot, is_text): &(SlotId, bool)| match row.get(*slot) {
            Value::Text(text) if *is_text => match text.trim_ascii().as_bytes() {
                object @ [b'{', ..] => held(&Value::Object(object)),
                list @ [b'[', ..] => held(&Value::List(list)),
                _ => None,
            },
            value if !is_text => held(&value),
            _ => None,
        };
        // A place may be a wrapper of several lanes: what is known inside says which it is.
        let mut unknown = None;
        for records in asked().flat_map(|(_, marks)| marks.wrappers.iter().filter_map(inside)) {
            if depth + 1 >= INSIDE_MAX || records.iter().any(|record| self.is_known(record, only, depth + 1)) {
                return Found::Inside(records);
            }
            unknown = unknown.or(Some(records));
        }
        unknown.map_or(Found::Nothing, Found::Inside)
    }

    /// Whether a record is of a lane, or holds one that is.
    fn is_known(&self, record: &[u8], only: Option<usize>, depth: usize) -> bool {
        match self.find_at(record, only, &mut Row::new(), depth) {
            Found::Lane(_) => true,
            Found::Inside(records) => records.iter().any(|record| self.is_known(record, only, depth + 1)),
            Found::Nothing => false,
        }
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
