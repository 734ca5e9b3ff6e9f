//! Tables of the user: what they say of events, in findings, documents and reports, and what is said of wrong ones.

use std::fs;
use std::path::Path;

use serde_json::Value;
use vigie_tests::{Ran, vigie};

use crate::shapes::record;

const COUNTRIES: &str = "format = 1\ntitle = \"Countries\"\nkind = \"ranges\"\nreads = [\"src_endpoint.ip\"]\n\
    [[table]]\nfile = \"countries.csv\"\nkey = \"network\"\n\
    [gives]\n\".location.country\" = \"country\"\n\".autonomous_system.name\" = \"holder\"\n";
const COUNTRY_ROWS: &str = "network,country,holder\n203.0.113.0/24,FI,Example Transit\n203.0.113.64/26,AX,Example Hosting\n";
const ACCOUNTS: &str = "- uid: \"417203958816\"\n  name: shop\n  owner: Shop team\n  criticality: high\n";
const RULE: &str = "title: From the islands\nid: 0d6a1c1e-4444-4a0f-9d8e-0c8f2a3b4c5d\nlogsource: {product: ocsf}\n\
    detection: {s: {src_endpoint.location.country: AX}, condition: s}\nlevel: high\n";

/// A folder with a log of two events, tables and a rule.
struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new(rule: &str) -> Case {
        let case = Case { folder: tempfile::tempdir().unwrap() };
        let lines: String = (1..3).map(|number| format!("{}\n", record(number))).collect();
        case.write("logs.json", &lines);
        case.write("rule.yml", rule);
        case.write("tables/countries/enrichment.toml", COUNTRIES);
        case.write("tables/countries/countries.csv", COUNTRY_ROWS);
        case.write("tables/accounts.yaml", ACCOUNTS);
        case
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Hunts with the rule alone.
    fn hunt(&self, more: &[&str]) -> Ran {
        let (logs, rule) = (self.path("logs.json"), self.path("rule.yml"));
        let mut arguments = vec!["hunt", logs.as_str(), "--no-builtin", "--rules", rule.as_str()];
        arguments.extend(more);
        vigie(&arguments).unwrap()
    }

    /// The same with the tables.
    fn enriched(&self, more: &[&str]) -> Ran {
        let tables = self.path("tables");
        self.hunt(&[["--enrichments", tables.as_str()].as_slice(), more].concat())
    }
}

#[test]
fn a_rule_on_a_country_fires_where_a_table_gives_it() {
    let case = Case::new(RULE);
    let ran = case.enriched(&["-o", "ndjson"]);
    assert!(ran.code == 3 && ran.out.lines().count() == 2, "{}{}", ran.out, ran.err);
    let finding: Value = serde_json::from_str(ran.out.lines().next().unwrap()).unwrap();
    let data = &finding["evidences"][0]["data"];
    assert_eq!(data["src_endpoint.location.country"], "AX", "{finding}");
    assert_eq!(data["src_endpoint.autonomous_system.name"], "Example Hosting", "{finding}");
    let told = case.enriched(&[]);
    assert!(told.out.contains("203.0.113.77 (AX, Example Hosting)"), "{}", told.out);
    // Without a table nobody knows.
    let ran = case.hunt(&["-o", "ndjson"]);
    assert!(ran.code == 0 && ran.out.is_empty(), "{}{}", ran.out, ran.err);
}

#[test]
fn a_rule_that_needs_a_table_is_blind_without_it() {
    let rule = RULE.replace("src_endpoint.location.country: AX", "enrichments.data.account_owner: Shop team");
    let case = Case::new(&format!("{rule}vigie: {{providers: [aws]}}\n"));
    let told = case.hunt(&[]);
    assert!(told.code == 0 && told.out.contains("From the islands"), "{}", told.out);
    let told = case.enriched(&["-o", "ndjson"]);
    assert!(told.code == 3 && told.out.lines().count() == 2, "{}{}", told.out, told.err);
    assert!(told.err.contains("account_owners (1 rows, 0 days old)"), "{}", told.err);
}

