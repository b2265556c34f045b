#!/usr/bin/env python3
"""Writes tests/golden/sampling/filters.txt: what mlx-lm's logits processors and filters leave.

    pip install mlx mlx-lm numpy
    python tools/golden_sampling.py

One case is a run of lines "key count values…"; `survivors` are the tokens that can still be drawn.
"""
import pathlib

import mlx.core as mx
import numpy as np
from mlx_lm import sample_utils as su

VOCABULARY = 64
OFF = dict(top_p=0.0, min_p=0.0, keep=1, top_k=0, xtc=0.0, xtc_threshold=0.1, repetition=0.0,
           repetition_size=20, presence=0.0, presence_size=20, frequency=0.0, frequency_size=20)
CASES = [
    ("none", 2, {}),
    ("top_p_half", 2, dict(top_p=0.5)),
    ("top_p_high", 2, dict(top_p=0.95)),
    ("top_p_tiny", 2, dict(top_p=0.01)),
    ("top_p_flat", 0.1, dict(top_p=0.9)),
    ("min_p", 2, dict(min_p=0.05)),
    ("min_p_keep", 3, dict(min_p=0.9, keep=7)),
    ("min_p_keep_few", 2, dict(min_p=0.01, keep=3)),
    ("top_k", 2, dict(top_k=5)),
    ("top_k_one", 2, dict(top_k=1)),
    ("top_k_most", 2, dict(top_k=63)),
    ("xtc", 2, dict(xtc=1.0, xtc_threshold=0.05)),
    ("xtc_low", 2, dict(xtc=1.0, xtc_threshold=0.0)),
    ("xtc_none_above", 0.1, dict(xtc=1.0, xtc_threshold=0.5)),
    ("xtc_special", 2, dict(xtc=1.0, xtc_threshold=0.03, special=True)),
    ("top_p_min_p", 2, dict(top_p=0.9, min_p=0.02)),
    ("top_p_min_p_keep", 3, dict(top_p=0.6, min_p=0.9, keep=20)),
    ("top_p_xtc", 2, dict(top_p=0.7, xtc=1.0, xtc_threshold=0.08)),
    ("min_p_xtc_top_k", 2, dict(min_p=0.02, xtc=1.0, xtc_threshold=0.06, top_k=4)),
    ("all", 2, dict(top_p=0.97, min_p=0.01, xtc=1.0, xtc_threshold=0.1, top_k=12)),
    ("repetition", 2, dict(repetition=1.3)),
    ("repetition_small", 2, dict(repetition=0.5, repetition_size=3)),
    ("repetition_all", 2, dict(repetition=1.7, repetition_size=0)),
    ("presence", 2, dict(presence=1.5)),
    ("presence_small", 2, dict(presence=-2.0, presence_size=4)),
    ("frequency", 2, dict(frequency=0.7)),
    ("frequency_small", 2, dict(frequency=0.7, frequency_size=6)),
    ("penalties", 2, dict(repetition=1.2, presence=0.4, frequency=0.3)),
    ("bias", 2, dict(bias=True)),
    ("everything", 2, dict(bias=True, repetition=1.2, presence=0.4, frequency=0.3, top_p=0.95,
                           min_p=0.02, xtc=1.0, xtc_threshold=0.1, top_k=9, special=True)),
]


def filters(logprobs, p):
    if 0 < p["top_p"] < 1:
        logprobs = su.apply_top_p(logprobs, p["top_p"])
    if p["min_p"] != 0:
        logprobs = su.apply_min_p(logprobs, p["min_p"], p["keep"])
    if p["xtc"] > 0:
        logprobs = su.apply_xtc(logprobs, p["xtc"], p["xtc_threshold"], p["special"])
    if p["top_k"] > 0:
        logprobs = su.apply_top_k(logprobs, p["top_k"])
    return logprobs


def line(key, values):
    values = list(values)
    return " ".join([key, str(len(values))] + [f"{v:.9g}" for v in values]) + "\n"


def case(index, name, deviation, settings):
    random = np.random.default_rng(1000 + index)
    logits = (random.normal(size=VOCABULARY) * deviation).astype(np.float32)
    history = random.integers(0, VOCABULARY // 2, size=40)
    bias = {int(t): float(np.float32(b)) for t, b in
            zip(random.permutation(VOCABULARY)[:4], random.normal(size=4) * 4)}
    p = {**OFF, **settings}
    p["special"] = [int(t) for t in np.argsort(-logits)[:2]] if p.get("special") else []
    processors = su.make_logits_processors(
        bias if p.get("bias") else None, p["repetition"], p["repetition_size"], p["presence"],
        p["presence_size"], p["frequency"], p["frequency_size"])
    row = mx.array(logits)[None]
    for processor in processors:
        row = processor(mx.array(history), row)
    logprobs = row - mx.logsumexp(row, keepdims=True)
    left = np.array(filters(logprobs, p))[0]
    survivors = np.nonzero(left > -np.inf)[0]
    flat_bias = [x for pair in bias.items() for x in pair] if p.get("bias") else []
    return (f"case {name}\n" + line("logits", logits) + line("history", history) +
            line("bias", flat_bias) + line("special", p["special"]) +
            line("settings", [p[k] for k in OFF]) + line("survivors", survivors) +
            line("logprobs", np.array(logprobs)[0]))


def main():
    path = pathlib.Path(__file__).parent.parent / "tests/golden/sampling/filters.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(case(i, *c) for i, c in enumerate(CASES)))
    print(f"{path}: {len(CASES)} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
