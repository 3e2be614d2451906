from __future__ import annotations

import csv
import io
import string
from typing import Any, Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from connector.readers import BadRow, Table
from connector.readers.dialect import find_dialect
from connector.readers.table import Unreadable, header_names
from connector.readers.text import BLOCK
from connector.vocabulary.errors import DropUnusable, Fault
from tests.unit.readers.reading import faults_of, rows_of, table_of, unusable

TOO_FEW = "the row has 1 field where the header has 2"


def test_quoted_delimiters_quotes_and_line_breaks_are_data() -> None:
    assert rows_of(b'id,text\n1,"a, ""b""\nc"\n2,\n') == [["1", 'a, "b"\nc'], ["2", ""]]


def test_rows_are_numbered_without_header_blank_lines_and_quoted_line_breaks() -> None:
    assert rows_of(b'\nid,text\n\n1,"a\n\nb"\n\n\n2,c\n') == [["1", "a\n\nb"], ["2", "c"]]


def test_a_row_with_too_many_or_too_few_fields_does_not_stop_the_others() -> None:
    rows = rows_of(b"id,name\n1\n2,b\n3,c,d\n4,e\n")
    assert rows == [TOO_FEW, ["2", "b"], "the row has 3 fields where the header has 2", ["4", "e"]]


def test_a_ragged_row_over_several_lines_says_so() -> None:
    rows = rows_of(b'id,name,x\n1,"a\nb"\n2,c,d\n')
    assert rows == [
        "the row has 2 fields where the header has 3 (it runs over 2 lines: is a quote missing?)",
        ["2", "c", "d"],
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_one(end: str) -> None:
    assert rows_of(end.join(["a,b", "1,2", '"x",4', ""]).encode()) == [["1", "2"], ["x", "4"]]


def test_mixed_line_ends_are_line_ends() -> None:
    assert rows_of(b"a,b\r\n1,2\n3,4\r5,6") == [["1", "2"], ["3", "4"], ["5", "6"]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_at_the_seams_of_blocks_are_one(end: str) -> None:
    for length in range(BLOCK - 4, BLOCK + 2):
        first = "x" * (length - len(f"a,b{end}1,{end}"))
        assert rows_of(f"a,b{end}1,{first}{end}2,y{end}".encode()) == [["1", first], ["2", "y"]]


def test_excels_separator_line_names_the_delimiter_and_is_no_row() -> None:
    table = table_of(b"sep=;\r\nid;name,x\r\n1;a\r\n")
    assert (table.columns, list(table)) == (("id", "name,x"), [(1, ["1", "a"])])


def test_a_skipped_separator_line_names_the_delimiter_too() -> None:
    assert rows_of(b"sep=|\nid|a;b\n1|c;d\n", skip=1) == [["1", "c;d"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", "~", "\x01", "\x1f"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    data = "\n".join(
        delimiter.join(row) for row in (["id", "first name", "e-mail"], ["1", "A", "a@x"], ["2", "B", "b@x"])
    )
    assert rows_of(data.encode()) == [["1", "A", "a@x"], ["2", "B", "b@x"]]


def test_decimal_commas_do_not_make_the_comma_a_delimiter() -> None:
    assert rows_of(b"id;fte;cost\n1;0,5;1,0\n2;1,0;2,5\n") == [["1", "0,5", "1,0"], ["2", "1,0", "2,5"]]


def test_the_wanted_columns_decide_between_delimiters() -> None:
    data = b"id;a,b\n1;2,3\n"
    assert unusable(data) == "the delimiter could be ',' or ';': each gives all rows the same number of fields"
    assert rows_of(data, wanted=("id",)) == [["1", "2,3"]]


def test_a_file_without_delimiter_has_one_column() -> None:
    assert rows_of(b"first_name\nAnn\n\nBob\n") == [["Ann"], ["Bob"]]


def test_rows_that_are_all_ragged_do_not_change_the_delimiter() -> None:
    assert rows_of(b"id,name\n1\n2\n") == [TOO_FEW, TOO_FEW]


def test_another_quote_is_found() -> None:
    assert rows_of(b"'id','name'\n'1','a,b'\n'2','c''d'\n") == [["1", "a,b"], ["2", "c'd"]]


def test_an_apostrophe_is_no_quote() -> None:
    assert rows_of(b"id,name\n1,'s-Hertogenbosch\n2,O'Brien\n") == [["1", "'s-Hertogenbosch"], ["2", "O'Brien"]]


def test_dialect_options_are_not_questioned() -> None:
    assert rows_of(b"a,b!c\n%1!2%!3\n", delimiter="!", quote="%") == [["1!2", "3"]]
    assert rows_of(b'a,b\n"1,2"\n', quote="none") == [['"1', '2"']]
    table = table_of(b'"a;b"\n1;"2"\n', delimiter=";", quote="none")
    assert (table.columns, list(table)) == (('"a', 'b"'), [(1, ["1", '"2"'])])
    assert rows_of(b'"a;b"\n1;"2"\0%s\n3;4\n' % (b"x" * 99), delimiter=";", quote="none") == [
        "the value has a NUL character",
        ["3", "4"],
    ]


def dialect_of(
    *lines: str,
    delimiter: str | None = None,
    quote: str | None = None,
    wanted: str = "",
    header: str = "",
) -> tuple[str, str] | str:
    """The delimiter and the quote that are found, or why none are."""
    try:
        found = find_dialect(
            [f"{line}\n" for line in lines],
            delimiter=delimiter,
            quote=quote,
            wanted=wanted.split(),
            header=header.split() or None,
        )
    except Unreadable as fault:
        return fault.message
    return found.delimiter, found.quote


def either(first: str, second: str) -> str:
    return f"the delimiter could be {first!r} or {second!r}: each gives all rows the same number of fields"


def test_what_the_feed_says_of_a_dialect_is_not_questioned() -> None:
    assert dialect_of("a;b", "1;2", delimiter="!", quote="") == ("!", "")
    assert dialect_of("a;b", "1;2", delimiter=",") == (",", '"')
    assert dialect_of("'a';'b'", "'1';'2'", quote='"') == (";", '"')
    assert dialect_of("|a|,|b|", "|1|,|2|", quote="|") == (",", "|")
    assert dialect_of("^a^!^b^", "^1^!^2^", quote="^") == ("!", "^")
    assert dialect_of("'a';'b'", "'1;5';'2'", delimiter=";") == (";", "'")
    assert dialect_of("'a|b'", "'1|2'", delimiter="|") == ("|", "'")


@pytest.mark.parametrize("quote", ["'", "`", "~", "^"])
def test_a_quote_is_found_by_what_it_wraps(quote: str) -> None:
    q = quote
    assert dialect_of(f"{q}id{q},{q}name{q}", f"{q}1{q},{q}a{q}") == (",", q)
    assert dialect_of(f"{q}id{q},{q}name{q}", f"{q}1{q},{q}a,b{q}", f"{q}2{q},{q}c{q}") == (",", q)
    assert dialect_of("id,name", f"{q}1,a", f"2,b{q}") == (",", '"')
    assert dialect_of(f"{q}id,name{q}", "1,a", "2,b") == (",", '"')


def test_what_could_be_a_delimiter_or_a_quote_is_not_guessed() -> None:
    assert dialect_of("|id|,|name|", "|1|,|a|") == either(",", "|")
    assert dialect_of("|id|,|name|", "|1|,|a|", delimiter=",") == (",", "|")


def test_a_quote_wraps_when_no_name_is_left_with_one() -> None:
    assert dialect_of("'tis,was'", "1,2") == (",", '"')
    assert dialect_of("'a',b,'c'", "1,2,3") == (",", "'")
    assert dialect_of("'a'x,'c'", "1,2") == (",", '"')
    assert dialect_of("'a';was'", "1;2") == (";", '"')
    assert dialect_of("'", "1") == (",", '"')
    assert dialect_of("'a','b'\r", "1,2\r") == (",", "'")


def test_the_wanted_columns_decide_before_the_number_of_fields_does() -> None:
    rows = ["id;na,me", "1;2", "3;4"]
    assert dialect_of(*rows) == (";", '"')
    assert dialect_of(*rows, wanted="id") == (";", '"')
    assert dialect_of("id;x,name", "1,2", "3,4", wanted="id") == (";", '"')
    assert dialect_of(" id ;x,y", "1;2,3", wanted="id") == (";", '"')
    assert dialect_of("id;x,id ,name", "1;2,3,4", wanted="id name") == (",", '"')


def test_one_row_in_twenty_makes_no_doubt_of_a_delimiter() -> None:
    for count, expected in ((20, (";", '"')), (21, either(",", ";"))):
        rows = ["a,b;c", *["1,2;3"] * (count - 1), "1;2"]
        assert dialect_of(*rows) == expected
    assert dialect_of("a,b;c", "1,2;3", "", "1,2;3") == either(",", ";")


def test_a_row_that_cannot_be_parsed_counts_against_a_dialect() -> None:
    rows = ["a,b;c", *["1,2;3"] * 10]
    assert dialect_of(*rows) == either(",", ";")
    assert dialect_of(*rows, '"1",2;"3"x') == (",", '"')


@pytest.mark.parametrize("delimiter", "^~!#:¦§\x1f\x1e\x1c\x01\x02")
def test_an_unlikely_delimiter_has_to_prove_itself(delimiter: str) -> None:
    d = delimiter
    assert dialect_of(f"id{d}name", f"1{d}a") == (d, '"')
    assert dialect_of(f"id{d}name", wanted="name") == (d, '"')
    assert dialect_of(f"id{d}name") == (",", '"')
    assert dialect_of(f"id{d}name", *[f"1{d}a"] * 9, "2") == (",", '"')
    assert dialect_of(f"id{d}name", *[f"1{d}a"] * 10, "2") == (d, '"')
    assert dialect_of(f"id{d}name", *[f"1{d}a"] * 9, f'"2"x{d}b')[0] == ","
    assert dialect_of(f"id{d}name", *[f"1{d}a"] * 10, f'"2"x{d}b') == (d, '"')
    assert dialect_of(f"id{d}name", f'"2"x{d}b', *[f"1{d}a"] * 10) == (d, '"')
    assert dialect_of(f"id{d}name", f"1{d}a", "", "", "") == (d, '"')
    assert dialect_of(f"1{d}2", *[f"1{d}2{d}3"] * 10, header="a b c") == (d, '"')
    assert dialect_of(f"id{d}name,x", f"1{d}a") == (",", '"')
    assert dialect_of("id", f"1{d}a", wanted="id") == (",", '"')


def test_a_delimiter_divides_the_header_or_as_many_fields_as_are_named() -> None:
    assert dialect_of("id", "1;2", "3;4") == (",", '"')
    assert dialect_of("1;2,5;x", "2;3,5;y", header="id fte name") == (";", '"')
    assert dialect_of("1", "2;3,5;y", header="id fte name") == (";", '"')
    assert dialect_of("1;2", header="id fte name") == (",", '"')
    assert dialect_of("1;2", header="id name") == (";", '"')
    assert dialect_of(header="id name") == (",", '"')
    assert dialect_of() == (",", '"')


def test_an_unclosed_quote_spoils_its_row_alone() -> None:
    rows = rows_of(b'id,name\n1,a\n2,"b\n3,c\n4,d\n')
    assert rows == [["1", "a"], "a quote that opens in this row is never closed", ["3", "c"], ["4", "d"]]


def test_an_unclosed_quote_spoils_its_row_alone_in_a_long_file() -> None:
    lines = [f"{n},{'name' * 30}" for n in range(1, 2_001)]
    lines[9] = f'10,"{"name" * 30}'
    rows = rows_of("\n".join(["id,name", *lines]).encode())
    assert rows[9] == "a quote that opens in this row is never closed"
    assert rows[:9] + rows[10:] == [line.split(",") for line in lines[:9] + lines[10:]]


def test_two_unclosed_quotes_spoil_their_rows_alone() -> None:
    rows = rows_of(b'id,name\n1,"a\n2,b\n3,"c"d\n4,"e\n5,f\n')
    malformed = "text follows a closing quote, or a quote that opens in this row is closed in another"
    assert rows == [malformed, ["2", "b"], malformed, "a quote that opens in this row is never closed", ["5", "f"]]


def test_a_field_of_ten_megabytes_spoils_its_row_alone() -> None:
    huge = b"x" * 10_000_000
    expected = ["the line has more than 4,194,304 characters", ["2", "b"]]
    assert rows_of(b"id,name\n1," + huge + b"\n2,b\n") == expected
    assert rows_of(b'id,name\n1,"' + huge + b'"\n2,b\n') == expected


def test_a_field_beyond_the_limit_spoils_its_row_alone() -> None:
    expected = ["a field has more than 131,072 characters", ["2", "b"]]
    assert rows_of(b"id,name\n1," + b"x" * 200_000 + b"\n2,b\n") == expected
    assert rows_of(b'id,name\n1,"' + b"x" * 200_000 + b'"\n2,b\n') == expected


def test_rows_within_a_field_beyond_the_limit_are_never_read_as_rows() -> None:
    assert rows_of(b'id,name\n1,"' + b"9,forged\n" * 30_000 + b'"\n2,b\n') == [
        "a field has more than 131,072 characters",
        ["2", "b"],
    ]


def test_two_thousand_columns_are_read() -> None:
    names = [f"c{n}" for n in range(2_000)]
    values = [str(n) for n in range(2_000)]
    table = table_of(f"{','.join(names)}\n{','.join(values)}\n".encode())
    assert (table.columns, list(table)) == (tuple(names), [(1, values)])


def test_header_names_are_trimmed_and_may_be_missing() -> None:
    assert table_of(b"\xef\xbb\xbf id ,, name\xc2\xa0\n1,2,3\n").columns == ("id", "", "name")


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        ([" id "], ("id",)),
        (["\ufeff id"], ("id",)),
        ([" \ufeff id \ufeff "], ("id",)),
        (["XX\u00a0", "X"], ("XX", "X")),
        (["id", "", " ", "name"], ("id", "", "", "name")),
    ],
)
def test_names_come_without_white_space_and_marks(cells: list[str], names: tuple[str, ...]) -> None:
    assert header_names(cells) == names


def test_two_columns_of_one_name_are_unusable() -> None:
    assert unusable(b"id,,name,name\n1,2,3,4\n") == "two columns have the same name, 'name' (columns 3 and 4)"
    assert unusable(b"id,name, id\n1,2,3\n") == "two columns have the same name, 'id' (columns 1 and 3)"


def test_a_header_without_names_is_unusable() -> None:
    assert unusable(b",,\n1,2,3\n") == "the header row has no column names"


def test_a_header_with_an_unclosed_quote_is_unusable() -> None:
    assert unusable(b'id,"name\n1,2\n') == "a quote in the header row is never closed, or not doubled"


@pytest.mark.parametrize("data", [b"", b"\n\r\n", b"   ", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"])
def test_an_empty_file_is_unusable(data: bytes) -> None:
    assert unusable(data) == "the file is empty"


def test_a_header_alone_is_a_table_without_rows() -> None:
    table = table_of(b"id,name")
    assert (table.columns, list(table), table.notes) == (("id", "name"), [], ())


def test_names_for_a_file_without_header_row() -> None:
    assert rows_of(b"1,a\n2,b\n3\n", header=["id", "name"]) == [["1", "a"], ["2", "b"], TOO_FEW]
    table = table_of(b"1,a\n2,b\n", header=False)
    assert (table.columns, list(table)) == (("1", "2"), [(1, ["1", "a"]), (2, ["2", "b"])])


def test_a_row_that_repeats_the_header_is_no_person() -> None:
    rows = rows_of(b'id,name\n1,a\nid,name\n2,b\n"id",name\n')
    assert rows == [["1", "a"], "the row repeats the header", ["2", "b"], "the row repeats the header"]


def test_a_byte_order_mark_in_the_middle_is_left_out_and_noted() -> None:
    table = table_of(b"\xef\xbb\xbfid,name\n1,a\n\xef\xbb\xbf2,b\n")
    assert list(table) == [(1, ["1", "a"]), (2, ["2", "b"])]
    assert table.notes == ("byte order marks in the middle of the file were left out",)


def test_a_nul_spoils_its_row_alone() -> None:
    filler = "".join(f"{n},name\n" for n in range(20)).encode()
    rows = rows_of(b"id,name\n" + filler + b"20,a\0b\n21,c\n")
    assert rows[20:] == ["the value has a NUL character", ["21", "c"]]


def test_preamble_and_trailer_lines_are_no_rows() -> None:
    data = b'Report; of\n"today\nid,name\n1,a\n2,b\nTRAILER,2\n\n'
    assert rows_of(data, skip=2, footer=1) == [["1", "a"], ["2", "b"]]


def test_a_trailers_count_is_checked() -> None:
    footer = {"lines": 1, "count": "TRAILER,([0-9]+)"}
    assert rows_of(b"id,name\n1,a\n2\nTRAILER,2\n", footer=footer) == [["1", "a"], TOO_FEW]
    wrong = "the trailer states 3 rows, but the file has 1; the file could be read up to row 1"
    assert unusable(b"id,name\n1,a\nTRAILER,3\n", footer=footer) == wrong
    missing = "no trailer line states a count of rows as file: footer: count describes it"
    assert unusable(b"id,name\n1,a\n2,b\n", footer=footer).startswith(missing)


def test_a_trailer_longer_than_a_block_is_held_back() -> None:
    trailer = b"".join(b"T%d %s\n" % (n, b"x" * 1_000) for n in range(200))
    assert rows_of(b"id,name\n1,a\n" + trailer, footer=200) == [["1", "a"]]


NAMES = "the first row must name the columns, or list them under file: header"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b",,\n1,2,3\n", Fault(message="the header row has no column names", advice=NAMES)),
        (
            b"id,name,id\n1,2,3\n",
            Fault(
                message="two columns have the same name, 'id' (columns 1 and 3)",
                advice="rename one of them in the export",
                column="id",
            ),
        ),
        (
            b'id,"name\n1,2\n',
            Fault(
                message="a quote in the header row is never closed, or not doubled",
                advice="correct the header row, or file: quote",
            ),
        ),
        (
            b"id,na\0me\n" + b"1,abcdefg\n" * 10,
            Fault(message="the header row cannot be decoded", advice="say file: encoding in the feed file"),
        ),
        (
            b"id," + b"x" * 5_000_000 + b"\n1,2\n",
            Fault(message="the header row cannot be decoded", advice="say file: encoding in the feed file"),
        ),
        (
            b"id;a,b\n1;2,3\n",
            Fault(
                message="the delimiter could be ',' or ';': each gives all rows the same number of fields",
                advice="say file: delimiter in the feed file",
            ),
        ),
        (b"\n", Fault(message="the file is empty", advice="if nobody is to be changed, send the header row alone")),
    ],
)
def test_a_header_that_cannot_be_used_comes_with_what_to_do(data: bytes, fault: Fault) -> None:
    assert faults_of(data) == [fault]


