"""Hostile calls: any function with any arguments returns or raises, and never crashes. CI also runs this file under the
address and undefined-behaviour sanitizers, where a read or write out of bounds ends the process."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamina
from lamina import _C

EXPECTED = (
    ValueError,
    TypeError,
    IndexError,
    RuntimeError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    AttributeError,
    BufferError,
)
DTYPES = [getattr(lamina, n) for n in ("float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool")]
# Calls that change the process rather than compute.
APART = {
    "set_num_threads",
    "set_default_dtype",
    "manual_seed",
    "seed",
    "show_config",
    "empty_cache",
    "reset_peak_memory",
    "set_rng_state",
}


def callables() -> list[tuple[str, object]]:
    found = {}
    for owner, prefix in ((lamina, "lamina."), (lamina.nn.functional, "F."), (lamina.Tensor, "Tensor.")):
        for name in dir(owner):
            f = getattr(owner, name)
            if name.startswith("_") or name in APART or not callable(f) or isinstance(f, type):
                continue
            found[prefix + name] = f
    return sorted(found.items())


CALLABLES = callables()


@st.composite
def tensors(draw: st.DrawFn) -> lamina.Tensor:
    """A tensor of any type, rank, size and layout."""
    shape = draw(st.lists(st.integers(0, 5), max_size=4))
    values = np.random.default_rng(draw(st.integers(0, 3))).integers(-3, 9, shape)
    t = lamina.tensor(values).to(draw(st.sampled_from(DTYPES)))
    layout = draw(st.sampled_from(["plain", "transposed", "stepped", "expanded", "leaf"]))
    if layout == "transposed":
        return t.T
    if layout == "stepped" and t.ndim:
        return t[..., ::2]
    if layout == "expanded":
        return t.unsqueeze(0).expand(3, *t.shape)
    if layout == "leaf" and t.is_floating_point():
        t.requires_grad = True
    return t


numbers = st.one_of(
    st.sampled_from([-(2**63), -7, -2, -1, 0, 1, 2, 3, 7, 2**40, 2**62, 2**63, 2**70]),
    st.sampled_from([0.0, 0.5, -1.5, 1e300, math.inf, -math.inf, math.nan]),
)
arguments = st.recursive(
    st.one_of(
        tensors(),
        numbers,
        st.none(),
        st.booleans(),
        st.sampled_from(DTYPES),
        st.sampled_from(["", "ij,jk", "none", "mean", "π"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner, inner), st.builds(slice, inner, inner, inner)
    ),
    max_leaves=4,
)


def use(result: object) -> None:
    """Reads every element of what came back, so that a sanitizer sees the memory it points to."""
    if isinstance(result, lamina.Tensor):
        if result.numel() <= 1 << 16:
            repr(result)
            result.double().tolist()
    elif isinstance(result, list | tuple):
        for part in result[:8]:
            use(part)


@given(st.data())
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_no_call_crashes(data):
    name, f = data.draw(st.sampled_from(CALLABLES))
    args = data.draw(st.lists(arguments, max_size=4))
    if name.startswith(("Tensor.", "F.")) or data.draw(st.booleans()):
        args = [data.draw(tensors()), *args]
    try:
        result = f(*args)
        use(result)
        if isinstance(result, lamina.Tensor) and result.requires_grad and 0 < result.numel() < 1000:
            result.backward(lamina.ones_like(result))
    except EXPECTED as e:
        assert str(e) or isinstance(e, MemoryError | NotImplementedError), (
            f"{name}: {type(e).__name__} without a message"
        )


@given(
    tensors(),
    st.one_of(arguments, st.tuples(arguments, arguments), st.tuples(arguments, arguments, arguments)),
    arguments,
)
@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_no_subscript_crashes(t, key, value):
    for action in (lambda: use(t[key]), lambda: t.clone().__setitem__(key, value)):
        try:
            action()
        except EXPECTED:
            pass


@given(
    st.lists(st.integers(-3, 8), max_size=9),
    st.lists(st.integers(-(2**62), 2**62) | st.integers(-4, 9), max_size=9),
    st.integers(-3, 60),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_no_geometry_reaches_outside_its_storage(shape, strides, offset):
    t = lamina.arange(24)
    try:
        view = t.as_strided(shape, strides, offset)
    except EXPECTED:
        return
    assert set(np.asarray(view.tolist()).ravel()) <= set(range(24))


@pytest.mark.parametrize("name", ["_full", "_empty", "zeros", "ones", "full", "empty"])
def test_absurd_sizes_everywhere(name):
    f = getattr(lamina, name, None) or getattr(_C, name, None)
    if f is None:
        return
    for shape in [(2**62, 2**62), (-5,), (2**63,), (1,) * 40]:
        with pytest.raises(EXPECTED):
            f(shape, 1.0) if "full" in name else f(shape)
