"""A run's summary as people and programs read it: JSON, HTML, CSV, a line, a table. Pure: data in, text out."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from connector.advice import LOOK_IT_UP, UNREADABLE, advise, without_values
from connector.errors import Fault, Unusable
from connector.run import Aside, Decision, Ending, Outcome, Outcomes, PlannedRow, Rows, State, Summary

if TYPE_CHECKING:
    from jinja2 import Template

SCHEMA: Final = 1
REJECTS_HEADER: Final = ("row", "externalId", "column", "fault", "advice")
OUTCOMES_HEADER: Final = ("row", "externalId", "outcome", "code", "reason", "advice", "at")
# The outcomes that somebody must look at: what `summary_json` and `html` expect as `failures`.
FAILURES: Final = frozenset({Outcome.FAILED, Outcome.REFUSED, Outcome.UNCONFIRMED})
TOP_CAUSES: Final = 10
EXAMPLES: Final = 5
# How many people with a failure, and how many faults of rows, the page lists: browsers stay quick, the CSV has all.
PAGE_LINES: Final = 500

Tone = Literal["good", "busy", "warn", "bad", "quiet"]

_VARIANTS: Final = 5
_OPEN_PEOPLE: Final = 12
_UNCONFIRMED_ADVICE: Final = (
    "Entra's log did not mention this person in time. Check that the provisioning job is started and not in "
    "quarantine, then drop the file again."
)
_DUPLICATE_FAULT: Final = "a later row has the same externalId; that one was used"
_DUPLICATE_ADVICE: Final = "Let the HR system export each person once."
_UNEXPLAINED_FAULT: Final = "the row could not be used"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The endings that one cause explains. `reason` is Entra's own where all agree, else what they have in common."""

    outcome: Outcome
    code: str
    reason: str
    advice: str
    endings: tuple[Ending, ...]

    @property
    def people(self) -> int:
        return len(self.endings)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLine:
    """One line of `table`. `level` 0 is a fact or a total, 1 a part of the rows, 2 a part of the people sent."""

    label: str
    value: int | str
    level: int
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


def causes(failures: Iterable[Ending]) -> tuple[Cause, ...]:
    """Group endings by what went wrong: most people first, then by first row. Order within a group is as given."""
    by_code: dict[tuple[Outcome, str, str], dict[str, list[Ending]]] = {}
    for ending in failures:
        reasons = by_code.setdefault((ending.outcome, ending.code, advice_for(ending)), {})
        reasons.setdefault(without_values(ending.reason), []).append(ending)
    found = []
    for (outcome, code, advice), reasons in by_code.items():
        # A reason that names each person would otherwise make a cause of each.
        if len(reasons) > _VARIANTS:
            example = f"{next(iter(reasons))} (and {len(reasons) - 1:,} more wordings)"
            reasons = {example: [ending for endings in reasons.values() for ending in endings]}  # noqa: PLW2901 (folded)
        for shared, endings in reasons.items():
            same = len({ending.reason for ending in endings}) == 1
            found.append(
                Cause(
                    outcome=outcome,
                    code=code,
                    reason=endings[0].reason if same else shared,
                    advice=advice,
                    endings=tuple(endings),
                )
            )
    return tuple(sorted(found, key=lambda cause: (-cause.people, cause.endings[0].row, cause.code)))


def advice_for(ending: Ending) -> str:
    """What to do about one person's ending: Entra's recommendation, else our own; "" where all is well."""
    if ending.advice:
        return ending.advice
    if ending.outcome is Outcome.UNCONFIRMED and not ending.code:
        return _UNCONFIRMED_ADVICE
    if ending.outcome is Outcome.REFUSED:
        # Entra never had this person: its log has no entry to look up.
        found = advise(ending.code, ending.reason)
        return UNREADABLE if found in {"", LOOK_IT_UP} else found
    if ending.outcome in FAILURES or ending.outcome is Outcome.SKIPPED:
        return advise(ending.code, ending.reason)
    return ""