REPEATED = Fault(message="the row repeats the header", advice="were two files joined? send them one by one")
LINES = ["id,name", "1,a", "2", "3,b,c", "id,name", "", "4, d \t", "id,x", "6\0,f", "7,\xe9", "8,g", "9,h,\xff"]
SAID: list[list[str] | Fault] = [
    ["1", "a"],
    Fault(message="the row has 1 field where the header has 2", advice="fill the row up with empty fields"),
    Fault(message="the row has 3 fields where the header has 2", advice="quote the values that hold the delimiter"),
    REPEATED,
    ["4", " d \t"],
    ["id", "x"],
    Fault(message="the value has a NUL character", advice="correct the export", column="id"),
    Fault(
        message="the value has bytes that are not in the file's encoding",
        advice="correct the export, or file: encoding",
        column="name",
    ),
    ["8", "g"],
    Fault(
        message="the value has bytes that are not in the file's encoding",
        advice="correct the export, or file: encoding",
    ),
]


@pytest.mark.parametrize("quoted", [0, 1, 40])
@pytest.mark.parametrize("spoilt", [False, True])
@pytest.mark.parametrize(("before", "end"), [(0, "\n"), (0, "\r\n"), (0, "\r"), (3, "\n"), (17_000, "\n")])
def test_rows_are_the_same_however_many_have_quotes(quoted: int, before: int, end: str, *, spoilt: bool) -> None:
    header, *lines = LINES if spoilt else [line for line in LINES if line.isascii() and "\0" not in line]
    said = SAID if spoilt else [*SAID[:6], ["8", "g"]]
    more = [[f"q{number}", 'x"'] for number in range(quoted)]
    text = end.join([header, *["0,z"] * before, *lines, *(f'"{first}","x"""' for first, _ in more), ""])
    table = table_of(text.encode("latin-1"), encoding="utf-8", delimiter=",", quote='"')
    found = [(row.number, row.fault) if isinstance(row, BadRow) else row for row in table]
    assert found == list(enumerate([*[["0", "z"]] * before, *said, *more], start=1))
    assert table.notes == ()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_row_of_quotes_is_read_whole_across_the_seams_of_blocks(end: str) -> None:
    for length in range(BLOCK - 8, BLOCK + 4):
        filler = "x" * (length - len(f"id,name{end}1,{end}"))
        text = f'id,name{end}1,{filler}{end}2,"a{end}""b"""{end}3,c{end}'
        assert rows_of(text.encode()) == [["1", filler], ["2", f'a{end}"b"'], ["3", "c"]]


