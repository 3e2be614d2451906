"""The only sender: one drain at a time a tenant, arbitrated by the lease of the ledger."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

from connector.outside.blobs import LEASE_SECONDS, Lease
from connector.outside.graph import Graph
from connector.outside.settings import Settings
from connector.outside.store import Store
from connector.reporting.publisher import Publisher
from connector.sending.drain import Drain, Drained
from connector.sending.gate import Gate
from connector.sending.ledger import Ledger
from connector.sending.window import Window
from connector.vocabulary.clock import Clock
from connector.vocabulary.errors import Conflict, ConnectorError, StateUnusable
from connector.vocabulary.run import Run, State

log = logging.getLogger(__name__)


class Uplink:
    """Sends what the spools hold. `upload_path` and `respool` are as `Drain` takes them."""

    def __init__(
        self,
        store: Store,
        graph: Graph,
        clock: Clock,
        settings: Settings,
        *,
        upload_path: Callable[[Run], str],
        respool: Callable[[Run, list[int]], set[int]],
        publisher: Publisher,
        random_source: random.Random | None = None,
    ) -> None:
        self._store = store
        self._graph = graph
        self._clock = clock
        self._settings = settings
        self._new_drain = partial(
            Drain,
            store,
            graph,
            clock,
            upload_path=upload_path,
            respool=respool,
            publisher=publisher,
            random_source=random_source or random.Random(),
        )

    async def drain(self, began: float | None = None) -> Drained:
        """Sends until nothing is left, the time limit is near, or something stops it. One drain at a time a tenant.

        The limit counts from `began`, the monotonic time at which the invocation did; without it from now.
        """
        until = self._settings.send_time_limit.total_seconds() + (self._clock.monotonic() if began is None else began)
        index = await asyncio.to_thread(self._store.index.read)
        if State.SENDING not in index.open.values() or self._clock.monotonic() >= until:
            return Drained(frozenset())
        lease = await self._acquire()
        if lease is None:
            log.info("uplink is held by another instance")
            return Drained(frozenset())
        async with self._open_gate(lease, until) as gate:
            return await self._new_drain(lease=lease, gate=gate).drain()

    async def _acquire(self) -> Lease | None:
        """Waits as long as a killed holder's lease can last; who still holds it then is alive, and sends for us."""
        deadline = self._clock.monotonic() + LEASE_SECONDS + 5
        while True:
            try:
                return await asyncio.to_thread(self._store.lease_uplink)
            except Conflict:
                if self._clock.monotonic() >= deadline:
                    return None
            await self._clock.sleep(1.0)

    @asynccontextmanager
    async def _open_gate(self, lease: Lease, until: float) -> AsyncIterator[Gate]:
        data, age = await asyncio.to_thread(self._store.ledger)
        try:
            ledger = Ledger.parse(data)
        except StateUnusable:
            with suppress(ConnectorError):
                await asyncio.to_thread(lease.release)
            raise
        if ledger.ignored:
            log.warning("ledger damaged", extra={"ignored": ledger.ignored})
        window = Window(self._settings.send_limit)
        if age <= self._settings.send_limit.seconds + 1:
            # The last sender's final calls may still be in the server's window. Whatever their minutes say: as long as
            # Graph has not answered, no clock is known that they could be counted by.
            window.assume(sum(ledger.calls.values()), self._clock.monotonic())
        gate = Gate(
            self._store,
            self._graph,
            self._clock,
            self._settings,
            lease=lease,
            ledger=ledger,
            window=window,
            until=until,
        )
        try:
            yield gate
        finally:
            # A lease that is lost, or a storage that is down, ends the same way: the lease runs out by itself.
            with suppress(ConnectorError):
                await asyncio.shield(asyncio.to_thread(gate.close))
