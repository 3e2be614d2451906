"""Blobs by the real SDK: against Azurite, and against documented answers that Azurite cannot be brought to give."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.storage.blob import BlobServiceClient, ContainerClient, ContentSettings, ExponentialRetry

from connector.outside.blobs import (
    BlobFile,
    BlockWriter,
    DropFile,
    connect,
    lease_blob,
    list_blobs,
    read_blob,
    write_blob,
)
from connector.outside.settings import Settings
from connector.sandbox.faults import Action, Endpoint, Rule, Schedule
from connector.sandbox.proxy import FaultProxy
from connector.sandbox.servers import Azurite, connection_string
from connector.vocabulary.errors import (
    BlobRefused,
    Conflict,
    ConnectorError,
    DropRefused,
    DropUnusable,
    Forbidden,
    Stopped,
    StorageDown,
)
from tests.chaos.blob_account import ACCOUNT_URL, Answer
from tests.chaos.host import StorageTransport

ONCE: dict[str, Any] = {"retry_policy": ExponentialRetry(retry_total=0)}
AT_ONCE: dict[str, Any] = {
    "retry_policy": ExponentialRetry(initial_backoff=0, increment_base=0, random_jitter_range=0, retry_total=3)
}


def container_of(connection: str, name: str, **options: Any) -> ContainerClient:
    return connect(Settings.of({"HR_STORAGE": connection}), **options).get_container_client(name)


@pytest.fixture
def inbox(azurite: Azurite, containers: dict[str, str]) -> Iterator[ContainerClient]:
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        yield service.create_container(containers["INBOX_CONTAINER"])


def answering(status: int, code: str, headers: Mapping[str, str] | None = None) -> ContainerClient:
    """A container of an account that gives every request this answer."""

    def answer(*_: Any) -> Answer:
        said = {"x-ms-error-code": code} if code else {}
        return Answer(status=status, headers={"Content-Length": "0", **said, **(headers or {})})

    return container_of(
        connection_string(ACCOUNT_URL, ACCOUNT_URL), "inbox", transport=StorageTransport(answer), **ONCE
    )


# bytes


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_content_encoding_changes_no_byte_of_what_is_read(inbox: ContainerClient, packed: bool) -> None:
    text = b"Id,Name\n" + b"".join(b"%d,Ann\n" % number for number in range(500))
    data = gzip.compress(text, mtime=0) if packed else text
    blob = inbox.get_blob_client("people/today.csv")
    blob.upload_blob(data, content_settings=ContentSettings(content_encoding="gzip"))
    properties = blob.get_blob_properties()
    etag = properties.etag.strip('"')

    file = BlobFile(inbox, "people/today.csv", etag=etag, size=properties.size)
    file.seek(5)
    middle = file.read(100)
    file.seek(0)

    assert (middle, file.readall(), read_blob(inbox, "people/today.csv")) == (data[5:105], data, (data, etag))


# answers


ROLE = "give the connector's identity its role on this container (infra/README.md)"


@pytest.mark.parametrize(
    ("status", "code", "kind", "message", "advice"),
    [
        # the account
        (500, "InternalError", StorageDown, "the storage account answered 500 InternalError", ""),
        (503, "ServerBusy", StorageDown, "the storage account answered 503 ServerBusy", ""),
        (429, "", StorageDown, "the storage account answered 429", ""),
        (409, "ContainerBeingDeleted", StorageDown, "the storage account answered 409 ContainerBeingDeleted", ""),
        (
            401,
            "InvalidAuthenticationInfo",
            StorageDown,
            "the storage account does not accept the identity's token (InvalidAuthenticationInfo)",
            "",
        ),
        (
            403,
            "AccountIsDisabled",
            Stopped,
            "the storage account answered 403 AccountIsDisabled",
            "find out why the storage account is disabled (its page in the portal says so)",
        ),
        # who may not
        (
            403,
            "AuthorizationPermissionMismatch",
            Forbidden,
            "the storage account answered 403 AuthorizationPermissionMismatch",
            ROLE,
        ),
        (
            403,
            "AuthorizationFailure",
            Forbidden,
            "the storage account answered 403 AuthorizationFailure; nobody is let in from this network",
            "let the connector's network through the storage account's firewall (Networking, or a private endpoint); "
            f"if it has none, {ROLE}",
        ),
        (
            403,
            "AuthenticationFailed",
            Forbidden,
            "the storage account answered 403 AuthenticationFailed; the key or token is not accepted",
            "set HR_STORAGE anew from the account's access keys, or check the identity's tenant",
        ),
        (
            403,
            "KeyBasedAuthenticationNotPermitted",
            Forbidden,
            "the storage account answered 403 KeyBasedAuthenticationNotPermitted; the account takes no keys",
            "set HR_STORAGE__blobServiceUri in place of HR_STORAGE",
        ),
        (403, "SomethingNew", Forbidden, "the storage account answered 403 SomethingNew", ROLE),
        # one blob
        (
            409,
            "BlobArchived",
            BlobRefused,
            "is in the archive tier, where nothing can be read (BlobArchived)",
            "bring it online: `az storage blob set-tier --tier Hot`, which takes hours",
        ),
        (
            409,
            "BlobBeingRehydrated",
            BlobRefused,
            "is being brought online from the archive tier (BlobBeingRehydrated)",
            "nothing: that takes up to 15 hours",
        ),
        (
            409,
            "InvalidBlobType",
            BlobRefused,
            "is of another type than the connector writes there, as after a restore or a copy (InvalidBlobType)",
            "move it away: the connector then makes it as it needs it",
        ),
        (
            409,
            "BlobImmutableDueToLegalHold",
            BlobRefused,
            "is under a legal hold (BlobImmutableDueToLegalHold)",
            "take the hold from the container, or from the blob",
        ),
        (
            409,
            "SomethingNew",
            BlobRefused,
            "storage answered 409 (SomethingNew)",
            "move the blob away, or give it another name",
        ),
        (400, "", BlobRefused, "storage answered 400", "move the blob away, or give it another name"),
        # somebody else
        (412, "ConditionNotMet", Conflict, "changed or held by another instance (ConditionNotMet)", ""),
        (412, "LeaseIdMissing", Conflict, "changed or held by another instance (LeaseIdMissing)", ""),
        (409, "LeaseAlreadyPresent", Conflict, "changed or held by another instance (LeaseAlreadyPresent)", ""),
        (400, "InvalidBlockList", Conflict, "changed or held by another instance (InvalidBlockList)", ""),
    ],
)
def test_each_error_code_says_what_is_wrong_with_what_and_what_to_do(
    status: int, code: str, kind: type[ConnectorError], message: str, advice: str
) -> None:
    with pytest.raises(ConnectorError) as raised:
        read_blob(answering(status, code), "people/today.csv")
    said = str(raised.value)
    assert (type(raised.value), said) == (
        kind,
        f"inbox/people/today.csv: {message} ({advice})" if advice else f"inbox/people/today.csv: {message}",
    )


@pytest.mark.parametrize(("minutes", "way"), [(-20, "ahead of"), (20, "behind")])
def test_a_403_for_the_time_of_a_request_is_told_by_the_two_clocks(minutes: int, way: str) -> None:
    theirs = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    with pytest.raises(Forbidden) as raised:
        read_blob(answering(403, "AuthenticationFailed", {"Date": theirs}), "people/today.csv")
    assert (raised.value.message, raised.value.advice) == (
        "inbox/people/today.csv: the storage account answered 403 AuthenticationFailed; "
        f"this machine's clock is 20 minutes {way} the account's",
        "set this machine's clock by NTP",
    )


class Refused:
    """What an issuer of tokens answers to who may have none."""

    status_code = 400
    headers: Mapping[str, str] = {"x-ms-request-id": "1"}
    reason = "Bad Request"
    content_type = "application/json"

    def text(self, _: str | None = None) -> str:
        return '{"error": "invalid_request"}'


@pytest.mark.parametrize("of_its_own", [False, True], ids=["without an answer", "with the issuer's answer"])
def test_a_token_that_cannot_be_had_is_storage_down(of_its_own: bool) -> None:
    class Credential:
        def get_token(self, *_: str, **__: Any) -> AccessToken:
            refused: Any = Refused() if of_its_own else None
            raise ClientAuthenticationError("nobody", response=refused)

    settings = Settings.of({"HR_STORAGE__blobServiceUri": "https://account.blob.invalid"})
    container = connect(settings, Credential(), **ONCE).get_container_client("inbox")
    with pytest.raises(StorageDown, match=r"^inbox/x: no token for the storage account"):
        read_blob(container, "x")


def test_an_account_that_cannot_be_reached_is_down() -> None:
    container = connect(
        Settings.of({"HR_STORAGE": connection_string("http://127.0.0.1:9/x", "")}), **ONCE
    ).get_container_client("inbox")
    with pytest.raises(StorageDown, match=r"could not be reached \(ServiceRequestError\)"):
        list(list_blobs(container))


# a drop while it is read


def _deleted(container: ContainerClient) -> None:
    container.delete_blob("people/today.csv")


def _replaced(container: ContainerClient) -> None:
    container.upload_blob("people/today.csv", b"2" * 100, overwrite=True)


def _archived(container: ContainerClient) -> None:
    tier: Any = "Archive"
    container.get_blob_client("people/today.csv").set_standard_blob_tier(tier)


@pytest.mark.parametrize(
    ("happens", "kind", "message"),
    [
        (
            _deleted,
            DropUnusable,
            "people/today.csv: the drop was deleted before it was read to its end "
            "(nothing of it was sent; put it back, or drop the next one)",
        ),
        (
            _replaced,
            DropUnusable,
            "people/today.csv: the drop was replaced before it was read to its end "
            "(nothing of it was sent; what replaced it is a drop of its own)",
        ),
        (
            _archived,
            DropRefused,
            "{inbox}/people/today.csv: is in the archive tier, where nothing can be read (BlobArchived) "
            "(bring it online: `az storage blob set-tier --tier Hot`, which takes hours)",
        ),
    ],
)
def test_what_happens_to_a_drop_while_it_is_read_is_told_apart(
    inbox: ContainerClient, happens: Callable[[ContainerClient], None], kind: type[ConnectorError], message: str
) -> None:
    etag = inbox.upload_blob("people/today.csv", b"1" * 100).get_blob_properties().etag.strip('"')
    file = DropFile(inbox, "people/today.csv", etag=etag, size=100)
    assert file.read(10) == b"1" * 10
    happens(inbox)
    with pytest.raises(ConnectorError) as raised:
        file.read(10)
    assert (type(raised.value), str(raised.value)) == (kind, message.format(inbox=inbox.container_name))


# answers that are lost


@contextmanager
def losing_answers(azurite: Azurite) -> Iterator[str]:
    """A connection string to Azurite by which the answer to every second write is lost, so that the SDK repeats it."""
    lost = Rule(on=Endpoint.STORAGE, do=Action.DROP_AFTER, method="PUT", every=2)
    with FaultProxy(azurite.blob_service, faults=Schedule([lost])) as proxy:
        yield connection_string(proxy.url(azurite.blob_service), azurite.queue_service)


def test_a_conditional_write_whose_answer_is_lost_has_succeeded_and_one_that_lost_the_race_has_not(
    azurite: Azurite, inbox: ContainerClient
) -> None:
    new: Any = {"overwrite": False, "match_condition": MatchConditions.IfMissing}

    def same(etag: str) -> Any:
        return {"overwrite": True, "etag": etag, "match_condition": MatchConditions.IfNotModified}

    with losing_answers(azurite) as connection:
        container = container_of(connection, inbox.container_name, **AT_ONCE)
        # The first write of the account passes, and the answer to each of the following is lost once.
        write_blob(container, "other", b"0", "text/plain", overwrite=True)
        first = write_blob(container, "state", b"1", "text/plain", metadata={"state": "x"}, **new)
        second = write_blob(container, "state", b"2", "text/plain", metadata={"state": "y"}, **same(first))
        write_blob(container, "new", b"3", "text/plain", overwrite=False)
        for condition in (new, same(first), {"overwrite": False}):
            with pytest.raises(Conflict):
                write_blob(container, "state", b"2", "text/plain", metadata={"state": "y"}, **condition)

    assert inbox.download_blob("new").readall() == b"3"
    blob = inbox.get_blob_client("state")
    found = blob.get_blob_properties()
    assert (blob.download_blob().readall(), found.etag.strip('"'), found.metadata["state"]) == (b"2", second, "y")


def test_a_write_whose_blob_is_gone_when_it_is_looked_for_stays_a_conflict(inbox: ContainerClient) -> None:
    condition: Any = {"etag": "0x1", "match_condition": MatchConditions.IfNotModified}
    with pytest.raises(Conflict):
        write_blob(inbox, "state", b"1", "text/plain", overwrite=True, **condition)


def test_leases_and_streamed_blobs_survive_the_loss_of_an_answer_to_each_call(
    azurite: Azurite, inbox: ContainerClient
) -> None:
    with losing_answers(azurite) as connection:
        container = container_of(connection, inbox.container_name, **AT_ONCE)
        write_blob(container, "leased", b"0", "text/plain", overwrite=True)
        lease = lease_blob(container, "leased")
        with pytest.raises(Conflict):
            lease_blob(container, "leased")
        lease.renew()
        lease.release()
        lease_blob(container, "leased").release()

        writer = BlockWriter(container, "streamed", "text/plain")
        writer.write(b"whole")
        writer.commit()

    assert inbox.download_blob("streamed").readall() == b"whole"
