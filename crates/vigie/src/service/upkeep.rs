//! What the service does by itself: fewer files, and nothing past its time.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use vigie_lake::{Lake, Retention};

use crate::error::Error;
use crate::output::note;
use crate::service::config::Config;
use crate::service::data::now;

/// Seconds between two purges.
const PURGE_SECONDS: f64 = 3600.0;

/// A thread that keeps the lake in order until it is dropped.
pub(crate) struct Upkeep {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    pub(crate) fn start(lake: Arc<Lake>, config: &Config) -> Result<Upkeep, Error> {
        let (stop, stopped) = channel::<()>();
        let retention = retention(config);
        let step = Duration::from_secs_f64(config.upkeep_seconds);
        let purge_steps = (PURGE_SECONDS / config.upkeep_seconds) as u64 + 1;
        let work = move || {
            let mut count = 0u64;
            while stopped.recv_timeout(step) == Err(RecvTimeoutError::Timeout) {
                let compacted = || lake.compact(now()).map(drop);
                let is_purging = count.is_multiple_of(purge_steps);
                let purged = || if is_purging { lake.purge(&retention, now()).map(drop) } else { Ok(()) };
                for error in [guarded(compacted), guarded(purged)].into_iter().filter_map(Result::err) {
                    note(format_args!("vigie: the lake could not be kept in order: {error}"));
                }
                count += 1;
            }
        };
        let thread = std::thread::Builder::new().name("upkeep".to_owned()).spawn(work)?;
        Ok(Upkeep { stop: Some(stop), thread: Some(thread) })
    }
}

/// A bug in one step must not end the others.
fn guarded(work: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| Err("a bug ended this step".to_owned()))
}

/// What the settings say about how long events are kept.
pub(crate) fn retention(config: &Config) -> Retention {
    Retention { days: config.days_kept, by_log: config.days_kept_by.clone() }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
