//! All questions about one field, answered at once for one value.

use std::net::IpAddr;

use aho_corasick::{AhoCorasick, MatchKind};
use hashbrown::HashMap;
use memchr::memmem;
use regex::Regex;
use regex_syntax::hir::{Hir, HirKind};
use vigie_model::parse_rfc3339;
use vigie_record::Value;

use crate::item::compile_regex;
use crate::predicate::{Case, Order, Place, PredicateId, Test, TimePart, fold_into};

/// An IP network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: u128,
    mask: u128,
    is_v4: bool,
}

impl Network {
    /// Reads `address/bits`; a bare address is a network of one.
    pub(crate) fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return None;
        }
        let ones = u128::MAX.checked_shr(128 - width).unwrap_or(u128::MAX);
        let mask = ones & ones.checked_shl(width - bits).unwrap_or(0);
        let (number, is_v4) = number_of(address);
        Some(Network { address: number & mask, mask, is_v4 })
    }

    fn holds(&self, number: u128, is_v4: bool) -> bool {
        is_v4 == self.is_v4 && number & self.mask == self.address
    }
}

fn number_of(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), true),
        IpAddr::V6(v6) => (u128::from(v6), false),
    }
}

/// Literals searched inside a text, under one case rule.
#[derive(Debug, Default)]
struct Literals {
    whole: HashMap<Box<str>, Vec<PredicateId>>,
    automaton: Option<AhoCorasick>,
    /// For each needle, in the order of the automaton.
    needles: Vec<(Place, PredicateId)>,
}

impl Literals {
    fn build(tests: &[(PredicateId, Place, &str)]) -> Literals {
        let mut literals = Literals::default();
        let mut patterns = Vec::new();
        for &(id, place, literal) in tests {
            if place == Place::Whole {
                literals.whole.entry(literal.into()).or_default().push(id);
            } else {
                patterns.push(literal);
                literals.needles.push((place, id));
            }
        }
        if !patterns.is_empty() {
            // A set this size always builds; without an automaton no needle is found.
            literals.automaton = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&patterns).ok();
        }
        literals
    }

    fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.automaton.is_none()
    }

    fn find(&self, text: &str, hits: &mut Vec<PredicateId>) {
        if let Some(ids) = self.whole.get(text) {
            hits.extend_from_slice(ids);
        }
        let Some(automaton) = &self.automaton else {
            return;
        };
        for found in automaton.find_overlapping_iter(text) {
            let Some(&(place, id)) = self.needles.get(found.pattern().as_usize()) else {
                continue;
            };
            let fits = match place {
                Place::Start => found.start() == 0,
                Place::End => found.end() == text.len(),
                Place::Inside | Place::Whole => true,
            };
            if fits {
                hits.push(id);
            }
        }
    }
}

/// A regular expression, with a text that every match holds where there is one: looking for that
/// is cheaper.
#[derive(Debug)]
struct Pattern {
    regex: Regex,
    literal: Option<memmem::Finder<'static>>,
}

impl Pattern {
    fn compile(pattern: &str) -> Option<Pattern> {
        let literal = regex_syntax::parse(pattern).ok().and_then(|hir| required_literal(&hir));
        let literal = literal.map(|literal| memmem::Finder::new(&literal).into_owned());
        compile_regex(pattern).ok().map(|regex| Pattern { regex, literal })
    }

    fn is_match(&self, text: &str) -> bool {
        self.literal.as_ref().is_none_or(|literal| literal.find(text.as_bytes()).is_some()) && self.regex.is_match(text)
    }
}

/// The longest literal that stands in every match, where the expression is a plain sequence.
fn required_literal(hir: &Hir) -> Option<Vec<u8>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(literal.0.to_vec()),
        HirKind::Capture(capture) => required_literal(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required_literal(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(required_literal).max_by_key(Vec::len),
        _ => None,
    }
}

/// Every test about one field.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    folded: Literals,
    exact: Literals,
    regexes: Vec<(Pattern, PredicateId)>,
    networks: Vec<(Network, PredicateId)>,
    numbers: Vec<(Order, f64, PredicateId)>,
    times: Vec<(TimePart, Order, i64, PredicateId)>,
    any: Vec<PredicateId>,
    present: Vec<PredicateId>,
}