def test_a_spoilt_character_before_the_seam_spoils_the_row_that_goes_on_after_it() -> None:
    for length in range(BLOCK - 40, BLOCK):
        filler = "x" * (length - len("id,name\n1,\n"))
        text = f'id,name\n1,{filler}\n2,"a\0\n{"b" * 40}"\n3,c\n'
        assert rows_of(text.encode()) == [["1", filler], "the value has a NUL character", ["3", "c"]]


def test_only_a_byte_order_mark_at_the_beginning_of_a_line_is_left_out() -> None:
    for quoted in ("4,d", '"4","d"'):
        table = table_of(f"id,name\n1,a\ufeffb\n{quoted}\n".encode())
        assert (list(table), table.notes) == ([(1, ["1", "a\ufeffb"]), (2, ["4", "d"])], ())


def test_a_quote_that_runs_on_beyond_what_can_be_held_spoils_its_row_alone() -> None:
    line = "y" * 100_000
    text = "\n".join(["id,name", "0,a", f'1,"{line}', *[line] * 45, '"', "2,b", ""])
    never = "a quote that opens in this row is never closed"
    assert rows_of(text.encode()) == [["0", "a"], never, *[TOO_FEW] * 45, never, ["2", "b"]]


@pytest.mark.parametrize(
    ("header", "row", "after", "expected"),
    [
        ("id,name", '1,"{}"', "2,b", ["a field has more than 131,072 characters", ["2", "b"]]),
        ("name", '"{}"', "b", ["a field has more than 131,072 characters", ["b"]]),
    ],
)
def test_a_long_field_of_many_lines_is_one_row_wherever_it_stands(
    header: str, row: str, after: str, expected: list[object]
) -> None:
    first = ["0", "a"] if "," in header else ["a"]
    text = "\n".join([header, ",".join(first), row.format("9\n" * 66_000), after, ""])
    assert rows_of(text.encode(), delimiter=",") == [first, *expected]


