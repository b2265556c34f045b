#!/usr/bin/env python3
"""Checks `mica convert --to gguf` with llama.cpp itself.

    pip install gguf numpy safetensors xllamacpp
    tools/check_gguf.py MICA CHECKPOINT... [--type exact --type f32] [--report FILE.json]

For each checkpoint and type: every tensor of the file, dequantized by llama.cpp's `gguf` package,
against scale * code + bias computed here in f32; then llama.cpp (xllamacpp, its server in a wheel)
answers greedily, and `mica logits` scores the same tokens: where the likeliest token is the same,
and how far the log-probabilities lie apart. With type f32 llama.cpp rounds no activations, so that
the engines must agree to f32's rounding; with quantized types it rounds them to 8 bits.

--tokenizer also compares the ids of texts.
"""
import argparse
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy as np
from gguf_engine import LlamaCpp, Mica, tokenize_here
from gguf_weights import compare_weights

TOKENS = [1, 17, 250, 3, 99, 42, 42, 200, 128, 7, 64, 31]
TEXTS = ["Hello, world!", "The quick brown fox jumps over 13 lazy dogs.\n\n  Twice, it's said.",
         "naïve café 北京大学 🙂 don't", "def f(x):\n    return x**2  # ok\n", " leading", "trailing  "]


def convert(mica, checkpoint, output, type_):
    run = subprocess.run([mica, "convert", str(checkpoint), "--to", "gguf", "--output", str(output),
                          "--type", type_], capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"{checkpoint}: {run.stderr}")
    return run.stdout


def with_words(checkpoint, folder):
    """The checkpoint itself, or one with a tokenizer in which every id is a word of letters: what
    llama.cpp needs to show probabilities. The last id ends an answer."""
    if (checkpoint / "tokenizer.json").exists():
        return checkpoint
    config = json.loads((checkpoint / "config.json").read_text())
    size = config.get("vocab_size") or config["text_config"]["vocab_size"]
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(word) for word, _ in zip(itertools.product(letters, repeat=4), range(size))]
    copy = pathlib.Path(folder) / checkpoint.name
    copy.mkdir()
    for path in checkpoint.resolve().iterdir():
        (copy / path.name).symlink_to(path)
    (copy / "tokenizer.json").write_text(json.dumps({
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "model": {"type": "BPE", "vocab": {word: i for i, word in enumerate(words)}, "merges": []}}))
    (copy / "tokenizer_config.json").write_text(json.dumps({"eos_token": words[-1]}))
    return copy


def distance(ours, theirs):
    """Of two rows of logits over some tokens: mean |difference of log-probabilities| under theirs."""
    return float(np.sum(np.exp(theirs) * np.abs(ours - theirs)))


def compare_logits(mica, engine, checkpoint, prompt, length):
    answer, rows = engine.greedy(prompt, length)
    logits = mica.logits(checkpoint, prompt + answer[:-1])[len(prompt) - 1:]
    agree, distances, worst = [], [], 0.0
    for ours, token, theirs in zip(logits, answer, rows):
        ours = ours - np.logaddexp.reduce(ours.astype(np.float64))
        ids = np.array(list(theirs))
        values = np.array(list(theirs.values()))
        agree.append(int(np.argmax(ours)) == token)
        distances.append(distance(ours[ids], values))
        likely = values > np.log(1e-4)
        worst = max(worst, float(np.max(np.abs(ours[ids] - values)[likely])))
    return {"tokens": len(agree), "agreeing": sum(agree),
            "first_other": agree.index(False) if False in agree else None,
            "mean_distance": float(np.mean(distances)), "worst_distance": worst}


def dtype_of(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    return config.get("torch_dtype", "bfloat16")


def check(options, checkpoint, type_, folder):
    output = pathlib.Path(folder) / f"{checkpoint.name}-{type_}.gguf"
    convert(options.mica, checkpoint, output, type_)
    result = {"checkpoint": str(checkpoint.name), "type": type_, "bytes": output.stat().st_size}
    result["weights"] = compare_weights(gguf.GGUFReader(output), checkpoint)
    if not options.weights_only:
        with LlamaCpp(output, dtype_of(checkpoint)) as engine:
            result["logits"] = compare_logits(Mica(options.mica), engine, checkpoint, TOKENS,
                                              options.length)
            if options.tokenizer:
                pairs = [(engine.tokenize(text), tokenize_here(checkpoint, text)) for text in TEXTS]
                result["texts"] = {"texts": len(pairs), "same": sum(a == b for a, b in pairs)}
    output.unlink()
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mica")
    parser.add_argument("checkpoint", nargs="+", type=pathlib.Path)
    parser.add_argument("--type", action="append", dest="types")
    parser.add_argument("--length", type=int, default=32, help="tokens of an answer")
    parser.add_argument("--weights-only", action="store_true", help="without an engine")
    parser.add_argument("--tokenizer", action="store_true", help="compare the ids of texts, too")
    parser.add_argument("--report", type=pathlib.Path)
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for checkpoint in (with_words(path, folder) for path in options.checkpoint):
            for type_ in options.types or ["exact", "f32"]:
                results.append(check(options, checkpoint, type_, folder))
                print(json.dumps(results[-1]), flush=True)
    if options.report:
        options.report.write_text(json.dumps(results, indent=1) + "\n")
    different = [r for r in results if r["type"] == "exact" and r["weights"]["different"]]
    print(f"{len(results)} files, {len(different)} with other weights")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
