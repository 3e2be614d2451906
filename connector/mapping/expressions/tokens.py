"""An expression's text as tokens: strings, columns, numbers, names, operators and marks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from connector.mapping.expressions.expression_error import ExpressionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """`kind` is string, column, number, name, operator, mark or end; `start` and `end` count from 0."""

    kind: str
    text: str
    start: int
    end: int


_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>"(?:[^"\\]|\\.)*+")
    |(?P<column>\[[^\]]*+\])
    |(?P<number>&[Hh][0-9A-Fa-f]+(?![A-Za-z0-9_.])|-?[0-9]+(?:\.[0-9]+)?(?![A-Za-z0-9_.]))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<operator><>|<=|>=|[=<>])
    |(?P<mark>[(),])""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)


def tokens(text: str) -> Iterator[Token]:
    """The tokens of `text` without its white space; the last is of kind `end`. Raises ExpressionError."""
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            # ASCII white space is in the pattern; a no-break space pasted from a web page is white space too.
            if text[at].isspace():
                at += 1
                continue
            raise _strange(text, at)
        kind = found.lastgroup or ""
        if kind != "space":
            yield Token(kind=kind, text=found[0], start=at, end=found.end())
        at = found.end()
    yield Token(kind="end", text="", start=len(text), end=len(text))


def _strange(text: str, at: int) -> ExpressionError:
    char = text[at]
    if char == '"':
        return ExpressionError("the string has no end", 'end it with ", and write \\" for a quote inside', at)
    if char == "[":
        return ExpressionError("the column name has no end", "end it with ]", at)
    if char in "“”„«»‘’'`":
        return ExpressionError(f"{char} does not quote here", 'use the straight double quote "', at)
    if char in "+&":
        advice = "use Append or Join to put texts together, and &HF for a hexadecimal number"
        return ExpressionError(f"'{char}' is not an operator here", advice, at)
    if char in "-0123456789":
        return ExpressionError("the number cannot be read", "write 7, -10, 1.5 or &HF", at)
    if char == "!":
        return ExpressionError("'!' is not an operator here", "write <> for unequal, and Not(…) for the opposite", at)
    shown = char if char.isprintable() else f"U+{ord(char):04X}"
    return ExpressionError(f"'{shown}' has no meaning here", "texts need quotes, columns need [ ]", at)
