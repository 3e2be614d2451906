"""Blobs by the SDK: its exceptions turned into ours, content and ETag in one call, streams, leases.

Synchronous on purpose: the asynchronous Azure SDK needs aiohttp, a second HTTP stack, and costs cold-start time for
nothing, since callers run these calls in threads.
"""

from __future__ import annotations

import io
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.storage.blob import (
    BlobBlock,
    BlobClient,
    BlobLeaseClient,
    BlobProperties,
    BlobServiceClient,
    ContainerClient,
    ContentSettings,
    ExponentialRetry,
)

from connector.outside import storage_codes as codes
from connector.outside.settings import Settings
from connector.vocabulary.errors import (
    BlobRefused,
    Conflict,
    ConnectorError,
    DropRefused,
    DropUnusable,
    Fault,
    Forbidden,
    Retryable,
    Stopped,
    StorageDown,
    Unusable,
)

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


BLOCK = 4 * 1024 * 1024

WRITE_MARK = "write"
"""The metadata by which a conditional write knows its own work again."""

LEASE_SECONDS = 15
"""The shortest lease that Blob Storage grants: a killed sender holds the others up no longer than this."""


SILENT = logging.getLogger("connector.outside.blobs.http")
"""For the SDK, which logs every URL at INFO: a blob's name is HR's choice, and may be a person's."""
SILENT.setLevel(logging.CRITICAL)


def read_blob(container: ContainerClient, path: str) -> tuple[bytes, str] | None:
    """A blob's content and ETag; None where it is not there."""
    try:
        with storage_errors(f"{container.container_name}/{path}"):
            stream = container.get_blob_client(path).download_blob(decompress=False)
            return stream.readall(), plain_etag(stream.properties.etag)
    except Missing:
        return None


def write_blob(
    container: ContainerClient, path: str, data: bytes, content_type: str, *, overwrite: bool, **options: Any
) -> str:
    """Gives the new ETag. `options` go to the SDK: a condition, a lease. Raises Conflict.

    A conflict is read before it is believed. Where the answer to a write was lost, the SDK's own retry of it meets a
    condition that the write itself has made untrue; so a conditional write leaves a mark by which to know it.
    """
    mark = uuid.uuid4().hex
    # Where it may not overwrite, the SDK makes a condition of its own.
    conditional = "match_condition" in options or not overwrite
    if conditional:
        options["metadata"] = {**(options.get("metadata") or {}), WRITE_MARK: mark}
    blob = container.get_blob_client(path)
    name = f"{container.container_name}/{path}"
    options = {"overwrite": overwrite, "content_settings": ContentSettings(content_type=content_type), **options}
    try:
        try:
            with storage_errors(name):
                answer = blob.upload_blob(data, **options)
        except Missing:
            create_container(container)
            with storage_errors(name):
                answer = blob.upload_blob(data, **options)
    except Conflict:
        written = _written_as(blob, name, mark) if conditional else None
        if written is None:
            raise
        return written
    return plain_etag(answer["etag"])


def _written_as(blob: BlobClient, name: str, mark: str) -> str | None:
    """The ETag of the blob if this very write made it what it is."""
    with suppress(Missing), storage_errors(name):
        found = blob.get_blob_properties()
        if (found.metadata or {}).get(WRITE_MARK) == mark:
            return plain_etag(found.etag)
    return None


def lease_blob(container: ContainerClient, path: str) -> Lease:
    """Raises Conflict when another instance has it.

    The client proposes the lease's id, so that a retry whose first try had succeeded is granted its own lease again.
    """
    name = f"{container.container_name}/{path}"
    client = BlobLeaseClient(container.get_blob_client(path))
    with storage_errors(name):
        client.acquire(lease_duration=LEASE_SECONDS)
    return Lease(client, name)


def connect(
    settings: Settings, credential: TokenCredential | None = None, *, retries: int = 4, **options: Any
) -> BlobServiceClient:
    """The account of the settings. `retries` and `options` go to the SDK's pipeline. Raises Unusable."""
    policy = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=retries, random_jitter_range=1)
    options = {"retry_policy": policy, "logging_enable": False, "logger": SILENT, **options}
    try:
        if settings.connection_string:
            return BlobServiceClient.from_connection_string(settings.connection_string, **options)
        return BlobServiceClient(settings.blob_service, credential=credential, **options)
    except ValueError:
        # Not from the error, which may repeat the key.
        raise Unusable("settings", [_NO_CONNECTION if settings.connection_string else _NO_SERVICE]) from None


