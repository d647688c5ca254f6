"""Recurrent layers in float16 and bfloat16 against the same in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from checks import to_numpy
from lamina import nn
from test_rnn import CELLS, make_layer

RNG = np.random.default_rng(11)

HALVES = ["relu", "peephole", "projection", "gru", "mut2", "layer norm lstm", "zoneout lstm"]


def half_and_single(name: str, dtype: Any) -> tuple[Any, Any]:
    """A layer whose parameters a half type holds, in that type and in float32."""
    half = make_layer(CELLS[name], 4, 4, bidirectional=True, dtype=dtype).eval()
    single = make_layer(CELLS[name], 4, 4, bidirectional=True).eval()
    single.load_state_dict({n: p.float() for n, p in half.state_dict().items()})
    return half, single


@pytest.mark.parametrize("dtype", [lamina.float16, lamina.bfloat16], ids=str)
@pytest.mark.parametrize("name", HALVES)
def test_half_types_are_computed_in_float32(name: str, dtype: Any) -> None:
    """Results and gradients are rounded, and nothing between them."""
    half, single = half_and_single(name, dtype)
    x = lamina.tensor(RNG.normal(size=(5, 3, 4))).to(dtype).requires_grad_()
    wide = x.detach().float().requires_grad_()
    y, last = half(x, lengths=[5, 2, 4])
    z, last_wide = single(wide, lengths=[5, 2, 4])
    assert y.dtype is dtype and (last[0] if isinstance(last, tuple) else last).dtype is dtype
    error = 2.0 ** (-8 if dtype is lamina.bfloat16 else -11)
    y.float().square().sum().backward()
    z.square().sum().backward()
    pairs = [(y, z), (x.grad, wide.grad)]
    pairs += [(p.grad, q.grad) for p, q in zip(half.parameters(), single.parameters(), strict=True)]
    for a, b in pairs:
        assert a is not None and b is not None and a.dtype is dtype
        expected = to_numpy(b)
        np.testing.assert_allclose(to_numpy(a.float()), expected, rtol=0, atol=8 * error * np.abs(expected).max())


def test_one_layer_of_halves_is_rounded_once() -> None:
    half, single = nn.LSTM(3, 5, dtype=lamina.bfloat16), nn.LSTM(3, 5)
    single.load_state_dict({n: p.float() for n, p in half.state_dict().items()})
    x = lamina.tensor(RNG.normal(size=(6, 2, 3))).to(lamina.bfloat16)
    (y, (h, c)), (z, (g, d)) = half(x), single(x.float())
    for a, b in ((y, z), (h, g), (c, d)):
        assert (a == b.to(lamina.bfloat16)).all()
    with pytest.raises(TypeError, match="lstm: the recurrent weight is bfloat16, the input float32"):
        half(x.float())
