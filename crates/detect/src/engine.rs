//! Rules evaluated together: one predicate table, one guard index.

use hashbrown::{HashMap, HashSet};
use vigie_model::limits::{EVIDENCE_FIELDS_MAX, EVIDENCE_VALUE_BYTES_MAX, MATCH_MEMO_BYTES_MAX, MATCH_MEMO_ENTRIES_MAX};
use vigie_model::{Event, Evidence};
use vigie_record::{Fields, PathSet, Value, View, each_leaf};

use crate::matcher::{Matcher, stands};
use crate::predicate::{Case, Expression, Field, Place, PredicateId, Side, Table, Test, fold};

/// A rule of an engine.
#[derive(Debug)]
pub(crate) struct Member {
    /// Index in the rule set.
    pub(crate) rule: u32,
    pub(crate) expression: Expression,
    /// Filters that apply: index in the rule set, and their condition.
    pub(crate) filters: Vec<(u32, Expression)>,
    /// Fields whose values correlations need of a match.
    pub(crate) extracts: Vec<Field>,
}

/// Rules compiled to be asked together.
#[derive(Debug)]
pub(crate) struct Engine {
    native: PathSet,
    ocsf: PathSet,
    table: Table,
    members: Vec<Member>,
    matchers: Vec<(Field, Matcher)>,
    /// All keywords at once, searched in every value of the record.
    keywords: Option<Matcher>,
    /// Matchers of single predicates that are answered only when a rule asks.
    lazy: HashMap<PredicateId, Matcher>,
    /// For each predicate, the members it guards.
    guards: Vec<Vec<u32>>,
    /// Members that no predicate guards: looked at for every record.
    unguarded: Vec<u32>,
    /// Predicates answered only when a rule asks.
    is_lazy: Vec<bool>,
}

/// A rule that matched one event, and the filter that silences it: their indices in the rule set, and the
/// member of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) rule: u32,
    pub(crate) silenced_by: Option<u32>,
    pub(crate) member: u32,
}

/// Values of one field seen before, and what holds for them.
#[derive(Debug, Default)]
struct Memo {
    known: HashMap<Box<str>, Box<[PredicateId]>>,
    /// Lookups since the memo is full, and how many of them found nothing.
    asked: u32,
    missed: u32,
}

impl Memo {
    /// Lookups after which a full memo is judged.
    const TRIAL: u32 = 1024;

    /// Whether a full memo finds so little that asking it costs more than it saves.
    fn is_useless(&self) -> bool {
        self.asked >= Memo::TRIAL && self.missed > self.asked / 2
    }

    fn get(&mut self, value: &str) -> Option<&[PredicateId]> {
        let found = self.known.get(value);
        if self.known.len() >= MATCH_MEMO_ENTRIES_MAX && self.asked < Memo::TRIAL {
            self.asked += 1;
            self.missed += u32::from(found.is_none());
        }
        found.map(AsRef::as_ref)
    }

    /// Remembers a value while there is room; says whether.
    fn put(&mut self, value: &str, ids: &[PredicateId]) -> bool {
        let has_room = self.known.len() < MATCH_MEMO_ENTRIES_MAX;
        if has_room {
            self.known.insert(value.into(), ids.into());
        }
        has_room
    }
}

/// What one worker keeps between records: answers by epoch, and memoised values.
#[derive(Debug, Default)]
pub(crate) struct EngineScratch {
    epoch: u32,
    /// Epoch in which a predicate held.
    holds: Vec<u32>,
    /// Epoch in which a lazy predicate was answered with no.
    fails: Vec<u32>,
    candidate: Vec<u32>,
    candidates: Vec<u32>,
    memos: Vec<Memo>,
    /// Bytes of the values in all memos.
    memo_bytes: usize,
    hits: Vec<PredicateId>,
    buffer: String,
}

/// Longest value that is memoised, in bytes.
const MEMO_VALUE_BYTES_MAX: usize = 512;

