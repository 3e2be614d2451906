"""A directory for what a command writes, in which nothing is ever deleted that the command has not written itself.

A marker file lists, line by line, what was written; whatever else is found there is somebody else's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from connector.vocabulary.errors import Fault, Unusable

MARKER: Final = ".connector-preview"
_OWN: Final = re.compile(r"[0-9]{6,}\.json|rejects\.csv")
_ADVICE: Final = "name a new directory, or an empty one"


class OutputFolder:
    """Takes new files."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: list[str] = []
        _write(path / MARKER, b"")

    def write(self, name: str, content: bytes) -> None:
        """A file of that name, which may not be there. Raises Unusable."""
        with _explained(self._path):
            # Listed first: what a crash leaves behind is then known to be ours.
            with (self._path / MARKER).open("a", encoding="utf-8") as marker:
                marker.write(f"{name}\n")
            _write(self._path / name, content)
            self._names.append(name)

    def take_back(self) -> None:
        _delete(self._path, [*self._names, MARKER])


@contextmanager
def output_folder(path: Path, *, reading: Path) -> Iterator[OutputFolder]:
    """The directory at `path`, made where there is none, without what was written there before.

    Raises Unusable for one that is neither empty nor all our own, for one that holds the file `reading`, for a symbolic
    link, and for what is no directory or cannot be written to; nothing was touched then. What is written in a block
    that fails is taken away again.
    """
    with _explained(path):
        if path.is_symlink():
            raise _refused(path, "is a symbolic link", "name the directory itself")
        path.mkdir(parents=True, exist_ok=True)
        _delete(path, _earlier(path, reading))
        folder = OutputFolder(path)
    try:
        yield folder
    except BaseException:
        folder.take_back()
        raise


def _earlier(path: Path, reading: Path) -> list[str]:
    """The names of what was written there before, the marker last. Raises Unusable where anything else is there."""
    with os.scandir(path) as entries:
        there = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
    if not there:
        return []
    if not there.pop(MARKER, False):
        raise _refused(path, "is not empty, and preview has not written what is there", _ADVICE)
    listed = (path / MARKER).read_text(encoding="utf-8", errors="replace").splitlines()
    own = {name for name in listed if _OWN.fullmatch(name)}
    strangers = sorted(name for name, is_file in there.items() if name not in own or not is_file)
    if strangers:
        more = f" and {len(strangers) - 1:,} more" if len(strangers) > 1 else ""
        message = f"holds {strangers[0]}{more}, which preview has not written"
        raise _refused(path, message, f"move it elsewhere, or {_ADVICE}")
    if any((path / name).samefile(reading) for name in there):
        raise _refused(path, "holds the file that is to be read, which preview would replace", _ADVICE)
    return [*there, MARKER]


def _write(path: Path, content: bytes) -> None:
    # Exclusively: neither through a symbolic link nor over what somebody has put there meanwhile.
    with path.open("xb") as file:
        file.write(content)


def _delete(path: Path, names: Iterable[str]) -> None:
    for name in names:
        (path / name).unlink(missing_ok=True)


def _refused(path: Path, message: str, advice: str) -> Unusable:
    return Unusable(str(path), [Fault(message=message, advice=advice)])


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """An OSError about the directory `path`, or about a file in it, as Unusable."""
    try:
        yield
    except (FileExistsError, NotADirectoryError):
        if path.is_dir():
            raise _refused(path, "is written to by somebody else at the same time", _ADVICE) from None
        raise _refused(path, "is no directory", _ADVICE) from None
    except OSError as error:
        raise _refused(path, f"cannot be written to: {error.strerror}", "name a directory of yours") from None
