"""Blobs as HR systems and tools leave them: encoded, archived, half-written, oddly named. None is an outage."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from azure.storage.blob import ContainerClient, ContentSettings, ExponentialRetry

from connector.outside.graph import Graph
from connector.outside.settings import Settings
from connector.outside.store import Store
from connector.outside.system_clock import SystemClock
from connector.outside.tokens import TokenSource
from connector.pipeline import Pipeline
from connector.planning.feeds import Feeds
from connector.planning.planner import Planner
from connector.planning.sweep import Sweep
from connector.reporting.publisher import Publisher
from connector.reporting.terminal import unplanned_lines
from connector.sandbox.faults import Action, Endpoint, Rule, Schedule
from connector.sandbox.proxy import FaultProxy
from connector.sandbox.servers import Azurite, Sandbox, connection_string
from connector.vocabulary.run import Drop, Obstacle, Unplanned
from connector.wiring import managed_identity
from tests.chaos.blob_account import ACCOUNT_URL, Answer, BlobAccount
from tests.chaos.checks import violations
from tests.chaos.host import StorageTransport
from tests.chaos.schedule import FEED, Land
from tests.chaos.schedule import Schedule as Happenings
from tests.chaos.world import World
from tests.kit.account import Account, outcomes
from tests.kit.people import csv_of, ids, worker, workers
from tests.kit.privacy import Collector
from tests.kit.servers import MakeSandbox
from tests.kit.stranger import Stranger


def inbox(account: Account) -> ContainerClient:
    return account.service.get_container_client(account.containers["INBOX_CONTAINER"])


def in_pipeline(account: Account, act: Callable[[Pipeline], Coroutine[Any, Any, Any]]) -> list[str]:
    """What a command would print of blobs without a run, after this."""

    async def acted() -> list[str]:
        async with account.pipeline() as pipeline:
            await act(pipeline)
            return [line for unplanned in pipeline.unplanned for line in unplanned_lines(unplanned)]

    return asyncio.run(acted())


def told(account: Account) -> list[str]:
    return in_pipeline(account, lambda pipeline: pipeline.on_tick())


def event(account: Account, path: str) -> None:
    in_pipeline(account, lambda pipeline: pipeline.on_drop(path))


def dropped(account: Account) -> list[str]:
    """The names of the blobs that have a run."""
    states = (json.loads(data) for name, data in account.runs().items() if name.endswith("/run.json"))
    return sorted(state["drop"]["name"] for state in states)


def passed_over(collected: Collector) -> list[tuple[object, ...]]:
    """Since the last look: level, feed, code and count."""
    records = [record for record in collected.take() if record.getMessage() == "blobs passed over"]
    return [(record.levelname, *(vars(record)[name] for name in ("feed", "code", "blobs"))) for record in records]


# bytes


def test_what_a_blobs_content_encoding_says_does_not_change_what_is_read(account: Account, graph: Stranger) -> None:
    packed = gzip.compress(csv_of(workers(2, first=3)))
    for feed, content in (("plain", csv_of(workers(2))), ("packed", packed)):
        account.feed(feed)
        settings = ContentSettings(content_encoding="gzip")
        inbox(account).upload_blob(f"{feed}/today.csv", content, content_settings=settings)
    account.bring_home("plain", "packed")
    found = [account.summary(feed)["outcomes"] for feed in ("plain", "packed")]
    assert (found, sorted(graph.people)) == ([outcomes(created=2)] * 2, ids(workers(4)))


# tiers


def test_an_archived_drop_waits_until_somebody_brings_it_online_and_stops_nobody_else(
    account: Account, graph: Stranger, collected: Collector
) -> None:
    for feed in ("cold", "warm"):
        account.feed(feed)
    account.drop("cold/today.csv", csv_of(workers(2)))
    account.drop("warm/today.csv", csv_of(workers(2, first=3)))
    blob, tier = inbox(account).get_blob_client("cold/today.csv"), "Archive"
    blob.set_standard_blob_tier(tier)
    collected.take()

    lines = told(account)
    word = "1 blob not planned: in the archive tier, where nothing can be read; bring it online, and it is planned"
    assert (lines, passed_over(collected)) == ([f"cold: {word}"], [("WARNING", "cold", "archived", 1)])
    account.bring_home("warm")
    assert graph.people == ids(workers(2, first=3))

    blob.set_standard_blob_tier("Hot")
    assert account.bring_home("cold")["outcomes"] == outcomes(created=2)
    # What was a drop may be archived when it has had its run.
    blob.set_standard_blob_tier(tier)
    assert told(account) == []


def test_a_drop_that_is_archived_while_it_is_planned_waits_and_says_so_in_its_summary(
    account: Account, azurite: Azurite, graph: Stranger
) -> None:
    for feed, people in (("cold", workers(2)), ("warm", workers(2, first=3))):
        account.feed(feed)
        account.drop(f"{feed}/today.csv", csv_of(people))
    rule = Rule(
        on=Endpoint.STORAGE, do=Action.STATUS, status=409, code="BlobArchived", method="GET", path="cold/today.csv"
    )
    with FaultProxy(azurite.blob_service, faults=Schedule([rule])) as proxy:
        through = connection_string(proxy.url(azurite.blob_service), azurite.queue_service)
        told(account.with_settings(HR_STORAGE=through))
        event(account.with_settings(HR_STORAGE=through), "cold/today.csv")
    problem = account.summary("cold")["problem"]
    assert (account.summary("cold")["state"], problem["code"], problem["advice"]) == (
        "planning",
        "planning",
        "bring it online: `az storage blob set-tier --tier Hot`, which takes hours",
    )
    assert "in the archive tier" in problem["message"]
    assert graph.people == ids(workers(2, first=3))
    assert account.bring_home("warm", "cold")["outcomes"] == outcomes(created=2)


# names


@pytest.mark.parametrize(
    ("path", "feed", "code"),
    [
        ("people/..", "", "name"),
        ("people/../../config/feeds/people.yaml", "", "name"),
        ("people/a\x01.csv", "", "name"),
        ("people/\ud800.csv", "", "name"),
        ("today.csv", "", "no-feed"),
        ("/today.csv", "", "no-feed"),
        ("", "", "no-feed"),
        ("people/", "people", "folder"),
        ("people/2026", "people", "folder"),
    ],
)
def test_the_event_of_a_name_that_can_be_no_drop_has_a_word_and_is_no_error(
    account: Account, collected: Collector, path: str, feed: str, code: str
) -> None:
    account.feed("people")
    inbox(account).upload_blob("people/2026", b"", metadata={"Hdi_IsFolder": "TRUE"})
    collected.take()
    event(account, path)
    level = "INFO" if code == "folder" else "WARNING"
    assert (passed_over(collected), account.runs()) == ([(level, feed, code, 1)], {})


def test_a_blob_in_no_feeds_folder_and_folders_of_any_spelling_are_no_drops(account: Account, graph: Stranger) -> None:
    account.feed("people")
    account.drop("people/today.csv", csv_of(workers(1)))
    account.drop("stray.csv", csv_of(workers(1)))
    for name, metadata in (("people", {"hdi_isfolder": "true"}), ("people/2026", {"HDI_ISFOLDER": "True"})):
        inbox(account).upload_blob(name, b"", metadata=metadata)
    assert told(account) == [
        "inbox: 1 blob not planned: in no feed's folder; move it into one",
        "people: 1 blob ignored (folders, leftovers of transfers, or not matched by files:)",
    ]
    assert dropped(account) == ["today.csv"]


def documented(account: BlobAccount) -> Store:
    """The account in memory, for what Azurite cannot be brought to say."""
    connection = connection_string(ACCOUNT_URL, ACCOUNT_URL)
    for container in ("inbox", "config"):
        account.handle("PUT", f"{ACCOUNT_URL}/{container}?restype=container", {}, b"")
    return Store.connect(Settings.of({"HR_STORAGE": connection}), transport=StorageTransport(account.handle))


def test_a_listing_tells_what_is_in_the_way_of_each_blob() -> None:
    account = BlobAccount(SystemClock().now)
    store = documented(account)
    odd: dict[str, dict[str, str]] = {
        "p/hot.csv": {},
        "p/cold.csv": {"tier": "Archive"},
        "p/thawing.csv": {"tier": "Archive", "archive_status": "rehydrate-pending-to-hot"},
        "p/copying.csv": {"copy_status": "pending"},
        "p/copied.csv": {"copy_status": "success"},
        "p/uncopied.csv": {"copy_status": "failed"},
        "p/log.csv": {"kind": "AppendBlob"},
        "p/a\x01.csv": {},
    }
    for path, properties in odd.items():
        account.put("inbox", path, b"x")
        account.change("inbox", path, **properties)

    found = {
        blob.drop.path: (blob.archived, blob.rehydrating, blob.copy, blob.grows, blob.seen is not None)
        for blob in store.drops()
    }
    assert found == {
        "p/hot.csv": (False, False, "", False, True),
        "p/cold.csv": (True, False, "", False, True),
        "p/thawing.csv": (True, True, "", False, True),
        "p/copying.csv": (False, False, "pending", False, True),
        "p/copied.csv": (False, False, "success", False, True),
        "p/uncopied.csv": (False, False, "failed", False, True),
        "p/log.csv": (False, False, "", True, True),
        "p/a\x01.csv": (False, False, "", False, True),
    }


def test_a_sweep_has_a_word_for_each_blob_that_it_passes_over_and_no_error() -> None:
    account, clock = BlobAccount(SystemClock().now), SystemClock()
    store = documented(account)
    odd: dict[str, dict[str, str]] = {
        "p/cold.csv": {"tier": "Archive"},
        "p/thawing.csv": {"tier": "Archive", "archive_status": "rehydrate-pending-to-hot"},
        "p/copying.csv": {"copy_status": "pending"},
        "p/uncopied.csv": {"copy_status": "aborted"},
        "p/log.csv": {"kind": "AppendBlob"},
        "p/a\x01.csv": {},
        "p/today.tmp": {},
        "q\x01/today.csv": {},
        "/today.csv": {},
        "today.csv": {},
    }
    for path, properties in odd.items():
        account.put("inbox", path, b"x")
        account.change("inbox", path, **properties)
    settings = Settings.of({"HR_STORAGE": connection_string(ACCOUNT_URL, ACCOUNT_URL)})
    feeds = Feeds(store, settings)
    planner = Planner(store, feeds, clock, publisher=Publisher(store))
    limits = {"time_limit": settings.plan_time_limit, "arrival_time": settings.arrival_time}
    sweep = Sweep(store, feeds, clock, planner=planner, **limits)

    assert (list(sweep.plan_what_landed()), sweep.unplanned) == (
        [],
        (
            Unplanned(feed="", obstacles={Obstacle.NO_FEED: 2, Obstacle.NAME: 1}),
            Unplanned(
                feed="p",
                ignored=1,
                obstacles={
                    Obstacle.ARCHIVED: 1,
                    Obstacle.REHYDRATING: 1,
                    Obstacle.COPYING: 1,
                    Obstacle.COPY_FAILED: 1,
                    Obstacle.ARRIVING: 1,
                    Obstacle.NAME: 1,
                },
            ),
        ),
    )
    lines = [line for unplanned in sweep.unplanned for line in unplanned_lines(unplanned)]
    assert [line.partition(" not planned: ")[0] for line in lines] == [
        "inbox: 1 blob",
        "inbox: 2 blobs",
        "p: 1 blob ignored (folders, leftovers of transfers, or not matched by files:)",
        *["p: 1 blob"] * 6,
    ]


def test_a_name_that_storage_itself_refuses_is_no_outage() -> None:
    answers = BlobAccount(SystemClock().now)

    def refusing(method: str, url: str, headers: Any, body: bytes) -> Any:
        answer = answers.handle(method, url, headers, body)
        if method == "HEAD":
            answer.status, answer.headers = 400, {"Content-Length": "0", "x-ms-error-code": "InvalidUri"}
        return answer

    store = Store.connect(
        Settings.of({"HR_STORAGE": connection_string(ACCOUNT_URL, ACCOUNT_URL)}), transport=StorageTransport(refusing)
    )
    assert store.drop("people/odd.csv") is Obstacle.NAME


# files that are still arriving


def test_an_append_blob_waits_until_it_is_still_and_no_event_plans_it(
    account: Account, graph: Stranger, collected: Collector
) -> None:
    account.feed("people")
    account = account.with_settings(ARRIVAL_TIME="1h")
    growing = inbox(account).get_blob_client("people/growing.csv")
    growing.create_append_blob()
    growing.append_block(csv_of(workers(2)))
    collected.take()
    word = (
        "people: 1 blob not planned: still arriving, or changed within the last ARRIVAL_TIME; the next tick looks again"
    )
    event(account, "people/growing.csv")
    assert (told(account), dropped(account)) == ([word], [])
    assert passed_over(collected) == [("INFO", "people", "arriving", 1)] * 2

    # The event of one file plans no half of another.
    account.drop("people/whole.csv", csv_of(workers(2, first=5)))
    event(account, "people/whole.csv")
    assert (dropped(account), graph.people) == (["whole.csv"], ids(workers(2, first=5)))

    growing.append_block(csv_of(workers(4)).split(b"\r\n", 3)[3])
    still = account.with_settings(ARRIVAL_TIME="0s")
    still.bring_home("people")
    assert (dropped(account), sorted(graph.people)) == (
        ["growing.csv", "whole.csv"],
        ids([*workers(4), *workers(2, first=5)]),
    )


def people_of(ids_: range) -> bytes:
    lines = [f"p{n},Ann,Other,a{n}@example.com,v0,yes,\n" for n in ids_]
    return "".join(["Id,First,Last,Mail,Title,Active,Code\n", *lines]).encode()


def landing(at: float, people: int, *delays: float, name: str = "today.csv") -> Land:
    return Land(at=at, feed="feed0", name=name, content=people_of(range(people)), delays=delays)


def sent_in(*happenings: Land, hierarchical: bool = True) -> tuple[list[int], list[float]]:
    """How many people each run sent, and when bulk requests arrived, with a tick every 300 seconds."""
    world = World(Happenings(seed=4, happenings=happenings, feeds={"feed0": FEED}, minutes=25.0, ticks=30))
    world.account.hierarchical = hierarchical
    world.run()
    assert violations(world) == []
    rows = [
        json.loads(world.account.read("runs", path) or b"{}")["rows"]["send"]
        for path in world.account.paths("runs")
        if path.endswith("/run.json")
    ]
    return rows, [seen.at for seen in world.sandbox.report.of(Endpoint.UPLOAD)]


def test_half_a_file_in_an_account_with_a_hierarchical_namespace_is_no_drop() -> None:
    # The tick at 300 s finds a half that is ten seconds old.
    rows, arrivals = sent_in(landing(290.0, 20), landing(310.0, 40))
    assert (rows, arrivals[0] > 600.0) == ([40], True)


def test_the_event_of_a_file_that_was_closed_plans_it_at_once() -> None:
    rows, arrivals = sent_in(landing(400.0, 40, 1.0))
    assert (rows, arrivals[0] < 410.0) == ([40], True)


def test_the_event_of_one_file_plans_no_half_of_another() -> None:
    closed = Land(at=402.0, feed="feed0", name="b.csv", content=people_of(range(100, 140)), delays=(1.0,))
    rows, arrivals = sent_in(landing(400.0, 10, name="a.csv"), closed, landing(410.0, 20, name="a.csv"))
    assert (sorted(rows), arrivals[0] < 410.0, arrivals[-1] > 600.0) == ([20, 40], True, True)


def test_a_file_of_any_other_account_is_whole_when_it_is_there() -> None:
    rows, arrivals = sent_in(landing(290.0, 40), hierarchical=False)
    assert (rows, arrivals[0] < 310.0) == ([40], True)


def test_an_account_is_asked_once_whether_it_is_hierarchical_and_no_answer_means_that_it_is() -> None:
    account, asked = BlobAccount(SystemClock().now), Counter[str]()

    def counted(method: str, url: str, headers: Any, body: bytes) -> Any:
        asked[method] += 1
        return account.handle(method, url, headers, body)

    documented(account)
    account.put("inbox", "p/today.csv", b"x")
    connection = Settings.of({"HR_STORAGE": connection_string(ACCOUNT_URL, ACCOUNT_URL)})
    flat = Store.connect(connection, transport=StorageTransport(counted))
    (found,) = flat.drops()
    gone = Drop(feed="p", name="gone.csv", etag="1", bytes=1, landed=found.drop.landed)
    assert [flat.hierarchical(drop) for drop in (gone, found.drop, found.drop, gone)] == [True, False, False, False]
    assert asked["HEAD"] == 2


def test_an_account_that_does_not_say_whether_it_is_hierarchical_is_asked_once_and_counts_as_one() -> None:
    asked = Counter[str]()

    def refusing(method: str, *_: Any) -> Answer:
        asked[method] += 1
        return Answer(status=403, headers={"Content-Length": "0", "x-ms-error-code": "AuthorizationPermissionMismatch"})

    connection = Settings.of({"HR_STORAGE": connection_string(ACCOUNT_URL, ACCOUNT_URL)})
    store = Store.connect(connection, transport=StorageTransport(refusing))
    drop = Drop(feed="p", name="today.csv", etag="1", bytes=1, landed=SystemClock().now())
    assert ([store.hierarchical(drop), store.hierarchical(drop)], asked) == ([True, True], {"HEAD": 1})


# answers that are lost


@dataclass
class EachAnswerLost(Schedule):
    """The answer to every write is lost once, so that the SDK's retry of it meets what the write itself has done."""

    tried: Counter[tuple[str, str]] = field(default_factory=Counter)

    def decide(self, on: Endpoint, **call: Any) -> Rule | None:
        if call["method"] in {"GET", "HEAD"}:
            return None
        self.tried[call["method"], call["path"]] += 1
        return Rule(on=on, do=Action.DROP_AFTER) if self.tried[call["method"], call["path"]] % 2 else None


