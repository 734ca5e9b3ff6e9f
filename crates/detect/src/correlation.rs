//! Correlations: matches in the order of event time to findings about several events.
//!
//! Choices where the specification is open: group keys compare without case; an event without a
//! group field is not counted; a nested correlation sees an alert of the inner one at each of its
//! firing windows, at the time the window ends; an order is told by the first events that make it.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use rsigma_parser::{ConditionExpr, ConditionOperator, CorrelationCondition, CorrelationRule, CorrelationType, WindowMode};
use vigie_model::limits::WINDOW_EVENTS_MAX;
use vigie_model::{EventRef, Millis};

use crate::error::Mistake;
use crate::predicate::{Order, fold};
use crate::ruleset::RuleSet;
use crate::window::{About, Bound, Criterion, Measure, Run, Which, Window};

/// A match of a rule that a correlation needs.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Index of the rule in its rule set.
    pub rule: u32,
    /// The event.
    pub event: Arc<EventRef>,
    /// What the caller wants back with a finding at whose firing this is the last event.
    pub keepsake: Arc<[u8]>,
    /// Values by [`crate::Partition::extracts`].
    pub values: Vec<Option<String>>,
}

/// A finding of a correlation: one maximal run of overlapping firing windows of one group.
#[derive(Debug, Clone)]
pub struct Firing {
    /// Index of the correlation in its rule set.
    pub rule: u32,
    /// Group fields and their values.
    pub group: Vec<(String, String)>,
    /// Events, earliest first, up to a limit.
    pub events: Vec<Arc<EventRef>>,
    /// How many events there are.
    pub count: u64,
    /// The event at which it first fired.
    pub fired_at: Arc<EventRef>,
    /// The keepsake of its hit.
    pub keepsake: Arc<[u8]>,
}

/// One rule that a correlation builds on, and where its values stand.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) rule: u32,
    group: Vec<(String, usize)>,
    values: Vec<(String, usize)>,
}

impl Member {
    /// Names of wanted fields, and the place where their index in the hit's values goes.
    pub(crate) fn wanted(&mut self) -> impl Iterator<Item = (&String, &mut usize)> {
        self.group.iter_mut().chain(self.values.iter_mut()).map(|(name, at)| (&*name, at))
    }
}

/// A compiled correlation.
#[derive(Debug, Clone)]
pub(crate) struct Correlation {
    pub(crate) rule: u32,
    pub(crate) members: Vec<Member>,
    group_names: Vec<String>,
    criterion: Criterion,
}

impl Correlation {
    pub(crate) fn compile(
        rule: u32,
        source: &CorrelationRule,
        find: &dyn Fn(&str) -> Option<u32>,
    ) -> Result<Correlation, Mistake> {
        if source.window != WindowMode::Sliding {
            return Err(Mistake::new("only sliding windows are in Sigma 2.1", "leave out `window`", "window"));
        }
        let value_fields = match &source.condition {
            CorrelationCondition::Threshold { field, .. } => field.clone().unwrap_or_default(),
            CorrelationCondition::Extended(_) => Vec::new(),
        };
        let mut members = Vec::new();
        for name in &source.rules {
            let Some(member) = find(name) else {
                return Err(Mistake::new(
                    format!("no rule has the name or id `{name}`"),
                    "load the file that holds it, or correct the name",
                    name,
                ));
            };
            let aliased = |field: &String| {
                let alias = source.aliases.iter().find(|alias| alias.alias == *field);
                alias.and_then(|alias| alias.mapping.get(name)).unwrap_or(field).clone()
            };
            let places = |fields: &[String]| fields.iter().map(|field| (aliased(field), 0)).collect();
            members.push(Member { rule: member, group: places(&source.group_by), values: places(&value_fields) });
        }
        let criterion = criterion(source, &value_fields)?;
        Ok(Correlation { rule, members, group_names: source.group_by.clone(), criterion })
    }
}

