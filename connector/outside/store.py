"""The containers: every path in storage is spelled here and nowhere else (docs/architecture.md, "State in storage")."""

from __future__ import annotations

import gzip
import io
import re
import uuid
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import orjson
from azure.core import MatchConditions
from azure.storage.blob import BlobServiceClient
from pydantic import TypeAdapter

from connector.outside.blobs import (
    BLOCK,
    BlobFile,
    BlockWriter,
    Lease,
    Missing,
    connect,
    lease_blob,
    list_blobs,
    plain_etag,
    read_blob,
    storage_errors,
    write_blob,
)
from connector.outside.inbox import Inbox
from connector.outside.run_index import PREFIX, RunIndex, state_of
from connector.outside.settings import Settings
from connector.vocabulary.bulk_request import PlannedBody
from connector.vocabulary.errors import Conflict, Fault, StateUnusable
from connector.vocabulary.event import Event
from connector.vocabulary.inbox import InboxBlob
from connector.vocabulary.lines import (
    PLAN_HEAD,
    PLAN_SCHEMA,
    parse_event_line,
    parse_plan_line,
    plan_line,
    plan_schema,
)
from connector.vocabulary.order import RunKey
from connector.vocabulary.run import RUN_SCHEMA, Drop, Obstacle, PlannedRow, Receipt, Run, State

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


UPLINK = "uplink.json"


EXAMINATION = "doctor.json"

Container = Literal["inbox", "config", "runs", "summaries"]
"""The containers by what they are for; their names are settings."""

_FEED_FILE = re.compile(r"feeds/([^/]+)\.ya?ml")
_SPOOL = re.compile(r"spool/(\d{6,})\.json$")


@dataclass(slots=True)
class RunEntry:
    """What a listing of the runs container shows of one run, without reading a blob.

    `state` is None where `run.json` has lost its metadata; `has_state` says whether there is one.
    """

    feed: str
    id: str
    state: State | None = None
    spool: list[int] = field(default_factory=list)
    has_state: bool = False


