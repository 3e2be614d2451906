"""Faults by script: which call of which endpoint goes wrong, and how. Shared by the sandbox and the storage proxy."""

from __future__ import annotations

import enum
import random
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from connector.vocabulary.errors import Fault, Unusable
from connector.vocabulary.limits import duration


class Endpoint(enum.StrEnum):
    TOKEN = "token"
    UPLOAD = "upload"
    JOB = "job"
    LOG = "log"
    STORAGE = "storage"


class Action(enum.StrEnum):
    """What happens to the call. "Processed" means that it takes effect, whatever the caller is told."""

    DROP_BEFORE = "drop-before"
    """The connection is reset before the request is read; not processed."""
    DROP_AFTER = "drop-after"
    """Processed, then the connection is reset instead of an answer."""
    HALF = "half"
    """Processed, then the answer's head and half of its body (half of the status line if it has none), and the end."""
    STATUS = "status"
    """Answered with `status` (and `retry_after`) at once; not processed."""
    STATUS_AFTER = "status-after"
    """Processed, then answered with `status` all the same."""
    DELAY = "delay"
    """Processed after `seconds`."""
    HANG = "hang"
    """Never answered: the connection is reset after `seconds` unless the caller gave up before; not processed."""
    HANG_AFTER = "hang-after"
    """Processed, then like `hang`."""
    DOWN = "down"
    """From this call on, for `seconds`, every connection to this endpoint is reset unread."""
    NO_LOCATION = "no-location"
    """Processed; the 202 has no Location header."""
    ODD_LOCATION = "odd-location"
    """Processed; the 202's Location (or the log's nextLink) is `location`."""
    ODD_DATE = "odd-date"
    """Processed; the Date header is `date`."""
    ODD_ENTRIES = "odd-entries"
    """Processed; the log's page begins with entries that cannot be: no id, times of no calendar, values of no kind."""
    DRIP = "drip"
    """Processed; of the answer's body comes a byte each `seconds`."""
    FLOOD = "flood"
    """Processed; in place of the answer's body come `size` MiB, compressed to a thousandth whatever was asked for."""
    EXPIRED_TOKEN = "expired-token"
    """The token handed out has expired, though its `expires_on` says otherwise."""
    REVOKE = "revoke"
    """From this call on the identity has no permission (403)."""
    GRANT = "grant"
    """From this call on it has its permissions again."""
    DELETE_JOB = "delete-job"
    """From this call on there are no jobs (404)."""
    PAUSE = "pause"
    """From this call on the jobs are paused."""
    QUARANTINE = "quarantine"
    """From this call on the jobs are in quarantine."""
    RESUME = "resume"
    """From this call on the jobs are active again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of the script. Every selector that is given must hold.

    `path` and `header` are patterns: the one is searched for in the URL's path (storage: with its query), the other in
    each header as `name: value`, names in lower case.
    `calls` are inclusive ranges of call numbers, counted from 1 among the calls that these select; `every` is "each
    n-th"; `probability` is drawn once a call from the schedule's seed; `after` and `before` are seconds since the
    schedule began; `times` is how often the rule fires at most.
    `retry_after` goes out as it is: seconds, an HTTP date or nonsense; `date+N` is the HTTP date N seconds ahead. So
    does `date`. `body` is what a scripted status is answered with in place of Graph's error.
    """

    on: Endpoint
    do: Action
    calls: tuple[tuple[int, int | None], ...] = ()
    every: int = 0
    probability: float = 1.0
    after: float = 0.0
    before: float = float("inf")
    times: int = 0
    method: str = ""
    path: str = ""
    header: str = ""
    status: int = 503
    retry_after: str = ""
    seconds: float = 30.0
    location: str = ""
    code: str = ""
    body: str = ""
    date: str = ""
    size: int = 1024

    def selects(self, on: Endpoint, method: str, path: str, headers: Iterable[tuple[str, str]]) -> bool:
        if self.on is not on or self.method not in ("", method) or re.search(self.path, path) is None:
            return False
        return not self.header or any(re.search(self.header, f"{name.lower()}: {value}") for name, value in headers)

    def fits(self, number: int, elapsed: float) -> bool:
        if not self.after <= elapsed < self.before:
            return False
        if self.every and number % self.every:
            return False
        return not self.calls or any(first <= number and (last is None or number <= last) for first, last in self.calls)


