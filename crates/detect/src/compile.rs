//! Rules to expressions over interned predicates.

use std::collections::HashMap;

use rsigma_parser::{ConditionExpr, Detection, DetectionItem, Detections, Quantifier, SelectorPattern, SigmaValue};
use vigie_record::PathSet;

use crate::error::Mistake;
use crate::item::{Item, ItemTest, item, text};
use crate::predicate::{Case, Expression, Field, Place, Predicate, Side, Table, Test};

/// Gives a lane's fields to the names that rules use.
pub(crate) struct Fields<'t> {
    /// Field names of the log's taxonomy, and where they stand in the record.
    pub(crate) taxonomy: &'t std::collections::BTreeMap<String, String>,
    pub(crate) native: PathSet,
    pub(crate) ocsf: PathSet,
}

impl Fields<'_> {
    /// The field of a name, on the side that the rule reads.
    pub(crate) fn field(&mut self, side: Side, name: &str) -> Field {
        let slot = match side {
            Side::Native => self.native.intern(self.taxonomy.get(name).map_or(name, String::as_str)),
            Side::Ocsf => self.ocsf.intern(name),
        };
        Field { side, slot }
    }
}

/// Compiles the detection of one rule.
pub(crate) struct Compiler<'a, 't> {
    pub(crate) side: Side,
    pub(crate) fields: &'a mut Fields<'t>,
    pub(crate) table: &'a mut Table,
}

/// Names that one selector may stand for.
const SELECTED_MAX: usize = 4096;

impl Compiler<'_, '_> {
    /// The rule's condition; several conditions are alternatives.
    pub(crate) fn detections(&mut self, detections: &Detections) -> Result<Expression, Mistake> {
        let mut alternatives = Vec::new();
        for condition in &detections.conditions {
            alternatives.push(self.condition(condition, &detections.named)?);
        }
        Ok(one_or(alternatives, Expression::Or))
    }

    fn condition(&mut self, condition: &ConditionExpr, named: &HashMap<String, Detection>) -> Result<Expression, Mistake> {
        match condition {
            ConditionExpr::And(parts) => self.parts(parts, named).map(|parts| one_or(parts, Expression::And)),
            ConditionExpr::Or(parts) => self.parts(parts, named).map(|parts| one_or(parts, Expression::Or)),
            ConditionExpr::Not(part) => Ok(Expression::Not(Box::new(self.condition(part, named)?))),
            ConditionExpr::Identifier(name) => match named.get(name) {
                Some(detection) => self.detection(detection),
                None => Err(Mistake::new(
                    format!("the condition names `{name}`, which the detection does not have"),
                    "name one of its parts",
                    "condition",
                )),
            },
            ConditionExpr::Selector { quantifier, pattern } => self.selector(quantifier, pattern, named),
        }
    }

    fn parts(&mut self, parts: &[ConditionExpr], named: &HashMap<String, Detection>) -> Result<Vec<Expression>, Mistake> {
        parts.iter().map(|part| self.condition(part, named)).collect()
    }

    fn selector(
        &mut self,
        quantifier: &Quantifier,
        pattern: &SelectorPattern,
        named: &HashMap<String, Detection>,
    ) -> Result<Expression, Mistake> {
        let fits = |name: &str| match pattern {
            SelectorPattern::Them => !name.starts_with('_'),
            SelectorPattern::Pattern(pattern) => rsigma_parser::detection_name_matches(pattern, name),
        };
        let mut names: Vec<&String> = named.keys().filter(|name| fits(name)).take(SELECTED_MAX).collect();
        names.sort();
        if names.is_empty() {
            let what = format!("the condition selects `{pattern}`, and no part of the detection has such a name");
            return Err(Mistake::new(what, "name at least one part", "condition"));
        }
        let mut parts = Vec::with_capacity(names.len());
        for name in names {
            if let Some(detection) = named.get(name) {
                parts.push(self.detection(detection)?);
            }
        }
        Ok(match quantifier {
            Quantifier::All => one_or(parts, Expression::And),
            Quantifier::Any | Quantifier::Count(1) => one_or(parts, Expression::Or),
            Quantifier::Count(least) => Expression::AtLeast(*least, parts),
        })
    }

