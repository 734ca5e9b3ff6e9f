//! `lines.toml`: how lines of text become the records of a log.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use vigie_record::{
    CellLine, FieldCheck, FieldKind, FieldParts, JoinedField, LineField, LineForm, LineForms, LineHeader, LineReader, Quote,
    XmlField, XmlForm, XmlValue,
};

use crate::ContentError;
use crate::files::FORMAT;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinesFile {
    format: u32,
    #[serde(default)]
    inside: Vec<String>,
    line: Vec<Section>,
}

/// How a line is read.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    #[default]
    Cells,
    Cef,
    Leef,
    KeyValue,
    Syslog,
    Xml,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Quotes {
    #[default]
    None,
    Plain,
    Doubled,
    Backslash,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    title: String,
    #[serde(default)]
    form: Form,
    #[serde(default)]
    begins: Vec<String>,
    #[serde(default)]
    holds: Vec<String>,
    #[serde(default)]
    separator: Option<String>,
    #[serde(default)]
    quote: Quotes,
    #[serde(default)]
    brackets: bool,
    #[serde(default)]
    absent: Vec<String>,
    #[serde(default)]
    fields: Vec<String>,
    #[serde(default)]
    least: Option<usize>,
    #[serde(default)]
    most: Option<usize>,
    #[serde(default)]
    header: Option<Header>,
    #[serde(default)]
    integers: BTreeSet<String>,
    #[serde(default)]
    times: BTreeSet<String>,
    #[serde(default)]
    decoded: BTreeSet<String>,
    #[serde(default)]
    rename: BTreeMap<String, String>,
    #[serde(default)]
    checks: BTreeMap<String, Check>,
    #[serde(default)]
    parts: BTreeMap<String, PartsSection>,
    #[serde(default)]
    join: Option<Join>,
    #[serde(default)]
    element: Option<String>,
    #[serde(default)]
    around: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    #[serde(default)]
    begins: String,
    any_of: Vec<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Check {
    Kind(Kind),
    OneOf(Vec<String>),
    Prefix { prefix: Vec<String> },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Integer,
    Decimal,
    Hex,
    Ip,
    Time,
    CommonTime,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartsSection {
    at: String,
    fields: Vec<String>,
    rest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Join {
    name: String,
    fields: (String, String),
    with: String,
}

/// Reads the file.
pub(crate) fn parse(text: &str) -> Result<LineForms, ContentError> {
    let wrong = |what: String| ContentError::new("lines.toml", what);
    let file: LinesFile = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    if file.format != FORMAT {
        return Err(wrong(format!("has format {}; this version reads format {FORMAT}", file.format)));
    }
    let forms = file.line.into_iter().map(|section| form(section).map_err(wrong)).collect::<Result<_, _>>()?;
    Ok(LineForms { forms, inside: file.inside })
}

fn form(section: Section) -> Result<LineForm, String> {
    let is_element = matches!(section.form, Form::Xml);
    if !is_element && (section.element.is_some() || !section.around.is_empty()) {
        return Err(format!("`{}` names an element; write `form = \"xml\"` beside it", section.title));
    }
    let reader = match section.form {
        Form::Cells => LineReader::Cells(Box::new(cells(&section)?)),
        _ if section.separator.is_some() || !section.fields.is_empty() || section.header.is_some() => {
            return Err(format!("`{}` has a `form`, which has no separator, fields or header; leave these out", section.title));
        }
        Form::Cef => LineReader::Cef,
        Form::Leef => LineReader::Leef,
        Form::KeyValue => LineReader::KeyValue,
        Form::Syslog => LineReader::Syslog,
        Form::Xml => LineReader::Xml(Box::new(element(&section)?)),
    };
    Ok(LineForm { reader, begins: section.begins, holds: section.holds })
}

fn element(section: &Section) -> Result<XmlForm, String> {
    let title = &section.title;
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let element = section.element.clone().filter(|name| is_name(name));
    let element = element.ok_or_else(|| format!("`{title}` names no element; write `element`, such as `element = \"Event\"`"))?;
    if let Some(name) = section.around.iter().find(|name| !is_name(name)) {
        return Err(format!("`{title}`: `{name}` in `around` is no name of an element"));
    }
    let field = |(from, path): (&String, &String)| {
        let wrong = || {
            format!("`{title}`: `{from}` is no place in an element; write `A.B`, `A.B@Attribute`, `A.B[@Attribute]` or `A.B.*`")
        };
        let (names, value) = if let Some((names, attribute)) = from.strip_suffix(']').and_then(|from| from.split_once("[@")) {
            (names, XmlValue::NamedBy(attribute.to_owned()))
        } else if let Some((names, attribute)) = from.split_once('@') {
            (names, XmlValue::Attribute(attribute.to_owned()))
        } else if let Some(names) = from.strip_suffix(".*") {
            (names, XmlValue::Below)
        } else {
            (from.as_str(), XmlValue::Text)
        };
        let names: Vec<String> = names.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let is_place = names.iter().all(|name| name == "*" || is_name(name)) && (!names.is_empty() || from.starts_with('@'));
        if is_place && !path.is_empty() { Ok(XmlField { names, value, path: path.clone() }) } else { Err(wrong()) }
    };
    let fields = section.rename.iter().map(field).collect::<Result<_, _>>()?;
    Ok(XmlForm { element, around: section.around.clone(), fields })
}

fn cells(section: &Section) -> Result<CellLine, String> {
    let title = &section.title;
    let separator = separator(section.separator.as_deref().unwrap_or_default())
        .ok_or_else(|| format!("`{title}` has no separator that is known; write `space`, `tab` or one mark such as `,`"))?;
    let header = match &section.header {
        None if section.fields.is_empty() => {
            return Err(format!("`{title}` names no cells; write `fields`, or `header` where a header names them"));
        }
        Some(_) if !section.fields.is_empty() => {
            return Err(format!("`{title}` has `fields` and `header`; write two of them, one with each"));
        }
        Some(header) if header.any_of.is_empty() || header.any_of.iter().any(Vec::is_empty) => {
            return Err(format!("`{title}` takes any header; write names in `any_of` by which it is recognised"));
        }
        header => header.as_ref().map(|header| LineHeader { prefix: header.begins.clone(), any_of: header.any_of.clone() }),
    };
    let names = if header.is_some() { said(section) } else { section.fields.clone() };
    if header.is_none()
        && let Some(unknown) = said(section).iter().find(|name| !names.contains(name) && !is_part(section, name))
    {
        return Err(format!("`{title}` says something of `{unknown}`, which is none of its `fields`"));
    }
    let fields = names.iter().map(|name| field(section, name)).collect::<Result<Vec<_>, _>>()?;
    let cells_min = section.least.unwrap_or(fields.len());
    let cells_max = section.most.unwrap_or(fields.len());
    if header.is_none() && (cells_min == 0 || cells_min > cells_max) {
        return Err(format!("`{title}` has lines of {cells_min} to {cells_max} cells; write a `least` from 1 to `most`"));
    }
    let joined = section.join.as_ref().map(|join| JoinedField {
        path: join.name.clone(),
        first: join.fields.0.clone(),
        second: join.fields.1.clone(),
        between: join.with.clone(),
    });
    let quote = match section.quote {
        Quotes::None => Quote::None,
        Quotes::Plain => Quote::Plain,
        Quotes::Doubled => Quote::Doubled,
        Quotes::Backslash => Quote::Backslash,
    };
    Ok(CellLine {
        separator,
        quote,
        has_brackets: section.brackets,
        absent: section.absent.clone(),
        header,
        fields,
        cells_min,
        cells_max,
        joined,
    })
}

/// The fields of which something is said beyond their names, but for those inside others.
fn said(section: &Section) -> Vec<String> {
    let Section { integers, times, decoded, rename, checks, parts, .. } = section;
    let names = integers.iter().chain(times).chain(decoded).chain(rename.keys()).chain(checks.keys()).chain(parts.keys());
    let names: BTreeSet<&String> = names.filter(|name| section.header.is_none() || !is_part(section, name)).collect();
    names.into_iter().cloned().collect()
}

fn is_part(section: &Section, name: &str) -> bool {
    section.parts.values().any(|parts| parts.fields.iter().any(|field| field == name))
}

fn field(section: &Section, name: &str) -> Result<LineField, String> {
    let parts = match section.parts.get(name) {
        None => None,
        Some(parts) => {
            let title = &section.title;
            let rest = parts.fields.iter().position(|field| *field == parts.rest);
            let rest = rest.ok_or_else(|| format!("`{title}`: the `rest` of `{name}` is none of its fields"))?;
            let separator = separator(&parts.at)
                .ok_or_else(|| format!("`{title}`: `{name}` is parted at no mark that is known; write one such as `:`"))?;
            // Parts have no parts.
            let fields = parts.fields.iter().map(|name| plain_field(section, name)).collect();
            Some(FieldParts { separator, fields, rest })
        }
    };
    Ok(LineField { parts, ..plain_field(section, name) })
}

fn plain_field(section: &Section, name: &str) -> LineField {
    let kind = match () {
        () if section.integers.contains(name) => FieldKind::Integer,
        () if section.times.contains(name) => FieldKind::CommonTime,
        () if section.decoded.contains(name) => FieldKind::Percent,
        () => FieldKind::Text,
    };
    let check = section.checks.get(name).map(|check| match check {
        Check::Kind(Kind::Integer) => FieldCheck::Integer,
        Check::Kind(Kind::Decimal) => FieldCheck::Decimal,
        Check::Kind(Kind::Hex) => FieldCheck::Hex,
        Check::Kind(Kind::Ip) => FieldCheck::Ip,
        Check::Kind(Kind::Time) => FieldCheck::Time,
        Check::Kind(Kind::CommonTime) => FieldCheck::CommonTime,
        Check::OneOf(texts) => FieldCheck::OneOf(texts.clone()),
        Check::Prefix { prefix } => FieldCheck::Prefix(prefix.clone()),
    });
    let path = section.rename.get(name).map_or(name, String::as_str).to_owned();
    LineField { name: name.to_owned(), path, kind, check, parts: None }
}

/// The byte that a separator is written as.
fn separator(text: &str) -> Option<u8> {
    match (text, text.as_bytes()) {
        ("space", _) => Some(b' '),
        ("tab", _) => Some(b'\t'),
        (_, [byte]) if byte.is_ascii_punctuation() && !matches!(byte, b'"' | b'\\' | b'[' | b']') => Some(*byte),
        (_, [b' ']) => Some(b' '),
        (_, [b'\t']) => Some(b'\t'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_said() {
        let head = "format = 1\n[[line]]\ntitle = \"T\"\n";
        let check = |body: &str, said: &str| {
            let error = parse(&format!("{head}{body}")).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        };
        check("separator = \"space\"\n", "names no cells");
        check("fields = [\"a\"]\n", "no separator");
        check("separator = \"xx\"\nfields = [\"a\"]\n", "no separator");
        check("separator = \"tab\"\nfields = [\"a\"]\n[line.header]\nany_of = [[\"a\"]]\n", "`fields` and `header`");
        check("separator = \"tab\"\n[line.header]\nany_of = []\n", "takes any header");
        check("separator = \"tab\"\nfields = [\"a\"]\nintegers = [\"b\"]\n", "says something of `b`");
        check("separator = \"tab\"\nfields = [\"a\"]\nleast = 3\n", "3 to 1 cells");
        check("form = \"cef\"\nseparator = \"tab\"\n", "leave these out");
        check("form = \"xml\"\n", "names no element");
        check("form = \"xml\"\nelement = \"a>\"\n", "names no element");
        check("form = \"xml\"\nelement = \"E\"\naround = [\"<\"]\n", "`<` in `around`");
        check("form = \"xml\"\nelement = \"E\"\nfields = [\"a\"]\n", "leave these out");
        check("form = \"cef\"\nelement = \"E\"\n", "`form = \"xml\"`");
        check("form = \"xml\"\nelement = \"E\"\n[line.rename]\n\"A[Name]\" = \"b\"\n", "`A[Name]` is no place");
        check(
            "separator = \"tab\"\nfields = [\"a\"]\n[line.parts]\na = { at = \":\", fields = [\"b\"], rest = \"c\" }\n",
            "`rest` of `a`",
        );
        check("separator = \"tab\"\nfields = [\"a\"]\n[line.checks]\na = \"number\"\n", "lines.toml");
        assert!(parse("format = 2\nline = []\n").unwrap_err().to_string().contains("format 2"));
    }

    #[test]
    fn what_is_said_of_a_field_holds_for_it() {
        let text = "format = 1\ninside = [\"message\"]\n[[line]]\ntitle = \"T\"\nseparator = \"space\"\nquote = \"plain\"\nbrackets = true\n\
            absent = [\"-\"]\nfields = [\"a\", \"b\", \"c\"]\nleast = 2\nmost = 5\nintegers = [\"a\", \"port\"]\ntimes = [\"b\"]\n\
            [line.rename]\na = \"x.y\"\n[line.checks]\na = \"integer\"\nb = \"common_time\"\n\
            [line.parts]\nc = { at = \":\", fields = [\"ip\", \"port\"], rest = \"ip\" }\n\
            [[line]]\ntitle = \"U\"\nform = \"keyvalue\"\nholds = [\"devname=\"]\n\
            [[line]]\ntitle = \"V\"\nseparator = \"tab\"\ndecoded = [\"d\"]\n[line.header]\nbegins = \"#Fields:\"\nany_of = [[\"d\"]]\n\
            [line.join]\nname = \"t\"\nfields = [\"date\", \"time\"]\nwith = \"T\"\n[line.checks]\nd = [\"x\"]\ne = { prefix = [\"y\"] }\n";
        let lines = parse(text).unwrap();
        assert_eq!((lines.inside.as_slice(), lines.forms.len()), (&["message".to_owned()][..], 3));
        let LineReader::Cells(first) = &lines.forms[0].reader else { panic!("cells") };
        let kinds: Vec<(&str, FieldKind)> = first.fields.iter().map(|field| (field.path.as_str(), field.kind)).collect();
        assert_eq!(kinds, [("x.y", FieldKind::Integer), ("b", FieldKind::CommonTime), ("c", FieldKind::Text)]);
        assert_eq!((first.cells_min, first.cells_max, first.quote), (2, 5, Quote::Plain));
        let parts = first.fields[2].parts.as_ref().unwrap();
        assert_eq!((parts.separator, parts.rest, parts.fields[1].kind), (b':', 0, FieldKind::Integer));
        assert_eq!((&lines.forms[1].reader, lines.forms[1].holds.len()), (&LineReader::KeyValue, 1));
        let LineReader::Cells(third) = &lines.forms[2].reader else { panic!("cells") };
        let checks: Vec<Option<&FieldCheck>> = third.fields.iter().map(|field| field.check.as_ref()).collect();
        let (one_of, prefix) = (FieldCheck::OneOf(vec!["x".into()]), FieldCheck::Prefix(vec!["y".into()]));
        assert_eq!(checks, [Some(&one_of), Some(&prefix)]);
        assert_eq!(third.joined.as_ref().map(|joined| joined.path.as_str()), Some("t"));
    }

    #[test]
    fn places_in_an_element_are_told_apart() {
        let text = "format = 1\n[[line]]\ntitle = \"T\"\nform = \"xml\"\nelement = \"E\"\naround = [\"Es\"]\n[line.rename]\n\
            \"A.B\" = \"b\"\n\"A.C@N\" = \"c\"\n\"A.D[@N]\" = \"d\"\n\"F.*.*\" = \"f\"\n";
        let lines = parse(text).unwrap();
        let LineReader::Xml(form) = &lines.forms[0].reader else { panic!("an element") };
        assert_eq!((form.element.as_str(), form.around.as_slice()), ("E", &["Es".to_owned()][..]));
        let places: Vec<(String, &XmlValue, &str)> =
            form.fields.iter().map(|field| (field.names.join("/"), &field.value, field.path.as_str())).collect();
        let (attribute, named) = (XmlValue::Attribute("N".into()), XmlValue::NamedBy("N".into()));
        let expected =
            [("A/B", &XmlValue::Text, "b"), ("A/C", &attribute, "c"), ("A/D", &named, "d"), ("F/*", &XmlValue::Below, "f")];
        assert_eq!(places, expected.map(|(names, value, path)| (names.to_owned(), value, path)));
    }
}
