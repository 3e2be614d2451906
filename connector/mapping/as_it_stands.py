"""The mapping of a drop that is SCIM already: each user unchanged, if it is what a mapping could have made.

So an identifier, a type, a length or a character that would reject a mapped row rejects an operation as well, and what
is odd is said in the same words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from connector.mapping.attribute_paths import Target
from connector.mapping.rules import Rejected
from connector.mapping.value_checks import CONVERTERS, FAULTS, TYPE_ADVICE, Watch, unsendable, watch
from connector.vocabulary import scim
from connector.vocabulary.column_names import is_usual
from connector.vocabulary.errors import Fault
from connector.vocabulary.scim import Attribute, Type

MAX_DEPTH: Final = 8
"""Objects and lists in one another. Ours: SCIM's own schemas need four."""

_EXPORT: Final = "correct the export"
_JSON: Final[Mapping[Type, str]] = {
    Type.BOOLEAN: "true or false, without quotes",
    Type.INTEGER: "a whole number, without quotes",
    Type.DATETIME: TYPE_ADVICE[Type.DATETIME].partition(",")[0],
    Type.BINARY: TYPE_ADVICE[Type.BINARY],
}


class AsItStands:
    def external_id(self, user: Any, /) -> str:
        return str(user.get("externalId", ""))

    def map_with_warnings(self, user: Any, /) -> tuple[dict[str, Any] | Rejected, tuple[Fault, ...]]:
        judge = _Judge()
        judge.user(user)
        if judge.faults:
            return Rejected(faults=tuple(judge.faults), attributes=tuple(fault.column for fault in judge.faults)), ()
        return dict(user), tuple(judge.warnings)


@lru_cache(maxsize=512)
def _watch(urn: str, attribute: Attribute, sub: Attribute | None) -> Watch:
    return watch(Target(urn=urn, attribute=attribute, sub=sub))


class _Judge:
    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []

    def user(self, user: dict[str, Any]) -> None:
        for name, value in self._members(user, ""):
            if name.lower() == "schemas":
                if not isinstance(value, list) or not all(isinstance(urn, str) for urn in value):
                    self._fault("schemas", "is not a list of texts", _EXPORT)
                self._any(value, "schemas")
            elif name.lower().startswith("urn:"):
                self._extension(name, value)
            else:
                self._named(scim.CORE_USER, name, value, "")

    def _extension(self, urn: str, value: Any) -> None:
        known = scim.known_schema(urn)
        # The URN of a custom schema is the tenant's; what else is at its place may be anything.
        path = known or "an extension"
        if value is None:
            return
        if not isinstance(value, dict):
            self._fault(path, "is not an object", _EXPORT)
        elif known is None:
            self._any(value, path)
        else:
            for name, member in self._members(value, path):
                self._named(known, name, member, f"{known}:")

    def _named(self, urn: str, name: str, value: Any, prefix: str) -> None:
        attribute = scim.SCHEMAS[urn].get(name.lower())
        if attribute is None:
            self._any(value, prefix + _shown(name))
            return
        path = prefix + attribute.name
        if value is None:
            return
        if attribute.multi_valued:
            if not isinstance(value, list):
                self._fault(path, "is not a list", _EXPORT)
                return
            for element in value:
                self._complex(urn, attribute, element, path)
        elif attribute.type is Type.COMPLEX:
            self._complex(urn, attribute, value, path)
        else:
            self._plain(value, path, attribute, _watch(urn, attribute, None))

    def _complex(self, urn: str, attribute: Attribute, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            self._fault(path, "is not an object", _EXPORT)
            return
        for name, member in self._members(value, path):
            sub = attribute.sub(name)
            if sub is None:
                self._any(member, f"{path}.{_shown(name)}")
            elif member is not None:
                self._plain(member, f"{path}.{sub.name}", sub, _watch(urn, attribute, sub))

    def _plain(self, value: Any, path: str, attribute: Attribute, watched: Watch) -> None:
        kind = attribute.type
        if kind is Type.BOOLEAN:
            good = isinstance(value, bool)
        elif kind is Type.INTEGER:
            good = isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63
        else:
            good = isinstance(value, str) and (trouble := unsendable(value)) is None
            if isinstance(value, str) and trouble is not None:
                self._fault(path, trouble.reason, trouble.advice)
                return
            good = good and (not value or CONVERTERS[kind](value) is not None)
        if not good:
            self._fault(path, f"is not of the type {kind}", _JSON.get(kind, "text in quotes"))
            return
        if isinstance(value, str) and value:
            check = FAULTS.get(path)
            if check and (found := check(value)):
                self._fault(path, found.reason, found.advice)
            elif odd := watched.look(value):
                self.warnings.append(Fault(message=f"{path} {odd.reason}", advice=odd.advice, column=path))

    def _any(self, value: Any, path: str) -> None:
        """What no schema here knows: only that it can be sent."""
        pending = [(value, 1)]
        while pending:
            one, depth = pending.pop()
            if depth > MAX_DEPTH:
                self._fault(path, f"has objects or lists nested more than {MAX_DEPTH} deep", _EXPORT)
                return
            if isinstance(one, str) and (trouble := unsendable(one)):
                self._fault(path, trouble.reason, trouble.advice)
                return
            if isinstance(one, dict):
                pending += [(member, depth + 1) for member in (*one, *one.values())]
            elif isinstance(one, list):
                pending += [(member, depth + 1) for member in one]

    def _members(self, value: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
        """An object's members; the same name in another case is the same attribute (RFC 7643 section 2.1)."""
        if len({name.lower() for name in value}) < len(value):
            self._fault(path or "the user", "has an attribute twice, in upper and lower case", _EXPORT)
        yield from value.items()

    def _fault(self, path: str, reason: str, advice: str) -> None:
        self.faults.append(Fault(message=f"{path} {reason}", advice=advice, column=path))


def _shown(name: str) -> str:
    return name if is_usual(name) else "an attribute"
