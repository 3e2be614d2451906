"""Events of the provisioning log to outcomes: whatever the order in which they come, and however often."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.outside.provisioning_log import parse_event
from connector.reporting.outcomes import (
    SentPerson,
    belongs,
    count_outcomes,
    count_rows,
    endings,
    first_accepted,
    outcome_of,
    owners,
    poll_from,
    quiet_since,
)
from connector.vocabulary.event import Event
from connector.vocabulary.lines import event_line, parse_event_line
from connector.vocabulary.plausible import FIRST, LAST
from connector.vocabulary.run import Decision, Ending, Outcome, Receipt, Refusal
from connector.vocabulary.summary import Outcomes, Rows

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def event(action: str, status: str = "success", *, second: int = 0, person: str = "1", **more: str) -> Event:
    key = more.pop("id", f"{action}-{status}-{second}-{person}")
    return Event(id=key, at=NOON + timedelta(seconds=second), person=person, action=action, status=status, **more)


def receipt(request: int = 1, people: int = 1, at: datetime = NOON, **more: Any) -> Receipt:
    return Receipt(request=request, accepted=at, people=people, **more)


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ([], Outcome.WAITING),
        ([event("create")], Outcome.CREATED),
        ([event("update")], Outcome.UPDATED),
        ([event("disable")], Outcome.DISABLED),
        ([event("delete")], Outcome.DISABLED),
        ([event("stageddelete")], Outcome.DISABLED),
        ([event("other")], Outcome.UPDATED),
        ([event("create", "warning")], Outcome.CREATED),
        ([event("create", "failure")], Outcome.FAILED),
        ([event("update", "skipped")], Outcome.SKIPPED),
        # A new person whose manager comes later: two events with the same change (reference of the log).
        ([event("create"), event("update", second=2)], Outcome.CREATED),
        ([event("create"), event("update", "skipped", second=2)], Outcome.CREATED),
        ([event("update", "skipped"), event("update", second=2)], Outcome.UPDATED),
        # Entra tries again what failed, and says what a later step could not do.
        ([event("create", "failure"), event("create", second=60)], Outcome.CREATED),
        ([event("create"), event("update", "failure", second=2)], Outcome.FAILED),
        ([event("create"), event("update", "failure")], Outcome.FAILED),
        ([event("create", "failure"), event("update", "skipped", second=60)], Outcome.SKIPPED),
        ([event("create"), event("update", "failure", second=2), event("update", second=60)], Outcome.CREATED),
        # A skip is no later word where something was done, and takes back neither a success nor a failure.
        (
            [event("create", "failure"), event("create", second=2), event("update", "skipped", second=60)],
            Outcome.CREATED,
        ),
        (
            [event("create"), event("update", "failure", second=2), event("update", "skipped", second=60)],
            Outcome.FAILED,
        ),
        # What no documentation knows decides nothing.
        ([event("unknownFutureValue", "unknownFutureValue")], Outcome.WAITING),
        ([event("create"), event("unknownFutureValue", "unknownFutureValue", second=9)], Outcome.CREATED),
        ([event("", "")], Outcome.WAITING),
        ([event("unknownFutureValue", "success")], Outcome.UPDATED),
        ([event("create", second=2), event("disable", second=4)], Outcome.CREATED),
        ([event("update"), event("disable", second=4)], Outcome.DISABLED),
    ],
)
def test_what_the_events_of_one_person_add_up_to(events: list[Event], outcome: Outcome) -> None:
    assert outcome_of(events)[0] is outcome


def test_a_failure_is_reported_with_entras_own_words() -> None:
    failure = event("create", "failure", code="DuplicateUpn", reason="It is taken.", advice="Choose another.")
    found = endings({"1": SentPerson(7, 1)}, {1: receipt()}, [failure], closing=False)
    assert found == [
        Ending(
            row=7,
            external_id="1",
            outcome=Outcome.FAILED,
            code="DuplicateUpn",
            reason="It is taken.",
            advice="Choose another.",
            at=NOON,
        )
    ]


@pytest.mark.parametrize(
    ("action", "status", "outcome", "said"),
    [
        ("create", "failure", Outcome.FAILED, True),
        ("update", "skipped", Outcome.SKIPPED, True),
        ("create", "warning", Outcome.CREATED, True),
        # A success needs no reason: what stands beside it is about a step that did not matter.
        ("create", "success", Outcome.CREATED, False),
        ("unknownFutureValue", "success", Outcome.UPDATED, False),
    ],
)
def test_entras_own_words_are_kept_where_they_explain_something(
    action: str, status: str, outcome: Outcome, said: bool
) -> None:
    words: dict[str, Any] = {"code": "C", "reason": "R", "advice": "A"}
    found = endings({"1": SentPerson(7, 1)}, {1: receipt()}, [event(action, status, **words)], closing=False)
    assert found == [Ending(row=7, external_id="1", outcome=outcome, at=NOON, **(words if said else {}))]


def test_endings_come_in_the_order_of_rows() -> None:
    people = {"1": SentPerson(9, 1), "2": SentPerson(4, 2), "3": SentPerson(7, 1)}
    found = endings(people, {1: receipt(people=2), 2: receipt(2)}, [], closing=False)
    assert [(ending.row, ending.external_id) for ending in found] == [(4, "2"), (7, "3"), (9, "1")]


def test_what_was_said_before_entra_had_the_request_is_about_an_earlier_one() -> None:
    found = endings({"1": SentPerson(1, 1)}, {1: receipt()}, [event("create", second=-1)], closing=False)
    assert found == [Ending(row=1, external_id="1", outcome=Outcome.WAITING)]


def test_who_was_refused_has_graphs_own_words_from_when_the_rest_was_accepted() -> None:
    # Whatever the log says of them is about another request: this one never came to that.
    refusals = (Refusal(external_id="1", code="BadRequest", message="No."),)
    people = {"1": SentPerson(1, 1), "2": SentPerson(2, 1)}
    events = [event("create"), event("create", person="2")]
    assert endings(people, {1: receipt(people=2, refusals=refusals)}, events, closing=False) == [
        Ending(row=1, external_id="1", outcome=Outcome.REFUSED, code="BadRequest", reason="No.", at=NOON),
        Ending(row=2, external_id="2", outcome=Outcome.CREATED, at=NOON),
    ]


@given(
    events=st.lists(
        st.builds(
            event,
            st.sampled_from(["create", "update", "disable", "delete", "other", "unknownFutureValue"]),
            st.sampled_from(["success", "warning", "failure", "skipped", "unknownFutureValue"]),
            second=st.integers(0, 5),
            person=st.sampled_from(["1", "2", "3"]),
        ),
        max_size=14,
    ),
    seed=st.integers(),
    closing=st.booleans(),
)
def test_events_that_come_late_twice_and_out_of_order_give_the_same_outcomes(
    events: list[Event], seed: int, closing: bool
) -> None:
    people = {"1": SentPerson(1, 1), "2": SentPerson(2, 1), "3": SentPerson(3, 2)}
    receipts = {1: receipt(1, people=2), 2: receipt(2)}
    shuffled = [*events, *events[: len(events) // 2]]
    random.Random(seed).shuffle(shuffled)
    assert endings(people, receipts, shuffled, closing=closing) == endings(people, receipts, events, closing=closing)
    found = endings(people, receipts, events, closing=closing)
    assert [ending.external_id for ending in found] == ["1", "2", "3"]
    assert (Outcome.WAITING in {ending.outcome for ending in found}) <= (not closing)


@pytest.mark.parametrize(
    ("found", "mine"),
    [
        (event("create", second=0), True),
        (event("create", second=1), True),
        # Somebody else's, an earlier run's, and one of a request that never went out.
        (event("create", person="9"), False),
        (event("create", second=-1), False),
        (event("create", person="lost"), False),
        (event("create", person="unsent"), False),
    ],
)
def test_an_event_belongs_to_a_run_that_sent_the_person_before_it(found: Event, mine: bool) -> None:
    people = {"1": SentPerson(1, 1), "lost": SentPerson(2, 2), "unsent": SentPerson(3, 3)}
    assert belongs(found, people, {1: receipt(), 2: receipt(2, lost=True)}) is mine


def test_the_deadline_makes_those_who_wait_unconfirmed_and_changes_nobody_else() -> None:
    people = {"1": SentPerson(1, 1), "2": SentPerson(2, 1), "3": SentPerson(3, 1)}
    receipts = {1: receipt(people=3, refusals=(Refusal(external_id="3", code="BadRequest", message="No."),))}
    events = [event("create")]
    open_, closed = (
        {e.external_id: e.outcome for e in endings(people, receipts, events, closing=closing)}
        for closing in (False, True)
    )
    assert open_ == {"1": Outcome.CREATED, "2": Outcome.WAITING, "3": Outcome.REFUSED}
    assert closed == {"1": Outcome.CREATED, "2": Outcome.UNCONFIRMED, "3": Outcome.REFUSED}


def test_people_whose_request_is_not_answered_yet_have_no_ending() -> None:
    people = {"2": SentPerson(2, 2), "3": SentPerson(3, 3), "1": SentPerson(1, 1)}
    receipts = {1: receipt(), 3: receipt(3, lost=True)}
    assert [e.external_id for e in endings(people, receipts, [], closing=True)] == ["1"]


@given(
    decisions=st.dictionaries(st.sampled_from(Decision), st.integers(0, 200)),
    sizes=st.lists(st.integers(1, 50), max_size=8),
    answered=st.lists(st.booleans(), min_size=8, max_size=8),
    lost=st.lists(st.booleans(), min_size=8, max_size=8),
)
def test_the_rows_add_up_however_far_sending_has_come(
    decisions: dict[Decision, int], sizes: list[int], answered: list[bool], lost: list[bool]
) -> None:
    planned: dict[Decision, int] = {
        decision: count for decision, count in decisions.items() if decision is not Decision.SEND
    }
    total = sum(planned.values()) + sum(sizes)
    receipts = {
        number: receipt(number, people, lost=gone)
        for number, (people, done, gone) in enumerate(zip(sizes, answered, lost, strict=False), 1)
        if done
    }
    counted = count_rows({**planned, Decision.SEND: sum(sizes)}, receipts)
    gone = sum(r.people for r in receipts.values() if r.lost)
    sent = sum(r.people for r in receipts.values() if not r.lost)
    expected = {decision.value: planned.get(decision, 0) for decision in Decision if decision is not Decision.SEND}
    expected["rejected"] += gone
    # `Rows` itself refuses counts that do not add up; so this compares the whole.
    assert counted == Rows(total=total, pending=sum(sizes) - sent - gone, sent=sent, **expected)


def test_rows_of_a_run_that_is_not_planned_are_none() -> None:
    assert count_rows(None, {}) == Rows()


def test_outcomes_are_counted_once_a_person() -> None:
    found = [
        Ending(row=row, external_id=str(row), outcome=outcome)
        for row, outcome in enumerate([Outcome.CREATED, Outcome.CREATED, Outcome.WAITING, Outcome.REFUSED], 1)
    ]
    assert count_outcomes(found) == Outcomes(created=2, waiting=1, refused=1)


@given(
    st.builds(
        Event,
        id=st.text(min_size=1),
        at=st.timedeltas(timedelta(), LAST - FIRST).map(lambda since: FIRST + since),
        person=st.text(min_size=1),
        action=st.text(),
        status=st.text(),
        change=st.text(),
        code=st.text(),
        reason=st.text(),
        advice=st.text(),
    )
)
def test_a_kept_event_is_read_back_as_it_was(kept: Event) -> None:
    for foreign in (False, True):
        line = event_line(kept, foreign=foreign)
        assert (parse_event_line(line), line.count(b"\n"), line[-1:]) == ((kept, foreign), 1, b"\n")


def test_a_kept_events_line_holds_no_more_than_was_said() -> None:
    bare = Event(id="e1", at=NOON, person="1", action="", status="")
    assert event_line(bare) == b'{"id":"e1","at":"2026-11-24T12:00:00+00:00","person":"1"}\n'
    full = event("create", id="e1", change="c", code="C", reason="R", advice="A")
    assert event_line(full, foreign=True) == (
        b'{"id":"e1","at":"2026-11-24T12:00:00+00:00","person":"1","action":"create","status":"success","change":"c",'
        b'"code":"C","reason":"R","advice":"A","foreign":true}\n'
    )


def change(name: str, second: int, action: str = "update", status: str = "success") -> Event:
    at = NOON + timedelta(seconds=second)
    return Event(id=f"{name}-{second}", at=at, person="1", action=action, status=status, change=name)


def test_the_first_change_is_the_oldest_runs_and_what_is_over_the_newest_runs() -> None:
    created, managed, disabled, later = change("a", 10), change("a", 11), change("b", 10), change("c", 30)
    events = [later, disabled, managed, created]
    assert owners([NOON, NOON], events) == {"a-10": 0, "a-11": 0, "b-10": 1, "c-30": 1}


def test_a_change_is_about_no_run_that_entra_did_not_have_yet() -> None:
    accepted = [NOON, NOON + timedelta(seconds=20)]
    assert owners(accepted, [change("a", -5), change("b", 10), change("c", 15)]) == {"b-10": 0, "c-15": 0}
    # Both tell whole seconds: in the second in which Entra had it, it may have worked on it.
    assert owners(accepted, [change("a", 0), change("b", 20)]) == {"a-0": 0, "b-20": 1}


def test_a_change_is_about_a_run_that_entra_had_before_its_last_event() -> None:
    assert owners([NOON], [change("a", -5), change("a", 10)]) == {"a--5": 0, "a-10": 0}


def test_an_event_without_a_change_is_one_of_its_own() -> None:
    events = [event("create", id="x", second=1), event("update", id="y", second=2)]
    assert owners([NOON, NOON], events) == {"x": 0, "y": 1}


def test_one_change_speaks_for_both_runs_only_when_sharing() -> None:
    people, receipts = {"1": SentPerson(1, 1)}, {1: receipt()}

    def outcomes(*, sharing: bool, at: int = 10) -> list[Outcome]:
        events = [change("a", at)]
        found = endings(people, receipts, events, closing=False, foreign={f"a-{at}"}, sharing=sharing)
        return [ending.outcome for ending in found]

    assert outcomes(sharing=False) == [Outcome.WAITING]
    assert outcomes(sharing=True) == [Outcome.UPDATED]
    # Within the seconds in which the clocks cannot tell, it may have been the other run's alone.
    assert outcomes(sharing=True, at=4) == [Outcome.WAITING]
    assert outcomes(sharing=True, at=5) == [Outcome.UPDATED]
    unasked = endings(people, receipts, [change("a", 10)], closing=False, foreign={"a-10"})
    assert unasked == [Ending(row=1, external_id="1", outcome=Outcome.WAITING)]


def test_a_change_that_is_shared_says_nothing_where_a_run_has_its_own() -> None:
    events = [change("a", 10, "create"), change("b", 20)]
    found = endings({"1": SentPerson(1, 1)}, {1: receipt()}, events, closing=False, foreign={"a-10"}, sharing=True)
    assert found == [Ending(row=1, external_id="1", outcome=Outcome.UPDATED, at=NOON + timedelta(seconds=20))]


def _item(**changes: Any) -> dict[str, Any]:
    return {
        "id": "e1",
        "activityDateTime": "2026-11-24T12:00:00Z",
        "provisioningAction": "create",
        "changeId": "c1",
        "provisioningStatusInfo": {"status": "success", "errorInformation": None},
        "sourceIdentity": {"id": "7001", "displayName": "Somebody", "details": {}},
        "targetIdentity": None,
        "modifiedProperties": [{"displayName": "mail", "newValue": "somebody@contoso.com"}],
    } | changes


def test_an_entry_becomes_an_event_without_any_attribute_values() -> None:
    found = parse_event(_item())
    assert found == Event(id="e1", at=NOON, person="7001", action="create", status="success", change="c1")


def test_an_entry_of_an_older_form_or_in_other_letters_says_the_same() -> None:
    older = _item(action="Create", statusInfo={"status": "Success"})
    del older["provisioningAction"], older["provisioningStatusInfo"]
    letters = _item(provisioningAction="CREATE", provisioningStatusInfo={"status": "SUCCESS"})
    # Where both forms are there, the newer one counts.
    both = _item(action="update", statusInfo={"status": "failure"})
    assert parse_event(older) == parse_event(letters) == parse_event(both) == parse_event(_item())


def test_an_id_that_is_a_number_is_read_as_text() -> None:
    found = parse_event(_item(id=1, sourceIdentity={"id": 7001}, changeId=12))
    assert found == Event(id="1", at=NOON, person="7001", action="create", status="success", change="12")


@pytest.fixture
def machine_in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("machine_in_tokyo")
def test_a_time_without_an_offset_is_utc_wherever_the_machine_is() -> None:
    found = parse_event(_item(activityDateTime="2026-11-24T12:00:00"))
    assert found == parse_event(_item())


@pytest.mark.parametrize(
    "moment",
    [
        "2026-11-24T12:00:00Z",
        "2026-11-24T12:00:00.0000000Z",
        "2026-11-24T13:00:00+01:00",
        "2026-11-24T12:00:00",
        "2026-11-24T12:00:00.000Z",
    ],
)
def test_times_are_read_however_graph_writes_them(moment: str) -> None:
    found = parse_event(_item(activityDateTime=moment))
    assert found is not None
    assert found.at == NOON


@pytest.mark.parametrize(
    "item",
    [
        None,
        "text",
        [],
        {},
        _item(id=None),
        _item(id=""),
        _item(activityDateTime=None),
        _item(activityDateTime="yesterday"),
        _item(activityDateTime=12),
        # Beyond the year 9999 in UTC.
        _item(activityDateTime="9999-12-31T23:00:00-05:00"),
        _item(sourceIdentity=None),
        _item(sourceIdentity={"id": None}),
        _item(sourceIdentity="7001"),
    ],
)
def test_an_entry_that_cannot_be_matched_to_anybody_is_passed_over(item: Any) -> None:
    assert parse_event(item) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"provisioningStatusInfo": None},
        {"provisioningStatusInfo": "odd"},
        {"provisioningStatusInfo": {"status": None, "errorInformation": "odd"}},
        {"provisioningAction": None},
        {"provisioningSteps": "odd"},
        {"changeId": 12},
    ],
)
def test_odd_values_decide_nothing_and_do_no_harm(changes: Mapping[str, Any]) -> None:
    found = parse_event(_item(**{"provisioningStatusInfo": {"status": "odd"}, **changes}))
    assert found is not None
    assert outcome_of([found])[0] is Outcome.WAITING


def test_a_failure_and_a_skip_say_why() -> None:
    error = {"errorCode": "X", "reason": "why", "recommendedAction": "what", "errorCategory": "failure"}
    failed = parse_event(_item(provisioningStatusInfo={"status": "failure", "errorInformation": error}))
    skipped = parse_event(
        _item(
            provisioningStatusInfo={"status": "skipped"},
            provisioningSteps=[
                {"details": None},
                "odd",
                {"name": "EntrySynchronizationSkip", "details": {"SkipReason": "RedundantExport"}},
            ],
        )
    )
    assert failed == Event(
        id="e1",
        at=NOON,
        person="7001",
        action="create",
        status="failure",
        change="c1",
        code="X",
        reason="why",
        advice="what",
    )
    assert skipped == Event(
        id="e1", at=NOON, person="7001", action="create", status="skipped", change="c1", code="RedundantExport"
    )


@pytest.mark.parametrize("status", ["success", "failure", "skipped"])
@pytest.mark.parametrize("steps", [None, "odd", {}, [], [{"details": {"SkipReason": None}}]])
def test_a_skip_without_a_reason_has_none(status: str, steps: Any) -> None:
    found = parse_event(_item(provisioningStatusInfo={"status": status}, provisioningSteps=steps))
    assert found == Event(id="e1", at=NOON, person="7001", action="create", status=status, change="c1")


def test_only_a_skip_is_explained_by_its_steps() -> None:
    steps = [{"details": {"SkipReason": "RedundantExport"}}]
    found = parse_event(_item(provisioningSteps=steps))
    assert found == parse_event(_item())
    # In the older form as well.
    older = _item(provisioningStatusInfo=None, statusInfo={"status": "skipped"}, provisioningSteps=steps)
    skipped = parse_event(older)
    assert skipped is not None
    assert (skipped.status, skipped.code) == ("skipped", "RedundantExport")


def test_the_log_is_read_from_the_first_request_on_and_later_with_an_overlap() -> None:
    receipts = {1: receipt(at=NOON), 2: receipt(2, at=NOON + timedelta(minutes=5)), 3: receipt(3, at=NOON, lost=True)}
    later = NOON + timedelta(hours=5)
    assert poll_from(first_accepted({}), None, closing=False) is None
    assert poll_from(first_accepted({3: receipts[3]}), None, closing=False) is None
    assert poll_from(first_accepted(receipts), None, closing=False) == NOON
    assert poll_from(first_accepted(receipts), NOON + timedelta(minutes=9), closing=False) == NOON
    assert poll_from(first_accepted(receipts), later, closing=False) == later - timedelta(hours=1)
    # What came later than any overlap is found by the last poll.
    assert poll_from(first_accepted(receipts), later, closing=True) == NOON


def test_the_log_is_silent_since_its_last_word_on_the_run() -> None:
    later = NOON + timedelta(minutes=5)
    heard = [Ending(row=1, external_id="1", outcome=Outcome.CREATED, at=later)]
    waiting = Ending(row=2, external_id="2", outcome=Outcome.WAITING)
    assert (quiet_since(NOON, []), quiet_since(NOON, [waiting, *heard])) == (NOON, later)
    assert quiet_since(later + timedelta(minutes=1), heard) == later + timedelta(minutes=1)
