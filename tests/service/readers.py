"""DuckDB reads the table by its Delta log alone. Usage: readers.py TABLE; one answer a line of input."""

import json
import pathlib
import sys

import duckdb
import duckdb_extension_delta

TABLE = sys.argv[1]
# The extension as a wheel: nothing is fetched.
EXTENSION = next(pathlib.Path(duckdb_extension_delta.__file__).parent.rglob("delta.duckdb_extension"))
connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
connection.execute(f"LOAD '{EXTENSION}'")
for line in sys.stdin:
    sql = line.strip().replace("events", f"delta_scan('{TABLE}')")
    rows = connection.execute(sql).fetchall()
    print(json.dumps([[str(cell) for cell in row] for row in rows]), flush=True)
