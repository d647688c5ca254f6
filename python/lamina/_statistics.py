"""Products, distances and statistics put together from other operations."""

from __future__ import annotations

from collections import namedtuple

from lamina import _C
from lamina._arrange import broadcast_tensors
from lamina._C import Tensor
from lamina._errors import speak_for_themselves

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = [
    "addmv", "addr", "aminmax", "cdist", "corrcoef", "cov", "cross", "dist", "ger", "histc", "inner", "isin", "kron",
    "logaddexp", "mode", "msort", "nan_to_num", "nanmean", "nanmedian", "nanquantile", "quantile", "tensordot", "trace", "trapezoid",
    "trapz",
]  # fmt: skip


MinMax = namedtuple("MinMax", ["min", "max"])  # typing is slow to import


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """The smallest and largest elements, over one dimension or all."""
    return MinMax(_C.amin(input, dim, keepdim), _C.amax(input, dim, keepdim))


# ---- numbers ----


def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """log(exp(input) + exp(other)) without overflow."""
    kind = _C.result_type(input, other)
    return _C.logsumexp(_C.stack(broadcast_tensors(input.to(kind), other.to(kind)), 0), 0)


_LARGEST = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": 3.4028234663852886e38}


def nan_to_num(input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """NaN and infinities replaced; infinities, unless said otherwise, by the largest finite numbers."""
    if not input.is_floating_point():
        return input.clone()
    largest = _LARGEST.get(str(input.dtype).rpartition(".")[2], 1.7976931348623157e308)
    high, low = largest if posinf is None else posinf, -largest if neginf is None else neginf
    out = _C.where(_C.isnan(input), nan, input)
    out = _C.where(out == float("inf"), high, out)
    return _C.where(out == -float("inf"), low, out)


# ---- products and distances ----


def inner(input: Tensor, other: Tensor) -> Tensor:
    """Products summed over the last dimensions of both."""
    if input.ndim == 0 or other.ndim == 0:
        return input * other
    return tensordot(input, other, ([-1], [-1]))


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Products summed over the last `dims` dimensions of a and the first of b, or over those that two lists pair."""
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ValueError(f"tensordot: dims must lie in 0 … {min(a.ndim, b.ndim)}, got {dims}")
        over_a, over_b = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        over_a, over_b = ([d % t.ndim for d in side] for side, t in zip(dims, (a, b), strict=True))
    if [a.shape[d] for d in over_a] != [b.shape[d] for d in over_b]:
        raise ValueError(f"tensordot: shapes {a.shape} and {b.shape} differ in the dimensions {over_a} and {over_b}")
    free_a = [d for d in range(a.ndim) if d not in over_a]
    free_b = [d for d in range(b.ndim) if d not in over_b]
    shape = [a.shape[d] for d in free_a] + [b.shape[d] for d in free_b]
    length = 1
    for d in over_a:
        length *= a.shape[d]
    rows, columns = 1, 1
    for d in free_a:
        rows *= a.shape[d]
    for d in free_b:
        columns *= b.shape[d]
    left = a.permute(free_a + over_a).reshape(rows, length)
    right = b.permute(over_b + free_b).reshape(length, columns)
    return (left @ right).reshape(shape)


def ger(input: Tensor, vec2: Tensor) -> Tensor:
    """The outer product of two vectors."""
    return _C.outer(input, vec2)


def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · input + alpha · mat @ vec."""
    product = _C.mv(mat, vec)
    return product * alpha if beta == 0 else _C.add(input if beta == 1 else input * beta, product, alpha=alpha)


def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · input + alpha · the outer product of vec1 and vec2."""
    product = _C.outer(vec1, vec2)
    return product * alpha if beta == 0 else _C.add(input if beta == 1 else input * beta, product, alpha=alpha)


def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: `other` times each element of `input`, in its place."""
    ndim = max(input.ndim, other.ndim)
    a = input.reshape([1] * (ndim - input.ndim) + list(input.shape))
    b = other.reshape([1] * (ndim - other.ndim) + list(other.shape))
    if 2 * ndim > 8:
        raise ValueError(f"kron: at most 4 dimensions, got shapes {input.shape} and {other.shape}")
    between_a = [n for size in a.shape for n in (size, 1)]
    between_b = [n for size in b.shape for n in (1, size)]
    product = a.reshape(between_a) * b.reshape(between_b)
    return product.reshape([m * n for m, n in zip(a.shape, b.shape, strict=True)])


def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vector product along a dimension of size 3, by default the first of that size."""
    a, b = broadcast_tensors(input, other)
    if dim is None:
        dim = next((d for d, size in enumerate(a.shape) if size == 3), a.ndim)
    if not -a.ndim <= dim < a.ndim or a.shape[dim] != 3:
        raise ValueError(f"cross: expected a dimension of size 3, got shapes {input.shape} and {other.shape}")
    return a.roll(-1, dim) * b.roll(-2, dim) - a.roll(-2, dim) * b.roll(-1, dim)


def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    if input.ndim != 2:
        raise ValueError(f"trace: expected a matrix, got shape {input.shape}")
    return input.diagonal().sum()


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The norm of order p of the difference."""
    return _C.norm(input - other, p)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0) -> Tensor:
    """The distance of order p of every row of x1 from every row of x2."""
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ValueError(f"cdist: expected matrices with rows of one length, got shapes {x1.shape} and {x2.shape}")
    return _C.norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


