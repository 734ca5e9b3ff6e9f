//! Elements of XML as records: each text and each attribute becomes a member.
//!
//! XML 1.0 without document types: nothing is expanded but characters and the five entities of XML, and an
//! element that declares more is not read.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::{BytesStart, Event};

use super::form::{XmlField, XmlForm, XmlValue};
use super::write::Writer;
use crate::json::write_text;

/// Elements inside each other.
const DEPTH_MAX: usize = 32;
/// Attributes of one element.
const ATTRIBUTES_MAX: usize = 64;
/// Texts and attributes of a record.
const VALUES_MAX: usize = 1024;
/// Where the text of an element stands that has other members too.
const OWN_TEXT: &str = "text";
/// The source of values of which nothing is said.
const UNSAID: usize = usize::MAX;

/// Members of an object in the making.
type Members = Vec<(String, Node)>;

/// What stands in the place of a member.
enum Node {
    /// Texts, and which field put them there.
    Texts(usize, Vec<String>),
    Members(Members),
}

/// An element whose end is still to come.
struct Open {
    name: String,
    text: String,
    /// The name of its text among the members that a field makes, with the number of the field.
    member: Option<(usize, String)>,
    /// Elements inside it.
    children: usize,
}

/// A record in the making.
struct Making<'f> {
    form: &'f XmlForm,
    open: Vec<Open>,
    members: Members,
    values: usize,
}

/// Writes the record of an element at the end of `out`, unless it cannot be read; gives whether it could.
pub(super) fn read(form: &XmlForm, element: &[u8], out: &mut Vec<u8>) -> bool {
    let text = String::from_utf8_lossy(element);
    let mut making = Making { form, open: Vec::new(), members: Vec::new(), values: 0 };
    if making.read(&text).is_none() {
        return false;
    }
    write(&making.members, out);
    true
}

fn write(members: &Members, out: &mut Vec<u8>) {
    let mut writer = Writer::new(out);
    for (name, node) in members {
        let out = writer.member(name.as_bytes());
        match node {
            Node::Members(members) => write(members, out),
            Node::Texts(_, texts) => match texts.as_slice() {
                [text] => write_text(text.as_bytes(), out),
                texts => {
                    let mut before = b'[';
                    for text in texts {
                        out.push(std::mem::replace(&mut before, b','));
                        write_text(text.as_bytes(), out);
                    }
                    out.push(b']');
                }
            },
        }
    }
    writer.finish(true);
}

