"""What an expression yields, and what a function cannot take.

A value is text, null (`None`), several texts (a list), or `IGNORE`. Booleans and numbers travel as text
("True", "False", "15"): the reference page "Reference for writing expressions" knows no other way out of an expression.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from connector.vocabulary.errors import ConnectorError


class Ignore(Enum):
    """The type of `IGNORE`, so that a type checker can tell it from text."""

    IGNORE = "ignore"


IGNORE: Literal[Ignore.IGNORE] = Ignore.IGNORE
"""The attribute is to be left out altogether (IgnoreFlowIfNullOrEmpty)."""

Cell: TypeAlias = str | list[str] | None
Value: TypeAlias = str | list[str] | Ignore | None


class ValueFault(ConnectorError):
    """A row has a value that a function cannot take.

    `function` and `argument` are names from the language, `columns` those that the argument reads. Neither they nor the
    message hold the value itself.
    """

    def __init__(self, function: str, argument: str, columns: tuple[str, ...], reason: str) -> None:
        self.function = function
        self.argument = argument
        self.columns = columns
        self.reason = reason
        named = f" ({', '.join(f'[{column}]' for column in columns)})" if columns else ""
        super().__init__(f"{function}: '{argument}'{named} {reason}")


class OutOfTime(ValueFault):
    """A row's value made a regular expression run out of its time, `seconds`."""

    def __init__(self, fault: ValueFault, pattern: str, seconds: float) -> None:
        super().__init__(fault.function, fault.argument, fault.columns, fault.reason)
        self.pattern = pattern
        self.seconds = seconds


LONGEST: Final = 1 << 16
"""Characters that a function may make of shorter texts: no attribute takes more (`value_checks.VALUE_MAX`)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Site:
    """Where in a feed a function is called: what a fault needs to name its argument and columns."""

    function: str
    arguments: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]

    def fault(self, index: int, reason: str) -> ValueFault:
        """The fault of the argument at `index`, counted from 0."""
        return ValueFault(self.function, self.arguments[index], self.columns[index], reason)


def check_growth(size: int, *given: str, index: int, site: Site) -> None:
    """Raises ValueFault where a function would make more than `LONGEST` characters, and more than it was given in one
    text: checked beforehand, or a small row could fill the memory.
    """
    if size > LONGEST and size > max(map(len, given), default=0):
        raise site.fault(index, f"becomes longer than {LONGEST:,} characters")


def text(value: Value, index: int, *, site: Site) -> str:
    """The value as one text; null is empty. Raises ValueFault for a list."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise site.fault(index, "has several values; one is needed (take one with Item, or put them together with Join)")


_NUMBER = re.compile(r"\s*([-+]?)(\d{1,40})(?:\.(\d{0,40}))?\s*", re.ASCII)


@lru_cache(maxsize=4096)
def number(value: str) -> int | float | None:
    """The number that the text writes in the invariant culture (`-10`, `2.50`), or None. No exponents, no thousands."""
    found = _NUMBER.fullmatch(value)
    if found is None:
        return None
    sign, whole, fraction = found.groups()
    if fraction is None or not fraction.strip("0"):
        return int(sign + whole)
    return float(f"{sign}{whole}.{fraction}")


def integer(value: Value, index: int, *, site: Site) -> int:
    """The value as a whole number. Raises ValueFault when it is none."""
    found = number(text(value, index, site=site))
    if found is None or isinstance(found, float):
        raise site.fault(index, "is not a whole number")
    return found


def present(side: Value, index: int, *, site: Site) -> str:
    """A side of a comparison by size. Raises ValueFault when it is empty."""
    written = text(side, index, site=site)
    if not written:
        raise empty_side(index, site=site)
    return written


def empty_side(index: int, *, site: Site) -> ValueFault:
    """The fault of a side of a comparison by size that is empty."""
    return site.fault(index, "is empty and cannot be compared by size")


def condition(value: Value, *, site: Site) -> bool:
    """Whether the value is true: "True" or "False" in any case, or a number that is not zero.

    Raises ValueFault for anything else, null and empty included: an unknown word is not a "no".
    """
    word = text(value, 0, site=site).strip().lower()
    if word in ("true", "false"):
        return word == "true"
    found = number(word)
    if found is None:
        reason = "is neither True nor False nor a number" if word else "is empty; True, False or a number is needed"
        raise site.fault(0, reason)
    return found != 0
