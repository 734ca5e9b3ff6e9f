//! The story: findings of one actor folded into one thread, its steps in order, and what was blind.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashSet;
use vigie_estate::{Chain, Step};
use vigie_model::{EventFacts, Finding, LinkKind, Millis, Principal, RuleFacts, Severity, Sureness};

/// Threads kept in full; findings of further actors are counted only.
const THREADS_MAX: usize = 2_000;
/// Lines kept in a thread.
const LINES_MAX: usize = 400;
/// Addresses, programs, accounts and resources kept in a thread.
pub(crate) const NAMES_MAX: usize = 200;

/// One step of a thread: findings of one rule that follow each other.
#[derive(Debug, Clone)]
pub struct Line {
    /// When the first event of it happened.
    pub first: Millis,
    /// When the last event of it happened.
    pub last: Millis,
    /// Index of the rule.
    pub rule: u32,
    /// How bad.
    pub severity: Severity,
    /// The tactic that the rule names first; may be empty.
    pub tactic: String,
    /// Techniques of the rule.
    pub techniques: Vec<String>,
    /// The event that shows it best: the first.
    pub event: EventFacts,
    /// Events of it.
    pub events: u64,
    /// Findings of it.
    pub findings: u64,
}

/// What one actor did, whatever credentials it went through.
#[derive(Debug, Clone)]
pub struct Thread {
    /// The credential or identity that the thread begins with.
    pub lead: Principal,
    /// Who stands behind the lead, nearest first.
    pub behind: Vec<Step>,
    /// Credentials that the lead came to, with how and when, in order of time.
    pub through: Vec<(Principal, Step)>,
    /// The worst severity.
    pub severity: Severity,
    /// Findings in all.
    pub findings: u64,
    /// First and last event.
    pub first: Millis,
    /// See `first`.
    pub last: Millis,
    /// Addresses, and events of findings from each.
    pub addresses: BTreeMap<String, u64>,
    /// What tables say of addresses: country, network, owner.
    pub origins: BTreeMap<String, String>,
    /// Programs.
    pub user_agents: BTreeMap<String, u64>,
    /// Accounts.
    pub accounts: BTreeSet<String>,
    /// What was acted upon, with the number of findings.
    pub targets: BTreeMap<String, u64>,
    /// Foreign accounts and principals that got something.
    pub peers: BTreeSet<String>,
    /// Credentials and identities used: names under which activity is counted.
    pub credentials: BTreeSet<String>,
    /// Steps in order of time.
    pub lines: Vec<Line>,
    /// Findings by rule.
    pub rules: BTreeMap<u32, u64>,
}

/// A span that was not recorded, or not provably.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blind {
    /// From when.
    pub from: Millis,
    /// Until when; none when it never came back.
    pub until: Option<Millis>,
    /// What was watched by it: a trail, a flow log.
    pub what: String,
    /// The verb that ended it.
    pub verb: String,
    /// Who ended it.
    pub by: String,
}

/// Counts about the whole run that the report says.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Files read.
    pub files: u64,
    /// Different events.
    pub events: u64,
    /// Records that repeat an event.
    pub duplicates: u64,
    /// Events that share an id with others of other content.
    pub conflicts: u64,
    /// Records that name a key twice.
    pub duplicate_keys: u64,
    /// First and last event.
    pub span: Option<(Millis, Millis)>,
    /// Events by log type, by its title.
    pub logs: Vec<(String, u64)>,
    /// Records not read, by label key of the reason.
    pub rejects: Vec<(String, u64)>,
    /// The first of them: where and why.
    pub reject_samples: Vec<String>,
    /// Files that could not be read to the end: name and why.
    pub broken_files: Vec<(String, String)>,
    /// Files without records: name and guess.
    pub foreign_files: Vec<(String, String)>,
    /// How many rules ran.
    pub rules: u64,
    /// Rules that could not see: title and why.
    pub blind_rules: Vec<(String, String)>,
    /// Matches silenced, by title of the filter.
    pub silenced: Vec<(String, u64)>,
    /// The paths hunted, as they are typed again in commands.
    pub paths: String,
    /// Spans of collection that are not proven, as sentences.
    pub gaps: Vec<String>,
    /// Accounts that the logs are of: what is shared among them stays inside.
    pub accounts: BTreeSet<String>,
    /// Lines about what is proven, the verdict first; empty where there are no digests.
    pub proof: Vec<String>,
}

