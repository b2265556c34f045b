#!/bin/sh
# nvcc_report.sh [ccache] nvcc … -o OBJECT …: runs it and keeps what it writes to standard error (of
# `-Xptxas -v`: the registers of each kernel) in OBJECT.report; shows that only on failure.

# ccache must not compare preprocessed sources: nvcc -E sees one GPU, so code of
# `#if __CUDA_ARCH__ >= 900` could change unseen. The namespace keeps entries made so away.
export CCACHE_DEPEND=1 CCACHE_NAMESPACE=mica-nvcc

object=
previous=
for argument; do
  [ "$previous" = -o ] && object=$argument
  previous=$argument
done
"$@" 2>"$object.report"
status=$?
[ $status -eq 0 ] || cat "$object.report" >&2
exit $status
