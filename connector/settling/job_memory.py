"""What a poll of a job's log has shown, so that the next one costs little where it shows nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b

import orjson

from connector.vocabulary import plausible
from connector.vocabulary.event import Event

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Polled:
    """One run at the end of a poll: its ETag, when Entra had the first of it, and from when on silence alone may
    change what is said of it (None: never)."""

    etag: str
    first: datetime | None = None
    look_again: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobMemory:
    """`runs/_jobs/<jobId>.json`: the runs by `<feed>/<run>`, and the digest of the log's events that the next poll
    would give if nothing happened."""

    runs: Mapping[str, Polled] = field(default_factory=dict)
    digest: str = ""

    @classmethod
    def parse(cls, data: bytes) -> JobMemory:
        """What is damaged, or another version's, counts as nothing: everything is looked at again."""
        try:
            found = orjson.loads(data)
            if found["schema"] != SCHEMA:
                return cls()
            runs = {
                str(key): Polled(str(run["etag"]), _moment(run["first"]), _moment(run["look_again"]))
                for key, run in found["runs"].items()
            }
            return cls(runs, str(found["digest"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def dump(self) -> bytes:
        return orjson.dumps(
            {"schema": SCHEMA, "runs": self.runs, "digest": self.digest},
            option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS,
        )


def _moment(text: str | None) -> datetime | None:
    moment = plausible.moment(text)
    if text and moment is None:
        raise ValueError("no time")
    return moment


class LogDigest:
    """Of a set of events, in whatever order they come: by minute, so that a later start can be asked for too."""

    def __init__(self) -> None:
        self._by_minute: dict[int, int] = {}

    def add(self, event: Event) -> None:
        words = f"{event.id}\n{event.at.isoformat()}\n{event.status}\n{event.action}".encode()
        word = int.from_bytes(blake2b(words, digest_size=16).digest())
        minute = int(event.at.timestamp()) // 60
        # A sum: an event that is listed twice must not look like one that is not there.
        self._by_minute[minute] = self._by_minute.get(minute, 0) + word

    def since(self, start: datetime) -> str:
        """Of the events from the minute of `start` on."""
        first = int(start.timestamp()) // 60
        whole = sum(word for minute, word in self._by_minute.items() if minute >= first)
        return f"{start.isoformat()} {whole % 2**128:032x}"
