"""What a tick states anew each time, for alerts and the workbook: open runs, drops that are due, jobs, quota, poison.

One listing of the open runs, one of the feed files, one call a job; a feed file is read when it has changed. Asked only
where telemetry is on. Alerts compare what is stated here with a threshold, and know nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.outside import telemetry
from connector.outside.graph import Graph
from connector.outside.settings import Settings
from connector.outside.store import RunEntry, Store
from connector.planning.feeds import Feeds
from connector.provisioning.job_status import job_code
from connector.sending.ledger import Ledger
from connector.vocabulary.clock import Clock
from connector.vocabulary.errors import ConnectorError, Unusable
from connector.vocabulary.limits import Limit
from connector.vocabulary.order import landing
from connector.vocabulary.run import State

log = logging.getLogger(__name__)

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedFile:
    """What is known of a feed file without its mapping. `job` is the path of its job, "" where the file is unusable."""

    written: datetime
    every: timedelta | None = None
    job: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedFacts:
    """One feed now; hours. None is "does not apply": no open run, no drop yet, no `expect:`."""

    feed: str
    open_runs: int
    oldest_open_hours: float | None
    last_drop_hours: float | None
    expected_hours: float | None
    overdue_hours: float | None
    spooled: int


def feed_facts(entries: Iterable[RunEntry], files: Mapping[str, FeedFile], now: datetime) -> list[FeedFacts]:
    """Every feed that has a run or a feed file, by name.

    A feed that has never had a drop is overdue from its feed file's time on.
    """
    runs: dict[str, list[RunEntry]] = {feed: [] for feed in files}
    for entry in entries:
        runs.setdefault(entry.feed, []).append(entry)
    return [_of_feed(feed, runs[feed], files.get(feed), now) for feed in sorted(runs)]


def _of_feed(feed: str, runs: list[RunEntry], file: FeedFile | None, now: datetime) -> FeedFacts:
    landed = [at for run in runs if (at := landing(run.id))]
    waiting = [run for run in runs if run.state is not None and not run.state.final]
    waiting_since = [at for run in waiting if (at := landing(run.id))]
    since = max(landed, default=None)
    every = file.every if file else None
    due_from = since or (file.written if file else None)
    return FeedFacts(
        feed=feed,
        open_runs=len(waiting),
        oldest_open_hours=_hours(now - min(waiting_since)) if waiting_since else None,
        last_drop_hours=_hours(now - since) if since else None,
        expected_hours=_hours(every) if every else None,
        overdue_hours=max(0.0, _hours(now - due_from - every)) if every and due_from else None,
        spooled=sum(len(run.spool) for run in runs),
    )


def _hours(span: timedelta) -> float:
    return round(span.total_seconds() / 3600, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """Of SEND_QUOTA, in calls. Where Graph itself says that it is used up, nothing is left."""

    limit: int
    left: int

    @classmethod
    def of(cls, ledger: Ledger, limit: Limit, now: datetime) -> Quota:
        return cls(limit=limit.calls, left=0 if ledger.refused_until(now) else ledger.left(now, limit))

    @property
    def used_percent(self) -> float:
        return round(100 * (self.limit - self.left) / self.limit, 1)


class FeedStatus:
    """States the facts: events for alerts, metrics for trends."""

    def __init__(
        self,
        store: Store,
        graph: Graph,
        clock: Clock,
        settings: Settings,
        *,
        feeds: Feeds,
        poison: Callable[[], int | None],
    ) -> None:
        self._store = store
        self._graph = graph
        self._clock = clock
        self._settings = settings
        self._feeds = feeds
        self._poison = poison

    async def report_status(self) -> None:
        """Never raises what the pipeline would: a fact that cannot be had must not fail a tick that did its work."""
        try:
            await self._report()
        except ConnectorError as error:
            log.warning("facts not gathered", extra={"error": type(error).__name__})

    async def _report(self) -> None:
        now = self._clock.now()
        entries, files, ledger, poison = await asyncio.gather(
            asyncio.to_thread(self._entries),
            asyncio.to_thread(self._files),
            asyncio.to_thread(self._ledger),
            asyncio.to_thread(self._poison),
        )
        paths = sorted({file.job for file in files.values() if file.job})
        codes = dict(zip(paths, await asyncio.gather(*(job_code(self._graph, path) for path in paths)), strict=True))
        facts = feed_facts(entries, files, now)
        for found in facts:
            file = files.get(found.feed)
            log.info(
                "feed status",
                extra={
                    "feed": found.feed,
                    "open_runs": found.open_runs,
                    "oldest_open_hours": found.oldest_open_hours,
                    "last_drop_hours": found.last_drop_hours,
                    "expected_hours": found.expected_hours,
                    "overdue_hours": found.overdue_hours,
                    "spooled": found.spooled,
                    "job": codes.get(file.job, UNKNOWN) if file else UNKNOWN,
                },
            )
            telemetry.measure("connector.spool.depth", found.spooled, feed=found.feed)
            telemetry.measure("connector.runs.open", found.open_runs, feed=found.feed)
            telemetry.measure("connector.runs.oldest", 3600 * (found.oldest_open_hours or 0.0), feed=found.feed)
            if found.last_drop_hours is not None:
                telemetry.measure("connector.drop.age", 3600 * found.last_drop_hours, feed=found.feed)
        quota = Quota.of(ledger, self._settings.send_quota, now)
        telemetry.measure("connector.quota.left", quota.left)
        log.info(
            "connector status",
            extra={
                "open_runs": sum(found.open_runs for found in facts),
                "oldest_open_hours": max((found.oldest_open_hours or 0.0 for found in facts), default=0.0),
                "spooled": sum(found.spooled for found in facts),
                "quota_limit": quota.limit,
                "quota_left": quota.left,
                "quota_used_percent": quota.used_percent,
                "poison_messages": poison,
            },
        )

    def _entries(self) -> list[RunEntry]:
        """The open runs, with what is in their spools, and of each feed the newest run."""
        index = self._store.index.read()
        entries = [
            RunEntry(*key, state, self._store.spool_of(key) if state is State.SENDING else [])
            for key, state in index.open.items()
        ]
        for feed, newest in index.newest.items():
            if (feed, newest.landed) not in index.open:
                entries.append(RunEntry(feed, newest.landed, State.SETTLED))
        return entries

    def _files(self) -> dict[str, FeedFile]:
        return {feed: self._file(feed, etag, written) for feed, (etag, written) in self._store.feed_files().items()}

    def _file(self, feed: str, etag: str, written: datetime) -> FeedFile:
        key = (self._settings.blob_service or self._settings.config, feed, etag)
        if key not in _read:
            if len(_read) >= _MOST_READ:
                _read.clear()
            try:
                loaded = self._feeds.load(feed)[0].feed
            except Unusable:
                # The feed's next drop says what is wrong. Not kept: what is missing may be a file beside this one.
                return FeedFile(written=written)
            every = loaded.expect.every if loaded.expect else None
            _read[key] = FeedFile(written=written, every=every, job=loaded.endpoint.upload_path.rpartition("/")[0])
        return _read[key]

    def _ledger(self) -> Ledger:
        try:
            return Ledger.parse(self._store.ledger()[0])
        except ConnectorError:
            # There is none before the first call, or the storage is down, which the other questions find out.
            return Ledger()


# Feed files that this process has read already, by account, feed and ETag: checking one takes longer than a tick.
_read: dict[tuple[str, str, str], FeedFile] = {}
_MOST_READ = 1000
