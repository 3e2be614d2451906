"""The window and the ledger, without a network: time is a number."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.sending.ledger import Ledger
from connector.sending.window import Call, Window
from connector.vocabulary.limits import Limit

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def send(window: Window, outward: list[float], back: float, in_flight: int = 16) -> tuple[list[float], list[float]]:
    """Sends one call for each outward delay as fast as the window lets; gives starts and the server's arrival times."""
    now = 0.0
    starts: list[float] = []
    arrivals: list[float] = []
    flying: list[tuple[float, Call]] = []
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


def burst(window: Window, now: float) -> int:
    """How many calls may start at one moment, each answered at once."""
    made = 0
    while window.seconds_until_free(now) == 0.0:
        window.end(window.start(now), now)
        made += 1
    return made


def in_turn(window: Window, round_trips: list[float], now: float = 0.0) -> float:
    """One call after the other, each as soon as the one before is answered; gives the time of the last answer."""
    for round_trip in round_trips:
        call = window.start(now)
        now += round_trip
        window.end(call, now)
    return now


@pytest.mark.parametrize(("seconds", "span"), [(5.0, 5.015), (2.0, 2.006), (0.5, 0.505), (0.05, 0.055)])
def test_a_window_is_kept_longer_than_it_is_by_what_two_timers_may_be_off(seconds: float, span: float) -> None:
    window = Window(Limit(40, seconds))
    window.assume(40, 0.0)
    assert window.seconds_until_free(0.0) == pytest.approx(span, abs=1e-12)


def test_a_successor_starts_as_if_the_window_were_used_up() -> None:
    window = Window(Limit(40, 5.0))
    window.assume(1000, 100.0)
    assert window.seconds_until_free(100.0) == pytest.approx(5.015)
    assert window.seconds_until_free(105.02) == 0.0


def test_a_successor_may_use_what_its_predecessor_left() -> None:
    window = Window(Limit(40, 5.0))
    window.assume(38, 100.0)
    assert burst(window, 100.0) == 2
    assert window.seconds_until_free(100.0) == pytest.approx(5.015)


def test_with_as_many_in_flight_as_are_allowed_only_an_answer_makes_room() -> None:
    window = Window(Limit(2, 5.0))
    calls = [window.start(0.0), window.start(0.0)]
    assert window.seconds_until_free(60.0) == float("inf")
    window.end(calls[0], 61.0)
    assert window.seconds_until_free(61.0) == pytest.approx(5.015)


def test_a_call_may_start_as_soon_as_the_wait_is_over_to_the_last_bit() -> None:
    window = Window(Limit(5, 4.0))
    window.assume(5, 0.0)
    wait = window.seconds_until_free(0.0)
    assert (window.seconds_until_free(wait), burst(window, wait)) == (0.0, 5)
    # The same where what counts is a call's latest arrival, which is before its answer.
    window = Window(Limit(5, 4.0))
    in_turn(window, [0.5] * 5, now=-50.0)
    now = in_turn(window, [0.5] * 5)
    wait = window.seconds_until_free(now)
    assert wait == pytest.approx(1.512)
    assert window.seconds_until_free(now + wait) == 0.0


def test_a_wait_is_never_too_short_to_move_the_clock() -> None:
    window = Window(Limit(1, 5.0))
    window.assume(1, 0.0)
    assert window.seconds_until_free(5.0149999) == 0.001


@pytest.mark.parametrize(
    ("rounds", "known"),
    [
        # One at a time, all but the first on a connection that is open.
        ([1] * 4, False),
        ([1] * 5, True),
        # Two at a time: both connections are opened in the first round.
        ([2] * 2, False),
        ([2] * 3, True),
        # All at once: each opens its own.
        ([6], False),
    ],
)
def test_the_paths_delay_is_known_once_four_calls_have_found_a_connection_open(rounds: list[int], known: bool) -> None:
    window = Window(Limit(sum(rounds), 100.0))
    for second, together in enumerate(rounds):
        calls = [window.start(float(second)) for _ in range(together)]
        for call in calls:
            window.end(call, second + 1.0)
    # Until then a call may have arrived as late as it was answered, from then on as early as it was started.
    assert len(rounds) + window.seconds_until_free(float(len(rounds))) == pytest.approx(100.3 if known else 101.3)


def test_a_call_counts_as_later_by_what_its_round_trip_took_longer_than_the_fastest() -> None:
    window = Window(Limit(6, 100.0))
    now = in_turn(window, [3.0, 1.5, 1.0, 2.0, 1.25, 1.0], now=10.0)
    assert now + window.seconds_until_free(now) == pytest.approx(10.0 + 3.0 - 1.0 + 100.3)


def test_a_path_that_became_slower_is_known_after_400_calls() -> None:
    def arrival_of_the_next_after(slow: int) -> float:
        window = Window(Limit(1, 5.0))
        now = in_turn(window, [0.5] * 5 + [1.0] * slow)
        window.seconds_until_free(now + 10.0)
        now = in_turn(window, [1.0], now + 10.0)
        return window.seconds_until_free(now)

    # Before that, a whole window from half a second after its start, then from its start.
    assert arrival_of_the_next_after(398) == pytest.approx(4.515)
    assert arrival_of_the_next_after(399) == pytest.approx(4.015)


