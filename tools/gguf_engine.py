"""The two engines of tools/check_gguf.py: llama.cpp's server from the xllamacpp wheel, and
`mica logits`."""
import json
import pathlib
import subprocess
import tempfile
import urllib.request

import numpy as np
import safetensors.numpy
import tokenizers
import xllamacpp

CACHE_TYPES = {"float32": 0, "float16": 1, "bfloat16": 30}  # ggml's ids


class LlamaCpp:
    """Its server on a free port; keys and values in `cache`, as Mica keeps them."""

    def __init__(self, path, cache="bfloat16", context=512, threads=2):
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = context
        params.n_parallel = 1
        params.n_gpu_layers = 0
        params.cache_type_k = params.cache_type_v = CACHE_TYPES[cache]
        params.flash_attn_type = 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.warmup = params.ui = False
        params.verbosity = 1
        self.server = xllamacpp.Server(params)
        self.url = self.server.listening_address

    def __enter__(self):
        return self

    def __exit__(self, *_):
        del self.server

    def post(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.load(answer)

    def tokenize(self, text):
        return self.post("/tokenize", {"content": text, "add_special": True,
                                       "parse_special": True})["tokens"]

    def greedy(self, prompt, length, probabilities=100):
        """The answer's ids, and for each the log-probabilities of the likeliest tokens by id."""
        answer = self.post("/completion", {
            "prompt": prompt, "n_predict": length, "temperature": 0, "n_probs": probabilities,
            "cache_prompt": False, "samplers": ["temperature"]})
        ids, rows = [], []
        for step in answer["completion_probabilities"]:
            ids.append(step["id"])
            rows.append({top["id"]: top["logprob"] for top in step["top_logprobs"]})
        return ids, rows


class Mica:
    def __init__(self, program, device="cpu"):
        self.program, self.device = program, device

    def logits(self, checkpoint, tokens):
        """f32 [T, vocabulary]"""
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "logits.safetensors"
            subprocess.run([self.program, "logits", "--model", str(checkpoint), "--device",
                            self.device, "--tokens", " ".join(map(str, tokens)), "--output",
                            str(out)], check=True)
            return safetensors.numpy.load_file(out)["logits"]


def tokenize_here(checkpoint, text):
    return tokenizers.Tokenizer.from_file(str(checkpoint / "tokenizer.json")).encode(text).ids
