"""Whatever one drop, run, feed file or job does, the feed beside it comes home, and its own trouble is said."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from azure.storage.blob import BlobLeaseClient, BlobServiceClient

from connector.outside.graph import Graph
from connector.outside.keys import Secrets
from connector.outside.settings import Settings
from connector.outside.store import Store
from connector.outside.system_clock import SystemClock
from connector.outside.tokens import TokenSource
from connector.pipeline import Pipeline
from connector.planning.turns import Turns
from connector.sandbox.faults import Action, Endpoint, Rule, Schedule
from connector.sandbox.servers import PROJECT, Azurite, Sandbox
from connector.sandbox.settings import JOB, SandboxSettings
from connector.vocabulary.limits import Limit
from connector.wiring import managed_identity
from tests.kit.account import Account, adds_up, ended, outcomes, until
from tests.kit.people import csv_of, feed_file, ids, workers
from tests.kit.servers import MakeSandbox

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


@pytest.fixture
def house(azurite: Azurite, containers: dict[str, str], make_sandbox: MakeSandbox) -> Iterator[Callable[..., House]]:
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        account = Account(service=service, containers=containers)

        def make(*faults: Rule, **changes: Any) -> House:
            options = {"send_limit": Limit(1000, 1.0), **changes}
            entra = make_sandbox(SandboxSettings.immediate(**options), faults=Schedule(faults))
            account.environment = {**azurite.environment(), **entra.identity_environment(), **containers}
            account.environment["SEND_LIMIT"] = "40/500ms"
            account.prepare()
            account.feed("people")
            return House(account, entra)

        yield make


# a drop


@pytest.mark.parametrize("error", [ZeroDivisionError, RecursionError, OSError])
def test_whatever_a_drop_does_the_feed_beside_it_comes_home_in_the_same_tick(
    house: Callable[..., House], error: type[Exception]
) -> None:
    stage = house()
    stage.poison()
    everybody = stage.healthy()

    def fails() -> None:
        raise error("Zyx~: of whom nobody is told")

    assert stage.tick(fails) == []
    assert (stage.state("poison"), stage.state("people")) == (("rejected", "drop"), ("settling", ""))
    problem = stage.account.summary("poison")["problem"]
    assert f"made the connector fail ({error.__name__})" in problem["message"]
    assert "Zyx~" not in json.dumps(stage.account.summary("poison"))
    # Nobody is asked again.
    assert (stage.tick(fails), stage.tick(fails)) == ([], [])
    assert stage.account.outcomes("people") == dict.fromkeys(everybody, "created")
    assert (stage.state("people"), stage.open_runs()) == (("settled", ""), [])


def test_a_drop_that_runs_out_of_memory_is_tried_three_times_alone_and_then_rejected(
    house: Callable[..., House],
) -> None:
    stage = house()
    stage.poison()
    attempts: list[int] = []

    def out_of_memory() -> None:
        attempts.append(1)
        raise MemoryError

    stage.tick(out_of_memory)
    assert (len(attempts), stage.state("poison")) == (2, ("planning", "planning"))
    stage.healthy()
    stage.tick(out_of_memory)
    assert (len(attempts), stage.state("poison"), stage.state("people")) == (
        3,
        ("planning", "planning"),
        ("settling", ""),
    )
    stage.tick(out_of_memory)
    stage.tick(out_of_memory)
    assert (len(attempts), stage.state("poison"), stage.state("people")) == (
        4,
        ("rejected", "attempts"),
        ("settled", ""),
    )
    assert "ran out of its memory" in stage.account.summary("poison")["problem"]["message"]
    stage.tick(out_of_memory)
    assert (len(attempts), stage.open_runs()) == (4, [])

    # A new version of the feed file has it planned again.
    stage.account.feed("poison", feed_file())
    stage.tick()
    assert stage.state("poison") == ("settling", "")


def test_a_drop_that_exceeds_the_time_has_failed_an_attempt_and_the_setting_is_named(
    house: Callable[..., House],
) -> None:
    stage = house()
    stage.account.feed("slow", feed_file())
    stage.account.drop("slow/today.csv", csv_of(workers(200, first=300)))
    stage.account.environment["PLAN_TIME_LIMIT"] = "1s"
    begun = stage.clock.monotonic

    class Slow(Clock):
        """A second goes by at each look."""

        def monotonic(self) -> float:
            self.skipped += 0.4
            return begun() + self.skipped

    stage.clock = Slow()
    for _ in range(5):
        stage.tick()
    assert stage.state("slow") == ("rejected", "attempts")
    assert "PLAN_TIME_LIMIT" in stage.account.summary("slow")["problem"]["message"]


_TICK = """
import asyncio, os, sys
from connector.outside.keys import Secrets
from connector.outside.settings import Settings
from connector.wiring import connected, managed_identity
Secrets.read = lambda self, reference: os.kill(os.getpid(), 9)
async def main():
    async with connected(Settings.of(), credential=managed_identity) as pipeline:
        await pipeline.on_tick()
