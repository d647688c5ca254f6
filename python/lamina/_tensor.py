"""The part of the tensor that is written in Python."""

from lamina import _C


def construct(data=None, *, dtype=None):
    return _C._from_buffer(data)


def represent(t):
    return f"tensor(shape={t.shape}, dtype={t.dtype})"
