"""What a drop is: first by its content, then by its name's extension."""

from __future__ import annotations

import re
import zipfile
from pathlib import PurePosixPath
from typing import Final

from connector.feed.file_options import FileOptions
from connector.readers.table import Unreadable
from connector.readers.text import bom_encoding, is_junk
from connector.vocabulary.scim import BULK_REQUEST

GZIP: Final = b"\x1f\x8b"
ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_FOREIGN: Final = (
    (
        b"\xd0\xcf\x11\xe0",
        "an Excel file of the old format, or one with a password",
        "save it as .xlsx without a password",
    ),
    (b"-----BEGIN PGP", "encrypted or signed with OpenPGP", "the feed's pgp section says how to decrypt it"),
    (b"%PDF", "a PDF", "send the data itself, for instance as CSV"),
    (b"7z\xbc\xaf", "a 7-Zip archive", "use gzip or ZIP"),
    (b"Rar!", "a RAR archive", "use gzip or ZIP"),
    (b"BZh", "a bzip2 file", "use gzip or ZIP"),
    (b"\xfd7zXZ", "an xz file", "use gzip or ZIP"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", "use gzip or ZIP"),
    (b"PAR1", "a Parquet file", "send CSV, JSON, XML or XLSX"),
)
_JSON_ARRAY = re.compile(r'\[\s*(?:[\[{"\]\d-]|true|false|null|$)')
_JSON_OBJECT = re.compile(r'\{\s*(?:["}]|$)')
_XML = re.compile(r"<(?:[?!]|[^\W\d][\w.:-]*[\s/>])")
_HTML = re.compile(r"<(?:!doctype\s+html|html)\b", re.IGNORECASE)
_BULK_OPERATION = re.compile(r'"Operations"\s*:\s*\[\s*\{[^{}\[\]]*"(?:method|bulkId|path)"\s*:')


def is_workbook(archive: zipfile.ZipFile) -> bool:
    """Whether a ZIP archive is an XLSX workbook. Raises `Unreadable` for another kind of office document."""
    names = set(archive.namelist())
    if "[Content_Types].xml" in names:
        if "xl/workbook.xml" in names:
            return True
        kind = (
            "a binary Excel workbook (.xlsb)"
            if "xl/workbook.bin" in names
            else "an office document, but no Excel workbook"
        )
        raise Unreadable(f"the file is {kind}", "save it as .xlsx")
    if "META-INF/manifest.xml" in names and "content.xml" in names:
        raise Unreadable("the file is an OpenDocument file", "save it as .xlsx or CSV")
    return False


def text_format(head: bytes, *, name: str, options: FileOptions) -> str:
    """The format of a drop that is neither an archive nor a workbook, from its first bytes and its name.

    Raises `Unreadable` for what is no text, or another program's format.
    """
    foreign = next(((what, advice) for magic, what, advice in _FOREIGN if head.startswith(magic)), None)
    if foreign:
        raise Unreadable(f"the file is {foreign[0]}", foreign[1])
    encoding = bom_encoding(head) or options.encoding
    if encoding is None and is_junk(head, delimiter=options.delimiter):
        even, odd = head[::2].count(0), head[1::2].count(0)
        if max(even, odd) > len(head) / 4 and min(even, odd) < len(head) / 50:
            raise Unreadable(
                "the file seems to be UTF-16 without a byte order mark",
                "say file: encoding in the feed file (utf-16-le)",
            )
        raise Unreadable(
            "the file is binary: no format that can be read", "send CSV, JSON, XML, XLSX or fixed-width text"
        )
    if options.format is not None:
        return options.format
    if options.columns:
        return "fixed"
    text = _decoded(head, encoding).lstrip("\ufeff \t\r\n")
    extension = PurePosixPath(name).suffix.lower()
    if _HTML.match(text):
        raise Unreadable("the file is an HTML page", "is it an error message or a login page of the HR system?")
    if _XML.match(text):
        return "xml"
    if _JSON_ARRAY.match(text):
        return "json"
    if _JSON_OBJECT.match(text):
        if BULK_REQUEST in text or _BULK_OPERATION.search(text):
            return "scim"
        return "jsonl" if extension in {".jsonl", ".ndjson"} or _lines_of_objects(text) else "json"
    if extension in {".json", ".jsonl", ".ndjson", ".xml", ".xlsx"}:
        raise Unreadable(
            f"the file's name ends with {extension}, but its content is something else",
            "say file: format in the feed file",
        )
    return "csv"


def _decoded(head: bytes, encoding: str | None) -> str:
    try:
        return head.decode(encoding or "utf-8", "replace")
    except (LookupError, UnicodeError):
        # Not an encoding at all: the reader says so.
        return ""


def _lines_of_objects(text: str) -> bool:
    """Whether the first line is an object by itself and the next begins another."""
    line, _, rest = text.partition("\n")
    return line.rstrip().endswith("}") and rest.lstrip().startswith("{")
