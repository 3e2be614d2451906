"""Matches the provisioning log's events to the people of a run, and says what became of each.

Pure: events in any order, any number of times, give the same outcomes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.vocabulary.event import Event
from connector.vocabulary.run import Decision, Ending, Outcome, Receipt, Refusal
from connector.vocabulary.summary import Outcomes, Rows

# Entries appear 5 to 10 minutes after their time, and not in order: so much of the log is read again at every poll.
OVERLAP = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SentPerson:
    """One person of a run: the row, and the number of the bulk request that carried it."""

    row: int
    request: int


# What a success of each action means. `delete` and `stageddelete` take the account away as `disable` does.
_SUCCESS: Mapping[str, Outcome] = {
    "create": Outcome.CREATED,
    "update": Outcome.UPDATED,
    "other": Outcome.UPDATED,
    "disable": Outcome.DISABLED,
    "delete": Outcome.DISABLED,
    "stageddelete": Outcome.DISABLED,
}
_RANK = (Outcome.CREATED, Outcome.DISABLED, Outcome.UPDATED)


def outcome_of(events: Iterable[Event]) -> tuple[Outcome, Event | None]:
    """What the events of one person add up to, and the event that says so; `waiting` where none of them decides.

    One person gives several events in one cycle: a create and, a second later, an update that adds the manager. So the
    first kind of success counts, unless the last word is a failure: Entra retries what failed, and reports what a later
    step could not do. A skip is the outcome only of people of whom nothing else is said, or nothing but older failures.
    """
    decisive = [e for e in events if e.status in {"success", "warning", "failure", "skipped"}]
    if not decisive:
        return Outcome.WAITING, None
    successes = [e for e in decisive if e.status in {"success", "warning"} and e.action in _SUCCESS]
    if successes:
        decisive = [e for e in decisive if e.status != "skipped"]
    # Of two events of the same second the failure is the later word: nothing is retried within a second.
    last = max(decisive, key=lambda e: (e.at, e.status == "failure", e.id))
    if last.status == "failure":
        return Outcome.FAILED, last
    if successes:
        best = min(successes, key=lambda e: (_RANK.index(_SUCCESS[e.action]), e.at, e.id))
        return _SUCCESS[best.action], best
    if last.status == "skipped":
        return Outcome.SKIPPED, last
    return Outcome.UPDATED, last


def belongs(event: Event, people: Mapping[str, SentPerson], receipts: Mapping[int, Receipt]) -> bool:
    """Whether an event can be about what this run sent: the same person, and not before Entra had the request."""
    sent = people.get(event.person)
    receipt = receipts.get(sent.request) if sent else None
    return receipt is not None and not receipt.lost_person(event.person) and event.at >= receipt.accepted


# Entra's clock tells whole seconds, and so do its events: what is this much later came after the request for certain.
_CERTAIN = timedelta(seconds=5)


def owners(accepted: Sequence[datetime], events: Iterable[Event]) -> dict[str, int]:
    """Which of several runs each event of one person is about: event id -> index into `accepted`.

    `accepted` is when Entra had the person from each run, oldest first. Entra works in that order, and the events of
    one change share its id: so the first change is the oldest run's, the next one the next run's, and what is over is
    the newest run's that can have caused it.
    """
    changes: dict[str, list[Event]] = {}
    for event in events:
        changes.setdefault(event.change or event.id, []).append(event)
    found: dict[str, int] = {}
    served: set[int] = set()
    for change in sorted(changes.values(), key=lambda group: min((e.at, e.id) for e in group)):
        latest = max(event.at for event in change)
        able = [index for index, at in enumerate(accepted) if at <= latest]
        if able:
            owner = next((index for index in able if index not in served), able[-1])
            served.add(owner)
            found |= {event.id: owner for event in change}
    return found


def endings(
    people: Mapping[str, SentPerson],
    receipts: Mapping[int, Receipt],
    events: Iterable[Event],
    *,
    closing: bool,
    foreign: Collection[str] = (),
    sharing: bool = False,
) -> list[Ending]:
    """One ending for everybody who was sent, in row order. `closing` turns those still waiting into unconfirmed.

    Events whose ids are `foreign` are about another run. With `sharing` they speak for people of whom nothing else is
    said: two runs that Entra has taken in at once may give one change.
    """
    refusals: dict[str, Refusal] = {r.external_id: r for receipt in receipts.values() for r in receipt.refusals}
    by_person: dict[str, dict[str, Event]] = {}
    shared: dict[str, dict[str, Event]] = {}
    for event in events:
        if belongs(event, people, receipts):
            if event.id not in foreign:
                by_person.setdefault(event.person, {})[event.id] = event
            elif sharing and event.at >= receipts[people[event.person].request].accepted + _CERTAIN:
                shared.setdefault(event.person, {})[event.id] = event
    found: list[Ending] = []
    for external_id, sent in people.items():
        receipt = receipts.get(sent.request)
        if receipt is None or receipt.lost_person(external_id):
            continue
        refusal = refusals.get(external_id)
        if refusal is not None:
            found.append(
                Ending(
                    row=sent.row,
                    external_id=external_id,
                    outcome=Outcome.REFUSED,
                    code=refusal.code,
                    reason=refusal.message,
                    at=receipt.accepted,
                )
            )
            continue
        own = by_person.get(external_id) or shared.get(external_id) or {}
        outcome, event_ = outcome_of(own.values())
        if outcome is Outcome.WAITING and closing:
            outcome = Outcome.UNCONFIRMED
        # A success needs no reason; what Entra says beside one is about a step that did not matter.
        said = (
            event_ if event_ and (outcome in {Outcome.FAILED, Outcome.SKIPPED} or event_.status == "warning") else None
        )
        found.append(
            Ending(
                row=sent.row,
                external_id=external_id,
                outcome=outcome,
                code=said.code if said else "",
                reason=said.reason if said else "",
                advice=said.advice if said else "",
                at=event_.at if event_ else None,
            )
        )
    found.sort(key=lambda ending: ending.row)
    return found


def count_outcomes(found: Iterable[Ending]) -> Outcomes:
    counts = Counter(ending.outcome.value for ending in found)
    return Outcomes(**counts)


def count_rows(decisions: Mapping[Decision, int] | None, receipts: Mapping[int, Receipt]) -> Rows:
    """The accounting of a run: what the plan decided, and how far sending has come."""
    counts = dict(decisions or {})
    planned = counts.pop(Decision.SEND, 0)
    lost = sum(receipt.people_lost for receipt in receipts.values())
    sent = sum(receipt.people for receipt in receipts.values()) - lost
    parts = {decision.value: number for decision, number in counts.items()}
    parts[Decision.REJECTED.value] = parts.get(Decision.REJECTED.value, 0) + lost
    return Rows(total=planned + sum(counts.values()), pending=planned - sent - lost, sent=sent, **parts)


def quiet_since(sent: datetime, found: Iterable[Ending]) -> datetime:
    """When the log last said something of this run, or everything was sent, whichever is later."""
    return max([sent, *(ending.at for ending in found if ending.at)])


def first_accepted(receipts: Mapping[int, Receipt]) -> datetime | None:
    """When Entra had the first of a run; None while nothing of it was sent."""
    accepted = (receipt.accepted for receipt in receipts.values() if receipt.people_lost < receipt.people)
    return min(accepted, default=None)


def poll_from(first: datetime | None, watermark: datetime | None, *, closing: bool) -> datetime | None:
    """From when on the job's log is to be read for a run of which Entra had the `first`; None while it had nothing.

    The last poll before a run is closed reads all of it again: what came later than any overlap is still found.
    """
    if first is None or watermark is None or closing:
        return first
    return max(first, (watermark - OVERLAP).replace(second=0, microsecond=0))
