"""The query options that the provisioning log takes, and nothing more (Graph, "List provisioningObjectSummary")."""

from __future__ import annotations

import base64
import binascii
import hashlib
import operator
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from connector.sandbox.entra import LogEntry


class InvalidQuery(Exception):
    """Graph would answer 400; the message says why."""


TEXT = {
    "id": ("id",),
    "tenantId": ("tenantId",),
    "jobId": ("jobId",),
    # Microsoft's own Location header and articles write it so.
    "jobid": ("jobId",),
    "cycleId": ("cycleId",),
    "changeId": ("changeId",),
    "provisioningAction": ("provisioningAction",),
    "provisioningStatusInfo/status": ("provisioningStatusInfo", "status"),
    "sourceIdentity/id": ("sourceIdentity", "id"),
    "sourceIdentity/displayName": ("sourceIdentity", "displayName"),
    "sourceIdentity/identityType": ("sourceIdentity", "identityType"),
    "targetIdentity/id": ("targetIdentity", "id"),
    "targetIdentity/displayName": ("targetIdentity", "displayName"),
    "targetIdentity/identityType": ("targetIdentity", "identityType"),
    "servicePrincipal/id": ("servicePrincipal", "id"),
    "sourceSystem/displayName": ("sourceSystem", "displayName"),
    "targetSystem/displayName": ("targetSystem", "displayName"),
}
TIMES = {"activityDateTime": ("activityDateTime",)}
NUMBERS = {"durationInMilliseconds": ("durationInMilliseconds",)}
PATHS: Mapping[str, tuple[str, ...]] = {**TEXT, **TIMES, **NUMBERS}
"""The properties that can be filtered by, as they are written, and where an event has them."""

Condition = Callable[[Mapping[str, Any]], bool]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*')
      | (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,7})?)?(?:Z|[+-]\d\d:\d\d))
      | (?P<number>-?\d+)
      | (?P<word>[A-Za-z@][A-Za-z0-9_/]*)
      | (?P<mark>[(),])
    )""",
    re.VERBOSE,
)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def parse_filter(text: str) -> Condition:
    """`$filter`: comparisons (`eq`, `gt`, `ge`, `lt`, `le`) and `contains(property, 'text')`, joined by `and`.

    Values are case sensitive, times are not quoted. Raises InvalidQuery for anything else.
    """
    return _Filter(text).parse()


class _Filter:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if not match or match.lastgroup is None:
                raise InvalidQuery(f"Invalid filter clause: syntax error at position {position}.")
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()

    def parse(self) -> Condition:
        conditions = [self._condition()]
        while self._tokens:
            if self._take("word") != "and":
                raise InvalidQuery("Invalid filter clause: only 'and' joins conditions.")
            conditions.append(self._condition())
        return lambda event: all(condition(event) for condition in conditions)

    def _take(self, kind: str, value: str | None = None) -> str:
        if not self._tokens:
            raise InvalidQuery("Invalid filter clause: it ends too early.")
        found, text = self._tokens.pop(0)
        if found != kind or (value is not None and text != value):
            raise InvalidQuery(f"Invalid filter clause: expected {value or kind}, found {found}.")
        return text

    def _condition(self) -> Condition:
        name = self._take("word")
        if name == "contains":
            return self._contains()
        path = _path(name)
        word = self._take("word")
        compare = _COMPARE.get(word)
        if compare is None:
            raise InvalidQuery(f"Invalid filter clause: the operator '{word}' is not supported.")
        if name in TIMES:
            moment = _moment(self._take("time"))
            return lambda event: compare(_moment(_value(event, path)), moment)
        if name in NUMBERS:
            number = int(self._take("number"))
            return lambda event: compare(_value(event, path), number)
        text = _unquote(self._take("text"))
        return lambda event: compare(str(_value(event, path)), text)

    def _contains(self) -> Condition:
        self._take("mark", "(")
        name = self._take("word")
        path = _path(name)
        if name not in TEXT:
            raise InvalidQuery(f"Invalid filter clause: contains does not apply to '{name}'.")
        self._take("mark", ",")
        text = _unquote(self._take("text"))
        self._take("mark", ")")
        return lambda event: text in str(_value(event, path))


def _path(name: str) -> tuple[str, ...]:
    path = PATHS.get(name)
    if path is None:
        raise InvalidQuery(
            f"Could not find a property named '{name}' on type 'microsoft.graph.provisioningObjectSummary'."
        )
    return path


def _value(event: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = event
    for name in path:
        value = value[name]
    return value


def _unquote(text: str) -> str:
    return text[1:-1].replace("''", "'")


def _moment(text: str) -> datetime:
    try:
        # Graph writes up to seven digits of a second; Python reads six.
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d", r"\1", text)).astimezone(UTC)
    except ValueError as error:
        raise InvalidQuery("Invalid filter clause: that is no date and time.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """A page of the log: `filter` and `orderby` as given, at most `top` entries after `after` (a sort key)."""

    filter: str
    condition: Condition
    orderby: str
    top: int
    after: tuple[str, int] | None

    @property
    def fingerprint(self) -> str:
        """Ties a skip token to the query that it was made for."""
        return hashlib.sha256(f"{self.filter}\n{self.orderby}\n{self.top}".encode()).hexdigest()[:16]


def parse_query(parameters: Sequence[tuple[str, str]], *, page_size: int, page_limit: int) -> LogQuery:
    """From the query string's names and values. Raises InvalidQuery."""
    options: dict[str, str] = {}
    for name, value in parameters:
        if not name.startswith("$"):
            continue
        if name not in {"$filter", "$top", "$orderby", "$skiptoken"}:
            raise InvalidQuery(f"The query option '{name}' is not supported.")
        if name in options:
            raise InvalidQuery(f"The query option '{name}' was specified more than once.")
        options[name] = value
    text = options.get("$filter", "")
    if "$filter" in options and not text.strip():
        raise InvalidQuery("Invalid filter clause: it is empty.")
    top = options.get("$top", str(page_size))
    if not re.fullmatch(r"\d{1,6}", top) or not 1 <= int(top) <= page_limit:
        raise InvalidQuery(f"Invalid page size specified: $top must be between 1 and {page_limit}.")
    orderby = options.get("$orderby", "activityDateTime desc")
    if not re.fullmatch(r"\s*activityDateTime(\s+(asc|desc))?\s*", orderby):
        raise InvalidQuery("Invalid $orderby: only activityDateTime, asc or desc.")
    query = LogQuery(
        filter=text,
        condition=parse_filter(text) if text else lambda event: True,
        orderby="activityDateTime desc" if orderby.split()[-1] == "desc" else "activityDateTime asc",
        top=int(top),
        after=None,
    )
    if "$skiptoken" not in options:
        return query
    return LogQuery(
        filter=query.filter,
        condition=query.condition,
        orderby=query.orderby,
        top=query.top,
        after=_read_skip_token(options["$skiptoken"], query.fingerprint),
    )