/// Everything a report shows.
#[derive(Debug)]
pub struct Story {
    /// Worst and longest first.
    pub threads: Vec<Thread>,
    /// Spans not recorded, in order of time.
    pub blinds: Vec<Blind>,
    /// Findings in all.
    pub findings: u64,
    /// Findings by rule.
    pub by_rule: BTreeMap<u32, u64>,
    /// The rules.
    pub rules: Vec<RuleFacts>,
    /// About the run.
    pub facts: Facts,
}

/// Builds a story from findings in the order of time.
#[derive(Debug, Default)]
pub struct StoryBuilder {
    threads: BTreeMap<String, Thread>,
    blinds: Vec<Blind>,
    findings: u64,
    by_rule: BTreeMap<u32, u64>,
    /// Events that findings of at least medium severity named: what they created belongs to them.
    flagged: HashSet<String>,
}

impl StoryBuilder {
    /// Adds a finding, with the chain behind its event's principal.
    pub fn add(&mut self, finding: &Finding, rule: &RuleFacts, chain: &Chain) {
        self.note_watch(finding);
        self.findings += 1;
        *self.by_rule.entry(finding.rule).or_default() += 1;
        if rule.severity >= Severity::Medium {
            self.flagged.extend(finding.related.iter().cloned());
        }
        let own = principal_of(&finding.event);
        let is_followed = |step: &&Step| step.kind != LinkKind::Created || self.flagged.contains(&step.event_uid);
        let followed = chain.steps.iter().take_while(is_followed).count();
        // Who it is elsewhere says whose story it is; the account that acted leads it.
        let is_elsewhere = |step: &&Step| step.kind == LinkKind::Same && step.sure == Sureness::Email;
        let (known, _) = chain.steps.split_at(followed.min(chain.steps.len()));
        let elsewhere = known.iter().rev().take_while(is_elsewhere).count();
        let (inner, behind) = chain.steps.split_at(known.len() - elsewhere);
        let lead = inner.last().map_or(&own, |step| &step.by);
        let key = key_of(known.last().map_or(&own, |step| &step.by));
        if !self.threads.contains_key(&key) && self.threads.len() >= THREADS_MAX {
            return;
        }
        let thread = self.threads.entry(key).or_insert_with(|| Thread::new(lead.clone(), behind.to_vec(), finding));
        let mut child = &own;
        for step in inner {
            thread.came_to(child, step);
            child = &step.by;
        }
        if let Some(step) = behind.first().filter(|_| key_of(lead) != key_of(&thread.lead)) {
            thread.came_to(lead, step);
        }
        thread.add(finding, rule, &own);
    }

    /// Follows what ends and resumes recording.
    fn note_watch(&mut self, finding: &Finding) {
        let event = &finding.event;
        let what =
            if event.target.is_empty() { event.resources.first().cloned().unwrap_or_default() } else { event.target.clone() };
        if !event.error.is_empty() || !event.verb.starts_with("log.") || finding.events > 1 {
            return;
        }
        let ends = ["disable", "delete", "narrow"].iter().any(|end| event.verb.ends_with(end));
        if ends {
            let is_open = |blind: &Blind| blind.until.is_none() && short(&blind.what) == short(&what) && blind.verb == event.verb;
            if !self.blinds.iter().any(is_open) {
                let by = name_of(&principal_of(event));
                self.blinds.push(Blind { from: finding.first, until: None, what, verb: event.verb.clone(), by });
            }
        } else if event.verb.ends_with("enable") {
            for blind in self.blinds.iter_mut().filter(|blind| blind.until.is_none() && short(&blind.what) == short(&what)) {
                blind.until = Some(finding.first);
            }
        }
    }

