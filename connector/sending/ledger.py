"""What the next sender must know: calls of the last 24 hours, the quota, an outage. Pure: time is an argument."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from connector.outside.store import UPLINK, newer
from connector.vocabulary import plausible
from connector.vocabulary.errors import StateUnusable
from connector.vocabulary.limits import Limit

LEDGER_SCHEMA = 1
SKEW = timedelta(hours=1)
"""What an instance whose clock is ahead by more has counted or noted is of no time that will come: it is ignored."""
LONGEST_QUOTA_WAIT = timedelta(hours=1)
"""Retry-After says when to ask again, not how long to trust it: an absurd value must not silence the connector."""
MOST_CALLS = 1_000_000
"""No minute has more."""


@dataclass(slots=True)
class Ledger:
    """`uplink.json`: what the next sender must know. Calls of the last 24 hours by minute, as minutes since 1970.

    `quota_until`: Graph itself said that the quota is used up, and this is when to try again. `outage`: since when
    nothing has gone through; the next sender tries with one request alone.
    """

    calls: dict[int, int] = field(default_factory=dict)
    quota_until: datetime | None = None
    outage: datetime | None = None
    ignored: int = field(default=0, compare=False)
    """How much of what was read cannot be, and does not count."""

    @classmethod
    def parse(cls, data: bytes) -> Ledger:
        """What is damaged counts as nothing: Graph keeps its own count, and says 429.

        Raises StateUnusable for a newer version's.
        """
        try:
            found = orjson.loads(data) if data.strip() else {}
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            return cls(ignored=1)
        schema = found.get("schema", LEDGER_SCHEMA)
        if isinstance(schema, int) and schema > LEDGER_SCHEMA:
            raise StateUnusable(f"runs/{UPLINK}", [newer(schema)])
        ledger = cls()
        calls = found.get("calls", {})
        for minute, count in calls.items() if isinstance(calls, dict) else [(None, calls)]:
            number = _minute_of(minute)
            if number is not None and type(count) is int and 0 <= count <= MOST_CALLS:
                ledger.calls[number] = count
            else:
                ledger.ignored += 1
        ledger.quota_until = ledger._moment(found.get("quota_until"))
        ledger.outage = ledger._moment(found.get("outage"))
        return ledger

    def _moment(self, value: Any) -> datetime | None:
        at = plausible.moment(value)
        self.ignored += value is not None and at is None
        return at

    def dump(self) -> bytes:
        # Sorted, so that the same calls are the same bytes: the uplink writes a ledger only when it has changed.
        document = {
            "schema": LEDGER_SCHEMA,
            "calls": self.calls,
            "quota_until": self.quota_until,
            "outage": self.outage,
        }
        option = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        return orjson.dumps(document | {"calls": dict(sorted(self.calls.items()))}, option=option)

    def refused_until(self, now: datetime) -> datetime | None:
        """Until when Graph is not to be asked, by its own word; None also for a word that it cannot have given."""
        until = self.quota_until
        return until if until and now < until <= now + LONGEST_QUOTA_WAIT + SKEW else None

    def used(self, now: datetime, quota: Limit) -> int:
        """Calls in the window that ends now. A minute counts until its last second has left the window."""
        oldest, newest = _minute(now - timedelta(seconds=quota.seconds)), _minute(now + SKEW)
        self.calls = {minute: calls for minute, calls in self.calls.items() if oldest <= minute <= newest}
        return sum(self.calls.values())

    def left(self, now: datetime, quota: Limit) -> int:
        return max(0, quota.calls - self.used(now, quota))

    def set_aside(self, now: datetime, calls: int) -> int:
        """Counts calls before they are made, so that a crash cannot lose count; gives the minute they count in."""
        minute = _minute(now)
        self.calls[minute] = self.calls.get(minute, 0) + calls
        return minute

    def give_back(self, minute: int, calls: int) -> None:
        """Of what was set aside, `calls` were not made."""
        if minute in self.calls:
            self.calls[minute] -= calls

    def frees_at(self, now: datetime, quota: Limit) -> datetime:
        """When a call can be made again: now, or as the oldest minutes leave the window."""
        free, moment = quota.calls - self.used(now, quota), now
        for minute in sorted(self.calls):
            if free > 0:
                break
            free += self.calls[minute]
            moment = datetime.fromtimestamp((minute + 1) * 60, UTC) + timedelta(seconds=quota.seconds)
        return moment


def _minute(now: datetime) -> int:
    return int(now.timestamp()) // 60


def _minute_of(text: object) -> int | None:
    good = isinstance(text, str) and len(text) <= 12 and text.isascii() and text.isdecimal()
    return int(str(text)) if good else None
