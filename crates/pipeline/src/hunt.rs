//! A hunt: every object of a source through all cores, then one pass in the order of event time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use vigie_detect::RuleSet;
use vigie_estate::Chains;
use vigie_model::limits::SPILL_BYTES;
use vigie_model::{ColumnarReader, Finding, LogType, Millis, Source, Tenant};
use vigie_record::Shape;

use crate::admit::{Batch, Knowledge, guess, read_file};
use crate::conclude::conclude;
use crate::find::Finder;
use crate::gather::gather;
use crate::inflate::each_file;
use crate::lane::Lanes;
use crate::outcome::Outcome;
use crate::proof::{DigestFormat, DigestReader, Flaw, SeenFile, expected, file_name, instant_in, judge};
use crate::work::{Shared, Worker};

/// How far a hunt has come; read it from another thread.
#[derive(Debug, Default)]
pub struct Progress {
    /// Objects begun.
    pub objects: AtomicU64,
    /// Bytes read, after decompression.
    pub bytes: AtomicU64,
    /// Bytes of the objects that are done, as they are stored.
    pub stored_bytes: AtomicU64,
}

/// Takes an event as one line of JSON, with its file and its log type; an error ends the run.
pub type Documents<'a> = dyn Fn(&str, &LogType, &str) -> io::Result<()> + Sync + 'a;

/// One run over a source.
pub struct Hunt<'a> {
    /// Where records come from.
    pub source: &'a dyn Source,
    /// Log types and their rules.
    pub lanes: &'a Lanes,
    /// The rules.
    pub rules: &'a RuleSet,
    /// Whose data it is.
    pub tenant: Tenant,
    /// Only events from this instant on.
    pub since: Option<Millis>,
    /// Only events before this instant.
    pub until: Option<Millis>,
    /// Worker threads.
    pub threads: usize,
    /// Memory for what is sorted, in bytes, over all threads.
    pub spill_bytes: usize,
    /// An event to explain, by the provider's id.
    pub explain: Option<String>,
    /// Told the OCSF document of each event of a mapped log, as it is read; threads tell in no order.
    pub documents: Option<&'a Documents<'a>>,
    /// Whether to note what mappings leave unread: see [`Outcome::gaps`].
    pub has_gaps: bool,
    /// How digests that prove collection are written, where some log has them.
    pub digests: Option<&'a DigestFormat>,
    /// What reads files whose records stand in columns; without it they are named.
    pub columnar: Option<&'a dyn ColumnarReader>,
    /// Told while the hunt runs.
    pub progress: &'a Progress,
}

/// What the run knows of digests before it reads log files.
struct Watch<'a> {
    /// Files that were read in the first pass, by object and name.
    gathered: &'a BTreeSet<(usize, String)>,
    expected: BTreeMap<String, String>,
    is_proving: bool,
}

/// Batches waiting for a free worker.
struct Queue {
    batches: Mutex<Waiting>,
    changed: Condvar,
    next_object: AtomicUsize,
}

#[derive(Default)]
struct Waiting {
    ready: VecDeque<(Batch, Arc<str>)>,
    free: Vec<Batch>,
    reading: usize,
}

fn lock(queue: &Queue) -> MutexGuard<'_, Waiting> {
    queue.batches.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Hunt<'a> {
    /// A hunt through everything a source has, in one thread, for the default tenant.
    pub fn new(source: &'a dyn Source, lanes: &'a Lanes, rules: &'a RuleSet, progress: &'a Progress) -> Hunt<'a> {
        Hunt {
            source,
            lanes,
            rules,
            tenant: Tenant::default(),
            since: None,
            until: None,
            threads: 1,
            spill_bytes: SPILL_BYTES,
            explain: None,
            documents: None,
            has_gaps: false,
            digests: None,
            columnar: None,
            progress,
        }
    }
}

