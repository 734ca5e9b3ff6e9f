//! Writes the whole OCSF document of one record: every mapped field, the rest under `unmapped`, the
//! raw record byte for byte. Numbers stay exactly as the record writes them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::de::IgnoredAny;
use vigie_record::{Value, View};

use crate::enrich::Enriching;
use crate::expression::Expression;
use crate::files::Field;
use crate::function::{Function, Scope, evaluate};
use crate::passthrough::{Changes, join};
use crate::programme::{Chosen, Programme};
use crate::unread::{Consumed, Unread, each_unread};

/// Members of a JSON object that is only ever written.
pub(crate) type Map = BTreeMap<String, Node>;

/// A JSON tree that is only ever written.
#[derive(Debug, PartialEq)]
pub(crate) enum Node {
    Map(Map),
    List(Vec<Node>),
    /// JSON text.
    Raw(String),
}

impl Node {
    /// Whether it is an object without members.
    fn is_empty(&self) -> bool {
        matches!(self, Node::Map(map) if map.is_empty())
    }

    /// Whether it is a list of members that got no value.
    fn is_hollow(&self) -> bool {
        matches!(self, Node::List(items) if !items.is_empty() && items.iter().all(Node::is_empty))
    }
}

impl Programme {
    /// The OCSF document of a record, as one line of JSON. The verb stands in `enrichments`.
    pub fn document(&self, row: &View<'_, '_>) -> String {
        self.document_of(row, row.record())
    }

    /// The same of a record that was made of something else, which stands under `raw_data` then.
    pub fn document_of(&self, row: &View<'_, '_>, raw: &[u8]) -> String {
        self.enriched_document(row, raw, Enriching::Nothing)
    }

    /// The same with what is known beside the record.
    pub fn enriched_document(&self, row: &View<'_, '_>, raw: &[u8], enriching: Enriching<'_>) -> String {
        self.wholly(row, |row| self.document_of_whole(row, raw, enriching))
    }

    fn document_of_whole(&self, row: &View<'_, '_>, raw: &[u8], enriching: Enriching<'_>) -> String {
        let operation = self.operation(&Scope::new(row));
        let event =
            self.mapping.passthrough.as_ref().and_then(|passthrough| Some((passthrough, passthrough.event(row.record())?)));
        let mut root = event.map_or_else(Map::new, |(passthrough, event)| passthrough.root(event));
        let (mut consumed, mut changes) = (Consumed::default(), Changes::default());
        for field in self.fields_of(operation) {
            let node = match &field.from {
                Expression::Call(Function::Each, arguments) => self.each(arguments, &field.to, row, &mut root),
                expression => {
                    let value = evaluate(expression, row);
                    // `privileges` and the like are arrays in OCSF even for one value.
                    let is_list = matches!(expression, Expression::Call(Function::List, _));
                    match (to_json(&value), is_list) {
                        (Some(raw), true) if !raw.starts_with('[') => Some(Node::List(vec![Node::Raw(raw)])),
                        (raw, _) => raw.map(Node::Raw),
                    }
                }
            };
            self.consume(field, node.is_some(), row, &mut consumed);
            match node {
                Some(node) if event.is_some() => changes.put(&mut root, &field.to, node),
                Some(node) => insert(&mut root, &field.to, node),
                None => {}
            }
        }
        self.fixed(&mut root, operation, event.is_some().then_some(&mut changes));
        if let Some((passthrough, event)) = event {
            enrich(&mut root, passthrough.label(event, operation, &changes));
            insert(&mut root, "metadata.version", Node::Raw(quote(&self.mapping.ocsf)));
        }
        join(&mut root, self.unmapped(row, &consumed));
        enriching.apply(&mut root);
        root.insert("raw_data".to_owned(), Node::Raw(quote(&String::from_utf8_lossy(raw))));
        write(&Node::Map(root))
    }

