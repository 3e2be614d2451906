"""Times and numbers that somebody else wrote: plausible, or ignored. Nothing here raises, whatever it is given."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

FIRST = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(3000, 1, 1, tzinfo=UTC)
"""Between these, adding and subtracting what a setting can be stays a time; nothing that happens here is outside."""

LONGEST_RETRY_AFTER = 7 * 86400.0
"""No limit of Graph's is longer than a day; what asks for more than a week is no wait."""

# A certificate is valid for 398 days at most (CA/Browser Forum, Baseline Requirements 6.3.2): a clock that is further
# off would not have found Graph's valid, so that beyond this it is the Date header which is wrong.
WIDEST_SKEW = timedelta(days=398)

_LONGEST = 64
_SECONDS = re.compile(r"\s*([+-]?[0-9]{1,12}(?:\.[0-9]{1,12})?)\s*", re.ASCII)


def moment(value: object, *, zone: timezone | None = None) -> datetime | None:
    """An ISO 8601 time, in UTC. One that does not say its zone is in `zone`, or else of no use."""
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isascii():
        return None
    try:
        at = datetime.fromisoformat(value)
        return _aware(at if at.tzinfo else at.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        return None


def http_date(value: str | None) -> datetime | None:
    """A Date header's time in UTC; None also for one of which nobody can say in which zone it is."""
    if not value or len(value) > _LONGEST or not value.isascii():
        return None
    try:
        return _aware(parsedate_to_datetime(value))
    # Of texts that are no dates, the parser has raised each of these in one version of Python or another.
    except (ValueError, TypeError, OverflowError, IndexError, AttributeError):
        return None


def _aware(at: datetime) -> datetime | None:
    if at.tzinfo is None:
        return None
    at = at.astimezone(UTC)
    return at if FIRST <= at <= LAST else None


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds of a Retry-After header, given in seconds or as an HTTP date (RFC 9110 section 10.2.3); None if odd.

    Never negative, and never longer than a week. `now` is by the clock of whoever wrote the header, where it is known.
    """
    if value is None:
        return None
    match = _SECONDS.fullmatch(value[:_LONGEST])
    if match:
        seconds = float(match[1])
    else:
        date = http_date(value)
        if date is None:
            return None
        seconds = (date - now).total_seconds()
    return max(0.0, seconds) if seconds <= LONGEST_RETRY_AFTER else None


def ahead_of(date: str | None, before: datetime, after: datetime) -> timedelta | None:
    """How far the clock of a Date header is ahead of ours, by which the call took from `before` to `after`."""
    found = http_date(date)
    if found is None:
        return None
    ahead = found - (before + (after - before) / 2)
    return ahead if abs(ahead) <= WIDEST_SKEW else None
