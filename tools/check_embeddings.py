#!/usr/bin/env python3
"""Compares `mica serve`'s embeddings of a BERT in a sentence-transformers folder with those of
mlx-embeddings on ids of the tokenizers library.

Needs: pip install "mlx[cpu]" mlx-lm mlx-embeddings tokenizers
"""
import argparse
import base64
import json
import pathlib
import random
import subprocess
import sys
import urllib.request

import mlx.core as mx
import numpy as np
from golden_embeddings import architecture
from tokenizers import Tokenizer

WORDS = """time river stone language model the of a running quickly seven Zürich naïve café déjà Straße Москва
東京 北京大学 العربية हिन्दी ελληνικά 🙂 👩‍💻 don't state-of-the-art 3.14159 1,000,000 https://example.org/x?y=z
E=mc² foo_bar() pneumonoultramicroscopicsilicovolcanoconiosis [MASK] [SEP] UPPER lower""".split()
SPECIAL = [" ", ".", "\n\n", "a", "ﬁ ligature", "e\u0301 combining", "\u200bzero width", "tab\tand\rreturn", "\u00a0",
           "<html>&amp;</html>", "{}[]()", "x" * 150, "🙂" * 40, "日本語のテキスト", "\ufffd"]


def texts(count):
    rng = random.Random(5)
    out = list(SPECIAL)
    while len(out) < count:
        length = rng.choice([1, 3, 10, 30, 80, 400])
        out.append(" ".join(rng.choice(WORDS) for _ in range(length)))
    return out


def reference(folder, batch):
    folder = pathlib.Path(folder)
    config = json.loads((folder / "config.json").read_text())
    pooling = json.loads((folder / "1_Pooling/config.json").read_text())
    longest = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    module = architecture(config["model_type"].replace("-", "_"))
    model = module.Model(module.ModelArgs.from_dict(config))
    model.load_weights(list(model.sanitize(mx.load(str(folder / "model.safetensors"))).items()))
    model.eval()
    out = []
    for text in batch:
        states = np.array(model(mx.array([tokenizer.encode(text).ids])).last_hidden_state[0])
        out.append(states.mean(0) if pooling.get("pooling_mode_mean_tokens") else states[0])
    return [v / np.linalg.norm(v) for v in out]


def ask(port, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/embeddings", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as reply:
        return json.load(reply)


def vectors(port, batch):
    answer = ask(port, {"input": batch, "encoding_format": "base64", "truncate_prompt_tokens": -1})
    return [np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in answer["data"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mica", default="build/mica")
    parser.add_argument("--model", required=True, help="folder of sentence-transformers")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--port", type=int, default=8391)
    args = parser.parse_args()
    mx.set_default_device(mx.cpu)
    batch = texts(args.count)
    theirs = reference(args.model, batch)
    server = subprocess.Popen([args.mica, "serve", "--model", args.model, "--device", args.device, "--port", str(args.port)], stdout=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline()
        if not line.startswith("ready"):
            sys.exit(f"the server did not start: {line!r}")
        ours = vectors(args.port, batch)
        alone = [vectors(args.port, [text])[0] for text in batch[:20]]
    finally:
        server.terminate()
        server.wait()
    worst = 1.0
    for text, a, b in zip(batch, ours, theirs):
        cosine = float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))
        length = float(np.linalg.norm(a) / np.linalg.norm(b))
        worst = min(worst, cosine)
        if cosine < 0.9999 or abs(length - 1) > 1e-3:
            print(f"differs: cosine {cosine:.6f}, length {length:.5f} times theirs: {text[:60]!r}")
    same = sum(np.array_equal(a, b) for a, b in zip(alone, ours))
    print(f"{len(batch)} texts: least cosine {worst:.7f}; {same} of {len(alone)} have the same bits alone")
    sys.exit(0 if worst >= 0.9999 and (same == len(alone) or args.device != "cpu") else 1)


if __name__ == "__main__":
    main()
