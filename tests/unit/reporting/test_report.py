"""The report: counts that add up, text that harms nobody, a page that looks the same as last time.

`SNAPSHOTS=write pytest tests/unit/reporting/test_report.py` renders the snapshot anew: look at it in a
browser before it is committed.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.reporting.advice import LOOK_IT_UP, UNREADABLE, advise, without_values
from connector.reporting.causes import FAILURES, advice_for, causes
from connector.reporting.csv_files import OUTCOMES_HEADER, REJECTS_HEADER, outcomes_csv, rejects_csv
from connector.reporting.page import PAGE_LINES, html
from connector.reporting.summary_file import parse_summary, summary_json
from connector.reporting.sums import headline, outcome_parts, row_parts, tone
from connector.reporting.terminal import TableLine, line, table, unplanned_lines
from connector.vocabulary.errors import Fault, Unusable
from connector.vocabulary.run import (
    Decision,
    Drop,
    Ending,
    Outcome,
    PlannedRow,
    Problem,
    ProblemCode,
    State,
    Times,
    Unplanned,
)
from connector.vocabulary.summary import Outcomes, Requests, Rows, Summary, SummaryDrop

SNAPSHOT = Path(__file__).parent / "snapshots" / "summary.html"
LANDED = datetime(2026, 11, 24, 9, 20, 0, tzinfo=UTC)
HOSTILE = "</style><script>alert('x')</script><img src=x onerror=alert(1)>\"'`&"


def after(**span: int) -> datetime:
    return LANDED + timedelta(**span)


SUMMARY = Summary(
    feed="employees",
    run="20261124T092000Z-3f0c1a9be247",
    state=State.SETTLED,
    drop=SummaryDrop(name="people-2026-11-24.csv", etag="0x8DD0C5A1B2C3D4E", bytes=182_431),
    rows=Rows(total=1000, rejected=3, duplicate=1, filtered=10, sent=986),
    outcomes=Outcomes(created=912, updated=31, disabled=17, skipped=6, failed=18, refused=1, unconfirmed=1),
    times=Times(landed=LANDED, planned=after(seconds=2), sent=after(seconds=9), settled=after(minutes=11, seconds=4)),
    requests=Requests(total=20, sent=20, left=0),
    notes=("encoding: windows-1252 (a guess)", "10 rows were filtered by the feed's where rule"),
)
ENDED = after(minutes=8, seconds=30)
ENDINGS = (
    *(
        Ending(
            row=40 * n,
            external_id=str(701_900 + 7 * n),
            outcome=Outcome.FAILED,
            code="AzureActiveDirectoryDuplicateUserPrincipalName",
            reason="Another object with the same value for property userPrincipalName already exists.",
            at=ENDED,
        )
        for n in range(1, 16)
    ),
    *(
        Ending(
            row=row,
            external_id=external_id,
            outcome=Outcome.FAILED,
            code="AzureActiveDirectoryInvalidUserPrincipalName",
            reason=f"The domain portion of '{external_id}' is invalid: the domain does not exist.",
            advice="Verify the domain in Microsoft Entra ID, or use one that is verified.",
            at=ENDED,
        )
        for row, external_id in ((118, "702117"), (534, "702533"), (861, "702860"))
    ),
    Ending(
        row=777, external_id="702776", outcome=Outcome.REFUSED, code="InvalidDataFormat", reason="Invalid Data Format"
    ),
    Ending(row=903, external_id="702902", outcome=Outcome.UNCONFIRMED),
)
NOT_SENT = (
    PlannedRow(
        row=17,
        decision=Decision.REJECTED,
        external_id="701516",
        faults=(
            Fault(
                message="has a value that the feed's active rule does not know",
                advice="Add the word to the feed's Switch, or correct it in the HR system.",
                column="WorkerStatus",
            ),
            Fault(
                message="is no date of the form yyyy-MM-dd",
                advice="Correct the date in the HR system.",
                column="HireDate",
            ),
        ),
    ),
    PlannedRow(
        row=204,
        decision=Decision.REJECTED,
        faults=(
            Fault(message="is empty: nobody can be sent without an externalId", advice="Fill it.", column="WorkerID"),
        ),
    ),
    PlannedRow(
        row=351,
        decision=Decision.DUPLICATE,
        external_id="701850",
        reason="a later row, 352, has the same externalId; that one was used",
    ),
    PlannedRow(
        row=402,
        decision=Decision.REJECTED,
        external_id="701901",
        faults=(Fault(message="the row has 25 fields, the header 24", advice="Quote fields that hold a comma."),),
    ),
)


def page(
    summary: Summary = SUMMARY, failures: Iterable[Ending] = ENDINGS, rejected: Iterable[PlannedRow] = NOT_SENT
) -> str:
    failures, rejected = tuple(failures), tuple(rejected)
    return html(
        summary, failures=failures, rejected=rejected, total_failures=len(failures), total_rejected=len(rejected)
    )


def parsed_csv(text: Iterable[str]) -> list[list[str]]:
    return list(csv.reader(io.StringIO("".join(text), newline=""), strict=True))


class Page(HTMLParser):
    """The tags and the text of a page, style sheet left out, as a browser would have them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


counts = st.integers(0, 10**6)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
moments = st.datetimes(
    min_value=LANDED.replace(year=2000, tzinfo=None),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)


