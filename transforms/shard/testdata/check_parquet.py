"""Checks that a shard opens in pyarrow and in Hugging Face datasets (map and streaming) with exact tensors.

usage: check_parquet.py SHARD EXPECTED.json
EXPECTED is a list of {"study_uid", "vertebra", "label", "shape", "sha256"}, one per row in order; sha256 is
over the tensor's bytes.
"""
import hashlib
import json
import os
import sys
import tempfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

shard, expected = sys.argv[1], json.load(open(sys.argv[2]))


def check(rows, what):
    n = 0
    for n, (row, want) in enumerate(zip(rows, expected, strict=True), 1):
        got = {k: row[k] for k in ("study_uid", "vertebra", "label", "shape")}
        x = np.frombuffer(row["tensor"], np.dtype(row["dtype"])).reshape(row["shape"])
        got["sha256"] = hashlib.sha256(x.tobytes()).hexdigest()
        assert got == want, f"{what}: row {n - 1}: {got} is not {want}"
        assert len(row["box"]) == len(row["source_box"]) == 6, row["box"]
    print(f"{what}: {n} rows exact")


f = pq.ParquetFile(shard)
table = f.read()
assert table.schema.field("tensor").type == pa.binary(), table.schema
assert table.schema.field("z_positions").type.value_type == pa.int32(), table.schema
assert f.metadata.metadata[b"cspine.shard.version"] == b"1"
column = f.metadata.row_group(0).column(f.metadata.num_columns - 1)
assert (column.path_in_schema, column.compression, column.statistics.has_min_max) == ("tensor", "ZSTD", False)
check(table.to_pylist(), "pyarrow")
check((r for b in f.iter_batches(batch_size=2) for r in b.to_pylist()), "pyarrow in batches")
assert f.read_row_group(f.num_row_groups - 1, columns=["vertebra"]).num_columns == 1

with tempfile.TemporaryDirectory() as cache:
    os.environ.update(HF_HOME=cache, HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1")
    import datasets

    datasets.disable_progress_bars()
    for streaming in (False, True):
        data = datasets.load_dataset("parquet", data_files={"train": shard}, split="train", streaming=streaming, cache_dir=cache)
        check(data, f"datasets, streaming {streaming}")
        del data
print("ok")
