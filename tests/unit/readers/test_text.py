from __future__ import annotations

import pytest

from connector.feed.file_options import FileOptions, FixedColumn, Footer
from connector.readers.detect import text_format
from connector.readers.table import Unreadable
from connector.readers.text import BLOCK, EVIDENCE, MAX_LINE, is_junk, spoilt
from connector.readers.trailer import check_trailer
from connector.vocabulary.errors import Fault
from tests.unit.readers.reading import faults_of, rows_of, table_of, unusable

UNDECODABLE = "the value has bytes that are not in the file's encoding"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_recognised_without_a_note(encoding: str) -> None:
    table = table_of("id,näme\n1,日本\n2,😀\n".encode(encoding))
    assert (table.columns, list(table), table.notes) == (("id", "näme"), [(1, ["1", "日本"]), (2, ["2", "😀"])], ())


@pytest.mark.parametrize("mark", ["utf-16-be", "utf-32-be", "utf-16-le", "utf-32-le"])
def test_either_byte_order_is_read(mark: str) -> None:
    assert rows_of("\ufeffid,ä\n1,ö\n".encode(mark)) == [["1", "ö"]]


@pytest.mark.parametrize(
    ("data", "guess", "cell"),
    [
        ("id,name\n1,X Zoë €\n".encode("cp1252"), "windows-1252", "X Zoë €"),
        (b"id,name\n1,\x81\xe9\n", "iso-8859-1", "\x81é"),
    ],
)
def test_what_is_not_utf_8_is_a_guess_with_a_note(data: bytes, guess: str, cell: str) -> None:
    table = table_of(data)
    assert list(table) == [(1, ["1", cell])]
    assert table.notes == (
        f"encoding: {guess} (a guess: the file is not UTF-8; file: encoding in the feed file says it for certain)",
    )


@pytest.mark.parametrize("byte", [0x81, 0x8D, 0x8F, 0x90, 0x9D])
def test_a_byte_that_windows_1252_lacks_makes_it_iso_8859_1(byte: int) -> None:
    table = table_of(b"id,name\n1,\xe9" + bytes([byte]) + b"\n")
    assert list(table) == [(1, ["1", f"é{chr(byte)}"])]
    assert table.notes[0].startswith("encoding: iso-8859-1 (a guess")


@pytest.mark.parametrize(
    ("first", "second", "encoding"),
    [
        (b"\xe9", b"\xe9", "windows-1252"),
        (b"\x81\xe9", b"\xe9", "iso-8859-1"),
        (b"\xe9", b"\x81\xe9", "iso-8859-1"),
        (b"\xc3\xa9", b"\xe9", "utf-8"),
        (b"\xe9", b"\xc3\xa9", "utf-8"),
    ],
)
def test_every_block_of_the_evidence_counts(first: bytes, second: bytes, encoding: str) -> None:
    rows = [b"1," + first, *[b"2,%s" % (b"a" * 98)] * 2_000, b"3," + second]
    table = table_of(b"\n".join([b"id,name", *rows]))
    found = [row if isinstance(row, tuple) else UNDECODABLE for row in table]
    expected: list[object] = []
    for number, row in enumerate(rows, start=1):
        try:
            expected.append((number, row.decode(encoding).split(",")))
        except UnicodeDecodeError:
            expected.append(UNDECODABLE)
    assert found == expected
    assert [note.split(" ")[1] for note in table.notes] == ([] if encoding == "utf-8" else [encoding])


def test_half_a_character_before_a_seam_is_no_utf_8() -> None:
    head = b"id,name\n1,"
    data = head + b"a" * (BLOCK - len(head) - 1) + b"\xc3" + b"b" * 10 + b"\n2,%s\n" % (b"a" * BLOCK)
    assert rows_of(data)[0] == ["1", "a" * (BLOCK - len(head) - 1) + "Ã" + "b" * 10]


def test_a_stateful_encoding_keeps_its_state_around_a_bad_byte() -> None:
    data = "id,name\n1,日本\n".encode("iso-2022-jp") + b"2,\xff\n" + "3,日\n".encode("iso-2022-jp")
    assert rows_of(data, encoding="iso-2022-jp") == [["1", "日本"], UNDECODABLE, ["3", "日"]]


