"""Newest wins: drops of a feed take effect in the order in which they landed, and so do their runs' ids sort."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from connector.vocabulary.run import Drop, State

RunKey = tuple[str, str]
"""A run by its feed and id."""


def in_order_of_landing(drops: Mapping[RunKey, Drop]) -> Iterator[tuple[RunKey, Drop]]:
    """Of all feeds; those that landed in the same second by their names."""
    return iter(sorted(drops.items(), key=lambda item: (item[1].landed, item[0])))


def next_to_send(states: Mapping[RunKey, State]) -> dict[str, str]:
    """Each feed's oldest run that is to be sent: none while an earlier drop is still being planned."""
    found: dict[str, str] = {}
    planning: set[str] = set()
    for (feed, run), state in sorted(states.items()):
        if state is State.PLANNING:
            planning.add(feed)
        elif state is State.SENDING and feed not in planning:
            found.setdefault(feed, run)
    return found


def landing(run_id: str) -> datetime | None:
    """When a run's drop landed, as its id says."""
    try:
        return datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
