#!/usr/bin/env bash
# Builds the CUDA kernels and checks them as compiled: no spills, no local arrays, registers and
# shared memory that fit (tools/kernel_table.py). ctest runs the same check after a build.
#   scripts/compile-gates.sh [preset]            prints the table of registers
#   scripts/compile-gates.sh [preset] --write    also into docs/kernels.md (of the preset `package`:
#                                                for every GPU), with the dynamic shared memory that
#                                                launches ask for in the tests of kernels
set -euo pipefail
cd "$(dirname "$0")/.."
preset=release
write=
for argument; do
  if [ "$argument" = --write ]; then write=yes; else preset=$argument; fi
done
directory=build
[ "$preset" = release ] || directory=build-$preset
scripts/build.sh "$preset" build.ninja >/dev/null
if ! grep -q '^build compile_gates:' "$directory/build.ninja"; then
  echo "compile gates: skipped, $directory is built without CUDA"
  exit 0
fi
scripts/build.sh "$preset" mica_cuda_kernels mica_cuda_runtime | tail -n 1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
scripts/build.sh "$preset" compile_gates >"$log" || status=$?
grep -E '^\||^compile gates:' "$log"
if [ -n "$write" ]; then
  scripts/build.sh "$preset" test_device | tail -n 1
  shared=$(mktemp)
  trap 'rm -f "$log" "$shared"' EXIT
  env -u MICA_TEST_DEVICE MICA_SIMT_SHARED="$shared" "$directory/test_device" --gtest_filter='Simt*' --gtest_brief=1
  version=$(sed -n 's/^MICA_NVCC_VERSION:INTERNAL=//p' "$directory/CMakeCache.txt")
  {
    echo "# Kernels as compiled"
    echo
    echo "Written by \`scripts/compile-gates.sh $preset --write\` with nvcc $version. Registers of a"
    echo "thread on each GPU; \`block\`: threads by its launch bounds (?: of a template); \`fits\`: the"
    echo "largest block that a multiprocessor's 65536 registers hold; \`shared\`: bytes of static shared"
    echo "memory. Every kernel here has 0 spills and no stack. Dynamic shared memory is named at the"
    echo "launch; the emulator refuses more than 99 KB (101376 bytes) of it in every test."
    echo
    grep '^|' "$log"
    echo
    echo "The most dynamic shared memory of a block that launches asked for in the tests of kernels, by"
    echo "the launch's name; those that are not here ask for none."
    echo
    python3 tools/kernel_table.py --shared "$shared"
  } >docs/kernels.md
fi
exit $status
