"""Of people who are in several open runs, which run each event is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from connector.reporting.outcomes import owners
from connector.reporting.run_so_far import RunSoFar
from connector.vocabulary.event import Event


def share_out(runs: Sequence[RunSoFar]) -> None:
    """Of people who are in several open runs, gives each event to the run that it is about."""
    counts = Counter(person for opened in runs for person in opened.people)
    events: dict[str, dict[str, Event]] = {}
    for opened in runs:
        for event in opened.events.values():
            if counts[event.person] > 1 or opened.claimed:
                events.setdefault(event.person, {})[event.id] = event
    foreign: dict[int, set[str]] = {
        index: set(opened.claimed & opened.events.keys()) for index, opened in enumerate(runs)
    }
    claimed: set[str] = set().union(*(opened.claimed for opened in runs))
    for person, found in events.items():
        sent = sorted((at, index) for index, opened in enumerate(runs) if (at := opened.accepted(person)))
        mine = owners([at for at, _ in sent], (event for event in found.values() if event.id not in claimed))
        for event_id, owner in mine.items():
            for position, (_, index) in enumerate(sent):
                if position != owner and event_id in runs[index].events:
                    foreign[index].add(event_id)
    for index, opened in enumerate(runs):
        opened.fresh = opened.fresh or opened.foreign != foreign[index]
        opened.foreign = foreign[index]
