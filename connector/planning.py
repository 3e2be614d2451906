"""Plans a run: reads its drop twice, decides every row, and fills its spool. Nothing is sent before all is decided."""

from __future__ import annotations

import io
import logging
import re
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any, BinaryIO

from connector import telemetry
from connector.clock import Clock
from connector.errors import (
    Conflict,
    ConnectorError,
    DropUnusable,
    Fault,
    FeedUnusable,
    Retryable,
    Stopped,
    StorageDown,
    Unusable,
)
from connector.feed import Files, parse
from connector.mapping import BoundMapping, LoadedFeed, load_feed
from connector.plan import BulkRequest, last_rows, plan
from connector.readers import BadRow, ScimTable, Table, open_drop
from connector.run import Decision, Drop, PlannedRow, Problem, ProblemCode, Run, State, Times
from connector.secrets import Secrets, no_secrets
from connector.settings import Settings
from connector.store import LEASE_SECONDS, Lease, Store

log = logging.getLogger(__name__)

# Spool blobs are written while the next rows are mapped; so many at once hide the storage account's latency.
SPOOLERS = 8

NOTED_WARNINGS = 10

Publish = Callable[[Run], object]


class Planner:
    """Takes drops to `sending`, or to `rejected` with the reason."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        *,
        secrets: Secrets | None = None,
        spoolers: int = SPOOLERS,
    ) -> None:
        self._store = store
        self._secrets = secrets or no_secrets()
        self._clock = clock
        self._settings = settings
        self._spoolers = spoolers

    def feed(self, name: str) -> tuple[LoadedFeed, str]:
        """The feed's file, checked, and its ETag. Raises FeedUnusable."""
        found = self._store.feed_file(name)
        path = f"{self._settings.config}/feeds/{name}.yaml"
        if found is None:
            advice = "write one, or move the drop to the folder of a feed that has one"
            raise FeedUnusable(path, [Fault(message="the feed has no feed file", advice=advice)])
        text, etag = found
        return load_feed(text, name=path, files=self._beside, graph=self._settings.graph), etag

    def files(self, name: str) -> Files:
        """The feed's rules on which blobs are drops; the defaults while these cannot be made out.

        They count whatever else is wrong with the feed file, lest markers and what is to be ignored become runs.
        """
        found = self._store.feed_file(name)
        if found is None:
            return Files()
        try:
            return parse(found[0], name=name, graph=self._settings.graph).feed.files
        except FeedUnusable:
            return Files()

    def _beside(self, name: str) -> bytes:
        """A file beside the feed files, such as a lookup table."""
        data = self._store.config_file(f"feeds/{name}")
        if data is None:
            raise FileNotFoundError(name)
        return data

    def plan(self, drop: Drop, publish: Publish) -> Run | None:
        """The run of a drop, planned; None when another instance has it in hand, or did it already.

        Raises Retryable and Stopped; Unusable becomes the run's state.
        """
        self._store.create_run(Run(drop=drop, times=Times(landed=drop.landed)))
        try:
            lease = self._store.lease_run(drop)
        except Conflict:
            return None
        with _kept(lease):
            found = self._store.run(drop.feed, drop.run_id)
            if found is None or found[0].state is not State.PLANNING:
                return None
            run, etag = found
            with telemetry.span("plan", feed=run.feed, run=run.id) as span:
                try:
                    run = self._decided(run)
                except StorageDown:
                    raise
                except (Stopped, Retryable) as error:
                    self._note(run, etag, lease, error, publish)
                    raise
                span.set(state=run.state.value, requests=run.requests, **telemetry.row_counts(run.rows))
            if run.state.final:
                # Before the state that nobody looks at again.
                publish(run)
            try:
                self._store.save_run(run, etag, lease)
            except Conflict:
                return None
        if not run.state.final:
            publish(run)
        log.info(
            "run planned",
            extra={
                "feed": run.feed,
                "run": run.id,
                "state": run.state.value,
                "requests": run.requests,
                **telemetry.row_counts(run.rows),
            },
        )
        for decision, count in (run.rows or {}).items():
            telemetry.measure("connector.rows", count, feed=run.feed, decision=decision.value)
        return run

    def _note(self, run: Run, etag: str, lease: Lease, error: Stopped | Retryable, publish: Publish) -> None:
        """Says in the run's summary why it is still being planned."""
        advice = error.advice if isinstance(error, Stopped) else "nothing: every tick tries again"
        message = error.message if isinstance(error, Stopped) else str(error)
        waiting = replace(run, problem=Problem(code=ProblemCode.PLANNING, message=message, advice=advice))
        with suppress(ConnectorError):
            if waiting.problem != run.problem:
                self._store.save_run(waiting, etag, lease)
            publish(waiting)

    def reopen(self, feed: str, run_id: str) -> bool:
        """Puts a rejected run back to `planning` when what it was rejected for has changed since.

        That is the feed file, or a table beside it: a drop may lack a column that the mapping names no more.
        """
        found = self._store.run(feed, run_id)
        if found is None:
            return False
        run, etag = found
        problem = run.problem
        if run.state is not State.REJECTED or problem is None:
            return False
        try:
            now = self.feed(feed)[1]
        except FeedUnusable as error:
            if problem.code is not ProblemCode.FEED or problem.message == _told(error):
                return False
        else:
            if problem.code is not ProblemCode.FEED and now == run.feed_etag:
                return False
        again = Run(drop=run.drop, times=Times(landed=run.drop.landed))
        with suppress(Conflict):
            self._store.save_run(again, etag)
        return True

    def _decided(self, run: Run) -> Run:
        # An earlier attempt may have left bodies that this one does not write again.
        for number in self._store.spooled(run):
            self._store.delete_request(run, number)
        try:
            feed, etag = self.feed(run.feed)
        except FeedUnusable as error:
            file = self._store.feed_file(run.feed)
            return self._rejected(run, error, ProblemCode.FEED, feed_etag=file[1] if file else "")
        run = replace(run, feed_etag=etag, upload_path=feed.feed.endpoint.upload_path)
        try:
            return self._spooled(run, feed)
        except DropRejected as error:
            return self._rejected(run, error.cause, ProblemCode.DROP, rows=error.rows, feed_etag=etag)

    def _rejected(self, run: Run, error: Unusable, code: ProblemCode, *, feed_etag: str, rows: int = 0) -> Run:
        now = self._clock.now()
        advice = "mend the feed file: the drop is then planned again by itself" if code is ProblemCode.FEED else ""
        if len(error.faults) == 1 and error.faults[0].advice:
            advice = "; ".join(filter(None, (error.faults[0].advice, advice)))
        return replace(
            run,
            state=State.REJECTED,
            feed_etag=feed_etag,
            rows={Decision.REJECTED: rows},
            times=replace(run.times, planned=now, settled=now),
            problem=Problem(
                code=code,
                message=_told(error),
                advice=advice,
            ),
        )

    def _spooled(self, run: Run, feed: LoadedFeed) -> Run:
        index: list[tuple[int, str]] = []
        decisions: Counter[Decision] = Counter()
        notes: tuple[str, ...] = ()
        with self._store.write_plan(run) as planned, _Spool(self._store, run, self._spoolers) as spool:
            for item in self._decide(run.drop, feed):
                if isinstance(item, BulkRequest):
                    spool.put(item)
                    index.append((item.people, item.digest))
                elif isinstance(item, tuple):
                    notes = item
                else:
                    planned.add(item)
                    decisions[item.decision] += 1
        self._store.put_requests_index(run, index)
        now = self._clock.now()
        sent = {} if index else {"sent": now, "settled": now}
        return replace(
            run,
            state=State.SENDING if index else State.SETTLED,
            rows=dict(decisions),
            requests=len(index),
            notes=notes,
            times=replace(run.times, planned=now, **sent),
        )

    def respool(self, run: Run, missing: list[int]) -> set[int]:
        """Makes the bodies of the numbered requests again; gives the numbers that came out as they were.

        The same drop and feed file give the same bytes. Where one of them has changed, the body is not made.
        """
        wanted = set(missing)
        index = self._store.requests_index(run)
        made: set[int] = set()
        try:
            feed, etag = self.feed(run.feed)
            if etag != run.feed_etag:
                return made
            for item in self._decide(run.drop, feed):
                if isinstance(item, BulkRequest) and item.number in wanted:
                    if item.number <= len(index) and item.digest != index[item.number - 1][1]:
                        continue
                    self._store.put_request(run, item.number, item.body)
                    made.add(item.number)
        except (Unusable, DropRejected):
            return made
        return made

    def _decide(self, drop: Drop, feed: LoadedFeed) -> Iterator[PlannedRow | BulkRequest | tuple[str, ...]]:
        opened = plaintext(lambda: self._store.open_drop(drop), name=drop.path, feed=feed, secrets=self._secrets)
        return decide(opened, name=drop.path, landed=drop.landed, feed=feed)


