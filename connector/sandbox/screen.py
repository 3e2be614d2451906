"""What the demo shows: its steps while they go on, and the last screen. Plain lines where there is no terminal."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.style import Style
from rich.table import Table
from rich.text import Text

from connector.reporting.advice import without_values
from connector.reporting.sums import headline
from connector.reporting.terminal import TableLine, table
from connector.vocabulary.run import State
from connector.vocabulary.summary import Summary

WIDTH: Final = 108
"""The most columns that are used: wider lines are hard to read, and to put into a README."""

QUIET: Final = 5.0
"""Seconds between two lines about the same step, where there is no terminal."""

MOST_LINES: Final = 8
"""How many failures, and how many rejected rows, the last screen shows; the report has all."""

_COLOURS: Final[Mapping[str, str]] = {
    "good": "green",
    "busy": "cyan",
    "warn": "yellow",
    "bad": "red",
    "quiet": "default",
}


@dataclass(slots=True)
class _Step:
    label: str
    text: str = ""
    began: float | None = None
    took: float | None = None
    failed: bool = False
    done: int = 0
    of: int = 0
    told: float = 0.0


class Screen:
    """The steps, in their order. As a context manager it shows them live; on leaving the cursor is as it was."""

    def __init__(self, console: Console, title: str, steps: Sequence[str]) -> None:
        self.console = console
        self._title = title
        self._steps = {label: _Step(label) for label in steps}
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(self, console=console, refresh_per_second=12) if console.is_terminal else None
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        else:
            self.console.print(self._title)
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def elapsed(self) -> float:
        """Seconds since the screen was made."""
        return time.monotonic() - self._began

    def show(self, label: str, text: str, *, done: int = 0, of: int = 0) -> None:
        """What the step is doing now, and how far it is."""
        step = self._steps[label]
        now = time.monotonic()
        step.began = now if step.began is None else step.began
        changed = text != step.text or done != step.done
        step.text, step.done, step.of = text, done, of
        if self._live is None and changed and step.took is None and now - step.told >= QUIET and (step.told or not of):
            self._say(step, "...")
        step.told = step.told or now

    def finish(self, label: str, text: str) -> None:
        """The step is done. Finishing it again does nothing."""
        self._end(label, text, failed=False)

    def fail(self, label: str, text: str) -> None:
        """The step went wrong, and why."""
        self._end(label, text, failed=True)

    @property
    def failed(self) -> bool:
        """Whether a step went wrong."""
        return any(step.failed for step in self._steps.values())

    def unfinished(self) -> str:
        """The label of the first step that is under way, else of the first that has not begun; "" when all is done."""
        waiting = [step for step in self._steps.values() if step.took is None]
        begun = [step for step in waiting if step.began is not None]
        return (begun or waiting)[0].label if waiting else ""

    def _end(self, label: str, text: str, *, failed: bool) -> None:
        step = self._steps[label]
        if step.took is not None:
            return
        now = time.monotonic()
        step.began = now if step.began is None else step.began
        step.text, step.failed, step.took = text, failed, now - step.began
        if step.of:
            step.done = step.of if not failed else step.done
        if self._live is None:
            self._say(step, "FAILED" if failed else "ok")

    def _say(self, step: _Step, mark: str) -> None:
        step.told = time.monotonic()
        self.console.print(f"{self.elapsed:5.1f} s  {step.label:<9} {mark:<6} {step.text}", soft_wrap=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, WIDTH)
        grid = Table.grid(padding=(0, 1))
        grid.width = width - 2
        grid.add_column(width=1)
        grid.add_column(width=9)
        grid.add_column(ratio=1)
        grid.add_column(width=7, justify="right", style="dim")
        for step in self._steps.values():
            grid.add_row(*self._row(step))
        yield Text(self._title, style="bold")
        yield Text()
        yield Padding(grid, (0, 0, 0, 2))

    def _row(self, step: _Step) -> tuple[RenderableType, RenderableType, RenderableType, str]:
        if step.began is None:
            return Text("·", style="dim"), Text(step.label, style="dim"), "", ""
        seconds = step.took if step.took is not None else time.monotonic() - step.began
        took = f"{seconds:.1f} s"
        text: RenderableType = Text(step.text, style="red" if step.failed else "", overflow="ellipsis", no_wrap=True)
        if step.failed:
            return Text("✗", style="bold red"), Text(step.label, style="bold red"), Text(step.text, style="red"), took
        if step.of:
            line = Table.grid(padding=(0, 2), expand=True)
            line.add_column(width=24)
            line.add_column(ratio=1)
            line.add_row(
                ProgressBar(
                    total=step.of, completed=step.done, width=24, complete_style="cyan", finished_style="green"
                ),
                text,
            )
            text = line
        if step.took is not None:
            return Text("✓", style="bold green"), Text(step.label), text, took
        return self._spinner, Text(step.label, style="bold cyan"), text, took


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that somebody must look at. `where` is a row and, where there is one, an externalId."""

    where: str
    what: str
    reason: str
    advice: str


