//! Sorts more than memory holds: sorted runs in temporary files, merged in one pass.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::Serialize;

/// Items with a 128-bit key and bytes, given back in the order of key, then bytes.
#[derive(Debug)]
pub(crate) struct Sorter {
    bytes_max: usize,
    arena: Vec<u8>,
    index: Vec<Entry>,
    runs: Vec<File>,
    /// Bytes written to temporary files.
    pub(crate) spilled_bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: u128,
    start: u32,
    length: u32,
}

/// Runs merged at a time; more are first merged into fewer.
const RUNS_MAX: usize = 256;

impl Sorter {
    /// A sorter that keeps at most about `bytes_max` bytes in memory.
    pub(crate) fn new(bytes_max: usize) -> Sorter {
        Sorter { bytes_max, arena: Vec::new(), index: Vec::new(), runs: Vec::new(), spilled_bytes: 0 }
    }

    /// Adds an item.
    pub(crate) fn push(&mut self, key: u128, bytes: &[u8]) -> io::Result<()> {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        self.note(key, start)
    }

    /// Adds an item that `write` appends to the bytes given to it.
    pub(crate) fn push_with(&mut self, key: u128, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let start = self.arena.len();
        write(&mut self.arena);
        self.note(key, start)
    }

    /// Adds an item: `head`, and a value as postcard writes it.
    pub(crate) fn push_value<T: Serialize>(&mut self, key: u128, head: &[u8], value: &T) -> io::Result<()> {
        let start = self.arena.len();
        self.arena.extend_from_slice(head);
        self.arena = postcard::to_extend(value, std::mem::take(&mut self.arena)).map_err(io::Error::other)?;
        self.note(key, start)
    }

    /// Notes what stands in the arena behind `start` as an item.
    fn note(&mut self, key: u128, start: usize) -> io::Result<()> {
        let length = self.arena.len() - start;
        self.index.push(Entry {
            key,
            start: u32::try_from(start).map_err(io::Error::other)?,
            length: u32::try_from(length).map_err(io::Error::other)?,
        });
        if self.arena.len() + self.index.len() * size_of::<Entry>() >= self.bytes_max {
            self.spill()?;
        }
        Ok(())
    }

    /// Brings what is in memory into order; what is in order stays as it is.
    pub(crate) fn sort(&mut self) {
        let arena = &self.arena;
        self.index.sort_unstable_by(|a, b| a.key.cmp(&b.key).then_with(|| bytes_of(arena, a).cmp(bytes_of(arena, b))));
    }

    fn spill(&mut self) -> io::Result<()> {
        self.sort();
        let mut out = RunWriter::new()?;
        for entry in &self.index {
            out.write(entry.key, bytes_of(&self.arena, entry))?;
        }
        let (file, bytes) = out.finish()?;
        self.spilled_bytes += bytes;
        self.runs.push(file);
        self.arena.clear();
        self.index.clear();
        Ok(())
    }

    /// Every item of several sorters, in order.
    pub(crate) fn merge(sorters: Vec<Sorter>) -> io::Result<Merge> {
        let mut spilled_bytes = 0;
        let mut runs: Vec<Box<dyn Run>> = Vec::new();
        let mut files = Vec::new();
        for mut sorter in sorters {
            sorter.sort();
            spilled_bytes += sorter.spilled_bytes;
            files.append(&mut sorter.runs);
            runs.push(Box::new(MemoryRun { arena: sorter.arena, index: sorter.index, at: 0 }));
        }
        while files.len() > RUNS_MAX {
            let rest = files.split_off(RUNS_MAX);
            let few = files.into_iter().map(open_run).collect::<io::Result<_>>()?;
            let mut out = RunWriter::new()?;
            let (mut merge, mut bytes) = (Merge::new(few, 0)?, Vec::new());
            while let Some(key) = merge.next(&mut bytes)? {
                out.write(key, &bytes)?;
            }
            let (file, bytes) = out.finish()?;
            spilled_bytes += bytes;
            files = rest;
            files.push(file);
        }
        for file in files {
            runs.push(open_run(file)?);
        }
        Merge::new(runs, spilled_bytes)
    }

