"""The two stories, readable from top to bottom: a drop has landed, and the timer ticks.

State is in storage, every step can be repeated, and ticks alone would bring everything home.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from connector import telemetry
from connector.clock import Clock, SystemClock
from connector.errors import ConnectorError, Retryable, StorageDown, Unusable
from connector.examination import Examiner
from connector.facts import Observer
from connector.graph import Graph, TokenSource
from connector.planning import SPOOLERS, Planner
from connector.poison import poison_count
from connector.report import parse_summary
from connector.run import Aside, Drop, ProblemCode, Run, State, Summary
from connector.secrets import Secrets, vault_secrets
from connector.settings import Settings
from connector.settling import Settler
from connector.store import RunEntry, Store
from connector.uplink import Drained, Uplink

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

log = logging.getLogger(__name__)

MARKER_OVERDUE = timedelta(days=1)
"""How long a drop may wait for the marker that makes it ready before that is reported."""


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
        poison: Callable[[], int | None] = lambda: None,
        examine: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        random_source = random_source or random.Random()
        self._store = store
        self._clock = clock
        self._examine = examine
        self._planner = Planner(store, clock, settings, secrets=secrets, spoolers=spoolers)
        self._settler = Settler(store, graph, clock, settings, random_source=random_source)
        self._uplink = Uplink(
            store,
            graph,
            clock,
            settings,
            upload_path=self._upload_path,
            respool=self._planner.respool,
            publish=self._settler.publish,
            random_source=random_source,
        )
        self._observer = Observer(store, graph, clock, settings, feed=self._planner.feed, poison=poison)
        self._asides: tuple[Aside, ...] = ()

    @property
    def asides(self) -> tuple[Aside, ...]:
        """Of every feed, by name, what the last sweep found in the inbox and passed over."""
        return self._asides

    async def on_drop(self, path: str) -> None:
        """A blob has landed at `<feed>/<name>`: plans it and what of its feed was left before it, then sends.

        An unusable file is a rejected run, and no exception. Raises Retryable or Stopped for what a retry may mend.
        """
        drop = await asyncio.to_thread(self._store.drop, path)
        if drop is None:
            # Deleted or renamed since; what replaced it has an event of its own.
            log.info("drop is gone")
            return
        await asyncio.to_thread(self._sweep, drop.feed)
        problem = (await self._drained()).problem
        if problem is not None and problem.code is ProblemCode.OUTAGE:
            # The host tries the event again, and shows that something is down; a tick would come home all the same.
            raise Retryable(problem.message)

    async def on_tick(self) -> list[Summary]:
        """Sweep, drain, settle. Gives the summaries of the runs that moved or are still open.

        A part that fails does not keep the next from trying; the first error is raised at the end.
        """
        touched: dict[tuple[str, str], None] = {}
        errors: list[ConnectorError] = []
        try:
            for run in await asyncio.to_thread(self._sweep, None):
                touched[run.feed, run.id] = None
        except StorageDown:
            # Every other step would only wait for the same answer.
            raise
        except ConnectorError as error:
            errors.append(error)
        for drop in (drop for aside in self._asides for drop in aside.waiting):
            log.warning("marker missing", extra={"feed": drop.feed, "run": drop.run_id})
        for step in (self._drain, self._settle):
            try:
                for key in await step():
                    touched[key] = None
            except ConnectorError as error:
                errors.append(error)
        if telemetry.active():
            await self._observer.state()
        if self._examine is not None:
            await self._examine()
        if errors:
            raise errors[0]
        return [s for key in touched if (s := await asyncio.to_thread(self._summary, *key))]

    def _sweep(self, only: str | None) -> list[Run]:
        """Every drop without a run gets one, in the order in which they landed; unfinished plans are finished."""
        overview = self._store.overview()
        drops = {(drop.feed, drop.run_id): drop for drop in self._landed(only)}
        for (feed, run_id), entry in overview.items():
            if entry.state is State.PLANNING and (only is None or feed == only) and (feed, run_id) not in drops:
                # Its blob was deleted or replaced meanwhile, which planning finds out and says.
                found = self._store.run(feed, run_id)
                if found is not None:
                    drops[feed, run_id] = found[0].drop
        planned: list[Run] = []
        errors: list[ConnectorError] = []
        for key, drop in sorted(drops.items(), key=lambda item: (item[1].landed, item[0])):
            try:
                if self._to_be_planned(overview, key):
                    run = self._planner.plan(drop, self._settler.publish)
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

    def _landed(self, only: str | None) -> Iterator[Drop]:
        """The blobs that are drops by their feed's `files:` rules, and have their marker where they need one."""
        by_feed: dict[str, list[Drop]] = {}
        for drop in self._store.drops(only):
            by_feed.setdefault(drop.feed, []).append(drop)
        asides: list[Aside] = []
        for feed, blobs in sorted(by_feed.items()):
            files = self._planner.files(feed)
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
                    yield blob
                elif self._clock.now() - blob.landed > MARKER_OVERDUE:
                    overdue.append(blob)
            if ignored:
                log.info("blobs ignored", extra={"feed": feed, "blobs": ignored})
            if ignored or overdue:
                asides.append(Aside(feed=feed, ignored=ignored, waiting=tuple(overdue)))
        self._asides = tuple(asides)

    def _to_be_planned(self, overview: Mapping[tuple[str, str], RunEntry], key: tuple[str, str]) -> bool:
        entry = overview.get(key)
        if entry is None or entry.state is State.PLANNING:
            return True
        # Newest wins: what was rejected stays so once a later drop of the feed was planned.
        passed = any(
            feed == key[0] and run > key[1] and later.state is not State.REJECTED
            for (feed, run), later in overview.items()
        )
        return entry.state is State.REJECTED and not passed and self._planner.reopen(*key)

    async def _drain(self) -> list[tuple[str, str]]:
        return sorted((await self._drained()).runs)

    async def _drained(self) -> Drained:
        drained = await self._uplink.drain()
        for feed, run_id in sorted(drained.runs):
            found = await asyncio.to_thread(self._store.run, feed, run_id)
            if found is not None and not found[0].state.final:
                await asyncio.to_thread(self._settler.publish, found[0])
        if drained.problem:
            log.info("sending paused", extra={"code": drained.problem.code})
        return drained

    async def _settle(self) -> list[tuple[str, str]]:
        return [(run.feed, run.id) for run in await self._settler.settle()]

    def _upload_path(self, run: Run) -> str:
        return self._planner.feed(run.feed)[0].feed.endpoint.upload_path

    def _summary(self, feed: str, run_id: str) -> Summary | None:
        found = self._store.summary(feed, f"{run_id}.json")
        return parse_summary(found[0]) if found else None


