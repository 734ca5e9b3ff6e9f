//! CloudTrail in every shape people have it in.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use vigie_tests::vigie;

/// A call that a rule of ours finds.
pub fn record(number: u32) -> Value {
    json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser", "principalId": "AIDAWDR4KX6RBQ2FYTM5N", "accountId": "417203958816", "userName": "ci-deploy-bot",
            "arn": "arn:aws:iam::417203958816:user/ci-deploy-bot", "accessKeyId": "AKIAWDR4LMZP3TBNK7QX"
        },
        "eventTime": format!("2026-11-12T02:09:{:02}Z", number % 60),
        "eventSource": "cloudtrail.amazonaws.com", "eventName": "StopLogging", "awsRegion": "eu-west-3",
        "sourceIPAddress": "203.0.113.77", "userAgent": "aws-cli/2.17.32",
        "requestParameters": { "name": format!("trail-{number}") }, "responseElements": null,
        "requestID": format!("00000000-0000-4000-8000-{number:012}"),
        "eventID": format!("10000000-0000-4000-8000-{number:012}"),
        "readOnly": false, "eventType": "AwsApiCall", "managementEvent": true,
        "recipientAccountId": "417203958816", "eventCategory": "Management"
    })
}

/// Bytes as one gzip member.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A table with every cell in quotes.
fn csv(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let line = |cells: Vec<String>| {
        let quoted: Vec<String> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
        format!("{}\r\n", quoted.join(","))
    };
    let header = line(header.iter().map(|&name| name.to_owned()).collect());
    rows.map(line).fold(header, |text, line| text + &line).into_bytes()
}

/// The records as the console, Athena and CloudTrail Lake export them.
fn exports(records: &[Value]) -> Vec<(&'static str, Vec<u8>)> {
    let text = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
    let identity = |record: &Value| {
        let user = &record["userIdentity"];
        let [key, arn, name] = ["accessKeyId", "arn", "userName"].map(|member| text(user, member));
        format!("{{type=IAMUser, principalid=null, arn={arn}, accesskeyid={key}, username={name}, sessioncontext=null}}")
    };
    let names = ["eventName", "eventSource", "eventTime", "awsRegion", "eventID", "recipientAccountId"];
    let console = ["Event name", "Event source", "Event time", "AWS region", "Event ID", "Recipient Account Id", "Read-only"];
    let row = |record: &Value| names.map(|name| text(record, name)).to_vec();
    let history = |record: &Value| [row(record), vec!["false".to_owned()]].concat();
    let athena = |record: &Value| [row(record), vec![identity(record), record["requestParameters"].to_string()]].concat();
    let lower: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let header: Vec<&str> = lower.iter().map(String::as_str).chain(["useridentity", "requestparameters"]).collect();
    let cells = |record: &Value| -> Vec<Value> {
        let mut cells: Vec<Value> = names.iter().map(|name| json!({ *name: record[*name] })).collect();
        cells.push(json!({ "userIdentity": identity(record) }));
        cells
    };
    let lake = json!({ "QueryStatus": "FINISHED", "QueryStatistics": { "ResultsCount": records.len() },
        "QueryResultRows": records.iter().map(cells).collect::<Vec<_>>() });
    let unloaded = |record: &Value| {
        let members = header.iter().zip(athena(record)).map(|(name, cell)| ((*name).to_owned(), Value::String(cell)));
        format!("{}\n", Value::Object(members.collect()))
    };
    let semicolons = String::from_utf8(csv(&console, records.iter().map(history))).unwrap().replace("\",\"", "\";\"");
    vec![
        ("history.csv", csv(&console, records.iter().map(history))),
        ("semicolons.csv", format!("\u{feff}{semicolons}").into_bytes()),
        ("athena.csv", csv(&header, records.iter().map(athena))),
        ("athena.csv.gz", gzip(&csv(&header, records.iter().map(athena)))),
        ("lake.csv", csv(&["eventJson"], records.iter().map(|record| vec![record.to_string()]))),
        ("lake.json", serde_json::to_vec_pretty(&lake).unwrap()),
        ("unloaded.json", records.iter().map(unloaded).collect::<String>().into_bytes()),
    ]
}