def last_screen(
    console: Console,
    summary: Summary,
    *,
    failures: Sequence[Trouble],
    rejects: Sequence[Trouble],
    took: float,
    report: Path,
    more: Mapping[str, str],
) -> None:
    """The run's summary as a person would show it around: counts that add up, what failed and why, where to read on."""
    width = min(console.width, WIDTH)
    facts, counts = _facts(summary)
    settled = summary.state is State.SETTLED
    parts: list[RenderableType] = [Text(headline(summary), style="bold"), Text(), counts]
    for title, troubles in (("Failures", failures), ("Rows that were not sent", rejects)):
        if troubles:
            parts += [Text(), _troubles(title, troubles)]
    console.print()
    console.print(
        Panel(
            Group(*parts),
            title=Text(f" {facts} ", style="bold"),
            title_align="left",
            subtitle=Text(f" {summary.state.value} after {took:.0f} s ", style="green" if settled else "red"),
            subtitle_align="right",
            border_style="cyan" if settled else "red",
            padding=(1, 2),
            width=width,
        )
    )
    console.print()
    # Not wrapped: a path that is cut in two can be neither clicked nor copied.
    link = Text(str(report), style=Style(color="cyan", link=report.as_uri()))
    for label, text in (("Report", link), *((label, Text(text)) for label, text in more.items())):
        console.print(Text(f"  {label:<10} ", style="bold").append_text(text), soft_wrap=True)


def _facts(summary: Summary) -> tuple[str, RenderableType]:
    """The panel's title, and the counts as a tree: every total over its parts, with the sum written out."""
    lines = table(summary)
    said = {line.label: str(line.value) for line in lines if line.level == 0}
    rest = [line for line in lines if line.level > 0]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True)
    rows = [line for line in rest if line.level == 1]
    people = [line for line in rest if line.level == 2]
    total = summary.rows.total
    grid.add_row(Text("rows", style="bold"), Text(f"{total:,}", style="bold"), _sum(total, rows))
    for place, line in enumerate(rows):
        last = place == len(rows) - 1
        under = people if line.label == "sent" else []
        grid.add_row(*_count(line, "└─ " if last else "├─ ", total, bar=not under, equals=under))
        for number, part in enumerate(under, 1):
            stem = "   " if last else "│  "
            grid.add_row(*_count(part, stem + ("└─ " if number == len(under) else "├─ "), total, bar=True))
    title = f"{said['feed']} / {said['drop']}"
    if summary.problem is None:
        return title, grid
    # What is wrong with the run as a whole comes before the counts.
    problem = Table.grid(padding=(0, 2))
    problem.add_column(no_wrap=True, style="bold")
    problem.add_column(overflow="fold")
    faults = summary.problem.message.splitlines()
    shown = [*faults[:MOST_LINES], *([f"and {len(faults) - MOST_LINES} more"] if len(faults) > MOST_LINES else [])]
    problem.add_row("problem", Text("\n".join(map(_clean, shown)), style="red"))
    if summary.problem.advice:
        problem.add_row("what to do", _clean(summary.problem.advice))
    return title, Group(problem, Text(), grid)


