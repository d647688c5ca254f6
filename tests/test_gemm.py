"""Matrix products: every rank rule, layout, type and epilogue, against float64 NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from checks import FLOATS, assert_close, check_op, strided, to_numpy
from lamina import _C

F = _C


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


# Around the edges of register tiles and cache blocks, and the degenerate ones.
SIZES = [
    (1, 1, 1), (1, 7, 5), (5, 1, 7), (7, 5, 1), (2, 3, 4), (13, 31, 17), (14, 32, 16), (15, 33, 65), (64, 64, 64),
    (100, 3, 50), (3, 100, 50), (65, 129, 300), (200, 10, 400), (33, 500, 7), (290, 70, 390),
]  # fmt: skip


@pytest.mark.parametrize("m,n,k", SIZES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_sizes_and_transpositions(m, n, k, dtype):
    type_ = getattr(lamina, dtype)
    for transpose_a in (False, True):
        for transpose_b in (False, True):
            a = lamina.tensor(normal(*((k, m) if transpose_a else (m, k)))).to(type_)
            b = lamina.tensor(normal(*((n, k) if transpose_b else (k, n)), seed=1)).to(type_)
            a, b = a.T if transpose_a else a, b.T if transpose_b else b
            want = to_numpy(a).astype(np.float64) @ to_numpy(b).astype(np.float64)
            assert_close(a @ b, want, dtype, k, f"transposed {transpose_a} {transpose_b}")


@pytest.mark.parametrize("m,n,k", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
def test_empty_matrices(m, n, k):
    got = lamina.ones(m, k) @ lamina.ones(k, n)
    assert got.shape == (m, n) and (got == 0).numpy().all()
    bias = lamina.ones(n)
    np.testing.assert_array_equal(F.linear(lamina.ones(m, k), lamina.ones(n, k), bias).numpy(), np.ones((m, n)))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((4,), (4,)), ((4,), (4, 3)), ((3, 4), (4,)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (4,)), ((4,), (2, 4, 5)),
        ((2, 3, 4), (2, 4, 5)), ((1, 3, 4), (2, 4, 5)), ((3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 2)),
        ((3, 2, 3, 4), (3, 2, 4, 2)), ((2, 1, 1, 3, 4), (1, 3, 2, 4, 2)),
    ],
)  # fmt: skip
def test_ranks_and_batches(a, b):
    check_op(lamina.matmul, np.matmul, normal(*a), normal(*b, seed=1), length=4)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_shape_and_layout(data):
    size = st.integers(1, 40)
    m, n, k = data.draw(size), data.draw(size), data.draw(size)
    batch = data.draw(st.lists(st.integers(1, 3), max_size=2))
    operands = []
    for seed, core in ((0, (m, k)), (1, (k, n))):
        own = [1 if data.draw(st.booleans()) else d for d in batch]
        array = normal(*own, *core, seed=seed).astype(np.float32)
        layout = data.draw(st.sampled_from(["plain", "holes", "transposed", "slice"]))
        if layout == "holes":
            array = strided(array)
        elif layout == "transposed":
            array = np.ascontiguousarray(np.swapaxes(array, -1, -2)).swapaxes(-1, -2)
        elif layout == "slice":
            wide = np.full((*array.shape[:-1], array.shape[-1] + 3), np.nan, np.float32)
            wide[..., 1:-2] = array
            array = wide[..., 1:-2]
        operands.append(array)
    a, b = operands
    got = lamina.from_numpy(a) @ lamina.from_numpy(b)
    assert_close(got, a.astype(np.float64) @ b.astype(np.float64), "float32", k)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_integers_are_exact(dtype):
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, (17, 33)).astype(dtype), rng.integers(0, 9, (33, 21)).astype(dtype)
    got = lamina.tensor(a) @ lamina.tensor(b)
    assert got.dtype == getattr(lamina, dtype)
    np.testing.assert_array_equal(got.numpy(), a @ b)


def test_nan_and_infinity_spread_even_against_zero():
    a, b = normal(40, 50).astype(np.float32), np.zeros((50, 60), np.float32)
    a[3, 7], a[5, 9] = np.nan, np.inf
    got = (lamina.tensor(a) @ lamina.tensor(b)).numpy()
    assert np.isnan(got[3]).all() and np.isnan(got[5]).all()
    assert (np.delete(got, [3, 5], axis=0) == 0).all()


@pytest.mark.parametrize(
    "shape", [(3, 4, 5), (65, 129, 70), (300, 200, 400), (2048, 8, 256), (1, 512, 700), (700, 1, 900)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_with_any_number_of_threads(shape, dtype):
    m, n, k = shape
    a, b = lamina.tensor(normal(m, k).astype(dtype)), lamina.tensor(normal(k, n, seed=1).astype(dtype))
    before = lamina.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3, 8):
            lamina.set_num_threads(threads)
            results.append((a @ b).numpy())
    finally:
        lamina.set_num_threads(before)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_mm_bmm_mv_dot_outer():
    check_op(lamina.mm, np.matmul, normal(3, 4), normal(4, 2, seed=1), length=4)
    check_op(lamina.bmm, np.matmul, normal(2, 3, 4), normal(2, 4, 2, seed=1), length=4)
    check_op(lamina.mv, np.matmul, normal(3, 4), normal(4, seed=1), length=4)
    check_op(lamina.dot, np.dot, normal(9), normal(9, seed=1), length=9)
    check_op(lamina.outer, np.outer, normal(3), normal(4, seed=1))


@pytest.mark.parametrize("shape", [(), (5,), (3, 1), (1, 5), (3, 5)])
@pytest.mark.parametrize(("beta", "alpha"), [(1, 1), (0.5, -2.0), (0, 3)])
def test_addmm(shape, beta, alpha):
    check_op(
        lambda c, a, b: lamina.addmm(c, a, b, beta=beta, alpha=alpha),
        lambda c, a, b: beta * c + alpha * (a @ b),
        normal(*shape), normal(3, 4, seed=1), normal(4, 5, seed=2), length=5,
    )  # fmt: skip


def test_addmm_does_not_read_its_input_with_beta_zero():
    nan = lamina.full((2, 2), float("nan"))
    assert (lamina.addmm(nan, lamina.ones(2, 3), lamina.ones(3, 2), beta=0) == 3).numpy().all()


def test_baddbmm():
    check_op(
        lambda c, a, b: lamina.baddbmm(c, a, b, beta=0.5, alpha=2),
        lambda c, a, b: 0.5 * c + 2 * (a @ b),
        normal(2, 1, 5), normal(2, 3, 4, seed=1), normal(2, 4, 5, seed=2), length=5,
    )  # fmt: skip


@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (0,)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_linear(leading, with_bias):
    x, w, b = normal(*leading, 7), normal(5, 7, seed=1), normal(5, seed=2)
    if with_bias:
        check_op(lambda x, w, b: F.linear(x, w, b), lambda x, w, b: x @ w.T + b, x, w, b, length=8)
    else:
        check_op(lambda x, w: F.linear(x, w), lambda x, w: x @ w.T, x, w, length=8)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "gelu", "silu", "square"])
@pytest.mark.parametrize("shape", [(3, 5, 7), (65, 33, 130), (256, 10, 300)])
def test_fused_activation_equals_the_composition(activation, shape):
    m, n, k = shape
    arrays = [normal(m, k), normal(n, k, seed=1) / k**0.5, normal(n, seed=2)]
    weight = lamina.tensor(normal(m, n, seed=3))
    gradients = []
    for fused in (True, False):
        leaves = [lamina.tensor(a, requires_grad=True) for a in arrays]
        if fused:
            y = _C.linear(*leaves, activation=activation)
        else:
            y = getattr(_C, activation)(F.linear(*leaves))
        y.backward(weight)
        gradients.append([y.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)])
    for got, want in zip(*gradients, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rows", [0, 1, 2, 31, 33, 65, 4096, 4097])
@pytest.mark.parametrize("cols", [1, 5, 8, 33, 130, 257, 700])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_a_bias_is_the_sum_over_all_rows(rows, cols, dtype):
    if cols > 100:
        rows = min(rows, 300)
    z, dy = normal(rows, cols), normal(rows, cols, seed=1)
    x, identity = lamina.tensor(z.astype(dtype)), lamina.tensor(np.eye(cols, dtype=dtype))
    for activation, derivative in [(None, np.ones_like(z)), ("relu", z > 0), ("tanh", 1 - np.tanh(z) ** 2)]:
        bias = lamina.tensor(np.zeros(cols, dtype), requires_grad=True)
        _C.linear(x, identity, bias, activation=activation).backward(lamina.tensor(dy.astype(dtype)))
        off = np.abs(bias.grad.numpy() - (dy * derivative).sum(axis=0))
        assert (off <= (1e-6 if dtype == "float32" else 2e-15) * np.abs(dy).sum(axis=0)).all()


@pytest.mark.parametrize("shape", [(64, 256, 30), (33, 1000, 5), (2000, 300, 8), (17, 131, 301)])
def test_gradients_of_a_layer_have_the_same_bits_with_any_number_of_threads(shape):
    m, n, k = shape
    before = lamina.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3, 8):
            lamina.set_num_threads(threads)
            leaves = [
                lamina.tensor(normal(*s, seed=i).astype("float32"), requires_grad=True)
                for i, s in enumerate([(m, k), (n, k), (n,)])
            ]
            y = _C.linear(*leaves, activation="relu")
            y.backward(lamina.tensor(normal(m, n, seed=4).astype("float32")))
            results.append([y.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)])
    finally:
        lamina.set_num_threads(before)
    for other in results[1:]:
        for got, want in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(got, want)


def test_the_gradient_that_a_layer_was_given_is_not_overwritten():
    x, w = lamina.tensor(normal(4, 3)), lamina.tensor(normal(5, 3, seed=1), requires_grad=True)
    given = lamina.tensor(normal(4, 5, seed=2))
    _C.linear(x, w, activation="relu").backward(given)
    np.testing.assert_array_equal(given.numpy(), normal(4, 5, seed=2))

    seen = []
    y = _C.linear(x, w, activation="relu")
    y.register_hook(lambda g: seen.append(g))
    (y * 2).sum().backward()
    np.testing.assert_array_equal(seen[0].numpy(), np.full((4, 5), 2.0))


@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
@pytest.mark.parametrize("bias", [None, "row", "every second"])
@pytest.mark.parametrize(("m", "n", "k"), [(1, 9, 4), (7, 16, 3), (33, 40, 900), (64, 17, 64), (300, 64, 20)])
def test_epilogues(m, n, k, bias, activation):
    x, w, b = normal(m, k), normal(n, k, seed=1), normal(2 * n, seed=2)
    added = {None: None, "row": b[:n], "every second": b[::2]}[bias]
    given = {None: None, "row": lamina.tensor(b[:n]), "every second": lamina.tensor(b)[::2]}[bias]
    want = x @ w.T + (0 if added is None else added)
    want = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, None: lambda z: z}[activation](want)
    got = _C.linear(lamina.tensor(x), lamina.tensor(w), given, activation=activation)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-11, atol=1e-11)


def test_relu_in_the_kernel_lets_nan_through():
    x = lamina.tensor(np.array([[1.0, np.nan], [np.inf, 1.0]], np.float32))
    for cols in (1, 8, 16, 17):
        y = _C.linear(x, lamina.ones(cols, 2), lamina.zeros(cols), activation="relu").numpy()
        assert np.isnan(y[0]).all() and (y[1] == np.inf).all()


def test_a_weight_changed_in_place_is_seen():
    """Packed weights are cached; the cache must notice every change."""
    x, w = lamina.tensor(normal(33, 300).astype(np.float32)), lamina.tensor(normal(200, 300, seed=1).astype(np.float32))
    for _ in range(4):
        first = F.linear(x, w).numpy()
    np.testing.assert_array_equal(F.linear(x, w).numpy(), first)
    w *= 2.0
    for _ in range(4):
        np.testing.assert_array_equal(F.linear(x, w).numpy(), 2 * first)
    w.numpy()[...] = 0.0  # behind the version counter's back, as NumPy writes
    w.fill_(0.0)
    assert (F.linear(x, w) == 0).numpy().all()


EQUATIONS = [
    ("ij,jk->ik", [(3, 4), (4, 5)]),
    ("ij,jk", [(3, 4), (4, 5)]),
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
    ("...ij,...jk->...ik", [(2, 3, 4), (4, 5)]),
    ("...ij,...jk", [(2, 1, 3, 4), (5, 4, 2)]),
    ("i,i->", [(5,), (5,)]),
    ("i,j->ij", [(3,), (4,)]),
    ("ij->ji", [(3, 4)]),
    ("ba", [(3, 4)]),
    ("ij->", [(3, 4)]),
    ("ij->j", [(3, 4)]),
    ("ii->i", [(4, 4)]),
    ("ii", [(4, 4)]),
    ("iji->j", [(3, 4, 3)]),
    ("i...->...i", [(2, 3, 4)]),
    ("bhid,bhjd->bhij", [(2, 3, 4, 5), (2, 3, 6, 5)]),
    ("ijk,ilm,njm,nlk,abc->", [(2, 3, 4), (2, 5, 6), (7, 3, 6), (7, 5, 4), (1, 2, 1)]),
    ("ab,bc,cd->ad", [(2, 3), (3, 4), (4, 5)]),
    ("ij,ij->ij", [(3, 4), (3, 4)]),
    ("ij,kj->", [(3, 4), (2, 4)]),
    (" i j , j -> i ", [(3, 4), (4,)]),
]


@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS)
def test_einsum(equation, shapes):
    arrays = [normal(*s, seed=i) for i, s in enumerate(shapes)]
    check_op(
        lambda *t: lamina.einsum(equation, *t),
        lambda *a: np.einsum(equation, *a),
        *arrays,
        dtypes=("float32", "float64"),
        length=200,
    )


def test_einsum_stretches_ones_and_takes_lists():
    a, b = normal(3, 1), normal(4, 5, seed=1)
    got = lamina.einsum("ij,jk->ik", [lamina.tensor(a), lamina.tensor(b)])
    np.testing.assert_allclose(got.numpy(), np.broadcast_to(a, (3, 4)) @ b)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lamina.ones(3, 4) @ lamina.ones(5, 6), ValueError,
         r"matmul: inner dimensions differ: a \(3, 4\) @ b \(5, 6\): 4 vs 5"),
        (lambda: lamina.ones(2, 3, 4) @ lamina.ones(3, 4, 5), ValueError, "do not broadcast"),
        (lambda: lamina.ones(2) @ lamina.ones(3), ValueError, "inner dimensions differ"),
        (lambda: lamina.ones(()) @ lamina.ones(3), ValueError, "at least 1 dimension"),
        (lambda: lamina.ones(2, 2) @ lamina.ones(2, 2).double(), TypeError, "different types, float32 and float64"),
        (lambda: lamina.ones(2, 2).bool() @ lamina.ones(2, 2).bool(), TypeError, "not defined for bool"),
        (lambda: lamina.mm(lamina.ones(2), lamina.ones(2, 2)), ValueError, "mm: a must have 2 dimensions"),
        (lambda: lamina.bmm(lamina.ones(2, 2, 2), lamina.ones(3, 2, 2)), ValueError, "bmm: batch sizes differ"),
        (lambda: lamina.addmm(lamina.ones(7), lamina.ones(2, 3), lamina.ones(3, 4)), ValueError, "addmm: .*do not broadcast"),
        (lambda: F.linear(lamina.ones(2, 3), lamina.ones(4, 5)), ValueError, "linear: weight expects 5 input features but input has 3"),
        (lambda: F.linear(lamina.ones(2, 3), lamina.ones(4, 3), lamina.ones(3)), ValueError, r"bias must have shape \(4,\), got \(3,\)"),
        (lambda: _C.linear(lamina.ones(2, 3), lamina.ones(4, 3), activation="nope"), ValueError, "unknown activation 'nope'"),
        (lambda: _C.linear(lamina.ones(2, 3), lamina.ones(4, 3), activation="isnan"), ValueError, "isnan cannot be an activation"),
        (lambda: _C.linear(lamina.ones(2, 3), lamina.ones(4, 3), activation="elu"), ValueError, "elu cannot be an activation"),
        (lambda: lamina.einsum("ij,jk->ik", lamina.ones(2, 2)), ValueError, "names 2 operands, 1 given"),
        (lambda: lamina.einsum("ij->k", lamina.ones(2, 2)), ValueError, "output index 'k'"),
        (lambda: lamina.einsum("i->ii", lamina.ones(2)), ValueError, "appears twice"),
        (lambda: lamina.einsum("ijk", lamina.ones(2, 2)), ValueError, "3 indices"),
        (lambda: lamina.einsum("i,i", lamina.ones(2), lamina.ones(3)), ValueError, "index 'i' has size 2"),
        (lambda: lamina.einsum("i$", lamina.ones(2, 2)), ValueError, r"unexpected '\$'"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_against_torch():
    torch = pytest.importorskip("torch")
    for a, b in [((64, 64), (64, 64)), ((5, 3, 17), (17, 9)), ((4, 1, 8, 16), (3, 16, 2))]:
        x, y = normal(*a).astype(np.float32), normal(*b, seed=1).astype(np.float32)
        want = torch.matmul(torch.from_numpy(x), torch.from_numpy(y)).numpy()
        np.testing.assert_allclose((lamina.tensor(x) @ lamina.tensor(y)).numpy(), want, rtol=1e-4, atol=1e-5)