class LogPages:
    """Cuts the log into pages. The last few queries' results are kept for as long as the log does not grow."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], list[LogEntry]] = {}

    def page(self, entries: Sequence[LogEntry], query: LogQuery) -> tuple[list[dict[str, Any]], str | None]:
        """The events of the page and, where more follow, the skip token of the next one.

        `entries` only grows from call to call.
        """
        descending = query.orderby.endswith("desc")
        found = self._found(entries, query, descending)
        start = 0
        if query.after is not None:
            start = bisect_right(found, _place(query.after, descending), key=lambda entry: _rank(entry, descending))
        shown = found[start : start + query.top]
        token = None
        if len(found) > start + len(shown):
            last = [shown[-1].event["activityDateTime"], shown[-1].sequence]
            token = base64.urlsafe_b64encode(orjson.dumps([query.fingerprint, *last])).decode().rstrip("=")
        return [entry.event for entry in shown], token

    def _found(self, entries: Sequence[LogEntry], query: LogQuery, descending: bool) -> list[LogEntry]:
        key = (query.fingerprint, len(entries))
        if key not in self._kept:
            found = [entry for entry in entries if query.condition(entry.event)]
            found.sort(key=lambda entry: _rank(entry, descending))
            while len(self._kept) >= 8:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = found
        return self._kept[key]


def _rank(entry: LogEntry, descending: bool) -> tuple[float, int]:
    return _place((entry.event["activityDateTime"], entry.sequence), descending)


def _place(key: tuple[str, int], descending: bool) -> tuple[float, int]:
    sign = -1 if descending else 1
    return sign * _moment(key[0]).timestamp(), sign * key[1]


def _read_skip_token(token: str, fingerprint: str) -> tuple[str, int]:
    try:
        found, moment, sequence = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if found != fingerprint:
            raise InvalidQuery("The skip token belongs to another query.")
        return str(moment), int(sequence)
    except (binascii.Error, ValueError, TypeError) as error:
        raise InvalidQuery("The skip token is not valid.") from error
