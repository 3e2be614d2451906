"""A row judged attribute by attribute: slow, and the only place that knows why a row is rejected.

The generated function (`record`) hands every row here that it cannot map at once; for a row that is good after all both
give the same user.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from datetime import datetime
from typing import Any, Final

from connector.mapping.expressions.functions import condition_site
from connector.mapping.expressions.interpreter import Surroundings, evaluate
from connector.mapping.expressions.parser import Expression
from connector.mapping.expressions.values import IGNORE, OutOfTime, ValueFault, condition
from connector.mapping.rules import FILTERED, Constant, Elements, Filtered, Node, Rejected, Rule, schemas, shape
from connector.mapping.value_checks import CONVERTERS, FAULTS, TYPE_ADVICE, Trouble, many, unsendable
from connector.vocabulary.errors import DropUnusable, Fault
from connector.vocabulary.scim import Type

Cells = Sequence[Any]

_NOTHING: Final = object()


class Careful:
    """A feed's rules, bound to the columns of a drop."""

    def __init__(
        self,
        *,
        rules: Sequence[Rule],
        where: Expression | None,
        tables: Mapping[str, Mapping[str, str]],
        columns: Sequence[str],
        now: datetime,
        patience: Patience,
    ) -> None:
        self._rules = rules
        self._where = where
        self._tables = tables
        self._columns = columns
        self._now = now
        self._patience = patience
        self._user = shape(rules)
        self._schemas = schemas(rules)

    def map(self, cells: Cells) -> dict[str, Any] | Rejected | Filtered:
        """The user, or why there is none."""
        if len(cells) != len(self._columns):
            fault = Fault(
                message=f"the row has {len(cells)} fields, and the header {len(self._columns)}",
                advice="export it again",
            )
            return Rejected(faults=(fault,), attributes=("",))
        row = Surroundings(row=dict(zip(self._columns, cells, strict=True)), now=self._now, tables=self._tables)
        found = _Found(self._patience)
        if self._where is not None and not _wanted(self._where, row, found):
            return found.rejected if found.faults else FILTERED
        for rule in self._rules:
            found.values[rule] = _value(rule, row, found)
        return found.rejected if found.faults else {"schemas": list(self._schemas)} | _object(self._user, found.values)


class Patience:
    """How long a feed's regular expressions may run to no end, over all rows of a drop."""

    def __init__(self, feed: str, identifier: Rule, seconds: float) -> None:
        self._feed = feed
        self._identifier = identifier
        self._seconds = seconds
        self._spent: dict[str, float] = {}
        self._times: Counter[str] = Counter()

    def spend(self, late: OutOfTime, *, where: str, line: int = 0) -> None:
        """Raises DropUnusable once there is none left."""
        self._spent[late.pattern] = self._spent.get(late.pattern, 0.0) + late.seconds
        self._times[late.pattern] += 1
        if self._spent[late.pattern] > self._seconds:
            shown = late.pattern if len(late.pattern) <= 100 else f"{late.pattern[:100]}…"
            fault = Fault(
                message=f"the regular expression {shown} has run out of its time {self._times[late.pattern]:,} times",
                advice="write it so that it cannot try the same characters in many ways, as (a|aa)+ and (a+)+ do",
                column=where,
                line=line,
            )
            raise DropUnusable(self._feed, [fault])

    def without_identifier(self, late: OutOfTime) -> str:
        self.spend(late, where="mapping.externalId", line=self._identifier.line)
        return ""


class _Found:
    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.values: dict[Rule, Any] = {}
        self.faults: list[Fault] = []
        self.attributes: list[str] = []

    @property
    def rejected(self) -> Rejected:
        return Rejected(faults=tuple(self.faults), attributes=tuple(self.attributes))

    def add(self, attribute: str, fault: Fault) -> None:
        self.faults.append(fault)
        self.attributes.append(attribute)

    def reject(self, rule: Rule, message: str, advice: str, columns: Sequence[str] = ()) -> object:
        column = ", ".join(columns or rule.columns) or str(rule.target)
        self.add(str(rule.target), Fault(message=message, advice=advice, column=column))
        return _NOTHING


def _wanted(where: Expression, row: Surroundings, found: _Found) -> bool:
    columns = where.columns
    try:
        value = evaluate(where.root, row)
        return condition(None if value is IGNORE else value, site=condition_site(columns))
    except ValueFault as fault:
        if isinstance(fault, OutOfTime):
            found.patience.spend(fault, where="where")
        reason = str(fault)
    except Exception as error:  # a row's fault must not stop the other rows, whatever it is
        reason = type(error).__name__
    advice = "make where give True or False for every row"
    message = f"the feed's where cannot be worked out: {reason}"
    found.add("where", Fault(message=message, advice=advice, column=", ".join(columns)))
    return False


