"""The engine: accumulation, what a pass frees, hooks, leaves, in-place changes, threads, and chains of any length."""

from __future__ import annotations

import gc
import sys
import threading
import traceback
import weakref

import numpy as np
import pytest

import lamina
from lamina.autograd import Function, grad, gradcheck


def leaf(*values, dtype=lamina.float64):
    return lamina.tensor(values, dtype=dtype, requires_grad=True)


def ones(n=2):
    return lamina.ones(n, dtype=lamina.float64)


class Identity(Function):
    """Passes its gradient on; what it returns instead can be set."""

    backward_of = staticmethod(lambda dy: dy)

    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, dy):
        return Identity.backward_of(dy)


@pytest.fixture
def identity():
    yield Identity
    Identity.backward_of = staticmethod(lambda dy: dy)


# ---- accumulation ----


def test_diamonds():
    x = leaf(2.0, 3.0)
    y = x * x
    z = y * y + y * x + x  # x⁴ + x³ + x
    z.backward(ones())
    np.testing.assert_allclose(x.grad.numpy(), 4 * x.detach().numpy() ** 3 + 3 * x.detach().numpy() ** 2 + 1)


def test_a_ladder_of_diamonds_visits_each_node_once():
    calls = []
    x = y = leaf(1.0)
    for _ in range(60):  # 2⁶⁰ paths
        y.register_hook(calls.append) if y is not x else None
        y = y + y
    y.backward(ones(1))
    assert x.grad.item() == 2.0**60 and len(calls) == 59


def test_one_tensor_used_many_times():
    x = leaf(1.0, 2.0)
    total = x * 0
    for i in range(1000):
        total = total + x * float(i)
    total.backward(ones())
    assert x.grad.tolist() == [999 * 500] * 2


def test_gradients_add_up_over_backwards():
    x = leaf(1.0)
    for expected in (3, 6, 9):
        (x * 3).backward(ones(1))
        assert x.grad.item() == expected
    before = x.grad
    (x * 3).backward(ones(1))
    assert x.grad is before and before.item() == 12  # the same tensor, for an optimiser may hold it


def test_several_roots_that_share_a_graph():
    x = leaf(1.0, 2.0)
    y = x * x
    z = y.exp()
    lamina.autograd.backward([z, y, y], [ones(), ones(), ones() * 2])
    np.testing.assert_allclose(x.grad.numpy(), (np.exp(x.detach().numpy() ** 2) + 3) * 2 * x.detach().numpy())


def test_an_output_that_nobody_uses():
    x = leaf(3.0, 1.0, 2.0)
    first, second, _ = (x * x).unbind()
    (second * 2).backward()
    assert x.grad.tolist() == [0, 4, 0] and first.requires_grad


def test_inputs_that_need_no_gradient():
    x, constant = leaf(1.0, 2.0), ones() * 5
    (x * constant).sum().backward()
    assert x.grad.tolist() == [5, 5] and constant.grad is None
    y = (constant * 2).detach() + constant
    assert not y.requires_grad and y.grad_fn is None
    with pytest.raises(RuntimeError, match="backward: tensor 0 does not require grad and has no grad_fn"):
        y.sum().backward()
    with pytest.raises(RuntimeError, match="grad: output 1 does not require grad and has no grad_fn"):
        lamina.autograd.grad([x.sum(), y.sum()], [x])


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_single_numbers_need_no_gradient_given(shape):
    x = lamina.full(shape, 2.0, requires_grad=True)
    (x * x).backward()
    assert x.grad.shape == shape and x.grad.item() == 4


def test_other_roots_do():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"made up only for a single number, but the tensor has shape \(2,\)"):
        (x * 2).backward()
    for wrong, kind in [(ones(3), ValueError), (lamina.ones(2), TypeError), ("x", TypeError), (1.0, TypeError)]:
        with pytest.raises(kind):
            (x * 2).backward(wrong)
    assert x.grad is None
    (x * 2).backward(lamina.ones(1, dtype=lamina.float64).expand(2))
    assert x.grad.tolist() == [2, 2]


