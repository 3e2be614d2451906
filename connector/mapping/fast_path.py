"""Composes a feed's rules into one generated Python function from a row's cells to a SCIM user.

Straight-line code without calls that it could do without: this function runs for every row of every drop. It maps what
is plainly right; any doubt (a control character, a word that is no boolean, an exception) goes to `careful`, the slow
path, which decides and explains.

Source text is made only of names chosen here, of `repr` of strings, numbers and booleans, and of what `emit` gives; all
other data is bound by name. A feed file cannot put code into it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from collections.abc import Mapping as Dict
from datetime import datetime
from operator import itemgetter
from types import CodeType
from typing import Any, Final

from connector.mapping.expressions.compiler import emit, emit_condition
from connector.mapping.expressions.parser import Expression
from connector.mapping.expressions.syntax import Column
from connector.mapping.rules import (
    Constant,
    Element,
    Elements,
    Filtered,
    Node,
    Rejected,
    Rule,
    in_order,
    schemas,
    shape,
)
from connector.mapping.value_checks import BOOLEANS, CONVERTERS, EXTERNAL_ID_MAX, MANAGER, VALUE_MAX, watch
from connector.vocabulary.errors import Fault
from connector.vocabulary.scim import Type

Cells = Sequence[Any]
Mapped = dict[str, Any] | Rejected | Filtered
Warnings = tuple[Fault, ...]

_UNPACKED_MAX: Final = 256
"""Taking a row of more columns apart would cost more than looking up the few that are used."""

_BODY: Final = 2
"""Levels of indentation of the generated function's statements."""

_DOUBTS: Final = {"userName": "' ' in v or not v.isprintable()"}
"""By path: what a text `v` must not be to be sent without a closer look."""

_TEXTS: Final = frozenset({Type.STRING, Type.REFERENCE})


class Unwritable(Exception):
    """An expression that Python cannot compile (nested too deep)."""


class Scope:
    """What generated code may name: the row's columns, and data bound to names. Satisfies `emit.Scope`."""

    def __init__(self, columns: Sequence[str], tables: Dict[str, Dict[str, str]], now: datetime) -> None:
        self.columns = columns
        self._places = {column: place for place, column in enumerate(columns)}
        self._tables = tables
        self._names: dict[int, str] = {}
        self.space: dict[str, Any] = {}
        self.used: set[int] = set()
        self.now = self.bind(now, "now")

    def column(self, name: str) -> str:
        self.used.add(self._places[name])
        return f"c{self._places[name]}"

    def bind(self, value: Any, hint: str) -> str:
        if id(value) not in self._names:
            name = f"{hint}_{len(self.space)}"
            self._names[id(value)] = name
            # Held here, the value keeps its id.
            self.space[name] = value
        return self._names[id(value)]

    def table(self, name: str) -> str:
        return self.bind(self._tables[name], "table")


