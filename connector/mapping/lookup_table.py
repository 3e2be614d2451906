"""A lookup table from a CSV file beside the feed file: a header row, then one entry a row."""

from __future__ import annotations

import csv
import difflib
import io
from typing import Final

from connector.mapping.value_checks import unsendable

MAX_BYTES: Final = 16 << 20


class BadTable(Exception):
    """A lookup file that cannot be used; the message is for the feed's author (a table holds no personal data, but no
    cell is shown).
    """

    def __init__(self, message: str, advice: str) -> None:
        self.message = message
        self.advice = advice
        super().__init__(message)


def read_table(content: bytes, *, key: str, value: str) -> dict[str, str]:
    """The entries of the columns `key` and `value` ("" is the first and the second). Raises `BadTable`."""
    if len(content) > MAX_BYTES:
        raise BadTable(f"it is larger than {MAX_BYTES >> 20} MiB", "a lookup table is a small thing: keep what is used")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadTable(f"line {line} is not UTF-8", "save it as UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        key_at, value_at = _place(header, key, 0), _place(header, value, 1)
        table: dict[str, str] = {}
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise BadTable(
                    f"line {reader.line_num} has {len(row)} fields, the header {len(header)}", "correct the line"
                )
            if unsendable(row[value_at]):
                raise BadTable(f"line {reader.line_num} has a control character in it", "delete the character")
            if table.setdefault(row[key_at], row[value_at]) != row[value_at]:
                raise BadTable(
                    f"line {reader.line_num} gives a key another value than a line before", "keep one of them"
                )
    except csv.Error as error:
        raise BadTable(
            f"line {reader.line_num} is not CSV: {error}", "quote fields with a comma or a quote in them"
        ) from error
    return table


def _place(header: list[str], name: str, place: int) -> int:
    if not name:
        if len(header) <= place:
            raise BadTable("it needs a header and two columns, separated by a comma", "save it as CSV with a comma")
        return place
    if header.count(name) != 1:
        near = difflib.get_close_matches(name, header, n=2)
        advice = f"did you mean {' or '.join(near)}?" if near else "name a column of its header"
        raise BadTable(
            f"there is no column {name!r}" if name not in header else f"the column {name!r} is there twice", advice
        )
    return header.index(name)
