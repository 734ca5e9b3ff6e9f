//! The schema of the table: promoted columns, and what stands beside them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use deltalake_core::kernel::{DataType as DeltaType, PrimitiveType, StructField};
use vigie_model::{Column, ColumnKind};

/// The number of the shape of tables: raised when a column changes its meaning.
pub(crate) const FORMAT: u32 = 1;

/// Columns of a table: those of the list, our own, and those that other lists gave it.
pub(crate) const TABLE_COLUMNS_MAX: usize = 1000;
/// Where the list of columns stands, for sentences.
const LIST: &str = "`schema/columns.toml`";

pub(crate) const EVENT_ID: &str = "event_id";
pub(crate) const TIME: &str = "time";
pub(crate) const CLASS: &str = "class_uid";
pub(crate) const RAW: &str = "raw";
pub(crate) const RAW_BINARY: &str = "raw_binary";
pub(crate) const DAY: &str = "day";
pub(crate) const LOG: &str = "log";
pub(crate) const SOURCE: &str = "source";
pub(crate) const MAPPING: &str = "mapping";
pub(crate) const ENRICHMENT: &str = "enrichment";
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
    for name in [LOG, SOURCE, MAPPING, ENRICHMENT, REASON] {
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

/// Refuses a list of columns that no table can have.
pub(crate) fn check_list(columns: &[Column]) -> Result<(), String> {
    let fields = delta_fields(&file_schema(columns));
    if fields.len() > TABLE_COLUMNS_MAX {
        return Err(format!("{LIST} names {} columns, and a table may have {TABLE_COLUMNS_MAX}: name fewer", columns.len()));
    }
    let mut names: Vec<String> = fields.iter().map(|field| field.name().to_ascii_lowercase()).collect();
    names.sort_unstable();
    let mut pairs = names.iter().zip(names.iter().skip(1));
    if let Some((name, _)) = pairs.find(|(left, right)| left == right) {
        return Err(format!("two columns of the table would be named `{name}`: give the one in {LIST} another name"));
    }
    for (name, kind) in [(TIME, ColumnKind::TimeMs), (CLASS, ColumnKind::Integer)] {
        if !columns.iter().any(|column| column.name == name && column.kind == kind) {
            let kind = type_word(&delta_type(&arrow_type(kind)));
            return Err(format!("{LIST} lacks the column `{name}` of type `{kind}`, which every table has: add it"));
        }
    }
    Ok(())
}

/// The wanted columns that a table does not have yet.
///
/// # Errors
/// A sentence, when a column is there and is another one.
pub(crate) fn missing_fields(table: &[StructField], wanted: &[StructField]) -> Result<Vec<StructField>, String> {
    let mut missing = Vec::new();
    for field in wanted {
        let name = field.name();
        match table.iter().find(|stored| stored.name().eq_ignore_ascii_case(name)) {
            None => missing.push(field.clone()),
            Some(stored) if stored.name() != name => {
                let theirs = stored.name();
                return Err(format!(
                    "the column `{name}` of {LIST} is `{theirs}` in the table, and names that differ in case only are one name: write `{theirs}`"
                ));
            }
            Some(stored) if stored.data_type() != field.data_type() => {
                let (theirs, ours) = (type_word(stored.data_type()), type_word(field.data_type()));
                return Err(format!(
                    "the column `{name}` is `{theirs}` in the table and `{ours}` in {LIST}: use the content that the table was made with, or give the column another name, which `vigie lake rebuild` fills for older events"
                ));
            }
            Some(_) => {}
        }
    }
    Ok(missing)
}

/// The schema of files whose rows come from other files: the list's, with the columns that only the
/// table has. So a merge by another list of columns loses no value.
///
/// # Errors
/// A sentence, when the table has a column that we cannot write.
pub(crate) fn stored_schema(schema: &Schema, table: &[StructField]) -> Result<SchemaRef, String> {
    let mut fields: Vec<FieldRef> = schema.fields().iter().cloned().collect();
    for field in table.iter().filter(|field| field.name() != DAY && schema.index_of(field.name()).is_err()) {
        let Some(kind) = stored_type(field.data_type()) else {
            return Err(format!(
                "another program gave the table the column `{}` of type `{}`, which merges could not keep: take it out again with that program",
                field.name(),
                field.data_type()
            ));
        };
        fields.push(Arc::new(Field::new(field.name(), kind, true)));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// A type of the table's log, where data files of ours have it.
fn stored_type(kind: &DeltaType) -> Option<DataType> {
    match kind {
        DeltaType::Primitive(PrimitiveType::Binary) => Some(DataType::Binary),
        DeltaType::Primitive(PrimitiveType::Long) => Some(DataType::Int64),
        DeltaType::Primitive(PrimitiveType::Boolean) => Some(DataType::Boolean),
        DeltaType::Primitive(PrimitiveType::Timestamp) => Some(instant()),
        DeltaType::Primitive(PrimitiveType::String) => Some(DataType::Utf8),
        _ => None,
    }
}

/// A type in the words of the list of columns, where it has one.
fn type_word(kind: &DeltaType) -> String {
    match kind {
        DeltaType::Primitive(PrimitiveType::Long) => "integer".to_owned(),
        DeltaType::Primitive(PrimitiveType::Timestamp) => "time_ms".to_owned(),
        DeltaType::Primitive(PrimitiveType::String) => "text".to_owned(),
        other => other.to_string(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: ColumnKind) -> Column {
        Column { name: name.to_owned(), path: name.to_owned(), kind, index: None, since: 1 }
    }

    fn list(more: &[(&str, ColumnKind)]) -> Vec<Column> {
        let own = [(TIME, ColumnKind::TimeMs), (CLASS, ColumnKind::Integer)];
        own.iter().chain(more).map(|(name, kind)| column(name, *kind)).collect()
    }

    fn fields(more: &[(&str, ColumnKind)]) -> Vec<StructField> {
        delta_fields(&file_schema(&list(more)))
    }

    #[test]
    fn a_table_gets_what_it_lacks_and_keeps_what_it_has() {
        use ColumnKind::{Boolean, Integer, Text, TimeMs};
        let table = fields(&[("a", Text), ("b", Integer)]);
        let wanted = [("c", Boolean), ("a", Text), ("d", TimeMs)];
        let missing = missing_fields(&table, &fields(&wanted)).unwrap();
        assert_eq!(missing.iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["c", "d"]);
        assert_eq!(missing_fields(&table, &table), Ok(Vec::new()));
        let whole: Vec<StructField> = table.into_iter().chain(missing).collect();
        assert_eq!(missing_fields(&whole, &fields(&wanted)), Ok(Vec::new()));
        let schema = file_schema(&list(&wanted));
        let stored = stored_schema(&schema, &whole).unwrap();
        assert_eq!(stored.fields().len(), schema.fields().len() + 1);
        assert_eq!(stored.fields().last().map(|field| (field.name().as_str(), field.data_type())), Some(("b", &DataType::Int64)));
    }

    #[test]
    fn what_no_table_can_have_is_refused_with_a_sentence() {
        use ColumnKind::{Integer, Text};
        let table = fields(&[("level", Integer)]);
        let refused = |more: &[(&str, ColumnKind)]| missing_fields(&table, &fields(more)).unwrap_err();
        let why = refused(&[("level", Text)]);
        for part in ["`level`", "`integer`", "`text`", "`vigie lake rebuild`"] {
            assert!(why.contains(part), "{why}");
        }
        let why = refused(&[("LEVEL", Integer)]);
        assert!(why.contains("write `level`"), "{why}");
        assert!(check_list(&list(&[("level", Text)])).is_ok());
        for (columns, part) in [
            (list(&[("Raw", Text)]), "`raw`"),
            (list(&[("a", Text), ("A", Text)]), "`a`"),
            (vec![column(TIME, ColumnKind::TimeMs)], "`class_uid`"),
            (vec![column(TIME, Text), column(CLASS, Integer)], "`time_ms`"),
            ((0..TABLE_COLUMNS_MAX).map(|number| column(&format!("c{number}"), Text)).collect(), "name fewer"),
        ] {
            let why = check_list(&columns).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
        let other = StructField::new("level", DeltaType::Primitive(PrimitiveType::Double), true);
        let why = stored_schema(&file_schema(&list(&[])), &[other]).unwrap_err();
        assert!(why.contains("`level`") && why.contains("`double`"), "{why}");
    }
}
