#!/usr/bin/env bash
# What can be proven of the CUDA library on a machine with nvcc and no GPU: check_cuda.sh FOLDER. It compiles for all
# targets without a warning, a spill or one of ptxas's notes on lost performance; takes of a multiprocessor what
# csrc/cuda/ledger.txt says; and loads where there is no driver, saying so.
set -euo pipefail
cd "$(dirname "$0")/.."
library=$(tools/build_cuda.sh cuda "$1" | tail -1)
python tools/cuda_ledger.py "$1"
ls -l "$library"
python - "$library" <<'PY'
import ctypes
import sys

library = ctypes.CDLL(sys.argv[1])
library.lamina_cuda_abi.restype = ctypes.c_void_p
assert library.lamina_cuda_abi(), "no table of functions"
PY
LAMINA_CUDA_LIBRARY=$library python -c 'import lamina; print("devices:", lamina.cuda.device_count(), lamina.cuda.why_not_available())'
