"""Ctrl-C ends a long computation, and nothing else breaks."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time

import pytest

PROGRAMS = {
    "a loop of operations": """
        def work():
            y = lamina.zeros(1000)
            while True:
                y = (y + 1).tanh()
    """,
    "a long backward": """
        x = lamina.ones(1, requires_grad=True)
        y = x
        for _ in range(300_000):
            y = y * 1.0
        def work():
            while True:  # every pass is interrupted on its way, or between two
                y.backward(lamina.ones(1), retain_graph=True)
    """,
    "grad of a long chain": """
        x = lamina.ones(1, requires_grad=True)
        y = x
        for _ in range(300_000):
            y = y.tanh()
        def work():
            while True:
                lamina.autograd.grad(y, x, lamina.ones(1), retain_graph=True)
    """,
    "a backward without retain_graph": """
        def work():
            while True:  # interrupted while building, while running, or while tearing down
                x = y = lamina.ones(1, requires_grad=True)
                for _ in range(100_000):
                    y = y * 1.0
                y.backward(lamina.ones(1))
    """,
    "a hook": """
        x = lamina.ones(1, requires_grad=True)
        y = x * 1
        def hook(g):
            while True:
                g = g * 1
        y.register_hook(hook)
        def work():
            y.backward(lamina.ones(1), retain_graph=True)
    """,
    "a Function's backward": """
        class Slow(lamina.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 1
            @staticmethod
            def backward(ctx, dy):
                while True:
                    dy = dy * 1
        def work():
            Slow.apply(lamina.ones(1, requires_grad=True)).backward(lamina.ones(1))
    """,
}


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("what", PROGRAMS)
def test_keyboard_interrupt(what):
    program = f"""
import lamina
{textwrap.dedent(PROGRAMS[what])}
print("ready", flush=True)
try:
    work()
except KeyboardInterrupt:
    x = lamina.ones(2, requires_grad=True)
    (x * 2).backward(lamina.ones(2))
    print("interrupted", x.grad.tolist(), lamina.is_grad_enabled(), flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert output == "interrupted [2.0, 2.0] True\n" and process.returncode == 0
