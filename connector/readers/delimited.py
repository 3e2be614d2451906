"""CSV and its relatives with the standard library's `csv`: its C parser is the fastest that reports what is malformed.

Where a block of text holds no quote at all, `str.split` does the same in half the time.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import BinaryIO

from connector.feed.file_options import FileOptions
from connector.readers.dialect import Dialect, find_dialect, reader_of, separator_line
from connector.readers.table import BadRow, Notes, Rows, Table, Unreadable, header_names
from connector.readers.text import BLOCK, MARK, MAX_LINE, TOO_LONG, UNDECODABLE, Text, lines_of, spoilt
from connector.readers.trailer import check_trailer
from connector.vocabulary.column_names import labels
from connector.vocabulary.errors import Fault

_SAMPLE_LINES = 200
_MAX_FIELD = 131_072
"""Characters of a field; what the `csv` module accepts unless a program changes it for all of its threads."""


def open_delimited(
    stream: BinaryIO, head: bytes, *, name: str, options: FileOptions, wanted: Sequence[str], notes: Notes
) -> Table:
    """A delimited file as a table. Raises `Unreadable` when it has no usable header row or its dialect is ambiguous.

    Without a header row the columns are named by `header`, or else "1", "2", ….
    A row with too many or too few fields, a malformed or unclosed quote, an undecodable byte or a NUL is a `BadRow`.
    After a row whose quoting is broken, reading goes on with the very next line, so that no quote can swallow the file.
    """
    text = Text(stream, head, options, notes)
    blocks = text.blocks()
    sample: list[str] = []
    size = 0
    for block in blocks:
        sample.append(block)
        size += len(block)
        if size >= BLOCK:
            break
    lines = lines_of("".join(sample))
    separator = _separator(text, lines)
    while lines and not lines[0].strip("\r\n"):
        del lines[0]
    listed = None if isinstance(options.header, bool) else options.header
    dialect = find_dialect(
        lines[:_SAMPLE_LINES],
        delimiter=options.delimiter if options.delimiter is not None else separator,
        quote=options.quote,
        wanted=frozenset(wanted),
        header=listed,
    )
    header: list[str] | None = None
    if listed is not None:
        columns = header_names(listed, listed)
    elif options.header:
        header = _header(lines, dialect)
        columns = header_names(header, wanted)
    else:
        columns = header_names([str(place) for place, _ in enumerate(_header(lines[:], dialect), start=1)], wanted)
    rows = _Reading(chain(("".join(lines),), blocks), dialect, columns, header, notes, known=listed or wanted)
    return Table(
        columns,
        lambda: rows.items(name, text, options),
        notes,
        leading=lambda count: rows.items(name, text, options, leading=count),
    )


def _separator(text: Text, lines: list[str]) -> str | None:
    """The delimiter of Excel's `sep=` line, which is taken off; it may be one of the lines that the feed skips."""
    if lines and (separator := separator_line(lines[0])) is not None:
        del lines[0]
        return separator
    return separator_line(text.preamble[0]) if text.preamble else None


def _header(lines: list[str], dialect: Dialect) -> list[str]:
    """The first row, which is taken off."""
    reader = reader_of(lines, dialect)
    try:
        cells = next(reader, None)
    except csv.Error:
        raise Unreadable(
            "a quote in the header row is never closed, or not doubled", "correct the header row, or file: quote"
        ) from None
    if cells is None:
        raise Unreadable(
            "the file has no header row", "the first row must name the columns, or list them under file: header"
        )
    if any(mark in cell for cell in cells for mark in (UNDECODABLE, TOO_LONG, "\0")):
        raise Unreadable("the header row cannot be decoded", "say file: encoding in the feed file")
    del lines[: reader.line_num]
    return cells


