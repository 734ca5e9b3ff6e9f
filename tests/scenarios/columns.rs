//! Records in columns: Parquet, as Security Lake keeps OCSF events.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use vigie_tests::vigie;

/// OCSF events of several classes: samples of the content.
fn events() -> Vec<Value> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../content/vendors/ocsf/logs/event/samples");
    let read = |name: &str| serde_json::from_str(&fs::read_to_string(samples.join(name)).unwrap()).unwrap();
    ["api_activity.json", "authentication.json", "dns_activity.json"].map(read).to_vec()
}

/// A Parquet file with a row for each event, nested as they are.
fn parquet(events: &[Value]) -> Vec<u8> {
    let schema = arrow_json::reader::infer_json_schema_from_iterator(events.iter().map(Ok)).unwrap();
    let schema = Arc::new(schema);
    let mut decoder = arrow_json::ReaderBuilder::new(Arc::clone(&schema)).build_decoder().unwrap();
    decoder.serialize(events).unwrap();
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties)).unwrap();
    writer.write(&decoder.flush().unwrap().unwrap()).unwrap();
    writer.close().unwrap();
    bytes
}

/// The documents of a file, without the record that each was made of.
#[track_caller]
fn documents(file: &Path) -> Vec<Value> {
    let ran = vigie(&["logs", "map", file.to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = |line: &str| {
        let mut document: Value = serde_json::from_str(line).unwrap();
        document.as_object_mut().unwrap().remove("raw_data").unwrap();
        document
    };
    ran.out.lines().map(document).collect()
}

#[test]
fn events_in_parquet_are_those_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let (events, [rows, lines]) = (events(), ["events.parquet", "events.json"].map(|name| folder.path().join(name)));
    fs::write(&rows, parquet(&events)).unwrap();
    fs::write(&lines, events.iter().map(|event| format!("{event}\n")).collect::<String>()).unwrap();
    let of_rows = documents(&rows);
    assert_eq!(of_rows.len(), events.len());
    assert_eq!(of_rows, documents(&lines));
    let ran = vigie(&["hunt", rows.to_str().unwrap()]).unwrap();
    assert!(ran.out.contains(&format!("in {} events of OCSF events", events.len())), "{}{}", ran.out, ran.err);
}

#[test]
fn what_is_cut_short_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.parquet");
    let whole = parquet(&events());
    fs::write(&file, whole.get(..whole.len() / 2).unwrap()).unwrap();
    let ran = vigie(&["hunt", folder.path().to_str().unwrap()]).unwrap();
    assert!(ran.code != 0 && format!("{}{}", ran.out, ran.err).contains("events.parquet"), "{} {}{}", ran.code, ran.out, ran.err);
}
