#!/usr/bin/env bash
# Checks and measures Mica on this machine's GPU and writes report.md and report.json. Runs from a
# checkout that was built (build/) or from the unpacked package; compiles and installs nothing.
#
#   scripts/gpu-check.sh [options] [part…]      without a part: all, in this order
#
#   facts                    the machine; whether Mica can use the device (ends with 3 where not)
#   tests                    all tests of operations, models and engine on the device
#   sanitizer-TOOL           tests of kernels under compute-sanitizer: memcheck, racecheck,
#                            initcheck, synccheck
#   bench-1b bench-8b bench-30b      Llama-3.2-1B, Llama-3.1-8B, Qwen3-30B-A3B, 4-bit g64, random
#   bench-8b-bf16                    Llama-3.1-8B in bf16
#   torch-1b torch-8b torch-30b      the same shapes in PyTorch and transformers, bf16, where these are
#
#   --device D      cuda (default), cuda:N; cpu for a rehearsal
#   --rehearse      a tiny model and few tokens: shows in minutes that every part works
#   --out DIR       for report.md, report.json and units.tar.gz (default: $OUT, else gpu-check-report)
#   --state DIR     where results are collected (default: DIR/units); a run goes on where the last ended
#   --again         forget the results of these parts first
#   --seconds N     of one part at most (default 520); what is left then runs at the next call
#
# Ends with 0 when everything passed, 1 when something failed, 2 for wrong arguments, 3 when the
# device is not usable, 5 when time ran out before everything had run: call it again.
set -euo pipefail
shopt -s nullglob

readonly all_parts="facts tests
  sanitizer-memcheck sanitizer-racecheck sanitizer-initcheck sanitizer-synccheck
  bench-1b bench-8b bench-8b-bf16 bench-30b torch-1b torch-8b torch-30b"
root=$(cd "$(dirname "$0")/.." && pwd)
device=cuda rehearse= out=${OUT:-gpu-check-report} state= again= part_seconds=520 parts=
left=0 failed=0

usage() {
  sed -n '2,/^set -/p' "$root/scripts/gpu-check.sh" | sed -n 's/^# \{0,1\}//p' >&2
  [ $# = 0 ] || echo "gpu-check: $*" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
  --device | --out | --state | --seconds)
    [ $# -gt 1 ] || usage "$1 needs a value"
    case $1 in
    --device) device=$2 ;;
    --out) out=$2 ;;
    --state) state=$2 ;;
    --seconds) part_seconds=$2 ;;
    esac
    shift
    ;;
  --rehearse) rehearse=yes ;;
  --again) again=yes ;;
  -*) usage "unknown option $1" ;;
  *)
    [[ " $(echo $all_parts) " == *" $1 "* ]] || usage "unknown part $1"
    parts+=" $1"
    ;;
  esac
  shift
done
[[ $part_seconds =~ ^[1-9][0-9]*$ ]] || usage "--seconds: expected a number, found $part_seconds"
mkdir -p "$out"
out=$(cd "$out" && pwd)
state=${state:-$out/units}

# ---- what is here

if [ -x "$root/bin/mica" ]; then
  programs=$root/bin data=$root/data
elif [ -x "$root/build/mica" ]; then
  programs=$root/build data=$root
else
  echo "gpu-check: neither $root/bin/mica nor $root/build/mica is there; build first, or unpack a package" >&2
  exit 2
fi
export MICA_DATA_DIR=$data
mica=$programs/mica
demo=$data/models/demo

# The tests that follow $MICA_TEST_DEVICE, and those that are of CUDA alone: one program where the
# build has CUDA.
device_tests=()
if [ -x "$programs/test_device" ]; then
  device_tests=("$programs/test_device") kernel_tests=$programs/test_device
else
  # As mica_device_test() has them.
  for program in "$programs"/test_{simt_kernels,models,adapters,golden_adapter,batching,embeddings,greedy,speculation}; do
    [ -f "$program" ] && [ -x "$program" ] && device_tests+=("$program")
  done
  kernel_tests=$programs/test_simt_kernels
fi

