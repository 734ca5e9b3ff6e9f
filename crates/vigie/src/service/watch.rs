//! Folders that the service watches: what is new in them is taken in.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use vigie_connect::Folder;
use vigie_model::{Ledger, Millis, Tenant};
use vigie_pipeline::{DigestFormat, PushIntake, Shaper, Watch};

use crate::content::Content;
use crate::error::Error;
use crate::output::note;
use crate::service::config::{Config, WatchedFolder};
use crate::service::data::now;

/// What is wrong with watched folders now.
type Troubles = Arc<Mutex<Option<String>>>;

/// A thread that looks at folders until it is dropped.
pub(crate) struct Watcher {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    troubles: Troubles,
}

/// What a look needs.
struct Looking {
    intake: Arc<PushIntake>,
    ledger: Arc<dyn Ledger>,
    shaper: Shaper,
    digests: Option<DigestFormat>,
    tenant: Tenant,
    settle_ms: Millis,
}

impl Looking {
    fn look(&self, place: &WatchedFolder, stopped: &Receiver<()>) -> Result<(), String> {
        let folder = Folder::find(&[place.folder.display().to_string()])?;
        let now = now();
        let watch = Watch {
            name: &place.name,
            tenant: &self.tenant,
            lanes: self.shaper.lanes(),
            digests: self.digests.as_ref(),
            columnar: crate::columnar::reader(),
            intake: &*self.intake,
            ledger: &*self.ledger,
            settled: now - self.settle_ms,
            now,
            wait: &|time| stopped.recv_timeout(time) != Err(RecvTimeoutError::Timeout),
        };
        watch.look(&folder)?;
        match folder.unreadable.first() {
            Some((path, why)) => Err(format!("`{path}` {why}")),
            None => Ok(()),
        }
    }
}

impl Watcher {
    pub(crate) fn start(
        intake: &Arc<PushIntake>,
        ledger: Arc<dyn Ledger>,
        content: &Content,
        config: &Config,
        tenant: &Tenant,
    ) -> Result<Watcher, Error> {
        let (stop, stopped) = channel::<()>();
        let troubles = Troubles::default();
        let looking = Looking {
            intake: Arc::clone(intake),
            ledger,
            shaper: super::reload::shaper(content, tenant)?,
            digests: content.digests()?,
            tenant: tenant.clone(),
            settle_ms: (config.settle_seconds * 1000.0) as Millis,
        };
        let (places, told) = (config.watched.clone(), Arc::clone(&troubles));
        let step = Duration::from_secs_f64(config.look_seconds);
        let work = move || {
            if places.is_empty() {
                return;
            }
            loop {
                let mut trouble = None;
                for place in &places {
                    if let Err(why) = looking.look(place, &stopped) {
                        trouble = Some(format!("the folder `{}` cannot be taken in: {why}", place.name));
                    }
                }
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(why) = trouble.as_ref().filter(|why| told.as_ref() != Some(*why)) {
                    note(format_args!("vigie: {why}"));
                }
                *told = trouble;
                drop(told);
                if stopped.recv_timeout(step) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(work)?;
        Ok(Watcher { stop: Some(stop), thread: Some(thread), troubles })
    }

    /// What the health of the service says of it.
    pub(crate) fn troubles(&self) -> Troubles {
        Arc::clone(&self.troubles)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
