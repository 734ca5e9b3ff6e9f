//! Intake: deliveries to the spool, from the spool to commits, nothing acknowledged before it is on
//! disk and nothing freed before it is committed.
//!
//! Three steps meet in queues with limits. Callers shape their delivery in their own thread; the spool
//! thread writes and flushes for all that wait, then answers; the commit thread gathers rows until the
//! cadence or the size is reached, writes the position journal, commits, and frees the spool.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vigie_model::limits::{DELIVERY_BYTES_MAX, DISK_RESERVE_BYTES, SPOOL_BYTES_MAX};
use vigie_model::{Answer, Delivery, EventBatch, Intake, LaneMark, Millis, Receipt, Refusal, Store};

use crate::journal::{Journal, Reach};
use crate::shape::Shaper;
use crate::spool::{self, Damage, Entering, Position, Span, Spool};

/// Deliveries that wait for the spool thread.
const WAITING_MAX: usize = 1024;
/// Bytes written and flushed at once.
const WRITE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Deliveries written and flushed at once.
const WRITE_ENTRIES_MAX: usize = 1000;
/// Bytes of rows that wait in memory for the commit; beyond it they are read again from the spool.
const READY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of rows up to which deliveries are copied together.
const PART_BYTES_MAX: usize = 256 * 1024;
/// How long what is on disk waits for room in memory before it is acknowledged: senders are slowed to
/// the rate of commits, and rows that were shaped once are not shaped again.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(2);
/// Seconds that a client is told to wait.
const RETRY_SECONDS: u64 = 2;
/// How long a failed commit waits for the next try, at first and at most.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// How often and how large commits are (design D9b).
#[derive(Debug, Clone, Copy)]
pub struct Cadence {
    /// The longest that a row waits before its commit begins.
    pub wait: Duration,
    /// Bytes of rows in memory after which a commit begins at once.
    pub bytes: usize,
}

impl Default for Cadence {
    fn default() -> Cadence {
        Cadence { wait: Duration::from_secs(5), bytes: 64 * 1024 * 1024 }
    }
}

/// What the intake says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntakeState {
    /// Bytes of the spool.
    pub spool_bytes: u64,
    /// Deliveries on disk that no commit holds yet.
    pub waiting: u64,
    /// Events committed since start, and those that were there already.
    pub stored: u64,
    /// Events that were there already.
    pub duplicates: u64,
    /// The version of the last commit.
    pub version: u64,
    /// Why the disk or the table refuses, while it does.
    pub trouble: Option<String>,
    /// Parts of the spool that could not be read, kept beside it.
    pub damages: Vec<Damage>,
}

/// A delivery on its way to the spool.
struct Waiting {
    /// What the spool has in front of the body.
    head: Vec<u8>,
    /// The body is what the rows' buffer of records begins with: so many bytes.
    body_bytes: usize,
    rows: EventBatch,
    receipt: Receipt,
    answer: Answer,
}

impl Waiting {
    fn entering(&self) -> Entering<'_> {
        Entering { head: &self.head, body: self.rows.raw.buffer().get(..self.body_bytes).unwrap_or_default() }
    }
}

/// A delivery on disk on its way to a commit.
struct Ready {
    span: Span,
    /// None when it is to be read from the spool.
    rows: Option<EventBatch>,
}

#[derive(Default)]
struct Shared {
    state: IntakeState,
    ready: VecDeque<Ready>,
    ready_bytes: usize,
    is_ending: bool,
    /// Set by tests and by the last commit: do not wait for the cadence.
    is_hasty: bool,
    /// A thread ended by a bug: its trouble is not taken back.
    is_broken: bool,
    freed: Option<Position>,
}

struct Inner {
    /// Taken out for each delivery: another may take its place between two.
    shaper: RwLock<Arc<Shaper>>,
    shared: Mutex<Shared>,
    changed: Condvar,
    /// Numbers of deliveries: the first comes from the clock, so that none is used twice.
    next_number: AtomicU64,
    clock: fn() -> Millis,
    folder: PathBuf,
    free_bytes: fn(&Path) -> Option<u64>,
}