fn criterion(source: &CorrelationRule, value_fields: &[String]) -> Result<Criterion, Mistake> {
    let members = source.rules.len();
    let needs_field = |measure: Measure| match value_fields {
        [] => Err(Mistake::new("the condition names no `field`", "add `field:` to the condition", "condition")),
        _ => Ok(measure),
    };
    let percentile = match &source.condition {
        CorrelationCondition::Threshold { percentile, .. } => percentile.map_or(50.0, |percent| percent as f64),
        CorrelationCondition::Extended(_) => 50.0,
    };
    let measure = match source.correlation_type {
        CorrelationType::EventCount => Measure::EventCount,
        CorrelationType::ValueCount => needs_field(Measure::ValueCount)?,
        CorrelationType::ValueSum => needs_field(Measure::Sum)?,
        CorrelationType::ValueAvg => needs_field(Measure::Average)?,
        CorrelationType::ValuePercentile => needs_field(Measure::Percentile(percentile))?,
        CorrelationType::ValueMedian => needs_field(Measure::Percentile(50.0))?,
        CorrelationType::Temporal => match &source.condition {
            CorrelationCondition::Extended(expression) => Measure::Which(which(expression, source)?),
            CorrelationCondition::Threshold { .. } => Measure::Rules,
        },
        CorrelationType::TemporalOrdered => Measure::Ordered,
    };
    let mut bounds = Vec::new();
    if let CorrelationCondition::Threshold { predicates, .. } = &source.condition {
        bounds.extend(predicates.iter().map(|(operator, number)| bound(*operator, *number)));
    }
    let is_temporal = matches!(measure, Measure::Rules | Measure::Ordered);
    // Without a condition a temporal correlation wants every rule. The parser writes "at least one"
    // for a missing condition.
    let is_default = bounds.is_empty() || bounds == [bound(ConditionOperator::Gte, 1)];
    if is_temporal && is_default {
        bounds = vec![bound(ConditionOperator::Gte, members as u64)];
    }
    if bounds.is_empty() && !matches!(measure, Measure::Which(_)) {
        return Err(Mistake::new("the correlation has no condition", "add `condition: {gte: ...}`", "correlation"));
    }
    let timespan_ms = i64::try_from(source.timespan.seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    Ok(Criterion { measure, bounds, timespan_ms, members })
}

fn bound(operator: ConditionOperator, number: u64) -> Bound {
    let (order, is_negated) = match operator {
        ConditionOperator::Lt => (Order::Less, false),
        ConditionOperator::Lte => (Order::LessOrEqual, false),
        ConditionOperator::Gt => (Order::Greater, false),
        ConditionOperator::Gte => (Order::GreaterOrEqual, false),
        ConditionOperator::Eq => (Order::Equal, false),
        ConditionOperator::Neq => (Order::Equal, true),
    };
    Bound { order, is_negated, number: number as f64 }
}

fn which(expression: &ConditionExpr, source: &CorrelationRule) -> Result<Which, Mistake> {
    let parts = |parts: &[ConditionExpr]| parts.iter().map(|part| which(part, source)).collect::<Result<Vec<_>, _>>();
    match expression {
        ConditionExpr::And(inner) => parts(inner).map(Which::All),
        ConditionExpr::Or(inner) => parts(inner).map(Which::Any),
        ConditionExpr::Not(inner) => which(inner, source).map(|inner| Which::Not(Box::new(inner))),
        ConditionExpr::Identifier(name) => match source.rules.iter().position(|rule| rule == name) {
            Some(member) => Ok(Which::Member(member)),
            None => {
                Err(Mistake::new(format!("the condition names `{name}`, which is not among the rules"), "name one of them", name))
            }
        },
        ConditionExpr::Selector { .. } => {
            Err(Mistake::new("a correlation's condition cannot select by pattern", "name the rules", "condition"))
        }
    }
}

/// A group's key: its values folded, with a separator between.
type GroupKey = Box<str>;

/// A group, boxed where it is kept: tables of groups grow and are never full.
#[derive(Debug, Default)]
struct Group {
    /// Its values as first seen.
    shown: Box<[String]>,
    window: Window,
}

/// Stands between the values of a key: no record can hold it but to confuse.
const SEPARATOR: &str = "\u{1f}";

/// The memory of all correlations of a rule set. Feed it hits in the order of event time.
#[derive(Debug)]
pub struct Correlator<'s> {
    set: &'s RuleSet,
    /// For each rule, the correlations that need it and as which member.
    feeds: HashMap<u32, Vec<(usize, usize)>>,
    /// By correlation, in the order in which they build on each other.
    groups: Vec<HashMap<GroupKey, Box<Group>>>,
    /// Groups touched in the current instant.
    touched: Vec<BTreeMap<GroupKey, ()>>,
    now: Option<Millis>,
    hits_since_sweep: usize,
    /// Events that the windows of each correlation remember.
    held: Vec<usize>,
    /// How many all may remember before some forget.
    shed_above: usize,
    forgotten: u64,
}

