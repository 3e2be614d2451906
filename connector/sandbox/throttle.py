"""A true sliding window: at most so many calls in any window, wherever it is laid."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from connector.vocabulary.limits import Limit

_ROUNDING = 1e-9
"""Seconds that sums of floats may be off: a caller who waited for exactly the window's length is not refused for it."""


class SlidingWindow:
    """Admits at most `limit.calls` in any half-open window of `limit.seconds`; times are seconds that only grow."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._admitted: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Seconds from `now` until a call would be admitted; 0.0 where it would be at once."""
        while self._admitted and self._admitted[0] + self.limit.seconds <= now + _ROUNDING:
            self._admitted.popleft()
        if len(self._admitted) < self.limit.calls:
            return 0.0
        return self._admitted[-self.limit.calls] + self.limit.seconds - now

    def count(self, now: float) -> None:
        """One call at `now`."""
        self._admitted.append(now)


def most_in_any_window(times: Iterable[float], seconds: float) -> int:
    """The largest number of `times` in any half-open window of `seconds`."""
    window: deque[float] = deque()
    most = 0
    for time in sorted(times):
        while window and window[0] + seconds <= time + _ROUNDING:
            window.popleft()
        window.append(time)
        most = max(most, len(window))
    return most
