//! `vigie doctor`: whether this machine can keep what the service promises, in plain words.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use crate::content::Content;
use crate::enrichments;
use crate::error::{Error, FOUND};
use crate::output::line;
use crate::service::config::{Config, Given};
use crate::service::data::{DataFolder, free_bytes};
use crate::service::place::network_kind;

/// Flushes that are timed.
const FLUSHES: usize = 21;
/// A flush that is faster than this does not reach a disk.
const FLUSH_LEAST: Duration = Duration::from_micros(20);
/// A flush that is slower than this holds up every answer.
const FLUSH_MOST: Duration = Duration::from_millis(50);
/// Space below which the doctor warns.
const FREE_BYTES_LEAST: u64 = 2 * 1024 * 1024 * 1024;
/// 2026-01-01: no clock is right before it.
const EARLIEST_SECONDS: u64 = 1_767_225_600;
/// How far the clock of the disk may be from the machine's.
const SKEW_MOST: Duration = Duration::from_secs(2);
/// File systems over a network, by their magic numbers (linux/magic.h): their flushes promise less.
const NETWORK_MAGICS: [i64; 3] = [0x6969, 0xFF53_4D42, 0xFE53_4D42];

/// One thing that was looked at.
struct Check {
    name: &'static str,
    is_well: bool,
    sentence: String,
}

pub(crate) fn run(data: &Path) -> Result<ExitCode, Error> {
    let failed = |error: std::io::Error| Error::Failed(format!("`{}`: {error}", data.display()));
    std::fs::create_dir_all(data).map_err(failed)?;
    let (flush, clock) = (flush(data).map_err(failed)?, clock(data).map_err(failed)?);
    let checks = [room(data), flush, clock, place(data), permissions(data), tables(data)];
    for check in &checks {
        line(format_args!("{:4} {:11} {}", if check.is_well { "ok" } else { "look" }, check.name, check.sentence))?;
    }
    let is_well = checks.iter().all(|check| check.is_well);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

fn room(data: &Path) -> Check {
    let free = free_bytes(data).unwrap_or(0);
    let sentence = format!("{:.1} GiB free; intake stops at 0.25 GiB", free as f64 / f64::from(1 << 30));
    Check { name: "disk", is_well: free >= FREE_BYTES_LEAST, sentence }
}

/// Times small writes that are flushed.
fn flush(data: &Path) -> std::io::Result<Check> {
    let path = data.join(".doctor");
    let mut file = File::create(&path)?;
    let mut times = Vec::with_capacity(FLUSHES);
    for _ in 0..FLUSHES {
        let begun = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    std::fs::remove_file(&path)?;
    times.sort();
    let median = times.get(FLUSHES / 2).copied().unwrap_or_default();
    let millis = median.as_secs_f64() * 1000.0;
    let (is_well, why) = match median {
        median if median < FLUSH_LEAST => {
            (false, "faster than a disk can be: after a power cut, acknowledged events may be missing")
        }
        median if median > FLUSH_MOST => (false, "slow: every answer to a client waits so long"),
        _ => (true, "every acknowledgement waits for one"),
    };
    Ok(Check { name: "flush", is_well, sentence: format!("{millis:.2} ms in the middle of {FLUSHES}; {why}") })
}

/// Compares the machine's clock with the disk's and with what can be.
fn clock(data: &Path) -> std::io::Result<Check> {
    let path = data.join(".doctor");
    File::create(&path)?.sync_all()?;
    let written = path.metadata()?.modified()?;
    std::fs::remove_file(&path)?;
    let now = SystemTime::now();
    let skew = now.duration_since(written).unwrap_or_else(|error| error.duration());
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (is_well, sentence) = match () {
        () if seconds < EARLIEST_SECONDS => {
            (false, "before 2026: set it, events without a time of their own get this one".to_owned())
        }
        () if skew > SKEW_MOST => (false, format!("{} s away from the disk's", skew.as_secs())),
        () => (true, "plausible, and the disk's agrees".to_owned()),
    };
    Ok(Check { name: "clock", is_well, sentence })
}

fn place(data: &Path) -> Check {
    let magic = rustix::fs::statfs(data).map_or(0, |disk| disk.f_type);
    let kind = network_kind(data).or_else(|| NETWORK_MAGICS.contains(&magic).then(|| "unnamed".to_owned()));
    let sentence = match &kind {
        Some(kind) => format!(
            "a file system over a network ({kind}): what it calls flushed may be lost, and `vigie up` refuses it; use a local disk"
        ),
        None => "a local file system".to_owned(),
    };
    Check { name: "place", is_well: kind.is_none(), sentence }
}

/// The tables that the service would load.
fn tables(data: &Path) -> Check {
    let content = Content::embedded();
    let loaded = Config::load(None, data, &Given::default(), &content)
        .and_then(|config| enrichments::load(&content, config.enrichments.as_deref()));
    let (is_well, sentence) = match loaded {
        Err(error) => (false, error.to_string()),
        Ok(loaded) => match loaded.faults.first() {
            None => (true, loaded.summary()),
            Some(first) => (false, format!("{}; {first}", loaded.summary())),
        },
    };
    Check { name: "tables", is_well, sentence }
}

fn permissions(data: &Path) -> Check {
    let state = DataFolder::new(data).state().join("state.sqlite");
    let mode = state.metadata().map(|metadata| metadata.permissions().mode() & 0o077);
    let (is_well, sentence) = match mode {
        Ok(0) => (true, "tokens are readable by their owner only".to_owned()),
        Ok(_) => (false, format!("others may read `{}`: chmod 600 it", state.display())),
        Err(_) => (true, "no state yet".to_owned()),
    };
    Check { name: "permissions", is_well, sentence }
}
