//! The schema of the table: promoted columns, and what stands beside them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use deltalake_core::kernel::{DataType as DeltaType, PrimitiveType, StructField};
use vigie_model::{Column, ColumnKind};

/// The number of the shape of tables: raised when a column changes its meaning.
pub(crate) const FORMAT: u32 = 1;

pub(crate) const EVENT_ID: &str = "event_id";
pub(crate) const TIME: &str = "time";
pub(crate) const CLASS: &str = "class_uid";
pub(crate) const RAW: &str = "raw";
pub(crate) const RAW_BINARY: &str = "raw_binary";
pub(crate) const DAY: &str = "day";
pub(crate) const LOG: &str = "log";
pub(crate) const SOURCE: &str = "source";
pub(crate) const MAPPING: &str = "mapping";
pub(crate) const REASON: &str = "reason";
pub(crate) const DELIVERED: &str = "delivered";
pub(crate) const INGESTED: &str = "ingested";

/// The type of every instant: microseconds, UTC.
pub(crate) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The schema of data files: everything but the day.
pub(crate) fn file_schema(columns: &[Column]) -> SchemaRef {
    let own = |name: &str, kind| Field::new(name, kind, true);
    let mut fields = vec![own(EVENT_ID, DataType::Binary)];
    fields.extend(columns.iter().map(|column| own(&column.name, arrow_type(column.kind))));
    for name in [LOG, SOURCE, MAPPING, REASON] {
        fields.push(own(name, DataType::Utf8));
    }
    for name in [DELIVERED, INGESTED] {
        fields.push(own(name, instant()));
    }
    fields.push(own(RAW, DataType::Utf8));
    fields.push(own(RAW_BINARY, DataType::Binary));
    Arc::new(Schema::new(fields))
}

fn arrow_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Text => DataType::Utf8,
        ColumnKind::Integer => DataType::Int64,
        ColumnKind::Boolean => DataType::Boolean,
        ColumnKind::TimeMs => instant(),
    }
}

/// The same schema with the day, as the table's log writes it.
pub(crate) fn delta_fields(schema: &Schema) -> Vec<StructField> {
    let mut fields: Vec<StructField> =
        schema.fields().iter().map(|field| StructField::new(field.name().clone(), delta_type(field.data_type()), true)).collect();
    fields.push(StructField::new(DAY, DeltaType::Primitive(PrimitiveType::Date), true));
    fields
}

fn delta_type(kind: &DataType) -> DeltaType {
    DeltaType::Primitive(match kind {
        DataType::Binary => PrimitiveType::Binary,
        DataType::Int64 => PrimitiveType::Long,
        DataType::Boolean => PrimitiveType::Boolean,
        DataType::Timestamp(..) => PrimitiveType::Timestamp,
        _ => PrimitiveType::String,
    })
}
