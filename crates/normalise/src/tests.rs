//! Mappings as their authors see them: a record in, a document out.

use serde_json::{Value as Json, json};
use vigie_model::Event;
use vigie_record::{PathSet, Row, Value, Walk};

use crate::{Gaps, Mapping};

const GUIDE: &str = include_str!("../../../docs/guide/mapping.md");

/// A mapping whose log has the given sections behind the ones that each has.
fn mapping(operations: &str, rest: &str) -> Mapping {
    let log = "format = 1\nid = \"acme/gate\"\ntitle = \"Gates\"\n[logsource]\n[recognise]\nany_of = [[\"gate_id\"]]\n[identity]\nid = \"gate_id\"\ntime = \"at\"\n";
    let file = format!(
        "format = 1\nversion = \"1\"\nocsf = \"1.8.0\"\nprofiles = []\n[operations]\ntable = \"operations.tsv\"\n{operations}\n\
         [operations.default]\nclass_uid = 6003\nverb = \"cloud.api.call\"\nactivity = [[\"Get\", 2], [\"Make\", 1]]\n\
         [principal]\ncredential = \"''\"\nuid = \"''\"\nname = \"''\"\nperson = \"''\"\n{rest}"
    );
    let table = "service\toperation\tverb\tclass_uid\tactivity_id\ttarget\tpeer\ngates\tOpen\tgate.open\t6003\t3\t\t\n4001\t6\tgate.flow\t4001\t6\t\t\n";
    let read = |name: &str| match name {
        "log.toml" => Some(log.to_owned()),
        "mapping.toml" => Some(file.clone()),
        "operations.tsv" | "acme/other/operations.tsv" => Some(table.to_owned()),
        _ => None,
    };
    let mut mapping = Mapping::parse(&read).unwrap_or_else(|error| panic!("{error}"));
    mapping.know_classes([3002, 4001, 6003]);
    mapping
}

const PLAIN: &str = "key = [\"service\", \"operation\"]";
const CLASSED: &str = "key = [\"class_uid\", \"activity_id\"]\nclass = \"class_uid\"\nactivity = \"activity_id\"\n[[operations.verbs]]\nlog = \"acme/other\"\nkey = [\"service\", \"operation\"]";
const WHOLE: &str = "[passthrough]\nfrom = \"\"\n[passthrough.expected]\nall = [\"severity_id\"]\n3002 = [\"user\", \"service|dst_endpoint\"]\n[fields]\n\"time\" = \"time_ms(first(time, time_dt))\"\n";

/// The document of a record, and what is wanted of its event besides, as text.
fn document(mapping: &Mapping, record: &str, wanted: &[&str]) -> (Json, Vec<Option<String>>) {
    let mut paths = PathSet::new();
    let slots: Vec<_> = wanted.iter().map(|path| paths.intern(path)).collect();
    let programme = mapping.programme(&mut paths);
    let walk = Walk::compile(&[programme.paths()]);
    let mut row = Row::new();
    walk.read(record.as_bytes(), &mut row).unwrap();
    let view = walk.view(&row, 0);
    let mut event = Event::default();
    assert!(programme.shape(&view, &mut event), "{record} has no time");
    let text = |value: &Value<'_>| value.text().map_or_else(|| format!("{value:?}"), |text| text.into_owned());
    let values = slots.iter().map(|slot| event.values[slot.index()].as_ref().map(text)).collect();
    (serde_json::from_str(&programme.document(&view)).unwrap(), values)
}

/// What a pointer finds in the document of a record.
#[track_caller]
fn check(mapping: &Mapping, record: &str, pointer: &str, expected: Json) {
    let (document, _) = document(mapping, record, &[]);
    assert_eq!(document.pointer(pointer).cloned().unwrap_or(Json::Null), expected, "{pointer} of {document}");
}

