//! The named functions of mappings, and how expressions are evaluated. No loops, no conditions:
//! a log that needs more gets Rust in its connector, not a bigger language here.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use vigie_model::{millis_of, parse_epoch, parse_time};
use vigie_record::{NamedObjects, SlotId, Value, View, each_item, held, inside, made, paired};

use crate::expression::Expression;

/// One named function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// A scalar as text; arrays and objects are absent.
    Text,
    /// A whole number, also from its text.
    Integer,
    /// A boolean, also from true/false and yes/no.
    Bool,
    /// An object; anything else is absent.
    Object,
    /// The value in a list of one, or the list that it is.
    List,
    /// Milliseconds since 1970 of an RFC 3339 text, or of a number of seconds or parts of them.
    TimeMs,
    /// The value when it is an IP address, without leading zeros.
    Ip,
    /// The value when it is text but no IP address.
    NotIp,
    /// The first argument that has a value.
    First,
    /// The second argument when the first has no value or is false.
    WhenMissing,
    /// The second argument when the first has a value other than false.
    WhenPresent,
    /// `choose(x, 'a', 1, 'b', 2)`: the value behind the literal that `x` equals.
    Choose,
    /// The part behind the last occurrence of a text.
    AfterLast,
    /// The part before the first occurrence of a text.
    BeforeFirst,
    /// One part of a text cut at a separator: `part(x, ':', 4)`, counted from 0.
    Part,
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
    /// Texts one behind the other, when each has a value.
    Join,
    /// `json(x, 'a.b')`: what stands at a path inside an object, a list, or a text that holds one.
    Json,
    /// `pick(list, 'name', 'x', 'value')`: the value of the member of a list whose name is x.
    Pick,
    /// `pairs(list, 'name', 'value')`: the members of a list as one object, by their names.
    Pairs,
    /// `item(x, 0)`: one item of a list, counted from 0; a value that is no list is the only one.
    Item,
    /// `band(x, 0, 1, 4, 2)`: what stands behind the last bound that x reaches.
    Band,
    /// `added(new, old, 'id=', ',')`: the first part between the two marks that the old text has not.
    Added,
    /// `each(array, field)`: that field of every object of an array.
    Each,
    /// OCSF outcome: 2 when the first argument has a value or another one says failure, else 1.
    Outcome,
    /// True when the first argument is one of the literals behind it.
    IsOneOf,
    /// True when the text contains one of the literals behind it.
    HasOneOf,
    /// True when the text begins with one of the literals behind it.
    StartsWith,
}

/// Name, function, fewest and most arguments.
const FUNCTIONS: [(&str, Function, usize, usize); 29] = [
    ("text", Function::Text, 1, 1),
    ("integer", Function::Integer, 1, 1),
    ("bool", Function::Bool, 1, 1),
    ("object", Function::Object, 1, 1),
    ("list", Function::List, 1, 1),
    ("time_ms", Function::TimeMs, 1, 1),
    ("ip", Function::Ip, 1, 1),
    ("not_ip", Function::NotIp, 1, 1),
    ("first", Function::First, 1, 8),
    ("when_missing", Function::WhenMissing, 2, 2),
    ("when_present", Function::WhenPresent, 2, 2),
    ("choose", Function::Choose, 3, 41),
    ("after_last", Function::AfterLast, 2, 2),
    ("before_first", Function::BeforeFirst, 2, 2),
    ("part", Function::Part, 3, 3),
    ("lower", Function::Lower, 1, 1),
    ("upper", Function::Upper, 1, 1),
    ("join", Function::Join, 2, 9),
    ("json", Function::Json, 1, 2),
    ("pick", Function::Pick, 4, 9),
    ("pairs", Function::Pairs, 3, 8),
    ("item", Function::Item, 2, 2),
    ("band", Function::Band, 3, 41),
    ("added", Function::Added, 4, 4),
    ("each", Function::Each, 2, 2),
    ("outcome", Function::Outcome, 1, 4),
    ("is_one_of", Function::IsOneOf, 2, 20),
    ("has_one_of", Function::HasOneOf, 2, 20),
    ("starts_with", Function::StartsWith, 2, 20),
];

