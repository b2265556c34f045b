#!/usr/bin/env bash
# Formats every C++ and CUDA source in place; with --check only says which differ and fails.
# Versions of clang-format differ in details: the committed form is that of version 14 (Debian 12).
set -euo pipefail
cd "$(dirname "$0")/.."
format=$(command -v clang-format-14 || command -v clang-format)
mapfile -t files < <(git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')
if [ "${1:-}" != "--check" ]; then
  printf '%s\n' "${files[@]}" | xargs "$format" -i
  exit
fi
if ! "$format" --version | grep -q 'version 14'; then
  echo "format: skipped, needs clang-format 14, found $("$format" --version)"
  exit 0
fi
if ! printf '%s\n' "${files[@]}" | xargs "$format" --dry-run --Werror 2>/tmp/mica-format-$$; then
  grep -oE '^[^: ]+\.(cpp|h|cu|cuh):[0-9]+' /tmp/mica-format-$$ | sort -u | head -20 >&2
  rm -f /tmp/mica-format-$$
  echo "format: run scripts/format.sh" >&2
  exit 1
fi
rm -f /tmp/mica-format-$$
echo "format: ${#files[@]} files ok"
