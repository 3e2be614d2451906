"""XLSX: `openpyxl`, the well-kept library, finds the parts and knows dates; what grows with the drop is streamed.

`python-calamine` is many times faster, but holds the whole sheet.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from connector.feed.file_options import FileOptions
from connector.readers.archive import Watched, guarded
from connector.readers.sheet import MAX_CELL, SheetReader
from connector.readers.table import BadRow, Notes, Rows, Table, Unreadable, header_names
from connector.readers.text import spoilt
from connector.readers.trailer import MAX_HELD, check_trailer, trailer_too_long
from connector.readers.workbook_parts import Package, Sheet, Texts, open_package, shared_texts
from connector.vocabulary.column_names import is_usual, labels
from connector.vocabulary.errors import Fault

_ERRORS = frozenset(
    {"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#SPILL!", "#CALC!", "#GETTING_DATA"}
)
_DAMAGED = ("the workbook is damaged", "open it in Excel and save it again")
T = TypeVar("T")


def open_workbook(stream: Watched, *, name: str, options: FileOptions, wanted: Sequence[str], notes: Notes) -> Table:
    """One sheet of a workbook: the one that the feed names, or the first that is not hidden.

    Every cell is a str. Dates are ISO dates, with the time only where there is one; numbers have no `.0` and at most 15
    digits, which is what Excel shows; formulas give the value that Excel last computed. A row without any value is
    none. A row with an Excel error (`#N/A`) in a wanted column, or with values beyond the header, is a `BadRow`.
    """
    package = _guarded(stream, lambda: open_package(stream, limit=options.max_expanded))
    sheet = _sheet(package, options.sheet)
    trailer: deque[list[str]] = deque()
    body = _without_last(_rows_of(stream, package, sheet, options.skip), options.footer.lines, trailer)
    if isinstance(options.header, bool):
        first = next(body, None)
        if first is None:
            raise Unreadable("the sheet is empty", "the first row must name the columns")
        if not options.header:
            body = _again(first, body)
        while first and not first[-1].strip():
            first.pop()
        columns = header_names(first if options.header else [str(i) for i in range(1, len(first) + 1)], wanted)
    else:
        columns = header_names(options.header, options.header)
    read = frozenset(wanted) or frozenset(columns)
    names = columns if wanted else labels(columns, ())
    judged = [index for index, column in enumerate(columns) if column and column in read]

    def rows() -> Rows:
        number = 0
        try:
            for cells in body:
                number += 1
                yield _row(number, cells, columns, judged, names)
            texts = ["\t".join(cells) for cells in trailer]
            check_trailer(texts, options, rows=number)
        except Unreadable as fault:
            raise fault.of(name, after=number) from None

    return Table(columns, rows, notes)


def _row(
    number: int, cells: list[str], columns: tuple[str, ...], judged: Sequence[int], names: Sequence[str]
) -> tuple[int, list[str]] | BadRow:
    width = len(columns)
    if any(cells[width:]):
        beyond = Fault(
            message="the row has values beyond the header's last column",
            advice="name the columns, or empty the cells",
        )
        return BadRow(number=number, fault=beyond)
    del cells[width:]
    cells.extend([""] * (width - len(cells)))
    for index in judged:
        cell = cells[index]
        if cell in _ERRORS:
            return BadRow(
                number=number,
                fault=Fault(
                    message=f"the cell has Excel's error {cell}", advice="correct the sheet", column=names[index]
                ),
            )
        if len(cell) > MAX_CELL:
            return BadRow(
                number=number,
                fault=Fault(
                    message=f"the cell has more than {MAX_CELL:,} characters, which is all that XLSX has",
                    advice="shorten the value in the HR system",
                    column=names[index],
                ),
            )
        if fault := spoilt(cell, names[index]):
            return BadRow(number=number, fault=fault)
    if tuple(cells) == columns:
        return BadRow(number=number, fault=Fault(message="the row repeats the header", advice="delete it"))
    return number, cells


def _again(first: list[str], rest: Iterator[list[str]]) -> Iterator[list[str]]:
    yield list(first)
    yield from rest


def _without_last(rows: Iterator[list[str]], count: int, last: deque[list[str]]) -> Iterator[list[str]]:
    """The rows with values; the `count` last of them are left in `last`."""
    held = 0
    for row in rows:
        if any(row):
            last.append(row)
            held += len(row) + sum(map(len, row)) if count else 0
            if len(last) > count:
                first = last.popleft()
                held -= len(first) + sum(map(len, first)) if count else 0
                yield first
            if held > MAX_HELD:
                raise trailer_too_long(count)


def _guarded(watched: Watched, read: Callable[[], T]) -> T:
    with warnings.catch_warnings():
        # openpyxl warns of styles and extensions that it leaves out, and that are no concern of ours.
        warnings.simplefilter("ignore")
        return guarded(watched, read, *_DAMAGED)


def _sheet(package: Package, name: str | None) -> Sheet:
    sheets = package.sheets
    if name is not None:
        found = next((sheet for sheet in sheets if sheet.title == name), None)
        if found is None:
            titles = [sheet.title for sheet in sheets]
            names = ", ".join(repr(t) if is_usual(t) else f"sheet {n}" for n, t in enumerate(titles, start=1))
            raise Unreadable(
                f"the workbook has no sheet {name!r}, but {names}",
                "correct file: sheet in the feed file",
                column="file.sheet",
            )
        return found
    if not sheets:
        raise Unreadable("the workbook has no sheet with cells", "send one with the data in it")
    return next((sheet for sheet in sheets if sheet.visible), sheets[0])


def _rows_of(watched: Watched, package: Package, sheet: Sheet, skip: int) -> Iterator[list[str]]:
    """The rows that are there, after the sheet's first `skip` ones."""

    def start() -> Iterator[list[tuple[int, list[str]]]]:
        texts = Texts()
        if package.texts_part is not None:
            with package.archive.open(package.texts_part) as part:
                texts = shared_texts(part)
        return iter(
            SheetReader(
                package.archive.open(sheet.part),
                texts=texts,
                epoch=package.epoch,
                date_styles=package.date_styles,
                duration_styles=package.duration_styles,
            )
        )

    pieces = _guarded(watched, start)
    while (piece := guarded(watched, lambda: next(pieces, None), *_DAMAGED)) is not None:
        yield from (cells for number, cells in piece if number > skip)
