//! What a table said of one value, as an entry of `enrichments` of OCSF: its data names every path that it
//! gives, so that an entry that was stored enriches a document as the table did.

use vigie_model::Millis;
use vigie_record::{Value, each_item, each_member};

use super::HITS_MAX;
use crate::document::{Map, Node, at, enrich, insert, quote, to_json};
use crate::passthrough::grown;

/// The member of an entry's data that names the version of the enrichment.
const VERSION: &str = "version";

/// One entry.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Entry {
    /// The path that was read.
    pub(super) name: String,
    /// What stood there.
    pub(super) value: String,
    pub(super) category: String,
    /// The enrichment.
    pub(super) provider: String,
    pub(super) version: String,
    /// What was given, as JSON: by the path of the event, or by a name without a dot.
    pub(super) data: Vec<(String, String)>,
}

impl Entry {
    /// The entry as JSON.
    pub(super) fn json(&self) -> String {
        let mut out = String::with_capacity(256);
        let pairs = [("name", &self.name), ("value", &self.value), ("type", &self.category), ("provider", &self.provider)];
        for (before, (key, text)) in ["{\"", ",\"", ",\"", ",\""].into_iter().zip(pairs) {
            out.extend([before, key, "\":", quote(text).as_str()]);
        }
        out.extend([",\"data\":{\"", VERSION, "\":", quote(&self.version).as_str()]);
        for (key, value) in &self.data {
            out.extend([",", quote(key).as_str(), ":", value.as_str()]);
        }
        out.push_str("}}");
        out
    }

    /// Adds the entry to a document, with what it gives where the document has nothing yet.
    pub(super) fn apply(&self, root: &mut Map) {
        let above = self.name.rsplit_once('.').map(|(above, _)| above);
        for (key, json) in self.data.iter().filter(|(key, _)| key.contains('.')) {
            let beside = above.and_then(|above| key.strip_prefix(above)).and_then(|rest| rest.strip_prefix('.'));
            match beside {
                Some(rest) => each_holder(root, &self.name, &mut |holder, leaf| {
                    let is_here = holder.get(leaf).is_some_and(|node| texts_of(node).contains(&self.value));
                    if is_here && at(holder, rest).is_none() {
                        insert(holder, rest, Node::Raw(json.clone()));
                    }
                }),
                None if at(root, key).is_none() => insert(root, key, Node::Raw(json.clone())),
                None => {}
            }
        }
        enrich(root, Node::Raw(self.json()));
    }
}

/// The entries of a list that was stored; text that is none has none.
pub(super) fn parse(stored: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let list = vigie_record::held(stored).filter(|json| json.first() == Some(&b'['));
    each_item(list.unwrap_or(b"[]"), &mut |item| {
        if let Value::Object(object) = item
            && entries.len() < HITS_MAX
        {
            entries.push(entry(object));
        }
    });
    entries
}

fn entry(object: &[u8]) -> Entry {
    let mut entry = Entry::default();
    each_member(object, &mut |key, value| {
        let place = match &*key {
            "name" => &mut entry.name,
            "value" => &mut entry.value,
            "type" => &mut entry.category,
            "provider" => &mut entry.provider,
            "data" => {
                if let Value::Object(data) = value {
                    data_of(data, &mut entry);
                }
                return;
            }
            _ => return,
        };
        *place = value.text().unwrap_or_default().into_owned();
    });
    entry
}

fn data_of(data: &[u8], entry: &mut Entry) {
    each_member(data, &mut |key, value| {
        if key == VERSION {
            entry.version = value.text().unwrap_or_default().into_owned();
        } else if let Some(json) = to_json(&value) {
            entry.data.push((key.into_owned(), json));
        }
    });
}

/// When the event of a document happened.
pub(super) fn time_of(root: &Map) -> Millis {
    match root.get("time") {
        Some(Node::Raw(json)) => json.parse().unwrap_or(0),
        _ => 0,
    }
}

/// The scalars at a path of a document, as texts; the path goes through lists.
pub(super) fn texts_at(map: &Map, path: &str) -> Vec<String> {
    let mut texts = Vec::new();
    add_texts(map, path, &mut texts);
    texts
}

fn add_texts(map: &Map, path: &str, texts: &mut Vec<String>) {
    let Some((head, rest)) = path.split_once('.') else {
        texts.extend(map.get(path).map(texts_of).unwrap_or_default());
        return;
    };
    match map.get(head) {
        Some(Node::Map(inner)) => add_texts(inner, rest, texts),
        Some(Node::List(items)) => items.iter().for_each(|item| match item {
            Node::Map(inner) => add_texts(inner, rest, texts),
            Node::Raw(json) => raw_texts(json.as_bytes(), rest, texts),
            Node::List(_) => {}
        }),
        Some(Node::Raw(json)) => raw_texts(json.as_bytes(), rest, texts),
        None => {}
    }
}

/// The scalars that a node is, or that are in its list.
fn texts_of(node: &Node) -> Vec<String> {
    match node {
        Node::Raw(json) => {
            let mut texts = Vec::new();
            let list = format!("[{json}]");
            each_item(list.as_bytes(), &mut |value| add_scalars(&value, &mut texts));
            texts
        }
        Node::List(items) => items.iter().flat_map(texts_of).collect(),
        Node::Map(_) => Vec::new(),
    }
}

fn add_scalars(value: &Value<'_>, texts: &mut Vec<String>) {
    match value {
        Value::List(list) => each_item(list, &mut |item| add_scalars(&item, texts)),
        Value::Object(_) => {}
        scalar => texts.extend(scalar.text().map(std::borrow::Cow::into_owned).filter(|text| !text.is_empty())),
    }
}

/// The scalars at a path of JSON, as texts.
pub(super) fn raw_texts(json: &[u8], path: &str, texts: &mut Vec<String>) {
    match json.first() {
        Some(b'{') => each_member(json, &mut |key, value| {
            let rest = path.strip_prefix(&*key);
            match (rest, value) {
                (Some(""), value) => add_scalars(&value, texts),
                (Some(rest), Value::Object(inner) | Value::List(inner)) => {
                    if let Some(rest) = rest.strip_prefix('.') {
                        raw_texts(inner, rest, texts);
                    }
                }
                _ => {}
            }
        }),
        Some(b'[') => each_item(json, &mut |item| {
            if let Value::Object(inner) | Value::List(inner) = item {
                raw_texts(inner, path, texts);
            }
        }),
        _ => {}
    }
}

/// Calls `visit` with every object that may have the last key of a path, and that key.
fn each_holder(map: &mut Map, path: &str, visit: &mut dyn FnMut(&mut Map, &str)) {
    let Some((head, rest)) = path.split_once('.') else {
        visit(map, path);
        return;
    };
    let Some(node) = map.get_mut(head) else {
        return;
    };
    grow(node);
    match node {
        Node::Map(inner) => each_holder(inner, rest, visit),
        Node::List(items) => items.iter_mut().for_each(|item| {
            grow(item);
            if let Node::Map(inner) = item {
                each_holder(inner, rest, visit);
            }
        }),
        Node::Raw(_) => {}
    }
}

/// Makes a tree of a node that is an object or a list as JSON.
fn grow(node: &mut Node) {
    if let Node::Raw(json) = node
        && let Some(tree) = grown(json)
    {
        *node = tree;
    }
}
