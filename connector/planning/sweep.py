"""Finds the drops that have no plan yet: a lost event loses nothing."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from connector.feed.files import Files
from connector.outside.store import Store
from connector.planning.arrival import Arrival
from connector.planning.feeds import Feeds
from connector.planning.planner import Planner
from connector.vocabulary.clock import Clock
from connector.vocabulary.errors import ConnectorError, StorageDown, Unusable
from connector.vocabulary.inbox import InboxBlob, readable
from connector.vocabulary.order import RunKey, in_order_of_landing, is_overtaken
from connector.vocabulary.run import Drop, Obstacle, Run, State, Unplanned

log = logging.getLogger(__name__)

MARKER_OVERDUE = timedelta(days=1)
"""How long a drop may wait for the marker that makes it ready before that is reported."""


class Sweep:
    """Looks through the inbox. `unplanned` is what the last look of all feeds found there that is no drop, by feed."""

    def __init__(self, store: Store, feeds: Feeds, clock: Clock, *, planner: Planner, arrival_time: timedelta) -> None:
        self._store = store
        self._feeds = feeds
        self._clock = clock
        self._planner = planner
        self._arrival_time = arrival_time
        self.unplanned: tuple[Unplanned, ...] = ()

    def plan_what_landed(self, only: str | None = None, completed: str = "") -> list[Run]:
        """Every drop without a run gets one, in the order in which they landed; unfinished plans are finished.

        `completed` is the path whose event has come.
        """
        states = {key: entry.state for key, entry in self._store.overview().items() if entry.state}
        landed, self.unplanned = self._landed(only, completed, states)
        drops = {(drop.feed, drop.run_id): drop for drop in landed}
        for (feed, run_id), state in states.items():
            if state is State.PLANNING and (only is None or feed == only) and (feed, run_id) not in drops:
                # Its blob was deleted or replaced meanwhile, which planning finds out and says.
                found = self._store.run(feed, run_id)
                if found is not None:
                    drops[feed, run_id] = found[0].drop
        planned: list[Run] = []
        errors: list[ConnectorError] = []
        for key, drop in in_order_of_landing(drops):
            try:
                if self._to_be_planned(key, states):
                    run = self._planner.plan(drop)
                    if run is not None:
                        planned.append(run)
            except Unusable as error:
                log.error("run is damaged", extra={"feed": drop.feed, "run": drop.run_id})
                errors.append(error)
            except StorageDown:
                raise
            except ConnectorError as error:
                log.warning(
                    "planning failed",
                    extra={"feed": drop.feed, "run": drop.run_id, "error": type(error).__name__},
                )
                errors.append(error)
        if errors:
            raise errors[0]
        return planned

    def _landed(
        self, only: str | None, completed: str, states: Mapping[RunKey, State]
    ) -> tuple[list[Drop], tuple[Unplanned, ...]]:
        """The blobs that are drops by their feed's `files:` rules, have arrived, and have their marker where they need
        one. Beside them, by feed, what is none.
        """
        arrival = Arrival(still_for=self._arrival_time, hierarchical=self._store.hierarchical, completed=completed)
        by_feed: dict[str, list[InboxBlob]] = {}
        for found in self._store.drops(only):
            by_feed.setdefault(found.drop.feed, []).append(found)
        drops: list[Drop] = []
        unplanned: list[Unplanned] = []
        for feed, blobs in sorted(by_feed.items()):
            files = self._feeds.files(feed) if feed else Files()
            names = {found.drop.name for found in blobs}
            ignored = 0
            overdue: list[Drop] = []
            obstacles: Counter[Obstacle] = Counter()
            for found in blobs:
                blob = found.drop
                marker = files.marker_of(blob.name)
                if files.drop_of(blob.name) is not None:
                    continue
                if not files.is_drop(blob.name):
                    ignored += 1
                elif not feed:
                    obstacles[Obstacle.NO_FEED if readable(blob.name) else Obstacle.NAME] += 1
                elif marker is None or marker in names:
                    # What has a run was a drop: it may be archived, or be written to, afterwards.
                    known = (feed, blob.run_id) in states
                    if obstacle := None if known else arrival.obstacle(found, self._clock.now(), marker):
                        obstacles[obstacle] += 1
                    else:
                        drops.append(blob)
                elif self._clock.now() - blob.landed > MARKER_OVERDUE:
                    overdue.append(blob)
            if ignored:
                log.info("blobs ignored", extra={"feed": feed, "blobs": ignored})
            for obstacle, count in obstacles.items():
                passed_over(feed, obstacle, count)
            if ignored or overdue or obstacles:
                unplanned.append(Unplanned(feed=feed, ignored=ignored, waiting=tuple(overdue), obstacles=obstacles))
        return drops, tuple(unplanned)

    def _to_be_planned(self, key: RunKey, states: Mapping[RunKey, State]) -> bool:
        state = states.get(key)
        if state is None or state is State.PLANNING:
            return True
        return state is State.REJECTED and not is_overtaken(key, states) and self._planner.reopen(*key)


def passed_over(feed: str, obstacle: Obstacle, blobs: int = 1) -> None:
    """Says in the log that these blobs are not planned, and why."""
    level = logging.INFO if obstacle.passes else logging.WARNING
    log.log(level, "blobs passed over", extra={"feed": feed, "reason": obstacle.value, "blobs": blobs})
