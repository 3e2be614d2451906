"""Proves each permission on storage by using it as the connector does, on blobs of its own: for the doctor."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.storage.blob import BlobServiceClient, ContainerClient

from connector.outside.blobs import Missing, lease_blob, read_blob, storage_errors, write_blob
from connector.outside.settings import Settings
from connector.outside.store import Container
from connector.vocabulary.errors import Conflict, ConnectorError, Forbidden, Stopped

if TYPE_CHECKING:
    pass


class StorageProbe:
    """Leaves nothing behind. Methods raise Forbidden, Stopped and Retryable."""

    def __init__(self, service: BlobServiceClient, settings: Settings) -> None:
        self._inbox = service.get_container_client(settings.inbox)
        self._config = service.get_container_client(settings.config)
        self._runs = service.get_container_client(settings.runs)
        self._summaries = service.get_container_client(settings.summaries)

    def date(self) -> str:
        """The Date header of an answer of the storage account; a refusal has one too. Raises StorageDown."""
        dates: list[str] = []

        def note(response: Any) -> None:
            dates.append(response.http_response.headers.get("Date", ""))

        with suppress(Missing, Forbidden), storage_errors("the storage account"):
            self._inbox.get_container_properties(raw_response_hook=note)
        return dates[-1] if dates else ""

    def try_reading(self, name: Container) -> bool:
        """Lists, and reads one blob's properties, which needs the same permission as its content does.

        False when the container is not there. Raises Forbidden and Retryable.
        """
        container = self._container(name)
        try:
            with storage_errors(f"listing {container.container_name}"):
                first = next(iter(container.list_blobs(results_per_page=1)), None)
        except Missing:
            return False
        # Who may not read gets 403 for a blob that is not there as well.
        blob = container.get_blob_client(first.name if first else _unused_name())
        with suppress(Missing), storage_errors(f"reading in {container.container_name}"):
            blob.get_blob_properties()
        return True

    def may_write(self, name: Container) -> bool:
        """Whether a blob could be written. None is: the write is for a version of a blob that is not there."""
        container = self._container(name)
        blob = container.get_blob_client(_unused_name())
        try:
            with storage_errors(f"writing to {container.container_name}"):
                blob.upload_blob(b"", overwrite=True, etag="0x0", match_condition=MatchConditions.IfNotModified)
        except Forbidden:
            return False
        except (Conflict, Missing):
            return True
        with storage_errors(f"deleting in {container.container_name}"):
            blob.delete_blob()
        return True

    def try_runs(self) -> None:
        """Creates, swaps, leases, appends and deletes. Raises Forbidden and Retryable.

        Raises Stopped for a storage service that lets two instances have what one may have.
        """
        name = self._runs.container_name
        state, receipts = _unused_name(), _unused_name()
        try:
            first = write_blob(
                self._runs,
                state,
                b"{}",
                "application/json",
                overwrite=False,
                match_condition=MatchConditions.IfMissing,
            )
            self._swap(state, first)
            self._must_conflict(lambda: self._swap(state, first), "a compare-and-swap with an old ETag was accepted")
            lease = lease_blob(self._runs, state)
            try:
                self._must_conflict(lambda: lease_blob(self._runs, state).release(), "a lease was granted twice")
            finally:
                lease.release()
            log = self._runs.get_blob_client(receipts)
            with storage_errors(f"appending in {name}"):
                log.create_append_blob(match_condition=MatchConditions.IfMissing)
                log.append_block(b"\n")
            for path in (receipts, state):
                with storage_errors(f"deleting in {name}"):
                    self._runs.delete_blob(path)
        except BaseException:
            for path in (receipts, state):
                with suppress(ConnectorError), storage_errors(name):
                    self._runs.delete_blob(path)
            raise

    def _swap(self, path: str, etag: str) -> None:
        condition: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        write_blob(self._runs, path, b"{ }", "application/json", overwrite=True, **condition)

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
        path, name = _unused_name(), self._summaries.container_name
        write_blob(self._summaries, path, b"{}", "application/json", overwrite=True)
        try:
            read_blob(self._summaries, path)
        finally:
            with suppress(Missing), storage_errors(f"deleting in {name}"):
                self._summaries.delete_blob(path)

    def _container(self, name: Container) -> ContainerClient:
        containers = {"inbox": self._inbox, "config": self._config, "runs": self._runs, "summaries": self._summaries}
        return containers[name]


def _unused_name() -> str:
    """A blob's name that nobody else has, in no feed's folder: neither a drop nor a run."""
    return f"doctor-{uuid.uuid4().hex}"