    /// Every item of several sorters, in no order.
    pub(crate) fn pile(sorters: Vec<Sorter>) -> Pile {
        let spilled_bytes = sorters.iter().map(|sorter| sorter.spilled_bytes).sum();
        Pile { sorters, spilled_bytes }
    }
}

/// Items in no order, to be gone through more than once.
pub(crate) struct Pile {
    sorters: Vec<Sorter>,
    /// Bytes written to temporary files.
    pub(crate) spilled_bytes: u64,
}

impl Pile {
    /// Gives every item to `visit`.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(u128, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for sorter in &self.sorters {
            for entry in &sorter.index {
                visit(entry.key, bytes_of(&sorter.arena, entry))?;
            }
            for file in &sorter.runs {
                let mut run = FileRun::open(file.try_clone()?)?;
                while let Some(key) = run.next(&mut bytes)? {
                    visit(key, &bytes)?;
                }
            }
        }
        Ok(())
    }
}

/// Sorted runs, merged while they are read.
pub(crate) struct Merge {
    runs: Vec<Box<dyn Run>>,
    /// The next item of every run but one.
    heap: BinaryHeap<Reverse<Head>>,
    /// The smallest of all next items.
    first: Option<Head>,
    /// Bytes written to temporary files.
    pub(crate) spilled_bytes: u64,
}

/// The next item of a run: its key, its bytes, and the number of the run.
type Head = (u128, Vec<u8>, usize);

impl Merge {
    fn new(mut runs: Vec<Box<dyn Run>>, spilled_bytes: u64) -> io::Result<Merge> {
        let mut heap = BinaryHeap::new();
        for (number, run) in runs.iter_mut().enumerate() {
            let mut bytes = Vec::new();
            if let Some(key) = run.next(&mut bytes)? {
                heap.push(Reverse((key, bytes, number)));
            }
        }
        let first = heap.pop().map(|Reverse(head)| head);
        Ok(Merge { runs, heap, first, spilled_bytes })
    }

    /// The key of the next item.
    pub(crate) fn peek(&self) -> Option<u128> {
        self.first.as_ref().map(|(key, _, _)| *key)
    }

    /// Puts the next item's bytes into a buffer and gives its key.
    pub(crate) fn next(&mut self, bytes: &mut Vec<u8>) -> io::Result<Option<u128>> {
        let Some((key, mut buffer, number)) = self.first.take() else {
            return Ok(None);
        };
        std::mem::swap(bytes, &mut buffer);
        let next = self.runs.get_mut(number).map_or(Ok(None), |run| run.next(&mut buffer))?;
        self.first = match next.map(|key| (key, buffer, number)) {
            Some(head) if self.heap.peek().is_none_or(|Reverse(other)| head <= *other) => Some(head),
            other => {
                self.heap.extend(other.map(Reverse));
                self.heap.pop().map(|Reverse(head)| head)
            }
        };
        Ok(Some(key))
    }
}

fn open_run(file: File) -> io::Result<Box<dyn Run>> {
    Ok(Box::new(FileRun::open(file)?))
}

fn bytes_of<'a>(arena: &'a [u8], entry: &Entry) -> &'a [u8] {
    let start = entry.start as usize;
    arena.get(start..start + entry.length as usize).unwrap_or_default()
}

/// One sorted sequence of items.
trait Run {
    /// Puts the next item's bytes into a buffer and gives its key.
    fn next(&mut self, bytes: &mut Vec<u8>) -> io::Result<Option<u128>>;
}

struct MemoryRun {
    arena: Vec<u8>,
    index: Vec<Entry>,
    at: usize,
}

