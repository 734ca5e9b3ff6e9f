//! What a hunt saw: counts that prove nothing was dropped in silence.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use vigie_model::{Evidence, Millis};
use vigie_normalise::Gaps;

use crate::proof::{Proof, SeenFile};

/// Why a record was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// Not a JSON object, or cut short.
    Malformed,
    /// Longer than the limit for one record.
    Oversize,
    /// No log type has such records.
    Unrecognised,
    /// Without a readable time.
    Timeless,
}

/// One record that was not read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reject {
    /// The file.
    pub file: String,
    /// Offset in its plain bytes.
    pub offset: u64,
    /// Why.
    pub reason: RejectReason,
    /// The reason as a sentence's end: "the record ...".
    pub detail: String,
}

/// One event in full, for a person who asks about it.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The file it stood in.
    pub file: String,
    /// Its log type.
    pub log: String,
    /// The record, byte for byte.
    pub record: String,
    /// The OCSF document, where the log has a mapping.
    pub document: Option<String>,
    /// Rules that matched: index, the filter that silenced it, and the fields that made it match.
    pub matches: Vec<(u32, Option<u32>, Vec<Evidence>)>,
}

/// What one credential or identity did in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// Events.
    pub events: u64,
    /// Events that were refused or failed.
    pub refused: u64,
    /// First event.
    pub first: Millis,
    /// Last event.
    pub last: Millis,
}

/// What a hunt saw.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Files read.
    pub files: u64,
    /// Bytes read, after decompression.
    pub bytes: u64,
    /// Records cut, read or not.
    pub records: u64,
    /// Different events among them.
    pub events: u64,
    /// Records that repeat an event.
    pub duplicates: u64,
    /// Events that share a provider's id with another event of other content.
    pub conflicts: u64,
    /// Records with an object that names a key twice.
    pub duplicate_keys: u64,
    /// Records outside of the wanted time.
    pub out_of_time: u64,
    /// Events by log type.
    pub by_log: BTreeMap<String, u64>,
    /// First and last instant of an event.
    pub span: Option<(Millis, Millis)>,
    /// Records that were not read, by reason.
    pub rejects: BTreeMap<RejectReason, u64>,
    /// The first of them, in the order of files.
    pub reject_samples: Vec<Reject>,
    /// Files that could not be read to their end: name and why.
    pub broken_files: Vec<(String, String)>,
    /// Files that hold no records: name and a guess at what they are.
    pub foreign_files: Vec<(String, String)>,
    /// Findings by rule.
    pub by_rule: BTreeMap<u32, u64>,
    /// Matches silenced, by filter.
    pub silenced: BTreeMap<u32, u64>,
    /// What is proven about collection, where there are digests.
    pub proof: Option<Proof>,
    /// Log files seen, by file name, where there are digests.
    pub(crate) seen_files: BTreeMap<String, SeenFile>,
    /// Accounts that events happened in.
    pub accounts: HashSet<String>,
    /// The events that were asked about.
    pub explained: Vec<Explained>,
    /// What the mapping of each log leaves unread, when it was asked for. Records outside of the wanted time
    /// and repeated ones count too.
    pub gaps: BTreeMap<String, Gaps>,
    activity: HashMap<u64, Activity>,
    /// Bytes written to temporary files.
    pub spilled_bytes: u64,
    /// Links between identities that were too many to keep: chains may end early.
    pub links_left_out: u64,
    /// Events that correlations forgot before their time, since they were too many to remember.
    pub events_forgotten: u64,
}

/// What is counted over all events, every id once.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) events: u64,
    pub(crate) duplicates: u64,
    pub(crate) conflicts: u64,
    pub(crate) spilled_bytes: u64,
    pub(crate) activity: HashMap<u64, Activity>,
}

