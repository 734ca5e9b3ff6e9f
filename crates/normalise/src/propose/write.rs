//! Writes the files of a proposed log type.

use std::fmt::Write as _;

use vigie_model::LogType;

use super::roles::{FAILED, Role, Roles, SEVERITIES, SUCCEEDED};
use crate::document::quote;
use crate::gaps::first_word;

/// What the files are written from.
pub(super) struct Writer<'a> {
    pub(super) log: &'a LogType,
    pub(super) records: usize,
    pub(super) roles: &'a Roles<'a>,
    pub(super) operations: &'a [&'a String],
}

/// What operations with a word of this beginning do: its verb, class and activity. Those of fewer letters
/// are whole words.
const ACTS: [(&str, &str, u32, u32); 29] = [
    ("logout", "identity.session.end", 3002, 2),
    ("logoff", "identity.session.end", 3002, 2),
    ("signout", "identity.session.end", 3002, 2),
    ("login", "identity.login.portal", 3002, 1),
    ("logon", "identity.login.portal", 3002, 1),
    ("signin", "identity.login.portal", 3002, 1),
    ("authenticat", "identity.login.portal", 3002, 1),
    ("creat", "cloud.resource.create", 6003, 1),
    ("insert", "cloud.resource.create", 6003, 1),
    ("import", "cloud.resource.create", 6003, 1),
    ("upload", "cloud.resource.create", 6003, 1),
    ("invit", "cloud.resource.create", 6003, 1),
    ("delet", "cloud.resource.delete", 6003, 4),
    ("remov", "cloud.resource.delete", 6003, 4),
    ("destroy", "cloud.resource.delete", 6003, 4),
    ("terminat", "cloud.resource.delete", 6003, 4),
    ("revok", "cloud.resource.delete", 6003, 4),
    ("updat", "cloud.resource.update", 6003, 3),
    ("modif", "cloud.resource.update", 6003, 3),
    ("chang", "cloud.resource.update", 6003, 3),
    ("edit", "cloud.resource.update", 6003, 3),
    ("enabl", "cloud.resource.update", 6003, 3),
    ("disabl", "cloud.resource.update", 6003, 3),
    ("grant", "cloud.resource.update", 6003, 3),
    ("renam", "cloud.resource.update", 6003, 3),
    ("added", "cloud.resource.update", 6003, 3),
    ("add", "cloud.resource.update", 6003, 3),
    ("set", "cloud.resource.update", 6003, 3),
    ("put", "cloud.resource.update", 6003, 3),
];
/// Letters of a beginning from which on other letters may follow.
const STEM_LETTERS: usize = 4;

/// Leading words of operations, and OCSF's activity of calls.
const WORDS: [(&str, u32); 14] = [
    ("create", 1),
    ("add", 1),
    ("insert", 1),
    ("get", 2),
    ("list", 2),
    ("read", 2),
    ("describe", 2),
    ("view", 2),
    ("search", 2),
    ("update", 3),
    ("set", 3),
    ("put", 3),
    ("delete", 4),
    ("remove", 4),
];

