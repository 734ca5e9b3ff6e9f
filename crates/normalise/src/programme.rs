//! A mapping compiled for the OCSF paths that somebody wants.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use vigie_model::{Event, EventFacts, EventId, Link, LinkKind, LogType, MILLIS_MAX, NameSpace, Principal};
use vigie_record::{PathSet, Row, SlotId, Value, View, Walk};

use crate::expression::Expression;
use crate::files::{Field, Given, Mapping, PrincipalFields};
use crate::function::{Function, Scope, evaluate, within};
use crate::operations::Operation;

/// How the value of one wanted path comes about.
#[derive(Debug)]
enum Source {
    /// When the event happened.
    Occurred,
    /// The same as an earlier path, copied when that has its value.
    Shared,
    /// A scalar of the record as text: what most paths are.
    Text(SlotId),
    /// The first scalar that is there.
    FirstText(Vec<SlotId>),
    Verb,
    Target,
    Peer,
    ClassUid,
    CategoryUid,
    ActivityId,
    TypeUid,
    /// The first that applies: an expression, for one class or for all.
    Fields(Vec<(Option<u32>, Expression)>),
    /// Every value at a path of the record.
    Every(SlotId),
    /// The value of an expression for each member of a list.
    Members(SlotId, Expression),
    /// No field of the mapping ever gives it.
    Never,
}

/// What an operation is in one record: a row of the table, and what the record says itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chosen<'m> {
    pub(crate) row: &'m Operation,
    pub(crate) verb: &'m str,
    pub(crate) class_uid: u32,
    pub(crate) activity_id: u32,
}

impl Chosen<'_> {
    pub(crate) fn category_uid(&self) -> u32 {
        self.class_uid / 1000
    }

    pub(crate) fn type_uid(&self) -> i64 {
        i64::from(self.class_uid) * 100 + i64::from(self.activity_id)
    }

    /// Takes what the record says, where that can be.
    #[inline(never)]
    fn take(&mut self, given: &Given, row: &View<'_, '_>) {
        let whole = |expression: &Expression| {
            let number = evaluate(expression, row).number().filter(|number| number.fract() == 0.0)?;
            (0.0..f64::from(u32::MAX)).contains(&number).then_some(number as u32)
        };
        self.class_uid = whole(&given.class).filter(|class| given.known.contains(class)).unwrap_or(self.class_uid);
        let activity = given.activity.as_ref().and_then(whole).filter(|activity| *activity < ACTIVITIES);
        self.activity_id = activity.unwrap_or(self.activity_id);
    }
}

/// The path of a member of a list that is no object.
const MEMBER_ITSELF: &str = "_";

/// Activities of a class: each type is class * 100 + activity.
const ACTIVITIES: u32 = 100;

/// A compiled mapping: record paths in, wanted OCSF paths out.
#[derive(Debug)]
pub struct Programme {
    pub(crate) mapping: Mapping,
    /// What events need of a record.
    paths: PathSet,
    /// What documents need besides: the same slots.
    whole_paths: PathSet,
    sources: Vec<Source>,
    /// Paths that get the value of an earlier one: to and from.
    shares: Vec<(usize, usize)>,
    time: Expression,
    id: Option<SlotId>,
    scope: Option<SlotId>,
    facts: FactSlots,
    /// Reads all that documents need, and the members of lists.
    whole: OnceLock<Walk>,
}

/// The wanted paths that [`EventFacts`] is made of, interned first.
#[derive(Debug, Clone)]
struct FactSlots(Vec<SlotId>);

/// Places of two of the paths.
const OPERATION: usize = 2;
const ERROR: usize = 16;

const FACT_PATHS: [&str; 22] = [
    "metadata.uid",
    "verb",
    "api.operation",
    "api.service.name",
    "actor.user.name",
    "actor.user.uid",
    "actor.user.type",
    "actor.session.uid",
    "actor.user.credential_uid",
    "actor.invoked_by",
    "src_endpoint.ip",
    "src_endpoint.domain",
    "http_request.user_agent",
    "target",
    "cloud.account.uid",
    "cloud.region",
    "api.response.error",
    "api.response.error_message",
    "resources.uid",
    "class_uid",
    "activity_id",
    "peer",
];

