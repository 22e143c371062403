"""Checks that a segmentation shard opens in pyarrow and in Hugging Face datasets (map and streaming) with exact arrays.

usage: check_segmentation.py SHARD EXPECTED.json
EXPECTED is a list of {"study_uid", "fold", "shape", "spacing_mm", "voxels", "volume", "mask"}, one per row in order; the last
two are the SHA-256 of the arrays' bytes.
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
        got = {k: row[k] for k in ("study_uid", "fold", "shape", "spacing_mm", "voxels")}
        for name in ("volume", "mask"):
            x = np.frombuffer(row[name], np.dtype(row["dtype"])).reshape(row["shape"])
            got[name] = hashlib.sha256(x.tobytes()).hexdigest()
        assert got == want, f"{what}: row {n - 1}: {got} is not {want}"
        assert np.bincount(x.ravel(), minlength=8).tolist() == row["voxels"]
    print(f"{what}: {n} rows exact")


f = pq.ParquetFile(shard)
table = f.read()
assert table.schema.field("volume").type == table.schema.field("mask").type == pa.binary(), table.schema
assert table.schema.field("spacing_mm").type.value_type == pa.float64(), table.schema
assert f.metadata.metadata[b"cspine.shard.version"] == b"1"
for k, name in ((2, "volume"), (1, "mask")):
    column = f.metadata.row_group(0).column(f.metadata.num_columns - k)
    assert (column.path_in_schema, column.compression, column.statistics.has_min_max) == (name, "ZSTD", False)
check(table.to_pylist(), "pyarrow")
check((r for b in f.iter_batches(batch_size=2) for r in b.to_pylist()), "pyarrow in batches")

with tempfile.TemporaryDirectory() as cache:
    os.environ.update(HF_HOME=cache, HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1")
    import datasets

    datasets.disable_progress_bars()
    for streaming in (False, True):
        data = datasets.load_dataset("parquet", data_files={"train": shard}, split="train", streaming=streaming, cache_dir=cache)
        check(data, f"datasets, streaming {streaming}")
        del data
print("ok")