#[test]
fn a_document_carries_what_tables_say() {
    let case = Case::new(RULE);
    let ran = case.enriched(&["--explain", "10000000-0000-4000-8000-000000000001"]);
    let (_, document) = ran.out.split_once("\nOCSF\n").unwrap_or_else(|| panic!("{}{}", ran.out, ran.err));
    let document: Value = serde_json::from_str(document).unwrap();
    assert_eq!(document["src_endpoint"]["location"]["country"], "AX");
    assert_eq!(document["cloud"]["account"]["name"], "shop");
    let entries = document["enrichments"].as_array().unwrap();
    let of = |provider: &str| entries.iter().find(|entry| entry["provider"] == provider).unwrap_or_else(|| panic!("{entries:?}"));
    assert_eq!(of("account_owners")["data"]["account_owner"], "Shop team");
    assert_eq!((&of("countries")["name"], &of("countries")["value"]), (&"src_endpoint.ip".into(), &"203.0.113.77".into()));
    assert_eq!(of("countries")["data"]["version"].as_str().unwrap().len(), 16);
    assert_eq!(of("reserved_ranges")["data"]["address_kind"], "documentation");
}

#[test]
fn a_rule_may_read_what_comes_with_vigie() {
    let rule = RULE.replace("src_endpoint.location.country: AX", "enrichments.data.address_kind: documentation");
    let case = Case::new(&rule);
    let ran = case.hunt(&["-o", "ndjson"]);
    assert!(ran.code == 3 && ran.out.lines().count() == 2, "{}{}", ran.out, ran.err);
}

#[test]
fn a_change_that_was_announced_silences_a_rule() {
    let rule = RULE.replace(
        "{s: {src_endpoint.location.country: AX}, condition: s}",
        "{s: {verb: log.trail.disable}, c: {enrichments.data.change_ticket|exists: true}, condition: s and not c}",
    );
    let case = Case::new(&rule);
    assert_eq!(case.enriched(&["-o", "ndjson"]).out.lines().count(), 2);
    // The second event happens a second after the first.
    case.write("tables/changes.csv", "from,until,account,ticket\n2026-11-12T02:00:00Z,2026-11-12T02:09:02Z,417203958816,CHG-1\n");
    let ran = case.enriched(&["-o", "ndjson"]);
    assert!(ran.out.lines().count() == 1 && ran.out.contains("10000000-0000-4000-8000-000000000002"), "{}{}", ran.out, ran.err);
}

#[test]
fn a_wrong_table_is_said_in_a_sentence() {
    let case = Case::new(RULE);
    let said = |name: &str, text: &str, code: i32, sentence: &str| {
        case.write(name, text);
        let ran = case.enriched(&["-o", "ndjson"]);
        assert!(ran.code == code && ran.err.contains(sentence), "{sentence}: {} {}", ran.code, ran.err);
        fs::remove_file(case.folder.path().join(name)).unwrap();
    };
    said("tables/accounts.csv", "uid,owner\n1,a\n1,b\n", 1, "accounts.csv: line 3: `1` stands on line 2 already");
    said(
        "tables/accounts.csv",
        "uid,owner\n1\n2,b\n",
        3,
        "accounts.csv: line 2: has 1 cells, and the header 2; this row is left out",
    );
    said("tables/country.mmdb", "no database", 1, "country.mmdb: is no MaxMind DB that can be read");
    said("tables/owner.csv", "uid,owner\n1,a\n", 3, "owner.csv` is the table of no enrichment");
    said(
        "tables/own/enrichment.toml",
        &COUNTRIES.replace("countries.csv", "none.csv"),
        1,
        "`own` has none of its tables: put `none.csv`",
    );
    said("tables/own/enrichment.toml", "format = 9\n", 1, "own/enrichment.toml: ");
    let ran = case.hunt(&["--enrichments", "no-such-folder"]);
    assert!(ran.code == 2 && ran.err.contains("`no-such-folder` is no folder of enrichments"), "{}", ran.err);
}

#[test]
fn an_enrichment_is_tested_on_its_fixture() {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../content/enrichments/account_owners");
    let test = |name: &str, change: &dyn Fn(&str) -> String| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("enrichments/account_owners").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, change(&fs::read_to_string(ours.join(name)).unwrap())).unwrap();
        let ran = vigie(&["test", folder.path().to_str().unwrap()]).unwrap();
        (ran.code, ran.out)
    };
    let (code, out) = test("expected/known.json", &|text| text.replace("Shop team", "Other team"));
    assert!(
        code == 3
            && out.contains("FAIL enrichments/account_owners/samples/known.json: enrichments.0.data.account_owner: expected"),
        "{out}"
    );
    let (code, out) = test("samples/known.json", &|text| text.replace("111122223333", "9"));
    assert!(code == 3 && out.contains("FAIL enrichments/account_owners/samples/known.json"), "{out}");
    let (code, out) = test("fixture.csv", &|text| text.replace("444455556666", "111122223333"));
    assert!(code == 3 && out.contains("`111122223333` stands on line 2 already"), "{out}");
}
