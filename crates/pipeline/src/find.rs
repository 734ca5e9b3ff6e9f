//! Of which log type a record is, in one walk over all that log types are told apart by.

use vigie_record::{PathSet, Row, SlotId, Value, Walk};

use crate::lane::Lane;

/// Knows what tells lanes apart.
#[derive(Debug)]
pub(crate) struct Finder {
    walk: Walk,
    /// By lane.
    marks: Vec<Marks>,
}

#[derive(Debug)]
struct Marks {
    /// A record is of the lane when it has all of one group.
    groups: Vec<Vec<SlotId>>,
    /// Where a record of the lane stands inside another, and whether as text.
    wrappers: Vec<(SlotId, bool)>,
}

/// What a record was found to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A record of the lane of this number.
    Lane(usize),
    /// Something that holds another record.
    Inside(Vec<u8>),
    /// Nothing that is known here.
    Nothing,
}

impl Finder {
    /// A finder of these lanes.
    pub(crate) fn new(lanes: &[Lane]) -> Finder {
        let mut paths = PathSet::new();
        let mut marks = Vec::with_capacity(lanes.len());
        for lane in lanes {
            let groups = lane.marks.groups.iter().map(|group| group.iter().map(|path| paths.intern(path)).collect());
            let groups = groups.collect();
            let wrappers = lane.marks.wrappers.iter().map(|wrapper| (paths.intern(&wrapper.path), wrapper.is_text)).collect();
            marks.push(Marks { groups, wrappers });
        }
        Finder { walk: Walk::compile(&[&paths]), marks }
    }

    /// The first lane that a record is of, else what stands inside it by the first lane that says so.
    /// Of one lane alone where it is told which. What cannot be read is nothing: lanes say why.
    pub(crate) fn find<'r>(&self, record: &'r [u8], only: Option<usize>, row: &mut Row<'r>) -> Found {
        if self.walk.read(record, row).is_err() {
            return Found::Nothing;
        }
        let asked = || self.marks.iter().enumerate().filter(|(number, _)| only.is_none_or(|only| only == *number));
        let has_all = |group: &Vec<SlotId>| group.iter().all(|slot| row.get(*slot) != Value::Absent);
        if let Some((number, _)) = asked().find(|(_, marks)| marks.groups.iter().any(has_all)) {
            return Found::Lane(number);
        }
        let inside = |(slot, is_text): &(SlotId, bool)| match row.get(*slot) {
            Value::Text(text) if *is_text => Some(text.into_owned().into_bytes()),
            Value::Object(bytes) if !is_text => Some(bytes.to_vec()),
            _ => None,
        };
        asked().find_map(|(_, marks)| marks.wrappers.iter().find_map(inside)).map_or(Found::Nothing, Found::Inside)
    }
}
