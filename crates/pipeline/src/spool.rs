//! The spool: deliveries on disk before they are acknowledged, until a commit holds them.
//!
//! A folder of segments `<number>.spool`. A segment begins with [`SEGMENT_MAGIC`]; then entries: the
//! entry's magic, the length of its payload (u32), the CRC-32 of the payload (u32), the payload; all
//! little-endian. A payload is postcard's [`Head`] and behind it the delivery's bytes. A segment is
//! never appended to by a later process, so a torn tail is always the end of its segment. One thread
//! writes: it gathers what waits, writes once, flushes once, and then answers all of them.
//!
//! A filler is an entry with a magic of its own: it stands where a repair took damage away (`care.rs`),
//! so that all positions stay what they are, and it holds nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vigie_model::{Delivery, LogType, Millis, Tenant};

use crate::keep::segment_number;

/// First bytes of a segment; the last is the number of the format.
pub(crate) const SEGMENT_MAGIC: &[u8; 8] = b"VGSPOOL\x01";
const ENTRY_MAGIC: &[u8; 4] = b"\xE5VGE";
const FILLER_MAGIC: &[u8; 4] = b"\xE5VGF";
/// What both magics begin with.
const MAGIC_START: &[u8] = b"\xE5VG";
pub(crate) const ENTRY_HEAD_BYTES: usize = 12;
/// Bytes after which a segment is ended.
const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of small entries that are written together.
const TOGETHER_BYTES: usize = 64 * 1024;
/// Bytes of one entry's payload: a longer length is no length.
const PAYLOAD_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A place in the spool: everything before it is stored or was given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The number of a segment.
    pub segment: u64,
    /// Bytes from its beginning.
    pub offset: u64,
}

/// What an entry says beside the delivery's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    /// The delivery's own number: names its records that have no id.
    number: u64,
    received: Millis,
    tenant: String,
    log: Option<String>,
    source: String,
}

/// One delivery on its way to the spool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entering<'d> {
    /// What [`entry_head`] made.
    pub(crate) head: &'d [u8],
    pub(crate) body: &'d [u8],
}

impl Entering<'_> {
    /// Bytes on disk.
    pub(crate) fn len(&self) -> u64 {
        (self.head.len() + self.body.len()) as u64
    }
}

/// One delivery of the spool.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    pub(crate) received: Millis,
    pub(crate) delivery: Delivery,
}

/// Bytes that cannot be read: kept as they are, under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: u64,
    /// Where it begins.
    pub from: u64,
    /// Where entries go on.
    pub until: u64,
}

/// What an entry has in front of a delivery's body as it goes to disk.
pub(crate) fn entry_head(delivery: &Delivery, number: u64, received: Millis) -> Result<Vec<u8>, String> {
    let log = delivery.log.as_ref().map(|log| log.0.clone());
    let head = Head { number, received, tenant: delivery.tenant.0.clone(), log, source: delivery.source.clone() };
    let mut bytes = vec![0; ENTRY_HEAD_BYTES];
    bytes = postcard::to_extend(&head, bytes).map_err(|error| error.to_string())?;
    seal(ENTRY_MAGIC, &mut bytes, &delivery.body)?;
    Ok(bytes)
}

/// A filler of so many bytes, which are at least [`ENTRY_HEAD_BYTES`].
pub(crate) fn filler(length: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; length];
    seal(FILLER_MAGIC, &mut bytes, &[])?;
    Ok(bytes)
}

/// Writes the head of an entry in front of its payload, which ends with `rest`.
fn seal(magic: &[u8; 4], bytes: &mut [u8], rest: &[u8]) -> Result<(), String> {
    let (start, payload) = bytes.split_at_mut_checked(ENTRY_HEAD_BYTES).ok_or("an entry has no head")?;
    let length = u32::try_from(payload.len() + rest.len()).map_err(|_| "a delivery is too long for the spool".to_owned())?;
    let mut sum = crc32fast::Hasher::new();
    sum.update(payload);
    sum.update(rest);
    let numbers = [*magic, length.to_le_bytes(), sum.finalize().to_le_bytes()];
    for (space, number) in start.chunks_exact_mut(4).zip(numbers) {
        space.copy_from_slice(&number);
    }
    Ok(())
}

fn decode(payload: &[u8]) -> Option<Entry> {
    let (head, body) = postcard::take_from_bytes::<Head>(payload).ok()?;
    let delivery = Delivery {
        tenant: Tenant(head.tenant),
        log: head.log.map(LogType),
        source: head.source,
        number: None,
        body: body.to_vec(),
    };
    Some(Entry { number: head.number, received: head.received, delivery })
}