/// Each row of the guide's table of functions, on the guide's record.
#[test]
fn examples_of_the_guide_hold() {
    let record = GUIDE.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap().trim();
    let mut rows = 0;
    for line in GUIDE.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [_, _, example, result] = cells.as_slice() else { continue };
        let code = |cell: &str| cell.trim_matches('`').to_owned();
        let example = code(example);
        let (to, expression) = match example.split_once(" = ") {
            Some((to, expression)) => (to.trim_matches('"').to_owned(), expression.trim_matches('"').to_owned()),
            None => ("message".to_owned(), example),
        };
        let mapping = mapping(PLAIN, &format!("[fields]\n\"{to}\" = \"{expression}\"\n"));
        let place = to.split("[]").next().unwrap();
        let expected: Json = serde_json::from_str(&code(result)).unwrap_or_else(|error| panic!("{line}: {error}"));
        check(&mapping, record, &format!("/{}", place.replace('.', "/")), expected);
        rows += 1;
    }
    assert!(rows >= 25, "{rows} rows");
}

#[test]
fn json_in_a_text_is_read_by_fields_and_rules() {
    let record = r#"{"gate_id":"g","at":"2026-11-12T01:52:07Z","held":"{\"a\":{\"b\":[1,2]},\"f\":7.5,\"t\":\"x\\ny\"}","list":"[{\"n\":\"k\",\"v\":\"1\"}]","text":"{no json"}"#;
    let fields = "[fields]\n\"api.request.data\" = \"object(json(held))\"\n\"api.response.data\" = \"object(pairs(list, 'n', 'v'))\"\n\"count\" = \"json(held, 'f')\"\n\"message\" = \"text(json(held, 't'))\"\n\"labels\" = \"list(json(held, 'a.b'))\"\n\"status_code\" = \"pick(list, 'n', 'k', 'v')\"\n\"status_detail\" = \"json(text)\"\n\"comment\" = \"text(json(held, 'a'))\"\n\"severity_id\" = \"band(json(held, 'f'), 0, 1, 7, 3)\"\n";
    let mapping = mapping(PLAIN, fields);
    for (pointer, expected) in [
        ("/api/request/data", json!({ "a": { "b": [1, 2] }, "f": 7.5, "t": "x\ny" })),
        ("/api/response/data", json!({ "k": "1" })),
        ("/count", json!(7.5)),
        ("/message", json!("x\ny")),
        ("/labels", json!([1, 2])),
        ("/status_code", json!("1")),
        ("/status_detail", Json::Null),
        ("/comment", Json::Null),
        ("/severity_id", json!(3)),
        ("/unmapped", json!({ "at": "2026-11-12T01:52:07Z", "gate_id": "g", "text": "{no json" })),
    ] {
        check(&mapping, record, pointer, expected);
    }
    let (_, values) = document(&mapping, record, &["api.request.data.a.b", "api.request.data.t", "api.response.data.k"]);
    let shown: Vec<&str> = values.iter().map(|value| value.as_deref().unwrap_or("-")).collect();
    assert!(shown[0].starts_with("Json("), "{shown:?}");
    assert_eq!(shown[1..], ["x\ny", "1"]);
}

