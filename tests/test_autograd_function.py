"""Operations written in Python, and the check of gradients against finite differences."""

from __future__ import annotations

import gc
import threading
import traceback
import weakref

import pytest

import lamina
from lamina.autograd import Function, gradcheck
from lamina.autograd.function import once_differentiable


def leaf(*values):
    return lamina.tensor(values, dtype=lamina.float64, requires_grad=True)


class Power(Function):
    @staticmethod
    def forward(ctx, x, exponent):
        ctx.save_for_backward(x)
        ctx.exponent = exponent
        return x**exponent

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return ctx.exponent * x ** (ctx.exponent - 1) * dy, None


def test_value_gradient_and_name():
    x = leaf(1.0, 2.0, 3.0)
    y = Power.apply(x, 3)
    assert y.tolist() == [1, 8, 27] and y.grad_fn == "<Power>" and not y.is_leaf
    (y * 2).backward(lamina.ones(3, dtype=lamina.float64))
    assert x.grad.tolist() == [6, 24, 54]
    assert gradcheck(lambda x: Power.apply(x * 2, 3), x)


def test_nothing_is_recorded_without_need():
    assert Power.apply(lamina.ones(2), 2).grad_fn is None
    with lamina.no_grad():
        assert Power.apply(leaf(1.0), 2).grad_fn is None


def test_forward_is_not_recorded_itself():
    seen = []

    class Peek(Function):
        @staticmethod
        def forward(ctx, x):
            seen.append((lamina.is_grad_enabled(), ctx.needs_input_grad))
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            seen.append(lamina.is_grad_enabled())
            return dy * 2

    Peek.apply(leaf(1.0)).backward(lamina.ones(1, dtype=lamina.float64))
    assert seen == [(False, (True,)), False] and lamina.is_grad_enabled()


class Several(Function):
    """Two differentiable outputs, an integer one, one marked constant, and something that is no tensor."""

    materialize = True
    grads: list = []

    @staticmethod
    def forward(ctx, a, b, flag):
        ctx.set_materialize_grads(Several.materialize)
        constant = a + 0
        ctx.mark_non_differentiable(constant)
        return a * b, a + b, lamina.arange(3), constant, "text"

    @staticmethod
    def backward(ctx, *grads):
        Several.grads = list(grads)
        assert len(grads) == 5
        return (grads[1] if grads[1] is not None else None), None, None


def test_several_outputs():
    Several.materialize = True
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    product, total, integers, constant, text = Several.apply(a, b, True)
    assert text == "text" and integers.grad_fn is None and constant.grad_fn is None and not constant.requires_grad
    assert product.grad_fn == total.grad_fn == "<Several>"
    total.backward(lamina.ones(2, dtype=lamina.float64))
    assert a.grad.tolist() == [1, 1] and b.grad is None
    unused, used, *others = Several.grads
    assert unused.tolist() == [0, 0] and unused.dtype is lamina.float64 and used.tolist() == [1, 1]
    assert others == [None] * 3


def test_missing_gradients_on_demand():
    Several.materialize = False
    a = leaf(1.0, 2.0)
    product, *_ = Several.apply(a, leaf(3.0, 4.0), True)
    product.backward(lamina.ones(2, dtype=lamina.float64))
    assert Several.grads[1] is None and a.grad is None


def test_setup_context():
    class Double(Function):
        @staticmethod
        def forward(x, factor):
            return x * factor

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.factor = inputs[1]
            ctx.save_for_backward(output)

        @staticmethod
        def backward(ctx, dy):
            assert ctx.saved_tensors[0].tolist() == [6]
            return dy * ctx.factor, None

    x = leaf(3.0)
    Double.apply(x, 2).backward(lamina.ones(1, dtype=lamina.float64))
    assert x.grad.tolist() == [2]


def test_an_input_passed_through():
    class Reverse(Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, dy):
            return -dy

    x = leaf(1.0, 2.0)
    y = Reverse.apply(x)
    assert y is not x and y.data_ptr() == x.data_ptr() and x.is_leaf
    y.backward(lamina.ones(2, dtype=lamina.float64))
    assert x.grad.tolist() == [-1, -1]


def returns(value):
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x, flag):
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            return value

    return Wrong


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (lamina.ones(2), RuntimeError, "Wrong.*each of the 2 arguments of forward, it returned 1"),
        ((None, None, lamina.ones(2)), RuntimeError, "it returned 3"),
        (
            (lamina.ones(3), None),
            RuntimeError,
            r"gradient 0 has shape \(3,\), but argument 0 of forward has shape \(2,\)",
        ),
        ((1.0, None), TypeError, "gradient 0 must be a Tensor or None, got float"),
        ((None, lamina.ones(2)), RuntimeError, "gradient 1 must be None"),
    ],
)
def test_wrong_gradients(value, kind, message):
    with pytest.raises(kind, match=message):
        returns(value).apply(leaf(1.0, 2.0), True).backward(lamina.ones(2, dtype=lamina.float64))


def test_gradients_that_are_allowed():
    ones = lamina.ones(2, dtype=lamina.float64)
    x = leaf(1.0, 2.0)
    returns((lamina.ones(2), None, None, None)).apply(x, True).backward(ones)  # converted, surplus None
    assert x.grad.dtype is lamina.float64 and x.grad.tolist() == [1, 1]
    x.grad = None
    returns((None, None)).apply(x, True).backward(ones)
    assert x.grad is None


