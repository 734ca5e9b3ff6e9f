//! Hostile containers, made here and stored nowhere: bombs, and members with names that climb out.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Bytes of a mebibyte.
const MEBIBYTE: usize = 1024 * 1024;
/// The longest block of a zstd frame (RFC 8878, section 3.1.1.2.3).
const ZSTD_BLOCK_BYTES_MAX: usize = 128 * 1024;

/// The gzip of some bytes.
///
/// # Errors
/// None, as long as there is memory.
pub fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// One gzip member of this many mebibytes of spaces: about a thousandth of it.
///
/// # Errors
/// None, as long as there is memory.
pub fn gzip_bomb(mebibytes: usize) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let spaces = vec![b' '; MEBIBYTE];
    for _ in 0..mebibytes {
        encoder.write_all(&spaces)?;
    }
    encoder.finish()
}

/// A zstd frame of this many mebibytes of spaces, with a window of two to this power (RFC 8878).
pub fn zstd_bomb(mebibytes: usize, window_log: u8) -> Vec<u8> {
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, window_log.saturating_sub(10) << 3];
    let blocks = mebibytes * MEBIBYTE / ZSTD_BLOCK_BYTES_MAX;
    for block in 1..=blocks {
        // One byte that is repeated; the lowest bit says that it is the last block.
        let head = (ZSTD_BLOCK_BYTES_MAX << 3) | (1 << 1) | usize::from(block == blocks);
        frame.extend_from_slice(head.to_le_bytes().get(..3).unwrap_or_default());
        frame.push(b' ');
    }
    frame
}

/// A tar with one file of this name, whatever the name is.
pub fn tar(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    let field = &mut header.as_old_mut().name;
    for (space, byte) in field.iter_mut().zip(name.bytes().take(99)) {
        *space = byte;
    }
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    let mut archive = header.as_bytes().to_vec();
    archive.extend_from_slice(bytes);
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

/// A tar with one symbolic link, and a file behind it.
pub fn tar_link(name: &str, target: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    for (space, byte) in header.as_old_mut().name.iter_mut().zip(name.bytes().take(99)) {
        *space = byte;
    }
    for (space, byte) in header.as_old_mut().linkname.iter_mut().zip(target.bytes().take(99)) {
        *space = byte;
    }
    header.set_size(0);
    header.set_mode(0o777);
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_cksum();
    let behind = tar(&format!("{name}/x"), bytes);
    [header.as_bytes().as_slice(), behind.as_slice()].concat()
}

/// A zip with one stored file of this name, whatever the name is (PKWARE APPNOTE, sections 4.3.7, 4.3.12
/// and 4.3.16).
pub fn zip(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    let (size, name_bytes) = (u32::try_from(bytes.len()).unwrap_or(0), u16::try_from(name.len()).unwrap_or(0));
    // Version, flags, method, time, date; sum, both sizes; length of the name and of what is extra.
    let mut about = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x5A];
    for number in [sum.sum(), size, size] {
        about.extend_from_slice(&number.to_le_bytes());
    }
    about.extend_from_slice(&name_bytes.to_le_bytes());
    about.extend_from_slice(&[0, 0]);
    let mut archive = [b"PK\x03\x04", about.as_slice(), name.as_bytes(), bytes].concat();
    let at = u32::try_from(archive.len()).unwrap_or(0);
    let entry = [b"PK\x01\x02\x14\x00", about.as_slice(), &[0; 14], name.as_bytes()].concat();
    let entry_bytes = u32::try_from(entry.len()).unwrap_or(0);
    archive.extend_from_slice(&entry);
    archive.extend_from_slice(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    for number in [entry_bytes, at] {
        archive.extend_from_slice(&number.to_le_bytes());
    }
    archive.extend_from_slice(&[0, 0]);
    archive
}
