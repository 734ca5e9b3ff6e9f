//! What a filter of a query says about whole files and blocks: the span of time, and tokens that
//! matching rows must have. Whatever is not understood excludes nothing.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{InList, Like, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use vigie_model::Column;

use crate::needle::Want;
use crate::schema::{DAY, RAW, TIME};
use crate::table::DataFile;
use crate::token;
use crate::word::{self, TextTest};

/// A span of time in microseconds, both ends inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    from: i64,
    until: i64,
}

const DAY_MICROS: i64 = 86_400_000_000;

impl Span {
    const ALL: Span = Span { from: i64::MIN, until: i64::MAX };

    fn and(self, other: Span) -> Span {
        Span { from: self.from.max(other.from), until: self.until.min(other.until) }
    }

    fn or(self, other: Span) -> Span {
        Span { from: self.from.min(other.from), until: self.until.max(other.until) }
    }

    /// Whether a file has rows in it.
    pub(crate) fn touches(self, file: &DataFile) -> bool {
        file.time_min <= self.until && file.time_max >= self.from
    }
}

/// The span of time outside which no row matches all filters.
pub(crate) fn span_of(filters: &[Expr]) -> Span {
    filters.iter().map(span).fold(Span::ALL, Span::and)
}

fn span(filter: &Expr) -> Span {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => span(left).and(span(right)),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => span(left).or(span(right)),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            if let (Some(place), Some(at)) = (clock(left), instant(right)) {
                bound(*op, place, at)
            } else if let (Some(at), Some(place), Some(op)) = (instant(left), clock(right), op.swap()) {
                bound(op, place, at)
            } else {
                Span::ALL
            }
        }
        Expr::Between(between) if !between.negated => match (clock(&between.expr), instant(&between.low), instant(&between.high))
        {
            (Some(place), Some(low), Some(high)) => bound(Operator::GtEq, place, low).and(bound(Operator::LtEq, place, high)),
            _ => Span::ALL,
        },
        _ => Span::ALL,
    }
}

/// Which of the columns of time an expression is; its width in microseconds less one.
fn clock(expression: &Expr) -> Option<i64> {
    match expression {
        Expr::Column(column) if column.name == TIME => Some(0),
        Expr::Column(column) if column.name == DAY => Some(DAY_MICROS - 1),
        _ => None,
    }
}

fn instant(expression: &Expr) -> Option<i64> {
    match expression {
        Expr::Literal(ScalarValue::TimestampSecond(Some(at), _), _) => at.checked_mul(1_000_000),
        Expr::Literal(ScalarValue::TimestampMillisecond(Some(at), _), _) => at.checked_mul(1000),
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(at), _), _) => Some(*at),
        Expr::Literal(ScalarValue::Date32(Some(day)), _) => Some(i64::from(*day) * DAY_MICROS),
        _ => None,
    }
}

fn bound(op: Operator, width: i64, at: i64) -> Span {
    let end = at.saturating_add(width);
    match op {
        Operator::Eq => Span { from: at, until: end },
        Operator::Gt | Operator::GtEq => Span { from: at, until: i64::MAX },
        Operator::Lt | Operator::LtEq => Span { from: i64::MIN, until: end },
        _ => Span::ALL,
    }
}

/// What a block must hold for a row of it to match.
pub(crate) fn want_of(filter: &Expr, columns: &[Column]) -> Want {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            Want::all(vec![want_of(left, columns), want_of(right, columns)])
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Want::either(vec![want_of(left, columns), want_of(right, columns)])
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (text(left), text(right)) {
            (None, Some(value)) => equals(left, value, columns),
            (Some(value), None) => equals(right, value, columns),
            _ => Want::Anything,
        },
        Expr::InList(InList { expr, list, negated: false }) => {
            let each = list.iter().map(|item| text(item).map_or(Want::Anything, |value| equals(expr, value, columns)));
            Want::either(each.collect())
        }
        Expr::Like(Like { negated: false, expr, pattern, escape_char, case_insensitive: false }) => {
            text(pattern).map_or(Want::Anything, |pattern| tokens(expr, columns, like(pattern, *escape_char)))
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) => match (func.name(), args.as_slice()) {
            ("contains", [place, part]) => text(part).map_or(Want::Anything, |part| {
                tokens(place, columns, Want::keys(token::whole_tokens(part.as_bytes(), false, false)))
            }),
            (_, [place]) => match word::test_of(func) {
                Some(TextTest::Word(pattern)) if is_raw(place) => word::want(pattern),
                Some(TextTest::Same(value)) => equals(place, value, columns),
                Some(TextTest::Like(pattern)) => tokens(place, columns, word::want(pattern)),
                _ => Want::Anything,
            },
            _ => Want::Anything,
        },
        _ => Want::Anything,
    }
}

