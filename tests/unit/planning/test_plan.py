"""A plan: every row decided once, the last row wins, and the same input gives the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scim2_models import EnterpriseUser, User

from connector.mapping import FILTERED, Rejected, load_feed
from connector.planning.decide import decide
from connector.planning.plan import LastRows, last_rows, plan
from connector.readers import BadRow
from connector.sandbox.sample import SAMPLE_FEED, sample
from connector.sandbox.servers import PROJECT
from connector.vocabulary.bulk_request import PEOPLE_PER_REQUEST, BulkRequest, digest
from connector.vocabulary.errors import Fault
from connector.vocabulary.lines import parse_plan_line, plan_line
from connector.vocabulary.run import Decision, PlannedRow

LANDED = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FAULT = Fault(message="no", column="C")
ODD = Fault(message="odd", column="D")


class Plain:
    """A mapping of rows (externalId, word): the word says what becomes of the row."""

    def external_id(self, cells: Sequence[Any], /) -> str:
        return str(cells[0])

    def map_with_warnings(
        self, cells: Sequence[Any], /
    ) -> tuple[dict[str, Any] | Rejected | object, tuple[Fault, ...]]:
        if cells[1] == "reject" or not cells[0]:
            return Rejected(attributes=(), faults=(FAULT,)), ()
        if cells[1] == "filter":
            return FILTERED, ()
        return {"externalId": cells[0], "displayName": cells[1]}, (ODD,) if cells[1] == "odd" else ()


Row = tuple[int, tuple[str, str]] | BadRow


def planned(rows: Sequence[Row], warned: Counter[Fault] | None = None) -> tuple[list[PlannedRow], list[BulkRequest]]:
    items = list(plan(rows, Plain(), last_rows(rows, Plain()), Counter() if warned is None else warned))
    return (
        [item for item in items if isinstance(item, PlannedRow)],
        [item for item in items if isinstance(item, BulkRequest)],
    )


def numbered(cells: Iterable[tuple[str, str] | None]) -> list[Row]:
    """Rows from 1; None is a row that its reader could not make out."""
    return [(n, c) if c is not None else BadRow(number=n, fault=FAULT) for n, c in enumerate(cells, 1)]


CELLS = st.one_of(
    st.none(),
    st.tuples(st.sampled_from(["", "a", "b", "c", "d"]), st.sampled_from(["x", "y", "reject", "filter"])),
)


@given(st.lists(CELLS, max_size=40))
def test_every_row_is_decided_once_as_a_naive_plan_would(cells: list[tuple[str, str] | None]) -> None:
    rows = numbered(cells)
    last = {c[0]: n for n, c in enumerate(cells, 1) if c is not None and c[0]}
    expected: list[tuple[int, Decision, str]] = []
    for number, pair in enumerate(cells, 1):
        if pair is None:
            expected.append((number, Decision.REJECTED, ""))
        elif pair[0] and last[pair[0]] != number:
            expected.append((number, Decision.DUPLICATE, pair[0]))
        elif pair[1] == "reject" or not pair[0]:
            expected.append((number, Decision.REJECTED, pair[0]))
        elif pair[1] == "filter":
            expected.append((number, Decision.FILTERED, pair[0]))
        else:
            expected.append((number, Decision.SEND, pair[0]))
    found, requests = planned(rows)
    assert [(row.row, row.decision, row.external_id) for row in found] == expected
    assert sum(request.people_count for request in requests) == sum(d is Decision.SEND for _, d, _ in expected)


@given(st.lists(st.text(max_size=3), max_size=300), st.integers(1, 12))
def test_last_rows_is_exact_however_many_externalids_share_a_bit(keys: list[str], bits: int) -> None:
    class Small(LastRows):
        BITS = max(3, bits)

    found = Small()
    rows = list(enumerate(keys, 1))
    # A row that could not be read has no externalId.
    found.see([BadRow(number=10**6, fault=FAULT), *rows], str)
    last = {key: row for row, key in rows}
    replaced = [found.replaced_by(row, key) for row, key in rows]
    assert replaced == [last[key] if key and last[key] != row else 0 for row, key in rows]


class Spread(str):
    """An externalId whose hash is its own number: no two share a bit."""

    def __hash__(self) -> int:
        return int(self)


def test_finding_duplicates_takes_8_mib_whatever_the_size_of_the_drop() -> None:
    people = [(row, Spread(row)) for row in range(1, 20_001)]
    tracemalloc.start()
    try:
        found = LastRows()
        bitmap, _ = tracemalloc.get_traced_memory()
        found.see(people, lambda person: person)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (bitmap >> 20, after - bitmap < 10_000) == (8, True)
    assert bitmap < (8 << 20) + 10_000


@pytest.mark.parametrize(
    ("people", "sizes"), [(0, []), (1, [1]), (49, [49]), (50, [50]), (51, [50, 1]), (120, [50, 50, 20])]
)
def test_a_request_has_at_most_50_operations_and_no_more_requests_than_needed(people: int, sizes: list[int]) -> None:
    rows, requests = planned(numbered((f"p{n}", "x") for n in range(people)))
    bodies = [orjson.loads(request.body) for request in requests]
    assert PEOPLE_PER_REQUEST == 50
    assert [(r.number, r.people_count) for r in requests] == list(enumerate(sizes, 1))
    assert [len(body["Operations"]) for body in bodies] == sizes
    carried = {o["data"]["externalId"]: n for n, body in enumerate(bodies, 1) for o in body["Operations"]}
    assert carried == {row.external_id: row.request for row in rows}


def test_a_body_is_a_scim_bulk_request_as_entra_wants_it() -> None:
    (row,), (request,) = planned(numbered([('a\u0000"ü', "x")]))
    assert orjson.loads(request.body) == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            {
                "method": "POST",
                "path": "/Users",
                "bulkId": 'a\u0000"ü',
                "data": {"externalId": 'a\u0000"ü', "displayName": "x"},
            }
        ],
        "failOnErrors": None,
    }
    assert (row.digest, request.digest) == (
        digest(b'{"externalId":"a\\u0000\\"\xc3\xbc","displayName":"x"}'),
        digest(request.body),
    )


def test_a_digest_is_the_first_half_of_a_sha_256_in_hex() -> None:
    # Digests of earlier versions are compared with today's: this is FIPS 180's own example.
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223"


@pytest.mark.parametrize("word", ["reject", "filter", "x"])
def test_an_externalid_that_nobody_has_checked_is_written_down_short_and_in_whole_characters(word: str) -> None:
    long = "\ud800" + "ü" * 300
    decision = {"reject": Decision.REJECTED, "filter": Decision.FILTERED, "x": Decision.DUPLICATE}[word]
    # Of two rows the earlier one is a duplicate, whatever becomes of the later one.
    rows, _ = planned(numbered([(long, word), (long, "filter")] if word == "x" else [(long, word)]))
    assert (rows[0].decision, rows[0].external_id) == (decision, "?" + "ü" * 255)


def test_every_row_is_told_whole() -> None:
    rows, _ = planned(numbered([None, ("", "x"), ("a", "x"), ("b", "odd"), ("a", "filter"), ("c", "reject")]))
    user = orjson.dumps({"externalId": "b", "displayName": "odd"})
    assert rows == [
        PlannedRow(row=1, decision=Decision.REJECTED, faults=(FAULT,)),
        PlannedRow(row=2, decision=Decision.REJECTED, faults=(FAULT,)),
        PlannedRow(
            row=3,
            decision=Decision.DUPLICATE,
            external_id="a",
            reason="a later row, 5, has the same externalId; that one was used",
        ),
        PlannedRow(row=4, decision=Decision.SEND, external_id="b", digest=digest(user), request=1, warnings=(ODD,)),
        PlannedRow(row=5, decision=Decision.FILTERED, external_id="a"),
        PlannedRow(row=6, decision=Decision.REJECTED, external_id="c", faults=(FAULT,)),
    ]


def test_what_a_mapping_may_not_give_stops_the_plan() -> None:
    class Odd(Plain):
        def map_with_warnings(self, cells: Sequence[Any], /) -> tuple[object, tuple[Fault, ...]]:
            return None, ()

    with pytest.raises(AssertionError, match="a mapping gives a user, Rejected or FILTERED"):
        list(plan([(1, ("a", "x"))], Odd(), LastRows(), Counter()))


def test_a_plan_lines_empty_fields_are_left_out() -> None:
    sent = PlannedRow(row=1, decision=Decision.SEND, external_id="a", digest="d", request=2)
    assert plan_line(sent) == b'{"row":1,"externalId":"a","decision":"send","digest":"d","request":2}\n'
    rejected = PlannedRow(row=2, decision=Decision.REJECTED, reason="r", faults=(FAULT,), warnings=(ODD,))
    assert plan_line(rejected) == (
        b'{"row":2,"externalId":"","decision":"rejected","reason":"r",'
        b'"faults":[{"column":"C","message":"no","advice":""}],'
        b'"warnings":[{"column":"D","message":"odd","advice":""}]}\n'
    )


def test_bulkids_are_unique_in_a_request_whatever_the_drop_repeats() -> None:
    _, requests = planned(numbered([(f"p{n % 70}", "x") for n in range(210)]))
    for request in requests:
        bulk_ids = [operation["bulkId"] for operation in orjson.loads(request.body)["Operations"]]
        assert len(bulk_ids) == len(set(bulk_ids))


def test_what_is_odd_about_those_who_are_sent_is_counted_and_kept_beside_the_row() -> None:
    warned: Counter[Fault] = Counter()
    rows, _ = planned(numbered([("a", "odd"), ("b", "x"), ("c", "odd"), ("a", "odd")]), warned)
    assert [(row.row, row.warnings) for row in rows] == [(1, ()), (2, ()), (3, (ODD,)), (4, (ODD,))]
    assert warned == {ODD: 2}


FAULTS = st.lists(st.builds(Fault, message=st.text(), advice=st.text(), column=st.text()), max_size=3).map(tuple)


@given(
    st.builds(
        PlannedRow,
        row=st.integers(1, 10**9),
        decision=st.sampled_from(Decision),
        external_id=st.text(),
        reason=st.text(),
        faults=FAULTS,
        warnings=FAULTS,
    ),
    st.integers(0, 10**6),
)
def test_a_plan_line_is_read_back_as_it_was(row: PlannedRow, request: int) -> None:
    sent = PlannedRow(
        row=row.row,
        decision=row.decision,
        external_id=row.external_id,
        reason=row.reason,
        faults=row.faults,
        warnings=row.warnings,
        request=request,
        digest="d" * 32 if request else "",
    )
    line = plan_line(sent)
    assert (parse_plan_line(line), line.count(b"\n"), line[-1:]) == (sent, 1, b"\n")


def _sample_bodies() -> Iterator[bytes]:
    drop = sample(600).content
    feed = load_feed(SAMPLE_FEED.encode(), name="feeds/employees.yaml")
    for item in decide(lambda: BytesIO(drop), name="people.csv", landed=LANDED, feed=feed):
        if isinstance(item, BulkRequest):
            yield item.body


def test_the_same_drop_and_feed_give_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "employees.yaml").write_text(SAMPLE_FEED, encoding="utf-8")
    (tmp_path / "people.csv").write_bytes(sample(600).content)
    # Each with a hash seed of its own: what depends on the order of a set would differ.
    bodies = {
        subprocess.run(
            [sys.executable, "-m", "connector", "preview", tmp_path / "employees.yaml", tmp_path / "people.csv"],
            cwd=PROJECT,
            env={"PATH": os.environ["PATH"], "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            timeout=120,
            check=False,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }
    assert bodies == {b"".join(body + b"\n" for body in _sample_bodies())}


def test_an_independent_implementation_of_scim_accepts_every_user() -> None:
    expected = sample(600)
    users = [op["data"] for body in _sample_bodies() for op in orjson.loads(body)["Operations"]]
    assert len(users) == expected.sent
    for user in users:
        # Entra's own custom attributes are an extension that no RFC knows.
        known = {key: value for key, value in user.items() if "contoso" not in key}
        known["schemas"] = [schema for schema in user["schemas"] if "contoso" not in schema]
        judged = User[EnterpriseUser].model_validate(known)
        assert judged.external_id == user["externalId"]
        assert judged.model_dump(exclude_none=True)["userName"] == user["userName"]
        assert judged.active is user["active"]


def test_of_a_long_identifier_that_comes_twice_only_a_digest_is_kept() -> None:
    keys = [f"{number:05}" + "é" * 1_000 for number in range(2_000)]
    rows = [(number, key) for number, key in enumerate(keys * 2, start=1)]
    last = LastRows()
    tracemalloc.start()
    try:
        last.see(rows, str)
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert [last.replaced_by(number, key) for number, key in rows[:3]] == [2_001, 2_002, 2_003]
    assert [last.replaced_by(number, key) for number, key in rows[-3:]] == [0, 0, 0]
    assert last.replaced_by(1, "x" * 33) == 0
    assert kept < 600_000


def test_a_person_who_is_larger_than_a_body_may_be_is_rejected() -> None:
    """`Plain` takes any length; two bytes a character."""
    found, bodies = planned([(1, ("a", "x")), (2, ("b", "é" * 600_000)), (3, ("c", "y"))])
    fault = Fault(
        message="the person as SCIM has more than 1,048,576 bytes: this bound is fixed",
        advice="map fewer long texts, or shorten them, for example with Left",
    )
    assert [(row.external_id, row.decision, row.faults) for row in found] == [
        ("a", Decision.SEND, ()),
        ("b", Decision.REJECTED, (fault,)),
        ("c", Decision.SEND, ()),
    ]
    assert [body.people_count for body in bodies] == [2]


def test_a_body_of_large_people_is_cut_before_it_is_too_large_for_graph() -> None:
    found, bodies = planned([(number, (str(number), "x" * 900_000)) for number in range(1, 11)])
    assert [body.people_count for body in bodies] == [4, 4, 2]
    assert [body.number for body in bodies] == [1, 2, 3]
    assert [row.request for row in found] == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3]
    assert max(len(body.body) for body in bodies) < 4_000_000