impl Mapping {
    /// Compiles the mapping for `wanted` OCSF paths, to which the paths of [`EventFacts`] are added.
    /// A path that the mapping never gives is listed by [`Programme::never`].
    pub fn programme(&self, wanted: &mut PathSet) -> Programme {
        let mut mapping = self.clone();
        let facts = FactSlots(FACT_PATHS.iter().map(|path| wanted.intern(path)).collect());
        let mut paths = std::mem::take(&mut mapping.paths);
        let mut sources: Vec<Source> = wanted.iter().map(|path| mapping.source(path, &mut paths)).collect();
        let shares = share(&mut sources);
        sources.iter_mut().for_each(Source::simplify);
        sources.iter_mut().for_each(|source| source.read_inside(&mut paths));
        let time = match mapping.fields.iter().find(|field| field.to == "time") {
            Some(field) => field.from.clone(),
            None => Expression::Call(Function::TimeMs, vec![Expression::Path(paths.intern(&mapping.identity.time))]),
        };
        let id = mapping.identity.id.as_ref().map(|path| paths.intern(path));
        let scope = mapping.identity.scope.as_ref().map(|path| paths.intern(path));
        let whole = OnceLock::new();
        let mut programme =
            Programme { mapping, paths: PathSet::new(), whole_paths: paths, sources, shares, time, id, scope, facts, whole };
        let mut needed = BTreeSet::new();
        programme.each_slot(&mut |slot| _ = needed.insert(slot));
        programme.paths = programme.whole_paths.masked(|slot| needed.contains(&slot));
        programme
    }

    fn source(&self, wanted: &str, paths: &mut PathSet) -> Source {
        match wanted {
            "time" => return Source::Occurred,
            "verb" => return Source::Verb,
            "target" => return Source::Target,
            "peer" => return Source::Peer,
            "class_uid" => return Source::ClassUid,
            "category_uid" => return Source::CategoryUid,
            "activity_id" => return Source::ActivityId,
            "type_uid" => return Source::TypeUid,
            _ => {}
        }
        let exact: Vec<_> = self.fields.iter().filter(|field| field.plain_path() == wanted).collect();
        if let [field, others @ ..] = exact.as_slice()
            && others.iter().all(|other| other.from == field.from)
            && let Expression::Call(Function::Each, arguments) = &field.from
            && let [Expression::Path(array), member] = arguments.as_slice()
        {
            let Expression::Path(inner) = member else {
                return Source::Members(*array, member.clone());
            };
            return match [paths.path(*array), paths.path(*inner)].map(Option::unwrap_or_default) {
                [_, MEMBER_ITSELF] => Source::Every(*array),
                names => Source::Every(paths.intern(&names.join("."))),
            };
        }
        if !exact.is_empty() {
            // What holds for one class comes before what holds for all.
            let (some, all): (Vec<&Field>, Vec<&Field>) = exact.into_iter().partition(|field| field.class.is_some());
            let mut fields: Vec<_> = some.iter().chain(&all).map(|field| (field.class, field.from.clone())).collect();
            if let Some(passthrough) = &self.passthrough {
                fields.push((None, Expression::Path(paths.intern(&passthrough.path(wanted)))));
            }
            return Source::Fields(fields);
        }
        if let Some(passthrough) = self.passthrough.as_ref().filter(|passthrough| passthrough.is_whole()) {
            return self.held(wanted, paths).unwrap_or_else(|| Source::Every(paths.intern(&passthrough.path(wanted))));
        }
        if let Some(rest) = wanted.strip_prefix("unmapped.") {
            return Source::Every(paths.intern(rest));
        }
        if let Some(source) = self.held(wanted, paths) {
            return source;
        }
        match &self.passthrough {
            Some(passthrough) => Source::Every(paths.intern(&passthrough.path(wanted))),
            None => Source::Never,
        }
    }

    /// A path below an object that a field gives whole, or that stands in a text.
    fn held(&self, wanted: &str, paths: &mut PathSet) -> Option<Source> {
        for field in &self.fields {
            let Some(rest) = wanted.strip_prefix(&field.to).and_then(|rest| rest.strip_prefix('.')) else {
                continue;
            };
            let Expression::Call(Function::Object, arguments) = &field.from else {
                continue;
            };
            match arguments.as_slice() {
                [Expression::Path(object)] => {
                    let joined = format!("{}.{rest}", paths.path(*object).unwrap_or_default());
                    return Some(Source::Every(paths.intern(&joined)));
                }
                [Expression::Call(Function::Pairs, inner)] => {
                    let [list, name, values @ ..] = inner.as_slice() else {
                        continue;
                    };
                    let pick = [list, name, &Expression::Literal(rest.to_owned())].into_iter().chain(values).cloned().collect();
                    return Some(Source::Fields(vec![(field.class, Expression::Call(Function::Pick, pick))]));
                }
                [Expression::Call(Function::Json, inner)] => {
                    let path = match inner.get(1) {
                        Some(path) => format!("{}.{rest}", path.literal()),
                        None => rest.to_owned(),
                    };
                    let inside = inner.first().into_iter().cloned().chain([Expression::Literal(path)]).collect();
                    return Some(Source::Fields(vec![(field.class, Expression::Call(Function::Json, inside))]));
                }
                _ => {}
            }
        }
        None
    }

