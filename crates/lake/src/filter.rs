//! The language of the filter bar: text to a syntax tree.
//!
//! Terms side by side are joined by `and`; `or`, `not` (also `-` or `!` before a term) and parentheses
//! do what they say. A term is `field:value` (with `*` and `?`, `"quoted text"`, `[A TO B]`, a network
//! such as `10.0.0.0/8`, `>5`), `field:(a or b)`, or a word, which is looked for in the record whole;
//! `*part*` finds a part of a word.

use std::fmt;

use ipnet::IpNet;

mod pattern;
#[cfg(test)]
mod tests;

pub(crate) use pattern::{Pattern, Piece};

/// Bytes of a filter.
const FILTER_BYTES_MAX: usize = 16 * 1024;
/// Nesting of parentheses and `not`.
const FILTER_DEPTH_MAX: usize = 64;
/// Terms of a filter.
const FILTER_TERMS_MAX: usize = 1000;

/// A filter, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Every event.
    All,
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    /// A word of the record.
    Word(Pattern),
    Field {
        name: String,
        test: Test,
    },
}

/// What is asked of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    Exists,
    Equals(String),
    Like(Pattern),
    Range { from: Bound, to: Bound },
    Network(IpNet),
}

/// One end of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bound {
    Open,
    Included(String),
    Excluded(String),
}

/// What is wrong with a filter, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterError {
    /// Bytes from the beginning.
    pub(crate) at: usize,
    pub(crate) message: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (at character {})", self.message, self.at + 1)
    }
}