def _sum(total: int, parts: Iterable[TableLine]) -> Text:
    """`= 6 rejected + 1 duplicate + 993 sent`, and a tick because it adds up."""
    terms = list(parts)
    adds_up = sum(int(line.value) for line in terms) == total
    text = Text("= ", style="dim")
    for place, line in enumerate(terms):
        text.append(" + " if place else "", style="dim")
        text.append(f"{line.value:,}", style=_COLOURS[line.tone])
        text.append(f" {line.label}", style="dim")
    text.append("  ✓" if adds_up else "  ✗", style="bold green" if adds_up else "bold red")
    return text


_BAR: Final = 44


def _count(
    line: TableLine, stem: str, total: int, *, bar: bool, equals: Sequence[TableLine] = ()
) -> tuple[Text, Text, Text]:
    colour = _COLOURS[line.tone]
    count = int(line.value)
    label = Text(stem, style="dim").append(line.label, style=colour)
    # Something is never drawn as nothing.
    eighths = max(1, round(_BAR * 8 * count / total)) if total and count and bar else 0
    drawn = Text("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip(), style=colour)
    return label, Text(f"{count:,}", style=f"bold {colour}"), _sum(count, equals) if equals else drawn


def _troubles(title: str, troubles: Sequence[Trouble]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim", min_width=24)
    grid.add_column(ratio=1)
    for trouble in troubles[:MOST_LINES]:
        reason = Text(f"{trouble.what}: " if trouble.what else "", style="red").append(trouble.reason, style="default")
        if trouble.advice:
            reason.append(f"\n→ {trouble.advice}", style="dim")
        grid.add_row(trouble.where, reason)
    left = len(troubles) - MOST_LINES
    parts: list[RenderableType] = [Text(title, style="bold"), grid]
    if left > 0:
        parts.append(Text(f"and {left:,} more: see the report", style="dim"))
    return Group(*parts)


def failures_of(document: Mapping[str, Any]) -> Iterator[Trouble]:
    """From a summary's JSON. Reasons come without the values that Entra quotes in them."""
    for cause in document["failures"]:
        first = cause["examples"][0]
        yield Trouble(
            where=_where(first["row"], first["externalId"], cause["people"]),
            what=cause["outcome"],
            reason=_clean(without_values(cause["reason"]) or cause["code"]),
            advice=_clean(cause["advice"]),
        )


def rejects_of(records: Iterable[Mapping[str, str]]) -> Iterator[Trouble]:
    """From the records of a `rejects.csv`: each fault once, in the order of the rows."""
    first: dict[tuple[str, str], Mapping[str, str]] = {}
    rows: Counter[tuple[str, str]] = Counter()
    for record in records:
        # "a later row, 785, has the same externalId" is one fault, whichever row that is.
        fault = (re.sub(r"\d+", "#", record["fault"]), record["advice"])
        first.setdefault(fault, record)
        rows[fault] += 1
    for fault, record in first.items():
        yield Trouble(
            where=_where(record["row"], record["externalId"], rows[fault]),
            what="",
            reason=_clean(record["fault"]),
            advice=_clean(record["advice"]),
        )


def _where(row: int | str, external_id: str, count: int) -> str:
    text = f"row {row} {_clean(external_id)}".rstrip()
    return f"{text} and {count - 1:,} more" if count > 1 else text


def _clean(text: str) -> str:
    """Without what would steer the terminal: some of it comes from an HR file."""
    return "".join(character if character.isprintable() else " " for character in text)