@asynccontextmanager
async def connected(
    settings: Settings,
    *,
    credential: Callable[[str], TokenCredential],
    clock: Clock | None = None,
    examines: bool = False,
) -> AsyncIterator[Pipeline]:
    """A pipeline over the storage account and the Graph of the settings.

    `credential` makes the credential of a client id ("": the system-assigned identity), anew at every call. With
    `examines` a tick proves once a day, for the doctor, what that identity may; a connection string has none to prove.
    """
    clock = clock or SystemClock()
    storage = None if settings.connection_string else credential(settings.storage_client_id)
    store = Store.connect(settings, storage)
    tokens = TokenSource(lambda: credential(settings.graph_client_id), f"{settings.graph}/.default")
    graph = Graph(settings.graph, tokens, clock)
    try:
        secrets = vault_secrets(credential, settings.graph_client_id, files=bool(settings.connection_string))
        examine = None
        if examines and not settings.connection_string:
            feed = Planner(store, clock, settings).feed
            examiner = Examiner(store, graph, tokens, clock, settings, feed=feed, own=True, secrets=secrets)
            examine = examiner.examine_if_due
        yield Pipeline(
            store, graph, clock, settings, secrets=secrets, poison=poison_count(settings, storage), examine=examine
        )
    finally:
        await graph.close()


def managed_identity(client_id: str) -> TokenCredential:
    """The function app's identity."""
    from azure.identity import ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=client_id or None)


def developer_identity(client_id: str) -> TokenCredential:
    """On the command line: a managed identity where there is one, else the developer's own sign-in."""
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential(managed_identity_client_id=client_id or None)
