#!/usr/bin/env python3
"""Writes python.safetensors with the reference library (safetensors 0.8.0, numpy): what package checkpoint must read."""
import os

import numpy as np
from safetensors.numpy import save_file

w = np.arange(6, dtype=np.float32).reshape(2, 3) / 4
tensors = {
    "weight/conv.weight": w, "adam.m/conv.weight": -w, "adam.v/conv.weight": w * w,
    "weight/bn.running_mean": np.array([1.5, -2.5], np.float32),
    "weight/scalar": np.array(3.25, np.float32), "adam.m/scalar": np.array(0, np.float32), "adam.v/scalar": np.array(1e-30, np.float32),
}
save_file(tensors, os.path.join(os.path.dirname(os.path.abspath(__file__)), "python.safetensors"),
          metadata={"cspine.checkpoint": "1", "steps": "12", "draws": "24", "note": "Grüße & <tags>"})
