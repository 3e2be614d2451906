"""The connection that a request came on, for faults that HTTP has no word for."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from typing import Any, Protocol

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(Protocol):
    """How a fault reaches below HTTP. `remote`: the client waits on a real socket."""

    remote: bool

    def reset(self) -> None:
        """The connection is gone at once; on TCP by RST."""

    def end_with(self, data: bytes) -> None:
        """These bytes, then the end of the connection."""


class TcpConnection:
    """A connection of uvicorn's."""

    remote = True

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def reset(self) -> None:
        reset(self._transport)

    def end_with(self, data: bytes) -> None:
        self._transport.write(data)
        self._transport.close()


def reset(transport: asyncio.WriteTransport) -> None:
    """Closes by RST instead of FIN: a linger time of zero makes the kernel send it."""
    if not transport.is_closing():
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def half(answer: bytes) -> bytes:
    """The head and half of the body; half of the status line where there is no body.

    Cut anywhere else in the head it would not do: http.client takes the end of the stream for the end of the headers.
    """
    head, blank, body = answer.partition(b"\r\n\r\n")
    return head + blank + body[: len(body) // 2] if body else answer[:10]


def flood(mebibytes: int) -> bytes:
    """So many MiB of spaces in gzip, a thousandth of it long."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    spaces = b" " * 2**20
    return b"".join([*(packer.compress(spaces) for _ in range(mebibytes)), packer.flush()])


class ConnectionProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with the connection in each request's `state`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        state: dict[str, Any] = {"connection": TcpConnection(transport)}
        self.app_state = state
