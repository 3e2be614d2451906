"""Attribute paths as RFC 7644 writes them (section 3.5.2, figure 1) and Entra's attribute list shows them.

A mapping's path names one value of the user: `title`, `name.givenName`, `emails[type eq "work"].value`,
`urn:…:User:department`, `urn:…:User:manager.value`. What a path cannot name (a list without a filter, what the provider
owns) is a `PathError` with advice.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from connector.feed.mapping_section import Declared
from connector.vocabulary import scim
from connector.vocabulary.scim import Attribute, Mutability, Type

Extensions = Mapping[str, Mapping[str, Declared]]


class PathError(Exception):
    """A path that cannot be mapped: what is wrong, and what to write instead."""

    def __init__(self, message: str, advice: str) -> None:
        self.message = message
        self.advice = advice
        super().__init__(f"{message} ({advice})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a path names, in the schema's spelling.

    `where` holds the filter of a multi-valued attribute: sub-attribute name and value, in the order written. `sub` is
    None for an attribute that has no parts.
    """

    urn: str
    attribute: Attribute
    where: tuple[tuple[str, str | bool], ...] = ()
    sub: Attribute | None = None

    @property
    def leaf(self) -> Attribute:
        """The attribute that holds the value."""
        return self.sub or self.attribute

    @property
    def key(self) -> tuple[str, str, frozenset[tuple[str, str | bool]], str]:
        """Equal for two paths that name the same value."""
        return self.urn.lower(), self.attribute.name.lower(), frozenset(self.where), self.sub.name if self.sub else ""

    @property
    def container(self) -> tuple[str, ...]:
        """The keys that lead from the user to the object or list element that holds the value."""
        outer = () if self.urn == scim.CORE_USER else (self.urn,)
        return (*outer, self.attribute.name) if self.sub else outer

    def pick(self, elements: Iterable[Mapping[str, Any]]) -> Any:
        """The value in a multi-valued attribute's elements; None where it is left out."""
        for element in elements:
            if all(element.get(name) == value for name, value in self.where):
                return element.get(self.leaf.name)
        return None

    def find(self, user: Mapping[str, Any]) -> Any:
        """The value in a user that a mapping made; None where it is left out."""
        holder: Any = user
        for name in self.container:
            holder = holder.get(name, {})
        return self.pick(holder) if self.where else holder.get(self.leaf.name)

    def __str__(self) -> str:
        text = self.attribute.name if self.urn == scim.CORE_USER else f"{self.urn}:{self.attribute.name}"
        if self.where:
            conditions = (f"{name} eq {json.dumps(value, ensure_ascii=False)}" for name, value in self.where)
            text += f"[{' and '.join(conditions)}]"
        return f"{text}.{self.sub.name}" if self.sub else text


_NAME: Final = r"\$?[A-Za-z][A-Za-z0-9_$-]*"
_PATH: Final = re.compile(rf"({_NAME})(?:\[(.*)\])?(?:\.({_NAME}))?", re.ASCII | re.DOTALL)
_CONDITION: Final = re.compile(rf'\s*({_NAME})\s+([A-Za-z]+)\s+("(?:[^"\\]|\\.)*"|[^\s"\]]+)\s*', re.ASCII | re.DOTALL)
_AND: Final = re.compile(r"and(?=\s)", re.IGNORECASE)
_CUSTOM_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_$-]*", re.ASCII)
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_URN: Final = re.compile(r"urn:[A-Za-z0-9][A-Za-z0-9-]{0,31}:[\x21-\x7e]+", re.IGNORECASE | re.ASCII)
_ENTERPRISE: Final = scim.ENTERPRISE_USER
_OTHER_NAMES: Final[Mapping[str, str]] = {
    "accountenabled": "active",
    "city": 'addresses[type eq "work"].locality',
    "companyname": f"{_ENTERPRISE}:organization",
    "employeeid": "externalId",
    "firstname": "name.givenName",
    "jobtitle": "title",
    "lastname": "name.familyName",
    "mail": 'emails[type eq "work"].value',
    "manager": f"{_ENTERPRISE}:manager.value",
    "mobile": 'phoneNumbers[type eq "mobile"].value',
    "phone": 'phoneNumbers[type eq "work"].value',
    "state": 'addresses[type eq "work"].region',
    "surname": "name.familyName",
    "userprincipalname": "userName",
}
"""What Entra, Active Directory and HR exports call some of the attributes (lower case)."""

