//! Actor chains: from the credential in a record back to the first human or workload behind it.

use serde::{Deserialize, Serialize};
use vigie_model::limits::CHAIN_LINKS_MAX;
use vigie_model::{Link, LinkKind, Millis, Principal};

/// One link of a chain, nearest to the event first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// How the credential came to be.
    pub kind: LinkKind,
    /// Who issued or made it.
    pub by: Principal,
    /// When.
    pub occurred: Millis,
    /// The event that proves it: the provider's id.
    pub event_uid: String,
}

/// The identities behind one principal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// From the principal in the record backwards.
    pub steps: Vec<Step>,
}

impl Chain {
    /// The first human or workload behind the chain; none when nothing is known beyond the record.
    pub fn origin(&self) -> Option<&Principal> {
        self.steps.last().map(|step| &step.by)
    }
}

/// All links of a run, by what they issued.
#[derive(Debug, Default)]
pub struct Chains {
    links: Vec<Link>,
    /// Numbers of links by the credential issued, then by time.
    by_credential: Vec<u32>,
    /// Numbers of links by the identity issued, then by time.
    by_uid: Vec<u32>,
}

impl Chains {
    /// Indexes links; the order in which they came does not matter.
    pub fn new(mut links: Vec<Link>) -> Chains {
        links.sort();
        links.dedup();
        links.shrink_to_fit();
        let by = |name: fn(&Link) -> &str| {
            let numbers = (0u32..).zip(&links).filter(|(_, link)| !name(link).is_empty()).map(|(number, _)| number);
            let mut numbers: Vec<u32> = numbers.collect();
            // Links are in the order of time, and stay so under one name.
            numbers.sort_by(|a, b| links.get(*a as usize).map(name).cmp(&links.get(*b as usize).map(name)));
            numbers
        };
        let (by_credential, by_uid) = (by(credential), by(uid));
        Chains { links, by_credential, by_uid }
    }

    /// Who stands behind a principal at an instant. A session without its credential is found by
    /// its id: then the latest session of that name begun before counts.
    pub fn resolve(&self, principal: &Principal, at: Millis) -> Chain {
        let mut chain = Chain::default();
        let (mut now, mut at) = (principal, at);
        while chain.steps.len() < CHAIN_LINKS_MAX {
            let Some(link) = self.link_before(now, at) else {
                break;
            };
            let is_known = |step: &Step| step.event_uid == link.event_uid;
            if chain.steps.iter().any(is_known) {
                break;
            }
            chain.steps.push(Step {
                kind: link.kind,
                by: link.parent.clone(),
                occurred: link.occurred,
                event_uid: link.event_uid.clone(),
            });
            (now, at) = (&link.parent, link.occurred);
        }
        chain
    }

    fn link_before(&self, principal: &Principal, at: Millis) -> Option<&Link> {
        let latest = |links: &[u32]| links.iter().rev().filter_map(|number| self.link(*number)).find(|link| link.occurred <= at);
        if !principal.credential.is_empty() {
            let links = self.named(&self.by_credential, credential, &principal.credential);
            // A credential is issued once: its link counts even when clocks disagree a little.
            return latest(links).or_else(|| links.first().and_then(|number| self.link(*number)));
        }
        latest(self.named(&self.by_uid, uid, &principal.uid))
    }

    fn link(&self, number: u32) -> Option<&Link> {
        self.links.get(number as usize)
    }

    /// The links under one name, in the order of time.
    fn named<'c>(&self, numbers: &'c [u32], name_of: fn(&Link) -> &str, name: &str) -> &'c [u32] {
        let name_at = |number: &u32| self.link(*number).map(name_of).unwrap_or_default();
        let start = numbers.partition_point(|number| name_at(number) < name);
        let rest = numbers.get(start..).unwrap_or_default();
        rest.get(..rest.partition_point(|number| name_at(number) == name)).unwrap_or_default()
    }
}

fn credential(link: &Link) -> &str {
    &link.child.credential
}

fn uid(link: &Link) -> &str {
    &link.child.uid
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(credential: &str, name: &str) -> Principal {
        Principal { credential: credential.into(), uid: String::new(), name: name.into(), person: String::new() }
    }

    fn link(occurred: Millis, kind: LinkKind, child: &str, parent: Principal) -> Link {
        Link { occurred, event_uid: format!("event {occurred}"), kind, child: principal(child, ""), parent }
    }

    #[test]
    fn a_session_leads_back_to_the_person_who_made_the_first_key() {
        let chains = Chains::new(vec![
            link(30, LinkKind::Assumed, "session", principal("key 2", "svc-backup")),
            link(10, LinkKind::Created, "key 1", principal("sso", "maelle")),
            link(20, LinkKind::Created, "key 2", principal("key 1", "ci-deploy-bot")),
        ]);
        let chain = chains.resolve(&principal("session", "ops"), 40);
        let names: Vec<_> = chain.steps.iter().map(|step| step.by.name.as_str()).collect();
        assert_eq!(names, ["svc-backup", "ci-deploy-bot", "maelle"]);
        assert_eq!(chain.origin().unwrap().credential, "sso");
        assert_eq!(chains.resolve(&principal("other", "x"), 40), Chain::default());
    }

    #[test]
    fn a_circle_ends() {
        let chains = Chains::new(vec![
            link(10, LinkKind::Assumed, "a", principal("b", "")),
            link(10, LinkKind::Assumed, "b", principal("a", "")),
        ]);
        assert!(chains.resolve(&principal("a", ""), 20).steps.len() <= 2);
    }
}
