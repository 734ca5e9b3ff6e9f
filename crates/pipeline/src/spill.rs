//! Sorts more than memory holds: sorted runs in temporary files, merged in one pass.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

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
const RUNS_MAX: usize = 64;

impl Sorter {
    /// A sorter that keeps at most about `bytes_max` bytes in memory.
    pub(crate) fn new(bytes_max: usize) -> Sorter {
        Sorter { bytes_max, arena: Vec::new(), index: Vec::new(), runs: Vec::new(), spilled_bytes: 0 }
    }

    /// Adds an item.
    pub(crate) fn push(&mut self, key: u128, bytes: &[u8]) -> io::Result<()> {
        let entry = Entry {
            key,
            start: u32::try_from(self.arena.len()).map_err(io::Error::other)?,
            length: u32::try_from(bytes.len()).map_err(io::Error::other)?,
        };
        self.arena.extend_from_slice(bytes);
        self.index.push(entry);
        if self.arena.len() + self.index.len() * size_of::<Entry>() >= self.bytes_max {
            self.spill()?;
        }
        Ok(())
    }

    fn sort(&mut self) {
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

    /// Gives every item of several sorters to `visit`, in order.
    pub(crate) fn merge(sorters: Vec<Sorter>, visit: &mut dyn FnMut(u128, &[u8]) -> io::Result<()>) -> io::Result<u64> {
        let mut spilled = 0;
        let mut readers: Vec<Box<dyn Run>> = Vec::new();
        let mut files = Vec::new();
        for mut sorter in sorters {
            sorter.sort();
            spilled += sorter.spilled_bytes;
            files.append(&mut sorter.runs);
            readers.push(Box::new(MemoryRun { arena: sorter.arena, index: sorter.index, at: 0 }));
        }
        while files.len() > RUNS_MAX {
            let rest = files.split_off(RUNS_MAX);
            let few: Vec<Box<dyn Run>> = files
                .into_iter()
                .map(|file| FileRun::open(file).map(|run| Box::new(run) as Box<dyn Run>))
                .collect::<io::Result<_>>()?;
            let mut out = RunWriter::new()?;
            merge_runs(few, &mut |key, bytes| out.write(key, bytes))?;
            let (file, bytes) = out.finish()?;
            spilled += bytes;
            files = rest;
            files.push(file);
        }
        for file in files {
            readers.push(Box::new(FileRun::open(file)?));
        }
        merge_runs(readers, visit)?;
        Ok(spilled)
    }
}

fn bytes_of<'a>(arena: &'a [u8], entry: &Entry) -> &'a [u8] {
    let start = entry.start as usize;
    arena.get(start..start + entry.length as usize).unwrap_or_default()
}

fn merge_runs(mut runs: Vec<Box<dyn Run>>, visit: &mut dyn FnMut(u128, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut heap = BinaryHeap::new();
    for (number, run) in runs.iter_mut().enumerate() {
        let mut bytes = Vec::new();
        if let Some(key) = run.next(&mut bytes)? {
            heap.push(Reverse((key, bytes, number)));
        }
    }
    while let Some(Reverse((key, mut bytes, number))) = heap.pop() {
        visit(key, &bytes)?;
        // The buffer of the item that left is the buffer of the run's next one.
        let Some(run) = runs.get_mut(number) else {
            continue;
        };
        while let Some(key) = run.next(&mut bytes)? {
            let is_first = heap.peek().is_none_or(|Reverse((other, text, _))| (key, &bytes) <= (*other, text));
            if !is_first {
                heap.push(Reverse((key, bytes, number)));
                break;
            }
            visit(key, &bytes)?;
        }
    }
    Ok(())
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
            let mut found = Vec::new();
            Sorter::merge(sorters, &mut |key, bytes| {
                found.push((key, bytes.to_vec()));
                Ok(())
            })
            .unwrap();
            if bytes_max == 1 {
                let mut few = items[..300].to_vec();
                few.sort();
                assert_eq!(found, few);
            } else {
                assert_eq!(found, expected, "{bytes_max} bytes");
            }
        }
    }
}
