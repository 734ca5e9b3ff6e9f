//! T3 and T6: the power goes. What was acknowledged is there after it, once, and the service starts by
//! itself (G1, G2, G5, G7, G8).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vigie_tests::chance::Chance;
use vigie_tests::faultfs::{Change, FaultDisk, Faults, Loss, Names, Recording, Survival, Tree};
use vigie_tests::service::{Service, deliver, record};
use vigie_tests::vigie;

const RECORDS_A_BATCH: u64 = 10;
/// Deliveries between two cuts: a soak keeps what all rounds stored.
const DELIVERIES_A_CUT: usize = 100;
const SETTINGS: &str = "[commit]\nwait_seconds = 0.05\n[upkeep]\nseconds = 0.1\n";
/// Failures that are told; the rest is counted.
const FAILURES_TOLD: usize = 8;
/// Deliveries after a kill have numbers that none before it has.
const NEXT_AFTER_KILL: u64 = 1_000_000;
/// Changes of the disk that are told of each.
const CHANGES_TOLD: usize = 16;

/// The numbers of deliveries: a delivery has its number's records and one line that nothing names.
#[derive(Default)]
struct Ledger {
    next: u64,
    acknowledged: BTreeSet<u64>,
    unanswered: Vec<u64>,
}

fn numbers(delivery: u64) -> std::ops::Range<u64> {
    delivery * RECORDS_A_BATCH..(delivery + 1) * RECORDS_A_BATCH
}

fn body(delivery: u64, again: Option<u64>) -> String {
    let records: String =
        numbers(delivery).chain(again.into_iter().flat_map(numbers)).map(|number| record(number) + "\n").collect();
    format!("{records}no record {delivery}\n")
}

/// How many deliveries are sent, and how long the client waits between two.
#[derive(Clone, Copy)]
struct Pace {
    most: usize,
    pause: Duration,
}

/// Sends deliveries until the power is gone or there were enough. A delivery without an answer is
/// sent again beside a later one, without its line: a repeat of that is no repeat.
fn load(to: (SocketAddr, &str), pace: Pace, disk: &FaultDisk, is_over: &AtomicBool, ledger: &mut Ledger) {
    // A wait that nothing ends early.
    let (_sender, never) = std::sync::mpsc::channel::<()>();
    for _ in 0..pace.most {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let number = ledger.next;
        ledger.next += 1;
        let again = ledger.unanswered.pop();
        let sent = deliver(to.0, to.1, "/api/v1/ingest/aws/cloudtrail", body(number, again).as_bytes());
        match sent {
            Ok((200, _)) => {
                disk.note(number);
                ledger.acknowledged.insert(number);
            }
            Ok((429 | 503, _)) => ledger.unanswered.extend(again),
            Ok((status, answer)) if !is_over.load(Ordering::Relaxed) => panic!("{status}: {answer}"),
            _ => ledger.unanswered.extend(again.into_iter().chain([number])),
        }
        let _ = never.recv_timeout(pace.pause);
    }
}

/// What a folder holds.
#[derive(Debug, Default)]
struct Stored {
    records: BTreeSet<u64>,
    lines: BTreeSet<u64>,
}

impl Stored {
    /// What `vigie sql` finds; every event once.
    fn of(data: &Path) -> Result<Stored, String> {
        let folder = data.to_string_lossy();
        let mut stored = Stored::default();
        let rows = |sql: &str| -> Result<Vec<String>, String> {
            let ran = vigie(&["sql", sql, "--data", &folder, "-o", "ndjson"]).map_err(|error| error.to_string())?;
            if ran.code != 0 {
                return Err(format!("it cannot be asked: {}", ran.err.trim()));
            }
            Ok(ran.out.lines().filter_map(|line| Some(line.split_once(':')?.1.trim_matches(['"', '}']).to_owned())).collect())
        };
        for uid in rows("select metadata_uid from events where reason is null")? {
            let number = uid.get(1..8).and_then(|hex| u64::from_str_radix(hex, 16).ok()).ok_or(format!("no id: {uid}"))?;
            if !stored.records.insert(number) {
                return Err(format!("record {number} is stored twice"));
            }
        }
        for line in rows("select raw from events where reason is not null")? {
            let number =
                line.strip_prefix("no record ").and_then(|number| number.parse().ok()).ok_or(format!("no line: {line}"))?;
            if !stored.lines.insert(number) {
                return Err(format!("line {number}, which nothing names, is stored twice"));
            }
        }
        Ok(stored)
    }

    fn holds(&self, acknowledged: &BTreeSet<u64>) -> Result<(), String> {
        let is_lost =
            |delivery: &u64| !self.lines.contains(delivery) || numbers(*delivery).any(|number| !self.records.contains(&number));
        let lost: Vec<u64> = acknowledged.iter().copied().filter(is_lost).collect();
        if lost.is_empty() { Ok(()) } else { Err(format!("{} acknowledged deliveries are lost: {lost:?}", lost.len())) }
    }
}