def test_what_a_predecessor_sent_counts_from_when_it_was_assumed_however_slow_the_path_is() -> None:
    window = Window(Limit(6, 100.0))
    window.assume(1, 50.0)
    now = in_turn(window, [2.0] * 5, now=50.0)
    assert now + window.seconds_until_free(now) == pytest.approx(150.3)


def test_the_earliest_of_the_latest_arrivals_leaves_first_in_whatever_order_the_answers_came() -> None:
    window = Window(Limit(402, 10.0))
    in_turn(window, [1.5] * 5, now=-100.0)
    slow, others = window.start(0.0), [window.start(0.5) for _ in range(400)]
    window.end(window.start(1.0), 1.125)
    window.end(slow, 1.5)
    for call in others:
        window.end(call, 2.0)
    # The fastest round trip of the last 400 is 1.5 s: the slow call arrived at 0 s, the quick one at 1 s.
    assert 2.0 + window.seconds_until_free(2.0) == pytest.approx(10.03)


def test_a_429_closes_the_window_then_half_the_calls_probe_and_full_speed_returns() -> None:
    window = Window(Limit(40, 5.0))
    window.throttled(0.0, 7.0)
    assert window.seconds_until_free(3.0) == 4.0
    assert burst(window, 7.0) == 20
    assert burst(window, 13.0) == 40


def test_the_429s_of_one_burst_close_the_window_for_the_longest_wait_and_halve_once() -> None:
    window = Window(Limit(40, 5.0))
    window.throttled(0.0, 7.0)
    window.throttled(1.0, 2.0)
    assert window.seconds_until_free(3.0) == 4.0
    window.throttled(3.0, 8.0)
    assert window.seconds_until_free(3.0) == 8.0
    assert burst(window, 11.0) == 20


def test_a_429_to_a_probe_halves_again_down_to_one_call() -> None:
    window, allowed = Window(Limit(40, 5.0)), []
    for second in range(0, 56, 8):
        window.throttled(float(second), 8.0)
        allowed.append(burst(window, second + 8.0))
    assert allowed == [20, 10, 5, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("after", "allowed"),
    [(0.0, 1), (4.999, 1), (5.0, 2), (9.999, 2), (10.0, 4), (15.0, 8), (20.0, 16), (25.0, 32), (30.0, 40), (999.0, 40)],
)
@pytest.mark.parametrize("step", [0.25, 1000.0])
def test_each_window_without_a_429_doubles_what_is_allowed_whether_or_not_somebody_asked(
    after: float, allowed: int, step: float
) -> None:
    window = Window(Limit(40, 5.0))
    for second in range(6):
        window.throttled(float(second), 1.0)
    now = 6.0
    while (now := now + step) < 6.0 + after:
        window.seconds_until_free(now)
    assert burst(window, 6.0 + after) == allowed


def test_halved_in_a_full_window_it_waits_for_as_many_to_leave_as_are_too_many() -> None:
    window = Window(Limit(5, 5.0))
    for second in range(5):
        window.assume(1, second / 2)
    window.throttled(2.0, 0.25)
    # Two are allowed now, so four of the five have to leave: the fourth arrived at 1.5 s.
    assert 2.25 + window.seconds_until_free(2.25) == pytest.approx(1.5 + 5.015)


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
    ledger.give_back(minute, 15)
    assert ledger.left(later, quota) == 15
    assert ledger.left(NOON + timedelta(days=1, seconds=59), quota) == 15
    assert ledger.left(NOON + timedelta(days=1, minutes=1), quota) == 75


def test_a_call_can_be_made_now_while_any_is_left() -> None:
    quota, ledger = Limit(100, 86400.0), Ledger()
    assert ledger.frees_at(NOON, quota) == NOON
    ledger.set_aside(NOON, 99)
    assert ledger.frees_at(NOON, quota) == NOON


def test_calls_free_up_when_so_many_have_left_that_the_quota_is_no_longer_used_up() -> None:
    # Not in the order of their minutes; and the quota was lowered meanwhile.
    quota, ledger = Limit(5, 3600.0), Ledger()
    for minutes, calls in ((20, 4), (0, 3), (10, 2), (30, 1)):
        ledger.set_aside(NOON + timedelta(minutes=minutes), calls)
    now = NOON + timedelta(minutes=30)
    assert (ledger.used(now, quota), ledger.left(now, quota)) == (10, 0)
    # The first two leave 5 of 5 behind.
    assert ledger.frees_at(now, quota) == NOON + timedelta(hours=1, minutes=20 + 1)


def test_what_is_given_back_was_never_used_and_of_a_minute_that_is_over_nothing_is() -> None:
    quota, ledger = Limit(100, 3600.0), Ledger()
    minute = ledger.set_aside(NOON, 40)
    ledger.give_back(minute, 40)
    assert ledger.left(NOON, quota) == 100
    minute = ledger.set_aside(NOON, 40)
    assert ledger.used(NOON + timedelta(hours=2), quota) == 0
    ledger.give_back(minute, 0)
    ledger.give_back(minute, 40)
    assert ledger == Ledger()


