//! Columns made anew from the records: the same ids and the same rows.

use std::path::Path;

use vigie_tests::service::{Service, deliver, record};
use vigie_tests::vigie;

const MAPPING: &str = "vendors/aws/logs/cloudtrail/mapping.toml";

fn rows(data: &Path, sql: &str) -> Vec<String> {
    let ran = vigie(&["sql", sql, "--data", data.to_str().unwrap(), "-o", "ndjson"]).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out.lines().map(str::to_owned).collect()
}

fn rebuild(data: &Path, more: &[&str]) -> String {
    let mut arguments = vec!["lake", "rebuild", "--data", data.to_str().unwrap()];
    arguments.extend(more);
    let ran = vigie(&arguments).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out
}

#[test]
fn done_lake_5_rebuild_gives_the_same_ids_and_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (data, content) = (folder.path().join("data"), folder.path().join("content"));
    let service = Service::start(&data, &["--commit-seconds", "0.2"]).unwrap();
    let token = service.token.clone().unwrap();
    for batch in 0..20u64 {
        let mut body: String = (batch * 100..batch * 100 + 100).map(|number| record(number) + "\n").collect();
        body.push_str("{\"eventVersion\": broken\n{\"time\":\"2026-11-18T08:00:00Z\",\"host\":\"h\"}\n{\"host\":\"no time\"}\n");
        assert_eq!(deliver(service.address, &token, "/api/v1/ingest", body.as_bytes()).unwrap().0, 200);
        let foreign = b"\xFF\xFE no text";
        assert_eq!(deliver(service.address, &token, "/api/v1/ingest", foreign).unwrap().0, 200);
    }
    assert!(service.stop());
    let all = "select * from events order by event_id";
    let before = rows(&data, all);
    assert_eq!(before.len(), 20 * 104);

    // By another mapping the columns are other ones, and the ids are not.
    let mapping = Path::new(env!("CARGO_MANIFEST_DIR")).join("../content").join(MAPPING);
    let changed = std::fs::read_to_string(mapping).unwrap().replace("\"text(userAgent)\"", "\"text(eventID)\"");
    let path = content.join(MAPPING);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, changed).unwrap();
    rebuild(&data, &["--content", content.to_str().unwrap()]);
    let agents = "select count(*) as same from events where user_agent = metadata_uid";
    assert_eq!(rows(&data, agents), ["{\"same\":2000}"], "columns come from the records");
    let ids = |rows: &[String]| rows.iter().map(|row| row[..50].to_owned()).collect::<Vec<_>>();
    let between = rows(&data, all);
    assert!(ids(&between) == ids(&before), "ids stay");

    let said = rebuild(&data, &[]);
    assert!(said.contains(&format!("{} events", before.len())), "{said}");
    let after = rows(&data, all);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after, "the same rows again");
    }
    assert_eq!(before.len(), after.len());
    println!("{} events, in quarantine and without a mapping too: the same ids and rows", after.len());
}
