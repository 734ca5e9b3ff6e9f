//! Reading wanted paths, told as path -> value for one record.

use crate::{PathSet, Row, Value, Walk};
use proptest::prelude::*;

/// What the paths hold in the record, `;` between paths and `|` between several values of one.
fn read(record: &str, paths: &[&str]) -> String {
    let mut set = PathSet::new();
    let slots: Vec<_> = paths.iter().map(|path| set.intern(path)).collect();
    let walk = Walk::compile(&[&set]);
    let mut row = Row::new();
    if let Err(reject) = walk.read(record.as_bytes(), &mut row) {
        return reject.to_string();
    }
    let show = |value: Value<'_>| match value {
        Value::Absent => "-".to_owned(),
        Value::Null => "null".to_owned(),
        Value::List(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => other.text().map_or_else(String::new, |text| text.into_owned()),
    };
    let mut out = Vec::new();
    for slot in slots {
        let mut values = Vec::new();
        row.each_raw(slot, &mut |value| values.push(show(value)));
        out.push(if values.is_empty() { "-".to_owned() } else { values.join("|") });
    }
    let mark = if row.has_duplicate_key() { "duplicate " } else { "" };
    format!("{mark}{}", out.join("; "))
}

#[test]
fn values_of_every_kind() {
    let record = r#"{"s":"x\"\u00e9","n":12345678901234567890123456789,"f":1.50,"t":true,"z":null,"o":{ "k" : [1, 2] },"l":[1]}"#;
    assert_eq!(
        read(record, &["s", "n", "f", "t", "z", "o", "l", "o.k", "none", "o.none"]),
        "x\"\u{e9}; 12345678901234567890123456789; 1.50; true; null; {\"k\":[1,2]}; [1]; [1, 2]; -; -"
    );
}

#[test]
fn paths_go_through_arrays_and_flat_keys() {
    assert_eq!(read(r#"{"r":[{"a":{"b":1}},{"c":0},{"a":{"b":2}}],"x":[[{"y":3}]]}"#, &["r.a.b", "x.y"]), "1|2; 3");
    assert_eq!(read(r#"{"a.b":1,"a.c":{"d":2},"a":{"c.d":4}}"#, &["a.b", "a.c.d"]), "1; 2|4");
}

#[test]
fn a_key_written_twice_keeps_both_values_and_is_flagged() {
    assert_eq!(read(r#"{"a":1,"a":2}"#, &["a"]), "duplicate 1|2");
    assert_eq!(read(r#"{"l":[{"a":1},{"a":2}]}"#, &["l.a"]), "1|2");
    assert_eq!(read(r#"{"\u0061":1}"#, &["a"]), "1");
}

#[test]
fn what_is_no_record_is_refused() {
    assert_eq!(read("[1]", &["a"]), "the record is not a JSON object at byte 0");
    assert_eq!(read(r#"{"a":1"#, &["a"]), "the record has an object that is not closed at byte 6");
    assert_eq!(read(r#"{"a":"1"#, &["a"]), "the record ends inside a string at byte 7");
    assert_eq!(read(r#"{"a"}"#, &["b"]), "the record has a key without a value at byte 4");
    assert_eq!(read(r#"{"a":1}{"#, &["b"]), "the record has text after its end at byte 7");
    for key in ["a", "b"] {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100));
        assert!(read(&deep, &[key]).starts_with("the record is nested too deeply"), "{key}");
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "[a\\\\\"{},\\[\\]\u{e9}]{0,6}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::btree_map("[ab]{1,2}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The values at a path by another parser.
fn by_serde<'v>(value: &'v serde_json::Value, path: &[&str], out: &mut Vec<&'v serde_json::Value>) {
    match (value, path) {
        (value, []) => out.push(value),
        (serde_json::Value::Array(items), _) => items.iter().for_each(|item| by_serde(item, path, out)),
        (serde_json::Value::Object(map), [key, rest @ ..]) => {
            if let Some(inner) = map.get(*key) {
                by_serde(inner, rest, out);
            }
        }
        _ => {}
    }
}

proptest! {
    /// Two parsers, one answer: the walk finds what serde_json finds, in the same order.
    #[test]
    fn the_walk_agrees_with_serde_json(inner in any_json(), pretty in any::<bool>()) {
        let value = serde_json::json!({ "a": inner });
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        for path in ["a", "a.a", "a.b", "a.ab.a", "a.a.b"] {
            let mut set = PathSet::new();
            let slot = set.intern(path);
            let walk = Walk::compile(&[&set]);
            let mut row = Row::new();
            walk.read(text.as_bytes(), &mut row).unwrap();
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            row.each_raw(slot, &mut |value| ours.push(value.text().map(|text| text.into_owned())));
            let parts: Vec<&str> = path.split('.').collect();
            by_serde(&value, &parts, &mut theirs);
            let theirs: Vec<Option<String>> = theirs.into_iter().map(|value| match value {
                serde_json::Value::Null | serde_json::Value::Array(_) => None,
                serde_json::Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            }).collect();
            prop_assert_eq!(ours, theirs);
        }
    }
}