def summary_json(summary: Summary, *, failures: Iterable[Ending] = ()) -> bytes:
    """`summaries/<feed>/<run>.json` (design.md, section 3): UTF-8, indented by 2, the same bytes for the same summary.

    `failures` are all endings in `FAILURES`; the file gets the ten most frequent causes, each with up to five examples:
    `"failures": [{"outcome", "code", "reason", "advice", "people", "examples": [{"row", "externalId"}]}]`.
    """
    times = {name: _iso(moment) for name, moment in _times(summary)}
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
    # Whoever only writes summaries should not pay for the import.
    from pydantic import TypeAdapter, ValidationError

    try:
        summary = TypeAdapter(Summary).validate_json(data, strict=True)
    except ValidationError as error:
        faults = [Fault(message=d["msg"], column=".".join(str(part) for part in d["loc"])) for d in error.errors()]
        raise Unusable("summary", faults) from None
    faults = [
        Fault(message="the time has no offset from UTC", column=f"times.{name}")
        for name, moment in _times(summary)
        if moment is not None and moment.tzinfo is None
    ]
    if summary.schema != SCHEMA:
        faults.append(Fault(message=f"this version reads schema {SCHEMA} only", column="schema"))
    if faults:
        raise Unusable("summary", faults)
    return summary


def rejects_csv(rows: Iterable[PlannedRow]) -> Iterator[str]:
    """`<run>.rejects.csv`, line by line: a line for every fault of a rejected row, and one for every duplicate.

    So whoever misses a person in Entra finds the row here, or its outcome in `outcomes_csv`. Other decisions are passed
    over: a whole plan may be handed in. A duplicate's `reason`, where the plan gives one, is its fault.

    Lines end with LF, which spreadsheets accept as well as RFC 4180's CRLF; with CRLF every line-wise tool would see a
    carriage return as part of the last column. See `_cell` for what makes it safe to open.
    """
    yield _csv_line(REJECTS_HEADER)
    for row in rows:
        for fault in _reject_faults(row):
            yield _csv_line((row.row, row.external_id, fault.column, fault.message, fault.advice))


def outcomes_csv(endings: Iterable[Ending]) -> Iterator[str]:
    """`<run>.outcomes.csv`, line by line: one line a person sent; `at` is ISO 8601 in UTC, or empty. LF likewise."""
    yield _csv_line(OUTCOMES_HEADER)
    for ending in endings:
        yield _csv_line(
            (
                ending.row,
                ending.external_id,
                ending.outcome,
                ending.code,
                ending.reason,
                advice_for(ending),
                _iso(ending.at) or "",
            )
        )


def _reject_faults(row: PlannedRow) -> Sequence[Fault]:
    if row.decision is Decision.REJECTED:
        return row.faults or (Fault(message=row.reason or _UNEXPLAINED_FAULT),)
    if row.decision is Decision.DUPLICATE:
        return row.faults or (Fault(message=row.reason or _DUPLICATE_FAULT, advice=_DUPLICATE_ADVICE),)
    return ()


# What a spreadsheet may take for the beginning of a formula (OWASP, "CSV Injection"), full-width forms included. Where
# the list separator is ";" a comma-separated line is opened as one text that is split at each ";", TAB and line break,
# whatever the quotes: so a formula must not begin after those either.
_FORMULA: Final = re.compile(r"^(?=[\t\r]|\s*[=+\-@＝＋－＠])|(?<=[;\t\r\n])(?= *[=+\-@＝＋－＠])")
_QUOTED: Final = re.compile(r'[",\r\n]')


def _cell(value: str | int) -> str:
    """A field as RFC 4180 writes it, with an apostrophe before what a spreadsheet would evaluate."""
    if isinstance(value, int):
        return str(value)
    text = _FORMULA.sub("'", value).encode("utf-8", "replace").decode()
    if not _QUOTED.search(text):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _csv_line(values: Iterable[str | int]) -> str:
    # csv.writer leaves a bare CR unquoted when lines end with LF (Python 3.11), and readers then see two rows.
    return ",".join(map(_cell, values)) + "\n"


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