class _Window:
    """The lines of one block, and of those after it for as long as a quoted field runs on.

    `start` is the index of the line with which the current row begins; lines before it are forgotten when a block is
    added.
    """

    def __init__(self, block: str, blocks: Iterator[str], notes: Notes) -> None:
        self._blocks = blocks
        self._notes = notes
        self._offset = 0
        self._lines: list[str] = []
        self.start = 0
        self.suspect = False
        self._add(block)

    @property
    def end(self) -> int:
        return self._offset + len(self._lines)

    def _add(self, block: str) -> None:
        self.suspect = self.suspect or _is_suspect(block)
        lines = lines_of(block)
        if MARK in block and any(line.startswith(MARK) for line in lines):
            self._notes.add("byte order marks in the middle of the file were left out")
            lines = [line.lstrip(MARK) for line in lines]
        del self._lines[: self.start - self._offset]
        self._offset = self.start
        self._lines += lines

    def grow(self) -> bool:
        """Add the next block; False at the end of the file."""
        block = next(self._blocks, None)
        if block is not None:
            self._add(block)
        return block is not None

    def pieces(self) -> Iterator[list[str]]:
        """The lines from `start` on, a list at a time."""
        position = self.start
        while True:
            yield self._lines[position - self._offset :]
            position = self.end
            if not self.grow():
                return

    def rest(self) -> list[str]:
        """The lines from `start` on that are held."""
        return self._lines[self.start - self._offset :]

    def row_with_quotes_closed(self, quote: str) -> tuple[str, int]:
        """The text from `start` until its quotes are balanced, and its number of lines; "" where they are not soon."""
        count = quotes = size = 0
        while size <= MAX_LINE:
            if self.start + count == self.end and not self.grow():
                break
            line = self._lines[self.start + count - self._offset]
            count += 1
            size += len(line)
            quotes += line.count(quote)
            if not quotes % 2:
                first = self.start - self._offset
                return "".join(self._lines[first : first + count]), count
        return "", 0


def _is_suspect(block: str) -> bool:
    return UNDECODABLE in block or "\0" in block or TOO_LONG in block or MARK in block


