//! Every layout of a file gives the same records, at every size of buffer.

use super::{Cut, Cutter, Shape};

/// Cuts `text` in buffers of `step` bytes; a reject is written `!text`, an oversize head `~text`.
fn cut_all(text: &[u8], step: usize, record_bytes_max: usize) -> (Vec<String>, Shape) {
    let mut cutter = Cutter::new(vec!["Records".into(), "Events".into()], record_bytes_max);
    let (mut buffer, mut out, mut fed) = (Vec::new(), Vec::new(), 0);
    while fed < text.len() || !buffer.is_empty() {
        let next = (fed + step).min(text.len());
        buffer.extend_from_slice(&text[fed..next]);
        let end = next == text.len();
        let mut cuts = Vec::new();
        let used = cutter.cut(&buffer, end, &mut cuts);
        for cut in cuts {
            let (mark, range) = match cut {
                Cut::Record(range) => ("", range),
                Cut::Oversize(range) => ("~", range),
                Cut::Reject(range, _) => ("!", range),
            };
            out.push(format!("{mark}{}", String::from_utf8_lossy(&buffer[range]).trim_end()));
        }
        buffer.drain(..used);
        fed = next;
        if end {
            break;
        }
    }
    (out, cutter.shape())
}

#[track_caller]
fn check(text: &str, shape: Shape, expected: &[&str]) {
    for step in [1, 2, 3, 7, 64, 4096] {
        let (found, seen) = cut_all(text.as_bytes(), step, 64);
        assert_eq!(found, expected, "in buffers of {step} bytes");
        assert_eq!(seen, shape, "in buffers of {step} bytes");
    }
}

#[test]
fn every_layout_gives_its_records() {
    let two = &[r#"{"a":1}"#, r#"{"b":{"c":"}"}}"#];
    check("{\"a\":1}\n\n{\"b\":{\"c\":\"}\"}}\r\n", Shape::Lines, two);
    check("[{\"a\":1}, {\"b\":{\"c\":\"}\"}}]", Shape::Array, two);
    check("{\"NextToken\":\"x\",\"Records\":[{\"a\":1},{\"b\":{\"c\":\"}\"}}],\"more\":[1,{}]}", Shape::Array, two);
    check("{\"Records\":[{\"a\":1}]}\n{\"Records\":[{\"b\":{\"c\":\"}\"}}]}", Shape::Array, two);
    check("{\"x\":{\"n\":1},\"Records\":[[{\"a\":1}], [2]]}", Shape::Array, &[r#"[{"a":1}]"#, "[2]"]);
    check("{\"a\":1}{\"b\":{\"c\":\"}\"}}", Shape::Values, two);
    check("{\n \"a\":1\n}\n{}", Shape::Values, &["{\n \"a\":1\n}", "{}"]);
    check("\u{feff}{\"a\":1}", Shape::Lines, &[r#"{"a":1}"#]);
    check("{\"Records\":[]}", Shape::Array, &[]);
    check("  \n ", Shape::Unknown, &[]);
}

#[test]
fn bad_text_costs_only_itself() {
    check("{\"a\":1}\nnot json\n{\"b\":2}\n", Shape::Lines, &[r#"{"a":1}"#, "not json", r#"{"b":2}"#]);
    check("[{\"a\":1},7,\"x\",{\"b\":2}]", Shape::Array, &[r#"{"a":1}"#, "!7", "!\"x\"", r#"{"b":2}"#]);
    check(
        "[{\"a\":1},{\"a\":{\"b\":2},{\"a\":\"x},{\"a\":4}]",
        Shape::Array,
        &[r#"{"a":1}"#, "!{\"a\":{\"b\":2}", "!{\"a\":\"x}", r#"{"a":4}"#],
    );
    check("{\"Records\":[{\"a\":1},{\"b\":", Shape::Array, &[r#"{"a":1}"#, "!{\"b\":"]);
}

#[test]
fn a_broken_value_costs_only_itself() {
    let rest = [r#"{"a":2}"#, r#"{"a":3}"#];
    let lost = |lost: &str| [&[lost][..], &rest].concat().iter().map(|cut| (*cut).to_owned()).collect::<Vec<_>>();
    for (text, reject) in [
        ("[{\"a\":{\"b\":1,{\"a\":2},{\"a\":3}]", "!{\"a\":{\"b\":1"),
        ("[{\"a\":{\"b\":1},{\"a\":2},{\"a\":3}]", "!{\"a\":{\"b\":1}"),
        ("[{\"a\":\"x,{\"a\":2},{\"a\":3}]", "!{\"a\":\"x"),
        ("{\"Records\":[{\"a\":1]},{\"a\":2},{\"a\":3}]}", "!{\"a\":1]}"),
    ] {
        let expected = lost(reject);
        check(text, Shape::Array, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
    check("{\"Records\":[{\"a\":1}],{\"a\":2},{\"a\":3}]}", Shape::Array, &[r#"{"a":1}"#, "!]", rest[0], rest[1]]);
    check("{\n \"a\": {\n{\n \"a\":2}\n{\"a\":3}\n", Shape::Values, &["!{\n \"a\": {", "{\n \"a\":2}", rest[1]]);
    check("# exported\n{\"a\":2}\n{\"a\":3}\n", Shape::Lines, &["!# exported", rest[0], rest[1]]);
    check("{\"a\":2}\n\u{feff}{\"a\":3}\n", Shape::Lines, &rest);
}

#[test]
fn an_array_that_is_not_closed_is_seen() {
    for (text, is_open) in
        [("[{\"a\":1}]", false), ("[{\"a\":1},", true), ("{\"Records\":[{\"a\":1}]", true), ("{\"a\":1}\n", false)]
    {
        let mut cutter = Cutter::new(vec!["Records".into()], 64);
        cutter.cut(text.as_bytes(), true, &mut Vec::new());
        assert_eq!(cutter.is_open(), is_open, "{text}");
    }
}

#[test]
fn where_a_buffer_ends_decides_nothing() {
    check("{\"Records\":[1,2]}", Shape::Lines, &["{\"Records\":[1,2]}"]);
    check("[{\"a\":1},,{\"b\":2}]", Shape::Array, &[r#"{"a":1}"#, "!,", r#"{"b":2}"#]);
    check("\u{feff}\u{feff}{\"a\":1}", Shape::Lines, &[r#"{"a":1}"#]);
}

#[test]
fn an_oversize_record_becomes_its_head() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(200));
    let head = format!("~{}", long.get(..64).unwrap());
    check(&format!("{{\"b\":2}}\n{long}\n{{\"c\":3}}\n"), Shape::Lines, &[r#"{"b":2}"#, &head, r#"{"c":3}"#]);
    check(&format!("[{{\"b\":2}},{long},{{\"c\":3}}]"), Shape::Array, &[r#"{"b":2}"#, &head, r#"{"c":3}"#]);
}

#[test]
fn other_text_is_foreign() {
    assert_eq!(cut_all(b"a,b\n1,2\n", 4096, 64).1, Shape::Foreign);
}
