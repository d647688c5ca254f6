"""Schedules: PyTorch's numbers over 100 epochs, the course's own formulas, saving and resuming."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import nn, optim
from lamina.optim import lr_scheduler

EPOCHS = 100


def our_optimizer(**options: Any) -> optim.Optimizer:
    p, q = nn.Parameter(lamina.zeros(2)), nn.Parameter(lamina.zeros(3))
    return optim.SGD([{"params": [p]}, {"params": [q], "lr": 0.05}], **{"lr": 0.4, "momentum": 0.9, **options})


def their_optimizer(torch: ModuleType) -> Any:
    p, q = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(3))
    return torch.optim.SGD([{"params": [p]}, {"params": [q], "lr": 0.05}], lr=0.4, momentum=0.9)


Build = Callable[[Any, Any], Any]  # (optimizer, the module of schedules) -> schedule

SCHEDULES: dict[str, Build] = {
    "lambda": lambda o, m: m.LambdaLR(o, lambda e: 0.95**e),
    "lambdas": lambda o, m: m.LambdaLR(o, [lambda e: 1 / (1 + e), lambda e: 0.5 ** (e // 10)]),
    "step": lambda o, m: m.StepLR(o, 5, 0.9),
    "multi-step": lambda o, m: m.MultiStepLR(o, [30, 10, 60, 60], 0.3),
    "constant": lambda o, m: m.ConstantLR(o, 0.25, 7),
    "linear": lambda o, m: m.LinearLR(o, 0.1, 0.7, 13),
    "exponential": lambda o, m: m.ExponentialLR(o, 0.93),
    "polynomial": lambda o, m: m.PolynomialLR(o, 40, 2.0),
    "cosine": lambda o, m: m.CosineAnnealingLR(o, 37, 0.001),
    "cosine, one epoch": lambda o, m: m.CosineAnnealingLR(o, 1),
    "restarts": lambda o, m: m.CosineAnnealingWarmRestarts(o, 7, 1, 0.001),
    "longer restarts": lambda o, m: m.CosineAnnealingWarmRestarts(o, 5, 2),
    "one cycle": lambda o, m: m.OneCycleLR(o, 1.0, EPOCHS + 1),
    "one cycle, linear": lambda o, m: m.OneCycleLR(
        o, [1.0, 0.3], epochs=5, steps_per_epoch=21, anneal_strategy="linear"
    ),
    "one cycle, three phases": lambda o, m: m.OneCycleLR(o, 0.8, 120, pct_start=0.2, three_phase=True, div_factor=10),
    "sequence": lambda o, m: m.SequentialLR(
        o, [m.LinearLR(o, 0.1, total_iters=10), m.ExponentialLR(o, 0.9), m.StepLR(o, 4, 0.5)], [10, 50]
    ),
    "warm-up and cosine": lambda o, m: m.SequentialLR(
        o, [m.LinearLR(o, 0.01, total_iters=5), m.CosineAnnealingLR(o, 95)], [5]
    ),
    "chain": lambda o, m: m.ChainedScheduler([m.ConstantLR(o, 0.1, 10), m.ExponentialLR(o, 0.9)]),
}


def options_now(optimizer: Any) -> list[tuple[float, float]]:
    return [(group["lr"], group["momentum"]) for group in optimizer.param_groups]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.filterwarnings("ignore")  # PyTorch's about the order of steps
def test_numbers_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    ours, theirs = our_optimizer(), their_optimizer(torch)
    schedule, twin = SCHEDULES[name](ours, lr_scheduler), SCHEDULES[name](theirs, torch.optim.lr_scheduler)
    for epoch in range(EPOCHS):
        np.testing.assert_allclose(options_now(ours), options_now(theirs), rtol=1e-12, atol=1e-17, err_msg=str(epoch))
        assert schedule.get_last_lr() == [group["lr"] for group in ours.param_groups]
        schedule.step(), twin.step()


@pytest.mark.parametrize("name", SCHEDULES)
def test_resumes(name):
    straight = our_optimizer()
    schedule = SCHEDULES[name](straight, lr_scheduler)
    for _ in range(60):
        schedule.step()

    first = our_optimizer()
    schedule = SCHEDULES[name](first, lr_scheduler)
    for _ in range(23):
        schedule.step()
    saved = first.state_dict(), schedule.state_dict()
    second = our_optimizer()
    schedule = SCHEDULES[name](second, lr_scheduler)
    second.load_state_dict(saved[0])
    schedule.load_state_dict(saved[1])
    for _ in range(60 - 23):
        schedule.step()
    assert options_now(second) == options_now(straight)


def test_two_schedules_at_once_multiply():
    optimizer = our_optimizer()
    schedules = [lr_scheduler.ExponentialLR(optimizer, 0.5), lr_scheduler.StepLR(optimizer, 2, 0.1)]
    for _ in range(4):
        for schedule in schedules:
            schedule.step()
    assert math.isclose(optimizer.param_groups[0]["lr"], 0.4 * 0.5**4 * 0.1**2)


def test_the_courses_schedules():
    optimizer = our_optimizer()
    schedule = lr_scheduler.InverseTimeLR(optimizer, 0.3)
    for epoch in range(EPOCHS):
        assert optimizer.param_groups[1]["lr"] == 0.05 / (1 + 0.3 * epoch)
        schedule.step()
    optimizer = our_optimizer()
    schedule = lr_scheduler.StepLR(optimizer, 5, 0.9)
    for epoch in range(EPOCHS):
        assert math.isclose(optimizer.param_groups[0]["lr"], 0.4 * 0.9 ** (epoch // 5))
        schedule.step()


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("cooldown", [0, 3])
def test_plateau_is_pytorchs(mode, threshold_mode, cooldown):
    torch = pytest.importorskip("torch")
    ours, theirs = our_optimizer(), their_optimizer(torch)
    options = {"mode": mode, "factor": 0.3, "patience": 4, "threshold": 0.02, "threshold_mode": threshold_mode,
               "cooldown": cooldown, "min_lr": [0.001, 0.0001]}  # fmt: skip
    schedule = lr_scheduler.ReduceLROnPlateau(ours, **options)
    twin = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    rng = np.random.default_rng(0)
    for epoch in range(EPOCHS):
        metric = (math.exp(-epoch / 20) if mode == "min" else 1 - math.exp(-epoch / 20)) + 0.05 * rng.standard_normal()
        if epoch == 50:  # resumed
            fresh = lr_scheduler.ReduceLROnPlateau(ours)
            fresh.load_state_dict(schedule.state_dict())
            schedule = fresh
        schedule.step(lamina.tensor(metric, dtype=lamina.float64)), twin.step(metric)
        np.testing.assert_allclose(options_now(ours), options_now(theirs), rtol=1e-12)
    assert ours.param_groups[0]["lr"] < 0.1


def test_the_rate_acts_on_the_steps():
    p = nn.Parameter(lamina.zeros(1, dtype=lamina.float64))
    optimizer = optim.SGD([p], lr=1.0)
    schedule = lr_scheduler.ExponentialLR(optimizer, 0.5)
    for _ in range(10):
        p.grad = -lamina.ones(1, dtype=lamina.float64)
        optimizer.step()
        schedule.step()
    assert float(p) == 2 - 0.5**9


@pytest.mark.parametrize(
    "build, error, message",
    [
        (lambda o: lr_scheduler.StepLR(None, 5), TypeError, "expected an optimizer"),
        (lambda o: lr_scheduler.StepLR(o, 0), ValueError, "step_size"),
        (lambda o: lr_scheduler.StepLR(o, 5, last_epoch=3), KeyError, "initial_lr"),
        (lambda o: lr_scheduler.LambdaLR(o, [abs]), ValueError, "expected 2 values"),
        (lambda o: lr_scheduler.LinearLR(o, 0.0), ValueError, "factors"),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 0), ValueError, "T_max"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0), ValueError, "total_steps"),
        (lambda o: [s := lr_scheduler.OneCycleLR(o, 1.0, 2), s.step(), s.step()], ValueError, "2 steps"),
        (lambda o: lr_scheduler.SequentialLR(o, [], []), ValueError, "schedulers"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor"),
        (lambda o: lr_scheduler.InverseTimeLR(o, -1.0), ValueError, "decay_rate"),
    ],
)
def test_errors_are_for_people(build, error, message):
    with pytest.raises(error, match=message):
        build(our_optimizer())
