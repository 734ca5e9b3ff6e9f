//! The rules of one run: parsed, checked, and routed to log types.

use std::collections::{BTreeMap, HashMap};

use rsigma_parser::{CorrelationRule, FilterRule, FilterRuleTarget, Level, LogSource, SigmaRule, parse_sigma_yaml};
use vigie_model::{RuleFacts, Severity};
use vigie_record::PathSet;

use crate::compile::{Compiler, Fields};
use crate::correlation::Correlation;
use crate::error::{Mistake, RuleError};
use crate::partition::{Member, Partition};
use crate::predicate::{Expression, Predicate, Side, Table, Test};

/// One rule file.
#[derive(Debug, Clone)]
pub struct RuleSource {
    /// Where it stands, as it is shown to people.
    pub place: String,
    /// Its YAML; several documents are allowed.
    pub text: String,
}

/// What became of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleState {
    /// It runs and reports.
    Live,
    /// It runs for correlations only.
    Base,
    /// It cannot run until placeholders are given: the reason.
    Inactive(String),
    /// It silences other rules.
    Filter,
}

/// What Sigma calls a log.
#[derive(Debug, Clone, Default)]
pub struct LogName {
    /// `aws`
    pub product: Option<String>,
    /// `cloudtrail`
    pub service: Option<String>,
    /// `process_creation`
    pub category: Option<String>,
}

/// Which log a lane reads, in Sigma's words.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Its names: a rule for one of them applies.
    pub names: Vec<LogName>,
    /// Whether its records become OCSF events, so that rules on OCSF apply.
    pub has_events: bool,
}

#[derive(Debug)]
enum Body {
    Rule(Box<SigmaRule>),
    Correlation(Box<CorrelationRule>),
    Filter(Box<FilterRule>),
}

#[derive(Debug)]
struct Rule {
    body: Body,
    state: RuleState,
    /// Names of the fields whose values correlations need of it.
    extracts: Vec<String>,
    /// The providers that it claims to hold for.
    providers: Vec<String>,
}

/// Rules, correlations and filters of one run, numbered in the order of their places.
#[derive(Debug)]
pub struct RuleSet {
    facts: Vec<RuleFacts>,
    rules: Vec<Rule>,
    correlations: Vec<Correlation>,
    classes: BTreeMap<String, u32>,
}

/// The `product` of rules that read OCSF events.
const OCSF_PRODUCT: &str = "ocsf";

/// The providers among a rule's own keys (`vigie: {providers: [...]}`); `None` where they are no list of names.
macro_rules! own_providers {
    ($rule:expr) => {
        match $rule.custom_attributes.get("vigie").and_then(|own| own.get("providers")) {
            Some(value) => value.as_sequence().and_then(|names| {
                names.iter().map(|name| name.as_str().map(str::to_ascii_lowercase)).collect::<Option<Vec<_>>>()
            }),
            None => Some(Vec::new()),
        }
    };
}

impl RuleSet {
    /// Reads rules. `classes` gives the class number of an OCSF class name (`api_activity`).
    /// A rule that cannot run is an error; the others are kept.
    pub fn parse(sources: &[RuleSource], classes: BTreeMap<String, u32>) -> (RuleSet, Vec<RuleError>) {
        let mut errors = Vec::new();
        let mut set = RuleSet { facts: Vec::new(), rules: Vec::new(), correlations: Vec::new(), classes };
        let mut sources: Vec<&RuleSource> = sources.iter().collect();
        sources.sort_by(|a, b| a.place.cmp(&b.place));
        for source in sources {
            set.read(source, &mut errors);
        }
        set.forget_twins(&mut errors);
        set.relate(&mut errors);
        (set, errors)
    }

    fn read(&mut self, source: &RuleSource, errors: &mut Vec<RuleError>) {
        let collection = match parse_sigma_yaml(&source.text) {
            Ok(collection) => collection,
            Err(error) => {
                let line = error.location().map_or(0, |location| location.line as usize);
                errors.push(RuleError { place: source.place.clone(), line, what: error.to_string(), fix: String::new() });
                return;
            }
        };
        for what in collection.errors {
            errors.push(RuleError { place: source.place.clone(), line: 0, what, fix: String::new() });
        }
        for rule in collection.rules {
            self.add_rule(rule, source, errors);
        }
        for rule in collection.correlations {
            let facts = correlation_facts(&rule, &source.place);
            let providers = claims(own_providers!(rule), source, errors);
            self.push(facts, Body::Correlation(Box::new(rule)), RuleState::Live, providers);
        }
        for filter in collection.filters {
            let facts = filter_facts(&filter, &source.place);
            match self.try_compile(Side::Native, &filter.detection) {
                Ok(_) => self.push(facts, Body::Filter(Box::new(filter)), RuleState::Filter, Vec::new()),
                Err(mistake) => errors.push(mistake.at(&source.place, &source.text)),
            }
        }
    }

