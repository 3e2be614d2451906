"""The parts of an XLSX package: found and described by `openpyxl`, and none of them read beyond a bound.

openpyxl builds a tree of every part that it reads, whatever its size. So it is given the small ones (workbook, styles,
relationships), and what grows with the drop is read as a stream: the sheet (`sheet`), and the texts that cells share.
"""

from __future__ import annotations

import zipfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Final
from xml.parsers import expat

from connector.readers.archive import Watched, check_member, check_sizes, open_zip
from connector.readers.sheet import MAIN, Names
from connector.readers.table import Unreadable

MAX_PART: Final = 4 * 1024 * 1024
"""Bytes of a part that is read as a whole. The styles of Excel's 65,490 cell formats fit."""
MAX_TAGS: Final = 300_000
"""Tags of such a part: openpyxl takes 800 bytes for each."""
MAX_TEXTS: Final = 128 * 1024 * 1024
"""Bytes of the texts that a workbook's cells share, with 8 for each."""
_PROLOG: Final = 64 * 1024
_PIECE: Final = 64 * 1024
_SAVE: Final = "open it in Excel and save it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    title: str
    visible: bool
    part: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A workbook but for its cells. Numbers of styles say which numbers are dates, and which are times."""

    archive: zipfile.ZipFile
    sheets: tuple[Sheet, ...]
    texts_part: str | None
    epoch: datetime
    date_styles: frozenset[int]
    duration_styles: frozenset[int]


def open_package(watched: Watched, *, limit: int) -> Package:
    """The package in `watched`. Raises `Unreadable`, and whatever openpyxl does where it is damaged."""
    archive = open_zip(watched)
    members = archive.infolist()
    check_sizes(members, limit=limit)
    for member in members:
        check_member(member)
        _check_prolog(archive, member)
    # Imported only when a drop is a workbook.
    from openpyxl.reader.excel import ExcelReader
    from openpyxl.styles.stylesheet import apply_stylesheet
    from openpyxl.xml.constants import SHARED_STRINGS

    reader: Any = ExcelReader(watched, read_only=True, data_only=True, keep_links=False)
    reader.archive = parts = _Parts(watched)
    reader.read_manifest()
    reader.read_workbook()
    apply_stylesheet(parts, reader.wb)
    sheets = tuple(
        Sheet(title=sheet.name, visible=sheet.state == "visible", part=relation.target)
        for sheet, relation in reader.parser.find_sheets()
        if relation.target in reader.valid_files and "chartsheet" not in relation.Type
    )
    texts = reader.package.find(SHARED_STRINGS)
    return Package(
        archive=parts,
        sheets=sheets,
        texts_part=None if texts is None else texts.PartName[1:],
        epoch=reader.wb.epoch,
        date_styles=frozenset(reader.wb._date_formats),
        duration_styles=frozenset(reader.wb._timedelta_formats),
    )


class _Parts(zipfile.ZipFile):
    """What openpyxl reads parts from."""

    def read(self, name: str | zipfile.ZipInfo, pwd: bytes | None = None) -> bytes:
        size = (name if isinstance(name, zipfile.ZipInfo) else self.getinfo(name)).file_size
        if size > MAX_PART:
            raise Unreadable(
                f"a part of the workbook that is no sheet has more than {MAX_PART:,} bytes",
                "copy the cells into a new workbook, or send them as CSV",
            )
        content = super().read(name, pwd)
        if content.count(b"<") > MAX_TAGS:
            raise Unreadable(
                f"a part of the workbook that is no sheet has more than {MAX_TAGS:,} tags",
                "copy the cells into a new workbook, or send them as CSV",
            )
        return content


def _check_prolog(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Refuse a part with a DTD, which the Open Packaging Conventions forbid (ECMA-376 part 2), whatever its name."""
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
    # A picture is no XML and may be there; a part that calls itself XML must be.
    if not inside and member.file_size and member.filename.lower().endswith((".xml", ".rels")):
        raise Unreadable("the workbook has a part that is no XML", _SAVE)


class Texts:
    """The texts that cells share, by number: as UTF-8 in one piece, which takes a fifth of what as many `str` do."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._ends = array("Q", [0])

    def __getitem__(self, number: int) -> str:
        if number < 0:
            raise IndexError(number)
        return self._content[self._ends[number] : self._ends[number + 1]].decode("utf-8", "surrogatepass")

    def add(self, text: str) -> None:
        self._content += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._content))
        if len(self._content) + 8 * len(self._ends) > MAX_TEXTS:
            raise Unreadable(
                f"the texts that the workbook's cells share take more than {MAX_TEXTS:,} bytes",
                "send the rows as CSV, which has no such limit",
            )


def shared_texts(part: IO[bytes]) -> Texts:
    """The shared texts of a workbook; what tells how a text is pronounced is left out."""
    texts = Texts()
    reading = _TextsParser(texts)
    try:
        for piece in _pieces(part):
            reading.parser.Parse(piece, not piece)
    finally:
        reading.close()
    return texts


def _pieces(part: IO[bytes]) -> Iterator[bytes]:
    while piece := part.read(_PIECE):
        yield piece
    yield b""


class _TextsParser:
    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._names = Names()
        self._written: list[str] = []
        self._size = 0
        self._inside = self._pronounced = False
        self.parser: Any = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def close(self) -> None:
        # The parser and its handlers hold each other.
        self.parser.StartElementHandler = self.parser.EndElementHandler = self.parser.CharacterDataHandler = None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._names.see(name, attributes)
        if name == f"{MAIN} t":
            self._inside = not self._pronounced
        elif name == f"{MAIN} rPh":
            self._pronounced = True
        elif name == f"{MAIN} si":
            self._written = []
            self._size = 0

    def _end(self, name: str) -> None:
        if name == f"{MAIN} si":
            self._texts.add("".join(self._written))
        elif name == f"{MAIN} t":
            self._inside = False
        elif name == f"{MAIN} rPh":
            self._pronounced = False

    def _characters(self, text: str) -> None:
        if self._inside:
            self._size += len(text)
            if self._size > MAX_TEXTS:
                raise Unreadable(f"a text of the workbook has more than {MAX_TEXTS:,} characters", _SAVE)
            self._written.append(text)
