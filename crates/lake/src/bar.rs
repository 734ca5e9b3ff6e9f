//! The filter bar over the table: its syntax tree as an expression of the query engine.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, cast};
use datafusion::prelude::{col, lit};
use vigie_model::{Column, ColumnKind, Documents, QueryError};

use crate::filter::{Bound, Filter, Test, parse};
use crate::ocsf;
use crate::schema::{DAY, DELIVERED, ENRICHMENT, EVENT_ID, INGESTED, LOG, MAPPING, RAW, REASON, SOURCE};
use crate::word::{TextTest, tested};

/// Names that people write for columns beside the columns' own.
const SHORT_NAMES: [(&str, &str); 9] = [
    ("ip", "src_endpoint_ip"),
    ("user", "actor_user_name"),
    ("arn", "actor_user_uid"),
    ("account", "cloud_account_uid"),
    ("region", "cloud_region"),
    ("operation", "api_operation"),
    ("service", "api_service_name"),
    ("key", "actor_credential_uid"),
    ("id", EVENT_ID),
];

/// The condition that a filter is; none for every event.
pub(crate) fn expression(filter: &str, columns: &[Column], documents: &Arc<dyn Documents>) -> Result<Option<Expr>, QueryError> {
    // A dotted name is a path of the OCSF event.
    let is_field = |name: &str| name.contains('.') || place(name, columns).is_some();
    let tree = parse(filter, &is_field).map_err(|error| QueryError::Question(error.to_string()))?;
    let bar = Bar { columns, documents };
    match tree {
        Filter::All => Ok(None),
        tree => bar.condition(&tree).map(Some),
    }
}

/// What a name stands for.
#[derive(Debug, Clone)]
enum Place {
    Text(String),
    Integer(String),
    Boolean(String),
    Instant(String),
    Id,
}

fn place(name: &str, columns: &[Column]) -> Option<Place> {
    let name = SHORT_NAMES.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
    if name == EVENT_ID {
        return Some(Place::Id);
    }
    if [LOG, SOURCE, MAPPING, ENRICHMENT, REASON, RAW].contains(&name) {
        return Some(Place::Text(name.to_owned()));
    }
    if [DELIVERED, INGESTED].contains(&name) {
        return Some(Place::Instant(name.to_owned()));
    }
    let column = columns.iter().find(|column| column.name == name || column.path == name)?;
    let name = column.name.clone();
    Some(match column.kind {
        ColumnKind::Text => Place::Text(name),
        ColumnKind::Integer => Place::Integer(name),
        ColumnKind::Boolean => Place::Boolean(name),
        ColumnKind::TimeMs => Place::Instant(name),
    })
}

struct Bar<'b> {
    columns: &'b [Column],
    documents: &'b Arc<dyn Documents>,
}

impl Bar<'_> {
    fn condition(&self, filter: &Filter) -> Result<Expr, QueryError> {
        let all = |filters: &[Filter], join: fn(Expr, Expr) -> Expr, otherwise: bool| {
            let conditions: Result<Vec<Expr>, QueryError> = filters.iter().map(|filter| self.condition(filter)).collect();
            // Joined as a balanced tree: a long filter is no deep one.
            Ok(balanced(conditions?, join).unwrap_or_else(|| lit(otherwise)))
        };
        match filter {
            Filter::All => Ok(lit(true)),
            Filter::And(filters) => all(filters, Expr::and, true),
            Filter::Or(filters) => all(filters, Expr::or, false),
            Filter::Not(inner) => {
                // What has no value does not match, so its opposite does.
                let condition = self.condition(inner)?;
                Ok(condition.is_not_true())
            }
            Filter::Word(pattern) => Ok(tested(TextTest::Word(pattern.clone()), col(RAW))),
            Filter::Field { name, test } => self.field(name, test),
        }
    }

    fn field(&self, name: &str, test: &Test) -> Result<Expr, QueryError> {
        let Some(place) = place(name, self.columns) else {
            let value = ocsf::function(Arc::clone(self.documents)).call(vec![col(LOG), col(RAW), col(ENRICHMENT), lit(name)]);
            return text_test(name, value, test);
        };
        match place {
            Place::Text(column) => text_test(name, col(column), test),
            Place::Integer(column) => number_test(name, col(column), test),
            Place::Boolean(column) => match test {
                Test::Exists => Ok(col(column).is_not_null()),
                Test::Equals(text) => match text.to_ascii_lowercase().as_str() {
                    "true" => Ok(col(column).eq(lit(true))),
                    "false" => Ok(col(column).eq(lit(false))),
                    _ => Err(QueryError::Question(format!("`{name}` is true or false, not `{text}`"))),
                },
                _ => Err(QueryError::Question(format!("`{name}` is true or false: write `{name}:true`"))),
            },
            Place::Instant(column) => instant_test(name, &column, test),
            Place::Id => match test {
                Test::Exists => Ok(col(EVENT_ID).is_not_null()),
                Test::Equals(text) => match u128::from_str_radix(text, 16) {
                    Ok(id) if text.len() == 32 => {
                        let day = vigie_model::EventId(id).occurred().div_euclid(86_400_000);
                        let day = lit(ScalarValue::Date32(i32::try_from(day).ok()));
                        Ok(col(EVENT_ID).eq(lit(ScalarValue::BinaryView(Some(id.to_be_bytes().to_vec())))).and(col(DAY).eq(day)))
                    }
                    _ => Err(QueryError::Question(format!("`{text}` is no id of an event: 32 hexadecimal digits"))),
                },
                _ => Err(QueryError::Question(format!("`{name}` takes a whole id"))),
            },
        }
    }
}

