"""The inbox: what HR has put there, whatever it is called and however it came. Read only."""

from __future__ import annotations

import io
from collections.abc import Iterator

from azure.storage.blob import BlobProperties, BlobType, ContainerClient

from connector.outside.blobs import (
    BLOCK,
    Answered,
    DropFile,
    Missing,
    is_folder,
    list_blobs,
    plain_etag,
    storage_errors,
)
from connector.vocabulary.errors import BlobRefused, Stopped
from connector.vocabulary.inbox import InboxBlob, readable
from connector.vocabulary.run import Drop, Obstacle

_INCLUDE = ("metadata", "copy")


class Inbox:
    """The container of the drops."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container
        self._hierarchical: bool | None = None

    def blobs(self, feed: str | None = None) -> Iterator[InboxBlob]:
        """Every blob (of the folder of the feed that is given), in no particular order.

        What lies in no folder that a feed can have is of the feed "". A folder within one is among them where storage
        lists it as a blob: its name ends in "/". A feed's own folder is not.
        """
        seen = Answered()
        prefix = f"{feed}/" if feed else ""
        for blob in list_blobs(self._container, prefix, include=_INCLUDE, raw_response_hook=seen):
            folder, slash, name = blob.name.partition("/")
            if not (slash and folder and readable(folder)):
                if not is_folder(blob):
                    yield _in_inbox("", blob.name, blob, seen)
            elif name:
                yield _in_inbox(folder, f"{name.rstrip('/')}/" if is_folder(blob) else name, blob, seen)

    def blob(self, path: str) -> InboxBlob | Obstacle | None:
        """The blob at `<feed>/<name>` as it is now; None when it is gone, the obstacle when it can never be a drop."""
        feed, slash, name = path.partition("/")
        if not feed or not slash:
            return Obstacle.NO_FEED
        if not readable(path):
            return Obstacle.NAME
        if not name:
            return Obstacle.FOLDER
        try:
            blob, seen = self._properties(path)
        except Missing:
            return None
        except BlobRefused:
            # Storage tells of what is archived, held or leased as well: only a name can it refuse here.
            return Obstacle.NAME
        return Obstacle.FOLDER if is_folder(blob) else _in_inbox(feed, name, blob, seen)

    def hierarchical(self, drop: Drop) -> bool:
        """Whether the account has a hierarchical namespace; asked until there is an answer, and then never again.

        Told by a drop's properties: the account's own are not for who may only read and write blobs. Where even they
        are refused it counts as one, which costs a file no more than ARRIVAL_TIME.
        """
        if self._hierarchical is None:
            try:
                self._properties(drop.path)
            except Missing:
                return True
            except Stopped:
                self._hierarchical = True
        return self._hierarchical is not False

    def open(self, drop: Drop) -> io.BufferedReader:
        """The drop's bytes, from the start; may be called again for another pass."""
        return io.BufferedReader(DropFile(self._container, drop.path, etag=drop.etag, size=drop.bytes), BLOCK)

    def _properties(self, path: str) -> tuple[BlobProperties, Answered]:
        seen = Answered()
        with storage_errors(f"inbox/{path}"):
            blob = self._container.get_blob_client(path).get_blob_properties(raw_response_hook=seen)
        if seen.headers:
            self._hierarchical = seen.of_hierarchical_namespace
        return blob, seen


def _in_inbox(feed: str, name: str, blob: BlobProperties, seen: Answered) -> InboxBlob:
    return InboxBlob(
        drop=Drop(feed=feed, name=name, etag=plain_etag(blob.etag), bytes=blob.size, landed=blob.last_modified),
        seen=seen.date,
        folder=is_folder(blob) or name.endswith("/"),
        grows=blob.blob_type not in {BlobType.BLOCKBLOB, None},
        copy=blob.copy.status or "",
        archived=blob.blob_tier == "Archive",
        rehydrating=bool(blob.archive_status),
    )
