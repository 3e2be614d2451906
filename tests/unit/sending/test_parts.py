"""A body that Entra refuses, halved until it is known whom it means: nobody is lost or sent twice for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.outside.graph import Accepted
from connector.sending.parts import Parts, intact
from connector.vocabulary.bulk_request import bulk_body, digest, operation
from connector.vocabulary.errors import Refused
from connector.vocabulary.run import Receipt, Refusal

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def record(person: str) -> bytes:
    return orjson.dumps({"externalId": person, "displayName": f"Person {person}"})


def body_of(people: Sequence[str]) -> bytes:
    return bulk_body([operation(person, record(person)) for person in people])


def people_of(body: bytes) -> list[str]:
    return [operation["data"]["externalId"] for operation in orjson.loads(body)["Operations"]]


def accepted(second: int, request_id: str = "") -> Accepted:
    return Accepted(at=NOON + timedelta(seconds=second), request_id=request_id)


def refused(person: str) -> Refused:
    return Refused("BadRequest", f"{person} is bad")


def refusal(person: str) -> Refusal:
    return Refusal(external_id=person, code="BadRequest", message=f"{person} is bad")


def send(parts: Parts, bad: Collection[str], calls: int = 1000) -> list[list[str]]:
    """Answers for Entra, which refuses a body for its first bad person; gives what each call carried."""
    sent: list[list[str]] = []
    while parts.left and len(sent) < calls:
        people = people_of(parts.next_body())
        sent.append(people)
        blamed = next((person for person in people if person in bad), None)
        if blamed is None:
            parts.accept(accepted(len(sent), f"id-{'-'.join(people)}"))
        else:
            parts.refuse(refused(blamed))
    return sent


def test_a_body_is_sent_byte_for_byte_as_it_was_spooled() -> None:
    # Spaces that nobody would write anew.
    body = body_of(["1", "2"]).replace(b",", b" , ")
    parts = Parts(body, None)
    assert (parts.next_body(), parts.answered) == (body, False)
    parts.accept(accepted(5, "r1"))
    assert (parts.left, parts.answered) == ([], True)
    assert parts.receipt(3, 2, NOON) == Receipt(
        request=3, accepted=NOON + timedelta(seconds=5), people=2, request_ids=("r1",)
    )


def test_a_body_that_is_refused_is_halved_and_its_first_half_goes_first() -> None:
    parts = Parts(body_of(["1", "2", "3", "4", "5"]), None)
    assert send(parts, bad={"4"}) == [
        ["1", "2", "3", "4", "5"],
        ["1", "2"],
        ["3", "4", "5"],
        ["3"],
        ["4", "5"],
        ["4"],
        ["5"],
    ]
    assert parts.receipt(1, 5, NOON) == Receipt(
        request=1,
        accepted=NOON + timedelta(seconds=2),
        people=5,
        request_ids=("id-1-2", "id-3", "id-5"),
        refusals=(refusal("4"),),
    )


def test_a_half_is_a_body_as_the_plan_would_have_made_it() -> None:
    parts = Parts(body_of(["1", "2", "3"]), None)
    parts.refuse(refused("1"))
    assert parts.next_body() == body_of(["1"])
    parts.accept(accepted(1))
    assert parts.next_body() == body_of(["2", "3"])


def test_a_body_of_one_is_refused_at_once() -> None:
    parts = Parts(body_of(["1"]), None)
    parts.refuse(refused("1"))
    assert (parts.left, parts.answered) == ([], True)
    # Nobody was accepted, so the time is that of the receipt.
    assert parts.receipt(1, 1, NOON) == Receipt(request=1, accepted=NOON, people=1, refusals=(refusal("1"),))


@given(st.lists(st.booleans(), min_size=1, max_size=50), st.integers(0, 120))
def test_whoever_is_bad_and_wherever_sending_ends_everybody_is_answered_once(bad: list[bool], calls: int) -> None:
    people = [str(number) for number in range(1, len(bad) + 1)]
    blamed = {person for person, is_bad in zip(people, bad, strict=True) if is_bad}
    body = body_of(people)
    first = Parts(body, None)
    sent = send(first, blamed, calls)
    begun = None
    if first.left and first.answered:
        begun = first.receipt(1, len(people), NOON)
        assert (begun.final, [person for part in begun.unsent for person in part]) == (
            False,
            [person for part in first.left for person in people_of(bulk_body([orjson.dumps(o) for o in part or ()]))],
        )
    second = Parts(body, begun) if first.left else first
    sent += send(second, blamed)
    receipt = second.receipt(1, len(people), NOON)
    assert (receipt.final, sorted((r.external_id for r in receipt.refusals), key=int)) == (
        True,
        [person for person in people if person in blamed],
    )
    arrived = [person for part in sent if not blamed.intersection(part) for person in part]
    assert arrived == [person for person in people if person not in blamed]
    # Halving: at most two calls for each time that a part with a bad person is halved.
    assert len(sent) <= 1 + 2 * 6 * max(1, len(blamed))


def test_sending_in_parts_goes_on_where_it_ended_and_its_receipt_has_both_halves() -> None:
    body = body_of(["1", "2", "3", "4"])
    first = Parts(body, None)
    assert send(first, bad={"1"}, calls=4) == [["1", "2", "3", "4"], ["1", "2"], ["1"], ["2"]]
    begun = first.receipt(1, 4, NOON)
    assert begun == Receipt(
        request=1,
        accepted=NOON + timedelta(seconds=4),
        people=4,
        request_ids=("id-2",),
        refusals=(refusal("1"),),
        unsent=(("3", "4"),),
    )
    second = Parts(body, begun)
    # Nothing new was answered yet: there is nothing new to keep.
    assert second.answered is False
    assert send(second, bad={"3"}) == [["3", "4"], ["3"], ["4"]]
    assert second.receipt(1, 4, NOON) == Receipt(
        request=1,
        accepted=NOON + timedelta(seconds=3),
        people=4,
        request_ids=("id-2", "id-4"),
        refusals=(refusal("1"), refusal("3")),
    )


def test_what_was_accepted_before_counts_from_then() -> None:
    begun = Receipt(request=1, accepted=NOON, people=2, unsent=(("2",),))
    parts = Parts(body_of(["1", "2"]), begun)
    parts.accept(accepted(60))
    assert parts.receipt(1, 2, NOON + timedelta(hours=1)) == Receipt(request=1, accepted=NOON, people=2)


def test_a_body_is_intact_by_its_own_digest_or_by_those_of_its_records() -> None:
    body = body_of(["1", "2"])
    records = digest(record("1")) + digest(record("2"))
    assert (intact(body, digest(body)), intact(body, records)) == (True, True)
    # Where neither is known any more, there is nothing to compare.
    assert intact(body, "") is True
    assert (intact(body_of(["2", "1"]), digest(body)), intact(body_of(["2", "1"]), records)) == (False, False)
    assert (intact(body_of(["1"]), records), intact(body + b" ", digest(body))) == (False, False)


@pytest.mark.parametrize(
    "body",
    [b"", b'{"Operations":', b"{}", b"[]", b"7", b'{"Operations":7}', b'{"Operations":[7]}', b'{"Operations":[{}]}'],
)
@pytest.mark.parametrize("expected", [digest(b"a body"), "x"])
def test_what_is_no_body_is_not_intact(body: bytes, expected: Any) -> None:
    assert intact(body, expected) is False
