"""A run's summary, the contract of `summaries/<feed>/<run>.json`: counts that add up, always. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, fields

from connector.vocabulary.run import Problem, State, Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The counts of a drop's rows. `total` is the sum of its siblings, always."""

    total: int = 0
    rejected: int = 0
    duplicate: int = 0
    filtered: int = 0
    unchanged: int = 0
    held: int = 0
    superseded: int = 0
    pending: int = 0
    sent: int = 0

    def __post_init__(self) -> None:
        parts = sum(getattr(self, f.name) for f in fields(self) if f.name != "total")
        if self.total != parts:
            raise AssertionError(f"rows do not add up: total {self.total}, sum of the parts {parts}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """The outcomes of the people sent; their sum is `Rows.sent`, always."""

    created: int = 0
    updated: int = 0
    disabled: int = 0
    skipped: int = 0
    failed: int = 0
    refused: int = 0
    unconfirmed: int = 0
    waiting: int = 0

    @property
    def sum(self) -> int:
        return sum(getattr(self, f.name) for f in fields(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryDrop:
    name: str
    etag: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Bulk requests of a run: `total` planned, `sent` answered for good, `left` in the spool."""

    total: int = 0
    sent: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """`summaries/<feed>/<run>.json`: a contract (docs/operating.md, "The summary"). Fields are added, never renamed."""

    schema: int = 1
    feed: str
    run: str
    state: State
    drop: SummaryDrop
    rows: Rows
    outcomes: Outcomes
    times: Times
    requests: Requests = Requests()
    problem: Problem | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rows.sent != self.outcomes.sum:
            raise AssertionError(f"outcomes do not add up: sent {self.rows.sent}, sum of outcomes {self.outcomes.sum}")
