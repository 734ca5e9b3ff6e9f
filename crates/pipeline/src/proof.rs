//! Proof of collection: a chain of signed digests names every log file with its hash, and the digest
//! before.
//!
//! Guarantees, section 9. What a digest looks like is data (`digest.toml`): this module only knows
//! that digests name files and each other, and what of them is signed. Pure: digests, hashes and keys
//! in, verdicts out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use vigie_model::{Millis, parse_rfc3339};
use vigie_record::{PathSet, Row, SlotId, Value, Walk};

use crate::signature::{Check, KeyFormat, Keys, SignatureFormat, SignatureReader};

/// How the digests of one log are written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestFormat {
    /// Format of the file itself.
    pub format: u32,
    /// The log that they prove.
    pub log: String,
    /// Part of the file name of every digest.
    pub name_holds: String,
    /// What begins the end of the file name of a digest that was made later, in a chain of its own.
    pub backfill_holds: String,
    /// What the parts of a digest's file name are.
    pub name_parts: Vec<String>,
    /// A chain has one digest in this time.
    pub step_minutes: i64,
    /// How long a chain may end before the newest log file.
    pub late_minutes: i64,
    /// Where a digest says what.
    pub paths: DigestPaths,
    /// Where its signature is.
    pub signatures: SignatureFormat,
    /// Where public keys are.
    pub keys: KeyFormat,
}

/// Paths inside a digest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are those of guarantees, section 9")]
pub struct DigestPaths {
    pub start: String,
    pub end: String,
    pub object: String,
    pub bucket: String,
    pub previous_object: String,
    pub previous_hash: String,
    pub previous_signature: String,
    pub fingerprint: String,
    pub file_object: String,
    pub file_hash: String,
}

/// One digest, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest {
    /// Its name in the tree.
    pub(crate) name: String,
    /// SHA-256 of its plain bytes, in hex.
    hash: String,
    start: Millis,
    end: Millis,
    object: String,
    previous: Option<(String, String)>,
    previous_signature: Option<String>,
    fingerprint: String,
    /// What its signature is of.
    signed_text: String,
    /// Its signature in hex, where it was found.
    pub(crate) signature: Option<String>,
    /// Object and hash of each log file.
    files: Vec<(String, String)>,
}

/// What a file is to the proof of collection, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'n> {
    /// A digest.
    Digest,
    /// The signature of the digest of this name.
    Signature(&'n str),
    /// A list of public keys.
    Keys,
    /// Nothing.
    Other,
}

impl Digest {
    /// Whether it names another as the digest before it.
    fn follows(&self, before: &Digest) -> bool {
        self.previous.as_ref().is_some_and(|(object, _)| file_name(object) == file_name(&before.object))
    }
}

/// Which trail a finding about collection concerns.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainName {
    /// The account whose calls it records.
    pub account: String,
    /// The region.
    pub region: String,
    /// The trail.
    pub trail: String,
    /// Whether it is the chain of the digests that were made later.
    pub is_backfill: bool,
}

/// Something about collection that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// The signature of a digest is wrong.
    SignatureWrong(ChainName, String),
    /// Digests are missing between two instants.
    DigestsMissing(ChainName, Millis, Millis, u64),
    /// A chain stops although log files go on: its newest digests are missing.
    ChainEnds(ChainName, Millis, Millis),
    /// A digest begins a chain anew: validation was off, or the trail restarted.
    ChainBreak(ChainName, Millis),
    /// A digest does not have the hash that the next one names.
    DigestChanged(ChainName, String),
    /// A digest cannot be read.
    DigestInvalid(String, String),
    /// A digest stands elsewhere than it says.
    DigestMoved(ChainName, String),
    /// A log file that a digest names is not there.
    LogMissing(ChainName, String, Millis, Millis),
    /// A log file has other content than its digest says.
    LogChanged(ChainName, String),
    /// Digests are signed with a key, here its fingerprint, that was not given.
    KeyMissing(ChainName, String),
}

/// How much of a chain was expected, and is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChainCounts {
    /// Digests that its span has: one a step.
    pub digests_expected: u64,
    /// Digests that are there.
    pub digests: u64,
    /// Log files that its digests name.
    pub logs_expected: u64,
    /// Log files of them that are there, changed or not.
    pub logs: u64,
}