/// Starts the service on what a cut left, stops it, and looks.
fn recover(data: &Path, acknowledged: &BTreeSet<u64>) -> Result<Stored, String> {
    let service = Service::start(data, &[]).map_err(|error| error.to_string())?;
    let is_first = service.token.is_some();
    if !service.stop() {
        return Err("it does not stop well".to_owned());
    }
    if is_first && !acknowledged.is_empty() {
        return Err("the tokens of its clients are gone".to_owned());
    }
    let stored = Stored::of(data)?;
    stored.holds(acknowledged)?;
    Ok(stored)
}

fn seed() -> u64 {
    let seed = std::env::var("VIGIE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5EED_1234);
    println!("seed {seed}");
    seed
}

fn is_soak() -> bool {
    std::env::var_os("VIGIE_SOAK").is_some()
}

/// One round in two has a whole disk; the others a slow one, one flush that fails, or a full one.
fn faults(chance: &mut Chance) -> Faults {
    let mut faults = Faults::default();
    match chance.next(6) {
        0 => faults.slow_flush = Some(Duration::from_millis(1 + chance.next(20))),
        1 => faults.failing_flush = Some(1 + chance.next(100)),
        2 => faults.space_bytes = Some(chance.next(4 * 1024 * 1024)),
        _ => {}
    }
    faults
}

/// A service on a disk, under load until the power goes.
fn until_the_power_goes(disk: &FaultDisk, token: Option<&str>, (pause, wait): (u64, u64), ledger: &mut Ledger) -> Recording {
    let pace = Pace { most: DELIVERIES_A_CUT, pause: Duration::from_millis(pause) };
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let cutting = scope.spawn(|| {
            // A wait that nothing ends early.
            let (_sender, never) = std::sync::mpsc::channel::<()>();
            let _ = never.recv_timeout(Duration::from_millis(wait));
            let recording = disk.cut();
            is_over.store(true, Ordering::Relaxed);
            recording
        });
        // The power may go, or the disk refuse, while it starts.
        if let Ok(service) = Service::start(disk.folder(), &[]) {
            if let Some(token) = service.token.as_deref().or(token) {
                load((service.address, token), pace, disk, &is_over, ledger);
            }
            let recording = cutting.join().unwrap();
            service.kill();
            return recording;
        }
        cutting.join().unwrap()
    })
}

#[test]
fn done_lake_2_t3_power_cuts_lose_nothing() {
    let cuts = if is_soak() { 500 } else { 8 };
    let mut chance = Chance(seed());
    let folder = tempfile::tempdir().unwrap();
    let mut data = folder.path().join("data-0");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("vigie.toml"), SETTINGS).unwrap();
    let mut ledger = Ledger::default();
    let (mut stored, mut changes, mut token) = (Stored::default(), 0, None::<String>);
    let begun = Instant::now();
    for cut in 1..=cuts {
        let faults = faults(&mut chance);
        let how = Survival::any(&mut chance);
        let pace = (chance.next(15), 20 + chance.next(800));
        let disk =
            FaultDisk::mount(&folder.path().join(format!("disk-{cut}")), Tree::load(&data).unwrap(), faults.clone()).unwrap();
        let recording = until_the_power_goes(&disk, token.as_deref(), pace, &mut ledger);
        drop(disk);
        let length = recording.changes.len();
        changes += length;
        let left = folder.path().join(format!("data-{cut}"));
        recording.survivor(length, how, &mut chance).save(&left).unwrap();
        stored = recover(&left, &ledger.acknowledged).unwrap_or_else(|why| {
            let kept = std::env::temp_dir().join(format!("vigie-power-{cut}"));
            recording.survivor(length, how, &mut Chance(1)).save(&kept).unwrap();
            let last = recording.tell(length, 60).join("\n");
            panic!("cut {cut}, {how:?}, {faults:?}: {why}\nthe last changes:\n{last}\nlike it: {}", kept.display())
        });
        let made = vigie(&["token", "create", "power", "--scope", "ingest", "--data", left.to_str().unwrap()]).unwrap();
        token = Some(made.out.trim().to_owned());
        std::fs::remove_dir_all(&data).unwrap();
        data = left;
    }
    println!(
        "{cuts} power cuts in {} s: {changes} changes of the disk, {} deliveries acknowledged, none lost, {} events stored, none twice",
        begun.elapsed().as_secs(),
        ledger.acknowledged.len(),
        stored.records.len() + stored.lines.len(),
    );
}

