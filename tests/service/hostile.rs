//! Statements that want more than to read one tenant's events (D19, G34).

use vigie_tests::service::{Service, ask, deliver, record, request};

/// Statements that must be refused: they write, set, or reach outside.
fn refused() -> Vec<String> {
    let written = include_str!("hostile_refused.txt").lines();
    let strange = ["", "\u{0}", "select \u{0} from events", "\u{FEFF}drop table events", "sel\u{0435}ct * from events"];
    let list = written.chain(strange).map(str::to_owned);
    let deep = [
        format!("select {}1{}", "(".repeat(20_000), ")".repeat(20_000)),
        format!("select {}1", "-".repeat(3) + &"not ".repeat(10_000)),
        format!("select 1 {}", "union select 1 ".repeat(10_000)),
        format!("select {}1{}", "case when true then ".repeat(5_000), " end".repeat(5_000)),
        format!("{}select 1{}", "select * from (".repeat(4_000), ")".repeat(4_000)),
        format!("select * from events where raw in ({})", "'x',".repeat(60_000)),
        "x".repeat(1_000_000),
    ];
    list.chain(deep).collect()
}

/// Statements that are answered, or end at a limit with a sentence.
fn bounded() -> Vec<String> {
    let wide =
        |count: usize| vec!["events"; count].iter().enumerate().map(|(n, e)| format!("{e} e{n}")).collect::<Vec<_>>().join(", ");
    let mut list: Vec<String> = include_str!("hostile_bounded.txt").lines().map(str::to_owned).collect();
    list.extend((2..=6).map(|count| format!("select count(*) from {}", wide(count))));
    list.extend((1..=30).map(|count| {
        format!(
            "select {} from events limit 1",
            vec!["raw"; count * 20].iter().enumerate().map(|(n, c)| format!("{c} as c{n}")).collect::<Vec<_>>().join(", ")
        )
    }));
    list.extend((1..=20).map(|depth| format!("{}select * from events{}", "select * from (".repeat(depth), ")".repeat(depth))));
    list
}

#[test]
fn done_lake_8_hostile_sql_is_refused_or_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("vigie.toml"), "[commit]\nwait_seconds = 0.05\n[query]\nseconds = 2\n").unwrap();
    let service = Service::start(&data, &[]).unwrap();
    let token = service.token.clone().unwrap();
    let body: String = (0..2000).map(|number| record(number) + "\n").collect();
    assert_eq!(deliver(service.address, &token, "/api/v1/ingest/aws/cloudtrail", body.as_bytes()).unwrap().0, 200);
    let bearer = format!("Bearer {token}");
    let send = |sql: &str| {
        let body = serde_json::json!({ "sql": sql }).to_string();
        request(
            service.address,
            "POST",
            "/api/v1/sql",
            &[("authorization", &bearer), ("content-type", "application/json")],
            body.as_bytes(),
        )
    };
    let (no, maybe) = (refused(), bounded());
    for sql in &no {
        let shown: String = sql.chars().take(80).collect();
        let (status, answer) = send(sql).unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert!((400..500).contains(&status), "{shown}: {status} {}", answer.chars().take(300).collect::<String>());
        assert!(!answer.contains("root:"), "{shown} reads a file");
    }
    let mut answered = 0;
    for sql in &maybe {
        let (status, answer) = send(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(status == 200 || (400..=500).contains(&status), "{sql}: {status} {answer}");
        answered += u32::from(status == 200);
    }
    assert_eq!(
        ask(service.address, &token, "select count(*) from events").unwrap()[0][0].as_u64(),
        Some(2000),
        "the process is alive"
    );
    let peak_mib = service.memory_peak_bytes().unwrap() / (1024 * 1024);
    assert!(peak_mib <= 1024, "{peak_mib} MiB");
    println!(
        "{} statements: {} refused, {} answered or stopped at a limit ({answered} answered), peak {peak_mib} MiB",
        no.len() + maybe.len(),
        no.len(),
        maybe.len()
    );
}