def test_only_the_mark_at_the_beginning_of_the_file_is_none_of_the_text() -> None:
    head = "id,name\n1,"
    cell = "x" * (BLOCK - len(head)) + "\ufeffy"
    assert rows_of(f"{head}{cell}\n".encode()) == [["1", cell]]
    assert rows_of(f"\ufeff\ufeff{head}y\n".encode()) == [["1", "y"]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("plain\x7f", None),
        ("é😀\x80", None),
        ("a\0", "the value has a NUL character"),
        ("é\0", "the value has a NUL character"),
        ("a\udcff\0", "the value has bytes that are not in the file's encoding"),
        ("a\udcfe\0", "the line has more than 4,194,304 characters"),
        ("a\ud83d", "the value has half of a surrogate pair"),
        ("\ude00\ud83d", "the value has half of a surrogate pair"),
    ],
)
def test_what_spoils_a_value_is_said_of_its_column(value: str, message: str | None) -> None:
    encoding = message is not None and message.endswith("encoding")
    advice = "correct the export, or file: encoding" if encoding else "correct the export"
    assert spoilt(value, "c") == (message and Fault(message=message, advice=advice, column="c"))


def test_a_character_may_lie_across_the_seam_of_blocks() -> None:
    for filler in range(BLOCK - 14, BLOCK - 8):
        cell = "x" * filler + "é€😀"
        table = table_of(f"id,name\n1,{cell}\n".encode())
        assert (list(table), table.notes) == ([(1, ["1", cell])], ())


