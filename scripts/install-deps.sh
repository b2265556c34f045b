#!/usr/bin/env bash
# Installs what Mica needs to build and test, from the distribution's packages only
# (Debian 12 or newer, Ubuntu 22.04 or newer). Does nothing when all of it is there.
#   scripts/install-deps.sh          build and tests
#   scripts/install-deps.sh --fuzz   also clang with its sanitizer runtime
set -euo pipefail

packages=(
  build-essential cmake ninja-build ccache git ca-certificates pkg-config
  libfmt-dev nlohmann-json3-dev libsimdjson-dev libpcre2-dev libutf8proc-dev
  libcurl4-openssl-dev libssl-dev zlib1g-dev libboost-dev libboost-system-dev libcli11-dev libyaml-cpp-dev
  libedit-dev libsqlite3-dev libjs-chart.js libgtest-dev clang-format python3 patchelf
)
[ "${1:-}" = "--fuzz" ] && packages+=(clang lld libclang-rt-14-dev)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=""
if [ "$(id -u)" -ne 0 ]; then
  sudo=$(command -v sudo) || {
    echo "Missing packages: ${missing[*]}" >&2
    echo "Run as root, or install sudo, or: apt-get install ${missing[*]}" >&2
    exit 2
  }
fi
echo "Installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