/// Reads a filter. `is_field` says which names before a colon are fields; anything else with a colon
/// in it is a word.
pub(crate) fn parse(text: &str, is_field: &dyn Fn(&str) -> bool) -> Result<Filter, FilterError> {
    if text.len() > FILTER_BYTES_MAX {
        return Err(FilterError { at: FILTER_BYTES_MAX, message: format!("a filter has at most {FILTER_BYTES_MAX} bytes") });
    }
    let mut parser = Parser { text, at: 0, terms: 0, is_field };
    parser.skip_space();
    if parser.rest().is_empty() {
        return Ok(Filter::All);
    }
    let filter = parser.either(0)?;
    match parser.rest() {
        "" => Ok(filter),
        _ => Err(parser.error("there is no open parenthesis to close")),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    terms: usize,
    is_field: &'t dyn Fn(&str) -> bool,
}

/// A value as it was written.
struct Written {
    text: String,
    pattern: Pattern,
    is_quoted: bool,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn error(&self, message: &str) -> FilterError {
        FilterError { at: self.at, message: message.to_owned() }
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_next = self.peek() == Some(wanted);
        self.at += if is_next { wanted.len_utf8() } else { 0 };
        is_next
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Whether a keyword stands here, whole.
    fn is_word(&self, word: &str) -> bool {
        let rest = self.rest();
        let head = rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
        let after = rest.get(word.len()..).and_then(|rest| rest.chars().next());
        head && after.is_none_or(|next| next.is_whitespace() || next == '(' || next == ')')
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is_next = self.is_word(word);
        if is_next {
            self.at += word.len();
            self.skip_space();
        }
        is_next
    }

    fn either(&mut self, depth: usize) -> Result<Filter, FilterError> {
        let mut filters = vec![self.all(depth)?];
        while self.take_word("or") {
            filters.push(self.all(depth)?);
        }
        Ok(one(filters, Filter::Or))
    }

    fn all(&mut self, depth: usize) -> Result<Filter, FilterError> {
        let mut filters = vec![self.unary(depth)?];
        loop {
            self.skip_space();
            if self.rest().is_empty() || self.peek() == Some(')') || self.is_word("or") {
                return Ok(one(filters, Filter::And));
            }
            self.take_word("and");
            filters.push(self.unary(depth)?);
        }
    }

    fn unary(&mut self, depth: usize) -> Result<Filter, FilterError> {
        if depth > FILTER_DEPTH_MAX {
            return Err(self.error("the filter is nested too deeply"));
        }
        self.skip_space();
        if self.take_word("not") {
            return Ok(Filter::Not(Box::new(self.unary(depth + 1)?)));
        }
        let is_negated = matches!(self.peek(), Some('-' | '!'))
            && self.rest().chars().nth(1).is_some_and(|next| !next.is_whitespace() && next != ')');
        if is_negated {
            self.at += 1;
            return Ok(Filter::Not(Box::new(self.unary(depth + 1)?)));
        }
        if self.take('(') {
            let inner = self.either(depth + 1)?;
            self.skip_space();
            if !self.take(')') {
                return Err(self.error("a parenthesis is not closed"));
            }
            return Ok(inner);
        }
        for word in ["and", "or"] {
            if self.is_word(word) {
                return Err(self.error(&format!("`{word}` wants a term on both sides; write \"{word}\" to look for the word")));
            }
        }
        if self.rest().is_empty() || self.peek() == Some(')') {
            return Err(self.error("a term is missing"));
        }
        self.terms += 1;
        if self.terms > FILTER_TERMS_MAX {
            return Err(self.error(&format!("a filter has at most {FILTER_TERMS_MAX} terms")));
        }
        self.term()
    }

    fn term(&mut self) -> Result<Filter, FilterError> {
        if let Some((name, length)) = self.field_name() {
            self.at += length;
            return self.field(name);
        }
        let written = self.value()?;
        if !written.is_quoted && written.text == "*" {
            return Ok(Filter::All);
        }
        if written.text.is_empty() {
            return Err(self.error("a word is empty"));
        }
        Ok(Filter::Word(written.pattern))
    }

    /// The field name that stands here, with the bytes up to its value.
    fn field_name(&self) -> Option<(String, usize)> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_.-[]".contains(c);
        let end = rest.find(|c: char| !is_part(c))?;
        let name = rest.get(..end).filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))?;
        let after = rest.get(end..)?;
        let length = match after.chars().next()? {
            ':' => end + 1,
            '<' | '>' => end,
            _ => return None,
        };
        (self.is_field)(name).then(|| (name.to_owned(), length))
    }

    fn field(&mut self, name: String) -> Result<Filter, FilterError> {
        if self.take('(') {
            let mut filters = Vec::new();
            loop {
                self.skip_space();
                let test = self.test(&name)?;
                filters.push(Filter::Field { name: name.clone(), test });
                self.terms += 1;
                self.skip_space();
                if self.take(')') {
                    return Ok(one(filters, Filter::Or));
                }
                if !self.take_word("or") {
                    return Err(self.error("values between parentheses are joined by `or`"));
                }
                if self.terms > FILTER_TERMS_MAX {
                    return Err(self.error(&format!("a filter has at most {FILTER_TERMS_MAX} terms")));
                }
            }
        }
        let test = self.test(&name)?;
        Ok(Filter::Field { name, test })
    }

    fn test(&mut self, name: &str) -> Result<Test, FilterError> {
        if self.take('[') {
            return self.range();
        }
        for (sign, is_low) in [('>', true), ('<', false)] {
            if self.take(sign) {
                let is_included = self.take('=');
                self.skip_space();
                let bound = self.value()?.text;
                let bound = if is_included { Bound::Included(bound) } else { Bound::Excluded(bound) };
                return Ok(match is_low {
                    true => Test::Range { from: bound, to: Bound::Open },
                    false => Test::Range { from: Bound::Open, to: bound },
                });
            }
        }
        if self.peek().is_none_or(|next| next.is_whitespace() || next == ')') {
            return Err(
                self.error(&format!("`{name}:` has no value; write `{name}:*` for any, `{name}:\"\"` for the empty text"))
            );
        }
        let written = self.value()?;
        if written.is_quoted {
            return Ok(Test::Equals(written.text));
        }
        if written.text == "*" {
            return Ok(Test::Exists);
        }
        if written.text.contains('/')
            && let Ok(network) = written.text.parse()
        {
            return Ok(Test::Network(network));
        }
        match written.pattern.fixed() {
            Some(text) => Ok(Test::Equals(text.to_owned())),
            None => Ok(Test::Like(written.pattern)),
        }
    }

    fn range(&mut self) -> Result<Test, FilterError> {
        let inside = match self.rest().find(']') {
            Some(end) => self.rest().get(..end).unwrap_or_default(),
            None => return Err(self.error("a bracket is not closed")),
        };
        let (from, to) = inside
            .split_once(" TO ")
            .or_else(|| inside.split_once(" to "))
            .ok_or_else(|| self.error("a range is written [A TO B], either side may be *"))?;
        self.at += inside.len() + 1;
        let bound = |text: &str| match text.trim().trim_matches('"') {
            "*" => Bound::Open,
            text => Bound::Included(text.to_owned()),
        };
        Ok(Test::Range { from: bound(from), to: bound(to) })
    }

    fn value(&mut self) -> Result<Written, FilterError> {
        if self.take('"') { self.quoted() } else { Ok(self.bare()) }
    }

    fn quoted(&mut self) -> Result<Written, FilterError> {
        let start = self.at;
        let mut text = String::new();
        let mut characters = self.rest().char_indices();
        while let Some((place, character)) = characters.next() {
            match character {
                '"' => {
                    self.at = start + place + 1;
                    return Ok(Written { pattern: Pattern::of(vec![Piece::Text(text.clone())]), text, is_quoted: true });
                }
                '\\' => text.extend(characters.next().map(|(_, escaped)| escaped)),
                other => text.push(other),
            }
        }
        Err(FilterError { at: start.saturating_sub(1), message: "a quote is not closed".to_owned() })
    }

    fn bare(&mut self) -> Written {
        let mut text = String::new();
        let mut pieces = Vec::new();
        let mut part = String::new();
        let mut depth = 0usize;
        while let Some(character) = self.peek() {
            match character {
                // Parentheses within a word belong to it, as in `f(x)`.
                '(' => depth += 1,
                ')' if depth == 0 => break,
                ')' => depth -= 1,
                _ if character.is_whitespace() => break,
                _ => {}
            }
            self.at += character.len_utf8();
            text.push(character);
            match character {
                '*' | '?' => {
                    if !part.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut part)));
                    }
                    pieces.push(if character == '*' { Piece::Any } else { Piece::One });
                }
                '\\' => match self.peek() {
                    Some(escaped @ ('*' | '?' | '\\' | '"')) => {
                        self.at += escaped.len_utf8();
                        text.push(escaped);
                        part.push(escaped);
                    }
                    _ => part.push('\\'),
                },
                other => part.push(other),
            }
        }
        if !part.is_empty() {
            pieces.push(Piece::Text(part));
        }
        Written { text, pattern: Pattern::of(pieces), is_quoted: false }
    }
}

/// One filter as it is, several joined.
fn one(mut filters: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Filter {
    match filters.len() {
        1 => filters.pop().unwrap_or(Filter::All),
        _ => join(filters),
    }
}
