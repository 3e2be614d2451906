"""The window and the ledger, without a network: time is a number."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.sending.ledger import Ledger
from connector.sending.window import Window
from connector.vocabulary.limits import Limit

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def send(window: Window, outward: list[float], back: float, in_flight: int = 16) -> tuple[list[float], list[float]]:
    """Sends one call for each outward delay as fast as the window lets; gives starts and the server's arrival times."""
    now, starts, arrivals, flying = 0.0, [], [], []
    queue = list(outward)
    while queue or flying:
        flying.sort(key=lambda item: item[0])
        wait = window.seconds_until_free(now) if queue and len(flying) < in_flight else float("inf")
        if wait <= 0:
            delay = queue.pop(0)
            starts.append(now)
            arrivals.append(now + delay)
            flying.append((now + delay + back, window.start(now)))
            continue
        ends = flying[0][0] if flying else float("inf")
        now = min(now + wait, ends)
        if ends <= now:
            window.end(flying.pop(0)[1], now)
    return starts, arrivals


def most_in_any(arrivals: list[float], seconds: float) -> int:
    times = sorted(arrivals)
    return max(sum(1 for other in times if at <= other < at + seconds) for at in times)


@given(
    jitter=st.lists(st.sampled_from([0.0, 0.001, 0.02, 0.1, 0.4, 3.0]), min_size=1, max_size=80),
    base=st.sampled_from([0.0, 0.05, 0.3, 2.0]),
    back=st.sampled_from([0.0, 0.15]),
)
def test_the_server_never_sees_more_calls_in_a_window_than_the_limit(
    jitter: list[float], base: float, back: float
) -> None:
    # The first call shows the path's fastest round trip, as one of the first forty does in practice.
    _, arrivals = send(Window(Limit(8, 1.0)), [base, *(base + more for more in jitter)], back)
    assert most_in_any(arrivals, 1.0) <= 8


def test_constant_latency_costs_no_speed() -> None:
    starts, _ = send(Window(Limit(40, 5.0)), [0.15] * 400, 0.15)
    # Nine waits of a window, and the first burst's three rounds of 16.
    assert starts[-1] <= 9 * 5.0 * 1.01 + 0.9


def test_latency_as_long_as_half_the_window_costs_no_speed_with_enough_in_flight() -> None:
    starts, _ = send(Window(Limit(40, 5.0)), [1.0] * 400, 1.0, in_flight=40)
    # But for the first two windows: until connections are used again, the path's own delay is not known.
    assert starts[-1] <= 9 * 5.0 * 1.01 + 2 * 2.0


def test_a_successor_starts_as_if_the_window_were_used_up() -> None:
    window = Window(Limit(40, 5.0))
    window.assume(40, 100.0)
    assert window.seconds_until_free(100.0) == pytest.approx(5.015)
    assert window.seconds_until_free(105.02) == 0.0


def test_a_429_closes_the_window_then_half_the_calls_probe_and_full_speed_returns() -> None:
    window = Window(Limit(40, 5.0))
    window.throttled(0.0, 7.0)
    assert window.seconds_until_free(3.0) == 4.0
    burst = 0
    while window.seconds_until_free(7.0) == 0.0:
        window.end(window.start(7.0), 7.0)
        burst += 1
    assert burst == 20
    while window.seconds_until_free(13.0) == 0.0:
        window.end(window.start(13.0), 13.0)
        burst += 1
    assert burst == 60


def test_repeated_429s_never_close_the_window_for_good() -> None:
    window = Window(Limit(1, 5.0))
    for second in range(0, 100, 10):
        assert window.seconds_until_free(float(second)) == 0.0
        window.end(window.start(float(second)), float(second))
        window.throttled(float(second), 5.0)


def test_the_ledger_counts_a_rolling_day_and_says_when_calls_free_up() -> None:
    quota, ledger = Limit(100, 86400.0), Ledger()
    ledger.set_aside(NOON, 60)
    later = NOON + timedelta(hours=3)
    minute = ledger.set_aside(later, 40)
    assert ledger.left(later, quota) == 0
    assert ledger.frees_at(later, quota) == NOON + timedelta(days=1, minutes=1)
    assert ledger.frees_at(later, quota, 61) == later + timedelta(days=1, minutes=1)
    ledger.give_back(minute, 15)
    assert ledger.left(later, quota) == 15
    assert ledger.left(NOON + timedelta(days=1, seconds=59), quota) == 15
    assert ledger.left(NOON + timedelta(days=1, minutes=1), quota) == 75


def test_the_ledger_survives_a_restart() -> None:
    ledger = Ledger(quota_until=NOON, outage=NOON)
    ledger.set_aside(NOON, 7)
    assert Ledger.parse(ledger.dump()) == ledger


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"calls": 3}', b'{"calls": {"x": 1}}', b'{"outage": 7}', b"\xff"])
def test_a_damaged_ledger_counts_as_empty(damage: bytes) -> None:
    assert Ledger.parse(damage) == Ledger()


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 9)), max_size=60))
def test_no_rolling_window_holds_more_than_the_quota_if_only_what_is_left_is_set_aside(
    asks: list[tuple[int, int]],
) -> None:
    quota, ledger, made = Limit(20, 3600.0), Ledger(), []
    for minute, calls in sorted(asks):
        now = NOON + timedelta(minutes=minute)
        take = min(calls, ledger.left(now, quota))
        if take:
            ledger.set_aside(now, take)
            made += [now] * take
    for at in made:
        assert sum(1 for other in made if at <= other < at + timedelta(hours=1)) <= 20
