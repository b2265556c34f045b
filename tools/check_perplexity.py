#!/usr/bin/env python3
"""Compares `mica eval --perplexity`, and with --reference-model its KL divergence, with the same
figures of mlx-lm's logits over the same windows.

Needs: pip install "mlx[cpu]" mlx-lm
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import mlx.core as mx
import numpy as np
from mlx_lm import load


def log_probabilities(model, tokens, context, stride):
    """[N - 1, V]: of each token but the first, from the windows of docs/eval.md."""
    rows, begin, scored = [], 0, 1
    while scored < len(tokens):
        end = min(begin + context, len(tokens))
        logits = model(mx.array([tokens[begin:end - 1]]))[0].astype(mx.float32)
        log_p = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
        rows.append(np.array(log_p[max(scored, begin + 1) - begin - 1:]))
        scored, begin = end, begin + stride
    return np.concatenate(rows).astype(np.float64)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mica", default="build/mica")
    parser.add_argument("--model", default="models/demo")
    parser.add_argument("--reference-model", default="models/demo-bf16")
    parser.add_argument("--text", default="models/demo/README.md")
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--stride", type=int, default=128)
    args = parser.parse_args()

    model, tokenizer = load(args.model)
    tokens = tokenizer.encode(pathlib.Path(args.text).read_text(), add_special_tokens=False)
    log_q = log_probabilities(model, tokens, args.context, args.stride)
    log_p = log_probabilities(load(args.reference_model)[0], tokens, args.context, args.stride)
    at = np.arange(len(tokens) - 1), np.array(tokens[1:])
    kl = np.sum(np.exp(log_p) * (log_p - log_q), axis=-1)
    expected = {
        "perplexity": np.exp(-log_q[at].mean()),
        "perplexity of the reference": np.exp(-log_p[at].mean()),
        "KL mean": kl.mean(),
        "KL median": np.median(kl),
        "KL 99 %": np.percentile(kl, 99),
        "same top": (log_p.argmax(-1) == log_q.argmax(-1)).mean(),
    }
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "out.json"
        subprocess.run([args.mica, "eval", "--perplexity", args.text, "--model", args.model,
                        "--reference-model", args.reference_model, "--device", "cpu",
                        "--context", str(args.context), "--stride", str(args.stride),
                        "--output", str(output)], check=True, stdout=subprocess.DEVNULL)
        result = json.loads(output.read_text())
    assert result["tokens"] == len(tokens) - 1, (result["tokens"], len(tokens))
    divergence = result["divergence"]
    found = {
        "perplexity": result["result"]["perplexity"],
        "perplexity of the reference": result["reference_result"]["perplexity"],
        "KL mean": divergence["mean"],
        "KL median": divergence["median"],
        "KL 99 %": divergence["p99"],
        "same top": divergence["same_top"]["share"],
    }
    print(f"{len(tokens) - 1} tokens of {args.text}, context {args.context}, stride {args.stride}")
    for name, value in expected.items():
        print(f"{name:28} mlx-lm {value:.6f}  mica {found[name]:.6f}  relative {found[name] / value - 1:+.2e}")


if __name__ == "__main__":
    main()
