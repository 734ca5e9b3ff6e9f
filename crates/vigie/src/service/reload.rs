//! SIGHUP: the content folder is read again while the service runs.
//!
//! Everything is parsed and compiled aside. What is wrong is said and changes nothing; what is right is
//! used from the next delivery on, by the intake first and by questions right after.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};
use vigie_detect::RuleSet;
use vigie_model::{Millis, Tenant, format_utc};
use vigie_normalise::Enrichments;
use vigie_pipeline::{Lanes, PushIntake, Shaper};

use crate::arguments::ContentCommand;
use crate::content::Content;
use crate::enrichments;
use crate::error::Error;
use crate::output::{line, note};
use crate::service::data::{DataFolder, columns, now};
use crate::service::documents::MappedDocuments;

/// Hexadecimal digits of a content's hash that are shown.
const HASH_DIGITS: usize = 16;

/// What shapes deliveries by a content, without any table: it cuts records and knows their logs.
pub(crate) fn shaper(content: &Content, tenant: &Tenant) -> Result<Shaper, Error> {
    enriching_shaper(content, tenant, &Enrichments::default())
}

/// What shapes deliveries by a content and by tables.
pub(crate) fn enriching_shaper(content: &Content, tenant: &Tenant, enrichments: &Enrichments) -> Result<Shaper, Error> {
    let columns = columns(content)?;
    // Rules run in the service from a later version on; the lanes are made for none.
    let (rules, _) = RuleSet::parse(&[], content.classes());
    let lanes = Lanes::shaping_with(&content.mappings()?, &rules, &content.generic()?, &columns, enrichments);
    Ok(Shaper::new(tenant.clone(), lanes, columns))
}

/// Names a content by all of its files.
fn hash(content: &Content) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in content.files.iter().flat_map(|(path, text)| [path, text]) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().chars().take(HASH_DIGITS).collect()
}

/// The content in use.
struct Loaded {
    hash: String,
    at: Millis,
    /// Why a newer one is not in use.
    trouble: Option<String>,
    /// The tables in use, and what is wrong with them.
    tables: String,
    faults: Vec<String>,
}

impl Loaded {
    fn new(hash: String, tables: &enrichments::Loaded) -> Loaded {
        let (summary, faults) = (tables.summary(), tables.faults.clone());
        Loaded { hash, at: now(), trouble: None, tables: summary, faults }
    }
}

/// Where the content and the tables come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    pub(crate) content: Option<PathBuf>,
    pub(crate) enrichments: Option<PathBuf>,
}

/// Reads the content again when it is told to.
pub(crate) struct Reloader {
    places: Places,
    tenant: Tenant,
    intake: Arc<PushIntake>,
    documents: Arc<MappedDocuments>,
    loaded: Mutex<Loaded>,
}

