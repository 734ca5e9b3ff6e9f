//! Opens compressed streams and archives by their first bytes, under a limit on how far they expand.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use vigie_model::ByteStream;
use vigie_model::limits::{INFLATE_RATIO_CHECK_BYTES, INFLATE_RATIO_MAX};

/// Archives inside archives that are opened.
const NESTING_MAX: usize = 4;
const ZSTD_MAGIC: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];
const TAR_MAGIC_AT: usize = 257;

/// Reads a [`ByteStream`], counting its bytes.
struct Counted {
    stream: Box<dyn ByteStream>,
    bytes: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer).map_err(io::Error::other)?;
        self.bytes.set(self.bytes.get() + read as u64);
        Ok(read)
    }
}

/// Fails once far more bytes came out than went in.
struct Bounded<R> {
    inner: R,
    out: u64,
    bytes_in: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.out += read as u64;
        if self.out > INFLATE_RATIO_CHECK_BYTES && self.out > self.bytes_in.get().saturating_mul(INFLATE_RATIO_MAX) {
            return Err(io::Error::other(format!(
                "expands more than {INFLATE_RATIO_MAX} times: this is no log, nothing more is read"
            )));
        }
        Ok(read)
    }
}

/// Whether a name is an archive's: several files in one.
pub(crate) fn is_archive(name: &str) -> bool {
    const ENDS: [&str; 6] = [".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"];
    let name = name.to_ascii_lowercase();
    ENDS.iter().any(|end| name.ends_with(end))
}

/// Calls `visit` with the plain bytes of a stream; for an archive with those of each of its files,
/// by name.
pub(crate) fn each_file(name: &str, stream: Box<dyn ByteStream>, visit: &mut dyn FnMut(&str, &mut dyn Read)) -> io::Result<()> {
    let bytes = Rc::new(Cell::new(0));
    let counted = Counted { stream, bytes: Rc::clone(&bytes) };
    open(name, &mut BufReader::with_capacity(64 * 1024, counted), &bytes, 0, visit)
}

fn open(
    name: &str,
    reader: &mut dyn BufRead,
    bytes_in: &Rc<Cell<u64>>,
    depth: usize,
    visit: &mut dyn FnMut(&str, &mut dyn Read),
) -> io::Result<()> {
    let mut head = Vec::with_capacity(512);
    let mut reader = reader;
    Read::take(&mut reader, 512).read_to_end(&mut head)?;
    let kind = kind_of(&head);
    let mut whole = BufReader::with_capacity(64 * 1024, io::Cursor::new(head).chain(reader));
    if depth >= NESTING_MAX && kind != Kind::Plain {
        return Err(io::Error::other(format!("holds archives nested deeper than {NESTING_MAX}")));
    }
    match kind {
        Kind::Plain => visit(name, &mut whole),
        Kind::Gzip => {
            let bounded = Bounded { inner: MultiGzDecoder::new(whole), out: 0, bytes_in: Rc::clone(bytes_in) };
            open(name, &mut BufReader::with_capacity(64 * 1024, bounded), bytes_in, depth + 1, visit)?;
        }
        Kind::Zstd => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(whole).map_err(io::Error::other)?;
            let bounded = Bounded { inner: decoder, out: 0, bytes_in: Rc::clone(bytes_in) };
            open(name, &mut BufReader::with_capacity(64 * 1024, bounded), bytes_in, depth + 1, visit)?;
        }
        Kind::Tar => {
            let mut archive = tar::Archive::new(whole);
            for entry in archive.entries()? {
                let entry = entry?;
                if !entry.header().entry_type().is_file() {
                    continue;
                }
                let member = format!("{name}/{}", String::from_utf8_lossy(&entry.path_bytes()));
                open(&member, &mut BufReader::new(entry), bytes_in, depth + 1, visit)?;
            }
        }
        Kind::Zip => {
            while let Some(file) = zip::read::read_zipfile_from_stream(&mut whole).map_err(io::Error::other)? {
                if file.is_dir() {
                    continue;
                }
                let member = format!("{name}/{}", file.name());
                let bounded = Bounded { inner: file, out: 0, bytes_in: Rc::clone(bytes_in) };
                open(&member, &mut BufReader::new(bounded), bytes_in, depth + 1, visit)?;
            }
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Gzip,
    Zstd,
    Zip,
    Tar,
}

fn kind_of(head: &[u8]) -> Kind {
    if head.starts_with(&[0x1F, 0x8B]) {
        Kind::Gzip
    } else if head.starts_with(ZSTD_MAGIC) {
        Kind::Zstd
    } else if head.starts_with(b"PK\x03\x04") {
        Kind::Zip
    } else if head.get(TAR_MAGIC_AT..).is_some_and(|rest| rest.starts_with(b"ustar")) {
        Kind::Tar
    } else {
        Kind::Plain
    }
}
