"""Files in memory, for libraries that know only files, and a bound on how far one may grow."""

from __future__ import annotations

import os
import resource
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

_limiting = threading.Lock()


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
