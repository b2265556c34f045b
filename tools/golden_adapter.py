#!/usr/bin/env python3
"""Golden logits of tiny models with LoRA adapters, computed by mlx-lm on the CPU.

    pip install "mlx[cpu]" mlx-lm
    tools/golden_adapter.py     writes tests/golden/adapters/NAME.json and NAME/ (committed)

NAME/ is an adapter as mlx_lm.lora writes them, applied here by mlx-lm's own load_adapters. The
models' weights are made from their names, as in tools/golden.py.
"""
import json
import pathlib

import mlx.core as mx
import numpy as np
from golden import ARCHITECTURES, ROOT, golden_record, make_case, name_of, value
from mlx_lm.tuner.utils import linear_to_lora_layers, load_adapters
from mlx_lm.utils import save_config
from mlx.utils import tree_flatten

ATTENTION = ["self_attn.q_proj", "self_attn.v_proj"]
# name: architecture, dtype, quantization, layers from the last on, rank, scale, adapted layers
CASES = {
    "llama-f32": ("llama", mx.float32, None, 2, 8, 20.0, ATTENTION),
    "llama-bf16": ("llama", mx.bfloat16, None, 2, 8, 20.0, ATTENTION),
    "qwen2-f32": ("qwen2", mx.float32, None, 1, 5, 7.5, ATTENTION + ["mlp.down_proj"]),
    "qwen3-affine4g64": ("qwen3", mx.bfloat16, dict(group_size=64, bits=4), 2, 4, 10.0,
                         ["self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj"]),
    "gemma3_text-bf16": ("gemma3_text", mx.bfloat16, None, 2, 3, 4.0,
                         ["self_attn.k_proj", "mlp.up_proj"]),
}


def write_adapter(directory, config, dtype, quantization, layers, rank, scale, keys):
    """What mlx_lm.lora leaves in --adapter-path; a and b are made from their names."""
    directory.mkdir(parents=True, exist_ok=True)
    parameters = dict(rank=rank, scale=scale, dropout=0.0, keys=keys)
    save_config(dict(fine_tune_type="lora", num_layers=layers, lora_parameters=parameters),
                config_path=directory / "adapter_config.json")
    model = make_case(config, dtype, quantization)
    linear_to_lora_layers(model, layers, parameters)
    adapter = {}
    for name, array in tree_flatten(model.parameters()):
        if name.endswith(".lora_a"):
            adapter[name] = mx.array(value(name, array.shape, "dense", array.shape[0], 0, False))
        elif name.endswith(".lora_b"):
            # About as large as what the layer itself adds.
            data = value(name, array.shape, "dense", rank, 0, False) * np.float32(0.5 / scale)
            adapter[name] = mx.array(data)
    mx.save_safetensors(str(directory / "adapters.safetensors"), adapter)


def main():
    mx.set_default_device(mx.cpu)
    out = ROOT / "tests" / "golden" / "adapters"
    for label, (arch, dtype, quantization, layers, rank, scale, keys) in CASES.items():
        config = json.loads(json.dumps(ARCHITECTURES[arch]))
        if dtype == mx.float32:
            config["torch_dtype"] = name_of(dtype)
        written = dict(config) | (dict(quantization=quantization) if quantization else {})
        write_adapter(out / label, config, dtype, quantization, layers, rank, scale, keys)
        model = load_adapters(make_case(config, dtype, quantization), str(out / label))
        model.eval()
        # 16-bit checkpoints in f32: mlx-lm rounds the adapter's part to 16 bits, Mica does not.
        record = golden_record(model, written, dtype, dtype != mx.float32)
        pathlib.Path(out / f"{label}.json").write_text(json.dumps(record) + "\n")
        print(label, flush=True)


if __name__ == "__main__":
    main()
