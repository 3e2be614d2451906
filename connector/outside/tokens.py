"""Bearer tokens for one audience: kept until shortly before they expire, dropped when they are refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from connector.vocabulary.errors import Retryable

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential


# A token is renewed this long before it expires, so that none expires on its way.
TOKEN_MARGIN = 300.0
# By a clock that is hours ahead, every token has expired when it comes: so long it is tried all the same.
TOKEN_LEAST = 60.0
# The identity library tries for a minute or so, and bounds each read alone.
TOKEN_SECONDS = 150.0

NO_TOKEN = (
    "assign the managed identity and set AZURE_CLIENT_ID to its client id; `python -m connector doctor` checks it"
)


class TokenSource:
    """Bearer tokens for Graph, kept until shortly before they expire.

    `connect` makes a credential. A token that Graph refused is dropped together with its credential, whose own cache
    would give the same one again. A credential counts in the machine's own time, and so does `now`.
    """

    def __init__(
        self,
        connect: Callable[[], TokenCredential],
        scope: str,
        now: Callable[[], float] = time.time,
        *,
        seconds: float = TOKEN_SECONDS,
    ) -> None:
        self._connect = connect
        self._scope = scope
        self._now = now
        self._seconds = seconds
        self._fetched = 0.0
        self._credential: TokenCredential | None = None
        self._token: AccessToken | None = None
        self._refused = 0
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """Raises Retryable when there is none to be had now."""
        async with self._lock:
            if self._token is None or not self._good(self._token):
                try:
                    self._token = await asyncio.wait_for(asyncio.to_thread(self._fetch), self._seconds)
                except TimeoutError as error:
                    self._credential = None
                    raise Retryable(f"no token for Microsoft Graph within {self._seconds:.3g} seconds") from error
                self._fetched = self._now()
            return self._token.token

    def _good(self, token: AccessToken) -> bool:
        now = self._now()
        return now <= token.expires_on - TOKEN_MARGIN or self._fetched <= now < self._fetched + TOKEN_LEAST

    def refuse(self, token: str) -> bool:
        """Graph answered 401 to `token`. True while a fresh one may be better: not when that was refused as well."""
        if self._token is not None and self._token.token == token:
            self._token = None
            self._credential = None
            self._refused += 1
        return self._refused < 2

    def honoured(self) -> None:
        """Graph took the token."""
        self._refused = 0

    def _fetch(self) -> AccessToken:
        try:
            if self._credential is None:
                self._credential = self._connect()
            token = self._credential.get_token(self._scope)
            # It becomes a header.
            token.token.encode("ascii")
            return token
        # The library reads the endpoint's answer, and lets through whatever that makes its parsers raise.
        except Exception as error:
            self._credential = None
            raise Retryable(f"no token for Microsoft Graph ({type(error).__name__}): {NO_TOKEN}") from error
