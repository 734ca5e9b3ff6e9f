//! What is proven about collection, as sentences in the reader's language.

use std::collections::{BTreeMap, BTreeSet};

use vigie_model::Millis;
use vigie_pipeline::{ChainName, DigestFormat, Flaw, Proof};
use vigie_report::{Words, Zone};

/// Sentences about flaws; the flaws of more are counted.
const SENTENCES_MAX: usize = 40;
/// Lists of keys that are named.
const KEY_LISTS_MAX: usize = 3;
/// Regions named in one sentence; more are counted.
const PLACES_MAX: usize = 12;

/// Flaws that say the same of one trail, in several regions or accounts.
struct Group<'f> {
    /// The key of their sentence.
    key: &'static str,
    trail: &'f str,
    is_backfill: bool,
    values: Vec<(&'static str, String)>,
    /// Account and region of each.
    places: BTreeSet<(&'f str, &'f str)>,
    flaws: usize,
}

/// Sentences about what is not proven, most important first; none when all is well.
pub(crate) fn sentences(proof: &Proof, words: &dyn Words, zone: &Zone) -> Vec<String> {
    let groups = grouped(proof.flaws.iter().map(|flaw| tell(flaw, words, zone)));
    let mut sentences: Vec<String> = groups.iter().take(SENTENCES_MAX).map(|group| group.sentence(words)).collect();
    let hidden: usize = groups.iter().skip(SENTENCES_MAX).map(|group| group.flaws).sum();
    if hidden > 0 {
        sentences.push(words.label("proof.more", &[("count", &hidden.to_string())]));
    }
    sentences
}

/// Lines about what is proven: first collection, then signatures, and how to get what is not here.
pub(crate) fn verdict(proof: &Proof, format: &DigestFormat, words: &dyn Words) -> Vec<String> {
    let key = if proof.is_whole() { "proof.whole" } else { "proof.flawed" };
    let number = |count: u64| words.language().number(count);
    let collection = words.label(
        key,
        &[
            ("digests", &number(proof.digests)),
            ("chains", &number(proof.chains.len() as u64)),
            ("logs", &number(proof.logs_verified)),
            ("unnamed", &number(proof.logs_unnamed)),
            ("flaws", &number(proof.flaws.len() as u64)),
        ],
    );
    let mut lines = vec![collection];
    if proof.digests == 0 {
        return lines;
    }
    let command = |command: &str| format!("  {command}");
    if proof.signed == 0 {
        lines.push(words.label("proof.unsigned", &[]));
        lines.extend([command(&format.signatures.command), command(&format.keys.command)]);
        return lines;
    }
    lines.push(signatures(proof, words));
    if proof.flaws.iter().any(|flaw| matches!(flaw, Flaw::KeyMissing(..))) {
        lines.extend([words.label("proof.keys_wanted", &[]), command(&format.keys.command)]);
    }
    lines
}

/// How many signatures are right, and by whose keys: a list of keys is believed, so it is named.
fn signatures(proof: &Proof, words: &dyn Words) -> String {
    let number = |count: u64| words.language().number(count);
    let none = words.label("proof.keys_none", &[]);
    let mut lists: Vec<&str> = proof.key_lists.iter().take(KEY_LISTS_MAX).map(String::as_str).collect();
    match proof.key_lists.len() {
        0 => lists.push(&none),
        1..=KEY_LISTS_MAX => {}
        _ => lists.push("..."),
    }
    let is_all = proof.signatures_verified == proof.digests;
    words.label(
        if is_all { "proof.signed" } else { "proof.signed_partly" },
        &[
            ("digests", &number(proof.digests)),
            ("verified", &number(proof.signatures_verified)),
            ("wrong", &number(proof.signed.saturating_sub(proof.signatures_verified))),
            ("unsigned", &number(proof.digests.saturating_sub(proof.signed))),
            ("keys", &lists.join(", ")),
        ],
    )
}

/// What a flaw says, as a group of one.
fn tell<'f>(flaw: &'f Flaw, words: &dyn Words, zone: &Zone) -> Group<'f> {
    let from = |at: &Millis| ("from", zone.minute(*at));
    let to = |at: &Millis| ("to", zone.minute(*at));
    let file = |path: &str| ("file", path.rsplit('/').next().unwrap_or(path).to_owned());
    match flaw {
        Flaw::DigestsMissing(chain, start, end, count) => {
            Group::new("proof.digests_missing", Some(chain), vec![from(start), to(end), ("count", count.to_string())])
        }
        Flaw::ChainEnds(chain, end, newest) => Group::new("proof.chain_ends", Some(chain), vec![from(end), to(newest)]),
        Flaw::ChainBreak(chain, at) => Group::new("proof.chain_break", Some(chain), vec![from(at)]),
        Flaw::DigestChanged(chain, name) => Group::new("proof.digest_changed", Some(chain), vec![file(name)]),
        Flaw::DigestInvalid(name, why) => {
            let why = words.reason(why.strip_prefix("the record ").unwrap_or(why));
            Group::new("proof.digest_invalid", None, vec![file(name), ("why", why)])
        }
        Flaw::SignatureWrong(chain, name) => Group::new("proof.signature_wrong", Some(chain), vec![file(name)]),
        Flaw::KeyMissing(chain, fingerprint) => {
            Group::new("proof.key_missing", Some(chain), vec![("fingerprint", fingerprint.clone())])
        }
        Flaw::DigestMoved(chain, name) => Group::new("proof.digest_moved", Some(chain), vec![file(name)]),
        Flaw::LogMissing(chain, name, start, end) => {
            Group::new("proof.log_missing", Some(chain), vec![file(name), from(start), to(end)])
        }
        Flaw::LogChanged(chain, name) => Group::new("proof.log_changed", Some(chain), vec![file(name)]),
    }
}

