#!/usr/bin/env python3
"""`mica generate` on tiny checkpoints against mlx-lm's greedy answers (tests/golden/greedy.json).

    pip install "mlx[cpu]" mlx-lm
    tools/check_generate.py --mica build/mica --checkpoints DIR [--device cpu --device simt]

Each checkpoint gets a tokenizer whose 256 tokens are one character each.
"""
import argparse
import json
import pathlib
import subprocess

import golden
import mlx.core as mx

FIRST = 0x4E00  # of the characters


def text_of(ids):
    return "".join(chr(FIRST + i) for i in ids)


def write_tokenizer(directory, size):
    vocab = {chr(FIRST + i): i for i in range(size)}
    tokenizer = dict(version="1.0", truncation=None, padding=None, added_tokens=[], normalizer=None,
                     pre_tokenizer=None, post_processor=None, decoder=dict(type="Fuse"),
                     model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None,
                                end_of_word_suffix=None, fuse_unk=False, byte_fallback=False, vocab=vocab, merges=[]))
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
    (directory / "tokenizer_config.json").write_text("{}")


def generate(mica, directory, prompt, count, device):
    command = [mica, "generate", "--model", directory, "--device", device, "--ignore-chat-template", "--verbose",
               "false", "--max-tokens", count, "--prompt", text_of(prompt)]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        return f"exit status {done.returncode}: {done.stderr.strip()[-300:]}"
    return [ord(c) - FIRST for c in done.stdout.rstrip("\n")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mica", required=True)
    parser.add_argument("--checkpoints", type=pathlib.Path, required=True)
    parser.add_argument("--device", action="append", help="more than once (default: cpu and simt)")
    options = parser.parse_args()
    mx.set_default_device(mx.cpu)
    records = json.loads((golden.ROOT / "tests" / "golden" / "greedy.json").read_text())
    cases = {label: rest for label, *rest in golden.cases()}
    failed = 0
    for label, record in records.items():
        config, dtype, quantization = cases[label]
        config = json.loads(json.dumps(config)) | dict(torch_dtype=golden.name_of(dtype))
        model = golden.make_case(config, dtype, quantization)
        directory = options.checkpoints / label
        golden.write_checkpoint(directory, model, config | (dict(quantization=quantization) if quantization else {}))
        write_tokenizer(directory, config["vocab_size"])
        for device in options.device or ["cpu", "simt"]:
            found = generate(options.mica, directory, record["prompt"], len(record["answer"]), device)
            failed += found != record["answer"]
            print("ok  " if found == record["answer"] else "FAIL", device, label, found, flush=True)
    print(f"{failed} failed")
    raise SystemExit(failed > 0)


if __name__ == "__main__":
    main()