    /// The story, with what the run says about itself.
    pub fn finish(self, rules: Vec<RuleFacts>, facts: Facts) -> Story {
        let mut threads: Vec<Thread> = self.threads.into_values().collect();
        for thread in &mut threads {
            thread.stay_inside(&facts.accounts);
            thread.through.sort_by_key(|(_, step)| step.occurred);
        }
        // Worst first; among equals the one with more different rules, then the earlier one.
        threads.sort_by(|a, b| {
            b.severity.cmp(&a.severity).then(b.serious_rules(&rules).cmp(&a.serious_rules(&rules))).then(a.first.cmp(&b.first))
        });
        Story { threads, blinds: self.blinds, findings: self.findings, by_rule: self.by_rule, rules, facts }
    }
}

/// Where what is said of the address of a finding stands among its evidence.
const ORIGIN_FIELDS: [&str; 3] =
    ["src_endpoint.location.country", "src_endpoint.autonomous_system.name", "src_endpoint.owner.name"];

/// What is said of the address that a finding came from.
fn origin(finding: &Finding) -> Option<String> {
    let said = |field: &&str| finding.evidence.iter().find(|known| known.field == *field).map(|known| known.value.as_str());
    let parts: Vec<&str> = ORIGIN_FIELDS.iter().filter_map(said).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

impl Thread {
    /// An address with what tables say of it.
    pub(crate) fn origin_of(&self, address: &str) -> String {
        match self.origins.get(address) {
            Some(origin) => format!("{address} ({origin})"),
            None => address.to_owned(),
        }
    }

    fn new(lead: Principal, behind: Vec<Step>, finding: &Finding) -> Thread {
        Thread {
            lead,
            behind,
            through: Vec::new(),
            severity: Severity::Informational,
            findings: 0,
            first: finding.first,
            last: finding.last,
            addresses: BTreeMap::new(),
            origins: BTreeMap::new(),
            user_agents: BTreeMap::new(),
            accounts: BTreeSet::new(),
            targets: BTreeMap::new(),
            peers: BTreeSet::new(),
            credentials: BTreeSet::new(),
            lines: Vec::new(),
            rules: BTreeMap::new(),
        }
    }

    /// Notes what the lead came to, and how that is known.
    fn came_to(&mut self, principal: &Principal, step: &Step) {
        if !self.through.iter().any(|(known, _)| key_of(known) == key_of(principal)) {
            self.through.push((principal.clone(), step.clone()));
        }
    }

    fn add(&mut self, finding: &Finding, rule: &RuleFacts, own: &Principal) {
        let event = &finding.event;
        self.severity = self.severity.max(rule.severity);
        self.findings += 1;
        self.first = self.first.min(finding.first);
        self.last = self.last.max(finding.last);
        *self.rules.entry(finding.rule).or_default() += 1;
        count(&mut self.addresses, &event.address);
        if self.origins.len() < NAMES_MAX && !self.origins.contains_key(&event.address) {
            self.origins.extend(origin(finding).map(|origin| (event.address.clone(), origin)));
        }
        count(&mut self.user_agents, &event.user_agent);
        count(&mut self.targets, &event.target);
        if !event.account.is_empty() && self.accounts.len() < NAMES_MAX {
            self.accounts.insert(event.account.clone());
        }
        if !event.peer.is_empty() && event.error.is_empty() && self.peers.len() < NAMES_MAX {
            self.peers.insert(event.peer.clone());
        }
        if self.credentials.len() < NAMES_MAX {
            self.credentials.insert(key_of(own));
            self.credentials.insert(key_of(&self.lead));
        }
        if let Some(line) = self.lines.last_mut()
            && line.rule == finding.rule
            && line.event.error.is_empty() == event.error.is_empty()
        {
            line.last = line.last.max(finding.last);
            line.findings += 1;
            line.events += finding.events;
            return;
        }
        if self.lines.len() < LINES_MAX {
            self.lines.push(Line {
                first: finding.first,
                last: finding.last,
                rule: finding.rule,
                severity: rule.severity,
                tactic: rule.tactics.first().cloned().unwrap_or_default(),
                techniques: rule.techniques.clone(),
                event: event.clone(),
                events: finding.events,
                findings: 1,
            });
        }
    }

    /// What was shared with an account of our own is worth a look, no more.
    fn stay_inside(&mut self, accounts: &BTreeSet<String>) {
        let is_inside = |peer: &String| accounts.contains(peer);
        for line in self.lines.iter_mut().filter(|line| is_inside(&line.event.peer)) {
            line.severity = line.severity.min(Severity::Low);
        }
        self.peers.retain(|peer| !is_inside(peer));
        if let Some(worst) = self.lines.iter().map(|line| line.severity).max() {
            self.severity = worst;
        }
    }

    /// How many rules of at least medium severity it touched.
    fn serious_rules(&self, rules: &[RuleFacts]) -> usize {
        let is_serious = |rule: &&u32| rules.get(**rule as usize).is_some_and(|facts| facts.severity >= Severity::Medium);
        self.rules.keys().filter(is_serious).count()
    }
}

fn count(names: &mut BTreeMap<String, u64>, name: &str) {
    if name.is_empty() {
        return;
    }
    if let Some(count) = names.get_mut(name) {
        *count += 1;
    } else if names.len() < NAMES_MAX {
        names.insert(name.to_owned(), 1);
    }
}

/// The principal that an event names itself.
pub(crate) fn principal_of(event: &EventFacts) -> Principal {
    let is_session = !event.session.is_empty();
    let name = match () {
        () if is_session => event.session.clone(),
        () if !event.actor.is_empty() => event.actor.clone(),
        () if !event.invoked_by.is_empty() => event.invoked_by.clone(),
        () => event.address.clone(),
    };
    Principal { credential: event.credential.clone(), uid: event.actor_uid.clone(), name, ..Principal::default() }
}

/// What tells one principal from another: its credential, else its id, else its name.
pub(crate) fn key_of(principal: &Principal) -> String {
    [&principal.credential, &principal.uid, &principal.name]
        .into_iter()
        .find(|part| !part.is_empty())
        .cloned()
        .unwrap_or_default()
}

/// The name of a principal for readers: the person where one is known.
pub(crate) fn name_of(principal: &Principal) -> String {
    let names = [&principal.person, &principal.name, &principal.uid, &principal.credential];
    names.into_iter().find(|part| !part.is_empty()).cloned().unwrap_or_default()
}

/// Who stands behind the lead of a thread, and how.
pub(crate) struct Behind<'t> {
    /// The first link.
    pub(crate) step: &'t Step,
    /// The first human or workload.
    pub(crate) person: String,
    /// The role that it went through; may be empty.
    pub(crate) via: &'t str,
}

