"""A run with all that is known of its people: what settling adds to, and what a summary is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connector.outside.store import Store
from connector.reporting.outcomes import SentPerson, count_outcomes, count_rows, endings, quiet_since
from connector.vocabulary.clock import NEGLIGIBLE, Clocks
from connector.vocabulary.event import Event
from connector.vocabulary.lines import parse_event_line
from connector.vocabulary.run import Decision, Ending, Receipt, Run, State
from connector.vocabulary.summary import Outcomes, Requests, Summary, SummaryDrop


@dataclass(slots=True)
class RunSoFar:
    """`foreign` are the ids of events that are about the same people in other runs, `claimed` those that earlier,
    settled runs have taken. `fresh`: something is known that storage does not hold yet.
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

    @classmethod
    def load(cls, store: Store, run: Run, etag: str = "") -> RunSoFar:
        """Reads what storage holds beside `run`, whose ETag is only needed by who will save it."""
        people = {
            row.external_id: SentPerson(row.row, row.request)
            for row in store.read_plan(run)
            if row.decision is Decision.SEND
        }
        lines = [parse_event_line(line) for line in store.events(run).splitlines()]
        events = {event.id: event for event, _ in lines}
        foreign = {event.id for event, foreign in lines if foreign}
        return cls(run, etag, people, store.receipts(run), events, foreign)

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

    def silent_for(self, span: timedelta, clocks: Clocks) -> bool:
        """All is sent, and by either clock the log has said nothing of this run for so long."""
        sent = self.run.times.sent
        if self.run.state is not State.SETTLING or sent is None:
            return False
        # When sending ended is told by the clock of whoever sent; when Entra had the people, by Graph's. What is yet to
        # come was told by a clock that was ahead.
        accepted = [receipt.accepted for receipt in self.receipts.values()]
        known = [*(at for at in accepted if at <= clocks.latest), *([sent] if sent <= clocks.now + NEGLIGIBLE else [])]
        if not known:
            return False
        heard = [ending for ending in self.endings() if ending.at and ending.at <= clocks.latest]
        return clocks.earliest - quiet_since(max(known), heard) >= span

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
            notes=run.notes,
        )
