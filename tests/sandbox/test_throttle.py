from __future__ import annotations

import math

import httpx
from hypothesis import given
from hypothesis import strategies as st

from connector.sandbox.clock import VirtualClock
from connector.sandbox.faults import Endpoint
from connector.sandbox.servers import Sandbox
from connector.sandbox.settings import SandboxSettings
from connector.sandbox.throttle import SlidingWindow, most_in_any_window
from connector.vocabulary.limits import Limit
from tests.sandbox.wire import SCIM, identity_url

# Binary fractions, so that sums are exact and "exactly five seconds later" means it.
GAPS = st.lists(st.integers(0, 7 * 64).map(lambda ticks: ticks / 64), min_size=1, max_size=80)


@given(GAPS, st.integers(1, 6))
def test_no_window_ever_admits_more_than_the_limit(gaps: list[float], calls: int) -> None:
    window, now, admitted = SlidingWindow(Limit(calls, 5.0)), 0.0, []
    for gap in gaps:
        now += gap
        if window.wait(now) == 0:
            window.count(now)
            admitted.append(now)
    for first in admitted:
        assert sum(first <= time and time - first < 5.0 for time in admitted) <= calls


@given(GAPS, st.integers(1, 6))
def test_a_call_after_the_wait_is_admitted_and_one_before_is_not(gaps: list[float], calls: int) -> None:
    window, now = SlidingWindow(Limit(calls, 5.0)), 0.0
    for gap in gaps:
        now += gap
        window.count(now)
    wait = window.wait(now)
    if wait:
        assert window.wait(now + wait * 0.999) > 0
    assert window.wait(now + wait) == 0


@given(GAPS)
def test_the_largest_window_is_what_counting_by_hand_gives(gaps: list[float]) -> None:
    times = [sum(gaps[: number + 1]) for number in range(len(gaps))]
    by_hand = max(sum(first <= time and not first + 5.0 <= time for time in times) for first in times)
    assert most_in_any_window(reversed(times), 5.0) == by_hand


async def test_the_server_admits_forty_calls_in_any_five_seconds_and_tells_the_rest_to_wait() -> None:
    clock = VirtualClock()
    sandbox = Sandbox(SandboxSettings.immediate(), clock=clock)
    async with httpx.AsyncClient(transport=sandbox.transport()) as client:
        header = {"x-identity-header": sandbox.settings.identity_header}
        token = (await client.get(identity_url(sandbox, sandbox.base_url), headers=header)).json()["access_token"]
        headers = {"authorization": f"Bearer {token}"}
        answers = []
        for _ in range(120):
            answer = await client.post(sandbox.endpoint, content=b"{}", headers=SCIM | headers)
            answers.append((answer.status_code, answer.headers.get("retry-after")))
            await clock.sleep(0.0625)
    # 16 calls a second: 40 in the first 2.5 s, none until 5 s have passed since the first of them.
    told = [(429, str(math.ceil(5 - number / 16))) for number in range(40, 80)]
    assert answers == [*[(400, None)] * 40, *told, *[(400, None)] * 40]
    admitted = [seen.at for seen in sandbox.report.of(Endpoint.UPLOAD) if seen.status == 400]
    assert most_in_any_window(admitted, 5.0) == 40
    assert (sandbox.report.throttled, sandbox.report.most_uploads_in_window) == (40, 80)


async def test_the_quota_frees_up_call_by_call_after_a_day() -> None:
    clock = VirtualClock()
    settings = SandboxSettings.immediate(quota=Limit(3, 86400.0), token_lifetime=1e6)
    sandbox = Sandbox(settings, clock=clock)
    async with httpx.AsyncClient(transport=sandbox.transport()) as client:
        header = {"x-identity-header": settings.identity_header}
        token = (await client.get(identity_url(sandbox, sandbox.base_url), headers=header)).json()["access_token"]
        headers = SCIM | {"authorization": f"Bearer {token}"}
        answers = []
        for pause in (3600, 3600, 3600, 60, 75540, 0, 3600):
            answer = await client.post(sandbox.endpoint, content=b"{}", headers=headers)
            answers.append((answer.status_code, answer.headers.get("retry-after")))
            await clock.sleep(pause)
    assert answers == [
        (400, None),
        (400, None),
        (400, None),
        (429, "75600"),
        (429, "75540"),
        (400, None),
        (429, "3600"),
    ]