/// Hunts one file and gives the ids of the events found.
fn found(folder: &Path, name: &str, bytes: &[u8]) -> Vec<String> {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    let ran = vigie(&["hunt", path.to_str().unwrap(), "-o", "ndjson", "--min-level", "high"]).unwrap();
    let mut ids: Vec<String> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|finding| finding["finding_info"]["title"] == "Audit trail stopped")
        .map(|finding| finding["finding_info"]["related_events"][0]["uid"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[test]
fn every_shape_gives_the_same_events() {
    let folder = tempfile::tempdir().unwrap();
    let records: Vec<Value> = (0..3).map(record).collect();
    let ids: Vec<String> = records.iter().map(|record| record["eventID"].as_str().unwrap().to_owned()).collect();
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    let envelope = json!({ "Records": records }).to_string();
    let bridge: String = records
        .iter()
        .map(|record| {
            let event = json!({ "version": "0", "id": "x", "detail-type": "AWS API Call via CloudTrail", "source": "aws.cloudtrail",
                "account": "417203958816", "time": "2026-11-12T02:10:00Z", "region": "eu-west-3", "resources": [], "detail": record });
            format!("{event}\n")
        })
        .collect();
    let lookup = json!({ "Events": records.iter().map(|record| json!({
        "EventId": record["eventID"], "EventName": "StopLogging", "ReadOnly": "false", "EventTime": 1794449340.0,
        "EventSource": "cloudtrail.amazonaws.com", "Username": "ci-deploy-bot", "Resources": [],
        "CloudTrailEvent": record.to_string() })).collect::<Vec<_>>() });
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(envelope.len() as u64);
    header.set_cksum();
    tar.append_data(&mut header, "AWSLogs/one.json", envelope.as_bytes()).unwrap();
    let tar = tar.into_inner().unwrap();
    let shapes: [(&str, Vec<u8>); 10] = [
        ("envelope.json", envelope.clone().into_bytes()),
        ("lines.ndjson", lines.clone().into_bytes()),
        ("array.json", serde_json::to_vec(&records).unwrap()),
        ("pretty.json", serde_json::to_vec_pretty(&json!({ "Records": records })).unwrap()),
        (
            "values.json",
            records
                .iter()
                .map(|record| serde_json::to_string_pretty(record).unwrap())
                .collect::<Vec<_>>()
                .join("\n")
                .into_bytes(),
        ),
        ("envelope.json.gz", gzip(envelope.as_bytes())),
        ("members.json.gz", records.iter().flat_map(|record| gzip(format!("{record}\n").as_bytes())).collect()),
        ("bridge.json", bridge.into_bytes()),
        ("lookup.json", serde_json::to_vec_pretty(&lookup).unwrap()),
        ("tree.tar.gz", gzip(&tar)),
    ];
    for (name, bytes) in shapes.into_iter().chain(exports(&records)) {
        assert_eq!(found(folder.path(), name, &bytes), ids, "{name}");
    }
}

/// A gz cut short keeps its whole records, and the run says that part was unreadable.
#[test]
fn a_cut_file_keeps_its_whole_records() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..2000).map(|number| format!("{}\n", record(number))).collect();
    let mut bytes = gzip(lines.as_bytes());
    bytes.truncate(bytes.len() / 2);
    let path = folder.path().join("cut.json.gz");
    fs::write(&path, bytes).unwrap();
    let ran = vigie(&["hunt", path.to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 4, "{}", ran.out);
    assert!(ran.out.contains("could not be read to their end"), "{}", ran.out);
    assert!(ran.out.contains("Audit trail stopped"), "{}", ran.out);
}

/// One bad record costs exactly that record.
#[test]
fn one_bad_record_costs_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut lines: Vec<String> = (0..100).map(|number| record(number).to_string()).collect();
    lines[50] = lines[50][..200].to_owned();
    let path = folder.path().join("bad.ndjson");
    fs::write(&path, lines.join("\n")).unwrap();
    let ran = vigie(&["hunt", path.to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 4);
    assert!(ran.out.contains("in 99 events"), "{}", ran.out);
    assert!(ran.out.contains("1 records are malformed"), "{}", ran.out);
}

/// A row of a table that cannot be read costs exactly that row, and is named with its place.
#[test]
fn one_bad_row_costs_itself() {
    let folder = tempfile::tempdir().unwrap();
    let records: Vec<Value> = (0..100).map(record).collect();
    let (_, bytes) = exports(&records).swap_remove(0);
    let mut lines: Vec<String> = String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect();
    let place: usize = lines[..100].iter().map(|line| line.len() + 1).sum();
    lines[100] = "\"never closed".to_owned();
    let path = folder.path().join("bad.csv");
    fs::write(&path, lines.join("\n")).unwrap();
    let ran = vigie(&["hunt", path.to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 4);
    assert!(ran.out.contains("in 99 events"), "{}", ran.out);
    assert!(ran.out.contains(&format!("at byte {place}: the record has a quote that is never closed")), "{}", ran.out);
}

/// A folder of something else says what it saw and how to get logs.
#[test]
fn a_foreign_folder_says_what_it_saw() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("table.csv"), "a,b,c,d\n1,2,3,4\n").unwrap();
    fs::write(folder.path().join("picture.bin"), [0u8, 1, 2, 3]).unwrap();
    let ran = vigie(&["hunt", folder.path().to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.out);
    for said in ["no events", "CSV", "binary data", "aws s3 sync"] {
        assert!(ran.out.contains(said), "{said}: {}", ran.out);
    }
}

/// A gzip bomb is refused at once.
#[test]
fn done_hunt_5_gzip_bomb() {
    let folder = tempfile::tempdir().unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b' '; 1 << 20];
    (0..1024).for_each(|_| encoder.write_all(&zeros).unwrap());
    let path = folder.path().join("bomb.json.gz");
    fs::write(&path, encoder.finish().unwrap()).unwrap();
    let start = std::time::Instant::now();
    let ran = vigie(&["hunt", path.to_str().unwrap()]).unwrap();
    let took = start.elapsed();
    assert_eq!(ran.code, 4, "{}", ran.out);
    assert!(ran.out.contains("expands more than 250 times"), "{}", ran.out);
    println!("1 GiB refused in {took:?}");
}

