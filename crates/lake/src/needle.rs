//! The needle index: for each block of 1,024 rows of a file a filter of the tokens of its records and
//! of its entity columns, and of the whole values of these, and for the whole file a filter of its ids.
//!
//! One file `_vigie/needle/<name>.needle` lies beside each data file. All numbers are little-endian:
//! the magic with the format's number, rows a block (u32), rows (u64), blocks (u32), entity columns
//! (u32), then the hash of the name of each entity column (u64), then for every block and for the ids a
//! shape (seed u64, segment length u32, segment count u32; length 0 when there is no filter), then the
//! fingerprints of the blocks (one byte each) and of the ids (two bytes each). A filter is asked where
//! it lies: three bytes a question.
//!
//! Lists of columns change: one is added, or becomes one of entities later, and a list that lacks one
//! merges files that have it. Rows may then have values that no filter of their file holds. So a file
//! says which entity columns it knows, and what is asked of any other excludes nothing in it. Format 2
//! did not say it, and knows none: its tokens of records and its ids are asked, until a merge or a
//! rebuild writes the file anew.

use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use hashbrown::HashSet;

use crate::fuse::{self, Fingerprint, Shape};
use crate::schema::TABLE_COLUMNS_MAX;

/// Rows that one filter covers.
pub(crate) const BLOCK_ROWS: usize = 1024;
const MAGIC: &[u8; 8] = b"VGNDL\0\0\x03";
const HEAD_BYTES: usize = 28;
/// The format before, whose head ends with the number of blocks.
const MAGIC_2: &[u8; 8] = b"VGNDL\0\0\x02";
const HEAD_BYTES_2: usize = 24;
const COLUMN_BYTES: usize = 8;
const SHAPE_BYTES: usize = 16;
/// Blocks that a file may have: a header that claims more is no header.
const BLOCKS_MAX: usize = 1 << 22;

/// What a query needs a block to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Want {
    /// Nothing that the index knows.
    Anything,
    /// A token or value.
    Key(u64),
    /// This, of the entity column whose name has this hash.
    Of(u64, Box<Want>),
    /// All of these.
    All(Vec<Want>),
    /// One of these.
    Either(Vec<Want>),
}

impl Want {
    /// All of these keys.
    pub(crate) fn keys(keys: Vec<u64>) -> Want {
        Want::all(keys.into_iter().map(Want::Key).collect())
    }

    /// This, of the entity column whose name has this hash.
    pub(crate) fn of(column: u64, want: Want) -> Want {
        if want == Want::Anything { want } else { Want::Of(column, Box::new(want)) }
    }

    /// All of these, without those that ask for nothing.
    pub(crate) fn all(mut wants: Vec<Want>) -> Want {
        wants.retain(|want| *want != Want::Anything);
        match wants.len() {
            0 => Want::Anything,
            1 => wants.pop().unwrap_or(Want::Anything),
            _ => Want::All(wants),
        }
    }

    /// One of these; nothing when one of them asks for nothing.
    pub(crate) fn either(wants: Vec<Want>) -> Want {
        if wants.contains(&Want::Anything) { Want::Anything } else { Want::Either(wants) }
    }

