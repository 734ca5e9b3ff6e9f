//! The pass in the order of time, after the last record: duplicates, chains, correlations, findings.

use std::io;
use std::sync::Arc;

use hashbrown::HashSet;
use vigie_detect::{Correlator, Firing, Hit, RuleSet};
use vigie_estate::{Chains, keys_behind};
use vigie_model::limits::{CHAIN_LINKS_MAX, LINKS_MAX, SPILL_BYTES};
use vigie_model::{EventFacts, EventRef, Evidence, Finding, Link, Millis, Tenant, finding_uid};

use crate::hunt::Hunt;
use crate::kinship::number_of;
use crate::outcome::{Counted, Outcome};
use crate::pack::{Reader, Texts};
use crate::spill::{Merge, Sorter};
use crate::work::{Fed, Reported, Sorted};

/// Ends a hunt: `report` gets every finding in the order of time.
pub(crate) fn conclude(
    hunt: &Hunt<'_>,
    mut outcome: Outcome,
    sorted: Vec<Sorted>,
    report: &mut dyn FnMut(&Finding, &Chains),
) -> io::Result<Outcome> {
    let (mut ids, mut hits, mut feeds, mut links) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut wanted, mut texts) = (HashSet::new(), Vec::new());
    for kept in sorted {
        ids.push(kept.ids);
        hits.push(kept.hits);
        feeds.push(kept.feeds);
        links.push(kept.links);
        wanted.extend(kept.wanted);
        texts.push(kept.texts);
    }
    if hunt.threads <= 1 {
        outcome.count(count_events(std::mem::take(&mut ids))?);
    }
    std::thread::scope(|scope| {
        // Whoever asks for one thread gets one.
        let counting = (!ids.is_empty()).then(|| scope.spawn(|| count_events(ids)));
        let chains = chains(links, wanted, &mut outcome)?;
        let correlated = correlate(hunt, feeds, &texts, &mut outcome)?;
        tell(hunt, hits, correlated, &texts, &mut outcome, &mut |finding| report(finding, &chains))?;
        if let Some(counting) = counting {
            outcome.count(counting.join().map_err(|_| io::Error::other("counting failed; please report this as a bug"))??);
        }
        Ok(outcome)
    })
}

/// Counts events, duplicates and what each actor did; every id once.
fn count_events(ids: Vec<Sorter>) -> io::Result<Counted> {
    let (mut merge, mut payload, mut last) = (Sorter::merge(ids)?, Vec::new(), None);
    let mut counted = Counted { spilled_bytes: merge.spilled_bytes, ..Counted::default() };
    while let Some(key) = merge.next(&mut payload)? {
        if last == Some(key) {
            counted.duplicates += 1;
            continue;
        }
        counted.conflicts += u64::from(last.is_some_and(|last| last >> 24 == key >> 24));
        last = Some(key);
        counted.events += 1;
        let (head, actor) = payload.split_at(payload.len().min(1));
        let actor = actor.try_into().map_or(0, u64::from_le_bytes);
        if actor != 0 {
            counted.act(actor, Millis::try_from(key >> 80).unwrap_or(0), head == [1]);
        }
    }
    Ok(counted)
}

/// The links that lead back from the principals of findings: one pass over all links for each step of
/// the longest chain.
fn chains(links: Vec<Sorter>, wanted: HashSet<u64>, outcome: &mut Outcome) -> io::Result<Chains> {
    let pile = Sorter::pile(links);
    outcome.spilled_bytes += pile.spilled_bytes;
    let (mut kept, mut seen, mut frontier) = (Vec::new(), wanted.clone(), wanted);
    // A link stands under two keys, and once more with each delivery of its event.
    let mut known = HashSet::new();
    for _ in 0..CHAIN_LINKS_MAX {
        let mut next = HashSet::new();
        pile.each(&mut |key, bytes| {
            let is_wanted = u64::try_from(key).is_ok_and(|key| frontier.contains(&key));
            if !is_wanted || known.contains(&vigie_record::hash_text(bytes)) {
                return Ok(());
            }
            let link: Link = postcard::from_bytes(bytes).map_err(io::Error::other)?;
            for key in keys_behind(&link.parent, link.occurred).map(number_of) {
                if seen.insert(key) {
                    next.insert(key);
                }
            }
            if kept.len() < LINKS_MAX {
                known.insert(vigie_record::hash_text(bytes));
                kept.push(link);
            } else {
                outcome.links_left_out += 1;
            }
            Ok(())
        })?;
        if next.is_empty() {
            break;
        }
        frontier = next;
    }
    Ok(Chains::new(kept))
}