def test_empty_tensors():
    x = lamina.zeros(0, 3, requires_grad=True)
    (x * 2).sum().backward()
    assert x.grad.shape == (0, 3)


# ---- retain_graph, freed graphs, memory ----


def test_a_graph_goes_backward_once_unless_retained():
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12
    with pytest.raises(RuntimeError, match="backward of mul: .*second time.*retain_graph=True"):
        y.backward()
    assert x.grad.item() == 12


def test_grad_leaves_what_it_did_not_pass_through():
    x = leaf(3.0)
    y = x * x
    z = y * 2
    assert grad(z, y)[0].item() == 2
    assert grad(y, x)[0].item() == 6  # y's own graph was not run, so it is still there
    with pytest.raises(RuntimeError, match="second time"):
        grad(z, x)


def test_memory_is_freed_while_backward_runs():
    n, depth = 1 << 16, 40
    x = lamina.ones(n, requires_grad=True)
    y = x
    for _ in range(depth):
        y = y.tanh()
    saved = depth * n * 4
    lamina.reset_peak_memory()
    before = lamina.memory_stats()["allocated"]
    seen = []
    x.register_hook(lambda g: seen.append(lamina.memory_stats()["allocated"]))
    y.backward(lamina.ones(n))
    stats = lamina.memory_stats()
    assert seen[0] < before - saved + 6 * n * 4  # all but y itself is gone when the last gradient arrives
    assert stats["peak"] < before + 6 * n * 4  # gradients take the place of what they free


def test_memory_stays_when_retained():
    n = 1 << 16
    x = lamina.ones(n, requires_grad=True)
    y = x.tanh().tanh().tanh()
    before = lamina.memory_stats()["allocated"]
    y.backward(lamina.ones(n), retain_graph=True)
    assert lamina.memory_stats()["allocated"] >= before
    del y
    assert lamina.memory_stats()["allocated"] < before


def test_tensors_die_with_their_last_name():
    gc.collect()
    base = lamina.memory_stats()["allocated"]
    x = leaf(*range(1000))
    y = (x * x).exp()
    y[3:5].sum()
    y.retain_grad()
    y.register_hook(lambda g: None)
    x.grad = lamina.zeros_like(x)
    del x, y
    gc.collect()
    assert lamina.memory_stats()["allocated"] == base


def test_a_hook_handle_does_not_keep_the_graph():
    gc.collect()
    base = lamina.memory_stats()["allocated"]
    y = lamina.ones(1000, requires_grad=True).exp()
    handle = y.register_hook(lambda g: None)
    del y
    assert lamina.memory_stats()["allocated"] == base
    handle.remove()


# ---- gradients are their owner's alone ----


def test_leaves_do_not_share_gradient_memory():
    a, b, seed = leaf(1.0, 1.0), leaf(1.0, 1.0), ones()
    (a + b).backward(seed)
    a.grad.mul_(5)
    assert b.grad.tolist() == seed.tolist() == [1, 1]


def test_inputs_do_not_share_gradient_memory():
    a, b, seed = leaf(1.0, 1.0), leaf(1.0, 1.0), ones()
    (a + b).backward(seed, inputs=[a, b])
    a.grad.mul_(5)
    assert b.grad.tolist() == seed.tolist() == [1, 1]
    da, db = grad(a + b, [a, b], seed)
    da.mul_(5)
    assert db.tolist() == seed.tolist() == [1, 1]
    da, again = grad(a * 1, [a, a], seed)
    da.mul_(5)
    assert again.tolist() == [1, 1]


def test_retained_gradients_do_not_share_memory():
    a = leaf(1.0, 1.0)
    y = a * 1
    z = y + 0
    y.retain_grad(), z.retain_grad()
    z.backward(ones())
    z.grad.mul_(9)
    assert y.grad.tolist() == a.grad.tolist() == [1, 1]


@pytest.mark.parametrize(
    "keep", [lambda t: t, lambda t: t.detach(), lambda t: t.numpy(), lambda t: t.reshape(2, 1), memoryview]
)
def test_a_gradient_that_someone_saw_is_copied(keep, identity):
    kept = []

    def backward(dy):
        dx = dy * 3
        kept.append(keep(dx))
        return dx

    identity.backward_of = staticmethod(backward)
    x = leaf(1.0, 1.0)
    identity.apply(x).backward(ones())
    x.grad.mul_(2)
    assert np.asarray(kept[0]).ravel().tolist() == [3, 3] and x.grad.tolist() == [6, 6]