_MULTI_ADVICE: Final = 'say which one: {name}[type eq "work"].value'


def parse_path(text: str, extensions: Extensions) -> Target:
    """The target that `text` names. `extensions` are the feed's custom attributes. Raises `PathError`."""
    head, bracket, tail = text.strip().partition("[")
    if not head.lower().startswith("urn:"):
        return _in_schema(scim.CORE_USER, head + bracket + tail, extensions)
    if scim.known_schema(head) or head.lower() in {urn.lower() for urn in extensions}:
        raise PathError(f"{text!r} is a schema, not an attribute", f"add the attribute's name: {head}:title")
    urn, _, name = head.rpartition(":")
    if known := scim.known_schema(urn):
        return _in_schema(known, name + bracket + tail, extensions)
    return _custom(urn, name + bracket + tail, extensions)


def _custom(urn: str, rest: str, extensions: Extensions) -> Target:
    declared = next((spelt for spelt in extensions if spelt.lower() == urn.lower()), urn)
    if not _URN.fullmatch(urn):
        raise PathError(
            f"{urn!r} is not a URN with an attribute's name after it",
            "for example urn:ietf:params:scim:schemas:extension:contoso:1.0:User:HireDate",
        )
    if not _CUSTOM_NAME.fullmatch(rest):
        raise PathError(
            f"{rest!r} is not the name of a custom attribute", "a custom attribute is one name: no dots, no brackets"
        )
    return Target(urn=declared, attribute=_declared(declared, rest, extensions) or Attribute(name=rest))


def _declared(urn: str, name: str, extensions: Extensions) -> Attribute | None:
    attributes = next((found for spelt, found in extensions.items() if spelt.lower() == urn.lower()), {})
    for spelt, declared in attributes.items():
        if spelt.lower() == name.lower():
            return Attribute(name=spelt, type=Type(declared.type), multi_valued=declared.multi)
    return None


def _in_schema(urn: str, rest: str, extensions: Extensions) -> Target:
    match = _PATH.fullmatch(rest)
    if match is None:
        raise PathError(
            f"{rest!r} is not an attribute path", 'for example title, name.givenName or emails[type eq "work"].value'
        )
    name, condition, sub_name = match.groups()
    attribute = scim.SCHEMAS[urn].get(name.lower()) or _declared(urn, name, extensions)
    if name.lower() == "schemas":
        raise PathError("'schemas' is written by the connector", "delete the line")
    if attribute is None:
        raise PathError(f"the {_schema(urn)} schema has no attribute {name!r}", _nearest(name))
    if attribute.mutability is Mutability.READ_ONLY:
        raise PathError(f"{attribute.name!r} is set by Entra and cannot be sent", "delete the line")
    if attribute.type is not Type.COMPLEX:
        if condition is not None or sub_name is not None:
            raise PathError(f"{attribute.name!r} has no parts", f"write {attribute.name}")
        return Target(urn=urn, attribute=attribute)
    if attribute.multi_valued and condition is None:
        raise PathError(f"{attribute.name!r} holds several values", _MULTI_ADVICE.format(name=attribute.name))
    if not attribute.multi_valued and condition is not None:
        raise PathError(f"{attribute.name!r} holds one value and takes no filter", "delete the brackets")
    where = _filter(attribute, condition) if condition is not None else ()
    return Target(urn=urn, attribute=attribute, where=where, sub=_sub(attribute, sub_name, where))


def _schema(urn: str) -> str:
    return "Core User" if urn == scim.CORE_USER else "Enterprise User"


