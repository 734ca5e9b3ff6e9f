//! Texts in lists inside a record, each with values of the objects around it.

use std::collections::BTreeMap;

use crate::inside::write;
use crate::json::{each_item, each_member, write_text};
use crate::value::Value;
use crate::walk::depth_max;

/// Longest value that is kept for the texts below it: it is written once for each.
const KEPT_BYTES_MAX: usize = 1024;

/// Is told a text and what is kept for it, and gives whether to go on.
type Visit<'v, 'r> = dyn FnMut(&str, &[(&str, Value<'r>)]) -> bool + 'v;

/// A path whose lists hold texts, and what is kept of the objects around them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextLists {
    keys: Vec<String>,
    /// Names of what is kept, and how many keys down and under which key it stands.
    kept: Vec<(String, usize, String)>,
}

impl TextLists {
    /// The texts at a dotted path. `keep` gives names and paths of what is kept, whose objects must stand
    /// around the texts.
    ///
    /// # Errors
    /// The path of something that stands in no such object.
    pub fn new(path: &str, keep: &BTreeMap<String, String>) -> Result<TextLists, String> {
        let keys: Vec<String> = path.split('.').map(str::to_owned).collect();
        let place = |(name, path): (&String, &String)| {
            let (above, key) =
                path.rsplit_once('.').map_or((Vec::new(), path.as_str()), |(above, key)| (above.split('.').collect(), key));
            let is_around = above.len() < keys.len() && keys.iter().zip(&above).all(|(key, above)| key == above);
            if is_around { Ok((name.clone(), above.len(), key.to_owned())) } else { Err(path.clone()) }
        };
        let kept = keep.iter().map(place).collect::<Result<_, _>>()?;
        Ok(TextLists { keys, kept })
    }

    /// Calls `visit` with each text of an object, and what is kept for it. `visit` gives whether to go on.
    pub fn each<'r>(&self, object: &'r [u8], visit: &mut Visit<'_, 'r>) {
        let kept = self.kept.iter().map(|(name, ..)| (name.as_str(), Value::Absent)).collect();
        self.below(Value::Object(object), 0, depth_max(), kept, visit);
    }

    fn below<'s, 'r>(
        &'s self,
        value: Value<'r>,
        level: usize,
        depth: usize,
        mut kept: Vec<(&'s str, Value<'r>)>,
        visit: &mut Visit<'_, 'r>,
    ) -> bool {
        let Some(depth) = depth.checked_sub(1) else {
            return true;
        };
        let mut goes_on = true;
        match (value, self.keys.get(level)) {
            (Value::Text(text), None) => goes_on = visit(&text, &kept),
            (Value::List(list), _) => each_item(list, &mut |item| {
                goes_on = goes_on && self.below(item, level, depth, kept.clone(), visit);
            }),
            (Value::Object(object), Some(next)) => {
                each_member(object, &mut |key, member| {
                    for ((_, at, wanted), (_, value)) in self.kept.iter().zip(&mut kept) {
                        if *at == level && *wanted == *key && is_small(&member) {
                            *value = member.clone();
                        }
                    }
                });
                each_member(object, &mut |key, member| {
                    if goes_on && *key == **next {
                        goes_on = self.below(member, level + 1, depth, kept.clone(), visit);
                    }
                });
            }
            _ => {}
        }
        goes_on
    }
}

fn is_small(value: &Value<'_>) -> bool {
    match value {
        Value::Text(text) => text.len() <= KEPT_BYTES_MAX,
        Value::List(raw) | Value::Object(raw) => raw.len() <= KEPT_BYTES_MAX,
        _ => true,
    }
}

/// An object with members that it has not: those of these names that have a value.
pub fn with_members(object: &[u8], members: &[(&str, Value<'_>)]) -> Vec<u8> {
    let object = object.trim_ascii_start();
    let mut missing: Vec<&(&str, Value<'_>)> = members.iter().filter(|(_, value)| !value.is_none()).collect();
    let mut is_empty = true;
    each_member(object, &mut |key, _| {
        is_empty = false;
        missing.retain(|(name, _)| *name != key);
    });
    let mut out = Vec::with_capacity(object.len() + 64);
    out.push(b'{');
    for (number, (name, value)) in missing.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        write_text(name.as_bytes(), &mut out);
        out.push(b':');
        write(value, &mut out);
    }
    if !missing.is_empty() && !is_empty {
        out.push(b',');
    }
    out.extend_from_slice(object.get(1..).unwrap_or(b"}"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of a record, each laid into an object with what is kept for it.
    #[track_caller]
    fn check(record: &str, expected: &[&str]) {
        let keep = [("id", "id"), ("rule", "a.list.rule"), ("mac", "a.list.below.mac")];
        let keep = keep.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect();
        let lists = TextLists::new("a.list.below.texts", &keep).unwrap();
        let mut found = Vec::new();
        lists.each(record.as_bytes(), &mut |text, kept| {
            let object = format!("{{\"text\":\"{text}\"}}");
            found.push(String::from_utf8(with_members(object.as_bytes(), kept)).unwrap());
            true
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn texts_come_with_what_stands_around_them() {
        check(
            r#"{"a":{"list":[{"below":[{"texts":["x","y"],"mac":"m1"},{"texts":["z"]}],"rule":"r\"1"},{"rule":7,"below":{"mac":null,"texts":"w"}}]},"id":1.50}"#,
            &[
                r#"{"id":1.50,"mac":"m1","rule":"r\"1","text":"x"}"#,
                r#"{"id":1.50,"mac":"m1","rule":"r\"1","text":"y"}"#,
                r#"{"id":1.50,"rule":"r\"1","text":"z"}"#,
                r#"{"id":1.50,"rule":7,"text":"w"}"#,
            ],
        );
        check(r#"{"a":{"list":[]},"id":1}"#, &[]);
        check(r#"{"a":{"list":[{"below":[{"texts":[1,{"x":2}]}]}]}}"#, &[]);
        let long = format!(r#"{{"id":"{}","a":{{"list":{{"below":{{"texts":["x"]}}}}}}}}"#, "i".repeat(2000));
        check(&long, &[r#"{"text":"x"}"#]);
    }

    #[test]
    fn what_stands_elsewhere_cannot_be_kept() {
        let keep = |path: &str| [("n".to_owned(), path.to_owned())].into_iter().collect();
        assert_eq!(TextLists::new("a.b", &keep("c.d")), Err("c.d".to_owned()));
        assert_eq!(TextLists::new("a.b", &keep("a.b.c")), Err("a.b.c".to_owned()));
        assert!(TextLists::new("a.b", &keep("a.c")).is_ok());
    }

    #[test]
    fn members_are_added_where_there_are_none() {
        let add = |object: &str| {
            let members = [("a", Value::Int(1)), ("b", Value::Absent), ("c", Value::Text("x".into()))];
            String::from_utf8(with_members(object.as_bytes(), &members)).unwrap()
        };
        assert_eq!(add("{}"), r#"{"a":1,"c":"x"}"#);
        assert_eq!(add(r#"{"c":2}"#), r#"{"a":1,"c":2}"#);
        assert_eq!(add(r#" {"a":0,"c":null}"#), r#"{"a":0,"c":null}"#);
    }
}
