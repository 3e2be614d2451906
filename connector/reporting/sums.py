"""The two sums of a summary, term by term, and where the run stands in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final, Literal

from connector.vocabulary.run import State
from connector.vocabulary.summary import Outcomes, Rows, Summary

Tone = Literal["good", "busy", "warn", "bad", "quiet"]


_TONES: Final[dict[str, Tone]] = {
    "rejected": "bad",
    "duplicate": "warn",
    "filtered": "quiet",
    "unchanged": "quiet",
    "held": "warn",
    "superseded": "quiet",
    "pending": "busy",
    "sent": "good",
    "created": "good",
    "updated": "good",
    "disabled": "good",
    "skipped": "quiet",
    "failed": "bad",
    "refused": "bad",
    "unconfirmed": "warn",
    "waiting": "busy",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One term of a sum: "12 rejected"."""

    label: str
    count: int
    tone: Tone


def row_parts(summary: Summary) -> tuple[Part, ...]:
    """What became of the drop's rows; adds up to `rows.total`. Zeros are left out, except `sent`, which comes last."""
    return tuple(part for part in _parts(summary.rows) if part.count or part.label == "sent")


def outcome_parts(summary: Summary) -> tuple[Part, ...]:
    """What became of the people sent; adds up to `rows.sent`. Zeros are left out."""
    return tuple(part for part in _parts(summary.outcomes) if part.count)


def _parts(counts: Rows | Outcomes) -> Iterator[Part]:
    for field in fields(counts):
        if field.name != "total":
            yield Part(label=field.name, count=getattr(counts, field.name), tone=_TONES[field.name])


def headline(summary: Summary) -> str:
    """Where the run stands, in a sentence."""
    rows, outcomes = summary.rows, summary.outcomes
    match summary.state:
        case State.REJECTED:
            return "Nothing was sent: the file could not be used."
        case State.HELD:
            return "Nothing was sent: a guard holds this file until somebody releases it."
        case State.PLANNING:
            return "The file is being read. Nothing has been sent yet."
        case State.SENDING:
            return f"{rows.sent:,} of {_people(rows.sent + rows.pending)} sent, {rows.pending:,} to go."
        case State.SETTLING:
            return f"{_people(rows.sent)} sent. Entra's word on {outcomes.waiting:,} of them is still to come."
        case State.SETTLED:
            missed = outcomes.failed + outcomes.refused + outcomes.unconfirmed
            rejected = f"{rows.rejected:,} {'row was' if rows.rejected == 1 else 'rows were'} rejected"
            if missed:
                text = f"{missed:,} of {_people(rows.sent)} did not get through to Entra"
                return f"{text}, and {rejected}." if rows.rejected else f"{text}."
            if not rows.sent:
                return f"Nothing was sent: {rejected}." if rows.rejected else "Nothing had to be sent."
            text = "The one person sent got through" if rows.sent == 1 else f"All {_people(rows.sent)} sent got through"
            return f"{text} to Entra; {rejected}." if rows.rejected else f"{text} to Entra."


def tone(summary: Summary) -> Tone:
    """How the run should look: `good` and `bad` are final, `warn` asks for attention, `busy` is under way."""
    if summary.state is State.REJECTED:
        return "bad"
    if summary.state is State.HELD or summary.problem:
        return "warn"
    if summary.state is not State.SETTLED:
        return "busy"
    outcomes = summary.outcomes
    return "warn" if summary.rows.rejected + outcomes.failed + outcomes.refused + outcomes.unconfirmed else "good"


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"
