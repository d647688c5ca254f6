#!/usr/bin/env bash
# Runs pytest over the kernels of the avx512 target on a machine that has AVX2 only: emulate_avx512.sh [arguments of
# pytest]. Their instructions are emulated one by one (tests/cpp/avx512_by_avx2.h): the build takes half an hour. Needs
# SIMDe's headers (libsimde-dev on Debian and Ubuntu) and what `[dev]` installs.
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/avx512-emulated python=$(command -v python)
mkdir -p build
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLAMINA_TARGETS=avx512 -DLAMINA_EMULATE_AVX512=ON \
  -DSKBUILD_PROJECT_VERSION=0 -DPython_EXECUTABLE="$python" -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" \
  >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
ninja -C "$build" -j "$(nproc)" --quiet

. tools/package_of_build.sh
package_of_build "$build"
LAMINA_ISA=avx512 "$python" -m pytest -q -p no:cacheprovider "$@"
