#!/usr/bin/env bash
# Prints the Debian or Ubuntu packages with the shared libraries that a program needs, one a line.
# Libraries under /usr/local, as CUDA's, belong to no package and are left out.
#   scripts/runtime-packages.sh PROGRAM
set -euo pipefail
program=${1:?usage: scripts/runtime-packages.sh PROGRAM}
libraries=$(ldd "$program")
if grep 'not found' <<<"$libraries" >&2; then
  echo "runtime packages: $program misses these libraries here" >&2
  exit 1
fi
awk '$2 == "=>" && $3 ~ "^/" {print $3}' <<<"$libraries" | while read -r library; do
  [[ $library == /usr/local/* ]] && continue
  # Packages name either side of the links /lib and /usr/lib.
  for path in "$library" "/usr$library" "$(realpath "$library")" "$(realpath "$library" | sed 's|^/usr||')"; do
    dpkg-query -S "$path" 2>/dev/null && continue 2
  done
  echo "runtime packages: no package owns $library" >&2
  exit 1
done | sed -E 's/(:[a-z0-9]+)?: .*//' | sort -u
