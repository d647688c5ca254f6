"""Calls with the wrong arguments: the error names the operation and the argument, and speaks of neither C++ nor pybind11."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import lamina
import lamina.nn.functional as F

X = lamina.ones(2, 3)
WRONG = object()
TOO_LARGE = "too many elements|out of memory|out of the range of int64"
UNREADABLE = re.compile(r"incompatible|pybind11|C\+\+|std::|SupportsInt")
AFTER_THE_FIRST = [
    (WRONG,),
    (WRONG, WRONG),
    (WRONG, WRONG, WRONG),
    ("?",),
    (1, "?"),
    ([1, WRONG],),
    (2**70,),
    (1,) * 12,
]


def functions() -> Iterator[tuple[str, Callable[..., Any], list[tuple[Any, ...]]]]:
    for place in (lamina, F):
        for name in dir(place):
            f = getattr(place, name)
            if not name.startswith("_") and callable(f) and not isinstance(f, type):
                yield f"{place.__name__}.{name}", f, [(), (WRONG,) * 8, *((X, *more) for more in AFTER_THE_FIRST)]
    for name in dir(lamina.Tensor):
        f = getattr(lamina.Tensor, name)
        if not name.startswith("_") and callable(f):
            yield f"Tensor.{name}", f, [(X.clone(), *more) for more in AFTER_THE_FIRST]


ALL = {name: (f, calls) for name, f, calls in functions()}


@pytest.mark.parametrize("name", ALL)
def test_errors_name_the_operation(name):
    function, calls = ALL[name]
    own = name.rpartition(".")[2].rstrip("_")
    canonical = getattr(function, "__name__", own).rstrip("_")  # absolute is abs
    for args in calls:
        with lamina.fork_rng():
            try:
                function(*args)
            except (IndexError, RuntimeError) as e:  # right types, wrong values
                assert not UNREADABLE.search(str(e))
            except ValueError as e:  # of this function or of one that it is made of
                assert not UNREADABLE.search(str(e))
                assert re.match(r"[\w.]+(\(\))?: ", str(e)), f"{args}: {e}"
            except TypeError as e:
                assert not UNREADABLE.search(str(e))
                assert own in str(e) or canonical in str(e), f"{args}: {e}"


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: lamina.cat([X, 1]), r"cat: tensors must be a sequence of Tensors, got \[Tensor, int\]"),
        (lambda: lamina.cat(X), r"cat: tensors must be a sequence of Tensors, got a Tensor of shape \(2, 3\)"),
        (lambda: X.topk("3"), "topk: k must be an integer, got '3'"),
        (lambda: lamina.topk(X), "topk: missing a required argument: 'k'"),
        (lambda: X.sort(foo=1), "sort: got an unexpected keyword argument 'foo'"),
        (lambda: X.unsqueeze(2**70), "unsqueeze: dim must be an integer, got one that does not fit into 64 bits"),
        (lambda: lamina.scatter(X, 0, [1], X), r"scatter: index must be a Tensor, got \[int\]"),
        (lambda: lamina.split(X, 1.5), "split: split_size_or_sections must be an integer or a sequence of integers, got 1.5"),
        (lambda: lamina.dropout(X, generator=3), "dropout: generator must be a Generator, got 3"),
        (lambda: X.uniform_(0, to="b"), "uniform_: to must be a number, got 'b'"),
        (lambda: lamina.Generator(3), "Generator: device must be a device or a string, got 3"),
        (lambda: lamina.cov([1, 2]), r"cov: input must be a Tensor, got \[int, int\]"),
        (lambda: F.glu("x"), "glu: input must be a Tensor, got 'x'"),
        (lambda: lamina.hsplit(X), "hsplit: missing a required argument: 'indices_or_sections'"),
        (lambda: lamina.addcmul(X, WRONG, X), "addcmul: mul: expected tensors or numbers"),
        (lambda: lamina.zeros(X, 2), "zeros: size must be integers, got tensor"),
    ],
)  # fmt: skip
def test_what_an_error_says(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    "name, call",
    [
        ("arange", lambda: lamina.arange(2**62)),
        ("arange", lambda: lamina.arange(2**70)),
        ("randperm", lambda: lamina.randperm(2**62)),
        ("randperm", lambda: lamina.randperm(2**45)),
        ("one_hot", lambda: F.one_hot(lamina.tensor([0, 1]), 2**62)),
        ("one_hot", lambda: F.one_hot(lamina.tensor([0, 1]), 2**44)),
        ("zeros", lambda: lamina.zeros(2**44)),
        ("zeros", lambda: lamina.zeros(2**70)),
        ("full", lambda: lamina.full((2**70,), 1.0)),
        ("rand", lambda: lamina.rand(2**45)),
        ("add", lambda: lamina.ones(3).expand(2**44, 3) + 1),
        ("exp", lambda: lamina.ones(3).expand(2**44, 3).exp()),
        ("matmul", lambda: lamina.ones(2**24, 1) @ lamina.ones(1, 2**24)),
        ("clone", lambda: lamina.ones(1).expand(2**44).clone()),
        ("cat", lambda: lamina.cat([lamina.ones(1).expand(2**44)] * 2)),
        ("sort", lambda: lamina.ones(1).expand(2**44).sort()),
        ("pad", lambda: F.pad(lamina.ones(3), (2**44, 0))),
        ("view", lambda: X.view(2**70)),
        ("sum", lambda: X.sum(2**70)),
    ],
)
def test_absurd_sizes_are_said_under_the_name_of_the_function(name, call):
    with pytest.raises((ValueError, MemoryError), match=f"^{name}: .*({TOO_LARGE})"):
        call()


def test_what_fails_elsewhere_is_left_alone():
    with pytest.raises(IndexError, match="unsqueeze: dim 7 is out of range"):
        X.unsqueeze(7)

    def hook(grad: lamina.Tensor) -> lamina.Tensor:
        raise TypeError("mine")

    x = lamina.ones(2, requires_grad=True)
    x.register_hook(hook)
    with pytest.raises(TypeError, match="mine"):
        x.sum().backward()


def test_functions_written_in_python_keep_what_editors_show():
    assert str(inspect.signature(lamina.cov)).startswith("(input: 'Tensor'")
    assert lamina.cov.__doc__ and lamina.cov.__module__ == "lamina._statistics"
    assert lamina.divide is lamina.div


def test_arrays_still_go_in():
    np.testing.assert_array_equal(lamina.cat([np.ones(2), np.zeros(1)]).numpy(), [1, 1, 0])
