"""What every reader returns: a table of rows, with what is wrong with single rows as data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TypeVar

from connector.vocabulary.column_names import NO_HEADER, shown
from connector.vocabulary.errors import DropUnusable, Fault

R = TypeVar("R")

Cell = str | list[str] | None
Cells = list[str] | list[Cell]
User = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that cannot be read; the rows around it can. `number` counts as the good rows do."""

    number: int
    fault: Fault


Rows = Iterator[tuple[int, Cells] | BadRow]
Operations = Iterator[tuple[int, User] | BadRow]


class Notes:
    """Remarks about a drop as a whole, each once, in the order in which a reader made them."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}

    def add(self, text: str) -> None:
        self._texts[text] = None

    def all(self) -> tuple[str, ...]:
        return tuple(self._texts)


class Table:
    """A drop's rows; iterate once.

    Iterating yields `(number, cells)` or `BadRow`, and raises `DropUnusable` when the rest of the file cannot be read:
    then the drop as a whole is unusable. `number` counts rows from 1; the header, blank lines (without a single
    character), skipped and trailer lines are no rows, and a line break within a quoted field starts none.
    `cells` has one cell a column; a column whose name is "" has no name in the file and can be ignored.
    In CSV, fixed width and XLSX every cell is a str. JSON and XML give None for what a record lacks (or has as null)
    and a list of str for a list of plain values.
    """

    kind: Literal["rows"] = "rows"

    def __init__(
        self,
        columns: Sequence[str],
        rows: Callable[[], Rows],
        notes: Notes,
        *,
        leading: Callable[[int], Rows] | None = None,
    ) -> None:
        self.columns = tuple(columns)
        self._rows = rows
        self._notes = notes
        self._leading = leading

    def __iter__(self) -> Rows:
        return self._rows()

    def leading(self, count: int) -> Rows:
        """As iterating, in place of it; but only the first `count` cells of a row need be right, or there at all.

        For who looks at few columns: a format that can saves the work for the others. Bad rows are the same ones.
        """
        return self._leading(count) if self._leading else self._rows()

    def bounded(self, name: str, max_rows: int) -> Table:
        """The same, but unusable where it has more rows."""
        return Table(
            self.columns,
            lambda: _bounded(self._rows(), name, max_rows),
            self._notes,
            leading=lambda count: _bounded(self.leading(count), name, max_rows),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks about the drop for its summary, such as a guessed encoding; complete after iterating."""
        return self._notes.all()


class ScimTable:
    """The operations of a drop that is a SCIM bulk request (or many); iterate once.

    Iterating yields `(number, user)`, where `user` is an operation's `data` as it stands in the file, or `BadRow` for
    an operation that Entra would not take; it raises `DropUnusable` as a `Table` does. `columns` is empty.
    """

    kind: Literal["scim"] = "scim"
    columns: tuple[str, ...] = ()

    def __init__(self, operations: Callable[[], Operations], notes: Notes) -> None:
        self._operations = operations
        self._notes = notes

    def __iter__(self) -> Operations:
        return self._operations()

    def bounded(self, name: str, max_rows: int) -> ScimTable:
        """As `Table.bounded`."""
        return ScimTable(lambda: _bounded(self._operations(), name, max_rows), self._notes)

    @property
    def notes(self) -> tuple[str, ...]:
        """As `Table.notes`."""
        return self._notes.all()


def _bounded(rows: Iterator[R], name: str, max_rows: int) -> Iterator[R]:
    yield from islice(rows, max_rows)
    for _ in rows:
        raise Unreadable(
            f"the drop has more than {max_rows:,} rows, which is the setting MAX_ROWS",
            "send it in parts, or raise MAX_ROWS",
        ).of(name)


class Unreadable(Exception):
    """The drop cannot be read, or not any further. A reader turns it into `DropUnusable`, saying how far it came."""

    def __init__(self, message: str, advice: str = "", *, column: str = "") -> None:
        self.message = message
        self.advice = advice
        self.column = column
        super().__init__(message)

    def of(self, name: str, *, after: int | None = None) -> DropUnusable:
        """As the error of the drop `name`; `after` is the last row that was read."""
        message = self.message
        if after is not None:
            message = (
                f"{message}; the file could be read up to row {after:,}"
                if after
                else f"{message}; before the first row"
            )
        return DropUnusable(name, [Fault(message=message, advice=self.advice, column=self.column)])


def header_names(cells: Sequence[str], known: Collection[str] = ()) -> tuple[str, ...]:
    """A header row's names, without surrounding white space or byte order mark; "" where a column has no name.

    `known` are the names that the feed file has: a message may show them, whatever they are.

    Raises `Unreadable` when no column has a name, or two have the same: which of the two is meant cannot be known.
    """
    names = tuple(cell.strip().strip("\ufeff").strip() for cell in cells)
    if not any(names):
        raise Unreadable(
            "the header row has no column names", "the first row must name the columns, or list them under file: header"
        )
    seen: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if not name:
            continue
        if name in seen:
            told = shown(names, known)[position - 1]
            raise Unreadable(
                f"two columns have the same name{told and f', {told!r}'} (columns {seen[name]} and {position})",
                "rename one of them in the export" if told else NO_HEADER,
                column=told,
            )
        seen[name] = position
    return names
