"""The blobs: every path of design.md, section 3, is spelled here and nowhere else.

Synchronous on purpose: the asynchronous Azure SDK needs aiohttp, a second HTTP stack, and costs cold-start time for
nothing, since callers run these calls in threads.
"""

from __future__ import annotations

import gzip
import io
import logging
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

import orjson
from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import (
    BlobBlock,
    BlobLeaseClient,
    BlobProperties,
    BlobServiceClient,
    ContainerClient,
    ContentSettings,
    ExponentialRetry,
)
from pydantic import TypeAdapter, ValidationError

from connector.outside.settings import Settings
from connector.vocabulary.errors import (
    Conflict,
    ConnectorError,
    DropUnusable,
    Fault,
    Forbidden,
    Retryable,
    Stopped,
    StorageDown,
    Unusable,
)
from connector.vocabulary.lines import parse_plan_line, plan_line
from connector.vocabulary.run import Drop, PlannedRow, Receipt, Run, State

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

BLOCK = 4 * 1024 * 1024
LEASE_SECONDS = 15
"""The shortest lease that Blob Storage grants: a killed sender holds the others up no longer than this."""

UPLINK = "uplink.json"

SILENT = logging.getLogger("connector.outside.store.http")
"""For the SDK, which logs every URL at INFO: a blob's name is HR's choice, and may be a person's."""
SILENT.setLevel(logging.CRITICAL)
EXAMINATION = "doctor.json"

Container = Literal["inbox", "config", "runs", "summaries"]
"""The containers by what they are for; their names are settings."""

_RUNS: TypeAdapter[Run] = TypeAdapter(Run)
_RECEIPTS: TypeAdapter[Receipt] = TypeAdapter(Receipt)
_FEED_FILE = re.compile(r"feeds/([^/]+)\.ya?ml")
_SPOOL = re.compile(r"spool/(\d{6,})\.json$")


@dataclass(slots=True)
class RunEntry:
    """What a listing of the runs container shows of one run, without reading a blob."""

    feed: str
    id: str
    state: State | None = None
    spool: list[int] = field(default_factory=list)


class _Missing(Retryable):
    """404. Turned into None wherever a blob may be absent."""


@contextmanager
def _storage(what: str) -> Iterator[None]:
    """Turns the SDK's exceptions into ours. Messages name the blob, never its content."""
    try:
        yield
    except ResourceModifiedError as error:
        raise Conflict(f"{what}: changed by another instance") from error
    except ResourceExistsError as error:
        raise Conflict(f"{what}: {_code(error)}") from error
    except ResourceNotFoundError as error:
        raise _Missing(f"{what}: is not there ({_code(error)})") from error
    except ClientAuthenticationError as error:
        raise StorageDown(f"{what}: no token for the storage account (is the identity assigned?)") from error
    except HttpResponseError as error:
        code = _code(error)
        if error.status_code in {409, 412}:
            raise Conflict(f"{what}: {code}") from error
        if error.status_code == 403:
            raise Forbidden(
                f"{what}: the storage account answered 403 {code}",
                advice="give the connector's identity its role on this container (infra/README.md)",
            ) from error
        raise StorageDown(f"{what}: the storage account answered {error.status_code} {code}") from error
    except AzureError as error:
        raise StorageDown(f"{what}: the storage account could not be reached ({type(error).__name__})") from error


def _code(error: HttpResponseError) -> str:
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _etag(value: str | None) -> str:
    return (value or "").strip('"')


class BlobFile(io.RawIOBase):
    """A blob as a seekable file, read by ranges that are pinned to one ETag.

    Memory is one block, whatever the blob's size; a reader that needs to seek (ZIP, XLSX) needs no local disk.
    Raises DropUnusable when the blob was deleted or replaced meanwhile: an upload that replaces a drop is a new drop.
    """

    def __init__(self, container: ContainerClient, path: str, *, etag: str, size: int) -> None:
        super().__init__()
        self._blob = container.get_blob_client(path)
        self._path = path
        self._etag = etag
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        length = min(len(buffer), self._size - self._position)
        if length <= 0:
            return 0
        try:
            with _storage(f"inbox/{self._path}"):
                data = self._blob.download_blob(
                    offset=self._position,
                    length=length,
                    etag=self._etag,
                    match_condition=MatchConditions.IfNotModified,
                ).readall()
        except (Conflict, _Missing) as error:
            gone = Fault(
                message="the drop was deleted or replaced before it was read to its end",
                advice="nothing of it was sent; what replaced it is a drop of its own",
            )
            raise DropUnusable(self._path, [gone]) from error
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


