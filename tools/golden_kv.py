#!/usr/bin/env python3
"""Logits of tiny models of tools/golden.py over mlx-lm's quantized cache, computed on the CPU.

    pip install "mlx[cpu]" mlx-lm
    tools/golden_kv.py          writes tests/golden/kv.json (committed)

In f32, where scales and biases are not rounded: codes differ only for what lies on the edge of two.
"""
import base64
import json

import golden
import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import QuantizedKVCache

LABELS = ["llama-f32", "qwen3-f32", "llama_traditional"]
GROUP = 32  # head size 32


def main():
    mx.set_default_device(mx.cpu)
    record = {}
    for label, config, dtype, quantization in golden.cases():
        if label not in LABELS:
            continue
        config = json.loads(json.dumps(config)) | dict(torch_dtype="float32")
        model = golden.make_case(config, dtype, quantization)
        exact = np.array(model(mx.array([golden.TOKENS])))[0]
        for bits in (8, 4):
            cache = [QuantizedKVCache(group_size=GROUP, bits=bits) for _ in model.layers]
            logits = np.array(model(mx.array([golden.TOKENS]), cache=cache).astype(mx.float32))[0]
            error = np.linalg.norm(logits - exact, axis=1) / np.linalg.norm(exact, axis=1)
            print(label, bits, "bits: mean", np.sqrt((error ** 2).mean()), "worst", error.max(), flush=True)
            record[f"{label}-kv{bits}"] = base64.b64encode(logits.astype("<f4").tobytes()).decode()
    (golden.ROOT / "tests" / "golden" / "kv.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