impl Function {
    pub(crate) fn named(name: &str) -> Option<Function> {
        FUNCTIONS.iter().find(|row| row.0 == name).map(|row| row.1)
    }

    pub(crate) fn names() -> Vec<&'static str> {
        FUNCTIONS.iter().map(|row| row.0).collect()
    }

    /// Checks how many arguments there are, and those that must be written out.
    pub(crate) fn check(self, arguments: &[Expression]) -> Result<(), String> {
        let count = arguments.len();
        match FUNCTIONS.iter().find(|row| row.1 == self) {
            Some((name, _, least, most)) if !(*least..=*most).contains(&count) => {
                return Err(format!("`{name}` takes {least} to {most} arguments, not {count}"));
            }
            _ => {}
        }
        let rest = arguments.get(1..).unwrap_or_default();
        let is_written = |argument: &Expression| matches!(argument, Expression::Literal(text) if !text.is_empty());
        match self {
            Function::Json if !rest.iter().all(is_written) => Err("`json` takes its path as a literal, such as 'a.b'".to_owned()),
            Function::Pick if !rest.iter().all(is_written) => {
                Err("`pick` takes literals behind its list: pick(list, 'name', 'x', 'value')".to_owned())
            }
            Function::Pairs if !rest.iter().all(is_written) => {
                Err("`pairs` takes literals behind its list: pairs(list, 'name', 'value')".to_owned())
            }
            Function::StartsWith if !rest.iter().all(is_written) => {
                Err("`starts_with` takes literals behind its text".to_owned())
            }
            Function::Added if !rest.iter().skip(1).all(is_written) => {
                Err("`added` takes two marks as literals: added(new, old, 'id=', ',')".to_owned())
            }
            Function::Band => check_bounds(rest),
            _ => Ok(()),
        }
    }
}

/// Bounds and values come in pairs, and bounds rise.
fn check_bounds(pairs: &[Expression]) -> Result<(), String> {
    let bounds: Vec<f64> = pairs.iter().step_by(2).filter_map(Expression::bound).collect();
    if pairs.len().is_multiple_of(2) && bounds.len() * 2 == pairs.len() && bounds.is_sorted_by(|low, high| low < high) {
        return Ok(());
    }
    Err("`band` takes pairs of a bound and a value, with bounds that rise: band(x, 0, 1, '6.5', 2)".to_owned())
}

/// One record, for all the expressions over it.
pub(crate) struct Scope<'v, 'r> {
    row: &'v View<'v, 'r>,
    /// The JSON that texts of the record hold, as far as it was asked for: unescaped and checked once.
    held: RefCell<Vec<HeldText>>,
    /// The objects of lists that `pick` was asked for, each by the text at one key.
    named: RefCell<Vec<NamedList<'r>>>,
}

/// A slot, and the JSON of the text there, where it holds any.
type HeldText = (SlotId, Option<Rc<[u8]>>);
/// A slot, a key, and the objects of the list at the slot by their text at the key.
type NamedList<'r> = (SlotId, &'r str, NamedObjects<'r>);

impl<'v, 'r> Scope<'v, 'r> {
    pub(crate) fn new(row: &'v View<'v, 'r>) -> Scope<'v, 'r> {
        Scope { row, held: RefCell::default(), named: RefCell::default() }
    }

    pub(crate) fn row(&self) -> &'v View<'v, 'r> {
        self.row
    }

    /// The JSON of an escaped text at a slot.
    fn held(&self, slot: SlotId, text: &str) -> Option<Rc<[u8]>> {
        let mut known = self.held.borrow_mut();
        if let Some((_, json)) = known.iter().find(|(other, _)| *other == slot) {
            return json.clone();
        }
        let json: Option<Rc<[u8]>> = held(text).map(Rc::from);
        known.push((slot, json.clone()));
        json
    }

    /// The first of some members that has a value, of the objects of a list whose key has a wanted text.
    fn picked(&self, slot: SlotId, list: &'r [u8], key: &'r str, wanted: &str, members: &[Expression]) -> Option<Value<'r>> {
        let mut known = self.named.borrow_mut();
        let at = known.iter().position(|(of, by, _)| *of == slot && *by == key).unwrap_or_else(|| {
            known.push((slot, key, NamedObjects::new(list)));
            known.len() - 1
        });
        let (_, _, objects) = known.get_mut(at)?;
        objects.find(key, |name| is_one_of(name, wanted), |object| first_inside(object, members))
    }
}

