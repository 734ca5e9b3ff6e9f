//! Parquet files as their writers make them: every type, nested rows, and what is broken.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array,
    Int32Array, Int64Array, ListBuilder, MapBuilder, RecordBatch, StringArray, StringBuilder, StructArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Fields};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use vigie_model::limits::RECORD_BYTES_MAX;
use vigie_model::{BytesAt, ColumnarReader as _};

use super::ParquetRecords;

struct Memory(Vec<u8>);

impl BytesAt for Memory {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), String> {
        let start = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(self.0.get(start..start + buffer.len()).ok_or("ends early")?);
        Ok(())
    }
}

fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()))
}

fn write(columns: Vec<(&str, ArrayRef)>, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn read(bytes: &[u8]) -> (Vec<String>, Option<String>) {
    assert!(ParquetRecords.is_known(bytes) || bytes.len() < 4);
    let mut records = Vec::new();
    let mut take = |record: &[u8]| {
        records.push(String::from_utf8(record.to_vec()).unwrap());
        Ok(())
    };
    let error = ParquetRecords.read(Arc::new(Memory(bytes.to_vec())), &mut take).err();
    (records, error)
}

/// A column is read as these records.
#[track_caller]
fn check(column: impl Into<ArrayRef>, expected: &[&str]) {
    let columns = vec![("v", column.into())];
    for properties in [properties(), properties().set_dictionary_enabled(false).set_compression(Compression::SNAPPY)] {
        assert_eq!(read(&write(columns.clone(), properties)), (expected.iter().map(ToString::to_string).collect(), None));
    }
}

/// A file is refused with this sentence.
#[track_caller]
fn refuse(bytes: &[u8], expected: &str) {
    assert_eq!(read(bytes), (Vec::new(), Some(expected.to_owned())));
}

fn array(array: impl arrow::array::Array + 'static) -> ArrayRef {
    Arc::new(array)
}

/// Rows as Security Lake nests them.
fn nested(rows: usize) -> Vec<(&'static str, ArrayRef)> {
    let names = StringArray::from_iter((0..rows).map(|row| (row % 3 != 1).then(|| format!("name {row}"))));
    let uids = StringArray::from_iter_values((0..rows).map(|row| format!("uid {row}")));
    let user = Fields::from(vec![Field::new("name", DataType::Utf8, true), Field::new("uid", DataType::Utf8, true)]);
    let user = StructArray::new(user, vec![array(names), array(uids)], None);
    let actor = Fields::from(vec![Field::new("user", user.data_type().clone(), true)]);
    let actor = StructArray::new(actor, vec![array(user)], None);
    let mut profiles = ListBuilder::new(StringBuilder::new());
    let mut unmapped = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for row in 0..rows {
        (0..row % 3).for_each(|profile| profiles.values().append_value(format!("p{profile}")));
        profiles.append(row % 4 != 3);
        unmapped.keys().append_value("readOnly");
        unmapped.values().append_value("false");
        unmapped.keys().append_value("none");
        unmapped.values().append_null();
        unmapped.append(true).unwrap();
    }
    let time = Int64Array::from_iter_values((0..rows).map(|row| 1_794_448_327_000 + row as i64));
    let time_dt = TimestampMicrosecondArray::from_iter_values((0..rows).map(|row| 1_794_448_327_000_000 + row as i64 * 1000));
    vec![
        ("time", array(time)),
        ("time_dt", array(time_dt)),
        ("actor", array(actor)),
        ("profiles", array(profiles.finish())),
        ("unmapped", array(unmapped.finish())),
    ]
}

#[test]
fn nested_rows_are_records_without_what_is_null() {
    let (records, error) = read(&write(nested(1000), properties().set_max_row_group_row_count(Some(300))));
    assert_eq!((records.len(), error), (1000, None));
    let first = r#"{"time":1794448327000,"time_dt":"2026-11-12T01:52:07Z","actor":{"user":{"name":"name 0","uid":"uid 0"}},"profiles":[],"unmapped":{"readOnly":"false"}}"#;
    let eighth = r#"{"time":1794448327007,"time_dt":"2026-11-12T01:52:07.007Z","actor":{"user":{"uid":"uid 7"}},"unmapped":{"readOnly":"false"}}"#;
    let ninth = r#"{"time":1794448327008,"time_dt":"2026-11-12T01:52:07.008Z","actor":{"user":{"name":"name 8","uid":"uid 8"}},"profiles":["p0","p1"],"unmapped":{"readOnly":"false"}}"#;
    assert_eq!([&records[0], &records[7], &records[8]], [first, eighth, ninth]);
}

#[test]
fn every_type_is_json() {
    check(array(Int32Array::from(vec![Some(-7), None])), &[r#"{"v":-7}"#, "{}"]);
    check(array(UInt64Array::from(vec![u64::MAX])), &[r#"{"v":18446744073709551615}"#]);
    check(array(Float64Array::from(vec![1.5, f64::NAN])), &[r#"{"v":1.5}"#, r#"{"v":"NaN"}"#]);
    check(array(BooleanArray::from(vec![true, false])), &[r#"{"v":true}"#, r#"{"v":false}"#]);
    let decimals = Decimal128Array::from(vec![125, -5]).with_precision_and_scale(10, 2).unwrap();
    check(array(decimals), &[r#"{"v":1.25}"#, r#"{"v":-0.05}"#]);
    check(array(StringArray::from(vec!["a\"\n", "\u{e9}"])), &[r#"{"v":"a\"\n"}"#, "{\"v\":\"\u{e9}\"}"]);
    check(array(BinaryArray::from(vec![&b"text"[..], &[0xFF, 0]])), &[r#"{"v":"text"}"#, r#"{"v":"ff00"}"#]);
    let uuid = FixedSizeBinaryArray::try_from_iter([[0x5E; 16]].iter()).unwrap();
    check(array(uuid), &[r#"{"v":"5e5e5e5e-5e5e-5e5e-5e5e-5e5e5e5e5e5e"}"#]);
    check(array(Date32Array::from(vec![20_769])), &[r#"{"v":"2026-11-12"}"#]);
    let instants = TimestampMillisecondArray::from(vec![-1, 0, i64::MAX]).with_timezone("UTC");
    let (before, at) = (r#"{"v":"1969-12-31T23:59:59.999Z"}"#, r#"{"v":"1970-01-01T00:00:00Z"}"#);
    check(array(instants), &[before, at, r#"{"v":9223372036854775807}"#]);
    check(array(TimestampMicrosecondArray::from(vec![1_200_003])), &[r#"{"v":"1970-01-01T00:00:01.200003Z"}"#]);
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("x"), None]);
    check(array(lists.finish()), &[r#"{"v":["x",null]}"#]);
}

#[test]
fn a_row_that_is_too_long_is_known_by_its_length() {
    let long = "x".repeat(RECORD_BYTES_MAX + 1);
    let (records, error) = read(&write(vec![("v", array(StringArray::from(vec![long.as_str(), "y"])))], properties()));
    assert_eq!((records.len(), records[1].as_str(), error), (2, r#"{"v":"y"}"#, None));
    assert!(records[0].len() > RECORD_BYTES_MAX && records[0].len() < 2 * RECORD_BYTES_MAX);
}

#[test]
fn whoever_takes_records_may_end_it() {
    // In memory all rows together would take four gigabytes.
    let text = "x".repeat(RECORD_BYTES_MAX / 2);
    let rows = StringArray::from_iter_values((0..64).map(|_| &text));
    let bytes = write(vec![("v", array(rows))], properties());
    let mut taken = 0;
    let mut take = |_: &[u8]| {
        taken += 1;
        if taken == 3 { Err("enough".to_owned()) } else { Ok(()) }
    };
    assert_eq!(ParquetRecords.read(Arc::new(Memory(bytes)), &mut take), Err("enough".to_owned()));
    assert_eq!(taken, 3);
}

#[test]
fn a_file_that_is_cut_anywhere_is_said_to_be() {
    let bytes = write(nested(40), properties());
    for end in 4..bytes.len() {
        refuse(&bytes[..end], "is Parquet that was cut short: its footer is missing");
    }
    let mut other = bytes.clone();
    let end = other.len();
    other[end - 4..].copy_from_slice(b"PAR2");
    refuse(&other, "is Parquet that was cut short: its footer is missing");
    other[end - 4..].copy_from_slice(b"PARE");
    refuse(&other, "is encrypted Parquet, which is not read");
    let mut other = bytes.clone();
    other[end - 8..end - 4].copy_from_slice(&u32::MAX.to_le_bytes());
    refuse(&other, "is Parquet that was cut short: its footer is missing");
}

#[test]
fn what_is_absurd_is_refused_before_it_is_decoded() {
    let huge = "x".repeat(65 * 1024 * 1024);
    let column = |text: &str| vec![("v", array(StringArray::from(vec![text, text])))];
    let large = properties().set_dictionary_page_size_limit(usize::MAX >> 1);
    refuse(&write(column(&huge), large), "has a dictionary of more than 67108864 bytes");
    let plain = properties().set_dictionary_enabled(false);
    let one_page = plain.clone().set_data_page_size_limit(usize::MAX >> 1);
    refuse(&write(column(&huge), one_page), "has a page of more than 134217728 bytes");
    let medium = huge.get(..17 * 1024 * 1024).unwrap();
    refuse(&write(column(medium), plain), "expands more than 250 times: this is no log, nothing more is read");
    let differences = properties().set_dictionary_enabled(false).set_encoding(Encoding::DELTA_BYTE_ARRAY);
    let sentence = "has texts as differences (DELTA_BYTE_ARRAY), which are not read: write it as Parquet 1";
    refuse(&write(column("a"), differences), sentence);
    let lengths = properties().set_dictionary_enabled(false).set_encoding(Encoding::DELTA_LENGTH_BYTE_ARRAY);
    assert_eq!(read(&write(column("a"), lengths)).0, [r#"{"v":"a"}"#; 2]);
    refuse(&write(column("a"), properties().set_compression(Compression::LZ4)), "is compressed by LZ4, which is not read");
}

#[test]
fn a_page_that_says_more_lengths_than_values_is_refused() {
    let lengths = properties()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_LENGTH_BYTE_ARRAY);
    let texts = StringArray::from_iter_values((0..100).map(|row| format!("text {row:03}")));
    let mut bytes = write(vec![("v", array(texts))], lengths);
    // Blocks of 128 lengths in 4 parts, 100 of them, of which the first is 8.
    let head = [0x80, 0x01, 0x04, 100, 16];
    let at = bytes.windows(5).position(|window| window == head).unwrap();
    bytes[at + 3] = 101;
    let (records, error) = read(&bytes);
    assert_eq!(records.len(), 0);
    assert!(error.unwrap().contains("a page says more values than it has"));
}

#[test]
fn no_byte_that_is_wrong_does_harm() {
    let bytes = write(nested(20), properties().set_compression(Compression::UNCOMPRESSED));
    let mut errors = 0;
    for at in 0..bytes.len() {
        for value in [0xFF, bytes[at] ^ 0x10] {
            let mut wrong = bytes.clone();
            wrong[at] = value;
            if at < 4 {
                assert!(!ParquetRecords.is_known(&wrong));
                continue;
            }
            let error = {
                let mut take = |_: &[u8]| Ok(());
                ParquetRecords.read(Arc::new(Memory(wrong)), &mut take).err()
            };
            errors += usize::from(error.is_some());
            assert!(error.is_none_or(|why| !why.is_empty() && !why.contains('\n')), "{at}");
        }
    }
    assert!(errors > bytes.len() / 2, "{errors} of {}", bytes.len());
}
