"""Finds the drops that have no plan yet: a lost event loses nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

from connector.outside.store import Store
from connector.planning.feeds import Feeds
from connector.planning.planner import Planner
from connector.vocabulary.clock import Clock
from connector.vocabulary.errors import ConnectorError, StorageDown, Unusable
from connector.vocabulary.order import RunKey, in_order_of_landing, is_overtaken
from connector.vocabulary.run import Drop, Run, State, Unplanned

log = logging.getLogger(__name__)

MARKER_OVERDUE = timedelta(days=1)
"""How long a drop may wait for the marker that makes it ready before that is reported."""


class Sweep:
    """Looks through the inbox. `unplanned` is what the last look of all feeds found there that is no drop, by feed."""

    def __init__(self, store: Store, feeds: Feeds, clock: Clock, *, planner: Planner) -> None:
        self._store = store
        self._feeds = feeds
        self._clock = clock
        self._planner = planner
        self.unplanned: tuple[Unplanned, ...] = ()

    def plan_what_landed(self, only: str | None = None) -> list[Run]:
        """Every drop without a run gets one, in the order in which they landed; unfinished plans are finished."""
        states = {key: entry.state for key, entry in self._store.overview().items() if entry.state}
        landed, self.unplanned = self._landed(only)
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

    def _landed(self, only: str | None) -> tuple[list[Drop], tuple[Unplanned, ...]]:
        """The blobs that are drops by their feed's `files:` rules, and have their marker where they need one.

        Beside them, by feed, what is none.
        """
        by_feed: dict[str, list[Drop]] = {}
        for drop in self._store.drops(only):
            by_feed.setdefault(drop.feed, []).append(drop)
        drops: list[Drop] = []
        unplanned: list[Unplanned] = []
        for feed, blobs in sorted(by_feed.items()):
            files = self._feeds.files(feed)
            names = {blob.name for blob in blobs}
            ignored = 0
            overdue: list[Drop] = []
            for blob in blobs:
                marker = files.marker_of(blob.name)
                if files.drop_of(blob.name) is not None:
                    continue
                if not files.is_drop(blob.name):
                    ignored += 1
                elif marker is None or marker in names:
                    drops.append(blob)
                elif self._clock.now() - blob.landed > MARKER_OVERDUE:
                    overdue.append(blob)
            if ignored:
                log.info("blobs ignored", extra={"feed": feed, "blobs": ignored})
            if ignored or overdue:
                unplanned.append(Unplanned(feed=feed, ignored=ignored, waiting=tuple(overdue)))
        return drops, tuple(unplanned)

    def _to_be_planned(self, key: RunKey, states: Mapping[RunKey, State]) -> bool:
        state = states.get(key)
        if state is None or state is State.PLANNING:
            return True
        return state is State.REJECTED and not is_overtaken(key, states) and self._planner.reopen(*key)