class _Writer:
    """Writes the body of the mapping function. `plain`: every cell is known to be text, so a bare column needs no
    check.
    """

    def __init__(self, scope: Scope, *, plain: bool) -> None:
        self._scope = scope
        self._plain = plain
        self._made = 0
        self.lines: list[str] = []

    def user(self, user: Node, schema_urns: Sequence[str]) -> None:
        """Statements that make the user and return it. Its first child is externalId."""
        external_id, *rest = user.children
        assert isinstance(external_id, Rule)
        assert isinstance(external_id.source, Expression)
        self._line(_BODY, f"x = {self._emitted(external_id.source)}")
        bad = f"x != x.strip() or not x.isprintable() or len(x) > {EXTERNAL_ID_MAX}"
        self._line(_BODY, f"if x.__class__ is not str or not x or {bad}: return careful(row)")
        self._look(external_id, "x", _BODY)
        self._line(_BODY, f'u = {{"schemas": {list(schema_urns)!r}, "externalId": x}}')
        self._children(rest, "u", _BODY)
        self._line(_BODY, "return u, warnings(u) if w else ()")

    def where(self, where: Expression) -> None:
        """The statement that returns where the row is not wanted."""
        self._line(_BODY, f"if not ({emit_condition(where, self._scope, text_only=self._plain)}): return filtered")

    def _line(self, indent: int, text: str) -> None:
        self.lines.append("    " * indent + text)

    def _fresh(self, letter: str) -> str:
        self._made += 1
        return f"{letter}{self._made}"

    def _emitted(self, source: Expression) -> str:
        return emit(source, self._scope, text_only=self._plain)

    def _look(self, rule: Rule, name: str, indent: int) -> None:
        """The statement that sets `w` where the text of that local name is odd. Misread cells have set it already."""
        if not rule.columns:
            return
        watched = watch(rule.target)
        bare = isinstance(rule.source, Expression) and isinstance(rule.source.root, Column)
        looks = [] if bare else [f"not {name}.isascii() and misread({name})"]
        if watched.longest is not None:
            looks.append(f"len({name}) > {watched.longest}")
        if watched.odd is not None:
            looks.append(f"{name} and {self._scope.bind(watched.odd, 'odd')}({name})")
        if str(rule.target) == MANAGER:
            looks.append(f"{name} == x")
        if looks:
            self._line(indent, f"if {' or '.join(looks)}: w = True")

    def _children(self, children: Iterable[Rule | Node | Elements], holder: str, indent: int) -> None:
        for child in children:
            if isinstance(child, Rule):
                self._put(child, holder, indent)
            elif isinstance(child, Node):
                made = self._fresh("o")
                self._line(indent, f"{made} = {{}}")
                self._children(child.children, made, indent)
                self._line(indent, f"if {made}: {holder}[{child.name!r}] = {made}")
            else:
                self._list(child, holder, indent)

    def _list(self, elements: Elements, holder: str, indent: int) -> None:
        if len(elements.elements) == 1:
            self._element(elements.elements[0], indent, lambda made: f"{holder}[{elements.name!r}] = [{made}]")
            return
        made = self._fresh("l")
        self._line(indent, f"{made} = []")
        for element in elements.elements:
            self._element(element, indent, lambda item: f"{made}.append({item})")
        self._line(indent, f"if {made}: {holder}[{elements.name!r}] = {made}")

    def _element(self, element: Element, indent: int, keep: Callable[[str], str]) -> None:
        fixed, content = element.fixed, element.content
        if element.unconditional:
            made = self._fresh("e")
            self._line(indent, f"{made} = {fixed!r}")
        elif len(content) == 1 and element.primary is None and (column := self._bare(content[0])) is not None:
            items = ", ".join(f"{name!r}: {value!r}" for name, value in fixed.items())
            item = f"{{{items}, {content[0].target.leaf.name!r}: {column}}}"
            self._line(indent, f"if {column}: {keep(item)}")
            self._look(content[0], column, indent)
            return
        else:
            made = self._fresh("e")
            self._line(indent, f"{made} = {fixed!r}")
            for rule in content:
                self._put(rule, made, indent)
            self._line(indent, f"if len({made}) > {len(fixed)}:")
            indent += 1
        if element.primary is not None:
            self._put(element.primary, made, indent)
        self._line(indent, keep(made))

    def _bare(self, rule: Rule) -> str | None:
        """The local name of the column that the rule sends as it is, if that needs no look at all."""
        leaf = rule.target.leaf
        if not self._plain or leaf.type not in _TEXTS or leaf.multi_valued or rule.default or rule.null:
            return None
        if str(rule.target) in _DOUBTS:
            return None
        root = rule.source.root if isinstance(rule.source, Expression) else None
        return self._scope.column(root.name) if isinstance(root, Column) else None

    def _put(self, rule: Rule, holder: str, indent: int) -> None:
        leaf = rule.target.leaf
        place = f"{holder}[{leaf.name!r}]"
        if isinstance(rule.source, Constant):
            self._line(indent, f"{place} = {rule.source.value!r}")
        elif (column := self._bare(rule)) is not None:
            self._line(indent, f"if {column}: {place} = {column}")
            self._look(rule, column, indent)
        elif leaf.multi_valued:
            self._put_several(rule, rule.source, place, indent)
        else:
            self._line(indent, f"v = {self._emitted(rule.source)}")
            self._line(indent, "if v.__class__ is str and v:")
            self._put_text(rule, place, indent + 1)
            self._nothing(rule, place, indent)

    def _put_text(self, rule: Rule, place: str, indent: int) -> None:
        kind = rule.target.leaf.type
        if kind in _TEXTS:
            # No cell is longer; what is made of cells may be.
            doubt = f"len(v) > {VALUE_MAX}"
            if more := _DOUBTS.get(str(rule.target)):
                doubt = f"{doubt} or {more}"
            self._line(indent, f"if {doubt}: return careful(row)")
            self._line(indent, f"{place} = v")
            self._look(rule, "v", indent)
            return
        if kind is Type.BOOLEAN:
            self._line(indent, f"t = {self._scope.bind(BOOLEANS, 'booleans')}.get(v)")
        else:
            self._line(indent, f"t = {self._scope.bind(CONVERTERS[kind], kind.lower())}(v)")
        self._line(indent, "if t is None: return careful(row)")
        self._line(indent, f"{place} = t")

    def _nothing(self, rule: Rule, place: str, indent: int) -> None:
        """The branch for null and empty; what is neither, nor IGNORE, is a list where one value must be."""
        instead = ""
        if rule.default is not None:
            instead = f"{place} = {rule.default.value!r}"
            if isinstance(rule.default.value, str):
                # Whether a constant is odd could be known beforehand; what is odd is said by `warnings` all the same.
                instead += "; w = True"
        elif rule.required:
            instead = "return careful(row)"
        elif rule.null:
            instead = f"{place} = None"
        if not instead:
            self._line(indent, "elif v and v is not ignore: return careful(row)")
            return
        self._line(indent, "elif v is not ignore:")
        self._line(indent + 1, "if v: return careful(row)")
        self._line(indent + 1, instead)

    def _put_several(self, rule: Rule, source: Expression, place: str, indent: int) -> None:
        convert = self._scope.bind(CONVERTERS[rule.target.leaf.type], "convert")
        self._line(indent, f"v = {self._emitted(source)}")
        self._line(indent, "if v is not ignore:")
        self._line(indent + 1, f"t = many({convert}, v or '')")
        self._line(indent + 1, "if t is None: return careful(row)")
        self._line(indent + 1, f"if t: {place} = t")
        if rule.default is not None:
            self._line(indent + 1, f"else: {place} = {rule.default.value!r}")


