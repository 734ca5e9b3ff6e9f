//! What is proven about collection, as sentences in the reader's language.

use vigie_pipeline::{ChainName, Flaw, Proof};
use vigie_report::{Words, Zone};

/// Flaws of the same kind and chain told one by one; more are counted.
const SENTENCES_MAX: usize = 40;

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

/// One line about what is proven.
pub(crate) fn verdict(proof: &Proof, words: &dyn Words) -> String {
    let key = if proof.is_whole() { "proof.whole" } else { "proof.flawed" };
    words.label(
        key,
        &[
            ("digests", &proof.digests.to_string()),
            ("chains", &proof.chains.len().to_string()),
            ("logs", &proof.logs_verified.to_string()),
            ("unnamed", &proof.logs_unnamed.to_string()),
            ("flaws", &proof.flaws.len().to_string()),
        ],
    )
}

fn sentence(flaw: &Flaw, words: &dyn Words, zone: &Zone) -> String {
    let tell = |key: &str, chain: &ChainName, more: &[(&str, &str)]| {
        let mut values =
            vec![("account", chain.account.as_str()), ("region", chain.region.as_str()), ("trail", chain.trail.as_str())];
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
        Flaw::LogChanged(chain, name) => tell("proof.log_changed", chain, &[("file", &file(name))]),
    }
}
