"""XLSX with `openpyxl` in its read-only mode: the well-kept library that streams rows and knows dates.

`python-calamine` is many times faster, but holds the whole sheet. Both hold the texts that a workbook's cells share.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar
from xml.parsers import expat

from connector.feed.file_options import FileOptions
from connector.readers.archive import Watched, check_member, check_sizes, guarded, open_zip
from connector.readers.table import BadRow, Notes, Rows, Table, Unreadable, header_names
from connector.readers.text import spoilt
from connector.readers.trailer import check_trailer
from connector.vocabulary.column_names import is_usual, labels
from connector.vocabulary.errors import Fault

_ERRORS = frozenset(
    {"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#SPILL!", "#CALC!", "#GETTING_DATA"}
)
T = TypeVar("T")

_PROLOG = 64 * 1024


def open_workbook(stream: Watched, *, name: str, options: FileOptions, wanted: Sequence[str], notes: Notes) -> Table:
    """One sheet of a workbook: the one that the feed names, or the first that is not hidden.

    Every cell is a str. Dates are ISO dates, with the time only where there is one; numbers have no `.0` and at most 15
    digits, which is what Excel shows; formulas give the value that Excel last computed. A row without any value is
    none. A row with an Excel error (`#N/A`) in a wanted column, or with values beyond the header, is a `BadRow`.
    """
    book = _guarded(stream, lambda: _load(stream, limit=options.max_expanded))
    sheet = _sheet(book, options.sheet)
    trailer: deque[list[str]] = deque()
    body = _without_last(islice(_rows_of(stream, sheet), options.skip, None), options.footer.lines, trailer)
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
    for row in rows:
        if any(row):
            last.append(row)
            if len(last) > count:
                yield last.popleft()


def _guarded(watched: Watched, read: Callable[[], T]) -> T:
    with warnings.catch_warnings():
        # openpyxl warns of styles and extensions that it leaves out, and that are no concern of ours.
        warnings.simplefilter("ignore")
        return guarded(watched, read, "the workbook is damaged", "open it in Excel and save it again")


def _load(watched: Watched, *, limit: int) -> Any:
    archive = open_zip(watched)
    members = archive.infolist()
    check_sizes(members, limit=limit)
    for member in members:
        check_member(member)
        if member.filename.endswith((".xml", ".rels")):
            _check_prolog(archive, member)
    # Imported only when a drop is a workbook.
    import openpyxl

    return openpyxl.load_workbook(watched, read_only=True, data_only=True, keep_links=False)


def _check_prolog(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Refuse a part with a DTD, which the Open Packaging Conventions forbid (ECMA-376 part 2) and openpyxl would
    read."""
    inside = False

    def start(*_: object) -> None:
        nonlocal inside
        inside = True

    def doctype(*_: object) -> None:
        raise Unreadable("the workbook has a part with a document type declaration (DTD)", "save it with Excel")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = doctype
    with archive.open(member) as part:
        left = _PROLOG
        while not inside and left > 0 and (piece := part.read(4096)):
            left -= len(piece)
            try:
                parser.Parse(piece, False)
            except expat.ExpatError:
                break
    if not inside and member.file_size:
        raise Unreadable("the workbook has a part that is no XML", "open it in Excel and save it again")


def _sheet(book: Any, name: str | None) -> Any:
    sheets = book.worksheets
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
    return next((sheet for sheet in sheets if sheet.sheet_state == "visible"), sheets[0])


def _rows_of(watched: Watched, sheet: Any) -> Iterator[list[str]]:
    # Exporters that write a wrong dimension (A1:A1) would have all but that cut off.
    sheet.reset_dimensions()
    values = sheet.iter_rows(values_only=True)

    def batch() -> list[list[str]]:
        rows: list[list[str]] = []
        for row in values:
            rows.append([_text(value) for value in row])
            if len(rows) == 200:
                break
        return rows

    while rows := _guarded(watched, batch):
        yield from rows


# What XML cannot hold, such as a carriage return: ECMA-376 part 1, 22.9.2.19. openpyxl leaves it as it stands.
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value) if "_x" in value else value
    if value is None:
        return ""
    if isinstance(value, float):
        # 15 digits are what Excel keeps and shows; more is the noise of binary fractions.
        return f"{Decimal(f'{value:z.15g}'):f}"
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat()
    if isinstance(value, timedelta):
        minutes, seconds = divmod(int(value.total_seconds()), 60)
        return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    return str(value)