def test_valid_characters_after_a_bad_byte_make_it_utf_8_within_the_evidence() -> None:
    head = b"id,name\n1,Zo\xeb\n"
    filler = b"2,%s\n" % (b"a" * 997)
    for count, expected in (((EVIDENCE - 100) // 1_000, UNDECODABLE), (EVIDENCE // 1_000 + 1, ["1", "Zoë"])):
        rows = rows_of(head + filler * count + "3,Zoë\n".encode())
        assert rows[0] == expected


def test_a_declared_encoding_is_no_guess() -> None:
    table = table_of("id,name\n1,Łódź\n".encode("cp1250"), encoding="windows-1250")
    assert (list(table), table.notes) == ([(1, ["1", "Łódź"])], ())


def test_a_bad_byte_in_a_utf_8_file_spoils_its_row_alone() -> None:
    table = rows_of("id,name\n1,Zoë\n".encode() + b"2,Zo\xeb\n3,c\n")
    assert table == [["1", "Zoë"], UNDECODABLE, ["3", "c"]]


def test_a_bad_byte_spoils_its_row_alone_where_the_feed_or_a_mark_says_utf_8() -> None:
    assert rows_of(b"id,name\n1,Zo\xeb\n2,b\n", encoding="utf-8") == [UNDECODABLE, ["2", "b"]]
    assert rows_of(b"\xef\xbb\xbfid,name\n1,Zo\xeb\n2,b\n") == [UNDECODABLE, ["2", "b"]]


def test_a_bad_byte_far_into_an_ascii_file_spoils_its_row_alone() -> None:
    data = b"id,name\n" + b"1,%s\n" % (b"a" * 100) * 90_000 + b"2,Zo\xeb\n3,b\n"
    tail = [item for item in table_of(data) if not isinstance(item, tuple) or item[0] > 90_000]
    assert [getattr(item, "number", item) for item in tail] == [90_001, (90_002, ["3", "b"])]


def test_half_a_character_at_the_end_spoils_the_last_row_alone() -> None:
    for encoding in ("utf-16", "utf-8"):
        assert rows_of("id,name\n1,a\n2,ö".encode(encoding)[:-1]) == [["1", "a"], UNDECODABLE]


def test_a_header_that_cannot_be_decoded_is_unusable() -> None:
    assert unusable(b"id,n\xe4me\n1,a\n", encoding="utf-8") == "the header row cannot be decoded"


def test_utf_16_without_a_mark_is_said_to_be_so_and_read_when_declared() -> None:
    data = "id,name\n1,a\n".encode("utf-16-le")
    assert unusable(data) == "the file seems to be UTF-16 without a byte order mark"
    assert rows_of(data, encoding="utf-16-le") == [["1", "a"]]


@pytest.mark.parametrize(
    ("declared", "mark"),
    [("utf-16", "utf-16-le"), ("utf-16", "utf-16-be"), ("utf-32", "utf-32-be"), ("utf-16-be", "utf-16-be"),
     ("utf-8-sig", "utf-8"), ("utf8", "utf-8")],
)  # fmt: skip
def test_a_declared_encoding_that_the_mark_bears_out_is_followed(declared: str, mark: str) -> None:
    table = table_of("\ufeffid,ä\n1,ö\n".encode(mark), encoding=declared)
    assert (table.columns, list(table)) == (("id", "ä"), [(1, ["1", "ö"])])


@pytest.mark.parametrize(
    ("declared", "mark"),
    [("windows-1252", "utf-8"), ("utf-16-be", "utf-16-le"), ("utf-32", "utf-16-le"), ("utf-16", "utf-32-le"),
     ("utf-8", "utf-16-le")],
)  # fmt: skip
def test_a_declared_encoding_that_the_mark_contradicts_is_unusable(declared: str, mark: str) -> None:
    assert faults_of("\ufeffid\n1\n".encode(mark), encoding=declared) == [
        Fault(
            message=f"the feed declares the encoding {declared},"
            f" but the file begins with the byte order mark of {mark}",
            advice="correct file: encoding in the feed file, or leave it out",
            column="file.encoding",
        )
    ]


def test_utf_8_with_a_signature_may_lack_it() -> None:
    assert rows_of("id,ä\n1,ö\n".encode(), encoding="utf-8-sig") == [["1", "ö"]]


@pytest.mark.parametrize(
    ("data", "what", "advice"),
    [
        (
            bytes(range(256)) * 20,
            "binary: no format that can be read",
            "send CSV, JSON, XML, XLSX or fixed-width text",
        ),
        (
            b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
            "binary: no format that can be read",
            "send CSV, JSON, XML, XLSX or fixed-width text",
        ),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            "an Excel file of the old format, or one with a password",
            "save it as .xlsx without a password",
        ),
        (
            b"-----BEGIN PGP MESSAGE-----\n",
            "encrypted or signed with OpenPGP",
            "the feed's pgp section says how to decrypt it",
        ),
        (b"%PDF-1.7\n", "a PDF", "send the data itself, for instance as CSV"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "use gzip or ZIP"),
        (b"Rar!\x1a\x07", "a RAR archive", "use gzip or ZIP"),
        (b"BZh91AY", "a bzip2 file", "use gzip or ZIP"),
        (b"\xfd7zXZ\x00", "an xz file", "use gzip or ZIP"),
        (b"\x28\xb5\x2f\xfd\x04", "a Zstandard file", "use gzip or ZIP"),
        (b"PAR1\x15\x04", "a Parquet file", "send CSV, JSON, XML or XLSX"),
        (
            b"<!DOCTYPE html>\n<html><body>Log in</body></html>",
            "an HTML page",
            "is it an error message or a login page of the HR system?",
        ),
        (b"\n <HTML lang='en'>", "an HTML page", "is it an error message or a login page of the HR system?"),
    ],
)
def test_what_is_no_export_is_unusable_and_named(data: bytes, what: str, advice: str) -> None:
    assert faults_of(data) == [Fault(message=f"the file is {what}", advice=advice)]


@pytest.mark.parametrize(
    ("head", "delimiter", "junk"),
    [
        (b"a" * 98 + b"\x00\x02", None, False),
        (b"a" * 97 + b"\x00\x02", None, True),
        (b"a" * 97 + b"\x08\x7f", None, True),
        (b"a" * 97 + b"\x0e\x19", None, True),
        (b"a\t\n\x0b\x0c\r\x1a\x1c\x1d\x1e\x1f", None, False),
        (b"a\x01" * 50, None, False),
        (b"a\x01" * 50 + b"\x02", None, True),
        (b"a\x02" * 50, None, True),
        (b"a\x02" * 50, "\x02", False),
        (b"a\x02" * 50 + b"\x03" * 2, "\x02", False),
        (b"a\x02" * 50 + b"\x03" * 3, "\x02", True),
        (b"X\x02" * 50, "\x02", False),
    ],
)
def test_more_than_one_control_character_in_fifty_is_no_text(head: bytes, delimiter: str | None, *, junk: bool) -> None:
    assert is_junk(head, delimiter=delimiter) is junk


def test_a_line_may_have_as_many_characters_as_can_be_held() -> None:
    lines = ["1 " + "x" * (MAX_LINE - 2 + more) for more in (0, 2 * BLOCK)]
    for end in ("\n", "\r\n", ""):
        rows = [rows_of(f"0\n{line}{end}".encode(), format="fixed", columns={"id": "1-2"}) for line in lines]
        assert rows == [[["0"], ["1"]], [["0"], "the line has more than 4,194,304 characters"]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("lines", [0, 1, 2, 3])
def test_preamble_and_trailer_are_counted_in_lines(lines: int, end: str) -> None:
    preamble = [f"preamble {number}" for number in range(lines)]
    trailer = ["", *(f"trailer {number}" for number in range(lines)), ""]
    data = end.join([*preamble, "id,name", "1,a", "2,b", *trailer])
    assert rows_of(data.encode(), skip=lines, footer=lines, delimiter=",") == [["1", "a"], ["2", "b"]]


def test_a_header_and_a_trailer_are_enough() -> None:
    footer = {"lines": 1, "count": "^T([0-9]+)$"}
    for end in ("\n", "\r\n"):
        assert rows_of(f"id,name{end}T0{end}".encode(), footer=footer, delimiter=",") == []
        assert rows_of(f"id,name{end}1,a{end}T1{end}{end}".encode(), footer=footer) == [["1", "a"]]


def test_a_trailer_line_of_spaces_is_one() -> None:
    assert rows_of(b"id,name\n1,a\n  \n", footer=1) == [["1", "a"]]
    fault = unusable(b"id,name\n1,a\n", footer={"lines": 0, "count": "T([0-9]+)"})
    assert fault.startswith("no trailer line states a count of rows")


def test_a_preamble_and_a_trailer_leave_all_between_them() -> None:
    rows = "".join(f"{number},{'x' * 98}\n" for number in range(3_000))
    found = rows_of(f"Report\nid,name\n{rows}T\n".encode(), skip=1, footer=1)
    assert found == [[str(number), "x" * 98] for number in range(3_000)]


def test_a_preamble_may_be_longer_than_a_block() -> None:
    preamble = "".join(f"line {number} {'x' * 1_000}\n" for number in range(200))
    assert rows_of(f"{preamble}id,name\n1,a\n".encode(), skip=200) == [["1", "a"]]
    assert unusable(preamble.encode(), skip=201) == "the file has no header row"


@pytest.mark.parametrize("extension", [".json", ".jsonl", ".ndjson", ".xml", ".xlsx"])
def test_content_that_belies_the_name_is_unusable(extension: str) -> None:
    for name in (f"people{extension}", f"PEOPLE{extension.upper()}"):
        assert faults_of(b"id,name\n1,a\n", name=name) == [
            Fault(
                message=f"the file's name ends with {extension}, but its content is something else",
                advice="say file: format in the feed file",
            )
        ]


KINDS = {
    "xml": [
        "<a/>", "<a>", "<a b='1'>", "<a\nb='1'>", "<x:a>", "<_a.b-c>", "<ä>", "<?xml version='1.0'?>", "<!-- x --><a/>",
        "\ufeff \t\r\n<a/>",
    ],
    "json": [
        "[]", "[", "[ \n", "[[1]]", "[{", '["a"]', "[1]", "[-1]", "[true]", "[ false]", "[null]", "{}", "{", '{"a": 1}',
        '{"a": 1}\n', '{"a":\n{"b": 1}}', '{"a": 1},\n{"b": 1}', '{"a": 1}\n"b"', '\ufeff{"a": 1}',
        '{"Operations": [1]}', '{"operations": [{"method": "POST"}]}', '{"Operations": [{"data": {"path": 1}}]}',
    ],
    "jsonl": ['{"a": 1}\n{"a": 2}', '{"a": 1} \r\n\n  {"a": 2}'],
    "scim": [
        '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]}',
        '{"Operations": [{"method": "POST"}]}', '{"Operations" :\n[ {"x": 1, "bulkId": 1',
        '{"Operations":[{"path" : "/"}]}', '{"Operations": [{"method": "POST"}]}\n{"Operations": []}',
    ],
    "csv": [
        "<", "<1>", "< a>", "<a", "<a;b", "[a]", "[tru", "[nul,", "[Id],[Name]", "{a}", "{1}", "a,b\n1,2", "#",
        "a<b/>", "a\n{", "",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in KINDS.items() for text in texts])
def test_the_content_says_what_a_file_is(kind: str, text: str) -> None:
    for name in ("people", "people.csv", "people.txt"):
        assert text_format(text.encode(), name=name, options=FileOptions()) == kind
    assert text_format(text.encode("utf-16"), name="people", options=FileOptions()) == kind
    assert text_format(text.encode("utf-16-be"), name="people", options=FileOptions(encoding="utf-16-be")) == kind


def test_the_feed_says_what_a_file_is_whatever_is_in_it() -> None:
    assert text_format(b"<a/>", name="people.json", options=FileOptions(format="csv")) == "csv"
    assert (
        text_format(
            b"<a/>", name="people.json", options=FileOptions(columns=(FixedColumn(name="a", start=1, width=3),))
        )
        == "fixed"
    )
    assert text_format(b"<html>", name="people.json", options=FileOptions(format="xml")) == "xml"


@pytest.mark.parametrize("name", ["x.jsonl", "x.ndjson", "X.JSONL"])
def test_one_object_is_a_line_of_json_where_the_name_says_so(name: str) -> None:
    assert text_format(b'{"a": 1}', name=name, options=FileOptions()) == "jsonl"


@pytest.mark.parametrize(
    ("head", "utf_16"),
    [
        ("ab,é\n".encode("utf-16-le"), True),
        ("ab,é\n".encode("utf-16-be"), True),
        ("日本".encode("utf-16-le") + b"a\0" * 3, True),
        (b"a\0" * 8 + b"bb" * 9, False),
        (b"a\0" * 48 + b"\0\0", True),
        (b"a\0" * 47 + b"\0\0" * 2, False),
        (b"\0" * 20, False),
        (b"\x02" * 20, False),
    ],
)
def test_text_with_every_other_byte_zero_seems_to_be_utf_16(head: bytes, *, utf_16: bool) -> None:
    with pytest.raises(Unreadable) as caught:
        text_format(head, name="people", options=FileOptions())
    assert (caught.value.message, caught.value.advice) == (
        (
            "the file seems to be UTF-16 without a byte order mark",
            "say file: encoding in the feed file (utf-16-le)",
        )
        if utf_16
        else (
            "the file is binary: no format that can be read",
            "send CSV, JSON, XML, XLSX or fixed-width text",
        )
    )


@pytest.mark.parametrize(
    ("pattern", "trailer", "stated"),
    [
        ("rows=([0-9]+)", "a\nrows=2", 2),
        ("rows=([0-9]+)", "rows=2\nrows=3", 2),
        ("rows=([0-9]+)?", "rows=\n", None),
        ("rows=([a-z]+)", "rows=two", None),
        ("rows=([0-9]+)", "rows: 2", None),
        ("rows=([0-9]+)", "", None),
        ("rows=([0-9]+)", "rows=1234", 1234),
    ],
)
def test_a_trailer_states_a_count_or_the_file_is_unusable(pattern: str, trailer: str, stated: int | None) -> None:
    options = FileOptions(footer=Footer(lines=2, count=pattern))
    lines = trailer.splitlines()
    if stated is not None:
        check_trailer(lines, options, rows=stated)
    with pytest.raises(Unreadable) as caught:
        check_trailer(lines, options, rows=1_000)
    found = (caught.value.message, caught.value.advice, caught.value.column)
    if stated is None:
        assert found == (
            "no trailer line states a count of rows as file: footer: count describes it",
            "the file may have arrived in part; if it did not, correct the pattern",
            "file.footer.count",
        )
    else:
        message = f"the trailer states {stated:,} rows, but the file has 1,000"
        assert found == (message, "the file may have arrived in part: send it again", "")


@pytest.mark.parametrize(
    "pattern", ["([0-9]+)$", "^T([0-9]+)", r"(?:rows)?[a-z=]*([0-9]+)", "rows|;([0-9]+)", r"\w+;([0-9]+)"]
)
def test_a_count_that_may_be_a_persons_number_is_not_told(pattern: str) -> None:
    # The trailer is missing, and the pattern finds a number in the last row.
    with pytest.raises(Unreadable) as caught:
        check_trailer(["T52000;52000"], FileOptions(footer=Footer(lines=2, count=pattern)), rows=9)
    assert caught.value.message == "the trailer states more rows, but the file has 9"


def test_a_trailer_need_not_state_a_count() -> None:
    check_trailer(["T,9"], FileOptions(footer=Footer(lines=1)), rows=1)


def test_json_like_headers_are_still_csv() -> None:
    assert table_of(b"[Worker ID],[Name]\n1,a\n").columns == ("[Worker ID]", "[Name]")
