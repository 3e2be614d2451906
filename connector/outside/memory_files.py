"""Files in memory, for libraries that know only files, and a bound on how far one may grow."""

from __future__ import annotations

import io
import os
import resource
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

_limiting = threading.Lock()
_BLOCK = 256 * 1024


class Kept:
    """A file that is read side by side, and closed when nobody has it any more."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        file.flush()

    def __del__(self) -> None:
        self.file.close()

    def view(self) -> BinaryIO:
        """The bytes from the start, whoever else reads them."""
        return io.BufferedReader(_View(self), _BLOCK)


class _View(io.RawIOBase):
    """Reads a file from a place of its own; closing it closes nothing else."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._place = 0
        self._size = os.fstat(kept.file.fileno()).st_size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(start + offset, 0)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        piece = os.pread(self._kept.file.fileno(), len(buffer), self._place)
        buffer[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)


class MemoryFiles:
    """Satisfies `readers.pgp.Files`."""

    def new(self) -> BinaryIO:
        """An empty file to read and write; it is gone when it is closed."""
        if hasattr(os, "memfd_create"):
            return os.fdopen(os.memfd_create("drop"), "r+b")
        # A Mac, which is a developer's: a file without a name.
        return cast(BinaryIO, tempfile.TemporaryFile())

    @contextmanager
    def limited(self, size: int) -> Iterator[None]:
        """No file of this process can grow beyond `size` bytes meanwhile: Python ignores the signal, a write fails."""
        with _limiting:
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
