"""What must be true when a schedule is over (docs/reliability.md): each violation as a line of text."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from connector.reporting.summary_file import parse_summary
from connector.sandbox.faults import Action, Endpoint
from connector.sandbox.throttle import most_in_any_window
from connector.sending.drain import IN_FLIGHT
from connector.vocabulary.bulk_request import PEOPLE_PER_REQUEST
from connector.vocabulary.errors import ConnectorError
from connector.vocabulary.run import Outcome, State
from connector.vocabulary.summary import Summary
from tests.chaos.schedule import MARK, POISONS, Skew
from tests.chaos.world import World

_AFTER = frozenset({Action.DROP_AFTER, Action.HALF, Action.HANG_AFTER, Action.STATUS_AFTER, Action.DELAY})
"""An upload that took effect, though its sender cannot know: it has to be sent again."""

Record = tuple[str, str]
"""(externalId, digest of the user) as the sandbox's report counts them."""


@dataclass(slots=True)
class Bodies:
    """What the connector spooled: each body's runs and people."""

    of_run: dict[tuple[str, str], dict[int, list[Record]]] = field(default_factory=dict)
    spooled: Counter[str] = field(default_factory=Counter)
    """sha256 of a body to in how many places of spools it was."""
    people: Counter[Record] = field(default_factory=Counter)
    """How many planned operations carry exactly this."""
    values: set[str] = field(default_factory=set)
    """People's values, which nothing but storage and Entra may see."""


def violations(world: World) -> list[str]:
    """All that is wrong; empty when the connector kept its word."""
    found = list(world.seen.errors)
    found += _final(world)
    if found:
        # What is not finished has no ending to be looked at.
        return found
    bodies = _bodies(world)
    for check in (_accounting, _sent, _sent_again, _pace, _summaries, _newest_wins, _no_personal_data):
        found += check(world, bodies)
    return found


def _final(world: World) -> Iterator[str]:
    states = world.states()
    for (feed, run), state in states.items():
        if not State(state).final:
            yield f"{feed}/{run} is {state} after {world.seen.ticks} quiet ticks"
    for landed in world.seen.landed:
        if (landed.land.feed, landed.run) not in states and landed.etag not in world.seen.gone:
            yield f"{landed.land.feed}/{landed.land.name} has no run after {world.seen.ticks} quiet ticks"


def _bodies(world: World) -> Bodies:
    bodies = Bodies()
    places: set[tuple[str, str]] = set()
    for written in world.account.history:
        parts = written.path.split("/")
        if parts[0] != "runs" or "/spool/" not in written.path or written.stranger:
            continue
        sha = hashlib.sha256(written.data).hexdigest()
        if (written.path, sha) in places:
            continue
        places.add((written.path, sha))
        bodies.spooled[sha] += 1
        people = [operation["data"] for operation in orjson.loads(written.data)["Operations"]]
        records = [
            (person["externalId"], hashlib.sha256(orjson.dumps(person, option=orjson.OPT_SORT_KEYS)).hexdigest())
            for person in people
        ]
        for person in people:
            bodies.values.update(_personal(person))
        number = int(parts[-1].partition(".")[0])
        bodies.of_run.setdefault((parts[1], parts[2]), {})[number] = records
    for requests in bodies.of_run.values():
        for records in requests.values():
            bodies.people.update(records)
    return bodies


def _summary(world: World, feed: str, run: str) -> Summary | None:
    data = world.account.read("summaries", f"{feed}/{run}.json")
    return None if data is None else parse_summary(data)


def _lines(world: World, path: str) -> list[dict[str, str]]:
    data = world.account.read("summaries", path)
    return [] if data is None else list(csv.DictReader(io.StringIO(data.decode())))


