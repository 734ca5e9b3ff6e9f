//! The bodies of the fuzz targets on seeds and random inputs: a nightly compiler is not everywhere.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::soak::is_soak;

#[path = "../../fuzz/src/lib.rs"]
mod bodies;

/// A few cases by default, many in a soak.
fn cases() -> ProptestConfig {
    ProptestConfig { cases: if is_soak() { 20_000 } else { 100 }, ..ProptestConfig::default() }
}

/// Pieces of JSON, whole and broken.
const PIECES: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ",",
    ":",
    "\"",
    "\\",
    "\"a\"",
    "\"b\":",
    "\"R\":",
    "{\"a\":1}",
    "{\"R\":[",
    ",{\"a\"",
    "1",
    "-0.5e3",
    "null",
    "x",
    " ",
    "\n",
    "\r",
    "\u{feff}",
    "\u{e9}",
];

fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(select(PIECES.to_vec()), 0..16).prop_map(|pieces| pieces.concat())
}

fn any_object() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1.0e9..1.0e9f64).prop_map(Into::into),
        "[a\\\\\"{},\\[\\]\u{e9}]{0,6}".prop_map(Into::into),
    ];
    let inner = leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("[abc]", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    let key = select(vec!["a", "b", "a.b", "a.b.c", "c"]).prop_map(str::to_owned);
    prop::collection::btree_map(key, inner, 0..5).prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
}

/// A text with one character replaced by another piece of text, or cut there.
fn damaged(text: &str, at: Index, piece: &str, is_cut: bool) -> String {
    let mut text = text.to_owned();
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let at = places[at.index(places.len())];
    let next = at + text[at..].chars().next().map_or(0, char::len_utf8);
    text.replace_range(if is_cut { at..text.len() } else { at..next }, piece);
    text
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_record_reads_as_another_parser_reads_it(value in any_object(), pretty in any::<bool>(), text in pieces(), place in any::<Index>()) {
        let json = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        bodies::walk(json.as_bytes());
        bodies::walk(text.as_bytes());
        bodies::walk(damaged(&json, place, &text, false).as_bytes());
    }

    #[test]
    fn a_text_is_cut_alike_in_any_buffers(size in any::<u8>(), head in select(vec!["", "[", "{\"R\":[", "{\"a\":1}\n"]), text in pieces()) {
        let mut bytes = vec![size % 8];
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bodies::cut(&bytes);
    }

    #[test]
    fn a_damaged_file_loses_no_record_in_silence(place in any::<Index>(), piece in pieces(), is_cut in any::<bool>(), lines in any::<bool>()) {
        let line = serde_json::from_str::<serde_json::Value>(bodies::RECORD).unwrap().to_string();
        let file = if lines { format!("{line}\n{line}\n{line}\n") } else { format!("{{\"Records\":[{line},{line}]}}") };
        bodies::hunt(damaged(&file, place, &piece, is_cut).as_bytes());
        bodies::hunt(piece.as_bytes());
    }

    #[test]
    fn a_damaged_text_loses_no_line(size in any::<u8>(), place in any::<Index>(), piece in "[ -~\t\r\n\u{e9}]{0,4}", is_cut in any::<bool>()) {
        let text = damaged(bodies::TEXT, place, &piece, is_cut);
        bodies::lines(&[&[size][..], text.as_bytes()].concat());
        bodies::lines(&[&[size][..], piece.as_bytes(), b"\xFF\n", text.as_bytes()].concat());
    }

    #[test]
    fn a_damaged_rule_is_an_error_at_most(place in any::<Index>(), piece in "[{}\\[\\]:|*&!%\"'~ \n\t-]{0,3}", is_cut in any::<bool>()) {
        bodies::rule(damaged(bodies::RULES, place, &piece, is_cut).as_bytes());
    }

    #[test]
    fn an_expression_of_any_text_is_an_error_at_most(text in "[a-z_(),'. 0-9-]{0,30}", function in select(FUNCTIONS.to_vec()), paths in "(eventName|eventTime|userIdentity|resources|'x'|-1|99)(, ?(eventName|'', 'a'|7)){0,3}") {
        bodies::mapping(text.as_bytes());
        bodies::mapping(format!("{function}({paths})").as_bytes());
    }

    #[test]
    fn a_damaged_digest_is_judged(place in any::<Index>(), piece in pieces(), is_cut in any::<bool>()) {
        bodies::digest(damaged(DIGEST, place, &piece, is_cut).as_bytes());
    }
}

/// Functions of mappings that look inside their arguments.
const FUNCTIONS: [&str; 18] = [
    "text",
    "integer",
    "bool",
    "list",
    "time_ms",
    "ip",
    "choose",
    "after_last",
    "before_first",
    "part",
    "each",
    "has_one_of",
    "json",
    "pick",
    "band",
    "join",
    "upper",
    "starts_with",
];

/// A digest with one log file.
const DIGEST: &str = r#"{"awsAccountId":"417203958816","digestStartTime":"2026-11-12T00:00:00Z","digestEndTime":"2026-11-12T01:00:00Z",
"digestS3Bucket":"trail","digestS3Object":"AWSLogs/417203958816_CloudTrail-Digest_eu-west-3_main_eu-west-3_20261112T010000Z.json.gz",
"previousDigestS3Object":null,"previousDigestHashValue":null,"previousDigestSignature":null,
"logFiles":[{"s3Bucket":"trail","s3Object":"AWSLogs/417203958816_CloudTrail_eu-west-3_20261112T0030Z_a.json.gz","hashValue":"00"}]}"#;

/// Every rule of the content, and its first half.
#[test]
fn rules_of_the_content_are_seeds() {
    let mut waiting = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../content/rules")];
    let mut seeds = 0;
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "yml") {
            let text = fs::read(&path).unwrap();
            bodies::rule(&text);
            bodies::rule(&text[..text.len() / 2]);
            seeds += 1;
        }
    }
    assert!(seeds > 50, "{seeds} rules");
}
