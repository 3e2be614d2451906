"""`summaries/<feed>/<run>.json`: written, and read again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Final

from connector.reporting.causes import causes
from connector.reporting.csv_files import iso
from connector.vocabulary.errors import Fault, Unusable
from connector.vocabulary.run import Ending
from connector.vocabulary.summary import Summary

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA: Final = 1
TOP_CAUSES: Final = 10
EXAMPLES: Final = 5


def summary_json(summary: Summary, *, failures: Iterable[Ending] = ()) -> bytes:
    """`summaries/<feed>/<run>.json` (docs/operating.md): UTF-8, indented by 2, the same bytes for the same summary.

    `failures` are all endings in `FAILURES`; the file gets the ten most frequent causes, each with up to five examples:
    `"failures": [{"outcome", "code", "reason", "advice", "people", "examples": [{"row", "externalId"}]}]`.
    """
    times = {name: iso(moment) for name, moment in moments(summary)}
    document = asdict(summary) | {
        "times": times,
        "failures": [
            {
                "outcome": cause.outcome,
                "code": cause.code,
                "reason": cause.reason,
                "advice": cause.advice,
                "people": cause.people,
                "examples": [
                    {"row": ending.row, "externalId": ending.external_id} for ending in cause.endings[:EXAMPLES]
                ],
            }
            for cause in causes(failures)[:TOP_CAUSES]
        ],
    }
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace")


def parse_summary(data: bytes) -> Summary:
    """Read what `summary_json` wrote. Fields that this version does not know are ignored.

    Raises `Unusable` with every fault when the bytes are no summary of schema 1 or the counts do not add up.
    """
    from pydantic import ValidationError

    try:
        summary = _adapter().validate_json(data, strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        raise Unusable(
            "summary", [Fault(message=d["msg"], column=".".join(str(part) for part in d["loc"])) for d in details]
        ) from None
    faults = [
        Fault(message="the time has no offset from UTC", column=f"times.{name}")
        for name, moment in moments(summary)
        if moment is not None and moment.tzinfo is None
    ]
    if summary.schema != SCHEMA:
        faults.append(Fault(message=f"this version reads schema {SCHEMA} only", column="schema"))
    if faults:
        raise Unusable("summary", faults)
    return summary


def is_newer(data: bytes) -> bool:
    """Whether a newer version wrote this summary: it is left alone."""
    try:
        schema = json.loads(data)["schema"]
    except (ValueError, TypeError, KeyError):
        return False
    return isinstance(schema, int) and schema > SCHEMA


@cache
def _adapter() -> TypeAdapter[Summary]:
    # Whoever only writes summaries should not pay for the import, and nobody twice for the schema.
    from pydantic import TypeAdapter

    return TypeAdapter(Summary)


def moments(summary: Summary) -> tuple[tuple[str, datetime | None], ...]:
    times = summary.times
    return ("landed", times.landed), ("planned", times.planned), ("sent", times.sent), ("settled", times.settled)
