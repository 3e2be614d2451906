"""HTTP within bounds: how long a call may take and how large an answer may become. From one call to the next nothing
is kept but the connection.

What has an answer's head has its status: a body that is too large, too slow, compressed in a way that nobody asked for
or cut off leaves the status what it is, and `Answer.fault` says why there is no body.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, cast

import httpx

from connector.vocabulary.errors import Exceeded, Retryable

if TYPE_CHECKING:
    import ssl

TIMEOUT = httpx.Timeout(60.0, connect=15.0)
"""Of a connection, and of each read and write."""
CALL_SECONDS = 90.0
"""Of a call as a whole: a server that drips is never silent for long."""
MIB = 2**20
BODY_BYTES = 8 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`content` is decoded, and b"" where `fault` says why it is not there. `again`: another try may bring it."""

    status: int
    headers: Mapping[str, str]
    date: datetime | None = None
    """By the server's clock, where whoever asked believes it."""
    content: bytes = b""
    fault: str = ""
    again: bool = False

    @property
    def successful(self) -> bool:
        return 200 <= self.status <= 299

    @property
    def redirects(self) -> bool:
        return 300 <= self.status <= 399


@cache
def _trusted() -> ssl.SSLContext:
    # Reading all authorities' certificates takes longer than a call: once a process, and not at each invocation.
    return httpx.create_ssl_context()


class BoundedHttp:
    """Calls to one service, `name`d in messages. Redirects are not followed, cookies not kept."""

    def __init__(
        self,
        name: str,
        *,
        connections: int = 10,
        proxies: bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._name = name
        self._http = httpx.AsyncClient(
            timeout=TIMEOUT,
            limits=httpx.Limits(max_connections=connections, keepalive_expiry=60),
            transport=transport,
            follow_redirects=False,
            verify=_trusted(),
            trust_env=proxies,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            # Asked for, since a log shrinks to a tenth; what httpx can decode beside it has no bound.
            headers={"Accept-Encoding": "gzip"},
            event_hooks={"response": [_stay]},
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
        most: int = BODY_BYTES,
        seconds: float = CALL_SECONDS,
    ) -> Answer:
        """The answer, with a body of at most `most` bytes, within `seconds`. Where there is none, raises Exceeded for
        a server that was too slow, and Retryable for any other reason."""
        answer: Answer | None = None
        try:
            async with (
                asyncio.timeout(seconds),
                self._http.stream(method, url, headers=headers, content=body, params=params) as response,
            ):
                answer = Answer(status=response.status_code, headers=response.headers)
                content, fault = await _read(response, most)
                answer = replace(answer, content=content, fault=fault)
        except TimeoutError as error:
            if answer is None:
                raise Exceeded(f"{self._name} did not answer within {seconds:.3g} seconds") from error
            answer = replace(answer, content=b"", fault=f"took longer than {seconds:.3g} seconds")
        except httpx.RequestError as error:
            if answer is None:
                # Who was silent for a minute may be so for each try.
                kind = Exceeded if isinstance(error, httpx.ReadTimeout) else Retryable
                raise kind(f"{self._name} could not be reached ({type(error).__name__})") from error
            answer = replace(answer, content=b"", fault=f"broke off ({type(error).__name__})", again=True)
        return answer


async def _stay(response: httpx.Response) -> None:
    # httpx reads where a redirect leads also where it does not follow it, and raises where that is no URL.
    response.headers.pop("Location", None)


async def _read(response: httpx.Response, most: int) -> tuple[bytes, str]:
    """The body, or why there is none. Not httpx's decoders: what they make of one piece has no bound."""
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding in {"gzip", "x-gzip"}:
        decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
    elif coding in {"", "identity"}:
        decoder = None
    else:
        return b"", "is encoded in a way that was not asked for"
    content = bytearray()
    received = 0
    async with aclosing(aiter(cast(Any, response.stream))) as pieces:
        async for piece in pieces:
            received += len(piece)
            try:
                if decoder is None:
                    content += piece
                # What follows the end is read, so that the connection can be used again, and of no meaning.
                elif not decoder.eof:
                    content += decoder.decompress(piece, most - len(content) + 1)
            except zlib.error:
                return b"", "is not the gzip that it claims to be"
            # What is received counts too: gzip can be endless and empty.
            if len(content) > most or received > most:
                return b"", f"is larger than {most // MIB} MiB"
    if decoder is not None and received and not decoder.eof:
        return b"", "is cut off"
    return bytes(content), ""