@dataclass(slots=True)
class Schedule:
    """Rules in order; the first that fires decides. Deterministic for the same seed and the same order of calls."""

    rules: Sequence[Rule] = ()
    seed: int = 0
    _seen: Counter[int] = field(default_factory=Counter)
    _fired: Counter[int] = field(default_factory=Counter)
    _down: dict[Endpoint, tuple[float, Rule]] = field(default_factory=dict)

    def decide(
        self,
        on: Endpoint,
        *,
        method: str = "",
        path: str = "",
        headers: Collection[tuple[str, str]] = (),
        elapsed: float = 0.0,
    ) -> Rule | None:
        """What happens to this call; `elapsed` is seconds since the schedule began. Counts the call."""
        fired: Rule | None = None
        for index, rule in enumerate(self.rules):
            if not rule.selects(on, method, path, headers):
                continue
            self._seen[index] += 1
            if fired is None and self._fires(index, rule, elapsed):
                self._fired[index] += 1
                fired = rule
        until, down = self._down.get(on, (0.0, None))
        if down is not None and elapsed < until:
            return down
        if fired is not None and fired.do is Action.DOWN:
            self._down[on] = (elapsed + fired.seconds, fired)
        return fired

    def _fires(self, index: int, rule: Rule, elapsed: float) -> bool:
        number = self._seen[index]
        if not rule.fits(number, elapsed) or (rule.times and self._fired[index] >= rule.times):
            return False
        # Drawn from the call's own number: what other rules and endpoints do does not change it.
        return rule.probability >= 1 or random.Random(f"{self.seed}/{index}/{number}").random() < rule.probability

    @classmethod
    def parse(cls, text: str | bytes, *, seed: int = 0, name: str = "faults") -> Schedule:
        """From YAML: a list of rules. `call: 17`, `calls: 20-25` or `calls: [1, 3, 9-]`; times as seconds or `5m`.

        Raises Unusable(name) with every fault.
        """
        try:
            entries = yaml.safe_load(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            raise Unusable(name, [Fault(message="not YAML", line=mark.line + 1 if mark else 0)]) from error
        if entries is None:
            entries = []
        if not isinstance(entries, list):
            raise Unusable(name, [Fault(message="wants a list of rules")])
        faults: list[Fault] = []
        rules: list[Rule] = []
        for number, entry in enumerate(entries, 1):
            try:
                rules.append(_rule(entry))
            except ValueError as error:
                faults.append(Fault(message=f"rule {number}: {error}"))
        if faults:
            raise Unusable(name, faults)
        return cls(rules, seed)


def _rule(entry: object) -> Rule:
    if not isinstance(entry, Mapping):
        raise ValueError("wants a mapping")
    # YAML 1.1 reads the bare word `on` as true.
    values: dict[str, Any] = {"on" if key is True else str(key): value for key, value in entry.items()}
    if "call" in values:
        values.setdefault("calls", values.pop("call"))
    for key in ("on", "do"):
        if key not in values:
            raise ValueError(f"{key} is missing")
    unknown = set(values) - set(_READERS)
    if unknown:
        raise ValueError(f"unknown key {', '.join(sorted(unknown))}")
    read: dict[str, Any] = {}
    for key, value in values.items():
        try:
            read[key] = _READERS[key](value)
        except (TypeError, ValueError, re.error) as error:
            raise ValueError(f"{key} {error}") from error
    if read["on"] is Endpoint.STORAGE and read["do"] not in _OF_STORAGE:
        raise ValueError(f"{read['do']} does not apply to storage")
    return Rule(**read)


_OF_STORAGE = frozenset(
    {
        Action.DROP_BEFORE,
        Action.DROP_AFTER,
        Action.HALF,
        Action.STATUS,
        Action.STATUS_AFTER,
        Action.DELAY,
        Action.HANG,
        Action.HANG_AFTER,
        Action.DOWN,
    }
)


def _calls(value: object) -> tuple[tuple[int, int | None], ...]:
    ranges = []
    for item in value if isinstance(value, list) else [value]:
        match = re.fullmatch(r"\s*([1-9]\d*)\s*(?:(-)\s*([1-9]\d*)?)?\s*", str(item))
        if not match:
            raise ValueError("wants call numbers from 1, such as 17, 20-25 or 30-")
        first = int(match[1])
        ranges.append((first, int(match[3]) if match[3] else None if match[2] else first))
    return tuple(ranges)


def _seconds(value: object) -> float:
    if isinstance(value, str):
        return duration(value).total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError("wants a number of seconds, 0 or more, or a duration such as 5m")
    return float(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("wants a whole number from 1")
    return value


def _status(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599:
        raise ValueError("wants an HTTP status between 200 and 599")
    return value


def _probability(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("wants a number between 0 and 1")
    return float(value)


def _pattern(value: object) -> str:
    return re.compile(str(value)).pattern


_READERS: Mapping[str, Any] = {
    "on": Endpoint,
    "do": Action,
    "calls": _calls,
    "every": _whole,
    "probability": _probability,
    "after": _seconds,
    "before": _seconds,
    "times": _whole,
    "method": str,
    "path": _pattern,
    "header": _pattern,
    "status": _status,
    "retry_after": str,
    "seconds": _seconds,
    "location": str,
    "code": str,
    "body": str,
    "date": str,
    "size": _whole,
}
