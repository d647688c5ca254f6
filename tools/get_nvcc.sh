#!/usr/bin/env bash
# Prints the folder of an nvcc of CUDA 13, to be put on the PATH: get_nvcc.sh FOLDER. One that is there already, or PyPI's,
# installed into FOLDER. Fails, saying so, where neither can be had.
set -euo pipefail
if found=$(command -v nvcc) && nvcc --version | grep -q 'release 13\.'; then
  dirname "$found"
  exit
fi
mkdir -p "$1"
pip install -q --target "$1" 'cuda-toolkit[nvcc,cudart,crt,nvvm]==13.0.*' >&2
nvcc=$(find "$1/nvidia" -name nvcc -type f | head -1)
[ -n "$nvcc" ] || { echo "get_nvcc.sh: PyPI's packages have no nvcc" >&2; exit 1; }
root=$(dirname "$(dirname "$nvcc")")
[ -e "$root/lib64" ] || ln -s lib "$root/lib64" # where nvcc looks for the run time
"$nvcc" --version >&2
dirname "$nvcc"