    fn add_rule(&mut self, rule: SigmaRule, source: &RuleSource, errors: &mut Vec<RuleError>) {
        let state = match self.try_compile(side_of(&rule.logsource), &rule.detection) {
            Ok(_) => RuleState::Live,
            Err(mistake) if mistake.what.contains("placeholder") => RuleState::Inactive(mistake.what),
            Err(mistake) => {
                errors.push(mistake.at(&source.place, &source.text));
                return;
            }
        };
        if let Err(mistake) = self.class_of(&rule.logsource) {
            errors.push(mistake.at(&source.place, &source.text));
            return;
        }
        let providers = claims(own_providers!(rule), source, errors);
        self.push(rule_facts(&rule, &source.place), Body::Rule(Box::new(rule)), state, providers);
    }

    fn push(&mut self, facts: RuleFacts, body: Body, state: RuleState, providers: Vec<String>) {
        self.facts.push(facts);
        self.rules.push(Rule { body, state, extracts: Vec::new(), providers });
    }

    /// A rule whose id another rule already has is an error; the first one stays.
    fn forget_twins(&mut self, errors: &mut Vec<RuleError>) {
        let mut seen: HashMap<&str, &str> = HashMap::new();
        let mut twins = Vec::new();
        for (number, facts) in self.facts.iter().enumerate() {
            if let Some(first) = seen.get(facts.id.as_str()) {
                errors.push(RuleError {
                    place: facts.place.clone(),
                    line: 0,
                    what: format!("the id {} is taken by {first}", facts.id),
                    fix: "give the rule an id of its own".to_owned(),
                });
                twins.push(number);
            } else {
                seen.insert(&facts.id, &facts.place);
            }
        }
        for number in twins.into_iter().rev() {
            self.facts.remove(number);
            self.rules.remove(number);
        }
    }

    fn try_compile(&self, side: Side, detections: &rsigma_parser::Detections) -> Result<Expression, Mistake> {
        let taxonomy = BTreeMap::new();
        let mut fields = Fields { taxonomy: &taxonomy, native: PathSet::new(), ocsf: PathSet::new() };
        let mut table = Table::default();
        Compiler { side, fields: &mut fields, table: &mut table }.detections(detections)
    }

    /// Resolves what correlations name, and which fields they need.
    fn relate(&mut self, errors: &mut Vec<RuleError>) {
        let mut correlations = Vec::new();
        for (number, rule) in self.rules.iter().enumerate() {
            let Body::Correlation(source) = &rule.body else {
                continue;
            };
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            match Correlation::compile(number, source, &|name| self.find(name)) {
                Ok(correlation) => correlations.push((correlation, source.generate)),
                Err(mistake) => {
                    let place = self.facts.get(number as usize).map(|facts| facts.place.clone()).unwrap_or_default();
                    errors.push(RuleError { place, line: 0, what: mistake.what, fix: mistake.fix });
                }
            }
        }
        for (correlation, generate) in &mut correlations {
            for member in &mut correlation.members {
                let Some(rule) = self.rules.get_mut(member.rule as usize) else {
                    continue;
                };
                if !*generate && rule.state == RuleState::Live {
                    rule.state = RuleState::Base;
                }
                for (name, at) in member.wanted() {
                    let known = rule.extracts.iter().position(|extract| extract == name);
                    *at = known.unwrap_or_else(|| {
                        rule.extracts.push(name.clone());
                        rule.extracts.len() - 1
                    });
                }
            }
        }
        self.correlations = correlations.into_iter().map(|(correlation, _)| correlation).collect();
        self.order_correlations(errors);
    }

