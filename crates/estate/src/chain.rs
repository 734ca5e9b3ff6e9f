//! Actor chains: from the credential in a record back to the first human or workload behind it.

use hashbrown::HashMap;
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
    by_credential: HashMap<String, Vec<Link>>,
    by_uid: HashMap<String, Vec<Link>>,
}

impl Chains {
    /// Indexes links; the order in which they came does not matter.
    pub fn new(mut links: Vec<Link>) -> Chains {
        links.sort();
        links.dedup();
        let mut chains = Chains::default();
        for link in links {
            if !link.child.credential.is_empty() {
                chains.by_credential.entry(link.child.credential.clone()).or_default().push(link.clone());
            }
            if !link.child.uid.is_empty() {
                chains.by_uid.entry(link.child.uid.clone()).or_default().push(link);
            }
        }
        chains
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
        let latest = |links: &'_ Vec<Link>| -> Option<usize> { links.iter().rposition(|link| link.occurred <= at) };
        if !principal.credential.is_empty() {
            let links = self.by_credential.get(&principal.credential);
            // A credential is issued once: its link counts even when clocks disagree a little.
            return links.and_then(|links| latest(links).or(Some(0)).and_then(|at| links.get(at)));
        }
        let links = self.by_uid.get(&principal.uid)?;
        latest(links).and_then(|at| links.get(at))
    }
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
