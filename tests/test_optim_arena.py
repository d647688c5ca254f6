"""Where optimisers keep parameters, gradients and states; groups; missing gradients; captured steps; bad input."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import lamina
from checks import to_numpy
from lamina import _C, nn, optim

KINDS = [optim.SGD, optim.Adagrad, optim.RMSprop, optim.Adam, optim.AdamW, optim.Adadelta, optim.Adamax, optim.NAdam,
         optim.RAdam]  # fmt: skip


def address(t: lamina.Tensor) -> int:
    return t.detach().data_ptr()


def network() -> nn.Sequential:
    lamina.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))


def backward(model: nn.Module, seed: int = 0) -> None:
    x = lamina.tensor(np.random.default_rng(seed).standard_normal((4, 5)).astype(np.float32))
    (model(x) ** 2).sum().backward()


def launches(call: object) -> int:
    with _C._Recording() as recording:
        call()  # type: ignore[operator]
    return len(recording)


# ---- memory ----


def test_parameters_move_into_one_stretch_and_stay_the_same_objects():
    model = network()
    before = {
        name: to_numpy(p.detach().clone()) for name, p in model.named_parameters()
    }  # shown to NumPy, p would stay
    ids = [id(p) for p in model.parameters()]
    optim.Adam(model.parameters())
    assert [id(p) for p in model.parameters()] == ids
    places = [address(p) for p in model.parameters()]
    assert all(place % 64 == 0 for place in places)
    for (name, p), place, after in zip(model.named_parameters(), places, [*places[1:], None], strict=True):
        np.testing.assert_array_equal(to_numpy(p), before[name])
        if after is not None:
            assert after - place == -(-p.nbytes // 64) * 64


def test_gradients_arrive_in_one_stretch_too():
    model = network()
    optimizer = optim.Adam(model.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        assert all(p.grad is None for p in model.parameters())
        backward(model)
        first = address(next(model.parameters()))
        distances = {address(p.grad) - (address(p) - first) for p in model.parameters()}
        assert len(distances) == 1
        optimizer.step()


def test_a_step_is_two_launches_however_many_parameters():
    model = network()
    optimizer = optim.Adam(model.parameters())
    backward(model)
    assert launches(optimizer.step) == 2  # the clock, the arena


def test_gradients_are_as_without_an_optimizer():
    with_arena, without = network(), network()
    optimizer = optim.SGD(with_arena.parameters())
    for seed in range(3):
        backward(with_arena, seed), backward(without, seed)  # they accumulate
        for a, b in zip(with_arena.parameters(), without.parameters(), strict=True):
            np.testing.assert_array_equal(to_numpy(a.grad), to_numpy(b.grad))
    optimizer.zero_grad(set_to_none=False)
    assert all((to_numpy(p.grad) == 0).all() for p in with_arena.parameters())


def with_and_without_arena(step: object) -> None:
    """step(weight, bias) leaves the same gradients, several times, whether they have a place to be written to or not."""
    plain, placed = nn.Linear(4, 4), nn.Linear(4, 4)
    placed.load_state_dict(plain.state_dict())
    optimizer = optim.SGD(placed.parameters())
    for _ in range(3):
        for layer in (plain, placed):
            step(layer.weight, layer.bias)  # type: ignore[operator]
        for a, b in zip(placed.parameters(), plain.parameters(), strict=True):
            np.testing.assert_array_equal(to_numpy(a.grad), to_numpy(b.grad))
        optimizer.zero_grad()
        for p in plain.parameters():
            p.grad = None


def test_layers_write_gradients_where_they_stay():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
    optim.SGD(model.parameters())
    x, dy = lamina.ones(3, 6), lamina.ones(3, 4)
    y = model(x)
    # bias and weight of the second layer, input; bias (with the ReLU) and weight of the first: no copies
    assert launches(lambda: y.backward(dy)) == 5


def test_gradients_of_a_weight_used_twice():
    x = lamina.ones(3, 4)
    with_and_without_arena(lambda w, b: _C.linear(_C.linear(x, w, b), w, b).sum().backward())
    with_and_without_arena(lambda w, b: _C.linear(w, w, b).sum().backward())
    with_and_without_arena(lambda w, b: (_C.linear(x, w, b).sum() + (w * 2).sum() + (b * 3).sum()).backward())


def test_gradients_with_hooks_and_after_a_failure():
    x = lamina.ones(3, 4)

    def hooked(w: lamina.Tensor, b: lamina.Tensor) -> None:
        handles = [w.register_hook(lambda g: g * 2), b.register_hook(lambda g: None)]
        _C.linear(x, w, b).sum().backward()
        for handle in handles:
            handle.remove()

    with_and_without_arena(hooked)

    def interrupted(w: lamina.Tensor, b: lamina.Tensor) -> None:
        def fail(grad: lamina.Tensor) -> None:
            raise RuntimeError("stopped")

        y = _C.linear(x, w)  # its weight's gradient comes after the failure, that of b before
        y.register_hook(fail)
        with pytest.raises(RuntimeError, match="stopped"):
            _C.linear(y, lamina.ones(4, 4), b).sum().backward()
        w.grad = b.grad = None
        _C.linear(x, w, b).sum().backward()

    with_and_without_arena(interrupted)


def test_gradients_that_nobody_accumulates_go_elsewhere():
    x = lamina.ones(3, 4)
    layer = nn.Linear(4, 4)
    optim.SGD(layer.parameters())
    loss = layer(x).square().sum()
    first = lamina.autograd.grad(loss, [layer.weight, layer.bias], retain_graph=True)
    values = [to_numpy(g).copy() for g in first]
    assert layer.weight.grad is None
    (loss * 3).backward()
    for got, want, p in zip(first, values, layer.parameters(), strict=True):
        np.testing.assert_array_equal(to_numpy(got), want)
        np.testing.assert_allclose(to_numpy(p.grad), 3 * want, rtol=1e-6)


def test_a_layer_fed_with_its_own_old_gradient():
    layer = nn.Linear(4, 4)
    optim.SGD(layer.parameters())
    layer(lamina.ones(3, 4)).square().sum().backward()
    x = layer.weight.grad.view(2, 8)[:, :4]  # shares the memory that the next gradient would be written to
    values = to_numpy(x.clone())
    layer.weight.grad = None
    layer(x).sum().backward()
    np.testing.assert_allclose(to_numpy(layer.weight.grad), np.tile(values.sum(0), (4, 1)), rtol=1e-6)


def test_a_gradient_that_is_kept_is_not_overwritten():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    backward(model, 0)
    kept = [p.grad for p in model.parameters()]
    values = [to_numpy(g).copy() for g in kept]
    optimizer.zero_grad()
    backward(model, 1)
    optimizer.step()
    for g, v in zip(kept, values, strict=True):
        np.testing.assert_array_equal(to_numpy(g), v)


def test_assigned_gradients_are_used_wherever_they_lie():
    p, q, r = (nn.Parameter(lamina.zeros(4, 3)) for _ in range(3))
    optimizer = optim.SGD([p, q, r], lr=1.0)
    p.grad = lamina.ones(4, 3)
    q.grad = lamina.tensor(np.arange(12, dtype=np.float32).reshape(3, 4)).T
    (r * 2).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(to_numpy(p), -np.ones((4, 3)))
    np.testing.assert_array_equal(to_numpy(q), -np.arange(12).reshape(3, 4).T)
    np.testing.assert_array_equal(to_numpy(r), np.full((4, 3), -2.0))


def test_memory_that_others_see_stays_where_it_is():
    array = np.ones((3, 5), np.float32)
    base = lamina.zeros(7, 6)
    shared, viewed, plain = (
        nn.Parameter(lamina.from_numpy(array)),
        nn.Parameter(base[1:4, ::2]),
        nn.Parameter(lamina.ones(5)),
    )
    state = plain.detach()
    params = [shared, viewed, plain]
    assert not viewed.is_contiguous()
    optimizer = optim.SGD(params, lr=0.5, momentum=0.5)
    for _ in range(2):
        for p in params:
            p.grad = lamina.ones(*p.shape)
        optimizer.step()
    moved = -0.5 - 0.75
    np.testing.assert_allclose(array, 1 + moved)
    np.testing.assert_allclose(to_numpy(state), 1 + moved)
    expected = np.zeros((7, 6), np.float32)
    expected[1:4, ::2] = moved
    np.testing.assert_allclose(to_numpy(base), expected)
    np.testing.assert_allclose(to_numpy(viewed), moved)


def test_parameters_that_are_two_windows_on_one_tensor():
    """They lie as neighbours in an arena would, but what is between them is somebody else's."""
    base = lamina.zeros(40)
    p, q = nn.Parameter(base[:10]), nn.Parameter(base[16:30])
    optimizer = optim.SGD([p, q], lr=1.0, weight_decay=0.1)
    with lamina.no_grad():
        base.fill_(1.0)
    p.grad, q.grad = lamina.ones(10), lamina.ones(14)
    optimizer.step()
    expected = np.ones(40, np.float32)
    expected[:10] = expected[16:30] = 1 - 1.1
    np.testing.assert_allclose(to_numpy(base), expected, rtol=1e-6)


