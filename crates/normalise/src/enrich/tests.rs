//! Enrichments as their authors see them: a declaration and a table in, a document out.

use serde_json::{Value as Json, json};
use vigie_model::Event;
use vigie_record::{PathSet, Value};

use super::*;

/// An enrichment by the text of its declaration behind `format` and `title`, with one table.
fn filled(declaration: &str, file: &str, table: &[u8]) -> Result<Filled, String> {
    let text = format!("format = 1\ntitle = \"T\"\n{declaration}");
    let declaration = Declaration::parse("made", "enrichment.toml", &text).map_err(|error| error.to_string())?;
    let name = declaration.files().find(|name| *name == file).unwrap_or_else(|| panic!("{file} is declared")).to_owned();
    let file = TableFile { name, place: file.to_owned(), bytes: table.to_vec() };
    declaration.fill(vec![file]).map_err(|error| error.to_string())
}

fn enrichments(declaration: &str, file: &str, table: &[u8]) -> Enrichments {
    let filled = filled(declaration, file, table).unwrap_or_else(|error| panic!("{error}"));
    assert!(filled.faults.is_empty(), "{:?}", filled.faults);
    Enrichments::new(vec![filled.enrichment])
}

/// What a pointer finds in a document that was enriched.
#[track_caller]
fn check(enrichments: &Enrichments, document: &Json, pointer: &str, expected: Json) {
    let made: Json = serde_json::from_str(&enrichments.document(&document.to_string()).unwrap()).unwrap();
    assert_eq!(made.pointer(pointer).cloned().unwrap_or(Json::Null), expected, "{pointer} of {made}");
}

/// What a declaration or its table is refused for.
#[track_caller]
fn refused(declaration: &str, table: &str, said: &str) {
    let error = filled(declaration, "t.csv", table.as_bytes()).map(|filled| filled.faults).unwrap_err();
    assert!(error.contains(said), "{error}");
}

const RANGES: &str = "kind = \"ranges\"\nreads = [\"src_endpoint.ip\", \"dst_endpoint.ip\"]\n[[table]]\nfile = \"t.csv\"\nkey = \"network\"\n\
    [gives]\n\".location.country\" = \"country\"\n\".autonomous_system.number\" = { column = \"asn\", type = \"integer\" }\n\
    \"enrichments.data.zone\" = \"zone\"\n";
const RANGE_ROWS: &str =
    "network,country,asn,zone\n203.0.113.0/24,AX,64500,outer\n203.0.113.128/25,AX,64501,inner\n2001:db8::/32,FI,,six\n";
const OWNERS: &str = "kind = \"table\"\nreads = [\"resources.uid\"]\n[[table]]\nfile = \"t.csv\"\nkey = \"uid\"\n[[table]]\nfile = \"t.yaml\"\nkey = \"uid\"\n\
    [gives]\n\".owner.name\" = \"owner\"\n\".criticality\" = \"criticality\"\n";

#[test]
fn an_address_gets_its_country_and_its_network() {
    let ranges = enrichments(RANGES, "t.csv", RANGE_ROWS.as_bytes());
    let event =
        json!({ "time": 1, "src_endpoint": { "ip": "203.0.113.200" }, "dst_endpoint": { "ip": "2001:DB8::1", "port": 1 } });
    check(
        &ranges,
        &event,
        "/src_endpoint",
        json!({ "ip": "203.0.113.200", "location": { "country": "AX" }, "autonomous_system": { "number": 64501 } }),
    );
    check(&ranges, &event, "/dst_endpoint", json!({ "ip": "2001:DB8::1", "port": 1, "location": { "country": "FI" } }));
    let version = ranges.iter().next().unwrap().version().to_owned();
    let entry = json!({ "name": "dst_endpoint.ip", "value": "2001:DB8::1", "type": "made", "provider": "made",
        "data": { "version": version, "dst_endpoint.location.country": "FI", "zone": "six" } });
    check(&ranges, &event, "/enrichments/1", entry);
    // Inside an address of IPv6, and what is no address.
    check(&ranges, &json!({ "src_endpoint": { "ip": "::ffff:203.0.113.1" } }), "/enrichments/0/data/zone", json!("outer"));
    check(
        &ranges,
        &json!({ "src_endpoint": { "ip": "service.example" } }),
        "",
        json!({ "src_endpoint": { "ip": "service.example" } }),
    );
}