/// The segments of a folder, and the one that is written.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    /// Segments that are here, with their sizes.
    sizes: BTreeMap<u64, u64>,
    current: Option<(u64, File)>,
    next: u64,
}

impl Spool {
    /// Opens the spool of a folder, which is made when it is missing. A new segment is begun by the
    /// first write.
    pub(crate) fn open(folder: &Path) -> io::Result<Spool> {
        std::fs::create_dir_all(folder)?;
        // The tenant's folder, the spool's, and the one that the spool lies in.
        sync_names(folder, 3)?;
        let mut sizes = BTreeMap::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(number) = segment_number(&name) {
                sizes.insert(number, entry.metadata()?.len());
            }
        }
        let next = sizes.last_key_value().map_or(1, |(number, _)| number + 1);
        Ok(Spool { folder: folder.to_owned(), sizes, current: None, next })
    }

    /// Never writes to a segment below this one: its number was used and freed before.
    pub(crate) fn begin_after(&mut self, segment: u64) {
        self.next = self.next.max(segment + 1);
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.sizes.values().sum()
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(format!("{segment:020}.spool"))
    }

    /// Writes entries and flushes them. Gives the position behind each.
    ///
    /// # Errors
    /// When the disk refuses: nothing of this write may be acknowledged, and the segment is never
    /// written or flushed again.
    pub(crate) fn append(&mut self, entries: &[Entering<'_>]) -> io::Result<Vec<Position>> {
        let done = self.try_append(entries);
        if done.is_err() {
            self.current = None;
        }
        done
    }

    fn try_append(&mut self, entries: &[Entering<'_>]) -> io::Result<Vec<Position>> {
        let is_full = |spool: &Spool, number| spool.sizes.get(&number).is_some_and(|size| *size >= SEGMENT_BYTES_MAX);
        if self.current.as_ref().is_none_or(|(number, _)| is_full(self, *number)) {
            self.current = None;
            let number = self.next;
            self.next += 1;
            let mut file = File::create_new(self.path(number))?;
            self.sizes.insert(number, 0);
            file.write_all(SEGMENT_MAGIC)?;
            fail::fail_point!("spool.segment", |_| Err(io::Error::other("a fail point")));
            file.sync_all()?;
            File::open(&self.folder)?.sync_all()?;
            self.sizes.insert(number, SEGMENT_MAGIC.len() as u64);
            self.current = Some((number, file));
        }
        let Some((number, file)) = &mut self.current else {
            return Err(io::Error::other("no segment is open"));
        };
        fail::fail_point!("spool.write", |_| Err(io::Error::other("a fail point")));
        let mut at = self.sizes.get(number).copied().unwrap_or(0);
        let mut positions = Vec::with_capacity(entries.len());
        // Small entries go together; a large body goes as it is.
        let mut out = BufWriter::with_capacity(TOGETHER_BYTES, &mut *file);
        for entry in entries {
            out.write_all(entry.head)?;
            out.write_all(entry.body)?;
            at += entry.len();
            positions.push(Position { segment: *number, offset: at });
        }
        out.flush()?;
        drop(out);
        fail::fail_point!("spool.flush", |_| Err(io::Error::other("a fail point")));
        file.sync_data()?;
        fail::fail_point!("spool.flushed", |_| Err(io::Error::other("a fail point")));
        self.sizes.insert(*number, at);
        Ok(positions)
    }

    /// Deletes the segments that lie wholly before a position.
    pub(crate) fn free(&mut self, before: Position) {
        let written = self.current.as_ref().map(|(number, _)| *number);
        let is_done = |number: u64, size: u64| {
            number < before.segment || (number == before.segment && before.offset >= size && Some(number) != written)
        };
        let done: Vec<u64> =
            self.sizes.iter().filter(|(number, size)| is_done(**number, **size)).map(|(number, _)| *number).collect();
        fail::fail_point!("spool.free", |_| ());
        for number in done {
            // A segment that stays is read and known again at the next start: nothing is lost by it.
            if std::fs::remove_file(self.path(number)).is_ok() {
                self.sizes.remove(&number);
            }
        }
    }

    /// Where entries stand behind a position, in order, with what cannot be read.
    pub(crate) fn scan(&self, from: Position, found: &mut dyn FnMut(Span)) -> io::Result<Vec<Damage>> {
        let mut damages = Vec::new();
        for &number in self.sizes.keys().filter(|number| **number >= from.segment) {
            let start = if number == from.segment { from.offset } else { 0 };
            let path = self.path(number);
            let mut segment_damages = scan_segment(&path, number, start, found)?;
            if !segment_damages.is_empty() {
                let kept = self.folder.join(format!("{number:020}.damaged"));
                if !kept.exists() {
                    // The segment goes once what is whole in it is stored: its copy is on disk before.
                    let beside = kept.with_extension("damaged.tmp");
                    std::fs::copy(&path, &beside)?;
                    File::open(&beside)?.sync_all()?;
                    std::fs::rename(&beside, &kept)?;
                    File::open(&self.folder)?.sync_all()?;
                }
            }
            damages.append(&mut segment_damages);
        }
        Ok(damages)
    }

    /// Where the folder is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Flushes a folder and those that it lies in, so many together: what is flushed in a folder whose own name
/// is not on disk is gone after a power cut. Also when they are there already: who made them may not have
/// come so far.
pub(crate) fn sync_names(folder: &Path, count: usize) -> io::Result<()> {
    let folder = std::path::absolute(folder)?;
    folder.ancestors().take(count).try_for_each(|folder| File::open(folder)?.sync_all())
}

/// Where one entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// Its first byte.
    pub(crate) start: u64,
    /// Behind its last byte.
    pub(crate) end: Position,
}

/// Where entries stand in the file of one segment from an offset on, with what cannot be read.
pub(crate) fn scan_segment(path: &Path, number: u64, start: u64, found: &mut dyn FnMut(Span)) -> io::Result<Vec<Damage>> {
    let mut segment = Segment { number, file: File::open(path)?, damages: Vec::new() };
    segment.scan(start, found)?;
    Ok(segment.damages)
}

fn read_entry(file: &mut File, span: Span) -> io::Result<Entry> {
    let length = usize::try_from(span.end.offset.saturating_sub(span.start)).unwrap_or(0);
    let mut bytes = vec![0; length];
    file.seek(SeekFrom::Start(span.start))?;
    file.read_exact(&mut bytes)?;
    let payload = bytes.get(ENTRY_HEAD_BYTES..).unwrap_or_default();
    decode(payload).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an entry of the spool cannot be read"))
}

/// Reads an entry of a spool's folder while its writer goes on.
pub(crate) fn read_in(folder: &Path, span: Span) -> io::Result<Entry> {
    read_entry(&mut File::open(folder.join(format!("{:020}.spool", span.end.segment)))?, span)
}

struct Segment {
    number: u64,
    file: File,
    damages: Vec<Damage>,
}

impl Segment {
    /// Finds entries; what is damaged is passed over up to the next entry that is whole. A tail that
    /// ends within an entry is what a crash leaves: nobody was told that it is kept.
    fn scan(&mut self, start: u64, found: &mut dyn FnMut(Span)) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        let mut at = start.max(SEGMENT_MAGIC.len() as u64);
        let mut lost_from = None;
        if start == 0 {
            let mut magic = [0; 8];
            let read = self.file.read(&mut magic)?;
            if read == magic.len() && magic != *SEGMENT_MAGIC {
                lost_from = Some(0);
            }
        }
        while at < size {
            if let Some((end, is_filler)) = self.entry_end(at, size)? {
                if let Some(from) = lost_from.take() {
                    self.damages.push(Damage { segment: self.number, from, until: at });
                }
                if !is_filler {
                    found(Span { start: at, end: Position { segment: self.number, offset: end } });
                }
                at = end;
            } else {
                lost_from = lost_from.or(Some(at));
                match self.next_magic(at + 1)? {
                    Some(next) => at = next,
                    None => break,
                }
            }
        }
        let is_torn_tail = |from: u64, file: &mut File| -> io::Result<bool> {
            let mut head = [0; ENTRY_HEAD_BYTES];
            file.seek(SeekFrom::Start(from))?;
            let mut read = 0;
            while read < head.len() {
                match file.read(head.get_mut(read..).unwrap_or_default())? {
                    0 => return Ok(true),
                    more => read += more,
                }
            }
            let length = head.get(4..8).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes));
            Ok(head.starts_with(ENTRY_MAGIC) && from + ENTRY_HEAD_BYTES as u64 + u64::from(length) > size)
        };
        if let Some(from) = lost_from
            && !is_torn_tail(from, &mut self.file)?
        {
            self.damages.push(Damage { segment: self.number, from, until: size });
        }
        Ok(())
    }

    /// Where a whole entry that begins at `at` ends, and whether it is a filler.
    fn entry_end(&mut self, at: u64, size: u64) -> io::Result<Option<(u64, bool)>> {
        if size - at < ENTRY_HEAD_BYTES as u64 {
            return Ok(None);
        }
        self.file.seek(SeekFrom::Start(at))?;
        let mut numbers = [[0u8; 4]; 3];
        for number in &mut numbers {
            self.file.read_exact(number)?;
        }
        let [magic, length, sum] = numbers;
        let length = u32::from_le_bytes(length) as usize;
        let end = at + (ENTRY_HEAD_BYTES + length) as u64;
        let is_filler = magic == *FILLER_MAGIC;
        if (magic != *ENTRY_MAGIC && !is_filler) || length > PAYLOAD_BYTES_MAX || end > size {
            return Ok(None);
        }
        let mut payload = vec![0; length];
        self.file.read_exact(&mut payload)?;
        Ok((crc32fast::hash(&payload) == u32::from_le_bytes(sum)).then_some((end, is_filler)))
    }

    /// Where the magic of an entry or a filler may stand next.
    fn next_magic(&mut self, from: u64) -> io::Result<Option<u64>> {
        self.file.seek(SeekFrom::Start(from))?;
        let mut rest = Vec::new();
        self.file.read_to_end(&mut rest)?;
        Ok(memchr::memmem::find(&rest, MAGIC_START).map(|at| from + at as u64))
    }
}

