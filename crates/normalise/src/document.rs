//! Writes the whole OCSF document of one record: every mapped field, the rest under `unmapped`, the
//! raw record byte for byte. Numbers stay exactly as the record writes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use vigie_record::{Value, View, each_item, each_member};

use crate::expression::Expression;
use crate::function::{Function, evaluate};
use crate::programme::Programme;

/// A JSON tree that is only ever written.
#[derive(Debug)]
enum Node {
    Map(BTreeMap<String, Node>),
    List(Vec<Node>),
    /// JSON text.
    Raw(String),
}

impl Programme {
    /// The OCSF document of a record, as one line of JSON. The verb stands in `enrichments`.
    pub fn document(&self, row: &View<'_, '_>) -> String {
        self.document_of(row, row.record())
    }

    /// The same of a record that was made of something else, which stands under `raw_data` then.
    pub fn document_of(&self, row: &View<'_, '_>, raw: &[u8]) -> String {
        let operation = self.operation(row);
        let mut root = BTreeMap::new();
        let mut consumed = Vec::new();
        for field in self.mapping.fields.iter().filter(|field| field.class.is_none_or(|class| class == operation.class_uid)) {
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
            let found = node.is_some() || matches!(field.from, Expression::Call(Function::Each, _));
            if found {
                field.from.each_slot(&mut |slot| consumed.extend(self.paths().path(slot).map(str::to_owned)));
            }
            if let Some(node) = node {
                insert(&mut root, &field.to, node);
            }
        }
        self.fixed(&mut root, operation);
        if let Some(rest) = unmapped(row.record(), "", &consumed) {
            root.insert("unmapped".to_owned(), rest);
        }
        root.insert("raw_data".to_owned(), Node::Raw(quote(&String::from_utf8_lossy(raw))));
        write(&Node::Map(root))
    }

    fn fixed(&self, root: &mut BTreeMap<String, Node>, operation: &crate::operations::Operation) {
        let (class, activity) = (operation.class_uid, operation.activity_id);
        for (key, number) in [
            ("class_uid", class),
            ("category_uid", class / 1000),
            ("activity_id", activity),
            ("type_uid", class * 100 + activity),
        ] {
            root.insert(key.to_owned(), Node::Raw(number.to_string()));
        }
        let profiles = self.mapping.profiles.iter().map(|profile| Node::Raw(quote(profile))).collect();
        insert(root, "metadata.profiles", Node::List(profiles));
        insert(root, "metadata.version", Node::Raw(quote(&self.mapping.ocsf)));
        let verb = BTreeMap::from([
            ("name".to_owned(), Node::Raw(quote("verb"))),
            ("value".to_owned(), Node::Raw(quote(&operation.verb))),
            ("provider".to_owned(), Node::Raw(quote("vigie"))),
            (
                "data".to_owned(),
                Node::Raw(format!("{{\"verb\":{},\"mapping\":{}}}", quote(&operation.verb), quote(&self.mapping.version))),
            ),
        ]);
        root.insert("enrichments".to_owned(), Node::List(vec![Node::Map(verb)]));
    }

    /// `resources[].uid = each(resources, ARN)`: writes one member an object, in place.
    fn each(&self, arguments: &[Expression], to: &str, row: &View<'_, '_>, root: &mut BTreeMap<String, Node>) -> Option<Node> {
        let [Expression::Path(array), Expression::Path(member)] = arguments else {
            return None;
        };
        let (list, inner) = to.split_once("[].")?;
        let Value::List(bytes) = row.get(*array) else {
            return None;
        };
        let wanted = self.paths().path(*member)?;
        let place = root.entry(list.to_owned()).or_insert_with(|| Node::List(Vec::new()));
        let Node::List(items) = place else {
            return None;
        };
        let mut at = 0;
        each_item(bytes, &mut |item| {
            if items.len() <= at {
                items.push(Node::Map(BTreeMap::new()));
            }
            if let (Value::Object(object), Some(Node::Map(map))) = (item, items.get_mut(at)) {
                each_member(object, &mut |key, value| {
                    if key == wanted
                        && let Some(raw) = to_json(&value)
                    {
                        insert(map, inner, Node::Raw(raw));
                    }
                });
            }
            at += 1;
        });
        None
    }
}

fn insert(root: &mut BTreeMap<String, Node>, path: &str, node: Node) {
    match path.split_once('.') {
        None => {
            root.insert(path.to_owned(), node);
        }
        Some((head, rest)) => {
            let place = root.entry(head.to_owned()).or_insert_with(|| Node::Map(BTreeMap::new()));
            if let Node::Map(map) = place {
                insert(map, rest, node);
            }
        }
    }
}

/// The members of a record that no field consumed.
fn unmapped(object: &[u8], prefix: &str, consumed: &[String]) -> Option<Node> {
    let mut rest = BTreeMap::new();
    each_member(object, &mut |key, value| {
        let path = if prefix.is_empty() { key.to_string() } else { format!("{prefix}.{key}") };
        if consumed.contains(&path) {
            return;
        }
        let below = format!("{path}.");
        let is_partly_read = consumed.iter().any(|known| known.starts_with(&below));
        let node = match value {
            Value::Object(inner) if is_partly_read => unmapped(inner, &path, consumed),
            value => to_json(&value).map(Node::Raw),
        };
        if let Some(node) = node {
            rest.insert(key.into_owned(), node);
        }
    });
    (!rest.is_empty()).then_some(Node::Map(rest))
}

/// The JSON text of a value; none for an absent or null one.
fn to_json(value: &Value<'_>) -> Option<String> {
    Some(match value {
        Value::Absent | Value::Null => return None,
        Value::Text(text) => quote(text),
        Value::List(bytes) | Value::Object(bytes) => vigie_record::compact(bytes).into_owned(),
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

fn write(node: &Node) -> String {
    match node {
        Node::Raw(text) => text.clone(),
        Node::List(items) => {
            let items: Vec<String> = items.iter().map(write).collect();
            format!("[{}]", items.join(","))
        }
        Node::Map(map) => {
            let members: Vec<String> = map.iter().map(|(key, node)| format!("{}:{}", quote(key), write(node))).collect();
            format!("{{{}}}", members.join(","))
        }
    }
}
