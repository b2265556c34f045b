#!/usr/bin/env bash
# From a fresh Debian 12 or Ubuntu 22.04/24.04 to the first answer: installs what is missing, builds,
# and asks the shipped demo model a question on the CPU.
#   scripts/demo.sh ["your question"]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-deps.sh
if [ ! -x build/mica ]; then
  echo "Building Mica (once, a few minutes) …"
fi
scripts/build.sh release mica | tail -n 1
question=${1:-What is Mica?}
echo
echo "> $question"
exec build/mica generate --model models/demo --device cpu --prompt "$question" --max-tokens 200