class _Reading:
    def __init__(
        self,
        blocks: Iterator[str],
        dialect: Dialect,
        columns: Sequence[str],
        header: list[str] | None,
        notes: Notes,
        *,
        known: Sequence[str],
    ) -> None:
        self._blocks = blocks
        self._dialect = dialect
        self._columns = columns
        self._known = known
        self._header = header
        self._notes = notes
        self._number = 0
        quote, delimiter = re.escape(dialect.quote), re.escape(dialect.delimiter)
        field = rf"(?:{quote}(?:[^{quote}]++|{quote}{quote})*+{quote}|[^{quote}{delimiter}\r\n][^{delimiter}\r\n]*+|)"
        self._well_formed = rf"{field}(?:{delimiter}{field}){{{len(columns) - 1}}}(?:\r\n|\n|\r|)"

    def items(self, name: str, text: Text, options: FileOptions, *, leading: int = 0) -> Rows:
        """The rows; of each at least the first `leading` cells, where that is not 0."""
        header, width, delimiter = self._header, len(self._columns), self._dialect.delimiter
        first = header[0] if header else None
        # Where most of the line is wanted, counting its delimiters beforehand saves nothing.
        short = leading if 0 < leading < width // 2 else 0
        try:
            for block in self._blocks:
                plain = self._plain(block)
                if plain is None:
                    yield from self._parsed(block)
                    continue
                number = self._number
                for line in plain:
                    if short and line.count(delimiter) == width - 1:
                        cells = line.split(delimiter, short)
                        if cells[0] != first:
                            number += 1
                            yield number, cells
                            continue
                    cells = line.split(delimiter)
                    if len(cells) == width:
                        number += 1
                        if cells == header:
                            yield _repeated_header(number)
                        else:
                            yield number, cells
                    elif line:
                        number += 1
                        yield self._ragged(number, cells, lines=1)
                self._number = number
            check_trailer(text.trailer, options, rows=self._number)
        except Unreadable as fault:
            raise fault.of(name, after=self._number) from None

    def _plain(self, block: str) -> list[str] | None:
        """The block's lines without their ends, if splitting them gives the same as parsing; else None."""
        quote = self._dialect.quote
        # A block this long has a long line; with one column, a blank line would pass for a row.
        if len(block) > _MAX_FIELD or len(self._columns) == 1 or (quote and quote in block) or _is_suspect(block):
            return None
        if "\r" not in block:
            return block.split("\n")
        if block.count("\r") == block.count("\n") == block.count("\r\n"):
            return block.split("\r\n")
        return None

    def _parsed(self, block: str) -> Rows:
        """The rows of a block, and of the blocks into which its last quoted field runs on, by the parser."""
        header, width, delimiter, quote = self._header, len(self._columns), self._dialect.delimiter, self._dialect.quote
        window = _Window(block, self._blocks, self._notes)
        # Where few rows have quotes, a parser of its own for each of them is cheaper than the parser for all.
        sparse = bool(quote) and width > 1 and block.count(quote) < window.end
        number = self._number
        while window.start < window.end:
            if sparse and not window.suspect:
                for line in window.rest():
                    if quote in line or len(line) > _MAX_FIELD:
                        break
                    text = line.rstrip("\r\n")
                    cells = text.split(delimiter)
                    if len(cells) == width:
                        number += 1
                        if cells == header:
                            yield _repeated_header(number)
                        else:
                            yield number, cells
                    elif text:
                        number += 1
                        yield self._ragged(number, cells, lines=1)
                    window.start += 1
                self._number = number
                if window.start == window.end:
                    return
            base = window.start
            reader = reader_of(chain.from_iterable(window.pieces()), self._dialect)
            try:
                for cells in reader:
                    position = base + reader.line_num
                    if len(cells) == width:
                        number += 1
                        if window.suspect and (fault := self._spoilt(cells)):
                            yield BadRow(number=number, fault=fault)
                        elif cells == header:
                            yield _repeated_header(number)
                        else:
                            yield number, cells
                    elif cells:
                        number += 1
                        fault = self._spoilt(cells) if window.suspect else None
                        if fault:
                            yield BadRow(number=number, fault=fault)
                        else:
                            yield self._ragged(number, cells, lines=position - window.start)
                    window.start = position
                    if sparse or position == window.end:
                        break
            except Unreadable:
                self._number = number
                raise
            except csv.Error as error:
                number += 1
                fault, lines = self._malformed(str(error), window)
                yield BadRow(number=number, fault=fault)
                window.start += lines
            self._number = number

    def _malformed(self, error: str, window: _Window) -> tuple[Fault, int]:
        """What is wrong with the row at the window's start, and how many lines to leave out."""
        quote = self._dialect.quote
        if "field limit" in error:
            row, lines = window.row_with_quotes_closed(quote) if quote else ("", 1)
            if lines == 1 or (row and re.fullmatch(self._well_formed, row)):
                return Fault(
                    message=f"a field has more than {_MAX_FIELD:,} characters",
                    advice="no attribute holds as much: correct the export",
                ), lines
        if "field limit" in error or "end of data" in error:
            return Fault(
                message="a quote that opens in this row is never closed",
                advice="close it, or double it if it is part of the value",
            ), 1
        return Fault(
            message="text follows a closing quote, or a quote that opens in this row is closed in another",
            advice="double the quotes that are part of a value",
        ), 1

    def _ragged(self, number: int, cells: Sequence[str], *, lines: int) -> BadRow:
        found, expected = len(cells), len(self._columns)
        over = f" (it runs over {lines} lines: is a quote missing?)" if lines > 1 else ""
        return BadRow(
            number=number,
            fault=Fault(
                message=f"the row has {found} field{'s' * (found > 1)} where the header has {expected}{over}",
                advice="quote the values that hold the delimiter"
                if found > expected
                else "fill the row up with empty fields",
            ),
        )

    @cached_property
    def _labels(self) -> Sequence[str]:
        return labels(self._columns, self._known)

    def _spoilt(self, cells: Sequence[str]) -> Fault | None:
        for position, cell in enumerate(cells):
            if spoilt(cell, ""):
                column = self._labels[position] if position < len(self._columns) else ""
                return spoilt(cell, column)
        return None


def _repeated_header(number: int) -> BadRow:
    return BadRow(
        number=number,
        fault=Fault(message="the row repeats the header", advice="were two files joined? send them one by one"),
    )