/// The value of an expression for one record.
pub(crate) fn evaluate<'r>(expression: &'r Expression, row: &View<'_, 'r>) -> Value<'r> {
    within(expression, &Scope::new(row))
}

/// The value of one of several expressions over one record.
pub(crate) fn within<'r>(expression: &'r Expression, scope: &Scope<'_, 'r>) -> Value<'r> {
    match expression {
        Expression::Path(slot) => match scope.row.get(*slot) {
            Value::Null => Value::Absent,
            value => value,
        },
        Expression::Literal(text) => Value::Text(Cow::Borrowed(text)),
        Expression::Number(number) => Value::Int(*number),
        Expression::Call(function, arguments) => call(*function, arguments, scope),
    }
}

fn call<'r>(function: Function, arguments: &'r [Expression], scope: &Scope<'_, 'r>) -> Value<'r> {
    let argument = |at: usize| arguments.get(at).map_or(Value::Absent, |inner| within(inner, scope));
    let literal = |at: usize| arguments.get(at).map_or("", Expression::literal);
    match function {
        Function::Text => match arguments {
            [Expression::Path(slot)] => scope.row.text(*slot).map_or(Value::Absent, Value::Text),
            [Expression::Call(Function::First, choices)] => first_text(choices, scope),
            _ => text(argument(0)),
        },
        Function::Integer => match argument(0) {
            Value::Text(text) => text.trim().parse().map_or(Value::Absent, Value::Int),
            value @ Value::Int(_) => value,
            _ => Value::Absent,
        },
        Function::Bool => boolean(argument(0)),
        Function::Object => match argument(0) {
            value @ Value::Object(_) => value,
            Value::Json(json) if json.first() == Some(&b'{') => Value::Json(json),
            _ => Value::Absent,
        },
        Function::List => argument(0),
        Function::TimeMs => match argument(0) {
            Value::Text(text) => parse_time(&text).map_or(Value::Absent, Value::Int),
            Value::Int(number) => Value::Int(millis_of(number)),
            Value::Number(text) => parse_epoch(text).map_or(Value::Absent, Value::Int),
            _ => Value::Absent,
        },
        Function::Ip | Function::NotIp => match (text(argument(0)), function) {
            (Value::Text(text), Function::Ip) => plain_ip(text).map_or(Value::Absent, Value::Text),
            (Value::Text(text), _) if plain_ip(Cow::Borrowed(&text)).is_none() => Value::Text(text),
            _ => Value::Absent,
        },
        Function::First => (0..arguments.len()).map(argument).find(|value| !is_empty(value)).unwrap_or(Value::Absent),
        Function::WhenMissing | Function::WhenPresent => {
            let first = argument(0);
            let missing = is_empty(&first) || first == Value::Bool(false);
            if missing == (function == Function::WhenMissing) { argument(1) } else { Value::Absent }
        }
        Function::Choose => choose(arguments, scope),
        Function::AfterLast => map_text(argument(0), |text| after_last(text, literal(1))),
        Function::BeforeFirst => map_text(argument(0), |text| text.split_once(literal(1)).map(|(head, _)| head)),
        Function::Part => map_text(argument(0), |text| part(text, literal(1), number(arguments, 2))),
        Function::Item => item(argument(0), number(arguments, 1)),
        Function::Lower | Function::Upper => match argument(0) {
            Value::Text(text) if function == Function::Lower => Value::Text(lower(text)),
            Value::Text(text) => Value::Text(Cow::Owned(text.to_uppercase())),
            _ => Value::Absent,
        },
        Function::Join => join(arguments, scope),
        Function::Json => json(arguments, scope),
        Function::Pick => pick(arguments, scope),
        Function::Pairs => pairs(arguments, scope),
        Function::Band => band(&argument(0), arguments, scope),
        Function::Added => added(argument(0), &argument(1), literal(2), literal(3)),
        Function::Each => Value::Absent,
        Function::Outcome => {
            let failed = |at: usize| argument(at).text().is_some_and(|text| text.eq_ignore_ascii_case("failure"));
            Value::Int(if !is_empty(&argument(0)) || (1..arguments.len()).any(failed) { 2 } else { 1 })
        }
        Function::IsOneOf | Function::HasOneOf | Function::StartsWith => one_of(function, &argument(0), arguments),
    }
}

