"""Whole ticks with poison: arbitrary drops, feed files and answers of Graph, and a healthy feed beside them.

The connector, the storage SDK and httpx are the real ones; below them are the account in memory and the sandbox of
`tests.chaos`, on a virtual clock. Whatever the poison is, the other feed comes home, all sums hold, nothing of a person
is logged, and what became of the poison is said.
"""

from __future__ import annotations

import asyncio
import csv
import io
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from typing import Any, Final, TypeVar
from urllib.parse import unquote

import httpx
from azure.core.credentials import AccessToken

from connector.outside.graph import Graph
from connector.outside.settings import Settings
from connector.outside.store import Store
from connector.outside.tokens import TokenSource
from connector.pipeline import Pipeline
from connector.planning.turns import Turns
from connector.reporting.summary_file import parse_summary
from connector.sandbox.clock import VirtualClock
from connector.sandbox.servers import Sandbox, connection_string
from connector.sandbox.settings import JOB, SERVICE_PRINCIPAL, SandboxSettings
from connector.vocabulary.errors import ConnectorError, StorageDown
from connector.vocabulary.inbox import readable
from connector.vocabulary.run import Outcome, State, Unplanned
from connector.vocabulary.summary import Summary
from tests.chaos.blob_account import ACCOUNT_URL, BlobAccount
from tests.chaos.host import StorageTransport
from tests.chaos.world import SECOND_JOB, START
from tests.fuzz.tick_inputs import Answer, answer, drop, feed_file, mutated_document, path, properties
from tests.kit.people import csv_of, ids, workers
from tests.kit.people import feed_file as sample_feed
from tests.kit.privacy import LEVELS, Collector, findings

T = TypeVar("T")

MINUTE: Final = 60.0
DAY: Final = 86_400.0
HEALTHY: Final = "people"
POISON_PRINCIPAL: Final = SERVICE_PRINCIPAL.replace("f9c1d9b2", "0ddba115")
CONTAINERS: Final = ("inbox", "config", "runs", "summaries")


class AtOnce(ThreadPoolExecutor):
    """Does what it is given before it returns: in virtual time nothing is won by threads."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class _Body(httpx.AsyncByteStream):
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data


class IllGraph(httpx.AsyncBaseTransport):
    """Graph, which answers about the poison's job what `draw` gives; None is what it is meant to answer."""

    def __init__(
        self,
        well: httpx.AsyncBaseTransport,
        clock: VirtualClock,
        draw: Callable[[str, str], Answer | None],
        random: Random,
    ) -> None:
        self._well = well
        self._clock = clock
        self._draw = draw
        self._random = random

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        kind = "upload" if request.method == "POST" else "log" if "/auditLogs/" in request.url.path else "job"
        odd = self._draw(kind, url) if SECOND_JOB in unquote(url) else None
        if odd is None:
            return await self._well.handle_async_request(request)
        body, headers = odd.body, dict(odd.headers)
        if odd.processed:
            meant = await self._well.handle_async_request(request)
            if body is None:
                body = mutated_document(self._random, await meant.aread())
        await self._clock.sleep(odd.seconds)
        raw = [(name.encode(), value.encode("utf-8")) for name, value in headers.items()]
        return httpx.Response(odd.status, headers=raw, stream=_Body(body or b""), request=request)


class _Token:
    """A credential that has its token already."""

    def __init__(self, token: AccessToken) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_: Any) -> AccessToken:
        return self._token

    def close(self) -> None:
        """Nothing is open."""


