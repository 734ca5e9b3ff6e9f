//! Standard input of the service: lines of a pipe are taken in until it ends.
//!
//! One delivery is on its way at a time. What is refused is delivered again under the same number: no line
//! is lost and none is stored twice; meanwhile the pipe is full and its writer waits. Nothing ends a read,
//! so the thread is left behind when the service stops. What it has read by then and not delivered is not
//! claimed.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vigie_connect::Lines;
use vigie_model::{Delivery, Intake, LogType, Receipt, Refusal, Tenant};
use vigie_pipeline::{PushIntake, delivery_number};

use crate::content::Content;
use crate::error::Error;
use crate::output::note;

/// The source of its records.
const SOURCE: &str = "stdin";
/// What is given for a log type when each line finds its own.
const ANY: &str = "any";
/// How long it waits when it is refused without a time to come again.
const WAIT: Duration = Duration::from_secs(1);

/// The log type that every line is of; none when each finds its own.
#[derive(Debug)]
pub(crate) struct LineLog(Option<LogType>);

impl LineLog {
    /// Reads what was given for a log type, which the content must know.
    pub(crate) fn parse(named: &str, content: &Content, tenant: &Tenant) -> Result<LineLog, Error> {
        if named == ANY {
            return Ok(LineLog(None));
        }
        let shaper = super::reload::shaper(content, tenant)?;
        let known: Vec<&LogType> = shaper.lanes().lanes.iter().map(|lane| &lane.log).collect();
        match known.iter().find(|log| log.0 == named) {
            Some(log) => Ok(LineLog(Some((*log).clone()))),
            None => {
                let known: Vec<&str> = known.iter().map(|log| log.0.as_str()).collect();
                let known = known.join(", ");
                Err(Error::Usage(format!("`{named}` is no log type; give --stdin one of {known}, or {ANY}")))
            }
        }
    }
}

/// What became of standard input so far.
#[derive(Debug, Default)]
struct Seen {
    accepted: u64,
    rejected: u64,
    /// Bytes that can never be taken in.
    left_out_bytes: u64,
    has_ended: bool,
    /// Why it is not taken in, while it is not.
    trouble: Option<String>,
}

impl Seen {
    fn counts(&self) -> String {
        let left_out = match self.left_out_bytes {
            0 => String::new(),
            bytes => format!(", {bytes} bytes left out"),
        };
        format!("{} records taken in, {} rejected{left_out}", self.accepted, self.rejected)
    }
}

/// What the service says of its standard input.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Seen>>);

impl Told {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the health says of it: name, whether it is well, a sentence.
    pub(crate) fn report(&self) -> (String, bool, String) {
        let seen = self.seen();
        let mut sentence = format!("{}: {}", if seen.has_ended { "has ended" } else { "is read" }, seen.counts());
        if let Some(trouble) = &seen.trouble {
            sentence.push_str(&format!("; {trouble}"));
        }
        (SOURCE.to_owned(), seen.trouble.is_none() && seen.left_out_bytes == 0, sentence)
    }

    /// Records taken in, and those of them that are in quarantine.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let seen = self.seen();
        (seen.accepted, seen.rejected)
    }

    /// Says what is wrong, once for as long as it is.
    fn trouble(&self, why: String) {
        let mut seen = self.seen();
        if seen.trouble.as_ref() != Some(&why) {
            note(format_args!("vigie: {why}"));
        }
        seen.trouble = Some(why);
    }
}

/// Where lines go; none from the moment that the service stops.
type Gate = Arc<Mutex<Option<Arc<dyn Intake>>>>;

/// A thread that takes standard input in until this is dropped.
pub(crate) struct StandardInput {
    stop: Option<Sender<()>>,
    gate: Gate,
    told: Told,
}

impl StandardInput {
    pub(crate) fn start(intake: &Arc<PushIntake>, log: LineLog, tenant: &Tenant) -> Result<StandardInput, Error> {
        let (stop, stopped) = channel::<()>();
        let gate: Gate = Arc::new(Mutex::new(Some(Arc::clone(intake) as Arc<dyn Intake>)));
        let told = Told::default();
        let feeding = Feeding {
            gate: Arc::clone(&gate),
            stopped,
            tenant: tenant.clone(),
            log: log.0,
            run: vigie_state::random_key().map_err(Error::Failed)?,
            told: told.clone(),
        };
        let work = move || {
            if catch_unwind(AssertUnwindSafe(|| feeding.run(std::io::stdin()))).is_err() {
                feeding.told.trouble("standard input is read no more: a bug ended its thread; restart the service".to_owned());
            }
        };
        std::thread::Builder::new().name(SOURCE.to_owned()).spawn(work)?;
        Ok(StandardInput { stop: Some(stop), gate, told })
    }

