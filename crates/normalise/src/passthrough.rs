//! Records that are OCSF already: what stands at an OCSF path is what they say there. Where they lack
//! what their class requires, they are taken all the same, and labelled.

use std::collections::BTreeMap;

use vigie_record::{Value, each_item, each_member, inside};

use crate::document::{Map, Node, at, insert, quote, to_json};
use crate::programme::Chosen;

/// Where a record is an event of OCSF, and what such an event should have.
#[derive(Debug, Clone)]
pub(crate) struct Passthrough {
    /// Where the event stands in the record; empty when the record is the event.
    pub(crate) from: String,
    /// Paths that events of a class, or of all, should have; `a|b` is either.
    pub(crate) expected: Vec<(Option<u32>, String)>,
}

/// Attributes that the event is told by: one that says them otherwise is not strictly valid.
const TELLING: [&str; 5] = ["time", "class_uid", "category_uid", "activity_id", "type_uid"];

impl Passthrough {
    /// Whether the record is the event.
    pub(crate) fn is_whole(&self) -> bool {
        self.from.is_empty()
    }

    /// Where a record has an OCSF path.
    pub(crate) fn path(&self, wanted: &str) -> String {
        if self.is_whole() { wanted.to_owned() } else { format!("{}.{wanted}", self.from) }
    }

    /// The event inside a record: an object, as its JSON.
    pub(crate) fn event<'r>(&self, record: &'r [u8]) -> Option<&'r [u8]> {
        if self.is_whole() {
            return Some(record);
        }
        match inside(record, &self.from) {
            Some(Value::Object(event)) => Some(event),
            _ => None,
        }
    }

    /// The members of an event as the beginning of its document. What has the name of something that
    /// the document needs, and is no such thing, moves under `unmapped`.
    pub(crate) fn root(&self, event: &[u8]) -> Map {
        let mut root = tree(event);
        let mut aside = Map::new();
        for (key, is_list) in [("metadata", false), ("unmapped", false), ("enrichments", true)] {
            let fits = |node: &Node| matches!((node, is_list), (Node::List(_), true) | (Node::Map(_), false));
            if root.get(key).is_some_and(|node| !fits(node))
                && let Some(node) = root.remove(key)
            {
                aside.insert(key.to_owned(), node);
            }
        }
        join(&mut root, aside);
        root
    }

    /// What an event lacks that it should have.
    fn missing(&self, event: &[u8], class_uid: u32) -> Vec<&str> {
        let lacks = |path: &str| path.split('|').all(|path| inside(event, path).is_none());
        let applies = |class: Option<u32>| class.is_none_or(|class| class == class_uid);
        let expected = self.expected.iter().filter(|(class, path)| applies(*class) && lacks(path));
        expected.map(|(_, path)| path.as_str()).collect()
    }

    /// The enrichment that says how far the event was valid, and what its document says otherwise.
    pub(crate) fn label(&self, event: &[u8], operation: Chosen<'_>, changes: &Changes) -> Node {
        let missing = self.missing(event, operation.class_uid);
        let is_lenient = !missing.is_empty() || changes.changed.iter().any(|path| TELLING.contains(&path.as_str()));
        let mut data = Map::new();
        if let Some(version) = inside(event, "metadata.version").as_ref().and_then(to_json) {
            data.insert("version".to_owned(), Node::Raw(version));
        }
        let lists = [("missing", missing), ("changed", borrowed(&changes.changed)), ("added", borrowed(&changes.added))];
        for (name, paths) in lists.into_iter().filter(|(_, paths)| !paths.is_empty()) {
            data.insert(name.to_owned(), Node::List(paths.iter().map(|path| Node::Raw(quote(path))).collect()));
        }
        Node::Map(BTreeMap::from([
            ("name".to_owned(), Node::Raw(quote("vigie.ocsf"))),
            ("value".to_owned(), Node::Raw(quote(if is_lenient { "lenient" } else { "complete" }))),
            ("provider".to_owned(), Node::Raw(quote("vigie"))),
            ("data".to_owned(), Node::Map(data)),
        ]))
    }
}

/// What a document says that its record does not, or says otherwise.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    changed: Vec<String>,
    added: Vec<String>,
}

impl Changes {
    /// Puts a value at a path of a document, and notes what it changes there.
    pub(crate) fn put(&mut self, root: &mut Map, path: &str, node: Node) {
        let node = match node {
            Node::Raw(json) => grown(&json).unwrap_or(Node::Raw(json)),
            node => node,
        };
        match at(root, path) {
            None => self.added.push(path.to_owned()),
            Some(old) if *old != node => self.changed.push(path.to_owned()),
            Some(_) => {}
        }
        insert(root, path, node);
    }
}

fn borrowed(paths: &[String]) -> Vec<&str> {
    paths.iter().map(String::as_str).collect()
}

/// Adds to the unmapped part of a document what is not there yet.
pub(crate) fn join(root: &mut Map, rest: Map) {
    if rest.is_empty() {
        return;
    }
    let mut unmapped = match root.remove("unmapped") {
        Some(Node::Map(unmapped)) => unmapped,
        _ => Map::new(),
    };
    for (key, node) in rest {
        unmapped.entry(key).or_insert(node);
    }
    root.insert("unmapped".to_owned(), Node::Map(unmapped));
}

/// The members of an object; of a key that it names twice the first, of null nothing, and of an object of
/// nothing but nulls neither.
pub(crate) fn tree(object: &[u8]) -> Map {
    let mut members = Map::new();
    each_member(object, &mut |key, value| {
        let node = match value {
            Value::Object(inner) => Some(tree(inner)).filter(|inner| !inner.is_empty()).map(Node::Map),
            Value::List(list) => Some(items(list)),
            value => to_json(&value).map(Node::Raw),
        };
        if let Some(node) = node {
            members.entry(key.into_owned()).or_insert(node);
        }
    });
    members
}

fn items(list: &[u8]) -> Node {
    let mut items = Vec::new();
    each_item(list, &mut |item| items.push(Node::Raw(to_json(&item).unwrap_or_else(|| "null".to_owned()))));
    Node::List(items)
}

/// The tree of an object or a list; none of other JSON.
pub(crate) fn grown(json: &str) -> Option<Node> {
    match json.as_bytes() {
        object @ [b'{', ..] => Some(Node::Map(tree(object))),
        list @ [b'[', ..] => Some(items(list)),
        _ => None,
    }
}