def test_a_long_field_that_is_never_closed_is_said_to_be_so() -> None:
    never = "a quote that opens in this row is never closed"
    lines = ["9" * 100] * 1_400
    text = "\n".join(["name", '"9', *lines, ""])
    assert rows_of(text.encode(), delimiter=",") == [never, *[[line] for line in lines]]
    malformed = "\n".join(["id,name", '1,"9', *lines, '"x,2', ""])
    assert rows_of(malformed.encode())[0] == never


@pytest.mark.parametrize(
    ("data", "skip", "columns"),
    [
        (b"sep=,\r\nid;a,b\r\n1;2,3\r\n", 0, ("id;a", "b")),
        (b'"sep=;"\nid;a,b\n1;2,3\n', 0, ("id", "a,b")),
        (b"SEP=|\nid|a\n1|2\n", 0, ("id", "a")),
        (b"sep=\t\r\nid;a\tb\r\n1;2\t3\r\n", 0, ("id;a", "b")),
        (b"sep=;\nReport\nid;a,b\n1;2,3\n", 2, ("id", "a,b")),
        (b"\n\r\nid,name\n1,a\n", 0, ("id", "name")),
    ],
)
def test_a_header_comes_after_a_separator_line_and_blank_lines(
    data: bytes, skip: int, columns: tuple[str, ...]
) -> None:
    table = table_of(data, skip=skip)
    assert (table.columns, len(list(table))) == (columns, 1)


