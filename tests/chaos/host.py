"""One instance of the function app, from its start to its death: everything that it does passes through here.

The SDK client, the HTTP client and their retries are the real ones; below them is this, instead of a socket. A dead
instance's calls all fail and reach nothing: not even a `finally` of it can touch the outside any more.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

import httpx
import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import ExponentialRetry
from urllib3 import HTTPResponse
from urllib3.exceptions import ProtocolError

from connector.planning.turns import Turns
from connector.sandbox.clock import VirtualClock
from connector.sandbox.faults import Action, Rule
from connector.sandbox.servers import Sandbox
from tests.chaos.blob_account import Answer, BlobAccount
from tests.chaos.lockstep import in_lockstep, outside

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

T = TypeVar("T")

StorageEnd = Callable[[str, str, Mapping[str, str], bytes], Answer]
"""Method, URL, headers and body of a request to its answer; raises what `requests` raises."""

SDK_TIMEOUT = 60.0
"""Seconds until the storage SDK gives up an answer (azure-storage-blob, `read_timeout`)."""


class Killed(BaseException):
    """This instance is dead. No `except Exception` may survive it."""


class World(Protocol):
    """What an instance is in."""

    clock: VirtualClock
    account: BlobAccount
    sandbox: Sandbox

    def before_call(self, host: Host, what: str) -> None:
        """May kill the host."""

    def after_call(self, host: Host, what: str) -> None:
        """May kill the host: the call has taken effect."""

    def storage_fault(self, method: str, path: str) -> Rule | None: ...

    def latency(self) -> float:
        """Seconds of one way to the storage account."""


class Host:
    """An instance named `name`, whose wall clock is `skew` seconds ahead."""

    def __init__(self, world: World, name: str, *, skew: float = 0.0) -> None:
        self.world = world
        self.name = name
        self.dead = False
        self.clock = HostClock(self, skew)
        self.turns = Turns()
        self.sleeping: set[asyncio.Task[Any]] = set()
        self._invocations: set[asyncio.Task[Any]] = set()

    def invoke(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A function invocation; it ends in Killed when the host dies."""
        task = asyncio.get_running_loop().create_task(work)
        self._invocations.add(task)
        task.add_done_callback(self._invocations.discard)
        return task

    def cancel(self) -> None:
        """The function host's time-out: the invocations are cancelled, and may tidy up."""
        for task in list(self._invocations):
            task.cancel()

    def kill(self) -> None:
        """SIGKILL."""
        self.dead = True
        for task in [*self.sleeping, *self._invocations]:
            task.cancel()

    async def mortal(self, work: Coroutine[Any, Any, T]) -> T:
        """`work`, unless this instance dies before it is done."""
        if self.dead:
            work.close()
            raise Killed
        task = asyncio.get_running_loop().create_task(work)
        self.sleeping.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if self.dead:
                raise Killed from None
            task.cancel()
            raise
        finally:
            self.sleeping.discard(task)

    def storage_transport(self) -> RequestsTransport:
        """For the storage SDK."""
        return StorageTransport(self.storage_call)

    def graph_transport(self) -> httpx.AsyncBaseTransport:
        """For httpx."""
        return _GraphTransport(self)

    def credential(self, _: str) -> TokenCredential:
        """The identity endpoint's tokens, by the same way as everything else."""
        return _Credential(self)

    def storage_call(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """From any thread."""
        path = unquote(urlsplit(url).path).partition("/devstoreaccount1/")[2]
        call = StorageCall(self, method, url, path, headers, body)
        if in_lockstep():
            answer: Answer = outside(lambda: self.mortal(call.with_latency()))
            return answer
        # A thread of the connector's own, for which time stands still. One writes the spool. The one that renews the
        # lease of a run counts real seconds: how many of those go by on a busy machine must not matter. So planning
        # that takes 15 virtual ones loses its lease, a fault like others.
        if headers.get("x-ms-lease-action") == "renew":
            return Answer(status=200, headers={"x-ms-lease-id": headers["x-ms-lease-id"], "Content-Length": "0"})
        return call.at_once()

    def rest(self, seconds: float) -> None:
        """The SDK's wait between two tries."""
        if in_lockstep():
            outside(lambda: self.clock.sleep(seconds))
        elif self.dead:
            raise Killed


class HostClock:
    """The world's clock with this instance's error."""

    def __init__(self, host: Host, skew: float) -> None:
        self._host = host
        self._world = host.world.clock
        self._skew = timedelta(seconds=skew)

    def now(self) -> datetime:
        return self._world.now() + self._skew

    def monotonic(self) -> float:
        return self._world.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._host.mortal(self._world.sleep(seconds))


class StorageCall:
    """One request to the storage account, with what the schedule does to it."""

    def __init__(self, host: Host, method: str, url: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
        self._host = host
        self._what = f"{method} {path}"
        self._request = (method, url, headers, body)
        self._path = path

    async def with_latency(self) -> Answer:
        world = self._host.world
        self._begin()
        await world.clock.sleep(world.latency())
        rule = world.storage_fault(self._request[0], self._path)
        if rule is not None and rule.do in {Action.DELAY, Action.HANG}:
            await world.clock.sleep(min(rule.seconds, SDK_TIMEOUT))
        answer = self._take_effect(rule)
        if rule is not None and rule.do is Action.HANG_AFTER:
            await world.clock.sleep(min(rule.seconds, SDK_TIMEOUT))
        self._end()
        await world.clock.sleep(world.latency())
        return _faulted(answer, rule)

    def at_once(self) -> Answer:
        self._begin()
        rule = self._host.world.storage_fault(self._request[0], self._path)
        answer = self._take_effect(rule)
        self._end()
        return _faulted(answer, rule)

    def _begin(self) -> None:
        if self._host.dead:
            raise Killed
        self._host.world.before_call(self._host, self._what)
        if self._host.dead:
            raise Killed

    def _take_effect(self, rule: Rule | None) -> Answer | None:
        if rule is not None:
            if rule.do in {Action.DROP_BEFORE, Action.DOWN}:
                raise requests.exceptions.ConnectionError(ProtocolError("Connection aborted.", ConnectionResetError()))
            if rule.do is Action.HANG or (rule.do is Action.DELAY and rule.seconds >= SDK_TIMEOUT):
                raise requests.exceptions.ReadTimeout("Read timed out.")
            if rule.do is Action.STATUS:
                return None
        method, url, headers, body = self._request
        return self._host.world.account.handle(method, url, headers, body)

    def _end(self) -> None:
        self._host.world.after_call(self._host, self._what)
        if self._host.dead:
            raise Killed


def _faulted(answer: Answer | None, rule: Rule | None) -> Answer:
    if rule is not None:
        if rule.do is Action.DROP_AFTER:
            raise requests.exceptions.ConnectionError(ProtocolError("Connection aborted.", ConnectionResetError()))
        if rule.do is Action.HANG_AFTER:
            raise requests.exceptions.ReadTimeout("Read timed out.")
        if rule.do in {Action.STATUS, Action.STATUS_AFTER}:
            code = rule.code or ("ServerBusy" if rule.status == 503 else "InternalError")
            return Answer(status=rule.status, headers={"x-ms-error-code": code, "Content-Length": "0"})
        if rule.do is Action.HALF and answer is not None:
            if not answer.body:
                raise requests.exceptions.ConnectionError(ProtocolError("Connection aborted.", ConnectionResetError()))
            answer.body = answer.body[: len(answer.body) // 2]
    assert answer is not None
    return answer


class _Session:
    """What RequestsTransport needs of a `requests.Session`."""

    def __init__(self, call: StorageEnd) -> None:
        self._call = call

    def request(self, method: str, url: str, *, headers: Mapping[str, str], data: Any, **_: Any) -> requests.Response:
        answer = self._call(method, url, headers, _whole(data))
        response = requests.Response()
        response.status_code = answer.status
        response.headers = requests.structures.CaseInsensitiveDict(answer.headers)
        response.url = url
        response.reason = ""
        response.raw = HTTPResponse(
            io.BytesIO(answer.body),
            headers=answer.headers,
            status=answer.status,
            preload_content=False,
            request_method=method,
        )
        return response

    def close(self) -> None:
        """Nothing is open."""


def _whole(data: Any) -> bytes:
    match data:
        case None:
            return b""
        case bytes():
            return data
        case str():
            return data.encode()
    read: bytes = data.read()
    return read


class StorageTransport(RequestsTransport):  # type: ignore[misc]  # azure.core exports it untyped, by __getattr__
    """For the storage SDK: its requests end in `call` instead of a socket."""

    def __init__(self, call: StorageEnd) -> None:
        super().__init__(session=_Session(call), session_owner=False)


class VirtualRetry(ExponentialRetry):
    """The SDK's retries, without jitter, in the host's time (a container's clients sleep past their transport)."""

    def __init__(self, host: Host) -> None:
        super().__init__(initial_backoff=1, increment_base=2, retry_total=4, random_jitter_range=0)
        self._host = host

    def sleep(self, settings: Any, transport: Any) -> None:
        self._host.rest(self.get_backoff_time(settings))


class _GraphTransport(httpx.AsyncBaseTransport):
    def __init__(self, host: Host) -> None:
        self._host = host
        self._sandbox = host.world.sandbox.transport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._host.mortal(self._pass(request))

    async def _pass(self, request: httpx.Request) -> httpx.Response:
        what = f"{request.method} {request.url.path}"
        if request.url.host != urlsplit(self._host.world.sandbox.base_url).hostname:
            raise AssertionError("a request left for another host than GRAPH_BASE_URL's")
        self._host.world.before_call(self._host, what)
        if self._host.dead:
            raise Killed
        response = await self._sandbox.handle_async_request(request)
        self._host.world.after_call(self._host, what)
        if self._host.dead:
            raise Killed
        return response


class _Credential:
    """As ManagedIdentityCredential does, over the sandbox's identity endpoint."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return outside(lambda: self._ask(scopes[0].removesuffix("/.default")))  # type: ignore[no-any-return]  # ours

    async def _ask(self, resource: str) -> AccessToken:
        sandbox = self._host.world.sandbox
        async with httpx.AsyncClient(transport=self._host.graph_transport(), timeout=30.0) as client:
            try:
                answer = await client.get(
                    sandbox.identity_endpoint,
                    params={"api-version": "2019-08-01", "resource": resource},
                    headers={"X-IDENTITY-HEADER": sandbox.settings.identity_header},
                )
            except httpx.RequestError as error:
                raise ServiceRequestError(type(error).__name__) from error
        if answer.status_code != 200:
            raise ClientAuthenticationError(f"{answer.status_code}")
        found = answer.json()
        return AccessToken(found["access_token"], int(found["expires_on"]))

    def close(self) -> None:
        """Nothing is open."""
