//! What a mapping leaves unread over many records, and which operations it has no row for: where its
//! author goes on.

use std::collections::{BTreeMap, BTreeSet};

use vigie_record::{Value, View, each_item, each_member, inside};

use crate::programme::Programme;
use crate::unread::Unread;

/// Paths of a log that are counted by name, and operations; more are counted together.
const GAPS_NAMED_MAX: usize = 10_000;
/// Characters of an example.
const EXAMPLE_CHARACTERS_MAX: usize = 40;

/// What the mapping of one log leaves unread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Records that were looked at.
    pub records: u64,
    /// Values in them, without those that are null or empty.
    pub values: u64,
    /// Values that end in `unmapped`.
    pub values_unread: u64,
    /// Bytes of the values.
    pub bytes: u64,
    /// Bytes of those that end in `unmapped`.
    pub bytes_unread: u64,
    /// By path, as rules write it behind `unmapped.`.
    pub paths: BTreeMap<String, Gap>,
    /// Values whose paths were too many to be named.
    pub values_unnamed: u64,
    /// Operations without a row that do not say that they only read: service, operation, and how often.
    pub operations: BTreeMap<(String, String), u64>,
    /// Operations that were too many to be named.
    pub operations_unnamed: u64,
    /// Operations with a row that do not say that they only read, as far as they can be named.
    pub operations_named: BTreeSet<(String, String)>,
}

/// One path that is not read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gap {
    /// Values there.
    pub count: u64,
    /// The beginning of one of them: of all, the first by their letters.
    pub example: String,
    /// Why the mapping leaves it unread, where its author wrote that.
    pub reason: Option<String>,
}

impl Gaps {
    fn add(&mut self, path: &str, text: &str, reason: impl FnOnce() -> Option<String>) {
        self.values_unread += 1;
        self.bytes_unread += text.len() as u64;
        let example = head(text);
        if let Some(gap) = self.paths.get_mut(path) {
            gap.count += 1;
            if *example < *gap.example {
                example.clone_into(&mut gap.example);
            }
        } else if self.paths.len() < GAPS_NAMED_MAX {
            self.paths.insert(path.to_owned(), Gap { count: 1, example: example.to_owned(), reason: reason() });
        } else {
            self.values_unnamed += 1;
        }
    }

    fn add_operation(&mut self, service: &str, operation: &str) {
        let name = (service.to_owned(), operation.to_owned());
        if self.operations.len() < GAPS_NAMED_MAX || self.operations.contains_key(&name) {
            *self.operations.entry(name).or_default() += 1;
        } else {
            self.operations_unnamed += 1;
        }
    }

    /// Adds what was seen of other records of the same log.
    pub fn absorb(&mut self, other: Gaps) {
        self.records += other.records;
        self.values += other.values;
        self.values_unread += other.values_unread;
        self.bytes += other.bytes;
        self.bytes_unread += other.bytes_unread;
        self.values_unnamed += other.values_unnamed;
        self.operations_unnamed += other.operations_unnamed;
        for (path, gap) in other.paths {
            let known = self.paths.entry(path).or_insert_with(|| Gap { count: 0, ..gap.clone() });
            known.count += gap.count;
            known.example = gap.example.min(std::mem::take(&mut known.example));
        }
        let room = GAPS_NAMED_MAX.saturating_sub(self.operations_named.len());
        self.operations_named.extend(other.operations_named.into_iter().take(room));
        for (name, count) in other.operations {
            *self.operations.entry(name).or_default() += count;
        }
    }
}

impl Programme {
    /// Adds to `gaps` what the mapping leaves unread of a record: what its document has under `unmapped`.
    pub fn note_gaps(&self, row: &View<'_, '_>, gaps: &mut Gaps) {
        self.wholly(row, |row| self.note_gaps_of_whole(row, gaps));
    }

    fn note_gaps_of_whole(&self, row: &View<'_, '_>, gaps: &mut Gaps) {
        gaps.records += 1;
        each_leaf(&mut String::new(), &Value::Object(row.record()), &mut |_, text| {
            gaps.values += 1;
            gaps.bytes += text.len() as u64;
        });
        let mut add = |path: &str, text: &str| gaps.add(path, text, || self.mapping.reason(path).map(str::to_owned));
        self.each_unread(row, &self.consumed(row), &mut |keys, part| {
            let mut path = keys.join(".");
            match part {
                Unread::Value(value) => each_leaf(&mut path, &value, &mut add),
                Unread::Items(items) => items.iter().for_each(|item| each_leaf(&mut path, item, &mut add)),
            }
        });
        // What others left unmapped of an event.
        if let Some(passthrough) = &self.mapping.passthrough {
            let mut path = passthrough.path("unmapped");
            let rest = passthrough.event(row.record()).and_then(|event| inside(event, "unmapped"));
            each_leaf(&mut path, &rest.unwrap_or(Value::Absent), &mut add);
        }
        match self.mapping.operations.named(row) {
            Some(named) if named.is_read || says_read(&named.operation) => {}
            Some(named) if named.is_default => gaps.add_operation(&named.service, &named.operation),
            Some(named) if gaps.operations_named.len() < GAPS_NAMED_MAX => {
                gaps.operations_named.insert((named.service.into_owned(), named.operation.into_owned()));
            }
            _ => {}
        }
    }
}

