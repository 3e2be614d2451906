"""Opening a drop: take off its wrapping, detect its format, hand it to that format's reader."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import BinaryIO

from connector.feed.file_options import FileOptions
from connector.readers.archive import Watched, expand_gzip, expand_zip, open_zip
from connector.readers.detect import GZIP, ZIP, is_workbook, text_format
from connector.readers.table import Notes, ScimTable, Table, Unreadable

_HEAD = 64 * 1024
_MAX_PACKED_WORKBOOK = 64 * 1024 * 1024
MAX_COLUMNS = 16_384
"""As many as XLSX has."""


def open_drop(
    stream: BinaryIO, *, name: str, options: FileOptions, wanted: Sequence[str], max_rows: int | None = None
) -> Table | ScimTable:
    """The rows of a drop, whatever it is: CSV, JSON, JSON Lines, XLSX, XML, fixed width, SCIM, plain or in gzip or ZIP.

    `stream` is seekable and buffered, and must stay open while the table is read; the table reads it once. `wanted`
    are the columns that are read: JSON and XML give exactly these, or all that the first 100 records have when there
    are none; elsewhere they help to detect the delimiter. `max_rows` is the setting MAX_ROWS, bad rows included; None
    is no bound. Raises `DropUnusable` (also while the table is read) for a
    file that is unusable as a whole; what the stream itself raises goes through.
    """
    notes = Notes()
    try:
        table = _open(stream, name=name, options=options, wanted=wanted, notes=notes)
        if len(table.columns) > MAX_COLUMNS:
            raise Unreadable(
                f"the file has {len(table.columns):,} columns, and {MAX_COLUMNS:,} are the most",
                "is file: delimiter right? this bound is fixed",
            )
        return table if max_rows is None else table.bounded(name, max_rows)
    except Unreadable as fault:
        raise fault.of(name) from None


def _open(
    stream: BinaryIO, *, name: str, options: FileOptions, wanted: Sequence[str], notes: Notes
) -> Table | ScimTable:
    inner = name
    head = _head(stream)
    packed = False
    if head.startswith(GZIP):
        stream, packed = expand_gzip(stream, limit=options.max_expanded), True
        inner = name.removesuffix(".gz")
        head = _head(stream)
    if head.startswith(ZIP):
        watched = Watched(_held(stream) if packed else stream)
        archive = open_zip(watched)
        if is_workbook(archive):
            return _workbook(watched, name=name, options=options, wanted=wanted, notes=notes)
        if packed:
            raise Unreadable("the file is packed twice", "pack it once")
        stream, inner = expand_zip(watched, archive, limit=options.max_expanded)
        packed = True
        head = _head(stream)
        if head.startswith(ZIP) and is_workbook(open_zip(held := Watched(_held(stream)))):
            return _workbook(held, name=name, options=options, wanted=wanted, notes=notes)
    if packed and head.startswith((GZIP, *ZIP)):
        raise Unreadable("the file is packed twice", "pack it once")
    if not head.strip() or head.strip() == b"\xef\xbb\xbf":
        raise Unreadable("the file is empty", "if nobody is to be changed, send the header row alone")
    if options.format == "xlsx":
        raise Unreadable("the file is no XLSX workbook", "correct file: format in the feed file, or the export")
    return _text(stream, head, inner=PurePosixPath(inner).name, name=name, options=options, wanted=wanted, notes=notes)


def _head(stream: BinaryIO) -> bytes:
    stream.seek(0)
    head = stream.read(_HEAD)
    stream.seek(0)
    return head


def _held(stream: BinaryIO) -> BinaryIO:
    """An archive within an archive, in memory: it has to be read from its end."""
    stream.seek(0)
    content = stream.read(_MAX_PACKED_WORKBOOK + 1)
    if len(content) > _MAX_PACKED_WORKBOOK:
        raise Unreadable(
            f"the packed workbook has more than {_MAX_PACKED_WORKBOOK:,} bytes", "send it unpacked: XLSX is compressed"
        )
    return io.BytesIO(content)


# Each format's reader is imported when a drop has that format: a worker that reads CSV never loads openpyxl or expat.


def _workbook(stream: Watched, *, name: str, options: FileOptions, wanted: Sequence[str], notes: Notes) -> Table:
    from connector.readers.workbook import open_workbook

    if options.format not in (None, "xlsx"):
        raise Unreadable(
            f"the file is an XLSX workbook, not {options.format}",
            "correct file: format in the feed file, or the export",
        )
    return open_workbook(stream, name=name, options=options, wanted=wanted, notes=notes)


def _text(
    stream: BinaryIO, head: bytes, *, inner: str, name: str, options: FileOptions, wanted: Sequence[str], notes: Notes
) -> Table | ScimTable:
    kind = text_format(head, name=inner, options=options)
    match kind:
        case "csv" | "tsv":
            from connector.readers.delimited import open_delimited

            return open_delimited(stream, head, name=name, options=options, wanted=wanted, notes=notes)
        case "json":
            from connector.readers.json_records import open_array

            return open_array(stream, head, name=name, options=options, wanted=wanted, notes=notes)
        case "jsonl":
            from connector.readers.json_records import open_lines

            return open_lines(stream, head, name=name, options=options, wanted=wanted, notes=notes)
        case "scim":
            from connector.readers.scim_bulk import open_bulk

            return open_bulk(stream, head, name=name, options=options, notes=notes)
        case "xml":
            from connector.readers.xml_records import open_xml

            return open_xml(stream, head, name=name, options=options, wanted=wanted, notes=notes)
        case "fixed":
            from connector.readers.fixed_width import open_fixed

            return open_fixed(stream, head, name=name, options=options, notes=notes)
        case _:
            raise Unreadable(f"the format {kind!r} is unknown", "correct file: format in the feed file")
