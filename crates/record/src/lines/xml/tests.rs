//! Elements become records wherever they stand and wherever a buffer ends; a broken one costs itself.

use serde_json::{Value, json};

use crate::lines::*;

fn field(names: &str, value: XmlValue, path: &str) -> XmlField {
    XmlField { names: names.split('.').map(str::to_owned).collect(), value, path: path.to_owned() }
}

fn set() -> LineSet {
    let form = XmlForm {
        element: "Event".into(),
        around: vec!["Events".into()],
        fields: vec![
            field("System.Id", XmlValue::Text, "log.id"),
            field("System.At", XmlValue::Attribute("Time".into()), "at"),
            field("Data.Item", XmlValue::NamedBy("Name".into()), "log.data"),
            field("More.*", XmlValue::Below, "log.more"),
            field("Shown.Id", XmlValue::Text, "log.id"),
        ],
    };
    let reader = LineReader::Xml(Box::new(form));
    let elements = LineForms {
        forms: vec![LineForm { reader, begins: Vec::new(), holds: vec!["urn:x".into()] }],
        inside: vec!["message".into()],
    };
    let pairs = LineForm { reader: LineReader::KeyValue, begins: Vec::new(), holds: Vec::new() };
    let pairs = LineForms { forms: vec![pairs], inside: Vec::new() };
    LineSet::new(&[(0, &elements), (1, &pairs)])
}

/// What a text is cut into, in buffers that grow by `step` bytes: kind, text and record of each piece.
fn cut_all(text: &str, step: usize, record_bytes_max: usize) -> Option<Vec<(String, String, Value)>> {
    let set = set();
    let mut cutter = set.cutter(text.as_bytes(), None, record_bytes_max)?;
    let (mut buffer, mut fed, mut found) = (Vec::new(), 0, Vec::new());
    loop {
        let next = text.len().min(fed + step);
        buffer.extend_from_slice(&text.as_bytes()[fed..next]);
        fed = next;
        let (mut cuts, mut made) = (Vec::new(), MadeLines::default());
        let used = cutter.cut(&buffer, fed == text.len(), &mut cuts, &mut made);
        for (number, cut) in cuts.iter().enumerate() {
            let (kind, range) = match cut {
                Cut::Record(range) => ("record", range),
                Cut::Oversize(range) => ("oversize", range),
                Cut::Reject(range, reason) => (*reason, range),
            };
            let piece = String::from_utf8_lossy(&buffer[range.clone()]).into_owned();
            let record = made.get(number).map_or(Value::Null, |made| {
                let alone = OneLine::Made { owner: made.owner, record: made.record.to_vec() };
                assert_eq!(set.one(piece.as_bytes(), Some(made.owner)), Some(alone), "{piece} alone");
                serde_json::from_slice(made.record).unwrap()
            });
            found.push((kind.to_owned(), piece, record));
        }
        buffer.drain(..used);
        if fed == text.len() {
            assert!(buffer.is_empty(), "{buffer:?} is left");
            return Some(found);
        }
    }
}

#[track_caller]
fn check(text: &str, expected: &[(&str, &str, Value)]) {
    for step in [text.len().max(1), 1, 2, 7, 64] {
        let found = cut_all(text, step, 1 << 20).unwrap_or_default();
        let found: Vec<(&str, &str, Value)> =
            found.iter().map(|(kind, piece, record)| (kind.as_str(), piece.as_str(), record.clone())).collect();
        assert_eq!(found, expected, "in buffers of {step} bytes");
    }
}

/// The record of one element.
#[track_caller]
fn record(inner: &str, expected: Value) {
    let text = format!("<Event xmlns='urn:x'>{inner}</Event>");
    check(&text, &[("record", &text, expected)]);
}

const ONE: &str = "<Event xmlns='urn:x'><System><Id>1</Id></System></Event>";
const TWO: &str = "<Event xmlns=\"urn:x\">\r\n  <System>\r\n    <Id>2</Id>\r\n  </System>\r\n</Event >";

#[test]
fn elements_are_found_wherever_they_stand() {
    let (one, two) = (json!({"log": {"id": "1"}}), json!({"log": {"id": "2"}}));
    let expected = [("record", ONE, one.clone()), ("record", TWO, two.clone()), ("record", ONE, one.clone())];
    check(&format!("{ONE}\n{TWO}\n{ONE}\n"), &expected);
    check(
        &format!("\u{feff}<?xml version='1.0' encoding='utf-8'?>\r\n<Events xmlns='urn:y'>{ONE}{TWO}\t{ONE}</Events>"),
        &expected,
    );
    check(&format!("<?xml version=\"1.0\"?><Events>\n\n  {ONE}\n  {TWO}\n  {ONE}\n</Events>\n"), &expected);
    let line = "a=1 b=2 c=3";
    let pairs = json!({"a": 1, "b": 2, "c": 3});
    check(&format!("{ONE}\n{line}\n{TWO}"), &[("record", ONE, one), ("record", line, pairs), ("record", TWO, two)]);
}