/// The first of several expressions that has a value, as text: mostly of plain paths.
fn first_text<'r>(choices: &'r [Expression], scope: &Scope<'_, 'r>) -> Value<'r> {
    for choice in choices {
        if let Expression::Path(slot) = choice
            && let Some(text) = scope.row.text(*slot)
        {
            return Value::Text(text);
        }
        let value = within(choice, scope);
        if !is_empty(&value) {
            return text(value);
        }
    }
    Value::Absent
}

fn one_of<'r>(function: Function, value: &Value<'r>, arguments: &[Expression]) -> Value<'r> {
    let Some(text) = value.text() else {
        return Value::Bool(false);
    };
    let hit = |expression: &Expression| match expression {
        Expression::Literal(wanted) if function == Function::IsOneOf => *text == **wanted,
        Expression::Literal(wanted) if function == Function::StartsWith => text.starts_with(wanted.as_str()),
        Expression::Literal(wanted) => text.contains(wanted.as_str()),
        _ => false,
    };
    Value::Bool(arguments.iter().skip(1).any(hit))
}

fn choose<'r>(arguments: &'r [Expression], scope: &Scope<'_, 'r>) -> Value<'r> {
    let value = match arguments.first() {
        // As the record writes it: a number is not read to be written again.
        Some(Expression::Path(slot)) => scope.row.text(*slot).map_or(Value::Absent, Value::Text),
        Some(of) => within(of, scope),
        None => Value::Absent,
    };
    let Some(text) = value.text() else {
        return Value::Absent;
    };
    let pairs = arguments.get(1..).unwrap_or_default().chunks_exact(2);
    for pair in pairs {
        if let [Expression::Literal(wanted), then] = pair
            && *text == **wanted
        {
            return within(then, scope);
        }
    }
    Value::Absent
}

fn join<'r>(arguments: &'r [Expression], scope: &Scope<'_, 'r>) -> Value<'r> {
    let mut joined = String::new();
    for argument in arguments {
        match (argument, text(within(argument, scope))) {
            (Expression::Literal(part), _) => joined.push_str(part),
            (_, Value::Text(part)) => joined.push_str(&part),
            _ => return Value::Absent,
        }
    }
    Value::Text(Cow::Owned(joined))
}

fn json<'r>(arguments: &'r [Expression], scope: &Scope<'_, 'r>) -> Value<'r> {
    let path = arguments.get(1).map_or("", Expression::literal);
    // What stands in an object of the record was read with it.
    if let [Expression::Path(slot), _, Expression::Path(inner)] = arguments
        && matches!(scope.row.get(*slot), Value::Object(_))
        && !scope.row.has_more(*slot)
    {
        return Some(scope.row.get(*inner)).filter(|value| !value.is_none()).unwrap_or(Value::Absent);
    }
    look(arguments, scope, |json| match (path, json.first()) {
        ("", Some(b'{')) => Some(Value::Object(json)),
        ("", _) => Some(Value::List(json)),
        _ => inside(json, path),
    })
}

fn pick<'r>(arguments: &'r [Expression], scope: &Scope<'_, 'r>) -> Value<'r> {
    let [_, key, wanted, members @ ..] = arguments else {
        return Value::Absent;
    };
    if let Some(Expression::Path(slot)) = arguments.first()
        && let Value::List(list) = scope.row.get(*slot)
    {
        return scope.picked(*slot, list, key.literal(), wanted.literal(), members).unwrap_or(Value::Absent);
    }
    look(arguments, scope, |json| {
        let is_wanted = |name: &str| is_one_of(name, wanted.literal());
        NamedObjects::new(json).find(key.literal(), is_wanted, |object| first_inside(object, members))
    })
}

