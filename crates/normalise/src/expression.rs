//! The expressions of a mapping: a path, a literal, a number, or a named function of those.

use vigie_record::{PathSet, SlotId};

use crate::function::Function;

/// A parsed expression over the slots of a path set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    /// A value of the record.
    Path(SlotId),
    /// A quoted text.
    Literal(String),
    /// A whole number.
    Number(i64),
    /// A function of other expressions.
    Call(Function, Vec<Expression>),
}

/// Parses `text`, interning its paths.
pub(crate) fn parse(text: &str, paths: &mut PathSet) -> Result<Expression, String> {
    let mut rest = text.trim();
    let expression = operand(&mut rest, paths, 0)?;
    if rest.is_empty() { Ok(expression) } else { Err(format!("`{text}` goes on after its end with `{rest}`")) }
}

/// Deepest nesting of functions.
const CALL_DEPTH_MAX: usize = 8;

fn operand(rest: &mut &str, paths: &mut PathSet, depth: usize) -> Result<Expression, String> {
    if depth > CALL_DEPTH_MAX {
        return Err(format!("functions nest deeper than {CALL_DEPTH_MAX}"));
    }
    if let Some(quoted) = rest.strip_prefix('\'') {
        let (literal, after) = quoted.split_once('\'').ok_or("a literal has no closing quote")?;
        *rest = after.trim_start();
        return Ok(Expression::Literal(literal.to_owned()));
    }
    let stop = rest.find([',', '(', ')']).unwrap_or(rest.len());
    let (word, after) = rest.split_at(stop);
    let word = word.trim();
    if word.is_empty() {
        return Err("a path or a function name is missing".to_owned());
    }
    *rest = after;
    if let Some(inside) = rest.strip_prefix('(') {
        *rest = inside.trim_start();
        let function = Function::named(word)
            .ok_or_else(|| format!("`{word}` is no function; the functions are {}", Function::names().join(", ")))?;
        let arguments = arguments(rest, paths, depth)?;
        function.check(&arguments)?;
        return Ok(Expression::Call(function, arguments));
    }
    match word.parse::<i64>() {
        Ok(number) => Ok(Expression::Number(number)),
        Err(_) => Ok(Expression::Path(paths.intern(word))),
    }
}

fn arguments(rest: &mut &str, paths: &mut PathSet, depth: usize) -> Result<Vec<Expression>, String> {
    let mut arguments = Vec::new();
    loop {
        arguments.push(operand(rest, paths, depth + 1)?);
        *rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(',') {
            *rest = after.trim_start();
        } else if let Some(after) = rest.strip_prefix(')') {
            *rest = after.trim_start();
            return Ok(arguments);
        } else {
            return Err("an argument list has no closing bracket".to_owned());
        }
    }
}

/// What an expression reads of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read<'e> {
    /// What stands at a path.
    Whole(SlotId),
    /// What stands at a path inside the JSON there.
    Inside(SlotId, &'e str),
    /// The members of a list whose key has a value.
    Picked(SlotId, &'e str, &'e str),
}

impl Expression {
    /// Calls `visit` with everything that the expression reads.
    pub(crate) fn each_read<'e>(&'e self, visit: &mut dyn FnMut(Read<'e>)) {
        match self {
            Expression::Path(slot) => visit(Read::Whole(*slot)),
            Expression::Call(function, arguments) => match (function, arguments.as_slice()) {
                (Function::Json, [Expression::Path(slot), Expression::Literal(path)]) => visit(Read::Inside(*slot, path)),
                (Function::Pick, [Expression::Path(slot), Expression::Literal(key), Expression::Literal(wanted), ..]) => {
                    visit(Read::Picked(*slot, key, wanted));
                }
                // What is read of each member is read with the list.
                (Function::Each, [list, ..]) => list.each_read(visit),
                _ => arguments.iter().for_each(|argument| argument.each_read(visit)),
            },
            Expression::Literal(_) | Expression::Number(_) => {}
        }
    }

    /// Calls `visit` with every slot of the record that the value comes from.
    pub(crate) fn each_slot(&self, visit: &mut dyn FnMut(SlotId)) {
        match self {
            Expression::Path(slot) => visit(*slot),
            // Paths inside `each` begin at the member.
            Expression::Call(Function::Each, arguments) => {
                arguments.iter().take(1).for_each(|list| list.each_slot(visit));
            }
            Expression::Call(_, arguments) => arguments.iter().for_each(|argument| argument.each_slot(visit)),
            Expression::Literal(_) | Expression::Number(_) => {}
        }
    }

    /// The number that a bound of `band` is.
    pub(crate) fn bound(&self) -> Option<f64> {
        match self {
            Expression::Number(number) => Some(*number as f64),
            Expression::Literal(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
            Expression::Path(_) | Expression::Call(..) => None,
        }
    }

    /// The text of a literal; none is empty text.
    pub(crate) fn literal(&self) -> &str {
        match self {
            Expression::Literal(text) => text,
            _ => "",
        }
    }
}