def test_a_separator_line_is_that_alone() -> None:
    assert table_of(b"sep=;;\n1;2;3\n").columns == ("sep=", "", "")
    assert table_of(b"sep;a\n1;2\n").columns == ("sep", "a")


def test_a_line_of_spaces_is_no_blank_line() -> None:
    assert unusable(b"  \nid,name\n1,a\n") == "the header row has no column names"


def test_a_file_of_preamble_and_blank_lines_has_no_header() -> None:
    assert faults_of(b"Report\n\n\n", skip=1) == [Fault(message="the file has no header row", advice=NAMES)]


def test_what_is_wrong_with_the_file_is_said_to_who_looks_at_few_columns_too() -> None:
    table = table_of(b"id,name\n1,a\nEND2\n", name="people.csv", footer={"lines": 1, "count": "END([0-9])"})
    assert isinstance(table, Table)
    with pytest.raises(DropUnusable) as caught:
        list(table.leading(1))
    message = "the trailer states 2 rows, but the file has 1; the file could be read up to row 1"
    assert (caught.value.name, caught.value.faults[0].message) == ("people.csv", message)


def test_what_is_wrong_with_quotes_comes_with_what_to_do() -> None:
    data = b'id,name\n1,a\n2,"b\n3,"c"d\n4,e\n5,"f\n6,g\n7,' + b"h" * 131_073 + b"\n8,i\n"
    malformed = Fault(
        message="text follows a closing quote, or a quote that opens in this row is closed in another",
        advice="double the quotes that are part of a value",
    )
    never = Fault(
        message="a quote that opens in this row is never closed",
        advice="close it, or double it if it is part of the value",
    )
    long = Fault(
        message="a field has more than 131,072 characters", advice="no attribute holds as much: correct the export"
    )
    rows = list(table_of(data))
    assert [row.fault if isinstance(row, BadRow) else row for row in rows] == [
        (1, ["1", "a"]), malformed, malformed, (4, ["4", "e"]), never, (6, ["6", "g"]), long, (8, ["8", "i"])
    ]  # fmt: skip