fn first_inside<'t>(object: &'t [u8], members: &[Expression]) -> Option<Value<'t>> {
    members.iter().find_map(|member| inside(object, member.literal()))
}

/// Whether a text is one of several with `|` between.
fn is_one_of(text: &str, wanted: &str) -> bool {
    text == wanted || (wanted.contains('|') && wanted.split('|').any(|wanted| text == wanted))
}

fn pairs<'r>(arguments: &'r [Expression], scope: &Scope<'_, 'r>) -> Value<'r> {
    let [_, name, values @ ..] = arguments else {
        return Value::Absent;
    };
    let values: Vec<&str> = values.iter().map(Expression::literal).collect();
    look(arguments, scope, |json| if json.first() == Some(&b'[') { paired(json, name.literal(), &values) } else { None })
}

/// Whether the key of an object has a wanted text.
pub(crate) fn is_named(object: &[u8], key: &str, wanted: &str) -> bool {
    inside(object, key).is_some_and(|value| value.text().is_some_and(|text| is_one_of(&text, wanted)))
}

/// What `find` gives for the JSON of an object, of a list, or of a text that holds one: the first of some
/// arguments. What stands in the record is not copied.
fn look<'r>(
    arguments: &'r [Expression],
    scope: &Scope<'_, 'r>,
    find: impl for<'t> Fn(&'t [u8]) -> Option<Value<'t>>,
) -> Value<'r> {
    let Some(from) = arguments.first() else {
        return Value::Absent;
    };
    let found = match (within(from, scope), from) {
        (Value::Object(json) | Value::List(json), _) => find(json),
        (Value::Json(json), _) => find(&json).map(made),
        (Value::Text(Cow::Borrowed(text)), _) => held(text).and_then(&find).map(|found| match found {
            Value::Text(_) => found,
            found => made(found),
        }),
        (Value::Text(Cow::Owned(text)), Expression::Path(slot)) => {
            scope.held(*slot, &text).and_then(|json| find(&json).map(made))
        }
        (Value::Text(Cow::Owned(text)), _) => held(&text).and_then(&find).map(made),
        _ => None,
    };
    found.unwrap_or(Value::Absent)
}

fn band<'r>(value: &Value<'r>, arguments: &'r [Expression], scope: &Scope<'_, 'r>) -> Value<'r> {
    let Some(number) = value.number().filter(|number| number.is_finite()) else {
        return Value::Absent;
    };
    let is_reached = |pair: &&[Expression]| pair.first().and_then(Expression::bound).is_some_and(|bound| bound <= number);
    match arguments.get(1..).unwrap_or_default().chunks_exact(2).take_while(is_reached).last() {
        Some([_, then]) => within(then, scope),
        _ => Value::Absent,
    }
}

/// The number that an argument is.
fn number(arguments: &[Expression], at: usize) -> usize {
    match arguments.get(at) {
        Some(Expression::Number(number)) => usize::try_from(*number).unwrap_or(usize::MAX),
        _ => 0,
    }
}

/// One item of a list, counted from 0.
fn item(value: Value<'_>, number: usize) -> Value<'_> {
    match value {
        Value::List(list) => nth(list, number).unwrap_or(Value::Absent),
        Value::Json(ref json) if json.first() == Some(&b'[') => nth(json, number).map_or(Value::Absent, made),
        value if number == 0 => value,
        _ => Value::Absent,
    }
}

fn nth(list: &[u8], number: usize) -> Option<Value<'_>> {
    let (mut at, mut found) = (0, None);
    each_item(list, &mut |item| {
        if at == number {
            found = Some(item);
        }
        at += 1;
    });
    found
}

/// The first part of a text between two marks that does not stand between them in the old text too.
fn added<'r>(new: Value<'r>, old: &Value<'_>, begin: &str, end: &str) -> Value<'r> {
    let old = old.text().unwrap_or_default();
    let known: Vec<&str> = parts(&old, begin, end).collect();
    map_text(new, |text| parts(text, begin, end).find(|part| !known.contains(part)))
}

