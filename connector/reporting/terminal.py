"""A summary in a line, or as a table's lines, for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC

from connector.reporting.sums import Tone, outcome_parts, row_parts, tone
from connector.vocabulary.run import Obstacle, Unplanned
from connector.vocabulary.summary import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLine:
    """One line of `table`. `level` 0 is a fact or a total, 1 a part of the rows, 2 a part of the people sent."""

    label: str
    value: int | str
    level: int
    tone: Tone


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


def unplanned_lines(unplanned: Unplanned) -> list[str]:
    """What `line` is for a run: one printable line for each thing that has none. No file is named, as nobody is."""
    lines = []
    feed = unplanned.feed or "inbox"
    if unplanned.ignored:
        lines.append(
            f"{feed}: {_blobs(unplanned.ignored)} ignored (folders, leftovers of transfers, or not matched by files:)"
        )
    if unplanned.waiting:
        count = len(unplanned.waiting)
        drops = "1 drop waits" if count == 1 else f"{count} drops wait"
        oldest = min(drop.landed for drop in unplanned.waiting).astimezone(UTC)
        landed = f"{'landed' if count == 1 else 'the oldest landed'} {oldest:%Y-%m-%d %H:%M} UTC"
        lines.append(f"{feed}: {drops} for a marker (files: ready) that is overdue; {landed}")
    for obstacle, count in sorted(unplanned.obstacles.items()):
        lines.append(f"{feed}: {_blobs(count)} not planned: {_OBSTACLES[obstacle]}")
    return [_printable(text) for text in lines]


_OBSTACLES = {
    Obstacle.ARRIVING: "still arriving, or changed within the last ARRIVAL_TIME; the next tick looks again",
    Obstacle.COPYING: "being copied here; the next tick looks again",
    Obstacle.COPY_FAILED: "the copy that was to make it failed or was aborted; copy it again, or delete it",
    Obstacle.ARCHIVED: "in the archive tier, where nothing can be read; bring it online, and it is planned",
    Obstacle.REHYDRATING: "being brought online from the archive tier, which takes hours; it is planned then",
    Obstacle.NAME: "its name cannot be asked for (a segment . or .., control characters); rename it",
    Obstacle.FOLDER: "a folder",
    Obstacle.NO_FEED: "in no feed's folder; move it into one",
}
"""Of one or several blobs."""


def _blobs(count: int) -> str:
    return "1 blob" if count == 1 else f"{count} blobs"


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


def _printable(text: str) -> str:
    """One line that moves no terminal's cursor."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in " ".join(text.split()))