/// Writes deliveries of these texts to a spool.
#[cfg(test)]
pub(crate) fn write(folder: &Path, texts: &[&str]) -> Vec<Position> {
    let delivery = |text: &&str| Delivery {
        tenant: Tenant::default(),
        log: None,
        source: "test".to_owned(),
        number: None,
        body: text.as_bytes().to_vec(),
    };
    let heads: Vec<Vec<u8>> = texts.iter().map(|text| entry_head(&delivery(text), 7, 1).unwrap()).collect();
    let entries = heads.iter().zip(texts).map(|(head, text)| Entering { head, body: text.as_bytes() });
    Spool::open(folder).unwrap().append(&entries.collect::<Vec<_>>()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(folder: &Path, from: Position) -> (Vec<String>, usize) {
        let spool = Spool::open(folder).unwrap();
        let mut texts = Vec::new();
        let mut spans = Vec::new();
        let damages = spool.scan(from, &mut |span| spans.push(span)).unwrap();
        for span in spans {
            texts.push(String::from_utf8(read_in(folder, span).unwrap().delivery.body).unwrap());
        }
        (texts, damages.len())
    }

    #[test]
    fn what_was_acknowledged_is_read_back_in_order_from_any_position() {
        let folder = tempfile::tempdir().unwrap();
        let first = write(folder.path(), &["a", "bb"]);
        write(folder.path(), &["ccc"]);
        assert_eq!(read(folder.path(), Position::default()), (vec!["a".into(), "bb".into(), "ccc".into()], 0));
        assert_eq!(read(folder.path(), first[0]), (vec!["bb".into(), "ccc".into()], 0));
        let mut spool = Spool::open(folder.path()).unwrap();
        spool.free(first[1]);
        assert_eq!(read(folder.path(), first[1]), (vec!["ccc".into()], 0));
    }

    #[test]
    fn truncations_and_flips_cost_only_what_they_touch() {
        let folder = tempfile::tempdir().unwrap();
        let texts: Vec<String> = (0..20).map(|number| format!("record {number}").repeat(4)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let ends = write(folder.path(), &texts);
        let path = folder.path().join(format!("{:020}.spool", 1));
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let kept = ends.iter().filter(|end| end.offset <= length as u64).count();
            assert_eq!(
                read(folder.path(), Position::default()),
                (texts[..kept].iter().map(|t| (*t).to_owned()).collect(), 0),
                "{length}"
            );
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bytes).unwrap();
            let (found, damages) = read(folder.path(), Position::default());
            assert!(found.len() >= texts.len() - 1, "{at}: {} entries", found.len());
            assert!(found.iter().all(|text| texts.contains(&text.as_str())), "{at}");
            assert!(damages == 1 || found.len() == texts.len() || at + 60 > whole.len(), "{at}: {damages}");
        }
        assert!(folder.path().join(format!("{:020}.damaged", 1)).exists());
    }
}