    fn holds(&self, known: &[u64], ask: &mut impl FnMut(u64) -> io::Result<bool>) -> io::Result<bool> {
        match self {
            Want::Anything => Ok(true),
            Want::Key(key) => ask(*key),
            Want::Of(column, want) => Ok(!known.contains(column) || want.holds(known, ask)?),
            Want::All(wants) => {
                for want in wants {
                    if !want.holds(known, ask)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Want::Either(wants) => {
                for want in wants {
                    if want.holds(known, ask)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

/// Keys are hashes already.
#[derive(Debug, Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// Places of [`Last`]: they fit into the fastest memory of a processor.
const LAST_KEYS: usize = 2048;

/// See [`NeedleBuilder`].
#[derive(Debug)]
struct Last(Box<[u64; LAST_KEYS]>);

impl Default for Last {
    fn default() -> Last {
        // No place holds a key that belongs to it: 0 belongs to the first only, which holds 1.
        let mut places = Box::new([0; LAST_KEYS]);
        if let Some(first) = places.first_mut() {
            *first = 1;
        }
        Last(places)
    }
}

impl Last {
    fn is_again(&mut self, key: u64) -> bool {
        match self.0.get_mut(key as usize % LAST_KEYS) {
            Some(place) => std::mem::replace(place, key) == key,
            None => false,
        }
    }
}

/// Collects the filters of one file.
#[derive(Debug, Default)]
pub(crate) struct NeedleBuilder {
    /// Hashes of the names of the entity columns.
    columns: Vec<u64>,
    rows: u64,
    shapes: Vec<Shape>,
    fingerprints: Vec<u8>,
    /// Keys of the block that is open, each once, in the order in which they came.
    keys: Vec<u64>,
    known: HashSet<u64, BuildHasherDefault<Mixed>>,
    /// The key that came last to each place: most keys come again soon, and are passed over here.
    last: Last,
    ids: Vec<u64>,
    rows_in_block: usize,
}

impl NeedleBuilder {
    /// Begins the filters of a file; the values of these entity columns, by the hashes of their names, are
    /// all added to them.
    pub(crate) fn new(columns: Vec<u64>) -> NeedleBuilder {
        NeedleBuilder { columns, ..NeedleBuilder::default() }
    }

    /// Adds a token or value of the row that comes.
    pub(crate) fn key(&mut self, key: u64) {
        if self.last.is_again(key) {
            return;
        }
        if self.known.insert(key) {
            self.keys.push(key);
        }
    }

    /// Whether no row is in the open block yet.
    pub(crate) fn is_block_empty(&self) -> bool {
        self.rows_in_block == 0
    }

    /// Ends a row, which has this id.
    pub(crate) fn row(&mut self, id: u128) {
        self.ids.push(id_key(id));
        self.rows += 1;
        self.rows_in_block += 1;
        if self.rows_in_block == BLOCK_ROWS {
            self.end_block();
        }
    }

    fn end_block(&mut self) {
        match fuse::build::<u8>(&self.keys) {
            Some((shape, bytes)) => {
                self.shapes.push(shape);
                self.fingerprints.extend_from_slice(&bytes);
            }
            None => self.shapes.push(Shape::default()),
        }
        self.keys.clear();
        self.known.clear();
        self.last = Last::default();
        self.rows_in_block = 0;
    }

    /// The bytes of the file.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.rows_in_block > 0 {
            self.end_block();
        }
        self.ids.sort_unstable();
        self.ids.dedup();
        let (ids_shape, ids) = fuse::build::<u16>(&self.ids).unwrap_or_default();
        let mut out = Vec::with_capacity(HEAD_BYTES + self.fingerprints.len() + ids.len() * 2);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&(BLOCK_ROWS as u32).to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(&(self.shapes.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.columns.len() as u32).to_le_bytes());
        self.columns.iter().for_each(|column| out.extend_from_slice(&column.to_le_bytes()));
        for shape in self.shapes.iter().chain([&ids_shape]) {
            out.extend_from_slice(&shape.seed.to_le_bytes());
            out.extend_from_slice(&shape.segment_length.to_le_bytes());
            out.extend_from_slice(&shape.segment_count.to_le_bytes());
        }
        out.extend_from_slice(&self.fingerprints);
        ids.into_iter().for_each(|fingerprint| fingerprint.write(&mut out));
        out
    }
}

/// The key of an id: all of it, since one name may have two values.
fn id_key(id: u128) -> u64 {
    (id as u64) ^ ((id >> 64) as u64).rotate_left(23).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A needle file, open.
#[derive(Debug)]
pub(crate) struct Needle {
    file: File,
    /// Rows of the data file.
    pub(crate) rows: usize,
    /// The entity columns that it knows, by the hashes of their names.
    columns: Vec<u64>,
    /// Shape of each block, and where its fingerprints begin.
    blocks: Vec<(Shape, u64)>,
    ids: (Shape, u64),
}

/// The ids of one file.
#[derive(Debug)]
pub(crate) struct IdFilter {
    shape: Shape,
    bytes: Vec<u8>,
}

impl IdFilter {
    /// Bytes that it holds in memory.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether the file may hold an event.
    pub(crate) fn may_hold(&self, id: u128) -> bool {
        let read = |place: usize| {
            self.bytes.get(place * 2..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u16::from_le_bytes(*bytes))
        };
        self.shape.segment_length == 0 || fuse::may_hold(self.shape, id_key(id), read)
    }
}

impl Needle {
    /// Opens a needle file.
    ///
    /// # Errors
    /// When it is missing or is none of this format; the data file is then read whole.
    pub(crate) fn open(path: &Path) -> io::Result<Needle> {
        let file = File::open(path)?;
        let mut head = [0; HEAD_BYTES];
        file.read_exact_at(&mut head, 0)?;
        let mut head = Numbers(&head);
        let magic = head.take::<8>()?;
        let is_ours = [*MAGIC, *MAGIC_2].contains(&magic) && head.u32()? as usize == BLOCK_ROWS;
        let rows = usize::try_from(head.u64()?).unwrap_or(usize::MAX);
        let count = head.u32()? as usize;
        let (head_bytes, known) = if magic == *MAGIC { (HEAD_BYTES, head.u32()? as usize) } else { (HEAD_BYTES_2, 0) };
        if !is_ours || count > BLOCKS_MAX || count != rows.div_ceil(BLOCK_ROWS) || known > TABLE_COLUMNS_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "is no needle file of this format"));
        }
        let mut bytes = vec![0; known * COLUMN_BYTES + (count + 1) * SHAPE_BYTES];
        file.read_exact_at(&mut bytes, head_bytes as u64)?;
        let mut numbers = Numbers(&bytes);
        let columns = (0..known).map(|_| numbers.u64()).collect::<io::Result<Vec<u64>>>()?;
        let mut at = (head_bytes + bytes.len()) as u64;
        let mut blocks = Vec::with_capacity(count);
        for _ in 0..count {
            let shape = numbers.shape()?;
            blocks.push((shape, at));
            at += if shape.segment_length == 0 { 0 } else { shape.len() as u64 };
        }
        let ids = (numbers.shape()?, at);
        Ok(Needle { file, rows, columns, blocks, ids })
    }

    /// For each block whether it may hold what is wanted.
    pub(crate) fn blocks(&self, want: &Want) -> io::Result<Vec<bool>> {
        let holds = |&(shape, at): &(Shape, u64)| want.holds(&self.columns, &mut |key| self.ask::<u8, 1>(shape, at, key));
        self.blocks.iter().map(holds).collect()
    }

    /// The filter of ids, in memory.
    pub(crate) fn ids(&self) -> io::Result<IdFilter> {
        let (shape, at) = self.ids;
        let mut bytes = vec![0; if shape.segment_length == 0 { 0 } else { shape.len() * 2 }];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(IdFilter { shape, bytes })
    }

    fn ask<F: Fingerprint, const WIDTH: usize>(&self, shape: Shape, at: u64, key: u64) -> io::Result<bool>
    where
        [u8; WIDTH]: IntoFingerprint<F>,
    {
        if shape.segment_length == 0 {
            return Ok(true);
        }
        let (hash, places) = shape.places(key);
        let mut sum = F::of(hash);
        for place in places {
            let mut bytes = [0; WIDTH];
            self.file.read_exact_at(&mut bytes, at + (place * WIDTH) as u64)?;
            sum = sum ^ bytes.into_fingerprint();
        }
        Ok(sum == F::default())
    }
}

/// Bytes that are a fingerprint.
trait IntoFingerprint<F> {
    fn into_fingerprint(self) -> F;
}

impl IntoFingerprint<u8> for [u8; 1] {
    fn into_fingerprint(self) -> u8 {
        u8::from_le_bytes(self)
    }
}

impl IntoFingerprint<u16> for [u8; 2] {
    fn into_fingerprint(self) -> u16 {
        u16::from_le_bytes(self)
    }
}

struct Numbers<'b>(&'b [u8]);

impl Numbers<'_> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(io::ErrorKind::UnexpectedEof)?;
        self.0 = rest;
        Ok(*head)
    }