/// An object of the record is read with it, a text by itself: both say the same, for events too.
#[test]
fn json_says_the_same_of_an_object_and_of_a_text() {
    let fields = "[fields]\n\"message\" = \"text(json(deep.held, 'http://x.example/upn'))\"\n\"comment\" = \"text(json(deep.held, 'a.b'))\"\n\"count\" = \"json(deep.held, 'list.n')\"\n";
    let mapping = mapping(PLAIN, fields);
    let inner = r#"{"http://x.example/upn":"lea","a":{"b":"below"},"list":[{"m":1},{"n":2}]}"#;
    let text = serde_json::to_string(inner).unwrap();
    for (held, more) in [(inner, ""), (text.as_str(), ""), (inner, r#","deep":{"held":{"a.b":"again"}}"#)] {
        let record = format!(r#"{{"at":"2026-11-12T01:52:07Z","gate_id":"g","deep":{{"held":{held}}}{more}}}"#);
        let (document, values) = document(&mapping, &record, &["message", "comment", "count"]);
        let shown: Vec<&str> = values.iter().map(|value| value.as_deref().unwrap_or("-")).collect();
        assert_eq!(shown, ["lea", "below", "2"], "{record}");
        assert_eq!((&document["message"], &document["comment"], &document["count"]), (&json!("lea"), &json!("below"), &json!(2)));
    }
}

#[test]
fn an_event_reads_less_of_a_record_than_a_document() {
    let mapping = mapping(PLAIN, "[fields]\n\"message\" = \"text(said)\"\n\"comment\" = \"text(kept.aside)\"\n");
    let mut wanted = PathSet::new();
    wanted.intern("message");
    let programme = mapping.programme(&mut wanted);
    assert!(programme.paths().iter().any(|path| path == "said"));
    assert!(programme.paths().iter().all(|path| path != "kept.aside"));
    let record = r#"{"at":"2026-11-12T01:52:07Z","gate_id":"g","said":"a","kept":{"aside":"b"}}"#;
    check(&mapping, record, "/comment", json!("b"));
}

#[test]
fn one_of_several_names_is_picked() {
    let fields = "[fields]\n\"message\" = \"text(pick(list, 'n', 'B|b', 'v'))\"\n\"comment\" = \"text(first(pick(list, 'n', 'c', 'w', 'v'), pick(list, 'n', 'a', 'v')))\"\n";
    let mapping = mapping(PLAIN, fields);
    let record = r#"{"at":"2026-11-12T01:52:07Z","gate_id":"g","list":[{"n":"a","v":"1"},"b",{"n":"b"},{"n":"b","v":"2"},{"n":"c","w":null,"v":"3"}]}"#;
    check(&mapping, record, "/message", json!("2"));
    check(&mapping, record, "/comment", json!("3"));
}

#[test]
fn what_is_not_picked_stays_unmapped() {
    let record = r#"{"at":"2026-11-12T01:52:07Z","gate_id":"g","list":[{"n":"a","v":1},{"n":"b","v":2}],"claims":{"http://x.example/upn":"lea","sub":"7"}}"#;
    let fields = "[fields]\n\"time\" = \"time_ms(at)\"\n\"metadata.uid\" = \"text(gate_id)\"\n\"count\" = \"pick(list, 'n', 'b', 'v')\"\n\"message\" = \"json(claims, 'http://x.example/upn')\"\n";
    let mapping = mapping(PLAIN, fields);
    check(&mapping, record, "/count", json!(2));
    check(&mapping, record, "/message", json!("lea"));
    check(&mapping, record, "/unmapped", json!({ "list": [{ "n": "a", "v": 1 }], "claims": { "sub": "7" } }));
    check(&mapping, &record.replace(r#"{"n":"a","v":1},"#, ""), "/unmapped", json!({ "claims": { "sub": "7" } }));
}

#[test]
fn mistakes_in_new_functions_are_said() {
    for (expression, said) in [
        ("json(a, b)", "takes its path as a literal"),
        ("pick(a, 'n', x, 'v')", "takes literals"),
        ("band(a, 0, 1, 4)", "takes pairs"),
        ("band(a, 4, 1, 0, 2)", "bounds that rise"),
        ("band(a, 'x', 1)", "takes pairs"),
        ("starts_with(a, b)", "takes literals"),
        ("join(a)", "takes 2 to 9"),
    ] {
        let error = crate::expression::parse(expression, &mut PathSet::new()).unwrap_err();
        assert!(error.contains(said), "{expression}: {error}");
    }
}

/// The class is the record's own when the schema has it, and the row's otherwise.
#[test]
fn a_record_may_say_its_class() {
    let mapping = mapping(CLASSED, "[fields]\n\"time\" = \"time_ms(at)\"\n");
    let record = |class: &str, activity: &str| {
        format!(
            r#"{{"gate_id":"g","at":1794448327,"class_uid":{class},"activity_id":{activity},"service":"gates","operation":"Open"}}"#
        )
    };
    for (class, activity, expected) in [
        ("3002", "1", json!([3002, 3, 1, 300_201])),
        ("4001.0", "6", json!([4001, 4, 6, 400_106])),
        ("\"4001\"", "\"6\"", json!([4001, 4, 6, 400_106])),
        ("4001", "100", json!([4001, 4, 99, 400_199])),
        ("201001", "1", json!([6003, 6, 1, 600_301])),
        ("3002.5", "-1", json!([6003, 6, 99, 600_399])),
        ("null", "null", json!([6003, 6, 99, 600_399])),
    ] {
        let (document, values) = document(&mapping, &record(class, activity), &["class_uid", "type_uid", "verb"]);
        let found = ["class_uid", "category_uid", "activity_id", "type_uid"].map(|key| document[key].clone());
        assert_eq!(json!(found), expected, "{class} {activity}");
        let told = [found[0].to_string(), found[3].to_string(), "gate.open".to_owned()].map(Some);
        assert_eq!(values, told, "the event says the same as its document");
    }
    check(&mapping, &record("4001", "6").replace("Open", "Other"), "/enrichments/0/value", json!("gate.flow"));
}

#[test]
fn an_event_of_ocsf_passes_through() {
    let mapping = mapping(CLASSED, WHOLE);
    let whole = r#"{"class_uid":3002,"category_uid":3,"activity_id":1,"type_uid":300201,"time":1794448327000,"severity_id":1,"message":null,
        "metadata":{"version":"1.1.0","product":{"name":"P"}},"user":{"name":"lea"},"service":{"name":"s"},"tags":[{"name":"a","value":null}],
        "unmapped":{"x":1},"raw_data":"as it was","enrichments":[{"name":"n","value":"v","data":{}}]}"#;
    let (document, values) = document(&mapping, whole, &["user.name", "unmapped.x", "tags.name", "nothing.here", "time"]);
    assert_eq!(values, ["lea", "1", "a", "-", "1794448327000"].map(|text| Some(text.to_owned()).filter(|text| text != "-")));
    let mut expected: Json = serde_json::from_str(whole).unwrap();
    expected["metadata"]["version"] = json!("1.8.0");
    expected["raw_data"] = json!(whole);
    expected.as_object_mut().unwrap().remove("message");
    let told = expected["enrichments"].as_array_mut().unwrap();
    told.push(json!({ "name": "verb", "value": "cloud.api.call", "provider": "vigie", "data": { "verb": "cloud.api.call", "mapping": "1" } }));
    told.push(json!({ "name": "vigie.ocsf", "value": "complete", "provider": "vigie", "data": { "version": "1.1.0" } }));
    assert_eq!(document, expected);
}

#[test]
fn an_event_that_is_not_valid_is_taken_and_labelled() {
    let mapping = mapping(CLASSED, WHOLE);
    let label = |record: &str| document(&mapping, record, &[]).0["enrichments"][1].clone();
    let loose = r#"{"class_uid":3002,"activity_id":1,"type_uid":300299,"time":1794448327,"metadata":{"version":"1.0.0"},"dst_endpoint":{}}"#;
    let told = label(loose);
    assert_eq!(told["value"], json!("lenient"));
    assert_eq!(
        told["data"],
        json!({ "version": "1.0.0", "missing": ["user", "severity_id"], "changed": ["time", "type_uid"], "added": ["category_uid"] })
    );
    check(&mapping, loose, "/time", json!(1_794_448_327_000_i64));
    // What has the name of something that the document needs, and is no such thing, is kept aside.
    let odd = r#"{"class_uid":3002,"activity_id":1,"time_dt":"2026-11-12T01:52:07Z","metadata":"m","unmapped":[1],"enrichments":"e","severity_id":1}"#;
    check(&mapping, odd, "/unmapped", json!({ "metadata": "m", "unmapped": [1], "enrichments": "e" }));
    check(&mapping, odd, "/metadata", json!({ "version": "1.8.0" }));
    // An event inside a record.
    let inner = crate::tests::mapping(
        CLASSED,
        &WHOLE.replace("from = \"\"", "from = \"event\"").replace("first(time, time_dt)", "event.time"),
    );
    let record = r#"{"id":7,"event":{"class_uid":3002,"time":1794448327,"severity_id":1,"user":{"name":"lea"}}}"#;
    check(&inner, record, "/user/name", json!("lea"));
    check(&inner, record, "/unmapped", json!({ "id": 7 }));
    assert_eq!(document(&inner, record, &["user.name"]).1, [Some("lea".to_owned())]);
}

/// What a mapping leaves unread is what its documents have under `unmapped`.
#[test]
fn gaps_are_what_documents_leave_unmapped() {
    let mapping = mapping(
        PLAIN,
        "[fields]\n\"time\" = \"time_ms(at)\"\n\"message\" = \"text(deep.read)\"\n[[unmapped]]\npaths = [\"deep\", \"lis*\"]\nreason = \"Said below.\"\n",
    );
    let programme = mapping.programme(&mut PathSet::new());
    let walk = Walk::compile(&[programme.paths()]);
    let mut gaps = Gaps::default();
    for (operation, long) in [("GetGate", "b"), ("MakeGate", "a"), ("MakeGate", "a"), ("Open", "c")] {
        let record = format!(
            r#"{{"at":1794448327,"service":"gates","operation":"{operation}","deep":{{"read":"r","not":"{long}"}},"list":[{{"k":1}},{{"k":2}}],"none":null,"empty":""}}"#
        );
        let mut row = Row::new();
        walk.read(record.as_bytes(), &mut row).unwrap();
        programme.note_gaps(&walk.view(&row, 0), &mut gaps);
    }
    assert_eq!((gaps.records, gaps.values, gaps.values_unread), (4, 28, 20));
    let told: Vec<_> =
        gaps.paths.iter().map(|(path, gap)| (path.as_str(), gap.count, gap.example.as_str(), gap.reason.is_some())).collect();
    let expected = [
        ("deep.not", 4, "a", true),
        ("list.k", 8, "1", true),
        ("operation", 4, "GetGate", false),
        ("service", 4, "gates", false),
    ];
    assert_eq!(told, expected);
    let operations: Vec<_> = gaps.operations.iter().collect();
    assert_eq!(operations, [(&("gates".to_owned(), "MakeGate".to_owned()), &2)]);
}

const LINKS: &str = r#"[fields]
"api.operation" = "text(operation)"
"api.response.error" = "text(error)"
"metadata.uid" = "text(gate_id)"
[[link]]
kind = "assumed"
operations = ["Open"]
credential = "text(made)"
name = "text(role)"
[link.by]
uid = "text(subject)"
space = "text(issuer)"
[[link]]
kind = "same"
when = "has_one_of(mail, '@')"
uid = "text(who)"
[link.by]
uid = "lower(mail)"
person = "lower(mail)"
space = "'email'"
"#;

/// Which links a record proves: each as its kind, and both ends as credential, uid, space and person.
#[test]
fn records_prove_links_between_two_ends() {
    let mapping = mapping(PLAIN, LINKS);
    let programme = mapping.programme(&mut PathSet::new());
    let walk = Walk::compile(&[programme.paths()]);
    let links = |record: &str| {
        let mut row = Row::new();
        walk.read(record.as_bytes(), &mut row).unwrap();
        let view = walk.view(&row, 0);
        let mut event = Event::default();
        assert!(programme.shape(&view, &mut event), "{record} has no time");
        let end =
            |end: &vigie_model::Principal| [&end.credential, &end.uid, &end.space, &end.person].map(String::as_str).join("|");
        let told = programme.links(&view, &event);
        let told = told.iter().map(|link| format!("{:?} {} < {}", link.kind, end(&link.child), end(&link.parent)));
        told.collect::<Vec<_>>()
    };
    let record = r#"{"gate_id":"g1","at":1794448327,"operation":"Open","made":"k1","role":"r","subject":"s","issuer":"i","who":"7","mail":"A@b.example"}"#;
    assert_eq!(links(record), ["Assumed k1||acme| < |s|i|", "Same |7|acme| < |a@b.example|email|a@b.example"]);
    // Another operation, no address, nobody behind, or a refusal: nothing is proven.
    assert_eq!(links(&record.replace("\"Open\"", "\"Shut\"").replace('@', "")), Vec::<String>::new());
    assert_eq!(links(&record.replace("\"s\"", "\"\"").replace('@', "")), Vec::<String>::new());
    assert_eq!(links(&record.replace("\"gate_id\"", "\"error\":\"refused\",\"gate_id\"")), Vec::<String>::new());
    assert_eq!(programme.space(), "acme");
    assert!(!programme.has_acts());
}
