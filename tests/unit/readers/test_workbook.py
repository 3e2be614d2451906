from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

import openpyxl
import pytest
from openpyxl.chart import BarChart

from connector.feed.file_options import FileOptions
from connector.readers import BadRow, open_drop
from connector.vocabulary.errors import Fault
from tests.unit.readers.reading import faults_of, rows_of, table_of, unusable


def workbook(*sheets: tuple[str, list[list[Any]]], change: Callable[[Any], None] | None = None) -> bytes:
    book = openpyxl.Workbook()
    assert book.active is not None
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


def rewritten(
    data: bytes,
    part: str = "",
    change: Callable[[bytes], bytes] = bytes,
    *,
    compression: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == part else old.read(name))
    return buffer.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
BOOK = "xl/workbook.xml"
PEOPLE: list[list[Any]] = [
    ["id", " Name ", None, "Since"],
    ["007", "Zoë", "x", date(2026, 1, 31)],
    [8, None, None, None],
]


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
        (999999999999999.5, "1000000000000000"),
        (123456789012345678.0, "123456789012346000"),
        (1e20, "100000000000000000000"),
        (1e-7, "0.0000001"),
        (120.50, "120.5"),
        (-0.0, "0"),
        (True, "True"),
        (False, "False"),
        (datetime(2026, 1, 31, 0, 0), "2026-01-31"),  # noqa: DTZ001  # workbooks know no time zones
        (datetime(2026, 1, 31, 13, 5, 9), "2026-01-31T13:05:09"),  # noqa: DTZ001  # as above
        (time(7, 30), "07:30:00"),
        (timedelta(hours=30, minutes=5), "30:05:00"),
        (timedelta(hours=59, minutes=59, seconds=59), "59:59:59"),
        (" kept ", " kept "),
        ("two_x000D_\nlines_x000d_", "two\r\nlines\r"),
        ("_x005F_x0041_ _x41_ _X0041_", "_x0041_ _x41_ _X0041_"),
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


def test_a_workbook_whose_sheets_are_all_hidden_gives_the_first() -> None:
    data = workbook(("First", [["a"], ["1"]]), ("Second", [["a"], ["2"]]))
    hidden = rewritten(data, BOOK, lambda xml: xml.replace(b'state="visible"', b'state="hidden"'))
    assert hidden != data
    assert rows_of(hidden) == [["1"]]


def test_a_formula_gives_what_excel_computed_last() -> None:
    data = rewritten(workbook(("S", [["a"], [7]])), SHEET, lambda xml: xml.replace(b"<v>7</v>", b"<f>3+4</f><v>7</v>"))
    assert rows_of(data) == [["7"]]


def test_links_to_other_workbooks_are_not_followed() -> None:
    link = (
        b'<externalReferences xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
        b'<externalReference r:id="rId99"/></externalReferences><definedNames'
    )
    data = rewritten(workbook(("S", [["a"], ["1"]])), BOOK, lambda xml: xml.replace(b"<definedNames", link))
    assert rows_of(data) == [["1"]]


def test_rows_without_values_are_none_wherever_they_stand() -> None:
    rows: list[list[Any]] = [[], [None, ""], ["a", "b"], [], ["1", "2"], ["", None], ["3", None], [""]]
    for footer, expected in ((0, [["1", "2"], ["3", ""]]), (1, [["1", "2"]])):
        assert rows_of(workbook(("S", rows)), footer={"lines": footer}) == expected


def test_rows_without_values_are_none_and_preamble_and_trailer_are_left_out() -> None:
    rows: list[list[Any]] = [["Report"], [], ["id", "name"], ["1", "a"], [None, None], ["2", "b"], ["Total", 2], []]
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
    assert rows_of(data)[1] == "the cell has Excel's error #N/A"
    unnamed = workbook(("S", [["a", None, "c"], ["1", "#N/A", "3"], ["1", "2", "3", None, "5"]]))
    assert rows_of(unnamed) == [["1", "#N/A", "3"], "the row has values beyond the header's last column"]


ERRORS = ["#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#SPILL!", "#CALC!", "#GETTING_DATA"]


def test_what_is_wrong_with_a_sheet_comes_with_what_to_do() -> None:
    rows = [["a", "b"], *([error, "x"] for error in ERRORS), ["a", "b"], ["1", "2", "3"], ["1", "2"], ["total 9"]]
    table = workbook(("S", rows))
    assert faults_of(table, wanted=("a", "b"), footer={"lines": 1, "count": "total ([0-9]+)"}) == [
        *(
            Fault(message=f"the cell has Excel's error {error}", advice="correct the sheet", column="a")
            for error in ERRORS
        ),
        Fault(message="the row repeats the header", advice="delete it"),
        Fault(
            message="the row has values beyond the header's last column", advice="name the columns, or empty the cells"
        ),
        Fault(
            message="the trailer states 9 rows, but the file has 13; the file could be read up to row 13",
            advice="the file may have arrived in part: send it again",
        ),
    ]
    assert faults_of(workbook(("S", []))) == [
        Fault(message="the sheet is empty", advice="the first row must name the columns")
    ]
    assert faults_of(table, sheet="T") == [
        Fault(
            message="the workbook has no sheet 'T', but sheet 1",
            advice="correct file: sheet in the feed file",
            column="file.sheet",
        )
    ]