@st.composite
def summaries(draw: st.DrawFn) -> Summary:
    outcomes = Outcomes(**{field.name: draw(counts) for field in fields(Outcomes)})
    parts = {field.name: draw(counts) for field in fields(Rows) if field.name not in {"total", "sent"}}
    parts["sent"] = outcomes.sum
    return Summary(
        feed=draw(words),
        run=draw(words),
        state=draw(st.sampled_from(State)),
        drop=SummaryDrop(name=draw(words), etag=draw(words), bytes=draw(counts)),
        rows=Rows(total=sum(parts.values()), **parts),
        outcomes=outcomes,
        times=Times(landed=draw(moments), planned=draw(st.none() | moments), settled=draw(st.none() | moments)),
        requests=Requests(total=draw(counts), sent=draw(counts), left=draw(counts)),
        problem=draw(st.none() | st.builds(Problem, code=words, message=words, advice=words)),
        notes=tuple(draw(st.lists(words, max_size=3))),
    )


def test_the_json_is_the_contract_to_the_letter() -> None:
    summary = replace(
        SUMMARY, times=replace(SUMMARY.times, landed=LANDED.astimezone(timezone(timedelta(hours=2))), settled=None)
    )
    data = summary_json(summary, failures=ENDINGS[17:])
    assert data.endswith(b"}\n") and data.startswith(b'{\n  "schema": 1,\n  "feed"')
    assert json.loads(data) == {
        "schema": 1,
        "feed": "employees",
        "run": "20261124T092000Z-3f0c1a9be247",
        "state": "settled",
        "drop": {"name": "people-2026-11-24.csv", "etag": "0x8DD0C5A1B2C3D4E", "bytes": 182_431},
        "rows": {
            "total": 1000,
            "rejected": 3,
            "duplicate": 1,
            "filtered": 10,
            "unchanged": 0,
            "held": 0,
            "superseded": 0,
            "pending": 0,
            "sent": 986,
        },
        "outcomes": {
            "created": 912,
            "updated": 31,
            "disabled": 17,
            "skipped": 6,
            "failed": 18,
            "refused": 1,
            "unconfirmed": 1,
            "waiting": 0,
        },
        "times": {
            "landed": "2026-11-24T09:20:00Z",
            "planned": "2026-11-24T09:20:02Z",
            "sent": "2026-11-24T09:20:09Z",
            "settled": None,
        },
        "requests": {"total": 20, "sent": 20, "left": 0},
        "problem": None,
        "notes": ["encoding: windows-1252 (a guess)", "10 rows were filtered by the feed's where rule"],
        "failures": [
            {
                "outcome": "refused",
                "code": "InvalidDataFormat",
                "reason": "Invalid Data Format",
                "advice": advise("InvalidDataFormat", "Invalid Data Format"),
                "people": 1,
                "examples": [{"row": 777, "externalId": "702776"}],
            },
            {
                "outcome": "failed",
                "code": "AzureActiveDirectoryInvalidUserPrincipalName",
                "reason": "The domain portion of '702860' is invalid: the domain does not exist.",
                "advice": "Verify the domain in Microsoft Entra ID, or use one that is verified.",
                "people": 1,
                "examples": [{"row": 861, "externalId": "702860"}],
            },
            {
                "outcome": "unconfirmed",
                "code": "",
                "reason": "",
                "advice": advice_for(ENDINGS[19]),
                "people": 1,
                "examples": [{"row": 903, "externalId": "702902"}],
            },
        ],
    }


def test_the_json_is_utf_8_with_letters_as_they_are_whatever_a_name_holds() -> None:
    data = summary_json(replace(SUMMARY, feed="Zürich", notes=("half a \ud83d",)))
    assert b'"feed": "Z\xc3\xbcrich"' in data
    assert json.loads(data)["notes"] == ["half a ?"]


@given(summaries())
def test_a_summary_survives_its_json(summary: Summary) -> None:
    data = summary_json(summary)
    assert parse_summary(data) == summary
    assert summary_json(parse_summary(data)) == data


def test_the_json_lists_ten_causes_and_five_examples_at_most() -> None:
    failures = [
        Ending(row=row, external_id=str(row), outcome=Outcome.FAILED, code=f"Code{row % 12}") for row in range(1, 121)
    ]
    listed = json.loads(summary_json(SUMMARY, failures=failures))["failures"]
    assert [(cause["people"], len(cause["examples"])) for cause in listed] == [(10, 5)] * 10


def test_a_time_without_an_offset_is_not_guessed() -> None:
    naive = replace(SUMMARY, times=Times(landed=LANDED.replace(tzinfo=None)))
    with pytest.raises(ValueError, match="no offset from UTC"):
        summary_json(naive)


def document(**changes: Any) -> bytes:
    return json.dumps(json.loads(summary_json(SUMMARY)) | changes).encode()


def test_parsing_ignores_fields_of_later_versions() -> None:
    assert parse_summary(document(invented="later")) == SUMMARY


@pytest.mark.parametrize(
    ("data", "faults"),
    [
        (b"", [("", "Invalid JSON: EOF while parsing a value at line 1 column 0")]),
        (b"[]", [("", "Input should be an object")]),
        (document(schema=2), [("schema", "this version reads schema 1 only")]),
        (
            document(state="asleep", drop={"name": "a.csv", "bytes": "3"}),
            [
                (
                    "state",
                    "Input should be 'planning', 'sending', 'settling', 'settled', 'held' or 'rejected'",
                ),
                ("drop.etag", "Field required"),
                ("drop.bytes", "Input should be a valid integer"),
            ],
        ),
        (
            document(times={"landed": "2026-11-24T09:20:00"}),
            [("times.landed", "the time has no offset from UTC")],
        ),
        (
            document(rows={"total": 3, "sent": 2}),
            [("rows", "Assertion failed, rows do not add up: total 3, sum of the parts 2")],
        ),
        (
            document(outcomes={"created": 1}),
            [("", "Assertion failed, outcomes do not add up: sent 986, sum of outcomes 1")],
        ),
    ],
)
def test_what_is_no_summary_is_refused_with_every_fault(data: bytes, faults: list[tuple[str, str]]) -> None:
    with pytest.raises(Unusable) as caught:
        parse_summary(data)
    assert [(fault.column, fault.message) for fault in caught.value.faults] == faults