/// What is proven about collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Digests read.
    pub digests: u64,
    /// Chains, with the span each proves.
    pub chains: BTreeMap<ChainName, (Millis, Millis)>,
    /// How much of each chain is there.
    pub counts: BTreeMap<ChainName, ChainCounts>,
    /// Log files whose hash is as a digest says.
    pub logs_verified: u64,
    /// Log files that no digest names.
    pub logs_unnamed: u64,
    /// Digests that say that nothing was delivered.
    pub empty_digests: u64,
    /// Digests with a signature, right or not.
    pub signed: u64,
    /// Digests with a right signature.
    pub signatures_verified: u64,
    /// Files that the public keys came from.
    pub key_lists: Vec<String>,
    /// What is wrong, in order.
    pub flaws: Vec<Flaw>,
}

impl Proof {
    /// Whether there are digests and nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.digests > 0 && self.flaws.is_empty()
    }
}

/// Reads digests of one format.
pub(crate) struct DigestReader<'f> {
    format: &'f DigestFormat,
    walk: Walk,
    slots: [SlotId; 10],
    /// Reads what stands beside digests.
    pub(crate) side: SignatureReader,
}

impl<'f> DigestReader<'f> {
    pub(crate) fn new(format: &'f DigestFormat) -> DigestReader<'f> {
        let mut paths = PathSet::new();
        let names = &format.paths;
        let slots = [
            &names.start,
            &names.end,
            &names.object,
            &names.previous_object,
            &names.previous_hash,
            &names.file_object,
            &names.file_hash,
            &names.bucket,
            &names.previous_signature,
            &names.fingerprint,
        ]
        .map(|path| paths.intern(path));
        let side = SignatureReader::new(&format.signatures, &format.keys);
        DigestReader { format, walk: Walk::compile(&[&paths]), slots, side }
    }

    /// What a file is by its name.
    pub(crate) fn part<'n>(&self, name: &'n str) -> Part<'n> {
        let file = file_name(name);
        match (file.contains(&self.format.name_holds), name.strip_suffix(self.format.signatures.ends.as_str())) {
            (true, Some(digest)) => Part::Signature(digest),
            (true, None) => Part::Digest,
            (false, _) if file.contains(&self.format.keys.name_holds) => Part::Keys,
            (false, _) => Part::Other,
        }
    }

    /// Reads a digest from its plain bytes.
    pub(crate) fn read(&self, name: &str, bytes: &[u8]) -> Result<Digest, String> {
        let mut row = Row::new();
        self.walk.read(bytes.trim_ascii(), &mut row).map_err(|reject| format!("{} at byte {}", reject.reason, reject.at))?;
        let [start, end, object, previous_object, previous_hash, file_object, file_hash, bucket, previous_signature, fingerprint] =
            self.slots;
        let text = |slot: SlotId| match row.get(slot) {
            Value::Text(text) => Some(text.into_owned()),
            _ => None,
        };
        let time = |slot: SlotId| text(slot).and_then(|text| parse_rfc3339(&text));
        let all = |slot: SlotId| {
            let mut values = Vec::new();
            row.each_raw(slot, &mut |value| values.extend(value.text().map(std::borrow::Cow::into_owned)));
            values
        };
        let (objects, hashes) = (all(file_object), all(file_hash));
        if objects.len() != hashes.len() {
            return Err("names a log file without a hash".to_owned());
        }
        let hash = hex(&Sha256::digest(bytes));
        let object = text(object).ok_or("does not say where it stands")?;
        let previous_signature = text(previous_signature);
        let before = previous_signature.as_deref().unwrap_or("null");
        let (end_text, bucket) = (text(end).unwrap_or_default(), text(bucket).unwrap_or_default());
        Ok(Digest {
            name: name.to_owned(),
            signed_text: format!("{end_text}\n{bucket}/{object}\n{hash}\n{before}"),
            hash,
            start: time(start).ok_or("has no start time")?,
            end: time(end).ok_or("has no end time")?,
            object,
            previous: text(previous_object).zip(text(previous_hash)),
            previous_signature,
            fingerprint: text(fingerprint).unwrap_or_default(),
            signature: None,
            files: objects.into_iter().zip(hashes).collect(),
        })
    }

    /// Which chain a digest belongs to, by its file name.
    fn chain(&self, object: &str) -> ChainName {
        let file = file_name(object);
        let plain = file.split_once(self.format.backfill_holds.as_str()).map(|(plain, _)| plain);
        let parts: Vec<&str> = plain.unwrap_or(file).split('_').collect();
        let wanted = &self.format.name_parts;
        // One part may hold underscores: it takes what the others leave.
        let extra = parts.len().saturating_sub(wanted.len());
        let wide = wanted.iter().position(|part| part == "trail").unwrap_or(usize::MAX);
        let part = |name: &str| {
            let at = wanted.iter().position(|part| part == name)?;
            let from = if at > wide { at + extra } else { at };
            let to = if at == wide { from + extra } else { from };
            Some(parts.get(from..=to)?.join("_"))
        };
        ChainName {
            account: part("account").unwrap_or_default(),
            region: part("region").unwrap_or_default(),
            trail: part("trail").unwrap_or_default(),
            is_backfill: plain.is_some(),
        }
    }
}