def test_all_that_a_run_says_of_itself_is_said_though_the_answer_to_every_write_is_lost(
    account: Account, azurite: Azurite, make_sandbox: MakeSandbox, collected: Collector
) -> None:
    entra: Sandbox = make_sandbox()
    account.environment |= entra.identity_environment()
    account.feed("people")
    # Entra refuses a domain that is not the tenant's.
    bad = worker(3, Login="zyx~3@elsewhere.test")
    account.drop("people/today.csv", csv_of([*workers(2), bad]))
    lost = EachAnswerLost()
    with FaultProxy(azurite.blob_service, faults=lost) as proxy:
        through = connection_string(proxy.url(azurite.blob_service), azurite.queue_service)
        settings = Settings.of(account.environment | {"HR_STORAGE": through})
        at_once = ExponentialRetry(initial_backoff=0, increment_base=0, random_jitter_range=0, retry_total=3)
        clock = SystemClock()

        async def tick() -> None:
            tokens = TokenSource(lambda: managed_identity(""), f"{settings.graph}/.default")
            graph = Graph(settings.graph, tokens, clock)
            try:
                store = Store.connect(settings, retry_policy=at_once)
                await Pipeline(store, graph, clock, settings).on_tick()
            finally:
                await graph.close()

        with pytest.MonkeyPatch.context() as patch:
            for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
                patch.setenv(name, account.environment[name])
            asyncio.run(tick())
            asyncio.run(tick())
    said = Counter(record.getMessage() for record in collected.take())
    assert account.summary("people")["outcomes"] == outcomes(created=2, failed=1)
    assert {name: said[name] for name in ("run planned", "run sent", "run settled", "people failed")} == {
        "run planned": 1,
        "run sent": 1,
        "run settled": 1,
        "people failed": 1,
    }
    assert len(lost.tried) > 15
