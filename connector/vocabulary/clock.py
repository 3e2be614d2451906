"""The clock, passed in wherever time is read or waited for, so that tests turn it and nothing is patched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

NEGLIGIBLE = timedelta(minutes=5)
"""Clocks that differ by less agree: what is counted against them are hours."""


class Clock(Protocol):
    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds that only grow; for differences alone."""

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds` of this clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """What two clocks show at one moment, of which nobody knows which is right: this instance's, and Graph's."""

    ours: datetime
    graphs: datetime

    @property
    def ahead(self) -> timedelta:
        """How far Graph's clock is ahead of ours; zero where they agree."""
        ahead = self.graphs - self.ours
        return ahead if abs(ahead) > NEGLIGIBLE else timedelta()

    @property
    def now(self) -> datetime:
        """Where they disagree, Graph's: it is the one that the provisioning log is written by."""
        return self.graphs if self.ahead else self.ours

    @property
    def earliest(self) -> datetime:
        """What ends with time ends by both clocks: neither being ahead ends anything too early."""
        return min(self.ours, self.graphs) if self.ahead else self.ours

    @property
    def latest(self) -> datetime:
        """Nothing can have happened after this, by whichever clock it was written down."""
        return max(self.ours, self.graphs) + NEGLIGIBLE
