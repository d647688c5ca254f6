"""Tensors by name in a file, in the safetensors format.

The file is the length of a header (8 bytes), the header (JSON: name -> type, shape, first and last byte) and the bytes
of the tensors, without gaps. Nothing in it is ever executed, and all of it is checked before a tensor is made.
"""

from __future__ import annotations

from math import prod

from lamina import _C
from lamina._C import Tensor
from lamina._errors import speak_for_themselves

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from typing import Any, NoReturn, TypeAlias

    Path: TypeAlias = str | os.PathLike[str]
    Entry: TypeAlias = tuple[str, _C.dtype, list[int], int, int]  # name, type, shape, first byte, one past the last

__all__ = ["load", "load_metadata", "save"]

_DTYPES = {
    "F64": _C.float64,
    "F32": _C.float32,
    "F16": _C.float16,
    "BF16": _C.bfloat16,
    "I64": _C.int64,
    "I32": _C.int32,
    "U8": _C.uint8,
    "BOOL": _C.bool,
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_METADATA = "__metadata__"
_HEADER_LIMIT = 100_000_000  # bytes; the format's own
_NUMBER_LIMIT = 2**63
_DIMS_LIMIT = 8
_ELEMENTS_LIMIT = 2**62
_CHUNK = 16 << 20  # bytes


def save(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes tensors by name, with texts by name if you like, as a safetensors file. The file appears whole or not at
    all: an error on the way, such as a full disk, leaves an older file of that name as it was."""
    import json

    from lamina._atomic import atomic_write

    if not hasattr(tensors, "items"):
        raise TypeError(
            f"save: expected a mapping of names to tensors, such as a state_dict(), got {type(tensors).__name__}"
        )
    header: dict[str, Any] = {}
    if metadata:
        for key, text in metadata.items():
            if not isinstance(key, str) or not isinstance(text, str):
                raise TypeError(f"save: metadata maps texts to texts, got {key!r}: {text!r}")
        header[_METADATA] = dict(metadata)
    for name, tensor in tensors.items():
        if not isinstance(name, str):
            raise TypeError(f"save: a tensor's name must be a str, got {name!r}")
        if not isinstance(tensor, Tensor):
            raise TypeError(f"save: {name!r} must be a Tensor, got {type(tensor).__name__}")
        if name == _METADATA:
            raise ValueError(f"save: the name {_METADATA!r} is the format's own")
        header[name] = {"dtype": _CODES[tensor.dtype], "shape": list(tensor.shape)}
    # Wide elements first: every tensor is then aligned to its elements, and a reader can use the mapped file as it is.
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    position = 0
    for name in names:
        end = position + tensors[name].nbytes
        header[name]["data_offsets"] = [position, end]
        position = end
    described = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    described += b" " * (-(8 + len(described)) % 64)
    if len(described) > _HEADER_LIMIT:
        raise ValueError(f"save: the header of {len(described)} bytes is longer than the format's {_HEADER_LIMIT}")
    with atomic_write(path) as file:
        file.write(len(described).to_bytes(8, "little"))
        file.write(described)
        for name in names:
            content = tensors[name].cpu()._as_bytes()
            # In clones, for memory that was once shown as a buffer counts as written to by others for ever.
            for first in range(0, content.numel(), _CHUNK):
                file.write(memoryview(content[first : first + _CHUNK].clone()))


def load(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name. The file is mapped, not read: bytes come from the disk as they are used.
    The tensors may be written to; that copies the touched pages and never changes the file."""
    memory, start, entries, _ = _open(path)
    tensors = {}
    for name, dtype, shape, first, last in entries:
        block = memoryview(memory)[start + first : start + last]
        if first == last:
            tensors[name] = _C.empty(shape, dtype=dtype)
        elif (start + first) % dtype.itemsize:
            tensors[name] = _C._view_bytes(bytearray(block), dtype).reshape(shape)
        else:
            tensors[name] = _C._view_bytes(block, dtype).reshape(shape)
        if dtype is _C.bool and first != last and _C._view_bytes(block, _C.uint8).max() > 1:
            _refuse(path, f"{name!r} has bytes that are neither 0 (False) nor 1 (True)")
    return tensors


def load_metadata(path: Path) -> dict[str, str]:
    """The texts by name that were saved with the tensors."""
    return _open(path)[3]


def _refuse(path: Path, reason: str) -> NoReturn:
    raise ValueError(f"load: {path} is not a safetensors file: {reason}")


def _open(path: Path) -> tuple[Any, int, list[Entry], dict[str, str]]:
    """The mapped file, where its tensors' bytes start, what lies there, and the metadata."""
    import json
    import mmap

    with open(path, "rb") as file:
        size = file.seek(0, 2)
        if size < 8:
            _refuse(path, f"it has {size} bytes, and the length of the header alone takes 8")
        # Private and writable: what is written to a tensor stays in this process.
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    length = int.from_bytes(memory[:8], "little")
    if memory[8:9] != b"{" and memory[:4].startswith((b"PK\x03\x04", b"\x80\x02")):
        _refuse(
            path,
            "it looks like torch.save's, a pickle, which may run anything when it is opened. Read it with PyTorch and "
            "write its state_dict with safetensors.torch.save_file",
        )
    if length > min(size - 8, _HEADER_LIMIT):
        _refuse(path, f"its header should have {length} bytes, of {size - 8} in the file ({_HEADER_LIMIT} allowed)")
    if memory[8:9] != b"{":
        _refuse(path, "its header is not a JSON object")
    try:
        header = json.loads(memory[8 : 8 + length].decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        _refuse(path, f"its header is not UTF-8: {error}")
    except RecursionError:
        _refuse(path, "its header is nested too deeply")
    except ValueError as error:
        _refuse(path, f"its header is not JSON: {error}")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        _refuse(path, f"{_METADATA} does not map texts to texts")
    entries = [_entry(path, name, described) for name, described in header.items()]
    position = 0
    for name, _, _, first, last in sorted(entries, key=lambda entry: entry[3:]):
        if first != position:
            what = "overlaps the tensor before it" if first < position else "leaves a gap before it"
            _refuse(path, f"{name!r} at bytes {first} to {last} {what}, which ends at {position}")
        position = last
    if position != size - 8 - length:
        _refuse(path, f"its tensors take {position} bytes, and {size - 8 - length} follow the header")
    return memory, 8 + length, entries, metadata


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in pairs:
        if name in out:
            raise ValueError(f"the key {name!r} comes twice")
        out[name] = value
    return out


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _entry(path: Path, name: str, described: Any) -> Entry:
    if not isinstance(described, dict) or set(described) != {"dtype", "shape", "data_offsets"}:
        _refuse(path, f"{name!r} is not described by dtype, shape and data_offsets: {str(described)[:200]}")
    code, shape, offsets = described["dtype"], described["shape"], described["data_offsets"]
    if not isinstance(code, str) or code not in _DTYPES:
        _refuse(path, f"{name!r} has the type {code!r}; known are {', '.join(_DTYPES)}")
    if not _whole_numbers(shape) or len(shape) > _DIMS_LIMIT:
        _refuse(
            path,
            f"{name!r} has the shape {str(shape)[:200]}; expected at most {_DIMS_LIMIT} whole numbers from 0 to 2⁶³ − 1",
        )
    if not _whole_numbers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        _refuse(path, f"{name!r} has the data_offsets {str(offsets)[:200]}; expected [first, end]")
    dtype, nbytes = _DTYPES[code], _DTYPES[code].itemsize
    for extent in shape:
        nbytes *= extent
    if nbytes != offsets[1] - offsets[0]:
        _refuse(path, f"{name!r} needs {nbytes} bytes for {tuple(shape)} of {code}, and has {offsets[1] - offsets[0]}")
    if prod(extent for extent in shape if extent) > _ELEMENTS_LIMIT:  # strides overflow even where another extent is 0
        _refuse(path, f"{name!r} has the shape {shape}, which has too many elements")
    return name, dtype, shape, offsets[0], offsets[1]


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < _NUMBER_LIMIT for n in value)


speak_for_themselves(globals())
