"""Events of the provisioning log to outcomes: whatever the order in which they come, and however often."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.outside.provisioning_log import parse_event
from connector.reporting.outcomes import (
    OVERLAP,
    Sent,
    belongs,
    count_outcomes,
    count_rows,
    endings,
    outcome_of,
    owners,
    poll_from,
    quiet_since,
)
from connector.vocabulary.event import Event
from connector.vocabulary.lines import event_line, parse_event_line
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
    found = endings({"1": Sent(7, 1)}, {1: receipt()}, [failure], closing=False)
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
    people = {"1": Sent(1, 1), "2": Sent(2, 1), "3": Sent(3, 2)}
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
    people = {"1": Sent(1, 1), "lost": Sent(2, 2), "unsent": Sent(3, 3)}
    assert belongs(found, people, {1: receipt(), 2: receipt(2, lost=True)}) is mine


def test_the_deadline_makes_those_who_wait_unconfirmed_and_changes_nobody_else() -> None:
    people = {"1": Sent(1, 1), "2": Sent(2, 1), "3": Sent(3, 1)}
    receipts = {1: receipt(people=3, refusals=(Refusal(external_id="3", code="BadRequest", message="No."),))}
    events = [event("create")]
    open_, closed = (
        {e.external_id: e.outcome for e in endings(people, receipts, events, closing=closing)}
        for closing in (False, True)
    )
    assert open_ == {"1": Outcome.CREATED, "2": Outcome.WAITING, "3": Outcome.REFUSED}
    assert closed == {"1": Outcome.CREATED, "2": Outcome.UNCONFIRMED, "3": Outcome.REFUSED}


def test_people_whose_request_is_not_answered_yet_have_no_ending() -> None:
    people = {"1": Sent(1, 1), "2": Sent(2, 2), "3": Sent(3, 3)}
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
    planned = {decision: count for decision, count in decisions.items() if decision is not Decision.SEND}
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
        at=st.datetimes(timezones=st.just(UTC)),
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


def test_one_change_speaks_for_both_runs_only_when_sharing() -> None:
    people, receipts = {"1": Sent(1, 1)}, {1: receipt()}

    def outcomes(*, sharing: bool, at: int = 10) -> list[Outcome]:
        events = [change("a", at)]
        found = endings(people, receipts, events, closing=False, foreign={f"a-{at}"}, sharing=sharing)
        return [ending.outcome for ending in found]

    assert outcomes(sharing=False) == [Outcome.WAITING]
    assert outcomes(sharing=True) == [Outcome.UPDATED]
    # Within the seconds in which the clocks cannot tell, it may have been the other run's alone.
    assert outcomes(sharing=True, at=3) == [Outcome.WAITING]


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


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-24T12:00:00Z",
        "2026-11-24T12:00:00.0000000Z",
        "2026-11-24T13:00:00+01:00",
        "2026-11-24T12:00:00",
        "2026-11-24T12:00:00.000Z",
    ],
)
def test_times_are_read_however_graph_writes_them(time: str) -> None:
    found = parse_event(_item(activityDateTime=time))
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
    assert failed is not None and skipped is not None
    assert (failed.code, failed.reason, failed.advice) == ("X", "why", "what")
    assert skipped.code == "RedundantExport"


def test_the_log_is_read_from_the_first_request_on_and_later_with_an_overlap() -> None:
    receipts = {1: receipt(at=NOON), 2: receipt(2, at=NOON + timedelta(minutes=5)), 3: receipt(3, at=NOON, lost=True)}
    later = NOON + timedelta(hours=5)
    assert poll_from({}, None, closing=False) is None
    assert poll_from({3: receipts[3]}, None, closing=False) is None
    assert poll_from(receipts, None, closing=False) == NOON
    assert poll_from(receipts, NOON + timedelta(minutes=9), closing=False) == NOON
    assert poll_from(receipts, later, closing=False) == later - OVERLAP
    # What came later than any overlap is found by the last poll.
    assert poll_from(receipts, later, closing=True) == NOON


def test_the_log_is_silent_since_its_last_word_on_the_run() -> None:
    later = NOON + timedelta(minutes=5)
    heard = [Ending(row=1, external_id="1", outcome=Outcome.CREATED, at=later)]
    assert (quiet_since(NOON, []), quiet_since(NOON, heard)) == (NOON, later)