class Store:
    """Typed access to the four containers. Methods raise Retryable, Stopped and Conflict; what is not there is None."""

    def __init__(self, service: BlobServiceClient, settings: Settings) -> None:
        self._inbox = Inbox(service.get_container_client(settings.inbox))
        self._config = service.get_container_client(settings.config)
        self._runs = service.get_container_client(settings.runs)
        self._summaries = service.get_container_client(settings.summaries)
        self.index = RunIndex(self._runs)

    @classmethod
    def connect(
        cls, settings: Settings, credential: TokenCredential | None = None, *, retries: int = 4, **options: Any
    ) -> Store:
        """The account of the settings. `retries` and `options` go to the SDK's pipeline."""
        return cls(connect(settings, credential, retries=retries, **options), settings)

    # inbox and config: read only

    def drops(self, feed: str | None = None) -> Iterator[InboxBlob]:
        return self._inbox.blobs(feed)

    def drop(self, path: str) -> InboxBlob | Obstacle | None:
        return self._inbox.blob(path)

    def hierarchical(self, drop: Drop) -> bool:
        return self._inbox.hierarchical(drop)

    def open_drop(self, drop: Drop) -> io.BufferedReader:
        return self._inbox.open(drop)

    def feed_file(self, feed: str) -> tuple[bytes, str] | None:
        """`config/feeds/<feed>.yaml` (or `.yml`) and its ETag."""
        for suffix in ("yaml", "yml"):
            found = read_blob(self._config, f"feeds/{feed}.{suffix}")
            if found is not None:
                return found
        return None

    def feed_files(self) -> dict[str, tuple[str, datetime]]:
        """Every feed that has a feed file: the file's ETag, and when it was last written."""
        found: dict[str, tuple[str, datetime]] = {}
        for blob in list_blobs(self._config, "feeds/"):
            # `.yaml` sorts before `.yml`, and is the one that `feed_file` takes of the two.
            if match := _FEED_FILE.fullmatch(blob.name):
                found.setdefault(match[1], (plain_etag(blob.etag), blob.last_modified))
        return found

    def config_file(self, path: str) -> bytes | None:
        """Any other file of the config container, such as a lookup table beside the feed file."""
        found = read_blob(self._config, path)
        return None if found is None else found[0]

    # runs

    def overview(self) -> dict[tuple[str, str], RunEntry]:
        """Every run by (feed, id), from listings alone."""
        entries: dict[tuple[str, str], RunEntry] = {}
        for blob in list_blobs(self._runs):
            parts = blob.name.split("/", 2)
            if len(parts) < 3 or blob.name.startswith(PREFIX):
                continue
            feed, run, rest = parts
            entry = entries.get((feed, run)) or entries.setdefault((feed, run), RunEntry(feed, run))
            if rest == "run.json":
                entry.has_state = True
                entry.state = state_of(blob.metadata or {})
        return {key: entry for key, entry in entries.items() if entry.has_state}

    def run(self, feed: str, run: str) -> tuple[Run, str] | None:
        """The run's state and its ETag for the next `save_run`."""
        found = read_blob(self._runs, f"{feed}/{run}/run.json")
        if found is None:
            return None
        data, etag = found
        return _parsed_run(data, f"runs/{feed}/{run}/run.json"), etag

    def create_run(self, run: Run) -> bool:
        """False when it exists already: the same event came before."""
        self.index.note(run)
        try:
            self._write_run(run, match_condition=MatchConditions.IfMissing)
        except Conflict:
            return False
        return True

    def save_run(self, run: Run, etag: str, lease: Lease | None = None, *, moved: bool = False) -> str:
        """Compare-and-swap; gives the new ETag. Raises Conflict when another instance was faster.

        `moved`: its state has changed, which the index is told.
        """
        options: dict[str, Any] = {"lease": lease.id} if lease else {}
        etag = self._write_run(run, etag=etag, match_condition=MatchConditions.IfNotModified, **options)
        if moved:
            self.index.note(run)
        return etag

    def _write_run(self, run: Run, **condition: Any) -> str:
        return write_blob(
            self._runs,
            f"{run.feed}/{run.id}/run.json",
            _runs().dump_json(run, indent=1),
            "application/json",
            overwrite=condition.get("match_condition") is not MatchConditions.IfMissing,
            # So that a listing shows every run's state without a read for each.
            metadata={"state": run.state.value},
            **condition,
        )

    def lease_run(self, drop: Drop) -> Lease:
        """Holds the drop's run against other planners. Raises Conflict when another instance has it."""
        return lease_blob(self._runs, f"{drop.feed}/{drop.run_id}/run.json")

    @contextmanager
    def write_plan(self, run: Run) -> Iterator[PlanWriter]:
        """Committed when the block ends without an exception."""
        raw = BlockWriter(self._runs, f"{run.feed}/{run.id}/plan.jsonl.gz", "application/gzip")
        # mtime=0: the same plan gives the same bytes.
        with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=5, mtime=0) as packed:
            packed.write(PLAN_HEAD)
            yield PlanWriter(packed)
        raw.commit()

    def read_plan(self, run: Run) -> Iterator[PlannedRow]:
        """The plan's lines, streamed; none when there is no plan yet. Raises StateUnusable where it is damaged."""
        path = f"{run.feed}/{run.id}/plan.jsonl.gz"
        try:
            with storage_errors(f"runs/{path}"):
                properties = self._runs.get_blob_client(path).get_blob_properties()
        except Missing:
            return
        raw = BlobFile(self._runs, path, etag=plain_etag(properties.etag), size=properties.size)
        try:
            with gzip.GzipFile(fileobj=io.BufferedReader(raw, BLOCK)) as lines:
                for line in lines:
                    if (schema := plan_schema(line)) is None:
                        yield parse_plan_line(line)
                    elif schema > PLAN_SCHEMA:
                        raise StateUnusable(f"runs/{path}", [newer(schema)])
        except _DAMAGE:
            raise StateUnusable(f"runs/{path}", [damaged(_AGAIN)]) from None

    # the spool: bodies still to be sent, and what is known of each

    def put_request(self, run: Run, number: int, body: bytes) -> None:
        write_blob(self._runs, _spool_path(run, number), body, "application/scim+json", overwrite=True)

    def request(self, run: Run, number: int) -> bytes | None:
        found = read_blob(self._runs, _spool_path(run, number))
        return None if found is None else found[0]

    def delete_request(self, run: Run, number: int) -> None:
        """Fine when it is gone already."""
        with suppress(Missing), storage_errors(f"runs/{_spool_path(run, number)}"):
            self._runs.delete_blob(_spool_path(run, number))

    def spooled(self, run: Run) -> list[int]:
        """The numbers of the requests that are in the spool, ascending."""
        return self.spool_of((run.feed, run.id))

    def spool_of(self, key: RunKey) -> list[int]:
        """The same, of a run of which no more than its name is known."""
        prefix = f"{key[0]}/{key[1]}/"
        names = [blob.name for blob in list_blobs(self._runs, f"{prefix}spool/")]
        return sorted(int(m[1]) for name in names if (m := _SPOOL.match(name[len(prefix) :])))

    def put_requests_index(self, run: Run, index: Iterable[PlannedBody]) -> None:
        """For every bulk request of the plan, in order: how many people it has, and its body's digest."""
        write_blob(
            self._runs,
            f"{run.feed}/{run.id}/requests.json",
            _index_json([(body.people_count, body.digest) for body in index]),
            "application/json",
            overwrite=True,
        )

    def requests_index(self, run: Run) -> list[PlannedBody]:
        """Empty where it is missing or damaged: the plan tells the same."""
        found = read_blob(self._runs, f"{run.feed}/{run.id}/requests.json")
        if found is None:
            return []
        try:
            index = orjson.loads(found[0])
            # Of before it had a checksum, it is the list alone.
            bodies = index if isinstance(index, list) else index["bodies"]
            if bodies is not index and zlib.crc32(orjson.dumps(bodies)) != index["crc"]:
                return []
            return [PlannedBody(int(people), str(digest)) for people, digest in bodies]
        except _DAMAGE:
            return []

    def append_receipt(self, run: Run, receipt: Receipt) -> None:
        """Durable before the spool blob is deleted, so that what was sent is known whatever crashes."""
        path = f"{run.feed}/{run.id}/receipts.jsonl"
        blob = self._runs.get_blob_client(path)
        line = _receipts().dump_json(replace(receipt, plan=run.plan_id)) + b"\n"
        try:
            with storage_errors(f"runs/{path}"):
                blob.append_block(line)
        except Missing:
            with suppress(Conflict), storage_errors(f"runs/{path}"):
                blob.create_append_blob(match_condition=MatchConditions.IfMissing)
            with storage_errors(f"runs/{path}"):
                blob.append_block(line)

    def put_receipt(self, run: Run, receipt: Receipt) -> None:
        """A receipt in a blob of its own, for where storage refuses for good to append it."""
        path = f"{_receipts_apart(run)}{receipt.request:06d}-{uuid.uuid4().hex[:8]}.json"
        data = _receipts().dump_json(replace(receipt, plan=run.plan_id))
        write_blob(self._runs, path, data, "application/json", overwrite=False)

    def has_receipts_apart(self, run: Run) -> bool:
        return any(True for _ in list_blobs(self._runs, _receipts_apart(run)))

    def receipts(self, run: Run, *, unfinished: bool = False) -> dict[int, Receipt]:
        """By request number, with the `unfinished` too if asked. A line that a retried call wrote twice counts once.

        What is damaged counts as missing, and so does what belongs to an earlier plan of the run.
        """
        found = read_blob(self._runs, f"{run.feed}/{run.id}/receipts.jsonl")
        lines = [] if found is None else found[0].splitlines()
        if run.receipts_apart or run.state is State.SENDING:
            names = sorted(blob.name for blob in list_blobs(self._runs, _receipts_apart(run)))
            lines += [apart[0] for name in names if (apart := read_blob(self._runs, name))]
        last: dict[int, Receipt] = {}
        for line in lines:
            with suppress(ValueError):
                receipt = _receipts().validate_json(line)
                known = last.get(receipt.request)
                # One that is final is never taken back, in whatever order they were read.
                if receipt.plan in {"", run.plan_id} and not (known and known.final):
                    last[receipt.request] = receipt
        return {number: receipt for number, receipt in last.items() if unfinished or receipt.final}

    def events(self, run: Run) -> tuple[list[tuple[Event, bool]], str]:
        """The log's events kept of this run's people, whether each is about another run, and the blob's ETag.

        No events and "" where the blob is missing or damaged: the log has them still.
        """
        found = read_blob(self._runs, f"{run.feed}/{run.id}/events.jsonl.gz")
        if found is None:
            return [], ""
        try:
            return [parse_event_line(line) for line in gzip.decompress(found[0]).splitlines()], found[1]
        except _DAMAGE:
            return [], ""

    def put_events(self, run: Run, lines: bytes) -> str:
        """Gives the new ETag."""
        path = f"{run.feed}/{run.id}/events.jsonl.gz"
        return write_blob(self._runs, path, gzip.compress(lines, 5, mtime=0), "application/gzip", overwrite=True)

    def job_memory(self, job_id: str) -> bytes:
        """`_jobs/<jobId>.json`: what settling knows of a job; empty where it knows nothing yet."""
        found = read_blob(self._runs, f"{PREFIX}jobs/{job_id}.json")
        return b"" if found is None else found[0]

    def put_job_memory(self, job_id: str, data: bytes) -> None:
        write_blob(self._runs, f"{PREFIX}jobs/{job_id}.json", data, "application/json", overwrite=True)

    # the uplink's ledger and lease

    def lease_uplink(self) -> Lease:
        """The tenant-wide lease of the only sender. Raises Conflict when another instance has it."""
        try:
            return lease_blob(self._runs, UPLINK)
        except Missing:
            with suppress(Conflict):
                write_blob(
                    self._runs,
                    UPLINK,
                    b"{}",
                    "application/json",
                    overwrite=False,
                    match_condition=MatchConditions.IfMissing,
                )
            return lease_blob(self._runs, UPLINK)

    def ledger(self) -> tuple[bytes, float]:
        """`uplink.json`, and its age in seconds by the storage account's own clock; 0 where that is not known."""
        times: dict[str, datetime] = {}

        def note(response: Any) -> None:
            for header in ("Date", "Last-Modified"):
                if value := response.http_response.headers.get(header):
                    times[header] = parsedate_to_datetime(value)

        with storage_errors(f"runs/{UPLINK}"):
            data = self._runs.get_blob_client(UPLINK).download_blob(raw_response_hook=note).readall()
        # The SDK forgets the hook when a connection breaks and it tries again.
        if len(times) < 2:
            return data, 0.0
        return data, max(0.0, (times["Date"] - times["Last-Modified"]).total_seconds())

    def put_ledger(self, data: bytes, lease: Lease) -> None:
        """Raises Conflict when the lease was lost."""
        write_blob(self._runs, UPLINK, data, "application/json", overwrite=True, lease=lease.id)

    # summaries

    def summary(self, feed: str, name: str) -> tuple[bytes, str] | None:
        return read_blob(self._summaries, f"{feed}/{name}")

    def put_summary(self, feed: str, name: str, data: bytes, content_type: str, *, etag: str | None = None) -> None:
        """Overwrites; with `etag`, only that version ("" for: only where there is none). Raises Conflict."""
        condition: dict[str, Any] = {}
        if etag:
            condition = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        elif etag is not None:
            condition = {"match_condition": MatchConditions.IfMissing}
        write_blob(self._summaries, f"{feed}/{name}", data, content_type, overwrite=etag != "", **condition)

    def write_summary(self, feed: str, name: str, parts: Iterable[str], content_type: str) -> None:
        """Streams a long text."""
        writer = BlockWriter(self._summaries, f"{feed}/{name}", content_type)
        for part in parts:
            writer.write(part.encode())
        writer.commit()

    # what the app found when it examined itself

    def examination(self) -> bytes | None:
        """What the app found when it examined itself: `summaries/doctor.json`."""
        found = read_blob(self._summaries, EXAMINATION)
        return None if found is None else found[0]

    def put_examination(self, data: bytes) -> None:
        write_blob(self._summaries, EXAMINATION, data, "application/json", overwrite=True)