/// What the service does to a disk, from its first start, over more commits than there are between two
/// checkpoints of the table.
fn recorded(folder: &Path, deliveries: usize) -> (Recording, String) {
    let settings = folder.join("settings");
    std::fs::create_dir(&settings).unwrap();
    std::fs::write(settings.join("vigie.toml"), SETTINGS).unwrap();
    let disk = FaultDisk::mount(&folder.join("disk"), Tree::load(&settings).unwrap(), Faults::default()).unwrap();
    let service = Service::start(disk.folder(), &[]).unwrap();
    let token = service.token.clone().unwrap();
    let mut ledger = Ledger::default();
    // About one commit for each delivery.
    let pace = Pace { most: deliveries, pause: Duration::from_millis(60) };
    load((service.address, &token), pace, &disk, &AtomicBool::new(false), &mut ledger);
    let recording = disk.cut();
    service.kill();
    (recording, token)
}

/// What there is when the service was killed behind a change, and another one started on what it found
/// and took `most` deliveries. None when that one did not start.
fn after_a_kill((recording, token): &(Recording, String), folder: &Path, faults: Faults, most: usize) -> Option<Recording> {
    let disk = FaultDisk::go_on(&folder.join("disk"), recording.clone(), faults).unwrap();
    let second = Service::start(disk.folder(), &[]).ok();
    if let Some(second) = &second {
        let mut ledger = Ledger { next: NEXT_AFTER_KILL, ..Ledger::default() };
        let token = second.token.as_deref().unwrap_or(token);
        load((second.address, token), Pace { most, pause: Duration::ZERO }, &disk, &AtomicBool::new(false), &mut ledger);
    }
    let recording = disk.cut();
    second.map(|_| recording)
}

/// The power goes at the end of a recording.
fn cut_and_recover(recording: &Recording, how: Survival, folder: &Path, chance: &mut Chance) -> Result<(), String> {
    let changes = recording.changes.len();
    let data = folder.join("left");
    recording.survivor(changes, how, chance).save(&data).unwrap();
    let found = recover(&data, &recording.notes(changes));
    std::fs::remove_dir_all(&data).unwrap();
    let last = || recording.tell(changes, CHANGES_TOLD).join("\n  ");
    found.map(drop).map_err(|why| format!("a cut behind change {changes}, {how:?}: {why}\n  {}", last()))
}

/// One state of T6: behind a change the power goes, or the service is killed there, another one starts, and
/// then the power goes.
fn one_state(recorded: &(Recording, String), length: usize, folder: &Path, chance: &mut Chance) -> Result<(), String> {
    let first = recorded.0.first(length);
    let how = Survival::any(chance);
    if chance.next(3) > 0 {
        return cut_and_recover(&first, how, folder, chance);
    }
    let is_refusing = chance.next(3) == 0;
    let faults = if is_refusing { faults(chance) } else { Faults::default() };
    match after_a_kill(&(first, recorded.1.clone()), folder, faults, chance.place(3)) {
        Some(both) => {
            // Somewhere from the start of the second service to its end.
            let chosen = length + chance.place(both.changes.len() - length + 1);
            let done = cut_and_recover(&both.first(chosen), how, folder, chance);
            done.map_err(|why| format!("a kill behind change {length}, a start, {why}"))
        }
        // A disk that refuses may keep it from starting; a kill may not.
        None if is_refusing => Ok(()),
        None => Err(format!("a kill behind change {length}: the service does not start again")),
    }
}

/// How many changes there are before a flush behind `from`; of a folder's names when `is_of_names`.
fn before_flush(recording: &Recording, from: usize, is_of_names: bool) -> usize {
    let is_name = |change: &Change| matches!(change, Change::Enter { .. } | Change::Leave { .. } | Change::Move { .. });
    let is_wanted = |two: &[Change]| matches!(two[1], Change::Flush { .. }) && (!is_of_names || is_name(&two[0]));
    from + recording.changes[from..].windows(2).position(is_wanted).map_or(0, |before| before + 1)
}

#[test]
fn done_lake_2_t6_every_order_of_writes_recovers() {
    let states = if is_soak() { 2000 } else { 40 };
    let seed = seed();
    let folder = tempfile::tempdir().unwrap();
    let recorded = recorded(folder.path(), if is_soak() { 140 } else { 70 });
    let recording = &recorded.0;
    let changes = recording.changes.len();
    let begun = Instant::now();
    let mut failures = Vec::new();
    for state in 0..states {
        // Each state follows from the recording and its own seed.
        let mut chance = Chance(seed.wrapping_mul(2 * state + 1).max(1));
        let mut length = usize::try_from((state * changes as u64 + chance.next(changes as u64)) / states).unwrap();
        // The most can be lost just before a flush: two thirds of the states are there.
        match chance.next(3) {
            0 => {}
            kind => length = before_flush(recording, length, kind == 1),
        }
        failures.extend(one_state(&recorded, length, folder.path(), &mut chance).err());
    }
    let told = &failures[..failures.len().min(FAILURES_TOLD)];
    assert!(failures.is_empty(), "{} of {states} states do not recover:\n{}", failures.len(), told.join("\n"));
    println!(
        "{states} states of {changes} changes in {} s: each opens by itself, {} deliveries acknowledged, none lost, none twice",
        begun.elapsed().as_secs(),
        recording.notes(changes).len(),
    );
}

