"""What generated source is made of: pieces that know what they can yield, and the conversions between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntFlag
from typing import Any, Final, Protocol, TypeAlias

from connector.mapping.expressions import date_functions, functions
from connector.mapping.expressions.functions import STRICT
from connector.mapping.expressions.interpreter import Surroundings, evaluate
from connector.mapping.expressions.syntax import Call, Column, Comparison, Node, Text, passes_through
from connector.mapping.expressions.values import IGNORE, Ignore, Value, condition, text


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of an expression that has become a function."""

    function: Callable[..., Any]
    columns: tuple[str, ...]
    tables: tuple[str, ...]
    kind: Kind


class Emitter:
    """Turns nodes into pieces for one generated function.

    `parts` are the nodes, by identity, that have become functions already; `builders` make the pieces of calls by the
    function's name, `""` is for the others.
    """

    def __init__(self, scope: Scope, parts: Mapping[int, Part], builders: Builders, *, text_only: bool) -> None:
        self._scope = scope
        self._parts = parts
        self._builders = builders
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
            return self._guarded(pieces, (0, 1), lambda: comparison(self, node, pieces))
        if isinstance(node, Call):
            pieces = [None if argument is None else self.piece(argument) for argument in node.arguments]
            looked_at = [index for index in range(len(pieces)) if not passes_through(node, index)]
            build = self._builders.get(node.name, self._builders[""])
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

    def _part(self, part: Part) -> Piece:
        arguments = [self._scope.column(name) for name in part.columns]
        arguments += [self._scope.table(name) for name in part.tables]
        arguments.append(self._scope.now)
        return Piece(f"{self.name(part.function, 'part')}({', '.join(arguments)})", part.kind)

    def now(self) -> str:
        """Source of the landing time as text."""
        return f"{self.name(date_functions.now_text, 'now_text')}({self._scope.now})"

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


def comparison(emitter: Emitter, node: Comparison, pieces: list[Piece | None]) -> Piece:
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
    ("date", True): date_functions.equal_date,
    ("text", False): functions.order_text,
    ("number", False): functions.order_number,
    ("date", False): date_functions.order_date,
}


Builder: TypeAlias = Callable[[Emitter, Call, list[Piece | None]], Piece]
Builders: TypeAlias = Mapping[str, Builder]