@given(summaries())
def test_every_text_form_of_a_summary_adds_up(summary: Summary) -> None:
    assert sum(part.count for part in row_parts(summary)) == summary.rows.total
    assert sum(part.count for part in outcome_parts(summary)) == summary.rows.sent
    lines = table(summary)
    assert (
        sum(entry.value for entry in lines if entry.level == 1 and isinstance(entry.value, int)) == summary.rows.total
    )
    assert sum(entry.value for entry in lines if entry.level == 2 and isinstance(entry.value, int)) == summary.rows.sent


def test_of_the_parts_that_are_none_only_those_sent_are_said() -> None:
    nobody = replace(SUMMARY, rows=Rows(total=2, rejected=2), outcomes=Outcomes())
    assert [(part.label, part.count) for part in row_parts(nobody)] == [("rejected", 2), ("sent", 0)]
    assert outcome_parts(nobody) == ()


@given(summaries())
def test_the_line_and_the_table_move_no_cursor(summary: Summary) -> None:
    assert line(summary).isprintable()
    assert all(str(entry.value).isprintable() for entry in table(summary))


def test_the_line_says_it_all_in_one() -> None:
    assert line(SUMMARY) == (
        "employees 20261124T092000Z-3f0c1a9be247 settled: 1000 rows = 3 rejected + 1 duplicate + 10 filtered + "
        "986 sent (912 created, 31 updated, 17 disabled, 6 skipped, 18 failed, 1 refused, 1 unconfirmed)"
    )
    stopped = replace(
        SUMMARY,
        state=State.SENDING,
        rows=Rows(total=100, pending=50, sent=50),
        outcomes=Outcomes(waiting=50),
        requests=Requests(total=2, sent=1, left=1),
        problem=Problem(
            code=ProblemCode.STOPPED, message="Graph answered 403\n\x1b[31m", advice="Grant the permission."
        ),
    )
    assert line(stopped) == (
        "employees 20261124T092000Z-3f0c1a9be247 sending: 100 rows = 50 pending + 50 sent (50 waiting); "
        "1 of 2 bulk requests to go; stopped: Graph answered 403 �[31m (Grant the permission.)"
    )
    empty = replace(SUMMARY, rows=Rows(), outcomes=Outcomes())
    assert line(empty) == "employees 20261124T092000Z-3f0c1a9be247 settled: 0 rows"


def test_a_problem_without_advice_is_said_without_any() -> None:
    problem = Problem(code=ProblemCode.TIME, message="time is up")
    summary = replace(SUMMARY, rows=Rows(), outcomes=Outcomes(), problem=problem)
    assert line(summary) == "employees 20261124T092000Z-3f0c1a9be247 settled: 0 rows; time: time is up"
    assert table(summary)[-1] == TableLine(label="problem", value="time is up", level=0, tone="bad")


def test_what_has_no_run_is_told_in_whole_sentences_that_move_no_cursor() -> None:
    landed = datetime(2026, 1, 5, 8, tzinfo=timezone(timedelta(hours=-1)))
    drops = tuple(
        Drop(feed="n\x1borth", name=f"{hour}.csv", etag="0x1", bytes=1, landed=landed + timedelta(hours=hour))
        for hour in (3, 1, 2)
    )
    ignored = "ignored (folders, leftovers of transfers, or not matched by files:)"
    overdue = "for a marker (files: ready) that is overdue"
    assert unplanned_lines(Unplanned(feed="north")) == []
    assert unplanned_lines(Unplanned(feed="n\x1borth", ignored=1, waiting=drops)) == [
        f"n\N{REPLACEMENT CHARACTER}orth: 1 blob {ignored}",
        f"n\N{REPLACEMENT CHARACTER}orth: 3 drops wait {overdue}; the oldest landed 2026-01-05 10:00 UTC",
    ]
    assert unplanned_lines(Unplanned(feed="north", ignored=2)) == [f"north: 2 blobs {ignored}"]
    assert unplanned_lines(Unplanned(feed="north", waiting=drops[:1])) == [
        f"north: 1 drop waits {overdue}; landed 2026-01-05 12:00 UTC"
    ]


def test_the_table_lists_totals_before_their_parts() -> None:
    problem = Problem(code=ProblemCode.JOB_QUARANTINE, message="the job is in quarantine", advice="Restart it.")
    summary = replace(
        SUMMARY, rows=Rows(total=3, rejected=1, sent=2), outcomes=Outcomes(created=1, failed=1), problem=problem
    )
    assert table(summary) == [
        TableLine(label="feed", value="employees", level=0, tone="quiet"),
        TableLine(label="run", value="20261124T092000Z-3f0c1a9be247", level=0, tone="quiet"),
        TableLine(label="drop", value="people-2026-11-24.csv", level=0, tone="quiet"),
        TableLine(label="state", value="settled", level=0, tone="warn"),
        TableLine(label="rows", value=3, level=0, tone="quiet"),
        TableLine(label="rejected", value=1, level=1, tone="bad"),
        TableLine(label="sent", value=2, level=1, tone="good"),
        TableLine(label="created", value=1, level=2, tone="good"),
        TableLine(label="failed", value=1, level=2, tone="bad"),
        TableLine(label="problem", value="the job is in quarantine", level=0, tone="bad"),
        TableLine(label="what to do", value="Restart it.", level=0, tone="warn"),
    ]


