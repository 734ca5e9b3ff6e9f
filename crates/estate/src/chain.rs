//! Actor chains: from the credential in a record back to the first human or workload behind it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use vigie_model::limits::CHAIN_LINKS_MAX;
use vigie_model::{Link, LinkKind, Millis, Principal, Sureness};

/// One link of a chain, nearest to the event first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// How the credential came to be.
    pub kind: LinkKind,
    /// How sure it is that this link belongs here.
    pub sure: Sureness,
    /// Who issued or made it.
    pub by: Principal,
    /// When.
    pub occurred: Millis,
    /// The event that proves it: the provider's id.
    pub event_uid: String,
    /// The log that the event stands in.
    pub log: String,
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

/// Under what a link is looked for: who collects links keeps those of the keys that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkKey<'k> {
    /// A credential, whatever space its holder is of.
    Credential(&'k str),
    /// A space and an id in it, of what was issued.
    Uid(&'k str, &'k str),
    /// The same, of one of several names of an identity.
    Alias(&'k str, &'k str),
    /// The same, of who acts at an instant.
    Act(&'k str, &'k str, Millis),
}

/// The keys that a link stands under, by what it says of its child.
pub fn keys_of(link: &Link) -> impl Iterator<Item = LinkKey<'_>> {
    let Principal { credential, uid, space, .. } = &link.child;
    let by_credential = (!credential.is_empty() && link.kind != LinkKind::Acted).then_some(LinkKey::Credential(credential));
    let by_uid = (!uid.is_empty()).then_some(match link.kind {
        LinkKind::Assumed | LinkKind::Created => LinkKey::Uid(space, uid),
        LinkKind::Same => LinkKey::Alias(space, uid),
        LinkKind::Acted => LinkKey::Act(space, uid, link.occurred),
    });
    by_credential.into_iter().chain(by_uid)
}

/// The keys under which the link behind a principal at an instant may stand, the surest first. The id of
/// a principal that used a credential tells its names, not where the credential came from.
pub fn keys_behind(principal: &Principal, at: Millis) -> impl Iterator<Item = LinkKey<'_>> {
    let Principal { credential, uid, space, .. } = principal;
    let has_uid = !uid.is_empty();
    let keys = [
        has_uid.then_some(LinkKey::Act(space, uid, at)),
        (!credential.is_empty()).then_some(LinkKey::Credential(credential)),
        (credential.is_empty() && has_uid).then_some(LinkKey::Uid(space, uid)),
        has_uid.then_some(LinkKey::Alias(space, uid)),
    ];
    keys.into_iter().flatten()
}

/// All links of a run, by what they issued.
#[derive(Debug, Default)]
pub struct Chains {
    links: Vec<Link>,
    /// Numbers of links by the credential issued, then by time.
    by_credential: Vec<u32>,
    /// Numbers of links by the space and the identity issued, then by time.
    by_uid: Vec<u32>,
}

impl Chains {
    /// Indexes links; the order in which they came does not matter.
    pub fn new(mut links: Vec<Link>) -> Chains {
        links.sort();
        links.dedup();
        // Many records show two names of one identity: the first of them proves it.
        let mut known = BTreeSet::new();
        links.retain(|link| link.kind != LinkKind::Same || known.insert((link.child.clone(), link.parent.clone())));
        links.shrink_to_fit();
        let by = |name: fn(&Link) -> (&str, &str)| {
            let numbers = (0u32..).zip(&links).filter(|(_, link)| !name(link).1.is_empty()).map(|(number, _)| number);
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
            let Some((link, sure)) = self.link_before(now, at) else {
                break;
            };
            let is_known = |step: &Step| step.event_uid == link.event_uid && step.by == link.parent;
            if chain.steps.iter().any(is_known) {
                break;
            }
            chain.steps.push(Step {
                kind: link.kind,
                sure,
                by: link.parent.clone(),
                occurred: link.occurred,
                event_uid: link.event_uid.clone(),
                log: link.log.clone(),
            });
            // Another name of the same identity leads to what it did until then, whenever it was told.
            at = if link.kind == LinkKind::Same { at } else { link.occurred };
            now = &link.parent;
        }
        chain
    }

