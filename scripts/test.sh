#!/usr/bin/env bash
# Installs what is missing, builds everything and runs all checks and tests.
#   scripts/test.sh            release build
#   scripts/test.sh dev        under AddressSanitizer and UndefinedBehaviorSanitizer
#   scripts/test.sh tsan       under ThreadSanitizer
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-deps.sh
preset=${1:-release}
directory=build
[ "$preset" = release ] || directory=build-$preset
scripts/format.sh --check
python3 tools/check_layers.py
python3 tools/container/container_test.py
python3 tools/check_dockerfile.py --parse docker/Dockerfile docker/Dockerfile.cpu
log=$(mktemp)
trap 'rm -f "$log"' EXIT
scripts/build.sh "$preset" >"$log" || {
  grep -A 12 '^FAILED' "$log" >&2 || tail -n 40 "$log" >&2
  exit 1
}
tail -n 3 "$log"
ctest --test-dir "$directory" --output-on-failure -j "$(nproc)"
