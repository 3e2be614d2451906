"""A storage account beside a sandbox, with feeds next to each other: whole ticks with poison of any kind in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from connector.outside.graph import Graph
from connector.outside.keys import Secrets
from connector.outside.settings import Settings
from connector.outside.store import Store
from connector.outside.system_clock import SystemClock
from connector.outside.tokens import TokenSource
from connector.pipeline import Pipeline
from connector.planning.turns import Turns
from connector.sandbox.servers import Sandbox
from connector.wiring import managed_identity
from tests.kit.account import Account, adds_up
from tests.kit.people import csv_of, feed_file, ids, workers

PGP = 'pgp: {key: "file:key.asc"}\n'


class Planned(Secrets):
    """Keys that do something else when planning asks for them: where the poison of any kind comes in."""

    def __init__(self, does: Callable[[], object]) -> None:
        super().__init__(None, files=True)
        self._does = does

    def read(self, reference: str) -> bytes:
        self._does()
        return b""


class Clock(SystemClock):
    """Skips on demand, and waits a twentieth of what it is asked for: whoever is down is asked again and again."""

    def __init__(self) -> None:
        self.skipped = 0.0

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / 20)

    def monotonic(self) -> float:
        return super().monotonic() + self.skipped


class Counted:
    """The calls that a store makes: the SDK's `raw_request_hook`."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, request: Any) -> None:
        sent = request.http_request
        self.calls.append(f"{sent.method} {sent.url.split('devstoreaccount1/')[-1]}")

    @property
    def writes(self) -> int:
        return sum(call.split()[0] not in {"GET", "HEAD"} for call in self.calls)


@dataclass(slots=True)
class House:
    account: Account
    entra: Sandbox
    clock: Clock = field(default_factory=Clock)

    def tick(self, does: Callable[[], object] = lambda: None, *, counted: Counted | None = None) -> list[Exception]:
        """One tick, and the error that it ended with."""
        settings = Settings.of(self.account.environment)

        async def once() -> None:
            store = Store.connect(settings, raw_request_hook=counted or (lambda _: None))
            tokens = TokenSource(lambda: managed_identity(""), f"{settings.graph}/.default")
            graph = Graph(settings.graph, tokens, self.clock)
            try:
                pipeline = Pipeline(store, graph, self.clock, settings, secrets=Planned(does), turns=Turns())
                await pipeline.on_tick()
            finally:
                await graph.close()

        with pytest.MonkeyPatch.context() as patch:
            for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
                patch.setenv(name, self.account.environment[name])
            try:
                asyncio.run(once())
            except Exception as error:
                return [error]
        return []

    def poison(self) -> None:
        self.account.feed("poison", feed_file() + PGP)
        self.account.drop("poison/bad.csv.pgp", csv_of(workers(3, first=900)))

    def healthy(self, count: int = 3) -> list[str]:
        people = workers(count)
        self.account.drop("people/today.csv", csv_of(people))
        return ids(people)

    def state(self, feed: str) -> tuple[str, str]:
        """Of the feed's latest run, with the code of its problem."""
        summary = self.account.summary(feed)
        assert adds_up(summary)
        return summary["state"], (summary["problem"] or {}).get("code", "")

    def blob(self, feed: str, ending: str) -> Any:
        [name] = [name for name in self.account.runs() if name.startswith(f"{feed}/") and name.endswith(ending)]
        return self.account.service.get_blob_client(self.account.containers["RUNS_CONTAINER"], name)

    def names(self) -> list[str]:
        """Of the blobs of runs."""
        container = self.account.service.get_container_client(self.account.containers["RUNS_CONTAINER"])
        return [blob.name for blob in container.list_blobs()] if container.exists() else []

    def open_runs(self) -> list[str]:
        return [name for name in self.names() if name.startswith("_open/") and "-" in name]
