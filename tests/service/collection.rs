//! Watched folders: everything is taken in once, and what is missing is named as a hunt names it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use vigie_tests::service::{Service, ask};
use vigie_tests::{files, vigie};

/// Characters of a sentence that a story prints for certain, blanks not counted.
const SENTENCE_PRINTED: usize = 130;
/// How long a look at the whole tree may take.
const LOOK_TIME_MAX: Duration = Duration::from_secs(60);

fn prove(data: &Path) -> Value {
    let ran = vigie(&["prove", "collection", "--data", data.to_str().unwrap(), "-o", "json"]).unwrap();
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {} {}", ran.out, ran.err))
}

/// Waits until every file of the tree was taken in.
fn taken_in(data: &Path, objects: usize) -> Value {
    let begun = Instant::now();
    loop {
        let proof = prove(data);
        let seen = proof["sources"][0]["objects"].as_u64().unwrap_or(0);
        if seen == objects as u64 {
            return proof;
        }
        assert!(begun.elapsed() < LOOK_TIME_MAX, "{seen} of {objects} objects after a minute");
    }
}

fn watching(logs: &Path, data: &Path) {
    fs::create_dir_all(data).unwrap();
    let settings = format!(
        "[commit]\nwait_seconds = 0.1\n[watch]\nlook_seconds = 0.2\nsettle_seconds = 0\n[watch.folders]\ntrails = \"{}\"\n",
        logs.display()
    );
    fs::write(data.join("vigie.toml"), settings).unwrap();
}

/// Sentences about flaws that a hunt prints.
fn hunted(logs: &Path) -> String {
    vigie(&["hunt", logs.to_str().unwrap(), "--min-level", "critical"]).unwrap().out
}

#[test]
fn done_lake_5_prove_names_the_same_gaps_as_hunt() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, data) = (folder.path().join("logs"), folder.path().join("data"));
    let ran = vigie(&["demo", "--write", logs.to_str().unwrap(), "--events", "8000", "--quiet-day"]).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.err);
    // A log file, two digests in a row, and the newest digests of a chain are missing; one log is changed.
    let log = files(&logs, "417203958816_CloudTrail_eu-west-3_");
    fs::remove_file(&log[3]).unwrap();
    fs::write(&log[5], fs::read(&log[4]).unwrap()).unwrap();
    let digests = files(&logs, "602214076013_CloudTrail-Digest_eu-west-1_");
    digests[5..7].iter().for_each(|path| fs::remove_file(path).unwrap());
    let cut = files(&logs, "417203958816_CloudTrail-Digest_eu-west-3_");
    cut.iter().skip(cut.len() - 4).for_each(|path| fs::remove_file(path).unwrap());
    watching(&logs, &data);
    let service = Service::start(&data, &[]).unwrap();
    let objects = files(&logs, "").len();
    let proof = taken_in(&data, objects);
    assert!(service.stop());

    let said = hunted(&logs);
    // The story breaks its lines.
    let flat: String = said.split_whitespace().collect();
    let source = &proof["sources"][0];
    let sentences: BTreeSet<&str> = source["sentences"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(sentences.len() > 4, "{sentences:?}");
    for sentence in &sentences {
        // Two lines of a sentence are printed.
        let sentence: String = sentence.split_whitespace().collect::<String>().chars().take(SENTENCE_PRINTED).collect();
        assert!(flat.contains(&sentence), "the hunt does not say {sentence:?}: {said}");
    }
    let flaws = source["flaws"].as_u64().unwrap();
    assert!(flat.contains(&format!("{flaws}flaws")), "{flaws}: {said}");
    println!("{objects} objects, {flaws} flaws: the same {} sentences as a hunt", sentences.len());
}

#[test]
fn a_folder_is_taken_in_once_whatever_kills_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, data) = (folder.path().join("logs"), folder.path().join("data"));
    let ran = vigie(&["demo", "--write", logs.to_str().unwrap(), "--events", "3000", "--quiet-day"]).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.err);
    // Lines that nothing names: only their object and place do.
    let lines: String = (0..500).map(|_| "{\"time\":\"2026-11-20T08:00:00Z\",\"equal\":true}\n").collect();
    fs::write(logs.join("lines.json"), &lines).unwrap();
    watching(&logs, &data);
    let objects = files(&logs, "").len();
    for step in 1..8u64 {
        let service = Service::start(&data, &[]).unwrap();
        let (_sender, never) = std::sync::mpsc::channel::<()>();
        let _ = never.recv_timeout(Duration::from_millis(step * 40));
        service.kill();
    }
    let service = Service::start(&data, &[]).unwrap();
    taken_in(&data, objects);
    assert!(service.stop());
    let service = Service::start(&data, &[]).unwrap();
    let token = vigie(&["token", "create", "t", "--scope", "search", "--data", data.to_str().unwrap()]).unwrap().out;
    let token = token.split_whitespace().find(|word| word.starts_with("vigie_")).unwrap_or(token.trim()).to_owned();
    let count = |sql: &str| ask(service.address, &token, sql).unwrap()[0][0].as_u64().unwrap();
    assert_eq!(count("select count(*) from events where source like '%/lines.json'"), 500);
    let twice = count("select count(*) - count(distinct metadata_uid) from events where metadata_uid is not null");
    assert_eq!(twice, 0, "stored twice");
    let proof = prove(&data);
    assert_eq!(proof["sources"][0]["is_whole"], true, "{proof}");
    assert!(service.stop());
}
