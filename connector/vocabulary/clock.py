"""The clock, passed in wherever time is read or waited for, so that tests turn it and nothing is patched."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds that only grow; for differences alone."""

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds` of this clock."""
