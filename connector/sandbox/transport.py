"""The sandbox without sockets: an httpx transport that calls it on the caller's event loop.

With a virtual clock nothing real is left: latency, hangs and httpx's own timeouts pass in virtual time, and a run is
the same run every time. Faults become the exceptions that httpx raises for them on a real connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import httpx
from starlette.types import ASGIApp

from connector.vocabulary.clock import Clock


class _Reset(Exception):
    """The server cut the connection."""


class InProcessConnection:
    """What a fault sees of a request that came without a socket."""

    remote = False

    def __init__(self) -> None:
        self.ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def reset(self) -> None:
        if not self.ended.done():
            self.ended.set_exception(_Reset())

    def end_with(self, data: bytes) -> None:
        if not self.ended.done():
            self.ended.set_result(data)


class SandboxTransport(httpx.AsyncBaseTransport):
    """Honours the request's read timeout, by `clock`."""

    def __init__(self, app: ASGIApp, *, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        body = b"".join([part async for part in request.stream])
        connection = InProcessConnection()
        answered = asyncio.ensure_future(self._ask(request, body, connection))
        timeout = request.extensions.get("timeout", {}).get("read")
        waits: set[asyncio.Future[Any]] = {answered, connection.ended}
        expiry = None if timeout is None else asyncio.ensure_future(self._clock.sleep(timeout))
        try:
            done, _ = await asyncio.wait(
                waits if expiry is None else {*waits, expiry}, return_when=asyncio.FIRST_COMPLETED
            )
            if connection.ended in done:
                if connection.ended.exception() is not None:
                    raise httpx.ReadError("[Errno 104] Connection reset by peer", request=request)
                raise httpx.RemoteProtocolError(
                    "peer closed connection without sending complete message body", request=request
                )
            if answered not in done:
                raise httpx.ReadTimeout("no answer in time", request=request)
            return answered.result()
        finally:
            pending = [wait for wait in (answered, expiry) if wait is not None and not wait.done()]
            for wait in pending:
                wait.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            if connection.ended.done():
                # Looked at, since asyncio complains of an exception that nobody saw.
                connection.ended.exception()
            connection.ended.cancel()

    async def _ask(self, request: httpx.Request, body: bytes, connection: InProcessConnection) -> httpx.Response:
        url = request.url
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("127.0.0.1", 0),
            "server": (url.host, url.port),
            "state": {"connection": connection},
        }
        unread = True
        status, headers, parts = 0, [], []

        async def receive() -> MutableMapping[str, Any]:
            nonlocal unread
            if unread:
                unread = False
                return {"type": "http.request", "body": body, "more_body": False}
            # The caller is there until it is cancelled, or until the server itself cuts the connection.
            await asyncio.wait({connection.ended})
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message["headers"])
            else:
                parts.append(message.get("body", b""))

        await self._app(scope, receive, send)
        if connection.ended.done():
            await asyncio.get_running_loop().create_future()
        return httpx.Response(status, headers=headers, content=b"".join(parts), request=request)
