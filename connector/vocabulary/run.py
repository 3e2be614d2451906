"""A run's vocabulary: its state, the decisions of its plan, its receipts, outcomes and summary. Plain data, no I/O."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connector.vocabulary.errors import Fault

RUN_SCHEMA = 1
"""Of `run.json`. An older one is read; a newer one is another version's, and left alone."""


class State(enum.StrEnum):
    """`planning -> sending -> settling -> settled`; side exits `rejected` (unusable) and `held` (a guard tripped)."""

    PLANNING = "planning"
    SENDING = "sending"
    SETTLING = "settling"
    SETTLED = "settled"
    HELD = "held"
    REJECTED = "rejected"

    @property
    def final(self) -> bool:
        return self in {State.SETTLED, State.REJECTED}


class Decision(enum.StrEnum):
    """What a plan says of one row; each is a count of `Rows`."""

    SEND = "send"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    FILTERED = "filtered"
    UNCHANGED = "unchanged"
    HELD = "held"
    SUPERSEDED = "superseded"


class Outcome(enum.StrEnum):
    """The final word on one person who was sent; `waiting` is the one that is not final."""

    CREATED = "created"
    UPDATED = "updated"
    DISABLED = "disabled"
    SKIPPED = "skipped"
    FAILED = "failed"
    REFUSED = "refused"
    UNCONFIRMED = "unconfirmed"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """One HR file that landed: `inbox/<feed>/<name>`, pinned by its ETag (without quotes). `bytes` is its size."""

    feed: str
    name: str
    etag: str
    bytes: int
    landed: datetime

    @property
    def path(self) -> str:
        return f"{self.feed}/{self.name}"

    @property
    def run_id(self) -> str:
        """Time of landing, then a hash of path and ETag: sorts by landing; the same event twice gives the same run."""
        digest = hashlib.sha256(f"{self.path}\n{self.etag}".encode()).hexdigest()
        return f"{self.landed.astimezone(UTC):%Y%m%dT%H%M%SZ}-{digest[:12]}"


# Made for every row of every drop: a frozen one takes three times as long to make, and every row a tenth longer.
# Nothing changes one nevertheless.
@dataclass(slots=True, kw_only=True)
class PlannedRow:
    """One line of `plan.jsonl.gz`.

    `row` counts from 1 as the drop's reader does. `digest` is the hash of the person's serialised SCIM user, `request`
    the number of the bulk request that carries it (0: none). `faults` say why a row is rejected; `warnings` do not.
    """

    row: int
    decision: Decision
    external_id: str = ""
    digest: str = ""
    reason: str = ""
    request: int = 0
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An operation that Graph answered with 400 when it was sent alone."""

    external_id: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One line of `receipts.jsonl`: Entra's last word on one bulk request.

    `accepted` is the earliest time, by the server's clock where it said so, at which Entra can have had the request.
    With `unsent` it is not the last word: a request that Entra refused was being sent in parts when sending had to end,
    and these parts, each as its externalIds, were still to come. `lost` is the one case in which people are given up:
    the body vanished from the spool and cannot be made again; the unsent are lost, or all where no part had been sent.
    `plan` is `Run.plan_id` of the plan whose request it is: numbers begin anew where a run is planned again.
    """

    request: int
    accepted: datetime
    people: int
    lost: bool = False
    request_ids: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    unsent: tuple[tuple[str, ...], ...] = ()
    plan: str = ""

    @property
    def final(self) -> bool:
        return self.lost or not self.unsent

    @property
    def people_lost(self) -> int:
        if not self.lost:
            return 0
        return sum(map(len, self.unsent)) if self.unsent else self.people

    def lost_person(self, external_id: str) -> bool:
        """Whether this person of the request was given up."""
        return self.lost and (not self.unsent or any(external_id in part for part in self.unsent))


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    landed: datetime
    planned: datetime | None = None
    sent: datetime | None = None
    settled: datetime | None = None