#[test]
fn what_the_record_says_itself_stays() {
    let ranges = enrichments(RANGES, "t.csv", RANGE_ROWS.as_bytes());
    let event = json!({ "src_endpoint": { "ip": "203.0.113.1", "location": { "country": "SE" } } });
    check(&ranges, &event, "/src_endpoint/location", json!({ "country": "SE" }));
    check(&ranges, &event, "/enrichments/0/data/src_endpoint.location.country", json!("AX"));
}

#[test]
fn each_resource_gets_its_own_owner() {
    let event = json!({ "resources": [{ "uid": "a" }, { "uid": "c" }, { "uid": "B" }], "enrichments": [{ "name": "n" }] });
    let csv = enrichments(OWNERS, "t.csv", b"uid;owner;criticality\na; ada ;high\n# x;y;z\nB;ben;\n");
    let yaml =
        enrichments(OWNERS, "t.yaml", b"# owners\n- uid: a\n  owner: ada\n  criticality: high\n\n- { uid: B, owner: ben }\n");
    for owners in [csv, yaml] {
        let expected = json!([{ "uid": "a", "owner": { "name": "ada" }, "criticality": "high" }, { "uid": "c" }, { "uid": "B", "owner": { "name": "ben" } }]);
        check(&owners, &event, "/resources", expected);
        check(&owners, &event, "/enrichments/0", json!({ "name": "n" }));
        check(&owners, &event, "/enrichments/2/value", json!("B"));
    }
}

#[test]
fn keys_match_as_they_are_declared() {
    let of = |matching: &str| {
        let declaration = format!(
            "match = \"{matching}\"\nkind = \"table\"\nreads = [\"actor.user.name\"]\n[[table]]\nfile = \"t.csv\"\nkey = \"k\"\n\
             [gives]\n\"enrichments.data.team\" = \"team\"\n"
        );
        enrichments(
            &declaration,
            "t.csv",
            b"k,team\nAda,one\nada@example.org,two\n@example.org,three\nsvc-,four\nsvc-build-,five\n",
        )
    };
    for (matching, name, team) in [
        ("exact", "Ada", json!("one")),
        ("exact", "ada", Json::Null),
        ("ignore_case", "ADA", json!("one")),
        ("prefix", "svc-build-7", json!("five")),
        ("prefix", "svc-7", json!("four")),
        ("prefix", "sv", Json::Null),
        ("suffix", "ben@example.org", json!("three")),
        ("suffix", "ada@example.org", json!("two")),
        ("suffix", "\u{e9}", Json::Null),
    ] {
        check(&of(matching), &json!({ "actor": { "user": { "name": name } } }), "/enrichments/0/data/team", team);
    }
}

