from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

import openpyxl
import pytest

from connector.feed.file_options import FileOptions
from connector.readers import open_drop
from tests.readers.reading import rows_of, table_of, unusable


def workbook(*sheets: tuple[str, list[list[Any]]], change: Callable[[Any], None] | None = None) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    if change:
        change(book)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def rewritten(data: bytes, part: str, change: Callable[[bytes], bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == part else old.read(name))
    return buffer.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
PEOPLE = [["id", " Name ", None, "Since"], ["007", "Zoë", "x", date(2026, 1, 31)], [8, None, None, None]]


def test_a_sheet_is_a_table_of_text() -> None:
    table = table_of(workbook(("People", PEOPLE)))
    assert table.columns == ("id", "Name", "", "Since")
    assert list(table) == [(1, ["007", "Zoë", "x", "2026-01-31"]), (2, ["8", "", "", ""])]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-2.50, "-2.5"),
        (0.1 + 0.2, "0.3"),
        (123456789012345, "123456789012345"),
        (1e20, "100000000000000000000"),
        (1e-7, "0.0000001"),
        (True, "True"),
        (datetime(2026, 1, 31, 0, 0), "2026-01-31"),  # noqa: DTZ001  # workbooks know no time zones
        (datetime(2026, 1, 31, 13, 5, 9), "2026-01-31T13:05:09"),  # noqa: DTZ001  # as above
        (time(7, 30), "07:30:00"),
        (timedelta(hours=30, minutes=5), "30:05:00"),
        (" kept ", " kept "),
    ],
)
def test_values_are_text_as_a_person_would_write_them(value: Any, text: str) -> None:
    assert rows_of(workbook(("S", [["a", "b"], ["x", value]]))) == [["x", text]]


def test_the_sheet_is_the_named_or_the_first_visible_one() -> None:
    def hide(book: Any) -> None:
        book["Hidden"].sheet_state = "hidden"

    data = workbook(("Hidden", [["a"], ["1"]]), ("First", [["a"], ["2"]]), ("Second", [["a"], ["3"]]), change=hide)
    assert rows_of(data) == [["2"]]
    assert rows_of(data, sheet="Second") == [["3"]]
    assert unusable(data, sheet="Third") == "the workbook has no sheet 'Third', but 'Hidden', 'First', 'Second'"


def test_rows_without_values_are_none_and_preamble_and_trailer_are_left_out() -> None:
    rows = [["Report"], [], ["id", "name"], ["1", "a"], [None, None], ["2", "b"], ["Total", 2], []]
    data = workbook(("S", rows))
    assert rows_of(data, skip=2, footer={"lines": 1, "count": "Total\t([0-9]+)"}) == [["1", "a"], ["2", "b"]]


def test_values_beyond_the_header_and_excel_errors_spoil_their_rows_alone() -> None:
    data = workbook(("S", [["a", "b"], ["1", "2", "3"], ["1", "#N/A"], ["a", "b"], ["4", "5"]]))
    assert rows_of(data, wanted=("b",)) == [
        "the row has values beyond the header's last column",
        "the cell has Excel's error #N/A",
        "the row repeats the header",
        ["4", "5"],
    ]
    assert rows_of(data, wanted=("a",))[1] == ["1", "#N/A"]


def test_a_wrong_dimension_hides_nothing() -> None:
    data = rewritten(
        workbook(("S", [["a", "b"], ["1", "2"]])), SHEET, lambda xml: xml.replace(b'ref="A1:B2"', b'ref="A1"')
    )
    assert rows_of(data) == [["1", "2"]]


def test_names_for_a_sheet_without_header() -> None:
    data = workbook(("S", [["1", "x"], ["2", "y"]]))
    assert rows_of(data, header=["id", "name"]) == [["1", "x"], ["2", "y"]]
    assert rows_of(data, header=False) == [["1", "x"], ["2", "y"]]


def test_a_workbook_with_a_dtd_is_unusable() -> None:
    laughs = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
    for part in (SHEET, "xl/workbook.xml"):
        data = rewritten(workbook(("S", PEOPLE)), part, lambda xml: laughs + xml)
        assert unusable(data) == "the workbook has a part with a document type declaration (DTD)"


def test_a_workbook_that_expands_too_far_is_unusable() -> None:
    data = workbook(("S", [["a"], *[["x" * 30_000]] * 10]))
    assert rows_of(data, max_expanded="1MB") == [["x" * 30_000]] * 10
    bomb = rewritten(data, SHEET, lambda xml: xml.replace(b"</worksheet>", b" " * 3_000_000 + b"</worksheet>"))
    assert unusable(bomb, max_expanded="1MB") == "the ZIP file expands to more than 1,048,576 bytes"


def test_an_empty_sheet_and_a_damaged_workbook_are_unusable() -> None:
    assert unusable(workbook(("S", []))) == "the sheet is empty"
    data = workbook(("S", PEOPLE))
    assert unusable(rewritten(data, SHEET, lambda xml: xml[:-40])).startswith("the workbook is damaged")
    assert unusable(rewritten(data, SHEET, lambda xml: b"nothing")) == "the workbook has a part that is no XML"
    assert unusable(data[:-30]) == "the ZIP file is damaged"


class Lost(ConnectionError):
    pass


class FailingStream(io.BytesIO):
    """Fails at the read of the given number."""

    def __init__(self, data: bytes, at: int) -> None:
        super().__init__(data)
        self._left = at

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if not self._left:
            raise Lost
        return super().read(size)


def test_a_failing_stream_is_never_taken_for_a_damaged_workbook() -> None:
    data = workbook(("S", PEOPLE))
    failures = 0
    for at in range(1, 100):
        try:
            list(open_drop(FailingStream(data, at), name="x", options=FileOptions(), wanted=()))
        except Lost:
            failures += 1
    assert 20 < failures < 99


def test_other_office_documents_are_named() -> None:
    def archive(*names: str) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as file:
            for name in names:
                file.writestr(name, "x")
        return buffer.getvalue()

    assert (
        unusable(archive("[Content_Types].xml", "word/document.xml"))
        == "the file is an office document, but no Excel workbook"
    )
    assert unusable(archive("[Content_Types].xml", "xl/workbook.bin")) == "the file is a binary Excel workbook (.xlsb)"
    assert unusable(archive("META-INF/manifest.xml", "content.xml")) == "the file is an OpenDocument file"
