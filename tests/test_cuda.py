"""The way to a CUDA device, on machines that have none: what is said where something is missing or fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from cuda_library import fake, run

AVAILABLE = (
    "import lamina; print(lamina.cuda.is_available(), lamina.cuda.device_count(), lamina.cuda.why_not_available())"
)
MAKE = "import lamina; lamina.empty(3, device='cuda')"


def last_line(code: str, library: Path | str | None, **environment: str) -> str:
    done = run(code, library, **environment)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_no_library_means_no_devices(tmp_path: Path):
    missing = tmp_path / "nowhere.so"
    done = run(AVAILABLE, missing)
    assert done.returncode == 0 and done.stdout.startswith("False 0 device cuda: lamina's CUDA library is not here")
    done = run(MAKE, missing)
    assert "RuntimeError: device cuda: lamina's CUDA library is not here" in done.stderr
    assert "docs/cuda.md" in done.stderr and "nowhere.so" in done.stderr


def test_a_library_that_is_something_else(tmp_path: Path):
    library = fake(tmp_path, ENTRY="something_else")
    assert "is not lamina's CUDA library" in last_line(MAKE, library)


def test_wrong_version_of_the_interface(tmp_path: Path):
    library = fake(tmp_path, VERSION="kCudaAbiVersion + 1")
    message = last_line(MAKE, library)
    assert message.startswith("RuntimeError: device cuda:") and "the same version" in message


def test_no_driver(tmp_path: Path):
    library = fake(tmp_path, COUNT_STATUS="35")
    assert run(AVAILABLE, library).stdout.startswith(
        "False 0 device cuda: no usable NVIDIA driver: driver is insufficient"
    )
    assert "no usable NVIDIA driver" in last_line(MAKE, library)


def test_no_device(tmp_path: Path):
    library = fake(tmp_path, DEVICES="0")
    assert run(AVAILABLE, library).stdout.startswith("False 0 device cuda: this machine has no CUDA device")
    assert "no CUDA device" in last_line(MAKE, library)


def test_a_device_that_is_not_there(tmp_path: Path):
    library = fake(tmp_path, DEVICES="2")
    assert run(AVAILABLE, library).stdout.startswith("True 2 ")
    message = last_line("import lamina; lamina.empty(3, device='cuda:2')", library)
    assert "device cuda:2 is not there: this machine has 2 CUDA devices" in message


def test_a_device_that_fails(tmp_path: Path):
    library = fake(tmp_path, USE_STATUS="46")
    assert "RuntimeError: device cuda: CUDA error 46: went wrong" in last_line(MAKE, library)


def test_out_of_memory_gives_the_cache_back_first(tmp_path: Path):
    library = fake(tmp_path, LIMIT=str(10 << 20))
    done = run(
        """
import lamina
x = lamina.empty(6 << 20, dtype=lamina.uint8, device="cuda")
del x
before = lamina.cuda.memory_stats()
y = lamina.empty(8 << 20, dtype=lamina.uint8, device="cuda")  # only without what is cached
after = lamina.cuda.memory_stats()
print(before["reserved"] >> 20, before["allocated"], after["reserved"] >> 20, after["allocated"] >> 20)
try:
    lamina.empty(4 << 20, dtype=lamina.uint8, device="cuda")
except MemoryError as e:
    print(e)
del y
lamina.cuda.empty_cache()
print(lamina.cuda.memory_stats()["reserved"], lamina.cuda.memory_stats()["peak"] >> 20)
try:
    lamina.empty(2 << 30, dtype=lamina.uint8, device="cuda")  # more than the device has
except MemoryError as e:
    print(e)
""",
        library,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "6 0 8 8",
        f"empty: out of memory: cannot allocate {4 << 20} bytes on cuda:0",
        "0 8",
        f"empty: out of memory: cannot allocate {2 << 30} bytes on cuda:0",
    ]


def test_the_process_survives_a_failed_launch_and_learns_its_name(tmp_path: Path):
    library = fake(tmp_path, SYNC_STATUS="700", FAILED_OP='"conv2d"')
    done = run(
        """
import lamina
try:
    lamina.cuda.synchronize()
except RuntimeError as e:
    print(e)
print(lamina.ones(2).sum().item())
""",
        library,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["conv2d: CUDA error 700: went wrong", "2.0"]


def test_a_failed_copy_blames_the_operation_before_it(tmp_path: Path):
    library = fake(tmp_path, COPY_STATUS="700", SYNC_STATUS="700", FAILED_OP='"gru"')
    assert "gru: CUDA error 700" in last_line("import lamina; lamina.ones(3).cuda()", library)


def test_operations_without_a_kernel(tmp_path: Path):
    library = fake(tmp_path)
    assert "compute capability 8.0" in last_line("import lamina; lamina.ones(3).cuda() + 1", library)


@pytest.mark.parametrize("wrong", ["'cpu'", "'tpu'"])
def test_functions_of_cuda_want_a_cuda_device(wrong: str):
    assert "ValueError" in last_line(f"import lamina; lamina.cuda.synchronize({wrong})", None)
