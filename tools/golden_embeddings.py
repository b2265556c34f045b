#!/usr/bin/env python3
"""Writes tests/golden/embeddings: tiny encoders with weights made from each parameter's name, as
tools/golden.py makes them, and what mlx-embeddings makes of a few sequences.

Needs: pip install "mlx[cpu]" mlx-lm mlx-embeddings
"""
import base64
import importlib
import importlib.util
import json
import sys
import types

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from golden import ROOT, value
from mlx.utils import tree_flatten, tree_unflatten

BASE = dict(vocab_size=99, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=128)
BERT = BASE | dict(model_type="bert", max_position_embeddings=70, type_vocab_size=2)
ROBERTA = BASE | dict(model_type="xlm-roberta", max_position_embeddings=72, type_vocab_size=1,
                      pad_token_id=1, layer_norm_eps=1e-5)
# Label: module of mlx-embeddings, config, (group, bits) of quantized layers.
CASES = {
    "bert": ("bert", BERT, None),
    "xlm-roberta": ("xlm_roberta", ROBERTA, None),
    "bert-affine4g32": ("bert", BERT, (32, 4)),
}
LENGTHS = [1, 5, 31, 33, 64, 70]


def architecture(name):
    """The module of one architecture, without the package's own imports of other libraries."""
    sys.modules.pop("mlx_embeddings", None)
    folder = importlib.util.find_spec("mlx_embeddings").submodule_search_locations[0]
    for package, path in ("mlx_embeddings", folder), ("mlx_embeddings.models", f"{folder}/models"):
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = [path]
    return importlib.import_module(f"mlx_embeddings.models.{name}")


def fill(model, bits):
    flat = []
    for name, array in tree_flatten(model.parameters()):
        leaf, columns = name.rsplit(".", 1)[1], array.shape[-1]
        if "LayerNorm" in name:
            kind = "norm"
        elif leaf in ("scales", "biases"):
            kind, columns = leaf, columns * 32  # the groups are of 32
        elif leaf == "bias":
            kind = "bias"
        else:
            kind = "packed" if array.dtype == mx.uint32 else "dense"
        flat.append((name, mx.array(value(name, array.shape, kind, columns, bits, False))))
    model.update(tree_unflatten(flat))
    model.eval()


def encoded(rows):
    return base64.b64encode(np.stack(rows).astype("<f4").tobytes()).decode()


def run(label):
    name, fields, quantization = CASES[label]
    module = architecture(name)
    model = module.Model(module.ModelArgs.from_dict(fields))
    config = dict(fields)
    if quantization:
        group, bits = quantization
        nn.quantize(model, group_size=group, bits=bits)
        config["quantization"] = dict(group_size=group, bits=bits)
    fill(model, quantization[1] if quantization else 0)
    random = np.random.default_rng(7)
    sequences = [random.integers(3, fields["vocab_size"], n).tolist() for n in LENGTHS]
    states = [np.array(model(mx.array([s])).last_hidden_state[0]).astype(np.float64) for s in sequences]
    record = {"config": config, "sequences": sequences,
              "mean": encoded([s.mean(0) for s in states]),
              "first token": encoded([s[0] for s in states]),
              "last token": encoded([s[-1] for s in states])}
    path = ROOT / "tests/golden/embeddings" / f"{label}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record) + "\n")
    print(path)


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    for label in CASES:
        run(label)
