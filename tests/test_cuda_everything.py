"""Every public function that takes tensors, called in all ways of a list that the CPU accepts: on the device (the
stand-in) it gives the same, on the device; with one of its tensors left behind it says so or does not mind."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import lamina
import lamina.nn.functional as F
from lamina import Tensor

pytestmark = pytest.mark.usefixtures("cuda")

# Functions of no tensor, or of the whole process, or whose result is a matter of chance or of memory.
ELSEWHERE = {
    "arange", "broadcast_shapes", "empty", "empty_cache", "eye", "from_numpy", "frombuffer", "full", "get_float32_matmul_precision",
    "get_num_threads", "get_printoptions", "get_rng_state", "initial_seed", "is_capturing", "is_grad_enabled", "item", "linspace",
    "load_metadata", "logspace", "memory_stats", "ones", "promote_types", "rand", "randint", "randn", "randperm", "register_hook",
    "reset_peak_memory", "retain_grad", "set_float32_matmul_precision", "set_printoptions", "set_rng_state", "show_config",
    "tril_indices", "triu_indices", "zeros",
    "asarray", "as_tensor", "tensor", "capture", "manual_seed", "save", "load", "seed", "cuda", "cpu", "backward", "numpy",
    "data_ptr", "empty_like", "new_empty", "pin_memory", "set_num_threads", "to", "copy_", "new_tensor", "type_as",
}  # fmt: skip


def _functions() -> dict[str, Callable[..., Any]]:
    found = {}
    for place in (F, lamina, Tensor):
        for name in dir(place):
            f = getattr(place, name)
            if name[0] != "_" and name not in ELSEWHERE and callable(f) and not isinstance(f, type):
                found.setdefault(name.rstrip("_"), f)  # methods are what the functions of their names are
    return found


def _ways() -> list[tuple[Any, ...]]:
    lamina.manual_seed(0)
    a, b, square = (lamina.rand(*s) * 0.8 + 0.1 for s in ((4, 6), (4, 6), (4, 4)))
    vector, images, batch, rows = (
        lamina.rand(6),
        lamina.rand(2, 4, 6, 6),
        lamina.rand(2, 4, 6),
        lamina.randint(0, 4, (4,)),
    )
    places, truth, weight, few = (
        lamina.randint(0, 4, (4, 6)),
        a > 0.5,
        lamina.rand(4, 4, 3, 3),
        lamina.tensor([2, 0, 1]),
    )
    blocks, volume, taps = lamina.rand(2, 4, 4), lamina.rand(1, 2, 4, 4, 4), lamina.rand(2, 2, 3, 3, 3)
    pooled = [
        (*pool(x, 2, return_indices=True), 2)
        for pool, x in ((F.max_pool1d, batch), (F.max_pool2d, images), (F.max_pool3d, volume))
    ]
    signs = lamina.tensor([1, -1, 1, -1])
    return [
        *pooled, (rows,), (square, square, square), (square, square, square[0]), (square[0], square, square[1]),
        (square, square[0], square[1]), (blocks, blocks), (blocks, blocks, blocks), (blocks, blocks, square),
        (a[:, :3], b[:, :3]), (a, 0, few, 2.0), (a, (rows,), b), (a, truth, b), (a, 0, 1, 2), (a, (1, 0)), (a, b, signs),
        (a, b, signs > 0), (a, b, lamina.rand(3, 6, 6)), (volume, taps),
        (a,), (places,), (truth,), (square,), (vector,), (images,), (batch,), (a, b), (a, 1), (a, 0), (a, 0.5), (places, 1),
        (a, vector), (vector, vector), (square, square), (batch, batch), (truth, truth), (places, places), (places, a),
        (a, rows), (rows, 4), (rows, a), (a, truth), (a, b, 0.3), (a, b, b), (a, truth, 2.0), (truth, a, b), (a, 0, places),
        (a, 0, places, b), (a, 0, places, 1.0), (a, 0, places, b, "sum"), (a, 0, few), (a, 0, lamina.randint(0, 4, (4,)), b),
        (a, (4, 6)), (a, (6,)), (a, 2, 1), (a, 0, 1), (a, 0.1, 0.5), (a, [2, 2]), (a, 0, [2, 2]), (a, (1,), (0,)),
        (images, 2), (images, weight), (images, (4, 4)), (images, 2, 2), (images, lamina.rand(4), lamina.rand(4) + 0.1),
        (batch, 2), (batch, lamina.rand(4, 4, 3)), ([a, b],), ([a, b], 0), ("ij,kj->ik", a, b), (vector.sort().values, a),
        (a, lamina.float64), (vector, rows), (a, 2, 0, 0),
    ]  # fmt: skip


TAKE_ARRAYS = {"float_power", "isin", "xlogy"}  # a list is one to them, which lies with the host
FUNCTIONS = _functions()
WAYS = _ways()


def _moved(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.cuda()
    return type(x)(map(_moved, x)) if isinstance(x, (list, tuple)) else x


def _tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    return [t for part in result for t in _tensors(part)] if isinstance(result, (tuple, list)) else []


def _own(args: tuple[Any, ...]) -> list[Any]:
    return [x.clone() if isinstance(x, Tensor) else x for x in args]


@cache
def _accepted(name: str) -> list[tuple[tuple[Any, ...], Any]]:
    found, f = [], FUNCTIONS[name]
    for args in WAYS:
        if isinstance(args[0], list) and name in TAKE_ARRAYS:
            continue
        lamina.manual_seed(3)
        try:
            found.append((args, f(*_own(args))))
        except (TypeError, ValueError, RuntimeError, LookupError, ArithmeticError):
            continue
    return found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_the_cpu_answers_the_device_answers(name: str):
    f = FUNCTIONS[name]
    assert _accepted(name), "none of the ways suits it: add one, or say why it belongs to ELSEWHERE"
    with lamina.fork_rng():
        for args, expected in _accepted(name):
            lamina.manual_seed(3)
            got = f(*map(_moved, args))
            assert len(_tensors(got)) == len(_tensors(expected)), args
            for a, b in zip(_tensors(got), _tensors(expected), strict=True):
                assert a.device.type == "cuda" and a.dtype is b.dtype and a.shape == b.shape, args
                x, y = (t.detach().cpu().double().numpy() for t in (a, b))
                np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5, err_msg=repr(args))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_tensor_left_behind(name: str):
    f = FUNCTIONS[name]
    with lamina.fork_rng():
        for args, _ in _accepted(name):
            if sum(isinstance(x, Tensor) for x in args) < 2:
                continue
            for k, x in enumerate(args):
                if not isinstance(x, Tensor):
                    continue
                given = _own(args)
                given[k] = x.cuda()
                try:
                    f(*given)
                except (ValueError, RuntimeError, TypeError) as e:
                    assert " on " in str(e) or "different devices" in str(e), f"{args}: {e}"