class House:
    """An account, an Entra and an instance of the connector, which none of them fails but by what it is given."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.clock = VirtualClock(START)
        self.account = BlobAccount(self.clock.now)
        jobs = ((SERVICE_PRINCIPAL, JOB), (POISON_PRINCIPAL, SECOND_JOB))
        self.sandbox = Sandbox(SandboxSettings.immediate(jobs=jobs), clock=self.clock)
        self.settings = Settings.of(
            {"HR_STORAGE": connection_string(ACCOUNT_URL, ACCOUNT_URL), "GRAPH_BASE_URL": self.sandbox.base_url}
        )
        self.store = Store.connect(self.settings, transport=StorageTransport(self.account.handle))
        # Of each kind of call: how often it is answered oddly.
        self._odd = {kind: random.choice([0.0, 0.0, 0.3, 0.8, 1.0]) for kind in ("upload", "job", "log")}
        self.log_lies = False
        self.unplanned: tuple[Unplanned, ...] = ()
        for container in CONTAINERS:
            self.account.handle("PUT", f"{ACCOUNT_URL}/{container}?restype=container", {}, b"")

    def _answer(self, kind: str, url: str) -> Answer | None:
        if self.random.random() >= self._odd[kind]:
            return None
        drawn = answer(self.random, kind, url)
        self.log_lies = self.log_lies or kind == "log"
        return drawn

    async def _credential(self) -> _Token:
        async with httpx.AsyncClient(transport=self.sandbox.transport()) as client:
            answered = await client.get(
                self.sandbox.identity_endpoint,
                params={"api-version": "2019-08-01", "resource": self.sandbox.base_url},
                headers={"X-IDENTITY-HEADER": self.sandbox.settings.identity_header},
            )
        found = answered.json()
        return _Token(AccessToken(found["access_token"], int(found["expires_on"])))

    async def tick(self) -> None:
        """Raises what a tick must not end with: an error that is not ours, or the word that storage is down."""
        credential = await self._credential()
        tokens = TokenSource(lambda: credential, f"{self.settings.graph}/.default")
        transport = IllGraph(self.sandbox.transport(), self.clock, self._answer, self.random)
        graph = Graph(self.settings.graph, tokens, self.clock, transport=transport)
        pipeline = Pipeline(
            self.store,
            graph,
            self.clock,
            self.settings,
            spoolers=1,
            random_source=Random(self.random.random()),
            turns=Turns(),
        )
        try:
            await pipeline.on_tick()
        except StorageDown:
            raise
        except ConnectorError:
            pass
        finally:
            self.unplanned = pipeline.unplanned
            await graph.close()

    def summary(self, feed: str, run: str) -> Summary:
        data = self.account.read("summaries", f"{feed}/{run}.json")
        assert data is not None, f"{feed}/{run} has no summary"
        return parse_summary(data)

    def explained(self, feed: str, run: str, state: State) -> bool:
        """Whether it has ended, or says why it has not."""
        return state.final or self.summary(feed, run).problem is not None

    def runs(self) -> Iterator[tuple[str, str, State]]:
        for each in self.account.paths("runs"):
            if each.endswith("/run.json"):
                feed, run, _ = each.split("/")
                yield feed, run, State(self.account.metadata("runs", each)["state"])


async def _happens(house: House) -> list[str]:
    """Poison and people land, and ticks go by: two that bring the people home, more for the poison."""
    random = house.random
    endpoint = house.sandbox.endpoint_of(POISON_PRINCIPAL, SECOND_JOB)
    house.account.put("config", f"feeds/{HEALTHY}.yaml", sample_feed(house.sandbox.endpoint).encode())
    for feed in ("ill", "zero"):
        house.account.put("config", f"feeds/{feed}.yaml", feed_file(random, endpoint))
    people = workers(random.choice([1, 2, 60]), first=500)
    landing = random.choice([0, 0, 1])
    for number in range(random.choice([1, 1, 2, 4])):
        _land(house, path(random, number))
    for tick in range(landing + 2):
        if tick == landing:
            house.account.put("inbox", f"{HEALTHY}/today.csv", csv_of(people))
        elif random.random() < 0.2:
            _land(house, path(random, 10 + tick))
        await house.tick()
        await house.clock.sleep(5 * MINUTE)
    _came_home(house, ids(people))
    if random.random() < 0.15:
        house.account.put("config", "feeds/ill.yaml", feed_file(random, endpoint))
    for _ in range(4):
        # Whoever waits for the log has waited long enough, and so has whoever waits for a marker.
        await house.clock.sleep(DAY + 5 * MINUTE)
        await house.tick()
        if all(house.explained(*run) for run in house.runs()):
            break
    return ids(people)


def _land(house: House, place: str) -> None:
    house.account.put("inbox", place, drop(house.random))
    house.account.change("inbox", place, **properties(house.random))


def _came_home(house: House, people: list[str]) -> None:
    """In the same tick that its drop was found in it was sent, and in the next it was settled: as if it were alone."""
    [(run, state)] = [(run, state) for feed, run, state in house.runs() if feed == HEALTHY]
    summary = house.summary(HEALTHY, run)
    assert state is State.SETTLED, f"the healthy feed is {state}: {summary}"
    lines = (house.account.read("summaries", f"{HEALTHY}/{run}.outcomes.csv") or b"").decode()
    outcomes = {line["externalId"]: line["outcome"] for line in csv.DictReader(io.StringIO(lines))}
    assert outcomes == dict.fromkeys(people, Outcome.CREATED), summary


def _judge(house: House, people: list[str]) -> None:
    _came_home(house, people)
    received = Counter[str]()
    for (external_id, _), count in house.sandbox.report.people.items():
        received[external_id] += count
    assert {person: received[person] for person in people} == dict.fromkeys(people, 1)
    for written in house.account.history:
        if written.path.startswith("summaries/") and written.path.endswith(".json"):
            # Reading it checks both sums.
            parse_summary(written.data)
    for feed, run, state in house.runs():
        summary = house.summary(feed, run)
        assert summary.state == state, f"{feed}/{run} is {state}, and its summary says {summary.state}"
        if state is State.SETTLED:
            assert not summary.rows.pending and not summary.outcomes.waiting, summary
            if not house.log_lies:
                _reached_entra(house, feed, run, received)
        assert house.explained(feed, run, state), f"{feed}/{run} is {state}, and nobody says why"
    _all_said(house)


def _reached_entra(house: House, feed: str, run: str, received: Counter[str]) -> None:
    lines = (house.account.read("summaries", f"{feed}/{run}.outcomes.csv") or b"").decode()
    for line in csv.DictReader(io.StringIO(lines)):
        if line["outcome"] not in {Outcome.REFUSED, Outcome.UNCONFIRMED}:
            assert received[line["externalId"]], f"{feed}/{run}: row {line['row']} is {line['outcome']}, never received"


def _all_said(house: House) -> None:
    """What lies in the inbox has a run, or the tick has said of so many blobs of its feed that they have none."""
    with_run = Counter(feed for feed, _, _ in house.runs())
    said = {each.feed: each for each in house.unplanned}
    blobs = Counter(feed for place in house.account.paths("inbox") if (feed := _feed(house, place)) is not None)
    for feed, count in blobs.items():
        text = house.account.read("config", f"feeds/{feed}.yaml") or b""
        without = count - with_run[feed]
        # A marker is a word about another blob.
        if without > 0 and b"ready" not in text:
            told = said.get(feed, Unplanned(feed=feed))
            assert told.ignored + len(told.waiting) + sum(told.obstacles.values()) >= without, (feed, without, told)


def _feed(house: House, place: str) -> str | None:
    """The feed of a blob of the inbox; None of a folder that a feed may have."""
    folder, slash, name = place.partition("/")
    if slash and folder and readable(folder):
        return folder if name else None
    said = house.account.metadata("inbox", place)
    stub = any(key.lower() == "hdi_isfolder" and value.lower() == "true" for key, value in said.items())
    return None if stub else ""


def whole_ticks(random: Random) -> None:
    """One case."""
    house = House(random)

    async def main() -> list[str]:
        asyncio.get_running_loop().set_default_executor(AtOnce())
        return await _happens(house)

    with _listening() as records:
        people = asyncio.run(main())
    _judge(house, people)
    assert findings(records) == []
    # An exception that nobody foresaw stops nobody else, and is a fault all the same.
    assert [vars(record) for record in records if record.msg == "step failed"] == []


@contextmanager
def _listening() -> Iterator[list[logging.LogRecord]]:
    """All that is logged, at the levels at which the connector's own and its libraries' records may be kept."""
    before = {name: logging.getLogger(name).level for name in LEVELS}
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
    try:
        with Collector() as collector:
            yield collector.records
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