def flat(cells: Cells) -> str:
    return "".join([cell if isinstance(cell, str) else "".join(cell) for cell in cells if cell])


def _unpacking(used: Collection[int], width: int) -> list[str]:
    """Statements that give the used cells of `row` local names."""
    if width > _UNPACKED_MAX:
        return [f"c{place} = row[{place}]" for place in used]
    names = ", ".join(f"c{place}" for place in range(width))
    return [f"{names}, = row"]


def _function(name: str, scope: Scope, *, first: Sequence[str], body: Sequence[str], failing: str) -> list[str]:
    """A function of `row` that does `first`, then `body` (indented already), and `failing` on any exception."""
    statements = [*first, *_unpacking(scope.used, len(scope.columns))]
    indented = [f"{'    ' * _BODY}{statement}" for statement in statements]
    return [f"def {name}(row):", "    try:", *indented, *body, f"    except Exception: {failing}"]


_DOUBT: Final = (
    "w = False",
    "if s.isprintable(): w = '\\ufffd' in s",
    "elif unsendable(s): return careful(row)",
    "else: w = misread(s)",
    f"if len(s) > {VALUE_MAX}: return careful(row)",
)
_ALL_TEXT: Final = (
    "try: s = ''.join({cells})",
    # A cell is None or a list, as in JSON.
    "except TypeError: return mixed(row)",
    *_DOUBT,
)
_MIXED: Final = ("s = flat({cells})", *_DOUBT)


def function_source(rules: Sequence[Rule], where: Expression | None, scope: Scope) -> str:
    """Python text of `plain` (for rows of nothing but text), `mixed` (for all others) and `external_id`."""
    user, urns = shape(rules), schemas(rules)
    bodies: dict[bool, list[str]] = {}
    for plain in (True, False):
        writer = _Writer(scope, plain=plain)
        if where is not None:
            writer.where(where)
        writer.user(user, urns)
        bodies[plain] = writer.lines
    used = list(scope.used)
    cells = "row"
    # Joining the cells that are used only costs more than joining all, unless they are few.
    if len(used) * 2 < len(scope.columns):
        scope.space["pick"] = itemgetter(*used) if len(used) > 1 else lambda row: (row[used[0]],)
        cells = "pick(row)"
    careful = "return careful(row)"
    lines: list[str] = []
    for name, first, plain in (("plain", _ALL_TEXT, True), ("mixed", _MIXED, False)):
        prepared = [statement.format(cells=cells) for statement in first]
        lines += _function(name, scope, first=prepared, body=bodies[plain], failing=careful)
    lines.append("def map(row): return plain(row)[0]")
    return "\n".join([*lines, *_external_id(rules, scope)])


def _external_id(rules: Sequence[Rule], scope: Scope) -> list[str]:
    source = in_order(rules)[0].source
    assert isinstance(source, Expression)
    text = emit(source, scope)
    cells = [scope.column(column) for column in source.columns]
    return [
        "def external_id(row):",
        "    try:",
        *(f"        {cell} = row[{cell[1:]}]" for cell in cells),
        f"        x = {text}",
        "    except out_of_time as late: return impatient(late)",
        "    except Exception: return ''",
        "    return x if x.__class__ is str else ''",
    ]


def compiled(source: str) -> CodeType:
    try:
        return compile(source, "<mapping>", "exec")
    except (RecursionError, MemoryError, SyntaxError, OverflowError) as error:
        raise Unwritable("too deeply nested") from error
