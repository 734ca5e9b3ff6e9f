//! The lake without Vigie: DuckDB and ClickHouse read the same rows by the Delta log alone.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;
use vigie_tests::service::{Service, ask, deliver, record};
use vigie_tests::vigie;

use crate::python;

const SUMS: &str = "select count(*), count(distinct metadata_uid), sum(class_uid), sum(length(raw)) from events";

/// Another engine over a table.
pub(crate) struct Reader {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Reader {
    pub(crate) fn new(engine: &str, table: &Path) -> Reader {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("service/readers.py");
        let mut child = Command::new(python())
            .arg(script)
            .arg(engine)
            .arg(table)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (questions, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Reader { child, questions, answers }
    }

    pub(crate) fn ask(&mut self, sql: &str) -> Vec<i128> {
        writeln!(self.questions, "{sql}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let rows: Vec<Vec<String>> = serde_json::from_str(&line).expect(&line);
        rows[0].iter().map(|cell| cell.parse().unwrap_or(0)).collect()
    }

    pub(crate) fn end(mut self) {
        drop(self.questions);
        assert!(self.child.wait().unwrap().success());
    }
}

/// The first row of an answer of ours.
pub(crate) fn ours(data: &Path, sql: &str) -> Vec<i128> {
    let ran = vigie(&["sql", sql, "--data", data.to_str().unwrap(), "-o", "csv"]).unwrap();
    let row = ran.out.lines().nth(1).expect(&ran.err);
    row.split(',').map(|cell| cell.parse().unwrap_or(0)).collect()
}

#[test]
fn done_lake_6_duckdb_reads_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let data: PathBuf = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("vigie.toml"), "[commit]\nwait_seconds = 0.05\n[upkeep]\nseconds = 0.2\n").unwrap();
    let service = Service::start(&data, &[]).unwrap();
    let token = service.token.clone().unwrap();
    let table = data.join("lake/main/events");
    let mut readers = ["duckdb", "clickhouse"].map(|engine| Reader::new(engine, &table));
    let mut during = 0;
    for batch in 0..40u64 {
        let body: String = (batch * 250..(batch + 1) * 250).map(|number| record(number) + "\n").collect();
        assert_eq!(deliver(service.address, &token, "/api/v1/ingest/aws/cloudtrail", body.as_bytes()).unwrap().0, 200);
        if batch % 4 == 3 {
            let count = |rows: &[Vec<Value>]| i128::from(rows[0][0].as_u64().unwrap());
            for reader in &mut readers {
                let before = count(&ask(service.address, &token, "select count(*) from events").unwrap());
                let theirs = reader.ask("select count(*), count(distinct metadata_uid) from events");
                let after = count(&ask(service.address, &token, "select count(*) from events").unwrap());
                assert!(before <= theirs[0] && theirs[0] <= after && theirs[0] == theirs[1], "{before} {theirs:?} {after}");
                during += 1;
            }
        }
    }
    assert!(service.stop());
    let sums = ours(&data, SUMS);
    assert_eq!((sums[0], sums[1]), (10_000, 10_000));
    for reader in &mut readers {
        assert_eq!(reader.ask(SUMS), sums, "after ingest");
    }
    assert_eq!(vigie(&["lake", "compact", "--data", data.to_str().unwrap()]).unwrap().code, 0);
    assert_eq!(ours(&data, SUMS), sums, "compaction changes no sum");
    for reader in &mut readers {
        assert_eq!(reader.ask(SUMS), sums, "after compaction");
    }
    std::fs::write(data.join("vigie.toml"), "[retention]\ndays = 1\n").unwrap();
    let ran = vigie(&["lake", "purge", "--data", data.to_str().unwrap()]).unwrap();
    assert!(ran.out.starts_with("10000 events"), "{} {}", ran.out, ran.err);
    for mut reader in readers {
        assert_eq!((ours(&data, SUMS)[0], reader.ask(SUMS)[0]), (0, 0), "after retention");
        reader.end();
    }
    println!(
        "DuckDB and ClickHouse agreed {during} times during ingest, then on {} events before and after compaction and retention",
        sums[0]
    );
}
