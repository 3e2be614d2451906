"""The one error that reading an expression ends in, and how to say what was meant instead."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from connector.vocabulary.errors import ConnectorError


class ExpressionError(ConnectorError):
    """An expression that cannot be used. `position` counts from 0 into its text; `advice` says what to write."""

    def __init__(self, message: str, advice: str, position: int) -> None:
        self.message = message
        self.advice = advice
        self.position = position
        super().__init__(f"{message} ({advice})" if advice else message)


def nearest(name: str, names: Sequence[str]) -> str:
    """Advice: the names that look like `name`, or all of them."""
    for known in names:
        if known.lower() == name.lower():
            return f"write {known}: names are case-sensitive"
    near = difflib.get_close_matches(name[:50], names, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}" if names else ""


def column_missing(name: str, position: int, present: Sequence[str]) -> ExpressionError:
    """The error of a column that a row does not have; `present` are others that it may name."""
    return ExpressionError(f"there is no column [{name}]", nearest(name, present), position)