@pytest.mark.parametrize(
    ("state", "rows", "outcomes", "text", "look"),
    [
        (State.PLANNING, Rows(), Outcomes(), "The file is being read. Nothing has been sent yet.", "busy"),
        (
            State.SENDING,
            Rows(total=1100, pending=100, sent=1000),
            Outcomes(waiting=1000),
            "1,000 of 1,100 people sent, 100 to go.",
            "busy",
        ),
        (
            State.SETTLING,
            Rows(total=9, sent=9),
            Outcomes(created=4, waiting=5),
            "9 people sent. Entra's word on 5 of them is still to come.",
            "busy",
        ),
        (
            State.SETTLING,
            Rows(total=2, rejected=2),
            Outcomes(),
            "0 people sent. Entra's word on 0 of them is still to come.",
            "busy",
        ),
        (State.REJECTED, Rows(), Outcomes(), "Nothing was sent: the file could not be used.", "bad"),
        (
            State.HELD,
            Rows(total=9, held=9),
            Outcomes(),
            "Nothing was sent: a guard holds this file until somebody releases it.",
            "warn",
        ),
        (
            State.SETTLED,
            Rows(total=1, sent=1),
            Outcomes(created=1),
            "The one person sent got through to Entra.",
            "good",
        ),
        (State.SETTLED, Rows(total=2, sent=2), Outcomes(updated=2), "All 2 people sent got through to Entra.", "good"),
        (
            State.SETTLED,
            Rows(total=3, rejected=1, sent=2),
            Outcomes(updated=2),
            "All 2 people sent got through to Entra; 1 row was rejected.",
            "warn",
        ),
        (
            State.SETTLED,
            Rows(total=6, rejected=2, sent=4),
            Outcomes(created=1, failed=1, refused=1, unconfirmed=1),
            "3 of 4 people did not get through to Entra, and 2 rows were rejected.",
            "warn",
        ),
        (
            State.SETTLED,
            Rows(total=1, sent=1),
            Outcomes(failed=1),
            "1 of 1 person did not get through to Entra.",
            "warn",
        ),
        (State.SETTLED, Rows(total=2, unchanged=2), Outcomes(), "Nothing had to be sent.", "good"),
        (State.SETTLED, Rows(total=2, rejected=2), Outcomes(), "Nothing was sent: 2 rows were rejected.", "warn"),
    ],
)
def test_the_headline_tells_each_state_apart(
    state: State, rows: Rows, outcomes: Outcomes, text: str, look: str
) -> None:
    summary = replace(SUMMARY, state=state, rows=rows, outcomes=outcomes)
    assert (headline(summary), tone(summary)) == (text, look)


@pytest.mark.parametrize("outcome", ["failed", "refused", "unconfirmed"])
def test_a_settled_run_asks_for_attention_whatever_went_wrong_and_however_often(outcome: str) -> None:
    for rejected in (0, 1):
        rows = Rows(total=rejected + 1, rejected=rejected, sent=1)
        assert tone(replace(SUMMARY, rows=rows, outcomes=Outcomes(**{outcome: 1}))) == "warn"
    two = Outcomes(created=0, **dict.fromkeys(["failed", "refused", "unconfirmed"], 1))
    assert tone(replace(SUMMARY, rows=Rows(total=3, sent=3), outcomes=two)) == "warn"


def test_a_problem_makes_a_busy_run_ask_for_attention() -> None:
    problem = Problem(code=ProblemCode.STOPPED, message="403")
    assert tone(replace(SUMMARY, state=State.SENDING, problem=problem)) == "warn"


def test_rejects_list_every_fault_and_every_duplicate_and_nothing_else() -> None:
    others = [
        PlannedRow(row=n, decision=decision, external_id="x")
        for n, decision in enumerate(Decision, start=900)
        if decision not in {Decision.REJECTED, Decision.DUPLICATE}
    ]
    bare = [
        PlannedRow(row=5, decision=Decision.REJECTED, reason="torn"),
        PlannedRow(row=6, decision=Decision.DUPLICATE, faults=(Fault(message="twice", column="C", advice="once"),)),
        PlannedRow(row=7, decision=Decision.REJECTED),
        PlannedRow(row=8, decision=Decision.DUPLICATE, external_id="y"),
    ]
    text = list(rejects_csv([*bare, *NOT_SENT, *others]))
    assert all(entry.endswith("\n") and "\r" not in entry for entry in text)
    assert parsed_csv(text) == [
        list(REJECTS_HEADER),
        ["5", "", "", "torn", ""],
        ["6", "", "C", "twice", "once"],
        ["7", "", "", "the row could not be used", ""],
        [
            "8",
            "y",
            "",
            "a later row has the same externalId; that one was used",
            "Let the HR system export each person once.",
        ],
        [
            "17",
            "701516",
            "WorkerStatus",
            "has a value that the feed's active rule does not know",
            "Add the word to the feed's Switch, or correct it in the HR system.",
        ],
        ["17", "701516", "HireDate", "is no date of the form yyyy-MM-dd", "Correct the date in the HR system."],
        ["204", "", "WorkerID", "is empty: nobody can be sent without an externalId", "Fill it."],
        [
            "351",
            "701850",
            "",
            "a later row, 352, has the same externalId; that one was used",
            "Let the HR system export each person once.",
        ],
        ["402", "701901", "", "the row has 25 fields, the header 24", "Quote fields that hold a comma."],
    ]


