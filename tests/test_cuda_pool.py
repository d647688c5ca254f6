"""Pooling and resizing over CUDA's kernels on the stand-in, against the CPU: values and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from cuda_library import numbers, same
from lamina import nn

F = nn.functional
pytestmark = pytest.mark.usefixtures("cuda")

WINDOWS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 9), {"kernel_size": 2}),
    ((2, 3, 10), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 2, 40), {"kernel_size": 7, "stride": 1, "padding": 3}),
    ((2, 3, 8, 10), {"kernel_size": 2}),
    ((2, 3, 9, 7), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((2, 2, 9, 11), {"kernel_size": (3, 2), "stride": (1, 3), "padding": (1, 0)}),
    ((2, 2, 30, 33), {"kernel_size": 20, "stride": 3, "padding": 5}),
    ((2, 2, 5, 6, 7), {"kernel_size": (2, 3, 2), "stride": 2, "padding": 1, "ceil_mode": True}),
]


@pytest.mark.parametrize("shape, how", WINDOWS)
def test_windows(shape: tuple[int, ...], how: dict[str, Any]):
    dims = len(shape) - 2
    max_pool, avg_pool = getattr(F, f"max_pool{dims}d"), getattr(F, f"avg_pool{dims}d")
    x = numbers(*shape, grad=True)
    same(lambda x: max_pool(x, **how), x)
    same(lambda x: max_pool(x, return_indices=True, **how)[0], x)
    same(lambda x: max_pool(x, return_indices=True, **how)[1], x)
    same(lambda x: avg_pool(x, **how), x, atol=1e-5)
    same(lambda x: avg_pool(x, count_include_pad=False, **how), x, atol=1e-5)
    same(lambda x: avg_pool(x, divisor_override=50, **how) if dims > 1 else avg_pool(x, **how), x, atol=1e-5)
    wide = x.detach().double().requires_grad_()
    same(lambda x: max_pool(x, **how) + avg_pool(x, **how), wide, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("dilation", [2, 3])
def test_dilated_windows(dilation: int):
    x = numbers(2, 3, 11, 13, grad=True)
    for stride in (1, 2):
        same(lambda x, s=stride: F.max_pool2d(x, 3, s, 1, dilation), x)
        same(lambda x, s=stride: F.max_pool2d(x, 3, s, 1, dilation, return_indices=True)[0], x)
        same(lambda x, s=stride: F.max_pool2d(x, 3, s, 1, dilation, return_indices=True)[1], x)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9, 12])
def test_adaptive_windows(size: int):
    for shape in ((2, 3, 9), (2, 3, 9, 7), (1, 2, 4, 9, 5)):
        dims = len(shape) - 2
        x = numbers(*shape, grad=True)
        average, largest = (getattr(F, f"adaptive_{kind}_pool{dims}d") for kind in ("avg", "max"))
        same(lambda x, f=average: f(x, size), x)
        same(lambda x, f=largest: f(x, size), x)
        same(lambda x, f=largest: f(x, size, return_indices=True)[1], x)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 70, 5, 5), (2, 3, 50, 41), (0, 3, 4, 4)])
def test_whole_planes(shape: tuple[int, ...]):
    same(lambda x: F.adaptive_avg_pool2d(x, 1), numbers(*shape, grad=True))


def test_the_first_of_equals_and_nan_win():
    x = lamina.tensor(
        [[[1.0, 1.0, 0.0, 2.0], [1.0, 1.0, 2.0, 2.0], [-np.inf, -np.inf, np.nan, 3.0], [-np.inf, -np.inf, 4.0, np.nan]]]
    )
    for indexed in (False, True):
        here, there = x.clone().requires_grad_(), x.cuda().requires_grad_()
        for t in (here, there):
            y = F.max_pool2d(t, 2, return_indices=indexed)
            (y[0] if indexed else y).sum().backward()
        assert there.grad.cpu().tolist() == here.grad.tolist()
        assert int(here.grad.sum().item()) == 4


def test_what_is_made_of_averages():
    x = numbers(2, 3, 8, 6, grad=True)
    same(lambda x: F.lp_pool2d(x, 2, 2), x, rtol=1e-5, atol=1e-5)
    same(lambda x: F.local_response_norm(x, 3), x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear", "linear aligned"])
@pytest.mark.parametrize(
    "shape, size",
    [
        ((2, 3, 7), (14,)),
        ((2, 3, 9), (4,)),
        ((1, 2, 5), (1,)),
        ((1, 2, 1), (6,)),
        ((2, 2, 5, 7), (11, 3)),
        ((2, 2, 6, 6), (12, 13)),
        ((1, 2, 3, 4, 5), (5, 4, 11)),
    ],
)
def test_resizing(mode: str, shape: tuple[int, ...], size: tuple[int, ...]):
    x = numbers(*shape, grad=True)
    name = ("linear", "bilinear", "trilinear")[len(size) - 1] if mode.startswith("linear") else mode
    aligned = {"align_corners": mode.endswith("aligned")} if mode.startswith("linear") else {}
    same(lambda x: F.interpolate(x, size=size, mode=name, **aligned), x, rtol=1e-5, atol=1e-6)
    wide = x.detach().double().requires_grad_()
    same(lambda x: F.interpolate(x, size=size, mode=name, **aligned), wide, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("factor", [2.0, 2.7, 0.6, 0.3])
def test_resizing_by_a_factor(factor: float):
    x = numbers(1, 2, 9, 7, grad=True)
    for mode in ("nearest", "nearest-exact", "bilinear"):
        same(lambda x, m=mode: F.interpolate(x, scale_factor=factor, mode=m), x, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [lamina.bfloat16, lamina.float16])
def test_halves_are_widened(dtype: Any):
    x = numbers(2, 3, 6, 6, dtype=dtype, grad=True)
    same(lambda x: F.max_pool2d(x, 2), x)
    same(lambda x: F.avg_pool2d(x, 3, 2), x, rtol=1e-2)
    same(lambda x: F.interpolate(x, size=(9, 9)), x, rtol=1e-2)


def test_a_captured_step():
    x = numbers(2, 3, 8, 8).cuda()
    step = lamina.capture(lambda: F.adaptive_avg_pool2d(F.max_pool2d(x, 2), 1))
    for _ in range(3):
        fresh = numbers(2, 3, 8, 8)
        x.copy_(fresh.cuda())
        expected = F.adaptive_avg_pool2d(F.max_pool2d(fresh, 2), 1)
        np.testing.assert_allclose(step().cpu().numpy(), expected.numpy(), rtol=1e-6, atol=1e-6)
