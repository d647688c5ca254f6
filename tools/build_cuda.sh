#!/usr/bin/env bash
# Builds the CUDA library without CMake: build_cuda.sh cuda|emulated FOLDER [FLAGS…]. `cuda` needs nvcc; `emulated` is
# the stand-in for tests: the same kernels compiled by g++, run thread by thread on the CPU (csrc/cuda/launch_emulated.h).
# What has not changed since the last call is not compiled again.
set -euo pipefail
kind=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
shift 2
exec 9>"$folder/lock"
flock 9  # two builds in one folder take turns
cd "$(dirname "$0")/../csrc"
defines="-DLAMINA_TARGET=cuda -DLAMINA_TARGET_SCALAR=1"
portable=${LAMINA_CUDA_PORTABLE:-"arch=compute_80,code=[sm_80,sm_90,compute_80]"} # but for Hopper's own units
hopper="arch=compute_90a,code=sm_90a"

sources_of() { # a unit and all of ours that it includes, by whichever compiler
  local macro=""
  [ "$kind" != cuda ] || macro=-D__CUDACC__
  ${CXX:-g++} -std=c++20 -MM -MG -I. $defines $macro -x c++ "$1" | tr -s ' \\' '\n' | grep /
}

compile() { # SOURCE: its object is named by what it depends on
  local source=$1 command
  shift
  if [ "$kind" = cuda ]; then
    local target=$portable
    [[ $source == *_sm90.cu ]] && target=$hopper
    command="nvcc -std=c++20 -O3 --fmad=false --expt-relaxed-constexpr -diag-suppress 186 -Werror all-warnings -I. $defines -gencode $target
      --compress-mode=size -Xcompiler -fPIC,-fvisibility=hidden -Xptxas -v,--warn-on-spills $*"
  else
    local language=""
    [[ $source == *.cu ]] && language="-x c++"
    command="${CXX:-g++} -std=c++20 -O1 -g1 -U_FORTIFY_SOURCE -mavx2 -mfma -mf16c -ffp-contract=off -fno-math-errno -fPIC -fvisibility=hidden
      -Wall -Wextra -Wno-unused-function -Wno-unknown-pragmas -I. $defines $language"
  fi
  local key object
  key=$(printf '%s' "$command" | cat - $(sources_of "$source") | sha256sum | cut -c1-16)
  object="$folder/$(basename "$source").$key.o"
  [ -e "$object" ] && { echo "$object" >>"$list"; return; }
  rm -f "$folder/$(basename "$source")".*.o "$folder/$(basename "$source")".*.o.log  # of what the unit was before
  $command -c "$source" -o "$object.part" >"$object.log" 2>&1 || { cat "$object.log"; return 1; }
  ! grep -q '(C75' "$object.log" || { grep '(C75' "$object.log"; return 1; }
  mv "$object.part" "$object"
  echo "$object" >>"$list"
}

list=$(mktemp)
trap 'rm -f "$list"' EXIT
if [ "$kind" = cuda ]; then
  sources=$(ls cuda/*.cu) name=liblamina_cuda.so
else
  sources=$(ls cuda/*.cu cuda/*.cc | grep -v 'runtime\.cu$\|_sm90\.cu$') name=liblamina_cuda_emulated.so
fi
jobs=$(nproc) running=0
for source in $sources; do
  [ $running -lt "$jobs" ] || { wait -n; running=$((running - 1)); }
  compile "$source" "$@" &
  running=$((running + 1))
done
while [ $running -gt 0 ]; do wait -n; running=$((running - 1)); done
if [ "$kind" = cuda ]; then
  nvcc -shared -cudart static $(sort "$list") -o "$folder/$name.part"
else
  ${CXX:-g++} -shared -fPIC -Wl,--no-undefined $(sort "$list") -o "$folder/$name.part"
fi
mv "$folder/$name.part" "$folder/$name"
echo "$folder/$name"
