"""The account in memory answers as Azurite does."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, BlobClient, BlobLeaseClient, BlobServiceClient

from connector.sandbox.servers import Azurite, connection_string
from tests.chaos.blob_account import ACCOUNT_URL, BlobAccount
from tests.chaos.host import StorageTransport


def outcome(act: Callable[[], Any]) -> str:
    """What came of a call: its result, or the service's error code."""
    try:
        return str(act())
    except HttpResponseError as error:
        code = getattr(error, "error_code", None)
        return f"{error.status_code} {getattr(code, 'value', code)}"


def observed(service: BlobServiceClient, name: str) -> list[tuple[str, str]]:
    """Everything that the connector does with blobs, and what it relies on being refused."""
    found: list[tuple[str, str]] = []

    def see(what: str, act: Callable[[], Any]) -> None:
        found.append((what, outcome(act)))

    def write(blob: BlobClient, data: bytes, **options: Any) -> str:
        blob.upload_blob(data, **{"overwrite": True, **options})
        return "written"

    def done(act: Callable[[], Any]) -> Callable[[], str]:
        def acted() -> str:
            act()
            return "done"

        return acted

    container = service.get_container_client(name)
    blob, other = container.get_blob_client("a/b.json"), container.get_blob_client("a/c.log")
    see("write without container", lambda: write(blob, b"1"))
    see("list without container", lambda: list(container.list_blobs()))
    see("create container", done(container.create_container))
    see("create container again", done(container.create_container))
    see("read what is not there", lambda: blob.download_blob().readall())
    see("properties of what is not there", blob.get_blob_properties)
    see("delete what is not there", done(lambda: container.delete_blob("a/b.json")))
    missing: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}
    see("write if missing", lambda: write(blob, b"12345", overwrite=False, metadata={"state": "x"}, **missing))
    see("write if missing again", lambda: write(blob, b"2", overwrite=False, **missing))
    etag = blob.get_blob_properties().etag
    same: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    see("read this version", lambda: blob.download_blob(**same).readall())
    see("read a part", lambda: blob.download_blob(offset=1, length=3, **same).readall())
    see("read past the end", lambda: blob.download_blob(offset=9, length=3).readall())
    see("swap", lambda: write(blob, b"123", metadata={"state": "y"}, **same))
    see("swap with an old version", lambda: write(blob, b"4", **same))
    see("read an old version", lambda: blob.download_blob(**same).readall())
    see("swap what is not there", lambda: write(other, b"4", **same))
    listed = [(b.name, b.size, b.metadata, b.etag == "") for b in container.list_blobs("a/", include=["metadata"])]
    found.append(("list", str(listed)))
    archive: Any = {"standard_blob_tier": "Archive"}
    cold = container.get_blob_client("cold")
    see("write what is archived", lambda: write(cold, b"ice"))
    see("archive", done(lambda: cold.set_standard_blob_tier(**archive)))
    see("read what is archived", lambda: cold.download_blob().readall())
    see("ask what is archived", lambda: cold.get_blob_properties().blob_tier)
    see("bring it online", done(lambda: cold.set_standard_blob_tier("Hot")))
    see("read what is online", lambda: cold.download_blob().readall())
    see("list tiers", lambda: sorted((b.name, b.blob_tier) for b in container.list_blobs()))
    see("delete what was archived", done(lambda: container.delete_blob("cold")))
    see("empty blob", lambda: write(container.get_blob_client("empty"), b""))
    see("read an empty blob", lambda: container.get_blob_client("empty").download_blob().readall())

    blocks = container.get_blob_client("blocks")
    see("stage", done(lambda: blocks.stage_block("one", b"1")))
    see("stage another", done(lambda: blocks.stage_block("two", b"2")))
    see("uncommitted blocks are no blob", lambda: blocks.download_blob().readall())
    see("commit", done(lambda: blocks.commit_block_list([BlobBlock("two"), BlobBlock("one")])))
    see("read blocks", lambda: blocks.download_blob().readall())
    see("commit what is not staged", done(lambda: blocks.commit_block_list([BlobBlock("six")])))

    see("append to what is not there", done(lambda: other.append_block(b"x")))
    see("create append blob", done(lambda: other.create_append_blob(match_condition=MatchConditions.IfMissing)))
    see("create it again", done(lambda: other.create_append_blob(match_condition=MatchConditions.IfMissing)))
    see("append", done(lambda: other.append_block(b"x\n")))
    see("append more", done(lambda: other.append_block(b"y\n")))
    see("read what was appended", lambda: other.download_blob().readall())

    first, second = BlobLeaseClient(blob), BlobLeaseClient(blob)
    before = blob.get_blob_properties().etag
    see("acquire", done(lambda: first.acquire(lease_duration=60)))
    found.append(("a lease is no new version", str(blob.get_blob_properties().etag == before)))
    see("acquire twice", done(lambda: second.acquire(lease_duration=60)))
    see("write without the lease", lambda: write(blob, b"5"))
    see("write with another lease", lambda: write(blob, b"5", lease=str(uuid.UUID(int=5))))
    see("write with the lease", lambda: write(blob, b"5", lease=first))
    see("delete without the lease", done(lambda: container.delete_blob("a/b.json")))
    see("renew", done(first.renew))
    see("release another lease", done(second.release))
    see("break", done(lambda: BlobLeaseClient(blob).break_lease(0)))
    see("renew what is broken", done(first.renew))
    see("write with a broken lease", lambda: write(blob, b"6", lease=first))
    see("acquire after the break", done(lambda: second.acquire(lease_duration=60)))
    see("renew after another has it", done(first.renew))
    see("write after another has it", lambda: write(blob, b"7", lease=first))
    see("release", done(second.release))
    see("write after the release", lambda: write(blob, b"8"))
    see("write with a released lease", lambda: write(blob, b"8", lease=second.id))
    see("delete", done(lambda: container.delete_blob("a/b.json")))
    see("lease of what is not there", done(lambda: BlobLeaseClient(blob).acquire(lease_duration=60)))
    return found


def test_the_account_in_memory_answers_as_azurite_does(azurite: Azurite) -> None:
    account = BlobAccount(lambda: datetime.now(UTC))
    memory = BlobServiceClient.from_connection_string(
        connection_string(ACCOUNT_URL, ACCOUNT_URL), transport=StorageTransport(account.handle)
    )
    real = BlobServiceClient.from_connection_string(azurite.connection_string)
    name = f"parity-{uuid.uuid4().hex[:12]}"
    assert observed(memory, name) == observed(real, name)


def test_a_lease_runs_out_by_the_accounts_clock_and_may_be_renewed_until_another_has_it() -> None:
    seconds = 0.0
    account = BlobAccount(lambda: datetime.fromtimestamp(1_800_000_000 + seconds, UTC))
    service = BlobServiceClient.from_connection_string(
        connection_string(ACCOUNT_URL, ACCOUNT_URL), transport=StorageTransport(account.handle)
    )
    service.create_container("runs")
    blob = service.get_blob_client("runs", "uplink.json")
    blob.upload_blob(b"{}")
    first, second = BlobLeaseClient(blob), BlobLeaseClient(blob)
    first.acquire(lease_duration=15)
    seconds = 14.9
    assert outcome(lambda: second.acquire(lease_duration=15)) == "409 LeaseAlreadyPresent"
    seconds = 15.0
    assert outcome(lambda: blob.upload_blob(b"1", overwrite=True, lease=first)) == "412 LeaseLost"
    first.renew()
    seconds = 30.0
    second.acquire(lease_duration=15)
    assert outcome(first.renew) == "409 LeaseIdMismatchWithLeaseOperation"
