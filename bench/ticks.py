"""What a tick costs, idle and with a run that waits for the log, beside 0, 1,000 and 10,000 runs that have settled."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

from azure.storage.blob import BlobServiceClient

from bench.sending import FEED, drop
from connector.outside.graph import Graph
from connector.outside.settings import Settings
from connector.outside.store import Store
from connector.outside.system_clock import SystemClock
from connector.outside.tokens import TokenSource
from connector.pipeline import Pipeline
from connector.sandbox.servers import Azurite, Sandbox
from connector.sandbox.settings import SandboxSettings
from connector.wiring import developer_identity

SETTLED = (0, 1_000, 10_000)
BLOBS = ("run.json", "plan.jsonl.gz")
TICKS = 5


class Calls:
    def __init__(self) -> None:
        self.made = self.writes = 0

    def __call__(self, request: Any) -> None:
        self.made += 1
        self.writes += request.http_request.method not in {"GET", "HEAD"}


async def _ticks(settings: Settings, count: int) -> tuple[Calls, float]:
    """The calls and the CPU seconds of `count` ticks."""
    calls, clock = Calls(), SystemClock()
    store = Store.connect(settings, raw_request_hook=calls)
    graph = Graph(settings.graph, TokenSource(lambda: developer_identity(""), f"{settings.graph}/.default"), clock)
    used = time.process_time()
    for _ in range(count):
        await Pipeline(store, graph, clock, settings).on_tick()
    used = time.process_time() - used
    await graph.close()
    return calls, used


def _settle(service: BlobServiceClient, first: int, last: int) -> None:
    """What so many runs leave behind."""
    container = service.get_container_client("runs")
    names = [f"people/20250101T{number:06d}Z-0123456789ab" for number in range(first, last)]

    def leave(name: str) -> None:
        for blob in BLOBS:
            container.upload_blob(f"{name}/{blob}", b"{}", metadata={"state": "settled"} if blob == "run.json" else {})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(leave, names))


def run() -> Iterator[str]:
    sandbox = Sandbox(SandboxSettings.immediate(log_delay=86400.0, custom_attributes=None))
    with Azurite() as azurite, sandbox:
        environment = {**azurite.environment(), **sandbox.identity_environment()}
        service = BlobServiceClient.from_connection_string(azurite.connection_string)
        with mock.patch.dict(os.environ, environment), service:
            settings = Settings.of(environment)
            for name in ("inbox", "config", "runs", "summaries"):
                service.create_container(name)
            service.get_blob_client("config", "feeds/people.yaml").upload_blob(FEED.format(endpoint=sandbox.endpoint))
            before: float | None = None
            for count, earlier in zip(SETTLED, (0, *SETTLED), strict=False):
                _settle(service, earlier, count)
                asyncio.run(_ticks(settings, 1))
                calls, idle = asyncio.run(_ticks(settings, TICKS))
                before = before or idle
                per_tick = f"{calls.made / TICKS:4.1f} calls, {calls.writes / TICKS:.1f} writes"
                yield (
                    f"{count:6,} settled runs, idle: {per_tick}, "
                    f"CPU {idle / before:4.2f} of that with none ({1000 * idle / TICKS:.0f} ms)"
                )
                inbox = service.get_blob_client("inbox", f"people/{count}.csv")
                inbox.upload_blob(drop(120))
                asyncio.run(_ticks(settings, 3))
                inbox.delete_blob()
                # The first tick after it notices that the drop has gone.
                asyncio.run(_ticks(settings, 1))
                waiting, used = asyncio.run(_ticks(settings, TICKS))
                more = (waiting.made - calls.made) / TICKS
                yield (
                    f"       and one that waits for the log: {more:.1f} calls more, "
                    f"{waiting.writes / TICKS:.1f} writes, CPU {used / idle:4.2f} of idle"
                )
                # It is open no more, so that the next idle tick is one.
                runs = service.get_container_client("runs")
                for blob in list(runs.list_blobs("_open/people/")):
                    runs.delete_blob(blob.name)