def test_a_gradient_in_foreign_memory_is_copied(identity):
    memory = np.full(2, 3.0)
    identity.backward_of = staticmethod(lambda dy: lamina.from_numpy(memory))
    x = leaf(1.0, 1.0)
    identity.apply(x).backward(ones())
    x.grad.mul_(2)
    assert memory.tolist() == [3, 3]
    frozen = np.full(2, 3.0)
    frozen.setflags(write=False)
    identity.backward_of = staticmethod(lambda dy: lamina.from_numpy(frozen))
    x.grad = None
    for expected in (3, 6):
        identity.apply(x).backward(ones())
        assert x.grad.tolist() == [expected] * 2
    assert frozen.tolist() == [3, 3]


def test_gradients_that_cannot_be_added_to_in_place():
    x = leaf(1.0, 1.0, 1.0)
    frozen = np.ones(3)
    frozen.setflags(write=False)
    for given in (ones(1).expand(3), lamina.from_numpy(frozen)):
        x.grad = given
        (x * lamina.tensor([1.0, 2.0, 3.0], dtype=lamina.float64)).backward(ones(3))
        assert x.grad.tolist() == [2, 3, 4] and given.tolist() == [1, 1, 1]
    assert frozen.tolist() == [1, 1, 1]


def test_what_a_gradient_may_be_set_to():
    x = leaf(1.0, 2.0)
    for wrong, kind in [(ones(3), ValueError), (lamina.ones(2), TypeError), (x, ValueError), (1.0, TypeError)]:
        with pytest.raises(kind, match="grad: "):
            x.grad = wrong
    given = ones()
    x.grad = given
    assert x.grad is given
    (x * 2).backward(ones())
    assert x.grad is given and given.tolist() == [3, 3]
    del x.grad
    assert x.grad is None


# ---- grad() and backward(inputs=…) ----


def test_backward_to_chosen_tensors():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    product = a * b
    out = (product * 2).sum()
    out.backward(inputs=[a, product, a], retain_graph=True)
    assert a.grad.tolist() == [6, 8] and b.grad is None and product.grad.tolist() == [2, 2]
    before = a.grad
    out.backward(inputs=a)
    assert a.grad is before and before.tolist() == [12, 16]
    with pytest.raises(RuntimeError, match="backward: input 1 does not require grad"):
        (a * 2).sum().backward(inputs=[a, ones()])


def test_only_what_leads_to_the_inputs_runs(identity):
    ran = []
    identity.backward_of = staticmethod(lambda dy: ran.append(1) or dy)
    a, b = leaf(1.0), leaf(2.0)
    aside = identity.apply(b)
    (da,) = grad(a * aside, a)
    assert da.item() == 2 and not ran and b.grad is None
    grad(a * aside, [a, b])
    assert ran == [1]


def test_grad_through_chosen_middles():
    x = leaf(2.0)
    y = x * x
    z = y * y
    dz, dy, dx = grad(z, [z, y, x])
    assert (dz.item(), dy.item(), dx.item()) == (1, 8, 32) and x.grad is y.grad is None
    assert grad(x, x)[0].item() == 1


def test_unused_inputs():
    x, unused = leaf(1.0), leaf(1.0)
    with pytest.raises(RuntimeError, match="grad: input 1 was not used"):
        grad(x * 2, [x, unused])
    assert grad(x * 2, [x, unused], allow_unused=True)[1] is None
    assert grad(x * 2, [unused], materialize_grads=True)[0].tolist() == [0]


def test_gradients_of_gradients_are_refused_clearly():
    x = leaf(2.0)
    for call in (lambda: grad(x * x, x, create_graph=True), lambda: (x * x).backward(create_graph=True)):
        with pytest.raises(NotImplementedError, match="create_graph=True is not supported"):
            call()
    (dx,) = grad(x * x, x)
    assert not dx.requires_grad
    with pytest.raises(RuntimeError, match="does not require grad"):
        dx.backward()