fn balanced(mut conditions: Vec<Expr>, join: fn(Expr, Expr) -> Expr) -> Option<Expr> {
    while conditions.len() > 1 {
        let mut pairs = Vec::with_capacity(conditions.len() / 2 + 1);
        let mut rest = conditions.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => join(left, right),
                None => left,
            });
        }
        conditions = pairs;
    }
    conditions.pop()
}

fn text_test(name: &str, value: Expr, test: &Test) -> Result<Expr, QueryError> {
    Ok(match test {
        Test::Exists => value.is_not_null(),
        Test::Equals(text) => tested(TextTest::Same(text.clone()), value),
        Test::Like(pattern) => tested(TextTest::Like(pattern.clone()), value),
        Test::Network(network) => tested(TextTest::Within(*network), value),
        Test::Range { from, to } => {
            let is_number = |bound: &Bound| bound_text(bound).is_none_or(|text| text.parse::<f64>().is_ok());
            // A range of numbers over text compares numbers.
            let (value, is_number) = match is_number(from) && is_number(to) {
                true => (datafusion::logical_expr::try_cast(value, DataType::Float64), true),
                false => (value, false),
            };
            range(name, &value, from, to, &|text| match is_number {
                true => text.parse::<f64>().ok().map(lit),
                false => Some(lit(text)),
            })?
        }
    })
}

fn number_test(name: &str, value: Expr, test: &Test) -> Result<Expr, QueryError> {
    let number = |text: &str| text.parse::<i64>().ok().map(lit);
    let wrong = |text: &str| QueryError::Question(format!("`{name}` is a whole number, not `{text}`"));
    match test {
        Test::Exists => Ok(value.is_not_null()),
        Test::Equals(text) => Ok(value.eq(number(text).ok_or_else(|| wrong(text))?)),
        Test::Range { from, to } => range(name, &value, from, to, &number),
        Test::Like(pattern) => Ok(tested(TextTest::Like(pattern.clone()), cast(value, DataType::Utf8View))),
        Test::Network(_) => Err(QueryError::Question(format!("`{name}` is a whole number, no address"))),
    }
}

fn instant_test(name: &str, column: &str, test: &Test) -> Result<Expr, QueryError> {
    let at = |text: &str| {
        let millis = vigie_model::parse_instant(text)?;
        Some(lit(ScalarValue::TimestampMicrosecond(Some(millis.saturating_mul(1000)), Some("UTC".into()))))
    };
    match test {
        Test::Exists => Ok(col(column).is_not_null()),
        Test::Equals(text) => match at(text) {
            Some(instant) => Ok(col(column).eq(instant)),
            None => Err(QueryError::Question(format!("`{name}` is an instant such as 2026-01-31T08:00:00Z, not `{text}`"))),
        },
        Test::Range { from, to } => range(name, &col(column), from, to, &at),
        _ => Err(QueryError::Question(format!("`{name}` is an instant: write `{name}:>2026-01-31`"))),
    }
}

fn bound_text(bound: &Bound) -> Option<&str> {
    match bound {
        Bound::Open => None,
        Bound::Included(text) | Bound::Excluded(text) => Some(text),
    }
}

fn range(name: &str, value: &Expr, from: &Bound, to: &Bound, read: &dyn Fn(&str) -> Option<Expr>) -> Result<Expr, QueryError> {
    let read = |text: &str| read(text).ok_or_else(|| QueryError::Question(format!("`{text}` is no bound for `{name}`")));
    let value = || value.clone();
    let low = match from {
        Bound::Open => None,
        Bound::Included(text) => Some(value().gt_eq(read(text)?)),
        Bound::Excluded(text) => Some(value().gt(read(text)?)),
    };
    let high = match to {
        Bound::Open => None,
        Bound::Included(text) => Some(value().lt_eq(read(text)?)),
        Bound::Excluded(text) => Some(value().lt(read(text)?)),
    };
    Ok(match (low, high) {
        (Some(low), Some(high)) => low.and(high),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => value().is_not_null(),
    })
}
