"""A fault proxy for storage: HTTP/1.1 over TCP, in front of Azurite, with faults by script.

It reads each request whole, so that "before" and "after" mean exactly that: storage has not seen it, or has done it.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Self
from urllib.parse import urlsplit

import h11

from connector.outside.system_clock import SystemClock
from connector.sandbox.connection import half, reset
from connector.sandbox.events import iso
from connector.sandbox.faults import Action, Endpoint, Rule, Schedule
from connector.sandbox.servers import Background, listening_socket
from connector.vocabulary.clock import Clock

_CHUNK = 65536

# Common REST API error codes; a script's `code` overrides them.
_CODES = {
    403: "AuthorizationFailure",
    404: "ResourceNotFound",
    409: "Conflict",
    412: "ConditionNotMet",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServerBusy",
}


@dataclass(slots=True, kw_only=True)
class Passed:
    """One request that reached the proxy. `status` 0: no complete answer went back."""

    method: str
    target: str
    status: int = 0
    fault: str = ""


@dataclass(slots=True)
class _Answer:
    head: h11.Response
    body: bytes


@dataclass(slots=True)
class _Peer:
    """One side of the proxy: a stream and its HTTP state."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    http: h11.Connection

    async def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self.http.they_are_waiting_for_100_continue:
                self.writer.write(self.encode(h11.InformationalResponse(status_code=100, headers=[])))
            self.http.receive_data(await self.reader.read(_CHUNK))

    def encode(self, *events: h11.Event) -> bytes:
        return b"".join(self.http.send(event) or b"" for event in events)


@dataclass(slots=True)
class _State:
    requests: list[Passed] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)