def _named(columns: Sequence[str]) -> str:
    names = [f"'{column}'" for column in columns]
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _have(columns: Sequence[str]) -> str:
    return "has" if len(columns) == 1 else "have"


def described(rule: Rule) -> str:
    """How a message names the value of a rule: by its column where there is one."""
    if not rule.columns:
        return rule.label
    if len(rule.columns) == 1:
        return f"{_named(rule.columns)}, which becomes {rule.label},"
    return f"{rule.label}, made of {_named(rule.columns)},"


def _value(rule: Rule, row: Surroundings, found: _Found) -> Any:
    if isinstance(rule.source, Constant):
        return copy(rule.source.value)
    try:
        value = evaluate(rule.source.root, row)
    except ValueFault as fault:
        if isinstance(fault, OutOfTime):
            found.patience.spend(fault, where=f"mapping.{rule.target}", line=rule.line)
        return found.reject(rule, f"{described(rule)} cannot be worked out: {fault}", "", fault.columns)
    except Exception as error:  # a row's fault must not stop the other rows, whatever it is
        return found.reject(rule, f"{described(rule)} cannot be worked out ({type(error).__name__})", "")
    if value is IGNORE and rule.target.leaf.name != "externalId":
        return _NOTHING
    if rule.target.leaf.multi_valued:
        return _several(rule, value, found)
    if isinstance(value, list) and value:
        advice = "take one with Item, or put them together with Join"
        return found.reject(rule, f"{described(rule)} has several values, and one is needed", advice)
    if not isinstance(value, str) or not value:
        return _without_value(rule, row, found)
    return _single(rule, value, found)


def _several(rule: Rule, value: Any, found: _Found) -> Any:
    texts = [value] if isinstance(value, str) else value or []
    for text in texts:
        if trouble := unsendable(text):
            return _refuse(rule, trouble, found)
    values = many(CONVERTERS[rule.target.leaf.type], texts)
    if values is None:
        return _wrong_type(rule, found)
    return values or (list(rule.default.value) if rule.default and isinstance(rule.default.value, list) else _NOTHING)


def _single(rule: Rule, text: str, found: _Found) -> Any:
    check = FAULTS.get(str(rule.target))
    if trouble := unsendable(text) or (check(text) if check else None):
        return _refuse(rule, trouble, found)
    value = CONVERTERS[rule.target.leaf.type](text)
    return _wrong_type(rule, found) if value is None else value


def _without_value(rule: Rule, row: Surroundings, found: _Found) -> Any:
    if rule.default is not None:
        return rule.default.value
    if rule.required:
        # Columns with a value of which the expression makes none are not empty: a Switch does not know the word.
        unknown = any(row.row.get(column) for column in rule.columns)
        verb = "is" if len(rule.columns) == 1 else "are"
        is_empty = f"{_named(rule.columns)} {verb} empty" if rule.columns and not unknown else ""
        if rule.target.leaf.name == "externalId":
            message = f"{is_empty}: the row has no externalId" if is_empty else "the row has no externalId"
            return found.reject(
                rule, message, "every person needs an identifier of their own: fill it in the HR system"
            )
        if unknown:
            return _wrong_type(rule, found)
        message = f"{is_empty or 'there is no value'}, and the feed's {rule.label} rule needs one"
        return found.reject(rule, message, "fill it in the HR system, or say under defaults what an empty one means")
    return None if rule.null else _NOTHING


def _refuse(rule: Rule, trouble: Trouble, found: _Found) -> object:
    return found.reject(rule, f"{described(rule)} {trouble.reason}", trouble.advice)


def _wrong_type(rule: Rule, found: _Found) -> object:
    kind = rule.target.leaf.type
    if kind is Type.BOOLEAN:
        who = f"{_named(rule.columns)} {_have(rule.columns)}" if rule.columns else "the row has"
        message = f"{who} a value that the feed's {rule.label} rule does not know"
    else:
        message = f"{described(rule)} is not of the type {kind}"
    return found.reject(rule, message, TYPE_ADVICE[kind])


def _object(node: Node, values: Mapping[Rule, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for child in node.children:
        if isinstance(child, Rule):
            if values[child] is not _NOTHING:
                made[child.target.leaf.name] = values[child]
        elif inner := _list(child, values) if isinstance(child, Elements) else _object(child, values):
            made[child.name] = inner
    return made


def _list(elements: Elements, values: Mapping[Rule, Any]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for element in elements.elements:
        item = element.fixed
        content = {r.target.leaf.name: values[r] for r in element.content if values[r] is not _NOTHING}
        if content or element.unconditional:
            item |= content
            if element.primary is not None and values[element.primary] is not _NOTHING:
                item[element.primary.target.leaf.name] = values[element.primary]
            made.append(item)
    return made