class ProblemCode(enum.StrEnum):
    """Every reason that a run as a whole can have; `docs/operating.md` says of each what to do."""

    FEED = "feed"
    DROP = "drop"
    ATTEMPTS = "attempts"
    PLANNING = "planning"
    DAMAGED = "damaged"
    STOPPED = "stopped"
    OUTAGE = "outage"
    QUOTA = "quota"
    TIME = "time"
    LEASE = "lease"
    INTERRUPTED = "interrupted"
    LOG = "log"
    JOB_PAUSED = "job-paused"
    JOB_QUARANTINE = "job-quarantine"
    JOB_NOT_CONFIGURED = "job-notconfigured"
    JOB_NOT_RUN = "job-notrun"

    @classmethod
    def _missing_(cls, value: object) -> ProblemCode | None:
        """What another version of the connector wrote stays what it is."""
        if not isinstance(value, str):
            return None
        code = str.__new__(cls, value)
        code._name_ = code._value_ = value
        return code


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something about the run as a whole that a person should read: why it is stopped, rejected or waiting."""

    code: ProblemCode
    message: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The final word on one person of a run, with Entra's own reason where it gave one. No attribute values."""

    row: int
    external_id: str
    outcome: Outcome
    code: str = ""
    reason: str = ""
    advice: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`run.json`. Changed only by compare-and-swap on its ETag; what can be derived from other blobs is not in it.

    `rows` are the plan's counts by decision, `send` among them; `requests` is how many bulk requests the plan made.
    `feed_etag` pins the feed file that planned it, `upload_path` the job that it goes to. `watermark` is how far the
    job's provisioning log has been read. `in_doubt_since` is when sending began that has not ended in good order, by
    Graph's clock: since then Entra may have had any request that has no receipt. `attempts` are plannings that began
    and have not ended in good order, `alone` those among them during which nothing else was planned. `beside` are the
    feed's earlier runs of which the log may still have spoken when this one was made. `events_etag` is that of the
    events that its summary tells. `receipts_apart`: storage refused to append some receipts, which have blobs of
    their own.
    """

    schema: int = RUN_SCHEMA
    drop: Drop
    state: State = State.PLANNING
    feed_etag: str = ""
    upload_path: str = ""
    times: Times
    rows: dict[Decision, int] | None = None
    requests: int = 0
    notes: tuple[str, ...] = ()
    problem: Problem | None = None
    watermark: datetime | None = None
    in_doubt_since: datetime | None = None
    attempts: int = 0
    alone: int = 0
    beside: tuple[str, ...] = ()
    events_etag: str = ""
    receipts_apart: bool = False

    @property
    def plan_id(self) -> str:
        """Names the plan that the run has now."""
        return self.times.planned.isoformat() if self.times.planned else ""

    @property
    def id(self) -> str:
        return self.drop.run_id

    @property
    def feed(self) -> str:
        return self.drop.feed


class Obstacle(enum.StrEnum):
    """Why a blob of the inbox is no drop, or none yet, though the feed's `files:` have nothing against it."""

    ARRIVING = "arriving"
    COPYING = "copying"
    REHYDRATING = "rehydrating"
    ARCHIVED = "archived"
    COPY_FAILED = "copy-failed"
    NAME = "name"
    FOLDER = "folder"
    NO_FEED = "no-feed"

    @property
    def passes(self) -> bool:
        """Whether nobody has to do anything."""
        return self in {Obstacle.ARRIVING, Obstacle.COPYING, Obstacle.REHYDRATING, Obstacle.FOLDER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplanned:
    """What of a feed's inbox folder has no run, nor a summary to say so; of no feed's where `feed` is "".

    `ignored` is how many blobs are no drops by the feed's `files:`. `waiting` are drops whose marker is overdue.
    `obstacles` counts what else cannot be planned, or not yet.
    """

    feed: str
    ignored: int = 0
    waiting: tuple[Drop, ...] = ()
    obstacles: Mapping[Obstacle, int] = field(default_factory=dict)
