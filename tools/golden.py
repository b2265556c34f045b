#!/usr/bin/env python3
"""Golden logits of tiny random models, computed by mlx-lm on the CPU.

    pip install "mlx[cpu]" mlx-lm
    tools/golden.py                                   writes tests/golden/models/*.json (committed)
    tools/golden.py --checkpoints DIR                 also writes every case as an MLX checkpoint
    tools/golden.py --check MICA --checkpoints DIR    those files through `MICA logits`, against
                                                      the committed logits (tools/golden_check.py)

Weights are not stored: both sides make them from the parameter's name with the generator below
(tests/golden_weights.h is its C++ twin), so 151 cases fit in three megabytes.
"""
import argparse
import base64
import json
import pathlib
import shutil

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from golden_check import Report, compare, least_margin
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.models.cache import KVCache
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
# Variants of one architecture each, in f32: rotations, windows, biases, dense layers among experts.
VARIANTS = {
    "mistral_window": BASE | dict(model_type="mistral", sliding_window=4, layer_types=["sliding_attention", "full_attention"]),
    "llama_bias": BASE | dict(model_type="llama", attention_bias=True, mlp_bias=True),
    "llama_traditional": BASE | dict(model_type="llama", rope_traditional=True),
    "llama_linear": BASE | dict(model_type="llama", rope_scaling=dict(type="linear", factor=2.5)),
    "llama_dynamic": BASE | dict(model_type="llama", max_position_embeddings=8, rope_scaling=dict(type="dynamic", factor=2.0)),
    "llama_llama3": BASE | dict(model_type="llama", rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)),
    "qwen2_yarn": QWEN2 | dict(model_type="qwen2", rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=16)),
    "llama_longrope": BASE | dict(model_type="llama", rope_scaling=dict(type="longrope", original_max_position_embeddings=16, short_factor=[1.0] * 16, long_factor=LONG)),
    "qwen3_moe_dense_layers": BASE | MOE | dict(model_type="qwen3_moe", num_hidden_layers=4, decoder_sparse_step=2, mlp_only_layers=[1], norm_topk_prob=False),
    "gemma3": dict(model_type="gemma3", vocab_size=256, text_config=GEMMA | dict(model_type="gemma3_text")),
    "llama_head80": BASE | dict(model_type="llama", head_dim=80, num_attention_heads=3, num_key_value_heads=1),
}
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


class StoredCache(KVCache):
    """Keeps keys and values in the checkpoint's dtype while all else is computed in f32."""

    def __init__(self, dtype):
        super().__init__()
        self.dtype = dtype

    def update_and_fetch(self, keys, values):
        return super().update_and_fetch(*(x.astype(self.dtype).astype(x.dtype) for x in (keys, values)))


def round_norms(model):
    """Gemma's 1 + w is a sum in the norm's own dtype."""
    flat = tree_flatten(model.parameters())
    model.update(tree_unflatten([(name, (1 + w).astype(mx.float32) - 1) for name, w in flat if "norm" in name]))