def _told(error: Unusable) -> str:
    """The faults, a line each; of several, each keeps its own advice beside it."""
    return "\n".join(str(fault if len(error.faults) > 1 else replace(fault, advice="")) for fault in error.faults)


def plaintext(
    opened: Callable[[], BinaryIO], *, name: str, feed: LoadedFeed, secrets: Secrets
) -> Callable[[], BinaryIO]:
    """`opened` itself, or for a feed with `pgp:` what it decrypts to, in memory and once for all passes."""
    pgp = feed.feed.pgp
    if pgp is None:
        return opened

    @cache
    def decrypted() -> bytes:
        from connector.readers.pgp import decrypt

        return decrypt(
            opened(),
            private_key=secrets.read(pgp.key),
            passphrase=secrets.text(pgp.passphrase) if pgp.passphrase else None,
            signers=[secrets.read(signer) for signer in pgp.signed_by],
            name=name,
        ).read()

    return lambda: io.BytesIO(decrypted())


def decide(
    opened: Callable[[], BinaryIO], *, name: str, landed: datetime, feed: LoadedFeed
) -> Iterator[PlannedRow | BulkRequest | tuple[str, ...]]:
    """A drop's decisions and bodies as `plan` gives them, and at the end the reader's notes.

    `opened` gives the drop's bytes from the start, once for each of two passes. Raises DropRejected.
    """
    counted = _Counted()
    # An encrypted file's name ends in what it was before.
    inner = re.sub(r"\.(pgp|gpg|asc)$", "", name, flags=re.IGNORECASE) if feed.feed.pgp else name

    def table() -> Table | ScimTable:
        return open_drop(opened(), name=inner, options=feed.feed.file, wanted=feed.mapping.columns)

    try:
        first = table()
        try:
            mapping: AsItStands | BoundMapping
            rows: Iterable[tuple[int, Any] | BadRow]
            if isinstance(first, ScimTable):
                mapping, rows = AsItStands(), first
            else:
                mapping = feed.mapping.bind(first.columns, now=landed)
                rows = first.leading(mapping.reach)
        except DropUnusable:
            for _ in counted(first):
                pass
            raise
        with telemetry.span("read") as span:
            last = last_rows(counted(rows), mapping)
            span.set(rows=counted.rows)
        second = table()
        warned: Counter[Fault] = Counter()
        yield from plan(second, mapping, last, warned)
        yield (
            *second.notes,
            *(
                f"{count} {'row' if count == 1 else 'rows'}: {fault}"
                for fault, count in warned.most_common(NOTED_WARNINGS)
            ),
        )
    except Unusable as error:
        raise DropRejected(error, counted.rows) from error


class DropRejected(Exception):
    """The drop as a whole is unusable; `rows` is how many of its rows could be counted."""

    def __init__(self, cause: Unusable, rows: int) -> None:
        self.cause = cause
        self.rows = rows
        super().__init__(str(cause))


class AsItStands:
    """The mapping of a drop that is SCIM already: each operation's user, unchanged."""

    def external_id(self, user: Any, /) -> str:
        return str(user.get("externalId", ""))

    def map_with_warnings(self, user: Any, /) -> tuple[dict[str, Any], tuple[Fault, ...]]:
        return dict(user), ()


class _Counted:
    """Passes rows through and counts them, so that an unusable drop's rows are accounted for."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, rows: Iterable[Any]) -> Iterator[Any]:
        for self.rows, row in enumerate(rows, start=1):
            yield row


class _Spool:
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

    def __enter__(self) -> _Spool:
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


@contextmanager
def _kept(lease: Lease) -> Iterator[None]:
    """Renews a lease in the background while the block runs, then releases it.

    Where renewing fails, the lease runs out and the block's last write, which names it, is refused.
    """
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(LEASE_SECONDS / 3):
            with suppress(ConnectorError):
                lease.renew()

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with suppress(ConnectorError):
            lease.release()
