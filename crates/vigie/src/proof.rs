//! What is proven about collection, as sentences in the reader's language.

use vigie_pipeline::{ChainName, DigestFormat, Flaw, Proof};
use vigie_report::{Words, Zone};

/// Flaws of the same kind and chain told one by one; more are counted.
const SENTENCES_MAX: usize = 40;
/// Lists of keys that are named.
const KEY_LISTS_MAX: usize = 3;

/// Sentences about what is not proven, most important first; one that says all is well when it is.
pub(crate) fn sentences(proof: &Proof, words: &dyn Words, zone: &Zone) -> Vec<String> {
    if proof.is_whole() {
        return Vec::new();
    }
    let mut sentences: Vec<String> = proof.flaws.iter().take(SENTENCES_MAX).map(|flaw| sentence(flaw, words, zone)).collect();
    let hidden = proof.flaws.len().saturating_sub(SENTENCES_MAX);
    if hidden > 0 {
        sentences.push(words.label("proof.more", &[("count", &hidden.to_string())]));
    }
    sentences
}

/// Lines about what is proven: first collection, then signatures, and how to get what is not here.
pub(crate) fn verdict(proof: &Proof, format: &DigestFormat, words: &dyn Words) -> Vec<String> {
    let key = if proof.is_whole() { "proof.whole" } else { "proof.flawed" };
    let collection = words.label(
        key,
        &[
            ("digests", &proof.digests.to_string()),
            ("chains", &proof.chains.len().to_string()),
            ("logs", &proof.logs_verified.to_string()),
            ("unnamed", &proof.logs_unnamed.to_string()),
            ("flaws", &proof.flaws.len().to_string()),
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
            ("digests", &proof.digests.to_string()),
            ("verified", &proof.signatures_verified.to_string()),
            ("wrong", &proof.signed.saturating_sub(proof.signatures_verified).to_string()),
            ("unsigned", &proof.digests.saturating_sub(proof.signed).to_string()),
            ("keys", &lists.join(", ")),
        ],
    )
}

fn sentence(flaw: &Flaw, words: &dyn Words, zone: &Zone) -> String {
    let tell = |key: &str, chain: &ChainName, more: &[(&str, &str)]| {
        let later = words.label("proof.backfill", &[("trail", &chain.trail)]);
        let trail = if chain.is_backfill { later.as_str() } else { chain.trail.as_str() };
        let mut values = vec![("account", chain.account.as_str()), ("region", chain.region.as_str()), ("trail", trail)];
        values.extend_from_slice(more);
        words.label(key, &values)
    };
    let file = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    match flaw {
        Flaw::DigestsMissing(chain, from, to, count) => tell(
            "proof.digests_missing",
            chain,
            &[("from", &zone.minute(*from)), ("to", &zone.minute(*to)), ("count", &count.to_string())],
        ),
        Flaw::ChainEnds(chain, end, newest) => {
            tell("proof.chain_ends", chain, &[("from", &zone.minute(*end)), ("to", &zone.minute(*newest))])
        }
        Flaw::ChainBreak(chain, at) => tell("proof.chain_break", chain, &[("from", &zone.minute(*at))]),
        Flaw::DigestChanged(chain, name) => tell("proof.digest_changed", chain, &[("file", &file(name))]),
        Flaw::DigestInvalid(name, why) => words.label("proof.digest_invalid", &[("file", &file(name)), ("why", why)]),
        Flaw::DigestMoved(chain, name) => tell("proof.digest_moved", chain, &[("file", &file(name))]),
        Flaw::LogMissing(chain, name, from, to) => {
            tell("proof.log_missing", chain, &[("file", &file(name)), ("from", &zone.minute(*from)), ("to", &zone.minute(*to))])
        }
        Flaw::SignatureWrong(chain, name) => tell("proof.signature_wrong", chain, &[("file", &file(name))]),
        Flaw::KeyMissing(chain, fingerprint) => tell("proof.key_missing", chain, &[("fingerprint", fingerprint)]),
        Flaw::LogChanged(chain, name) => tell("proof.log_changed", chain, &[("file", &file(name))]),
    }
}