def test_outcomes_list_every_person_with_advice_where_entra_gave_none() -> None:
    endings = (
        Ending(row=1, external_id="1", outcome=Outcome.CREATED, at=ENDED),
        *ENDINGS[17:],
        Ending(row=9, external_id="9", outcome=Outcome.SKIPPED, code="RedundantExport"),
    )
    assert parsed_csv(outcomes_csv(endings)) == [
        list(OUTCOMES_HEADER),
        ["1", "1", "created", "", "", "", "2026-11-24T09:28:30Z"],
        [
            "861",
            "702860",
            "failed",
            "AzureActiveDirectoryInvalidUserPrincipalName",
            "The domain portion of '702860' is invalid: the domain does not exist.",
            "Verify the domain in Microsoft Entra ID, or use one that is verified.",
            "2026-11-24T09:28:30Z",
        ],
        [
            "777",
            "702776",
            "refused",
            "InvalidDataFormat",
            "Invalid Data Format",
            advise("", "Invalid Data Format"),
            "",
        ],
        [
            "903",
            "702902",
            "unconfirmed",
            "",
            "",
            advice_for(Ending(row=1, external_id="1", outcome=Outcome.UNCONFIRMED)),
            "",
        ],
        ["9", "9", "skipped", "RedundantExport", "", "Nothing: the account is already up to date.", ""],
    ]


@pytest.mark.parametrize(("code", "reason"), [("", ""), ("BadRequest", "Invalid property")])
def test_who_was_refused_is_not_looked_for_in_entras_log(code: str, reason: str) -> None:
    refused = Ending(row=1, external_id="1", outcome=Outcome.REFUSED, code=code, reason=reason)
    assert advice_for(refused) == UNREADABLE


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("a b'c", "a b'c"),
        ("a;b", '"a;b"'),
        ("a|b", '"a|b"'),
        ("a\tb", '"a\tb"'),
        ("a,b", '"a,b"'),
        ('a"b', '"a""b"'),
        ("a\nb", '"a\nb"'),
        ("a\rb", '"a\rb"'),
        ("", ""),
    ],
)
def test_only_cells_that_need_it_are_in_quotes(value: str, cell: str) -> None:
    _, written = outcomes_csv([Ending(row=1, external_id=value, outcome=Outcome.CREATED)])
    assert written == f"1,{cell},created,,,,\n"


FORMULA_STARTS = tuple("=+-@＝＋－＠")
cells = st.text(st.characters(exclude_categories=["Cs"])) | st.text(st.sampled_from("=+-@\t\r\n ;,\"'a１＝"))


@given(cells)
def test_a_cell_survives_the_csv_but_for_apostrophes_before_formulas(value: str) -> None:
    rows = parsed_csv(outcomes_csv([Ending(row=1, external_id=value, outcome=Outcome.CREATED)]))
    assert len(rows) == 2
    kept = iter(rows[1][1])
    for char in value:
        assert char in (found := next(kept)) or (found == "'" and next(kept) == char)
    assert next(kept, None) is None


@given(cells)
def test_no_spreadsheet_finds_a_formula_whatever_its_list_separator(value: str) -> None:
    fault = Fault(message=value, column=value, advice=value)
    row = PlannedRow(row=1, decision=Decision.REJECTED, external_id=value, faults=(fault,))
    for cell in parsed_csv(rejects_csv([row]))[1][1:]:
        assert not cell.startswith(("\t", "\r"))
        for piece in re.split(r"[;,|\t\r\n]", cell):
            # A quote that opens a piece is taken off, and a second one ends what it opened.
            assert not piece.lstrip(' "').startswith(FORMULA_STARTS)


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\rx", "'\rx"),
        (" =1", "' =1"),
        ("a;=1", "a;'=1"),
        ("a\n=1", "a\n'=1"),
        ("a,=1", "a,'=1"),
        ("a| +1", "a|' +1"),
        ('a;"=1', "a;'\"=1"),
        ("a=1; b-2", "a=1; b-2"),
        ("plain", "plain"),
        ("\ud800", "?"),
    ],
)
def test_what_begins_a_formula_gets_an_apostrophe(value: str, cell: str) -> None:
    written = outcomes_csv([Ending(row=1, external_id=value, outcome=Outcome.CREATED)])
    assert parsed_csv(written)[1] == ["1", cell, "created", "", "", "", ""]


def test_the_page_is_the_snapshot() -> None:
    if os.environ.get("SNAPSHOTS") == "write":
        SNAPSHOT.write_text(page(), encoding="utf-8", newline="\n")
    assert page() == SNAPSHOT.read_text(encoding="utf-8")


def steps_of(summary: Summary) -> str:
    """The timeline of a page, up to what follows it."""
    return Page(page(summary, (), ())).text.partition("Times are UTC. ")[2].partition(" run 2026")[0]