    /// Every verb that this mapping can give.
    pub fn verbs(&self) -> impl Iterator<Item = &str> {
        self.operations.verbs()
    }
}

impl Programme {
    /// Calls `visit` with every slot that events, their ids, and the principals and links in them come from.
    fn each_slot(&self, visit: &mut dyn FnMut(SlotId)) {
        for source in &self.sources {
            match source {
                Source::Text(slot) | Source::Every(slot) | Source::Members(slot, _) => visit(*slot),
                Source::FirstText(slots) => slots.iter().for_each(|slot| visit(*slot)),
                Source::Fields(fields) => fields.iter().for_each(|(_, expression)| expression.each_slot(visit)),
                _ => {}
            }
        }
        let Mapping { operations, requires, principal, links, given, .. } = &self.mapping;
        operations.each_slot(visit);
        let principals = links.iter().flat_map(|link| [Some(&link.child), link.parent.as_ref()]).flatten().chain([principal]);
        let parts = principals.flat_map(|PrincipalFields { credential, uid, name, person, space }| {
            [Some(credential), Some(uid), Some(name), person.as_ref(), Some(space)]
        });
        let given = given.iter().flat_map(|given| [Some(&given.class), given.activity.as_ref()]);
        let conditions = links.iter().map(|link| link.when.as_ref());
        let expressions = parts.chain(given).chain(conditions).flatten().chain(requires.iter().map(|(_, wanted)| wanted));
        expressions.chain([&self.time]).for_each(|expression| expression.each_slot(visit));
        [self.id, self.scope].into_iter().flatten().for_each(visit);
    }

    /// Gives a record as documents need it: with all that any field reads.
    pub(crate) fn wholly<T>(&self, row: &View<'_, '_>, read: impl FnOnce(&View<'_, '_>) -> T) -> T {
        let (walk, mut inner) = (self.whole_walk(), Row::new());
        if walk.read(row.record(), &mut inner).is_err() {
            return read(row);
        }
        let whole = walk.view(&inner, 0);
        read(&if row.is_last() { whole.last() } else { whole })
    }

    fn whole_walk(&self) -> &Walk {
        self.whole.get_or_init(|| Walk::compile(&[&self.whole_paths]))
    }

    /// The record paths that events come from: one of the sets of the lane's walk.
    pub fn paths(&self) -> &PathSet {
        &self.paths
    }

    /// Those that any field of a document reads, in the same slots.
    pub(crate) fn whole_paths(&self) -> &PathSet {
        &self.whole_paths
    }

    /// The log type whose records it shapes.
    pub fn log(&self) -> &LogType {
        &self.mapping.log
    }

    /// The version of the mapping.
    pub fn version(&self) -> &str {
        &self.mapping.version
    }

    /// Whether the record has the provider's own id: only then is an equal one a duplicate.
    pub fn is_named(&self, row: &View<'_, '_>) -> bool {
        self.id.is_some_and(|slot| row.text(slot).is_some())
    }

