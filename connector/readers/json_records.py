"""JSON arrays and JSON Lines: records with columns by path."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from connector.feed.file_options import FileOptions
from connector.readers.json_text import Scanner, Values
from connector.readers.paths import Cutter, cell_of, discovered, leaves, path_of
from connector.readers.table import BadRow, Notes, Rows, Table, Unreadable
from connector.readers.text import MAX_LINE, TOO_LONG, Text, lines_of
from connector.readers.trailer import check_trailer
from connector.vocabulary.errors import Fault


def open_array(
    stream: BinaryIO, head: bytes, *, name: str, options: FileOptions, wanted: Sequence[str], notes: Notes
) -> Table:
    """The objects of a JSON array, at the path `record` where the feed names one.

    Without a path the text is the array, or an object with exactly one list of objects. Malformed JSON makes the rest
    of the file unreadable; an item that is no object is a `BadRow`.
    """
    text = Text(stream, head, options, notes)
    scanner = Scanner(text.decoded(), Values(as_written=True))

    def records() -> Iterator[Any]:
        yield from scanner.array_at(options.record.strip(".").split(".")) if options.record else scanner.only_array()
        scanner.finish()

    return _table(records(), name=name, wanted=wanted, notes=notes)


def open_lines(
    stream: BinaryIO, head: bytes, *, name: str, options: FileOptions, wanted: Sequence[str], notes: Notes
) -> Table:
    """The objects of a JSON Lines file; a line that is no object is a `BadRow`, a line without any text is none."""
    text = Text(stream, head, options, notes)
    values = Values(as_written=True)

    def records() -> Iterator[Any]:
        rows = 0
        for block in text.blocks():
            for line in lines_of(block):
                if line.strip():
                    rows += 1
                    yield _record(line, values)
        check_trailer(text.trailer, options, rows=rows)

    return _table(records(), name=name, wanted=wanted, notes=notes)


def _record(line: str, values: Values) -> Any:
    if TOO_LONG in line:
        return Fault(message=f"the line has more than {MAX_LINE:,} characters", advice="correct the export")
    try:
        record = values.whole(line)
        return values.fault() or record
    except json.JSONDecodeError as error:
        return Fault(message=f"malformed JSON: {error.msg}", advice="JSON Lines has one whole object a line")
    except RecursionError:
        return Fault(message="the JSON values are nested too deeply", advice="correct the export")
    except Unreadable as fault:
        return Fault(message=fault.message, advice=fault.advice)


def _table(records: Iterator[Any], *, name: str, wanted: Sequence[str], notes: Notes) -> Table:
    columns = tuple(dict.fromkeys(wanted))
    if not columns:
        columns, records = discovered(records, lambda record: leaves(record) if isinstance(record, dict) else ())
    cutter = Cutter(columns, path_of, cell_of)

    def rows() -> Rows:
        number = 0
        try:
            for record in records:
                number += 1
                if isinstance(record, dict):
                    yield cutter.row(number, record)
                elif isinstance(record, Fault):
                    yield BadRow(number=number, fault=record)
                else:
                    yield BadRow(
                        number=number, fault=Fault(message="the record is no JSON object", advice="correct the export")
                    )
        except Unreadable as fault:
            raise fault.of(name, after=number) from None
        if number:
            cutter.note_unseen(notes)

    return Table(columns, rows, notes)