#[test]
fn a_window_holds_from_its_beginning_until_before_its_end() {
    let declaration = "kind = \"windows\"\nreads = [\"cloud.account.uid\"]\n[[table]]\nfile = \"t.csv\"\nkey = \"account\"\n\
        [gives]\n\"enrichments.data.change\" = \"ticket\"\n";
    let table = "from,until,account,ticket\n2026-11-12T01:00:00Z,2026-11-12T02:00:00Z,111,CHG-1\n2026-11-12,2026-11-13,,CHG-2\n\
        2026-11-12T01:30:00Z,2026-11-12T01:40:00Z,111,CHG-3\n";
    let windows = enrichments(declaration, "t.csv", table.as_bytes());
    for (at, account, ticket) in [
        ("2026-11-12T01:00:00Z", "111", json!("CHG-1")),
        ("2026-11-12T01:35:00Z", "111", json!("CHG-3")),
        ("2026-11-12T01:59:59Z", "111", json!("CHG-1")),
        ("2026-11-12T02:00:00Z", "111", json!("CHG-2")),
        ("2026-11-12T01:00:00Z", "222", json!("CHG-2")),
        ("2026-11-13T00:00:00Z", "222", Json::Null),
    ] {
        let event = json!({ "time": vigie_model::parse_rfc3339(at).unwrap(), "cloud": { "account": { "uid": account } } });
        check(&windows, &event, "/enrichments/0/data/change", ticket);
    }
    let event = json!({ "time": vigie_model::parse_rfc3339("2026-11-12T03:00:00Z").unwrap() });
    check(&windows, &event, "/enrichments/0/value", json!("2026-11-12T03:00:00Z"));
}

#[test]
fn a_list_that_a_provider_publishes_is_read() {
    let declaration = "kind = \"ranges\"\nreads = [\"src_endpoint.ip\"]\n[[table]]\nfile = \"t.json\"\nrows = \"values\"\nkey = \"network\"\n\
        columns = { network = \"properties.prefixes\", service = \"name\" }\nfixed = { provider = \"Acme\" }\nrepeats = \"join\"\n\
        [gives]\n\"enrichments.data.provider\" = \"provider\"\n\"enrichments.data.service\" = \"service\"\n";
    let list = json!({ "values": [
        { "name": "Store", "properties": { "prefixes": ["192.0.2.0/25", "2001:db8::/48"] } },
        { "name": "All", "properties": { "prefixes": ["192.0.2.0/25"] } },
        { "name": "None", "properties": {} },
    ] });
    let filled = filled(declaration, "t.json", list.to_string().as_bytes()).unwrap();
    assert_eq!(filled.left_out, 1);
    assert!(filled.faults[0].what.starts_with("item 3: has nothing in `properties.prefixes`"), "{}", filled.faults[0]);
    let ranges = Enrichments::new(vec![filled.enrichment]);
    check(&ranges, &json!({ "src_endpoint": { "ip": "192.0.2.9" } }), "/enrichments/0/data/service", json!("Store, All"));
    check(&ranges, &json!({ "src_endpoint": { "ip": "2001:db8::9" } }), "/enrichments/0/data/provider", json!("Acme"));
}

#[test]
fn a_database_of_networks_is_read() {
    let declaration = "kind = \"mmdb\"\nreads = [\"src_endpoint.ip\"]\n[[table]]\nfile = \"t.mmdb\"\n\
        [gives]\n\".location.country\" = \"country_code|country.iso_code\"\n\".autonomous_system.number\" = { column = \"asn\", type = \"integer\" }\n";
    let found = filled(declaration, "t.mmdb", &mmdb::made::database()).unwrap();
    assert_eq!(found.enrichment.built(), Some(1_794_448_327_000));
    let found = Enrichments::new(vec![found.enrichment]);
    let event = json!({ "src_endpoint": { "ip": "100.64.0.1" } });
    check(&found, &event, "/src_endpoint/location/country", json!("AX"));
    check(&found, &event, "/src_endpoint/autonomous_system/number", json!(64500));
    for unknown in ["203.0.113.1", "2001:db8::1"] {
        check(&found, &json!({ "src_endpoint": { "ip": unknown } }), "/enrichments", Json::Null);
    }
    let error = filled(declaration, "t.mmdb", b"no database").unwrap_err();
    assert!(error.contains("t.mmdb: is no MaxMind DB"), "{error}");
    // Cut anywhere, it is refused or has nothing more to say; it never ends the run.
    let whole = mmdb::made::database();
    for end in 0..whole.len() {
        if let Ok(cut) = filled(declaration, "t.mmdb", &whole[..end]) {
            let _ = Enrichments::new(vec![cut.enrichment]).document(&event.to_string());
        }
    }
}

