#!/usr/bin/env bash
# Compiles every CUDA source for the GPUs it must serve and prints registers, stack, spills and
# static shared memory of each kernel. Fails where a kernel spills or keeps a local array.
#   scripts/compile-gates.sh            prints the table
#   scripts/compile-gates.sh --write    also into docs/kernels.md
set -euo pipefail
cd "$(dirname "$0")/.."
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null || true)
if [ -z "$nvcc" ]; then
  echo "compile gates: skipped, no nvcc"
  exit 0
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mapfile -t sources < <(git ls-files --cached --others --exclude-standard 'src/ops/*.cu')
gencode=()
for arch in 80 90a 120a; do gencode+=(-gencode "arch=compute_$arch,code=sm_$arch"); done
for source in "${sources[@]}"; do
  log=$scratch/$(echo "$source" | tr / _).log
  # fmt 9 drops constexpr under nvcc and then does not compile as C++20.
  if ! "$nvcc" -std=c++20 -DFMT_USE_CONSTEXPR=1 -Isrc -c "${gencode[@]}" -Xptxas -v \
    -Werror all-warnings -o "$scratch/object" "$source" >"$log" 2>&1; then
    cat "$log" >&2
    echo "compile gates: $source does not compile" >&2
    exit 1
  fi
done
python3 tools/kernel_table.py "$scratch"/*.log >"$scratch/table.md" || failed=1
cat "$scratch/table.md"
if [ "${1:-}" = "--write" ]; then
  {
    echo "# Kernels as compiled"
    echo
    echo "Written by \`scripts/compile-gates.sh --write\` with $("$nvcc" --version | grep -o 'release.*')."
    echo "Dynamic shared memory is named at the launch and not counted here."
    echo
    cat "$scratch/table.md"
  } >docs/kernels.md
fi
if [ "${failed:-0}" = 1 ]; then
  echo "compile gates: a kernel spills or keeps a local array" >&2
  exit 1
fi
echo "compile gates: ${#sources[@]} sources ok"