    /// The wanted paths that this mapping never gives, out of the set it was compiled for.
    pub fn never<'w>(&self, wanted: &'w PathSet) -> Vec<&'w str> {
        let pairs = wanted.iter().zip(&self.sources);
        pairs.filter(|(_, source)| matches!(source, Source::Never)).map(|(path, _)| path).collect()
    }

    /// Shapes one record into `event`. False when the record has no readable time: it belongs in
    /// quarantine, since nothing orders it.
    pub fn shape<'r>(&'r self, row: &View<'_, 'r>, event: &mut Event<'r>) -> bool {
        match evaluate(&self.time, row) {
            Value::Int(occurred) if (0..=MILLIS_MAX).contains(&occurred) => {
                self.shape_at(row, event, occurred);
                true
            }
            _ => false,
        }
    }

    /// Whether a record without a readable time is an event of the instant of its delivery.
    pub fn is_time_optional(&self) -> bool {
        self.mapping.identity.is_time_optional
    }

    /// Shapes one record into `event`, as what happened at this instant.
    pub fn shape_at<'r>(&'r self, row: &View<'_, 'r>, event: &mut Event<'r>, occurred: i64) {
        event.more.clear();
        event.values.resize(self.sources.len(), None);
        let scope = Scope::new(row);
        let operation = self.operation(&scope);
        for (number, (place, source)) in event.values.iter_mut().zip(&self.sources).enumerate() {
            *place = match source {
                Source::Text(slot) => row.text(*slot).map(Value::Text),
                Source::FirstText(slots) => slots.iter().find_map(|slot| row.text(*slot)).map(Value::Text),
                Source::Occurred => Some(Value::Int(occurred)),
                Source::Every(path) => {
                    let (mut first, more) = (None, &mut event.more);
                    let slot = SlotId(u32::try_from(number).unwrap_or(u32::MAX));
                    row.each_raw(*path, &mut |value| match first {
                        None => first = Some(value),
                        Some(_) => more.push((slot, value)),
                    });
                    first
                }
                Source::Members(list, member) => {
                    let (mut first, more) = (None, &mut event.more);
                    let slot = SlotId(u32::try_from(number).unwrap_or(u32::MAX));
                    self.each_member_value(*list, member, row, &mut |value| match first {
                        _ if value.is_none() => {}
                        None => first = Some(value),
                        Some(_) => more.push((slot, value)),
                    });
                    first
                }
                source => Some(value(source, &operation, &scope)).filter(|value| !matches!(value, Value::Absent)),
            };
        }
        for &(to, from) in &self.shares {
            let value = event.values.get(from).cloned().flatten();
            if let Some(place) = event.values.get_mut(to) {
                *place = value;
            }
        }
        event.occurred = occurred;
    }

    /// Calls `visit` with the value of an expression for each member of a list, absent ones too.
    pub(crate) fn each_member_value<'r>(
        &'r self,
        list: SlotId,
        member: &'r Expression,
        row: &View<'_, 'r>,
        visit: &mut dyn FnMut(Value<'r>),
    ) {
        let (Value::List(bytes), walk) = (row.get(list), self.whole_walk()) else {
            return;
        };
        let is_itself = matches!(member, Expression::Path(slot) if self.whole_paths.path(*slot) == Some(MEMBER_ITSELF));
        let mut inner = Row::new();
        vigie_record::each_item(bytes, &mut |item| match item {
            Value::Object(object) if walk.read(object, &mut inner).is_ok() => visit(evaluate(member, &walk.view(&inner, 0))),
            Value::Object(_) | Value::List(_) | Value::Null => visit(Value::Absent),
            item if is_itself => visit(item),
            _ => visit(Value::Absent),
        });
    }

    /// What the operation of a record is: the table's row, or its fallback when the record lacks
    /// what the row's class requires, with what the record says itself.
    pub(crate) fn operation<'m: 'r, 'r>(&'m self, scope: &Scope<'_, 'r>) -> Chosen<'m> {
        let row = scope.row();
        let operation = self.mapping.operations.of(row);
        let lacks = |(class, wanted): &&'m (u32, Expression)| *class == operation.class_uid && within(wanted, scope).is_none();
        let operation = match &operation.otherwise {
            Some(fallback) if self.mapping.requires.iter().find(lacks).is_some() => fallback,
            _ => operation,
        };
        let (class_uid, activity_id) = (operation.class_uid, operation.activity_id);
        let mut chosen = Chosen { row: operation, verb: &operation.verb, class_uid, activity_id };
        if let Some(given) = &self.mapping.given {
            chosen.take(given, row);
        }
        chosen.verb = self.mapping.operations.foreign_verb(row).unwrap_or(chosen.verb);
        chosen
    }

    /// The id of the event that a row is, with the provider's own id.
    ///
    /// Without the provider's id its place names it: equal records are often real repeats.
    pub fn identify(
        &self,
        names: NameSpace,
        row: &View<'_, '_>,
        occurred: i64,
        value_hash: u64,
        place: impl FnOnce() -> u64,
    ) -> EventId {
        let scope = self.scope.and_then(|slot| row.text(slot)).unwrap_or_default();
        let name = match self.id.and_then(|slot| row.text(slot)) {
            Some(id) => names.hash(id.as_bytes(), scope.as_bytes()),
            None => place(),
        };
        EventId::new(occurred, name, value_hash)
    }

    /// What a finding keeps of an event.
    pub fn facts(&self, id: EventId, event: &Event<'_>) -> EventFacts {
        let at =
            |number: usize| self.facts.0.get(number).and_then(|slot| event.values.get(slot.index())).and_then(Option::as_ref);
        let text =
            |number: usize| at(number).and_then(|value| value.text().map(std::borrow::Cow::into_owned)).unwrap_or_default();
        let integer = |number: usize| match at(number) {
            Some(Value::Int(value)) => u32::try_from(*value).unwrap_or(0),
            _ => 0,
        };
        let mut resources = Vec::new();
        if let Some(slot) = self.facts.0.get(18) {
            vigie_record::Fields::each_value(event, *slot, &mut |value| {
                resources.extend(value.text().map(std::borrow::Cow::into_owned));
            });
        }
        let address = Some(text(10)).filter(|ip| !ip.is_empty()).unwrap_or_else(|| text(11));
        EventFacts {
            id: id.0,
            uid: text(0),
            occurred: event.occurred,
            delivered: None,
            log: self.mapping.log.0.clone(),
            verb: text(1),
            operation: text(2),
            service: text(3),
            actor: text(4),
            actor_uid: text(5),
            actor_type: text(6),
            session: text(7),
            credential: text(8),
            invoked_by: text(9),
            address,
            user_agent: text(12),
            target: text(13),
            peer: text(21),
            account: text(14),
            region: text(15),
            error: text(16),
            error_message: text(17),
            resources,
            class_uid: integer(19),
            activity_id: integer(20),
        }
    }

    /// A hash of the credential (or, without one, the identity) that acts, and whether it was refused.
    pub fn actor(&self, event: &Event<'_>) -> (u64, bool) {
        let text = |number: usize| {
            let slot = self.facts.0.get(number)?;
            match event.values.get(slot.index())?.as_ref()? {
                Value::Text(text) => Some(vigie_record::hash_text(text.as_bytes())),
                _ => None,
            }
        };
        (text(8).or_else(|| text(5)).unwrap_or(0), text(16).is_some())
    }

    /// The account that an event happened in.
    pub fn account<'e>(&self, event: &'e Event<'_>) -> Option<&'e str> {
        match event.values.get(self.facts.0.get(14)?.index())?.as_ref()? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What the record proves about who stands behind whom; nothing when what it tells of was refused.
    pub fn links(&self, row: &View<'_, '_>, event: &Event<'_>) -> Vec<Link> {
        let mut links = Vec::new();
        if self.mapping.links.is_empty() {
            return links;
        }
        let at = |number: usize| self.facts.0.get(number).map_or(Value::Absent, |slot| vigie_record::Fields::value(event, *slot));
        if at(ERROR).text().is_some_and(|error| !error.is_empty()) {
            return links;
        }
        let operation = at(OPERATION);
        let operation = operation.text().unwrap_or_default();
        for fields in &self.mapping.links {
            if !fields.operations.is_empty() && !fields.operations.iter().any(|name| *name == *operation) {
                continue;
            }
            let is_off = |when: &Expression| {
                let value = evaluate(when, row);
                value == Value::Bool(false) || value.text().is_none_or(|text| text.is_empty())
            };
            if fields.when.as_ref().is_some_and(is_off) {
                continue;
            }
            let child = principal(&fields.child, row);
            let parent = principal(fields.parent.as_ref().unwrap_or(&self.mapping.principal), row);
            if is_nobody(&child) || (fields.parent.is_some() && is_nobody(&parent)) {
                continue;
            }
            links.push(Link {
                occurred: event.occurred,
                event_uid: at(0).text().map(std::borrow::Cow::into_owned).unwrap_or_default(),
                log: self.mapping.log.0.clone(),
                kind: fields.kind,
                child,
                parent,
            });
        }
        links
    }

    /// Among whose ids those of the log's principals are: see [`Principal::space`].
    pub fn space(&self) -> &str {
        self.mapping.principal.space.literal()
    }

    /// Whether a record may name who acts through its actor.
    pub fn has_acts(&self) -> bool {
        self.mapping.links.iter().any(|link| link.kind == LinkKind::Acted)
    }

    /// Who acts in a record.
    pub fn principal(&self, row: &View<'_, '_>) -> Principal {
        principal(&self.mapping.principal, row)
    }
}

