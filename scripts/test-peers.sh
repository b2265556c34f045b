#!/usr/bin/env bash
# Opt-in: Mica, mlx-lm and llama.cpp on the same weights on this machine's CPU, one matrix run, one report.
#   scripts/test-peers.sh [folder]     default: build/peers; its venv is kept, its results are new
# Installs mlx-lm, MLX for CPUs and xllamacpp (llama.cpp's own server in a wheel) from PyPI into a
# virtual environment. About ten minutes: MLX multiplies quantized weights slowly on CPUs.
# Fails when an engine does not start, when greedy answers disagree, or when a run is invalid.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "${1:-build/peers}" && cd "${1:-build/peers}" && pwd)
mica=$PWD/build/mica
model=$PWD/models/demo
[ -x "$mica" ] || scripts/build.sh release mica

if [ ! -x "$out/venv/bin/mlx_lm.server" ]; then
  python3 -m venv "$out/venv"
  "$out/venv/bin/pip" install --quiet "mlx[cpu]" mlx-lm xllamacpp
fi
mkdir -p "$out/bin"
ln -sf "$mica" "$out/bin/mica"
ln -sf "$out/venv/bin/mlx_lm.server" "$out/bin/mlx_lm.server"
printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$out/venv/bin/python" "$PWD/tools/llama_server.py" \
  > "$out/bin/llama-server"
chmod +x "$out/bin/llama-server"
export PATH="$out/bin:$PATH"
"$out/venv/bin/pip" list 2>/dev/null | grep -iE '^(mlx|mlx-lm|mlx-cpu|xllamacpp) '

"$mica" convert "$model" --to gguf --output "$out/demo.gguf" --overwrite
rm -rf "$out/results"
# Two starts of each, in turn; what the answers and their probabilities have in common is in the
# output check, which comes first.
"$mica" bench "$model" --backend "mica,mlx-lm,llamacpp:$out/demo.gguf" --launch process \
  --concurrency 1,4 --input-tokens 64 --output-tokens 32 --requests 12 --rounds 2 \
  --warm-up-rounds 3 --group peers --results "$out/results"
"$mica" report --group peers --results "$out/results" --format md --output "$out/peers.md"
"$mica" report --group peers --results "$out/results" --format html --output "$out/peers.html"
echo "Report: $out/peers.md and $out/peers.html"
