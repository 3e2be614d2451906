"""Blobs by the SDK: its exceptions turned into ours, content and ETag in one call, streams, leases.

Synchronous on purpose: the asynchronous Azure SDK needs aiohttp, a second HTTP stack, and costs cold-start time for
nothing, since callers run these calls in threads.
"""

from __future__ import annotations

import io
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

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

from connector.outside.settings import Settings
from connector.vocabulary.errors import Conflict, DropUnusable, Fault, Forbidden, Retryable, StorageDown, Unusable

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


BLOCK = 4 * 1024 * 1024
LEASE_SECONDS = 15
"""The shortest lease that Blob Storage grants: a killed sender holds the others up no longer than this."""


SILENT = logging.getLogger("connector.outside.blobs.http")
"""For the SDK, which logs every URL at INFO: a blob's name is HR's choice, and may be a person's."""
SILENT.setLevel(logging.CRITICAL)


def read_blob(container: ContainerClient, path: str) -> tuple[bytes, str] | None:
    """A blob's content and ETag; None where it is not there."""
    try:
        with storage_errors(f"{container.container_name}/{path}"):
            stream = container.get_blob_client(path).download_blob()
            return stream.readall(), plain_etag(stream.properties.etag)
    except Missing:
        return None


def write_blob(
    container: ContainerClient, path: str, data: bytes, content_type: str, *, overwrite: bool, **options: Any
) -> str:
    """Gives the new ETag. `options` go to the SDK: a condition, a lease. Raises Conflict."""
    blob = container.get_blob_client(path)
    options = {"overwrite": overwrite, "content_settings": ContentSettings(content_type=content_type), **options}
    try:
        with storage_errors(f"{container.container_name}/{path}"):
            answer = blob.upload_blob(data, **options)
    except Missing:
        create_container(container)
        with storage_errors(f"{container.container_name}/{path}"):
            answer = blob.upload_blob(data, **options)
    return plain_etag(answer["etag"])


def lease_blob(container: ContainerClient, path: str) -> Lease:
    """Raises Conflict when another instance has it."""
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
    """Turns the SDK's exceptions into ours. Messages name the blob, never its content."""
    try:
        yield
    except ResourceModifiedError as error:
        raise Conflict(f"{what}: changed by another instance") from error
    except ResourceExistsError as error:
        raise Conflict(f"{what}: {_code(error)}") from error
    except ResourceNotFoundError as error:
        raise Missing(f"{what}: is not there ({_code(error)})") from error
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


def plain_etag(value: str | None) -> str:
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
            with storage_errors(f"inbox/{self._path}"):
                data = self._blob.download_blob(
                    offset=self._position,
                    length=length,
                    etag=self._etag,
                    match_condition=MatchConditions.IfNotModified,
                ).readall()
        except (Conflict, Missing) as error:
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
        with storage_errors(self._path):
            self._client.release()


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


def list_blobs(container: ContainerClient, prefix: str = "") -> Iterator[BlobProperties]:
    """The container's blobs with their metadata; none where there is no container yet."""
    with suppress(Missing), storage_errors(container.container_name):
        yield from container.list_blobs(name_starts_with=prefix or None, include=["metadata"])