/// Hex digits of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The part of a path behind its last slash.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The instant written in a file name as `20261112T0203Z` or with seconds.
pub(crate) fn instant_in(name: &str) -> Option<Millis> {
    let is_stamp = |part: &&str| part.len() >= 14 && part.as_bytes().get(8) == Some(&b'T') && part.ends_with('Z');
    let stamp = file_name(name).split(['_', '.']).find(is_stamp)?;
    let part = |from: usize, to: usize| stamp.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let seconds = part(13, 15).unwrap_or("00");
    parse_rfc3339(&format!("{}-{}-{}T{}:{}:{seconds}Z", part(0, 4)?, part(4, 6)?, part(6, 8)?, part(9, 11)?, part(11, 13)?))
}

/// Whether one path is the end of the other, part by part.
fn is_same_place(one: &str, other: &str) -> bool {
    one.rsplit('/').zip(other.rsplit('/')).all(|(a, b)| a == b)
}

/// The hash that each log file must have, by its file name.
pub(crate) fn expected(digests: &[Digest]) -> BTreeMap<String, String> {
    digests.iter().flat_map(|digest| &digest.files).map(|(object, hash)| (file_name(object).to_owned(), hash.clone())).collect()
}

/// A log file in the tree: the newest instant in its name or records, and its hash when expected.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeenFile {
    pub(crate) newest: Option<Millis>,
    pub(crate) hash: Option<String>,
}

