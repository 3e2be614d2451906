"""What the next sender must know: calls of the last 24 hours, the quota, an outage. Pure: time is an argument."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import orjson

from connector.outside.store import UPLINK, newer
from connector.vocabulary.errors import StateUnusable
from connector.vocabulary.limits import Limit

LEDGER_SCHEMA = 1
_AHEAD = timedelta(hours=1)
"""A minute that is further ahead is no other instance's clock, but damage."""


@dataclass(slots=True)
class Ledger:
    """`uplink.json`: what the next sender must know. Calls of the last 24 hours by minute, as minutes since 1970.

    `quota_until`: Graph itself said that the quota is used up, and this is when to try again. `outage`: since when
    nothing has gone through; the next sender tries with one request alone.
    """

    schema: int = LEDGER_SCHEMA
    calls: dict[int, int] = field(default_factory=dict)
    quota_until: datetime | None = None
    outage: datetime | None = None

    @classmethod
    def parse(cls, data: bytes) -> Ledger:
        """A ledger that is damaged counts as empty: Graph keeps its own count, and says 429.

        Raises StateUnusable for a newer version's.
        """
        try:
            found = orjson.loads(data)
            schema = int(found.get("schema", 0))
            if schema > LEDGER_SCHEMA:
                raise StateUnusable(f"runs/{UPLINK}", [newer(schema)])
            return cls(
                calls={int(minute): int(calls) for minute, calls in found.get("calls", {}).items()},
                quota_until=_moment(found.get("quota_until")),
                outage=_moment(found.get("outage")),
            )
        except (ValueError, AttributeError, TypeError):
            return cls()

    def dump(self) -> bytes:
        # Sorted, so that the same calls are the same bytes: the uplink writes a ledger only when it has changed.
        return orjson.dumps(self, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS)

    def used(self, now: datetime, quota: Limit) -> int:
        """Calls in the window that ends now. A minute counts until its last second has left the window."""
        oldest, latest = _minute(now - timedelta(seconds=quota.seconds)), _minute(now + _AHEAD)
        self.calls = {minute: calls for minute, calls in self.calls.items() if oldest <= minute <= latest}
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


def _moment(text: str | None) -> datetime | None:
    moment = datetime.fromisoformat(text) if text else None
    if moment is not None and moment.tzinfo is None:
        raise ValueError("no offset")
    return moment
