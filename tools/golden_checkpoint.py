#!/usr/bin/env python3
"""Makes tests/golden/checkpoint/: quantized weights of every scheme with mlx's dequantized values,
and files of the safetensors library.

    pip install "mlx[cpu]" numpy safetensors ml_dtypes
    tools/golden_checkpoint.py [tests/golden/checkpoint]
"""

import sys
from pathlib import Path

import ml_dtypes
import mlx.core as mx
import numpy as np
from safetensors.numpy import save_file

ROWS, COLUMNS, EXPERTS = 3, 128, 2
DTYPES = {"f32": mx.float32, "f16": mx.float16, "bf16": mx.bfloat16}


def add(out, name, weight, **scheme):
    packed = mx.quantize(weight, **scheme)
    for leaf, tensor in zip(("weight", "scales", "biases"), packed):
        out[f"{name}.{leaf}"] = tensor
    out[f"{name}.dequantized"] = mx.dequantize(*packed, **scheme)


def quantized(out):
    mx.random.seed(7)
    for dtype_name, dtype in DTYPES.items():
        for bits in (2, 3, 4, 5, 6, 8):
            for group in (32, 64, 128):
                weight = mx.random.normal((ROWS, COLUMNS)).astype(dtype)
                add(out, f"affine_{bits}_{group}_{dtype_name}", weight, bits=bits,
                    group_size=group, mode="affine")
    for mode, bits, group in (("mxfp4", 4, 32), ("mxfp8", 8, 32), ("nvfp4", 4, 16)):
        # Rows of very different size, so that the scales differ; then a stack of experts.
        weight = mx.random.normal((ROWS, COLUMNS)) * mx.array([[1.0], [0.01], [30.0]])
        add(out, mode, weight.astype(mx.bfloat16), bits=bits, group_size=group, mode=mode)
    stack = mx.random.normal((EXPERTS, ROWS, COLUMNS)).astype(mx.bfloat16)
    add(out, "stack", stack, bits=4, group_size=64, mode="affine")


def all_dtypes():
    """Element i of each tensor is i (i % 2 for bool), shape (2, 3)."""
    numbers = np.arange(6).reshape(2, 3)
    kinds = ("float32", "float16", "float64", "int64", "int32", "int16", "int8", "uint64",
             "uint32", "uint16", "uint8")
    tensors = {f"t.{kind}": numbers.astype(kind) for kind in kinds}
    tensors["t.bool"] = (numbers % 2).astype(bool)
    tensors["t.bfloat16"] = numbers.astype(ml_dtypes.bfloat16)
    tensors["empty"] = np.zeros((0, 4), np.float32)
    tensors["scalar"] = np.array(2.5, np.float32)
    return tensors


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/checkpoint")
    folder.mkdir(parents=True, exist_ok=True)
    out = {}
    quantized(out)
    mx.save_safetensors(str(folder / "schemes.safetensors"), out, metadata={"format": "mlx"})
    save_file(all_dtypes(), folder / "dtypes.safetensors", metadata={"maker": "safetensors"})


if __name__ == "__main__":
    main()
