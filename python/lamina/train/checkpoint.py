"""The whole state of a run in one file: nested dicts, lists, numbers, texts and tensors, without pickle.

The tensors are the file's tensors; what surrounds them is JSON in its metadata.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import lamina
from lamina import Tensor

_KEY, _FORMAT = "lamina.checkpoint", "1"


def save_checkpoint(state: Any, path: str | os.PathLike[str]) -> None:
    """Writes the state; the file is there whole, or as it was before."""
    tensors: dict[str, Tensor] = {}
    skeleton = _pack(state, "", tensors)
    lamina.save(tensors, path, {_KEY: json.dumps(skeleton), "format": _FORMAT})


def load_checkpoint(path: str | os.PathLike[str]) -> Any:
    """The state that was saved."""
    metadata = lamina.load_metadata(path)
    if _KEY not in metadata:
        raise ValueError(f"{path} holds tensors, but is not a checkpoint of a run")
    if metadata.get("format") != _FORMAT:
        raise ValueError(f"{path} is a checkpoint of format {metadata.get('format')}; this is written for {_FORMAT}")
    try:
        return _unpack(json.loads(metadata[_KEY]), lamina.load(path))
    except (KeyError, TypeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is a damaged checkpoint: {type(error).__name__}: {error}") from error


def _pack(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        while path in tensors:  # {"a.b": …, "a": {"b": …}}
            path += "'"
        tensors[path] = value
        return {"$tensor": path}
    if isinstance(value, Mapping):
        packed = [(key, _pack(item, f"{path}.{key}" if path else str(key), tensors)) for key, item in value.items()]
        plain = all(isinstance(key, str) and not key.startswith("$") for key, _ in packed)
        return dict(packed) if plain else {"$items": [[_pack(key, path, tensors), item] for key, item in packed]}
    if isinstance(value, (list, tuple)):
        items = [_pack(item, f"{path}.{i}" if path else str(i), tensors) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a checkpoint cannot hold {path or 'this'}: {type(value).__name__}")


def _unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "$tensor" in value:
        return tensors[value["$tensor"]]
    if "$tuple" in value:
        return tuple(_unpack(value["$tuple"], tensors))
    if "$items" in value:
        return {_unpack(key, tensors): _unpack(item, tensors) for key, item in value["$items"]}
    return {key: _unpack(item, tensors) for key, item in value.items()}
