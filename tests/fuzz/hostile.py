"""Drops that are made to fill the memory, and what is said of each: `make hostile` plans them all.

A few of them run with every `make test` (`tests/unit/planning/test_memory.py`).
"""

from __future__ import annotations

import gzip
import io
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connector.vocabulary.scim import BULK_REQUEST
from tests.kit.planned import FEED, planned
from tests.unit.readers.test_workbook import workbook

MIB: Final = 1 << 20
LIMIT: Final = 512
MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SHEET: Final = "xl/worksheets/sheet1.xml"
SHARED: Final = "xl/sharedStrings.xml"

Pieces = Iterable[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """`write` puts the drop into a file; `said` is how what is said of it begins; `file` is the feed's section."""

    write: Callable[[Path], None]
    said: str
    file: str = ""


def times(piece: bytes, size: int) -> Iterator[bytes]:
    """The piece again and again, to that many bytes."""
    block = piece * (MIB // len(piece))
    for _ in range(size // MIB):
        yield block


def plain(make: Callable[[], Pieces]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.writelines(make())

    return write


def zipped(**parts: Callable[[], Pieces]) -> Callable[[Path], None]:
    """A workbook in which these parts ("sheet", "shared", "styles") have other contents, not compressed."""
    names = {"sheet": SHEET, "shared": SHARED, "styles": "xl/styles.xml"}

    def write(path: Path) -> None:
        with (
            zipfile.ZipFile(io.BytesIO(workbook(("S", [["a", "b"]])))) as old,
            zipfile.ZipFile(path, "w") as new,
        ):
            content = {name: old.read(name) for name in old.namelist()}
            types = content["[Content_Types].xml"]
            kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
            declared = f'<Override PartName="/{SHARED}" ContentType="{kind}"/></Types>'.encode()
            content["[Content_Types].xml"] = types.replace(b"</Types>", declared)
            content.setdefault(SHARED, f'<sst xmlns="{MAIN}"/>'.encode())
            for name, bytes_ in content.items():
                if name not in {names[part] for part in parts}:
                    new.writestr(name, bytes_)
            for part, make in parts.items():
                with new.open(names[part], "w") as file:
                    file.writelines(make())

    return write


def sheet(rows: Callable[[], Pieces]) -> Callable[[], Pieces]:
    def make() -> Iterator[bytes]:
        yield f'<worksheet xmlns="{MAIN}"><sheetData>'.encode()
        yield b'<row><c t="inlineStr"><is><t>a</t></is></c><c t="inlineStr"><is><t>b</t></is></c></row>'
        yield from rows()
        yield b"</sheetData></worksheet>"

    return make


def shared(items: Callable[[], Pieces]) -> Callable[[], Pieces]:
    def make() -> Iterator[bytes]:
        yield f'<sst xmlns="{MAIN}">'.encode()
        yield from items()
        yield b"</sst>"

    return make


def numbered(template: bytes, count: int) -> Iterator[bytes]:
    for start in range(0, count, 10_000):
        yield b"".join(template.replace(b"#", b"%d" % number) for number in range(start, min(start + 10_000, count)))


BULK = (
    f'{{"schemas": ["{BULK_REQUEST}"], "Operations": [{{"method": "POST", "path": "/Users", "data": {{"x": ['.encode()
)
LONG = "the line has more than 4,194,304 characters"
VALUE = "a value has more than 4,194,304 characters"
RECORD = "no record ends within 4,194,304 bytes"
ROWS = "the drop has more than 1,000,000 rows, which is the setting MAX_ROWS"
RATIO = "file expands to more than 200 times its size"
TEXTS = "the texts that the workbook's cells share take more than 134,217,728 bytes"


def _gzip_bomb(path: Path) -> None:
    with gzip.open(path, "wb", 9) as file:
        file.writelines([b"a,b\n", *times(b"1,xxxxxxxxxxxxx\n", 16 * MIB)])


def _zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("people.csv", "w") as file:
        file.writelines([b"a,b\n", *times(b"1,xxxxxxxxxxxxx\n", 16 * MIB)])


def _zip_of_many(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number:08}", b"")


HOSTILE: Final[dict[str, Hostile]] = {
    "csv: one line": Hostile(write=plain(lambda: [b"a,b\n1,", *times(b"x", 16 * MIB)]), said=LONG),
    "csv: a million columns": Hostile(
        write=plain(lambda: [b"a,b,", *numbered(b"#,", 300_000), b"c\n"]),
        said="the file has 300,003 columns, and 16,384 are the most",
    ),
    "csv: a million fields": Hostile(
        write=plain(lambda: [b"a,b\n", *[b"1," * 2_000_000 + b"\n"] * 5]),
        said="the row has 2000001 fields where the header has 2",
    ),
    "csv: a quoted field": Hostile(write=plain(lambda: [b'a,b\n1,"', *times(b"x\n", 8 * MIB)]), said=ROWS),
    "csv: quotes": Hostile(write=plain(lambda: [b"a,b\n", *times(b'"\n', 8 * MIB)]), said=ROWS),
    "csv: a header without end": Hostile(
        write=plain(lambda: times(b"abcdefgh", 64 * MIB)), said="the header row cannot be decoded"
    ),
    "csv: long identifiers twice": Hostile(
        write=plain(lambda: [b"a,b\n", *[*numbered(b"#" + b"y" * 900 + b",x\n", 100_000)] * 2]), said=""
    ),
    "fixed: one line": Hostile(
        write=plain(lambda: [b"1  abc\n", *times(b"x", 64 * MIB)]),
        said=LONG,
        file="file: {format: fixed, columns: {a: 1-3, b: 4-6}}\n",
    ),
    "json: a value": Hostile(write=plain(lambda: [b'[{"a":"1","b":"', *times(b"x", 64 * MIB)]), said=VALUE),
    "json: objects in a cell": Hostile(write=plain(lambda: [b'[{"a":"1","b":[', *times(b"{},", 64 * MIB)]), said=VALUE),
    "json: keys": Hostile(write=plain(lambda: [b'[{"a":"1"', *numbered(b',"k#":{}', 800_000), b"}]"]), said=VALUE),
    "json: lists in a cell": Hostile(
        write=plain(lambda: [b'[{"a":"1","b":[', b"[]," * 1_300_000, b"1]}]"]), said="the value is a list of lists"
    ),
    "json: depth": Hostile(
        write=plain(lambda: [b'[{"a":"1","b":', b"[" * 3_000_000]), said="the JSON values are nested too deeply"
    ),
    "jsonl: depth": Hostile(
        write=plain(lambda: [b'{"a":"1"}\n{"a":"2","b":', b'{"x":' * 800_000, b"\n"]),
        said="the JSON values are nested too deeply",
    ),
    "jsonl: one line": Hostile(write=plain(lambda: [b'{"a":"1"}\n{"a":"', *times(b"x", 64 * MIB)]), said=LONG),
    "xml: children": Hostile(
        write=plain(lambda: [b"<r><e><a>1</a>", *times(b"<b/>", 16 * MIB)]),
        said="a record has more than 10,000 elements and attributes",
    ),
    "xml: attributes": Hostile(
        write=plain(lambda: [b"<r><e ", *numbered(b'k#="" ', 250_000), b"/></r>"]),
        said="a record has more than 10,000 elements and attributes",
    ),
    "xml: an attribute": Hostile(write=plain(lambda: [b'<r><e a="', *times(b"x", 64 * MIB)]), said=RECORD),
    "xml: a text": Hostile(write=plain(lambda: [b"<r><e><a>", *times(b"x", 64 * MIB)]), said=RECORD),
    "xml: names": Hostile(
        write=plain(lambda: [b"<r>", *numbered(b"<e><a#/></e>", 500_000)]),
        said="the XML file has more than 10,000 different names",
    ),
    "xml: prefixes": Hostile(
        write=plain(lambda: [b"<r>", *numbered(b"<e xmlns:p#='u#'/>", 500_000)]),
        said="the XML file has more than 10,000 different names",
    ),
    "xml: a comment": Hostile(write=plain(lambda: [b"<r><!--", *times(b"x", 64 * MIB)]), said=RECORD),
    "scim: a user": Hostile(write=plain(lambda: [BULK, *times(b"[],", 64 * MIB)]), said=VALUE),
    "gzip: a bomb": Hostile(write=_gzip_bomb, said=f"the gzip {RATIO}"),
    "zip: a bomb": Hostile(write=_zip_bomb, said=f"the ZIP {RATIO}"),
    "zip: members": Hostile(
        write=_zip_of_many, said="the list of what the ZIP file holds has more than 1,048,576 bytes"
    ),
    "xlsx: the last row": Hostile(
        write=zipped(sheet=sheet(lambda: [b'<row r="1048576"><c r="A1048576"><v>1</v></c></row>'])), said=""
    ),
    "xlsx: the last column": Hostile(
        write=zipped(sheet=sheet(lambda: numbered(b'<row><c><v>#</v></c><c r="XFD1"><v>1</v></c></row>', 300))),
        said="the row has values beyond the header's last column",
    ),
    "xlsx: cells of a row": Hostile(
        write=zipped(sheet=sheet(lambda: [b"<row>", *times(b"<c/>", 64 * MIB)])),
        said="row 2 of the sheet has cells beyond the column XFD",
    ),
    "xlsx: a cell": Hostile(
        write=zipped(
            sheet=sheet(lambda: [b'<row><c t="inlineStr"><is><t>', *times(b"x", 64 * MIB), b"</t></is></c></row>"])
        ),
        said="the cell has more than 32,767 characters",
    ),
    "xlsx: names": Hostile(
        write=zipped(sheet=sheet(lambda: numbered(b"<row k#='1'/>", 500_000))),
        said="a part of the workbook has more than 1,000 different names",
    ),
    "xlsx: texts": Hostile(
        write=zipped(shared=shared(lambda: times(b"<si><t>ab</t></si>", 288 * MIB)), sheet=sheet(list)), said=TEXTS
    ),
    "xlsx: one text": Hostile(
        write=zipped(shared=shared(lambda: [b"<si><t>", *times(b"x", 192 * MIB), b"</t></si>"]), sheet=sheet(list)),
        said="a text of the workbook has more than 134,217,728 characters",
    ),
    "xlsx: one text in every cell": Hostile(
        write=zipped(
            shared=shared(lambda: [b"<si><t>", b"x" * 32_767, b"</t></si>"]),
            sheet=sheet(lambda: [b"<row>", b'<c t="s"><v>0</v></c>' * 16_384, b"</row>"]),
        ),
        said="row 2 of the sheet has more than 4,194,304 characters",
    ),
    "xlsx: styles": Hostile(
        write=zipped(
            styles=lambda: [
                f'<styleSheet xmlns="{MAIN}"><cellXfs>'.encode(),
                b"<xf/>" * 800_000,
                b"</cellXfs></styleSheet>",
            ],
            sheet=sheet(list),
        ),
        said="a part of the workbook that is no sheet has more than 300,000 tags",
    ),
    "xlsx: many styles": Hostile(
        write=zipped(
            styles=lambda: [
                f'<styleSheet xmlns="{MAIN}"><cellXfs>'.encode(),
                b"<xf/>" * 299_000,
                b"</cellXfs></styleSheet>",
            ],
            sheet=sheet(list),
        ),
        said="",
    ),
    "xlsx: more styles": Hostile(
        write=zipped(
            styles=lambda: [
                f'<styleSheet xmlns="{MAIN}"><cellXfs>'.encode(),
                b"<xf/>" * 301_000,
                b"</cellXfs></styleSheet>",
            ],
            sheet=sheet(list),
        ),
        said="a part of the workbook that is no sheet has more than 300,000 tags",
    ),
}


def main() -> int:
    """Plans them all; 1 where one takes too much, or is not said."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, hostile in HOSTILE.items():
            if len(sys.argv) > 1 and not any(word in name for word in sys.argv[1:]):
                continue
            path = Path(folder) / "drop"
            hostile.write(path)
            found = planned(path, feed=FEED + hostile.file, timeout=300)
            good = found.peak < LIMIT and found.said.startswith(hostile.said)
            failed += not good
            mark = " " if good else "✗"
            print(f"{mark} {name:32} {found.peak:4} MiB {found.seconds:6.1f} s  {found.said[:90]}", flush=True)
            path.unlink()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
