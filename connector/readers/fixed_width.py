"""Fixed-width text: columns by position, counted in characters."""

from __future__ import annotations

from typing import BinaryIO

from connector.feed.file_options import FileOptions
from connector.readers.table import BadRow, Notes, Rows, Table, Unreadable, header_names
from connector.readers.text import Text, lines_of, spoilt
from connector.readers.trailer import check_trailer


def open_fixed(stream: BinaryIO, head: bytes, *, name: str, options: FileOptions, notes: Notes) -> Table:
    """The lines of a fixed-width file, cut at the columns that the feed declares, without the spaces around each value.

    There is no header row (`skip` leaves one out). A line may be shorter than the layout, as many programs cut spaces
    off at a line's end: what is missing is empty.
    """
    names = [column.name for column in options.columns]
    columns = header_names(names, names)
    slices = [slice(column.start - 1, column.start - 1 + column.width) for column in options.columns]
    text = Text(stream, head, options, notes)

    def rows() -> Rows:
        number = 0
        try:
            for block in text.blocks():
                for line in lines_of(block):
                    record = line.rstrip("\r\n")
                    if not record:
                        continue
                    number += 1
                    fault = spoilt(record, "")
                    yield (
                        BadRow(number=number, fault=fault)
                        if fault
                        else (number, [record[s].strip(" ") for s in slices])
                    )
            check_trailer(text.trailer, options, rows=number)
        except Unreadable as fault:
            raise fault.of(name, after=number) from None

    return Table(columns, rows, notes)
