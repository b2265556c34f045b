#!/usr/bin/env python3
"""Golden logits of tiny random models, computed by mlx-lm on the CPU.

    pip install "mlx[cpu]" mlx-lm
    tools/golden.py                     writes tests/golden/models/*.json (committed)
    tools/golden.py --checkpoints DIR   also writes every case as an MLX checkpoint, for `mica logits`

Weights are not stored: both sides make them from the parameter's name with the generator below
(tests/golden_weights.h is its C++ twin), so 130 cases fit in a megabyte.
"""
import argparse
import base64
import json
import pathlib
import shutil

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.utils import _get_classes, save_config, save_model

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOKENS = [1, 17, 250, 3, 99, 42, 42, 200, 128, 7, 64, 31]

BASE = dict(hidden_size=128, num_hidden_layers=2, intermediate_size=256, num_attention_heads=4,
            num_key_value_heads=2, head_dim=32, vocab_size=256, rms_norm_eps=1e-6,
            max_position_embeddings=64, rope_theta=10000.0, tie_word_embeddings=False)
MOE = dict(num_experts=6, num_experts_per_tok=2, decoder_sparse_step=1, mlp_only_layers=[],
           moe_intermediate_size=128, norm_topk_prob=True)
GEMMA = {k: v for k, v in BASE.items() if k != "tie_word_embeddings"} | dict(
    query_pre_attn_scalar=32.0, sliding_window=5, sliding_window_pattern=2, rope_theta=1e6,
    rope_local_base_freq=1e4, num_key_value_heads=1)
QWEN2 = {k: v for k, v in BASE.items() if k != "head_dim"}

ARCHITECTURES = {
    "llama": BASE | dict(model_type="llama"),
    "qwen2": QWEN2 | dict(model_type="qwen2", tie_word_embeddings=True),
    "qwen3": BASE | dict(model_type="qwen3", tie_word_embeddings=True),
    "qwen3_moe": BASE | MOE | dict(model_type="qwen3_moe"),
    "gemma3_text": GEMMA | dict(model_type="gemma3_text"),
}
LONG = [0.9 + 0.2 * i for i in range(16)]
# Variants of one architecture each, in bf16: rotations, windows, biases, dense layers among experts.
VARIANTS = {
    "mistral_window": BASE | dict(model_type="mistral", sliding_window=4, layer_types=["sliding_attention", "full_attention"]),
    "llama_bias": BASE | dict(model_type="llama", attention_bias=True, mlp_bias=True),
    "llama_traditional": BASE | dict(model_type="llama", rope_traditional=True),
    "llama_linear": BASE | dict(model_type="llama", rope_scaling=dict(type="linear", factor=2.5)),
    "llama_dynamic": BASE | dict(model_type="llama", max_position_embeddings=8, rope_scaling=dict(type="dynamic", factor=2.0)),
    "llama_llama3": BASE | dict(model_type="llama", rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)),
    "qwen2_yarn": QWEN2 | dict(model_type="qwen2", rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=16)),
    "llama_longrope": BASE | dict(model_type="llama", rope_scaling=dict(type="longrope", original_max_position_embeddings=16, short_factor=[1.0] * 16, long_factor=LONG)),
    "qwen3_moe_dense_layers": BASE | MOE | dict(model_type="qwen3_moe", num_hidden_layers=3, decoder_sparse_step=2, mlp_only_layers=[1], norm_topk_prob=False),
    "gemma3": dict(model_type="gemma3", vocab_size=256, text_config=GEMMA | dict(model_type="gemma3_text")),
    "llama_head80": BASE | dict(model_type="llama", head_dim=80, num_attention_heads=3, num_key_value_heads=1),
}
# Two experts' scores of this case lie within 16-bit rounding at the first of the usual tokens.
OTHER_TOKENS = {"qwen3_moe-affine2g32": [5, 77, 150, 9, 33, 210, 18, 61, 245, 90, 12, 140]}
AFFINE = [(bits, group) for bits in (2, 3, 4, 5, 6, 8) for group in (32, 64, 128)]
PACKED = {"mxfp4": (32, 4), "mxfp8": (32, 8), "nvfp4": (16, 4)}


