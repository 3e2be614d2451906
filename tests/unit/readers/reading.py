"""Reading a drop from bytes, as data to compare."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from connector.feed.file_options import FileOptions
from connector.readers import BadRow, ScimTable, Table, open_drop
from connector.vocabulary.errors import DropUnusable, Fault


def table_of(data: bytes, *, name: str = "drop", wanted: tuple[str, ...] = (), **options: Any) -> Table | ScimTable:
    return open_drop(io.BytesIO(data), name=name, options=FileOptions(**options), wanted=wanted)


def rows_of(data: bytes, *, name: str = "drop", wanted: tuple[str, ...] = (), **options: Any) -> list[Any]:
    """Each row's cells; a bad row is its message. The numbers are checked to count from 1."""
    rows: list[Any] = []
    for expected, item in enumerate(table_of(data, name=name, wanted=wanted, **options), start=1):
        number, content = (item.number, item.fault.message) if isinstance(item, BadRow) else item
        assert number == expected
        rows.append(content)
    return rows


def unusable(data: bytes, *, name: str = "drop", wanted: tuple[str, ...] = (), **options: Any) -> str:
    """The message with which a drop is unusable as a whole, when it is opened or when it is read."""
    with pytest.raises(DropUnusable) as caught:
        list(table_of(data, name=name, wanted=wanted, **options))
    assert caught.value.name == name
    (fault,) = caught.value.faults
    return fault.message


def faults_of(data: bytes, *, name: str = "drop", wanted: tuple[str, ...] = (), **options: Any) -> list[Fault]:
    """Everything that is wrong with a drop and its rows, as a person is told of it."""
    faults: list[Fault] = []
    try:
        table = table_of(data, name=name, wanted=wanted, **options)
        faults.extend(item.fault for item in table if isinstance(item, BadRow))
    except DropUnusable as unusable:
        assert unusable.name == name
        faults += unusable.faults
    return faults


def zipped(**files: bytes) -> bytes:
    """A ZIP of files; an underscore in a keyword is the dot of the name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return buffer.getvalue()
