#!/usr/bin/env python3
"""Checks that includes follow the dependencies of docs/architecture.md and that sizes stay in budget."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# A folder of src/ may include itself and what stands here.
ALLOWED = {
    "base": set(),
    "tensor": {"base"},
    "checkpoint": {"base", "tensor"},
    "text": {"base"},
    "ops": {"base", "tensor"},
    "model": {"base", "tensor", "checkpoint", "ops"},
    "engine": {"base", "tensor", "ops", "model"},
    "server": {"base", "text", "engine", "checkpoint", "tensor", "ops", "model"},
    "bench": {"base", "tensor", "checkpoint", "text", "ops", "model", "engine"},
    "doctor": {"base", "checkpoint", "ops"},
    "cli": {"base", "tensor", "checkpoint", "text", "ops", "model", "engine", "server", "bench",
            "doctor"},
}
INCLUDE = re.compile(r'^\s*#include\s+"([a-z_]+)/', re.M)
CUDA = re.compile(r"^\s*#include\s+<(cuda|cublas|nccl|cudnn)[a-zA-Z_0-9]*\.h", re.M)
MAX_LINES = {".cpp": 500, ".cu": 500, ".h": 300, ".cuh": 500}
# Files over the budget, each with its reason.
LONGER = {
}


def problems():
    for path in sorted((ROOT / "src").rglob("*")):
        if path.suffix not in MAX_LINES:
            continue
        relative = path.relative_to(ROOT)
        folder = relative.parts[1]
        text = path.read_text()
        for other in INCLUDE.findall(text):
            if other in ALLOWED and other != folder and other not in ALLOWED[folder]:
                yield f"{relative}: {folder} must not include {other}"
        if CUDA.search(text) and not (folder == "ops" and (path.suffix == ".cu" or "cuda" in relative.parts)):
            yield f"{relative}: CUDA headers belong in ops/**/*.cu and ops/cuda"
        lines = text.count("\n")
        if lines > MAX_LINES[path.suffix] and str(relative) not in LONGER:
            yield f"{relative}: {lines} lines, the budget is {MAX_LINES[path.suffix]}"


found = list(problems())
for line in found:
    print(line, file=sys.stderr)
print(f"layers: {'ok' if not found else f'{len(found)} problems'}")
sys.exit(1 if found else 0)