#[test]
fn a_bad_row_costs_itself_and_is_named() {
    let table =
        "network,country,asn,zone\n203.0.113.1/24,AX,1,a\n192.0.2.0/24,FI,many,b\n198.51.100.0/24,FI\n\n198.51.100.0/24,FI,7,c\n";
    let filled = filled(RANGES, "t.csv", table.as_bytes()).unwrap();
    let told: Vec<String> = filled.faults.iter().map(ToString::to_string).collect();
    assert_eq!(filled.left_out, 3);
    for said in
        ["line 2: `203.0.113.1/24` has an address inside", "line 3: its `asn` is `many`", "line 4: has 2 cells, and the header 4"]
    {
        assert!(told.iter().any(|line| line.starts_with("t.csv: ") && line.contains(said)), "{said}: {told:?}");
    }
    let ranges = Enrichments::new(vec![filled.enrichment]);
    check(&ranges, &json!({ "src_endpoint": { "ip": "198.51.100.7" } }), "/enrichments/0/data/zone", json!("c"));
    let yaml = b"- uid: a\n  owner: [x]\n- uid: b\n  owner: ben\n";
    let filled = self::filled(OWNERS, "t.yaml", yaml).unwrap();
    assert!(filled.left_out == 1 && filled.faults[0].what.starts_with("line 1: "), "{:?}", filled.faults);
}

#[test]
fn a_wrong_table_is_said_in_a_sentence() {
    refused(
        RANGES,
        "network,country\n203.0.113.0/24,AX\n192.0.2.0/24,AX\n203.0.113.0/24,FI\n",
        "t.csv: line 4: the same network stands on line 2 already",
    );
    refused(OWNERS, "uid,owner\na,x\na,y\n", "line 3: `a` stands on line 2 already: keep one of the two rows");
    refused(RANGES, "", "t.csv: is empty");
    refused(RANGES, "net,country\n203.0.113.0/24,AX\n", "has no column `network`");
    refused(RANGES, "network,land\n203.0.113.0/24,AX\n", "has none of the columns");
    refused(RANGES, "network,country\n203.0.113.0,AX,\n", "no row can be read; the first: line 2");
    let range = |from: &str, to: &str| RANGES.replace(from, to);
    refused(&range("\".location.country\"", "\"country\""), "", "`country` can be given by no table");
    refused(&range("enrichments.data.zone", "enrichments.zone"), "", "`enrichments.zone` can be given by no table");
    refused(&range("key = \"network\"\n", ""), "", "has no `key`");
    refused(&range("kind = \"ranges\"", "kind = \"mmdb\""), "", "is of another kind");
    refused(&range("reads = [\"src_endpoint.ip\", \"dst_endpoint.ip\"]", "reads = []"), "", "reads nothing");
}

