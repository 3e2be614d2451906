from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.readers import Table
from connector.readers.text import BLOCK
from connector.vocabulary.errors import Fault
from tests.unit.readers.reading import faults_of, rows_of, table_of, unusable

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


def test_a_number_in_a_path_takes_one_of_a_list() -> None:
    data = b'[{"a": ["x", "y"], "b": {"0": "z"}, "c": "text"}]'
    wanted = (
        "a",
        "a.0",
        "a.1",
        "a.2",
        "a.01",
        "a.x",
        "a.-1",
        "a.\u00b2",
        "a.999999999",
        "a.0000000001",
        "b.0",
        "c.0",
        "d.0",
    )
    assert rows_of(data, wanted=wanted) == [
        [["x", "y"], "x", "y", None, "y", None, None, None, None, None, "z", None, None]
    ]


def test_a_members_whole_name_comes_before_a_path_even_when_it_is_null() -> None:
    assert rows_of(b'[{"a.b": null, "a": {"b": 1}}, {"a": {"b": 1}}]', wanted=("a.b",)) == [[None], ["1"]]


def test_an_object_is_no_cell() -> None:
    def fault(what: str, column: str) -> Fault:
        advice = f"name one of its values, as in [{column}.…]"
        return Fault(message=f"the value is {what}", advice=advice, column=column)

    data = b"""[{"a": {"b": 1}}, {"a": [{"b": 1}]}, {"a": [[1]]}, {"a": "x"}, {"a": "x", "c": [[]]},
                {"a": {}, "c": [[1]]}, {"a": [1, ["\\u0000"]]}]"""
    assert faults_of(data, wanted=("a", "c")) == [
        fault("an object", "a"),
        fault("an object", "a"),
        fault("a list of lists", "a"),
        fault("a list of lists", "c"),
        fault("an object", "a"),
        fault("a list of lists", "a"),
    ]


def test_a_spoilt_value_in_a_list_spoils_its_row_and_the_first_one_is_named() -> None:
    data = (
        rb'[{"a": "x", "b": ["y", "\u0000"]}, {"a": "\ud83d", "b": ["\u0000"]}, {"a": ["\ud83d", "\u0000"], "b": {}}]'
    )
    nul = Fault(message="the value has a NUL character", advice="correct the export", column="b")
    half = Fault(message="the value has half of a surrogate pair", advice="correct the export", column="a")
    assert faults_of(data, wanted=("a", "b")) == [nul, half, half]


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


def test_columns_are_the_paths_of_all_plain_values_and_lists_of_them() -> None:
    data = b"""[{"a": {}, "b": [{}], "c": [1, {"d": 2}, {"d": 3}], "e": [], "f": {"g": {"h": 1}, "i": null},
                 "j": [1, 2]}, {"j": 5, "a": {"k": true}}]"""
    assert table_of(data).columns == ("c.1.d", "c.2.d", "e", "f.g.h", "f.i", "j", "a.k")


def test_only_the_first_hundred_records_and_two_thousand_columns_are_looked_at() -> None:
    records = [{"id": 1, f"c{number}": 1} for number in range(101)]
    table = table_of(json.dumps(records).encode())
    assert table.columns == ("id", *(f"c{number}" for number in range(100)))
    assert list(table) == [
        (row, ["1", *("1" if number == row - 1 else None for number in range(100))]) for row in range(1, 102)
    ]
    wide = [{f"c{number}": number for number in range(2_001)}]
    table = table_of(json.dumps(wide).encode())
    assert table.columns == tuple(f"c{number}" for number in range(2_000))
    assert rows_of(b'[7, {"a": 1}]') == [NO_OBJECT, ["1"]]


def test_a_wanted_column_is_given_once() -> None:
    assert table_of(b'[{"a": 1, "b": 2}]', wanted=("b", "a", "b")).columns == ("b", "a")


def test_columns_that_no_record_has_are_noted_in_their_order_where_there_are_records() -> None:
    for data, notes in (
        (b"[]", ()),
        (b'[{"a": {}, "b": [{}], "c": [[]]}]', ()),
        (b'[{"a": null}]', tuple(f"no record has a value for the column {name!r}" for name in ("c", "b", "a"))),
        (b'[{"a": ""}, {"b": [null]}]', ("no record has a value for the column 'c'",)),
    ):
        table = table_of(data, wanted=("c", "b", "a"))
        list(table)
        assert table.notes == notes


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


@pytest.mark.parametrize("data", [b'[{"a": "\xe9"}]', b'{"a": "\xe9"}\n{"a": ""}\n'])
def test_a_guessed_encoding_is_noted(data: bytes) -> None:
    table = table_of(data, wanted=("a",))
    assert next(iter(table)) == (1, ["é"])
    assert table.notes[0].startswith("encoding: windows-1252 (a guess")


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


