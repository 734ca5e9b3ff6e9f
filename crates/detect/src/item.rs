//! One detection item (`field|modifier: values`) to tests: modifiers, wildcards, encodings.
//! Sigma specification 2.1.0, appendix modifiers.

use std::cell::RefCell;
use std::collections::HashMap;

use rsigma_parser::{DetectionItem, Modifier, SigmaString, SigmaValue, SpecialChar, StringPart};

use crate::error::Mistake;
use crate::predicate::{Case, Order, Place, Test, TimePart, fold};

/// How the tests of an item join.
pub(crate) struct Item {
    pub(crate) tests: Vec<ItemTest>,
    /// All must hold, instead of one.
    pub(crate) is_all: bool,
    /// None may hold.
    pub(crate) is_negated: bool,
}

/// One value of an item.
pub(crate) enum ItemTest {
    Test(Test),
    /// Any of several spellings of one value.
    OneOf(Vec<Test>),
    /// Not the test: `exists: false`.
    Not(Test),
    /// Compare with another field, by its name.
    SameAs(Place, Case, String),
}

/// Values that one value may be spelled as (dashes, base64 offsets); more are refused.
const SPELLINGS_MAX: usize = 1024;
/// Compiled patterns that a thread keeps.
const REGEXES_KEPT_MAX: usize = 4096;
/// Bytes of a compiled regular expression.
pub(crate) const REGEX_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Turns the values of an item into tests.
pub(crate) fn item(item: &DetectionItem) -> Result<Item, Mistake> {
    let modifiers = &item.field.modifiers;
    let has = |modifier: Modifier| modifiers.contains(&modifier);
    let near = item.field.name.clone().unwrap_or_default();
    if item.values.is_empty() {
        return Err(Mistake::new(format!("`{near}` has no value"), "give it at least one value", near));
    }
    let mut tests = Vec::with_capacity(item.values.len());
    for value in &item.values {
        tests.push(test(value, modifiers, &near)?);
    }
    Ok(Item { tests, is_all: has(Modifier::All), is_negated: has(Modifier::Neq) })
}

fn test(value: &SigmaValue, modifiers: &[Modifier], near: &str) -> Result<ItemTest, Mistake> {
    let has = |modifier: Modifier| modifiers.contains(&modifier);
    let case = if has(Modifier::Cased) { Case::Exact } else { Case::Fold };
    let place = match (has(Modifier::Contains), has(Modifier::StartsWith), has(Modifier::EndsWith)) {
        (true, ..) => Place::Inside,
        (_, true, _) => Place::Start,
        (_, _, true) => Place::End,
        _ => Place::Whole,
    };
    if has(Modifier::Exists) {
        return exists(value, near);
    }
    if has(Modifier::FieldRef) {
        let SigmaValue::String(name) = value else {
            return Err(Mistake::new(format!("`{near}|fieldref` needs the name of a field"), "write the name as text", near));
        };
        return Ok(ItemTest::SameAs(place, case, name.original.clone()));
    }
    if has(Modifier::Re) {
        return regex(value, modifiers, near).map(ItemTest::Test);
    }
    if has(Modifier::Cidr) {
        return cidr(value, near).map(ItemTest::Test);
    }
    if let Some(part) = time_part(modifiers) {
        let number = number(value, near)?;
        let order = order(modifiers).unwrap_or(Order::Equal);
        return Ok(ItemTest::Test(Test::Time(part, order, number as i64)));
    }
    if let Some(order) = order(modifiers) {
        return Ok(ItemTest::Test(Test::Number(order, number(value, near)?.to_bits())));
    }
    match value {
        SigmaValue::Null => Ok(ItemTest::Test(Test::Null)),
        SigmaValue::Bool(flag) => Ok(ItemTest::Test(text(&[plain(&flag.to_string())], place, case))),
        SigmaValue::Integer(number) => Ok(ItemTest::Test(text(&[plain(&number.to_string())], place, case))),
        SigmaValue::Float(number) => Ok(ItemTest::Test(text(&[plain(&number.to_string())], place, case))),
        SigmaValue::String(string) => spelled(string, modifiers, place, case, near),
    }
}

