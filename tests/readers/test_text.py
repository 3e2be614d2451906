from __future__ import annotations

import pytest

from tests.readers.reading import rows_of, table_of, unusable

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
        ("id,name\n1,Zoë €\n".encode("cp1252"), "windows-1252", "Zoë €"),
        (b"id,name\n1,\x81\xe9\n", "iso-8859-1", "\x81é"),
    ],
)
def test_what_is_not_utf_8_is_a_guess_with_a_note(data: bytes, guess: str, cell: str) -> None:
    table = table_of(data)
    assert list(table) == [(1, ["1", cell])]
    assert table.notes == (
        f"encoding: {guess} (a guess: the file is not UTF-8; file: encoding in the feed file says it for certain)",
    )


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
    assert rows_of("id,name\n1,a\n2,ö".encode("utf-16")[:-1]) == [["1", "a"], UNDECODABLE]


def test_a_header_that_cannot_be_decoded_is_unusable() -> None:
    assert unusable(b"id,n\xe4me\n1,a\n", encoding="utf-8") == "the header row cannot be decoded"


def test_utf_16_without_a_mark_is_said_to_be_so_and_read_when_declared() -> None:
    data = "id,name\n1,a\n".encode("utf-16-le")
    assert unusable(data) == "the file seems to be UTF-16 without a byte order mark"
    assert rows_of(data, encoding="utf-16-le") == [["1", "a"]]


def test_a_declared_encoding_that_the_mark_contradicts_is_unusable() -> None:
    message = "the feed declares the encoding windows-1252, but the file begins with the byte order mark of utf-8"
    assert unusable(b"\xef\xbb\xbfid\n1\n", encoding="windows-1252") == message


@pytest.mark.parametrize("encoding", ["utf-7", "unicode_escape", "punycode"])
def test_encodings_that_are_none_of_files_are_refused(encoding: str) -> None:
    assert unusable(b"id\n1\n", encoding=encoding) == f"the encoding {encoding!r} is unknown"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bytes(range(256)) * 20, "the file is binary: no format that can be read"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "the file is binary: no format that can be read"),
        (b"%PDF-1.7\n", "the file is a PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "the file is an Excel file of the old format, or one with a password"),
        (b"-----BEGIN PGP MESSAGE-----\n", "the file is encrypted or signed with OpenPGP"),
        (b"<!DOCTYPE html>\n<html><body>Log in</body></html>", "the file is an HTML page"),
    ],
)
def test_what_is_no_export_is_unusable_and_named(data: bytes, message: str) -> None:
    assert unusable(data) == message


def test_content_that_belies_the_name_is_unusable() -> None:
    message = "the file's name ends with .json, but its content is something else"
    assert unusable(b"id,name\n1,a\n", name="people.json") == message


def test_json_like_headers_are_still_csv() -> None:
    assert table_of(b"[Worker ID],[Name]\n1,a\n").columns == ("[Worker ID]", "[Name]")