impl Source {
    fn read_inside(&mut self, paths: &mut PathSet) {
        if let Source::Fields(fields) = self {
            fields.iter_mut().for_each(|(_, expression)| read_inside(expression, paths));
        }
    }

    /// Says by itself what needs no expression.
    fn simplify(&mut self) {
        let Source::Fields(fields) = self else {
            return;
        };
        let [(None, Expression::Call(Function::Text, arguments))] = fields.as_slice() else {
            return;
        };
        let slot = |choice: &Expression| if let Expression::Path(slot) = choice { Some(*slot) } else { None };
        match arguments.as_slice() {
            [Expression::Path(slot)] => *self = Source::Text(*slot),
            [Expression::Call(Function::First, choices)] => {
                if let Some(slots) = choices.iter().map(slot).collect() {
                    *self = Source::FirstText(slots);
                }
            }
            _ => {}
        }
    }
}

/// Has what stands in an object read with the record: `json(a, 'b')` gets the slot of `a.b`.
fn read_inside(expression: &mut Expression, paths: &mut PathSet) {
    let Expression::Call(function, arguments) = expression else {
        return;
    };
    if let (Function::Json, [Expression::Path(slot), Expression::Literal(path)]) = (*function, arguments.as_slice())
        && let Some(inner) = paths.path(*slot).map(|object| format!("{object}.{path}"))
    {
        arguments.push(Expression::Path(paths.intern(&inner)));
    } else if *function != Function::Each {
        arguments.iter_mut().for_each(|argument| read_inside(argument, paths));
    }
}

