"""Threads: the same bits with any number of them, none for small work, peace with fork and with other OpenMP users."""

from __future__ import annotations

import os
import sys
import threading

import numpy as np
import pytest

import lamina
from processes import output_of, run_python

LARGE = 1_000_003  # elements: many chunks, and an odd rest


def composite(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value and gradient of something that goes through sums, broadcasts and transcendental functions."""
    x = lamina.tensor(values, requires_grad=True)
    row = lamina.tensor(values[0], requires_grad=True)
    y = (x * row).tanh() + (x.sigmoid() * 2 - row).exp()
    y.backward(lamina.ones(*y.shape))
    return y.detach().numpy(), np.concatenate([x.grad.numpy().ravel(), row.grad.numpy()])


def test_same_bits_with_any_number_of_threads(set_threads):
    values = np.random.default_rng(0).standard_normal((LARGE // 1009, 1009)).astype(np.float32)
    set_threads(1)
    value, gradient = composite(values)
    for threads in (2, 3, 8):
        set_threads(threads)
        again = composite(values)
        assert again[0].tobytes() == value.tobytes(), threads
        assert again[1].tobytes() == gradient.tobytes(), threads


def test_set_num_threads(set_threads):
    set_threads(3)
    assert lamina.get_num_threads() == 3
    for wrong in (0, -1, 100_000):
        with pytest.raises(ValueError, match="set_num_threads: expected 1 to"):
            lamina.set_num_threads(wrong)
    assert lamina.get_num_threads() == 3


def test_environment_sets_the_number_of_threads():
    script = "import lamina; print(lamina.get_num_threads())"
    assert output_of(script, OMP_NUM_THREADS="5") == "5"
    assert output_of(script, OMP_NUM_THREADS="1") == "1"
    assert output_of(script, OMP_NUM_THREADS="") == str(len(os.sched_getaffinity(0)))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
@pytest.mark.skipif(os.environ.get("LAMINA_SANITIZED") == "thread", reason="the sanitizer has a thread of its own")
def test_small_tensors_never_start_threads():
    script = """
        import os
        import lamina
        lamina.set_num_threads(4)
        def extra_threads(before=len(os.listdir("/proc/self/task"))):
            return len(os.listdir("/proc/self/task")) - before
        x = lamina.full((100, 100), 0.5, requires_grad=True)
        (x * 2 + 1).tanh().backward(x.detach())
        print(extra_threads())
        lamina.ones(1_000_000).exp()
        print(extra_threads())
    """
    assert output_of(script).split() == ["0", "3"]


def test_python_threads_work_side_by_side(set_threads):
    set_threads(2)
    values = np.random.default_rng(1).standard_normal((300, 1009)).astype(np.float32)
    expected = composite(values)
    results: list[tuple[np.ndarray, np.ndarray]] = []
    workers = [threading.Thread(target=lambda: results.append(composite(values))) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert len(results) == len(workers)
    for value, gradient in results:
        assert value.tobytes() == expected[0].tobytes()
        assert gradient.tobytes() == expected[1].tobytes()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("generations", [1, 2])
def test_parallel_work_after_fork(generations):
    """The pool's threads do not survive a fork: a forked child, and its child, start their own."""
    script = f"""
        import os, warnings
        import lamina
        warnings.simplefilter("ignore")  # Python warns of any fork beside threads
        lamina.set_num_threads(3)
        x = lamina.full((1_000_000,), 0.5)
        expected = x.exp().tolist()
        for _ in range({generations}):
            child = os.fork()
            if child:
                _, status = os.waitpid(child, 0)
                os._exit(os.waitstatus_to_exitcode(status))
            if x.exp().tolist() != expected or (x * 2).tolist()[-1] != 1.0:
                os._exit(7)
        os._exit(0)
    """
    finished = run_python(script)
    assert finished.returncode == 0, finished.stderr


# One loop of ours and one of PyTorch's, in turn and apart. Two OpenMP run times in one process would spin against each
# other: each leaves its threads busy-waiting on cores that the other needs, at a hundred times the cost. The fastest of
# many short samples is compared, for as long as it takes a busy machine to grant an undisturbed one. That there is one run
# time is told by the last line, with no clock.
ALTERNATION = """
    import time
    import {first}
    import {second}
    lamina.set_num_threads(2)
    torch.set_num_threads(2)
    x, y = lamina.ones(100_000), torch.ones(100_000)

    def ours():
        x + x

    def theirs():
        y + y

    def both():
        ours()
        theirs()

    fastest = dict.fromkeys((ours, theirs, both), float("inf"))
    deadline = time.monotonic() + 30
    ratio = float("inf")
    while ratio > {limit} and time.monotonic() < deadline:
        for call in fastest:
            for _ in range(10):
                start = time.perf_counter()
                for _ in range(5):
                    call()
                fastest[call] = min(fastest[call], time.perf_counter() - start)
        ratio = fastest[both] / (fastest[ours] + fastest[theirs])
    print(ratio)
    print(len({{line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line}}))
"""
LIMIT = 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("order", [("lamina", "torch"), ("torch", "lamina")], ids=" then ".join)
def test_alternating_with_torch_costs_no_more_than_apart(order):
    pytest.importorskip("torch")
    script = ALTERNATION.format(first=order[0], second=order[1], limit=LIMIT)
    ratio, libraries = output_of(script, OMP_NUM_THREADS="", OMP_WAIT_POLICY="").split()
    assert float(ratio) <= LIMIT, "the two OpenMP run times wait for each other"
    assert libraries == "1", "one process has loaded two copies of libgomp"
