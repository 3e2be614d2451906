"""No message about a file holds a value of a row, whatever the file is and whatever is wrong with it.

Every cell is made around a marker that nothing else has. Where the header row is missing, the first person is in its
place; where records are keyed by people, so are their keys; sheets are named after people; and any file may break off.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.__main__ import main
from connector.mapping import LoadedFeed, load_feed
from connector.planning.decide import DropRejected, Notes, decide
from connector.vocabulary.bulk_request import BulkRequest
from tests.kit.privacy import Collector, text_of

COLUMNS: Final = ("WorkerID", "Given", "Family", "Mail", "Phone", "Hired", "Status", "Team", "Level", "Pattern")
WIDTH: Final = 60
FEED: Final = """
endpoint: https://graph.microsoft.com/v1.0/servicePrincipals/a/synchronization/jobs/b/bulkUpload
where: IIF([Team] = "B", [Team], "True")
mapping:
  externalId: "[WorkerID]"
  userName: Join("@", [Mail], [Mail])
  active: Switch([Status], [Status], "Active", "True")
  name.givenName: Mid([Given], [Level], 3)
  name.familyName: Item([Family], [Level])
  displayName: Left(Append([Given], [Family]), [Level])
  emails[type eq "work"].value: "[Mail]"
  preferredLanguage: "[Team]"
  title: Lookup([Team], [Team], "teams")
  nickName: DateAdd([Pattern], 1, [Hired])
  profileUrl: CDate([Hired])
  locale: FormatDateTime([Hired], , [Pattern], "yyyy")
  timezone: FormatDateTime([Hired], , "dd.MM.yyyy", "yyyy")
  userType: IIF([Level] > 0, "A", "B")
  urn:x:y:User:Hired: "[Hired]"
  urn:x:y:User:Level: "[Level]"
  x509Certificates[type eq "work"].value: "[Phone]"
extensions:
  urn:x:y:User: {Hired: DateTime, Level: Integer}
lookup: {teams: {A: B}}
"""

# A name, another, a double name, a mail address, a phone number, a birthday.
NAMES: Final = ("Qzvexkorbt", "wqxjlutpfz", "Xqgaard-Vojkwz")
MARKERS: Final = (*NAMES, "qzvexk.wqxjl@vqzkj.zq", "+49 171 70348815", "1987-03-26")
PART: Final = 6
PARTS: Final = tuple(marker[at : at + PART] for marker in MARKERS for at in range(len(marker) - PART + 1))
SPOILS: Final = (
    "",
    "",
    "",
    "",
    "\0",
    '"',
    '"x',
    ",",
    "\n",
    "\x1b[2J",
    "\u202e",
    "\x9b",
    "<",
    "&x;",
    " ",
    "\ufffd",
    "\\u00",
)

Row = Sequence[str]
File = tuple[str, bytes, str]
"""A name, its content, and what the feed file says of it."""


def told(text: str) -> list[str]:
    """The markers of which a text has a part."""
    return [part for part in PARTS if part in text]


def csv(rows: Sequence[Row]) -> File:
    return "people.csv", "".join(",".join(row) + "\n" for row in rows).encode(), ""


def trailing(rows: Sequence[Row]) -> File:
    """The pattern finds a number in the last row, which is no trailer."""
    return "people.csv", csv(rows)[1], "file: {footer: {lines: 1, count: '([0-9]{3,})'}}\n"


def fixed(rows: Sequence[Row]) -> File:
    layout = ", ".join(f"{{name: {name}, start: {at * WIDTH + 1}, width: {WIDTH}}}" for at, name in enumerate(COLUMNS))
    lines = "".join("".join(f"{cell:{WIDTH}.{WIDTH}}" for cell in row) + "\n" for row in rows)
    return "people.txt", lines.encode(), f"file: {{format: fixed, columns: [{layout}]}}\n"


def array(rows: Sequence[Row]) -> File:
    """The first row has the names of the members, whatever they are."""
    records = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    return "people.json", json.dumps(records).encode(), ""


def lines(rows: Sequence[Row]) -> File:
    records = [json.dumps(dict(zip(COLUMNS, row, strict=True))) for row in rows]
    return "people.jsonl", "\n".join(records).encode(), ""


def keyed(rows: Sequence[Row]) -> File:
    """Lists and objects by person."""
    people = {f"{row[1]} {place}": [dict(zip(COLUMNS, row, strict=True))] for place, row in enumerate(rows)}
    return "people.json", json.dumps(people).encode(), ""


def nested(rows: Sequence[Row]) -> File:
    records = [{name: {row[1]: {row[2]: row[3]}, "WorkerID": row[0]} for name in COLUMNS[1:]} for row in rows]
    return "people.json", json.dumps([{"WorkerID": "1", **record} for record in records]).encode(), ""


def xml(rows: Sequence[Row]) -> File:
    """Each row's element has the name of its person; a cell stands in an attribute and in an element."""
    people = [
        f"<{row[1][:6].strip() or 'p'} {name}={quoteattr(row[3])}><{name}>{escape(row[2])}</{name}></{row[1][:6]}>"
        for row in rows
        for name in COLUMNS
    ]
    return "people.xml", f"<all>{''.join(people)}</all>".encode(), ""


