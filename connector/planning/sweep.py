"""Finds the drops that have no plan yet: a lost event loses nothing. Each is an island: none keeps another waiting."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from connector.feed.files import Files
from connector.outside.run_index import Index, Newest
from connector.outside.store import Store
from connector.planning.arrival import Arrival
from connector.planning.feeds import Feeds
from connector.planning.planner import Interrupted, Planner, TryAlone
from connector.vocabulary.clock import Clock
from connector.vocabulary.errors import DropRefused, StateUnusable, StorageDown
from connector.vocabulary.inbox import InboxBlob, readable
from connector.vocabulary.order import RunKey, in_order_of_landing
from connector.vocabulary.run import Drop, Obstacle, Run, State, Unplanned

log = logging.getLogger(__name__)

MARKER_OVERDUE = timedelta(days=1)
"""How long a drop may wait for the marker that makes it ready before that is reported."""
REPAIR_EVERY = timedelta(days=1)
"""How often all runs are listed, for what the index has lost."""
STILL_SPEAKING = timedelta(minutes=1)
"""So long after a run has settled the log's events may still be about it."""


class Sweep:
    """Looks through the inbox. `unplanned` is what the last look of all feeds found there that is no drop, by feed.

    `time_limit` is PLAN_TIME_LIMIT, of each look and of each drop that is tried alone, `arrival_time` ARRIVAL_TIME.
    """

    def __init__(
        self,
        store: Store,
        feeds: Feeds,
        clock: Clock,
        *,
        planner: Planner,
        time_limit: timedelta,
        arrival_time: timedelta,
    ) -> None:
        self._store = store
        self._feeds = feeds
        self._clock = clock
        self._planner = planner
        self._time_limit = time_limit.total_seconds()
        self._arrival_time = arrival_time
        self._to_try_alone: dict[RunKey, tuple[int, Drop]] = {}
        self._beside: dict[RunKey, tuple[str, ...]] = {}
        self.unplanned: tuple[Unplanned, ...] = ()
        self.errors: list[Exception] = []

    def plan_what_landed(self, only: Drop | None = None) -> Iterator[Run]:
        """Every drop without a run gets one, in the order in which they landed; unfinished plans are finished.

        With `only`, whose event has come, no more than that drop and what of its feed landed before it. What an earlier
        attempt has died of is left for `plan_alone`. `errors` are what kept drops from being planned; StorageDown and
        Interrupted are raised, since they concern all.
        """
        self.errors = []
        self._to_try_alone = {}
        index = self._store.index.read()
        if only is None and self._repair_is_due(index):
            with self._own_trouble("index"):
                index = self._repair(index)
        landed = self._landed(index, only)
        drops = {(drop.feed, drop.run_id): drop for drop in landed}
        for key, state in index.open.items():
            mine = only is None or key[0] == only.feed
            if mine and state in {State.PLANNING, None} and key not in drops:
                with self._own_trouble("plan", *key):
                    if found := self._without_a_blob(key):
                        drops[key] = found
        until = self._clock.monotonic() + self._time_limit
        states = index.states()
        for key, drop in in_order_of_landing(drops):
            if only is not None and drop.landed > only.landed:
                break
            if self._clock.monotonic() > until:
                log.warning("sweep out of time")
                break
            if key in states and states[key] is not State.PLANNING and not self._reopened(key, index):
                continue
            self._beside[key] = self._still_speaking(key, index)
            yield from self._planned(key, drop, until=until, alone=False)
        if only is None:
            self._forget(index, landed)

    def plan_alone(self) -> Iterator[Run]:
        """One after the other, those that an attempt has died of: whoever comes home, has come home before this.

        The fewest attempts first, so that none that always dies keeps another from its turn.
        """
        begun = self._clock.monotonic()
        in_turn = sorted(self._to_try_alone.items(), key=lambda item: (item[1][0], item[1][1].landed))
        for position, (key, (_, drop)) in enumerate(in_turn):
            now = self._clock.monotonic()
            # So that a tick has an end: the rest has its turn at the next.
            if position and now > begun + self._time_limit / 10:
                break
            yield from self._planned(key, drop, until=now + self._time_limit, alone=True)

    def _planned(self, key: RunKey, drop: Drop, *, until: float, alone: bool) -> Iterator[Run]:
        extra = {"feed": drop.feed, "run": drop.run_id}
        try:
            run = self._planner.plan(drop, beside=self._beside.get(key, ()), until=until, alone=alone)
        except TryAlone as error:
            self._to_try_alone[key] = error.alone, drop
        except (StorageDown, Interrupted):
            raise
        except StateUnusable as error:
            log.error("run is damaged", extra=extra)
            self.errors.append(error)
        except DropRefused as error:
            # Its summary says what to do. That is no failure of ours, and no retry of the host's would help.
            log.warning("planning failed", extra={**extra, "error": type(error).__name__})
        except Exception as error:
            log.warning("planning failed", extra={**extra, "error": type(error).__name__})
            self.errors.append(error)
        else:
            if run is not None:
                yield run

    def _reopened(self, key: RunKey, index: Index) -> bool:
        ended = index.ended.get(key)
        if ended is None or ended.state is not State.REJECTED or key in index.open or index.is_overtaken(key):
            return False
        with self._own_trouble("plan", *key):
            return self._planner.reopen(*key)
        return False

    @contextmanager
    def _own_trouble(self, step: str, feed: str = "", run: str = "") -> Iterator[None]:
        """Whatever goes wrong in the block concerns that run or feed: it is said, and the sweep goes on."""
        try:
            yield
        except StorageDown:
            raise
        except Exception as error:
            log.error("step failed", extra={"step": step, "feed": feed, "run": run, "error": type(error).__name__})
            self.errors.append(error)

    def _without_a_blob(self, key: RunKey) -> Drop | None:
        """Of a run that is being planned, or of which nobody knows: its blob was deleted or replaced meanwhile.

        Planning finds that out, and says it.
        """
        try:
            found = self._store.run(*key)
        except StateUnusable as error:
            log.error("run is damaged", extra={"feed": key[0], "run": key[1]})
            self.errors.append(error)
            self._planner.say_damaged(key, error)
            return None
        if found is None:
            # A process died between the two, and its drop is gone; or somebody has deleted the run.
            self._store.index.close(key)
            return None
        return found[0].drop

    def _still_speaking(self, key: RunKey, index: Index) -> tuple[str, ...]:
        """The feed's earlier runs that are open, or were a minute ago."""
        since = self._clock.now() - STILL_SPEAKING
        recent = (other for other, ended in index.ended.items() if ended.at >= since)
        return tuple(sorted({run for feed, run in (*index.open, *recent) if feed == key[0] and run < key[1]}))

    def _landed(self, index: Index, only: Drop | None) -> list[Drop]:
        """The blobs that are drops by their feed's `files:` rules, have arrived, and have their marker where they need
        one.

        Beside them, by feed, what is none.
        """
        arrival = Arrival(
            still_for=self._arrival_time,
            hierarchical=self._store.hierarchical,
            completed=only.path if only else "",
        )
        by_feed: dict[str, list[InboxBlob]] = {}
        for found in self._store.drops(only.feed if only else None):
            by_feed.setdefault(found.drop.feed, []).append(found)
        drops: list[Drop] = []
        unplanned: list[Unplanned] = []
        for feed, blobs in sorted(by_feed.items()):
            if feed and not feed[0].isalnum():
                # Such names are the connector's own among the runs.
                log.info("blobs ignored", extra={"feed": feed, "blobs": len(blobs)})
                unplanned.append(Unplanned(feed=feed, ignored=len(blobs)))
                continue
            files: Files | None = None
            with self._own_trouble("feed file", feed):
                files = self._feeds.files(feed, index.good.get(feed, "")) if feed else Files()
            if files is None:
                continue
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
                    known = (feed, blob.run_id) in index.open or (feed, blob.run_id) in index.ended
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
        if only is None:
            self.unplanned = tuple(unplanned)
        return drops

    def _forget(self, index: Index, landed: Iterable[Drop]) -> None:
        """Of what has ended, only what lies in the inbox is of interest."""
        there = {(drop.feed, drop.run_id) for drop in landed}
        for key, ended in index.ended.items():
            if key not in there and self._clock.now() - ended.at > STILL_SPEAKING:
                with self._own_trouble("index", *key):
                    self._store.index.forget(key)

    def _repair_is_due(self, index: Index) -> bool:
        return index.repaired is None or self._clock.now() - index.repaired > REPAIR_EVERY

    def _repair(self, index: Index) -> Index:
        """Lists all runs, and enters those that the index lacks: of another version, or half made when it died."""
        lost = 0
        newest: dict[str, Newest] = {}
        for key, entry in self._store.overview().items():
            feed, run_id = key
            known = newest.get(feed, Newest())
            planned = run_id if entry.state not in {State.REJECTED, State.PLANNING, None} else ""
            newest[feed] = Newest(max(known.landed, run_id), max(known.planned, planned))
            if key not in index.open and (entry.state is None or not entry.state.final):
                self._store.index.note_lost(key, entry.state)
                lost += 1
        for feed, found in newest.items():
            if index.newest.get(feed) != found:
                self._store.index.remember(feed, found)
        self._store.index.mark_repaired()
        if lost:
            log.warning("index repaired", extra={"runs": lost})
        return self._store.index.read()


def passed_over(feed: str, obstacle: Obstacle, blobs: int = 1) -> None:
    """Says in the log that these blobs are not planned, and why."""
    level = logging.INFO if obstacle.passes else logging.WARNING
    log.log(level, "blobs passed over", extra={"feed": feed, "code": obstacle.value, "blobs": blobs})
