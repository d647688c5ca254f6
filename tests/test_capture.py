"""Captured steps: a replay does what the function would have done, in the same memory, and is refused where it cannot."""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
import pytest

import lamina
from checks import allocated, to_numpy
from lamina import _C
from lamina.nn import functional as F

RNG = np.random.default_rng(0)


def array(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


class Network:
    """A net with dropout, trained by momentum with weight decay, clipping by norm and a falling learning rate."""

    def __init__(self, seed, sizes=(20, 32, 32, 5)):
        rng = np.random.default_rng(seed)
        self.weights = [
            lamina.tensor((rng.standard_normal((b, a)) / np.sqrt(a)).astype(np.float32), requires_grad=True)
            for a, b in zip(sizes, sizes[1:], strict=False)
        ]
        self.biases = [lamina.zeros(b, requires_grad=True) for b in sizes[1:]]
        self.parameters = self.weights + self.biases
        self.momenta = [lamina.zeros_like(p.detach()) for p in self.parameters]
        self.rate = lamina.tensor(0.1)
        self.generator = lamina.Generator().manual_seed(7)

    def loss(self, x, labels):
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = lamina.dropout(lamina.linear(x, w, b, activation="relu"), 0.3, generator=self.generator)
        scores = F.log_softmax(lamina.linear(x, self.weights[-1], self.biases[-1]), -1)
        return -scores.gather(1, labels.reshape(-1, 1)).mean()

    def step(self, x, labels):
        for p in self.parameters:
            p.grad = None
        loss = self.loss(x, labels)
        loss.backward()
        with lamina.no_grad():
            squares = [(p.grad * p.grad).sum() for p in self.parameters]
            scale = (1.0 / (lamina.stack(squares).sum().sqrt() + 1e-6)).clamp(max=1.0)
            for p, m in zip(self.parameters, self.momenta, strict=True):
                m.mul_(0.9).add_(p.grad * scale + p * 1e-3)
                p.sub_(m * self.rate)
            self.rate.mul_(0.99)
        return loss

    def state(self):
        return [to_numpy(t).copy() for t in [*self.parameters, *self.momenta, self.rate]]


def batch(rng, n=16):
    return rng.standard_normal((n, 20)).astype(np.float32), rng.integers(0, 5, n)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_hundred_steps_are_those_of_the_eager_loop_bit_for_bit(threads):
    before = lamina.get_num_threads()
    lamina.set_num_threads(threads)
    try:
        eager, captured = Network(3), Network(3)
        step = lamina.capture(captured.step)
        rng = np.random.default_rng(1)
        for _ in range(100):
            x, labels = map(lamina.tensor, batch(rng))
            wanted, got = eager.step(x, labels), step(x, labels)
            assert wanted.item() == got.item()
        assert len(step.recordings) == 1
        for a, b in zip(eager.state(), captured.state(), strict=True):
            np.testing.assert_array_equal(a, b)
        for p, q in zip(eager.parameters, captured.parameters, strict=True):
            np.testing.assert_array_equal(to_numpy(p.grad), to_numpy(q.grad))
    finally:
        lamina.set_num_threads(before)


def test_the_first_call_counts_once():
    counter = lamina.zeros(())
    step = lamina.capture(lambda: counter.add_(1.0))
    for n in range(1, 5):
        step()
        assert counter.item() == n


# ---- arguments ----


def test_arguments_are_nests_of_tensors_and_arrays():
    def total(first, rest, *, scale, options):
        assert isinstance(first, lamina.Tensor) and isinstance(rest[1]["y"], lamina.Tensor)
        return (first + rest[0] + rest[1]["y"] * scale) * options["times"]

    step = lamina.capture(total)
    for _ in range(3):
        a, b, c, d = array(2, 3), array(2, 3), array(3), array(1)
        got = step(lamina.tensor(a), [b, {"y": lamina.tensor(c)}], scale=d, options={"times": 3})
        np.testing.assert_array_equal(got.numpy(), (a + b + c * d) * np.float32(3))
    assert len(step.recordings) == 1


def test_arrays_and_tensors_are_interchangeable():
    step = lamina.capture(lambda x: x * 2)
    x = array(4)
    assert step(x).tolist() == step(lamina.tensor(x)).tolist() == (x * 2).tolist()
    strided = array(8)[::2]
    assert step(strided).tolist() == (strided * 2).tolist()
    assert len(step.recordings) == 1


def test_shapes_types_and_constants_lead_to_recordings_of_their_own():
    calls = []

    def f(x, power=2, name="a"):
        calls.append((x.shape, x.dtype, power, name))
        return x**power

    step = lamina.capture(f)
    x = array(3)
    variants = [
        lambda: step(x),
        lambda: step(array(4)),
        lambda: step(x.astype(np.float64)),
        lambda: step(x, 3),
        lambda: step(x, 3.0),
        lambda: step(x, power=3),
        lambda: step(x, name="b"),
        lambda: step(x, True),
        lambda: step(x, 1),
        lambda: step(x, float("nan")),
        lambda: step(x, 0.0),
        lambda: step(x, -0.0),
    ]
    for v in variants:
        v()
    assert len(calls) == len(step.recordings) == len(variants)
    for v in variants:
        v()
    assert len(calls) == len(variants)


def test_recordings_are_bounded_and_the_latest_stay():
    calls = []

    def f(x):
        calls.append(x.shape)
        return x + 1

    step = lamina.capture(f, max_recordings=2)
    for n in (1, 2, 3, 3, 2):
        step(array(n))
    assert len(calls) == 3 and len(step.recordings) == 2
    step(array(1))
    assert len(calls) == 4


def test_grad_mode_is_part_of_the_signature():
    w = lamina.ones(3, requires_grad=True)
    modes = []

    @lamina.capture
    def f(x):
        modes.append(lamina.is_grad_enabled())
        return x * w

    f(array(3))
    with lamina.no_grad():
        f(array(3))
        f(array(3))
    f(array(3))
    assert modes == [True, False]


def test_modules_record_anew_in_another_mode():
    net = lamina.nn.Sequential(lamina.nn.Linear(4, 4), lamina.nn.Dropout(0.5))
    step = lamina.capture(lambda x: net(x))
    x = lamina.ones(16, 4)
    train = step(x)
    net.eval()
    plain = step(x)
    np.testing.assert_array_equal(plain.numpy(), to_numpy(net(x)))
    assert (train.numpy() == 0).any() and not (plain.numpy() == 0).any()
    net.train()
    assert (step(x).numpy() == 0).any()
    assert len(step.recordings) == 2


def test_methods_and_decorators_with_options():
    class Trainer:
        def __init__(self, factor):
            self.factor = factor

        @lamina.capture(copy_outputs=False)
        def step(self, x):
            """Multiplies."""
            return x * self.factor

    a, b = Trainer(2), Trainer(3)
    for _ in range(2):
        assert a.step(lamina.ones(2)).tolist() == [2, 2]
        assert b.step(lamina.ones(2)).tolist() == [3, 3]
    assert Trainer.step.__doc__ == "Multiplies."


class Opaque:
    __hash__ = None


def test_unusable_arguments_are_refused():
    step = lamina.capture(lambda *a, **k: None)
    with pytest.raises(ValueError, match=r"argument \[0\] requires grad.*detach"):
        step(lamina.ones(2, requires_grad=True))
    with pytest.raises(TypeError, match=r"argument \['k'\]\[1\] is of type Opaque; expected tensors"):
        step(k=[1, Opaque()])
    with pytest.raises(TypeError, match="expected a function"):
        lamina.capture(3)
    with pytest.raises(ValueError, match="max_recordings"):
        lamina.capture(len, max_recordings=0)


def test_an_argument_changed_in_place_is_an_error():
    step = lamina.capture(lambda x: x.add_(1))
    with pytest.raises(RuntimeError, match="changed an argument of shape"):
        step(lamina.ones(2))
    assert not lamina.is_capturing()
    assert step.recordings == ()


# ---- results ----


class Pair(NamedTuple):
    left: object
    right: object


def test_results_are_nests_of_tensors_and_constants():
    step = lamina.capture(lambda x: Pair({"sum": x.sum(), "n": 3}, [x + 1, (None, "text")]))
    for _ in range(2):
        x = array(3)
        got = step(x)
        assert isinstance(got, Pair)
        assert got.left["n"] == 3 and got.right[1] == (None, "text")
        np.testing.assert_array_equal(got.right[0].numpy(), x + 1)
        np.testing.assert_allclose(got.left["sum"].item(), x.sum(), rtol=1e-6)


def test_results_are_fresh_unless_told_otherwise():
    step = lamina.capture(lambda x: x + 1)
    fresh = [step(lamina.full((2,), float(i))) for i in range(4)]
    assert [t.tolist() for t in fresh] == [[i + 1, i + 1] for i in range(4)]
    fixed = lamina.capture(lambda x: x + 1, copy_outputs=False)
    first, second = fixed(lamina.zeros(2)), fixed(lamina.ones(2))
    assert first is second and first.tolist() == [2, 2]


def test_results_have_no_history_and_parameters_stay_what_they_are():
    w = lamina.nn.Parameter(lamina.ones(3))
    step = lamina.capture(lambda x: (x * w, w))
    for _ in range(3):
        y, same = step(array(3))
        assert not y.requires_grad and same is w


def test_a_result_kept_by_autograd_notices_that_it_was_overwritten():
    step = lamina.capture(lambda x: x + 1, copy_outputs=False)
    w = lamina.ones(2, requires_grad=True)
    y = step(lamina.zeros(2)) * w
    step(lamina.ones(2))
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


# ---- state ----


def test_a_replay_counts_as_a_change_of_what_it_writes():
    w = lamina.ones(2)
    step = lamina.capture(lambda: w.add_(1.0))
    step()
    seen = w._version
    step()
    assert w._version == seen + 1
    a = lamina.ones(2, requires_grad=True)
    y = a * w
    step()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_weights_kept_packed_notice_a_replay():
    weight = lamina.tensor(array(256, 128))
    x = lamina.tensor(array(32, 128))
    step = lamina.capture(lambda: weight.mul_(0.5))
    step()
    for _ in range(3):
        lamina.linear(x, weight)  # packed by now
    step()
    np.testing.assert_allclose(lamina.linear(x, weight).numpy(), x.numpy() @ weight.numpy().T, rtol=1e-4, atol=1e-4)


def test_a_captured_net_follows_changes_of_its_weights():
    weight = lamina.tensor(array(256, 128))
    with lamina.no_grad():
        step = lamina.capture(lambda x: lamina.linear(x, weight))
        for _ in range(4):
            x = array(32, 128)
            np.testing.assert_array_equal(step(x).numpy(), lamina.linear(lamina.tensor(x), weight).numpy())
            weight.mul_(-1.5)


def test_captured_inference_follows_captured_training():
    """The one keeps weights packed, the other writes them without a word from Python."""
    weight = lamina.tensor(array(256, 128), requires_grad=True)
    x = lamina.tensor(array(32, 128))

    def descend(x):
        weight.grad = None
        lamina.linear(x, weight).square().mean().backward()
        with lamina.no_grad():
            weight.sub_(weight.grad)

    train, infer = lamina.capture(descend), lamina.capture(lambda x: (lamina.linear(x, weight), x @ weight.T))
    for i in range(8):
        train(x)
        with lamina.inference_mode():
            for _ in range(1 + i % 3):
                first, second = infer(x)
            wanted = lamina.linear(x, weight.detach().clone()).numpy()
        np.testing.assert_array_equal(first.numpy(), wanted)
        np.testing.assert_array_equal(second.numpy(), wanted)
    assert len(train.recordings) == len(infer.recordings) == 1


def test_weights_written_after_their_use_in_the_step():
    weight = lamina.tensor(array(256, 128))
    twin = weight.clone()

    def decay(w, x):
        before = lamina.linear(x, w)
        w.mul_(0.5)
        return before, lamina.linear(x, w)

    step = lamina.capture(lambda x: decay(weight, x))
    for _ in range(4):
        x = lamina.tensor(array(32, 128))
        for got, wanted in zip(step(x), decay(twin, x), strict=True):
            np.testing.assert_array_equal(got.numpy(), wanted.numpy())


def test_state_made_by_the_first_call_is_not_made_again():
    """As a lazy optimiser does: the first call is not recorded then, the second is."""
    state = {}
    w, twin = lamina.zeros(3), lamina.zeros(3)

    def momentum(x):
        if "buffer" not in state:
            state["buffer"] = x.clone()
        else:
            state["buffer"].mul_(0.9).add_(x)
        w.sub_(state["buffer"])

    step = lamina.capture(momentum)
    buffer = None
    for _ in range(5):
        x = array(3)
        step(x)
        buffer = x.copy() if buffer is None else buffer * np.float32(0.9) + x
        twin.sub_(lamina.tensor(buffer))
        np.testing.assert_allclose(w.numpy(), twin.numpy(), rtol=1e-5, atol=1e-6)
    assert len(step.recordings) == 1


def test_a_tensor_that_every_call_stores_away_is_recorded_at_the_second_call():
    seen = {}

    def f(x):
        seen["last"] = x * 2

    step = lamina.capture(f)
    for n in range(4):
        step(lamina.full((2,), float(n)))
        assert seen["last"].tolist() == [2 * n, 2 * n]
    assert len(step.recordings) == 1


def test_random_numbers_go_on_where_they_were():
    lamina.manual_seed(11)
    step = lamina.capture(lambda: lamina.rand(5))
    drawn = []
    for i in range(6):
        drawn.append(step().tolist())
        if i == 2:
            drawn.append(lamina.rand(5).tolist())  # an eager draw between two replays
    lamina.manual_seed(11)
    assert drawn == [lamina.rand(5).tolist() for _ in range(7)]


def test_data_from_numbers_is_constant_and_arrays_are_read_again():
    source = np.ones(3, np.float32)

    def f(x):
        return x + lamina.tensor([1.0, 2.0, 3.0]) * 2 + lamina.from_numpy(source)

    step = lamina.capture(f)
    for n in range(3):
        source[:] = n
        assert step(lamina.zeros(3)).tolist() == [2 + n, 4 + n, 6 + n]
        junk = [lamina.full((3,), 9.0) for _ in range(10)]
        del junk


# ---- gradients ----


def test_gradients_are_found_and_left_as_without_capture():
    """zero_grad outside of the step: the same function first sets, then adds to .grad."""
    w, twin = (lamina.ones(3, requires_grad=True) for _ in range(2))

    def accumulate(p, x):
        (p * x).sum().backward()

    step = lamina.capture(lambda x: accumulate(w, x))
    for round_ in range(12):
        if round_ % 3 == 0:
            w.grad = twin.grad = None
        x = lamina.tensor(array(3))
        step(x)
        accumulate(twin, x)
        np.testing.assert_array_equal(w.grad.numpy(), twin.grad.numpy())
    assert len(step.recordings) == 2


def test_gradients_removed_by_the_step_are_gone_after_a_replay():
    w = lamina.ones(3, requires_grad=True)

    def f(x):
        (w * x).sum().backward()
        g = w.grad
        w.grad = None
        return g

    step = lamina.capture(f)
    for _ in range(3):
        x = array(3)
        np.testing.assert_array_equal(step(x).numpy(), x)
        assert w.grad is None
        w.grad = None


def test_a_step_that_reads_gradients_made_outside():
    w, x = lamina.zeros(3, requires_grad=True), lamina.tensor([1.0, 2.0, 3.0])

    def update():
        with lamina.no_grad():
            w.sub_(w.grad)

    step = lamina.capture(update)
    for n in range(1, 5):
        w.grad = None
        (w * x).sum().backward()
        step()
        assert w.detach().tolist() == [-n, -2 * n, -3 * n]


def test_gradients_of_an_argument_can_be_taken_inside():
    def f(x):
        x = x.clone().requires_grad_()
        (x * x * x).sum().backward()
        return x.grad

    step = lamina.capture(f)
    for _ in range(3):
        x = array(4)
        np.testing.assert_allclose(step(x).numpy(), 3 * x * x, rtol=1e-5)


def test_captured_and_eager_steps_interleave():
    eager, mixed = Network(5), Network(5)
    step = lamina.capture(mixed.step)
    rng = np.random.default_rng(2)
    for i in range(30):
        x, labels = map(lamina.tensor, batch(rng))
        wanted = eager.step(x, labels)
        got = mixed.step(x, labels) if i % 5 == 3 else step(x, labels)
        assert wanted.item() == got.item()
    for a, b in zip(eager.state(), mixed.state(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_two_captured_steps_share_parameters():
    eager, shared = Network(6), Network(6)
    train, test = lamina.capture(shared.step), lamina.capture(shared.loss)
    rng = np.random.default_rng(3)
    for n in (16, 16, 9, 16, 9, 9):  # the last batch of an epoch is shorter
        x, labels = map(lamina.tensor, batch(rng, n))
        assert eager.step(x, labels).item() == train(x, labels).item()
        with lamina.no_grad():
            assert eager.loss(x, labels).item() == test(x, labels).item()
    assert len(train.recordings) == len(test.recordings) == 2


# ---- what cannot be recorded ----

READS = {
    "item": lambda x: x.sum().item(),
    "bool": lambda x: 1 if x.sum() > 0 else 0,
    "float": lambda x: float(x[0]),
    "int": lambda x: int(x[0]),
    "index": lambda x: [1, 2, 3][x.long()[0]],
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "asarray": lambda x: np.asarray(x),
    "memoryview": lambda x: memoryview(x),
    "dlpack": lambda x: x.__dlpack__(),
    "np.from_dlpack": lambda x: np.from_dlpack(x),
    "format": lambda x: f"{x.sum():.3f}",
    "in": lambda x: 1.0 in x,
    "allclose": lambda x: lamina.allclose(x, x),
    "equal": lambda x: lamina.equal(x, x),
    "tensor in a list": lambda x: lamina.tensor([x[0], 1.0]),
    "subscript": lambda x: x[x.long()[0]],
    "nonzero": lambda x: lamina.nonzero(x),
    "mask": lambda x: x[x > 0],
    "bincount": lambda x: lamina.bincount(x.long()),
    "one_hot": lambda x: F.one_hot(x.long()),
    "repeat_interleave": lambda x: lamina.repeat_interleave(x, x.long()),
    "set_rng_state": lambda x: lamina.set_rng_state(lamina.get_rng_state()),
    "seed": lambda x: lamina.seed(),
    "pickle": lambda x: __import__("pickle").dumps(x),
}


@pytest.mark.parametrize("name", READS)
def test_reading_values_is_an_error_that_says_what_to_do(name):
    step = lamina.capture(READS[name])
    with pytest.raises((RuntimeError, BufferError), match="capture: .*(return the tensor|where)"):
        step(lamina.ones(3))
    assert not lamina.is_capturing()
    assert step.recordings == ()


def test_showing_a_tensor_tells_that_it_is_being_recorded():
    shown = []
    lamina.capture(lambda x: shown.append(repr(x)))(lamina.ones(3))
    assert shown == ["tensor(<being recorded>, shape=(3,), dtype=lamina.float32)"]


CHECKS = {
    "gather": (lambda x, i: x.gather(0, i), IndexError, "index 7 is out of range"),
    "select": (lambda x, i: x[i], IndexError, "index 7 is out of range"),
    "embedding": (lambda x, i: F.embedding(i, x.reshape(3, 1)), IndexError, "index 7 is out of range"),
    "one_hot": (lambda x, i: F.one_hot(i, 3), ValueError, "class 7 is not below num_classes 3"),
    "division": (lambda x, i: 10 // (i - 7), ValueError, "integer division by zero"),
    "bernoulli": (lambda x, i: lamina.bernoulli(i.float() * 0.2), ValueError, "between 0 and 1"),
    "normal": (lambda x, i: lamina.normal(x, 6.5 - i.float()), ValueError, "must not be negative"),
    "multinomial": (lambda x, i: lamina.multinomial(6.5 - i.float(), 2), ValueError, "not negative"),
}


@pytest.mark.parametrize("name", CHECKS)
def test_values_are_checked_in_every_replay(name):
    f, kind, message = CHECKS[name]
    step = lamina.capture(f)
    x, good, bad = array(3), np.array([0, 1, 2]), np.array([0, 7, 1])
    step(x, good)
    with pytest.raises(kind, match=message):
        step(x, bad)
    step(x, good)
    assert len(step.recordings) == 1


def test_what_a_replay_finds_wrong_comes_out_of_a_team_that_stays(set_threads):
    """Replays of steps this long run alone and beside a team in turn, until it is known which is faster."""
    set_threads(3)
    weights = [lamina.tensor(array(300, 300) / 17) for _ in range(4)]

    def classify(x, labels):
        for w in weights:
            x = lamina.linear(x, w, activation="relu")
        return F.cross_entropy(x, labels)

    step = lamina.capture(classify)
    x, good, bad = array(64, 300), np.arange(64), np.full(64, 300)
    wanted = classify(x, good).item()
    for _ in range(12):
        assert step(x, good).item() == wanted
        with pytest.raises(IndexError, match="300"):
            step(x, bad)
    assert len(step.recordings) == 1


def test_a_captured_step_inside_another_is_an_error():
    inner = lamina.capture(lambda x: x + 1)
    inner(lamina.ones(2))
    outer = lamina.capture(lambda x: inner(x) * 2)
    with pytest.raises(RuntimeError, match="cannot run inside another"):
        outer(lamina.ones(2))
    fresh = lamina.capture(lambda x: lamina.capture(lambda y: y + 1)(x))
    with pytest.raises(RuntimeError, match="cannot run inside another"):
        fresh(lamina.ones(2))
    assert inner(lamina.ones(2)).tolist() == [2, 2]


def test_an_exception_leaves_everything_as_it_was():
    fail = True
    w = lamina.ones(3, requires_grad=True)

    def f(x):
        w.grad = None
        (w * x).sum().backward()
        if fail:
            raise ZeroDivisionError
        return w.grad

    step = lamina.capture(f)
    base = allocated()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            step(array(3))
        assert not lamina.is_capturing() and step.recordings == ()
    w.grad = None
    assert allocated() == base
    fail = False
    for _ in range(3):
        x = array(3)
        np.testing.assert_array_equal(step(x).numpy(), x)
    assert len(step.recordings) == 1


def test_memory_returns_when_the_recording_goes():
    base = allocated()
    net = Network(1)
    step = lamina.capture(net.step)
    x, labels = batch(RNG)
    for _ in range(3):
        out = step(x, labels)
    assert step.memory > 0
    step.reset()
    assert step.memory == 0 and step.recordings == ()
    held = allocated()
    del out, net, step
    assert allocated() == base < held


def test_shown():
    step = lamina.capture(Network(1).step)
    assert repr(step) == "<captured Network.step: nothing recorded yet>"
    x, labels = batch(RNG)
    step(x, labels)
    assert "(float32(16, 20), int64(16,)): " in repr(step) and f"{step.launches} launches" in repr(step)
    assert step.recordings == ("(float32(16, 20), int64(16,))",)


# ---- threads ----


def test_one_thread_records_while_another_computes():
    stop, failures = threading.Event(), []

    def compute():
        x = lamina.tensor(array(64, 64))
        wanted = (x @ x).tanh().numpy().copy()
        while not stop.is_set():
            if not np.array_equal((x @ x).tanh().numpy(), wanted) or lamina.is_capturing():
                failures.append("disturbed")

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        eager = Network(8)
        rng = np.random.default_rng(4)
        for seed in range(5):
            mixed = Network(8)
            eager = Network(8)
            step = lamina.capture(mixed.step)
            for _ in range(5):
                x, labels = map(lamina.tensor, batch(rng))
                assert eager.step(x, labels).item() == step(x, labels).item(), seed
    finally:
        stop.set()
        thread.join()
    assert not failures


def test_threads_share_a_captured_function():
    w = lamina.tensor(array(200, 200))
    step = lamina.capture(lambda x: (x @ w).sum(0))
    step(array(200, 200))
    failures = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(20):
            x = lamina.tensor(rng.standard_normal((200, 200)).astype(np.float32))
            if not np.array_equal(step(x).numpy(), (x @ w).sum(0).numpy()):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_what_a_recording_frees_on_another_thread_returns():
    base = allocated()
    box = []

    def f(x):
        y = x * 2
        box.append(x + 1)
        return y

    step = lamina.capture(f)
    step(lamina.ones(1000))
    step(lamina.ones(1000))
    thread = threading.Thread(target=box.clear)
    thread.start()
    thread.join()
    assert step(lamina.ones(1000)).tolist() == [2.0] * 1000
    del step
    assert allocated() == base


def test_an_open_recording_refuses_to_replay():
    with pytest.raises(RuntimeError, match="nothing is recorded"), _C._Recording() as recording:
        recording.replay()
