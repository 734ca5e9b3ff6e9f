//! Signatures of digests: which are right, and what is said when signatures or keys are not there.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use cryptography::rand::SystemRandom;
use cryptography::rsa::{KeyPair, KeySize};
use cryptography::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use data_encoding::{BASE64, HEXLOWER};
use vigie_demo::{Options, Templates};

use vigie_tests::files;

use crate::collection::{name, story};

/// The end of the name of a file with a signature.
const SIGNATURE: &str = ".metadata.json";
/// The name of the list of keys.
const KEYS: &str = "demo.public-keys.json";

/// The content of the demo, by path.
fn templates() -> Templates {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../content/demo");
    let read = |path: PathBuf| (path.to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap());
    let texts: BTreeMap<String, String> = files(&root, "").into_iter().map(read).collect();
    Templates::parse(&texts).unwrap()
}

/// Writes a normal day with signed digests and the list of keys.
fn write_signed(logs: &Path) {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let sign = |text: &str| {
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
        HEXLOWER.encode(&signature)
    };
    let templates = templates();
    let options = Options { events: 4_000, intrusion: false, ..Options::default() };
    vigie_demo::generate(&templates, &options, Some(&sign), &mut |object| {
        let path = logs.join(&object.path);
        let mut bytes = object.bytes;
        if object.path.ends_with(SIGNATURE) && object.path.contains("_eu-west-1_") {
            // As `head-object` answers; the others are the metadata alone.
            let head = "{\n  \"ETag\": \"\\\"0a\\\"\",\n  \"Metadata\": ";
            bytes = [head.as_bytes(), bytes.as_slice(), "\n}\n".as_bytes()].concat();
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        Ok(())
    })
    .unwrap();
    fs::remove_file(logs.join("truth.json")).unwrap();
    let entry = serde_json::json!({
        "Value": BASE64.encode(key.public_key().as_ref()),
        "ValidityStartTime": "2026-11-01T00:00:00+00:00",
        "ValidityEndTime": "2026-12-01T00:00:00+00:00",
        "Fingerprint": templates.key_fingerprint(),
    });
    fs::write(logs.join(KEYS), serde_json::json!({ "PublicKeyList": [entry] }).to_string()).unwrap();
}

/// Another first digit of the signature in a file.
fn flip(text: &str) -> String {
    let (head, tail) = text.split_once("\"signature\":\"").unwrap();
    let digit = if tail.starts_with('0') { '1' } else { '0' };
    format!("{head}\"signature\":\"{digit}{}", &tail[1..])
}

/// A digest with the same values and other bytes.
fn rewrite(bytes: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.replacen(':', ": ", 1).as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn done_hunt_8_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path();
    write_signed(logs);
    let count = files(logs, SIGNATURE).len();
    let tally = |right: usize, wrong: usize, absent: usize| {
        format!("Signatures of digests: {right} right, {wrong} not verified, {absent} not here; keys in {KEYS}.")
    };
    let whole = story(logs);
    let all = format!("The signatures of all {count} digests are right, by the keys in {KEYS}.");
    assert!(whole.contains("Collection is whole") && whole.contains(&all), "{whole}");
    assert!(!whole.contains("What could not be read"), "{whole}");

    // One digit of one signature is changed, in both forms of the file.
    for chain in ["602214076013_CloudTrail-Digest_eu-west-1_", "417203958816_CloudTrail-Digest_eu-west-3_"] {
        let signature = files(logs, chain).into_iter().filter(|path| name(path).ends_with(SIGNATURE)).nth(5).unwrap();
        let kept = fs::read_to_string(&signature).unwrap();
        fs::write(&signature, flip(&kept)).unwrap();
        let text = story(logs);
        let digest = name(&signature).strip_suffix(SIGNATURE).unwrap();
        assert!(text.contains("1 flaws") && text.contains("wrong signature") && text.contains(digest), "{text}");
        assert!(text.contains(&tally(count - 1, 1, 0)), "{text}");
        fs::write(&signature, kept).unwrap();
    }

    // The newest digest of a chain is written anew: no other digest names its hash.
    let digest = files(logs, "602214076013_CloudTrail-Digest_eu-west-1_").into_iter().rfind(|path| name(path).ends_with(".gz"));
    let digest = digest.unwrap();
    let kept = fs::read(&digest).unwrap();
    fs::write(&digest, rewrite(&kept)).unwrap();
    let text = story(logs);
    assert!(text.contains("1 flaws") && text.contains("wrong signature") && text.contains(name(&digest)), "{text}");
    fs::write(&digest, kept).unwrap();

    // One signature is not there: it is counted, and no flaw.
    fs::remove_file(&files(logs, SIGNATURE)[7]).unwrap();
    let text = story(logs);
    assert!(text.contains("Collection is whole") && text.contains(&tally(count - 1, 0, 1)), "{text}");
}

#[test]
fn missing_keys_and_signatures_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path();
    write_signed(logs);

    // Without the key, each chain names it.
    let keys = fs::read(logs.join(KEYS)).unwrap();
    fs::remove_file(logs.join(KEYS)).unwrap();
    let text = story(logs);
    assert!(text.contains("18 flaws") && text.contains(templates().key_fingerprint()), "{text}");
    assert!(text.contains(" 0 right") && text.contains("list-public-keys"), "{text}");

    // A file with the name of a list and without keys is read as a log, not passed over.
    fs::write(logs.join(KEYS), "{\"PublicKeyList\": []}").unwrap();
    assert!(story(logs).contains("What could not be read"));
    fs::write(logs.join(KEYS), keys).unwrap();

    // Without signatures, they were not checked, and it is said how to get them.
    files(logs, SIGNATURE).iter().for_each(|path| fs::remove_file(path).unwrap());
    let text = story(logs);
    assert!(text.contains("Collection is whole") && text.contains("were not checked"), "{text}");
    assert!(text.contains("head-object") && text.contains("list-public-keys"), "{text}");
}