# ---- hooks ----


def test_hooks_run_in_order_and_may_replace():
    log = []
    x = leaf(1.0, 1.0)
    y = x * 2
    y.register_hook(lambda g: log.append(("first", g.tolist())))
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: log.append(("third", g.tolist())))
    y.retain_grad()
    y.register_hook(lambda g: g + 1)
    x.register_hook(lambda g: log.append(("leaf", g.tolist())))
    y.backward(ones())
    assert log == [("first", [1, 1]), ("third", [10, 10]), ("leaf", [22, 22])]
    assert y.grad.tolist() == [11, 11] and x.grad.tolist() == [22, 22]  # .grad is what all hooks have left


def test_hooks_see_the_whole_gradient_once():
    seen = []
    x = leaf(1.0)
    y = x * 1
    y.register_hook(lambda g: seen.append(g.item()))
    (y * 2 + y * 3 + y).backward()
    assert seen == [6]


def test_hooks_that_remove_themselves_and_others():
    log = []
    x = leaf(1.0)
    y = x * 1
    handles = {}

    def once(name, *remove):
        def hook(g):
            log.append(name)
            for other in remove:
                handles[other].remove()

        handles[name] = y.register_hook(hook)

    once("a", "a")
    once("b", "a", "c")
    once("c")
    once("d", "d", "d")
    y.backward(retain_graph=True)
    assert log == ["a", "b", "c", "d"]  # a pass runs the hooks that it found
    log.clear()
    y.backward(retain_graph=True)
    assert log == ["b"]
    handles["b"].remove()
    handles["b"].remove()
    y.backward()
    assert log == ["b"]


def test_hooks_that_add_hooks():
    log = []
    y = leaf(1.0) * 1

    def adding(g):
        log.append("adding")
        for _ in range(100):
            y.register_hook(lambda g: log.append("added"))

    handle = y.register_hook(adding)
    y.backward(retain_graph=True)
    assert log == ["adding"]
    handle.remove()
    y.backward()
    assert log.count("added") == 100


def test_what_hooks_may_return():
    x = leaf(1.0, 2.0)
    for value, kind, message in [
        (ones(3), ValueError, r"backward of mul: a hook returned a gradient of shape \(3,\) for one of shape \(2,\)"),
        (lamina.ones(2), TypeError, "a hook returned a gradient of type float32 for one of type float64"),
        (1.0, TypeError, "a hook must return a Tensor or None, got float"),
    ]:
        y = x * 2
        y.register_hook(lambda g, value=value: value)
        with pytest.raises(kind, match=message):
            y.backward(ones())
    y = x * 2
    w = leaf(1.0, 1.0)
    with lamina.enable_grad():
        y.register_hook(lambda g: w * 3)
    y.backward(ones())
    assert x.grad.tolist() == [6, 6] and not x.grad.requires_grad
    with pytest.raises(TypeError, match="register_hook: expected a callable, got int"):
        y.register_hook(3)
    with pytest.raises(RuntimeError, match="does not require grad"):
        ones().register_hook(print)


def test_exceptions_in_hooks_keep_their_type_and_say_where():
    x = leaf(1.0)
    y = x.exp()
    y.register_hook(lambda g: {}["missing"])
    with pytest.raises(KeyError, match="missing") as caught:
        (y * 2).backward()
    if sys.version_info >= (3, 11):
        assert "in a hook on the gradient of exp" in "".join(traceback.format_exception(caught.value))
    assert lamina.is_grad_enabled() and x.grad is None
    (x * 2).backward()
    assert x.grad.item() == 2


def test_backward_within_a_hook():
    x, inner = leaf(2.0), leaf(3.0)
    y = x * x

    def hook(g):
        with lamina.enable_grad():
            (inner * inner).backward()

    y.register_hook(hook)
    (y * 1).backward()
    assert x.grad.item() == 4 and inner.grad.item() == 6


# ---- retain_grad ----