find_sanitizer() {
  local place
  for place in "${COMPUTE_SANITIZER:-}" "$(command -v compute-sanitizer || true)" \
    /usr/local/cuda*/bin/compute-sanitizer /usr/local/cuda*/compute-sanitizer/compute-sanitizer; do
    [ -n "$place" ] && [ -x "$place" ] && echo "$place" && return
  done
  return 0
}

# cuBLASLt and NCCL as the loader, toolkits and the nvidia Python packages have them.
list_libraries() {
  { ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null || true; } | grep -E 'lib(cublasLt|nccl|cuda)\.so' | sed 's/.*=> //' || true
  ls -d /usr/local/cuda*/lib64/lib{cublasLt,nccl}.so.* 2>/dev/null || true
  local programs_of prefix
  for programs_of in ${PATH//:/ } "$HOME/.local/bin"; do
    prefix=${programs_of%/bin}
    [ "$prefix" != "$programs_of" ] || continue
    ls -d "$prefix"/lib/python3*/{site,dist}-packages/nvidia/*/lib/lib{cublasLt,nccl}.so.* 2>/dev/null || true
  done
}

# ---- units: one command each, with its result in $state/PART/UNIT.json

quote() { # as a JSON string
  local text=$1
  text=${text//\\/\\\\} text=${text//\"/\\\"} text=${text//$'\n'/\\n} text=${text//$'\t'/ }
  printf '"%s"' "$(printf '%s' "$text" | tr -d '\000-\037')"
}

record() { # PART UNIT STATUS SECONDS EXIT REASON COMMAND…
  local file=$state/$1/$2.json
  {
    printf '{"part": %s, "unit": %s, "status": %s, ' "$(quote "$1")" "$(quote "$2")" "$(quote "$3")"
    printf '"seconds": %s, "exit": %s, "reason": %s, ' "$4" "$5" "$(quote "$6")"
    shift 6
    printf '"command": %s}\n' "$(quote "$*")"
  } >"$file.new"
  mv "$file.new" "$file"
}

skip() { # PART UNIT REASON
  mkdir -p "$state/$1"
  record "$1" "$2" skipped 0 0 "$3"
  echo "  $1/$2: skipped: $3"
}

gpu_state() { # FILE
  command -v nvidia-smi >/dev/null || return 0
  nvidia-smi --query-gpu=timestamp,name,pstate,clocks.sm,clocks.mem,power.draw,temperature.gpu,memory.used,clocks_event_reasons.active \
    --format=csv >"$1" 2>&1 || true
}

# Runs a command with its output in UNIT.out and its messages in UNIT.log. Exit 77 is "skipped".
unit() { # PART UNIT LIMIT COMMAND…
  local part=$1 name=$2 limit=$3 base=$state/$1/$2 rest code=0 began status reason=
  shift 3
  if [ -f "$base.json" ]; then
    grep -qE '"status": "(ok|skipped)"' "$base.json" || failed=$((failed + 1))
    echo "  $part/$name: done before"
    return
  fi
  rest=$((part_end - SECONDS))
  if [ $rest -lt 5 ]; then
    left=$((left + 1))
    return
  fi
  mkdir -p "$state/$part"
  gpu_state "$base.before.csv"
  began=$SECONDS
  timeout -k 10 $((limit < rest ? limit : rest)) "$@" >"$base.out" 2>"$base.log" </dev/null || code=$?
  local seconds=$((SECONDS - began))
  gpu_state "$base.after.csv"
  case $code in
  0) status=ok ;;
  77) status=skipped reason=$(tail -n 1 "$base.log") ;;
  124 | 137)
    if [ $limit -gt $rest ]; then # the part's time ended, not the unit's
      left=$((left + 1))
      echo "  $part/$name: no time left"
      return
    fi
    status=timeout reason="no end within $limit s"
    ;;
  *) status=failed reason=$(reason_of "$base") ;;
  esac
  record "$part" "$name" $status $seconds $code "$reason" "$@"
  [[ $status == ok || $status == skipped ]] || failed=$((failed + 1))
  echo "  $part/$name: $status, $seconds s${reason:+: $reason}"
}

reason_of() { # BASE: the last line that says something
  { grep -hE '\[  FAILED  \]|mica: |rror' "$1.log" "$1.out" || tail -n 3 "$1.log"; } 2>/dev/null | tail -n 1 | cut -c1-300
}

# ---- parts

facts_system() {
  date -u '+date: %Y-%m-%dT%H:%M:%SZ'
  echo "mica: $("$mica" --version), $programs"
  echo "kernel: $(uname -srm)"
  sed -n 's/^PRETTY_NAME="\(.*\)"/system: \1/p' /etc/os-release
  echo "glibc: $(ldd --version 2>/dev/null | sed -n '1s/.* //p')"
  sed -n 's/^model name[^:]*: /processor: /p' /proc/cpuinfo | sort -u
  echo "cores: $(nproc)"
  sed -n 's/^MemTotal: */memory: /p' /proc/meminfo
  if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=index,name,compute_cap,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit,ecc.mode.current,pcie.link.gen.max,pcie.link.width.max \
      --format=csv,noheader 2>&1 | sed 's/^/gpu: /'
    nvidia-smi topo -m 2>/dev/null | sed 's/^/topology: /' || true
  else
    echo "gpu: no nvidia-smi"
  fi
  list_libraries | sort -u | sed 's/^/library: /'
  echo "compute-sanitizer: $(find_sanitizer)"
  echo "python: $(command -v python3 || echo none)"
}

record_system() {
  mkdir -p "$state/facts"
  facts_system >"$state/facts/system.out"
  record facts system ok 0 0 "" facts
}

# A token from the demo model: the first use of the device.
device_works() {
  "$mica" generate --model "$demo" --device "$device" --prompt Hello --max-tokens 1
}
device_says() {
  sed -n '/^mica: /,$p' "$state/device.log"
}

part_facts() {
  record_system
  unit facts device 120 "$mica" --log-level debug generate --model "$demo" --device "$device" --prompt Hello --max-tokens 1
}

suites() { # PROGRAM
  "$1" --gtest_list_tests 2>/dev/null | grep -oE '^[^ ]+\.' || true
}

# A suite a process: a fault of a kernel spoils its process's context for good.
part_tests() {
  local program suite name
  for program in "${device_tests[@]}"; do
    for suite in $(MICA_TEST_DEVICE=$device suites "$program"); do
      name=$(basename "$program").${suite%.}
      name=${name//\//_}
      unit tests "$name" 300 env MICA_TEST_DEVICE="$device" "$program" --gtest_filter="$suite*" --gtest_brief=1 \
        --gtest_output="json:$state/tests/$name.gtest"
    done
  done
  [ ${#device_tests[@]} -gt 0 ] || skip tests programs "no test programs in $programs"
}

part_sanitizer() { # TOOL
  local part=sanitizer-$1 sanitizer suite name program=$kernel_tests
  sanitizer=$(find_sanitizer)
  if [ -z "$sanitizer" ]; then
    skip "$part" all "compute-sanitizer is not on this machine"
    return
  fi
  [ -x "$program" ] || { skip "$part" all "no $program" && return; }
  for suite in $(suites "$program" | grep -E '^(Simt|GpuBackend|PtxCheck)'); do
    name=${suite%.}
    unit "$part" "$name" 240 env MICA_TEST_DEVICE="$device" "$sanitizer" --tool "$1" --error-exitcode 97 \
      --print-limit 20 "$program" --gtest_filter="$suite*" --gtest_brief=1
    # Where the tool can't work at all, once is enough.
    if grep -qiE 'Device not supported|Internal Sanitizer Error|not supported on this' "$state/$part/$name".{out,log} 2>/dev/null; then
      rm "$state/$part/$name.json"
      failed=$((failed - 1))
      skip "$part" all "$(grep -hiE 'not supported|Internal' "$state/$part/$name".{out,log} | head -n 1)"
      return
    fi
  done
}

part_bench() { # PART SHAPE SCHEME…
  local part=$1 shape=$2
  shift 2
  local speed=(-p 512,4096 --prefill-step-size 4096 --prompt-streams 1 -n 128 -b 1,8,64 -r 3)
  local deep=(-d 2048 -p 0 -n 64 -b 1,8 -r 2)
  if [ -n "$rehearse" ]; then
    shape=$demo/config.json
    speed=(-p 16,64 --prefill-step-size 64 --prompt-streams 1 -n 8 -b 1,8,64 -r 2)
    deep=(-d 40 -p 0 -n 4 -b 1,2 -r 1)
  fi
  local bench=("$mica" bench --offline --device "$device" -o json)
  unit "$part" speed 480 "${bench[@]}" --synth "$shape" "$@" "${speed[@]}" --engine
  unit "$part" depth 480 "${bench[@]}" --synth "$shape" "$@" "${deep[@]}"
  [ "$part" != bench-1b ] || unit "$part" load 300 bash -c '
    set -e; folder=$(mktemp -d); trap "rm -rf $folder" EXIT; mica=$1 shape=$2; shift 2
    "$mica" synth --like "$shape" --out "$folder/model" --bits 4
    "$mica" bench --model "$folder/model" "$@"' load "$mica" "$shape" --offline --device "$device" -o json -p 0 -n 4 -r 1
}

part_torch() { # PART SHAPE
  local config=$data/config/shapes/$2.json size=(--prompt 512,4096 --tokens 64 --streams 1,8,64)
  if [ -n "$rehearse" ]; then
    config=$demo/config.json size=(--prompt 16,64 --tokens 4 --streams 1,2)
  fi
  if ! command -v python3 >/dev/null; then
    skip "$1" torch "no python3"
    return
  fi
  unit "$1" torch 500 python3 "$root/tools/torch_reference.py" --config "$config" --device "${device%%:*}" "${size[@]}"
}

run_part() {
  case $1 in
  facts) part_facts ;;
  tests) part_tests ;;
  sanitizer-*) part_sanitizer "${1#sanitizer-}" ;;
  bench-1b) part_bench "$1" Llama-3.2-1B --bits 4 ;;
  bench-8b) part_bench "$1" Llama-3.1-8B --bits 4 ;;
  bench-8b-bf16) part_bench "$1" Llama-3.1-8B --mode none --dtype bfloat16 ;;
  bench-30b) part_bench "$1" Qwen3-30B-A3B --bits 4 ;;
  torch-1b) part_torch "$1" Llama-3.2-1B ;;
  torch-8b) part_torch "$1" Llama-3.1-8B ;;
  torch-30b) part_torch "$1" Qwen3-30B-A3B ;;
  esac
}