    fn link_before(&self, principal: &Principal, at: Millis) -> Option<(&Link, Sureness)> {
        let found = keys_behind(principal, at).find_map(|key| self.under(key, principal, at).map(|link| (link, key)));
        found.map(|(link, key)| {
            let sure = match key {
                LinkKey::Credential(_) => Sureness::Credential,
                LinkKey::Alias(..) if !link.parent.person.is_empty() => Sureness::Email,
                LinkKey::Uid(..) | LinkKey::Alias(..) | LinkKey::Act(..) => Sureness::Subject,
            };
            (link, sure)
        })
    }

    /// The link under one key that counts at an instant.
    fn under(&self, key: LinkKey<'_>, principal: &Principal, at: Millis) -> Option<&Link> {
        let numbers = match key {
            LinkKey::Credential(name) => self.named(&self.by_credential, credential, ("", name)),
            LinkKey::Uid(space, name) | LinkKey::Alias(space, name) | LinkKey::Act(space, name, _) => {
                self.named(&self.by_uid, uid, (space, name))
            }
        };
        let fits = |link: &Link| keys_of(link).any(|known| known == key) && is_other(&link.parent, principal);
        match key {
            LinkKey::Credential(_) => {
                // It is issued once: its link counts even when clocks disagree a little. Who issued it says
                // more than whose it is; of two records of one issue, the one that names the credential of
                // the issuer says more.
                let is_issued = |link: &Link| link.kind != LinkKind::Same && fits(link);
                let is_told = |link: &Link| !link.parent.credential.is_empty() && is_issued(link);
                let tells: [&dyn Fn(&Link) -> bool; 3] = [&is_told, &is_issued, &fits];
                tells.into_iter().find_map(|tells| self.latest(numbers, at, tells).or_else(|| self.first(numbers, tells)))
            }
            LinkKey::Alias(..) => self.latest(numbers, at, &fits).or_else(|| self.first(numbers, &fits)),
            LinkKey::Uid(..) => self.latest(numbers, at, &fits),
            // Two at one instant say that either may be meant.
            LinkKey::Act(..) => {
                let one = self.first(numbers, &fits);
                one.filter(|link| self.latest(numbers, at, &fits).is_some_and(|other| other.parent == link.parent))
            }
        }
    }

    fn latest(&self, numbers: &[u32], at: Millis, fits: &dyn Fn(&Link) -> bool) -> Option<&Link> {
        let mut links = numbers.iter().rev().filter_map(|number| self.link(*number));
        links.find(|link| link.occurred <= at && fits(link))
    }

    fn first(&self, numbers: &[u32], fits: &dyn Fn(&Link) -> bool) -> Option<&Link> {
        numbers.iter().filter_map(|number| self.link(*number)).find(|link| fits(link))
    }

    fn link(&self, number: u32) -> Option<&Link> {
        self.links.get(number as usize)
    }

    /// The links under one name, in the order of time.
    fn named<'c>(&self, numbers: &'c [u32], name_of: fn(&Link) -> (&str, &str), name: (&str, &str)) -> &'c [u32] {
        let name_at = |number: &u32| self.link(*number).map(name_of).unwrap_or_default();
        let start = numbers.partition_point(|number| name_at(number) < name);
        let rest = numbers.get(start..).unwrap_or_default();
        rest.get(..rest.partition_point(|number| name_at(number) == name)).unwrap_or_default()
    }
}

fn credential(link: &Link) -> (&str, &str) {
    ("", &link.child.credential)
}

fn uid(link: &Link) -> (&str, &str) {
    (&link.child.space, &link.child.uid)
}

