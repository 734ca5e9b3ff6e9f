//! Proof of collection: what is missing or changed in a tree with digests is named exactly.

use std::fs;
use std::path::Path;

use vigie_tests::{files, vigie};

use crate::demo::write_demo;

/// What a hunt in a folder or file says about collection, among the rest.
pub fn story(folder: &Path) -> String {
    vigie(&["hunt", folder.to_str().unwrap(), "--min-level", "critical"]).unwrap().out
}

/// The last part of a path.
pub fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn done_hunt_8_completeness() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    write_demo(&logs, 8_000, true);
    let whole = story(&logs);
    assert!(whole.contains("Collection is whole"), "{whole}");

    // One log file goes missing.
    let log = files(&logs, "417203958816_CloudTrail_eu-west-3_")[3].clone();
    let kept = fs::read(&log).unwrap();
    fs::remove_file(&log).unwrap();
    let text = story(&logs);
    assert!(text.contains("1 flaws") && text.contains("missing log file") && text.contains(name(&log)), "{text}");

    // One log file is changed.
    let mut plain = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(kept.as_slice()), &mut plain).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(
        &mut encoder,
        plain.replacen("\"awsRegion\":\"eu-west-3\"", "\"awsRegion\":\"eu-west-9\"", 1).as_bytes(),
    )
    .unwrap();
    fs::write(&log, encoder.finish().unwrap()).unwrap();
    let text = story(&logs);
    assert!(text.contains("1 flaws") && text.contains("was changed") && text.contains(name(&log)), "{text}");
    fs::write(&log, kept).unwrap();

    // Two digests in a row go missing.
    let digests = files(&logs, "602214076013_CloudTrail-Digest_eu-west-1_");
    let removed = [&digests[5], &digests[6]].map(|path| (path.clone(), fs::read(path).unwrap()));
    removed.iter().for_each(|(path, _)| fs::remove_file(path).unwrap());
    let text = story(&logs);
    assert!(text.contains("1 flaws") && text.contains("(602214076013, eu-west-1): 2 digests missing"), "{text}");
    removed.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());

    // The newest digests are cut off.
    digests.iter().skip(digests.len() - 4).for_each(|path| fs::remove_file(path).unwrap());
    let text = story(&logs);
    assert!(text.contains("1 flaws") && text.contains("(602214076013, eu-west-1): digests stop at"), "{text}");
}

/// A tree in an archive is proven like the tree; the tree beside its archive is not counted twice.
#[test]
fn digests_in_archives_are_joined() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    write_demo(&logs, 4_000, true);
    let count = files(&logs, "_CloudTrail-Digest_").len();
    let whole = format!("Collection is whole: {count} digests of 18 chains");
    let archive = folder.path().join("logs.tar");
    let mut builder = tar::Builder::new(fs::File::create(&archive).unwrap());
    builder.append_dir_all("copy", &logs).unwrap();
    builder.finish().unwrap();
    let text = story(&archive);
    assert!(text.contains(&whole) && !text.contains("What could not be read"), "{text}");
    let text = story(folder.path());
    assert!(text.contains(&whole), "{text}");

    // What is missing in the archive is named.
    let log = files(&logs, "417203958816_CloudTrail_eu-west-3_")[3].clone();
    fs::remove_file(&log).unwrap();
    let mut builder = tar::Builder::new(fs::File::create(&archive).unwrap());
    builder.append_dir_all("copy", &logs).unwrap();
    builder.finish().unwrap();
    let text = story(&archive);
    assert!(text.contains("1 flaws") && text.contains("missing log file") && text.contains(name(&log)), "{text}");
}

/// Digests made later stand in no row with the hourly ones.
#[test]
fn backfill_digests_are_a_chain_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    write_demo(&logs, 4_000, true);
    let digests = files(&logs, "_CloudTrail-Digest_");
    let first = files(&logs, "602214076013_CloudTrail-Digest_eu-west-1_")[0].clone();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(fs::read(&first).unwrap().as_slice()), &mut text).unwrap();
    let later = name(&first).replace(".json.gz", "_backfill.json.gz");
    let text = text.replace(name(&first), &later);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
    fs::write(first.with_file_name(later), encoder.finish().unwrap()).unwrap();
    let text = story(&logs);
    assert!(text.contains(&format!("Collection is whole: {} digests of 19 chains", digests.len() + 1)), "{text}");
}
