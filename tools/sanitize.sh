#!/usr/bin/env bash
# Builds with sanitizers and runs pytest under them: tools/sanitize.sh address,undefined|thread [arguments of pytest].
# One instruction set is built, the best that this machine has; LAMINA_TARGETS names others. Needs what `[dev]` installs.
set -euo pipefail
cd "$(dirname "$0")/.."
sanitizers=$1
shift
mkdir -p build
build=build/sanitize-${sanitizers//,/-} python=$(command -v python)

if [ -z "${LAMINA_TARGETS:-}" ]; then
  case $(uname -m) in
    aarch64) LAMINA_TARGETS=neon ;;
    x86_64) LAMINA_TARGETS=$(grep -qw avx2 /proc/cpuinfo && grep -qw fma /proc/cpuinfo && echo avx2 || echo scalar) ;;
    *) LAMINA_TARGETS=scalar ;;
  esac
fi
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLAMINA_SANITIZE="$sanitizers" \
  -DLAMINA_TARGETS="$LAMINA_TARGETS" -DSKBUILD_PROJECT_VERSION=0 -DPython_EXECUTABLE="$python" \
  -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
ninja -C "$build" -j "$(nproc)" --quiet

. tools/package_of_build.sh
package_of_build "$build"

# The interpreter is not instrumented, so the run time has to be there before it, and the C++ library whose throw it wraps.
compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[^=]*=//p' "$build/CMakeCache.txt")
library() { realpath "$("$compiler" -print-file-name="$1")"; }
case $sanitizers in
  address*) preload="$(library libasan.so):$(library libstdc++.so.6)" ;;
  thread) preload="$(library libtsan.so):$(library libstdc++.so.6)" ;;
  *) preload="$(library libubsan.so)" ;;
esac
# Python itself never frees what it interns: no report of leaks. Tests ask for more memory than there is: null, not death.
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=1:${ASAN_OPTIONS:-}
export UBSAN_OPTIONS=print_stacktrace=1:${UBSAN_OPTIONS:-}
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:report_signal_unsafe=0:die_after_fork=0:suppressions=$PWD/tools/thread_sanitizer.supp:${TSAN_OPTIONS:-}
export PYTHONMALLOC=malloc LAMINA_ISA="" LAMINA_SANITIZED=$sanitizers
export OPENBLAS_NUM_THREADS=1 # threads of NumPy's that nobody watches would be reported
# Without address randomisation: ThreadSanitizer finds no place for its shadow on recent kernels otherwise.
randomised=$(setarch -R true 2>/dev/null && echo setarch -R || true)
LD_PRELOAD="$preload" $randomised "$python" -m pytest -q -p no:cacheprovider --capture=sys "$@" # reports are shown