@pytest.mark.parametrize(
    ("state", "times", "text"),
    [
        (
            State.PLANNING,
            Times(landed=LANDED),
            "landed 2026-11-24 09:20:00 planned under way sent to come settled to come",
        ),
        (
            State.SENDING,
            Times(landed=LANDED, planned=LANDED),
            "landed 2026-11-24 09:20:00 under 1 s planned 2026-11-24 09:20:00 sent under way settled to come",
        ),
        (
            State.HELD,
            Times(landed=LANDED, planned=LANDED),
            "landed 2026-11-24 09:20:00 under 1 s planned 2026-11-24 09:20:00 sent not reached settled not reached",
        ),
        # In UTC, whatever zone a time is told in.
        (
            State.SENDING,
            Times(landed=LANDED, planned=after(seconds=1).astimezone(timezone(timedelta(hours=-10)))),
            "landed 2026-11-24 09:20:00 1 s planned 2026-11-24 09:20:01 sent under way settled to come",
        ),
        # Nothing had to be sent.
        (
            State.SETTLED,
            Times(landed=LANDED, planned=LANDED, settled=after(minutes=1)),
            "landed 2026-11-24 09:20:00 under 1 s planned 2026-11-24 09:20:00 sent not reached 1 min settled "
            "2026-11-24 09:21:00",
        ),
    ],
)
def test_the_timeline_says_what_is_done_under_way_to_come_and_never_reached(
    state: State, times: Times, text: str
) -> None:
    summary = replace(SUMMARY, state=state, times=times, requests=Requests(), notes=())
    assert steps_of(summary) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1_250_000, "1.2 MB"),
        (999_949_999, "999.9 MB"),
        (999_950_000, "1.0 GB"),
        (1_234_500_000_000, "1,234.5 GB"),
    ],
)
def test_a_size_is_said_in_the_unit_that_keeps_it_short(count: int, text: str) -> None:
    summary = replace(SUMMARY, drop=replace(SUMMARY.drop, bytes=count))
    assert f"employees people-2026-11-24.csv {text} 20 of" in Page(page(summary)).text


def test_the_page_says_what_the_summary_says() -> None:
    text = Page(page()).text
    for phrase in (
        "20 of 986 people did not get through to Entra, and 3 rows were rejected.",
        "1,000 rows = 3 rejected + 1 duplicate + 10 filtered + 986 sent",
        "986 sent = 912 created + 31 updated + 17 disabled + 6 skipped + 18 failed + 1 refused + 1 unconfirmed",
        "Timeline 11 min 4 s Times are UTC. 20 of 20 bulk requests answered.",
        "landed 2026-11-24 09:20:00 2 s planned 2026-11-24 09:20:02 7 s sent 2026-11-24 09:20:09 10 min 55 s settled "
        "2026-11-24 09:31:04",
        "15 people AzureActiveDirectoryDuplicateUserPrincipalName failed",
        "3 people AzureActiveDirectoryInvalidUserPrincipalName failed The domain portion of … is invalid",
        "702117 row 118",
        "351 701850 duplicate a later row, 352, has the same externalId; that one was used",
        "Notes encoding: windows-1252 (a guess)",
    ):
        assert phrase in text


def test_the_bars_say_their_counts_aloud() -> None:
    labels = [attributes["aria-label"] for _, attributes in Page(page()).tags if attributes.get("role") == "img"]
    assert labels == [
        "Rows of the file: 3 rejected, 1 duplicate, 10 filtered, 986 sent",
        "Outcomes of the people sent: 912 created, 31 updated, 17 disabled, 6 skipped, 18 failed, 1 refused, "
        "1 unconfirmed",
    ]


def test_the_page_of_a_stopped_run_shows_the_problem_and_what_to_do() -> None:
    problem = Problem(code=ProblemCode.DROP, message="the column 'WorkerID' is missing", advice="Add it.")
    summary = replace(
        SUMMARY,
        state=State.REJECTED,
        rows=Rows(),
        outcomes=Outcomes(),
        times=Times(landed=LANDED),
        requests=Requests(),
        problem=problem,
        notes=(),
    )
    text = Page(page(summary, (), ())).text
    assert text.endswith(
        "Nothing was sent: the file could not be used. 0 rows drop the column 'WorkerID' is missing What to do "
        "Add it. Timeline Times are UTC. landed 2026-11-24 09:20:00 planned not reached sent not reached settled not "
        "reached run 20261124T092000Z-3f0c1a9be247 ETag 0x8DD0C5A1B2C3D4E"
    )


@given(summaries())
def test_every_summary_has_a_page(summary: Summary) -> None:
    assert headline(summary) in Page(page(summary, (), ())).text


def hostile(value: str) -> str:
    fault = Fault(message=value, column=value, advice=value)
    summary = replace(
        SUMMARY,
        feed=value,
        run=value,
        drop=SummaryDrop(name=value, etag=value, bytes=1),
        problem=Problem(code=ProblemCode(value), message=value, advice=value),
        notes=(value,),
    )
    ending = Ending(row=1, external_id=value, outcome=Outcome.FAILED, code=value, reason=value, advice=value)
    row = PlannedRow(row=1, decision=Decision.REJECTED, external_id=value, faults=(fault,))
    return html(summary, failures=[ending], rejected=[row] * 20, total_failures=900, total_rejected=900)


@pytest.mark.parametrize(
    "value", [HOSTILE, "</title><svg onload=alert(1)>", "<!--", "&lt;b&gt;", "' onclick='alert(1)"]
)
def test_a_hostile_value_is_text_and_never_markup(value: str) -> None:
    def shape(source: str) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attributes)) for tag, attributes in Page(source).tags]

    assert shape(hostile(value)) == shape(hostile("harmless"))
    assert Page(hostile(value)).text.count(" ".join(value.split())) == Page(hostile("harmless")).text.count("harmless")


def test_the_page_runs_nothing_and_loads_nothing() -> None:
    source = page()
    tags = Page(source).tags
    assert {"script", "link", "img", "iframe", "a", "object"}.isdisjoint(tag for tag, _ in tags)
    assert not any(name.startswith("on") or name in {"src", "href"} for _, attributes in tags for name in attributes)
    assert not re.search(r"url\(|@import|https?:", source)
    assert (
        "meta",
        {"http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"},
    ) in tags


def test_control_and_direction_characters_show_and_long_values_are_cut() -> None:
    note = Page(page(replace(SUMMARY, notes=("a\x00b\u202ec\ud800", "x" * 5000)))).text
    assert "a�b�c�" in note
    assert "x" * 1000 + "…" in note and "x" * 1001 not in note
    whole = Page(page(replace(SUMMARY, notes=("x" * 1000,)))).text
    assert "x" * 1000 + " run" in whole