impl Reloader {
    /// For a service that uses `content` and `tables`, which were read from these places.
    pub(crate) fn new(
        places: Places,
        content: &Content,
        tables: &enrichments::Loaded,
        tenant: &Tenant,
        intake: Arc<PushIntake>,
        documents: Arc<MappedDocuments>,
    ) -> Reloader {
        let loaded = Mutex::new(Loaded::new(hash(content), tables));
        Reloader { places, tenant: tenant.clone(), intake, documents, loaded }
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the content again, and says what became of it.
    pub(crate) fn reload(&self) {
        let Some(folder) = self.places.content.as_ref().or(self.places.enrichments.as_ref()) else {
            note(format_args!("vigie: the content is the one of the binary: start with --content DIR to load one again"));
            return;
        };
        let place = folder.display();
        match self.try_reload() {
            Ok(loaded) => {
                note(format_args!("content {} of `{place}` is in use from now on", loaded.hash));
                loaded.faults.iter().for_each(|fault| note(format_args!("vigie: {fault}")));
                *self.loaded() = loaded;
            }
            Err(why) => {
                let mut loaded = self.loaded();
                note(format_args!("vigie: the content of `{place}` is not used, {} stays: {why}", loaded.hash));
                loaded.trouble = Some(why.to_string());
            }
        }
    }

    fn try_reload(&self) -> Result<Loaded, Error> {
        let content = Content::load(self.places.content.as_deref())?;
        let tables = enrichments::load(&content, self.places.enrichments.as_deref())?;
        let documents = MappedDocuments::new(&content)?;
        let shaper = enriching_shaper(&content, &self.tenant, &tables.enrichments)?;
        self.intake.replace_shaper(shaper).map_err(Error::Failed)?;
        self.documents.replace(documents);
        Ok(Loaded::new(hash(&content), &tables))
    }

    /// What the health says of the tables: see [`Reloader::report`].
    pub(crate) fn report_tables(&self) -> (String, bool, String) {
        let loaded = self.loaded();
        let mut sentence = loaded.tables.clone();
        if let Some(first) = loaded.faults.first() {
            sentence.push_str(&format!("; {first}"));
        }
        ("enrichments".to_owned(), loaded.faults.is_empty(), sentence)
    }

    /// What the health says of it: name, whether it is well, a sentence.
    pub(crate) fn report(&self) -> (String, bool, String) {
        let loaded = self.loaded();
        let mut sentence = format!("{}, loaded {}", loaded.hash, format_utc(loaded.at));
        if let Some(why) = &loaded.trouble {
            sentence.push_str(&format!("; the newer one is not used: {why}"));
        }
        ("content".to_owned(), loaded.trouble.is_none(), sentence)
    }
}

/// Tells the service on a data folder to read its content again.
pub(crate) fn run(command: &ContentCommand) -> Result<ExitCode, Error> {
    let ContentCommand::Reload { data } = command;
    let folder = data.display();
    let is_idle = || Error::Usage(format!("no service runs on `{folder}`: `vigie up` reads its content when it starts"));
    if !data.is_dir() {
        return Err(is_idle());
    }
    let Err(pid) = DataFolder::new(data).try_lock()? else {
        return Err(is_idle());
    };
    // The folder may be in use by a command that SIGHUP would end.
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let number = pid.parse().ok().and_then(Pid::from_raw).filter(|_| hears_hangup(&status));
    let Some(number) = number else {
        return Err(Error::Failed(format!(
            "the process {pid} on `{folder}` is no service that can be told: try `kill -HUP` on yours"
        )));
    };
    kill_process(number, rustix::process::Signal::HUP).map_err(|error| Error::Failed(format!("the process {pid}: {error}")))?;
    line(format_args!(
        "the vigie with process id {pid} reads its content again; its log and /health/ready say what became of it"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Whether a process catches SIGHUP, by its `/proc/PID/status` (proc_pid_status(5)): the first bit of
/// `SigCgt`, which is hexadecimal.
fn hears_hangup(status: &str) -> bool {
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).is_some_and(|signals| signals & 1 == 1)
}

/// Hears SIGHUP from the call on, which would end the process otherwise.
pub(crate) fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Reads the content again each time that it is asked for.
pub(crate) async fn each(mut hangups: Signal, reloader: Arc<Reloader>) {
    while hangups.recv().await.is_some() {
        let reloader = Arc::clone(&reloader);
        // Reading and compiling take longer than a task may hold its thread.
        let _ = tokio::task::spawn_blocking(move || reloader.reload()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_that_catches_the_signal_is_told() {
        assert!(hears_hangup("Name:\tvigie\nSigIgn:\t0000000000001000\nSigCgt:\t0000000100004003\n"));
        assert!(!hears_hangup("Name:\tvigie\nSigIgn:\t0000000000000001\nSigCgt:\t0000000100004002\n"));
        assert!(!hears_hangup(""));
    }

    #[test]
    fn a_content_is_named_by_every_file() {
        let mut content = Content::embedded();
        let first = hash(&content);
        assert_eq!(first.len(), HASH_DIGITS);
        content.files.insert("vendors/other".to_owned(), String::new());
        assert_ne!(hash(&content), first);
    }
}