    /// The fields that an operation's class has.
    fn fields_of(&self, operation: Chosen<'_>) -> impl Iterator<Item = &Field> {
        self.mapping.fields.iter().filter(move |field| field.class.is_none_or(|class| class == operation.class_uid))
    }

    /// Notes what a field reads of the record.
    fn consume(&self, field: &Field, has_value: bool, row: &View<'_, '_>, consumed: &mut Consumed) {
        if has_value || matches!(field.from, Expression::Call(Function::Each, _)) {
            field.from.each_read(&mut |read| consumed.add(read, self.whole_paths(), row));
        }
    }

    /// What the fields read of a record.
    pub(crate) fn consumed(&self, row: &View<'_, '_>) -> Consumed {
        let mut consumed = Consumed::default();
        for field in self.fields_of(self.operation(&Scope::new(row))) {
            self.consume(field, !evaluate(&field.from, row).is_none(), row, &mut consumed);
        }
        consumed
    }

    /// The part of a record that no field reads.
    fn unmapped(&self, row: &View<'_, '_>, consumed: &Consumed) -> Map {
        let mut rest = Map::new();
        self.each_unread(row, consumed, &mut |keys, value| {
            let node = match value {
                Unread::Value(value) => to_json(&value).map(Node::Raw),
                Unread::Items(items) => {
                    let texts = items.iter().map(|item| Node::Raw(to_json(item).unwrap_or_else(|| "null".to_owned())));
                    Some(Node::List(texts.collect()))
                }
            };
            if let (Some(node), Some((last, above))) = (node, keys.split_last()) {
                let mut place = &mut rest;
                for key in above {
                    let inner = place.entry(key.to_string()).or_insert_with(|| Node::Map(Map::new()));
                    let Node::Map(map) = inner else {
                        return;
                    };
                    place = map;
                }
                place.insert(last.to_string(), node);
            }
        });
        rest
    }

    /// Calls `visit` with every part of a record that no field reads: the keys that lead there, and what
    /// stands there. Of a record that is an event of OCSF already, all is read that stands in the event.
    pub(crate) fn each_unread<'r>(
        &self,
        row: &View<'_, 'r>,
        consumed: &Consumed,
        visit: &mut dyn FnMut(&[Cow<'r, str>], Unread<'r>),
    ) {
        match &self.mapping.passthrough {
            Some(passthrough) if passthrough.is_whole() => {}
            Some(passthrough) => each_unread(row.record(), &Consumed::of(&passthrough.from), visit),
            None => each_unread(row.record(), consumed, visit),
        }
    }

    fn fixed(&self, root: &mut Map, operation: Chosen<'_>, changes: Option<&mut Changes>) {
        let numbers = [
            ("class_uid", i64::from(operation.class_uid)),
            ("category_uid", i64::from(operation.category_uid())),
            ("activity_id", i64::from(operation.activity_id)),
            ("type_uid", operation.type_uid()),
        ];
        let numbers = numbers.into_iter().map(|(key, number)| (key, Node::Raw(number.to_string())));
        if let Some(changes) = changes {
            numbers.for_each(|(key, number)| changes.put(root, key, number));
        } else {
            root.extend(numbers.map(|(key, number)| (key.to_owned(), number)));
            let profiles = self.mapping.profiles.iter().map(|profile| Node::Raw(quote(profile))).collect();
            insert(root, "metadata.profiles", Node::List(profiles));
            insert(root, "metadata.version", Node::Raw(quote(&self.mapping.ocsf)));
        }
        let verb = BTreeMap::from([
            ("name".to_owned(), Node::Raw(quote("verb"))),
            ("value".to_owned(), Node::Raw(quote(operation.verb))),
            ("provider".to_owned(), Node::Raw(quote("vigie"))),
            (
                "data".to_owned(),
                Node::Raw(format!("{{\"verb\":{},\"mapping\":{}}}", quote(operation.verb), quote(&self.mapping.version))),
            ),
        ]);
        enrich(root, Node::Map(verb));
    }