def test_long_lists_are_cut_with_a_pointer_to_the_csv() -> None:
    failures = [
        Ending(row=n, external_id=f"p{n}", outcome=Outcome.FAILED, code="Odd", reason="Odd") for n in range(1, 601)
    ]
    fault = Fault(message="is empty", column="Mail")
    rejected = [
        PlannedRow(row=n, decision=Decision.REJECTED, external_id=f"r{n}", faults=(fault, fault)) for n in range(1, 301)
    ]
    shown = Page(html(SUMMARY, failures=failures, rejected=rejected, total_failures=2000, total_rejected=3000))
    assert len(re.findall(r"\bp\d+ row", shown.text)) == PAGE_LINES
    assert len(re.findall(r"\br\d+\b", shown.text)) == PAGE_LINES / 2
    assert "600 people Odd failed" in shown.text and "488 more" in shown.text
    assert "500 of 2,000 are listed here. All are in 20261124T092000Z-3f0c1a9be247.outcomes.csv ." in shown.text
    assert "250 of 3,000 rows are listed here. All are in 20261124T092000Z-3f0c1a9be247.rejects.csv ." in shown.text
    assert "600 × Mail is empty" in shown.text


def test_the_page_lists_the_first_500_people_whatever_their_causes() -> None:
    failures = [
        Ending(row=n, external_id=f"p{n}", outcome=Outcome.FAILED, code="First" if n <= 300 else "Second")
        for n in range(1, 600)
    ]
    text = Page(page(failures=failures)).text
    first, second = text.index("300 people First"), text.index("299 people Second")
    people = [int(n) for n in re.findall(r"\bp(\d+) row", text)]
    assert (first < text.index("p1 row") < second < text.index("p301 row"), people) == (True, list(range(1, 501)))
    assert "500 of 599 are listed here." in text
    # Whoever makes the page may have kept only the first of them.
    kept = html(SUMMARY, failures=failures[:3], rejected=(), total_failures=10, total_rejected=0)
    assert "3 of 10 are listed here." in Page(kept).text
    # As many as there is room for need no pointer.
    assert "are listed here" not in Page(page(failures=failures[:500])).text


@pytest.mark.parametrize("faults", [1, 3])
def test_the_page_lists_the_first_500_faults_whatever_their_rows(faults: int) -> None:
    rejected = [
        PlannedRow(
            row=n,
            decision=Decision.REJECTED,
            external_id=f"r{n}",
            faults=tuple(Fault(message=f"f{n}-{m}") for m in range(faults)),
        )
        for n in range(1, 502)
    ]
    listed = re.findall(r"\bf\d+-\d\b", Page(page(rejected=rejected)).text)
    assert listed == [f"f{n}-{m}" for n in range(1, 502) for m in range(faults)][:500]


def rejects(*counts: int) -> list[PlannedRow]:
    """So many rows with the first fault, so many with the second, and so on."""
    faults = [Fault(message=f"fault {n}", column="C") for n, count in enumerate(counts) for _ in range(count)]
    return [
        PlannedRow(row=row, decision=Decision.REJECTED, external_id=f"r{row}", faults=(fault,))
        for row, fault in enumerate(faults, 1)
    ]


@pytest.mark.parametrize(
    ("counts", "frequent"),
    [
        # A short list shows by itself what is frequent.
        ((12,), []),
        ((13,), ["13 × C fault 0"]),
        # The five most frequent, of those that are there more than once.
        ((1, 3, 2, 9), ["9 × C fault 3", "3 × C fault 1", "2 × C fault 2"]),
        ((2, 3, 4, 5, 6, 7), [f"{n} × C fault {n - 2}" for n in (7, 6, 5, 4, 3)]),
        ((1,) * 13, []),
    ],
)
def test_a_long_list_of_rows_begins_with_its_most_frequent_faults(counts: tuple[int, ...], frequent: list[str]) -> None:
    assert re.findall(r"\d+ × C fault \d", Page(page(rejected=rejects(*counts))).text) == frequent


