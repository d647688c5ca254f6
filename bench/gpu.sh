#!/usr/bin/env bash
# Proves the CUDA library on a machine with a GPU, in at most 8 minutes: bench/gpu.sh [FOLDER]. The most valuable comes
# first, every stage has a time limit, and what a stage found is written before the next begins. Leaves FOLDER
# (bench/results/gpu-<device>-<commit>): a log of each stage and summary.txt.
set -uo pipefail
cd "$(dirname "$0")/.."
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
device=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1 | tr ' /' '--')
results=${1:-bench/results/gpu-${device:-none}-$commit}
mkdir -p "$results"
summary=$results/summary.txt
: >"$summary"

stage() { # NAME SECONDS COMMAND…
  local name=$1 limit=$2 start=$SECONDS
  shift 2
  timeout -k 5 "$limit" "$@" >"$results/$name.log" 2>&1
  printf '%-12s exit %3d %4d s\n' "$name" $? $((SECONDS - start)) | tee -a "$summary"
}

stage build 150 tools/build_cuda.sh cuda build/cuda
export LAMINA_CUDA_LIBRARY=$PWD/build/cuda/liblamina_cuda.so
stage probe 30 python -c '
import lamina
print(lamina.cuda.get_device_properties())
x = lamina.rand(1 << 28, device="cuda")
y = x.clone()
lamina.cuda.synchronize()
import time
least = 1e9
for _ in range(20):
    start = time.perf_counter()
    y.copy_(x)
    lamina.cuda.synchronize()
    least = min(least, time.perf_counter() - start)
print(f"copy: {2 * x.numel() * 4 / least / 1e9:.0f} GB/s")'
# The tests that the stand-in passes, on the device itself; then the same again for the bits.
stage correct 150 env LAMINA_TEST_CUDA=device python -m pytest -q -x --maxfail=20 tests/test_cuda_*.py
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck synccheck; do
    stage "$tool" 45 env LAMINA_TEST_CUDA=device compute-sanitizer --tool "$tool" --error-exitcode 9 \
      python -m pytest -q -x tests/test_cuda_kernels.py -k "reductions or indexing or binary_add"
  done
fi
stage speed 90 python bench/gpu_speed.py "$results/speed.json"
cat "$summary"
