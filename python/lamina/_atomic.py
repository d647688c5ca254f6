"""Files that are either the old one or the new one, whatever happens in between."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO, TypeAlias

    Path: TypeAlias = str | os.PathLike[str]


def _sync_directory(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # a system whose directories cannot be opened has no such call to make
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_special(path: str) -> bool:
    """Is there a device, a pipe or a socket?"""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """`with atomic_write(path) as file:` the file takes its name once it is whole and on the disk; an error leaves what
    was there before, and no traces. What is no file, such as /dev/null, is written to as it is and never replaced."""
    target = os.path.realpath(path)  # a link stays a link
    if _is_special(target):
        with open(target, "wb") as file:
            yield file
        return
    if os.path.isdir(target):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary = f"{target}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    try:
        file = open(temporary, "xb")  # noqa: SIM115
    except OSError as error:  # in the caller's words: nobody asked for the temporary name
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
        finally:
            file.close()
        os.replace(temporary, target)
    except BaseException as error:
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            left = f"{path} is as it was before" if os.path.exists(target) else "nothing is left of it"
            raise OSError(error.errno, f"{error.strerror}; {left}", str(path)) from error
        raise
    _sync_directory(os.path.dirname(target))


def write_text(path: Path, text: str) -> None:
    """Writes a text file by `atomic_write`."""
    with atomic_write(path) as file:
        file.write(text.encode())