/// Judges digests against keys and the log files that were read.
pub(crate) fn judge(
    reader: &DigestReader<'_>,
    mut digests: Vec<Digest>,
    keys: &Keys,
    seen: &BTreeMap<String, SeenFile>,
) -> Proof {
    // The same digest twice, in a folder and in an archive of it, is one: the copy with its signature.
    digests.sort_by(|a, b| copies_together(a).cmp(&copies_together(b)));
    digests.dedup_by(|a, b| a.object == b.object && a.hash == b.hash);
    let key_lists = keys.lists.iter().cloned().collect();
    let mut proof = Proof { digests: digests.len() as u64, key_lists, ..Proof::default() };
    let mut chains: BTreeMap<ChainName, Vec<&Digest>> = BTreeMap::new();
    for digest in &digests {
        chains.entry(reader.chain(&digest.object)).or_default().push(digest);
    }
    let mut flaws = BTreeSet::new();
    let mut named: BTreeSet<&str> = BTreeSet::new();
    for (name, members) in &mut chains {
        members.sort_by_key(|digest| (digest.end, digest.start));
        walk_chain(reader.format, name, members, &mut flaws);
        check_signatures(keys, name, members, &mut proof, &mut flaws);
        for digest in members.iter() {
            proof.empty_digests += u64::from(digest.files.is_empty());
            if !is_same_place(&digest.name, &digest.object) {
                flaws.insert(Flaw::DigestMoved(name.clone(), digest.name.clone()));
            }
            let counts = proof.counts.entry(name.clone()).or_default();
            counts.digests += 1;
            for (object, hash) in &digest.files {
                named.insert(file_name(object));
                counts.logs_expected += 1;
                counts.logs += u64::from(seen.contains_key(file_name(object)));
                match seen.get(file_name(object)).map(|file| file.hash.as_deref()) {
                    None => _ = flaws.insert(Flaw::LogMissing(name.clone(), object.clone(), digest.start, digest.end)),
                    Some(found) if found == Some(hash.as_str()) => proof.logs_verified += 1,
                    Some(_) => _ = flaws.insert(Flaw::LogChanged(name.clone(), object.clone())),
                }
            }
        }
        if let (Some(first), Some(last)) = (members.first(), members.last()) {
            proof.chains.insert(name.clone(), (first.start, last.end));
            let steps = (last.end - first.start) / (reader.format.step_minutes * 60_000).max(1);
            let counts = proof.counts.entry(name.clone()).or_default();
            counts.digests_expected = u64::try_from(steps).unwrap_or(0).max(counts.digests);
        }
    }
    // A log file whose time lies behind the end of every chain shows that digests were cut off.
    let newest = seen.values().filter_map(|file| file.newest).max();
    for (name, (_, end)) in proof.chains.iter().filter(|(name, _)| !name.is_backfill) {
        let late_ms = reader.format.late_minutes * 60_000;
        if let Some(newest) = newest.filter(|newest| *newest > end + late_ms) {
            flaws.insert(Flaw::ChainEnds(name.clone(), *end, newest));
        }
    }
    proof.logs_unnamed = seen.keys().filter(|file| !named.contains(file.as_str())).count() as u64;
    proof.flaws = flaws.into_iter().collect();
    proof
}

/// Brings copies of a digest together, the best first.
fn copies_together(digest: &Digest) -> (&str, &str, bool, &str) {
    (&digest.object, &digest.hash, digest.signature.is_none(), &digest.name)
}

/// Verifies the signature of each digest, and that the next digest names the same signature.
fn check_signatures(keys: &Keys, name: &ChainName, members: &[&Digest], proof: &mut Proof, flaws: &mut BTreeSet<Flaw>) {
    let mut last: Option<(&Digest, bool)> = None;
    for &digest in members {
        let check = digest.signature.as_ref().map(|signature| keys.check(&digest.fingerprint, &digest.signed_text, signature));
        proof.signed += u64::from(check.is_some());
        proof.signatures_verified += u64::from(check == Some(Check::Verified));
        match check {
            Some(Check::Wrong) => _ = flaws.insert(Flaw::SignatureWrong(name.clone(), digest.name.clone())),
            Some(Check::KeyMissing) => _ = flaws.insert(Flaw::KeyMissing(name.clone(), digest.fingerprint.clone())),
            Some(Check::Verified) | None => {}
        }
        if let Some((before, is_before_right)) = last
            && digest.follows(before)
            && let (Some(named), Some(found)) = (&digest.previous_signature, &before.signature)
            && !named.eq_ignore_ascii_case(found)
        {
            // One of the two is wrong: not the one that a key proves.
            let wrong = if is_before_right { digest } else { before };
            flaws.insert(Flaw::SignatureWrong(name.clone(), wrong.name.clone()));
        }
        last = Some((digest, check == Some(Check::Verified)));
    }
}

fn walk_chain(format: &DigestFormat, name: &ChainName, members: &[&Digest], flaws: &mut BTreeSet<Flaw>) {
    let step_ms = format.step_minutes * 60_000;
    for pair in members.windows(2) {
        let [before, digest] = pair else {
            continue;
        };
        if digest.start > before.end && !name.is_backfill {
            let missing = ((digest.start - before.end) / step_ms).max(1);
            flaws.insert(Flaw::DigestsMissing(name.clone(), before.end, digest.start, u64::try_from(missing).unwrap_or(0)));
        }
        match &digest.previous {
            None if name.is_backfill => {}
            None => _ = flaws.insert(Flaw::ChainBreak(name.clone(), digest.start)),
            Some((_, hash)) if digest.follows(before) && *hash != before.hash => {
                flaws.insert(Flaw::DigestChanged(name.clone(), before.name.clone()));
            }
            Some(_) => {}
        }
    }
}