asyncio.run(main())
"""


def _no_key() -> None:
    raise AssertionError("it was tried once more")


def test_a_drop_that_kills_its_process_is_tried_alone_after_all_else_was_sent(house: Callable[..., House]) -> None:
    stage = house()
    stage.poison()
    everybody = stage.healthy()
    environment = {"PATH": os.environ["PATH"], **stage.account.environment}

    def dies() -> int:
        done = subprocess.run([sys.executable, "-c", _TICK], cwd=PROJECT, env=environment, check=False)
        stage.account.expire_leases()
        return done.returncode

    # Once beside others, and three times alone.
    assert [dies() for _ in range(4)] == [-9] * 4
    # Whoever is asked for the key now would say so.
    assert [stage.tick(_no_key), stage.tick(_no_key)] == [[], []]
    assert stage.state("poison") == ("rejected", "attempts")
    assert stage.account.outcomes("people") == dict.fromkeys(everybody, "created")
    assert (stage.state("people"), stage.open_runs()) == (("settled", ""), [])


def test_an_invocation_that_the_host_stops_is_no_failed_attempt(house: Callable[..., House]) -> None:
    stage = house()
    stage.account.feed("people", feed_file())
    stage.account.drop("people/today.csv", csv_of(workers(3000)))
    for _ in range(2):
        process = stage.account.start("tick")
        until(partial(_has_begun, stage, process), "the run")
        process.send_signal(signal.SIGTERM)
        ran = ended(process)
        # -15: before it had come so far that it could tidy up.
        assert ran.code in {0, 143, -signal.SIGTERM}, ran.errors
        stage.account.expire_leases()
    stage.tick()
    stage.tick()
    assert (stage.state("people"), stage.entra.report.duplicate_bodies) == (("settled", ""), 0)


def _has_begun(stage: House, process: subprocess.Popen[str]) -> bool:
    return bool(stage.open_runs()) or process.poll() is not None


def test_a_run_that_is_rejected_while_it_is_spooled_leaves_no_body(house: Callable[..., House]) -> None:
    stage = house()
    # Two blocks long, so that what comes after the second reading has begun is read when bodies are in the spool.
    wide = csv_of(workers(3000)).replace(b"Works", b"Works" + b" " * 1500)
    stage.account.drop("people/today.csv", wide)
    looks = 0

    class Replacing(Clock):
        """Replaces the drop while its first block is mapped."""

        def monotonic(self) -> float:
            nonlocal looks
            spooled = looks < 1 and any("/spool/" in name for name in stage.names())
            if spooled:
                looks += 1
                stage.account.drop("people/today.csv", csv_of(workers(1)))
            return super().monotonic()

    stage.clock = Replacing()
    stage.tick()
    assert looks == 1
    first = min(name for name in stage.account.summaries() if name.endswith("Z.json") or "-" in name)
    summary = json.loads(stage.account.summaries()[first.split(".")[0] + ".json"])
    assert (summary["state"], summary["problem"]["code"]) == ("rejected", "drop")
    assert [name for name in stage.account.runs() if "/spool/" in name] == []


# a feed file, and a job


def test_while_a_feed_file_is_broken_its_rules_of_before_count_and_its_runs_go_on(house: Callable[..., House]) -> None:
    stage = house(Rule(on=Endpoint.UPLOAD, do=Action.STATUS, status=503, calls=((2, 200),)))
    stage.account.feed("people", feed_file() + 'files: {ready: "{name}.done", ignore: ["*.txt"]}\n')
    stage.account.drop("people/notes.txt", b"not a drop")
    stage.account.drop("people/today.csv", csv_of(workers(60)))
    stage.account.drop("people/today.csv.done", b"")
    stage.clock.skipped = 0.0
    stage.tick()
    assert stage.state("people")[0] == "sending"
    stage.account.feed("people", "files: [\n")
    stage.entra.faults = Schedule([])
    for _ in range(3):
        stage.tick()
    # Neither the marker nor what is ignored has become a run, and what was planned goes where it was planned for.
    assert {name.split("/")[1] for name in stage.account.runs() if name.startswith("people/")} == {
        stage.account.summary("people")["run"]
    }
    assert (stage.state("people"), stage.account.summary("people")["outcomes"]) == (
        ("settled", ""),
        outcomes(created=60),
    )


def test_a_run_keeps_the_job_that_has_a_part_of_it(house: Callable[..., House]) -> None:
    stage = house(Rule(on=Endpoint.UPLOAD, do=Action.REVOKE, calls=((3, 3),)))
    stage.account.environment["SEND_LIMIT"] = "1/20ms"
    stage.account.drop("people/today.csv", csv_of(workers(200)))
    stage.tick()
    assert stage.state("people") == ("sending", "stopped")
    stage.account.feed("people", feed_file().replace(JOB, "API2AAD.other.1"))
    stage.entra.faults = Schedule([Rule(on=Endpoint.UPLOAD, do=Action.GRANT)])
    stage.account.bring_home("people")
    assert (stage.state("people"), stage.account.summary("people")["outcomes"]) == (
        ("settled", ""),
        outcomes(created=200),
    )


def _stopped(house: Callable[..., House]) -> House:
    """A house whose feed "hurt" waits for a permission, with two requests that are not sent."""
    stage = house(Rule(on=Endpoint.UPLOAD, do=Action.REVOKE, calls=((1, 1),)))
    stage.account.feed("hurt")
    stage.account.drop("hurt/today.csv", csv_of(workers(60, first=500)))
    stage.tick()
    assert stage.state("hurt") == ("sending", "stopped")
    stage.entra.faults = Schedule([Rule(on=Endpoint.UPLOAD, do=Action.GRANT)])
    return stage


def test_a_state_that_storage_does_not_give_out_keeps_no_other_run_from_settling(house: Callable[..., House]) -> None:
    stage = _stopped(house)
    stage.blob("hurt", "run.json").set_standard_blob_tier("Archive")
    everybody = stage.healthy()
    for _ in range(4):
        assert [type(error).__name__ for error in stage.tick()] == ["BlobRefused"]
    assert stage.account.outcomes("people") == dict.fromkeys(everybody, "created")
    assert stage.state("people") == ("settled", "")


def test_a_body_that_somebody_holds_stops_its_own_feed_and_is_sent_once(house: Callable[..., House]) -> None:
    stage = _stopped(house)
    held = BlobLeaseClient(stage.blob("hurt", "/spool/000001.json"))
    held.acquire()
    everybody = stage.healthy()
    for _ in range(4):
        stage.tick()
    assert stage.account.outcomes("people") == dict.fromkeys(everybody, "created")
    assert stage.state("hurt") == ("sending", "stopped")
    assert "/spool/000001.json" in stage.account.summary("hurt")["problem"]["message"]
    held.release()
    for _ in range(3):
        stage.tick()
    assert stage.account.summary("hurt")["outcomes"] == outcomes(created=60)
    assert (stage.state("hurt"), stage.entra.report.duplicate_bodies) == (("settled", ""), 0)


def test_a_body_that_cannot_be_made_again_now_stops_its_own_feed(house: Callable[..., House]) -> None:
    stage = house(Rule(on=Endpoint.UPLOAD, do=Action.REVOKE, calls=((1, 1),)))
    stage.account.feed("hurt", feed_file())
    stage.account.drop("hurt/today.csv", csv_of(workers(60, first=500)))
    stage.tick()
    stage.entra.faults = Schedule([Rule(on=Endpoint.UPLOAD, do=Action.GRANT)])
    stage.blob("hurt", "/spool/000002.json").delete_blob()
    # What it is made of is not to be had.
    inbox = stage.account.service.get_blob_client(stage.account.containers["INBOX_CONTAINER"], "hurt/today.csv")
    inbox.set_standard_blob_tier("Archive")
    everybody = stage.healthy()
    for _ in range(4):
        stage.tick()
    assert stage.account.outcomes("people") == dict.fromkeys(everybody, "created")
    assert stage.state("hurt") == ("sending", "stopped")
    inbox.set_standard_blob_tier("Hot")
    for _ in range(3):
        stage.tick()
    assert (stage.state("hurt"), stage.account.summary("hurt")["outcomes"]) == (("settled", ""), outcomes(created=60))


# what a tick costs


def _settled_runs(account: Account, count: int) -> None:
    container = account.service.get_container_client(account.containers["RUNS_CONTAINER"])
    for number in range(count):
        name = f"people/20250101T{number:06d}Z-0123456789ab"
        container.upload_blob(f"{name}/run.json", b"{}", metadata={"state": "settled"})


@pytest.mark.parametrize("ended_runs", [0, 60])
def test_an_idle_tick_costs_a_dozen_calls_and_no_write_however_much_has_ended(
    house: Callable[..., House], ended_runs: int
) -> None:
    stage = house()
    stage.tick()
    _settled_runs(stage.account, ended_runs)
    counted = Counted()
    assert stage.tick(counted=counted) == []
    assert (counted.writes, 3 <= len(counted.calls) <= 12) == (0, True), counted.calls


def test_a_run_that_waits_for_the_log_costs_three_calls_and_no_write(house: Callable[..., House]) -> None:
    stage = house(log_delay=3600.0)
    idle = Counted()
    stage.tick()
    stage.tick(counted=idle)
    stage.healthy(120)
    for _ in range(3):
        stage.tick()
    assert stage.state("people") == ("settling", "")
    inbox = stage.account.service.get_container_client(stage.account.containers["INBOX_CONTAINER"])
    inbox.delete_blob("people/today.csv")
    before, waiting = stage.account.versions(), Counted()
    assert stage.tick(counted=waiting) == []
    assert (waiting.writes, stage.account.versions() == before) == (0, True), waiting.calls
    assert len(waiting.calls) <= len(idle.calls) + 3, (waiting.calls, idle.calls)


def test_a_run_that_waits_for_the_quota_costs_three_calls_and_no_write(house: Callable[..., House]) -> None:
    stage = house()
    stage.account.environment["SEND_QUOTA"] = "2/24h"
    stage.healthy(150)
    for _ in range(3):
        stage.tick()
    assert stage.state("people") == ("sending", "quota")
    before, waiting = stage.account.versions(), Counted()
    assert stage.tick(counted=waiting) == []
    run = stage.account.summary("people")["run"]
    assert stage.account.versions() == before
    assert len([call for call in waiting.calls if run in call]) <= 3, waiting.calls


def test_of_all_runs_that_wait_for_graph_one_alone_tries_and_none_is_written(house: Callable[..., House]) -> None:
    stage = house(Rule(on=Endpoint.UPLOAD, do=Action.STATUS, status=503, calls=((1, 99),)))
    stage.account.feed("others")
    stage.account.drop("others/today.csv", csv_of(workers(3, first=500)))
    everybody = stage.healthy()
    for _ in range(3):
        stage.tick()
    assert (stage.state("others"), stage.state("people")) == (("sending", "outage"), ("sending", "outage"))
    before, waiting = stage.account.versions(), Counted()
    assert stage.tick(counted=waiting) == []
    assert len([call for call in waiting.calls if call.endswith("/spool/000001.json")]) == 1, waiting.calls
    written = {name for name, etag in stage.account.versions().items() if before.get(name) != etag}
    assert written == {"RUNS_CONTAINER/uplink.json"}
    stage.entra.faults = Schedule([])
    stage.tick()
    stage.tick()
    assert stage.account.outcomes("people") == dict.fromkeys(everybody, "created")
    assert stage.state("others") == ("settled", "")


def test_a_run_that_is_in_no_index_is_found_once_a_day(house: Callable[..., House]) -> None:
    stage = house(Rule(on=Endpoint.UPLOAD, do=Action.STATUS, status=503, calls=((1, 9),)))
    everybody = stage.healthy()
    stage.tick()
    assert stage.state("people") == ("sending", "outage")
    container = stage.account.service.get_container_client(stage.account.containers["RUNS_CONTAINER"])
    for name in stage.account.blobs("RUNS_CONTAINER"):
        if name.startswith("_"):
            container.delete_blob(name)
    inbox = stage.account.service.get_container_client(stage.account.containers["INBOX_CONTAINER"])
    inbox.delete_blob("people/today.csv")
    stage.entra.faults = Schedule([])
    # The day's mark is gone too, so that it is due.
    for _ in range(3):
        stage.tick()
    assert stage.account.outcomes("people") == dict.fromkeys(everybody, "created")


# state


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x55]) + data[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "flipped": _flipped,
    "empty": lambda data: b"",
    "deleted": lambda data: None,
}


STATE = {
    "run.json": "run",
    "plan.jsonl.gz": "plan",
    "requests.json": "requests",
    "receipts.jsonl": "receipts",
    "events.jsonl.gz": "events",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_state_that_is_damaged_is_a_runs_own_trouble(house: Callable[..., House], damage: str) -> None:
    # Of half of the people the log speaks at once, of the others in an hour.
    stage = house(log_late=3600.0, log_late_share=0.5)
    for number, feed in enumerate(STATE.values()):
        stage.account.feed(feed)
        stage.account.drop(f"{feed}/today.csv", csv_of(workers(60, first=100 * (number + 5))))
    stage.tick()
    stage.tick()
    for blob, feed in STATE.items():
        client = stage.blob(feed, f"/{blob}")
        data = DAMAGES[damage](client.download_blob().readall())
        client.delete_blob()
        if data is not None:
            kind = "AppendBlob" if blob == "receipts.jsonl" else "BlockBlob"
            client.upload_blob(data, blob_type=kind)
    everybody = stage.healthy()
    for _ in range(2):
        errors = stage.tick()
        assert [type(error).__name__ for error in errors] in ([], ["StateUnusable"])
    assert len(stage.account.outcomes("people")) == len(everybody)
    for feed in STATE.values():
        summary = stage.account.summary(feed)
        assert (adds_up(summary), summary["rows"]["pending"] >= 0) == (True, True), feed


def test_receipts_that_storage_refuses_for_good_stop_their_run_and_nothing_is_sent_twice(
    house: Callable[..., House],
) -> None:
    # The run has sent a part when its receipts are replaced.
    stage = house(Rule(on=Endpoint.UPLOAD, do=Action.STATUS, status=403, calls=((2, None),)))
    stage.account.environment["SEND_LIMIT"] = "1/5ms"
    stage.account.feed("hurt")
    hurt = workers(300, first=500)
    stage.account.drop("hurt/today.csv", csv_of(hurt))
    stage.tick()
    everybody = stage.healthy()
    assert stage.state("hurt") == ("sending", "stopped")
    receipts = stage.blob("hurt", "receipts.jsonl")
    data = receipts.download_blob().readall()
    receipts.delete_blob()
    # As a restore by copying leaves it: nothing can be appended to a block blob.
    receipts.upload_blob(data, blob_type="BlockBlob")
    stage.entra.faults = Schedule([])
    stage.tick()
    assert stage.state("hurt") == ("sending", "damaged")
    for _ in range(4):
        stage.tick()
    assert stage.account.outcomes("people") == dict.fromkeys(everybody, "created")
    assert stage.account.outcomes("hurt") == dict.fromkeys(ids(hurt), "created")
    assert (stage.state("hurt"), stage.entra.report.duplicate_bodies) == (("settled", ""), 0)


@pytest.mark.parametrize("state", ["planning", "sending", "settling"])
def test_a_run_that_is_deleted_for_its_damage_as_advised_is_begun_anew_and_stops_nothing(
    house: Callable[..., House], state: str
) -> None:
    fault = Rule(on=Endpoint.UPLOAD, do=Action.REVOKE, calls=((1, 1),))
    stage = house(*([fault] if state == "sending" else []), log_delay=3600.0 if state == "settling" else 0.0)
    stage.account.drop("people/today.csv", csv_of(workers(3)))
    if state == "planning":
        stage.account.feed("people", feed_file() + PGP)
        stage.tick(_out_of_memory)
        stage.account.feed("people")
    else:
        stage.tick()
    assert stage.state("people")[0] == state
    stage.entra.faults = Schedule([Rule(on=Endpoint.UPLOAD, do=Action.GRANT)])
    blob = stage.blob("people", "run.json")
    blob.upload_blob(b"", metadata={"state": state}, overwrite=True)
    stage.tick()
    problem = stage.account.summary("people")["problem"]
    assert (problem["code"], problem["message"].split()[0]) == ("damaged", f"runs/{blob.blob_name}")

    runs = stage.account.service.get_container_client(stage.account.containers["RUNS_CONTAINER"])
    for name in stage.names():
        if name.startswith(blob.blob_name.removesuffix("run.json")):
            runs.delete_blob(name)
    for _ in range(3):
        stage.tick()
    assert stage.state("people") == ("settling" if state == "settling" else "settled", "")
    assert stage.account.summary("people")["rows"]["sent"] == 3


def _out_of_memory() -> None:
    raise MemoryError


def test_a_run_that_is_deleted_when_a_later_one_was_sent_is_not_sent_over_it(house: Callable[..., House]) -> None:
    stage = house(log_delay=3600.0)
    stage.account.drop("people/first.csv", csv_of(workers(3)))
    stage.tick()
    stage.account.drop_a_second_later("people/second.csv", csv_of(workers(3)))
    stage.tick()
    first, second = sorted(name for name in stage.names() if name.startswith("people/") and name.endswith("run.json"))
    runs = stage.account.service.get_container_client(stage.account.containers["RUNS_CONTAINER"])
    runs.delete_blob(first)
    stage.tick()
    stage.tick()
    assert [name for name in stage.open_runs() if name.endswith(first.split("/")[1])] == []
    assert sorted(name for name in stage.names() if name.endswith("run.json")) == [second]
    summary = json.loads(stage.account.summaries()[first.replace("/run.json", ".json")])
    assert (summary["problem"]["code"], "is missing" in summary["problem"]["message"]) == ("damaged", True)


def test_a_settled_run_that_is_damaged_keeps_no_later_one_from_settling(house: Callable[..., House]) -> None:
    stage = house()
    stage.account.drop("people/first.csv", csv_of(workers(3)))
    stage.tick()
    stage.tick()
    stage.account.drop_a_second_later("people/second.csv", csv_of(workers(4)))
    stage.tick()
    first = min(name for name in stage.account.runs() if name.endswith("run.json"))
    runs = stage.account.service.get_container_client(stage.account.containers["RUNS_CONTAINER"])
    runs.upload_blob(first, b"", metadata={"state": "settled"}, overwrite=True)
    assert stage.tick() == []
    assert stage.state("people") == ("settled", "")


def test_a_ledger_of_a_newer_version_is_left_alone_and_its_blob_is_named(house: Callable[..., House]) -> None:
    stage = house()
    everybody = stage.healthy()
    runs = stage.account.service.get_container_client(stage.account.containers["RUNS_CONTAINER"])
    runs.create_container()
    newer = b'{"schema": 2, "calls": []}'
    runs.upload_blob("uplink.json", newer)
    [error] = stage.tick()
    assert str(error).startswith("runs/uplink.json: was written by a newer version of the connector (schema 2)")
    assert (runs.download_blob("uplink.json").readall(), stage.state("people")[0]) == (newer, "sending")
    runs.delete_blob("uplink.json")
    stage.tick()
    stage.tick()
    assert stage.account.outcomes("people") == dict.fromkeys(everybody, "created")


def test_a_summary_that_is_damaged_is_made_anew_and_one_of_a_newer_version_is_left_alone(
    house: Callable[..., House],
) -> None:
    stage = house(log_delay=3600.0)
    stage.healthy()
    stage.tick()
    stage.tick()
    run = stage.account.summary("people")["run"]
    good = stage.account.summaries()
    summaries = stage.account.service.get_container_client(stage.account.containers["SUMMARIES_CONTAINER"])
    for name in (f"people/{run}.json", "people/latest.json"):
        summaries.upload_blob(name, b"{", overwrite=True)
    assert stage.tick() == []
    assert stage.account.summaries() == good

    newer = good["people/latest.json"].replace(b'"schema": 1', b'"schema": 2')
    for name in (f"people/{run}.json", "people/latest.json"):
        summaries.upload_blob(name, newer, overwrite=True)
    assert stage.tick() == []
    after = stage.account.summaries()
    assert (after[f"people/{run}.json"], after["people/latest.json"]) == (newer, newer)


def test_a_receipt_that_was_kept_apart_just_before_a_crash_still_counts(house: Callable[..., House]) -> None:
    stage = house(Rule(on=Endpoint.UPLOAD, do=Action.REVOKE, calls=((2, 2),)))
    stage.account.environment["SEND_LIMIT"] = "1/20ms"
    stage.account.drop("people/today.csv", csv_of(workers(100)))
    stage.tick()
    assert stage.state("people") == ("sending", "stopped")
    appended = stage.blob("people", "receipts.jsonl")
    [line] = appended.download_blob().readall().splitlines()
    appended.delete_blob()
    runs = stage.account.service.get_container_client(stage.account.containers["RUNS_CONTAINER"])
    runs.upload_blob(appended.blob_name.replace("receipts.jsonl", "receipts/000001-0a1b2c3d.json"), line)
    stage.entra.faults = Schedule([Rule(on=Endpoint.UPLOAD, do=Action.GRANT)])
    stage.account.bring_home("people")
    summary = stage.account.summary("people")
    assert (summary["outcomes"], summary["notes"]) == (outcomes(created=100), [])
    assert stage.entra.report.duplicate_bodies == 0