class Missing(Retryable):
    """404. Turned into None wherever a blob may be absent."""


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turns the SDK's exceptions into ours. Messages name the blob, never its content.

    StorageDown is of the account alone. What storage refuses about one blob is BlobRefused; who may not is Forbidden.
    """
    try:
        yield
    except ClientAuthenticationError as error:
        if not _code(error):
            # Of azure-identity, before storage was asked; its response, where it has one, is of the token's issuer.
            raise StorageDown(f"{what}: no token for the storage account (is the identity assigned?)") from error
        raise _answered(what, error) from error
    except HttpResponseError as error:
        raise _answered(what, error) from error
    except AzureError as error:
        raise StorageDown(f"{what}: the storage account could not be reached ({type(error).__name__})") from error


def _answered(what: str, error: HttpResponseError) -> ConnectorError:
    """What an answer of storage means, by its error code before its status."""
    status, code = error.status_code or 0, _code(error)
    if code in codes.SOMEBODY_ELSE or (status == 412 and code not in codes.ONE_BLOB):
        return Conflict(f"{what}: changed or held by another instance ({code or status})")
    if status < 400 or status >= 500 or status in {408, 429} or code in codes.ACCOUNT_BUSY:
        return StorageDown(f"{what}: the storage account answered {status} {code}".rstrip())
    if status == 401:
        return StorageDown(f"{what}: the storage account does not accept the identity's token ({code or status})")
    if code in codes.ACCOUNT_REFUSES:
        return Stopped(f"{what}: the storage account answered {status} {code}", advice=codes.ACCOUNT_REFUSES[code])
    if status == 404:
        return Missing(f"{what}: is not there ({code})")
    if status == 403:
        said, advice = _clock_is_off(error) or codes.FORBIDDEN.get(code, codes.OTHER_403)
        text = f"{what}: the storage account answered 403 {code}".rstrip()
        return Forbidden(f"{text}; {said}" if said else text, advice=advice)
    said, advice = codes.ONE_BLOB.get(code, (f"storage answered {status}", codes.OTHER_BLOB))
    return BlobRefused(f"{what}: {said} ({code})" if code else f"{what}: {said}", advice=advice)


def _clock_is_off(error: HttpResponseError) -> tuple[str, str] | None:
    """What to say where the request's own time is too far from the account's for it to be accepted."""
    response: Any = error.response
    try:
        theirs = parsedate_to_datetime(response.headers["Date"])
        ours = parsedate_to_datetime(response.request.headers["x-ms-date"])
        off = ours - theirs
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    if abs(off) < codes.CLOCK_TOLERANCE:
        return None
    said, advice = codes.CLOCK
    minutes = round(abs(off).total_seconds() / 60)
    return said.format(off=f"{minutes} minutes", way="ahead of" if off > timedelta() else "behind"), advice


def _code(error: HttpResponseError) -> str:
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def plain_etag(value: str | None) -> str:
    return (value or "").strip('"')


class BlobFile(io.RawIOBase):
    """A blob as a seekable file, read by ranges that are pinned to one ETag; its bytes, whatever its Content-Encoding.

    Memory is one block, whatever the blob's size; a reader that needs to seek (ZIP, XLSX) needs no local disk.
    Raises Missing and Conflict where it was deleted or replaced meanwhile, and BlobRefused.
    """

    def __init__(self, container: ContainerClient, path: str, *, etag: str, size: int) -> None:
        super().__init__()
        self._blob = container.get_blob_client(path)
        self._name = f"{container.container_name}/{path}"
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
        data = self._range(length)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _range(self, length: int) -> bytes:
        with storage_errors(self._name):
            return self._blob.download_blob(
                offset=self._position,
                length=length,
                etag=self._etag,
                match_condition=MatchConditions.IfNotModified,
                # `az storage blob upload --content-encoding gzip` says it of bytes that may be anything.
                decompress=False,
            ).readall()


class DropFile(BlobFile):
    """A drop's bytes. Raises DropUnusable where they are gone for good, DropRefused where they may come back."""

    def __init__(self, container: ContainerClient, path: str, *, etag: str, size: int) -> None:
        super().__init__(container, path, etag=etag, size=size)
        self._path = path

    def _range(self, length: int) -> bytes:
        try:
            return super()._range(length)
        except BlobRefused as error:
            raise DropRefused(error.message, advice=error.advice) from error
        except (Missing, Conflict) as error:
            raise DropUnusable(self._path, [_REPLACED if self._is_there() else _DELETED]) from error

    def _is_there(self) -> bool:
        # A blob that is gone fails a condition on its ETag with 412 as well.
        with suppress(Missing), storage_errors(self._name):
            self._blob.get_blob_properties()
            return True
        return False