fn equals(place: &Expr, value: &str, columns: &[Column]) -> Want {
    entity(place, columns).map_or(Want::Anything, |column| {
        let seed = token::seed(&column.name);
        Want::of(seed, Want::Key(token::hash_value(seed, value.as_bytes())))
    })
}

/// Tokens that are wanted of a text: the index has those of records, and of the entity columns that a
/// file knows.
fn tokens(place: &Expr, columns: &[Column], want: Want) -> Want {
    if is_raw(place) {
        return want;
    }
    entity(place, columns).map_or(Want::Anything, |column| Want::of(token::seed(&column.name), want))
}

/// The column of entities that an expression is.
fn entity<'c>(place: &Expr, columns: &'c [Column]) -> Option<&'c Column> {
    let Expr::Column(place) = place else {
        return None;
    };
    columns.iter().find(|column| column.name == place.name && column.index.is_some())
}

fn is_raw(expression: &Expr) -> bool {
    matches!(expression, Expr::Column(column) if column.name == RAW)
}

fn text(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Literal(ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text), _) => text.as_deref(),
        _ => None,
    }
}

/// Tokens that a pattern's fixed parts contain whole.
fn like(pattern: &str, escape: Option<char>) -> Want {
    let mut keys = Vec::new();
    let mut part = String::new();
    let mut is_begun = true;
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '%' | '_' => {
                keys.extend(token::whole_tokens(part.as_bytes(), is_begun, false));
                part.clear();
                is_begun = false;
            }
            _ if Some(character) == escape.or(Some('\\')) => part.extend(characters.next()),
            _ => part.push(character),
        }
    }
    keys.extend(token::whole_tokens(part.as_bytes(), is_begun, true));
    Want::keys(keys)
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    fn columns() -> Vec<Column> {
        let column = |name: &str, index: Option<&str>| Column {
            name: name.to_owned(),
            path: name.to_owned(),
            kind: vigie_model::ColumnKind::Text,
            index: index.map(str::to_owned),
            since: 1,
        };
        vec![column("actor", Some("bloom")), column("region", None)]
    }

    #[test]
    fn only_what_every_match_has_is_wanted() {
        let token = |text: &str| Want::Key(token::hash(text.as_bytes()));
        let seed = token::seed("actor");
        let actor = |text: &str| Want::of(seed, Want::Key(token::hash_value(seed, text.as_bytes())));
        let cases = [
            (col("actor").eq(lit("alice")), actor("alice")),
            (col("region").eq(lit("paris")), Want::Anything),
            (col("actor").not_eq(lit("alice")), Want::Anything),
            (col("raw").like(lit("%\"stratus\"%")), token("stratus")),
            (col("raw").like(lit("%stratus%")), Want::Anything),
            (col("actor").like(lit("%:stratus")), Want::of(seed, token("stratus"))),
            (col("actor").like(lit("%:stratus%")), Want::Anything),
            (col("region").like(lit("%:stratus")), Want::Anything),
            (col("raw").like(lit("%a:stra_us:b%")), Want::Anything),
            (col("raw").not_like(lit("%\"stratus\"%")), Want::Anything),
            (col("raw").ilike(lit("%\"stratus\"%")), Want::Anything),
            (col("actor").eq(lit("a")).and(col("region").eq(lit("b"))), actor("a")),
            (col("actor").eq(lit("a")).or(col("region").eq(lit("b"))), Want::Anything),
            (col("actor").in_list(vec![lit("a"), lit("b")], false), Want::Either(vec![actor("a"), actor("b")])),
        ];
        for (filter, wanted) in cases {
            assert_eq!(want_of(&filter, &columns()), wanted, "{filter}");
        }
    }
}
