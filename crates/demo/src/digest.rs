//! Writes the hourly digests of a feed: which objects were delivered, their hashes, and the chain.
//!
//! The layout is in the world file. A digest names its predecessor by the hash of its uncompressed
//! bytes; what is signed is a short text with the digest's own hash and the predecessor's signature.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::compile::fill;
use crate::content::FeedFile;
use crate::error::Error;
use crate::moment::{self, HOUR};
use crate::schedule::Silence;
use crate::world::Templates;

/// One feed in one account and region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) feed: usize,
    pub(crate) account: usize,
    pub(crate) region: usize,
}

/// A delivered object that waits for its digest.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) hash: String,
    pub(crate) oldest: i64,
    pub(crate) newest: i64,
    pub(crate) delivered: i64,
}

/// The digests of a lane so far.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) pending: Vec<Entry>,
    previous: Option<Link>,
    /// When the feed began again, if no digest was written since.
    restarted: Option<i64>,
}

/// What a digest must know of the one before it.
#[derive(Debug)]
struct Link {
    path: String,
    hash: String,
    signature: Option<String>,
}

/// A digest and its path.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// What closing an hour of a lane gave.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    pub(crate) written: Option<Written>,
    /// Path and text of the signature's file.
    pub(crate) metadata: Option<(String, String)>,
    /// Path of the digest that was not written.
    pub(crate) missing: Option<String>,
    pub(crate) objects_without_digest: Vec<String>,
}

/// Knows when feeds were silent and how to sign.
pub(crate) struct Notary<'t> {
    pub(crate) templates: &'t Templates,
    pub(crate) silences: Vec<Silence>,
    pub(crate) signer: Option<&'t dyn Fn(&str) -> String>,
}

impl Notary<'_> {
    /// Closes the hour of a lane that ends at `end`.
    pub(crate) fn close(&self, chain: &mut Chain, lane: Lane, end: i64) -> Result<Closed, Error> {
        let names = names(self.templates, lane)?;
        let Some(pattern) = &names.feed.digest_path else {
            chain.pending.clear();
            return Ok(Closed::default());
        };
        let covers = names.feed.accounts.iter().any(|a| a == names.account);
        if !covers {
            return Ok(Closed::default());
        }
        let path = digest_path(pattern, &names, end)?;
        let start = end - HOUR;
        let mut silences = self.silences.iter();
        let silence = silences.find(|s| s.feed == lane.feed && s.from < end && start < s.to);
        let waiting = std::mem::take(&mut chain.pending);
        let (delivered, later): (Vec<Entry>, Vec<Entry>) = waiting.into_iter().partition(|entry| entry.delivered < end);
        chain.pending = later;
        match silence {
            Some(silence) => Ok(stopped(chain, *silence, end, path, delivered)),
            None => self.write(chain, &names, end, path, delivered),
        }
    }

    fn write(
        &self,
        chain: &mut Chain,
        names: &Names<'_>,
        end: i64,
        path: String,
        delivered: Vec<Entry>,
    ) -> Result<Closed, Error> {
        let start = chain.restarted.take().unwrap_or(end - HOUR);
        let previous = chain.previous.take();
        let end_text = moment::iso(end)?;
        let text = self.body(&delivered, previous.as_ref(), names, &path, start, end)?;
        let hash = sha256(text.as_bytes());
        let mut metadata = None;
        let mut signature = None;
        if let Some(sign) = self.signer {
            let before = previous.as_ref().and_then(|link| link.signature.as_deref());
            let values = [
                ("end", end_text.as_str()),
                ("bucket", self.templates.bucket.as_str()),
                ("path", path.as_str()),
                ("hash", hash.as_str()),
                ("previous_signature", before.unwrap_or("null")),
            ];
            let text_to_sign = fill(&self.templates.digest.string_to_sign, &values)?;
            let signed: String = sign(text_to_sign.as_str());
            let values = [("signature", signed.as_str())];
            let sidecar = fill(&self.templates.digest.metadata, &values)?;
            metadata = Some((format!("{path}.metadata.json"), sidecar));
            signature = Some(signed);
        }
        chain.previous = Some(Link { path: path.clone(), hash, signature });
        Ok(Closed { written: Some(Written { path, text }), metadata, ..Closed::default() })
    }

    fn body(
        &self,
        delivered: &[Entry],
        previous: Option<&Link>,
        names: &Names<'_>,
        path: &str,
        start: i64,
        end: i64,
    ) -> Result<String, Error> {
        let patterns = &self.templates.digest;
        let bucket = self.templates.bucket.as_str();
        let files = self.files(delivered)?;
        let start = moment::iso(start)?;
        let end = moment::iso(end)?;
        let newest = instant(delivered.iter().map(|entry| entry.newest).max())?;
        let oldest = instant(delivered.iter().map(|entry| entry.oldest).min())?;
        let previous_bucket = quoted(previous.map(|_| bucket));
        let previous_path = quoted(previous.map(|link| link.path.as_str()));
        let previous_hash = quoted(previous.map(|link| link.hash.as_str()));
        let algorithm = previous.map(|_| patterns.hash_algorithm.as_str());
        let algorithm = quoted(algorithm);
        let signature = previous.and_then(|link| link.signature.as_deref());
        let signature = quoted(signature);
        let values = [
            ("account", names.account),
            ("start", start.as_str()),
            ("end", end.as_str()),
            ("bucket", bucket),
            ("path", path),
            ("fingerprint", self.templates.key_fingerprint.as_str()),
            ("newest", newest.as_str()),
            ("oldest", oldest.as_str()),
            ("previous_bucket", previous_bucket.as_str()),
            ("previous_path", previous_path.as_str()),
            ("previous_hash", previous_hash.as_str()),
            ("previous_hash_algorithm", algorithm.as_str()),
            ("previous_signature", signature.as_str()),
            ("files", files.as_str()),
        ];
        fill(&patterns.body, &values)
    }

    fn files(&self, delivered: &[Entry]) -> Result<String, Error> {
        let mut files = String::new();
        for entry in delivered {
            let newest = moment::iso(entry.newest)?;
            let oldest = moment::iso(entry.oldest)?;
            let values = [
                ("bucket", self.templates.bucket.as_str()),
                ("path", entry.path.as_str()),
                ("hash", entry.hash.as_str()),
                ("newest", newest.as_str()),
                ("oldest", oldest.as_str()),
            ];
            if !files.is_empty() {
                files.push(',');
            }
            files.push_str(&fill(&self.templates.digest.file, &values)?);
        }
        Ok(files)
    }
}