    fn u32(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn u64(&mut self) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn shape(&mut self) -> io::Result<Shape> {
        let seed = self.u64()?;
        let (segment_length, segment_count) = (self.u32()?, self.u32()?);
        let fits =
            segment_length == 0 || (segment_length.is_power_of_two() && segment_length <= 1 << 18 && segment_count < 1 << 20);
        if !fits {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a filter has no possible shape"));
        }
        Ok(Shape { seed, segment_length, segment_count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{each_token, hash, hash_value, seed};

    #[test]
    fn blocks_are_excluded_by_whole_tokens_only_when_they_lack_them() {
        let mut builder = NeedleBuilder::default();
        for row in 0..5000u64 {
            each_token(format!("common host-{row} x").as_bytes(), &mut |key| builder.key(key));
            builder.row(u128::from(row) << 80 | 7);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.needle");
        std::fs::write(&path, builder.finish()).unwrap();
        let needle = Needle::open(&path).unwrap();
        let blocks = |want: Want| needle.blocks(&want).unwrap();
        assert_eq!(blocks(Want::keys(vec![hash(b"common")])), [true; 5]);
        let one = blocks(Want::keys(vec![hash(b"common"), hash(b"HOST-2050")]));
        assert!(one[2] && one.iter().filter(|holds| **holds).count() <= 2, "{one:?}");
        let either = Want::either(vec![Want::Key(hash(b"host-1")), Want::Key(hash(b"host-4999"))]);
        assert!(blocks(either.clone())[0] && blocks(either)[4]);
        let ids = needle.ids().unwrap();
        assert!((0..5000u128).all(|row| ids.may_hold(row << 80 | 7)));
        assert!((0..5000u128).filter(|row| ids.may_hold(row << 80 | 8)).count() < 5);
    }

    #[test]
    fn a_column_that_a_file_does_not_know_excludes_nothing() {
        let (actor, address) = (seed("actor"), seed("address"));
        let mut builder = NeedleBuilder::new(vec![actor]);
        builder.key(hash_value(actor, b"alice"));
        builder.key(hash(b"word"));
        builder.row(7);
        let bytes = builder.finish();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.needle");
        let asked = |bytes: &[u8], want: Want| {
            std::fs::write(&path, bytes).unwrap();
            let needle = Needle::open(&path).unwrap();
            assert!(needle.ids().unwrap().may_hold(7));
            needle.blocks(&want).unwrap() == [true]
        };
        let value = |column: u64, text: &str| Want::of(column, Want::Key(hash_value(column, text.as_bytes())));
        let word = |text: &str| Want::Key(hash(text.as_bytes()));
        // A filter takes one stranger in 256 for a member: these it does not.
        let stranger = |of: &dyn Fn(&str) -> Want| {
            (0..50).map(|number| of(&format!("carol-{number}"))).find(|want| !asked(&bytes, want.clone()))
        };
        let carol = stranger(&|name| value(actor, name)).expect("a filter excludes");
        let other = stranger(&word).expect("a filter excludes");
        // As format 2 had it: no columns are named.
        let before = [&MAGIC_2[..], &bytes[8..HEAD_BYTES_2], &bytes[HEAD_BYTES + COLUMN_BYTES..]].concat();
        for (want, now, then) in [
            (value(actor, "alice"), true, true),
            (carol.clone(), false, true),
            (value(address, "alice"), true, true),
            (word("word"), true, true),
            (other.clone(), false, false),
            (Want::either(vec![carol, value(address, "carol")]), true, true),
            (Want::all(vec![value(actor, "alice"), value(address, "carol")]), true, true),
            (Want::all(vec![other, value(address, "carol")]), false, false),
        ] {
            assert_eq!((asked(&bytes, want.clone()), asked(&before, want.clone())), (now, then), "{want:?}");
        }
        assert_eq!(Want::of(actor, Want::Anything), Want::Anything);
    }

    #[test]
    fn a_torn_file_is_refused() {
        let mut builder = NeedleBuilder::new(vec![1, 2]);
        (0..3000u128).for_each(|row| builder.row(row));
        let mut bytes = builder.finish();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.needle");
        for length in [0, 5, 23, 27, 40, 70] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(Needle::open(&path).is_err(), "{length}");
        }
        std::fs::write(&path, &bytes).unwrap();
        assert!(Needle::open(&path).is_ok());
        bytes[HEAD_BYTES - 4..HEAD_BYTES].copy_from_slice(&u32::MAX.to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        assert!(Needle::open(&path).is_err(), "more columns than a table may have");
    }
}
