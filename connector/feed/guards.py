"""The section `guards`: how much one drop may change."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import PlainSerializer, PlainValidator

from connector.feed.base import Section, wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """As many as may be: a share of a whole in percent, or a count. Exactly one of the two is given."""

    percent: Decimal | None = None
    count: int | None = None

    def allows(self, part: int, whole: int) -> bool:
        """Whether `part` of `whole` is within bounds. Exact: no floating point near an edge."""
        if self.count is not None:
            return part <= self.count
        assert self.percent is not None
        return part * 100 <= self.percent * whole

    def __str__(self) -> str:
        return str(self.count) if self.percent is None else f"{self.percent}%"


_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)\s*%", re.ASCII)


def _threshold(value: Any) -> Threshold:
    if isinstance(value, Threshold):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Threshold(count=value)
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or Decimal(match[1]) > 100:
        raise wrong("must be a percentage or a number of people", "for example 5% or 20")
    return Threshold(percent=Decimal(match[1]))


GuardLimit = Annotated[
    Threshold, PlainValidator(_threshold, json_schema_input_type=int | str), PlainSerializer(str, return_type=str)
]


class Guards(Section):
    """How many people one drop may disable, remove or reject. Read and checked, and not enforced by this version."""

    max_disabled: GuardLimit = Threshold(percent=Decimal(5))
    max_removed: GuardLimit = Threshold(percent=Decimal(5))
    max_rejected: GuardLimit = Threshold(percent=Decimal(2))