/// An hour in which the feed was stopped: no digest, and the chain is broken.
fn stopped(chain: &mut Chain, silence: Silence, end: i64, path: String, delivered: Vec<Entry>) -> Closed {
    let mut closed = Closed { missing: Some(path), ..Closed::default() };
    chain.previous = None;
    for entry in delivered {
        if entry.oldest >= silence.to {
            // Written since the feed began again: the next digest lists it.
            chain.pending.push(entry);
        } else {
            closed.objects_without_digest.push(entry.path);
        }
    }
    if silence.to < end {
        chain.restarted = Some(silence.to);
    }
    closed
}

/// The words that name a lane in paths and digests.
pub(crate) struct Names<'t> {
    pub(crate) feed: &'t FeedFile,
    pub(crate) account: &'t str,
    pub(crate) region: &'t str,
}

/// Looks up the names of a lane.
pub(crate) fn names(templates: &Templates, lane: Lane) -> Result<Names<'_>, Error> {
    let feed = templates.feeds.get(lane.feed);
    let account = templates.accounts.get(lane.account);
    let region = templates.regions.get(lane.region);
    let (Some(feed), Some(account), Some(region)) = (feed, account, region) else {
        return Err(Error::new("a delivery has no feed, account or region"));
    };
    Ok(Names { feed, account: account.as_str(), region: region.as_str() })
}

fn digest_path(pattern: &str, names: &Names<'_>, end: i64) -> Result<String, Error> {
    let day = moment::day_folders(end)?;
    let stamp = moment::second_stamp(end)?;
    let values = [
        ("account", names.account),
        ("region", names.region),
        ("feed", names.feed.name.as_str()),
        ("home_region", names.feed.home_region.as_str()),
        ("day", day.as_str()),
        ("stamp", stamp.as_str()),
    ];
    fill(pattern, &values)
}

/// A quoted instant, or `null`.
fn instant(ms: Option<i64>) -> Result<String, Error> {
    let text = match ms {
        Some(ms) => Some(moment::iso(ms)?),
        None => None,
    };
    Ok(quoted(text.as_deref()))
}

/// A quoted text, or `null`; the texts of this file hold nothing to escape.
fn quoted(text: Option<&str>) -> String {
    match text {
        Some(text) => format!("\"{text}\""),
        None => "null".to_owned(),
    }
}

/// The SHA-256 of some bytes, in lowercase hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes).iter() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