@pytest.mark.parametrize("quote", ['"', "'", "none"])
def test_the_longest_field_is_read(quote: str) -> None:
    field = "x" * 131_072
    for mark in {"", quote} - {"none"}:
        for more, expected in (("", ["1", field]), ("x", "a field has more than 131,072 characters")):
            data = f"id,name\n1,{mark}{field}{more}{mark}\n2,b\n".encode()
            assert rows_of(data, delimiter=",", quote=quote) == [expected, ["2", "b"]]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 9])
def test_who_looks_at_few_columns_is_given_those_of_every_row(count: int) -> None:
    lines = ["a,b,c,d,e,f,g,h", "1,2,3,4,5,6,7,8", "a,b,c,d,e,f,g,h", "a,2,3,4,5,6,7,8", "", "1,2", "9,2,3,4,5,6,7,8"]
    for more in ([], ['"1",2,3,4,5,6,7,8'], ['"1","2","3","4","5","6","7","8"'] * 9):
        data = "\n".join([*lines, *more]).encode()
        whole, some = table_of(data), table_of(data)
        assert isinstance(whole, Table)
        assert isinstance(some, Table)
        for row, part in zip(whole, some.leading(count), strict=True):
            if isinstance(row, BadRow):
                assert part == row
            else:
                assert isinstance(part, tuple)
                assert (part[0], part[1][:count]) == (row[0], row[1][:count])


