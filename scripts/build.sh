#!/usr/bin/env bash
# Configures and builds one CMake preset: scripts/build.sh [preset] [targets…]   (default: release, all)
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}
[ $# -gt 0 ] && shift
directory=build
[ "$preset" = release ] || directory=build-$preset
export CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=$PWD
[ -f "$directory/build.ninja" ] || cmake --preset "$preset" >"/tmp/mica-configure-$$.log" 2>&1 || {
  cat "/tmp/mica-configure-$$.log" >&2
  exit 1
}
rm -f "/tmp/mica-configure-$$.log"
NINJA_STATUS="[%f/%t] " ninja -C "$directory" "$@"
