"""An expression as Python source: one expression, as fast as plain Python can say it.

Text from a feed file gets into the source as `repr` or not at all; column names never do. What is nested deeply becomes
a function of its own, because Python's own parser has limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from connector.mapping.expressions import functions
from connector.mapping.expressions.builders import BUILDERS
from connector.mapping.expressions.emitter import Emitter, Kind, Part, Scope
from connector.mapping.expressions.parser import Expression
from connector.mapping.expressions.syntax import Call, Node, Text, children, walk
from connector.mapping.expressions.values import IGNORE, Cell, Ignore, Value, ValueFault

__all__ = [
    "IGNORE",
    "Cell",
    "Ignore",
    "Scope",
    "Value",
    "ValueFault",
    "compile_expression",
    "emit",
    "emit_condition",
]

_LEVELS: Final = 12
"""Nodes of this many levels become one piece of source; Python's tokenizer allows 200 parentheses in one another."""


def emit(expression: Expression, scope: Scope, *, text_only: bool = False) -> str:
    """Python source of the expression's `Value` in `scope`; evaluating it may raise ValueFault.

    `text_only`: the scope's columns are never None and never lists, as in a CSV; the source is faster for it.
    """
    emitter = Emitter(scope, _spilled(expression.root, text_only=text_only), BUILDERS, text_only=text_only)
    return emitter.value(emitter.piece(expression.root)).source


def emit_condition(expression: Expression, scope: Scope, *, text_only: bool = False) -> str:
    """Python source of whether the expression is true (`where`). IGNORE and null raise ValueFault, as in IIF."""
    emitter = Emitter(scope, _spilled(expression.root, text_only=text_only), BUILDERS, text_only=text_only)
    piece = emitter.piece(expression.root)
    site = functions.condition_site(expression.columns)
    if piece.kind & Kind.IGNORED:
        never = emitter.name(IGNORE, "IGNORE")
        temporary = emitter.temporary()
        source = f"(None if ({temporary} := {piece.source}) is {never} else {temporary})"
        piece = replace(piece, source=source, kind=(piece.kind & ~Kind.IGNORED) | Kind.NULL)
    return emitter.truth(piece, emitter.name(site, "site")).source


def compile_expression(
    expression: Expression,
    columns: Sequence[str],
    *,
    now: datetime,
    tables: Mapping[str, Mapping[str, str]] | None = None,
    text_only: bool = False,
) -> Callable[[Sequence[Cell]], Value]:
    """A function from a row's cells, aligned with `columns`, to the expression's value. It may raise ValueFault.

    Raises KeyError for a column or table that the expression reads and that is not given.
    """
    scope = _RowScope(columns, now, tables or {})
    source = emit(expression, scope, text_only=text_only)
    return _function("expression", ("row",), source, scope.names)


class _Names:
    """The globals of one generated function."""

    def __init__(self) -> None:
        self.names: dict[str, object] = {}

    def bind(self, value: object, hint: str) -> str:
        name = f"{hint}_{len(self.names)}"
        self.names[name] = value
        return name


class _RowScope(_Names):
    def __init__(self, columns: Sequence[str], now: datetime, tables: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__()
        self._indexes = {name: index for index, name in reversed(list(enumerate(columns)))}
        self._tables = tables
        self.now = self.bind(now, "now")

    def column(self, name: str) -> str:
        return f"row[{self._indexes[name]}]"

    def table(self, name: str) -> str:
        return self.bind(dict(self._tables[name]), "table")


class _PartScope(_Names):
    """The scope of a function made of a part of an expression: its columns and tables are parameters."""

    now = "now"

    def __init__(self, columns: Sequence[str], tables: Sequence[str]) -> None:
        super().__init__()
        self._columns = {name: f"c{index}" for index, name in enumerate(columns)}
        self._tables = {name: f"t{index}" for index, name in enumerate(tables)}

    @property
    def parameters(self) -> tuple[str, ...]:
        return (*self._columns.values(), *self._tables.values(), self.now)

    def column(self, name: str) -> str:
        return self._columns[name]

    def table(self, name: str) -> str:
        return self._tables[name]


def _function(name: str, parameters: Sequence[str], source: str, names: dict[str, object]) -> Callable[..., Any]:
    code = compile(f"def {name}({', '.join(parameters)}):\n    return {source}\n", f"<{name}>", "exec")
    exec(code, names)
    made: Callable[..., Any] = names[name]  # type: ignore[assignment]  # the line above has just defined it
    return made


def _spilled(root: Node, *, text_only: bool) -> dict[int, Part]:
    """The parts that have to be functions, by the identity of their node; the deepest are made first."""
    parts: dict[int, Part] = {}
    deep = [node for node in walk(root) if node is not root and node.depth and node.depth % _LEVELS == 0]
    for node in sorted(deep, key=lambda node: node.depth):
        if node.constant:
            continue
        tables = _tables(node, parts)
        scope = _PartScope(node.columns, tables)
        emitter = Emitter(scope, parts, BUILDERS, text_only=text_only)
        piece = emitter.value(emitter.piece(node))
        function = _function("part", scope.parameters, piece.source, scope.names)
        parts[id(node)] = Part(function=function, columns=node.columns, tables=tables, kind=piece.kind)
    return parts


def _tables(root: Node, parts: Mapping[int, Part]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    pending: list[Node] = [root]
    while pending:
        node = pending.pop()
        if id(node) in parts:
            found.update(dict.fromkeys(parts[id(node)].tables))
            continue
        if isinstance(node, Call) and node.name == "Lookup" and isinstance(name := node.arguments[2], Text):
            found[name.value] = None
        pending.extend(child for child in children(node) if child is not None)
    return tuple(sorted(found))
