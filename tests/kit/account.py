"""The storage account of one test: what HR and an administrator put there, and what the connector makes of it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobLeaseClient, BlobServiceClient

from connector.outside.settings import Settings
from connector.pipeline import Pipeline
from connector.sandbox.servers import PROJECT
from connector.vocabulary.clock import Clock
from connector.vocabulary.summary import Summary
from connector.wiring import connected, managed_identity
from tests.kit.command import Ran, command
from tests.kit.people import feed_file
from tests.kit.privacy import leaks

PATIENCE = 120.0
"""Seconds after which a test gives up waiting. No claim: a busy machine is slow, and only what hangs takes for ever."""


@dataclass(slots=True, kw_only=True)
class Account:
    """`service` is the tester's way to storage; `environment` are the connector's settings, and all that it is told."""

    service: BlobServiceClient
    containers: Mapping[str, str]
    environment: dict[str, str] = field(default_factory=dict)

    def with_settings(self, **changes: str) -> Account:
        return replace(self, environment=self.environment | changes)

    def prepare(self) -> None:
        """What a deployment does: the containers where people put things. The connector's own it makes by itself."""
        for name in ("INBOX_CONTAINER", "CONFIG_CONTAINER"):
            self.service.create_container(self.containers[name])

    def feed(self, name: str, text: str | None = None) -> None:
        blob = self.service.get_blob_client(self.containers["CONFIG_CONTAINER"], f"feeds/{name}.yaml")
        blob.upload_blob((feed_file() if text is None else text).encode(), overwrite=True)

    def drop(self, path: str, content: bytes) -> None:
        self.service.get_blob_client(self.containers["INBOX_CONTAINER"], path).upload_blob(content, overwrite=True)

    def drop_a_second_later(self, path: str, content: bytes) -> None:
        """Lands after everything that is there: Blob Storage tells times in whole seconds."""
        container = self.service.get_container_client(self.containers["INBOX_CONTAINER"])
        newest = max(blob.last_modified for blob in container.list_blobs())

        def landed_later() -> bool:
            self.drop(path, content)
            return bool(container.get_blob_client(path).get_blob_properties().last_modified > newest)

        until(landed_later, "the next second")

    def runs(self) -> dict[str, bytes]:
        """Of the runs container, what is not the index of them."""
        return {name: data for name, data in self.blobs("RUNS_CONTAINER").items() if not name.startswith("_")}

    def summaries(self) -> dict[str, bytes]:
        return self.blobs("SUMMARIES_CONTAINER")

    def blobs(self, container: str) -> dict[str, bytes]:
        """Every blob's content by name; none where the container is not there yet."""
        client = self.service.get_container_client(self.containers[container])
        if not client.exists():
            return {}
        return {blob.name: client.download_blob(blob.name).readall() for blob in client.list_blobs()}

    def versions(self) -> dict[str, str]:
        """Every blob's ETag, of the containers that the connector writes to: equal where nothing was written."""
        found: dict[str, str] = {}
        for name in ("RUNS_CONTAINER", "SUMMARIES_CONTAINER"):
            client = self.service.get_container_client(self.containers[name])
            if client.exists():
                found |= {f"{name}/{blob.name}": blob.etag for blob in client.list_blobs()}
        return found

    def summary(self, feed: str) -> dict[str, Any]:
        """latest.json"""
        blob = self.service.get_blob_client(self.containers["SUMMARIES_CONTAINER"], f"{feed}/latest.json")
        document: dict[str, Any] = json.loads(blob.download_blob().readall())
        return document

    def outcomes(self, feed: str) -> dict[str, str]:
        """externalId to outcome by the latest run's outcomes.csv. Fails where somebody has two."""
        return _two_columns(self._table(feed, "outcomes"), "externalId", "outcome")

    def rejects(self, feed: str) -> list[tuple[int, str, str]]:
        """(row, externalId, column) by the latest run's rejects.csv."""
        return [(int(line["row"]), line["externalId"], line["column"]) for line in self._table(feed, "rejects")]

    def _table(self, feed: str, kind: str) -> list[dict[str, str]]:
        name = f"{feed}/{self.summary(feed)['run']}.{kind}.csv"
        text = self.service.get_blob_client(self.containers["SUMMARIES_CONTAINER"], name).download_blob().readall()
        return list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"))))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`python -m connector …` with the settings and nothing else in its environment."""
        return subprocess.Popen(
            [sys.executable, "-m", "connector", *arguments],
            env={"PATH": os.environ["PATH"], **self.environment},
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def tick(self) -> Ran:
        """`python -m connector tick`, in this process."""
        return _clean(command("tick", environment=self.environment))

    def tick_until_settled(self, *feeds: str) -> list[Ran]:
        """Ticks, each in a process of its own, until the latest run of each feed is final."""
        ticked: list[Ran] = []
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            ticked.append(ended(self.start("tick")))
            if all(self._final(feed) for feed in feeds):
                return ticked
        raise AssertionError(f"not settled: {ticked[-1]}")

    def _final(self, feed: str) -> bool:
        with suppress(HttpResponseError):
            return self.summary(feed)["state"] in {"settled", "rejected"}
        return False

    def tick_here(self, clock: Clock | None = None) -> list[Summary]:
        """The same tick without the command around it."""

        async def once() -> list[Summary]:
            async with self.pipeline(clock) as pipeline:
                return await pipeline.on_tick()

        return asyncio.run(once())

    @asynccontextmanager
    async def pipeline(self, clock: Clock | None = None) -> AsyncIterator[Pipeline]:
        # What the credential takes from the environment is the one thing that cannot be passed in.
        with pytest.MonkeyPatch.context() as patch:
            for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
                patch.setenv(name, self.environment[name])
            async with connected(Settings.of(self.environment), credential=managed_identity, clock=clock) as pipeline:
                yield pipeline

    def bring_home(self, *feeds: str, clock: Clock | None = None) -> dict[str, Any]:
        """Ticks in this process until all is final; gives the last feed's summary."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.tick_here(clock)
            if all(self._final(feed) for feed in feeds):
                return self.summary(feeds[-1])
        raise AssertionError(f"not settled: {[self.summary(feed) for feed in feeds]}")

    def expire_leases(self) -> None:
        """What fifteen seconds do by themselves after a process was killed."""
        client = self.service.get_container_client(self.containers["RUNS_CONTAINER"])
        for blob in client.list_blobs():
            if blob.lease.state == "leased":
                with suppress(HttpResponseError):
                    BlobLeaseClient(client.get_blob_client(blob.name)).break_lease(0)


def interruptible(*arguments: str) -> list[str]:
    """`python -m connector …` that listens to Ctrl-C, also where a shell that runs the tests in the background has made
    them and all that they start ignore it."""
    start = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL);"
        "os.execv(sys.executable, [sys.executable, '-m', 'connector', *sys.argv[1:]])"
    )
    return [sys.executable, "-c", start, *arguments]


def ended(process: subprocess.Popen[str]) -> Ran:
    """What came of it. Of nobody is a word in it."""
    output, errors = process.communicate(timeout=PATIENCE)
    return _clean(Ran(code=process.returncode, output=output, errors=errors))


def _clean(ran: Ran) -> Ran:
    assert leaks(ran.output + ran.errors) == []
    return ran


def until(happened: Callable[[], object], what: str) -> None:
    """Polls until it has happened."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def adds_up(summary: Mapping[str, Any]) -> bool:
    """The two sums of a summary (docs/operating.md)."""
    rows, outcomes = summary["rows"], summary["outcomes"]
    parts = sum(count for name, count in rows.items() if name != "total")
    return bool(rows["total"] == parts and rows["sent"] == sum(outcomes.values()))


def _two_columns(lines: list[dict[str, str]], key: str, value: str) -> dict[str, str]:
    pairs = {line[key]: line[value] for line in lines}
    assert len(pairs) == len(lines), "somebody has two lines"
    return pairs


ROWS = ("total", "rejected", "duplicate", "filtered", "unchanged", "held", "superseded", "pending", "sent")
OUTCOMES = ("created", "updated", "disabled", "skipped", "failed", "refused", "unconfirmed", "waiting")


def rows(**counts: int) -> dict[str, int]:
    """The summary's rows with all else zero; the total is theirs."""
    return dict.fromkeys(ROWS, 0) | counts | {"total": sum(counts.values())}


def outcomes(**counts: int) -> dict[str, int]:
    """The summary's outcomes with all else zero."""
    return dict.fromkeys(OUTCOMES, 0) | counts