@pytest.mark.parametrize(
    "ledger", [Ledger(), Ledger(quota_until=NOON), Ledger(outage=NOON), Ledger(quota_until=NOON, outage=NOON)]
)
def test_the_ledger_survives_a_restart(ledger: Ledger) -> None:
    ledger.set_aside(NOON, 7)
    assert Ledger.parse(ledger.dump()) == ledger


def test_the_same_ledger_is_the_same_bytes_in_whatever_order_calls_were_counted() -> None:
    ledger = Ledger(outage=NOON + timedelta(microseconds=5))
    for seconds in (150, 0, 59):
        ledger.set_aside(NOON + timedelta(seconds=seconds), 7)
    expected = """{
  "schema": 1,
  "calls": {
    "29925360": 14,
    "29925362": 7
  },
  "quota_until": null,
  "outage": "2026-11-24T12:00:00.000005+00:00"
}"""
    assert ledger.dump().decode() == expected


@pytest.mark.parametrize(
    ("damage", "ignored"),
    [
        (b"", 0),
        (b"{}", 0),
        (b"[]", 1),
        (b"\xff", 1),
        (b"[" * 5000, 1),
        (b'{"calls": 3}', 1),
        (b'{"calls": {"x": 1, "-5": 1, "": 1, "\xd9\xa7": 1, "99999999999999999999": 1}}', 5),
        (b'{"calls": {"29925360": -1, "29925361": 1e300, "29925362": 99999999, "29925363": true}}', 4),
        (b'{"calls": {"29925360": "7", "29925361": null, "29925362": [[]], "29925363": 1.5}}', 4),
        (b'{"outage": 7, "quota_until": {}}', 2),
        (b'{"outage": "2026-11-24T12:00:00", "quota_until": "9999-12-31T23:59:59-01:00"}', 2),
        (b'{"outage": "0001-01-01T00:00:00+14:00", "quota_until": "soon"}', 2),
    ],
)
def test_what_is_damaged_in_a_ledger_does_not_count(damage: bytes, ignored: int) -> None:
    found = Ledger.parse(damage)
    assert (found, found.ignored) == (Ledger(), ignored)


def test_what_is_damaged_in_a_ledger_costs_nothing_else() -> None:
    ledger = Ledger(quota_until=NOON)
    ledger.set_aside(NOON, 7)
    damaged = ledger.dump().replace(b'"calls": {', b'"calls": {"soon": 3,').replace(b"null", b'"9999-99-99"')
    found = Ledger.parse(damaged)
    assert (found, found.ignored) == (ledger, 2)


@pytest.mark.parametrize(
    ("ahead", "used"), [(timedelta(hours=1), 7), (timedelta(hours=1, minutes=1), 0), (timedelta(days=300_000), 0)]
)
def test_calls_of_a_minute_that_is_yet_to_come_count_up_to_an_hour_ahead(ahead: timedelta, used: int) -> None:
    quota, ledger = Limit(7, 86400.0), Ledger()
    ledger.set_aside(NOON + ahead, 7)
    assert (ledger.used(NOON, quota), ledger.frees_at(NOON, quota) > NOON) == (used, used == 7)


@pytest.mark.parametrize(
    ("until", "counts"),
    [
        (None, False),
        (NOON, False),
        (NOON + timedelta(seconds=1), True),
        (NOON + timedelta(hours=2), True),
        # By an instance whose clock was ahead, or by nobody: no pause is longer than an hour.
        (NOON + timedelta(hours=2, seconds=1), False),
        (datetime(2999, 12, 31, tzinfo=UTC), False),
    ],
)
def test_a_pause_that_is_longer_than_any_is_none(until: datetime | None, counts: bool) -> None:
    assert Ledger(quota_until=until).refused_until(NOON) == (until if counts else None)


def _ledgers() -> st.SearchStrategy[bytes]:
    values: st.SearchStrategy[object] = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.datetimes().map(str),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    )
    minutes = st.integers(29_900_000, 29_999_999).map(str) | st.integers().map(str) | st.text(max_size=5)
    calls = st.dictionaries(minutes, st.integers(0, 5000) | values, max_size=5) | values
    times = st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat) | values
    documents = st.fixed_dictionaries({}, optional={"calls": calls, "quota_until": times, "outage": times})
    return documents.map(lambda document: json.dumps(document).encode()) | st.binary(max_size=20)


@given(_ledgers())
def test_whatever_a_ledger_holds_sending_is_silent_for_a_day_and_two_hours_at_most(data: bytes) -> None:
    quota, ledger = Limit(100, 86400.0), Ledger.parse(data)
    until = ledger.refused_until(NOON) or NOON
    frees = ledger.frees_at(NOON, quota)
    assert NOON <= max(until, frees) <= NOON + timedelta(days=1, hours=2)
    assert 0 <= ledger.left(NOON, quota) <= quota.calls
    assert Ledger.parse(ledger.dump()) == ledger


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
