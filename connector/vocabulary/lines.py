"""The lines of a run's files, a JSON document each: what became of a row, and what the log said."""

from __future__ import annotations

from typing import Any

import orjson

from connector.vocabulary import plausible
from connector.vocabulary.errors import Fault
from connector.vocabulary.event import Event
from connector.vocabulary.run import Decision, PlannedRow

PLAN_SCHEMA = 1
PLAN_HEAD = orjson.dumps({"schema": PLAN_SCHEMA}, option=orjson.OPT_APPEND_NEWLINE)
"""The first line of `plan.jsonl.gz`. Plans of before have none."""
_DECISIONS = {decision.value: decision for decision in Decision}


def plan_line(row: PlannedRow) -> bytes:
    """One line of `plan.jsonl.gz`, newline included. Empty fields are left out."""
    line: dict[str, Any] = {"row": row.row, "externalId": row.external_id, "decision": row.decision.value}
    if row.request:
        line["digest"] = row.digest
        line["request"] = row.request
    if row.reason:
        line["reason"] = row.reason
    for key, faults in (("faults", row.faults), ("warnings", row.warnings)):
        if faults:
            line[key] = [{"column": f.column, "message": f.message, "advice": f.advice} for f in faults]
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def plan_schema(line: bytes) -> int | None:
    """The schema number, if this is a plan's first line and no row's."""
    if not line.startswith(b'{"schema":'):
        return None
    return int(orjson.loads(line)["schema"])


def parse_plan_line(line: bytes) -> PlannedRow:
    """The inverse of `plan_line`."""
    data = orjson.loads(line)
    return PlannedRow(
        row=data["row"],
        external_id=data["externalId"],
        decision=_DECISIONS[data["decision"]],
        digest=data.get("digest", ""),
        request=data.get("request", 0),
        reason=data.get("reason", ""),
        faults=tuple(Fault(**fault) for fault in data.get("faults", ())),
        warnings=tuple(Fault(**fault) for fault in data.get("warnings", ())),
    )


def event_line(event: Event, *, foreign: bool = False) -> bytes:
    """One line of `events.jsonl.gz`, newline included. `foreign`: it is about the same person in another run."""
    line = {
        "id": event.id,
        "at": event.at.isoformat(),
        "person": event.person,
        "action": event.action,
        "status": event.status,
        "change": event.change,
        "code": event.code,
        "reason": event.reason,
        "advice": event.advice,
        "foreign": foreign,
    }
    return orjson.dumps({k: v for k, v in line.items() if v}, option=orjson.OPT_APPEND_NEWLINE)


def parse_event_line(line: bytes) -> tuple[Event, bool]:
    """The inverse of `event_line`: the event, and whether it is foreign. Raises ValueError for an impossible time."""
    data = orjson.loads(line)
    data["at"] = plausible.moment(data["at"])
    if data["at"] is None:
        raise ValueError("an event without a time")
    foreign = data.pop("foreign", False)
    return Event(**{"action": "", "status": "", **data}), foreign
