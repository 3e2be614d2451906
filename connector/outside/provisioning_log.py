"""What the provisioning log says, as Graph spells it (Graph page "provisioningObjectSummary"), read into events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.vocabulary import plausible
from connector.vocabulary.event import Event

AHEAD = timedelta(minutes=10)
"""An entry comes minutes after its time: one whose time is yet to come by so much is of no clock that is known."""

LONGEST_ID = 256
LONGEST_TEXT = 4096
"""Entra's reasons have some hundred characters."""


def parse_events(items: Sequence[Any], latest: datetime) -> tuple[list[Event], int]:
    """A page's events, and how many entries that may be about somebody are absurd. `latest`: when it was answered."""
    events: list[Event] = []
    absurd = 0
    for item in items:
        event = parse_event(item)
        if event is not None and event.at <= latest + AHEAD:
            events.append(event)
        # Entries about nobody are Graph's own: of the job as a whole.
        elif not isinstance(item, dict) or _person(item):
            absurd += 1
    return events, absurd


def parse_event(item: Any) -> Event | None:
    """None for an entry that cannot be matched to anybody: no id, no time to be believed or no source identity."""
    if not isinstance(item, dict):
        return None
    event_id, person = text(item.get("id")), _person(item)
    # Graph's times are in UTC, also where they do not say so.
    at = plausible.moment(item.get("activityDateTime"), zone=UTC)
    if not person or at is None or not event_id or len(event_id) > LONGEST_ID:
        return None
    info = _part(item, "provisioningStatusInfo") or _part(item, "statusInfo")
    status = text(info.get("status"), LONGEST_ID).lower()
    error = _part(info, "errorInformation")
    return Event(
        id=event_id,
        at=at,
        person=person,
        action=text(item.get("provisioningAction") or item.get("action"), LONGEST_ID).lower(),
        status=status,
        change=text(item.get("changeId"), LONGEST_ID),
        code=text(error.get("errorCode"), LONGEST_ID) or (_skip_reason(item) if status == "skipped" else ""),
        reason=text(error.get("reason"), LONGEST_TEXT),
        advice=text(error.get("recommendedAction"), LONGEST_TEXT),
    )


def _person(item: Mapping[str, Any]) -> str:
    return text(_part(item, "sourceIdentity").get("id"))


def text(value: Any, most: int | None = None) -> str:
    """A text or a number, cut to `most` characters. Anything else is none: nested lists have no end."""
    if isinstance(value, str):
        cut = value if most is None or len(value) <= most else value[:most]
        # Half a surrogate pair is a text for JSON, and none that could be written.
        return cut if cut.isascii() else cut.encode("utf-8", "replace").decode()
    return str(value) if isinstance(value, int | float) else ""


def _skip_reason(item: Mapping[str, Any]) -> str:
    steps = item.get("provisioningSteps")
    for step in steps if isinstance(steps, list) else []:
        reason = text(_part(_part({"step": step}, "step"), "details").get("SkipReason"), LONGEST_ID)
        if reason:
            return reason
    return ""


def _part(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = item.get(key)
    return value if isinstance(value, dict) else {}
