//! What the service does by itself: fewer files, and nothing past its time.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use vigie_lake::Lake;

use crate::error::Error;
use crate::output::note;
use crate::service::config::Config;
use crate::service::data::now;

/// Seconds between two purges.
const PURGE_SECONDS: f64 = 3600.0;

/// Why the lake could not be kept in order the last time, for the health of the service.
#[derive(Default)]
pub(crate) struct Troubles(Mutex<[Option<String>; 2]>);

impl Troubles {
    fn set(&self, part: usize, trouble: Option<String>) {
        if let Some(trouble) = &trouble {
            note(format_args!("vigie: the lake could not be kept in order: {trouble}"));
        }
        if let Some(place) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(part) {
            *place = trouble;
        }
    }

    /// What is wrong now, as a sentence; none when all is well.
    pub(crate) fn sentence(&self) -> Option<String> {
        let troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<&str> = troubles.iter().flatten().map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// A thread that keeps the lake in order until it is dropped.
pub(crate) struct Upkeep {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    troubles: Arc<Troubles>,
}

impl Upkeep {
    pub(crate) fn start(lake: Arc<Lake>, config: &Config) -> Result<Upkeep, Error> {
        let (stop, stopped) = channel::<()>();
        let retention = config.retention.clone();
        let step = Duration::from_secs_f64(config.upkeep_seconds);
        let purge_steps = (PURGE_SECONDS / config.upkeep_seconds) as u64 + 1;
        let troubles = Arc::new(Troubles::default());
        let told = Arc::clone(&troubles);
        let work = move || {
            let mut count = 0u64;
            while stopped.recv_timeout(step) == Err(RecvTimeoutError::Timeout) {
                told.set(0, guarded(|| lake.compact(now()).map(drop)).err());
                if count.is_multiple_of(purge_steps) {
                    told.set(1, guarded(|| lake.purge(&retention, now()).map(drop)).err());
                }
                count += 1;
            }
        };
        let thread = std::thread::Builder::new().name("upkeep".to_owned()).spawn(work)?;
        Ok(Upkeep { stop: Some(stop), thread: Some(thread), troubles })
    }

    /// What the health of the service says of it.
    pub(crate) fn troubles(&self) -> Arc<Troubles> {
        Arc::clone(&self.troubles)
    }
}

/// A bug in one step must not end the others.
fn guarded(work: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| Err("a bug ended this step".to_owned()))
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
