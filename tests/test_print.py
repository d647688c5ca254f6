"""What people see of a tensor."""

from __future__ import annotations

import math
import time

import pytest

import lamina

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (3.14159, "tensor(3.1416)"),
        (3, "tensor(3)"),
        (True, "tensor(True)"),
        (NAN, "tensor(nan)"),
        (-0.0, "tensor(-0.)"),
        (1e-7, "tensor(1.0000e-07)"),
        ([], "tensor([])"),
        ([[], []], "tensor([], shape=(2, 0))"),
        ([1.0, 2.0], "tensor([1., 2.])"),
        ([1.5, -2.25, NAN, INF], "tensor([ 1.5000, -2.2500,     nan,     inf])"),
        ([1.0, -INF], "tensor([  1., -inf])"),
        ([0.5, 1e-6], "tensor([5.0000e-01, 1.0000e-06])"),
        ([1e9, 1.0], "tensor([1.0000e+09, 1.0000e+00])"),
        ([12345.678], "tensor([12345.6777])"),
        ([[True, False], [False, False]], "tensor([[ True, False],\n        [False, False]])"),
        ([[1, 200], [-30, 4]], "tensor([[  1, 200],\n        [-30,   4]])"),
        ([[[1, 2]], [[3, 4]]], "tensor([[[1, 2]],\n\n        [[3, 4]]])"),
    ],
)
def test_small(data, text):
    assert repr(lamina.tensor(data)) == str(lamina.tensor(data)) == text


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int32", "uint8"])
def test_types_that_are_not_obvious_are_told(dtype):
    number = "1." if "float" in dtype else "1"
    assert repr(lamina.ones(2, dtype=dtype)) == f"tensor([{number}, {number}], dtype=lamina.{dtype})"
    assert repr(lamina.zeros(0, dtype=dtype)) == f"tensor([], dtype=lamina.{dtype})"


def test_types_of_empty_tensors():
    assert repr(lamina.zeros(0, dtype=lamina.int64)) == "tensor([], dtype=lamina.int64)"
    assert repr(lamina.zeros(0, 3)) == "tensor([], shape=(0, 3))"


def test_gradients_are_told():
    x = lamina.ones(2, requires_grad=True)
    assert repr(x) == "tensor([1., 1.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 2.], grad_fn=<mul>)"
    assert repr(x.detach()) == "tensor([1., 1.])"


def test_summary():
    assert repr(lamina.arange(2000.0)) == ("tensor([   0.,    1.,    2., ..., 1997., 1998., 1999.], shape=(2000,))")
    assert repr(lamina.arange(10000).reshape(100, 100)) == (
        "tensor([[   0,    1,    2, ...,   97,   98,   99],\n"
        "        [ 100,  101,  102, ...,  197,  198,  199],\n"
        "        [ 200,  201,  202, ...,  297,  298,  299],\n"
        "        ...,\n"
        "        [9700, 9701, 9702, ..., 9797, 9798, 9799],\n"
        "        [9800, 9801, 9802, ..., 9897, 9898, 9899],\n"
        "        [9900, 9901, 9902, ..., 9997, 9998, 9999]], shape=(100, 100))"
    )
    assert "..." not in repr(lamina.zeros(1000))
    # A single element is shown rather than the dots that would stand for it.
    assert repr(lamina.zeros(7, 200)).splitlines()[3] == "        [0., 0., 0., ..., 0., 0., 0.],"


def test_long_rows_are_broken():
    lines = repr(lamina.arange(100)).splitlines()
    assert len(lines) > 4 and all(len(line) <= 80 for line in lines)
    assert lines[1].startswith("        1") or lines[1].startswith("         ")


@pytest.mark.parametrize("leading", [(), (1,), (1, 1), (1, 1, 1, 1), (2,), (2, 1)])
def test_no_line_is_longer_than_allowed(leading):
    """Whatever closes and follows the last row: brackets, notes, both at the limit."""
    for dtype in ("float32", "float64", "int64", "int32", "bool"):
        for n in range(1, 60):
            x = (lamina.arange(float(n)) * 10).to(dtype).expand(*leading, n)
            leaf = x.clone().requires_grad_() if x.is_floating_point() else x
            for t in (x, leaf, leaf * 1 if leaf.requires_grad else leaf, x.unsqueeze(-1).expand(*leading, n, 3000)):
                assert all(len(line) <= 80 for line in repr(t).splitlines()), repr(t)


def test_size_does_not_matter():
    lamina.set_printoptions(edgeitems=3)
    large = [lamina.zeros(1).expand(1 << 40), lamina.zeros(1, 1).expand(1 << 30, 1 << 30)]
    large.append(lamina.zeros([1] * 8).expand([50] * 8))
    start = time.perf_counter()
    texts = [repr(t) for t in large]
    assert time.perf_counter() - start < 5
    assert all("..." in t and len(t) < 100_000 for t in texts)


def test_the_tensor_stays_as_it_is():
    x = lamina.ones(3, 3, requires_grad=True)
    y = (x * 2).T
    version = y._version
    repr(y)
    assert y._version == version and y.grad_fn is not None
    y.backward(lamina.ones(3, 3))


def test_options():
    lamina.set_printoptions(precision=2)
    assert repr(lamina.tensor([0.123456])) == "tensor([0.12])"
    lamina.set_printoptions(sci_mode=True)
    assert repr(lamina.tensor([1.0])) == "tensor([1.00e+00])"
    lamina.set_printoptions(sci_mode=False)
    assert repr(lamina.tensor([1e-6, 0.5])) == "tensor([0.00, 0.50])"
    lamina.set_printoptions(profile="full")
    assert "..." not in repr(lamina.zeros(2000))
    lamina.set_printoptions(profile="short", edgeitems=1, threshold=3)
    assert repr(lamina.arange(9)) == "tensor([0, ..., 8], shape=(9,))"
    assert lamina.get_printoptions()["precision"] == 2
    for wrong in ({"precision": -1}, {"edgeitems": 0}, {"linewidth": 0}, {"profile": "loud"}):
        with pytest.raises(ValueError, match="set_printoptions"):
            lamina.set_printoptions(**wrong)


def test_format():
    x = lamina.tensor(3.14159)
    assert f"{x:.3f}" == "3.142" and f"{lamina.tensor(7):>3}" == "  7"
    assert f"{lamina.tensor(2.5, requires_grad=True)}" == "2.5"
    assert f"{lamina.ones(2)}" == "tensor([1., 1.])"
    with pytest.raises(TypeError, match=r"shape \(2,\)"):
        f"{lamina.ones(2):.3f}"


def test_exponents_of_three_digits():
    t = lamina.tensor([1e300, 1.0], dtype=lamina.float64)
    assert repr(t) == "tensor([1.0000e+300,  1.0000e+00], dtype=lamina.float64)"
