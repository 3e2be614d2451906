"""What a drop may be: each bound, a little beyond it, and what is said."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from connector.feed.file_options import FileOptions
from connector.readers import open_drop
from connector.readers.drop import MAX_COLUMNS
from connector.vocabulary.errors import DropUnusable, Fault
from connector.vocabulary.scim import BULK_REQUEST
from tests.fuzz.hostile import zipped
from tests.unit.readers.reading import faults_of, rows_of, unusable
from tests.unit.readers.samples import SAMPLES
from tests.unit.readers.test_workbook import SHEET, rewritten, workbook

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def sheet(rows: str) -> bytes:
    """A workbook whose one sheet has these rows, as XML."""
    content = f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
    # Not compressed: what is this repetitive would be taken for a bomb.
    return rewritten(workbook(("S", [["a"]])), SHEET, lambda _: content.encode(), compression=zipfile.ZIP_STORED)


def row(number: int, *cells: str) -> str:
    return f'<row r="{number}">{"".join(cells)}</row>'


def cell(reference: str, text: str) -> str:
    return f'<c r="{reference}" t="inlineStr"><is><t>{text}</t></is></c>'


HEADER = row(1, cell("A1", "id"), cell("B1", "name"))
SAVE = "open it in Excel and save it again"


def test_rows_that_are_missing_in_a_sheet_cost_nothing() -> None:
    data = sheet(HEADER + row(1_048_575, cell("A1048575", "1")) + row(1_048_576, cell("B1048576", "z")))
    assert rows_of(data) == [["1", ""], ["", "z"]]


def test_lines_that_are_skipped_are_those_of_the_sheet_missing_ones_included() -> None:
    data = sheet(row(3, cell("A3", "Report")) + row(5, cell("A5", "id")) + row(9, cell("A9", "1")))
    assert rows_of(data, skip=4) == [["1"]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (row(1_048_577, cell("A1048577", "1")), "the sheet has more than 1,048,576 rows, which is all that XLSX has"),
        (row(1, cell("A1", "1")), "the sheet has a row twice, or rows out of order"),
        (row(2, cell("XFE2", "1")), "row 2 of the sheet has cells beyond the column XFD, the last of 16,384"),
        (row(2, cell("B2", "1"), cell("A2", "1")), "row 2 of the sheet has a cell twice, or cells out of order"),
        (row(2, *["<c/>"] * 16_385), "row 2 of the sheet has cells beyond the column XFD, the last of 16,384"),
        (
            row(2, *[cell(f"{column}2", "x" * 200_000) for column in "ABCDEFGHIJKLMNOPQRSTUV"]),
            "row 2 of the sheet has more than 4,194,304 characters",
        ),
        (row(2, "<x>" * 100 + "</x>" * 100), "the elements of a sheet are nested more than 100 deep"),
        (
            row(2, "".join(f"<c k{number}='1'/>" for number in range(1_001))),
            "a part of the workbook has more than 1,000 different names",
        ),
    ],
    ids=["row", "order", "column", "cell order", "cells", "characters", "depth", "names"],
)
def test_a_sheet_is_no_larger_than_excels(rows: str, message: str) -> None:
    (fault,) = faults_of(sheet(HEADER + rows))
    assert fault == Fault(message=f"{message}; before the first row", advice=SAVE)


def test_a_cell_that_is_longer_than_excels_spoils_its_row_where_it_is_read() -> None:
    data = sheet(
        HEADER
        + row(2, cell("A2", "x" * 32_767), cell("B2", "_x000D_" * 32_767))
        + row(3, cell("A3", "1"), cell("B3", "x" * 32_768))
        + row(4, cell("A4", "2"), cell("B4", "x" * 1_000_000))
    )
    fault = Fault(
        message="the cell has more than 32,767 characters, which is all that XLSX has",
        advice="shorten the value in the HR system",
        column="name",
    )
    assert faults_of(data, wanted=("id", "name")) == [fault, fault]
    assert faults_of(data, wanted=("id",)) == []


def test_what_tells_how_a_text_is_pronounced_is_no_part_of_it(tmp_path: Path) -> None:
    shared = f"""<sst xmlns="{MAIN}"><si><r><t>id</t></r></si>
        <si><r><t>東</t></r><r><t>京</t></r><rPh sb="0" eb="2"><t>トウキョウ</t></rPh></si><si/></sst>"""
    rows = "".join(row(n, f'<c r="A{n}" t="s"><v>{n - 1}</v></c>') for n in (1, 2, 3))
    content = f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
    zipped(sheet=lambda: [content.encode()], shared=lambda: [shared.encode()])(tmp_path / "x.xlsx")
    assert rows_of((tmp_path / "x.xlsx").read_bytes()) == [["東京"]]


def test_a_part_that_is_no_sheet_has_a_bound() -> None:
    data = rewritten(
        workbook(("S", [["a"], ["1"]])),
        "xl/styles.xml",
        lambda xml: xml.replace(b"</styleSheet>", b" " * 4_194_304 + b"</styleSheet>"),
        compression=zipfile.ZIP_STORED,
    )
    assert unusable(data).startswith("a part of the workbook that is no sheet has more than 4,194,304 bytes")


def test_a_part_with_a_dtd_is_refused_whatever_its_name() -> None:
    laughs = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">]>'
    book = workbook(("S", [["a"], ["1"]]))
    renamed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(renamed, "w") as new:
        for name in old.namelist():
            content = old.read(name).replace(b"sheet1.xml", b"sheet1.bin")
            if name == SHEET:
                start = content.index(b"<worksheet")
                new.writestr("xl/worksheets/sheet1.bin", laughs + content[start:])
            else:
                new.writestr(name, content)
    message = "the workbook has a part with a document type declaration (DTD)"
    assert faults_of(renamed.getvalue()) == [Fault(message=message, advice="save it with Excel")]


def test_a_zip_of_very_many_files_is_not_looked_through() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number:08}", b"")
    assert unusable(buffer.getvalue()) == "the list of what the ZIP file holds has more than 1,048,576 bytes"


@pytest.mark.parametrize("kind", [kind for kind in SAMPLES if kind not in ("gzip", "zip")])
def test_rows_of_a_drop_are_bounded_by_the_setting_which_is_named(kind: str) -> None:
    options: dict[str, Any] = {"columns": {"a": "1-3", "b": 3}} if kind == "fixed" else {}

    def read(most: int | None) -> int:
        table = open_drop(
            io.BytesIO(SAMPLES[kind]), name="x", options=FileOptions(**options), wanted=("a",), max_rows=most
        )
        return sum(1 for _ in table)

    rows = read(None)
    assert read(rows) == rows
    with pytest.raises(DropUnusable) as caught:
        read(rows - 1)
    assert caught.value.faults == (
        Fault(
            message=f"the drop has more than {rows - 1} rows, which is the setting MAX_ROWS",
            advice="send it in parts, or raise MAX_ROWS",
        ),
    )


def test_columns_of_a_drop_are_bounded() -> None:
    def header(count: int) -> bytes:
        return ",".join(f"c{number}" for number in range(count)).encode() + b"\n"

    assert rows_of(header(MAX_COLUMNS)) == []
    assert unusable(header(MAX_COLUMNS + 1)) == "the file has 16,385 columns, and 16,384 are the most"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<r><e>%s</e></r>" % (b"<a/>" * 10_000), "a record has more than 10,000 elements and attributes"),
        (
            b"<r><e %s/></r>" % b" ".join(b"a%d=''" % n for n in range(10_000)),
            "a record has more than 10,000 elements and attributes",
        ),
        (b"<r>%s</r>" % b"".join(b"<e><a%d/></e>" % n for n in range(9_999)), "the XML file has more than 10,000"),
        (
            b"<r>%s</r>" % b"".join(b"<e xmlns:a%d='u'/>" % n for n in range(10_000)),
            "the XML file has more than 10,000",
        ),
    ],
    ids=["elements", "attributes", "names", "prefixes"],
)
def test_a_record_and_its_names_are_bounded_in_xml(data: bytes, message: str) -> None:
    assert message in unusable(data, wanted=("a0",))


def test_lines_that_may_be_the_trailer_are_bounded() -> None:
    data = b"a\n1\n" + b"\n" * 600_000 + b"end\n"
    message = "the last 1 lines, which may be the trailer, have more than 4,194,304 characters"
    assert unusable(data, footer={"lines": 1}).startswith(message)
    long = sheet(row(1, cell("A1", "a")) + "".join(row(n, cell(f"A{n}", "x" * 30_000)) for n in range(2, 202)))
    message = "the last 150 lines, which may be the trailer, have more than 4,194,304 characters"
    assert unusable(long, footer={"lines": 150}).startswith(message)


@pytest.mark.parametrize("depth", [300, 600, 900, 5_000, 100_000])
def test_lists_in_lists_are_a_fault_however_deep(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    for data, kind in ((f'[{{"a": "1", "b": {nested}}}]', "json"), (f'{{"a": "1", "b": {nested}}}\n', "jsonl")):
        (fault,) = faults_of(data.encode(), wanted=("a", "b"), format=kind)
        assert "nested too deeply" in fault.message or fault.message == "the value is a list of lists"
        # Without columns that are wanted, those of the records are looked for.
        assert faults_of(data.encode(), format=kind)


WHICH = "which of the two counts cannot be known: correct the export"


def test_a_key_twice_in_a_record_is_a_fault_of_that_record() -> None:
    named = Fault(message="an object of the record has the key 'status' twice", advice=WHICH, column="status")
    other = Fault(message="an object of the record has a key twice", advice=WHICH)
    twice = '{"id": "1", "status": "Active", "status": "Left"}'
    inner = '{"id": "1", "x": [{"Zoë Müller": 1, "Zoë Müller": 2}]}'
    good = '{"id": "2", "status": "Active"}'
    array, lines = f"[{twice}, {good}, {inner}]".encode(), f"{twice}\n{good}\n{inner}\n".encode()
    for data in (array, lines):
        assert faults_of(data, wanted=("id", "status")) == [named, other]
        assert rows_of(data, wanted=("id", "status"))[1] == ["2", "Active"]
    assert rows_of(f'{{"n": 1, "value": [{twice}, {good}]}}'.encode(), wanted=("id",))[1:] == [["2"]]


def test_a_key_twice_around_the_records_makes_the_file_unusable() -> None:
    data = b'{"value": [{"id": "1"}], "value": [{"id": "2"}]}'
    message = "the JSON text has the member 'value' twice; the file could be read up to row 1"
    assert unusable(data, wanted=("id",)) == message
    assert unusable(data, wanted=("id",), record="value") == message


def test_a_key_twice_in_an_operation_is_a_fault_of_that_operation() -> None:
    operation = '{"method": "POST", "path": "/Users", "data": {"externalId": "1", "active": true, "active": false}}'
    data = f'{{"schemas": ["{BULK_REQUEST}"], "Operations": [{operation}]}}'
    fault = Fault(message="an object of the record has the key 'active' twice", advice=WHICH, column="active")
    assert faults_of(data.encode()) == [fault]
    twice = f'{{"schemas": ["{BULK_REQUEST}"], "Operations": [], "Operations": []}}'
    assert "twice; before the first row" in unusable(twice.encode())