/// Rejects kept as samples.
pub(crate) const REJECT_SAMPLES_MAX: usize = 100;
/// Accounts kept by name.
pub(crate) const ACCOUNTS_MAX: usize = 10_000;
/// Files named one by one; more are counted.
pub(crate) const NAMED_FILES_MAX: usize = 1000;
/// Credentials whose activity is counted.
pub(crate) const ACTIVITY_MAX: usize = 500_000;

impl Outcome {
    /// Findings in all.
    pub fn findings(&self) -> u64 {
        self.by_rule.values().sum()
    }

    /// Records that were not read, whatever the reason.
    pub fn rejected(&self) -> u64 {
        self.rejects.values().sum()
    }

    /// Whether part of what was named could not be read.
    pub fn is_partial(&self) -> bool {
        self.rejected() > 0 || !self.broken_files.is_empty()
    }

    pub(crate) fn reject(&mut self, reject: Reject) {
        *self.rejects.entry(reject.reason).or_default() += 1;
        self.reject_samples.push(reject);
        if self.reject_samples.len() > 2 * REJECT_SAMPLES_MAX {
            self.trim();
        }
    }

    fn trim(&mut self) {
        self.reject_samples.sort();
        self.reject_samples.truncate(REJECT_SAMPLES_MAX);
        self.broken_files.sort();
        self.foreign_files.sort();
        self.broken_files.truncate(NAMED_FILES_MAX);
        self.foreign_files.truncate(NAMED_FILES_MAX);
    }

    pub(crate) fn note(&mut self, at: Millis) {
        let (first, last) = self.span.get_or_insert((at, at));
        *first = (*first).min(at);
        *last = (*last).max(at);
    }

    /// Adds what another worker saw.
    pub(crate) fn absorb(&mut self, other: Outcome) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.records += other.records;
        self.duplicate_keys += other.duplicate_keys;
        self.out_of_time += other.out_of_time;
        for (log, count) in other.by_log {
            *self.by_log.entry(log).or_default() += count;
        }
        if let Some((first, last)) = other.span {
            self.note(first);
            self.note(last);
        }
        for (reason, count) in other.rejects {
            *self.rejects.entry(reason).or_default() += count;
        }
        self.reject_samples.extend(other.reject_samples);
        self.explained.extend(other.explained);
        self.explained.sort_by(|a, b| a.file.cmp(&b.file));
        for (log, gaps) in other.gaps {
            self.gaps.entry(log).or_default().absorb(gaps);
        }
        self.accounts.extend(other.accounts);
        self.seen_files.extend(other.seen_files);
        self.broken_files.extend(other.broken_files);
        self.foreign_files.extend(other.foreign_files);
        self.trim();
    }

    /// Notes the account of an event.
    pub(crate) fn note_account(&mut self, account: Option<&str>) {
        if let Some(account) = account
            && !self.accounts.contains(account)
            && self.accounts.len() < ACCOUNTS_MAX
        {
            self.accounts.insert(account.to_owned());
        }
    }

    /// What a credential (or, without one, an identity) did in all.
    pub fn activity(&self, name: &str) -> Option<Activity> {
        self.activity.get(&vigie_record::hash_text(name.as_bytes())).copied()
    }

    /// Takes over what was counted over all events.
    pub(crate) fn count(&mut self, counted: Counted) {
        self.events = counted.events;
        self.duplicates = counted.duplicates;
        self.conflicts = counted.conflicts;
        self.spilled_bytes += counted.spilled_bytes;
        self.activity = counted.activity;
    }
}

impl Counted {
    /// Counts one event of an actor; beyond [`ACTIVITY_MAX`] actors, new ones are not counted.
    pub(crate) fn act(&mut self, actor: u64, at: Millis, is_refused: bool) {
        if self.activity.len() >= ACTIVITY_MAX && !self.activity.contains_key(&actor) {
            return;
        }
        let seen = self.activity.entry(actor).or_insert(Activity { events: 0, refused: 0, first: at, last: at });
        seen.events += 1;
        seen.refused += u64::from(is_refused);
        seen.first = seen.first.min(at);
        seen.last = seen.last.max(at);
    }
}
