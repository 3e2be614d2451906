"""Columns by path into nested values: `job.title`, `addresses.0.city`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Generic, TypeVar

from connector.readers.table import BadRow, Cell, Cells, Notes
from connector.readers.text import spoilt
from connector.vocabulary.errors import Fault

_SAMPLE = 100
_MAX_COLUMNS = 2_000
_DEPTH = 50

T = TypeVar("T")
Record = Mapping[str, Any]


class NestedValue(Exception):
    """A column's path ends at an object or at a list of them; the argument is what it is."""


def path_of(column: str) -> Callable[[Record], Any]:
    """A function that takes a column's value out of a JSON record; None where the record lacks it.

    A member of the column's whole name, dots included, comes before a path.
    """
    if "." not in column:
        return lambda record: record.get(column)
    steps = column.split(".")

    def cut(record: Record) -> Any:
        if column in record:
            return record[column]
        value: Any = record
        for step in steps:
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and step.isascii() and step.isdigit():
                value = value[int(step)] if len(step) < 10 and int(step) < len(value) else None
            else:
                return None
        return value

    return cut


def cell_of(value: Any) -> Cell:
    """A JSON value as a cell: numbers (read as text) as written, true and false as Entra's "True" and "False".

    Raises `NestedValue` for what has no text.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, list):
        if any(isinstance(item, list) for item in value):
            raise NestedValue("a list of lists")
        items = [cell_of(item) for item in value]
        return [item for item in items if isinstance(item, str)]
    raise NestedValue("an object")


def leaves(value: Any, prefix: str = "") -> Iterator[str]:
    """The paths of all the plain values, and lists of them, in a JSON record."""
    for name, member in value.items():
        path = f"{prefix}{name}"
        if path.count(".") >= _DEPTH:
            yield path
        elif isinstance(member, dict):
            yield from leaves(member, f"{path}.")
        elif isinstance(member, list) and any(isinstance(item, dict) for item in member):
            for index, item in enumerate(member):
                if isinstance(item, dict):
                    yield from leaves(item, f"{path}.{index}.")
        else:
            yield path


def discovered(records: Iterator[T], paths: Callable[[T], Iterable[str]]) -> tuple[tuple[str, ...], Iterator[T]]:
    """The columns that the first records have, for a caller who names none, and all the records."""
    sample = list(islice(records, _SAMPLE))
    found = dict.fromkeys(path for record in sample for path in paths(record))
    return tuple(islice(found, _MAX_COLUMNS)), chain(sample, records)


class Cutter(Generic[T]):
    """Records to rows of cells."""

    def __init__(
        self, columns: Sequence[str], cut: Callable[[str], Callable[[T], Any]], cell: Callable[[Any], Cell]
    ) -> None:
        self._columns = tuple(columns)
        self._cuts = [(column, cut(column)) for column in columns]
        self._cell = cell
        self._unseen = set(range(len(self._columns)))

    def row(self, number: int, record: T) -> tuple[int, Cells] | BadRow:
        """One record's cells, or what is wrong with the first that is no cell."""
        cells: list[Cell] = []
        bad: Fault | None = None
        for index, (column, cut) in enumerate(self._cuts):
            try:
                cell = self._cell(cut(record))
            except NestedValue as nested:
                cell = ""
                advice = f"name one of its values, as in [{column}.…]"
                bad = bad or Fault(message=f"the value is {nested}", advice=advice, column=column)
            if cell is not None:
                self._unseen.discard(index)
                for text in cell if isinstance(cell, list) else (cell,):
                    bad = bad or spoilt(text, column)
            cells.append(cell)
        return BadRow(number=number, fault=bad) if bad else (number, cells)

    def note_unseen(self, notes: Notes) -> None:
        """Remark on columns that no record had: a path may be misspelt, and no header can tell."""
        for index in sorted(self._unseen):
            notes.add(f"no record has a value for the column {self._columns[index]!r}")
