"""Runs a script in a fresh interpreter that finds the same lamina as this one."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap


def run_python(script: str, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    """Environment variables given as "" are removed."""
    merged = {**os.environ, **environment, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    merged = {name: value for name, value in merged.items() if value}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(command, env=merged, timeout=timeout, capture_output=True, text=True, check=False)


def output_of(script: str, timeout: float = 120, **environment: str) -> str:
    finished = run_python(script, timeout, **environment)
    assert finished.returncode == 0, f"exit code {finished.returncode}\n{finished.stdout}{finished.stderr}"
    return finished.stdout.strip()