impl Writer<'_> {
    /// `log.toml`.
    pub(super) fn log_file(&self, group: &[String], envelope: Option<&str>) -> String {
        let (product, service) = (self.log.product(), self.log.service());
        let paths: Vec<String> = group.iter().map(|path| quote(path)).collect();
        let mut out = format!(
            "# Begun by `vigie logs new` from {} records. Name the source: the vendor's page, and its date.\nformat = 1\nid = {}\ntitle = {}\n\n",
            self.records,
            quote(&self.log.0),
            quote(&format!("{product} {service}")),
        );
        let _ = write!(
            out,
            "# Sigma's names for this log; check them against Sigma's taxonomy.\n[logsource]\nproduct = {}\nservice = {}\n\n",
            quote(product),
            quote(service),
        );
        let _ = write!(
            out,
            "# Every record that it was begun from has these paths. Choose those that no record of another log has.\n[recognise]\nany_of = [[{}]]\n\n[identity]\n",
            paths.join(", "),
        );
        let time = self.roles.path(Role::Time).unwrap_or_default();
        // Without an id of its own a record is named by its place; a path that no record has says so.
        let _ = writeln!(out, "id = {}", quote(self.roles.path(Role::Id).unwrap_or("no.id.was.found")));
        if let Some(account) = self.roles.path(Role::Account) {
            let _ = writeln!(out, "scope = {}", quote(account));
        }
        let _ = writeln!(out, "time = {}", quote(time));
        if let Some(key) = envelope {
            let _ = write!(out, "\n[envelope]\nkeys = [{}]\n", quote(key));
        }
        out
    }

    /// `mapping.toml`.
    pub(super) fn mapping_file(&self) -> String {
        let has_cloud = self.has_cloud();
        let mut out = format!(
            "# {} -> OCSF 1.8.0. Begun by `vigie logs new`: read each line against the vendor's reference.\n\
             # The language is in docs/guide/mapping.md; `vigie logs gaps` says what is not read yet.\n\
             format = 1\nversion = \"1\"\nocsf = \"1.8.0\"\nprofiles = [{}]\n\n",
            self.log.0,
            if has_cloud { "\"cloud\"" } else { "" },
        );
        let (service, operation) = self.key();
        let words: Vec<String> = self.words().iter().map(|(word, activity)| format!("[{}, {activity}]", quote(word))).collect();
        let _ = write!(
            out,
            "[operations]\ntable = \"operations.tsv\"\nkey = [{}, {}]\n[operations.default]\nclass_uid = 6003\nverb = \"cloud.api.call\"\nactivity = [{}]\n\n[fields]\n",
            quote(&service),
            quote(&operation),
            words.join(", "),
        );
        for (to, expression) in self.fields() {
            let _ = writeln!(out, "{} = {}", quote(to), quote(&expression));
        }
        if self.acts().any(|(_, act)| act.2 == 3002) {
            out.push_str("\n# Who signs in, and to what.\n[class.3002]\n");
            for (to, role) in [("user.name", Role::UserName), ("user.uid", Role::UserUid)] {
                if self.roles.path(role).is_some() {
                    let _ = writeln!(out, "{} = {}", quote(to), quote(&self.text(role)));
                }
            }
            let _ = writeln!(out, "\"service.name\" = \"'{}'\"", self.log.service());
        }
        out.push_str("\n# Who acts: the credential, the identity, and the person where the record names one.\n[principal]\n");
        for (key, role) in [("credential", Role::Credential), ("uid", Role::UserUid), ("name", Role::UserName)] {
            let _ = writeln!(out, "{key} = {}", quote(&self.text(role)));
        }
        out.push_str("person = \"''\"\n");
        out
    }

    /// `operations.tsv`: what the records show, one row for each operation that changes something.
    pub(super) fn operations_file(&self) -> String {
        let mut out = "service\toperation\tverb\tclass_uid\tactivity_id\ttarget\tpeer\n".to_owned();
        let target = self.roles.path(Role::Target).unwrap_or_default();
        let (service, operation) = self.key();
        let services: Vec<&String> = self.roles.field(Role::Service).into_iter().flat_map(|field| &field.values).collect();
        for (name, (_, verb, class, activity)) in self.acts() {
            // Which service an operation is of is known when there is only one.
            let of = match services.as_slice() {
                _ if service == operation => name,
                [only] => only.as_str(),
                _ => continue,
            };
            if ![of, name].iter().any(|text| text.contains(char::is_control)) {
                let _ = writeln!(out, "{of}\t{name}\t{verb}\t{class}\t{activity}\t{target}\t");
            }
        }
        out
    }

    /// The two paths that choose a row. One of several services would need rows that records do not show.
    fn key(&self) -> (String, String) {
        let operation = self.roles.path(Role::Operation).unwrap_or("no.operation.was.found");
        let service = self.roles.field(Role::Service).filter(|field| field.values.len() == 1);
        (service.map_or(operation, |field| field.path.as_str()).to_owned(), operation.to_owned())
    }

    fn has_cloud(&self) -> bool {
        [Role::Account, Role::Region].iter().any(|role| self.roles.path(*role).is_some())
    }

    fn text(&self, role: Role) -> String {
        self.roles.path(role).map_or("''".to_owned(), |path| format!("text({path})"))
    }

    /// OCSF paths and their expressions.
    fn fields(&self) -> Vec<(&'static str, String)> {
        let (product, service) = (self.log.product(), self.log.service());
        let mut fields = vec![
            ("metadata.product.name", format!("'{service}'")),
            ("metadata.product.vendor_name", format!("'{product}'")),
            ("metadata.log_name", format!("'{}'", self.log.0)),
        ];
        if self.has_cloud() {
            fields.push(("cloud.provider", format!("'{product}'")));
        }
        for (role, field) in self.roles.list() {
            let path = &field.path;
            match role {
                Role::Time => fields.push(("time", format!("time_ms({path})"))),
                Role::Address => {
                    fields.push(("src_endpoint.ip", format!("ip({path})")));
                    fields.push(("src_endpoint.domain", format!("not_ip({path})")));
                }
                Role::Outcome => fields.push(("status_id", self.outcome(path))),
                Role::Severity => {
                    let known =
                        SEVERITIES.iter().filter(|(word, _)| field.values.iter().any(|value| value.to_lowercase() == *word));
                    let pairs: Vec<String> = known.map(|(word, number)| format!("'{word}', {number}")).collect();
                    fields.push(("severity_id", format!("first(choose(lower(text({path})), {}), 0)", pairs.join(", "))));
                }
                // Targets stand in the table of operations.
                Role::Target => {}
                role => fields.push((role.to(), format!("text({path})"))),
            }
        }
        if self.roles.path(Role::Severity).is_none() {
            fields.push(("severity_id", "1".to_owned()));
        }
        if let (None, Some(error)) = (self.roles.path(Role::Outcome), self.roles.path(Role::Error)) {
            fields.push(("status_id", format!("outcome({error})")));
        }
        fields.sort();
        fields
    }

    /// OCSF's status of the words that the records have for it.
    fn outcome(&self, path: &str) -> String {
        let values = self.roles.field(Role::Outcome).map(|field| &field.values);
        let is_used = |word: &&&str| values.is_some_and(|values| values.iter().any(|value| value.to_lowercase() == ***word));
        let succeeded = SUCCEEDED.iter().filter(is_used).map(|word| format!("'{word}', 1"));
        let failed = FAILED.iter().filter(is_used).map(|word| format!("'{word}', 2"));
        let pairs: Vec<String> = succeeded.chain(failed).collect();
        format!("first(choose(lower(text({path})), {}), 99)", pairs.join(", "))
    }

    /// Leading words in the spelling of the operations.
    fn words(&self) -> Vec<(String, u32)> {
        let is_capital = self.operations.iter().any(|name| first_word(name).starts_with(char::is_uppercase));
        let spelt = |word: &str| {
            let mut letters = word.chars();
            match letters.next() {
                Some(first) if is_capital => first.to_ascii_uppercase().to_string() + letters.as_str(),
                _ => word.to_owned(),
            }
        };
        WORDS.iter().map(|(word, activity)| (spelt(word), *activity)).collect()
    }

    /// Operations that change something or let somebody in, and what they do.
    fn acts(&self) -> impl Iterator<Item = (&str, (&'static str, &'static str, u32, u32))> {
        self.operations.iter().filter_map(|name| Some((name.as_str(), act(name)?)))
    }
}

/// What an operation does, by the first of its words that says so.
fn act(operation: &str) -> Option<(&'static str, &'static str, u32, u32)> {
    let mut rest = operation;
    let mut words = Vec::new();
    while !rest.is_empty() {
        let word = first_word(rest);
        words.push(word.to_lowercase());
        let behind = rest.get(word.len()..).unwrap_or_default();
        rest = behind.trim_start_matches(|c: char| !c.is_alphanumeric());
        // A name that begins with no letter gives no word.
        if word.is_empty() && rest.len() == behind.len() {
            return None;
        }
    }
    // `sign in`, `log_out` and the like are one word.
    let pairs = words.windows(2).map(|pair| pair.concat());
    let all: Vec<String> = pairs.chain(words.iter().cloned()).collect();
    let says = |stem: &str, word: &String| if stem.len() < STEM_LETTERS { word == stem } else { word.starts_with(stem) };
    ACTS.iter().find(|(stem, ..)| all.iter().any(|word| says(stem, word))).copied()
}