impl Making<'_> {
    /// Reads an element to its end; none when it is broken, or beyond a limit.
    fn read(&mut self, text: &str) -> Option<()> {
        let mut reader = Reader::from_str(text);
        reader.config_mut().allow_dangling_amp = true;
        let mut is_closed = false;
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) if !is_closed => self.begin(&start)?,
                Event::Empty(start) if !is_closed => {
                    self.begin(&start)?;
                    self.end()?;
                }
                Event::End(_) => self.end()?,
                Event::Text(text) => self.text(&text.decode().ok()?),
                Event::CData(text) => self.text(&text.decode().ok()?),
                Event::GeneralRef(name) => match name.resolve_char_ref().ok()? {
                    Some(letter) => self.text(letter.encode_utf8(&mut [0; 4])),
                    None => {
                        let name = name.decode().ok()?;
                        // A name that is none of the five stays as it is written.
                        match resolve_predefined_entity(&name) {
                            Some(text) => self.text(text),
                            None => self.text(&format!("&{name};")),
                        }
                    }
                },
                Event::Eof => return is_closed.then_some(()),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Start(_) | Event::Empty(_) | Event::Decl(_) | Event::DocType(_) => return None,
            }
            is_closed = self.open.is_empty();
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(open) = self.open.last_mut() {
            open.text.push_str(text);
        }
    }

    /// Opens an element, and keeps its attributes.
    fn begin(&mut self, start: &BytesStart<'_>) -> Option<()> {
        if self.open.len() >= DEPTH_MAX {
            return None;
        }
        let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
        let mut attributes = Vec::new();
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.ok()?;
            let key = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
            let value = String::from_utf8_lossy(&attribute.value);
            if attributes.len() >= ATTRIBUTES_MAX {
                return None;
            }
            // What names are short for says nothing.
            if key != "xmlns" && !key.starts_with("xmlns:") {
                let value = unescape(&value).map_or_else(|_| value.to_string(), Cow::into_owned);
                attributes.push((key, value));
            }
        }
        let number = self.open.last_mut().map_or(0, |parent| {
            parent.children += 1;
            parent.children
        });
        self.open.push(Open { name, text: String::new(), member: None, children: 0 });
        let member = self.named_by(&mut attributes, number);
        for (key, value) in attributes {
            self.note(Some(&key), value)?;
        }
        if let Some(open) = self.open.last_mut() {
            open.member = member;
        }
        Some(())
    }

    /// The field that names the element at hand by an attribute, and the name.
    fn named_by(&self, attributes: &mut Vec<(String, String)>, number: usize) -> Option<(usize, String)> {
        let names = self.names();
        self.form.fields.iter().enumerate().find_map(|(field, XmlField { names: asked, value, .. })| match value {
            XmlValue::NamedBy(attribute) if is_at(asked, &names) => {
                let at = attributes.iter().position(|(key, name)| key == attribute && !name.is_empty());
                Some((field, at.map_or_else(|| format!("param{number}"), |at| attributes.remove(at).1)))
            }
            _ => None,
        })
    }

    /// Closes the element that was opened last, and keeps its text.
    fn end(&mut self) -> Option<()> {
        let open = self.open.last_mut()?;
        let text = std::mem::take(&mut open.text);
        // Between elements there are spaces and line ends that nobody wrote for their own sake.
        let text = if open.children > 0 { text.trim().to_owned() } else { text };
        if !text.trim().is_empty() {
            match open.member.take() {
                Some((field, name)) => {
                    let path = self.form.fields.get(field).map(|field| field.path.as_str()).unwrap_or_default();
                    let path: Vec<&str> = path.split('.').chain([name.as_str()]).collect();
                    self.values += 1;
                    put(&mut self.members, &path, field, text);
                }
                None => self.note(None, text)?,
            }
        }
        self.open.pop();
        (self.values <= VALUES_MAX).then_some(())
    }

    /// The names of the elements that are open, but for the outermost.
    fn names(&self) -> Vec<&str> {
        self.open.iter().skip(1).map(|open| open.name.as_str()).collect()
    }

    /// Keeps the text of the element at hand, or an attribute, where a field says or by its own names.
    fn note(&mut self, attribute: Option<&str>, value: String) -> Option<()> {
        self.values += 1;
        let names = self.names();
        let fields = || self.form.fields.iter().enumerate();
        let exact = fields().find(|(_, field)| {
            let is_meant = match (&field.value, attribute) {
                (XmlValue::Text, None) => true,
                (XmlValue::Attribute(asked), Some(attribute)) => asked == attribute,
                _ => false,
            };
            is_meant && is_at(&field.names, &names)
        });
        let below = || {
            fields().find_map(|(number, field)| {
                let (above, rest) = names.split_at_checked(field.names.len())?;
                let is_below = matches!(field.value, XmlValue::Below) && !rest.is_empty() && is_at(&field.names, above);
                is_below.then(|| (number, field, rest.to_vec()))
            })
        };
        let (source, mut path) = match exact {
            Some((number, field)) => (number, field.path.split('.').map(str::to_owned).collect()),
            None => {
                let (number, head, rest) = match below() {
                    Some((number, field, rest)) => (number, field.path.as_str(), rest),
                    None => (UNSAID, "", names),
                };
                let path: Vec<String> = head.split('.').filter(|name| !name.is_empty()).chain(rest).map(str::to_owned).collect();
                (number, path)
            }
        };
        if let (None, Some(attribute)) = (exact, attribute) {
            // An attribute stands beside the text of its element.
            match path.last_mut() {
                Some(last) => last.extend(["@", attribute]),
                None => path.push(format!("@{attribute}")),
            }
        }
        if path.is_empty() {
            path.push(OWN_TEXT.to_owned());
        }
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        put(&mut self.members, &path, source, value);
        (self.values <= VALUES_MAX).then_some(())
    }
}

/// Whether elements have the names that are asked for.
fn is_at(asked: &[String], names: &[&str]) -> bool {
    asked.len() == names.len() && asked.iter().zip(names).all(|(asked, name)| asked == "*" || asked == name)
}

/// Puts a text at a path: beside those that the same field put there, in the place of those of another.
fn put(members: &mut Members, path: &[&str], source: usize, text: String) {
    let Some((name, rest)) = path.split_first() else {
        return;
    };
    let at = members.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
        let node = if rest.is_empty() { Node::Texts(source, Vec::new()) } else { Node::Members(Vec::new()) };
        members.push(((*name).to_owned(), node));
        members.len() - 1
    });
    let Some((_, node)) = members.get_mut(at) else {
        return;
    };
    match node {
        Node::Members(members) => put(members, if rest.is_empty() { &[OWN_TEXT] } else { rest }, source, text),
        Node::Texts(known, texts) if rest.is_empty() => {
            if *known != source {
                (*known, *texts) = (source, Vec::new());
            }
            texts.push(text);
        }
        Node::Texts(known, texts) => {
            let mut members = vec![(OWN_TEXT.to_owned(), Node::Texts(*known, std::mem::take(texts)))];
            put(&mut members, rest, source, text);
            *node = Node::Members(members);
        }
    }
}

#[cfg(test)]
mod tests;
