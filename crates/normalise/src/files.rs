//! The files of one log type, read and checked: `log.toml`, `mapping.toml`, `operations.tsv`, `exports.toml`,
//! `lines.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use vigie_model::{LinkKind, LogType};
use vigie_record::{Export, LineForms, PathSet, TextLists, Value};

use crate::ContentError;
use crate::expression::{Expression, parse};
use crate::function::Function;
use crate::operations::Operations;
use crate::passthrough::Passthrough;

/// The format of content files that this version reads.
pub(crate) const FORMAT: u32 = 1;

/// Sigma's name for a log type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSource {
    /// `aws`, `okta` ...
    #[serde(default)]
    pub product: Option<String>,
    /// `cloudtrail` ...
    #[serde(default)]
    pub service: Option<String>,
    /// `process_creation` ...
    #[serde(default)]
    pub category: Option<String>,
}

/// What names an event for its provider: paths in the record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The provider's id, where events have one.
    #[serde(default)]
    pub id: Option<String>,
    /// Within what the id is unique.
    #[serde(default)]
    pub scope: Option<String>,
    /// When it happened.
    pub time: String,
    /// Whether a record without a readable time is an event of the instant of its delivery.
    #[serde(default, rename = "time_optional")]
    pub is_time_optional: bool,
}

/// What a record of a log has: a value at a path, or one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The path in the record.
    pub path: String,
    /// Texts of which it is one, case kept; any value will do when there are none.
    pub texts: Vec<String>,
}

impl Mark {
    /// `path`, or `path=text|text`.
    fn of(text: &str) -> Mark {
        match text.split_once('=') {
            None => Mark { path: text.trim().to_owned(), texts: Vec::new() },
            Some((path, texts)) => {
                let texts = texts.split('|').map(|text| text.trim().to_owned()).collect();
                Mark { path: path.trim().to_owned(), texts }
            }
        }
    }

    /// Whether a value is what the mark asks for.
    pub fn holds(&self, value: &Value<'_>) -> bool {
        match value {
            Value::Absent => false,
            _ if self.texts.is_empty() => true,
            value => value.text().is_some_and(|found| self.texts.iter().any(|text| *text == found)),
        }
    }
}

/// A record that holds a record of this log at a path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrapper {
    /// Where the inner record stands.
    pub path: String,
    /// Whether it is a text that holds JSON, rather than an object.
    #[serde(default)]
    pub is_text: bool,
    /// Whether each member of the list there is a record together with what stands around the list.
    #[serde(default)]
    pub is_split: bool,
    /// Whether it is a text that holds JSON in base64.
    #[serde(default)]
    pub is_base64: bool,
    /// Whether the texts of the lists there are lines of this log, each a record.
    #[serde(default)]
    pub is_lines: bool,
    /// What is laid into the inner record where it has none: names, and paths in the record around it.
    #[serde(default)]
    pub keep: BTreeMap<String, String>,
}

impl Wrapper {
    /// The lists of lines that it names, with what is kept around them.
    ///
    /// # Errors
    /// The path of something that stands in no object around them.
    pub fn text_lists(&self) -> Result<TextLists, String> {
        TextLists::new(&self.path, &self.keep)
    }