class BlockWriter(io.RawIOBase):
    """Streams a block blob: whole only once `commit` was called, so that a crash leaves no half of it."""

    def __init__(self, container: ContainerClient, path: str, content_type: str) -> None:
        super().__init__()
        self._container = container
        self._blob = container.get_blob_client(path)
        self._path = f"{container.container_name}/{path}"
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
            with storage_errors(self._path):
                self._blob.stage_block(block, bytes(self._buffer))
        except Missing:
            create_container(self._container)
            with storage_errors(self._path):
                self._blob.stage_block(block, bytes(self._buffer))
        self._blocks.append(BlobBlock(block))
        self._buffer.clear()

    def commit(self) -> None:
        if self._buffer or not self._blocks:
            self._stage()
        with storage_errors(self._path):
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
        with storage_errors(self._path):
            self._client.renew()

    def release(self) -> None:
        """Fine when it is lost already, as it is to the retry of a release whose answer was lost."""
        with suppress(Conflict), storage_errors(self._path):
            self._client.release()


_DELETED = Fault(
    message="the drop was deleted before it was read to its end",
    advice="nothing of it was sent; put it back, or drop the next one",
)
_REPLACED = Fault(
    message="the drop was replaced before it was read to its end",
    advice="nothing of it was sent; what replaced it is a drop of its own",
)
_NO_CONNECTION = Fault(
    message="the setting HR_STORAGE is no connection string",
    advice="copy it whole, as Azurite or the portal shows it",
)
_NO_SERVICE = Fault(
    message="the setting HR_STORAGE__blobServiceUri is no blob endpoint",
    advice="such as https://ACCOUNT.blob.core.windows.net",
)


def create_container(container: ContainerClient) -> None:
    """In Azure the deployment makes the containers; on a developer's machine nobody did."""
    with suppress(Conflict), storage_errors(container.container_name):
        container.create_container()


def list_blobs(
    container: ContainerClient, prefix: str = "", *, include: Sequence[str] = ("metadata",), **options: Any
) -> Iterator[BlobProperties]:
    """The container's blobs with their metadata; none where there is no container yet. `options` go to the SDK."""
    with suppress(Missing), storage_errors(container.container_name):
        yield from container.list_blobs(name_starts_with=prefix or None, include=list(include), **options)


def is_folder(blob: BlobProperties) -> bool:
    """With a hierarchical namespace, folders are listed as empty blobs that say so, as do those that tools make."""
    said = {key.lower(): value for key, value in (blob.metadata or {}).items()}
    return said.get("hdi_isfolder", "").lower() == "true"


class Answered:
    """For the SDK's `raw_response_hook`: the headers of the last answer.

    None where the SDK has forgotten the hook, as it does when a connection breaks and it tries again.
    """

    def __init__(self) -> None:
        self.headers: Mapping[str, str] = {}

    def __call__(self, response: Any) -> None:
        self.headers = {name.lower(): value for name, value in response.http_response.headers.items()}

    @property
    def date(self) -> datetime | None:
        """What time it was by the storage account's clock."""
        with suppress(KeyError, TypeError, ValueError):
            return parsedate_to_datetime(self.headers["date"]).astimezone(UTC)
        return None

    @property
    def of_hierarchical_namespace(self) -> bool:
        """Only there blobs have owners and permissions ("Get Blob Properties")."""
        return not self.headers.keys().isdisjoint({"x-ms-resource-type", "x-ms-owner", "x-ms-permissions"})