    /// `resources[].uid = each(resources, ARN)`: writes one member an object, in place.
    fn each(&self, arguments: &[Expression], to: &str, row: &View<'_, '_>, root: &mut Map) -> Option<Node> {
        let [Expression::Path(array), member] = arguments else {
            return None;
        };
        let (list, inner) = to.split_once("[].")?;
        let mut at = 0;
        self.each_member_value(*array, member, row, &mut |value| {
            let raw = to_json(&value);
            insert(root, &format!("{list}[{at}]"), Node::Map(Map::new()));
            if let Some(raw) = raw {
                insert(root, &format!("{list}[{at}].{inner}"), Node::Raw(raw));
            }
            at += 1;
        });
        None
    }
}

/// Adds an enrichment behind those that are there.
pub(crate) fn enrich(root: &mut Map, enrichment: Node) {
    match root.get_mut("enrichments") {
        Some(Node::List(enrichments)) => enrichments.push(enrichment),
        _ => {
            root.insert("enrichments".to_owned(), Node::List(vec![enrichment]));
        }
    }
}

/// What stands at a path of a tree.
pub(crate) fn at<'n>(root: &'n Map, path: &str) -> Option<&'n Node> {
    match path.split_once('.') {
        None => root.get(path),
        Some((head, rest)) => match root.get(head)? {
            Node::Map(map) => at(map, rest),
            _ => None,
        },
    }
}

/// Puts a node where a path leads; `name[0]` is the first member of a list. What is there already stays
/// where the node is an object without members.
pub(crate) fn insert(root: &mut Map, path: &str, node: Node) {
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some((key, at)) = numbered(head) else {
        if rest.is_empty() {
            root.insert(head.to_owned(), node);
        } else if let Node::Map(map) = root.entry(head.to_owned()).or_insert_with(|| Node::Map(Map::new())) {
            insert(map, rest, node);
        }
        return;
    };
    let Node::List(items) = root.entry(key.to_owned()).or_insert_with(|| Node::List(Vec::new())) else {
        return;
    };
    if items.len() <= at {
        items.resize_with(at + 1, || Node::Map(Map::new()));
    }
    match items.get_mut(at) {
        Some(Node::Map(map)) if !rest.is_empty() => insert(map, rest, node),
        Some(place) if rest.is_empty() && !node.is_empty() => *place = node,
        _ => {}
    }
}

/// A name and a number of `name[0]`.
fn numbered(head: &str) -> Option<(&str, usize)> {
    let (key, number) = head.strip_suffix(']')?.split_once('[')?;
    Some((key, number.parse().ok()?))
}

/// The JSON text of a value; none for an absent or null one.
pub(crate) fn to_json(value: &Value<'_>) -> Option<String> {
    Some(match value {
        Value::Absent | Value::Null => return None,
        Value::Text(text) => quote(text),
        // What a record holds and nobody read was never checked.
        Value::List(bytes) | Value::Object(bytes) if serde_json::from_slice::<IgnoredAny>(bytes).is_err() => {
            quote(&String::from_utf8_lossy(bytes))
        }
        Value::List(bytes) | Value::Object(bytes) => vigie_record::compact(bytes).into_owned(),
        Value::Json(json) => String::from_utf8_lossy(json).into_owned(),
        scalar => scalar.text()?.into_owned(),
    })
}

/// A JSON string.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The JSON of a tree.
pub(crate) fn write(node: &Node) -> String {
    match node {
        Node::Raw(text) => text.clone(),
        Node::List(items) => {
            let items: Vec<String> = items.iter().filter(|item| !item.is_empty()).map(write).collect();
            format!("[{}]", items.join(","))
        }
        Node::Map(map) => {
            let members = map.iter().filter(|(_, node)| !node.is_hollow());
            let members: Vec<String> = members.map(|(key, node)| format!("{}:{}", quote(key), write(node))).collect();
            format!("{{{}}}", members.join(","))
        }
    }
}
