"""A feed file (`config/feeds/<feed>.yaml`) parsed, with every fault at once and its line.

What the mapping's paths and expressions mean is not judged here but in `connector.mapping`, one room above.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from connector.feed.file_options import FileOptions, Footer
from connector.feed.files import Files
from connector.feed.guards import Guards
from connector.feed.marked_yaml import Document, Path, Unreadable, read
from connector.feed.model import Feed
from connector.feed.pgp import Pgp
from connector.vocabulary.errors import Fault, FeedUnusable

_SECTIONS: Final[Mapping[tuple[str, ...], type[BaseModel]]] = {
    (): Feed,
    ("file",): FileOptions,
    ("file", "footer"): Footer,
    ("guards",): Guards,
    ("files",): Files,
    ("pgp",): Pgp,
}
# Sections of which one entry can be wrong and the others still be judged.
_BY_ENTRY: Final = frozenset({"mapping", "defaults", "lookup"})
_STAND_IN: Final = "https://graph.microsoft.com/v1.0/servicePrincipals/none/synchronization/jobs/none/bulkUpload"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFeed:
    """A feed as far as it could be understood. With `faults` it is only good for finding more of them.

    `unjudged` are the places (a section, or one entry of it) that `feed` lacks because they are faulty.
    """

    feed: Feed
    document: Document
    faults: tuple[Fault, ...]
    unjudged: frozenset[Path]


def parse(content: bytes, *, name: str, graph: str | None) -> ParsedFeed:
    """Read a feed file. `name` is what messages call it; its last part without `.yaml` becomes the feed's name.

    `graph` is `GRAPH_BASE_URL`, or None where nothing will be sent. Raises `FeedUnusable` when there is no telling what
    the file means (it is no YAML, or no mapping of keys); all other faults are in the result.
    """
    try:
        document = read(content)
    except Unreadable as error:
        raise FeedUnusable(name, [error.fault]) from error
    data = document.data
    if not isinstance(data, dict):
        what = "the file is empty" if data is None else "the file is not made of keys and values"
        raise FeedUnusable(
            name, [Fault(message=what, advice="it needs at least endpoint and mapping", line=1, position=1)]
        )
    faults = list(document.faults)
    unjudged = {_place_of(fault.column) for fault in document.faults if fault.column}
    data = {key: value for key, value in data.items() if key != "name"}
    if "name" in document.data:
        faults.append(_unknown(("name",), document))
    if "empty" in data:
        data["empty"] = _spelt_out(data["empty"], document)
    feed_name = re.sub(r"\.ya?ml$", "", name.replace("\\", "/").rsplit("/", 1)[-1], flags=re.IGNORECASE)
    try:
        feed = _validated(data, feed_name, graph)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            faults.append(_fault(details, document))
            unjudged.add(_entry(details["loc"]))
        feed = _salvaged(data, unjudged, feed_name, graph, name, faults)
    return ParsedFeed(feed=feed, document=document, faults=tuple(faults), unjudged=frozenset(unjudged))


def _validated(data: Mapping[str, Any], feed_name: str, graph: str | None) -> Feed:
    return Feed.model_validate({**data, "name": feed_name}, context={"graph": graph})


def _salvaged(
    data: Mapping[str, Any], unjudged: Iterable[Path], feed_name: str, graph: str | None, name: str, faults: list[Fault]
) -> Feed:
    """The feed without its faulty parts, so that the rest is judged in the same go."""
    kept: dict[str, Any] = dict(data)
    for place in unjudged:
        section = kept.get(str(place[0]))
        if len(place) > 1 and isinstance(section, dict):
            kept[str(place[0])] = {key: value for key, value in section.items() if key != place[1]}
        else:
            kept.pop(str(place[0]), None)
    kept["endpoint"] = _STAND_IN
    kept["mapping"] = kept.get("mapping") or {"externalId": "none"}
    try:
        return _validated(kept, feed_name, "https://graph.microsoft.com")
    except ValidationError:
        raise FeedUnusable(name, sorted_by_line(faults)) from None


def sorted_by_line(faults: Iterable[Fault]) -> list[Fault]:
    return sorted(faults, key=lambda fault: (fault.line, fault.position, fault.message))


def _entry(location: Sequence[str | int]) -> Path:
    return tuple(location[:2]) if location and location[0] in _BY_ENTRY else tuple(location[:1])


def _place_of(dotted: str) -> Path:
    section, _, rest = dotted.partition(".")
    return (section, rest) if rest and section in _BY_ENTRY else (section,)


def _spelt_out(rules: Any, document: Document) -> Any:
    """`empty: null` is the word here and not the absence of a value, which `empty:` with nothing after it still is."""

    def spelt(value: Any, path: Path) -> Any:
        return "null" if value is None and document.text(path) else value

    if isinstance(rules, dict):
        return {key: spelt(value, ("empty", key)) for key, value in rules.items()}
    return spelt(rules, ("empty",))


_EXPECTED: Final[Mapping[str, str]] = {
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must have keys and values of its own",
    "mapping_type": "must have keys and values of its own",
    "model_type": "must have keys and values of its own",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}


def _fault(details: ErrorDetails, document: Document) -> Fault:
    path: Path = details["loc"]
    dotted = ".".join(str(part) for part in path)
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(path, document)
    advice = ""
    if kind == "missing":
        section = _SECTIONS.get(tuple(str(part) for part in path[:-1]), Feed)
        description = section.model_fields[str(path[-1])].description
        message, advice = f"{dotted!r} is missing", f"add it: {description}" if description else "add it"
        line, position = document.key(path[:-1])
        return Fault(message=message, advice=advice, column=dotted, line=line, position=position)
    if kind == "feed":
        text, advice = context["message"], context["advice"]
        message = text if text.startswith("'endpoint'") else f"{dotted!r} {text}"
    elif details["input"] is None:
        message, advice = f"{dotted!r} has no value", "delete the line, or write a value"
    elif kind == "literal_error":
        message = f"{dotted!r} must be one of {context['expected']}"
    elif kind in {"greater_than_equal", "less_than_equal"}:
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        message = f"{dotted!r} must be {bound}"
    else:
        message = f"{dotted!r} {_EXPECTED.get(kind) or details['msg'][:1].lower() + details['msg'][1:]}"
    line, position = document.value(path)
    return Fault(message=message, advice=advice, column=dotted, line=line, position=position)


def _unknown(path: Path, document: Document) -> Fault:
    key = str(path[-1])
    model = _SECTIONS.get(tuple(str(part) for part in path[:-1]))
    names = (
        sorted(name for name in model.model_fields if (path[:-1], name) != ((), "name")) if model else ["type", "multi"]
    )
    near = difflib.get_close_matches(key, names, n=2, cutoff=0.6)
    advice = f"did you mean {' or '.join(near)}?" if near else f"known here: {', '.join(names)}"
    line, position = document.key(path)
    dotted = ".".join(str(part) for part in path)
    return Fault(
        message=f"{dotted!r} is not a key of a feed file", advice=advice, column=dotted, line=line, position=position
    )