class BlockWriter(io.RawIOBase):
    """Streams a block blob: whole only once `commit` was called, so that a crash leaves no half of it."""

    def __init__(self, container: ContainerClient, path: str, content_type: str) -> None:
        super().__init__()
        self._container = container
        self._blob = container.get_blob_client(path)
        self._path = path
        self._content_type = content_type
        self._buffer = bytearray()
        self._blocks: list[BlobBlock] = []
        # Two instances that write the same blob at once must not mix their uncommitted blocks.
        self._writer = uuid.uuid4().hex[:16]

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._buffer += data
        if len(self._buffer) >= BLOCK:
            self._stage()
        return len(data)

    def _stage(self) -> None:
        block = f"{self._writer}-{len(self._blocks):06d}"
        try:
            with _storage(self._path):
                self._blob.stage_block(block, bytes(self._buffer))
        except _Missing:
            _create(self._container)
            with _storage(self._path):
                self._blob.stage_block(block, bytes(self._buffer))
        self._blocks.append(BlobBlock(block))
        self._buffer.clear()

    def commit(self) -> None:
        if self._buffer or not self._blocks:
            self._stage()
        with _storage(self._path):
            self._blob.commit_block_list(
                self._blocks, content_settings=ContentSettings(content_type=self._content_type)
            )


class Lease:
    """A held blob lease. `id` goes with every write to the blob while it is held."""

    def __init__(self, client: Any, path: str) -> None:
        self._client = client
        self._path = path

    @property
    def id(self) -> str:
        return str(self._client.id)

    def renew(self) -> None:
        """Raises Conflict when the lease is lost."""
        with _storage(self._path):
            self._client.renew()

    def release(self) -> None:
        with _storage(self._path):
            self._client.release()


