"""`python -m connector check`: a feed alone, and with a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.__main__ import main
from connector.commands.check import LONGEST_SHAPE, shape
from connector.vocabulary.scim import BULK_REQUEST, CORE_USER, ENTERPRISE_USER

ENDPOINT = "https://graph.microsoft.com/v1.0/servicePrincipals/a/synchronization/jobs/b/bulkUpload"
FEED = f"""
endpoint: {ENDPOINT}
where: IsPresent([Id])
mapping:
  externalId: "[Id]"
  active: Switch([Status], [Status], "Active", "True", "Left", "False")
  displayName: "[Name]"
  emails[type eq "work"].value: "[Mail]"
  {ENTERPRISE_USER}:department: "[Team]"
"""


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    path = tmp_path / "people.yaml"
    path.write_text(FEED)
    return path


def checked(
    capsys: pytest.CaptureFixture[str], feed: Path, content: bytes | None = None, name: str = "people.csv"
) -> tuple[int, list[str]]:
    """The exit code and the report's lines, without the folder."""
    arguments = ["check", str(feed)]
    if content is not None:
        (feed.parent / name).write_bytes(content)
        arguments.append(str(feed.parent / name))
    code = main(arguments)
    captured = capsys.readouterr()
    assert captured.err == ""
    return code, captured.out.replace(f"{feed.parent}/", "").splitlines()


def test_a_feed_without_faults_is_said_to_be_fine(capsys: pytest.CaptureFixture[str], feed: Path) -> None:
    assert checked(capsys, feed) == (0, ["people.yaml: no faults; 5 attributes from 5 columns"])


def test_every_fault_of_a_feed_has_its_file_line_and_column(capsys: pytest.CaptureFixture[str], feed: Path) -> None:
    feed.write_text(f'endpoint: {ENDPOINT}\nmapping:\n  externalId: "[Id"\n  tittle: "[Job]"\ncontent: al\n')
    code, lines = checked(capsys, feed, b"Id\n1\n")
    assert (code, lines) == (
        2,
        [
            "people.yaml:3:16: the column name has no end (end it with ])",
            "people.yaml:4:3: the Core User schema has no attribute 'tittle' (did you mean title?)",
            "people.yaml:5:10: 'content' must be one of 'full' or 'delta'",
        ],
    )


def test_a_feed_that_is_not_there_is_unusable(capsys: pytest.CaptureFixture[str], feed: Path) -> None:
    feed.unlink()
    assert checked(capsys, feed) == (2, ["people.yaml: cannot be read: No such file or directory"])


def test_a_file_that_fits_is_reported_attribute_by_attribute(capsys: pytest.CaptureFixture[str], feed: Path) -> None:
    content = (
        "Id,Status,Name,Mail,Team,Extra\n"
        "A1,Active,Élodie Ng,e.ng@x.org,,1\n"
        "A2,Left,Bo,bo@x.org,Sales,\n"
        "A3,Active,Ann,,R&D,\n"
        ",Active,Nobody,,,\n"
        "A2,Active,Bo,bo@x.org,Sales,\n"
    )
    assert checked(capsys, feed, content.encode()) == (
        0,
        [
            "people.yaml: no faults; 5 attributes from 5 columns",
            "people.csv: 5 rows",
            "",
            "attribute                       filled     empty  rejected  shapes",
            "externalId                           3         0         0  A9",
            "active                               3         0         0  true 3",
            "displayName                          3         0         0  Aaaaaa Aa | Aaa | Aa",
            'emails[type eq "work"].value         2         1         0  a.aa@a.aaa | aa@a.aaa',
            "…:User:department                    2         1         0  A&A | Aaaaa",
            "",
            "columns that nothing reads: Extra",
            "3 to send, 1 replaced by a later row, 1 filtered; 1 bulk request",
        ],
    )


def test_rejected_rows_are_counted_by_attribute_and_by_fault_without_their_values(
    capsys: pytest.CaptureFixture[str], feed: Path
) -> None:
    rows = ["1,Active,A,a@x.org,T"] + [f"{number},Sabbatical,A,a@x.org,T" for number in range(2, 7)] + ["7,Left"]
    code, lines = checked(capsys, feed, "\n".join(["Id,Status,Name,Mail,Team", *rows]).encode())
    assert code == 3
    assert lines[5] == "active                               1         0         5  true 1"
    assert lines[-3:] == [
        "rejected, 5 rows (2, 3, 4, …): 'Status' has a value that the feed's active rule does not know "
        '(map every word to "True" or "False", for example with Switch, or correct it in the HR system)',
        "rejected, 1 row (7): the row has 2 fields where the header has 5 (fill the row up with empty fields)",
        "1 to send, 6 rejected; 1 bulk request",
    ]
    assert "Sabbatical" not in "\n".join(lines)