def test_who_looks_at_few_columns_of_many_is_given_no_more_than_one_piece_beside_them() -> None:
    table = table_of(b"a,b,c,d,e,f,g,h\n1,2,3,4,5,6,7,8\n")
    assert isinstance(table, Table)
    assert list(table.leading(2)) == [(1, ["1", "2", "3,4,5,6,7,8"])]


@given(
    table=st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"))), min_size=1),
    delimiter=st.sampled_from([*",;\t|^", "§", "€"]),
    quote=st.sampled_from("\"'`"),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
@settings(max_examples=300, deadline=None)
def test_any_table_of_text_survives_every_dialect(
    table: list[list[str]], delimiter: str, quote: str, end: str, quoting: Literal[0, 1, 2], encoding: str
) -> None:
    width = max(map(len, table)) + 1
    rows = [[*row, *[""] * (width - len(row) - 1), "end"] for row in table]
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter, quotechar=quote, lineterminator=end, quoting=quoting)
    writer.writerows([[f"c{n}" for n in range(width)], *rows])
    # csv.writer leaves a bare \r unquoted when lines end with \n (Python 3.11): such a file means something else.
    text = written.getvalue()
    if quoting == csv.QUOTE_MINIMAL and any(
        "\r" in cell and not set(cell) & {delimiter, quote, "\n"} for row in rows for cell in row
    ):
        assume(False)
    declared: dict[str, Any] = {"encoding": "utf-8"} if encoding == "utf-8" else {}
    data = text.encode(encoding)
    assert rows_of(data, format="csv", delimiter=delimiter, quote=quote, **declared) == rows