def uniform(name, count, stream=0):
    """count numbers in [0, 1), from splitmix64 keyed by the FNV-1a hash of the name."""
    key = 0xCBF29CE484222325
    for byte in name.encode():
        key = ((key ^ byte) * 0x100000001B3) & (2**64 - 1)
    index = np.arange(1, count + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = np.uint64(key) + np.uint64(stream) * np.uint64(0xD1B54A32D192ED03) + index * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return z


def unit(name, count, stream=0):
    return (uniform(name, count, stream) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)


def value(name, shape, kind, columns, bits, gemma):
    """A parameter's values: kind is
    dense | packed | packed8 | scales | biases | e8m0 | e8m0_8 | e4m3 | norm | bias."""
    count = int(np.prod(shape))
    u = unit(name, count)
    width = np.float32(np.sqrt(3.0 / columns)) if columns else np.float32(1)
    if kind == "packed":
        out = (uniform(name, count) >> np.uint64(32)).astype(np.uint32)
    elif kind == "packed8":  # mxfp8: E4M3 below 2, so never NaN
        out = (uniform(name, count) >> np.uint64(32)).astype(np.uint32) & np.uint32(0xBFBFBFBF)
    elif kind == "scales":  # both signs; a full range of q spans about the width of a dense weight
        out = (np.float32(0.5) + u) * width * np.float32(2) / np.float32(2**bits - 1)
        out = np.where(unit(name, count, 1) < 0.5, -out, out)
    elif kind == "biases":  # -scale * middle of q, a little off
        scales = value(name[: -len("biases")] + "scales", shape, "scales", columns, bits, gemma)
        out = -scales * np.float32((2**bits - 1) / 2) * (np.float32(0.9) + np.float32(0.2) * u).reshape(shape)
    elif kind == "e8m0":
        out = (np.float32(120) + np.float32(4) * u).astype(np.uint8)
    elif kind == "e8m0_8":
        out = (np.float32(123) + np.float32(4) * u).astype(np.uint8)
    elif kind == "e4m3":
        out = (np.float32(8) + np.float32(12) * u).astype(np.uint8)
    elif kind == "norm":
        out = (u - np.float32(0.5)) * np.float32(0.4) + np.float32(0 if gemma else 1)
    elif kind == "bias":
        out = (u - np.float32(0.5)) * np.float32(0.2)
    else:
        out = (np.float32(2) * u - np.float32(1)) * width
    return out.reshape(shape)


def kind_of(name, array):
    if name.endswith(".scales") or name.endswith(".biases"):
        if array.dtype == mx.uint8:
            return "e8m0"  # replaced by the caller for nvfp4
        return name.rsplit(".", 1)[1]
    if name.endswith(".bias"):
        return "bias"
    if "norm" in name:
        return "norm"
    return "packed" if array.dtype == mx.uint32 else "dense"


def fill(model, dtype, schemes, gemma):
    """Sets every parameter from its name; schemes maps a module path to (group, bits, mode)."""
    # A gemma3 checkpoint keeps its text model below language_model, a part of the name like others.
    flat = dict(tree_flatten(model.parameters()))
    new = []
    for name, array in flat.items():
        path = name.rsplit(".", 1)[0]
        kind = kind_of(name, array)
        scheme = schemes.get(path)
        columns, bits = array.shape[-1], 0
        if scheme:
            group, bits, mode = scheme
            if name.endswith(".weight"):
                columns = array.shape[-1] * 32 // bits
            elif name.endswith((".scales", ".biases")):
                columns = array.shape[-1] * group
            if kind == "e8m0":
                kind = {"nvfp4": "e4m3", "mxfp4": "e8m0", "mxfp8": "e8m0_8"}[mode]
            if kind == "packed" and mode == "mxfp8":
                kind = "packed8"
        data = mx.array(value(name, array.shape, kind, columns, bits, gemma))
        new.append((name, data.astype(dtype) if data.dtype == mx.float32 else data))
    model.update(tree_unflatten(new))
    mx.eval(model.parameters())


def make_case(config, dtype, quantization):
    """A model with its quantization dict as config.json has it, or None."""
    model_class, args_class = _get_classes(config)
    model = model_class(args_class.from_dict(config))
    schemes = {}
    if config["model_type"].startswith("gemma3"):
        text = model.language_model if config["model_type"] == "gemma3" else model
        text.sanitize({})  # no lm_head: tied
    if quantization:
        def predicate(path, module):
            if not hasattr(module, "to_quantized"):
                return False
            override = quantization.get(path, True)
            if override is False:
                return False
            own = override if isinstance(override, dict) else {}
            if override is True:
                own = {k: quantization[k] for k in ("group_size", "bits", "mode") if k in quantization}
            schemes[path] = (own["group_size"], own["bits"], own.get("mode", "affine"))
            return {"group_size": own["group_size"], "bits": own["bits"], "mode": own.get("mode", "affine")}
        nn.quantize(model, class_predicate=predicate)
    fill(model, dtype, schemes, config["model_type"].startswith("gemma3"))
    return model


def reference_logits(model, config, dtype, quantization, tokens):
    """One call over all tokens, without a cache: what `mica logits` does.

    Quantized 16-bit checkpoints are computed in f32 from the same stored values: mlx's CPU product
    of quantized weights sums in 16 bits and lies 3 to 8 % from its own f32 result, which says
    nothing about ours. Dense 16-bit ones run as they are, except experts (no 16-bit gathered
    product in mlx's CPU build).
    """
    if dtype != mx.float32 and (quantization or "num_experts" in config):
        model.set_dtype(mx.float32)
    return np.array(model(mx.array([tokens])).astype(mx.float32))[0]


def cases():
    dtypes = {"bf16": mx.bfloat16, "f32": mx.float32, "f16": mx.float16}
    for arch, config in ARCHITECTURES.items():
        for label, dtype in dtypes.items():
            yield f"{arch}-{label}", config, dtype, None
        for bits, group in AFFINE:
            yield f"{arch}-affine{bits}g{group}", config, mx.bfloat16, dict(group_size=group, bits=bits)
        yield f"{arch}-affine4g64-f32", config, mx.float32, dict(group_size=64, bits=4)
        yield f"{arch}-affine8g32-f32", config, mx.float32, dict(group_size=32, bits=8)
        yield f"{arch}-affine3g64-f16", config, mx.float16, dict(group_size=64, bits=3)
        for mode, (group, bits) in PACKED.items():
            yield f"{arch}-{mode}", config, mx.bfloat16, dict(group_size=group, bits=bits, mode=mode)
        mixed = dict(group_size=64, bits=4)
        mixed["model.layers.0.self_attn.v_proj"] = dict(group_size=32, bits=6)
        mixed["model.layers.1.self_attn.o_proj"] = False
        mixed["model.layers.1.self_attn.k_proj"] = dict(group_size=32, bits=4, mode="mxfp4")
        mixed["model.embed_tokens"] = dict(group_size=128, bits=8)
        if "num_experts" in config:
            mixed["model.layers.0.mlp.gate"] = dict(group_size=64, bits=8)
        yield f"{arch}-mixed", config, mx.bfloat16, mixed
    for label, config in VARIANTS.items():
        yield label, config, mx.float32, None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", type=pathlib.Path, help="write each case as a checkpoint below DIR")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    options = parser.parse_args()
    mx.set_default_device(mx.cpu)
    out = ROOT / "tests" / "golden" / "models"
    out.mkdir(parents=True, exist_ok=True)
    for label, config, dtype, quantization in cases():
        if options.only not in label:
            continue
        config = json.loads(json.dumps(config))
        if dtype == mx.float32 or dtype == mx.float16:
            config["torch_dtype"] = "float32" if dtype == mx.float32 else "float16"
        tokens = OTHER_TOKENS.get(label, TOKENS)
        model = make_case(config, dtype, quantization)
        written = dict(config)
        if quantization:
            written["quantization"] = quantization
        if options.checkpoints:
            directory = options.checkpoints / label
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
            save_model(directory, model)
            save_config(dict(written), config_path=directory / "config.json")
        logits = reference_logits(model, config, dtype, quantization, tokens)
        assert np.isfinite(logits).all(), label
        record = dict(config=written, tokens=tokens, vocab=logits.shape[1],
                      source_dtype=str(dtype).split(".")[-1],
                      logits=base64.b64encode(logits.astype("<f4").tobytes()).decode())
        (out / f"{label}.json").write_text(json.dumps(record) + "\n")
        print(f"{label}: max |logit| {np.abs(logits).max():.2f}", flush=True)


if __name__ == "__main__":
    main()
