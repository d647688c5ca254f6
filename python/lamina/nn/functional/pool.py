"""Pooling over windows, resizing, and normalisation across neighbouring channels."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor
from lamina._errors import speak_for_themselves

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "interpolate", "local_response_norm", "lp_pool1d",
    "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool2d", "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d",
    "upsample",
]  # fmt: skip

max_pool1d, max_pool2d, max_pool3d = _C.max_pool1d, _C.max_pool2d, _C.max_pool3d
avg_pool1d, avg_pool2d, avg_pool3d = _C.avg_pool1d, _C.avg_pool2d, _C.avg_pool3d
adaptive_avg_pool1d, adaptive_avg_pool2d = _C.adaptive_avg_pool1d, _C.adaptive_avg_pool2d
adaptive_avg_pool3d = _C.adaptive_avg_pool3d


def adaptive_max_pool1d(input: Tensor, output_size: int, return_indices: bool = False) -> Any:
    """The greatest element of each of output_size parts of (N, C, L); with return_indices also where it is."""
    found = _C._adaptive_max_pool1d(input, output_size)
    return found if return_indices else found.values


def adaptive_max_pool2d(input: Tensor, output_size: int | Sequence[int], return_indices: bool = False) -> Any:
    """The greatest element of each part of (N, C, H, W); with return_indices also where in its plane it is."""
    found = _C._adaptive_max_pool2d(input, output_size)
    return found if return_indices else found.values


def adaptive_max_pool3d(input: Tensor, output_size: int | Sequence[int], return_indices: bool = False) -> Any:
    """The greatest element of each part of (N, C, D, H, W); with return_indices also where in its volume it is."""
    found = _C._adaptive_max_pool3d(input, output_size)
    return found if return_indices else found.values


def _sizes(name: str, what: str, given: Any, dims: int) -> tuple[int, ...]:
    sizes = (given,) * dims if isinstance(given, int) else tuple(given)
    if len(sizes) != dims:
        raise ValueError(f"{name}: {what} must be one number or {dims}, got {given!r}")
    return sizes


# ---- the way back ----


def _max_unpool(
    name: str, dims: int, input: Tensor, indices: Tensor, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Tensor:
    if input.ndim not in (dims + 1, dims + 2):
        raise ValueError(f"{name}: input must have {dims + 2} dimensions (or {dims + 1}, unbatched), got {input.shape}")
    if indices.shape != input.shape:
        raise ValueError(f"{name}: indices must have input's shape {input.shape}, got {indices.shape}")
    kernel = _sizes(name, "kernel_size", kernel_size, dims)
    step = kernel if stride is None else _sizes(name, "stride", stride, dims)
    edge = _sizes(name, "padding", padding, dims)
    leading, small = input.shape[:-dims], input.shape[-dims:]
    if output_size is None:
        size = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(small, step, edge, kernel, strict=True))
    else:
        size = tuple(output_size)[-dims:]
        if len(size) != dims:
            raise ValueError(f"{name}: output_size must end in {dims} sizes, got {output_size!r}")
    planes, places = 1, 1
    for n in leading:
        planes *= n
    for n in size:
        places *= n
    empty = _C.zeros(planes, places, dtype=input.dtype, device=input.device)
    try:
        filled = _C.scatter(empty, 1, indices.reshape(planes, -1), input.reshape(planes, -1))
    except IndexError as e:
        raise IndexError(f"{name}: indices must lie within an output of size {size}: {e}") from None
    return filled.reshape(*leading, *size)


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Puts values back where max_pool1d found them, among zeros."""
    return _max_unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Puts values back where max_pool2d found them, among zeros."""
    return _max_unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Puts values back where max_pool3d found them, among zeros."""
    return _max_unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)


# ---- other means ----


def _lp_pool(name: str, dims: int, input: Tensor, p: float, kernel_size: Any, stride: Any, ceil_mode: bool) -> Tensor:
    pool = (avg_pool1d, avg_pool2d, avg_pool3d)[dims - 1]
    elements = 1
    for k in _sizes(name, "kernel_size", kernel_size, dims):
        elements *= k
    total = pool(input**p, kernel_size, stride, 0, ceil_mode) * elements
    return (total.sign() * _C.relu(total.abs())) ** (1 / p)


def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """(Σ xᵖ)^(1/p) of each window."""
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """(Σ xᵖ)^(1/p) of each window."""
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """(Σ xᵖ)^(1/p) of each window."""
    return _lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha · mean of x² over `size` neighbouring channels)^beta (Krizhevsky et al. 2012)."""
    if input.ndim < 3:
        raise ValueError(f"local_response_norm: expected (N, C, …) with 3 dimensions or more, got shape {input.shape}")
    if size < 1:
        raise ValueError(f"local_response_norm: size must be at least 1, got {size}")
    if input.numel() == 0:
        return input
    n, channels = input.shape[:2]
    before, after = size // 2, (size - 1) // 2
    squares = _C.pad(input.square().reshape(n, channels, -1), (0, 0, before, after))
    mean = avg_pool2d(squares, (size, 1), 1).reshape(input.shape)
    return input / (mean * alpha + k) ** beta


# ---- resizing ----

_RESAMPLING = {"nearest": 0, "nearest-exact": 1, "linear": 2, "bilinear": 2, "trilinear": 2}
_DIMENSIONS = {"linear": 1, "bilinear": 2, "trilinear": 3}
_ALIGNED = 3


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Tensor:
    """Resizes (N, C, …) to `size`, or by `scale_factor`.

    mode: 'nearest', 'nearest-exact', 'area' (adaptive_avg_pool), 'linear', 'bilinear', 'trilinear'. align_corners: the
    corner elements keep their place, else the corners of their cells. recompute_scale_factor: the distance of samples
    follows from the sizes, even if scale_factor was given.
    """
    if not 3 <= input.ndim <= 5:
        raise ValueError(f"interpolate: input must be (N, C, …) with 1 to 3 dimensions to resize, got {input.shape}")
    dims = input.ndim - 2
    if mode not in _RESAMPLING and mode != "area":
        raise ValueError(f"interpolate: mode must be one of {', '.join([*_RESAMPLING, 'area'])}, got {mode!r}")
    if mode in _DIMENSIONS and _DIMENSIONS[mode] != dims:
        raise ValueError(
            f"interpolate: {mode} needs an input with {_DIMENSIONS[mode] + 2} dimensions, got {input.shape}"
        )
    if mode not in _DIMENSIONS and align_corners is not None:
        raise ValueError(f"interpolate: align_corners has no meaning with mode {mode!r}")
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate: expected either size or scale_factor, got {size!r} and {scale_factor!r}")
    factors: tuple[float, ...] | None = None
    if size is not None:
        sizes = _sizes("interpolate", "size", size, dims)
    else:
        given = scale_factor
        factors = (float(given),) * dims if isinstance(given, (int, float)) else tuple(map(float, given))  # type: ignore[arg-type]
        if len(factors) != dims or not all(0 < f < 2**20 for f in factors):
            raise ValueError(f"interpolate: scale_factor must be one positive number or {dims}, got {scale_factor!r}")
        sizes = tuple(int(n * f) for n, f in zip(input.shape[2:], factors, strict=True))
    if mode == "area":
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[dims - 1](input, sizes)
    resampling = _ALIGNED if align_corners else _RESAMPLING[mode]
    return _C._resize(input, sizes, None if recompute_scale_factor else factors, resampling)


def upsample(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """interpolate, by another name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


speak_for_themselves(globals())
