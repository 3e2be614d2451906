"""The two stories, readable from top to bottom: a drop has landed, and the timer ticks.

State is in storage, every step can be repeated, and ticks alone would bring everything home.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress

from connector.outside import telemetry
from connector.outside.graph import Graph
from connector.outside.keys import Secrets
from connector.outside.settings import Settings
from connector.outside.store import Store
from connector.planning.feeds import Feeds
from connector.planning.planner import Planner
from connector.planning.spool_writer import SPOOLERS
from connector.planning.sweep import Sweep, passed_over
from connector.planning.turns import TURNS, Turns
from connector.reporting.publisher import Publisher
from connector.reporting.summary_file import parse_summary
from connector.sending.drain import Drained
from connector.sending.uplink import Uplink
from connector.settling.settler import Settler
from connector.vocabulary.clock import Clock
from connector.vocabulary.errors import Retryable, StateUnusable, Stopped, StorageDown, Unusable
from connector.vocabulary.order import RunKey
from connector.vocabulary.run import Obstacle, ProblemCode, Run, Unplanned
from connector.vocabulary.summary import Summary
from connector.watching.feed_status import FeedStatus

log = logging.getLogger(__name__)


class Pipeline:
    """Everything that the two functions and the command line do.

    With one spooler and a seeded source of jitter, the same answers from outside make the same calls in the same order.
    """

    def __init__(
        self,
        store: Store,
        graph: Graph,
        clock: Clock,
        settings: Settings,
        *,
        secrets: Secrets | None = None,
        spoolers: int = SPOOLERS,
        random_source: random.Random | None = None,
        turns: Turns = TURNS,
        poison: Callable[[], int | None] = lambda: None,
        examine: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        random_source = random_source or random.Random()
        self._store = store
        self._clock = clock
        self._examine = examine
        self._feeds = Feeds(store, settings)
        self._publisher = Publisher(store)
        self._planner = Planner(
            store,
            self._feeds,
            clock,
            publisher=self._publisher,
            secrets=secrets,
            spoolers=spoolers,
            turns=turns,
            max_rows=settings.max_rows,
        )
        self._settler = Settler(store, graph, clock, settings, publisher=self._publisher, random_source=random_source)
        self._uplink = Uplink(
            store,
            graph,
            clock,
            settings,
            upload_path=self._upload_path,
            respool=self._planner.respool,
            publisher=self._publisher,
            random_source=random_source,
        )
        self._feed_status = FeedStatus(store, graph, clock, settings, feeds=self._feeds, poison=poison)
        self._sweep = Sweep(
            store,
            self._feeds,
            clock,
            planner=self._planner,
            time_limit=settings.plan_time_limit,
            arrival_time=settings.arrival_time,
        )
        self._began = clock.monotonic()

    @property
    def unplanned(self) -> tuple[Unplanned, ...]:
        """What the last sweep found in the inbox and passed over, by feed."""
        return self._sweep.unplanned

    async def on_drop(self, path: str) -> None:
        """A blob has landed at `<feed>/<name>`: plans it and what of its feed was left before it, then sends.

        An unusable file is a rejected run, and no exception. Raises Retryable or Stopped for what a retry may mend.
        """
        self._began = self._clock.monotonic()
        found = await asyncio.to_thread(self._store.drop, path)
        if found is None:
            # Deleted or renamed since; what replaced it has an event of its own.
            log.info("drop is gone")
            return
        if isinstance(found, Obstacle):
            passed_over(path.partition("/")[0] if found is Obstacle.FOLDER else "", found)
            return
        drop = found.drop
        await self._planned(lambda: self._sweep.plan_what_landed(drop))
        problem = (await self._drained()).problem
        if problem is not None and problem.code is ProblemCode.OUTAGE:
            # The host tries the event again, and shows that something is down; a tick would come home all the same.
            raise Retryable(problem.message)
        for error in self._sweep.errors:
            # Nothing else is mended by another event.
            if isinstance(error, Retryable | Stopped):
                raise error

    async def on_tick(self) -> list[Summary]:
        """Settle, drain, sweep, and drain again what the sweep has planned; last, and alone, what an attempt died of.

        Gives the summaries of the runs that moved or are still open. A step that fails does not keep the next from
        trying; the first error is raised at the end.
        """
        self._began = self._clock.monotonic()
        touched: dict[tuple[str, str], None] = {}
        errors: list[Exception] = []

        async def step(does: Callable[[], Awaitable[Iterable[RunKey]]]) -> bool:
            """Whether it did something."""
            try:
                keys = list(await does())
            except StorageDown:
                # Every other step would only wait for the same answer.
                raise
            except Exception as error:
                word = does.__name__.strip("_")
                log.error("step failed", extra={"step": word, "feed": "", "run": "", "error": type(error).__name__})
                errors.append(error)
                return False
            touched.update(dict.fromkeys(keys))
            return bool(keys)

        await step(self._settle)
        errors += self._settler.errors
        await step(self._drain)
        if await step(self._plan_what_landed):
            await step(self._drain)
        errors += self._sweep.errors
        for drop in (drop for unplanned in self.unplanned for drop in unplanned.waiting):
            log.warning("marker missing", extra={"feed": drop.feed, "run": drop.run_id})
        await step(self._watch)
        if await step(self._plan_alone):
            await step(self._drain)
        if errors:
            raise errors[0]
        return [s for key in touched if (s := await asyncio.to_thread(self._summary, *key))]

    async def _watch(self) -> list[RunKey]:
        if telemetry.active():
            await self._feed_status.report_status()
        if self._examine is not None:
            await self._examine()
        return []

    async def _plan_what_landed(self) -> list[RunKey]:
        return await self._planned(self._sweep.plan_what_landed)

    async def _plan_alone(self) -> list[RunKey]:
        return await self._planned(self._sweep.plan_alone)

    async def _planned(self, runs: Callable[[], Iterator[Run]]) -> list[RunKey]:
        try:
            return await asyncio.to_thread(lambda: [(run.feed, run.id) for run in runs()])
        except asyncio.CancelledError:
            # A thread cannot be cancelled: it is asked.
            self._planner.end()
            raise

    async def _drain(self) -> list[RunKey]:
        return sorted((await self._drained()).runs)

    async def _drained(self) -> Drained:
        drained = await self._uplink.drain(self._began)
        for feed, run_id in sorted(drained.runs):
            try:
                found = await asyncio.to_thread(self._store.run, feed, run_id)
                if found is not None and not found[0].state.final:
                    await asyncio.to_thread(self._publisher.publish, found[0])
            except StorageDown:
                raise
            except Exception as error:
                log.error(
                    "step failed",
                    extra={"step": "publish", "feed": feed, "run": run_id, "error": type(error).__name__},
                )
        if drained.problem:
            log.info("sending paused", extra={"code": drained.problem.code})
        return drained

    async def _settle(self) -> list[RunKey]:
        return [(run.feed, run.id) for run in await self._settler.settle()]

    def _upload_path(self, run: Run) -> str:
        return self._feeds.load(run.feed)[0].feed.endpoint.upload_path

    def _summary(self, feed: str, run_id: str) -> Summary | None:
        found = self._store.summary(feed, f"{run_id}.json")
        if found is None:
            return None
        try:
            return parse_summary(found[0])
        except Unusable:
            # It tells nothing but what the run's state does: it is made anew.
            with suppress(StateUnusable):
                run = self._store.run(feed, run_id)
                return self._publisher.publish(run[0]) if run else None
            return None
