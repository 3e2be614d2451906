"""gzip and ZIP with the standard library, decompressed as it is read and never beyond the feed's limits."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import BinaryIO, TypeVar, cast

from connector.readers.table import Unreadable

T = TypeVar("T")

_BUFFER = 256 * 1024
# DEFLATE can reach 1,032:1; real exports stay under 50:1. Small files may be as repetitive as they like.
MAX_RATIO = 200
RATIO_FROM = 1024 * 1024
# zipfile reads the list of members in one piece; 20,000 members need as much.
_MAX_MEMBER_LIST = 1024 * 1024
_DAMAGED_ZIP = "the ZIP file is damaged"
_RESEND = "it arrived in part or damaged: send it again"
_LARGE = "raise file: max_expanded in the feed file, or send it unpacked"
_BOMB = "an archive that expands like this is no export; if it is one, send it unpacked: this bound is fixed"


class Watched(io.RawIOBase):
    """A stream that remembers its own failure, so that it is not taken for damage of what it carries."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.failure: Exception | None = None
        self.longest_read: int | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int = -1) -> bytes:
        if self.longest_read is not None and size > self.longest_read:
            raise Unreadable(
                f"the list of what the ZIP file holds has more than {self.longest_read:,} bytes", "send one file a ZIP"
            )
        try:
            return self._stream.read(size)
        except Exception as error:
            self.failure = error
            raise


def guarded(watched: Watched, read: Callable[[], T], message: str, advice: str) -> T:
    """What `read` returns. Libraries meet damage with whatever exception comes up: it becomes one `Unreadable`.

    The stream's own failure goes through as it is.
    """
    try:
        return read()
    except (Unreadable, MemoryError):
        raise
    except Exception:
        if watched.failure is not None:
            raise watched.failure from None
        raise Unreadable(message, advice) from None


class _Expanded(io.RawIOBase):
    """What an archive holds, readable and rewindable; raises `Unreadable` when it is damaged or expands too far.

    `start` opens the content anew; `packed` tells the bytes that went into what was read so far.
    """

    def __init__(self, start: Callable[[], BinaryIO], packed: Callable[[], int], *, kind: str, limit: int) -> None:
        self._start = start
        self._packed = packed
        self._kind = kind
        self._limit = limit
        self._content = start()
        self._size = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR and not offset:
            return self._size
        if whence != io.SEEK_SET or offset:
            raise io.UnsupportedOperation("archives can only be rewound")
        if self._size:
            self._content = self._start()
            self._size = 0
        return 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the stub's Buffer protocol is Python 3.12's
        try:
            chunk = self._content.read(len(buffer))
        except EOFError:
            raise Unreadable(f"the {self._kind} file ends too early", "it arrived in part: send it again") from None
        except (zlib.error, gzip.BadGzipFile, zipfile.BadZipFile):
            raise Unreadable(f"the {self._kind} file is damaged", "it arrived damaged: send it again") from None
        self._size += len(chunk)
        if self._size > self._limit:
            raise Unreadable(f"the {self._kind} file expands to more than {self._limit:,} bytes", _LARGE)
        if self._size > RATIO_FROM and self._size > MAX_RATIO * self._packed():
            raise Unreadable(f"the {self._kind} file expands to more than {MAX_RATIO} times its size", _BOMB)
        buffer[: len(chunk)] = chunk
        return len(chunk)


def expand_gzip(stream: BinaryIO, *, limit: int) -> BinaryIO:
    """The content of a gzip file. Damage is found when it is read: then `Unreadable` is raised."""

    def start() -> BinaryIO:
        stream.seek(0)
        return cast(BinaryIO, gzip.GzipFile(fileobj=stream, mode="rb"))

    return io.BufferedReader(_Expanded(start, stream.tell, kind="gzip", limit=limit), _BUFFER)


def open_zip(stream: Watched) -> zipfile.ZipFile:
    """The ZIP archive in `stream`. Raises `Unreadable` when it is damaged."""
    stream.longest_read = _MAX_MEMBER_LIST
    try:
        return guarded(stream, lambda: zipfile.ZipFile(cast(BinaryIO, stream)), _DAMAGED_ZIP, _RESEND)
    finally:
        stream.longest_read = None


def check_sizes(members: Sequence[zipfile.ZipInfo], *, limit: int) -> None:
    """Raise `Unreadable` when the members would expand beyond the limits; `zipfile` never reads more than a member
    declares."""
    size = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if size > limit:
        raise Unreadable(f"the ZIP file expands to more than {limit:,} bytes", _LARGE)
    if size > RATIO_FROM and size > MAX_RATIO * packed:
        raise Unreadable(f"the ZIP file expands to more than {MAX_RATIO} times its size", _BOMB)


def check_member(member: zipfile.ZipInfo) -> None:
    """Raise `Unreadable` for a member with a password or with another compression than ZIP's own."""
    if member.flag_bits & 0x1:
        raise Unreadable(
            "the ZIP file has a password", "send it without one; for encryption use OpenPGP and the feed's pgp section"
        )
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unreadable("the ZIP file uses an unusual compression", "use the ordinary one (deflate)")


def expand_zip(stream: Watched, archive: zipfile.ZipFile, *, limit: int) -> tuple[BinaryIO, str]:
    """The content and the name of an archive's one file. Raises `Unreadable` when there are several, or none."""
    # What macOS adds beside the file itself.
    files = [
        member
        for member in archive.infolist()
        if not member.filename.endswith("/")
        and not member.filename.startswith("__MACOSX/")
        and PurePosixPath(member.filename).name != ".DS_Store"
    ]
    if len(files) != 1:
        raise Unreadable(f"the ZIP file holds {len(files)} files", "send one file a ZIP")
    member = files[0]
    check_member(member)
    check_sizes(files, limit=limit)

    def start() -> BinaryIO:
        return guarded(stream, lambda: cast(BinaryIO, archive.open(member)), _DAMAGED_ZIP, _RESEND)

    expanded = _Expanded(start, lambda: max(member.compress_size, 1), kind="ZIP", limit=limit)
    return io.BufferedReader(expanded, _BUFFER), member.filename