/// Records of a log without a mapping are matched as they are.
#[test]
fn any_log_is_matched_natively() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("okta.json"),
        "{\"eventType\":\"user.lock\",\"uuid\":\"u1\",\"published\":\"2026-11-12T01:00:00Z\"}\n",
    )
    .unwrap();
    let rule = "title: User locked\nid: 6f1f3a52-6d6c-4a0f-9d8e-0c8f2a3b4c5d\nlogsource: {product: okta, service: okta}\ndetection: {s: {eventType: user.lock}, condition: s}\nlevel: medium\n";
    fs::write(folder.path().join("rule.yml"), rule).unwrap();
    let logs = folder.path().join("okta.json");
    let rules = folder.path().join("rule.yml");
    let ran = vigie(&["hunt", logs.to_str().unwrap(), "--log", "okta/okta", "--rules", rules.to_str().unwrap(), "-o", "ndjson"])
        .unwrap();
    assert_eq!(ran.code, 3, "{}", ran.err);
    let finding: Value = serde_json::from_str(ran.out.trim()).unwrap();
    assert_eq!(finding["finding_info"]["related_events"][0]["uid"], "u1");
    assert_eq!(finding["finding_info"]["analytic"]["uid"], "6f1f3a52-6d6c-4a0f-9d8e-0c8f2a3b4c5d");
}

/// A Sigma filter silences, and the report says so.
#[test]
fn filters_silence_and_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs.json");
    fs::write(&logs, (0..5).map(|number| format!("{}\n", record(number))).collect::<String>()).unwrap();
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).unwrap();
    fs::write(rules.join("a.yml"), "title: Stop\nname: stop\nid: 0d6a1c1e-1111-4a0f-9d8e-0c8f2a3b4c5d\nlogsource: {product: aws, service: cloudtrail}\ndetection: {s: {eventName: StopLogging}, condition: s}\nlevel: high\n").unwrap();
    fs::write(rules.join("b.yml"), "title: Known trail\nlogsource: {product: aws, service: cloudtrail}\nfilter:\n  rules: [stop]\n  selection: {requestParameters.name: [trail-1, trail-2]}\n  condition: not selection\n").unwrap();
    let ran = vigie(&["hunt", logs.to_str().unwrap(), "--no-builtin", "--rules", rules.to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("2 findings silenced by 1 filters"), "{}", ran.out);
    assert!(ran.out.contains("3 findings in 5 events"), "{}", ran.out);
}
