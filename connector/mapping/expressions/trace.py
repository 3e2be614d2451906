"""An expression, step by step, for authors who try things out (`python -m connector eval`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from connector.mapping.expressions.expression_error import ExpressionError, column_missing
from connector.mapping.expressions.interpreter import Surroundings, evaluate
from connector.mapping.expressions.parser import Expression
from connector.mapping.expressions.syntax import Column, Node, Text, walk
from connector.mapping.expressions.values import Cell, Value, ValueFault
from connector.vocabulary.column_names import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One part of an expression and what it became; `depth` counts from 0, the whole expression.

    `value` is a ValueFault for the part that could not be evaluated, which is then the last step.
    """

    depth: int
    source_text: str
    value: Value | ValueFault


def trace(
    expression: Expression,
    row: Mapping[str, Cell],
    *,
    now: datetime | None = None,
    tables: Mapping[str, Mapping[str, str]] | None = None,
    known: Collection[str] = (),
) -> list[Step]:
    """What each part of the expression becomes for `row`, innermost first; constants are not listed, unless alone.

    A branch that is not taken has no step. Raises ExpressionError for a column that `row` lacks, or for no `now`;
    `known` are columns of it that a message may name whatever they are.
    """
    for node in walk(expression.root):
        if isinstance(node, Column) and node.name not in row:
            names = shown(list(row), {*expression.columns, *known})
            raise column_missing(node.name, node.start, [name for name in names if name])
    if now is None and expression.uses_now:
        position = expression.text.index("Now")
        raise ExpressionError("Now() needs the time at which the file landed", "give a time", position)
    steps: list[Step] = []

    def observe(node: Node, depth: int, value: Value | ValueFault) -> None:
        if not isinstance(node, Text) or node is expression.root:
            steps.append(Step(depth=depth, source_text=expression.text[node.start : node.end], value=value))

    # The observer hears of a fault: it is the last step.
    with suppress(ValueFault):
        evaluate(expression.root, Surroundings(row=row, now=now, tables=tables or {}), observe)
    return steps
