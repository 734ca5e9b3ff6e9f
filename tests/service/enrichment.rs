//! What tables say of events in the service: kept with the event, and the same when its columns are made anew.

use std::path::Path;

use serde_json::Value;
use vigie_tests::service::{Service, deliver, record};
use vigie_tests::vigie;

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// What the lake says of its one event.
fn row(data: &Path) -> Value {
    let sql = "select src_endpoint_country as country, enrichment, ocsf('src_endpoint.location.country') as told, \
        ocsf('cloud.account.name') as account, ocsf('api.operation') as operation from events";
    let ran = vigie(&["sql", sql, "--data", data.to_str().unwrap(), "-o", "ndjson"]).unwrap();
    serde_json::from_str(ran.out.trim()).unwrap_or_else(|error| panic!("{error}: {}{}", ran.out, ran.err))
}

#[test]
fn what_tables_said_of_an_event_stays_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let tables = data.join("enrichments");
    let declaration = "format = 1\ntitle = \"Countries\"\nkind = \"ranges\"\nreads = [\"src_endpoint.ip\"]\n\
        [[table]]\nfile = \"countries.csv\"\nkey = \"network\"\n[gives]\n\".location.country\" = \"country\"\n";
    write(&tables.join("countries/enrichment.toml"), declaration);
    write(&tables.join("countries.csv"), "network,country\n192.0.2.0/24,AX\n");
    write(&tables.join("accounts.csv"), "uid,name,owner\n111122223333,shop,Shop team\n");
    let doctor = vigie(&["doctor", "--data", data.to_str().unwrap()]).unwrap();
    assert!(doctor.out.contains("countries (1 rows, 0 days old)"), "{}", doctor.out);

    let service = Service::start(&data, &["--commit-seconds", "0.05"]).unwrap();
    let token = service.token.clone().unwrap();
    assert_eq!(deliver(service.address, &token, "/api/v1/ingest", record(1).as_bytes()).unwrap().0, 200);
    assert!(service.stop());
    let before = row(&data);
    let [country, told, account] = ["country", "told", "account"].map(|name| before[name].as_str().unwrap_or_default());
    assert_eq!((country, told, account), ("AX", "AX", "shop"), "{before}");
    let entries: Value = serde_json::from_str(before["enrichment"].as_str().unwrap()).unwrap();
    let providers: Vec<&str> = entries.as_array().unwrap().iter().map(|entry| entry["provider"].as_str().unwrap()).collect();
    assert_eq!(providers, ["account_owners", "countries", "reserved_ranges"]);
    assert!(entries.as_array().unwrap().iter().all(|entry| entry["data"]["version"].as_str().unwrap().len() == 16), "{entries}");

    // Today's tables say nothing of what happened before.
    std::fs::remove_dir_all(&tables).unwrap();
    assert_eq!(row(&data), before);
    let ran = vigie(&["lake", "rebuild", "--data", data.to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(row(&data), before);
    let export = folder.path().join("events.ndjson");
    let ran = vigie(&["lake", "export", "--data", data.to_str().unwrap(), "--out", export.to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.err);
    let event: Value = serde_json::from_str(std::fs::read_to_string(export).unwrap().trim()).unwrap();
    assert_eq!(event["src_endpoint"]["location"]["country"], "AX", "{event}");
    assert_eq!(event["enrichments"].as_array().unwrap().len(), 4, "the verb and three tables: {event}");
}

#[test]
fn a_service_does_not_start_with_a_wrong_table() {
    let folder = tempfile::tempdir().unwrap();
    let (data, tables) = (folder.path().join("data"), folder.path().join("tables"));
    write(&tables.join("accounts.csv"), "uid,name\n1,a\n1,b\n");
    write(&data.join("vigie.toml"), &format!("[enrich]\nfolder = \"{}\"\n", tables.display()));
    let why = Service::start(&data, &[]).map(|_| ()).unwrap_err().to_string();
    assert!(why.contains("accounts.csv: line 3: `1` stands on line 2 already"), "{why}");
    let shown = vigie(&["config", "show", "--data", data.to_str().unwrap()]).unwrap();
    assert!(shown.out.lines().any(|line| line.starts_with("enrich.folder = ") && line.contains("vigie.toml")), "{}", shown.out);
}