def records_of_xml(rows: Sequence[Row]) -> File:
    people = "".join(
        "<p>" + "".join(f"<{name}>{escape(cell)}</{name}>" for name, cell in zip(COLUMNS, row, strict=True)) + "</p>"
        for row in rows
    )
    return "people.xml", f"<all>{people}</all>".encode(), ""


def workbook(rows: Sequence[Row]) -> File:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Qzvexkorbt wqxjlutpfz"
    for row in rows:
        sheet.append(["".join(char for char in cell if char.isprintable()) for cell in row])
    buffer = io.BytesIO()
    book.save(buffer)
    return "people.xlsx", buffer.getvalue(), ""


def another_sheet(rows: Sequence[Row]) -> File:
    return "people.xlsx", workbook(rows)[1], "file: {sheet: Employees}\n"


TABLES: Final[tuple[Callable[[Sequence[Row]], File], ...]] = (csv, trailing, fixed, array, lines, keyed, nested, xml)
FILES: Final = (*TABLES, records_of_xml, workbook, another_sheet)
FEEDS: dict[str, LoadedFeed] = {}


def loaded(text: str) -> LoadedFeed:
    if text not in FEEDS:
        FEEDS[text] = load_feed(text.encode(), name="people.yaml", graph=None)
    return FEEDS[text]


def said_of_a_run(feed: LoadedFeed, name: str, content: bytes) -> Iterator[str]:
    """All that a plan, and so `run.json`, summary and page, say of the drop and of its rows."""
    landed = datetime(2026, 11, 29, tzinfo=UTC)
    try:
        for item in decide(lambda: io.BytesIO(content), name=name, landed=landed, feed=feed):
            if isinstance(item, Notes):
                yield from item.texts
            elif not isinstance(item, BulkRequest):
                yield f"{item.reason} {item.faults} {item.warnings}"
    except DropRejected as error:
        yield f"{error} {error.cause.faults}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("people")


def said_by(*arguments: str) -> tuple[str, str]:
    with redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")) as out, redirect_stderr(io.StringIO()) as err:
        main(arguments)
        out.flush()
        assert isinstance(out.buffer, io.BytesIO)
        return out.buffer.getvalue().decode(), err.getvalue()


def cell(marker: str, spoil: str, *, first: bool) -> str:
    return spoil + marker if first else marker + spoil


CELLS: Final = st.builds(cell, st.sampled_from(MARKERS), st.sampled_from(SPOILS), first=st.booleans())
# An externalId may be told.
STRANGE: Final = st.lists(CELLS, min_size=9, max_size=9).map(lambda row: ["1001", *row])
# A row that comes far, but for its other cells.
PEOPLE: Final = STRANGE.map(lambda row: [*row[:6], "Active", row[7], "1", row[9]])
ROWS: Final = st.lists(STRANGE | PEOPLE, min_size=1, max_size=3)
HEADERS: Final = st.sampled_from([[list(COLUMNS)], [["WorkerID", *MARKERS, *COLUMNS[1:4]]], []])


@settings(max_examples=50)
@given(file=st.sampled_from(FILES), header=HEADERS, rows=ROWS, cut=st.sampled_from([None, None, None, 40, 200, 700]))
def test_no_value_of_a_row_is_told_by_a_run_or_by_check(
    folder: Path, file: Callable[[Sequence[Row]], File], header: list[Row], rows: list[Row], cut: int | None
) -> None:
    name, content, options = file([*header, *rows])
    feed, path = folder / "people.yaml", folder / name
    feed.write_text(FEED + options)
    path.write_bytes(content[:cut])
    with Collector() as collector:
        said = [*said_of_a_run(loaded(FEED + options), name, content[:cut]), *said_by("check", str(feed), str(path))]
        said += map(text_of, collector.take())
    assert [(text, found) for text in said if (found := told(text))] == []


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("header", [[COLUMNS], []])
def test_no_value_of_a_row_is_told_by_preview_or_eval(
    folder: Path, file: Callable[[Sequence[Row]], File], header: list[Row]
) -> None:
    people = [["1001", *(f"{at}{name}" for at, name in enumerate((*MARKERS, *NAMES)))], ["1002", *MARKERS, *NAMES]]
    name, content, options = file([*header, *people])
    feed, path = folder / "people.yaml", folder / name
    feed.write_text(FEED + options)
    path.write_bytes(content)
    # What is on stdout is asked for: bodies, and values.
    preview = said_by("preview", str(feed), str(path))[1]
    evaluation = said_by("eval", "Append([Vorname], [Given])", "--feed", str(feed), "--row", f"{path}:1")[1]
    assert (bool(preview), told(preview + evaluation)) == (True, [])
