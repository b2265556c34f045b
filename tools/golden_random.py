#!/usr/bin/env python3
"""Random tiny checkpoints as mlx-lm and Hugging Face write them, `mica logits` against mlx-lm.

    tools/golden_random.py --check MICA --checkpoints DIR --count 60 --seed 1

Other sizes, head counts, rotations, windows, dtypes and formats than tools/golden.py, prompts of up
to 100 tokens. Each checkpoint is read back by mlx-lm before its logits are taken. A failed case
stays below DIR with its golden.json.
"""
import argparse
import json
import math
import pathlib
import random
import shutil

import golden
import mlx.core as mx
import mlx.nn as nn
import numpy as np
from golden_check import Report, compare
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.utils import _get_classes, load_model, quantize_model, save_config, save_model

DTYPES = {"bfloat16": mx.bfloat16, "float16": mx.float16, "float32": mx.float32}


def draw_rope(rng, pairs):
    """Values of rope_scaling, or nothing."""
    factors = [1 + 0.1 * i for i in range(pairs)]
    return rng.choice([
        None, None, dict(type="linear", factor=rng.uniform(1.5, 8)),
        dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=rng.choice([16, 64])),
        dict(rope_type="yarn", factor=rng.choice([2.0, 4.0]), original_max_position_embeddings=32),
        dict(type="dynamic", factor=2.0),
        dict(type="longrope", original_max_position_embeddings=32, short_factor=factors, long_factor=factors[::-1]),
    ])


def draw_sizes(rng):
    kv_heads = rng.choice([1, 1, 2, 3, 4])
    head_dim = rng.choice([16, 32, 48, 64, 80, 128, 256])
    return dict(hidden_size=rng.choice([64, 96, 128, 160, 192, 256, 320, 384]),
                num_hidden_layers=rng.randint(1, 5), intermediate_size=32 * rng.randint(2, 14),
                num_attention_heads=kv_heads * rng.choice([1, 2, 3, 4, 7, 8]),
                num_key_value_heads=kv_heads, head_dim=head_dim,
                vocab_size=rng.choice([97, 256, 300, 1001]), rms_norm_eps=rng.choice([1e-6, 1e-5]),
                max_position_embeddings=rng.choice([64, 256]),
                rope_theta=rng.choice([1e4, 5e5, 1e6]), tie_word_embeddings=rng.random() < 0.5)