# ---- the run

write_report() {
  tar -C "$state" -czf "$out/units.tar.gz.new" . && mv "$out/units.tar.gz.new" "$out/units.tar.gz"
  if ! command -v python3 >/dev/null; then
    echo "gpu-check: no python3 here; on another machine: tools/gpu_report.py UNPACKED-units.tar.gz DIR"
    return
  fi
  python3 "$root/tools/gpu_report.py" "$state" "$out"
}

mkdir -p "$state"
[ -n "$(ls -A "$state")" ] || [ ! -f "$out/units.tar.gz" ] || tar -C "$state" -xzf "$out/units.tar.gz"

# Before anything long: an unusable device ends it here.
code=0
device_works >"$state/device.out" 2>"$state/device.log" || code=$?
if [ $code = 3 ]; then
  device_says >&2
  echo "gpu-check: the device '$device' can't be used; nothing was run on it" >&2
  record_system
  record facts device failed 0 3 "$(device_says)" device
  write_report
  exit 3
elif [ $code = 2 ]; then
  usage "$(device_says)"
fi

for part in ${parts:-$all_parts}; do
  [ -z "$again" ] || rm -rf "${state:?}/$part"
  [ "$part" != facts ] || rm -f "$state/facts/device.json"  # may be of a run that could not use it
  echo "$part"
  part_end=$((SECONDS + part_seconds))
  run_part "$part"
done
write_report
if [ $failed -gt 0 ]; then
  echo "gpu-check: $failed failed, $left not run yet"
  exit 1
elif [ $left -gt 0 ]; then
  echo "gpu-check: $left not run yet: call it again"
  exit 5
fi
echo "gpu-check: passed"
