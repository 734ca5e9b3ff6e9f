//! Lanes: for each log type its walk, its mapping and its rules. The only place that sees both sides.

use std::collections::{BTreeMap, BTreeSet};

use vigie_detect::{LogName, LogQuery, Partition, RuleSet};
use vigie_model::{Column, EventFacts, LogType, Principal};
use vigie_normalise::{Enricher, Enrichments, LogSource, Mapping, Mark, Programme, Wants, Wrapper};
use vigie_record::{Export, LineForms, LineSet, PathSet, Row, SlotId, Value, Walk};

use crate::find::Groups;

/// Where a record of a log without a mapping may name its time and its id, most telling first.
#[derive(Debug, Clone, Default)]
pub struct GenericPaths {
    /// Paths of times.
    pub time: Vec<String>,
    /// Paths of ids.
    pub id: Vec<String>,
    /// Field names that rules use, and where they stand, by log type.
    pub taxonomies: BTreeMap<String, BTreeMap<String, String>>,
}

/// One log type, ready to read.
#[derive(Debug)]
pub struct Lane {
    /// The log type.
    pub log: LogType,
    /// Its name for people.
    pub title: String,
    pub(crate) programme: Option<Programme>,
    pub(crate) partition: Partition,
    pub(crate) walk: Walk,
    recognise: Groups,
    /// What tells its records from those of others.
    pub(crate) marks: Marks,
    /// Whether a record may be of another log too, which comes first.
    pub(crate) is_last: bool,
    time: Vec<SlotId>,
    id: Vec<SlotId>,
    /// The OCSF paths that its programme gives.
    wanted: PathSet,
    /// What tables give at the paths that are wanted.
    pub(crate) enricher: Enricher,
    /// What tables say of an event with findings.
    pub(crate) about: Enricher,
    /// The tables, for documents.
    pub(crate) enrichments: Enrichments,
}

/// See [`crate::find::Finder`].
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// A record has every mark of one group.
    pub(crate) groups: Vec<Vec<Mark>>,
    /// Where a record stands inside another.
    pub(crate) wrappers: Vec<Wrapper>,
}

/// Sets of a lane's walk, in the order of [`Walk::compile`].
pub(crate) const PROGRAMME: usize = 0;
pub(crate) const RULES: usize = 1;
const OWN: usize = 2;

impl Lane {
    /// The lane of a mapped log, whose events have what the rules read.
    pub fn mapped(mapping: &Mapping, rules: &RuleSet) -> Lane {
        Lane::mapped_with(mapping, rules, &Enrichments::default(), &mut std::iter::empty(), Wants::Wanted)
    }

    /// The lane of a mapped log, whose events have these OCSF paths too, and what tables give.
    pub fn mapped_with(
        mapping: &Mapping,
        rules: &RuleSet,
        enrichments: &Enrichments,
        paths: &mut dyn Iterator<Item = &str>,
        wants: Wants,
    ) -> Lane {
        let name = |source: &LogSource| LogName {
            product: source.product.clone(),
            service: source.service.clone(),
            category: source.category.clone(),
        };
        let query = LogQuery { names: mapping.logsources.iter().map(name).collect(), has_events: true };
        let partition = rules.partition(&query, &mapping.taxonomy);
        let mut wanted = partition.ocsf_paths().clone();
        paths.for_each(|path| {
            wanted.intern(path);
        });
        enrichments.add_reads(&mut wanted, wants);
        let programme = mapping.programme(&mut wanted);
        let never = programme.never(&wanted);
        let enricher = enrichments.enricher(&wanted, &never, wants);
        let about = enrichments.enricher(&wanted, &never, Wants::All);
        let mut own = PathSet::new();
        let recognise = Groups::place(&mapping.recognise, &mut own);
        let marks = Marks { groups: mapping.recognise.clone(), wrappers: mapping.wrappers.clone() };
        let walk = Walk::compile(&[programme.paths(), partition.native_paths(), &own]);
        Lane {
            log: mapping.log.clone(),
            title: mapping.title.clone(),
            programme: Some(programme),
            partition,
            walk,
            recognise,
            marks,
            is_last: mapping.is_last,
            time: Vec::new(),
            id: Vec::new(),
            wanted,
            enricher,
            about,
            enrichments: enrichments.clone(),
        }
    }

