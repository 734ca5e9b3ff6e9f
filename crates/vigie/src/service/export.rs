//! `vigie lake export`: events as OCSF, one a line, oldest first, a day at a time.
//!
//! The document of a record is what its mapping makes of it, byte for byte: the same that
//! `ocsf('path')` reads. A record that no mapping knows, or that could not be read, is an OCSF Base Event
//! with the record in `raw_data` and the reason in `status_detail`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use vigie_model::{Cell, Documents as _, Tenant};

use crate::arguments::{ExportFormat, ExportOptions};
use crate::content::Content;
use crate::error::Error;
use crate::output::note;
use crate::service::ask::instant;
use crate::service::data::{DataFolder, now};
use crate::service::documents::MappedDocuments;
use crate::service::rows::failed;

/// OCSF version of the events that no mapping makes.
const OCSF_VERSION: &str = "1.8.0";

/// How many events were written, and how many of them no mapping made.
#[derive(Debug, Default)]
struct Written {
    events: u64,
    base: u64,
}

pub(crate) fn run(options: &ExportOptions) -> Result<ExitCode, Error> {
    let ExportFormat::Ocsf = options.format;
    let content = Content::load(options.content.as_deref())?;
    let documents = MappedDocuments::new(&content)?;
    let tenant = Tenant::default();
    let lake = DataFolder::new(&options.data).read_lake(&content, &tenant)?.with_query_time(vigie_lake::EXPORT_TIME_MAX);
    let bound = |text: &Option<String>| text.as_deref().map(|text| instant(text, now())).transpose();
    let (since, until) = (bound(&options.since)?, bound(&options.until)?);
    // A filter that is wrong is said before there is a file.
    drop(lake.export(&options.filter, Some(0), Some(0)).map_err(failed)?);
    let said = |error: io::Error| Error::Failed(format!("`{}`: {error}", options.out.display()));
    let mut sink = Sink::create(&options.out).map_err(said)?;
    let mut written = Written::default();
    for (from, end) in lake.days(since, until) {
        let mut rows = lake.export(&options.filter, Some(from), Some(end)).map_err(failed)?;
        while let Some(batch) = rows.next().map_err(failed)? {
            for row in &batch {
                let line = document(row, &documents, &tenant, &mut written);
                sink.write_all(line.as_bytes()).and_then(|()| sink.write_all(b"\n")).map_err(said)?;
            }
        }
    }
    sink.finish().map_err(said)?;
    note(format_args!(
        "{} events at version {} in `{}`; {} of them have no mapping and are base events",
        written.events,
        lake.size().version,
        options.out.display(),
        written.base
    ));
    Ok(ExitCode::SUCCESS)
}

/// The event of a row of [`vigie_lake::Lake::export`], as one line of JSON.
fn document(row: &[Cell], documents: &MappedDocuments, tenant: &Tenant, written: &mut Written) -> String {
    let text = |at: usize| match row.get(at) {
        Some(Cell::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let (id, log, reason, raw, raw_binary) = (text(1), text(2), text(3), text(4), text(5));
    let enrichment = text(6).unwrap_or_default();
    written.events += 1;
    let mapped =
        log.zip(raw).filter(|_| reason.is_none()).and_then(|(log, raw)| documents.document(log, raw.as_bytes(), enrichment));
    if let Some(document) = mapped {
        return document;
    }
    written.base += 1;
    let time = match row.first() {
        Some(Cell::Time(micros)) => micros.div_euclid(1000),
        _ => 0,
    };
    let mut metadata = json!({
        "version": OCSF_VERSION,
        "tenant_uid": tenant.0,
        "product": { "name": "Vigie", "vendor_name": "Vigie", "version": env!("CARGO_PKG_VERSION") },
    });
    let mut event = json!({
        "class_uid": 0, "class_name": "Base Event",
        "category_uid": 0, "category_name": "Uncategorized",
        "activity_id": 0, "activity_name": "Unknown",
        "type_uid": 0, "type_name": "Base Event: Unknown",
        "severity_id": 0, "severity": "Unknown",
        "time": time,
    });
    put(&mut metadata, "uid", id.map(Value::from));
    put(&mut metadata, "log_name", log.map(Value::from));
    put(&mut event, "metadata", Some(metadata));
    put(&mut event, "status_detail", reason.map(Value::from));
    put(&mut event, "raw_data", raw.map(Value::from));
    // Bytes that are no text have no place in OCSF.
    put(&mut event, "unmapped", raw_binary.map(|digits| json!({ "raw_data_hex": digits })));
    event.to_string()
}

fn put(object: &mut Value, key: &str, value: Option<Value>) {
    if let (Value::Object(object), Some(value)) = (object, value) {
        object.insert(key.to_owned(), value);
    }
}

/// The file of an export, compressed by its name.
enum Sink {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
}

impl Sink {
    fn create(path: &Path) -> io::Result<Sink> {
        let file = BufWriter::new(File::create(path)?);
        Ok(match path.extension().is_some_and(|ending| ending == "gz") {
            true => Sink::Gzip(Box::new(GzEncoder::new(file, Compression::default()))),
            false => Sink::Plain(file),
        })
    }

    /// Writes what is left, flushed.
    fn finish(self) -> io::Result<()> {
        let file = match self {
            Sink::Plain(file) => file,
            Sink::Gzip(encoder) => encoder.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Plain(file) => file.write(bytes),
            Sink::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Plain(file) => file.flush(),
            Sink::Gzip(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_without_a_mapping_is_a_base_event_with_its_bytes() {
        let documents = MappedDocuments::new(&Content::embedded()).unwrap();
        let text = |text: &str| Cell::Text(text.to_owned());
        let row = [Cell::Time(5_000), text("0a"), text("generic/json"), Cell::Null, text("{\"a\":1}"), Cell::Null];
        let mut written = Written::default();
        let event: Value = serde_json::from_str(&document(&row, &documents, &Tenant::default(), &mut written)).unwrap();
        assert_eq!((event["class_uid"].as_i64(), event["time"].as_i64()), (Some(0), Some(5)));
        assert_eq!((event["raw_data"].as_str(), event["metadata"]["uid"].as_str()), (Some("{\"a\":1}"), Some("0a")));
        assert!(event.get("status_detail").is_none() && event.get("unmapped").is_none());
        let row = [Cell::Time(5_000), text("0a"), Cell::Null, text("is no JSON"), Cell::Null, text("ff")];
        let event: Value = serde_json::from_str(&document(&row, &documents, &Tenant::default(), &mut written)).unwrap();
        assert_eq!(event["unmapped"]["raw_data_hex"].as_str(), Some("ff"));
        assert_eq!((event["status_detail"].as_str(), written.base), (Some("is no JSON"), 2));
    }
}
