"""An expression as Python source: one expression, as fast as plain Python can say it.

Text from a feed file gets into the source as `repr` or not at all; column names never do. What is nested deeply becomes
a function of its own, because Python's own parser has limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntFlag
from functools import lru_cache, partial
from typing import Any, Final, Protocol

from connector.mapping import functions
from connector.mapping.diacritics import normalize_diacritics
from connector.mapping.evaluate import Surroundings, evaluate
from connector.mapping.expression import Expression
from connector.mapping.functions import NUMBERS, STRICT, TRUTHS, DateConversion, Replacement
from connector.mapping.syntax import Call, Column, Comparison, Node, Text, children, passes_through, walk
from connector.mapping.values import IGNORE, Cell, Ignore, Value, ValueFault, condition, number, text

_LEVELS: Final = 12
"""Nodes of this many levels become one piece of source; Python's tokenizer allows 200 parentheses in one another."""

_CACHED_DATES: Final = 4096


class Scope(Protocol):
    """What the generated source is put into: a function that sees a row. Names `_e1`, `_e2` … are the emitter's own."""

    now: str
    """Source of the drop's landing time, an aware datetime."""

    def column(self, name: str) -> str:
        """Source of a cell (text, None or a list of texts), cheap, free of effects, evaluated any number of times."""
        ...

    def bind(self, value: object, hint: str) -> str:
        """Puts an object among the generated function's globals; its name there."""
        ...

    def table(self, name: str) -> str:
        """Source of a lookup table, a dict of text to text."""
        ...


class Kind(IntFlag):
    """What a piece of source can yield."""

    TEXT = 1
    NULL = 2
    LIST = 4
    IGNORED = 8
    TRUTH = 16
    NUMBER = 32


@dataclass(frozen=True, slots=True)
class Piece:
    """Source that can stand anywhere an operand can; `atom`: so cheap that it may be repeated.

    A TRUTH is anything that Python takes for true or false, a NUMBER an int; both become text where they leave.
    """

    source: str
    kind: Kind
    atom: bool = False
    constant: bool = False
    value: Value = None


def emit(expression: Expression, scope: Scope, *, text_only: bool = False) -> str:
    """Python source of the expression's `Value` in `scope`; evaluating it may raise ValueFault.

    `text_only`: the scope's columns are never None and never lists, as in a CSV; the source is faster for it.
    """
    emitter = _Emitter(scope, _spilled(expression.root, text_only=text_only), text_only=text_only)
    return emitter.value(emitter.piece(expression.root)).source