def test_missing_columns_come_with_the_nearest_names_and_those_that_nothing_reads(
    capsys: pytest.CaptureFixture[str], feed: Path
) -> None:
    assert checked(capsys, feed, b"Id,Stauts,Name,Mail,Zzz\n1,Active,A,a@x.org,T\n") == (
        2,
        [
            "people.yaml: no faults; 5 attributes from 5 columns",
            "people.csv: there is no column 'Status', which the mapping names (the nearest are 'Stauts')",
            "people.csv: there is no column 'Team', which the mapping names",
            "columns that nothing reads: Stauts, Zzz",
        ],
    )


def test_a_guessed_encoding_and_what_is_odd_are_noted(capsys: pytest.CaptureFixture[str], feed: Path) -> None:
    content = "Id,Status,Name,Mail,Team\n1,Active,Zoé,nowhere,T\n".encode("cp1252")
    code, lines = checked(capsys, feed, content)
    assert (code, lines[-3:]) == (
        0,
        [
            "note: encoding: windows-1252 (a guess: the file is not UTF-8; file: encoding in the feed file says it for"
            " certain)",
            "odd in 1 row: 'Mail', which becomes emails[type eq \"work\"].value, does not look like a mail address"
            " (Entra refuses such a mail when it creates the account)",
            "1 to send; 1 bulk request",
        ],
    )


def test_a_file_that_cannot_be_read_is_unusable(capsys: pytest.CaptureFixture[str], feed: Path) -> None:
    code, lines = checked(capsys, feed, b"")
    assert (code, lines[1]) == (
        2, "people.csv: the file is empty (if nobody is to be changed, send the header row alone)"
    )  # fmt: skip


def test_columns_of_nested_formats_that_nothing_reads_are_found_too(
    capsys: pytest.CaptureFixture[str], feed: Path
) -> None:
    feed.write_text(f'endpoint: {ENDPOINT}\nmapping:\n  externalId: "[id]"\n  title: "[job.title]"\n')
    code, lines = checked(capsys, feed, b'[{"id": "1", "job": {"title": "x", "code": 7}, "t": null}]', "people.json")
    assert (code, lines[3:]) == (
        0,
        [
            "attribute     filled     empty  rejected  shapes",
            "externalId         1         0         0  9",
            "title              1         0         0  a",
            "",
            "columns that nothing reads: job.code, t",
            "1 to send; 1 bulk request",
        ],
    )


def test_a_scim_bulk_request_is_checked_as_it_stands(capsys: pytest.CaptureFixture[str], feed: Path) -> None:
    user = f'{{"schemas": ["{CORE_USER}", "{ENTERPRISE_USER}"], "externalId": "1"}}'
    operation = f'{{"method": "POST", "path": "/Users", "bulkId": "1", "data": {user}}}'
    body = f'{{"schemas": ["{BULK_REQUEST}"], "Operations": [{operation}, {{"method": "PUT"}}]}}'
    code, lines = checked(capsys, feed, body.encode(), "bulk.json")
    assert (code, lines[1:]) == (
        3,
        [
            "bulk.json: a SCIM bulk request, which is uploaded as it stands; the mapping is not used",
            "rejected, 1 row (2): the operation's method is not POST (every operation is a POST (bulkUpload))",
            "1 to send, 1 rejected; 1 bulk request",
        ],
    )


def test_a_name_that_the_feed_does_not_take_for_a_drop_is_noted(capsys: pytest.CaptureFixture[str], feed: Path) -> None:
    feed.write_text(FEED + 'files: {match: ["*.csv"]}\n')
    _, lines = checked(capsys, feed, b"Id,Status,Name,Mail,Team\n", "people.txt")
    assert lines[2] == "note: a file of this name is no drop of this feed (files in the feed file)"


@given(st.text())
def test_a_shape_shows_no_letter_and_no_digit(text: str) -> None:
    made = shape(text)
    assert {char for char in made if char.isalnum()} <= {"A", "a", "9"}
    assert len(made) <= LONGEST_SHAPE + 1
    assert made.isprintable()


def test_a_shape_keeps_punctuation_and_case() -> None:
    assert shape("Ana-Sofía O'Hara, 2nd") == "Aaa-Aaaaa A'Aaaa, 9aa"
    assert shape("x" * 100) == "a" * LONGEST_SHAPE + "…"