def line(summary: Summary) -> str:
    """One printable line without a line break:
    `employees 20261124T092000Z-3f0123456789 settled: 1000 rows = 12 rejected + 988 sent (950 created, 38 updated)`.
    """
    rows = " + ".join(f"{part.count} {part.label}" for part in row_parts(summary))
    outcomes = ", ".join(f"{part.count} {part.label}" for part in outcome_parts(summary))
    text = f"{summary.feed} {summary.run} {summary.state}: {summary.rows.total} rows"
    if summary.rows.total:
        text += f" = {rows}"
    if outcomes:
        text += f" ({outcomes})"
    if summary.requests.left:
        text += f"; {summary.requests.left} of {summary.requests.total} bulk requests to go"
    if summary.problem:
        text += f"; {summary.problem.code}: {summary.problem.message}"
        text += f" ({summary.problem.advice})" if summary.problem.advice else ""
    return _printable(text)


def aside_lines(aside: Aside) -> list[str]:
    """What `line` is for a run: one printable line for each thing that has none. No file is named, as nobody is."""
    lines = []
    if aside.ignored:
        blobs = "1 blob" if aside.ignored == 1 else f"{aside.ignored} blobs"
        lines.append(f"{aside.feed}: {blobs} ignored (leftovers of transfers, or not matched by files:)")
    if aside.waiting:
        count = len(aside.waiting)
        drops = "1 drop waits" if count == 1 else f"{count} drops wait"
        oldest = min(drop.landed for drop in aside.waiting).astimezone(UTC)
        landed = f"{'landed' if count == 1 else 'the oldest landed'} {oldest:%Y-%m-%d %H:%M} UTC"
        lines.append(f"{aside.feed}: {drops} for a marker (files: ready) that is overdue; {landed}")
    return [_printable(text) for text in lines]


def table(summary: Summary) -> list[TableLine]:
    """The summary as lines for a terminal: facts, then the rows and the people sent, each total before its parts.

    The level-1 lines add up to "rows", the level-2 lines, which follow "sent", to "sent". Strings are printable.
    """
    lines = [
        TableLine(label="feed", value=_printable(summary.feed), level=0, tone="quiet"),
        TableLine(label="run", value=_printable(summary.run), level=0, tone="quiet"),
        TableLine(label="drop", value=_printable(summary.drop.name), level=0, tone="quiet"),
        TableLine(label="state", value=summary.state.value, level=0, tone=tone(summary)),
        TableLine(label="rows", value=summary.rows.total, level=0, tone="quiet"),
    ]
    lines += [TableLine(label=p.label, value=p.count, level=1, tone=p.tone) for p in row_parts(summary)]
    lines += [TableLine(label=p.label, value=p.count, level=2, tone=p.tone) for p in outcome_parts(summary)]
    if summary.problem:
        lines.append(TableLine(label="problem", value=_printable(summary.problem.message), level=0, tone="bad"))
        if summary.problem.advice:
            lines.append(TableLine(label="what to do", value=_printable(summary.problem.advice), level=0, tone="warn"))
    return lines


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
        faults = _reject_faults(row)[:left]
        left -= len(faults)
        if faults:
            shown_rows.append({"row": row, "faults": faults})
    all_faults = Counter((fault.column, fault.message) for row in rejected for fault in _reject_faults(row))
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
        loader=PackageLoader("connector", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=_visible,
    )
    return environment.get_template("report.html.j2")


# HTML allows neither C0 controls nor lone surrogates; turned text direction would make a value read otherwise.
_INVISIBLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST: Final = 1000


def _visible(value: Any) -> Any:
    """What the template prints, cut to a length that a page can bear. Markup is a subclass of str and is left alone."""
    if type(value) is not str:
        return value
    text = _INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _printable(text: str) -> str:
    """One line that moves no terminal's cursor."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in " ".join(text.split()))


def _times(summary: Summary) -> tuple[tuple[str, datetime | None], ...]:
    times = summary.times
    return ("landed", times.landed), ("planned", times.planned), ("sent", times.sent), ("settled", times.settled)


def _iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with "Z". Raises `ValueError` for a time without an offset: local time is not ours to assume."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError("a time of a summary has no offset from UTC")
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


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
    for name, moment in _times(summary):
        if moment is None:
            first = all(step.kind == "done" for step in steps)
            steps.append(_Step(name=name, kind="never" if stopped else "now" if first else "ahead"))
            continue
        if before is not None:
            steps[-1].linked, steps[-1].then = True, _duration(moment - before)
        at = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        steps.append(_Step(name=name, kind="done", iso=_iso(moment) or "", at=at))
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


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"
