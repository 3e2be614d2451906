"""Feed files and drops on one's own disk, for the commands that try things out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from connector.mapping import LoadedFeed, load_feed
from connector.vocabulary.errors import Fault, Unusable


def read(path: Path) -> bytes:
    """The file's content. Raises Unusable where there is none."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None


def feed_of(path: Path) -> LoadedFeed:
    """The feed file at `path`, checked, with what lies beside it; nothing will be sent. Raises Unusable."""

    def beside(name: str) -> bytes:
        return (path.parent / name).read_bytes()

    return load_feed(read(path), name=str(path), files=beside, graph=None)


def landed_at(path: Path) -> datetime:
    """When the file was written, which stands for a drop's landing. Raises Unusable where it cannot be read."""
    try:
        with path.open("rb"):
            return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> Unusable:
    return Unusable(str(path), [Fault(message=f"cannot be read: {error.strerror}")])
