"""Writes the bodies of a run's bulk requests while the next rows are mapped."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from connector.outside import telemetry
from connector.outside.store import Store
from connector.vocabulary.bulk_request import BulkRequest
from connector.vocabulary.run import Run

# Spool blobs are written while the next rows are mapped; so many at once hide the storage account's latency.
SPOOLERS = 8


class SpoolWriter:
    """Writes bodies in the background, a bounded number at once: the faster side waits for the slower one."""

    def __init__(self, store: Store, run: Run, spoolers: int) -> None:
        self._store = store
        self._run = run
        self._most_pending = 2 * spoolers
        self._pool = ThreadPoolExecutor(spoolers, thread_name_prefix="spool")
        self._pending: deque[Future[None]] = deque()
        self._count = 0
        # Beside the span of the first pass, and not its parent: both are parts of planning.
        self._span = telemetry.begin("spool")

    def __enter__(self) -> SpoolWriter:
        return self

    def put(self, request: BulkRequest) -> None:
        """Raises what an earlier write raised."""
        self._count += 1
        if len(self._pending) >= self._most_pending:
            self._pending.popleft().result()
        self._pending.append(self._pool.submit(self._store.put_request, self._run, request.number, request.body))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
        self._span.set(requests=self._count)
        self._span.end(error)
        if kind is None:
            for write in self._pending:
                write.result()
