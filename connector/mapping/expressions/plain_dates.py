"""Dates as they are read without a format (CDate and its kin), and as the language itself writes them.

Facts: the page "Reference for writing expressions", CDate; DateTime.Parse in the invariant culture
(.NET).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from connector.mapping.dotnet.dates import MONTHS, SHORT_MONTHS, WEEKDAYS, Moment, Zone, is_no_offset, zone_fields

_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d{1,7}))?)?(?: ?(?P<half>[AP]M))?"
_OFFSET = r" ?(?P<zone>Z|GMT|UTC|[+-]\d{2}:?\d{2})"
_MONTH = "(?P<name>" + "|".join(f"{name[:3]}(?:{name[3:]})?" for name in MONTHS) + ")"
_WEEKDAY = "(?:(?P<weekday>" + "|".join(f"{name[:3]}(?:{name[3:]})?" for name in WEEKDAYS) + "),? )?"
_LIBERAL = tuple(
    re.compile(rf"{day}(?:(?:T| |, ){_CLOCK})?(?:{_OFFSET})?", re.ASCII | re.IGNORECASE)
    for day in (
        r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})",
        r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})",
        r"(?P<year>\d{4})/(?P<month>\d{1,2})/(?P<day>\d{1,2})",
        rf"{_WEEKDAY}(?P<day>\d{{1,2}})[ -]{_MONTH}[ -](?P<year>\d{{4}})",
        rf"{_WEEKDAY}{_MONTH} (?P<day>\d{{1,2}}),? (?P<year>\d{{4}})",
    )
)

DATE_SHAPES: Final = "2020-03-16, 2020-03-16-07:00, 2020-03-16T07:00:00Z, 3/16/2020 7:00:00 AM or 16 Mar 2020"


@lru_cache(maxsize=4096)
def read_date(text: str) -> Moment | None:
    """A date in one of the forms that DateTime.Parse and this language's own functions write, in UTC; else None.

    ISO 8601, month/day/year as CDate writes it, year/month/day, and English month names; each with an optional time and
    offset. A date without an offset is taken as UTC. A time without a date is none: .NET would add today.
    """
    bare = text.strip()
    for pattern in _LIBERAL:
        found = pattern.fullmatch(bare)
        if found is not None:
            return _liberal(found.groupdict())
    return None


def _liberal(parts: dict[str, Any]) -> Moment | None:
    name, weekday, zone = parts.get("name"), parts.get("weekday"), parts["zone"]
    hour, half = int(parts["hour"] or 0), parts["half"]
    if half is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half.upper() == "PM" else 0)
    offset = dict(zone_fields(zone)) if zone else {}
    ticks = int((parts["fraction"] or "").ljust(7, "0"))
    month = SHORT_MONTHS.index(name[:3].title()) + 1 if name else int(parts["month"])
    if is_no_offset(offset):
        return None
    try:
        wall = datetime(  # noqa: DTZ001  # see _assembled
            int(parts["year"]),
            month,
            int(parts["day"]),
            hour,
            int(parts["minute"] or 0),
            int(parts["second"] or 0),
            ticks // 10,
        )
        if weekday and WEEKDAYS[wall.weekday()][:3].lower() != weekday[:3].lower():
            return None
        wall -= timedelta(minutes=offset.get("offset", 0))
    except (ValueError, OverflowError):
        return None
    return Moment(wall=wall, tick=ticks % 10, zone=Zone.UTC)


@lru_cache(maxsize=4096)
def write_date(wall: datetime) -> str:
    """A date in UTC as CDate, Now and DateAdd write it: `M/d/yyyy h:mm:ss tt`."""
    half = "PM" if wall.hour >= 12 else "AM"
    clock = f"{(wall.hour + 11) % 12 + 1}:{wall.minute:02}:{wall.second:02} {half}"
    return f"{wall.month}/{wall.day}/{wall.year:04} {clock}"