fn plain(text: &str) -> StringPart {
    StringPart::Plain(text.to_owned())
}

fn exists(value: &SigmaValue, near: &str) -> Result<ItemTest, Mistake> {
    match value {
        SigmaValue::Bool(true) => Ok(ItemTest::Test(Test::Present)),
        SigmaValue::Bool(false) => Ok(ItemTest::Not(Test::Present)),
        SigmaValue::String(text) if text.original == "true" => Ok(ItemTest::Test(Test::Present)),
        SigmaValue::String(text) if text.original == "false" => Ok(ItemTest::Not(Test::Present)),
        _ => Err(Mistake::new(format!("`{near}|exists` needs true or false"), "write `true` or `false`", near)),
    }
}

fn regex(value: &SigmaValue, modifiers: &[Modifier], near: &str) -> Result<Test, Mistake> {
    let SigmaValue::String(pattern) = value else {
        return Err(Mistake::new(format!("`{near}|re` needs a text"), "put the expression in quotes", near));
    };
    let mut flags = String::new();
    for (modifier, flag) in [(Modifier::IgnoreCase, 'i'), (Modifier::Multiline, 'm'), (Modifier::DotAll, 's')] {
        if modifiers.contains(&modifier) {
            flags.push(flag);
        }
    }
    let whole = if flags.is_empty() { pattern.original.clone() } else { format!("(?{flags}){}", pattern.original) };
    compile_regex(&whole).map_err(|error| {
        Mistake::new(
            format!("`{near}|re` cannot be compiled: {}", error.to_string().lines().last().unwrap_or_default().trim()),
            "look-around and back-references have no linear-time form; write the pattern without them",
            near,
        )
    })?;
    Ok(Test::Regex(whole))
}

thread_local! {
    /// Compiled patterns: every log type has its own partition of the same rules.
    static COMPILED: RefCell<HashMap<String, regex::Regex>> = RefCell::default();
}

/// Compiles a pattern under the size limit, once; matching is linear in the text.
pub(crate) fn compile_regex(pattern: &str) -> Result<regex::Regex, regex::Error> {
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(regex) = compiled.get(pattern) {
            return Ok(regex.clone());
        }
        let regex = regex::RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).build()?;
        if compiled.len() < REGEXES_KEPT_MAX {
            compiled.insert(pattern.to_owned(), regex.clone());
        }
        Ok(regex)
    })
}

fn cidr(value: &SigmaValue, near: &str) -> Result<Test, Mistake> {
    if let SigmaValue::String(text) = value
        && crate::matcher::Network::parse(&text.original).is_some()
    {
        return Ok(Test::Cidr(text.original.clone()));
    }
    Err(Mistake::new(format!("`{near}|cidr` needs a network"), "write an address and a length, such as 10.0.0.0/8", near))
}

fn order(modifiers: &[Modifier]) -> Option<Order> {
    modifiers.iter().find_map(|modifier| {
        Some(match modifier {
            Modifier::Lt => Order::Less,
            Modifier::Lte => Order::LessOrEqual,
            Modifier::Gt => Order::Greater,
            Modifier::Gte => Order::GreaterOrEqual,
            _ => return None,
        })
    })
}

fn time_part(modifiers: &[Modifier]) -> Option<TimePart> {
    modifiers.iter().find_map(|modifier| {
        Some(match modifier {
            Modifier::Minute => TimePart::Minute,
            Modifier::Hour => TimePart::Hour,
            Modifier::Day => TimePart::Day,
            Modifier::Week => TimePart::Week,
            Modifier::Month => TimePart::Month,
            Modifier::Year => TimePart::Year,
            _ => return None,
        })
    })
}

