"""TensorBoard's event files: records of a length, a payload and their checksums; the payload is a protobuf Event, of
which scalars need six fields."""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path
from typing import Any, BinaryIO


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # Castagnoli's polynomial, bits reversed
        table.append(byte)
    return table


_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """The CRC-32C of RFC 3720."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def masked_crc(data: bytes) -> int:
    """As record files store it, so that checksums of checksums do no harm: rotated and shifted."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(payload: bytes) -> bytes:
    """A payload as a TFRecord."""
    length = struct.pack("<Q", len(payload))
    return length + struct.pack("<I", masked_crc(length)) + payload + struct.pack("<I", masked_crc(payload))


# ---- protobuf ----


def _varint(number: int) -> bytes:
    out = bytearray()
    number &= 2**64 - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _integer(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _block(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _event(content: bytes, step: int = 0) -> bytes:
    """Event: wall_time = 1 (double), step = 2 and what happened."""
    return _varint(1 << 3 | 1) + struct.pack("<d", time.time()) + _integer(2, step) + content


def scalar_event(name: str, value: float, step: int) -> bytes:
    """summary = 5 { value = 1 { tag = 1, simple_value = 2 (float) } }"""
    number = _varint(2 << 3 | 5) + struct.pack("<f", value)
    return _event(_block(5, _block(1, _block(1, name.encode()) + number)), step)


class EventWriter:
    """Scalars by name and step, in a new file of the folder. Of files that begin at an earlier step TensorBoard forgets
    what they have from `first_step` on: a run that goes on from a checkpoint leaves no double lines."""

    def __init__(self, folder: str | os.PathLike[str], first_step: int = 0) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
        self._file: BinaryIO = open(Path(folder) / name, "xb")  # noqa: SIM115
        self._file.write(record(_event(_block(3, b"brain.Event:2"))))  # file_version
        if first_step:
            self._file.write(record(_event(_block(7, _integer(1, 1)), first_step)))  # session_log { status: START }

    def add(self, name: str, value: float, step: int) -> None:
        if abs(value) > 3.4e38 and value == value:  # beyond float32
            value = float("inf") if value > 0 else float("-inf")
        self._file.write(record(scalar_event(name, value, step)))

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._file.name) from error

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(self, kind: Any, *error: object) -> None:
        try:
            self.close()
        except OSError:
            if kind is None:  # else a full disk is what the error under way is about
                raise
