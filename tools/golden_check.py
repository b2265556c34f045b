"""Compares `mica logits` of a checkpoint with golden logits, as tests/models_test.cpp does with its
weights made in memory. For tools/golden.py --check and tools/golden_random.py."""
import base64
import collections
import dataclasses
import json
import pathlib
import subprocess
import tempfile

import mlx.core as mx
import numpy as np


@dataclasses.dataclass
class Comparison:
    group: str  # device, architecture, dtype, what the reference is
    case: str
    tolerance: float
    errors: np.ndarray  # relative error of each row
    decided: int  # rows whose likeliest token is beyond doubt
    wrong: list  # those of them where it is another
    failure: str = ""

    def holds(self):
        return not self.failure and self.errors.max() < self.tolerance and not self.wrong


def tolerance_of(record):
    """docs/numerics.md; tests/models_test.cpp has the same."""
    if record["source_dtype"] == "float32":  # only affine weights with f32 scales are multiplied in f32
        schemes = json.dumps(record["config"].get("quantization", {}))
        return 5e-4 if "mxfp4" in schemes or "nvfp4" in schemes else 1e-4
    bf16 = record["source_dtype"] == "bfloat16"
    if record["computed_in"] == "float32":
        return 5e-3 if bf16 else 1e-3
    return 2e-2 if bf16 else 5e-3


def least_margin(record):
    """Of a router in a golden. A hidden state within the tolerance moves scores by about as much."""
    return 2 * tolerance_of(record)


def clear_rows(logits, tolerance):
    """Which rows of logits have a likeliest token beyond doubt."""
    ranked = np.sort(logits, axis=1)
    return ranked[:, -1] - ranked[:, -2] > 5 * tolerance * np.sqrt((logits**2).mean(axis=1))


def group_of(record, device):
    config = record["config"]
    quantization = config.get("quantization")
    format_ = "dense" if not quantization else quantization.get("mode", "affine")
    return f"{device} {config['model_type']} {record['source_dtype']} {format_}"


def mica_logits(mica, directory, tokens, device, step=0):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "logits.safetensors"
        command = [mica, "logits", "--model", directory, "--tokens", " ".join(map(str, tokens)),
                   "--output", out, "--device", device, "--prefill-step-size", step]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode:
            return None, f"exit status {done.returncode}: {done.stderr.strip()[-300:]}"
        return np.array(mx.load(str(out))["logits"]), ""


def compare(mica, directory, record, device, step=0):
    tolerance = tolerance_of(record)
    theirs = np.frombuffer(base64.b64decode(record["logits"]), "<f4").reshape(-1, record["vocab"])
    ours, failure = mica_logits(mica, directory, record["tokens"], device, step)
    result = Comparison(group_of(record, device), pathlib.Path(directory).name, tolerance, np.array([np.inf]), 0, [], failure)
    if failure:
        return result
    if ours.shape != theirs.shape:
        result.failure = f"logits {ours.shape}, expected {theirs.shape}"
        return result
    result.errors = np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)
    clear = clear_rows(theirs, tolerance)
    result.decided = int(clear.sum())
    result.wrong = [int(row) for row in np.flatnonzero(clear & (ours.argmax(axis=1) != theirs.argmax(axis=1)))]
    return result


class Report:
    def __init__(self):
        self.results = []

    def add(self, result):
        self.results.append(result)
        if not result.holds():
            first = int(np.flatnonzero(~(result.errors < result.tolerance))[:1].sum())
            what = result.failure or (f"{len(result.errors)} rows, worst {result.errors.max():.1e}, first bad row {first}, "
                                      f"other tokens in rows {result.wrong}")
            print(f"FAILED {result.group} {result.case}: {what}", flush=True)

    def finish(self):
        """Prints the worst of each group; the exit status."""
        groups = collections.defaultdict(list)
        for result in self.results:
            groups[result.group, result.tolerance].append(result)
        for (group, tolerance), results in sorted(groups.items()):
            worst = max(results, key=lambda r: r.errors.max())
            rows = sum(len(r.errors) for r in results)
            print(f"{group:40} {len(results):3} cases {rows:5} rows, {sum(r.decided for r in results):5} tokens: "
                  f"worst {worst.errors.max():.1e} of {tolerance:.0e} ({worst.case})")
        failed = sum(not r.holds() for r in self.results)
        print(f"{len(self.results)} comparisons, {failed} failed")
        return 1 if failed or not self.results else 0