    fn detection(&mut self, detection: &Detection) -> Result<Expression, Mistake> {
        match detection {
            Detection::AllOf(items) => {
                let parts: Result<Vec<_>, _> = items.iter().map(|item| self.item(item)).collect();
                parts.map(|parts| one_or(parts, Expression::And))
            }
            Detection::AnyOf(parts) => self.all(parts).map(|parts| one_or(parts, Expression::Or)),
            Detection::And(parts) => self.all(parts).map(|parts| one_or(parts, Expression::And)),
            Detection::Keywords(values) => {
                let parts = values.iter().map(|value| self.keyword(value)).collect();
                Ok(one_or(parts, Expression::Or))
            }
            Detection::Conditional { named, condition } => self.condition(condition, named),
            Detection::ArrayMatch { field, .. } => Err(Mistake::new(
                format!("`{field}` uses an array selector, which Sigma 2.1 does not have"),
                "write the path without brackets: any member of the array may match",
                field,
            )),
        }
    }

    fn all(&mut self, parts: &[Detection]) -> Result<Vec<Expression>, Mistake> {
        parts.iter().map(|part| self.detection(part)).collect()
    }

    fn predicate(&mut self, field: Field, test: Test) -> Expression {
        Expression::Predicate(self.table.intern(Predicate { field, test }))
    }

    fn item(&mut self, source: &DetectionItem) -> Result<Expression, Mistake> {
        let Item { tests, is_all, is_negated } = item(source)?;
        let mut parts = Vec::with_capacity(tests.len());
        for test in tests {
            parts.push(match (&source.field.name, test) {
                (Some(name), test) => self.field_test(name, test),
                (None, ItemTest::Test(test)) => self.anywhere(inside(test)),
                (None, ItemTest::OneOf(tests)) => {
                    one_or(tests.into_iter().map(|test| self.anywhere(inside(test))).collect(), Expression::Or)
                }
                (None, _) => return Err(Mistake::new("a keyword cannot be compared with a field", "name the field", "|")),
            });
        }
        let joined = one_or(parts, if is_all { Expression::And } else { Expression::Or });
        Ok(if is_negated { Expression::Not(Box::new(joined)) } else { joined })
    }

    fn field_test(&mut self, name: &str, test: ItemTest) -> Expression {
        let field = self.fields.field(self.side, name);
        match test {
            ItemTest::Test(test) => self.predicate(field, test),
            ItemTest::OneOf(tests) => one_or(tests.into_iter().map(|test| self.predicate(field, test)).collect(), Expression::Or),
            ItemTest::Not(test) => Expression::Not(Box::new(self.predicate(field, test))),
            ItemTest::SameAs(place, case, other) => {
                let other = self.fields.field(self.side, &other);
                self.predicate(field, Test::SameAs(place, case, other))
            }
        }
    }

    fn keyword(&mut self, value: &SigmaValue) -> Expression {
        let test = match value {
            SigmaValue::String(string) => text(&string.parts, Place::Inside, Case::Fold),
            SigmaValue::Integer(number) => {
                text(&[rsigma_parser::StringPart::Plain(number.to_string())], Place::Inside, Case::Fold)
            }
            SigmaValue::Float(number) => text(&[rsigma_parser::StringPart::Plain(number.to_string())], Place::Inside, Case::Fold),
            SigmaValue::Bool(flag) => text(&[rsigma_parser::StringPart::Plain(flag.to_string())], Place::Inside, Case::Fold),
            SigmaValue::Null => return Expression::Constant(false),
        };
        self.anywhere(test)
    }

    /// A test of any value of the record: keywords always read the native record.
    fn anywhere(&mut self, test: Test) -> Expression {
        let field = Field { side: Side::Native, slot: vigie_record::SlotId(u32::MAX) };
        self.predicate(field, Test::Keyword(Box::new(test)))
    }
}

/// A keyword is searched inside the text unless it says otherwise.
fn inside(test: Test) -> Test {
    match test {
        Test::Text(Place::Whole, case, literal) => Test::Text(Place::Inside, case, literal),
        other => other,
    }
}

/// Joins parts; one part stands for itself.
pub(crate) fn one_or(mut parts: Vec<Expression>, join: impl FnOnce(Vec<Expression>) -> Expression) -> Expression {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            parts.push(last);
            join(parts)
        }
        (None, _) => Expression::Constant(false),
    }
}
