//! Statements that want more than to read one tenant's events (D19, G34).

use vigie_tests::service::{Service, ask, deliver, record, request};

/// Statements that must be refused: they write, set, or reach outside.
fn refused() -> Vec<String> {
    let writes = [
        "create table t (a int)", "create table t as select 1", "create view v as select * from events", "drop table events",
        "drop view events", "insert into events values (1)", "insert into events select * from events",
        "update events set raw = ''", "delete from events", "truncate table events", "alter table events add column a int",
        "copy events to '/tmp/out.parquet'", "copy (select * from events) to '/tmp/out.csv' stored as csv",
        "copy events to 's3://bucket/key' stored as parquet", "set datafusion.execution.target_partitions = 1",
        "set datafusion.catalog.information_schema = false", "reset datafusion.execution.batch_size",
        "create external table t stored as parquet location '/'", "create external table t stored as csv location '/etc/passwd'",
        "create external table t stored as parquet location 'http://192.0.2.1/x'", "create schema s", "create database d",
        "drop schema public", "create function f() returns int return 1", "drop function abs", "prepare p as select 1",
        "execute p", "deallocate p", "begin", "commit", "rollback", "grant select on events to public",
        "revoke select on events from public", "vacuum events", "analyze events", "lock table events", "call f()",
        "load data infile '/etc/passwd' into table events", "attach 'other.db' as other", "use other", "kill 1",
        "merge into events using events e on false when matched then delete", "replace into events values (1)",
        "create index i on events (raw)", "create role admin", "comment on table events is 'x'",
        "select 1; drop table events", "select 1; select 2", "explain drop table events",
        "explain analyze insert into events values (1)",
    ];
    let outside = [
        "select * from '/etc/passwd'", "select * from '../spool'", "select * from 'events.parquet'", "select * from \"/etc/passwd\"",
        "select * from read_parquet('/etc/passwd')", "select * from read_csv('/etc/passwd')", "select * from parquet_scan('/')",
        "select * from csv_scan('/')", "select * from glob('/*')", "select * from delta_scan('/')",
        "select * from parquet_metadata('/x')", "select * from read_json('http://192.0.2.1')", "select * from generate_series(1, 10)",
        "select * from range(1, 10)", "select * from other.public.events", "select * from main.events.events",
        "select * from tenant2.events", "select * from datafusion.other.events", "select * from lake.other.events",
        "select * from information_schema.nothing", "select * from pg_catalog.pg_shadow", "select * from sqlite_master",
        "select pg_read_file('/etc/passwd')", "select load_file('/etc/passwd')", "select load_extension('x')", "select system('id')",
        "select getenv('HOME')", "select current_setting('x')", "select * from file('/etc/passwd')", "select * from url('http://192.0.2.1')",
        "select * from s3('x')", "select * from remote('192.0.2.1', 'x')", "select * from mysql('x')", "select * from executable('id')",
        "select * from events, other.events", "select * from unknown", "select nothing from events", "select", "", ";", "--",
        "select * from events where", "select 'open", "select (1", "select * from events e join nothing n on true",
        "with e as (select * from nothing) select * from e", "\u{0}", "select \u{0} from events", "\u{FEFF}drop table events",
        "sel\u{0435}ct * from events",
    ];
    let list = writes.into_iter().chain(outside).map(str::to_owned);
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
    let wide = |count: usize| vec!["events"; count].iter().enumerate().map(|(n, e)| format!("{e} e{n}")).collect::<Vec<_>>().join(", ");
    let mut list: Vec<String> = [
        "select * from events", "select count(*) from events", "describe events", "show tables", "show columns from events",
        "explain select * from events", "select * from information_schema.tables", "select * from information_schema.columns",
        "select ocsf('api.operation') from events limit 3", "select ocsf('no.such.path') from events limit 3",
        "select ocsf('..') from events limit 3", "select ocsf('') from events limit 3", "select ocsf(1) from events limit 3",
        "with recursive t as (select 1 as n union all select n + 1 from t) select max(n) from t",
        "with recursive t as (select 1 as n union all select n + 1 from t where n < 100) select max(n) from t",
        "select regexp_like(raw, '(a*)*b') from events", "select regexp_like(raw, '(\\w{1,100}){1,100}') from events",
        "select regexp_replace(raw, '.', 'xxxxxxxxxxxxxxxx', 'g') from events",
        "select repeat(raw, 1000000) from events", "select repeat('x', 2000000000)", "select lpad('x', 2000000000, 'y')",
        "select rpad('x', 2000000000, 'y')", "select array_agg(raw) from events", "select string_agg(raw, ',') from events",
        "select 1 / 0", "select 9223372036854775807 + 1", "select cast('x' as int)", "select cast(raw as bigint) from events",
        "select make_array(1, 2)[9999999]", "select array_repeat(1, 2000000000)", "select array_resize(make_array(1), 2000000000)",
        "select date_bin(interval '1 microsecond', time) from events", "select to_timestamp('999999999999')",
        "select * from events order by raw desc, event_id", "select distinct raw from events", "select raw, count(*) from events group by raw",
        "select row_number() over (partition by raw order by time) from events", "select sum(length(raw)) over () from events",
        "select * from events limit 0", "select * from events offset 1000000", "select * from events e join events f on e.raw <> f.raw",
        "select count(*) from events e cross join events f cross join events g cross join events h",
        "select count(distinct e.raw || f.raw) from events e, events f", "select * from (values (1)) v",
        "select * from unnest(make_array(1, 2, 3))", "select random()", "select now()", "select uuid()", "select version()",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    list.extend((2..=6).map(|count| format!("select count(*) from {}", wide(count))));
    list.extend((1..=30).map(|count| format!("select {} from events limit 1", vec!["raw"; count * 20].iter().enumerate().map(|(n, c)| format!("{c} as c{n}")).collect::<Vec<_>>().join(", "))));
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
        request(service.address, "POST", "/api/v1/sql", &[("authorization", &bearer), ("content-type", "application/json")], body.as_bytes())
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
    assert_eq!(ask(service.address, &token, "select count(*) from events").unwrap()[0][0].as_u64(), Some(2000), "the process is alive");
    let memory = std::fs::read_to_string(format!("/proc/{}/status", service.process())).unwrap();
    let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").trim();
    let peak_mib = peak.parse::<u64>().unwrap() / 1024;
    assert!(peak_mib <= 1024, "{peak_mib} MiB");
    println!("{} statements: {} refused, {} answered or stopped at a limit ({answered} answered), peak {peak_mib} MiB", no.len() + maybe.len(), no.len(), maybe.len());
}
