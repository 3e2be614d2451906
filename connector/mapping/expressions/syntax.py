"""The syntax tree of an expression. Every node knows where it stands in the text and what it reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from connector.mapping.expressions.date_functions import DateConversion
from connector.mapping.expressions.replacement import Replacement
from connector.mapping.expressions.values import Site

ComparisonMode: TypeAlias = Literal["text", "number", "date"]
Plan: TypeAlias = Replacement | DateConversion | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Text:
    """A string or number of the expression's own; a number is kept as the text that it travels as."""

    start: int
    end: int
    value: str
    number: int | float | None = None
    depth: int = 0
    constant: bool = True
    ignorable: bool = False
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Column:
    """`[Column]`."""

    start: int
    end: int
    name: str
    columns: tuple[str, ...]
    depth: int = 0
    constant: bool = False
    ignorable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """`left operator right`; `mode` says what the two are compared as, which their form decides, never a row."""

    start: int
    end: int
    operator: str
    left: Node
    right: Node
    mode: ComparisonMode
    site: Site
    depth: int
    constant: bool
    ignorable: bool
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call:
    """`Function(argument, …)`; an argument that is left empty is None. `plan` is what could be compiled beforehand."""

    start: int
    end: int
    name: str
    arguments: tuple[Node | None, ...]
    site: Site
    depth: int
    constant: bool
    ignorable: bool
    columns: tuple[str, ...]
    plan: Plan = None


Node: TypeAlias = Text | Column | Comparison | Call

_RESULTS: Final[dict[str, slice]] = {"IIF": slice(1, 3), "Lookup": slice(1, 2)}


def passes_through(call: Call, index: int) -> bool:
    """Whether the argument is not looked at but may become the call's result as it is, IGNORE included."""
    if call.name in ("Coalesce", "IgnoreFlowIfNullOrEmpty"):
        return True
    if call.name == "Switch":
        return index % 2 == 1
    result = _RESULTS.get(call.name)
    return result is not None and result.start <= index < result.stop


def children(node: Node) -> tuple[Node | None, ...]:
    """The nodes right below."""
    if isinstance(node, Call):
        return node.arguments
    if isinstance(node, Comparison):
        return (node.left, node.right)
    return ()


def walk(root: Node) -> Iterator[Node]:
    """All nodes, without recursion, in no particular order."""
    pending: list[Node] = [root]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(child for child in children(node) if child is not None)


def merged_columns(nodes: Iterable[Node | None]) -> tuple[str, ...]:
    """The columns that the nodes read, each once, in order of first use."""
    return tuple(dict.fromkeys(column for node in nodes if node is not None for column in node.columns))
