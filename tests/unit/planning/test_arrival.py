"""Is this blob a drop yet?"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.planning.arrival import Arrival
from connector.vocabulary.inbox import InboxBlob, readable
from connector.vocabulary.run import Drop, Obstacle

LANDED = datetime(2026, 11, 29, 12, tzinfo=UTC)
DROP = Drop(feed="people", name="today.csv", etag="1", bytes=5, landed=LANDED)
MINUTE = timedelta(minutes=1)


def obstacle(
    *, after: float = 600.0, hierarchical: bool = False, completed: str = "", marker: str | None = None, **blob: Any
) -> Obstacle | None:
    """Of the drop, so many seconds after it landed, by the storage account's clock."""
    arrival = Arrival(still_for=MINUTE, hierarchical=lambda _: hierarchical, completed=completed)
    seen = LANDED + timedelta(seconds=after)
    # The instance's own clock is a day ahead: it must not matter.
    found: dict[str, Any] = {"drop": DROP, "seen": seen} | blob
    return arrival.obstacle(InboxBlob(**found), seen + timedelta(days=1), marker)


def test_a_blob_that_was_written_as_a_whole_is_a_drop_at_once() -> None:
    assert obstacle(after=0) is None


@pytest.mark.parametrize("kind", [{"grows": True}, {"hierarchical": True}], ids=["append blob", "hierarchical"])
def test_a_file_that_can_grow_is_a_drop_once_it_was_still_for_the_whole_time(kind: dict[str, Any]) -> None:
    found = [obstacle(after=after, **kind) for after in (0, 59, 60, 3600)]
    assert found == [Obstacle.ARRIVING, Obstacle.ARRIVING, None, None]


def test_the_event_of_a_file_or_of_its_marker_says_that_it_is_whole_and_no_other_event_does() -> None:
    events = ("people/today.csv", "people/today.csv.done", "people/other.csv", "other/today.csv", "")
    found = [obstacle(after=0, hierarchical=True, completed=path, marker="today.csv.done") for path in events]
    assert found == [None, None, *[Obstacle.ARRIVING] * 3]
    assert obstacle(after=0, hierarchical=True, completed="people/None") is Obstacle.ARRIVING


def test_no_event_says_that_an_append_blob_is_whole_nor_an_empty_file() -> None:
    empty = replace(DROP, bytes=0)
    assert obstacle(after=0, grows=True, completed="people/today.csv") is Obstacle.ARRIVING
    assert obstacle(after=0, hierarchical=True, drop=empty, completed="people/today.csv") is Obstacle.ARRIVING


def test_what_was_still_for_long_costs_no_question() -> None:
    def asked(_: Drop) -> bool:
        raise AssertionError("the account was asked")

    arrival = Arrival(still_for=MINUTE, hierarchical=asked)
    assert arrival.obstacle(InboxBlob(drop=DROP, seen=LANDED + MINUTE), LANDED) is None


def test_where_storage_does_not_say_what_time_it_is_the_instances_clock_counts() -> None:
    arrival = Arrival(still_for=MINUTE, hierarchical=lambda _: True)
    found = [arrival.obstacle(InboxBlob(drop=DROP), LANDED + timedelta(seconds=after)) for after in (59, 60)]
    assert found == [Obstacle.ARRIVING, None]


@pytest.mark.parametrize(
    ("blob", "found"),
    [
        ({"folder": True}, Obstacle.FOLDER),
        ({"copy": "pending"}, Obstacle.COPYING),
        ({"copy": "failed"}, Obstacle.COPY_FAILED),
        ({"copy": "aborted"}, Obstacle.COPY_FAILED),
        ({"copy": "success"}, None),
        ({"archived": True}, Obstacle.ARCHIVED),
        ({"archived": True, "rehydrating": True}, Obstacle.REHYDRATING),
        ({"drop": replace(DROP, name="a\x01.csv")}, Obstacle.NAME),
    ],
    ids=str,
)
def test_a_blob_that_cannot_be_read_yet_is_none(blob: dict[str, Any], found: Obstacle | None) -> None:
    assert obstacle(**blob) is found
    assert obstacle(**blob, completed="people/today.csv") is found


@pytest.mark.parametrize(
    "path",
    ["p/..", "p/../x", "../x", "./x", "p/./x", "p/.", "..", "p/a\x01", "p/a\nb", "p/\x7f", "p/\x85", "p/\ud800", "p/￿"],
)
def test_a_name_that_would_be_another_blobs_or_no_url_cannot_be_asked_for(path: str) -> None:
    assert not readable(path)


@pytest.mark.parametrize("path", ["p/x", "p/..x", "p/x..", "p/...", "p/a b", "p/é%2e%2e?#&+", "p/a\\b", "p//x"])
def test_an_odd_name_that_storage_takes_can(path: str) -> None:
    assert readable(path)