fn number(value: &SigmaValue, near: &str) -> Result<f64, Mistake> {
    let number = match value {
        SigmaValue::Integer(number) => Some(*number as f64),
        SigmaValue::Float(number) => Some(*number),
        SigmaValue::String(text) => text.original.trim().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| Mistake::new(format!("`{near}` is compared with something that is no number"), "write a number", near))
}

/// A text with its spellings: `windash`, `wide`, `base64`, `base64offset`, in the order written.
fn spelled(string: &SigmaString, modifiers: &[Modifier], place: Place, case: Case, near: &str) -> Result<ItemTest, Mistake> {
    let mut spellings = vec![string.parts.clone()];
    let mut is_encoded = false;
    for modifier in modifiers {
        spellings = match modifier {
            Modifier::WindAsh => spellings.iter().flat_map(|parts| dashes(parts)).collect(),
            Modifier::Wide | Modifier::Utf16be | Modifier::Utf16 => {
                spellings.iter().map(|parts| wide(parts, *modifier)).collect()
            }
            Modifier::Base64 => {
                is_encoded = true;
                spellings.iter().map(|parts| vec![plain(&base64(&joined(parts)))]).collect()
            }
            Modifier::Base64Offset => {
                is_encoded = true;
                spellings.iter().flat_map(|parts| base64_offsets(&joined(parts))).map(|text| vec![plain(&text)]).collect()
            }
            Modifier::Expand => {
                return Err(Mistake::new(
                    format!("`{near}|expand` holds the placeholder {}", string.original),
                    "the rule is inactive until a value is given for it",
                    near,
                ));
            }
            _ => spellings,
        };
        if spellings.len() > SPELLINGS_MAX {
            return Err(Mistake::new(format!("`{near}` has too many spellings"), "write fewer dashes in one value", near));
        }
    }
    // Base64 text has no other case.
    let case = if is_encoded { Case::Exact } else { case };
    let mut tests: Vec<Test> = spellings.iter().map(|parts| text(parts, place, case)).collect();
    match (tests.pop(), tests.is_empty()) {
        (Some(only), true) => Ok(ItemTest::Test(only)),
        (Some(last), false) => {
            tests.push(last);
            Ok(ItemTest::OneOf(tests))
        }
        (None, _) => Err(Mistake::new(format!("`{near}` has no value"), "give it at least one value", near)),
    }
}

/// A text with wildcards to the cheapest test that says the same.
pub(crate) fn text(parts: &[StringPart], place: Place, case: Case) -> Test {
    let any = StringPart::Special(SpecialChar::WildcardMulti);
    let mut parts: Vec<StringPart> = parts.to_vec();
    if matches!(place, Place::Inside | Place::End) {
        parts.insert(0, any.clone());
    }
    if matches!(place, Place::Inside | Place::Start) {
        parts.push(any.clone());
    }
    parts.dedup_by(|a, b| *a == any && *b == any);
    let literal = |text: &str| match case {
        Case::Fold => fold(text),
        Case::Exact => text.to_owned(),
    };
    let is_any = |part: &StringPart| *part == any;
    match parts.as_slice() {
        [] => Test::Text(Place::Whole, case, String::new()),
        [one] if is_any(one) => Test::Any,
        [StringPart::Plain(text)] => Test::Text(Place::Whole, case, literal(text)),
        [first, StringPart::Plain(text), last] if is_any(first) && is_any(last) => Test::Text(Place::Inside, case, literal(text)),
        [first, StringPart::Plain(text)] if is_any(first) => Test::Text(Place::End, case, literal(text)),
        [StringPart::Plain(text), last] if is_any(last) => Test::Text(Place::Start, case, literal(text)),
        parts => Test::Regex(glob(parts, case)),
    }
}

fn glob(parts: &[StringPart], case: Case) -> String {
    let mut out = String::from(if case == Case::Fold { "(?is)^" } else { "(?s)^" });
    for part in parts {
        match part {
            StringPart::Plain(text) => out.push_str(&regex::escape(text)),
            StringPart::Special(SpecialChar::WildcardMulti) => out.push_str(".*"),
            StringPart::Special(SpecialChar::WildcardSingle) => out.push('.'),
        }
    }
    out.push('$');
    out
}

