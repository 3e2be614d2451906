"""The meaning of an expression, node by node: plain and slow. `emit` says the same fast; tests compare the two."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

from connector.mapping.expressions import date_functions, functions
from connector.mapping.expressions.functions import STRICT, as_value, is_empty, lookup_key
from connector.mapping.expressions.replacement import Replacement
from connector.mapping.expressions.syntax import Call, Column, Comparison, Node, Text
from connector.mapping.expressions.values import IGNORE, Cell, Value, ValueFault, condition, text

Observer: TypeAlias = Callable[[Node, int, Value | ValueFault], None]
_Steps: TypeAlias = Generator[Node, Value, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an expression may look at: a row's cells by column, the drop's landing time, the feed's lookup tables."""

    row: Mapping[str, Cell] = field(default_factory=dict, repr=False)
    now: datetime | None = None
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)


def evaluate(root: Node, surroundings: Surroundings, observe: Observer | None = None) -> Value:
    """The value of `root`. Raises ValueFault; KeyError for a column that the row lacks.

    `observe(node, depth, value)` hears of every node that was evaluated, innermost first, and of the one that failed.
    It does not recurse: an expression may be nested deeper than Python's stack likes.
    """
    nodes, pending = [root], [_steps(root, surroundings)]
    answer: Value = None
    started = False
    while pending:
        try:
            child = pending[-1].send(answer) if started else next(pending[-1])
        except StopIteration as done:
            answer = done.value
            if observe is not None:
                observe(nodes[-1], len(nodes) - 1, answer)
            nodes.pop()
            pending.pop()
            started = True
        except ValueFault as fault:
            if observe is not None:
                observe(nodes[-1], len(nodes) - 1, fault)
            raise
        else:
            nodes.append(child)
            pending.append(_steps(child, surroundings))
            started = False
    return answer


def _steps(node: Node, surroundings: Surroundings) -> _Steps:
    if isinstance(node, Text):
        return node.value
        yield
    if isinstance(node, Column):
        return surroundings.row[node.name]
    if isinstance(node, Comparison):
        sides = yield from _arguments((node.left, node.right))
        return IGNORE if sides is None else as_value(compared(node, sides[0], sides[1]))
    if node.name in _LAZY:
        return (yield from _LAZY[node.name](node, surroundings))
    arguments = yield from _arguments(node.arguments)
    if arguments is None:
        return IGNORE
    if isinstance(node.plan, Replacement):
        return node.plan.apply(*arguments, site=node.site)
    return as_value(STRICT[node.name](*arguments, site=node.site))


def _arguments(nodes: tuple[Node | None, ...]) -> Generator[Node, Value, list[Value] | None]:
    """The values of the arguments; None when one is IGNORE. Those that may be are asked first, and the rest is left."""
    values: list[Value] = [None] * len(nodes)
    for ignorable in (True, False):
        for index, node in enumerate(nodes):
            if node is not None and node.ignorable is ignorable:
                values[index] = yield node
                if values[index] is IGNORE:
                    return None
    return values


def compared(node: Comparison, left: Value, right: Value) -> bool:
    """Whether the comparison holds between the two values."""
    if node.operator in ("=", "<>"):
        equal = {"text": functions.equal_text, "number": functions.equal_number, "date": date_functions.equal_date}
        return equal[node.mode](left, right, site=node.site) == (node.operator == "=")
    orders: dict[str, Callable[..., int]] = {
        "text": functions.order_text,
        "number": functions.order_number,
        "date": date_functions.order_date,
    }
    order = orders[node.mode](left, right, site=node.site)
    return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[node.operator]


def _argument(node: Call, index: int) -> _Steps:
    argument = node.arguments[index]
    return None if argument is None else (yield argument)


def _iif(node: Call, surroundings: Surroundings) -> _Steps:
    del surroundings
    test = yield from _argument(node, 0)
    if test is IGNORE:
        return IGNORE
    return (yield from _argument(node, 1 if condition(test, site=node.site) else 2))


def _switch(node: Call, surroundings: Surroundings) -> _Steps:
    del surroundings
    source = yield from _argument(node, 0)
    if source is IGNORE:
        return IGNORE
    sought = lookup_key(source, site=node.site)
    for index in range(2, len(node.arguments), 2):
        key = yield from _argument(node, index)
        if text(key, index, site=node.site) == sought:
            return (yield from _argument(node, index + 1))
    return (yield from _argument(node, 1))


def _coalesce(node: Call, surroundings: Surroundings) -> _Steps:
    del surroundings
    last = len(node.arguments) - 1
    for index in range(last):
        value = yield from _argument(node, index)
        if value is not IGNORE and not is_empty(value):
            return value
    return (yield from _argument(node, last))


def _ignore_flow(node: Call, surroundings: Surroundings) -> _Steps:
    del surroundings
    value = yield from _argument(node, 0)
    return IGNORE if is_empty(value) else value


def _lookup(node: Call, surroundings: Surroundings) -> _Steps:
    source = yield from _argument(node, 0)
    if source is IGNORE:
        return IGNORE
    name = node.arguments[2]
    assert isinstance(name, Text)
    table = surroundings.tables[name.value]
    sought = lookup_key(source, site=node.site)
    return table[sought] if sought in table else (yield from _argument(node, 1))


def _emptiness(*, is_it: bool) -> Callable[[Call, Surroundings], _Steps]:
    def steps(node: Call, surroundings: Surroundings) -> _Steps:
        del surroundings
        value = yield from _argument(node, 0)
        return IGNORE if value is IGNORE else as_value(is_empty(value) is is_it)

    return steps


def _now(node: Call, surroundings: Surroundings) -> _Steps:
    del node
    if surroundings.now is None:
        raise KeyError("now")
    return date_functions.now_text(surroundings.now)
    yield


_LAZY: Final[dict[str, Callable[[Call, Surroundings], _Steps]]] = {
    "Coalesce": _coalesce,
    "IIF": _iif,
    "IgnoreFlowIfNullOrEmpty": _ignore_flow,
    "IsNull": _emptiness(is_it=True),
    "IsNullOrEmpty": _emptiness(is_it=True),
    "IsPresent": _emptiness(is_it=False),
    "Lookup": _lookup,
    "Now": _now,
    "Switch": _switch,
}
