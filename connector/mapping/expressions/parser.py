"""Reading an expression: text to syntax tree, with everything checked that can be known before a row is seen.

Facts: the page "Reference for writing expressions for attribute mappings in Microsoft Entra ID". The parser keeps its
own stack, so that no depth of nesting is ever a RecursionError.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from connector.mapping.expressions.calls import check_constants, check_date, checked_call
from connector.mapping.expressions.expression_error import ExpressionError, nearest
from connector.mapping.expressions.functions import COMPARE_TYPES
from connector.mapping.expressions.signatures import DATED, KNOWN_NAMES, NUMERIC, REFUSED, SIGNATURES
from connector.mapping.expressions.syntax import (
    Call,
    Column,
    Comparison,
    ComparisonMode,
    Node,
    Text,
    merged_columns,
    walk,
)
from connector.mapping.expressions.tokens import Token, tokens
from connector.mapping.expressions.values import Site, number

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "Expression", "ExpressionError", "looks_like_expression", "parse"]

MAX_LENGTH: Final = 100_000
"""Characters of one expression."""

MAX_DEPTH: Final = 200
"""Calls inside one another."""

_MAX_DIGITS: Final = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A checked expression. `columns` are those that it reads, in order of first use; `constant`: it reads nothing."""

    text: str
    columns: tuple[str, ...]
    constant: bool
    root: Node = field(repr=False, compare=False)

    @property
    def tables(self) -> tuple[str, ...]:
        """The lookup tables that it reads, sorted."""
        names = {
            name.value
            for node in walk(self.root)
            if isinstance(node, Call) and node.name == "Lookup" and isinstance(name := node.arguments[2], Text)
        }
        return tuple(sorted(names))

    @property
    def uses_now(self) -> bool:
        """Whether it reads the drop's landing time."""
        return any(isinstance(node, Call) and node.name == "Now" for node in walk(self.root))


_STARTS: Final = re.compile(r"""\s*(?:[\["]|([A-Za-z_][A-Za-z0-9_]*)(\s*)\()""", re.ASCII)


def looks_like_expression(value: str) -> bool:
    """Whether a feed file's value is an expression rather than a constant (design: the mapping language).

    It begins with `[` or `"`, or with a name right before a `(`, or with a known function's name before a `(`.
    """
    found = _STARTS.match(value)
    if found is None:
        return False
    return found[1] is None or not found[2] or found[1] in KNOWN_NAMES