#[test]
fn values_stand_where_fields_say() {
    record(
        "<System><At Time='t' Zone='z'/><Id Q='7'>5</Id></System>",
        json!({"at": "t", "System": {"At@Zone": "z", "Id@Q": "7"}, "log": {"id": "5"}}),
    );
    record(
        "<Data><Item Name='a b'>x y </Item><Item>z</Item><Item Name='a b'>w</Item><Item Name='e'></Item><Item/></Data>",
        json!({"log": {"data": {"a b": ["x y ", "w"], "param2": "z"}}}),
    );
    record(
        "<More><Any xmlns:a='urn:a' b='1'><C>2</C><D><E>3</E></D></Any></More>",
        json!({"More": {"Any@b": "1"}, "log": {"more": {"C": "2", "D": {"E": "3"}}}}),
    );
}

#[test]
fn what_stands_later_takes_the_place_of_another_field() {
    record("<System><Id>1</Id></System><Shown><Id>One</Id></Shown>", json!({"log": {"id": "One"}}));
}

#[test]
fn only_characters_and_five_entities_are_expanded() {
    record(
        "<Data><Item Name='&lt;k&gt;'>&amp;&#65;&#x42;&unknown;&<![CDATA[<&]]> &quot;&apos;<!-- no --></Item></Data>",
        json!({"log": {"data": {"<k>": "&AB&unknown;&<& \"'"}}}),
    );
    let declared = "<Event xmlns='urn:x'><!DOCTYPE a [<!ENTITY b 'c'>]><System><Id>&b;</Id></System></Event>";
    check(
        &format!("{ONE}\n{declared}"),
        &[("record", ONE, json!({"log": {"id": "1"}})), ("is an element that cannot be read", declared, Value::Null)],
    );
}

#[test]
fn a_broken_element_costs_itself() {
    let known = |piece| ("record", piece, json!({"log": {"id": "1"}}));
    let open = "<Event xmlns='urn:x'><System><Id>1";
    let (crossed, other) = ("<Event xmlns='urn:x'><A><B></A></B></Event>", "<Event xmlns='urn:y'/></Event>");
    let unread = |piece| ("is an element that cannot be read", piece, Value::Null);
    let unclosed = |piece| ("is an element that is not closed", piece, Value::Null);
    check(
        &format!("{open}\n{ONE}{crossed}{ONE}\n{other}\n{open}"),
        &[unclosed(open), known(ONE), unread(crossed), known(ONE), unread(other), unclosed(open)],
    );
    let stray = ("is a line of no known log type", "stray text", Value::Null);
    check(&format!("{ONE}stray text\n{ONE}"), &[known(ONE), stray, known(ONE)]);
}

#[test]
fn limits_hold() {
    let deep = |depth: usize| format!("<Event xmlns='urn:x'>{}x{}</Event>", "<a>".repeat(depth), "</a>".repeat(depth));
    let kinds = |text: &str, max: usize| -> Vec<String> {
        cut_all(text, text.len(), max).unwrap_or_default().into_iter().map(|(kind, ..)| kind).collect()
    };
    let (read, unread) = ("record", "is an element that cannot be read");
    assert_eq!(kinds(&format!("{}{}", deep(31), deep(32)), 1 << 20), [read, unread]);
    let many = |count: usize| format!("<Event xmlns='urn:x'>{}</Event>", "<a>x</a>".repeat(count));
    assert_eq!(kinds(&format!("{}{}", many(1024), many(1025)), 1 << 20), [read, unread]);
    let attributes = |count: usize| {
        let attributes: String = (0..count).map(|number| format!(" a{number}='1'")).collect();
        format!("<Event xmlns='urn:x'><a{attributes}/></Event>")
    };
    assert_eq!(kinds(&format!("{}{}", attributes(64), attributes(65)), 1 << 20), [read, unread]);
    let long = |count: usize| format!("<Event xmlns='urn:x'><a>{}</a></Event>", "x".repeat(count));
    assert_eq!(kinds(&format!("{ONE}{}{ONE}\n", long(200)), 128), [read, "oversize", read]);
    // It does not end in the buffer, or at all.
    let cut = |text: &str| -> Vec<String> { cut_all(text, 50, 128).unwrap().into_iter().map(|(kind, ..)| kind).collect() };
    assert_eq!(cut(&format!("{ONE}{}{ONE}\n", long(500))), [read, "oversize", read]);
    assert_eq!(cut(&format!("{ONE}{}{ONE}\n", long(500).get(..400).unwrap())), [read, "oversize", read]);
    assert_eq!(cut(&format!("{ONE}{}", long(500).get(..400).unwrap())), [read, "oversize"]);
}

#[test]
fn other_text_has_no_elements_of_ours() {
    let set = set();
    for text in [
        "<html><Event></html>",
        "<Events></Events>",
        "see <Event xmlns='urn:x'></Event>",
        "<34>Event <Event>",
        "<Event",
        "<Event xmlns='urn:y'><a/></Event>",
    ] {
        assert!(set.cutter(text.as_bytes(), None, 1 << 20).is_none(), "{text}");
        assert_eq!(set.one(text.as_bytes(), None), None, "{text}");
    }
    assert!(set.cutter(ONE.as_bytes(), Some(1), 1 << 20).is_none());
}

#[test]
fn an_element_may_be_a_text_inside_json() {
    let record = br#"{"log":{"id":"1"}}"#.to_vec();
    let text = json!({ "message": format!("<?xml version='1.0'?>\n{ONE}\n") }).to_string();
    assert_eq!(set().one(text.as_bytes(), None), Some(OneLine::Made { owner: 0, record }));
}