def test_what_is_wrong_with_json_comes_with_what_to_do() -> None:
    lines = [b'{"a": 1}', b'{"a": 2', b"[1]", b'{"a": NaN}', b'{"a":' * 100_000, b'{"a": "' + b"x" * 5_000_000 + b'"}']
    assert faults_of(b"\n".join(lines), name="x.jsonl", wanted=("a",)) == [
        Fault(
            message="malformed JSON: Expecting ',' delimiter",
            advice="JSON Lines has one whole object a line",
        ),
        Fault(message=NO_OBJECT, advice="correct the export"),
        Fault(message="NaN is no JSON value", advice="correct the export"),
        Fault(message="the JSON values are nested too deeply", advice="correct the export"),
        Fault(message="the line has more than 4,194,304 characters", advice="correct the export"),
    ]
    assert faults_of(b'[{"a": 1}, 2]', wanted=("a",)) == [Fault(message=NO_OBJECT, advice="correct the export")]


@pytest.mark.parametrize(
    ("data", "options", "message", "advice"),
    [
        (b'[{"a": 1}', {}, "the JSON text ends too early", "the file arrived in part: send it again"),
        (b'[{"a": 1}, {"a": "2', {}, "the JSON text ends too early, or is malformed at its end", "send the file again"),
        (b'[{"a": 1} {"a": 2}]', {}, "malformed JSON: , or ] is missing", "correct the export"),
        (
            b'[{"a": 1}, {"a": 2 "b": 3, "c": 444444444}]',
            {},
            "malformed JSON: Expecting ',' delimiter",
            "correct the export",
        ),
        (b'{"v": [{"a": 1}], 7: 8}', {}, "malformed JSON: a member's name is missing", "correct the export"),
        (
            b'[{"a": 1}] x',
            {},
            "something follows the end of the JSON text",
            "for one record a line, say file: format: jsonl",
        ),
        (
            b'{"v": [{"a": 1}], "w": [{"a": 1}]}',
            {},
            "two lists could both be the rows",
            "file: record names the right one",
        ),
    ],
)
def test_json_that_breaks_off_says_how_far_it_was_read(
    data: bytes, options: dict[str, str], message: str, advice: str
) -> None:
    assert faults_of(data, wanted=("a",), **options) == [
        Fault(message=f"{message}; the file could be read up to row 1", advice=advice)
    ]


@pytest.mark.parametrize(
    ("data", "options", "message", "advice"),
    [
        (b'{"a": 1}', {}, "the file has no list of records", "file: record names the list whose items are the rows"),
        (
            b'{"a": [1], "b": []}',
            {},
            "the file has no list of records",
            "file: record names the list whose items are the rows",
        ),
        (
            b'{"a": {"b": 1}}',
            {"record": "a.c"},
            "the file has no member 'c', which file: record names",
            "correct file: record in the feed file",
        ),
        (
            b'{"a": {"b": 1}}',
            {"record": "a.b"},
            "file: record names something that is no list",
            "name the list whose items are the rows",
        ),
        (
            b'{"a": [1]}',
            {"record": "a.b"},
            "file: record names a member of something that is no object",
            "name the list whose items are the rows",
        ),
        (
            b'[{"a": "' + b"x" * 10_000_000 + b'"}]',
            {},
            "a value has more than 4,194,304 characters",
            "file: record names the list whose items are the rows",
        ),
        (b"[" * 200_000, {}, "the JSON values are nested too deeply", "correct the export"),
    ],
)
def test_json_without_rows_says_why(data: bytes, options: dict[str, str], message: str, advice: str) -> None:
    assert faults_of(data, wanted=("a",), **options) == [
        Fault(message=f"{message}; before the first row", advice=advice)
    ]


def test_who_looks_at_few_columns_of_json_is_given_all() -> None:
    table = table_of(b'[{"a": 1, "b": 2}]', wanted=("a", "b"))
    assert isinstance(table, Table)
    assert list(table.leading(1)) == [(1, ["1", "2"])]


def test_a_record_path_may_begin_with_a_dot_and_leads_past_other_members() -> None:
    data = b'{"x": [{"a": 0}], "d": {"x": {"y": []}, "r": [{"a": 1}, {"a": 2}]}, "z": null}'
    assert rows_of(data, wanted=("a",), record=".d.r.") == [["1"], ["2"]]


def test_a_trailers_count_is_checked_in_json_lines() -> None:
    data = b'{"a": 1}\n\n{"a": 2}\n# 2\n'
    footer = {"lines": 1, "count": "# ([0-9]+)"}
    assert rows_of(data, name="x.jsonl", wanted=("a",), footer=footer) == [["1"], ["2"]]
    assert faults_of(data.replace(b"# 2", b"# 3"), name="x.jsonl", wanted=("a",), footer=footer) == [
        Fault(
            message="the trailer states more rows, but the file has 2; the file could be read up to row 2",
            advice="the file may have arrived in part: send it again",
        )
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
