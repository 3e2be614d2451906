"""Durations and rates as settings spell them: `24h`, `40/5s`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> timedelta:
    """`90s`, `25m`, `24h`, `1.5d`, `500ms` as a timedelta. Raises ValueError for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*", text)
    if not match:
        raise ValueError("wants a number and a unit of ms, s, m, h or d, such as 24h")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `calls` in any window of `seconds`."""

    calls: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Limit:
        """`40/5s`, `2000/24h`. Raises ValueError."""
        calls, slash, window = text.partition("/")
        if not slash or not calls.strip().isdecimal() or int(calls) < 1:
            raise ValueError("wants calls/window, such as 40/5s")
        seconds = duration(window).total_seconds()
        if seconds <= 0:
            raise ValueError("wants a window longer than nothing, such as 40/5s")
        return cls(int(calls), seconds)
