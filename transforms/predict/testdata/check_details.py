"""Compares predictions.parquet, as pyarrow reads it, with its rows as JSON.

    python check_details.py predictions.parquet rows.json
"""

import json
import sys

import pyarrow.parquet

table = pyarrow.parquet.read_table(sys.argv[1])
assert table.schema.metadata[b"cspine.predictions.version"] == b"1", table.schema.metadata
types = {f.name: str(f.type) for f in table.schema}
assert types["probability"] == "double" and types["z_positions"].startswith("list<") and "int32" in types["z_positions"], types
rows = table.to_pylist()
want = json.load(open(sys.argv[2]))
assert len(rows) == len(want), (len(rows), len(want))
for row, expected in zip(rows, want):
    for key, value in expected.items():
        assert row[key] == (value or [] if isinstance(row[key], list) else value), (key, row[key], value)
    assert set(row) == set(expected), set(row) ^ set(expected)
