"""Normalisation over CUDA's kernels on the stand-in, against the CPU: values, gradients, running statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lamina
from cuda_library import emulated, numbers, run, same
from lamina import Tensor, nn

F = nn.functional
pytestmark = pytest.mark.usefixtures("cuda")


def close(a: Tensor, b: Tensor, rtol: float = 2e-5, atol: float = 2e-5) -> None:
    assert a.device.type == "cuda" and b.device.type == "cpu"
    np.testing.assert_allclose(a.detach().cpu().numpy(), b.detach().numpy(), rtol=rtol, atol=atol)


@pytest.mark.parametrize("rows, n", [(1, 1), (3, 7), (5, 1025), (300, 130), (0, 4), (2, 40000), (4100, 8)])
def test_rows(rows: int, n: int):
    x, w, b = numbers(rows, n, grad=True), numbers(n, grad=True), numbers(n, grad=True)
    # Of a single number, whose variance is 0, what rounding leaves is divided by the root of eps.
    tolerance = {"rtol": 1e-4, "atol": 2e-4 if rows > 1000 or n == 1 else 1e-5}
    same(lambda x, w, b: F.layer_norm(x, (n,), w, b), x, w, b, **tolerance)
    same(lambda x, w: F.rms_norm(x, (n,), w), x, w, **tolerance)
    same(lambda x, b: F.layer_norm(x, (n,), None, b), x, b, **tolerance)
    same(lambda x: F.layer_norm(x, (n,)), x, **tolerance)


@pytest.mark.parametrize("dtype", [lamina.float64, lamina.bfloat16, lamina.float16])
def test_rows_of_other_types(dtype: Any):
    x, w, b = (numbers(*s, dtype=dtype, grad=True) for s in ((9, 3, 5), (3, 5), (3, 5)))
    tight = dtype is lamina.float64
    tolerance = {"rtol": 1e-12, "atol": 1e-12} if tight else {"rtol": 1e-2, "atol": 1e-2}
    same(lambda x, w, b: F.layer_norm(x, (3, 5), w, b), x, w, b, **tolerance)
    same(lambda x, w: F.rms_norm(x, (3, 5), w), x, w, **tolerance)


def test_rows_far_from_zero():
    x = (lamina.randn(4, 500) + 1e4).requires_grad_()
    same(lambda x: F.layer_norm(x, (500,)), x, rtol=1e-3, atol=1e-3)
    assert F.layer_norm(lamina.full((2, 100), 7.3, device="cuda"), (100,)).abs().max().item() == 0


def both(make: Callable[[], nn.Module]) -> tuple[nn.Module, nn.Module]:
    here, there = make(), make()
    there.load_state_dict(here.state_dict())
    return here, there.cuda()


SHAPES = [(2, 3), (70, 40), (300, 5), (2, 3, 4, 4), (3, 5, 7, 3), (1, 2, 129), (4, 3, 60, 60), (9, 1, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_learns_its_statistics(shape: tuple[int, ...], momentum: float | None):
    c = shape[1]
    here = nn.BatchNorm1d(c, momentum=momentum) if len(shape) < 4 else nn.BatchNorm2d(c, momentum=momentum)
    there = type(here)(c, momentum=momentum).cuda()
    for _ in range(3):
        x = (numbers(*shape) * 2 + 5).requires_grad_()
        xc = x.detach().cuda().requires_grad_()
        dy = lamina.randn(*shape)
        y, yc = here(x), there(xc)
        close(yc, y)
        for module in (here, there):
            module.zero_grad()
        y.backward(dy)
        yc.backward(dy.cuda())
        close(xc.grad, x.grad, atol=1e-4)
        close(there.weight.grad, here.weight.grad, atol=5e-4)
        close(there.bias.grad, here.bias.grad, atol=5e-4)
    close(there.running_mean, here.running_mean)
    close(there.running_var, here.running_var)
    assert there.num_batches_tracked.item() == 3
    here.eval(), there.eval()
    x = numbers(*shape, grad=True)
    same(lambda x: (there if x.is_cuda else here)(x), x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(6, 5), (3, 4, 5, 3), (2, 3, 8, 8)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", ["relu", None])
@pytest.mark.parametrize("added", [True, False])
def test_batch_norm_with_what_follows(shape: tuple[int, ...], training: bool, activation: str | None, added: bool):
    c = shape[1]
    mean, var = lamina.randn(c), lamina.rand(c) + 0.5
    inputs = [
        numbers(*shape, dtype=lamina.float64, grad=True),
        *(numbers(c, dtype=lamina.float64, grad=True) for _ in "wb"),
    ]
    if added:
        inputs.append(numbers(*shape, dtype=lamina.float64, grad=True))

    def f(x: Tensor, w: Tensor, b: Tensor, residual: Tensor | None = None) -> Tensor:
        to = lambda t: t.to(lamina.float64).to(x.device)  # noqa: E731
        return F.batch_norm(x, to(mean), to(var), w, b, training=training, activation=activation, residual=residual)

    same(f, *inputs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    "shape, groups",
    [((2, 6), 3), ((3, 6, 5), 2), ((2, 4, 8, 8), 4), ((1, 6, 70, 70), 2), ((2, 5, 3), 1), ((2, 80, 4), 2)],
)
def test_group_norm(shape: tuple[int, ...], groups: int):
    x, w, b = numbers(*shape, grad=True), numbers(shape[1], grad=True), numbers(shape[1], grad=True)
    same(lambda x, w, b: F.group_norm(x, groups, w, b), x, w, b, rtol=1e-4, atol=2e-4)
    same(lambda x: F.group_norm(x, groups), x, rtol=1e-4, atol=2e-5)
    wide = [t.detach().double().requires_grad_() for t in (x, w, b)]
    same(lambda x, w, b: F.group_norm(x, groups, w, b), *wide, rtol=1e-11, atol=1e-11)


def test_instance_norm():
    x, w, b = numbers(3, 4, 5, 7, grad=True), numbers(4, grad=True), numbers(4, grad=True)
    same(lambda x, w, b: F.instance_norm(x, weight=w, bias=b), x, w, b, rtol=1e-4, atol=1e-5)
    here = nn.InstanceNorm2d(4, affine=True, track_running_stats=True)
    there = nn.InstanceNorm2d(4, affine=True, track_running_stats=True).cuda()
    close(there(x.detach().cuda()), here(x))
    close(there.running_mean, here.running_mean)
    close(there.running_var, here.running_var)


def test_a_misaligned_view():
    storage = numbers(2 * 3 * 16 + 1)
    x = storage[1:].view(2, 3, 16)
    moved = storage.cuda()[1:].view(2, 3, 16)  # 16 bytes cannot be read at once there
    close(F.batch_norm(moved, None, None, training=True), F.batch_norm(x, None, None, training=True))


def test_halves_are_widened():
    x = numbers(4, 3, 5, dtype=lamina.bfloat16, grad=True)
    same(lambda x: F.batch_norm(x, None, None, training=True), x, rtol=2e-2, atol=2e-2)
    same(lambda x: F.group_norm(x, 3), x, rtol=2e-2, atol=2e-2)


def test_a_captured_step_moves_the_running_statistics():
    given = [numbers(9, 6) for _ in range(4)]

    def learnt(device: str) -> list[Tensor]:
        bn = nn.BatchNorm1d(6, momentum=None).to(device)
        x = lamina.zeros(9, 6, device=device)
        step = lamina.capture(lambda: bn(x))
        for each in given:
            x.copy_(each.to(device))
            step()
        return [bn.running_mean, bn.running_var, bn.num_batches_tracked]

    for there, here in zip(learnt("cuda"), learnt("cpu"), strict=True):
        close(there, here)


@pytest.mark.parametrize("order", ["1", "2"])
def test_in_any_order_of_threads(order: str):
    code = """
import lamina, hashlib
from lamina import nn
lamina.manual_seed(1)
F = nn.functional
for shape in ((5, 70), (40, 3, 33), (2, 8, 6, 6)):
    x = lamina.randn(*shape).cuda().requires_grad_()
    w = lamina.randn(shape[1]).cuda().requires_grad_()
    y = F.batch_norm(x, None, None, w, None, training=True, activation="relu")
    z = F.layer_norm(x, shape[1:])
    g = F.group_norm(x, 1, w)
    (y + z * g).sum().backward()
    for t in (y, z, g, x.grad, w.grad):
        print(hashlib.sha256(t.detach().cpu().numpy().tobytes()).hexdigest())
"""
    first, other = (run(code, emulated(), LAMINA_EMULATE_ORDER=o) for o in ("0", order))
    assert first.returncode == 0 and other.returncode == 0, first.stderr + other.stderr
    assert first.stdout == other.stdout and len(first.stdout.split()) == 15
