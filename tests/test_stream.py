"""The launch seam: what ran once under a recording runs again on the same buffers, with nothing of Python in between."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from checks import to_numpy
from lamina import _C


def test_replay_recomputes_from_the_buffers_as_they_are_then():
    x = lamina.tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
    with _C._Recording() as recording:
        y = (x * 2 + 1).tanh()
    first = to_numpy(y).copy()
    np.testing.assert_allclose(first, np.tanh(np.arange(6).reshape(2, 3) * 2 + 1), rtol=1e-6)
    x.fill_(0.25)
    np.testing.assert_array_equal(to_numpy(y), first)
    recording.replay()
    np.testing.assert_allclose(to_numpy(y), np.full((2, 3), np.tanh(1.5)), rtol=1e-6)


def test_backward_is_recorded_too():
    w = lamina.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = lamina.tensor([1.0, 1.0, 1.0])
    with _C._Recording() as recording:
        w.grad = None
        (w * x * w).backward(lamina.tensor([1.0, 1.0, 1.0]))
    grad = w.grad
    assert grad.tolist() == [2.0, 4.0, 6.0]
    x.fill_(10.0)
    recording.replay()
    assert grad.tolist() == [20.0, 40.0, 60.0]


def test_freed_buffers_of_a_recording_are_not_handed_out():
    x = lamina.ones(1000)
    with _C._Recording() as recording:
        y = ((x + 1) * 2 - 3) / 4  # the intermediates die here, yet the replay writes to them
    others = [lamina.zeros(1000) for _ in range(20)]
    x.fill_(2.0)
    recording.replay()
    assert all((o == 0).numpy().all() for o in others)
    np.testing.assert_array_equal(y.numpy(), np.full(1000, 0.75, np.float32))


def test_a_replay_launches_only_what_was_recorded():
    x = lamina.ones(10)
    with _C._Recording() as recording:
        (x + 1).exp()
    launches = len(recording)
    assert launches == 2
    x * 2
    assert len(recording) == launches


def test_a_recording_inside_a_recording_is_an_error():
    with _C._Recording(), pytest.raises(RuntimeError, match="recorded on this thread already"), _C._Recording():
        pass
    with pytest.raises(RuntimeError, match="nothing is recorded"):
        _C._Recording().replay()


def test_an_exception_inside_closes_the_recording():
    with pytest.raises(ZeroDivisionError), _C._Recording():
        1 / 0  # noqa: B018
    with _C._Recording() as recording:
        lamina.ones(3) + 1
    assert len(recording) == 2