def _accounting(world: World, bodies: Bodies) -> Iterator[str]:
    """Every row of every drop has exactly one ending, and the reports agree about it."""
    rows_of = {(landed.land.feed, landed.run): _rows(landed.land.content) for landed in world.seen.landed}
    for (feed, run), state in world.states().items():
        name = f"{feed}/{run}"
        summary = _summary(world, feed, run)
        if summary is None:
            yield f"{name} has no summary"
            continue
        if summary.state != state:
            yield f"{name} is {state}, and its summary says {summary.state}"
            continue
        drop = next(landed for landed in world.seen.landed if landed.run == run)
        there = drop.etag not in world.seen.gone
        wanted = POISONS.get(drop.land.poison, "")
        if state == State.REJECTED:
            code = summary.problem.code if summary.problem else ""
            if there and code != wanted:
                yield f"{name} ({drop.land.poison or 'no poison'}) is rejected, its drop is there: {summary.problem}"
            continue
        if wanted and there:
            yield f"{name} is {state}, though its drop is poison ({drop.land.poison})"
        expected = rows_of[feed, run]
        if expected is not None and summary.rows.total != expected:
            yield f"{name} has {summary.rows.total} rows in its summary and {expected} in its drop"
        if summary.rows.pending or summary.outcomes.waiting:
            yield f"{name} is settled with pending or waiting people"
        outcomes = _lines(world, f"{feed}/{run}.outcomes.csv")
        rejects = _lines(world, f"{feed}/{run}.rejects.csv")
        counted = Counter(line["outcome"] for line in outcomes)
        stated = {o.value: getattr(summary.outcomes, o.value) for o in Outcome if getattr(summary.outcomes, o.value)}
        if dict(counted) != stated:
            yield f"{name}: outcomes.csv counts {dict(counted)}, the summary {stated}"
        sent = [line["row"] for line in outcomes]
        rejected = {line["row"] for line in rejects}
        if len(set(sent)) < len(sent):
            yield f"{name}: somebody has two outcomes"
        if rejected & set(sent):
            yield f"{name}: somebody has an outcome and is rejected"
        if len(rejected) != summary.rows.rejected + summary.rows.duplicate:
            yield f"{name}: rejects.csv has {len(rejected)} rows, the summary {summary.rows}"
        others = summary.rows.filtered + summary.rows.unchanged + summary.rows.held + summary.rows.superseded
        if len(rejected | set(sent)) + others != summary.rows.total:
            yield f"{name}: {summary.rows.total} rows, {len(rejected | set(sent))} of them with an ending"
        lost = [line for line in rejects if "vanished" in line["fault"]]
        if lost and there:
            yield f"{name}: {len(lost)} people given up though their drop is there"


def _rows(content: bytes) -> int | None:
    """How many rows a drawn CSV has; a given one may be of any format, and its plan is taken at its word."""
    if not content.startswith(b"Id,First,Last,Mail"):
        return None
    return content.count(b"\n") - 1


def _sent(world: World, bodies: Bodies) -> Iterator[str]:
    """Whoever has an outcome reached Entra, whoever was refused did not, and nobody else did."""
    received = world.sandbox.report.people
    for record in received:
        if record not in bodies.people:
            yield f"Entra has a record of {record[0]} that no plan made"
    for (feed, run), requests in bodies.of_run.items():
        endings = {line["externalId"]: line["outcome"] for line in _lines(world, f"{feed}/{run}.outcomes.csv")}
        for records in requests.values():
            for record in records:
                outcome = endings.get(record[0])
                if outcome not in (None, Outcome.REFUSED) and not received[record]:
                    yield f"{feed}/{run}: {record[0]} is {outcome}, and Entra never got the record"
                if outcome == Outcome.REFUSED and received[record] and bodies.people[record] == 1:
                    yield f"{feed}/{run}: {record[0]} is refused, and Entra took the record"
                if outcome is None and received[record] and bodies.people[record] == 1:
                    yield f"{feed}/{run}: Entra took {record[0]}, who has no outcome"