/// Who stands behind the lead of a thread, where the records say so.
pub(crate) fn behind_of(thread: &Thread) -> Option<Behind<'_>> {
    let step = thread.behind.first()?;
    let origin = thread.behind.last().map_or(&step.by, |last| &last.by);
    let issued = thread.behind.iter().filter(|step| step.kind != LinkKind::Same).count();
    let is_direct = step.kind == LinkKind::Same || (issued == 1 && name_of(&step.by) == name_of(origin));
    let via = if is_direct || !step.by.uid.contains('/') { "" } else { role_of(&step.by.uid) };
    Some(Behind { step, person: name_of(origin), via })
}

/// What a session's id says it went through: the part before its last one.
fn role_of(uid: &str) -> &str {
    let mut parts = uid.rsplit(['/', ':']);
    let last = parts.next().unwrap_or(uid);
    parts.next().filter(|_| uid.contains('/')).unwrap_or(last)
}

/// The key of the words for how sure a link is.
pub(crate) fn sure_key(step: &Step) -> &'static str {
    match step.sure {
        Sureness::Credential => "sure.credential",
        Sureness::Subject => "sure.subject",
        Sureness::Email => "sure.email",
    }
}

/// The telling end of an id: what stands behind its last `/` or `:`.
pub(crate) fn short(id: &str) -> &str {
    let tail = id.rsplit(['/', ':']).next().unwrap_or(id);
    if tail.is_empty() { id } else { tail }
}