/// A kill between the link of a log entry and the flush of its folder: the entry is seen and not on disk.
#[test]
fn an_entry_that_a_kill_left_is_flushed_before_it_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let (recording, token) = recorded(folder.path(), 8);
    let (mut from, mut kills) = (0, 0);
    loop {
        let length = before_flush(&recording, from, true);
        if length == from {
            break;
        }
        from = length + 1;
        let both = after_a_kill(&(recording.first(length), token.clone()), folder.path(), Faults::default(), 1).unwrap();
        let how = Survival { loss: Loss::Dropped, names: Names::Strict };
        cut_and_recover(&both, how, folder.path(), &mut Chance(1)).unwrap_or_else(|why| panic!("{why}"));
        kills += 1;
    }
    println!("{kills} kills before a flush of names, each followed by a start and a power cut: none lost, none twice");
}

/// The disk itself: what is flushed stays, what is not goes.
#[test]
fn a_cut_keeps_what_was_flushed() {
    use std::io::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultDisk::mount(&folder.path().join("disk"), Tree::default(), Faults::default()).unwrap();
    let at = |name: &str| disk.folder().join(name);
    let mut file = std::fs::File::create(at("named")).unwrap();
    file.write_all(b"flushed").unwrap();
    file.sync_all().unwrap();
    std::fs::File::open(disk.folder()).unwrap().sync_all().unwrap();
    file.write_all(b" and not").unwrap();
    let mut other = std::fs::File::create(at("nameless")).unwrap();
    other.write_all(b"flushed").unwrap();
    other.sync_all().unwrap();
    std::fs::rename(at("named"), at("renamed")).unwrap();
    let recording = disk.cut();
    assert!(file.write_all(b"late").is_err() && other.sync_all().is_err());
    let left = |names: Names| {
        let tree = recording.survivor(recording.changes.len(), Survival { loss: Loss::Dropped, names }, &mut Chance(1));
        let to = folder.path().join(format!("{names:?}"));
        tree.save(&to).unwrap();
        let read = |name: &str| std::fs::read_to_string(to.join(name)).ok();
        (read("named"), read("renamed"), read("nameless"))
    };
    let text = Some("flushed".to_owned());
    assert_eq!(left(Names::Strict), (text.clone(), None, None));
    assert_eq!(left(Names::Journal), (text.clone(), None, text));
}

/// The disk itself: it refuses what it is told to refuse, and tears what it is told to tear.
#[test]
fn a_disk_refuses_and_tears() {
    use std::io::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let faults = Faults { failing_flush: Some(2), space_bytes: Some(10_000), slow_flush: Some(Duration::from_millis(1)) };
    let disk = FaultDisk::mount(&folder.path().join("disk"), Tree::default(), faults).unwrap();
    let mut file = std::fs::File::create(disk.folder().join("file")).unwrap();
    std::fs::File::open(disk.folder()).unwrap().sync_all().unwrap();
    file.write_all(&[7; 9_000]).unwrap();
    assert!(file.sync_all().is_err(), "the second flush fails");
    assert!(file.sync_all().is_ok(), "and a later one says nothing of it");
    assert!(file.write_all(&[7; 9_000]).is_err(), "the disk is full");
    let recording = disk.cut();
    // The system may hand one write over in several.
    let ends = |change: &Change| match change {
        Change::Write { at, bytes, .. } => Some(*at as usize + bytes.len()),
        _ => None,
    };
    let ends: BTreeSet<usize> = recording.changes.iter().filter_map(ends).collect();
    let mut lengths = BTreeSet::new();
    for (seed, loss) in (1..200).flat_map(|seed| [Loss::Dropped, Loss::Torn, Loss::Reordered].map(|loss| (seed, loss))) {
        let survival = Survival { loss, names: Names::Strict };
        let to = folder.path().join("left");
        recording.survivor(recording.changes.len(), survival, &mut Chance(seed)).save(&to).unwrap();
        let bytes = std::fs::read(to.join("file")).unwrap();
        assert!(loss != Loss::Dropped || bytes.is_empty(), "what a failed flush should have written is lost");
        assert!(loss != Loss::Torn || bytes.iter().all(|byte| *byte == 7), "a torn file has no holes");
        assert!(bytes.len().is_multiple_of(512) || ends.contains(&bytes.len()), "{} {ends:?}", bytes.len());
        lengths.insert(bytes.len());
    }
    assert!(lengths.len() > 10, "many lengths survive: {lengths:?}");
}