    fn check(&self) -> Result<(), ContentError> {
        let wrong = |what: String| Err(ContentError::new("log.toml", format!("the wrapper `{}` {what}", self.path)));
        let kinds = [self.is_text, self.is_split, self.is_base64, self.is_lines];
        if kinds.iter().filter(|kind| **kind).count() > 1 {
            return wrong("is of two kinds; write one of `is_text`, `is_split`, `is_base64` and `is_lines`".to_owned());
        }
        if self.is_split && !self.keep.is_empty() {
            return wrong("is split, which keeps everything; leave `keep` out".to_owned());
        }
        match self.text_lists() {
            Err(path) if self.is_lines => wrong(format!("keeps `{path}`, which stands in no object around its lists")),
            _ => Ok(()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogFile {
    format: u32,
    id: String,
    title: String,
    logsource: LogSources,
    recognise: Recognise,
    identity: Identity,
    #[serde(default)]
    envelope: Envelope,
    #[serde(default)]
    wrapper: Vec<Wrapper>,
    #[serde(default)]
    taxonomy: BTreeMap<String, String>,
}

/// One name, or several: `[logsource]` or `[[logsource]]`.
#[derive(Deserialize)]
#[serde(untagged)]
enum LogSources {
    One(LogSource),
    Several(Vec<LogSource>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recognise {
    any_of: Vec<Vec<String>>,
    #[serde(default)]
    is_last: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingFile {
    format: u32,
    version: String,
    ocsf: String,
    profiles: Vec<String>,
    operations: crate::operations::Section,
    #[serde(default)]
    requires: BTreeMap<String, String>,
    #[serde(default)]
    passthrough: Option<PassthroughSection>,
    fields: BTreeMap<String, String>,
    #[serde(default)]
    class: BTreeMap<String, BTreeMap<String, String>>,
    principal: PrincipalSection,
    #[serde(default)]
    link: Vec<LinkSection>,
    #[serde(default)]
    unmapped: Vec<Unmapped>,
}

/// Paths that no field reads, and why: OCSF has no member for them, or what they say stands elsewhere.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unmapped {
    /// A path with all that is below it, or the beginning of paths before a star.
    paths: Vec<String>,
    reason: String,
}

impl Unmapped {
    fn check(&self) -> Result<(), ContentError> {
        let wrong = |what: String| Err(ContentError::new("mapping.toml", format!("`unmapped`: {what}")));
        if self.paths.is_empty() || self.reason.trim().is_empty() {
            return wrong("a part has no paths or no reason; write both".to_owned());
        }
        match self.paths.iter().find(|path| path.strip_suffix('*').unwrap_or(path).contains('*')) {
            Some(path) => wrong(format!("`{path}` has a star before its end; write the path up to the first of them")),
            None => Ok(()),
        }
    }

    fn holds(&self, path: &str) -> bool {
        self.paths.iter().any(|known| match known.strip_suffix('*') {
            Some(head) => path.starts_with(head),
            None => path.strip_prefix(known.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PassthroughSection {
    from: String,
    #[serde(default)]
    expected: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrincipalSection {
    credential: String,
    uid: String,
    name: String,
    person: String,
    /// A word, not an expression; the log's product when left out.
    #[serde(default)]
    space: Option<String>,
}

/// How one end of a link is named, and when: expressions, empty where nothing is said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkSection {
    kind: LinkKind,
    #[serde(default)]
    operations: Vec<String>,
    #[serde(default)]
    when: String,
    #[serde(default)]
    credential: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    space: String,
    #[serde(default)]
    by: Option<BySection>,
}

/// Who stands behind, where that is not who acts in the record.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BySection {
    #[serde(default)]
    credential: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    person: String,
    #[serde(default)]
    space: String,
}

/// One OCSF field of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// The OCSF path; `[]` marks an array whose members the expression gives.
    pub(crate) to: String,
    /// Only for events of this class.
    pub(crate) class: Option<u32>,
    pub(crate) from: Expression,
}

impl Field {
    /// The path as a rule writes it: without the array marks.
    pub(crate) fn plain_path(&self) -> String {
        self.to.split('.').map(|name| name.split('[').next().unwrap_or(name)).collect::<Vec<_>>().join(".")
    }
}

/// Expressions that name a principal.
#[derive(Debug, Clone)]
pub(crate) struct PrincipalFields {
    pub(crate) credential: Expression,
    pub(crate) uid: Expression,
    pub(crate) name: Expression,
    pub(crate) person: Option<Expression>,
    pub(crate) space: Expression,
}

/// One kind of link and how its ends are named.
#[derive(Debug, Clone)]
pub(crate) struct LinkFields {
    pub(crate) kind: LinkKind,
    /// Operations that prove it; every one when there are none.
    pub(crate) operations: Vec<String>,
    /// What a record must have, too.
    pub(crate) when: Option<Expression>,
    pub(crate) child: PrincipalFields,
    /// Who stands behind; without it who acts in the record.
    pub(crate) parent: Option<PrincipalFields>,
}

/// Where a record says its own class and activity.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) class: Expression,
    pub(crate) activity: Option<Expression>,
    /// The classes that may be given.
    pub(crate) known: BTreeSet<u32>,
}

/// The mapping of one log type, parsed and checked.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// `aws/cloudtrail`
    pub log: LogType,
    /// The name for people.
    pub title: String,
    /// The mapping's own version; part of every document.
    pub version: String,
    /// Sigma's names: rules for any of them apply.
    pub logsources: Vec<LogSource>,
    /// What names an event.
    pub identity: Identity,
    /// Keys of envelopes.
    pub envelope_keys: Vec<String>,
    /// Records inside others.
    pub wrappers: Vec<Wrapper>,
    /// Groups of paths: a record with every path of one group is of this log.
    pub recognise: Vec<Vec<Mark>>,
    /// Whether it takes only records that are of no other log.
    pub is_last: bool,
    /// Field names that Sigma rules use for this log, and where they stand in the record.
    pub taxonomy: BTreeMap<String, String>,
    /// Tables whose rows are records of this log.
    pub exports: Vec<Export>,
    /// Lines of text that are records of this log.
    pub lines: LineForms,
    pub(crate) ocsf: String,
    pub(crate) profiles: Vec<String>,
    pub(crate) paths: PathSet,
    pub(crate) fields: Vec<Field>,
    /// What a class needs; without it the operation falls back to the default class.
    pub(crate) requires: Vec<(u32, Expression)>,
    /// Shared with its programmes.
    pub(crate) operations: Arc<Operations>,
    pub(crate) principal: PrincipalFields,
    pub(crate) links: Vec<LinkFields>,
    pub(crate) given: Option<Given>,
    pub(crate) passthrough: Option<Passthrough>,
    unmapped: Vec<Unmapped>,
}

impl Mapping {
    /// Reads the files of one log type; `file` gives the text of a file of its folder by name.
    ///
    /// # Errors
    /// The first mistake found, with its file.
    pub fn parse(file: &dyn Fn(&str) -> Option<String>) -> Result<Mapping, ContentError> {
        let read = |name: &str| file(name).ok_or_else(|| ContentError::new(name, "is missing from the log's folder"));
        let log: LogFile =
            toml::from_str(&read("log.toml")?).map_err(|error| ContentError::new("log.toml", error.to_string()))?;
        let mapping: MappingFile =
            toml::from_str(&read("mapping.toml")?).map_err(|error| ContentError::new("mapping.toml", error.to_string()))?;
        for (name, format) in [("log.toml", log.format), ("mapping.toml", mapping.format)] {
            if format != FORMAT {
                return Err(ContentError::new(name, format!("has format {format}; this version reads format {FORMAT}")));
            }
        }
        log.wrapper.iter().try_for_each(Wrapper::check)?;
        mapping.unmapped.iter().try_for_each(Unmapped::check)?;
        let mut paths = PathSet::new();
        let operations = Arc::new(Operations::parse(&mapping.operations, &read, &mut paths)?);
        let fields = fields(&mapping, &mut paths)?;
        let mut requires = Vec::new();
        for (class, text) in &mapping.requires {
            requires.push((class_number(class)?, expression("requires", text, &mut paths)?));
        }
        let id = LogType::parse(&log.id).ok_or_else(|| ContentError::new("log.toml", "`id` must be product/service"))?;
        let (principal, links) = principals(id.product(), &mapping, &mut paths)?;
        let given = given(&mapping, &mut paths)?;
        let passthrough = mapping.passthrough.as_ref().map(passthrough).transpose()?;
        Ok(Mapping {
            log: id,
            title: log.title,
            version: mapping.version,
            logsources: match log.logsource {
                LogSources::One(source) => vec![source],
                LogSources::Several(sources) => sources,
            },
            identity: log.identity,
            envelope_keys: log.envelope.keys,
            wrappers: log.wrapper,
            recognise: log.recognise.any_of.iter().map(|group| group.iter().map(|text| Mark::of(text)).collect()).collect(),
            is_last: log.recognise.is_last,
            taxonomy: log.taxonomy,
            exports: file("exports.toml").map_or(Ok(Vec::new()), |text| crate::exports::parse(&text))?,
            lines: file("lines.toml").map_or(Ok(LineForms::default()), |text| crate::lines::parse(&text))?,
            ocsf: mapping.ocsf,
            profiles: mapping.profiles,
            paths,
            fields,
            requires,
            operations,
            principal,
            links,
            given,
            passthrough,
            unmapped: mapping.unmapped,
        })
    }

    /// Says which classes a record may say that it is of. Without them it is of none of its own.
    pub fn know_classes(&mut self, classes: impl IntoIterator<Item = u32>) {
        if let Some(given) = &mut self.given {
            given.known.extend(classes);
        }
    }

    /// Every class that the mapping itself gives.
    pub fn classes(&self) -> BTreeSet<u32> {
        self.operations.classes().collect()
    }

    /// Why a path of the record stays in `unmapped`, where the mapping says it.
    pub(crate) fn reason(&self, path: &str) -> Option<&str> {
        self.unmapped.iter().find(|unmapped| unmapped.holds(path)).map(|unmapped| unmapped.reason.as_str())
    }

    /// Whether a record says its own class.
    pub fn is_classed_by_record(&self) -> bool {
        self.given.is_some()
    }
}

fn given(mapping: &MappingFile, paths: &mut PathSet) -> Result<Option<Given>, ContentError> {
    let mut part = |text: &Option<String>, place: &str| text.as_ref().map(|text| expression(place, text, paths)).transpose();
    let class = part(&mapping.operations.class, "operations.class")?;
    let activity = part(&mapping.operations.activity, "operations.activity")?;
    if class.is_none() && activity.is_some() {
        return Err(ContentError::new("mapping.toml", "`operations.activity` wants `operations.class` beside it"));
    }
    Ok(class.map(|class| Given { class, activity, known: BTreeSet::new() }))
}

fn passthrough(section: &PassthroughSection) -> Result<Passthrough, ContentError> {
    let mut expected = Vec::new();
    for (class, paths) in &section.expected {
        let class = if class == "all" { None } else { Some(class_number(class)?) };
        expected.extend(paths.iter().map(|path| (class, path.clone())));
    }
    Ok(Passthrough { from: section.from.clone(), expected })
}

fn expression(place: &str, text: &str, paths: &mut PathSet) -> Result<Expression, ContentError> {
    parse(text, paths).map_err(|what| ContentError::new("mapping.toml", format!("`{place}`: {what}")))
}

fn class_number(class: &str) -> Result<u32, ContentError> {
    class.parse().map_err(|_| ContentError::new("mapping.toml", format!("`{class}` must be a class number")))
}

fn fields(mapping: &MappingFile, paths: &mut PathSet) -> Result<Vec<Field>, ContentError> {
    let mut fields = Vec::new();
    let mut field = |to: &String, class, text: &String| {
        let from = expression(to, text, paths)?;
        check_path(to, &from).map_err(|what| ContentError::new("mapping.toml", format!("`{to}`: {what}")))?;
        fields.push(Field { to: to.clone(), class, from });
        Ok(())
    };
    for (to, text) in &mapping.fields {
        field(to, None, text)?;
    }
    for (class, members) in &mapping.class {
        let number = class_number(class)?;
        members.iter().try_for_each(|(to, text)| field(to, Some(number), text))?;
    }
    Ok(fields)
}

/// Highest number of a member of a list that a field may name.
const MEMBER_MAX: usize = 15;

/// Checks the marks of arrays in the path of a field.
fn check_path(to: &str, from: &Expression) -> Result<(), String> {
    for name in to.split('.') {
        match name.split_once('[').map(|(_, mark)| mark.strip_suffix(']').unwrap_or("?")) {
            None => {}
            Some("") if matches!(from, Expression::Call(Function::Each, _)) => {}
            Some("") => return Err("`[]` wants `each(list, member)`; write `[0]` for the first member of a list".to_owned()),
            Some(number) if number.parse().is_ok_and(|number: usize| number <= MEMBER_MAX) => {}
            Some(_) => return Err(format!("a member of a list is `[0]` to `[{MEMBER_MAX}]`")),
        }
    }
    Ok(())
}

fn principals(
    product: &str,
    mapping: &MappingFile,
    paths: &mut PathSet,
) -> Result<(PrincipalFields, Vec<LinkFields>), ContentError> {
    let section = &mapping.principal;
    let own = section.space.as_deref().unwrap_or(product);
    let principal = PrincipalFields {
        credential: expression("principal.credential", &section.credential, paths)?,
        uid: expression("principal.uid", &section.uid, paths)?,
        name: expression("principal.name", &section.name, paths)?,
        person: Some(expression("principal.person", &section.person, paths)?),
        space: Expression::Literal(own.to_owned()),
    };
    let mut links = Vec::new();
    for link in &mapping.link {
        let mut part = |text: &str, otherwise: &str| match text {
            "" => Ok(Expression::Literal(otherwise.to_owned())),
            text => expression("link", text, paths),
        };
        let child = PrincipalFields {
            credential: part(&link.credential, "")?,
            uid: part(&link.uid, "")?,
            name: part(&link.name, "")?,
            person: None,
            space: part(&link.space, own)?,
        };
        let mut parent = None;
        if let Some(by) = &link.by {
            parent = Some(PrincipalFields {
                credential: part(&by.credential, "")?,
                uid: part(&by.uid, "")?,
                name: part(&by.name, "")?,
                person: Some(part(&by.person, "")?),
                space: part(&by.space, own)?,
            });
        }
        let when = if link.when.is_empty() { None } else { Some(part(&link.when, "")?) };
        links.push(LinkFields { kind: link.kind, operations: link.operations.clone(), when, child, parent });
    }
    Ok((principal, links))
}