/// Hits between two looks for groups that time has passed by.
const SWEEP_HITS: usize = 16_384;
/// Events still named by an open run once there are too many to remember.
const RUN_EVENTS_KEPT: usize = 1_000;

impl<'s> Correlator<'s> {
    /// A memory without any hit.
    pub fn new(set: &'s RuleSet) -> Correlator<'s> {
        let mut feeds: HashMap<u32, Vec<(usize, usize)>> = HashMap::new();
        for (number, correlation) in set.correlations().iter().enumerate() {
            for (at, member) in correlation.members.iter().enumerate() {
                feeds.entry(member.rule).or_default().push((number, at));
            }
        }
        let count = set.correlations().len();
        Correlator {
            set,
            feeds,
            groups: (0..count).map(|_| HashMap::new()).collect(),
            touched: vec![BTreeMap::new(); count],
            now: None,
            hits_since_sweep: 0,
            held: vec![0; count],
            shed_above: WINDOW_EVENTS_MAX,
            forgotten: 0,
        }
    }

    /// Events forgotten before their timespan was over, since all windows together had too many.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Takes one hit; hits come in the order of their time. `report` gets every run that is over.
    pub fn observe(&mut self, hit: &Hit, report: &mut dyn FnMut(Firing)) {
        let at = hit.event.occurred;
        if self.now.is_some_and(|now| now != at) {
            self.settle(report);
            if self.hits_since_sweep >= SWEEP_HITS {
                self.sweep(Some(at), report);
            }
            if self.held.iter().sum::<usize>() > self.shed_above {
                self.shed(at, report);
            }
        }
        self.now = Some(at);
        self.hits_since_sweep += 1;
        let about = About { event: Arc::clone(&hit.event), keepsake: Arc::clone(&hit.keepsake), inner: None };
        self.feed(hit.rule, at, &about, &hit.values, report);
    }

    /// Reports what is still open after the last hit.
    pub fn finish(&mut self, report: &mut dyn FnMut(Firing)) {
        self.settle(report);
        self.sweep(None, report);
    }

    fn feed(&mut self, rule: u32, at: Millis, about: &About, values: &[Option<String>], report: &mut dyn FnMut(Firing)) {
        let Some(feeds) = self.feeds.get(&rule) else {
            return;
        };
        for &(number, place) in feeds {
            let Some(correlation) = self.set.correlations().get(number) else {
                continue;
            };
            let Some(member) = correlation.members.get(place) else {
                continue;
            };
            let value = |(_, at): &(String, usize)| values.get(*at).cloned().flatten();
            let shown: Option<Vec<String>> = member.group.iter().map(value).collect();
            let Some(shown) = shown else {
                continue;
            };
            let key: GroupKey = shown.iter().map(|value| fold(value)).collect::<Vec<_>>().join(SEPARATOR).into();
            let measured: Option<Vec<String>> = member.values.iter().map(|place| value(place).map(|text| fold(&text))).collect();
            let value = measured.filter(|values| !values.is_empty()).map(|values| values.join(SEPARATOR));
            let is_valued = matches!(
                correlation.criterion.measure,
                Measure::ValueCount | Measure::Sum | Measure::Average | Measure::Percentile(_)
            );
            if is_valued && value.is_none() {
                continue;
            }
            let Some(groups) = self.groups.get_mut(number) else {
                continue;
            };
            let group =
                groups.entry(key.clone()).or_insert_with(|| Box::new(Group { shown: shown.into(), window: Window::default() }));
            let before = group.window.size();
            if let Some(run) = group.window.close(&correlation.criterion, Some(at)) {
                report(firing(correlation, &group.shown, run));
            }
            group.window.add(&correlation.criterion, at, place, value, about.clone());
            let after = group.window.size();
            note_size(&mut self.held, number, before, after);
            if let Some(touched) = self.touched.get_mut(number) {
                touched.insert(key, ());
            }
        }
    }

    /// Judges the windows that end at the current instant; inner correlations before outer ones.
    fn settle(&mut self, report: &mut dyn FnMut(Firing)) {
        let Some(now) = self.now else {
            return;
        };
        for number in 0..self.groups.len() {
            let touched = self.touched.get_mut(number).map(std::mem::take).unwrap_or_default();
            let Some(correlation) = self.set.correlations().get(number) else {
                continue;
            };
            let mut alerts = Vec::new();
            for key in touched.into_keys() {
                let Some(group) = self.groups.get_mut(number).and_then(|groups| groups.get_mut(&key)) else {
                    continue;
                };
                let before = group.window.size();
                let alert = group.window.settle(&correlation.criterion, now);
                note_size(&mut self.held, number, before, group.window.size());
                if let Some(about) = alert.filter(|_| self.feeds.contains_key(&correlation.rule)) {
                    alerts.push((about, group.shown.clone()));
                }
            }
            for (about, shown) in alerts {
                let values = self.set.alert_values(correlation.rule, &correlation.group_names, &shown);
                self.feed(correlation.rule, now, &about, &values, report);
            }
        }
    }

    /// Lets the fullest correlation forget the older half of its timespan, again and again, until all
    /// windows together hold less than they may.
    fn shed(&mut self, now: Millis, report: &mut dyn FnMut(Firing)) {
        self.sweep(Some(now), report);
        self.halve(now);
        // What cannot be forgotten must not be tried again with every hit.
        self.shed_above = WINDOW_EVENTS_MAX.max(self.held.iter().sum::<usize>() / 4 * 5);
    }

    fn halve(&mut self, now: Millis) {
        let mut divisor = 2;
        while self.held.iter().sum::<usize>() > WINDOW_EVENTS_MAX / 4 * 3 {
            let fullest = (0..self.held.len()).max_by_key(|number| self.held.get(*number)).unwrap_or(0);
            let (Some(correlation), Some(groups)) = (self.set.correlations().get(fullest), self.groups.get_mut(fullest)) else {
                return;
            };
            let criterion = &correlation.criterion;
            let mut held = 0;
            for group in groups.values_mut() {
                self.forgotten += group.window.forget_before(criterion, now - criterion.timespan_ms / divisor) as u64;
                group.window.shorten_run(RUN_EVENTS_KEPT);
                held += group.window.size();
            }
            let is_less = self.held.get(fullest).is_some_and(|before| held < *before);
            if let Some(place) = self.held.get_mut(fullest) {
                *place = held;
            }
            if !is_less && divisor > criterion.timespan_ms {
                return;
            }
            divisor = divisor.saturating_mul(2);
        }
    }

    /// Reports runs that are over and forgets groups that time has passed by.
    fn sweep(&mut self, now: Option<Millis>, report: &mut dyn FnMut(Firing)) {
        self.hits_since_sweep = 0;
        for (correlation, groups) in self.set.correlations().iter().zip(&mut self.groups) {
            let mut over = Vec::new();
            groups.retain(|key, group| {
                if let Some(run) = group.window.close(&correlation.criterion, now) {
                    over.push((key.clone(), firing(correlation, &group.shown, run)));
                }
                now.is_some_and(|now| group.window.horizon(&correlation.criterion) >= now)
            });
            groups.shrink_to(groups.len() * 2);
            over.sort_by(|a, b| a.0.cmp(&b.0));
            over.into_iter().for_each(|(_, firing)| report(firing));
        }
        for (held, groups) in self.held.iter_mut().zip(&self.groups) {
            *held = groups.values().map(|group| group.window.size()).sum();
        }
    }
}

fn note_size(held: &mut [usize], number: usize, before: usize, after: usize) {
    if let Some(held) = held.get_mut(number) {
        *held = (*held + after).saturating_sub(before);
    }
}

fn firing(correlation: &Correlation, shown: &[String], run: Run) -> Firing {
    Firing {
        rule: correlation.rule,
        group: correlation.group_names.iter().cloned().zip(shown.iter().cloned()).collect(),
        events: run.events,
        count: run.count,
        fired_at: run.fired_at,
        keepsake: run.keepsake,
    }
}
