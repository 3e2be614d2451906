"""What can go wrong, as a tree; the class says what the caller does next.

ConnectorError
├── Unusable            nothing that a retry could mend: somebody must change a file
│   ├── FeedUnusable    ... the feed file
│   ├── DropUnusable    ... the drop as a whole
│   └── StateUnusable   ... a blob of the connector's own state: damaged, or of a newer version
├── Retryable           the same call may go through later, after `wait` seconds
│   ├── StorageDown     ... when the storage account answers again, without which nothing can be done
│   └── Exceeded        ... at the next tick: the answer was beyond a bound, and would be again
├── Refused             Entra answered 400: the request's content is at fault
├── Stopped             an administrator must act first (404, a token that cannot be had)
│   ├── Forbidden       ... and grant a permission (403)
│   └── BlobRefused     ... on one blob of the storage account: no other is concerned
│       └── DropRefused ... which is a drop: it waits, and that is said
└── Conflict            somebody else changed or holds the blob: read again
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong, as data.

    `message` says what is wrong and names the key or column, never a person's value. `advice` says what to do.
    `column` is a drop's column or a feed file's key (dotted). `line` and `position` count from 1; 0 is "none".
    """

    message: str
    advice: str = ""
    column: str = ""
    line: int = 0
    position: int = 0

    def __str__(self) -> str:
        where = f"line {self.line}" + (f", column {self.position}" if self.position else "") if self.line else ""
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} ({self.advice})" if self.advice else text


class ConnectorError(Exception):
    """The root of everything that the connector raises on purpose."""


class Unusable(ConnectorError):
    """A file that somebody must change. Carries every fault that was found, not the first."""

    def __init__(self, name: str, faults: Sequence[Fault]) -> None:
        self.name = name
        self.faults = tuple(faults)
        super().__init__("\n".join(f"{name}: {fault}" for fault in self.faults))


class FeedUnusable(Unusable):
    """The feed file cannot be used; `faults` carry lines."""


class DropUnusable(Unusable):
    """The drop as a whole cannot be read."""


class StateUnusable(Unusable):
    """A blob that the connector wrote itself: damaged, or written by a newer version. It concerns its run alone."""


class Retryable(ConnectorError):
    """The same call may succeed later. `wait` is what the other side asked for, in seconds, where it did."""

    def __init__(self, message: str, *, wait: float | None = None) -> None:
        self.wait = wait
        super().__init__(message)


class StorageDown(Retryable):
    """The storage account does not answer, or answers that it cannot."""


class Exceeded(Retryable):
    """An answer that is too large, too slow or without an end. Asked for again at once, it would be the same."""


class Refused(ConnectorError):
    """Entra answered 400. `code` and `message` are Graph's own words."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}" if message else code)


class Stopped(ConnectorError):
    """Sending or settling cannot go on until an administrator acts. `advice` says what to do."""

    def __init__(self, message: str, *, advice: str) -> None:
        self.message = message
        self.advice = advice
        super().__init__(f"{message} ({advice})")


class Forbidden(Stopped):
    """403: whoever asked may not."""


class BlobRefused(Stopped):
    """Storage refuses what was asked of one blob, until that is changed: its tier, its type, its name, a hold."""


class DropRefused(BlobRefused):
    """Storage refuses to show a drop until somebody acts on it: it is in the archive tier."""


class Conflict(ConnectorError):
    """A compare-and-swap lost, or another instance holds the lease."""
