"""An engine of others reads the table by its Delta log alone. Usage: readers.py duckdb|clickhouse TABLE; one answer
a line of input."""

import json
import os
import pathlib
import sys

ENGINE, TABLE = sys.argv[1:]


def duckdb_rows():
    import duckdb
    import duckdb_extension_delta

    # The extension as a wheel: nothing is fetched.
    extension = next(pathlib.Path(duckdb_extension_delta.__file__).parent.rglob("delta.duckdb_extension"))
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"LOAD '{extension}'")
    return lambda sql: connection.execute(sql.replace("events", f"delta_scan('{TABLE}')")).fetchall()


def clickhouse_rows():
    # It reads what lies below the folder that it was started in.
    os.chdir(TABLE)
    import chdb

    def rows(sql):
        text = chdb.query(sql.replace("events", f"deltaLakeLocal('{TABLE}')"), "JSONCompactStringsEachRow").data()
        return [json.loads(line) for line in text.splitlines()]

    return rows


answer = {"duckdb": duckdb_rows, "clickhouse": clickhouse_rows}[ENGINE]()
for line in sys.stdin:
    rows = answer(line.strip())
    print(json.dumps([[str(cell) for cell in row] for row in rows]), flush=True)
