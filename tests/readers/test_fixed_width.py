from __future__ import annotations

from tests.readers.reading import rows_of, table_of, unusable

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


def test_an_empty_fixed_width_file_is_unusable() -> None:
    assert unusable(b"", format="fixed", columns=COLUMNS) == "the file is empty"
