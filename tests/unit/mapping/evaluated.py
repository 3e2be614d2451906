"""Evaluates an expression in every way there is, and insists that they agree."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest

from connector.mapping.expressions.compiler import compile_expression
from connector.mapping.expressions.expression_error import ExpressionError
from connector.mapping.expressions.interpreter import Surroundings, evaluate
from connector.mapping.expressions.parser import Expression, parse
from connector.mapping.expressions.values import Cell, Value, ValueFault

LANDED = datetime(2021, 8, 25, 17, 41, 18, tzinfo=UTC)

Outcome = Value | tuple[str, str]


def outcomes(
    expression: Expression, row: Mapping[str, Cell], tables: Mapping[str, Mapping[str, str]] | None = None
) -> list[Outcome]:
    """What the interpreter and the generated sources make of the row; a fault as its function and argument."""
    columns = list(row)
    cells = [row[name] for name in columns]
    tables = tables or {}
    compiled = [
        compile_expression(expression, columns, now=LANDED, tables=tables, text_only=text_only)
        for text_only in (False, True)
        if not text_only or all(isinstance(cell, str) for cell in cells)
    ]
    ways: list[Callable[[], Value]] = [
        lambda: evaluate(expression.root, Surroundings(row=row, now=LANDED, tables=tables)),
        *(lambda function=function: function(cells) for function in compiled),
    ]
    found: list[Outcome] = []
    for way in ways:
        try:
            found.append(way())
        except ValueFault as fault:
            found.append((fault.function, fault.argument))
    return found


def value(text: str, tables: Mapping[str, Mapping[str, str]] | None = None, /, **row: Cell) -> Value:
    """The value of the expression for the row. Raises ValueFault."""
    expression = parse(text, tables=tuple(tables or {}))
    found = outcomes(expression, row, tables)
    assert found == [found[0]] * len(found)
    return evaluate(expression.root, Surroundings(row=row, now=LANDED, tables=tables or {}))


def fault(text: str, /, **row: Cell) -> ValueFault:
    """The fault of the expression for the row."""
    with pytest.raises(ValueFault) as raised:
        value(text, **row)
    return raised.value


def refusal(text: str, *, tables: tuple[str, ...] = ()) -> tuple[int, str, str]:
    """Position, message and advice of the error that `parse` raises."""
    with pytest.raises(ExpressionError) as raised:
        parse(text, tables=tables)
    return raised.value.position, raised.value.message, raised.value.advice