impl Inner {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        // What is behind the lock is whole between any two statements that can panic: none can.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shaper(&self) -> Arc<Shaper> {
        Arc::clone(&self.shaper.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Takes deliveries for one tenant. Dropping it commits what waits and ends its threads.
pub struct PushIntake {
    inner: Arc<Inner>,
    queue: Option<SyncSender<Waiting>>,
    threads: Vec<JoinHandle<()>>,
}

/// What an intake is made of.
pub struct IntakeParts {
    /// Shapes deliveries; says whose they are.
    pub shaper: Shaper,
    /// Where events are kept.
    pub store: Arc<dyn Store>,
    /// The folder of the spool.
    pub spool: PathBuf,
    /// The file of the position journal.
    pub journal: PathBuf,
    /// How often commits are made.
    pub cadence: Cadence,
    /// Tells the time.
    pub clock: fn() -> Millis,
    /// Bytes free where a folder is.
    pub free_bytes: fn(&Path) -> Option<u64>,
}

impl PushIntake {
    /// Opens spool and journal, and goes on where the last commit ended.
    ///
    /// # Errors
    /// A sentence that says which file cannot be used, and why.
    pub fn start(parts: IntakeParts) -> Result<PushIntake, String> {
        let lane = crate::keep::push_lane(parts.shaper.tenant());
        let journal = Journal::open(&parts.journal)?;
        let in_spool = |error: std::io::Error| format!("the spool in `{}`: {error}", parts.spool.display());
        let mut spool = Spool::open(&parts.spool).map_err(in_spool)?;
        let number = parts.store.mark(&lane)?.unwrap_or(0);
        journal.forget_above(&lane, number)?;
        let from = journal.get(&lane, number)?.map_or(Position::default(), |reach| reach.position);
        spool.begin_after(from.segment);
        spool.free(from);
        let mut ready = VecDeque::new();
        let damages = spool.scan(from, &mut |span| ready.push_back(Ready { span, rows: None })).map_err(in_spool)?;
        let state = IntakeState { spool_bytes: spool.bytes(), waiting: ready.len() as u64, damages, ..IntakeState::default() };
        let inner = Arc::new(Inner {
            shaper: RwLock::new(Arc::new(parts.shaper)),
            shared: Mutex::new(Shared { state, ready, ..Shared::default() }),
            changed: Condvar::new(),
            next_number: AtomicU64::new(u64::try_from((parts.clock)()).unwrap_or(0) << 20),
            clock: parts.clock,
            folder: spool.folder().to_owned(),
            free_bytes: parts.free_bytes,
        });
        let (queue, waiting) = sync_channel(WAITING_MAX);
        let writer = {
            let inner = Arc::clone(&inner);
            spawn("spool", Arc::clone(&inner), move || write_spool(&inner, spool, &waiting))
        };
        let committer = {
            let inner = Arc::clone(&inner);
            let committer =
                Committer { inner: Arc::clone(&inner), journal, store: parts.store, cadence: parts.cadence, lane, number };
            spawn("commit", inner, move || committer.run())
        };
        let threads = [writer, committer].into_iter().collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        Ok(PushIntake { inner, queue: Some(queue), threads })
    }

    /// What it says of itself now.
    pub fn state(&self) -> IntakeState {
        self.inner.shared().state.clone()
    }

    /// Shapes with another shaper from the next delivery on. What waits in memory stays as it is; what is
    /// read again from the spool is shaped by the new one.
    ///
    /// # Errors
    /// A sentence, when it makes rows of other columns or another tenant: nothing is changed then.
    pub fn replace_shaper(&self, shaper: Shaper) -> Result<(), String> {
        let mut current = self.inner.shaper.write().unwrap_or_else(PoisonError::into_inner);
        if current.tenant() != shaper.tenant() {
            return Err("the tenant differs: restart the service to change it".to_owned());
        }
        if current.columns() != shaper.columns() {
            return Err(
                "the list of promoted columns differs, and the table is open with the old one: restart the service".to_owned()
            );
        }
        *current = Arc::new(shaper);
        Ok(())
    }

    /// Begins a commit of what is on disk now, without waiting for the cadence.
    pub fn hurry(&self) {
        self.inner.shared().is_hasty = true;
        self.inner.changed.notify_all();
    }
}

impl Intake for PushIntake {
    fn deliver(&self, delivery: Delivery, answer: Answer) {
        match self.prepare(delivery) {
            Ok((head, body_bytes, rows, receipt)) => {
                let waiting = Waiting { head, body_bytes, rows, receipt, answer };
                let refused = match &self.queue {
                    Some(queue) => queue.try_send(waiting).err(),
                    None => None,
                };
                if let Some(TrySendError::Full(waiting) | TrySendError::Disconnected(waiting)) = refused {
                    (waiting.answer)(Err(Refusal::Busy { retry_after_seconds: RETRY_SECONDS }));
                }
            }
            Err(refusal) => answer(Err(refusal)),
        }
    }
}

impl PushIntake {
    fn prepare(&self, delivery: Delivery) -> Result<(Vec<u8>, usize, EventBatch, Receipt), Refusal> {
        let shaper = self.inner.shaper();
        if delivery.tenant != *shaper.tenant() {
            return Err(Refusal::Unavailable(format!("tenant `{}` has no lake in this service", delivery.tenant.0)));
        }
        if delivery.body.len() > DELIVERY_BYTES_MAX {
            return Err(Refusal::TooLarge { bytes_max: DELIVERY_BYTES_MAX });
        }
        {
            let shared = self.inner.shared();
            if shared.is_broken {
                return Err(Refusal::Unavailable(shared.state.trouble.clone().unwrap_or_default()));
            }
            if shared.state.spool_bytes > SPOOL_BYTES_MAX {
                return Err(Refusal::Busy { retry_after_seconds: RETRY_SECONDS });
            }
        }
        if let Some(free) = (self.inner.free_bytes)(&self.inner.folder)
            && free < DISK_RESERVE_BYTES + delivery.body.len() as u64
        {
            let least = DISK_RESERVE_BYTES / (1024 * 1024);
            return Err(Refusal::Unavailable(format!("the disk of the spool has less than {least} MiB free; make room on it")));
        }
        let now = (self.inner.clock)();
        let next = || self.inner.next_number.fetch_add(1, Ordering::Relaxed);
        let number = delivery.number.unwrap_or_else(next);
        let head = spool::entry_head(&delivery, number, now).map_err(Refusal::Unavailable)?;
        let body_bytes = delivery.body.len();
        let (rows, receipt) = shaper.shape(delivery, number, now)?;
        Ok((head, body_bytes, rows, receipt))
    }
}

impl Drop for PushIntake {
    fn drop(&mut self) {
        self.queue = None;
        self.inner.shared().is_ending = true;
        self.inner.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A thread that nothing works without. When a bug ends it, nothing more is taken in: what was
/// acknowledged is on disk, and the next process goes on with it.
fn spawn(name: &'static str, inner: Arc<Inner>, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
            let why = format!("the {name} thread ended by a bug; restart the service: what was acknowledged is on disk");
            let mut shared = inner.shared();
            shared.state.trouble = Some(why);
            shared.is_broken = true;
        }
    })
}

/// The spool thread.
fn write_spool(inner: &Inner, mut spool: Spool, waiting: &Receiver<Waiting>) {
    loop {
        let mut batch = match waiting.recv_timeout(Duration::from_millis(100)) {
            Ok(first) => vec![first],
            Err(RecvTimeoutError::Timeout) => {
                free(inner, &mut spool);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut bytes: usize = batch.iter().map(|waiting| waiting.body_bytes).sum();
        while bytes < WRITE_BYTES_MAX && batch.len() < WRITE_ENTRIES_MAX {
            match waiting.try_recv() {
                Ok(next) => {
                    bytes += next.body_bytes;
                    batch.push(next);
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        let entries: Vec<Entering<'_>> = batch.iter().map(Waiting::entering).collect();
        match spool.append(&entries) {
            Ok(ends) => {
                let lengths: Vec<u64> = entries.iter().map(Entering::len).collect();
                let mut shared = room(inner, batch.iter().map(|waiting| waiting.rows.held_bytes()).sum());
                shared.state.spool_bytes = spool.bytes();
                let mut answers = Vec::with_capacity(batch.len());
                for ((waiting, end), length) in batch.into_iter().zip(ends).zip(lengths) {
                    let start = end.offset.saturating_sub(length);
                    let held_bytes = waiting.rows.held_bytes();
                    let fits = shared.ready_bytes + held_bytes <= READY_BYTES_MAX;
                    shared.ready_bytes += if fits { held_bytes } else { 0 };
                    shared.ready.push_back(Ready { span: Span { start, end }, rows: fits.then_some(waiting.rows) });
                    shared.state.waiting += 1;
                    answers.push((waiting.answer, waiting.receipt));
                }
                drop(shared);
                inner.changed.notify_all();
                answers.into_iter().for_each(|(answer, receipt)| answer(Ok(receipt)));
            }
            Err(error) => {
                let why = format!("the disk refuses to write the spool: {error}; nothing of this delivery was kept");
                batch.into_iter().for_each(|waiting| (waiting.answer)(Err(Refusal::Unavailable(why.clone()))));
            }
        }
        free(inner, &mut spool);
    }
}

/// Waits until rows of so many bytes fit into memory beside those that wait for a commit; not when
/// commits make no progress.
fn room(inner: &Inner, bytes: usize) -> MutexGuard<'_, Shared> {
    let until = Instant::now() + ROOM_WAIT_MAX;
    let mut shared = inner.shared();
    while shared.ready_bytes + bytes > READY_BYTES_MAX && shared.state.trouble.is_none() && !shared.is_ending {
        let Some(rest) = until.checked_duration_since(Instant::now()) else {
            break;
        };
        let waited = inner.changed.wait_timeout(shared, rest);
        shared = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(shared, _)| shared);
    }
    shared
}

fn free(inner: &Inner, spool: &mut Spool) {
    let before = inner.shared().freed.take();
    if let Some(before) = before {
        spool.free(before);
        inner.shared().state.spool_bytes = spool.bytes();
    }
}

/// Rows of one commit, in as many parts as copying little makes of them.
#[derive(Default)]
struct Gathered {
    batches: Vec<EventBatch>,
    bytes: usize,
}

impl Gathered {
    /// Small deliveries go together; large ones stay as they are.
    fn add(&mut self, rows: EventBatch) {
        self.bytes += rows.held_bytes();
        match self.batches.last_mut() {
            Some(last) if last.held_bytes() + rows.held_bytes() <= PART_BYTES_MAX => last.append(&rows),
            _ => self.batches.push(rows),
        }
    }
}

/// The commit thread.
struct Committer {
    inner: Arc<Inner>,
    journal: Journal,
    store: Arc<dyn Store>,
    cadence: Cadence,
    lane: String,
    /// The number of the last batch that is committed.
    number: i64,
}

impl Committer {
    fn run(mut self) {
        loop {
            let Some((rows, position, count)) = self.gather() else {
                return;
            };
            if !self.commit(&rows.batches, position) {
                return;
            }
            let mut shared = self.inner.shared();
            shared.freed = Some(position);
            shared.state.waiting = shared.state.waiting.saturating_sub(count);
        }
    }

    /// Gathers rows until the cadence or the size is reached; none at the end.
    fn gather(&self) -> Option<(Gathered, Position, u64)> {
        let mut rows = Gathered::default();
        let mut reached = None;
        let mut count = 0;
        let mut until: Option<Instant> = None;
        let mut shared = self.inner.shared();
        loop {
            if let Some(ready) = shared.ready.pop_front() {
                let taken = ready.rows.as_ref().map_or(0, EventBatch::held_bytes);
                shared.ready_bytes = shared.ready_bytes.saturating_sub(taken);
                self.inner.changed.notify_all();
                until = until.or_else(|| Some(Instant::now() + self.cadence.wait));
                drop(shared);
                match ready.rows {
                    Some(more) => rows.add(more),
                    // The process ends before it could be read: the next one begins with it.
                    None if !self.read_back(ready.span, &mut rows) => return None,
                    None => {}
                }
                reached = Some(ready.span.end);
                count += 1;
                if rows.bytes >= self.cadence.bytes {
                    break;
                }
                shared = self.inner.shared();
                continue;
            }
            if reached.is_none() && shared.is_ending {
                return None;
            }
            let now = Instant::now();
            let is_time = shared.is_ending || shared.is_hasty || until.is_some_and(|until| now >= until);
            if reached.is_some() && is_time {
                shared.is_hasty = false;
                break;
            }
            let wait = until.map_or(Duration::from_millis(500), |until| until.saturating_duration_since(now));
            shared = self
                .inner
                .changed
                .wait_timeout(shared, wait)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(shared, _)| shared);
        }
        reached.map(|position| (rows, position, count))
    }

    /// Rows of a delivery that are no longer in memory, or were acknowledged by an earlier process. False
    /// when the process ends before they could be read.
    fn read_back(&self, span: Span, rows: &mut Gathered) -> bool {
        let mut wait = RETRY_FIRST;
        loop {
            match spool::read_in(&self.inner.folder, span) {
                Ok(entry) => {
                    // What was taken in once is taken in again, whatever the client named.
                    let shaper = self.inner.shaper();
                    let log = entry.delivery.log.filter(|log| shaper.knows(log));
                    let delivery = Delivery { log, ..entry.delivery };
                    if let Ok((more, _)) = shaper.shape(delivery, entry.number, entry.received) {
                        rows.add(more);
                    }
                    return true;
                }
                // Whole by its sum, and yet no entry: said as damage, never passed over in silence.
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    let damage = Damage { segment: span.end.segment, from: span.start, until: span.end.offset };
                    self.inner.shared().state.damages.push(damage);
                    return true;
                }
                Err(error) => self.wait(format!("the spool cannot be read: {error}"), &mut wait),
            }
            if self.inner.shared().is_ending {
                return false;
            }
        }
    }

    /// Commits until it is done: what was acknowledged is never given up. False when the process ends
    /// before that: the next one reads what waits from the spool.
    fn commit(&mut self, rows: &[EventBatch], position: Position) -> bool {
        let number = self.number + 1;
        let mark = LaneMark { lane: self.lane.clone(), number };
        let mut wait = RETRY_FIRST;
        loop {
            let done =
                self.journal.put(&self.lane, number, Reach { position, rules: 0 }).and_then(|()| self.store.commit(rows, &mark));
            match done {
                Ok(committed) => {
                    let mut shared = self.inner.shared();
                    shared.state.stored += committed.stored;
                    shared.state.duplicates += committed.duplicates;
                    shared.state.version = committed.version;
                    if !shared.is_broken {
                        shared.state.trouble = None;
                    }
                    break;
                }
                // The answer was lost, the commit was not.
                Err(_) if self.store.mark(&self.lane).is_ok_and(|kept| kept.is_some_and(|kept| kept >= number)) => break,
                Err(why) => self.wait(format!("events wait to be stored: {why}"), &mut wait),
            }
            if self.inner.shared().is_ending {
                return false;
            }
        }
        self.number = number;
        true
    }

    fn wait(&self, why: String, wait: &mut Duration) {
        let mut shared = self.inner.shared();
        shared.state.trouble = Some(why);
        if !shared.is_ending {
            drop(self.inner.changed.wait_timeout(shared, *wait));
        }
        *wait = (*wait * 2).min(RETRY_MAX);
    }
}
