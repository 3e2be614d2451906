from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from connector.sandbox.clock import VirtualClock

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


async def test_a_day_of_ticks_passes_without_a_wait() -> None:
    clock, ticks = VirtualClock(START), []

    async def tick() -> None:
        while clock.monotonic() < 86400:
            await clock.sleep(300)
            ticks.append(clock.now())

    await asyncio.gather(*(tick() for _ in range(10)))
    assert ticks == [START + timedelta(seconds=300 * number) for number in range(1, 289) for _ in range(10)]


@given(st.lists(st.floats(min_value=0.001, max_value=1e6), min_size=1, max_size=30))
def test_sleepers_wake_at_their_deadline_in_order(naps: list[float]) -> None:
    clock, woken = VirtualClock(START), []

    async def nap(number: int, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((clock.monotonic(), number))

    async def main() -> None:
        await asyncio.gather(*(nap(number, seconds) for number, seconds in enumerate(naps)))

    asyncio.run(main())
    assert woken == sorted((seconds, number) for number, seconds in enumerate(naps))


async def test_a_woken_task_runs_to_its_next_wait_before_time_moves_on() -> None:
    clock, story = VirtualClock(START), []

    async def long_chain() -> None:
        await clock.sleep(1)
        for _ in range(50):
            await asyncio.sleep(0)
        story.append(("chain", clock.monotonic()))

    async def short() -> None:
        await clock.sleep(1.5)
        story.append(("short", clock.monotonic()))

    await asyncio.gather(long_chain(), short())
    assert story == [("chain", 1.0), ("short", 1.5)]


async def test_time_stands_still_while_real_io_is_under_way() -> None:
    clock, finish = VirtualClock(START), threading.Event()
    sleeper = asyncio.create_task(clock.sleep(60))

    async def work() -> float:
        with clock.busy():
            waiting = asyncio.create_task(asyncio.to_thread(finish.wait))
            for _ in range(200):
                await asyncio.sleep(0)
            still_asleep = not sleeper.done()
            finish.set()
            await waiting
            assert still_asleep
            return clock.monotonic()

    assert await work() == 0.0
    await sleeper
    assert clock.monotonic() == 60.0


async def test_a_server_that_holds_its_client_lets_time_pass() -> None:
    clock = VirtualClock(START)
    answer = asyncio.Event()

    async def server() -> None:
        await clock.hold(0.3)
        answer.set()

    async def client() -> float:
        with clock.busy():
            await answer.wait()
            return clock.monotonic()

    serving = asyncio.create_task(server())
    assert await client() == 0.3
    await serving


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = VirtualClock(START)
    cancelled = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    cancelled.cancel()
    await clock.sleep(20)
    assert (cancelled.cancelled(), clock.monotonic()) == (True, 20.0)


async def test_time_moved_by_hand_wakes_who_is_due() -> None:
    clock = VirtualClock(START)
    with clock.busy():
        due, later = asyncio.create_task(clock.sleep(5)), asyncio.create_task(clock.sleep(500))
        await asyncio.sleep(0)
        clock.advance(timedelta(minutes=1))
        await due
        assert (clock.now(), later.done()) == (START + timedelta(minutes=1), False)
    await later
    assert clock.monotonic() == 500.0