def parse(text: str, *, tables: Collection[str] = ()) -> Expression:
    """Reads and checks an expression. `tables` are the names of the feed's lookup tables. Raises ExpressionError."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"the expression has {len(text):,} characters; {MAX_LENGTH:,} are the most",
            "use a lookup table",
            MAX_LENGTH,
        )
    root = _Parser(text, tables).parse()
    check_constants(root)
    return Expression(text=text, columns=root.columns, constant=root.constant, root=root)


@dataclass(slots=True, kw_only=True)
class _Open:
    """A call (or, without a name, the expression itself) whose end has not been read yet."""

    name: str
    start: int
    arguments: list[Node | None]
    left: Node | None = None
    operator: Token | None = None


class _Parser:
    def __init__(self, text: str, tables: Collection[str]) -> None:
        self._text = text
        self._tables = tables
        self._tokens = list(tokens(text))
        self._at = 0

    def parse(self) -> Node:
        stack = [_Open(name="", start=0, arguments=[])]
        if self._tokens[0].kind == "end":
            raise ExpressionError("the expression is empty", 'write [Column], "text" or Function(…)', 0)
        root: Node | None = None
        while root is None:
            node = self._operand(stack)
            while node is not None:
                node = self._after(node, stack)
            root = stack[0].arguments[0] if stack[0].arguments else None
        return root

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _operand(self, stack: list[_Open]) -> Node | None:
        """Reads up to the end of one operand; None when that opened a call or was an argument left empty."""
        token = self._next()
        opened = stack[-1]
        if token.kind == "string":
            return self._string(token)
        if token.kind == "number":
            return _number(token)
        if token.kind == "column":
            return self._column(token)
        if token.kind == "name":
            return self._name(token, stack)
        if token.kind == "mark" and token.text in "),":
            if opened.operator is not None or not opened.name:
                raise ExpressionError(f"'{token.text}' stands where a value is needed", "", token.start)
            opened.arguments.append(None)
            if token.text == ",":
                return None
            return self._closed(stack, token)
        if token.kind == "end":
            if opened.name:
                raise self._unclosed(opened)
            raise ExpressionError("the expression ends too early", "a value is missing at the end", token.start)
        if token.kind == "mark":
            raise ExpressionError("'(' needs a function's name before it", "parentheses cannot group here", token.start)
        raise ExpressionError(f"'{token.text}' stands where a value is needed", "", token.start)

    def _after(self, node: Node, stack: list[_Open]) -> Node | None:
        """Reads what follows an operand; the call that it closed, if it closed one."""
        token, opened = self._next(), stack[-1]
        if token.kind == "operator":
            if opened.operator is not None:
                raise ExpressionError(
                    f"a second comparison '{token.text}' in one condition",
                    "nest IIF to combine conditions",
                    token.start,
                )
            opened.left, opened.operator = node, token
            return None
        if token.kind == "mark" and token.text != "(" and opened.name:
            opened.arguments.append(_completed(opened, node))
            return None if token.text == "," else self._closed(stack, token)
        if token.kind == "end":
            if opened.name:
                raise self._unclosed(opened)
            opened.arguments.append(_completed(opened, node))
            return None
        raise self._unexpected(token, opened)

    def _unexpected(self, token: Token, opened: _Open) -> ExpressionError:
        if token.kind == "name" and token.text.lower() in ("and", "or", "andalso", "orelse"):
            return ExpressionError(f"there is no {token.text} in expressions", "nest one IIF in another", token.start)
        if token.text == ")":
            return ExpressionError("a ) too many", "take it away", token.start)
        if not opened.name:
            advice = "an expression is one value or one function call; use Join or Append to put texts together"
            return ExpressionError("more text follows the expression", advice, token.start)
        return ExpressionError("a comma or ) is missing", f"the arguments of {opened.name} go on here", token.start)

    def _unclosed(self, opened: _Open) -> ExpressionError:
        return ExpressionError(f"the ( of {opened.name} is never closed", "add the missing )", opened.start)

    def _string(self, token: Token) -> Text:
        raw = token.text[1:-1]
        for found in re.finditer(r"\\(.)", raw, re.DOTALL):
            if found[1] not in '\\"':
                advice = 'write \\\\ for a backslash and \\" for a quote'
                raise ExpressionError(f"'{found[0]}' is not an escape", advice, token.start + 1 + found.start())
        value = re.sub(r"\\(.)", r"\1", raw, flags=re.DOTALL)
        return Text(start=token.start, end=token.end, value=value)

    def _column(self, token: Token) -> Column:
        name = token.text[1:-1]
        if not name.strip():
            raise ExpressionError("the column has no name", "write the name of a column between [ and ]", token.start)
        return Column(start=token.start, end=token.end, name=name, columns=(name,))

    def _name(self, token: Token, stack: list[_Open]) -> Node | None:
        name = token.text
        if self._tokens[self._at].text != "(" or self._tokens[self._at].kind != "mark":
            return self._bare(token, stack[-1])
        self._at += 1
        if name in REFUSED:
            reason, advice = REFUSED[name]
            raise ExpressionError(f"{name} cannot be used: {reason}", advice, token.start)
        if name not in SIGNATURES:
            raise ExpressionError(f"there is no function '{name}'", nearest(name, sorted(SIGNATURES)), token.start)
        if len(stack) > MAX_DEPTH:
            advice = "use Switch or a lookup table instead of nesting"
            raise ExpressionError(f"functions are nested more than {MAX_DEPTH} deep", advice, token.start)
        opened = _Open(name=name, start=token.start, arguments=[])
        stack.append(opened)
        following = self._tokens[self._at]
        if following.kind == "mark" and following.text == ")":
            self._at += 1
            return self._closed(stack, following)
        return None

    def _bare(self, token: Token, opened: _Open) -> Node:
        name = token.text
        if name in COMPARE_TYPES and opened.name == "InStr" and len(opened.arguments) == 3:
            return Text(start=token.start, end=token.end, value=name)
        if name in KNOWN_NAMES:
            raise ExpressionError(
                f"{name} is a function and needs its arguments in ( )", f"write {name}(…)", token.start
            )
        if name.lower() in ("true", "false"):
            raise ExpressionError(f"{name} needs quotes", f'write "{name.capitalize()}"', token.start)
        raise ExpressionError(
            f"'{name}' is neither text nor a column", f'write "{name}" for text or [{name}] for a column', token.start
        )

    def _closed(self, stack: list[_Open], closing: Token) -> Call:
        opened = stack.pop()
        return checked_call(
            opened.name,
            tuple(opened.arguments),
            start=opened.start,
            end=closing.end,
            text=self._text,
            tables=self._tables,
        )


def _number(token: Token) -> Text:
    written = token.text
    if len(written) > _MAX_DIGITS:
        raise ExpressionError("the number has too many digits", 'write it as text, in "…"', token.start)
    if written[0] == "&":
        value: int | float | None = int(written[2:], 16)
        shown = str(value)
    else:
        shown = format(Decimal(written).normalize(), "f")
        value = number(shown)
    return Text(start=token.start, end=token.end, value=shown, number=value)


def _completed(opened: _Open, node: Node) -> Node:
    """The argument that ends here: `node`, or the comparison whose right side it is."""
    if opened.operator is None or opened.left is None:
        return node
    left, operator = opened.left, opened.operator
    opened.left = opened.operator = None
    return Comparison(
        start=left.start,
        end=node.end,
        operator=operator.text,
        left=left,
        right=node,
        mode=_mode(left, node, operator),
        site=Site(
            function=f"the comparison {operator.text}",
            arguments=("left side", "right side"),
            columns=(left.columns, node.columns),
        ),
        depth=1 + max(left.depth, node.depth),
        constant=left.constant and node.constant,
        ignorable=left.ignorable or node.ignorable,
        columns=merged_columns((left, node)),
    )


def _mode(left: Node, right: Node, operator: Token) -> ComparisonMode:
    kinds = {_kind(left), _kind(right)}
    if kinds >= {"number", "date"}:
        raise ExpressionError("a date cannot be compared with a number", "use DateDiff for a number", operator.start)
    if "number" in kinds:
        for side in (left, right):
            if isinstance(side, Text) and number(side.value) is None:
                raise ExpressionError("a number is compared with text that is none", "write a number", side.start)
        return "number"
    if "date" not in kinds:
        return "text"
    for side in (left, right):
        if isinstance(side, Text) and side.value:
            check_date(side)
    return "date"


def _kind(node: Node) -> ComparisonMode:
    if isinstance(node, Text):
        return "text" if node.number is None else "number"
    if isinstance(node, Call):
        return "number" if node.name in NUMERIC else "date" if node.name in DATED else "text"
    return "text"
