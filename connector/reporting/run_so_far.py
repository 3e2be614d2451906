"""A run with all that is known of its people: what settling adds to, and what a summary is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from connector.outside.store import Store
from connector.reporting.outcomes import SentPerson, count_outcomes, count_rows, endings, quiet_since
from connector.vocabulary.clock import NEGLIGIBLE, Clocks
from connector.vocabulary.errors import StateUnusable
from connector.vocabulary.event import Event
from connector.vocabulary.run import Decision, Ending, PlannedRow, Receipt, Run, State
from connector.vocabulary.summary import Outcomes, Requests, Summary, SummaryDrop


@dataclass(slots=True)
class RunSoFar:
    """`foreign` are the ids of events that are about the same people in other runs, `claimed` those that earlier,
    settled runs have taken. `fresh`: something is known that storage does not hold yet. `damage` says, a text each,
    what of the run's state is lost, and what that means.
    """

    run: Run
    etag: str
    people: dict[str, SentPerson]
    receipts: dict[int, Receipt]
    events: dict[str, Event]
    foreign: set[str]
    claimed: frozenset[str] = frozenset()
    fresh: bool = False
    sharing: bool = False
    damage: tuple[str, ...] = ()
    stale: bool = False
    saved: Run = field(init=False)
    """As it is in storage; `stale`: as it was there, before somebody else changed it."""

    def __post_init__(self) -> None:
        self.saved = self.run

    @classmethod
    def load(cls, store: Store, run: Run, etag: str = "") -> RunSoFar:
        """Reads what storage holds beside `run`, whose ETag is only needed by who will save it."""
        damage: list[str] = []
        people: dict[str, SentPerson] = {}
        rows, whole = 0, True
        try:
            for row in store.read_plan(run):
                rows += 1
                if row.decision is Decision.SEND:
                    people[row.external_id] = SentPerson(row.row, row.request)
        except StateUnusable:
            # Its checksum comes last: every row may have been read, and one of them wrong.
            whole = False
        planned = sum((run.rows or {}).values())
        if run.requests and (rows != planned or not whole):
            damage.append(_PLAN.format(run=run, rows=rows, planned=planned))
        receipts = store.receipts(run)
        if run.times.sent is not None and (lost := run.requests - len(receipts)) > 0:
            receipts |= _as_planned(store, run, people, receipts)
            damage.append(_RECEIPTS.format(run=run, lost=lost))
        if run.times.sent is not None and (unsent := count_rows(run.rows, receipts).pending):
            damage.append(_UNSENT.format(run=run, unsent=unsent))
        lines, events_etag = store.events(run)
        events = {event.id: event for event, _ in lines}
        foreign = {event.id for event, foreign in lines if foreign}
        found = cls(run, etag, people, receipts, events, foreign, damage=tuple(damage))
        # Somebody kept events and died before the summary told them.
        found.fresh = events_etag != run.events_etag
        if run.events_etag and not events_etag:
            # The log is read again from the beginning.
            found.run = replace(run, watermark=None)
        return found

    def endings(self, *, closing: bool = False) -> list[Ending]:
        return endings(
            self.people,
            self.receipts,
            self.events.values(),
            closing=closing,
            foreign=self.foreign,
            sharing=self.sharing,
        )

    def accepted(self, person: str) -> datetime | None:
        """When Entra had this person from this run."""
        sent = self.people.get(person)
        receipt = self.receipts.get(sent.request) if sent else None
        return receipt.accepted if receipt and not receipt.lost_person(person) else None

    def quiet_since(self, clocks: Clocks) -> datetime | None:
        """When the log last said something of this run, or everything was sent; None where no clock can tell."""
        sent = self.run.times.sent
        if self.run.state is not State.SETTLING or sent is None:
            return None
        # When sending ended is told by the clock of whoever sent; when Entra had the people, by Graph's. What is yet to
        # come was told by a clock that was ahead.
        accepted = [receipt.accepted for receipt in self.receipts.values()]
        known = [*(at for at in accepted if at <= clocks.latest), *([sent] if sent <= clocks.now + NEGLIGIBLE else [])]
        heard = [ending for ending in self.endings() if ending.at and ending.at <= clocks.latest]
        return quiet_since(max(known), heard) if known else None

    def silent_for(self, span: timedelta, clocks: Clocks) -> bool:
        """All is sent, and by either clock the log has said nothing of this run for so long."""
        quiet = self.quiet_since(clocks)
        return quiet is not None and clocks.earliest - quiet >= span

    def outcomes(self) -> Outcomes:
        closing = self.run.state is State.SETTLED
        outcomes = count_outcomes(self.endings(closing=closing))
        # People whose plan was lost have no row to be found by; they are not forgotten for that.
        unknown = count_rows(self.run.rows, self.receipts).sent - outcomes.sum
        if closing:
            return replace(outcomes, unconfirmed=outcomes.unconfirmed + unknown)
        return replace(outcomes, waiting=outcomes.waiting + unknown)

    def summary(self) -> Summary:
        run = self.run
        answered = len(self.receipts)
        return Summary(
            feed=run.feed,
            run=run.id,
            state=run.state,
            drop=SummaryDrop(name=run.drop.name, etag=run.drop.etag, bytes=run.drop.bytes),
            rows=count_rows(run.rows, self.receipts),
            outcomes=self.outcomes(),
            times=run.times,
            requests=Requests(total=run.requests, sent=answered, left=run.requests - answered),
            problem=run.problem,
            notes=run.notes + self.damage,
        )


def readable_plan(store: Store, run: Run) -> Iterator[PlannedRow]:
    """The plan's rows as far as they can be read."""
    with suppress(StateUnusable):
        yield from store.read_plan(run)


def _as_planned(
    store: Store, run: Run, people: Mapping[str, SentPerson], known: Mapping[int, Receipt]
) -> dict[int, Receipt]:
    """In place of lost receipts of a run that was sent as a whole: Entra had it after it was planned."""
    by_plan = Counter(person.request for person in people.values())
    index = store.requests_index(run)
    missing = [number for number in range(1, run.requests + 1) if number not in known]
    counts = {number: by_plan[number] or (index[number - 1].people_count if index else 0) for number in missing}
    # Whoever cannot be told from either is in no request that is known; the sums hold all the same.
    planned = (run.rows or {}).get(Decision.SEND, 0)
    rest = planned - sum(receipt.people for receipt in known.values()) - sum(counts.values())
    counts[missing[-1]] += max(0, rest)
    accepted = run.times.planned or run.times.landed
    return {
        number: Receipt(request=number, accepted=accepted, people=count, plan=run.plan_id)
        for number, count in counts.items()
    }


_PLAN = (
    "runs/{run.feed}/{run.id}/plan.jsonl.gz is damaged or missing: {rows} of its {planned} rows could be read, so not "
    "everybody can be named here; the counts hold (drop the file again under its name: everybody is sent again)"
)
_UNSENT = (
    "runs/{run.feed}/{run.id}/run.json is damaged: {unsent} people of its plan are in no request that it knows of, and "
    "were not sent (drop the file again under its name: everybody is sent again)"
)
_RECEIPTS = (
    "runs/{run.feed}/{run.id}/receipts.jsonl is damaged or missing: {lost} requests were sent, and what Entra answered "
    "is lost, such as whom it refused; what the provisioning log says still counts"
)