    /// The lane of a log without a mapping: rules read its records as they are.
    pub fn native(log: &LogType, rules: &RuleSet, generic: &GenericPaths) -> Lane {
        let name = LogName {
            product: Some(log.product().to_owned()),
            service: Some(log.service().to_owned()),
            category: Some(log.service().to_owned()),
        };
        let query = LogQuery { names: vec![name], has_events: false };
        let none = BTreeMap::new();
        let partition = rules.partition(&query, generic.taxonomies.get(&log.0).unwrap_or(&none));
        let mut own = PathSet::new();
        let time = generic.time.iter().map(|path| own.intern(path)).collect();
        let id = generic.id.iter().map(|path| own.intern(path)).collect();
        let walk = Walk::compile(&[&PathSet::new(), partition.native_paths(), &own]);
        Lane {
            log: log.clone(),
            title: log.0.clone(),
            programme: None,
            partition,
            walk,
            recognise: Groups::any(),
            marks: Marks::default(),
            is_last: false,
            time,
            id,
            wanted: PathSet::new(),
            enricher: Enricher::default(),
            about: Enricher::default(),
            enrichments: Enrichments::default(),
        }
    }

    /// Who acts in an event of the lane, as links name it.
    pub fn principal(&self, event: &EventFacts) -> Principal {
        Principal {
            credential: event.credential.clone(),
            uid: event.actor_uid.clone(),
            space: self.programme.as_ref().map_or(self.log.product(), Programme::space).to_owned(),
            name: event.actor.clone(),
            person: String::new(),
        }
    }

    /// Whether a record of the lane may name who acts through its actor.
    pub(crate) fn has_acts(&self) -> bool {
        self.programme.as_ref().is_some_and(Programme::has_acts)
    }

    /// Where the events of the lane have an OCSF path.
    pub(crate) fn slot(&self, path: &str) -> Option<SlotId> {
        self.wanted.slot(path)
    }

    /// The numbers of the rules that apply to the lane.
    pub fn rules(&self) -> impl Iterator<Item = u32> {
        self.partition.ocsf_reads().into_iter().map(|(rule, _)| rule)
    }

    /// Whether a record behind one of the lane is asked first whether it is of the lane too. Not where others
    /// come before it, unless all records are said to be its, nor where its records may be several.
    pub(crate) fn is_hint(&self, is_forced: bool) -> bool {
        (is_forced || !self.is_last) && !self.marks.wrappers.iter().any(|wrapper| wrapper.is_split || wrapper.is_lines)
    }

    /// Whether any rule applies to the lane.
    pub(crate) fn has_rules(&self) -> bool {
        !self.partition.is_empty()
    }

    /// Each rule of a mapped lane, with the OCSF paths it reads that neither the mapping nor a table gives.
    fn missing(&self) -> Vec<(u32, BTreeSet<String>)> {
        let Some(programme) = &self.programme else {
            return Vec::new();
        };
        let mut never = programme.never(self.partition.ocsf_paths());
        never.retain(|path| !self.enricher.gives(path));
        let missing = |paths: Vec<&str>| paths.into_iter().filter(|path| never.contains(path)).map(str::to_owned).collect();
        self.partition.ocsf_reads().into_iter().map(|(rule, paths)| (rule, missing(paths))).collect()
    }

    /// Whether a row read by this lane's walk is a record of its log.
    pub(crate) fn recognises(&self, row: &Row<'_>) -> bool {
        let own = self.walk.view(row, OWN);
        self.recognise.hold(|slot| own.get(slot))
    }

    /// The time of a record without a mapping, 0 when none is found.
    pub(crate) fn generic_time(&self, row: &Row<'_>) -> i64 {
        let own = self.walk.view(row, OWN);
        let time = |slot: &SlotId| match own.get(*slot) {
            Value::Text(text) => vigie_model::parse_rfc3339(&text),
            Value::Int(number) => Some(vigie_model::millis_of(number)),
            _ => None,
        };
        self.time.iter().find_map(time).filter(|at| (0..=vigie_model::MILLIS_MAX).contains(at)).unwrap_or(0)
    }

    /// The id of a record without a mapping, as the record writes it.
    pub(crate) fn generic_id(&self, row: &Row<'_>) -> Option<String> {
        let own = self.walk.view(row, OWN);
        self.id.iter().find_map(|slot| own.get(*slot).text().map(std::borrow::Cow::into_owned))
    }
}

/// The lanes of a run.
#[derive(Debug)]
pub struct Lanes {
    /// Tried in this order.
    pub lanes: Vec<Lane>,
    /// The lane that every record belongs to, whatever it looks like.
    pub forced: Option<usize>,
    /// Keys of envelopes of all logs.
    pub envelope_keys: Vec<String>,
    /// Tables that are exports of all logs.
    pub exports: Vec<Export>,
    /// Lines of text of all logs; the owner of each is the number of its lane.
    pub lines: LineSet,
}

impl Lanes {
    /// Who acts in an event, as links name it.
    pub fn principal(&self, event: &EventFacts) -> Principal {
        let lane = self.lanes.iter().find(|lane| lane.log.0 == event.log);
        lane.map(|lane| lane.principal(event)).unwrap_or_default()
    }