def test_a_character_that_cannot_be_sent_spoils_its_row_where_it_is_read() -> None:
    data = workbook(("S", [["a", "b"], ["x_x0000_", "y"], ["x", "é_xD83D_"], ["1", "2"]]))
    nul = Fault(message="the value has a NUL character", advice="correct the export", column="a")
    half = Fault(message="the value has half of a surrogate pair", advice="correct the export", column="b")
    assert faults_of(data, wanted=("a", "b")) == [nul, half]
    assert faults_of(data, wanted=("b",)) == [half]


def test_a_workbook_of_charts_alone_has_no_rows() -> None:
    def only_charts(book: Any) -> None:
        book.create_chartsheet("Chart").add_chart(BarChart())
        del book["S"]

    assert faults_of(workbook(("S", []), change=only_charts)) == [
        Fault(message="the workbook has no sheet with cells", advice="send one with the data in it")
    ]


def test_a_workbook_has_nothing_to_remark() -> None:
    table = table_of(workbook(("S", PEOPLE)))
    list(table)
    assert table.notes == ()


def test_what_openpyxl_warns_of_is_no_concern() -> None:
    def without_default_style(xml: bytes) -> bytes:
        return re.sub(rb"<cellStyles.*</cellStyles>", b"", xml)

    data = rewritten(workbook(("S", [["a"], ["1"]])), "xl/styles.xml", without_default_style)
    with pytest.warns(UserWarning, match="no default style"):
        openpyxl.load_workbook(io.BytesIO(data))
    assert rows_of(data) == [["1"]]


def test_empty_cells_beyond_the_header_are_no_values() -> None:
    data = workbook(("S", [["a", "b"], ["1", "2", "", ""], ["3", "4", " "]]))
    assert rows_of(data) == [["1", "2"], "the row has values beyond the header's last column"]


def test_header_cells_without_a_name_at_the_end_are_no_columns() -> None:
    table = table_of(workbook(("S", [["a", "", "b", "", " "], ["1", "2", "3"], ["1", "", "3", "4"]])))
    assert table.columns == ("a", "", "b")
    bad = BadRow(
        number=2,
        fault=Fault(
            message="the row has values beyond the header's last column", advice="name the columns, or empty the cells"
        ),
    )
    assert list(table) == [(1, ["1", "2", "3"]), bad]
    assert unusable(workbook(("S", [[" ", "\t"], ["1", "2"]]))) == "the header row has no column names"


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
    fault = Fault(message="the workbook has a part with a document type declaration (DTD)", advice="save it with Excel")
    for part in (SHEET, BOOK, "_rels/.rels"):
        data = rewritten(workbook(("S", PEOPLE)), part, lambda xml: laughs + xml)
        assert faults_of(data) == [fault]


def test_a_part_begins_within_64_kib() -> None:
    def begun_at(end: int) -> Callable[[bytes], bytes]:
        """The part with a comment before its root, whose first tag ends at `end`."""

        def change(xml: bytes) -> bytes:
            root = xml[xml.index(b"<worksheet") :]
            tag = root.index(b">") + 1
            return b"<!--" + b"x" * (end - tag - 7) + b"-->" + root

        return change

    data = workbook(("S", [["a"], ["1"]]))
    assert rows_of(rewritten(data, SHEET, begun_at(64 * 1024))) == [["1"]]
    fault = Fault(message="the workbook has a part that is no XML", advice="open it in Excel and save it again")
    assert faults_of(rewritten(data, SHEET, begun_at(64 * 1024 + 1))) == [fault]
    assert faults_of(rewritten(data, SHEET, lambda xml: b"nothing")) == [fault]


def test_parts_that_are_no_xml_or_empty_do_no_harm() -> None:
    def with_more(name: str, content: bytes) -> bytes:
        buffer = io.BytesIO(workbook(("S", [["a"], ["1"]])))
        with zipfile.ZipFile(buffer, "a") as archive:
            archive.writestr(name, content)
        return buffer.getvalue()

    assert rows_of(with_more("xl/media/image1.png", b"\x89PNG")) == [["1"]]
    assert rows_of(with_more("customXml/item1.xml", b"")) == [["1"]]


def test_the_rows_before_the_damage_are_read() -> None:
    data = workbook(("S", [["a"], *([str(number)] for number in range(1, 501))]))
    cut = rewritten(data, SHEET, lambda xml: xml[:-20])
    assert faults_of(cut) == [
        Fault(
            message="the workbook is damaged; the file could be read up to row 500",
            advice="open it in Excel and save it again",
        )
    ]


def test_a_workbook_that_expands_too_far_is_unusable() -> None:
    data = workbook(("S", [["a"], *[["x" * 30_000]] * 10]))
    assert rows_of(data, max_expanded="1MB") == [["x" * 30_000]] * 10
    bomb = rewritten(data, SHEET, lambda xml: xml.replace(b"</worksheet>", b" " * 3_000_000 + b"</worksheet>"))
    assert unusable(bomb, max_expanded="1MB") == "the ZIP file expands to more than 1,048,576 bytes"


def test_a_workbook_that_excel_could_not_open_is_unusable() -> None:
    data = workbook(("S", PEOPLE))
    assert unusable(rewritten(data, compression=zipfile.ZIP_BZIP2)) == "the ZIP file uses an unusual compression"


def test_an_empty_sheet_and_a_damaged_workbook_are_unusable() -> None:
    assert unusable(workbook(("S", []))) == "the sheet is empty"
    data = workbook(("S", PEOPLE))
    assert unusable(rewritten(data, SHEET, lambda xml: xml[:-40])).startswith("the workbook is damaged")
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
