"""From a feed file's text to a mapping that can be bound to a drop, with every fault of the file at once, each in its
place.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Dict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from connector.feed.mapping_section import LookupFile, Value
from connector.feed.marked_yaml import Path
from connector.feed.model import Feed
from connector.feed.parse import ParsedFeed, parse, sorted_by_line
from connector.mapping.attribute_paths import PathError, Target, parse_path
from connector.mapping.bound_mapping import Mapping
from connector.mapping.expressions.expression_error import ExpressionError
from connector.mapping.expressions.parser import Expression, looks_like_expression
from connector.mapping.expressions.parser import parse as parse_expression
from connector.mapping.fast_path import Unwritable
from connector.mapping.lookup_table import BadTable, read_table
from connector.mapping.rules import Constant, Rule, all_elements, shape
from connector.mapping.value_checks import CONVERTERS, FAULTS, TYPE_ADVICE, unsendable
from connector.vocabulary.errors import Fault, FeedUnusable
from connector.vocabulary.scim import Type

ReadFile = Callable[[str], bytes]

_SOME_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedFeed:
    """A feed file without faults. `lookup_files` are the names of the files beside it that went into it."""

    feed: Feed
    mapping: Mapping
    lookup_files: tuple[str, ...] = ()


def load_feed(
    text: bytes, *, name: str, files: ReadFile | None = None, graph: str | None = "https://graph.microsoft.com"
) -> LoadedFeed:
    """Read and check a feed file. `name` is what messages call it.

    `files` gives the content of a lookup file beside it; it raises OSError or LookupError for one that is not there.
    `graph` is `GRAPH_BASE_URL`, or None where nothing will be sent. Raises `FeedUnusable` with every fault, sorted by
    line.
    """
    parsed = parse(text, name=name, graph=graph)
    loading = _Loading(parsed, files)
    mapping = loading.mapping(name)
    if mapping is None or loading.faults:
        raise FeedUnusable(name, sorted_by_line(loading.faults))
    return LoadedFeed(feed=parsed.feed, mapping=mapping, lookup_files=tuple(loading.lookup_files))


class _Loading:
    def __init__(self, parsed: ParsedFeed, files: ReadFile | None) -> None:
        self._feed = parsed.feed
        self._document = parsed.document
        self._unjudged = parsed.unjudged
        self._files = files
        self.faults = list(parsed.faults)
        self.lookup_files: list[str] = []

    def mapping(self, name: str) -> Mapping | None:
        """The mapping; None, or one that is good for nothing, when `faults` are there."""
        tables = self._tables()
        # A table that is itself faulty is no reason to call its name unknown.
        known = {*tables, *(str(place[1]) for place in self._unjudged if place[0] == "lookup" and len(place) > 1)}
        if ("lookup",) in self._unjudged and isinstance(raw := self._document.data.get("lookup"), dict):
            known |= raw.keys()
        sources = self._sources(known)
        defaults = self._defaults(sources)
        nulls = self._nulls(sources)
        where = self._where(known)
        if self.faults:
            return None
        rules = tuple(
            Rule(
                target=target,
                source=source,
                default=defaults.get(target.key),
                null=self._sends_null(target, nulls),
                line=self._document.key(("mapping", self._spelling(target)))[0],
            )
            for target, source in sources.values()
        )
        self._check_elements(rules)
        mapping = Mapping(name=name, rules=rules, where=where, tables=tables)
        try:
            mapping.bind(mapping.columns, now=_SOME_TIME)
        except Unwritable as error:
            self._fault(("mapping",), f"an expression is {error}", "use Switch or a lookup table instead of nesting")
        return mapping

    def _fault(self, path: Path, message: str, advice: str, *, at: tuple[int, int] | None = None) -> None:
        line, position = at or self._document.key(path)
        column = ".".join(str(part) for part in path)
        self.faults.append(Fault(message=message, advice=advice, column=column, line=line, position=position))

    def _tables(self) -> dict[str, Dict[str, str]]:
        tables: dict[str, Dict[str, str]] = {}
        for name, table in self._feed.lookup.items():
            place: Path = ("lookup", name)
            if not isinstance(table, LookupFile):
                tables[name] = table
                continue
            tables[name] = {}
            content = self._content(table.file, place)
            if content is not None:
                try:
                    tables[name] = read_table(content, key=table.key, value=table.value)
                except BadTable as error:
                    self._fault(place, f"{table.file!r}: {error.message}", error.advice)
        return tables

    def _content(self, file: str, place: Path) -> bytes | None:
        if self._files is None:
            self._fault(place, f"{file!r} cannot be read here", "write the table into the feed file")
            return None
        try:
            content = self._files(file)
        except (OSError, LookupError):
            self._fault(place, f"there is no file {file!r}", "put it into the feed file's folder")
            return None
        self.lookup_files.append(file)
        return content

    def _sources(self, tables: set[str]) -> dict[object, tuple[Target, Expression | Constant]]:
        sources: dict[object, tuple[Target, Expression | Constant]] = {}
        first: dict[object, str] = {}
        spellings: dict[str, str] = {}
        for text, value in self._feed.mapping.items():
            place: Path = ("mapping", text)
            target = self._target(text, place)
            if target is None:
                continue
            if target.key in first:
                line = self._document.key(("mapping", first[target.key]))[0]
                self._fault(place, f"{text!r} is mapped already, in line {line}", "delete one of the two lines")
                continue
            first[target.key] = text
            spelling = spellings.setdefault(target.urn.lower(), target.urn)
            if spelling != target.urn:
                self._fault(place, f"{spelling!r} is spelt differently here", "spell a URN the same everywhere")
            source = self._source(target, value, place, tables)
            if source is not None:
                sources[target.key] = (target, source)
        self._check_external_id(first, sources)
        return sources

    def _target(self, text: str, place: Path) -> Target | None:
        try:
            return parse_path(text, self._feed.extensions)
        except PathError as error:
            self._fault(place, error.message, error.advice)
            return None

    def _source(self, target: Target, value: Value, place: Path, tables: set[str]) -> Expression | Constant | None:
        if isinstance(value, str) and looks_like_expression(value):
            return self._expression(value, place, tables)
        return self._constant(target, value, place)

    def _expression(self, text: str, place: Path, tables: set[str]) -> Expression | None:
        try:
            return parse_expression(text, tables=tables)
        except ExpressionError as error:
            advice = error.advice
            if self._document.cut_by_comment(place):
                advice = "YAML takes what follows # for a comment: put the whole value in single quotes"
            self._fault(place, error.message, advice, at=self._document.value(place, error.position))
            return None

    def _constant(self, target: Target, value: Value, place: Path) -> Constant | None:
        kind = target.leaf.type
        at = self._document.value(place)
        typed: str | int | bool | None = None
        if kind is Type.BOOLEAN:
            typed = CONVERTERS[kind](str(value))
        elif isinstance(value, bool):
            self._fault(place, f"{target} is text, and true and false are not", 'write "true" in quotes', at=at)
            return None
        else:
            # A number that YAML read (it reads only those that lose nothing) is good text for a String.
            typed = CONVERTERS[kind](str(value))
        if typed is None:
            self._fault(place, f"the constant is not of the type {kind}, which {target} is", TYPE_ADVICE[kind], at=at)
            return None
        if typed == "":
            self._fault(place, f"{place[1]!r} is always empty", "delete the line, or write an expression", at=at)
            return None
        check = FAULTS.get(str(target))
        if isinstance(typed, str) and (trouble := unsendable(typed) or (check(typed) if check else None)):
            self._fault(place, f"the constant {trouble.reason}", trouble.advice, at=at)
            return None
        return Constant(value=[typed] if target.leaf.multi_valued else typed)

    def _check_external_id(
        self, seen: Dict[object, str], sources: Dict[object, tuple[Target, Expression | Constant]]
    ) -> None:
        key = parse_path("externalId", {}).key
        faulty = {
            str(place[1]).lower().rsplit(":", 1)[-1] for place in self._unjudged if place[0] == "mapping" and place[1:]
        }
        if ("mapping",) in self._unjudged or "externalid" in faulty:
            return
        if key not in seen:
            advice = 'map the column that identifies a person: externalId: "[WorkerID]"'
            self._fault(("mapping",), "the mapping has no externalId", advice)
        elif key in sources and isinstance(source := sources[key][1], Expression) and source.columns:
            return
        elif key in sources:
            place: Path = ("mapping", seen[key])
            self._fault(place, "externalId is the same for every row", 'map a column: externalId: "[WorkerID]"')

    def _named(self, section: str, text: str, sources: Dict[object, tuple[Target, object]]) -> Target | None:
        """The target of a path that must be in the mapping too."""
        place: Path = (section, text)
        target = self._target(text, place)
        if target is None or target.key in sources:
            return target
        in_mapping = any(self._is(target, path) for path in (*self._feed.mapping, *self._faulty_paths()))
        if not in_mapping:
            self._fault(place, f"{text!r} is not in the mapping", "put it there, or delete the line")
        return None

    def _faulty_paths(self) -> list[str]:
        return [str(place[1]) for place in self._unjudged if place[0] == "mapping" and len(place) > 1]

    def _is(self, target: Target, path: str) -> bool:
        try:
            return parse_path(path, self._feed.extensions).key == target.key
        except PathError:
            return False

    def _defaults(self, sources: Dict[object, tuple[Target, Expression | Constant]]) -> dict[object, Constant]:
        defaults: dict[object, Constant] = {}
        for text, value in self._feed.defaults.items():
            place: Path = ("defaults", text)
            target = self._named("defaults", text, sources)
            if target is None:
                continue
            if target.key in defaults:
                self._fault(place, f"{text!r} has a default already", "delete one of the two lines")
            elif str(target) == "externalId":
                self._fault(place, "externalId cannot have a default", "every person needs an identifier of their own")
            elif isinstance(value, str) and looks_like_expression(value):
                self._fault(place, "a default is a constant", "use Coalesce in the mapping for an expression")
            elif (constant := self._constant(target, value, place)) is not None:
                defaults[target.key] = constant
        return defaults

    def _nulls(self, sources: Dict[object, tuple[Target, Expression | Constant]]) -> dict[object, bool]:
        nulls: dict[object, bool] = {}
        for text, rule in self._feed.empty.attributes.items():
            place: Path = ("empty", text)
            target = self._named("empty", text, sources)
            if target is None:
                continue
            nulls[target.key] = rule == "null"
            if rule == "null" and str(target) in {"externalId", "active"}:
                self._fault(place, f"{target} must have a value in every row", "delete the line")
            elif rule == "null" and target.attribute.multi_valued:
                # Microsoft's article "Clear attribute values": not supported for multi-valued attributes.
                self._fault(place, f"Entra cannot clear {target.attribute.name!r} by null", "delete the line")
        return nulls

    def _sends_null(self, target: Target, nulls: Dict[object, bool]) -> bool:
        if target.attribute.multi_valued or str(target) == "externalId":
            return False
        return nulls.get(target.key, self._feed.empty.default == "null")

    def _where(self, tables: set[str]) -> Expression | None:
        text = self._feed.where
        if text is None:
            return None
        place: Path = ("where",)
        if not looks_like_expression(text):
            advice = 'write an expression, such as IsPresent([WorkerID]) or [Country] = "DE"'
            self._fault(place, "'where' is not an expression", advice, at=self._document.value(place))
            return None
        where = self._expression(text, place, tables)
        if where is not None and not where.columns:
            self._fault(place, "'where' reads no column", "delete it, or name a column", at=self._document.value(place))
        return where

    def _check_elements(self, rules: tuple[Rule, ...]) -> None:
        primaries: dict[str, int] = {}
        for name, element in all_elements(shape(rules)):
            place: Path = ("mapping", self._spelling(element.rules[0].target))
            if not element.content and not element.unconditional:
                self._fault(
                    place,
                    f"{element.rules[0].target} stands alone: there is nothing that it could mark",
                    "map a .value beside it, or delete the line",
                )
            if element.fixed.get("primary") is True:
                primaries[name] = primaries.get(name, 0) + 1
                # RFC 7643 section 2.4: true at most once.
                if primaries[name] == 2:
                    self._fault(place, f"two of {name!r} are primary", "leave primary: true with one of them")

    def _spelling(self, target: Target) -> str:
        return next(path for path in self._feed.mapping if self._is(target, path))
