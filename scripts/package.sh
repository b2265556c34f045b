#!/usr/bin/env bash
# Builds the relocatable package: one tarball with mica, its test programs, their data and every
# library beside glibc's own. It runs on any Linux with glibc of this machine's version or newer
# (Debian 12: 2.36), where nothing needs to be installed.
#   scripts/package.sh [architectures]   → dist/mica-VERSION-linux-ARCH.tar.gz
#   scripts/package.sh --from FOLDER     packs what this build folder has
# Architectures are those of MICA_CUDA_ARCHITECTURES (docs/cuda.md): default all; none: no CUDA.
# Where nvcc is missing the package has no CUDA either. The CUDA toolkit is not needed to run it.
# In the unpacked folder: bin/mica …, ./run-tests for all the tests, scripts/gpu-check.sh for those on
# a GPU and for its speed.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --from ]; then
  directory=${2:?--from needs a build folder}
else
  architectures=${1:-all}
  directory=build-package
  scripts/install-deps.sh
  cuda=AUTO
  [ "$architectures" = none ] && cuda=OFF
  cmake --preset package -DMICA_CUDA=$cuda -DMICA_CUDA_ARCHITECTURES="$architectures" |
    grep '^-- CUDA backend' || true
  scripts/build.sh package | tail -n 1
  ninja -C "$directory" -t cleandead >/dev/null  # programs of earlier versions
fi
version=$(sed -n 's/^project(mica VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
name=mica-$version-linux-$(uname -m)
root=dist/$name
rm -rf "$root"
mkdir -p "$root"/{bin,lib,share/models}

# Programs: search path first the folder beside them, whatever the system has.
for program in "$directory"/mica "$directory"/test_*; do
  [ -x "$program" ] && [ -f "$program" ] || continue
  strip -o "$root/bin/$(basename "$program")" "$program"
  patchelf --set-rpath '$ORIGIN/../lib' --force-rpath "$root/bin/$(basename "$program")"
done
# Libraries, transitively; glibc's own stay with the system (they must match its loader), so do the
# driver's and CUDA's.
glibc='^(ld-linux.*|libc|libm|libdl|librt|libpthread|libresolv|libutil|libnss_.*|libanl)\.so'
nvidia='^lib(cuda|cudart|cublas|cublasLt|nccl|nvidia-.*)\.so'
ldd "$root"/bin/* | awk '$2 == "=>" && $3 ~ "^/" {print $3}' | sort -u | while read -r library; do
  base=$(basename "$library")
  [[ $base =~ $glibc || $base =~ $nvidia ]] && continue
  cp -L "$library" "$root/lib/$base"
  chmod u+w "$root/lib/$base"
  patchelf --set-rpath '$ORIGIN' --force-rpath "$root/lib/$base"
done
if readelf -d "$root"/bin/* "$root"/lib/* | grep -E 'NEEDED.*lib(cuda|cublas|nv)'; then
  echo "package: a program needs a library of CUDA; all of it must be static or loaded" >&2
  exit 1
fi
# What the tests read, and the demo model.
mkdir -p "$root/data/tests"
cp -r tests/data tests/golden "$root/data/tests/" 2>/dev/null || true
mkdir -p "$root/data/models" && cp -r models/. "$root/data/models/"
cp -r config "$root/data/" 2>/dev/null || true
cp README.md LICENSE "$root/"
mkdir -p "$root"/{scripts,tools}
cp scripts/gpu-check.sh "$root/scripts/"
cp tools/gpu_report.py tools/torch_reference.py "$root/tools/"
cat >"$root/run-tests" <<'RUN'
#!/bin/sh
# Runs every test program of this package; ends with 1 when one fails.
here=$(cd "$(dirname "$0")" && pwd)
export MICA_DATA_DIR="$here/data"
failed=0
for program in "$here"/bin/test_*; do
  echo "== $(basename "$program")"
  "$program" --gtest_brief=1 || failed=1
done
[ $failed = 0 ] && echo "all test programs passed"
exit $failed
RUN
chmod +x "$root/run-tests"
tar -C dist -czf "dist/$name.tar.gz" "$name"
echo "dist/$name.tar.gz: $(du -h "dist/$name.tar.gz" | cut -f1)"
