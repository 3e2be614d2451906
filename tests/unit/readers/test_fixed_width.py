from __future__ import annotations

from connector.vocabulary.errors import Fault
from tests.unit.readers.reading import faults_of, rows_of, table_of, unusable

COLUMNS = {"id": "1-4", "name": "5-10", "amount": "13-18"}


def test_columns_are_cut_by_position_in_characters() -> None:
    data = "0001Zoë   --   1.5rest\n0002日本\n\n0003ab cd   12345678\n".encode()
    table = table_of(data, format="fixed", columns=COLUMNS)
    assert table.columns == ("id", "name", "amount")
    assert list(table) == [(1, ["0001", "Zoë", "1.5"]), (2, ["0002", "日本", ""]), (3, ["0003", "ab cd", "123456"])]


def test_preamble_trailer_and_bad_bytes_are_told_from_rows() -> None:
    data = "HEADER\n0001Zoë\n".encode() + b"0002\xff\n0003c\nT0003\n"
    footer = {"count": "T([0-9]+)"}
    spoilt = "the value has bytes that are not in the file's encoding"
    assert rows_of(data, format="fixed", columns=COLUMNS, skip=1, footer=footer) == [
        ["0001", "Zoë", ""],
        spoilt,
        ["0003", "c", ""],
    ]


def test_only_spaces_around_a_value_are_cut_off() -> None:
    assert rows_of(b" \ta \xc2\xa0b\t  \n", format="fixed", columns={"id": 4, "name": 9}) == [["\ta", "\xa0b\t"]]


def test_a_layout_may_leave_out_and_repeat_characters() -> None:
    columns = {"second": "2-2", "first three": "1-3", "far": "9-10"}
    table = table_of(b"abcdefghij\n\r\n \nab\r\n", format="fixed", columns=columns)
    assert table.columns == ("second", "first three", "far")
    assert list(table) == [(1, ["b", "abc", "ij"]), (2, ["", "", ""]), (3, ["b", "ab", ""])]


def test_what_is_wrong_with_a_fixed_width_file_comes_with_what_to_do() -> None:
    data = b"0001a\n0002\0%s\nT0009\n" % (b"x" * 50)
    assert faults_of(data, format="fixed", columns=COLUMNS, footer={"lines": 1, "count": "T([0-9]+)"}) == [
        Fault(message="the value has a NUL character", advice="correct the export"),
        Fault(
            message="the trailer states more rows, but the file has 2; the file could be read up to row 2",
            advice="the file may have arrived in part: send it again",
        ),
    ]


def test_an_empty_fixed_width_file_is_unusable() -> None:
    assert unusable(b"", format="fixed", columns=COLUMNS) == "the file is empty"
