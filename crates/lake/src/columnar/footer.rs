//! The footer of a Parquet file: found, and looked at before the decoder believes its numbers.
//! Format: <https://github.com/apache/parquet-format>.

use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use vigie_model::BytesAt;

use super::thrift::{INTEGER, LIST, STRUCTURE, Thrift};
use super::unharmed;
use crate::table::sentence;

/// The first and last bytes of a file.
pub(super) const MAGIC: &[u8] = b"PAR1";
/// The last bytes of a file that only those with a key can read.
const ENCRYPTED_MAGIC: &[u8] = b"PARE";
/// Bytes of a footer.
const FOOTER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Columns and groups of columns.
const COLUMNS_MAX: usize = 8192;
/// How deep groups of columns stand inside each other.
const COLUMN_DEPTH_MAX: usize = 48;
/// Bytes of a value of a column whose values are all equally long.
const FIXED_BYTES_MAX: i32 = 1024;
/// Groups of rows.
const GROUPS_MAX: usize = 10_000;
/// Behind a footer stand its length and the last bytes.
const TAIL_BYTES: u64 = 8;

/// Reads the footer of a file.
pub(super) fn read(file: &dyn BytesAt) -> Result<ParquetMetaData, String> {
    let length = file.length();
    let cut_short = || "is Parquet that was cut short: its footer is missing".to_owned();
    if length < MAGIC.len() as u64 + TAIL_BYTES {
        return Err(cut_short());
    }
    let mut tail = [0; TAIL_BYTES as usize];
    file.read_at(length - TAIL_BYTES, &mut tail)?;
    let [a, b, c, d, magic @ ..] = tail;
    if magic == ENCRYPTED_MAGIC {
        return Err("is encrypted Parquet, which is not read".to_owned());
    }
    if magic != MAGIC {
        return Err(cut_short());
    }
    let bytes = u32::from_le_bytes([a, b, c, d]);
    let start = (length - TAIL_BYTES - MAGIC.len() as u64).checked_sub(u64::from(bytes)).ok_or_else(cut_short)?;
    let count = usize::try_from(bytes).ok().filter(|count| *count <= FOOTER_BYTES_MAX);
    let mut footer = vec![0; count.ok_or_else(|| format!("has a footer of more than {FOOTER_BYTES_MAX} bytes"))?];
    file.read_at(start + MAGIC.len() as u64, &mut footer)?;
    let broken = |why: String| format!("has a footer that cannot be read: {why}");
    check(&footer).ok_or_else(|| broken("it is broken or beyond a limit".to_owned()))?;
    unharmed(|| ParquetMetaDataReader::decode_metadata(&footer).map_err(sentence)).map_err(broken)
}

/// Whether the decoder may read a footer: none of its numbers makes it take more memory than a small multiple of
/// the footer, or call itself too often.
fn check(footer: &[u8]) -> Option<()> {
    Thrift::new(footer).structure(&mut |thrift, number, kind| match (number, kind) {
        (2, LIST) => columns(thrift).map(|()| true),
        (4, LIST) => {
            let (kind, count) = thrift.list()?;
            if kind != STRUCTURE || count > GROUPS_MAX {
                return None;
            }
            (0..count).try_for_each(|_| thrift.pass_value(kind, 1))?;
            Some(true)
        }
        (2 | 4, _) => None,
        _ => Some(false),
    })
}

/// The columns as a list: each says how many of the next stand inside it.
fn columns(thrift: &mut Thrift<'_>) -> Option<()> {
    let (kind, count) = thrift.list()?;
    if kind != STRUCTURE || count > COLUMNS_MAX {
        return None;
    }
    let mut open: Vec<usize> = Vec::new();
    for _ in 0..count {
        let mut inside = 0;
        thrift.structure(&mut |thrift, number, kind| match (number, kind) {
            (2, INTEGER) => thrift.integer().filter(|bytes| (0..=FIXED_BYTES_MAX).contains(bytes)).map(|_| true),
            (5, INTEGER) => {
                inside = usize::try_from(thrift.integer()?).ok().filter(|inside| *inside <= count)?;
                Some(true)
            }
            (2 | 5, _) => None,
            _ => Some(false),
        })?;
        while open.last() == Some(&0) {
            open.pop();
        }
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        if inside > 0 {
            open.push(inside);
        }
        if open.len() > COLUMN_DEPTH_MAX {
            return None;
        }
    }
    Some(())
}