class F32Embedding(nn.Module):
    """mxfp4, mxfp8 and nvfp4 tables give bf16, which gemma's scale would round once more."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def __call__(self, tokens):
        return self.table(tokens).astype(mx.float32)

    def as_linear(self, x):
        return self.table.as_linear(x)


class WatchedGate(nn.Module):
    """A router that notes its inputs and its scores."""

    def __init__(self, gate, seen):
        super().__init__()
        self.gate = gate
        self._seen = seen

    def __call__(self, x):
        scores = self.gate(x)
        self._seen.append((np.array(x[0].astype(mx.float32)), np.array(scores[0].astype(mx.float32))))
        return scores


class Reference:
    """mlx-lm's logits of a prompt in one call, and its router margins.

    With `in_f32` a 16-bit checkpoint is computed in f32 from the values it stores, and what mlx-lm
    keeps in the checkpoint's dtype is rounded to it: keys, values and gemma's 1 + w. Quantized
    checkpoints need this: mlx's CPU product of quantized weights sums in 16 bits and lies 3 to 8 %
    from its own f32 result, which says nothing about ours. So do experts: mlx's CPU build has no
    16-bit gathered product.
    """

    def __init__(self, model, config, dtype, in_f32):
        self.model, self.cache_dtype = model, dtype if in_f32 and dtype != mx.float32 else None
        if self.cache_dtype:
            if config["model_type"].startswith("gemma3"):
                round_norms(model)
            model.set_dtype(mx.float32)
        if in_f32:
            inner = getattr(model, "language_model", model).model
            inner.embed_tokens = F32Embedding(inner.embed_tokens)
        self.seen, self.directions, self.chosen = [], [], config.get("num_experts_per_tok")
        for layer in model.layers:
            gate = getattr(layer.mlp, "gate", None)
            if gate is not None:
                weights = np.array(gate(mx.eye(config["hidden_size"])).astype(mx.float32)).T
                self.directions.append(weights)  # [experts, hidden]
                layer.mlp.gate = WatchedGate(gate, self.seen)

    def logits(self, tokens):
        self.seen.clear()
        cache = [StoredCache(self.cache_dtype) for _ in self.model.layers] if self.cache_dtype else None
        return np.array(self.model(mx.array([tokens]), cache=cache).astype(mx.float32))[0]

    def router_margins(self):
        """Of the last call, [MoE layers, tokens]: the gap between the last chosen expert's score and
        the next one's, over what a change of the router's input by its own length, in a random
        direction, would make of it. An input with relative error e closes gaps of about e."""
        margins = []
        for (x, scores), weights in zip(self.seen, self.directions):
            if self.chosen == scores.shape[1]:
                margins.append(np.full(len(scores), np.inf))
                continue
            order = np.argsort(-scores, axis=1)
            last, next_ = order[:, self.chosen - 1], order[:, self.chosen]
            rows = np.arange(len(scores))
            width = np.linalg.norm(weights[last] - weights[next_], axis=1) * np.linalg.norm(x, axis=1)
            margins.append((scores[rows, last] - scores[rows, next_]) * np.sqrt(x.shape[1]) / width)
        return np.array(margins)


def unambiguous(reference, tokens, vocab, least):
    """The tokens with some replaced by their successors, so that all router margins are `least` or
    more: below that, rounding may choose another expert, and there is no one right answer."""
    tokens = list(tokens)
    for _ in range(100 * len(tokens)):
        logits = reference.logits(tokens)
        margins = reference.router_margins()
        low = np.flatnonzero((margins < least).any(axis=0)) if len(margins) else []
        if not len(low):
            return tokens, logits, margins
        tokens[low[0]] = (tokens[low[0]] + 1) % vocab  # what comes before it stays as it is
    raise SystemExit(f"no tokens found with router margins above {least}")


def golden_record(model, written, dtype, in_f32, tokens=TOKENS):
    vocab = written["vocab_size"]
    computed = mx.float32 if in_f32 else dtype
    record = dict(config=written, vocab=vocab, source_dtype=name_of(dtype), computed_in=name_of(computed))
    reference = Reference(model, written, dtype, in_f32)
    tokens, logits, margins = unambiguous(reference, tokens, vocab, least_margin(record))
    assert np.isfinite(logits).all() and logits.shape == (len(tokens), vocab)
    record["tokens"] = tokens
    if "num_experts" in written:
        record["router_margins"] = [[float(f"{m:.4g}") for m in layer] for layer in margins]
    return record | dict(logits=base64.b64encode(logits.astype("<f4").tobytes()).decode())


def name_of(dtype):
    return str(dtype).split(".")[-1]


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


def write_checkpoint(directory, model, config):
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    save_model(directory, model)
    save_config(dict(config), config_path=directory / "config.json")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", type=pathlib.Path, help="write each case as a checkpoint below DIR")
    parser.add_argument("--check", metavar="MICA", help="compare this program's logits; writes no goldens")
    parser.add_argument("--device", action="append", help="of --check, more than once (default: cpu and ref)")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    options = parser.parse_args()
    if options.check and not options.checkpoints:
        parser.error("--check needs --checkpoints")
    mx.set_default_device(mx.cpu)
    out = ROOT / "tests" / "golden" / "models"
    out.mkdir(parents=True, exist_ok=True)
    report = Report()
    for label, config, dtype, quantization in cases():
        if options.only not in label:
            continue
        config = json.loads(json.dumps(config))
        if dtype == mx.float32 or dtype == mx.float16:
            config["torch_dtype"] = name_of(dtype)
        model = make_case(config, dtype, quantization)
        written = dict(config)
        if quantization:
            written["quantization"] = quantization
        if options.checkpoints:
            write_checkpoint(options.checkpoints / label, model, written)
        if options.check:
            record = json.loads((out / f"{label}.json").read_text())
            for device in options.device or ["cpu", "ref"]:
                report.add(compare(options.check, options.checkpoints / label, record, device))
            continue
        record = golden_record(model, written, dtype, bool(quantization) or "num_experts" in config)
        (out / f"{label}.json").write_text(json.dumps(record) + "\n")
        other = [t for t, (a, b) in enumerate(zip(TOKENS, record["tokens"])) if a != b]
        print(label, f"(other tokens at {other})" if other else "", flush=True)
    if options.check:
        raise SystemExit(report.finish())


if __name__ == "__main__":
    main()