/// The dashes that Windows programs take for each other.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

fn dashes(parts: &[StringPart]) -> Vec<Vec<StringPart>> {
    let mut variants: Vec<Vec<StringPart>> = vec![Vec::new()];
    for part in parts {
        let spellings = match part {
            StringPart::Plain(text) => dash_spellings(text).into_iter().map(|text| plain(&text)).collect(),
            special => vec![special.clone()],
        };
        let longer = variants
            .iter()
            .flat_map(|head| spellings.iter().map(|tail| head.iter().cloned().chain([tail.clone()]).collect::<Vec<_>>()));
        variants = longer.take(SPELLINGS_MAX + 1).collect();
    }
    variants
}

/// Every spelling of a text whose options begin with `-` or `/`: a dash before a word character and
/// behind none.
fn dash_spellings(text: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut variants = vec![String::new()];
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let is_option = matches!(c, '-' | '/') && !before.is_some_and(is_word) && chars.peek().copied().is_some_and(is_word);
        before = Some(c);
        if is_option && variants.len() <= SPELLINGS_MAX {
            variants = variants.iter().flat_map(|head| DASHES.iter().map(move |dash| format!("{head}{dash}"))).collect();
        } else {
            variants.iter_mut().for_each(|head| head.push(c));
        }
    }
    variants
}

/// UTF-16 text as the characters of its bytes.
fn wide(parts: &[StringPart], modifier: Modifier) -> Vec<StringPart> {
    let encode = |text: &str| -> String {
        let mut out = String::new();
        if modifier == Modifier::Utf16 {
            out.push_str("\u{ff}\u{fe}");
        }
        for unit in text.encode_utf16() {
            let [low, high] = if modifier == Modifier::Utf16be { unit.to_be_bytes() } else { unit.to_le_bytes() };
            out.push(char::from(low));
            out.push(char::from(high));
        }
        out
    };
    let part = |part: &StringPart| match part {
        StringPart::Plain(text) => StringPart::Plain(encode(text)),
        special => special.clone(),
    };
    parts.iter().map(part).collect()
}

/// The bytes of a text; characters below 256 that `wide` made stand for bytes.
fn joined(parts: &[StringPart]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        match part {
            StringPart::Plain(text) if text.contains('\0') => {
                out.extend(text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')))
            }
            StringPart::Plain(text) => out.extend_from_slice(text.as_bytes()),
            StringPart::Special(SpecialChar::WildcardMulti) => out.push(b'*'),
            StringPart::Special(SpecialChar::WildcardSingle) => out.push(b'?'),
        }
    }
    out
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().chain([0u8; 3].iter()).take(3).fold(0u32, |sum, &byte| sum << 8 | u32::from(byte));
        for place in 0..4 {
            if place <= chunk.len() {
                let digit = (group >> (18 - 6 * place)) & 63;
                out.push(ALPHABET.get(digit as usize).map_or('=', |&byte| char::from(byte)));
            } else {
                out.push('=');
            }
        }
    }
    out
}

/// The three texts that base64 may write for bytes inside a longer text, without what depends on
/// their neighbours.
fn base64_offsets(bytes: &[u8]) -> Vec<String> {
    const START: [usize; 3] = [0, 2, 3];
    const END: [usize; 3] = [0, 3, 2];
    (0..3usize)
        .map(|offset| {
            let padded: Vec<u8> = std::iter::repeat_n(b' ', offset).chain(bytes.iter().copied()).collect();
            let encoded = base64(&padded);
            let cut = END.get((bytes.len() + offset) % 3).copied().unwrap_or(0);
            let start = START.get(offset).copied().unwrap_or(0);
            encoded.get(start..encoded.len().saturating_sub(cut)).unwrap_or_default().to_owned()
        })
        .collect()
}
