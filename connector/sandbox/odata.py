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
from connector.sandbox.events import PROPERTIES, TEXT_PROPERTIES, Values


class InvalidQuery(Exception):
    """Graph would answer 400; the message says why."""


# Microsoft's own Location header and articles write `jobid` beside `jobId`.
_POSITIONS = {name: index for index, name in enumerate(PROPERTIES)} | {"jobid": PROPERTIES.index("jobId")}
_TEXT = {*TEXT_PROPERTIES, "jobid"}
_TIME = _POSITIONS["activityDateTime"]

Condition = Callable[[Values], bool]

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
        return lambda values: all(condition(values) for condition in conditions)

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
        position = _position(name)
        word = self._take("word")
        compare = _COMPARE.get(word)
        if compare is None:
            raise InvalidQuery(f"Invalid filter clause: the operator '{word}' is not supported.")
        if position == _TIME:
            moment = _moment(self._take("time"))
            return lambda values: compare(_moment(values[position]), moment)
        if name not in _TEXT:
            number = int(self._take("number"))
            return lambda values: compare(values[position], number)
        text = _unquote(self._take("text"))
        return lambda values: compare(values[position], text)

    def _contains(self) -> Condition:
        self._take("mark", "(")
        name = self._take("word")
        position = _position(name)
        if name not in _TEXT:
            raise InvalidQuery(f"Invalid filter clause: contains does not apply to '{name}'.")
        self._take("mark", ",")
        text = _unquote(self._take("text"))
        self._take("mark", ")")
        return lambda values: text in values[position]


def _position(name: str) -> int:
    position = _POSITIONS.get(name)
    if position is None:
        kind = "microsoft.graph.provisioningObjectSummary"
        raise InvalidQuery(f"Could not find a property named '{name}' on type '{kind}'.")
    return position


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
        condition=parse_filter(text) if text else lambda values: True,
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

    def page(self, entries: Sequence[LogEntry], query: LogQuery) -> tuple[list[LogEntry], str | None]:
        """The entries of the page and, where more follow, the skip token of the next one.

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
            last = [shown[-1].values[_TIME], shown[-1].sequence]
            token = base64.urlsafe_b64encode(orjson.dumps([query.fingerprint, *last])).decode().rstrip("=")
        return shown, token

    def _found(self, entries: Sequence[LogEntry], query: LogQuery, descending: bool) -> list[LogEntry]:
        key = (query.fingerprint, len(entries))
        if key not in self._kept:
            found = [entry for entry in entries if query.condition(entry.values)]
            found.sort(key=lambda entry: _rank(entry, descending))
            while len(self._kept) >= 8:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = found
        return self._kept[key]


def _rank(entry: LogEntry, descending: bool) -> tuple[float, int]:
    return _place((entry.values[_TIME], entry.sequence), descending)


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