def draw_config(rng, architecture):
    config = draw_sizes(rng) | dict(model_type=architecture)
    layers = config["num_hidden_layers"]
    if architecture in ("llama", "mistral"):
        config["attention_bias"], config["mlp_bias"] = rng.random() < 0.3, rng.random() < 0.3
        config["rope_traditional"] = rng.random() < 0.2
        if rng.random() < 0.4:
            config["sliding_window"] = rng.choice([3, 16, 33])
            config["layer_types"] = ["full_attention"] + rng.choices(["full_attention", "sliding_attention"], k=layers - 1)
            rng.shuffle(config["layer_types"])
    if architecture == "qwen2":  # no head_dim in the reference
        config["hidden_size"] = config["num_attention_heads"] * config.pop("head_dim")
    if architecture in ("llama", "mistral", "qwen2", "qwen3"):
        head_dim = config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])
        config["rope_scaling"] = draw_rope(rng, head_dim // 2)
    if architecture == "qwen3_moe":  # the reference does not read rope_scaling
        config["num_experts"] = rng.choice([2, 4, 7, 8, 16, 32, 64])
        config["num_experts_per_tok"] = rng.randint(1, min(8, config["num_experts"]))
        config["moe_intermediate_size"] = 32 * rng.randint(1, 8)
        config["decoder_sparse_step"] = rng.choice([1, 1, 1, 2])
        config["mlp_only_layers"] = [rng.randrange(layers)] if rng.random() < 0.3 else []
        config["norm_topk_prob"] = rng.random() < 0.7
        sparse = [l for l in range(layers) if (l + 1) % config["decoder_sparse_step"] == 0]
        if not set(sparse) - set(config["mlp_only_layers"]):
            config["decoder_sparse_step"], config["mlp_only_layers"] = 1, []
    if architecture.startswith("gemma3"):
        del config["tie_word_embeddings"]  # the weights say it
        config |= dict(query_pre_attn_scalar=config["head_dim"] * rng.choice([0.75, 1, 2]), sliding_window=rng.choice([3, 17, 40]),
                       sliding_window_pattern=rng.randint(1, layers), rope_local_base_freq=1e4)
        if rng.random() < 0.3:
            config["rope_scaling"] = dict(rope_type="linear", factor=8.0)
    if architecture == "gemma3":
        config = dict(model_type="gemma3", vocab_size=config["vocab_size"], text_config=config | dict(model_type="gemma3_text"))
    return config


def draw_weights(rng, model, dtype, norm_dtype, gemma):
    """Gaussian weights with a width for each module, norms around one."""
    numbers = np.random.default_rng(rng.randrange(2**32))
    new = []
    for name, array in tree_flatten(model.parameters()):
        values = numbers.standard_normal(array.shape).astype(np.float32)
        if "norm" in name:
            new.append((name, mx.array(0.2 * values + (0 if gemma else 1)).astype(norm_dtype)))
        elif name.endswith(".bias"):
            new.append((name, mx.array(0.1 * values).astype(dtype)))
        else:
            width = rng.uniform(0.6, 1.2) / math.sqrt(array.shape[-1])
            new.append((name, mx.array(width * values).astype(dtype)))
    model.update(tree_unflatten(new))
    mx.eval(model.parameters())


def fits(module, scheme):
    """As a quant_predicate answers; mlx packs no rows that are not a multiple of 32."""
    columns = module.weight.shape[-1]
    return scheme if scheme and columns % math.lcm(scheme["group_size"], 32) == 0 else False


def draw_quantization(rng):
    """Arguments of quantize_model: one scheme (routers their own), or one for each module."""
    def scheme():
        mode = rng.choice(["affine"] * 5 + list(golden.PACKED))
        group, bits = golden.PACKED.get(mode) or (rng.choice([32, 64, 128]), rng.choice([2, 3, 4, 5, 6, 8]))
        return dict(group_size=group, bits=bits, mode=mode)

    general = scheme()
    if rng.random() < 0.6:
        router = dict(group_size=64, bits=8, mode="affine")
        return general, lambda path, module: fits(module, router if path.endswith("mlp.gate") else general)
    return general, lambda path, module: fits(module, rng.choice([general, general, None, scheme()]))


def unstacked(weights):
    """Experts one by one, as Hugging Face stores them."""
    out = {}
    for name, array in weights.items():
        if ".switch_mlp." in name:
            for expert in range(array.shape[0]):
                out[name.replace(".switch_mlp.", f".experts.{expert}.")] = array[expert]
        else:
            out[name] = array
    return out


def save_as_hugging_face(rng, directory, model, config):
    """Dense weights in shards, with tensors that a loader has to pass over."""
    directory.mkdir(parents=True)
    weights = unstacked(dict(tree_flatten(model.parameters())))
    some = next(iter(weights.values()))
    if config["model_type"] == "gemma3":
        weights["vision_tower.vision_model.embeddings.position_embedding.weight"] = mx.zeros((4, 4), some.dtype)
        weights["multi_modal_projector.mm_input_projection_weight"] = mx.zeros((4, 4), some.dtype)
    if config["model_type"] == "llama":
        weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = mx.zeros((8,))
    if config.get("tie_word_embeddings") and rng.random() < 0.5:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    names = sorted(weights)
    count = rng.randint(1, 3)
    where = {}
    for i in range(count):
        file = "model.safetensors" if count == 1 else f"model-{i + 1:05}-of-{count:05}.safetensors"
        part = {name: weights[name] for name in names[i::count]}
        mx.save_safetensors(str(directory / file), part, {"format": "pt"})
        where |= {name: file for name in part}
    if count > 1:
        total = sum(array.nbytes for array in weights.values())
        (directory / "model.safetensors.index.json").write_text(
            json.dumps(dict(metadata=dict(total_size=total), weight_map=where)))
    (directory / "config.json").write_text(json.dumps(config))


def write_case(rng, directory):
    """Returns what says the case's kind; the checkpoint lies in the directory."""
    architecture = rng.choice(["llama", "mistral", "qwen2", "qwen3", "qwen3_moe", "qwen3_moe", "gemma3_text", "gemma3"])
    dtype = rng.choice(["bfloat16", "bfloat16", "bfloat16", "float16", "float32"])
    config = draw_config(rng, architecture) | dict(torch_dtype=dtype)
    model_class, args_class = _get_classes(config)
    model = model_class(args_class.from_dict(json.loads(json.dumps(config))))
    gemma = architecture.startswith("gemma3")
    if gemma and rng.random() < 0.7:
        getattr(model, "language_model", model).sanitize({})  # tied: no lm_head
    layout = rng.choice(["hf", "mlx", "quantized", "quantized", "quantized"])
    wide_norms = layout != "quantized" and rng.random() < 0.3
    draw_weights(rng, model, DTYPES[dtype], mx.float32 if wide_norms else DTYPES[dtype], gemma)
    if layout == "hf":
        save_as_hugging_face(rng, directory, model, config)
    else:
        if layout == "quantized":
            general, predicate = draw_quantization(rng)
            model, config = quantize_model(model, config, **general, quant_predicate=predicate)
        directory.mkdir(parents=True)
        save_model(directory, model)
        save_config(dict(config), config_path=directory / "config.json")
    return layout, dtype


def run_case(options, report, number):
    rng = random.Random(f"{options.seed} {number}")
    directory = options.checkpoints / f"random-{options.seed}-{number}"
    shutil.rmtree(directory, ignore_errors=True)
    layout, dtype = write_case(rng, directory)
    model, config = load_model(directory)
    text = config.get("text_config", config) | dict(vocab_size=config.get("vocab_size"))
    tokens = [rng.randrange(text["vocab_size"]) for _ in range(rng.choice([1, 12, 33, 64, 100]))]
    written = json.loads((directory / "config.json").read_text())
    record = golden.golden_record(model, written, DTYPES[dtype], True, tokens)
    (directory / "golden.json").write_text(json.dumps(record))
    dynamic = (text.get("rope_scaling") or {}).get("type") == "dynamic"  # angles depend on the step
    results = [compare(options.check, directory, record, device, step)
               for device, step in [("cpu", 0), ("ref", 0)] + [("cpu", rng.choice([1, 5, 31]))] * (not dynamic)]
    for result in results:
        report.add(result)
    shape = {k: v for k, v in text.items() if k in ("hidden_size", "head_dim", "num_attention_heads", "num_key_value_heads", "num_experts")}
    print(f"{directory.name} {written['model_type']} {dtype} {layout} {len(tokens)} tokens {shape}: "
          f"{' '.join(f'{r.errors.max():.1e}' for r in results)}", flush=True)
    if all(result.holds() for result in results):
        shutil.rmtree(directory)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", metavar="MICA", required=True)
    parser.add_argument("--checkpoints", type=pathlib.Path, metavar="DIR", required=True)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", default="1")
    options = parser.parse_args()
    mx.set_default_device(mx.cpu)
    report = Report()
    for number in range(options.first, options.first + options.count):
        run_case(options, report, number)
    raise SystemExit(report.finish())


if __name__ == "__main__":
    main()