class PlanWriter:
    """Takes a plan's rows one by one."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream

    def add(self, row: PlannedRow) -> None:
        self._stream.write(plan_line(row))


def _index_json(bodies: list[tuple[int, str]]) -> bytes:
    # A digest that is damaged would look like a body that is.
    return orjson.dumps({"bodies": bodies, "crc": zlib.crc32(orjson.dumps(bodies))})


def _receipts_apart(run: Run) -> str:
    return f"{run.feed}/{run.id}/receipts/"


def _spool_path(run: Run, number: int) -> str:
    return f"{run.feed}/{run.id}/spool/{number:06d}.json"


# Made when they are first needed: an idle tick reads no run.
@cache
def _runs() -> TypeAdapter[Run]:
    return TypeAdapter(Run)


def _parsed_run(data: bytes, path: str) -> Run:
    try:
        found = orjson.loads(data)
        schema = found.get("schema", 0)
        if isinstance(schema, int) and schema > RUN_SCHEMA:
            raise StateUnusable(path, [newer(schema)])
        return _runs().validate_python(found)
    except (ValueError, AttributeError):
        raise StateUnusable(path, [_NO_RUN]) from None


def newer(schema: int) -> Fault:
    """Of state that another version of the connector has written."""
    return Fault(
        message=f"was written by a newer version of the connector (schema {schema})",
        advice="deploy that version again: this one leaves it alone",
    )


def missing_run(key: RunKey) -> StateUnusable:
    """Of a run that the index knows and that has no `run.json`."""
    return StateUnusable(f"runs/{key[0]}/{key[1]}/run.json", [_RUN_GONE])


def damaged(advice: str) -> Fault:
    return Fault(message="is damaged", advice=advice)


_AGAIN = "drop the file again under its name: that is a new run of its own"
# What parsing and unpacking raise for bytes that are not what was written.
_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, OSError, EOFError, zlib.error)
_NO_RUN = Fault(
    message="is damaged: it is no run's state",
    advice="delete this run's folder of the runs container: the file is then planned and sent again by itself where it "
    "is still in the inbox; else drop it again under its name; until then the feed's later files wait",
)
_RUN_GONE = Fault(
    message="is missing: nothing more becomes of this run",
    advice="nothing where a later file has taken its place; else drop the file again under its name",
)


@cache
def _receipts() -> TypeAdapter[Receipt]:
    return TypeAdapter(Receipt)
