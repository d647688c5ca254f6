#!/usr/bin/env bash
# Builds and runs the tests in this folder: run.sh FOLDER TARGET. Of csrc/simd, for an instruction set; neon is
# cross-compiled and emulated where the machine is no Arm, and every kernel of csrc/cpu is then compiled for it, too;
# avx512 is emulated where the machine has none, with SIMDe's headers (libsimde-dev on Debian and Ubuntu).
# TARGET cuda: of the kernels of products and convolutions and their index arithmetic, run on the CPU.
# TARGET threads: of csrc/core/parallel.cpp and barrier.cpp, with and without ThreadSanitizer.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$1 target=$2
mkdir -p "$folder"
compiler=${CXX:-g++} emulator=""
if [ "$target" = threads ]; then
  for sanitizer in "" -fsanitize=thread; do
    echo "test_parallel $sanitizer"
    $compiler -std=c++20 -O1 -g $sanitizer -fopenmp -Icsrc -Wall -Wextra tests/cpp/test_parallel.cc csrc/core/parallel.cpp \
      csrc/core/barrier.cpp -o "$folder/test_parallel"
    $(setarch -R true && echo setarch -R) "$folder/test_parallel"  # its shadow memory wants the plain layout of addresses
  done
  exit
fi
if [ "$target" = cuda ]; then
  flags="-std=c++20 -O1 -g1 -mavx2 -mfma -mf16c -ffp-contract=off -Icsrc -Wall -Wextra -Wno-unused-function -Wno-unknown-pragmas"
  flags="$flags -U_FORTIFY_SOURCE -DLAMINA_TARGET=cuda -DLAMINA_TARGET_SCALAR=1"
  units="csrc/cuda/emulate.cc csrc/cuda/channel_sums.cu $(ls csrc/cuda/gemm_*.cu csrc/cuda/conv_*.cu | grep -v _sm90)"
  rm -f "$folder"/*.cu.o "$folder/kernels.a"
  printf '%s\n' $units tests/cpp/test_cuda_*.cc |
    xargs -P "$(nproc)" -I{} sh -c "$compiler $flags -x c++ -c {} -o $folder/\$(basename {}).o"
  ar rcs "$folder/kernels.a" "$folder"/*.cu.o "$folder/emulate.cc.o"
  for test in tests/cpp/test_cuda_*.cc; do
    name=$(basename "$test" .cc)
    $compiler "$folder/$name.cc.o" "$folder/kernels.a" -o "$folder/$name"
    for order in 0 1 2; do
      copies=$([ $order = 0 ] && echo at-once || echo late)
      echo "$name, threads in order $order, copies land $copies"
      LAMINA_EMULATE_ORDER=$order LAMINA_EMULATE_COPIES=$copies "$folder/$name" $((order + 1)) 5
    done
  done
  exit
fi
case $target in
  scalar) flags="" ;;
  avx2) flags="-mavx2 -mfma -mf16c -mbmi2" ;;
  avx512)
    flags="-mavx2 -mfma -mf16c -mbmi2"
    if grep -qw avx512f /proc/cpuinfo; then
      flags="$flags -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512"
    else
      echo "no AVX-512 here: its instructions are emulated"
      flags="$flags -w -Wno-psabi -include tests/cpp/avx512_by_avx2.h"
    fi ;;
  neon)
    flags="-Wno-psabi"
    [ "$(uname -m)" = aarch64 ] || { compiler=aarch64-linux-gnu-g++ emulator="qemu-aarch64 -L /usr/aarch64-linux-gnu"; } ;;
  *) echo "unknown target $target"; exit 1 ;;
esac
define="-DLAMINA_TARGET=$target -DLAMINA_TARGET_${target^^}=1"
common="-std=c++20 -O2 -ffp-contract=off -fno-math-errno -fno-trapping-math -Icsrc -Wall -Wextra -Wno-unused-function"
for test in test_vec test_math; do
  echo "$test on $target"
  $compiler $common $flags $define "tests/cpp/$test.cc" -o "$folder/$test-$target"
  $emulator "$folder/$test-$target" ${STRIDE:-}
done
if [ -n "$emulator" ]; then
  for source in csrc/cpu/*.cc; do
    echo "compiling $source for $target"
    $compiler $common -O0 $flags $define -fPIC -c "$source" -o "$folder/$(basename "$source").o"
  done
fi
