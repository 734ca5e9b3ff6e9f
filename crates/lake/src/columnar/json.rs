//! A row of Arrow arrays as a JSON object: what is null is left out, but for members of lists, whose place says
//! something.
//!
//! Instants are RFC 3339, UTC where the file names no zone; maps are objects; bytes that are no text are hexadecimal, 16 of them a UUID.

use std::io::Write as _;

use arrow::array::{Array, AsArray as _, StructArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use vigie_model::limits::RECORD_BYTES_MAX;
use vigie_model::{MILLIS_MAX, format_utc};

/// The first instant that has four digits for its year, as the last has.
const MILLIS_MIN: i64 = -62_167_219_200_000;

/// Appends a row as an object. It ends early when it is longer than a record may be.
pub(super) fn object(columns: &StructArray, row: usize, out: &mut Vec<u8>) {
    out.push(b'{');
    let start = out.len();
    for (field, column) in columns.fields().iter().zip(columns.columns()) {
        if is_null(column.as_ref(), row) {
            continue;
        }
        separate(out, start);
        text(field.name(), out);
        out.push(b':');
        value(column.as_ref(), row, out);
        if out.len() > RECORD_BYTES_MAX {
            return;
        }
    }
    out.push(b'}');
}

fn is_null(array: &dyn Array, row: usize) -> bool {
    array.is_null(row) || array.data_type() == &DataType::Null
}

fn separate(out: &mut Vec<u8>, start: usize) {
    if out.len() > start {
        out.push(b',');
    }
}

/// Appends a value. What has another type than its array says, or none that is known, is null.
fn value(array: &dyn Array, row: usize, out: &mut Vec<u8>) {
    let before = out.len();
    let written = match array.data_type() {
        _ if is_null(array, row) => None,
        DataType::Struct(_) => array.as_struct_opt().map(|columns| object(columns, row, out)),
        DataType::List(_) => {
            array.as_list_opt::<i32>().map(|lists| members(lists.values().as_ref(), range(lists.value_offsets(), row), out))
        }
        DataType::Map(_, _) => array.as_map_opt().map(|maps| {
            let range = range(maps.value_offsets(), row);
            entries(maps.keys().as_ref(), maps.values().as_ref(), range, out);
        }),
        DataType::Utf8View => array.as_string_view_opt().map(|texts| text(texts.value(row), out)),
        DataType::Utf8 => array.as_string_opt::<i32>().map(|texts| text(texts.value(row), out)),
        DataType::BinaryView => array.as_binary_view_opt().map(|values| bytes(values.value(row), out)),
        DataType::Binary => array.as_binary_opt::<i32>().map(|values| bytes(values.value(row), out)),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary_opt().map(|values| fixed(values.value(row), out)),
        DataType::Boolean => array.as_boolean_opt().map(|values| show(values.value(row), out)),
        _ => number(array, row, out).or_else(|| instant(array, row, out)),
    };
    if written.is_none() || out.len() == before {
        out.truncate(before);
        out.extend_from_slice(b"null");
    }
}

fn number(array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Option<()> {
    /// A number of one of the types, as Rust writes it.
    macro_rules! plain {
        ($kind:ty) => {
            array.as_primitive_opt::<$kind>().map(|values| show(values.value(row), out))
        };
    }
    match array.data_type() {
        DataType::Int8 => plain!(Int8Type),
        DataType::Int16 => plain!(Int16Type),
        DataType::Int32 => plain!(Int32Type),
        DataType::Int64 => plain!(Int64Type),
        DataType::UInt8 => plain!(UInt8Type),
        DataType::UInt16 => plain!(UInt16Type),
        DataType::UInt32 => plain!(UInt32Type),
        DataType::UInt64 => plain!(UInt64Type),
        DataType::Float16 => array.as_primitive_opt::<Float16Type>().map(|values| fraction(values.value(row).to_f64(), out)),
        // By its own digits: those of the double beside it say more than was stored.
        DataType::Float32 => array.as_primitive_opt::<Float32Type>().map(|values| {
            let value = values.value(row);
            if value.is_finite() { serde_json::to_writer(&mut *out, &value).unwrap_or(()) } else { fraction(value.into(), out) }
        }),
        DataType::Float64 => array.as_primitive_opt::<Float64Type>().map(|values| fraction(values.value(row), out)),
        DataType::Decimal128(_, _) => {
            array.as_primitive_opt::<Decimal128Type>().map(|values| out.extend_from_slice(values.value_as_string(row).as_bytes()))
        }
        DataType::Decimal256(_, _) => {
            array.as_primitive_opt::<Decimal256Type>().map(|values| out.extend_from_slice(values.value_as_string(row).as_bytes()))
        }
        _ => None,
    }
}

/// Instants, dates and times of day; other types as Arrow shows them.
fn instant(array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Option<()> {
    match array.data_type() {
        DataType::Timestamp(unit, _) => {
            let (value, a_second) = match unit {
                TimeUnit::Second => (array.as_primitive_opt::<TimestampSecondType>()?.value(row), 1),
                TimeUnit::Millisecond => (array.as_primitive_opt::<TimestampMillisecondType>()?.value(row), 1_000),
                TimeUnit::Microsecond => (array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row), 1_000_000),
                TimeUnit::Nanosecond => (array.as_primitive_opt::<TimestampNanosecondType>()?.value(row), 1_000_000_000),
            };
            moment(value, a_second, out);
        }
        DataType::Date32 => {
            let millis = i64::from(array.as_primitive_opt::<Date32Type>()?.value(row)).saturating_mul(86_400_000);
            if !(MILLIS_MIN..=MILLIS_MAX).contains(&millis) {
                show(millis, out);
                return Some(());
            }
            text(format_utc(millis).split('T').next().unwrap_or_default(), out);
        }
        _ => text(&arrow::util::display::array_value_to_string(array, row).ok()?, out),
    }
    Some(())
}

/// An instant in units since 1970, of which there are so many in a second. One out of all years stays a number.
fn moment(value: i64, a_second: i64, out: &mut Vec<u8>) {
    let (seconds, rest) = (value.div_euclid(a_second), value.rem_euclid(a_second));
    let millis = seconds.saturating_mul(1000);
    if !(MILLIS_MIN..=MILLIS_MAX).contains(&millis) {
        show(value, out);
        return;
    }
    let whole = format_utc(millis);
    let digits = a_second.ilog10() as usize;
    let fraction = if rest == 0 { String::new() } else { format!(".{rest:0digits$}") };
    let fraction = fraction.trim_end_matches('0');
    // Thousandths have three digits, as everywhere else.
    let fraction = if rest == 0 { String::new() } else { format!("{fraction:0<4}") };
    text(&format!("{}{fraction}Z", whole.trim_end_matches('Z')), out);
}

/// Where the members of a list stand.
fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    let at = |row: usize| offsets.get(row).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
    at(row)..at(row + 1)
}

fn members(values: &dyn Array, range: std::ops::Range<usize>, out: &mut Vec<u8>) {
    out.push(b'[');
    let start = out.len();
    for member in range {
        separate(out, start);
        value(values, member, out);
        if out.len() > RECORD_BYTES_MAX {
            return;
        }
    }
    out.push(b']');
}

fn entries(keys: &dyn Array, values: &dyn Array, range: std::ops::Range<usize>, out: &mut Vec<u8>) {
    out.push(b'{');
    let start = out.len();
    let mut key = Vec::new();
    for entry in range {
        if is_null(values, entry) {
            continue;
        }
        separate(out, start);
        key.clear();
        value(keys, entry, &mut key);
        match key.first() {
            Some(b'"') => out.extend_from_slice(&key),
            // A key of JSON is a text.
            _ => text(&String::from_utf8_lossy(&key), out),
        }
        out.push(b':');
        value(values, entry, out);
        if out.len() > RECORD_BYTES_MAX {
            return;
        }
    }
    out.push(b'}');
}

/// A text, of which no more is written than a record may have.
fn text(text: &str, out: &mut Vec<u8>) {
    if text.len() > RECORD_BYTES_MAX {
        out.resize(out.len() + RECORD_BYTES_MAX + 1, b' ');
        return;
    }
    // Nothing but the writer can fail, and memory does not.
    serde_json::to_writer(&mut *out, text).unwrap_or(());
}

/// Bytes of a column that says nothing about them: mostly they are text.
fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    match std::str::from_utf8(bytes) {
        Ok(plain) => text(plain, out),
        Err(_) => hexadecimal(bytes, out),
    }
}

fn hexadecimal(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in bytes.iter().take(RECORD_BYTES_MAX) {
        write!(out, "{byte:02x}").unwrap_or(());
    }
    out.push(b'"');
}

/// Bytes of a column of which all values are equally long. Those of 16 are UUIDs, and written as such.
fn fixed(bytes: &[u8], out: &mut Vec<u8>) {
    let Ok(uuid) = <[u8; 16]>::try_from(bytes) else {
        return hexadecimal(bytes, out);
    };
    let digits = format!("{:032x}", u128::from_be_bytes(uuid));
    out.push(b'"');
    for (number, digit) in digits.bytes().enumerate() {
        if matches!(number, 8 | 12 | 16 | 20) {
            out.push(b'-');
        }
        out.push(digit);
    }
    out.push(b'"');
}

fn show(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    write!(out, "{value}").unwrap_or(());
}

/// A number with a fraction; JSON has none for what is no number.
fn fraction(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        serde_json::to_writer(&mut *out, &value).unwrap_or(());
    } else {
        text(&value.to_string(), out);
    }
}