    /// A lane for each mapping; every record finds its own. Logs that take what no other does come last.
    pub fn mapped(mappings: &[Mapping], rules: &RuleSet) -> Lanes {
        Lanes::enriched(mappings, rules, &Enrichments::default())
    }

    /// The same, where rules read what tables give too.
    pub fn enriched(mappings: &[Mapping], rules: &RuleSet, enrichments: &Enrichments) -> Lanes {
        let lane = |mapping| Lane::mapped_with(mapping, rules, enrichments, &mut std::iter::empty(), Wants::Wanted);
        let mut envelope_keys: Vec<String> = mappings.iter().flat_map(|mapping| mapping.envelope_keys.clone()).collect();
        envelope_keys.sort();
        envelope_keys.dedup();
        Lanes {
            lanes: ordered(mappings).map(lane).collect(),
            forced: None,
            envelope_keys,
            exports: mappings.iter().flat_map(|mapping| mapping.exports.clone()).collect(),
            lines: lines_of(mappings),
        }
    }

    /// A lane for each mapping, whose events have the paths of promoted columns, and behind them one
    /// that reads any JSON object: what [`crate::Shaper`] works with.
    pub fn shaping(mappings: &[Mapping], rules: &RuleSet, generic: &GenericPaths, columns: &[Column]) -> Lanes {
        Lanes::shaping_with(mappings, rules, generic, columns, &Enrichments::default())
    }

    /// The same, with what tables say of each event.
    pub fn shaping_with(
        mappings: &[Mapping],
        rules: &RuleSet,
        generic: &GenericPaths,
        columns: &[Column],
        enrichments: &Enrichments,
    ) -> Lanes {
        let mut lanes = Lanes::mapped(&[], rules);
        for mapping in ordered(mappings) {
            let mut paths = columns.iter().map(|column| column.path.trim_start_matches("vigie:"));
            lanes.lanes.push(Lane::mapped_with(mapping, rules, enrichments, &mut paths, Wants::All));
            lanes.envelope_keys.extend(mapping.envelope_keys.iter().cloned());
            lanes.exports.extend(mapping.exports.iter().cloned());
        }
        lanes.envelope_keys.sort();
        lanes.envelope_keys.dedup();
        lanes.lines = lines_of(mappings);
        lanes.lanes.push(Lane::native(&LogType("generic/json".to_owned()), rules, generic));
        lanes
    }

    /// Rules that read an OCSF path which no mapping gives among those they are about: rule and path.
    /// A rule is about the logs of the providers that it claims, or about all.
    pub fn blind_rules(&self, rules: &RuleSet) -> Vec<(u32, String)> {
        let mut blind: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
        for lane in &self.lanes {
            for (rule, missing) in lane.missing() {
                let claims = rules.providers(rule);
                if claims.is_empty() || claims.iter().any(|name| name == lane.log.product()) {
                    let known = blind.entry(rule).and_modify(|known| known.retain(|path| missing.contains(path)));
                    known.or_insert(missing);
                }
            }
        }
        blind.into_iter().filter_map(|(rule, paths)| Some((rule, paths.into_iter().next()?))).collect()
    }

    /// By rule the log types whose records it runs on and which give all that it reads.
    pub fn served(&self) -> BTreeMap<u32, BTreeSet<String>> {
        let mut served: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
        for lane in &self.lanes {
            for (rule, _) in lane.missing().into_iter().filter(|(_, missing)| missing.is_empty()) {
                served.entry(rule).or_default().insert(lane.log.0.clone());
            }
        }
        served
    }

    /// Sends every record to the lane of `log`, which is read without a mapping when none is here.
    pub fn force(&mut self, log: &LogType, rules: &RuleSet, generic: &GenericPaths) {
        let known = self.lanes.iter().position(|lane| lane.log == *log);
        self.forced = known.or_else(|| {
            self.lanes.push(Lane::native(log, rules, generic));
            self.lanes.len().checked_sub(1)
        });
    }
}

/// Mappings in the order in which records are offered to them.
fn ordered(mappings: &[Mapping]) -> impl Iterator<Item = &Mapping> {
    let of = move |is_last: bool| mappings.iter().filter(move |mapping| mapping.is_last == is_last);
    of(false).chain(of(true))
}

/// The lines of the logs of mappings, whose lanes stand in the same order.
fn lines_of(mappings: &[Mapping]) -> LineSet {
    let logs: Vec<(usize, &LineForms)> = ordered(mappings).map(|mapping| &mapping.lines).enumerate().collect();
    LineSet::new(&logs)
}