class FaultProxy:
    """In front of `target` (a URL on this machine; its path does not matter).

    `with` serves from a thread of its own, `async with` from the running loop. `requests` is what passed.
    """

    def __init__(
        self,
        target: str,
        *,
        faults: Schedule | None = None,
        clock: Clock | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        parts = urlsplit(target)
        if parts.scheme != "http" or not parts.hostname or not parts.port:
            raise ValueError("the proxy wants an http URL with a port")
        self._target = (parts.hostname, parts.port)
        self._host = host
        self._port = 0
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._state = _State()
        self._background = Background("fault proxy")
        self._stack = AsyncExitStack()
        self.faults = faults if faults is not None else Schedule()
        self.clock: Clock = clock if clock is not None else SystemClock()
        self._hold: Callable[[float], Awaitable[None]] = getattr(self.clock, "hold", self.clock.sleep)
        self._began = self.clock.monotonic()

    @property
    def requests(self) -> list[Passed]:
        return self._state.requests

    @property
    def busy(self) -> bool:
        """Whether a connection is open, or a request of one that is gone is still being passed on."""
        return bool(self._state.tasks)

    def url(self, behind: str) -> str:
        """A URL of the target, by way of the proxy."""
        parts = urlsplit(behind)
        if (parts.hostname, parts.port) != self._target:
            raise ValueError("that URL is not the target's")
        return parts._replace(netloc=f"{self._host}:{self._port}").geturl()

    def close_port(self) -> None:
        """From now on connections are refused, and the open ones reset; from any thread."""
        self._in_loop(self._close_port)

    def open_port(self) -> None:
        """Listens again, on the same port; from any thread."""
        self._in_loop(self._open_port)

    def __enter__(self) -> Self:
        self._background.start(self._open)
        return self

    def __exit__(self, *_: object) -> None:
        self._background.stop()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._open())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        await self._open_port()
        try:
            yield
        finally:
            await self._close_port()
            tasks = list(self._state.tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _in_loop(self, do: Callable[[], Awaitable[None]]) -> None:
        assert self._loop is not None, "the proxy has not been started"

        async def run() -> None:
            await do()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    async def _open_port(self) -> None:
        listener = listening_socket(self._host, self._port)
        self._port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._accept, sock=listener)

    async def _close_port(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in list(self._state.writers):
            reset(writer.transport)
        if server is not None:
            await server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._state.tasks.add(task)
        self._state.writers.add(writer)
        try:
            await self._converse(_Peer(reader, writer, h11.Connection(h11.SERVER)))
        except (OSError, h11.ProtocolError, asyncio.CancelledError):
            # Whoever broke the conversation knows; the other side is told by the reset.
            reset(writer.transport)
        finally:
            self._state.tasks.discard(task)
            self._state.writers.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, client: _Peer) -> None:
        while True:
            event = await client.next_event()
            if not isinstance(event, h11.Request):
                return
            await self._exchange(client, event)
            if client.writer.is_closing() or client.http.our_state is not h11.DONE:
                return
            client.http.start_next_cycle()

    async def _exchange(self, client: _Peer, request: h11.Request) -> None:
        """One request, to its end; where a fault ends the connection too, it is closing afterwards."""
        method, target = request.method.decode(), request.target.decode()
        elapsed = self.clock.monotonic() - self._began
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
        rule = self.faults.decide(Endpoint.STORAGE, method=method, path=target, headers=headers, elapsed=elapsed)
        passed = Passed(method=method, target=target.partition("?")[0], fault=str(rule.do) if rule else "")
        self.requests.append(passed)
        action = rule.do if rule else None
        if action in (Action.DROP_BEFORE, Action.DOWN):
            reset(client.writer.transport)
            return
        body = await self._body(client)
        if rule and action in (Action.HANG, Action.DELAY):
            gone = await self._hold_unless_gone(client, rule.seconds)
            if gone or action is Action.HANG:
                reset(client.writer.transport)
                return
        answer = None if action is Action.STATUS else await self._forward(request, body)
        if rule and action in (Action.STATUS, Action.STATUS_AFTER):
            answer = self._error(rule, method)
        if rule and action is Action.HANG_AFTER:
            await self._hold_unless_gone(client, rule.seconds)
        if answer is None or action in (Action.DROP_AFTER, Action.HANG_AFTER):
            reset(client.writer.transport)
            return
        raw = client.encode(answer.head, h11.Data(data=answer.body), h11.EndOfMessage())
        if action is Action.HALF:
            client.writer.write(half(raw))
            client.writer.close()
            return
        passed.status = answer.head.status_code
        client.writer.write(raw)
        await client.writer.drain()

    async def _forward(self, request: h11.Request, body: bytes) -> _Answer | None:
        """The target's answer; None where it broke off. A connection a request: none can be stale."""
        reader, writer = await asyncio.open_connection(*self._target)
        upstream = _Peer(reader, writer, h11.Connection(h11.CLIENT))
        try:
            upstream.writer.write(upstream.encode(request, h11.Data(data=body), h11.EndOfMessage()))
            await upstream.writer.drain()
            head: h11.Response | None = None
            parts: list[bytes] = []
            while True:
                event = await upstream.next_event()
                if isinstance(event, h11.Response):
                    head = event
                elif isinstance(event, h11.Data):
                    parts.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage) and head is not None:
                    return _Answer(head, b"".join(parts))
                elif isinstance(event, h11.ConnectionClosed):
                    return None
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _body(self, client: _Peer) -> bytes:
        parts: list[bytes] = []
        while True:
            event = await client.next_event()
            if isinstance(event, h11.Data):
                parts.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                return b"".join(parts)
            else:
                raise ConnectionResetError("the client left in the middle of its request")

    async def _hold_unless_gone(self, client: _Peer, seconds: float) -> bool:
        holding = asyncio.ensure_future(self._hold(seconds))
        leaving = asyncio.ensure_future(client.reader.read(1))
        try:
            await asyncio.wait({holding, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return not holding.done()
        finally:
            for waiting in (holding, leaving):
                waiting.cancel()
            await asyncio.gather(holding, leaving, return_exceptions=True)

    def _error(self, rule: Rule, method: str) -> _Answer:
        """An error as storage words it (Status and error codes)."""
        code = rule.code or _CODES.get(rule.status, "InternalError")
        request_id, now = str(uuid.uuid4()), self.clock.now()
        text = (
            '<?xml version="1.0" encoding="utf-8"?>'
            f"<Error><Code>{code}</Code><Message>By script.\nRequestId:{request_id}\nTime:{iso(now)}</Message></Error>"
        ).encode()
        headers = {
            "content-length": str(len(text)),
            "content-type": "application/xml",
            "x-ms-error-code": code,
            "x-ms-request-id": request_id,
            "x-ms-version": "2021-10-04",
            "date": format_datetime(now, usegmt=True),
        }
        if rule.retry_after:
            headers["retry-after"] = rule.retry_after
        head = h11.Response(status_code=rule.status, headers=list(headers.items()))
        return _Answer(head, b"" if method == "HEAD" else text)