# ---- statistics ----


def nanmean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of what is not NaN."""
    if dtype is not None:
        input = input.to(dtype)
    there = (~_C.isnan(input)).sum(dim, keepdim)
    return _C.nansum(input, dim, keepdim) / there.to(input.dtype)


def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """quantile() of what is not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, ignore_nan=True)


def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The q-th quantiles along dim, or of all elements; several q make a new first dimension."""
    return _quantile("quantile", input, q, dim, keepdim, interpolation, ignore_nan=False)


def _quantile(
    name: str, input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, ignore_nan: bool
) -> Tensor:
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise ValueError(
            f"{name}: interpolation must be 'linear', 'lower', 'higher', 'midpoint' or 'nearest', got {interpolation!r}"
        )
    if not input.is_floating_point():
        raise TypeError(f"{name}: expected a floating type, got {input.dtype}")
    levels = _C.as_tensor(q, dtype=_C.float64).to(input.device)
    if levels.ndim > 1 or not bool(((levels >= 0) & (levels <= 1)).all()):
        raise ValueError(f"{name}: q must be a number or a vector of numbers between 0 and 1, got {q!r}")
    if input.numel() == 0:
        raise ValueError(f"{name}: there is none among no elements: the tensor has shape {input.shape}")
    if dim is not None and input.ndim == 0:
        return _quantile(name, input.reshape(1), q, dim, False, interpolation, ignore_nan)
    shape = list(input.shape)
    rows = input.reshape(1, -1) if dim is None else input.movedim(dim, -1)
    ordered = rows.sort(-1).values
    count = (~_C.isnan(ordered)).sum(-1, True)
    last = (count if ignore_nan else _C.full_like(count, ordered.shape[-1])) - 1
    place = levels.reshape(-1, *[1] * ordered.ndim) * last.clamp(min=0).to(_C.float64)
    below = {"higher": _C.ceil, "nearest": _C.round}.get(interpolation, _C.floor)(place)
    above = below if interpolation in ("higher", "nearest", "lower") else _C.ceil(place)
    share = _C.full_like(place, 0.5) if interpolation == "midpoint" else place - below
    many = ordered.expand(place.shape[0], *ordered.shape)
    low, high = (many.gather(-1, at.long()) for at in (below, above))
    out = low if above is below else low + (high - low) * share.to(input.dtype)
    spoiled = count == 0 if ignore_nan else count < ordered.shape[-1]
    out = _C.where(spoiled, float("nan"), out)
    if dim is None:
        out = out.reshape(-1, *([1] * len(shape) if keepdim else []))
    else:
        out = out.movedim(-1, dim % len(shape) + 1) if keepdim else out.squeeze(-1)
    return out if levels.ndim else out.squeeze(0)


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """median() of what is not NaN."""
    if dim is None:
        return nanmedian(input.reshape(-1), 0).values if input.numel() else _C.median(input)
    values, indices = input.sort(dim)
    middle = ((~_C.isnan(values)).sum(dim, True) - 1).clamp(min=0) // 2
    values, indices = values.gather(dim, middle), indices.gather(dim, middle)
    return _values_indices(values, indices) if keepdim else _values_indices(values.squeeze(dim), indices.squeeze(dim))


def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """The element that comes most often along dim, the smallest of several, and where the last such stands."""
    if input.ndim == 0:
        return _values_indices(input, _C.zeros((), dtype=_C.int64, device=input.device))
    if input.shape[dim] == 0:
        raise IndexError(f"mode: dimension {dim} of shape {input.shape} is empty")
    values, order = input.detach().sort(dim)
    length = input.shape[dim]
    places = _C.arange(length, device=input.device).reshape(-1, *[1] * (input.ndim - 1 - dim % input.ndim))
    begins = values.narrow(dim, 1, length - 1) != values.narrow(dim, 0, length - 1)
    begins = _C.cat([_C.zeros_like(values.narrow(dim, 0, 1), dtype=_C.bool), begins], dim)
    run = places - _C.cummax(_C.where(begins, places, 0), dim).values  # of equal elements so far
    indices = order.gather(dim, run.argmax(dim, True))
    picked = input.gather(dim, indices)
    return _values_indices(picked, indices) if keepdim else _values_indices(picked.squeeze(dim), indices.squeeze(dim))


def _values_indices(values: Tensor, indices: Tensor) -> Any:
    return _C.ValuesIndices((values, indices))  # type: ignore[call-arg, arg-type]  # as tuple() does, it takes a sequence


def msort(input: Tensor) -> Tensor:
    """Sorted along the first dimension."""
    return input.sort(0).values


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall into each of `bins` equal parts of [min, max], by default of what the elements span."""
    if bins < 1:
        raise ValueError(f"histc: bins must be positive, got {bins}")
    if not input.is_floating_point():
        raise TypeError(f"histc: expected a floating type, got {input.dtype}")
    x = input.detach().reshape(-1)
    if min == max and x.numel():
        min, max = x.min().item(), x.max().item()
    if min == max:
        min, max = min - 1, max + 1
    if not -float("inf") < min < max < float("inf"):
        raise ValueError(f"histc: expected finite min <= max, got {min} and {max}")
    x = x[(x >= min) & (x <= max)].double()
    places = ((x - min) * (bins / (max - min))).long().clamp(max=bins - 1)
    return _C.bincount(places, minlength=bins).to(input.dtype)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Is each element among the others?"""
    given = (elements, test_elements)
    device = next((t.device for t in given if isinstance(t, Tensor)), None)
    x, among = (t if isinstance(t, Tensor) else _C.tensor(t, device=device) for t in given)
    if among.numel() == 0:
        return _C.full(x.shape, invert, dtype=_C.bool, device=device)
    ordered = among.reshape(-1).sort().values
    place = _C.searchsorted(ordered, x).clamp(max=ordered.numel() - 1)
    return (_C.take(ordered, place) == x) ^ invert


def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """The covariances of the variables in the rows; columns may be counted (fweights) or weighted (aweights)."""
    if input.ndim > 2:
        raise ValueError(f"cov: expected at most two dimensions, got shape {input.shape}")
    x = input.reshape(1, -1) if input.ndim < 2 else input
    weights: Any = None
    for w in (fweights, aweights):
        if w is not None:
            if w.shape != (x.shape[1],):
                raise ValueError(f"cov: expected a weight for each of {x.shape[1]} observations, got shape {w.shape}")
            weights = w.to(x.dtype) if weights is None else weights * w.to(x.dtype)
    if weights is None:
        centered = x - x.mean(1, True)
        product, freedom = centered @ centered.T, float(x.shape[1] - correction)
    else:
        total = weights.sum()
        centered = x - (x * weights).sum(1, True) / total
        excess = total if aweights is None else (weights * aweights.to(x.dtype)).sum() / total
        product = (centered * weights) @ centered.T
        freedom = (total - correction * (excess if aweights is not None else 1)).clamp(min=0)
    out = product / (freedom if isinstance(freedom, Tensor) else max(freedom, 0.0))
    return out.reshape(()) if input.ndim < 2 else out


def corrcoef(input: Tensor) -> Tensor:
    """Pearson's correlation coefficients of the variables in the rows."""
    c = cov(input)
    if c.ndim == 0:
        return c / c
    deviation = c.diagonal().sqrt()
    return (c / deviation.unsqueeze(1) / deviation).clamp(-1, 1)


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The integral along dim by the trapezoidal rule, at the places x or at steps of dx."""
    length = y.shape[dim]
    middle = y.narrow(dim, 1, length - 1) + y.narrow(dim, 0, length - 1)
    if x is None:
        return middle.sum(dim) * (dx / 2)
    if x.ndim == 1:
        x = x.reshape([-1 if d == dim % y.ndim else 1 for d in range(y.ndim)])
    step = x.narrow(dim, 1, x.shape[dim] - 1) - x.narrow(dim, 0, x.shape[dim] - 1)
    return (middle * step).sum(dim) / 2


trapz = trapezoid


def _method_names() -> Sequence[str]:
    return [n for n in __all__ if n not in ("cdist", "isin", "tensordot", "trapezoid", "trapz")]


speak_for_themselves(globals())

for _name in _method_names():
    setattr(Tensor, _name, globals()[_name])