def _sub(attribute: Attribute, name: str | None, where: tuple[tuple[str, str | bool], ...]) -> Attribute:
    names = [sub.name for sub in attribute.sub_attributes]
    if name is None:
        raise PathError(f"{attribute.name!r} has parts, and the path names none", f"add one of: .{', .'.join(names)}")
    sub = attribute.sub(name)
    if sub is None:
        near = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
        raise PathError(
            f"{attribute.name!r} has no part {name!r}",
            f"did you mean {' or '.join(near)}?" if near else f"it has: {', '.join(names)}",
        )
    if any(sub.name == filtered for filtered, _ in where):
        raise PathError(f"{sub.name!r} is already given by the filter", "delete the line")
    return sub


def _filter(attribute: Attribute, text: str) -> tuple[tuple[str, str | bool], ...]:
    conditions: list[tuple[str, str | bool]] = []
    at = 0
    while True:
        match = _CONDITION.match(text, at)
        if match is None:
            raise PathError(
                f"[{text}] is not a filter that a mapping can use",
                f'write conditions with eq, joined by and: {attribute.name}[type eq "work"]',
            )
        conditions.append(_condition(attribute, *match.groups()))
        at = match.end()
        if at == len(text):
            break
        joined = _AND.match(text, at)
        if joined is None:
            raise PathError(f"[{text}] joins conditions with something else than and", "use only eq and and")
        at = joined.end()
    names = [name for name, _ in conditions]
    if len(set(names)) < len(names):
        raise PathError(f"[{text}] names a part twice", "delete one of the conditions")
    return tuple(conditions)


def _condition(attribute: Attribute, name: str, operator: str, literal: str) -> tuple[str, str | bool]:
    sub = attribute.sub(name)
    if sub is None:
        raise PathError(
            f"{attribute.name!r} has no part {name!r} to filter by",
            f"it has: {', '.join(sub.name for sub in attribute.sub_attributes)}",
        )
    if operator.lower() != "eq":
        raise PathError(
            f"a filter here cannot use {operator!r}", "a mapping writes values, so only eq tells what to write"
        )
    try:
        value = json.loads(literal if literal.startswith('"') else literal.lower())
    except ValueError:
        value = None
    if sub.type is Type.BOOLEAN:
        # Entra's own attribute lists write roles[primary eq "True"].value.
        value = {"true": True, "false": False}.get(str(value).lower())
        if value is None:
            raise PathError(f"{sub.name!r} is true or false", f"write {sub.name} eq true")
    elif not isinstance(value, str) or not value or _UNPRINTABLE.search(value):
        raise PathError(f"{sub.name!r} is compared with something that is no text", f'write {sub.name} eq "work"')
    return sub.name, value


def _examples() -> Iterator[tuple[str, str]]:
    """Every path that can be mapped, with the filter that most feeds use, after each name that it may be sought by."""
    for urn, attributes in scim.SCHEMAS.items():
        for attribute in attributes.values():
            if attribute.mutability is Mutability.READ_ONLY:
                continue
            path = attribute.name if urn == scim.CORE_USER else f"{urn}:{attribute.name}"
            path += '[type eq "work"]' if attribute.multi_valued else ""
            for sub in attribute.sub_attributes:
                yield attribute.name, f"{path}.{sub.name}"
                yield sub.name, f"{path}.{sub.name}"
            if not attribute.sub_attributes:
                yield attribute.name, path


def _nearest(name: str) -> str:
    if known := _OTHER_NAMES.get(name.lower()):
        return f"write {known}"
    first: dict[str, str] = {}
    for sought, path in _examples():
        first.setdefault(sought.lower(), path)
    near = [name.lower()] if name.lower() in first else difflib.get_close_matches(name.lower(), first, n=2)
    found = list(dict.fromkeys(first[sought] for sought in near))
    return (
        f"did you mean {' or '.join(found)}?"
        if found
        else "custom attributes need a URN of their own: urn:…:User:" + name
    )
