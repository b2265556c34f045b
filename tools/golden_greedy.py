#!/usr/bin/env python3
"""Greedy answers of the tiny models of tools/golden.py, computed by mlx-lm on the CPU.

    pip install "mlx[cpu]" mlx-lm
    tools/golden_greedy.py          writes what is missing in tests/golden/greedy.json (committed)

Prompts are searched until the likeliest token of every step leads by more than rounding explains, so
that there is one right answer in bf16 and f32 alike. Prompts whose answer repeats itself are passed
over, but for gemma, whose random weights only ever repeat the last token (its embeddings are scaled up
and tied): there the logits of tools/golden.py say more.
"""
import argparse
import json
import random

import golden
import mlx.core as mx
import numpy as np
from golden_check import clear_rows, least_margin, tolerance_of

LABELS = [f"{architecture}-{kind}" for architecture in golden.ARCHITECTURES
          for kind in ("affine4g64", "affine8g32", "affine3g64-f16", "mxfp4", "bf16")]
PROMPT, ANSWER, TRIES = 9, 10, 4000


def answer(reference, record, prompt):
    """The greedy continuation, or nothing where a step is not clear."""
    tokens = list(prompt)
    for _ in range(ANSWER):
        logits = reference.logits(tokens)
        margins = reference.router_margins()
        if len(margins) and (margins < least_margin(record)).any():
            return None
        if not clear_rows(logits[-1:], tolerance_of(record))[0]:
            return None
        tokens.append(int(np.argmax(logits[-1])))
    return tokens[len(prompt):]


def search(reference, record, vocab, seed, distinct):
    rng = random.Random(seed)
    for _ in range(TRIES):
        prompt = [rng.randrange(vocab) for _ in range(PROMPT)]
        found = answer(reference, record, prompt)
        if found and len(set(found)) >= distinct:
            return prompt, found
    raise SystemExit("no prompt found with a clear answer")


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    mx.set_default_device(mx.cpu)
    cases = {label: rest for label, *rest in golden.cases()}
    path = golden.ROOT / "tests" / "golden" / "greedy.json"
    out = json.loads(path.read_text()) if path.exists() else {}
    for seed, label in enumerate(LABELS):
        if label in out:
            continue
        config, dtype, quantization = cases[label]
        config = json.loads(json.dumps(config))
        model = golden.make_case(config, dtype, quantization)
        # In f32: what bf16 and f32 agree on, mlx's own order of sums aside.
        record = dict(source_dtype=golden.name_of(dtype), computed_in=golden.name_of(dtype))
        reference = golden.Reference(model, config, dtype, in_f32=True)
        prompt, found = search(reference, record, config["vocab_size"], seed,
                               1 if label.startswith("gemma") else ANSWER // 2 + 1)
        out[label] = dict(prompt=prompt, answer=found)
        print(label, prompt, found, flush=True)
        path.write_text("{\n" + ",\n".join(f'"{k}": {json.dumps(v)}' for k, v in out.items()) + "\n}\n")


if __name__ == "__main__":
    main()