impl Engine {
    pub(crate) fn new(native: PathSet, ocsf: PathSet, table: Table, members: Vec<Member>) -> Engine {
        let mut engine = Engine {
            native,
            ocsf,
            is_lazy: vec![false; table.rows.len()],
            guards: vec![Vec::new(); table.rows.len()],
            table,
            members,
            matchers: Vec::new(),
            keywords: None,
            lazy: HashMap::new(),
            unguarded: Vec::new(),
        };
        engine.index_guards();
        engine.build_matchers();
        engine
    }

    /// Paths of the native record that the rules read.
    pub(crate) fn native_paths(&self) -> &PathSet {
        &self.native
    }

    /// OCSF paths that the rules read.
    pub(crate) fn ocsf_paths(&self) -> &PathSet {
        &self.ocsf
    }

    /// How many rules there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no rule.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The rules and the OCSF paths each of them reads.
    pub(crate) fn ocsf_reads(&self) -> Vec<(u32, Vec<&str>)> {
        let reads = |member: &Member| {
            let mut paths = Vec::new();
            member.expression.each_predicate(&mut |id| {
                if let Some(predicate) = self.table.get(id)
                    && predicate.field.side == Side::Ocsf
                {
                    paths.extend(self.ocsf.path(predicate.field.slot));
                }
            });
            (member.rule, paths)
        };
        self.members.iter().map(reads).collect()
    }

