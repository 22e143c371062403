"""Prints what the reference library (safetensors, numpy) finds in a file, as JSON."""
import json
import sys

from safetensors import safe_open

with safe_open(sys.argv[1], framework="numpy") as f:
    tensors = {k: f.get_tensor(k) for k in f.keys()}
    print(json.dumps({"metadata": f.metadata(), "tensors": {k: {"dtype": str(v.dtype), "shape": v.shape, "values": v.ravel().tolist()} for k, v in tensors.items()}}))
