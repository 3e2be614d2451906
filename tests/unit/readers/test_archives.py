from __future__ import annotations

import gzip
import io
import random
import re
import zipfile

import openpyxl
import pytest

from tests.unit.readers.reading import rows_of, unusable, zipped

CSV = b"id,name\n1,a\n"
ROWS = [["1", "a"]]


def large(row: bytes) -> bytes:
    noise = random.Random(5)
    return b"id,name\n" + b"".join(row % (n, noise.getrandbits(60)) for n in range(50_000))


def test_gzip_and_a_zip_of_one_file_are_taken_off() -> None:
    assert rows_of(gzip.compress(CSV)) == ROWS
    assert rows_of(gzip.compress(CSV[:8]) + gzip.compress(CSV[8:])) == ROWS
    assert rows_of(zipped(people_csv=CSV)) == ROWS
    assert rows_of(gzip.compress(b'[{"id": 1}]'), wanted=("id",)) == [["1"]]


def test_what_macos_adds_to_a_zip_is_no_second_file() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("export/", b"")
        archive.writestr("export/people.csv", CSV)
        archive.writestr("__MACOSX/export/._people.csv", b"x")
        archive.writestr("export/.DS_Store", b"x")
    assert rows_of(buffer.getvalue()) == ROWS


def test_the_extension_within_an_archive_counts() -> None:
    line = b'{"id": 1}\n'
    assert rows_of(gzip.compress(line), name="people.jsonl.gz", wanted=("id",)) == [["1"]]
    assert rows_of(zipped(people_jsonl=line), name="people.zip", wanted=("id",)) == [["1"]]


def test_a_packed_workbook_is_read() -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (["id", "name"], ["1", "a"]):
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    assert rows_of(gzip.compress(buffer.getvalue())) == ROWS
    assert rows_of(zipped(people_xlsx=buffer.getvalue())) == ROWS


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (zipped(), "the ZIP file holds 0 files"),
        (zipped(a_csv=CSV, b_csv=CSV), "the ZIP file holds 2 files"),
        (zipped(a_zip=zipped(a_csv=CSV)), "the file is packed twice"),
        (gzip.compress(gzip.compress(CSV)), "the file is packed twice"),
        (gzip.compress(zipped(a_csv=CSV)), "the file is packed twice"),
        (zipped(a_csv=CSV)[:-10], "the ZIP file is damaged"),
        (gzip.compress(b""), "the file is empty"),
        (gzip.compress(CSV)[:-3], "the gzip file ends too early"),
        (gzip.compress(CSV)[:12], "the gzip file ends too early"),
        (gzip.compress(CSV)[:-8] + b"\0" * 8, "the gzip file is damaged"),
        (gzip.compress(CSV) + b"rubbish", "the gzip file is damaged"),
    ],
    # Not made of the bytes, which hold the time: every worker must find the same names.
    ids=range(11),
)
def test_unusable_archives_say_why(data: bytes, message: str) -> None:
    assert unusable(data) == message


@pytest.mark.parametrize("row", [b"%d,%d\n", b'"%d","%d"\n'])
def test_an_archive_that_breaks_off_says_how_far_it_was_read(row: bytes) -> None:
    packed = gzip.compress(large(row))
    message = unusable(packed[: len(packed) // 2])
    assert re.fullmatch(r"the gzip file ends too early; the file could be read up to row [1-4]\d,\d{3}", message)


def test_a_zip_with_a_password_says_so() -> None:
    data = bytearray(zipped(a_csv=CSV))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert unusable(bytes(data)) == "the ZIP file has a password"


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: zipped(a_csv=data)], ids=["gzip", "zip"])
def test_bombs_are_unusable(pack: object) -> None:
    assert callable(pack)
    row = b"1," + b"a" * 1_000 + b"\n"
    kind = "gzip" if pack is gzip.compress else "ZIP"
    bomb = pack(b"id,name\n" + row * (80_000_000 // len(row)))
    assert unusable(bomb).startswith(f"the {kind} file expands to more than 200 times its size")
    limited = pack(b"id,name\n" + row * 2_000)
    assert unusable(limited, max_expanded="1MB").startswith(f"the {kind} file expands to more than 1,048,576 bytes")
