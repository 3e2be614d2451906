"""Some seeds of the thousand, and that the engine that judges them can be relied on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.sandbox.clock import VirtualClock
from connector.vocabulary.limits import Limit
from tests.chaos.__main__ import main
from tests.chaos.blob_account import Answer, BlobAccount
from tests.chaos.checks import violations
from tests.chaos.judge import judged
from tests.chaos.lockstep import Lockstep, outside
from tests.chaos.schedule import FEED, ExtraTick, Happening, Land, Schedule, TimeOut, drawn
from tests.chaos.shrink import shrunk
from tests.chaos.world import World

SAMPLES = Path(__file__).parents[1] / "samples"


# A hundred are run by `.ci/run`: these take no seconds.
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 5, 7, 8, 9, 10, 11])
def test_a_random_schedule_keeps_every_promise(seed: int) -> None:
    assert judged(drawn(seed)) == []


@pytest.mark.parametrize("seed", [3])
def test_a_seed_replays_call_by_call(seed: int) -> None:
    def calls() -> tuple[list[object], list[object]]:
        world = World(drawn(seed))
        world.run()
        arrived: list[object] = [(s.at, s.endpoint, s.status) for s in world.sandbox.report.requests]
        written: list[object] = [(w.at, w.path) for w in world.account.history]
        return arrived, written

    assert calls() == calls()


def test_a_sender_without_pace_is_found_and_the_schedule_is_shrunk_to_its_drop() -> None:
    reckless = {"SEND_LIMIT": "1000/1s"}
    lines = [f"p{n},Ann,Other,a{n}@example.com,v0,yes,\n" for n in range(300)]
    content = "".join(["Id,First,Last,Mail,Title,Active,Code\n", *lines]).encode()
    land = Land(at=20.0, feed="feed0", name="0.csv", content=content, version="v0")
    happenings: tuple[Happening, ...] = (ExtraTick(at=30.0, host="b"), TimeOut(at=400.0, host="b"), land)
    schedule = Schedule(seed=7, happenings=happenings, feeds={"feed0": FEED}, send_limit=Limit(4, 5.0), minutes=10.0)

    def fails(some: Sequence[Happening]) -> bool:
        return any(
            "calls in 5 s" in found for found in judged(replace(schedule, happenings=tuple(some)), settings=reckless)
        )

    assert shrunk(happenings, fails) == [happenings[-1]]


class Forgetful(BlobAccount):
    """Answers that it has kept a receipt, and has not."""

    def handle(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        forgotten = "/receipts.jsonl" in url and "comp=appendblock" in url
        return super().handle(method, url, headers, b"" if forgotten else body)


def test_receipts_that_are_forgotten_are_found() -> None:
    found = "\n".join(judged(drawn(1), account=Forgetful))
    assert "is unconfirmed, and Entra never got the record" in found


def test_any_feed_file_and_any_drops_can_be_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("1.csv", "2.csv"):
        (tmp_path / name).write_bytes((SAMPLES / "quickstart.csv").read_bytes())
    assert (
        main(["--seeds", "5", "--only", "0,1", "--feed", str(SAMPLES / "quickstart.yaml"), "--drops", str(tmp_path)])
        == 0
    )
    assert capsys.readouterr().out.count("Land(") == 2


def test_what_a_given_drop_says_of_people_may_not_be_logged_either() -> None:
    import logging

    content = (SAMPLES / "quickstart.csv").read_bytes()
    feed = (SAMPLES / "quickstart.yaml").read_text()
    text = "\n".join("endpoint: {endpoint}" if line.startswith("endpoint:") else line for line in feed.splitlines())
    world = World(replace(drawn(1, feeds={"q": text}, drops=[("q", "q.csv", content)])))
    world.run()
    assert violations(world) == []
    world.seen.records.append(logging.LogRecord("connector", logging.INFO, "", 0, "hello %s", ("Babs Jensen",), None))
    assert violations(world) == ["a log record of connector has personal data: hello %s"]


@given(st.sets(st.integers(0, 30), max_size=5), st.integers(1, 30))
def test_shrinking_leaves_exactly_what_it_takes(needed: set[int], size: int) -> None:
    items = list(range(max(size, max(needed, default=0) + 1)))

    def fails(part: Sequence[int]) -> bool:
        return needed <= set(part)

    assert shrunk(items, fails) == sorted(needed)


def test_threads_in_lockstep_interleave_at_their_calls_in_the_same_order_every_time() -> None:
    order: list[str] = []

    def work(name: str, seconds: float) -> str:
        for number in range(3):
            order.append(f"{name}{number}")
            outside(lambda: clock.sleep(seconds))
        return name

    async def both() -> list[str]:
        asyncio.get_running_loop().set_default_executor(Lockstep())
        return list(await asyncio.gather(asyncio.to_thread(work, "a", 2.0), asyncio.to_thread(work, "b", 3.0)))

    clock = VirtualClock()
    assert asyncio.run(both()) == ["a", "b"]
    assert order == ["a0", "b0", "a1", "b1", "a2", "b2"]
    assert clock.monotonic() == 9.0


def test_a_call_that_fails_fails_in_its_thread() -> None:
    async def refuse() -> None:
        raise ConnectionResetError

    def work() -> str:
        try:
            outside(refuse)
        except ConnectionResetError:
            return "caught"
        return "missed"

    async def one() -> str:
        asyncio.get_running_loop().set_default_executor(Lockstep())
        return await asyncio.to_thread(work)

    assert asyncio.run(one()) == "caught"
