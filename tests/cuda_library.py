"""Libraries in the place of liblamina_cuda.so: fakes that fail as asked, and the stand-in that runs the kernels on the CPU."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import Tensor

ROOT = Path(__file__).resolve().parent.parent


def compiler() -> str:
    found = os.environ.get("CXX") or shutil.which("g++")
    if not found:
        pytest.skip("no C++ compiler")
    return found


@cache
def emulated() -> Path:
    """The kernels compiled by g++: built once, then kept."""
    if os.uname().machine != "x86_64":
        pytest.skip("the stand-in for a GPU is for x86-64")
    compiler()
    ours = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]  # another checkout has other kernels
    folder = (
        os.environ.get("LAMINA_EMULATED_CUDA") or Path(tempfile.gettempdir()) / f"lamina-emulated-{os.getuid()}-{ours}"
    )
    built = subprocess.run(
        [ROOT / "tools" / "build_cuda.sh", "emulated", folder], capture_output=True, text=True, timeout=900
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return Path(built.stdout.split()[-1])


@pytest.fixture(scope="module")
def cuda() -> None:
    """A device for a whole file of tests: the stand-in or, as bench/gpu.sh asks for it, a real one."""
    if os.environ.get("LAMINA_TEST_CUDA") != "device":
        os.environ["LAMINA_CUDA_LIBRARY"] = str(emulated())
    assert lamina.cuda.is_available(), lamina.cuda.why_not_available()


def run(code: str, library: Path | str | None, **environment: str) -> subprocess.CompletedProcess[str]:
    """A new process that finds this library when it first asks for a CUDA device."""
    settings = dict(os.environ, **environment)
    settings.pop("LAMINA_CUDA_LIBRARY", None)
    if library is not None:
        settings["LAMINA_CUDA_LIBRARY"] = str(library)
    return subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, timeout=300)


def there(*tensors: Tensor) -> list[Tensor]:
    return [t.detach().cuda().requires_grad_(t.requires_grad) for t in tensors]


def same(
    f: Callable[..., Tensor], *inputs: Tensor, exact: bool = False, rtol: float = 2e-6, atol: float = 1e-6
) -> None:
    """f gives the same on both devices, and the same gradients."""
    moved = there(*inputs)
    expected, got = f(*inputs), f(*moved)
    assert got.device.type == "cuda" and got.shape == expected.shape and got.dtype is expected.dtype

    def compare(a: Tensor, b: Tensor) -> None:
        x, y = a.detach().cpu(), b.detach().cpu()
        if x.dtype in (lamina.bfloat16, lamina.float16):
            x, y = x.float(), y.float()
        if exact or not x.is_floating_point():
            np.testing.assert_array_equal(x.numpy(), y.numpy())
        else:
            np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=rtol, atol=atol)

    compare(got, expected)
    if not any(t.requires_grad for t in inputs) or not expected.requires_grad:
        return
    dy = lamina.randn(*expected.shape).to(expected.dtype)
    for t in (*inputs, *moved):
        t.grad = None
    expected.backward(dy)
    got.backward(dy.cuda())
    for a, b in zip(moved, inputs, strict=True):
        if b.grad is not None:
            assert a.grad is not None and a.grad.device.type == "cuda"
            compare(a.grad, b.grad)


def numbers(*shape: int, dtype: Any = lamina.float32, grad: bool = False, low: float = -3, high: float = 3) -> Tensor:
    if dtype in (lamina.int64, lamina.int32, lamina.uint8):
        return lamina.randint(1, 9, shape).to(dtype)
    if dtype is lamina.bool:
        return lamina.randint(0, 2, shape).to(dtype)
    return (lamina.rand(*shape) * (high - low) + low).to(dtype).requires_grad_(grad)


_FAKE = r"""
#include <stdlib.h>
#include <string.h>
#include "core/cuda_abi.h"
using namespace lamina;
namespace {
long taken = 0, limit = LIMIT;
int device_count(int* n) { *n = DEVICES; return COUNT_STATUS; }
const char* describe(int status) { return status == 35 ? "driver is insufficient" : status == 2 ? "out of memory" : "went wrong"; }
int use_device(int) { return USE_STATUS; }
int facts(int, CudaFacts* f) { *f = {"fake", 9, 0, 1, 1, 1l << 30}; return 0; }
const KernelTable* kernels(int) { return nullptr; }
int allocate(size_t n, void** p) {
  if (taken + (long)n > limit) return 2;
  char* block = static_cast<char*>(malloc(n + 64));
  memcpy(block, &n, sizeof n);
  taken += (long)n;
  *p = block + 64;
  return 0;
}
int release(void* p) {
  size_t n;
  memcpy(&n, static_cast<char*>(p) - 64, sizeof n);
  taken -= (long)n;
  free(static_cast<char*>(p) - 64);
  return 0;
}
int copy(void* to, const void* from, size_t n, CudaCopy) { memcpy(to, from, n); return COPY_STATUS; }
int synchronize(const char** op) { *op = FAILED_OP; return SYNC_STATUS; }
int nothing() { return 0; }
int nothing_made(void**) { return 0; }
int nothing_done(void*) { return 0; }
void nothing_allowed(bool) {}
int stream(CudaStream, void** s) { static char it; *s = &it; return 0; }
int make_event(bool, void** e) { static char it; *e = &it; return EVENT_STATUS; }
int with_event(void*) { return EVENT_STATUS; }
int with_both(void*, void*) { return EVENT_STATUS; }
int query(void*, void*, bool* reached) { *reached = true; return EVENT_STATUS; }
int elapsed(void*, void*, float*) { return EVENT_STATUS; }
int pinned(size_t n, void** p) { *p = malloc(n); return PINNED_STATUS; }
int unpinned(void* p) { free(p); return 0; }
int copy_later(void*, const void*, size_t, CudaCopy, void*) { return COPY_STATUS; }
int kind_of(const void*, CudaMemory* kind, int* device) { *kind = CudaMemory::host; *device = 0; return 0; }
constexpr CudaAbi abi{VERSION, "fake", device_count, describe, use_device, facts, kernels, allocate, release, copy,
                      synchronize, nothing, nothing_made, nothing_done, nothing_done,
                      stream, make_event, with_event, with_both, with_both, with_event, query, elapsed, pinned, unpinned,
                      copy_later, kind_of, nothing_allowed};
}
extern "C" const CudaAbi* ENTRY() { return &abi; }
"""


def fake(folder: Path, **settings: str) -> Path:
    """A library with the interface of the real one that behaves as told: DEVICES, LIMIT, …_STATUS, VERSION, ENTRY."""
    values = {
        "DEVICES": "1",
        "LIMIT": "1l << 40",
        "COUNT_STATUS": "0",
        "USE_STATUS": "0",
        "COPY_STATUS": "0",
        "EVENT_STATUS": "0",
        "PINNED_STATUS": "0",
        "SYNC_STATUS": "0",
        "FAILED_OP": "nullptr",
        "VERSION": "kCudaAbiVersion",
        "ENTRY": "lamina_cuda_abi",
    }
    source, library = folder / "fake.cc", folder / "libfake.so"
    source.write_text(_FAKE)
    defines = [f"-D{name}={value}" for name, value in (values | settings).items()]
    command = [
        compiler(),
        "-std=c++20",
        "-O0",
        "-shared",
        "-fPIC",
        f"-I{ROOT / 'csrc'}",
        *defines,
        source,
        "-o",
        library,
    ]
    subprocess.run(command, check=True)
    return library
