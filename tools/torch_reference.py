#!/usr/bin/env python3
"""Speed of a model's shape in PyTorch and transformers, random bf16 weights: to stand beside
`mica bench --offline`, whose names of tests it uses. Eager, as transformers runs by default.

Ends with 77 and the reason where PyTorch or transformers are not installed or the model has no room.
"""
import argparse
import json
import statistics
import sys
import time


def numbers(text):
    return [int(part) for part in text.split(",")]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="a config.json")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--prompt", type=numbers, default=[512])
    parser.add_argument("--tokens", type=int, default=64, help="of a decode test")
    parser.add_argument("--streams", type=numbers, default=[1])
    parser.add_argument("--repetitions", type=int, default=3)
    return parser.parse_args()


def leave(reason):
    print(reason, file=sys.stderr)
    sys.exit(77)


def load(torch, transformers, path, device):
    """The model with random weights, made on the device."""
    with open(path) as file:
        values = json.load(file)
    for key in ("quantization", "quantization_config"):
        values.pop(key, None)
    config = transformers.AutoConfig.for_model(values.pop("model_type"), **values)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            return transformers.AutoModelForCausalLM.from_config(config).eval()
    except torch.OutOfMemoryError as error:
        leave(f"no room for the bf16 weights: {str(error).splitlines()[0]}")
    finally:
        torch.set_default_dtype(before)


class Bench:
    def __init__(self, torch, model, device, repetitions):
        self.torch, self.model, self.device, self.repetitions = torch, model, device, repetitions
        self.results = []

    def synchronize(self):
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def ids(self, streams, tokens):
        return self.torch.randint(0, self.model.config.vocab_size, (streams, tokens), device=self.device)

    def forward(self, ids, cache=None):
        return self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)

    def prefill(self, tokens):
        ids, samples = self.ids(1, tokens), []
        for i in range(self.repetitions + 1):
            self.synchronize()
            began = time.perf_counter()
            self.forward(ids)
            self.synchronize()
            if i > 0:
                samples.append(tokens / (time.perf_counter() - began))
        self.add(f"pp{tokens}", 1, samples)

    def decode(self, tokens, streams):
        samples, steps = [], []
        for i in range(self.repetitions + 1):
            cache = self.forward(self.ids(streams, 16)).past_key_values
            ids = self.ids(streams, tokens)
            times = []
            for t in range(tokens):
                self.synchronize()
                began = time.perf_counter()
                cache = self.forward(ids[:, t:t + 1], cache).past_key_values
                self.synchronize()
                times.append(time.perf_counter() - began)
            if i > 0:
                samples.append(streams * tokens / sum(times))
                steps += times
        self.add(f"tg{tokens}" + (f" x{streams}" if streams > 1 else ""), streams, samples, steps)

    def add(self, test, streams, samples, steps=()):
        self.results.append({
            "test": test, "streams": streams, "tokens_per_second": statistics.mean(samples), "samples": samples,
            "step_seconds": statistics.median(steps) if steps else 0})


def main():
    options = arguments()
    try:
        import torch
        import transformers
    except ImportError as error:
        leave(f"not installed: {error.name}")
    if options.device == "cuda" and not torch.cuda.is_available():
        leave("this PyTorch sees no GPU")
    began = time.perf_counter()
    model = load(torch, transformers, options.config, options.device)
    seconds = time.perf_counter() - began
    bench = Bench(torch, model, options.device, options.repetitions)
    with torch.inference_mode():
        for tokens in options.prompt:
            bench.prefill(tokens)
        for streams in options.streams:
            bench.decode(options.tokens, streams)
    name = torch.cuda.get_device_name() if options.device == "cuda" else options.device
    json.dump({"engine": f"PyTorch {torch.__version__}, transformers {transformers.__version__}, eager",
               "device": name, "weights": "bf16", "load_seconds": seconds,
               "attention": model.config._attn_implementation, "results": bench.results}, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