def test_exceptions_keep_type_and_traceback_and_name_the_function():
    class Broken(Power):
        @staticmethod
        def backward(ctx, dy):
            return {}["missing"]

    with pytest.raises(KeyError) as caught:
        Broken.apply(leaf(1.0), 2).backward(lamina.ones(1, dtype=lamina.float64))
    text = "".join(traceback.format_exception(caught.value))
    assert 'return {}["missing"]' in text
    if hasattr(caught.value, "add_note"):
        assert "in the backward of Broken" in text

    class BrokenForward(Power):
        @staticmethod
        def forward(ctx, x, exponent):
            raise KeyError("forward")

    with pytest.raises(KeyError, match="forward"):
        BrokenForward.apply(leaf(1.0), 2)
    assert lamina.is_grad_enabled()


def test_methods_left_out():
    class Nothing(Function):
        pass

    with pytest.raises(NotImplementedError, match="forward"):
        Nothing.apply(leaf(1.0))

    class OnlyForward(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

    with pytest.raises(NotImplementedError, match="backward"):
        OnlyForward.apply(leaf(1.0)).backward(lamina.ones(1, dtype=lamina.float64))


def test_saved_tensors_are_guarded():
    x = leaf(1.0, 2.0)
    middle = x * 1
    y = Power.apply(middle, 2)
    middle.mul_(3)
    with pytest.raises(RuntimeError, match="saved tensor 0.*changed in place"):
        y.backward(lamina.ones(2, dtype=lamina.float64))
    with pytest.raises(TypeError, match="argument 1 must be a Tensor or None, got float"):
        Power.apply.__func__  # noqa: B018
        lamina.autograd.function.FunctionCtx().save_for_backward(x, 1.0)


def test_inputs_must_not_be_changed():
    class InPlace(Function):
        @staticmethod
        def forward(ctx, x):
            return x.mul_(2)

    with pytest.raises(RuntimeError, match="InPlace: forward changed"):
        InPlace.apply(leaf(1.0) * 1)

    class Dirty(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)

    with pytest.raises(NotImplementedError, match="mark_dirty"):
        Dirty.apply(leaf(1.0))


def test_backward_twice():
    x, one = leaf(2.0), lamina.ones(1, dtype=lamina.float64)
    y = Power.apply(x, 2)
    y.backward(one, retain_graph=True)
    y.backward(one)
    assert x.grad.tolist() == [8]
    with pytest.raises(RuntimeError, match="second time"):
        y.backward(one)


class Exp(Function):
    """Saves its own output, which must not keep itself alive."""

    contexts: list = []

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        Exp.contexts.append(weakref.ref(ctx))
        return y

    @staticmethod
    def backward(ctx, dy):
        return ctx.saved_tensors[0] * dy


def test_nothing_leaks():
    Exp.contexts.clear()
    x = leaf(0.0)
    dropped = Exp.apply(x)
    del dropped
    run = Exp.apply(x)
    run.backward(lamina.ones(1, dtype=lamina.float64))
    gc.collect()
    assert [ctx() for ctx in Exp.contexts] == [None, None]
    assert x.grad.tolist() == [1]


def test_long_chains():
    x = y = leaf(1.0)
    for _ in range(20_000):
        y = returns_same.apply(y)
    y.backward(lamina.ones(1, dtype=lamina.float64))
    assert x.grad.tolist() == [1]


class returns_same(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, dy):
        return dy


def test_threads():
    results = {}

    def work(i):
        x = leaf(float(i))
        for _ in range(50):
            x.grad = None
            Exp.apply(Power.apply(x, 2) * 0.1).backward(lamina.ones(1, dtype=lamina.float64))
        results[i] = (x.grad, lamina.exp(x.detach() ** 2 * 0.1) * 0.2 * x.detach())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for got, want in results.values():
        assert abs(got.item() - want.item()) < 1e-12


# ---- gradcheck ----


def test_gradcheck_finds_what_is_wrong():
    class Wrong(Power):
        @staticmethod
        def backward(ctx, dy):
            return 2 * dy, None

    x = leaf(1.0, 2.0, 3.0)
    with pytest.raises(RuntimeError) as caught:
        gradcheck(lambda x: (x * 1, Wrong.apply(x, 3)), x)
    assert "input 0, output 1: 3 of 9 derivatives differ" in str(caught.value)
    assert "output element (2,) for input element (2,): analytic 2, numeric 27" in str(caught.value)
    assert gradcheck(lambda x: Wrong.apply(x, 3), x, raise_exception=False) is False
    assert gradcheck(lambda x: Wrong.apply(x, 3), x, atol=30.0)


def test_gradcheck_of_several_inputs_and_shapes():
    a = lamina.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=lamina.float64).T.requires_grad_()
    b, constant = leaf(0.5, -0.5), lamina.tensor([2.0, 3.0], dtype=lamina.float64)
    assert gradcheck(lambda a, b, c, k: (a * b + c * k, (a / c).exp()), (a, b, constant, 2.0))
    assert gradcheck(lambda x: x.detach() * 0 + 1, b)  # a constant has no gradient, and none is needed
    with pytest.raises(RuntimeError, match="derivatives differ"):
        gradcheck(lambda x: x.detach() * x, b)


def test_gradcheck_sees_nan():
    with pytest.raises(RuntimeError, match="analytic nan"):
        gradcheck(
            lambda x: returns((x * lamina.tensor(float("nan"), dtype=lamina.float64), None)).apply(x, 0), leaf(1.0)
        )


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (lamina.ones(2, requires_grad=True), "input 0 must be float64"),
        (lamina.ones(2), "must require grad"),
    ],
)
def test_gradcheck_arguments(inputs, message):
    with pytest.raises(ValueError, match=message):
        gradcheck(lambda x: x * 2, inputs)