class Store:
    """Typed access to the four containers. Methods raise Retryable, Stopped and Conflict; what is not there is None."""

    def __init__(self, service: BlobServiceClient, settings: Settings) -> None:
        self._inbox = service.get_container_client(settings.inbox)
        self._config = service.get_container_client(settings.config)
        self._runs = service.get_container_client(settings.runs)
        self._summaries = service.get_container_client(settings.summaries)

    @classmethod
    def connect(
        cls, settings: Settings, credential: TokenCredential | None = None, *, retries: int = 4, **options: Any
    ) -> Store:
        """The account of the settings. `retries` and `options` go to the SDK's pipeline."""
        policy = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=retries, random_jitter_range=1)
        options = {"retry_policy": policy, "logging_enable": False, "logger": SILENT, **options}
        try:
            if settings.connection_string:
                service = BlobServiceClient.from_connection_string(settings.connection_string, **options)
            else:
                service = BlobServiceClient(settings.blob_service, credential=credential, **options)
        except ValueError:
            # Not from the error, which may repeat the key.
            raise Unusable("settings", [_NO_CONNECTION if settings.connection_string else _NO_SERVICE]) from None
        return cls(service, settings)

    # inbox and config: read only

    def drops(self, feed: str | None = None) -> Iterator[Drop]:
        """Every blob of the inbox that lies in a feed's folder (in the one given), in no particular order.

        A folder within it is among them where storage lists it as a blob: its name ends in "/".
        """
        for blob in _listing(self._inbox, f"{feed}/" if feed else ""):
            folder, _, name = blob.name.partition("/")
            if folder and name:
                if _is_folder(blob):
                    name = f"{name.rstrip('/')}/"
                yield Drop(feed=folder, name=name, etag=_etag(blob.etag), bytes=blob.size, landed=blob.last_modified)

    def drop(self, path: str) -> Drop | None:
        """The drop at `<feed>/<name>` as it is now."""
        feed, _, name = path.partition("/")
        try:
            with _storage(f"inbox/{path}"):
                blob = self._inbox.get_blob_client(path).get_blob_properties()
        except _Missing:
            return None
        if not name or _is_folder(blob):
            return None
        return Drop(feed=feed, name=name, etag=_etag(blob.etag), bytes=blob.size, landed=blob.last_modified)

    def open_drop(self, drop: Drop) -> io.BufferedReader:
        """The drop's bytes, from the start; may be called again for another pass."""
        raw = BlobFile(self._inbox, drop.path, etag=drop.etag, size=drop.bytes)
        return io.BufferedReader(raw, BLOCK)

    def feed_file(self, feed: str) -> tuple[bytes, str] | None:
        """`config/feeds/<feed>.yaml` (or `.yml`) and its ETag."""
        for suffix in ("yaml", "yml"):
            found = self._read(self._config, f"feeds/{feed}.{suffix}")
            if found is not None:
                return found
        return None

    def feed_files(self) -> dict[str, tuple[str, datetime]]:
        """Every feed that has a feed file: the file's ETag, and when it was last written."""
        found: dict[str, tuple[str, datetime]] = {}
        for blob in _listing(self._config, "feeds/"):
            # `.yaml` sorts before `.yml`, and is the one that `feed_file` takes of the two.
            if match := _FEED_FILE.fullmatch(blob.name):
                found.setdefault(match[1], (_etag(blob.etag), blob.last_modified))
        return found

    def config_file(self, path: str) -> bytes | None:
        """Any other file of the config container, such as a lookup table beside the feed file."""
        found = self._read(self._config, path)
        return None if found is None else found[0]

    # runs

    def overview(self) -> dict[tuple[str, str], RunEntry]:
        """Every run by (feed, id), from listings alone."""
        entries: dict[tuple[str, str], RunEntry] = {}
        for blob in _listing(self._runs):
            parts = blob.name.split("/", 2)
            if len(parts) < 3:
                continue
            feed, run, rest = parts
            entry = entries.get((feed, run)) or entries.setdefault((feed, run), RunEntry(feed, run))
            if rest == "run.json":
                entry.state = _state((blob.metadata or {}).get("state"))
            elif match := _SPOOL.match(rest):
                entry.spool.append(int(match[1]))
        return {key: entry for key, entry in entries.items() if entry.state}

    def run(self, feed: str, run: str) -> tuple[Run, str] | None:
        """The run's state and its ETag for the next `save_run`."""
        found = self._read(self._runs, f"{feed}/{run}/run.json")
        if found is None:
            return None
        data, etag = found
        try:
            return _RUNS.validate_json(data), etag
        except ValidationError:
            damaged = Fault(message="is not a run's state", advice="delete it: the run is then planned again")
            raise Unusable(f"runs/{feed}/{run}/run.json", [damaged]) from None

    def create_run(self, run: Run) -> bool:
        """False when it exists already: the same event came before."""
        try:
            self._write_run(run, match_condition=MatchConditions.IfMissing)
        except Conflict:
            return False
        return True

    def save_run(self, run: Run, etag: str, lease: Lease | None = None) -> str:
        """Compare-and-swap; gives the new ETag. Raises Conflict when another instance was faster."""
        options: dict[str, Any] = {"lease": lease.id} if lease else {}
        return self._write_run(run, etag=etag, match_condition=MatchConditions.IfNotModified, **options)

    def _write_run(self, run: Run, **condition: Any) -> str:
        return self._write(
            self._runs,
            f"{run.feed}/{run.id}/run.json",
            _RUNS.dump_json(run, indent=1),
            "application/json",
            overwrite=condition.get("match_condition") is not MatchConditions.IfMissing,
            # So that a listing shows every run's state without a read for each.
            metadata={"state": run.state.value},
            **condition,
        )

    def lease_run(self, drop: Drop) -> Lease:
        """Holds the drop's run against other planners. Raises Conflict when another instance has it."""
        return self._lease(f"{drop.feed}/{drop.run_id}/run.json")

    def _lease(self, path: str) -> Lease:
        client = BlobLeaseClient(self._runs.get_blob_client(path))
        with _storage(f"runs/{path}"):
            client.acquire(lease_duration=LEASE_SECONDS)
        return Lease(client, f"runs/{path}")

    @contextmanager
    def write_plan(self, run: Run) -> Iterator[PlanWriter]:
        """Committed when the block ends without an exception."""
        raw = self._writer(self._runs, f"{run.feed}/{run.id}/plan.jsonl.gz", "application/gzip")
        # mtime=0: the same plan gives the same bytes.
        with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=5, mtime=0) as packed:
            yield PlanWriter(packed)
        raw.commit()

    def read_plan(self, run: Run) -> Iterator[PlannedRow]:
        """The plan's lines, streamed; none when there is no plan yet."""
        path = f"{run.feed}/{run.id}/plan.jsonl.gz"
        try:
            with _storage(f"runs/{path}"):
                properties = self._runs.get_blob_client(path).get_blob_properties()
        except _Missing:
            return
        raw = BlobFile(self._runs, path, etag=_etag(properties.etag), size=properties.size)
        with gzip.GzipFile(fileobj=io.BufferedReader(raw, BLOCK)) as lines:
            for line in lines:
                yield parse_plan_line(line)

    # the spool: bodies still to be sent, and what is known of each

    def put_request(self, run: Run, number: int, body: bytes) -> None:
        self._write(self._runs, _spool_path(run, number), body, "application/scim+json", overwrite=True)

    def request(self, run: Run, number: int) -> bytes | None:
        found = self._read(self._runs, _spool_path(run, number))
        return None if found is None else found[0]

    def delete_request(self, run: Run, number: int) -> None:
        """Fine when it is gone already."""
        with suppress(_Missing), _storage(f"runs/{_spool_path(run, number)}"):
            self._runs.delete_blob(_spool_path(run, number))

    def spooled(self, run: Run) -> list[int]:
        """The numbers of the requests that are in the spool, ascending."""
        prefix = f"{run.feed}/{run.id}/"
        names = [blob.name for blob in _listing(self._runs, f"{prefix}spool/")]
        return sorted(int(m[1]) for name in names if (m := _SPOOL.match(name[len(prefix) :])))

    def put_requests_index(self, run: Run, index: Iterable[tuple[int, str]]) -> None:
        """For every bulk request of the plan, in order: how many people it has, and its body's digest."""
        self._write(
            self._runs,
            f"{run.feed}/{run.id}/requests.json",
            orjson.dumps(list(index)),
            "application/json",
            overwrite=True,
        )

    def requests_index(self, run: Run) -> list[tuple[int, str]]:
        found = self._read(self._runs, f"{run.feed}/{run.id}/requests.json")
        return [] if found is None else [(people, digest) for people, digest in orjson.loads(found[0])]

    def append_receipt(self, run: Run, receipt: Receipt) -> None:
        """Durable before the spool blob is deleted, so that what was sent is known whatever crashes."""
        path = f"{run.feed}/{run.id}/receipts.jsonl"
        blob = self._runs.get_blob_client(path)
        line = _RECEIPTS.dump_json(receipt) + b"\n"
        try:
            with _storage(f"runs/{path}"):
                blob.append_block(line)
        except _Missing:
            with suppress(Conflict), _storage(f"runs/{path}"):
                blob.create_append_blob(match_condition=MatchConditions.IfMissing)
            with _storage(f"runs/{path}"):
                blob.append_block(line)

    def receipts(self, run: Run, *, unfinished: bool = False) -> dict[int, Receipt]:
        """By request number, with the `unfinished` too if asked. A line that a retried call wrote twice counts once."""
        found = self._read(self._runs, f"{run.feed}/{run.id}/receipts.jsonl")
        if found is None:
            return {}
        receipts = (_RECEIPTS.validate_json(line) for line in found[0].splitlines())
        last = {receipt.request: receipt for receipt in receipts}
        return {number: receipt for number, receipt in last.items() if unfinished or receipt.final}

    def events(self, run: Run) -> bytes:
        """The log events kept of this run's people, as JSON Lines."""
        found = self._read(self._runs, f"{run.feed}/{run.id}/events.jsonl.gz")
        return b"" if found is None else gzip.decompress(found[0])

    def put_events(self, run: Run, lines: bytes) -> None:
        path = f"{run.feed}/{run.id}/events.jsonl.gz"
        self._write(self._runs, path, gzip.compress(lines, 5, mtime=0), "application/gzip", overwrite=True)

    # the uplink's ledger and lease

    def lease_uplink(self) -> Lease:
        """The tenant-wide lease of the only sender. Raises Conflict when another instance has it."""
        try:
            return self._lease(UPLINK)
        except _Missing:
            with suppress(Conflict):
                self._write(
                    self._runs,
                    UPLINK,
                    b"{}",
                    "application/json",
                    overwrite=False,
                    match_condition=MatchConditions.IfMissing,
                )
            return self._lease(UPLINK)

    def ledger(self) -> tuple[bytes, float]:
        """`uplink.json`, and its age in seconds by the storage account's own clock; 0 where that is not known."""
        times: dict[str, datetime] = {}

        def note(response: Any) -> None:
            for header in ("Date", "Last-Modified"):
                if value := response.http_response.headers.get(header):
                    times[header] = parsedate_to_datetime(value)

        with _storage(f"runs/{UPLINK}"):
            data = self._runs.get_blob_client(UPLINK).download_blob(raw_response_hook=note).readall()
        # The SDK forgets the hook when a connection breaks and it tries again.
        if len(times) < 2:
            return data, 0.0
        return data, max(0.0, (times["Date"] - times["Last-Modified"]).total_seconds())

    def put_ledger(self, data: bytes, lease: Lease) -> None:
        """Raises Conflict when the lease was lost."""
        self._write(self._runs, UPLINK, data, "application/json", overwrite=True, lease=lease.id)

    # summaries

    def summary(self, feed: str, name: str) -> tuple[bytes, str] | None:
        return self._read(self._summaries, f"{feed}/{name}")

    def put_summary(self, feed: str, name: str, data: bytes, content_type: str, *, etag: str | None = None) -> None:
        """Overwrites; with `etag`, only that version ("" for: only where there is none). Raises Conflict."""
        condition: dict[str, Any] = {}
        if etag:
            condition = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        elif etag is not None:
            condition = {"match_condition": MatchConditions.IfMissing}
        self._write(self._summaries, f"{feed}/{name}", data, content_type, overwrite=etag != "", **condition)

    def write_summary(self, feed: str, name: str, parts: Iterable[str], content_type: str) -> None:
        """Streams a long text."""
        writer = self._writer(self._summaries, f"{feed}/{name}", content_type)
        for part in parts:
            writer.write(part.encode())
        writer.commit()

    # what the doctor tries (doctor.py): each permission by using it as the connector does, on blobs of its own

    def date(self) -> str:
        """The Date header of an answer of the storage account; a refusal has one too. Raises StorageDown."""
        dates: list[str] = []

        def note(response: Any) -> None:
            dates.append(response.http_response.headers.get("Date", ""))

        with suppress(_Missing, Forbidden), _storage("the storage account"):
            self._inbox.get_container_properties(raw_response_hook=note)
        return dates[-1] if dates else ""

    def try_reading(self, name: Container) -> bool:
        """Lists, and reads one blob's properties, which needs the same permission as its content does.

        False when the container is not there. Raises Forbidden and Retryable.
        """
        container = self._container(name)
        try:
            with _storage(f"listing {container.container_name}"):
                first = next(iter(container.list_blobs(results_per_page=1)), None)
        except _Missing:
            return False
        # Who may not read gets 403 for a blob that is not there as well.
        blob = container.get_blob_client(first.name if first else _probe())
        with suppress(_Missing), _storage(f"reading in {container.container_name}"):
            blob.get_blob_properties()
        return True

    def may_write(self, name: Container) -> bool:
        """Whether a blob could be written. None is: the write is for a version of a blob that is not there."""
        container = self._container(name)
        blob = container.get_blob_client(_probe())
        try:
            with _storage(f"writing to {container.container_name}"):
                blob.upload_blob(b"", overwrite=True, etag="0x0", match_condition=MatchConditions.IfNotModified)
        except Forbidden:
            return False
        except (Conflict, _Missing):
            return True
        with _storage(f"deleting in {container.container_name}"):
            blob.delete_blob()
        return True

    def try_runs(self) -> None:
        """Creates, swaps, leases, appends and deletes. Raises Forbidden and Retryable.

        Raises Stopped for a storage service that lets two instances have what one may have.
        """
        name = self._runs.container_name
        state, receipts = _probe(), _probe()
        try:
            first = self._write(
                self._runs,
                state,
                b"{}",
                "application/json",
                overwrite=False,
                match_condition=MatchConditions.IfMissing,
            )
            self._swap(state, first)
            self._must_conflict(lambda: self._swap(state, first), "a compare-and-swap with an old ETag was accepted")
            lease = self._lease(state)
            try:
                self._must_conflict(lambda: self._lease(state).release(), "a lease was granted twice")
            finally:
                lease.release()
            log = self._runs.get_blob_client(receipts)
            with _storage(f"appending in {name}"):
                log.create_append_blob(match_condition=MatchConditions.IfMissing)
                log.append_block(b"\n")
            for path in (receipts, state):
                with _storage(f"deleting in {name}"):
                    self._runs.delete_blob(path)
        except BaseException:
            for path in (receipts, state):
                with suppress(ConnectorError), _storage(name):
                    self._runs.delete_blob(path)
            raise

    def _swap(self, path: str, etag: str) -> None:
        condition: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        self._write(self._runs, path, b"{ }", "application/json", overwrite=True, **condition)

    def _must_conflict(self, attempt: Callable[[], object], otherwise: str) -> None:
        try:
            attempt()
        except Conflict:
            return
        raise Stopped(
            f"{self._runs.container_name}: {otherwise}",
            advice="use Azure Blob Storage or Azurite: nothing else keeps two instances from sending the same twice",
        )

    def try_summaries(self) -> None:
        """Creates, reads and deletes. Raises Forbidden and Retryable."""
        path, name = _probe(), self._summaries.container_name
        self._write(self._summaries, path, b"{}", "application/json", overwrite=True)
        try:
            self._read(self._summaries, path)
        finally:
            with suppress(_Missing), _storage(f"deleting in {name}"):
                self._summaries.delete_blob(path)

    def examination(self) -> bytes | None:
        """What the app found when it examined itself: `summaries/doctor.json`."""
        found = self._read(self._summaries, EXAMINATION)
        return None if found is None else found[0]

    def put_examination(self, data: bytes) -> None:
        self._write(self._summaries, EXAMINATION, data, "application/json", overwrite=True)

    def _container(self, name: Container) -> ContainerClient:
        containers = {"inbox": self._inbox, "config": self._config, "runs": self._runs, "summaries": self._summaries}
        return containers[name]

    # primitives

    def _read(self, container: ContainerClient, path: str) -> tuple[bytes, str] | None:
        try:
            with _storage(f"{container.container_name}/{path}"):
                stream = container.get_blob_client(path).download_blob()
                return stream.readall(), _etag(stream.properties.etag)
        except _Missing:
            return None

    def _write(
        self,
        container: ContainerClient,
        path: str,
        data: bytes,
        content_type: str,
        *,
        overwrite: bool,
        **options: Any,
    ) -> str:
        blob = container.get_blob_client(path)
        options = {"overwrite": overwrite, "content_settings": ContentSettings(content_type=content_type), **options}
        try:
            with _storage(f"{container.container_name}/{path}"):
                answer = blob.upload_blob(data, **options)
        except _Missing:
            _create(container)
            with _storage(f"{container.container_name}/{path}"):
                answer = blob.upload_blob(data, **options)
        return _etag(answer["etag"])

    def _writer(self, container: ContainerClient, path: str, content_type: str) -> BlockWriter:
        return BlockWriter(container, path, content_type)


