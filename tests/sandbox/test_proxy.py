from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import pytest
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.storage.blob import BlobClient, BlobServiceClient, ContainerClient

from connector.sandbox.clock import VirtualClock
from connector.sandbox.faults import Action, Endpoint, Rule, Schedule
from connector.sandbox.proxy import FaultProxy
from connector.sandbox.servers import Azurite, Sandbox, connection_string
from tests.kit.account import PATIENCE, until
from tests.sandbox.wire import SCIM, bulk, person, token


class Storage:
    """One container, to be reached directly and by way of a proxy; nothing is retried."""

    def __init__(self, azurite: Azurite, stack: ExitStack) -> None:
        self._azurite, self._stack = azurite, stack
        self._name = uuid.uuid4().hex
        self.direct = self._container(azurite.connection_string)
        self.direct.create_container()

    def _container(self, connection: str) -> ContainerClient:
        service = self._stack.enter_context(
            BlobServiceClient.from_connection_string(
                connection, retry_total=0, connection_timeout=PATIENCE, read_timeout=PATIENCE
            )
        )
        return service.get_container_client(self._name)

    def through(self, *rules: Rule, **options: Any) -> tuple[FaultProxy, BlobClient]:
        """A proxy with these rules, and a blob behind it."""
        proxy = FaultProxy(self._azurite.blob_service, faults=Schedule(rules), **options)
        self._stack.enter_context(proxy)
        connection = connection_string(proxy.url(self._azurite.blob_service), self._azurite.queue_service)
        return proxy, self._container(connection).get_blob_client("a/b.json")

    def content(self) -> bytes | None:
        blob = self.direct.get_blob_client("a/b.json")
        return blob.download_blob().readall() if blob.exists() else None


@pytest.fixture
def storage(azurite: Azurite) -> Iterator[Storage]:
    with ExitStack() as stack:
        yield Storage(azurite, stack)


def _on(action: Action, **members: Any) -> Rule:
    return Rule(on=Endpoint.STORAGE, do=action, **members)


def test_without_a_rule_everything_passes(storage: Storage) -> None:
    proxy, blob = storage.through()
    content = bytes(range(256)) * 8192
    blob.upload_blob(content)
    assert blob.download_blob().readall() == content
    assert blob.get_blob_properties().size == len(content)
    assert [(passed.method, passed.status) for passed in proxy.requests] == [("PUT", 201), ("GET", 206), ("HEAD", 200)]


def test_a_blob_that_is_not_there_is_still_not_there_by_way_of_the_proxy(storage: Storage) -> None:
    _, blob = storage.through()
    assert not blob.exists()


@pytest.mark.parametrize("action", [Action.STATUS, Action.STATUS_AFTER])
def test_server_busy_is_worded_as_storage_words_it(storage: Storage, action: Action) -> None:
    _, blob = storage.through(_on(action, status=503, times=1))
    with pytest.raises(HttpResponseError) as busy:
        blob.upload_blob(b"one")
    assert (busy.value.status_code, getattr(busy.value, "error_code", None)) == (503, "ServerBusy")
    assert storage.content() == (b"one" if action is Action.STATUS_AFTER else None)
    blob.upload_blob(b"two", overwrite=True)
    assert storage.content() == b"two"


def test_a_busy_answer_to_head_has_no_body_and_the_connection_goes_on(storage: Storage) -> None:
    _, blob = storage.through(_on(Action.STATUS, method="HEAD", times=1))
    with pytest.raises(HttpResponseError) as busy:
        blob.get_blob_properties()
    assert busy.value.status_code == 503
    assert not blob.exists()


@pytest.mark.parametrize(
    ("action", "content"),
    [
        (Action.DROP_BEFORE, None),
        (Action.DROP_AFTER, b"one"),
        (Action.HALF, b"one"),
        (Action.HANG, None),
        (Action.HANG_AFTER, b"one"),
        (Action.DELAY, b"one"),
    ],
)
def test_a_broken_connection_leaves_storage_untouched_before_and_changed_after(
    storage: Storage, action: Action, content: bytes | None
) -> None:
    _, blob = storage.through(_on(action, method="PUT", path="b.json", seconds=0.02, times=1))
    if action is Action.DELAY:
        blob.upload_blob(b"one")
    else:
        with pytest.raises((ServiceRequestError, ServiceResponseError)):
            blob.upload_blob(b"one")
    assert storage.content() == content
    blob.upload_blob(b"two", overwrite=True)
    assert storage.content() == b"two"


def test_a_proxy_is_busy_while_a_call_hangs_and_no_longer_once_its_caller_is_gone(storage: Storage) -> None:
    proxy, blob = storage.through(_on(Action.HANG, method="PUT", seconds=3600))
    parts = urlsplit(blob.url)
    assert parts.hostname and parts.port
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(f"PUT {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 0\r\n\r\n".encode())
        until(lambda: proxy.requests, "the call")
        assert proxy.busy
    until(lambda: not proxy.busy, "the end of the hang")
    assert storage.content() is None


def test_a_rule_can_be_bound_to_what_a_blob_says_in_its_metadata(storage: Storage) -> None:
    _, blob = storage.through(_on(Action.STATUS, header="^x-ms-meta-state: two$"))
    blob.upload_blob(b"1", metadata={"state": "one"})
    with pytest.raises(HttpResponseError):
        blob.upload_blob(b"2", metadata={"state": "two"}, overwrite=True)
    assert storage.content() == b"1"


def test_down_for_a_while_ends_by_the_clock(storage: Storage) -> None:
    clock = VirtualClock()
    proxy, blob = storage.through(_on(Action.DOWN, calls=((2, 2),), seconds=120.0), clock=clock)
    assert not blob.exists()
    for elapsed in (0, 60, 59):
        clock.advance(elapsed)
        with pytest.raises(AzureError):
            blob.exists()
    clock.advance(1)
    assert not blob.exists()
    assert [passed.fault for passed in proxy.requests] == ["", "down", "down", "down", ""]


def test_a_closed_port_refuses_and_the_same_port_opens_again(storage: Storage) -> None:
    proxy, blob = storage.through()
    assert not blob.exists()
    proxy.close_port()
    with pytest.raises(ServiceRequestError, match="Connection refused"):
        blob.exists()
    proxy.open_port()
    assert not blob.exists()


def test_in_front_of_the_sandbox_it_makes_entra_unreachable(sandbox: Sandbox) -> None:
    with FaultProxy(sandbox.base_url) as proxy:
        entra = proxy.url(sandbox.base_url)
        headers = SCIM | {"authorization": f"Bearer {token(sandbox, entra)}"}
        endpoint, body = proxy.url(sandbox.endpoint), orjson.dumps(bulk(person("1")))
        answer = httpx.post(endpoint, content=body, headers=headers, verify=False)
        assert (answer.status_code, answer.headers["location"].startswith(f"{entra}/v1.0/")) == (202, True)
        proxy.close_port()
        with pytest.raises(httpx.ConnectError):
            httpx.post(endpoint, content=body, headers=headers, verify=False)
    assert sandbox.report.accepted == 1


async def test_the_proxy_runs_on_the_callers_loop_too(azurite: Azurite) -> None:
    async with FaultProxy(azurite.blob_service) as proxy:
        assert proxy.url(azurite.blob_service).endswith("/devstoreaccount1")
        with pytest.raises(ValueError, match=r"^that URL is not the target's$"):
            proxy.url("http://127.0.0.1:1/x")


def test_a_proxy_wants_a_plain_target() -> None:
    with pytest.raises(ValueError, match=r"^the proxy wants an http URL with a port$"):
        FaultProxy("https://127.0.0.1:1/x")
