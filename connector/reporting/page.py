"""`summaries/<feed>/<run>.html`: one page that needs nothing else. Pure: data in, text out."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from connector.reporting.causes import causes
from connector.reporting.csv_files import iso, reject_faults
from connector.reporting.summary_file import moments
from connector.reporting.sums import headline, outcome_parts, row_parts, tone
from connector.vocabulary.run import Ending, PlannedRow, State
from connector.vocabulary.summary import Summary

if TYPE_CHECKING:
    from jinja2 import Template

# How many people with a failure, and how many faults of rows, the page lists: browsers stay quick, the CSV has all.
PAGE_LINES: Final = 500


_OPEN_PEOPLE: Final = 12


def html(
    summary: Summary,
    *,
    failures: Sequence[Ending],
    rejected: Sequence[PlannedRow],
    total_failures: int,
    total_rejected: int,
) -> str:
    """`<run>.html`: one page that needs nothing else, for screen (light and dark) and paper.

    `failures` are endings in `FAILURES` and `rejected` rows that are rejected or duplicate; each may be a first part of
    what the totals count. At most `PAGE_LINES` people and as many faults are listed, with a pointer to the CSV files.
    No script, and a content security policy that forbids any; every value is escaped.
    """
    shown_causes, left = [], PAGE_LINES
    for cause in causes(failures):
        people = cause.endings[:left]
        left -= len(people)
        shown_causes.append({"cause": cause, "open": people[:_OPEN_PEOPLE], "folded": people[_OPEN_PEOPLE:]})
    listed_people = PAGE_LINES - left
    shown_rows, left = [], PAGE_LINES
    for row in rejected:
        faults = reject_faults(row)[:left]
        left -= len(faults)
        if faults:
            shown_rows.append({"row": row, "faults": faults})
    all_faults = Counter((fault.column, fault.message) for row in rejected for fault in reject_faults(row))
    page = _template().render(
        summary=summary,
        tone=tone(summary),
        headline=headline(summary),
        row_parts=row_parts(summary),
        outcome_parts=outcome_parts(summary),
        steps=_steps(summary),
        lasted=_lasted(summary),
        causes=shown_causes,
        listed_people=listed_people,
        total_failures=total_failures,
        rejected=shown_rows,
        total_rejected=total_rejected,
        frequent=[item for item in all_faults.most_common(5) if item[1] > 1] if len(rejected) > _OPEN_PEOPLE else [],
        size=_size(summary.drop.bytes),
    )
    return page.encode("utf-8", "replace").decode()


@functools.cache
def _template() -> Template:
    # Only who renders a page pays for the engine.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("connector.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=_visible,
    )
    return environment.get_template("page.html.j2")


# HTML allows neither C0 controls nor lone surrogates; turned text direction would make a value read otherwise.
_INVISIBLE: Final = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_LONGEST: Final = 1000


def _visible(value: Any) -> Any:
    """What the template prints, cut to a length that a page can bear. Markup is a subclass of str and is left alone."""
    if type(value) is not str:
        return value
    text = _INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


@dataclass(slots=True, kw_only=True)
class _Step:
    """A stop of the timeline; `then` is how long the next one took, and `linked` that it was reached."""

    name: str
    kind: Literal["done", "now", "ahead", "never"]
    iso: str = ""
    at: str = ""
    then: str = ""
    linked: bool = False


def _steps(summary: Summary) -> list[_Step]:
    steps: list[_Step] = []
    stopped = summary.state.final or summary.state is State.HELD
    before: datetime | None = None
    for name, moment in moments(summary):
        if moment is None:
            first = all(step.kind == "done" for step in steps)
            steps.append(_Step(name=name, kind="never" if stopped else "now" if first else "ahead"))
            continue
        if before is not None:
            steps[-1].linked, steps[-1].then = True, _duration(moment - before)
        at = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        steps.append(_Step(name=name, kind="done", iso=iso(moment) or "", at=at))
        before = moment
    return steps


def _lasted(summary: Summary) -> str:
    settled = summary.times.settled
    return _duration(settled - summary.times.landed) if settled else ""


def _duration(span: timedelta) -> str:
    """The two largest units. The ends may come from two clocks, so a small negative span counts as none."""
    seconds = max(0, round(span.total_seconds()))
    if seconds == 0:
        return "under 1 s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    first = next(index for index, (count, _) in enumerate(units) if count)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count)


def _size(count: int) -> str:
    if count < 1000:
        return f"{count} bytes"
    size, unit = count / 1000, "kB"
    for larger in ("MB", "GB"):
        if size >= 999.95:
            size, unit = size / 1000, larger
    return f"{size:,.1f} {unit}"