/// What stands between two marks, wherever it does.
fn parts<'t, 'm>(text: &'t str, begin: &'m str, end: &'m str) -> impl Iterator<Item = &'t str> {
    text.split(begin).skip(1).filter_map(move |rest| rest.split_once(end)).map(|(part, _)| part)
}

fn is_empty(value: &Value<'_>) -> bool {
    match value {
        Value::Absent | Value::Null => true,
        Value::Text(text) => text.is_empty(),
        _ => false,
    }
}

fn text(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Text(ref text) if text.is_empty() => Value::Absent,
        Value::Text(_) => value,
        Value::Bool(flag) => Value::Text(Cow::Borrowed(if flag { "true" } else { "false" })),
        Value::Int(number) => Value::Text(Cow::Owned(number.to_string())),
        Value::Number(number) => Value::Text(Cow::Borrowed(number)),
        Value::Json(ref json) => match json.first() {
            Some(b'[' | b'{') => Value::Absent,
            _ => value.text().map_or(Value::Absent, |text| Value::Text(Cow::Owned(text.into_owned()))),
        },
        Value::Absent | Value::Null | Value::List(_) | Value::Object(_) => Value::Absent,
    }
}

fn boolean(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Bool(_) => value,
        Value::Text(text) if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("yes") => Value::Bool(true),
        Value::Text(text) if text.eq_ignore_ascii_case("false") || text.eq_ignore_ascii_case("no") => Value::Bool(false),
        _ => Value::Absent,
    }
}

fn map_text<'r>(value: Value<'r>, part: impl for<'s> Fn(&'s str) -> Option<&'s str>) -> Value<'r> {
    match value {
        Value::Text(Cow::Borrowed(text)) => part(text).map_or(Value::Absent, |part| Value::Text(Cow::Borrowed(part))),
        Value::Text(Cow::Owned(text)) => part(&text).map_or(Value::Absent, |part| Value::Text(Cow::Owned(part.to_owned()))),
        _ => Value::Absent,
    }
}

/// Part `number` of a text between separators, counted from 0.
fn part<'t>(text: &'t str, separator: &str, number: usize) -> Option<&'t str> {
    let [byte] = separator.as_bytes() else {
        return text.split(separator).nth(number);
    };
    let mut rest = text;
    for _ in 0..number {
        rest = rest.get(memchr::memchr(*byte, rest.as_bytes())? + 1..)?;
    }
    rest.get(..memchr::memchr(*byte, rest.as_bytes()).unwrap_or(rest.len()))
}

/// A text in lower case; one that is so already is not copied.
fn lower(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) { text } else { text.to_lowercase().into() }
}

fn after_last<'t>(text: &'t str, literal: &str) -> Option<&'t str> {
    match literal.as_bytes() {
        [byte] => memchr::memrchr(*byte, text.as_bytes()).and_then(|at| text.get(at + 1..)),
        _ => text.rsplit_once(literal).map(|(_, tail)| tail),
    }
}

/// An IP address, IPv4 without the leading zeros that some exports write; none for other text.
fn plain_ip(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    match dotted(text.as_bytes()) {
        Some(false) => Some(text),
        Some(true) => {
            let octets: Vec<String> =
                text.split('.').filter_map(|part| part.parse::<u8>().ok()).map(|octet| octet.to_string()).collect();
            Some(Cow::Owned(octets.join(".")))
        }
        None => (text.contains(':') && text.parse::<std::net::Ipv6Addr>().is_ok()).then_some(text),
    }
}

/// Whether four numbers up to 255 with dots between have zeros before one of them; none for other text.
fn dotted(text: &[u8]) -> Option<bool> {
    let (mut dots, mut digits, mut number, mut has_zeros) = (0, 0, 0u16, false);
    for &byte in text {
        match byte {
            b'0'..=b'9' if digits < 3 => {
                has_zeros |= digits > 0 && number == 0;
                number = number * 10 + u16::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && dots < 3 => (dots, digits, number) = (dots + 1, 0, 0),
            _ => return None,
        }
        if number > 255 {
            return None;
        }
    }
    (dots == 3 && digits > 0).then_some(has_zeros)
}
