"""The engine at length and in company: chains of a million nodes, several threads on leaves and graphs that they share."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading

import pytest

import lamina
from lamina.autograd import grad


def leaf(*values):
    return lamina.tensor(values, dtype=lamina.float64, requires_grad=True)


# ---- long chains ----

CHAIN = """
    import sys, threading, lamina

    def run():
        x = lamina.ones(1, requires_grad=True)
        y = x
        for _ in range({n}):
            y = y + x
        y.backward()
        assert x.grad.item() == {n} + 1, x.grad
        del y                      # a graph that was run, and
        z = x
        for _ in range({n}):
            z = z * 1.0
        del z                      # one that was not, die without recursion
        g = first = lamina.ones(1)
        for _ in range({n}):       # gradients of gradients of gradients
            h = lamina.ones(1)
            h.grad = g
            g = h
        del g, h, first
        print("done")
"""


@pytest.mark.parametrize("where", ["main thread", "thread with a stack of 256 KiB"])
def test_a_million_nodes(where):
    start = (
        "run()"
        if where == "main thread"
        else "threading.stack_size(262144); t = threading.Thread(target=run); t.start(); t.join()"
    )
    n = 1_000_000 if where == "main thread" else 200_000
    program = textwrap.dedent(CHAIN.format(n=n)) + start
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout == "done\n", done.stderr[-2000:]


def test_a_node_with_very_many_inputs():
    xs = [leaf(float(i)) for i in range(3000)]
    (lamina.stack(xs).sum() * 2).backward()
    assert all(x.grad.tolist() == [2] for x in xs)


# ---- threads ----


def in_threads(n, work):
    failures = []

    def guarded(i):
        try:
            work(i)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise failures[0]


def test_threads_with_graphs_of_their_own_and_one_leaf():
    shared = lamina.ones(50_000, dtype=lamina.float64, requires_grad=True)  # large enough to compute without the GIL
    rounds = 25

    def work(i):
        own = lamina.full((50_000,), float(i + 1), dtype=lamina.float64, requires_grad=True)
        for _ in range(rounds):
            ((shared.reshape(100, 500) * own.reshape(100, 500)).sum() * 2).backward()
        assert own.grad[0].item() == 2 * rounds

    in_threads(4, work)
    assert (shared.grad == 2 * rounds * (1 + 2 + 3 + 4)).all()


def test_reading_and_setting_grad_while_others_accumulate():
    shared = lamina.ones(40_000, requires_grad=True)
    seed = lamina.ones(40_000)

    def work(i):
        for _ in range(100):
            if i == 0:
                g = shared.grad
                assert g is None or float(g[0]) >= 1
            elif i == 1:
                shared.grad = None
            else:
                (shared * 1.0).backward(seed)

    in_threads(4, work)


def test_hooks_come_and_go_while_others_run():
    shared = lamina.ones(40_000, requires_grad=True)
    seed = lamina.ones(40_000)

    def work(i):
        for _ in range(100):
            if i < 2:
                handle = shared.register_hook(lambda g: None)
                handle.remove()
            else:
                (shared * 1.0).backward(seed)

    in_threads(4, work)
    assert shared.grad[0].item() == 200


def test_threads_that_run_one_graph():
    x = lamina.ones(40_000, requires_grad=True)
    seed = lamina.ones(40_000)
    for retain in (True, False):
        y = x
        for _ in range(50):
            y = y.tanh() * 1.5
        finished = []

        def work(i, y=y, retain=retain, finished=finished):
            try:
                grad(y, x, seed, retain_graph=retain)
                finished.append(i)
            except RuntimeError as error:
                assert not retain and "second time" in str(error)

        in_threads(4, work)
        assert len(finished) == 4 if retain else len(finished) <= 4