/// Fills an event with these values at paths, and gives what then stands at one of them.
fn fill_event(enrichments: &Enrichments, values: &[(&str, &'static str)], wanted: &str, wants: Wants) -> (Vec<String>, String) {
    let mut paths = PathSet::new();
    let slot = paths.intern(wanted);
    enrichments.add_reads(&mut paths, wants);
    let enricher = enrichments.enricher(&paths, &[], wants);
    let mut event = Event::default();
    event.reset(paths.len());
    for (path, value) in values {
        if let Some(slot) = paths.slot(path) {
            match &mut event.values[slot.index()] {
                Some(_) => event.more.push((slot, Value::Text((*value).into()))),
                free => *free = Some(Value::Text((*value).into())),
            }
        }
    }
    let mut told = String::new();
    enricher.enrich_and_tell(&mut event, &mut told);
    let texts = |event: &Event<'_>| {
        let mut texts = Vec::new();
        vigie_record::Fields::each_value(event, slot, &mut |value| texts.extend(value.text().map(|text| text.into_owned())));
        texts
    };
    let found = texts(&event);
    // What was told gives an event the same, without any table.
    let mut again = Event::default();
    again.reset(paths.len());
    enrichments.enricher(&paths, &[], wants).restore(&mut again, &told);
    if values.iter().all(|(path, _)| *path != wanted) {
        assert_eq!(texts(&again), found, "{told}");
    }
    (found, told)
}

#[test]
fn an_event_gets_what_its_document_gets() {
    let ranges = enrichments(RANGES, "t.csv", RANGE_ROWS.as_bytes());
    let address = [("src_endpoint.ip", "203.0.113.200")];
    for (wanted, expected) in [
        ("src_endpoint.location.country", vec!["AX"]),
        ("src_endpoint.autonomous_system.number", vec!["64501"]),
        ("enrichments.data.zone", vec!["inner"]),
        ("dst_endpoint.location.country", vec![]),
        ("src_endpoint.ip", vec!["203.0.113.200"]),
    ] {
        assert_eq!(fill_event(&ranges, &address, wanted, Wants::All).0, expected, "{wanted}");
    }
    let said = [("src_endpoint.ip", "203.0.113.200"), ("src_endpoint.location.country", "SE")];
    assert_eq!(fill_event(&ranges, &said, "src_endpoint.location.country", Wants::Wanted).0, ["SE"]);
    let owners = enrichments(OWNERS, "t.csv", b"uid,owner\na,ada\nb,ben\n");
    let resources = [("resources.uid", "a"), ("resources.uid", "c"), ("resources.uid", "b")];
    let (names, told) = fill_event(&owners, &resources, "resources.owner.name", Wants::All);
    assert_eq!(names, ["ada", "ben"]);
    // A stored list enriches a document as the table did.
    let document = json!({ "resources": [{ "uid": "b" }, { "uid": "a" }] }).to_string();
    let mut root = crate::passthrough::tree(document.as_bytes());
    Enriching::Stored(&told).apply(&mut root);
    let made: Json = serde_json::from_str(&crate::document::write(&Node::Map(root))).unwrap();
    assert_eq!(made["resources"][0]["owner"]["name"], json!("ben"), "{made}");
}

/// Nobody pays for what nobody asks.
#[test]
fn an_enrichment_that_nobody_wants_is_not_compiled() {
    let ranges = enrichments(RANGES, "t.csv", RANGE_ROWS.as_bytes());
    let enricher = |wanted: &str, never: &[&str], wants: Wants| {
        let mut paths = PathSet::new();
        paths.intern(wanted);
        ranges.add_reads(&mut paths, wants);
        let enricher = ranges.enricher(&paths, never, wants);
        (enricher.is_empty(), paths.len(), enricher.gives("src_endpoint.location.country"))
    };
    assert_eq!(enricher("verb", &[], Wants::Wanted), (true, 1, false));
    assert_eq!(enricher("src_endpoint.location.country", &[], Wants::Wanted), (false, 3, true));
    assert_eq!(enricher("verb", &[], Wants::All), (false, 3, true));
    // A log without addresses has no country.
    assert_eq!(enricher("src_endpoint.location.country", &["src_endpoint.ip"], Wants::Wanted), (true, 3, false));
}

/// The order of rows does not matter, and a table is named by what is in it.
#[test]
fn a_version_names_declaration_and_table() {
    let version = |declaration: &str, table: &str| {
        enrichments(declaration, "t.csv", table.as_bytes()).iter().next().unwrap().version().to_owned()
    };
    assert_eq!(version(OWNERS, "uid,owner\na,x\n"), version(OWNERS, "uid,owner\na,x\n"));
    assert_ne!(version(OWNERS, "uid,owner\na,x\n"), version(OWNERS, "uid,owner\na,y\n"));
    assert_ne!(version(OWNERS, "uid,owner\na,x\n"), version(&format!("match = \"prefix\"\n{OWNERS}"), "uid,owner\na,x\n"));
}