impl Matcher {
    /// Compiles tests; those that need no value ([`Test::needs_value`]) are not for here.
    pub(crate) fn build(tests: &[(PredicateId, &Test)]) -> Matcher {
        let mut matcher = Matcher::default();
        let (mut folded, mut exact) = (Vec::new(), Vec::new());
        for &(id, test) in tests {
            match test {
                Test::Text(place, Case::Fold, literal) => folded.push((id, *place, literal.as_str())),
                Test::Text(place, Case::Exact, literal) => exact.push((id, *place, literal.as_str())),
                Test::Regex(pattern) => matcher.regexes.extend(Pattern::compile(pattern).map(|pattern| (pattern, id))),
                Test::Cidr(network) => matcher.networks.extend(Network::parse(network).map(|network| (network, id))),
                Test::Number(order, bits) => matcher.numbers.push((*order, f64::from_bits(*bits), id)),
                Test::Time(part, order, number) => matcher.times.push((*part, *order, *number, id)),
                Test::Any => matcher.any.push(id),
                Test::Present => matcher.present.push(id),
                Test::Null | Test::SameAs(..) | Test::Keyword(_) => {}
            }
        }
        matcher.folded = Literals::build(&folded);
        matcher.exact = Literals::build(&exact);
        matcher
    }

    /// Whether it asks only whether the key is there.
    pub(crate) fn wants_lists(&self) -> bool {
        !self.present.is_empty() || !self.any.is_empty()
    }

    /// Adds what holds for the mere presence of a key.
    pub(crate) fn note_present(&self, hits: &mut Vec<PredicateId>) {
        hits.extend_from_slice(&self.present);
    }

    /// Adds every test that holds for one value; `buffer` is scratch.
    pub(crate) fn find(&self, value: &Value<'_>, buffer: &mut String, hits: &mut Vec<PredicateId>) {
        let Some(text) = value.text() else {
            return;
        };
        hits.extend_from_slice(&self.any);
        if !self.folded.is_empty() {
            fold_into(&text, buffer);
            self.folded.find(buffer, hits);
        }
        self.exact.find(&text, hits);
        hits.extend(self.regexes.iter().filter(|(pattern, _)| pattern.is_match(&text)).map(|row| row.1));
        if !self.numbers.is_empty()
            && let Some(number) = value.number()
        {
            hits.extend(self.numbers.iter().filter(|(order, right, _)| order.holds(number, *right)).map(|row| row.2));
        }
        if !self.networks.is_empty()
            && let Ok(address) = text.trim().parse::<IpAddr>()
        {
            let (number, is_v4) = number_of(address);
            hits.extend(self.networks.iter().filter(|(network, _)| network.holds(number, is_v4)).map(|row| row.1));
        }
        if !self.times.is_empty()
            && let Some(at) = instant(value, &text)
        {
            let holds = |row: &&(TimePart, Order, i64, PredicateId)| row.1.holds(part_of(at, row.0) as f64, row.2 as f64);
            hits.extend(self.times.iter().filter(holds).map(|row| row.3));
        }
    }
}

/// The instant that a value is: RFC 3339 text, or milliseconds since 1970 as OCSF writes times.
fn instant(value: &Value<'_>, text: &str) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => parse_rfc3339(text),
    }
}

/// A part of an instant in UTC; the week is ISO 8601's.
fn part_of(at: i64, part: TimePart) -> i64 {
    let text = vigie_model::format_utc(at);
    let number = |from: usize, to: usize| text.get(from..to).and_then(|part| part.parse::<i64>().ok()).unwrap_or(0);
    match part {
        TimePart::Minute => number(14, 16),
        TimePart::Hour => number(11, 13),
        TimePart::Day => number(8, 10),
        TimePart::Month => number(5, 7),
        TimePart::Year => number(0, 4),
        TimePart::Week => iso_week(at, number(0, 4)),
    }
}

fn iso_week(at: i64, year: i64) -> i64 {
    const DAY_MS: i64 = 86_400_000;
    let day = at.div_euclid(DAY_MS);
    // 1970-01-01 was a Thursday; the week of a day is the week of its Thursday.
    let thursday = day - (day + 3).rem_euclid(7) + 3;
    let year_of_thursday =
        vigie_model::format_utc(thursday * DAY_MS).get(0..4).and_then(|year| year.parse().ok()).unwrap_or(year);
    let january = parse_rfc3339(&format!("{year_of_thursday:04}-01-01T00:00:00Z")).unwrap_or(0).div_euclid(DAY_MS);
    (thursday - january) / 7 + 1
}

/// Whether one text stands in another at a place.
pub(crate) fn stands(text: &str, literal: &str, place: Place) -> bool {
    match place {
        Place::Whole => text == literal,
        Place::Inside => text.contains(literal),
        Place::Start => text.starts_with(literal),
        Place::End => text.ends_with(literal),
    }
}