class PlanWriter:
    """Takes a plan's rows one by one."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream

    def add(self, row: PlannedRow) -> None:
        self._stream.write(plan_line(row))


_NO_CONNECTION = Fault(
    message="the setting HR_STORAGE is no connection string",
    advice="copy it whole, as Azurite or the portal shows it",
)
_NO_SERVICE = Fault(
    message="the setting HR_STORAGE__blobServiceUri is no blob endpoint",
    advice="such as https://ACCOUNT.blob.core.windows.net",
)


def _create(container: ContainerClient) -> None:
    """In Azure the deployment makes the containers; on a developer's machine nobody did."""
    with suppress(Conflict), _storage(container.container_name):
        container.create_container()


def _listing(container: ContainerClient, prefix: str = "") -> Iterator[BlobProperties]:
    """The container's blobs with their metadata; none where there is no container yet."""
    with suppress(_Missing), _storage(container.container_name):
        yield from container.list_blobs(name_starts_with=prefix or None, include=["metadata"])


def _is_folder(blob: BlobProperties) -> bool:
    """With a hierarchical namespace, folders are listed as empty blobs that say so."""
    return (blob.metadata or {}).get("hdi_isfolder") == "true"


def _probe() -> str:
    """A blob's name that nobody else has, in no feed's folder: neither a drop nor a run."""
    return f"doctor-{uuid.uuid4().hex}"


def _spool_path(run: Run, number: int) -> str:
    return f"{run.feed}/{run.id}/spool/{number:06d}.json"


def _state(text: str | None) -> State | None:
    try:
        return State(text) if text else None
    except ValueError:
        return None