    /// Sorts correlations so that each comes after those it builds on; a circle is an error.
    fn order_correlations(&mut self, errors: &mut Vec<RuleError>) {
        let mut waiting = std::mem::take(&mut self.correlations);
        while !waiting.is_empty() {
            let open: Vec<u32> = waiting.iter().map(|correlation| correlation.rule).collect();
            let is_ready = |correlation: &Correlation| !correlation.members.iter().any(|member| open.contains(&member.rule));
            let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_ready);
            if ready.is_empty() {
                for correlation in &rest {
                    let facts = self.facts.get(correlation.rule as usize);
                    errors.push(RuleError {
                        place: facts.map(|facts| facts.place.clone()).unwrap_or_default(),
                        line: 0,
                        what: "the correlation builds on itself".to_owned(),
                        fix: "take itself and what builds on it out of its rules".to_owned(),
                    });
                }
                return;
            }
            self.correlations.extend(ready);
            waiting = rest;
        }
    }

    /// The number of the rule with a name or an id.
    fn find(&self, name: &str) -> Option<u32> {
        let has_name = |rule: &Rule| match &rule.body {
            Body::Rule(rule) => rule.name.as_deref() == Some(name) || rule.id.as_deref() == Some(name),
            Body::Correlation(rule) => rule.name.as_deref() == Some(name) || rule.id.as_deref() == Some(name),
            Body::Filter(_) => false,
        };
        self.rules.iter().position(has_name).and_then(|number| u32::try_from(number).ok())
    }

    /// The names that a filter gives and no rule has: there it silences nothing.
    pub fn lost_targets(&self, filter: u32) -> Vec<&str> {
        match self.rules.get(filter as usize).map(|rule| &rule.body) {
            Some(Body::Filter(filter)) => match &filter.rules {
                FilterRuleTarget::Specific(names) => {
                    names.iter().map(String::as_str).filter(|name| self.find(name).is_none()).collect()
                }
                FilterRuleTarget::Any => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// Facts about every rule, by number.
    pub fn facts(&self) -> &[RuleFacts] {
        &self.facts
    }

    /// What became of a rule.
    pub fn state(&self, rule: u32) -> Option<&RuleState> {
        self.rules.get(rule as usize).map(|rule| &rule.state)
    }

    /// The providers that a rule claims to hold for, in lower case; none where it claims nothing.
    pub fn providers(&self, rule: u32) -> &[String] {
        self.rules.get(rule as usize).map(|rule| rule.providers.as_slice()).unwrap_or_default()
    }

    /// Whether matches of a rule are findings of their own.
    pub fn reports(&self, rule: u32) -> bool {
        self.state(rule) == Some(&RuleState::Live)
    }

    /// Whether some correlation needs the matches of a rule.
    pub fn feeds(&self, rule: u32) -> bool {
        self.correlations.iter().any(|correlation| correlation.members.iter().any(|member| member.rule == rule))
    }

    pub(crate) fn correlations(&self) -> &[Correlation] {
        &self.correlations
    }

    /// The log source of a rule, where it has one: product, service, category.
    pub fn logsource(&self, rule: u32) -> Option<(Option<&str>, Option<&str>, Option<&str>)> {
        match &self.rules.get(rule as usize)?.body {
            Body::Rule(rule) => {
                let source = &rule.logsource;
                Some((source.product.as_deref(), source.service.as_deref(), source.category.as_deref()))
            }
            _ => None,
        }
    }

    /// The values that outer correlations want of an alert of a correlation: its group's.
    pub(crate) fn alert_values(&self, rule: u32, names: &[String], shown: &[String]) -> Vec<Option<String>> {
        let extracts = self.rules.get(rule as usize).map(|rule| rule.extracts.as_slice()).unwrap_or_default();
        let value = |wanted: &String| names.iter().position(|name| name == wanted).and_then(|at| shown.get(at).cloned());
        extracts.iter().map(value).collect()
    }

    fn class_of(&self, source: &LogSource) -> Result<Option<u32>, Mistake> {
        let Some(category) = source.category.as_ref().filter(|_| side_of(source) == Side::Ocsf) else {
            return Ok(None);
        };
        self.classes.get(category).copied().map(Some).ok_or_else(|| {
            Mistake::new(format!("`{category}` is no OCSF class"), "name a class such as api_activity", "category")
        })
    }

    /// Compiles the rules that apply to one log. `taxonomy` gives the record path of a field name
    /// that rules use.
    pub fn partition(&self, query: &LogQuery, taxonomy: &BTreeMap<String, String>) -> Partition {
        let mut fields = Fields { taxonomy, native: PathSet::new(), ocsf: PathSet::new() };
        let mut table = Table::default();
        let mut members = Vec::new();
        for (number, rule) in self.rules.iter().enumerate() {
            let Body::Rule(source) = &rule.body else {
                continue;
            };
            if matches!(rule.state, RuleState::Inactive(_)) || !applies(&source.logsource, query) {
                continue;
            }
            let side = side_of(&source.logsource);
            let mut compiler = Compiler { side, fields: &mut fields, table: &mut table };
            let Ok(mut expression) = compiler.detections(&source.detection) else {
                continue;
            };
            if let Ok(Some(class)) = self.class_of(&source.logsource) {
                let field = compiler.fields.field(Side::Ocsf, "class_uid");
                let test = Test::Text(crate::predicate::Place::Whole, crate::predicate::Case::Fold, class.to_string());
                let of_class = Expression::Predicate(compiler.table.intern(Predicate { field, test }));
                expression = Expression::And(vec![of_class, expression]);
            }
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let filters = self.filters_of(number, source, query, &mut compiler);
            let extracts = rule.extracts.iter().map(|name| fields.field(side, name)).collect();
            members.push(Member { rule: number, expression, filters, extracts });
        }
        Partition::new(fields.native, fields.ocsf, table, members)
    }

    fn filters_of(
        &self,
        number: u32,
        rule: &SigmaRule,
        query: &LogQuery,
        compiler: &mut Compiler<'_, '_>,
    ) -> Vec<(u32, Expression)> {
        let mut filters = Vec::new();
        for (at, candidate) in self.rules.iter().enumerate() {
            let Body::Filter(filter) = &candidate.body else {
                continue;
            };
            let is_named = match &filter.rules {
                FilterRuleTarget::Any => true,
                FilterRuleTarget::Specific(names) => names.iter().any(|name| self.find(name) == Some(number)),
            };
            let has_source = filter
                .logsource
                .as_ref()
                .is_none_or(|source| side_of(source) == side_of(&rule.logsource) && applies(source, query));
            if is_named
                && has_source
                && let Ok(expression) = compiler.detections(&filter.detection)
            {
                filters.push((u32::try_from(at).unwrap_or(u32::MAX), expression));
            }
        }
        filters
    }
}

/// The providers that a rule names; a claim that cannot be read is an error, and the rule claims nothing.
fn claims(names: Option<Vec<String>>, source: &RuleSource, errors: &mut Vec<RuleError>) -> Vec<String> {
    names.unwrap_or_else(|| {
        let mistake = Mistake::new("`providers` is no list of names", "write `providers: [name, other_name]`", "providers");
        errors.push(mistake.at(&source.place, &source.text));
        Vec::new()
    })
}

fn side_of(source: &LogSource) -> Side {
    if source.product.as_deref() == Some(OCSF_PRODUCT) { Side::Ocsf } else { Side::Native }
}

/// Whether a rule's log source includes the log: what the rule says must be so, case ignored.
fn applies(source: &LogSource, query: &LogQuery) -> bool {
    if side_of(source) == Side::Ocsf {
        return query.has_events;
    }
    let fits = |wanted: &Option<String>, found: &Option<String>| match (wanted, found) {
        (None, _) => true,
        (Some(wanted), Some(found)) => wanted.eq_ignore_ascii_case(found),
        (Some(_), None) => false,
    };
    let says_something = source.product.is_some() || source.service.is_some() || source.category.is_some();
    says_something
        && query.names.iter().any(|name| {
            fits(&source.product, &name.product)
                && fits(&source.service, &name.service)
                // A rule that names the service may call its category what it likes (`application`).
                && (source.service.is_some() || fits(&source.category, &name.category))
        })
}

fn severity(level: Option<Level>) -> Severity {
    match level {
        Some(Level::Critical) => Severity::Critical,
        Some(Level::High) => Severity::High,
        Some(Level::Medium) => Severity::Medium,
        Some(Level::Informational) => Severity::Informational,
        // A rule without a level is not worth waking somebody for.
        Some(Level::Low) | None => Severity::Low,
    }
}

/// Techniques and tactics of Sigma tags (`attack.t1098.001`, `attack.persistence`).
fn attack(tags: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut techniques, mut tactics) = (Vec::new(), Vec::new());
    for tag in tags {
        let Some(name) = tag.strip_prefix("attack.") else {
            continue;
        };
        let is_technique = name.starts_with('t') && name.chars().nth(1).is_some_and(|c| c.is_ascii_digit());
        if is_technique {
            techniques.push(name.to_uppercase());
        } else if !name.starts_with(['g', 's']) || !name.chars().nth(1).is_some_and(|c| c.is_ascii_digit()) {
            tactics.push(name.replace('_', "-"));
        }
    }
    (techniques, tactics)
}

/// A text among a rule's own keys (`title_fr`, `response`, `response_fr`).
macro_rules! own_text {
    ($rule:expr, $key:literal) => {
        $rule.custom_attributes.get($key).and_then(|value| value.as_str()).map(str::to_owned)
    };
}

fn rule_facts(rule: &SigmaRule, place: &str) -> RuleFacts {
    let (techniques, tactics) = attack(&rule.tags);
    RuleFacts {
        id: rule.id.clone().or_else(|| rule.name.clone()).unwrap_or_else(|| rule.title.clone()),
        title: rule.title.clone(),
        title_fr: own_text!(rule, "title_fr").unwrap_or_else(|| rule.title.clone()),
        severity: severity(rule.level),
        techniques,
        tactics,
        author: rule.author.clone().unwrap_or_default(),
        response: own_text!(rule, "response").unwrap_or_default(),
        response_fr: own_text!(rule, "response_fr").or_else(|| own_text!(rule, "response")).unwrap_or_default(),
        is_correlation: false,
        place: place.to_owned(),
    }
}

fn correlation_facts(rule: &CorrelationRule, place: &str) -> RuleFacts {
    let (techniques, tactics) = attack(&rule.tags);
    RuleFacts {
        id: rule.id.clone().or_else(|| rule.name.clone()).unwrap_or_else(|| rule.title.clone()),
        title: rule.title.clone(),
        title_fr: own_text!(rule, "title_fr").unwrap_or_else(|| rule.title.clone()),
        severity: severity(rule.level),
        techniques,
        tactics,
        author: rule.author.clone().unwrap_or_default(),
        response: own_text!(rule, "response").unwrap_or_default(),
        response_fr: own_text!(rule, "response_fr").or_else(|| own_text!(rule, "response")).unwrap_or_default(),
        is_correlation: true,
        place: place.to_owned(),
    }
}

fn filter_facts(filter: &FilterRule, place: &str) -> RuleFacts {
    RuleFacts {
        id: filter.id.clone().or_else(|| filter.name.clone()).unwrap_or_else(|| filter.title.clone()),
        title: filter.title.clone(),
        title_fr: filter.title.clone(),
        severity: Severity::Informational,
        techniques: Vec::new(),
        tactics: Vec::new(),
        author: filter.author.clone().unwrap_or_default(),
        response: String::new(),
        response_fr: String::new(),
        is_correlation: false,
        place: place.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{RuleSet, RuleSource};

    /// What a rule with these lines of its own claims, or the error they give.
    #[track_caller]
    fn check(own: &str, expected: Result<&[&str], &str>) {
        let rule = "logsource: {product: ocsf}\ndetection: {s: {status_id: 1}, condition: s}\n";
        let correlation =
            "correlation: {type: event_count, rules: [base], group-by: [target], timespan: 1h, condition: {gte: 2}}\n";
        let base = format!("title: Base\nname: base\n{rule}---\n");
        for (base, body) in [("", rule), (base.as_str(), correlation)] {
            let text = format!("{base}title: Tried\nid: tried\n{own}{body}");
            let source = RuleSource { place: "tried.yml".to_owned(), text };
            let (set, errors) = RuleSet::parse(&[source], BTreeMap::new());
            let number = set.facts().iter().position(|facts| facts.title == "Tried").unwrap();
            let claims = set.providers(u32::try_from(number).unwrap());
            match expected {
                Ok(names) => assert!(errors.is_empty() && claims == names, "{own}: {claims:?} {errors:?}"),
                Err(why) => assert!(errors.iter().any(|error| error.to_string().contains(why)), "{own}: {errors:?}"),
            }
        }
    }

    #[test]
    fn a_rule_claims_the_providers_it_lists() {
        check("", Ok(&[]));
        check("vigie: {providers: [one, Two]}\n", Ok(&["one", "two"]));
        check("vigie: {other: key}\n", Ok(&[]));
        check("vigie:\n  providers: one\n", Err("tried.yml:"));
        check("vigie:\n  providers: [{one: two}]\n", Err("`providers` is no list of names"));
    }
}