@pytest.mark.parametrize(("people", "folded"), [(12, ""), (13, "1 more"), (40, "28 more")])
def test_of_one_cause_12_people_are_in_sight_and_the_others_folded(people: int, folded: str) -> None:
    failures = [Ending(row=n, external_id=f"p{n}", outcome=Outcome.FAILED, code="Odd") for n in range(1, people + 1)]
    source = page(failures=failures)
    (found,) = [re.findall(r"[\d,]+ more(?= )", Page(source).text)]
    assert (found, source.partition("<details>")[0].count("<li><bdi>p")) == ([folded] if folded else [], 12)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "under 1 s"),
        (0, "under 1 s"),
        (1, "1 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3_600, "1 h"),
        (3_601, "1 h"),
        (3_725, "1 h 2 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 d"),
        (86_460, "1 d"),
        (93_600, "1 d 2 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: int, text: str) -> None:
    summary = replace(SUMMARY, times=Times(landed=LANDED, planned=after(seconds=seconds)))
    assert f"landed 2026-11-24 09:20:00 {text} planned" in Page(page(summary)).text


def test_causes_come_by_people_and_keep_a_reason_that_all_share() -> None:
    found = causes(ENDINGS)
    assert [(cause.people, cause.code, cause.reason) for cause in found] == [
        (15, "AzureActiveDirectoryDuplicateUserPrincipalName", ENDINGS[0].reason),
        (
            3,
            "AzureActiveDirectoryInvalidUserPrincipalName",
            "The domain portion of … is invalid: the domain does not exist.",
        ),
        (1, "InvalidDataFormat", "Invalid Data Format"),
        (1, "", ""),
    ]
    assert sorted((ending for cause in found for ending in cause.endings), key=ENDINGS.index) == list(ENDINGS)


def test_reasons_that_name_each_person_make_one_cause() -> None:
    names = ("Ada", "Bob", "Cleo", "Dan", "Eve", "Fay")
    failures = [
        Ending(row=n, external_id=str(n), outcome=Outcome.FAILED, code="Odd", reason=f"No manager for {name}.")
        for n, name in enumerate(names, start=1)
    ]
    assert [(cause.people, cause.reason) for cause in causes(failures)] == [
        (6, "No manager for Ada. (and 5 more wordings)")
    ]
    # Five wordings can be read.
    assert [(cause.people, cause.reason) for cause in causes(failures[:5])] == [
        (1, f"No manager for {name}.") for name in names[:5]
    ]


def test_causes_with_as_many_people_come_by_their_first_row_and_then_by_code() -> None:
    def failed(row: int, code: str, *, advice: str = "") -> Ending:
        return Ending(row=row, external_id=str(row), outcome=Outcome.FAILED, code=code, advice=advice)

    failures = [failed(9, "A"), failed(3, "C"), failed(3, "B"), failed(1, "D"), failed(7, "E"), failed(8, "E")]
    assert [(cause.people, cause.code) for cause in causes(failures)] == [
        (2, "E"),
        (1, "D"),
        (1, "B"),
        (1, "C"),
        (1, "A"),
    ]
    # The first row of each counts, not its last.
    apart = [failed(1, "A"), failed(9, "A"), failed(2, "B"), failed(3, "B")]
    assert [cause.code for cause in causes(apart)] == ["A", "B"]
    # What is to be done about it tells two causes apart, though Entra calls them the same.
    apart = [failed(1, "A", advice="Do this."), failed(2, "A", advice="Do that."), failed(3, "A", advice="Do this.")]
    assert [(cause.people, cause.advice) for cause in causes(apart)] == [(2, "Do this."), (1, "Do that.")]


@pytest.mark.parametrize(
    ("outcome", "code", "advice"),
    [
        *((outcome, "", "") for outcome in (Outcome.CREATED, Outcome.UPDATED, Outcome.DISABLED, Outcome.WAITING)),
        *((outcome, "New", "") for outcome in (Outcome.CREATED, Outcome.UPDATED, Outcome.DISABLED, Outcome.WAITING)),
        (Outcome.FAILED, "", ""),
        (Outcome.FAILED, "New", LOOK_IT_UP),
        (Outcome.SKIPPED, "", ""),
        (Outcome.SKIPPED, "New", LOOK_IT_UP),
        (Outcome.SKIPPED, "RedundantExport", "Nothing: the account is already up to date."),
        (
            Outcome.UNCONFIRMED,
            "",
            "Entra's log did not mention this person in time. Check that the provisioning job is started and not in "
            "quarantine, then drop the file again.",
        ),
        (Outcome.UNCONFIRMED, "New", LOOK_IT_UP),
        # Entra never had this person: its log has no entry to look up.
        (Outcome.REFUSED, "", UNREADABLE),
        (Outcome.REFUSED, "New", UNREADABLE),
        (Outcome.REFUSED, "InvalidDomain", advise("InvalidDomain", "")),
    ],
)
def test_what_to_do_about_an_ending_is_entras_advice_or_else_ours(outcome: Outcome, code: str, advice: str) -> None:
    assert advice_for(Ending(row=1, external_id="1", outcome=outcome, code=code)) == advice
    advised = Ending(row=1, external_id="1", outcome=outcome, code=code, advice="Do this.")
    assert advice_for(advised) == "Do this."


def test_failures_are_the_outcomes_that_somebody_must_look_at() -> None:
    assert {Outcome.FAILED, Outcome.REFUSED, Outcome.UNCONFIRMED} == FAILURES


@pytest.mark.parametrize(
    ("code", "reason", "says"),
    [
        ("AzureActiveDirectoryInvalidUserPrincipalName", "", "valid sign-in name"),
        ("azureactivedirectoryduplicateuserprincipalname", "", "already has this sign-in name"),
        ("InvalidAttributeSyntax-LdapErr", "", "IgnoreFlowIfNullOrEmpty"),
        ("HybridSynchronizationActiveDirectoryCannotFindAttribute", "", "restart the provisioning agent"),
        ("HybridSynchronizationActiveDirectoryInsufficientAccessRights", "", "permission inheritance"),
        ("Odd", "The domain does not exist in this tenant", "verified in this tenant"),
        ("Odd", "We were unable to assign 8 as the manager of 9.", "manager must be in a drop"),
        ("Invalid Data Format", "", "SCIM user schema"),
        ("NotEffectivelyEntitled", "", "scoping filter"),
        ("InternalError", "", "repeats this attempt by itself"),
    ],
)
def test_known_troubles_have_advice(code: str, reason: str, says: str) -> None:
    assert says in advise(code, reason)


def test_an_unknown_code_gets_the_place_to_look_and_nothing_gets_nothing() -> None:
    assert advise("SomethingNew", "") == advise("", "odd") == LOOK_IT_UP
    assert advise("", "") == advise(" ", "\n") == ""


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("The value 'Ada Byron' of \"mail\" is taken by ada@contoso.com", "The value … of … is taken by …"),
        ("Entra's log doesn't know [x, y] at 4003", "Entra's log doesn't know … at …"),
        ("", ""),
    ],
)
def test_a_reason_loses_the_values_that_it_quotes(reason: str, text: str) -> None:
    assert without_values(reason) == text