impl Run for MemoryRun {
    fn next(&mut self, bytes: &mut Vec<u8>) -> io::Result<Option<u128>> {
        let Some(entry) = self.index.get(self.at) else {
            return Ok(None);
        };
        self.at += 1;
        bytes.clear();
        bytes.extend_from_slice(bytes_of(&self.arena, entry));
        Ok(Some(entry.key))
    }
}

struct FileRun(BufReader<DeflateDecoder<BufReader<File>>>);

impl FileRun {
    fn open(file: File) -> io::Result<FileRun> {
        use std::io::Seek as _;
        let mut file = file;
        file.rewind()?;
        Ok(FileRun(BufReader::new(DeflateDecoder::new(BufReader::new(file)))))
    }
}

impl Run for FileRun {
    fn next(&mut self, bytes: &mut Vec<u8>) -> io::Result<Option<u128>> {
        let mut head = [0u8; 20];
        match self.0.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let (key, length) = head.split_at(16);
        let key = u128::from_le_bytes(key.try_into().map_err(io::Error::other)?);
        let length = u32::from_le_bytes(length.try_into().map_err(io::Error::other)?);
        bytes.clear();
        bytes.resize(length as usize, 0);
        self.0.read_exact(bytes)?;
        Ok(Some(key))
    }
}

struct RunWriter(BufWriter<DeflateEncoder<File>>);

impl RunWriter {
    /// A nameless file in the temporary folder: it goes away with the process.
    fn new() -> io::Result<RunWriter> {
        Ok(RunWriter(BufWriter::new(DeflateEncoder::new(tempfile::tempfile()?, Compression::fast()))))
    }

    fn write(&mut self, key: u128, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(&key.to_le_bytes())?;
        self.0.write_all(&u32::try_from(bytes.len()).map_err(io::Error::other)?.to_le_bytes())?;
        self.0.write_all(bytes)
    }

    fn finish(self) -> io::Result<(File, u64)> {
        let encoder = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        let file = encoder.finish()?;
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_back_in_order_however_small_the_memory() {
        let items: Vec<(u128, Vec<u8>)> =
            (0..5000u128).map(|n| (n * 7919 % 1000, format!("item {}", n * 31 % 977).into_bytes())).collect();
        let mut expected = items.clone();
        expected.sort();
        for bytes_max in [1, 300, 1 << 20] {
            let mut sorters = vec![Sorter::new(bytes_max), Sorter::new(bytes_max)];
            for (number, (key, bytes)) in items.iter().enumerate().take(if bytes_max == 1 { 300 } else { 5000 }) {
                sorters[number % 2].push(*key, bytes).unwrap();
            }
            let (mut merge, mut found, mut bytes) = (Sorter::merge(sorters).unwrap(), Vec::new(), Vec::new());
            while let Some(key) = merge.next(&mut bytes).unwrap() {
                found.push((key, bytes.clone()));
            }
            if bytes_max == 1 {
                let mut few = items[..300].to_vec();
                few.sort();
                assert_eq!(found, few);
            } else {
                assert_eq!(found, expected, "{bytes_max} bytes");
            }
        }
    }

    #[test]
    fn a_pile_gives_every_item_each_time() {
        let mut sorters = vec![Sorter::new(300), Sorter::new(1 << 20)];
        for number in 0..500u128 {
            sorters[number as usize % 2].push_value(number, b"head", &number).unwrap();
        }
        let pile = Sorter::pile(sorters);
        assert!(pile.spilled_bytes > 0);
        for _ in 0..2 {
            let mut keys = std::collections::BTreeSet::new();
            pile.each(&mut |key, bytes| {
                assert_eq!(postcard::from_bytes::<u128>(bytes.strip_prefix(b"head").unwrap()).unwrap(), key);
                keys.insert(key);
                Ok(())
            })
            .unwrap();
            assert_eq!(keys.len(), 500);
        }
    }
}
