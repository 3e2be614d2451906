"""A feed's mapping, and the mapping bound to the columns of one drop."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from connector.mapping.attribute_paths import Target
from connector.mapping.expressions.parser import Expression
from connector.mapping.expressions.values import IGNORE, OutOfTime
from connector.mapping.fast_path import Cells, Mapped, Scope, Warnings, compiled, flat, function_source
from connector.mapping.rules import FILTERED, Rule, in_order
from connector.mapping.slow_path import Careful, Patience, described
from connector.mapping.value_checks import MANAGER, MISREAD, UNSENDABLE, Trouble, Watch, many, own_manager, watch
from connector.vocabulary.column_names import NO_HEADER, shown
from connector.vocabulary.errors import DropUnusable, Fault


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoundMapping:
    """A mapping whose columns have places in a drop's rows.

    `map(cells)` gives the complete SCIM user (`schemas` first, then `externalId`, …, always in the same order),
    `Rejected` with every fault of the row, or `FILTERED`. `map_with_warnings(cells)` gives that, and what is odd about
    the user but no reason to reject the row; `warnings(user)` the latter alone. `external_id(cells)` gives what the
    row's externalId would be, "" when it has none; it looks at the first `reach` cells. None of them raises for a row's
    own faults. Cells are text; in formats with nested values also None or a list of text.
    """

    columns: tuple[str, ...]
    map: Callable[[Cells], Mapped]
    map_with_warnings: Callable[[Cells], tuple[Mapped, Warnings]]
    warnings: Callable[[Dict[str, Any]], Warnings]
    external_id: Callable[[Cells], str]
    reach: int
    rules: tuple[Rule, ...]


PATIENCE = 10.0
"""Ours, in seconds. A time counts once, though a row's values may be worked out once or twice more."""


def _warnings(watched_rules: Sequence[_Watched], user: Dict[str, Any]) -> Warnings:
    """What is odd about a user that a mapping made, but no reason to reject the row."""
    found: list[Fault] = []
    for watched in watched_rules:
        holder: Any = user
        for key in watched.keys:
            holder = holder.get(key, {})
        value = watched.target.pick(holder) if watched.where else holder.get(watched.name)
        if value.__class__ is str and (trouble := watched.look(value, user)) is not None:
            found.append(watched.fault(trouble))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Watched:
    """A rule whose values may be odd; what `warnings` needs of it for every row, worked out once."""

    rule: Rule
    target: Target
    keys: tuple[str, ...]
    where: bool
    name: str
    is_manager: bool
    watch: Watch
    _faults: dict[Trouble, Fault] = field(default_factory=dict)

    def look(self, value: str, user: Dict[str, Any]) -> Trouble | None:
        if self.is_manager and value == user["externalId"]:
            return own_manager(self.rule.columns)
        return self.watch.look(value)

    def fault(self, trouble: Trouble) -> Fault:
        if trouble not in self._faults:
            column = ", ".join(self.rule.columns)
            message = f"{described(self.rule)} {trouble.reason}"
            self._faults[trouble] = Fault(message=message, advice=trouble.advice, column=column)
        return self._faults[trouble]


def _watched(rule: Rule) -> _Watched:
    target = rule.target
    return _Watched(
        rule=rule,
        target=target,
        keys=target.container,
        where=bool(target.where),
        name=target.leaf.name,
        is_manager=str(target) == MANAGER,
        watch=watch(target),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mapping:
    """A feed's rules, checked. `columns` are those that the rules and `where` read, in order of first use."""

    name: str
    rules: tuple[Rule, ...]
    where: Expression | None = None
    tables: Dict[str, Dict[str, str]]

    @property
    def columns(self) -> tuple[str, ...]:
        read = [rule.columns for rule in self.rules] + ([self.where.columns] if self.where else [])
        return tuple(dict.fromkeys(column for columns in read for column in columns))

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(rule.target for rule in in_order(self.rules))

    def bind(self, columns: Sequence[str], *, now: datetime, patience: float = PATIENCE) -> BoundMapping:
        """Fit the mapping to a drop's columns; `now` is what `Now()` gives: the drop's landing time.

        Whatever maps or identifies a row raises `DropUnusable` once a regular expression has run to no end for
        `patience` seconds in all.

        Raises `DropUnusable` when a column that the mapping names is missing, or is there twice.
        """
        self._check(columns)
        scope = Scope(columns, self.tables, now)
        space = scope.space
        rules = tuple(in_order(self.rules))
        warnings = partial(_warnings, [_watched(rule) for rule in rules if rule.columns])
        limit = Patience(self.name, rules[0], patience)
        judge = Careful(rules=rules, where=self.where, tables=self.tables, columns=columns, now=now, patience=limit).map

        def careful(row: Cells) -> tuple[Mapped, Warnings]:
            mapped = judge(row)
            return mapped, warnings(mapped) if isinstance(mapped, dict) else ()

        space.update(ignore=IGNORE, filtered=(FILTERED, ()), unsendable=UNSENDABLE.search, many=many, flat=flat)
        space.update(out_of_time=OutOfTime, impatient=limit.without_identifier)
        space.update(careful=careful, warnings=warnings, misread=MISREAD.search)
        exec(compiled(function_source(self.rules, self.where, scope)), space)
        return BoundMapping(
            columns=tuple(columns),
            map=space["map"],
            map_with_warnings=space["plain"],
            warnings=warnings,
            external_id=space["external_id"],
            reach=max(columns.index(column) for column in rules[0].columns) + 1,
            rules=rules,
        )

    def _check(self, columns: Sequence[str]) -> None:
        faults: list[Fault] = []
        times = Counter(columns)
        if all(times[column] == 1 for column in self.columns):
            return
        names = [name for name in dict.fromkeys(shown(columns, self.columns)) if name]
        if any(columns) and not names:
            message = f"the header row has {_none_of(len(self.columns))} that the mapping names"
            raise DropUnusable(self.name, [Fault(message=message, advice=NO_HEADER)])
        for column in self.columns:
            if times[column] > 1:
                faults.append(
                    Fault(
                        message=f"there are {times[column]} columns {column!r}",
                        advice="give each a name of its own",
                        column=column,
                    )
                )
            elif not times[column]:
                near = difflib.get_close_matches(column.lower(), [name.lower() for name in names])
                near = [name for name in names if name.lower() in near]
                advice = f"the nearest are {', '.join(map(repr, near))}" if near else _there_are(columns, names)
                faults.append(
                    Fault(
                        message=f"there is no column {column!r}, which the mapping names", advice=advice, column=column
                    )
                )
        if faults:
            raise DropUnusable(self.name, faults)


def _none_of(count: int) -> str:
    return f"none of the {count} columns" if count > 1 else "not the column"


def _there_are(columns: Sequence[str], names: Sequence[str]) -> str:
    """`names` are those of the columns that a message may show."""
    if not names:
        return "the file has no columns"
    listed = ", ".join(map(repr, names[:20]))
    return f"the file has {listed}{', …' if len(set(columns)) > min(len(names), 20) else ''}"
