"""The few calls that say a metric or a span, by the names of `names.py`.

Nothing here imports OpenTelemetry: without APPLICATIONINSIGHTS_CONNECTION_STRING each call does nothing, and
`exporting.py`, which does the work, is never loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from connector.vocabulary.run import Decision, Outcome
from connector.vocabulary.summary import Outcomes

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,79}")


Value = str | int | float


class Span(Protocol):
    """Something that takes time. `set` adds attributes, `current` makes it the parent of what starts in the block."""

    def set(self, **attributes: Value) -> None: ...

    def current(self) -> AbstractContextManager[None]: ...

    def end(self, error: BaseException | None = None) -> None:
        """Once; a second time does nothing. Of the error, its class is told and not its message."""


class Exporter(Protocol):
    """What `exporting.py` is to this module."""

    def begin(self, name: str, feed: str, run: str, attributes: Mapping[str, Value]) -> Span: ...

    def measure(self, name: str, value: float, attributes: Mapping[str, Value]) -> None: ...

    def flush(self) -> None: ...


class _NoSpan:
    def set(self, **attributes: Value) -> None:
        pass

    def current(self) -> AbstractContextManager[None]:
        return nullcontext()

    def end(self, error: BaseException | None = None) -> None:
        pass


NO_SPAN: Span = _NoSpan()
_exporter: Exporter | None = None


def active() -> bool:
    """Whether anybody is told: facts that cost a call are gathered only then."""
    return _exporter is not None


def export_to(exporter: Exporter) -> None:
    """Exports to `exporter` from now on."""
    global _exporter  # noqa: PLW0603 - OpenTelemetry's own providers are the process's too
    _exporter = exporter


def flush() -> None:
    """Sends what is buffered; as slow as the network."""
    if _exporter is not None:
        _exporter.flush()


@contextmanager
def exporting_to(exporter: Exporter) -> Iterator[None]:
    """Exports to `exporter` while the block runs."""
    global _exporter  # noqa: PLW0603 - as above
    before, _exporter = _exporter, exporter
    try:
        yield
    finally:
        _exporter = before


def begin(name: str, *, feed: str = "", run: str = "", **attributes: Value) -> Span:
    """A span that outlives the function that begins it; with a run, in that run's trace. Its `end` is the caller's."""
    return NO_SPAN if _exporter is None else _exporter.begin(name, feed, run, attributes)


@contextmanager
def span(name: str, *, feed: str = "", run: str = "", **attributes: Value) -> Iterator[Span]:
    """A span for the block, and the parent of those that begin in it."""
    begun = begin(name, feed=feed, run=run, **attributes)
    try:
        with begun.current():
            yield begun
    except BaseException as error:
        begun.end(error)
        raise
    begun.end()


def measure(name: str, value: float, **attributes: Value) -> None:
    """Adds to a counter, sets a gauge, records in a histogram: whatever METRICS says that `name` is."""
    if _exporter is not None:
        _exporter.measure(name, value, attributes)


def row_counts(rows: Mapping[Decision, int] | None) -> dict[str, int]:
    """The fields `rows_…`, with all decisions."""
    return {f"rows_{decision.value}": (rows or {}).get(decision, 0) for decision in Decision}


def plain_code(code: str) -> str:
    """An error code as Entra gives it; "other" for what does not look like one, whoever put it there."""
    return code if _CODE.fullmatch(code) else "other" if code else "none"


def outcome_counts(outcomes: Outcomes) -> dict[str, int]:
    """The fields `outcome_…`, with all outcomes."""
    return {f"outcome_{outcome.value}": getattr(outcomes, outcome.value) for outcome in Outcome}
