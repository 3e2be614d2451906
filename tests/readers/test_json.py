from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.readers.text import BLOCK
from tests.readers.reading import rows_of, table_of, unusable

NO_OBJECT = "the record is no JSON object"


def test_values_are_cells_as_they_are_written() -> None:
    data = b"""[{"text": "a", "int": 12345678901234567890123, "float": 1.0, "exp": 1e5, "yes": true, "no": false,
                "null": null, "list": ["a", 1.50, true, null], "empty": []}]"""
    columns = ("text", "int", "float", "exp", "yes", "no", "null", "list", "empty", "absent")
    cells = ["a", "12345678901234567890123", "1.0", "1e5", "True", "False", None, ["a", "1.50", "True"], [], None]
    assert rows_of(data, wanted=columns) == [cells]


def test_nested_values_are_columns_by_path() -> None:
    data = (
        b'[{"job": {"title": "x"}, "addresses": [{"city": "A"}, {"city": "B"}], "a.b": "dotted", "a": {"b": "nested"}}]'
    )
    columns = ("job.title", "addresses.0.city", "addresses.1.city", "addresses.2.city", "job.title.x", "a.b")
    assert rows_of(data, wanted=columns) == [["x", "A", "B", None, None, "dotted"]]


def test_an_object_is_no_cell() -> None:
    rows = rows_of(b'[{"a": {"b": 1}}, {"a": [{"b": 1}]}, {"a": [[1]]}, {"a": "x"}]', wanted=("a",))
    assert rows == ["the value is an object", "the value is an object", "the value is a list of lists", ["x"]]


def test_what_is_no_object_does_not_stop_the_others() -> None:
    assert rows_of(b'[{"a": 1}, 2, null, [], {"a": 3}]', wanted=("a",)) == [
        ["1"],
        NO_OBJECT,
        NO_OBJECT,
        NO_OBJECT,
        ["3"],
    ]


def test_without_wanted_columns_they_are_those_of_the_first_records() -> None:
    data = b'[{"id": 1, "job": {"title": "x"}, "tags": ["a"]}, {"id": 2, "phones": [{"value": 5}]}]'
    table = table_of(data)
    assert table.columns == ("id", "job.title", "tags", "phones.0.value")
    assert list(table) == [(1, ["1", "x", ["a"], None]), (2, ["2", None, None, "5"])]


def test_a_column_that_no_record_has_is_noted() -> None:
    table = table_of(b'[{"a": 1}, {"a": {"b": 2}}]', wanted=("a", "A"))
    assert len(list(table)) == 2
    assert table.notes == ("no record has a value for the column 'A'",)


def test_the_records_are_at_the_path_that_the_feed_names() -> None:
    data = b'{"d": {"count": 2, "results": [{"a": 1}, {"a": 2}], "other": [{"a": 3}]}}'
    assert rows_of(data, wanted=("a",), record="d.results") == [["1"], ["2"]]
    assert unusable(data, wanted=("a",), record="d.rows").startswith("the file has no member 'rows'")


def test_the_only_list_of_objects_needs_no_path() -> None:
    data = b'{"@odata.count": 1, "tags": ["x"], "value": [{"a": 1}], "next": null}'
    assert rows_of(data, wanted=("a",)) == [["1"]]


def test_two_lists_of_objects_need_a_path() -> None:
    message = unusable(b'{"added": [{"a": 1}], "removed": [{"a": 2}]}', wanted=("a",))
    assert message == "the lists 'added' and 'removed' could both be the rows; the file could be read up to row 1"


def test_a_json_object_without_list_is_unusable() -> None:
    assert unusable(b'{"a": 1}', wanted=("a",)) == "the file has no list of records; before the first row"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_json_of_other_encodings_is_read(encoding: str) -> None:
    assert rows_of('[{"ä": "ö"}]'.encode(encoding), wanted=("ä",)) == [["ö"]]


def test_half_a_surrogate_pair_and_a_nul_spoil_their_rows_alone() -> None:
    data = rb'[{"a": "\ud83d"}, {"a": "\ud83d\ude00"}, {"a": "\u0000"}, {"a": "x"}]'
    assert rows_of(data, wanted=("a",)) == [
        "the value has half of a surrogate pair",
        ["😀"],
        "the value has a NUL character",
        ["x"],
    ]


def test_a_bad_byte_spoils_its_row_alone() -> None:
    data = '[{"a": "ö"}, '.encode() + b'{"a": "\xf6"}, {"a": "x"}]'
    assert rows_of(data, wanted=("a",)) == [["ö"], "the value has bytes that are not in the file's encoding", ["x"]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'[{"a": 1}, {"a": 2}', "the JSON text ends too early; the file could be read up to row 2"),
        (
            b'[{"a": 1}, {"a": "2',
            "the JSON text ends too early, or is malformed at its end; the file could be read up to row 1",
        ),
        (b'[{"a": 1} {"a": 2}]', "malformed JSON: , or ] is missing; the file could be read up to row 1"),
        (
            b'[{"a": 1}, {"a": 2 "b": 3, "c": 44444444}]',
            "malformed JSON: Expecting ',' delimiter; the file could be read up to row 1",
        ),
        (b'[{"a": 1}] x', "something follows the end of the JSON text; the file could be read up to row 1"),
        (b'[{"a": NaN}]', "NaN is no JSON value; before the first row"),
        (b"[" * 200_000, "the JSON values are nested too deeply; before the first row"),
        (b'[{"a": "' + b"x" * 10_000_000 + b'"}]', "a value has more than 4,194,304 characters; before the first row"),
    ],
)
def test_malformed_json_is_unusable(data: bytes, message: str) -> None:
    assert unusable(data, wanted=("a",)) == message


def test_json_lines_are_rows_and_blank_lines_are_none() -> None:
    assert rows_of(b'{"a": 1}\n\n{"a": 2}\r\n  \n{"a": 3}', wanted=("a",)) == [["1"], ["2"], ["3"]]


def test_a_malformed_line_does_not_stop_the_others() -> None:
    lines = [b'{"a": 1}', b'{"a": 2', b"[1]", b'{"a": NaN}', b'{"a":' * 100_000, b'{"a": 6}']
    assert rows_of(b"\n".join(lines), name="x.jsonl", wanted=("a",)) == [
        ["1"],
        "malformed JSON: Expecting ',' delimiter",
        NO_OBJECT,
        "NaN is no JSON value",
        "the JSON values are nested too deeply",
        ["6"],
    ]


def test_one_line_is_json_lines_when_the_name_says_so() -> None:
    assert rows_of(b'{"a": 1}\n', name="x.ndjson", wanted=("a",)) == [["1"]]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
)


@given(
    records=st.lists(st.dictionaries(st.text("abc"), VALUES), max_size=5),
    filler=st.integers(0, 60),
    indent=st.sampled_from([None, 2]),
)
@settings(max_examples=60, deadline=None)
def test_the_seams_of_blocks_do_not_change_what_is_read(
    records: list[dict[str, object]], filler: int, indent: int | None
) -> None:
    text = json.dumps([{"id": "x" * (BLOCK - filler)}, *records], indent=indent)
    expected = [record.get("a") if isinstance(record.get("a"), str) else ... for record in records]
    rows = rows_of(text.encode(), wanted=("a",))[1:]
    assert len(rows) == len(records)
    assert [row[0] if isinstance(value, str) else ... for row, value in zip(rows, expected, strict=True)] == expected
