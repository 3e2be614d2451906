"""Whatever one drop, run, feed file or job does, the feed beside it comes home, and its own trouble is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest
from azure.storage.blob import BlobLeaseClient

from connector.sandbox.faults import Action, Endpoint, Rule, Schedule
from connector.sandbox.servers import PROJECT
from connector.sandbox.settings import JOB
from tests.kit.account import ended, outcomes, until
from tests.kit.house import Clock, House
from tests.kit.people import csv_of, feed_file, workers

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