def emit_condition(expression: Expression, scope: Scope, *, text_only: bool = False) -> str:
    """Python source of whether the expression is true (`where`). IGNORE and null raise ValueFault, as in IIF."""
    emitter = _Emitter(scope, _spilled(expression.root, text_only=text_only), text_only=text_only)
    piece = emitter.piece(expression.root)
    site = functions.condition_site(expression.columns)
    if piece.kind & Kind.IGNORED:
        never = emitter.name(IGNORE, "IGNORE")
        temporary = emitter.temporary()
        source = f"(None if ({temporary} := {piece.source}) is {never} else {temporary})"
        piece = Piece(source, (piece.kind & ~Kind.IGNORED) | Kind.NULL)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A part of an expression that has become a function."""

    function: Callable[..., Any]
    columns: tuple[str, ...]
    tables: tuple[str, ...]
    kind: Kind


def _spilled(root: Node, *, text_only: bool) -> dict[int, _Part]:
    """The parts that have to be functions, by the identity of their node; the deepest are made first."""
    parts: dict[int, _Part] = {}
    deep = [node for node in walk(root) if node is not root and node.depth and node.depth % _LEVELS == 0]
    for node in sorted(deep, key=lambda node: node.depth):
        if node.constant:
            continue
        tables = _tables(node, parts)
        scope = _PartScope(node.columns, tables)
        emitter = _Emitter(scope, parts, text_only=text_only)
        piece = emitter.value(emitter.piece(node))
        function = _function("part", scope.parameters, piece.source, scope.names)
        parts[id(node)] = _Part(function=function, columns=node.columns, tables=tables, kind=piece.kind)
    return parts


def _tables(root: Node, parts: Mapping[int, _Part]) -> tuple[str, ...]:
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


class _Emitter:
    def __init__(self, scope: Scope, parts: Mapping[int, _Part], *, text_only: bool) -> None:
        self._scope = scope
        self._parts = parts
        self._cell = Kind.TEXT if text_only else Kind.TEXT | Kind.NULL | Kind.LIST
        self._bound: dict[int, tuple[object, str]] = {}
        self._temporaries = 0

    # Names

    def name(self, value: object, hint: str) -> str:
        """The name of an object among the globals; the same object is bound once."""
        if id(value) not in self._bound:
            self._bound[id(value)] = (value, self._scope.bind(value, hint))
        return self._bound[id(value)][1]

    def temporary(self) -> str:
        self._temporaries += 1
        return f"_e{self._temporaries}"

    def held(self, piece: Piece) -> tuple[str, str]:
        """Source that evaluates the piece, and source that repeats its value."""
        if piece.atom:
            return piece.source, piece.source
        temporary = self.temporary()
        return f"({temporary} := {piece.source})", temporary

    # Nodes

    def piece(self, node: Node) -> Piece:
        piece = self._piece(node)
        if node.ignorable and not node.constant and not piece.kind & Kind.IGNORED:
            # What may be IGNORE is asked first, as in `evaluate`, whether or not it turns out that it never is.
            piece = self.value(piece)
            piece = replace(piece, kind=piece.kind | Kind.IGNORED)
        return piece

    def _piece(self, node: Node) -> Piece:
        if node.constant:
            return self.fixed(node.value if isinstance(node, Text) else evaluate(node, Surroundings()))
        if isinstance(node, Column):
            return Piece(self._scope.column(node.name), self._cell, atom=True)
        part = self._parts.get(id(node))
        if part is not None:
            return self._part(part)
        if isinstance(node, Comparison):
            pieces: list[Piece | None] = [self._side(node.left, node), self._side(node.right, node)]
            return self._guarded(pieces, (0, 1), lambda: _comparison(self, node, pieces))
        if isinstance(node, Call):
            pieces = [None if argument is None else self.piece(argument) for argument in node.arguments]
            looked_at = [index for index in range(len(pieces)) if not passes_through(node, index)]
            build = _BUILDERS.get(node.name, _plainly)
            return self._guarded(pieces, looked_at, lambda: build(self, node, pieces))
        raise TypeError(type(node))

    def _side(self, node: Node, comparison: Comparison) -> Piece:
        if comparison.mode == "number" and isinstance(node, Text) and isinstance(node.number, int):
            return Piece(f"({node.number})" if node.number < 0 else str(node.number), Kind.NUMBER, atom=True)
        return self.piece(node)

    def _guarded(self, pieces: list[Piece | None], looked_at: Sequence[int], build: Callable[[], Piece]) -> Piece:
        """A function that is given IGNORE to look at is IGNORE itself."""
        guards: list[tuple[str, str]] = []
        for index in looked_at:
            piece = pieces[index]
            if piece is not None and piece.kind & Kind.IGNORED:
                temporary = self.temporary()
                guards.append((temporary, piece.source))
                pieces[index] = Piece(temporary, piece.kind & ~Kind.IGNORED or Kind.NULL, atom=True)
        result = build()
        if guards:
            result = self.value(result)
        for temporary, source in reversed(guards):
            never = self.name(IGNORE, "IGNORE")
            guarded = f"({never} if ({temporary} := {source}) is {never} else {result.source})"
            result = Piece(guarded, result.kind | Kind.IGNORED)
        return result

    def _part(self, part: _Part) -> Piece:
        arguments = [self._scope.column(name) for name in part.columns]
        arguments += [self._scope.table(name) for name in part.tables]
        arguments.append(self._scope.now)
        return Piece(f"{self.name(part.function, 'part')}({', '.join(arguments)})", part.kind)

    def now(self) -> str:
        """Source of the landing time as text."""
        return f"{self.name(functions.now_text, 'now_text')}({self._scope.now})"

    def table(self, name: str) -> str:
        return self._scope.table(name)

    # Conversions

    def fixed(self, value: Value) -> Piece:
        if value is None:
            return Piece("None", Kind.NULL, atom=True, constant=True)
        if isinstance(value, Ignore):
            name = self.name(IGNORE, "IGNORE")
            return Piece(name, Kind.IGNORED, atom=True, constant=True, value=IGNORE)
        if isinstance(value, list):
            return Piece(repr(value), Kind.LIST, constant=True, value=value)
        return Piece(repr(value), Kind.TEXT, atom=True, constant=True, value=value)

    def value(self, piece: Piece) -> Piece:
        """The piece as it travels: text, null, list or IGNORE."""
        if piece.kind & Kind.TRUTH:
            return Piece(f'("True" if {piece.source} else "False")', Kind.TEXT)
        if piece.kind == Kind.NUMBER:
            return Piece(f"{self.name(str, 'str')}({piece.source})", Kind.TEXT)
        if piece.kind & Kind.NUMBER:
            first, again = self.held(piece)
            return Piece(f"(None if {first} is None else {self.name(str, 'str')}({again}))", Kind.TEXT | Kind.NULL)
        return piece

    def text(self, piece: Piece, site: str, index: int) -> Piece:
        """The piece as one text; null is empty, a list a fault."""
        piece = self.value(piece)
        if piece.kind == Kind.TEXT:
            return piece
        if piece.kind == Kind.NULL:
            return self.fixed("")
        if not piece.kind & Kind.LIST:
            return Piece(f'({piece.source} or "")', Kind.TEXT)
        first, again = self.held(piece)
        function, string = self.name(text, "text"), self.name(str, "str")
        source = f"({again} if {first}.__class__ is {string} else {function}({again}, {index}, site={site}))"
        return Piece(source, Kind.TEXT)

    def truth(self, piece: Piece, site: str) -> Piece:
        """The piece as a condition."""
        if piece.kind == Kind.TRUTH:
            return piece
        if piece.kind == Kind.NUMBER:
            return Piece(f"({piece.source} != 0)", Kind.TRUTH)
        value = self.value(piece).source
        return Piece(f"{self.name(condition, 'condition')}({value}, site={site})", Kind.TRUTH)

    def called(self, function: Callable[..., object], node: Call, pieces: Sequence[Piece | None], kind: Kind) -> Piece:
        """A plain call of a run-time function."""
        values = ["None" if piece is None else self.value(piece).source for piece in pieces]
        site = self.name(node.site, "site")
        return Piece(f"{self.name(function, node.name)}({', '.join([*values, f'site={site}'])})", kind)

    def on_text(
        self, node: Call, pieces: Sequence[Piece | None], inline: Callable[[str], str], *, twice: bool
    ) -> Piece:
        """`inline` of the first argument where it is text, the run-time function where it is something else.

        `twice`: `inline` repeats what it is given.
        """
        piece = self.value(pieces[0] or self.fixed(None))
        if piece.kind == Kind.TEXT:
            if not twice or piece.atom:
                return Piece(f"({inline(piece.source)})", Kind.TEXT)
            first, again = self.held(piece)
            # The condition comes first in Python's order of evaluation, and a text is never None.
            return Piece(f"(({inline(again)}) if {first} is not None else None)", Kind.TEXT)
        first, again = self.held(piece)
        other = [Piece(again, piece.kind, atom=True), *pieces[1:]]
        generic = self.called(STRICT[node.name], node, other, Kind.TEXT | Kind.NULL).source
        test = f"{first}.__class__ is {self.name(str, 'str')}"
        return Piece(f"(({inline(again)}) if {test} else {generic})", Kind.TEXT | Kind.NULL)


_Builder = Callable[[_Emitter, Call, list[Piece | None]], Piece]


def _given(pieces: Sequence[Piece | None], index: int) -> Piece | None:
    return pieces[index] if index < len(pieces) else None


def _constant_text(pieces: Sequence[Piece | None], index: int) -> str | None:
    piece = _given(pieces, index)
    return piece.value if piece is not None and piece.constant and isinstance(piece.value, str) else None


def _constant_whole(pieces: Sequence[Piece | None], index: int) -> int | None:
    written = _constant_text(pieces, index)
    found = None if written is None else number(written)
    return found if isinstance(found, int) else None


_RESULTS: Final[dict[str, Kind]] = {
    **dict.fromkeys(("Word",), Kind.TEXT),
    **dict.fromkeys(("Split",), Kind.LIST | Kind.NULL),
    **dict.fromkeys(("RemoveDuplicates",), Kind.TEXT | Kind.LIST | Kind.NULL),
    **dict.fromkeys(TRUTHS, Kind.TRUTH),
    **dict.fromkeys(NUMBERS, Kind.NUMBER | Kind.NULL),
    **dict.fromkeys(("Count", "InStr"), Kind.NUMBER),
}


def _plainly(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    return emitter.called(STRICT[node.name], node, pieces, _RESULTS.get(node.name, Kind.TEXT | Kind.NULL))


def _comparison(emitter: _Emitter, node: Comparison, pieces: list[Piece | None]) -> Piece:
    left, right = pieces[0] or emitter.fixed(None), pieces[1] or emitter.fixed(None)
    site = emitter.name(node.site, "site")
    operator = {"=": "==", "<>": "!="}.get(node.operator, node.operator)
    if node.mode == "number" and left.kind == right.kind == Kind.NUMBER:
        return Piece(f"({left.source} {operator} {right.source})", Kind.TRUTH)
    if node.mode == "text" and node.operator in ("=", "<>"):
        sides = (emitter.text(left, site, 0).source, emitter.text(right, site, 1).source)
        return Piece(f"({sides[0]} {operator} {sides[1]})", Kind.TRUTH)
    if node.mode == "number" and right.kind == Kind.NUMBER and left.kind == Kind.NUMBER | Kind.NULL:
        first, again = emitter.held(left)
        absent = repr(node.operator == "<>")
        if node.operator not in ("=", "<>"):
            # Raises the fault: there is no number.
            absent = f"{emitter.name(functions.order_number, 'compared')}({again}, {right.source}, site={site})"
        return Piece(f"({again} {operator} {right.source} if {first} is not None else {absent})", Kind.TRUTH)
    # Python would take a truth value for a number.
    left, right = (side if side.kind & Kind.NUMBER else emitter.value(side) for side in (left, right))
    if node.mode != "number":
        left, right = emitter.value(left), emitter.value(right)
    equality = node.operator in ("=", "<>")
    function = _COMPARISONS[node.mode, equality]
    call = f"{emitter.name(function, 'compared')}({left.source}, {right.source}, site={site})"
    if equality:
        return Piece(call if node.operator == "=" else f"(not {call})", Kind.TRUTH)
    return Piece(f"({call} {operator} 0)", Kind.TRUTH)


_COMPARISONS: Final[dict[tuple[str, bool], Callable[..., object]]] = {
    ("text", True): functions.equal_text,
    ("number", True): functions.equal_number,
    ("date", True): functions.equal_date,
    ("text", False): functions.order_text,
    ("number", False): functions.order_number,
    ("date", False): functions.order_date,
}


def _append(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    site = emitter.name(node.site, "site")
    parts = [emitter.text(piece or emitter.fixed(None), site, index).source for index, piece in enumerate(pieces)]
    return Piece(f"({' + '.join(parts)})", Kind.TEXT)


def _join(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    separator = _constant_text(pieces, 0)
    sources = [emitter.value(piece) for piece in pieces[1:] if piece is not None]
    if separator is None or any(source.kind & Kind.LIST for source in sources):
        return emitter.called(functions.join, node, pieces, Kind.TEXT)
    sources = _merged(emitter, separator, sources)
    variable = [source for source in sources if not source.constant]
    site = emitter.name(node.site, "site")
    if len(sources) == 1 or not separator:
        parts = [emitter.text(source, site, 1).source for source in sources]
        return Piece(f"({' + '.join(parts)})" if len(parts) > 1 else parts[0], Kind.TEXT)
    between = f" + {separator!r} + "
    if len(variable) == 1:
        return _join_one(emitter, separator, sources)
    if len(sources) == 2 and variable[1].atom:
        first, again = emitter.held(sources[0])
        last = sources[1].source
        empty = "" if sources[1].kind == Kind.TEXT else ' or ""'
        source = f"({again}{between}{last} if {first} and {last} else {again} or {last}{empty})"
        return Piece(source, Kind.TEXT)
    listed = ", ".join(source.source for source in sources)
    return Piece(f"{separator!r}.join({emitter.name(filter, 'filter')}(None, ({listed})))", Kind.TEXT)


def _merged(emitter: _Emitter, separator: str, sources: Sequence[Piece]) -> list[Piece]:
    """Constants side by side as one; those that are empty disappear."""
    merged: list[Piece] = []
    for source in sources:
        if source.constant and not source.value:
            continue
        if source.constant and merged and merged[-1].constant:
            merged[-1] = emitter.fixed(f"{merged[-1].value}{separator}{source.value}")
        else:
            merged.append(source)
    return merged


def _join_one(emitter: _Emitter, separator: str, sources: Sequence[Piece]) -> Piece:
    """One source that varies, with a constant before, after or on both sides."""
    place = next(index for index, source in enumerate(sources) if not source.constant)
    before, after = sources[:place], sources[place + 1 :]
    first, again = emitter.held(sources[place])
    full = [repr(f"{before[0].value}{separator}")] if before else []
    full.append(again)
    full += [repr(f"{separator}{after[0].value}")] if after else []
    alone = separator.join(str(source.value) for source in (*before, *after))
    return Piece(f"({' + '.join(full)} if {first} else {alone!r})", Kind.TEXT)


def _coalesce(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    del node
    sources: list[str] = []
    kind = Kind(0)
    for index, given in enumerate(pieces):
        piece = emitter.value(given or emitter.fixed(None))
        if index == len(pieces) - 1:
            sources.append(piece.source)
            return Piece(f"({' or '.join(sources)})", kind | piece.kind, atom=len(sources) == 1 and piece.atom)
        if piece.kind & Kind.IGNORED:
            first, again = emitter.held(piece)
            sources.append(f"(None if {first} is {emitter.name(IGNORE, 'IGNORE')} else {again})")
        else:
            sources.append(piece.source)
        kind |= piece.kind & ~(Kind.NULL | Kind.IGNORED)
    raise ValueError("Coalesce without arguments")


def _iif(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    test = emitter.truth(pieces[0] or emitter.fixed(None), emitter.name(node.site, "site"))
    one, other = pieces[1] or emitter.fixed(None), pieces[2] or emitter.fixed(None)
    if not one.kind == other.kind == Kind.TRUTH:
        one, other = emitter.value(one), emitter.value(other)
    return Piece(f"({one.source} if {test.source} else {other.source})", one.kind | other.kind)


def _not(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    piece = pieces[0]
    if piece is not None and piece.kind == Kind.TRUTH:
        return Piece(f"(not {piece.source})", Kind.TRUTH)
    return emitter.called(functions.negate, node, pieces, Kind.TRUTH)


def _is_empty(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    del node
    return Piece(f"(not {emitter.value(pieces[0] or emitter.fixed(None)).source})", Kind.TRUTH)


def _is_present(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    del node
    return Piece(emitter.value(pieces[0] or emitter.fixed(None)).source, Kind.TRUTH)


def _ignore_flow(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    del node
    piece = emitter.value(pieces[0] or emitter.fixed(None))
    kind = (piece.kind & ~Kind.NULL) | Kind.IGNORED
    return Piece(f"({piece.source} or {emitter.name(IGNORE, 'IGNORE')})", kind)


def _c_bool(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    return emitter.truth(pieces[0] or emitter.fixed(None), emitter.name(node.site, "site"))


def _left(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    many = _constant_whole(pieces, 1)
    if many is None:
        return emitter.called(functions.left, node, pieces, Kind.TEXT)
    source = emitter.text(pieces[0] or emitter.fixed(None), emitter.name(node.site, "site"), 0)
    return source if many < 0 else Piece(f"{source.source}[:{many}]", Kind.TEXT)


def _mid(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    start, length = _constant_whole(pieces, 1), _constant_whole(pieces, 2)
    if start is None or length is None:
        return _plainly(emitter, node, pieces)
    return emitter.on_text(node, pieces, lambda it: f"{it}[{start - 1}:{start - 1 + length}]", twice=False)


def _cased(method: str) -> _Builder:
    def build(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
        if _given(pieces, 1) is not None:
            return _plainly(emitter, node, pieces)
        slow, site = emitter.name(STRICT[node.name], node.name), emitter.name(node.site, "site")
        return emitter.on_text(
            node, pieces, lambda it: f"{it}.{method}() if {it}.isascii() else {slow}({it}, site={site})", twice=True
        )

    return build


def _method(call: str) -> _Builder:
    def build(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
        return emitter.on_text(node, pieces, lambda it: f"{it}.{call}", twice=False)

    return build


def _normalize(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    slow = emitter.name(normalize_diacritics, "normalize")
    return emitter.on_text(node, pieces, lambda it: f"{it} if {it}.isascii() else {slow}({it})", twice=True)


def _c_str(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    piece = emitter.value(pieces[0] or emitter.fixed(None))
    return _plainly(emitter, node, pieces) if piece.kind & Kind.LIST else piece


def _is_string(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    del node
    piece = emitter.value(pieces[0] or emitter.fixed(None))
    return Piece(f"({piece.source}.__class__ is {emitter.name(str, 'str')})", Kind.TRUTH)


def _redact(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    del node
    return emitter.value(pieces[0] or emitter.fixed(None))


def _now(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    del node, pieces
    return Piece(emitter.now(), Kind.TEXT)


def _replace(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    plan = node.plan
    if not isinstance(plan, Replacement):
        raise TypeError(type(plan))
    old, value = _constant_text(pieces, 1), _constant_text(pieces, 4)
    source = pieces[0] or emitter.fixed(None)
    if plan.mode == "value" and old is not None and value is not None and emitter.value(source).kind == Kind.TEXT:
        return Piece(f"{emitter.value(source).source}.replace({old!r}, {value!r})", Kind.TEXT)
    template = _constant_text(pieces, 6)
    if plan.mode == "template" and old is not None and template is not None:
        written = emitter.text(source, emitter.name(node.site, "site"), 0).source
        return Piece(f"{template!r}.replace({old!r}, {written})", Kind.TEXT)
    return emitter.called(plan.apply, node, pieces, Kind.TEXT | Kind.NULL)


def _format_date_time(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    plan = node.plan
    if not isinstance(plan, DateConversion):
        return _plainly(emitter, node, pieces)
    # A file has far fewer dates than rows.
    convert = lru_cache(_CACHED_DATES)(partial(plan.convert, site=node.site))
    source = emitter.text(pieces[0] or emitter.fixed(None), emitter.name(node.site, "site"), 0).source
    return Piece(f"{emitter.name(convert, 'convert')}({source})", Kind.TEXT | Kind.NULL)


def _switch(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    site = emitter.name(node.site, "site")
    source = emitter.text(pieces[0] or emitter.fixed(None), site, 0)
    default = emitter.value(pieces[1] or emitter.fixed(None))
    keys = [piece or emitter.fixed(None) for piece in pieces[2::2]]
    values = [emitter.value(piece or emitter.fixed(None)) for piece in pieces[3::2]]
    kind = default.kind
    for value in values:
        kind |= value.kind
    if not all(key.constant and isinstance(key.value, str) for key in keys):
        first, again = emitter.held(source)
        tests = [emitter.text(key, site, 2 + 2 * index).source for index, key in enumerate(keys)]
        chain = " or ".join(
            f"{first if index == 0 else again} == {test} and {index + 1}" for index, test in enumerate(tests)
        )
        return _chosen(emitter, f"({chain} or 0)", [default, *values], kind)
    table: dict[str, Piece] = {}
    for key, value in zip(keys, values, strict=True):
        table.setdefault(str(key.value), value)
    if all(value.constant and not value.kind & Kind.LIST for value in table.values()):
        return _looked_up(emitter, emitter.name(_constants(table), "table"), source, default, kind)
    places = emitter.name({key: place for place, key in enumerate(table, start=1)}, "places")
    return _chosen(emitter, f"{places}.get({source.source}, 0)", [default, *table.values()], kind)


def _constants(table: Mapping[str, Piece]) -> dict[str, Value]:
    return {key: piece.value for key, piece in table.items()}


def _looked_up(emitter: _Emitter, table: str, source: Piece, default: Piece, kind: Kind) -> Piece:
    if default.atom:
        rest = "" if default.source == "None" else f", {default.source}"
        return Piece(f"{table}.get({source.source}{rest})", kind)
    first, again = emitter.held(source)
    return Piece(f"({table}[{again}] if {first} in {table} else {default.source})", kind)


def _chosen(emitter: _Emitter, place: str, values: Sequence[Piece], kind: Kind) -> Piece:
    """The value at `place`, by halving: a chain of conditions would nest as deep as there are values."""
    temporary = emitter.temporary()

    def half(low: int, high: int, test: str) -> str:
        if high - low == 1:
            return values[low].source
        middle = (low + high) // 2
        return f"({half(low, middle, temporary)} if {test} < {middle} else {half(middle, high, temporary)})"

    return Piece(half(0, len(values), f"({temporary} := {place})"), kind)


def _lookup(emitter: _Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    site = emitter.name(node.site, "site")
    source = emitter.text(pieces[0] or emitter.fixed(None), site, 0)
    default = emitter.value(pieces[1] or emitter.fixed(None))
    name = _constant_text(pieces, 2) or ""
    return _looked_up(emitter, emitter.table(name), source, default, Kind.TEXT | default.kind)


_BUILDERS: Final[dict[str, _Builder]] = {
    "Append": _append,
    "CBool": _c_bool,
    "CStr": _c_str,
    "Coalesce": _coalesce,
    "FormatDateTime": _format_date_time,
    "IIF": _iif,
    "IgnoreFlowIfNullOrEmpty": _ignore_flow,
    "IsNull": _is_empty,
    "IsNullOrEmpty": _is_empty,
    "IsPresent": _is_present,
    "IsString": _is_string,
    "Join": _join,
    "Left": _left,
    "Lookup": _lookup,
    "Mid": _mid,
    "NormalizeDiacritics": _normalize,
    "Not": _not,
    "Now": _now,
    "Redact": _redact,
    "Replace": _replace,
    "StripSpaces": _method("replace(' ', '')"),
    "Switch": _switch,
    "ToLower": _cased("lower"),
    "ToUpper": _cased("upper"),
    "Trim": _method("strip()"),
}

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
