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
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.storage.blob import BlobServiceClient

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
    """Skips on demand."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.skipped


class Counted(SansIOHTTPPolicy[Any, Any]):
    """The calls that a store makes."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_request(self, request: Any) -> None:
        self.calls.append(request.http_request.method)

    @property
    def writes(self) -> int:
        return sum(method not in {"GET", "HEAD"} for method in self.calls)


@dataclass(slots=True)
class House:
    account: Account
    entra: Sandbox
    clock: Clock = field(default_factory=Clock)

    def tick(self, does: Callable[[], object] = lambda: None, *, counted: Counted | None = None) -> list[Exception]:
        """One tick, and the error that it ended with."""
        settings = Settings.of(self.account.environment)

        async def once() -> None:
            store = Store.connect(settings, per_call_policies=[counted] if counted else [])
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


@pytest.mark.parametrize("error", [ZeroDivisionError, RecursionError, UnicodeError, AssertionError, OSError])
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


def test_a_drop_that_kills_its_process_is_tried_alone_after_all_else_was_sent(house: Callable[..., House]) -> None:
    stage = house()
    stage.poison()
    everybody = stage.healthy()
    environment = {"PATH": os.environ["PATH"], **stage.account.environment}

    def dies() -> int:
        done = subprocess.run([sys.executable, "-c", _TICK], cwd=PROJECT, env=environment, check=False)
        stage.account.expire_leases()
        return done.returncode

    codes = [dies() for _ in range(6)]
    # Once beside others, three times alone; then the process lives.
    assert codes == [-9] * 4 + [0, 0]
    assert stage.state("poison") == ("rejected", "attempts")
    assert stage.account.outcomes("people") == dict.fromkeys(everybody, "created")
    assert (stage.state("people"), stage.open_runs()) == (("settled", ""), [])


def test_an_invocation_that_the_host_stops_is_no_failed_attempt(house: Callable[..., House]) -> None:
    stage = house()
    stage.account.feed("people", feed_file())
    stage.account.drop("people/today.csv", csv_of(workers(3000)))
    for _ in range(4):
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
    assert (counted.writes, len(counted.calls) <= 12) == (0, True), counted.calls


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
    "halved": lambda data: data[: len(data) // 2],
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("blob", ["run.json", "plan.jsonl.gz", "requests.json", "receipts.jsonl", "events.jsonl.gz"])
def test_state_that_is_damaged_is_a_runs_own_trouble(house: Callable[..., House], blob: str, damage: str) -> None:
    # Of half of the people the log speaks at once, of the others in an hour.
    stage = house(log_late=3600.0, log_late_share=0.5)
    stage.account.feed("hurt")
    stage.account.drop("hurt/today.csv", csv_of(workers(120, first=500)))
    stage.tick()
    stage.tick()
    names = [name for name in stage.account.runs() if name.startswith("hurt/") and name.endswith(blob)]
    assert len(names) == 1
    for name in names:
        client = stage.account.service.get_blob_client(stage.account.containers["RUNS_CONTAINER"], name)
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
    summary = stage.account.summary("hurt")
    assert adds_up(summary)
    assert summary["rows"]["pending"] >= 0


def test_receipts_that_storage_refuses_for_good_stop_their_run_and_nothing_is_sent_twice(
    house: Callable[..., House],
) -> None:
    # The run has sent a part when its receipts are replaced, and more than can be in flight at once is left.
    stage = house(Rule(on=Endpoint.UPLOAD, do=Action.STATUS, status=403, calls=((2, None),)))
    stage.account.environment["SEND_LIMIT"] = "1/5ms"
    stage.account.feed("hurt")
    hurt, everybody = workers(900, first=500), stage.healthy()
    stage.account.drop("hurt/today.csv", csv_of(hurt))
    stage.tick()
    assert stage.state("hurt") == ("sending", "stopped")
    receipts = stage.blob("hurt", "receipts.jsonl")
    data = receipts.download_blob().readall()
    receipts.delete_blob()
    # As a restore by copying leaves it: nothing can be appended to a block blob.
    receipts.upload_blob(data, blob_type="BlockBlob")
    stage.entra.faults = Schedule([])
    stage.tick()
    assert stage.state("hurt") == ("sending", "damaged")
    for _ in range(3):
        stage.tick()
    assert stage.account.outcomes("people") == dict.fromkeys(everybody, "created")
    assert stage.account.outcomes("hurt") == dict.fromkeys(ids(hurt), "created")
    assert (stage.state("hurt"), stage.entra.report.duplicate_bodies) == (("settled", ""), 0)