impl Hunt<'_> {
    /// Runs the hunt. `report` gets every finding in the order of time, together with the chains
    /// that say who stands behind whom.
    ///
    /// # Errors
    /// Only what stops the whole run: temporary files that cannot be written. What cannot be read is
    /// counted and named in the outcome.
    pub fn run(&self, report: &mut dyn FnMut(&Finding, &Chains)) -> io::Result<Outcome> {
        let count = u32::try_from(self.rules.facts().len()).unwrap_or(u32::MAX);
        let shared = Shared {
            lanes: self.lanes,
            finder: Finder::new(&self.lanes.lanes, self.lanes, true),
            rules: self.rules,
            tenant: &self.tenant,
            since: self.since,
            until: self.until,
            explain: self.explain.as_deref(),
            has_gaps: self.has_gaps,
            documents: self.documents,
            feeds: (0..count).map(|rule| self.rules.feeds(rule)).collect(),
        };
        let threads = self.threads.max(1);
        let reader = self.digests.map(DigestReader::new);
        let gathered = reader.as_ref().map(|reader| gather(self.source, reader)).unwrap_or_default();
        let is_proving = !gathered.digests.is_empty();
        let watch = Watch { gathered: &gathered.files, expected: expected(&gathered.digests), is_proving };
        let queue = Queue { batches: Mutex::default(), changed: Condvar::new(), next_object: AtomicUsize::new(0) };
        let workers: Vec<io::Result<Worker<'_>>> = std::thread::scope(|scope| {
            let (queue, watch, shared) = (&queue, &watch, &shared);
            let share = self.spill_bytes / threads;
            let spawn = |number| scope.spawn(move || self.work(queue, watch, Worker::new(shared, number, share), threads));
            let handles: Vec<_> = (0..threads).map(spawn).collect();
            let join = |handle: std::thread::ScopedJoinHandle<'_, _>| {
                handle.join().unwrap_or_else(|_| Err(io::Error::other("a worker failed; please report this as a bug")))
            };
            handles.into_iter().map(join).collect()
        });
        let mut outcome = Outcome::default();
        let mut sorted = Vec::new();
        for worker in workers {
            let (seen, kept) = worker?.finish();
            outcome.absorb(seen);
            sorted.push(kept);
        }
        if let Some(reader) = reader.as_ref().filter(|_| is_proving || !gathered.unreadable.is_empty()) {
            let seen = std::mem::take(&mut outcome.seen_files);
            let mut proof = judge(reader, gathered.digests, &gathered.keys, &seen);
            proof.flaws.extend(gathered.unreadable.into_iter().map(|(name, why)| Flaw::DigestInvalid(name, why)));
            outcome.proof = Some(proof);
        }
        conclude(self, outcome, sorted, report)
    }

    /// One thread: batches first, then the next object, until neither is left.
    fn work<'w>(&self, queue: &Queue, watch: &Watch<'_>, mut worker: Worker<'w>, threads: usize) -> io::Result<Worker<'w>> {
        loop {
            let waiting = lock(queue);
            let mut waiting = waiting;
            if let Some((batch, name)) = waiting.ready.pop_front() {
                drop(waiting);
                worker.batch(&batch, &name)?;
                lock(queue).free.push(batch);
                continue;
            }
            let object = queue.next_object.load(Ordering::Relaxed);
            if object < self.source.objects().len() {
                queue.next_object.store(object + 1, Ordering::Relaxed);
                waiting.reading += 1;
                drop(waiting);
                let done = self.read_object(object, queue, watch, &mut worker, threads);
                lock(queue).reading -= 1;
                queue.changed.notify_all();
                done?;
                continue;
            }
            if waiting.reading == 0 {
                drop(waiting);
                worker.settle();
                return Ok(worker);
            }
            drop(queue.changed.wait(waiting));
        }
    }

    /// Reads one object; batches go to the queue while it has room, else this worker does them.
    fn read_object(
        &self,
        object: usize,
        queue: &Queue,
        watch: &Watch<'_>,
        worker: &mut Worker<'_>,
        threads: usize,
    ) -> io::Result<()> {
        let is_gathered = |name: &str| watch.gathered.contains(&(object, name.to_owned()));
        let Some(info) = self.source.objects().get(object).filter(|info| !is_gathered(&info.name)) else {
            return Ok(());
        };
        self.progress.objects.fetch_add(1, Ordering::Relaxed);
        let stream = match self.source.open(object) {
            Ok(stream) => stream,
            Err(error) => {
                worker.outcome.broken_files.push((info.name.clone(), error));
                return Ok(());
            }
        };
        let known = Knowledge { lanes: self.lanes, columnar: self.columnar };
        let mut failure = Ok(());
        let opened = each_file(&info.name, stream, &mut |name, reader| {
            if is_gathered(name) {
                return;
            }
            worker.outcome.files += 1;
            let shared_name: Arc<str> = name.into();
            let is_hashed = watch.expected.contains_key(file_name(name));
            let admitted = read_file(object, reader, known, is_hashed, &mut |batch| {
                self.progress.bytes.fetch_add(batch.read as u64, Ordering::Relaxed);
                match offer(queue, batch, &shared_name, threads) {
                    ControlFlow::Continue(free) => free,
                    ControlFlow::Break(batch) => {
                        if failure.is_ok() {
                            failure = worker.batch(&batch, name);
                        }
                        batch
                    }
                }
            });
            worker.outcome.bytes += admitted.bytes;
            if watch.is_proving {
                let seen = SeenFile { newest: instant_in(name), hash: admitted.hash };
                worker.outcome.seen_files.insert(file_name(name).to_owned(), seen);
            }
            if admitted.shape == Shape::Foreign || (admitted.bytes == 0 && admitted.error.is_none()) {
                worker.outcome.foreign_files.push((name.to_owned(), guess(&admitted.head).to_owned()));
            }
            if let Some(error) = admitted.error {
                worker.outcome.broken_files.push((name.to_owned(), error));
            }
        });
        if let Err(error) = opened {
            worker.outcome.broken_files.push((info.name.clone(), error.to_string()));
        }
        self.progress.stored_bytes.fetch_add(info.bytes.unwrap_or(0), Ordering::Relaxed);
        failure
    }
}

/// Puts a batch into the queue when there is room, for a used one; else gives it back.
fn offer(queue: &Queue, batch: Batch, name: &Arc<str>, threads: usize) -> ControlFlow<Batch, Batch> {
    let mut waiting = lock(queue);
    if threads == 1 || waiting.ready.len() >= 2 * threads {
        return ControlFlow::Break(batch);
    }
    waiting.ready.push_back((batch, Arc::clone(name)));
    let free = waiting.free.pop().unwrap_or_default();
    drop(waiting);
    queue.changed.notify_one();
    ControlFlow::Continue(free)
}