/// Lets paths of one meaning share the work of the first: to and from.
fn share(sources: &mut [Source]) -> Vec<(usize, usize)> {
    let mut shares = Vec::new();
    for number in 1..sources.len() {
        let (known, rest) = sources.split_at_mut(number);
        let (Some(source), known) = (rest.first_mut(), &*known) else {
            continue;
        };
        let is_same =
            |other: &Source| matches!((other, &*source), (Source::Fields(others), Source::Fields(fields)) if others == fields);
        if let Some(first) = known.iter().position(is_same) {
            *source = Source::Shared;
            shares.push((number, first));
        }
    }
    shares
}

fn principal(fields: &PrincipalFields, row: &View<'_, '_>) -> Principal {
    let text = |expression: &Expression| evaluate(expression, row).text().map(std::borrow::Cow::into_owned).unwrap_or_default();
    Principal {
        credential: text(&fields.credential),
        uid: text(&fields.uid),
        name: text(&fields.name),
        person: fields.person.as_ref().map(text).unwrap_or_default(),
        space: text(&fields.space),
    }
}

/// Whether neither a credential nor an id says who it is.
fn is_nobody(principal: &Principal) -> bool {
    principal.credential.is_empty() && principal.uid.is_empty()
}

fn value<'r>(source: &'r Source, operation: &Chosen<'r>, scope: &Scope<'_, 'r>) -> Value<'r> {
    let integer = |number: u32| Value::Int(i64::from(number));
    match source {
        Source::Verb => Value::Text(operation.verb.into()),
        Source::Target => named(operation.row.target.as_ref(), scope),
        Source::Peer => named(operation.row.peer.as_ref(), scope),
        Source::ClassUid => integer(operation.class_uid),
        Source::CategoryUid => integer(operation.category_uid()),
        Source::ActivityId => integer(operation.activity_id),
        Source::TypeUid => Value::Int(operation.type_uid()),
        Source::Fields(fields) => {
            let applies = fields.iter().filter(|(class, _)| class.is_none_or(|class| class == operation.class_uid));
            applies.map(|(_, expression)| within(expression, scope)).find(|value| !value.is_none()).unwrap_or(Value::Absent)
        }
        _ => Value::Absent,
    }
}

/// What an operation's expression names: a text, or the first member of a list.
fn named<'r>(expression: Option<&'r Expression>, scope: &Scope<'_, 'r>) -> Value<'r> {
    match expression.map_or(Value::Absent, |expression| within(expression, scope)) {
        Value::Null | Value::Object(_) => Value::Absent,
        Value::List(bytes) => {
            let mut first = Value::Absent;
            vigie_record::each_item(bytes, &mut |item| {
                if first == Value::Absent && !matches!(item, Value::Object(_) | Value::List(_)) {
                    first = item;
                }
            });
            first
        }
        value => value,
    }
}
