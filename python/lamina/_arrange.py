"""Shapes and parts: what is put together from views, joins and gathers."""

from __future__ import annotations

from operator import index

from lamina import _C
from lamina._C import Tensor
from lamina._errors import speak_for_themselves

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "broadcast_shapes", "broadcast_tensors", "cartesian_prod",
    "column_stack", "diff", "dsplit", "dstack", "fliplr", "flipud", "hsplit", "index_put", "moveaxis", "ravel", "rot90",
    "row_stack", "swapdims", "tril_indices", "triu_indices", "unflatten", "unravel_index", "vsplit",
]  # fmt: skip

moveaxis = _C.movedim
swapdims = _C.swapaxes
row_stack = _C.vstack


def broadcast_shapes(*shapes: Sequence[int] | int) -> tuple[int, ...]:
    """The shape that tensors of these shapes broadcast to."""
    sizes = [(s,) if isinstance(s, int) else tuple(map(index, s)) for s in shapes]
    out: list[int] = [1] * max(map(len, sizes), default=0)
    for shape in sizes:
        for i, size in enumerate(reversed(shape), 1):
            if size != 1:
                if out[-i] not in (1, size):
                    raise ValueError(f"broadcast_shapes: shapes {', '.join(map(str, sizes))} do not broadcast")
                out[-i] = size
    return tuple(out)


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Views of the tensors, all of their common shape."""
    shape = broadcast_shapes(*(t.shape for t in tensors))
    return tuple(t.expand(shape) for t in tensors)


def atleast_1d(input: Tensor) -> Tensor:
    """With one dimension, if it has none."""
    return input.reshape(1) if input.ndim == 0 else input


def atleast_2d(input: Tensor) -> Tensor:
    """With two dimensions at least; new ones come first."""
    return atleast_1d(input).unsqueeze(0) if input.ndim < 2 else input


def atleast_3d(input: Tensor) -> Tensor:
    """With three dimensions at least; a matrix gets its third behind."""
    return atleast_2d(input).unsqueeze(-1) if input.ndim < 3 else input


def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension."""
    return input.reshape(-1)


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Dimension dim taken apart into `sizes`, one of which may be -1."""
    if not -input.ndim <= dim < input.ndim:
        raise IndexError(f"unflatten: dim {dim} is out of range for a tensor with {input.ndim} dimensions")
    dim %= input.ndim
    return input.reshape(*input.shape[:dim], *sizes, *input.shape[dim + 1 :])


def fliplr(input: Tensor) -> Tensor:
    """Columns in reverse order."""
    if input.ndim < 2:
        raise ValueError(f"fliplr: expected two dimensions at least, got shape {input.shape}")
    return _C.flip(input, [1])


def flipud(input: Tensor) -> Tensor:
    """Rows in reverse order."""
    if input.ndim < 1:
        raise ValueError(f"flipud: expected one dimension at least, got shape {input.shape}")
    return _C.flip(input, [0])


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by k right angles in the plane of two dimensions, from the first towards the second."""
    if len(dims) != 2 or dims[0] % max(1, input.ndim) == dims[1] % max(1, input.ndim):
        raise ValueError(f"rot90: dims must be two different dimensions, got {tuple(dims)} for shape {input.shape}")
    first, second = dims
    k %= 4
    if k == 0:
        return input.clone()
    if k == 2:
        return _C.flip(input, [first, second])
    turned = input.transpose(first, second)
    return _C.flip(turned, [first if k == 1 else second])


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Vectors as columns, matrices side by side."""
    return _C.cat([t.reshape(-1, 1) if t.ndim < 2 else t for t in tensors], 1)


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined along the third dimension."""
    return _C.cat([atleast_3d(t) for t in tensors], 2)


def _split_along(name: str, dim: int, least: int) -> Any:
    def function(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
        if input.ndim < least:
            raise ValueError(f"{name}: expected {least} dimensions at least, got shape {input.shape}")
        along = 0 if input.ndim == 1 else dim
        if isinstance(indices_or_sections, int) and input.shape[along] % max(1, indices_or_sections):
            raise ValueError(
                f"{name}: dimension {along} of shape {input.shape} is not divisible by {indices_or_sections}"
            )
        return tuple(_C.tensor_split(input, indices_or_sections, along))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Views of the parts along dimension {dim}."
    return function


hsplit, vsplit, dsplit = _split_along("hsplit", 1, 1), _split_along("vsplit", 0, 2), _split_along("dsplit", 2, 3)


def block_diag(*tensors: Tensor) -> Tensor:
    """Matrices along the diagonal of a larger one, zeros elsewhere."""
    blocks = [atleast_2d(t) for t in tensors]
    if any(b.ndim != 2 for b in blocks):
        raise ValueError(f"block_diag: expected at most two dimensions, got shapes {[b.shape for b in blocks]}")
    width = sum(b.shape[1] for b in blocks)
    rows, left = [], 0
    for b in blocks:
        rows.append(_C.pad(b, (left, width - left - b.shape[1])))
        left += b.shape[1]
    return _C.cat(rows, 0) if rows else _C.empty(1, 0)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of elements of the vectors, one a row."""
    if any(t.ndim != 1 for t in tensors):
        raise ValueError(f"cartesian_prod: expected vectors, got shapes {[t.shape for t in tensors]}")
    if len(tensors) == 1:
        return tensors[0]
    return _C.stack([t.reshape(-1) for t in _C.meshgrid(*tensors, indexing="ij")], 1)


def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Differences of neighbours along dim, n times over; `prepend` and `append` join the input first."""
    if input.ndim == 0:
        raise ValueError("diff: a number has no neighbours")
    if n < 0:
        raise ValueError(f"diff: n must not be negative, got {n}")
    parts = [t for t in (prepend, input, append) if t is not None]
    if len(parts) > 1:
        input = _C.cat(parts, dim)
    for _ in range(n):
        length = input.shape[dim]
        if length == 0:
            break
        later, earlier = input.narrow(dim, 1, length - 1), input.narrow(dim, 0, length - 1)
        input = _C.logical_xor(later, earlier) if input.dtype is _C.bool else later - earlier
    return input


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = _C.int64, device: Any = None) -> Tensor:
    """Rows and columns of the elements on and below a diagonal."""
    return _C.nonzero(_C.tril(_C.ones(row, col, device=device), offset)).T.contiguous().to(dtype)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = _C.int64, device: Any = None) -> Tensor:
    """Rows and columns of the elements on and above a diagonal."""
    return _C.nonzero(_C.triu(_C.ones(row, col, device=device), offset)).T.contiguous().to(dtype)


def unravel_index(indices: Tensor, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Flat positions in a tensor of that shape as one index tensor a dimension."""
    out = []
    for size in reversed(shape):
        out.append(_C.remainder(indices, size))
        indices = _C.floor_divide(indices, size)
    return tuple(reversed(out))


def index_put(input: Tensor, indices: Sequence[Tensor], values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with `values` at the places that the index tensors name."""
    return input.clone().index_put_(tuple(indices), values, accumulate)


speak_for_themselves(globals())

for _function in (diff, fliplr, flipud, hsplit, vsplit, dsplit, index_put, ravel, rot90, unflatten):
    setattr(Tensor, _function.__name__, _function)
for _alias, _name in {"moveaxis": "movedim", "swapdims": "swapaxes"}.items():
    setattr(Tensor, _alias, vars(Tensor)[_name])  # not getattr: that would unbind