@given(
    rows=st.lists(
        st.lists(st.text(string.ascii_letters + string.digits + " -.@äöü\"'\n"), min_size=3, max_size=3), max_size=20
    ),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
)
@settings(max_examples=70, deadline=None)
def test_the_usual_dialects_are_found_whatever_the_values(rows: list[list[str]], delimiter: str, end: str) -> None:
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator=end).writerows([["id", "first name", "last name"], *rows])
    assert rows_of(written.getvalue().encode("utf-8-sig")) == rows


@given(
    lines=st.lists(st.text('ab,"\n\r'), max_size=30),
    filler=st.integers(0, 200),
)
@settings(max_examples=70, deadline=None)
def test_blocks_do_not_change_what_is_read(lines: list[str], filler: int) -> None:
    """Rows around a seam of blocks are the same as without one."""
    text = "".join(line + "\n" for line in lines)
    plain = rows_of(b"x,y\n" + text.encode(), delimiter=",", quote='"')
    padding = "p,q\n" * ((BLOCK - filler) // 4)
    padded = rows_of(f"x,y\n{padding}{text}".encode(), delimiter=",", quote='"')
    assert padded[len(padding) // 4 :] == plain


@given(st.lists(st.lists(st.sampled_from(["", "1", "a", "b,", '"x,y"', '"', "\ufeff", "é"]), max_size=6).map(",".join)))
def test_the_first_cells_alone_are_those_of_the_whole_rows(lines: list[str]) -> None:
    data = "\n".join(["a,b,c,d", *lines]).encode()
    whole, some = table_of(data), table_of(data)
    assert isinstance(whole, Table)
    assert isinstance(some, Table)
    rows = [row if isinstance(row, BadRow) else (row[0], row[1][0]) for row in whole]
    assert [row if isinstance(row, BadRow) else (row[0], row[1][0]) for row in some.leading(1)] == rows
