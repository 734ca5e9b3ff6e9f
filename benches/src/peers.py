"""What DuckDB and ClickHouse do with the same bytes. CPU seconds of this whole process, JSON on standard output.

peers.py load EVENTS.ndjson OUT.parquet     read_json to Parquet, without and with chosen columns
peers.py queries TABLE QUERIES.json         each question warm, median of five
"""

import json
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

import duckdb

PASSES = 5
# The promoted columns that a CloudTrail record fills, at their paths in the record.
COLUMNS = [
    "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "userAgent", "errorCode", "eventID",
    "recipientAccountId", "userIdentity.type", "userIdentity.userName", "userIdentity.arn", "userIdentity.principalId",
    "userIdentity.accountId", "userIdentity.accessKeyId", "userIdentity.invokedBy", "userIdentity.sessionContext.attributes.mfaAuthenticated",
    "userIdentity.sessionContext.sessionIssuer.arn", "requestParameters.roleArn", "requestParameters.bucketName",
]


def cpu(work):
    start = time.process_time()
    rows = work()
    return time.process_time() - start, rows


def connect():
    connection = duckdb.connect()
    connection.execute("set threads = 2")
    connection.execute("set preserve_insertion_order = false")
    connection.execute("set parquet_metadata_cache = true")
    return connection


def load(events, out):
    written = "(format parquet, compression zstd, row_group_size 131072)"
    plain = f"copy (select * from read_json('{events}', format = 'newline_delimited')) to '{out}' {written}"
    json_seconds, _ = cpu(lambda: connect().execute(plain).fetchall())
    size = pathlib.Path(out).stat().st_size
    chosen = ", ".join(f"json ->> '$.{path}' as \"{path}\"" for path in COLUMNS)
    columns = f"copy (select {chosen}, json as raw from read_json_objects('{events}', format = 'newline_delimited')) to '{out}' {written}"
    column_seconds, _ = cpu(lambda: connect().execute(columns).fetchall())
    return {"json": json_seconds, "columns": column_seconds, "bytes": size, "bytes_columns": pathlib.Path(out).stat().st_size}


def measured(run, queries, words):
    answers = {}
    for name, query in queries.items():
        for word, text in words.items():
            query = query.replace("{" + word + "}", text)
        rows = run(query)
        seconds = statistics.median(cpu(lambda: run(query))[0] for _ in range(PASSES))
        answers[name] = {"seconds": seconds, "rows": rows}
    return answers


def queries(table, file):
    asked = json.loads(pathlib.Path(file).read_text())
    files = [str(path) for path in sorted(pathlib.Path(table).glob("day=*/*.parquet"))]
    answers = {}
    span = {"at": "timestamptz '2026-12-01 00:00:00+00'", "until": "timestamptz '2026-12-08 00:00:00+00'"}
    duck = connect()
    duck.execute("set timezone = 'UTC'")
    duck.execute(f"create view events as select * from read_parquet({files})")
    # Into a table of its own: rows of Python would cost more than most questions.
    run = lambda sql: duck.execute(f"create or replace temp table answer as {sql}").fetchone()[0]
    words = {"events": "events", "hour": "date_trunc('hour', time)", **span}
    answers["duckdb"] = measured(run, asked, words)
    duck.execute("create table native as select * from events order by time")
    answers["duckdb_native"] = measured(run, asked, {**words, "events": "native"})
    duck.close()

    from chdb import session

    folder = tempfile.mkdtemp(dir=pathlib.Path(file).parent)
    click = session.Session(folder)
    run = lambda sql: count(click, sql)
    source = "file('" + table + "/day=*/*.parquet', Parquet)"
    words = {
        "events": source, "hour": "toStartOfHour(time)",
        "at": "toDateTime64('2026-12-01 00:00:00', 6, 'UTC')", "until": "toDateTime64('2026-12-08 00:00:00', 6, 'UTC')",
    }
    answers["clickhouse"] = measured(run, asked, words)
    click.query("create database own")
    click.query(
        "create table own.events engine = MergeTree order by (class_uid, time) settings allow_nullable_key = 1 "
        f"as select * replace (ifNull(raw, '') as raw) from {source}"
    )
    click.query("alter table own.events add index address src_endpoint_ip type bloom_filter(0.01) granularity 1")
    click.query("alter table own.events add index words raw type tokenbf_v1(32768, 3, 0) granularity 1")
    click.query("alter table own.events materialize index address settings mutations_sync = 2")
    click.query("alter table own.events materialize index words settings mutations_sync = 2")
    answers["mergetree"] = measured(run, asked, {**words, "events": "own.events"})
    click.close()
    shutil.rmtree(folder, ignore_errors=True)
    return answers


def count(click, sql):
    text = click.query(sql + " settings max_threads = 2", "JSONCompactEachRow").bytes()
    return text.count(b"\n")


if __name__ == "__main__":
    work = {"load": load, "queries": queries}[sys.argv[1]]
    print(json.dumps(work(*sys.argv[2:])))
