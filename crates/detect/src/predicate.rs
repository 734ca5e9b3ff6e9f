//! Predicates: one question about one field, asked once however many rules ask it.

use hashbrown::HashMap;
use vigie_record::SlotId;

/// Which of the two views of an event a field belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The record as the source wrote it.
    Native,
    /// The OCSF event.
    Ocsf,
}

/// A field of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Field {
    pub(crate) side: Side,
    pub(crate) slot: SlotId,
}

/// How texts compare: Sigma ignores case unless `cased` is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Case {
    Fold,
    Exact,
}

/// Where a literal must stand in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Whole,
    Inside,
    Start,
    End,
}

/// Numeric comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
}

impl Order {
    pub(crate) fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Order::Less => left < right,
            Order::LessOrEqual => left <= right,
            Order::Greater => left > right,
            Order::GreaterOrEqual => left >= right,
            Order::Equal => (left - right).abs() < f64::EPSILON * left.abs().max(1.0),
        }
    }
}

/// A part of an instant, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TimePart {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// A question about a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Test {
    /// The text holds a literal at a place; the literal is folded already when case is ignored.
    Text(Place, Case, String),
    /// The text matches a regular expression (flags included); with the literal some match needs.
    Regex(String),
    /// There is any value.
    Any,
    /// The key is in the record, whatever its value.
    Present,
    /// Absent or null.
    Null,
    /// An IP address inside a network, written `address/bits`.
    Cidr(String),
    /// A number compared with another, as the bits of an `f64`.
    Number(Order, u64),
    /// A part of an instant compared with a number.
    Time(TimePart, Order, i64),
    /// The same text as another field.
    SameAs(Place, Case, Field),
    /// Any value of the whole record holds the text.
    Keyword(Box<Test>),
}

impl Test {
    /// Whether an absent value can never make it true, so that it may guard a rule.
    pub(crate) fn needs_value(&self) -> bool {
        !matches!(self, Test::Null | Test::SameAs(..))
    }

    /// How rarely it holds, roughly: the smaller the rarer.
    pub(crate) fn breadth(&self) -> u32 {
        match self {
            Test::Text(Place::Whole, ..) | Test::Cidr(_) => 1,
            Test::Text(_, _, literal) if literal.len() >= 6 => 2,
            Test::Text(..) => 6,
            Test::Regex(_) => 20,
            Test::Number(..) | Test::Time(..) => 40,
            _ => 200,
        }
    }
}

/// One predicate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Predicate {
    pub(crate) field: Field,
    pub(crate) test: Test,
}

/// Index of a predicate in its table.
pub(crate) type PredicateId = u32;

/// Interned predicates.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Predicate>,
    ids: HashMap<Predicate, PredicateId>,
}

impl Table {
    pub(crate) fn intern(&mut self, predicate: Predicate) -> PredicateId {
        if let Some(&id) = self.ids.get(&predicate) {
            return id;
        }
        let id = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        self.rows.push(predicate.clone());
        self.ids.insert(predicate, id);
        id
    }

    pub(crate) fn get(&self, id: PredicateId) -> Option<&Predicate> {
        self.rows.get(id as usize)
    }
}

/// A rule's condition over predicates.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    Constant(bool),
    Predicate(PredicateId),
    Not(Box<Expression>),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    /// At least so many of them.
    AtLeast(u64, Vec<Expression>),
}

impl Expression {
    /// Calls `visit` with every predicate.
    pub(crate) fn each_predicate(&self, visit: &mut dyn FnMut(PredicateId)) {
        match self {
            Expression::Constant(_) => {}
            Expression::Predicate(id) => visit(*id),
            Expression::Not(inner) => inner.each_predicate(visit),
            Expression::And(all) | Expression::Or(all) | Expression::AtLeast(_, all) => {
                all.iter().for_each(|inner| inner.each_predicate(visit));
            }
        }
    }
}

/// Folds case character by character (Unicode simple lower case), into a reused buffer.
pub(crate) fn fold_into(text: &str, out: &mut String) {
    out.clear();
    if text.is_ascii() {
        out.push_str(text);
        out.make_ascii_lowercase();
    } else {
        out.extend(text.chars().map(|c| {
            let mut lower = c.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(one), None) => one,
                _ => c,
            }
        }));
    }
}

/// See [`fold_into`].
pub(crate) fn fold(text: &str) -> String {
    let mut out = String::new();
    fold_into(text, &mut out);
    out
}
