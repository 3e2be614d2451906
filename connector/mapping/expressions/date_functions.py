"""The functions of the expression language that deal in dates. Dates travel as text, in UTC.

Facts: the page "Reference for writing expressions for attribute mappings in Microsoft Entra ID"; DateAdd and DateDiff
as in VB.NET (Microsoft.VisualBasic.DateAndTime).
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from connector.mapping.dotnet.dates import (
    DateFormat,
    FormatError,
    Moment,
    Styles,
    conversion_fault,
    date_format,
    date_styles,
)
from connector.mapping.expressions.plain_dates import DATE_SHAPES, read_date, write_date
from connector.mapping.expressions.values import Site, Value, empty_side, integer, text

INTERVALS: Final = ("yyyy", "m", "d", "ww", "h", "n", "s")
"""The intervals of DateAdd and DateDiff."""

_FILE_TIME_EPOCH: Final = datetime(1601, 1, 1)  # noqa: DTZ001  # wall time in UTC, as every moment here
_SECONDS: Final = {"d": 86400, "ww": 7 * 86400, "h": 3600, "n": 60, "s": 1}


def date_argument(source: Value, index: int, *, site: Site) -> Moment | None:
    """The date that an argument writes; None for null or empty."""
    written = text(source, index, site=site)
    moment = read_date(written)
    if moment is None:
        if not written.strip():
            return None
        raise site.fault(index, f"is not a date in a form that is read without a format, such as {DATE_SHAPES}")
    return moment


def c_date(source: Value, *, site: Site) -> str | None:
    """The date in UTC, as `M/d/yyyy h:mm:ss tt`."""
    moment = date_argument(source, 0, site=site)
    return None if moment is None else write_date(moment.wall)


def date_add(interval: Value, amount: Value, source: Value, *, site: Site) -> str | None:
    """The date moved by whole intervals; years and months clip at the end of the month."""
    unit = _interval(interval, site)
    many = integer(amount, 1, site=site)
    moment = date_argument(source, 2, site=site)
    if moment is None:
        return None
    try:
        if unit in _SECONDS:
            return write_date(moment.wall + timedelta(seconds=many * _SECONDS[unit]))
        months = moment.wall.year * 12 + moment.wall.month - 1 + many * (12 if unit == "yyyy" else 1)
        year, month = divmod(months, 12)
        day = min(moment.wall.day, calendar.monthrange(year, month + 1)[1])
        return write_date(moment.wall.replace(year=year, month=month + 1, day=day))
    except (OverflowError, ValueError):
        raise site.fault(1, "leads past the years 1 to 9999") from None


def date_diff(interval: Value, first: Value, second: Value, *, site: Site) -> int | None:
    """How many intervals from the first date to the second, as VB.NET counts them; null when one is missing."""
    difference = _difference(text(interval, 0, site=site), text(first, 1, site=site), text(second, 2, site=site))
    if difference is not None:
        return difference
    _interval(interval, site)
    for index, date in ((1, first), (2, second)):
        date_argument(date, index, site=site)
    return None


@lru_cache(maxsize=4096)
def _difference(unit: str, first: str, second: str) -> int | None:
    begin, end = read_date(first), read_date(second)
    if begin is None or end is None or unit not in INTERVALS:
        return None
    start, stop = begin.wall, end.wall
    if unit == "yyyy":
        return stop.year - start.year
    if unit == "m":
        return (stop.year - start.year) * 12 + stop.month - start.month
    span = stop - start
    if unit == "ww":
        # From the Sunday of one week to that of the other, each at the date's own time of day.
        span -= timedelta(days=stop.isoweekday() % 7 - start.isoweekday() % 7)
    ticks = span // timedelta(microseconds=1) * 10 + end.tick - begin.tick
    whole = abs(ticks) // (_SECONDS[unit] * 10_000_000)
    return whole if ticks >= 0 else -whole


def _interval(interval: Value, site: Site) -> str:
    unit = text(interval, 0, site=site)
    if unit not in INTERVALS:
        raise site.fault(0, f"is not one of {', '.join(INTERVALS)}")
    return unit


def date_from_num(source: Value, *, site: Site) -> str | None:
    """The date of a Windows file time: 100 ns since 1601-01-01 UTC."""
    if not source:
        return None
    ticks = integer(source, 0, site=site)
    if ticks < 0:
        raise site.fault(0, "is negative; a file time counts from 1601-01-01")
    try:
        return write_date(_FILE_TIME_EPOCH + timedelta(microseconds=ticks // 10))
    except OverflowError:
        raise site.fault(0, "lies past the year 9999") from None


def num_from_date(source: Value, *, site: Site) -> int | None:
    """The Windows file time of a date: 100 ns since 1601-01-01 UTC."""
    moment = date_argument(source, 0, site=site)
    if moment is None:
        return None
    if moment.wall < _FILE_TIME_EPOCH:
        raise site.fault(0, "lies before 1601-01-01, where file times begin")
    return (moment.wall - _FILE_TIME_EPOCH) // timedelta(microseconds=1) * 10 + moment.tick


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DateConversion:
    """FormatDateTime with its formats compiled."""

    styles: Styles
    source: DateFormat
    target: DateFormat

    def convert(self, written: str, *, site: Site) -> str | None:
        """The date in the target format; None for empty text."""
        if not written.strip():
            return None
        moment = self.source.parse(written, self.styles)
        if moment is None:
            # A format out of a column is a value of the row.
            named = "that inputFormat gives" if site.columns[2] else self.source.text
            raise site.fault(0, f"does not have the date format {named}")
        return self.target.format(moment)


def date_conversion(styles: str | None, source: str, target: str) -> DateConversion:
    """Compiles the formats. Raises FormatError, also where .NET would fill in today's date."""
    conversion = DateConversion(
        styles=date_styles(styles) if styles else date_styles("AllowLeadingWhite, AllowTrailingWhite, RoundtripKind"),
        source=date_format(source),
        target=date_format(target),
    )
    fault = conversion_fault(conversion.source, conversion.target)
    if fault is not None:
        raise FormatError(fault, 0)
    return conversion


def format_date_time(
    source: Value, styles: Value, source_format: Value, target_format: Value, *, site: Site
) -> str | None:
    """The date, read with one .NET format and written with another; null for null or empty."""
    written = text(source, 0, site=site)
    first, second = text(source_format, 2, site=site), text(target_format, 3, site=site)
    try:
        conversion = date_conversion(text(styles, 1, site=site), first, second)
    except FormatError as error:
        why = "" if any(site.columns[1:]) else f": {error.message}"
        raise site.fault(2, f"or the output format cannot be used{why}") from None
    return conversion.convert(written, site=site)


def now_text(now: datetime) -> str:
    """The landing time as CDate writes a date, in UTC."""
    return write_date(now.astimezone(UTC).replace(tzinfo=None))


def equal_date(left_side: Value, right_side: Value, *, site: Site) -> bool:
    """Same instant; two that are empty are equal."""
    return _instant(left_side, 0, site) == _instant(right_side, 1, site)


def order_date(left_side: Value, right_side: Value, *, site: Site) -> int:
    """-1, 0 or 1, by time. Raises ValueFault when a side is not a date."""
    first, second = _instant(left_side, 0, site), _instant(right_side, 1, site)
    if first is None or second is None:
        raise empty_side(0 if first is None else 1, site=site)
    return (first > second) - (first < second)


def _instant(side: Value, index: int, site: Site) -> tuple[datetime, int] | None:
    moment = date_argument(side, index, site=site)
    return None if moment is None else (moment.wall, moment.tick)