    /// What the health of the service says of it.
    pub(crate) fn told(&self) -> Told {
        self.told.clone()
    }
}

impl Drop for StandardInput {
    fn drop(&mut self) {
        self.stop = None;
        // Waits for the answer to the delivery that is on its way; there is no other behind it.
        *self.gate.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What the thread works with.
struct Feeding {
    gate: Gate,
    stopped: Receiver<()>,
    tenant: Tenant,
    log: Option<LogType>,
    /// Names this run of the service: what another run reads is not the same, even if it looks so.
    run: [u8; 32],
    told: Told,
}

impl Feeding {
    fn run(&self, input: impl Read) {
        let mut lines = Lines::new(input);
        let mut part = 0u64;
        loop {
            match lines.next_body() {
                // A line without a record is how some writers show that they are alive.
                Ok(Some(body)) if body.trim_ascii().is_empty() => {}
                Ok(Some(body)) => {
                    if !self.take_in(&body, part) {
                        return;
                    }
                    part += 1;
                }
                Ok(None) => return self.end(None),
                Err(why) => return self.end(Some(&why)),
            }
        }
    }

    /// Delivers a body until it is taken in, or never can be. False when the service stops before that.
    fn take_in(&self, body: &[u8], part: u64) -> bool {
        let number = delivery_number(&[SOURCE.as_bytes(), &self.run, &part.to_le_bytes()]);
        loop {
            let wait = match self.deliver(body, number) {
                None => return false,
                Some(Ok(receipt)) => {
                    let mut seen = self.told.seen();
                    seen.accepted += receipt.accepted;
                    seen.rejected += receipt.rejected;
                    seen.trouble = None;
                    return true;
                }
                Some(Err(refusal)) => self.refused(&refusal, body.len()),
            };
            let Some(wait) = wait else {
                return true;
            };
            if self.stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                return false;
            }
        }
    }

    /// Delivers a body once and waits for what became of it; none when the service stops.
    fn deliver(&self, body: &[u8], number: u64) -> Option<Result<Receipt, Refusal>> {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let intake = gate.as_ref()?;
        let (answer, answered) = channel();
        let delivery = Delivery {
            tenant: self.tenant.clone(),
            log: self.log.clone(),
            source: SOURCE.to_owned(),
            number: Some(number),
            body: body.to_vec(),
        };
        intake.deliver(delivery, Box::new(move |outcome| drop(answer.send(outcome))));
        let unanswered = |_| Err(Refusal::Unavailable("the intake gave no answer".to_owned()));
        Some(answered.recv().unwrap_or_else(unanswered))
    }

    /// How long to wait before a body that was refused is delivered again; none when that is of no use.
    fn refused(&self, refusal: &Refusal, bytes: usize) -> Option<Duration> {
        match refusal {
            Refusal::Busy { retry_after_seconds } => Some(Duration::from_secs(*retry_after_seconds).max(WAIT)),
            Refusal::Unavailable(why) => {
                self.told.trouble(format!("standard input waits: {why}"));
                Some(WAIT)
            }
            // Content that was loaded again may have left it out, and may bring it back.
            Refusal::UnknownLog(log) => {
                self.told.trouble(format!("standard input waits: the content has no log type `{log}` now; load one that has it"));
                Some(WAIT)
            }
            Refusal::TooLarge { .. } => {
                note(format_args!("vigie: {bytes} bytes of standard input are left out: {refusal}"));
                self.told.seen().left_out_bytes += bytes as u64;
                None
            }
        }
    }

    /// Says what became of standard input, and why when it did not end well.
    fn end(&self, failure: Option<&str>) {
        if self.gate.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return;
        }
        let mut seen = self.told.seen();
        seen.has_ended = true;
        let counts = seen.counts();
        match failure {
            None => note(format_args!("standard input has ended: {counts}; the service goes on")),
            Some(why) => {
                note(format_args!("vigie: standard input cannot be read any more: {why}; {counts}; the service goes on"));
                seen.trouble = Some(format!("it cannot be read any more: {why}"));
            }
        }
    }
}