def _sent_again(world: World, bodies: Bodies) -> Iterator[str]:
    report, seen = world.sandbox.report, world.seen
    again = sum(max(0, count - max(1, bodies.spooled[sha])) for sha, count in report.bodies.items())
    people = sum(max(0, count - bodies.people[record]) for record, count in report.people.items())
    unknowable = sum(1 for s in report.of(Endpoint.UPLOAD) if s.fault in _AFTER)
    # Whenever storage fails, a receipt may not be kept: that ends a drain as a crash does.
    breaks = seen.crashes + 2 * seen.thefts + len(seen.storage_disturbed)
    allowed = unknowable + IN_FLIGHT * breaks
    if people > allowed * PEOPLE_PER_REQUEST or again > allowed * (1 if people == 0 else PEOPLE_PER_REQUEST):
        yield f"{again} requests ({people} people) were sent again; allowed are {allowed} requests"


def _pace(world: World, bodies: Bodies) -> Iterator[str]:
    schedule, report = world.schedule, world.sandbox.report
    limit, quota = schedule.send_limit, schedule.quota
    if report.most_uploads_in_window > limit.calls:
        yield f"{report.most_uploads_in_window} calls in {limit.seconds:g} s, where {limit.calls} are allowed"
    skew = sum(abs(h.seconds) for h in schedule.happenings if isinstance(h, Skew))
    arrived = [s.at for s in report.of(Endpoint.UPLOAD) if s.status != 429]
    if (most := most_in_any_window(arrived, quota.seconds - 2 * skew)) > quota.calls:
        yield f"{most} calls within the quota's time, where {quota.calls} are allowed"


def _summaries(world: World, bodies: Bodies) -> Iterator[str]:
    """Every version of every summary adds up, and a run that is final stays so."""
    last: dict[str, Summary] = {}
    for written in world.account.history:
        if not written.path.startswith("summaries/") or not written.path.endswith(".json"):
            continue
        try:
            # Reading it checks both sums.
            summary = parse_summary(written.data)
        except (ConnectorError, AssertionError, ValueError) as error:
            yield f"{written.path} at {written.at:%H:%M:%S}: {error}"
            continue
        if written.path.endswith("/latest.json"):
            continue
        before = last.get(written.path)
        last[written.path] = summary
        if before is None:
            continue
        if before.state.final and not summary.state.final:
            yield f"{written.path} went back from {before.state} to {summary.state} at {written.at:%H:%M:%S}"
        if before.rows.total != summary.rows.total and before.state is not State.PLANNING:
            yield f"{written.path} counted {before.rows.total} rows, and later {summary.rows.total}"


def _newest_wins(world: World, bodies: Bodies) -> Iterator[str]:
    """An account is as the newest drop with that person says, unless Entra would not have it."""
    version = {landed.run: landed.land.version for landed in world.seen.landed}
    newest: dict[str, tuple[str, str]] = {}
    for feed, run in sorted(bodies.of_run, key=lambda key: key[1]):
        for line in _lines(world, f"{feed}/{run}.outcomes.csv"):
            newest[line["externalId"]] = (run, line["outcome"])
    for person, (run, outcome) in newest.items():
        user = world.sandbox.entra.users.get(person)
        if not version[run] or outcome in {Outcome.FAILED, Outcome.REFUSED, Outcome.UNCONFIRMED}:
            continue
        if user is None or user.attributes.get("title") != version[run]:
            yield f"{person} should be as of {version[run]}, and is {user and user.attributes.get('title')}"


def _no_personal_data(world: World, bodies: Bodies) -> Iterator[str]:
    for record in world.seen.records:
        said = f"{record.getMessage()} {vars(record)}"
        if record.exc_info:
            said += logging.Formatter().formatException(record.exc_info)
        if any(value in said for value in bodies.values):
            yield f"a log record of {record.name} has personal data: {record.msg}"


def _personal(value: Any) -> Iterator[str]:
    """What is unmistakably of a person among a user's values: drawn ones have a mark, given ones a space or an at."""
    match value:
        case str() if MARK in value:
            yield MARK
        case str() if len(value) > 5 and ("@" in value or " " in value):
            yield value
        case dict():
            for inner in value.values():
                yield from _personal(inner)
        case list():
            for inner in value:
                yield from _personal(inner)
