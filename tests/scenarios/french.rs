//! A reader who asks for French gets French: no English word of ours stands in a report.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use vigie_tests::vigie;

use crate::demo::write_demo;

/// Words of English sentences; none is a French word, and no record of the demo holds one alone.
const ENGLISH: [&str; 30] = [
    "and", "be", "byte", "bytes", "cannot", "could", "event", "file", "files", "finding", "findings", "from", "is", "not",
    "nothing", "of", "read", "record", "records", "response", "rule", "rules", "that", "the", "these", "to", "was", "were",
    "which", "with",
];

/// The text of a page: what stands between its tags, and its names for screen readers.
fn page_text(page: &str) -> String {
    let (head, rest) = page.split_once("<style>").unwrap();
    let body = rest.split_once("</style>").unwrap().1;
    let mut text = String::new();
    for part in head.split('<').chain(body.split('<')).filter(|part| !part.starts_with("meta")) {
        let (tag, after) = part.split_once('>').unwrap_or_default();
        let name = tag.split_once("aria-label=\"").and_then(|(_, name)| name.split_once('"')).unwrap_or_default().0;
        text.push_str(&format!("{name}\n{after}\n"));
    }
    text
}

#[track_caller]
fn check(report: &str) {
    // Commands are typed as they are; the sentence before each is French.
    for line in report.lines().filter(|line| !line.contains("vigie hunt")) {
        for word in line.split_whitespace() {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
            assert!(!ENGLISH.contains(&word.as_str()), "`{word}` in: {line}");
        }
    }
}

/// A folder with one file for each way of not being read.
fn write_broken(folder: &Path) {
    let event =
        r#"{"eventVersion":"1.11","userIdentity":{"type":"IAMUser"},"eventTime":"soon","eventSource":"s","eventName":"n"}"#;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(event.replace("soon", "2026-11-12T01:00:00Z").repeat(2_000).as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let files: [(&str, &[u8]); 9] = [
        ("timeless.json", event.as_bytes()),
        ("bytes.json", b"{\"a\":\"\xff\"}\n"),
        ("deep.json", &[b"{\"a\":".repeat(70), b"1".to_vec(), b"}".repeat(70)].concat()),
        ("array.json", b"[1, 2]"),
        ("other.json", b"{\"hello\":1}"),
        ("cut.gz", &packed[..packed.len() / 2]),
        ("odd.gz", b"\x1f\x8bxxxxxxxxxxxxxxxxxxxx"),
        ("table.csv", b"a,b,c,d\n1,2,3,4\n"),
        ("empty.json", b""),
    ];
    fs::create_dir_all(folder).unwrap();
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

#[test]
fn a_french_report_holds_no_english() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    write_demo(&logs, 8_000, false);
    let path = logs.to_str().unwrap();
    let story = vigie(&["hunt", path, "--lang", "fr"]).unwrap();
    check(&story.out);
    check(&story.err);
    let page = vigie(&["hunt", path, "--lang", "fr", "-o", "html"]).unwrap();
    assert!(page.out.contains("\u{c0} faire d\u{2019}abord"), "the first step is told");
    let text = page_text(&page.out);
    check(&text);
    check(&page.err);
    let command = text.lines().find(|line| line.contains("--explain")).unwrap();
    assert!(command.contains("--lang fr"), "the next report is French too: {command}");
    let event = command.split_whitespace().last().unwrap();
    let explained = vigie(&["hunt", path, "--lang", "fr", "--explain", event]).unwrap();
    let (told, record) = explained.out.split_once("\n{").unwrap();
    assert!(told.starts_with("\u{e9}v\u{e9}nement ") && record.contains(event), "{told}");
    check(told);
}

#[test]
fn what_was_not_read_is_told_in_french() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    write_broken(&logs);
    let path = logs.to_str().unwrap();
    let story = vigie(&["hunt", path, "--lang", "fr"]).unwrap();
    assert_eq!(story.code, 4, "{}", story.err);
    check(&story.out);
    let page = vigie(&["hunt", path, "--lang", "fr", "-o", "html"]).unwrap();
    let text = page_text(&page.out);
    check(&text);
    for said in [
        "octet 0\u{a0}: l\u{2019}enregistrement n\u{2019}est pas en UTF-8 \u{e0} l\u{2019}octet 6",
        "est imbriqu\u{e9} trop profond\u{e9}ment \u{e0} l\u{2019}octet",
        "contient autre chose qu\u{2019}un objet dans son tableau",
        "n\u{2019}est d\u{2019}aucun type de journal connu",
        "n\u{2019}a pas de date lisible",
        "l\u{2019}en-t\u{ea}te gzip n\u{2019}est pas valable",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let english = vigie(&["hunt", path, "-o", "html"]).unwrap().out;
    assert!(english.contains("bytes.json at byte 0: the record is not UTF-8 at byte 6"), "{english}");
}

/// Each text of one language has its twin with the same places for values; each rule says in both what
/// to do first.
#[test]
fn every_text_has_its_french_twin() {
    let content = Path::new(env!("CARGO_MANIFEST_DIR")).join("../content");
    let read = |name: &str| fs::read_to_string(content.join(name)).unwrap().parse::<toml::Table>().unwrap();
    let (english, french) = (read("text/en.toml"), read("text/fr.toml"));
    for (table, texts) in english.iter().filter_map(|(name, value)| Some((name, value.as_table()?))) {
        let twins = french[table].as_table().unwrap();
        assert_eq!(texts.keys().collect::<Vec<_>>(), twins.keys().collect::<Vec<_>>(), "[{table}]");
        for (key, text) in texts.iter().filter(|_| table == "label") {
            let places = |text: &toml::Value| {
                let mut places: Vec<String> = text
                    .as_str()
                    .unwrap()
                    .split('{')
                    .skip(1)
                    .filter_map(|part| Some(part.split_once('}')?.0.to_owned()))
                    .collect();
                places.sort();
                places
            };
            assert_eq!(places(text), places(&twins[key]), "{key}");
        }
    }
    let mut folders = vec![content.join("rules")];
    while let Some(path) = folders.pop() {
        if path.is_dir() {
            folders.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "yml") {
            let rule = fs::read_to_string(&path).unwrap();
            let count = |key: &str| rule.lines().filter(|line| line.starts_with(key)).count();
            assert_eq!(count("response: "), count("response_fr: "), "{}", path.display());
        }
    }
}
