"""What can be wrong with a pattern, or with matching it."""

from __future__ import annotations


class PatternError(ValueError):
    """A pattern that .NET would refuse, or that has no equal here; `offset` counts from 0 into the pattern."""

    def __init__(self, message: str, offset: int) -> None:
        self.message = message
        self.offset = offset
        super().__init__(message)


class TimedOut(Exception):
    """A match took longer than its bound, which was so many seconds."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        super().__init__("a match took too long")


class TooLong(Exception):
    """What replaces the matches has more characters than it may have."""