def test_a_transposed_parameter_keeps_its_values():
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    p = nn.Parameter(lamina.tensor(values).T)
    optimizer = optim.SGD([p], lr=1.0)
    np.testing.assert_array_equal(to_numpy(p), values.T)
    (p * lamina.tensor(values.T.copy())).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(to_numpy(p), np.zeros((4, 3)))


def test_a_second_optimizer_takes_over():
    model, twin = network(), network()
    first = optim.SGD(model.parameters(), lr=0.1)
    second = optim.Adam(list(model.parameters())[::-1])
    single = [optim.SGD(twin.parameters(), lr=0.1), optim.Adam(twin.parameters())]
    for i, (a, b) in enumerate([(first, single[0]), (second, single[1]), (first, single[0])]):
        for net, optimizer in ((model, a), (twin, b)):
            optimizer.zero_grad()
            backward(net, i)
            optimizer.step()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(to_numpy(p), to_numpy(q))


def test_an_optimizer_may_die_before_its_parameters():
    model = network()
    optim.Adam(model.parameters())
    backward(model)
    assert all(np.isfinite(to_numpy(p.grad)).all() for p in model.parameters())
    copied = copy.deepcopy(model)
    del model
    assert all(np.isfinite(to_numpy(p)).all() for p in copied.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_may_be_converted_while_training(kind):
    """Its parameters stay the objects that the optimizer knows; states go with their type."""
    model, twin = network(), network()
    options = {"lr": 0.01} | ({"momentum": 0.9} if kind is optim.SGD else {})
    optimizer, other = kind(model.parameters(), **options), kind(twin.parameters(), **options)
    for i, dtype in enumerate([lamina.float32, lamina.float64, lamina.float64, lamina.bfloat16, lamina.float32]):
        model.to(dtype)
        for net, o in ((model, optimizer), (twin, other)):
            o.zero_grad()
            x = lamina.tensor(np.random.default_rng(i).standard_normal((4, 5)))
            (net(x.to(net[0].weight.dtype)) ** 2).sum().backward()
            o.step()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert p.dtype is lamina.float32
        np.testing.assert_allclose(to_numpy(p), to_numpy(q), atol=0.03)  # one step was taken in bfloat16


def test_a_graph_from_before_the_move_still_works():
    p = nn.Parameter(lamina.ones(5))
    loss = (p * p).sum()
    optim.SGD([p])
    loss.backward()
    np.testing.assert_array_equal(to_numpy(p.grad), np.full(5, 2.0))


def test_one_parameters_change_does_not_stop_anothers_backward():
    p, q = nn.Parameter(lamina.ones(5)), nn.Parameter(lamina.ones(5))
    optim.SGD([p, q])
    loss = (p * p).sum()
    with lamina.no_grad():
        q.fill_(2.0)
    loss.backward()


def test_a_step_tells_those_who_saved_the_old_values():
    model = network()
    optimizer = optim.SGD(model.parameters())
    backward(model)
    w = next(model.parameters())
    loss = (w * w).sum()
    optimizer.step()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


# ---- missing gradients, groups ----


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_without_gradient_wait(kind):
    """They and the count of their steps stand still, as in PyTorch."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(s).astype(np.float32) for s in [(3, 4), (5,), (2, 2), (7,)]]
    params = [nn.Parameter(lamina.tensor(v)) for v in values]
    theirs = [torch.nn.Parameter(torch.tensor(v)) for v in values]
    ours, twin = kind(params, lr=0.05), getattr(torch.optim, kind.__name__)(theirs, lr=0.05)
    for present in ([1, 1, 1, 1], [1, 0, 1, 1], [0, 0, 1, 0], [1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]):
        for p, t, here in zip(params, theirs, present, strict=True):
            g = rng.standard_normal(p.shape).astype(np.float32)
            p.grad, t.grad = (lamina.tensor(g), torch.tensor(g)) if here else (None, None)
        ours.step(), twin.step()
        for p, t in zip(params, theirs, strict=True):
            np.testing.assert_allclose(to_numpy(p), t.detach().numpy(), rtol=1e-4, atol=1e-5)
    steps = [s.get("step") for s in ours.state_dict()["state"].values()]
    want = [s.get("step") for s in twin.state_dict()["state"].values()]
    assert [None if s is None else float(s) for s in steps] == [None if s is None else float(s) for s in want]


def test_groups_have_options_of_their_own():
    p, q, r = (nn.Parameter(lamina.ones(3)) for _ in range(3))
    optimizer = optim.SGD([{"params": [p]}, {"params": q, "lr": 0.5, "name": "head"}], lr=0.1)
    optimizer.add_param_group({"params": [r], "lr": 2.0, "weight_decay": 1.0})
    for t in (p, q, r):
        t.grad = lamina.ones(3)
    optimizer.step()
    np.testing.assert_allclose([float(t[0]) for t in (p, q, r)], [0.9, 0.5, -3.0], rtol=1e-6)
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.5, 2.0]
    assert "head: 1 parameter, 3 numbers" in repr(optimizer)


def test_named_parameters_and_states_by_parameter():
    model = network()
    optimizer = optim.Adam(model.named_parameters())
    backward(model)
    w = model[0].weight
    assert optimizer.state[w] == {}
    optimizer.step()
    assert float(optimizer.state[w]["step"]) == 1
    np.testing.assert_allclose(to_numpy(optimizer.state[w]["exp_avg"]), 0.1 * to_numpy(w.grad), rtol=1e-5)
    optimizer.state[w]["exp_avg"].zero_()
    assert (to_numpy(optimizer.state[w]["exp_avg"]) == 0).all()
    assert w in optimizer.state and lamina.ones(1) not in optimizer.state and len(optimizer.state) == 4


def test_options_may_change_while_training():
    p = nn.Parameter(lamina.ones(3))
    optimizer = optim.SGD([p], lr=0.0)
    group = optimizer.param_groups[0]
    p.grad = lamina.ones(3)
    optimizer.step()
    np.testing.assert_array_equal(to_numpy(p), np.ones(3))
    group.update(lr=0.5)
    optimizer.step()
    np.testing.assert_array_equal(to_numpy(p), np.full(3, 0.5))
    group["momentum"] = 0.5  # from here on there is a buffer
    optimizer.step(), optimizer.step()
    np.testing.assert_allclose(to_numpy(p), np.full(3, 0.5 - 0.5 - 0.75))
    group["lr"] = lamina.tensor(0.25)
    assert group["lr"] == 0.25 and isinstance(group["lr"], float)


@pytest.mark.parametrize("per_tensor", [False, True])
def test_max_norm(per_tensor):
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(s).astype(np.float32) for s in [(6, 50), (9,), (3, 4, 5)]]
    params = [nn.Parameter(lamina.tensor(v)) for v in values]
    optimizer = optim.SGD(params, lr=0.1, max_norm=2.0, max_norm_per_tensor=per_tensor)
    for p in params:
        p.grad = lamina.zeros(*p.shape)
    optimizer.step()
    for p, v in zip(params, values, strict=True):
        rows = v.reshape(1 if per_tensor else len(v), -1)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        want = rows * np.where((norms > 2.0) & (per_tensor or v.ndim > 1), 2.0 / norms, 1.0)
        np.testing.assert_allclose(to_numpy(p).reshape(rows.shape), want, rtol=1e-6)


def test_step_returns_what_the_closure_returns():
    model = network()
    optimizer = optim.SGD(model.parameters())

    def closure() -> lamina.Tensor:
        optimizer.zero_grad()
        loss = (model(lamina.ones(2, 5)) ** 2).sum()
        loss.backward()
        return loss

    with lamina.no_grad():
        first = optimizer.step(closure)
        assert float(optimizer.step(closure)) < float(first)


# ---- captured steps ----


@pytest.mark.parametrize("kind", KINDS)
def test_a_captured_step_is_the_eager_step(kind):
    """With schedule, clipping and average, bit for bit."""

    def run(wrap: object) -> list[bytes]:
        model = network()
        optimizer = kind(model.parameters(), lr=0.05, **({"momentum": 0.9} if kind is optim.SGD else {}))
        ema = optim.EMA(model.parameters(), 0.9)
        schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.8)

        def step(x: lamina.Tensor) -> lamina.Tensor:
            optimizer.zero_grad()
            loss = (model(x) ** 2).sum()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            ema.update()
            return loss

        step = wrap(step)  # type: ignore[operator]
        rng = np.random.default_rng(0)
        losses = []
        for i in range(12):
            losses.append(to_numpy(step(lamina.tensor(rng.standard_normal((4, 5)).astype(np.float32)))).tobytes())
            if i % 3 == 2:
                schedule.step()
        with ema.average_parameters():
            averages = [to_numpy(p).tobytes() for p in model.parameters()]
        steps = [str(float(s["step"])).encode() for s in optimizer.state_dict()["state"].values() if "step" in s]
        return losses + averages + [to_numpy(p).tobytes() for p in model.parameters()] + steps

    assert run(lambda step: step) == run(lamina.capture)


def test_state_is_made_once_and_not_by_every_replay():
    p = nn.Parameter(lamina.ones(5))

    def build_and_step() -> None:
        p.grad = lamina.ones(5)
        optimizer.step()

    optimizer = optim.Adam([p, nn.Parameter(lamina.ones(2))])
    with _C._Recording() as recording:
        build_and_step()  # the clock splits here, for the second parameter has no gradient
    for _ in range(3):
        recording.replay()
    assert float(optimizer.state[p]["step"]) == 4


def test_an_option_set_inside_a_captured_step_is_refused():
    optimizer = optim.SGD([nn.Parameter(lamina.ones(3))], lr=0.1)

    @lamina.capture
    def step():
        optimizer.param_groups[0]["lr"] = 0.5

    with pytest.raises(RuntimeError, match="SGD: lr cannot be set inside a captured step"):
        step()
    assert optimizer.param_groups[0]["lr"] == 0.1


SCHEDULES = {
    "exponential": lambda optimizer, m: m.ExponentialLR(optimizer, 0.8),
    "one cycle": lambda optimizer, m: m.OneCycleLR(optimizer, 0.3, total_steps=30),
    "one after the other": lambda optimizer, m: m.SequentialLR(
        optimizer, [m.LinearLR(optimizer, 0.1, 1.0, 3), m.StepLR(optimizer, 2, 0.5)], [3]
    ),
    "both at once": lambda optimizer, m: m.ChainedScheduler(
        [m.ExponentialLR(optimizer, 0.9), m.MultiStepLR(optimizer, [2, 5], 0.1)]
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_inside_a_captured_step_is_the_eager_one(name):
    def run(wrap):
        model = network()
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        schedule = SCHEDULES[name](optimizer, optim.lr_scheduler)

        def step(x):
            optimizer.zero_grad()
            (model(x) ** 2).sum().backward()
            optimizer.step()
            schedule.step()

        step, rates = wrap(step), []
        rng = np.random.default_rng(0)
        for _ in range(9):
            step(lamina.tensor(rng.standard_normal((4, 5)).astype(np.float32)))
            rates.append(optimizer.param_groups[0]["lr"])
        return rates, schedule.last_epoch, [to_numpy(p).tobytes() for p in model.parameters()]

    assert run(lamina.capture) == run(lambda step: step)


def test_what_a_schedule_cannot_do_inside_a_captured_step():
    p = nn.Parameter(lamina.ones(2))
    p.grad = lamina.ones(2)
    optimizer = optim.SGD([p], lr=1.0)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    with pytest.raises(RuntimeError, match="SGD: step.. after its schedule's in a captured function"):
        lamina.capture(lambda: (schedule.step(), optimizer.step()))()
    assert optimizer.param_groups[0]["lr"] == 1.0 and schedule.last_epoch == 0
    plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    with pytest.raises(RuntimeError, match="outside of the captured function"):
        lamina.capture(lambda: plateau.step(1.0))()


# ---- bad input ----


@pytest.mark.parametrize(
    "build, error, message",
    [
        (lambda p: optim.Adam([]), ValueError, "no parameters"),
        (lambda p: optim.Adam([{"params": []}]), ValueError, "empty"),
        (lambda p: optim.Adam(p), TypeError, "single tensor"),
        (lambda p: optim.Adam([p * 2]), ValueError, "only leaves"),
        (lambda p: optim.Adam([lamina.arange(3)]), TypeError, "int64"),
        (lambda p: optim.Adam(["weight"]), TypeError, "must be a Tensor, got str"),
        (lambda p: optim.Adam([p, p]), ValueError, "twice"),
        (lambda p: optim.Adam([{"params": [p]}, {"params": [p]}]), ValueError, "another group"),
        (lambda p: optim.Adam([p], lr=-1.0), ValueError, "lr must be 0 or more, got -1"),
        (lambda p: optim.Adam([p], lr=float("nan")), ValueError, "lr must be 0 or more"),
        (lambda p: optim.Adam([p], lr="fast"), TypeError, "lr must be a number, got 'fast'"),
        (lambda p: optim.Adam([p], lr="0.1"), TypeError, "lr must be a number, got '0.1'"),
        (lambda p: optim.Adam([p], betas=(0.9, 1.0)), ValueError, "betas must be at least 0 and below 1"),
        (lambda p: optim.Adam([p], betas=0.9), TypeError, "betas must be two numbers"),
        (lambda p: optim.Adam([p], eps=-1e-8), ValueError, "eps"),
        (lambda p: optim.Adam([p], weight_decay=-1), ValueError, "weight_decay"),
        (lambda p: optim.Adam([p], learning_rate=1.0), TypeError, "unknown option 'learning_rate'"),
        (lambda p: optim.Adam([{"params": [p], "rate": 1.0}]), ValueError, "unknown option 'rate'"),
        (lambda p: optim.Adam([{"parameters": [p]}]), TypeError, "'params'"),
        (lambda p: optim.SGD([p], nesterov=True), ValueError, "momentum"),
        (lambda p: optim.SGD([p], momentum=0.9, nesterov="maybe"), ValueError, "nesterov must be"),
        (lambda p: optim.SGD([p]).param_groups[0].update(lr=-1.0), ValueError, "lr must be 0 or more"),
        (lambda p: optim.SGD([nn.Parameter(lamina.ones(1).expand(5))]), RuntimeError, "expanded"),
        (lambda p: optim.SGD([p]).load_state_dict({"state": {}}), ValueError, "param_groups"),
        (lambda p: optim.SGD([p]).load_state_dict({"state": {}, "param_groups": []}), ValueError, r"\[\]"),
    ],
)
def test_errors_are_for_people(build, error, message):
    with pytest.raises(error, match=message):
        build(nn.Parameter(lamina.ones(3)))


def test_a_state_that_does_not_fit_changes_nothing():
    p, q = nn.Parameter(lamina.ones(3)), nn.Parameter(lamina.ones(4))
    ours, other = optim.Adam([p], lr=0.1), optim.Adam([q], lr=0.2)
    for t, o in ((p, ours), (q, other)):
        t.grad = lamina.ones(*t.shape)
        o.step()
    before = to_numpy(ours.state[p]["exp_avg"]).copy()
    with pytest.raises(ValueError, match=r"exp_avg of shape \(4,\) for a parameter of shape \(3,\)"):
        ours.load_state_dict(other.state_dict())
    np.testing.assert_array_equal(to_numpy(ours.state[p]["exp_avg"]), before)
    assert ours.param_groups[0]["lr"] == 0.1


def test_zero_sized_parameters():
    p, q = nn.Parameter(lamina.ones(0, 4)), nn.Parameter(lamina.ones(3))
    for kind in KINDS:
        optimizer = kind([p, q], lr=0.1)
        (p.sum() + q.sum()).backward()
        optimizer.step()
    lone = nn.Parameter(lamina.ones(0))
    optimizer = optim.Adam([lone])
    lone.sum().backward()
    optimizer.step()
    assert lone.shape == (0,)