/// Flaws that differ in account and region only, together; the order stays.
fn grouped<'f>(flaws: impl Iterator<Item = Group<'f>>) -> Vec<Group<'f>> {
    let mut groups: Vec<Group<'f>> = Vec::new();
    let mut known = BTreeMap::new();
    for flaw in flaws {
        let at = *known.entry((flaw.key, flaw.trail, flaw.is_backfill, flaw.values.clone())).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => {
                group.places.extend(flaw.places);
                group.flaws += flaw.flaws;
            }
            None => groups.push(flaw),
        }
    }
    groups
}

impl<'f> Group<'f> {
    fn new(key: &'static str, chain: Option<&'f ChainName>, values: Vec<(&'static str, String)>) -> Group<'f> {
        let places = chain.into_iter().map(|chain| (chain.account.as_str(), chain.region.as_str())).collect();
        let trail = chain.map_or("", |chain| chain.trail.as_str());
        Group { key, trail, is_backfill: chain.is_some_and(|chain| chain.is_backfill), values, places, flaws: 1 }
    }

    /// The sentence; `{account}, {region}` of its text reads `account, region, region; account, region`.
    fn sentence(&self, words: &dyn Words) -> String {
        let first = self.places.first().map(|(account, _)| *account).unwrap_or_default();
        let (mut account, mut regions) = (first, String::new());
        for (number, (own, region)) in self.places.iter().take(PLACES_MAX).enumerate() {
            if *own != account {
                account = *own;
                regions.push_str(&format!("; {own}, {region}"));
            } else {
                regions.push_str(if number == 0 { "" } else { ", " });
                regions.push_str(region);
            }
        }
        let hidden = self.places.len().saturating_sub(PLACES_MAX);
        if hidden > 0 {
            regions.push_str(&words.label("more", &[("count", &hidden.to_string())]));
        }
        let later = words.label("proof.backfill", &[("trail", self.trail)]);
        let trail = if self.is_backfill { later.as_str() } else { self.trail };
        let mut values = vec![("account", first), ("region", regions.as_str()), ("trail", trail)];
        values.extend(self.values.iter().map(|(name, value)| (*name, value.as_str())));
        words.label(self.key, &values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Lang;
    use crate::content::Content;
    use crate::words::ContentWords;

    #[test]
    fn equal_flaws_of_several_regions_are_one_sentence() {
        let chain = |account: &str, region: &str| ChainName {
            account: account.to_owned(),
            region: region.to_owned(),
            trail: "audit".to_owned(),
            is_backfill: false,
        };
        let missing = |account: &str, region: &str, count: u64| Flaw::DigestsMissing(chain(account, region), 0, 7_200_000, count);
        let flaws = vec![
            missing("111122223333", "eu-west-1", 2),
            missing("111122223333", "eu-west-3", 2),
            missing("111122223333", "us-east-1", 1),
            missing("444455556666", "eu-west-1", 2),
            Flaw::DigestInvalid("a/b.json".to_owned(), "the record is not UTF-8 at byte 7".to_owned()),
        ];
        let proof = Proof { digests: 9_000, flaws, ..Proof::default() };
        let told = |lang: Lang| {
            let texts = Content::embedded().texts(lang.code()).unwrap();
            sentences(&proof, &ContentWords { texts, language: lang.language() }, &Zone::utc())
        };
        let english = told(Lang::En);
        assert_eq!(english.len(), 3, "{english:?}");
        assert!(english[0].contains("audit (111122223333, eu-west-1, eu-west-3; 444455556666, eu-west-1): 2"), "{english:?}");
        assert!(english[1].contains("audit (111122223333, us-east-1): 1"), "{english:?}");
        assert!(english[2].contains("b.json cannot be read: it is not UTF-8 at byte 7"), "{english:?}");
        assert!(told(Lang::Fr)[2].ends_with("il n\u{2019}est pas en UTF-8 \u{e0} l\u{2019}octet 7"));
    }
}