/// Feeds correlations in the order of time; gives their findings, by the time of the first event.
fn correlate(hunt: &Hunt<'_>, feeds: Vec<Sorter>, texts: &[Texts], outcome: &mut Outcome) -> io::Result<Sorter> {
    let (mut merge, mut bytes, mut last) = (Sorter::merge(feeds)?, Vec::new(), None);
    outcome.spilled_bytes += merge.spilled_bytes;
    let mut findings = Sorter::new(SPILL_BYTES / 4);
    let mut error = Ok(());
    let mut note = |firing: Firing| {
        if hunt.rules.reports(firing.rule) && error.is_ok() {
            error = correlated(&hunt.tenant, hunt.rules, texts, firing)
                .ok_or_else(broken)
                .and_then(|finding| findings.push_value(time_key(finding.first), finding.uid.as_bytes(), &finding));
        }
    };
    let mut correlator = Correlator::new(hunt.rules);
    while let Some(key) = merge.next(&mut bytes)? {
        if last.replace(key) == Some(key) {
            continue;
        }
        let mut reader = Reader::new(texts, &bytes).ok_or_else(broken)?;
        let (occurred, uid) = reader.pass_facts().ok_or_else(broken)?;
        let event = Arc::new(EventRef { id: key, occurred, uid: uid.into() });
        let keepsake: Arc<[u8]> = bytes.as_slice().into();
        while !reader.is_empty() {
            let Fed { rule, silenced_by, values } = Fed::read(&mut reader).ok_or_else(broken)?;
            match silenced_by {
                None => {
                    let hit = Hit { rule, event: Arc::clone(&event), keepsake: Arc::clone(&keepsake), values };
                    correlator.observe(&hit, &mut note);
                }
                Some(filter) if !hunt.rules.reports(rule) => *outcome.silenced.entry(filter).or_default() += 1,
                Some(_) => {}
            }
        }
    }
    correlator.finish(&mut note);
    outcome.events_forgotten = correlator.forgotten();
    error?;
    Ok(findings)
}

/// Tells findings in the order of time; of one instant, those of correlations last, behind what they
/// follow from.
fn tell(
    hunt: &Hunt<'_>,
    hits: Vec<Sorter>,
    findings: Sorter,
    texts: &[Texts],
    outcome: &mut Outcome,
    report: &mut dyn FnMut(&Finding),
) -> io::Result<()> {
    let (mut merge, mut bytes, mut last) = (Sorter::merge(hits)?, Vec::new(), None);
    let mut correlated = Sorter::merge(vec![findings])?;
    outcome.spilled_bytes += merge.spilled_bytes + correlated.spilled_bytes;
    let mut count = |finding: &Finding, outcome: &mut Outcome| {
        *outcome.by_rule.entry(finding.rule).or_default() += 1;
        report(finding);
    };
    while let Some(key) = merge.next(&mut bytes)? {
        if last.replace(key) == Some(key) {
            continue;
        }
        let mut reader = Reader::new(texts, &bytes).ok_or_else(broken)?;
        let facts = reader.facts(key).ok_or_else(broken)?;
        while let Some(finding) = next_before(&mut correlated, time_key(facts.occurred))? {
            count(&finding, outcome);
        }
        while !reader.is_empty() {
            let hit = Reported::read(&mut reader).ok_or_else(broken)?;
            match hit.silenced_by {
                Some(filter) => *outcome.silenced.entry(filter).or_default() += 1,
                None => count(&simple(&hunt.tenant, hunt.rules, &facts, hit), outcome),
            }
        }
    }
    while let Some(finding) = next_before(&mut correlated, u128::MAX)? {
        count(&finding, outcome);
    }
    Ok(())
}

/// What was written to a temporary file is not what is read from it.
fn broken() -> io::Error {
    io::Error::other("a temporary file changed while it was in use: check the disk, and run the hunt again")
}

fn time_key(at: Millis) -> u128 {
    u128::try_from(at).unwrap_or(0)
}

/// The next finding of a correlation, if it is earlier than a time.
fn next_before(findings: &mut Merge, time: u128) -> io::Result<Option<Finding>> {
    if findings.peek().is_none_or(|next| next >= time) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    findings.next(&mut bytes)?;
    postcard::from_bytes(bytes.get(UID_BYTES..).unwrap_or_default()).map(Some).map_err(io::Error::other)
}

/// Bytes of a finding's uid.
const UID_BYTES: usize = 32;

fn simple(tenant: &Tenant, rules: &RuleSet, facts: &EventFacts, hit: Reported) -> Finding {
    let rule_id = rules.facts().get(hit.rule as usize).map(|facts| facts.id.as_str()).unwrap_or_default();
    Finding {
        uid: finding_uid(tenant, rule_id, &[&facts.id.to_be_bytes()]),
        rule: hit.rule,
        first: facts.occurred,
        last: facts.occurred,
        related: vec![facts.uid.clone()],
        events: 1,
        evidence: hit.evidence,
        group: Vec::new(),
        event: facts.clone(),
    }
}

fn correlated(tenant: &Tenant, rules: &RuleSet, texts: &[Texts], firing: Firing) -> Option<Finding> {
    let rule_id = rules.facts().get(firing.rule as usize).map(|facts| facts.id.as_str()).unwrap_or_default();
    let fired_at = &firing.fired_at;
    let earliest = firing.events.first().unwrap_or(fired_at).id.to_be_bytes();
    // Group keys compare without case: so does the finding's identity.
    let folded: Vec<String> = firing.group.iter().map(|(_, value)| value.to_lowercase()).collect();
    let mut about: Vec<&[u8]> = folded.iter().map(String::as_bytes).collect();
    about.push(&earliest);
    Some(Finding {
        uid: finding_uid(tenant, rule_id, &about),
        rule: firing.rule,
        first: firing.events.first().unwrap_or(fired_at).occurred,
        last: firing.events.last().unwrap_or(fired_at).occurred,
        related: firing.events.iter().map(|event| event.uid.to_string()).collect(),
        events: firing.count,
        evidence: Vec::new(),
        group: firing.group.into_iter().map(|(field, value)| Evidence { field, value }).collect(),
        event: Reader::new(texts, &firing.keepsake)?.facts(fired_at.id)?,
    })
}
