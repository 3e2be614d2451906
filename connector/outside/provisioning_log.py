"""What the provisioning log says, as Graph spells it (Graph page "provisioningObjectSummary"), read into events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from connector.vocabulary.event import Event


def parse_event(item: Any) -> Event | None:
    """None for an entry that cannot be matched to anybody: no id, no time or no source identity."""
    if not isinstance(item, dict):
        return None
    person = _text(_part(item, "sourceIdentity").get("id"))
    at = _time(item.get("activityDateTime"))
    if not person or at is None or not _text(item.get("id")):
        return None
    info = _part(item, "provisioningStatusInfo") or _part(item, "statusInfo")
    status = _text(info.get("status")).lower()
    error = _part(info, "errorInformation")
    return Event(
        id=_text(item.get("id")),
        at=at,
        person=person,
        action=_text(item.get("provisioningAction") or item.get("action")).lower(),
        status=status,
        change=_text(item.get("changeId")),
        code=_text(error.get("errorCode")) or (_skip_reason(item) if status == "skipped" else ""),
        reason=_text(error.get("reason")),
        advice=_text(error.get("recommendedAction")),
    )


def _skip_reason(item: Mapping[str, Any]) -> str:
    steps = item.get("provisioningSteps")
    for step in steps if isinstance(steps, list) else []:
        reason = _text(_part(_part({"step": step}, "step"), "details").get("SkipReason"))
        if reason:
            return reason
    return ""


def _part(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = item.get(key)
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _time(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
