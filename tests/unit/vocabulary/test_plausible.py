"""Times and numbers from outside, and two clocks: what is believed, and that nothing raises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.vocabulary.clock import NEGLIGIBLE, Clocks
from connector.vocabulary.event import Event
from connector.vocabulary.lines import event_line, parse_event_line
from connector.vocabulary.plausible import FIRST, LAST, LONGEST_RETRY_AFTER, ahead_of, http_date, moment, retry_after

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

digits = st.text(st.characters(categories=["Nd", "Nl", "No", "Zs", "P", "S"]), max_size=40)
zones = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)
iso_times = st.datetimes(timezones=zones).map(datetime.isoformat) | st.datetimes().map(datetime.isoformat)
http_times = st.datetimes(timezones=zones).map(format_datetime)
odd_dates = st.builds(
    "Tue, {} Nov {} {}:{}:{} {}".format,
    *[st.integers(-(10**30), 10**30) | st.integers(0, 99) for _ in range(5)],
    st.sampled_from(["GMT", "-0000", "+9999", "-2400", "+99999999999999999999", "XYZ", ""]),
)
texts = st.text() | digits | iso_times | http_times | odd_dates


def between(at: datetime | None) -> bool:
    return at is None or (at.tzinfo is UTC and FIRST <= at <= LAST)


@given(texts | st.none() | st.integers() | st.floats() | st.lists(st.integers()))
def test_whatever_is_said_to_be_a_time_is_one_that_can_be_counted_with_or_none(value: object) -> None:
    assert between(moment(value))
    assert between(moment(value, zone=UTC))


@given(texts)
def test_whatever_a_header_says_is_a_time_or_a_number_that_can_be_counted_with_or_none(value: str) -> None:
    assert between(http_date(value))
    ahead = ahead_of(value, NOON, NOON)
    assert ahead is None or NOON + ahead == http_date(value)
    wait = retry_after(value, NOON)
    assert wait is None or 0.0 <= wait <= LONGEST_RETRY_AFTER


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-11-24T12:00:00Z", NOON),
        ("2026-11-24T14:00:00.0000000+02:00", NOON),
        ("1970-01-01T00:00:00Z", FIRST),
        ("1969-12-31T23:59:59Z", None),
        ("3000-01-01T00:00:00Z", LAST),
        ("3000-01-01T00:00:01Z", None),
        ("2026-11-24T12:00:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("0001-01-01T00:00:00+01:00", None),
    ],
)
def test_a_time_says_its_zone_and_is_between_1970_and_3000(text: str, found: datetime | None) -> None:
    assert moment(text) == found


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-01:00", "2026-11-24T12:00:00", "soon", "", None, 7])
def test_a_kept_event_without_a_time_is_damage(at: object) -> None:
    event = Event(id="e", at=NOON, person="7001", action="create", status="success")
    line = event_line(event)
    assert parse_event_line(line) == (event, False)
    damaged = line.replace(b'"2026-11-24T12:00:00+00:00"', b"null" if at is None else f'"{at}"'.encode())
    with pytest.raises(ValueError, match="an event without a time"):
        parse_event_line(damaged)


@pytest.mark.parametrize(
    ("graphs", "ahead", "now", "earliest"),
    [
        (NOON, timedelta(), NOON, NOON),
        # Within five minutes they agree, and ours is the finer one.
        (NOON + NEGLIGIBLE, timedelta(), NOON, NOON),
        (NOON - NEGLIGIBLE, timedelta(), NOON, NOON),
        (NOON + timedelta(hours=30), timedelta(hours=30), NOON + timedelta(hours=30), NOON),
        (NOON - timedelta(hours=30), timedelta(hours=-30), NOON - timedelta(hours=30), NOON - timedelta(hours=30)),
    ],
)
def test_where_two_clocks_disagree_graphs_counts_and_nothing_ends_before_it_does_by_both(
    graphs: datetime, ahead: timedelta, now: datetime, earliest: datetime
) -> None:
    clocks = Clocks(ours=NOON, graphs=graphs)
    assert (clocks.ahead, clocks.now, clocks.earliest) == (ahead, now, earliest)
    assert clocks.latest == max(NOON, graphs) + NEGLIGIBLE