def test_retain_grad():
    x = leaf(1.0, 2.0)
    y = x * 3
    y.retain_grad()
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [6, 12]
    x.retain_grad()  # nothing to do for a leaf
    with pytest.raises(RuntimeError, match="retain_grad: the tensor does not require grad"):
        ones().retain_grad()


def test_retain_grad_does_not_keep_the_tensor():
    y = leaf(1.0) * 2
    y.retain_grad()
    z = y * 3
    gone = weakref.ref(y)
    del y
    assert gone() is None
    z.backward()


@pytest.mark.parametrize("change", [lambda y: y.mul_(5), lambda y: y[:1].mul_(5)], ids=["itself", "a view"])
def test_retain_grad_follows_changes_in_place(change):
    x = leaf(1.0, 2.0)
    y = x * 3
    y.retain_grad()
    change(y)
    (y * lamina.tensor([1.0, 2.0], dtype=lamina.float64)).sum().backward()
    assert y.grad.tolist() == [1, 2]  # of y as it is now


def test_retain_grad_of_a_view():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    v = y[1:]
    v.retain_grad()
    (v * 2).sum().backward()
    assert v.grad.tolist() == [2, 2] and x.grad.tolist() == [0, 2, 2]


# ---- leaves, detaching, changes in place ----


def test_leaves_cannot_be_changed_in_place():
    x = leaf(1.0, 2.0)
    changes = {
        "add": lambda: x.add_(1),
        "fill_": lambda: x.fill_(0),
        "copy_": lambda: x.copy_(ones()),
        "copy_ of itself": lambda: x.copy_(x),
        "view": lambda: x[0].mul_(2),
        "assignment": lambda: x.__setitem__(0, 5.0),
        "masked": lambda: x.masked_fill_(x > 0, 1.0),
        "scatter": lambda: x.scatter_(0, lamina.tensor([0]), 1.0),
    }
    for change in changes.values():
        with pytest.raises(RuntimeError, match="a leaf that requires grad cannot be changed in place"):
            change()
    assert x.tolist() == [1, 2]
    with lamina.no_grad():
        for change in changes.values():
            change()
    assert x.is_leaf and x.requires_grad


def test_views_made_without_recording_cannot_be_changed_with_it():
    for source in (leaf(1.0, 2.0), leaf(1.0, 2.0) * 1):
        with lamina.no_grad():
            view = source[:1]
            view.add_(1)
        other = view.reshape(1, 1)
        for v in (view, other):
            with pytest.raises(RuntimeError, match="a view made under no_grad was changed in place"):
                v.mul_(leaf(2.0))


@pytest.mark.parametrize("operation", [lambda y, w: y * w, lambda y, w: y**3, lambda y, w: w / y, lambda y, w: y.sin()])
def test_a_saved_input_changed_in_place_is_noticed(operation):
    y = leaf(1.0, 2.0) * 1
    out = operation(y, leaf(3.0, 4.0))
    y.add_(1)
    with pytest.raises(
        RuntimeError, match=r"backward of \w+: a tensor .*changed in place after it was used .*clone it"
    ):
        out.backward(ones())


@pytest.mark.parametrize(
    "operation", [lambda y: y.exp(), lambda y: y.tanh(), lambda y: y.sigmoid(), lambda y: y.sqrt()]
)
def test_a_saved_output_changed_in_place_is_noticed(operation):
    out = operation(leaf(1.0, 2.0) * 1)
    out[0] = 7.0
    with pytest.raises(RuntimeError, match=r"backward of \w+: a tensor .*changed in place"):
        (out * 1).backward(ones())


def test_a_number_changed_after_it_was_saved_by_a_view():
    x = leaf(1.0, 2.0)
    y = x * 1
    z = y * y
    y[0] = 7.0
    with pytest.raises(RuntimeError, match="changed in place after it was used"):
        z.sum().backward()


def test_what_was_not_saved_may_change():
    x = leaf(1.0, 2.0)
    y = x * 2
    z = y + 1
    y.zero_()
    z.backward(ones())
    assert x.grad.tolist() == [2, 2]


