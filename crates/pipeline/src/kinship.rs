//! Which links between identities are worth keeping, and under what they are looked for.

use hashbrown::HashMap;
use vigie_estate::LinkKey;
use vigie_model::{Link, LinkKind, Millis};

/// Pairs of names whose first proof a worker remembers; of others every proof is kept.
const PAIRS_MAX: usize = 100_000;

/// The number of a key: what links are sorted by, and wanted by.
pub(crate) fn number_of(key: LinkKey<'_>) -> u64 {
    match key {
        LinkKey::Credential(credential) => mixed(b"credential", "", credential, b""),
        LinkKey::Uid(space, uid) => mixed(b"uid", space, uid, b""),
        LinkKey::Alias(space, uid) => mixed(b"alias", space, uid, b""),
        LinkKey::Act(space, uid, at) => mixed(b"act", space, uid, &at.to_le_bytes()),
    }
}

fn mixed(kind: &[u8], space: &str, name: &str, at: &[u8]) -> u64 {
    vigie_record::hash_text(&[kind, b"\0", space.as_bytes(), b"\0", name.as_bytes(), b"\0", at].concat())
}

/// The first proof that a worker saw that two names are of one identity.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    first: HashMap<u64, (Millis, String)>,
}

impl Pairs {
    /// Whether a link says what no earlier event said. Every record of an account may show its two names:
    /// only the first of all is told, so links that come later may be left out by each worker.
    pub(crate) fn is_news(&mut self, link: &Link) -> bool {
        if link.kind != LinkKind::Same {
            return true;
        }
        let (child, parent) = (&link.child, &link.parent);
        let names = [child, parent].map(|end| [&end.space, &end.credential, &end.uid, &end.name, &end.person]);
        let text: Vec<&str> = names.iter().flatten().map(|name| name.as_str()).collect();
        let pair = vigie_record::hash_text(text.join("\0").as_bytes());
        let is_full = self.first.len() >= PAIRS_MAX;
        match self.first.get_mut(&pair) {
            Some((at, uid)) if (*at, uid.as_str()) <= (link.occurred, link.event_uid.as_str()) => false,
            Some(known) => {
                *known = (link.occurred, link.event_uid.clone());
                true
            }
            None if is_full => true,
            None => {
                self.first.insert(pair, (link.occurred, link.event_uid.clone()));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use vigie_model::Principal;

    use super::*;

    #[test]
    fn the_first_proof_of_a_pair_is_enough() {
        let who = |uid: &str| Principal { uid: uid.to_owned(), ..Principal::default() };
        let link = |occurred, kind, child, parent| Link {
            occurred,
            event_uid: String::new(),
            log: String::new(),
            kind,
            child: who(child),
            parent: who(parent),
        };
        let mut pairs = Pairs::default();
        let mut news = |at, kind, parent| pairs.is_news(&link(at, kind, "a", parent));
        assert!(news(20, LinkKind::Same, "b"));
        assert!(!news(30, LinkKind::Same, "b") && !news(20, LinkKind::Same, "b"));
        assert!(news(10, LinkKind::Same, "b"), "an earlier one proves more");
        assert!(news(40, LinkKind::Same, "c") && news(50, LinkKind::Assumed, "b") && news(50, LinkKind::Assumed, "b"));
    }

    #[test]
    fn keys_of_one_text_are_told_apart() {
        let keys = [
            LinkKey::Credential("a"),
            LinkKey::Uid("", "a"),
            LinkKey::Alias("", "a"),
            LinkKey::Act("", "a", 0),
            LinkKey::Act("", "a", 1),
            LinkKey::Uid("a", ""),
        ];
        let numbers: std::collections::BTreeSet<u64> = keys.into_iter().map(number_of).collect();
        assert_eq!(numbers.len(), keys.len());
    }
}