/// The first characters of a text.
fn head(text: &str) -> &str {
    text.char_indices().nth(EXAMPLE_CHARACTERS_MAX).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// Calls `visit` with the path and the text of every scalar below a value that says something.
pub(crate) fn each_leaf(path: &mut String, value: &Value<'_>, visit: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::Object(object) => each_member(object, &mut |key, member| {
            let length = path.len();
            if length > 0 {
                path.push('.');
            }
            path.push_str(&key);
            each_leaf(path, &member, visit);
            path.truncate(length);
        }),
        Value::List(list) => each_item(list, &mut |item| each_leaf(path, &item, visit)),
        scalar => {
            if let Some(text) = scalar.text().filter(|text| !text.is_empty()) {
                visit(path.as_str(), &text);
            }
        }
    }
}

/// Words at the head of operations that only read, in lower case.
const READS: [&str; 26] = [
    "batchget", "check", "count", "describe", "discover", "download", "fetch", "filter", "find", "get", "head", "list", "lookup",
    "preview", "query", "read", "scan", "search", "select", "show", "simulate", "test", "validate", "verify", "view", "watch",
];
/// Words at the end of such operations.
const WAS_READ: [&str; 8] = ["accessed", "downloaded", "listed", "previewed", "queried", "read", "searched", "viewed"];

/// Whether an operation says by its first or last word that it only reads, as a whole or behind the last
/// of its dots, slashes and colons.
fn says_read(operation: &str) -> bool {
    let last = operation.trim_end_matches(['.', '/', ':']).rsplit(['.', '/', ':']).next().unwrap_or_default();
    let is_read = |word: &str| READS.contains(&word.to_ascii_lowercase().as_str());
    is_read(first_word(operation))
        || is_read(first_word(last))
        || WAS_READ.contains(&last_word(last).to_ascii_lowercase().as_str())
}

/// The head of a name up to its next word: `Get` of `GetObject`, `list` of `list_users`.
pub(crate) fn first_word(name: &str) -> &str {
    let mut was_lower = false;
    let end = name.find(|c: char| {
        let is_end = !c.is_alphanumeric() || (was_lower && c.is_uppercase());
        was_lower = c.is_lowercase();
        is_end
    });
    end.and_then(|end| name.get(..end)).unwrap_or(name)
}

fn last_word(name: &str) -> &str {
    let tail = name.trim_end_matches(|c: char| !c.is_alphanumeric());
    let at = |c: char| !c.is_alphanumeric() || c.is_uppercase();
    match tail.rfind(at) {
        Some(start) if tail.get(start..).is_some_and(|word| word.starts_with(char::is_alphanumeric)) => {
            tail.get(start..).unwrap_or(tail)
        }
        Some(start) => tail.get(start + 1..).unwrap_or(tail),
        None => tail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(operation: &str, reads: bool) {
        assert_eq!(says_read(operation), reads, "{operation}");
    }

    #[test]
    fn operations_say_whether_they_read() {
        for operation in [
            "GetObject",
            "list_users",
            "storage.buckets.list",
            "google.iam.v1.ListKeys",
            "Microsoft.Storage/accounts/read",
            "FileAccessed",
            "Search-Mailbox",
            "read",
            "view.page",
        ] {
            check(operation, true);
        }
        for operation in
            ["CreateUser", "v1.instances.insert", "Microsoft.Storage/accounts/write", "FileDeleted", "Getaway", "", "user.start"]
        {
            check(operation, false);
        }
    }

    #[test]
    fn an_example_is_cut_between_characters() {
        assert_eq!(head(&"\u{e9}".repeat(41)), "\u{e9}".repeat(40));
        assert_eq!(head("short"), "short");
    }

    #[test]
    fn what_is_absorbed_does_not_depend_on_the_order() {
        let gaps = |examples: &[&str]| {
            let mut gaps = Gaps::default();
            examples.iter().for_each(|example| gaps.add("a.b", example, || Some("why".to_owned())));
            gaps.add_operation("s", "CreateUser");
            gaps
        };
        let (mut one, mut other) = (gaps(&["x", "c"]), gaps(&["b", "y"]));
        one.absorb(gaps(&["b", "y"]));
        other.absorb(gaps(&["x", "c"]));
        assert_eq!(one, other);
        assert_eq!(one.paths["a.b"], Gap { count: 4, example: "b".to_owned(), reason: Some("why".to_owned()) });
        assert_eq!(one.operations[&("s".to_owned(), "CreateUser".to_owned())], 2);
    }
}