def test_detach():
    x = leaf(1.0, 2.0)
    y = x * x
    d = y.detach()
    assert d.is_leaf and not d.requires_grad and d.data_ptr() == y.data_ptr() and d._version == y._version
    (y * d).sum().backward()
    assert x.grad.tolist() == [2, 16]
    d.requires_grad_()
    assert not (y.detach()).requires_grad


def test_copying_a_detached_self_cuts_the_gradient():
    x = leaf(1.0, 2.0)
    y = x * 3
    y.copy_(y.detach())
    y.sum().backward()
    assert x.grad is None  # nothing comes through


def test_requires_grad():
    x = ones()
    assert x.requires_grad_() is x and x.requires_grad
    y = x * 2
    with pytest.raises(RuntimeError, match="cannot be switched off"):
        y.requires_grad = False
    x.requires_grad = False
    assert y.requires_grad and not (x * 2).requires_grad
    with pytest.raises(TypeError, match="only floating-point tensors can require gradients, not int64"):
        lamina.arange(3).requires_grad_()
    with pytest.raises(TypeError, match="requires_grad: expected True or False"):
        x.requires_grad = 1


# ---- errors ----


def test_errors_name_the_operation(identity):
    def broken(dy):
        raise KeyError("inside")

    identity.backward_of = staticmethod(broken)
    x = leaf(1.0)
    with pytest.raises(KeyError, match="inside") as caught:
        (identity.apply(x * 2) * 3).backward()
    if sys.version_info >= (3, 11):
        assert "in the backward of Identity" in "".join(traceback.format_exception(caught.value))
    identity.backward_of = staticmethod(lambda dy: dy @ dy @ dy)
    with pytest.raises(ValueError):
        identity.apply(x).backward()
    identity.backward_of = staticmethod(lambda dy: lamina.empty(1 << 50))
    with pytest.raises(MemoryError):
        identity.apply(x).backward()
    identity.backward_of = staticmethod(lambda dy: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        identity.apply(x).backward()
    assert x.grad is None and lamina.is_grad_enabled()


# ---- grad modes ----


def test_modes_nest_and_come_back():
    x = leaf(1.0)
    state = []
    with lamina.no_grad():
        state.append((x * 2).requires_grad)
        with lamina.enable_grad():
            state.append((x * 2).requires_grad)
            with lamina.inference_mode():
                state.append((x * 2).requires_grad)
            state.append((x * 2).requires_grad)
        state.append((x * 2).requires_grad)
    assert state == [False, True, False, True, False] and (x * 2).requires_grad


def test_modes_as_decorators():
    x = leaf(1.0)

    @lamina.no_grad()
    def off(depth):
        """Documented."""
        return on(depth) if depth else (x * 2).requires_grad

    @lamina.enable_grad()
    def on(depth):
        return off(depth - 1) if depth > 1 else (x * 2).requires_grad

    assert off(0) is False and on(0) is True and off(1) is True and on(2) is True and off.__doc__ == "Documented."

    @lamina.no_grad()
    def failing():
        raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert lamina.is_grad_enabled()


def test_each_thread_has_its_own_mode():
    x, seen = leaf(1.0), []
    with lamina.no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_backward_does_not_record_and_restores_the_mode(identity):
    seen = []
    identity.backward_of = staticmethod(lambda dy: seen.append(lamina.is_grad_enabled()) or dy)
    x = leaf(1.0)
    y = identity.apply(x)
    with lamina.no_grad():
        y.backward()
        assert not lamina.is_grad_enabled()
    assert seen == [False] and lamina.is_grad_enabled()


# ---- everything together ----


def test_gradcheck_of_a_mixture():
    def f(x, w, b):
        h = (x @ w + b).tanh()
        h = h.clone()
        h[:, 0] *= h[:, 1]
        h[1:] += x[:1] @ w
        a, c = h.split([1, 2], dim=1)
        return (a.exp() * c).sum(dim=0), h.T.unfold(1, 2, 1).mean(-1)

    rng = np.random.default_rng(0)
    x, w, b = (lamina.tensor(rng.uniform(-1, 1, s), requires_grad=True) for s in ((4, 2), (2, 3), (3,)))
    assert gradcheck(f, (x, w, b))