/// Whether a principal tells anything beyond another: a link from somebody to itself leads nowhere.
fn is_other(parent: &Principal, child: &Principal) -> bool {
    parent.credential != child.credential || parent.uid != child.uid || parent.space != child.space
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(credential: &str, name: &str) -> Principal {
        Principal { credential: credential.into(), name: name.into(), ..Principal::default() }
    }

    fn named(space: &str, uid: &str) -> Principal {
        Principal { uid: uid.into(), space: space.into(), ..Principal::default() }
    }

    fn link(occurred: Millis, kind: LinkKind, child: Principal, parent: Principal) -> Link {
        Link { occurred, event_uid: format!("event {occurred}"), log: "acme/gate".into(), kind, child, parent }
    }

    /// What stands behind a principal: each step as its kind, its sureness, who, and the proof.
    #[track_caller]
    fn check(links: &[Link], who: &Principal, at: Millis, expected: &[&str]) {
        let mut links = links.to_vec();
        for _ in 0..2 {
            let chain = Chains::new(links.clone()).resolve(who, at);
            let told = |step: &Step| {
                let who = [&step.by.name, &step.by.uid, &step.by.credential].into_iter().find(|part| !part.is_empty());
                format!("{:?} {:?} {} {}", step.kind, step.sure, who.unwrap(), step.occurred)
            };
            assert_eq!(chain.steps.iter().map(told).collect::<Vec<_>>(), expected);
            // The order in which links came does not matter.
            links.reverse();
        }
    }

    #[test]
    fn a_session_leads_back_to_the_person_who_made_the_first_key() {
        let links = [
            link(30, LinkKind::Assumed, principal("session", ""), principal("key 2", "svc-backup")),
            link(10, LinkKind::Created, principal("key 1", ""), principal("sso", "maelle")),
            link(20, LinkKind::Created, principal("key 2", ""), principal("key 1", "ci-deploy-bot")),
        ];
        let expected =
            ["Assumed Credential svc-backup 30", "Created Credential ci-deploy-bot 20", "Created Credential maelle 10"];
        check(&links, &principal("session", "ops"), 40, &expected);
        check(&links, &principal("other", "x"), 40, &[]);
    }

    #[test]
    fn a_subject_of_one_cloud_leads_to_the_person_of_another() {
        let person =
            Principal { name: "maelle".into(), person: "maelle@example.com".into(), ..named("email", "maelle@example.com") };
        let links = [
            link(20, LinkKind::Assumed, principal("session", ""), named("issuer", "repo:a/b")),
            link(10, LinkKind::Assumed, named("issuer", "repo:a/b"), named("forge", "7")),
            link(30, LinkKind::Assumed, named("issuer", "repo:a/b"), named("forge", "8")),
            link(50, LinkKind::Same, named("forge", "7"), person.clone()),
            link(60, LinkKind::Same, named("forge", "7"), person),
            // The same number in another space is somebody else.
            link(5, LinkKind::Same, named("vault", "7"), named("email", "other@example.com")),
        ];
        let expected = ["Assumed Credential repo:a/b 20", "Assumed Subject 7 10", "Same Email maelle 50"];
        check(&links, &principal("session", "run"), 25, &expected);
    }

    #[test]
    fn a_token_leads_to_its_owner_and_no_credential_to_sessions_of_its_name() {
        let links = [
            link(10, LinkKind::Same, principal("token", ""), named("forge", "7")),
            link(10, LinkKind::Assumed, named("forge", "7"), named("forge", "elsewhere")),
        ];
        let token = Principal { credential: "token".into(), ..named("forge", "7") };
        check(&links[..1], &token, 5, &["Same Credential 7 10"]);
        check(&links[1..], &token, 20, &[]);
        check(&links[1..], &named("forge", "7"), 20, &["Assumed Subject elsewhere 10"]);
    }

    #[test]
    fn of_two_records_of_one_issue_the_one_with_a_credential_counts() {
        let links = [
            link(10, LinkKind::Assumed, principal("session", ""), principal("key", "caller")),
            link(10, LinkKind::Assumed, principal("session", ""), named("cloud", "id of the caller")),
        ];
        check(&links, &principal("session", ""), 20, &["Assumed Credential caller 10"]);
    }

    #[test]
    fn who_acts_through_somebody_does_so_at_that_instant_only() {
        let robot = named("cloud", "robot");
        let links = [
            link(10, LinkKind::Acted, robot.clone(), named("cloud", "ann")),
            link(20, LinkKind::Acted, robot.clone(), named("cloud", "bob")),
            link(30, LinkKind::Acted, robot.clone(), named("cloud", "ann")),
            link(30, LinkKind::Acted, robot.clone(), named("cloud", "bob")),
        ];
        check(&links, &robot, 10, &["Acted Subject ann 10"]);
        check(&links, &robot, 20, &["Acted Subject bob 20"]);
        check(&links, &robot, 25, &[]);
        check(&links, &robot, 30, &[]);
    }

    #[test]
    fn a_circle_ends() {
        let chains = Chains::new(vec![
            link(10, LinkKind::Assumed, principal("a", ""), principal("b", "")),
            link(10, LinkKind::Assumed, principal("b", ""), principal("a", "")),
        ]);
        assert!(chains.resolve(&principal("a", ""), 20).steps.len() <= 2);
        let itself = Chains::new(vec![link(10, LinkKind::Assumed, named("s", "x"), named("s", "x"))]);
        assert_eq!(itself.resolve(&named("s", "x"), 20), Chain::default());
    }
}
