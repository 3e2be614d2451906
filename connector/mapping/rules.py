"""The lines of a feed's mapping, understood: which value goes where, and the shape of the user that they make."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from connector.mapping.attribute_paths import Target
from connector.mapping.expressions.parser import Expression
from connector.vocabulary import scim
from connector.vocabulary.errors import Fault


class Filtered(enum.Enum):
    """The type of `FILTERED`."""

    FILTERED = "filtered"


FILTERED: Final = Filtered.FILTERED
"""What `map` gives for a row that the feed's `where` leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A row that cannot be mapped, with every fault. `attributes` are the paths that `faults` belong to ("where" is
    one).
    """

    faults: tuple[Fault, ...]
    attributes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A JSON value of the attribute's type; a list for a multi-valued attribute."""

    value: str | int | bool | list[str | int | bool]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rule:
    """One line of a mapping. `default` is sent when `source` gives nothing, else null where `null` is set.

    `line` is the feed file's.
    """

    target: Target
    source: Expression | Constant
    default: Constant | None = None
    null: bool = False
    line: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        return self.source.columns if isinstance(self.source, Expression) else ()

    @property
    def required(self) -> bool:
        """Whether a row without this value is rejected: an unknown status must not leave an account as it is by
        accident.
        """
        return self.target.urn == scim.CORE_USER and self.target.leaf.name in {"externalId", "active"}

    @property
    def label(self) -> str:
        """The path without its schema, for messages about a row."""
        return str(self.target).removeprefix(f"{self.target.urn}:")

    @property
    def is_primary(self) -> bool:
        """Whether it says that its element is the primary one; asked of an element's rules alone."""
        return self.target.leaf.name == "primary"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Element:
    """One item of a multi-valued attribute: what its filter says, and the rules that fill it."""

    where: tuple[tuple[str, str | bool], ...]
    rules: list[Rule] = field(default_factory=list)

    @property
    def fixed(self) -> dict[str, Any]:
        """What is in it whatever the row says."""
        constants = {r.target.leaf.name: r.source.value for r in self.rules if isinstance(r.source, Constant)}
        return dict(self.where) | constants

    @property
    def content(self) -> list[Rule]:
        """The rules of which one must give a value, or the element is left out."""
        return [r for r in self.rules if not isinstance(r.source, Constant) and not r.is_primary]

    @property
    def primary(self) -> Rule | None:
        return next((r for r in self.rules if r.is_primary and not isinstance(r.source, Constant)), None)

    @property
    def unconditional(self) -> bool:
        """Whether it is made of constants alone: then it is what the author wants for everybody."""
        return not self.content and any(not r.is_primary for r in self.rules)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Elements:
    """A multi-valued attribute."""

    name: str
    elements: list[Element] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """An object of the user: the user itself (`name` is ""), `name`, an extension, `manager`. Left out when it stays
    empty.
    """

    name: str = ""
    children: list[Rule | Node | Elements] = field(default_factory=list)


def in_order(rules: Iterable[Rule]) -> list[Rule]:
    """externalId first, then userName, then as the feed file has them: the same feed gives the same bytes."""
    first = ("externalId", "userName")

    def rank(rule: Rule) -> int:
        path = str(rule.target)
        return first.index(path) if path in first else len(first)

    return sorted(rules, key=rank)


def shape(rules: Iterable[Rule]) -> Node:
    """The user as a tree; an object or list stands where the first of its rules does."""
    user = Node()
    for rule in in_order(rules):
        target, node = rule.target, user
        if target.urn != scim.CORE_USER:
            node = _node(node, target.urn)
        if target.sub is None:
            node.children.append(rule)
        elif target.attribute.multi_valued:
            _element(node, target).rules.append(rule)
        else:
            _node(node, target.attribute.name).children.append(rule)
    return user


def _node(parent: Node, name: str) -> Node:
    for child in parent.children:
        if isinstance(child, Node) and child.name == name:
            return child
    made = Node(name=name)
    parent.children.append(made)
    return made


def _element(parent: Node, target: Target) -> Element:
    found = next((c for c in parent.children if isinstance(c, Elements) and c.name == target.attribute.name), None)
    if found is None:
        found = Elements(name=target.attribute.name)
        parent.children.append(found)
    for element in found.elements:
        if frozenset(element.where) == frozenset(target.where):
            return element
    found.elements.append(Element(where=target.where))
    return found.elements[-1]


def all_elements(user: Node) -> Iterator[tuple[str, Element]]:
    """Every element of the user with its attribute's name; no extension has any."""
    for child in user.children:
        if isinstance(child, Elements):
            for element in child.elements:
                yield child.name, element


def schemas(rules: Sequence[Rule]) -> list[str]:
    """What `schemas` holds: Entra wants the first two of everybody, and each custom URN that is used."""
    return list(dict.fromkeys((scim.CORE_USER, scim.ENTERPRISE_USER, *(rule.target.urn for rule in in_order(rules)))))
