"""What holds for every reader: bounded memory, and nothing but `DropUnusable` whatever the bytes."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.feed.file_options import FileOptions
from connector.readers import BadRow, open_drop
from connector.vocabulary.scim import BULK_REQUEST
from tests.unit.readers.samples import SAMPLES, USER, read

TEXT = b"What a person is and does. " * 7


class Repeated(io.RawIOBase):
    """A long file that is never in memory: a head, one piece many times, a tail."""

    def __init__(self, head: bytes, piece: bytes, times: int, tail: bytes) -> None:
        self._parts: Callable[[], Iterator[bytes]] = lambda: filter(None, (head, *[piece * 100] * (times // 100), tail))
        self._reading: Iterator[bytes] = self._parts()
        self._left = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        assert (offset, whence) == (0, 0)
        self._reading, self._left = self._parts(), b""
        return 0

    def readinto(self, buffer: Any) -> int:
        while len(self._left) < len(buffer) and (part := next(self._reading, b"")):
            self._left += part
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def peak(stream: Any, **options: Any) -> tuple[int, int]:
    tracemalloc.start()
    try:
        rows = sum(
            1
            for item in open_drop(stream, name="x", options=FileOptions(**options), wanted=("a",))
            if not isinstance(item, BadRow)
        )
        return rows, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("head", "piece", "tail", "options"),
    [
        (b"a,b\n", b"1,%s\n" % TEXT, b"", {}),
        (b"a,b\n", b'1,"a ""quoted""\n%s"\n' % TEXT, b"", {}),
        (b"[", b'{"a": 1, "b": "%s"},' % TEXT, b'{"a": 2}]', {}),
        (b"", b'{"a": 1, "b": "%s"}\n' % TEXT, b"", {}),
        (b"<r>", b"<e><a>1</a><b>%s</b></e>" % TEXT, b"</r>", {}),
        (b"", b"1  %s\n" % TEXT, b"", {"format": "fixed", "columns": {"a": "1-3"}}),
        (
            b'{"schemas": ["%s"], "Operations": [' % BULK_REQUEST.encode(),
            b'{"method": "POST", "path": "/Users", "data": %s},' % json.dumps(USER).encode(),
            b'{"method": "POST", "path": "/Users", "data": %s}]}' % json.dumps(USER).encode(),
            {},
        ),
    ],
    ids=["csv", "quoted", "json", "jsonl", "xml", "fixed", "scim"],
)
def test_memory_does_not_grow_with_the_file(head: bytes, piece: bytes, tail: bytes, options: dict[str, Any]) -> None:
    few, small = peak(io.BufferedReader(Repeated(head, piece, 5_000, tail)), **options)
    many, large = peak(io.BufferedReader(Repeated(head, piece, 20_000, tail)), **options)
    assert (few // 100, many // 100) == (50, 200)
    assert large - small < 300_000


def test_memory_does_not_grow_with_what_an_archive_holds() -> None:
    def packed(rows: int) -> io.BytesIO:
        return io.BytesIO(gzip.compress(b"a,b\n" + b"".join(b"%d,some text\n" % row for row in range(rows))))

    few, small = peak(packed(10_000))
    many, large = peak(packed(200_000))
    assert (few, many) == (10_000, 200_000)
    assert large - small < 1_000_000


def mutated(sample: bytes) -> st.SearchStrategy[bytes]:
    """The sample with a few stretches replaced by others."""
    edits = st.lists(
        st.tuples(st.integers(0, len(sample)), st.integers(0, 8), st.binary(max_size=8)), min_size=1, max_size=4
    )

    def apply(changes: list[tuple[int, int, bytes]]) -> bytes:
        data = sample
        for start, length, new in changes:
            data = data[:start] + new + data[start + length :]
        return data

    return edits.map(apply)


@pytest.mark.parametrize("kind", SAMPLES)
def test_mutated_files_are_read_or_unusable(kind: str) -> None:
    options: dict[str, Any] = {"format": "fixed", "columns": {"a": "1-3", "b": 3}} if kind == "fixed" else {}

    @given(mutated(SAMPLES[kind]))
    @settings(max_examples=40 if kind == "xlsx" else 150, deadline=None)
    def run(data: bytes) -> None:
        read(data, **options)

    run()


@pytest.mark.parametrize("kind", [None, "csv", "json", "jsonl", "xlsx", "xml", "fixed", "scim"])
def test_arbitrary_bytes_are_read_or_unusable(kind: str | None) -> None:
    options: dict[str, Any] = {"format": kind, "columns": {"a": "1-3"}} if kind == "fixed" else {"format": kind}

    @given(
        st.binary(max_size=300)
        | st.text(st.sampled_from("ab1 ,;\"'\t\r\n\0{}[]:<>/=&\\ö\ufeff"), max_size=60).map(str.encode)
    )
    @settings(max_examples=150, deadline=None)
    def run(data: bytes) -> None:
        read(data, **options)
        read(data, **options, encoding="utf-8")

    run()