    fn index_guards(&mut self) {
        let mut uses = vec![0u32; self.table.rows.len()];
        for member in &self.members {
            member.expression.each_predicate(&mut |id| {
                if let Some(count) = uses.get_mut(id as usize) {
                    *count += 1;
                }
            });
        }
        let cost = |id: PredicateId| {
            let breadth = self.table.get(id).map_or(200, |row| row.test.breadth());
            breadth.saturating_mul(4 + uses.get(id as usize).copied().unwrap_or(0))
        };
        for (number, member) in self.members.iter().enumerate() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            match guard(&member.expression, false, &self.table, &cost) {
                Some((_, ids)) => {
                    for id in ids {
                        if let Some(list) = self.guards.get_mut(id as usize)
                            && list.last() != Some(&number)
                        {
                            list.push(number);
                        }
                    }
                }
                None => self.unguarded.push(number),
            }
        }
        let is_guard = |id: usize| self.guards.get(id).is_some_and(|list| !list.is_empty());
        let rows = self.table.rows.iter().enumerate();
        let looked_up: HashSet<Field> = rows.filter(|(id, _)| is_guard(*id)).map(|(_, row)| row.field).collect();
        for (id, row) in self.table.rows.iter().enumerate() {
            let guards_some = self.guards.get(id).is_some_and(|list| !list.is_empty());
            let is_keyword = matches!(row.test, Test::Keyword(_));
            // What guards no rule is asked only when a rule that was hit by its guard needs it; one
            // more whole text costs nothing where the field's texts are looked up anyway.
            let is_free = matches!(row.test, Test::Text(Place::Whole, ..)) && looked_up.contains(&row.field);
            if let Some(lazy) = self.is_lazy.get_mut(id) {
                *lazy = !row.test.needs_value() || (!guards_some && !is_keyword && !is_free);
            }
        }
    }

    fn build_matchers(&mut self) {
        let mut by_field: std::collections::BTreeMap<Field, Vec<(PredicateId, &Test)>> = std::collections::BTreeMap::new();
        let mut keywords = Vec::new();
        for (number, row) in self.table.rows.iter().enumerate() {
            let id = u32::try_from(number).unwrap_or(u32::MAX);
            match &row.test {
                Test::Keyword(inner) => keywords.push((id, inner.as_ref())),
                Test::Null | Test::SameAs(..) => {}
                Test::Text(..) | Test::Present if self.is_lazy.get(number).copied().unwrap_or(false) => {}
                test if self.is_lazy.get(number).copied().unwrap_or(false) => {
                    self.lazy.insert(id, Matcher::build(&[(id, test)]));
                }
                test => by_field.entry(row.field).or_default().push((id, test)),
            }
        }
        self.keywords = (!keywords.is_empty()).then(|| Matcher::build(&keywords));
        self.matchers = by_field.iter().map(|(field, tests)| (*field, Matcher::build(tests))).collect();
    }

    /// Finds every rule that one event matches. `native` is the record through this engine's
    /// [`Engine::native_paths`], `event` has its [`Engine::ocsf_paths`] in its first slots.
    pub(crate) fn observe(&self, native: &View<'_, '_>, event: &Event<'_>, scratch: &mut EngineScratch, hits: &mut Vec<Hit>) {
        self.begin(scratch);
        for (number, (field, matcher)) in self.matchers.iter().enumerate() {
            let is_absent = match field.side {
                Side::Native => native.is_absent(field.slot),
                Side::Ocsf => event.values.get(field.slot.index()).is_none_or(Option::is_none),
            };
            if is_absent {
                continue;
            }
            self.ask(number, *field, matcher, native, event, scratch);
        }
        if let Some(keywords) = &self.keywords {
            scratch.hits.clear();
            let (hits, buffer) = (&mut scratch.hits, &mut scratch.buffer);
            each_leaf(native.record(), &mut |leaf| {
                keywords.find(&leaf, buffer, hits);
                true
            });
            mark_all(
                &scratch.hits,
                scratch.epoch,
                &mut scratch.holds,
                &mut scratch.candidate,
                &mut scratch.candidates,
                &self.guards,
            );
        }
        let mut candidates = std::mem::take(&mut scratch.candidates);
        candidates.extend_from_slice(&self.unguarded);
        for &number in &candidates {
            let Some(member) = self.members.get(number as usize) else {
                continue;
            };
            if self.truth(&member.expression, native, event, scratch) {
                let silenced = member.filters.iter().find(|(_, keep)| !self.truth(keep, native, event, scratch));
                hits.push(Hit { rule: member.rule, silenced_by: silenced.map(|(filter, _)| *filter), member: number });
            }
        }
        candidates.clear();
        scratch.candidates = candidates;
    }

    fn begin(&self, scratch: &mut EngineScratch) {
        if scratch.holds.len() != self.table.rows.len() || scratch.epoch == u32::MAX {
            scratch.holds = vec![0; self.table.rows.len()];
            scratch.fails = vec![0; self.table.rows.len()];
            scratch.candidate = vec![0; self.members.len()];
            scratch.memos = self.matchers.iter().map(|_| Memo::default()).collect();
            scratch.memo_bytes = 0;
            scratch.epoch = 0;
        }
        scratch.epoch += 1;
        scratch.candidates.clear();
    }

    /// Answers every question about one field.
    fn ask(
        &self,
        number: usize,
        field: Field,
        matcher: &Matcher,
        native: &View<'_, '_>,
        event: &Event<'_>,
        scratch: &mut EngineScratch,
    ) {
        let plain = match field.side {
            Side::Native => native.plain(field.slot),
            Side::Ocsf => event.plain(field.slot),
        };
        let memo = scratch.memos.get_mut(number).filter(|memo| !memo.is_useless());
        if let (Some(memo), Some(text)) = (memo, plain.filter(|text| text.len() <= MEMO_VALUE_BYTES_MAX)) {
            if let Some(ids) = memo.get(text) {
                mark_all(ids, scratch.epoch, &mut scratch.holds, &mut scratch.candidate, &mut scratch.candidates, &self.guards);
                return;
            }
            scratch.hits.clear();
            matcher.note_present(&mut scratch.hits);
            matcher.find(&Value::Text(text.into()), &mut scratch.buffer, &mut scratch.hits);
            if scratch.memo_bytes < MATCH_MEMO_BYTES_MAX && memo.put(text, &scratch.hits) {
                scratch.memo_bytes += text.len();
            }
        } else {
            let view: &dyn Fields = match field.side {
                Side::Native => native,
                Side::Ocsf => event,
            };
            scratch.hits.clear();
            let (hits, buffer) = (&mut scratch.hits, &mut scratch.buffer);
            if matcher.wants_lists() && view.value(field.slot) != Value::Absent {
                matcher.note_present(hits);
            }
            view.each_value(field.slot, &mut |value| matcher.find(&value, buffer, hits));
        }
        mark_all(&scratch.hits, scratch.epoch, &mut scratch.holds, &mut scratch.candidate, &mut scratch.candidates, &self.guards);
    }

    fn truth(&self, expression: &Expression, native: &View<'_, '_>, event: &Event<'_>, scratch: &mut EngineScratch) -> bool {
        match expression {
            Expression::Constant(truth) => *truth,
            Expression::Predicate(id) => self.holds(*id, native, event, scratch),
            Expression::Not(inner) => !self.truth(inner, native, event, scratch),
            Expression::And(parts) => parts.iter().all(|part| self.truth(part, native, event, scratch)),
            Expression::Or(parts) => parts.iter().any(|part| self.truth(part, native, event, scratch)),
            Expression::AtLeast(least, parts) => {
                let count = parts.iter().filter(|part| self.truth(part, native, event, scratch)).count();
                u64::try_from(count).unwrap_or(u64::MAX) >= *least
            }
        }
    }

    fn holds(&self, id: PredicateId, native: &View<'_, '_>, event: &Event<'_>, scratch: &mut EngineScratch) -> bool {
        let at = id as usize;
        if scratch.holds.get(at) == Some(&scratch.epoch) {
            return true;
        }
        if !self.is_lazy.get(at).copied().unwrap_or(false) || scratch.fails.get(at) == Some(&scratch.epoch) {
            return false;
        }
        let truth = self.answer(id, native, event);
        let marks = if truth { &mut scratch.holds } else { &mut scratch.fails };
        if let Some(mark) = marks.get_mut(at) {
            *mark = scratch.epoch;
        }
        truth
    }

    /// Answers a lazy predicate.
    fn answer(&self, id: PredicateId, native: &View<'_, '_>, event: &Event<'_>) -> bool {
        let Some(predicate) = self.table.get(id) else {
            return false;
        };
        let view = |field: Field| -> &dyn Fields {
            match field.side {
                Side::Native => native,
                Side::Ocsf => event,
            }
        };
        let fields = view(predicate.field);
        match &predicate.test {
            Test::Null => {
                let mut has_value = matches!(fields.value(predicate.field.slot), Value::List(_) | Value::Json(_));
                fields.each_value(predicate.field.slot, &mut |value| has_value |= !value.is_none());
                !has_value
            }
            Test::Present => fields.value(predicate.field.slot) != Value::Absent,
            Test::Text(place, case, literal) => {
                let mut found = false;
                fields.each_value(predicate.field.slot, &mut |value| {
                    found = found
                        || value.text().is_some_and(|text| match case {
                            Case::Fold => stands(&fold(&text), literal, *place),
                            Case::Exact => stands(&text, literal, *place),
                        });
                });
                found
            }
            Test::SameAs(place, case, other) => {
                let right = texts(view(*other), *other, *case);
                texts(fields, predicate.field, *case).iter().any(|left| right.iter().any(|right| stands(left, right, *place)))
            }
            _ => {
                let Some(matcher) = self.lazy.get(&id) else {
                    return false;
                };
                let (mut buffer, mut hits) = (String::new(), Vec::new());
                fields.each_value(predicate.field.slot, &mut |value| matcher.find(&value, &mut buffer, &mut hits));
                !hits.is_empty()
            }
        }
    }

    /// The fields that made a rule match, with their values. Ask right after [`Engine::observe`].
    pub(crate) fn evidence(
        &self,
        member: u32,
        native: &View<'_, '_>,
        event: &Event<'_>,
        scratch: &mut EngineScratch,
    ) -> Vec<Evidence> {
        let mut evidence: Vec<Evidence> = Vec::new();
        let Some(member) = self.members.get(member as usize) else {
            return evidence;
        };
        member.expression.each_predicate(&mut |id| {
            if evidence.len() >= EVIDENCE_FIELDS_MAX || !self.holds(id, native, event, scratch) {
                return;
            }
            let Some(field) = self.table.get(id).map(|row| row.field) else {
                return;
            };
            let (fields, paths): (&dyn Fields, &PathSet) = match field.side {
                Side::Native => (native, &self.native),
                Side::Ocsf => (event, &self.ocsf),
            };
            let Some(name) = paths.path(field.slot) else {
                return;
            };
            if evidence.iter().any(|known| known.field == name) {
                return;
            }
            let mut value = String::new();
            fields.each_value(field.slot, &mut |part| {
                if let Some(text) = part.text() {
                    if !value.is_empty() {
                        value.push_str(", ");
                    }
                    value.push_str(&text);
                }
            });
            if !value.is_empty() {
                evidence.push(Evidence { field: name.to_owned(), value: cut(value, EVIDENCE_VALUE_BYTES_MAX) });
            }
        });
        evidence
    }

    /// The values that correlations need of a match, in the order that the rule set asked for.
    pub(crate) fn extracts(&self, member: u32, native: &View<'_, '_>, event: &Event<'_>) -> Vec<Option<String>> {
        let fields = self.members.get(member as usize).map(|member| member.extracts.as_slice()).unwrap_or_default();
        let value = |field: &Field| {
            let view: &dyn Fields = match field.side {
                Side::Native => native,
                Side::Ocsf => event,
            };
            view.value(field.slot).text().map(std::borrow::Cow::into_owned)
        };
        fields.iter().map(value).collect()
    }
}

fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let mut end = bytes_max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('\u{2026}');
    }
    text
}

fn texts(fields: &dyn Fields, field: Field, case: Case) -> Vec<String> {
    let mut out = Vec::new();
    fields.each_value(field.slot, &mut |value| {
        out.extend(value.text().map(|text| if case == Case::Fold { fold(&text) } else { text.into_owned() }));
    });
    out
}

/// Notes predicates that hold, and makes the rules they guard candidates.
#[inline]
fn mark_all(
    ids: &[PredicateId],
    epoch: u32,
    holds: &mut [u32],
    candidate: &mut [u32],
    candidates: &mut Vec<u32>,
    guards: &[Vec<u32>],
) {
    for &id in ids {
        let Some(mark) = holds.get_mut(id as usize) else {
            continue;
        };
        if *mark == epoch {
            continue;
        }
        *mark = epoch;
        for &member in guards.get(id as usize).map(Vec::as_slice).unwrap_or_default() {
            if let Some(mark) = candidate.get_mut(member as usize)
                && *mark != epoch
            {
                *mark = epoch;
                candidates.push(member);
            }
        }
    }
}

/// The cheapest set of predicates of which one must hold for the expression (negated or not) to be
/// true; none when it can be true without any.
fn guard(
    expression: &Expression,
    is_negated: bool,
    table: &Table,
    cost: &dyn Fn(PredicateId) -> u32,
) -> Option<(u32, Vec<PredicateId>)> {
    let union = |parts: &[Expression]| {
        let mut all = (0u32, Vec::new());
        for part in parts {
            let (price, ids) = guard(part, is_negated, table, cost)?;
            all.0 = all.0.saturating_add(price);
            all.1.extend(ids);
        }
        Some(all)
    };
    let cheapest =
        |parts: &[Expression]| parts.iter().filter_map(|part| guard(part, is_negated, table, cost)).min_by_key(|set| set.0);
    match expression {
        // A constant that is false guards itself with nothing.
        Expression::Constant(truth) => (*truth == is_negated).then_some((0, Vec::new())),
        Expression::Predicate(id) if !is_negated => {
            let needs_value = table.get(*id).is_some_and(|row| row.test.needs_value());
            needs_value.then(|| (cost(*id), vec![*id]))
        }
        Expression::Predicate(_) => None,
        Expression::Not(inner) => guard(inner, !is_negated, table, cost),
        Expression::And(parts) if !is_negated => cheapest(parts),
        Expression::Or(parts) if is_negated => cheapest(parts),
        Expression::And(parts) | Expression::Or(parts) => union(parts),
        Expression::AtLeast(..) if is_negated => None,
        Expression::AtLeast(least, parts) => {
            if *least == 0 {
                None
            } else {
                union(parts)
            }
        }
    }
}
