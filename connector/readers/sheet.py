"""The cells of an XLSX sheet (ECMA-376 part 1, 18.3.1) with expat: a row at a time, within what a sheet may be.

`openpyxl` builds a tree of each row, keeps what it has read of the sheet's frame, fills gaps between rows with empty
ones, and knows no limits: a sheet of 1 kB, with nothing but a cell in the last column of the last row, took minutes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import IO, Any, Final
from xml.parsers import expat

from connector.readers.table import Unreadable
from connector.readers.text import MAX_LINE

MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
# "Excel specifications and limits".
MAX_ROWS: Final = 1_048_576
MAX_COLUMNS: Final = 16_384
MAX_CELL: Final = 32_767
_MAX_NAMES: Final = 1_000
_MAX_DEPTH: Final = 100
_PIECE: Final = 64 * 1024
# A character may be written as `_x000D_`; what is longer than this is too long in any case.
_MAX_WRITTEN: Final = 7 * MAX_CELL + 1
_ADVICE: Final = "open it in Excel and save it again"


class Names:
    """The names of elements and attributes in a part. expat keeps each for good: there must not be many."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def see(self, name: str, attributes: dict[str, str]) -> None:
        if name not in self._known or not self._known.issuperset(attributes):
            self._known.add(name)
            self._known.update(attributes)
            if len(self._known) > _MAX_NAMES:
                raise Unreadable(f"a part of the workbook has more than {_MAX_NAMES:,} different names", _ADVICE)


class SheetReader:
    """The rows of one sheet, some at a time: `(number, cells)`, where a cell that is left out is "".

    `texts` are the shared ones by number. `date_styles` and `duration_styles` are the styles of dates and of durations.
    """

    def __init__(
        self,
        part: IO[bytes],
        *,
        texts: Any,
        epoch: datetime,
        date_styles: frozenset[int],
        duration_styles: frozenset[int],
    ) -> None:
        self._part = part
        self._texts = texts
        self._epoch = epoch
        self._dates = date_styles
        self._durations = duration_styles
        self._names = Names()
        self._depth = 0
        self._rows: list[tuple[int, list[str]]] = []
        self._row = 0
        self._size = 0
        self._column = 0
        self._cells: list[str] = []
        self._type = "n"
        self._style = 0
        self._written: list[str] = []
        self._length = 0
        self._inside = self._pronounced = False

    def __iter__(self) -> Iterator[list[tuple[int, list[str]]]]:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        try:
            while True:
                piece = self._part.read(_PIECE)
                try:
                    parser.Parse(piece, not piece)
                finally:
                    found, self._rows = self._rows, []
                    # The rows before a fault say how far the sheet could be read.
                    yield found
                if not piece:
                    return
        finally:
            # The parser and its handlers hold each other, and with them the shared texts.
            parser.StartElementHandler = parser.EndElementHandler = parser.CharacterDataHandler = None
            self._texts = ()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._names.see(name, attributes)
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise Unreadable(f"the elements of a sheet are nested more than {_MAX_DEPTH} deep", _ADVICE)
        if name == _C:
            self._start_cell(attributes)
        elif name in (_V, _T):
            self._inside = not self._pronounced and (self._type == "inlineStr") is (name == _T)
        elif name == _ROW:
            self._start_row(attributes)
        elif name == _RPH:
            self._pronounced = True

    def _start_row(self, attributes: dict[str, str]) -> None:
        written = attributes.get("r")
        number = self._row + 1 if written is None else int(float(written))
        if number > MAX_ROWS:
            raise Unreadable(f"the sheet has more than {MAX_ROWS:,} rows, which is all that XLSX has", _ADVICE)
        if number <= self._row:
            raise Unreadable("the sheet has a row twice, or rows out of order", _ADVICE)
        self._row = number
        self._column = self._size = 0
        self._cells = []

    def _start_cell(self, attributes: dict[str, str]) -> None:
        written = attributes.get("r")
        column = self._column + 1 if written is None else _column(written)
        if not self._column < column <= MAX_COLUMNS:
            what = (
                f"cells beyond the column XFD, the last of {MAX_COLUMNS:,}"
                if column > MAX_COLUMNS
                else "a cell twice, or cells out of order"
            )
            raise Unreadable(f"row {self._row} of the sheet has {what}", _ADVICE)
        self._cells.extend([""] * (column - self._column - 1))
        self._column = column
        self._type = attributes.get("t", "n")
        self._style = int(attributes.get("s", 0))
        self._written = []
        self._length = 0

    def _characters(self, text: str) -> None:
        if self._inside and self._length < _MAX_WRITTEN:
            self._length += len(text)
            self._written.append(text)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name == _C:
            text = self._text("".join(self._written)[:_MAX_WRITTEN])
            self._size += len(text)
            if self._size > MAX_LINE:
                raise Unreadable(f"row {self._row} of the sheet has more than {MAX_LINE:,} characters", _ADVICE)
            self._cells.append(text)
        elif name in (_V, _T):
            self._inside = False
        elif name == _ROW:
            self._rows.append((self._row, self._cells))
        elif name == _RPH:
            self._pronounced = False

    def _text(self, written: str) -> str:
        if not written:
            return ""
        match self._type:
            case "s":
                return _unescaped(self._texts[int(written)])
            case "n":
                return self._number(written)
            case "b":
                return "True" if int(written) else "False"
            case "d":
                from openpyxl.utils.datetime import from_ISO8601

                parsed: Callable[[str], Any] = from_ISO8601
                return as_text(parsed(written))
            case _:
                return _unescaped(written)

    def _number(self, written: str) -> str:
        value = float(written) if "." in written or "e" in written or "E" in written else int(written)
        if self._style not in self._dates:
            return as_text(value)
        from openpyxl.utils.datetime import from_excel

        try:
            return as_text(from_excel(value, self._epoch, timedelta=self._style in self._durations))
        except (OverflowError, ValueError):
            return "#VALUE!"


_C, _V, _T, _ROW, _RPH = (f"{MAIN} {name}" for name in ("c", "v", "t", "row", "rPh"))
_REFERENCE: Final = re.compile(r"\$?([A-Za-z]{1,4})\$?[0-9]{1,8}", re.ASCII)


def _column(reference: str) -> int:
    """The number of the column of a cell such as `AB12`."""
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise ValueError("a cell without a reference")
    number = 0
    for letter in found[1].upper():
        number = number * 26 + ord(letter) - 64
    return number


# What XML cannot hold, such as a carriage return: ECMA-376 part 1, 22.9.2.19. openpyxl leaves it as it stands.
_ESCAPED: Final = re.compile("_x([0-9A-Fa-f]{4})_")


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def as_text(value: Any) -> str:
    """A number, date, time or duration as a person would write it."""
    if isinstance(value, float):
        # 15 digits are what Excel keeps and shows; more is the noise of binary fractions.
        return f"{Decimal(f'{value:z.15g}'):f}"
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat()
    if isinstance(value, timedelta):
        minutes, seconds = divmod(int(value.total_seconds()), 60)
        return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    return str(value)
