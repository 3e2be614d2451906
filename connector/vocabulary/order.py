"""Newest wins: drops of a feed take effect in the order in which they landed, and so do their runs' ids sort."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from connector.vocabulary.run import Drop, State

RunKey = tuple[str, str]
"""A run by its feed and id."""


def in_order_of_landing(drops: Mapping[RunKey, Drop]) -> Iterator[tuple[RunKey, Drop]]:
    """Of all feeds; those that landed in the same second by their names."""
    return iter(sorted(drops.items(), key=lambda item: (item[1].landed, item[0])))


def is_overtaken(key: RunKey, states: Mapping[RunKey, State]) -> bool:
    """Whether a later drop of the run's feed was planned: what was rejected then stays so."""
    return any(feed == key[0] and run > key[1] and state is not State.REJECTED for (feed, run), state in states.items())


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


def earlier_runs(key: RunKey, runs: Iterable[RunKey]) -> list[RunKey]:
    """The runs of the same feed whose drops landed before, the latest first."""
    return sorted((other for other in runs if other[0] == key[0] and other[1] < key[1]), reverse=True)
